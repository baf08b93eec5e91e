# SPDX-License-Identifier: Apache-2.0
"""Security groups on a real switch: what passes, and what a connection is worth.

host 1   members (1, group `friends`), (2, `friends`), server (3, `web`), stateless server (4, `bare`),
         open (5, no group), shut (7, a group without rules), both (8, `web` and `friends`)
host 2   6 (`friends`)

In another network, on host 1: 11 (`friends`) and 12 (no group), which has the address of 1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

import pytest

from sdnctl.flows.pipeline import Reason, Table
from sdnctl.flows.wire import flush_zone
from sdnctl.model.ids import GroupKey
from sdnctl.model.network import NetworkType
from sdnctl.model.security import Direction
from sdnctl.model.views import Filtering, GroupAddress, GroupRule, GroupView, LocalPort
from tests.apps.clouds import Cloud, Guest, Net, flows_of
from tests.apps.lab import Lab, lab_of
from tests.apps.packets import (
    BROADCAST,
    IPV4,
    IPV6,
    UDP,
    advertisement,
    checksum,
    ethernet,
    fragment_header,
    icmp6,
    ipv4,
    ipv6,
    ll,
    mac,
    multicast6,
    pseudo,
    solicitation,
    tll,
    to4,
    to6,
    udp,
    v4,
    v6,
)
from tests.support.dummy_ovs import RawConnection

pytestmark = pytest.mark.switch

GREEN = Net(1, NetworkType.VXLAN, 5000)
BLUE = Net(2, NetworkType.VLAN, 300)
FRIENDS, WEB, SHUT, BARE, OFFICES = map(GroupKey, (1, 2, 3, 4, 5))
IN, OUT = Direction.INGRESS, Direction.EGRESS
TCP, ICMP = 6, 1


def rule(
    direction: Direction = IN,
    protocol: int | None = None,
    low: int | None = None,
    high: int | None = None,
    *,
    version: int = 4,
    keeps: bool = False,
    prefix: tuple[int, int] | None = None,
    remote: GroupKey | None = None,
) -> GroupRule:
    return GroupRule(
        direction=direction,
        version=version,
        protocol=protocol,
        port_min=low,
        port_max=high,
        keeps=keeps,
        prefix=prefix,
        remote=remote,
    )


ANYTHING_OUT = (rule(OUT), rule(OUT, version=6))
friends = GroupView(FRIENDS, (*ANYTHING_OUT, rule(remote=FRIENDS), rule(version=6, remote=FRIENDS)))
web = GroupView(WEB, (rule(protocol=UDP, low=5000, high=5003), rule(protocol=ICMP, low=8)))
bare = GroupView(BARE, (rule(protocol=UDP, low=5000, high=5000), rule(protocol=TCP, low=80, high=80)))
shut = GroupView(SHUT, ())

CLOUD = Cloud(
    (
        Guest(1, GREEN, 1, groups=(FRIENDS,)),
        Guest(2, GREEN, 1, groups=(FRIENDS,)),
        Guest(3, GREEN, 1, groups=(WEB,)),
        Guest(4, GREEN, 1, groups=(BARE,), stateful=False),
        Guest(5, GREEN, 1),
        Guest(6, GREEN, 2, groups=(FRIENDS,)),
        Guest(7, GREEN, 1, groups=(SHUT,)),
        Guest(8, GREEN, 1, groups=(FRIENDS, WEB)),
        Guest(11, BLUE, 1, groups=(FRIENDS,)),
        Guest(12, BLUE, 1, same_as=1),
    ),
    policies=(friends, web, bare, shut),
)


@pytest.fixture(scope="module", name="groups_lab")
def _groups_lab() -> Iterator[Lab]:
    with lab_of(CLOUD) as built:
        yield built


@pytest.fixture
def lab(groups_lab: Lab) -> Lab:
    """The cloud as it was, without connections."""
    groups_lab.change(CLOUD)
    forget(groups_lab)
    return groups_lab


def forget(lab: Lab) -> None:
    for host in (1, 2):
        with RawConnection(lab.switch.socket(f"host{host}")) as connection:
            assert connection.ask(b"".join(flush_zone(guest.number) for guest in CLOUD.guests)) == []


def with_policies(*policies: GroupView) -> Cloud:
    changed = {one.key: one for one in policies}
    return replace(CLOUD, policies=tuple(changed.pop(one.key, one) for one in CLOUD.policies) + tuple(changed.values()))


def with_guests(*guests: Guest) -> Cloud:
    changed = {one.number: one for one in guests}
    return replace(CLOUD, guests=tuple(changed.get(one.number, one) for one in CLOUD.guests))


def sent(n: int, m: int, src: int = 4000, dst: int = 5000) -> bytes:
    """UDP from guest n to guest m."""
    return to4(n, m, payload=udp(src, dst))


def tcp(n: int, m: int, src: int, dst: int, flags: int, seq: int = 1, ack: int = 0) -> bytes:
    segment = struct.pack("!HHIIBBHHH", src, dst, seq, ack, 0x50, flags, 8192, 0, 0)
    head = v4(n).to_bytes(4, "big") + v4(m).to_bytes(4, "big") + struct.pack("!BBH", 0, TCP, len(segment))
    total = checksum(head + segment)
    segment = segment[:16] + total.to_bytes(2, "big") + segment[18:]
    return ethernet(mac(m), mac(n), IPV4, ipv4(v4(n), v4(m), segment, TCP))


SYN, ACK, SYN_ACK = 0x02, 0x10, 0x12


def udp6(n: int, m: int, src: int, dst: int, data: bytes) -> bytes:
    """UDP with its checksum, without the IPv6 header."""
    datagram = udp(src, dst, data)
    total = checksum(pseudo(v6(n), v6(m), UDP, datagram) + datagram)
    return datagram[:6] + total.to_bytes(2, "big") + datagram[8:]


def echo(n: int, m: int, kind: int = 8) -> bytes:
    message = struct.pack("!BBHHH", kind, 0, 0, 77, 1) + b"ping"
    message = message[:2] + checksum(message).to_bytes(2, "big") + message[4:]
    return ethernet(mac(m), mac(n), IPV4, ipv4(v4(n), v4(m), message, ICMP))


def unreachable(n: int, about: bytes) -> bytes:
    """An ICMP error of guest n about a frame it got."""
    to = int.from_bytes(about[6:12], "big") & 0xFFFF
    message = struct.pack("!BBHI", 3, 3, 0, 0) + about[14:42]
    message = message[:2] + checksum(message).to_bytes(2, "big") + message[4:]
    return ethernet(mac(to), mac(n), IPV4, ipv4(v4(n), v4(to), message, ICMP))


# --- who may begin -------------------------------------------------------------------------------------------------

REACHES = {
    # from: to whom UDP port 5000 gets
    1: {2, 3, 4, 5, 6, 8},
    2: {1, 3, 4, 5, 6, 8},
    3: set(),
    4: set(),
    5: {3, 4, 8},
    6: {1, 2, 3, 4, 5, 8},
    7: set(),
    8: {1, 2, 3, 4, 5, 6},
}


@pytest.mark.parametrize("sender", REACHES)
def test_who_reaches_whom(lab: Lab, sender: int) -> None:
    """On the same host and across: remote group, port range, several groups, no rules, no groups."""
    for receiver in REACHES:
        if receiver != sender:
            fate = lab.trace(sender, sent(sender, receiver))
            assert fate.arrived == ({receiver} & REACHES[sender]), (receiver, fate.text)


@pytest.mark.parametrize(("port", "passes"), ((4999, False), (5000, True), (5003, True), (5004, False)), ids=str)
def test_range_ends_where_it_says(lab: Lab, port: int, passes: bool) -> None:
    assert lab.reaches(1, 3, sent(1, 3, dst=port)) is passes


def test_refusals_have_a_reason(lab: Lab) -> None:
    assert lab.trace(1, sent(1, 7)).drops == [(Table.TO_VERDICT, Reason.NOT_ALLOWED_TO)]
    assert lab.trace(7, sent(7, 1)).drops == [(Table.FROM_VERDICT, Reason.NOT_ALLOWED_FROM)]


def test_members_reach_each_other_by_link_local_address(lab: Lab) -> None:
    def local(n: int, m: int) -> bytes:
        return ethernet(mac(m), mac(n), IPV6, ipv6(ll(n), ll(m), UDP, udp(4000, 5000)))

    for other in (2, 6):
        assert lab.trace(1, local(1, other)).arrived == {other}
        assert lab.trace(1, to6(1, other)).arrived == {other}
    assert lab.trace(5, local(5, 1)).arrived == set()


def test_address_of_a_member_is_a_members_in_its_own_network_only(lab: Lab) -> None:
    """Tenants' networks have the same addresses."""
    frame = ethernet(mac(11), mac(12), IPV4, ipv4(v4(1), v4(11), udp(4000, 5000)))
    assert lab.trace(12, frame).drops == [(Table.TO_VERDICT, Reason.NOT_ALLOWED_TO)]


