# SPDX-License-Identifier: Apache-2.0
"""Who gets what: every guest to every other, by every way there is, against a model of a dozen lines. Requirement S22.

Traced on two hosts with a tunnel, a tagged and a flat provider network between them.
"""

from __future__ import annotations

import pytest

from sdnctl.flows.pipeline import Reason, Table
from sdnctl.model.network import NetworkType
from tests.apps.clouds import Guest, endpoint
from tests.apps.conftest import CLOUD
from tests.apps.lab import Lab
from tests.apps.packets import (
    ALL_ROUTERS,
    BROADCAST,
    FIRST,
    GROUP,
    GROUP_MAC,
    HOP_BY_HOP,
    ICMP6,
    IPV4,
    IPV6,
    LATER,
    RS,
    UDP,
    advertisement,
    broadcast4,
    ethernet,
    extension,
    icmp6,
    ipv4,
    ipv6,
    ll,
    mac,
    multicast6,
    nd,
    rarp,
    router_advertisement,
    sll,
    tag,
    tll,
    to4,
    to6,
    udp,
    v4,
    v6,
)

pytestmark = pytest.mark.switch

GUESTS = {guest.number: guest for guest in CLOUD.guests}
NOBODY = 0x99


def members(guest: Guest) -> set[int]:
    """The other guests of a guest's network."""
    return {other.number for other in CLOUD.guests if other.net == guest.net} - {guest.number}


def from_guest(guest: Guest, dst: int, target: int) -> bytes:
    """UDP over IPv4 from what the guest owns."""
    return ethernet(dst, mac(guest.number), IPV4, ipv4(guest.addresses4[0], target, udp(4000, 5000)))


@pytest.mark.parametrize("sender", GUESTS)
def test_unicast_reaches_the_one_or_nobody(lab: Lab, sender: int) -> None:
    guest = GUESTS[sender]
    for receiver in GUESTS:
        fate = lab.trace(sender, from_guest(guest, mac(receiver), v4(receiver)))
        legal = {receiver} & members(guest)
        if guest.net.key == 4 and not legal and receiver != sender:
            legal = {31, 33} - {sender}  # an unknown MAC there could be behind one of those
        assert sorted(fate.copies) == sorted(legal), (receiver, fate.text)


@pytest.mark.parametrize("sender", GUESTS)
@pytest.mark.parametrize("to", ("broadcast", "multicast", "IPv6 multicast"))
def test_groups_reach_each_member_once(lab: Lab, sender: int, to: str) -> None:
    guest = GUESTS[sender]
    frame = {
        "broadcast": from_guest(guest, BROADCAST, 0xFFFFFFFF),
        "multicast": from_guest(guest, GROUP_MAC, GROUP),
        "IPv6 multicast": multicast6(sender, udp(4000, 5353), UDP),
    }[to]
    fate = lab.trace(sender, frame)
    assert sorted(fate.copies) == sorted(members(guest)), fate.text


@pytest.mark.parametrize("sender", GUESTS)
def test_unknown_unicast_reaches_only_who_could_have_the_address(lab: Lab, sender: int) -> None:
    """Nobody where all addresses are known, else the ports that may have any: nobody listens in on a gap."""
    guest = GUESTS[sender]
    fate = lab.trace(sender, from_guest(guest, mac(NOBODY), v4(NOBODY)))
    could = {other for other in members(guest) if GUESTS[other].is_open}
    assert sorted(fate.copies) == sorted(could), fate.text


@pytest.mark.parametrize("receiver", (21, 22, 11, 12))
def test_provider_network_reaches_its_members_only(lab: Lab, receiver: int) -> None:
    """What comes in on a provider bridge is for local members and never goes back out."""
    guest = GUESTS[receiver]
    for dst, reached in ((mac(receiver), {receiver}), (BROADCAST, {receiver}), (mac(NOBODY), set())):
        frame = ethernet(dst, mac(NOBODY), IPV4, ipv4(v4(NOBODY), v4(receiver), udp(1, 2)))
        if guest.net.type is NetworkType.VLAN:
            frame = tag(frame, 300)
        fate = lab.trace_from_provider(guest.host, frame)
        assert sorted(fate.copies) == sorted(reached), fate.text


