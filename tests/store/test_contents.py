# SPDX-License-Identifier: Apache-2.0
"""What the follower of the journal gets: model objects of everything, of what changed, and status back."""

from __future__ import annotations

import pytest
from netaddr import EUI, IPAddress, IPNetwork

from sdnctl.model.contents import Contents, Item
from sdnctl.model.host import Host
from sdnctl.model.ids import Revision
from sdnctl.model.network import HostRoute, Network, NetworkType, Subnet
from sdnctl.model.port import AddressPair, DhcpOption, FixedIP, Plug, Port, PortStatus
from sdnctl.store import Store, write
from tests.store.cloud import ADMIN, NOWHERE, SLAAC, V6, Cloud, Object, journal


def by_id(contents: Contents) -> dict[str, Item]:
    items = (*contents.networks, *contents.subnets, *contents.ports, *contents.hosts)
    return {item.id: item for item in (*items, *contents.security_groups, *contents.address_groups)}


def test_empty(store: Store) -> None:
    assert store.load() == Contents(revision=Revision(0))


def test_everything(cloud: Cloud) -> None:
    host = cloud.host(
        "h1", bridge_mappings={"p2": "br-2", "p1": "br-1"}, controllers=["tcp:192.0.2.9:6653"], gateway=True
    )
    network = cloud.network(ADMIN, name="blue", shared=True, dns_domain="blue.", admin_state_up=False, mtu=1300)
    vlan = cloud.network(
        ADMIN, **{"provider:network_type": "vlan", "provider:physical_network": "p1"} | {"provider:segmentation_id": 7}
    )
    subnet = cloud.subnet(
        network,
        ctx=ADMIN,
        dns_nameservers=["8.8.8.8"],
        host_routes=[{"destination": "10.9.0.0/16", "nexthop": "10.0.0.9"}],
    )
    six = cloud.subnet(network, V6, ctx=ADMIN, gateway_ip=None, **SLAAC)
    plug = {"host": "h1", "type": "tap", "interface": "vm1"}
    port = cloud.port(
        network,
        ADMIN,
        name="vm1",
        mac_address="fa:16:3e:00:00:01",
        fixed_ips=[{"ip_address": "10.0.0.9"}],
        allowed_address_pairs=[
            {"ip_address": "10.7.1.2/16"},
            {"ip_address": "::/0", "mac_address": "fa:16:3e:00:00:02"},
        ],
        extra_dhcp_opts=[{"opt_name": "mtu", "opt_value": "1400", "ip_version": 4}],
        dns_name="vm1",
        device_owner="compute:nova",
        admin_state_up=False,
        plug=plug,
        **{"binding:host_id": "h1"},
    )
    contents = cloud.store.load()
    assert contents.revision == cloud.store.revision()
    items = by_id(contents)
    found = items[host["id"]]
    assert isinstance(found, Host)
    assert found == Host(
        id=host["id"],
        key=found.key,
        name="h1",
        ovsdb="tcp:192.0.2.1:6640",
        tunnel_ip=IPAddress("192.0.2.1"),
        bridge_mappings=(("p1", "br-1"), ("p2", "br-2")),
        gateway=True,
        controllers=("tcp:192.0.2.9:6653",),
    )
    blue = items[network["id"]]
    assert isinstance(blue, Network)
    assert blue == Network(
        id=network["id"],
        key=blue.key,
        project_id="admin-project",
        name="blue",
        type=NetworkType.VXLAN,
        physical_network=None,
        segmentation_id=network["provider:segmentation_id"],
        mtu=1300,
        shared=True,
        admin_state_up=False,
        dns_domain="blue.",
    )
    tagged = items[vlan["id"]]
    assert isinstance(tagged, Network)
    assert (tagged.type, tagged.physical_network, tagged.segmentation_id) == (NetworkType.VLAN, "p1", 7)
    assert items[subnet["id"]] == Subnet(
        id=subnet["id"],
        network_id=network["id"],
        cidr=IPNetwork("10.0.0.0/24"),
        gateway_ip=IPAddress("10.0.0.1"),
        dns_nameservers=(IPAddress("8.8.8.8"),),
        host_routes=(HostRoute(IPNetwork("10.9.0.0/16"), IPAddress("10.0.0.9")),),
    )
    assert items[six["id"]] == Subnet(id=six["id"], network_id=network["id"], cidr=IPNetwork(V6), gateway_ip=None)
    vm = items[port["id"]]
    assert isinstance(vm, Port)
    assert vm == Port(
        id=port["id"],
        key=vm.key,
        network_id=network["id"],
        project_id="admin-project",
        name="vm1",
        mac=EUI("fa:16:3e:00:00:01"),
        fixed_ips=(
            FixedIP(subnet["id"], IPAddress("10.0.0.9")),
            FixedIP(six["id"], IPAddress("fd00::f816:3eff:fe00:1")),
        ),
        allowed_address_pairs=(
            AddressPair(EUI("fa:16:3e:00:00:01"), IPNetwork("10.7.0.0/16")),
            AddressPair(EUI("fa:16:3e:00:00:02"), IPNetwork("::/0")),
        ),
        security_groups=tuple(port["security_groups"]),
        admin_state_up=False,
        device_owner="compute:nova",
        dhcp_options=(DhcpOption("mtu", "1400", 4),),
        dns_name="vm1",
        requested_host="h1",
        plug=Plug("h1", "tap", "vm1"),
    )
    dhcp = cloud.dhcp_port(network)
    assert dhcp is not None
    assert len(contents.ports) == 2
    for kind in ("network", "subnet", "port", "host", "security_group", "address_group"):
        for id_, item in cloud.store.fetch(kind, [*items, NOWHERE]).items():
            assert items[id_] == item


