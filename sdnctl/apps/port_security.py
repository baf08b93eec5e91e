# SPDX-License-Identifier: Apache-2.0
"""Port security: a workload is only who it is, whatever protocol it says so in.

    table PORT_SECURITY            reads FROM_PORT
    prio 200  port security is off for this port                    RESPONDERS
    prio 100  from a MAC of the port                                SOURCE_SECURITY
    prio   0  anything else                                         drop FOREIGN_MAC

    table SOURCE_SECURITY          reads FROM_PORT, and the MAC again: addresses are owned together with it
    prio 900  IPv6 whose headers cannot be followed                 drop CUT_HEADERS
    prio 880  a first fragment that hides its ports or ICMPv6 type  drop CUT_HEADERS
    prio 860  to a DHCP client, or from a DHCPv6 server             drop DHCP_SERVER
    prio 840  from 0.0.0.0, a DHCP client's broadcast               RESPONDERS
    prio 840  from ::, ICMPv6                                       ND_SECURITY
    prio 820  from 0.0.0.0, loopback, a group, broadcast            drop FOREIGN_IPV4, FOREIGN_IPV6
    prio 200  ARP with sender MAC and address of the port           RESPONDERS
    prio 200  ARP probe (sender 0.0.0.0), RARP, of a MAC of the port   RESPONDERS
    prio 200  IPv4 from an address of the port                      RESPONDERS
    prio 200  IPv6 from an address of the port                      ND_SECURITY
    prio 100  other ARP and RARP, IPv4, IPv6                        drop FOREIGN_ARP, FOREIGN_IPV4, FOREIGN_IPV6
    prio   0  anything else                                         drop ETHERTYPE

    table ND_SECURITY              reads FROM_PORT; IPv6 only
    prio 900  router advertisement, redirect                        drop ROUTER_ADVERTISEMENT
    prio 880  neighbour discovery in a fragment, or about ::        drop FOREIGN_ND
    prio 400  duplicate address detection for an address of the port   RESPONDERS
    prio 300  other solicitation, or advertisement, from ::         drop FOREIGN_ND
    prio 200  solicitation with the MAC of the port, or without     RESPONDERS
    prio 200  advertisement of an address of the port with its MAC, or without one   RESPONDERS
    prio 200  router solicitation, MLD report, from ::              RESPONDERS
    prio 100  other solicitation or advertisement                   drop FOREIGN_ND
    prio  80  anything else from ::                                 drop FOREIGN_IPV6
    prio   0  anything else                                         RESPONDERS

    table OBSERVED                 reads FROM_PORT, ADDRESS         only copies come here
    prio 200  of this ofport, such an address, in the last minute: made by Open vSwitch itself   drop OBSERVED
    prio 100  shown to the controller, behind the port's meter     drop OBSERVED
    prio   0  anything else                                         drop MISS

Forged frames die here, before anything learns from them or answers them. What surprises:

*Fragments.* A client that reads raw frames takes a first fragment for a whole answer, so fragments must show their
ports. They do when the bridge is told so (OpenFlow's SET_CONFIG with Open vSwitch's fragment mode `nx-match`); without
it all first fragments show ports 0, which prio 880 takes for hiding them. So a bridge that was not told, drops too
much and lets nothing through. Neighbour discovery is never fragmented (RFC 6980): options could follow in the second.

*ND options.* Open vSwitch shows target and options as zeros when an option stands twice, and an option that is cut or
has length 0 as MAC 0. So does an absent one, which is legal where an advertisement answers a unicast question.

*Filters* (`security_filters` of a port) are independent. Off means, in the rows of the port itself: `mac`: "of the
port" says nothing of the source MAC, in any of the tables; `arp`: all ARP, RARP, solicitations and advertisements go to
RESPONDERS; `ip`: all IPv4 goes to RESPONDERS and all IPv6 to ND_SECURITY. The rows of the host stay whatever is off,
until port security itself is. A pair of a whole address space (0.0.0.0/0) is no address that ARP or ND can be about.

*Observed addresses.* Where a network has no subnet, ARP and ND also go by OBSERVED (and on to RESPONDERS).
The flows learned there let one frame a minute through for each value of the last four bits of an address of either
version: 32 a minute and port, whatever it sends, and as many flows. What Open vSwitch's caches let pass besides, the
meter holds. Two addresses that end alike are seen in turn.

*Rogue answers* are told by where they go, UDP port 68 or 546, because clients do not look at the port they come from.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Final

from sdnctl.apps import meters, statistics
from sdnctl.flows.action import Controller, Goto, Learn, Load, Move, Resubmit
from sdnctl.flows.fields import Field, Part
from sdnctl.flows.flow import Flow, drop
from sdnctl.flows.match import Match
from sdnctl.flows.pipeline import App, Kind, Owner, Reason, Table
from sdnctl.flows.registers import ADDRESS, ADDRESS_IS_6, FROM_PORT
from sdnctl.model.addresses import IPV4_MASK, IPV6_MASK
from sdnctl.model.filters import Filters
from sdnctl.model.views import HostView, LocalPort, Source

OPEN: Final = 200
OWN_MAC: Final = 100
MISS: Final = 0

HEADERS: Final = 900
HIDDEN: Final = 880
SERVER: Final = 860
UNSPECIFIED: Final = 840
NEVER: Final = 820
OWN: Final = 200
FOREIGN: Final = 100

ROUTER: Final = 900
MALFORMED: Final = 880
OWN_DETECTION: Final = 400
DETECTION: Final = 300
OWN_ND: Final = 200
FOREIGN_ND: Final = 100
NOBODY: Final = 80

ICMPV6: Final = 58
SOLICITATION: Final = 135
ADVERTISEMENT: Final = 136
ROUTER_SOLICITATION: Final = 133
ROUTER_ADVERTISEMENT: Final = 134
REDIRECT: Final = 137
MLD_REPORTS: Final = (131, 143)
DHCP_CLIENT: Final = 68
DHCP_SERVER: Final = 67
DHCPV6_CLIENT: Final = 546
DHCPV6_SERVER: Final = 547

SHOWN: Final = 100
AGAIN_S: Final = 60
"""So long an address is not looked at again."""
FRAME: Final = 128
"""So many bytes of a frame tell the address."""

NEVER_IPV4: Final = (
    (0, IPV4_MASK),
    (127 << 24, 0xFF << 24),
    (0xE0 << 24, 0xF0 << 24),
    (IPV4_MASK, IPV4_MASK),
)
"""0.0.0.0, loopback, groups, broadcast: an allowed pair of 0.0.0.0/0 does not mean these."""
NEVER_IPV6: Final = ((1, IPV6_MASK), (0xFF << 120, 0xFF << 120))
"""Loopback, groups. ND_SECURITY lets nothing pass from :: but what begins with it."""

_TO_SOURCE: Final = (Goto(Table.SOURCE_SECURITY),)
_TO_ND: Final = (Goto(Table.ND_SECURITY),)
_ACCEPT: Final = (Goto(Table.RESPONDERS),)

_LAST_BITS: Final = 4
_OBSERVE: Final = (Move(Part(Field.ARP_SPA, 0, _LAST_BITS), ADDRESS), Resubmit(Table.OBSERVED), *_ACCEPT)
_OBSERVE6: Final = (
    Load(ADDRESS_IS_6, 1),
    Move(Part(Field.IPV6_SRC, 0, _LAST_BITS), ADDRESS),
    Resubmit(Table.OBSERVED),
    *_ACCEPT,
)
_KNOWN: Final = Owner(App.STATISTICS, Kind.HOST, 0).cookie(Reason.OBSERVED)

_FROM_NOBODY: Final = Match().ipv6_src(0)


def host_flows(view: HostView) -> Iterator[Flow]:
    owner = Owner(App.PORT_SECURITY, Kind.HOST, view.key)
    yield drop(Table.PORT_SECURITY, MISS, Match(), owner, Reason.FOREIGN_MAC)
    yield from _source_flows(owner)
    yield from _nd_flows(owner)
    yield drop(Table.OBSERVED, MISS, Match(), owner, Reason.MISS)


def _source_flows(owner: Owner) -> Iterator[Flow]:
    table, accept = Table.SOURCE_SECURITY, owner.cookie()
    yield drop(table, HEADERS, Match().ipv6().ip_proto(0), owner, Reason.CUT_HEADERS)
    for hidden in (Match().udp4(0, 0), Match().udp6(0, 0), Match().icmp6(0, 0)):
        yield drop(table, HIDDEN, hidden.fragment("first"), owner, Reason.CUT_HEADERS)
    for answer in (Match().udp4(dst=DHCP_CLIENT), Match().udp6(dst=DHCPV6_CLIENT), Match().udp6(src=DHCPV6_SERVER)):
        yield drop(table, SERVER, answer, owner, Reason.DHCP_SERVER)
    question = Match().udp4(DHCP_CLIENT, DHCP_SERVER).ipv4_src(0).ipv4_dst(IPV4_MASK)
    yield Flow(table, UNSPECIFIED, question, _ACCEPT, accept)
    yield Flow(table, UNSPECIFIED, _FROM_NOBODY.icmp6(), _TO_ND, accept)
    for address, mask in NEVER_IPV4:
        yield drop(table, NEVER, Match().ipv4_src(address, mask), owner, Reason.FOREIGN_IPV4)
    for address, mask in NEVER_IPV6:
        yield drop(table, NEVER, Match().ipv6_src(address, mask), owner, Reason.FOREIGN_IPV6)
    yield drop(table, FOREIGN, Match().arp(), owner, Reason.FOREIGN_ARP)
    yield drop(table, FOREIGN, Match().rarp(), owner, Reason.FOREIGN_ARP)
    yield drop(table, FOREIGN, Match().ipv4(), owner, Reason.FOREIGN_IPV4)
    yield drop(table, FOREIGN, Match().ipv6(), owner, Reason.FOREIGN_IPV6)
    yield drop(table, MISS, Match(), owner, Reason.ETHERTYPE)


def _nd_flows(owner: Owner) -> Iterator[Flow]:
    table, accept = Table.ND_SECURITY, owner.cookie()
    for kind in (ROUTER_ADVERTISEMENT, REDIRECT):
        yield drop(table, ROUTER, Match().icmp6(kind), owner, Reason.ROUTER_ADVERTISEMENT)
    for kind in (SOLICITATION, ADVERTISEMENT):
        yield drop(table, MALFORMED, Match().icmp6(kind).fragment("first"), owner, Reason.FOREIGN_ND)
        yield drop(table, MALFORMED, Match().icmp6(kind, 0).nd_target(0), owner, Reason.FOREIGN_ND)
    for kind in (SOLICITATION, ADVERTISEMENT):
        yield drop(table, DETECTION, _FROM_NOBODY.icmp6(kind), owner, Reason.FOREIGN_ND)
    yield Flow(table, OWN_ND, Match().icmp6(SOLICITATION, 0).nd_sll(0), _ACCEPT, accept)
    for kind in (ROUTER_SOLICITATION, *MLD_REPORTS):
        yield Flow(table, OWN_ND, _FROM_NOBODY.icmp6(kind), _ACCEPT, accept)
    yield drop(table, FOREIGN_ND, Match().icmp6(SOLICITATION), owner, Reason.FOREIGN_ND)
    yield drop(table, FOREIGN_ND, Match().icmp6(ADVERTISEMENT), owner, Reason.FOREIGN_ND)
    yield drop(table, NOBODY, _FROM_NOBODY, owner, Reason.FOREIGN_IPV6)
    yield Flow(table, MISS, Match(), _ACCEPT, accept)


def port_flows(view: LocalPort) -> Iterator[Flow]:
    cookie = Owner(App.PORT_SECURITY, Kind.PORT, view.key).cookie()
    sent = Match().slot(FROM_PORT, view.key)
    if view.filters is None:
        yield Flow(Table.PORT_SECURITY, OPEN, sent, _ACCEPT, cookie)
    elif view.filters.mac:
        yield from _filter_flows(view, view.filters, sent, cookie)
    else:
        # What is owned with several MACs is the same flow once the MAC does not matter.
        yield from dict.fromkeys(_filter_flows(view, view.filters, sent, cookie))


def _filter_flows(view: LocalPort, filters: Filters, sent: Match, cookie: int) -> Iterator[Flow]:
    source, nd = Table.SOURCE_SECURITY, Table.ND_SECURITY
    macs = sorted({view.mac, *(one.mac for one in view.sources)})
    owned = {mac: sent.eth_src(mac) if filters.mac else sent for mac in macs}
    for mac, own in owned.items():
        yield Flow(Table.PORT_SECURITY, OWN_MAC, own, _TO_SOURCE, cookie)
        if filters.arp:
            yield Flow(source, OWN, own.arp().arp_sha(mac).arp_spa(0), _ACCEPT, cookie)
            yield Flow(source, OWN, own.rarp().arp_sha(mac), _ACCEPT, cookie)
            yield Flow(nd, OWN_ND, own.icmp6(SOLICITATION, 0).nd_sll(mac), _ACCEPT, cookie)
    for one in view.sources:
        own = owned[one.mac]
        if filters.ip and one.version == 4:
            yield Flow(source, OWN, own.ipv4_src(one.address, one.mask), _ACCEPT, cookie)
        elif filters.ip:
            yield Flow(source, OWN, own.ipv6_src(one.address, one.mask), _TO_ND, cookie)
        if filters.arp and one.mask:
            # Who may send from anywhere forwards what others send, and speaks for none of them.
            yield from _claim_flows(one, own, cookie)
    if not filters.arp:
        yield Flow(source, OWN, sent.arp(), _OBSERVE if view.observes else _ACCEPT, cookie)
        yield Flow(source, OWN, sent.rarp(), _ACCEPT, cookie)
        asks = sent.icmp6(SOLICITATION)
        yield Flow(nd, OWN_DETECTION, asks, _OBSERVE6 if view.observes else _ACCEPT, cookie)
        says = sent.icmp6(ADVERTISEMENT)
        yield Flow(nd, OWN_ND, says, _OBSERVE6 if view.observes else _ACCEPT, cookie)
    if view.observes:
        learn = Learn(
            Table.OBSERVED, statistics.LEARNED, _KNOWN, (Field.IN_PORT, ADDRESS, ADDRESS_IS_6), hard_s=AGAIN_S
        )
        show = (meters.punt(view.ofport), learn, Controller(FRAME))
        shown = Owner(App.PORT_SECURITY, Kind.PORT, view.key).cookie(Reason.OBSERVED)
        yield Flow(Table.OBSERVED, SHOWN, sent, show, shown)
    if not filters.ip:
        yield Flow(source, OWN, sent.ipv4(), _ACCEPT, cookie)
        yield Flow(source, OWN, sent.ipv6(), _TO_ND, cookie)


def _claim_flows(one: Source, own: Match, cookie: int) -> Iterator[Flow]:
    """What ARP and ND may say of an address: that it is at its MAC."""
    nd = Table.ND_SECURITY
    if one.version == 4:
        claims = own.arp().arp_sha(one.mac).arp_spa(one.address, one.mask)
        yield Flow(Table.SOURCE_SECURITY, OWN, claims, _ACCEPT, cookie)
        return
    detects = own.ipv6_src(0).icmp6(SOLICITATION, 0).nd_sll(0)
    yield Flow(nd, OWN_DETECTION, detects.nd_target(one.address, one.mask), _ACCEPT, cookie)
    claims = own.icmp6(ADVERTISEMENT, 0).nd_target(one.address, one.mask)
    yield Flow(nd, OWN_ND, claims.nd_tll(one.mac), _ACCEPT, cookie)
    yield Flow(nd, OWN_ND, claims.nd_tll(0), _ACCEPT, cookie)


def observed(frame: bytes) -> str | None:
    """The address that a frame shown by OBSERVED says its sender has, or is about to take; None if it says none.

    Link-local addresses are everybody's, and tell nothing.
    """
    kind = frame[12:14]
    if kind == b"\x08\x06" and len(frame) >= 42:
        sender, probed = frame[28:32], frame[38:42]
        return str(ipaddress.IPv4Address(sender if any(sender) else probed))
    if kind == b"\x86\xdd" and len(frame) >= 78 and frame[20] == ICMPV6:
        source, target = frame[22:38], frame[62:78]
        address = ipaddress.IPv6Address(source if any(source) else target)
        return None if address.is_link_local else str(address)
    return None
