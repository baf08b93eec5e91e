# SPDX-License-Identifier: Apache-2.0
"""What switches say is read as os-ken reads it, and nonsense is called nonsense."""

import contextlib
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from os_ken.ofproto import ofproto_v1_4 as ofp
from os_ken.ofproto import ofproto_v1_4_parser as os_ken
from os_ken.ofproto.ofproto_protocol import ProtocolDesc

from sdnctl.openflow import messages
from sdnctl.openflow.framing import MalformedError
from sdnctl.openflow.messages import Error, Features, PacketIn
from tests.openflow.peer import FEATURES_REPLY, HELLO, described, hello, message, packet_in, port, port_status

OS_KEN = ProtocolDesc(5)
U32 = st.integers(0, 2**32 - 1)
U64 = st.integers(0, 2**64 - 1)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=15).filter(
    lambda name: len(name.encode()) <= 15
)


def read_by_os_ken(kind: type, whole: bytes) -> object:
    version, type_, length, xid = struct.unpack_from("!BBHI", whole)
    return kind.parser(OS_KEN, version, type_, length, xid, whole)


@given(U32, U64, U32, U64, st.binary(max_size=100))
def test_packet_in(in_port: int, cookie: int, register: int, tunnel: int, frame: bytes) -> None:
    """Also with the metadata that OVS puts beside the ingress port."""
    match = os_ken.OFPMatch(in_port=in_port, reg0=register, tunnel_id=tunnel)
    body = bytearray(struct.pack("!IHBBQ", 0xFFFFFFFF, len(frame), 1, 20, cookie))
    match.serialize(body, len(body))
    whole = message(ofp.OFPT_PACKET_IN, bytes(body) + b"\0\0" + frame)
    other = read_by_os_ken(os_ken.OFPPacketIn, whole)
    assert messages.parse_packet_in(whole) == PacketIn(in_port, cookie, frame)
    assert (other.match["in_port"], other.cookie, other.data) == (in_port, cookie, frame)


@given(st.lists(st.tuples(NAMES, U32)))
def test_ports(ports: list[tuple[str, int]]) -> None:
    assert list(messages.parse_ports(b"".join(port(*one) for one in ports))) == ports


def test_a_port_description_may_have_any_properties() -> None:
    ethernet = struct.pack("!HH4x6I", 0, 32, 0, 0, 0, 0, 0, 0)
    head = struct.pack("!IH2x6s2x16sII", 7, 40 + len(ethernet), bytes(6), b"eth0", 0, 0)
    assert list(messages.parse_ports(head + ethernet + port("p8", 8))) == [("eth0", 7), ("p8", 8)]


@given(st.sampled_from((0, 1, 2)), NAMES, U32)
def test_port_status(reason: int, name: str, ofport: int) -> None:
    whole = port_status(reason, name, ofport)
    other = read_by_os_ken(os_ken.OFPPortStatus, whole)
    assert messages.parse_port_status(whole) == (reason == ofp.OFPPR_DELETE, name, ofport)
    assert other.desc.port_no == ofport


@given(U64, st.integers(0, 255))
def test_features(dpid: int, auxiliary: int) -> None:
    whole = message(FEATURES_REPLY, struct.pack("!QIBB2xI4x", dpid, 0, 254, auxiliary, 79))
    other = read_by_os_ken(os_ken.OFPSwitchFeatures, whole)
    assert messages.parse_features(whole) == Features(dpid, 254, auxiliary)
    assert (other.datapath_id, other.n_tables, other.auxiliary_id) == (dpid, 254, auxiliary)


def test_the_serial_number_may_fill_its_field() -> None:
    assert messages.parse_serial(described("s" * 32)) == "s" * 32
    assert messages.parse_serial(described("")) == ""


def test_errors_have_names() -> None:
    whole = message(ofp.OFPT_ERROR, struct.pack("!HH", 2, 1) + b"what it was about")
    assert messages.parse_error(whole) == Error(2, 1)
    assert messages.error_name(Error(2, 1)) == "OFPET_BAD_ACTION(2) OFPBAC_BAD_LEN(1)"
    assert messages.error_name(Error(99, 7)) == "Unknown(99) Unknown(7)"
    assert messages.error_name(Error(0xFFFF, 2300)) == "experimenter error 2300"


def test_versions_of_a_hello() -> None:
    assert messages.hello_versions(hello(1, 4, 5)) == {1, 4, 5}
    assert messages.hello_versions(hello(6)) == {6}
    assert messages.hello_versions(hello()) == {1, 2, 3, 4, 5}, "without a bitmap, all up to the header's"
    unknown_first = message(HELLO, struct.pack("!HHxxxx", 9, 5) + struct.pack("!HHI", 1, 8, 1 << 5))
    assert messages.hello_versions(unknown_first) == {5}
    assert messages.version_names(frozenset({4, 1})) == "1.0, 1.3"


@pytest.mark.parametrize("length", (0, 3, 9))
def test_a_hello_with_a_wrong_inner_length_is_refused(length: int) -> None:
    """os-ken's parser would go round in it for ever when the length is 0."""
    with pytest.raises(MalformedError, match=f"length of {length} bytes"):
        messages.hello_versions(message(HELLO, struct.pack("!HHI", 1, length, 0)))


PARSERS: tuple[Callable[[bytes], object], ...] = (
    messages.hello_versions,
    messages.parse_features,
    messages.parse_multipart,
    messages.parse_serial,
    lambda body: list(messages.parse_ports(body)),
    messages.parse_port_status,
    messages.parse_packet_in,
    messages.parse_error,
    messages.hello_failure,
)
WHOLE = (
    hello(1, 4, 5),
    described("s"),
    port("p1", 1) + port("p2", 2),
    port_status(0, "p1", 1),
    packet_in(1, 2, b"frame"),
    message(FEATURES_REPLY, bytes(24)),
)


@pytest.mark.parametrize("parse", PARSERS)
def test_a_message_cut_anywhere_is_malformed_and_nothing_else(parse: Callable[[bytes], object]) -> None:
    for whole in WHOLE:
        for end in range(8, len(whole)):
            with contextlib.suppress(MalformedError):
                parse(whole[:end])


@given(st.sampled_from(PARSERS), st.sampled_from(WHOLE), st.data())
def test_nonsense_is_malformed_and_nothing_else(
    parse: Callable[[bytes], object], whole: bytes, data: st.DataObject
) -> None:
    """Any message, cut and overwritten anywhere, is read or refused; no other exception, no endless loop."""
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.sampled_from((0, 1, 4, 7, 8, 0x80, 0xFF)))
    cut = data.draw(st.integers(8, len(changed)))
    with contextlib.suppress(MalformedError):
        parse(bytes(changed[:cut]))


def test_our_hello_offers_one_version() -> None:
    assert messages.hello_versions(messages.hello(7)) == {5}


def test_unasked_we_want_packets_and_ports_only() -> None:
    properties = struct.iter_unpack("!HHI", messages.async_config(9)[8:])
    assert {kind: mask for kind, _, mask in properties} == {
        ofp.OFPACPT_PACKET_IN_MASTER: 0x3F,
        ofp.OFPACPT_PORT_STATUS_MASTER: 0x07,
        ofp.OFPACPT_FLOW_REMOVED_MASTER: 0,
    }
