# SPDX-License-Identifier: Apache-2.0
"""Our bytes against another implementation: os-ken's message classes build and read the same."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from os_ken.ofproto import ofproto_v1_4 as ofp
from os_ken.ofproto import ofproto_v1_4_parser as parser

from sdnctl.flows.action import (
    CONTROLLER,
    IN_PORT,
    Action,
    Clone,
    Conjunction,
    Controller,
    Ct,
    CtClear,
    DecTtl,
    Goto,
    Group,
    Learn,
    Load,
    Meter,
    Move,
    Output,
    OutputInPort,
    Pop,
    PopVlan,
    Push,
    PushVlan,
    Resubmit,
    SetField,
    Truncate,
)
from sdnctl.flows.fields import Field
from sdnctl.flows.flow import Flow
from sdnctl.flows.instruction import part_of
from sdnctl.flows.match import Match
from sdnctl.flows.wire import (
    CONTROLLER_PORT,
    FlowFilter,
    GroupSpec,
    MeterSpec,
    add_message,
    barrier,
    bundle_add,
    bundle_commit,
    bundle_discard,
    bundle_open,
    delete_message,
    echo_reply,
    echo_request,
    encode,
    encode_group,
    flow_stats_request,
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
    parse_meter_stats,
)
from tests.flows import strategies
from tests.flows.samples import sample_flows

DATAPATH = SimpleNamespace(ofproto=ofp, ofproto_parser=parser, id=1, address=("", 0))
XID = 0x1234

NAMES = {
    Field.IPV4_SRC: "ipv4_src", Field.IPV4_DST: "ipv4_dst", Field.IP_PROTO: "ip_proto", Field.IP_ECN: "ip_ecn",
    Field.IPV6_LABEL: "ipv6_flabel", Field.IN_PORT: "in_port", Field.ICMP4_TYPE: "icmpv4_type",
    Field.ICMP4_CODE: "icmpv4_code", Field.ND_TARGET: "ipv6_nd_target", Field.ND_SLL: "ipv6_nd_sll",
    Field.ND_TLL: "ipv6_nd_tll", Field.TUN_ID: "tunnel_id", Field.TUN_SRC: "tun_ipv4_src",
    Field.TUN_DST: "tun_ipv4_dst", Field.IP_FRAG: "ip_frag",
}  # fmt: skip
"""os-ken's names where they are not those of ovs-ofctl."""
NXM_NAMES = {
    "nd_target": "ipv6_nd_target",
    "nd_sll": "ipv6_nd_sll",
    "nd_tll": "ipv6_nd_tll",
    "ipv6_label": "ipv6_flabel",
}
UNKNOWN_TO_OSKEN = {Field.ND_RESERVED, Field.ND_OPTION}
"""Fields of Ericsson's extension, which os-ken has not heard of."""


def name_of(field: Field) -> str:
    return NAMES.get(field, field.name_set)


def named(name: str) -> str:
    """os-ken has two names for a field that has two numbers; the one we use."""
    name = name.removesuffix("_nxm")
    return NXM_NAMES.get(name, name)


def built(message: object) -> bytes:
    message.set_xid(XID)
    message.serialize()
    return bytes(message.buf)


def read(data: bytes):
    """A message as os-ken's class for it reads it."""
    version, kind, length, xid = struct.unpack_from("!BBHI", data)
    assert (version, length, xid) == (ofp.OFP_VERSION, len(data), XID)
    classes = {ofp.OFPT_FLOW_MOD: parser.OFPFlowMod, ofp.OFPT_GROUP_MOD: parser.OFPGroupMod}
    return classes[kind].parser(DATAPATH, version, kind, length, xid, data)


def assert_same_match(theirs, match: Match) -> None:
    """Every field under the right name, with the right value and mask, and no other."""
    fields = [ofp.oxm_from_user(name, value) for name, value in theirs.items()]
    known = {ofp.oxm_to_user(number, value, mask)[0]: (value, mask) for number, value, mask in fields}
    for one in match.tests:
        if one.field not in UNKNOWN_TO_OSKEN:
            value, mask = known[name_of(one.field)]
            assert int.from_bytes(value, "big") == one.value, match
            assert (one.field.full if mask is None else int.from_bytes(mask, "big")) == one.mask, match
    assert len(fields) == len(match.tests)


