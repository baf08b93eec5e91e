# SPDX-License-Identifier: Apache-2.0
"""A real Open vSwitch takes every byte we write, gives back the same bytes, and prints the same text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdnctl.flows.action import Action, Clone, Output, PopVlan, PushVlan
from sdnctl.flows.flow import Flow
from sdnctl.flows.match import Match
from sdnctl.flows.wire import (
    GroupSpec,
    MeterSpec,
    WireFlow,
    add_message,
    bundle_add,
    bundle_commit,
    bundle_open,
    encode,
    encode_group,
    flow_stats_request,
    group_add,
    meter_add,
    parse_flow_stats,
    wire_text,
)
from tests.flows import strategies
from tests.flows.samples import sample_flows
from tests.support.dummy_ovs import DummySwitch, RawConnection

pytestmark = pytest.mark.switch

DELETE_ALL = bytes.fromhex("050e0038 00000001 0000000000000000 0000000000000000 ff03 0000 0000 0000"
                           "ffffffff ffffffff ffffffff 0000 0000 0001 0004 00000000")  # fmt: skip


@pytest.fixture(scope="module")
def connection(switch: DummySwitch) -> Iterator[RawConnection]:
    """A bridge with the meters and groups that the random flows use."""
    switch.bridge("br0", p1=1, p2=2)
    with RawConnection(switch.socket("br0")) as connection:
        needed = [meter_add(MeterSpec(number, pktps=100, burst=10)) for number in strategies.METERS]
        needed += [group_add(encode_group(GroupSpec(number, "all", ()))) for number in strategies.GROUPS]
        assert connection.ask(b"".join(needed)) == []
        yield connection


def replace_all(connection: RawConnection, flows: Iterable[Flow]) -> dict[bytes, WireFlow]:
    """Put exactly these flows in by one atomic bundle; what is there afterwards, by key."""
    wires = [encode(flow) for flow in flows]
    adds = [bundle_add(1, DELETE_ALL), *(bundle_add(1, add_message(wire, 100 + at)) for at, wire in enumerate(wires))]
    answers = connection.ask(b"".join([bundle_open(1, 1), *adds, bundle_commit(1, 2)]))
    refused = [answer for answer in answers if answer[1] == 1]
    for answer in refused:
        at = int.from_bytes(answer[4:8], "big") - 100
        what = wire_text(wires[at]) if 0 <= at < len(wires) else "the bundle"
        pytest.fail(f"refused with type {answer[9]}, code {answer[11]}: {what}\n{answer.hex()}")
    return {wire.key: wire for body in connection.multipart(flow_stats_request(3)) for wire in parse_flow_stats(body)}


def assert_same(connection: RawConnection, switch: DummySwitch, flows: Iterable[Flow]) -> None:
    want = {encode(flow).key: flow for flow in flows}
    have = replace_all(connection, want.values())
    for key, flow in want.items():
        wire = encode(flow)
        assert key in have, (
            f"the switch changed the match of {flow.text()}: {[wire_text(one) for one in have.values()]}"
        )
        assert have[key].instructions.hex() == wire.instructions.hex(), f"the switch changed {flow.text()}"
        assert have[key] == wire
    assert have.keys() == want.keys()
    assert sorted(switch.dump("br0")) == sorted(flow.text() for flow in want.values())


def test_every_field_and_action(connection: RawConnection, switch: DummySwitch):
    assert_same(connection, switch, sample_flows())


@settings(max_examples=60)
@given(flows=st.lists(strategies.flows(), min_size=1, max_size=30))
def test_random_flows(connection: RawConnection, switch: DummySwitch, flows: list[Flow]):
    assert_same(connection, switch, flows)


@pytest.mark.parametrize("match", (Match(), Match().vlan(5)), ids=("any", "tagged"))
def test_vlan_tags_are_refused_as_the_switch_does(connection: RawConnection, switch: DummySwitch, match: Match) -> None:
    """Pushes and pops in any order, also in a clone, which leaves its packet as it was."""
    steps = (PushVlan(), PopVlan())
    inner = [Clone(some) for length in (1, 2, 3) for some in product(steps, repeat=length)]
    lists = [some for length in (1, 2, 3, 4) for some in product(steps, repeat=length)]
    lists += [(*before, one, after) for before in ((), steps[:1]) for one in inner for after in steps]
    for actions in lists:
        text = f"{match.text()} actions={','.join(action.text() for action in actions)},output:1"
        assert _is_made(match, *actions, Output(1)) == _is_taken(switch, text), text


def _is_made(match: Match, *actions: Action) -> bool:
    try:
        Flow(0, 32768, match, actions)
    except ValueError:
        return False
    return True


def _is_taken(switch: DummySwitch, text: str) -> bool:
    try:
        switch.ofctl("add-flow", "br0", text)
    except AssertionError:
        return False
    return True
