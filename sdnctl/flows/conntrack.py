# SPDX-License-Identifier: Apache-2.0
"""Connection tracking: hand the packet to the tracker, and translate its addresses.

A packet given to `Ct` with a table goes on there, tracked; the flow itself goes on with the untracked packet. `nat`
and `then` run inside. Never ask for a translation that may change nothing: it can bring ovs-vswitchd 3.1 down. And
translation fails open (ports exhausted, equal ICMP ids): guard against untranslated packets afterwards.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import ClassVar, Final

from sdnctl.flows import notation
from sdnctl.flows.fields import Fact, Part
from sdnctl.flows.instruction import LAST_TABLE, Action, nicira, part_of, table_name
from sdnctl.flows.registers import Slot

_KINDS: Final = {"": 0, "src": 1, "dst": 2}
_FLAGS: Final = {"persistent": 4, "hash": 8, "random": 16}
_SIZES: Final = {4: 4, 6: 16}


@dataclass(frozen=True, slots=True, eq=False)
class CtNat(Action):
    """Translate by what the connection says, or (source or destination) to a new address and port of a range.

    Addresses are integers of `version`. A range of one address or port is written with `last` equal to `first`.
    """

    kind: str = ""
    """`src`, `dst`, or empty: as the connection was translated when it was committed."""
    first: int | None = None
    last: int | None = None
    first_port: int | None = None
    last_port: int | None = None
    version: int = 4
    flags: frozenset[str] = frozenset()
    """Among `persistent`, `hash`, `random`."""

    def __post_init__(self) -> None:
        if self.kind not in _KINDS or self.version not in _SIZES:
            raise ValueError(f"nat({self.kind}), IPv{self.version}: src, dst or nothing, of IP version 4 or 6")
        if self.first is None and (self.last or self.first_port or self.last_port or self.flags):
            raise ValueError(f"{self!r}: the rest of a range and flags go with a first address")
        if self.first is not None and not self.kind:
            raise ValueError(f"{self!r}: addresses go with src or dst")
        if self.flags - _FLAGS.keys() or {"hash", "random"} <= self.flags:
            raise ValueError(f"nat flags {sorted(self.flags)}: persistent, and hash or random")
        size = _SIZES[self.version]
        addresses, many = _range("addresses", self.first, self.last, size)
        ports, many_ports = _range("ports", self.first_port, self.last_port, 2)
        present = (0x1 if addresses else 0) | (0x2 if many else 0)
        if self.version == 6:
            present <<= 2
        present |= (0x10 if ports else 0) | (0x20 if many_ports else 0)
        flags = _KINDS[self.kind] | sum(_FLAGS[name] for name in self.flags)
        self.seal(nicira(36, struct.pack("!2xHH", flags, present) + addresses + ports), Fact.CONNECTION)

    def text(self) -> str:
        if self.first is None:
            return f"nat({self.kind})" if self.kind else "nat"
        address = notation.ipv4 if self.version == 4 else notation.ipv6
        ends = [address(end) for end in (self.first, self.last) if end is not None]
        if self.version == 6 and self.first_port is not None:
            ends = [f"[{end}]" for end in ends]
        text = "-".join(dict.fromkeys(ends))
        if self.first_port is not None:
            ports = [str(port) for port in (self.first_port, self.last_port) if port is not None]
            text += f":{'-'.join(dict.fromkeys(ports))}"
        return f"nat({','.join((f'{self.kind}={text}', *(name for name in _FLAGS if name in self.flags)))})"


def _range(what: str, first: int | None, last: int | None, size: int) -> tuple[bytes, bool]:
    """First and, if it is another one, last in `size` bytes each; whether there are two."""
    if first is None:
        if last is not None:
            raise ValueError(f"nat: a range of {what} starts with a first one")
        return b"", False
    last = first if last is None else last
    if not 0 < first <= last < 1 << size * 8:
        raise ValueError(f"nat: {what} {first:#x} to {last:#x} are no range from 1 to {(1 << size * 8) - 1:#x}")
    wire = first.to_bytes(size, "big")
    return (wire, False) if first == last else (wire + last.to_bytes(size, "big"), True)


@dataclass(frozen=True, slots=True, eq=False)
class Ct(Action):
    """Track the packet in `zone` (a number or 16 bits of a register)."""

    zone: int | Slot | Part = 0
    table: int | None = None
    commit: bool = False
    force: bool = False
    nat: CtNat | None = None
    then: tuple[Action, ...] = ()
    """Writes to the connection's mark and label."""
    is_special: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.force and not self.commit:
            raise ValueError("ct(force) needs commit")
        if self.then and not self.commit:
            raise ValueError("ct(exec(...)) writes to a connection, which needs commit")
        if self.nat is not None and self.nat.kind and not self.commit:
            raise ValueError(f"ct({self.nat.text()}) chooses a translation, which needs commit")
        for action in self.then:
            if not action.needs & Fact.CONNECTION or isinstance(action, CtNat):
                raise ValueError(f"ct(exec({action.text()})): only the connection's mark and label are written there")
        if self.table is not None and not 0 <= self.table <= LAST_TABLE:
            raise ValueError(f"ct(table={self.table}): tables are numbered from 0 to 253")
        if isinstance(self.zone, int):
            if not 0 <= self.zone <= 0xFFFF:
                raise ValueError(f"ct(zone={self.zone}): zones have 16 bits")
            source, bits = 0, self.zone
        else:
            part = part_of(self.zone)
            if part.width != 16:
                raise ValueError(f"ct(zone={part.text()}): a zone has 16 bits, not {part.width}")
            source, bits = part.field.nxm, part.low << 6 | part.width - 1
        flags = (1 if self.commit else 0) | (2 if self.force else 0)
        table = 0xFF if self.table is None else self.table
        inner = b"".join([*((self.nat.wire,) if self.nat else ()), *(action.wire for action in self.then)])
        needs = Fact.IP
        if self.nat is not None and self.nat.first is not None:
            needs |= Fact.IPV4 if self.nat.version == 4 else Fact.IPV6
        for action in self.then:
            needs |= action.needs
        wire = nicira(35, struct.pack("!HIHB3xH", flags, source, bits, table, 0) + inner)
        self.seal(wire, needs & ~Fact.CONNECTION)

    def text(self) -> str:
        return self._text(None if self.table is None else str(int(self.table)))

    def named_text(self) -> str:
        return self._text(None if self.table is None else table_name(self.table))

    def _text(self, table: str | None) -> str:
        parts = []
        if self.commit:
            parts.append("commit")
        if self.force:
            parts.append("force")
        if table is not None:
            parts.append(f"table={table}")
        if not isinstance(self.zone, int):
            parts.append(f"zone={part_of(self.zone).text()}")
        elif self.zone:
            parts.append(f"zone={self.zone}")
        if self.nat is not None:
            parts.append(self.nat.text())
        if self.then:
            parts.append(f"exec({','.join(action.text() for action in self.then)})")
        return f"ct({','.join(parts)})"


@dataclass(frozen=True, slots=True, eq=False)
class CtClear(Action):
    """Forget what the tracker said about the packet."""

    def __post_init__(self) -> None:
        self.seal(nicira(43, bytes(6)))

    def text(self) -> str:
        return "ct_clear"
