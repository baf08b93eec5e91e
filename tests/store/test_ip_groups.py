# SPDX-License-Identifier: Apache-2.0
"""IP groups: whose address, whose members, and who holds it."""

from __future__ import annotations

import pytest
from netaddr import EUI, IPAddress

from sdnctl.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from sdnctl.model.ip_group import IpGroup
from sdnctl.store import Settings, Store
from tests.store.cloud import ADMIN, ALICE, BOB, NOVA, NOWHERE, READER, SLAAC, V6, Cloud, Object

ADDRESS = "10.0.0.200"
POOL = [{"start": "10.0.0.2", "end": "10.0.0.199"}]
"""What ports take their addresses from, so that none has that one by chance."""


def made(cloud: Cloud, count: int = 2, **body: object) -> tuple[Object, Object, list[Object]]:
    """A network with subnets of both versions, some ports, and a group of all of them."""
    network = cloud.network()
    cloud.subnet(network, allocation_pools=POOL)
    cloud.subnet(network, V6)
    ports = [cloud.port(network) for _ in range(count)]
    wish = {"ip_address": ADDRESS, "port_ids": [port["id"] for port in ports], **body}
    return network, cloud.create("ip_group", network_id=network["id"], **wish), ports


def test_a_group_as_it_is_made(cloud: Cloud) -> None:
    network, group, ports = made(cloud, name="vip", tags=["blue"])
    assert group["ip_address"] == ADDRESS
    assert group["port_ids"] == sorted(port["id"] for port in ports)
    assert (group["active"], group["holder"], group["virtual_mac"], group["vrrp"]) == ("auto", None, None, False)
    assert (group["network_id"], group["project_id"], group["tags"]) == (network["id"], "alice-project", ["blue"])
    assert cloud.get("ip_group", group) == group
    found = cloud.store.load().ip_groups
    assert found == (
        IpGroup(
            id=group["id"],
            key=found[0].key,
            network_id=network["id"],
            project_id="alice-project",
            name="vip",
            address=IPAddress(ADDRESS),
            members=tuple(sorted(port["id"] for port in ports)),
        ),
    )
    assert cloud.store.fetch("ip_group", [group["id"]]) == {group["id"]: found[0]}


def test_without_an_address_a_free_one_is_taken(cloud: Cloud) -> None:
    network = cloud.network()
    cloud.subnet(network, "10.0.0.0/29", enable_dhcp=False)
    groups = [cloud.create("ip_group", network_id=network["id"]) for _ in range(3)]
    ports = cloud.ports(network, 2)
    taken = [group["ip_address"] for group in groups] + [port["fixed_ips"][0]["ip_address"] for port in ports]
    assert sorted(taken) == [f"10.0.0.{n}" for n in range(2, 7)]
    with pytest.raises(ConflictError, match="No more IP addresses"):
        cloud.create("ip_group", network_id=network["id"])


def test_nobody_gets_the_address_of_a_group(cloud: Cloud) -> None:
    network, group, _ = made(cloud)
    with pytest.raises(ConflictError, match=f"already belongs to IP group {group['id']}"):
        cloud.port(network, fixed_ips=[{"ip_address": ADDRESS}])
    with pytest.raises(ConflictError, match=f"already belongs to IP group {group['id']}"):
        cloud.create("ip_group", network_id=network["id"], ip_address=ADDRESS)
    port = cloud.port(network)
    with pytest.raises(ConflictError, match=f"already belongs to port {port['id']}"):
        cloud.create("ip_group", network_id=network["id"], ip_address=port["fixed_ips"][0]["ip_address"])
    cloud.delete("ip_group", group)
    assert cloud.port(network, fixed_ips=[{"ip_address": ADDRESS}])


def test_two_groups_of_one_request_want_one_address(cloud: Cloud) -> None:
    network = cloud.network()
    cloud.subnet(network)
    body = {"network_id": network["id"], "ip_address": ADDRESS}
    with pytest.raises(ConflictError, match="already belongs to IP group"):
        cloud.store.create(ALICE, "ip_group", [body, body])
    assert cloud.list("ip_group") == []


