# SPDX-License-Identifier: Apache-2.0
"""Which addresses a port gets, keeps and gives back."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from sdnctl.errors import ConflictError, InvalidError
from tests.store.cloud import ALICE, NOWHERE, SLAAC, V4, V6, Cloud, Object, addresses, count_rows

MAC = "fa:16:3e:00:00:01"
EUI = "fd00::f816:3eff:fe00:1"


def pool(start: str, end: str) -> dict[str, str]:
    return {"start": start, "end": end}


def fixed(*entries: str | Object) -> list[dict[str, Any]]:
    """Addresses as text, subnets as objects."""
    return [{"ip_address": entry} if isinstance(entry, str) else {"subnet_id": entry["id"]} for entry in entries]


def test_one_of_each_version(cloud: Cloud) -> None:
    network = cloud.network()
    first = cloud.subnet(network)
    cloud.subnet(network, "10.0.1.0/24")
    six = cloud.subnet(network, V6)
    port = cloud.port(network)
    assert [item["subnet_id"] for item in port["fixed_ips"]] == [first["id"], six["id"]]
    assert ip_address(addresses(port)[0]) in ip_network(V4)
    assert ip_address(addresses(port)[1]) in ip_network(V6)


def test_next_subnet_when_the_first_is_full(cloud: Cloud) -> None:
    network = cloud.network()
    cloud.subnet(network, "10.0.0.0/30", enable_dhcp=False)
    cloud.subnet(network, "10.0.1.0/30", enable_dhcp=False)
    assert [addresses(cloud.port(network)) for _ in range(2)] == [["10.0.0.2"], ["10.0.1.2"]]
    with pytest.raises(ConflictError, match=r"10\.0\.0\.0/30 .*10\.0\.1\.0/30 .* are full") as refused:
        cloud.port(network)
    assert refused.value.kind == "IpAddressGenerationFailure"


def test_service_types(cloud: Cloud) -> None:
    network = cloud.network()
    plain = cloud.subnet(network, "10.0.0.0/24")
    special = cloud.subnet(network, "10.0.1.0/24", service_types=["compute:nova"])
    assert cloud.port(network)["fixed_ips"][0]["subnet_id"] == plain["id"]
    assert cloud.port(network, device_owner="compute:nova")["fixed_ips"][0]["subnet_id"] == special["id"]
    cloud.update("subnet", plain, service_types=["network:router_gateway"])
    assert cloud.port(network)["fixed_ips"] == []


def test_none_and_null(cloud: Cloud) -> None:
    network = cloud.network()
    cloud.subnet(network)
    cloud.subnet(network, V6, **SLAAC)
    assert cloud.port(network, fixed_ips=[])["fixed_ips"] == []
    assert len(cloud.port(network, fixed_ips=None)["fixed_ips"]) == 2


def test_exact_addresses(cloud: Cloud) -> None:
    network = cloud.network()
    first = cloud.subnet(network, allocation_pools=[pool("10.0.0.50", "10.0.0.60")])
    second = cloud.subnet(network, "10.0.1.0/24")
    six = cloud.subnet(network, V6)
    wanted = [*fixed("10.0.0.9"), {"subnet_id": second["id"], "ip_address": "10.0.1.9"}, *fixed("fd00:0::5", first)]
    port = cloud.port(network, fixed_ips=wanted)
    assert addresses(port)[:3] == ["10.0.0.9", "10.0.1.9", "fd00::5"]
    assert ip_address("10.0.0.50") <= ip_address(addresses(port)[3]) <= ip_address("10.0.0.60")
    assert [item["subnet_id"] for item in port["fixed_ips"]] == [first["id"], second["id"], six["id"], first["id"]]


@pytest.mark.parametrize(
    ("entries", "kind", "says"),
    (
        ([{"ip_address": "192.0.2.1"}], "InvalidIpForNetwork", r"give one of 10\.0\.0\.0/24, fd00::/64"),
        ([{"ip_address": "10.0.0.0"}], "InvalidIpForSubnet", "network or broadcast"),
        ([{"ip_address": "10.0.0.255"}], "InvalidIpForSubnet", "network or broadcast"),
        ([{"ip_address": "fd00::"}], "InvalidIpForSubnet", "network or broadcast"),
        ([{"ip_address": "10.0.0.9"}, {"ip_address": "10.0.0.9"}], "InvalidInput", "twice"),
        ([{"subnet_id": NOWHERE}], "InvalidInput", "is no subnet of network"),
        ([{}], "InvalidInput", "give ip_address, subnet_id or both"),
        ([{"ip_address": "x"}], "InvalidInput", r"fixed_ips\[0\].ip_address: 'x'"),
        ([{"ip_address": f"10.0.0.{n}"} for n in range(2, 70)], "InvalidInput", "at most 64"),
    ),
)
def test_impossible_addresses(cloud: Cloud, entries: list[dict[str, str]], kind: str, says: str) -> None:
    network = cloud.network()
    cloud.subnet(network, enable_dhcp=False)
    cloud.subnet(network, V6)
    for attempt in (
        lambda: cloud.port(network, fixed_ips=entries),
        lambda: cloud.update("port", cloud.port(network, fixed_ips=[]), fixed_ips=entries),
    ):
        with pytest.raises(InvalidError, match=says) as refused:
            attempt()
        assert refused.value.kind == kind
    assert count_rows(cloud.store, "addresses") == 0


def test_address_in_the_wrong_subnet(cloud: Cloud) -> None:
    network = cloud.network()
    subnet = cloud.subnet(network)
    cloud.subnet(network, "10.0.1.0/24")
    with pytest.raises(InvalidError, match="is not in subnet") as refused:
        cloud.port(network, fixed_ips=[{"subnet_id": subnet["id"], "ip_address": "10.0.1.9"}])
    assert refused.value.kind == "InvalidIpForSubnet"


def test_taken_address(cloud: Cloud) -> None:
    network = cloud.network()
    cloud.subnet(network)
    port = cloud.port(network, fixed_ips=fixed("10.0.0.9"))
    other = cloud.port(network)
    for attempt in (
        lambda: cloud.port(network, fixed_ips=fixed("10.0.0.9")),
        lambda: cloud.update("port", other, fixed_ips=fixed("10.0.0.9")),
        lambda: cloud.port(network, fixed_ips=fixed("10.0.0.2")),
    ):
        with pytest.raises(ConflictError, match="already belongs to port") as refused:
            attempt()
        assert refused.value.kind == "IpAddressAlreadyAllocated"
    cloud.delete("port", port)
    assert addresses(cloud.update("port", other, fixed_ips=fixed("10.0.0.9"))) == ["10.0.0.9"]


def test_gateway_address_only_by_name(cloud: Cloud) -> None:
    """A guest may be its network's router; nobody becomes it by chance (the law is in test_allocation_laws.py)."""
    network = cloud.network()
    cloud.subnet(network)
    assert addresses(cloud.port(network, fixed_ips=fixed("10.0.0.1"))) == ["10.0.0.1"]


