# SPDX-License-Identifier: Apache-2.0
"""Subnets: ranges, gateways, pools, modes, and the DHCP port that follows them."""

from __future__ import annotations

import pytest

from sdnctl.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from sdnctl.store import Store
from tests.store.cloud import ADMIN, ALICE, BOB, NOWHERE, SLAAC, V4, V6, Cloud, addresses, count_rows


def pools(subnet: dict[str, list[dict[str, str]]]) -> list[tuple[str, str]]:
    return [(pool["start"], pool["end"]) for pool in subnet["allocation_pools"]]


def pool(start: str, end: str) -> dict[str, str]:
    return {"start": start, "end": end}


@pytest.mark.parametrize(
    ("cidr", "gateway", "expected"),
    (
        ("10.0.0.0/24", "10.0.0.1", [("10.0.0.2", "10.0.0.254")]),
        ("10.0.0.0/30", "10.0.0.1", [("10.0.0.2", "10.0.0.2")]),
        ("fd00::/64", "fd00::", [("fd00::1", "fd00::ffff:ffff:ffff:ffff")]),
        ("fd00::/126", "fd00::", [("fd00::1", "fd00::3")]),
    ),
)
def test_defaults(cloud: Cloud, cidr: str, gateway: str, expected: list[tuple[str, str]]) -> None:
    network = cloud.network()
    subnet = cloud.subnet(network, cidr, name="s")
    assert (subnet["cidr"], subnet["gateway_ip"], pools(subnet)) == (cidr, gateway, expected)
    assert (subnet["enable_dhcp"], subnet["dns_nameservers"], subnet["host_routes"]) == (True, [], [])
    assert (subnet["ipv6_ra_mode"], subnet["ipv6_address_mode"], subnet["subnetpool_id"]) == (None, None, None)
    assert cloud.get("subnet", subnet) == subnet
    assert cloud.get("network", network)["subnets"] == [subnet["id"]]


@pytest.mark.parametrize(
    ("cidr", "gateway", "expected"),
    (
        ("10.0.0.0/31", "10.0.0.1", [("10.0.0.0", "10.0.0.0")]),
        ("10.0.0.7/32", None, [("10.0.0.7", "10.0.0.7")]),
        ("fd00::/127", "fd00::", [("fd00::1", "fd00::1")]),
        ("fd00::7/128", None, [("fd00::7", "fd00::7")]),
    ),
)
def test_smallest(cloud: Cloud, cidr: str, gateway: str | None, expected: list[tuple[str, str]]) -> None:
    """They have no room for a DHCP server, and no network address."""
    with pytest.raises(InvalidError, match="too small for DHCP"):
        cloud.subnet(cloud.network(), cidr)
    subnet = cloud.subnet(cloud.network(), cidr, enable_dhcp=False)
    assert (subnet["gateway_ip"], pools(subnet)) == (gateway, expected)
    with pytest.raises(InvalidError, match="too small for DHCP"):
        cloud.update("subnet", subnet, enable_dhcp=True)


def test_host_bits_are_cleared(cloud: Cloud) -> None:
    assert cloud.subnet(cloud.network(), "10.6.0.7/24")["cidr"] == "10.6.0.0/24"


