# SPDX-License-Identifier: Apache-2.0
"""The connection tracker of a simulated switch: a function of zone and packet, and one with a memory.

tables.run(packet, NEW)                            every packet begins a connection
tables.run(packet, always(EST_FLAG, mark=3))       every packet belongs to one with this mark
known = Connections()
known = known.after(tables.run(packet, known))     what flows commit is remembered
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from sdnctl.flows.fields import Field
from sdnctl.flows.notation import CT_FLAGS
from sdnctl.flows.oxm import ETH_IPV4, IP_SCTP, IP_TCP, IP_UDP
from sdnctl.flows.packet import Packet

NEW_FLAG, EST_FLAG, REL_FLAG, RPL_FLAG, INV_FLAG, TRK_FLAG = (
    1 << CT_FLAGS.index(name) for name in ("new", "est", "rel", "rpl", "inv", "trk")
)


class Tracked(NamedTuple):
    """What a tracker says of a packet."""

    state: int
    """`NEW_FLAG` and the others; TRK_FLAG need not be said."""
    mark: int = 0
    label: int = 0
    translated: tuple[tuple[Field, int], ...] = ()
    """What `ct(nat)` makes of it."""


Tracker = Callable[[int, Packet], Tracked]
"""Zone and packet to what is known of its connection there."""


def always(state: int, mark: int = 0, label: int = 0) -> Tracker:
    """A tracker that says the same of every packet in every zone."""
    known = Tracked(state, mark, label)
    return lambda _zone, _packet: known


NEW: Final = always(NEW_FLAG)


class Commit(NamedTuple):
    """A connection that a flow has the tracker remember."""

    zone: int
    packet: Packet
    mark: int
    label: int
    step: int


class Followed(Protocol):
    """What `Connections` learns from: a simulation's outcome."""

    @property
    def tracked(self) -> tuple[tuple[int, Packet], ...]: ...
    @property
    def commits(self) -> tuple[Commit, ...]: ...


class _Connection(NamedTuple):
    """What is remembered of one: who began it (its key), its mark, and whether it was answered."""

    mark: int
    label: int
    answered: bool


PORTS: Final = {
    IP_TCP: (Field.TCP_SRC, Field.TCP_DST),
    IP_UDP: (Field.UDP_SRC, Field.UDP_DST),
    IP_SCTP: (Field.SCTP_SRC, Field.SCTP_DST),
}
"""Source and destination port of the protocols that have such."""


@dataclass(frozen=True, slots=True)
class Connections:
    """A tracker with a memory, as a value: `after` gives the next one.

    Connections are told apart by protocol, addresses and ports; messages of ICMP all belong to the one of their two
    ends. It knows neither TCP's flags nor time, and related packets are what `related` says.
    """

    known: Mapping[tuple[int, ...], _Connection] = field(default_factory=dict)

    def __call__(self, zone: int, packet: Packet) -> Tracked:
        there, back = _ends(zone, packet)
        found = self.known.get(there)
        if found is not None:
            return Tracked(EST_FLAG if found.answered else NEW_FLAG, found.mark, found.label)
        found = self.known.get(back)
        if found is not None:
            return Tracked(EST_FLAG | RPL_FLAG, found.mark, found.label)
        return Tracked(NEW_FLAG)

    def after(self, outcome: Followed) -> Connections:
        """What is known when `outcome` is over."""
        known = dict(self.known)
        for zone, packet in outcome.tracked:
            back = _ends(zone, packet)[1]
            if back in known:
                known[back] = known[back]._replace(answered=True)
        for one in outcome.commits:
            there, back = _ends(one.zone, one.packet)
            key = back if back in known else there
            answered = key in known and known[key].answered
            known[key] = _Connection(one.mark, one.label, answered)
        return Connections(known)


def _ends(zone: int, packet: Packet) -> tuple[tuple[int, ...], tuple[int, ...]]:
    values = packet.values
    ip, protocol = values[Field.ETH_TYPE], values[Field.IP_PROTO]
    src, dst = (Field.IPV4_SRC, Field.IPV4_DST) if ip == ETH_IPV4 else (Field.IPV6_SRC, Field.IPV6_DST)
    first, second = PORTS.get(protocol, (0, 0))
    ours, theirs = (values[src], values[first]), (values[dst], values[second])
    return (zone, ip, protocol, *ours, *theirs), (zone, ip, protocol, *theirs, *ours)
