# SPDX-License-Identifier: Apache-2.0
"""The interpreter against `ofproto/trace`, with flows that nobody would write: every action, in any order that may be.

`tests/apps/test_agreement.py` does the same with the flows that we do write.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sdnctl.apps.qos import apart
from sdnctl.flows.action import (
    Action,
    Clone,
    Conjunction,
    Controller,
    Ct,
    CtClear,
    DecTtl,
    Goto,
    Group,
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
)
from sdnctl.flows.connections import EST_FLAG, NEW_FLAG
from sdnctl.flows.fields import Field, Part
from sdnctl.flows.flow import Flow
from sdnctl.flows.groups import GroupSpec, encode_group, group_add, group_delete
from sdnctl.flows.match import Match
from sdnctl.flows.meters import MeterSpec
from sdnctl.flows.oxm import VLAN_TAG
from sdnctl.flows.packet import Packet
from sdnctl.flows.simulate import Tables
from sdnctl.flows.wire import add_message, encode, meter_add
from tests.apps.lab import SHOW_FRAGMENTS
from tests.support.broken import WAYS
from tests.support.dummy_ovs import DummySwitch, RawConnection
from tests.support.traces import Trace, Tracer, as_trace, carried
from tests.support.unixctl import Unixctl

pytestmark = pytest.mark.switch

BRIDGE = "anything"
TABLES = 6
FLOWS = 100
PACKETS = 150
SAMPLES = 40
"""Programs that a broken interpreter is tried with."""
MANY = 200
"""Steps that a trace takes very long to tell of."""
MACS = (0x525400000001, 0x525400000002)
LOW, HIGH = Part(Field.REG1, 0, 2), Part(Field.REG1, 2, 2)
ZONE = Part(Field.REG2, 0, 16)


@pytest.fixture(scope="module", name="tracer")
def _tracer() -> Iterator[Tracer]:
    with DummySwitch() as switch:
        switch.bridge(BRIDGE, **{f"p{number}": number for number in range(1, 7)})
        with Unixctl(f"{switch.directory}/ovs-vswitchd.ctl") as control, RawConnection(switch.socket(BRIDGE)) as wire:
            assert not wire.ask(SHOW_FRAGMENTS + meter_add(MeterSpec(1, 10, 10)))
            yield Tracer(switch, control, BRIDGE)


def _witnesses() -> Iterator[Flow]:
    """What registers, mark and state are in the end shows in the flows that are hit then."""
    for table, (target, mask) in enumerate(((Field.REG1, 15), (Field.REG0, 3), (Field.CT_MARK, 3)), TABLES):
        for value in range(mask + 1):
            yield Flow(table, 1, Match().field(target, value, mask), (Goto(table + 1),), 100 * table + value)
    for number, state in enumerate(("-trk", "+est+trk", "+new+trk")):
        yield Flow(TABLES + 3, 1, Match().ct_state(state), (Output(6),), 1 + number)


class Program:
    """Random flows, and packets that have something to do with them."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.priorities = iter(random.sample([one for one in range(100, 10000) if one % 3000], 5000))
        """No two flows that could be hit at once have the same, or the switch may choose."""
        self.groups = tuple(
            GroupSpec(number, "all", tuple(self._bucket() for _ in range(random.randrange(3)))) for number in (1, 2)
        )
        found = {encode(flow).key: flow for flow in (*self._rest(), *_witnesses())}
        while len(found) < FLOWS:
            with contextlib.suppress(ValueError):
                flow = self._flow()
                found[encode(flow).key] = flow
        self.flows = tuple(found.values())

    def _rest(self) -> Iterator[Flow]:
        """What hits nothing else goes on, mostly."""
        for table in range(TABLES):
            if not table or self.random.random() < 0.7:
                yield Flow(table, 1, Match(), (Goto(self.random.randrange(table + 1, TABLES + 1)),), 1 + table)

    def _bucket(self) -> tuple[Action, ...]:
        actions: tuple[Action, ...] = (Output(self.random.randrange(1, 7)),)
        if self.random.random() < 0.5:
            actions = (Load(LOW, self.random.randrange(4)), SetField(Field.ETH_SRC, 77), *actions)
        return (*actions, Resubmit(5)) if self.random.random() < 0.3 else actions

    def _match(self) -> Match:
        random = self.random
        match = Match()
        if random.random() < 0.3:
            match = match.in_port(random.randrange(1, 4))
        if random.random() < 0.3:
            match = match.eth_dst(*random.choice(((MACS[0],), (MACS[1],), (1 << 40, 1 << 40), (0, 1 << 40))))
        if random.random() < 0.3:
            match = random.choice((match.untagged, match.any_tag, lambda: match.vlan(5)))()
        if random.random() < 0.6:
            match = random.choice((match.ipv4, match.ipv4, match.ipv4, match.ipv6, match.arp))()
            if match.get(Field.ETH_TYPE).value == 0x0800 and random.random() < 0.6:
                match = random.choice(
                    (
                        match.tcp4,
                        match.udp4,
                        lambda: match.tcp4(dst=80),
                        lambda: match.ipv4_src(0x0A000000, 0xFFFFFFFE),
                        lambda: match.fragment("later"),
                        lambda: match.fragment("not_later"),
                    )
                )()
        for register, mask in ((Field.REG0, 3), (Field.REG1, 15), (Field.CT_MARK, 3), (Field.METADATA, 1)):
            if random.random() < 0.15:
                match = match.field(register, random.randrange(mask + 1) & mask, mask)
        if random.random() < 0.1:
            match = match.ct_state(random.choice(("+trk", "-trk", "+est+trk", "+new+trk")))
        return match

    def _flow(self) -> Flow:
        random = self.random
        table = random.randrange(TABLES)
        match = self._match() if random.random() < 0.95 else Match()
        if random.random() < 0.15:
            number = random.randrange(3)
            match = match if random.random() < 0.7 else match.field(Field.CONJ_ID, number)
            if match.get(Field.CONJ_ID) is None:
                clause = Conjunction(number, random.randrange(1, 3), 2)
                return Flow(table, 3000 * (number + 1), match, (clause,), random.randrange(1, 1 << 32))
        actions: list[Action] = []
        if random.random() < 0.1:
            actions.append(Meter(1))
        for _ in range(random.choice((0, 1, 2, 2, 3, 4))):
            actions += self._action(table)
        if random.random() < 0.7:
            actions.append(Goto(random.randrange(table + 1, TABLES + 1)))
        return Flow(table, next(self.priorities), match, tuple(actions), random.randrange(1, 1 << 32))

    def _action(self, table: int) -> list[Action]:
        random = self.random
        bits = random.randrange(4)
        further = random.randrange(table + 1, TABLES + 1)  # a trace goes round in circles for ever
        again = random.randrange(TABLES) if random.random() < 0.1 else further
        marks = (SetField(Field.CT_MARK, bits),) if random.random() < 0.5 else ()
        choices: tuple[list[Action], ...] = (
            [Output(random.randrange(1, 7))],
            [Output(random.randrange(1, 7))],
            [OutputInPort()],
            [Controller()],
            [Load(random.choice((LOW, HIGH, Part(Field.REG0, 0, 2))), bits)],
            [Load(Field.IN_PORT, random.randrange(1, 4))],
            [SetField(Field.REG0, bits, 3), SetField(Field.METADATA, bits)],
            [SetField(random.choice((Field.ETH_SRC, Field.ETH_DST)), random.choice(MACS))],
            [SetField(Field.IP_TTL, 7), SetField(Field.IPV4_DST, bits, 3)],
            [Move(LOW, HIGH), Move(Field.ETH_SRC, Field.ETH_DST)],
            [Move(HIGH, LOW)],
            [Move(Field.IPV4_SRC, Field.REG3)],
            [Push(Field.REG1), Push(Field.ETH_SRC)],
            [Push(LOW), Push(HIGH), Pop(LOW), Pop(HIGH)],
            [Pop(random.choice((Field.REG1, Field.ETH_DST, LOW)))],
            [PushVlan(), SetField(Field.VLAN_VID, VLAN_TAG | 5)],
            [PushVlan(0x88A8), SetField(Field.VLAN_VID, VLAN_TAG | 6), SetField(Field.VLAN_PCP, bits)],
            [PopVlan()],
            [PushVlan(), PopVlan()],
            [DecTtl()],
            [Resubmit(again)],
            [Group(random.randrange(1, 3))],
            [Ct(random.choice((bits, ZONE)), table=further)],
            [Ct(bits, table=further, commit=True, then=marks)],
            [Ct(bits, commit=True, then=marks)],
            [CtClear()],
            [Clone((SetField(Field.ETH_SRC, MACS[1]), Load(LOW, bits), Resubmit(further)))],
            [apart(Load(HIGH, bits), Output(random.randrange(1, 7)), Resubmit(further))],
        )
        return random.choice(choices)

    def packet(self) -> Packet:
        random = self.random
        fields = {Field.IN_PORT: random.randrange(1, 4), Field.ETH_SRC: MACS[0]}
        fields[Field.ETH_DST] = random.choice((*MACS, (1 << 48) - 1))
        fields[Field.CT_MARK] = random.randrange(4)
        if random.random() < 0.4:
            fields |= {Field.VLAN_VID: VLAN_TAG | random.choice((0, 5)), Field.VLAN_PCP: random.choice((0, 3))}
        kind = random.choice((0x0800, 0x0800, 0x0800, 0x86DD, 0x0806))
        fields[Field.ETH_TYPE] = kind
        if kind == 0x0800:
            protocol = random.choice((6, 17, 47))
            fields |= {Field.IP_TTL: 64, Field.IP_PROTO: protocol, Field.IPV4_SRC: 0x0A000000 + random.randrange(3)}
            fields[Field.IPV4_DST] = 0x0A0000FF
            fields[Field.IP_FRAG] = random.choice((0, 0, 1, 3))
            if protocol == 6 and fields[Field.IP_FRAG] != 3:
                fields[Field.TCP_DST] = random.choice((80, 81))
        return Packet.of(fields)


