# SPDX-License-Identifier: Apache-2.0
"""What forged frames are made of: who sends, to whom, and builders of a frame that each take one thing to lie about."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from topologies import frames
from topologies.frames import ETH_IPV4, ETH_IPV6, UDP, arp, ethernet, extended, fragment_header, multicast_mac


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is on a network; "" for a version they have no address of."""

    mac: str
    ipv4: str = ""
    ipv6: str = ""

    @property
    def link_local(self) -> str:
        return frames.link_local(self.mac)

    @property
    def gateway4(self) -> str:
        """The first address of its subnet, which is the gateway's."""
        return str(ipaddress.ip_network(f"{self.ipv4}/24", strict=False)[1])

    @property
    def gateway6(self) -> str:
        return str(ipaddress.ip_network(f"{self.ipv6}/64", strict=False)[1])


NOBODY: Final = Identity("52:54:00:ba:d0:01", "203.0.113.66", "2001:db8:bad::66")
"""Addresses that no port in any test has."""

HYPERVISOR: Final = Identity("52:54:00:ba:d0:03", "192.0.2.1", "fe80::1")
"""Addresses of a host."""

ELSEWHERE: Final = Identity("52:54:00:ba:d0:04", "198.51.100.11", "2001:db8:e15e::11")
"""Somebody's on another network."""

VACANT: Final = Identity("52:54:00:ba:d0:02", "203.0.113.77", "2001:db8:bad::77")
"""Nobody has these either; legal frames ask for them, so that no answer is made on the way."""

Builder = Callable[[Identity, Identity, str], bytes]
"""(who sends, whom it is sent to, marker) -> frame."""


@dataclass(frozen=True, slots=True)
class Forgery:
    """A frame that must not arrive, and its twin that must."""

    name: str
    version: int
    """4, 6, or 0 when it needs no address."""
    reason: str
    """Why the sender's host drops it: the name of a member of `sdnctl.flows.pipeline.Reason`."""
    forged: Builder
    legal: Builder


ALL_NODES_MAC: Final = "33:33:00:00:00:01"
DATA: Final = b"\0" * 16

Wrap = Callable[[bytes], bytes]
"""Puts extension headers into an IPv6 packet."""


def four(me: Identity, to: Identity, mark: str, packet: bytes) -> bytes:
    return ethernet(to.mac, me.mac, ETH_IPV4, packet, mark)


def six(me: Identity, dst: str, mark: str, packet: bytes) -> bytes:
    """`dst` is a MAC address, or an IPv6 group."""
    return ethernet(multicast_mac(dst) if dst.startswith("ff") else dst, me.mac, ETH_IPV6, packet, mark)


def datagram(mac: str, src: str, to: Identity, mark: str) -> bytes:
    six = ":" in src
    packet = frames.udp(src, to.ipv6 if six else to.ipv4, 4000, 4001, DATA)
    return ethernet(to.mac, mac, ETH_IPV6 if six else ETH_IPV4, packet, mark)


def legal4(me: Identity, to: Identity, mark: str) -> bytes:
    return datagram(me.mac, me.ipv4, to, mark)


def legal6(me: Identity, to: Identity, mark: str) -> bytes:
    return datagram(me.mac, me.ipv6, to, mark)


def source(src: str) -> Builder:
    """A datagram from that address, and from the own MAC."""
    return lambda me, to, mark: datagram(me.mac, src, to, mark)


def to_port(port: int, *, sport: int = 4000, fragment: int = 0) -> Builder:
    """A datagram from the own IPv4 address to that port, maybe as a fragment."""

    def build(me: Identity, to: Identity, mark: str) -> bytes:
        datagram = frames.udp(me.ipv4, to.ipv4, sport, port, DATA)[20:]
        return four(me, to, mark, frames.ipv4(me.ipv4, to.ipv4, UDP, datagram, fragment=fragment))

    return build


def to_port6(port: int, *, sport: int = 4000) -> Builder:
    return lambda me, to, mark: six(me, to.mac, mark, frames.udp(me.ipv6, to.ipv6, sport, port, DATA))


def packet4(src: str = "", *, options: bytes = b"", fragment: int = 0, length: int = 24) -> Builder:
    """An IPv4 packet from `src` or, when that is empty, from the own address; cut to `length` behind its header."""

    def build(me: Identity, to: Identity, mark: str) -> bytes:
        source = src or me.ipv4
        datagram = frames.udp(source, to.ipv4, 4000, 4001, DATA)[20:][:length]
        return four(me, to, mark, frames.ipv4(source, to.ipv4, UDP, datagram, options=options, fragment=fragment))

    return build


MORE_FRAGMENTS: Final = 0x2000
SECOND_FRAGMENT: Final = 0x0003
RECORD_ROUTE: Final = bytes.fromhex("07 07 04 00000000 00")
SOURCE_ROUTE: Final = bytes.fromhex("83 07 04 0a000001 00")


def arp_reply(sha: str, spa: str, me: Identity, to: Identity, mark: str) -> bytes:
    return arp(me.mac, op=2, sha=sha, spa=spa, tha=to.mac, tpa=to.ipv4, dst=to.mac, mark=mark)


def legal_arp(me: Identity, to: Identity, mark: str) -> bytes:
    return arp_reply(me.mac, me.ipv4, me, to, mark)


