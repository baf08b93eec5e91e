# SPDX-License-Identifier: Apache-2.0
"""Forged IPv4: sources, options, fragments, whatever is inside; and DHCP servers that are none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from topologies import frames
from topologies.forgeries.parts import (
    DATA,
    ELSEWHERE,
    HYPERVISOR,
    MORE_FRAGMENTS,
    NOBODY,
    RECORD_ROUTE,
    SECOND_FRAGMENT,
    SOURCE_ROUTE,
    Builder,
    Forgery,
    Identity,
    datagram,
    dhcp_server,
    four,
    legal4,
    packet4,
    source,
    to_port,
)
from topologies.frames import ETH_IPV4, ethernet

FOREIGN_IPV4: Final = "FOREIGN_IPV4"
CUT_HEADERS: Final = "CUT_HEADERS"
DHCP_SERVER: Final = "DHCP_SERVER"

MARTIANS: Final = {
    "of-elsewhere": ELSEWHERE.ipv4,
    "of-hypervisor": HYPERVISOR.ipv4,
    "zero-net": "0.1.2.3",
    "loopback-end": "127.255.255.254",
    "link-local": "169.254.1.1",
    "multicast-end": "239.255.255.250",
    "reserved": "240.0.0.1",
    "documentation": "198.51.100.1",
    "public": "8.8.8.8",
}


def _protocol(protocol: int, data: bytes, src: str = "") -> Builder:
    """A packet of that protocol, from `src` or from the own address."""
    return lambda me, to, mark: four(me, to, mark, frames.ipv4(src or me.ipv4, to.ipv4, protocol, data))


def _in_another(inner: Builder, *, protocol: int, head: bytes = b"", src: str = "") -> Builder:
    """Tunnelled: what `inner` carries behind a second IPv4 header."""

    def build(me: Identity, to: Identity, mark: str) -> bytes:
        carried = inner(me, to, "")[14:]
        return four(me, to, mark, frames.ipv4(src or me.ipv4, to.ipv4, protocol, head + carried))

    return build


def _six_in_four(src: str = "") -> Builder:
    """6in4, RFC 4213. What is inside is the guests' own affair: IPv6 in it has no neighbours here."""
    return lambda me, to, mark: four(
        me, to, mark, frames.ipv4(src or me.ipv4, to.ipv4, 41, frames.udp("2001:db8::1", "2001:db8::2", 1, 2, DATA))
    )


def _in_vxlan(src: str = "") -> Builder:
    """A guest's own tunnel to another guest; `src` is that of its outer header."""

    def build(me: Identity, to: Identity, mark: str) -> bytes:
        inner = datagram(ELSEWHERE.mac, ELSEWHERE.ipv4, to, "")
        return four(me, to, mark, frames.vxlan(src or me.ipv4, to.ipv4, 1, inner))

    return build


def _echo(src: str = "", *, kind: int = 8) -> Builder:
    def build(me: Identity, to: Identity, mark: str) -> bytes:
        message = bytes((kind, 0, 0, 0, 0, 1, 0, 1)) + DATA
        total = frames.checksum(message).to_bytes(2, "big")
        return four(me, to, mark, frames.ipv4(src or me.ipv4, to.ipv4, 1, message[:2] + total + message[4:]))

    return build


def _redirect(whose: str) -> Builder:
    """ICMP redirect: for an address of elsewhere, go by me."""

    def build(me: Identity, to: Identity, mark: str) -> bytes:
        src = me.gateway4 if whose == "gateway" else me.ipv4
        about = frames.udp(to.ipv4, NOBODY.ipv4, 1, 2, b"")
        message = b"\x05\x01\0\0" + frames.ip_bytes(me.ipv4) + about
        total = frames.checksum(message).to_bytes(2, "big")
        return four(me, to, mark, frames.ipv4(src, to.ipv4, 1, message[:2] + total + message[4:]))

    return build


