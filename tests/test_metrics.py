# SPDX-License-Identifier: Apache-2.0
"""What `/metrics` says, read back with Prometheus' own parser."""

from __future__ import annotations

import timeit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from sdnctl import runtime
from sdnctl.metrics import LAGS, PROBE_S, Histogram, HostSample, Metrics, watch_hub


def samples(metrics: Metrics) -> dict[str, float]:
    """`name{label=value,...}` to value."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        assert family.documentation
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            key = f"{sample.name}{{{labels}}}" if labels else sample.name
            assert key not in found, f"{key} stands twice"
            found[key] = sample.value
    return found


def test_a_fresh_one_can_be_asked() -> None:
    found = samples(Metrics("1.2"))
    assert found["sdnctl_build_info{version=1.2}"] == 1
    assert found["sdnctl_hosts{state=LIVE}"] == 0
    assert found["sdnctl_journal_revision"] == 0
    assert found["process_resident_memory_bytes"] > 2**20


def test_counts() -> None:
    metrics = Metrics()
    metrics.packet_in("dhcp")
    metrics.packet_in("dhcp")
    metrics.dhcp_answer("offer")
    metrics.bundle_applied("h1", 0.003, 10, 2)
    metrics.bundle_refused("h1")
    metrics.request("GET", "/v2.0/ports", 200, 0.02)
    metrics.request("GET", "/v2.0/ports", 404, 0.001)
    found = samples(metrics)
    assert found["sdnctl_packet_ins_total{kind=dhcp}"] == 2
    assert found["sdnctl_dhcp_answers_total{kind=offer}"] == 1
    assert found["sdnctl_flows_put_total{host=h1}"] == 10
    assert found["sdnctl_flows_removed_total{host=h1}"] == 2
    assert found["sdnctl_bundles_refused_total{host=h1}"] == 1
    assert found["sdnctl_bundle_seconds_bucket{le=0.0025}"] == 0
    assert found["sdnctl_bundle_seconds_bucket{le=0.005}"] == 1
    assert found["sdnctl_bundle_seconds_sum"] == pytest.approx(0.003)
    assert found["sdnctl_requests_total{method=GET,route=/v2.0/ports,status=404}"] == 1
    assert found["sdnctl_request_seconds_count{method=GET,route=/v2.0/ports}"] == 2


def test_hosts_are_looked_at_when_somebody_asks() -> None:
    metrics = Metrics()
    hosts = [HostSample("h1", "LIVE", 100, 100, 7), HostSample("h2", "AWAY", 50, 0, 3)]
    metrics.watch(lambda: hosts, lambda: 7)
    found = samples(metrics)
    assert [found[f"sdnctl_hosts{{state={state}}}"] for state in ("LIVE", "AWAY", "SYNCING")] == [1, 1, 0]
    assert found["sdnctl_flows_desired{host=h2}"] == 50
    assert found["sdnctl_flows_installed{host=h1}"] == 100
    assert found["sdnctl_host_revision_lag{host=h1}"] == 0
    assert found["sdnctl_host_revision_lag{host=h2}"] == 4
    assert found["sdnctl_journal_revision"] == 7
    hosts.pop()
    assert "sdnctl_flows_desired{host=h2}" not in samples(metrics)


def test_drops_only_grow() -> None:
    """A drop flow that is made again counts from 0; one that goes takes nothing back."""
    metrics = Metrics()
    key = "sdnctl_dropped_packets_total{host=h1,reason=foreign_mac}"
    for readings, total in (
        ([(b"a", 5), (b"b", 1)], 6),
        ([(b"a", 5), (b"b", 1)], 6),
        ([(b"a", 7), (b"b", 1)], 8),
        ([(b"a", 2)], 10),  # a was made again and dropped two; b is gone
        ([(b"a", 2), (b"b", 3)], 13),  # b is back
        ([], 13),
    ):
        metrics.drops("h1", [(flow, "foreign_mac", packets) for flow, packets in readings])
        assert samples(metrics)[key] == total


def test_what_limits_drop_adds_up_by_project_direction_and_limit() -> None:
    metrics = Metrics()
    for project, direction, packets, octets in (
        ("p", "egress", 2, 120),
        ("p", "egress", 1, 60),
        ("q", "ingress", 5, 7),
    ):
        metrics.limit_dropped(project, direction, "bandwidth", packets, octets)
    found = {key: value for key, value in samples(metrics).items() if "limit_dropped" in key}
    assert found == {
        "sdnctl_limit_dropped_packets_total{direction=egress,limit=bandwidth,project=p}": 3,
        "sdnctl_limit_dropped_bytes_total{direction=egress,limit=bandwidth,project=p}": 180,
        "sdnctl_limit_dropped_packets_total{direction=ingress,limit=bandwidth,project=q}": 5,
        "sdnctl_limit_dropped_bytes_total{direction=ingress,limit=bandwidth,project=q}": 7,
    }


def test_a_removed_host_leaves_no_line() -> None:
    metrics = Metrics()
    metrics.bundle_applied("h1", 0.001, 1, 1)
    metrics.bundle_refused("h1")
    metrics.drops("h1", [(b"a", "miss", 5)])
    metrics.forget_host("h1")
    assert not [key for key in samples(metrics) if "h1" in key]


def test_a_label_cannot_break_the_text() -> None:
    metrics = Metrics()
    metrics.watch(lambda: [HostSample('a"\\b\nsdnctl_hub_stalls_total 99', "LIVE", 1, 1, 1)], lambda: 1)
    assert samples(metrics)["sdnctl_hub_stalls_total"] == 0


@given(st.lists(st.floats(0, 10)))
def test_a_histogram_counts_what_a_sort_would(values: list[float]) -> None:
    histogram = Histogram(LAGS)
    for value in values:
        histogram.observe(value)
    expected = [(str(bound), sum(value <= bound for value in values)) for bound in LAGS]
    assert histogram.buckets() == [*expected, ("+Inf", len(values))]
    assert histogram.maximum == max(values, default=0)
    assert histogram.count == len(values)


class EndError(Exception):
    """Ends the endless loop."""


def test_the_hub_is_watched() -> None:
    """Lateness is what a sleep took longer than asked for."""
    metrics = Metrics()
    wakes = iter([0.0, 0.004, 0.03, 0.0])
    now = 100.0

    def sleep(seconds: float) -> None:
        nonlocal now
        late = next(wakes, None)
        if late is None:
            raise EndError
        now += seconds + late

    with pytest.raises(EndError):
        watch_hub(metrics, sleep, lambda: now)
    found = samples(metrics)
    assert found["sdnctl_hub_lag_seconds_count"] == 4
    assert found["sdnctl_hub_lag_seconds_bucket{le=0.005}"] == 3
    assert found["sdnctl_hub_stalls_total"] == metrics.stalls == 1
    assert found["sdnctl_hub_lag_max_seconds"] == pytest.approx(0.03)


def test_the_real_hub_being_deaf_is_seen() -> None:
    metrics = Metrics()
    # The wait of a latch that nobody wakes is the hub's sleep.
    task = runtime.spawn(watch_hub, metrics, runtime.Latch().wait, runtime.monotonic)
    runtime.give_way()
    until = runtime.monotonic() + 0.06
    while runtime.monotonic() < until:
        pass
    runtime.give_way()
    task.stop()
    assert metrics.longest_lag_s >= 0.06 - PROBE_S - 0.001
    assert metrics.stalls == 1


def test_asking_gives_way() -> None:
    """A thousand hosts are not rendered in one go."""
    metrics = Metrics()
    metrics.watch(lambda: [HostSample(f"h{n}", "LIVE", 1, 1, 1) for n in range(1000)], lambda: 1)
    marks = [runtime.monotonic()]
    metrics.text(lambda: marks.append(runtime.monotonic()))
    assert len(marks) > 10


def test_counting_a_packet_in_is_cheap() -> None:
    """6 000 a second must not be seen in a profile; a generous bound, for a busy machine."""
    metrics = Metrics()
    assert min(timeit.repeat(lambda: metrics.packet_in("dhcp"), number=20_000, repeat=3)) / 20_000 < 2e-6
