# SPDX-License-Identifier: Apache-2.0
"""Frames as values: an Ethernet frame with IPv4, UDP and BOOTP in it, and nothing else, to and from bytes.

    parse(frame)    Bootp, or FrameError that says what is wrong with the bytes
    build(bootp)    the frame, with lengths and checksums right

Written for speed (a DHCP exchange is two of each) and for hostile input: every length is checked against what is
there, nothing is read twice, nothing recurses. Checksums of what comes in are *not* looked at: a guest that leaves them
to its network card sends wrong ones. LLC/SNAP framing, fragments and tags are refused: flows let none of them through.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

BROADCAST_MAC: Final = 0xFFFFFFFFFFFF
BROADCAST: Final = 0xFFFFFFFF
SHORTEST: Final = 300
"""Bytes of the smallest BOOTP message; relays and old clients drop shorter ones (RFC 1542)."""
HEADERS: Final = 28
"""IPv4 and UDP header: what a DHCP message's maximum size counts beside the message."""
BOOTP_HEADER: Final = 240
"""BOOTP's fixed part with the magic cookie."""
MAGIC: Final = 0x63825363

PAD: Final = 0
END: Final = 255
OVERLOAD: Final = 52

_BOOTP: Final = struct.Struct("!BBBBIHHIIII16s64s128sI")
_IP: Final = struct.Struct("!BBHHHBBHII")
_UDP: Final = struct.Struct("!HHHH")
_ETHERTYPE_IPV4: Final = b"\x08\x00"
_TTL: Final = 64
_PROTOCOL_UDP: Final = 17


class FrameError(ValueError):
    """These bytes are not such a frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootp:
    """A BOOTP message (RFC 951) with DHCP options (RFC 2131) and the addresses of the frame around it."""

    eth_dst: int
    eth_src: int
    ip_src: int
    ip_dst: int
    udp_src: int
    udp_dst: int
    op: int
    xid: int
    client: bytes
    """`chaddr`, all 16 bytes."""
    options: Mapping[int, bytes]
    """By number; repeated options are joined (RFC 3396). Never edited."""
    secs: int = 0
    flags: int = 0
    hops: int = 0
    hardware: int = 0x0106
    """Hardware type and length of its addresses: Ethernet, 6."""
    ciaddr: int = 0
    yiaddr: int = 0
    siaddr: int = 0
    giaddr: int = 0
    sname: bytes = b""
    file: bytes = b""


def parse(frame: bytes) -> Bootp:
    """The message in `frame`."""
    if len(frame) < 14 + 20 + 8 + BOOTP_HEADER:
        raise FrameError(f"{len(frame)} bytes are too few")
    if frame[12:14] != _ETHERTYPE_IPV4:
        raise FrameError("not IPv4 in an Ethernet II frame")
    version, _, length, _, fragment, _, protocol, _, ip_src, ip_dst = _IP.unpack_from(frame, 14)
    udp = 14 + (version & 0x0F) * 4
    if not 0x45 <= version <= 0x4F or protocol != _PROTOCOL_UDP or fragment & 0x3FFF:
        raise FrameError("not a whole UDP packet")
    if 14 + length > len(frame) or udp + 8 + BOOTP_HEADER > 14 + length:
        raise FrameError("the IPv4 length is wrong")
    udp_src, udp_dst, udp_length, _ = _UDP.unpack_from(frame, udp)
    end = udp + udp_length
    if end > 14 + length or udp_length < 8 + BOOTP_HEADER:
        raise FrameError("the UDP length is wrong")
    op, kind, size, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, client, sname, file, magic = (
        _BOOTP.unpack_from(frame, udp + 8)
    )
    if magic != MAGIC:
        raise FrameError("BOOTP without DHCP's magic cookie")
    options: dict[int, bytes] = {}
    _read_options(frame[udp + 8 + BOOTP_HEADER : end], options)
    overload = options.get(OVERLOAD)
    if overload is not None:
        # What the header's two fields hold then is options; `file` comes first (RFC 2131, 4.1).
        if overload[:1] in (b"\1", b"\3"):
            _read_options(file, options)
            file = b""
        if overload[:1] in (b"\2", b"\3"):
            _read_options(sname, options)
            sname = b""
    return Bootp(
        eth_dst=int.from_bytes(frame[:6], "big"),
        eth_src=int.from_bytes(frame[6:12], "big"),
        ip_src=ip_src,
        ip_dst=ip_dst,
        udp_src=udp_src,
        udp_dst=udp_dst,
        op=op,
        xid=xid,
        client=client,
        options=options,
        secs=secs,
        flags=flags,
        hops=hops,
        hardware=kind << 8 | size,
        ciaddr=ciaddr,
        yiaddr=yiaddr,
        siaddr=siaddr,
        giaddr=giaddr,
        sname=sname.rstrip(b"\0"),
        file=file.rstrip(b"\0"),
    )


def build(bootp: Bootp) -> bytes:
    """The frame of `bootp`, its options in the mapping's order."""
    return assemble(bootp, b"".join(option(code, value) for code, value in bootp.options.items()))


