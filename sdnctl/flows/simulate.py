# SPDX-License-Identifier: Apache-2.0
"""What a switch with our flows does with a packet: our flow values, read instead of sent.

    tables = Tables(flows)
    outcome = tables.run(packet, tracker=NEW)
    outcome.outputs      copies that left, each with its ofport and what it looked like then
    outcome.drops        steps at which it died, or a copy of it
    outcome.steps        every flow that was hit, in order, with the packet as it came there

It does what Open vSwitch 3.1 does with the same flows; `tests/flows/test_trace.py` and `tests/apps/test_agreement.py`
hold both against each other. What surprises there, surprises here:

* A packet is never sent back to where it came from, but by `OutputInPort`; such a copy is in `Outcome.withheld`.
* `Ct` with a table makes a copy go on there, tracked; the flow itself goes on untracked, whatever was known before.
* What is written into an IP header whose protocol is 0 stays in the switch: such a header leaves as it came.
* A flow with conjunctions counts only together with others of its priority, and what it then becomes is looked up anew.
* Some mistakes void everything: going back by `Resubmit` too deep, too many of them (`Outcome.error`).

The connection tracker is an argument (`sdnctl.flows.connections`). Meters let everything pass. Nothing here is random,
keeps time or has state: equal arguments give equal outcomes.

One function for each class of action, in `_DO`; a test holds that none is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from sdnctl.flows.action import (
    Action,
    Clone,
    Conjunction,
    Controller,
    Ct,
    CtClear,
    CtNat,
    DecTtl,
    Goto,
    Group,
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
from sdnctl.flows.connections import NEW, PORTS, TRK_FLAG, Commit, Tracked, Tracker
from sdnctl.flows.fields import Field, Part
from sdnctl.flows.flow import Flow
from sdnctl.flows.groups import GroupSpec
from sdnctl.flows.instruction import part_of
from sdnctl.flows.lookup import TableIndex
from sdnctl.flows.oxm import ETH_IPV4, ETH_IPV6, VLAN_TAG
from sdnctl.flows.packet import Packet
from sdnctl.flows.pipeline import ENDS, Reason, read_cookie
from sdnctl.flows.registers import Slot

DEEPEST: Final = 64
"""Resubmits to the same or an earlier table, one within the other (Open vSwitch's MAX_DEPTH)."""
MOST: Final = DEEPEST * DEEPEST
"""Tables that one pass looks into (MAX_RESUBMITS)."""
RECIRCULATIONS: Final = 6
"""Passes of one packet, one within the other (MAX_RECIRC_DEPTH of the userspace datapath)."""


# --- what became of it --------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """A packet in a table."""

    table: int
    flow: Flow | None
    """What it hit; None: nothing, so it is dropped."""
    packet: Packet
    """As it came there."""
    parent: int
    """The step that sent it there, or -1."""
    passes: int
    """How often it has been tracked and begun anew."""

    @property
    def reason(self) -> Reason | None:
        """Why it dies here; None if it does not, or had died before and is only counted (`ENDS`)."""
        if self.table in ENDS:
            return None
        if self.flow is None:
            return Reason.MISS
        if not self.flow.drops:
            return None
        known = read_cookie(self.flow.cookie)
        return known[1] if known else Reason.NONE


class Sent(NamedTuple):
    """A copy that left by a port."""

    ofport: int
    packet: Packet
    step: int


class Punt(NamedTuple):
    """A copy for the controller."""

    packet: Packet
    userdata: bytes
    step: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """See the module's docstring. `step` everywhere is the place of the flow that did it, in `steps`."""

    steps: tuple[Step, ...]
    outputs: tuple[Sent, ...]
    withheld: tuple[Sent, ...]
    """Copies that would have gone back by the port they came from."""
    punts: tuple[Punt, ...]
    commits: tuple[Commit, ...]
    tracked: tuple[tuple[int, Packet], ...]
    """Zones in which it was tracked."""
    error: str = ""
    """Why the switch gives up; then nothing leaves."""

    @property
    def drops(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.reason is not None)

    def path(self, step: int) -> list[Step]:
        """The steps that led to `step`, and that one."""
        found = []
        while step >= 0:
            found.append(self.steps[step])
            step = self.steps[step].parent
        return found[::-1]


class SimulationError(Exception):
    """The switch would give up on this packet."""


# --- tables ---------------------------------------------------------------------------------------------------------


class Tables:
    """A switch: flows and groups. Immutable; `changed` makes another one cheaply."""

    def __init__(self, flows: Iterable[Flow], groups: Iterable[GroupSpec] = ()) -> None:
        by_table: dict[int, list[Flow]] = {}
        for flow in flows:
            by_table.setdefault(int(flow.table), []).append(flow)
        self._flows = {number: tuple(some) for number, some in by_table.items()}
        self._tables = {number: TableIndex(some) for number, some in self._flows.items()}
        self.groups: Mapping[int, GroupSpec] = {group.id: group for group in groups}

    @property
    def flows(self) -> Iterator[Flow]:
        for some in self._flows.values():
            yield from some

    def changed(self, without: Iterable[Flow] = (), also: Iterable[Flow] = ()) -> Tables:
        """The same switch without some flows and with others; only their tables are made anew."""
        gone, new = set(without), tuple(also)
        other = Tables(())
        other._flows, other._tables, other.groups = dict(self._flows), dict(self._tables), self.groups
        for number in {int(flow.table) for flow in (*gone, *new)}:
            kept = (flow for flow in self._flows.get(number, ()) if flow not in gone)
            some = (*kept, *(flow for flow in new if flow.table == number))
            other._flows[number], other._tables[number] = some, TableIndex(some)
        return other

    def lookup(self, table: int, packet: Packet) -> Flow | None:
        """The flow that `packet` hits in `table`."""
        return self._find(table, list(packet.values))

    def run(self, packet: Packet, tracker: Tracker = NEW) -> Outcome:
        """What becomes of `packet`, which came in by its IN_PORT."""
        run = _Run(self, packet, tracker)
        error = ""
        try:
            run.table(0, -1)
        except SimulationError as failure:
            error = str(failure)
            run.outputs.clear()
            run.punts.clear()
        return Outcome(
            tuple(run.steps),
            tuple(run.outputs),
            tuple(run.withheld),
            tuple(run.punts),
            tuple(run.commits),
            tuple(run.tracked),
            error,
        )

    def _find(self, table: int, values: list[int]) -> Flow | None:
        there = self._tables.get(table)
        return there.find(values) if there is not None else None


# --- actions ------------------------------------------------------------------------------------------------------


class _Run:
    """One packet's way: the only thing here that changes."""

    def __init__(self, tables: Tables, packet: Packet, tracker: Tracker) -> None:
        self.tables = tables
        self.tracker = tracker
        self.came = packet
        self.values = list(packet.values)
        self.inner = packet.inner
        self.stack: list[int] = []
        self.steps: list[Step] = []
        self.outputs: list[Sent] = []
        self.withheld: list[Sent] = []
        self.punts: list[Punt] = []
        self.commits: list[Commit] = []
        self.tracked: list[tuple[int, Packet]] = []
        self.passes = 0
        self.depth = 0
        self.looked = 0

    def packet(self) -> Packet:
        return Packet(tuple(self.values), self.inner)

    def table(self, number: int, parent: int) -> None:
        """Go through `number` and whatever it goes on to."""
        while True:
            self.looked += 1
            if self.looked > MOST:
                raise SimulationError(f"more than {MOST} tables looked into, the last one is {number}")
            flow = self.tables._find(number, self.values)  # noqa: SLF001  (the same module's)
            step = len(self.steps)
            self.steps.append(Step(number, flow, self.packet(), parent, self.passes))
            if flow is None:
                return
            following = self.actions(flow.actions, step)
            if following is None:
                return
            number, parent = following, step

    def actions(self, actions: Iterable[Action], step: int) -> int | None:
        """Do them; the table to go on with, if any."""
        for action in actions:
            if type(action) is Goto:
                return action.table
            if _DO[type(action)](self, action, step) is _STOP:
                return None
        return None

    def read(self, part: Part) -> int:
        return self.values[part.field] >> part.low & (1 << part.width) - 1

    def write(self, part: Part | Slot, value: int) -> None:
        mask = (1 << part.width) - 1 << part.low
        self.values[part.field] = self.values[part.field] & ~mask | value << part.low

    def send(self, ofport: int, step: int) -> None:
        packet = self.packet()
        if packet[Field.ETH_TYPE] in (ETH_IPV4, ETH_IPV6) and not packet[Field.IP_PROTO]:
            packet = packet.changed({field: self.came[field] for field in _IP_HEADER})
        self.outputs.append(Sent(ofport, packet, step))


_IP_HEADER: Final = (
    Field.IPV4_SRC,
    Field.IPV4_DST,
    Field.IPV6_SRC,
    Field.IPV6_DST,
    Field.IPV6_LABEL,
    Field.IP_DSCP,
    Field.IP_ECN,
    Field.IP_TTL,
)
_HANDING_ON: Final = (Group, Output, Resubmit, Ct)
"""Of these a bucket has one; the first kind it has wins."""
_STOP: Final = object()
"""Given back by an action after which its list does not go on."""


def _output(run: _Run, action: Output, step: int) -> None:
    if action.ofport == run.values[Field.IN_PORT]:
        run.withheld.append(Sent(action.ofport, run.packet(), step))
    else:
        run.send(action.ofport, step)


def _output_in_port(run: _Run, _action: OutputInPort, step: int) -> None:
    run.send(run.values[Field.IN_PORT], step)


def _controller(run: _Run, action: Controller, step: int) -> None:
    run.punts.append(Punt(run.packet(), action.userdata, step))


def _load(run: _Run, action: Load, _step: int) -> None:
    target = action.target
    run.write(target if type(target) is Slot else part_of(target), action.value)


def _set_field(run: _Run, action: SetField, _step: int) -> None:
    if action.mask is None:
        run.values[action.target] = action.value
    else:
        run.values[action.target] = run.values[action.target] & ~action.mask | action.value


def _move(run: _Run, action: Move, _step: int) -> None:
    run.write(part_of(action.target), run.read(part_of(action.source)))


def _push(run: _Run, action: Push, _step: int) -> None:
    run.stack.append(run.read(part_of(action.source)))


def _pop(run: _Run, action: Pop, _step: int) -> None:
    if run.stack:
        part = part_of(action.target)
        run.write(part, run.stack.pop() & (1 << part.width) - 1)


def _push_vlan(run: _Run, _action: PushVlan, _step: int) -> None:
    if run.values[Field.VLAN_VID]:
        # Open vSwitch keeps two: a third one costs the innermost its place.
        run.inner = ((run.values[Field.VLAN_VID], run.values[Field.VLAN_PCP]),)
    run.values[Field.VLAN_VID], run.values[Field.VLAN_PCP] = VLAN_TAG, 0


def _pop_vlan(run: _Run, _action: PopVlan, _step: int) -> None:
    outer, *rest = run.inner or ((0, 0),)
    run.values[Field.VLAN_VID], run.values[Field.VLAN_PCP] = outer
    run.inner = tuple(rest)


def _dec_ttl(run: _Run, _action: DecTtl, step: int) -> object:
    if run.values[Field.IP_TTL] > 1:
        run.values[Field.IP_TTL] -= 1
        return None
    run.punts.append(Punt(run.packet(), b"", step))
    return _STOP


def _resubmit(run: _Run, action: Resubmit, step: int) -> None:
    deeper = action.table <= run.steps[step].table
    if run.depth + deeper > DEEPEST:
        raise SimulationError(f"resubmit to table {action.table} is the {DEEPEST + 1}th within another")
    run.depth += deeper
    run.table(action.table, step)
    run.depth -= deeper


def _group(run: _Run, action: Group, step: int) -> None:
    spec = run.tables.groups.get(action.id)
    for bucket in spec.buckets if spec is not None else ():
        values, inner = list(run.values), run.inner
        run.actions(_action_set(bucket), step)
        run.values, run.inner = values, inner


def _action_set(bucket: tuple[Action, ...]) -> tuple[Action, ...]:
    """What is done of a bucket's actions: of those that hand the packet on, one, and that last."""
    last = next((one for kind in _HANDING_ON for one in reversed(bucket) if type(one) is kind), None)
    kept = tuple(one for one in bucket if type(one) not in _HANDING_ON)
    return kept if last is None else (*kept, last)


def _truncate(run: _Run, action: Truncate, step: int) -> None:
    """A copy; how long it is does not show in its fields."""
    if action.ofport != run.values[Field.IN_PORT]:
        run.send(action.ofport, step)


def _clone(run: _Run, action: Clone, step: int) -> None:
    """What is done to the copy is not done to the packet."""
    before = list(run.values), run.inner, list(run.stack)
    run.actions(action.actions, step)
    run.values, run.inner, run.stack = before


def _meter(_run: _Run, _action: Meter, _step: int) -> None:
    """Lets everything pass."""


def _learn(_run: _Run, _action: Learn, _step: int) -> None:
    """Changes what the next packet meets, which is dropped like this one."""


def _ct(run: _Run, action: Ct, step: int) -> None:
    zone = action.zone if isinstance(action.zone, int) else run.read(part_of(action.zone))
    values, inner, stack = list(run.values), run.inner, list(run.stack)
    known = run.tracker(zone, run.packet())
    run.tracked.append((zone, run.packet()))
    run.values[Field.CT_MARK], run.values[Field.CT_LABEL] = known.mark, known.label
    run.actions(action.then, step)
    if action.commit:
        mark, label = run.values[Field.CT_MARK], run.values[Field.CT_LABEL]
        run.commits.append(Commit(zone, Packet(tuple(values), inner), mark, label, step))
    if action.nat is not None:
        _translate(run, action.nat, known)
    if action.table is not None:
        if run.passes >= RECIRCULATIONS:
            raise SimulationError(f"tracked more than {RECIRCULATIONS} times, one within the other")
        run.values[Field.CT_STATE], run.values[Field.CT_ZONE] = known.state | TRK_FLAG, zone
        depth, looked, run.depth, run.looked = run.depth, run.looked, 0, 0
        run.passes += 1
        run.table(action.table, step)
        run.passes -= 1
        run.depth, run.looked = depth, looked
    run.values, run.inner, run.stack = values, inner, stack
    _untrack(run)


def _translate(run: _Run, nat: CtNat, known: Tracked) -> None:
    """A new connection by what `nat` says (the first of its range), any other by what the tracker says."""
    for target, value in known.translated:
        run.values[target] = value
    if not nat.kind or nat.first is None or known.translated:
        return
    ports = PORTS.get(run.values[Field.IP_PROTO])
    if nat.kind == "src":
        address, port = (Field.IPV4_SRC if nat.version == 4 else Field.IPV6_SRC), ports and ports[0]
    else:
        address, port = (Field.IPV4_DST if nat.version == 4 else Field.IPV6_DST), ports and ports[1]
    run.values[address] = nat.first
    if nat.first_port is not None and port:
        run.values[port] = nat.first_port


def _ct_clear(run: _Run, _action: CtClear, _step: int) -> None:
    if run.values[Field.CT_STATE]:
        _untrack(run)


def _untrack(run: _Run) -> None:
    for target in (Field.CT_STATE, Field.CT_ZONE, Field.CT_MARK, Field.CT_LABEL):
        run.values[target] = 0


def _nothing(_run: _Run, _action: Action, _step: int) -> None:
    """A conjunction that the packet was looked up for is no action; a translation is done by its Ct."""


_DO: Final[dict[type[Action], Callable[..., object]]] = {
    Output: _output,
    OutputInPort: _output_in_port,
    Controller: _controller,
    Load: _load,
    SetField: _set_field,
    Move: _move,
    Push: _push,
    Pop: _pop,
    PushVlan: _push_vlan,
    PopVlan: _pop_vlan,
    DecTtl: _dec_ttl,
    Resubmit: _resubmit,
    Group: _group,
    Meter: _meter,
    Truncate: _truncate,
    Clone: _clone,
    Ct: _ct,
    CtClear: _ct_clear,
    CtNat: _nothing,
    Conjunction: _nothing,
    Goto: _nothing,
    Learn: _learn,
}
"""Every class of action and the function that does it."""
