# SPDX-License-Identifier: Apache-2.0
"""A port comes up, moves, is cut off and goes: what passes is exactly what its filters were confirmed for.

Interfaces are plugged as libvirt and Nova do it, by writing the port's id beside them.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from sdnctl import runtime
from tests.net.support import Ears, add_guest, configure, datagram, flow_texts, settle, until
from topologies import Host, Vm, frames
from topologies.controller import Controller, Json
from topologies.forgeries import FORGERIES
from topologies.tenants import Tenants

pytestmark = pytest.mark.net

COPIES = 5


@dataclass
class Street:
    """A network with a guest on each host that stays, and one port for a guest that comes and goes."""

    controller: Controller
    network: Json
    near: Vm
    far: Vm
    port: Json
    base: dict[str, set[str]]
    """The flows of each host before the port was plugged."""
    guests: list[Vm] = field(default_factory=list)

    @property
    def hosts(self) -> tuple[Host, Host]:
        h1, h2 = self.controller.lab.hosts
        return h1, h2

    def flows(self) -> dict[str, set[str]]:
        return {host.name: flow_texts(self.controller, host) for host in self.hosts}

    def guest(self, host: Host) -> Vm:
        """A machine with the port's MAC, addresses and id, not plugged."""
        name = f"come{len(self.controller.lab.guests)}"
        guest = self.controller.lab.guest(name, host, mac=self.port["mac_address"], iface_id=self.port["id"])
        configure(guest, self.port, self.network)
        self.guests.append(guest)
        return guest

    def until_bound(self, host: str, status: str = "ACTIVE") -> None:
        wanted = {"status": status, "bound_host": host}
        self.controller.until("binding", "port", self.port["id"], **wanted)
        settle(self.controller.lab)

    def problems(self, host: Host) -> list[str]:
        return [str(one) for one in self.controller.host(host.name)["problems"]]

    def talks(self, guest: Vm) -> bool:
        """Whether frames pass from and to the guest: all of them and from both sides, or none at all."""
        others = (self.near, self.far)
        sent = frames.marker()
        alone, called = ({other.name: frames.marker() for other in others} for _ in range(2))
        with Ears((guest, *others)) as ears:
            before = received_by_switch(guest)
            guest.send(datagram(guest, frames.BROADCAST, sent), count=COPIES)
            until("the switch to take them", lambda: received_by_switch(guest), lambda count: count >= before + COPIES)
            for other in others:
                other.send(datagram(other, guest.mac, alone[other.name]), count=COPIES)
                other.send(datagram(other, frames.BROADCAST, called[other.name]), count=COPIES)
                ears.fence(other, *(one for one in others if one is not other))
            ears.fence(self.near, self.far)
            ears.fence(self.far, self.near)
            heard = ears.heard(sent, *alone.values(), *called.values())
        if not heard[sent]:
            assert not any(guest.name in found for found in heard.values()), "it hears, and is not heard"
            return False
        assert heard[sent] == {other.name: COPIES for other in others}
        for other in others:
            assert heard[alone[other.name]] == {guest.name: COPIES}
            assert heard[called[other.name]] == {one.name: COPIES for one in (guest, *others) if one is not other}
        return True


def received_by_switch(guest: Vm) -> int:
    """How many frames the guest's switch has taken from it."""
    found = re.search(r"rx pkts=(\d+)", guest.host.ofctl("dump-ports", "br-int", guest.device))
    return int(found[1]) if found else 0


@pytest.fixture(scope="module")
def staying(tenants: Tenants) -> tuple[Json, Vm, Vm]:
    controller, (h1, h2) = tenants.controller, tenants.controller.lab.hosts
    network = controller.create("network", name="street")
    controller.create("subnet", network_id=network["id"], ip_version=4, cidr="10.11.0.0/24")
    return network, add_guest(controller, "stay1", h1, network), add_guest(controller, "stay2", h2, network)


@pytest.fixture
def street(tenants: Tenants, staying: tuple[Json, Vm, Vm]) -> Iterator[Street]:
    controller = tenants.controller
    network, near, far = staying
    base = {host.name: flow_texts(controller, host) for host in controller.lab.hosts}
    port = controller.create("port", network_id=network["id"], name="coming")
    street = Street(controller, network, near, far, port, base)
    yield street
    for guest in street.guests:
        guest.unplug()
    if controller.list("port", f"?id={port['id']}"):
        controller.delete("port", port["id"])
    until("flows to be as before", street.flows, lambda flows: flows == base)


@pytest.mark.proves("S33")
def test_nothing_passes_before_the_filters_are_confirmed(street: Street) -> None:
    """The window between plugging and the first flow, held open: the controller is stopped meanwhile."""
    guest = street.guest(street.hosts[0])
    os.kill(street.controller.pid, signal.SIGSTOP)
    try:
        guest.plug()
        assert not street.talks(guest)
    finally:
        os.kill(street.controller.pid, signal.SIGCONT)
    street.until_bound("h1")
    assert street.talks(guest)


