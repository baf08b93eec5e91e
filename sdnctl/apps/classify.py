# SPDX-License-Identifier: Apache-2.0
"""Classify: where a frame comes from, and so which network it is in.

    table CLASSIFY                 sets NETWORK, SOURCE, FROM_PORT; ZONE, FILTERING where there are security groups
    prio 800  to a reserved group (STP, LLDP, ...)                  drop RESERVED_MAC
    prio 780  from a group's MAC, which is nobody's                 drop FOREIGN_MAC
    prio 760  802.3 with LLC or SNAP                                drop SNAP
    prio 740  a tag behind a tag, in SNAP, or cut off               drop TAGGED
    prio 200  untagged, from a local port                           PORT_SECURITY
    prio 200  from the tunnel, sent by a host of ours               TUNNEL
    prio 200  from a provider bridge, with a network's tag          ISOLATION
    prio 100  from the tunnel, sent by anybody else                 drop UNKNOWN_PEER
    prio 100  from a provider bridge, with any other tag            drop UNKNOWN_TAG
    prio  50  tagged, priority tags included                        drop TAGGED
    prio   0  anything else                                         drop UNKNOWN_SOURCE

    table TUNNEL                   sets NETWORK, SOURCE
    prio 200  tagged                                                drop TAGGED
    prio 100  with a network's VNI                                  ISOLATION
    prio   0  anything else                                         drop UNKNOWN_VNI

Open vSwitch reads a SNAP frame with OUI 0 as if it were Ethernet II and nothing can tell the two apart: such frames
pass here and their content is checked as any other's. All other LLC shows as Ethernet type 0x05ff. A tag is seen as one
where the outer Ethernet type is 0x8100 or 0x88a8; behind a tag, in SNAP or cut off, that type is an ordinary value.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sdnctl.apps.security_groups import filter_actions
from sdnctl.flows.action import Goto, Load, PopVlan
from sdnctl.flows.flow import Flow, drop
from sdnctl.flows.match import Match
from sdnctl.flows.pipeline import App, Kind, Owner, Reason, Table
from sdnctl.flows.registers import FROM_PORT, FROM_UNDERLAY, NETWORK, SOURCE
from sdnctl.model.network import NetworkType
from sdnctl.model.views import HostView, LocalPort, NetworkView, TunnelPeer

RESERVED: Final = 800
GROUP_SOURCE: Final = 780
LLC: Final = 760
HIDDEN_TAG: Final = 740
KNOWN: Final = 200
STRANGER: Final = 100
TAG: Final = 50
MISS: Final = 0

TUNNEL_TAG: Final = 200
TUNNEL_KNOWN: Final = 100

RESERVED_GROUPS: Final = (0x0180C2000000, 0xFFFFFFFFFFF0)
"""IEEE 802.1Q-2018, 8.6.3: no bridge forwards these."""
GROUP_BIT: Final = 0x010000000000
ETH_LLC: Final = 0x05FF
"""What Open vSwitch says of a frame that has a length and no Ethernet type."""
TAG_TYPES: Final = (0x8100, 0x88A8, 0x9100)
"""802.1Q, 802.1ad, and what was used for a second tag before there was 802.1ad."""

_TO_SECURITY: Final = Goto(Table.PORT_SECURITY)
_TO_TUNNEL: Final = (Goto(Table.TUNNEL),)
_OUTSIDE: Final = Load(SOURCE, FROM_UNDERLAY)
_TO_ISOLATION: Final = Goto(Table.ISOLATION)


def host_flows(view: HostView) -> Iterator[Flow]:
    owner = Owner(App.CLASSIFY, Kind.HOST, view.key)
    table = Table.CLASSIFY
    yield drop(table, RESERVED, Match().eth_dst(*RESERVED_GROUPS), owner, Reason.RESERVED_MAC)
    yield drop(table, GROUP_SOURCE, Match().eth_src(GROUP_BIT, GROUP_BIT), owner, Reason.FOREIGN_MAC)
    yield drop(table, LLC, Match().eth_type(ETH_LLC), owner, Reason.SNAP)
    for number in TAG_TYPES:
        yield drop(table, HIDDEN_TAG, Match().eth_type(number), owner, Reason.TAGGED)
    if view.tunnel_ofport is not None:
        yield drop(table, STRANGER, Match().in_port(view.tunnel_ofport), owner, Reason.UNKNOWN_PEER)
    for ofport in view.patch_ofports:
        yield drop(table, STRANGER, Match().in_port(ofport), owner, Reason.UNKNOWN_TAG)
    yield drop(table, TAG, Match().any_tag(), owner, Reason.TAGGED)
    yield drop(table, MISS, Match(), owner, Reason.UNKNOWN_SOURCE)
    yield drop(Table.TUNNEL, TUNNEL_TAG, Match().any_tag(), owner, Reason.TAGGED)
    yield drop(Table.TUNNEL, MISS, Match(), owner, Reason.UNKNOWN_VNI)


def peer_flows(view: TunnelPeer) -> Iterator[Flow]:
    cookie = Owner(App.CLASSIFY, Kind.HOST, view.key).cookie()
    received = Match().in_port(view.tunnel_ofport).tunnel_source(view.address)
    yield Flow(Table.CLASSIFY, KNOWN, received, _TO_TUNNEL, cookie)


def network_flows(view: NetworkView) -> Iterator[Flow]:
    cookie = Owner(App.CLASSIFY, Kind.NETWORK, view.key).cookie()
    enter = (_OUTSIDE, Load(NETWORK, view.key), _TO_ISOLATION)
    if view.underlay_ofport is None:
        return
    match view.type:
        case NetworkType.VXLAN:
            yield Flow(Table.TUNNEL, TUNNEL_KNOWN, Match().tunnel_id(_segment(view)), enter, cookie)
        case NetworkType.VLAN:
            received = Match().in_port(view.underlay_ofport).vlan(_segment(view))
            yield Flow(Table.CLASSIFY, KNOWN, received, (PopVlan(), *enter), cookie)
        case NetworkType.FLAT:
            yield Flow(Table.CLASSIFY, KNOWN, Match().in_port(view.underlay_ofport).untagged(), enter, cookie)


def port_flows(view: LocalPort) -> Iterator[Flow]:
    cookie = Owner(App.CLASSIFY, Kind.PORT, view.key).cookie()
    said = (Load(NETWORK, view.network), Load(FROM_PORT, view.key), *filter_actions(view.filtering, view.ofport))
    yield Flow(Table.CLASSIFY, KNOWN, Match().in_port(view.ofport).untagged(), (*said, _TO_SECURITY), cookie)


def _segment(view: NetworkView) -> int:
    if view.segmentation_id is None:
        raise ValueError(f"network {view.key}: {view.type} without a segmentation id")
    return view.segmentation_id
