# SPDX-License-Identifier: Apache-2.0
"""What is counted, and its Prometheus text.

One `Metrics`, made by the composition root and handed to whoever counts. Counting is cheap enough for the packet-in
path (well under a microsecond): plain integers in dictionaries, which become Prometheus' objects only when somebody
asks. What can be looked at when somebody asks is not counted at all: `watch` says where to look.

Labels are words of ours (states, kinds, reasons, routes), host names and projects, never ids or paths a client can
choose: otherwise a client could fill the memory.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn, TypeVar

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

_Key = TypeVar("_Key", bound=str | tuple[str, ...])

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

LATENCIES: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LAGS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
STALL_S: Final = 0.02
"""A hub that comes back later than this has stalled."""
PROBE_S: Final = 0.005
"""How long the hub's watcher sleeps; it misses up to that much of a stall."""
STATES: Final = ("AWAY", "READING", "SYNCING", "LIVE")


@dataclass(frozen=True, slots=True)
class HostSample:
    """A host at the moment somebody asks."""

    name: str
    state: str
    flows_desired: int
    flows_installed: int
    applied_revision: int


class Histogram:
    """How many observations were at most so large."""

    __slots__ = ("_bounds", "_counts", "maximum", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0
        self.maximum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value
        if value > self.maximum:  # noqa: PLR1730  (max() costs three times as much)
            self.maximum = value

    @property
    def count(self) -> int:
        return sum(self._counts)

    def buckets(self) -> list[tuple[str, float]]:
        """(upper bound, observations up to it), as Prometheus wants them: each includes the ones before."""
        found: list[tuple[str, float]] = []
        so_far = 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            so_far += count
            found.append((bound, so_far))
        return found


class Metrics:
    """Counts, and answers `GET /metrics`."""

    def __init__(self, version: str = "") -> None:
        self._version = version
        self._hosts: Callable[[], Iterable[HostSample]] = tuple
        self._revision: Callable[[], int] = int
        self._bundles = Histogram(LATENCIES)
        self._flows_put: dict[str, int] = {}
        self._flows_removed: dict[str, int] = {}
        self._refused: dict[str, int] = {}
        self._requests: dict[tuple[str, str], Histogram] = {}
        self._answers: dict[tuple[str, str, str], int] = {}
        self._packet_ins: dict[str, int] = {}
        self._dhcp: dict[str, int] = {}
        self._drops: dict[tuple[str, str], int] = {}
        self._port_drops: dict[tuple[str, str], int] = {}
        self._limit_drops: dict[tuple[str, str, str], tuple[int, int]] = {}
        self._last_drops: dict[str, dict[bytes, int]] = {}
        self._lag = Histogram(LAGS)
        self._stalls = 0
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Counted(self))
        ProcessCollector(registry=self._registry)

    def watch(self, hosts: Callable[[], Iterable[HostSample]], revision: Callable[[], int]) -> None:
        """Where to look at the hosts and the journal's last revision when somebody asks."""
        self._hosts = hosts
        self._revision = revision

    # ---------------------------------------------------------------------------------------------------- counting

    def packet_in(self, kind: str) -> None:
        """A switch punted a packet."""
        self._packet_ins[kind] = self._packet_ins.get(kind, 0) + 1

    def dhcp_answer(self, kind: str) -> None:
        """A DHCP message was answered, or not, in this way: offer, ack, nak, ..."""
        self._dhcp[kind] = self._dhcp.get(kind, 0) + 1

    def bundle_applied(self, host: str, seconds: float, put: int, removed: int) -> None:
        """A switch confirmed a bundle, its barrier included."""
        self._bundles.observe(seconds)
        self._flows_put[host] = self._flows_put.get(host, 0) + put
        self._flows_removed[host] = self._flows_removed.get(host, 0) + removed

    def bundle_refused(self, host: str) -> None:
        """A switch refused a message of ours."""
        self._refused[host] = self._refused.get(host, 0) + 1

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """A REST request was answered. `route` is the path's pattern, not the path."""
        histogram = self._requests.get((method, route))
        if histogram is None:
            histogram = self._requests[method, route] = Histogram(LATENCIES)
        histogram.observe(seconds)
        answer = (method, route, str(status))
        self._answers[answer] = self._answers.get(answer, 0) + 1

    def drops(self, host: str, readings: Iterable[tuple[bytes, str, int]]) -> None:
        """The drop flows of a host as just read: (key of the flow, reason, its packet counter).

        A flow's counter starts again at 0 when the flow is made again, and goes when the flow goes; the sums here only
        grow.
        """
        before = self._last_drops.get(host, {})
        now: dict[bytes, int] = {}
        for key, reason, packets in readings:
            last = before.get(key, 0)
            more = packets - last if packets >= last else packets
            self._drops[host, reason] = self._drops.get((host, reason), 0) + more
            now[key] = packets
        self._last_drops[host] = now

    def port_dropped(self, project: str, reason: str, packets: int) -> None:
        """So many more packets of or for ports of a project were dropped; of project "" if they are no port's."""
        self._port_drops[project, reason] = self._port_drops.get((project, reason), 0) + packets

    def limit_dropped(self, project: str, direction: str, limit: str, packets: int, octets: int) -> None:
        """A limit of a project's port dropped so many more packets, which had so many bytes."""
        key = (project, direction, limit)
        before = self._limit_drops.get(key, (0, 0))
        self._limit_drops[key] = (before[0] + packets, before[1] + octets)

    def forget_host(self, host: str) -> None:
        """The host was removed: no more lines about it."""
        for by_host in (self._flows_put, self._flows_removed, self._refused):
            by_host.pop(host, None)
        self._last_drops.pop(host, None)
        for key in [key for key in self._drops if key[0] == host]:
            del self._drops[key]

    def hub_lag(self, seconds: float) -> None:
        """A task that was due was run so much later."""
        self._lag.observe(seconds)
        if seconds > STALL_S:
            self._stalls += 1

    @property
    def longest_lag_s(self) -> float:
        """The longest the hub was deaf since the start."""
        return self._lag.maximum

    @property
    def stalls(self) -> int:
        """How often the hub was deaf for more than `STALL_S`."""
        return self._stalls

    # ------------------------------------------------------------------------------------------------------ asking

    def text(self, give_way: Callable[[], None] = lambda: None) -> bytes:
        """The body of the answer to `GET /metrics`; its type is `CONTENT_TYPE`.

        `give_way` is called now and then: a thousand hosts are ten thousand lines.
        """
        return generate_latest(_Sliced(self._registry, give_way))

    def collect(self) -> Iterator[Metric]:
        """Everything counted, and what there is to see now."""
        yield InfoMetricFamily("sdnctl_build", "What is running.", {"version": self._version})
        yield from self._collect_hosts()
        yield _histogram("sdnctl_bundle_seconds", "From sending a bundle to its barrier.", (), {(): self._bundles})
        yield _counter("sdnctl_flows_put", "Flows added or changed.", ("host",), self._flows_put)
        yield _counter("sdnctl_flows_removed", "Flows removed.", ("host",), self._flows_removed)
        yield _counter("sdnctl_bundles_refused", "Bundles with a message the switch refused.", ("host",), self._refused)
        yield _histogram(
            "sdnctl_request_seconds", "Time to answer a REST request.", ("method", "route"), self._requests
        )
        yield _counter("sdnctl_requests", "REST requests answered.", ("method", "route", "status"), self._answers)
        yield _counter("sdnctl_packet_ins", "Packets that switches punted.", ("kind",), self._packet_ins)
        yield _counter("sdnctl_dhcp_answers", "DHCP messages, by what was answered.", ("kind",), self._dhcp)
        yield _counter("sdnctl_dropped_packets", "Packets that drop flows caught.", ("host", "reason"), self._drops)
        yield _counter(
            "sdnctl_port_dropped_packets",
            "Of these, packets of or for ports of a project; of none, if they are no port's.",
            ("project", "reason"),
            self._port_drops,
        )
        for at, word in enumerate(("packets", "bytes")):
            yield _counter(
                f"sdnctl_limit_dropped_{word}",
                f"{word.capitalize()} that limits of a project's ports dropped.",
                ("project", "direction", "limit"),
                {key: counts[at] for key, counts in self._limit_drops.items()},
            )
        yield _histogram("sdnctl_hub_lag_seconds", "How late a task was run.", (), {(): self._lag})
        yield GaugeMetricFamily("sdnctl_hub_lag_max_seconds", "The latest one since the start.", self._lag.maximum)
        yield _counter(
            "sdnctl_hub_stalls", f"Tasks run more than {STALL_S * 1000:.0f} ms late.", (), {(): self._stalls}
        )

    def _collect_hosts(self) -> Iterator[Metric]:
        revision = self._revision()
        by_state = dict.fromkeys(STATES, 0)
        desired = GaugeMetricFamily("sdnctl_flows_desired", "Flows a host should have.", labels=("host",))
        installed = GaugeMetricFamily("sdnctl_flows_installed", "Flows a host has confirmed.", labels=("host",))
        lag = GaugeMetricFamily("sdnctl_host_revision_lag", "Revisions a host has yet to confirm.", labels=("host",))
        for host in self._hosts():
            by_state[host.state] = by_state.get(host.state, 0) + 1
            desired.add_metric((host.name,), host.flows_desired)
            installed.add_metric((host.name,), host.flows_installed)
            lag.add_metric((host.name,), max(0, revision - host.applied_revision))
        hosts = GaugeMetricFamily("sdnctl_hosts", "Hosts by state of their connection.", labels=("state",))
        for state, count in by_state.items():
            hosts.add_metric((state,), count)
        yield hosts
        yield desired
        yield installed
        yield lag
        yield GaugeMetricFamily("sdnctl_journal_revision", "The journal's last revision.", revision)


