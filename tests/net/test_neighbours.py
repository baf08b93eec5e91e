# SPDX-License-Identifier: Apache-2.0
"""Who has this address? The asker's own switch answers for every address it knows, and bothers nobody with it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.net.support import Ears, add_guest, until
from topologies import Guest, Vm, frames
from topologies.forgeries import VACANT
from topologies.tenants import Tenants, address_of

pytestmark = pytest.mark.net


@dataclass(frozen=True, slots=True)
class Quiet:
    """A network of three guests, two on one host, of which only the first is awake."""

    asker: Vm
    mute: tuple[Vm, Vm]
    """On the asker's host, and on the other; their cards are down."""
    third: str
    """Another address that is answered for."""
    addresses: dict[str, tuple[str, str]]
    """IPv4 and IPv6 address of the mute ones by name: down, a card forgets."""


@pytest.fixture(scope="module")
def quiet(tenants: Tenants) -> Quiet:
    controller, (h1, h2) = tenants.controller, tenants.controller.lab.hosts
    network = controller.create("network", name="quiet")
    controller.create("subnet", network_id=network["id"], ip_version=4, cidr="10.8.0.0/24")
    controller.create("subnet", network_id=network["id"], ip_version=6, cidr="2001:db8:88::/64")
    asker, *mute = (add_guest(controller, f"quiet{n}", host, network) for n, host in enumerate((h1, h1, h2)))
    for guest in mute:
        guest.script("ip link set eth0 down")
    (server,) = controller.list("port", f"?network_id={network['id']}&device_owner=network:dhcp")
    return Quiet(
        asker, (mute[0], mute[1]), address_of(server, 4), {guest.name: (guest.ipv4, guest.ipv6) for guest in mute}
    )


def arp_answers(seen: list[bytes], address: str) -> list[bytes]:
    """The ARP answers in which `address` is the sender."""
    return [frame for frame in seen if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\2"
            and frame[28:32] == frames.ip_bytes(address)]  # fmt: skip


def advertisements(seen: list[bytes], address: str) -> list[bytes]:
    """The neighbour advertisements for `address`."""
    return [frame for frame in seen if frame[12:14] == b"\x86\xdd" and frame[20] == frames.ICMPV6
            and frame[54] == 136 and frame[62:78] == frames.ip_bytes(address)]  # fmt: skip


def ask(quiet: Quiet, *questions: bytes) -> list[bytes]:
    """Have the asker send ARP or ND questions; all that came back by the time that two more were answered."""
    asker = quiet.asker
    with asker.sniff() as seen:
        asker.send(*questions)
        for count in (1, 2):
            asker.send(frames.arp(asker.mac, spa=asker.ipv4, tpa=quiet.third))
            until("answer", lambda: len(arp_answers(seen.frames(), quiet.third)), lambda n, want=count: n == want)
        return seen.frames()


@pytest.mark.proves("S48")
def test_arp_is_answered_for_a_guest_that_says_nothing(quiet: Quiet) -> None:
    """Each request once, and with the right words: the target's MAC, to the asker alone."""
    asker = quiet.asker
    for guest in quiet.mute:
        address, _ = quiet.addresses[guest.name]
        request = frames.arp(asker.mac, spa=asker.ipv4, tpa=address)
        unicast = frames.arp(asker.mac, spa=asker.ipv4, tpa=address, dst=guest.mac)
        seen = ask(quiet, request, unicast)
        right = frames.arp(guest.mac, op=2, spa=address, tha=asker.mac, tpa=asker.ipv4, dst=asker.mac)
        assert [frame[:42] for frame in arp_answers(seen, address)] == [right[:42]] * 2


@pytest.mark.proves("S48", "S57")
def test_solicitations_are_answered_for_a_guest_that_says_nothing(quiet: Quiet) -> None:
    """Global and link-local, to the group and unicast: solicited, with the target's MAC and a right checksum."""
    asker = quiet.asker
    for guest in quiet.mute:
        for address in (quiet.addresses[guest.name][1], guest.link_local):
            group = frames.solicited_node(address)
            packet = frames.neighbour_solicitation(asker.ipv6, address, sll=asker.mac)
            request = frames.ethernet(frames.multicast_mac(group), asker.mac, frames.ETH_IPV6, packet)
            packet = frames.neighbour_solicitation(asker.ipv6, address, sll=asker.mac, dst=address)
            unicast = frames.ethernet(guest.mac, asker.mac, frames.ETH_IPV6, packet)
            seen = ask(quiet, request, unicast)
            body = b"\x60\0\0\0" + frames.ip_bytes(address) + b"\2\1" + frames.mac_bytes(guest.mac)
            answer = frames.icmpv6(address, asker.ipv6, 136, body)
            right = frames.ethernet(asker.mac, guest.mac, frames.ETH_IPV6, answer)
            assert advertisements(seen, address) == [right] * 2, (guest, address)


