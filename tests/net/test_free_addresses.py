# SPDX-License-Identifier: Apache-2.0
"""Networks without subnet: in a tenant's own one guests take what addresses they like, and the API shows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from tests.net.support import Ears, add_guest, settle, until
from topologies import Vm, frames
from topologies.controller import Controller, Json
from topologies.forgeries import FORGERIES, Identity
from topologies.tenants import Tenants

pytestmark = pytest.mark.net

COPIES: Final = 3
OWNERS: Final = ("red", "blue")
ADDRESSES: Final = (("172.16.0.1", "fd00::1"), ("172.16.0.2", "fd00::2"), ("172.16.0.3", "fd00::3"))
"""Of both tenants' guests, set by hand."""


@dataclass(frozen=True, slots=True)
class Free:
    controller: Controller
    networks: dict[str, Json]
    guests: dict[str, list[Vm]]
    ears: Ears

    @property
    def all(self) -> list[Vm]:
        return [guest for guests in self.guests.values() for guest in guests]


@pytest.fixture(scope="module")
def free(tenants: Tenants) -> Iterator[Free]:
    """Red's network is VXLAN, blue's VLAN; each with two guests on one host and one on the other."""
    controller, (h1, h2) = tenants.controller, tenants.controller.lab.hosts
    vlan = {"provider:network_type": "vlan", "provider:physical_network": "physnet1"}
    networks = {
        name: controller.create("network", project_id=tenants.project_ids[name], **(vlan if name == "blue" else {}))
        for name in OWNERS
    }
    guests: dict[str, list[Vm]] = {}
    for name, network in networks.items():
        guests[name] = []
        for number, host in enumerate((h1, h1, h2)):
            port = {"project_id": tenants.project_ids[name]}
            guest = add_guest(controller, f"{name}free{number}", host, network, **port)
            guest.configure(*(f"{one}/{64 if ':' in one else 24}" for one in ADDRESSES[number]), mtu=network["mtu"])
            guests[name].append(guest)
    with Ears([guest for some in guests.values() for guest in some]) as ears:
        yield Free(controller, networks, guests, ears)


@pytest.mark.proves("S13")
def test_guests_take_addresses_by_hand_and_talk(free: Free, tenants: Tenants) -> None:
    """On one host and across, in both versions; the other tenant, who uses the same ones, hears nothing."""
    for name in OWNERS:
        first, *others = free.guests[name]
        for other in others:
            for version in (4, 6):
                assert first.reaches(other, version=version), (first, other, version)
                assert other.reaches(first, version=version, protocol="tcp")
        shown = tenants.projects[name]
        for guest, addresses in zip(free.guests[name], ADDRESSES, strict=True):
            until(
                f"{guest} to be observed",
                lambda guest=guest, shown=shown: set(shown.show("port", guest.iface_id)["observed_ips"]),
                lambda found, addresses=addresses: found >= set(addresses),
            )
    for sender in free.all:
        mine = next(guests for guests in free.guests.values() if sender in guests)
        marks = []
        for to in (frames.BROADCAST, "52:54:00:99:99:99", *(guest.mac for guest in free.all if guest not in mine)):
            marks.append(frames.marker())
            payload = frames.udp(sender.ipv4, "172.16.0.255", 4000, 4001, b"x")
            sender.send(frames.ethernet(to, sender.mac, frames.ETH_IPV4, payload, marks[-1]), count=COPIES)
        free.ears.fence(sender, *(guest for guest in mine if guest is not sender))
        heard = free.ears.heard(*marks)
        assert heard[marks[0]] == {guest.name: COPIES for guest in mine if guest is not sender}
        assert not any(heard[mark] for mark in marks[1:])