class Loaded:
    """A program on the switch and in the interpreter."""

    def __init__(self, tracer: Tracer, seed: int) -> None:
        self._tracer = tracer
        self._program = program = Program(Random(seed))
        tracer.switch.ofctl("del-flows", BRIDGE)
        with RawConnection(tracer.switch.socket(BRIDGE)) as wire:
            groups = b"".join(group_delete(one.id) + group_add(encode_group(one)) for one in program.groups)
            assert not wire.ask(groups)
            flows = [flow for flow in program.flows if not wire.ask(add_message(encode(flow)))]
        assert len(flows) > FLOWS / 3
        self.tables = Tables(flows, program.groups)

    def traces(self) -> Iterator[tuple[Packet, int, Trace]]:
        """Packets, what the tracker says of them, and what becomes of them on the switch."""
        for _ in range(PACKETS):
            packet = self._program.packet()
            state = self._program.random.choice((NEW_FLAG, EST_FLAG))
            outcome = self.tables.run(packet, carried(state))
            if len(outcome.steps) <= MANY and not (outcome.error and outcome.tracked):
                traced = self._tracer.trace(packet, state)
                if not forgets_in_a_clone(traced):
                    yield packet, state, traced

    def difference(self, packet: Packet, state: int, traced: Trace) -> str:
        """What the interpreter makes of it, and the switch, if that is not the same."""
        outcome = self.tables.run(packet, carried(state))
        if outcome.error:
            return "" if "packet is dropped" in traced.text else f"{packet!r}\n{outcome.error}\n{traced.text}"
        simulated = as_trace(outcome)
        return "" if simulated == traced else f"{packet!r}\n{simulated.text}\n{traced.text}"


