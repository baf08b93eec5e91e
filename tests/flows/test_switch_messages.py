# SPDX-License-Identifier: Apache-2.0
"""What a real Open vSwitch does with bundles, meters, groups, deletions and packets of ours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sdnctl.flows.action import Ct, Goto, Group, Load, Meter, Output, OutputInPort, Resubmit
from sdnctl.flows.flow import Flow
from sdnctl.flows.match import Match
from sdnctl.flows.pipeline import App, Kind, Owner, Table
from sdnctl.flows.registers import NETWORK
from sdnctl.flows.text import parse
from sdnctl.flows.wire import (
    CONTROLLER_PORT,
    FlowFilter,
    GroupSpec,
    MeterSpec,
    WireFlow,
    WireGroup,
    add_message,
    barrier,
    bundle_add,
    bundle_commit,
    bundle_discard,
    bundle_open,
    decode_group,
    delete_message,
    encode,
    encode_group,
    flow_stats_request,
    forget_message,
    group_add,
    group_delete,
    group_desc_request,
    group_modify,
    meter_add,
    meter_config_request,
    meter_delete,
    meter_modify,
    meter_stats_request,
    packet_out,
    parse_flow_counters,
    parse_flow_stats,
    parse_group_desc,
    parse_meter_config,
    parse_meter_stats,
)
from tests.support.dummy_ovs import DummySwitch, RawConnection

pytestmark = pytest.mark.switch

ERROR = 1
BUNDLE = 33
OURS = Owner(App.CLASSIFY, Kind.PORT, 7).cookie()
FRAME = bytes.fromhex("525400000002 525400000001 0800".replace(" ", "")) + bytes(46)


@pytest.fixture
def connection(switch: DummySwitch) -> Iterator[RawConnection]:
    """A bridge of its own for each test."""
    switch.bridge("br1", q1=1, q2=2)
    with RawConnection(switch.socket("br1")) as connection:
        yield connection
    switch.delete_bridge("br1")


def flow(priority: int, *, cookie: int = OURS) -> WireFlow:
    return encode(Flow(0, priority, Match(), (Output(1),), cookie))


def add(priority: int, xid: int) -> bytes:
    return bundle_add(1, add_message(flow(priority), xid))


def flows_on(connection: RawConnection) -> list[WireFlow]:
    bodies = connection.multipart(flow_stats_request(9))
    return sorted(wire for body in bodies for wire in parse_flow_stats(body))


def errors(answers: list[bytes]) -> list[tuple[int, int, int]]:
    """(xid, type, code) of each refusal."""
    return [(int.from_bytes(one[4:8], "big"), one[9], one[11]) for one in answers if one[1] == ERROR]


def test_bundle_is_all_or_nothing_at_commit(connection: RawConnection):
    """A flow that uses a group which is not there is refused when the bundle is committed, and all others with it."""
    bad = bundle_add(1, add_message(encode(Flow(0, 6, Match(), (Group(99),), OURS)), 51))
    answers = connection.ask(bundle_open(1, 1) + add(5, 50) + bad + add(7, 52) + bundle_commit(1, 2))
    assert errors(answers) == [(51, 2, 9), (2, 17, 13)]
    assert flows_on(connection) == []


def test_bundle_goes_on_without_what_cannot_be_read(connection: RawConnection):
    """Surprising: a message refused at once is not part of the bundle, and committing puts in the rest.

    So before a commit one has to know that every addition was taken: a barrier in between says it.
    """
    unreadable = bundle_add(1, add_message(WireFlow(b"\0\0\6", OURS, bytes.fromhex("0001000800000000")), 51))
    answers = connection.ask(bundle_open(1, 1) + add(5, 50) + unreadable + add(7, 52) + bundle_commit(1, 2))
    assert errors(answers) == [(51, 3, 2)]
    assert flows_on(connection) == [flow(5), flow(7)]


def test_barrier_inside_of_a_bundle_tells_in_time(connection: RawConnection):
    unreadable = bundle_add(1, add_message(WireFlow(b"\0\0\6", OURS, bytes.fromhex("0001000800000000")), 51))
    answers = connection.ask(bundle_open(1, 1) + add(5, 50) + unreadable)
    assert errors(answers) == [(51, 3, 2)]
    assert errors(connection.ask(bundle_discard(1, 2))) == []
    assert flows_on(connection) == []


def test_bundle_takes_groups_and_no_meters(connection: RawConnection):
    group = encode_group(GroupSpec(5, "all", ((Output(1),),)))
    uses = bundle_add(1, add_message(encode(Flow(0, 6, Match(), (Group(5),), OURS)), 51))
    assert (
        errors(connection.ask(bundle_open(1, 1) + bundle_add(1, group_add(group, 50)) + uses + bundle_commit(1, 2)))
        == []
    )
    assert len(flows_on(connection)) == 1
    refused = connection.ask(
        bundle_open(1, 1) + bundle_add(1, meter_add(MeterSpec(5, pktps=5), 50)) + bundle_discard(1, 2)
    )
    assert errors(refused) == [(50, 17, 10)]


def test_deletion_is_strict_and_leaves_others_alone(connection: RawConnection):
    """Only the flow with this very key, and only if its cookie is the one we mean."""
    foreign = flow(5, cookie=0x77)
    narrow = encode(Flow(0, 5, Match().in_port(1), (), 0x77))
    connection.ask(add_message(foreign) + add_message(narrow) + add_message(flow(6)))
    assert connection.ask(delete_message(foreign.key)) == []
    assert len(flows_on(connection)) == 3
    assert connection.ask(delete_message(flow(6).key) + delete_message(foreign.key, 0x77, 2**64 - 1)) == []
    assert flows_on(connection) == [narrow]


def test_adding_replaces_and_keeps_the_key(connection: RawConnection):
    connection.ask(add_message(flow(5)) + add_message(flow(5, cookie=OURS + 1)))
    assert flows_on(connection) == [flow(5, cookie=OURS + 1)]


def test_flows_of_a_cookie_alone(connection: RawConnection):
    connection.ask(add_message(flow(5)) + add_message(flow(6, cookie=0x77)))
    bodies = connection.multipart(flow_stats_request(9, FlowFilter(0x5D << 56, 0xFF << 56)))
    assert [wire for body in bodies for wire in parse_flow_stats(body)] == [flow(5)]


def test_flows_of_a_table_and_a_field_alone(connection: RawConnection):
    """Asked for, and taken out, by a field that others do not have; what else is in the match does not matter."""
    wanted = Match().in_port(1)
    flows = [Flow(90, 5, wanted.slot(NETWORK, 7), (), 1), Flow(91, 5, wanted, (), 1), Flow(90, 6, Match(), (), 1)]
    other = Flow(90, 5, Match().in_port(2).slot(NETWORK, 7), (), 1)
    connection.ask(b"".join(add_message(encode(one)) for one in (*flows, other)))
    asked = FlowFilter(1, 2**64 - 1, 90, wanted.oxm)
    bodies = connection.multipart(flow_stats_request(9, asked))
    found = [wire for body in bodies for wire in parse_flow_stats(body)]
    assert found == [encode(flows[0])]
    assert [one for one in flows_on(connection) if asked.includes(one)] == found
    assert connection.ask(forget_message(wanted.oxm, 2, 2**64 - 1)) == []
    assert len([one for one in flows_on(connection) if one.cookie == 1]) == 4
    assert connection.ask(forget_message(wanted.oxm, 1, 2**64 - 1)) == []
    assert {one for one in flows_on(connection) if one.cookie == 1} == {encode(flows[2]), encode(other)}


def test_meters(connection: RawConnection, switch: DummySwitch):
    """Added, changed, listed as specs and as text, deleted with the flows that use them."""
    specs = [MeterSpec(1, pktps=100, burst=20), MeterSpec(0x10001, kbps=1000), MeterSpec(7, kbps=64, burst=128)]
    assert connection.ask(b"".join(meter_add(spec) for spec in specs)) == []
    changed = MeterSpec(1, pktps=50)
    assert connection.ask(meter_modify(changed)) == []
    have = [spec for body in connection.multipart(meter_config_request(3)) for spec in parse_meter_config(body)]
    assert sorted(have, key=lambda spec: spec.id) == [changed, specs[2], specs[1]]
    dump = switch.ofctl("dump-meters", "br1").replace("\n", " ")
    assert all(spec.text() in dump for spec in have)
    connection.ask(add_message(encode(Flow(0, 5, Match(), (Meter(7), Output(1)), OURS))))
    assert connection.ask(meter_delete(7)) == []
    assert flows_on(connection) == []
    assert errors(connection.ask(meter_add(changed, 4))) == [(4, 12, 1)]
    assert errors(connection.ask(meter_modify(specs[2], 4))) == [(4, 12, 3)]
    assert errors(connection.ask(meter_delete(99, 4))) == []


def dropped(connection: RawConnection, *asked: int) -> dict[int, tuple[int, int]]:
    """Meter -> packets, bytes."""
    bodies = connection.multipart(meter_stats_request(*asked, xid=9))
    return {number: (packets, octets) for body in bodies for number, packets, octets in parse_meter_stats(body)}


def test_meters_tell_what_they_dropped_and_begin_anew_when_they_are_changed(connection: RawConnection):
    """To the packet, at once. A change to what it was already is one too; a packet that passes counts nowhere."""
    slow = MeterSpec(8, pktps=1, burst=5)
    connection.ask(meter_add(slow) + meter_add(MeterSpec(9, kbps=1000000)))
    connection.ask(
        add_message(encode(Flow(0, 5, Match().in_port(1), (Meter(8), Output(2)), OURS)))
        + add_message(encode(Flow(0, 5, Match().in_port(2), (Meter(9), Output(1)), OURS)))
    )
    connection.ask(packet_out(1, (Resubmit(0),), FRAME) * 12 + packet_out(2, (Resubmit(0),), FRAME) * 12)
    assert dropped(connection) == {8: (7, 7 * 60), 9: (0, 0)}
    assert dropped(connection, 8) == {8: (7, 7 * 60)}
    connection.ask(meter_modify(slow))
    assert dropped(connection, 8) == {8: (0, 0)}
    connection.ask(packet_out(1, (Resubmit(0),), FRAME) * 9)
    assert dropped(connection, 8) == {8: (4, 4 * 60)}
    # In one go: what is asked first is answered as it was before.
    connection.send(meter_stats_request(8, 21) + meter_modify(slow, 22) + meter_stats_request(8, 23))
    answers = [next(parse_meter_stats(connection.receive()[16:])) for _ in range(2)]
    assert [one.packets for one in answers] == [4, 0]
    connection.ask(packet_out(1, (Resubmit(0),), FRAME) * 9 + meter_delete(8) + meter_add(slow))
    assert dropped(connection, 8) == {8: (0, 0)}
    assert errors(connection.ask(meter_stats_request(77, 24))) == [(24, 12, 3)]


def test_foreign_meter_equals_none_of_ours(connection: RawConnection, switch: DummySwitch):
    switch.ofctl("add-meter", "br1", "meter=3,kbps,stats,bands=type=drop,rate=5,type=drop,rate=9")
    (body,) = connection.multipart(meter_config_request(3))
    (spec,) = parse_meter_config(body)
    assert spec == MeterSpec(3, kbps=0xFFFFFFFF, burst=0xFFFFFFFF)


def test_groups(connection: RawConnection, switch: DummySwitch):
    """Buckets come back as they were sent, and mean what they meant."""
    specs = [
        GroupSpec(0, "all", ((Output(1),), (Load(NETWORK, 5), Resubmit(10)), ())),
        GroupSpec(5, "indirect", ((OutputInPort(),),)),
        GroupSpec(0xFFFFFF00, "all", ()),
    ]
    assert connection.ask(b"".join(group_add(encode_group(spec)) for spec in specs)) == []
    have = [group for body in connection.multipart(group_desc_request(3)) for group in parse_group_desc(body)]
    assert sorted(have) == [encode_group(spec) for spec in specs]
    assert [decode_group(group) for group in sorted(have)] == specs
    dump = switch.ofctl("dump-groups", "br1")
    assert all(spec.text() in dump for spec in specs)
    changed = encode_group(GroupSpec(5, "all", ((Output(2),),)))
    connection.ask(add_message(encode(Flow(0, 5, Match(), (Group(0),), OURS))))
    assert connection.ask(group_modify(changed) + group_delete(0) + group_delete(0xFFFFFF00)) == []
    (body,) = connection.multipart(group_desc_request(3))
    assert list(parse_group_desc(body)) == [changed]
    assert flows_on(connection) == []


def test_foreign_group(connection: RawConnection, switch: DummySwitch):
    switch.ofctl("add-group", "br1", "group_id=9,type=select,bucket=weight:5,actions=output:1")
    (body,) = connection.multipart(group_desc_request(3))
    (group,) = parse_group_desc(body)
    assert group == WireGroup(9, 1, group.buckets)
    with pytest.raises(ValueError, match="type"):
        decode_group(group)


def test_packets_are_counted(connection: RawConnection, switch: DummySwitch):
    """A packet of ours runs through the tables from the port we say, and the flow that takes it counts it."""
    wire = encode(Flow(0, 5, Match().in_port(2).eth_src(0x525400000001), (Output(1),), OURS))
    connection.ask(add_message(wire) + add_message(flow(4)))
    connection.ask(packet_out(2, (Resubmit(0),), FRAME) * 3 + packet_out(CONTROLLER_PORT, (Output(2),), FRAME))
    bodies = connection.multipart(flow_stats_request(9))
    counted = {one: (packets, octets) for body in bodies for one, packets, octets in parse_flow_counters(body)}
    assert counted == {wire: (3, 180), flow(4): (0, 0)}


def test_barrier_is_answered(connection: RawConnection):
    connection.send(barrier(0x99))
    answer = connection.receive()
    assert (answer[1], int.from_bytes(answer[4:8], "big")) == (21, 0x99)


def test_table_names(connection: RawConnection, switch: DummySwitch):
    """With our tables named in the database, `ovs-ofctl --names` prints what text(names=True) gives."""
    command = ["set", "bridge", "br1"]
    for table in Table:
        command += [f"flow_tables:{table}=@t{table}"]
    for table in Table:
        command += ["--", f"--id=@t{table}", "create", "Flow_Table", f"name={table.name.lower()}"]
    switch.vsctl(*command)
    tests, security = Match().ipv4(), Table.PORT_SECURITY
    flows = [
        Flow(security, 5, tests, (Resubmit(Table.RESPONDERS), Ct(5, Table.OUTPUT), Goto(Table.SWITCHING)), OURS),
        Flow(Table.CLASSIFY, 5, Match(), (Resubmit(99), Goto(Table.PORT_SECURITY)), OURS),
    ]
    connection.ask(b"".join(add_message(encode(flow)) for flow in flows))
    dump = switch.ofctl("--no-stats --names dump-flows", "br1").splitlines()
    assert sorted(line.strip() for line in dump) == sorted(flow.text(names=True) for flow in flows)
    assert [parse(flow.text(names=True)) for flow in flows] == flows
