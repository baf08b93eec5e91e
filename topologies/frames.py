# SPDX-License-Identifier: Apache-2.0
"""Frames as bytes, legal and forged, and how they are known again.

A builder returns a whole Ethernet frame. Addresses are strings, as people write them. Each frame ends in a marker
(`marker()`) behind its own last byte, where neither a filter nor the receiver's stack looks and every tunnel carries it
along. What a hostile guest makes of all this stands in `forgeries.py`.
"""

from __future__ import annotations

import ipaddress
import secrets
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
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

HOP_BY_HOP: Final = 0
ROUTING: Final = 43
FRAGMENT: Final = 44
DESTINATION: Final = 60

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


def extended(packet: bytes, kind: int, body: bytes = bytes.fromhex("00 01 04 00000000")) -> bytes:
    """An IPv6 packet with one more extension header in front of what there is.

    `body` is the header without its first byte; the default is options that mean nothing.
    """
    header = packet[6:7] + body
    length = int.from_bytes(packet[4:6], "big") + len(header)
    return packet[:4] + struct.pack("!HB", length, kind) + packet[7:40] + header + packet[40:]


def fragment_header(offset: int = 0, *, more: bool = False, ident: int = 0x5D) -> bytes:
    """The body of a fragment header for `extended`; offset 0 without `more` is an atomic fragment."""
    return struct.pack("!BHI", 0, offset // 8 << 3 | more, ident)


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


def router_solicitation(src: str, *, sll: str = "") -> bytes:
    """An IPv6 packet that asks for routers."""
    return icmpv6(src, "ff02::2", 133, bytes(4) + (b"\x01\x01" + mac_bytes(sll) if sll else b""))


def redirect(src: str, dst: str, *, destination: str, target: str) -> bytes:
    """An IPv6 packet that tells `dst` to send what is for `destination` to `target`."""
    return icmpv6(src, dst, 137, bytes(4) + ip_bytes(target) + ip_bytes(destination))


def mld_report(src: str, group: str) -> bytes:
    """An IPv6 packet by which a host says that it listens to a group (MLDv2, with its router alert)."""
    record = struct.pack("!HHBBH", 0, 1, 4, 0, 0) + ip_bytes(group)
    return extended(icmpv6(src, "ff02::16", 143, record, hops=1), HOP_BY_HOP, bytes.fromhex("00 05020000 0100"))


def dhcp(
    op: int,
    kind: int,
    chaddr: str,
    *,
    xid: int = 0x1AB,
    ciaddr: str = "0.0.0.0",
    yiaddr: str = "0.0.0.0",
    server: str = "",
    options: Mapping[int, bytes] = MappingProxyType({}),
) -> bytes:
    """A DHCPv4 message: op 1 from a client, 2 from a server; `kind` is option 53. Answers shall be broadcast."""
    head = struct.pack("!BBBBIHH", op, 1, 6, 0, xid, 0, 0x8000) + ip_bytes(ciaddr) + ip_bytes(yiaddr) + bytes(8)
    told = {53: bytes([kind])} | ({54: ip_bytes(server)} if server else {}) | dict(options)
    listed = b"".join(bytes([code, len(value)]) + value for code, value in told.items())
    return head + mac_bytes(chaddr).ljust(16, b"\0") + bytes(192) + b"\x63\x82\x53\x63" + listed + b"\xff"


def vxlan(src: str, dst: str, vni: int, frame: bytes) -> bytes:
    """An IPv4 packet of the underlay that carries `frame`."""
    return udp(src, dst, 40000, VXLAN_PORT, struct.pack("!II", 0x08000000, vni << 8) + frame)


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


@dataclass(frozen=True, slots=True)
class DhcpMessage:
    """A DHCPv4 message out of a frame, as far as a test looks at it."""

    op: int
    xid: int
    ciaddr: str
    yiaddr: str
    chaddr: str
    options: Mapping[int, bytes]

    @property
    def kind(self) -> int:
        """Option 53: 2 is an offer, 5 an acknowledgement, 6 a refusal."""
        return self.options[53][0]


def dhcp_message(frame: bytes) -> DhcpMessage | None:
    """The DHCP message in an untagged frame to a client's port; None for any other frame."""
    start = 14 + (frame[14] & 0xF) * 4
    if frame[12:14] != b"\x08\x00" or frame[23] != UDP or frame[start + 2 : start + 4] != b"\0\x44":
        return None
    message = frame[start + 8 :]
    options: dict[int, bytes] = {}
    at = 240
    while message[at] != 0xFF:
        if message[at]:
            code, length = message[at : at + 2]
            options[code] = options.get(code, b"") + message[at + 2 : at + 2 + length]
            at += 1 + length
        at += 1
    ciaddr, yiaddr = (str(ipaddress.ip_address(message[at : at + 4])) for at in (12, 16))
    return DhcpMessage(
        message[0], int.from_bytes(message[4:8], "big"), ciaddr, yiaddr, message[28:34].hex(":"), options
    )
