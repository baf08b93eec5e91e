# SPDX-License-Identifier: Apache-2.0
"""Leases, by real clients and frame by frame: every state of a client, every kind of network, and what is not answered.

The tests with frames send less from one guest, all of them together, than its meter lets through at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from sdnctl import runtime
from tests.net.support import Ears, add_guest, settle, until
from topologies import Vm, frames
from topologies.controller import Controller, Json
from topologies.frames import DhcpMessage
from topologies.tenants import Tenants, address_of

pytestmark = pytest.mark.net

DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)
PARAMETERS = bytes((1, 3, 6, 12, 15, 26, 42, 51, 54, 58, 59, 119, 121, 150))
"""What a thorough client asks for, in its order."""
ROUTES = [{"destination": "198.51.100.0/24", "nexthop": "10.9.0.77"}]


@dataclass(frozen=True, slots=True)
class Leases:
    """A network with two guests, the second on the other host, and what is known of its DHCP server."""

    controller: Controller
    network: Json
    near: Vm
    far: Vm
    server: str
    server_mac: str


def make_leases(tenants: Tenants, name: str, **network: object) -> Leases:
    """A network with DHCP and everything that a lease can say."""
    controller = tenants.controller
    made = controller.create("network", name=name, dns_domain="guests.example.", **network)
    controller.create(
        "subnet",
        network_id=made["id"],
        ip_version=4,
        cidr="10.9.0.0/24",
        dns_nameservers=["192.0.2.53", "192.0.2.54"],
        host_routes=ROUTES,
    )
    options = [{"opt_name": "ntp-server", "opt_value": "192.0.2.123"}, {"opt_name": "150", "opt_value": "192.0.2.150"}]
    near, far = (
        add_guest(controller, f"{name}{number}", host, made, dns_name=f"{name}{number}", extra_dhcp_opts=options)
        for number, host in enumerate(controller.lab.hosts)
    )
    (server,) = controller.list("port", f"?network_id={made['id']}&device_owner=network:dhcp")
    return Leases(controller, made, near, far, address_of(server, 4), server["mac_address"])


@pytest.fixture(scope="module")
def leases(tenants: Tenants) -> Leases:
    return make_leases(tenants, "lease")


@pytest.fixture(scope="module")
def listening(leases: Leases) -> Iterator[Ears]:
    with Ears((leases.near, leases.far)) as ears:
        yield ears


def question(
    leases: Leases,
    guest: Vm,
    kind: int,
    mark: str,
    *,
    chaddr: str = "",
    ciaddr: str = "0.0.0.0",
    to_server: bool = False,
    options: Mapping[int, bytes] | None = None,
) -> bytes:
    """A client's frame. The marker is its client identifier, which comes back in the answer."""
    body = frames.dhcp(
        1, kind, chaddr or guest.mac, ciaddr=ciaddr,
        options={61: mark.encode(), 55: PARAMETERS, **(options or {})},
    )  # fmt: skip
    dst = leases.server if to_server else "255.255.255.255"
    packet = frames.udp(ciaddr, dst, 68, 67, body)
    return frames.ethernet(leases.server_mac if to_server else frames.BROADCAST, guest.mac, frames.ETH_IPV4, packet)


def ask(leases: Leases, ears: Ears, guest: Vm, kind: int, **wish: object) -> DhcpMessage | None:
    """The answer to a question; None when there was none by the time a question after it was answered."""
    mark, last = frames.marker(), frames.marker()
    guest.send(question(leases, guest, kind, mark, **wish))  # type: ignore[arg-type]
    guest.send(question(leases, guest, DISCOVER, last))
    assert ears.wait(guest, last) == 1
    answers = ears.frames(guest, mark)
    assert len(answers) <= 1
    return frames.dhcp_message(answers[0]) if answers else None


def requested(address: str) -> dict[int, bytes]:
    return {50: frames.ip_bytes(address)}


