# SPDX-License-Identifier: Apache-2.0
"""One flow for every field in every role it can have and for every action: a walk, so that none is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sdnctl.flows import notation
from sdnctl.flows.action import (
    LOCAL,
    Action,
    Clone,
    Conjunction,
    Controller,
    Ct,
    CtClear,
    CtNat,
    DecTtl,
    Goto,
    Group,
    Learn,
    Load,
    Meter,
    Move,
    Output,
    OutputInPort,
    Pop,
    PopVlan,
    Push,
    PushVlan,
    Resubmit,
    SetField,
    Truncate,
)
from sdnctl.flows.fields import Fact, Field, Part, whole
from sdnctl.flows.flow import Flow
from sdnctl.flows.match import Match
from sdnctl.flows.oxm import Test, test
from sdnctl.flows.registers import DROP_REASON, DROP_SIDE, FROM_PORT, NETWORK, SLOTS, TO_PORT
from tests.flows.strategies import PROTOCOLS

_SPECIAL = {
    Field.IN_PORT: (1, LOCAL),
    Field.VLAN_VID: (0x1000, 0x1FFF, 0x1064, 0),
    Field.ETH_TYPE: (0x88CC, 0x05FF, 0x8847, 0x8848),
}
_FRAGMENTS = ("no", "yes", "first", "later", "not_later")
IPV4, IPV6 = 0x0A000005, 0x20010DB8 << 96 | 5


def fitting(field: Field) -> Match:
    """A match with the prerequisites of writing or matching `field`."""
    base = next(match for match in PROTOCOLS if not int(field.needs & ~Fact.TAGGED) & ~match.gives)
    return base.any_tag() if field.needs & Fact.TAGGED else base


def sample_values(field: Field) -> tuple[int, ...]:
    pattern = int("a5" * 16, 16) & field.valid
    return _SPECIAL.get(field, (0, 1, pattern, field.valid))


def sample_tests(field: Field) -> Iterator[Test]:
    """`field` exact, and under prefixes and scattered masks if it may have some."""
    if field is Field.IP_FRAG:
        yield from (test(field, *notation.read(field, word)) for word in _FRAGMENTS)
        return
    if field is not Field.CT_STATE:
        yield from (test(field, value, field.full) for value in sample_values(field))
    if not field.is_maskable:
        return
    if field is Field.VLAN_VID:
        yield from (test(field, value, mask) for value, mask in ((0x1000, 0x1000), (0, 0x1000), (0x1060, 0x1FF0)))
        return
    for mask in {1, field.valid, field.valid - (field.valid >> 3), field.valid & int("3c" * 16, 16)}:
        if mask != field.full:
            yield from (test(field, value & mask, mask) for value in sample_values(field))


def sample_matches() -> Iterator[Match]:
    for field in Field:
        base = fitting(field)
        for one in sample_tests(field):
            if base.get(field) is None:
                yield base.also(one)
    yield from PROTOCOLS
    tagged = Match().vlan(7).field(Field.VLAN_PCP, 3)
    yield from (
        tagged,
        Match().any_tag().field(Field.VLAN_PCP, 5),
        Match().field(Field.VLAN_VID, 0x1010, 0x1010).field(Field.VLAN_PCP, 5),
    )
    for slot in SLOTS:
        yield from (Match().slot(slot, 0), Match().slot(slot, slot.limit))


def _ip(*actions: Action) -> tuple[Match, tuple[Action, ...]]:
    return Match().ipv4(), actions


def _any(*actions: Action) -> tuple[Match, tuple[Action, ...]]:
    return Match(), actions


def _writes(field: Field) -> Iterator[Action]:
    values = (0x1000, 0x1064, 0x1FFF) if field is Field.VLAN_VID else sample_values(field)
    if field is not Field.IN_PORT:
        yield from (SetField(field, value) for value in values)
    if field.is_maskable and field is not Field.VLAN_VID:
        for mask in (1, field.full - (field.full >> 3), field.full & int("3c" * 16, 16), field.full >> 1):
            yield SetField(field, field.full & int("a5" * 16, 16) & mask, mask)
    bits = field.part_bits
    for part in {
        Part(field, 0, min(bits, 64)),
        Part(field, bits - 1, 1),
        Part(field, bits // 2, (bits + 1) // 2 if bits < 65 else 9),
    }:
        yield Load(part, (1 << part.width) - 1)
        yield Load(part, 0)


def _moves(field: Field) -> Iterator[Action]:
    width = min(field.part_bits, 16)
    yield Push(whole(field))
    yield Move(Part(field, field.part_bits - width, width), Part(Field.REG7, 3, width))
    if field.is_settable:
        yield Pop(whole(field))
        yield Move(Part(Field.METADATA, 5, width), Part(field, 0, width))
        yield Move(field, field)


def _field_actions() -> Iterator[tuple[Match, tuple[Action, ...]]]:
    for field in Field:
        match = fitting(field)
        if field is Field.VLAN_VID:
            match = match.any_tag()
        if field is Field.CONJ_ID:
            continue
        connection = field in {Field.CT_MARK, Field.CT_LABEL}
        if field.is_settable:
            for action in _writes(field):
                yield (Match().ipv4(), (Ct(commit=True, then=(action,)),)) if connection else (match, (action,))
        for action in _moves(field):
            inside = connection and action.needs & Fact.CONNECTION
            if not inside:
                yield match, (action,)
            elif isinstance(action, Move):
                yield Match().ipv4(), (Ct(commit=True, then=(action,)),)


ACTIONS: dict[type[Action], Callable[[], Iterator[tuple[Match, tuple[Action, ...]]]]] = {
    Output: lambda: iter([_any(Output(1), Output(LOCAL), Output(0xFEFF))]),
    OutputInPort: lambda: iter([_any(OutputInPort())]),
    Controller: lambda: iter(
        [_any(Controller(size, data)) for size in (0, 128, 65535) for data in (b"", b"\1", b"1234", b"12345")]
    ),
    Load: lambda: iter([_any(Load(NETWORK, 5), Load(FROM_PORT, 0))]),
    SetField: _field_actions,
    Move: lambda: iter([_any(Move(FROM_PORT, Part(Field.ETH_SRC, 16, 32)))]),
    Push: lambda: iter([_any(Push(FROM_PORT), Pop(NETWORK))]),
    Pop: lambda: iter([_any(Push(Field.ETH_SRC), Pop(Part(Field.REG3, 1, 7)))]),
    PushVlan: lambda: iter([_any(PushVlan(), SetField(Field.VLAN_VID, 0x1005)), _any(PushVlan(0x88A8))]),
    PopVlan: lambda: iter([(Match().vlan(5), (PopVlan(), Output(2)))]),
    DecTtl: lambda: iter([_ip(DecTtl())]),
    Resubmit: lambda: iter([_any(Resubmit(0)), _any(Resubmit(253))]),
    Group: lambda: iter([_any(Group(5))]),
    Meter: lambda: iter([_any(Meter(7)), _any(Meter(7), Output(1)), _any(Meter(0x10001), Output(1), Goto(253))]),
    Goto: lambda: iter([_any(Goto(253)), _any(Output(1), Goto(200))]),
    Conjunction: lambda: iter([_any(Conjunction(5, 1, 2)), _any(Conjunction(5, 2, 2), Conjunction(7, 64, 64))]),
    CtClear: lambda: iter([_any(CtClear())]),
    Truncate: lambda: iter([_any(Truncate(1, 14)), _any(Truncate(0xFEFF, 0xFFFFFFFF), Output(1))]),
    Clone: lambda: iter(
        [
            _any(Clone((Output(2),))),
            _any(Clone((Load(FROM_PORT, 5), Resubmit(80))), Clone((Truncate(2, 64), Output(3))), Output(4)),
            _ip(Meter(7), Clone((DecTtl(), SetField(Field.IPV4_SRC, IPV4), Controller(128, b"12345"))), Goto(253)),
        ]
    ),
    Learn: lambda: iter(
        [
            _any(Learn(90, 200, 0x5D0C010200000001, (Field.IN_PORT, DROP_REASON, DROP_SIDE))),
            _any(Meter(7), Learn(91, 32768, 0, (TO_PORT,), 60), Controller(128)),
            _any(Learn(92, 200, 0, (TO_PORT,), 0, 60)),
            _any(Learn(0, 1, 1, (Part(Field.ETH_SRC, 8, 40), Field.METADATA))),
        ]
    ),
    Ct: lambda: iter(
        [
            _ip(Ct()),
            _ip(Ct(5, 80)),
            _ip(Ct(0xFFFF, 0, commit=True)),
            _ip(Ct(Part(Field.REG5, 0, 16), 253, commit=True, force=True)),
            _ip(Ct(Part(Field.METADATA, 48, 16), 253)),
            _ip(Ct(1, commit=True, then=(SetField(Field.CT_MARK, 1), Load(Part(Field.CT_LABEL, 64, 64), 5)))),
            _ip(Ct(1, commit=True, nat=CtNat("src", IPV4), then=(Load(Part(Field.CT_MARK, 0, 1), 1),)), Output(1)),
        ]
    ),
    CtNat: lambda: iter(
        [
            _ip(Ct(1, 80, nat=CtNat())),
            _ip(Ct(1, 80, commit=True, nat=CtNat("src"))),
            _ip(Ct(1, 80, commit=True, nat=CtNat("dst", IPV4))),
            _ip(Ct(1, 80, commit=True, nat=CtNat("src", IPV4, IPV4 + 1, 1024, 65535)), Output(2)),
            _ip(Ct(1, 80, commit=True, nat=CtNat("dst", IPV4, first_port=80, flags=frozenset({"persistent", "hash"})))),
            _ip(Ct(1, commit=True, nat=CtNat("src", IPV4, IPV4 + 9, flags=frozenset({"random"})))),
            (Match().ipv6(), (Ct(1, 80, commit=True, nat=CtNat("src", IPV6, version=6)),)),
            (Match().ipv6(), (Ct(1, 80, commit=True, nat=CtNat("src", IPV6, IPV6 + 5, version=6)), Output(2))),
            (Match().ipv6(), (Ct(1, 80, commit=True, nat=CtNat("dst", IPV6, IPV6 + 5, 5, 6, 6)), Output(2))),
            (Match().ipv6(), (Ct(1, 80, commit=True, nat=CtNat("dst", IPV6, None, 5, None, 6)), Output(2))),
        ]
    ),
}  # fmt: skip
"""Every action class with flows that show each of its forms."""


def sample_flows() -> list[Flow]:
    """Flows that all differ in table or priority."""
    flows = [Flow(0, at, match, (), at) for at, match in enumerate(sample_matches())]
    found = [both for samples in ACTIONS.values() for both in samples()]
    return flows + [Flow(1, at, match, actions, 1 << 63 | at) for at, (match, actions) in enumerate(found)]
