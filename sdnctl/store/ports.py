# SPDX-License-Identifier: Apache-2.0
"""Ports: who may have one where, with which MAC and addresses, and what it may send.

A port belongs to its own project and is in the hands of the network's owner too. On a network of another project, which
must be shared, a port takes what it is given: addresses and pairs are that owner's to decide, and filters an admin's
(`port_filters`).

`status` and `bound_host` are not written here: they say what the hosts report, see `sdnctl.store.contents`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from netaddr import IPAddress
from sqlalchemy import Row, delete, update

from sdnctl import runtime
from sdnctl.errors import ConflictError, ForbiddenError
from sdnctl.model.port import DHCP_OWNER, PortStatus
from sdnctl.model.request import Object
from sdnctl.store import fixed_ips, ip_groups, port_groups, port_values, qos, ranges, tables
from sdnctl.store.bodies import list_of, new_id, owner, refuse_unknown, text_of
from sdnctl.store.fixed_ips import FixedIps
from sdnctl.store.labels import delete_tags, insert_tags
from sdnctl.store.objects import NETWORK, PORT, is_service
from sdnctl.store.space import Space
from sdnctl.store.write import Write, may_see_network, owns

_CHANGED: Final = frozenset({*port_values.ATTRIBUTES, "mac_address", "fixed_ips", "security_groups", "qos_policy_id"})
_CREATED: Final = frozenset({*_CHANGED, "project_id", "network_id", "tags"})
_SERVICE: Final = "network:"
_INSTANCES: Final = ("compute:", "baremetal:")
_CHANGED_ON_SERVICE: Final = frozenset({"name", "description"})
_port = tables.ports.c


def create(write: Write, bodies: Sequence[Mapping[str, object]]) -> list[str]:
    """Insert the ports; their ids."""
    write.require_writer()
    networks = write.lock_networks(str(body.get("network_id")) for body in bodies)
    for body in bodies:
        network = networks.get(str(body.get("network_id")))
        if network is None or not may_see_network(write.ctx, network):
            raise NETWORK.not_found(str(body.get("network_id")))
        refuse_unknown(body, _CREATED)
        _require_network_use(write, network)
        _require_own_network(write, network, body, {})
    qos.chosen(write, bodies)
    groups = port_groups.chosen(write, bodies, networks)
    spaces = {network_id: Space(write, network_id) for network_id in networks}
    for body in runtime.in_slices(bodies):
        _reserve_named(spaces[str(body["network_id"])], body)
    left = Counter(str(body["network_id"]) for body in bodies)
    rows: list[dict[str, object]] = []
    addresses: list[dict[str, object]] = []
    for body, own_groups in runtime.in_slices(zip(bodies, groups, strict=True)):
        network_id = str(body["network_id"])
        row, fixed = _new_row(write, networks[network_id], spaces[network_id], body, left[network_id])
        row["security_groups"] = own_groups
        left[network_id] -= 1
        rows.append(row)
        addresses += fixed
    insert_rows(write, rows, addresses)
    return [str(row["id"]) for row in rows]


def change(write: Write, port_id: str, changes: Mapping[str, object], if_match: int | None) -> None:
    network, port = claim(write, port_id, if_match)
    refuse_unknown(changes, _CHANGED)
    if port["device_owner"] == DHCP_OWNER and (fixed := sorted(set(changes) - _CHANGED_ON_SERVICE)):
        raise ConflictError(
            f"Port {port_id} is the DHCP server of network {network.id}: {', '.join(fixed)} cannot be changed; "
            "it follows enable_dhcp of the subnets.",
            kind="ServicePortInUse",
        )
    _require_own_network(write, network, changes, port)
    values = port_values.changed(write, network, port, changes)
    values.update(port_groups.changed(write, port, changes, values))
    values.update(qos.changed(write, text_of(port, "qos_policy_id"), changes))
    mac = str(port["mac_address"])
    space = Space(write, network.id)
    if "mac_address" in changes and port_values.mac(changes["mac_address"]) != mac:
        mac = port_values.mac(changes["mac_address"])
        space.claim_mac(mac, port_id)
        values["mac_address"] = mac
    if "fixed_ips" in changes or "mac_address" in values:
        present = {item["ip_address"]: item["subnet_id"] for item in list_of(port, "fixed_ips")}
        entries = _entries(space, list_of(changes if "fixed_ips" in changes else port, "fixed_ips"), present)
        port_values.refuse_too_many(write, entries)
        device_owner = str(values.get("device_owner", port["device_owner"]))
        wanted = fixed_ips.requested(
            space, entries, port_id=port_id, mac=mac, device_owner=device_owner, present=present
        )
        values["fixed_ips"] = move_addresses(write, network.id, port_id, present, wanted)
    if values:
        write.connection.execute(update(tables.ports).where(_port.id == port_id).values(values))


def remove(write: Write, port_id: str, if_match: int | None) -> None:
    _, port = claim(write, port_id, if_match)
    device_owner = str(port["device_owner"])
    if device_owner.startswith(_SERVICE):
        remedy = "disable DHCP on its subnets" if device_owner == DHCP_OWNER else "clear device_owner first"
        raise ConflictError(
            f"Port {port_id} cannot be deleted directly via the port API: has device owner {device_owner}; {remedy}.",
            kind="ServicePortInUse",
        )
    if device_owner.startswith(_INSTANCES) and not (write.ctx.is_admin or is_service(write.ctx)):
        raise ForbiddenError(
            f"Port {port_id} belongs to an instance (device_owner {device_owner}): detach it there, "
            "or clear device_owner first."
        )
    if port["is_service_port"]:
        write.track(NETWORK, (str(port["network_id"]),))
    delete_rows(write, [port_id])


def claim(write: Write, port_id: str, if_match: int | None) -> tuple[Row[Any], Object]:
    """The port's network, locked, and the port. Who sees it may change it: project, network's owner, services."""
    return write.claim_in_network(PORT, port_id, if_match)


# ----------------------------------------------------------------------------------- rows, for others that make ports


def insert_rows(write: Write, rows: list[dict[str, object]], addresses: list[dict[str, object]]) -> None:
    """Insert new ports, whose keys are given here, their addresses, and their places in their groups."""
    for row, key in zip(rows, write.keys(PORT, len(rows)), strict=True):
        row["key"] = key
        write.created(PORT, str(row["id"]))
    write.insert(tables.ports, rows)
    if addresses:
        write.insert(tables.addresses, addresses)
    port_groups.insert(write, rows)


def delete_rows(write: Write, ids: Sequence[str]) -> None:
    """Delete tracked ports with all they have."""
    write.connection.execute(delete(tables.addresses).where(tables.addresses.c.port_id.in_(ids)))
    port_groups.remove(write, ids)
    ip_groups.remove_ports(write, ids)
    write.connection.execute(delete(tables.ports).where(_port.id.in_(ids)))
    delete_tags(write, ids)


def move_addresses(
    write: Write, network_id: str, port_id: str, present: Mapping[str, str], wanted: FixedIps
) -> list[dict[str, str]]:
    """Let a port have the wanted addresses in place of the present ones; what its column `fixed_ips` must say."""
    address = tables.addresses.c
    gone = set(present).difference(text for _, text in wanted)
    if gone:
        write.connection.execute(
            delete(tables.addresses).where(address.network_id == network_id, address.address.in_(gone))
        )
    new = [(subnet, text) for subnet, text in wanted if text not in present]
    if new:
        write.insert(tables.addresses, address_rows(network_id, port_id, new))
    return shown(wanted)


def address_rows(network_id: str, port_id: str, fixed: FixedIps) -> list[dict[str, object]]:
    return [
        {
            "network_id": network_id,
            "address": text,
            "subnet_id": subnet.id,
            "position": ranges.position(int(IPAddress(text)), subnet.version),
            "port_id": port_id,
        }
        for subnet, text in fixed
    ]


def shown(fixed: FixedIps) -> list[dict[str, str]]:
    """What the column `fixed_ips` says."""
    return [{"subnet_id": subnet.id, "ip_address": text} for subnet, text in fixed]


# ---------------------------------------------------------------------------------------------------------- new ports


def _new_row(
    write: Write, network: Row[Any], space: Space, body: Mapping[str, object], left: int
) -> tuple[dict[str, object], list[dict[str, object]]]:
    """The row of a new port, and those of its addresses. So many are `left` to be made in its network."""
    port_id = new_id(write)
    given = text_of(body, "mac_address")
    mac = port_values.mac(given) if given is not None else space.free_mac(left)
    values = port_values.new(write, body, network=network, mac=mac)
    device_owner = str(values["device_owner"])
    if body.get("fixed_ips") is None:
        fixed = fixed_ips.default(space, mac, device_owner, left)
    else:
        entries = list_of(body, "fixed_ips")
        port_values.refuse_too_many(write, entries)
        fixed = fixed_ips.requested(space, entries, port_id=port_id, mac=mac, device_owner=device_owner, present={})
    for subnet, text in fixed:
        space.give(subnet, text, port_id)
    row = write.new(str(body.get("name", "")), str(body.get("description", ""))) | {
        **values,
        "id": port_id,
        "network_id": network.id,
        "project_id": owner(write, body),
        "mac_address": mac,
        "fixed_ips": shown(fixed),
        "status": PortStatus.DOWN.value,
        "bound_host": "",
        "qos_policy_id": body.get("qos_policy_id"),
        "tags": insert_tags(write, port_id, list_of(body, "tags")),
    }
    return row, address_rows(network.id, port_id, fixed)


def _reserve_named(space: Space, body: Mapping[str, object]) -> None:
    """Keep what a body names exactly from being drawn for another of the same request."""
    given = text_of(body, "mac_address")
    if given is not None:
        space.claim_mac(port_values.mac(given))
    for number, entry in enumerate(list_of(body, "fixed_ips")):
        if entry.get("ip_address"):
            address = ranges.parse_address(entry["ip_address"], f"fixed_ips[{number}].ip_address")
            subnet = space.subnet_of(address)
            if subnet is not None:
                subnet.reserve(str(address))


def _entries(space: Space, entries: Sequence[Mapping[str, object]], present: Mapping[str, str]) -> list[Object]:
    """The entries of a change, with automatic addresses left to follow the MAC."""
    answer: list[Object] = []
    for entry in entries:
        subnet = space.subnets.get(present.get(str(entry.get("ip_address")), ""))
        answer.append({"subnet_id": subnet.id} if subnet is not None and subnet.is_automatic else dict(entry))
    return answer


# ------------------------------------------------------------------------------------------------------------ who may


def _require_network_use(write: Write, network: Row[Any]) -> None:
    """The caller may have ports there."""
    if not (owns(write.ctx, network) or network.shared or is_service(write.ctx)):
        raise ForbiddenError(
            f"network_id: network {network.id} is not yours and not shared; ports there are not allowed."
        )


def _require_own_network(write: Write, network: Row[Any], body: Mapping[str, object], port: Object) -> None:
    """On another's network a port leaves to its owner what the network must be able to rely on."""
    if owns(write.ctx, network) or is_service(write.ctx):
        return
    present = {item["ip_address"] for item in list_of(port, "fixed_ips")}
    named = {item["ip_address"] for item in list_of(body, "fixed_ips") if item.get("ip_address")}
    reasons = {
        "mac_address": body.get("mac_address") not in (None, port.get("mac_address")),
        "fixed_ips.ip_address": bool(named - present),
        "allowed_address_pairs": list_of(body, "allowed_address_pairs") not in ([], port.get("allowed_address_pairs")),
        "device_owner": str(body.get("device_owner", "")).startswith(_SERVICE),
    }
    refused = [name for name, is_refused in reasons.items() if is_refused]
    if refused:
        raise ForbiddenError(
            f"{', '.join(refused)}: only the owner of network {network.id} may set this on its ports; leave it out."
        )