@pytest.mark.parametrize(
    ("address", "why"),
    (
        ("10.0.0.0", "network or broadcast"),
        ("10.0.0.255", "network or broadcast"),
        ("10.0.0.1", "is the gateway"),
        ("10.1.0.5", "in no subnet"),
        ("fd01::5", "in no subnet"),
        ("fe80::f816:3eff:fe00:1", "follows from a MAC"),
        ("224.0.0.5", "in no subnet"),
    ),
)
def test_addresses_that_cannot_be(cloud: Cloud, address: str, why: str) -> None:
    network = cloud.network()
    cloud.subnet(network)
    with pytest.raises(InvalidError, match=rf"^ip_address: {address}.*{why}"):
        cloud.create("ip_group", network_id=network["id"], ip_address=address)
    assert cloud.list("ip_group") == []


@pytest.mark.parametrize("address", ("0.0.0.1", "127.0.0.1", "224.0.0.5", "255.255.255.255", "::", "::1", "ff02::5"))
def test_addresses_of_no_station(cloud: Cloud, address: str) -> None:
    with pytest.raises(InvalidError, match="no station's address"):
        cloud.create("ip_group", network_id=cloud.network()["id"], ip_address=address)


def test_address_that_slaac_could_give(cloud: Cloud) -> None:
    network = cloud.network()
    cloud.subnet(network, V6, **SLAAC)
    with pytest.raises(InvalidError, match="follows from a MAC address"):
        cloud.create("ip_group", network_id=network["id"], ip_address="fd00::f816:3eff:fe00:1")
    assert cloud.create("ip_group", network_id=network["id"], ip_address="fd00::5")


def test_link_local_and_networks_without_subnets(cloud: Cloud) -> None:
    network = cloud.network()
    groups = [cloud.create("ip_group", network_id=network["id"], ip_address=one) for one in ("fe80::1", "10.0.0.9")]
    with pytest.raises(InvalidError, match=r"^ip_address: network .* has no subnet"):
        cloud.create("ip_group", network_id=network["id"])
    with pytest.raises(InvalidError, match=r"^cidr: the address of IP group .* is the gateway"):
        cloud.subnet(network, "10.0.0.8/29")
    outer = cloud.create("ip_group", network_id=network["id"], ip_address="10.0.1.255")
    with pytest.raises(InvalidError, match=r"^cidr: the address of IP group .* network or broadcast"):
        cloud.subnet(network, "10.0.0.0/23")
    cloud.delete("ip_group", outer)
    cloud.subnet(network)
    taken = [port["fixed_ips"][0]["ip_address"] for port in cloud.ports(network, 20)]
    assert "10.0.0.9" not in taken
    assert [one["ip_address"] for one in groups] == ["fe80::1", "10.0.0.9"]


def test_what_an_address_hangs_on_stays(cloud: Cloud) -> None:
    network = cloud.network()
    subnet = cloud.subnet(network)
    group = cloud.create("ip_group", network_id=network["id"], ip_address=ADDRESS)
    with pytest.raises(ConflictError, match=group["id"]):
        cloud.delete("subnet", subnet)
    with pytest.raises(ConflictError, match=group["id"]):
        cloud.delete("network", network)
    with pytest.raises(ConflictError, match=rf"^gateway_ip: {ADDRESS} is the address of IP group"):
        cloud.update("subnet", subnet, gateway_ip=ADDRESS, allocation_pools=[])
    cloud.delete("ip_group", group)
    cloud.delete("network", network)


def test_members_are_own_ports_of_the_network(cloud: Cloud) -> None:
    network, group, ports = made(cloud)
    elsewhere = cloud.port(cloud.network())
    with pytest.raises(InvalidError, match=rf"^port_ids: port {elsewhere['id']} is on network"):
        cloud.update("ip_group", group, port_ids=[elsewhere["id"]])
    with pytest.raises(NotFoundError):
        cloud.update("ip_group", group, port_ids=[NOWHERE])
    server = cloud.dhcp_port(network)
    assert server is not None
    with pytest.raises(InvalidError, match="the network's own"):
        cloud.update("ip_group", group, ADMIN, port_ids=[server["id"]])
    assert cloud.get("ip_group", group) == group
    fewer = cloud.update("ip_group", group, port_ids=[ports[0]["id"]])
    assert fewer["port_ids"] == [ports[0]["id"]]
    assert fewer["revision_number"] == 2
    assert [one["id"] for one in cloud.list("ip_group", port_ids=ports[0]["id"])] == [group["id"]]
    assert cloud.list("ip_group", port_ids=ports[1]["id"]) == []


