# SPDX-License-Identifier: Apache-2.0
"""How a network's frames travel between hosts: the provider attributes, given by an admin or allotted.

A segment is one text, `vxlan:5000`, `vlan:physnet1:300` or `flat:physnet1`, with a unique key in the database: two
transactions that want the same one cannot both have it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, and_, bindparam, select

from sdnctl.errors import ConflictError, InvalidError
from sdnctl.model.network import NetworkType
from sdnctl.store import tables
from sdnctl.store.ranges import Free, Range
from sdnctl.store.write import Write

TYPE: Final = "provider:network_type"
PHYSNET: Final = "provider:physical_network"
ID: Final = "provider:segmentation_id"
ATTRIBUTES: Final = (TYPE, PHYSNET, ID)
LARGEST: Final[Mapping[str, int]] = {NetworkType.VLAN: 4094, NetworkType.VXLAN: 2**24 - 1}
IN_USE: Final[Mapping[str, str]] = {
    NetworkType.VLAN: "VlanIdInUse",
    NetworkType.VXLAN: "TunnelIdInUse",
    NetworkType.FLAT: "FlatNetworkInUse",
}

_network = tables.networks.c
_holder = select(_network.id).where(_network.segment == bindparam("segment"))


@dataclass(frozen=True, slots=True)
class Segment:
    """Where a network's frames travel."""

    type: NetworkType
    physical_network: str | None
    segmentation_id: int | None

    def __str__(self) -> str:
        parts = (self.type.value, self.physical_network, self.segmentation_id)
        return ":".join(str(part) for part in parts if part is not None)


def choose(write: Write, body: Mapping[str, object]) -> Segment:
    """The segment a new network is to have: as its body says, or a free one."""
    wish = {name: body.get(name) for name in ATTRIBUTES}
    if wish[TYPE] is None:
        given = [name for name in (PHYSNET, ID) if wish[name] is not None]
        if given:
            raise InvalidError(f"{TYPE} is required with {' and '.join(given)}; give flat, vlan or vxlan.")
        return _default(write)
    try:
        kind = NetworkType(str(wish[TYPE]))
    except ValueError:
        raise InvalidError(f"{TYPE}: {wish[TYPE]!r} is unknown; use {', '.join(NetworkType)}.") from None
    physnet = None if wish[PHYSNET] is None else str(wish[PHYSNET])
    number = None if wish[ID] is None else int(str(wish[ID]))
    _check(write, kind, physnet, number)
    if kind is NetworkType.FLAT or number is not None:
        segment = Segment(kind, physnet, number)
        holder = write.connection.execute(_holder, {"segment": str(segment)}).scalar()
        if holder is not None:
            raise ConflictError(f"{_words(segment)} is already used by network {holder}.", kind=IN_USE[kind])
        return segment
    segment_or_none = _allot(write, kind, physnet)
    if segment_or_none is None:
        raise _exhausted(kind, physnet)
    return segment_or_none


def _check(write: Write, kind: NetworkType, physnet: str | None, number: int | None) -> None:
    """The provider attributes fit together."""
    if kind is NetworkType.VXLAN:
        if physnet is not None:
            raise InvalidError(f"{PHYSNET}: a vxlan network has none; leave it out.")
    elif physnet is None:
        if kind is NetworkType.FLAT or number is not None:
            raise InvalidError(f"{PHYSNET} is required for this {kind} network; known are {_listed(_known(write))}.")
    elif physnet not in (known := _known(write)):
        raise InvalidError(
            f"{PHYSNET}: {physnet!r} is unknown; known are {_listed(known)}. "
            "A physical network is known when the configuration or a host's bridge_mappings names it."
        )
    if kind is NetworkType.FLAT:
        if number is not None:
            raise InvalidError(f"{ID}: a flat network has none; leave it out.")
        if "*" not in write.settings.flat_physnets and physnet not in write.settings.flat_physnets:
            raise InvalidError(
                f"{PHYSNET}: {physnet} may not carry flat networks; use {_listed(write.settings.flat_physnets)}."
            )
    elif number is not None and not 1 <= number <= LARGEST[kind]:
        raise InvalidError(f"{ID}: {number} is out of range; a {kind} network has one from 1 to {LARGEST[kind]}.")


def _known(write: Write) -> set[str]:
    settings = write.settings
    known = {*settings.vlan_ranges, *settings.physnet_mtu, *settings.flat_physnets} - {"*"}
    for mappings in write.connection.execute(select(tables.hosts.c.bridge_mappings)).scalars():
        known.update(mappings)
    return known


def _default(write: Write) -> Segment:
    """A free segment of the first configured type that has one."""
    for name in write.settings.tenant_network_types:
        kind = NetworkType(name)
        segment = _allot(write, kind, None)
        if segment is not None:
            return segment
    raise _exhausted(" or ".join(write.settings.tenant_network_types), None)


def _allot(write: Write, kind: NetworkType, physnet: str | None) -> Segment | None:
    """A free segment of that type, on that physical network if one is named."""
    if kind is NetworkType.VXLAN:
        number = _free(write, kind, None, write.settings.vni_ranges)
        return None if number is None else Segment(kind, None, number)
    if kind is NetworkType.FLAT:
        for name in sorted(_known(write)):
            segment = Segment(kind, name, None)
            if write.connection.execute(_holder, {"segment": str(segment)}).first() is None:
                return segment
        return None
    for name in (physnet,) if physnet is not None else sorted(write.settings.vlan_ranges):
        number = _free(write, kind, name, write.settings.vlan_ranges.get(name, ()))
        if number is not None:
            return Segment(kind, name, number)
    return None


def _free(write: Write, kind: NetworkType, physnet: str | None, pools: Iterable[Range]) -> int | None:
    same = and_(_network.type == kind.value, _network.physical_network.is_not_distinct_from(physnet))

    def used(condition: ColumnElement[bool]) -> Collection[int]:
        numbers = write.connection.execute(select(_network.segmentation_id).where(same, condition)).scalars()
        return [number for number in numbers if number is not None]

    return Free(
        tuple(pools),
        write.random,
        lambda numbers: used(_network.segmentation_id.in_(numbers)),
        lambda first, last: used(_network.segmentation_id.between(first, last)),
    ).take()


def _exhausted(kind: str, physnet: str | None) -> ConflictError:
    where = f" on {physnet}" if physnet else ""
    return ConflictError(
        f"Unable to create the network: no {kind} segment is free{where}. Delete networks, or configure larger ranges.",
        kind="NoNetworkAvailable",
    )


def _words(segment: Segment) -> str:
    match segment.type:
        case NetworkType.FLAT:
            return f"The physical network {segment.physical_network}"
        case NetworkType.VLAN:
            return f"The VLAN {segment.segmentation_id} on physical network {segment.physical_network}"
        case NetworkType.VXLAN:
            return f"The VNI {segment.segmentation_id}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
