# SPDX-License-Identifier: Apache-2.0
"""What a host must have set: so guests reach nothing of the host's own. `sdnctl host check` tells what is missing."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass

import pytest

from sdnctl import cli
from sdnctl.model.host_script import SETTINGS
from tests.net.support import add_guest, until
from topologies import Host, Lab, Vm, frames
from topologies.controller import Controller, Json
from topologies.machine import Worker

pytestmark = pytest.mark.net

PORT = 7007
FORGED = "192.0.2.77"
"""An address of the underlay, which a guest has not."""


@dataclass(frozen=True, slots=True)
class Place:
    """Two hosts with guests, and a service on the first that listens on all addresses."""

    controller: Controller
    guest: Vm
    other: Vm
    service: Worker

    @property
    def host(self) -> Host:
        return self.guest.host

    def findings(self) -> list[Json]:
        """What the API says of the first host, but for what is all right."""
        host_id = self.controller.host(self.host.name)["id"]
        found = self.controller.call("GET", f"/hosts/{host_id}/check")["check"]["findings"]
        return [one for one in found if one["verdict"] != "ok"]

    def command(self, *words: str) -> tuple[int, str]:
        """Status and output of `sdnctl host check h1`."""
        with redirect_stdout(io.StringIO()) as out:
            status = cli.main(["host", "check", self.host.name, "--url", self.controller.url, *words])
        return status, out.getvalue()

    def script(self, *words: str) -> tuple[int, str]:
        """Status and output of the script, run on the host."""
        done = self.host.try_run("sh", text=self.command("--script", *words)[1])
        assert not done.stderr
        return done.returncode, done.stdout

    def complaints(self) -> list[str]:
        """What the script has to say about the kernel."""
        lines = self.script()[1].splitlines()
        return [line for line in lines if not line.startswith(("ok", "warn  services")) and "cure: nft" not in line]

    def fence(self) -> None:
        """Wait until all that the guest has sent so far has come wherever it comes."""
        assert self.guest.reaches(self.other)
        assert self.guest.reaches(self.other)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    options = ("--network-flat-networks", "physnet1")
    with Lab(hosts=2, providers=("physnet1",)) as lab, Controller(lab, *options) as controller:
        controller.add_hosts()
        provider = {"provider:network_type": "flat", "provider:physical_network": "physnet1"}
        networks = [controller.create("network", name=f"net{n}", **wish) for n, wish in enumerate(({}, provider))]
        for network in networks:
            controller.create("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
        h1, h2 = lab.hosts
        guest, other = (add_guest(controller, f"vm{n}", host, networks[0]) for n, host in enumerate((h1, h2)))
        add_guest(controller, "flat", h1, networks[1])
        yield Place(controller, guest, other, Worker(h1, "echo", str(PORT)).ready())


# --------------------------------------------------------------------------------------------------- the host's kernel


@dataclass(frozen=True, slots=True)
class Approach:
    """A way in which a guest may get at its host, and the settings with which it does."""

    without: Mapping[str, int]
    try_it: Callable[[Place], bool]


def _device_mac(place: Place) -> str:
    return place.host.run("cat", f"/sys/class/net/{place.guest.device}/address").strip()


def _is_answered(place: Place, frame: bytes, is_answer: Callable[[bytes], bool]) -> bool:
    with place.guest.sniff() as ears:
        place.guest.send(frame, count=3)
        place.fence()
        return any(is_answer(seen) for seen in ears.frames())


def asks_for_the_hosts_address(place: Place) -> bool:
    """An ARP probe for the tunnel address; a question is answered only where the asker's address is at home."""
    frame = frames.arp(place.guest.mac, spa="0.0.0.0", tpa=place.host.tunnel_ip)
    address = frames.ip_bytes(place.host.tunnel_ip)
    return _is_answered(place, frame, lambda seen: seen[12:14] == b"\x08\x06" and seen[28:32] == address)


def speaks_ipv6_to_the_host(place: Place) -> bool:
    """An echo request to all nodes, which the flows would carry to other guests only."""
    packet = frames.icmpv6(place.guest.link_local, "ff02::1", 128, bytes(4) + b"to-hosts")
    frame = frames.ethernet("33:33:00:00:00:01", place.guest.mac, frames.ETH_IPV6, packet)
    mac = frames.mac_bytes(_device_mac(place))
    return _is_answered(place, frame, lambda seen: seen[6:12] == mac)


def _udp_arrives(place: Place, dst_mac: str, src: str, dst: str) -> bool:
    before = place.service.ask(do="counts")["udp"]
    packet = frames.udp(src, dst, 4000, PORT, b"to the host")
    place.guest.send(frames.ethernet(dst_mac, place.guest.mac, frames.ETH_IPV4, packet), count=3)
    place.fence()
    return bool(place.service.ask(do="counts")["udp"] > before)


def sends_to_a_service(place: Place) -> bool:
    """A datagram for the tunnel address from one beside it, to the MAC address of the device."""
    return _udp_arrives(place, _device_mac(place), FORGED, place.host.tunnel_ip)


