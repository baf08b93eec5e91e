# SPDX-License-Identifier: Apache-2.0
"""Workloads with many addresses: a firewall between two networks, a guest behind which a prefix is.

    inner (h1) --- inside, VXLAN --- fw (h1) --- outside, VLAN --- server (h2)

`fw` is a machine with two ports, nftables, and nothing of ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from tests.net.support import Ears, add_guest, settle
from topologies import Vm, frames
from topologies.controller import Controller, Json
from topologies.forgeries import FORGERIES, NOBODY, Identity
from topologies.tenants import PROVIDER, Tenants

pytestmark = pytest.mark.net

COPIES: Final = 3
MASQUERADE: Final = """
table ip nat {
  chain post { type nat hook postrouting priority srcnat; policy accept; oifname "eth0" masquerade; }
}
table inet filter {
  chain forward { type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname "eth1" oifname "eth0" accept
  }
}
"""
"""Whoever is inside goes out as the firewall; nobody outside comes in by himself."""
FREE: Final = (
    {"allowed_address_pairs": [{"ip_address": "0.0.0.0/0"}, {"ip_address": "::/0"}], "security_filters": {"ip": True}},
    {"allowed_address_pairs": [], "security_filters": {"ip": False}},
)
"""Two ways to let a port send from any address."""
BOUND: Final[Json] = {"allowed_address_pairs": [], "security_filters": {"mac": True, "arp": True, "ip": True}}


@dataclass(frozen=True, slots=True)
class Site:
    controller: Controller
    inner: Vm
    near: Vm
    """Beside `inner`."""
    fw: Vm
    """Its first card, outside."""
    inside: Vm
    """Its second card, whose machine is empty."""
    server: Vm

    def let(self, card: Vm, **wish: object) -> None:
        self.controller.update("port", card.iface_id, **wish)
        settle(self.controller.lab)


@pytest.fixture(scope="module")
def site(tenants: Tenants) -> Iterator[Site]:
    controller, (h1, h2) = tenants.controller, tenants.controller.lab.hosts
    inside = controller.create("network", name="inside")
    wish = {"provider:network_type": "vlan", "provider:physical_network": PROVIDER}
    outside = controller.create("network", name="outside", **wish)
    for network, number in ((inside, 31), (outside, 32)):
        four, six = f"10.{number}.0.0/24", f"2001:db8:{number}::/64"
        controller.create("subnet", network_id=network["id"], ip_version=4, cidr=four)
        controller.create("subnet", network_id=network["id"], ip_version=6, cidr=six)
    fw, server = add_guest(controller, "fw", h1, outside), add_guest(controller, "server", h2, outside)
    second = add_guest(controller, "fwin", h1, inside)
    inner, near = add_guest(controller, "inner", h1, inside), add_guest(controller, "near", h2, inside)
    second.script(f"ip link set eth0 netns {fw.pid} name eth1")
    second.forget_cards()
    fw.script(
        f"""
        sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
        sysctl -qw net.ipv6.conf.eth1.accept_dad=0
        ip link set eth1 mtu {inside["mtu"]} up
        ip addr add {second.ipv4}/24 dev eth1
        ip addr add {second.ipv6}/64 dev eth1 nodad
        """
    )
    inner.script(f"ip route add default via {second.ipv4}; ip -6 route add default via {second.ipv6}")
    yield Site(controller, inner, near, fw, second, server)
    fw.script("nft flush ruleset")


def send(site: Site, frame: bytes, count: int = COPIES) -> None:
    """By the firewall's second card."""
    site.fw.send(frame, interface="eth1", count=count)


@pytest.mark.proves("S4", "S5")
@pytest.mark.parametrize("free", FREE, ids=("pairs", "filter"))
def test_a_firewall_between_two_networks(site: Site, free: Json) -> None:
    """It masquerades, so outside it is itself, and inside it sends from whatever is outside."""
    inner, server = site.inner, site.server
    site.fw.run("nft", "-f", "-", text="flush ruleset\n" + MASQUERADE)
    site.let(site.inside, **BOUND)
    site.let(site.fw, **BOUND)
    assert inner.reaches(site.inside)
    assert not inner.reaches(server, timeout_s=0.5)
    site.let(site.inside, **free)
    for protocol in ("icmp", "udp", "tcp"):
        assert inner.reaches(server, protocol=protocol), protocol
    server.script(f"ip route add 10.31.0.0/24 via {site.fw.ipv4}")
    assert not server.reaches(inner, timeout_s=0.3)
    server.script("ip route del 10.31.0.0/24")
    with server.sniff() as seen:
        assert inner.pings(server) == 3
        sources = {one[26:30] for one in seen.frames() if one[12:14] == b"\x08\x00" and one[23] == 1}
    assert frames.ip_bytes(site.fw.ipv4) in sources
    assert frames.ip_bytes(inner.ipv4) not in sources
    only_ip_is_free(site)
    site.let(site.inside, **BOUND)
    assert not inner.reaches(server, timeout_s=0.5)


