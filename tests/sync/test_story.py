# SPDX-License-Identifier: Apache-2.0
"""`Explainer.packet`: what becomes of a packet, told with everything that it is due to."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from netaddr import IPAddress

from sdnctl.errors import InvalidError, NotFoundError
from sdnctl.flows.pipeline import Reason, Table
from sdnctl.flows.wireflow import WireFlow
from sdnctl.model.ids import PortKey
from sdnctl.model.port import DHCP_OWNER
from sdnctl.model.qos import QosRule
from sdnctl.model.question import Connection, PacketQuestion
from sdnctl.model.security import Direction, SecurityRule
from sdnctl.sync.compile import compile_view
from sdnctl.sync.explain import Explainer
from sdnctl.sync.world import World
from tests.sync.clouds import PORTS, Reports, group, mac, network, policy, port, rule, small_cloud
from tests.sync.fakes import FakeSwitch

IN, OUT = Direction.INGRESS, Direction.EGRESS
WEB = SecurityRule(id="web", direction=IN, version=4, protocol=6, port_min=80, port_max=80)


@pytest.fixture(name="cloud")
def _cloud() -> tuple[World, Reports]:
    """p1 and p3 on h1, p2 on h2, in one tunnelled network; p4 and p5 in the tagged one, on h1 and h2."""
    world, reports = small_cloud()
    friends = rule(IN, remote="g1")
    world.put_group(group("g1", rule(OUT), WEB, friends))
    world.put_group(group("g2", rule(OUT)))
    for name, of, where, groups in (
        ("p1", "tunnelled", "h1", ("g1",)),
        ("p2", "tunnelled", "h2", ("g1",)),
        ("p3", "tunnelled", "h1", ("g2",)),
        ("p4", "tagged", "h1", ()),
        ("p5", "tagged", "h2", ()),
    ):
        world.put_port(port(name, of, groups=groups))
        reports.plug(where, f"tap-{name}", name, PORTS.index(name) + 1)
        reports.tell(world, where)
    return world, reports


def ask(world: World, sender: str, fields: str = "", to: str | None = None, **more: object) -> dict:
    question = PacketQuestion(port_id=sender, fields=fields, to_port=to, **more)
    return json.loads(json.dumps(Explainer(world).packet(question, {})))


def way(told: dict) -> list[tuple[str, str]]:
    return [(step["host"], step["table"]) for step in told["steps"]]


def test_across_hosts(cloud: tuple[World, Reports]) -> None:
    told = ask(cloud[0], "p1", "tcp,tcp_dst=80", "p2")
    assert told["text"] == "arrives at port p2 on h2"
    assert [(one["object"], one["host"]) for one in told["arrivals"]] == [("p2", "h2")]
    assert ("h1", "underlay") in way(told)
    assert way(told)[-1] == ("h2", "output")
    by_table = {(step["host"], step["table"]): step for step in told["steps"]}
    assert "in network tunnelled" in by_table["h1", "classify"]["text"]
    assert "from port p1" in by_table["h1", "classify"]["text"]
    assert by_table["h1", "underlay"]["text"].endswith("by tunnel to h2, VNI 101")
    assert by_table["h2", "output"]["text"].endswith("delivered to port p2")
    assert by_table["h1", "switching"]["object"] == "p2"


def test_rules_that_allow_it_are_named(cloud: tuple[World, Reports]) -> None:
    told = ask(cloud[0], "p1", "tcp,tcp_dst=80", "p2")
    rules = {step["table"]: step["rules"] for step in told["steps"] if step["rules"]}
    assert rules["from_rules"] == ["egress-4--False"]
    assert set(rules["to_rules"]) <= {"web", "ingress-4-g1-False"}
    told = ask(cloud[0], "p3", "tcp,tcp_dst=80", "p2")
    assert [step["rules"] for step in told["steps"] if step["table"] == "to_rules"] == [["web"]]
    assert "ingress TCP 80 from anybody (rule web)" in json.dumps(told)
    told = ask(cloud[0], "p1", "udp,udp_dst=53", "p2")
    assert [step["rules"] for step in told["steps"] if step["table"] == "to_rules"] == [["ingress-4-g1-False"]]


def test_what_dies_says_where_and_why(cloud: tuple[World, Reports]) -> None:
    told = ask(cloud[0], "p3", "tcp,tcp_dst=81", "p2")
    assert told["verdict"] == "dropped"
    assert told["text"] == (
        "dies on h2 in to_verdict: no rule of the receiving port's security groups allows it (asked: security group g1)"
    )
    assert [one["reason"] for one in told["drops"]] == ["not_allowed_to"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    (
        ("icmp,dl_src=52:54:00:00:00:99", Reason.FOREIGN_MAC),
        ("icmp,nw_src=10.0.1.99", Reason.FOREIGN_IPV4),
        ("arp,arp_spa=10.0.1.99", Reason.FOREIGN_ARP),
        ("udp,udp_src=67,udp_dst=68", Reason.DHCP_SERVER),
        ("icmp,dl_vlan=5", Reason.TAGGED),
        ("dl_type=0x88cc,dl_dst=01:80:c2:00:00:0e", Reason.RESERVED_MAC),
        ("icmp,dl_dst=52:54:00:00:00:99", Reason.UNKNOWN_MAC),
    ),
)
def test_forgeries_die_for_their_reason(cloud: tuple[World, Reports], fields: str, reason: Reason) -> None:
    told = ask(cloud[0], "p3", fields, "p2")
    assert [one["reason"] for one in told["drops"]] == [reason.name.lower()], told["text"]
    assert reason.text in told["text"]
    assert ask(cloud[0], "p3", "tcp,tcp_dst=80", "p2")["verdict"] == "arrives"


def test_defaults_are_what_the_sender_would_do(cloud: tuple[World, Reports]) -> None:
    world = cloud[0]
    assert "icmp_type=8" in ask(world, "p4", to="p5")["packet"]
    assert f"dl_dst={str(mac('p5')).lower().replace('-', ':')}" in ask(world, "p4", to="p5")["packet"]
    by_address = ask(world, "p1", "tcp,tcp_dst=80", to_address=IPAddress("10.0.1.12"))
    assert by_address["packet"] == ask(world, "p1", "tcp,tcp_dst=80", "p2")["packet"]
    assert ask(world, "p1", "arp", "p2")["verdict"] == "answered"
    assert ask(world, "p1", "icmp6,icmp_type=135", "p2")["verdict"] == "answered"
    assert ask(world, "p1", "tcp6,tcp_dst=80", "p2")["drops"][0]["reason"] == "not_allowed_from"


def test_broadcast_tells_of_every_copy(cloud: tuple[World, Reports]) -> None:
    told = ask(cloud[0], "p1", "udp,udp_dst=5353,dl_dst=ff:ff:ff:ff:ff:ff,nw_dst=255.255.255.255")
    assert sorted(one["object"] for one in told["arrivals"]) == ["p2"]
    assert [one["reason"] for one in told["drops"]] == ["not_allowed_to"], "p3 has no rule for it"
    assert "one further copy is dropped" in told["text"]


def test_provider_networks(cloud: tuple[World, Reports]) -> None:
    told = ask(cloud[0], "p4", "icmp", "p5")
    assert told["text"] == "arrives at port p5 on h2"
    assert told["outside"] == [{"host": "h1", "physical_network": "physnet1", "tag": 102}]
    told = ask(cloud[0], "p4", "icmp,nw_dst=10.0.2.77,dl_dst=52:54:00:00:00:77")
    assert told["verdict"] == "leaves"


def test_established_and_answers(cloud: tuple[World, Reports]) -> None:
    world = cloud[0]
    new = ask(world, "p2", "tcp,tcp_src=80,tcp_dst=40000", "p3")
    answer = ask(world, "p2", "tcp,tcp_src=80,tcp_dst=40000", "p3", connection=Connection.REPLY)
    assert (new["verdict"], answer["verdict"]) == ("dropped", "arrives")
    assert (
        ask(world, "p1", "tcp,tcp_dst=80", "p2", connection=Connection.INVALID)["drops"][0]["reason"] == "invalid_state"
    )
    told = ask(world, "p1", "tcp,tcp_dst=80", "p2", connection=Connection.ESTABLISHED)
    assert "tracked: its own connection, established" in json.dumps(told)


def test_port_that_sends_nothing(cloud: tuple[World, Reports]) -> None:
    world, _ = cloud
    world.put_port(replace(port("p6"), name="spare"))
    assert ask(world, "p6", "icmp", "p2")["text"] == "is not sent: no interface of any host is port spare's"
    world.put_port(port("p4", "tagged", up=False))
    assert ask(world, "p4", "icmp", "p5")["text"] == "is not sent: port p4 is administratively down"
    world.put_network(network("tunnelled", up=False))
    assert "administratively down" in ask(world, "p1", "icmp", "p2")["text"]


@pytest.mark.parametrize(
    ("fields", "to", "complaint"),
    (
        ("tcp", "p2", "which port\\? Say for instance tcp_dst=80"),
        ("tcp_dst=80", "p2", "Write them as a match of ovs-ofctl: tcp,tcp_dst=80"),
        ("icmp,nw_dst=10.0.0.0/8", "p2", "a packet has one value there"),
        ("icmp,reg0=5", "p2", "reg0 is nothing that a frame carries"),
        ("icmp,in_port=5", "p2", "in_port is nothing that a frame carries"),
        ("icmp", None, "to whom\\? nobody was named"),
        ("icmp,nw_dst=10.0.1.200", None, "Nobody in the port's network has that address"),
        ("icmp", "p5", "is in another network than port p1"),
        ("ipp", "p2", "'ipp' is no test of a field"),
    ),
)
def test_what_cannot_be_asked_says_what_to_write(
    cloud: tuple[World, Reports], fields: str, to: str | None, complaint: str
) -> None:
    with pytest.raises(InvalidError, match=complaint):
        ask(cloud[0], "p1", fields, to)


def test_unknown_ports(cloud: tuple[World, Reports]) -> None:
    with pytest.raises(NotFoundError):
        ask(cloud[0], "p9")
    with pytest.raises(NotFoundError):
        ask(cloud[0], "p1", to="p9")


def test_a_tenant_hears_of_its_own_only(cloud: tuple[World, Reports]) -> None:
    """Whether it arrives, as its guest would find out; but no id, name, rule, flow, host or number of others."""
    world, reports = cloud
    world.put_port(
        replace(port("p6", groups=("g3",)), key=PortKey(6), id="secret-port", name="secret", project_id="other")
    )
    theirs = group("g3", SecurityRule(id="secret-rule", direction=IN, version=4, protocol=6, port_min=80, port_max=80))
    world.put_group(replace(theirs, id="g3", name="secret-group", project_id="other"))
    reports.plug("h2", "tap-p6", "secret-port", 6, right_mac=False)
    facts = reports.of("h2").interfaces["tap-p6"]
    reports.facts["h2"] = replace(
        reports.of("h2"), interfaces={**reports.of("h2").interfaces, "tap-p6": replace(facts, attached_mac=None)}
    )
    reports.tell(world, "h2")
    address = IPAddress("10.0.1.16")
    for port_number, verdict in ((80, "arrives"), (81, "dropped")):
        told = ask(world, "p1", f"tcp,tcp_dst={port_number}", to_address=address, project_id="project")
        assert told["verdict"] == verdict
        said = json.dumps(told)
        for secret in ("secret", "h1", "h2", "VNI", "cookie", "192.0.2"):
            assert secret not in said, said
        assert "a port of another project" in said
        assert "port p1" in said
    assert "secret" in json.dumps(ask(world, "p1", "tcp,tcp_dst=80", to_address=address))


def test_limits_on_the_way_are_named_with_their_policies(cloud: tuple[World, Reports]) -> None:
    """Both of a sender with two, the receiver's; a tenant learns the rates of its own port, and names of its own."""
    world, reports = cloud
    own = policy("slow", QosRule("bandwidth_limit", OUT, 5000), QosRule("packet_rate_limit", OUT, 2))
    theirs = replace(policy("their-gold", QosRule("packet_rate_limit", IN, 1)), project_id="other")
    for one in (own, theirs):
        world.put_policy(one)
    world.put_port(replace(world.ports["p1"], qos_policy_id="slow"))
    world.put_port(replace(world.ports["p3"], qos_policy_id="their-gold", security_groups=()))
    reports.tell(world, "h1")

    def limits(told: dict) -> dict[str, str]:
        return {step["table"]: step["text"] for step in told["steps"] if "limited" in step["text"]}

    sends = {
        "from_qos": "limited to 5000 kbit/s by QoS policy slow",
        "from_packets": "limited to 2000 packets/s by QoS policy slow",
    }
    receives = {"output": "limited to 1000 packets/s by QoS policy their-gold; delivered to port p3"}
    assert limits(ask(world, "p1", "udp,udp_dst=9", "p3")) == sends | receives
    receives = {"output": "limited to 1000 packets/s by a QoS policy of another project; delivered to port p3"}
    assert limits(ask(world, "p1", "udp,udp_dst=9", "p3", project_id="project")) == sends | receives
    world.put_port(replace(world.ports["p3"], project_id="other"))
    told = ask(world, "p1", "udp,udp_dst=9", to_address=IPAddress("10.0.1.13"), project_id="project")
    hidden = "limited by a QoS policy of another project; delivered to a port of another project"
    assert limits(told) == sends | {"output": hidden}


