# SPDX-License-Identifier: Apache-2.0
"""One host: a task that keeps its switch equal to what the world says, as a state machine.

    AWAY      no OpenFlow connection that is proven to be this host's, or its OVSDB was never read
    READING   flows and meters are being read back; what is wanted is being computed
    SYNCING   the difference is on its way, as one bundle
    LIVE      the switch has confirmed everything; changes follow, a bundle at a time

The rules. Nothing is written before everything was read and computed, so a restart of ours changes nothing on a switch
that is right. Whatever goes wrong on the way ends in AWAY or READING with the reason in the status, and is tried again
with back-off; it never ends the task. A message that the switch refuses costs only its own unit: the rest is sent
without it, and it is tried again later. The state of the old connection is never trusted on a new one.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final, Protocol

from sdnctl import log, runtime
from sdnctl.apps import statistics
from sdnctl.errors import HostGoneError, SwitchRefusedError
from sdnctl.flows import action, wire
from sdnctl.flows.decode import wire_text
from sdnctl.flows.fields import Field
from sdnctl.model.host import Host
from sdnctl.model.ids import Revision
from sdnctl.model.port import PortStatus
from sdnctl.model.statistics import PortCounters
from sdnctl.model.views import NetworkView
from sdnctl.sync.compile import Compiler
from sdnctl.sync.tables import EXACT, Compiled, Delta, Tables
from sdnctl.sync.units import Unit, UnitKind
from sdnctl.sync.world import World


class Connection(Protocol):
    """What `sdnctl.openflow` gives: one bridge's OpenFlow session."""

    software: str
    """The switch's version, as it says."""

    @property
    def peer(self) -> str: ...
    @property
    def is_open(self) -> bool: ...
    def read_flows(self, which: wire.FlowFilter = wire.EVERY_FLOW) -> Iterable[bytes]: ...
    def read_port(self, ofport: int) -> PortCounters: ...
    def read_meters(self) -> Iterable[bytes]: ...
    def ask_meter_stats(self, number: int = wire.ALL_METERS) -> Callable[[], list[bytes]]: ...
    def apply(self, before: Sequence[bytes], bundle: Sequence[bytes], after: Sequence[bytes]) -> None: ...
    def send(self, message: bytes) -> bool: ...
    def close(self, reason: str) -> None: ...


class Observer(Protocol):
    """Who wants to know what was confirmed; given by the composition root."""

    def port_confirmed(
        self, port_id: str, status: PortStatus, host: str, interface: str, revision: Revision, *, is_new: bool
    ) -> None:
        """`is_new` is false if the switch was right already when it was read back."""

    def changing_meters(
        self, host_id: str, connection: Connection, tables: Tables, delta: Delta
    ) -> AbstractContextManager[None]:
        """Around sending `delta` and taking it into `tables`: a meter that is changed forgets what it counted."""

    def bundle_applied(self, host: str, seconds: float, put: int, removed: int) -> None: ...
    def bundle_refused(self, host: str) -> None: ...
    def applied(self) -> None: ...


class State(enum.StrEnum):
    """How far a host is; see the module's docstring."""

    AWAY = "AWAY"
    READING = "READING"
    SYNCING = "SYNCING"
    LIVE = "LIVE"


class Event(enum.Enum):
    """What takes a host from one state to another."""

    CONNECTED = enum.auto()
    READ = enum.auto()
    CONFIRMED = enum.auto()
    LOST = enum.auto()


TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = {
    (State.AWAY, Event.CONNECTED): State.READING,
    (State.AWAY, Event.LOST): State.AWAY,
    (State.READING, Event.READ): State.SYNCING,
    (State.READING, Event.LOST): State.AWAY,
    (State.SYNCING, Event.CONFIRMED): State.LIVE,
    (State.SYNCING, Event.LOST): State.AWAY,
    (State.LIVE, Event.CONFIRMED): State.LIVE,
    (State.LIVE, Event.LOST): State.AWAY,
}

