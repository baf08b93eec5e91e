# SPDX-License-Identifier: Apache-2.0
"""Forged IPv6: sources, chains of extension headers, fragments; DHCPv6 servers and multicast listeners."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from topologies import frames
from topologies.forgeries.parts import (
    ATOMIC,
    BY_HOP,
    DATA,
    FIRST,
    IN_OPTIONS,
    NOBODY,
    ROUTED,
    Builder,
    Forgery,
    Identity,
    Wrap,
    as_it_is,
    behind,
    datagram,
    legal6,
    six,
    source,
    to_port6,
)
from topologies.frames import ICMPV6, UDP, extended, fragment_header

FOREIGN_IPV6: Final = "FOREIGN_IPV6"
CUT_HEADERS: Final = "CUT_HEADERS"
DHCP_SERVER: Final = "DHCP_SERVER"

AUTHENTICATED: Final = (51, bytes.fromhex("02 0000 00000001 00000001 00000000"))
"""An authentication header, whose length counts in words of four octets."""
CHAINS: Final = {
    "hop-by-hop": (BY_HOP,),
    "routing": (ROUTED,),
    "authentication": (AUTHENTICATED,),
    "atomic-fragment": (ATOMIC,),
    "first-fragment": (FIRST,),
    "two-fragments": (ATOMIC, FIRST),
    "everything": (IN_OPTIONS, ROUTED, IN_OPTIONS, BY_HOP),
    "many-options": (IN_OPTIONS,) * 12,
}
SOURCES: Final = {
    "of-elsewhere": "2001:db8:e15e::11",
    "of-hypervisor": "fe80::1",
    "compatible": "::10.0.0.1",
    "translated": "64:ff9b::10.0.0.1",
    "unique-local": "fd00::1",
    "site-local": "fec0::1",
    "six-to-four": "2002:a00:1::1",
    "discard": "100::1",
    "all-routers": "ff02::2",
    "solicited-node": "ff02::1:ff00:1",
    "any-group": "ff0e::1",
}


def _packet(src: str = "", wrap: Wrap = as_it_is, *, protocol: int = UDP, dst: str = "") -> Builder:
    """A datagram from `src` or from the own address, or another protocol's packet, behind extension headers."""

    def build(me: Identity, to: Identity, mark: str) -> bytes:
        source, target = src or me.ipv6, dst or to.ipv6
        whole = frames.udp(source, target, 4000, 4001, DATA)
        if protocol != UDP:
            whole = frames.ipv6(source, target, protocol, DATA * 2)
        return six(me, dst or to.mac, mark, wrap(whole))

    return build


def _dhcp6(sport: int, dport: int, wrap: Wrap = as_it_is, *, src: str = "") -> Builder:
    """What a DHCPv6 server says, to all nodes."""

    def build(me: Identity, _to: Identity, mark: str) -> bytes:
        packet = frames.udp(src or me.link_local, "ff02::1", sport, dport, bytes.fromhex("02123456") + DATA * 2)
        return six(me, "ff02::1", mark, wrap(packet))

    return build


def _head(at: int, octets: str) -> Builder:
    """A legal packet with other octets in its header."""

    def build(me: Identity, to: Identity, mark: str) -> bytes:
        frame = legal6(me, to, mark)
        new = bytes.fromhex(octets)
        return frame[: 14 + at] + new + frame[14 + at + len(new) :]

    return build


def _cut_chain(me: Identity, to: Identity, mark: str) -> bytes:
    """Destination options that say they are longer than the packet."""
    return six(me, to.mac, mark, extended(frames.udp(me.ipv6, to.ipv6, 1, 2), frames.DESTINATION, b"\x20" + bytes(6)))


def _hides(protocol: int) -> Builder:
    """A first fragment with nothing behind its headers but options."""

    def build(me: Identity, _to: Identity, mark: str) -> bytes:
        packet = frames.ipv6(me.link_local, "ff02::1", frames.DESTINATION, bytes((protocol, 0)) + bytes(6), hops=255)
        return six(me, "ff02::1", mark, extended(packet, frames.FRAGMENT, FIRST[1]))

    return build


