# SPDX-License-Identifier: Apache-2.0
"""What a port may send besides its own addresses: allowed address pairs, and anything when port security is off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.net.support import Ears, add_guest, configure, settle
from topologies import Vm, frames
from topologies.controller import Controller, Json
from topologies.forgeries import FORGERIES, NOBODY, Builder, Identity
from topologies.tenants import Tenants

pytestmark = pytest.mark.net

COPIES = 3
OTHER = Identity("52:54:00:0a:0a:0a", "192.0.2.77", "2001:db8:a::77")
UNSPOKEN = ("127.0.0.1", "224.0.0.5", "ff02::1", "::1")
"""Addresses that nobody sends from, whatever the pairs say."""


@dataclass(frozen=True, slots=True)
class Liberties:
    """A network with three guests, the first of which is given liberties."""

    controller: Controller
    free: Vm
    near: Vm
    far: Vm
    ears: Ears

    @property
    def others(self) -> tuple[Vm, Vm]:
        return self.near, self.far

    def give(self, **wish: object) -> None:
        self.controller.update("port", self.free.iface_id, **wish)
        settle(self.controller.lab)

    def arrives(self, to: Vm, build: Builder, me: Identity, sender: Vm | None = None) -> bool:
        """Whether what `me` would send comes to `to`; something legal is sent after it and has to come."""
        sender, mark = sender or self.free, frames.marker()
        sender.send(build(me, to.identity, mark), count=COPIES)
        self.ears.fence(sender, to)
        count = self.ears.heard(mark)[mark].get(to.name, 0)
        assert count in {0, COPIES}
        return count == COPIES


@pytest.fixture
def liberties(one_for_all: Liberties) -> Liberties:
    """None given so far."""
    one_for_all.give(port_security_enabled=True, allowed_address_pairs=[])
    return one_for_all


@pytest.fixture(scope="module")
def one_for_all(tenants: Tenants) -> Iterator[Liberties]:
    controller, (h1, h2) = tenants.controller, tenants.controller.lab.hosts
    network = controller.create("network", name="liberties")
    pools = [{"start": "10.7.0.2", "end": "10.7.0.199"}]
    controller.create("subnet", network_id=network["id"], ip_version=4, cidr="10.7.0.0/24", allocation_pools=pools)
    controller.create("subnet", network_id=network["id"], ip_version=6, cidr="2001:db8:77::/64")
    guests = [add_guest(controller, f"free{number}", host, network) for number, host in enumerate((h1, h1, h2))]
    with Ears(guests) as ears:
        yield Liberties(controller, *guests, ears)


def legal(name: str) -> Builder:
    return FORGERIES[name].legal


@pytest.mark.proves("S4", "S5", "S12")
@pytest.mark.parametrize(
    ("pairs", "passes", "never"),
    (
        ((OTHER.ipv4,), (OTHER.ipv4,), ("192.0.2.78", OTHER.ipv6)),
        (("192.0.2.64/28",), ("192.0.2.64", "192.0.2.79"), ("192.0.2.63", "192.0.2.80")),
        (("2001:db8:a::/64",), ("2001:db8:a::1",), ("2001:db8:b::1", OTHER.ipv4)),
        (("0.0.0.0/0",), ("8.8.8.8", OTHER.ipv4), ("127.0.0.1", "224.0.0.5", OTHER.ipv6)),
        (("::/0",), ("2001:db8:a::1", "2001:db8:b::2"), ("ff02::1", "::1", "8.8.8.8")),
        ((), (), (OTHER.ipv4, OTHER.ipv6)),
    ),
    ids=("single", "cidr", "cidr6", "any", "any6", "none"),
)
def test_allowed_address_pairs(
    liberties: Liberties, pairs: tuple[str, ...], passes: tuple[str, ...], never: tuple[str, ...]
) -> None:
    """Exactly what the pairs say may be sent from, as IP and as ARP or ND; the MAC stays enforced.

    Who may send from a whole address space speaks for none of it: that pair is about IP only.
    """
    wish: list[Json] = [{"ip_address": pair} for pair in pairs]
    is_claimed = not any(pair.endswith("/0") for pair in pairs)
    liberties.give(allowed_address_pairs=wish)
    for to in liberties.others:
        for address in (*passes, *never):
            mac = liberties.free.mac
            me = Identity(mac, ipv6=address) if ":" in address else Identity(mac, ipv4=address)
            elsewhere = Identity(NOBODY.mac, me.ipv4, me.ipv6)
            names = ["ipv6", "nd-target"] if me.ipv6 else ["ipv4", "arp-sender-ip"]
            for name in names[:1] if address in UNSPOKEN else names:
                may = address in passes and (is_claimed or name == names[0])
                assert liberties.arrives(to, legal(name), me) is may, (to, address, name)
                assert not liberties.arrives(to, legal(name), elsewhere), (to, address, name)


@pytest.mark.proves("S12")
def test_a_pair_with_a_mac_address_of_its_own(liberties: Liberties) -> None:
    """Address and MAC are owned together: neither the pair's address from the port's MAC nor the other way round."""
    free, ears = liberties.free, liberties.ears
    liberties.give(allowed_address_pairs=[{"ip_address": OTHER.ipv4, "mac_address": OTHER.mac}])
    for to in liberties.others:
        for name in ("ipv4", "arp-sender-ip"):
            assert liberties.arrives(to, legal(name), OTHER), (to, name)
            assert not liberties.arrives(to, legal(name), Identity(free.mac, OTHER.ipv4)), (to, name)
            assert not liberties.arrives(to, legal(name), Identity(OTHER.mac, free.ipv4)), (to, name)
    for other in liberties.others:
        mark = frames.marker()
        other.send(legal("ipv4")(other.identity, OTHER, mark), count=COPIES)
        assert ears.wait(free, mark, COPIES) == COPIES
        assert ears.heard(mark)[mark] == {free.name: COPIES}
    liberties.give(allowed_address_pairs=[])
    assert not liberties.arrives(liberties.near, legal("ipv4"), OTHER)


@pytest.mark.proves("S1", "S3")
def test_port_security_off_and_on_again(liberties: Liberties, ears: Ears) -> None:
    """Off: anything goes, for this port only and in its network only; tags and LLC stay out. On: as before."""
    free, near, far = liberties.free, liberties.near, liberties.far
    lies = ("mac", "ipv4", "ipv6", "arp-sender-ip", "nd-target", "router-advertisement", "dhcp-server", "rarp")
    for enabled in (False, True):
        liberties.give(port_security_enabled=enabled)
        for to in liberties.others:
            for name in lies:
                assert liberties.arrives(to, FORGERIES[name].forged, free.identity) is not enabled, (to, name)
            for name in ("vlan-tag", "priority-tag", "llc", "to-spanning-tree"):
                assert not liberties.arrives(to, FORGERIES[name].forged, free.identity), (to, name)
        assert not liberties.arrives(far, FORGERIES["ipv4"].forged, near.identity, near)
        mark = frames.marker()
        free.send(FORGERIES["arp-gratuitous"].legal(free.identity, near.identity, mark))
        liberties.ears.fence(free, near, far)
        assert ears.heard(mark)[mark] == {}


@pytest.mark.proves("S3")
def test_frames_for_unknown_addresses_reach_open_ports_only(liberties: Liberties) -> None:
    """Behind a port without port security there may be anybody; behind the others there is nobody else."""
    free, near, far = liberties.free, liberties.near, liberties.far
    for enabled in (False, True):
        liberties.give(port_security_enabled=enabled)
        for sender in (near, far):
            mark = frames.marker()
            sender.send(legal("ipv4")(sender.identity, NOBODY, mark), count=COPIES)
            liberties.ears.fence(sender, free)
            assert liberties.ears.heard(mark)[mark] == ({} if enabled else {free.name: COPIES})


@pytest.mark.proves("S12", "S144", "S173")
def test_a_port_gets_another_address_while_it_is_in_use(liberties: Liberties) -> None:
    """The new one works at once, on both hosts, and is answered for; the old one is dead and may be somebody else's."""
    controller, free = liberties.controller, liberties.free
    old = free.ipv4
    subnets = {one["ip_version"]: one for one in controller.list("subnet") if one["cidr"] == "10.7.0.0/24"}
    wish = {"subnet_id": subnets[4]["id"], "ip_address": "10.7.0.200"}
    before = controller.show("port", free.iface_id)["fixed_ips"]
    changed = [wish if one["ip_address"] == old else one for one in before]
    for fixed_ips, new, gone in ((changed, "10.7.0.200", old), (before, old, "10.7.0.200")):
        liberties.give(fixed_ips=fixed_ips)
        configure(free, {"fixed_ips": fixed_ips}, {"mtu": 1450})
        for to in liberties.others:
            for name in ("ipv4", "arp-sender-ip"):
                assert liberties.arrives(to, legal(name), Identity(free.mac, new)), (to, name)
                assert not liberties.arrives(to, legal(name), Identity(free.mac, gone)), (to, name)
        for to in liberties.others:
            to.script("ip neigh flush dev eth0")
            assert to.reaches(new)
