# SPDX-License-Identifier: Apache-2.0
"""Client isolation on shared networks of every kind: tenants reach the service ports, and not each other.

            h1                      h2           on the wire (not of vxlan)
clients     red1  blue1             blue2        stranger
services    front                   back         gateway, by a port that is never plugged
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import pytest

from tests.net.support import Ears, add_guest, datagram, flow_texts, settle
from topologies import Guest, Lab, Vm, frames
from topologies.controller import Controller, Json
from topologies.forgeries import FORGERIES

pytestmark = pytest.mark.net

KINDS: Final[dict[str, Json]] = {
    "vxlan": {"provider:network_type": "vxlan"},
    "vlan": {
        "provider:network_type": "vlan",
        "provider:physical_network": "physnet1",
        "provider:segmentation_id": 150,
    },
    "flat": {"provider:network_type": "flat", "provider:physical_network": "physnet1"},
}
CLIENTS: Final = ("red1", "blue1", "blue2")
SERVICES: Final = ("front", "back")
OUTSIDE: Final = ("gateway", "stranger")
GROUPS: Final = {
    "broadcast": frames.BROADCAST,
    "multicast": frames.multicast_mac("239.1.2.3"),
    "multicast6": frames.multicast_mac("ff02::fb"),
    "unknown": "52:54:00:99:99:99",
}
COPIES: Final = 2


@dataclass
class Plaza:
    """One shared network, and who is on it."""

    controller: Controller
    network: Json
    ears: Ears
    guests: dict[str, Vm]
    outside: dict[str, Guest] = field(default_factory=dict)
    ports: dict[str, Json] = field(default_factory=dict)

    @property
    def all(self) -> dict[str, Guest]:
        return {**self.guests, **self.outside}

    @property
    def services(self) -> list[Vm]:
        return [self.guests[name] for name in SERVICES]

    def isolate(self, *services: str, on: bool = True) -> None:
        ids = [self.ports[name]["id"] for name in services]
        self.controller.update("network", self.network["id"], client_isolation=on, service_ports=ids)
        settle(self.controller.lab)

    def fence(self, sender: Guest) -> None:
        """All that `sender` has sent has arrived by now, at whoever gets it: services on both hosts heard the last of
        it, and then spoke to everybody."""
        self.ears.fence(sender, *(one for one in self.services if one is not sender))
        for service in self.services:
            self.ears.fence(service, *(one for one in self.all.values() if one is not service))

    def heard(self, *marks: str) -> dict[str, set[str]]:
        """marker -> who received it, each in all copies."""
        found = self.ears.heard(*marks)
        assert all(count == COPIES for names in found.values() for count in names.values()), found
        names = {guest.name: name for name, guest in self.all.items()}
        return {mark: {names[name] for name in came} for mark, came in found.items()}


@pytest.fixture(scope="module")
def plazas() -> Iterator[dict[str, Plaza]]:
    options = ("--network-vlan-ranges", "physnet1", "--network-flat-networks", "physnet1")
    with Lab(hosts=2, providers=("physnet1",)) as lab, Controller(lab, *options) as controller:
        controller.add_hosts()
        made: dict[str, Plaza] = {}
        for name, wish in KINDS.items():
            made[name] = build(controller, name, wish)
        try:
            yield made
        finally:
            for plaza in made.values():
                plaza.ears.__exit__()


def build(controller: Controller, kind: str, wish: Json) -> Plaza:
    lab = controller.lab
    network = controller.create("network", name=kind, shared=True, **wish)
    number = 1 + list(KINDS).index(kind)
    pools = [{"start": f"10.9.{number}.2", "end": f"10.9.{number}.249"}]
    controller.create(
        "subnet", network_id=network["id"], ip_version=4, cidr=f"10.9.{number}.0/24", allocation_pools=pools
    )
    controller.create("subnet", network_id=network["id"], ip_version=6, cidr=f"2001:db8:9{number}::/64")
    places = {"red1": 0, "blue1": 0, "blue2": 1, "front": 0, "back": 1}
    guests = {
        name: add_guest(controller, f"{name}n{number}", lab.hosts[host], network, project_id=name.rstrip("12"))
        for name, host in places.items()
    }
    outside: dict[str, Guest] = {}
    ports = {name: controller.show("port", guest.iface_id) for name, guest in guests.items()}
    for order, name in enumerate(OUTSIDE if kind != "vxlan" else ()):
        four, six = f"10.9.{number}.{250 + order}", f"2001:db8:9{number}::{250 + order}"
        vlan = {"vlan": 150} if kind == "vlan" else {}
        outside[name] = lab.outside(f"{name}n{number}", "physnet1", addresses=(f"{four}/24", f"{six}/64"), **vlan)
        if name == "gateway":
            addresses = [{"ip_address": four}, {"ip_address": six}]
            ports[name] = controller.create(
                "port", network_id=network["id"], mac_address=outside[name].mac, fixed_ips=addresses
            )
    return Plaza(controller, network, Ears([*guests.values(), *outside.values()]), guests, outside, ports)


@pytest.fixture(params=KINDS)
def plaza(plazas: dict[str, Plaza], request: pytest.FixtureRequest) -> Plaza:
    """With its clients isolated."""
    found = plazas[request.param]
    found.isolate(*SERVICES, *(("gateway",) if found.outside else ()))
    return found


def promised(plaza: Plaza, sender: str, to: str, services: Iterable[str]) -> set[str]:
    """Who receives a frame that `sender` sends to a MAC address."""
    reached = {*services} if sender not in services else set(plaza.all)
    mac = GROUPS.get(to, "")
    if not mac:
        return {to} & reached
    if not frames.mac_bytes(mac)[0] & 1:
        return set()
    # On the wire of a provider network everybody hears what is for all.
    return (reached | set(plaza.outside)) - {sender}


def is_ours(plaza: Plaza, sender: str, to: str, receiver: str) -> bool:
    """What a wire does among the machines on it, and with what nobody is known to have, is its own affair."""
    return receiver not in plaza.outside or (sender not in plaza.outside and to not in GROUPS and to == receiver)


@pytest.mark.proves("S20", "S44")
def test_all_that_passes_has_a_service_at_one_end(plaza: Plaza) -> None:
    """Everybody to everybody's MAC, to all, to groups, to nobody: each copy is counted at every machine."""
    services = {*SERVICES, *(("gateway",) if plaza.outside else ())}
    for is_isolated in (True, False):
        plaza.isolate(*services, on=is_isolated)
        expected: dict[str, set[str]] = {}
        sent: dict[str, tuple[str, str]] = {}
        for name, sender in plaza.all.items():
            batch = []
            for to in (*plaza.all, *GROUPS):
                if to != name:
                    mark = frames.marker()
                    batch.append(datagram(sender, GROUPS.get(to) or plaza.all[to].mac, mark))
                    expected[mark] = promised(plaza, name, to, services if is_isolated else plaza.all)
                    sent[mark] = name, to
            sender.send(*batch, count=COPIES)
            plaza.fence(sender)
        heard = plaza.heard(*expected)
        wrong = {}
        for mark, (name, to) in sent.items():
            came, should = (
                {one for one in some if is_ours(plaza, name, to, one)} for some in (heard[mark], expected[mark])
            )
            if came != should:
                wrong[name, to] = came, should
        assert not wrong


