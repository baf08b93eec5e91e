# SPDX-License-Identifier: Apache-2.0
"""What was dropped of ports, added up over hosts, restarts of ovs-vswitchd, and ofports that change hands.

    readings of the switches' counters  --->  DropBook.take()  --->  what came in addition, port by port

A counter that is smaller than before began anew, and all it says is new. A reading that was asked for earlier than one
that was taken already says nothing any more: two may be under way at once, for one port and for all of a host. That
holds for counters that are gone as well; what else an older reading may know first, the next one says again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sdnctl.apps.statistics import Counted
from sdnctl.flows.pipeline import Reason, Side


class Growth(NamedTuple):
    """What was dropped since the last look."""

    port_id: str | None
    """None: nobody's."""
    side: Side
    reason: Reason
    packets: int


@dataclass(frozen=True, slots=True)
class _Reading:
    order: int
    packets: int


class DropBook:
    """See the module's docstring. `whose` tells whose frames they are; None: nobody's."""

    def __init__(self, whose: Callable[[str, Counted], str | None]) -> None:
        self._whose = whose
        self._last: dict[str, dict[Counted, _Reading]] = {}
        self._gone: dict[str, int] = {}
        """By host, the newest reading that lacked a counter which had been there."""
        self._sums: dict[str, Counter[tuple[Side, Reason]]] = {}
        self._orders = 0

    def begin(self) -> int:
        """A reading is asked for now; `take` wants to know when that was."""
        self._orders += 1
        return self._orders

    def take(
        self, host_id: str, order: int, counters: Mapping[Counted, int], asked: Callable[[Counted], bool]
    ) -> list[Growth]:
        """What the reading adds. Of what was `asked` for, whatever is not in `counters` is no more."""
        last = self._last.setdefault(host_id, {})
        for known in [one for one, reading in last.items() if reading.order < order and asked(one)]:
            if known not in counters:
                del last[known]
                self._gone[host_id] = max(order, self._gone.get(host_id, 0))
        found = []
        for counted, packets in counters.items():
            before = last.get(counted)
            if order < (before.order if before is not None else self._gone.get(host_id, 0)):
                continue
            last[counted] = _Reading(order, packets)
            more = packets - before.packets if before is not None and packets >= before.packets else packets
            port_id = self._whose(host_id, counted)
            if more:
                found.append(Growth(port_id, counted.side, counted.reason, more))
            if more and port_id is not None:
                self._sums.setdefault(port_id, Counter())[counted.side, counted.reason] += more
        return found

    def of(self, port_id: str) -> Iterable[tuple[Side, Reason, int]]:
        """Everything dropped of a port since we first saw it, on whatever host."""
        return ((side, reason, packets) for (side, reason), packets in sorted(self._sums.get(port_id, {}).items()))

    def forget_port(self, port_id: str) -> None:
        self._sums.pop(port_id, None)

    def forget_host(self, host_id: str) -> None:
        self._last.pop(host_id, None)
        self._gone.pop(host_id, None)
