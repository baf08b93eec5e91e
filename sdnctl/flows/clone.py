# SPDX-License-Identifier: Apache-2.0
"""Copies of a packet with a fate of their own.

What happens to the packet inside of a `Clone` is undone behind it. That says nothing of meters: a meter that drops a
packet drops what is left of the whole action list, and Open vSwitch makes one list of all that a flow and the tables
it leads to do. It gives a clone a list of its own only if one of the clone's own actions cannot be undone; those that
a `Resubmit` in it leads to do not count. A `Truncate` is such an action (`sdnctl.apps.qos.apart`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar, Final

from sdnctl.flows import notation
from sdnctl.flows.conntrack import Ct
from sdnctl.flows.instruction import Action, nicira

SHORTEST: Final = 14
"""Bytes of an Ethernet header, which is never cut."""


@dataclass(frozen=True, slots=True, eq=False)
class Truncate(Action):
    """Send a copy out of port `ofport`, the first `max_len` bytes of it. As any output, never to where it came from."""

    ofport: int
    max_len: int

    def __post_init__(self) -> None:
        if not 0 < self.ofport <= notation.LAST_PORT:
            raise ValueError(f"output(port={self.ofport}): ports are numbered from 1 to {notation.LAST_PORT}")
        if not SHORTEST <= self.max_len < 1 << 32:
            raise ValueError(f"output(max_len={self.max_len}): {SHORTEST} bytes at least, and 32 bits")
        self.seal(nicira(39, struct.pack("!HI", self.ofport, self.max_len)))

    def text(self) -> str:
        return f"output(port={self.ofport},max_len={self.max_len})"


@dataclass(frozen=True, slots=True, eq=False)
class Clone(Action):
    """Do `actions` with a copy of the packet. No instruction stands in it, no other clone, and no ct: tables do."""

    actions: tuple[Action, ...]
    is_special: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.actions:
            raise ValueError("clone(): a copy with which nothing is done")
        for action in self.actions:
            if action.place != Action.MIDDLE or isinstance(action, Ct | Clone):
                raise ValueError(f"{action.text()} cannot stand in a clone; a table can do it (Resubmit)")
        self.seal(nicira(42, bytes(6) + b"".join(action.wire for action in self.actions)))

    def text(self) -> str:
        return f"clone({','.join(action.text() for action in self.actions)})"

    def named_text(self) -> str:
        return f"clone({','.join(action.named_text() for action in self.actions)})"
