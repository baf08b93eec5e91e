# SPDX-License-Identifier: Apache-2.0
"""The leak matrix: everybody sends to everybody, by every kind of address, and all that arrives anywhere is counted.

Twelve networks on three hosts, of every kind, of two projects and shared, with overlapping ranges, equal MAC addresses
and equal VLAN tags where these are allowed. What should arrive where is written down once more here, in words of the
API (`promised`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.net.support import Ears, add_guest, datagram, flow_texts, settle
from topologies import Guest, Host, Lab, Vm, frames
from topologies.controller import Controller, Json

pytestmark = pytest.mark.net


@dataclass(frozen=True, slots=True)
class Row:
    """A network of the matrix."""

    type: str
    physical: str
    tag: int
    """VLAN id; 0 for the others."""
    hosts: str
    """Of its guests, by number."""
    macs: int
    """Guests of networks with the same number here have the same MAC addresses."""
    shared: bool = False
    """Its guests belong to two projects."""

    @property
    def tags(self) -> tuple[int, ...]:
        return (self.tag,) if self.tag else ()


NETWORKS = {
    "va": Row("vxlan", "", 0, "112", 1),
    "vb": Row("vxlan", "", 0, "123", 1),
    "vc": Row("vxlan", "", 0, "223", 1, shared=True),
    "vd": Row("vxlan", "", 0, "331", 2),
    "la": Row("vlan", "physnet1", 150, "112", 2),
    "lb": Row("vlan", "physnet2", 150, "223", 2),
    "lc": Row("vlan", "physnet1", 151, "123", 3, shared=True),
    "ld": Row("vlan", "physnet2", 151, "331", 3),
    "le": Row("vlan", "physnet1", 4094, "221", 4),
    "lf": Row("vlan", "physnet2", 1, "112", 4, shared=True),
    "fa": Row("flat", "physnet1", 0, "113", 5, shared=True),
    "fb": Row("flat", "physnet2", 0, "112", 5),
}
"""All have the same range of addresses. A switch between hosts knows a MAC address at one place only, so networks on
the same physical network have MAC addresses of their own."""
PROJECTS = ("4ed0000000000000000000000000000a", "b1e0000000000000000000000000000b")
GROUPS = {
    "broadcast": frames.BROADCAST,
    "multicast": frames.multicast_mac("239.1.2.3"),
    "multicast6": frames.multicast_mac("ff02::fb"),
    "unknown": "52:54:00:99:99:99",
}


@dataclass
class Cloud:
    controller: Controller
    networks: dict[str, Json] = field(default_factory=dict)
    guests: dict[str, list[Vm]] = field(default_factory=dict)
    outside: dict[str, Guest] = field(default_factory=dict)
    """One by physical network."""

    @property
    def hosts(self) -> list[Host]:
        return self.controller.lab.hosts

    @property
    def all(self) -> list[Vm]:
        return [guest for guests in self.guests.values() for guest in guests]

    def network_of(self, guest: Guest) -> str:
        return next(name for name, guests in self.guests.items() if guest in guests)

    def members_on(self, network: str) -> set[str]:
        """Names of the hosts with a guest of the network."""
        return {guest.host.name for guest in self.guests[network]}


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    options = ("--network-vlan-ranges", "physnet1", "physnet2", "--network-flat-networks", "physnet1", "physnet2")
    with Lab(hosts=3, providers=("physnet1", "physnet2")) as lab, Controller(lab, *options) as controller:
        controller.add_hosts()
        cloud = Cloud(controller)
        for order, (name, row) in enumerate(NETWORKS.items()):
            owner = PROJECTS[order % 2]
            wish: Json = {"provider:network_type": row.type, "shared": row.shared, "project_id": owner}
            wish |= {"provider:physical_network": row.physical} if row.physical else {}
            wish |= {"provider:segmentation_id": row.tag} if row.tag else {}
            network = controller.create("network", name=name, **wish)
            controller.create("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24", project_id=owner)
            cloud.networks[name] = network
            cloud.guests[name] = [
                add_guest(
                    controller,
                    f"{name}{number}",
                    lab.hosts[int(host) - 1],
                    network,
                    fixed_ips=[{"ip_address": f"10.0.0.{10 + number}"}],
                    mac_address=f"52:54:00:00:{row.macs:02x}:{number:02x}",
                    project_id=PROJECTS[number % 2] if row.shared else owner,
                )
                for number, host in enumerate(row.hosts, start=1)
            ]
        for number, physical in enumerate(("physnet1", "physnet2"), start=1):
            guest = lab.outside(f"out{number}", physical, addresses=(f"10.0.0.{200 + number}/24",))
            cloud.outside[physical] = guest
        yield cloud


def promised(cloud: Cloud, sender: Vm, to: str) -> dict[str, int]:
    """Which guests receive a frame of `sender` to a MAC address, and how many copies."""
    others = [guest for guest in cloud.guests[cloud.network_of(sender)] if guest is not sender]
    if frames.mac_bytes(to)[0] & 1:
        return {guest.name: 1 for guest in others}
    return {guest.name: 1 for guest in others if guest.mac == to}


@pytest.mark.proves("S16", "S22", "S32", "S75", "S76", "S132", "S164", "S171")
def test_what_arrives_is_what_was_promised(cloud: Cloud) -> None:
    """Every guest to every MAC there is, to all, to groups, to nobody: each copy is counted at every guest."""
    targets = {guest.mac for guest in cloud.all} | {guest.mac for guest in cloud.outside.values()} | {*GROUPS.values()}
    expected: dict[str, dict[str, int]] = {}
    sent: dict[str, tuple[Vm, str]] = {}
    with Ears(cloud.all) as ears:
        for sender in cloud.all:
            batch = []
            for to in targets:
                mark = frames.marker()
                batch.append(datagram(sender, to, mark))
                expected[mark] = promised(cloud, sender, to)
                sent[mark] = sender, to
            sender.send(*batch)
            ears.fence(sender, *(guest for guest in cloud.guests[cloud.network_of(sender)] if guest is not sender))
        heard = ears.heard(*expected)
    wrong = {sent.get(mark): (heard[mark], expected[mark]) for mark in expected if heard[mark] != expected[mark]}
    assert not wrong
    copies_of_each = 2 * len(GROUPS)  # of a broadcast and of two multicasts two, and one of each unicast
    assert sum(len(names) for names in expected.values()) == len(cloud.all) * copies_of_each


@pytest.mark.proves("S22")
@pytest.mark.parametrize("network", ("va", "la", "fa"))
def test_an_open_port_hears_nothing_that_is_for_others(cloud: Cloud, network: str) -> None:
    """Behind it there may be any MAC, so it gets what nobody is known to have; never what is for a port elsewhere."""
    near, free, far = cloud.guests[network]
    assert near.host is free.host is not far.host
    cloud.controller.update("port", free.iface_id, port_security_enabled=False, security_groups=[])
    settle(cloud.controller.lab)
    with Ears((near, free, far)) as ears:
        for sender, receiver in ((near, far), (far, near)):
            theirs, nobodys = frames.marker(), frames.marker()
            sender.send(datagram(sender, receiver.mac, theirs), datagram(sender, GROUPS["unknown"], nobodys))
            ears.fence(sender, free, receiver)
            heard = ears.heard(theirs, nobodys)
            assert heard == {theirs: {receiver.name: 1}, nobodys: {free.name: 1}}
    cloud.controller.update("port", free.iface_id, port_security_enabled=True)
    settle(cloud.controller.lab)


@pytest.mark.proves("S32", "S76")
def test_only_hosts_with_members_are_sent_to(cloud: Cloud) -> None:
    """One copy to each other host that has a guest of the network, whatever is sent; none to any other host."""
    tunnels = {host.tunnel_ip: host.name for host in cloud.hosts}
    for network in ("va", "vb"):
        sender, *others = cloud.guests[network]
        marks = {name: frames.marker() for name in GROUPS}
        with Ears(others) as ears, sender.host.sent_on("underlay") as wire:
            sender.send(*(datagram(sender, GROUPS[name], mark) for name, mark in marks.items()))
            ears.fence(sender, *others)
            for name, mark in marks.items():
                opened = [frames.tunnelled(frame) for frame in wire.frames(mark)]
                to = sorted(tunnels[one.destination] for one in opened if one)
                members = cloud.members_on(network) - {sender.host.name}
                assert to == (sorted(members) if name != "unknown" else []), (network, name)
                assert {one.vni for one in opened if one} <= {cloud.networks[network]["provider:segmentation_id"]}


@pytest.mark.proves("S22", "S40", "S128")
def test_provider_networks_carry_their_own_tag_only(cloud: Cloud) -> None:
    """Whoever listens on a wire sees the frames of its networks, once and with their tag, and no others."""
    with Ears(cloud.outside.values()) as ears:
        for network, row in NETWORKS.items():
            sender, other = cloud.guests[network][:2]
            marks = [frames.marker() for _ in GROUPS]
            sender.send(*(datagram(sender, to, mark) for to, mark in zip(GROUPS.values(), marks, strict=True)))
            with Ears([other]) as member:
                member.fence(sender, other)
            for name, guest in cloud.outside.items():
                for mark in marks:
                    seen = [frames.tags(frame) for frame in ears.frames(guest, mark)]
                    assert seen == ([row.tags] if name == row.physical else []), (network, name)


@pytest.mark.proves("S43", "S128")
def test_guests_and_machines_on_their_provider_network_reach_each_other(cloud: Cloud) -> None:
    """A router or server that is none of our ports, on a flat network: found by ARP, and finding."""
    for network, physical in (("fa", "physnet1"), ("fb", "physnet2")):
        for guest in cloud.guests[network]:
            for protocol in ("icmp", "udp", "tcp"):
                assert guest.reaches(cloud.outside[physical], protocol=protocol)
            assert cloud.outside[physical].reaches(guest)
    assert not cloud.guests["la"][0].reaches(cloud.outside["physnet1"], timeout_s=0.3)
    assert not cloud.guests["fa"][0].reaches(cloud.outside["physnet2"], timeout_s=0.3)


@pytest.mark.proves("S22", "S51", "S164")
def test_what_comes_from_a_provider_network_reaches_its_members_only(cloud: Cloud) -> None:
    """An outsider's frames by tag: untagged to the flat network, a tag to its network, anything else to nobody."""
    with Ears(cloud.all) as ears:
        for physical, guest in cloud.outside.items():
            here = {name: row for name, row in NETWORKS.items() if row.physical == physical}
            flat = next(name for name, row in here.items() if not row.tag)
            # A tag of 0 is only a priority: the provider bridge takes it off.
            rows = [(row.tags, name) for name, row in here.items()] + [((0,), flat), ((199,), ""), ((150, 150), "")]
            for tag, network in rows:
                members = cloud.guests[network] if network else []
                known = members[0].mac if members else cloud.all[0].mac
                marks = {name: frames.marker() for name in (*GROUPS, "known", "foreign")}
                foreign = next(one.mac for one in cloud.all if one not in members)
                targets = GROUPS | {"known": known, "foreign": foreign}
                for name, mark in marks.items():
                    frame = datagram(guest, targets[name], mark)
                    for vid in reversed(tag):
                        frame = frames.tagged(frame, vid)
                    guest.send(frame)
                ears.fence(guest, *cloud.guests[flat])
                heard = ears.heard(*marks.values())
                everyone = {member.name: 1 for member in members}
                for name in ("broadcast", "multicast", "multicast6"):
                    assert heard[marks[name]] == everyone, (physical, tag, name)
                assert heard[marks["unknown"]] == heard[marks["foreign"]] == {}
                assert heard[marks["known"]] == ({members[0].name: 1} if members else {})


