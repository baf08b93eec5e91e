# SPDX-License-Identifier: Apache-2.0
"""Who forges what, how often: counted to the frame, told to its owner and to nobody else, whatever the rate."""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sdnctl import runtime
from sdnctl.flows.pipeline import Count, Reason
from tests.net.counters import drops
from tests.net.support import Ears, configure, until
from tests.net.test_spoofing import MISCOUNTED
from topologies import Host, Lab, Vm, frames
from topologies.controller import Api, ApiError, Controller, Json
from topologies.forgeries import FORGERIES

pytestmark = pytest.mark.net

CORPUS = [
    forgery
    for forgery in FORGERIES.values()
    if forgery.name not in MISCOUNTED and Count.FROM in Reason[forgery.reason].count
]
COUNTED = re.compile(r'^sdnctl_port_dropped_packets_total\{project="([^"]+)",reason="([^"]+)"\} (\S+)$', re.MULTILINE)
Drops = dict[tuple[str, str], int]


@dataclass
class Watched:
    """Two tenants; red's guests are on two hosts."""

    controller: Controller
    projects: dict[str, str] = field(default_factory=dict)
    apis: dict[str, Api] = field(default_factory=dict)
    networks: dict[str, Json] = field(default_factory=dict)

    def guest(self, name: str, number: int = 0, project: str = "red", **wish: object) -> Vm:
        """A new guest of a project on the host with this number, configured."""
        network = self.networks[project]
        wish = {"security_groups": [], **wish}
        port = self.apis[project].create("port", network_id=network["id"], name=name, **wish)
        host = self.controller.lab.hosts[number]
        guest = self.controller.lab.guest(name, host, mac=port["mac_address"], iface_id=port["id"])
        guest.plug()
        self.controller.until_active(port)
        configure(guest, port, network)
        return guest

    def statistics(self, guest: Vm, project: str = "red") -> Json:
        return dict(self.apis[project].call("GET", f"/ports/{guest.iface_id}/statistics")["statistics"])

    def drops(self, guest: Vm, project: str = "red") -> Drops:
        told = self.statistics(guest, project)["drops"]
        return {(one["direction"], one["reason"]): one["packets"] for one in told}

    def events(self, guest: Vm, project: str = "red") -> list[Json]:
        return self.apis[project].list("security_event", f"?port_id={guest.iface_id}&sort_key=first_seen&sort_dir=asc")

    def of_project(self, project: str = "red") -> Counter[str]:
        """What metrics say of a project, by reason."""
        told = COUNTED.findall(self.controller.metrics())
        return Counter({reason: int(float(value)) for who, reason, value in told if who == self.projects[project]})

    def metric(self, name: str) -> float:
        """A counter's sum over its labels."""
        found = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", self.controller.metrics(), re.MULTILINE)
        return sum(map(float, found))


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with Lab(hosts=2) as lab, Controller(lab, auth="token") as controller:
        controller.add_hosts()
        made = Watched(controller)
        for name in ("red", "blue"):
            made.projects[name] = controller.create("project", name=name)["id"]
            made.apis[name] = controller.project(made.projects[name])
            network = made.networks[name] = made.apis[name].create("network", name=name)
            for version, cidr in ((4, "10.0.0.0/24"), (6, "2001:db8:1::/64")):
                made.apis[name].create("subnet", network_id=network["id"], ip_version=version, cidr=cidr)
        yield made


def reported(sent: Counter[str]) -> Drops:
    """What the port's statistics say when so many frames were forged, by reason."""
    return {("egress", reason.lower()): count for reason, count in sent.items()}


def forge(guest: Vm, to: Vm, sent: Counter[str], **counts: int) -> None:
    """Send a forged frame of each kind in `counts` so often."""
    for name, count in counts.items():
        forgery = FORGERIES[name.replace("_", "-")]
        guest.send(forgery.forged(guest.identity, to.identity, frames.marker()), count=count)
        sent[forgery.reason] += count


