# SPDX-License-Identifier: Apache-2.0
"""What a switch says to a controller outside of flows, groups and meters: hello, features, ports, packet-ins, errors.

Everything a peer sends is taken apart here, never by os-ken's parsers: they trust lengths inside a message (a hello
with an element of length 0 keeps them in a loop for ever, and with them every task), and they cost 20 times as much.
Each function wants one whole message (or the body of a multipart reply) and raises `MalformedError` for anything it
cannot be. What we say ourselves during the handshake is made by os-ken's classes where it has them.

No function here keeps state; none of them returns views into the bytes it was given.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from struct import Struct
from typing import Any, Final, NamedTuple

from os_ken.ofproto import ofproto_v1_4 as ofp
from os_ken.ofproto import ofproto_v1_4_parser as os_ken_parser
from os_ken.ofproto.ofproto_protocol import ProtocolDesc

from sdnctl.flows import wire
from sdnctl.flows.wire import VERSION
from sdnctl.openflow.framing import HEADER, MalformedError

_OS_KEN: Final = ProtocolDesc(VERSION)
_VERSION_NAMES: Final = {1: "1.0", 2: "1.1", 3: "1.2", 4: "1.3", 5: "1.4", 6: "1.5"}

_HELLO_ELEMENT: Final = Struct("!HH")
_VERSION_BITMAP: Final = 1
_FEATURES: Final = Struct("!QIBB2xI4x")
_ERROR: Final = Struct("!HH")
_EXPERIMENTER_ERROR: Final = 0xFFFF
_MULTIPART: Final = Struct("!HH4x")
_MORE: Final = 1
_DESC: Final = Struct("!256s256s256s32s256s")
_PORT: Final = Struct("!IH2x6s2x16sII")
_PORT_STATUS: Final = Struct("!B7x")
_PACKET_IN: Final = Struct("!IHBBQ")
_FRAGMENTS_MATCHED: Final = 3
_OXM_IN_PORT: Final = 0x80000004
_FIRST_OXM: Final = Struct("!HHII")
"""Match type, match length, header and value of the first field."""


# ------------------------------------------------------------------------------------------------------ what peers say


def hello_versions(message: bytes) -> frozenset[int]:
    """The versions a hello offers, by its bitmap if it has one, else all up to that of its header."""
    version = message[0]
    at = HEADER.size
    while at + _HELLO_ELEMENT.size <= len(message):
        kind, length = _HELLO_ELEMENT.unpack_from(message, at)
        if length < _HELLO_ELEMENT.size or at + length > len(message):
            raise MalformedError(f"an element of the hello claims a length of {length} bytes")
        if kind == _VERSION_BITMAP:
            words = struct.unpack_from(f"!{(length - _HELLO_ELEMENT.size) // 4}I", message, at + _HELLO_ELEMENT.size)
            return frozenset(
                32 * index + bit for index, word in enumerate(words) for bit in range(32) if word >> bit & 1
            )
        at += (length + 7) // 8 * 8
    return frozenset(range(1, version + 1))


def version_names(versions: frozenset[int]) -> str:
    """Version numbers as people know them: `1.0, 1.3`."""
    return ", ".join(_VERSION_NAMES.get(version, f"{version:#04x}") for version in sorted(versions)) or "none"


class Features(NamedTuple):
    """Which bridge it is. `auxiliary` is 0 on the main connection."""

    dpid: int
    tables: int
    auxiliary: int


def parse_features(message: bytes) -> Features:
    if len(message) < HEADER.size + _FEATURES.size - 4:
        raise MalformedError(f"a features reply has only {len(message)} bytes")
    dpid, _, tables, auxiliary = struct.unpack_from("!QIBB", message, HEADER.size)
    return Features(dpid, tables, auxiliary)


class Part(NamedTuple):
    """One part of a multipart reply."""

    kind: int
    more: bool
    body: bytes


def parse_multipart(message: bytes) -> Part:
    if len(message) < HEADER.size + _MULTIPART.size:
        raise MalformedError(f"a multipart reply has only {len(message)} bytes")
    kind, flags = _MULTIPART.unpack_from(message, HEADER.size)
    return Part(kind, bool(flags & _MORE), message[HEADER.size + _MULTIPART.size :])


def parse_serial(body: bytes) -> str:
    """The serial number in a description: what OVS has in the bridge's `other_config:dp-sn`, at most 31 characters."""
    if len(body) < _DESC.size:
        raise MalformedError(f"a description has only {len(body)} bytes")
    return _text(_DESC.unpack_from(body)[3])


def parse_software(body: bytes) -> str:
    """The version in a description: Open vSwitch's own, such as `3.1.0`."""
    return _text(_DESC.unpack_from(body)[2])


def parse_ports(body: bytes) -> Iterator[tuple[str, int]]:
    """Name and ofport of each port described in a row. OVS cuts names of more than 15 characters."""
    at = 0
    while at < len(body):
        if len(body) - at < _PORT.size:
            raise MalformedError("a port description ends in the middle of a port")
        ofport, length, _, name, _, _ = _PORT.unpack_from(body, at)
        if length < _PORT.size or at + length > len(body):
            raise MalformedError(f"the description of port {ofport} claims a length of {length} bytes")
        yield _text(name), ofport
        at += length


