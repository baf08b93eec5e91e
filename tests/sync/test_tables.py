# SPDX-License-Identifier: Apache-2.0
"""What is installed, and the difference to what should be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sdnctl.apps import statistics
from sdnctl.apps.meters import SAMPLES
from sdnctl.flows import wire
from sdnctl.flows.match import Match
from sdnctl.flows.pipeline import App, Kind, Owner, Reason, Table
from sdnctl.flows.registers import DROP_REASON
from sdnctl.flows.wire import MeterSpec, WireFlow
from sdnctl.sync.tables import EXACT, Compiled, Delta, Tables
from sdnctl.sync.units import Unit, UnitKind
from tests.sync.fakes import FakeSwitch

UNITS = tuple(Unit(UnitKind.PORT, name) for name in ("a", "b", "c"))


def flow(unit: Unit, number: int, body: int = 0) -> WireFlow:
    cookie = Owner(App.CLASSIFY, Kind.PORT, UNITS.index(unit) + 1).cookie()
    return WireFlow(bytes([Table.CLASSIFY, 0, number]), cookie, bytes([0, 1, 0, 8, body, 0, 0, 0]))


def send(delta: Delta, switch: FakeSwitch) -> None:
    """As a host's task does."""
    before = [wire.meter_add(meter) for _, meter in delta.meters_add]
    before += [wire.meter_modify(meter) for _, meter in delta.meters_modify]
    bundle = [wire.forget_message(field, statistics.COOKIE, statistics.COOKIE_MASK) for _, field in delta.forget]
    bundle += [wire.delete_message(one.key, one.cookie, EXACT) for _, one in delta.remove]
    bundle += [wire.add_message(one) for _, one in delta.put]
    switch.apply(before, bundle, [wire.meter_delete(number) for number in delta.meters_remove])


@st.composite
def compiled(draw: st.DrawFn, unit: Unit) -> Compiled:
    """Some flows, in a range of keys that units share: in real life a key passes from one unit to another."""
    numbers = draw(st.sets(st.integers(0, 5), max_size=4))
    meters = draw(st.sets(st.integers(1, 3), max_size=2))
    return Compiled(
        tuple(flow(unit, number, draw(st.integers(0, 1))) for number in sorted(numbers)),
        tuple(MeterSpec(number, draw(st.integers(1, 2))) for number in sorted(meters)),
    )


@st.composite
def steps(draw: st.DrawFn) -> list[dict[Unit, Compiled]]:
    """Changes of some units each; at every moment no key and no meter is wanted by two units, nor meters alone."""
    now: dict[Unit, Compiled] = {}
    result = []
    for _ in range(draw(st.integers(1, 6))):
        touched = draw(st.sets(st.sampled_from(UNITS), min_size=1))
        for unit in touched:
            now.pop(unit, None)
        for unit in sorted(touched):
            new = draw(compiled(unit))
            keys = {one.key for other in now.values() for one in other.flows}
            meters = {one.id for other in now.values() for one in other.meters}
            flows = tuple(one for one in new.flows if one.key not in keys)
            now[unit] = Compiled(flows, tuple(one for one in new.meters if flows and one.id not in meters))
        result.append({unit: now[unit] for unit in touched})
    return result


@given(steps())
def test_applying_the_difference_gives_what_was_wanted(history: list[dict[Unit, Compiled]]) -> None:
    tables, switch, now = Tables(), FakeSwitch(), dict[Unit, Compiled]()
    for changes in history:
        send(tables.update(changes), switch)
        tables.confirmed(changes)
        now.update(changes)
        wanted = {one.key: one for each in now.values() for one in each.flows}
        assert switch.flows == wanted
        assert switch.meters == {one.id: one for each in now.values() for one in each.meters}
        assert len(tables) == len(wanted)
        assert not tables.update(changes)


@given(steps(), steps())
def test_catching_up_from_anything_gives_what_was_wanted(
    before: list[dict[Unit, Compiled]], after: list[dict[Unit, Compiled]]
) -> None:
    switch = FakeSwitch()
    for changes in before:
        send(Tables().update(changes), FakeSwitch())
        for each in changes.values():
            switch.flows.update((one.key, one) for one in each.flows)
            switch.meters.update((one.id, one) for one in each.meters)
    foreign = WireFlow(b"\x00\x00\x63", 0x1234, b"")
    switch.flows[foreign.key] = foreign
    want: dict[Unit, Compiled] = {}
    for changes in after:
        want.update(changes)
    tables = Tables()
    delta = tables.catch_up(want, dict(switch.flows), dict(switch.meters))
    send(delta, switch)
    tables.confirmed(want)
    assert switch.flows == {foreign.key: foreign} | {one.key: one for each in want.values() for one in each.flows}
    assert switch.meters == {one.id: one for each in want.values() for one in each.meters}
    assert not Tables().catch_up(want, dict(switch.flows), dict(switch.meters))


