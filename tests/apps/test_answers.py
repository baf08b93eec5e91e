# SPDX-License-Identifier: Apache-2.0
"""Who has this address? What is answered, with what, and what goes on to the network instead. Requirement S48.

Answers are taken from the wire and read by os_ken's packet library, which knows nothing of ours.
"""

from __future__ import annotations

import pytest
from os_ken.lib.packet import arp as arp_lib
from os_ken.lib.packet import ethernet as ethernet_lib
from os_ken.lib.packet import icmpv6, packet
from os_ken.lib.packet import ipv6 as ipv6_lib

from sdnctl.flows.notation import ipv4, ipv6
from sdnctl.flows.notation import mac as mac_text
from tests.apps.lab import Lab
from tests.apps.packets import (
    BROADCAST,
    ICMP6,
    IPV6,
    NS,
    arp,
    checksum,
    ethernet,
    icmp6,
    ll,
    mac,
    pseudo,
    sixteen,
    sll,
    snap,
    solicitation,
    tll,
    v4,
    v6,
)
from tests.apps.packets import ipv6 as ipv6_packet

pytestmark = pytest.mark.switch


def answer(lab: Lab, asker: int, question: bytes) -> packet.Packet:
    """What comes back, when nobody else hears the question."""
    fate = lab.trace(asker, question)
    assert (fate.arrived, fate.drops) == (set(), []), fate.text
    lab.send(asker, question)
    return packet.Packet(lab.receive(asker))


def goes_to_the_network(lab: Lab, asker: int, question: bytes, hears: int) -> None:
    fate = lab.trace(asker, question)
    assert not fate.answered, fate.text
    assert hears in fate.arrived, fate.text


@pytest.mark.parametrize("asked", (2, 6, 3), ids=("same host", "other host", "with pairs"))
@pytest.mark.parametrize("sender", (v4(1), 0), ids=("request", "probe"))
def test_arp_is_answered(lab: Lab, asked: int, sender: int) -> None:
    """A request, and a probe for somebody else's address: the prober must learn of the conflict."""
    found = answer(lab, 1, arp(1, sender, v4(asked)))
    frame, reply = found.get_protocol(ethernet_lib.ethernet), found.get_protocol(arp_lib.arp)
    assert (frame.dst, frame.src) == (mac_text(mac(1)), mac_text(mac(asked)))
    assert (reply.opcode, reply.src_mac, reply.src_ip) == (2, mac_text(mac(asked)), ipv4(v4(asked)))
    assert (reply.dst_mac, reply.dst_ip) == (mac_text(mac(1)), ipv4(sender))


def test_arp_asked_of_one_is_answered(lab: Lab) -> None:
    """Kernels look after their neighbours by unicast."""
    assert answer(lab, 1, arp(1, v4(1), v4(6), dst=mac(6))).get_protocol(arp_lib.arp).opcode == 2


def test_arp_in_snap_is_answered_in_snap(lab: Lab) -> None:
    """Open vSwitch cannot tell SNAP with OUI 0 from Ethernet II; the answer is framed as the question was."""
    lab.send(1, snap(arp(1, v4(1), v4(6))))
    reply = lab.receive(1)
    assert reply == snap(ethernet(mac(1), mac(6), 0x0806, arp(6, v4(6), v4(1), op=2, tha=mac(1))[14:]))


@pytest.mark.parametrize("target", (v6(2), ll(2), v6(6), ll(6)), ids=("here", "here, ll", "there", "there, ll"))
@pytest.mark.parametrize("source", (v6(1), ll(1)), ids=("from global", "from link-local"))
def test_solicitation_is_answered(lab: Lab, target: int, source: int) -> None:
    """Solicited, overriding, not a router's, hop limit 255, the option the target's, the checksum right."""
    owner = target & 0xFF
    lab.send(1, solicitation(1, target, sll(mac(1)), src=source))
    reply = lab.receive(1)
    found = packet.Packet(reply)
    frame, header = found.get_protocol(ethernet_lib.ethernet), found.get_protocol(ipv6_lib.ipv6)
    message = found.get_protocol(icmpv6.icmpv6)
    assert (frame.dst, frame.src) == (mac_text(mac(1)), mac_text(mac(owner)))
    assert (header.src, header.dst, header.hop_limit) == (ipv6(target), ipv6(source), 255)
    assert (message.type_, message.code, message.data.res, message.data.dst) == (136, 0, 0b011, ipv6(target))
    assert (message.data.option.__class__.__name__, message.data.option.hw_src) == (
        "nd_option_tla",
        mac_text(mac(owner)),
    )
    assert reply[54:].endswith(tll(mac(owner)))
    assert checksum(pseudo(target, source, ICMP6, reply[54:]) + reply[54:]) == 0


