# SPDX-License-Identifier: Apache-2.0
"""The world: who is bound where, and that a change names every unit it touches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netaddr import EUI, IPAddress, IPNetwork

from sdnctl.apps.meters import LAST_OFPORT, MeterKind, meter_id
from sdnctl.model.port import AddressPair, FixedIP
from sdnctl.model.qos import UNLIMITED, QosLimits
from sdnctl.model.security import Direction
from sdnctl.model.views import (
    Announcer,
    Clause,
    Filtering,
    FloodChunk,
    GroupView,
    IpGroupView,
    LocalPort,
    Member,
    Neighbour,
    NetworkView,
    Station,
)
from sdnctl.sync.compile import compile_view
from sdnctl.sync.tables import Tables
from sdnctl.sync.units import Unit, UnitKind, pack_prefix
from sdnctl.sync.views import View
from sdnctl.sync.world import World
from tests.sync import clouds

Views = dict[Unit, View]
Start = tuple[World, clouds.Reports]


def full(world: World, host_id: str) -> Views:
    """Every view of a host, computed from scratch."""
    world.cloud.leases.clear()
    views = ((unit, world.view(host_id, unit)) for unit in world.units(host_id))
    return {unit: view for unit, view in views if view is not None}


def follow(world: World, host_id: str, views: Views) -> None:
    """Bring views up to date by dirty units only, as a host's task does."""
    for unit in world.take_dirty(host_id):
        view = world.view(host_id, unit)
        if view is None:
            views.pop(unit, None)
        else:
            views[unit] = view


def bound_at(world: World, port_id: str) -> tuple[str, str] | None:
    binding = world.bindings.get(port_id)
    return (binding.host_id, binding.interface) if binding else None


events = st.one_of(
    st.tuples(st.just("put_port"), clouds.ports),
    st.tuples(st.just("change_port"), st.sampled_from(clouds.PORTS), clouds.changes_of_ports),
    st.tuples(st.just("remove_port"), st.sampled_from(clouds.PORTS)),
    st.tuples(
        st.just("plug"),
        st.sampled_from(clouds.HOSTS),
        st.sampled_from(("tap1", "tap2", "tap63")),
        st.sampled_from((*clouds.PORTS, "nobody")),
        st.sampled_from((None, 1, 2, 63, 64, 200)),
        st.booleans(),
    ),
    st.tuples(st.just("unplug"), st.sampled_from(clouds.HOSTS), st.sampled_from(("tap1", "tap2", "tap63"))),
    st.tuples(st.just("switch"), st.sampled_from(clouds.HOSTS), st.sampled_from(("agrees", "away", "other"))),
    st.tuples(
        st.just("network"),
        st.sampled_from(clouds.NETWORKS),
        st.sampled_from(("up", "isolated", "shared", "down", "gone", "small", *clouds.POLICIES)),
    ),
    st.tuples(st.just("subnet"), st.sampled_from(clouds.NETWORKS), st.sampled_from(("on", "off", "gone"))),
    st.tuples(
        st.just("host"), st.sampled_from(clouds.HOSTS), st.sampled_from(("tunnel", "plain", "gone", "unreachable"))
    ),
    st.tuples(st.just("put_group"), clouds.groups),
    st.tuples(st.just("remove_group"), st.sampled_from(clouds.GROUPS)),
    st.tuples(st.just("put_ip_group"), clouds.ip_groups),
    st.tuples(st.just("remove_ip_group"), st.sampled_from(clouds.IP_GROUPS)),
    st.tuples(st.just("put_policy"), clouds.policies),
    st.tuples(st.just("remove_policy"), st.sampled_from(clouds.POLICIES)),
    st.tuples(st.just("offices"), st.sampled_from(((), ("10.0.0.0/8",), ("192.0.2.1/32", "2001:db8::/32"), None))),
    st.tuples(st.just("underlay"), st.sampled_from(clouds.HOSTS), st.sampled_from((100, 102, None))),
    st.tuples(st.just("follow"), st.sampled_from(clouds.HOSTS)),
)