def test_neighbour_discovery_and_arp_pass_whatever_the_rules(lab: Lab) -> None:
    """A shut port is still a neighbour, both ways, and takes part in multicast."""
    assert 7 in lab.trace(1, solicitation(1, v6(99), b"")).arrived
    assert 1 in lab.trace(7, advertisement(7, v6(7), tll(mac(7)))).arrived
    report = icmp6(ll(7), 0xFF02 << 112 | 0x16, 143, bytes(4))
    assert 1 in lab.trace(7, multicast6(7, report, 58, dst=0xFF02 << 112 | 0x16, hops=1)).arrived
    assert lab.trace(7, multicast6(7, report, 58, dst=0xFF02 << 112 | 0x16, hops=64)).arrived == set()


def test_rules_open_nothing_that_port_security_shuts(lab: Lab) -> None:
    """Everything allowed, and a foreign source is as dead as ever; so is a DHCP server's answer."""
    forged = ethernet(mac(5), mac(1), IPV4, ipv4(v4(9), v4(5), udp(4000, 5000)))
    assert lab.trace(1, forged).drops == [(Table.SOURCE_SECURITY, Reason.FOREIGN_IPV4)]
    assert lab.trace(1, sent(1, 5, 67, 68)).drops == [(Table.SOURCE_SECURITY, Reason.DHCP_SERVER)]


