# SPDX-License-Identifier: Apache-2.0
"""Security events: who forges, what, how often. One for each port and reason while it goes on, whatever its rate.

    a sample (rare, behind a meter)  --->  sampled()    what it looks like
    a counter, read every few seconds --->  counted()   how often
                                            tick()      quiet for a while: it has ended

What changed is written in one go every few seconds (`WRITE_S`), so an attack of any size costs one small transaction in
that time, and two lines of log: as it begins and as it ends. After a restart of ours an event that was going on goes
on, for its last reading of the counter is written with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from sdnctl import log
from sdnctl.apps import samples
from sdnctl.flows.pipeline import Reason
from sdnctl.model.port import Port
from sdnctl.model.statistics import SecurityEvent

QUIET_S: Final = 60.0
WRITE_S: Final = 5.0

_Key = tuple[str, str]
"""Port and the reason's name."""


class EventStore(Protocol):
    """Where events are kept."""

    def load_events(self) -> Sequence[SecurityEvent]:
        """The last one of each port and reason, oldest first."""

    def record_events(self, events: Sequence[SecurityEvent]) -> None:
        """Write events, new and known ones; the oldest of too many go."""


class SecurityEvents:
    """See the module's docstring.

    Times are arguments. `now` is seconds of a clock that nobody sets, by which everything is measured here; `moment` is
    seconds since 1970, which are only shown.
    """

    def __init__(self, store: EventStore, new_id: Callable[[], str]) -> None:
        self._store = store
        self._new_id = new_id
        self._last: dict[_Key, SecurityEvent] = {}
        """Going on, or the last one that did."""
        self._active: dict[_Key, float] = {}
        """When it was last heard of."""
        self._words: dict[_Key, str] = {}
        self._changed: dict[str, SecurityEvent] = {}
        self._written_at = -math.inf

    def load(self, now: float) -> None:
        """Go on where the last controller ended; what was going on has the usual time to show that it still is."""
        for event in self._store.load_events():
            key = event.port_id, event.reason
            self._last[key] = event
            if event.active:
                self._active[key] = now

    @property
    def is_busy(self) -> bool:
        """Something is going on, or waits to be written."""
        return bool(self._active or self._changed)

    def sampled(self, port: Port, reason: Reason, frame: bytes) -> None:
        """A forged frame of a port, as far as it was shown."""
        self._words[port.id, reason.name.lower()] = samples.words(frame)

    def counted(self, port: Port, host: str, reason: Reason, reading: int, now: float, moment: float) -> None:
        """The switch's counter says so much."""
        key = port.id, reason.name.lower()
        last = self._last.get(key)
        is_same = last is not None and last.host == host and last.reading <= reading
        more = reading - last.reading if last is not None and is_same else reading
        if not more:
            return
        if last is None or key not in self._active:
            text = self._words.get(key) or (last.text if last else reason.text)
            last = SecurityEvent(
                id=self._new_id(),
                port_id=port.id,
                project_id=port.project_id,
                network_id=port.network_id,
                host=host,
                reason=key[1],
                text=text,
                packets=0,
                first_seen=moment,
                last_seen=moment,
                active=True,
                reading=0,
            )
            log.warning(
                "security event begins", port=port.id, project=port.project_id, host=host, reason=key[1], what=text
            )
        event = replace(last, host=host, packets=last.packets + more, last_seen=moment, reading=reading)
        self._active[key] = now
        self._last[key] = self._changed[event.id] = event

    def tick(self, now: float) -> None:
        """End what has been quiet, and write what changed if it is time."""
        for key in [one for one, heard in self._active.items() if now - heard >= QUIET_S]:
            del self._active[key]
            # What it looked like is asked anew when it begins anew.
            self._words.pop(key, None)
            event = self._last[key] = replace(self._last[key], active=False)
            self._changed[event.id] = event
            log.info(
                "security event ends", port=event.port_id, host=event.host, reason=event.reason, packets=event.packets
            )
        if self._changed and now - self._written_at >= WRITE_S:
            self._written_at = now
            self.write()

    def write(self) -> None:
        """Write what changed."""
        batch, self._changed = self._changed, {}
        try:
            self._store.record_events(list(batch.values()))
        except BaseException:
            self._changed = {**batch, **self._changed}
            raise

    def forget_port(self, port_id: str) -> None:
        """The port is deleted: its events have ended."""
        for key in [one for one in self._words if one[0] == port_id]:
            del self._words[key]
        for key in [one for one in self._last if one[0] == port_id]:
            event = self._last.pop(key)
            if self._active.pop(key, None) is not None:
                self._changed[event.id] = replace(event, active=False)

    def active(self) -> Iterable[SecurityEvent]:
        return (self._last[key] for key in self._active)
