# SPDX-License-Identifier: Apache-2.0
"""Port ranges as masks: exact, and as few as can be."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdnctl.apps.port_ranges import ALL, masked

ports = st.integers(0, ALL)


@given(ports, ports)
def test_covers_exactly_the_range(one: int, other: int) -> None:
    first, last = sorted((one, other))
    covered: list[int] = []
    for value, mask in masked(first, last):
        assert value & ~mask == 0
        covered += range(value, value + (ALL & ~mask) + 1)
    assert covered == list(range(first, last + 1))


@given(ports, ports)
def test_no_two_could_be_one(one: int, other: int) -> None:
    """Neighbours of the same size that begin at a multiple of twice the size would be one."""
    found = list(masked(*sorted((one, other))))
    assert len(found) <= 30
    for (value, mask), (_, next_mask) in itertools.pairwise(found):
        size = (ALL & ~mask) + 1
        assert mask != next_mask or value % (2 * size)


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    (
        (0, ALL, [(0, 0)]),
        (80, 80, [(80, ALL)]),
        (5000, 5003, [(5000, 0xFFFC)]),
        (1024, ALL, [(1024, 0xFC00), (2048, 0xF800), (4096, 0xF000), (8192, 0xE000), (16384, 0xC000), (32768, 0x8000)]),
    ),
)
def test_examples(first: int, last: int, expected: list[tuple[int, int]]) -> None:
    assert list(masked(first, last)) == expected


@pytest.mark.parametrize(("first", "last"), ((5, 4), (-1, 3), (0, ALL + 1)))
def test_no_range(first: int, last: int) -> None:
    with pytest.raises(ValueError, match="range within"):
        list(masked(first, last))