def only_ip_is_free(site: Site) -> None:
    """Any source of the inside card passes; a foreign MAC, and ARP or ND for a foreign address, do not: 0 frames."""
    mac = site.inside.mac
    me = Identity(mac, site.inside.ipv4, site.inside.ipv6)
    other = Identity(mac, NOBODY.ipv4, NOBODY.ipv6)
    with Ears((site.inner, site.near)) as ears:
        for to in (site.inner, site.near):
            for kind in ("ipv4", "ipv6"):
                mark = frames.marker()
                send(site, FORGERIES[kind].legal(other, to.identity, mark))
                assert ears.wait(to, mark, COPIES) == COPIES, (to, kind)
            lies = []
            for kind in (
                "mac",
                "mac6",
                "arp-sender-ip",
                "arp-gratuitous",
                "arp-sender-mac",
                "nd-target",
                "dhcp-server",
            ):
                lies.append(frames.marker())
                send(site, FORGERIES[kind].forged(me, to.identity, lies[-1]))
            for kind in ("arp-sender-ip", "nd-target"):
                lies.append(frames.marker())
                send(site, FORGERIES[kind].legal(other, to.identity, lies[-1]))
            mark = frames.marker()
            for _ in range(2):
                mark = frames.marker()
                send(site, FORGERIES["arp-sender-ip"].legal(me, to.identity, mark), count=1)
                assert ears.wait(to, mark) == 1
            assert not any(ears.heard(*lies).values()), (to, ears.heard(*lies))


@pytest.mark.proves("S4")
@pytest.mark.parametrize("version", (4, 6))
def test_a_router_without_translation(site: Site, version: int) -> None:
    """Both cards send from addresses of the other side; replies find their way by the server's own route."""
    inner, server, fw = site.inner, site.server, site.fw
    fw.script("nft flush ruleset")
    prefix = "10.31.0.0/24" if version == 4 else "2001:db8:31::/64"
    server.script(f"ip -{version} route replace {prefix} via {fw.address(version)}")
    try:
        site.let(site.inside, **FREE[0])
        site.let(fw, **BOUND)
        assert not inner.reaches(server, version=version, timeout_s=0.5)
        site.let(fw, allowed_address_pairs=[{"ip_address": prefix}])
        for protocol in ("icmp", "tcp"):
            assert inner.reaches(server, version=version, protocol=protocol), protocol
            assert server.reaches(inner, version=version, protocol=protocol), protocol
    finally:
        server.script(f"ip -{version} route del {prefix}")
        site.let(fw, **BOUND)
        site.let(site.inside, **BOUND)


@pytest.mark.proves("S12")
def test_a_second_address_and_a_prefix_that_is_routed_to_a_guest(site: Site) -> None:
    """Each address of it is reached, from both hosts; one beside it is not, nor may be sent from."""
    controller, inner, near, holder = site.controller, site.inner, site.near, site.server
    port = controller.show("port", holder.iface_id)
    subnet = next(one["subnet_id"] for one in port["fixed_ips"] if "." in one["ip_address"])
    fixed = [*port["fixed_ips"], {"subnet_id": subnet, "ip_address": "10.32.0.99"}]
    site.let(holder, fixed_ips=fixed, allowed_address_pairs=[{"ip_address": "198.51.100.16/28"}])
    addresses = [f"198.51.100.{number}" for number in range(16, 32)]
    beside = ("198.51.100.15", "198.51.100.32")
    guest = site.fw
    try:
        holder.script("".join(f"ip addr add {one}/32 dev eth0\n" for one in ("10.32.0.99", *addresses, *beside)))
        guest.script(f"ip route add 198.51.100.0/24 via {holder.ipv4}")
        for one in ("10.32.0.99", *addresses):
            assert guest.reaches(one), one
        for one in beside:
            assert not guest.reaches(one, timeout_s=0.3), one
        with Ears((guest,)) as ears:
            for one in (*addresses[:1], *addresses[-1:], *beside):
                mark = frames.marker()
                holder.send(FORGERIES["ipv4"].legal(Identity(holder.mac, one), guest.identity, mark), count=COPIES)
                ears.fence(holder, guest)
                assert ears.heard(mark)[mark] == ({guest.name: COPIES} if one in addresses else {}), one
    finally:
        holder.script("".join(f"ip addr del {one}/32 dev eth0\n" for one in ("10.32.0.99", *addresses, *beside)))
        guest.script("ip route del 198.51.100.0/24")
        site.let(holder, fixed_ips=port["fixed_ips"], allowed_address_pairs=[])
    assert inner.reaches(near)