def _to_all(src: str, dst: str) -> Builder:
    """A datagram to everybody or to a group."""

    def build(me: Identity, _to: Identity, mark: str) -> bytes:
        mac = frames.BROADCAST if dst == "255.255.255.255" else frames.multicast_mac(dst)
        return ethernet(mac, me.mac, ETH_IPV4, frames.udp(src or me.ipv4, dst, 4000, 4001, DATA), mark)

    return build


def _group_message(kind: int, src: str = "") -> Builder:
    """IGMP, with its router alert."""

    def build(me: Identity, _to: Identity, mark: str) -> bytes:
        message = bytes((kind, 0, 0, 0)) + frames.ip_bytes("239.1.2.3")
        message = message[:2] + frames.checksum(message).to_bytes(2, "big") + message[4:]
        packet = frames.ipv4(src or me.ipv4, "239.1.2.3", 2, message, ttl=1, options=ROUTER_ALERT)
        return ethernet(frames.multicast_mac("239.1.2.3"), me.mac, ETH_IPV4, packet, mark)

    return build


def _dhcp(sport: int, dport: int, *, src: str = "", dst: str = "", op: int = 2) -> Builder:
    """A DHCP message of one's own making."""

    def build(me: Identity, to: Identity, mark: str) -> bytes:
        body = frames.dhcp(op, 5, to.mac, yiaddr=NOBODY.ipv4, server=me.ipv4)
        packet = frames.udp(src or me.ipv4, dst or to.ipv4, sport, dport, body)
        return ethernet(frames.BROADCAST if dst else to.mac, me.mac, ETH_IPV4, packet, mark)

    return build


def _head(at: int, octets: str) -> Builder:
    """A legal packet with other octets in its header, which cannot be read then."""

    def build(me: Identity, to: Identity, mark: str) -> bytes:
        frame = legal4(me, to, mark)
        new = bytes.fromhex(octets)
        return frame[: 14 + at] + new + frame[14 + at + len(new) :]

    return build


def _of_network(last: int) -> Builder:
    """From the subnet's own first or last address."""
    return lambda me, to, mark: datagram(me.mac, f"{me.ipv4.rpartition('.')[0]}.{last}", to, mark)


STRICT_ROUTE: Final = bytes.fromhex("89 07 04 0a000001 00")
TIMESTAMP: Final = bytes.fromhex("44 08 05 00 00000000")
ROUTER_ALERT: Final = bytes.fromhex("94 04 0000")
NONSENSE: Final = bytes.fromhex("07 ff 04 00")
RESERVED_BIT: Final = 0x8000
TINY: Final = 0x2000
OVERLAPPING: Final = 0x0001


def _others() -> Iterator[Forgery]:
    for name, address in MARTIANS.items():
        yield Forgery(f"ipv4-{name}", 4, FOREIGN_IPV4, source(address), legal4)
    for name, options in {
        "strict-route": STRICT_ROUTE,
        "timestamp": TIMESTAMP,
        "router-alert": ROUTER_ALERT,
        "nonsense": NONSENSE,
    }.items():
        forged, legal = packet4(NOBODY.ipv4, options=options), packet4(options=options)
        yield Forgery(f"ipv4-options-{name}", 4, FOREIGN_IPV4, forged, legal)
    for name, fragment in {"reserved-bit": RESERVED_BIT, "overlapping": OVERLAPPING, "last": 0x0100}.items():
        forged, legal = packet4(NOBODY.ipv4, fragment=fragment), packet4(fragment=fragment)
        yield Forgery(f"ipv4-fragment-{name}", 4, FOREIGN_IPV4, forged, legal)
    for name, number in {
        "ip-in-ip": 4,
        "reservation": 46,
        "esp": 50,
        "ah": 51,
        "ospf": 89,
        "pim": 103,
        "vrrp": 112,
        "sctp": 132,
        "last": 255,
        "hop-by-hop": 0,
    }.items():
        forged, legal = _protocol(number, DATA * 2, NOBODY.ipv4), _protocol(number, DATA * 2)
        yield Forgery(f"ipv4-protocol-{name}", 4, FOREIGN_IPV4, forged, legal)
    for name, head in {"syn": "5002", "reset": "5004", "nothing": "5000"}.items():
        segment = bytes.fromhex("0fa0 0fa1 00000001 00000000 " + head + " ffff 0000 0000")
        yield Forgery(f"tcp-{name}", 4, FOREIGN_IPV4, _protocol(6, segment, NOBODY.ipv4), _protocol(6, segment))


