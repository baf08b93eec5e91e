# SPDX-License-Identifier: Apache-2.0
"""From a unit's view to its flows and meters in wire form: the one place where the apps are called."""

from __future__ import annotations

from sdnctl import apps
from sdnctl.flows.wire import encode
from sdnctl.model.views import (
    FloodChunk,
    GroupView,
    HostView,
    IpGroupView,
    LocalPort,
    Member,
    Neighbour,
    NetworkView,
    Station,
    TunnelPeer,
)
from sdnctl.sync.tables import NOTHING, Compiled
from sdnctl.sync.views import View


def compile_view(view: View | None) -> Compiled:
    """What a unit with this view yields; nothing for no view."""
    match view:
        case None:
            return NOTHING
        case HostView():
            flows = apps.host(view)
        case TunnelPeer():
            flows = apps.peer(view)
        case NetworkView():
            flows = apps.network(view)
        case FloodChunk():
            flows = apps.chunk(view)
        case LocalPort():
            return Compiled(tuple(map(encode, apps.port(view))), apps.port_meters(view), apps.port_zone(view))
        case Neighbour():
            flows = apps.neighbour(view)
        case Station():
            flows = apps.station(view)
        case GroupView():
            flows = apps.group(view)
        case Member():
            flows = apps.member(view)
        case IpGroupView():
            flows = apps.ip_group(view)
    return Compiled(tuple(map(encode, flows)))
