# SPDX-License-Identifier: Apache-2.0
"""Frames for tests, legal and not: small functions that put headers in front of a payload.

Nothing is checked, because most of what these make is wrong on purpose. Guest number n has the MAC 52:54:00:00:00:n,
the addresses 10.0.0.n and 2001:db8::n, and the link-local address of its MAC.
"""

from __future__ import annotations

import struct

BROADCAST = 0xFFFFFFFFFFFF
ALL_NODES_MAC = 0x333300000001
ALL_NODES = 0xFF02 << 112 | 1
ALL_ROUTERS = 0xFF02 << 112 | 2
GROUP_MAC = 0x01005E000105
GROUP = 0xE0000105
IPV4, ARP, RARP, IPV6, VLAN, QINQ = 0x0800, 0x0806, 0x8035, 0x86DD, 0x8100, 0x88A8
HOP_BY_HOP, UDP, FRAGMENT, ICMP6, DESTINATION = 0, 17, 44, 58, 60
NS, NA, RS, RA, REDIRECT = 135, 136, 133, 134, 137
FIRST, LATER = 0x2000, 0x0002


def mac(number: int) -> int:
    return 0x525400000000 + number


def v4(number: int) -> int:
    return 0x0A000000 + number


def v6(number: int) -> int:
    return (0x20010DB8 << 96) + number


def ll(number: int) -> int:
    return 0xFE80 << 112 | 0x505400FFFE000000 + number


def six(address: int) -> bytes:
    return address.to_bytes(6, "big")


def sixteen(address: int) -> bytes:
    return address.to_bytes(16, "big")


def ethernet(dst: int, src: int, kind: int, payload: bytes) -> bytes:
    return six(dst) + six(src) + kind.to_bytes(2, "big") + payload


def tag(frame: bytes, vid: int, kind: int = VLAN) -> bytes:
    """The frame with a tag put in."""
    return frame[:12] + struct.pack("!HH", kind, vid) + frame[12:]


def snap(frame: bytes, oui: bytes = bytes(3)) -> bytes:
    """The frame as IEEE 802.3 with LLC and SNAP."""
    body = b"\xaa\xaa\x03" + oui + frame[12:]
    return frame[:12] + len(body).to_bytes(2, "big") + body


def checksum(data: bytes) -> int:
    words = data + bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(words) // 2}H", words))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def arp(
    n: int, spa: int, tpa: int, *, op: int = 1, sha: int | None = None, tha: int = 0, dst: int = BROADCAST
) -> bytes:
    """ARP from guest `n`'s MAC."""
    body = struct.pack("!HHBBH", 1, IPV4, 6, 4, op)
    body += six(mac(n) if sha is None else sha) + spa.to_bytes(4, "big") + six(tha) + tpa.to_bytes(4, "big")
    return ethernet(dst, mac(n), ARP, body)


def rarp(n: int, sha: int) -> bytes:
    """What a hypervisor sends for a guest that has just moved."""
    body = struct.pack("!HHBBH", 1, IPV4, 6, 4, 3) + six(sha) + bytes(4) + six(sha) + bytes(4)
    return ethernet(BROADCAST, mac(n), RARP, body)


def ipv4(src: int, dst: int, payload: bytes, protocol: int = UDP, fragment: int = 0) -> bytes:
    head = struct.pack("!BBHHHBBHII", 0x45, 0, 20 + len(payload), 7, fragment, 64, protocol, 0, src, dst)
    return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + payload


def udp(src: int, dst: int, payload: bytes = b"payload!") -> bytes:
    return struct.pack("!HHHH", src, dst, 8 + len(payload), 0) + payload


def ipv6(src: int, dst: int, following: int, payload: bytes, hops: int = 255) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, len(payload), following, hops)
    return head + sixteen(src) + sixteen(dst) + payload


def pseudo(src: int, dst: int, protocol: int, payload: bytes) -> bytes:
    return sixteen(src) + sixteen(dst) + struct.pack("!II", len(payload), protocol)


def icmp6(src: int, dst: int, kind: int, body: bytes, code: int = 0) -> bytes:
    """An ICMPv6 message, without the IPv6 header its checksum covers."""
    message = struct.pack("!BBH", kind, code, 0) + body
    total = checksum(pseudo(src, dst, ICMP6, message) + message)
    return message[:2] + total.to_bytes(2, "big") + message[4:]


def extension(following: int) -> bytes:
    """A hop-by-hop or destination options header of 8 bytes, padding only."""
    return bytes((following, 0, 1, 4, 0, 0, 0, 0))


def fragment_header(following: int, offset: int = 0, *, more: bool = False) -> bytes:
    return struct.pack("!BBHI", following, 0, offset << 3 | more, 77)


def sll(address: int) -> bytes:
    return b"\x01\x01" + six(address)


def tll(address: int) -> bytes:
    return b"\x02\x01" + six(address)


def to4(n: int, m: int, *, src: int | None = None, payload: bytes = b"") -> bytes:
    """UDP over IPv4 from guest n to guest m."""
    return ethernet(mac(m), mac(n), IPV4, ipv4(v4(n) if src is None else src, v4(m), payload or udp(4000, 5000)))


def to6(n: int, m: int, *, src: int | None = None) -> bytes:
    """UDP over IPv6 from guest n to guest m."""
    source = v6(n) if src is None else src
    return ethernet(mac(m), mac(n), IPV6, ipv6(source, v6(m), UDP, udp(4000, 5000)))


def broadcast4(n: int, *, src: int | None = None, payload: bytes = b"", fragment: int = 0) -> bytes:
    packet = ipv4(v4(n) if src is None else src, 0xFFFFFFFF, payload or udp(4000, 5000), fragment=fragment)
    return ethernet(BROADCAST, mac(n), IPV4, packet)


def multicast6(
    n: int, packet: bytes, following: int, *, src: int | None = None, dst: int = ALL_NODES, hops: int = 255
) -> bytes:
    """An IPv6 packet of guest n to a group, from its link-local address if nothing else is said."""
    source = ll(n) if src is None else src
    return ethernet(0x333300000000 | dst & 0xFFFFFFFF, mac(n), IPV6, ipv6(source, dst, following, packet, hops))


def nd(n: int, kind: int, body: bytes, *, src: int | None = None, dst: int = ALL_NODES, code: int = 0) -> bytes:
    """An ICMPv6 message of guest n to a group."""
    source = ll(n) if src is None else src
    return multicast6(n, icmp6(source, dst, kind, body, code), ICMP6, src=source, dst=dst)


def solicitation(n: int, target: int, options: bytes, *, src: int | None = None, code: int = 0) -> bytes:
    group = 0xFF02 << 112 | 0x1FF000000 | target & 0xFFFFFF
    return nd(n, NS, bytes(4) + sixteen(target) + options, src=src, dst=group, code=code)


def advertisement(n: int, target: int, options: bytes, *, src: int | None = None) -> bytes:
    return nd(n, NA, b"\x20\0\0\0" + sixteen(target) + options, src=target if src is None else src)


def router_advertisement(n: int, *, code: int = 0) -> bytes:
    return nd(n, RA, struct.pack("!BBHII", 64, 0, 1800, 0, 0) + sll(mac(n)), code=code)


def icmp6_of(frame: bytes) -> bytes:
    """The ICMPv6 message of a frame without extension headers."""
    return frame[54:]
