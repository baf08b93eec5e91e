# SPDX-License-Identifier: Apache-2.0
"""Senders, sniffers, forgeries: what is sent is counted, and a switch that does not look lets every forgery through."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from sdnctl.apps.dhcp import Verdict
from sdnctl.flows.pipeline import Reason
from tests.lab.conftest import Plain
from topologies import LabError, frames
from topologies.forgeries import FORGERIES, NOBODY, Forgery, Identity
from topologies.forgeries.dhcp import QUESTIONS
from topologies.injections import INJECTIONS

ME = Identity("52:54:00:00:00:01", "10.0.0.1", "2001:db8::1")
YOU = Identity("52:54:00:00:00:02", "10.0.0.2", "2001:db8::2")

SENDER = Identity("52:54:00:00:00:11", "10.0.0.11", "2001:db8::11")
RECEIVER = Identity("52:54:00:00:00:12", "10.0.0.12", "2001:db8::12")

# The same frames as scapy builds them.
ORACLE = """
import json, logging, sys, warnings
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
from scapy.all import *
me, you, nobody, snma = "52:54:00:00:00:01", "52:54:00:00:00:02", "2001:db8:bad::66", "ff02::1:ff00:2"
e, b = Ether(src=me, dst=you), Ether(src=me, dst="ff:ff:ff:ff:ff:ff")
print(json.dumps({name: bytes(frame).hex() for name, frame in {
    "udp4": e/IP(src="10.0.0.1", dst="10.0.0.2", id=0)/UDP(sport=4000, dport=4001)/b"x",
    "udp6": e/IPv6(src="2001:db8::1", dst="2001:db8::2", hlim=64)/UDP(sport=4000, dport=4001)/b"x",
    "arp": b/ARP(op=1, hwsrc=me, psrc="10.0.0.1", hwdst="00:00:00:00:00:00", pdst="10.0.0.2"),
    "ns": Ether(src=me, dst="33:33:ff:00:00:02")/IPv6(src="2001:db8::1", dst=snma, hlim=255)
        /ICMPv6ND_NS(tgt="2001:db8::2")/ICMPv6NDOptSrcLLAddr(lladdr=me),
    "na": Ether(src=me, dst="33:33:00:00:00:01")/IPv6(src="2001:db8::1", dst="ff02::1", hlim=255)
        /ICMPv6ND_NA(R=0, S=0, O=1, tgt="2001:db8::1")/ICMPv6NDOptDstLLAddr(lladdr=me),
    "ra": Ether(src=me, dst="33:33:00:00:00:01")/IPv6(src="fe80::5054:ff:fe00:1", dst="ff02::1", hlim=255)
        /ICMPv6ND_RA(prf=0, chlim=64, routerlifetime=1800)/ICMPv6NDOptPrefixInfo(prefixlen=64, L=1, A=1,
        validlifetime=3600, preferredlifetime=3600, prefix="2001:db8:bad::"),
    "dhcp": e/IP(src="10.0.0.1", dst="10.0.0.2", id=0)/UDP(sport=67, dport=68)/BOOTP(op=2, xid=0x1ab, flags=0x8000,
        yiaddr="10.0.0.9", chaddr=bytes.fromhex("525400000002"))/DHCP(options=[("message-type", "offer"),
        ("server_id", "10.0.0.1"), "end"]),
    "tagged": Ether(src=me, dst=you)/Dot1Q(vlan=7, prio=3)/IP(src="10.0.0.1", dst="10.0.0.2", id=0)
        /UDP(sport=4000, dport=4001)/b"x",
}.items()}))
"""


def ours() -> dict[str, bytes]:
    udp4 = frames.ethernet(YOU.mac, ME.mac, frames.ETH_IPV4, frames.udp(ME.ipv4, YOU.ipv4, 4000, 4001, b"x"))
    offer = frames.dhcp(2, 2, YOU.mac, yiaddr="10.0.0.9", server=ME.ipv4)

    def ipv6(dst: str, packet: bytes) -> bytes:
        return frames.ethernet(dst, ME.mac, frames.ETH_IPV6, packet)

    return {
        "udp4": udp4,
        "udp6": ipv6(YOU.mac, frames.udp(ME.ipv6, YOU.ipv6, 4000, 4001, b"x")),
        "arp": frames.arp(ME.mac, spa=ME.ipv4, tpa=YOU.ipv4),
        "ns": ipv6(
            frames.multicast_mac(frames.solicited_node(YOU.ipv6)),
            frames.neighbour_solicitation(ME.ipv6, YOU.ipv6, sll=ME.mac),
        ),
        "na": ipv6("33:33:00:00:00:01", frames.neighbour_advertisement(ME.ipv6, ME.ipv6, tll=ME.mac)),
        "ra": ipv6("33:33:00:00:00:01", frames.router_advertisement(ME.link_local)),
        "dhcp": frames.ethernet(YOU.mac, ME.mac, frames.ETH_IPV4, frames.udp(ME.ipv4, YOU.ipv4, 67, 68, offer)),
        "tagged": frames.tagged(udp4, 7, priority=3),
    }


def test_frames_are_what_scapy_makes_of_the_same_words() -> None:
    told = subprocess.run([sys.executable, "-c", ORACLE], capture_output=True, text=True, check=True).stdout
    for name, text in json.loads(told).items():
        frame = bytes.fromhex(text)
        assert ours()[name][: len(frame)] == frame, name


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=lambda forgery: forgery.name)
def test_a_forgery_differs_from_its_legal_twin_in_one_thing(forgery: Forgery) -> None:
    forged, legal = (build(SENDER, RECEIVER, "lab:0123456789ab") for build in (forgery.forged, forgery.legal))
    assert forged != legal
    assert forged.count(b"lab:0123456789ab") == legal.count(b"lab:0123456789ab") == 1
    assert not any(frames.mac_bytes(NOBODY.mac) in legal or frames.ip_bytes(ip) in legal for ip in (NOBODY.ipv6,))


def test_the_corpus_is_large_and_each_of_it_has_a_reason() -> None:
    assert len(FORGERIES) >= 150
    assert {forgery.reason for forgery in FORGERIES.values()} <= set(Reason.__members__)
    assert {question.verdict for question in QUESTIONS} <= set(Verdict)
    assert {injection.reason for injection in INJECTIONS} <= {"", *Reason.__members__}


@pytest.mark.net
def test_every_frame_is_counted_once(plain: Plain) -> None:
    mark = frames.marker()
    frame = FORGERIES["ipv4"].legal(plain.vm1.identity, plain.vm2.identity, mark)
    with plain.vm2.sniff() as seen, plain.vm1.sniff() as own:
        assert plain.vm1.send(frame, count=2000, rate=4000) == 2000
        assert seen.wait_for(mark, 2000) == 2000
        assert seen.frames(mark) == [frame] * 2000
        assert seen.missed == 0
        assert own.count(mark) == 0
        assert seen.wait_for(frames.marker(), timeout_s=0.05) == 0


@pytest.mark.net
def test_a_rate_is_kept(plain: Plain) -> None:
    mark = frames.marker()
    frame = FORGERIES["ipv4"].legal(plain.vm1.identity, plain.vm3.identity, mark)
    with plain.vm3.sniff() as seen:
        started = plain.vm1.send(frame, count=100, rate=1000)
        assert seen.wait_for(mark, started) == 100


@pytest.mark.net
def test_tags_are_seen_as_they_were_sent(plain: Plain) -> None:
    """The kernel takes the outer tag off; the sniffer puts it back."""
    for sent in ((), (5,), (200, 100)):
        mark = frames.marker()
        frame = FORGERIES["ipv4"].legal(plain.vm1.identity, plain.vm2.identity, mark)
        for vid in reversed(sent):
            frame = frames.tagged(frame, vid)
        with plain.vm2.sniff() as seen:
            plain.vm1.send(frame)
            assert seen.wait_for(mark) == 1
            (got,) = seen.frames(mark)
        assert frames.tags(got) == sent
        assert got == frame


@pytest.mark.net
def test_a_switch_that_does_not_look_lets_every_forgery_through(plain: Plain) -> None:
    """Only so does a zero elsewhere mean that somebody stopped them."""
    for host in plain.lab.hosts:
        host.ofctl("del-flows", "br-int")
        host.ofctl("add-flow", "br-int", "actions=FLOOD")
    plain.vm1.reaches(plain.vm3)
    with plain.vm2.sniff() as near, plain.vm3.sniff() as far:
        for other, seen in ((plain.vm2, near), (plain.vm3, far)):
            for forgery in FORGERIES.values():
                marks = frames.marker(), frames.marker()
                for build, mark in zip((forgery.forged, forgery.legal), marks, strict=True):
                    plain.vm1.send(build(plain.vm1.identity, other.identity, mark), count=2)
                    assert seen.wait_for(mark, 2) == 2, (forgery.name, other, mark == marks[0])


@pytest.mark.net
def test_what_is_sent_as_a_forgery_is_counted(plain: Plain) -> None:
    plain.vm1.reaches(plain.vm3)
    for other in (plain.vm2, plain.vm3):
        verdict = plain.vm1.sends_spoofed("mac", other)
        assert (verdict.forged_arrived, verdict.legal_arrived) == (5, 5), verdict
        assert not verdict.held


@pytest.mark.net
def test_a_filter_between_is_seen(plain: Plain) -> None:
    """The forged frames are missed, the legal ones are there; with the cable pulled nothing is proved."""
    plain.h1.ofctl("add-flow", "br-int", f"priority=10,dl_src={NOBODY.mac},actions=drop")
    assert plain.vm1.sends_spoofed("mac", plain.vm2).held
    plain.vm2.unplug()
    assert not plain.vm1.sends_spoofed("mac", plain.vm2).held


@pytest.mark.net
def test_a_worker_that_cannot_work_says_why(plain: Plain) -> None:
    with pytest.raises(LabError, match="nosuch0"):
        plain.vm1.sniff("nosuch0")
    with pytest.raises(LabError, match=r"no answer from 10\.0\.0\.99"):
        plain.vm1.probe("10.0.0.99", first_answer_s=0.1)
