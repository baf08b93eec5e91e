# SPDX-License-Identifier: Apache-2.0
"""QoS policies from REST to real frames, counted at the receiver.

h1   near, peer (both with the default security group), left, right (without: neighbours that nothing may touch)
h2   far (default group), there (without)

Rates are small, for two cores carry hosts, guests and probes alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from signal import SIGKILL
from typing import Any

import pytest

from tests.net.support import Ears, configure, flow_texts, question
from tests.net.test_restarts import applied, restart
from topologies import Lab, Vm, frames
from topologies.controller import Api, Controller, Json

pytestmark = [pytest.mark.net, pytest.mark.proves("S52")]

RATE = 10_000
"""kbit/s of most limits here."""
CLEAR = 1.3
"""What nobody limits is at least so many times as fast, however busy the machine."""


@dataclass
class Gold:
    """One project's network and guests."""

    controller: Controller
    api: Api
    network: Json
    ports: dict[str, Json] = field(default_factory=dict)
    guests: dict[str, Vm] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Vm:
        return self.guests[name]

    @contextmanager
    def policy(self, **rules: dict[str, Any] | list[dict[str, Any]]) -> Iterator[Json]:
        """A policy with these rules: `bandwidth_limit={...}`, or several of a type."""
        policy = self.controller.call("POST", "/qos/policies", {"policy": {"project_id": self.network["project_id"]}})
        policy = policy["policy"]
        try:
            for kind, wishes in rules.items():
                for wish in wishes if isinstance(wishes, list) else [wishes]:
                    self.add_rule(policy, kind, **wish)
            yield policy
        finally:
            self.controller.call("DELETE", f"/qos/policies/{policy['id']}?wait=applied")

    def add_rule(self, policy: Json, kind: str, **wish: Any) -> Json:
        path = f"/qos/policies/{policy['id']}/{kind}_rules?wait=applied"
        return dict(self.controller.call("POST", path, {f"{kind}_rule": wish})[f"{kind}_rule"])

    @contextmanager
    def at(self, policy: Json, *names: str) -> Iterator[None]:
        """The policy on ports of these guests, and off again."""
        for name in names:
            self.api.update("port", self.ports[name]["id"], qos_policy_id=policy["id"])
        try:
            yield
        finally:
            for name in names:
                self.api.update("port", self.ports[name]["id"], qos_policy_id=None)

    def rate(
        self, sender: str, receiver: str, protocol: str, *, offered_kbps: int = 3 * RATE // 2, seconds: int = 4
    ) -> int:
        """kbit/s of payload that reach the receiver."""
        udp = f"{offered_kbps}K" if protocol == "udp" else ""
        return round(1000 * self[sender].iperf(self[receiver], udp=udp, seconds=seconds))


def assert_near(found: float, wanted: float) -> None:
    assert 0.9 * wanted <= found <= 1.1 * wanted, f"{found} is not within 10 % of {wanted}"


@pytest.fixture(scope="module")
def gold() -> Iterator[Gold]:
    with Lab(hosts=2) as lab, Controller(lab, auth="token") as controller:
        controller.add_hosts()
        project = controller.create("project", name="gold")
        api = controller.project(project["id"])
        network = api.create("network", name="gold")
        for version, cidr in ((4, "10.0.0.0/24"), (6, "2001:db8:1::/64")):
            api.create("subnet", network_id=network["id"], ip_version=version, cidr=cidr)
        made = Gold(controller, api, network)
        h1, h2 = lab.hosts
        for name, host, wish in (
            ("near", h1, {}),
            ("peer", h1, {}),
            ("left", h1, {"security_groups": []}),
            ("right", h1, {"security_groups": []}),
            ("far", h2, {}),
            ("there", h2, {"security_groups": []}),
        ):
            port = api.create("port", network_id=network["id"], name=name, **wish)
            guest = lab.guest(name, host, mac=port["mac_address"], iface_id=port["id"])
            guest.plug()
            made.ports[name], made.guests[name] = port, guest
        controller.until_active(*made.ports.values())
        for name, guest in made.guests.items():
            configure(guest, made.ports[name], network)
        # Tunnel endpoints find each other with the first frames, which are lost.
        assert made["near"].reaches(made["far"], timeout_s=5)
        assert made["left"].reaches(made["there"], timeout_s=5)
        yield made


@pytest.mark.parametrize("other", ("peer", "far"))
@pytest.mark.parametrize("protocol", ("tcp", "udp"))
@pytest.mark.parametrize("direction", ("egress", "ingress"))
def test_bandwidth(gold: Gold, direction: str, protocol: str, other: str) -> None:
    """On one host and across hosts; the same way back is not limited."""
    way = ("near", other) if direction == "egress" else (other, "near")
    with gold.policy(bandwidth_limit={"max_kbps": RATE, "direction": direction}) as policy:
        with gold.at(policy, "near"):
            assert_near(gold.rate(*way, protocol), RATE)
            if protocol == "udp":
                assert gold.rate(*reversed(way), protocol, offered_kbps=3 * RATE, seconds=2) > CLEAR * RATE
        assert gold.rate(*way, protocol, offered_kbps=3 * RATE, seconds=2) > CLEAR * RATE