def test_what_goes_to_the_controller_has_a_limit(cloud: tuple[World, Reports]) -> None:
    world, _ = cloud
    world.put_port(port("p6", owner=DHCP_OWNER))
    told = ask(world, "p1", "udp,udp_src=68,udp_dst=67,nw_src=0.0.0.0,nw_dst=255.255.255.255,dl_dst=ff:ff:ff:ff:ff:ff")
    assert [step["text"] for step in told["steps"]][-1] == "at most 20 packets/s; handed to the controller"


def test_installed_flows_are_what_counts(cloud: tuple[World, Reports]) -> None:
    """What a switch has lost, and what somebody put there, shows; what we cannot read is left out, and said."""
    world = cloud[0]
    tasks = {}
    for host_id in world.hosts:
        switch = FakeSwitch()
        compiled = [compile_view(world.view(host_id, unit)) for unit in world.units(host_id)]
        switch.flows = {flow.key: flow for one in compiled for flow in one.flows}
        tasks[host_id] = SimpleNamespace(connection=switch)
    question = PacketQuestion(port_id="p1", fields="tcp,tcp_dst=80", to_port="p2", installed=True)
    told = Explainer(world).packet(question, tasks)
    assert (told["flows"], told["verdict"]) == ("installed", "arrives")
    assert told["steps"] == Explainer(world).packet(replace(question, installed=False), {})["steps"]
    there = tasks["id-h2"].connection.flows
    for key in [key for key, flow in there.items() if flow.table == Table.OUTPUT]:
        del there[key]
    unknown = WireFlow(bytes((Table.OUTPUT, 0, 1)), 7, bytes((0, 99, 0, 8, 0, 0, 0, 0)))
    there[unknown.key] = unknown
    told = Explainer(world).packet(question, tasks)
    assert told["text"] == "dies on h2 in output: no flow in this table knows the packet"
    assert told["left_out"] == "flows that are none of ours: 1 on h2"
    tasks["id-h2"].connection = None
    with pytest.raises(InvalidError, match="Host h2 is not connected"):
        Explainer(world).packet(question, tasks)