@pytest.mark.parametrize(
    ("body", "says"),
    (
        ({"cidr": None}, "cidr is required"),
        ({"cidr": "x"}, "is not a CIDR"),
        ({"cidr": "10.0.0.0/33"}, "is not a CIDR"),
        ({"cidr": "0.0.0.0/0"}, "give a longer prefix"),
        ({"cidr": "224.0.0.0/24"}, "multicast"),
        ({"cidr": "127.0.0.0/24"}, "loopback"),
        ({"cidr": "fe80::/64", "ip_version": 6}, "link-local"),
        ({"cidr": "10.0.0.0/24", "ip_version": 6}, "give ip_version 4"),
        ({"subnetpool_id": NOWHERE}, "there are no subnet pools"),
        ({"gateway_ip": "fd00::1"}, "is not IPv4"),
        ({"gateway_ip": "10.0.0.0"}, "network or broadcast"),
        ({"gateway_ip": "10.0.0.255"}, "network or broadcast"),
        ({"gateway_ip": "224.0.0.1"}, "no station's"),
        ({"ipv6_ra_mode": "slaac"}, "an IPv4 subnet has no such mode"),
        ({"cidr": V6, "ip_version": 6, "ipv6_ra_mode": "slaac", "ipv6_address_mode": "dhcpv6-stateful"}, "differ"),
        ({"cidr": V6, **SLAAC, "enable_dhcp": False}, "not possible with enable_dhcp false"),
        ({"cidr": "fd00::/80", **SLAAC}, "must be a /64"),
        ({"cidr": "fd00::/80", "ip_version": 6, "ipv6_address_mode": "dhcpv6-stateless"}, "must be a /64"),
        ({"cidr": V6, "ip_version": 6, "ipv6_ra_mode": "magic"}, "dhcpv6-stateful, dhcpv6-stateless, slaac"),
        ({"dns_nameservers": ["x"]}, r"dns_nameservers\[0\]: 'x' is not an IP address"),
        ({"dns_nameservers": ["8.8.8.8", "8.8.8.8"]}, "twice"),
        ({"dns_nameservers": [f"8.8.8.{n}" for n in range(6)]}, "at most 5"),
        ({"host_routes": [{"destination": "x", "nexthop": "10.0.0.9"}]}, r"host_routes\[0\].destination"),
        ({"host_routes": [{"destination": "fd01::/64", "nexthop": "10.0.0.9"}]}, "not IPv4 like the subnet"),
        ({"host_routes": [{"destination": "10.9.0.0/16", "nexthop": "10.0.0.9"}] * 2}, "twice"),
        ({"host_routes": [{"destination": f"10.{n}.0.0/16", "nexthop": "10.0.0.9"} for n in range(21)]}, "at most 20"),
        ({"allocation_pools": [pool("10.0.0.9", "10.0.0.5")]}, "exchange them"),
        ({"allocation_pools": [pool("10.0.0.0", "10.0.0.5")]}, "stay within 10.0.0.1 and 10.0.0.254"),
        ({"allocation_pools": [pool("10.0.0.9", "10.0.0.255")]}, "stay within 10.0.0.1 and 10.0.0.254"),
        ({"allocation_pools": [pool("10.0.0.9", "10.0.1.5")]}, "stay within"),
        ({"allocation_pools": [pool("fd00::1", "fd00::5")]}, "is not IPv4"),
    ),
)
def test_impossible_is_refused(cloud: Cloud, body: dict[str, object], says: str) -> None:
    network = cloud.network()
    before = cloud.store.revision()
    with pytest.raises(InvalidError, match=says):
        cloud.subnet(network, **body) if "cidr" not in body else cloud.create(
            "subnet", **{"network_id": network["id"], "ip_version": 4, **body}
        )
    assert count_rows(cloud.store, "subnets") == 0
    assert cloud.store.revision() == before


def test_gateway(cloud: Cloud) -> None:
    network = cloud.network()
    none = cloud.subnet(network, "10.1.0.0/24", gateway_ip=None)
    assert (none["gateway_ip"], pools(none)) == (None, [("10.1.0.1", "10.1.0.254")])
    middle = cloud.subnet(network, "10.2.0.0/24", gateway_ip="10.2.0.100")
    assert pools(middle) == [("10.2.0.1", "10.2.0.99"), ("10.2.0.101", "10.2.0.254")]
    outside = cloud.subnet(network, "10.3.0.0/24", gateway_ip="192.0.2.1")
    assert (outside["gateway_ip"], pools(outside)) == ("192.0.2.1", [("10.3.0.1", "10.3.0.254")])


def test_gateway_in_a_pool(cloud: Cloud) -> None:
    wanted = [pool("10.0.0.5", "10.0.0.9")]
    with pytest.raises(ConflictError, match=r"10\.0\.0\.7 conflicts with allocation pool") as refused:
        cloud.subnet(cloud.network(), gateway_ip="10.0.0.7", allocation_pools=wanted)
    assert refused.value.kind == "GatewayConflictWithAllocationPools"
    subnet = cloud.subnet(cloud.network(), allocation_pools=wanted)
    with pytest.raises(ConflictError):
        cloud.update("subnet", subnet, gateway_ip="10.0.0.7")
    with pytest.raises(ConflictError):
        cloud.update("subnet", subnet, allocation_pools=[pool("10.0.0.1", "10.0.0.4")])
    both = cloud.update("subnet", subnet, gateway_ip="10.0.0.7", allocation_pools=[pool("10.0.0.10", "10.0.0.20")])
    assert (both["gateway_ip"], pools(both)) == ("10.0.0.7", [("10.0.0.10", "10.0.0.20")])


