# SPDX-License-Identifier: Apache-2.0
"""What a hostile guest tries: a corpus of forged frames.

Each has a legal twin that differs in nothing else: only when that one arrives does the absence of the other mean
something. A `Builder` gets who sends, to whom, and a marker; both may be on one host or on two.

Not in here, because Open vSwitch cannot tell them from Ethernet II: frames in LLC and SNAP with OUI 0 whose content is
legal all through. Those with forged content are.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from topologies import frames
from topologies.frames import ETH_IPV4, ETH_IPV6, ICMPV6, UDP, arp, ethernet, extended, fragment_header, multicast_mac


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is on a network; "" for a version they have no address of."""

    mac: str
    ipv4: str = ""
    ipv6: str = ""

    @property
    def link_local(self) -> str:
        return frames.link_local(self.mac)


NOBODY: Final = Identity("52:54:00:ba:d0:01", "203.0.113.66", "2001:db8:bad::66")
"""Addresses that no port in any test has."""

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
    forged: Builder
    legal: Builder


# --------------------------------------------------------------------------------------------------------------- parts

ALL_NODES_MAC: Final = "33:33:00:00:00:01"
DATA: Final = b"\0" * 16

Wrap = Callable[[bytes], bytes]
"""Puts extension headers into an IPv6 packet."""


def _four(me: Identity, to: Identity, mark: str, packet: bytes) -> bytes:
    return ethernet(to.mac, me.mac, ETH_IPV4, packet, mark)


def _six(me: Identity, dst: str, mark: str, packet: bytes) -> bytes:
    """`dst` is a MAC address, or an IPv6 group."""
    return ethernet(multicast_mac(dst) if dst.startswith("ff") else dst, me.mac, ETH_IPV6, packet, mark)


def _datagram(mac: str, src: str, to: Identity, mark: str) -> bytes:
    six = ":" in src
    packet = frames.udp(src, to.ipv6 if six else to.ipv4, 4000, 4001, DATA)
    return ethernet(to.mac, mac, ETH_IPV6 if six else ETH_IPV4, packet, mark)


def _legal4(me: Identity, to: Identity, mark: str) -> bytes:
    return _datagram(me.mac, me.ipv4, to, mark)


def _legal6(me: Identity, to: Identity, mark: str) -> bytes:
    return _datagram(me.mac, me.ipv6, to, mark)


def _from(src: str) -> Builder:
    """A datagram from that address, and from the own MAC."""
    return lambda me, to, mark: _datagram(me.mac, src, to, mark)


def _to_port(port: int, *, sport: int = 4000, fragment: int = 0) -> Builder:
    """A datagram from the own IPv4 address to that port, maybe as a fragment."""

    def build(me: Identity, to: Identity, mark: str) -> bytes:
        datagram = frames.udp(me.ipv4, to.ipv4, sport, port, DATA)[20:]
        return _four(me, to, mark, frames.ipv4(me.ipv4, to.ipv4, UDP, datagram, fragment=fragment))

    return build


def _to_port6(port: int, *, sport: int = 4000) -> Builder:
    return lambda me, to, mark: _six(me, to.mac, mark, frames.udp(me.ipv6, to.ipv6, sport, port, DATA))


def _ipv4(src: str = "", *, options: bytes = b"", fragment: int = 0, length: int = 24) -> Builder:
    """An IPv4 packet from `src` or, when that is empty, from the own address; cut to `length` behind its header."""

    def build(me: Identity, to: Identity, mark: str) -> bytes:
        source = src or me.ipv4
        datagram = frames.udp(source, to.ipv4, 4000, 4001, DATA)[20:][:length]
        return _four(me, to, mark, frames.ipv4(source, to.ipv4, UDP, datagram, options=options, fragment=fragment))

    return build


MORE_FRAGMENTS: Final = 0x2000
SECOND_FRAGMENT: Final = 0x0003
RECORD_ROUTE: Final = bytes.fromhex("07 07 04 00000000 00")
SOURCE_ROUTE: Final = bytes.fromhex("83 07 04 0a000001 00")


def _arp_reply(sha: str, spa: str, me: Identity, to: Identity, mark: str) -> bytes:
    return arp(me.mac, op=2, sha=sha, spa=spa, tha=to.mac, tpa=to.ipv4, dst=to.mac, mark=mark)


