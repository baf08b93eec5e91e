# SPDX-License-Identifier: Apache-2.0
"""One host's tables as we know them: which unit yields which flows, and the difference to what should be.

Bookkeeping in wire form, so that comparing is comparing bytes. Two ways lead to a delta:

    catch_up()   everything we want against everything read back from the switch    (after connecting)
    update()     some units' new flows against the same units' flows of before      (from then on)

A flow is removed only with the exact cookie it was installed with. When a key has passed from one unit to another (an
ofport re-used by the next port), removing the old unit's flow can therefore never hit the new one's, in whatever
order the two changes come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sdnctl import runtime
from sdnctl.apps import meters, statistics
from sdnctl.flows.pipeline import COOKIE_MAGIC, Table
from sdnctl.flows.wire import MeterSpec, WireFlow
from sdnctl.sync.units import Unit, UnitKind

LAST_METER: Final = meters.meter_id(meters.LAST_OFPORT, meters.MeterKind.PUNT) + meters.KINDS - 1
"""Meters up to this id are ours; others are left alone."""

EXACT: Final = 2**64 - 1
"""Mask of a cookie that has to match to the last bit."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Compiled:
    """What one unit yields on one host."""

    flows: tuple[WireFlow, ...] = ()
    meters: tuple[MeterSpec, ...] = ()
    zone: int | None = None
    """The connection tracker's zone that the unit has for itself."""
    learned: tuple[bytes, ...] = ()
    """First fields of the flows that Open vSwitch makes by itself and that are this unit's (`apps.statistics`)."""


NOTHING: Final = Compiled()


@dataclass(slots=True)
class Delta:
    """What has to be told to a switch, in this order."""

    meters_add: list[tuple[Unit, MeterSpec]] = field(default_factory=list)
    meters_modify: list[tuple[Unit, MeterSpec]] = field(default_factory=list)
    flush: list[tuple[Unit, int]] = field(default_factory=list)
    """Zones that a unit takes over: it must not inherit what another one's connections may do."""
    forget: list[tuple[Unit, bytes]] = field(default_factory=list)
    """First fields of learned flows that are to go, because a unit comes to them anew, or goes."""
    put: list[tuple[Unit, WireFlow]] = field(default_factory=list)
    remove: list[tuple[Unit | None, WireFlow]] = field(default_factory=list)
    meters_remove: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(
            (
                self.meters_add,
                self.meters_modify,
                self.flush,
                self.forget,
                self.put,
                self.remove,
                self.meters_remove,
            )
        )


