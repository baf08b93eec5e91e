# SPDX-License-Identifier: Apache-2.0
"""Which packets can come to a table at all: a proof that a broken flow makes no difference, or where it may make one.

    regions = Regions(cloud, host, flows)
    regions.at(table)                               sets of packets; whatever comes to the table is in one of them
    regions.differences(flow, broken)               those of them that meet another flow
    regions.visible(difference)                     and of these, those of which something else may become

A region is a cube: of each bit of each field it says 0, 1 or anything. Regions go through the flows as packets do, and
may only grow on their way. What a later table hardly asks about is forgotten on entering it (`_kept`). A region that
meets a flow in part goes on with that part, and also, whole, to the flows below. So `at` may hold packets that never
come, and lacks none that do; a test holds every packet that is tried against it. Whatever the tracker says (`STATES`,
marks), it may say of any packet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from random import Random
from typing import Final, NamedTuple

from sdnctl.flows.action import (
    Action,
    Clone,
    Conjunction,
    Controller,
    Ct,
    Goto,
    Learn,
    Load,
    Meter,
    Move,
    Output,
    OutputInPort,
    Pop,
    PopVlan,
    Push,
    PushVlan,
    Resubmit,
    SetField,
    Truncate,
)
from sdnctl.flows.connections import EST_FLAG, INV_FLAG, NEW_FLAG, REL_FLAG, RPL_FLAG, TRK_FLAG
from sdnctl.flows.fields import LAYER_4, Fact, Field, Part
from sdnctl.flows.flow import Flow, drop
from sdnctl.flows.instruction import part_of
from sdnctl.flows.oxm import VLAN_TAG, test
from sdnctl.flows.packet import WITHIN, Packet
from sdnctl.flows.pipeline import ENDS, Count, Reason, Side, Table, counted_on, read_cookie
from sdnctl.flows.registers import DROP_REASON, DROP_SIDE, GROUP, NETWORK, TO_PORT, Slot
from tests.apps.clouds import PATCH, TUNNEL, Cloud
from tests.apps.packets import IPV4, IPV6

STRAY: Final = 99
"""A port that is nobody's; it stands for all of them."""
OTHER: Final = 0x10000
"""An Ethernet type that no flow asks about; it stands for all of them."""
STATES: Final = (NEW_FLAG, EST_FLAG, EST_FLAG | RPL_FLAG, REL_FLAG | NEW_FLAG, REL_FLAG | RPL_FLAG, INV_FLAG)
"""What the tracker may say of a packet."""
MOST_WRITES: Final = 4
"""So many ways of coming back from a table are told apart; of more, only what all of them have in common is known."""
MOST_WAYS: Final = 12
DEEPEST: Final = 8
"""So many flows of a table, and tables one after the other, are looked at to see what becomes of all of a region."""
SPLITS: Final = 4
MOST_PARTS: Final = 100
"""So often a region is split where the ways of its packets part, and into so many parts at most."""
FEW_BITS: Final = 8
"""What some flow takes from a region is taken off if so many bits tell it."""

# --- bits of all fields in a row ----------------------------------------------------------------------------------

_AT: Final[dict[Field, int]] = {}
_at = 0
for _field in Field:
    _AT[_field] = _at
    _at += 17 if _field is Field.ETH_TYPE else _field.bits


def _mask(field: Field, mask: int | None = None) -> int:
    """Its bits in the row, or those of `mask`."""
    if field is Field.ETH_TYPE:
        return 0x1FFFF << _AT[field]
    return (field.full if mask is None else mask) << _AT[field]


def _part(part: Part) -> tuple[int, int]:
    """Where it begins, and its bits."""
    at = _AT[part.field] + part.low
    return at, (1 << part.width) - 1 << at