def forgets_in_a_clone(traced: Trace) -> bool:
    """Whether a connection may have been forgotten in a clone and then beside it.

    Behind the clone Open vSwitch takes the connection back with the rest of the packet, and `ct_clear` does no more. No
    flow of ours has that action.
    """
    lines = [line.strip() for line in traced.text.splitlines()]
    return lines.count("ct_clear") > 1 and any(line.startswith("clone(") for line in lines)


@given(st.integers(0, 1 << 32))
@example(9432)
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_any_flows_do_what_the_switch_does(tracer: Tracer, seed: int) -> None:
    program = Loaded(tracer, seed)
    for traced in program.traces():
        assert program.difference(*traced) == ""


@pytest.fixture(scope="module", name="samples")
def _samples(tracer: Tracer) -> list[tuple[Loaded, list[tuple[Packet, int, Trace]]]]:
    programs = (Loaded(tracer, seed) for seed in range(SAMPLES))
    return [(program, list(program.traces())) for program in programs]


@pytest.mark.parametrize("way", WAYS)
def test_a_broken_interpreter_is_noticed(
    samples: list[tuple[Loaded, list[tuple[Packet, int, Trace]]]], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def differs() -> bool:
        return any(program.difference(*traced) for program, traces in samples for traced in traces)

    assert not differs()
    WAYS[way](monkeypatch)
    assert differs()
