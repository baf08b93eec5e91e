# SPDX-License-Identifier: Apache-2.0
"""What is asked of switches, when, and what is answered about a port."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sdnctl import runtime
from sdnctl.apps import statistics as app
from sdnctl.apps.meters import MeterKind, meter_id
from sdnctl.errors import UnavailableError
from sdnctl.flows.match import Match
from sdnctl.flows.pipeline import App, Kind, Owner, Reason, Side, Table
from sdnctl.flows.registers import DROP_REASON, DROP_SIDE
from sdnctl.flows.wire import ALL_METERS, FlowFilter, WireFlow
from sdnctl.metrics import Metrics
from sdnctl.model.statistics import PortCounters
from sdnctl.sync.drops import Growth
from sdnctl.sync.statistics import Statistics, is_activity
from tests.apps.packets import arp, v4
from tests.sync.test_events import Store
from tests.sync.test_host import Bench

ARP = Reason.FOREIGN_ARP


class Watch:
    """The busy cloud's h1, live, and what is counted there."""

    def __init__(self) -> None:
        self.bench, self.store, self.metrics = Bench(), Store(), Metrics()
        self.switch = self.bench.switch
        self.statistics = Statistics(self.bench.world, {"id-h1": self.bench.task}, self.store, self.metrics)
        self.bench.task.start()
        self.bench.connect()
        self.bench.until_live()
        self.switch.asked.clear()

    @property
    def ofport(self) -> int:
        binding = self.bench.world.bindings["p1"]
        assert binding.ofport is not None
        return binding.ofport

    def learned(self, first: bytes, reason: Reason, side: Side, packets: int) -> None:
        """Open vSwitch has made a counting flow, and counts."""
        match = Match().slot(DROP_REASON, reason).slot(DROP_SIDE, side)
        key = bytes([Table.DROPPED]) + app.LEARNED.to_bytes(2, "big") + first + match.oxm
        flow = WireFlow(key, Owner(App.STATISTICS, Kind.HOST, 1).cookie(reason), b"")
        self.switch.flows[key] = flow
        self.switch.packets[key] = packets

    def until(self, condition: object) -> None:
        self.bench.until(condition)


@pytest.fixture
def watch() -> Iterator[Watch]:
    one = Watch()
    yield one
    one.statistics.stop()
    one.bench.task.stop()


def test_a_port_is_read_by_its_own_flows_and_its_interface(watch: Watch) -> None:
    """Two requests that name it, whatever else the host has; the frame that made a flow is counted."""
    key = watch.bench.world.ports["p1"].key
    watch.learned(app.sent_by(watch.ofport), ARP, Side.FROM, 6)
    watch.learned(app.meant_for(key), Reason.NOT_ALLOWED_TO, Side.TO, 0)
    watch.learned(app.sent_by(watch.ofport + 50), ARP, Side.FROM, 100)
    watch.switch.counters[watch.ofport] = PortCounters(1, 2, 3, 4)
    told = watch.statistics.port("p1")
    assert told == {
        "port_id": "p1",
        "host": "h1",
        "sent_packets": 1,
        "sent_bytes": 2,
        "received_packets": 3,
        "received_bytes": 4,
        "drops": [
            {"direction": "egress", "reason": "foreign_arp", "text": ARP.text, "packets": 7},
            {
                "direction": "ingress",
                "reason": "not_allowed_to",
                "text": Reason.NOT_ALLOWED_TO.text,
                "packets": 1,
            },
        ],
        "limit_drops": [],
    }
    assert [one.match for one in watch.switch.asked] == [app.sent_by(watch.ofport), app.meant_for(key)]
    assert {one.table for one in watch.switch.asked} == {Table.DROPPED}
    assert b'sdnctl_port_dropped_packets_total{project="project",reason="foreign_arp"} 7.0' in watch.metrics.text()