def _listener(kind: int, src: str) -> Builder:
    """MLD: 130 asks, 131 reports, 132 is done."""

    def build(me: Identity, _to: Identity, mark: str) -> bytes:
        source = me.link_local if src == "own" else src
        message = frames.icmpv6(source, "ff02::fb", kind, bytes(4) + frames.ip_bytes("ff02::fb"), hops=1)
        alert = extended(message, frames.HOP_BY_HOP, bytes.fromhex("00 05020000 0100"))
        return six(me, "ff02::fb", mark, alert)

    return build


def _message(kind: int, src: str = "") -> Builder:
    return lambda me, to, mark: six(me, to.mac, mark, frames.icmpv6(src or me.ipv6, to.ipv6, kind, bytes(4) + DATA))


def second_fragment(src: str, dst: str) -> bytes:
    return extended(frames.ipv6(src, dst, ICMPV6, DATA), frames.FRAGMENT, fragment_header(64))


def _others() -> Iterator[Forgery]:
    for name, address in SOURCES.items():
        yield Forgery(f"ipv6-{name}", 6, FOREIGN_IPV6, source(address), legal6)
    for name, kinds in CHAINS.items():
        forged, legal = _packet(NOBODY.ipv6, behind(*kinds)), _packet("", behind(*kinds))
        yield Forgery(f"ipv6-behind-{name}", 6, FOREIGN_IPV6, forged, legal)
    for name, number in {
        "tcp": 6,
        "ipv4": 4,
        "ipv6": 41,
        "gre": 47,
        "esp": 50,
        "nothing": 59,
        "ospf": 89,
        "vrrp": 112,
        "sctp": 132,
        "mobility": 135,
        "host-identity": 139,
        "last": 255,
    }.items():
        forged, legal = _packet(NOBODY.ipv6, protocol=number), _packet(protocol=number)
        yield Forgery(f"ipv6-protocol-{name}", 6, FOREIGN_IPV6, forged, legal)
    for name, kind in {"echo": 128, "too-big": 2, "unreachable": 1, "node-information": 139}.items():
        yield Forgery(f"icmpv6-{name}", 6, FOREIGN_IPV6, _message(kind, NOBODY.ipv6), _message(kind))


