# SPDX-License-Identifier: Apache-2.0
"""Fail-over addresses with real frames: whoever announces one has it, on one host and across hosts, with or without us.

on each of the networks `tunnelled` (VXLAN) and `plain` (flat):
h1   client, m1, m2, stranger      h2   far, m3
m1, m2 and m3 are members and have the addresses configured. They answer whoever asks them, as guests do that share an
address; which one is asked is what this is about.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from sdnctl.flows.pipeline import Reason
from tests.net.failover import MOVED_MS, Move, announcement, drops, is_answer, lasting_flows, move_of
from tests.net.support import Ears, add_guest, settle, until
from topologies import Guest, Lab, Vm, frames
from topologies.controller import Api, Controller, Json

pytestmark = pytest.mark.net

V4, V6 = "10.9.0.200", "2001:db8:9::200"
PINNED4 = "10.9.0.210"
MEMBERS = ("m1", "m2", "m3")


@dataclass
class Net:
    """One network, its guests and its groups."""

    controller: Controller
    api: Api
    network: Json
    guests: dict[str, Guest] = field(default_factory=dict)
    groups: dict[str, Json] = field(default_factory=dict)
    """By address."""

    def __getitem__(self, name: str) -> Vm:
        guest = self.guests[name]
        assert isinstance(guest, Vm)
        return guest

    def port(self, name: str) -> str:
        return self[name].iface_id

    def holder(self, address: str) -> str | None:
        """Name of the guest that has the address, as the API says."""
        holder = self.api.show("ip_group", self.groups[address]["id"])["holder"]
        return next((name for name in MEMBERS if self.port(name) == holder), None)

    def announces(self, name: str, address: str, *, op: int = 2) -> None:
        """A member announces the address once, and everything has followed."""
        self[name].send(announcement(self[name], address, op=op))
        self.follows(name, address)

    def follows(self, name: str, address: str) -> None:
        until(f"{name} to hold {address}", lambda: self.holder(address), lambda holder: holder == name)
        for host in self.controller.lab.hosts:
            self.controller.until_live(host)


@pytest.fixture(scope="module")
def controller() -> Iterator[Controller]:
    with Lab(hosts=2, providers=("physnet1",)) as lab, Controller(lab, auth="token") as controller:
        controller.add_hosts()
        yield controller


def built(controller: Controller, name: str, short: str, **wish: object) -> Net:
    project = controller.create("project", name=name)
    api = controller.project(project["id"])
    network = controller.create("network", name=name, project_id=project["id"], **wish)
    for version, cidr, first, last in (
        (4, "10.9.0.0/24", "10.9.0.2", "10.9.0.127"),
        (6, "2001:db8:9::/64", "2001:db8:9::2", "2001:db8:9::7f"),
    ):
        # No port has one of the shared addresses by chance.
        wish = {"cidr": cidr, "allocation_pools": [{"start": first, "end": last}]}
        api.create("subnet", network_id=network["id"], ip_version=version, **wish)
    made = Net(controller, api, network)
    h1, h2 = controller.lab.hosts
    for guest, host in (("client", h1), ("far", h2), ("m1", h1), ("m2", h1), ("m3", h2), ("stranger", h1)):
        made.guests[guest] = add_guest(controller, f"{short}{guest}", host, network, project_id=project["id"])
    for address in (V4, V6, PINNED4):
        members = [made.port(member) for member in MEMBERS]
        made.groups[address] = api.create("ip_group", network_id=network["id"], ip_address=address, port_ids=members)
        for member in MEMBERS:
            made[member].script(f"ip addr add {address}/{64 if ':' in address else 24} dev eth0 nodad")
    for host in controller.lab.hosts:
        controller.until_live(host)
    return made


@pytest.fixture(scope="module")
def tunnelled(controller: Controller) -> Net:
    return built(controller, "tunnelled", "t")


@pytest.fixture(scope="module")
def plain(controller: Controller) -> Net:
    """A flat network, and a machine on it that is none of ours."""
    provider = {"provider:network_type": "flat", "provider:physical_network": "physnet1"}
    net = built(controller, "plain", "p", **provider)
    net.guests["outside"] = controller.lab.outside("outside", "physnet1", addresses=("10.9.0.250/24",))
    net.guests["outside"].script("ip addr add 2001:db8:9::250/64 dev eth0 nodad")
    return net


@pytest.fixture(params=("tunnelled", "plain"))
def net(request: pytest.FixtureRequest) -> Net:
    made: Net = request.getfixturevalue(request.param)
    return made


def moves(net: Net, client: Guest, address: str, old: str, new: str) -> Move:
    """`old` has the address and the client's cache says so; then `new` announces it, once."""
    assert client.reaches(address, version=6 if ":" in address else 4, timeout_s=3)
    net.announces(old, address)
    with client.sniff() as seen, client.probe(address, version=6 if ":" in address else 4) as probe:
        before = seen.timed()
        assert {frame[6:12] for _, frame in before if is_answer(frame, address)} == {frames.mac_bytes(net[old].mac)}
        net[new].send(announcement(net[new], address))
        until("traffic to move", lambda: move_of(seen, address, net[new].mac))
        net.follows(new, address)
        report = probe.report()
        move = move_of(seen, address, net[new].mac)
    assert move is not None
    assert move.answers >= 10, move
    assert report.longest_gap_ms - report.longest_stall_ms < MOVED_MS, report
    return move