def test_broadcast_is_decided_receiver_by_receiver(lab: Lab) -> None:
    """One copy's tracking and refusal is nothing to the others."""
    frame = ethernet(BROADCAST, mac(1), IPV4, ipv4(v4(1), 0xFFFFFFFF, udp(4000, 5000)))
    fate = lab.trace(1, frame)
    assert sorted(fate.copies) == [2, 3, 4, 5, 6, 8], fate.text
    frame = ethernet(BROADCAST, mac(5), IPV4, ipv4(v4(5), 0xFFFFFFFF, udp(4000, 5000)))
    assert sorted(lab.trace(5, frame).copies) == [3, 4, 8]
    lab.settle()
    lab.send(5, frame)
    for receiver in (3, 4, 8):
        assert lab.receive(receiver) == frame


def test_sender_does_not_cut_its_own_multicast(lab: Lab) -> None:
    """The copy that floods to the sender's own port is no packet to it."""
    frame = ethernet(BROADCAST, mac(1), IPV4, ipv4(v4(1), 0xFFFFFFFF, udp(4000, 6000)))
    lab.change(with_policies(replace(friends, rules=ANYTHING_OUT)))
    for _ in range(3):
        lab.settle()
        lab.send(1, frame)
        assert lab.receive(5) == frame


def test_address_group_and_prefix(lab: Lab) -> None:
    """The other end by prefix, by address group, and by both of overlapping services."""
    rules = (
        rule(protocol=UDP, low=1, high=100, prefix=(v4(4), 0xFFFFFFFC)),
        rule(protocol=UDP, low=50, high=150, remote=OFFICES),
        rule(protocol=UDP, low=120, high=200, remote=FRIENDS),
    )
    addresses = (GroupAddress(OFFICES, 4, v4(1), 0xFFFFFFFF), GroupAddress(OFFICES, 4, v4(8), 0xFFFFFFF8))
    lab.change(with_policies(GroupView(WEB, rules, addresses)))
    can = {
        (5, 50): True,  # by prefix
        (5, 120): False,
        (1, 60): True,  # by address group
        (1, 150): True,
        (1, 190): True,  # as a friend
        (1, 40): False,
        (1, 201): False,
        (2, 60): False,
        (2, 130): True,
        (8, 100): True,
        (8, 199): True,
    }
    for (sender, port), expected in can.items():
        assert (lab.trace(sender, sent(sender, 3, dst=port)).arrived == {3}) is expected, (sender, port)


