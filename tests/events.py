# SPDX-License-Identifier: Apache-2.0
"""Security events for tests."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from sdnctl.model.statistics import SecurityEvent

BEGAN = 1_795_000_000.0


def event(number: int = 1, **values: object) -> SecurityEvent:
    """The event with this number began so many seconds after `BEGAN`."""
    made = SecurityEvent(
        id=str(UUID(int=number)),
        port_id=str(UUID(int=0xA0)),
        project_id="blue",
        network_id=str(UUID(int=0xB0)),
        host="h1",
        reason="foreign_arp",
        text="ARP for 10.0.0.12",
        packets=7,
        first_seen=BEGAN + number,
        last_seen=BEGAN + number + 5.5,
        active=True,
        reading=7,
    )
    return replace(made, **values)  # type: ignore[arg-type]
