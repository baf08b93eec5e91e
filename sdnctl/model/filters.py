# SPDX-License-Identifier: Apache-2.0
"""Which identities of a port's frames are held against what it owns.

The three are independent: each forged kind depends on one of them, whatever the others say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Filters:
    """True: only what the port owns may be sent."""

    mac: bool = True
    """The source MAC."""
    arp: bool = True
    """What ARP and neighbour discovery claim: the sender of ARP, target and link-layer address of IPv6."""
    ip: bool = True
    """The IPv4 and IPv6 source."""


NAMES: Final = ("mac", "arp", "ip")
"""Of the filters, as REST has them."""
ALL: Final = Filters()
NONE: Final = Filters(mac=False, arp=False, ip=False)


def without(off: frozenset[str]) -> Filters:
    """All filters but those named."""
    return Filters(mac="mac" not in off, arp="arp" not in off, ip="ip" not in off)