def sends_to_localhost(place: Place) -> bool:
    return _udp_arrives(place, _device_mac(place), "127.0.0.9", "127.0.0.1")


def sends_through_the_host(place: Place) -> bool:
    """A packet for another host, which the kernel would route past all flows."""
    mark = frames.marker()
    other = place.controller.lab.hosts[1].tunnel_ip
    packet = frames.udp(FORGED, other, 4000, 4001, b"x" + mark.encode())
    with place.host.sent_on("underlay") as wire:
        place.guest.send(frames.ethernet(_device_mac(place), place.guest.mac, frames.ETH_IPV4, packet), count=3)
        place.fence()
        return wire.wait_for(mark, timeout_s=0.3) > 0


APPROACHES = {
    "arp": Approach({"net/ipv4/conf/{}/arp_ignore": 0}, asks_for_the_hosts_address),
    "ipv6": Approach({"net/ipv6/conf/{}/disable_ipv6": 0}, speaks_ipv6_to_the_host),
    "service": Approach({"net/ipv4/conf/{}/rp_filter": 0}, sends_to_a_service),
    "forwarding": Approach({"net/ipv4/conf/{}/rp_filter": 0, "net/ipv4/conf/{}/forwarding": 1}, sends_through_the_host),
    "localhost": Approach({"net/ipv4/conf/{}/rp_filter": 0, "net/ipv4/conf/{}/route_localnet": 1}, sends_to_localhost),
}
RIGHT = {one.path: one.value for one in SETTINGS}


def _set(place: Place, settings: Mapping[str, int]) -> None:
    words = (f"{path.format(place.guest.device)}={value}" for path, value in settings.items())
    place.host.run("sysctl", "-qw", *words)


@pytest.mark.proves("S137")
@pytest.mark.parametrize("name", APPROACHES)
def test_a_guest_reaches_nothing_of_its_host(place: Place, name: str) -> None:
    """Neither its addresses nor its services; without the setting it does, and the script tells that and cures it."""
    approach = APPROACHES[name]
    assert not approach.try_it(place)
    assert place.complaints() == []
    _set(place, approach.without)
    try:
        assert until("the host to answer", lambda: approach.try_it(place))
        told = "\n".join(place.complaints())
        for path, value in approach.without.items():
            assert f"{place.guest.device}: {path.rpartition('/')[2]} is {value}: " in told
            assert f"sysctl -w {path.format(place.guest.device)}={RIGHT[path]}" in told
        assert place.script()[0] == 1
        assert place.script("--fix")[0] == 0
        place.host.run("nft", "delete", "table", "inet", "sdnctl")
        assert not approach.try_it(place)
    finally:
        _set(place, RIGHT)
    assert place.complaints() == []


def broadcasts_from_nowhere(place: Place) -> bool:
    """As a DHCP client does; the kernel has no setting against it."""
    return _udp_arrives(place, frames.BROADCAST, "0.0.0.0", "255.255.255.255")