class Tables:
    """What a switch has confirmed, by unit."""

    def __init__(self) -> None:
        self.units: dict[Unit, Compiled] = {}
        self._meters: dict[int, tuple[Unit, MeterSpec]] = {}
        self._learned: dict[bytes, Unit] = {}
        self._flow_count = 0

    def __len__(self) -> int:
        """How many flows there are."""
        return self._flow_count

    def catch_up(
        self,
        want: Mapping[Unit, Compiled],
        have: Mapping[bytes, WireFlow],
        have_meters: Mapping[int, MeterSpec],
    ) -> Delta:
        """The way from what was read back to `want`. Flows without our cookie are somebody else's, and stay.

        So do learned flows of a unit that is still the one it was.
        """
        delta = Delta()
        kept: set[bytes] = set()
        learned: set[bytes] = set()
        meters = {**have_meters, **{number: spec for number, (_, spec) in self._meters.items()}}
        for unit, compiled in runtime.in_slices(want.items()):
            if compiled.zone is not None and not _holds_zone(compiled, have):
                delta.flush.append((unit, compiled.zone))
            was_there = _was_there(unit, compiled, have)
            learned.update(compiled.learned if was_there else compiled.learned[1:])
            for flow in compiled.flows:
                kept.add(flow.key)
                if have.get(flow.key) != flow:
                    delta.put.append((unit, flow))
            for meter in compiled.meters:
                old = meters.pop(meter.id, None)
                if old is None:
                    delta.meters_add.append((unit, meter))
                    continue
                if was_there:
                    self._meters[meter.id] = (unit, old)
                if old != meter or not was_there:
                    delta.meters_modify.append((unit, meter))
        delta.remove = [
            (None, flow)
            for key, flow in have.items()
            if key not in kept
            and flow.cookie >> 56 == COOKIE_MAGIC
            and not (statistics.is_learned(flow) and statistics.whose(flow) in learned)
        ]
        delta.meters_remove = [number for number in meters if number <= LAST_METER]
        return delta

    def update(self, changes: Mapping[Unit, Compiled]) -> Delta:
        """The way from the present tables to the same with `changes`."""
        delta = Delta()
        freed: set[int] = set()
        used: set[int] = set()
        for unit, new in changes.items():
            old = self.units.get(unit, NOTHING)
            if old == new:
                continue
            if new.zone is not None and new.zone != old.zone:
                delta.flush.append((unit, new.zone))
            delta.forget.extend((unit, first) for first in new.learned if first not in old.learned)
            gone = (first for first in old.learned if first not in new.learned)
            delta.forget.extend((unit, first) for first in gone if self._learned.get(first) == unit)
            before = {flow.key: flow for flow in old.flows}
            for flow in new.flows:
                if before.pop(flow.key, None) != flow:
                    delta.put.append((unit, flow))
            delta.remove.extend((unit, flow) for flow in before.values())
            for meter in new.meters:
                used.add(meter.id)
                held = self._meters.get(meter.id)
                if held is None:
                    delta.meters_add.append((unit, meter))
                elif held != (unit, meter):  # also if it is as it should be: another one's has counted
                    delta.meters_modify.append((unit, meter))
            freed.update(meter.id for meter in old.meters)
        for number in freed - used:
            holder = self._meters.get(number)
            if holder is None or holder[0] in changes:
                delta.meters_remove.append(number)
        return delta

    def port_with_meter(self, number: int) -> str | None:
        """The id of the port whose meter has this number on the switch; None if it is no port's, or unknown whose."""
        unit = self._meters[number][0] if number in self._meters else None
        return unit.id if unit is not None and unit.kind is UnitKind.PORT else None

    @property
    def has_port_meters(self) -> bool:
        """Whether there are other meters than the host's own."""
        return len(self._meters) > (meters.SAMPLES in self._meters)

    def meters_sent(self, added: Iterable[tuple[Unit, MeterSpec]]) -> None:
        """Meters are no part of a bundle: these were made although the bundle after them was refused."""
        self._meters.update((meter.id, (unit, meter)) for unit, meter in added)

    def confirmed(self, changes: Mapping[Unit, Compiled], meters_removed: Iterable[int] = ()) -> None:
        """The switch has these units now, and these meters no more."""
        for number in meters_removed:
            self._meters.pop(number, None)
        for unit in runtime.in_slices(changes):
            old = self.units.pop(unit, NOTHING)
            self._flow_count -= len(old.flows)
            for meter in old.meters:
                if self._meters.get(meter.id, (None,))[0] == unit:
                    del self._meters[meter.id]
            for first in old.learned:
                if self._learned.get(first) == unit:
                    del self._learned[first]
        for unit, new in runtime.in_slices(changes.items()):
            if new.flows or new.meters:
                self.units[unit] = new
                self._flow_count += len(new.flows)
                for meter in new.meters:
                    self._meters[meter.id] = (unit, meter)
                self._learned.update((first, unit) for first in new.learned)


def _holds_zone(compiled: Compiled, have: Mapping[bytes, WireFlow]) -> bool:
    """Whether the unit had its zone already: the flow that says so, the first one of all, was read back unchanged."""
    return any(flow.table == Table.CLASSIFY and have.get(flow.key) == flow for flow in compiled.flows)


def _was_there(unit: Unit, compiled: Compiled, have: Mapping[bytes, WireFlow]) -> bool:
    """Whether what came in on the unit's ofport before was this port's too: CLASSIFY said so."""
    return unit.kind is not UnitKind.PORT or any(
        flow.table == Table.CLASSIFY and flow.key in have and have[flow.key].cookie == flow.cookie
        for flow in compiled.flows
    )


def by_key(flows: Iterable[WireFlow]) -> dict[bytes, WireFlow]:
    """Index flows by what makes two flows the same flow to a switch."""
    return {flow.key: flow for flow in flows}
