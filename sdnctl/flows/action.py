# SPDX-License-Identifier: Apache-2.0
"""What a flow does with its packets: small values, each with its text and its bytes.

Where OpenFlow offers several forms of one action, each class uses the one that Open vSwitch gives back unchanged:
whole fields are set by set_field, named bits by load (reg_load), bits under a mask by reg_load2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar, Final

from sdnctl.flows import notation
from sdnctl.flows.clone import Clone, Truncate
from sdnctl.flows.conntrack import Ct, CtClear, CtNat
from sdnctl.flows.fields import Fact, Field, Notation, Part
from sdnctl.flows.instruction import LAST_TABLE, Action, Goto, Meter, nicira, part_of, table_name
from sdnctl.flows.learn import Learn
from sdnctl.flows.oxm import VLAN_TAG
from sdnctl.flows.registers import Slot

__all__ = [
    "Action",
    "Clone",
    "Conjunction",
    "Controller",
    "Ct",
    "CtClear",
    "CtNat",
    "DecTtl",
    "Goto",
    "Group",
    "Learn",
    "Load",
    "Meter",
    "Move",
    "Output",
    "OutputInPort",
    "Pop",
    "PopVlan",
    "Push",
    "PushVlan",
    "Resubmit",
    "SetField",
    "Truncate",
]

IN_PORT: Final = 0xFFFFFFF8
CONTROLLER: Final = 0xFFFFFFFD
LOCAL: Final = 0xFFFFFFFE
ETH_VLAN: Final = 0x8100
ETH_QINQ: Final = 0x88A8

_OUTPUT: Final = struct.Struct("!HHIH6x").pack
_LOAD: Final = struct.Struct("!HHIHHIQ").pack
_MOVE: Final = struct.Struct("!HHIHHHHII").pack
_SHORT: Final = struct.Struct("!HHH2x").pack
_WORD: Final = struct.Struct("!HHI").pack
_set = object.__setattr__


@dataclass(frozen=True, slots=True, eq=False)
class Output(Action):
    """Send a copy out of port `ofport`. Open vSwitch never sends it back where it came from: that is OutputInPort."""

    ofport: int

    def __post_init__(self) -> None:
        if not 0 < self.ofport <= notation.LAST_PORT and self.ofport != LOCAL:
            raise ValueError(f"output:{self.ofport}: ports are numbered from 1 to {notation.LAST_PORT}")
        self.seal(_OUTPUT(0, 16, self.ofport, 0))

    def text(self) -> str:
        return "LOCAL" if self.ofport == LOCAL else f"output:{self.ofport}"


@dataclass(frozen=True, slots=True, eq=False)
class OutputInPort(Action):
    """Send the packet back to where it came from."""

    def __post_init__(self) -> None:
        self.seal(_OUTPUT(0, 16, IN_PORT, 0))

    def text(self) -> str:
        return "IN_PORT"


@dataclass(frozen=True, slots=True, eq=False)
class Controller(Action):
    """Send the packet to us, at most `max_len` bytes of it (65535: all, and nothing is kept back in the switch).

    `userdata` comes along with it, to us alone; OpenFlow proper has no such thing, so then it is Nicira's action.
    """

    max_len: int = 0xFFFF
    userdata: bytes = b""

    def __post_init__(self) -> None:
        if not 0 <= self.max_len <= 0xFFFF:
            raise ValueError(f"controller(max_len={self.max_len}): at most 65535")
        if not self.userdata:
            self.seal(_OUTPUT(0, 16, CONTROLLER, self.max_len))
            return
        properties = b"" if self.max_len == 0xFFFF else struct.pack("!HHH2x", 0, 8, self.max_len)
        length = 4 + len(self.userdata)
        properties += struct.pack("!HH", 3, length) + self.userdata + bytes(-length % 8)
        self.seal(nicira(37, bytes(6) + properties))

    def text(self) -> str:
        if not self.userdata:
            return f"CONTROLLER:{self.max_len}"
        length = "" if self.max_len == 0xFFFF else f"max_len={self.max_len},"
        return f"controller({length}userdata={'.'.join(f'{byte:02x}' for byte in self.userdata)})"


@dataclass(frozen=True, slots=True, eq=False)
class Load(Action):
    """Write `value` into a slot, a field or a part of one (64 bits at most)."""

    target: Slot | Field | Part
    value: int

    def __post_init__(self) -> None:
        target = self.target if type(self.target) is Slot else part_of(self.target)
        what, low, width = target.field, target.low, target.width
        if not what.is_settable:
            raise ValueError(f"{what.match_name} cannot be written")
        if width > 64 or not 0 <= self.value < 1 << width:
            raise ValueError(f"load:{self.value:#x}: does not fit {target!r} (and no load writes more than 64 bits)")
        wire = _LOAD(0xFFFF, 24, 0x2320, 7, low << 6 | width - 1, what.nxm, self.value)
        self.seal(wire, what.write_needs)

    def text(self) -> str:
        return f"load:{notation.hexadecimal(self.value)}->{part_of(self.target).text()}"


@dataclass(frozen=True, slots=True, eq=False)
class SetField(Action):
    """Write `value` into `target`, or into its bits under `mask`."""

    target: Field
    value: int
    mask: int | None = None

    def __post_init__(self) -> None:
        target, value, mask = self.target, self.value, self.mask
        if not target.is_settable or target is Field.IN_PORT:
            instead = "; use Load" if target.is_settable else ""
            raise ValueError(f"{target.match_name} cannot be set{instead}")
        if mask is None:
            if not 0 <= value <= target.valid:
                raise ValueError(f"set_field:{value:#x}: {target.name_set} is at most {target.valid:#x}")
            if target is Field.VLAN_VID and not value & VLAN_TAG:
                raise ValueError(f"set_field:{value}->vlan_vid: bit 12 says that there is a tag; add 4096")
            self.seal(target.set_head + value.to_bytes(target.size, "big") + target.set_pad, self.target.write_needs)
            return
        if not target.is_maskable:
            raise ValueError(f"{target.match_name} is set as a whole, not with a mask")
        if not 0 < mask < target.full or value & ~mask or value < 0:
            raise ValueError(
                f"set_field:{value:#x}/{mask:#x}: the mask is part of the field's {target.bits} bits (leave it out for"
                " all), and the value has no bits outside of it"
            )
        head = (target.nxm & 0xFFFFFE00 | 0x100 | target.size * 2).to_bytes(4, "big")
        oxm = head + value.to_bytes(target.size, "big") + mask.to_bytes(target.size, "big")
        self.seal(nicira(33, oxm), self.target.write_needs)

    def text(self) -> str:
        mask = self.target.full if self.mask is None else self.mask
        return f"set_field:{set_text(self.target, self.value, mask)}->{self.target.name_set}"


@dataclass(frozen=True, slots=True, eq=False)
class Move(Action):
    """Copy bits from one place to another of the same width."""

    source: Slot | Field | Part
    target: Slot | Field | Part

    def __post_init__(self) -> None:
        source, target = part_of(self.source), part_of(self.target)
        if source.width != target.width:
            raise ValueError(f"move:{source.text()}->{target.text()}: {source.width} bits into {target.width}")
        if not target.field.is_settable:
            raise ValueError(f"{target.field.match_name} cannot be written")
        wire = _MOVE(0xFFFF, 24, 0x2320, 6, source.width, source.low, target.low, source.field.nxm, target.field.nxm)
        self.seal(wire, source.field.needs | target.field.write_needs)

    def text(self) -> str:
        return f"move:{part_of(self.source).text()}->{part_of(self.target).text()}"


@dataclass(frozen=True, slots=True, eq=False)
class Push(Action):
    """Put bits of the packet onto the stack."""

    source: Slot | Field | Part

    def __post_init__(self) -> None:
        part = part_of(self.source)
        wire = nicira(27, struct.pack("!HIH6x", part.low, part.field.nxm, part.width))
        self.seal(wire, part.field.needs)

    def text(self) -> str:
        return f"push:{part_of(self.source).text()}"


@dataclass(frozen=True, slots=True, eq=False)
class Pop(Action):
    """Take the top of the stack into bits of the packet."""

    target: Slot | Field | Part

    def __post_init__(self) -> None:
        part = part_of(self.target)
        if not part.field.is_settable:
            raise ValueError(f"{part.field.match_name} cannot be written")
        wire = nicira(28, struct.pack("!HIH6x", part.low, part.field.nxm, part.width))
        self.seal(wire, part.field.write_needs)

    def text(self) -> str:
        return f"pop:{part_of(self.target).text()}"


@dataclass(frozen=True, slots=True, eq=False)
class PushVlan(Action):
    """Add a VLAN tag of id 0; a SetField of VLAN_VID follows."""

    eth_type: int = ETH_VLAN
    is_special: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.eth_type not in (ETH_VLAN, ETH_QINQ):
            raise ValueError(f"push_vlan:{self.eth_type:#x}: 0x8100 or 0x88a8")
        self.seal(_SHORT(17, 8, self.eth_type))

    def text(self) -> str:
        return f"push_vlan:0x{self.eth_type:04x}"


@dataclass(frozen=True, slots=True, eq=False)
class PopVlan(Action):
    """Take the outer VLAN tag off."""

    is_special: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.seal(_WORD(18, 8, 0), Fact.TAGGED)

    def text(self) -> str:
        return "pop_vlan"


@dataclass(frozen=True, slots=True, eq=False)
class DecTtl(Action):
    """Take one from the TTL or hop limit; at zero the packet is dropped."""

    def __post_init__(self) -> None:
        self.seal(_WORD(24, 8, 0), Fact.IP)

    def text(self) -> str:
        return "dec_ttl"


@dataclass(frozen=True, slots=True, eq=False)
class Resubmit(Action):
    """Run table `table`, then come back and go on. May go backward."""

    table: int

    def __post_init__(self) -> None:
        if not 0 <= self.table <= LAST_TABLE:
            raise ValueError(f"resubmit(,{self.table}): tables are numbered from 0 to 253")
        self.seal(nicira(14, struct.pack("!HB3x", 0xFFF8, self.table)))

    def text(self) -> str:
        return f"resubmit(,{self.table:d})"

    def named_text(self) -> str:
        return f"resubmit(,{table_name(self.table)})"


@dataclass(frozen=True, slots=True, eq=False)
class Group(Action):
    """Hand the packet to group `id`."""

    id: int

    def __post_init__(self) -> None:
        if not 0 <= self.id <= 0xFFFFFF00:
            raise ValueError(f"group:{self.id}: groups are numbered from 0 to 0xffffff00")
        self.seal(_WORD(22, 8, self.id))

    def text(self) -> str:
        return f"group:{self.id}"


@dataclass(frozen=True, slots=True, eq=False)
class Conjunction(Action):
    """The packet passes dimension `clause` (1 to `clauses`) of conjunction `id`; all passed: it matches conj_id."""

    id: int
    clause: int
    clauses: int
    is_special: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 2 <= self.clauses <= 64 or not 1 <= self.clause <= self.clauses or not 0 <= self.id < 1 << 32:
            raise ValueError(f"{self.text()}: 2 to 64 dimensions, counted from 1")
        self.seal(nicira(34, struct.pack("!BBI", self.clause - 1, self.clauses, self.id)))

    def text(self) -> str:
        return f"conjunction({self.id},{self.clause}/{self.clauses})"


def set_text(target: Field, value: int, mask: int) -> str:
    """The value of a set_field, written a little otherwise than in a match."""
    if target is Field.VLAN_VID or (mask != target.full and target.notation is Notation.DECIMAL):
        return str(value) if mask == target.full else f"{value}/{mask:#x}"
    if target.notation is Notation.HEX5:
        return notation.hexadecimal(value) + ("" if mask == target.full else f"/{mask:#x}")
    return notation.write(target, value, mask)