@pytest.mark.proves("S6", "S7")
@pytest.mark.parametrize("address", (V4, V6))
@pytest.mark.parametrize(
    ("client", "old", "new"),
    (("client", "m1", "m2"), ("client", "m1", "m3"), ("far", "m1", "m2"), ("far", "m3", "m1")),
)
def test_announcement_moves_traffic(tunnelled: Net, client: str, old: str, new: str, address: str) -> None:
    """Of a client whose neighbour cache is filled: at once, wherever client, old and new holder are."""
    move = moves(tunnelled, tunnelled.guests[client], address, old, new)
    assert move.longest_ms < MOVED_MS
    assert (move.last_of_old_ms or 0) < MOVED_MS


@pytest.mark.proves("S9")
@pytest.mark.parametrize("address", (V4, V6))
@pytest.mark.parametrize(("client", "old", "new"), (("client", "m1", "m3"), ("outside", "m3", "m2")))
def test_announcement_moves_traffic_on_a_flat_network(
    plain: Net, client: str, old: str, new: str, address: str
) -> None:
    """Also of a machine beyond the provider bridge, which is none of ours."""
    move = moves(plain, plain.guests[client], address, old, new)
    assert move.longest_ms < MOVED_MS
    assert (move.last_of_old_ms or 0) < MOVED_MS


@pytest.mark.proves("S7")
@pytest.mark.parametrize("address", (V4, V6))
def test_who_asks_is_told_of_the_new_holder(net: Net, address: str) -> None:
    """A client with an empty cache, on every host, while all members are there to say something else."""
    for holder in ("m1", "m3", "m2"):
        net.announces(holder, address)
        for client in ("client", "far"):
            net[client].script("ip neigh flush all")
            assert net[client].reaches(address, version=6 if ":" in address else 4, timeout_s=3)
            known = net[client].run("ip", "neigh", "show", "to", address, "dev", "eth0")
            assert net[holder].mac in known, known


@pytest.mark.proves("S7")
@pytest.mark.parametrize("address", (V4, V6))
def test_non_members_announcement_dies_and_is_counted(net: Net, address: str) -> None:
    """At the first switch; a member's, sent by the same means to the same receivers, arrives everywhere."""
    net.announces("m1", address)
    host = net["stranger"].host
    reason = Reason.FOREIGN_ND if ":" in address else Reason.FOREIGN_ARP
    source = net["stranger"].link_local
    with Ears([net["client"], net["far"], net["m1"]]) as ears:
        before = drops(host, reason)
        lie, truth = frames.marker(), frames.marker()
        forged = announcement(net["stranger"], address, mark=lie)
        if ":" in address:
            packet = frames.neighbour_advertisement(source, address, tll=net["stranger"].mac)
            forged = frames.ethernet(frames.multicast_mac("ff02::1"), net["stranger"].mac, frames.ETH_IPV6, packet, lie)
        for _ in range(5):
            net["stranger"].send(forged)
        ears.fence(net["stranger"], net["client"], net["far"])
        net["m2"].send(announcement(net["m2"], address, mark=truth))
        for guest in (net["client"], net["far"], net["m1"]):
            assert ears.wait(guest, truth) == 1
        assert ears.heard(lie) == {lie: {}}
    until("the drops to be counted", lambda: drops(host, reason) - before, lambda count: count == 5)
    net.follows("m2", address)