def test_only_an_admin_takes_ports_of_others(cloud: Cloud) -> None:
    network = cloud.network(ADMIN, shared=True)
    cloud.subnet(network, ctx=ADMIN, allocation_pools=POOL)
    mine, theirs = cloud.port(network, ALICE), cloud.port(network, BOB)
    group = cloud.create("ip_group", ALICE, network_id=network["id"], port_ids=[mine["id"]])
    with pytest.raises(NotFoundError):
        cloud.update("ip_group", group, ALICE, port_ids=[mine["id"], theirs["id"]])
    both = cloud.update("ip_group", group, ADMIN, port_ids=[mine["id"], theirs["id"]])
    # What an admin put in may stay when the owner changes something else, or goes when they take it out.
    assert cloud.update("ip_group", both, ALICE, port_ids=both["port_ids"], name="x")["port_ids"] == both["port_ids"]
    assert cloud.update("ip_group", both, ALICE, port_ids=[mine["id"]])["port_ids"] == [mine["id"]]
    own_network = cloud.network(shared=False)
    cloud.subnet(own_network)
    foreign = cloud.port(own_network, ADMIN)
    with pytest.raises(ForbiddenError, match="belongs to another project"):
        cloud.create("ip_group", ALICE, network_id=own_network["id"], port_ids=[foreign["id"]])


def test_on_anothers_network_the_address_and_vrrp_are_its_owners(cloud: Cloud) -> None:
    network = cloud.network(ADMIN, shared=True)
    cloud.subnet(network, ctx=ADMIN, allocation_pools=POOL)
    for body in ({"ip_address": ADDRESS}, {"vrrp": True}):
        with pytest.raises(ForbiddenError, match=rf"^{next(iter(body))}: only the owner"):
            cloud.create("ip_group", BOB, network_id=network["id"], **body)
    group = cloud.create("ip_group", BOB, network_id=network["id"])
    with pytest.raises(ForbiddenError, match=r"^vrrp: only the owner"):
        cloud.update("ip_group", group, BOB, vrrp=True)
    assert cloud.update("ip_group", group, ADMIN, vrrp=True)["vrrp"] is True
    assert cloud.create("ip_group", NOVA, network_id=network["id"], ip_address=ADDRESS)
    private = cloud.network()
    cloud.subnet(private)
    with pytest.raises(NotFoundError):
        cloud.create("ip_group", BOB, network_id=private["id"])


def test_others_see_nothing_of_it(cloud: Cloud) -> None:
    _, group, _ = made(cloud)
    assert cloud.list("ip_group", BOB) == []
    for attempt in (cloud.get, cloud.delete):
        with pytest.raises(NotFoundError):
            attempt("ip_group", group, BOB)
    with pytest.raises(NotFoundError):
        cloud.update("ip_group", group, BOB, name="mine")
    with pytest.raises(ForbiddenError):
        cloud.update("ip_group", group, READER, name="x")


def test_pinned_member_holds_it(cloud: Cloud) -> None:
    network, group, (first, second) = made(cloud)
    with pytest.raises(InvalidError, match=rf"^active: {NOWHERE} is not among port_ids"):
        cloud.update("ip_group", group, active=NOWHERE)
    pinned = cloud.update("ip_group", group, active=first["id"])
    assert (pinned["active"], pinned["holder"]) == (first["id"], first["id"])
    with pytest.raises(InvalidError, match=r"^active: .* is not among port_ids"):
        cloud.update("ip_group", group, port_ids=[second["id"]])
    assert cloud.store.move_holder(group["id"], second["id"], None) is None
    assert cloud.get("ip_group", group) == pinned
    free = cloud.update("ip_group", group, active="auto")
    assert free["holder"] == first["id"]
    made_pinned = cloud.create("ip_group", network_id=network["id"], port_ids=[first["id"]], active=first["id"])
    assert made_pinned["holder"] == first["id"]


