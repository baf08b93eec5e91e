# SPDX-License-Identifier: Apache-2.0
"""One host's task: reads back, sends only the difference, survives refusals and lost connections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from sdnctl import runtime
from sdnctl.apps.meters import MeterKind, meter_id
from sdnctl.flows import wire
from sdnctl.flows.pipeline import Table
from sdnctl.flows.wire import WireFlow
from sdnctl.model.port import PortStatus
from sdnctl.sync.compile import Compiler, compile_view
from sdnctl.sync.host import GREETING, HostTask, State
from sdnctl.sync.world import World
from tests.sync import clouds
from tests.sync.fakes import FakeSwitch, Observed

PATIENCE_S = 5.0


def wanted(world: World, host_id: str) -> dict[bytes, WireFlow]:
    compiled = (compile_view(world.view(host_id, unit)) for unit in world.units(host_id))
    return {flow.key: flow for one in compiled for flow in one.flows}


class Bench:
    """A busy cloud, the task of h1 and its switch."""

    def __init__(self) -> None:
        self.world, self.reports = clouds.busy_cloud()
        self.observed = Observed()
        self.task = HostTask(self.world.hosts["id-h1"], self.world, self.observed, Compiler())
        self.world.on_dirty = lambda host_id: self.task.wake() if host_id == "id-h1" else None
        self.switch = FakeSwitch()

    def connect(self) -> None:
        self.until(lambda: self.task.state is State.AWAY)
        self.task.attach(self.switch)

    def until_live(self) -> None:
        self.until(lambda: self.task.state is State.LIVE and self.task.pending_since() is None)

    def until(self, condition: object) -> None:
        give_up = runtime.monotonic() + PATIENCE_S
        while not condition():  # type: ignore[operator]
            assert runtime.monotonic() < give_up, f"{self.task.state} {self.task.error} {self.task.failures}"
            runtime.give_way()


@pytest.fixture
def bench() -> Iterator[Bench]:
    one = Bench()
    one.task.start()
    yield one
    one.task.stop()


def test_first_contact_installs_everything_in_one_bundle(bench: Bench) -> None:
    bench.connect()
    bench.until_live()
    assert bench.switch.flows == wanted(bench.world, "id-h1")
    assert len(bench.switch.bundles) == 1
    assert bench.observed.ports == {"p1": (PortStatus.ACTIVE, "h1"), "p3": (PortStatus.ACTIVE, "h1")}


def test_restart_of_the_controller_sends_nothing(bench: Bench) -> None:
    bench.connect()
    bench.until_live()
    again = HostTask(bench.task.host, bench.world, Observed(), Compiler())
    bench.task.stop()
    bench.switch.is_open = True
    bench.switch.bundles.clear()
    bench.task = again
    again.start()
    bench.connect()
    bench.until_live()
    assert bench.switch.bundles == []


def test_change_brings_only_itself(bench: Bench) -> None:
    bench.connect()
    bench.until_live()
    before = dict(bench.switch.flows)
    bench.world.put_port(clouds.port("p5"))
    bench.reports.plug("h1", "tap7", "p5", 7)
    bench.reports.tell(bench.world, "h1")
    bench.until_live()
    after = wanted(bench.world, "id-h1")
    assert bench.switch.flows == after
    changed = sum(before.get(key) != flow for key, flow in after.items())
    meters, forgotten = 1, 2
    assert bench.switch.bundles[1:] == [changed + meters + forgotten]
    bench.reports.unplug("h1", "tap7")
    bench.reports.tell(bench.world, "h1")
    bench.until_live()
    assert bench.switch.flows == before


def test_drift_found_on_connecting_is_put_right_and_foreign_flows_stay(bench: Bench) -> None:
    bench.connect()
    bench.until_live()
    good = dict(bench.switch.flows)
    changed, lost, *_ = (key for key, flow in good.items() if flow.instructions)
    foreign = WireFlow(b"\x00\x00\x07", 0xABC, b"")
    stale = WireFlow(b"\x00\x00\x08", good[changed].cookie, b"")
    bench.switch.flows[changed] = good[changed]._replace(instructions=b"")
    del bench.switch.flows[lost]
    bench.switch.flows |= {foreign.key: foreign, stale.key: stale}
    second = FakeSwitch()
    second.flows, second.meters = bench.switch.flows, bench.switch.meters
    bench.switch.close("gone")
    bench.task.detach(bench.switch)
    bench.switch = second
    bench.connect()
    bench.until_live()
    assert bench.switch.flows == good | {foreign.key: foreign}
    assert second.bundles == [3]


def test_refused_flow_costs_its_own_unit_only_and_is_tried_again(bench: Bench) -> None:
    bench.connect()
    bench.until_live()
    bench.world.put_port(clouds.port("p5"))
    bench.world.put_port(clouds.port("p2", security=False))
    bench.reports.plug("h1", "tap7", "p5", 7)
    bench.reports.tell(bench.world, "h1")
    bench.switch.refuse = {
        flow.cookie
        for key, flow in wanted(bench.world, "id-h1").items()
        if bench.world.by_key("port", flow.cookie & 0xFFFFFFFF) == "p5" and key[0] <= 2
    }
    bench.until(lambda: bool(bench.task.failures) and bench.task.state is State.LIVE)
    (failure,) = bench.task.failures.values()
    assert "in_port=7" in failure.error
    assert bench.observed.ports["p5"] == (PortStatus.ERROR, "h1")
    bench.switch.refuse = set()
    bench.until_live()
    assert bench.switch.flows == wanted(bench.world, "id-h1")
    assert bench.observed.ports["p5"] == (PortStatus.ACTIVE, "h1")


def test_meter_of_a_unit_that_was_refused_at_first_is_made_with_it(bench: Bench) -> None:
    """It comes before the bundle, and goes with the second one that does without its unit."""
    bench.switch.refuse = {
        flow.cookie
        for flow in wanted(bench.world, "id-h1").values()
        if bench.world.by_key("port", flow.cookie & 0xFFFFFFFF) == "p3" and flow.table == Table.OUTPUT
    }
    bench.connect()
    bench.until(lambda: bool(bench.task.failures) and bench.task.state is State.LIVE)
    limit = meter_id(63, MeterKind.TO_BANDWIDTH)
    assert limit not in bench.switch.meters
    bench.switch.refuse = set()
    bench.until_live()
    assert limit in bench.switch.meters


@pytest.mark.parametrize("survives", range(4))
def test_connection_lost_in_the_middle(bench: Bench, survives: int) -> None:
    """Whenever the connection breaks, the next one ends with the right tables."""
    bench.switch.break_after = survives
    bench.connect()
    bench.until(lambda: bench.task.state is not State.AWAY)
    for name, ofport in (("p5", 7), ("p2", 8)):
        bench.world.put_port(clouds.port(name))
        bench.reports.plug("h1", f"tap{ofport}", name, ofport)
        bench.reports.tell(bench.world, "h1")
        for _ in range(20):
            runtime.give_way()
    second = FakeSwitch()
    second.flows, second.meters = bench.switch.flows, bench.switch.meters
    bench.task.detach(bench.switch)
    bench.switch = second
    bench.connect()
    bench.until_live()
    assert second.flows == wanted(bench.world, "id-h1")


def test_nothing_is_sent_before_the_database_was_read() -> None:
    world, observed, switch = World(), Observed(), FakeSwitch()
    switch.flows[b"\x00\x00\x01"] = WireFlow(b"\x00\x00\x01", 0x5D << 56, b"")
    world.put_host(clouds.host("h1"))
    task = HostTask(world.hosts["id-h1"], world, observed, Compiler())
    task.start()
    task.attach(switch)
    for _ in range(50):
        runtime.give_way()
    assert task.state is State.AWAY
    assert not switch.bundles
    task.stop()


def test_tunnel_peers_are_greeted_once(bench: Bench) -> None:
    bench.connect()
    bench.until_live()
    greetings = [message for message in bench.switch.sent if message.endswith(GREETING)]
    assert len(greetings) == 1
    assert greetings[0][0] == wire.VERSION
    bench.world.put_port(clouds.port("p2", security=False))
    bench.until_live()
    assert len([message for message in bench.switch.sent if message.endswith(GREETING)]) == 1


def test_zone_is_flushed_before_its_flows_come_and_never_for_a_restart(bench: Bench) -> None:
    """p1 has a stateful group: ofport 1 is its zone. p3 has none."""
    bench.connect()
    bench.until_live()
    assert bench.switch.flushed == [1]
    again = HostTask(bench.task.host, bench.world, Observed(), Compiler())
    bench.task.stop()
    bench.switch.is_open = True
    bench.task = again
    again.start()
    bench.connect()
    bench.until_live()
    assert bench.switch.flushed == [1]
    bench.reports.unplug("h1", "tap1")
    bench.reports.plug("h1", "tap9", "p1", 9)
    bench.reports.tell(bench.world, "h1")
    bench.until_live()
    assert bench.switch.flushed == [1, 9]


def test_port_that_gets_its_first_group_comes_to_its_zone_anew(bench: Bench) -> None:
    bench.connect()
    bench.until_live()
    bench.world.put_port(clouds.port("p3", "tagged", groups=("g2",)))
    bench.until_live()
    assert bench.switch.flushed == [1]
    bench.world.put_port(clouds.port("p3", "tagged", groups=("g1", "g2")))
    bench.until_live()
    assert bench.switch.flushed == [1, 63]
    assert bench.switch.flows == wanted(bench.world, "id-h1")


def test_another_rate_is_one_message_for_each_meter_here_or_after_an_absence(bench: Bench) -> None:
    """The port has a limit each way. No flow is sent, and none is touched."""
    bench.connect()
    bench.until_live()
    flows, meters = dict(bench.switch.flows), dict(bench.switch.meters)
    rules = bench.world.cloud.qos_policies["slow"].rules
    bench.world.put_policy(clouds.policy("slow", *(replace(rule, value=rule.value + 1) for rule in rules)))
    bench.until_live()
    assert bench.switch.bundles[1:] == [2]
    assert bench.switch.flows == flows
    assert sum(meters[number] != one for number, one in bench.switch.meters.items()) == 2
    bench.task.detach(bench.switch)
    bench.until(lambda: bench.task.state is State.AWAY)
    bench.world.put_policy(clouds.policy("slow", *rules))
    bench.connect()
    bench.until_live()
    assert bench.switch.bundles[2:] == [2]
    assert (bench.switch.flows, bench.switch.meters) == (flows, meters)
    bench.world.put_policy(clouds.policy("slow"))
    bench.until_live()
    assert set(meters) - set(bench.switch.meters) == {
        meter_id(63, kind) for kind in (MeterKind.TO_BANDWIDTH, MeterKind.FROM_PACKETS)
    }