@pytest.mark.proves("S160", "S31")
def test_every_forged_frame_is_counted_at_its_port_and_in_its_project(watched: Watched) -> None:
    """Of each kind another number; legal twins count nothing, and arrive. The other tenant sees nothing of it."""
    attacker, victim, other = watched.guest("a1"), watched.guest("v1", 1), watched.guest("b1", project="blue")
    before, sent = watched.of_project(), Counter[str]()
    with Ears((victim,)) as ears:
        legal = []
        for number, forgery in enumerate(CORPUS):
            count = 1 + number % 7
            attacker.send(forgery.forged(attacker.identity, victim.identity, frames.marker()), count=count)
            sent[forgery.reason] += count
            legal.append(frames.marker())
            attacker.send(forgery.legal(attacker.identity, victim.identity, legal[-1]))
        ears.fence(attacker, victim)
        assert all(ears.wait(victim, mark) == 1 for mark in legal)
    until("all to be counted", lambda: watched.drops(attacker), reported(sent).__eq__)
    # The fence's questions and the twins are all that the victim got, and it sent nothing forged.
    assert watched.drops(victim) == watched.drops(other, "blue") == {}
    of_kinds = {reason.lower(): count for reason, count in sent.items()}
    until(
        "the project's sums",
        lambda: {reason: count for reason, count in (watched.of_project() - before).items() if reason in of_kinds},
        of_kinds.__eq__,
    )
    assert watched.of_project("blue") == Counter()
    with pytest.raises(ApiError, match="404"):
        watched.apis["blue"].call("GET", f"/ports/{attacker.iface_id}/statistics")
    assert watched.controller.call("GET", f"/ports/{attacker.iface_id}/statistics")["statistics"]["host"] == "h1"
    told = watched.statistics(attacker)
    assert "host" not in told, "where it is, is the administrator's business"
    assert told["sent_packets"] >= sum(sent.values())

    forged = {reason for reason in sent if Count.REPORT in Reason[reason].count}
    assert len(forged) >= 8
    events = until("events of all kinds", lambda: watched.events(attacker), lambda found: len(found) == len(forged))
    wanted = {reason.lower(): sent[reason] for reason in forged}
    until(
        "their counts",
        lambda: {one["reason"]: one["packets"] for one in watched.events(attacker)},
        wanted.__eq__,
    )
    assert all(one["active"] for one in events)
    assert watched.events(attacker, "blue") == []
    assert watched.apis["blue"].list("security_event") == []
    assert len(watched.controller.list("security_event", f"?port_id={attacker.iface_id}")) == len(forged)
    assert watched.controller.log.read_text().count(attacker.iface_id) >= len(forged)
    assert len(re.findall(rf"security event begins.*{attacker.iface_id}", watched.controller.log.read_text())) == len(
        forged
    )


def test_an_event_says_in_words_what_was_sent(watched: Watched) -> None:
    attacker, victim = watched.guest("a2"), watched.guest("v2")
    frame = frames.arp(attacker.mac, spa=victim.ipv4, tpa="10.0.0.1", mark=frames.marker())
    attacker.send(frame, count=5)
    [event] = until("the event", lambda: watched.events(attacker))
    assert event["text"].startswith(f"ARP for {victim.ipv4} at {attacker.mac}, asking for 10.0.0.1")
    assert (event["reason"], event["network_id"]) == ("foreign_arp", watched.networks["red"]["id"])
    assert (event["project_id"], event["port_id"]) == (watched.projects["red"], attacker.iface_id)
    until("its count", lambda: watched.events(attacker)[0]["packets"], (5).__eq__)
    attacker.send(frame, count=4)
    until("more of the same", lambda: [one["packets"] for one in watched.events(attacker)], [9].__eq__)
    assert watched.apis["red"].show("security_event", event["id"])["first_seen"] == event["first_seen"]


@pytest.mark.proves("S31")
def test_an_unknown_mac_is_offered_no_lease_and_reported(watched: Watched) -> None:
    """A guest that asks as somebody else gets no answer, and an event; as itself it gets its lease."""
    guest = watched.guest("d1")
    with Ears((guest,)) as ears:
        marks = {}
        for mac in ("52:54:00:dd:dd:dd", guest.mac):
            marks[mac] = frames.marker()
            guest.send(discover(mac, marks[mac]))
        assert ears.wait(guest, marks[guest.mac]) == 1
        assert ears.heard(*marks.values())[marks["52:54:00:dd:dd:dd"]] == {}
    [event] = until("the event", lambda: watched.events(guest))
    assert (event["reason"], event["packets"]) == ("foreign_mac", 1)
    assert event["text"].startswith("IPv4 0.0.0.0 to 255.255.255.255 (UDP 68 to 67) from 52:54:00:dd:dd:dd")
    assert watched.drops(guest) == {("egress", "foreign_mac"): 1}


def discover(mac: str, mark: str) -> bytes:
    """A DHCP client's first question. The marker comes back in the answer."""
    body = frames.dhcp(1, 1, mac, options={61: mark.encode(), 55: b"\1\3"})
    packet = frames.udp("0.0.0.0", "255.255.255.255", 68, 67, body)
    return frames.ethernet("ff:ff:ff:ff:ff:ff", mac, frames.ETH_IPV4, packet)