def test_pools_are_sorted_and_disjoint(cloud: Cloud) -> None:
    wanted = [pool("10.0.0.20", "10.0.0.29"), pool("10.0.0.5", "10.0.0.9")]
    subnet = cloud.subnet(cloud.network(), allocation_pools=wanted)
    assert pools(subnet) == [("10.0.0.5", "10.0.0.9"), ("10.0.0.20", "10.0.0.29")]
    with pytest.raises(ConflictError, match=r"10\.0\.0\.9") as refused:
        cloud.subnet(cloud.network(), allocation_pools=[*wanted, pool("10.0.0.9", "10.0.0.12")])
    assert refused.value.kind == "OverlappingAllocationPools"


def test_overlap(cloud: Cloud) -> None:
    network = cloud.network()
    first = cloud.subnet(network, "10.0.0.0/24")
    for cidr in ("10.0.0.0/24", "10.0.0.128/25", "10.0.0.0/16"):
        with pytest.raises(InvalidError, match=f"overlaps with 10.0.0.0/24 of subnet {first['id']}"):
            cloud.subnet(network, cidr)
    cloud.subnet(network, "10.0.1.0/24")
    cloud.subnet(network, V6)
    cloud.subnet(cloud.network(), "10.0.0.0/24")


def test_options(cloud: Cloud) -> None:
    subnet = cloud.subnet(
        cloud.network(),
        dns_nameservers=["8.8.8.8", "2001:4860:4860::8888"],
        host_routes=[{"destination": "10.9.1.2/16", "nexthop": "10.0.0.9"}],
        service_types=["compute:nova"],
        description="d",
        tags=["b", "a"],
    )
    assert subnet["dns_nameservers"] == ["8.8.8.8", "2001:4860:4860::8888"]
    assert subnet["host_routes"] == [{"destination": "10.9.0.0/16", "nexthop": "10.0.0.9"}]
    assert (subnet["service_types"], subnet["description"], subnet["tags"]) == (["compute:nova"], "d", ["a", "b"])
    cleared = cloud.update("subnet", subnet, dns_nameservers=[], host_routes=None, service_types=[])
    assert (cleared["dns_nameservers"], cleared["host_routes"], cleared["service_types"]) == ([], [], [])


def test_change_of_a_subnet_is_one_of_its_network(cloud: Cloud) -> None:
    network = cloud.network()
    subnet = cloud.subnet(network)
    assert cloud.get("network", network)["revision_number"] == 2
    cloud.update("subnet", subnet, name="n")
    assert cloud.get("network", network)["revision_number"] == 3
    cloud.update("subnet", subnet, name="n")
    assert cloud.get("network", network)["revision_number"] == 3
    cloud.delete("subnet", subnet)
    assert cloud.get("network", network)["revision_number"] == 4


def test_only_the_owner_of_the_network(cloud: Cloud) -> None:
    network = cloud.network()
    with pytest.raises(NotFoundError) as refused:
        cloud.subnet(network, ctx=BOB)
    assert refused.value.kind == "NetworkNotFound"
    with pytest.raises(NotFoundError):
        cloud.subnet({"id": NOWHERE})
    subnet = cloud.subnet(network, ctx=ADMIN)
    assert subnet["project_id"] == "admin-project"
    assert cloud.update("subnet", subnet, name="mine")["name"] == "mine"
    for attempt in (
        lambda: cloud.get("subnet", subnet, BOB),
        lambda: cloud.update("subnet", subnet, BOB, name="x"),
        lambda: cloud.delete("subnet", subnet, BOB),
    ):
        with pytest.raises(NotFoundError) as refused:
            attempt()
        assert refused.value.kind == "SubnetNotFound"
    cloud.update("network", network, ADMIN, shared=True)
    assert cloud.get("subnet", subnet, BOB)["name"] == "mine"
    for attempt in (
        lambda: cloud.update("subnet", subnet, BOB, name="x"),
        lambda: cloud.delete("subnet", subnet, BOB),
        lambda: cloud.store.replace_tags(BOB, "subnet", subnet["id"], ["x"]),
    ):
        with pytest.raises(ForbiddenError):
            attempt()