def happen(world: World, reports: clouds.Reports, event: tuple[object, ...], views: dict[str, Views]) -> None:
    match event:
        case "put_port", port:
            world.put_port(port)  # type: ignore[arg-type]
        case "change_port", name, change:
            if name in world.ports:
                world.put_port(replace(world.ports[str(name)], **change))  # type: ignore[arg-type]
        case "remove_port", name:
            world.remove_port(str(name))
        case "plug", host, interface, port_id, ofport, right_mac:
            reports.plug(host, interface, port_id, ofport, right_mac=right_mac)  # type: ignore[arg-type]
            reports.tell(world, str(host))
        case "unplug", host, interface:
            reports.unplug(str(host), str(interface))
            reports.tell(world, str(host))
        case "switch", host, how:
            agreed = {name: int(one.ofport or 7) for name, one in reports.of(str(host)).interfaces.items()}
            other = {name: number + 1 for name, number in agreed.items()}
            if f"id-{host}" in world.hosts:
                world.set_switch_ports(f"id-{host}", {"agrees": agreed, "other": other}.get(str(how)))
        case "network", name, "gone":
            world.remove_network(str(name))
        case "network", name, how:
            up, isolated, shared = how != "down", how == "isolated", how == "shared"
            policy = str(how) if how in clouds.POLICIES else None
            wish = clouds.network(str(name), up=up, isolated=isolated, shared=shared, policy=policy)
            world.put_network(replace(wish, mtu=1400) if how == "small" else wish)
        case "subnet", name, "gone":
            world.remove_subnet(f"subnet-{name}")
        case "subnet", name, how:
            world.put_subnet(clouds.subnet(str(name), dhcp=how == "on"))
        case "host", name, "gone":
            world.remove_host(f"id-{name}")
            views[str(name)] = {}
        case "host", name, "unreachable":
            if f"id-{name}" in world.hosts:
                world.set_unreachable(f"id-{name}")
        case "host", name, how:
            world.put_host(clouds.host(str(name), tunnel=how == "tunnel"))
        case "underlay", name, ofport:
            reports.facts[str(name)] = replace(reports.of(str(name)), tunnel_ofport=ofport)
            reports.tell(world, str(name))
        case "put_group", group:
            world.put_group(group)  # type: ignore[arg-type]
        case "remove_group", name:
            world.remove_group(str(name))
        case "put_ip_group", group:
            world.put_ip_group(group)  # type: ignore[arg-type]
        case "remove_ip_group", name:
            world.remove_ip_group(str(name))
        case "put_policy", policy:
            world.put_policy(policy)  # type: ignore[arg-type]
        case "remove_policy", name:
            world.remove_policy(str(name))
        case "offices", None:
            world.remove_address_group(clouds.OFFICES)
        case "offices", addresses:
            world.put_address_group(clouds.offices(*addresses))  # type: ignore[misc]
        case "follow", name:
            follow(world, f"id-{name}", views[str(name)])
        case _:
            raise AssertionError(event)


@given(st.sampled_from((clouds.shared_cloud, clouds.isolated_cloud)), st.lists(events, max_size=12))
@settings(max_examples=600, deadline=None)
def test_incremental_equals_full(start: Callable[[], Start], history: list[tuple[object, ...]]) -> None:
    """Following dirty units, at any moments in between, ends where computing everything ends."""
    world, reports = start()
    views: dict[str, Views] = {name: {} for name in clouds.HOSTS}
    for name in clouds.HOSTS:
        follow(world, f"id-{name}", views[name])
    for event in history:
        happen(world, reports, event, views)
    for name in clouds.HOSTS:
        if f"id-{name}" in world.hosts:
            follow(world, f"id-{name}", views[name])
    leases = {port_id: world.lease(port_id) for port_id in world.ports}
    for name in clouds.HOSTS:
        if f"id-{name}" in world.hosts:
            assert views[name] == full(world, f"id-{name}")
    assert leases == {port_id: world.lease(port_id) for port_id in world.ports}


