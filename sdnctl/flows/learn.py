# SPDX-License-Identifier: Apache-2.0
"""Flows that the switch makes by itself, out of the packet it has before it.

Open vSwitch's `learn` can do more than `Learn` says: ours make drops only, of packets that are like this one in some
bits. Whose a learned flow is and why it drops says its cookie, as with all others.

When it happens (seen with Open vSwitch 3.1): as the packet that has no way through the caches yet is looked up, so
before the next one. That packet counts for the flow with the `Learn`, every later one for the learned flow.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from sdnctl.flows.fields import Field, Part
from sdnctl.flows.instruction import LAST_TABLE, Action, nicira, part_of, table_name
from sdnctl.flows.pipeline import COOKIE_MAGIC
from sdnctl.flows.registers import Slot

_LEARN: Final = 16
_HEAD: Final = struct.Struct("!HHHQHBxHH").pack
_SPEC: Final = struct.Struct("!HIHIH")
DEFAULT_PRIORITY: Final = 32768


@dataclass(frozen=True, slots=True, eq=False)
class Learn(Action):
    """Make a flow in `table` that drops what has the same `same` as this packet, for as long as it is used.

    `idle_s`: after so many seconds without a packet it goes away; `hard_s`: after so many in any case; 0: never.
    """

    table: int
    priority: int
    cookie: int
    same: tuple[Slot | Field | Part, ...]
    idle_s: int = 0
    hard_s: int = 0

    def __post_init__(self) -> None:
        times = 0 <= self.idle_s <= 0xFFFF and 0 <= self.hard_s <= 0xFFFF
        if not 0 <= self.table <= LAST_TABLE or not 0 <= self.priority <= 0xFFFF or not times:
            raise ValueError(f"{self.text()}: table, priority or time is out of range")
        if not self.same:
            raise ValueError(f"{self.text()}: a flow that drops everything is no flow to learn")
        if not 0 <= self.cookie < 1 << 64 or (self.cookie >> 56 == COOKIE_MAGIC and not self.cookie >> 32 & 0xFF):
            raise ValueError(f"{self.text()}: a flow that drops has a reason in its cookie")
        specs = b""
        for part in map(part_of, self.same):
            if part.field.needs:
                raise ValueError(f"{self.text()}: {part.text()} needs a test of the protocol, which is not learned")
            specs += _SPEC.pack(part.width, part.field.nxm, part.low, part.field.nxm, part.low)
        head = _HEAD(self.idle_s, self.hard_s, self.priority, self.cookie, 0, self.table, 0, 0)
        self.seal(nicira(_LEARN, head + specs))

    def text(self) -> str:
        return self._text(str(int(self.table)))

    def named_text(self) -> str:
        return self._text(table_name(self.table))

    def _text(self, table: str) -> str:
        parts = [f"table={table}"]
        if self.idle_s:
            parts.append(f"idle_timeout={self.idle_s}")
        if self.hard_s:
            parts.append(f"hard_timeout={self.hard_s}")
        if self.priority != DEFAULT_PRIORITY:
            parts.append(f"priority={self.priority}")
        if self.cookie:
            parts.append(f"cookie={self.cookie:#x}")
        return f"learn({','.join((*parts, *(part_of(one).text() for one in self.same)))})"


def read_learn(data: bytes, parts: dict[int, Field]) -> Learn:
    """The value of a learn action's bytes; ValueError, KeyError or struct.error if it is none of ours."""
    idle_s, hard_s, priority, cookie, _, table = struct.unpack_from("!HHHQHB", data, 10)
    same: list[Part] = []
    at = 32
    while at + _SPEC.size <= len(data) and data[at : at + 2] != b"\0\0":
        width, header, low, _, _ = _SPEC.unpack_from(data, at)
        same.append(Part(parts[header], low, width))
        at += _SPEC.size
    return Learn(table, priority, cookie, tuple(same), idle_s, hard_s)
