# SPDX-License-Identifier: Apache-2.0
"""Where OpenFlow connections wait until a host knows them, and who is turned away.

A connection is a host's when it has the datapath id that the host's OVSDB names *and* repeats the serial number that
sdnctl keeps there. Anybody who can reach the listener can claim a datapath id; only the real bridge knows the serial.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from sdnctl import log, runtime
from sdnctl.model.host import HostFacts
from sdnctl.sync.host import Connection, HostTask

REJECTED_S: Final = 15.0
"""How long a host's status tells of a bridge that was turned away; Open vSwitch tries again every 8 s at the latest."""
UNKNOWN_CONNECTIONS: Final = 64
"""Connections kept waiting for a host that knows them; the oldest is closed for a further one."""


class SwitchConnection(Connection, Protocol):
    """What the fabric needs of an OpenFlow session, beyond what the host's task does."""

    dpid: int
    serial: str

    @property
    def ports(self) -> Mapping[str, int]: ...

    def on_packet_in(self, callback: Callable[[int, int, bytes], None]) -> None: ...
    def on_closed(self, callback: Callable[[str], None]) -> None: ...
    def on_ports_changed(self, callback: Callable[[], None]) -> None: ...


class Door:
    """`give(host_id, task, connection)` is called for each connection that proves to be a host's."""

    def __init__(
        self,
        tasks: Mapping[str, HostTask],
        facts: Mapping[str, HostFacts],
        give: Callable[[str, HostTask, SwitchConnection], None],
    ) -> None:
        self._tasks = tasks
        self._facts = facts
        self._give = give
        self._waiting: list[SwitchConnection] = []
        self._rejected: dict[str, tuple[str, float]] = {}
        """host -> who was turned away at its door, and when last."""

    def enter(self, connection: SwitchConnection) -> None:
        """A bridge has connected and introduced itself."""
        if len(self._waiting) >= UNKNOWN_CONNECTIONS:
            self._waiting.pop(0).close("no host has this datapath id, and others are waiting")
        self._waiting.append(connection)
        connection.on_closed(lambda _reason: self._forget(connection))
        self._match(connection)

    def facts_changed(self) -> None:
        """Whoever waits may be known now."""
        for connection in tuple(self._waiting):
            self._match(connection)

    def forget_host(self, host_id: str) -> None:
        self._rejected.pop(host_id, None)

    def intrusion(self, host_id: str) -> str:
        """Who tries to be the host's bridge and is not; empty when nobody has lately."""
        reason, at = self._rejected.get(host_id, ("", 0.0))
        return reason if runtime.monotonic() - at < REJECTED_S else ""

    def _forget(self, connection: SwitchConnection) -> None:
        if connection in self._waiting:
            self._waiting.remove(connection)

    def _match(self, connection: SwitchConnection) -> None:
        """Give a connection to the host it is proven to belong to.

        A host can give its bridge the datapath id of another one's. That must not keep the other from being served, so
        the id finds those who may be meant, and the serial number decides.
        """
        meant = [
            (host_id, task, facts)
            for host_id, task in self._tasks.items()
            if (facts := self._facts.get(host_id)) is not None and facts.datapath_id == connection.dpid
        ]
        for host_id, task, facts in meant:
            if belongs(connection, facts):
                self._waiting.remove(connection)
                self._rejected.pop(host_id, None)
                self._give(host_id, task, connection)
                return
        if not meant:
            return
        reason = f"{connection.peer} claims datapath id {connection.dpid:016x} without the bridge's serial number"
        for host_id, task, _ in meant:
            self._rejected[host_id] = reason, runtime.monotonic()
            log.error("connection rejected", host=task.host.name, reason=reason)
        self._waiting.remove(connection)
        connection.close("the serial number (other_config:dp-sn) is not the one of this host's bridge")


def belongs(connection: SwitchConnection, facts: HostFacts) -> bool:
    """Whether the connection is that bridge's."""
    return connection.dpid == facts.datapath_id and connection.serial == facts.serial