@pytest.mark.proves("S20", "S44")
@pytest.mark.parametrize("version", (4, 6))
def test_tenants_talk_to_services_and_not_to_each_other(plaza: Plaza, version: int) -> None:
    """With everything that comes before: ARP and neighbour discovery."""
    for guest in plaza.all.values():
        guest.script("ip neigh flush dev eth0")
    red, blue, far = (plaza.guests[name] for name in CLIENTS)
    for client in (red, blue, far):
        for service in plaza.services:
            assert client.reaches(service, version=version)
            assert client.reaches(service, version=version, protocol="tcp")
            assert service.reaches(client, version=version, protocol="udp")
    for one, other in ((red, blue), (blue, red), (red, far), (far, red)):
        assert not one.reaches(other, version=version, timeout_s=0.3)
        assert other.address(version) not in learnt(one)
    if plaza.outside:
        gateway, stranger = plaza.outside["gateway"], plaza.outside["stranger"]
        for client in (red, far):
            assert client.reaches(gateway, version=version)
            assert gateway.reaches(client, version=version)
            assert not client.reaches(stranger, version=version, timeout_s=0.3)
            assert not stranger.reaches(client, version=version, timeout_s=0.3)
        assert stranger.reaches(plaza.guests["front"], version=version)


def learnt(guest: Guest) -> set[str]:
    """Addresses whose MAC the guest knows."""
    lines = guest.run("ip", "neigh", "show", "dev", "eth0").splitlines()
    return {line.split()[0] for line in lines if "lladdr" in line}