@pytest.mark.proves("S10")
def test_members_send_from_it_at_once_and_a_third_does_not(net: Net) -> None:
    """As an anycast address would be used: packets of both members arrive, whoever holds the address."""
    net.announces("m1", V4)
    net.announces("m1", V6)
    for receiver in ("client", "far"):
        with Ears([net[receiver]]) as ears:
            for name, counted in (("m1", 1), ("m2", 1), ("m3", 1), ("stranger", 0)):
                for address, target in ((V4, net[receiver].ipv4), (V6, net[receiver].ipv6)):
                    mark = frames.marker()
                    ethertype = frames.ETH_IPV6 if ":" in address else frames.ETH_IPV4
                    packet = frames.udp(address, target, 4000, 4001, b"x")
                    net[name].send(frames.ethernet(net[receiver].mac, net[name].mac, ethertype, packet, mark))
                    ears.fence(net[name], net[receiver])
                    assert ears.wait(net[receiver], mark, timeout_s=0) == counted, (name, address)


def test_pinned_address_stays(tunnelled: Net) -> None:
    """Whatever another member says: its announcement reaches nobody, and is counted; the pinned one's does."""
    net, group = tunnelled, tunnelled.groups[PINNED4]
    net.announces("m1", PINNED4)
    net.api.update("ip_group", group["id"], active=net.port("m2"))
    assert net.holder(PINNED4) == "m2"
    settle(net.controller.lab)
    host = net["m1"].host
    with Ears([net["client"], net["far"]]) as ears:
        before = drops(host, Reason.PINNED)
        lie, truth = frames.marker(), frames.marker()
        net["m1"].send(announcement(net["m1"], PINNED4, mark=lie))
        net["m2"].send(announcement(net["m2"], PINNED4, mark=truth))
        ears.fence(net["m1"], net["client"], net["far"])
        assert ears.wait(net["client"], truth) == ears.wait(net["far"], truth) == 1
        assert ears.heard(lie) == {lie: {}}
    until("the drop to be counted", lambda: drops(host, Reason.PINNED) - before, lambda count: count == 1)
    net["client"].script("ip neigh flush all")
    assert net["client"].reaches(PINNED4, timeout_s=3)
    assert net["m2"].mac in net["client"].run("ip", "neigh", "show", "to", PINNED4)
    net.api.update("ip_group", group["id"], active="auto")
    net.announces("m3", PINNED4)


def test_holder_that_goes_away(tunnelled: Net) -> None:
    """Unplugged, nobody is said to have it, and who asks hears those who do; plugged again, it has it again."""
    net = tunnelled
    net.announces("m2", V4)
    port = net.api.show("port", net.port("m2"))
    net["m2"].unplug()
    net.controller.until("m2 to be gone", "port", port["id"], status="DOWN")
    for host in net.controller.lab.hosts:
        net.controller.until_live(host)
    settle(net.controller.lab)
    net["client"].script("ip neigh flush all")
    assert net["client"].reaches(V4, timeout_s=3)
    known = net["client"].run("ip", "neigh", "show", "to", V4)
    assert any(net[name].mac in known for name in ("m1", "m3")), known
    assert net.holder(V4) == "m2"
    net["m2"].plug()
    net.controller.until_active(port)
    for host in net.controller.lab.hosts:
        net.controller.until_live(host)
    net["client"].script("ip neigh flush all")
    assert net["client"].reaches(V4, timeout_s=3)
    assert net["m2"].mac in net["client"].run("ip", "neigh", "show", "to", V4)


