# SPDX-License-Identifier: Apache-2.0
"""What every action is, and the two that are instructions: apply a meter first, go to a later table last.

An action is an immutable value that was checked when it was made and carries its bytes (`wire`), in the form Open
vSwitch gives back when flows are read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import ClassVar, Final

from sdnctl.flows.fields import Fact, Field, Part, whole
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


class Action:
    """Something a flow does with its packets."""

    __slots__ = ()

    FIRST: ClassVar = 0
    MIDDLE: ClassVar = 1
    LAST: ClassVar = 2

    place: ClassVar[int] = MIDDLE
    """Where in the list it may stand; anything but MIDDLE is an instruction and not an action on the wire."""

    wire: bytes

    def __eq__(self, other: object) -> bool:
        """Equal by meaning, and the bytes say it: a slot is the bits it stands for."""
        return isinstance(other, Action) and self.wire == other.wire

    def __hash__(self) -> int:
        return hash(self.wire)

    def text(self) -> str:
        """As ovs-ofctl prints it."""
        raise NotImplementedError

    def needs(self) -> Fact:
        """What the flow's match must make certain."""
        return Fact.NOTHING


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


def table_text(table: int, *, names: bool = False) -> str:
    """The table's number, or its name as it is written into the switch's database."""
    if names and table in Table._value2member_map_:
        return Table(table).name.lower()
    return str(int(table))


@dataclass(frozen=True, slots=True, eq=False)
class Goto(Action):
    """Go on in a later table. Ends the flow."""

    table: int
    wire: bytes = field(init=False, repr=False)
    place: ClassVar[int] = Action.LAST

    def __post_init__(self) -> None:
        if not 0 < self.table <= LAST_TABLE:
            raise ValueError(f"goto_table:{self.table}: tables that one can go to are 1 to 253")
        _set(self, "wire", _GOTO(1, 8, self.table))

    def text(self) -> str:
        return f"goto_table:{self.table:d}"


@dataclass(frozen=True, slots=True, eq=False)
class Meter(Action):
    """Drop what exceeds the rate of meter `id`. Begins the flow."""

    id: int
    wire: bytes = field(init=False, repr=False)
    place: ClassVar[int] = Action.FIRST

    def __post_init__(self) -> None:
        if not 0 < self.id <= 0xFFFF0000:
            raise ValueError(f"meter:{self.id}: meters are numbered from 1 to 0xffff0000")
        _set(self, "wire", _METER(6, 8, self.id))

    def text(self) -> str:
        return f"meter:{self.id}"
