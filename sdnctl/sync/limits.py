# SPDX-License-Identifier: Apache-2.0
"""What limits of ports dropped: read from the meters of their hosts, and added up by port.

    readings of a meter  --->  LimitBook.take()  --->  what it dropped in addition, for the port that has it

A meter counts from when it was made or last changed. So all that concerns one host goes one after the other: either its
meters are read, or they are being changed. With the change goes a reading of what they had dropped until then
(`changing`), and then they begin anew. Whose a meter is, the host's tables say: what the switch has, not what it should
have.

The host's own meter is left out: what it drops is dropped already, and counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import NamedTuple, Protocol

from sdnctl import runtime
from sdnctl.apps.meters import MeterKind, read_meter_id
from sdnctl.errors import SwitchRefusedError
from sdnctl.flows import wire
from sdnctl.model.port import Port
from sdnctl.sync.host import Connection
from sdnctl.sync.tables import NOTHING, Delta, Tables
from sdnctl.sync.units import Unit, UnitKind


class Dropped(NamedTuple):
    """How much."""

    packets: int = 0
    bytes: int = 0


class LimitBook:
    """Sums by port, over hosts and over meters that begin anew."""

    def __init__(self) -> None:
        self._last: defaultdict[str, dict[int, Dropped]] = defaultdict(dict)
        """host -> meter -> its last reading, if that was not 0."""
        self._sums: defaultdict[str, dict[MeterKind, Dropped]] = defaultdict(dict)

    def take(self, host_id: str, number: int, read: Dropped) -> Dropped:
        """What a reading of a meter adds; all of it if the meter has begun anew since the last one."""
        last = self._last[host_id].pop(number, Dropped())
        if read.packets:
            self._last[host_id][number] = read
        if read.packets < last.packets or read.bytes < last.bytes:
            return read
        return Dropped(read.packets - last.packets, read.bytes - last.bytes)

    def was_nothing(self, host_id: str, number: int) -> bool:
        """Whether a meter had dropped nothing yet when it was last read."""
        return number not in self._last[host_id]

    def begin_anew(self, host_id: str, numbers: Iterable[int]) -> None:
        """These meters have been made, changed or deleted: what they say from now on is new."""
        for number in numbers:
            self._last[host_id].pop(number, None)

    def add(self, port_id: str, kind: MeterKind, more: Dropped) -> None:
        sums = self._sums[port_id]
        before = sums.get(kind, Dropped())
        sums[kind] = Dropped(before.packets + more.packets, before.bytes + more.bytes)

    def of(self, port_id: str) -> list[tuple[MeterKind, Dropped]]:
        return sorted(self._sums.get(port_id, {}).items())

    def forget_port(self, port_id: str) -> None:
        self._sums.pop(port_id, None)

    def forget_host(self, host_id: str) -> None:
        self._last.pop(host_id, None)


class Meters(Protocol):
    """What is counted on the way (`sdnctl.metrics`)."""

    def limit_dropped(self, project: str, direction: str, limit: str, packets: int, octets: int) -> None: ...


class Limits:
    """Reads meters, each host's one reading at a time."""

    def __init__(self, ports: Mapping[str, Port], meters: Meters) -> None:
        self._ports = ports
        self._meters = meters
        self._book = LimitBook()
        self._turns: defaultdict[str, runtime.Semaphore] = defaultdict(runtime.Semaphore)
        """host -> whose turn it is to read its meters, or to change them."""

    def of(self, port_id: str) -> list[tuple[MeterKind, Dropped]]:
        """All that limits of a port dropped, on whatever host."""
        return self._book.of(port_id)

    def read(self, host_id: str, connection: Connection, tables: Tables) -> None:
        """Every port's meters of a host, by one request, if it has any."""
        if tables.has_port_meters:
            with self._turns[host_id]:
                self._take(host_id, connection.ask_meter_stats()(), tables.port_with_meter)

    def read_port(self, host_id: str, connection: Connection, tables: Tables, port_id: str) -> None:
        """The few meters of one port."""
        with self._turns[host_id]:
            for meter in tables.units.get(Unit(UnitKind.PORT, port_id), NOTHING).meters:
                # Whoever takes a meter of ours away takes its flows along, and what it counted.
                with suppress(SwitchRefusedError):
                    self._take(host_id, connection.ask_meter_stats(meter.id)(), tables.port_with_meter)

    @contextmanager
    def changing(self, host_id: str, connection: Connection, tables: Tables, delta: Delta) -> Iterator[None]:
        """Around what brings `delta` to the switch, and into `tables`.

        The question goes out right before the change, and the switch answers one after the other. What a meter that is
        deleted drops until its last flow is gone, a few milliseconds, is not counted.
        """
        changed = [*(meter.id for _, meter in delta.meters_modify), *delta.meters_remove]
        begun = [*changed, *(meter.id for _, meter in delta.meters_add)]
        if not begun:
            yield
            return
        with self._turns[host_id]:
            whose = {number: tables.port_with_meter(number) for number in changed}
            answer = connection.ask_meter_stats() if changed else list
            try:
                yield
            except SwitchRefusedError:
                self._take(host_id, answer(), whose.get)
                raise
            try:
                self._take(host_id, answer(), whose.get)
            finally:
                self._book.begin_anew(host_id, begun)

    def forget_port(self, port_id: str) -> None:
        self._book.forget_port(port_id)

    def forget_host(self, host_id: str) -> None:
        self._book.forget_host(host_id)
        self._turns.pop(host_id, None)

    def _take(self, host_id: str, bodies: Iterable[bytes], whose: Callable[[int], str | None]) -> None:
        for body in bodies:
            for number, packets, octets in runtime.in_slices(wire.parse_meter_stats(body)):
                if not packets and self._book.was_nothing(host_id, number):
                    continue  # as most
                meter, port_id = read_meter_id(number), whose(number)
                if meter is None or port_id is None:
                    continue
                more = self._book.take(host_id, number, Dropped(packets, octets))
                port = self._ports.get(port_id)
                if more.packets and port is not None:
                    self._book.add(port_id, meter.kind, more)
                    kind = meter.kind
                    self._meters.limit_dropped(port.project_id, kind.direction.value, kind.limit, *more)
