# SPDX-License-Identifier: Apache-2.0
"""The lab's network carries what it should, and its helpers tell yes from no."""

from __future__ import annotations

import pytest

from sdnctl import runtime
from tests.lab.conftest import Plain
from topologies import Lab, LabError, frames
from topologies.forgeries import FORGERIES

pytestmark = pytest.mark.net


def test_guests_reach_each_other(plain: Plain) -> None:
    """On the same host and across, by both IP versions and every protocol."""
    for other in (plain.vm2, plain.vm3):
        for version in (4, 6):
            for protocol in ("icmp", "udp", "tcp"):
                assert plain.vm1.reaches(other, version=version, protocol=protocol), (other, version, protocol)
    assert plain.vm1.reaches(plain.vm3.link_local)


def test_nobody_is_reached_who_is_not_there(plain: Plain) -> None:
    assert plain.vm1.reaches(plain.vm2)
    plain.vm2.unplug()
    for protocol in ("icmp", "udp", "tcp"):
        assert not plain.vm1.reaches(plain.vm2, protocol=protocol, timeout_s=0.3)
    assert plain.vm1.pings(plain.vm2, count=2) == 0
    plain.vm2.plug()
    assert plain.vm1.reaches(plain.vm2)


def test_the_hub_goes_on_while_the_lab_waits(plain: Plain) -> None:
    """A controller in the same process can answer while a test waits for a guest."""
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            runtime.sleep(0.01)  # pace: the ticking is what is watched

    task = runtime.spawn(tick)
    assert not plain.vm1.reaches("10.0.0.99", timeout_s=0.5)
    task.stop()
    assert ticks > 20


def test_a_vxlan_network_carries_the_underlays_mtu_less_fifty(plain: Plain) -> None:
    """1450 on an underlay of 1500: 1422 bytes behind the IP and ICMP headers."""
    assert plain.vm1.reaches(plain.vm3)
    plain.vm1.configure("10.0.0.1/24", mtu=1500)
    plain.vm3.configure("10.0.0.3/24", mtu=1500)
    assert plain.vm1.pings(plain.vm3, size=1422) == 3
    assert plain.vm1.pings(plain.vm3, size=1423) == 0


def test_the_wire_shows_what_a_host_sends(plain: Plain) -> None:
    """The VNI, the tunnel endpoints, and the very frame inside."""
    assert plain.vm1.reaches(plain.vm3)
    mark = frames.marker()
    frame = FORGERIES["mac"].legal(plain.vm1.identity, plain.vm3.identity, mark)
    with plain.h1.sent_on("underlay") as seen:
        plain.vm1.send(frame)
        assert seen.wait_for(mark) == 1
        opened = frames.tunnelled(seen.frames(mark)[0])
    assert opened == frames.Tunnelled("192.0.2.1", "192.0.2.2", 1, frame)


def test_a_pulled_cable_cuts_the_hosts_off(plain: Plain) -> None:
    assert plain.vm1.reaches(plain.vm3)
    plain.h2.cut("underlay")
    assert not plain.vm1.reaches(plain.vm3, timeout_s=0.3)
    assert plain.vm1.reaches(plain.vm2)
    plain.h2.mend("underlay")
    assert plain.vm1.reaches(plain.vm3)


def test_a_guest_moves_to_another_host(plain: Plain) -> None:
    plain.lab.move(plain.vm1, plain.h2)
    assert plain.vm1.reaches(plain.vm3)
    assert plain.vm1.reaches(plain.vm2)
    assert "tapvm1" not in plain.h1.vsctl("list-ports", "br-int")


def test_provider_networks_join_hosts_and_outside(plain: Plain) -> None:
    """A machine on the provider network is reached through a host's provider bridge."""
    edge = plain.lab.outside("edge", "physnet1", addresses=("198.51.100.1/24",))
    plain.vm1.plug(bridge=plain.h1.bridge_mappings["physnet1"])
    plain.vm1.configure("198.51.100.5/24")
    with plain.h1.sent_on("physnet1") as seen:
        assert plain.vm1.reaches(edge)
        assert seen.frames()
    with pytest.raises(LabError, match="physnet9"):
        plain.lab.outside("other", "physnet9")


def test_a_machine_behind_a_tag() -> None:
    """It sends and gets untagged frames; on the provider network they have the tag, and other tags do not reach it."""
    with Lab(hosts=1, providers=("physnet1", "physnet2")) as lab:
        (h1,) = lab.hosts
        edges = [
            lab.outside(f"edge{number}", "physnet2", vlan=vlan, addresses=(f"198.51.100.{number}/24",))
            for number, vlan in ((1, 100), (2, 100), (3, 200))
        ]
        vm1 = lab.guest("vm1", h1, addresses=("198.51.100.9/24",))
        h1.vsctl("add-port", h1.bridge_mappings["physnet2"], vm1.device, "tag=100")
        with h1.sent_on("physnet2") as seen:
            assert vm1.reaches(edges[0])
            assert {frames.tags(frame) for frame in seen.frames()} == {(100,)}
        assert vm1.reaches(edges[1])
        assert edges[0].reaches(edges[1])
        assert not vm1.reaches(edges[2], timeout_s=0.3)


def test_the_hypervisors_kernel_does_not_answer_guests(plain: Plain) -> None:
    """Nothing comes from the host's end of the cable: no ARP for its tunnel address, no ND, no answer to a ping."""
    plain.vm1.configure("192.0.2.77/24")
    mac = plain.h1.run("cat", f"/sys/class/net/{plain.vm1.device}/address").strip()
    with plain.vm1.sniff() as seen:
        assert not plain.vm1.reaches(plain.h1.tunnel_ip, timeout_s=0.5)
        assert not plain.vm1.reaches(frames.link_local(mac), timeout_s=0.5)
        assert frames.mac_bytes(mac) not in {frame[6:12] for frame in seen.frames()}
    assert plain.h2.try_run("ping", "-c1", "-W1", plain.h1.tunnel_ip).returncode == 0


def test_switch_and_database_come_back(plain: Plain) -> None:
    plain.h1.kill("ovs-vswitchd")
    assert not plain.vm1.reaches(plain.vm2, timeout_s=0.3)
    plain.h1.start_vswitchd()
    assert plain.vm1.reaches(plain.vm2)
    plain.h1.kill("ovsdb-server")
    plain.h1.start_ovsdb_server()
    assert "tapvm1" in plain.h1.vsctl("list-ports", "br-int")


def test_the_first_frame_to_an_unknown_neighbour_is_lost() -> None:
    """What a controller has to know of Open vSwitch's tunnels; a frame sent by packet-out is enough to resolve one."""
    with Lab(hosts=2) as lab:
        lab.use_plain_switches()
        h1, h2 = lab.hosts
        with h1.sent_on("underlay") as wire:
            for known in (0, 1):
                mark = frames.marker()
                frame = frames.arp("52:54:00:00:00:01", spa="10.0.0.1", tpa="10.0.0.2", mark=mark)
                assert list(h1.tunnel_neighbours()) == [h2.tunnel_ip][:known]
                h1.ofctl("packet-out", "br-int", f"in_port=controller packet={frame.hex()} actions=NORMAL")
                assert wire.wait_for(mark, timeout_s=0.3) == known


def test_iperf_measures(plain: Plain) -> None:
    assert plain.vm1.iperf(plain.vm2, seconds=1) > 50
    assert 18 < plain.vm1.iperf(plain.vm3, seconds=1, udp="20M") < 22
