# SPDX-License-Identifier: Apache-2.0
"""What one host must know of one object: the only input of the apps.

A view is cut to what its flows depend on, so that equal views mean equal flows. Addresses are plain integers here:
this is the hot path, and a flow's fields are integers anyway. The views of one host:

    HostView     once                                   table misses, generic rules
    TunnelPeer   per other host with a tunnel address   frames from it are let in
    NetworkView  per network with a local port          classify from the underlay, flooding
    FloodChunk   per 64 ofports of a network            flooding to local ports
    LocalPort    per port bound here                    classify, port security, DHCP, output
    Neighbour    per known port of such a network       ARP and ND answers
    Station      per known MAC of such a network        unicast switching
    ServiceMac   per MAC of a service port, if such a network isolates its clients
    GroupView    per security group of a port here      what its rules allow
    IpGroupView  per IP group of such a network
    Member       per address of such a network whose owner is in a group that a rule of a port here names
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from sdnctl.model.filters import Filters
from sdnctl.model.ids import GroupKey, HostKey, NetworkKey, Ofport, PortKey
from sdnctl.model.network import NetworkType
from sdnctl.model.qos import UNLIMITED, QosLimits
from sdnctl.model.security import Direction

CHUNK: Final = 64
"""Ofports to a flood chunk: a new port rewrites a flow of at most this many outputs, however large the network."""


class Filtering(enum.IntEnum):
    """What security groups mean for a port."""

    NONE = 0
    """It has none."""
    STATELESS = 1
    STATEFUL = 2
    """Some group of it is: its connections are tracked."""


@dataclass(frozen=True, slots=True)
class HostView:
    """The host itself."""

    key: HostKey
    tunnel_ofport: Ofport | None
    patch_ofports: tuple[Ofport, ...] = ()
    """Patch ports to the mapped provider bridges, sorted."""


@dataclass(frozen=True, slots=True)
class TunnelPeer:
    """Another host we may get tunnelled frames from."""

    key: HostKey
    tunnel_ofport: Ofport
    address: int
    """IPv4 address of the peer's tunnel endpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkView:
    """A network with at least one port bound to this host."""

    key: NetworkKey
    type: NetworkType
    segmentation_id: int | None
    underlay_ofport: Ofport | None
    """Tunnel port or patch port that leads to the other hosts; None while the host has none for this network."""
    peers: tuple[int, ...]
    """IPv4 tunnel addresses of the other hosts with a port of this vxlan network, sorted."""
    chunks: tuple[int, ...]
    """Numbers of the flood chunks in use, sorted."""
    floods_unknown: bool
    """Some port may use MACs we do not know (its MAC filter is off), so unknown unicast is flooded."""
    isolated: bool = False
    """Clients reach service ports only."""


@dataclass(frozen=True, slots=True)
class Filtered:
    """A local port with security groups."""

    ofport: Ofport
    key: PortKey
    filtering: Filtering


@dataclass(frozen=True, slots=True)
class Metered:
    """A local port that may receive only so much."""

    ofport: Ofport
    key: PortKey


@dataclass(frozen=True, slots=True, kw_only=True)
class FloodChunk:
    """Local ports of a network whose ofport is in [64 n, 64 n + 63]."""

    network: NetworkKey
    number: int
    ofports: tuple[Ofport, ...]
    """Sorted."""
    open_ofports: tuple[Ofport, ...] = ()
    """Those of ports whose MAC filter is off, sorted: only they may have MACs that nobody knows."""
    filtered: tuple[Filtered, ...] = ()
    """Those of ports with security groups, sorted by ofport."""
    service_ofports: tuple[Ofport, ...] = ()
    """Those of service ports, sorted, if the network isolates its clients."""
    metered: tuple[Metered, ...] = ()
    """Those of ports that may receive only so much, sorted by ofport."""