@pytest.mark.proves("S33")
def test_a_forger_finds_no_moment_while_its_port_comes_up(street: Street) -> None:
    """Forged and legal frames in turn, from before the plug until after ACTIVE: only legal ones pass."""
    guest = street.guest(street.hosts[0])
    kinds = ("ipv4", "mac", "arp-sender-ip", "arp-gratuitous", "dhcp-server")
    bad = [frames.marker() for _ in kinds]
    good = frames.marker()
    forged = [
        FORGERIES[kind].forged(guest.identity, street.near.identity, mark)
        for kind, mark in zip(kinds, bad, strict=True)
    ]
    legal = FORGERIES["ipv4"].legal(guest.identity, street.near.identity, good)
    with Ears((street.near, street.far)) as ears:
        stream = runtime.spawn(lambda: guest.send(*forged, legal, count=500, rate=3000))
        guest.plug()
        assert ears.wait(street.near, good, 20, timeout_s=10) >= 20
        street.controller.until_active(street.port)
        assert stream.join() == 500 * 6
        ears.fence(guest, street.near, street.far)
        heard = ears.heard(good, *bad)
        assert heard[good].keys() == {street.near.name}
        assert not any(heard[mark] for mark in bad)


@pytest.mark.proves("S18", "S27", "S33", "S171")
def test_a_deleted_port_is_dead_at_once_and_leaves_no_flow(street: Street) -> None:
    """Its interface is still plugged. The host says that it names no port."""
    guest = street.guest(street.hosts[0])
    guest.plug()
    street.until_bound("h1")
    assert street.talks(guest)
    street.controller.delete("port", street.port["id"])
    settle(street.controller.lab)
    assert street.flows() == street.base
    assert not street.talks(guest)
    assert any(guest.device in problem and "names no port" in problem for problem in street.problems(street.hosts[0]))


@pytest.mark.proves("S18")
def test_unplugged_and_plugged_again(street: Street) -> None:
    """Unplugged it is DOWN and has no flow; plugged again, with another ofport, all is as before."""
    guest = street.guest(street.hosts[0])
    guest.plug()
    street.until_bound("h1")
    assert street.talks(guest)
    guest.unplug()
    street.until_bound("", "DOWN")
    # The port still is somebody who may come: its addresses are not answered for while it is nowhere.
    assert street.flows() == street.base
    guest.plug()
    street.until_bound("h1")
    assert street.talks(guest)


def ofports_in(flows: set[str]) -> set[int]:
    """Every OpenFlow port number that flows name."""
    return {int(number) for flow in flows for number in re.findall(r"(?:in_port=|output:)(\d+)", flow)}


def test_another_ofport_without_unplugging(street: Street) -> None:
    """Open vSwitch gives the interface a new number: no flow of the old one is left, and the new one works."""
    guest = street.guest(street.hosts[0])
    guest.plug()
    street.until_bound("h1")
    old = int(guest.host.vsctl("get", "Interface", guest.device, "ofport"))
    for wish in (4001, 4002):
        guest.host.vsctl("set", "Interface", guest.device, f"ofport_request={wish}")
        until("the new number", lambda: ofports_in(street.flows()["h1"]), lambda found, want=wish: want in found)
        assert not {old, 4001, 4002} - {wish} & ofports_in(street.flows()["h1"])
        street.until_bound("h1")
        assert street.talks(guest)


def test_two_interfaces_of_one_port_for_a_while(street: Street) -> None:
    """The newer one works, the older one is dead and told of; when that goes, nothing of the newer one goes with it."""
    old = street.guest(street.hosts[0])
    old.plug()
    street.until_bound("h1")
    new = street.guest(street.hosts[0])
    new.plug()
    until("the old one to be refused", lambda: [one for one in street.problems(street.hosts[0]) if old.device in one])
    street.until_bound("h1")
    assert street.talks(new)
    assert not street.talks(old)
    flows = street.flows()
    with new.probe(street.near) as probe:
        old.unplug()
        until("problem to be gone", lambda: not any(old.device in one for one in street.problems(street.hosts[0])))
        report = probe.report()
    assert report.sent > 0
    assert report.lost == 0
    assert street.flows() == flows


@pytest.mark.proves("S144")
def test_a_guest_moves_to_the_other_host_and_back(street: Street) -> None:
    """Same port, same addresses; the guests that stay find it at its new place, and nothing is left at the old one."""
    h1, h2 = street.hosts
    guest = street.guest(h1)
    guest.plug()
    street.until_bound("h1")
    for host in (h2, h1):
        street.controller.lab.move(guest, host)
        street.until_bound(host.name)
        assert street.talks(guest)
        left = ofports_in(street.flows()[(h1 if host is h2 else h2).name])
        assert left == ofports_in(street.base[(h1 if host is h2 else h2).name])


