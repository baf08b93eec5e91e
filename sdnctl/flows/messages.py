# SPDX-License-Identifier: Apache-2.0
"""OpenFlow 1.4 messages that are not about one kind of table: bundles, barriers, packets, multipart requests."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from sdnctl.flows.action import Action
from sdnctl.flows.wireflow import NO_BUFFER, VERSION

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

CONTROLLER_PORT: Final = 0xFFFFFFFD

NICIRA: Final = 0x2320
FLUSH_ZONE: Final = 29

_HEADER: Final = struct.Struct("!BBHI").pack
_CONTROL: Final = struct.Struct("!BBHIIHH").pack
_ADD: Final = struct.Struct("!BBHII2xH").pack
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


def flush_zone(zone: int, xid: int = 0) -> bytes:
    """Forget every connection of a zone (Nicira's extension). It is no part of a bundle."""
    if not 0 <= zone <= 0xFFFF:
        raise ValueError(f"zone {zone}: zones have 16 bits")
    return message(EXPERIMENTER, struct.pack("!II6xH", NICIRA, FLUSH_ZONE, zone), xid)