def test_group_with_everything_from_everywhere_but_to_one_prefix(lab: Lab) -> None:
    """Direction egress looks at the destination."""
    lab.change(with_policies(replace(shut, rules=(rule(OUT, UDP, prefix=(v4(2), 0xFFFFFFFE)),))))
    assert lab.trace(7, sent(7, 3)).arrived == {3}
    assert lab.trace(7, sent(7, 5)).arrived == set()


# --- connections ---------------------------------------------------------------------------------------------------


def test_answers_pass_and_only_answers(lab: Lab) -> None:
    """A port whose group allows nothing out answers whom it was asked by."""
    assert not lab.reaches(3, 1, sent(3, 1, 5000, 4000))
    assert lab.reaches(1, 3, sent(1, 3))
    assert lab.reaches(3, 1, sent(3, 1, 5000, 4000))
    assert not lab.reaches(3, 1, sent(3, 1, 5000, 4001))
    assert not lab.reaches(3, 5, sent(3, 5, 5000, 4000))


def test_stateless_answers_need_rules(lab: Lab) -> None:
    assert lab.reaches(5, 4, sent(5, 4))
    assert not lab.reaches(4, 5, sent(4, 5, 5000, 4000))
    lab.change(with_policies(replace(bare, rules=(*bare.rules, rule(OUT, UDP, 4000, 4000)))))
    assert lab.reaches(4, 5, sent(4, 5, 5000, 4000))


def test_stateless_port_spends_no_connection_tracking(lab: Lab) -> None:
    for frame in (sent(5, 4), sent(5, 4, dst=9)):
        assert "ct(" not in lab.trace(5, frame).text
    assert "ct(" not in lab.trace(4, sent(4, 5)).text


def test_errors_about_a_connection_pass(lab: Lab) -> None:
    asked = sent(1, 5, 4000, 7777)
    assert not lab.reaches(5, 1, unreachable(5, asked))
    assert lab.reaches(1, 5, asked)
    assert lab.reaches(5, 1, unreachable(5, asked))


def test_ping_by_type(lab: Lab) -> None:
    assert lab.reaches(5, 3, echo(5, 3))
    assert lab.reaches(3, 5, echo(3, 5, 0))
    assert not lab.reaches(3, 5, echo(3, 5))
    assert not lab.reaches(5, 3, echo(5, 3, 13))


def test_tcp_handshake_and_nonsense(lab: Lab) -> None:
    lab.change(with_policies(GroupView(WEB, (rule(protocol=TCP, low=80, high=80),))))
    assert not lab.reaches(1, 3, tcp(1, 3, 4000, 80, SYN_ACK))
    assert lab.reaches(1, 3, tcp(1, 3, 4000, 80, SYN))
    assert lab.reaches(3, 1, tcp(3, 1, 80, 4000, SYN_ACK, 1, 2))
    assert lab.reaches(1, 3, tcp(1, 3, 4000, 80, ACK, 2, 2))
    assert not lab.reaches(1, 3, tcp(1, 3, 4000, 81, SYN))


