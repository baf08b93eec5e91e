# SPDX-License-Identifier: Apache-2.0
"""From a unit's view to its flows and meters in wire form: the one place where the apps are called."""

from __future__ import annotations

from weakref import WeakValueDictionary

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
    ServiceMac,
    Station,
    TunnelPeer,
)
from sdnctl.sync.tables import NOTHING, Compiled
from sdnctl.sync.views import View

Common = TunnelPeer | Neighbour | Station | ServiceMac | GroupView | Member
"""Views that many hosts have alike."""


class Compiler:
    """Computes flows, once for all hosts that have the same view: it remembers what any of them still has.

    That equal views give equal flows is what makes it right, and a network on many hosts affordable.
    """

    def __init__(self) -> None:
        self._known: WeakValueDictionary[Common, Compiled] = WeakValueDictionary()

    def __len__(self) -> int:
        """How many results it remembers."""
        return len(self._known)

    def compile(self, view: View | None) -> Compiled:
        """What a unit with this view yields."""
        if not isinstance(view, Common):
            return compile_view(view)
        known = self._known.get(view)
        if known is None:
            self._known[view] = known = compile_view(view)
        return known


def compile_view(view: View | None) -> Compiled:
    """What a unit with this view yields; nothing for no view."""
    match view:
        case None:
            return NOTHING
        case HostView():
            found = tuple(map(encode, apps.host(view)))
            return Compiled(found, apps.host_meters(view), learned=apps.host_learned(view))
        case TunnelPeer():
            flows = apps.peer(view)
        case NetworkView():
            flows = apps.network(view)
        case FloodChunk():
            flows = apps.chunk(view)
        case LocalPort():
            found = tuple(map(encode, apps.port(view)))
            return Compiled(found, apps.port_meters(view), apps.port_zone(view), apps.port_learned(view))
        case Neighbour():
            flows = apps.neighbour(view)
        case Station():
            flows = apps.station(view)
        case ServiceMac():
            flows = apps.service_mac(view)
        case GroupView():
            flows = apps.group(view)
        case Member():
            flows = apps.member(view)
        case IpGroupView():
            flows = apps.ip_group(view)
    return Compiled(tuple(map(encode, flows)))