def arp_question(me: Identity, spa: str, mark: str, sha: str = "") -> bytes:
    return arp(me.mac, sha=sha, spa=spa, tpa=VACANT.ipv4, mark=mark)


def rarp(me: Identity, sha: str, mark: str) -> bytes:
    return arp(me.mac, op=3, sha=sha, spa="0.0.0.0", tha=sha, tpa="0.0.0.0", ethertype=frames.ETH_RARP, mark=mark)


def other_hardware(me: Identity, to: Identity, mark: str) -> bytes:
    """ARP of IEEE 802 hardware (6), which Linux takes as well, and whose fields Open vSwitch does not read."""
    frame = arp_reply(me.mac, NOBODY.ipv4, me, to, mark)
    return frame[:14] + b"\0\6" + frame[16:]


def dhcp_server(port: int, *, sport: int = 67) -> Builder:
    def build(me: Identity, to: Identity, mark: str) -> bytes:
        body = frames.dhcp(2, 2, to.mac, yiaddr=NOBODY.ipv4, server=me.ipv4)
        return four(me, to, mark, frames.udp(me.ipv4, to.ipv4, sport, port, body))

    return build


def behind(*kinds: tuple[int, bytes]) -> Wrap:
    """Behind these extension headers, the outermost last."""

    def wrap(packet: bytes) -> bytes:
        for kind, body in kinds:
            packet = extended(packet, kind, body)
        return packet

    return wrap


def as_it_is(packet: bytes) -> bytes:
    return packet


PADDING: Final = bytes.fromhex("00 01 04 00000000")
ATOMIC: Final = (frames.FRAGMENT, fragment_header())
FIRST: Final = (frames.FRAGMENT, fragment_header(more=True))
IN_OPTIONS: Final = (frames.DESTINATION, PADDING)
BY_HOP: Final = (frames.HOP_BY_HOP, PADDING)
ROUTED: Final = (frames.ROUTING, bytes.fromhex("00 00 00 00000000"))


def router(wrap: Wrap = as_it_is) -> Builder:
    return lambda me, _to, mark: six(me, ALL_NODES_MAC, mark, wrap(frames.router_advertisement(me.link_local)))


def echo(wrap: Wrap = as_it_is) -> Builder:
    """An echo request to all nodes: as a router advertisement, but for its type."""
    return lambda me, _to, mark: six(
        me, ALL_NODES_MAC, mark, wrap(frames.icmpv6(me.link_local, "ff02::1", 128, bytes(8)))
    )


def advert(source: str, target: str, tll: str, me: Identity, to: Identity, mark: str, wrap: Wrap = as_it_is) -> bytes:
    return six(me, to.mac, mark, wrap(frames.neighbour_advertisement(source, target, tll=tll, dst=to.ipv6)))


def legal_advert(me: Identity, to: Identity, mark: str) -> bytes:
    return advert(me.ipv6, me.ipv6, me.mac, me, to, mark)


def raw_advert(target: str, options: bytes, me: Identity, to: Identity, mark: str, code: int = 0) -> bytes:
    body = b"\x20\0\0\0" + frames.ip_bytes(target) + options
    return six(me, to.mac, mark, frames.icmpv6(me.ipv6, to.ipv6, 136, body, code=code))


def tll(mac: str) -> bytes:
    return b"\2\1" + frames.mac_bytes(mac)


def question(me: Identity, sll: str, mark: str, *, more: bytes = b"", src: str = "") -> bytes:
    group = frames.solicited_node(VACANT.ipv6)
    option = b"\1\1" + frames.mac_bytes(sll) if sll else b""
    packet = frames.icmpv6(src or me.ipv6, group, 135, bytes(4) + frames.ip_bytes(VACANT.ipv6) + option + more)
    return six(me, group, mark, packet)


def detection(target: str, me: Identity, mark: str, sll: str = "") -> bytes:
    group = frames.solicited_node(target)
    return six(me, group, mark, frames.neighbour_solicitation("::", target, sll=sll))


def redirect(me: Identity, to: Identity, mark: str) -> bytes:
    packet = frames.redirect(me.link_local, to.ipv6, destination=NOBODY.ipv6, target=me.link_local)
    return six(me, to.mac, mark, packet)


def typed(ethertype: int) -> Builder:
    """Some other protocol than IP."""
    return lambda me, to, mark: ethernet(to.mac, me.mac, ethertype, DATA, mark)


def addressed(dst: str) -> Builder:
    """A datagram to a group's MAC address."""
    return lambda me, _to, mark: ethernet(
        dst, me.mac, ETH_IPV4, frames.udp(me.ipv4, "239.1.2.3", 4000, 4001, DATA), mark
    )


LEGAL_GROUP: Final = addressed(multicast_mac("239.1.2.3"))


def in_snap(build: Builder, oui: bytes = b"\0\0\0") -> Builder:
    return lambda me, to, mark: frames.snap(build(me, to, mark), oui=oui)


def tag(build: Builder, vid: int, *, priority: int = 0, tpid: int = frames.ETH_VLAN) -> Builder:
    return lambda me, to, mark: frames.tagged(build(me, to, mark), vid, priority=priority, tpid=tpid)
