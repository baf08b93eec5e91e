# SPDX-License-Identifier: Apache-2.0
"""Statistics: what is dropped counts for the port whose it was, and what is forged is shown to the controller.

    table DROPPED                  reads DROP_REASON, DROP_SIDE, TO_PORT
    prio 200  of this port, for this reason: made by Open vSwitch itself, counts     drop
    prio 100  for this reason, of a port that has no such flow yet: it gets one      drop
    prio   0  anything else                                         drop MISS

    table SAMPLED                  reads DROP_REASON
    prio 200  of this port, for this reason, in the last minute     drop
    prio 100  the first one after a quiet minute: shown to the controller, behind the host's meter     drop
    prio   0  anything else                                         drop MISS

A drop that a port has a part in does not end where it is decided: that flow names the reason, counts for the host, and
hands the frame on to these tables (`sdnctl.flows.flow.drop`). So a port costs no flow before something of its is
dropped, and then one for each reason; nobody has to be there to make it, and none is missed by a controller that is
busy or away. The frame that makes the flow is not in that flow's own counter, every later one is.

What a port sent is counted by the ofport it came in on, because CLASSIFY drops before anybody knows whose that is; what
was for a port, by its key. Of the underlay's ofports too there are such flows, in the few reasons for which CLASSIFY
drops whoever sent it; they are nobody's.

A forged frame is shown once, then not again before it was quiet for a minute: the learned flow in SAMPLED dies of
idleness. The meter is the host's: it has only to outlast the moment in which Open vSwitch goes over its caches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from sdnctl.apps import meters
from sdnctl.flows.action import Controller, Learn, Meter
from sdnctl.flows.decode import decode_match
from sdnctl.flows.fields import Field
from sdnctl.flows.flow import Flow, drop
from sdnctl.flows.match import Match
from sdnctl.flows.meters import MeterSpec
from sdnctl.flows.pipeline import ENDS, App, Count, Kind, Owner, Reason, Side, Table, read_cookie
from sdnctl.flows.registers import DROP_REASON, DROP_SIDE, TO_PORT, Slot
from sdnctl.flows.wireflow import WireFlow
from sdnctl.model.ids import Ofport, PortKey
from sdnctl.model.views import HostView

LEARNED: Final = 200
FIRST: Final = 100
MISS: Final = 0

QUIET_S: Final = 60
"""Open vSwitch forgets how a frame goes after 10 s without one; this is longer, so the next one is looked at anew."""
SAMPLE_BYTES: Final = 128
SAMPLES_PER_S: Final = 50
SAMPLES_AT_ONCE: Final = 100

_WHOSE: Final[Mapping[Side, Slot | Field]] = {Side.FROM: Field.IN_PORT, Side.TO: TO_PORT}
_COUNTS: Final = {Side.FROM: Count.FROM, Side.TO: Count.TO}


def host_flows(view: HostView) -> Iterator[Flow]:
    owner = Owner(App.STATISTICS, Kind.HOST, view.key)
    for side in Side:
        for reason in Reason:
            if _COUNTS[side] in reason.count:
                cookie = owner.cookie(reason)
                learn = Learn(Table.DROPPED, LEARNED, cookie, (_WHOSE[side], DROP_REASON, DROP_SIDE))
                yield Flow(Table.DROPPED, FIRST, _dropped(reason, side), (learn,), cookie)
    yield drop(Table.DROPPED, MISS, Match(), owner, Reason.MISS)
    for reason in Reason:
        if Count.REPORT in reason.count:
            cookie = owner.cookie(reason)
            learn = Learn(Table.SAMPLED, LEARNED, cookie, (Field.IN_PORT, DROP_REASON), QUIET_S)
            show = (Meter(meters.SAMPLES), learn, Controller(SAMPLE_BYTES))
            yield Flow(Table.SAMPLED, FIRST, Match().slot(DROP_REASON, reason), show, cookie)
    yield drop(Table.SAMPLED, MISS, Match(), owner, Reason.MISS)


def host_meters(view: HostView) -> tuple[MeterSpec, ...]:
    """The meter in front of the samples."""
    del view
    return (MeterSpec(meters.SAMPLES, SAMPLES_PER_S, SAMPLES_AT_ONCE),)


def _dropped(reason: Reason, side: Side) -> Match:
    return Match().slot(DROP_REASON, reason).slot(DROP_SIDE, side)


# --- what Open vSwitch made ---------------------------------------------------------------------------------------


class Counted(NamedTuple):
    """What a learned flow counts."""

    side: Side
    number: Ofport | PortKey
    """The ofport the frames came from, or the key of the port they were for."""
    reason: Reason


def sent_by(ofport: int) -> bytes:
    """The first field of every learned flow about what came in on an ofport."""
    return Match().in_port(ofport).oxm


def meant_for(key: int) -> bytes:
    """The first field of every learned flow about what was for a port."""
    return Match().slot(TO_PORT, key).oxm


def whose(flow: WireFlow) -> bytes:
    """The first field of a learned flow."""
    return flow.key[3 : 3 + _FIELD]


_FIELD: Final = len(sent_by(1))
COOKIE: Final = Owner(App.STATISTICS, Kind.HOST, 0).cookie()
COOKIE_MASK: Final = 0xFFFFFF << 40
"""Under which the cookie of every flow of this app is `COOKIE`."""


def is_learned(flow: WireFlow) -> bool:
    """Open vSwitch made it by itself; it is no part of what anybody computes."""
    return flow.table in ENDS and flow.priority == LEARNED and flow.cookie & COOKIE_MASK == COOKIE


def counted(flow: WireFlow) -> Counted | None:
    """What a flow counts; None if it is no learned one of the table DROPPED."""
    return learned_about(flow) if flow.table == Table.DROPPED else None


def learned_about(flow: WireFlow) -> Counted | None:
    """Whose frames a learned flow is about, and why they are dropped; None if it is none, or not one of ours."""
    known = read_cookie(flow.cookie)
    if known is None or not is_learned(flow):
        return None
    try:
        match = decode_match(flow.key[3:])
    except ValueError:
        return None
    sent, meant = match.get(Field.IN_PORT), match.get(TO_PORT.field)
    if sent is not None:
        return Counted(Side.FROM, Ofport(sent.value), known[1])
    return Counted(Side.TO, PortKey(meant.value), known[1]) if meant is not None else None
