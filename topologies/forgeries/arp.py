# SPDX-License-Identifier: Apache-2.0
"""Forged ARP and RARP: each field, each operation, and what Open vSwitch cannot read while others can."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial
from typing import Final

from topologies import frames
from topologies.forgeries.parts import (
    ELSEWHERE,
    HYPERVISOR,
    NOBODY,
    Builder,
    Forgery,
    Identity,
    arp_question,
    arp_reply,
    legal_arp,
    other_hardware,
    rarp,
)
from topologies.frames import arp

FOREIGN_ARP: Final = "FOREIGN_ARP"


def _claims(spa: str) -> Builder:
    """An answer that says: this address is mine."""
    return lambda me, to, mark: arp_reply(me.mac, spa, me, to, mark)


def _operation(op: int) -> Forgery:
    """Any operation, known or not."""
    return Forgery(
        f"arp-operation-{op}",
        4,
        FOREIGN_ARP,
        lambda me, to, mark: arp(me.mac, op=op, spa=to.ipv4, tha=to.mac, tpa=to.ipv4, dst=to.mac, mark=mark),
        lambda me, to, mark: arp(me.mac, op=op, spa=me.ipv4, tha=to.mac, tpa=to.ipv4, dst=to.mac, mark=mark),
    )


def _changed(at: int, octets: str) -> Builder:
    """A legal answer with other octets in its ARP header: what it says is no longer what Open vSwitch reads."""

    def build(me: Identity, to: Identity, mark: str) -> bytes:
        frame = legal_arp(me, to, mark)
        new = bytes.fromhex(octets)
        return frame[: 14 + at] + new + frame[14 + at + len(new) :]

    return build


def _cut(me: Identity, to: Identity, mark: str) -> bytes:
    """It ends before the target's addresses."""
    return legal_arp(me, to, mark)[: 14 + 10] + mark.encode()


def _long_addresses(me: Identity, to: Identity, mark: str) -> bytes:
    """Hardware addresses of 8 octets, the first 6 of which are legal."""
    body = struct.pack("!HHBBH", 1, frames.ETH_IPV4, 8, 4, 2) + frames.mac_bytes(me.mac) + b"\0\0"
    body += frames.ip_bytes(me.ipv4) + frames.mac_bytes(to.mac) + b"\0\0" + frames.ip_bytes(to.ipv4)
    return frames.ethernet(to.mac, me.mac, frames.ETH_ARP, body, mark)


def _foreign_sources() -> Iterator[Forgery]:
    for name, address in {
        "of-elsewhere": ELSEWHERE.ipv4,
        "of-hypervisor": HYPERVISOR.ipv4,
        "broadcast": "255.255.255.255",
        "loopback": "127.0.0.1",
        "multicast": "224.0.0.1",
        "link-local": "169.254.1.1",
        "zero-net": "0.0.0.1",
    }.items():
        yield Forgery(f"arp-sender-ip-{name}", 4, FOREIGN_ARP, _claims(address), legal_arp)


def _foreign_macs() -> Iterator[Forgery]:
    for name, mac in {"broadcast": frames.BROADCAST, "zero": "00:00:00:00:00:00", "group": "01:00:5e:00:00:12"}.items():
        build = partial(_with_hardware, mac)
        yield Forgery(f"arp-sender-mac-{name}", 4, FOREIGN_ARP, build, legal_arp)


def _with_hardware(sha: str, me: Identity, to: Identity, mark: str) -> bytes:
    return arp_reply(sha, me.ipv4, me, to, mark)


