# SPDX-License-Identifier: Apache-2.0
"""Connection tracking: hand the packet to the tracker, and translate its addresses.

A packet given to `Ct` with a table goes on there, tracked; the flow itself goes on with the untracked packet. `nat`
and `then` run inside. Never ask for a translation that may change nothing: it can bring ovs-vswitchd 3.1 down. And
translation fails open (ports exhausted, equal ICMP ids): guard against untranslated packets afterwards.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Final

from sdnctl.flows import notation
from sdnctl.flows.fields import Fact, Part
from sdnctl.flows.instruction import LAST_TABLE, Action, nicira, part_of
from sdnctl.flows.registers import Slot

_set = object.__setattr__
_IPV4_END: Final = 1 << 32


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
    wire: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in ("", "src", "dst") or self.version not in (4, 6):
            raise ValueError(f"nat({self.kind}): src, dst or nothing, of IP version 4 or 6")
        if not self.kind and (self.first is not None or self.flags):
            raise ValueError("nat: addresses and flags go with src or dst")
        if self.flags - {"persistent", "hash", "random"} or {"hash", "random"} <= self.flags:
            raise ValueError(f"nat flags {sorted(self.flags)}: persistent, and hash or random")
        size = 4 if self.version == 4 else 16
        parts, present = b"", 0
        if self.first is None:
            if self.last is not None or self.first_port is not None or self.flags:
                raise ValueError("nat: a range starts with a first address")
        else:
            last = self.first if self.last is None else self.last
            if not 0 < self.first <= last < 1 << size * 8:
                raise ValueError(f"nat: addresses {self.first:#x} to {last:#x} are no range of IPv{self.version}")
            present |= 0x1 if size == 4 else 0x4
            parts += self.first.to_bytes(size, "big")
            if last != self.first:
                present |= 0x2 if size == 4 else 0x8
                parts += last.to_bytes(size, "big")
        if self.first_port is not None:
            last_port = self.first_port if self.last_port is None else self.last_port
            if not 1 <= self.first_port <= last_port <= 0xFFFF:
                raise ValueError(f"nat: ports {self.first_port} to {last_port} are no range within 1 to 65535")
            present |= 0x10
            parts += self.first_port.to_bytes(2, "big")
            if last_port != self.first_port:
                present |= 0x20
                parts += last_port.to_bytes(2, "big")
        elif self.last_port is not None:
            raise ValueError("nat: a range of ports starts with a first port")
        flags = {"": 0, "src": 1, "dst": 2}[self.kind]
        for bit, name in ((4, "persistent"), (8, "hash"), (16, "random")):
            flags |= bit if name in self.flags else 0
        _set(self, "wire", nicira(36, struct.pack("!2xHH", flags, present) + parts))

    def text(self) -> str:
        if not self.kind:
            return "nat"
        if self.first is None:
            return f"nat({self.kind})"
        address = notation.ipv4 if self.version == 4 else notation.ipv6
        text = address(self.first)
        if self.version == 6 and self.first_port is not None:
            text = f"[{text}]"
        if self.last not in (None, self.first):
            last = address(self.last or 0)
            text = f"{text}-[{last}]" if self.version == 6 and self.first_port is not None else f"{text}-{last}"
        if self.first_port is not None:
            text += f":{self.first_port}"
            if self.last_port not in (None, self.first_port):
                text += f"-{self.last_port}"
        return (
            ",".join(
                (f"nat({self.kind}={text}", *(name for name in ("persistent", "hash", "random") if name in self.flags))
            )
            + ")"
        )

    def needs(self) -> Fact:
        return Fact.CONNECTION


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
    wire: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.force and not self.commit:
            raise ValueError("ct(force) needs commit")
        if self.then and not self.commit:
            raise ValueError("ct(exec(...)) writes to a connection, which needs commit")
        if self.nat is not None and self.nat.kind and not self.commit:
            raise ValueError(f"ct({self.nat.text()}) chooses a translation, which needs commit")
        for action in self.then:
            if not action.needs() & Fact.CONNECTION:
                raise ValueError(
                    f"ct(exec({action.text()})): only the connection's mark and label can be written there"
                )
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
        _set(self, "wire", nicira(35, struct.pack("!HIHB3xH", flags, source, bits, table, 0) + inner))

    def text(self) -> str:
        parts = []
        if self.commit:
            parts.append("commit")
        if self.force:
            parts.append("force")
        if self.table is not None:
            parts.append(f"table={self.table:d}")
        if not isinstance(self.zone, int):
            parts.append(f"zone={part_of(self.zone).text()}")
        elif self.zone:
            parts.append(f"zone={self.zone}")
        if self.nat is not None:
            parts.append(self.nat.text())
        if self.then:
            parts.append(f"exec({','.join(action.text() for action in self.then)})")
        return f"ct({','.join(parts)})"

    def needs(self) -> Fact:
        needed = Fact.IP
        if self.nat is not None and self.nat.first is not None:
            needed |= Fact.IPV4 if self.nat.version == 4 else Fact.IPV6
        for action in self.then:
            needed |= action.needs()
        return needed & ~Fact.CONNECTION


@dataclass(frozen=True, slots=True, eq=False)
class CtClear(Action):
    """Forget what the tracker said about the packet."""

    wire: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _set(self, "wire", nicira(43, bytes(6)))

    def text(self) -> str:
        return "ct_clear"