def _legal_arp(me: Identity, to: Identity, mark: str) -> bytes:
    return _arp_reply(me.mac, me.ipv4, me, to, mark)


def _arp_question(me: Identity, spa: str, mark: str, sha: str = "") -> bytes:
    return arp(me.mac, sha=sha, spa=spa, tpa=VACANT.ipv4, mark=mark)


def _rarp(me: Identity, sha: str, mark: str) -> bytes:
    return arp(me.mac, op=3, sha=sha, spa="0.0.0.0", tha=sha, tpa="0.0.0.0", ethertype=frames.ETH_RARP, mark=mark)


def _other_hardware(me: Identity, to: Identity, mark: str) -> bytes:
    """ARP of IEEE 802 hardware (6), which Linux takes as well, and whose fields Open vSwitch does not read."""
    frame = _arp_reply(me.mac, NOBODY.ipv4, me, to, mark)
    return frame[:14] + b"\0\6" + frame[16:]


def _dhcp_server(port: int, *, sport: int = 67) -> Builder:
    def build(me: Identity, to: Identity, mark: str) -> bytes:
        body = frames.dhcp(2, 2, to.mac, yiaddr=NOBODY.ipv4, server=me.ipv4)
        return _four(me, to, mark, frames.udp(me.ipv4, to.ipv4, sport, port, body))

    return build


def _behind(*kinds: tuple[int, bytes]) -> Wrap:
    """Behind these extension headers, the outermost last."""

    def wrap(packet: bytes) -> bytes:
        for kind, body in kinds:
            packet = extended(packet, kind, body)
        return packet

    return wrap


def _as_it_is(packet: bytes) -> bytes:
    return packet


PADDING: Final = bytes.fromhex("00 01 04 00000000")
ATOMIC: Final = (frames.FRAGMENT, fragment_header())
FIRST: Final = (frames.FRAGMENT, fragment_header(more=True))
IN_OPTIONS: Final = (frames.DESTINATION, PADDING)
BY_HOP: Final = (frames.HOP_BY_HOP, PADDING)
ROUTED: Final = (frames.ROUTING, bytes.fromhex("00 00 00 00000000"))


def _router(wrap: Wrap = _as_it_is) -> Builder:
    return lambda me, _to, mark: _six(me, ALL_NODES_MAC, mark, wrap(frames.router_advertisement(me.link_local)))


def _echo(wrap: Wrap = _as_it_is) -> Builder:
    """An echo request to all nodes: as a router advertisement, but for its type."""
    return lambda me, _to, mark: _six(
        me, ALL_NODES_MAC, mark, wrap(frames.icmpv6(me.link_local, "ff02::1", 128, bytes(8)))
    )


def _advert(source: str, target: str, tll: str, me: Identity, to: Identity, mark: str, wrap: Wrap = _as_it_is) -> bytes:
    return _six(me, to.mac, mark, wrap(frames.neighbour_advertisement(source, target, tll=tll, dst=to.ipv6)))


def _legal_advert(me: Identity, to: Identity, mark: str) -> bytes:
    return _advert(me.ipv6, me.ipv6, me.mac, me, to, mark)


def _raw_advert(target: str, options: bytes, me: Identity, to: Identity, mark: str, code: int = 0) -> bytes:
    body = b"\x20\0\0\0" + frames.ip_bytes(target) + options
    return _six(me, to.mac, mark, frames.icmpv6(me.ipv6, to.ipv6, 136, body, code=code))


def _tll(mac: str) -> bytes:
    return b"\2\1" + frames.mac_bytes(mac)


def _question(me: Identity, sll: str, mark: str, *, more: bytes = b"", src: str = "") -> bytes:
    group = frames.solicited_node(VACANT.ipv6)
    option = b"\1\1" + frames.mac_bytes(sll) if sll else b""
    packet = frames.icmpv6(src or me.ipv6, group, 135, bytes(4) + frames.ip_bytes(VACANT.ipv6) + option + more)
    return _six(me, group, mark, packet)