@pytest.mark.proves("S13")
def test_mac_and_tag_are_enforced_and_nothing_else_of_addresses(free: Free) -> None:
    first, *others = free.guests["red"]
    me = Identity(first.mac, first.ipv4, first.ipv6)
    for to in others:
        for kind in ("ipv4", "ipv6", "arp-sender-ip", "nd-target"):
            mark = frames.marker()
            first.send(FORGERIES[kind].forged(me, to.identity, mark), count=COPIES)
            assert free.ears.wait(to, mark, COPIES) == COPIES, kind
        lies = []
        for kind in ("mac", "mac6", "vlan-tag", "qinq", "llc", "router-advertisement", "dhcp-server"):
            lies.append(frames.marker())
            first.send(FORGERIES[kind].forged(me, to.identity, lies[-1]), count=COPIES)
        free.ears.fence(first, to)
        assert not any(free.ears.heard(*lies).values()), free.ears.heard(*lies)


@pytest.mark.proves("S13")
def test_what_is_observed_has_a_bound(free: Free) -> None:
    """A guest claims 2 000 addresses: nobody keeps more than 16 of them, neither we nor the switch."""
    controller, host = free.controller, free.guests["blue"][0].host
    guest = add_guest(controller, "bluefree9", host, free.networks["blue"])
    guest.configure("172.16.0.9/24", mtu=free.networks["blue"]["mtu"])
    before = len(controller.flows(host))
    claims = [frames.arp(guest.mac, spa=f"10.0.{number >> 8}.{number & 255}", tpa="10.0.0.1") for number in range(2000)]
    guest.send(*claims)
    # What its own flood costs it: until Open vSwitch has looked at its caches again, its ARP goes by its meter.
    settle(controller.lab)
    free.ears.fence(guest, free.guests["blue"][1])
    port = until(
        "it to be observed",
        lambda: controller.show("port", guest.iface_id)["observed_ips"],
        lambda found: any(one.startswith("10.") for one in found),
    )
    assert len(port) <= 16
    learnt = len(controller.flows(host)) - before
    assert learnt <= 16, learnt
    assert controller.flows(host, "difference") == []


@pytest.mark.proves("S14")
def test_on_shared_and_flat_networks_there_is_no_such_choice(tenants: Tenants) -> None:
    """Without a subnet nobody has an address there: nothing passes but IPv6 from the MAC's own link-local one."""
    controller, (h1, h2) = tenants.controller, tenants.controller.lab.hosts
    network = controller.create("network", name="nowhere", shared=True)
    guests = [
        add_guest(controller, f"nowhere{number}", host, network, project_id=tenants.project_ids[OWNERS[number % 2]])
        for number, host in enumerate((h1, h1, h2))
    ]
    first, *others = guests
    for number, guest in enumerate(guests):
        guest.configure(*(f"{one}/{64 if ':' in one else 24}" for one in ADDRESSES[number]), mtu=network["mtu"])
    with Ears(guests) as ears:
        for to in others:
            lies = []
            for kind in ("ipv4", "ipv6", "arp-sender-ip", "arp-gratuitous", "nd-target", "mac"):
                for which in ("forged", "legal"):
                    lies.append(frames.marker())
                    me = Identity(first.mac, *ADDRESSES[0])
                    first.send(getattr(FORGERIES[kind], which)(me, to.identity, lies[-1]), count=COPIES)
            mark = frames.marker()
            link_local = FORGERIES["ipv6-link-local"].legal(first.identity, to.identity, mark)
            for _ in range(2):
                mark = frames.marker()
                link_local = FORGERIES["ipv6-link-local"].legal(first.identity, to.identity, mark)
                first.send(link_local)
                assert ears.wait(to, mark) == 1
            assert not any(ears.heard(*lies).values()), ears.heard(*lies)
    assert controller.show("port", first.iface_id)["observed_ips"] == []


@pytest.mark.proves("S14")
def test_with_its_first_subnet_a_network_looks_at_addresses(free: Free) -> None:
    controller, network = free.controller, free.networks["red"]
    first, near, far = free.guests["red"]
    assert first.reaches(near)
    subnet = controller.create("subnet", network_id=network["id"], ip_version=4, cidr="172.16.0.0/24")
    try:
        until("flows", lambda: controller.flows(first.host, "difference"), lambda found: found == [])
        settle(controller.lab)
        assert not first.reaches(near, timeout_s=0.3)
        assert not first.reaches(far, timeout_s=0.3)
    finally:
        controller.delete("subnet", subnet["id"])
        settle(controller.lab)
    assert first.reaches(near)
    assert first.reaches(far)