def test_removing_late_does_not_hit_the_next_owner() -> None:
    """An ofport is re-used: the new port's flow has come to the same key before the old port's is removed."""
    tables, switch = Tables(), FakeSwitch()
    old, new = UNITS[0], UNITS[1]
    for changes in ({old: Compiled((flow(old, 5),))}, {new: Compiled((flow(new, 5),))}, {old: Compiled()}):
        send(tables.update(changes), switch)
        tables.confirmed(changes)
    assert switch.flows == {flow(new, 5).key: flow(new, 5)}


def claiming(unit: Unit, zone: int) -> Compiled:
    """A port's flows with a zone: the first one says which."""
    cookie = Owner(App.CLASSIFY, Kind.PORT, UNITS.index(unit) + 1).cookie()
    return Compiled((WireFlow(bytes([0, 0, zone]), cookie, bytes([0, 1, 0, 8, zone, 0, 0, 0])),), (), zone)


def test_zone_is_flushed_for_whoever_comes_to_it_anew() -> None:
    """A port that has its zone keeps its connections, whatever else of it changes."""
    tables, old, new = Tables(), UNITS[0], UNITS[1]
    first = {old: claiming(old, 5)}
    assert tables.update(first).flush == [(old, 5)]
    tables.confirmed(first)
    more = {old: Compiled((*first[old].flows, flow(old, 1)), (), 5)}
    assert tables.update(more).flush == []
    next_one = {old: Compiled(), new: claiming(new, 5)}
    assert tables.update(next_one).flush == [(new, 5)]
    assert tables.update({old: claiming(old, 6)}).flush == [(old, 6)]


def test_zone_survives_a_restart_of_ours_and_of_nobody_else() -> None:
    """What was read back tells who had the zone: the port itself, another one, or nobody."""
    old, new = UNITS[0], UNITS[1]
    have = {one.key: one for one in claiming(old, 5).flows}
    assert Tables().catch_up({old: claiming(old, 5)}, have, {}).flush == []
    assert Tables().catch_up({new: claiming(new, 5)}, have, {}).flush == [(new, 5)]
    assert Tables().catch_up({old: claiming(old, 5)}, {}, {}).flush == [(old, 5)]


def counting(unit: Unit, ofport: int) -> Compiled:
    """A port's flows as far as they say who is at an ofport, and whose frames are counted there."""
    cookie = Owner(App.CLASSIFY, Kind.PORT, UNITS.index(unit) + 1).cookie()
    key = b"\0\0\xc8" + Match().in_port(ofport).oxm
    fields = statistics.sent_by(ofport), statistics.meant_for(UNITS.index(unit) + 1)
    return Compiled((WireFlow(key, cookie, bytes([0, 1, 0, 8, 10, 0, 0, 0])),), learned=fields)


def learned(field: bytes, reason: Reason = Reason.FOREIGN_ARP, table: Table = Table.DROPPED) -> WireFlow:
    """What Open vSwitch makes of a dropped frame."""
    key = bytes([table]) + statistics.LEARNED.to_bytes(2, "big") + field + Match().slot(DROP_REASON, reason).oxm
    flow = WireFlow(key, Owner(App.STATISTICS, Kind.HOST, 1).cookie(reason), b"")
    assert statistics.is_learned(flow)
    return flow


class Counting:
    """A switch that learns whenever it is told to, and what we know of it."""

    def __init__(self) -> None:
        self.tables, self.switch = Tables(), FakeSwitch()

    def change(self, changes: dict[Unit, Compiled]) -> None:
        send(self.tables.update(changes), self.switch)
        self.tables.confirmed(changes)

    def learn(self, *fields: bytes) -> None:
        flows = [learned(one, table=table) for one in fields for table in (Table.DROPPED, Table.SAMPLED)]
        self.switch.flows.update((one.key, one) for one in flows)

    def knows(self) -> set[bytes]:
        return {statistics.whose(one) for one in self.switch.flows.values() if statistics.is_learned(one)}


def test_ports_take_what_was_learned_of_them_along() -> None:
    """When a port goes, when its ofport passes to another one, in whatever order the two are told."""
    old, new = UNITS[0], UNITS[1]
    theirs = [statistics.sent_by(5), statistics.meant_for(1)]
    for order in (({old: Compiled()}, {new: counting(new, 5)}), ({new: counting(new, 5)}, {old: Compiled()})):
        one = Counting()
        one.learn(statistics.sent_by(5))
        one.change({old: counting(old, 5)})
        assert one.knows() == set(), "whoever was there before"
        one.learn(*theirs, statistics.sent_by(9))
        more = counting(old, 5)
        one.change({old: Compiled((*more.flows, flow(old, 1)), learned=more.learned)})
        assert one.knows() == {*theirs, statistics.sent_by(9)}, "a change of anything else costs no count"
        one.change(order[0])
        assert statistics.sent_by(5) not in one.knows()
        one.learn(statistics.sent_by(5))
        one.change(order[1])
        mine = {statistics.sent_by(5)} if order[0].keys() == {new} else set()
        assert one.knows() == {statistics.sent_by(9)} | mine, "a port that goes late does not take the next one's"