IPV6: Final = (
    Forgery("ipv6", 6, FOREIGN_IPV6, source(NOBODY.ipv6), legal6),
    Forgery("ipv6-of-receiver", 6, FOREIGN_IPV6, lambda me, to, mark: datagram(me.mac, to.ipv6, to, mark), legal6),
    Forgery(
        "ipv6-link-local",
        6,
        FOREIGN_IPV6,
        source(NOBODY.link_local),
        lambda me, to, mark: datagram(me.mac, me.link_local, to, mark),
    ),
    Forgery("ipv6-unspecified", 6, FOREIGN_IPV6, source("::"), legal6),
    Forgery("ipv6-loopback", 6, FOREIGN_IPV6, source("::1"), legal6),
    Forgery("ipv6-multicast", 6, FOREIGN_IPV6, source("ff02::1"), legal6),
    Forgery(
        "ipv6-mapped", 6, FOREIGN_IPV6, lambda me, to, mark: datagram(me.mac, f"::ffff:{me.ipv4}", to, mark), legal6
    ),
    Forgery(
        "ipv6-behind-options",
        6,
        FOREIGN_IPV6,
        lambda me, to, mark: six(
            me, to.mac, mark, extended(frames.udp(NOBODY.ipv6, to.ipv6, 1, 2, DATA), frames.DESTINATION)
        ),
        lambda me, to, mark: six(
            me, to.mac, mark, extended(frames.udp(me.ipv6, to.ipv6, 1, 2, DATA), frames.DESTINATION)
        ),
    ),
    Forgery(
        "ipv6-later-fragment",
        6,
        FOREIGN_IPV6,
        lambda me, to, mark: six(me, to.mac, mark, second_fragment(NOBODY.ipv6, to.ipv6)),
        lambda me, to, mark: six(me, to.mac, mark, second_fragment(me.ipv6, to.ipv6)),
    ),
    Forgery("dhcpv6-server", 6, DHCP_SERVER, to_port6(546, sport=547), to_port6(5460, sport=5470)),
    Forgery("dhcpv6-to-client", 6, DHCP_SERVER, to_port6(546), to_port6(5460)),
    Forgery(
        "mld-report",
        6,
        FOREIGN_IPV6,
        lambda me, _to, mark: six(me, "ff02::16", mark, frames.mld_report(NOBODY.link_local, "ff02::fb")),
        lambda me, _to, mark: six(me, "ff02::16", mark, frames.mld_report(me.link_local, "ff02::fb")),
    ),
    *_others(),
    Forgery("ipv6-of-gateway", 6, FOREIGN_IPV6, lambda me, to, mark: datagram(me.mac, me.gateway6, to, mark), legal6),
    Forgery(
        "ipv6-link-local-of-receiver",
        6,
        FOREIGN_IPV6,
        lambda me, to, mark: datagram(me.mac, to.link_local, to, mark),
        lambda me, to, mark: datagram(me.mac, me.link_local, to, mark),
    ),
    Forgery(
        "ipv6-other-identifier",
        6,
        FOREIGN_IPV6,
        lambda me, to, mark: datagram(me.mac, f"{me.gateway6}:bad", to, mark),
        legal6,
    ),
    Forgery("ipv6-to-all", 6, FOREIGN_IPV6, _packet(NOBODY.ipv6, dst="ff02::1"), _packet(dst="ff02::1")),
    Forgery("ipv6-to-group", 6, FOREIGN_IPV6, _packet(NOBODY.ipv6, dst="ff05::2"), _packet(dst="ff05::2")),
    Forgery("ipv6-source-rewritten", 6, FOREIGN_IPV6, _head(8, "20010db80bad"), legal6),
    Forgery("ipv6-length-beyond", 6, CUT_HEADERS, _head(4, "7f00"), legal6),
    Forgery("ipv6-chain-cut", 6, CUT_HEADERS, _cut_chain, legal6),
    Forgery("ipv6-hidden-ports", 6, CUT_HEADERS, _hides(UDP), legal6),
    Forgery("dhcpv6-server-to-all", 6, DHCP_SERVER, _dhcp6(547, 546), _dhcp6(5470, 5460)),
    Forgery("dhcpv6-server-port", 6, DHCP_SERVER, _dhcp6(547, 5460), _dhcp6(5470, 5460)),
    *(
        Forgery(f"dhcpv6-server-{where}", 6, DHCP_SERVER, _dhcp6(547, 546, hide), _dhcp6(5470, 5460, hide))
        for where, hide in (
            ("behind-options", behind(IN_OPTIONS)),
            ("behind-hop-by-hop", behind(BY_HOP)),
            ("in-atomic-fragment", behind(ATOMIC)),
            ("in-first-fragment", behind(FIRST)),
        )
    ),
    Forgery("dhcpv6-server-of-nobody", 6, DHCP_SERVER, _dhcp6(547, 546, src=NOBODY.link_local), _dhcp6(5470, 5460)),
    Forgery("mld-query-from-nobody", 6, FOREIGN_IPV6, _listener(130, "::"), _listener(130, "own")),
    Forgery("mld-old-report", 6, FOREIGN_IPV6, _listener(131, NOBODY.link_local), _listener(131, "own")),
    Forgery("mld-done", 6, FOREIGN_IPV6, _listener(132, NOBODY.link_local), _listener(132, "own")),
    Forgery("icmpv6-echo-from-nobody", 6, FOREIGN_IPV6, _message(128, "::"), _message(128)),
)
