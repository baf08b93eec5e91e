# SPDX-License-Identifier: Apache-2.0
"""One flow: table, priority, match, actions and the cookie that names its owner. An immutable value.

A flow that the switch would refuse, or that our rules forbid, cannot be made: going backward, anything behind Goto, a
drop of ours without a reason, an action on a field that the match does not make certain.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Self

from sdnctl.flows.action import Action, Clone, Conjunction, Ct, Goto, Load, PopVlan, PushVlan, Resubmit
from sdnctl.flows.fields import Fact
from sdnctl.flows.instruction import LAST_TABLE, table_name
from sdnctl.flows.match import Match
from sdnctl.flows.pipeline import COOKIE_MAGIC, ENDS, Count, Owner, Reason, Table, counted_on
from sdnctl.flows.registers import DROP_REASON, DROP_SIDE

DEFAULT_PRIORITY: Final = 32768
MOST_TAGS: Final = 2
"""Open vSwitch refuses to push further ones (OFPBAC_BAD_TAG)."""


class _Parts(NamedTuple):
    table: int
    priority: int
    match: Match
    actions: tuple[Action, ...]
    cookie: int


class Flow(_Parts):
    """What the switch does with packets of `match`. No actions: they are dropped."""

    __slots__ = ()

    def __new__(cls, table: int, priority: int, match: Match, actions: tuple[Action, ...], cookie: int = 0) -> Self:
        if not 0 <= priority <= 0xFFFF or not 0 <= table <= LAST_TABLE or not 0 <= cookie < 1 << 64:
            raise ValueError(f"table {table}, priority {priority}, cookie {cookie:#x}: out of range")
        if actions:
            facts = match.gives
            last = actions[-1]
            doubtful = last.needs & ~facts or (last.is_special and not (type(last) is Goto and last.table > table))
            for action in actions[:-1]:
                if action.is_special or action.needs & ~facts:
                    doubtful = True
            if doubtful:
                _check(table, match, actions)
        elif cookie >> 56 == COOKIE_MAGIC and not cookie >> 32 & 0xFF:
            raise ValueError(f"table {_name(table)}, {match!r} drops without a reason in its cookie; use drop()")
        return tuple.__new__(cls, (table, priority, match, actions, cookie))

    def _replace(self, **changes: object) -> Self:
        raise TypeError(
            f"a flow is checked when it is made; make another one instead of replacing {', '.join(changes)}"
        )

    @property
    def drops(self) -> bool:
        """Whether its packets end here: nothing is done with them, or they are counted (`ENDS`) and no more."""
        if not self.actions or self.table in ENDS:
            return True
        last = self.actions[-1]
        return type(last) is Goto and last.table in ENDS

    def text(self, *, names: bool = False) -> str:
        """The line that `ovs-ofctl --no-stats dump-flows` prints for it, without the leading space.

        `names`: with tables by name, as ovs-ofctl prints it with --names.
        """
        actions = ",".join([action.named_text() if names else action.text() for action in self.actions])
        return line(self.table, self.priority, self.match.text(), actions, self.cookie, names=names)


def line(table: int, priority: int, match: str, actions: str, cookie: int, *, names: bool = False) -> str:
    """A flow as ovs-ofctl writes it, of its parts."""
    tests = match if priority == DEFAULT_PRIORITY else f"priority={priority},{match}".rstrip(",")
    owner = f"cookie={cookie:#x}, " if cookie else ""
    place = f"table={table_name(table) if names else int(table)}, " if table or names else ""
    return f"{owner}{place}{tests}{' ' if tests else ''}actions={actions or 'drop'}"


def _check(table: int, match: Match, actions: tuple[Action, ...]) -> None:
    """Raise ValueError unless these actions may follow each other, for these packets."""
    tags = 1 if match.gives & Fact.TAGGED else 0
    for at, action in enumerate(actions):
        tags_then = _tags_behind(action, match, tags)
        if action.place == Action.FIRST and at:
            raise ValueError(f"{action.text()} stands behind {actions[at - 1].text()}; a meter comes first")
        if action.place == Action.LAST and at + 1 < len(actions):
            raise ValueError(f"{action.text()} is followed by {actions[at + 1].text()}, which never happens")
        if type(action) is Goto and action.table <= table:
            raise ValueError(f"table {_name(table)} cannot go back to {_name(action.table)}; use Resubmit")
        if type(action) is Conjunction and not all(type(other) is Conjunction for other in actions):
            raise ValueError(f"{action.text()} stands beside other actions; those belong to the flow with conj_id")
        if type(action) is Ct and action.commit and match.gives & Fact.INVALID:
            raise ValueError(f"{action.text()}: a packet that belongs to no connection cannot be committed")
        if type(action) is Clone:
            _check_cloned(action, match, tags)
        tags = tags_then


def _check_cloned(clone: Clone, match: Match, tags: int) -> None:
    """The same for what stands in a clone, where each action has its place already."""
    for action in clone.actions:
        tags = _tags_behind(action, match, tags)
        if type(action) is Conjunction:
            raise ValueError(f"{action.text()} stands beside other actions; those belong to the flow with conj_id")


def _tags_behind(action: Action, match: Match, tags: int) -> int:
    """How many VLAN tags are known behind an action; ValueError if it asks for more of a packet than is known."""
    facts = match.gives | Fact.TAGGED if tags else match.gives & ~Fact.TAGGED
    missing = action.needs & ~facts
    if missing:
        raise ValueError(f"{action.text()} needs a match that also says {Fact(missing).name}; {match!r} does not")
    if type(action) is PushVlan:
        if tags == MOST_TAGS:
            raise ValueError(f"{action.text()} stands behind {MOST_TAGS} VLAN tags; the switch has room for no more")
        return tags + 1
    return tags - 1 if type(action) is PopVlan else tags


def drop(table: int, priority: int, match: Match, owner: Owner, reason: Reason) -> Flow:
    """A flow of `owner` that drops for `reason`, and has that counted for the port whose frame it is, if any."""
    if reason is Reason.NONE:
        raise ValueError("a drop has a reason")
    return Flow(table, priority, match, _last_way(table, reason), owner.cookie(reason))


def _last_way(table: int, reason: Reason) -> tuple[Action, ...]:
    side = counted_on(table, reason)
    if side is None or table in ENDS:
        return ()
    said = (Load(DROP_REASON, reason), Load(DROP_SIDE, side))
    if Count.REPORT in reason.count:
        return (*said, Resubmit(Table.DROPPED), Goto(Table.SAMPLED))
    return (*said, Goto(Table.DROPPED))


def _name(table: int) -> str:
    return Table(table).name if table in Table._value2member_map_ else str(table)
