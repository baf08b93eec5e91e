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
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sdnctl.model.ids import HostKey, NetworkKey, Ofport, PortKey
from sdnctl.model.network import NetworkType

CHUNK: Final = 64
"""Ofports to a flood chunk: a new port rewrites a flow of at most this many outputs, however large the network."""


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


@dataclass(frozen=True, slots=True)
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
    """Some port may use MACs we do not know (port security is off), so unknown unicast is flooded."""


@dataclass(frozen=True, slots=True)
class FloodChunk:
    """Local ports of a network whose ofport is in [64 n, 64 n + 63]."""

    network: NetworkKey
    number: int
    ofports: tuple[Ofport, ...]
    """Sorted."""
    open_ofports: tuple[Ofport, ...] = ()
    """Those of ports with port security off, sorted: only they may have MACs that nobody knows."""


@dataclass(frozen=True, slots=True)
class Source:
    """A (MAC, prefix) that a port may send from. `mask` is as wide as the address."""

    mac: int
    version: int
    address: int
    mask: int


@dataclass(frozen=True, slots=True)
class LocalPort:
    """A port bound to this host, administratively up."""

    key: PortKey
    network: NetworkKey
    ofport: Ofport
    mac: int
    sources: tuple[Source, ...]
    """Fixed addresses and allowed pairs, sorted; the IPv6 link-local address of every MAC is among them."""
    port_security: bool
    dhcp: bool
    """The responder has a lease for this port (an IPv4 address in a subnet with DHCP on)."""


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A port whose addresses every host of the network can answer for."""

    key: PortKey
    network: NetworkKey
    mac: int
    ipv4: tuple[int, ...]
    ipv6: tuple[int, ...]
    """Fixed addresses and the link-local address."""
    local_ofport: Ofport | None
    """Set when the port is bound to this very host."""


@dataclass(frozen=True, slots=True)
class Station:
    """Where frames for one MAC of a network go.

    Exactly one of `ofport` (here) and `peer` (another host) is set; with neither, several ports may use the MAC (an
    allowed address pair) and frames for it are flooded.
    """

    key: PortKey
    network: NetworkKey
    mac: int
    ofport: Ofport | None
    """Local port, or None when the MAC is on another host."""
    vni: int | None
    tunnel_ofport: Ofport | None
    peer: int | None
    """IPv4 tunnel address of that other host. On flat and vlan networks remote MACs have no Station at all: what is not
    local goes out by the provider bridge."""
