# SPDX-License-Identifier: Apache-2.0
"""Addresses that are read off a port's ARP and neighbour discovery, and how many of them are kept."""

from __future__ import annotations

import pytest

from sdnctl.apps.port_security import observed
from sdnctl.sync.observed import AGE_S, MOST, Observed
from tests.apps.packets import NA, NS, advertisement, arp, broadcast4, ll, mac, nd, sixteen, sll, tll, v4, v6


@pytest.mark.parametrize(
    ("frame", "address"),
    (
        (arp(1, v4(1), v4(2)), "10.0.0.1"),
        (arp(1, v4(1), v4(2), op=2), "10.0.0.1"),
        (arp(1, 0, v4(7)), "10.0.0.7"),
        (nd(1, NS, bytes(4) + sixteen(v6(2)) + sll(mac(1)), src=v6(1)), "2001:db8::1"),
        (nd(1, NS, bytes(4) + sixteen(v6(7)), src=0), "2001:db8::7"),
        (advertisement(1, v6(1), tll(mac(1))), "2001:db8::1"),
        (nd(1, NS, bytes(4) + sixteen(v6(2)) + sll(mac(1)), src=ll(1)), None),
        (nd(1, NS, bytes(4) + sixteen(ll(1)), src=0), None),
        (broadcast4(1), None),
        (b"", None),
        (arp(1, v4(1), v4(2))[:30], None),
        (nd(1, NA, bytes(4) + sixteen(v6(1)), src=v6(1))[:60], None),
    ),
    ids=(
        "question",
        "answer",
        "probe",
        "asks",
        "detection",
        "says",
        "link-local",
        "takes it",
        "IP",
        "none",
        "cut",
        "cut6",
    ),
)
def test_what_a_frame_says(frame: bytes, address: str | None) -> None:
    assert observed(frame) == address


def test_the_newest_are_kept_and_no_more() -> None:
    seen = Observed()
    assert seen.of("port", 0.0) == []
    for number in range(MOST + 5):
        seen.note("port", f"10.0.0.{number}", float(number))
        seen.note("port", "10.0.0.0", float(number))
    found = seen.of("port", 20.0)
    assert len(found) == MOST
    assert "10.0.0.0" in found
    assert "10.0.0.1" not in found
    assert seen.of("other", 20.0) == []
    seen.note("port", None, 30.0)
    assert seen.of("port", 20.0) == found


def test_they_age_and_go_with_the_binding() -> None:
    seen = Observed()
    seen.note("port", "10.0.0.1", 0.0)
    seen.note("port", "10.0.0.2", 100.0)
    assert seen.of("port", AGE_S - 1) == ["10.0.0.1", "10.0.0.2"]
    assert seen.of("port", AGE_S + 1) == ["10.0.0.2"]
    seen.forget("port")
    assert seen.of("port", 100.0) == []
