# SPDX-License-Identifier: Apache-2.0
"""What somebody wants to know of a packet that a port could send."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from netaddr import IPAddress


class Connection(enum.StrEnum):
    """What connection trackers know of the packet."""

    NEW = "new"
    """It begins a connection."""
    ESTABLISHED = "established"
    """It belongs to one that its sender began, and that was answered."""
    REPLY = "reply"
    """It belongs to one that the other end began."""
    RELATED = "related"
    """It is an ICMP error about one that the other end began."""
    INVALID = "invalid"
    """It can belong to none."""


CONNECTIONS: Final = tuple(one.value for one in Connection)


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketQuestion:
    """What becomes of such a packet of this port?"""

    port_id: str
    fields: str = ""
    """As a match is written: `tcp,tcp_dst=80`. What is left out comes from the two ends."""
    to_port: str | None = None
    to_address: IPAddress | None = None
    connection: Connection = Connection.NEW
    installed: bool = False
    """By the flows that the switches have, not by those that they should have."""
    project_id: str | None = None
    """Whose objects the answer may name; None: everybody's."""