FROM_OUTSIDE = ethernet(mac(1), mac(6), IPV4, ipv4(v4(6), v4(1), udp(1, 2)))


@pytest.mark.parametrize(
    ("vni", "source", "frame", "dropped"),
    (
        (5000, 99, FROM_OUTSIDE, (Table.CLASSIFY, Reason.UNKNOWN_PEER)),
        (5000, 1, FROM_OUTSIDE, (Table.CLASSIFY, Reason.UNKNOWN_PEER)),
        (4999, 2, FROM_OUTSIDE, (Table.TUNNEL, Reason.UNKNOWN_VNI)),
        (5001, 2, tag(FROM_OUTSIDE, 5), (Table.TUNNEL, Reason.TAGGED)),
        (5000, 2, ethernet(mac(6), mac(1), IPV4, FROM_OUTSIDE[14:]), (Table.UNDERLAY, Reason.ELSEWHERE)),
        (5000, 2, ethernet(mac(NOBODY), mac(6), IPV4, FROM_OUTSIDE[14:]), (Table.SWITCHING, Reason.UNKNOWN_MAC)),
        (5000, 2, ethernet(mac(11), mac(6), IPV4, FROM_OUTSIDE[14:]), (Table.SWITCHING, Reason.UNKNOWN_MAC)),
    ),
    ids=("stranger", "ourselves", "unknown VNI", "tagged", "for another host", "for nobody", "for another network"),
)
def test_tunnel_lets_in_what_our_hosts_send_to_us(
    lab: Lab, vni: int, source: int, frame: bytes, dropped: tuple[Table, Reason]
) -> None:
    fate = lab.trace_from_tunnel(1, vni, endpoint(source), frame)
    assert (fate.copies, fate.drops) == ([], [dropped]), fate.text
    assert lab.trace_from_tunnel(1, 5000, endpoint(2), FROM_OUTSIDE).copies == [1]


@pytest.mark.parametrize(
    ("frame", "reason"),
    (
        (tag(to4(22, 21), 299), Reason.UNKNOWN_TAG),
        (tag(tag(to4(12, 11), 5), 300), Reason.TAGGED),
        (ethernet(0x0180C200000E, mac(99), 0x88CC, bytes(46)), Reason.RESERVED_MAC),
        (ethernet(0x01000CCCCCCC, mac(99), 40, b"\xaa\xaa\x03\0\0\x0c" + bytes(34)), Reason.SNAP),
    ),
    ids=("unknown tag", "two tags", "LLDP", "CDP"),
)
def test_provider_bridge_keeps_its_own_things(lab: Lab, frame: bytes, reason: Reason) -> None:
    fate = lab.trace_from_provider(1, frame)
    assert (fate.copies, fate.drops) == ([], [(Table.CLASSIFY, reason)]), fate.text


def test_unknown_interface_is_deaf_and_dumb(lab: Lab) -> None:
    """A port plugged by hand sends nothing anywhere."""
    lab.switch.vsctl("add-port", "host1", "stray", "--", "set", "interface", "stray", "type=dummy", "ofport_request=77")
    text = lab.switch.trace("host1", "in_port=77", to4(1, 2).hex())
    assert "Datapath actions: drop" in text
    assert f"cookie 0x5d0201{Reason.UNKNOWN_SOURCE:02x}" in text


