# SPDX-License-Identifier: Apache-2.0
"""IP groups: addresses that several ports may send from, one of which holds it.

The address is taken from the network's space like a port's, under the same unique key. Who may have ports on a network
may have groups there; to choose the address, or to run VRRP, is for the network's owner. Members are the caller's own
ports, or an admin's choice; a port that is deleted drops out, and what was pinned to it is `auto` again.

`holder` follows announcements (`moved`), is the pinned member while one is pinned, and is null when its port is gone:
the next one that announces the address has it then.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from netaddr import IPAddress, IPNetwork
from sqlalchemy import Row, delete, select, update

from sdnctl.errors import ConflictError, ForbiddenError, InvalidError
from sdnctl.model.request import Object
from sdnctl.store import ranges, tables
from sdnctl.store.bodies import list_of, listed, new_id, owner, refuse_unknown, text_of
from sdnctl.store.fixed_ips import exhausted, refuse_unfit
from sdnctl.store.labels import delete_tags, insert_tags
from sdnctl.store.objects import IP_GROUP, NETWORK, PORT, is_service
from sdnctl.store.space import Space, SubnetSpace
from sdnctl.store.write import Write, may_see_network, owns

AUTO: Final = "auto"
MOST_MEMBERS: Final = 256

_CHANGED: Final = frozenset({"name", "description", "port_ids", "active", "vrrp"})
_CREATED: Final = frozenset({*_CHANGED, "project_id", "network_id", "ip_address", "tags"})
_SERVICE: Final = "network:"
_LINK_LOCAL: Final = IPNetwork("fe80::/10")
_group = tables.ip_groups.c
_member = tables.ip_group_members.c
_port = tables.ports.c
_address = tables.addresses.c


def create(write: Write, bodies: Sequence[Mapping[str, object]]) -> list[str]:
    """Insert the groups; their ids."""
    write.require_writer()
    networks = write.lock_networks(str(body.get("network_id")) for body in bodies)
    for body in bodies:
        network = networks.get(str(body.get("network_id")))
        if network is None or not may_see_network(write.ctx, network):
            raise NETWORK.not_found(str(body.get("network_id")))
        refuse_unknown(body, _CREATED)
        _require_network(write, network, body)
    members = [_members(write, networks[str(body["network_id"])], list_of(body, "port_ids"), ()) for body in bodies]
    spaces = {network_id: Space(write, network_id) for network_id in networks}
    for body in bodies:
        _reserve_named(spaces[str(body["network_id"])], body)
    keys = write.keys(IP_GROUP, len(bodies))
    return [
        _insert(write, spaces[str(body["network_id"])], body, port_ids, key)
        for body, port_ids, key in zip(bodies, members, keys, strict=True)
    ]


def change(write: Write, group_id: str, changes: Mapping[str, object], if_match: int | None) -> None:
    network, group = claim(write, group_id, if_match)
    refuse_unknown(changes, _CHANGED)
    if changes.get("vrrp", group["vrrp"]) != group["vrrp"]:
        _require_network(write, network, changes)
    present = [str(port_id) for port_id in list_of(group, "port_ids")]
    members = _members(write, network, list_of(changes, "port_ids"), present) if "port_ids" in changes else present
    active = str(changes.get("active", group["active"]))
    _refuse_stranger(active, members)
    values = {name: value for name, value in changes.items() if name in {"name", "description", "vrrp"}}
    values |= {"active": active, "port_ids": members}
    holder = _holder(active, members, text_of(group, "holder"))
    values["holder"] = holder
    if holder != group["holder"] or not changes.get("vrrp", group["vrrp"]):
        values["virtual_mac"] = None
    write.connection.execute(update(tables.ip_groups).where(_group.id == group_id).values(values))
    gone, added = set(present).difference(members), set(members).difference(present)
    if gone:
        write.connection.execute(
            delete(tables.ip_group_members).where(_member.group_id == group_id, _member.port_id.in_(gone))
        )
    _insert_members(write, group_id, sorted(added))


def remove(write: Write, group_id: str, if_match: int | None) -> None:
    claim(write, group_id, if_match)
    write.connection.execute(delete(tables.ip_group_members).where(_member.group_id == group_id))
    write.connection.execute(delete(tables.addresses).where(_address.ip_group_id == group_id))
    write.connection.execute(delete(tables.ip_groups).where(_group.id == group_id))
    delete_tags(write, [group_id])


def claim(write: Write, group_id: str, if_match: int | None) -> tuple[Row[Any], Object]:
    """The group's network, locked, and the group. Who sees it may change it: project, network's owner, services."""
    return write.claim_in_network(IP_GROUP, group_id, if_match)


def moved(write: Write, group_id: str, port_id: str | None, virtual_mac: str | None) -> bool:
    """A member announced the address (or it cannot be told which one has it); whether that changes who holds it."""
    network_id = write.connection.execute(select(_group.network_id).where(_group.id == group_id)).scalar()
    if network_id is None:
        return False
    write.lock_networks((network_id,))
    row = write.connection.execute(select(tables.ip_groups).where(_group.id == group_id)).first()
    if row is None or row.active not in (AUTO, port_id) or port_id not in (None, *row.port_ids):
        return False
    values = {"holder": port_id, "virtual_mac": virtual_mac if row.vrrp and port_id is not None else None}
    if values == {"holder": row.holder, "virtual_mac": row.virtual_mac}:
        return False
    write.track(IP_GROUP, (group_id,))
    write.connection.execute(update(tables.ip_groups).where(_group.id == group_id).values(values))
    return True


# ------------------------------------------------------------------------------------- what becomes of what it hangs on


def remove_ports(write: Write, ids: Sequence[str]) -> None:
    """Take ports that are about to be deleted out of their groups."""
    query = select(tables.ip_groups).join(tables.ip_group_members, _member.group_id == _group.id)
    groups = write.connection.execute(query.where(_member.port_id.in_(ids)).order_by(_group.id).distinct()).all()
    write.track(IP_GROUP, [row.id for row in groups])
    for row in groups:
        members = [port_id for port_id in row.port_ids if port_id not in ids]
        active = AUTO if row.active in ids else row.active
        values: dict[str, object] = {"port_ids": members, "active": active}
        if row.holder in ids:
            values |= {"holder": None, "virtual_mac": None}
        write.connection.execute(update(tables.ip_groups).where(_group.id == row.id).values(values))
    if groups:
        write.connection.execute(delete(tables.ip_group_members).where(_member.port_id.in_(ids)))


def refuse_in_network(write: Write, network_id: str) -> None:
    """A network with IP groups is in use."""
    groups = list(write.connection.execute(select(_group.id).where(_group.network_id == network_id).limit(6)).scalars())
    if groups:
        raise ConflictError(
            f"Unable to complete operation on network {network_id}. There are one or more IP groups still in use on "
            f"the network: {listed(groups)}. Delete them first.",
            kind="NetworkInUse",
        )


def refuse_in_subnet(write: Write, subnet_id: str) -> None:
    """A subnet of which an IP group has its address is in use."""
    query = select(_address.ip_group_id).where(_address.subnet_id == subnet_id, _address.ip_group_id.is_not(None))
    groups = list(write.connection.execute(query.limit(6)).scalars())
    if groups:
        raise ConflictError(
            f"Unable to complete operation on subnet {subnet_id}: One or more IP groups have their address in this "
            f"subnet: {listed(groups)}. Delete them first.",
            kind="SubnetInUse",
        )


def refuse_gateway(write: Write, network_id: str, subnet_id: str, gateway: object) -> None:
    """A gateway that is an IP group's address would be nobody's."""
    query = select(_address.ip_group_id).where(_address.network_id == network_id, _address.address == gateway)
    group_id = write.connection.execute(query).scalar()
    if group_id is not None:
        raise ConflictError(
            f"gateway_ip: {gateway} is the address of IP group {group_id} (subnet {subnet_id}); take another.",
            kind="IpAddressAlreadyAllocated",
        )


def adopt(write: Write, network_id: str, subnet: SubnetSpace) -> None:
    """Addresses that IP groups had before there was a subnet are in the new one, if it has them."""
    query = select(_address.address, _address.ip_group_id)
    rows = write.connection.execute(query.where(_address.network_id == network_id, _address.subnet_id.is_(None)))
    for row in rows.all():
        address = IPAddress(row.address)
        if address.version != subnet.version or not subnet.contains(int(address)):
            continue
        _refuse_unfit(subnet, row.address, f"cidr: the address of IP group {row.ip_group_id},")
        write.connection.execute(
            update(tables.addresses)
            .where(_address.network_id == network_id, _address.address == row.address)
            .values(subnet_id=subnet.id, position=ranges.position(int(address), subnet.version))
        )


# ------------------------------------------------------------------------------------------------------------- inside


def _insert(write: Write, space: Space, body: Mapping[str, object], members: Sequence[str], key: int) -> str:
    subnet, address = _chosen(space, body)
    active = str(body.get("active") or AUTO)
    _refuse_stranger(active, members)
    group_id = new_id(write)
    write.created(IP_GROUP, group_id)
    row = write.new(str(body.get("name", "")), str(body.get("description", ""))) | {
        "id": group_id,
        "key": key,
        "network_id": space.network_id,
        "project_id": owner(write, body),
        "ip_address": address,
        "port_ids": members,
        "active": active,
        "vrrp": bool(body.get("vrrp", False)),
        "holder": _holder(active, members, None),
        "virtual_mac": None,
        "tags": insert_tags(write, group_id, list_of(body, "tags")),
    }
    write.insert(tables.ip_groups, [row])
    position = 0 if subnet is None else ranges.position(int(IPAddress(address)), subnet.version)
    place: dict[str, object] = {"network_id": space.network_id, "address": address, "position": position}
    place |= {"subnet_id": None if subnet is None else subnet.id, "port_id": None, "ip_group_id": group_id}
    write.insert(tables.addresses, [place])
    _insert_members(write, group_id, members)
    return group_id


def _insert_members(write: Write, group_id: str, members: Sequence[str]) -> None:
    if members:
        write.insert(tables.ip_group_members, [{"group_id": group_id, "port_id": port_id} for port_id in members])


def _members(write: Write, network: Row[Any], wanted: Sequence[object], present: Collection[str]) -> list[str]:
    """The members' ids, sorted. Those that the group has not yet must be the caller's, and on its network."""
    members = sorted({str(port_id) for port_id in wanted})
    if len(members) > MOST_MEMBERS:
        raise InvalidError(f"port_ids: {len(members)} are too many; an IP group has at most {MOST_MEMBERS} members.")
    added = write.hold(PORT, set(members).difference(present))
    query = select(tables.ports).where(_port.id.in_(added)).order_by(_port.id)
    for row in write.connection.execute(query) if added else ():
        if row.network_id != network.id:
            raise InvalidError(
                f"port_ids: port {row.id} is on network {row.network_id}; members are ports of network {network.id}."
            )
        if row.device_owner.startswith(_SERVICE):
            raise InvalidError(
                f"port_ids: port {row.id} with device_owner {row.device_owner} is the network's own; leave it out."
            )
        if not owns(write.ctx, row):
            raise ForbiddenError(
                f"port_ids: port {row.id} belongs to another project; only an admin may make it a member."
            )
    return members


def _refuse_stranger(active: str, members: Collection[str]) -> None:
    if active != AUTO and active not in members:
        raise InvalidError(f"active: {active} is not among port_ids ({listed(members)}); give one of them, or {AUTO}.")


def _holder(active: str, members: Collection[str], present: str | None) -> str | None:
    if active != AUTO:
        return active
    return present if present in members else None


def _reserve_named(space: Space, body: Mapping[str, object]) -> None:
    """Keep what a body names exactly from being drawn for another of the same request."""
    given = text_of(body, "ip_address")
    if given is not None:
        address = ranges.parse_address(given, "ip_address")
        subnet = space.subnet_of(address)
        if subnet is not None:
            subnet.reserve(str(address))


def _chosen(space: Space, body: Mapping[str, object]) -> tuple[SubnetSpace | None, str]:
    """The address of a new group, and the subnet it is in."""
    given = text_of(body, "ip_address")
    if given is None:
        return _free(space)
    address = ranges.parse_address(given, "ip_address")
    text = str(address)
    holder = space.holders((text,)).get(text)
    if holder is not None:
        raise ConflictError(
            f"ip_address: {text} already belongs to {holder.kind} {holder.id} of network {space.network_id}; "
            "choose another, or leave it out to get a free one.",
            kind="IpAddressAlreadyAllocated",
        )
    if address in _LINK_LOCAL:
        if _is_of_a_mac(int(address)):
            raise InvalidError(
                f"ip_address: {text} is the link-local address that follows from a MAC address; choose another."
            )
        return None, text
    subnet = space.subnet_of(address)
    if subnet is None:
        _refuse_outside(space, address)
        return None, text
    _refuse_unfit(subnet, text, "ip_address:")
    return subnet, text


def _free(space: Space) -> tuple[SubnetSpace, str]:
    """A free address of the first subnet, IPv4 before IPv6, that has one for everybody."""
    subnets = [subnet for subnet in space.subnets.values() if not subnet.is_automatic and not subnet.service_types]
    subnets.sort(key=lambda subnet: subnet.version)
    for subnet in subnets:
        found = subnet.take(1)
        if found is not None:
            return subnet, found
    if not subnets:
        raise InvalidError(
            f"ip_address: network {space.network_id} has no subnet to take an address of; name one, or add a subnet."
        )
    raise exhausted(space, subnets)


def _refuse_outside(space: Space, address: IPAddress) -> None:
    """An address of no subnet: where there are subnets that is wrong, and some are no station's anywhere."""
    if space.subnets:
        known = ", ".join(str(subnet.network) for subnet in space.subnets.values())
        raise InvalidError(
            f"ip_address: {address} is in no subnet of network {space.network_id}; give one of {known}.",
            kind="InvalidIpForNetwork",
        )
    is_low = int(address) >> 24 == 0 if address.version == 4 else int(address) == 0
    if is_low or address.is_multicast() or address.is_loopback() or (address.version == 4 and address.is_reserved()):
        raise InvalidError(f"ip_address: {address} is no station's address; give a unicast one.")


