# SPDX-License-Identifier: Apache-2.0
"""Reads from the switches what is dropped of ports, and gives it to metrics, to security events and to who asks.

A host is read rarely (`RARELY_S`) while nothing happens, by one request for the flows that count for ports and one for
their meters; often (`OFTEN_S`) for a while after something did. What tells that something happens is a sample, or that
a port's flow counted; what limits drop is everyday and no attack. Whoever asks for one port gets its own counters, read
for that: two requests that name the port, and one for each of its meters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol
from uuid import uuid4

from sdnctl import log, runtime
from sdnctl.apps import statistics
from sdnctl.apps.statistics import COOKIE, COOKIE_MASK, Counted
from sdnctl.errors import HostGoneError, UnavailableError
from sdnctl.flows import wire
from sdnctl.flows.pipeline import Count, Reason, Side, Table
from sdnctl.model.port import Port
from sdnctl.model.statistics import PortCounters
from sdnctl.sync import limits
from sdnctl.sync.drops import DropBook, Growth
from sdnctl.sync.events import QUIET_S, EventStore, SecurityEvents
from sdnctl.sync.host import Connection, HostTask, State
from sdnctl.sync.limits import Limits
from sdnctl.sync.world import World

RARELY_S: Final = 30.0
OFTEN_S: Final = 3.0
SOON_S: Final = 1.0
"""After a sample: Open vSwitch needs half a second until its counters are up to date."""
RETRY_S: Final = 5.0

_ALL: Final = wire.FlowFilter(COOKIE, COOKIE_MASK, Table.DROPPED)
NOBODY: Final = ""
"""The project of frames that are no port's."""
DIRECTIONS: Final = {Side.FROM: "egress", Side.TO: "ingress"}
"""The API's words for it."""


class Meters(limits.Meters, Protocol):
    """What is counted on the way (`sdnctl.metrics`)."""

    def port_dropped(self, project: str, reason: str, packets: int) -> None: ...


def is_activity(grown: Iterable[Growth]) -> bool:
    """Whether something happens that is to be followed closely: to a port, for the underlay may send for ever."""
    return any(one.port_id is not None for one in grown)


