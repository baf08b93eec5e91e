# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of addresses and ranges, and the draw of free numbers out of them. No database here.

Addresses are integers, ranges are (first, last) pairs with both ends included. `Free` is how every number that the
store chooses by itself is chosen: addresses, VLAN ids, VNIs. Choosing at random keeps two controllers apart, and
keeps a number that was just given back out of use for a while.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import accumulate
from random import Random
from typing import Final

from netaddr import AddrFormatError, IPAddress, IPNetwork

from sdnctl.errors import InvalidError

Range = tuple[int, int]

WINDOW: Final = 4096
"""So many numbers are looked at together when guessing finds nothing."""
GUESSES: Final = 8
"""So many numbers are guessed for one that is wanted."""
MOST_GUESSES: Final = 256

_IPV4_BITS: Final = 32
_HALF: Final = 1 << 63
_LOW: Final = (1 << 64) - 1


def parse_address(text: object, where: str) -> IPAddress:
    """The address that `text` is; InvalidError naming the attribute `where`."""
    try:
        return IPAddress(text if isinstance(text, str) else repr(text))
    except (AddrFormatError, ValueError):
        raise InvalidError(f"{where}: {text!r} is not an IP address; write it like 10.0.0.5 or fd00::5.") from None


def parse_network(text: object, where: str) -> IPNetwork:
    """The network that `text` is, without host bits; InvalidError naming the attribute `where`."""
    try:
        return IPNetwork(text if isinstance(text, str) else repr(text)).cidr
    except (AddrFormatError, ValueError):
        raise InvalidError(f"{where}: {text!r} is not a CIDR; write it like 10.0.0.0/24 or fd00::/64.") from None


def address_text(value: int, version: int) -> str:
    return str(IPAddress(value, 4 if version == 4 else 6))


def is_point_to_point(network: IPNetwork) -> bool:
    """Every address of it can be a station's: there is no network and no broadcast address (RFC 3021, RFC 6164)."""
    bits = _IPV4_BITS if network.version == 4 else 128
    return bool(network.prefixlen >= bits - 1)


def usable(network: IPNetwork) -> Range:
    """The addresses that a port may have."""
    if is_point_to_point(network):
        return network.first, network.last
    if network.version == 4:
        return network.first + 1, network.last - 1
    return network.first + 1, network.last


def default_gateway(network: IPNetwork) -> IPAddress | None:
    """IPv4: the first address after the network's; IPv6: the network's own; none for a single address."""
    if network.size == 1:
        return None
    return IPAddress(network.first + (1 if network.version == 4 else 0), network.version)


def default_pools(network: IPNetwork, gateway: IPAddress | None) -> tuple[Range, ...]:
    """All usable addresses but the gateway's."""
    first, last = usable(network)
    if gateway is None or gateway.version != network.version or not first <= int(gateway) <= last:
        return ((first, last),)
    below, above = (first, int(gateway) - 1), (int(gateway) + 1, last)
    return tuple(pool for pool in (below, above) if pool[0] <= pool[1])


def eui64(network: IPNetwork, mac: int) -> int:
    """The address that a station with this MAC gives itself in a /64 (RFC 4291, appendix A)."""
    identifier = (mac >> 24) << 40 | 0xFFFE << 24 | mac & 0xFFFFFF
    return int(network.first) | identifier ^ 1 << 57


def position(value: int, version: int) -> int:
    """A signed 64-bit number that grows with the address inside any IPv4 subnet and any IPv6 /64."""
    return value if version == 4 else (value & _LOW) - _HALF


def contains(ranges: Iterable[Range], value: int) -> bool:
    return any(first <= value <= last for first, last in ranges)


class Free:
    """Draws free numbers out of `ranges`, for the time of one transaction.

    Guesses first: a query of a few numbers, whatever the size of the range. When all guesses are taken, the ranges are
    nearly full, and windows of them are read whole, from a random one on, so that the last free number is found too.
    """

    def __init__(
        self,
        ranges: Collection[Range],
        random: Random,
        taken_among: Callable[[Collection[int]], Collection[int]],
        taken_between: Callable[[int, int], Collection[int]],
    ) -> None:
        """`taken_among(numbers)` are those of them in use, `taken_between(first, last)` all in use there."""
        self._ranges = tuple(merged(ranges))
        self._ends = list(accumulate(last - first + 1 for first, last in self._ranges))
        self._random = random
        self._taken_among = taken_among
        self._taken_between = taken_between
        self._reserved: set[int] = set()
        self._found: list[int] = []

    @property
    def size(self) -> int:
        """How many numbers there are, free or not."""
        return self._ends[-1] if self._ends else 0

    def reserve(self, number: int) -> None:
        """Never draw `number`: this transaction uses it."""
        self._reserved.add(number)

    def is_reserved(self, number: int) -> bool:
        return number in self._reserved

    def take(self, wanted: int = 1) -> int | None:
        """A free number at random, reserved now; None when there is none. `wanted` more may be asked for."""
        if not self.size:
            return None
        number = self._pop()
        if number is None:
            self._guess(min(MOST_GUESSES, max(GUESSES, 2 * wanted)))
            number = self._pop()
        if number is None:
            start = self._random.randrange(self._windows())
            self._search(range(start, start + self._windows()))
            number = self._pop()
        return number

    def lowest(self) -> int | None:
        """The lowest free number, reserved now; None when there is none."""
        for window in range(self._windows()):
            free = self._free_in(*self._window(window))
            if free:
                self.reserve(free[0])
                return free[0]
        return None

    def _pop(self) -> int | None:
        while self._found:
            number = self._found.pop()
            if number not in self._reserved:
                self._reserved.add(number)
                return number
        return None

    def _guess(self, count: int) -> None:
        guesses = {self._at(self._random.randrange(self.size)) for _ in range(count)} - self._reserved
        if guesses:
            self._found = sorted(guesses.difference(self._taken_among(guesses)))
            self._random.shuffle(self._found)

    def _search(self, windows: Iterable[int]) -> None:
        for window in windows:
            self._found = self._free_in(*self._window(window % self._windows()))
            if self._found:
                self._random.shuffle(self._found)
                return

    def _free_in(self, first: int, last: int) -> list[int]:
        taken = set(self._taken_between(first, last)) | self._reserved
        return [number for number in range(first, last + 1) if number not in taken]

    def _at(self, index: int) -> int:
        """The number at `index`, all ranges laid end to end."""
        place = bisect.bisect_right(self._ends, index)
        _, last = self._ranges[place]
        return last - (self._ends[place] - 1 - index)

    def _windows(self) -> int:
        return sum(_windows_of(pool) for pool in self._ranges)

    def _window(self, number: int) -> Range:
        skipped = 0
        for pool in self._ranges:
            windows = _windows_of(pool)
            if number < skipped + windows:
                first = pool[0] + (number - skipped) * WINDOW
                return first, min(first + WINDOW - 1, pool[1])
            skipped += windows
        raise IndexError(number)


def _windows_of(pool: Range) -> int:
    return -(-(pool[1] - pool[0] + 1) // WINDOW)


def merged(ranges: Iterable[Range]) -> Iterator[Range]:
    """The same numbers, in disjoint ranges, sorted."""
    held: Range | None = None
    for first, last in sorted(ranges):
        if held is not None and first <= held[1] + 1:
            held = held[0], max(held[1], last)
        else:
            if held is not None:
                yield held
            held = first, last
    if held is not None:
        yield held