CLASSES = {
    Output: "OFPActionOutput", OutputInPort: "OFPActionOutput", SetField: ("OFPActionSetField", "NXActionRegLoad2"),
    Controller: ("OFPActionOutput", "NXActionController2"), Load: "NXActionRegLoad", Move: "NXActionRegMove",
    Push: "NXActionStackPush", Pop: "NXActionStackPop", PushVlan: "OFPActionPushVlan", PopVlan: "OFPActionPopVlan",
    DecTtl: "OFPActionDecNwTtl", Resubmit: "NXActionResubmitTable", Group: "OFPActionGroup", CtClear: "NXActionCTClear",
    Conjunction: "NXActionConjunction", Ct: "NXActionCT", Truncate: "NXActionOutputTrunc", Clone: "NXActionUnknown",
    Learn: "NXActionLearn",
}  # fmt: skip


def assert_same_action(theirs, ours: Action) -> None:
    assert type(theirs).__name__ in CLASSES[type(ours)], ours
    match ours:
        case Output():
            assert theirs.port == ours.ofport
        case OutputInPort():
            assert theirs.port == IN_PORT
        case Controller(userdata=b""):
            assert (theirs.port, theirs.max_len) == (CONTROLLER, ours.max_len)
        case Controller():
            assert bytes(theirs.userdata)[: len(ours.userdata)] == ours.userdata
        case SetField(mask=None):
            assert named(theirs.key) == name_of(ours.target)
            assert int.from_bytes(ofp.oxm_from_user(theirs.key, theirs.value)[1], "big") == ours.value
        case SetField():
            assert named(theirs.dst) == name_of(ours.target)
            _, value, mask = ofp.oxm_from_user(theirs.dst, (theirs.value, theirs.mask))
            assert (int.from_bytes(value, "big"), int.from_bytes(mask, "big")) == (ours.value, ours.mask)
        case Load():
            part = part_of(ours.target)
            assert named(theirs.dst) == name_of(part.field)
            assert (theirs.ofs_nbits >> 6, (theirs.ofs_nbits & 63) + 1) == (part.low, part.width)
            assert theirs.value == ours.value
        case Move():
            source, target = part_of(ours.source), part_of(ours.target)
            assert (named(theirs.src_field), theirs.src_ofs) == (name_of(source.field), source.low)
            assert (named(theirs.dst_field), theirs.dst_ofs) == (name_of(target.field), target.low)
            assert theirs.n_bits == source.width
        case Push() | Pop():
            part = part_of(ours.source if isinstance(ours, Push) else ours.target)
            assert (named(theirs.field), theirs.start, theirs.end) == (name_of(part.field), part.low, part.width)
        case PushVlan():
            assert theirs.ethertype == ours.eth_type
        case Resubmit():
            assert (theirs.in_port, theirs.table_id) == (0xFFF8, ours.table)
        case Group():
            assert theirs.group_id == ours.id
        case Learn():
            assert (theirs.table_id, theirs.priority, theirs.cookie) == (ours.table, ours.priority, ours.cookie)
            assert (theirs.idle_timeout, theirs.hard_timeout, theirs.flags) == (ours.idle_s, ours.hard_s, 0)
            learned = [(named(spec.src[0]), spec.src[1], spec.n_bits) for spec in theirs.specs]
            parts = [part_of(one) for one in ours.same]
            assert learned == [(name_of(part.field), part.low, part.width) for part in parts]
            assert all(spec.src == spec.dst for spec in theirs.specs)
        case Conjunction():
            assert (theirs.id, theirs.clause + 1, theirs.n_clauses) == (ours.id, ours.clause, ours.clauses)
        case Ct():
            assert theirs.flags == (1 if ours.commit else 0) | (2 if ours.force else 0)
            assert theirs.recirc_table == (255 if ours.table is None else ours.table)
            if isinstance(ours.zone, int):
                assert theirs.zone_ofs_nbits == ours.zone
            else:
                part = part_of(ours.zone)
                assert (named(theirs.zone_src), theirs.zone_ofs_nbits >> 6) == (name_of(part.field), part.low)
            inside = list(theirs.actions)
            if ours.nat is not None:
                nat = inside.pop(0)
                assert nat.flags & 3 == {"": 0, "src": 1, "dst": 2}[ours.nat.kind]
                assert (nat.range_proto_min or None) == ours.nat.first_port
            assert len(inside) == len(ours.then)
            for theirs_then, ours_then in zip(inside, ours.then, strict=True):
                assert_same_action(theirs_then, ours_then)


