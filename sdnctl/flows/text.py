# SPDX-License-Identifier: Apache-2.0
"""From text back to flows: what `ovs-ofctl dump-flows` prints and what people type for `ovs-ofctl add-flow`.

    parse("cookie=0x5d02…, table=10, priority=100,ip,dl_src=… actions=goto_table:20")   the Flow
    read_line(" cookie=0x0, duration=3.1s, table=10, n_packets=7, … actions=learn(…)")  a flow of somebody else

`read_line` leaves the actions as text, so it also takes flows whose actions we do not know. Both raise ValueError that
names the word which is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from sdnctl.flows import notation
from sdnctl.flows.fields import Field
from sdnctl.flows.flow import DEFAULT_PRIORITY, Flow
from sdnctl.flows.match import Match, match_of
from sdnctl.flows.oxm import PROTOCOLS, VLAN_TAG, Test, test
from sdnctl.flows.pipeline import Table
from sdnctl.flows.text_action import read_actions

_ALSO: Final = {
    "eth_src": Field.ETH_SRC, "eth_dst": Field.ETH_DST, "eth_type": Field.ETH_TYPE, "vlan_pcp": Field.VLAN_PCP,
    "ip_src": Field.IPV4_SRC, "ip_dst": Field.IPV4_DST, "ip_proto": Field.IP_PROTO, "ip_ttl": Field.IP_TTL,
    "ip_dscp": Field.IP_DSCP, "ip_ecn": Field.IP_ECN, "ip_frag": Field.IP_FRAG, "tunnel_id": Field.TUN_ID,
    "tcp_src": Field.TCP_SRC, "tcp_dst": Field.TCP_DST, "udp_src": Field.UDP_SRC, "udp_dst": Field.UDP_DST,
    "sctp_src": Field.SCTP_SRC, "sctp_dst": Field.SCTP_DST, "icmpv6_type": Field.ICMP6_TYPE,
    "icmpv6_code": Field.ICMP6_CODE,
}  # fmt: skip
_FIELDS: Final = {field.match_name: field for field in Field} | _ALSO
_LAYER_4: Final = {
    ("tp_src", 6): Field.TCP_SRC, ("tp_dst", 6): Field.TCP_DST, ("tp_src", 17): Field.UDP_SRC,
    ("tp_dst", 17): Field.UDP_DST, ("tp_src", 132): Field.SCTP_SRC, ("tp_dst", 132): Field.SCTP_DST,
    ("icmp_type", 1): Field.ICMP4_TYPE, ("icmp_code", 1): Field.ICMP4_CODE,
    ("icmp_type", 58): Field.ICMP6_TYPE, ("icmp_code", 58): Field.ICMP6_CODE,
}  # fmt: skip
"""Names that mean another field in each protocol."""
_STATISTICS: Final = frozenset(
    ("duration", "n_packets", "n_bytes", "idle_timeout", "hard_timeout", "idle_age", "hard_age", "importance")
)
_FLAGS: Final = frozenset(("send_flow_rem", "check_overlap", "reset_counts", "no_packet_counts", "no_byte_counts"))


class FlowLine(NamedTuple):
    """A line of ovs-ofctl, with its actions as they were written."""

    table: int
    priority: int
    match: Match
    actions: str
    cookie: int


def parse(line: str) -> Flow:
    """The flow that `line` describes."""
    table, priority, match, actions, cookie = read_line(line)
    return Flow(table, priority, match, read_actions(actions), cookie)


def read_line(line: str) -> FlowLine:
    """What `line` says; the actions are not looked into."""
    head, found, actions = re.sub(r"\s+", " ", line.strip()).partition("actions=")
    if not found:
        raise ValueError(f"{line.strip()!r} has no actions=; write actions=drop for a flow that drops")
    numbers = {"table": 0, "priority": DEFAULT_PRIORITY, "cookie": 0}
    words: list[str] = []
    for word in head.replace(",", " ").split():
        name, _, value = word.partition("=")
        if name == "table":
            numbers[name] = _table(value.strip('"'))
        elif name in numbers:
            numbers[name] = _number(name, value)
        elif name not in _STATISTICS and name not in _FLAGS:
            words.append(word)
    match = read_match(",".join(words))
    return FlowLine(numbers["table"], numbers["priority"], match, actions.strip(), numbers["cookie"])


def read_match(text: str) -> Match:
    """The match that `text` describes, e.g. `ip,reg0=0x5/0xff,nw_src=10.0.0.0/8`."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    tests: dict[Field, Test] = {}
    protocol: int | None = None
    for word in words:
        if word in PROTOCOLS:
            eth_type, number = PROTOCOLS[word]
            _put(tests, test(Field.ETH_TYPE, eth_type, 0xFFFF))
            if number is not None:
                _put(tests, test(Field.IP_PROTO, number, 0xFF))
                protocol = number
        elif word.startswith(("nw_proto=", "ip_proto=")):
            protocol = _number("nw_proto", word.partition("=")[2])
    for word in words:
        if word not in PROTOCOLS:
            for one in _tests(word, protocol):
                _put(tests, one)
    if Field.VLAN_PCP in tests and Field.VLAN_VID not in tests:
        _put(tests, test(Field.VLAN_VID, VLAN_TAG, VLAN_TAG))  # a priority is that of a tag
    return match_of(tests.values())