def assemble(bootp: Bootp, options: bytes) -> bytes:
    """The frame of `bootp` with `options` as they stand (without their end) in place of its own."""
    tail = options + b"\xff"
    missing = SHORTEST - BOOTP_HEADER - len(tail)
    if missing > 0:
        tail += bytes(missing)
    elif len(tail) % 2:
        tail += b"\0"  # the checksum counts words
    source, target = bootp.ip_src, bootp.ip_dst
    udp_length = 8 + BOOTP_HEADER + len(tail)
    ip_length = 20 + udp_length
    addresses = (source >> 16) + (source & 0xFFFF) + (target >> 16) + (target & 0xFFFF)
    ip_sum = 0x4500 + ip_length + (_TTL << 8 | _PROTOCOL_UDP) + addresses
    message = (
        _BOOTP.pack(
            bootp.op,
            bootp.hardware >> 8,
            bootp.hardware & 0xFF,
            bootp.hops,
            bootp.xid,
            bootp.secs,
            bootp.flags,
            bootp.ciaddr,
            bootp.yiaddr,
            bootp.siaddr,
            bootp.giaddr,
            bootp.client,
            bootp.sname,
            bootp.file,
            MAGIC,
        )
        + tail
    )
    # A sum of 16-bit words with carries added back is the same number modulo 0xffff as all the words read as one.
    udp_sum = (
        int.from_bytes(message, "big") + addresses + _PROTOCOL_UDP + 2 * udp_length + bootp.udp_src + bootp.udp_dst
    )
    return (
        bootp.eth_dst.to_bytes(6, "big")
        + bootp.eth_src.to_bytes(6, "big")
        + _ETHERTYPE_IPV4
        + _IP.pack(0x45, 0, ip_length, 0, 0, _TTL, _PROTOCOL_UDP, 0xFFFF - ip_sum % 0xFFFF, source, target)
        + _UDP.pack(bootp.udp_src, bootp.udp_dst, udp_length, 0xFFFF - udp_sum % 0xFFFF)
        + message
    )


def option(code: int, value: bytes) -> bytes:
    """An option on the wire; a value of more than 255 bytes becomes several (RFC 3396)."""
    if len(value) <= 255:
        return bytes((code, len(value))) + value
    return b"".join(option(code, value[at : at + 255]) for at in range(0, len(value), 255))


def _read_options(field: bytes, options: dict[int, bytes]) -> None:
    """Add the options of `field` to `options`; what is cut off at its end is left out."""
    at, end = 0, len(field)
    while at < end:
        code = field[at]
        if code == PAD:
            at += 1
            continue
        if code == END or at + 2 > end:
            return
        start = at + 2
        at = start + field[at + 1]
        if at > end:
            return
        value = field[start:at]
        known = options.get(code)
        options[code] = value if known is None else known + value
