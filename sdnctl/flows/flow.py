# SPDX-License-Identifier: Apache-2.0
"""One flow: table, priority, match, actions and the cookie that names its owner. An immutable value.

A flow that the switch would refuse, or that our rules forbid, cannot be made: going backward, anything behind Goto, a
drop of ours without a reason, an action on a field that the match does not make certain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sdnctl.flows.action import Action, Goto, PopVlan, PushVlan
from sdnctl.flows.fields import Fact
from sdnctl.flows.instruction import LAST_TABLE, table_text
from sdnctl.flows.match import Match
from sdnctl.flows.pipeline import COOKIE_MAGIC, Owner, Reason, Table

_TAGGED: Final = int(Fact.TAGGED)
DEFAULT_PRIORITY: Final = 32768


@dataclass(frozen=True, slots=True)
class Flow:
    """What the switch does with packets of `match`. No actions: they are dropped."""

    table: int
    priority: int
    match: Match
    actions: tuple[Action, ...]
    cookie: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.priority <= 0xFFFF or not 0 <= self.table <= LAST_TABLE or not 0 <= self.cookie < 1 << 64:
            raise ValueError(f"table {self.table}, priority {self.priority}, cookie {self.cookie:#x}: out of range")
        actions = self.actions
        if not actions:
            if self.cookie >> 56 == COOKIE_MAGIC and not self.cookie >> 32 & 0xFF:
                raise ValueError(f"table {self.table}, {self.match!r} drops without a reason in its cookie; use drop()")
            return
        last = len(actions) - 1
        facts = self.match.gives
        for at, action in enumerate(actions):
            place = action.place
            if place == 1:
                needs = int(action.needs())
                if needs & ~facts:
                    missing = Fact(needs & ~facts).name
                    raise ValueError(f"{action.text()} needs a match that also says {missing}; {self.match!r} does not")
                if type(action) is PushVlan:
                    facts |= _TAGGED
                elif type(action) is PopVlan:
                    facts &= ~_TAGGED
            elif place == 2:
                if at != last:
                    raise ValueError(f"{action.text()} is followed by {actions[at + 1].text()}, which never happens")
                if isinstance(action, Goto) and action.table <= self.table:
                    raise ValueError(f"table {_name(self.table)} cannot go back to {_name(action.table)}; use Resubmit")
            elif at:
                raise ValueError(f"{action.text()} stands behind {actions[at - 1].text()}; a meter comes first")

    def text(self, *, names: bool = False) -> str:
        """The line that `ovs-ofctl --no-stats dump-flows` prints for it, without the leading space."""
        actions = ",".join([action.text() for action in self.actions])
        return line(self.table, self.priority, self.match.text(), actions, self.cookie, names=names)


def line(table: int, priority: int, match: str, actions: str, cookie: int, *, names: bool = False) -> str:
    """A flow as ovs-ofctl writes it, of its parts."""
    tests = match if priority == DEFAULT_PRIORITY else f"priority={priority},{match}".rstrip(",")
    owner = f"cookie={cookie:#x}, " if cookie else ""
    place = f"table={table_text(table, names=names)}, " if table or names else ""
    return f"{owner}{place}{tests}{' ' if tests else ''}actions={actions or 'drop'}"


def drop(table: int, priority: int, match: Match, owner: Owner, reason: Reason) -> Flow:
    """A flow of `owner` that drops for `reason`."""
    if reason is Reason.NONE:
        raise ValueError("a drop has a reason")
    return Flow(table, priority, match, (), owner.cookie(reason))


def _name(table: int) -> str:
    return Table(table).name if table in Table._value2member_map_ else str(table)
