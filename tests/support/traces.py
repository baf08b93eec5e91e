# SPDX-License-Identifier: Apache-2.0
"""`ofproto/trace` as values: which flows were hit, what left by which port, and what it looked like then.

    tracer = Tracer(switch, "br0")
    trace = tracer.trace(packet)                     a `Packet` of `sdnctl.flows.packet`
    assert trace == as_trace(tables.run(packet, tracer.tracker))

A trace does not track connections: it is told what the tracker says, with the mark that the packet already carries.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from sdnctl.flows import notation
from sdnctl.flows.connections import TRK_FLAG, Tracked, Tracker
from sdnctl.flows.fields import Field, Notation
from sdnctl.flows.oxm import VLAN_TAG
from sdnctl.flows.packet import Packet
from sdnctl.flows.simulate import Outcome
from tests.support.dummy_ovs import DummySwitch
from tests.support.unixctl import Unixctl

_NAMES = {Field.IN_PORT: "in_port", Field.IP_FRAG: "ip_frag"}
_SET = {
    ("eth", "src"): Field.ETH_SRC, ("eth", "dst"): Field.ETH_DST,
    ("ipv4", "src"): Field.IPV4_SRC, ("ipv4", "dst"): Field.IPV4_DST, ("ipv4", "ttl"): Field.IP_TTL,
    ("ipv6", "src"): Field.IPV6_SRC, ("ipv6", "dst"): Field.IPV6_DST, ("ipv6", "hlimit"): Field.IP_TTL,
    ("ipv6", "label"): Field.IPV6_LABEL,
    ("tcp", "src"): Field.TCP_SRC, ("tcp", "dst"): Field.TCP_DST,
    ("udp", "src"): Field.UDP_SRC, ("udp", "dst"): Field.UDP_DST,
    ("sctp", "src"): Field.SCTP_SRC, ("sctp", "dst"): Field.SCTP_DST,
    ("icmp", "type"): Field.ICMP4_TYPE, ("icmp", "code"): Field.ICMP4_CODE,
    ("icmpv6", "type"): Field.ICMP6_TYPE, ("icmpv6", "code"): Field.ICMP6_CODE,
    ("arp", "sip"): Field.ARP_SPA, ("arp", "tip"): Field.ARP_TPA, ("arp", "op"): Field.ARP_OP,
    ("arp", "sha"): Field.ARP_SHA, ("arp", "tha"): Field.ARP_THA,
    ("nd", "target"): Field.ND_TARGET, ("nd", "sll"): Field.ND_SLL, ("nd", "tll"): Field.ND_TLL,
}  # fmt: skip
"""What the datapath's `set` calls our fields."""
_UNSEEN = (Field.ND_RESERVED, Field.ND_OPTION, Field.TCP_FLAGS)
"""Trace prints no datapath action for them, or takes them for something else."""

Copy = tuple[int, tuple[tuple[Field, int], ...], tuple[tuple[int, int], ...]]


@dataclass(frozen=True)
class Trace:
    """What became of a packet."""

    hits: tuple[tuple[int, int, int], ...]
    """Table, priority and cookie of each flow, sorted; -1 and 0 where there is none."""
    sent: tuple[Copy, ...]
    """Port, fields of the packet and tags behind the first, sorted."""
    punted: int
    text: str = field(default="", compare=False)


def as_trace(outcome: Outcome) -> Trace:
    """What a trace would show of it."""
    hits = ((one.table, -1 if one.flow is None else one.flow.priority, one.flow.cookie if one.flow else 0)
            for one in outcome.steps)  # fmt: skip
    return Trace(
        tuple(sorted(hits)),
        tuple(sorted(_copy(one.ofport, one.packet) for one in outcome.outputs)),
        len(outcome.punts),
        "\n".join(f"{one.table:3} {one.flow.text() if one.flow else 'nothing'}" for one in outcome.steps),
    )


def _copy(ofport: int, packet: Packet) -> Copy:
    fields = tuple((one, value) for one, value in packet.on_the_wire().fields() if one not in _UNSEEN)
    return ofport, fields, packet.inner


def trace_text(packet: Packet) -> str:
    """The packet as trace takes it: whole names, prerequisites first."""
    return ",".join(f"{_NAMES.get(one, one.name_set)}={_value(one, value)}" for one, value in packet.fields())


def _value(one: Field, value: int) -> str:
    if one.notation in (Notation.CT_STATE, Notation.TCP_FLAGS):
        names = notation.CT_FLAGS if one is Field.CT_STATE else notation.TCP_FLAGS
        return "|".join(name for bit, name in enumerate(names) if value >> bit & 1)
    if one in (Field.IP_DSCP, Field.VLAN_VID):
        return str(value)
    return notation.write(one, value, one.full)


