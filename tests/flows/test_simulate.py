# SPDX-License-Identifier: Apache-2.0
"""The interpreter: what each action does, what ends a packet, what the tracker is asked. test_trace.py asks OVS."""

from __future__ import annotations

import sys

import pytest

from sdnctl.apps.qos import apart
from sdnctl.flows import simulate
from sdnctl.flows.action import (
    Action,
    Controller,
    Ct,
    CtNat,
    Goto,
    Group,
    Load,
    Meter,
    Output,
    OutputInPort,
    Resubmit,
    SetField,
    Truncate,
)
from sdnctl.flows.connections import EST_FLAG, NEW_FLAG, RPL_FLAG, TRK_FLAG, Connections, Tracked, always
from sdnctl.flows.fields import Field
from sdnctl.flows.flow import Flow, drop
from sdnctl.flows.groups import GroupSpec
from sdnctl.flows.match import Match
from sdnctl.flows.packet import Packet, read_packet
from sdnctl.flows.pipeline import App, Kind, Owner, Reason
from sdnctl.flows.registers import NETWORK
from sdnctl.flows.simulate import Tables

PACKET = read_packet("in_port=1,tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2,tcp_src=4000,tcp_dst=80")
SOLICITATION = "in_port=1,icmp6,icmp_type=135,icmp_code=0,nd_target=fe80::1,nd_sll=52:54:00:00:00:01"
ANSWER = read_packet("in_port=2,tcp,nw_src=10.0.0.2,nw_dst=10.0.0.1,tcp_src=80,tcp_dst=4000")
OWNER = Owner(App.PIPELINE, Kind.HOST, 1)


def classes(base: type) -> set[type]:
    """All below `base`, without what a dataclass with slots leaves behind of the class it was made of."""
    found = {one for kind in base.__subclasses__() for one in (kind, *classes(kind))}
    return {one for one in found if getattr(sys.modules[one.__module__], one.__name__, None) is one}


def test_every_action_is_done() -> None:
    """Whoever adds an action says here what it does (`docs/contributing.md`)."""
    assert set(simulate._DO) == classes(Action)


def test_every_field_has_a_place() -> None:
    assert len(PACKET.values) > max(Field)
    assert Packet.of({}).values == (0,) * len(PACKET.values)


# --- packets ------------------------------------------------------------------------------------------------------


def test_packet_reads_what_it_writes() -> None:
    for packet in (
        PACKET,
        ANSWER,
        read_packet(SOLICITATION),
        read_packet("in_port=1,dl_vlan=5,arp,arp_op=2,arp_spa=10.0.0.1"),
    ):
        assert read_packet(packet.text()) == packet


