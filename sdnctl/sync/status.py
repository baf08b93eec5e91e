# SPDX-License-Identifier: Apache-2.0
"""Writes what the hosts confirmed into the store: port status and where a port is bound.

One task collects and writes many at once. What it has not written yet is found again after a restart, because it is
derived from the hosts; so a store that is away only delays it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from sdnctl import log, runtime
from sdnctl.model.contents import Source
from sdnctl.model.port import Port, PortStatus

RETRY_S: Final = 1.0


class StatusRecorder:
    """Call `record`; the rest happens by itself."""

    def __init__(self, store: Source) -> None:
        self._store = store
        self._written: dict[str, tuple[PortStatus, str]] = {}
        self._waiting: dict[str, tuple[PortStatus, str]] = {}
        self._is_writing = False
        self.on_written: Callable[[], None] = lambda: None
        """Called when what was waiting is in the store."""
        self._latch = runtime.Latch()
        self._task: runtime.Task | None = None

    def load(self, ports: Iterable[Port]) -> None:
        """What the store has already, so that a restart writes nothing."""
        self._written = {port.id: (port.status, port.bound_host) for port in ports}

    def start(self) -> None:
        self._task = runtime.spawn(self._run)

    def stop(self) -> None:
        """Write what is waiting, and end."""
        if self._task is not None:
            self._task.stop()
        self._write()

    def record(self, port_id: str, status: PortStatus, host: str) -> None:
        """A port's status is now `status`, bound to the host of that name ("" when unbound)."""
        if self._waiting.get(port_id, self._written.get(port_id)) != (status, host):
            self._waiting[port_id] = (status, host)
            self._latch.wake()

    @property
    def is_waiting(self) -> bool:
        """Something was confirmed and is not in the store yet."""
        return bool(self._waiting) or self._is_writing

    def forget(self, port_id: str) -> None:
        """The port was deleted."""
        self._written.pop(port_id, None)
        self._waiting.pop(port_id, None)

    def _run(self) -> None:
        while True:
            self._latch.wait()
            try:
                self._write()
            except Exception as error:  # noqa: BLE001  the store is away: the hosts' tasks must not notice
                log.exception("status not recorded", ports=len(self._waiting), error=str(error))
                runtime.sleep(RETRY_S)
                self._latch.wake()

    def _write(self) -> None:
        if not self._waiting:
            return
        batch, self._waiting = self._waiting, {}
        self._is_writing = True
        try:
            self._store.record_status(batch)
            self._written.update(batch)
        except BaseException:
            self._waiting = {**batch, **self._waiting}
            raise
        finally:
            self._is_writing = False
        self.on_written()
