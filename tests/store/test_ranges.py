# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of addresses, and the draw of free numbers."""

from __future__ import annotations

import itertools
from ipaddress import IPv6Address
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netaddr import EUI, IPAddress, IPNetwork

from sdnctl.errors import InvalidError
from sdnctl.store import ranges
from sdnctl.store.ranges import WINDOW, Free, Range

numbers = st.integers(min_value=0, max_value=60)
pools = st.lists(st.tuples(numbers, numbers).map(lambda pair: (min(pair), max(pair))), max_size=4)


def members(some: list[Range]) -> set[int]:
    return {number for first, last in some for number in range(first, last + 1)}


def free(some: list[Range], taken: set[int], seed: int = 0) -> Free:
    return Free(
        some,
        Random(seed),
        taken.intersection,
        lambda first, last: [number for number in taken if first <= number <= last],
    )


@given(pools, st.sets(numbers), st.integers())
def test_draws_every_free_number_once_and_no_other(some: list[Range], taken: set[int], seed: int) -> None:
    source = free(some, taken, seed)
    drawn = []
    while (number := source.take()) is not None:
        drawn.append(number)
    assert len(set(drawn)) == len(drawn)
    assert set(drawn) == members(some) - taken


@given(pools, st.sets(numbers), st.sets(numbers))
def test_lowest_and_reserved(some: list[Range], taken: set[int], reserved: set[int]) -> None:
    source = free(some, taken)
    for number in reserved:
        source.reserve(number)
    left = members(some) - taken - reserved
    drawn = []
    while (number := source.lowest()) is not None:
        drawn.append(number)
    assert drawn == sorted(left)


@given(pools)
def test_merged_has_the_same_numbers(some: list[Range]) -> None:
    result = list(ranges.merged(some))
    assert members(result) == members(some)
    assert all(later[0] > earlier[1] + 1 for earlier, later in itertools.pairwise(result))


def test_last_of_many_windows() -> None:
    """Guessing would find it after a hundred thousand queries; looking needs as many as there are windows."""
    last = 25 * WINDOW
    queries = []

    def between(first: int, end: int) -> set[int]:
        queries.append(first)
        return set(range(first, end + 1)) - {WINDOW * 13 + 7}

    source = Free([(0, last)], Random(1), set, between)
    assert source.take() == WINDOW * 13 + 7
    assert source.take() is None
    assert len(queries) <= 2 * 26


def test_huge_range_is_not_looked_through() -> None:
    source = Free([(0, 2**127)], Random(1), lambda _: (), lambda first, last: pytest.fail(f"{first}-{last}"))
    assert len({source.take() for _ in range(100)}) == 100


def test_wanted_more_are_found_with_few_queries() -> None:
    queries = []

    def among(wanted: object) -> set[int]:
        queries.append(wanted)
        return set()

    source = Free([(0, 2**24)], Random(1), among, lambda first, last: pytest.fail(f"{first}-{last}"))
    assert len({source.take(1000 - index) for index in range(1000)}) == 1000
    assert len(queries) < 10


@given(st.integers(min_value=0, max_value=2**48 - 1))
def test_eui64_is_netaddrs(mac: int) -> None:
    network = IPNetwork("2001:db8:1:2::/64")
    expected = EUI(mac, 48).ipv6(network.first)
    assert ranges.eui64(network, mac) == int(expected)


@given(st.integers(min_value=0, max_value=2**64 - 1), st.integers(min_value=0, max_value=2**64 - 1))
def test_position_grows_with_the_address_and_fits_the_column(first: int, second: int) -> None:
    base = int(IPv6Address("2001:db8:1:2::"))
    low, high = sorted((ranges.position(base | first, 6), ranges.position(base | second, 6)))
    assert -(2**63) <= low <= high < 2**63
    assert (low, high) == tuple(ranges.position(base | number, 6) for number in sorted((first, second)))
    assert ranges.position(first & 0xFFFFFFFF, 4) == first & 0xFFFFFFFF


@pytest.mark.parametrize(
    "cidr", ("10.0.0.0/8", "10.0.0.0/30", "10.0.0.0/31", "10.0.0.1/32", "fd00::/64", "fd00::/127", "fd00::1/128")
)
def test_default_pools_are_all_but_the_gateway(cidr: str) -> None:
    network = IPNetwork(cidr)
    first, last = ranges.usable(network)
    gateway = ranges.default_gateway(network)
    sizes = sum(end - start + 1 for start, end in ranges.default_pools(network, gateway))
    outside = gateway is None or not first <= int(gateway) <= last
    assert sizes == last - first + 1 - (0 if outside else 1)
    assert ranges.default_pools(network, IPAddress("192.0.2.1")) == ((first, last),)


@pytest.mark.parametrize("text", ("", "x", "10.0.0.256", "10.0.0", 7, None, ["10.0.0.1"]))
def test_no_address(text: object) -> None:
    with pytest.raises(InvalidError, match=r"gateway_ip: .* is not an IP address"):
        ranges.parse_address(text, "gateway_ip")
    with pytest.raises(InvalidError, match=r"cidr: .* is not a CIDR"):
        ranges.parse_network(text if text != "10.0.0" else "10.0.0/33", "cidr")
