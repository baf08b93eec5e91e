# SPDX-License-Identifier: Apache-2.0
"""Networks: made with a segment and an MTU, shared or not, deleted with their subnets when no port is left.

`port_security_enabled` and `security_filters` are only what new ports start with. The segment is chosen once: it cannot
be changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, delete, func, select, update

from sdnctl import runtime
from sdnctl.errors import ConflictError, ForbiddenError, InvalidError
from sdnctl.model.port import DHCP_OWNER
from sdnctl.store import ip_groups, isolation, port_filters, ports, qos, segments, tables
from sdnctl.store.bodies import list_of, listed, new_id, number_of, owner, refuse_unknown
from sdnctl.store.labels import delete_tags, insert_tags
from sdnctl.store.objects import NETWORK, PORT, SUBNET
from sdnctl.store.write import Write

SMALLEST_MTU: Final[Mapping[int, int]] = {4: 68, 6: 1280}
"""What the Internet Protocol of each version asks of every link."""

_COLUMNS: Final[Mapping[str, str]] = {
    "name": "name",
    "description": "description",
    "admin_state_up": "admin_state_up",
    "shared": "shared",
    "router:external": "external",
    "is_default": "is_default",
    "mtu": "mtu",
    "dns_domain": "dns_domain",
}
"""Attributes that can be changed, and their columns."""
_CHANGED: Final = frozenset(
    {*_COLUMNS, *port_filters.ATTRIBUTES, *isolation.ATTRIBUTES, *segments.ATTRIBUTES, "qos_policy_id"}
)
_CREATED: Final = frozenset({*_CHANGED, "project_id", "availability_zone_hints", "tags"})
_ADMINS: Final = ("shared", "router:external", "is_default", *segments.ATTRIBUTES)


def create(write: Write, bodies: Sequence[Mapping[str, object]]) -> list[str]:
    """Insert the networks; their ids."""
    write.require_writer()
    ids = []
    policies = qos.of_new_networks(write, bodies)
    keys = write.keys(NETWORK, len(bodies))
    for body, policy_id, key in runtime.in_slices(zip(bodies, policies, keys, strict=True)):
        refuse_unknown(body, _CREATED)
        _refuse_admins(write, body)
        segment = segments.choose(write, body)
        network_id = new_id(write)
        write.created(NETWORK, network_id)
        row = write.new(str(body.get("name", "")), str(body.get("description", ""))) | {
            "id": network_id,
            "key": key,
            "project_id": owner(write, body),
            "admin_state_up": body.get("admin_state_up", True),
            "shared": body.get("shared", False),
            "external": body.get("router:external", False),
            "is_default": body.get("is_default", False),
            "type": segment.type.value,
            "physical_network": segment.physical_network,
            "segmentation_id": segment.segmentation_id,
            "segment": str(segment),
            "mtu": _mtu(write, body, segment.type, segment.physical_network),
            "dns_domain": body.get("dns_domain", ""),
            "availability_zone_hints": list_of(body, "availability_zone_hints"),
            "qos_policy_id": policy_id,
            **port_filters.of_new_network(write, body, segment.type.value),
            **isolation.of_new_network(body),
        }
        row["tags"] = insert_tags(write, network_id, list_of(body, "tags"))
        write.insert(tables.networks, [row])
        isolation.require_mac_filters(write, network_id)
        ids.append(network_id)
    return ids


def change(write: Write, network_id: str, changes: Mapping[str, object], if_match: int | None) -> None:
    row = claim(write, network_id, if_match)
    refuse_unknown(changes, _CHANGED)
    _refuse_segment(row, changes)
    _refuse_admins(write, {name: value for name, value in changes.items() if name not in segments.ATTRIBUTES})
    values = {_COLUMNS[name]: value for name, value in changes.items() if name in _COLUMNS}
    values.update(port_filters.of_changed_network(write, row, changes))
    values.update(isolation.of_changed_network(changes))
    if "mtu" in changes:
        values["mtu"] = mtu = _mtu(write, changes, row.type, row.physical_network)
        _refuse_too_small(write, network_id, mtu)
    values.update(qos.changed(write, row.qos_policy_id, changes))
    if row.shared and values.get("shared") is False:
        _refuse_unsharing(write, row)
    if values.get("shared") and not row.shared:
        port_filters.refuse_sharing(write, row, changes)
    if values:
        write.connection.execute(update(tables.networks).where(tables.networks.c.id == network_id).values(values))
    isolation.choose_service_ports(write, row, changes)
    isolation.require_mac_filters(write, network_id)


def remove(write: Write, network_id: str, if_match: int | None) -> None:
    """Delete the network with its subnets and its DHCP port."""
    claim(write, network_id, if_match)
    port = tables.ports.c
    blocking = write.connection.execute(
        select(port.id).where(port.network_id == network_id, port.device_owner != DHCP_OWNER).limit(6)
    )
    _refuse_in_use(network_id, list(blocking.scalars()))
    ip_groups.refuse_in_network(write, network_id)
    connection = write.connection
    subnets = list(
        connection.execute(select(tables.subnets.c.id).where(tables.subnets.c.network_id == network_id)).scalars()
    )
    services = list(connection.execute(select(port.id).where(port.network_id == network_id)).scalars())
    write.track(PORT, services)
    write.track(SUBNET, subnets)
    ports.delete_rows(write, services)
    for table, ids in ((tables.subnets, subnets), (tables.networks, [network_id])):
        connection.execute(delete(table).where(table.c.id.in_(ids)))
        delete_tags(write, ids)


def _refuse_in_use(network_id: str, ports_left: Sequence[str]) -> None:
    if ports_left:
        raise ConflictError(
            f"Unable to complete operation on network {network_id}. There are one or more ports still in use on the "
            f"network: {listed(ports_left)}. Delete them first.",
            kind="NetworkInUse",
        )


def claim(write: Write, network_id: str, if_match: int | None) -> Row[Any]:
    """The network's row, locked, which the caller may change."""
    return write.claim_own(NETWORK, write.lock_networks((network_id,)).get(network_id), network_id, if_match)