@pytest.mark.proves("S91")
def test_who_comes_and_goes_disturbs_nobody_beside_it(street: Street, tenants: Tenants) -> None:
    """Plugged, moved away, back, unplugged: guests on the same host, of the same network and of another, lose nothing.

    Between hosts Open vSwitch itself may lose some: when a link of the host comes or goes it looks up anew where its
    tunnels lead, and has no way meanwhile.
    """
    h1, h2 = street.hosts
    guest, other = street.guest(h1), add_guest(street.controller, "beside", h1, street.network)
    red1, red2, _ = tenants.guests["red"]
    with other.probe(street.near) as own, red1.probe(red2) as foreign:
        guest.plug()
        street.until_bound("h1")
        for host in (h2, h1):
            street.controller.lab.move(guest, host)
            street.until_bound(host.name)
        guest.unplug()
        street.until_bound("", "DOWN")
        for report in (own.report(), foreign.report()):
            assert report.sent > 200
            assert (report.lost, report.duplicates) == (0, 0)
    other.unplug()
    street.controller.delete("port", other.iface_id)


@pytest.mark.proves("S21")
def test_of_two_hosts_that_claim_a_port_the_newer_has_it(street: Street) -> None:
    """As in a migration. The older interface is dead and told of; when the newer one goes, it has the port again."""
    h1, h2 = street.hosts
    old, new = street.guest(h1), street.guest(h2)
    old.plug()
    street.until_bound("h1")
    new.plug()
    street.until_bound("h2")
    assert street.talks(new)
    assert not street.talks(old)
    (problem,) = [one for one in street.problems(h1) if old.device in one]
    assert "h2" in problem
    new.unplug()
    street.until_bound("h1")
    assert street.talks(old)
    assert not any(old.device in one for one in street.problems(h1))


@pytest.mark.proves("S21", "S47")
def test_a_port_that_is_reserved_for_a_host_is_not_stolen_by_another(street: Street) -> None:
    """binding:host_id: another host's claim is refused, before and after the rightful one is there."""
    h1, h2 = street.hosts
    street.controller.update("port", street.port["id"], **{"binding:host_id": "h1"})
    thief, owner = street.guest(h2), street.guest(h1)
    thief.plug()
    until("refusal", lambda: [one for one in street.problems(h2) if thief.device in one and "reserved" in one])
    assert not street.talks(thief)
    assert street.controller.show("port", street.port["id"])["status"] == "DOWN"
    owner.plug()
    street.controller.until_active(street.port)
    settle(street.controller.lab)
    assert street.talks(owner)
    assert not street.talks(thief)
    thief.plug()
    until("refusal", lambda: [one for one in street.problems(h2) if thief.device in one and "reserved" in one])
    assert street.talks(owner)


@pytest.mark.parametrize("claim", ({"attached_mac": "52:54:00:ba:d0:01"}, {"iface_id": "no such port"}))
def test_an_interface_that_says_what_is_wrong_is_dead(street: Street, claim: dict[str, str]) -> None:
    """Another MAC than the port's, or an id that is none: nothing passes, and the host's status says why."""
    h1, _ = street.hosts
    guest = street.guest(h1)
    guest.plug(**claim)
    until("problem", lambda: [one for one in street.problems(h1) if guest.device in one])
    settle(street.controller.lab)
    assert street.flows() == street.base
    assert not street.talks(guest)
    guest.plug(iface_id=street.port["id"])
    street.until_bound("h1")
    assert street.talks(guest)


@pytest.mark.parametrize("kind", ("port", "network"))
def test_down_by_order_of_the_administrator_and_up_again(street: Street, kind: str) -> None:
    """admin_state_up false of the port, or of the network, which cuts off all of its ports."""
    guest = street.guest(street.hosts[0])
    guest.plug()
    street.until_bound("h1")
    assert street.talks(guest)
    object_id = street.port["id"] if kind == "port" else street.network["id"]
    flows = street.flows()
    try:
        street.controller.update(kind, object_id, admin_state_up=False)
        settle(street.controller.lab)
        if kind == "port":
            assert not street.talks(guest)
            assert street.near.reaches(street.far)
        else:
            assert not guest.reaches(street.near, timeout_s=0.3)
            assert not street.near.reaches(street.far, timeout_s=0.3)
            ports = {port["id"] for port in street.controller.list("port", f"?network_id={object_id}")}
            for host in street.hosts:
                assert not {flow["object"] for flow in street.controller.flows(host)} & {object_id, *ports}
        assert street.controller.show("port", street.port["id"])["status"] == "DOWN"
    finally:
        street.controller.update(kind, object_id, admin_state_up=True)
    street.until_bound("h1")
    assert street.flows() == flows
    assert street.talks(guest)