def test_neighbours_do_not_notice(gold: Gold) -> None:
    """While a limited port sends and gets many times what it may, others of its host are as fast as without it."""
    without = gold.rate("left", "right", "udp", offered_kbps=3 * RATE, seconds=2)
    both = [{"max_kbps": 5000, "direction": direction} for direction in ("egress", "ingress")]
    with gold.policy(bandwidth_limit=both) as policy, gold.at(policy, "near"):
        for sender, receiver in (("near", "peer"), ("peer", "near")):
            with flood(gold[sender], gold[receiver], "20M") as flooding:
                assert_near(gold.rate("left", "right", "udp", offered_kbps=3 * RATE, seconds=2), without)
                assert_near(gold.rate("right", "there", "udp", offered_kbps=3 * RATE, seconds=2), without)
                assert flooding.poll() is None


@contextmanager
def flood(sender: Vm, receiver: Vm, rate: str) -> Iterator[Any]:
    """UDP at a rate, until the end."""
    server = receiver.start("iperf3", "-s", "-p", "5202", log="flood.log")
    receiver.script("until ss -Hltn 'sport = :5202' | grep -q .; do sleep 0.01; done")
    argv = ("iperf3", "-c", receiver.address(4), "-p", "5202", "-t", "60", "-u", "-b", rate)
    client = sender.start(*argv, log="flood.log")
    try:
        yield client
    finally:
        for process in (client, server):
            process.kill()
            process.wait()


