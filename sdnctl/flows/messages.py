# SPDX-License-Identifier: Apache-2.0
"""OpenFlow 1.4 messages that are not about one kind of table: bundles, barriers, packets, multipart requests."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from sdnctl.flows.action import Action
from sdnctl.flows.wireflow import MULTIPART_REQUEST, NO_BUFFER, VERSION

HELLO: Final = 0
ECHO_REQUEST: Final = 2
ECHO_REPLY: Final = 3
EXPERIMENTER: Final = 4
PACKET_OUT: Final = 13
BARRIER_REQUEST: Final = 20
BUNDLE_CONTROL: Final = 33
BUNDLE_ADD: Final = 34

OPEN_REQUEST: Final = 0
COMMIT_REQUEST: Final = 4
DISCARD_REQUEST: Final = 6
ATOMIC: Final = 1
ORDERED: Final = 2
BUNDLE_FLAGS: Final = ATOMIC | ORDERED
"""All of a bundle or nothing, packets see no half of it, and messages take effect in the order they were added."""

MULTIPART_PORT: Final = 4
UNKNOWN_COUNTER: Final = (1 << 64) - 1

CONTROLLER_PORT: Final = 0xFFFFFFFD

NICIRA: Final = 0x2320
FLUSH_ZONE: Final = 29

_HEADER: Final = struct.Struct("!BBHI").pack
_CONTROL: Final = struct.Struct("!BBHIIHH").pack
_ADD: Final = struct.Struct("!BBHII2xH").pack
# length; ofport; seconds, nanoseconds; packets received, sent; bytes received, sent; dropped and errors, both ways
_PORT_STATS: Final = struct.Struct("!H2xI8xQQQQ32x").unpack_from
_PORT_STATS_SIZE: Final = 80
_PACKET_OUT: Final = struct.Struct("!BBHIIIH6x").pack


def message(kind: int, body: bytes = b"", xid: int = 0) -> bytes:
    """An OpenFlow message: header and `body`."""
    return _HEADER(VERSION, kind, 8 + len(body), xid) + body


def barrier(xid: int = 0) -> bytes:
    """Ask for an answer once everything sent before has been done."""
    return _HEADER(VERSION, BARRIER_REQUEST, 8, xid)


def echo_request(data: bytes = b"", xid: int = 0) -> bytes:
    return message(ECHO_REQUEST, data, xid)


def echo_reply(data: bytes, xid: int) -> bytes:
    return message(ECHO_REPLY, data, xid)


def bundle_open(bundle_id: int, xid: int = 0) -> bytes:
    return _CONTROL(VERSION, BUNDLE_CONTROL, 16, xid, bundle_id, OPEN_REQUEST, BUNDLE_FLAGS)


def bundle_add(bundle_id: int, inner: bytes) -> bytes:
    """`inner` as part of the bundle. Its xid is used for both, as OpenFlow demands; errors come with it."""
    xid = int.from_bytes(inner[4:8], "big")
    return _ADD(VERSION, BUNDLE_ADD, 16 + len(inner), xid, bundle_id, BUNDLE_FLAGS) + inner


def bundle_commit(bundle_id: int, xid: int = 0) -> bytes:
    return _CONTROL(VERSION, BUNDLE_CONTROL, 16, xid, bundle_id, COMMIT_REQUEST, BUNDLE_FLAGS)


def bundle_discard(bundle_id: int, xid: int = 0) -> bytes:
    return _CONTROL(VERSION, BUNDLE_CONTROL, 16, xid, bundle_id, DISCARD_REQUEST, BUNDLE_FLAGS)


def packet_out(in_port: int, actions: Sequence[Action], frame: bytes, xid: int = 0) -> bytes:
    """Run `actions` on `frame` as if it had come in on `in_port` (CONTROLLER_PORT: on none)."""
    for action in actions:
        if action.place != Action.MIDDLE:
            raise ValueError(f"{action.text()} is no action of a packet-out; use Resubmit to go through tables")
    body = b"".join([action.wire for action in actions])
    return (
        _PACKET_OUT(VERSION, PACKET_OUT, 24 + len(body) + len(frame), xid, NO_BUFFER, in_port, len(body)) + body + frame
    )


class PortStats(NamedTuple):
    """What passed a port of the switch, seen from the switch."""

    ofport: int
    received_packets: int
    sent_packets: int
    received_bytes: int
    sent_bytes: int


def port_stats_request(ofport: int, xid: int = 0) -> bytes:
    """Ask for the counters of one port."""
    return message(MULTIPART_REQUEST, struct.pack("!HH4xI4x", MULTIPART_PORT, 0, ofport), xid)


def parse_port_stats(body: bytes) -> Iterator[PortStats]:
    """The counters in a PORT_STATS multipart reply, behind the multipart header."""
    at = 0
    while at < len(body):
        try:
            length, ofport, *counters = _PORT_STATS(body, at)
        except struct.error:
            raise ValueError(f"port statistics: entry at byte {at} of {len(body)} is cut off") from None
        if length < _PORT_STATS_SIZE or at + length > len(body):
            raise ValueError(f"port statistics: entry at byte {at} of {len(body)} has length {length}")
        yield PortStats(ofport, *(0 if counter == UNKNOWN_COUNTER else counter for counter in counters))
        at += length


def flush_zone(zone: int, xid: int = 0) -> bytes:
    """Forget every connection of a zone (Nicira's extension). It is no part of a bundle."""
    if not 0 <= zone <= 0xFFFF:
        raise ValueError(f"zone {zone}: zones have 16 bits")
    return message(EXPERIMENTER, struct.pack("!II6xH", NICIRA, FLUSH_ZONE, zone), xid)