def test_ofport_changes_and_the_port_stays() -> None:
    one = Counting()
    one.change({UNITS[0]: counting(UNITS[0], 5)})
    one.learn(statistics.sent_by(5), statistics.meant_for(1), statistics.sent_by(6))
    one.change({UNITS[0]: counting(UNITS[0], 6)})
    assert one.knows() == {statistics.meant_for(1)}


def test_restart_of_ours_keeps_what_is_still_true() -> None:
    """A port at its ofport, the underlay; not what was learned of a port that is gone, or of one before this one."""
    host = Unit(UnitKind.HOST)
    underlay = Compiled(learned=(statistics.sent_by(100),))
    one = Counting()
    one.change({host: underlay, UNITS[0]: counting(UNITS[0], 5), UNITS[1]: counting(UNITS[1], 6)})
    fields = {ofport: statistics.sent_by(ofport) for ofport in (5, 6, 7, 100)}
    one.learn(*fields.values(), *map(statistics.meant_for, (1, 2, 3)))
    want = {host: underlay, UNITS[0]: counting(UNITS[0], 5), UNITS[2]: counting(UNITS[2], 6)}
    have = dict(one.switch.flows)
    send(Tables().catch_up(want, have, {}), one.switch)
    assert one.knows() == {fields[5], fields[100], *map(statistics.meant_for, (1, 3))}
    assert not Tables().catch_up(want, dict(one.switch.flows), {})


def test_meter_made_before_a_refused_bundle_is_not_made_twice() -> None:
    tables = Tables()
    changes = {UNITS[0]: Compiled((), (MeterSpec(1, 10),))}
    tables.meters_sent(tables.update(changes).meters_add)
    assert not tables.update(changes)
    changed = {UNITS[0]: Compiled((), (MeterSpec(1, 20),))}
    assert [meter for _, meter in tables.update(changed).meters_modify] == [MeterSpec(1, 20)]


def limited(unit: Unit, *meters: MeterSpec) -> Compiled:
    return Compiled((flow(unit, 1),), meters)


def test_a_meter_that_passes_to_another_port_begins_anew() -> None:
    """Though it is as the next port's should be. Whoever goes late does not take it along."""
    old, new, meter = UNITS[0], UNITS[1], MeterSpec(8, 5)
    for changes in ([{old: Compiled(), new: limited(new, meter)}], [{new: limited(new, meter)}, {old: Compiled()}]):
        tables = Tables()
        tables.confirmed({old: limited(old, meter)})
        assert tables.port_with_meter(8) == "a"
        assert tables.update(changes[0]).meters_modify == [(new, meter)]
        tables.confirmed(changes[0])
        assert tables.port_with_meter(8) == "b"
        for later in changes[1:]:
            assert tables.update(later).meters_remove == []
            tables.confirmed(later)
        assert tables.port_with_meter(8) == "b"


def test_whose_a_meter_was_is_read_back() -> None:
    """Its own port's goes on counting, also when its limit is another one now; another port's begins anew."""
    old, new, meter, faster = UNITS[0], UNITS[1], MeterSpec(8, 5), MeterSpec(8, 6)
    have = {one.key: one for one in limited(old).flows}
    for unit, wanted, changed, whose in (
        (old, meter, [], "a"),
        (old, faster, [(old, faster)], "a"),
        (new, meter, [(new, meter)], None),
    ):
        tables = Tables()
        delta = tables.catch_up({unit: limited(unit, wanted)}, have, {8: meter})
        assert (delta.meters_modify, delta.meters_add) == (changed, [])
        assert tables.port_with_meter(8) == whose
    tables = Tables()
    assert tables.catch_up({}, have, {8: meter}).meters_remove == [8]
    assert tables.port_with_meter(8) is None


def test_which_meters_are_ports() -> None:
    tables, host, port = Tables(), Unit(UnitKind.HOST), UNITS[0]
    tables.confirmed({host: Compiled((), (MeterSpec(SAMPLES, 5),)), port: limited(port)})
    assert not tables.has_port_meters
    assert tables.port_with_meter(SAMPLES) is None
    tables.confirmed({port: limited(port, MeterSpec(8, 5))})
    assert tables.has_port_meters
    tables.confirmed({}, [8])
    assert tables.port_with_meter(8) is None