def _detection(target: str, me: Identity, mark: str, sll: str = "") -> bytes:
    group = frames.solicited_node(target)
    return _six(me, group, mark, frames.neighbour_solicitation("::", target, sll=sll))


def _redirect(me: Identity, to: Identity, mark: str) -> bytes:
    packet = frames.redirect(me.link_local, to.ipv6, destination=NOBODY.ipv6, target=me.link_local)
    return _six(me, to.mac, mark, packet)


def _typed(ethertype: int) -> Builder:
    """Some other protocol than IP."""
    return lambda me, to, mark: ethernet(to.mac, me.mac, ethertype, DATA, mark)


def _addressed(dst: str) -> Builder:
    """A datagram to a group's MAC address."""
    return lambda me, _to, mark: ethernet(
        dst, me.mac, ETH_IPV4, frames.udp(me.ipv4, "239.1.2.3", 4000, 4001, DATA), mark
    )


_LEGAL_GROUP: Final = _addressed(multicast_mac("239.1.2.3"))


def _snap(build: Builder, oui: bytes = b"\0\0\0") -> Builder:
    return lambda me, to, mark: frames.snap(build(me, to, mark), oui=oui)


def _tag(build: Builder, vid: int, *, priority: int = 0, tpid: int = frames.ETH_VLAN) -> Builder:
    return lambda me, to, mark: frames.tagged(build(me, to, mark), vid, priority=priority, tpid=tpid)


# -------------------------------------------------------------------------------------------------------------- corpus

_LINK: Final = (
    Forgery("mac", 4, lambda me, to, mark: _datagram(NOBODY.mac, me.ipv4, to, mark), _legal4),
    Forgery("mac6", 6, lambda me, to, mark: _datagram(NOBODY.mac, me.ipv6, to, mark), _legal6),
    Forgery("mac-of-receiver", 4, lambda me, to, mark: _datagram(to.mac, me.ipv4, to, mark), _legal4),
    Forgery("mac-multicast", 4, lambda me, to, mark: _datagram("01:00:5e:01:02:03", me.ipv4, to, mark), _legal4),
    Forgery("mac-broadcast", 4, lambda me, to, mark: _datagram(frames.BROADCAST, me.ipv4, to, mark), _legal4),
    Forgery("mac-zero", 4, lambda me, to, mark: _datagram("00:00:00:00:00:00", me.ipv4, to, mark), _legal4),
    Forgery("to-spanning-tree", 4, _addressed("01:80:c2:00:00:00"), _LEGAL_GROUP),
    Forgery("to-link-discovery", 4, _addressed("01:80:c2:00:00:0e"), _LEGAL_GROUP),
    Forgery("vlan-tag", 4, _tag(_legal4, 100), _legal4),
    Forgery("priority-tag", 4, _tag(_legal4, 0, priority=5), _legal4),
    Forgery("service-tag", 4, _tag(_legal4, 100, tpid=frames.ETH_QINQ), _legal4),
    Forgery("old-double-tag", 4, _tag(_legal4, 100, tpid=0x9100), _legal4),
    Forgery("qinq", 4, _tag(_tag(_legal4, 100), 200, tpid=frames.ETH_QINQ), _legal4),
    Forgery("llc", 4, lambda me, to, mark: frames.llc(to.mac, me.mac, mark), _legal4),
    Forgery("snap-foreign-oui", 4, _snap(_legal4, b"\x08\0\x07"), _legal4),
    Forgery("snap-tag", 4, _snap(_tag(_legal4, 100)), _legal4),
    Forgery("snap-ipv4", 4, _snap(_from(NOBODY.ipv4)), _legal4),
    Forgery("snap-arp", 4, _snap(partial(_arp_reply, NOBODY.mac, NOBODY.ipv4)), _legal_arp),
    Forgery("snap-router-advertisement", 6, _snap(_router()), _echo()),
    Forgery("snap-dhcp-server", 4, _snap(_dhcp_server(68)), _dhcp_server(6868)),
    Forgery("ethertype-lldp", 4, _typed(0x88CC), _legal4),
    Forgery("ethertype-storage", 4, _typed(0x88A2), _legal4),
    Forgery("ethertype-pppoe", 4, _typed(0x8863), _legal4),
    Forgery("ethertype-mpls", 4, _typed(0x8847), _legal4),
    Forgery("ethertype-loopback", 4, _typed(0x9000), _legal4),
    Forgery("ethertype-experimental", 4, _typed(0x88B5), _legal4),
)