def test_member_that_left_sends_no_more(tunnelled: Net) -> None:
    net, group = tunnelled, tunnelled.groups[V4]
    net.announces("m2", V4)
    left = [net.port(name) for name in ("m1", "m3")]
    changed = net.api.update("ip_group", group["id"], port_ids=left)
    assert changed["holder"] is None
    settle(net.controller.lab)
    with Ears([net["client"]]) as ears:
        for name, counted in (("m2", 0), ("m1", 1)):
            mark = frames.marker()
            packet = frames.udp(V4, net["client"].ipv4, 4000, 4001, b"x")
            net[name].send(frames.ethernet(net["client"].mac, net[name].mac, frames.ETH_IPV4, packet, mark))
            ears.fence(net[name], net["client"])
            assert ears.wait(net["client"], mark, timeout_s=0) == counted, name
    net.api.update("ip_group", group["id"], port_ids=[net.port(name) for name in MEMBERS])
    net.announces("m2", V4)


@pytest.mark.parametrize("address", (V4, V6))
def test_restart_changes_nothing(tunnelled: Net, address: str) -> None:
    """The holder is in the database, so the flows are right as they are and nothing at all is sent."""
    net = tunnelled
    net.announces("m3", address)
    controller = net.controller
    before = {host.name: lasting_flows(host) for host in controller.lab.hosts}
    with net["client"].probe(address, version=6 if ":" in address else 4) as probe:
        start = controller.log.stat().st_size
        controller.kill()
        controller.start()
        for host in controller.lab.hosts:
            controller.until_live(host)
        report = probe.report()
    assert report.lost == 0, report
    assert net.holder(address) == "m3"
    for host in controller.lab.hosts:
        assert lasting_flows(host) == before[host.name]
    assert "bundle applied" not in controller.log.read_text()[start:]


@pytest.mark.proves("S7")
@pytest.mark.parametrize("address", (V4, V6))
def test_traffic_moves_without_a_controller(tunnelled: Net, address: str) -> None:
    """Neighbours' caches follow the announcement by themselves, and stay so when they check what they know.

    A client that asks anew is told of the old holder meanwhile: that, and only that, waits for us. And when we are
    back, the next announcement puts it right.
    """
    net = tunnelled
    client = net["client"]
    net.announces("m1", address)
    client.script("ip neigh flush all")
    net.controller.kill()
    try:
        with client.sniff() as seen, client.probe(address, version=6 if ":" in address else 4) as probe:
            net["m3"].send(announcement(net["m3"], address))
            until("traffic to move", lambda: move_of(seen, address, net["m3"].mac))
            # What the kernel does some seconds after it has heard of a change: it asks the new neighbour itself.
            client.script(f"ip neigh change {address} dev eth0 lladdr {net['m3'].mac} nud probe")
            known = until(
                "the neighbour to be checked",
                lambda: client.run("ip", "neigh", "show", "to", address),
                lambda text: "REACHABLE" in text,
            )
            report = probe.report()
            move = move_of(seen, address, net["m3"].mac)
        assert net["m3"].mac in known
        assert move is not None
        assert move.longest_ms < MOVED_MS
        assert (move.last_of_old_ms or 0) < MOVED_MS
        assert report.longest_gap_ms - report.longest_stall_ms < MOVED_MS, report
    finally:
        net.controller.start()
    for host in net.controller.lab.hosts:
        net.controller.until_live(host)
    assert net.holder(address) == "m1"
    net.announces("m3", address)


def test_flapping_is_bounded_and_ends_with_the_last_one(tunnelled: Net) -> None:
    """Two members fight for the address; the journal does not, and when they are done the last one has it."""
    net = tunnelled
    revision = net.api.show("ip_group", net.groups[V4]["id"])["revision_number"]
    for number in range(200):
        name = ("m1", "m3")[number % 2]
        net[name].send(announcement(net[name], V4))
    net["m2"].send(announcement(net["m2"], V4))
    net.follows("m2", V4)
    assert net.api.show("ip_group", net.groups[V4]["id"])["revision_number"] - revision < 40
