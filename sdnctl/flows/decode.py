# SPDX-License-Identifier: Apache-2.0
"""From bytes back to values: what an installed flow or group means, for people.

`decode` understands everything that we can write and nothing else; for the rest it raises ValueError, because a value
that leaves something out would lie. `wire_text` never raises: what it does not understand stands there in hexadecimal.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from sdnctl.flows.action import Action
from sdnctl.flows.decode_action import read_actions, read_instructions
from sdnctl.flows.flow import Flow, line
from sdnctl.flows.groups import TYPE_NAMES, GroupSpec, WireGroup, encode_group
from sdnctl.flows.match import Match, match_of
from sdnctl.flows.oxm import Test, fields_of, texts
from sdnctl.flows.wireflow import WireFlow, encode


def decode(wire: WireFlow) -> Flow:
    """The flow that `encode` makes `wire` of; ValueError if there is none."""
    flow = Flow(wire.table, wire.priority, decode_match(wire.key[3:]), decode_actions(wire.instructions), wire.cookie)
    if encode(flow) != wire:
        raise ValueError(f"{flow.text()} is not all that stands in {wire}")
    return flow


def decode_match(oxm: bytes) -> Match:
    """The match with these fields; ValueError for fields that we do not know or would not combine so."""
    tests: list[Test] = []
    for one, known in fields_of(oxm):
        if known is None:
            raise ValueError(f"match field 0x{one.hex()} is none of ours")
        tests.append(known)
    return match_of(tests)


def decode_actions(instructions: bytes) -> tuple[Action, ...]:
    """The actions in these instructions, meter and goto among them."""
    return _known(read_instructions(instructions))


def decode_group(group: WireGroup) -> GroupSpec:
    """The group that `encode_group` makes `group` of; ValueError if there is none."""
    buckets = tuple(_known(read_actions(body)) for body in _buckets(group))
    spec = GroupSpec(group.id, TYPE_NAMES.get(group.type, str(group.type)), buckets)
    if encode_group(spec) != group:
        raise ValueError(f"{spec.text()} is not all that stands in {group}")
    return spec


def wire_text(wire: WireFlow) -> str:
    """`wire` as `ovs-ofctl --no-stats dump-flows` prints it; what we do not know, in hexadecimal. Never raises."""
    return line(wire.table, wire.priority, _match_text(wire.key[3:]), _actions_text(wire.instructions), wire.cookie)


def _match_text(oxm: bytes) -> str:
    known: list[Test] = []
    unknown: list[str] = []
    try:
        for one, test in fields_of(oxm):
            if test is None:
                unknown.append(f"oxm=0x{one.hex()}")
            else:
                known.append(test)
    except ValueError:
        return f"oxm=0x{oxm.hex()}"
    return ",".join([*texts(known), *unknown])


def _actions_text(instructions: bytes) -> str:
    try:
        found = list(read_instructions(instructions))
    except ValueError:
        return f"instructions=0x{instructions.hex()}"
    return ",".join(f"action=0x{one.hex()}" if action is None else action.text() for one, action in found)


def _known(found: Iterator[tuple[bytes, Action | None]]) -> tuple[Action, ...]:
    actions: list[Action] = []
    for one, action in found:
        if action is None:
            raise ValueError(f"action 0x{one.hex()} is none of ours")
        actions.append(action)
    return tuple(actions)


def _buckets(group: WireGroup) -> Iterator[bytes]:
    data, at = group.buckets, 0
    while at < len(data):
        (length,) = struct.unpack_from("!H", data, at) if at + 16 <= len(data) else (0,)
        if length < 16 or at + length > len(data):
            raise ValueError(f"group {group.id}: bucket at byte {at} of {len(data)} has length {length}")
        yield data[at + 16 : at + length]
        at += length
