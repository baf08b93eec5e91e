# SPDX-License-Identifier: Apache-2.0
"""What tests of fail-over addresses have in common: announcements, and when a client's traffic moved."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import Final

from sdnctl.flows.pipeline import App, Reason, read_cookie
from topologies import Guest, Host, frames
from topologies.machine import Sniffer

MOVED_MS: Final = 100.0
"""How long after an announcement a client may still be without answers."""


def announcement(guest: Guest, address: str, *, mac: str = "", mark: str = "", op: int = 2) -> bytes:
    """What `arping -A` sends, or for IPv6 an unsolicited advertisement."""
    mac = mac or guest.mac
    if ":" in address:
        packet = frames.neighbour_advertisement(address, address, tll=mac)
        return frames.ethernet(frames.multicast_mac("ff02::1"), mac, frames.ETH_IPV6, packet, mark)
    return frames.arp(mac, op=op, spa=address, tpa=address, tha=mac if op == 2 else "00:00:00:00:00:00", mark=mark)


def is_announcement(frame: bytes, address: str) -> bool:
    """Whether a frame tells everybody who has the address."""
    wanted = frames.ip_bytes(address)
    if ":" in address:
        return frame[12:14] == b"\x86\xdd" and frame[20] == 58 and frame[54] == 136 and frame[62:78] == wanted
    return frame[12:14] == b"\x08\x06" and frame[28:32] == frame[38:42] == wanted


def is_answer(frame: bytes, address: str) -> bool:
    """Whether a frame is an echo reply from the address."""
    wanted = frames.ip_bytes(address)
    if ":" in address:
        return frame[12:14] == b"\x86\xdd" and frame[20] == 58 and frame[54] == 129 and frame[22:38] == wanted
    return frame[12:14] == b"\x08\x00" and frame[23] == 1 and frame[34] == 0 and frame[26:30] == wanted


@dataclass(frozen=True, slots=True)
class Move:
    """How a client's traffic moved to whoever announced the address."""

    announced_at: float
    first_ms: float
    """From the announcement to the first answer of the new holder."""
    longest_ms: float
    """The longest time without any answer from the announcement on."""
    last_of_old_ms: float | None
    """From the announcement to the last answer of anybody else; None when there was none after it."""
    answers: int
    """Of the new holder."""


def move_of(sniffer: Sniffer, address: str, new: str, since: float = 0.0) -> Move | None:
    """How traffic moved to the MAC address `new`, as its client's card saw it; None while nothing has moved."""
    seen = [(at, frame) for at, frame in sniffer.timed() if at >= since]
    source = frames.mac_bytes(new)
    announced = [at for at, frame in seen if is_announcement(frame, address) and frame[6:12] == source]
    answers = [(at, frame[6:12] == source) for at, frame in seen if is_answer(frame, address)]
    if not announced or not any(is_new and at >= announced[0] for at, is_new in answers):
        return None
    start = announced[0]
    times = [start, *(at for at, _ in answers if at >= start)]
    old = [at for at, is_new in answers if not is_new and at > start]
    return Move(
        start,
        1000 * (next(at for at, is_new in answers if is_new and at >= start) - start),
        1000 * max(later - earlier for earlier, later in itertools.pairwise(times)),
        1000 * (old[-1] - start) if old else None,
        sum(1 for at, is_new in answers if is_new and at >= start),
    )


def drops(host: Host, reason: Reason) -> int:
    """How many packets were dropped on a host for this reason, as the flows say that decided it."""
    found = re.findall(r"cookie=(0x5d[0-9a-f]+),.* n_packets=(\d+)", host.ofctl("dump-flows", "br-int"))
    known = [(read_cookie(int(cookie, 16)), int(count)) for cookie, count in found]
    return sum(count for one, count in known if one and one[0].app is not App.STATISTICS and one[1] is reason)


def lasting_flows(host: Host) -> set[str]:
    """The flows of a host, without those that Open vSwitch makes and forgets by itself."""
    lines = host.ofctl("dump-flows", "br-int", "--no-stats").splitlines()
    statistics = f"cookie=0x5d{App.STATISTICS:02x}"
    return {line.strip() for line in lines if statistics not in line}
