# SPDX-License-Identifier: Apache-2.0
"""The features of the data plane, each a module of pure functions from views to flows.

A *unit* is one view of one object on one host. The functions here give all flows of a unit, in the order of the
pipeline: this file is the only list of who has a say in what. Equal views give equal flows, no two units give a flow
for the same table, priority and match, and nothing here knows time, files or other hosts than the view's.
"""

from __future__ import annotations

from sdnctl.apps import (
    classify,
    dhcp,
    ip_groups,
    isolation,
    meters,
    output,
    port_security,
    qos,
    responders,
    security_groups,
    statistics,
    switching,
)
from sdnctl.flows.flow import Flow
from sdnctl.flows.meters import MeterSpec
from sdnctl.model.views import (
    FloodChunk,
    GroupView,
    HostView,
    IpGroupView,
    LocalPort,
    Member,
    Neighbour,
    NetworkView,
    ServiceMac,
    Station,
    TunnelPeer,
)

__all__ = [
    "chunk",
    "group",
    "host",
    "host_learned",
    "host_meters",
    "ip_group",
    "member",
    "neighbour",
    "network",
    "peer",
    "port",
    "port_learned",
    "port_meters",
    "port_zone",
    "service_mac",
    "station",
]


def host(view: HostView) -> tuple[Flow, ...]:
    """What a host has whatever is on it: every table's miss, and rules that are the same for all ports."""
    return (
        *classify.host_flows(view),
        *port_security.host_flows(view),
        *responders.host_flows(view),
        *dhcp.host_flows(view),
        *ip_groups.host_flows(view),
        *qos.host_flows(view),
        *security_groups.host_flows(view),
        *isolation.host_flows(view),
        *switching.host_flows(view),
        *output.host_flows(view),
        *statistics.host_flows(view),
    )


def host_meters(view: HostView) -> tuple[MeterSpec, ...]:
    """The meters that `host`'s flows use."""
    return statistics.host_meters(view)


def peer(view: TunnelPeer) -> tuple[Flow, ...]:
    """What lets in frames of another host."""
    return tuple(classify.peer_flows(view))


def network(view: NetworkView) -> tuple[Flow, ...]:
    """What a network needs on a host that has a port of it."""
    return (*classify.network_flows(view), *isolation.network_flows(view), *switching.network_flows(view))


def chunk(view: FloodChunk) -> tuple[Flow, ...]:
    """Flooding to some of a network's local ports."""
    return tuple(switching.chunk_flows(view))


def port(view: LocalPort) -> tuple[Flow, ...]:
    """What a local port needs for itself."""
    return (
        *classify.port_flows(view),
        *port_security.port_flows(view),
        *responders.port_flows(view),
        *dhcp.port_flows(view),
        *ip_groups.port_flows(view),
        *qos.port_flows(view),
        *security_groups.port_flows(view),
        *output.port_flows(view),
    )


def port_meters(view: LocalPort) -> tuple[MeterSpec, ...]:
    """The meters that `port`'s flows use."""
    return (*meters.port_meters(view), *qos.port_meters(view))


def port_zone(view: LocalPort) -> int | None:
    """The connection tracker's zone that `port`'s flows use."""
    return security_groups.zone_of(view)


def host_learned(view: HostView) -> tuple[bytes, ...]:
    """The first fields of the flows that Open vSwitch makes of frames of the underlay."""
    ofports = (*(() if view.tunnel_ofport is None else (view.tunnel_ofport,)), *view.patch_ofports)
    return tuple(map(statistics.sent_by, ofports))


def port_learned(view: LocalPort) -> tuple[bytes, ...]:
    """The first fields of the flows that Open vSwitch makes of frames of and for the port."""
    return statistics.sent_by(view.ofport), statistics.meant_for(view.key)


def neighbour(view: Neighbour) -> tuple[Flow, ...]:
    """Answers to questions for a port's addresses."""
    return tuple(responders.neighbour_flows(view))


def station(view: Station) -> tuple[Flow, ...]:
    """Where frames for a MAC go."""
    return tuple(switching.station_flows(view))


def service_mac(view: ServiceMac) -> tuple[Flow, ...]:
    """What a service port of a network with isolated clients may reach, and who reaches it."""
    return tuple(isolation.service_flows(view))


def group(view: GroupView) -> tuple[Flow, ...]:
    """What the rules of a security group allow."""
    return tuple(security_groups.group_flows(view))


def member(view: Member) -> tuple[Flow, ...]:
    """Who is in a security group that rules name."""
    return tuple(security_groups.member_flows(view))


def ip_group(view: IpGroupView) -> tuple[Flow, ...]:
    """Who may announce a fail-over address, and what is answered for it."""
    return tuple(ip_groups.group_flows(view))