_HEADER: Final = sum(_mask(one) for one in Field if one not in WITHIN) | _mask(Field.IN_PORT)
_TUNNEL: Final = sum(map(_mask, (Field.TUN_ID, Field.TUN_SRC, Field.TUN_DST, Field.TUN_IPV6_SRC, Field.TUN_IPV6_DST)))
_ORIGIN: Final = _HEADER | _TUNNEL
_REGISTERS: Final = sum(_mask(one) for one in Field if one.name.startswith("REG"))
_CONNECTION: Final = sum(map(_mask, (Field.CT_STATE, Field.CT_ZONE, Field.CT_MARK, Field.CT_LABEL)))
_WITHIN: Final = _REGISTERS | _CONNECTION | _mask(Field.METADATA) | _mask(Field.PKT_MARK)
"""0 in every packet that comes in."""
_TAG: Final = _mask(Field.VLAN_VID) | _mask(Field.VLAN_PCP)
_SENT: Final = _REGISTERS | _CONNECTION | _TUNNEL | _TAG | _mask(Field.IN_PORT) | _mask(Field.ETH_SRC)
_ASKED: Final = _mask(TO_PORT.field) | _mask(Field.REG7) | _CONNECTION | NETWORK.mask << _AT[NETWORK.field]
_EVERYTHING: Final = (1 << _at) - 1


def _kept(table: int) -> int:
    """What is not forgotten on entering the table."""
    if table < Table.FROM_QOS:
        return _EVERYTHING
    if table == Table.FROM_VERDICT:
        return _SENT & ~_mask(GROUP.field)
    if table < Table.SWITCHING:
        return _SENT
    if table < Table.TO_STATE:
        return _SENT | _mask(Field.ETH_DST)
    if table in (Table.TO_EVAL, Table.TO_VERDICT):
        return _ASKED
    if table in ENDS:
        return _REGISTERS | _mask(Field.IN_PORT)
    if table == Table.TO_RULES:
        return _ASKED | _mask(GROUP.field)
    return _SENT & ~_mask(Field.ETH_SRC) & ~_TUNNEL


class Region(NamedTuple):
    """Packets that agree in the bits of `mask`."""

    value: int
    mask: int
    written: int = 0
    """Bits that are no longer as the packets came in with them."""
    came: int = 0
    came_mask: int = 0
    """How they came in."""
    kind: int = 0
    kind_mask: int = 0
    """Ethernet type and fragments, and so the fields that they do not have: never forgotten."""

    def also(self, value: int, mask: int) -> Region:
        """Those of them that have these bits too."""
        new = mask & ~self.written
        return self._replace(
            value=self.value | value,
            mask=self.mask | mask,
            came=self.came | value & new,
            came_mask=self.came_mask | new,
        )

    def wrote(self, bits: int, value: int, known: int) -> Region:
        """With other values there; those of `known` are known."""
        return self._replace(
            value=self.value & ~bits | value & known, mask=self.mask & ~bits | known, written=self.written | bits
        )

    def forgot(self, kept: int) -> Region:
        mask = self.mask & kept | self.kind_mask
        came_mask = (self.came_mask & kept | self.kind_mask) & _ORIGIN
        value, came = self.value & kept | self.kind, self.came & kept | self.kind
        return self._replace(
            value=value & mask,
            mask=mask,
            written=self.written & _ORIGIN,
            came=came & came_mask,
            came_mask=came_mask,
        )

    def begun(self) -> Region:
        """As if they came in like that."""
        return self._replace(written=0, came=self.value, came_mask=self.mask)

    def changes(self, of: int) -> tuple[int, int, int]:
        """Bits that are not as they came, their values, and which of these are known."""
        same = self.written & self.mask & self.came_mask & ~(self.value ^ self.came)
        bits = self.written & ~same & of
        return bits, self.value & bits, self.mask & bits

    def read(self, bits: int) -> int | None:
        """What they all have there, shifted by nothing; None if they differ."""
        return self.value & bits if not bits & ~self.mask else None

    def known(self) -> Iterator[tuple[Field, int, int]]:
        """What they came in with: field, value, and the bits of it that are known."""
        for field, at in _AT.items():
            mask = self.came_mask >> at & field.full
            if mask and _mask(field) & _ORIGIN:
                yield field, self.came >> at & mask, mask

    def field(self, field: Field) -> tuple[int, int]:
        """Value now, and the bits of it that are known."""
        return self.value >> _AT[field] & field.full, self.mask >> _AT[field] & field.full

    def slot(self, slot: Slot) -> int | None:
        """What they all have there; None if they differ."""
        value, mask = self.field(slot.field)
        return (value & slot.mask) >> slot.low if mask & slot.mask == slot.mask else None

    def holds(self, packet: Packet, types: frozenset[int]) -> bool:
        """Whether the packet is one of them; `types` are those of `Regions`."""
        row = 0
        for field, at in _AT.items():
            value = packet[field]
            if field is Field.ETH_TYPE and value not in types:
                value = OTHER
            row |= value << at
        return not (row ^ self.value) & self.mask


