# SPDX-License-Identifier: Apache-2.0
"""Fail-over addresses on a real switch: who may send from one, who is told where it is, what is heard of it.

host 1   members 1 and 2, others 3 and 5
host 2   member 6, another one 9

    21, 22   10.0.0.200 and 2001:db8::c8    1, 2, 6    1 holds it
    23, 24   10.0.0.210 and fe80::d2        2, 6       6 holds it, VRRP with a virtual MAC
    25, 26   10.0.0.220 and 2001:db8::dc    1, 2       pinned to 2
    27       10.0.0.230                     1          nobody is known to hold it
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdnctl.apps import ip_groups
from sdnctl.apps.ip_groups import Announcement
from sdnctl.flows.pipeline import App, Kind, Owner, Reason, Table, read_cookie
from sdnctl.model.network import NetworkType
from tests.apps.clouds import Cloud, Guest, Net, Vip
from tests.apps.lab import SHOW_FRAGMENTS, Fate, Lab, lab_of
from tests.apps.packets import (
    ALL_NODES,
    ALL_NODES_MAC,
    ARP,
    BROADCAST,
    ICMP6,
    IPV4,
    IPV6,
    NS,
    UDP,
    advertisement,
    arp,
    ethernet,
    icmp6,
    ipv4,
    ipv6,
    ll,
    mac,
    nd,
    sixteen,
    sll,
    solicitation,
    tll,
    to4,
    to6,
    udp,
    v4,
    v6,
)
from tests.support.dummy_ovs import RawConnection

GREEN = Net(1, NetworkType.VXLAN, 5000)
VIRTUAL4, VIRTUAL6 = 0x00005E000133, 0x00005E000233
ROUTER6 = (0xFE80 << 112) + 210
VRRP, ADVERTISED4, ADVERTISED6 = 112, 0xE0000012, 0xFF02 << 112 | 0x12
PACKET_IN = 10

CLOUD = Cloud(
    (
        *(Guest(number, GREEN, 1) for number in (1, 2, 3, 5)),
        *(Guest(number, GREEN, 2) for number in (6, 9)),
    ),
    vips=(
        Vip(21, GREEN, 4, v4(200), (1, 2, 6), holder=1),
        Vip(22, GREEN, 6, v6(200), (1, 2, 6), holder=1),
        Vip(23, GREEN, 4, v4(210), (2, 6), holder=6, vrrp=True, virtual_mac=VIRTUAL4),
        Vip(24, GREEN, 6, ROUTER6, (2, 6), holder=6, vrrp=True, virtual_mac=VIRTUAL6),
        Vip(25, GREEN, 4, v4(220), (1, 2), holder=2, pinned=2),
        Vip(26, GREEN, 6, v6(220), (1, 2), holder=2, pinned=2),
        Vip(27, GREEN, 4, v4(230), (1,)),
    ),
)
EVERYBODY = {guest.number for guest in CLOUD.guests}


@pytest.fixture(scope="module", name="built")
def _built() -> Iterator[Lab]:
    with lab_of(CLOUD) as built:
        yield built


@pytest.fixture
def lab(built: Lab) -> Lab:
    built.settle()
    return built


def announcement(n: int, address: int, **how: int) -> bytes:
    """What `arping -A` sends, or with op=1 `arping -U`."""
    return arp(n, address, address, **{"op": 2, **how})


def from_mac(frame: bytes, address: int) -> bytes:
    return frame[:6] + address.to_bytes(6, "big") + frame[12:]


def heard(fate: Fate) -> list[tuple[App, int]]:
    """App and object of the flow that punted."""
    last = [read_cookie(int(one, 16)) for one in re.findall(r"cookie (0x[0-9a-f]+)", fate.text)]
    return [(one[0].app, one[0].key) for one in last if one and one[0].app is App.IP_GROUPS and fate.punted][-1:]


@pytest.mark.switch
class TestSending:
    """Members may send from the address with their own MAC; nobody else may."""

    @pytest.mark.proves("S10")
    @pytest.mark.parametrize("member", (1, 2))
    def test_members_send_from_it_whoever_holds_it(self, lab: Lab, member: int) -> None:
        assert lab.trace(member, to4(member, 5, src=v4(200))).arrived == {5}
        assert lab.trace(member, to4(member, 9, src=v4(200))).arrived == {9}
        assert lab.trace(member, to6(member, 5, src=v6(200))).arrived == {5}
        answer = arp(member, v4(200), v4(5), op=2, tha=mac(5), dst=mac(5))
        assert lab.trace(member, answer).arrived == {5}

    def test_others_do_not(self, lab: Lab) -> None:
        for frame, reason in (
            (to4(3, 5, src=v4(200)), Reason.FOREIGN_IPV4),
            (to6(3, 5, src=v6(200)), Reason.FOREIGN_IPV6),
            (announcement(3, v4(200)), Reason.FOREIGN_ARP),
            (arp(3, v4(200), v4(5), op=2, dst=mac(5)), Reason.FOREIGN_ARP),
            (advertisement(3, v6(200), tll(mac(3)), src=ll(3)), Reason.FOREIGN_ND),
            (announcement(2, v4(230)), Reason.FOREIGN_ARP),
        ):
            sender = frame[11]
            fate = lab.trace(sender, frame)
            assert (fate.arrived, [why for _, why in fate.drops], fate.punted) == (set(), [reason], False), fate.text

    def test_members_keep_their_own(self, lab: Lab) -> None:
        assert lab.trace(1, to4(1, 5)).arrived == {5}
        assert lab.trace(1, to4(1, 5, src=v4(201))).arrived == set()


@pytest.mark.switch
class TestAnnouncements:
    """They reach the network whoever makes them, and us if they say something new."""

    @pytest.mark.proves("S7")
    @pytest.mark.parametrize("op", (1, 2))
    def test_another_members(self, lab: Lab, op: int) -> None:
        for member in (2, 6):
            fate = lab.trace(member, announcement(member, v4(200), op=op))
            assert fate.arrived == EVERYBODY - {member}
            assert not fate.answered
            assert heard(fate) == [(App.IP_GROUPS, 21)]

    @pytest.mark.proves("S7")
    def test_another_members_advertisement(self, lab: Lab) -> None:
        for options in (tll(mac(2)), b""):
            fate = lab.trace(2, advertisement(2, v6(200), options))
            assert fate.arrived == EVERYBODY - {2}
            assert heard(fate) == [(App.IP_GROUPS, 22)]

    def test_the_holders_cost_nothing(self, lab: Lab) -> None:
        for frame in (announcement(1, v4(200)), advertisement(1, v6(200), tll(mac(1)))):
            fate = lab.trace(1, frame)
            assert fate.arrived == EVERYBODY - {1}
            assert not fate.punted

    def test_the_first_one(self, lab: Lab) -> None:
        assert heard(lab.trace(1, announcement(1, v4(230)))) == [(App.IP_GROUPS, 27)]

    def test_answers_and_questions_are_none(self, lab: Lab) -> None:
        answer = arp(2, v4(200), v4(5), op=2, tha=mac(5), dst=mac(5))
        solicited = ethernet(
            mac(5),
            mac(2),
            IPV6,
            ipv6(v6(200), v6(5), ICMP6, icmp6(v6(200), v6(5), 136, b"\x60\0\0\0" + sixteen(v6(200)) + tll(mac(2)))),
        )
        for frame in (answer, solicited, arp(2, 0, v4(200)), arp(2, v4(200), v4(5))):
            fate = lab.trace(2, frame)
            assert not fate.punted

    def test_with_vrrp_the_holder_is_heard_when_its_mac_is_another(self, lab: Lab) -> None:
        known = from_mac(announcement(6, v4(210), sha=VIRTUAL4), VIRTUAL4)
        assert lab.trace(6, known).arrived == EVERYBODY - {6}
        assert not lab.trace(6, known).punted
        assert heard(lab.trace(6, announcement(6, v4(210)))) == [(App.IP_GROUPS, 23)]
        assert not lab.trace(6, from_mac(advertisement(6, ROUTER6, tll(VIRTUAL6)), VIRTUAL6)).punted
        assert heard(lab.trace(6, advertisement(6, ROUTER6, tll(mac(6))))) == [(App.IP_GROUPS, 24)]

    @pytest.mark.proves("S7")
    def test_loud_members_are_cut_short_for_us_but_not_for_the_network(self, lab: Lab) -> None:
        """The meter stands before the copy: of 300 announcements all arrive, and a burst of copies comes to us."""
        frame = announcement(2, v4(200))
        with RawConnection(lab.switch.socket("host1")) as connection:
            connection.ask(SHOW_FRAGMENTS)
            for _ in range(300):
                lab.send(2, frame)
            arrived = [lab.receive(5) for _ in range(300)]
            lab.switch.appctl("version")
            connection.send(struct.pack("!BBHI", 5, 2, 8, 77))
            copies = 0
            while (message := connection.receive())[1] != 3:
                if message[1] == PACKET_IN:
                    copies += 1
                    assert struct.unpack_from("!Q", message, 16) == (Owner(App.IP_GROUPS, Kind.IP_GROUP, 21).cookie(),)
        assert arrived == [frame] * 300
        assert 1 <= copies < 100


@pytest.mark.switch
class TestQuestions:
    """To all: answered with the holder's MAC, on every host. To one: for that one to answer."""

    @pytest.mark.parametrize("asker", (5, 9, 3))
    def test_asked_to_all(self, lab: Lab, asker: int) -> None:
        for address in (v4(200), v4(210), v4(220)):
            fate = lab.trace(asker, arp(asker, v4(asker), address))
            assert (fate.answered, fate.arrived) == (True, set()), fate.text
        for target in (v6(200), ROUTER6, v6(220)):
            fate = lab.trace(asker, solicitation(asker, target, sll(mac(asker))))
            assert (fate.answered, fate.arrived) == (True, set()), fate.text

    def test_the_answer_has_the_holders_mac(self, lab: Lab) -> None:
        for address, holder in ((v4(200), mac(1)), (v4(210), VIRTUAL4), (v4(220), mac(2))):
            lab.send(5, arp(5, v4(5), address))
            answer = arp(5, address, v4(5), op=2, sha=holder, tha=mac(5), dst=mac(5))
            assert lab.receive(5) == from_mac(answer, holder)
        lab.send(5, solicitation(5, v6(200), sll(mac(5)), src=v6(5)))
        answer = lab.receive(5)
        assert answer[6:12] == mac(1).to_bytes(6, "big") == answer[80:86]

    def test_asked_to_one(self, lab: Lab) -> None:
        """It may be dead; that somebody else has the address is no answer."""
        fate = lab.trace(5, arp(5, v4(5), v4(200), dst=mac(2)))
        assert (fate.answered, fate.arrived) == (False, {2})
        probe = icmp6(v6(5), v6(200), NS, bytes(4) + sixteen(v6(200)) + sll(mac(5)))
        fate = lab.trace(5, ethernet(mac(6), mac(5), IPV6, ipv6(v6(5), v6(200), ICMP6, probe)))
        assert (fate.answered, fate.arrived) == (False, {6})

    def test_nobody_is_known_to_hold_it(self, lab: Lab) -> None:
        fate = lab.trace(5, arp(5, v4(5), v4(230)))
        assert (fate.answered, fate.arrived) == (False, EVERYBODY - {5})

    def test_a_member_looks_whether_another_one_lives(self, lab: Lab) -> None:
        """Before it takes the address; no answer of ours may keep it from doing so."""
        for frame in (
            arp(2, 0, v4(200)),
            arp(2, v4(2), v4(200)),
            nd(2, NS, bytes(4) + sixteen(v6(200)), src=0, dst=0xFF02 << 112 | 0x1FF000000 | v6(200) & 0xFFFFFF),
        ):
            fate = lab.trace(2, frame)
            assert (fate.answered, fate.arrived) == (False, EVERYBODY - {2}), fate.text
        assert not lab.trace(2, solicitation(2, v6(200), sll(mac(2)))).answered
        assert lab.trace(2, solicitation(2, v6(220), sll(mac(2)), src=v6(2))).arrived == EVERYBODY - {2}


