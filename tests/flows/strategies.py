# SPDX-License-Identifier: Apache-2.0
"""Random matches, actions and flows: everything that we can write, in combinations that make sense to a switch."""

from __future__ import annotations

from hypothesis import strategies as st

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
from sdnctl.flows.fields import Fact, Field, Part
from sdnctl.flows.flow import Flow
from sdnctl.flows.match import Match
from sdnctl.flows.oxm import Test, test
from sdnctl.flows.pipeline import App, Kind, Owner, Reason
from sdnctl.flows.registers import SLOTS

PROTOCOLS = (
    Match(),
    Match().eth_type(0x88CC),
    Match().eth_type(0x05FF),
    Match().arp(),
    Match().rarp(),
    Match().ipv4(),
    Match().ipv6(),
    Match().ipv4().ip_proto(47),
    Match().ipv6().ip_proto(0),
    Match().tcp4(),
    Match().tcp6(),
    Match().udp4(),
    Match().udp6(),
    Match().ipv4().ip_proto(132),
    Match().ipv6().ip_proto(132),
    Match().icmp4(),
    Match().icmp6(),
    Match().icmp6(128),
    Match().icmp6(135, 0),
    Match().icmp6(136, 0),
)
"""A match for each set of prerequisites that fields have."""

METERS = (1, 7, 0x10001)
GROUPS = (0, 5, 0xFFFFFF00)
"""What exists on the switch of the tests, because a switch refuses flows that use others."""


def values_of(field: Field) -> st.SearchStrategy[int]:
    match field:
        case Field.IN_PORT:
            return st.integers(1, notation.LAST_PORT) | st.just(LOCAL)
        case Field.ETH_TYPE:
            return st.integers(0x600, 0xFFFF)
        case Field.VLAN_VID:
            return st.integers(0x1000, 0x1FFF)
        case _:
            return st.integers(0, field.valid) | st.sampled_from([0, 1, field.valid])


def masks_of(field: Field) -> st.SearchStrategy[int]:
    if not field.is_maskable:
        return st.just(field.full)
    full = field.valid if field is Field.CT_STATE else field.full
    prefixes = st.integers(1, full.bit_length()).map(lambda ones: full - (full >> ones))
    return st.just(full) | prefixes | st.integers(1, full)


@st.composite
def tests_of(draw: st.DrawFn, field: Field) -> Test:
    """A test of `field`, of any kind that it allows."""
    if field is Field.IP_FRAG:
        return test(field, *notation.read(field, draw(st.sampled_from(["no", "yes", "first", "later", "not_later"]))))
    if field is Field.VLAN_VID:
        vid = draw(st.integers(0, 0xFFF))
        mask = draw(st.sampled_from([0x1FFF, 0x1000, 0x1F00]))
        return test(field, draw(st.sampled_from([0, 0x1000 | vid])) & mask, mask)
    mask = draw(masks_of(field))
    return test(field, draw(values_of(field)) & mask, mask)


@st.composite
def matches(draw: st.DrawFn) -> Match:
    match = draw(st.sampled_from(PROTOCOLS))
    for field in draw(st.lists(st.sampled_from(Field), max_size=6, unique=True)):
        if (
            match.get(field) is None
            and not int(field.needs) & ~match.gives
            and field not in (Field.ETH_TYPE, Field.IP_PROTO)
        ):
            one = draw(tests_of(field))
            if not (one.gives & Fact.LATER and match.gives & Fact.USES_LAYER_4):
                match = match.also(one)
    return match


@st.composite
def parts(draw: st.DrawFn, field: Field, most: int = 64) -> Part:
    width = draw(st.integers(1, min(field.part_bits, most)))
    return Part(field, draw(st.integers(0, field.part_bits - width)), width)


def settable(facts: int) -> list[Field]:
    """The fields that a flow with these facts may write."""
    return [
        field
        for field in Field
        if field.is_settable
        and not int(field.needs) & ~facts
        and field not in (Field.CT_MARK, Field.CT_LABEL)
        and (field is not Field.VLAN_VID or facts & Fact.TAGGED)
    ]


@st.composite
def loads(draw: st.DrawFn, fields: list[Field]) -> Action:
    part = draw(parts(draw(st.sampled_from(fields))))
    return Load(part, draw(st.integers(0, (1 << part.width) - 1)))


@st.composite
def slot_loads(draw: st.DrawFn) -> Action:
    slot = draw(st.sampled_from(SLOTS))
    return Load(slot, draw(st.integers(0, slot.limit)))


@st.composite
def set_fields(draw: st.DrawFn, fields: list[Field]) -> Action:
    field = draw(st.sampled_from(fields))
    value = draw(values_of(field))
    mask = draw(masks_of(field))
    if field is Field.VLAN_VID or mask == field.full:
        return SetField(field, value)
    return SetField(field, value & mask, mask)


@st.composite
def moves(draw: st.DrawFn, facts: int, targets: list[Field]) -> Action:
    sources = [field for field in Field if not int(field.needs) & ~facts and field is not Field.CONJ_ID]
    source = draw(parts(draw(st.sampled_from(sources)), 32))
    target = draw(st.sampled_from([field for field in targets if field.part_bits >= source.width]))
    return Move(source, Part(target, draw(st.integers(0, target.part_bits - source.width)), source.width))