class Tracer:
    """Traces on one bridge; the connection to the daemon stays open."""

    def __init__(self, switch: DummySwitch, control: Unixctl, bridge: str) -> None:
        self.switch = switch
        self.bridge = bridge
        self._control = control
        show = control.call("dpif/show")
        section = re.search(rf"^  {bridge}:\n((?:    .*\n?)*)", show, re.MULTILINE)
        assert section is not None, show
        self._ofports = {odp: int(ofport) for ofport, odp in re.findall(r"(\d+)/(\d+):", section[1])}

    def trace(self, packet: Packet, state: int = 0) -> Trace:
        """`state`: what the tracker says wherever it is asked; nothing else is said of it, it is new."""
        said = ["--ct-next", _value(Field.CT_STATE, state | TRK_FLAG).replace("|", ",")] * 6 if state else []
        text = self._control.call("ofproto/trace", self.bridge, trace_text(packet), *said)
        return self._read(packet, text)

    def _read(self, packet: Packet, text: str) -> Trace:
        hits = [
            (int(table), int(priority or -1), int(cookie or "0", 16))
            for table, priority, cookie in re.findall(
                r"^ *(\d+)\. (?:(?:.*, )?priority (\d+)(?:, cookie (0x[0-9a-f]+))?|No match\.)", text, re.MULTILINE
            )
        ]
        resumed = {"": [packet]}  # by recirculation; several packets may share one, and go on in turn
        sent: list[Copy] = []
        for head, actions in re.findall(
            r"(?:^recirc\((0x[0-9a-f]+)\)(?:.|\n)*?|)^Datapath actions: (.*)$", text, re.MULTILINE
        ):
            if resumed.get(head):  # if not, it is left over from a pass that the switch gave up
                sent += self._play(actions, resumed[head].pop(0), resumed)
        punted = len(re.findall(r"^ *(?:CONTROLLER:|controller\(|>> .* decrement TTL exception)", text, re.MULTILINE))
        return Trace(tuple(sorted(hits)), tuple(sorted(sent)), punted, text)

    def _play(self, actions: str, packet: Packet, resumed: dict[str, list[Packet]]) -> Iterator[Copy]:
        """The copies that these datapath actions send; `resumed` gets what is taken up again later."""
        for action in _split(actions):
            name, _, inside = action.partition("(")
            inside = inside.removesuffix(")")
            if action.isdecimal():
                yield _copy(self._ofports[action], packet)
            elif name == "recirc":
                resumed.setdefault(inside, []).append(packet)
            elif name == "set":
                packet = packet.changed(dict(_sets(inside, packet)))
            elif name == "push_vlan":
                said = dict(part.split("=") for part in inside.split(","))
                tags = packet.inner
                if packet[Field.VLAN_VID]:
                    tags = ((packet[Field.VLAN_VID], packet[Field.VLAN_PCP]), *tags)
                tag = {Field.VLAN_VID: VLAN_TAG | int(said["vid"]), Field.VLAN_PCP: int(said.get("pcp", "0"))}
                packet = replace(packet.changed(tag), inner=tags)
            elif name == "pop_vlan":
                outer, *rest = packet.inner or ((0, 0),)
                tag = {Field.VLAN_VID: outer[0], Field.VLAN_PCP: outer[1]}
                packet = replace(packet.changed(tag), inner=tuple(rest))
            elif name == "clone":
                yield from self._play(inside, packet, resumed)
            else:
                assert name in ("drop", "ct", "ct_clear", "userspace", "meter"), action


def _split(actions: str) -> Iterator[str]:
    """The actions between commas that are in no parentheses."""
    depth = start = 0
    for at, character in enumerate(actions):
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            yield actions[start:at]
            start = at + 1
    yield actions[start:]


def _sets(inside: str, packet: Packet) -> Iterator[tuple[Field, int]]:
    layer, _, parts = inside.partition("(")
    for part in parts.rstrip(")").split(","):
        name, _, value = part.partition("=")
        target = _SET.get((layer, name))
        if name in ("tos", "tclass"):
            # Both halves in one byte; the mask tells which of them is written.
            byte, _, mask = value.partition("/")
            for field, bits in ((Field.IP_DSCP, 0xFC), (Field.IP_ECN, 0x03)):
                if _number(mask or "0xff") & bits == bits:
                    yield field, (_number(byte) & bits) // (bits & -bits)
        elif target is not None:
            written, _, mask = value.partition("/")
            kept = packet[target] & ~_number(mask) if mask else 0
            yield target, _number(written) | kept


def _number(text: str) -> int:
    if re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", text):
        return int(text.replace(":", ""), 16)
    if "." in text or ":" in text:
        return int(ipaddress.ip_address(text))
    return int(text, 0)


def carried(state: int = 0) -> Tracker:
    """The tracker that a trace is: `state` everywhere, and the mark that the packet came with."""
    return lambda _zone, packet: Tracked(state or 1, packet[Field.CT_MARK], packet[Field.CT_LABEL])
