# SPDX-License-Identifier: Apache-2.0
"""Every named group of bits in a packet's registers, which carry what earlier tables found out to later ones.

No two slots share a bit unless one of them is scratch; a test walks `SLOTS` and checks it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Final

from sdnctl.flows.fields import Field, Part


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """`width` bits of `field` from bit `low` on, under a name. There is one object for each slot."""

    name: str
    field: Field
    low: int
    width: int
    limit: int = dataclasses.field(init=False, repr=False)
    """The largest value that fits."""
    mask: int = dataclasses.field(init=False, repr=False)
    """Its bits in the register."""

    def __post_init__(self) -> None:
        Part(self.field, self.low, self.width)
        object.__setattr__(self, "limit", (1 << self.width) - 1)
        object.__setattr__(self, "mask", self.limit << self.low)

    @property
    def part(self) -> Part:
        return Part(self.field, self.low, self.width)


NETWORK: Final = Slot("NETWORK", Field.REG0, 0, 24)
"""Key of the network the packet is in."""
AUDIENCE: Final = Slot("AUDIENCE", Field.REG0, 29, 2)
"""Who gets a flooded frame: `EVERYONE`, or `SERVICE_PORTS` of an isolated network, or `OPEN_PORTS`, the ones whose MAC
addresses nobody knows."""
SOURCE: Final = Slot("SOURCE", Field.REG0, 31, 1)
"""Where the packet comes from: `FROM_WORKLOAD` or `FROM_UNDERLAY`."""
FROM_PORT: Final = Slot("FROM_PORT", Field.REG1, 0, 32)
"""Key of the local port that sent the packet; 0 if it came from the underlay."""
TO_PORT: Final = Slot("TO_PORT", Field.REG2, 0, 32)
"""Key of the local port the packet goes to."""
CHUNK: Final = Slot("CHUNK", Field.REG5, 0, 32)
"""Number of the flood chunk that gets a copy."""
GROUP: Final = Slot("GROUP", Field.REG6, 0, 32)
"""Key of the security group that is being asked."""
ZONE: Final = Slot("ZONE", Field.REG7, 0, 16)
"""The connection tracker's zone of the port whose groups are asked: its ofport."""
FILTERING: Final = Slot("FILTERING", Field.REG7, 16, 2)
"""How that port is filtered: `UNFILTERED`, `STATELESS` or `STATEFUL`."""
ALLOWED: Final = Slot("ALLOWED", Field.REG7, 18, 1)
"""Some rule allows the packet."""
KEPT: Final = Slot("KEPT", Field.REG7, 19, 1)
"""One that lets its connections live on when it goes away."""
DROP_REASON: Final = Slot("DROP_REASON", Field.REG7, 20, 8)
"""Why the packet is dropped (`Reason`)."""
DROP_SIDE: Final = Slot("DROP_SIDE", Field.REG7, 28, 1)
"""For which port that is counted (`Side`)."""

ADDRESS: Final = Slot("ADDRESS", Field.REG4, 0, 4)
"""The last bits of the address that a port was observed to use."""
ADDRESS_IS_6: Final = Slot("ADDRESS_IS_6", Field.REG4, 4, 1)
"""It is one of IPv6."""

SLOTS: Final = (
    NETWORK,
    AUDIENCE,
    SOURCE,
    FROM_PORT,
    TO_PORT,
    CHUNK,
    GROUP,
    ZONE,
    FILTERING,
    ALLOWED,
    KEPT,
    DROP_REASON,
    DROP_SIDE,
    ADDRESS,
    ADDRESS_IS_6,
)

EVERYONE: Final = 0
SERVICE_PORTS: Final = 1
OPEN_PORTS: Final = 2
FROM_WORKLOAD: Final = 0
FROM_UNDERLAY: Final = 1
UNFILTERED: Final = 0
STATELESS: Final = 1
STATEFUL: Final = 2