@pytest.mark.parametrize(
    ("text", "complaint"),
    (
        ("ip,nw_src=10.0.0.0/8", "one value, not a range"),
        ("nw_src=10.0.0.1", "needs a match that also says"),
        ("tcp,udp_dst=5", "needs a match that also says"),
        ("tcp,nw_frag=later,tcp_dst=80", "needs a match that also says"),
        ("tcp,ip_dts=10.0.0.1", "no field we know"),
        ("ip,arp", "contradicts"),
        ("eth_src=52:54", "no MAC address"),
    ),
)
def test_what_is_no_packet_says_why(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        read_packet(text)


def test_the_wire_carries_nothing_of_the_switch() -> None:
    inside = PACKET.changed({Field.REG3: 5, Field.TUN_ID: 7, Field.CT_MARK: 1})
    assert inside.on_the_wire() == PACKET.changed({Field.IN_PORT: 0})


# --- what a switch does -------------------------------------------------------------------------------------------


def test_higher_priority_wins_and_registers_travel() -> None:
    tables = Tables(
        (
            Flow(0, 10, Match(), (Output(9),)),
            Flow(0, 20, Match().tcp4(dst=80), (Load(NETWORK, 7), Goto(5))),
            Flow(5, 10, Match().slot(NETWORK, 7), (Output(2), Output(1), OutputInPort())),
            drop(5, 0, Match(), OWNER, Reason.MISS),
        )
    )
    outcome = tables.run(PACKET)
    assert [one.ofport for one in outcome.outputs] == [2, 1]
    assert [one.ofport for one in outcome.withheld] == [1]
    assert [step.table for step in outcome.path(outcome.outputs[0].step)] == [0, 5]
    assert outcome.outputs[0].packet[Field.REG0] == 7
    assert tables.run(PACKET.changed({Field.TCP_DST: 81})).outputs[0].ofport == 9


def test_drops_say_why() -> None:
    tables = Tables((Flow(0, 1, Match(), (Resubmit(1), Resubmit(2))), drop(1, 0, Match(), OWNER, Reason.FOREIGN_MAC)))
    assert [(step.table, step.reason) for step in tables.run(PACKET).drops] == [
        (1, Reason.FOREIGN_MAC),
        (2, Reason.MISS),
    ]


def test_changed_tables_leave_the_others_as_they_were() -> None:
    flow = Flow(0, 1, Match(), (Output(2),))
    before = Tables((flow,))
    after = before.changed((flow,), (Flow(0, 1, Match(), (Output(3),)),))
    assert [one.run(PACKET).outputs[0].ofport for one in (before, after)] == [2, 3]


def test_meters_let_pass_and_controllers_get_a_copy() -> None:
    outcome = Tables((Flow(0, 1, Match(), (Meter(1), Controller(userdata=b"x"), Output(2))),)).run(PACKET)
    assert (outcome.punts[0].userdata, outcome.outputs[0].ofport) == (b"x", 2)


def test_buckets_do_not_see_each_other() -> None:
    group = GroupSpec(1, "all", ((Load(NETWORK, 7), Output(2)), (Resubmit(1),)))
    flows = (Flow(0, 1, Match(), (Group(1),)), Flow(1, 1, Match().slot(NETWORK, 0), (Output(3),)))
    assert [one.ofport for one in Tables(flows, (group,)).run(PACKET).outputs] == [2, 3]


def test_a_header_of_protocol_0_leaves_as_it_came() -> None:
    """As Open vSwitch has it: flows see what was written, the wire does not."""
    mark = Flow(0, 1, Match().ipv4(), (SetField(Field.IP_DSCP, 46), Resubmit(1)))
    tables = Tables((mark, Flow(1, 1, Match().ipv4().field(Field.IP_DSCP, 46), (Output(2),))))
    for protocol, dscp in ((6, 46), (0, 0)):
        [sent] = tables.run(PACKET.changed({Field.IP_PROTO: protocol, Field.TCP_DST: 0, Field.TCP_SRC: 0})).outputs
        assert sent.packet[Field.IP_DSCP] == dscp


def test_a_clone_leaves_the_packet_as_it_was() -> None:
    """Registers, fields and stack; and what is cut off for the port it came from goes nowhere."""
    copy = apart(Load(NETWORK, 7), SetField(Field.ETH_SRC, 5), Resubmit(1))
    flows = (Flow(0, 1, Match(), (copy, Resubmit(1))), Flow(1, 2, Match().slot(NETWORK, 7), (Output(3),)))
    outcome = Tables((*flows, Flow(1, 1, Match(), (Output(2), Truncate(4, 64))))).run(PACKET)
    assert [one.ofport for one in outcome.outputs] == [3, 2, 4]
    assert [one.packet[Field.ETH_SRC] for one in outcome.outputs] == [5, PACKET[Field.ETH_SRC], PACKET[Field.ETH_SRC]]
    assert not outcome.withheld


def test_a_circle_voids_everything() -> None:
    outcome = Tables((Flow(0, 1, Match(), (Output(2), Resubmit(0))),)).run(PACKET)
    assert (outcome.outputs, bool(outcome.error)) == ((), True)


# --- connections --------------------------------------------------------------------------------------------------

ASK = Flow(0, 1, Match().ipv4(), (Ct(5, table=1), Output(9)))


def test_tracked_copy_goes_on_in_the_table() -> None:
    known = Match().ipv4().ct_state("+trk+est").field(Field.CT_MARK, 3)
    flows = (ASK, Flow(1, 2, known, (Output(2),)), Flow(1, 1, Match(), (Output(3),)))
    tables = Tables(flows)
    assert [one.ofport for one in tables.run(PACKET, always(EST_FLAG, 3)).outputs] == [2, 9]
    assert [one.ofport for one in tables.run(PACKET, always(NEW_FLAG, 3)).outputs] == [3, 9]
    tracked, plain = tables.run(PACKET, always(EST_FLAG, 3)).outputs
    assert (tracked.packet[Field.CT_STATE], tracked.packet[Field.CT_ZONE]) == (EST_FLAG | TRK_FLAG, 5)
    assert plain.packet[Field.CT_STATE] == 0


def test_connections_remember_what_is_committed() -> None:
    commit = Ct(5, table=2, commit=True, then=(simulate.SetField(Field.CT_MARK, 3),))
    tables = Tables(
        (ASK, Flow(1, 1, Match().ipv4().ct_state("+new+trk"), (commit,)), Flow(2, 1, Match(), (Output(2),)))
    )
    first = tables.run(PACKET, Connections())
    assert [(one.zone, one.mark) for one in first.commits] == [(5, 3)]
    known = Connections().after(first)
    assert known(5, PACKET) == Tracked(NEW_FLAG, 3), "until it is answered"
    assert known(6, PACKET) == Tracked(NEW_FLAG)
    assert known(5, ANSWER) == Tracked(EST_FLAG | RPL_FLAG, 3)
    known = known.after(tables.run(ANSWER, known))
    assert known(5, PACKET) == Tracked(EST_FLAG, 3)


def test_translation_is_the_first_of_its_range_or_what_is_known() -> None:
    nat = Ct(5, table=1, commit=True, nat=CtNat("src", 0x01020304, first_port=77, last_port=99))
    tables = Tables((Flow(0, 1, Match().tcp4(), (nat,)), Flow(1, 1, Match(), (Output(2),))))
    (sent,) = tables.run(PACKET).outputs
    assert (sent.packet[Field.IPV4_SRC], sent.packet[Field.TCP_SRC]) == (0x01020304, 77)
    (sent,) = tables.run(PACKET, lambda *_: Tracked(EST_FLAG, translated=((Field.IPV4_SRC, 5),))).outputs
    assert (sent.packet[Field.IPV4_SRC], sent.packet[Field.TCP_SRC]) == (5, 4000)
