# SPDX-License-Identifier: Apache-2.0
"""Meters of a local port: which number means what, and the one that guards the controller.

A meter's number is `8 * ofport + kind`, so no two ports share one, and what a meter is for can be read off its number;
below 8 is the host's own.
Open vSwitch's userspace datapath has 262 144 meters; ofports above `LAST_OFPORT` have none, and it gives such numbers
to nobody who does not ask for them.

All that is punted from a port goes by its one meter PUNT, whatever app punts it: what the port may cost the controller
has a bound, and it costs no other port.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple, Self

from sdnctl.flows.action import Meter
from sdnctl.flows.meters import MeterSpec
from sdnctl.model.ids import Ofport
from sdnctl.model.security import Direction
from sdnctl.model.views import LocalPort

KINDS: Final = 8
"""Meters to a port at most."""
LAST_OFPORT: Final = 0x7FFF
SAMPLES: Final = 1
"""The one meter of a host: what is shown to the controller of forged frames (`statistics`)."""

PACKETS_PER_S: Final = 20
"""A client needs four packets for its lease and then two in twelve hours; more is a fault or an attack."""
BURST: Final = 40


class MeterKind(enum.IntEnum):
    """What a port's meter limits: which way, and what in the words of users and metrics."""

    direction: Direction
    limit: str
    text: str

    def __new__(cls, value: int, direction: Direction, limit: str, text: str) -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member.direction = direction
        member.limit = limit
        member.text = text
        return member

    PUNT = 0, Direction.EGRESS, "punt", "more DHCP, announcements and first frames than the controller looks at"
    FROM_BANDWIDTH = 1, Direction.EGRESS, "bandwidth", "more bits than its QoS policy lets it send"
    FROM_PACKETS = 2, Direction.EGRESS, "packet_rate", "more packets than its QoS policy lets it send"
    TO_BANDWIDTH = 3, Direction.INGRESS, "bandwidth", "more bits than its QoS policy lets it receive"
    TO_PACKETS = 4, Direction.INGRESS, "packet_rate", "more packets than its QoS policy lets it receive"


def meter_id(ofport: int, kind: MeterKind) -> int:
    """The number of a port's meter; ValueError for an ofport that has none."""
    if not 0 < ofport <= LAST_OFPORT:
        raise ValueError(f"ofport {ofport}: only ports 1 to {LAST_OFPORT} have meters")
    return ofport * KINDS + kind


class PortMeter(NamedTuple):
    """What a meter is for."""

    ofport: Ofport
    kind: MeterKind


def read_meter_id(number: int) -> PortMeter | None:
    """Whose meter has this number; None for the host's own, and for numbers that no port has."""
    ofport, kind = divmod(number, KINDS)
    if not 0 < ofport <= LAST_OFPORT or kind not in MeterKind._value2member_map_:
        return None
    return PortMeter(Ofport(ofport), MeterKind(kind))  # type: ignore[call-arg]


def punt(ofport: int) -> Meter:
    """What stands before every action that sends a port's frame to the controller."""
    return Meter(meter_id(ofport, MeterKind.PUNT))


def port_meters(view: LocalPort) -> tuple[MeterSpec, ...]:
    """The meters that the port's flows use."""
    return (
        (MeterSpec(meter_id(view.ofport, MeterKind.PUNT), PACKETS_PER_S, BURST),)
        if view.dhcp or view.announces or view.observes
        else ()
    )
