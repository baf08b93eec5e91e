# SPDX-License-Identifier: Apache-2.0
"""Who holds an IP group, after what its members announce.

    packet-in --> announced() --> [the last one of each group] --> store.move_holder() --> journal --> World --> hosts

One transaction to a move, whose journal entry tells all controllers. How often a group moves is bounded: after `BURST`
moves in a row it may move once in `REFILL_S`. Until then nobody holds it, so that every member's announcement is seen
and the last one is not lost; questions meanwhile go to the network, where those who have the address answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from netaddr import EUI

from sdnctl import log, runtime
from sdnctl.model.ids import Revision
from sdnctl.model.ip_group import IpGroup

BURST: Final = 8
REFILL_S: Final = 2.0
RETRY_S: Final = 1.0


class Store(Protocol):
    """What is needed of the store."""

    def move_holder(self, group_id: str, port_id: str | None, virtual_mac: EUI | None) -> Revision | None: ...


class Announced(NamedTuple):
    """A member has announced the address."""

    port_id: str
    virtual_mac: EUI | None


@dataclass(slots=True)
class Allowance:
    """How many moves a group may make at once."""

    left: float
    at: float

    def refill(self, now: float) -> None:
        self.left = min(BURST, self.left + (now - self.at) / REFILL_S)
        self.at = now

    @property
    def wait_s(self) -> float:
        """How long until there is a move left."""
        return max(0.0, (1 - self.left) * REFILL_S)


class Holders:
    """See the module's docstring."""

    def __init__(self, store: Store, groups: dict[str, IpGroup]) -> None:
        self._store = store
        self._groups = groups
        self._announced: dict[str, Announced] = {}
        self._allowances: dict[str, Allowance] = {}
        self._latch = runtime.Latch()
        self._task: runtime.Task | None = None

    def start(self) -> None:
        self._task = runtime.spawn(self._run)

    def stop(self) -> None:
        if self._task is not None:
            self._task.stop()

    def announced(self, group_id: str, port_id: str, virtual_mac: EUI | None) -> None:
        """A member announces the address; the last announcement counts."""
        self._announced[group_id] = Announced(port_id, virtual_mac)
        self._latch.wake()

    def _run(self) -> None:
        pause_s: float | None = None
        while True:
            self._latch.wait(pause_s)
            try:
                pause_s = self.work(runtime.monotonic())
            except Exception as error:  # noqa: BLE001  the store is away: what was announced is not forgotten
                log.exception("holder not moved", error=str(error))
                pause_s = RETRY_S

    def work(self, now: float) -> float | None:
        """Carry out what may be carried out; how long until more may be, None when nothing is left."""
        # Who has not moved for so long has all its moves again.
        for group_id in [one for one, known in self._allowances.items() if now - known.at > REFILL_S * BURST]:
            del self._allowances[group_id]
        waits = []
        for group_id, last in tuple(self._announced.items()):
            allowance = self._allowances.setdefault(group_id, Allowance(BURST, now))
            allowance.refill(now)
            if allowance.left >= 1:
                if self._store.move_holder(group_id, last.port_id, last.virtual_mac) is not None:
                    allowance.left -= 1
                if self._announced.get(group_id) is last:
                    del self._announced[group_id]
                continue
            waits.append(allowance.wait_s)
            group = self._groups.get(group_id)
            if group is not None and group.holder is not None:
                self._store.move_holder(group_id, None, None)
        return min(waits, default=None)
