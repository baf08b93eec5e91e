# SPDX-License-Identifier: Apache-2.0
"""A flow as bytes: what we send, what the switch gives back, compared without understanding it.

Because matches go out in the order of fields that Open vSwitch itself uses and actions in the forms it gives back, a
flow read from the switch has the same key and the same instructions as the one that was sent. So installed and
desired flows are compared as dictionaries of bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from sdnctl.flows.action import Action
from sdnctl.flows.flow import Flow
from sdnctl.flows.pipeline import COOKIE_MAGIC, COOKIE_MAGIC_MASK


class WireFlow(NamedTuple):
    """A flow of one table of one switch, in bytes."""

    key: bytes
    """Table (1 byte), priority (2 bytes), fields of the match: what makes two flows the same flow to the switch."""
    cookie: int
    instructions: bytes

    @property
    def table(self) -> int:
        return self.key[0]

    @property
    def priority(self) -> int:
        return self.key[1] << 8 | self.key[2]


VERSION: Final = 5
"""OpenFlow 1.4."""
FLOW_MOD: Final = 14
MULTIPART_REQUEST: Final = 18
MULTIPART_FLOW: Final = 1
ADD: Final = 0
DELETE: Final = 3
DELETE_STRICT: Final = 4
ANY: Final = 0xFFFFFFFF
ALL_TABLES: Final = 0xFF
NO_BUFFER: Final = 0xFFFFFFFF
_APPLY_ACTIONS: Final = 4

_MOST: Final = 0xF000
"""Bytes of actions that fit into a message (64 KiB) together with the longest match and the head of a bundle."""
_FIRST: Final = Action.FIRST
_LAST: Final = Action.LAST
_new: Final = tuple.__new__  # a third of the time of calling a named tuple

_KEY: Final = struct.Struct("!BH").pack
_INSTRUCTION: Final = struct.Struct("!HH4x").pack
_HEADER: Final = struct.Struct("!BBHI")
# header; cookie, mask; table, command; idle, hard, priority; buffer, out port, out group; flags, importance; match
_FLOW_MOD: Final = struct.Struct("!BBHI QQ BB HHH III HH HH").pack
_FLOW_REQUEST: Final = struct.Struct("!BBHI HH4x B3x II4x QQ HH").pack
_STAT: Final = struct.Struct("!H10x2s10xQQQ2xH").unpack_from
_MATCH_PADS: Final = tuple(bytes(-(length + 4) % 8) for length in range(8))


def encode(flow: Flow) -> WireFlow:
    """`flow` in bytes: meter, list of actions, goto, each if it is there."""
    table, priority, match, actions, cookie = flow
    if actions:
        wires = [action.wire for action in actions]
        first = wires.pop(0) if actions[0].place == _FIRST else b""
        last = wires.pop() if wires and actions[-1].place == _LAST else b""
        if wires:
            body = b"".join(wires)
            if len(body) > _MOST:
                raise ValueError(f"{len(actions)} actions of {len(body)} bytes do not fit into one message")
            instructions = b"%b%b%b%b" % (first, _INSTRUCTION(_APPLY_ACTIONS, len(body) + 8), body, last)
        else:
            instructions = first + last
    else:
        instructions = b""
    key = _KEY(table, priority) + b"".join([test.oxm for test in match.tests])
    return _new(WireFlow, (key, cookie, instructions))


def add_message(wire: WireFlow, xid: int = 0) -> bytes:
    """FLOW_MOD that puts the flow in, over any flow with the same key."""
    key, cookie, body = wire
    length = len(key) - 3
    pad = _MATCH_PADS[length & 7]
    total = 52 + length + len(pad) + len(body)
    priority = key[1] << 8 | key[2]
    head = _FLOW_MOD(
        VERSION, FLOW_MOD, total, xid, cookie, 0, key[0], ADD, 0, 0, priority, NO_BUFFER, ANY, ANY, 0, 0, 1, length + 4,
    )  # fmt: skip
    return b"%b%b%b%b" % (head, key[3:], pad, body)


def delete_message(
    key: bytes, cookie: int = COOKIE_MAGIC << 56, cookie_mask: int = COOKIE_MAGIC_MASK, xid: int = 0
) -> bytes:
    """FLOW_MOD that takes out the flow with this key if its cookie, under the mask, is `cookie` (default: ours)."""
    length = len(key) - 3
    pad = _MATCH_PADS[length & 7]
    priority = key[1] << 8 | key[2]
    head = _FLOW_MOD(
        VERSION, FLOW_MOD, 52 + length + len(pad), xid, cookie, cookie_mask, key[0], DELETE_STRICT, 0, 0, priority,
        NO_BUFFER, ANY, ANY, 0, 0, 1, length + 4,
    )  # fmt: skip
    return head + key[3:] + pad


def forget_message(match: bytes, cookie: int, cookie_mask: int, xid: int = 0) -> bytes:
    """FLOW_MOD that takes out every flow, of whatever table, whose match has these fields and perhaps more.

    Only if its cookie, under the mask, is `cookie`.
    """
    pad = _MATCH_PADS[len(match) & 7]
    head = _FLOW_MOD(
        VERSION, FLOW_MOD, 52 + len(match) + len(pad), xid, cookie, cookie_mask, ALL_TABLES, DELETE, 0, 0, 0,
        NO_BUFFER, ANY, ANY, 0, 0, 1, len(match) + 4,
    )  # fmt: skip
    return head + match + pad


class FlowFilter(NamedTuple):
    """Which flows are asked for: of one table or all, by bits of the cookie, by fields that are in the match."""

    cookie: int = 0
    cookie_mask: int = 0
    table: int = ALL_TABLES
    match: bytes = b""

    def includes(self, flow: WireFlow) -> bool:
        """What the switch makes of it, for fields that are matched whole."""
        is_there = self.table in (ALL_TABLES, flow.table) and self.match in flow.key[3:]
        return is_there and flow.cookie & self.cookie_mask == self.cookie & self.cookie_mask


EVERY_FLOW: Final = FlowFilter()


def flow_stats_request(xid: int = 0, which: FlowFilter = EVERY_FLOW) -> bytes:
    """Ask for flows."""
    cookie, cookie_mask, table, match = which
    pad = _MATCH_PADS[len(match) & 7]
    length = 52 + len(match) + len(pad)
    head = _FLOW_REQUEST(
        VERSION, MULTIPART_REQUEST, length, xid, MULTIPART_FLOW, 0, table, ANY, ANY, cookie, cookie_mask, 1,
        len(match) + 4,
    )  # fmt: skip
    return head + match + pad


def parse_flow_stats(body: bytes) -> Iterator[WireFlow]:
    """The flows in a FLOW multipart reply; `body` is what stands behind the multipart header (16 bytes)."""
    end = len(body)
    at = 0
    new = _new
    while at < end:
        length, priority, cookie, _, _, match_length = _entry(body, at)
        key = body[at + 2 : at + 3] + priority + body[at + 52 : at + 48 + match_length]
        yield new(WireFlow, (key, cookie, body[at + 48 + (match_length + 7 & -8) : at + length]))
        at += length


def parse_flow_counters(body: bytes) -> Iterator[tuple[WireFlow, int, int]]:
    """As parse_flow_stats, each flow with its packets and bytes."""
    end = len(body)
    at = 0
    while at < end:
        length, priority, cookie, packets, octets, match_length = _entry(body, at)
        key = body[at + 2 : at + 3] + priority + body[at + 52 : at + 48 + match_length]
        yield WireFlow(key, cookie, body[at + 48 + (match_length + 7 & -8) : at + length]), packets, octets
        at += length


def _entry(body: bytes, at: int) -> tuple[int, bytes, int, int, int, int]:
    """Length, priority, cookie, packets, bytes, match length of the entry; ValueError if it is cut off or lies."""
    try:
        length, priority, cookie, packets, octets, match_length = _STAT(body, at)
    except struct.error:
        raise ValueError(f"flow statistics: entry at byte {at} of {len(body)} is cut off") from None
    if at + length > len(body) or match_length < 4 or 48 + match_length > length:
        raise ValueError(
            f"flow statistics: entry at byte {at} of {len(body)} has length {length}, match {match_length}"
        )
    return length, priority, cookie, packets, octets, match_length