def test_fetch_finds_what_exists(cloud: Cloud) -> None:
    network = cloud.network()
    gone, port = cloud.ports(network, 2)
    cloud.delete("port", gone)
    assert set(cloud.store.fetch("port", [gone["id"], port["id"], NOWHERE])) == {port["id"]}
    assert cloud.store.fetch("port", []) == {}
    at = cloud.store.revision()
    many = cloud.ports(network, 600)
    assert [change.id for change in cloud.store.changes(at)] == [one["id"] for one in many]
    assert len(cloud.store.fetch("port", (one["id"] for one in many))) == 600
    assert len(cloud.store.load().ports) == 601


def test_following_the_journal_leads_to_the_same(cloud: Cloud) -> None:
    """Load once, then only changes and fetch: the same as loading again."""
    network = cloud.network()
    before = cloud.store.load()
    have = by_id(before)
    cloud.subnet(network)
    cloud.subnet(network, V6, **SLAAC)
    first, second = cloud.ports(network, 2)
    cloud.update("port", first, name="x")
    cloud.delete("port", second)
    group = cloud.create("security_group")
    servers = cloud.create("address_group", addresses=["192.0.2.0/28"])
    rule = {"security_group_id": group["id"], "direction": "ingress"}
    cloud.create("security_group_rule", **rule, remote_address_group_id=servers["id"])
    cloud.delete("security_group_rule", cloud.create("security_group_rule", **rule, protocol="tcp"))
    cloud.update("address_group", servers, add_addresses=["192.0.2.64/28"])
    cloud.update("port", first, security_groups=[group["id"]])
    cloud.host()
    cloud.create("project", ADMIN, name="p")
    changed: dict[str, set[str]] = {}
    for change in cloud.store.changes(before.revision):
        changed.setdefault(change.kind, set()).add(change.id)
    for kind in set(changed) - {"project", "security_group_rule"}:
        now = cloud.store.fetch(kind, changed[kind])
        for id_ in changed[kind]:
            have.pop(id_, None)
        have.update(now)
    assert have == by_id(cloud.store.load())


# --------------------------------------------------------------------------------------------------------------- status


def test_status(cloud: Cloud) -> None:
    network = cloud.network()
    first, second = cloud.ports(network, 2)
    entries = len(journal(cloud.store))
    cloud.store.record_status({first["id"]: (PortStatus.ACTIVE, "h1"), NOWHERE: (PortStatus.DOWN, "")})
    now = cloud.get("port", first)
    assert now == {**first, "status": "ACTIVE", "bound_host": "h1"}
    assert cloud.get("port", second) == second
    assert len(journal(cloud.store)) == entries
    (port,) = cloud.store.fetch("port", [first["id"]]).values()
    assert isinstance(port, Port)
    assert (port.status, port.bound_host) == (PortStatus.ACTIVE, "h1")
    assert cloud.update("port", first, name="x")["status"] == "ACTIVE"
    cloud.store.record_status({})


def test_status_of_many(cloud: Cloud) -> None:
    made = cloud.ports(cloud.network(), 450)
    cloud.store.record_status({port["id"]: (PortStatus.ACTIVE, f"h{index % 3}") for index, port in enumerate(made)})
    hosts = {port["id"]: port["bound_host"] for port in cloud.list("port", status="ACTIVE")}
    assert hosts == {port["id"]: f"h{index % 3}" for index, port in enumerate(made)}


# ----------------------------------------------------------------------------------------------------------------- keys


def keys(cloud: Cloud, kind: str, made: list[Object]) -> list[int]:
    found = cloud.store.fetch(kind, [one["id"] for one in made])
    return [found[one["id"]].key for one in made]  # type: ignore[union-attr]


def test_keys_count_up_and_do_not_come_again_soon(cloud: Cloud) -> None:
    networks = [cloud.network() for _ in range(3)]
    assert keys(cloud, "network", networks) == [1, 2, 3]
    cloud.delete("network", networks[2])
    assert keys(cloud, "network", [cloud.network()]) == [4]
    assert keys(cloud, "port", cloud.ports(networks[0], 3)) == [1, 2, 3]
    assert keys(cloud, "host", [cloud.host("a", 1), cloud.host("b", 2)]) == [1, 2]


def test_keys_begin_again_with_the_free_ones(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "MOST_KEYS", {"network": 5, "port": 5, "host": 5, "security_group": 5})
    network = cloud.network()
    made = cloud.ports(network, 5)
    for index in (1, 3):
        cloud.delete("port", made[index])
    assert sorted(keys(cloud, "port", cloud.ports(network, 2))) == [2, 4]