@pytest.mark.proves("S32", "S139")
def test_a_host_without_a_member_has_no_flow_of_the_network(cloud: Cloud) -> None:
    """Not of the network, not of any of its ports; every host with one has flows of all of them."""
    ports = cloud.controller.list("port")
    for host in cloud.hosts:
        owners = {flow["object"] for flow in cloud.controller.flows(host)}
        for name, network in cloud.networks.items():
            of_network = {network["id"], *(port["id"] for port in ports if port["network_id"] == network["id"])}
            if host.name in cloud.members_on(name):
                assert of_network <= owners, (host, name)
            else:
                assert not of_network & owners, (host, name)


@pytest.mark.proves("S26", "S171")
def test_a_network_costs_a_host_nothing_before_its_first_port(cloud: Cloud) -> None:
    """Made and filled with ports that are plugged nowhere: no flow on any host. Nor after the last one left."""
    controller = cloud.controller
    before = {host.name: flow_texts(controller, host) for host in cloud.hosts}
    network = controller.create("network", name="empty")
    controller.create("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
    port = controller.create("port", network_id=network["id"])
    assert {host.name: flow_texts(controller, host) for host in cloud.hosts} == before
    guest = cloud.controller.lab.guest("lazy", cloud.hosts[0], mac=port["mac_address"], iface_id=port["id"], plug=True)
    controller.until_active(port)
    assert flow_texts(controller, cloud.hosts[0]) > before["h1"]
    guest.unplug()
    controller.delete("port", port["id"])
    controller.delete("network", network["id"])
    assert {host.name: flow_texts(controller, host) for host in cloud.hosts} == before
