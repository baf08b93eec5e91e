# SPDX-License-Identifier: Apache-2.0
"""Somebody on the underlay who is no host of ours, or speaks in a host's name: no frame of theirs comes to a guest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from tests.net.counters import drops
from tests.net.support import Ears, add_guest
from topologies import Vm, frames
from topologies.injections import INJECTIONS, Underlay, legal, nested
from topologies.tenants import Tenants

pytestmark = pytest.mark.net

COPIES = 3


@dataclass(frozen=True, slots=True)
class Target:
    """Two guests of a network on two hosts, another tenant's beside the second, and the wire to its host."""

    at: Underlay
    sender: Vm
    receiver: Vm
    everybody: tuple[Vm, ...]

    def inject(self, *built: bytes) -> None:
        host = self.receiver.host
        machine, port = host.cable("underlay")
        machine.send(*built, interface=port, count=COPIES)


@pytest.fixture(scope="module")
def target(tenants: Tenants) -> Target:
    controller, (h1, h2) = tenants.controller, tenants.controller.lab.hosts
    networks = [controller.create("network", name=f"under{number}") for number in range(3)]
    for network in networks:
        controller.create("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
    sender, receiver = (add_guest(controller, f"under{n}", host, networks[0]) for n, host in enumerate((h1, h2)))
    other = add_guest(controller, "under2", h2, networks[1])
    absent = add_guest(controller, "under3", h1, networks[2])
    vnis = [int(network["provider:segmentation_id"]) for network in networks]
    at = Underlay(
        host=h2.tunnel_ip,
        host_mac=h2.run("cat", "/sys/class/net/br-phys/address").strip(),
        peer=h1.tunnel_ip,
        vni=vnis[0],
        other_vni=vnis[1],
        absent_vni=vnis[2],
        to=receiver.identity,
        sender=sender.identity,
        other=other.identity,
    )
    return Target(at, sender, receiver, (*tenants.all, sender, receiver, other, absent))


@pytest.mark.proves("S16", "S22", "S50", "S164")
def test_what_is_injected_on_the_underlay_reaches_no_guest(target: Target) -> None:
    """By whatever tunnel, address, VNI, tag. What the other host could have sent arrives: the underlay is trusted."""
    at, host = target.at, target.receiver.host
    wrong: dict[str, object] = {}
    with Ears(target.everybody) as ears:
        for injection in INJECTIONS:
            before = drops(host)
            bad, good = frames.marker(), frames.marker()
            target.inject(injection.forged(at, bad))
            target.inject(legal(at, good))
            assert ears.wait(target.receiver, good, COPIES) == COPIES, injection.name
            ears.fence(target.sender, target.receiver)
            arrived = ears.heard(bad)[bad]
            dropped = drops(host) - before
            expected = Counter({injection.reason: COPIES} if injection.reason else {})
            if arrived or dropped != expected:
                wrong[injection.name] = arrived, dict(dropped)
    assert wrong == {}


@pytest.mark.proves("S22", "S164")
def test_a_tunnel_in_a_tunnel_is_the_guests_own_affair(target: Target) -> None:
    """Sent by a guest, or on the underlay in a host's name: it comes to the guest it is for, and is not opened.

    Whether it says to be for that guest or for the very host.
    """
    at = target.at
    with Ears(target.everybody) as ears:
        for dst in (at.to.ipv4, at.host):
            by_guest, by_host = frames.marker(), frames.marker()
            target.sender.send(nested(at, by_guest, dst), count=COPIES)
            target.inject(legal(at, "", nested(at, by_host, dst)))
            for mark in (by_guest, by_host):
                assert ears.wait(target.receiver, mark, COPIES) == COPIES, dst
            ears.fence(target.sender, target.receiver)
            for mark in (by_guest, by_host):
                arrived = ears.heard(mark)[mark]
                assert arrived[target.receiver.name] == COPIES
                # The receiver may tell the sender that nobody listens there, quoting what came.
                assert arrived.keys() <= {target.receiver.name, target.sender.name}, dst