class _Cube(NamedTuple):
    """What a flow asks for, as bits; of one with conjunctions, with one clause of each dimension."""

    priority: int
    value: int
    mask: int
    flow: Flow
    is_exact: bool
    """Whether every packet with these bits is one of the match; else it asks about more."""


Effects = tuple[object, ...]
Writes = frozenset[tuple[int, int, int]]
NOTHING: Final[Writes] = frozenset({(0, 0, 0)})


class Difference(NamedTuple):
    """Packets that may meet another flow than before."""

    region: Region
    was: Flow | None
    now: Flow | None


@dataclass(frozen=True)
class Regions:
    """See the module's docstring."""

    cloud: Cloud
    host: int
    flows: tuple[Flow, ...]

    @cached_property
    def types(self) -> frozenset[int]:
        """Ethernet types that some flow asks about."""
        tests = (flow.match.get(Field.ETH_TYPE) for flow in self.flows)
        return frozenset(one.value for one in tests if one is not None)

    @cached_property
    def _tables(self) -> dict[int, tuple[_Cube, ...]]:
        found: dict[int, list[Flow]] = {}
        for flow in self.flows:
            found.setdefault(int(flow.table), []).append(flow)
        return {table: self._cubes(flows) for table, flows in found.items()}

    def _cubes(self, flows: Iterable[Flow]) -> tuple[_Cube, ...]:
        """From the highest priority down. What a conjunction becomes stands at the priority of its clauses."""
        clauses: dict[tuple[int, int], list[list[_Cube]]] = {}
        found: list[_Cube] = []
        joined: dict[int, list[_Cube]] = {}
        for flow in flows:
            cube, number = self._cube(flow), flow.match.get(Field.CONJ_ID)
            for one in flow.actions:
                if isinstance(one, Conjunction):
                    there = clauses.setdefault((flow.priority, one.id), [[] for _ in range(one.clauses)])
                    there[one.clause - 1].append(cube)
            if number is not None:
                joined.setdefault(number.value, []).append(cube)
            elif not _is_clause(flow):
                found.append(cube)
        for (priority, number_), dimensions in clauses.items():
            for cubes in product(joined.get(number_, ()), *dimensions):
                cube = _joined(min(priority, cubes[0].priority), cubes)
                if cube is not None:
                    found.append(cube)
        return tuple(sorted(found, key=lambda one: -one.priority))

    def _cube(self, flow: Flow) -> _Cube:
        value = mask = 0
        is_exact = True
        for one in flow.match.tests:
            if one.field is Field.ETH_TYPE:
                is_exact = one.value in self.types
                value |= (one.value if is_exact else OTHER) << _AT[one.field]
                mask |= _mask(one.field)
            elif one.field is not Field.CONJ_ID:
                value |= one.value << _AT[one.field]
                mask |= one.mask << _AT[one.field]
        return _Cube(flow.priority, value, mask, flow, is_exact)

    # --- what comes where ---------------------------------------------------------------------------------------

    def at(self, table: int) -> Iterable[Region]:
        return self._reached.get(table, {})

    @cached_property
    def _reached(self) -> dict[int, dict[Region, Writes]]:
        reached: dict[int, dict[Region, Writes]] = {}
        for born in self._born():
            self._enter(reached, int(Table.CLASSIFY), born)
        return reached

    @cached_property
    def _foreseen(self) -> dict[int, dict[Region, Writes]]:
        """As `_reached`, of packets that a broken flow may send there."""
        return {}

    def _born(self) -> Iterator[Region]:
        """Everything that can come in anywhere."""
        for ofport in (*(one.number for one in self.cloud.on(self.host)), TUNNEL, PATCH, STRAY):
            untunnelled = _TUNNEL if ofport != TUNNEL else _mask(Field.TUN_IPV6_SRC) | _mask(Field.TUN_IPV6_DST)
            for kind, kind_mask in self._kinds():
                for tag, tag_mask in ((0, _TAG), (VLAN_TAG << _AT[Field.VLAN_VID], _mask(Field.VLAN_VID, VLAN_TAG))):
                    value = kind | tag | ofport << _AT[Field.IN_PORT]
                    mask = kind_mask | tag_mask | _WITHIN | untunnelled | _mask(Field.IN_PORT)
                    yield Region(value, mask, 0, value, mask & _ORIGIN, kind, kind_mask)

    def _kinds(self) -> Iterator[tuple[int, int]]:
        for number in (*sorted(self.types), OTHER):
            gives = test(Field.ETH_TYPE, number, 0xFFFF).gives if number != OTHER else 0
            is_ip = number in (IPV4, IPV6)
            value, mask = number << _AT[Field.ETH_TYPE], _mask(Field.ETH_TYPE)
            below = Fact.IP | Fact.IPV4 | Fact.IPV6 | Fact.ARP
            for one in Field:
                if one.requires & below & ~gives or (one.requires & LAYER_4 and not is_ip):
                    mask |= _mask(one)
            for fragment in (0, 1, 3) if is_ip else (0,):
                lacks = sum(_mask(one) for one in Field if one.requires & LAYER_4) if fragment == 3 else 0
                yield value | fragment << _AT[Field.IP_FRAG], mask | lacks | _mask(Field.IP_FRAG)

    def _hits(self, cubes: Iterable[_Cube], region: Region) -> Iterator[tuple[Region, _Cube | None]]:
        """What packets of the region may meet, and which packets."""
        above: list[_Cube] = []
        for cube in cubes:
            if (region.value ^ cube.value) & region.mask & cube.mask:
                continue
            met = region.also(cube.value, cube.mask)
            if any(_covers(one, met) for one in above):
                continue
            yield met, cube
            if _covers(cube, region):
                return
            above.append(cube)
        yield region, None

    def _enter(self, reached: dict[int, dict[Region, Writes]], table: int, region: Region) -> Writes:
        """What may be written before the packets come back from there."""
        region = region.forgot(_kept(table))
        known = reached.setdefault(table, {})
        if region not in known:
            known[region] = NOTHING
            found: set[tuple[int, int, int]] = set()
            for met, cube in self._hits(self._tables.get(table, ()), region):
                found |= self._go(reached, met, cube.flow.actions if cube is not None else (), 0)
            known[region] = _few(found)
        return known[region]

    def _go(
        self, reached: dict[int, dict[Region, Writes]], region: Region, actions: tuple[Action, ...], wrote: int
    ) -> set[tuple[int, int, int]]:
        run = _List()
        for at, action in enumerate(actions):
            if isinstance(action, Goto | Resubmit):
                found: set[tuple[int, int, int]] = set()
                rest = actions[at + 1 :]
                for bits, value, known in self._enter(reached, action.table, region):
                    found |= self._go(reached, region.wrote(bits, value, known), rest, wrote | bits)
                return found
            if isinstance(action, Ct) and action.table is not None:
                for tracked in _tracked(region, action):
                    self._enter(reached, action.table, tracked)
            if isinstance(action, Clone):
                self._go(reached, region, action.actions, 0)
            region = run.changed(region, action)
            wrote |= run.bits(action)
        return {(wrote, region.value & wrote, region.mask & wrote)}

    # --- what a broken flow changes -----------------------------------------------------------------------------

    def differences(self, flow: Flow, broken: Flow | None) -> Iterator[Difference]:
        """Packets that may come to the flow's table and then meet something else than before."""
        cubes = self._tables[int(flow.table)]
        flows = [one for one in self._flows_of(flow.table) if one != flow]
        new = self._cubes(flows if broken is None else [*flows, broken])
        before, after = set(cubes), set(new)
        gone, added = [one for one in cubes if one not in after], [one for one in new if one not in before]
        done: set[tuple[Region, Flow | None, Flow | None]] = set()
        for region in self.at(flow.table):
            for cube in (*gone, *added):
                if (region.value ^ cube.value) & region.mask & cube.mask:
                    continue
                within = region.also(cube.value, cube.mask)
                now = list(self._hits(new, within))
                for one, was_cube in self._hits(cubes, within):
                    for other, now_cube in now:
                        if (one.value ^ other.value) & one.mask & other.mask:
                            continue
                        if was_cube not in gone and now_cube not in added:
                            continue  # both are there before and after, so it is the same one
                        both = one.also(other.value, other.mask)
                        if _is_above(cubes, was_cube, both) or _is_above(new, now_cube, both):
                            continue
                        for part in _beside(both, [*_above(cubes, was_cube), *_above(new, now_cube)]):
                            found = (part, was_cube and was_cube.flow, now_cube and now_cube.flow)
                            if found not in done:
                                done.add(found)
                                yield Difference(*found)

    def visible(self, one: Difference, *, with_reasons: bool = True) -> list[Difference]:
        """Of these packets, those that may be treated otherwise than before; in parts, in any order."""
        there = one._replace(region=one.region.begun())
        found = []
        for part in self._unlike(there, SPLITS, [MOST_PARTS], with_reasons=with_reasons):
            new = part.region.mask & ~one.region.mask
            found.append(one._replace(region=one.region.also(part.region.value & new, new)))
        Random(len(found)).shuffle(found)
        return found

    def can_come(self, one: Difference) -> bool:
        """Whether such packets really come there, when all that is known of them then is known from the start."""
        region, table = one.region, int((one.was or one.now or self.flows[0]).table)
        reached: dict[int, dict[Region, Writes]] = {}
        kind = region.kind, region.kind_mask
        self._enter(reached, int(Table.CLASSIFY), Region(region.came, region.came_mask | _WITHIN, 0, 0, 0, *kind))
        return any(not (one.value ^ region.value) & one.mask & region.mask for one in reached.get(table, {}))

    def _unlike(self, one: Difference, splits: int, budget: list[int], *, with_reasons: bool) -> Iterator[Difference]:
        was, now = self.effects(one.region, one.was), self.effects(one.region, one.now)
        if was.seen(self, with_reasons=with_reasons) == now.seen(self, with_reasons=with_reasons):
            return
        ends = [end.fork for end in (now, was) if end.fork is not None]
        budget[0] -= 1
        if not splits or not ends or budget[0] < 0:
            yield one
            return
        region, table = ends[0]
        cubes = self._tables.get(table, ())
        for met, cube in self._hits(cubes, region):
            for piece in _beside(met, _above(cubes, cube)):
                part = one.region.also(piece.came, piece.came_mask).begun()
                yield from self._unlike(one._replace(region=part), splits - 1, budget, with_reasons=with_reasons)

    def effects(self, region: Region, flow: Flow | None) -> _Way:
        """What becomes of the packets, as far as that is the same for all of them."""
        return self._way_of(region, flow, DEEPEST)

    def _way_of(self, region: Region, flow: Flow | None, depth: int) -> _Way:
        if flow is None:
            return _Way(0, (_Dropped(Reason.MISS, None, is_reported=False, is_counted=True, told=()),), None, None)
        if flow.drops:
            known = read_cookie(flow.cookie)
            assert known is not None
            owner, reason = known
            side, is_reported = counted_on(flow.table, reason), Count.REPORT in reason.count
            told = _counting(region, flow.actions)
            is_counted = told == _counting(region, drop(flow.table, flow.priority, flow.match, owner, reason).actions)
            return _Way(int(flow.table), (_Dropped(reason, side, is_reported, is_counted, told),), None, None)
        return self._after(int(flow.table), region, flow.actions, depth)

    def _after(self, at: int, region: Region, actions: tuple[Action, ...], depth: int) -> _Way:
        run = _List()
        found: list[object] = []
        fork: tuple[Region, int] | None = None
        for action in actions:
            if isinstance(action, Goto | Resubmit):
                way = self._way(region, action.table, depth) if action.table > at else None
                if way is not None and isinstance(action, Goto):
                    return _Way(at, (*found, *way.effects), way.behind, fork or way.fork)
                if way is not None and way.behind is not None:
                    found += way.effects
                    fork = fork or way.fork
                    region = way.behind
                    continue
                fork = fork or (region, int(action.table))
                found.append((type(action).__name__, int(action.table), region.changes(self.asked(action.table))))
                if isinstance(action, Goto):
                    return _Way(at, tuple(found), None, fork)
                bits, _, _ = _one(self._enter(self._foreseen, action.table, region))
                region = region.wrote(bits, 0, 0)
            elif isinstance(action, Output):
                port = region.read(_mask(Field.IN_PORT))
                if port != action.ofport << _AT[Field.IN_PORT]:  # Open vSwitch leaves that one out
                    found.append((action.wire, region.changes(_leaving(action))))
            elif isinstance(action, Clone):
                found.append(("clone", self._after(at, region, action.actions, depth).effects))
            elif isinstance(action, Move | Pop):
                if run.is_blind(region, action):
                    found.append((action.wire, region.changes(_EVERYTHING)))
            elif not isinstance(action, Load | SetField | Push | PopVlan | PushVlan):
                found.append((action.wire, region.changes(_EVERYTHING)))
            region = run.changed(region, action)
        return _Way(at, tuple(found), region, fork)

    def _way(self, region: Region, table: int, depth: int) -> _Way | None:
        """What becomes of all of them in `table`, if it is the same for all."""
        if not depth or table in ENDS:
            return None
        ways: list[_Way] = []
        seen: set[object] = set()
        for met, cube in self._hits(self._tables.get(table, ()), region):
            way = self._way_of(met, cube and cube.flow, depth - 1)
            ways.append(way)
            seen.add((way.effects, way.behind.changes(self.asked_after(table)) if way.behind is not None else None))
            if len(seen) > 1 or len(ways) > MOST_WAYS:
                return None
        fork = ways[0].fork if len(ways) == 1 else next(((region, table) for one in ways if one.fork), None)
        if ways[0].behind is None:
            return ways[0]._replace(fork=fork)
        bits, value, known = ways[0].behind.changes(_EVERYTHING)
        return ways[0]._replace(behind=region.wrote(bits, value, known), fork=fork)

    # --- which bits matter --------------------------------------------------------------------------------------

    def asked(self, table: int) -> int:
        """Bits that make a difference to what becomes of a packet that comes to `table`."""
        return self._live[0].get(int(table), 0) | self.asked_after(table)

    def asked_after(self, table: int) -> int:
        """The same of one that comes back from there."""
        return self._live[1].get(int(table), 0)

    def _flows_of(self, table: int) -> list[Flow]:
        return [flow for flow in self.flows if flow.table == table]

    @cached_property
    def _live(self) -> tuple[dict[int, int], dict[int, int]]:
        """On entering a table, and on coming back from it."""
        entered: dict[int, int] = {}
        left: dict[int, int] = {}
        before = None
        while before != (entered, left):
            before = dict(entered), dict(left)
            for flow in self.flows:
                table = int(flow.table)
                tested = sum(one.mask << _AT[one.field] for one in flow.match.tests if one.field is not Field.ETH_TYPE)
                live = self._read(flow.actions, left.get(table, 0), entered, left, left.get(table, 0))
                entered[table] = entered.get(table, 0) | tested | live
        return entered, left

    def _read(
        self, actions: tuple[Action, ...], live: int, entered: dict[int, int], left: dict[int, int], after: int
    ) -> int:
        """Bits that the actions ask about, if after them `live` are asked about; notes what is behind each Resubmit."""
        for action in reversed(actions):
            match action:
                case Goto():
                    left[action.table] = left.get(action.table, 0) | after
                    live = entered.get(action.table, 0) | left[action.table]
                case Resubmit():
                    left[action.table] = left.get(action.table, 0) | live
                    live |= entered.get(action.table, 0)
                case Output():
                    live |= _leaving(action)
                case Clone():
                    live |= self._read(action.actions, 0, entered, left, 0)
                case Ct():
                    zone = 0 if isinstance(action.zone, int) else _part(part_of(action.zone))[1]
                    live = live & ~_CONNECTION | _HEADER | zone
                    if action.table is not None:
                        live |= entered.get(action.table, 0) & ~_CONNECTION
                case Load() | SetField():
                    live &= ~_List.bits(action)
                case Move() | Push():
                    live |= _part(part_of(action.source))[1]
                case Learn():
                    live |= sum(_part(part_of(one))[1] for one in action.same)
                case Controller() | OutputInPort() | Truncate():
                    live |= _HEADER | _TUNNEL
                case Pop() | PushVlan() | PopVlan() | Conjunction() | Meter():
                    pass
                case _:
                    live |= _EVERYTHING
        return live


