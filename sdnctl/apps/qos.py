# SPDX-License-Identifier: Apache-2.0
"""Quality of service: how much a port may send and receive, and how what it sends is marked.

    table FROM_QOS                 reads FROM_PORT                  from a local port, after all that it is by itself
    prio 200  IP of a port whose packets are marked: its meter, its mark      FROM_STATE or FROM_PACKETS
    prio 100  of a port with a limit: its meter                     FROM_STATE, with a second limit FROM_PACKETS
    prio   0  anything else                                         FROM_STATE

    table FROM_PACKETS             reads FROM_PORT
    prio 100  of a port with both limits: the meter of packets      FROM_STATE
    prio   0  anything else                                         drop MISS

    table TO_PACKETS               reads TO_PORT
    prio 100  to a port with both limits: the meter of packets      out of its ofport
    prio   0  anything else                                         drop MISS

A flow has one meter, so a port with a limit of bits and one of packets needs a second table for each direction. The
first meter towards a port stands in its flow of table OUTPUT. What a responder answers comes back from RESPONDERS and
is in no limit; nor are the answers of DHCP, which we send ourselves.

A limit is a number in its meter and in no flow: to change it changes the meter, in one message, and no flow.

*What a meter drops it drops altogether.* Open vSwitch makes one list of actions of all that becomes of a packet, and a
meter that drops ends the list. A packet for one port has nothing behind its meter. Where a packet is copied to many,
each copy to a port with a meter is a list of its own (`apart`), or a slow receiver would take it from the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sdnctl.apps.meters import MeterKind, meter_id
from sdnctl.flows.action import Action, Clone, Goto, Load, Meter, Output, Pop, Push, SetField, Truncate
from sdnctl.flows.fields import Field
from sdnctl.flows.flow import Flow, drop
from sdnctl.flows.match import Match
from sdnctl.flows.meters import MeterSpec
from sdnctl.flows.pipeline import App, Kind, Owner, Reason, Table
from sdnctl.flows.registers import FROM_PORT, TO_PORT
from sdnctl.model.qos import QosLimits, Rate
from sdnctl.model.views import HostView, LocalPort

MARKED: Final = 200
LIMITED: Final = 100
MISS: Final = 0

_SET_ASIDE: Final = 0xFEFF
_CANNOT_BE_UNDONE: Final = (
    Push(Field.IN_PORT),
    Load(Field.IN_PORT, _SET_ASIDE),
    Truncate(_SET_ASIDE, 0xFFFF),
    Pop(Field.IN_PORT),
)
"""Makes Open vSwitch keep a clone apart, and sends nothing: no packet goes back to the port that it came from, and for
this one action that is the port it would go to."""
_PASS_ON: Final = Goto(Table.FROM_STATE)


def host_flows(view: HostView) -> Iterator[Flow]:
    owner = Owner(App.QOS, Kind.HOST, view.key)
    yield Flow(Table.FROM_QOS, MISS, Match(), (_PASS_ON,), owner.cookie())
    yield drop(Table.FROM_PACKETS, MISS, Match(), owner, Reason.MISS)
    yield drop(Table.TO_PACKETS, MISS, Match(), owner, Reason.MISS)


def port_flows(view: LocalPort) -> Iterator[Flow]:
    cookie = Owner(App.QOS, Kind.PORT, view.key).cookie()
    sent = Match().slot(FROM_PORT, view.key)
    meters = _from_meters(view)
    first = (*meters[:1], Goto(Table.FROM_PACKETS) if meters[1:] else _PASS_ON)
    if view.qos.dscp is not None:
        marked = (*first[:-1], SetField(Field.IP_DSCP, view.qos.dscp), first[-1])
        yield Flow(Table.FROM_QOS, MARKED, sent.ipv4(), marked, cookie)
        yield Flow(Table.FROM_QOS, MARKED, sent.ipv6(), marked, cookie)
    if meters:
        yield Flow(Table.FROM_QOS, LIMITED, sent, first, cookie)
    if meters[1:]:
        yield Flow(Table.FROM_PACKETS, LIMITED, sent, (*meters[1:], _PASS_ON), cookie)
    last = _to_meters(view)[1:]
    if last:
        received = Match().slot(TO_PORT, view.key)
        yield Flow(Table.TO_PACKETS, LIMITED, received, (*last, Output(view.ofport)), cookie)


def port_meters(view: LocalPort) -> tuple[MeterSpec, ...]:
    """The meters that the port's flows use."""
    qos = view.qos
    found = []
    for kind, rate in ((MeterKind.FROM_BANDWIDTH, qos.from_bandwidth), (MeterKind.TO_BANDWIDTH, qos.to_bandwidth)):
        if rate is not None:
            found.append(MeterSpec(meter_id(view.ofport, kind), burst=rate.burst, kbps=rate.per_s))
    for kind, rate in ((MeterKind.FROM_PACKETS, qos.from_packets), (MeterKind.TO_PACKETS, qos.to_packets)):
        if rate is not None:
            found.append(MeterSpec(meter_id(view.ofport, kind), rate.per_s, rate.burst))
    return tuple(found)


def delivery(view: LocalPort) -> tuple[Action, ...]:
    """What becomes of a packet that has found its port."""
    meters = _to_meters(view)
    return (*meters[:1], Goto(Table.TO_PACKETS) if meters[1:] else Output(view.ofport))


def rate_of(limits: QosLimits, kind: MeterKind) -> Rate | None:
    """What a meter of this kind lets pass; None if there is no such limit."""
    match kind:
        case MeterKind.FROM_BANDWIDTH:
            return limits.from_bandwidth
        case MeterKind.FROM_PACKETS:
            return limits.from_packets
        case MeterKind.TO_BANDWIDTH:
            return limits.to_bandwidth
        case MeterKind.TO_PACKETS:
            return limits.to_packets
        case MeterKind.PUNT:
            return None


def apart(*actions: Action) -> Clone:
    """A copy that may meet a meter, without taking the copies behind it along."""
    return Clone((*_CANNOT_BE_UNDONE, *actions))


def _from_meters(view: LocalPort) -> tuple[Meter, ...]:
    kinds = (
        (MeterKind.FROM_BANDWIDTH, view.qos.from_bandwidth),
        (MeterKind.FROM_PACKETS, view.qos.from_packets),
    )
    return tuple(Meter(meter_id(view.ofport, kind)) for kind, rate in kinds if rate is not None)


def _to_meters(view: LocalPort) -> tuple[Meter, ...]:
    kinds = ((MeterKind.TO_BANDWIDTH, view.qos.to_bandwidth), (MeterKind.TO_PACKETS, view.qos.to_packets))
    return tuple(Meter(meter_id(view.ofport, kind)) for kind, rate in kinds if rate is not None)
