# SPDX-License-Identifier: Apache-2.0
"""Forged frames in words: what anybody sends is described, and nothing anybody sends does harm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdnctl.apps.samples import words
from sdnctl.apps.statistics import SAMPLE_BYTES
from tests.apps.packets import (
    FIRST,
    LATER,
    advertisement,
    arp,
    broadcast4,
    ethernet,
    ipv4,
    ipv6,
    mac,
    rarp,
    router_advertisement,
    snap,
    solicitation,
    tag,
    tll,
    to4,
    to6,
    udp,
    v4,
    v6,
)
from tests.apps.test_attacks import NAMED

ONE, TWO, ALL = "52:54:00:00:00:01", "52:54:00:00:00:02", "ff:ff:ff:ff:ff:ff"
ENDS = f"from {ONE} to {TWO}"

SAID = {
    f"ARP for 10.0.0.9 at {ONE}, asking for 10.0.0.2, from {ONE} to {ALL}": arp(1, v4(9), v4(2)),
    f"ARP for 10.0.0.9 at {TWO} from {ONE} to {ALL}": arp(1, v4(9), v4(9), sha=mac(2)),
    f"RARP for {TWO} from {ONE} to {ALL}": rarp(1, mac(2)),
    f"IPv4 10.0.0.9 to 10.0.0.2 (UDP 4000 to 5000) {ENDS}": to4(1, 2, src=v4(9)),
    f"fragment of IPv4 10.0.0.1 to 255.255.255.255 (UDP 67 to 68) from {ONE} to {ALL}": broadcast4(
        1, payload=udp(67, 68), fragment=FIRST
    ),
    f"fragment of IPv4 10.0.0.1 to 255.255.255.255 (UDP) from {ONE} to {ALL}": broadcast4(1, fragment=LATER),
    f"IPv4 10.0.0.1 to 10.0.0.2 (VRRP) {ENDS}": ethernet(mac(2), mac(1), 0x0800, ipv4(v4(1), v4(2), b"x", 112)),
    f"IPv6 2001:db8::9 to 2001:db8::2 (UDP 4000 to 5000) {ENDS}": to6(1, 2, src=v6(9)),
    f"IPv4 10.0.0.1 to 10.0.0.2 (UDP 4000 to 5000) with VLAN tag 7 {ENDS}": tag(to4(1, 2), 7),
    f"an 802.3 frame {ENDS}": snap(to4(1, 2)),
    f"Ethernet type 0x88cc {ENDS}": ethernet(mac(2), mac(1), 0x88CC, b"x"),
    "a frame of 3 bytes": b"abc",
    f"a frame that is cut off {ENDS}": to4(1, 2)[:20],
}


@pytest.mark.parametrize("text", SAID)
def test_what_is_said(text: str) -> None:
    assert words(SAID[text]) == text


def test_neighbour_discovery() -> None:
    said = words(advertisement(1, v6(9), tll(mac(1))))
    assert said.startswith("a neighbour advertisement for 2001:db8::9 (IPv6 2001:db8::9 to ff02::1)")
    assert words(solicitation(1, v6(9), b"")).startswith("a neighbour solicitation for 2001:db8::9 (IPv6 fe80::")
    assert words(router_advertisement(1)).startswith("a router advertisement (IPv6 fe80::")


@pytest.mark.parametrize("name", NAMED)
def test_every_forged_frame_has_words(name: str) -> None:
    said = words(NAMED[name].forged[:SAMPLE_BYTES])
    assert said
    assert said.isascii()
    assert len(said) <= 240


@given(st.binary(max_size=200) | st.sampled_from(sorted(NAMED)).flatmap(lambda name: mangled(NAMED[name].forged)))
def test_nothing_makes_it_fail(frame: bytes) -> None:
    said = words(frame)
    assert said.isascii()
    assert said.isprintable()
    assert len(said) <= 240


def mangled(frame: bytes) -> st.SearchStrategy[bytes]:
    """The frame cut off somewhere, with one byte changed."""
    return st.tuples(st.integers(0, len(frame)), st.integers(0, len(frame) - 1), st.integers(0, 255)).map(
        lambda how: (frame[: how[1]] + bytes([how[2]]) + frame[how[1] + 1 :])[: how[0]]
    )


def test_extension_headers_without_end() -> None:
    chain = bytes([60, 0, 1, 4, 0, 0, 0, 0]) * 20
    said = words(ethernet(mac(2), mac(1), 0x86DD, ipv6(v6(1), v6(2), 60, chain))[:SAMPLE_BYTES])
    assert said == f"a frame that is cut off {ENDS}"