@pytest.mark.proves("S20")
def test_questions_are_answered_about_services_only(plaza: Plaza) -> None:
    """Of a client's questions about another client nobody but services hears, and no answer is made on the way."""
    red, blue, front = plaza.guests["red1"], plaza.guests["blue1"], plaza.guests["front"]
    with red.sniff() as answers:
        for to, is_answered in ((front, True), (blue, False)):
            question = frames.arp(red.mac, spa=red.ipv4, tpa=to.ipv4)
            red.send(question)
            plaza.fence(red)
            replies = [one for one in answers.frames() if one[12:14] == b"\x08\x06" and one[20:22] == b"\0\2"]
            assert bool([one for one in replies if one[28:32] == frames.ip_bytes(to.ipv4)]) is is_answered


@pytest.mark.proves("S1", "S44")
def test_forged_frames_arrive_nowhere(plaza: Plaza) -> None:
    """Filters are as ever; above all nobody sends from a service port's MAC."""
    red, front = plaza.guests["red1"], plaza.guests["front"]
    blue = plaza.guests["blue1"]
    marks = []
    for kind in ("mac", "arp-sender-ip", "ipv4", "ipv6", "nd-target"):
        marks.append(frames.marker())
        red.send(FORGERIES[kind].forged(red.identity, front.identity, marks[-1]), count=COPIES)
    for to in (blue, front):
        mark = frames.marker()
        red.send(
            frames.mac_bytes(to.mac) + frames.mac_bytes(front.mac) + datagram(red, to.mac, mark)[12:], count=COPIES
        )
        marks.append(mark)
    plaza.fence(red)
    assert not any(plaza.heard(*marks).values())
    mark = frames.marker()
    red.send(FORGERIES["ipv4"].legal(red.identity, front.identity, mark), count=COPIES)
    plaza.fence(red)
    assert plaza.heard(mark)[mark] == {"front"}


@pytest.mark.proves("S20")
def test_the_list_changes_and_what_that_touches(plazas: dict[str, Plaza]) -> None:
    """A client becomes a service and is one no more; a service's port is deleted. Other networks' flows stay."""
    plaza, controller = plazas["vxlan"], plazas["vxlan"].controller
    red, blue = plaza.guests["red1"], plaza.guests["blue2"]
    plaza.isolate(*SERVICES)
    other = {host.name: of_network(controller, host, plazas["vlan"]) for host in controller.lab.hosts}
    for listed in (True, False):
        plaza.isolate(*SERVICES, *(("blue2",) if listed else ()))
        assert red.reaches(blue, timeout_s=1 if listed else 0.3) is listed
        assert red.reaches(plaza.guests["back"])
    port = controller.create("port", network_id=plaza.network["id"])
    plaza.ports["extra"] = port
    plaza.isolate(*SERVICES, "extra")
    before = controller.show("network", plaza.network["id"])
    assert port["id"] in before["service_ports"]
    mac = port["mac_address"]
    for host in controller.lab.hosts:
        assert [flow for flow in flow_texts(controller, host) if mac in flow and "table=58" in flow]
    controller.delete("port", port["id"])
    after = controller.show("network", plaza.network["id"])
    assert after["service_ports"] == sorted({*before["service_ports"]} - {port["id"]})
    assert after["revision_number"] > before["revision_number"]
    for host in controller.lab.hosts:
        assert not [flow for flow in flow_texts(controller, host) if mac in flow]
        assert of_network(controller, host, plazas["vlan"]) == other[host.name]
        assert controller.flows(host, "difference") == []


def of_network(controller: Controller, host: object, plaza: Plaza) -> set[str]:
    """Flows of another network and of its ports."""
    own = {plaza.network["id"], *(port["id"] for port in plaza.ports.values())}
    return {str(flow["flow"]) for flow in controller.flows(host) if flow["object"] in own}  # type: ignore[arg-type]