@given(st.lists(events, max_size=40), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_order_of_loading_does_not_matter(history: list[tuple[object, ...]], random: object) -> None:
    """A world rebuilt from the same intent and facts, in any order, has the same views."""
    world, reports = clouds.shared_cloud()
    views: dict[str, Views] = {name: {} for name in clouds.HOSTS}
    for event in history:
        if event[0] not in ("switch", "host"):
            happen(world, reports, event, views)
    names = {host_id: one.name for host_id, one in world.hosts.items()}
    where = {port_id: names[binding.host_id] for port_id, binding in world.bindings.items()}
    claimed = [one.iface_id for facts in reports.facts.values() for one in facts.interfaces.values()]
    contested = {port_id for port_id in claimed if claimed.count(port_id) > 1}
    again = World()
    steps = [(again.put_network, one) for one in world.networks.values()]
    steps += [(again.put_subnet, one) for one in world.subnets.values()]  # type: ignore[arg-type]
    steps += [(again.put_group, one) for one in world.groups.values()]  # type: ignore[arg-type]
    steps += [(again.put_address_group, one) for one in world.address_groups.values()]  # type: ignore[arg-type]
    steps += [(again.put_ip_group, one) for one in world.ip_groups.values()]  # type: ignore[arg-type]
    steps += [(again.put_policy, one) for one in world.cloud.qos_policies.values()]  # type: ignore[arg-type]
    steps += [(again.put_host, one) for one in world.hosts.values()]  # type: ignore[arg-type]
    steps += [
        (again.put_port, replace(one, bound_host=where.get(one.id, "")))  # type: ignore[arg-type]
        for one in world.ports.values()
        if one.id not in contested
    ]
    for port_id in contested & world.ports.keys():
        world.remove_port(port_id)
    random.shuffle(steps)  # type: ignore[attr-defined]
    for step, value in steps:
        step(value)  # type: ignore[arg-type]
    for name in random.sample(clouds.HOSTS[:2], 2):  # type: ignore[attr-defined]
        reports.tell(again, name)
    for host_id in world.hosts:
        assert full(again, host_id) == full(world, host_id)


@given(st.lists(events, max_size=12))
@settings(max_examples=150, deadline=None)
def test_no_two_units_give_one_flow(history: list[tuple[object, ...]]) -> None:
    """Or the switch would keep the one that came last, and with the other's end it would be gone."""
    world, reports = clouds.shared_cloud()
    for event in history:
        happen(world, reports, event, {name: {} for name in clouds.HOSTS})
    for host_id in world.hosts:
        keys = Counter(flow.key for view in full(world, host_id).values() for flow in compile_view(view).flows)
        assert [key.hex() for key, count in keys.items() if count > 1] == []


def test_port_is_bound_where_it_is_plugged() -> None:
    world, reports = clouds.small_cloud()
    world.put_port(clouds.port("p1"))
    assert bound_at(world, "p1") is None
    reports.plug("h1", "tap1", "p1", 5)
    reports.tell(world, "h1")
    assert bound_at(world, "p1") == ("id-h1", "tap1")
    assert isinstance(world.view("id-h1", Unit(UnitKind.PORT, "p1")), LocalPort)
    assert world.view("id-h2", Unit(UnitKind.PORT, "p1")) is None


def test_interface_may_come_before_its_port() -> None:
    world, reports = clouds.small_cloud()
    reports.plug("h1", "tap1", "p1", 5)
    reports.tell(world, "h1")
    assert world.refused_claims("id-h1") == {"tap1": "iface-id names no port"}
    world.put_port(clouds.port("p1"))
    assert bound_at(world, "p1") == ("id-h1", "tap1")
    assert not world.refused_claims("id-h1")


def test_newest_of_two_claims_wins_and_the_other_is_told() -> None:
    world, reports = clouds.small_cloud()
    world.put_port(clouds.port("p1"))
    for name in ("h1", "h2"):
        reports.plug(name, "tap1", "p1", 5)
        reports.tell(world, name)
    assert bound_at(world, "p1") == ("id-h2", "tap1")
    assert "bound by interface tap1 of host h2" in world.refused_claims("id-h1")["tap1"]
    reports.unplug("h2", "tap1")
    reports.tell(world, "h2")
    assert bound_at(world, "p1") == ("id-h1", "tap1")
    assert not world.refused_claims("id-h1")


def test_reserved_host_keeps_the_port_against_a_thief() -> None:
    """`binding:host_id` says who may bind: a hostile host's claim is refused, however new."""
    world, reports = clouds.small_cloud()
    world.put_port(clouds.port("p1", requested_host="h1"))
    for name in ("h1", "h2"):
        reports.plug(name, "tap1", "p1", 5)
        reports.tell(world, name)
    assert bound_at(world, "p1") == ("id-h1", "tap1")
    assert "reserved for host h1" in world.refused_claims("id-h2")["tap1"]


def test_wrong_attached_mac_is_refused() -> None:
    world, reports = clouds.small_cloud()
    world.put_port(clouds.port("p1"))
    reports.plug("h1", "tap1", "p1", 5, right_mac=False)
    reports.tell(world, "h1")
    assert bound_at(world, "p1") is None
    assert "attached-mac" in world.refused_claims("id-h1")["tap1"]


def test_replugged_port_has_the_new_ofport_while_the_old_interface_is_still_there() -> None:
    world, reports = clouds.small_cloud()
    world.put_port(clouds.port("p1"))
    reports.plug("h1", "tap1", "p1", 5)
    reports.tell(world, "h1")
    reports.plug("h1", "tap2", "p1", 6)
    reports.tell(world, "h1")
    view = world.view("id-h1", Unit(UnitKind.PORT, "p1"))
    assert isinstance(view, LocalPort)
    assert view.ofport == 6
    reports.unplug("h1", "tap1")
    reports.tell(world, "h1")
    assert world.view("id-h1", Unit(UnitKind.PORT, "p1")) == view


def test_ofport_counts_only_while_switch_and_database_agree() -> None:
    """After a restart of ovs-vswitchd the database may hold ofports of before."""
    world, reports = clouds.small_cloud()
    world.put_port(clouds.port("p1"))
    reports.plug("h1", "tap1", "p1", 5)
    world.set_switch_ports("id-h1", {"tap1": 7})
    reports.tell(world, "h1")
    assert bound_at(world, "p1") is None
    world.set_switch_ports("id-h1", {"tap1": 5})
    assert bound_at(world, "p1") == ("id-h1", "tap1")


def test_ofports_that_move_up_by_one_keep_their_ports() -> None:
    """Each ofport passes from one port to the next: taking it from the old one must not take it from the new one."""
    world, reports = clouds.small_cloud()
    names = ("p1", "p2", "p3")
    for name in names:
        world.put_port(clouds.port(name))
    for shift in (0, 1, 2, 0):
        for number, name in enumerate(names, start=1):
            reports.plug("h1", f"tap-{name}", name, number + shift)
        reports.tell(world, "h1")
        expected = [number + shift for number in (1, 2, 3)]
        views = [world.view("id-h1", Unit(UnitKind.PORT, name)) for name in names]
        assert [view.ofport for view in views if isinstance(view, LocalPort)] == expected
        chunk = world.view("id-h1", Unit(UnitKind.CHUNK, "tunnelled", 0))
        assert isinstance(chunk, FloodChunk)
        assert list(chunk.ofports) == expected


def test_switch_tells_the_ofport_before_the_database_has_it() -> None:
    """Which saves the time that ovs-vswitchd takes to write it there."""
    world, reports = clouds.small_cloud()
    world.put_port(clouds.port("p1"))
    reports.plug("h1", "tap1", "p1", None)
    reports.tell(world, "h1")
    assert bound_at(world, "p1") is None
    world.set_switch_ports("id-h1", {"tap1": 5})
    assert bound_at(world, "p1") == ("id-h1", "tap1")
    reports.plug("h1", "tap1", "p1", 6)
    reports.tell(world, "h1")
    assert bound_at(world, "p1") is None


def test_after_a_restart_ports_of_hosts_not_read_yet_keep_their_place() -> None:
    """The first host that answers must not lose its flows towards the others."""
    world, reports = World(), clouds.Reports()
    world.put_network(clouds.network("tunnelled"))
    world.put_port(clouds.port("p1", bound_host="h1"))
    world.put_port(clouds.port("p2", bound_host="h2"))
    for name in clouds.HOSTS[:2]:
        world.put_host(clouds.host(name))
    reports.plug("h1", "tap1", "p1", 5)
    reports.tell(world, "h1")
    station = world.view("id-h1", Unit(UnitKind.STATION, "tunnelled", int(clouds.mac("p2"))))
    assert isinstance(station, Station)
    assert station.peer == int(IPAddress("192.0.2.2"))
    assert isinstance(world.view("id-h1", Unit(UnitKind.NEIGHBOUR, "p2")), Neighbour)
    network = world.view("id-h1", Unit(UnitKind.NETWORK, "tunnelled"))
    assert isinstance(network, NetworkView)
    assert network.peers == (int(IPAddress("192.0.2.2")),)
    reports.tell(world, "h2")
    assert bound_at(world, "p2") is None
    assert world.view("id-h1", Unit(UnitKind.NEIGHBOUR, "p2")) is None


def test_presumed_binding_withstands_a_claim_until_its_host_is_known_to_be_away() -> None:
    world, reports = World(), clouds.Reports()
    world.put_network(clouds.network("tunnelled"))
    world.put_port(clouds.port("p1", bound_host="h1"))
    for name in clouds.HOSTS[:2]:
        world.put_host(clouds.host(name))
    reports.plug("h2", "tap1", "p1", 5)
    reports.tell(world, "h2")
    assert bound_at(world, "p1") == ("id-h1", "")
    world.set_unreachable("id-h1")
    assert bound_at(world, "p1") == ("id-h2", "tap1")


def test_host_without_a_port_of_a_network_has_no_unit_of_it() -> None:
    world, reports = clouds.small_cloud()
    world.put_port(clouds.port("p1"))
    reports.plug("h1", "tap1", "p1", 5)
    reports.tell(world, "h1")
    assert {unit.kind for unit in full(world, "id-h2")} <= {UnitKind.HOST, UnitKind.PEER}
    reports.unplug("h1", "tap1")
    reports.tell(world, "h1")
    assert {unit.kind for unit in full(world, "id-h1")} <= {UnitKind.HOST, UnitKind.PEER}


def crowd(world: World, reports: clouds.Reports) -> None:
    """Three hundred further ports on the first host."""
    template = clouds.port("p1")
    for number in range(300):
        name = f"q{number}"
        world.put_port(replace(template, id=name, key=1000 + number, mac=EUI(0x020000000000 + number)))  # type: ignore[arg-type]
        reports.plug("h1", name, name, number + 10)
        facts = reports.of("h1")
        plugged = {**facts.interfaces, name: replace(facts.interfaces[name], attached_mac=None)}
        reports.facts["h1"] = replace(facts, interfaces=plugged)
    reports.tell(world, "h1")


def test_another_port_touches_a_handful_of_units() -> None:
    """The cost of a change depends on the change: beside many ports of the same network, no more units are dirty."""
    world, reports = clouds.small_cloud()
    crowd(world, reports)
    reports.plug("h2", "tap1", "p2", 5)
    world.put_port(clouds.port("p2"))
    reports.tell(world, "h2")
    for host_id in world.hosts:
        world.take_dirty(host_id)
    world.put_port(clouds.port("p1"))
    reports.plug("h1", "tap1", "p1", 311)
    reports.tell(world, "h1")
    dirty = {unit.kind for unit in world.take_dirty("id-h1")}
    assert dirty == {UnitKind.PORT, UnitKind.CHUNK, UnitKind.NEIGHBOUR, UnitKind.STATION}
    assert {unit.kind for unit in world.take_dirty("id-h2")} == {UnitKind.NEIGHBOUR, UnitKind.STATION}


# --- security groups -----------------------------------------------------------------------------------------------


def members(world: World, host_id: str) -> list[Member]:
    return [view for view in full(world, host_id).values() if isinstance(view, Member)]


def test_members_are_known_where_a_rule_asks_for_them() -> None:
    """On each host with a port of the network whose group names theirs: addresses, pairs and link-local ones."""
    world, reports = clouds.busy_cloud()
    world.put_port(clouds.port("p2", groups=("g1",), pair=True))
    for host_id in ("id-h1", "id-h2"):
        of_p2 = [one for one in members(world, host_id) if one.key == 2]
        assert sorted((one.version, one.address) for one in of_p2) == sorted(
            [
                (4, int(IPAddress("10.0.1.12"))),
                (4, int(IPAddress("10.0.1.200"))),
                (6, int(IPAddress("fe80::f816:3eff:fe00:2"))),
                (6, int(IPAddress("fe80::200:5eff:fe00:101"))),
            ]
        )
        assert {one.clauses for one in of_p2} == {(Clause(Direction.INGRESS, keeps=False, remote=1),)}  # type: ignore[arg-type]
    reports.unplug("h1", "tap1")
    reports.tell(world, "h1")
    assert members(world, "id-h1") == []


def test_address_that_two_members_may_use_is_one_unit() -> None:
    world, _ = clouds.busy_cloud()
    for name in ("p1", "p2"):
        world.put_port(clouds.port(name, groups=("g1",), pair=True))
    shared = [one for one in members(world, "id-h1") if one.address == int(IPAddress("10.0.1.200"))]
    assert [one.key for one in shared] == [1]


def test_router_that_may_send_from_anywhere_is_not_everybody() -> None:
    world, _ = clouds.busy_cloud()
    anything = AddressPair(clouds.mac("p2"), IPNetwork("0.0.0.0/0"))
    world.put_port(replace(clouds.port("p2", groups=("g1",)), allowed_address_pairs=(anything,)))
    assert all(one.mask for one in members(world, "id-h1"))


def test_port_without_security_is_in_no_group() -> None:
    world, _ = clouds.busy_cloud()
    world.put_port(clouds.port("p1", groups=("g1",), security=False))
    view = world.view("id-h1", Unit(UnitKind.PORT, "p1"))
    assert isinstance(view, LocalPort)
    assert (view.filtering, view.groups) == (Filtering.NONE, ())
    assert world.view("id-h1", Unit(UnitKind.GROUP, "g1")) is None


def test_port_whose_group_is_gone_is_shut() -> None:
    """Never open, not even for the moment between two entries of the journal."""
    world, _ = clouds.busy_cloud()
    world.remove_group("g1")
    view = world.view("id-h1", Unit(UnitKind.PORT, "p1"))
    assert isinstance(view, LocalPort)
    assert (view.filtering, view.groups) == (Filtering.STATELESS, ())


def test_one_stateful_group_makes_the_port_stateful() -> None:
    world, _ = clouds.busy_cloud()
    for groups, filtering in ((("g2",), Filtering.STATELESS), (("g1", "g2"), Filtering.STATEFUL)):
        world.put_port(clouds.port("p1", groups=groups))
        view = world.view("id-h1", Unit(UnitKind.PORT, "p1"))
        assert isinstance(view, LocalPort)
        assert view.filtering is filtering


def test_rules_stand_only_where_a_port_has_the_group() -> None:
    world, _ = clouds.busy_cloud()
    world.put_group(clouds.group("g2", clouds.rule(Direction.INGRESS)))
    assert {unit.id for unit in full(world, "id-h1") if unit.kind is UnitKind.GROUP} == {"g1"}


def test_another_member_touches_as_many_units_however_many_there_are() -> None:
    """Also on its own host: what a group of thousands costs is what its own ports need."""
    world, reports = clouds.busy_cloud()
    touched = []
    for number in range(120):
        name = f"q{number}"
        template = clouds.port("p1", groups=("g1",))
        fixed = FixedIP("subnet-tunnelled", IPAddress(f"10.0.1.{100 + number}"))
        one = replace(template, id=name, key=1000 + number, mac=EUI(0x020000000000 + number), fixed_ips=(fixed,))  # type: ignore[arg-type]
        for host_id in world.hosts:
            world.take_dirty(host_id)
        world.put_port(one)
        reports.plug("h2", name, name, 300 + number)
        facts = reports.of("h2")
        plugged = {**facts.interfaces, name: replace(facts.interfaces[name], attached_mac=None)}
        reports.facts["h2"] = replace(facts, interfaces=plugged)
        reports.tell(world, "h2")
        touched.append([len(world.take_dirty(host_id)) for host_id in ("id-h1", "id-h2")])
    assert touched[1] == touched[100] == [4, 6]
    rules = world.groups["g1"].rules
    world.put_group(clouds.group("g1", *rules, clouds.rule(Direction.EGRESS)))
    assert [list(world.take_dirty(host_id)) for host_id in ("id-h1", "id-h2")] == [[Unit(UnitKind.GROUP, "g1")]] * 2


def test_groups_are_seen_by_the_flows_that_flood() -> None:
    world, _ = clouds.busy_cloud()
    chunk = world.view("id-h1", Unit(UnitKind.CHUNK, "tunnelled", 0))
    assert isinstance(chunk, FloodChunk)
    assert [(one.ofport, one.key, one.filtering) for one in chunk.filtered] == [(1, 1, Filtering.STATEFUL)]


def test_ofport_that_passes_from_port_to_port_still_gets_its_copy() -> None:
    """Both interfaces come in one report, in whatever order they are looked at."""
    for new in ("p2", "p5"):
        world, reports = clouds.busy_cloud()
        world.put_port(clouds.port(new))
        reports.unplug("h1", "tap1")
        reports.unplug("h2", "tap2")
        reports.plug("h1", "tapnew", new, 1)
        reports.tell(world, "h1")
        chunk = world.view("id-h1", Unit(UnitKind.CHUNK, "tunnelled", 0))
        assert isinstance(chunk, FloodChunk)
        assert chunk.ofports == (1,)


def test_address_group_is_part_of_the_rules_that_name_it() -> None:
    world, _ = clouds.busy_cloud()
    world.put_port(clouds.port("p1", groups=("g2",)))
    view = world.view("id-h1", Unit(UnitKind.GROUP, "g2"))
    assert view == GroupView(2, ())  # type: ignore[arg-type]
    world.take_dirty("id-h1")
    world.put_address_group(clouds.offices("10.0.0.0/8"))
    assert list(world.take_dirty("id-h1")) == [Unit(UnitKind.GROUP, "g2")]
    view = world.view("id-h1", Unit(UnitKind.GROUP, "g2"))
    assert isinstance(view, GroupView)
    assert [(one.remote, one.address, one.mask) for one in view.addresses] == [(9, 10 << 24, 0xFF << 24)]


def test_rules_that_name_a_group_follow_its_coming_and_going() -> None:
    """The journal may tell of the rule first. What is not known allows nothing."""
    world, _ = clouds.busy_cloud()
    world.put_group(clouds.group("g1", *(clouds.rule(Direction.INGRESS, remote=one) for one in ("g3", clouds.OFFICES))))

    def named() -> set[int | None]:
        views: Views = {}
        for unit in world.take_dirty("id-h1"):
            view = world.view("id-h1", unit)
            if isinstance(view, GroupView):
                views[unit] = view
        (view,) = views.values()
        assert isinstance(view, GroupView)
        return {one.remote for one in view.rules}

    assert named() == set()
    world.put_group(clouds.group("g3"))
    assert named() == {3}
    world.put_address_group(clouds.offices())
    assert named() == {3, 9}
    world.remove_group("g3")
    assert named() == {9}
    world.remove_address_group(clouds.OFFICES)
    assert named() == set()


def test_an_ofport_without_meters_is_not_bound() -> None:
    """One above what meters can be numbered for, as only somebody who asks for it gets; and the last that is served."""
    world, reports = clouds.small_cloud()
    world.put_port(clouds.port("p1"))
    reports.plug("h1", "tap1", "p1", LAST_OFPORT + 1)
    reports.tell(world, "h1")
    assert "no meters" in world.refused_claims("id-h1")["tap1"]
    assert bound_at(world, "p1") is None
    reports.plug("h1", "tap1", "p1", LAST_OFPORT)
    reports.tell(world, "h1")
    assert world.refused_claims("id-h1") == {}
    assert bound_at(world, "p1") == ("id-h1", "tap1")


# --- IP groups -----------------------------------------------------------------------------------------------------


def group_view(world: World, host_id: str, name: str = "vip1") -> IpGroupView | None:
    view = world.view(host_id, Unit(UnitKind.IP_GROUP, name))
    assert view is None or isinstance(view, IpGroupView)
    return view


def virtual_station(world: World, host_id: str) -> Station | None:
    view = world.view(host_id, Unit(UnitKind.STATION, "tunnelled", int(clouds.SHARED_MAC)))
    assert view is None or isinstance(view, Station)
    return view


def test_group_is_known_where_its_network_is() -> None:
    """With those of its members that are plugged there; with its holder wherever that is."""
    world, reports = clouds.busy_cloud()
    world.put_ip_group(clouds.ip_group("vip1", "p1", "p2", holder="p2"))
    address = int(IPAddress("10.0.1.101"))
    mac = int(clouds.mac("p2"))
    assert group_view(world, "id-h1") == IpGroupView(
        key=21, network=1, version=4, address=address, members=(Announcer(1, 1),), holder=2, mac=mac
    )
    assert group_view(world, "id-h2") == IpGroupView(
        key=21, network=1, version=4, address=address, members=(Announcer(2, 2),), holder=2, mac=mac
    )
    reports.unplug("h1", "tap1")
    reports.tell(world, "h1")
    assert group_view(world, "id-h1") is None


def test_members_own_the_address() -> None:
    """As one of their own, also as members of their security groups; others do not."""
    world, _ = clouds.busy_cloud()
    world.put_ip_group(clouds.ip_group("vip1", "p1"))
    address = int(IPAddress("10.0.1.101"))
    for host_id, name, owns in (("id-h1", "p1", True), ("id-h2", "p2", False)):
        port = world.view(host_id, Unit(UnitKind.PORT, name))
        assert isinstance(port, LocalPort)
        assert (address in {one.address for one in port.sources}, port.announces) == (owns, owns)
    assert [one.key for one in members(world, "id-h2") if one.address == address] == [1]
    world.put_ip_group(clouds.ip_group("vip1", "p1", "p2"))
    assert [one.key for one in members(world, "id-h2") if one.address == address] == [1]
    world.remove_ip_group("vip1")
    assert [one for one in members(world, "id-h2") if one.address == address] == []


def test_holder_that_cannot_be_reached_is_none() -> None:
    """Its question goes to the network then; as soon as it is back, it is the holder again."""
    world, reports = clouds.busy_cloud()
    world.put_ip_group(clouds.ip_group("vip1", "p1", "p2", holder="p2"))
    reports.unplug("h2", "tap2")
    reports.tell(world, "h2")
    view = group_view(world, "id-h1")
    assert view is not None
    assert (view.holder, view.mac) == (None, None)
    reports.plug("h2", "tap2", "p2", 2)
    reports.tell(world, "h2")
    view = group_view(world, "id-h1")
    assert view is not None
    assert view.holder == 2
    world.put_port(clouds.port("p2", up=False))
    view = group_view(world, "id-h1")
    assert view is not None
    assert view.holder is None


def test_virtual_mac_is_where_its_holder_is() -> None:
    """Also if ports have it as an address pair besides: then it is the holder's, and nobody else hears."""
    world, _ = clouds.shared_cloud()
    station = virtual_station(world, "id-h1")
    assert station is not None
    assert (station.key, station.ofport, station.peer) == (1, 1, None)
    world.put_ip_group(clouds.ip_group("vip1", "p1", "p2", holder="p2", vrrp=True, virtual=True))
    station = virtual_station(world, "id-h1")
    assert station is not None
    assert (station.key, station.ofport, station.peer) == (2, None, int(IPAddress("192.0.2.2")))
    for name in ("p1", "p2"):
        world.put_port(clouds.port(name, pair=True))
    assert virtual_station(world, "id-h1") == station
    world.remove_ip_group("vip1")
    shared = virtual_station(world, "id-h1")
    assert shared is not None
    assert (shared.ofport, shared.peer) == (None, None)


def test_two_routers_of_one_number_do_not_share_frames() -> None:
    """Which is a fault of whoever set them up; the older group's holder has them."""
    world, _ = clouds.shared_cloud()
    world.put_ip_group(clouds.ip_group("vip3", "p2", holder="p2", vrrp=True, virtual=True))
    station = virtual_station(world, "id-h2")
    assert station is not None
    assert station.key == 1


def test_vrrp_makes_a_rule_for_members_only() -> None:
    world, _ = clouds.shared_cloud()
    view = world.view("id-h1", Unit(UnitKind.GROUP, "vip1"))
    assert isinstance(view, GroupView)
    assert [(one.direction, one.protocol, one.remote) for one in view.rules] == [
        (Direction.EGRESS, 112, None),
        (Direction.EGRESS, 112, 21),
        (Direction.INGRESS, 112, 21),
    ]
    port = world.view("id-h1", Unit(UnitKind.PORT, "p1"))
    assert isinstance(port, LocalPort)
    assert port.groups == (1, 21)
    world.put_ip_group(clouds.ip_group("vip1", "p1", "p2"))
    port = world.view("id-h1", Unit(UnitKind.PORT, "p1"))
    assert isinstance(port, LocalPort)
    assert port.groups == (1,)
    assert world.view("id-h1", Unit(UnitKind.GROUP, "vip1")) is None


@pytest.mark.parametrize("how", ({"groups": ()}, {"security": False}), ids=("no groups", "no port security"))
def test_members_that_nothing_filters_are_heard_by_those_that_something_does(how: dict[str, Any]) -> None:
    world, _ = clouds.shared_cloud()
    world.put_port(clouds.port("p2", **{"groups": ("g1",)} | how))
    port = world.view("id-h2", Unit(UnitKind.PORT, "p2"))
    assert isinstance(port, LocalPort)
    assert port.groups == ()
    address = port.sources[0]
    unit = Unit(UnitKind.MEMBER, "tunnelled", pack_prefix(address.version, address.address, address.mask))
    member = world.view("id-h1", unit)
    assert isinstance(member, Member)
    assert {int(one.remote) for one in member.clauses} == {21}


def test_a_client_that_holds_an_address_is_not_told_of() -> None:
    """Where clients are kept apart; a service port that holds it is."""
    world, _ = clouds.shared_cloud()
    unit = Unit(UnitKind.IP_GROUP, "vip1")

    def is_told() -> bool:
        view = world.view("id-h2", unit)
        assert isinstance(view, IpGroupView)
        return view.is_told

    assert is_told()
    world.put_network(clouds.network("tunnelled", isolated=True))
    assert not is_told()
    world.put_port(clouds.port("p1", groups=("g1",), service=True))
    assert is_told()


@pytest.mark.proves("S7")
def test_move_touches_as_many_units_however_many_ports_there_are() -> None:
    world, reports = clouds.shared_cloud()
    crowd(world, reports)
    for host_id in world.hosts:
        world.take_dirty(host_id)
    world.put_ip_group(clouds.ip_group("vip1", "p1", "p2", holder="p2", vrrp=True, virtual=True))
    touched = {Unit(UnitKind.IP_GROUP, "vip1"), Unit(UnitKind.STATION, "tunnelled", int(clouds.SHARED_MAC))}
    for host_id in ("id-h1", "id-h2"):
        assert world.take_dirty(host_id).keys() == touched


# --- quality of service --------------------------------------------------------------------------------------------


def limits_of(world: World, host_id: str, port_id: str) -> QosLimits:
    view = world.view(host_id, Unit(UnitKind.PORT, port_id))
    assert isinstance(view, LocalPort)
    return view.qos


def test_own_policy_goes_before_the_networks() -> None:
    """And a port of the network itself has only what it is given."""
    world, _ = clouds.busy_cloud()
    slow, marked = (world.cloud.qos_policies[name].limits for name in clouds.POLICIES)
    assert limits_of(world, "id-h1", "p1") == UNLIMITED
    world.put_network(clouds.network("tunnelled", policy="slow"))
    assert limits_of(world, "id-h1", "p1") == slow
    world.put_port(clouds.port("p1", policy="marked"))
    assert limits_of(world, "id-h1", "p1") == marked
    world.put_port(clouds.port("p1", owner="network:router"))
    assert limits_of(world, "id-h1", "p1") == UNLIMITED
    world.put_port(clouds.port("p1", owner="network:router", policy="slow"))
    assert limits_of(world, "id-h1", "p1") == slow
    world.remove_policy("slow")
    assert limits_of(world, "id-h1", "p1") == UNLIMITED


def test_another_rate_touches_the_policys_ports_and_only_their_meters() -> None:
    """Among ports with and without it; through the network or by themselves."""
    world, _ = clouds.busy_cloud()
    world.put_network(clouds.network("tunnelled", policy="slow"))
    tables = {}
    for host_id in ("id-h1", "id-h2"):
        world.take_dirty(host_id)
        tables[host_id] = Tables()
        tables[host_id].confirmed({unit: compile_view(view) for unit, view in full(world, host_id).items()})
    rules = world.cloud.qos_policies["slow"].rules
    world.put_policy(clouds.policy("slow", *(replace(rule, value=rule.value + 1) for rule in rules)))
    dirty = world.take_dirty("id-h1")
    assert {unit.id for unit in dirty if unit.kind is UnitKind.PORT} == {"p1", "p3"}
    assert {unit.kind for unit in dirty} == {UnitKind.PORT, UnitKind.CHUNK}
    delta = tables["id-h1"].update({unit: compile_view(world.view("id-h1", unit)) for unit in dirty})
    assert {unit.id for unit in world.take_dirty("id-h2") if unit.kind is UnitKind.PORT} == {"p2"}
    kinds = (MeterKind.TO_BANDWIDTH, MeterKind.FROM_PACKETS)
    assert {meter.id for _, meter in delta.meters_modify} == {meter_id(at, kind) for at in (1, 63) for kind in kinds}
    assert [delta.put, delta.remove, delta.flush, delta.meters_add, delta.meters_remove] == [[], [], [], [], []]
    world.put_policy(world.cloud.qos_policies["slow"])
    assert world.take_dirty("id-h1") == {}
