# SPDX-License-Identifier: Apache-2.0
"""Groups: lists of buckets of actions. `all` runs every bucket on a copy of its own, `indirect` has exactly one."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from sdnctl.flows.action import Action
from sdnctl.flows.messages import message
from sdnctl.flows.wireflow import ANY, MULTIPART_REQUEST

GROUP_MOD: Final = 15
MULTIPART_GROUP_DESC: Final = 7
_ADD: Final = 0
_MODIFY: Final = 1
_DELETE: Final = 2
_TYPES: Final = {"all": 0, "indirect": 2}
TYPE_NAMES: Final = {0: "all", 1: "select", 2: "indirect", 3: "fast_failover"}


class WireGroup(NamedTuple):
    """A group in bytes, as it is sent and as the switch gives it back."""

    id: int
    type: int
    buckets: bytes


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """Group `id`: every bucket is a tuple of actions."""

    id: int
    type: str
    buckets: tuple[tuple[Action, ...], ...]

    def __post_init__(self) -> None:
        if not 0 <= self.id <= 0xFFFFFF00:
            raise ValueError(f"group {self.id}: groups are numbered from 0 to 0xffffff00")
        if self.type not in _TYPES:
            raise ValueError(f"group {self.id}: type {self.type} is not one of {', '.join(_TYPES)}")
        if self.type == "indirect" and len(self.buckets) != 1:
            raise ValueError(f"group {self.id}: an indirect group has one bucket, not {len(self.buckets)}")
        for action in (action for bucket in self.buckets for action in bucket):
            if action.place != Action.MIDDLE:
                raise ValueError(f"group {self.id}: {action.text()} is no action of a bucket; use Resubmit")

    def text(self) -> str:
        """As ovs-ofctl dump-groups prints it."""
        buckets = ",".join(
            f"bucket={'actions=' + ','.join(action.text() for action in bucket) if bucket else 'actions=drop'}"
            for bucket in self.buckets
        )
        return f"group_id={self.id},type={self.type}{',' if buckets else ''}{buckets}"


def encode_group(spec: GroupSpec) -> WireGroup:
    """`spec` in bytes."""
    return WireGroup(spec.id, _TYPES[spec.type], b"".join([_bucket(bucket) for bucket in spec.buckets]))


def group_add(group: WireGroup, xid: int = 0) -> bytes:
    return _group_mod(_ADD, group, xid)


def group_modify(group: WireGroup, xid: int = 0) -> bytes:
    return _group_mod(_MODIFY, group, xid)


def group_delete(id: int, xid: int = 0) -> bytes:  # noqa: A002  (the group's)
    """Take the group out, and every flow that uses it."""
    return _group_mod(_DELETE, WireGroup(id, 0, b""), xid)


def group_desc_request(xid: int = 0) -> bytes:
    """Ask for the description of every group."""
    return message(MULTIPART_REQUEST, struct.pack("!HH4x", MULTIPART_GROUP_DESC, 0), xid)


def parse_group_desc(body: bytes) -> Iterator[WireGroup]:
    """The groups in a GROUP_DESC multipart reply, behind the multipart header."""
    at = 0
    while at < len(body):
        try:
            length, kind, number = struct.unpack_from("!HBxI", body, at)
        except struct.error:
            raise ValueError(f"group at byte {at} of {len(body)} is cut off") from None
        if length < 8 or at + length > len(body):
            raise ValueError(f"group at byte {at} of {len(body)} has length {length}")
        yield WireGroup(number, kind, body[at + 8 : at + length])
        at += length


def _bucket(actions: tuple[Action, ...]) -> bytes:
    body = b"".join([action.wire for action in actions])
    return struct.pack("!HHII4x", 16 + len(body), 0, ANY, ANY) + body


def _group_mod(command: int, group: WireGroup, xid: int) -> bytes:
    return message(GROUP_MOD, struct.pack("!HBxI", command, group.type, group.id) + group.buckets, xid)
