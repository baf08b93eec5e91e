# SPDX-License-Identifier: Apache-2.0
"""Security groups from REST to real frames.

h1   client, friend (both `default`), server (`web`), bare (`stateless`)
h2   far (`default`), farserver (`web`)

The project's group `default` is as the API makes it: all out, members in. `web` and `stateless` have no rules of
direction ingress; each test makes what it needs and takes it back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from topologies import Lab, Vm
from topologies.controller import Api, Controller, Json
from topologies.tenants import address_of

pytestmark = pytest.mark.net

REFUSED_S = 0.3
"""How long is waited for an answer that must not come."""
PORT = 7100


@dataclass
class Green:
    """One project's network, groups and guests."""

    controller: Controller
    api: Api
    groups: dict[str, str] = field(default_factory=dict)
    ports: dict[str, Json] = field(default_factory=dict)
    guests: dict[str, Vm] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Vm:
        return self.guests[name]

    @contextmanager
    def rule(self, group: str, **attributes: Any) -> Iterator[Json]:
        """A rule of direction ingress for IPv4, if nothing else is said; gone at the end, if it still is there."""
        wish = {"security_group_id": self.groups[group], "direction": "ingress", **attributes}
        path = "/security-group-rules?wait=applied"
        rule = self.api.call("POST", path, {"security_group_rule": wish})["security_group_rule"]
        try:
            yield rule
        finally:
            if self.api.request("GET", f"/security-group-rules/{rule['id']}")[0] == 200:
                self.api.delete("security_group_rule", rule["id"])

    def set_groups(self, guest: str, *groups: str) -> None:
        self.api.update("port", self.ports[guest]["id"], security_groups=[self.groups[one] for one in groups])

    def refuses(self, sender: str, receiver: str, **how: Any) -> bool:
        return not self[sender].reaches(self[receiver], timeout_s=REFUSED_S, **how)


def udp(port: int = PORT) -> Json:
    return {"protocol": "udp", "port_range_min": port, "port_range_max": port}


@pytest.fixture(scope="module")
def green() -> Iterator[Green]:
    with Lab(hosts=2) as lab, Controller(lab, auth="token") as controller:
        controller.add_hosts()
        project = controller.create("project", name="green")
        api = controller.project(project["id"])
        made = Green(controller, api)
        network = api.create("network", name="green")
        for version, cidr in ((4, "10.0.0.0/24"), (6, "2001:db8:1::/64")):
            api.create("subnet", network_id=network["id"], ip_version=version, cidr=cidr)
        for name, stateful in (("web", True), ("stateless", False)):
            made.groups[name] = api.create("security_group", name=name, stateful=stateful)["id"]
        made.groups["default"] = api.list("security_group", "?name=default")[0]["id"]
        h1, h2 = lab.hosts
        for name, host, group in (
            ("client", h1, "default"),
            ("friend", h1, "default"),
            ("server", h1, "web"),
            ("bare", h1, "stateless"),
            ("far", h2, "default"),
            ("farserver", h2, "web"),
        ):
            port = api.create("port", network_id=network["id"], name=name, security_groups=[made.groups[group]])
            guest = lab.guest(name, host, mac=port["mac_address"], iface_id=port["id"])
            guest.plug()
            made.ports[name], made.guests[name] = port, guest
        controller.until_active(*made.ports.values())
        for name, guest in made.guests.items():
            port = made.ports[name]
            guest.configure(f"{address_of(port, 4)}/24", f"{address_of(port, 6)}/64", mtu=network["mtu"])
        yield made


@pytest.mark.parametrize("other", ("friend", "far"))
def test_members_of_the_default_group_reach_each_other(green: Green, other: str) -> None:
    """By each IP version and protocol, by link-local addresses too; whoever is in no such group is kept out."""
    for version in (4, 6):
        for protocol in ("icmp", "udp", "tcp"):
            assert green["client"].reaches(green[other], version=version, protocol=protocol)
            assert green.refuses("server", other, version=version, protocol=protocol)
    assert green["client"].reaches(green[other].link_local)


@pytest.mark.parametrize("receiver", ("server", "farserver"))
@pytest.mark.parametrize("protocol", ("udp", "tcp"))
def test_a_rule_opens_what_it_says(green: Green, receiver: str, protocol: str) -> None:
    """One port of one protocol and IP version; answers pass by themselves."""
    assert green.refuses("client", receiver, protocol=protocol, port=PORT)
    ports = {"protocol": protocol, "port_range_min": PORT - 3, "port_range_max": PORT}
    with green.rule("web", **ports):
        assert green["client"].reaches(green[receiver], protocol=protocol, port=PORT)
        assert green["client"].reaches(green[receiver], protocol=protocol, port=PORT - 3)
        assert green.refuses("client", receiver, protocol=protocol, port=PORT + 1)
        assert green.refuses("client", receiver, protocol=protocol, port=PORT, version=6)
        assert green.refuses("client", receiver)
    assert green.refuses("client", receiver, protocol=protocol, port=PORT)


def test_ping_by_type(green: Green) -> None:
    with (
        green.rule("web", protocol="icmp", port_range_min=8),
        green.rule("web", protocol="icmpv6", port_range_min=128, ethertype="IPv6"),
    ):
        for version in (4, 6):
            assert green["client"].reaches(green["server"], version=version)
            assert green.refuses("client", "server", version=version, protocol="udp")