def test_refusals_count_at_the_port_whose_groups_refuse(watched: Watched) -> None:
    """Near and far; they make no event, for nothing is forged."""
    shut = watched.apis["red"].create("security_group", name="shut")
    receiver = watched.guest("shut", security_groups=[shut["id"]])
    senders = watched.guest("s1"), watched.guest("s2", 1)
    for number, sender in enumerate(senders, 3):
        mark = frames.marker()
        packet = frames.udp(sender.ipv4, receiver.ipv4, 4000, 4001, b"x")
        sender.send(frames.ethernet(receiver.mac, sender.mac, frames.ETH_IPV4, packet, mark), count=number)
    until("refusals", lambda: watched.drops(receiver), {("ingress", "not_allowed_to"): 7}.__eq__)
    assert [watched.drops(sender) for sender in senders] == [{}, {}]
    assert watched.events(receiver) == []


def test_interface_counters_are_seen_from_the_workload(watched: Watched) -> None:
    sender, receiver = watched.guest("c1"), watched.guest("c2")
    with Ears((receiver,)) as ears:
        before = watched.statistics(sender), watched.statistics(receiver)
        mark = frames.marker()
        packet = frames.udp(sender.ipv4, receiver.ipv4, 4000, 4001, b"x" * 100)
        frame = frames.ethernet(receiver.mac, sender.mac, frames.ETH_IPV4, packet, mark)
        sender.send(frame, count=50)
        assert ears.wait(receiver, mark, 50) == 50
    after = watched.statistics(sender), watched.statistics(receiver)
    for at, way in ((0, "sent"), (1, "received")):
        assert after[at][f"{way}_packets"] - before[at][f"{way}_packets"] >= 50
        assert after[at][f"{way}_bytes"] - before[at][f"{way}_bytes"] >= 50 * len(frame)
    assert after[0]["received_packets"] - before[0]["received_packets"] < 50


@pytest.mark.proves("S160")
def test_a_controller_that_comes_back_has_missed_nothing_and_sends_nothing(watched: Watched) -> None:
    """While it was away the switch counted on, also what had not been counted before; the event goes on."""
    attacker, victim, late = watched.guest("a3"), watched.guest("v3"), watched.guest("a4")
    sent = Counter[str]()
    forge(attacker, victim, sent, arp_sender_ip=6)
    until("the first frames", lambda: [one["packets"] for one in watched.events(attacker)], [6].__eq__)
    [first] = watched.events(attacker)
    for host in watched.controller.lab.hosts:
        watched.controller.until_live(host)
    watched.controller.kill()
    other = Counter[str]()
    forge(attacker, victim, sent, arp_sender_ip=7)
    forge(late, victim, other, arp_sender_ip=3)
    watched.controller.start()
    for host in watched.controller.lab.hosts:
        watched.controller.until_live(host)
    assert watched.metric("sdnctl_flows_put_total") == watched.metric("sdnctl_flows_removed_total") == 0
    until("all frames", lambda: watched.drops(attacker), reported(sent).__eq__)
    until("frames of who began meanwhile", lambda: watched.drops(late), reported(other).__eq__)
    until("one event", lambda: [one["packets"] for one in watched.events(attacker)], [13].__eq__)
    assert watched.events(attacker)[0]["id"] == first["id"]
    until("another's", lambda: [one["packets"] for one in watched.events(late)], [3].__eq__)
    forge(attacker, victim, sent, arp_sender_ip=2)
    until("what comes now", lambda: watched.drops(attacker), reported(sent).__eq__)


def test_counters_end_with_the_port_and_its_sums_go_along(watched: Watched) -> None:
    """To another host; what the switch had for it goes, and the sums stay. Deleted, nothing is left."""
    port_of, victim, sent = watched.guest("m1"), watched.guest("v5"), Counter[str]()
    here, there = watched.controller.lab.hosts
    forge(port_of, victim, sent, arp_sender_ip=4)
    until("counted", lambda: watched.drops(port_of), reported(sent).__eq__)
    ofport = here.vsctl("get", "interface", port_of.device, "ofport")
    assert learned(here, ofport)
    port_of.unplug()
    until("nothing to be left", lambda: learned(here, ofport), lambda found: not found)
    assert watched.statistics(port_of)["sent_packets"] == 0, "unbound"
    assert watched.drops(port_of) == reported(sent)
    moved = watched.controller.lab.guest("m2", there, mac=port_of.mac, iface_id=port_of.iface_id)
    moved.plug()
    port = watched.controller.show("port", port_of.iface_id)
    watched.controller.until("bound there", "port", port["id"], bound_host=there.name, status="ACTIVE")
    configure(moved, port, watched.networks["red"])
    forge(moved, victim, sent, arp_sender_ip=5)
    until("both hosts' together", lambda: watched.drops(port_of), reported(sent).__eq__)
    ofport = there.vsctl("get", "interface", moved.device, "ofport")
    watched.controller.delete("port", port_of.iface_id)
    assert not learned(there, ofport)


