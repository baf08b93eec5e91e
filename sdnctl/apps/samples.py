# SPDX-License-Identifier: Apache-2.0
"""The first bytes of a frame in words, for people who look at a security event.

Whatever stands there was chosen by somebody who means no good: nothing is believed, nothing is repeated but numbers and
addresses in their usual form, and a frame that ends too early is described as far as it goes.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import Final

_TAGS: Final = {0x8100, 0x88A8, 0x9100}
_ND: Final = {
    133: "a router solicitation",
    134: "a router advertisement",
    135: "a neighbour solicitation for",
    136: "a neighbour advertisement for",
    137: "a redirect",
}
_ABOUT: Final = {135, 136}
_PROTOCOLS: Final = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6", 112: "VRRP", 132: "SCTP"}
_PORTS: Final = {6, 17, 132}
_EXTENSIONS: Final = {0, 43, 60}
_FRAGMENT: Final = 44
_LONGEST: Final = 240


def words(frame: bytes) -> str:
    """What was sent, by whom: `ARP for 10.0.0.12 from fa:16:3e:00:00:01`."""
    if len(frame) < 14:
        return f"a frame of {len(frame)} bytes"
    source, kind, at = frame[6:12], int.from_bytes(frame[12:14], "big"), 14
    tags = []
    while kind in _TAGS and at + 4 <= len(frame):
        tag, kind = struct.unpack_from("!HH", frame, at)
        tags.append(str(tag & 0xFFF))
        at += 4
    try:
        what = _payload(kind, frame[at:])
    except (struct.error, ValueError, IndexError):
        what = "a frame that is cut off"
    tagged = f" with VLAN tag {' and '.join(tags)}" if tags else ""
    return f"{what}{tagged} from {_mac(source)} to {_mac(frame[:6])}"[:_LONGEST]


def _payload(kind: int, body: bytes) -> str:
    match kind:
        case 0x0806 | 0x8035:
            return _arp(kind, body)
        case 0x0800:
            return _ipv4(body)
        case 0x86DD:
            return _ipv6(body)
    return "an 802.3 frame" if kind < 0x600 else f"Ethernet type 0x{kind:04x}"


def _arp(kind: int, body: bytes) -> str:
    operation, sender, address, _, target = struct.unpack_from("!6xH6s4s6s4s", body)
    if kind == 0x8035:
        return f"RARP for {_mac(sender)}"
    asked = f", asking for {ipaddress.IPv4Address(target)}," if operation == 1 and target != address else ""
    return f"ARP for {ipaddress.IPv4Address(address)} at {_mac(sender)}{asked}"


def _ipv4(body: bytes) -> str:
    first, fragment, protocol, source, target = struct.unpack_from("!B5xHxBxx4s4s", body)
    what = "fragment of " if fragment & 0x3FFF else ""
    rest = body[(first & 15) * 4 :] if not fragment & 0x1FFF else b""
    inside = _transport(protocol, rest)
    return f"{what}IPv4 {ipaddress.IPv4Address(source)} to {ipaddress.IPv4Address(target)} ({inside})"


def _ipv6(body: bytes) -> str:
    following, source, target = struct.unpack_from("!6xBx16s16s", body)
    at, what = 40, ""
    while following in _EXTENSIONS or following == _FRAGMENT:
        if following == _FRAGMENT:
            what = "fragment of "
            if int.from_bytes(body[at + 2 : at + 4], "big") >> 3:
                break
            following, at = body[at], at + 8
        else:
            following, at = body[at], at + 8 + body[at + 1] * 8
    ends = f"IPv6 {ipaddress.IPv6Address(source)} to {ipaddress.IPv6Address(target)}"
    if following == 58 and len(body) > at and body[at] in _ND:
        kind = body[at]
        about = body[at + 8 : at + 24]
        named = f" {ipaddress.IPv6Address(about)}" if kind in _ABOUT and len(about) == 16 else ""
        return f"{what}{_ND[kind].removesuffix('' if named else ' for')}{named} ({ends})"
    return f"{what}{ends} ({_transport(following, body[at:])})"


def _transport(protocol: int, body: bytes) -> str:
    name = _PROTOCOLS.get(protocol, f"protocol {protocol}")
    if protocol in _PORTS and len(body) >= 4:
        source, target = struct.unpack_from("!HH", body)
        return f"{name} {source} to {target}"
    return name


def _mac(address: bytes) -> str:
    return address.hex(":")
