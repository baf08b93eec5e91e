# SPDX-License-Identifier: Apache-2.0
"""A packet's way over several switches: what leaves one by a tunnel or a provider bridge comes in at others.

    journey = follow("host1", packet, network)
    journey.visits                       each switch that saw it, with what became of it there

`network` says what there is between switches (`Network`). Hosts are named by strings; nothing else is known of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from sdnctl.flows.connections import Tracker
from sdnctl.flows.fields import Field
from sdnctl.flows.packet import Packet
from sdnctl.flows.simulate import Outcome, Sent, Tables

MOST_VISITS: Final = 256
"""A packet that has come to more switches goes round in circles; every copy counts."""


class Onward(NamedTuple):
    """A packet as it comes in at another switch."""

    host: str
    packet: Packet


class Network(Protocol):
    """Switches, and what is between them."""

    def tables(self, host: str) -> Tables | None:
        """The switch; None if nothing is known of it, so that what goes there is lost sight of."""
        ...

    def tracker(self, host: str) -> Tracker: ...

    def onward(self, host: str, sent: Sent) -> Iterable[Onward]:
        """Where a copy that leaves `host` comes in again; nowhere if it is at its end."""
        ...


@dataclass(frozen=True, slots=True)
class Visit:
    """A packet at a switch."""

    host: str
    packet: Packet
    """As it came in."""
    outcome: Outcome | None
    """None: nothing is known of the switch."""
    parent: int = -1
    """The visit that sent it there, or -1 for the first."""
    sent: int = -1
    """Which of that visit's outputs it is."""


@dataclass(frozen=True, slots=True)
class Journey:
    """All visits, each after the one that caused it."""

    visits: tuple[Visit, ...]
    is_endless: bool = False


def follow(host: str, packet: Packet, network: Network) -> Journey:
    """Where `packet` goes that comes in at `host`."""
    visits: list[Visit] = []
    waiting = [(Onward(host, packet), -1, -1)]
    while waiting:
        (where, received), parent, sent = waiting.pop(0)
        if len(visits) >= MOST_VISITS:
            return Journey(tuple(visits), is_endless=True)
        tables = network.tables(where)
        outcome = None if tables is None else tables.run(received, network.tracker(where))
        number = len(visits)
        visits.append(Visit(where, received, outcome, parent, sent))
        for at, copy in enumerate(outcome.outputs if outcome is not None else ()):
            waiting += ((one, number, at) for one in network.onward(where, copy))
    return Journey(tuple(visits))


def through_tunnel(packet: Packet, source: int, ofport: int) -> Packet:
    """What comes out of a tunnel, at the port `ofport`, of `packet` that went in at the endpoint `source`."""
    received = packet.on_the_wire()
    there = {Field.TUN_ID: packet[Field.TUN_ID], Field.TUN_SRC: source, Field.TUN_DST: packet[Field.TUN_DST]}
    return received.changed({Field.IN_PORT: ofport, **there})


def across(packet: Packet, ofport: int) -> Packet:
    """What comes in at the port `ofport` of `packet`, over a link or a bridge that changes nothing."""
    return packet.on_the_wire().changed({Field.IN_PORT: ofport})
