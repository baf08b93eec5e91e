# SPDX-License-Identifier: Apache-2.0
"""Units: the pieces in which a host's flows are computed, compared and sent.

A unit is one object seen from one host. It yields all the flows of that object there, and no other unit yields the
same flow. A change names the units it may touch; recomputing one too many only costs time.
"""

from __future__ import annotations

import enum
from typing import NamedTuple


class UnitKind(enum.IntEnum):
    """One member per view of `sdnctl.model.views`."""

    HOST = 1
    PEER = 2
    """`id` is the other host's."""
    NETWORK = 3
    CHUNK = 4
    """`id` is the network's, `number` the chunk's."""
    PORT = 5
    NEIGHBOUR = 6
    STATION = 7
    """`id` is the network's, `number` the MAC."""
    GROUP = 8
    """`id` is the security group's."""
    MEMBER = 9
    """`id` is the network's, `number` the address (`pack_prefix`)."""
    IP_GROUP = 10
    SERVICE_MAC = 13
    """`id` is the network's, `number` the MAC."""


class Unit(NamedTuple):
    """Which object; the host is known from where the unit is kept."""

    kind: UnitKind
    id: str = ""
    number: int = 0


HOST_UNIT = Unit(UnitKind.HOST)


def pack_prefix(version: int, address: int, mask: int) -> int:
    """A prefix as one number: version, length and address."""
    return address << 9 | mask.bit_count() << 1 | (version == 6)


def unpack_prefix(number: int) -> tuple[int, int, int]:
    """Version, address and mask."""
    version, bits = (6, 128) if number & 1 else (4, 32)
    length = number >> 1 & 0xFF
    return version, number >> 9, (1 << bits) - (1 << bits - length)
