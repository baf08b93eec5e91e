# SPDX-License-Identifier: Apache-2.0
"""Subnets: ranges that do not overlap inside their network, with a gateway and pools that fit.

A subnet is part of its network: only the network's owner (or an admin) makes one, every change of it is a change of the
network, and the network's DHCP port follows. A subnet whose stations choose their own addresses gives one to every port
that the network has already, and takes them back when it is deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, delete, select, update

from sdnctl import runtime
from sdnctl.errors import ConflictError, ForbiddenError
from sdnctl.model.port import DHCP_OWNER
from sdnctl.model.request import Object
from sdnctl.store import dhcp_port, ip_groups, ports, subnet_values, tables
from sdnctl.store.bodies import list_of, listed, new_id, owner, refuse_unknown
from sdnctl.store.labels import delete_tags, insert_tags
from sdnctl.store.networks import SMALLEST_MTU
from sdnctl.store.objects import NETWORK, PORT, SUBNET
from sdnctl.store.space import Space
from sdnctl.store.write import Write, may_see_network, owns

_CREATED: Final = frozenset({*subnet_values.CREATED, "project_id", "network_id", "tags"})
_subnet = tables.subnets.c
_address = tables.addresses.c
_port = tables.ports.c


def create(write: Write, bodies: Sequence[Mapping[str, object]]) -> list[str]:
    """Insert the subnets; their ids."""
    write.require_writer()
    networks = write.lock_networks(str(body.get("network_id")) for body in bodies)
    ids = []
    for body in bodies:
        network = networks.get(str(body.get("network_id")))
        if network is None or not may_see_network(write.ctx, network):
            raise NETWORK.not_found(str(body.get("network_id")))
        if not owns(write.ctx, network):
            raise ForbiddenError(
                f"network_id: network {network.id} belongs to another project; only that may add subnets."
            )
        refuse_unknown(body, _CREATED)
        ids.append(_create(write, network, body))
    return ids


def change(write: Write, subnet_id: str, changes: Mapping[str, object], if_match: int | None) -> None:
    network, subnet = claim(write, subnet_id, if_match)
    refuse_unknown(changes, subnet_values.CHANGED)
    values = subnet_values.changed(write.settings, subnet, changes)
    if not values:
        return
    write.hangs((NETWORK, network.id), (SUBNET, subnet_id))
    if "gateway_ip" in values:
        _refuse_dhcp_address(write, network, subnet_id, values["gateway_ip"])
        ip_groups.refuse_gateway(write, network.id, subnet_id, values["gateway_ip"])
    write.connection.execute(update(tables.subnets).where(_subnet.id == subnet_id).values(values))
    if "enable_dhcp" in values:
        dhcp_port.follow(write, network)


def remove(write: Write, subnet_id: str, if_match: int | None) -> None:
    network, _ = claim(write, subnet_id, if_match)
    ip_groups.refuse_in_subnet(write, subnet_id)
    write.touch(NETWORK, network.id)
    is_automatic = Space(write, network.id).subnets[subnet_id].is_automatic
    holders = write.connection.execute(
        select(_port.id, _port.device_owner, _port.fixed_ips)
        .join(tables.addresses, _address.port_id == _port.id)
        .where(_address.subnet_id == subnet_id)
        .distinct()
    ).all()
    if not is_automatic:
        _refuse_in_use(subnet_id, [row.id for row in holders if row.device_owner != DHCP_OWNER])
    write.track(PORT, [row.id for row in holders])
    write.connection.execute(delete(tables.addresses).where(_address.subnet_id == subnet_id))
    for row in runtime.in_slices(holders):
        left = [item for item in row.fixed_ips if item["subnet_id"] != subnet_id]
        write.connection.execute(update(tables.ports).where(_port.id == row.id).values(fixed_ips=left))
    write.connection.execute(delete(tables.subnets).where(_subnet.id == subnet_id))
    delete_tags(write, [subnet_id])
    dhcp_port.follow(write, network)


def claim(write: Write, subnet_id: str, if_match: int | None) -> tuple[Row[Any], Object]:
    """The subnet's network, locked, and the subnet, which the caller may change."""
    network, subnet = write.claim_in_network(SUBNET, subnet_id, if_match)
    ctx = write.ctx
    if not (owns(ctx, network) or (ctx.project_id and subnet["project_id"] == ctx.project_id)):
        raise ForbiddenError(f"Subnet {subnet_id} belongs to another project; only that project may change it.")
    return network, subnet


