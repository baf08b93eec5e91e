# SPDX-License-Identifier: Apache-2.0
"""What limits drop is told to the packet: all that was sent and did not arrive, and nothing else.

h1   near (whose port gets the limits), peer
h2   far

The guests say nothing by themselves, or some of that would be dropped as well: they have no IPv6, and no kernel answers
what they get here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from signal import SIGKILL

import pytest

from sdnctl import runtime
from sdnctl.apps.meters import MeterKind, meter_id
from tests.net.support import configure, until
from tests.net.test_qos import Gold
from tests.net.test_restarts import applied
from topologies import Host, Lab, Vm, frames
from topologies.controller import Controller, Json

pytestmark = [pytest.mark.net, pytest.mark.proves("S52", "S160")]

Drops = Counter[tuple[str, str]]
SIZE = 500
MISSED = 5
"""Frames that a meter may drop between telling what it dropped and being changed, in all changes of a test; measured
are none."""


def quiet_guest(gold: Gold, name: str, port: Json, host: Host) -> Vm:
    """A guest with this port, configured, its port ACTIVE on the host."""
    guest = gold.controller.lab.guest(name, host, mac=port["mac_address"], iface_id=port["id"])
    guest.run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
    guest.plug()
    gold.controller.until("active there", "port", port["id"], bound_host=host.name, status="ACTIVE")
    configure(guest, port, gold.network)
    return guest


@pytest.fixture(scope="module")
def gold() -> Iterator[Gold]:
    with Lab(hosts=2) as lab, Controller(lab, auth="token") as controller:
        controller.add_hosts()
        project = controller.create("project", name="gold")
        api = controller.project(project["id"])
        network = api.create("network", name="gold", project_id=project["id"])
        api.create("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
        made = Gold(controller, api, network)
        for name, host in (("near", lab.hosts[0]), ("peer", lab.hosts[0]), ("far", lab.hosts[1])):
            made.ports[name] = api.create("port", network_id=network["id"], name=name, security_groups=[])
            made.guests[name] = quiet_guest(made, name, made.ports[name], host)
        # Tunnel endpoints find each other with the first frames, which are lost.
        assert made["near"].reaches(made["far"], timeout_s=5)
        yield made


def statistics(gold: Gold, name: str) -> Json:
    return dict(gold.api.call("GET", f"/ports/{gold.ports[name]['id']}/statistics")["statistics"])


def told(gold: Gold, name: str, what: str = "packets") -> Drops:
    """What the limits of a guest's port dropped so far, by direction and limit."""
    return Counter({(one["direction"], one["limit"]): one[what] for one in statistics(gold, name)["limit_drops"]})


def told_of_project(gold: Gold, what: str = "packets") -> Drops:
    """What metrics say of the project."""
    labels = f'direction="(.+)",limit="(.+)",project="{gold.network["project_id"]}"'
    line = re.compile(rf"^sdnctl_limit_dropped_{what}_total{{{labels}}} (.+)$", re.MULTILINE)
    return Counter({(way, limit): int(float(value)) for way, limit, value in line.findall(gold.controller.metrics())})


def frame(gold: Gold, sender: str, receiver: str, mark: str) -> bytes:
    """For the receiver's MAC address, and for nobody's IP address."""
    packet = frames.udp(gold[sender].ipv4, "239.1.2.3", 4000, 4001, bytes(SIZE))
    return frames.ethernet(gold[receiver].mac, gold[sender].mac, frames.ETH_IPV4, packet, mark)


RULES = {
    "bandwidth": {"max_kbps": 2000, "max_burst_kbps": 200},
    "packet_rate": {"max_kpps": 1},
}


@pytest.mark.parametrize("direction", ("egress", "ingress"))
@pytest.mark.parametrize("limit", RULES)
@pytest.mark.parametrize("other", ("peer", "far"))
def test_all_that_does_not_arrive_is_told(gold: Gold, other: str, limit: str, direction: str) -> None:
    """At the port with the limit, and in its project's sums; not at whoever sent to it or got it."""
    sender, receiver = ("near", other) if direction == "egress" else (other, "near")
    mark, count, key = frames.marker(), 1500, (direction, limit)
    sent = frame(gold, sender, receiver, mark)
    with gold.policy(**{f"{limit}_limit": {**RULES[limit], "direction": direction}}) as policy:
        with gold.at(policy, "near"), gold[receiver].sniff() as sniffer:
            before, octets, sums = (told(gold, "near"), told(gold, "near", "bytes"), told_of_project(gold))
            gold[sender].send(sent, count=count, rate=3000)
            arrived, dropped = until(
                "every frame to have arrived or been dropped",
                lambda: (sniffer.count(mark), told(gold, "near") - before),
                lambda found: found[0] + found[1].total() >= count,
            )
            assert 50 < arrived < 1400, "some pass, and some do not"
            assert dropped == {key: count - arrived}
            assert told(gold, "near", "bytes") - octets == {key: (count - arrived) * len(sent)}
            assert told_of_project(gold) - sums == dropped
            assert told(gold, "peer") == told(gold, "far") == Counter()
        clear = frames.marker()
        with gold[receiver].sniff() as sniffer:
            gold[sender].send(frame(gold, sender, receiver, clear), count=count, rate=3000)
            assert sniffer.wait_for(clear, count, 5) == count
        assert told(gold, "near") - before == dropped, "what was is told on, and without a limit nothing comes to it"
    assert statistics(gold, "near")["drops"] == []
    assert gold.api.list("security_event") == []