def _put(tests: dict[Field, Test], new: Test) -> None:
    known = tests.setdefault(new.field, new)
    if known is not new:
        raise ValueError(f"{new!r} contradicts {known!r}")


def _tests(word: str, protocol: int | None) -> Iterator[Test]:
    name, equals, text = word.partition("=")
    if not equals or not text:
        raise ValueError(f"{word!r} is no test of a field; write name=value")
    if name in _VLAN:
        yield from _VLAN[name](text)
        return
    if name == "nw_tos":
        yield test(Field.IP_DSCP, _number(name, text) >> 2, Field.IP_DSCP.full)
        return
    field = _LAYER_4.get((name, protocol)) if protocol is not None else None
    if field is None:
        field = _FIELDS.get(name)
    if field is None:
        raise ValueError(f"{name!r} is no field we know; did you mean one of {', '.join(_like(name))}?")
    try:
        value, mask = notation.read(field, text)
    except ValueError as error:
        raise ValueError(f"{word}: {error}") from None
    if mask:
        yield test(field, value, mask)


def _dl_vlan(text: str) -> Iterator[Test]:
    yield test(Field.VLAN_VID, VLAN_TAG | _number("dl_vlan", text), Field.VLAN_VID.full)


def _vlan_vid(text: str) -> Iterator[Test]:
    value, mask = notation.read(Field.VLAN_VID, text)
    yield test(Field.VLAN_VID, value | (VLAN_TAG if value and mask & VLAN_TAG else 0), mask)


def _vlan_tci(text: str) -> Iterator[Test]:
    """The whole tag with its priority bits, as Open vSwitch shows it where dl_vlan does not do."""
    first, _, second = text.partition("/")
    value, mask = _number("vlan_tci", first), _number("vlan_tci", second or "0xffff")
    if mask == 0xFFFF and not value:
        mask = Field.VLAN_VID.full
    if mask & Field.VLAN_VID.full:
        yield test(Field.VLAN_VID, value & Field.VLAN_VID.full, mask & Field.VLAN_VID.full)
    if mask >> 13:
        yield test(Field.VLAN_PCP, value >> 13, mask >> 13)


_VLAN: Final[dict[str, Callable[[str], Iterator[Test]]]] = {
    "dl_vlan": _dl_vlan,
    "vlan_vid": _vlan_vid,
    "vlan_tci": _vlan_tci,
}


def _number(name: str, text: str) -> int:
    try:
        return int(text.partition("/")[0], 0)
    except ValueError:
        raise ValueError(f"{name}={text}: {text!r} is no number") from None


def _table(text: str) -> int:
    if text.upper() in Table.__members__:
        return Table[text.upper()]
    if text.isdecimal():
        return int(text)
    raise ValueError(f"table={text}: neither a number nor one of {', '.join(table.name.lower() for table in Table)}")


def _like(name: str) -> list[str]:
    start = name[:2]
    return [known for known in sorted({*_FIELDS, *_VLAN}) if known.startswith(start)] or ["in_port", "dl_src", "nw_src"]
