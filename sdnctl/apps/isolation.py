# SPDX-License-Identifier: Apache-2.0
"""Client isolation: in a network that has it, everybody reaches its service ports, and nobody else.

    table ISOLATION                reads NETWORK                    sets AUDIENCE
    prio 400  from a MAC of a service port                          SWITCHING
    prio 300  to a MAC of a service port                            SWITCHING, a flooded copy to service ports only
    prio 200  to a group or all, in an isolated network             SWITCHING, copies to service ports only
    prio 100  anything else in an isolated network                  drop ISOLATED
    prio   0  in any other network                                  SWITCHING

One end of whatever passes is a service port, told by its MAC: so it costs two flows to each of those, none to a client,
and holds alike for what comes from here, from another host and from a provider bridge. A client cannot pretend to be
one, because MAC filters are on for all clients of such a network; a MAC that some client may use too is no service
port's (`sync.views`). Answers of responders are given before: about service ports only, see there.

Broadcasts of clients do leave for the other hosts, where service ports may be, and on a provider network everybody on
the wire hears them. Nobody can answer who is no service port.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sdnctl.flows.action import Goto, Load
from sdnctl.flows.flow import Flow, drop
from sdnctl.flows.match import Match
from sdnctl.flows.pipeline import App, Kind, Owner, Reason, Table
from sdnctl.flows.registers import AUDIENCE, NETWORK, SERVICE_PORTS
from sdnctl.model.views import HostView, NetworkView, ServiceMac

FROM_SERVICE: Final = 400
TO_SERVICE: Final = 300
GROUP: Final = 200
CLIENTS: Final = 100
MISS: Final = 0

GROUP_BIT: Final = 0x010000000000

_ON: Final = (Goto(Table.SWITCHING),)
_TO_SERVICES: Final = (Load(AUDIENCE, SERVICE_PORTS), Goto(Table.SWITCHING))


def host_flows(view: HostView) -> Iterator[Flow]:
    cookie = Owner(App.ISOLATION, Kind.HOST, view.key).cookie()
    yield Flow(Table.ISOLATION, MISS, Match(), _ON, cookie)


def network_flows(view: NetworkView) -> Iterator[Flow]:
    if view.isolated:
        owner = Owner(App.ISOLATION, Kind.NETWORK, view.key)
        within = Match().slot(NETWORK, view.key)
        yield Flow(Table.ISOLATION, GROUP, within.eth_dst(GROUP_BIT, GROUP_BIT), _TO_SERVICES, owner.cookie())
        yield drop(Table.ISOLATION, CLIENTS, within, owner, Reason.ISOLATED)


def service_flows(view: ServiceMac) -> Iterator[Flow]:
    cookie = Owner(App.ISOLATION, Kind.PORT, view.key).cookie()
    within = Match().slot(NETWORK, view.network)
    yield Flow(Table.ISOLATION, FROM_SERVICE, within.eth_src(view.mac), _ON, cookie)
    yield Flow(Table.ISOLATION, TO_SERVICE, within.eth_dst(view.mac), _TO_SERVICES, cookie)