@dataclass(frozen=True, slots=True)
class Source:
    """A (MAC, prefix) that a port may send from. `mask` is as wide as the address."""

    mac: int
    version: int
    address: int
    mask: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPort:
    """A port bound to this host, administratively up."""

    key: PortKey
    network: NetworkKey
    ofport: Ofport
    mac: int
    sources: tuple[Source, ...]
    """Fixed addresses, IP groups' and allowed pairs, sorted; the IPv6 link-local address of every MAC is among them."""
    filters: Filters | None
    """What is held against `sources`; None: nothing, port security is off."""
    dhcp: bool
    """The responder has a lease for this port (an IPv4 address in a subnet with DHCP on)."""
    filtering: Filtering = Filtering.NONE
    groups: tuple[GroupKey, ...] = ()
    """Its security groups, sorted."""
    qos: QosLimits = UNLIMITED
    announces: bool = False
    """It is a member of an IP group."""
    virtual: tuple[tuple[int, int], ...] = ()
    """Version and address of its IP groups with VRRP, sorted."""
    observes: bool = False
    """Nobody gave it addresses: those it uses are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A port whose addresses every host of the network can answer for."""

    key: PortKey
    network: NetworkKey
    mac: int
    ipv4: tuple[int, ...]
    ipv6: tuple[int, ...]
    """Fixed addresses and the link-local address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """Where frames for one MAC of a network go.

    To a local port (`ofport`) or to another host (`is_remote`); if neither, several ports may use the MAC (an allowed
    address pair) and frames for it are flooded.
    """

    key: PortKey
    network: NetworkKey
    mac: int
    ofport: Ofport | None = None
    filtering: Filtering = Filtering.NONE
    """Of a local port."""
    is_remote: bool = False
    peer: int | None = None
    """IPv4 tunnel address of the other host, where frames for it go by the tunnel."""


@dataclass(frozen=True, slots=True)
class ServiceMac:
    """A MAC that only service ports of an isolated network may use, wherever they are."""

    key: PortKey
    """Of its owner; of the first one, should there be several."""
    network: NetworkKey
    mac: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRule:
    """A rule, without what does not matter to flows."""

    direction: Direction
    version: int
    protocol: int | None = None
    port_min: int | None = None
    port_max: int | None = None
    keeps: bool = False
    """Its connections live on when it goes away."""
    prefix: tuple[int, int] | None = None
    """Address and mask of the other end; None with `remote` None: anybody."""
    remote: GroupKey | None = None
    """The security group or address group the other end is in."""


@dataclass(frozen=True, slots=True)
class GroupAddress:
    """A prefix of an address group that a rule of a security group names."""

    remote: GroupKey
    version: int
    address: int
    mask: int


@dataclass(frozen=True, slots=True)
class GroupView:
    """A security group that a local port has."""

    key: GroupKey
    rules: tuple[GroupRule, ...]
    """Each once, in any fixed order."""
    addresses: tuple[GroupAddress, ...] = ()
    """Of the address groups that its rules name, sorted."""


@dataclass(frozen=True, slots=True)
class Clause:
    """A way in which a member's address is asked for."""

    direction: Direction
    keeps: bool
    remote: GroupKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An address (or prefix) that members of security groups use, on a host where rules of its network's ports name
    such a group.
    """

    key: PortKey
    """Of its owner; of the first one, should there be several."""
    network: NetworkKey
    version: int
    address: int
    mask: int
    clauses: tuple[Clause, ...]
    """Sorted."""


@dataclass(frozen=True, slots=True)
class Announcer:
    """A member of an IP group that is bound to this host."""

    key: PortKey
    ofport: Ofport
    may_speak: bool = True
    """Nobody, or this very member, is pinned: it may say that it has the address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IpGroupView:
    """A fail-over address of a network with a port on this host."""

    key: GroupKey
    network: NetworkKey
    version: int
    address: int
    members: tuple[Announcer, ...]
    """Those bound to this host, sorted."""
    holder: PortKey | None = None
    """Who has the address, wherever it is; None while nobody who could be reached is known to."""
    mac: int | None = None
    """The holder's, or the virtual one with which it announced the address."""
    vrrp: bool = False
    is_told: bool = True
    """Whoever asks for the address may know the holder: it is no client of a network that isolates them."""