def written_fields(actions: Sequence[Action]) -> set[Field]:
    found: set[Field] = set()
    for action in actions:
        for place in (getattr(action, "source", None), getattr(action, "target", None)):
            if place is not None:
                found.add(part_of(place).field)
        found |= written_fields(getattr(action, "then", ()))
    return found


def assert_same_meaning(flow: Flow) -> None:
    theirs = read(add_message(encode(flow), XID))
    assert (theirs.command, theirs.table_id, theirs.priority, theirs.cookie) == (
        0,
        flow.table,
        flow.priority,
        flow.cookie,
    )
    assert (theirs.idle_timeout, theirs.hard_timeout, theirs.flags, theirs.importance) == (0, 0, 0, 0)
    assert theirs.buffer_id == ofp.OFP_NO_BUFFER
    if not {one.field for one in flow.match.tests} & UNKNOWN_TO_OSKEN:
        assert_same_match(theirs.match, flow.match)
    if written_fields(flow.actions) & UNKNOWN_TO_OSKEN:
        return
    ours = list(flow.actions)
    instructions = list(theirs.instructions)
    if ours and isinstance(ours[0], Meter):
        assert instructions.pop(0).meter_id == ours.pop(0).id
    if ours and isinstance(ours[-1], Goto):
        assert instructions.pop().table_id == ours.pop().table
    actions = instructions.pop().actions if instructions else []
    assert not instructions
    assert len(actions) == len(ours)
    for their_action, our_action in zip(actions, ours, strict=True):
        assert_same_action(their_action, our_action)


def test_sample_flows_mean_the_same():
    for flow in sample_flows():
        assert_same_meaning(flow)


@given(strategies.flows())
def test_random_flows_mean_the_same(flow: Flow):
    assert_same_meaning(flow)


@pytest.mark.parametrize(("cookie", "mask"), ((0x5D << 56, 0xFF << 56), (9, 2**64 - 1)))
def test_delete_message(cookie: int, mask: int):
    theirs = parser.OFPFlowMod(
        DATAPATH,
        cookie=cookie,
        cookie_mask=mask,
        table_id=7,
        command=ofp.OFPFC_DELETE_STRICT,
        priority=5,
        out_port=ofp.OFPP_ANY,
        out_group=ofp.OFPG_ANY,
        match=parser.OFPMatch(in_port=3),
    )
    key = encode(Flow(7, 5, Match().in_port(3), ())).key
    assert delete_message(key, cookie, mask, XID) == built(theirs)
    assert delete_message(key, xid=XID) == delete_message(key, 0x5D << 56, 0xFF << 56, XID)