def test_a_service_on_all_addresses_hears_broadcasts_until_they_are_dropped(place: Place) -> None:
    """The script tells which ports those are; what it proposes leaves Open vSwitch its frames, and the host its own."""
    assert broadcasts_from_nowhere(place)
    status, said = place.script()
    assert status == 0
    assert f"reach UDP ports of this host: {PORT} \n" in said
    assert "cure: nft 'table inet sdnctl " in said
    try:
        assert "cured: guests' broadcasts from 0.0.0.0 reach UDP ports" in place.script("--fix")[1]
        assert not broadcasts_from_nowhere(place)
        assert "is dropped (nft, table inet sdnctl)" in place.script()[1]
        assert place.guest.reaches(place.other, protocol="tcp")
    finally:
        place.host.run("nft", "delete", "table", "inet", "sdnctl")
    assert broadcasts_from_nowhere(place)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something of the host that is not as it should be: how it comes to be, the words that tell it, the way back."""

    break_it: str
    told: str
    mend: str


KERNEL = {
    "a kind of device to come": Fault(
        "sysctl -qw net/ipv4/conf/default/arp_ignore=0",
        "warn  kernel      default: arp_ignore is 0: ",
        "sysctl -qw net/ipv4/conf/default/arp_ignore=8",
    ),
    "all devices": Fault(
        "sysctl -qw net/ipv4/conf/all/rp_filter=2",
        "fail  kernel      net.*.conf.all.rp_filter is 2, which counts for tapvm0: ",
        "sysctl -qw net/ipv4/conf/all/rp_filter=0",
    ),
    "an address on a guest's device": Fault(
        "ip addr add 198.51.100.1/24 dev tapvm0",
        "fail  addresses   tapvm0: the host has 198.51.100.1/24 on it",
        "ip addr flush dev tapvm0",
    ),
    "no tunnel address": Fault(
        "ip addr del 192.0.2.1/24 dev br-phys",
        "fail  tunnel      192.0.2.1 is on no device of this host",
        "ip addr add 192.0.2.1/24 dev br-phys",
    ),
    "the tunnel address elsewhere": Fault(
        "ip addr del 192.0.2.1/24 dev br-phys; ip addr add 192.0.2.1/24 dev lo",
        "fail  tunnel      192.0.2.1 is on lo, which is no bridge with the datapath netdev",
        "ip addr del 192.0.2.1/24 dev lo; ip addr add 192.0.2.1/24 dev br-phys",
    ),
    "a short tunnel": Fault(
        "ip link set br-phys mtu 1400",
        "fail  tunnel      br-phys carries 1400 bytes, and tunnels need 1500",
        "ip link set br-phys mtu 1500",
    ),
}


@pytest.mark.proves("S137")
@pytest.mark.parametrize("name", KERNEL)
def test_the_script_tells_what_is_wrong(place: Place, name: str) -> None:
    fault = KERNEL[name]
    assert place.complaints() == []
    place.host.script(fault.break_it)
    try:
        complaints = place.complaints()
        assert any(line.startswith(fault.told) for line in complaints), complaints
    finally:
        place.host.script(fault.mend)
    assert until("the host to be right again", place.complaints, lambda found: not found) == []


# --------------------------------------------------------------------------------------------- what is seen from afar

AFAR = {
    "a provider bridge": Fault(
        "ovs-vsctl del-br br-physnet1",
        "there is no bridge br-physnet1",
        "ovs-vsctl add-br br-physnet1 -- set bridge br-physnet1 datapath_type=netdev -- add-port br-physnet1 eth2",
    ),
    "a provider bridge of the other kind": Fault(
        "ovs-vsctl set bridge br-physnet1 datapath_type=system",
        "br-physnet1 has the datapath system: no patch leads there",
        "ovs-vsctl set bridge br-physnet1 datapath_type=netdev",
    ),
    "a card": Fault(
        "ovs-vsctl del-port eth2", "br-physnet1 has no card: it leads nowhere", "ovs-vsctl add-port br-physnet1 eth2"
    ),
    "a card that is down": Fault("ip link set eth2 down", "eth2 is down", "ip link set eth2 up"),
    "a short card": Fault(
        "ip link set eth2 mtu 1400",
        "eth2 carries 1400 bytes, and networks on it have an MTU of 1500",
        "ip link set eth2 mtu 1500",
    ),
    "a guest's device that is down": Fault("ip link set tapvm0 down", "tapvm0: down", "ip link set tapvm0 up"),
    "an interface that cannot be": Fault(
        "ovs-vsctl --no-wait add-port br-int nosuch0",
        "nosuch0 does not work: could not open network device nosuch0 (No such device)",
        "ovs-vsctl del-port nosuch0",
    ),
    "a controller of somebody's": Fault(
        "ovs-vsctl -- --id=@c create Controller target='\"tcp:192.0.2.250:6653\"' -- add Bridge br-int controller @c",
        "br-int also has the controller tcp:192.0.2.250:6653",
        "ovs-vsctl remove Bridge br-int controller $(ovs-vsctl --bare --columns=_uuid find Controller"
        " 'target=\"tcp:192.0.2.250:6653\"')",
    ),
}


@pytest.mark.parametrize("name", AFAR)
def test_the_controller_tells_what_it_sees(place: Place, name: str) -> None:
    """By REST and by command, whose status says it too; afterwards all is well again."""
    fault = AFAR[name]
    assert until("the host to be right", place.findings, lambda found: not found) == []
    place.host.script(fault.break_it)
    try:
        found = until("the fault to be told", place.findings, lambda all_: any(_is_told(fault, one) for one in all_))
        (told,) = (one for one in found if _is_told(fault, one))
        assert told["remedy"]
        status, said = place.command()
        assert fault.told in said
        assert told["remedy"] in said
        assert status == int(any(one["verdict"] == "fail" for one in found))
    finally:
        place.host.script(fault.mend)
    assert until("the host to be right again", place.findings, lambda found: not found) == []


def _is_told(fault: Fault, finding: Json) -> bool:
    return bool(finding["finding"] == fault.told)


def test_a_cut_underlay_is_found(place: Place) -> None:
    """Whether the other host's cable is cut, or this one's: the pair is named."""
    told = "nothing arrives by tunnel from h2"
    for host in place.controller.lab.hosts:
        assert until("the host to be right", place.findings, lambda found: not found) == []
        host.cut()
        try:
            assert [one["finding"] for one in place.findings()] == [told]
        finally:
            host.mend()
    assert until("the host to be right again", place.findings, lambda found: not found) == []


def test_a_host_that_does_not_answer(place: Place) -> None:
    """Its OVSDB away: that is told, and so is what OpenFlow still says."""
    place.host.kill("ovsdb-server")
    try:
        found = {one["check"]: one for one in place.findings()}
        assert "is ovsdb-server running?" in found["ovsdb"]["finding"]
        assert "set-manager" in found["ovsdb"]["remedy"]
        assert place.command()[0] == 1
    finally:
        place.host.start_ovsdb_server()
    assert until("the host to be right again", place.findings, lambda all_: not all_) == []