class _Dropped(NamedTuple):
    """They are dropped."""

    reason: Reason
    side: Side | None
    is_reported: bool
    is_counted: bool
    """As its reason and its table say."""
    told: tuple[object, ...]


class _Way(NamedTuple):
    """What becomes of a region."""

    table: int
    """Where that begins."""
    effects: Effects
    behind: Region | None
    """The packets when everything is done; None if they never come back."""
    fork: tuple[Region, int] | None
    """The packets where their ways part for the first time, and in which table."""

    def seen(self, regions: Regions, *, with_reasons: bool) -> object:
        """What of it anybody can tell."""
        effects = self.effects
        if not with_reasons:
            effects = tuple(one[1:4] if isinstance(one, _Dropped) else one for one in effects)
        copies = sorted((one for one in effects if _is_copy(one)), key=repr)
        rest = tuple(one for one in effects if not _is_copy(one))
        behind = self.behind.changes(regions.asked_after(self.table)) if self.behind is not None else None
        return copies, rest, behind if behind != (0, 0, 0) else None


def _counting(region: Region, actions: tuple[Action, ...]) -> tuple[object, ...]:
    """What the tables are told that count what is dropped, and which these are; in them, everything that is done."""
    run = _List()
    found: list[object] = []
    for action in actions:
        if isinstance(action, Goto | Resubmit):
            found.append((int(action.table), *(region.slot(one) for one in (DROP_REASON, DROP_SIDE, TO_PORT))))
        elif not isinstance(action, Load):
            found.append(action.wire)
        region = run.changed(region, action)
    return tuple(found)