IPV4: Final = (
    Forgery("ipv4", 4, FOREIGN_IPV4, source(NOBODY.ipv4), legal4),
    Forgery("ipv4-of-receiver", 4, FOREIGN_IPV4, lambda me, to, mark: datagram(me.mac, to.ipv4, to, mark), legal4),
    Forgery("ipv4-unspecified", 4, FOREIGN_IPV4, source("0.0.0.0"), legal4),
    Forgery("ipv4-loopback", 4, FOREIGN_IPV4, source("127.0.0.1"), legal4),
    Forgery("ipv4-multicast", 4, FOREIGN_IPV4, source("224.0.0.18"), legal4),
    Forgery("ipv4-broadcast", 4, FOREIGN_IPV4, source("255.255.255.255"), legal4),
    Forgery("ipv4-options", 4, FOREIGN_IPV4, packet4(NOBODY.ipv4, options=RECORD_ROUTE), packet4(options=RECORD_ROUTE)),
    Forgery(
        "ipv4-source-route", 4, FOREIGN_IPV4, packet4(NOBODY.ipv4, options=SOURCE_ROUTE), packet4(options=SOURCE_ROUTE)
    ),
    Forgery(
        "ipv4-first-fragment",
        4,
        FOREIGN_IPV4,
        packet4(NOBODY.ipv4, fragment=MORE_FRAGMENTS),
        packet4(fragment=MORE_FRAGMENTS),
    ),
    Forgery(
        "ipv4-later-fragment",
        4,
        FOREIGN_IPV4,
        packet4(NOBODY.ipv4, fragment=SECOND_FRAGMENT),
        packet4(fragment=SECOND_FRAGMENT),
    ),
    Forgery(
        "ipv4-hidden-ports",
        4,
        CUT_HEADERS,
        packet4(fragment=MORE_FRAGMENTS, length=0),
        packet4(fragment=MORE_FRAGMENTS),
    ),
    Forgery(
        "ipv4-cut",
        4,
        FOREIGN_IPV4,
        lambda me, to, mark: ethernet(to.mac, me.mac, ETH_IPV4, b"\x45\0\0\x14", mark),
        legal4,
    ),
    Forgery("dhcp-server", 4, DHCP_SERVER, dhcp_server(68), dhcp_server(6868)),
    Forgery("dhcp-server-from-elsewhere", 4, DHCP_SERVER, dhcp_server(68, sport=4000), dhcp_server(6868, sport=4000)),
    Forgery(
        "dhcp-server-fragment",
        4,
        DHCP_SERVER,
        to_port(68, fragment=MORE_FRAGMENTS),
        to_port(6868, fragment=MORE_FRAGMENTS),
    ),
    *_others(),
    Forgery("ipv4-of-gateway", 4, FOREIGN_IPV4, lambda me, to, mark: datagram(me.mac, me.gateway4, to, mark), legal4),
    Forgery("ipv4-of-network", 4, FOREIGN_IPV4, _of_network(0), legal4),
    Forgery("ipv4-of-broadcast", 4, FOREIGN_IPV4, _of_network(255), legal4),
    Forgery("ipv4-to-all", 4, FOREIGN_IPV4, _to_all(NOBODY.ipv4, "255.255.255.255"), _to_all("", "255.255.255.255")),
    Forgery("ipv4-to-group", 4, FOREIGN_IPV4, _to_all(NOBODY.ipv4, "224.0.0.251"), _to_all("", "224.0.0.251")),
    Forgery("ipv4-unspecified-to-all", 4, FOREIGN_IPV4, _to_all("0.0.0.0", "255.255.255.255"), legal4),
    Forgery("ipv4-six-in-four", 4, FOREIGN_IPV4, _six_in_four(NOBODY.ipv4), _six_in_four()),
    Forgery(
        "ipv4-gre",
        4,
        FOREIGN_IPV4,
        _in_another(legal4, protocol=47, head=b"\0\0\x08\0", src=NOBODY.ipv4),
        _in_another(source(NOBODY.ipv4), protocol=47, head=b"\0\0\x08\0"),
    ),
    Forgery(
        "ipv4-in-ipv4",
        4,
        FOREIGN_IPV4,
        _in_another(legal4, protocol=4, src=NOBODY.ipv4),
        _in_another(source(NOBODY.ipv4), protocol=4),
    ),
    Forgery("ipv4-vxlan", 4, FOREIGN_IPV4, _in_vxlan(HYPERVISOR.ipv4), _in_vxlan()),
    Forgery("icmp-echo", 4, FOREIGN_IPV4, _echo(NOBODY.ipv4), _echo()),
    Forgery("icmp-echo-reply", 4, FOREIGN_IPV4, _echo(NOBODY.ipv4, kind=0), _echo(kind=0)),
    Forgery("icmp-redirect", 4, FOREIGN_IPV4, _redirect("gateway"), _redirect("own")),
    Forgery("igmp-report", 4, FOREIGN_IPV4, _group_message(0x16, NOBODY.ipv4), _group_message(0x16)),
    Forgery("igmp-query", 4, FOREIGN_IPV4, _group_message(0x11, NOBODY.ipv4), _group_message(0x11)),
    Forgery("ipv4-header-length", 4, FOREIGN_IPV4, _head(0, "44"), legal4),
    Forgery("ipv4-header-beyond", 4, FOREIGN_IPV4, _head(0, "4f"), legal4),
    Forgery("ipv4-length-beyond", 4, FOREIGN_IPV4, _head(2, "2000"), legal4),
    Forgery("ipv4-length-too-small", 4, FOREIGN_IPV4, _head(2, "0010"), legal4),
    Forgery("ipv4-source-rewritten", 4, FOREIGN_IPV4, _head(12, "cb007142"), legal4),
    Forgery("dhcp-acknowledgement", 4, DHCP_SERVER, _dhcp(67, 68), _dhcp(67, 6868)),
    Forgery(
        "dhcp-acknowledgement-to-all",
        4,
        DHCP_SERVER,
        _dhcp(67, 68, dst="255.255.255.255"),
        _dhcp(67, 6868, dst="255.255.255.255"),
    ),
    Forgery("dhcp-server-unspecified", 4, DHCP_SERVER, _dhcp(67, 68, src="0.0.0.0", dst="255.255.255.255"), legal4),
    Forgery("dhcp-server-from-client", 4, DHCP_SERVER, _dhcp(68, 68), _dhcp(68, 6868)),
    Forgery("dhcp-client-to-guest", 4, FOREIGN_IPV4, _dhcp(68, 67, src="0.0.0.0", op=1), _dhcp(4000, 67, op=1)),
    Forgery(
        "dhcp-client-of-nobody",
        4,
        FOREIGN_IPV4,
        _dhcp(69, 67, src="0.0.0.0", dst="255.255.255.255", op=1),
        _dhcp(69, 67, dst="255.255.255.255", op=1),
    ),
    Forgery("dhcp-relay-of-nobody", 4, FOREIGN_IPV4, _dhcp(67, 67, src=NOBODY.ipv4, op=1), _dhcp(67, 67, op=1)),
)
