# SPDX-License-Identifier: Apache-2.0
"""Switching: from a network and a MAC to a local port, another host, or everybody.

    table SWITCHING                reads NETWORK, SOURCE            sets TO_PORT, ZONE, FILTERING, AUDIENCE
    prio 300  to a group or all                                     FLOOD
    prio 200  to a MAC of a local port                              OUTPUT, with security groups TO_STATE
    prio 200  to a MAC on another host                              UNDERLAY
    prio 200  to a MAC that several ports may use                   FLOOD
    prio 100  to an unknown MAC, if there may be any                FLOOD, local copies to open ports only
    prio 100  to an unknown MAC, from here to a provider network    UNDERLAY
    prio   0  anything else                                         drop UNKNOWN_MAC

    table FLOOD                    reads NETWORK, SOURCE
    prio 100  from here: copies to other hosts (tunnel, UNDERLAY)   FLOOD_LOCAL
    prio  50  from the underlay                                     FLOOD_LOCAL
    prio   0  anything else                                         drop MISS

    table FLOOD_LOCAL              reads NETWORK                    sets CHUNK
    prio 100  for each chunk of the network: FLOOD_CHUNK
    prio   0  anything else                                         drop MISS

    table FLOOD_CHUNK              reads NETWORK, CHUNK, AUDIENCE  sets TO_PORT, ZONE, FILTERING
    prio 120  IP, where ports have security groups: a copy to each of them by TO_STATE, to others as below (OUTPUT)
    prio 100  a copy to each port of the chunk, to each open one, to each service port; OUTPUT for those with a limit
    prio  50  no port of the chunk is open                          drop UNKNOWN_MAC
    prio  50  none is a service port                                drop ISOLATED
    prio   0  anything else                                         drop MISS

    table UNDERLAY                 reads NETWORK, SOURCE
    prio 100  from here: into the tunnel or to the provider bridge
    prio 100  from here, and there is no way                        drop NO_UNDERLAY
    prio  50  from the underlay                                     drop ELSEWHERE
    prio   0  anything else                                         drop MISS

No learning: who has which MAC is known from the model. A frame from the underlay never goes back to it, so hosts can
make no loop. Nor does a frame ever leave by the port it came in: Open vSwitch leaves that port out by itself.

A frame for a MAC that nobody is known to have can only be for a port whose MAC filter is off. Others do not get to
see it, so no port can listen to what is meant for another one by waiting for frames whose receiver has just gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from sdnctl.apps.qos import apart
from sdnctl.apps.security_groups import filter_actions
from sdnctl.flows.action import Action, Goto, Load, Output, PopVlan, PushVlan, Resubmit, SetField
from sdnctl.flows.fields import Field
from sdnctl.flows.flow import Flow, drop
from sdnctl.flows.match import Match
from sdnctl.flows.oxm import VLAN_TAG
from sdnctl.flows.pipeline import App, Kind, Owner, Reason, Table
from sdnctl.flows.registers import (
    AUDIENCE,
    CHUNK,
    EVERYONE,
    FROM_UNDERLAY,
    FROM_WORKLOAD,
    NETWORK,
    OPEN_PORTS,
    SERVICE_PORTS,
    SOURCE,
    TO_PORT,
)
from sdnctl.model.ids import Ofport
from sdnctl.model.network import NetworkType
from sdnctl.model.views import Filtered, FloodChunk, HostView, NetworkView, Station

GROUP: Final = 300
STATION: Final = 200
UNKNOWN: Final = 100
MISS: Final = 0

GUARDED: Final = 120
COPIES: Final = 100
ARRIVED: Final = 50
NOBODY: Final = 50

GROUP_BIT: Final = 0x010000000000

_OUTSIDE: Final = Match().slot(SOURCE, FROM_UNDERLAY)
_TO_OUTPUT: Final = Goto(Table.OUTPUT)
_TO_STATE: Final = Goto(Table.TO_STATE)
_TO_GROUPS: Final = Resubmit(Table.TO_STATE)
_TO_METER: Final = Resubmit(Table.OUTPUT)
_TO_UNDERLAY: Final = Goto(Table.UNDERLAY)
_TO_FLOOD: Final = Goto(Table.FLOOD)
_TO_LOCAL: Final = Goto(Table.FLOOD_LOCAL)
_FOR_OPEN_PORTS: Final = (Load(AUDIENCE, OPEN_PORTS), _TO_FLOOD)
_CHUNK_COPIES: Final = Resubmit(Table.FLOOD_CHUNK)
_UNDERLAY_COPY: Final = Resubmit(Table.UNDERLAY)


def host_flows(view: HostView) -> Iterator[Flow]:
    owner = Owner(App.SWITCHING, Kind.HOST, view.key)
    yield Flow(Table.SWITCHING, GROUP, Match().eth_dst(GROUP_BIT, GROUP_BIT), (_TO_FLOOD,), owner.cookie())
    yield drop(Table.SWITCHING, MISS, Match(), owner, Reason.UNKNOWN_MAC)
    yield Flow(Table.FLOOD, ARRIVED, _OUTSIDE, (_TO_LOCAL,), owner.cookie())
    yield drop(Table.FLOOD, MISS, Match(), owner, Reason.MISS)
    yield drop(Table.FLOOD_LOCAL, MISS, Match(), owner, Reason.MISS)
    unknown = Match().slot(AUDIENCE, OPEN_PORTS)
    yield drop(Table.FLOOD_CHUNK, NOBODY, unknown, owner, Reason.UNKNOWN_MAC)
    yield drop(Table.FLOOD_CHUNK, NOBODY, Match().slot(AUDIENCE, SERVICE_PORTS), owner, Reason.ISOLATED)
    yield drop(Table.FLOOD_CHUNK, MISS, Match(), owner, Reason.MISS)
    yield drop(Table.UNDERLAY, ARRIVED, _OUTSIDE, owner, Reason.ELSEWHERE)
    yield drop(Table.UNDERLAY, MISS, Match(), owner, Reason.MISS)


def network_flows(view: NetworkView) -> Iterator[Flow]:
    owner = Owner(App.SWITCHING, Kind.NETWORK, view.key)
    cookie = owner.cookie()
    within = Match().slot(NETWORK, view.key)
    inside = within.slot(SOURCE, FROM_WORKLOAD)
    if view.floods_unknown:
        yield Flow(Table.SWITCHING, UNKNOWN, within, _FOR_OPEN_PORTS, cookie)
    elif view.type is not NetworkType.VXLAN:
        # A provider network has members that are none of our ports.
        yield Flow(Table.SWITCHING, UNKNOWN, inside, (_TO_UNDERLAY,), cookie)
    yield Flow(Table.FLOOD, COPIES, inside, (*_copies(view), _TO_LOCAL), cookie)
    local: list[Action] = []
    for number in view.chunks:
        local += (Load(CHUNK, number), _CHUNK_COPIES)
    if local:
        yield Flow(Table.FLOOD_LOCAL, COPIES, within, tuple(local), cookie)
    sends = _sends(view)
    if sends:
        yield Flow(Table.UNDERLAY, COPIES, inside, sends, cookie)
    else:
        yield drop(Table.UNDERLAY, COPIES, inside, owner, Reason.NO_UNDERLAY)


def chunk_flows(view: FloodChunk) -> Iterator[Flow]:
    cookie = Owner(App.SWITCHING, Kind.NETWORK, view.network).cookie()
    chunk = Match().slot(NETWORK, view.network).slot(CHUNK, view.number)
    copies = _copies_by_ofport(view)
    yield from _audience_flows(view, chunk.slot(AUDIENCE, EVERYONE), view.ofports, copies, cookie)
    yield from _audience_flows(view, chunk.slot(AUDIENCE, OPEN_PORTS), view.open_ofports, copies, cookie)
    yield from _audience_flows(view, chunk.slot(AUDIENCE, SERVICE_PORTS), view.service_ofports, copies, cookie)


def _copies_by_ofport(view: FloodChunk) -> dict[Ofport, tuple[Action, ...]]:
    """How each port of the chunk gets its copy, if nothing is filtered."""
    metered = {one.ofport: one.key for one in view.metered}
    return {
        ofport: (apart(Load(TO_PORT, metered[ofport]), _TO_METER) if ofport in metered else Output(ofport),)
        for ofport in view.ofports
    }


def _audience_flows(
    view: FloodChunk,
    chunk: Match,
    ofports: tuple[Ofport, ...],
    copies: Mapping[Ofport, tuple[Action, ...]],
    cookie: int,
) -> Iterator[Flow]:
    """Copies to some ports of a chunk; those that have security groups are asked about IP."""
    if ofports:
        plain = tuple(action for ofport in ofports for action in copies[ofport])
        yield Flow(Table.FLOOD_CHUNK, COPIES, chunk, plain, cookie)
    filtered = [one for one in view.filtered if one.ofport in ofports]
    if filtered:
        metered = {one.ofport for one in view.metered}
        asked = {one.ofport: tuple(_guarded_copy(one, one.ofport in metered)) for one in filtered}
        others = [copies[ofport] for ofport in ofports if ofport not in asked]
        actions = tuple(action for copy in (*others, *asked.values()) for action in copy)
        yield Flow(Table.FLOOD_CHUNK, GUARDED, chunk.ipv4(), actions, cookie)
        yield Flow(Table.FLOOD_CHUNK, GUARDED, chunk.ipv6(), actions, cookie)


def _guarded_copy(one: Filtered, has_meter: bool) -> Iterator[Action]:  # noqa: FBT001  (the port's, not a switch)
    """Each copy has its own fate; none changes the packet, and each says anew what it is about."""
    actions = (Load(TO_PORT, one.key), *filter_actions(one.filtering, one.ofport), _TO_GROUPS)
    if has_meter:
        yield apart(*actions)
    else:
        yield from actions


def station_flows(view: Station) -> Iterator[Flow]:
    cookie = Owner(App.SWITCHING, Kind.PORT, view.key).cookie()
    addressed = Match().slot(NETWORK, view.network).eth_dst(view.mac)
    actions: tuple[Action, ...] = (_TO_FLOOD,)
    if view.ofport is not None:
        actions = (Load(TO_PORT, view.key), _TO_OUTPUT)
        if view.filtering:
            actions = (Load(TO_PORT, view.key), *filter_actions(view.filtering, view.ofport), _TO_STATE)
    elif view.is_remote:
        to_host = () if view.peer is None else (SetField(Field.TUN_DST, view.peer),)
        actions = (*to_host, _TO_UNDERLAY)
    yield Flow(Table.SWITCHING, STATION, addressed, actions, cookie)


def _sends(view: NetworkView) -> tuple[Action, ...]:
    """Puts one frame on the underlay and leaves it untagged; nothing if the host has no way there."""
    if view.underlay_ofport is None:
        return ()
    out = Output(view.underlay_ofport)
    match view.type:
        case NetworkType.VXLAN:
            return (_vni(view), out)
        case NetworkType.VLAN:
            return (PushVlan(), SetField(Field.VLAN_VID, VLAN_TAG | _segment(view)), out, PopVlan())
        case NetworkType.FLAT:
            return (out,)


def _copies(view: NetworkView) -> tuple[Action, ...]:
    """One copy to each other host that has a port of the network."""
    if view.underlay_ofport is None:
        return ()
    if view.type is not NetworkType.VXLAN:
        return (_UNDERLAY_COPY,)
    if not view.peers:
        return ()
    out = Output(view.underlay_ofport)
    copies: list[Action] = [_vni(view)]
    for peer in view.peers:
        copies += (SetField(Field.TUN_DST, peer), out)
    return tuple(copies)


def _vni(view: NetworkView) -> SetField:
    return SetField(Field.TUN_ID, _segment(view))


def _segment(view: NetworkView) -> int:
    if view.segmentation_id is None:
        raise ValueError(f"network {view.key}: {view.type} without a segmentation id")
    return view.segmentation_id