def _create(write: Write, network: Row[Any], body: Mapping[str, object]) -> str:
    space = Space(write, network.id)
    others = [(subnet.id, subnet.network) for subnet in space.subnets.values()]
    values = subnet_values.new(write.settings, body, others)
    if values["ip_version"] == 6 and network.mtu < SMALLEST_MTU[6]:
        raise ConflictError(
            f"cidr: IPv6 needs an MTU of {SMALLEST_MTU[6]}, and network {network.id} has {network.mtu}; raise that.",
            kind="NetworkMTUSubnetConflict",
        )
    write.touch(NETWORK, network.id)
    subnet_id = new_id(write)
    write.created(SUBNET, subnet_id)
    row = write.new(str(body.get("name", "")), str(body.get("description", ""))) | {
        **values,
        "id": subnet_id,
        "network_id": network.id,
        "project_id": owner(write, body),
        "number": max((subnet.row.number for subnet in space.subnets.values()), default=0) + 1,
        "tags": insert_tags(write, subnet_id, list_of(body, "tags")),
    }
    write.insert(tables.subnets, [row])
    ip_groups.adopt(write, network.id, Space(write, network.id).subnets[subnet_id])
    dhcp_port.follow(write, network)
    _add_automatic(write, network.id, subnet_id)
    return subnet_id


def _add_automatic(write: Write, network_id: str, subnet_id: str) -> None:
    """Give every port of the network its address in a new subnet whose stations choose their own."""
    subnet = Space(write, network_id).subnets[subnet_id]
    if not subnet.is_automatic:
        return
    query = select(_port.id, _port.mac_address, _port.device_owner, _port.fixed_ips)
    rows = write.connection.execute(query.where(_port.network_id == network_id, _port.device_owner != DHCP_OWNER)).all()
    rows = [row for row in rows if not subnet.service_types or row.device_owner in subnet.service_types]
    write.track(PORT, [row.id for row in rows])
    addresses: list[dict[str, object]] = []
    for row in runtime.in_slices(rows):
        fixed = [(subnet, subnet.automatic(row.mac_address))]
        addresses += ports.address_rows(network_id, row.id, fixed)
        column = row.fixed_ips + ports.shown(fixed)
        write.connection.execute(update(tables.ports).where(_port.id == row.id).values(fixed_ips=column))
    if addresses:
        write.insert(tables.addresses, addresses)


def _refuse_dhcp_address(write: Write, network: Row[Any], subnet_id: str, gateway: object) -> None:
    """A gateway that is the DHCP server's address would make guests' next hop a responder."""
    query = select(_port.id).join(tables.addresses, _address.port_id == _port.id)
    condition = (_address.network_id == network.id, _address.address == gateway, _port.device_owner == DHCP_OWNER)
    holder = write.connection.execute(query.where(*condition)).scalar()
    if holder is not None:
        raise ConflictError(
            f"gateway_ip: {gateway} is the DHCP server's address in subnet {subnet_id} (port {holder}); take another.",
            kind="IpAddressAlreadyAllocated",
        )


def _refuse_in_use(subnet_id: str, holders: Sequence[str]) -> None:
    if holders:
        raise ConflictError(
            f"Unable to complete operation on subnet {subnet_id}: One or more ports have an IP allocation from this "
            f"subnet: {listed(holders)}. Delete them or take their addresses away.",
            kind="SubnetInUse",
        )
