# SPDX-License-Identifier: Apache-2.0
"""The world: who is bound where, and that a change names every unit it touches."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from netaddr import EUI, IPAddress

from sdnctl.model.views import FloodChunk, LocalPort, Neighbour, NetworkView, Station
from sdnctl.sync.units import Unit, UnitKind
from sdnctl.sync.world import View, World
from tests.sync import clouds

Views = dict[Unit, View]


def full(world: World, host_id: str) -> Views:
    """Every view of a host, computed from scratch."""
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
    st.tuples(st.just("network"), st.sampled_from(clouds.NETWORKS), st.sampled_from(("up", "down", "gone"))),
    st.tuples(st.just("subnet"), st.sampled_from(clouds.NETWORKS), st.sampled_from(("on", "off", "gone"))),
    st.tuples(
        st.just("host"), st.sampled_from(clouds.HOSTS), st.sampled_from(("tunnel", "plain", "gone", "unreachable"))
    ),
    st.tuples(st.just("underlay"), st.sampled_from(clouds.HOSTS), st.sampled_from((100, 102, None))),
    st.tuples(st.just("follow"), st.sampled_from(clouds.HOSTS)),
)


def happen(world: World, reports: clouds.Reports, event: tuple[object, ...], views: dict[str, Views]) -> None:
    match event:
        case "put_port", port:
            world.put_port(port)  # type: ignore[arg-type]
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
            world.put_network(clouds.network(str(name), up=how == "up"))
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
        case "follow", name:
            follow(world, f"id-{name}", views[str(name)])
        case _:
            raise AssertionError(event)


@given(st.lists(events, max_size=12))
@settings(max_examples=600, deadline=None)
def test_incremental_equals_full(history: list[tuple[object, ...]]) -> None:
    """Following dirty units, at any moments in between, ends where computing everything ends."""
    world, reports = clouds.busy_cloud()
    views: dict[str, Views] = {name: {} for name in clouds.HOSTS}
    for name in clouds.HOSTS:
        follow(world, f"id-{name}", views[name])
    for event in history:
        happen(world, reports, event, views)
    for name in clouds.HOSTS:
        if f"id-{name}" in world.hosts:
            follow(world, f"id-{name}", views[name])
            assert views[name] == full(world, f"id-{name}")


@given(st.lists(events, max_size=40), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_order_of_loading_does_not_matter(history: list[tuple[object, ...]], random: object) -> None:
    """A world rebuilt from the same intent and facts, in any order, has the same views."""
    world, reports = clouds.busy_cloud()
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


def test_another_port_touches_a_handful_of_units() -> None:
    """The cost of a change depends on the change: beside many ports of the same network, no more units are dirty."""
    world, reports = clouds.small_cloud()
    template = clouds.port("p1")
    for number in range(300):
        name = f"q{number}"
        world.put_port(replace(template, id=name, key=1000 + number, mac=EUI(0x020000000000 + number)))  # type: ignore[arg-type]
        reports.plug("h1", name, name, number + 10)
        facts = reports.of("h1")
        plugged = {**facts.interfaces, name: replace(facts.interfaces[name], attached_mac=None)}
        reports.facts["h1"] = replace(facts, interfaces=plugged)
    reports.tell(world, "h1")
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