@pytest.mark.parametrize("name", ("cidr", "ip_version", "ipv6_ra_mode", "network_id", "project_id"))
def test_fixed_attributes(cloud: Cloud, name: str) -> None:
    with pytest.raises(InvalidError, match=name):
        cloud.update("subnet", cloud.subnet(cloud.network()), **{name: 4})


def test_delete_with_addresses_in_use(cloud: Cloud) -> None:
    network = cloud.network()
    subnet = cloud.subnet(network)
    port = cloud.port(network)
    with pytest.raises(ConflictError, match=port["id"]) as refused:
        cloud.delete("subnet", subnet)
    assert refused.value.kind == "SubnetInUse"
    cloud.update("port", port, fixed_ips=[])
    cloud.delete("subnet", subnet)
    assert cloud.get("network", network)["subnets"] == []


def test_bulk(cloud: Cloud) -> None:
    network, other = cloud.network(), cloud.network()

    def body(where: dict[str, object], cidr: str) -> dict[str, object]:
        return {"network_id": where["id"], "ip_version": 4, "cidr": cidr}

    made = cloud.store.create(ALICE, "subnet", [body(network, V4), body(other, V4), body(network, "10.0.1.0/24")])
    assert [subnet["cidr"] for subnet in made.objects] == [V4, V4, "10.0.1.0/24"]
    with pytest.raises(InvalidError, match="overlaps"):
        cloud.store.create(ALICE, "subnet", [body(other, "10.0.2.0/24"), body(other, "10.0.2.128/25")])
    assert len(cloud.list("subnet")) == 3


# ------------------------------------------------------------------------------------------------------ the DHCP port


def test_dhcp_port_follows_the_subnets(cloud: Cloud) -> None:
    network = cloud.network()
    assert cloud.dhcp_port(network) is None
    first = cloud.subnet(network, "10.0.0.0/24")
    port = cloud.dhcp_port(network)
    assert port is not None
    assert addresses(port) == ["10.0.0.2"]
    assert (port["device_owner"], port["project_id"], port["status"]) == ("network:dhcp", "", "ACTIVE")
    second = cloud.subnet(network, "10.0.1.0/24", allocation_pools=[pool("10.0.1.50", "10.0.1.60")])
    assert addresses(cloud.dhcp_port(network) or {}) == ["10.0.0.2", "10.0.1.50"]
    cloud.subnet(network, "10.0.2.0/24", enable_dhcp=False)
    cloud.subnet(network, V6)
    grown = cloud.dhcp_port(network)
    assert grown is not None
    assert (grown["id"], addresses(grown)) == (port["id"], ["10.0.0.2", "10.0.1.50"])
    cloud.update("subnet", first, enable_dhcp=False)
    assert addresses(cloud.dhcp_port(network) or {}) == ["10.0.1.50"]
    cloud.delete("subnet", second)
    assert cloud.dhcp_port(network) is None
    cloud.update("subnet", first, enable_dhcp=True)
    assert addresses(cloud.dhcp_port(network) or {}) == ["10.0.0.2"]


def test_dhcp_port_takes_the_lowest_free_address(cloud: Cloud) -> None:
    network = cloud.network()
    subnet = cloud.subnet(network, enable_dhcp=False)
    for address in ("10.0.0.2", "10.0.0.3", "10.0.0.5"):
        cloud.port(network, fixed_ips=[{"ip_address": address}])
    cloud.update("subnet", subnet, enable_dhcp=True)
    assert addresses(cloud.dhcp_port(network) or {}) == ["10.0.0.4"]
    assert addresses(cloud.port(network)) != ["10.0.0.4"]


@pytest.mark.parametrize("wanted", ([], [pool("10.0.0.9", "10.0.0.9")]))
def test_dhcp_port_beside_full_or_empty_pools(cloud: Cloud, wanted: list[dict[str, str]]) -> None:
    network = cloud.network()
    subnet = cloud.subnet(network, enable_dhcp=False, allocation_pools=wanted)
    if wanted:
        cloud.port(network)
    cloud.update("subnet", subnet, enable_dhcp=True)
    assert addresses(cloud.dhcp_port(network) or {}) == ["10.0.0.2"]


