# SPDX-License-Identifier: Apache-2.0
"""Frames as bytes, legal and forged, and how they are known again.

A builder returns a whole Ethernet frame. Addresses are strings, as people write them. Each frame ends in a marker
(`marker()`) behind its own last byte, where neither a filter nor the receiver's stack looks and every tunnel carries it
along.

`FORGERIES` lists what a hostile guest tries, each with the legal frame that differs in nothing else: only when that
one arrives does the absence of the other mean something.
"""

from __future__ import annotations

import ipaddress
import secrets
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

BROADCAST: Final = "ff:ff:ff:ff:ff:ff"

ETH_IPV4: Final = 0x0800
ETH_ARP: Final = 0x0806
ETH_RARP: Final = 0x8035
ETH_VLAN: Final = 0x8100
ETH_QINQ: Final = 0x88A8
ETH_IPV6: Final = 0x86DD

ICMP: Final = 1
TCP: Final = 6
UDP: Final = 17
ICMPV6: Final = 58

VXLAN_PORT: Final = 4789


def marker() -> str:
    """A new one: `lab:` and twelve random hexadecimal digits."""
    return f"lab:{secrets.token_hex(6)}"


def mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", "").replace("-", ""))


def ip_bytes(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def checksum(data: bytes) -> int:
    """The Internet checksum."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total >> 16) + (total & 0xFFFF)
    return ~total & 0xFFFF


def link_local(mac: str) -> str:
    """The IPv6 link-local address a MAC gives (EUI-64)."""
    octets = mac_bytes(mac)
    return str(
        ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:])
    )


def solicited_node(address: str) -> str:
    """The multicast group a neighbour solicitation for `address` goes to."""
    return str(ipaddress.IPv6Address(bytes.fromhex("ff0200000000000000000001ff") + ip_bytes(address)[13:]))


def multicast_mac(address: str) -> str:
    """The MAC address of an IPv4 or IPv6 multicast group."""
    packed = ip_bytes(address)
    octets = (
        b"\x33\x33" + packed[12:] if len(packed) == 16 else b"\x01\x00\x5e" + bytes([packed[1] & 0x7F]) + packed[2:]
    )
    return octets.hex(":")


# ------------------------------------------------------------------------------------------------------------ builders


def ethernet(dst: str, src: str, ethertype: int, payload: bytes, mark: str = "") -> bytes:
    """A frame; padded to the shortest a wire carries, the marker behind."""
    frame = mac_bytes(dst) + mac_bytes(src) + struct.pack("!H", ethertype) + payload + mark.encode()
    return frame.ljust(60, b"\0")


def tagged(frame: bytes, vid: int, *, priority: int = 0, tpid: int = ETH_VLAN) -> bytes:
    """`frame` with one more tag in front; vid 0 makes it priority-tagged."""
    return frame[:12] + struct.pack("!HH", tpid, priority << 13 | vid) + frame[12:]


def llc(dst: str, src: str, mark: str) -> bytes:
    """An 802.3 frame with an LLC header, as spanning tree and NetBEUI send them."""
    body = b"\x42\x42\x03" + mark.encode()
    return mac_bytes(dst) + mac_bytes(src) + struct.pack("!H", len(body)) + body.ljust(46, b"\0")


def snap(frame: bytes, *, oui: bytes = b"\0\0\0") -> bytes:
    """`frame` as 802.3 with LLC and SNAP header; with OUI 0 that says the same to a stack that listens to it."""
    body = b"\xaa\xaa\x03" + oui + frame[12:14] + frame[14:]
    return frame[:12] + struct.pack("!H", len(body)) + body


def arp(
    src: str,
    *,
    op: int = 1,
    sha: str = "",
    spa: str,
    tha: str = "00:00:00:00:00:00",
    tpa: str,
    dst: str = BROADCAST,
    ethertype: int = ETH_ARP,
    mark: str = "",
) -> bytes:
    """ARP (or RARP): request by default, sender MAC that of the frame by default."""
    body = struct.pack("!HHBBH", 1, ETH_IPV4, 6, 4, op)
    body += mac_bytes(sha or src) + ip_bytes(spa) + mac_bytes(tha) + ip_bytes(tpa)
    return ethernet(dst, src, ethertype, body, mark)


def ipv4(
    src: str,
    dst: str,
    protocol: int,
    payload: bytes,
    *,
    ttl: int = 64,
    ident: int = 0,
    fragment: int = 0,
    options: bytes = b"",
) -> bytes:
    """An IPv4 packet; `fragment` is the whole flags-and-offset field."""
    words = 5 + len(options) // 4
    head = struct.pack("!BBHHHBBH", 0x40 | words, 0, words * 4 + len(payload), ident, fragment, ttl, protocol, 0)
    head += ip_bytes(src) + ip_bytes(dst) + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(src: str, dst: str, protocol: int, payload: bytes, *, hops: int = 64) -> bytes:
    """An IPv6 packet without extension headers."""
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, hops) + ip_bytes(src) + ip_bytes(dst) + payload


def _pseudo(src: str, dst: str, protocol: int, length: int) -> bytes:
    if ":" in src:
        return ip_bytes(src) + ip_bytes(dst) + struct.pack("!II", length, protocol)
    return ip_bytes(src) + ip_bytes(dst) + struct.pack("!BBH", 0, protocol, length)


def udp(src: str, dst: str, sport: int, dport: int, data: bytes = b"") -> bytes:
    """A whole IP packet with a UDP datagram, IPv4 or IPv6 as the addresses say."""
    length = 8 + len(data)
    head = struct.pack("!HHH", sport, dport, length)
    total = checksum(_pseudo(src, dst, UDP, length) + head + b"\0\0" + data) or 0xFFFF
    datagram = head + struct.pack("!H", total) + data
    return ipv6(src, dst, UDP, datagram) if ":" in src else ipv4(src, dst, UDP, datagram)


def icmpv6(src: str, dst: str, kind: int, body: bytes, *, code: int = 0, hops: int = 255) -> bytes:
    """A whole IPv6 packet with an ICMPv6 message; `body` begins behind the checksum."""
    message = struct.pack("!BBH", kind, code, 0) + body
    total = checksum(_pseudo(src, dst, ICMPV6, len(message)) + message)
    return ipv6(src, dst, ICMPV6, message[:2] + struct.pack("!H", total) + message[4:], hops=hops)


def neighbour_solicitation(src: str, target: str, *, sll: str, dst: str = "") -> bytes:
    """An IPv6 packet that asks for `target`; without `sll` option when that is empty (as DAD does)."""
    option = b"\x01\x01" + mac_bytes(sll) if sll else b""
    return icmpv6(src, dst or solicited_node(target), 135, bytes(4) + ip_bytes(target) + option)


def neighbour_advertisement(src: str, target: str, *, tll: str, dst: str = "ff02::1") -> bytes:
    """An IPv6 packet that says `target` is at `tll`, overriding what was known."""
    return icmpv6(src, dst, 136, b"\x20\0\0\0" + ip_bytes(target) + b"\x02\x01" + mac_bytes(tll))


def router_advertisement(src: str, *, prefix: str = "2001:db8:bad::", dst: str = "ff02::1") -> bytes:
    """An IPv6 packet that offers itself as router and a /64 prefix."""
    option = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 3600, 3600, 0) + ip_bytes(prefix)
    return icmpv6(src, dst, 134, struct.pack("!BBHII", 64, 0, 1800, 0, 0) + option)


def dhcp(op: int, kind: int, chaddr: str, *, xid: int = 0x1AB, yiaddr: str = "0.0.0.0", server: str = "") -> bytes:
    """A DHCPv4 message: op 1 from a client, 2 from a server; `kind` is option 53."""
    head = struct.pack("!BBBBIHH", op, 1, 6, 0, xid, 0, 0x8000) + bytes(4) + ip_bytes(yiaddr) + bytes(8)
    options = b"\x63\x82\x53\x63" + bytes([53, 1, kind])
    if server:
        options += b"\x36\x04" + ip_bytes(server)
    return head + mac_bytes(chaddr).ljust(16, b"\0") + bytes(192) + options + b"\xff"


# -------------------------------------------------------------------------------------------------------------- reading


def tags(frame: bytes) -> tuple[int, ...]:
    """The VLAN ids of a frame, outermost first; empty when it is untagged."""
    found = []
    while frame[12:14] in {b"\x81\x00", b"\x88\xa8"}:
        found.append(int.from_bytes(frame[14:16], "big") & 0xFFF)
        frame = frame[:12] + frame[16:]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Tunnelled:
    """A VXLAN frame of the underlay, opened."""

    source: str
    destination: str
    vni: int
    frame: bytes


def tunnelled(frame: bytes) -> Tunnelled | None:
    """What a VXLAN frame (IPv4 underlay) carries; None for any other."""
    if frame[12:14] != b"\x08\x00" or frame[23] != UDP or frame[36:38] != struct.pack("!H", VXLAN_PORT):
        return None
    source, destination = (str(ipaddress.ip_address(frame[at : at + 4])) for at in (26, 30))
    return Tunnelled(source, destination, int.from_bytes(frame[46:49], "big"), frame[50:])


# ----------------------------------------------------------------------------------------------------------- forgeries


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is on a network; "" for a version they have no address of."""

    mac: str
    ipv4: str = ""
    ipv6: str = ""

    @property
    def link_local(self) -> str:
        return link_local(self.mac)


NOBODY: Final = Identity("52:54:00:ba:d0:01", "203.0.113.66", "2001:db8:bad::66")
"""Addresses that no port in any test has."""

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


def _udp(mac: str, src: str, to: Identity, mark: str) -> bytes:
    six = ":" in src
    return ethernet(
        to.mac, mac, ETH_IPV6 if six else ETH_IPV4, udp(src, to.ipv6 if six else to.ipv4, 4000, 4001, b"x"), mark
    )


def _udp4(me: Identity, to: Identity, mark: str) -> bytes:
    return _udp(me.mac, me.ipv4, to, mark)


def _udp6(me: Identity, to: Identity, mark: str) -> bytes:
    return _udp(me.mac, me.ipv6, to, mark)


def _arp_reply(sha: str, spa: str, me: Identity, to: Identity, mark: str) -> bytes:
    return arp(me.mac, op=2, sha=sha, spa=spa, tha=to.mac, tpa=to.ipv4, dst=to.mac, mark=mark)


def _advert(source: str, target: str, tll: str, me: Identity, to: Identity, mark: str) -> bytes:
    return ethernet(to.mac, me.mac, ETH_IPV6, neighbour_advertisement(source, target, tll=tll, dst=to.ipv6), mark)


def _dhcp_answer(me: Identity, to: Identity, mark: str) -> bytes:
    body = dhcp(2, 2, to.mac, yiaddr=NOBODY.ipv4, server=me.ipv4)
    return ethernet(to.mac, me.mac, ETH_IPV4, udp(me.ipv4, to.ipv4, 67, 68, body), mark)


def _not_dhcp(me: Identity, to: Identity, mark: str) -> bytes:
    body = dhcp(2, 2, to.mac, yiaddr=NOBODY.ipv4, server=me.ipv4)
    return ethernet(to.mac, me.mac, ETH_IPV4, udp(me.ipv4, to.ipv4, 67, 6868, body), mark)


def _router(me: Identity, _to: Identity, mark: str) -> bytes:
    return ethernet("33:33:00:00:00:01", me.mac, ETH_IPV6, router_advertisement(me.link_local), mark)


def _echo6(me: Identity, _to: Identity, mark: str) -> bytes:
    return ethernet("33:33:00:00:00:01", me.mac, ETH_IPV6, icmpv6(me.link_local, "ff02::1", 128, bytes(8)), mark)


FORGERIES: Final[Mapping[str, Forgery]] = {
    forgery.name: forgery
    for forgery in (
        Forgery("mac", 4, lambda me, to, mark: _udp(NOBODY.mac, me.ipv4, to, mark), _udp4),
        Forgery("mac6", 6, lambda me, to, mark: _udp(NOBODY.mac, me.ipv6, to, mark), _udp6),
        Forgery("ipv4", 4, lambda me, to, mark: _udp(me.mac, NOBODY.ipv4, to, mark), _udp4),
        Forgery("ipv4-of-receiver", 4, lambda me, to, mark: _udp(me.mac, to.ipv4, to, mark), _udp4),
        Forgery("ipv4-unspecified", 4, lambda me, to, mark: _udp(me.mac, "0.0.0.0", to, mark), _udp4),
        Forgery("ipv6", 6, lambda me, to, mark: _udp(me.mac, NOBODY.ipv6, to, mark), _udp6),
        Forgery("ipv6-link-local", 6, lambda me, to, mark: _udp(me.mac, NOBODY.link_local, to, mark), _udp6),
        Forgery(
            "arp-sender-ip",
            4,
            lambda me, to, mark: _arp_reply(me.mac, NOBODY.ipv4, me, to, mark),
            lambda me, to, mark: _arp_reply(me.mac, me.ipv4, me, to, mark),
        ),
        Forgery(
            "arp-sender-mac",
            4,
            lambda me, to, mark: _arp_reply(NOBODY.mac, me.ipv4, me, to, mark),
            lambda me, to, mark: _arp_reply(me.mac, me.ipv4, me, to, mark),
        ),
        Forgery(
            "arp-gratuitous",
            4,
            lambda me, to, mark: arp(me.mac, spa=to.ipv4, tpa=to.ipv4, mark=mark),
            lambda me, _to, mark: arp(me.mac, spa=me.ipv4, tpa=me.ipv4, mark=mark),
        ),
        Forgery(
            "nd-target",
            6,
            lambda me, to, mark: _advert(me.ipv6, NOBODY.ipv6, me.mac, me, to, mark),
            lambda me, to, mark: _advert(me.ipv6, me.ipv6, me.mac, me, to, mark),
        ),
        Forgery(
            "nd-link-address",
            6,
            lambda me, to, mark: _advert(me.ipv6, me.ipv6, NOBODY.mac, me, to, mark),
            lambda me, to, mark: _advert(me.ipv6, me.ipv6, me.mac, me, to, mark),
        ),
        Forgery("router-advertisement", 6, _router, _echo6),
        Forgery("dhcp-server", 4, _dhcp_answer, _not_dhcp),
        Forgery("vlan-tag", 4, lambda me, to, mark: tagged(_udp4(me, to, mark), 100), _udp4),
        Forgery("priority-tag", 4, lambda me, to, mark: tagged(_udp4(me, to, mark), 0, priority=5), _udp4),
        Forgery("qinq", 4, lambda me, to, mark: tagged(tagged(_udp4(me, to, mark), 100), 200, tpid=ETH_QINQ), _udp4),
        Forgery("snap-ipv4", 4, lambda me, to, mark: snap(_udp(me.mac, NOBODY.ipv4, to, mark)), _udp4),
        Forgery(
            "snap-arp",
            4,
            lambda me, to, mark: snap(_arp_reply(me.mac, NOBODY.ipv4, me, to, mark)),
            lambda me, to, mark: _arp_reply(me.mac, me.ipv4, me, to, mark),
        ),
        Forgery("snap-router-advertisement", 6, lambda me, to, mark: snap(_router(me, to, mark)), _echo6),
        Forgery("snap-foreign-oui", 4, lambda me, to, mark: snap(_udp4(me, to, mark), oui=b"\x08\0\x07"), _udp4),
        Forgery("llc", 4, lambda me, to, mark: llc(to.mac, me.mac, mark), _udp4),
    )
}
"""What a hostile guest tries, by name."""
