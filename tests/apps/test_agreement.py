# SPDX-License-Identifier: Apache-2.0
"""The interpreter of our flows does what Open vSwitch does with them: tens of thousands of random packets a run.

Each packet goes through `sdnctl.flows.simulate` and through `ofproto/trace` of a real ovs-vswitchd: the same flows are
hit, the same copies leave by the same ports and look the same, the same number is punted.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdnctl.flows.connections import EST_FLAG, INV_FLAG, NEW_FLAG, REL_FLAG, RPL_FLAG
from sdnctl.flows.fields import Field
from sdnctl.flows.flow import Flow
from sdnctl.flows.packet import Packet
from sdnctl.flows.simulate import Tables
from sdnctl.flows.wire import add_message, encode, meter_add
from tests.apps.clouds import PATCH, TUNNEL, Cloud, flows_of, meters_of
from tests.apps.lab import SHOW_FRAGMENTS
from tests.apps.strategies import any_cloud
from tests.apps.test_mutations import CLOUD
from tests.apps.traffic import Traffic
from tests.support.broken import WAYS
from tests.support.dummy_ovs import DummySwitch, RawConnection
from tests.support.traces import Trace, Tracer, as_trace, carried
from tests.support.unixctl import Unixctl

pytestmark = pytest.mark.switch

BRIDGE = "agreement"
PACKETS = 400
"""For each cloud; half of them have been seen by the tracker before."""
STATES = (NEW_FLAG, NEW_FLAG, EST_FLAG, EST_FLAG | RPL_FLAG, REL_FLAG | NEW_FLAG, REL_FLAG | RPL_FLAG, INV_FLAG)
MARKS = (0, 0, 1, 2, 3, 3)
ROUNDS = 12
"""So many times `PACKETS` show all that our flows do."""
UNUSED = {
    "set_field ignores its mask",
    "a move begins at bit 0",
    "the stack is a queue",
    "a tag is popped with the one behind it",
    "buckets see each other's changes",
    "what is tracked stays so",
}
"""Ways to break what none of our flows does; `tests/flows/test_trace.py` tries them."""


@pytest.fixture(scope="module", name="tracer")
def _tracer() -> Iterator[Tracer]:
    with DummySwitch() as switch:
        ports = {f"g{number}": number for number in range(1, 201) if number not in (TUNNEL, PATCH)}
        switch.bridge(BRIDGE, **ports, tunnel=TUNNEL, provider=PATCH)
        with Unixctl(f"{switch.directory}/ovs-vswitchd.ctl") as control:
            yield Tracer(switch, control, BRIDGE)


def load(switch: DummySwitch, cloud: Cloud, host: int) -> list[Flow]:
    """The flows of a host of the cloud, on the bridge and here."""
    views = list(cloud.views(host))
    flows = [flow for view in views for flow in flows_of(view)]
    for what in ("del-flows", "del-meters"):
        switch.ofctl(what, BRIDGE)
    meters = b"".join(meter_add(spec) for view in views for spec in meters_of(view))
    with RawConnection(switch.socket(BRIDGE)) as connection:
        refused = connection.ask(SHOW_FRAGMENTS + meters + b"".join(add_message(encode(flow)) for flow in flows))
    assert not refused, [one.hex() for one in refused]
    return flows


def traces(tracer: Tracer, cloud: Cloud, host: int, random: Random) -> Iterator[tuple[Packet, int, Trace]]:
    """Packets for a host of the cloud, what the tracker says of them, and what becomes of them on the switch."""
    for packet in Traffic(cloud, host, random).packets(PACKETS):
        state = random.choice(STATES)
        sent = packet.changed({Field.CT_MARK: random.choice(MARKS)})
        yield sent, state, tracer.trace(sent, state)


@pytest.mark.limit(600)
@given(any_cloud(), st.integers(0, 1 << 32))
@settings(deadline=None, suppress_health_check=list(HealthCheck))
def test_interpreter_agrees_with_the_switch(tracer: Tracer, cloud: Cloud, seed: int) -> None:
    random = Random(seed)
    host = random.choice([guest.host for guest in cloud.guests] or cloud.hosts)
    tables = Tables(load(tracer.switch, cloud, host))
    for packet, state, traced in traces(tracer, cloud, host, random):
        simulated = as_trace(tables.run(packet, carried(state)))
        assert simulated == traced, f"{packet!r}\n{simulated.text}\n{traced.text}"


@pytest.fixture(scope="module", name="seen")
def _seen(tracer: Tracer) -> tuple[Tables, list[tuple[Packet, int, Trace]]]:
    tables = Tables(load(tracer.switch, CLOUD, 1))
    random = Random(1)
    return tables, [one for _ in range(ROUNDS) for one in traces(tracer, CLOUD, 1, random)]


@pytest.mark.parametrize("way", [way for way in WAYS if way not in UNUSED])
def test_a_broken_interpreter_is_noticed(
    seen: tuple[Tables, list[tuple[Packet, int, Trace]]], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables, traced = seen

    def differs() -> bool:
        return any(as_trace(tables.run(packet, carried(state))) != trace for packet, state, trace in traced)

    assert not differs()
    WAYS[way](monkeypatch)
    assert differs()