@st.composite
def nats(draw: st.DrawFn, version: int, *, commit: bool) -> CtNat:
    kind = draw(st.sampled_from(["", "src", "dst"])) if commit else ""
    if not kind or draw(st.integers(0, 4)) == 0:
        return CtNat(kind)
    most = (1 << (32 if version == 4 else 128)) - 1
    first = draw(st.integers(1, most))
    last = draw(st.none() | st.integers(first, most))
    first_port = draw(st.none() | st.integers(1, 0xFFFF))
    last_port = draw(st.none() | st.integers(first_port, 0xFFFF)) if first_port else None
    flags = draw(st.sampled_from([(), ("hash",), ("random",), ("persistent",), ("persistent", "random")]))
    return CtNat(kind, first, last, first_port, last_port, version, frozenset(flags))


@st.composite
def cts(draw: st.DrawFn, facts: int) -> Ct:
    commit = not facts & Fact.INVALID and draw(st.booleans())
    connection = [Field.CT_MARK, Field.CT_LABEL]
    then = draw(st.lists(loads(connection) | set_fields(connection), max_size=2)) if commit else []
    zone = draw(st.integers(0, 0xFFFF) | st.integers(0, 16).map(lambda low: Part(Field.REG5, low, 16)))
    nat = draw(st.none() | nats(4 if facts & Fact.IPV4 else 6, commit=commit))
    table = draw(st.none() | st.integers(0, 253))
    return Ct(zone, table, commit, commit and draw(st.booleans()), nat, tuple(then))


@st.composite
def learns(draw: st.DrawFn) -> Learn:
    fields = [field for field in Field if not field.needs and field.part_bits == field.bits]
    fields.remove(Field.CONJ_ID)
    chosen = draw(st.lists(st.sampled_from(fields), min_size=1, max_size=3, unique=True))
    same = tuple(draw(parts(field, 128)) if field.is_maskable else Part(field, 0, field.bits) for field in chosen)
    table, priority = draw(st.integers(0, 253)), draw(st.integers(0, 0xFFFF))
    return Learn(
        table, priority, draw(st.integers(0, 255)), same, draw(st.integers(0, 0xFFFF)), draw(st.integers(0, 0xFFFF))
    )


def actions_of(facts: int, *, cloned: bool = False) -> st.SearchStrategy[Action]:
    """One action, other than meter, goto and conjunction, that a flow with these facts may have."""
    fields = settable(facts)
    readable = [field for field in Field if not int(field.needs) & ~facts and field is not Field.CONJ_ID]
    kinds: list[st.SearchStrategy[Action]] = [
        st.builds(Output, st.integers(1, notation.LAST_PORT) | st.just(LOCAL)),
        st.builds(OutputInPort),
        st.builds(Controller, st.integers(0, 0xFFFF), st.binary(max_size=20)),
        st.builds(Resubmit, st.integers(0, 253)),
        st.builds(Group, st.sampled_from(GROUPS)),
        st.builds(CtClear),
        st.builds(Truncate, st.integers(1, notation.LAST_PORT), st.integers(14, 0xFFFFFFFF)),
        learns(),
        slot_loads(),
        loads(fields),
        set_fields([field for field in fields if field is not Field.IN_PORT]),
        moves(facts, fields),
        st.sampled_from(readable).flatmap(parts).map(Push),
        st.sampled_from(fields).flatmap(parts).map(Pop),
    ]
    if facts & Fact.IP:
        kinds.append(st.builds(DecTtl))
    if cloned:
        return st.one_of(kinds)
    if facts & Fact.IP:
        kinds.append(cts(facts))
    kinds.append(st.lists(actions_of(facts, cloned=True), min_size=1, max_size=3).map(lambda some: Clone(tuple(some))))
    return st.one_of(kinds)


@st.composite
def action_lists(draw: st.DrawFn, match: Match, table: int) -> tuple[Action, ...]:
    if draw(st.integers(0, 9)) == 0:
        return tuple(
            draw(
                st.lists(
                    st.builds(Conjunction, st.integers(0, 0xFFFFFFFF), st.integers(1, 3), st.integers(3, 5)),
                    min_size=1,
                    max_size=3,
                )
            )
        )
    found: list[Action] = []
    facts = match.gives
    if draw(st.integers(0, 5)) == 0:
        found.append(Meter(draw(st.sampled_from(METERS))))
    if facts & Fact.TAGGED:
        if draw(st.booleans()):
            found.append(PopVlan())
            facts &= ~Fact.TAGGED
    elif draw(st.integers(0, 5)) == 0:
        found.append(PushVlan(draw(st.sampled_from([0x8100, 0x88A8]))))
        found.append(SetField(Field.VLAN_VID, draw(values_of(Field.VLAN_VID))))
        facts |= Fact.TAGGED
    found += draw(st.lists(actions_of(facts), max_size=5))
    if table < 253 and draw(st.booleans()):
        found.append(Goto(draw(st.integers(table + 1, 253))))
    return tuple(found)


OWNERS = st.builds(Owner, st.sampled_from(App), st.sampled_from(Kind), st.integers(0, 0xFFFFFFFF))


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    table = draw(st.integers(0, 253))
    match = draw(matches())
    actions = draw(action_lists(match, table))
    reason = (
        Reason.NONE if actions else draw(st.sampled_from([reason for reason in Reason if reason is not Reason.NONE]))
    )
    return Flow(table, draw(st.integers(0, 0xFFFF)), match, actions, draw(OWNERS).cookie(reason))