def learned(host: Host, ofport: str) -> list[str]:
    """What Open vSwitch has learned about an ofport."""
    lines = host.ofctl("dump-flows", "br-int", "--no-names").splitlines()
    return [
        line for line in lines if f"in_port={ofport.strip()} " in line and "priority=200" in line and "reg7" in line
    ]


@pytest.mark.proves("S48")
def test_a_flood_of_forged_frames_costs_the_controller_nothing(watched: Watched) -> None:
    """30 000 frames a second for 3 s: a few samples, one event, few writes; the neighbour pings and takes a lease."""
    attacker, victim, neighbour = watched.guest("a6"), watched.guest("v6", 1), watched.guest("n6")
    rate, seconds = 30_000, 3
    frame = FORGERIES["arp-sender-ip"].forged(attacker.identity, victim.identity, frames.marker())
    logged, before = len(log_lines(watched)), drops(attacker.host)
    samples, stalls = (watched.metric(f"sdnctl_{name}_total") for name in ("packet_ins", "hub_stalls"))
    cpu, began = cpu_s(watched.controller.pid), time.monotonic()
    attack = runtime.spawn(lambda: attacker.send(frame, count=rate * seconds, rate=rate))
    neighbour.dhclient()
    assert neighbour.pings(victim, count=10) == 10
    sent = attack.join()
    took = time.monotonic() - began
    spent = cpu_s(watched.controller.pid) - cpu
    assert sent == rate * seconds
    # Of a frame that a full queue of the host drops, no switch knows: what it had is what its interface counted.
    told = until("the last ones", lambda: watched.statistics(attacker), lambda found: settled(watched, attacker, found))
    counted = {(one["direction"], one["reason"]): one["packets"] for one in told["drops"]}
    assert set(counted) == {("egress", "foreign_arp")}
    assert counted["egress", "foreign_arp"] == (drops(attacker.host) - before)["FOREIGN_ARP"] <= sent
    assert counted["egress", "foreign_arp"] > sent / 10, "else it was no flood"
    shown = watched.metric("sdnctl_packet_ins_total") - samples
    print(  # noqa: T201
        f"flood: {sent} sent in {took:.1f} s, {counted} counted, {shown:.0f} packet-ins, {spent:.2f} s of CPU,"
        f" {watched.metric('sdnctl_hub_stalls_total') - stalls:.0f} stalls"
    )
    assert shown <= 100 + 50 * 2 + 10, "samples, and the lease"
    assert spent < took / 2
    [event] = until("its event", lambda: watched.events(attacker))
    assert event["reason"] == "foreign_arp"
    assert len([line for line in log_lines(watched)[logged:] if attacker.iface_id in line]) == 1, "that it begins"


def log_lines(watched: Watched) -> list[str]:
    """Without requests: these are ours."""
    return [line for line in watched.controller.log.read_text().splitlines() if "request_id=" not in line]


def settled(watched: Watched, guest: Vm, found: Json) -> bool:
    """Nothing is added any more."""
    return bool(found["drops"]) and watched.statistics(guest)["drops"] == found["drops"]


def cpu_s(pid: int) -> float:
    """What a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_counts_go_on_after_a_restart_of_vswitchd(watched: Watched) -> None:
    """What the switch counted before went with it; what was read of it did not."""
    attacker, victim, sent = watched.guest("a7", 1), watched.guest("v7", 1), Counter[str]()
    forge(attacker, victim, sent, arp_sender_ip=4)
    until("counted", lambda: watched.drops(attacker), reported(sent).__eq__)
    until("its event", lambda: [one["packets"] for one in watched.events(attacker)], [4].__eq__)
    host = watched.controller.lab.hosts[1]
    host.kill("ovs-vswitchd")
    until("the host to be away", lambda: watched.controller.host(host.name)["state"], "AWAY".__eq__)
    with pytest.raises(ApiError, match=r"503 .*away.*host list"):
        watched.statistics(attacker)
    host.start_vswitchd()
    watched.controller.until_live(host)
    watched.controller.until("bound again", "port", attacker.iface_id, status="ACTIVE")
    forge(attacker, victim, sent, arp_sender_ip=3)
    until("all", lambda: watched.drops(attacker), reported(sent).__eq__)
    until("its one event", lambda: [one["packets"] for one in watched.events(attacker)], [7].__eq__)