def test_another_rate_changes_no_flow(gold: Gold) -> None:
    """It holds at once, up and down. When the controller comes back, it sends nothing."""
    h1 = gold.controller.lab.hosts[0]
    with gold.policy() as policy, gold.at(policy, "near"):
        rule = gold.add_rule(policy, "bandwidth_limit", max_kbps=5000)
        before, meters = flow_texts(gold.controller, h1), meter_rates(h1)
        for rate in (20_000, RATE):
            path = f"/qos/policies/{policy['id']}/bandwidth_limit_rules/{rule['id']}?wait=applied"
            gold.controller.call("PUT", path, {"bandwidth_limit_rule": {"max_kbps": rate}})
            assert flow_texts(gold.controller, h1) == before
            assert sorted(meter_rates(h1)) == sorted([*(one for one in meters if one != 5000), rate])
            assert_near(gold.rate("near", "peer", "udp", offered_kbps=3 * rate // 2, seconds=3), rate)
        restart(gold.controller, SIGKILL)
        assert applied(gold.controller) == []
        assert gold.controller.flows(h1, "difference") == []
        assert_near(gold.rate("near", "peer", "udp", seconds=3), RATE)


def meter_rates(host: Any) -> list[int]:
    text = host.run("ovs-ofctl", "-O", "OpenFlow14", "dump-meters", f"unix:{host.env['OVS_RUNDIR']}/br-int.mgmt")
    return [int(word.removeprefix("rate=")) for word in text.split() if word.startswith("rate=")]


@pytest.mark.parametrize("direction", ("egress", "ingress"))
@pytest.mark.parametrize("other", ("peer", "far"))
def test_packets(gold: Gold, direction: str, other: str) -> None:
    """Of 3 000 packets in a second and a half those pass that the rate and one burst allow."""
    sender, receiver = (gold["near"], gold[other]) if direction == "egress" else (gold[other], gold["near"])
    mark = frames.marker()
    frame = unicast(sender, receiver, mark)
    with (
        gold.policy(packet_rate_limit={"max_kpps": 1, "direction": direction}) as policy,
        receiver.sniff() as sniffer,
    ):
        with gold.at(policy, "near"):
            sender.send(frame, count=3000, rate=2000)
            fence(sender, receiver, sniffer)
            assert_near(sniffer.count(mark), 1000 * 1.5 + 200)
        clear = frames.marker()
        sender.send(unicast(sender, receiver, clear), count=3000, rate=2000)
        assert sniffer.wait_for(clear, 3000, 5) == 3000


def test_both_limits_at_once(gold: Gold) -> None:
    """Large packets meet the limit of bits, small ones that of packets."""
    rules = {
        "bandwidth_limit": {"max_kbps": RATE, "direction": "ingress"},
        "packet_rate_limit": {"max_kpps": 2, "direction": "ingress"},
    }
    with gold.policy(**rules) as policy, gold.at(policy, "near"):
        assert_near(gold.rate("peer", "near", "udp"), RATE)
        assert_near(gold["peer"].iperf(gold["near"], udp="5M", size=100, seconds=4) * 1e6 / 800, 2000)


def unicast(sender: Vm, receiver: Vm, mark: str, version: int = 4) -> bytes:
    kind = frames.ETH_IPV4 if version == 4 else frames.ETH_IPV6
    packet = frames.udp(sender.address(version), receiver.address(version), 4000, 4001, b"x")
    return frames.ethernet(receiver.mac, sender.mac, kind, packet, mark)


def fence(sender: Vm, receiver: Vm, sniffer: Any) -> None:
    """Wait until something sent now has come, which a limit may hold back at first."""
    for _ in range(50):
        mark = frames.marker()
        sender.send(unicast(sender, receiver, mark))
        if sniffer.wait_for(mark, 1, 0.1):
            return
    raise AssertionError(f"nothing comes from {sender} to {receiver}")


@pytest.mark.parametrize("version", (4, 6))
@pytest.mark.parametrize("other", ("peer", "far"))
def test_marks(gold: Gold, other: str, version: int) -> None:
    """Of what the port sends, with and without a limit beside; not of what it gets, and not when the rule is gone."""
    for limits in ({}, {"bandwidth_limit": {"max_kbps": 100_000}}):
        with gold.policy(dscp_marking={"dscp_mark": 46}, **limits) as policy:
            with gold.at(policy, "near"):
                assert dscp(gold, "near", other, version) == 46
                assert dscp(gold, other, "near", version) == 0
            assert dscp(gold, "near", other, version) == 0


def dscp(gold: Gold, sender: str, receiver: str, version: int) -> int:
    """The mark that a packet arrives with, its checksums right (or the receiver would not answer)."""
    mark = frames.marker()
    with gold[receiver].sniff() as sniffer:
        gold[sender].send(unicast(gold[sender], gold[receiver], mark, version))
        assert sniffer.wait_for(mark) == 1
        [frame] = sniffer.frames(mark)
    assert gold[sender].reaches(gold[receiver], version=version, protocol="udp")
    word = int.from_bytes(frame[14:16], "big")
    return (word & 0xFF) >> 2 if version == 4 else (word >> 4 & 0xFF) >> 2


def test_the_networks_policy_and_the_ports(gold: Gold) -> None:
    """The network's holds for its ports, those that come later too; a port's own goes before it."""
    slow = {"bandwidth_limit": {"max_kbps": 5000}}
    fast = {"bandwidth_limit": {"max_kbps": 15_000}}
    with gold.policy(**slow) as whole, gold.policy(**fast) as own:
        gold.api.update("network", gold.network["id"], qos_policy_id=whole["id"])
        try:
            for name, receiver in (("left", "right"), ("far", "peer")):
                assert gold.api.show("port", gold.ports[name]["id"])["qos_network_policy_id"] == whole["id"]
                assert_near(gold.rate(name, receiver, "udp", offered_kbps=8000, seconds=3), 5000)
            with gold.at(own, "left"):
                assert_near(gold.rate("left", "right", "udp", offered_kbps=20_000, seconds=3), 15_000)
            assert_near(gold.rate("left", "right", "udp", offered_kbps=8000, seconds=3), 5000)
            status, answer = gold.controller.request("DELETE", f"/qos/policies/{whole['id']}")
            assert (status, answer["NeutronError"]["type"]) == (409, "QosPolicyInUse")
        finally:
            gold.api.update("network", gold.network["id"], qos_policy_id=None)
        assert gold.rate("left", "right", "udp", seconds=2) > CLEAR * 5000


def test_broadcast_reaches_everybody_when_some_are_over_their_limit(gold: Gold) -> None:
    """Copies to two limited ports, one of them filtered, stand before, between and behind those of the others."""
    count, limited, others = 1500, ("near", "right"), ("peer", "far", "there")
    rule = {"max_kpps": 1, "direction": "ingress"}
    with gold.policy(packet_rate_limit=rule) as policy, Ears(gold.guests.values()) as ears:
        with gold.at(policy, *limited):
            for broadcast in (question, announcement):
                mark = frames.marker()
                gold["left"].send(broadcast(gold["left"], mark), count=count, rate=5000)
                for name in others:
                    assert ears.wait(gold[name], mark, count, 5) == count, name
                for name in limited:
                    got = ears.wait(gold[name], mark, count, 0.5)
                    assert 200 <= got <= 700, (name, got)
        mark = frames.marker()
        gold["left"].send(question(gold["left"], mark), count=count, rate=5000)
        for name in (*limited, *others):
            assert ears.wait(gold[name], mark, count, 5) == count, name


def announcement(sender: Vm, mark: str) -> bytes:
    """An IPv6 multicast, which goes by security groups' tables; a listener's report always passes there."""
    packet = frames.mld_report(sender.link_local, "ff02::1:3")
    return frames.ethernet(frames.multicast_mac("ff02::16"), sender.mac, frames.ETH_IPV6, packet, mark)


def test_what_a_port_broadcasts_is_not_what_it_receives(gold: Gold) -> None:
    """Open vSwitch leaves out the sender's own copy; its meter does not count it."""
    with (
        gold.policy(packet_rate_limit={"max_kpps": 1, "direction": "ingress"}) as policy,
        gold.at(policy, "near"),
        gold["near"].sniff() as sniffer,
    ):
        for _ in range(3):
            gold["near"].send(question(gold["near"], frames.marker()), count=2000, rate=5000)
            mark = frames.marker()
            gold["peer"].send(unicast(gold["peer"], gold["near"], mark), count=50)
            assert sniffer.wait_for(mark, 50) == 50