_ARP: Final = (
    Forgery("arp-sender-ip", 4, lambda me, to, mark: _arp_reply(me.mac, NOBODY.ipv4, me, to, mark), _legal_arp),
    Forgery("arp-sender-mac", 4, lambda me, to, mark: _arp_reply(NOBODY.mac, me.ipv4, me, to, mark), _legal_arp),
    Forgery("arp-sender-is-receiver", 4, lambda me, to, mark: _arp_reply(me.mac, to.ipv4, me, to, mark), _legal_arp),
    Forgery(
        "arp-gratuitous",
        4,
        lambda me, to, mark: arp(me.mac, spa=to.ipv4, tpa=to.ipv4, mark=mark),
        lambda me, _to, mark: arp(me.mac, spa=me.ipv4, tpa=me.ipv4, mark=mark),
    ),
    Forgery(
        "arp-gratuitous-answer",
        4,
        lambda me, to, mark: arp(me.mac, op=2, spa=to.ipv4, tha=frames.BROADCAST, tpa=to.ipv4, mark=mark),
        lambda me, _to, mark: arp(me.mac, op=2, spa=me.ipv4, tha=frames.BROADCAST, tpa=me.ipv4, mark=mark),
    ),
    Forgery(
        "arp-question",
        4,
        lambda me, _to, mark: _arp_question(me, NOBODY.ipv4, mark),
        lambda me, _to, mark: _arp_question(me, me.ipv4, mark),
    ),
    Forgery(
        "arp-probe",
        4,
        lambda me, _to, mark: _arp_question(me, "0.0.0.0", mark, NOBODY.mac),
        lambda me, _to, mark: _arp_question(me, "0.0.0.0", mark),
    ),
    Forgery("arp-other-hardware", 4, _other_hardware, _legal_arp),
    Forgery(
        "rarp", 4, lambda me, _to, mark: _rarp(me, NOBODY.mac, mark), lambda me, _to, mark: _rarp(me, me.mac, mark)
    ),
)

_IPV4: Final = (
    Forgery("ipv4", 4, _from(NOBODY.ipv4), _legal4),
    Forgery("ipv4-of-receiver", 4, lambda me, to, mark: _datagram(me.mac, to.ipv4, to, mark), _legal4),
    Forgery("ipv4-unspecified", 4, _from("0.0.0.0"), _legal4),
    Forgery("ipv4-loopback", 4, _from("127.0.0.1"), _legal4),
    Forgery("ipv4-multicast", 4, _from("224.0.0.18"), _legal4),
    Forgery("ipv4-broadcast", 4, _from("255.255.255.255"), _legal4),
    Forgery("ipv4-options", 4, _ipv4(NOBODY.ipv4, options=RECORD_ROUTE), _ipv4(options=RECORD_ROUTE)),
    Forgery("ipv4-source-route", 4, _ipv4(NOBODY.ipv4, options=SOURCE_ROUTE), _ipv4(options=SOURCE_ROUTE)),
    Forgery("ipv4-first-fragment", 4, _ipv4(NOBODY.ipv4, fragment=MORE_FRAGMENTS), _ipv4(fragment=MORE_FRAGMENTS)),
    Forgery("ipv4-later-fragment", 4, _ipv4(NOBODY.ipv4, fragment=SECOND_FRAGMENT), _ipv4(fragment=SECOND_FRAGMENT)),
    Forgery("ipv4-hidden-ports", 4, _ipv4(fragment=MORE_FRAGMENTS, length=0), _ipv4(fragment=MORE_FRAGMENTS)),
    Forgery("ipv4-cut", 4, lambda me, to, mark: ethernet(to.mac, me.mac, ETH_IPV4, b"\x45\0\0\x14", mark), _legal4),
    Forgery("dhcp-server", 4, _dhcp_server(68), _dhcp_server(6868)),
    Forgery("dhcp-server-from-elsewhere", 4, _dhcp_server(68, sport=4000), _dhcp_server(6868, sport=4000)),
    Forgery("dhcp-server-fragment", 4, _to_port(68, fragment=MORE_FRAGMENTS), _to_port(6868, fragment=MORE_FRAGMENTS)),
)