def _is_copy(effect: object) -> bool:
    """A copy that leaves: their order does not matter."""
    return isinstance(effect, tuple) and isinstance(effect[0], bytes) and effect[0][:2] == b"\0\0"


def _leaving(action: Output) -> int:
    """What of a packet leaves with it."""
    return _HEADER | (_TUNNEL if action.ofport == TUNNEL else 0)


def _above(cubes: Iterable[_Cube], cube: _Cube | None) -> list[_Cube]:
    return [one for one in cubes if one.is_exact and (cube is None or one.priority > cube.priority)]


def _beside(region: Region, cubes: list[_Cube]) -> Iterator[Region]:
    """The region without the packets of the cubes, as far as that takes few parts."""
    parts = [region]
    for cube in cubes:
        if len(parts) > MOST_PARTS:
            break
        further: list[Region] = []
        for part in parts:
            unknown = cube.mask & ~part.mask
            if (part.value ^ cube.value) & part.mask & cube.mask or unknown.bit_count() > FEW_BITS:
                further.append(part)
                continue
            while unknown:
                bit = unknown & -unknown
                unknown ^= bit
                further.append(part.also(~cube.value & bit, bit))
        parts = further
    yield from parts


def _is_clause(flow: Flow) -> bool:
    return any(isinstance(one, Conjunction) for one in flow.actions)


