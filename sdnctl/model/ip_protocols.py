# SPDX-License-Identifier: Apache-2.0
"""IP protocols by name, as the Networking API names them; the numbers are IANA's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

ICMP: Final = 1
TCP: Final = 6
UDP: Final = 17
ICMPV6: Final = 58
SCTP: Final = 132

NUMBERS: Final[Mapping[str, int]] = {
    "ah": 51,
    "dccp": 33,
    "egp": 8,
    "esp": 50,
    "gre": 47,
    "hopopt": 0,
    "icmp": ICMP,
    "icmpv6": ICMPV6,
    "igmp": 2,
    "ipip": 4,
    "ipv6-encap": 41,
    "ipv6-frag": 44,
    "ipv6-icmp": ICMPV6,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "ipv6-route": 43,
    "ospf": 89,
    "pgm": 113,
    "rsvp": 46,
    "sctp": SCTP,
    "tcp": TCP,
    "udp": UDP,
    "udplite": 136,
    "vrrp": 112,
}
ONLY_IPV6: Final = frozenset({"icmpv6", "ipv6-icmp", "ipv6-frag", "ipv6-nonxt", "ipv6-opts", "ipv6-route"})
"""Names that say IPv6. `ipv6-encap` does not: it is what carries IPv6 inside IPv4."""
EXTENSIONS: Final = frozenset({0, 43, 44, 51, 60})
"""In IPv6 these are headers before the protocol; a switch that looks for the protocol goes past them."""
WITH_PORTS: Final = frozenset({TCP, UDP, SCTP})
"""Those whose ports a switch can see."""


def number(name: str, version: int) -> int:
    """The number of a protocol given by name or number. ICMP is the one of that IP version, however it is spelled."""
    found = NUMBERS[name] if name in NUMBERS else int(name)
    return ICMPV6 if version == 6 and found == ICMP else found