def test_solicitation_of_one_is_answered(lab: Lab) -> None:
    """Neighbour unreachability detection asks by unicast."""
    message = icmp6(ll(1), ll(6), NS, bytes(4) + sixteen(ll(6)) + sll(mac(1)))
    found = answer(lab, 1, ethernet(mac(6), mac(1), IPV6, ipv6_packet(ll(1), ll(6), ICMP6, message)))
    assert found.get_protocol(icmpv6.icmpv6).type_ == 136


def test_solicitation_with_a_nonce_is_answered(lab: Lab) -> None:
    """Another option behind the one that becomes the answer's stays as it is."""
    found = answer(lab, 1, solicitation(1, v6(6), sll(mac(1)) + b"\x0e\x01nonce!"))
    assert found.get_protocol(icmpv6.icmpv6).data.option.hw_src == mac_text(mac(6))


QUESTIONS = {
    "gratuitous request": arp(1, v4(1), v4(1)),
    "gratuitous reply": arp(1, v4(1), v4(1), op=2, tha=BROADCAST),
    "probe of the own address": arp(1, 0, v4(1)),
    "request for nobody's address": arp(1, v4(1), v4(99)),
    "detection of the own address": solicitation(1, v6(1), b"", src=0),
    "detection of the own link-local": solicitation(1, ll(1), b"", src=0),
    "solicitation of nobody's address": solicitation(1, v6(99), sll(mac(1))),
    "solicitation without the sender's MAC": solicitation(1, v6(6), b""),
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_goes_to_the_network(lab: Lab, question: bytes) -> None:
    goes_to_the_network(lab, 1, question, 6)


def test_announcing_a_pairs_address_is_not_answered(lab: Lab) -> None:
    """Who moves an address to itself must not hear that another has it."""
    announcement = arp(3, v4(0x93), v4(0x93), sha=mac(0x83))
    goes_to_the_network(lab, 3, announcement[:6] + mac(0x83).to_bytes(6, "big") + announcement[12:], 6)


def test_detection_by_an_open_port_reaches_the_owner(lab: Lab) -> None:
    """Its port security is off, so it may ask about any address; only the owner can defend it."""
    goes_to_the_network(lab, 31, solicitation(31, v6(32), b"", src=0), 32)


def test_solicitation_from_nobody_is_never_answered(lab: Lab) -> None:
    """Not even one with a MAC, which only an open port can send: the answer would go to the address ::."""
    goes_to_the_network(lab, 31, solicitation(31, v6(32), sll(mac(31)), src=0), 32)


def test_solicitation_through_a_router_is_not_answered(lab: Lab) -> None:
    """A hop limit under 255 is not of this link (RFC 4861, 7.1.1): receivers throw it away, so do we."""
    question = solicitation(1, v6(6), sll(mac(1)))
    goes_to_the_network(lab, 1, question[:21] + b"\x40" + question[22:], 6)


@pytest.mark.parametrize("target", (2, 12))
def test_same_addresses_of_another_tenant_stay_apart(lab: Lab, target: int) -> None:
    """Two tenants, one range: each hears of its own neighbour's MAC."""
    asker = {2: 1, 12: 11}[target]
    question = arp(asker, v4(1), v4(2))
    found = answer(lab, asker, question)
    assert found.get_protocol(arp_lib.arp).src_mac == mac_text(mac(target))


def test_another_tenants_addresses_are_not_answered(lab: Lab) -> None:
    fate = lab.trace(1, arp(1, v4(1), v4(21)))
    assert not fate.answered
    assert fate.arrived == {2, 3, 4, 5, 6, 70}


def test_questions_from_the_underlay_are_not_answered(lab: Lab) -> None:
    """The asker's own host does that; an answer here would go out into the network a second time."""
    fate = lab.trace_from_provider(1, arp(22, v4(22), v4(21)))
    assert (fate.answered, fate.arrived) == (False, {21})


def test_advertisement_that_answers_by_unicast_reaches_its_asker(lab: Lab) -> None:
    """Linux leaves the option out then."""
    message = icmp6(v6(1), v6(2), 136, b"\x60\0\0\0" + sixteen(v6(1)))
    fate = lab.trace(1, ethernet(mac(2), mac(1), IPV6, ipv6_packet(v6(1), v6(2), ICMP6, message)))
    assert fate.arrived == {2}
