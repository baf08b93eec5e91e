# SPDX-License-Identifier: Apache-2.0
"""The port that holds a network's DHCP server addresses: there is one exactly while an IPv4 subnet has DHCP on.

It has the lowest free pool address of each such subnet (one outside the pools when they are full or empty), belongs
to no project, so that it counts for nobody's quota, and is shown to the network's owner like every port there. It is
on every host at once and bound to none. IPv6 needs no such address: a DHCPv6 server answers from a link-local one.

`follow` is called after a network's subnets have changed, in the same transaction; nothing else touches the port.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, select, update

from sdnctl.errors import ConflictError
from sdnctl.model.port import DHCP_OWNER, PortStatus
from sdnctl.store import ports, tables
from sdnctl.store.bodies import new_id
from sdnctl.store.fixed_ips import FixedIps
from sdnctl.store.objects import PORT
from sdnctl.store.space import Space, SubnetSpace
from sdnctl.store.write import Write

_port = tables.ports.c


def follow(write: Write, network: Row[Any]) -> None:
    """Make, change or delete the DHCP port so that it fits the network's subnets."""
    space = Space(write, network.id)
    served = [subnet for subnet in space.subnets.values() if subnet.version == 4 and subnet.row.enable_dhcp]
    query = select(_port.id, _port.fixed_ips).where(_port.network_id == network.id, _port.device_owner == DHCP_OWNER)
    existing = write.connection.execute(query).first()
    if existing is None:
        if served:
            _create(write, network, space, served)
        return
    write.track(PORT, [existing.id])
    if not served:
        ports.delete_rows(write, [existing.id])
        return
    present = {item["ip_address"]: item["subnet_id"] for item in existing.fixed_ips}
    wanted = _wanted(served, {subnet_id: address for address, subnet_id in present.items()})
    if {address for _, address in wanted} != set(present):
        column = ports.move_addresses(write, network.id, existing.id, present, wanted)
        write.connection.execute(update(tables.ports).where(_port.id == existing.id).values(fixed_ips=column))


def _create(write: Write, network: Row[Any], space: Space, served: list[SubnetSpace]) -> None:
    port_id = new_id(write)
    wanted = _wanted(served, {})
    row = write.new("") | {
        "id": port_id,
        "network_id": network.id,
        "project_id": "",
        "mac_address": space.free_mac(1),
        "fixed_ips": ports.shown(wanted),
        "admin_state_up": True,
        "status": PortStatus.ACTIVE.value,
        "bound_host": "",
        "device_id": f"dhcp-{network.id}",
        "device_owner": DHCP_OWNER,
        "port_security_enabled": True,
        "allowed_address_pairs": [],
        "extra_dhcp_opts": [],
        "dns_name": "",
        "dns_domain": "",
        "binding_host": "",
        "binding_profile": {},
        "vnic_type": "normal",
        "plug_host": None,
        "plug_type": None,
        "plug_interface": None,
        "security_groups": [],
        "qos_policy_id": None,
    }
    ports.insert_rows(write, [row], ports.address_rows(network.id, port_id, wanted))


def _wanted(served: list[SubnetSpace], present: dict[str, str]) -> FixedIps:
    """One address of each subnet: the present one, or else the lowest free one."""
    wanted: FixedIps = []
    for subnet in served:
        address = present.get(subnet.id) or subnet.lowest()
        if address is None:
            raise ConflictError(
                f"enable_dhcp: subnet {subnet.network} has no free address for its DHCP server; "
                "free one, or disable DHCP.",
                kind="IpAddressGenerationFailure",
            )
        wanted.append((subnet, address))
    return wanted