@pytest.mark.switch
class TestPinned:
    """The others may send from it, but not say that they have it."""

    def test_another_member_says_so(self, lab: Lab) -> None:
        for frame in (
            announcement(1, v4(220)),
            arp(1, v4(220), v4(5), op=2, dst=mac(5)),
            arp(1, v4(220), v4(5)),
            advertisement(1, v6(220), tll(mac(1))),
        ):
            fate = lab.trace(1, frame)
            assert (fate.arrived, fate.punted) == (set(), False)
            assert [reason for _, reason in fate.drops] == [Reason.PINNED]

    def test_the_pinned_one_says_so(self, lab: Lab) -> None:
        for frame in (announcement(2, v4(220)), advertisement(2, v6(220), tll(mac(2)))):
            fate = lab.trace(2, frame)
            assert (fate.arrived, fate.punted) == (EVERYBODY - {2}, False)

    def test_all_members_send_from_it(self, lab: Lab) -> None:
        for member in (1, 2):
            assert lab.trace(member, to4(member, 5, src=v4(220))).arrived == {5}
            assert lab.trace(member, to6(member, 5, src=v6(220))).arrived == {5}


@pytest.mark.switch
@pytest.mark.proves("S8")
class TestVirtualMacs:
    """For members of a group with VRRP: to send from, with the group's address; and to be reached by, the holder."""

    def test_frames_for_it_go_to_the_holder_only(self, lab: Lab) -> None:
        for sender in (1, 3, 5, 9):
            for address, virtual, packet in (
                (IPV4, VIRTUAL4, ipv4(v4(sender), v4(77), udp(1, 2))),
                (IPV6, VIRTUAL6, ipv6(v6(sender), v6(77), UDP, udp(1, 2))),
            ):
                fate = lab.trace(sender, ethernet(virtual, mac(sender), address, packet))
                assert (fate.arrived, fate.copies) == ({6}, [6]), fate.text

    def test_member_sends_from_it(self, lab: Lab) -> None:
        for member in (2, 6):
            frame = from_mac(to4(member, 5, src=v4(210)), VIRTUAL4)
            assert lab.trace(member, frame).arrived == {5}
            frame = from_mac(to6(member, 5, src=ROUTER6), VIRTUAL6)
            assert lab.trace(member, frame).arrived == {5}
            fate = lab.trace(member, from_mac(announcement(member, v4(210), sha=VIRTUAL4), VIRTUAL4))
            assert fate.arrived == EVERYBODY - {member}
            fate = lab.trace(member, from_mac(advertisement(member, ROUTER6, tll(VIRTUAL6)), VIRTUAL6))
            assert fate.arrived == EVERYBODY - {member}

    def test_member_sends_nothing_else_from_it(self, lab: Lab) -> None:
        for frame, reason in (
            (to4(2, 5), Reason.FOREIGN_IPV4),
            (to4(2, 5, src=v4(200)), Reason.FOREIGN_IPV4),
            (announcement(2, v4(210), sha=mac(2)), Reason.FOREIGN_ARP),
            (announcement(2, v4(200), sha=VIRTUAL4), Reason.FOREIGN_ARP),
            (to6(2, 5), Reason.FOREIGN_MAC),
        ):
            fate = lab.trace(2, from_mac(frame, VIRTUAL4))
            assert fate.arrived == set()
            assert [why for _, why in fate.drops] in ([reason], [Reason.FOREIGN_IPV6]), fate.text

    def test_others_do_not(self, lab: Lab) -> None:
        for sender in (1, 3):
            fate = lab.trace(sender, from_mac(announcement(sender, v4(210), sha=VIRTUAL4), VIRTUAL4))
            assert (fate.arrived, fate.drops) == (set(), [(Table.PORT_SECURITY, Reason.FOREIGN_MAC)])

    def test_member_sends_from_no_other_mac(self, lab: Lab) -> None:
        """Not from one beside the range, nor, with an IPv4 address, from the range of IPv6."""
        for address in (0x00005E000033, 0x00005E000333, 0x00005E010133, 0x00005F000133, mac(6), mac(99)):
            fate = lab.trace(2, from_mac(to4(2, 5, src=v4(210)), address))
            assert (fate.arrived, fate.drops[0]) == (set(), (Table.PORT_SECURITY, Reason.FOREIGN_MAC)), fate.text
        fate = lab.trace(2, from_mac(to4(2, 5, src=v4(210)), VIRTUAL6))
        assert (fate.arrived, [why for _, why in fate.drops]) == (set(), [Reason.FOREIGN_IPV4]), fate.text

    def test_advertisements_of_routers(self, lab: Lab) -> None:
        """From the member's own address, by its own MAC or the virtual one; from no other address."""
        four = ethernet(0x01005E000012, VIRTUAL4, IPV4, ipv4(v4(2), ADVERTISED4, bytes(8), VRRP))
        six = ethernet(0x333300000012, VIRTUAL6, IPV6, ipv6(ll(2), ADVERTISED6, VRRP, bytes(8)))
        for frame in (four, six, from_mac(four, mac(2)), from_mac(six, mac(2))):
            assert lab.trace(2, frame).arrived == EVERYBODY - {2}
        forged = ethernet(0x01005E000012, VIRTUAL4, IPV4, ipv4(v4(3), ADVERTISED4, bytes(8), VRRP))
        assert lab.trace(2, forged).arrived == set()

    def test_neighbour_discovery_of_the_virtual_router(self, lab: Lab) -> None:
        asks = from_mac(solicitation(2, v6(9), sll(VIRTUAL6), src=ROUTER6), VIRTUAL6)
        assert lab.trace(2, asks).answered
        stolen = from_mac(advertisement(2, v6(9), tll(VIRTUAL6), src=ROUTER6), VIRTUAL6)
        fate = lab.trace(2, stolen)
        assert (fate.arrived, [why for _, why in fate.drops]) == (set(), [Reason.FOREIGN_ND])