def test_what_limits_dropped_stands_beside_what_was_dropped_for_a_reason(watch: Watch) -> None:
    """By the port's own meters; and it is no security event."""
    port = watch.bench.world.ports["p3"]
    watch.switch.dropped = {
        meter_id(63, MeterKind.TO_BANDWIDTH): (5, 700),
        meter_id(63, MeterKind.FROM_PACKETS): (2, 60),
    }
    told = watch.statistics.port(port.id)
    assert told["drops"] == []
    assert told["limit_drops"] == [
        {
            "direction": "egress",
            "limit": "packet_rate",
            "text": "more packets than its QoS policy lets it send",
            "packets": 2,
            "bytes": 60,
        },
        {
            "direction": "ingress",
            "limit": "bandwidth",
            "text": "more bits than its QoS policy lets it receive",
            "packets": 5,
            "bytes": 700,
        },
    ]
    watch.statistics.forget_port(port.id)
    assert watch.statistics.port(port.id)["limit_drops"] == []
    assert not watch.store.events


def test_what_is_nobodys_and_what_limits_drop_is_read_with_the_host(watch: Watch) -> None:
    nobody = watch.ofport + 50
    watch.learned(app.sent_by(nobody), Reason.SNAP, Side.FROM, 3)
    watch.switch.dropped = {meter_id(63, MeterKind.TO_BANDWIDTH): (5, 700)}
    watch.statistics.start()
    watch.until(lambda: b"sdnctl_limit_dropped_packets_total{" in watch.metrics.text())
    text = watch.metrics.text()
    assert b'sdnctl_port_dropped_packets_total{project="",reason="snap"} 4.0' in text
    assert b'sdnctl_limit_dropped_bytes_total{direction="ingress",limit="bandwidth",project="project"} 700.0' in text
    assert watch.switch.asked_meters == [ALL_METERS]


def test_what_is_nobodys_is_no_reason_to_read_again_soon() -> None:
    nobodys = Growth(None, Side.FROM, Reason.SNAP, 5)
    assert not is_activity([])
    assert not is_activity([nobodys])
    assert is_activity([nobodys, Growth("p1", Side.FROM, ARP, 1)])


def test_an_unbound_port_shows_what_was(watch: Watch) -> None:
    watch.learned(app.sent_by(watch.ofport), ARP, Side.FROM, 6)
    drops = watch.statistics.port("p1")["drops"]
    watch.bench.reports.unplug("h1", watch.bench.world.bindings["p1"].interface)
    watch.bench.reports.tell(watch.bench.world, "h1")
    told = watch.statistics.port("p1")
    assert (told["host"], told["sent_packets"], told["drops"]) == (None, 0, drops)
    assert watch.statistics.port("no-such-port")["drops"] == []


def test_a_host_that_is_away_is_no_zero(watch: Watch) -> None:
    watch.switch.close("gone")
    watch.bench.task.detach(watch.switch)
    with pytest.raises(UnavailableError, match="Host h1, where port p1 is bound, is away"):
        watch.statistics.port("p1")


def test_a_quiet_host_is_read_once_and_a_sample_has_it_read_again(watch: Watch) -> None:
    """By one request for all that counts; the event has the sample's words and the counter's number."""
    watch.statistics.start()
    watch.until(lambda: len(watch.switch.asked) == 1)
    [asked] = watch.switch.asked
    assert asked == FlowFilter(app.COOKIE, app.COOKIE_MASK, Table.DROPPED)
    watch.learned(app.sent_by(watch.ofport), ARP, Side.FROM, 4)
    port = watch.bench.world.ports["p1"]
    watch.statistics.sampled("id-h1", port, ARP, arp(1, v4(12), v4(12)))
    watch.until(lambda: bool(watch.store.events))
    assert watch.store.told == [("foreign_arp", 5, True)]
    assert watch.store.events.popitem()[1].text.startswith("ARP for 10.0.0.12 at ")
    assert len(watch.switch.asked) == 2


def test_samples_without_end_do_not_make_it_read_without_end(watch: Watch) -> None:
    watch.statistics.start()
    watch.until(lambda: len(watch.switch.asked) == 1)
    port, until = watch.bench.world.ports["p1"], runtime.monotonic() + 2.5
    while runtime.monotonic() < until:
        watch.statistics.sampled("id-h1", port, ARP, b"x")
        runtime.give_way()
    assert len(watch.switch.asked) <= 1 + 5
