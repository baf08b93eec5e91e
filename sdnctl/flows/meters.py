# SPDX-License-Identifier: Apache-2.0
"""Meters: rates that a flow's packets may not exceed; what does, is dropped.

Open vSwitch takes no meter in a bundle. So a meter is added before the flows that use it and deleted after them;
deleting a meter deletes its flows.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from sdnctl.flows.messages import message
from sdnctl.flows.wireflow import MULTIPART_REQUEST

METER_MOD: Final = 29
MULTIPART_METER: Final = 9
MULTIPART_METER_CONFIG: Final = 10
_ADD: Final = 0
_MODIFY: Final = 1
_DELETE: Final = 2
_KBPS: Final = 1
_PKTPS: Final = 2
_BURST: Final = 4
_STATS: Final = 8
_DROP: Final = 1
ALL_METERS: Final = 0xFFFFFFFF

# meter; length; flows; packets, bytes that came to it; seconds, nanoseconds. Then packets, bytes of each band
_STATISTICS: Final = struct.Struct("!IH34x").unpack_from
_STATISTICS_SIZE: Final = 40
_BAND: Final = struct.Struct("!QQ")


@dataclass(frozen=True, slots=True)
class MeterSpec:
    """Meter `id` lets `pktps` packets (or `kbps` kilobits) a second pass, and a burst of `burst` (same unit)."""

    id: int
    pktps: int = 0
    burst: int = 0
    kbps: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.id <= 0xFFFF0000:
            raise ValueError(f"meter {self.id}: meters are numbered from 1 to 0xffff0000")
        if (self.pktps > 0) == (self.kbps > 0) or min(self.pktps, self.kbps, self.burst) < 0:
            raise ValueError(f"meter {self.id}: either packets or kilobits per second, and no negative burst")
        if max(self.pktps, self.kbps, self.burst) > 0xFFFFFFFF:
            raise ValueError(f"meter {self.id}: rates and bursts have 32 bits")

    def text(self) -> str:
        """As ovs-ofctl dump-meters prints it, on one line."""
        unit, rate = ("pktps", self.pktps) if self.pktps else ("kbps", self.kbps)
        burst = ("burst ", f" burst_size={self.burst}") if self.burst else ("", "")
        return f"meter={self.id} {unit} {burst[0]}bands= type=drop rate={rate}{burst[1]}"


def _body(spec: MeterSpec) -> bytes:
    flags = (_PKTPS if spec.pktps else _KBPS) | (_BURST if spec.burst else 0)
    return struct.pack("!HIHHII4x", flags, spec.id, _DROP, 16, spec.pktps or spec.kbps, spec.burst)


def meter_add(spec: MeterSpec, xid: int = 0) -> bytes:
    return message(METER_MOD, struct.pack("!H", _ADD) + _body(spec), xid)


def meter_modify(spec: MeterSpec, xid: int = 0) -> bytes:
    return message(METER_MOD, struct.pack("!H", _MODIFY) + _body(spec), xid)


def meter_delete(id: int, xid: int = 0) -> bytes:  # noqa: A002  (the meter's)
    return message(METER_MOD, struct.pack("!HHI", _DELETE, 0, id), xid)


def meter_config_request(xid: int = 0) -> bytes:
    """Ask for the description of every meter."""
    return message(MULTIPART_REQUEST, struct.pack("!HH4xI4x", MULTIPART_METER_CONFIG, 0, ALL_METERS), xid)


def parse_meter_config(body: bytes) -> Iterator[MeterSpec]:
    """The meters in a METER_CONFIG multipart reply, behind the multipart header.

    A meter that is not of our kind (several bands, remarking) comes out as a spec that equals none of ours.
    """
    at = 0
    while at < len(body):
        try:
            length, flags, number = struct.unpack_from("!HHI", body, at)
            if length < 8 or at + length > len(body):
                raise ValueError(f"meter at byte {at} of {len(body)} has length {length}")
            rate = burst = 0
            if length == 24:
                kind, _, rate, burst = struct.unpack_from("!HHII", body, at + 8)
                rate = rate if kind == _DROP else 0
        except struct.error:
            raise ValueError(f"meter at byte {at} of {len(body)} is cut off") from None
        at += length
        if not rate:
            yield MeterSpec(number, kbps=0xFFFFFFFF, burst=0xFFFFFFFF)
        elif flags & _PKTPS:
            yield MeterSpec(number, rate, burst if flags & _BURST else 0)
        else:
            yield MeterSpec(number, 0, burst if flags & _BURST else 0, rate)


class MeterDrops(NamedTuple):
    """What a meter dropped since it was made, or changed."""

    id: int
    packets: int
    bytes: int


def meter_stats_request(number: int = ALL_METERS, xid: int = 0) -> bytes:
    """Ask what one meter, or every one, has dropped."""
    return message(MULTIPART_REQUEST, struct.pack("!HH4xI4x", MULTIPART_METER, 0, number), xid)


def parse_meter_stats(body: bytes) -> Iterator[MeterDrops]:
    """What the meters in a METER multipart reply, behind the multipart header, have dropped.

    A band counts the packets that were over its rate, and ours drop those.
    """
    at = 0
    while at < len(body):
        try:
            number, length = _STATISTICS(body, at)
        except struct.error:
            raise ValueError(f"meter statistics: entry at byte {at} of {len(body)} is cut off") from None
        bands, rest = divmod(length - _STATISTICS_SIZE, _BAND.size)
        if bands < 0 or rest or at + length > len(body):
            raise ValueError(f"meter statistics: entry at byte {at} of {len(body)} has length {length}")
        packets = octets = 0
        for band in range(at + _STATISTICS_SIZE, at + length, _BAND.size):
            more = _BAND.unpack_from(body, band)
            packets, octets = packets + more[0], octets + more[1]
        yield MeterDrops(number, packets, octets)
        at += length
