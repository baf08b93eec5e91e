# SPDX-License-Identifier: Apache-2.0
"""What every action is, and the two that are instructions: apply a meter first, go to a later table last.

An action is an immutable value that was checked when it was made and carries its bytes (`wire`), in the form Open
vSwitch gives back when flows are read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Final

from sdnctl.flows.fields import Field, Part, whole
from sdnctl.flows.pipeline import Table
from sdnctl.flows.registers import Slot

OFPAT_EXPERIMENTER: Final = 0xFFFF
NICIRA: Final = 0x2320
"""The experimenter id under which Open vSwitch extends OpenFlow."""

LAST_TABLE: Final = 253
"""Open vSwitch keeps table 254 for itself, and 255 means all."""

_set = object.__setattr__
_GOTO: Final = struct.Struct("!HHB3x").pack
_METER: Final = struct.Struct("!HHI").pack


class _Interned(type):
    """Classes whose values are made once: most flows share most of their actions, and a look-up is cheaper."""

    if not TYPE_CHECKING:
        __call__ = lru_cache(maxsize=1 << 14)(type.__call__)


class Action(metaclass=_Interned):
    """Something a flow does with its packets."""

    __slots__ = ("needs", "wire")

    FIRST: ClassVar = 0
    MIDDLE: ClassVar = 1
    LAST: ClassVar = 2

    place: ClassVar[int] = MIDDLE
    """Where in the list it may stand; anything but MIDDLE is an instruction and not an action on the wire."""
    is_special: ClassVar[bool] = False
    """What may follow or precede it is restricted, or it changes what is certain of the packets."""

    wire: bytes
    needs: int
    """What (`Fact`) the flow's match must make certain."""

    def seal(self, wire: bytes, needs: int = 0) -> None:
        """The last step of making one: its bytes, and what it needs."""
        _set(self, "wire", wire)
        _set(self, "needs", int(needs))

    def __eq__(self, other: object) -> bool:
        """Equal by meaning, and the bytes say it: a slot is the bits it stands for."""
        return isinstance(other, Action) and self.wire == other.wire

    def __hash__(self) -> int:
        return hash(self.wire)

    def text(self) -> str:
        """As ovs-ofctl prints it."""
        raise NotImplementedError

    def named_text(self) -> str:
        """The same with tables by name."""
        return self.text()


def nicira(subtype: int, payload: bytes) -> bytes:
    """An action of the Nicira extension, padded to a multiple of 8 bytes."""
    length = 10 + len(payload)
    padding = -length % 8
    head = struct.pack("!HHIH", OFPAT_EXPERIMENTER, length + padding, NICIRA, subtype)
    return head + payload + bytes(padding)


def part_of(place: Field | Slot | Part) -> Part:
    """The bits that `place` means."""
    if isinstance(place, Part):
        return place
    return place.part if isinstance(place, Slot) else whole(place)


def table_name(table: int) -> str:
    """The table's name as it stands in the switch's database and as ovs-ofctl writes it; its number if it has none."""
    if table not in Table._value2member_map_:
        return str(int(table))
    name = Table(table).name.lower()
    return name if name.isalnum() else f'"{name}"'


@dataclass(frozen=True, slots=True, eq=False)
class Goto(Action):
    """Go on in a later table. Ends the flow."""

    table: int
    place: ClassVar[int] = Action.LAST
    is_special: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.table <= LAST_TABLE:
            raise ValueError(f"goto_table:{self.table}: tables that one can go to are 1 to 253")
        self.seal(_GOTO(1, 8, self.table))

    def text(self) -> str:
        return f"goto_table:{self.table:d}"

    def named_text(self) -> str:
        return f"goto_table:{table_name(self.table)}"


@dataclass(frozen=True, slots=True, eq=False)
class Meter(Action):
    """Drop what exceeds the rate of meter `id`. Begins the flow."""

    id: int
    place: ClassVar[int] = Action.FIRST
    is_special: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.id <= 0xFFFF0000:
            raise ValueError(f"meter:{self.id}: meters are numbered from 1 to 0xffff0000")
        self.seal(_METER(6, 8, self.id))

    def text(self) -> str:
        return f"meter:{self.id}"