_IPV6: Final = (
    Forgery("ipv6", 6, _from(NOBODY.ipv6), _legal6),
    Forgery("ipv6-of-receiver", 6, lambda me, to, mark: _datagram(me.mac, to.ipv6, to, mark), _legal6),
    Forgery(
        "ipv6-link-local",
        6,
        _from(NOBODY.link_local),
        lambda me, to, mark: _datagram(me.mac, me.link_local, to, mark),
    ),
    Forgery("ipv6-unspecified", 6, _from("::"), _legal6),
    Forgery("ipv6-loopback", 6, _from("::1"), _legal6),
    Forgery("ipv6-multicast", 6, _from("ff02::1"), _legal6),
    Forgery("ipv6-mapped", 6, lambda me, to, mark: _datagram(me.mac, f"::ffff:{me.ipv4}", to, mark), _legal6),
    Forgery(
        "ipv6-behind-options",
        6,
        lambda me, to, mark: _six(
            me, to.mac, mark, extended(frames.udp(NOBODY.ipv6, to.ipv6, 1, 2, DATA), frames.DESTINATION)
        ),
        lambda me, to, mark: _six(
            me, to.mac, mark, extended(frames.udp(me.ipv6, to.ipv6, 1, 2, DATA), frames.DESTINATION)
        ),
    ),
    Forgery(
        "ipv6-later-fragment",
        6,
        lambda me, to, mark: _six(me, to.mac, mark, _second_fragment(NOBODY.ipv6, to.ipv6)),
        lambda me, to, mark: _six(me, to.mac, mark, _second_fragment(me.ipv6, to.ipv6)),
    ),
    Forgery("dhcpv6-server", 6, _to_port6(546, sport=547), _to_port6(5460, sport=5470)),
    Forgery("dhcpv6-to-client", 6, _to_port6(546), _to_port6(5460)),
    Forgery(
        "mld-report",
        6,
        lambda me, _to, mark: _six(me, "ff02::16", mark, frames.mld_report(NOBODY.link_local, "ff02::fb")),
        lambda me, _to, mark: _six(me, "ff02::16", mark, frames.mld_report(me.link_local, "ff02::fb")),
    ),
)


def _second_fragment(src: str, dst: str) -> bytes:
    return extended(frames.ipv6(src, dst, ICMPV6, DATA), frames.FRAGMENT, fragment_header(64))