@pytest.mark.proves("S25", "S88", "S151", "S152")
def test_discover_and_request(leases: Leases, listening: Ears) -> None:
    """Offer and acknowledgement, on both hosts, say the same, in the order of the client's list."""
    for guest in (leases.near, leases.far):
        offer = ask(leases, listening, guest, DISCOVER)
        assert offer is not None
        assert (offer.kind, offer.yiaddr, offer.chaddr) == (OFFER, guest.ipv4, guest.mac)
        chosen = {54: frames.ip_bytes(leases.server), **requested(offer.yiaddr)}
        ack = ask(leases, listening, guest, REQUEST, options=chosen)
        assert ack is not None
        assert (ack.kind, ack.yiaddr) == (ACK, guest.ipv4)
        told = dict(ack.options)
        assert {**offer.options, 53: told[53], 61: told[61]} == told
        seconds = int.from_bytes(told[51], "big")
        assert told == {
            53: bytes([ACK]),
            54: frames.ip_bytes(leases.server),
            51: seconds.to_bytes(4, "big"),
            58: (seconds // 2).to_bytes(4, "big"),
            59: (seconds * 7 // 8).to_bytes(4, "big"),
            1: frames.ip_bytes("255.255.255.0"),
            3: frames.ip_bytes("10.9.0.1"),
            6: frames.ip_bytes("192.0.2.53") + frames.ip_bytes("192.0.2.54"),
            12: guest.name.encode(),
            15: b"guests.example",
            26: leases.network["mtu"].to_bytes(2, "big"),
            42: frames.ip_bytes("192.0.2.123"),
            119: b"\x06guests\x07example\0",
            121: b"\x18\xc6\x33\x64" + frames.ip_bytes("10.9.0.77") + b"\0" + frames.ip_bytes("10.9.0.1"),
            150: frames.ip_bytes("192.0.2.150"),
            61: told[61],
        }
        order = [code for code in told if code in PARAMETERS and code not in {1, 51, 54, 58, 59}]
        assert order == [code for code in PARAMETERS if code in order]


@pytest.mark.proves("S25", "S88")
@pytest.mark.parametrize("state", ("init-reboot", "renewing", "rebinding"))
def test_a_lease_is_confirmed_in_every_state(leases: Leases, listening: Ears, state: str) -> None:
    for guest in (leases.near, leases.far):
        wish: dict[str, object] = {"ciaddr": guest.ipv4, "to_server": state == "renewing"}
        if state == "init-reboot":
            wish = {"options": requested(guest.ipv4)}
        ack = ask(leases, listening, guest, REQUEST, **wish)
        assert ack is not None
        assert (ack.kind, ack.yiaddr) == (ACK, guest.ipv4)


@pytest.mark.proves("S25", "S31", "S152")
def test_another_address_is_refused(leases: Leases, listening: Ears) -> None:
    """A NAK, broadcast, to whoever believes to have had an address of elsewhere, or that of another guest."""
    for wrong in ("192.0.2.9", leases.far.ipv4, leases.server):
        nak = ask(leases, listening, leases.near, REQUEST, options=requested(wrong))
        assert nak is not None
        assert (nak.kind, nak.yiaddr) == (NAK, "0.0.0.0")
        assert nak.options[54] == frames.ip_bytes(leases.server)
        assert 51 not in nak.options


def test_inform_is_answered_without_address_and_times(leases: Leases, listening: Ears) -> None:
    ack = ask(leases, listening, leases.near, INFORM, ciaddr=leases.near.ipv4)
    assert ack is not None
    assert (ack.kind, ack.ciaddr, ack.yiaddr) == (ACK, leases.near.ipv4, "0.0.0.0")
    assert ack.options[6] == frames.ip_bytes("192.0.2.53") + frames.ip_bytes("192.0.2.54")
    assert not {51, 58, 59} & ack.options.keys()


@pytest.mark.proves("S25", "S31", "S152")
def test_what_is_met_with_silence(leases: Leases, listening: Ears) -> None:
    near, far = leases.near, leases.far
    silent: dict[str, tuple[int, dict[str, object]]] = {
        "decline": (DECLINE, {"options": requested(near.ipv4)}),
        "release": (RELEASE, {"ciaddr": near.ipv4, "to_server": True}),
        "another guest's hardware address": (DISCOVER, {"chaddr": far.mac}),
        "nobody's hardware address": (DISCOVER, {"chaddr": "52:54:00:ba:d0:01"}),
        "an offer of another server taken": (
            REQUEST,
            {"options": {54: frames.ip_bytes("10.9.0.66"), **requested(near.ipv4)}},
        ),
        "no such message": (99, {}),
    }
    for why, (kind, wish) in silent.items():
        assert ask(leases, listening, near, kind, **wish) is None, why
    # And the lease is what it was.
    ack = ask(leases, listening, near, REQUEST, options=requested(near.ipv4))
    assert ack is not None
    assert ack.kind == ACK


@pytest.mark.proves("S31", "S101", "S129", "S152")
def test_a_client_without_a_lease_hears_nothing_and_is_heard_by_nobody(tenants: Tenants) -> None:
    """DHCP is off in its subnet; a server of another guest's gets no question, and could not answer one."""
    controller, (h1, h2) = tenants.controller, tenants.controller.lab.hosts
    network = controller.create("network", name="nolease")
    controller.create("subnet", network_id=network["id"], ip_version=4, cidr="10.10.0.0/24", enable_dhcp=False)
    client, near, far = (add_guest(controller, f"nolease{n}", host, network) for n, host in enumerate((h1, h1, h2)))
    mark = frames.marker()
    body = frames.dhcp(1, DISCOVER, client.mac, options={61: mark.encode()})
    packet = frames.udp("0.0.0.0", "255.255.255.255", 68, 67, body)
    with Ears((client, near, far)) as ears:
        client.send(frames.ethernet(frames.BROADCAST, client.mac, frames.ETH_IPV4, packet), count=3)
        ears.fence(client, near, far)
        assert ears.heard(mark)[mark] == {}


@pytest.mark.proves("S100", "S101")
def test_what_a_lease_says_follows_the_api(tenants: Tenants) -> None:
    """Another resolver, no gateway, DHCP off and on again: the next answer, or silence, says so."""
    controller, (h1, _) = tenants.controller, tenants.controller.lab.hosts
    network = controller.create("network", name="change")
    subnet = controller.create("subnet", network_id=network["id"], ip_version=4, cidr="10.9.0.0/24")
    guest = add_guest(controller, "change", h1, network)

    def told() -> Mapping[int, bytes] | None:
        """The options of an offer; None when a question stays with the switch, which is seen by a later one."""
        mark = frames.marker()
        body = frames.dhcp(1, DISCOVER, guest.mac, options={61: mark.encode()})
        packet = frames.udp("0.0.0.0", "255.255.255.255", 68, 67, body)
        guest.send(frames.ethernet(frames.BROADCAST, guest.mac, frames.ETH_IPV4, packet))
        if not ears.wait(guest, mark, timeout_s=0.5):
            return None
        message = frames.dhcp_message(ears.frames(guest, mark)[0])
        assert message is not None
        return message.options

    with Ears((guest,)) as ears:
        options = told() or {}
        assert (options.get(6), options[3]) == (None, frames.ip_bytes("10.9.0.1"))
        controller.update("subnet", subnet["id"], dns_nameservers=["192.0.2.99"], gateway_ip=None)
        options = told() or {}
        assert options[6] == frames.ip_bytes("192.0.2.99")
        assert not {3, 121} & options.keys()
        controller.update("subnet", subnet["id"], enable_dhcp=False)
        settle(controller.lab)
        assert told() is None
        controller.update("subnet", subnet["id"], enable_dhcp=True)
        assert told() is not None


def test_nobody_else_hears_a_question_or_an_answer(leases: Leases, listening: Ears) -> None:
    for guest, other in ((leases.near, leases.far), (leases.far, leases.near)):
        mark = frames.marker()
        guest.send(question(leases, guest, DISCOVER, mark))
        assert listening.wait(guest, mark) == 1
        listening.fence(guest, other)
        assert listening.heard(mark)[mark] == {guest.name: 1}


@pytest.mark.proves("S27", "S130", "S170", "S174")
@pytest.mark.parametrize("network", ("red", "blue", "shared"))
def test_every_kind_of_network_has_leases(tenants: Tenants, ears: Ears, network: str) -> None:
    """VXLAN, VLAN, flat; the MTU is the network's. red's and blue's guests have equal addresses and other leases."""
    (server,) = tenants.controller.list(
        "port", f"?network_id={tenants.networks[network]['id']}&device_owner=network:dhcp"
    )
    leases = Leases(
        tenants.controller,
        tenants.networks[network],
        *(tenants.guests[network][number] for number in (0, 2)),
        address_of(server, 4),
        server["mac_address"],
    )
    for guest in (leases.near, leases.far):
        offer = ask(leases, ears, guest, DISCOVER)
        assert offer is not None
        assert (offer.kind, offer.yiaddr) == (OFFER, guest.ipv4)
        assert int.from_bytes(offer.options[26], "big") == (1450 if network == "red" else 1500)
        assert offer.options[54] == frames.ip_bytes(leases.server)


@pytest.mark.proves("S25", "S48")
def test_a_flood_from_one_guest_leaves_the_others_their_leases(leases: Leases) -> None:
    """Its meter lets through what a client needs and a little more; beside it on the same host, others are answered."""
    host = leases.near.host
    attacker, victim = (add_guest(leases.controller, name, host, leases.network) for name in ("flooder", "calm"))
    seconds, rate = 2, 4000
    flood = frames.marker()
    with Ears((attacker, victim)) as ears:
        frame = question(leases, attacker, DISCOVER, flood)
        attack = runtime.spawn(lambda: attacker.send(frame, count=seconds * rate, rate=rate))
        assert ears.wait(attacker, flood, 20) >= 20
        for _ in range(30):
            mark = frames.marker()
            victim.send(question(leases, victim, DISCOVER, mark))
            assert ears.wait(victim, mark) == 1
        assert attack.is_running
        assert attack.join() == seconds * rate
        ears.fence(attacker, victim)
        answered = ears.heard(flood)[flood][attacker.name]
        assert 40 <= answered <= 40 + 20 * (seconds + 2)
    limited = {guest.name: limit_drops(leases.controller, guest) for guest in (attacker, victim)}
    assert limited == {"flooder": {("egress", "punt"): seconds * rate - answered}, "calm": {}}


def limit_drops(controller: Controller, guest: Vm) -> dict[tuple[str, str], int]:
    """Packets of a guest's port that were too many, by direction and limit."""
    told = controller.call("GET", f"/ports/{guest.iface_id}/statistics")["statistics"]["limit_drops"]
    return {(one["direction"], one["limit"]): one["packets"] for one in told}


@pytest.mark.proves("S25", "S88")
@pytest.mark.parametrize("client", ("dhclient", "udhcpc", "dhcpcd"))
def test_a_client_takes_renews_and_releases_its_lease(leases: Leases, client: str) -> None:
    """What the client makes of the answer: address, routes, MTU, names. Renewed, it is the same."""
    guest = add_guest(leases.controller, f"c-{client}", leases.far.host, leases.network, dns_name=f"a-{client}")
    address = guest.ipv4
    guest.configure(mtu=1500)
    lease = getattr(guest, client)()
    assert (lease.address, lease.prefix_length) == (address, 24)
    if client == "dhcpcd":  # which leaves the card as it is and limits the routes
        assert guest.run("ip", "route").count(f"mtu {leases.network['mtu']}") == 3
    else:
        assert lease.mtu == leases.network["mtu"]
    assert "nameserver 192.0.2.53\nnameserver 192.0.2.54" in lease.resolv_conf
    assert "guests.example" in lease.resolv_conf
    assert f"a-{client}" in lease.options.values()
    assert lease.gateway == "10.9.0.1"
    if client != "udhcpc":  # whose script leaves option 121 aside
        assert lease.routes == (("198.51.100.0/24", "10.9.0.77"),)
    assert guest.reaches(leases.near)
    with guest.sniff() as seen, guest.host.sniff(guest.device) as sent:
        guest.renew()
        until("the renewed lease", lambda: [kind for kind in kinds(seen.frames()) if kind == ACK])
        if client != "dhclient":  # which is started anew, and does not know that it might ask the server alone
            asked = [frame for frame in sent.frames() if frame[23:24] == b"\x11" and frame[36:38] == b"\0\x43"]
            assert {frame[:6] for frame in asked} == {frames.mac_bytes(leases.server_mac)}
        # dhcpcd does not hear that while it is busy with the renewed lease.
        guest.stop_dhcp(release=client != "dhcpcd")
    assert not guest.ipv4


def kinds(seen: list[bytes]) -> list[int]:
    """The kinds of the DHCP answers among frames."""
    return [message.kind for frame in seen if (message := frames.dhcp_message(frame))]