def test_remote_group_and_prefix(green: Green) -> None:
    """The other end by what it is and by where it is; two groups on one port add up."""
    with green.rule("web", remote_group_id=green.groups["default"], **udp()):
        assert green["client"].reaches(green["server"], protocol="udp", port=PORT)
        assert green["far"].reaches(green["server"], protocol="udp", port=PORT)
        assert green.refuses("farserver", "server", protocol="udp", port=PORT)
        green.set_groups("client", "web")
        assert green.refuses("client", "server", protocol="udp", port=PORT)
        green.set_groups("client", "web", "default")
        assert green["client"].reaches(green["server"], protocol="udp", port=PORT)
        assert green["client"].reaches(green["far"])
        green.set_groups("client", "default")
    with green.rule("web", remote_ip_prefix=f"{green['far'].address(4)}/32", **udp()):
        assert green["far"].reaches(green["server"], protocol="udp", port=PORT)
        assert green.refuses("client", "server", protocol="udp", port=PORT)


def test_no_groups_no_filter(green: Green) -> None:
    green.set_groups("server")
    assert green["client"].reaches(green["server"], protocol="udp", port=PORT + 7)
    green.set_groups("server", "web")
    assert green.refuses("client", "server", protocol="udp", port=PORT + 7)


def test_stateless_needs_a_rule_each_way(green: Green) -> None:
    """A new group lets everything out, so what is missing is the way in for answers."""
    with green.rule("stateless", **udp()):
        assert green["client"].reaches(green["bare"], protocol="udp", port=PORT)
        assert not green["bare"].reaches(green["client"], timeout_s=REFUSED_S)
    green.set_groups("client")
    assert not green["bare"].reaches(green["client"], timeout_s=REFUSED_S)
    with green.rule("stateless", protocol="icmp"):
        assert green["bare"].reaches(green["client"])
    green.set_groups("client", "default")


@pytest.mark.parametrize(("established", "lives"), (("cut", False), ("keep", True)))
def test_established_connections(green: Green, established: str, lives: bool) -> None:
    """A rule that goes cuts its connections, or lets them live; others are not touched."""
    with (
        green.rule("web", established=established, **udp()) as rule,
        green.rule("web", **udp(PORT + 1)),
        green["client"].probe(green["server"], protocol="udp", port=PORT, interval_ms=5) as probe,
        green["far"].probe(green["server"], protocol="udp", port=PORT + 1, interval_ms=5) as other,
    ):
        green.api.delete("security_group_rule", rule["id"])
        _, answered = probe.so_far()
        _, others = other.so_far()
        assert green.refuses("friend", "server", protocol="udp", port=PORT)
        assert (probe.so_far()[1] > answered + 10) is lives
        assert other.so_far()[1] > others + 10


def test_member_that_leaves_is_cut(green: Green) -> None:
    with green["client"].probe(green["friend"], interval_ms=5) as probe:
        green.set_groups("client", "web")
        _, answered = probe.so_far()
        assert green.refuses("client", "friend")
        assert probe.so_far()[1] <= answered + 1
        green.set_groups("client", "default")
        assert green["client"].reaches(green["friend"])


@pytest.mark.parametrize("version", (4, 6))
def test_large_datagrams_pass_in_fragments(green: Green, version: int) -> None:
    """Both ways, through the trackers of both ports, to a rule about ICMP types; and none where no rule allows it."""

    def answered(sender: str, receiver: str) -> bool:
        to = green[receiver].address(version)
        argv = ("ping", "-n", "-q", "-c", "3", "-i", "0.05", "-W", "1", "-s", "4000", to)
        return "3 received" in green[sender].try_run(*argv).stdout

    kind: Json = {"protocol": "icmp", "port_range_min": 8}
    if version == 6:
        kind = {"protocol": "icmpv6", "port_range_min": 128, "ethertype": "IPv6"}
    with green.rule("web", **kind):
        for receiver in ("server", "farserver"):
            assert answered("client", receiver)
        assert not answered("server", "friend")


def test_a_lease_is_taken_whatever_the_rules(green: Green) -> None:
    """Its groups allow nothing in, and it has its address of us."""
    assert green["server"].udhcpc().address == address_of(green.ports["server"], 4)
    port = green.ports["server"]
    green["server"].configure(f"{address_of(port, 4)}/24", f"{address_of(port, 6)}/64")


def test_restart_of_the_controller_changes_nothing(green: Green) -> None:
    """No flow is touched and no connection forgotten."""
    with green["client"].probe(green["far"], interval_ms=5) as probe:
        green.controller.kill()
        green.controller.start()
        for host in green.controller.lab.hosts:
            green.controller.until_live(host)
        assert probe.report().lost == 0


def test_flows_say_whose_rules_they_are(green: Green) -> None:
    h1, _ = green.controller.lab.hosts
    flows = [flow for flow in green.controller.flows(h1) if flow["object_type"] == "group"]
    assert {flow["object"] for flow in flows} == set(green.groups.values())
    assert {flow["name"] for flow in flows} == set(green.groups)
    assert green.controller.flows(h1, "difference") == []