@pytest.mark.proves("S48")
def test_the_guests_kernel_takes_the_answers(quiet: Quiet) -> None:
    """Both IP versions resolve a neighbour that is asleep, on the same host and on another."""
    for guest in quiet.mute:
        for address in quiet.addresses[guest.name]:
            assert quiet.asker.pings(address, count=1) == 0
            line = quiet.asker.run("ip", "neigh", "show", address, "dev", "eth0")
            assert guest.mac in line, line


def test_probes_are_answered_for_others_only(quiet: Quiet, tenants: Tenants, ears: Ears) -> None:
    """A probe or announcement of the own address finds nobody, or a guest would think itself a duplicate."""
    asker = quiet.asker
    taken, _ = quiet.addresses[quiet.mute[0].name]
    own = [
        frames.arp(asker.mac, spa="0.0.0.0", tpa=asker.ipv4),
        frames.arp(asker.mac, spa=asker.ipv4, tpa=asker.ipv4),
    ]
    seen = ask(
        quiet,
        *own,
        frames.arp(asker.mac, spa="0.0.0.0", tpa=taken),
        frames.arp(asker.mac, spa="0.0.0.0", tpa=VACANT.ipv4),
    )
    assert arp_answers(seen, asker.ipv4) == arp_answers(seen, VACANT.ipv4) == []
    assert len(arp_answers(seen, taken)) == 1
    # The network hears of it all the same.
    one, near, far = tenants.guests["red"]
    probe, announcement = frames.marker(), frames.marker()
    one.send(frames.arp(one.mac, spa="0.0.0.0", tpa=one.ipv4, mark=probe))
    one.send(frames.arp(one.mac, spa=one.ipv4, tpa=one.ipv4, mark=announcement))
    ears.fence(one, near, far)
    assert ears.heard(probe, announcement) == {mark: {near.name: 1, far.name: 1} for mark in (probe, announcement)}


@pytest.mark.proves("S57")
def test_duplicate_address_detection_of_the_kernel(tenants: Tenants) -> None:
    """The own address is found to be free; the network hears the question."""
    one, near, far = tenants.guests["red"]
    with near.sniff() as beside, far.sniff() as across:
        one.script(f"""
            sysctl -qw net.ipv6.conf.eth0.accept_dad=2 net.ipv6.conf.eth0.dad_transmits=1
            ip addr del {one.ipv6}/64 dev eth0
            ip addr add {one.ipv6}/64 dev eth0
        """)
        state = until(
            "address to be accepted", lambda: one.run("ip", "-6", "addr", "show", "dev", "eth0", "to", one.ipv6),
            lambda text: "tentative" not in text,
        )  # fmt: skip
        one.script("sysctl -qw net.ipv6.conf.eth0.accept_dad=0")
        assert "dadfailed" not in state
        question = frames.neighbour_solicitation("::", one.ipv6, sll="")[40:]
        for seen in (beside, across):
            # The kernel adds a nonce (RFC 7527) behind the target.
            assert any(frame[54:55] == b"\x87" and question[8:24] in frame for frame in seen.frames())


@pytest.mark.proves("S48")
def test_questions_about_the_known_are_kept_from_everybody(tenants: Tenants, ears: Ears) -> None:
    """Neighbours that were forgotten are found again, and no guest has heard a question; about the unknown all do."""
    one, near, far = tenants.guests["red"]
    with near.sniff() as beside, far.sniff() as across:
        one.script("ip neigh flush dev eth0; ip -6 neigh flush dev eth0")
        for other in (near, far):
            assert one.pings(other, count=1) == one.pings(other, version=6, count=1) == 1
        ears.fence(one, near, far)
        for seen in (beside, across):
            asked = [frame for frame in seen.frames() if is_question(frame, one) and b"lab:" not in frame]
            assert asked == []
    mark = frames.marker()
    one.send(frames.arp(one.mac, spa=one.ipv4, tpa="10.0.0.99", mark=mark))
    for other in (near, far):
        assert ears.wait(other, mark) == 1


def is_question(frame: bytes, asker: Guest) -> bool:
    """Whether it is an ARP request, or a solicitation to a group, of the asker."""
    if frame[6:12] != frames.mac_bytes(asker.mac):
        return False
    is_request = frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\1"
    return is_request or (frame[:2] == b"\x33\x33" and frame[20] == frames.ICMPV6 and frame[54] == 135)
