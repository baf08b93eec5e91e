# SPDX-License-Identifier: Apache-2.0
"""Port ranges as masked matches: a flow can match bits of a port, but not "from 1000 to 2000"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

WIDTH: Final = 16
ALL: Final = (1 << WIDTH) - 1


def masked(first: int, last: int) -> Iterator[tuple[int, int]]:
    """The fewest (value, mask) that together match exactly the ports from `first` to `last`, in ascending order.

    At most 30; all ports are one with mask 0.
    """
    if not 0 <= first <= last <= ALL:
        raise ValueError(f"ports {first} to {last}: a range within 0 to {ALL}")
    while first <= last:
        size = first & -first or 1 << WIDTH
        while first + size - 1 > last:
            size >>= 1
        yield first, ALL & ~(size - 1)
        first += size