def _joined(priority: int, cubes: tuple[_Cube, ...]) -> _Cube | None:
    """All of these at once; the first one's flow is hit."""
    value = mask = 0
    for one in cubes:
        if (value ^ one.value) & mask & one.mask:
            return None
        value, mask = value | one.value, mask | one.mask
    return _Cube(priority, value, mask, cubes[0].flow, all(one.is_exact for one in cubes))


def _covers(cube: _Cube, region: Region) -> bool:
    """Whether all packets of the region fit."""
    return cube.is_exact and not cube.mask & ~region.mask and not (cube.value ^ region.value) & cube.mask


def _is_above(cubes: Iterable[_Cube], cube: _Cube | None, region: Region) -> bool:
    """Whether one above `cube` has all packets of the region."""
    for one in cubes:
        if one == cube:
            return False
        if _covers(one, region):
            return True
    return False


def _few(found: set[tuple[int, int, int]]) -> Writes:
    return frozenset(found) if len(found) <= MOST_WRITES else frozenset({_one(found)})


def _one(found: Iterable[tuple[int, int, int]]) -> tuple[int, int, int]:
    """Bits that any of them writes; a value is known where all write the same."""
    all_bits, agreed, first = 0, -1, 0
    for place, (bits, value, known) in enumerate(found):
        all_bits |= bits
        if not place:
            agreed, first = known, value
        else:
            agreed &= known & ~(value ^ first)
    return all_bits, first & agreed, agreed if all_bits else 0


