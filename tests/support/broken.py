# SPDX-License-Identifier: Apache-2.0
"""Ways to break the interpreter of flows: whoever holds it against a switch has to notice each of them.

WAYS["a load fills the whole register"](monkeypatch)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from sdnctl.flows import lookup, simulate
from sdnctl.flows.action import Clone, Conjunction, Ct, Group, Load, Move, Output, Pop, PopVlan, Resubmit, SetField
from sdnctl.flows.connections import Tracked
from sdnctl.flows.fields import Field
from sdnctl.flows.flow import Flow
from sdnctl.flows.instruction import part_of
from sdnctl.flows.lookup import TableIndex
from sdnctl.flows.registers import Slot
from sdnctl.flows.simulate import _Run as Run

Way = Callable[[pytest.MonkeyPatch], None]


def _does(kind: type, function: Callable[..., object]) -> Way:
    """Another function does all actions of a class."""
    return lambda patch: patch.setitem(simulate._DO, kind, function)


def _sees(target: Field, value: Callable[[int], int]) -> Way:
    """Look-ups see another value of a field than the packet has."""
    right = TableIndex.find

    def find(self: TableIndex, values: list[int]) -> Flow | None:
        return right(self, [*values[:target], value(values[target]), *values[target + 1 :]])

    return lambda patch: patch.setattr(TableIndex, "find", find)


def _fill(run: Run, action: Load, _step: int) -> None:
    target = action.target
    run.values[target.field if isinstance(target, Slot) else part_of(target).field] = action.value


def _set(run: Run, action: SetField, _step: int) -> None:
    run.values[action.target] = action.value


def _move(run: Run, action: Move, _step: int) -> None:
    source = part_of(action.source)
    run.write(part_of(action.target), run.values[source.field] & (1 << source.width) - 1)


def _pop(run: Run, action: Pop, _step: int) -> None:
    if run.stack:
        part = part_of(action.target)
        run.write(part, run.stack.pop(0) & (1 << part.width) - 1)


def _pop_vlan(run: Run, _action: PopVlan, _step: int) -> None:
    run.values[Field.VLAN_VID], run.values[Field.VLAN_PCP] = 0, 0


def _send(run: Run, action: Output, step: int) -> None:
    run.send(action.ofport, step)


def _resubmit(run: Run, action: Resubmit, step: int) -> None:
    before = list(run.values)
    simulate._resubmit(run, action, step)
    run.values = before


def _clone(run: Run, action: Clone, step: int) -> None:
    run.actions(action.actions, step)


def _group(run: Run, action: Group, step: int) -> None:
    spec = run.tables.groups.get(action.id)
    for bucket in spec.buckets if spec is not None else ():
        run.actions(simulate._action_set(bucket), step)


def _tracks(run: Run, action: Ct, step: int, known: Callable[[Tracked], Tracked]) -> None:
    right = run.tracker
    run.tracker = lambda zone, packet: known(right(zone, packet))
    simulate._ct(run, action, step)
    run.tracker = right


def _ct(run: Run, action: Ct, step: int) -> None:
    """The flow goes on as if it had been tracked itself."""
    simulate._ct(run, action, step)
    run.values[Field.CT_STATE] = run.tracker(0, run.packet()).state | simulate.TRK_FLAG


def _commit(run: Run, action: Ct, step: int) -> None:
    simulate._ct(run, replace(action, then=()) if action.commit else action, step)


def _completed(flow: Flow, _passed: dict[int, int]) -> int | None:
    return next((one.id for one in flow.actions if isinstance(one, Conjunction)), None)


def _find(self: TableIndex, values: list[int]) -> Flow | None:
    keys = ((one, tuple([values[at] & mask for at, mask in one.tests])) for one in self.subtables)
    hits = (one.chains[key][0] for one, key in keys if key in one.chains)
    return min(hits, key=lambda flow: flow.priority, default=None)


WAYS: Final[dict[str, Way]] = {
    "a load fills the whole register": _does(Load, _fill),
    "set_field ignores its mask": _does(SetField, _set),
    "a move begins at bit 0": _does(Move, _move),
    "the stack is a queue": _does(Pop, _pop),
    "a tag is popped with the one behind it": _does(PopVlan, _pop_vlan),
    "a packet goes back to where it came from": _does(Output, _send),
    "a resubmit changes nothing": _does(Resubmit, _resubmit),
    "a clone is no copy": _does(Clone, _clone),
    "buckets see each other's changes": _does(Group, _group),
    "the tracker's state is lost": _does(Ct, lambda *way: _tracks(*way, lambda known: known._replace(state=0))),
    "the mark of a connection is lost": _does(Ct, lambda *way: _tracks(*way, lambda known: known._replace(mark=0))),
    "what is tracked stays so": _does(Ct, _ct),
    "a commit marks nothing": _does(Ct, _commit),
    "one clause of a conjunction is enough": lambda patch: patch.setattr(lookup, "_completed", _completed),
    "the lowest priority wins": lambda patch: patch.setattr(TableIndex, "find", _find),
    "fragments are whole packets": _sees(Field.IP_FRAG, lambda _value: 0),
    "later fragments are first ones": _sees(Field.IP_FRAG, lambda value: value & 1),
    "a tag is no tag": _sees(Field.VLAN_VID, lambda _value: 0),
    "the last bit of a MAC counts for nothing": _sees(Field.ETH_DST, lambda value: value & ~1),
}
"""By what is wrong then."""