FIRST_RETRY_S: Final = 0.5
LAST_RETRY_S: Final = 30.0
GREET_S: Final = 300.0
"""How often a tunnel peer is greeted; Open vSwitch forgets its MAC address after 900 s of silence."""
GREETING: Final = bytes.fromhex("ffffffffffff 020000000000 88b5") + bytes(46)
"""Nobody's frame, with an ethertype for experiments (IEEE 802, local)."""
BATCH: Final = 2000
"""Units to a bundle at most, so that the first of many ports need not wait for the last."""


@dataclass(slots=True)
class Failure:
    """A unit the switch refused."""

    error: str
    attempts: int
    retry_at: float
    since: Revision


@dataclass(slots=True)
class _InFlight:
    since: Revision | None = None
    units: dict[Unit, Revision] = field(default_factory=dict)


class HostTask:
    """The task of one host; `sdnctl.sync.fabric` feeds it."""

    def __init__(self, host: Host, world: World, observer: Observer, compiler: Compiler) -> None:
        self.host = host
        self.state = State.AWAY
        self.error = ""
        self.connection: Connection | None = None
        self.applied_revision = Revision(0)
        self.tables = Tables()
        self.failures: dict[Unit, Failure] = {}
        self.live_since: float | None = None
        self.wanted = 0
        """Flows the switch should have, as far as they were computed."""
        self._world = world
        self._observer = observer
        self._compiler = compiler
        self._latch = runtime.Latch()
        self._in_flight = _InFlight()
        self._retry_s = FIRST_RETRY_S
        self._greeted: dict[int, float] = {}
        self._task: runtime.Task | None = None

    # --- what others call -----------------------------------------------------------------------------------

    def start(self) -> None:
        self._task = runtime.spawn(self._run)

    def stop(self) -> None:
        """End the task. The switch keeps what it has."""
        if self._task is not None:
            self._task.stop()
        if self.connection is not None:
            self.connection.close("the controller stops serving this host")

    def attach(self, connection: Connection) -> None:
        """A connection proven to be this host's. The newest one counts."""
        old, self.connection = self.connection, connection
        if old is not None and old is not connection:
            old.close("replaced by a newer connection of the same bridge")
        self._latch.wake()

    def detach(self, connection: Connection) -> None:
        """A connection has ended."""
        if self.connection is connection:
            self.connection = None
            self._latch.wake()

    def wake(self) -> None:
        """Something changed in the world."""
        self._latch.wake()

    def pending_since(self) -> Revision | None:
        """The oldest revision that this host has not confirmed; None when it has confirmed all."""
        marks = [self._world.dirty_since(self.host.id), self._in_flight.since]
        marks += [failure.since for failure in self.failures.values()]
        return min((mark for mark in marks if mark is not None), default=None)

    # --- the task -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            try:
                self._serve()
            except HostGoneError as error:
                self._lost(str(error))
            except Exception as error:  # noqa: BLE001  one host's fault must not be another's
                log.exception("host failed", host=self.host.name, error=str(error))
                self._lost(f"{type(error).__name__}: {error}")
                if self.connection is not None:
                    self.connection.close("our own failure, reading back again")
                    self.connection = None
                self._latch.wait(self._retry_s)
                self._retry_s = min(self._retry_s * 2, LAST_RETRY_S)

    def _serve(self) -> None:
        """Serve one connection until it ends."""
        connection = self.connection
        if connection is None or not connection.is_open or not self._world.is_read(self.host.id):
            self._latch.wait(None)
            return
        self._enter(Event.CONNECTED)
        self._catch_up(connection)
        while self.connection is connection:
            self._follow(connection)
            self._greet(connection, self._world.networks_on(self.host.id))
            self._latch.wait(self._next_retry())
        raise HostGoneError("OpenFlow connection ended")

    def _enter(self, event: Event) -> None:
        state = TRANSITIONS[self.state, event]
        if state is not self.state:
            log.info("host state", host=self.host.name, was=self.state.value, now=state.value, error=self.error)
        self.state = state
        if state is State.LIVE:
            self.error = ""
            self._retry_s = FIRST_RETRY_S
            if self.live_since is None:
                self.live_since = runtime.monotonic()
        else:
            self.live_since = None

    def _lost(self, error: str) -> None:
        self.error = error
        self._world.put_back(self.host.id, self._in_flight.units)
        self._in_flight = _InFlight()
        self._enter(Event.LOST)

    def _catch_up(self, connection: Connection) -> None:
        """Read back, compute everything, send the difference."""
        self._take()
        self.failures.clear()
        self._greeted.clear()
        self.tables = Tables()
        have: dict[bytes, wire.WireFlow] = {}
        for body in connection.read_flows():
            for flow in runtime.in_slices(wire.parse_flow_stats(body)):
                have[flow.key] = flow
        meters = {meter.id: meter for body in connection.read_meters() for meter in wire.parse_meter_config(body)}
        want = self._compile(list(self._world.units(self.host.id)))
        self._enter(Event.READ)
        self.wanted = sum(len(one.flows) for one in want.values())
        log.info("read back", host=self.host.name, flows=len(have), wanted=self.wanted)
        self._send(connection, want, lambda wanted: self.tables.catch_up(wanted, have, meters))

    def _follow(self, connection: Connection) -> None:
        """Send what became dirty, until nothing is."""
        while True:
            self._take()
            now = runtime.monotonic()
            for unit in [unit for unit, failure in self.failures.items() if failure.retry_at <= now]:
                self._in_flight.units.setdefault(unit, self._world.revision)
            if not self._in_flight.units:
                self._in_flight = _InFlight()
                return
            changes = self._compile(self._in_flight.units)
            self._send(connection, changes, self.tables.update)

    def _take(self) -> None:
        dirty = self._world.take_dirty(self.host.id)
        if self.state is State.LIVE and len(dirty) > BATCH:
            rest = dict(list(dirty.items())[BATCH:])
            self._world.put_back(self.host.id, rest)
            dirty = {unit: revision for unit, revision in dirty.items() if unit not in rest}
        self._in_flight.units.update(dirty)
        revisions = self._in_flight.units.values()
        self._in_flight.since = min(revisions) if revisions else None

    def _compile(self, units: Iterable[Unit]) -> dict[Unit, Compiled]:
        world, host_id, compiler = self._world, self.host.id, self._compiler
        return {unit: compiler.compile(world.view(host_id, unit)) for unit in runtime.in_slices(list(units))}

    def _send(
        self,
        connection: Connection,
        changes: dict[Unit, Compiled],
        difference: Callable[[Mapping[Unit, Compiled]], Delta],
    ) -> None:
        """Bring `changes` to the switch; units that it refuses are left out and remembered as failures."""
        revision, was_live = self._world.revision, self.state is State.LIVE
        while True:
            delta = difference(changes)
            started = runtime.monotonic()
            try:
                with self._observer.changing_meters(self.host.id, connection, self.tables, delta):
                    if delta:
                        self._apply(connection, delta)
                    seconds = runtime.monotonic() - started
                    self.tables.confirmed(changes, delta.meters_remove)
                break
            except SwitchRefusedError as error:
                self._observer.bundle_refused(self.host.name)
                refused = self._blame(delta, error)
                messages = {index for index, _, _ in error.refusals}
                self.tables.meters_sent(made for index, made in enumerate(delta.meters_add) if index not in messages)
                for unit in refused:
                    del changes[unit]
        self.wanted = len(self.tables)
        for unit in changes:
            self.failures.pop(unit, None)
        self._in_flight = _InFlight()
        if not self.failures:
            self.applied_revision = revision
        self._enter(Event.CONFIRMED)
        if delta:
            log.info(
                "bundle applied",
                host=self.host.name,
                put=len(delta.put),
                removed=len(delta.remove),
                ms=round(seconds * 1000, 1),
                revision=revision,
            )
            self._observer.bundle_applied(self.host.name, seconds, len(delta.put), len(delta.remove))
        self._greet(connection, {unit.id for unit in changes if unit.kind is UnitKind.NETWORK})
        self._report_ports(changes, revision, changes.keys() if was_live else {unit for unit, _ in delta.put})
        self._observer.applied()

    def _apply(self, connection: Connection, delta: Delta) -> None:
        before = [wire.meter_add(meter) for _, meter in delta.meters_add]
        before += [wire.meter_modify(meter) for _, meter in delta.meters_modify]
        before += [wire.flush_zone(zone) for _, zone in delta.flush]
        bundle = [wire.forget_message(field, statistics.COOKIE, statistics.COOKIE_MASK) for _, field in delta.forget]
        for _, flow in runtime.in_slices(delta.remove):
            bundle.append(wire.delete_message(flow.key, flow.cookie, EXACT))
        for _, flow in runtime.in_slices(delta.put):
            bundle.append(wire.add_message(flow))
        after = [wire.meter_delete(number) for number in delta.meters_remove]
        connection.apply(before, bundle, after)

    def _blame(self, delta: Delta, error: SwitchRefusedError) -> set[Unit]:
        """The units whose messages were refused. Raises `error` again when it is nobody's: that is a bug of ours."""
        sources: list[tuple[Unit | None, str]] = [
            (unit, f"meter {meter.id}") for unit, meter in (*delta.meters_add, *delta.meters_modify)
        ]
        sources += [(unit, f"flushing zone {zone}") for unit, zone in delta.flush]
        sources += [(unit, f"forgetting what was learned about 0x{field.hex()}") for unit, field in delta.forget]
        flows = (*delta.remove, *delta.put)
        now = runtime.monotonic()
        refused: set[Unit] = set()
        for index, kind, code in error.refusals:
            if index < len(sources):
                unit, what = sources[index]
            elif index < len(sources) + len(flows):
                unit, flow = flows[index - len(sources)]
                what = wire_text(flow)
            else:
                continue
            if unit is None:
                continue
            attempts = self.failures[unit].attempts + 1 if unit in self.failures else 1
            delay = min(FIRST_RETRY_S * 2**attempts, LAST_RETRY_S)
            message = f"the switch refused (type {kind}, code {code}) {what}"
            since = self.failures[unit].since if unit in self.failures else self._world.revision
            self.failures[unit] = Failure(message, attempts, now + delay, since)
            refused.add(unit)
            log.error("flow refused", host=self.host.name, unit=unit.kind.name.lower(), object=unit.id, error=message)
            if unit.kind is UnitKind.PORT:
                self._report(unit.id, PortStatus.ERROR, Revision(0), is_new=False)
        if not refused:
            raise error
        return refused

    def _next_retry(self) -> float:
        retries = (failure.retry_at for failure in self.failures.values())
        return max(0.05, min(retries, default=runtime.monotonic() + GREET_S) - runtime.monotonic())

    def _greet(self, connection: Connection, network_ids: Iterable[str]) -> None:
        """Make the switch resolve the tunnel peers of these networks before a guest needs them.

        The userspace datapath drops what is sent to a peer whose MAC address it does not know yet.
        """
        now = runtime.monotonic()
        for network_id in network_ids:
            view = self._world.view(self.host.id, Unit(UnitKind.NETWORK, network_id))
            if not isinstance(view, NetworkView) or view.underlay_ofport is None:
                continue
            for peer in view.peers:
                if now - self._greeted.get(peer, -GREET_S) >= GREET_S:
                    self._greeted[peer] = now
                    send_greeting(connection, view.underlay_ofport, peer)

    # --- ports ----------------------------------------------------------------------------------------------

    def _report_ports(self, changes: Mapping[Unit, Compiled], revision: Revision, new: Container[Unit]) -> None:
        for unit, compiled in changes.items():
            if unit.kind is UnitKind.PORT:
                status = PortStatus.ACTIVE if compiled.flows else PortStatus.DOWN
                self._report(unit.id, status, revision, is_new=unit in new)

    def _report(self, port_id: str, status: PortStatus, revision: Revision, *, is_new: bool) -> None:
        binding = self._world.bindings.get(port_id)
        if binding is not None and binding.host_id == self.host.id:
            self._observer.port_confirmed(port_id, status, self.host.name, binding.interface, revision, is_new=is_new)


def send_greeting(connection: Connection, tunnel_ofport: int, peer: int) -> None:
    """Have the switch send an empty frame of no network to the tunnel address `peer`."""
    through = (action.SetField(Field.TUN_ID, 0), action.SetField(Field.TUN_DST, peer), action.Output(tunnel_ofport))
    connection.send(wire.packet_out(wire.CONTROLLER_PORT, through, GREETING))