def _refuse_unfit(subnet: SubnetSpace, text: str, where: str) -> None:
    """Addresses of a subnet that mean something else there."""
    refuse_unfit(subnet, text, where)
    if text == subnet.row.gateway_ip:
        raise InvalidError(f"{where} {text} is the gateway of subnet {subnet.id}; give another.")
    if subnet.is_automatic and _is_of_a_mac(int(IPAddress(text))):
        raise InvalidError(
            f"{where} {text} in subnet {subnet.id} follows from a MAC address and may become a port's; choose another."
        )


def _is_of_a_mac(value: int) -> bool:
    """An interface identifier made of a MAC address (modified EUI-64)."""
    return value >> 24 & 0xFFFF == 0xFFFE


def _require_network(write: Write, network: Row[Any], body: Mapping[str, object]) -> None:
    """The caller may have groups there, and on another's network leaves to its owner what is the owner's."""
    if owns(write.ctx, network) or is_service(write.ctx):
        return
    if not network.shared:
        raise ForbiddenError(
            f"network_id: network {network.id} is not yours and not shared; IP groups there are not allowed."
        )
    refused = [name for name in ("ip_address", "vrrp") if body.get(name) not in (None, False)]
    if refused:
        raise ForbiddenError(
            f"{', '.join(refused)}: only the owner of network {network.id} may set this on IP groups there; "
            "leave it out."
        )