class Statistics:
    """Call `start`; the fabric tells `sampled` and who is gone."""

    def __init__(self, world: World, tasks: Mapping[str, HostTask], store: EventStore, meters: Meters) -> None:
        self.events = SecurityEvents(store, lambda: str(uuid4()))
        self.limits = Limits(world.ports, meters)
        self._world = world
        self._tasks = tasks
        self._meters = meters
        self._book = DropBook(world.whose)
        self._due: dict[str, float] = {}
        self._busy_until: dict[str, float] = {}
        self._latch = runtime.Latch()
        self._task: runtime.Task | None = None

    def start(self) -> None:
        self.events.load(runtime.monotonic())
        self._task = runtime.spawn(self._run)

    def stop(self) -> None:
        """Write what is not written yet, and end."""
        if self._task is not None:
            self._task.stop()
        self.events.write()

    # --- what happens -------------------------------------------------------------------------------------------

    def sampled(self, host_id: str, port: Port, reason: Reason, frame: bytes) -> None:
        """A switch showed a forged frame."""
        self.events.sampled(port, reason, frame)
        now = runtime.monotonic()
        self._busy_until[host_id] = now + QUIET_S
        self._due[host_id] = min(self._due.get(host_id, now + RARELY_S), now + SOON_S)
        self._latch.wake()

    def forget_port(self, port_id: str) -> None:
        self._book.forget_port(port_id)
        self.limits.forget_port(port_id)
        self.events.forget_port(port_id)

    def forget_host(self, host_id: str) -> None:
        self._book.forget_host(host_id)
        self.limits.forget_host(host_id)
        self._due.pop(host_id, None)
        self._busy_until.pop(host_id, None)

    def _run(self) -> None:
        while True:
            try:
                self._look()
                self.events.tick(runtime.monotonic())
            except Exception as error:  # noqa: BLE001  the store is away: what is counted goes on being counted
                log.exception("statistics not kept", error=str(error))
                runtime.sleep(RETRY_S)
            self._latch.wait(self._pause())
            # However many samples come meanwhile.
            runtime.sleep(SOON_S / 2)

    def _pause(self) -> float:
        now = runtime.monotonic()
        due = min((self._due[host_id] for host_id in self._tasks if host_id in self._due), default=now + OFTEN_S)
        return max(0.0, min(due - now, OFTEN_S))

    def _look(self) -> None:
        """Read the hosts whose turn it is."""
        for host_id, task in tuple(self._tasks.items()):
            now = runtime.monotonic()
            if task.state is not State.LIVE or now < self._due.get(host_id, 0.0):
                continue
            try:
                grown = self._read(host_id, task)
            except HostGoneError:
                grown = []
            now = runtime.monotonic()
            if is_activity(grown):
                self._busy_until[host_id] = now + QUIET_S
            is_busy = now < self._busy_until.get(host_id, 0.0)
            self._due[host_id] = now + (OFTEN_S if is_busy else RARELY_S)

    # --- reading ------------------------------------------------------------------------------------------------

    def _read(self, host_id: str, task: HostTask) -> list[Growth]:
        """Every counter of a host."""
        connection = task.connection
        if connection is None:
            raise HostGoneError(f"host {task.host.name} is away")
        grown = self._take(host_id, task.host.name, connection, (_ALL,), lambda _counted: True)
        self.limits.read(host_id, connection, task.tables)
        return grown

    def _take(
        self,
        host_id: str,
        host: str,
        connection: Connection,
        filters: Iterable[wire.FlowFilter],
        asked: Callable[[Counted], bool],
    ) -> list[Growth]:
        order = self._book.begin()
        counters: dict[Counted, int] = {}
        for which in filters:
            for body in connection.read_flows(which):
                for flow, packets, _ in runtime.in_slices(wire.parse_flow_counters(body)):
                    counted = statistics.counted(flow)
                    if counted is not None:
                        # The frame that made the flow is not in its own counter.
                        counters[counted] = packets + 1
        grown = self._book.take(host_id, order, counters, asked)
        for one in grown:
            port = self._world.ports.get(one.port_id) if one.port_id is not None else None
            project = port.project_id if port is not None else NOBODY
            self._meters.port_dropped(project, one.reason.name.lower(), one.packets)
        now, moment = runtime.monotonic(), time.time()
        for counted, packets in counters.items():
            if counted.side is Side.FROM and Count.REPORT in counted.reason.count:
                port = self._world.port_at(host_id, counted.number)
                if port is not None:
                    self.events.counted(port, host, counted.reason, packets, now, moment)
        return grown

    # --- who asks -----------------------------------------------------------------------------------------------

    def port(self, port_id: str) -> dict[str, object]:
        """What passed a port's interface and what was dropped of it, JSON-ready; UnavailableError if its host is away.

        An unbound port has no interface: what was dropped of it before is still told.
        """
        port, binding = self._world.ports.get(port_id), self._world.bindings.get(port_id)
        counters, host = PortCounters(), None
        if port is not None and binding is not None:
            task = self._tasks.get(binding.host_id)
            host = task.host.name if task is not None else None
            try:
                counters = self._port_counters(port, binding.host_id, task, binding.ofport)
            except HostGoneError as error:
                raise UnavailableError(
                    f"Host {host or binding.host_id}, where port {port_id} is bound, is away, and its counters"
                    " with it; ask again when `sdnctl host list` shows it LIVE."
                ) from error
        drops = [
            {"direction": DIRECTIONS[side], "reason": reason.name.lower(), "text": reason.text, "packets": packets}
            for side, reason, packets in self._book.of(port_id)
        ]
        limited = [
            {"direction": kind.direction.value, "limit": kind.limit, "text": kind.text, **dropped._asdict()}
            for kind, dropped in self.limits.of(port_id)
        ]
        return {"port_id": port_id, "host": host, **counters._asdict(), "drops": drops, "limit_drops": limited}

    def _port_counters(self, port: Port, host_id: str, task: HostTask | None, ofport: int | None) -> PortCounters:
        if task is None or task.connection is None or task.state is not State.LIVE or ofport is None:
            raise HostGoneError("the host is away")
        filters = (
            _ALL._replace(match=statistics.sent_by(ofport)),
            _ALL._replace(match=statistics.meant_for(port.key)),
        )
        mine = {(Side.FROM, ofport), (Side.TO, port.key)}
        connection = task.connection
        self._take(
            host_id,
            task.host.name,
            connection,
            filters,
            lambda counted: (counted.side, int(counted.number)) in mine,
        )
        self.limits.read_port(host_id, connection, task.tables, port.id)
        return connection.read_port(ofport)