def parse_port_status(message: bytes) -> tuple[bool, str, int]:
    """Whether the port is gone, its name, its ofport."""
    if len(message) < HEADER.size + _PORT_STATUS.size + _PORT.size:
        raise MalformedError(f"a port status has only {len(message)} bytes")
    reason = _PORT_STATUS.unpack_from(message, HEADER.size)[0]
    name, ofport = next(parse_ports(message[HEADER.size + _PORT_STATUS.size :]))
    return reason == ofp.OFPPR_DELETE, name, ofport


class PacketIn(NamedTuple):
    """A punted frame."""

    in_port: int
    cookie: int
    frame: bytes


_MATCH_AT: Final = HEADER.size + _PACKET_IN.size
_PACKET_IN_LEAST: Final = _MATCH_AT + 16 + 2
"""With a match of only the ingress port, two bytes of padding, and no frame."""


def parse_packet_in(message: bytes) -> PacketIn:
    """Where a punted frame came in, the cookie of the flow that punted it, and the frame."""
    if len(message) < _PACKET_IN_LEAST:
        raise MalformedError(f"a packet-in has only {len(message)} bytes")
    cookie = int.from_bytes(message[16:24], "big")
    kind, length, field, in_port = _FIRST_OXM.unpack_from(message, _MATCH_AT)
    frame_at = _MATCH_AT + (length + 7) // 8 * 8 + 2
    if kind != 1 or length < 12 or frame_at > len(message):
        raise MalformedError(f"the match of a packet-in claims type {kind} and a length of {length} bytes")
    if field != _OXM_IN_PORT:
        in_port = _in_port(message[_MATCH_AT + 4 : _MATCH_AT + length])
    return PacketIn(in_port, cookie, message[frame_at:])


def _in_port(match: bytes) -> int:
    at = 0
    while at + 4 <= len(match):
        field = int.from_bytes(match[at : at + 4], "big")
        if field == _OXM_IN_PORT and at + 8 <= len(match):
            return int.from_bytes(match[at + 4 : at + 8], "big")
        at += 4 + (field & 0xFF)
    raise MalformedError("a packet-in does not say where the packet came in")


class Error(NamedTuple):
    """What the switch has against one of our messages."""

    type: int
    code: int


def parse_error(message: bytes) -> Error:
    """Type and code; of an experimenter's error, its own type stands in for the code."""
    if len(message) < HEADER.size + _ERROR.size:
        raise MalformedError(f"an error has only {len(message)} bytes")
    return Error(*_ERROR.unpack_from(message, HEADER.size))


def hello_failure(message: bytes) -> str:
    """What an error instead of a hello says, in its sender's words if it has some."""
    words = message[HEADER.size + _ERROR.size :].decode("ascii", "replace")
    return words[:200] or error_name(parse_error(message))


def error_name(error: Error) -> str:
    """`OFPET_BAD_ACTION(2) OFPBAC_BAD_LEN(1)`, for people."""
    if error.type == _EXPERIMENTER_ERROR:
        return f"experimenter error {error.code}"
    return f"{ofp.ofp_error_type_to_str(error.type)} {ofp.ofp_error_code_to_str(error.type, error.code)}"


def message_name(kind: int) -> str:
    """`OFPT_FLOW_MOD(14)`, for people."""
    return str(ofp.ofp_msg_type_to_str(kind))


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "replace")


# --------------------------------------------------------------------------------------------------------- what we say


def _encoded(message: Any, xid: int) -> bytes:
    message.set_xid(xid)
    message.serialize()
    return bytes(message.buf)


def hello(xid: int) -> bytes:
    """Our hello, with the bitmap of the one version we speak (os-ken's class leaves the bitmap out)."""
    body = _HELLO_ELEMENT.pack(_VERSION_BITMAP, 8) + struct.pack("!I", 1 << VERSION)
    return wire.message(ofp.OFPT_HELLO, body, xid)


def hello_failed(reason: str, xid: int) -> bytes:
    return _encoded(
        os_ken_parser.OFPErrorMsg(_OS_KEN, ofp.OFPET_HELLO_FAILED, ofp.OFPHFC_INCOMPATIBLE, reason.encode()[:200]), xid
    )


def features_request(xid: int) -> bytes:
    return _encoded(os_ken_parser.OFPFeaturesRequest(_OS_KEN), xid)


def async_config(xid: int) -> bytes:
    """What the switch tells unasked: every packet-in, every change of a port; nothing about flows that are gone."""
    wanted = {
        ofp.OFPACPT_PACKET_IN_MASTER: 0x3F,
        ofp.OFPACPT_PORT_STATUS_MASTER: 0x07,
        ofp.OFPACPT_FLOW_REMOVED_MASTER: 0,
    }
    properties = [os_ken_parser.OFPAsyncConfigPropReasons(kind, mask=mask) for kind, mask in wanted.items()]
    return _encoded(os_ken_parser.OFPSetAsync(_OS_KEN, properties), xid)


def switch_config(xid: int) -> bytes:
    """Packet-ins come whole, and first fragments show their ports (which port security relies on).

    The latter is Open vSwitch's own fragment mode, `nx-match`; os-ken has no name for it. It holds for the bridge, not
    for the connection, until ovs-vswitchd ends.
    """
    return _encoded(os_ken_parser.OFPSetConfig(_OS_KEN, _FRAGMENTS_MATCHED, 0xFFFF), xid)


def description_request(xid: int) -> bytes:
    return _encoded(os_ken_parser.OFPDescStatsRequest(_OS_KEN, 0), xid)


def ports_request(xid: int) -> bytes:
    return _encoded(os_ken_parser.OFPPortDescStatsRequest(_OS_KEN, 0), xid)
