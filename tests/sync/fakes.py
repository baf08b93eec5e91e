# SPDX-License-Identifier: Apache-2.0
"""A switch, a store and an OVSDB session that live in memory and speak the real messages."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

from sdnctl import runtime
from sdnctl.errors import HostGoneError, SwitchRefusedError
from sdnctl.flows.meters import ALL_METERS, MeterSpec
from sdnctl.flows.wireflow import ALL_TABLES, EVERY_FLOW, FlowFilter, WireFlow
from sdnctl.model.ids import Revision
from sdnctl.model.port import PortStatus
from sdnctl.model.statistics import PortCounters
from sdnctl.sync.host import Connection
from sdnctl.sync.limits import Limits
from sdnctl.sync.tables import Delta, Tables

EXPERIMENTER, FLOW_MOD, METER_MOD = 4, 14, 29
ADD, MODIFY, METER_DELETE, DELETE, DELETE_STRICT = 0, 1, 2, 3, 4


class FakeSwitch:
    """Keeps flows and meters as the messages say. It is itself the connection to it."""

    def __init__(self, dpid: int = 1, serial: str = "serial1") -> None:
        self.dpid, self.serial, self.peer = dpid, serial, "fake"
        self.software = "3.1.0"
        self.ports: dict[str, int] = {}
        self.flows: dict[bytes, WireFlow] = {}
        self.meters: dict[int, MeterSpec] = {}
        self.dropped: dict[int, tuple[int, int]] = {}
        """Packets and bytes that meters dropped, by number."""
        self.asked_meters: list[int] = []
        """Whose drops were asked for, in order."""
        self.counters: dict[int, PortCounters] = {}
        self.packets: dict[bytes, int] = {}
        """Counters of flows, by key."""
        self.asked: list[FlowFilter] = []
        """What was read, in order."""
        self.is_open = True
        self.bundles: list[int] = []
        """How many messages each apply brought."""
        self.sent: list[bytes] = []
        self.flushed: list[int] = []
        """Zones of the connection tracker, in order."""
        self.refuse: set[int] = set()
        """Cookies of flows that are refused."""
        self.break_after: int | None = None
        """The connection ends when that many more applies have come."""
        self.reasons: list[str] = []

    # --- sdnctl.sync.host.Connection ------------------------------------------------------------------------

    def on_packet_in(self, callback: object) -> None: ...
    def on_closed(self, callback: object) -> None: ...
    def on_ports_changed(self, callback: object) -> None: ...

    def read_flows(self, which: FlowFilter = EVERY_FLOW) -> Iterable[bytes]:
        self._raise_if_gone()
        self.asked.append(which)
        found = (flow for flow in self.flows.values() if which.includes(flow))
        return [b"".join(_stat(flow, self.packets.get(flow.key, 0)) for flow in found)]

    def read_port(self, ofport: int) -> PortCounters:
        self._raise_if_gone()
        return self.counters.get(ofport, PortCounters())

    def read_meters(self) -> Iterable[bytes]:
        self._raise_if_gone()
        return [
            struct.pack("!HHIHHII4x", 24, 5 if one.burst else 1, one.id, 1, 16, one.kbps, one.burst)
            if one.kbps
            else struct.pack("!HHIHHII4x", 24, 6 if one.burst else 2, one.id, 1, 16, one.pktps, one.burst)
            for one in self.meters.values()
        ]

    def ask_meter_stats(self, number: int = ALL_METERS) -> Callable[[], list[bytes]]:
        self._raise_if_gone()
        self.asked_meters.append(number)
        if number not in (ALL_METERS, *self.meters):
            return self._refuse
        found = [one for one in sorted(self.meters) if number in (ALL_METERS, one)]
        body = b"".join(struct.pack("!IH34xQQ", one, 56, *self.dropped.get(one, (0, 0))) for one in found)
        return lambda: self._answer(body)

    def _answer(self, body: bytes) -> list[bytes]:
        runtime.give_way()
        self._raise_if_gone()
        return [body]

    def _refuse(self) -> list[bytes]:
        raise SwitchRefusedError("no such meter", ())

    def apply(self, before: Sequence[bytes], bundle: Sequence[bytes], after: Sequence[bytes]) -> None:
        runtime.give_way()
        self._raise_if_gone()
        if self.break_after is not None:
            self.break_after -= 1
            if self.break_after < 0:
                self.close("the fake was told to break")
                self._raise_if_gone()
        self.bundles.append(len(before) + len(bundle) + len(after))
        for message in before:
            if message[1] == EXPERIMENTER:
                self.flushed.append(struct.unpack_from("!H", message, 22)[0])
            else:
                self._meter(message)
        flows = dict(self.flows)
        refusals = []
        for index, message in enumerate(bundle, len(before)):
            assert message[1] == FLOW_MOD
            cookie = struct.unpack_from("!Q", message, 8)[0]
            if message[25] == ADD and cookie in self.refuse:
                refusals.append((index, 5, 1))
            self._flow(flows, message)
        if refusals:
            raise SwitchRefusedError("refused", tuple(refusals))
        self.flows = flows
        for message in after:
            self._meter(message)

    def send(self, message: bytes) -> bool:
        self.sent.append(message)
        return self.is_open

    def close(self, reason: str) -> None:
        self.is_open = False
        self.reasons.append(reason)

    # ---------------------------------------------------------------------------------------------------------

    def _raise_if_gone(self) -> None:
        if not self.is_open:
            raise HostGoneError(f"connection closed: {self.reasons[0]}")

    def _flow(self, flows: dict[bytes, WireFlow], message: bytes) -> None:
        cookie, mask, table, command, priority = struct.unpack_from("!QQBB4xH", message, 8)
        (length,) = struct.unpack_from("!H", message, 50)
        key = bytes([table]) + struct.pack("!H", priority) + message[52 : 48 + length]
        if command == ADD:
            flows[key] = WireFlow(key, cookie, message[48 + (length + 7 & -8) :])
        elif command == DELETE:
            assert table == ALL_TABLES
            fields = message[52 : 48 + length]
            for other in [one for one in flows.values() if one.cookie & mask == cookie & mask]:
                if fields in other.key[3:]:
                    del flows[other.key]
        else:
            assert command == DELETE_STRICT
            if key in flows and flows[key].cookie & mask == cookie & mask:
                del flows[key]

    def _meter(self, message: bytes) -> None:
        assert message[1] == METER_MOD
        command, flags, number = struct.unpack_from("!HHI", message, 8)
        self.dropped.pop(number, None)
        if command == METER_DELETE:
            self.meters.pop(number, None)
            return
        assert (number in self.meters) == (command == MODIFY), f"meter {number}"
        rate, burst = struct.unpack_from("!II", message, 20)
        self.meters[number] = MeterSpec(number, **{"kbps" if flags & 1 else "pktps": rate}, burst=burst)


def _stat(flow: WireFlow, packets: int) -> bytes:
    match_length = len(flow.key) - 3 + 4
    padded = flow.key[3:] + bytes(-match_length % 8)
    body = struct.pack("!HH", 1, match_length) + padded + flow.instructions
    head = struct.pack(
        "!HBxIIHHHHH2xQQQ", 48 + len(body), flow.key[0], 0, 0, flow.priority, 0, 0, 0, 0, flow.cookie, packets, 0
    )
    return head + body


class Observed:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.ports: dict[str, tuple[PortStatus, str]] = {}
        self.applies = 0
        self.limits: Limits | None = None
        self._signals: list[runtime.Signal] = []

    def port_confirmed(
        self, port_id: str, status: PortStatus, host: str, interface: str, revision: Revision, *, is_new: bool
    ) -> None:
        del interface, revision, is_new
        self.ports[port_id] = (status, host)

    def changing_meters(
        self, host_id: str, connection: Connection, tables: Tables, delta: Delta
    ) -> AbstractContextManager[None]:
        return self.limits.changing(host_id, connection, tables, delta) if self.limits else nullcontext()

    def bundle_applied(self, host: str, seconds: float, put: int, removed: int) -> None: ...

    def bundle_refused(self, host: str) -> None: ...

    def applied(self) -> None:
        self.applies += 1


def flows_of(tables: Iterable[Mapping[bytes, WireFlow]]) -> dict[bytes, WireFlow]:
    return {key: flow for table in tables for key, flow in table.items()}
