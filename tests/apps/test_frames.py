# SPDX-License-Identifier: Apache-2.0
"""Frames: what is built is parsed again, and other people's bytes are read as they mean them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from os_ken.lib.packet import dhcp as dhcp_lib
from os_ken.lib.packet import ethernet, ipv4, packet, udp

from sdnctl.apps import frames
from sdnctl.apps.frames import Bootp, FrameError
from tests.apps.packets import checksum

words = st.integers(0, 0xFFFFFFFF)
halves = st.integers(0, 0xFFFF)
macs = st.integers(0, (1 << 48) - 1)
texts = st.binary(max_size=60).map(lambda text: text.rstrip(b"\0"))
options = st.dictionaries(
    st.integers(1, 254).filter(lambda code: code != frames.OVERLOAD), st.binary(max_size=600), max_size=6
)

messages = st.builds(
    Bootp,
    eth_dst=macs,
    eth_src=macs,
    ip_src=words,
    ip_dst=words,
    udp_src=halves,
    udp_dst=halves,
    op=st.integers(0, 255),
    xid=words,
    client=st.binary(min_size=16, max_size=16),
    options=options,
    secs=halves,
    flags=halves,
    hops=st.integers(0, 255),
    hardware=halves,
    ciaddr=words,
    yiaddr=words,
    siaddr=words,
    giaddr=words,
    sname=texts,
    file=texts,
)


@given(messages)
def test_built_is_parsed_again(message: Bootp) -> None:
    frame = frames.build(message)
    assert frames.parse(frame) == message
    assert list(frames.parse(frame).options) == list(message.options)


@given(messages)
def test_checksums_are_right(message: Bootp) -> None:
    """By the textbook's way of adding them, odd lengths and long options included."""
    frame = frames.build(message)
    assert checksum(frame[14:34]) == 0
    length = frame[38:40]
    assert checksum(frame[26:34] + b"\0\x11" + length + frame[34:]) == 0
    assert int.from_bytes(length, "big") == len(frame) - 34


def test_other_peoples_frame_is_read() -> None:
    asked = dhcp_lib.options(
        [dhcp_lib.option(53, b"\1"), dhcp_lib.option(55, b"\1\3"), dhcp_lib.option(61, b"\1abcdef")]
    )
    built = packet.Packet()
    built.add_protocol(ethernet.ethernet("ff:ff:ff:ff:ff:ff", "52:54:00:00:00:05", 0x0800))
    built.add_protocol(ipv4.ipv4(src="0.0.0.0", dst="255.255.255.255", proto=17))
    built.add_protocol(udp.udp(68, 67))
    built.add_protocol(dhcp_lib.dhcp(1, "52:54:00:00:00:05", asked, xid=7, flags=0x8000, secs=9))
    built.serialize()
    found = frames.parse(bytes(built.data))
    assert (found.op, found.xid, found.flags, found.secs, found.client[:6]) == (1, 7, 0x8000, 9, b"RT\0\0\0\5")
    assert found.options == {53: b"\1", 55: b"\1\3", 61: b"\1abcdef"}
    assert (found.udp_src, found.udp_dst, found.ip_dst, found.eth_src) == (68, 67, 0xFFFFFFFF, 0x525400000005)


EMPTY = Bootp(
    eth_dst=0, eth_src=0, ip_src=0, ip_dst=0, udp_src=68, udp_dst=67, op=1, xid=1, client=bytes(16), options={}
)


@pytest.mark.parametrize(
    ("field", "read"),
    (
        (b"\x35\1\1\xff\x32\4aaaa", {53: b"\1"}),
        (b"\0\0\x35\1\1\0\xff", {53: b"\1"}),
        (b"\x35\1\1\x32\4aa", {53: b"\1"}),
        (b"\x35\1\1\x32", {53: b"\1"}),
        (b"\x37\2ab\x35\1\1\x37\1c\xff", {55: b"abc", 53: b"\1"}),
        (b"\x50\0\x35\1\1", {80: b"", 53: b"\1"}),
    ),
    ids=("end", "padding", "cut value", "cut length", "repeated", "empty"),
)
def test_options_are_read_to_their_end(field: bytes, read: dict[int, bytes]) -> None:
    """Repeated ones are one (RFC 3396); what is cut off is not there."""
    frame = frames.build(EMPTY)[:282] + field
    frame = (
        frame[:16]
        + (len(frame) - 14).to_bytes(2, "big")
        + frame[18:38]
        + (len(frame) - 34).to_bytes(2, "big")
        + frame[40:]
    )
    assert frames.parse(frame).options == read


def test_long_option_is_split() -> None:
    assert frames.option(43, b"x" * 300) == b"\x2b\xff" + b"x" * 255 + b"\x2b\x2d" + b"x" * 45
    assert frames.option(43, b"x" * 255) == b"\x2b\xff" + b"x" * 255
    assert frames.option(80, b"") == b"\x50\0"


def test_error_says_what_is_wrong() -> None:
    with pytest.raises(FrameError, match="3 bytes are too few"):
        frames.parse(b"abc")