def test_last_address_of_a_24(cloud: Cloud) -> None:
    network = cloud.network()
    cloud.subnet(network, enable_dhcp=False)
    cloud.ports(network, 200)
    for _ in range(53):
        cloud.port(network)
    taken = {ip_address(address) for port in cloud.list("port") for address in addresses(port)}
    assert taken == set(ip_network(V4).hosts()) - {ip_address("10.0.0.1")}
    with pytest.raises(ConflictError, match="are full"):
        cloud.port(network)
    gone = cloud.list("port")[77]
    cloud.delete("port", gone)
    assert addresses(cloud.port(network)) == addresses(gone)


def test_bulk_fills_to_the_last_address(cloud: Cloud) -> None:
    network = cloud.network()
    cloud.subnet(network, enable_dhcp=False)
    with pytest.raises(ConflictError, match="are full"):
        cloud.ports(network, 254)
    assert count_rows(cloud.store, "addresses") == 0
    cloud.ports(network, 253)
    assert count_rows(cloud.store, "addresses") == 253


def test_exact_wins_over_free_choice_in_one_request(cloud: Cloud) -> None:
    network = cloud.network()
    cloud.subnet(network, "10.0.0.0/29", enable_dhcp=False)
    wish = {"network_id": network["id"]}
    named = [{**wish, "fixed_ips": fixed(f"10.0.0.{n}")} for n in (2, 3, 4, 5)]
    made = cloud.store.create(ALICE, "port", [wish, *named]).objects
    assert [addresses(port) for port in made] == [[f"10.0.0.{n}"] for n in (6, 2, 3, 4, 5)]


def test_same_exact_address_twice_in_one_request(cloud: Cloud) -> None:
    network = cloud.network()
    cloud.subnet(network)
    with pytest.raises(ConflictError, match="already belongs"):
        cloud.ports(network, 2, fixed_ips=fixed("10.0.0.9"))


