# SPDX-License-Identifier: Apache-2.0
"""Forged questions of DHCP clients: they go to the controller, and are to be met with silence.

The legal twin of all of them is `discover`. The marker is the client identifier, which comes back in an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from topologies import frames
from topologies.forgeries.parts import MORE_FRAGMENTS, NOBODY, Builder, Identity
from topologies.frames import UDP

DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)

OP, HARDWARE, HARDWARE_LENGTH, GIADDR, CHADDR, MAGIC = 0, 1, 2, 24, 28, 236
"""Where these fields are in a message."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question that must not be answered."""

    name: str
    verdict: str
    """What the controller calls it: a value of `sdnctl.apps.dhcp.Verdict`."""
    build: Builder


Change = Callable[[Identity, Identity], bytes]
"""(who asks, somebody else) -> octets."""


def _message(me: Identity, mark: str, kind: int = DISCOVER, more: dict[int, bytes] | None = None) -> bytes:
    return frames.dhcp(1, kind, me.mac, options={61: mark.encode(), **(more or {})})


def _frame(me: Identity, message: bytes, fragment: int = 0) -> bytes:
    packet = frames.udp("0.0.0.0", "255.255.255.255", 68, 67, message)
    if fragment:
        packet = frames.ipv4("0.0.0.0", "255.255.255.255", UDP, packet[20:], fragment=fragment)
    return frames.ethernet(frames.BROADCAST, me.mac, frames.ETH_IPV4, packet)


def discover(me: Identity, _to: Identity, mark: str) -> bytes:
    """The first question of an honest client."""
    return _frame(me, _message(me, mark))


def _with(at: int, octets: Change) -> Builder:
    """Legal but for these octets of the message."""

    def build(me: Identity, to: Identity, mark: str) -> bytes:
        message, other = _message(me, mark), octets(me, to)
        return _frame(me, message[:at] + other + message[at + len(other) :])

    return build


def _as(kind: int, more: dict[int, bytes] | None = None) -> Builder:
    return lambda me, _to, mark: _frame(me, _message(me, mark, kind, more))


def _chaddr(mac: str) -> Builder:
    return _with(CHADDR, lambda _me, _to: frames.mac_bytes(mac))


def _cut(me: Identity, _to: Identity, mark: str) -> bytes:
    """The datagram says that it ends before its options."""
    frame = _frame(me, _message(me, mark))
    return frame[:38] + (240).to_bytes(2, "big") + frame[40:]


QUESTIONS: Final = (
    Question("chaddr-of-receiver", "foreign_client", _with(CHADDR, lambda _me, to: frames.mac_bytes(to.mac))),
    Question("chaddr-of-nobody", "foreign_client", _chaddr(NOBODY.mac)),
    Question("chaddr-zero", "foreign_client", _chaddr("00:00:00:00:00:00")),
    Question("chaddr-broadcast", "foreign_client", _chaddr(frames.BROADCAST)),
    Question("relayed-by-self", "relayed", _with(GIADDR, lambda me, _to: frames.ip_bytes(me.ipv4))),
    Question("relayed-by-gateway", "relayed", _with(GIADDR, lambda me, _to: frames.ip_bytes(me.gateway4))),
    Question("relayed-by-nobody", "relayed", _with(GIADDR, lambda _me, _to: frames.ip_bytes(NOBODY.ipv4))),
    Question("a-servers-operation", "malformed", _with(OP, lambda _me, _to: b"\2")),
    Question("no-operation", "malformed", _with(OP, lambda _me, _to: b"\0")),
    Question("other-hardware", "malformed", _with(HARDWARE, lambda _me, _to: b"\6")),
    Question("long-hardware", "malformed", _with(HARDWARE_LENGTH, lambda _me, _to: b"\x10")),
    Question("no-magic", "malformed", _with(MAGIC, lambda _me, _to: bytes(4))),
    Question("two-kinds", "malformed", _as(DISCOVER, {53: b"\1\1"})),
    Question("no-kind", "malformed", _as(DISCOVER, {53: b""})),
    Question("fragment", "malformed", lambda me, _to, mark: _frame(me, _message(me, mark), MORE_FRAGMENTS)),
    Question("snap", "malformed", lambda me, to, mark: frames.snap(discover(me, to, mark))),
    Question("cut", "malformed", _cut),
    Question("offer", "unsupported", _as(OFFER)),
    Question("acknowledgement", "unsupported", _as(ACK)),
    Question("refusal", "unsupported", _as(NAK)),
    Question("unknown-kind", "unsupported", _as(99)),
    Question("of-another-server", "other_server", _as(REQUEST, {54: frames.ip_bytes(NOBODY.ipv4)})),
    Question("decline", "decline", _as(DECLINE)),
    Question("release", "release", _as(RELEASE)),
)
"""What a hostile client asks."""