def test_another_limit_loses_no_count_and_doubles_none(gold: Gold) -> None:
    """While frames come: each change makes the meter begin anew, and the sum goes on. Most drops come last."""
    mark, count = frames.marker(), 16_000
    before = told(gold, "near")
    with gold.policy() as policy, gold.at(policy, "near"), gold["peer"].sniff() as sniffer:
        rule = gold.add_rule(policy, "packet_rate_limit", max_kpps=3, direction="egress")
        path = f"/qos/policies/{policy['id']}/packet_rate_limit_rules/{rule['id']}?wait=applied"
        attack = runtime.spawn(lambda: gold["near"].send(frame(gold, "near", "peer", mark), count=count, rate=4000))
        for rate in (1, 2, 1, 2):
            seen = sniffer.count(mark)
            until("more to arrive", lambda: sniffer.count(mark), lambda found, seen=seen: found > seen + 500)
            gold.controller.call("PUT", path, {"packet_rate_limit_rule": {"max_kpps": rate}})
        assert attack.is_running
        assert attack.join() == count
        arrived, dropped = until(
            "every frame to have arrived or been dropped",
            lambda: (sniffer.count(mark), (told(gold, "near") - before).total()),
            lambda found: sum(found) >= count - MISSED,
        )
        assert dropped > 3000
        assert sniffer.count(mark) + (told(gold, "near") - before).total() <= count
    print(f"of {count} frames {arrived} arrived and {dropped} were dropped")  # noqa: T201


def test_a_controller_that_comes_back_has_missed_nothing_and_sends_nothing(gold: Gold) -> None:
    """It tells what meters have dropped since they were made: before, while it was away, and after."""
    mark, count = frames.marker(), 1000
    sent = frame(gold, "near", "far", mark)
    rule = {"max_kpps": 1, "direction": "egress"}
    with gold.policy(packet_rate_limit=rule) as policy, gold.at(policy, "near"), gold["far"].sniff() as sniffer:

        def arrives_or_is_told(total: int, before: Drops) -> None:
            until(
                f"{total} frames to have arrived or been dropped",
                lambda: sniffer.count(mark) + (told(gold, "near") - before)["egress", "packet_rate"],
                total.__eq__,
            )

        before = told(gold, "near")
        gold["near"].send(sent, count=count, rate=3000)
        arrives_or_is_told(count, before)
        gold.controller.kill(SIGKILL)
        gold["near"].send(sent, count=count, rate=3000)
        gold.controller.start()
        for host in gold.controller.lab.hosts:
            gold.controller.until_live(host)
        assert applied(gold.controller) == []
        arrives_or_is_told(2 * count, Counter())
        gold["near"].send(sent, count=count, rate=3000)
        arrives_or_is_told(3 * count, Counter())
        assert told_of_project(gold) == told(gold, "near")


def came_to_meter(guest: Vm) -> int:
    """Packets that Open vSwitch held against the limit of what the guest may send."""
    ofport = int(guest.host.vsctl("get", "interface", guest.device, "ofport"))
    told = guest.host.ofctl("meter-stats", "br-int")
    [packets] = re.findall(rf"meter:{meter_id(ofport, MeterKind.FROM_PACKETS)} .*packet_in_count:(\d+)", told)
    return int(packets)


def test_sums_go_along_with_a_port_that_moves(gold: Gold) -> None:
    """What its last host's meter had dropped, nobody asked for before it went; what the next one's drops is added."""
    here, there = gold.controller.lab.hosts
    port = gold.api.create("port", network_id=gold.network["id"], name="mover", security_groups=[])
    gold.ports["mover"] = port
    count, dropped = 1000, 0
    with gold.policy(packet_rate_limit={"max_kpps": 1, "direction": "egress"}) as policy, gold.at(policy, "mover"):
        for name, host in (("mover", here), ("moved", there)):
            guest = gold.guests["mover"] = quiet_guest(gold, name, port, host)
            mark = frames.marker()
            with gold["peer"].sniff() as sniffer:
                guest.send(frame(gold, "mover", "peer", mark), count=count, rate=3000)
                until("all to have come to the meter", lambda guest=guest: came_to_meter(guest), count.__eq__)
                guest.unplug()
                gold.controller.until("unbound", "port", port["id"], status="DOWN")
                dropped += count - sniffer.count(mark)
            assert dropped > 100
            assert told(gold, "mover") == {("egress", "packet_rate"): dropped}
            assert statistics(gold, "mover")["sent_packets"] == 0, "unbound"
    gold.api.delete("port", port["id"])
