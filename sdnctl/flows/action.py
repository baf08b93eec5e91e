# SPDX-License-Identifier: Apache-2.0
"""What a flow does with its packets: small values, each with its text and its bytes.

Where OpenFlow offers several forms of one action, each class uses the one that Open vSwitch gives back unchanged:
whole fields are set by set_field, named bits by load (reg_load), bits under a mask by reg_load2.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from sdnctl.flows import notation
from sdnctl.flows.conntrack import Ct, CtClear, CtNat
from sdnctl.flows.fields import Fact, Field, Notation, Part
from sdnctl.flows.instruction import LAST_TABLE, Action, Goto, Meter, nicira, part_of
from sdnctl.flows.registers import Slot

__all__ = [
    "Action",
    "Conjunction",
    "Controller",
    "Ct",
    "CtClear",
    "CtNat",
    "DecTtl",
    "Goto",
    "Group",
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
    wire: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.ofport <= notation.LAST_PORT and self.ofport != LOCAL:
            raise ValueError(f"output:{self.ofport}: ports are numbered from 1 to {notation.LAST_PORT}")
        _set(self, "wire", _OUTPUT(0, 16, self.ofport, 0))

    def text(self) -> str:
        return "LOCAL" if self.ofport == LOCAL else f"output:{self.ofport}"


@dataclass(frozen=True, slots=True, eq=False)
class OutputInPort(Action):
    """Send the packet back to where it came from."""

    wire: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _set(self, "wire", _OUTPUT(0, 16, IN_PORT, 0))

    def text(self) -> str:
        return "IN_PORT"


@dataclass(frozen=True, slots=True, eq=False)
class Controller(Action):
    """Send the packet to us, at most `max_len` bytes of it (65535: all, and nothing is kept back in the switch).

    `userdata` comes along with it, to us alone; OpenFlow proper has no such thing, so then it is Nicira's action.
    """

    max_len: int = 0xFFFF
    userdata: bytes = b""
    wire: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.max_len <= 0xFFFF:
            raise ValueError(f"controller(max_len={self.max_len}): at most 65535")
        if not self.userdata:
            _set(self, "wire", _OUTPUT(0, 16, CONTROLLER, self.max_len))
            return
        properties = b"" if self.max_len == 0xFFFF else struct.pack("!HHH2x", 0, 8, self.max_len)
        length = 4 + len(self.userdata)
        properties += struct.pack("!HH", 3, length) + self.userdata + bytes(-length % 8)
        _set(self, "wire", nicira(37, bytes(6) + properties))

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
    wire: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        target = self.target if type(self.target) is Slot else part_of(self.target)
        what, low, width = target.field, target.low, target.width
        if not what.is_settable:
            raise ValueError(f"{what.match_name} cannot be written")
        if width > 64 or not 0 <= self.value < 1 << width:
            raise ValueError(f"load:{self.value:#x}: does not fit {target!r} (and no load writes more than 64 bits)")
        _set(self, "wire", _LOAD(0xFFFF, 24, 0x2320, 7, low << 6 | width - 1, what.nxm, self.value))

    def text(self) -> str:
        return f"load:{notation.hexadecimal(self.value)}->{part_of(self.target).text()}"

    def needs(self) -> Fact:
        return to_write(self.target if isinstance(self.target, Field) else self.target.field)


@dataclass(frozen=True, slots=True, eq=False)
class SetField(Action):
    """Write `value` into `target`, or into its bits under `mask`."""

    target: Field
    value: int
    mask: int | None = None
    wire: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        target, value, mask = self.target, self.value, self.mask
        if not target.is_settable or target is Field.IN_PORT:
            instead = "; use Load" if target.is_settable else ""
            raise ValueError(f"{target.match_name} cannot be set{instead}")
        if mask is None:
            if not 0 <= value <= target.valid:
                raise ValueError(f"set_field:{value:#x}: {target.name_set} is at most {target.valid:#x}")
            oxm = target.oxm + value.to_bytes(target.size, "big")
            length = 4 + len(oxm)
            padding = -length % 8
            _set(self, "wire", struct.pack("!HH", 25, length + padding) + oxm + bytes(padding))
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
        _set(self, "wire", nicira(33, oxm))

    def text(self) -> str:
        mask = self.target.full if self.mask is None else self.mask
        return f"set_field:{set_text(self.target, self.value, mask)}->{self.target.name_set}"

    def needs(self) -> Fact:
        return to_write(self.target)


@dataclass(frozen=True, slots=True, eq=False)
class Move(Action):
    """Copy bits from one place to another of the same width."""

    source: Slot | Field | Part
    target: Slot | Field | Part
    wire: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        source, target = part_of(self.source), part_of(self.target)
        if source.width != target.width:
            raise ValueError(f"move:{source.text()}->{target.text()}: {source.width} bits into {target.width}")
        if not target.field.is_settable:
            raise ValueError(f"{target.field.match_name} cannot be written")
        wire = _MOVE(0xFFFF, 24, 0x2320, 6, source.width, source.low, target.low, source.field.nxm, target.field.nxm)
        _set(self, "wire", wire)

    def text(self) -> str:
        return f"move:{part_of(self.source).text()}->{part_of(self.target).text()}"

    def needs(self) -> Fact:
        return part_of(self.source).field.needs | to_write(part_of(self.target).field)


@dataclass(frozen=True, slots=True, eq=False)
class Push(Action):
    """Put bits of the packet onto the stack."""

    source: Slot | Field | Part
    wire: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        part = part_of(self.source)
        _set(self, "wire", nicira(27, struct.pack("!HIH6x", part.low, part.field.nxm, part.width)))

    def text(self) -> str:
        return f"push:{part_of(self.source).text()}"

    def needs(self) -> Fact:
        return part_of(self.source).field.needs


@dataclass(frozen=True, slots=True, eq=False)
class Pop(Action):
    """Take the top of the stack into bits of the packet."""

    target: Slot | Field | Part
    wire: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        part = part_of(self.target)
        if not part.field.is_settable:
            raise ValueError(f"{part.field.match_name} cannot be written")
        _set(self, "wire", nicira(28, struct.pack("!HIH6x", part.low, part.field.nxm, part.width)))

    def text(self) -> str:
        return f"pop:{part_of(self.target).text()}"

    def needs(self) -> Fact:
        return to_write(part_of(self.target).field)


@dataclass(frozen=True, slots=True, eq=False)
class PushVlan(Action):
    """Add a VLAN tag of id 0; a SetField of VLAN_VID follows."""

    eth_type: int = ETH_VLAN
    wire: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.eth_type not in (ETH_VLAN, ETH_QINQ):
            raise ValueError(f"push_vlan:{self.eth_type:#x}: 0x8100 or 0x88a8")
        _set(self, "wire", _SHORT(17, 8, self.eth_type))

    def text(self) -> str:
        return f"push_vlan:0x{self.eth_type:04x}"


@dataclass(frozen=True, slots=True, eq=False)
class PopVlan(Action):
    """Take the outer VLAN tag off."""

    wire: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _set(self, "wire", _WORD(18, 8, 0))

    def text(self) -> str:
        return "pop_vlan"

    def needs(self) -> Fact:
        return Fact.TAGGED


@dataclass(frozen=True, slots=True, eq=False)
class DecTtl(Action):
    """Take one from the TTL or hop limit; at zero the packet is dropped."""

    wire: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _set(self, "wire", _WORD(24, 8, 0))

    def text(self) -> str:
        return "dec_ttl"

    def needs(self) -> Fact:
        return Fact.IP


@dataclass(frozen=True, slots=True, eq=False)
class Resubmit(Action):
    """Run table `table`, then come back and go on. May go backward."""

    table: int
    wire: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.table <= LAST_TABLE:
            raise ValueError(f"resubmit(,{self.table}): tables are numbered from 0 to 253")
        _set(self, "wire", nicira(14, struct.pack("!HB3x", 0xFFF8, self.table)))

    def text(self) -> str:
        return f"resubmit(,{self.table:d})"


@dataclass(frozen=True, slots=True, eq=False)
class Group(Action):
    """Hand the packet to group `id`."""

    id: int
    wire: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.id <= 0xFFFFFF00:
            raise ValueError(f"group:{self.id}: groups are numbered from 0 to 0xffffff00")
        _set(self, "wire", _WORD(22, 8, self.id))

    def text(self) -> str:
        return f"group:{self.id}"


@dataclass(frozen=True, slots=True, eq=False)
class Conjunction(Action):
    """The packet passes dimension `clause` (1 to `clauses`) of conjunction `id`; all passed: it matches conj_id."""

    id: int
    clause: int
    clauses: int
    wire: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 2 <= self.clauses <= 64 or not 1 <= self.clause <= self.clauses or not 0 <= self.id < 1 << 32:
            raise ValueError(f"{self.text()}: 2 to 64 dimensions, counted from 1")
        _set(self, "wire", nicira(34, struct.pack("!BBI", self.clause - 1, self.clauses, self.id)))

    def text(self) -> str:
        return f"conjunction({self.id},{self.clause}/{self.clauses})"


def to_write(target: Field) -> Fact:
    """What must be certain of packets in whom `target` is written."""
    if target in {Field.CT_MARK, Field.CT_LABEL}:
        return Fact.CONNECTION
    return target.needs | Fact.TAGGED if target is Field.VLAN_VID else target.needs


def set_text(target: Field, value: int, mask: int) -> str:
    """The value of a set_field, written a little otherwise than in a match."""
    if target is Field.VLAN_VID or (mask != target.full and target.notation is Notation.DECIMAL):
        return str(value) if mask == target.full else f"{value}/{mask:#x}"
    if target.notation is Notation.HEX5:
        return notation.hexadecimal(value) + ("" if mask == target.full else f"/{mask:#x}")
    return notation.write(target, value, mask)