def test_announcement_moves_the_holder_in_one_entry(cloud: Cloud) -> None:
    _, group, (first, second) = made(cloud)
    before = cloud.store.revision()
    assert cloud.store.move_holder(group["id"], first["id"], None) == before + 1
    assert cloud.store.move_holder(group["id"], first["id"], None) is None
    cloud.store.move_holder(group["id"], second["id"], None)
    cloud.store.move_holder(group["id"], None, None)
    assert [(kind, changes["holder"]) for kind, _, _, changes in cloud.entries(before)] == [
        ("ip_group", [None, first["id"]]),
        ("ip_group", [first["id"], second["id"]]),
        ("ip_group", [second["id"], None]),
    ]
    assert cloud.get("ip_group", group)["revision_number"] == 4


def test_announcement_that_is_void_writes_nothing(cloud: Cloud) -> None:
    network, group, _ = made(cloud)
    stranger = cloud.port(network)
    before = cloud.store.revision()
    assert cloud.store.move_holder(group["id"], stranger["id"], None) is None
    assert cloud.store.move_holder(NOWHERE, stranger["id"], None) is None
    assert cloud.store.revision() == before


def test_virtual_mac_only_with_vrrp(cloud: Cloud) -> None:
    _, group, (first, second) = made(cloud)
    virtual = EUI("00:00:5e:00:01:33")
    cloud.store.move_holder(group["id"], first["id"], virtual)
    assert cloud.get("ip_group", group)["virtual_mac"] is None
    cloud.update("ip_group", group, vrrp=True)
    cloud.store.move_holder(group["id"], second["id"], virtual)
    assert cloud.get("ip_group", group)["virtual_mac"] == "00:00:5e:00:01:33"
    assert cloud.store.load().ip_groups[0].virtual_mac == virtual
    assert cloud.update("ip_group", group, vrrp=False)["virtual_mac"] is None


def test_deleted_port_drops_out_in_the_same_transaction(cloud: Cloud) -> None:
    _, group, (first, second) = made(cloud)
    cloud.store.move_holder(group["id"], first["id"], None)
    before = cloud.store.revision()
    cloud.delete("port", first)
    assert {(kind, operation) for kind, _, operation, _ in cloud.entries(before)} == {
        ("port", "delete"),
        ("ip_group", "update"),
    }
    left = cloud.get("ip_group", group)
    assert (left["port_ids"], left["holder"], left["active"]) == ([second["id"]], None, "auto")
    cloud.update("ip_group", group, active=second["id"])
    cloud.delete("port", second)
    left = cloud.get("ip_group", group)
    assert (left["port_ids"], left["holder"], left["active"]) == ([], None, "auto")


def test_member_that_leaves_holds_nothing(cloud: Cloud) -> None:
    _, group, (first, second) = made(cloud)
    cloud.store.move_holder(group["id"], first["id"], None)
    assert cloud.update("ip_group", group, name="x")["holder"] == first["id"]
    assert cloud.update("ip_group", group, port_ids=[second["id"]])["holder"] is None


def test_port_may_be_in_several_groups(cloud: Cloud) -> None:
    network, _, (first, _second) = made(cloud)
    other = cloud.create("ip_group", network_id=network["id"], ip_address="fd00::99", port_ids=[first["id"]])
    assert len(cloud.list("ip_group", port_ids=first["id"])) == 2
    cloud.delete("port", first)
    assert cloud.get("ip_group", other)["port_ids"] == []


def test_quota(url: str) -> None:
    store = Store.open(url, Settings(quotas={"ip_group": 1}))
    cloud = Cloud(store)
    network = cloud.network()
    cloud.subnet(network)
    cloud.create("ip_group", network_id=network["id"])
    with pytest.raises(ConflictError, match=r"quota\.ip_group"):
        cloud.create("ip_group", network_id=network["id"])
    assert len(cloud.list("ip_group")) == 1
    store.close()


def test_keys_are_no_security_groups(cloud: Cloud) -> None:
    """Both number the same things in flows."""
    made(cloud)
    contents = cloud.store.load()
    keys = [one.key for one in (*contents.security_groups, *contents.address_groups, *contents.ip_groups)]
    assert len(set(keys)) == len(keys) == 2
