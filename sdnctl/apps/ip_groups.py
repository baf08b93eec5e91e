# SPDX-License-Identifier: Apache-2.0
"""IP groups: an address that several ports may send from, and whoever announced it last is said to have it.

    table PORT_SECURITY            reads FROM_PORT
    prio  90  from a virtual MAC, by a member with VRRP             SOURCE_SECURITY

    table SOURCE_SECURITY          reads FROM_PORT
    prio 300  ARP from a group's address that is pinned to another member   drop PINNED
    prio 180  from a virtual MAC: ARP, IPv4 from the group's address        RESPONDERS
    prio 180  from a virtual MAC: IPv6 from the group's address             ND_SECURITY
    prio 160  from a virtual MAC: VRRP from an address of the port  RESPONDERS, IPv6 ND_SECURITY

    table ND_SECURITY              reads FROM_PORT
    prio 350  advertisement of an address that is pinned to another member  drop PINNED
    prio 180  from a virtual MAC: solicitation with it, advertisement of the group's address   RESPONDERS

    table RESPONDERS               reads NETWORK, FROM_PORT
    prio 340  the holder announces what is known (with VRRP)        FROM_QOS
    prio 320  a member announces the address                        FROM_QOS; then, a copy, IP_GROUPS
    prio 300  a member's solicitation for the address               FROM_QOS
    prio 200  ARP request or solicitation to all for the address    REPLY, with its holder's MAC as sender

    table IP_GROUPS                reads FROM_PORT
    prio 100  an announcement: to the controller, behind the port's meter
    prio   0  anything else                                         drop MISS

That a member may send from the address is port security's business, as with any other address of the port; here is what
is special about it.

*Announcements* are ARP in which sender and target are the address, requests or answers, and advertisements to all
nodes. They go on to the network first, whatever becomes of the copy: neighbours' caches follow them without us, and a
member may be as loud as it likes. The holder's are not copied, so repeating them costs nothing; with VRRP they are when
the MAC address in them is another one than is known.

*Questions.* Only those to all are answered, for whoever asks a neighbour itself (unicast) wants to know whether it is
still there: no answer of ours may say so for it. While nobody is known to hold the address all questions go to the
network, where those who have it answer. A member's own question is let through too (of ARP by `responders`): before it
takes the address it may look whether another one lives. Where a network isolates its clients, they are not told of a
client that holds it.

*VRRP.* A virtual router's number is not known here; its MAC addresses are a range, and the pairing of frame and ARP
sender is not checked within it. That protocol 112 passes security groups is a rule of a group that nobody sees, made
where those are known (`sync.world`); where frames for a virtual MAC go is a `Station`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sdnctl.apps import meters
from sdnctl.apps.qos import apart
from sdnctl.flows.action import Controller, Goto, Move, Resubmit, SetField
from sdnctl.flows.fields import Field
from sdnctl.flows.flow import Flow, drop
from sdnctl.flows.match import Match
from sdnctl.flows.pipeline import App, Kind, Owner, Reason, Table
from sdnctl.flows.registers import FROM_PORT, NETWORK
from sdnctl.model.ids import PortKey
from sdnctl.model.ip_group import VIRTUAL_MAC_MASK, VIRTUAL_MACS, VRRP
from sdnctl.model.views import HostView, IpGroupView, LocalPort

VIRTUAL_MAC: Final = 90

PINNED: Final = 300
VIRTUAL: Final = 180
ADVERTISES: Final = 160

PINNED_ND: Final = 350

UNCHANGED: Final = 340
ANNOUNCES: Final = 320
OWN: Final = 300
KNOWN: Final = 200

PUNT: Final = 100
MISS: Final = 0

GROUP_BIT: Final = 0x010000000000
SOLICITATION: Final = 135
ADVERTISEMENT: Final = 136
HOP_LIMIT: Final = 255
_ARP_HEADER: Final = bytes.fromhex("0806 0001 0800 0604")
ALL_NODES: Final = 0xFF02 << 112 | 1

_ASKS: Final = Match().arp().arp_op(1)
_SOLICITS: Final = Match().icmp6(SOLICITATION, 0).ip_ttl(HOP_LIMIT)
_TO_SOURCE: Final = (Goto(Table.SOURCE_SECURITY),)
_TO_ND: Final = (Goto(Table.ND_SECURITY),)
_ACCEPT: Final = (Goto(Table.RESPONDERS),)
_PASS_ON: Final = (Goto(Table.FROM_QOS),)
_PASS_ON_AND_COPY: Final = (apart(Resubmit(Table.FROM_QOS)), Goto(Table.IP_GROUPS))
"""Apart, so that a limit of the member's or of a receiver's port does not keep it from us."""


def host_flows(view: HostView) -> Iterator[Flow]:
    yield drop(Table.IP_GROUPS, MISS, Match(), Owner(App.IP_GROUPS, Kind.HOST, view.key), Reason.MISS)


def group_flows(view: IpGroupView) -> Iterator[Flow]:
    owner = Owner(App.IP_GROUPS, Kind.IP_GROUP, view.key)
    cookie = owner.cookie()
    if view.mac is not None and view.is_told:
        to_all = (_ASKS if view.version == 4 else _SOLICITS).slot(NETWORK, view.network).eth_dst(GROUP_BIT, GROUP_BIT)
        asks = to_all.arp_tpa(view.address) if view.version == 4 else to_all.nd_target(view.address)
        answer = (Move(Field.ETH_SRC, Field.ETH_DST), SetField(Field.ETH_SRC, view.mac), Goto(Table.REPLY))
        yield Flow(Table.RESPONDERS, KNOWN, asks, answer, cookie)
        for member in view.members if view.version == 6 else ():
            looks = _SOLICITS.slot(FROM_PORT, member.key).nd_target(view.address)
            yield Flow(Table.RESPONDERS, OWN, looks, _PASS_ON, cookie)
    for member in view.members:
        announces = _announces(view, member.key)
        is_holder = member.key == view.holder
        if not member.may_speak:
            table, priority, forged = _speaks(view, member.key)
            yield drop(table, priority, forged, owner, Reason.PINNED)
            continue
        if is_holder and view.vrrp and view.mac is not None:
            same = announces.arp_sha(view.mac) if view.version == 4 else announces.nd_tll(view.mac)
            yield Flow(Table.RESPONDERS, UNCHANGED, same, _PASS_ON, cookie)
        if not is_holder or view.vrrp:
            yield Flow(Table.RESPONDERS, ANNOUNCES, announces, _PASS_ON_AND_COPY, cookie)
            yield Flow(Table.IP_GROUPS, PUNT, announces, (meters.punt(member.ofport), Controller()), cookie)


def _announces(view: IpGroupView, member: PortKey) -> Match:
    sent = Match().slot(FROM_PORT, member)
    if view.version == 4:
        return sent.arp().arp_spa(view.address).arp_tpa(view.address)
    return sent.icmp6(ADVERTISEMENT, 0).ipv6_dst(ALL_NODES).nd_target(view.address)


def _speaks(view: IpGroupView, member: PortKey) -> tuple[Table, int, Match]:
    """Whatever makes neighbours believe that the member has the address."""
    sent = Match().slot(FROM_PORT, member)
    if view.version == 4:
        return Table.SOURCE_SECURITY, PINNED, sent.arp().arp_spa(view.address)
    return Table.ND_SECURITY, PINNED_ND, sent.icmp6(ADVERTISEMENT, 0).nd_target(view.address)


def port_flows(view: LocalPort) -> Iterator[Flow]:
    """What a member with VRRP may send from virtual MAC addresses."""
    if view.filters is None:
        return
    cookie = Owner(App.IP_GROUPS, Kind.PORT, view.key).cookie()
    for version in sorted({version for version, _ in view.virtual}):
        first = VIRTUAL_MACS[version]
        sent = Match().slot(FROM_PORT, view.key).eth_src(first, VIRTUAL_MAC_MASK)
        yield Flow(Table.PORT_SECURITY, VIRTUAL_MAC, sent, _TO_SOURCE, cookie)
        own = [one for one in view.sources if (one.mac, one.version) == (view.mac, version) and one.mask]
        for one in own:
            ip = sent.ipv4() if version == 4 else sent.ipv6()
            vrrp = ip.ip_proto(VRRP)
            if version == 4:
                yield Flow(Table.SOURCE_SECURITY, ADVERTISES, vrrp.ipv4_src(one.address, one.mask), _ACCEPT, cookie)
            else:
                yield Flow(Table.SOURCE_SECURITY, ADVERTISES, vrrp.ipv6_src(one.address, one.mask), _TO_ND, cookie)
        if version == 6:
            solicits = sent.icmp6(SOLICITATION, 0).field(Field.ND_SLL, first, VIRTUAL_MAC_MASK)
            yield Flow(Table.ND_SECURITY, VIRTUAL, solicits, _ACCEPT, cookie)
        for address in (address for one, address in view.virtual if one == version):
            yield from _from_virtual(sent, version, address, cookie)


def _from_virtual(sent: Match, version: int, address: int, cookie: int) -> Iterator[Flow]:
    """Frames from a virtual MAC that carry the group's address."""
    source, first = Table.SOURCE_SECURITY, VIRTUAL_MACS[version]
    if version == 4:
        arp = sent.arp().field(Field.ARP_SHA, first, VIRTUAL_MAC_MASK)
        yield Flow(source, VIRTUAL, arp.arp_spa(address), _ACCEPT, cookie)
        yield Flow(source, VIRTUAL, sent.ipv4_src(address), _ACCEPT, cookie)
        return
    yield Flow(source, VIRTUAL, sent.ipv6_src(address), _TO_ND, cookie)
    claims = sent.icmp6(ADVERTISEMENT, 0).nd_target(address)
    yield Flow(Table.ND_SECURITY, VIRTUAL, claims.field(Field.ND_TLL, first, VIRTUAL_MAC_MASK), _ACCEPT, cookie)
    yield Flow(Table.ND_SECURITY, VIRTUAL, claims.nd_tll(0), _ACCEPT, cookie)


# --- what was announced -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Announcement:
    """Somebody says that an address is at a MAC."""

    version: int
    address: int
    mac: int


def read(frame: bytes) -> Announcement | None:
    """The announcement in `frame`; None for any other frame. Never raises, whatever the bytes."""
    if len(frame) >= 42 and frame[12:20] == _ARP_HEADER:
        sender, target = frame[28:32], frame[38:42]
        if sender == target:
            return Announcement(4, int.from_bytes(sender, "big"), int.from_bytes(frame[22:28], "big"))
    elif len(frame) >= 78 and frame[12:14] == b"\x86\xdd" and frame[20] == 58 and frame[54] == ADVERTISEMENT:
        option = frame[78:86]
        mac = option[2:] if len(option) == 8 and option[:2] == b"\2\1" else frame[6:12]
        return Announcement(6, int.from_bytes(frame[62:78], "big"), int.from_bytes(mac, "big"))
    return None
