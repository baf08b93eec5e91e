# SPDX-License-Identifier: Apache-2.0
"""The tables, who fills them, and how a flow's cookie names its owner.

Table numbers, app numbers, kinds and drop reasons stand here once. Numbers are part of what is installed on running
switches: they may be added to, never re-used for something else.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, Self


class Table(enum.IntEnum):
    """OpenFlow tables in the order a packet passes them. The gaps are for stages to come."""

    CLASSIFY = 0
    """Where a frame comes from: workload port, tunnel, provider bridge."""
    TUNNEL = 2
    """Frames from a known tunnel peer: VNI to network."""
    PORT_SECURITY = 10
    """From a workload only with a MAC it owns."""
    SOURCE_SECURITY = 11
    """Only with an ARP sender or IP source that it owns together with that MAC; no DHCP server's answers."""
    ND_SECURITY = 12
    """IPv6 of an owned source: neighbour discovery only about owned addresses; no router advertisements."""
    RESPONDERS = 20
    """Which ARP and ND question is answered with which MAC; DHCP punted."""
    REPLY = 22
    """The question is turned into its answer and sent back."""
    IP_GROUPS = 24
    """A member announces the address of its IP group: a copy to the controller."""
    FROM_QOS = 26
    """What a port may send: its rate, its mark."""
    FROM_PACKETS = 27
    """Its rate of packets, where it has one of bits as well."""
    FROM_STATE = 30
    """What a port with security groups sends is tracked, in the port's zone."""
    FROM_EVAL = 31
    """What the connection says; then each group of the port is asked."""
    FROM_RULES = 32
    """One group's rules of direction egress."""
    FROM_VERDICT = 33
    """The answer: a new connection is remembered, or one that is allowed no more is cut."""
    ISOLATION = 58
    """In a network with client isolation: to or from service ports only."""
    SWITCHING = 60
    """(network, MAC) to local port, tunnel peer, provider bridge, or flooding."""
    FLOOD = 62
    """One copy to the other hosts of the network."""
    FLOOD_LOCAL = 64
    """Which chunks of local ports get a copy."""
    FLOOD_CHUNK = 66
    """One copy to each local port of a chunk."""
    UNDERLAY = 68
    """One frame to the other hosts of its network, by tunnel or provider bridge."""
    TO_STATE = 70
    """What goes to a port with security groups is tracked, in that port's zone."""
    TO_EVAL = 71
    """As FROM_EVAL."""
    TO_RULES = 72
    """One group's rules of direction ingress."""
    TO_VERDICT = 73
    """As FROM_VERDICT."""
    OUTPUT = 80
    """To the local port, by its key."""
    TO_PACKETS = 82
    """The rate of packets of a port that has one of bits as well, then to the port."""
    DROPPED = 90
    """What is dropped of a port's, or on its way to one, is counted for that port."""
    SAMPLED = 91
    """The first forged frame of a port, and the first one after a quiet while, is shown to the controller."""
    OBSERVED = 92
    """Addresses of ports to whom nobody gave any are shown to the controller, each now and then."""


class App(enum.IntEnum):
    """Who computes a flow. Each member is a module of `sdnctl.apps`."""

    PIPELINE = 1
    CLASSIFY = 2
    PORT_SECURITY = 3
    RESPONDERS = 4
    DHCP = 5
    SWITCHING = 6
    OUTPUT = 7
    SECURITY_GROUPS = 8
    ISOLATION = 9
    IP_GROUPS = 10
    QOS = 11
    STATISTICS = 12


class Kind(enum.IntEnum):
    """What kind of object a flow belongs to; with the object's key, that is its owner."""

    HOST = 1
    NETWORK = 2
    PORT = 3
    GROUP = 4
    """A security group."""
    IP_GROUP = 5


class Side(enum.IntEnum):
    """Which port a dropped frame is counted for; also the value of a slot."""

    FROM = 0
    """The one that sent it."""
    TO = 1
    """The one it was for."""


class Count(enum.Flag):
    """What becomes of a reason's drops, beside being counted for the host."""

    HOST = 0
    """Nothing more: nobody's port is to blame, or nobody knows whose."""
    FROM = enum.auto()
    """Counted for the port that sent the frame, where that can be known (before SWITCHING)."""
    TO = enum.auto()
    """Counted for the port that the frame was for (from TO_STATE on)."""
    REPORT = enum.auto()
    """A frame of that reason is forged: it makes a security event."""


_FORGED: Final = Count.FROM | Count.REPORT