def _refuse_admins(write: Write, body: Mapping[str, object]) -> None:
    """Attributes that decide over other projects are an admin's."""
    for name in _ADMINS:
        if body.get(name) not in (None, False) and not write.ctx.is_admin:
            raise ForbiddenError(f"{name} may only be set by an admin; leave it out.")


def _refuse_segment(row: Row[Any], changes: Mapping[str, object]) -> None:
    present = dict(zip(segments.ATTRIBUTES, (row.type, row.physical_network, row.segmentation_id), strict=True))
    for name in segments.ATTRIBUTES:
        if name in changes and changes[name] != present[name]:
            raise InvalidError(
                f"{name} cannot be changed: it stays {present[name]}. Make another network and move the ports."
            )


def _mtu(write: Write, body: Mapping[str, object], network_type: str, physical_network: str | None) -> int:
    """The MTU of a network: as wished, at most what its underlay carries; 0 or none: exactly that."""
    largest = write.settings.mtu_of(network_type, physical_network)
    mtu = number_of(body, "mtu") or 0
    if mtu == 0:
        return largest
    if not SMALLEST_MTU[4] <= mtu <= largest:
        raise InvalidError(
            f"mtu: {mtu} is not possible; this {network_type} network can have {SMALLEST_MTU[4]} to {largest}."
        )
    return mtu


def _refuse_too_small(write: Write, network_id: str, mtu: int) -> None:
    subnet = tables.subnets.c
    query = select(subnet.id).where(subnet.network_id == network_id, subnet.ip_version == 6).limit(1)
    if mtu < SMALLEST_MTU[6] and (held := write.connection.execute(query).scalar()) is not None:
        raise ConflictError(
            f"mtu: {mtu} is too small for IPv6, which needs {SMALLEST_MTU[6]}; delete subnet {held} first.",
            kind="NetworkMTUSubnetConflict",
        )


def _refuse_unsharing(write: Write, row: Row[Any]) -> None:
    port = tables.ports.c
    foreign = select(func.count()).where(
        port.network_id == row.id, port.project_id != row.project_id, port.device_owner != DHCP_OWNER
    )
    count = write.connection.execute(foreign).scalar_one()
    if count:
        raise ConflictError(
            f"Unable to reconfigure sharing settings for network {row.id}: {count} ports on it belong to other "
            "projects. Delete them first.",
            kind="InvalidSharedSetting",
        )
