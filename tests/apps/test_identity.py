# SPDX-License-Identifier: Apache-2.0
"""Every combination of own, shared and foreign identities in one frame, against a model of who may say what.

Guests 2 and 3 have a MAC each and share a third, each pair of MAC and guest with addresses of its own; guest 1 has one.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from sdnctl.flows.pipeline import Table
from tests.apps.clouds import Guest
from tests.apps.conftest import CLOUD
from tests.apps.lab import Lab
from tests.apps.packets import (
    NA,
    NS,
    RS,
    UDP,
    arp,
    broadcast4,
    ll,
    mac,
    multicast6,
    nd,
    rarp,
    six,
    sixteen,
    sll,
    tll,
    udp,
    v4,
    v6,
)

pytestmark = pytest.mark.switch

GUESTS = {guest.number: guest for guest in CLOUD.guests}
SHARED = 0x83
SECURITY = {Table.PORT_SECURITY, Table.SOURCE_SECURITY, Table.ND_SECURITY}
Frames = Iterator[tuple[bool, bytes]]


def owns(guest: Guest, address: int, version: int, ip: int) -> bool:
    """The guest may use this address with this MAC."""
    return any((one.mac, one.version) == (address, version) and ip & one.mask == one.address for one in guest.sources)


def macs(guest: Guest) -> tuple[int, ...]:
    return mac(guest.number), mac(SHARED), mac(6)


def ipv4s(guest: Guest) -> tuple[int, ...]:
    return v4(guest.number), v4(0x94), v4(0x93), v4(6), 0


def ipv6s(guest: Guest) -> tuple[int, ...]:
    return v6(guest.number), ll(guest.number), v6(0x94), ll(SHARED), v6(0x93), v6(6), ll(6)


def sent_from(address: int, frame: bytes) -> bytes:
    return frame[:6] + six(address) + frame[12:]


def arps(guest: Guest) -> Frames:
    for eth, sha, spa in product(macs(guest), macs(guest), ipv4s(guest)):
        legal = eth in guest.macs and sha == eth and (spa == 0 or owns(guest, eth, 4, spa))
        yield legal, sent_from(eth, arp(guest.number, spa, v4(99), sha=sha))


def rarps(guest: Guest) -> Frames:
    for eth, sha in product(macs(guest), macs(guest)):
        yield eth in guest.macs and sha == eth, sent_from(eth, rarp(guest.number, sha))


def ipv4_packets(guest: Guest) -> Frames:
    for eth, src in product(macs(guest), ipv4s(guest)):
        yield owns(guest, eth, 4, src), sent_from(eth, broadcast4(guest.number, src=src))


def ipv6_packets(guest: Guest) -> Frames:
    for eth, src in product(macs(guest), (*ipv6s(guest), 0)):
        yield owns(guest, eth, 6, src), sent_from(eth, multicast6(guest.number, udp(1, 2), UDP, src=src))


def router_solicitations(guest: Guest) -> Frames:
    for eth, src in product(macs(guest), (*ipv6s(guest), 0)):
        legal = owns(guest, eth, 6, src) or (src == 0 and eth in guest.macs)
        yield legal, sent_from(eth, nd(guest.number, RS, bytes(4), src=src))


def solicitations(guest: Guest) -> Frames:
    """What is asked about matters only to who has no address yet."""
    for eth, src, option in product(macs(guest), ipv6s(guest), (*macs(guest), None)):
        legal = owns(guest, eth, 6, src) and option in (eth, None)
        body = bytes(4) + sixteen(v6(99)) + (b"" if option is None else sll(option))
        yield legal, sent_from(eth, nd(guest.number, NS, body, src=src))


def detections(guest: Guest) -> Frames:
    for eth, target, option in product(macs(guest), ipv6s(guest), (*macs(guest), None)):
        legal = owns(guest, eth, 6, target) and option is None
        body = bytes(4) + sixteen(target) + (b"" if option is None else sll(option))
        yield legal, sent_from(eth, nd(guest.number, NS, body, src=0))


def advertisements(guest: Guest) -> Frames:
    sources = (v6(guest.number), ll(guest.number), v6(0x94), v6(6), 0)
    for eth, src, target, option in product(macs(guest), sources, ipv6s(guest), (*macs(guest), None)):
        legal = owns(guest, eth, 6, src) and owns(guest, eth, 6, target) and option in (eth, None)
        body = bytes(4) + sixteen(target) + (b"" if option is None else tll(option))
        yield legal, sent_from(eth, nd(guest.number, NA, body, src=src))


@pytest.mark.parametrize(
    "kind",
    (arps, rarps, ipv4_packets, ipv6_packets, router_solicitations, solicitations, detections, advertisements),
    ids=lambda kind: kind.__name__,
)
@pytest.mark.parametrize("sender", (1, 2, 3))
def test_only_who_owns_all_of_it_gets_through(lab: Lab, sender: int, kind: object) -> None:
    seen = set()
    for legal, frame in kind(GUESTS[sender]):  # type: ignore[operator]
        fate = lab.trace(sender, frame)
        assert legal == (not SECURITY & {table for table, _ in fate.drops}), fate.text
        assert legal == bool(fate.arrived), fate.text
        seen.add(legal)
    assert seen == {True, False}