def _tracked(region: Region, ct: Ct) -> Iterator[Region]:
    """The packets in each state that the tracker may say, with each mark that we give, or the one just given."""
    given = [one.value for one in ct.then if isinstance(one, SetField) and one.target is Field.CT_MARK]
    for state in STATES:
        for mark in given or range(4):
            value = (state | TRK_FLAG) << _AT[Field.CT_STATE] | mark << _AT[Field.CT_MARK]
            yield region.wrote(_CONNECTION, value, _mask(Field.CT_STATE) | _mask(Field.CT_MARK))


class _List:
    """One list of actions: what it does to bits."""

    def __init__(self) -> None:
        self.stack: list[tuple[int, int]] = []
        self.tags: list[tuple[int, int]] = []

    @staticmethod
    def bits(action: Action) -> int:
        """Which it writes."""
        match action:
            case Load() | Move() | Pop():
                return _part(part_of(action.target))[1]
            case SetField():
                return _mask(action.target, action.mask)
            case PushVlan() | PopVlan():
                return _TAG
            case Ct():
                return _CONNECTION
        return 0

    def is_blind(self, region: Region, action: Move | Pop) -> bool:
        """Whether it is not known what is written."""
        if isinstance(action, Pop):
            return not self.stack or self.stack[-1][1] == 0
        _, bits = _part(part_of(action.source))
        return bool(bits & ~region.mask)

    def changed(self, region: Region, action: Action) -> Region:
        match action:
            case Load():
                at, bits = _part(part_of(action.target))
                return region.wrote(bits, action.value << at, bits)
            case SetField():
                bits = _mask(action.target, action.mask)
                return region.wrote(bits, action.value << _AT[action.target], bits)
            case Move():
                (at, bits), (to, target) = _part(part_of(action.source)), _part(part_of(action.target))
                return region.wrote(target, (region.value & bits) >> at << to, (region.mask & bits) >> at << to)
            case Push():
                at, bits = _part(part_of(action.source))
                self.stack.append(((region.value & bits) >> at, (region.mask & bits) >> at))
            case Pop() if self.stack:
                at, bits = _part(part_of(action.target))
                value, known = self.stack.pop()
                return region.wrote(bits, value << at & bits, known << at & bits)
            case PushVlan():
                self.tags.append((region.value & _TAG, region.mask & _TAG))
                return region.wrote(_TAG, VLAN_TAG << _AT[Field.VLAN_VID], _TAG)
            case PopVlan():
                value, known = self.tags.pop() if self.tags else (0, _TAG)
                return region.wrote(_TAG, value, known)
            case Ct():
                return region.wrote(_CONNECTION, 0, _CONNECTION)
            case OutputInPort():
                pass
        return region
