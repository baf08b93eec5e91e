# SPDX-License-Identifier: Apache-2.0
"""Ways to break a flow: every test, number and action of it gone, wrong or in the wrong place, one at a time.

What would not be a flow at all (`Flow` refuses it, as the switch would) is no mutation.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

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
    PopVlan,
    PushVlan,
    Resubmit,
    SetField,
)
from sdnctl.flows.fields import Fact, Field
from sdnctl.flows.flow import Flow
from sdnctl.flows.match import Match, match_of
from sdnctl.flows.oxm import Test, test
from sdnctl.flows.pipeline import ENDS, REASON_BIT, Reason, Table, read_cookie
from sdnctl.flows.registers import SLOTS
from tests.apps.clouds import PATCH, TUNNEL
from tests.apps.packets import mac

FIRST_OF_ALL = 60000
LONGEST = 160
"""So much of a flow's text says which it is."""


@dataclass(frozen=True)
class Mutation:
    """`flow` becomes `broken`, or goes."""

    host: str
    what: str
    flow: Flow
    broken: Flow | None

    def __str__(self) -> str:
        text = re.sub(r"cookie=\w+, ", "", self.flow.text(names=True))
        return f"{self.host} {self.what}: {text if len(text) <= LONGEST else text[:LONGEST] + '...'}"


def overlaps(one: Match, other: Match) -> bool:
    """Whether some packet fits both."""
    tests = {two.field: two for two in other.tests}
    return all(
        two is None or not (test.value ^ two.value) & test.mask & two.mask
        for test in one.tests
        for two in (tests.get(test.field),)
    )


def mutations(switches: Mapping[str, Iterable[Flow]]) -> Iterator[Mutation]:
    """All that can be done to these flows; where many are alike but for their numbers, to one of them."""
    seen: Counter[object] = Counter()
    for host, some in switches.items():
        yield from _mutations(host, tuple(some), seen)


def _mutations(host: str, flows: tuple[Flow, ...], seen: Counter[object]) -> Iterator[Mutation]:
    targets = _targets(flows)
    for flow in sorted(flows, key=lambda flow: (flow.table, -flow.priority, not _is_shared(flow))):
        shape = _shape(flow)
        seen[shape] += 1
        if seen[shape] > 1:
            continue
        yield Mutation(host, "is missing", flow, None)
        for what, make in _ways(flow, targets):
            with contextlib.suppress(ValueError):
                broken = make()
                if broken != flow:
                    yield Mutation(host, what, flow, broken)


def _is_shared(flow: Flow) -> bool:
    """Whether it is about a MAC that two ports may use, which is the harder case."""
    one = flow.match.get(Field.ETH_SRC)
    return one is not None and one.value == mac(0x83)


def _shape(flow: Flow) -> object:
    """What two flows have in common that are the same for different ports, networks and addresses."""
    known = read_cookie(flow.cookie)
    assert known is not None
    owner, reason = known
    tests = tuple((one.field, one.mask, one.value if one.gives & ~Fact.USES_LAYER_4 else 0) for one in flow.match.tests)
    actions = tuple((type(one), getattr(one, "table", None), getattr(one, "same", ())) for one in flow.actions)
    why = reason if flow.table not in ENDS else None
    return (flow.table, flow.priority, owner.app, owner.kind, why, tests, actions)


def _targets(flows: Iterable[Flow]) -> dict[int, int]:
    """The furthest that each table's flows go on to."""
    found: dict[int, int] = {}
    for flow in flows:
        for action in flow.actions:
            if isinstance(action, Goto) and not flow.drops:
                found[flow.table] = max(action.table, found.get(flow.table, 0))
    return found


Way = tuple[str, Callable[[], Flow]]


def _ways(flow: Flow, targets: dict[int, int]) -> Iterator[Way]:
    yield from _matches(flow)
    yield "comes first", lambda: _with(flow, priority=FIRST_OF_ALL)
    yield "comes last", lambda: _with(flow, priority=1)
    if not flow.drops:
        yield "drops", lambda: _with(flow, actions=(), cookie=flow.cookie | Reason.MISS << 32)
    elif flow.table not in ENDS:
        beyond = targets.get(flow.table, Table.OUTPUT)
        yield "lets pass", lambda: _with(flow, actions=(Goto(beyond),), cookie=flow.cookie & ~(0xFF << 32))
    for at, action in enumerate(flow.actions):
        name = f"{'clone' if isinstance(action, Clone) else action.named_text()} (no. {at + 1})"
        yield f"lacks {name}", lambda at=at: _with(flow, actions=(*flow.actions[:at], *flow.actions[at + 1 :]))
        for what, other in _others(flow, action):
            yield (
                f"{what} {name}",
                lambda at=at, other=other: _with(flow, actions=(*flow.actions[:at], *other(), *flow.actions[at + 1 :])),
            )


