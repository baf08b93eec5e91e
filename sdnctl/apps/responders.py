# SPDX-License-Identifier: Apache-2.0
"""Responders: who has this address? is answered by the asker's own host, for every address of its network we know.

    table RESPONDERS               reads NETWORK, FROM_PORT         only frames of workloads come here
    prio 400  solicitation from :: (duplicate address detection)    FROM_QOS
    prio 400  solicitation without its sender's MAC                 FROM_QOS
    prio 300  ARP request of a port for an address of its own       FROM_QOS
    prio 200  ARP request for a known address                       REPLY, with its MAC as sender
    prio 200  solicitation of a known address                       REPLY, with its MAC as sender
    prio   0  anything else                                         FROM_QOS
    (the rows of DHCP are in `dhcp.py`)

    table REPLY
    prio 100  ARP: sender and target change places                  back to where it came from
    prio 100  solicitation: becomes an advertisement                REPLY, once more
    prio 100  advertisement: its option gets the MAC                back to where it came from
    prio   0  anything else                                         drop MISS

A neighbour costs one small flow to an address; what makes an answer of a question is the same for all and stands in
REPLY once. The MAC travels as the frame's source address, where the answer needs it anyway.

Answered are probes too (sender 0.0.0.0), because whoever probes wants to know whether somebody has the address. Not
answered is what a port asks by ARP about itself, or it would find itself to be a duplicate; that goes to the network,
so announcements are heard. Duplicate address detection of IPv6 goes to the network as well, where the owner defends its
address: no answer can be made out of it, for its option is missing and the answer must go to all nodes.

An advertisement is the solicitation with its type changed: its option becomes the target's (`nd_options_type`), its
flags are SOLICITED and OVERRIDE, its hop limit is the question's, hence only 255 is answered. The option's field exists
for Open vSwitch only once the type has changed, therefore the second pass. Checksums are put right by Open vSwitch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sdnctl.flows.action import Goto, Load, Move, OutputInPort, Pop, Push, Resubmit, SetField
from sdnctl.flows.fields import Field
from sdnctl.flows.flow import Flow, drop
from sdnctl.flows.match import Match
from sdnctl.flows.pipeline import App, Kind, Owner, Reason, Table
from sdnctl.flows.registers import FROM_PORT, NETWORK
from sdnctl.model.addresses import IPV4_MASK
from sdnctl.model.views import HostView, LocalPort, Neighbour

UNANSWERABLE: Final = 400
OWN: Final = 300
KNOWN: Final = 200
MISS: Final = 0

TURN: Final = 100

ARP_REQUEST: Final = 1
ARP_REPLY: Final = 2
SOLICITATION: Final = 135
ADVERTISEMENT: Final = 136
HOP_LIMIT: Final = 255
"""Neighbour discovery with any other came through a router and is nobody's neighbour (RFC 4861, 7.1)."""
SOLICITED_OVERRIDE: Final = 0x60000000
TARGET_OPTION: Final = 2

_ASKS: Final = Match().arp().arp_op(ARP_REQUEST)
_SOLICITS: Final = Match().icmp6(SOLICITATION, 0)
_PASS_ON: Final = (Goto(Table.FROM_QOS),)
_TO_ASKER: Final = Move(Field.ETH_SRC, Field.ETH_DST)
_TO_REPLY: Final = Goto(Table.REPLY)
_ARP_ANSWER: Final = (
    Load(Field.ARP_OP, ARP_REPLY),
    Move(Field.ARP_SHA, Field.ARP_THA),
    Move(Field.ETH_SRC, Field.ARP_SHA),
    Push(Field.ARP_TPA),
    Move(Field.ARP_SPA, Field.ARP_TPA),
    Pop(Field.ARP_SPA),
    OutputInPort(),
)
_ND_ANSWER: Final = (
    Move(Field.IPV6_SRC, Field.IPV6_DST),
    Move(Field.ND_TARGET, Field.IPV6_SRC),
    SetField(Field.ICMP6_TYPE, ADVERTISEMENT),
    SetField(Field.ND_RESERVED, SOLICITED_OVERRIDE),
    SetField(Field.ND_OPTION, TARGET_OPTION),
    Resubmit(Table.REPLY),
)


def host_flows(view: HostView) -> Iterator[Flow]:
    owner = Owner(App.RESPONDERS, Kind.HOST, view.key)
    cookie = owner.cookie()
    yield Flow(Table.RESPONDERS, UNANSWERABLE, _SOLICITS.ipv6_src(0), _PASS_ON, cookie)
    yield Flow(Table.RESPONDERS, UNANSWERABLE, _SOLICITS.nd_sll(0), _PASS_ON, cookie)
    yield Flow(Table.RESPONDERS, MISS, Match(), _PASS_ON, cookie)
    yield Flow(Table.REPLY, TURN, Match().arp(), _ARP_ANSWER, cookie)
    yield Flow(Table.REPLY, TURN, _SOLICITS, _ND_ANSWER, cookie)
    option = (Move(Field.ETH_SRC, Field.ND_TLL), OutputInPort())
    yield Flow(Table.REPLY, TURN, Match().icmp6(ADVERTISEMENT, 0), option, cookie)
    yield drop(Table.REPLY, MISS, Match(), owner, Reason.MISS)


def port_flows(view: LocalPort) -> Iterator[Flow]:
    """What the port asks about itself. A whole prefix of its own is not exempt: most of it belongs to others."""
    cookie = Owner(App.RESPONDERS, Kind.PORT, view.key).cookie()
    asks = _ASKS.slot(FROM_PORT, view.key)
    for address in sorted({one.address for one in view.sources if one.version == 4 and one.mask == IPV4_MASK}):
        yield Flow(Table.RESPONDERS, OWN, asks.arp_tpa(address), _PASS_ON, cookie)


def neighbour_flows(view: Neighbour) -> Iterator[Flow]:
    cookie = Owner(App.RESPONDERS, Kind.PORT, view.key).cookie()
    answer = (_TO_ASKER, SetField(Field.ETH_SRC, view.mac), _TO_REPLY)
    asks = _ASKS.slot(NETWORK, view.network)
    for address in view.ipv4:
        yield Flow(Table.RESPONDERS, KNOWN, asks.arp_tpa(address), answer, cookie)
    solicits = _SOLICITS.ip_ttl(HOP_LIMIT).slot(NETWORK, view.network)
    for address in view.ipv6:
        yield Flow(Table.RESPONDERS, KNOWN, solicits.nd_target(address), answer, cookie)