MLD = nd(1, 143, bytes(4), src=0)
LEGAL = {
    "MLD report from ::": (1, multicast6(1, extension(ICMP6) + MLD[54:], HOP_BY_HOP, src=0, hops=1)),
    "MLD report from link-local": (1, nd(1, 143, bytes(4))),
    "MLDv1 report from ::": (1, nd(1, 131, bytes(20), src=0)),
    "router solicitation from ::": (1, nd(1, RS, bytes(4), src=0, dst=ALL_ROUTERS)),
    "router solicitation from link-local": (1, nd(1, RS, bytes(4) + sll(mac(1)), dst=ALL_ROUTERS)),
    "RARP announcement": (1, rarp(1, mac(1))),
    "DHCPv6 question": (1, multicast6(1, udp(546, 547), UDP, dst=0xFF02 << 112 | 0x10002)),
    "DHCPv4 question to another server": (31, broadcast4(31, payload=udp(68, 6700, bytes(260)))),
    "to DHCP's port, not from a client's": (1, broadcast4(1, payload=udp(4000, 67))),
    "UDP from port 0 to port 0": (1, broadcast4(1, payload=udp(0, 0))),
    "first fragment from port 0": (1, broadcast4(1, payload=udp(0, 5000), fragment=FIRST)),
    "first fragment to port 0": (1, broadcast4(1, payload=udp(4000, 0), fragment=FIRST)),
    "later fragment": (1, ethernet(BROADCAST, mac(1), IPV4, ipv4(v4(1), 0xFFFFFFFF, bytes(32), fragment=LATER))),
    "announcement of an address": (1, advertisement(1, v6(1), tll(mac(1)))),
    "a pair's prefix": (3, broadcast4(3, src=v4(0x8F))),
    "any source, for who owns everything": (4, broadcast4(4, src=0x08080808)),
    "any IPv6 source, for who owns everything": (4, multicast6(4, udp(1, 2), UDP, src=v6(77))),
    "router advertisement, port security off": (31, router_advertisement(31)),
    "DHCP answer, port security off": (31, broadcast4(31, payload=udp(67, 68, bytes(260)))),
    "any MAC and source, port security off": (31, broadcast4(NOBODY, src=0x08080808)),
    "any protocol, port security off": (31, ethernet(BROADCAST, mac(31), 0x8863, bytes(46))),
}


@pytest.mark.parametrize(("sender", "frame"), LEGAL.values(), ids=LEGAL)
def test_legal_frame_reaches_the_whole_network(lab: Lab, sender: int, frame: bytes) -> None:
    fate = lab.trace(sender, frame)
    assert sorted(fate.copies) == sorted(members(GUESTS[sender])), fate.text


def test_tag_is_dropped_with_port_security_off(lab: Lab) -> None:
    """A tag decides about networks, not about identities."""
    fate = lab.trace(31, tag(broadcast4(31), 300))
    assert (fate.copies, fate.drops) == ([], [(Table.CLASSIFY, Reason.TAGGED)]), fate.text


def test_answer_to_an_unknown_address_comes_back(lab: Lab) -> None:
    """Behind an open port there may be a bridge: its guests are reached by flooding to open ports, both ways."""
    out = ethernet(mac(32), mac(NOBODY), IPV4, ipv4(v4(NOBODY), v4(32), udp(1, 2)))
    back = ethernet(mac(NOBODY), mac(32), IPV4, ipv4(v4(32), v4(NOBODY), udp(2, 1)))
    assert lab.trace(33, out).copies == [32]
    assert sorted(lab.trace(32, back).copies) == [31, 33]


@pytest.mark.parametrize(
    ("sender", "receiver", "frame"),
    (
        (1, 2, to4(1, 2)),
        (1, 2, to6(1, 2)),
        (1, 2, ethernet(mac(2), mac(1), IPV6, ipv6(ll(1), ll(2), ICMP6, icmp6(ll(1), ll(2), 128, bytes(12))))),
        (21, 22, to4(21, 22)),
        (11, 12, to6(11, 12, src=v6(1))),
        (12, 11, to4(12, 11, src=v4(2))),
    ),
    ids=("IPv4", "IPv6", "link-local", "flat", "vlan", "vlan, back"),
)
def test_frames_arrive_unchanged(lab: Lab, sender: int, receiver: int, frame: bytes) -> None:
    """Real frames, byte for byte."""
    lab.send(sender, frame)
    assert lab.receive(receiver) == frame


def test_own_mac_goes_nowhere(lab: Lab) -> None:
    """A frame to oneself is not sent back."""
    fate = lab.trace(1, to4(1, 1))
    assert (fate.copies, fate.answered) == ([], False), fate.text