# --- what was announced --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", (1, 2))
def test_reads_arp(op: int) -> None:
    assert ip_groups.read(announcement(2, v4(200), op=op)) == Announcement(4, v4(200), mac(2))
    assert ip_groups.read(announcement(2, v4(200), sha=VIRTUAL4)) == Announcement(4, v4(200), VIRTUAL4)


def test_reads_advertisements() -> None:
    assert ip_groups.read(advertisement(2, v6(200), tll(VIRTUAL6))) == Announcement(6, v6(200), VIRTUAL6)
    assert ip_groups.read(advertisement(2, v6(200), b"")) == Announcement(6, v6(200), mac(2))


@pytest.mark.parametrize(
    "frame",
    (
        b"",
        arp(2, v4(200), v4(5)),
        announcement(2, v4(200))[:41],
        ethernet(BROADCAST, mac(2), ARP, bytes(28)),
        advertisement(2, v6(200), b"")[:77],
        solicitation(2, v6(200), sll(mac(2))),
        to4(1, 2),
        ethernet(ALL_NODES_MAC, mac(2), IPV6, ipv6(ll(2), ALL_NODES, UDP, udp(1, 2))),
    ),
)
def test_anything_else_is_no_announcement(frame: bytes) -> None:
    assert ip_groups.read(frame) is None


@given(st.binary(max_size=120), st.sampled_from((b"\x08\x06\0\1\x08\0\6\4", b"\x86\xdd")), st.integers(0, 120))
def test_no_bytes_can_harm(rest: bytes, kind: bytes, length: int) -> None:
    found = ip_groups.read((bytes(12) + kind + rest)[:length])
    assert found is None or found.version in (4, 6)
