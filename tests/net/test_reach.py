# SPDX-License-Identifier: Apache-2.0
"""Who is on one network reaches all of it: both IP versions, same host and across, every kind of network."""

from __future__ import annotations

import pytest

from tests.net.support import Ears, add_guest, datagram
from topologies import Lab, Vm, frames
from topologies.controller import Controller
from topologies.tenants import Tenants

pytestmark = pytest.mark.net

NETWORKS = ("red", "blue", "shared")


def pairs(tenants: Tenants, network: str) -> list[tuple[Vm, Vm]]:
    """On one host, across, and back."""
    one, near, far = tenants.guests[network]
    return [(one, near), (one, far), (far, near)]


@pytest.mark.proves("S16", "S17", "S22", "S40", "S76", "S130", "S131", "S132")
@pytest.mark.parametrize("network", NETWORKS)
def test_members_reach_each_other(tenants: Tenants, network: str) -> None:
    """red and blue have the same addresses, and each guest talks to its own network's."""
    for one, other in pairs(tenants, network):
        for version in (4, 6):
            for protocol in ("icmp", "udp", "tcp"):
                assert one.reaches(other, version=version, protocol=protocol), (one, other, version, protocol)
        assert one.reaches(other.link_local)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_largest_packet_passes(tenants: Tenants, network: str) -> None:
    """The network's MTU is what fits on the wire, and all of it does."""
    mtu = tenants.networks[network]["mtu"]
    assert mtu == (1450 if network == "red" else 1500)
    one, _, far = tenants.guests[network]
    assert one.pings(far, version=4, size=mtu - 28) == 3
    assert one.pings(far, version=6, size=mtu - 48) == 3


@pytest.mark.proves("S22", "S40", "S131")
def test_the_wire_shows_each_network_as_promised(tenants: Tenants) -> None:
    """VXLAN with the network's VNI between the tunnel addresses; the network's tag; nothing. And on no other wire."""
    h1, h2 = tenants.controller.lab.hosts
    with h1.sent_on("underlay") as underlay, h1.sent_on("physnet1") as provider:
        seen = {}
        for network in NETWORKS:
            one, _, far = tenants.guests[network]
            for dst in (far.mac, frames.BROADCAST):
                mark = frames.marker()
                frame = datagram(one, dst, mark)
                with far.sniff() as arrived:
                    one.send(frame)
                    assert arrived.wait_for(mark) == 1
                    assert arrived.frames(mark) == [frame]
                seen[network, dst == far.mac] = frame, underlay.frames(mark), provider.frames(mark)
    for unicast in (True, False):
        frame, (outer,), others = seen["red", unicast]
        vni = tenants.controller.show("network", tenants.networks["red"]["id"])["provider:segmentation_id"]
        assert frames.tunnelled(outer) == frames.Tunnelled(h1.tunnel_ip, h2.tunnel_ip, vni, frame)
        assert not others
        frame, others, (outer,) = seen["blue", unicast]
        assert outer == frames.tagged(frame, tenants.networks["blue"]["provider:segmentation_id"])
        assert not others
        frame, others, (outer,) = seen["shared", unicast]
        assert outer == frame
        assert not others


def test_the_first_frame_across_hosts_arrives() -> None:
    """The very first ping between new switches: they have greeted each other before a guest needs it."""
    with Lab(hosts=2) as lab, Controller(lab) as controller:
        controller.add_hosts()
        network = controller.create("network", name="first")
        controller.create("subnet", network_id=network["id"], ip_version=4, cidr="10.44.0.0/24")
        one, other = (add_guest(controller, f"vm{host.name}", host, network) for host in lab.hosts)
        assert one.pings(other, count=1) == 1


def test_a_guest_hears_its_own_broadcast_from_nobody(tenants: Tenants, ears: Ears) -> None:
    for network in NETWORKS:
        one, near, far = tenants.guests[network]
        mark = frames.marker()
        one.send(datagram(one, frames.BROADCAST, mark), count=5)
        for other in (near, far):
            assert ears.wait(other, mark, 5) == 5
        assert ears.heard(mark)[mark] == {near.name: 5, far.name: 5}