_ND: Final = (
    Forgery("nd-target", 6, lambda me, to, mark: _advert(me.ipv6, NOBODY.ipv6, me.mac, me, to, mark), _legal_advert),
    Forgery(
        "nd-target-is-receiver",
        6,
        lambda me, to, mark: _advert(me.ipv6, to.ipv6, me.mac, me, to, mark),
        _legal_advert,
    ),
    Forgery(
        "nd-target-link-local",
        6,
        lambda me, to, mark: _advert(me.ipv6, to.link_local, me.mac, me, to, mark),
        lambda me, to, mark: _advert(me.ipv6, me.link_local, me.mac, me, to, mark),
    ),
    Forgery(
        "nd-link-address", 6, lambda me, to, mark: _advert(me.ipv6, me.ipv6, NOBODY.mac, me, to, mark), _legal_advert
    ),
    Forgery(
        "nd-target-without-link-address",
        6,
        lambda me, to, mark: _raw_advert(to.ipv6, b"", me, to, mark),
        lambda me, to, mark: _raw_advert(me.ipv6, b"", me, to, mark),
    ),
    Forgery(
        "nd-two-link-addresses",
        6,
        lambda me, to, mark: _raw_advert(me.ipv6, _tll(me.mac) + _tll(NOBODY.mac), me, to, mark),
        _legal_advert,
    ),
    Forgery(
        "nd-code",
        6,
        lambda me, to, mark: _raw_advert(NOBODY.ipv6, _tll(me.mac), me, to, mark, code=1),
        _legal_advert,
    ),
    Forgery(
        "nd-target-behind-options",
        6,
        lambda me, to, mark: _advert(me.ipv6, to.ipv6, me.mac, me, to, mark, _behind(IN_OPTIONS)),
        lambda me, to, mark: _advert(me.ipv6, me.ipv6, me.mac, me, to, mark, _behind(IN_OPTIONS)),
    ),
    Forgery(
        "nd-fragment",
        6,
        lambda me, to, mark: _advert(me.ipv6, me.ipv6, me.mac, me, to, mark, _behind(FIRST)),
        _legal_advert,
    ),
    Forgery(
        "nd-question-link-address",
        6,
        lambda me, _to, mark: _question(me, NOBODY.mac, mark),
        lambda me, _to, mark: _question(me, me.mac, mark),
    ),
    Forgery(
        "nd-question-two-link-addresses",
        6,
        lambda me, _to, mark: _question(me, me.mac, mark, more=b"\1\1" + frames.mac_bytes(NOBODY.mac)),
        lambda me, _to, mark: _question(me, me.mac, mark),
    ),
    Forgery(
        "nd-question-source",
        6,
        lambda me, _to, mark: _question(me, me.mac, mark, src=NOBODY.ipv6),
        lambda me, _to, mark: _question(me, me.mac, mark, src=me.link_local),
    ),
    Forgery(
        "duplicate-detection",
        6,
        lambda me, to, mark: _detection(to.ipv6, me, mark),
        lambda me, _to, mark: _detection(me.ipv6, me, mark),
    ),
    Forgery(
        "duplicate-detection-link-local",
        6,
        lambda me, to, mark: _detection(to.link_local, me, mark),
        lambda me, _to, mark: _detection(me.link_local, me, mark),
    ),
    Forgery(
        "duplicate-detection-with-option",
        6,
        lambda me, _to, mark: _detection(me.ipv6, me, mark, sll=me.mac),
        lambda me, _to, mark: _detection(me.ipv6, me, mark),
    ),
    Forgery(
        "router-solicitation",
        6,
        lambda me, _to, mark: _six(me, "ff02::2", mark, frames.router_solicitation(NOBODY.link_local, sll=me.mac)),
        lambda me, _to, mark: _six(me, "ff02::2", mark, frames.router_solicitation(me.link_local, sll=me.mac)),
    ),
    Forgery("redirect", 6, _redirect, lambda me, to, mark: _advert(me.ipv6, me.ipv6, me.mac, me, to, mark)),
)

_ROUTER: Final = (
    Forgery("router-advertisement", 6, _router(), _echo()),
    *(
        Forgery(f"router-advertisement-{name}", 6, _router(_behind(*kinds)), _echo(_behind(*kinds)))
        for name, kinds in (
            ("behind-options", (IN_OPTIONS,)),
            ("behind-hop-by-hop", (BY_HOP,)),
            ("behind-routing", (ROUTED,)),
            ("behind-many", (IN_OPTIONS,) * 7 + (BY_HOP,)),
            ("in-atomic-fragment", (ATOMIC,)),
            ("in-first-fragment", (FIRST,)),
            ("behind-options-in-fragment", (IN_OPTIONS, FIRST)),
        )
    ),
    Forgery(
        "router-advertisement-hidden",
        6,
        lambda me, _to, mark: _six(me, ALL_NODES_MAC, mark, _hidden(me.link_local)),
        _echo(_behind(FIRST)),
    ),
    Forgery(
        "router-advertisement-global",
        6,
        lambda me, to, mark: _six(me, to.mac, mark, frames.router_advertisement(me.ipv6, dst=to.ipv6)),
        lambda me, to, mark: _six(me, to.mac, mark, frames.icmpv6(me.ipv6, to.ipv6, 128, bytes(8))),
    ),
)


def _hidden(src: str) -> bytes:
    """A first fragment that ends before its ICMPv6 header."""
    options = struct.pack("!BB", ICMPV6, 0) + PADDING[1:]
    return extended(frames.ipv6(src, "ff02::1", frames.DESTINATION, options, hops=255), frames.FRAGMENT, FIRST[1])


FORGERIES: Final[Mapping[str, Forgery]] = {
    forgery.name: forgery for forgery in (*_LINK, *_ARP, *_IPV4, *_IPV6, *_ND, *_ROUTER)
}
"""What a hostile guest tries, by name."""
