# SPDX-License-Identifier: Apache-2.0
"""Hostile guests: every forged frame of the corpus, on every kind of network, same host and across, counted everywhere.

Each is followed by its legal twin, which has to arrive.
"""

from __future__ import annotations

import pytest

from tests.net.support import Ears
from topologies import Guest, frames
from topologies.forgeries import FORGERIES, NOBODY, Forgery
from topologies.tenants import Tenants

pytestmark = pytest.mark.net

COPIES = 3
CORPUS = list(FORGERIES.values())
CLAIMS = (
    *("arp-sender-is-receiver", "arp-gratuitous-answer", "arp-sender-ip", "arp-gratuitous"),
    *("nd-target-is-receiver", "nd-target-without-link-address", "nd-target-link-local"),
)
"""To be somebody else."""


@pytest.mark.proves("S1", "S2", "S21", "S34", "S44", "S47", "S48", "S56", "S160")
@pytest.mark.parametrize("forgery", CORPUS, ids=lambda forgery: forgery.name)
def test_a_forged_frame_arrives_nowhere(tenants: Tenants, ears: Ears, forgery: Forgery) -> None:
    for sender, near, far in tenants.guests.values():
        forged, legal = {}, {}
        for to in (near, far):
            bad, good = frames.marker(), frames.marker()
            sender.send(forgery.forged(sender.identity, to.identity, bad), count=COPIES)
            sender.send(forgery.legal(sender.identity, to.identity, good), count=COPIES)
            assert ears.wait(to, good, COPIES) == COPIES
            forged[to.name], legal[to.name] = bad, good
        ears.fence(sender, near, far)
        heard = ears.heard(*forged.values(), *legal.values())
        for to in (near, far):
            assert heard[forged[to.name]] == {}, (sender, to)
            assert heard[legal[to.name]][to.name] == COPIES
            assert heard[legal[to.name]].keys() <= {near.name, far.name}


def test_the_content_of_snap_frames_is_checked_and_what_is_legal_passes(tenants: Tenants, ears: Ears) -> None:
    """Known limit: Open vSwitch shows SNAP with OUI 0 as Ethernet II, so a legal packet in it passes, as SNAP."""
    sender, near, _ = tenants.guests["red"]
    for name in ("ipv4", "arp-sender-ip", "nd-target", "dhcp-server"):
        bad, good = frames.marker(), frames.marker()
        sender.send(frames.snap(FORGERIES[name].forged(sender.identity, near.identity, bad)))
        legal = frames.snap(FORGERIES[name].legal(sender.identity, near.identity, good))
        sender.send(legal)
        ears.fence(sender, near)
        assert ears.heard(bad)[bad] == {}
        assert ears.frames(near, good) == [legal]


@pytest.mark.proves("S48")
def test_an_attacker_changes_nobodys_neighbour_table(tenants: Tenants, ears: Ears) -> None:
    """10 000 forged ARP answers and advertisements, in the names of all others, beside a victim that talks."""
    victim, attacker, other = tenants.guests["red"]
    marks = [frames.marker() for _ in CLAIMS]
    named = zip(CLAIMS, marks, strict=True)
    forged = [FORGERIES[name].forged(attacker.identity, other.identity, mark) for name, mark in named]
    # The same, and addressed to the victim itself.
    forged += [frames.mac_bytes(victim.mac) + frame[6:] for frame in forged]
    assert victim.pings(other) == victim.pings(other, version=6) == 3
    assert attacker.send(*forged, count=10_000 // len(forged) + 1, rate=8000) >= 10_000
    ears.fence(attacker, victim)
    assert not any(ears.heard(*marks).values())
    assert victim.pings(other) == victim.pings(other, version=6) == 3
    table = neighbours(victim)
    assert table[other.ipv4] == table[other.ipv6] == other.mac
    own = {attacker.ipv4, attacker.ipv6, attacker.link_local}
    assert {address for address, mac in table.items() if mac in {attacker.mac, NOBODY.mac}} <= own


def neighbours(guest: Guest) -> dict[str, str]:
    """MAC address by IP address in the guest's neighbour table."""
    lines = guest.run("ip", "neigh", "show", "dev", "eth0").splitlines()
    return {line.split()[0]: line.split()[2] for line in lines if "lladdr" in line}
