# SPDX-License-Identifier: Apache-2.0
"""The addresses that ports were seen to use where nobody gave them any.

Kept in memory: the switches show them again within a minute of use. A port has at most `MOST`, the newest.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

MOST: Final = 16
AGE_S: Final = 3600.0
"""An address that was not seen for so long is shown no more."""


class Observed:
    """See the module's docstring."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, float]] = defaultdict(dict)
        """port -> address -> when it was seen last, oldest first."""

    def note(self, port_id: str, address: str | None, now: float) -> None:
        """A port was seen to use an address."""
        if address is None:
            return
        mine = self._seen[port_id]
        mine.pop(address, None)
        mine[address] = now
        if len(mine) > MOST:
            del mine[next(iter(mine))]

    def forget(self, port_id: str) -> None:
        """Another workload may be behind the port from now on."""
        self._seen.pop(port_id, None)

    def of(self, port_id: str, now: float) -> list[str]:
        """The addresses of a port, sorted."""
        return sorted(address for address, seen in self._seen.get(port_id, {}).items() if now - seen < AGE_S)
