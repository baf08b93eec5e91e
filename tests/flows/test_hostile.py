# SPDX-License-Identifier: Apache-2.0
"""Bytes that are none of ours: refused by ValueError or shown in hexadecimal, nothing else ever happens."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdnctl.flows.flow import Flow
from sdnctl.flows.wire import (
    GroupSpec,
    WireFlow,
    WireGroup,
    add_message,
    decode,
    decode_group,
    encode,
    encode_group,
    parse_flow_counters,
    parse_flow_stats,
    parse_group_desc,
    parse_meter_config,
    parse_meter_stats,
    wire_text,
)
from tests.flows import strategies


def entry_of(flow: Flow) -> bytes:
    """The flow as a switch lists it."""
    message = add_message(encode(flow))
    rest = message[48:]
    head = struct.pack(
        "!HBxIIHHHHH2xQQQ", 48 + len(rest), flow.table, 1, 2, flow.priority, 0, 0, 0, 0, flow.cookie, 3, 4
    )
    return head + rest


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A list of flows with some bytes changed or cut off."""
    data = bytearray(b"".join(entry_of(flow) for flow in draw(st.lists(strategies.flows(), max_size=3))))
    for _ in range(draw(st.integers(0, 3))):
        if data:
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))])


@given(st.lists(strategies.flows(), max_size=5))
def test_flow_list_is_read(flows: list[Flow]):
    body = b"".join(entry_of(flow) for flow in flows)
    assert list(parse_flow_stats(body)) == [encode(flow) for flow in flows]
    assert list(parse_flow_counters(body)) == [(encode(flow), 3, 4) for flow in flows]


@given(strategies.flows(), st.data())
def test_cut_off_flow_list(flow: Flow, data: st.DataObject):
    """Nothing is made of half an entry, nor of one whose lengths lie."""
    body = entry_of(flow)
    cut = data.draw(st.integers(1, len(body) - 1))
    with pytest.raises(ValueError, match="flow statistics"):
        list(parse_flow_stats(body[:cut]))
    for at, lie in ((0, len(body) + 8), (0, 0), (50, 3), (50, len(body))):
        with pytest.raises(ValueError, match="flow statistics"):
            list(parse_flow_counters(body[:at] + lie.to_bytes(2, "big") + body[at + 2 :]))


def test_meter_list_that_lies():
    """Nothing is made of half an entry, nor of one whose length is none of a meter's."""
    entry = struct.pack("!IH34xQQ", 8, 56, 3, 300)
    assert list(parse_meter_stats(entry * 2)) == [(8, 3, 300)] * 2
    for body in (entry[:30], entry[:-1], *(entry[:4] + lie.to_bytes(2, "big") + entry[6:] for lie in (0, 39, 48, 72))):
        with pytest.raises(ValueError, match="meter statistics"):
            next(parse_meter_stats(body))


@given(damaged() | st.binary(max_size=200))
def test_damaged_flow_list(body: bytes):
    with contextlib.suppress(ValueError):
        for wire in parse_flow_stats(body):
            assert wire_text(wire)
            with contextlib.suppress(ValueError):
                assert encode(decode(wire)) == wire
    for reader in (parse_flow_counters, parse_group_desc, parse_meter_config, parse_meter_stats):
        with contextlib.suppress(ValueError):
            list(reader(body))


@given(st.binary(min_size=3, max_size=60), st.binary(max_size=60))
def test_any_bytes_have_a_text(key: bytes, instructions: bytes):
    assert wire_text(WireFlow(key, 0, instructions))


@given(st.binary(max_size=60))
def test_any_group(buckets: bytes):
    with contextlib.suppress(ValueError):
        group = WireGroup(1, 0, buckets)
        assert encode_group(decode_group(group)) == group


def test_unknown_parts_show_in_hexadecimal():
    """Somebody else's flow with MPLS labels and a learn action still shows what we know of it."""
    known = bytes.fromhex("8000000400000005")
    unknown = bytes.fromhex("80004404000003e8")
    actions = bytes.fromhex("0004001800000000 0000001000000001ffff000000000000".replace(" ", ""))
    strange = bytes.fromhex("0004001000000000 ffff000800001234".replace(" ", ""))
    wire = WireFlow(b"\x05\x00\x09" + known + unknown, 0x77, actions)
    head = "cookie=0x77, table=5, priority=9,in_port=5,oxm=0x80004404000003e8 "
    assert wire_text(wire) == head + "actions=action=0x0000001000000001ffff000000000000"
    assert wire_text(wire._replace(instructions=strange)).endswith("actions=action=0xffff000800001234")
    with pytest.raises(ValueError, match="none of ours"):
        decode(wire)


@pytest.mark.parametrize(
    "instructions",
    (
        "00010010 05000000 0000000000000000",  # goto of another length
        "00060008 00000000",  # meter 0
        "00040010 00000000 00190008 80000604",  # set_field cut off
        "00040018 00000000 00190010 80000c02 0005 000000000000",  # VLAN id without the bit for a tag
        "00040020 00000000 ffff0018 00002320 0024 0000 0003 0000 000000000000 0000",  # source and destination NAT
        "00040020 00000000 ffff0018 00002320 0025 000000000000 0004 0008 00000005",  # controller that pauses
        "00040018 00000000 00000010 00000001 0005 000000000000",  # output to a port with a length
        "00040010 00000000 00120008 00000001",  # pop_vlan with something in its padding
        "00040028 00000000 ffff0020 00002320 002a 000000000000 ffff0010 00002320 002a 000000000000",  # clone in a clone
        "00040018 00000000 ffff0010 00002320 0027 0001 0000000d",  # cut within the Ethernet header
    ),
)
def test_what_would_be_written_in_another_way_is_shown_as_it_is(instructions: str):
    wire = WireFlow(b"\0\0\5", 0, bytes.fromhex(instructions))
    assert "=0x" in wire_text(wire)
    with pytest.raises(ValueError):  # noqa: PT011  (the point is that it is a ValueError)
        decode(wire)


def test_order_of_fields_is_kept():
    """A switch that lists fields in another order sent another flow; it is no flow of ours that decodes to the same."""
    swapped = bytes.fromhex("8000080600000000000580000004 00000001".replace(" ", ""))
    with pytest.raises(ValueError, match="not all that stands"):
        decode(WireFlow(b"\0\0\5" + swapped, 1, b""))


def test_nested_tracking_does_not_fill_the_stack():
    inner = b""
    for _ in range(2000):
        inner = struct.pack("!HHIHHIHB3xH", 0xFFFF, 24 + len(inner), 0x2320, 35, 1, 0, 0, 255, 0) + inner
    instructions = struct.pack("!HH4x", 4, 8 + len(inner)) + inner
    assert wire_text(WireFlow(b"\0\0\5", 0, instructions)).startswith("priority=5 actions=action=0x")


def test_group_with_something_in_its_padding():
    group = encode_group(GroupSpec(1, "all", ((),)))
    with pytest.raises(ValueError, match="not all that stands"):
        decode_group(group._replace(buckets=group.buckets[:-1] + b"\1"))
    with pytest.raises(ValueError, match="none of ours"):
        decode_group(
            group._replace(buckets=struct.pack("!HHII4x", 24, 0, 0xFFFFFFFF, 0xFFFFFFFF) + b"\0\x77\0\x08" + bytes(4))
        )


def test_foreign_group():
    with pytest.raises(ValueError, match="not one of"):
        decode_group(WireGroup(1, 1, b""))
    spec = GroupSpec(1, "all", ())
    assert decode_group(encode_group(spec)) == spec
    assert spec.text() == "group_id=1,type=all"
