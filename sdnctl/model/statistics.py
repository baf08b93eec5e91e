# SPDX-License-Identifier: Apache-2.0
"""What ports did, as far as anybody counted it: packets through an interface, and forgeries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class PortCounters(NamedTuple):
    """What passed an ofport, seen from the workload behind it."""

    sent_packets: int = 0
    sent_bytes: int = 0
    received_packets: int = 0
    received_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityEvent:
    """A port that sends what is not its own, for one reason, from the first frame until it is quiet again."""

    id: str
    port_id: str
    project_id: str
    network_id: str
    host: str
    """The name of the host it was on."""
    reason: str
    """The drop reason's name, in small letters."""
    text: str
    """The first frame in words."""
    packets: int
    first_seen: float
    last_seen: float
    active: bool
    reading: int
    """What the switch's counter said when this was written; whoever goes on counting begins there."""