class Reason(enum.IntEnum):
    """Why a flow drops. NONE is for flows that do not drop. The text is what users and metrics see."""

    text: str
    count: Count

    def __new__(cls, value: int, text: str, count: Count = Count.HOST) -> Self:
        member = int.__new__(cls, value)
        member._value_ = value
        member.text = text
        member.count = count
        return member

    NONE = 0, "not dropped"
    UNKNOWN_SOURCE = 1, "came in on an interface that is no bound port, tunnel or provider bridge"
    TAGGED = 2, "a frame with a VLAN tag, or with a second one, where there is none", _FORGED
    UNKNOWN_PEER = 3, "tunnelled frame from an address that is no host of ours"
    UNKNOWN_VNI = 4, "tunnelled frame for a network without a port on this host"
    UNKNOWN_TAG = 5, "frame from a provider bridge with a tag of no network here"
    FOREIGN_MAC = 6, "a workload sent from a MAC address that is not its own, or anybody from a group's", _FORGED
    FOREIGN_ARP = 7, "a workload sent ARP for an address that is not its own", _FORGED
    FOREIGN_IPV4 = 8, "a workload sent from an IPv4 address that is not its own", _FORGED
    FOREIGN_IPV6 = 9, "a workload sent from an IPv6 address that is not its own", _FORGED
    FOREIGN_ND = 10, "a workload sent neighbour discovery about an address or MAC that is not its own", _FORGED
    ROUTER_ADVERTISEMENT = 11, "a workload sent a router advertisement or a redirect", _FORGED
    DHCP_SERVER = 12, "a workload sent answers of a DHCP server", _FORGED
    DHCP_CLIENT = 13, "DHCP from a port for which there is no lease", Count.FROM
    ETHERTYPE = 14, "a workload sent a protocol that is neither IPv4, IPv6 nor ARP", Count.FROM
    RESERVED_MAC = 15, "sent to a link-local multicast MAC address (01:80:c2:00:00:0x)", Count.FROM
    UNKNOWN_MAC = 16, "no port of the network has the destination MAC address"
    NO_UNDERLAY = 17, "the host has no way to the other hosts of this network"
    MISS = 18, "nothing in this table knows the packet (this is a bug of ours)"
    PORT_DOWN = 19, "the port is administratively down"
    SNAP = 20, "an 802.3 frame with LLC or SNAP header", _FORGED
    CUT_HEADERS = 21, "a workload sent an IP packet whose further headers cannot be seen in its first fragment", _FORGED
    ELSEWHERE = 22, "came in from the underlay for a MAC address that is on another host"
    NOT_ALLOWED_FROM = 23, "no rule of the sending port's security groups allows it", Count.FROM
    NOT_ALLOWED_TO = 24, "no rule of the receiving port's security groups allows it", Count.TO
    INVALID_STATE = 25, "the connection tracker can make no sense of it", Count.FROM | Count.TO
    CUT = 26, "belongs to a connection that the port's security groups allow no more", Count.FROM | Count.TO
    ISOLATED = 27, "the network isolates its clients, and neither end is one of its service ports", Count.FROM
    PINNED = 28, "a member of an IP group announced its address, which is pinned to another member", _FORGED
    OBSERVED = 31, "only a copy: the controller has had one like it within the last minute"


ENDS: Final = frozenset({Table.DROPPED, Table.SAMPLED, Table.OBSERVED})
"""Whatever comes to these tables goes no further."""


def counted_on(table: int, reason: Reason) -> Side | None:
    """For whose port a frame is counted that is dropped in `table` for `reason`; None: only for the host."""
    side = Side.FROM if table < Table.SWITCHING else Side.TO
    from_underlay = table == Table.TUNNEL
    return side if not from_underlay and Count[side.name] in reason.count else None


COOKIE_MAGIC: Final = 0x5D
"""First byte of the cookie of every flow of ours. Flows without it are somebody else's and are left alone."""

COOKIE_MAGIC_MASK: Final = 0xFF << 56
REASON_BIT: Final = 32
"""Where in the cookie the reason begins."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who a flow belongs to. The cookie says it on the wire:

    magic 8 | app 8 | kind 8 | reason 8 | key of the object 32
    """

    app: App
    kind: Kind
    key: int

    def cookie(self, reason: Reason = Reason.NONE) -> int:
        return COOKIE_MAGIC << 56 | self.app << 48 | self.kind << 40 | reason << 32 | self.key


def read_cookie(cookie: int) -> tuple[Owner, Reason] | None:
    """Owner and drop reason of a flow of ours; None for anybody else's cookie or numbers of another version."""
    if cookie >> 56 != COOKIE_MAGIC:
        return None
    try:
        app, kind, reason = App(cookie >> 48 & 0xFF), Kind(cookie >> 40 & 0xFF), Reason(cookie >> 32 & 0xFF)  # type: ignore[call-arg]
    except ValueError:
        return None
    return Owner(app, kind, cookie & 0xFFFFFFFF), reason