def test_rule_that_goes_cuts_its_connections_and_no_others(lab: Lab) -> None:
    """Both ways; and when it comes back, so does the connection."""
    for port in (5000, 5001):
        assert lab.reaches(1, 3, sent(1, 3, dst=port))
    lab.change(with_policies(GroupView(WEB, (rule(protocol=UDP, low=5001, high=5003),))))
    assert not lab.reaches(1, 3, sent(1, 3))
    assert not lab.reaches(3, 1, sent(3, 1, 5000, 4000))
    assert not lab.reaches(1, 3, sent(1, 3))
    assert lab.reaches(1, 3, sent(1, 3, dst=5001))
    assert lab.reaches(3, 1, sent(3, 1, 5001, 4000))
    lab.change(CLOUD)
    assert not lab.reaches(3, 1, sent(3, 1, 5000, 4000))
    assert lab.reaches(1, 3, sent(1, 3))
    assert lab.reaches(3, 1, sent(3, 1, 5000, 4000))


def test_port_that_leaves_the_group_is_cut(lab: Lab) -> None:
    """The remote group's member goes: what it talks to notices, others do not."""
    for sender in (1, 6):
        assert lab.trace(sender, sent(sender, 2)).arrived == {2}
    assert lab.reaches(1, 2, sent(1, 2))
    assert lab.reaches(2, 1, sent(2, 1, 5000, 4000))
    assert lab.reaches(8, 2, sent(8, 2))
    left = GroupKey(6)
    cloud = with_guests(Guest(1, GREEN, 1, groups=(left,)))
    lab.change(replace(cloud, policies=(*cloud.policies, GroupView(left, ANYTHING_OUT))))
    assert not lab.reaches(1, 2, sent(1, 2))
    assert not lab.reaches(2, 1, sent(2, 1, 5000, 4000))
    assert lab.reaches(8, 2, sent(8, 2))
    assert lab.reaches(2, 8, sent(2, 8, 5000, 4000))


@pytest.mark.parametrize("remote", (None, FRIENDS), ids=["anybody", "group"])
def test_rule_may_let_its_connections_live_on(lab: Lab, remote: GroupKey | None) -> None:
    """Where a rule of each kind allows it, the kind one decides."""
    keeping = rule(protocol=UDP, low=5000, high=5000, keeps=True, remote=remote)
    cutting = rule(protocol=UDP, low=5000, high=5001, remote=remote)
    lab.change(with_policies(GroupView(WEB, (cutting, keeping))))
    for port in (5000, 5001):
        assert lab.reaches(1, 3, sent(1, 3, dst=port))
    lab.change(with_policies(GroupView(WEB, ())))
    assert lab.reaches(1, 3, sent(1, 3))
    assert lab.reaches(3, 1, sent(3, 1, 5000, 4000))
    assert not lab.reaches(1, 3, sent(1, 3, src=4001))
    assert not lab.reaches(1, 3, sent(1, 3, dst=5001))
    assert not lab.reaches(3, 1, sent(3, 1, 5001, 4000))


def test_what_the_sender_keeps_the_receiver_may_cut(lab: Lab) -> None:
    """Each port's connections are its own rules' business, even where one host has both."""
    keeps_out = replace(friends, rules=(*friends.rules, rule(OUT, UDP, keeps=True)))
    lab.change(with_policies(keeps_out))
    assert lab.reaches(1, 3, sent(1, 3))
    lab.change(with_policies(keeps_out, GroupView(WEB, ())))
    assert not lab.reaches(1, 3, sent(1, 3))


def test_a_flushed_zone_knows_no_connection(lab: Lab) -> None:
    """An ofport that is used again inherits nothing."""
    assert lab.reaches(1, 3, sent(1, 3))
    assert lab.reaches(3, 1, sent(3, 1, 5000, 4000))
    with RawConnection(lab.switch.socket("host1")) as connection:
        assert connection.ask(flush_zone(3)) == []
    assert not lab.reaches(3, 1, sent(3, 1, 5000, 4000))


# --- fragments -----------------------------------------------------------------------------------------------------