ARP: Final = (
    Forgery(
        "arp-sender-ip", 4, FOREIGN_ARP, lambda me, to, mark: arp_reply(me.mac, NOBODY.ipv4, me, to, mark), legal_arp
    ),
    Forgery(
        "arp-sender-mac", 4, FOREIGN_ARP, lambda me, to, mark: arp_reply(NOBODY.mac, me.ipv4, me, to, mark), legal_arp
    ),
    Forgery(
        "arp-sender-is-receiver",
        4,
        FOREIGN_ARP,
        lambda me, to, mark: arp_reply(me.mac, to.ipv4, me, to, mark),
        legal_arp,
    ),
    Forgery(
        "arp-gratuitous",
        4,
        FOREIGN_ARP,
        lambda me, to, mark: arp(me.mac, spa=to.ipv4, tpa=to.ipv4, mark=mark),
        lambda me, _to, mark: arp(me.mac, spa=me.ipv4, tpa=me.ipv4, mark=mark),
    ),
    Forgery(
        "arp-gratuitous-answer",
        4,
        FOREIGN_ARP,
        lambda me, to, mark: arp(me.mac, op=2, spa=to.ipv4, tha=frames.BROADCAST, tpa=to.ipv4, mark=mark),
        lambda me, _to, mark: arp(me.mac, op=2, spa=me.ipv4, tha=frames.BROADCAST, tpa=me.ipv4, mark=mark),
    ),
    Forgery(
        "arp-question",
        4,
        FOREIGN_ARP,
        lambda me, _to, mark: arp_question(me, NOBODY.ipv4, mark),
        lambda me, _to, mark: arp_question(me, me.ipv4, mark),
    ),
    Forgery(
        "arp-probe",
        4,
        FOREIGN_ARP,
        lambda me, _to, mark: arp_question(me, "0.0.0.0", mark, NOBODY.mac),
        lambda me, _to, mark: arp_question(me, "0.0.0.0", mark),
    ),
    Forgery("arp-other-hardware", 4, FOREIGN_ARP, other_hardware, legal_arp),
    Forgery(
        "rarp",
        4,
        FOREIGN_ARP,
        lambda me, _to, mark: rarp(me, NOBODY.mac, mark),
        lambda me, _to, mark: rarp(me, me.mac, mark),
    ),
    Forgery(
        "arp-gateway", 4, FOREIGN_ARP, lambda me, to, mark: arp_reply(me.mac, me.gateway4, me, to, mark), legal_arp
    ),
    Forgery(
        "arp-gateway-to-all",
        4,
        FOREIGN_ARP,
        lambda me, _to, mark: arp(me.mac, op=2, spa=me.gateway4, tpa=me.gateway4, mark=mark),
        lambda me, _to, mark: arp(me.mac, op=2, spa=me.ipv4, tpa=me.ipv4, mark=mark),
    ),
    Forgery(
        "arp-question-as-receiver",
        4,
        FOREIGN_ARP,
        lambda me, to, mark: arp_question(me, to.ipv4, mark),
        lambda me, _to, mark: arp_question(me, me.ipv4, mark),
    ),
    Forgery(
        "arp-question-with-mac-of-receiver",
        4,
        FOREIGN_ARP,
        lambda me, to, mark: arp_question(me, me.ipv4, mark, to.mac),
        lambda me, _to, mark: arp_question(me, me.ipv4, mark),
    ),
    Forgery(
        "arp-everything-of-receiver",
        4,
        FOREIGN_ARP,
        lambda me, to, mark: arp_reply(to.mac, to.ipv4, me, to, mark),
        legal_arp,
    ),
    Forgery(
        "arp-probe-of-receiver",
        4,
        FOREIGN_ARP,
        lambda me, to, mark: arp_question(me, "0.0.0.0", mark, to.mac),
        lambda me, _to, mark: arp_question(me, "0.0.0.0", mark),
    ),
    *_foreign_sources(),
    *_foreign_macs(),
    *(_operation(op) for op in (0, 3, 4, 8, 9, 23, 65535)),
    Forgery("arp-longer-hardware", 4, FOREIGN_ARP, _long_addresses, legal_arp),
    Forgery("arp-hardware-length", 4, FOREIGN_ARP, _changed(4, "08"), legal_arp),
    Forgery("arp-protocol-length", 4, FOREIGN_ARP, _changed(5, "10"), legal_arp),
    Forgery("arp-protocol", 4, FOREIGN_ARP, _changed(2, "86dd"), legal_arp),
    Forgery("arp-hardware-none", 4, FOREIGN_ARP, _changed(0, "0000"), legal_arp),
    Forgery("arp-cut", 4, FOREIGN_ARP, _cut, legal_arp),
    Forgery(
        "rarp-answer",
        4,
        FOREIGN_ARP,
        lambda me, to, mark: arp(
            me.mac, op=4, sha=NOBODY.mac, spa=me.ipv4, tha=to.mac, tpa=NOBODY.ipv4, ethertype=frames.ETH_RARP, mark=mark
        ),
        lambda me, _to, mark: rarp(me, me.mac, mark),
    ),
    Forgery(
        "rarp-of-receiver",
        4,
        FOREIGN_ARP,
        lambda me, to, mark: rarp(me, to.mac, mark),
        lambda me, _to, mark: rarp(me, me.mac, mark),
    ),
)