def test_change_replaces_the_list(cloud: Cloud) -> None:
    network = cloud.network()
    first, second = cloud.subnet(network), cloud.subnet(network, "10.0.1.0/24")
    port = cloud.port(network, fixed_ips=fixed("10.0.0.9", "10.0.0.10", "10.0.1.9"))
    kept = cloud.update("port", port, fixed_ips=fixed("10.0.1.9", "10.0.0.10", "10.0.0.11"))
    assert addresses(kept) == ["10.0.1.9", "10.0.0.10", "10.0.0.11"]
    assert cloud.port(network, fixed_ips=fixed("10.0.0.9"))
    by_subnet = cloud.update("port", port, fixed_ips=fixed(second, first, first))
    assert addresses(by_subnet) == ["10.0.1.9", "10.0.0.10", "10.0.0.11"]
    mixed = cloud.update("port", port, fixed_ips=fixed(first, "10.0.0.10"))
    assert addresses(mixed) == ["10.0.0.11", "10.0.0.10"]
    assert cloud.update("port", port, fixed_ips=mixed["fixed_ips"])["revision_number"] == mixed["revision_number"]
    assert cloud.update("port", port, fixed_ips=[])["fixed_ips"] == []
    assert len(addresses(cloud.update("port", port, fixed_ips=fixed(first, first)))) == 2


def test_free_choice_leaves_what_the_same_change_names(cloud: Cloud) -> None:
    network = cloud.network()
    subnet = cloud.subnet(network, enable_dhcp=False, allocation_pools=[pool("10.0.0.2", "10.0.0.3")])
    for _ in range(10):
        port = cloud.port(network, fixed_ips=[])
        assert addresses(cloud.update("port", port, fixed_ips=fixed(subnet, "10.0.0.2"))) == ["10.0.0.3", "10.0.0.2"]
        cloud.delete("port", port)


def test_pools_changed_under_addresses(cloud: Cloud) -> None:
    network = cloud.network()
    subnet = cloud.subnet(network, enable_dhcp=False, allocation_pools=[pool("10.0.0.10", "10.0.0.10")])
    port = cloud.port(network)
    cloud.update("subnet", subnet, allocation_pools=[pool("10.0.0.20", "10.0.0.20")])
    assert addresses(cloud.port(network)) == ["10.0.0.20"]
    assert addresses(cloud.update("port", port, fixed_ips=fixed(subnet))) == ["10.0.0.10"]


# ---------------------------------------------------------------------------------- addresses that follow from the MAC


@pytest.mark.parametrize("mode", ("slaac", "dhcpv6-stateless"))
@pytest.mark.parametrize("which", ("ipv6_ra_mode", "ipv6_address_mode"))
def test_automatic_modes(cloud: Cloud, mode: str, which: str) -> None:
    network = cloud.network()
    cloud.subnet(network, V6, **{which: mode})
    assert addresses(cloud.port(network, mac_address=MAC)) == [EUI]


def test_stateful_is_not_automatic(cloud: Cloud) -> None:
    network = cloud.network()
    cloud.subnet(network, V6, ipv6_ra_mode="dhcpv6-stateful", ipv6_address_mode="dhcpv6-stateful")
    assert addresses(cloud.port(network, mac_address=MAC)) != [EUI]


def test_automatic_address_cannot_be_chosen(cloud: Cloud) -> None:
    network = cloud.network()
    four, six = cloud.subnet(network), cloud.subnet(network, V6, **SLAAC)
    for entries in (fixed(six), fixed(EUI), [{"subnet_id": six["id"], "ip_address": EUI}]):
        port = cloud.port(network, mac_address=MAC, fixed_ips=entries)
        assert addresses(port) == [EUI]
        cloud.delete("port", port)
    with pytest.raises(InvalidError, match=f"{EUI} with {MAC}") as refused:
        cloud.port(network, mac_address=MAC, fixed_ips=fixed("fd00::5"))
    assert refused.value.kind == "AllocationOnAutoAddressSubnet"
    with pytest.raises(InvalidError, match="twice"):
        cloud.port(network, mac_address=MAC, fixed_ips=fixed(six, six))
    port = cloud.port(network, mac_address=MAC, fixed_ips=fixed(four))
    assert addresses(port)[1:] == [EUI]
    assert addresses(cloud.update("port", port, fixed_ips=fixed("10.0.0.9"))) == ["10.0.0.9", EUI]


def test_automatic_address_follows_the_mac(cloud: Cloud) -> None:
    network = cloud.network()
    cloud.subnet(network)
    cloud.subnet(network, V6, **SLAAC)
    port = cloud.port(network, mac_address=MAC)
    moved = cloud.update("port", port, mac_address="fa:16:3e:00:00:02")
    assert addresses(moved) == [addresses(port)[0], "fd00::f816:3eff:fe00:2"]
    sent_back = cloud.update("port", port, mac_address=MAC, fixed_ips=moved["fixed_ips"])
    assert addresses(sent_back) == addresses(port)
    assert count_rows(cloud.store, "addresses") == 3