def fragments(n: int, m: int, dst: int) -> list[bytes]:
    """A datagram in two; first fragments of less than 1200 bytes are suspicious to Open vSwitch's tracker."""
    whole = udp(4000, dst, bytes(1400))
    pieces = ((whole[:1304], 0x2000), (whole[1304:], 163))
    return [ethernet(mac(m), mac(n), IPV4, ipv4(v4(n), v4(m), piece, fragment=at)) for piece, at in pieces]


def test_fragments_of_what_is_allowed_arrive(lab: Lab) -> None:
    """Of a new connection and of a known one, from and to stateful ports."""
    for _ in range(2):
        first, later = fragments(1, 3, 5000)
        lab.settle()
        lab.send(1, first)
        lab.send(1, later)
        assert {lab.receive(3), lab.receive(3)} == {first, later}
        assert lab.reaches(3, 1, sent(3, 1, 5000, 4000))


def test_fragments_of_what_is_refused_do_not(lab: Lab) -> None:
    first, later = fragments(1, 3, 5004)
    lab.settle()
    lab.send(1, first)
    assert not lab.reaches(1, 3, later)


def test_fragments_of_ipv6(lab: Lab) -> None:
    """Later ones show no protocol there, and first ones of less than 1280 bytes are suspicious."""
    lab.change(with_policies(GroupView(WEB, (rule(protocol=UDP, low=5000, high=5000, version=6),))))
    for port, count in ((5000, 2), (5001, 0)):
        whole = udp6(1, 3, 4000, port, bytes(1600))
        pieces = [fragment_header(UDP, more=True) + whole[:1400], fragment_header(UDP, 175) + whole[1400:]]
        frames = [ethernet(mac(3), mac(1), IPV6, ipv6(v6(1), v6(3), 44, piece)) for piece in pieces]
        lab.settle()
        lab.send(1, frames[0])
        if count:
            lab.send(1, frames[1])
            assert {lab.receive(3), lab.receive(3)} == set(frames)
        else:
            assert not lab.reaches(1, 3, frames[1])


def test_fragments_to_a_stateless_port(lab: Lab) -> None:
    """The first one is decided by its ports; later ones by what the rule says besides."""
    first, later = fragments(5, 4, 5000)
    assert lab.reaches(5, 4, first)
    assert lab.reaches(5, 4, later)
    assert not lab.reaches(5, 4, fragments(5, 4, 5001)[0])


# --- what it costs -------------------------------------------------------------------------------------------------


def local_flows(guest: Guest) -> int:
    cloud = with_guests(guest)
    return len(
        [flow for view in cloud.views(1) if isinstance(view, LocalPort) and view.key == 1 for flow in flows_of(view)]
    )


def test_a_port_with_groups_costs_three_flows_more() -> None:
    without = local_flows(Guest(1, GREEN, 1))
    assert local_flows(Guest(1, GREEN, 1, groups=(FRIENDS,))) == without + 3 == 21
    assert local_flows(Guest(1, GREEN, 1, groups=(FRIENDS, WEB, SHUT))) == without + 3


def test_members_and_rules_add_up() -> None:
    """They do not multiply: a further member is as many flows whatever the rules, and the other way round."""

    def flows(members: int, rules: int) -> int:
        many = tuple(rule(protocol=UDP, low=port, high=port, remote=FRIENDS) for port in range(rules))
        guests = tuple(Guest(number, GREEN, 1 if number == 1 else 2, groups=(FRIENDS,)) for number in range(1, members))
        cloud = Cloud(guests, policies=(GroupView(FRIENDS, many),))
        return sum(len(flows_of(view)) for view in cloud.views(1))

    assert flows(60, 50) - flows(50, 50) == flows(60, 1) - flows(50, 1)
    assert flows(60, 50) - flows(60, 40) == 10


def test_no_group_no_flow_of_groups() -> None:
    guest = Guest(1, GREEN, 1)
    assert guest.local().filtering is Filtering.NONE
    assert not [flow for flow in flows_of(guest.local()) if flow.table in (Table.FROM_EVAL, Table.TO_EVAL)]