def _matches(flow: Flow) -> Iterator[Way]:
    tests = flow.match.tests
    for at, one in enumerate(tests):
        rest = (*tests[:at], *tests[at + 1 :])
        name = one.field.name
        yield f"ignores {name}", lambda rest=rest: _with(flow, match=match_of(rest))
        slots = [slot for slot in SLOTS if slot.field is one.field and not slot.mask & ~one.mask]
        for slot in slots:
            mask = one.mask & ~slot.mask
            if mask:
                yield (
                    f"ignores {slot.name}",
                    lambda one=one, mask=mask, rest=rest: _with(flow, match=_also(rest, one, one.value & mask, mask)),
                )
        low, high = one.mask & -one.mask, 1 << one.mask.bit_length() - 1
        if one.field is Field.CT_MARK:
            high = 2  # marks are small
        bits = [1 << slot.low for slot in slots] or list(dict.fromkeys((low, high)))
        for bit in bits:
            if not slots:
                mask = one.mask & ~bit
                yield (
                    f"ignores bit {bit.bit_length() - 1} of {name}",
                    lambda one=one, mask=mask, rest=rest: _with(flow, match=_also(rest, one, one.value & mask, mask)),
                )
            yield (
                f"has another {name} (bit {bit.bit_length() - 1})",
                lambda one=one, bit=bit, rest=rest: _with(flow, match=_also(rest, one, one.value ^ bit, one.mask)),
            )


def _also(rest: tuple[Test, ...], one: Test, value: int, mask: int) -> Match:
    return match_of((*rest, test(one.field, value, mask)))


def _others(flow: Flow, action: Action) -> Iterator[tuple[str, Callable[[], tuple[Action, ...]]]]:
    """What may stand there instead of `action`."""
    match action:
        case Goto() | Resubmit() if action.table not in ENDS:
            for table in _wrong_tables(flow.table, action.table):
                yield f"goes to {table.name} by", lambda table=table: (type(action)(table),)
        case Load() | SetField():
            yield "has another value in", lambda: (replace(action, value=action.value ^ 1),)
        case Output():
            for port in (PATCH, TUNNEL):
                yield f"has port {port} in", lambda port=port: (Output(port),)
            yield "sends twice by", lambda: (action, action)
        case OutputInPort():
            yield "sends to a port by", lambda: (Output(1),)
        case Move():
            yield "is turned round in", lambda: (Move(action.target, action.source),)
        case PushVlan():
            yield "does twice", lambda: (action, action)
        case PopVlan():
            yield "does twice", lambda: (action, action)
        case Conjunction():
            yield "has another number in", lambda: (replace(action, id=action.id ^ 1),)
            yield "has another clause in", lambda: (replace(action, clause=action.clauses + 1 - action.clause),)
        case Controller() if flow.table not in ENDS:
            yield "sends on by", lambda: (Goto(Table.SWITCHING),)
        case Meter():
            yield "has another number in", lambda: (Meter(action.id ^ 1),)
        case Clone():
            yield "is no clone by", lambda: action.actions
            for at in range(len(action.actions)):
                rest = (*action.actions[:at], *action.actions[at + 1 :])
                lost = action.actions[at].named_text()
                yield f"lacks {lost} (no. {at + 1}) in", lambda rest=rest: (Clone(rest),)
        case Learn():
            for at in range(len(action.same)):
                rest = (*action.same[:at], *action.same[at + 1 :])
                yield f"lacks no. {at + 1} in", lambda rest=rest: (replace(action, same=rest),)
            for table in ENDS - {action.table}:
                yield f"learns in {table.name} by", lambda table=table: (replace(action, table=table),)
            yield "learns below by", lambda: (replace(action, priority=flow.priority),)
            yield "has another cookie in", lambda: (replace(action, cookie=action.cookie ^ 1 << REASON_BIT),)
            yield "never forgets by", lambda: (replace(action, idle_s=0, hard_s=0),)
        case Ct():
            yield "has zone 0 in", lambda: (replace(action, zone=0),)
            yield "has one zone for all in", lambda: (replace(action, zone=77),)
            if action.commit:
                yield "remembers nothing in", lambda: (replace(action, commit=False, then=()),)
                yield "marks nothing in", lambda: (replace(action, then=()),)
                for then in action.then:
                    assert isinstance(then, SetField)
                    for value in {1, 2, 3} - {then.value}:
                        yield (
                            f"marks {value} in",
                            lambda value=value, then=then: (replace(action, then=(replace(then, value=value),)),),
                        )
            if action.table is not None:
                for table in _wrong_tables(0, action.table):
                    yield f"goes to {table.name} by", lambda table=table: (replace(action, table=table),)
                yield "forgets where to go in", lambda: (replace(action, table=None),)


def _wrong_tables(after: int, right: int) -> Iterator[Table]:
    """The next table, the one that trusts what comes there, and the last one."""
    tables = [one for one in Table if one not in ENDS or one == right]
    at = tables.index(Table(right))
    for table in dict.fromkeys((tables[min(at + 1, len(tables) - 1)], Table.SWITCHING, Table.OUTPUT)):
        if table > after and table != right:
            yield table


def _with(
    flow: Flow,
    priority: int | None = None,
    match: Match | None = None,
    actions: tuple[Action, ...] | None = None,
    cookie: int | None = None,
) -> Flow:
    if match is not None and not any(isinstance(one, Conjunction) for one in flow.actions):
        priority = flow.priority + 1  # between flows of one priority the switch may choose; it chooses badly
    return Flow(
        flow.table,
        flow.priority if priority is None else priority,
        flow.match if match is None else match,
        flow.actions if actions is None else actions,
        flow.cookie if cookie is None else cookie,
    )