def test_no_room_for_the_dhcp_port(cloud: Cloud) -> None:
    network = cloud.network()
    subnet = cloud.subnet(network, "10.0.0.0/30", enable_dhcp=False)
    cloud.port(network)
    with pytest.raises(ConflictError, match="no free address for its DHCP server") as refused:
        cloud.update("subnet", subnet, enable_dhcp=True)
    assert refused.value.kind == "IpAddressGenerationFailure"
    assert cloud.get("subnet", subnet)["enable_dhcp"] is False
    assert cloud.dhcp_port(network) is None


def test_dhcp_port_belongs_to_the_system(cloud: Cloud) -> None:
    network = cloud.network()
    cloud.subnet(network)
    port = cloud.dhcp_port(network)
    assert port is not None
    assert [found["id"] for found in cloud.list("port", ALICE)] == [port["id"]]
    assert cloud.list("port", BOB) == []
    assert cloud.list("port", ALICE, project_id="alice-project") == []
    for attempt in (
        lambda: cloud.delete("port", port),
        lambda: cloud.delete("port", port, ADMIN),
        lambda: cloud.update("port", port, fixed_ips=[]),
        lambda: cloud.update("port", port, ADMIN, device_owner=""),
    ):
        with pytest.raises(ConflictError, match="DHCP") as refused:
            attempt()
        assert refused.value.kind == "ServicePortInUse"
    assert cloud.update("port", port, name="dhcp")["name"] == "dhcp"
    with pytest.raises(InvalidError, match="network:dhcp is kept"):
        cloud.port(network, ADMIN, device_owner="network:dhcp")


def test_gateway_cannot_be_the_dhcp_server(cloud: Cloud) -> None:
    network = cloud.network()
    subnet = cloud.subnet(network)
    cloud.update("subnet", subnet, allocation_pools=[pool("10.0.0.10", "10.0.0.20")])
    assert addresses(cloud.dhcp_port(network) or {}) == ["10.0.0.2"]
    with pytest.raises(ConflictError, match="DHCP server's address"):
        cloud.update("subnet", subnet, gateway_ip="10.0.0.2")
    assert cloud.update("subnet", subnet, gateway_ip="10.0.0.3")["gateway_ip"] == "10.0.0.3"


# ---------------------------------------------------------------------------------- addresses that follow from the MAC


def test_automatic_addresses_come_and_go_with_the_subnet(cloud: Cloud) -> None:
    network = cloud.network()
    cloud.subnet(network)
    early = cloud.port(network, mac_address="fa:16:3e:00:00:01")
    subnet = cloud.subnet(network, V6, **SLAAC)
    late = cloud.port(network, mac_address="fa:16:3e:00:00:02")
    early_now = cloud.get("port", early)
    assert addresses(early_now) == [*addresses(early), "fd00::f816:3eff:fe00:1"]
    assert early_now["revision_number"] == 2
    assert addresses(late)[1:] == ["fd00::f816:3eff:fe00:2"]
    assert len(addresses(cloud.dhcp_port(network) or {})) == 1
    cloud.delete("subnet", subnet)
    assert addresses(cloud.get("port", early)) == addresses(early)
    assert addresses(cloud.get("port", late)) == addresses(late)[:1]
    assert count_rows(cloud.store, "addresses") == 3


def test_automatic_addresses_respect_service_types(cloud: Cloud) -> None:
    network = cloud.network()
    vm, other = cloud.port(network, device_owner="compute:nova"), cloud.port(network)
    cloud.subnet(network, V6, **SLAAC, service_types=["compute:nova"])
    assert len(addresses(cloud.get("port", vm))) == 1
    assert addresses(cloud.get("port", other)) == []


def test_second_network_owner_of_a_subnet(store: Store) -> None:
    """Who made a subnet on their network and then lost the network's ownership can still clean it up."""
    cloud = Cloud(store)
    network = cloud.network(ADMIN, project_id="bob-project")
    subnet = cloud.create("subnet", ADMIN, network_id=network["id"], ip_version=4, cidr=V4, project_id="alice-project")
    assert cloud.get("subnet", subnet, ALICE)["cidr"] == V4
    cloud.delete("subnet", subnet, ALICE)