class _Counted(Collector):
    """What a registry asks."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics.collect()


class _Sliced(Collector):
    """A registry that gives way to other tasks between two metrics; each is complete before that."""

    def __init__(self, registry: CollectorRegistry, give_way: Callable[[], None]) -> None:
        self._registry = registry
        self._give_way = give_way

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            yield metric
            self._give_way()


def _counter(name: str, help_text: str, labels: tuple[str, ...], counts: Mapping[_Key, int]) -> Metric:
    family = CounterMetricFamily(name, help_text, labels=labels)
    for key, count in counts.items():
        family.add_metric((key,) if isinstance(key, str) else key, count)
    return family


def _histogram(name: str, help_text: str, labels: tuple[str, ...], histograms: Mapping[_Key, Histogram]) -> Metric:
    family = HistogramMetricFamily(name, help_text, labels=labels)
    for key, histogram in histograms.items():
        family.add_metric((key,) if isinstance(key, str) else key, histogram.buckets(), histogram.total)
    return family


def watch_hub(metrics: Metrics, sleep: Callable[[float], None], monotonic: Callable[[], float]) -> NoReturn:
    """Measure how late the hub is, for ever: `runtime.spawn(watch_hub, metrics, runtime.sleep, runtime.monotonic)`."""
    while True:
        due = monotonic() + PROBE_S
        sleep(PROBE_S)
        metrics.hub_lag(max(0.0, monotonic() - due))
