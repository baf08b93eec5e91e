# SPDX-License-Identifier: Apache-2.0
"""Actions and instructions from bytes back to values.

Each reader gets the action behind its common header. Whatever it returns is written again by the caller and must give
the same bytes, so a reader may ignore what it has no place for: such an action counts as not understood.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final

from sdnctl.flows import action as act
from sdnctl.flows.action import Action, Ct, CtNat, Load, SetField
from sdnctl.flows.fields import Field, Part
from sdnctl.flows.instruction import NICIRA, OFPAT_EXPERIMENTER
from sdnctl.flows.learn import read_learn
from sdnctl.flows.oxm import fields_of

_GOTO: Final = 1
_APPLY_ACTIONS: Final = 4
_METER: Final = 6
_CT: Final = 35
_CLONE: Final = 42
_BY_NXM: Final = {field.nxm: field for field in Field}
_BY_SET_HEADER: Final = {(field.nxm & 0xFFFFFE00 | 0x100 | field.size * 2): field for field in Field}


def read_instructions(data: bytes) -> Iterator[tuple[bytes, Action | None]]:
    """Every action of these instructions, meter and goto among them: its bytes, and its value if it is one of ours.

    Raises ValueError where bytes end in the middle of one.
    """
    for kind, one in _split(data):
        if kind == _APPLY_ACTIONS:
            yield from read_actions(one[8:])
        elif kind == _GOTO and len(one) == 8:
            yield one, _checked(lambda body: act.Goto(body[4]), one)
        elif kind == _METER and len(one) == 8:
            yield one, _checked(lambda body: act.Meter(int.from_bytes(body[4:8], "big")), one)
        else:
            yield one, None


def read_actions(data: bytes, *, inside: bool = False) -> Iterator[tuple[bytes, Action | None]]:
    """Every action of this list: its bytes, and its value if it is one of ours.

    `inside`: the list stands in a ct or a clone. Neither stands in there again, or a liar could nest them until our
    stack is full.
    """
    for kind, one in _split(data):
        reader: Callable[[bytes], Action] | None = _STANDARD.get(kind)
        if kind == OFPAT_EXPERIMENTER and len(one) >= 10 and int.from_bytes(one[4:8], "big") == NICIRA:
            subtype = int.from_bytes(one[8:10], "big")
            reader = None if inside and subtype in {_CT, _CLONE} else _NICIRA.get(subtype)
        yield one, None if reader is None else _checked(reader, one)


def _split(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("!HH", data, at) if at + 4 <= len(data) else (0, 0)
        if length < 8 or at + length > len(data):
            raise ValueError(f"action at byte {at} of {len(data)} has length {length}")
        yield kind, data[at : at + length]
        at += length


def _checked(reader: Callable[[bytes], Action], one: bytes) -> Action | None:
    """What `reader` makes of it, if that is exactly what stands there."""
    try:
        action = reader(one)
    except (ValueError, LookupError, struct.error):
        return None
    return action if action.wire == one else None


def _output(data: bytes) -> Action:
    port, max_len = struct.unpack_from("!IH", data, 4)
    if port == act.CONTROLLER:
        return act.Controller(max_len)
    return act.OutputInPort() if port == act.IN_PORT else act.Output(port)


def _set_field(data: bytes) -> Action:
    for _, test in fields_of(data[4 : 8 + data[7]]):
        if test is not None:
            return SetField(test.field, test.value)
    raise ValueError(f"set_field 0x{data.hex()} sets none of our fields")


def _part(header: int, low: int, width: int) -> Part:
    return Part(_BY_NXM[header], low, width)


def _load(data: bytes) -> Action:
    bits, header, value = struct.unpack_from("!HIQ", data, 10)
    return Load(_part(header, bits >> 6, (bits & 63) + 1), value)


def _set_masked(data: bytes) -> Action:
    field = _BY_SET_HEADER[int.from_bytes(data[10:14], "big")]
    value = int.from_bytes(data[14 : 14 + field.size], "big")
    return SetField(field, value, int.from_bytes(data[14 + field.size : 14 + 2 * field.size], "big"))


def _move(data: bytes) -> Action:
    width, source_low, target_low, source, target = struct.unpack_from("!HHHII", data, 10)
    return act.Move(_part(source, source_low, width), _part(target, target_low, width))


def _stack(data: bytes) -> Part:
    low, header, width = struct.unpack_from("!HIH", data, 10)
    return _part(header, low, width)


def _controller(data: bytes) -> Action:
    at, max_len, userdata = 16, 0xFFFF, b""
    while at + 4 <= len(data):
        kind, length = struct.unpack_from("!HH", data, at)
        if kind == 0:
            max_len = int.from_bytes(data[at + 4 : at + 6], "big")
        elif kind == 3:
            userdata = data[at + 4 : at + length]
        at += length + 7 & -8 if length else len(data)
    return act.Controller(max_len, userdata)


def _nat(data: bytes) -> CtNat:
    flags, present = struct.unpack_from("!HH", data, 12)
    at = 16
    found: list[int | None] = []
    for bit, size in ((0x1, 4), (0x2, 4), (0x4, 16), (0x8, 16), (0x10, 2), (0x20, 2)):
        found.append(int.from_bytes(data[at : at + size], "big") if present & bit else None)
        at += size if present & bit else 0
    first4, last4, first6, last6, first_port, last_port = found
    version = 4 if first6 is None else 6
    names = frozenset(name for bit, name in ((4, "persistent"), (8, "hash"), (16, "random")) if flags & bit)
    first, last = (first4, last4) if version == 4 else (first6, last6)
    return CtNat(("", "src", "dst")[flags & 3], first, last, first_port, last_port, version, names)


def _ct(data: bytes) -> Action:
    flags, source, bits, table = struct.unpack_from("!HIHB", data, 10)
    zone = _part(source, bits >> 6, (bits & 63) + 1) if source else bits
    nat: CtNat | None = None
    then: list[Action] = []
    for one, action in read_actions(data[24:], inside=True):
        if isinstance(action, CtNat):
            nat = action
        elif action is None:
            raise ValueError(f"ct with 0x{one.hex()} inside")
        else:
            then.append(action)
    return Ct(zone, None if table == 0xFF else table, bool(flags & 1), bool(flags & 2), nat, tuple(then))


def _truncate(data: bytes) -> Action:
    return act.Truncate(*struct.unpack_from("!HI", data, 10))


def _clone(data: bytes) -> Action:
    cloned: list[Action] = []
    for one, action in read_actions(data[16:], inside=True):
        if action is None:
            raise ValueError(f"clone with 0x{one.hex()} inside")
        cloned.append(action)
    return act.Clone(tuple(cloned))


def _conjunction(data: bytes) -> Action:
    clause, clauses, number = struct.unpack_from("!BBI", data, 10)
    return act.Conjunction(number, clause + 1, clauses)


_STANDARD: Final[dict[int, Callable[[bytes], Action]]] = {
    0: _output,
    17: lambda data: act.PushVlan(int.from_bytes(data[4:6], "big")),
    18: lambda _: act.PopVlan(),
    22: lambda data: act.Group(int.from_bytes(data[4:8], "big")),
    24: lambda _: act.DecTtl(),
    25: _set_field,
}
_NICIRA: Final[dict[int, Callable[[bytes], Action]]] = {
    6: _move,
    7: _load,
    14: lambda data: act.Resubmit(data[12]),
    16: lambda data: read_learn(data, _BY_NXM),
    27: lambda data: act.Push(_stack(data)),
    28: lambda data: act.Pop(_stack(data)),
    33: _set_masked,
    34: _conjunction,
    _CT: _ct,
    36: _nat,
    37: _controller,
    39: _truncate,
    _CLONE: _clone,
    43: lambda _: act.CtClear(),
}