def test_other_messages_are_the_same_bytes():
    reads = ofp.OFPBF_ATOMIC | ofp.OFPBF_ORDERED
    inner = parser.OFPBarrierRequest(DATAPATH)
    inner.set_xid(XID)
    band = parser.OFPMeterBandDrop(100, 10)
    kilo = parser.OFPMeterBandDrop(1000, 0)
    packets = ofp.OFPMF_PKTPS | ofp.OFPMF_BURST
    output = parser.OFPActionOutput(3, 0)
    bucket = parser.OFPBucket(0, ofp.OFPP_ANY, ofp.OFPG_ANY, [output])
    group = encode_group(GroupSpec(5, "all", ((Output(3),), (Output(3),))))
    indirect = encode_group(GroupSpec(5, "indirect", ((Output(3),),)))
    pairs = [
        (barrier(XID), parser.OFPBarrierRequest(DATAPATH)),
        (echo_request(b"abc", XID), parser.OFPEchoRequest(DATAPATH, b"abc")),
        (echo_reply(b"abc", XID), parser.OFPEchoReply(DATAPATH, b"abc")),
        (bundle_open(7, XID), parser.OFPBundleCtrlMsg(DATAPATH, 7, ofp.OFPBCT_OPEN_REQUEST, reads, [])),
        (bundle_commit(7, XID), parser.OFPBundleCtrlMsg(DATAPATH, 7, ofp.OFPBCT_COMMIT_REQUEST, reads, [])),
        (bundle_discard(7, XID), parser.OFPBundleCtrlMsg(DATAPATH, 7, ofp.OFPBCT_DISCARD_REQUEST, reads, [])),
        (bundle_add(7, barrier(XID)), parser.OFPBundleAddMsg(DATAPATH, 7, reads, inner, [])),
        (meter_add(MeterSpec(3, 100, 10), XID), parser.OFPMeterMod(DATAPATH, 0, packets, 3, [band])),
        (meter_modify(MeterSpec(3, kbps=1000), XID), parser.OFPMeterMod(DATAPATH, 1, ofp.OFPMF_KBPS, 3, [kilo])),
        (meter_delete(3, XID), parser.OFPMeterMod(DATAPATH, 2, 0, 3, [])),
        (meter_config_request(XID), parser.OFPMeterConfigStatsRequest(DATAPATH, 0, ofp.OFPM_ALL)),
        (meter_stats_request(3, XID), parser.OFPMeterStatsRequest(DATAPATH, 0, 3)),
        (meter_stats_request(xid=XID), parser.OFPMeterStatsRequest(DATAPATH, 0, ofp.OFPM_ALL)),
        (group_add(group, XID), parser.OFPGroupMod(DATAPATH, 0, 0, 5, [bucket, bucket])),
        (group_modify(indirect, XID), parser.OFPGroupMod(DATAPATH, 1, 2, 5, [bucket])),
        (group_delete(5, XID), parser.OFPGroupMod(DATAPATH, 2, 0, 5, [])),
        (group_desc_request(XID), parser.OFPGroupDescStatsRequest(DATAPATH, 0)),
        (
            flow_stats_request(XID, FlowFilter(5, 0xFF)),
            parser.OFPFlowStatsRequest(DATAPATH, 0, 255, ofp.OFPP_ANY, ofp.OFPG_ANY, 5, 0xFF, parser.OFPMatch()),
        ),
        (
            packet_out(3, (Output(3),), b"frame", XID),
            parser.OFPPacketOut(DATAPATH, ofp.OFP_NO_BUFFER, 3, [output], b"frame"),
        ),
        (
            packet_out(CONTROLLER_PORT, (Output(3), Output(3)), b"", XID),
            parser.OFPPacketOut(DATAPATH, ofp.OFP_NO_BUFFER, ofp.OFPP_CONTROLLER, [output, output], b""),
        ),
    ]
    for ours, theirs in pairs:
        assert ours.hex() == built(theirs).hex(), type(theirs).__name__


@given(
    st.lists(
        st.tuples(st.integers(1, 2**32 - 1), st.lists(st.tuples(st.integers(0, 2**60), st.integers(0, 2**60)))),
        max_size=5,
    )
)
def test_meter_statistics_are_read_as_os_ken_reads_them(meters: list[tuple[int, list[tuple[int, int]]]]):
    """Whatever number of bands a meter has."""
    body = b"".join(
        struct.pack(ofp.OFP_METER_STATS_PACK_STR, number, 40 + 16 * len(bands), 1, 2, 3, 4, 5)
        + b"".join(struct.pack(ofp.OFP_METER_BAND_STATS_PACK_STR, *band) for band in bands)
        for number, bands in meters
    )
    at, theirs = 0, []
    while at < len(body):
        one = parser.OFPMeterStats.parser(body, at)
        bands = one.band_stats
        theirs.append(
            (one.meter_id, sum(each.packet_band_count for each in bands), sum(each.byte_band_count for each in bands))
        )
        at += one.len
    assert list(parse_meter_stats(body)) == theirs
