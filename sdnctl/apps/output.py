# SPDX-License-Identifier: Apache-2.0
"""Output: the last step to a local port.

    table OUTPUT                   reads TO_PORT
    prio 200  a port's own copy of what it sends to many            out of its ofport, which Open vSwitch leaves out
    prio 100  to this port                                          out of its ofport
    prio 100  to a port that may receive only so much: its meter    out of its ofport, or TO_PACKETS
    prio   0  anything else                                         drop MISS

A table of its own, because what a port may receive (security groups, rate limits) is decided between switching and here
and speaks of ports, not of ofports. Own copies are told apart where there is a meter that would count them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sdnctl.apps import qos
from sdnctl.flows.action import Output
from sdnctl.flows.flow import Flow, drop
from sdnctl.flows.match import Match
from sdnctl.flows.pipeline import App, Kind, Owner, Reason, Table
from sdnctl.flows.registers import FROM_PORT, TO_PORT
from sdnctl.model.views import HostView, LocalPort

OWN_COPY: Final = 200
DELIVER: Final = 100
MISS: Final = 0


def host_flows(view: HostView) -> Iterator[Flow]:
    yield drop(Table.OUTPUT, MISS, Match(), Owner(App.OUTPUT, Kind.HOST, view.key), Reason.MISS)


def port_flows(view: LocalPort) -> Iterator[Flow]:
    cookie = Owner(App.OUTPUT, Kind.PORT, view.key).cookie()
    received = Match().slot(TO_PORT, view.key)
    if view.qos.limits_receiving:
        yield Flow(Table.OUTPUT, OWN_COPY, received.slot(FROM_PORT, view.key), (Output(view.ofport),), cookie)
    yield Flow(Table.OUTPUT, DELIVER, received, qos.delivery(view), cookie)
