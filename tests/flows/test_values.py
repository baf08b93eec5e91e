# SPDX-License-Identifier: Apache-2.0
"""What cannot be made: each mistake raises where the flow is written, and says what would be right."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sdnctl.flows.action import (
    LOCAL,
    Action,
    Clone,
    Conjunction,
    Controller,
    Ct,
    CtNat,
    DecTtl,
    Goto,
    Group,
    Load,
    Meter,
    Move,
    Output,
    Pop,
    PopVlan,
    Push,
    PushVlan,
    Resubmit,
    SetField,
    Truncate,
)
from sdnctl.flows.fields import Field, Part
from sdnctl.flows.flow import Flow, drop
from sdnctl.flows.groups import GroupSpec
from sdnctl.flows.match import Match
from sdnctl.flows.meters import MeterSpec
from sdnctl.flows.pipeline import App, Kind, Owner, Reason, Table
from sdnctl.flows.registers import FROM_PORT, NETWORK, SLOTS, SOURCE, TO_PORT, Slot
from sdnctl.flows.wire import encode, packet_out
from tests.flows.samples import ACTIONS, sample_matches

OWNER = Owner(App.CLASSIFY, Kind.PORT, 7)


def refused(says: str, make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize(
    ("says", "make"),
    (
        ("mask", lambda: Match().field(Field.REG0, 0x10, 0x0F)),
        ("mask", lambda: Match().field(Field.REG0, 0, 0)),
        ("does not fit", lambda: Match().field(Field.REG0, 1 << 32)),
        ("does not fit", lambda: Match().in_port(-1)),
        ("does not fit", lambda: Match().arp_op(256)),
        ("as a whole", lambda: Match().ipv4().field(Field.IP_PROTO, 4, 0xFC)),
        ("outside of the mask", lambda: Match().ipv4_src(1, 0)),
        ("matched already", lambda: Match().in_port(1).in_port(1)),
        ("matched already", lambda: Match().arp().ipv4()),
        ("matched already", lambda: Match().tcp4().udp4()),
        ("matched already", lambda: Match().slot(NETWORK, 5).slot(NETWORK, 5)),
        ("24 bits", lambda: Match().slot(NETWORK, 1 << 24)),
        ("needs a match that also says IP", lambda: Match().ip_ttl(5)),
        ("needs a match that also says ARP", lambda: Match().field(Field.ARP_SPA, 5)),
        ("needs a match that also says TCP", lambda: Match().udp4().field(Field.TCP_SRC, 5)),
        ("SOLICITATION", lambda: Match().icmp6(136, 0).nd_sll(5)),
        ("CODE_0", lambda: Match().icmp6(135).nd_target(5)),
        ("lacks bit 12", lambda: Match().field(Field.VLAN_VID, 5)),
        ("0 to 4095", lambda: Match().vlan(4096)),
        ("one of no", lambda: Match().ipv4().fragment("never")),
        ("none of no", lambda: Match().ipv4().field(Field.IP_FRAG, 2, 2)),
        ("nothing of layer 4", lambda: Match().tcp4(dst=80).fragment("later")),
        ("says TCP", lambda: Match().ipv4().fragment("later").ip_proto(6).field(Field.TCP_DST, 80)),
        ("no flag", lambda: Match().ct_state("+trk+open")),
        ("flags", lambda: Match().field(Field.CT_STATE, 0, 0x100)),
    ),
)  # fmt: skip
def test_match_refuses(says: str, make: Callable[[], object]):
    refused(says, make)


@pytest.mark.parametrize(
    ("says", "make"),
    (
        ("from 1", lambda: Output(0)),
        ("from 1", lambda: Output(0xFFFFFFFF)),
        ("65535", lambda: Controller(65536)),
        ("does not fit", lambda: Load(SOURCE, 2)),
        ("cannot be written", lambda: Load(Field.ETH_TYPE, 5)),
        ("64 bits", lambda: Load(Field.IPV6_SRC, 5)),
        ("cannot be set", lambda: SetField(Field.IP_PROTO, 5)),
        ("use Load", lambda: SetField(Field.IN_PORT, 5)),
        ("at most", lambda: SetField(Field.ETH_SRC, 1 << 48)),
        ("leave it out", lambda: SetField(Field.ETH_SRC, 5, Field.ETH_SRC.full)),
        ("outside", lambda: SetField(Field.ETH_SRC, 5, 2)),
        ("add 4096", lambda: SetField(Field.VLAN_VID, 5)),
        ("as a whole", lambda: SetField(Field.IP_TTL, 4, 0xFC)),
        ("48 bits into 32", lambda: Move(Field.ETH_SRC, FROM_PORT)),
        ("cannot be written", lambda: Move(FROM_PORT, Field.CT_STATE)),
        ("cannot be written", lambda: Pop(Field.ETH_TYPE)),
        ("0x8100", lambda: PushVlan(0x800)),
        ("1 to 253", lambda: Goto(0)),
        ("1 to 253", lambda: Goto(254)),
        ("0 to 253", lambda: Resubmit(255)),
        ("from 1", lambda: Meter(0)),
        ("from 0", lambda: Group(-1)),
        ("counted from 1", lambda: Conjunction(1, 0, 2)),
        ("2 to 64", lambda: Conjunction(1, 1, 1)),
        ("bits 0 to 31", lambda: Part(Field.REG0, 30, 3)),
        ("bits 0 to 11", lambda: Part(Field.VLAN_VID, 0, 13)),
        ("bits 0 to 31", lambda: Slot("X", Field.REG0, 16, 17)),
        ("1 to", lambda: Truncate(0, 14)),
        ("14 bytes", lambda: Truncate(1, 13)),
        ("in a clone", lambda: Clone((Meter(1),))),
        ("in a clone", lambda: Clone((Goto(5),))),
        ("in a clone", lambda: Clone((Ct(),))),
        ("in a clone", lambda: Clone((Clone((Output(1),)),))),
        ("nothing is done", lambda: Clone(())),
        ("needs commit", lambda: Ct(force=True)),
        ("needs commit", lambda: Ct(then=(SetField(Field.CT_MARK, 1),))),
        ("needs commit", lambda: Ct(nat=CtNat("src", 5))),
        ("16 bits", lambda: Ct(zone=FROM_PORT)),
        ("16 bits", lambda: Ct(zone=65536)),
        ("0 to 253", lambda: Ct(table=254)),
        ("mark and label", lambda: Ct(commit=True, then=(SetField(Field.ETH_SRC, 1),))),
        ("mark and label", lambda: Ct(commit=True, then=(CtNat(),))),
        ("no range", lambda: CtNat("src", 0)),
        ("no range", lambda: CtNat("src", 5, 4)),
        ("no range", lambda: CtNat("src", 1 << 32)),
        ("no range", lambda: CtNat("src", 5, 5, 9, 8)),
        ("first one", lambda: CtNat("src", 5, last_port=8)),
        ("first address", lambda: CtNat("src", first_port=8)),
        ("src or dst", lambda: CtNat("", 5)),
        ("src, dst", lambda: CtNat("both", 5)),
        ("persistent", lambda: CtNat("src", 5, flags=frozenset({"sticky"}))),
    ),
)  # fmt: skip
def test_action_refuses(says: str, make: Callable[[], object]):
    refused(says, make)


@pytest.mark.parametrize(
    ("says", "table", "match", "actions"),
    (
        ("RESPONDERS cannot go back to PORT_SECURITY", Table.RESPONDERS, Match(), (Goto(Table.PORT_SECURITY),)),
        ("cannot go back", Table.RESPONDERS, Match(), (Goto(Table.RESPONDERS),)),
        ("never happens", 0, Match(), (Goto(5), Output(1))),
        ("never happens", 0, Match(), (Goto(5), Output(1), Goto(5))),
        ("never happens", 0, Match(), (Goto(5), Goto(5))),
        ("meter comes first", 0, Match(), (Output(1), Meter(1))),
        ("meter comes first", 0, Match(), (Meter(1), Meter(1))),
        ("says IP", 0, Match(), (DecTtl(),)),
        ("says IPV4", 0, Match().ipv6(), (SetField(Field.IPV4_SRC, 5),)),
        ("says TAGGED", 0, Match(), (PopVlan(),)),
        ("says TAGGED", 0, Match().vlan(5), (PopVlan(), SetField(Field.VLAN_VID, 0x1005))),
        ("says TAGGED", 0, Match().untagged(), (SetField(Field.VLAN_VID, 0x1005),)),
        ("says TCP", 0, Match().tcp4().fragment("later"), (SetField(Field.TCP_SRC, 5),)),
        ("says CONNECTION", 0, Match().ipv4(), (SetField(Field.CT_MARK, 5),)),
        ("says CONNECTION", 0, Match().ipv4(), (CtNat(),)),
        ("says ARP", 0, Match().ipv4(), (Move(Field.ARP_SPA, FROM_PORT),)),
        ("says IPV6", 0, Match().ipv4(), (Push(Field.IPV6_SRC),)),
        ("says IPV6", 0, Match().ipv4(), (Ct(commit=True, nat=CtNat("src", 5, version=6)),)),
        ("cannot be committed", 0, Match().ipv4().ct_state("+trk+inv"), (Ct(commit=True),)),
        ("stands beside", 0, Match(), (Conjunction(1, 1, 2), Output(1))),
        ("stands beside", 0, Match(), (Clone((Conjunction(1, 1, 2),)),)),
        ("says IP", 0, Match(), (Clone((Output(1), DecTtl())),)),
        ("says TAGGED", 0, Match().vlan(5), (Clone((PopVlan(), PopVlan())),)),
        ("no more", 0, Match(), (PushVlan(), PushVlan(), PushVlan())),
        ("no more", 0, Match().vlan(5), (PushVlan(), PushVlan())),
        ("no more", 0, Match(), (PushVlan(), Clone((PushVlan(), PushVlan())))),
        ("out of range", 254, Match(), (Output(1),)),
    ),
)
def test_flow_refuses(says: str, table: int, match: Match, actions: tuple[Action, ...]):
    refused(says, lambda: Flow(table, 1, match, actions, OWNER.cookie()))


def test_flow_refuses_numbers_out_of_range():
    refused("out of range", lambda: Flow(0, 65536, Match(), (Output(1),)))
    refused("out of range", lambda: Flow(0, 1, Match(), (Output(1),), 1 << 64))


def test_flow_refuses_to_be_longer_than_a_message():
    flow = Flow(0, 1, Match(), tuple(Output(port) for port in range(1, 4200)))
    refused("do not fit", lambda: encode(flow))


def test_our_drops_have_a_reason():
    refused("reason", lambda: Flow(0, 1, Match(), (), OWNER.cookie()))
    refused("reason", lambda: drop(0, 1, Match(), OWNER, Reason.NONE))
    assert drop(0, 1, Match(), OWNER, Reason.MISS) == Flow(0, 1, Match(), (), OWNER.cookie(Reason.MISS))
    Flow(0, 1, Match(), (), 0x1234)  # somebody else's cookie says nothing about reasons


def test_meters_and_groups_refuse():
    refused("from 1", lambda: MeterSpec(0, 5, 5))
    refused("either", lambda: MeterSpec(1, 5, 5, 5))
    refused("either", lambda: MeterSpec(1))
    refused("32 bits", lambda: MeterSpec(1, 1 << 32))
    refused("numbered", lambda: GroupSpec(-1, "all", ()))
    refused("one bucket", lambda: GroupSpec(1, "indirect", ()))
    refused("not one of", lambda: GroupSpec(1, "select", ()))
    refused("Resubmit", lambda: GroupSpec(1, "all", ((Goto(5),),)))
    refused("Resubmit", lambda: packet_out(1, (Goto(5),), b""))


def test_values_are_immutable():
    match = Match().in_port(1)
    with pytest.raises(AttributeError):
        match.tests = ()  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Output(1).ofport = 2  # type: ignore[misc]
    flow = Flow(0, 1, match, (Output(1),))
    with pytest.raises(AttributeError):
        flow.table = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        flow._replace(actions=(Goto(5), Goto(4)))
    with pytest.raises(AttributeError):
        match.tests[0].value = 5  # type: ignore[misc]


def test_methods_are_short_for_fields():
    """Each method of a match gives the tests it is named after, prerequisites among them."""
    pairs = [
        (Match().eth_dst(5, 7), "dl_dst=00:00:00:00:00:05/00:00:00:00:00:07"),
        (Match().eth_type(0x0800).ipv4(), "ip"),
        (Match().tunnel_id(5).tunnel_source(1), "tun_id=0x5,tun_src=0.0.0.1"),
        (Match().rarp(), "rarp"),
        (Match().arp().arp(), "arp"),
        (Match().rarp().arp_op(3), "rarp,arp_op=3"),
        (Match().arp_op(1).arp_spa(1, 3).arp_tpa(2), "arp,arp_spa=0.0.0.1/0.0.0.3,arp_tpa=0.0.0.2,arp_op=1"),
        (Match().arp_sha(1).arp_tha(2), "arp,arp_sha=00:00:00:00:00:01,arp_tha=00:00:00:00:00:02"),
        (Match().ipv4_src(0, 0).ipv4_dst(1), "ip,nw_dst=0.0.0.1"),
        (Match().ipv6_src(1).ipv6_dst(2), "ipv6,ipv6_src=::1,ipv6_dst=::2"),
        (Match().ipv6().ip_ttl(255).ip_proto(58).ip_proto(58), "icmp6,nw_ttl=255"),
        (Match().tcp6(1, 2), "tcp6,tp_src=1,tp_dst=2"),
        (Match().udp6(dst=547), "udp6,tp_dst=547"),
        (Match().icmp4(8, 0), "icmp,icmp_type=8,icmp_code=0"),
        (
            Match().icmp6(135, 0).nd_target(1).nd_sll(2),
            "icmp6,icmp_type=135,icmp_code=0,nd_target=::1,nd_sll=00:00:00:00:00:02",
        ),
        (Match().icmp6(136, 0).nd_tll(2), "icmp6,icmp_type=136,icmp_code=0,nd_tll=00:00:00:00:00:02"),
        (Match().ct_state("+trk-new"), "ct_state=-new+trk"),
        (Match().any_tag(), "vlan_tci=0x1000/0x1000"),
    ]
    for match, text in pairs:
        assert match.text() == text


def test_what_a_match_says_of_a_field():
    match = Match().in_port(7).slot(NETWORK, 5).slot(SOURCE, 1)
    assert repr(match) == "Match(reg0=0x80000005/0x80ffffff,in_port=7)"
    found = match.get(Field.IN_PORT)
    assert found is not None
    assert (found.value, found.mask) == (7, 0xFFFFFFFF)
    assert match.get(Field.ETH_SRC) is None


def test_equal_by_meaning():
    """A slot is the bits it stands for, a table its number, and a prefix of nothing no test."""
    assert Load(NETWORK, 5) == Load(Part(Field.REG0, 0, 24), 5)
    assert Load(TO_PORT, 5) == Load(Field.REG2, 5)
    assert Load(TO_PORT, 5) != SetField(Field.REG2, 5)
    assert Goto(Table.OUTPUT) == Goto(int(Table.OUTPUT))
    assert Match().ipv4_src(0, 0) == Match().ipv4()
    assert Match().slot(NETWORK, 5).slot(SOURCE, 1) == Match().field(Field.REG0, 0x80000005, 0x80FFFFFF)
    assert Match() != Match().in_port(1)
    assert CtNat("src", 5, 5) == CtNat("src", 5)
    assert Match() is not None
    assert Match() != 5
    assert Output(1) != 5
    assert Output(LOCAL) != Output(1)


def test_action_samples_cover_every_class():
    def names_below(kind: type[Action]) -> set[str]:
        return {name for below in kind.__subclasses__() for name in (below.__name__, *names_below(below))}

    assert {kind.__name__ for kind in ACTIONS} == names_below(Action)


def test_match_samples_cover_every_field():
    assert {one.field for match in sample_matches() for one in match.tests} == set(Field)


def test_slots_share_no_bits():
    for slot in SLOTS:
        for other in SLOTS:
            assert slot is other or slot.field is not other.field or not slot.mask & other.mask, (slot, other)


def test_fields_are_named_once():
    assert len({field.oxm for field in Field}) == len({field.nxm for field in Field}) == len(Field)
    assert len({field.name_set for field in Field}) == len({field.name_nxm for field in Field}) == len(Field)
