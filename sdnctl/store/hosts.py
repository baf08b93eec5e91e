# SPDX-License-Identifier: Apache-2.0
"""Hosts: which machines we control. Only admins see them.

A host's name is what ports are bound and plugged to, so it never changes. Deleting a host leaves its ports unbound; a
port that sdnctl itself has plugged there has to be unplugged first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import ColumnElement, delete, select, update

from sdnctl.errors import ConflictError, ForbiddenError
from sdnctl.model.request import Object
from sdnctl.store import tables
from sdnctl.store.bodies import list_of, listed, new_id, refuse_unknown, text_of
from sdnctl.store.labels import delete_tags, insert_tags
from sdnctl.store.objects import HOST
from sdnctl.store.ranges import parse_address
from sdnctl.store.write import Write

_PLAIN: Final[Mapping[str, object]] = {
    "description": "",
    "ovsdb": "",
    "bridge": "br-int",
    "datapath_type": "system",
    "gateway": False,
}
_CHANGED: Final = frozenset({*_PLAIN, "tunnel_ip", "bridge_mappings", "controllers"})
_CREATED: Final = frozenset({*_CHANGED, "name", "tags"})
_host = tables.hosts.c


def create(write: Write, bodies: Sequence[Mapping[str, object]]) -> list[str]:
    """Insert the hosts; their ids."""
    if not write.ctx.is_admin:
        raise ForbiddenError("Hosts are an admin's to add.")
    ids = []
    for body, key in zip(bodies, write.keys(HOST, len(bodies)), strict=True):
        refuse_unknown(body, _CREATED)
        host_id = new_id(write)
        values = {**_PLAIN, "tunnel_ip": None, "bridge_mappings": {}, "controllers": [], **_columns(body)}
        name = str(body.get("name", ""))
        _refuse_taken(write, host_id, {"name": name, **values})
        write.created(HOST, host_id)
        row = write.new(name) | values | {"id": host_id, "key": key}
        row["tags"] = insert_tags(write, host_id, list_of(body, "tags"))
        write.insert(tables.hosts, [row])
        ids.append(host_id)
    return ids


def change(write: Write, host_id: str, changes: Mapping[str, object], if_match: int | None) -> None:
    host = claim(write, host_id, if_match)
    refuse_unknown(changes, _CHANGED)
    values = _columns(changes)
    if values:
        merged = {name: host[name] for name in ("name", "ovsdb", "bridge", "tunnel_ip")}
        _refuse_taken(write, host_id, merged | values)
        write.connection.execute(update(tables.hosts).where(_host.id == host_id).values(values))


def remove(write: Write, host_id: str, if_match: int | None) -> None:
    host = claim(write, host_id, if_match)
    plugged = write.connection.execute(
        select(tables.ports.c.id).where(tables.ports.c.plug_host == host["name"]).limit(6)
    )
    if ids := list(plugged.scalars()):
        raise ConflictError(
            f"Host {host['name']} cannot be removed: ports are plugged into it: {listed(ids)}. Unplug them first.",
            kind="HostInUse",
        )
    write.connection.execute(delete(tables.hosts).where(_host.id == host_id))
    delete_tags(write, [host_id])


def claim(write: Write, host_id: str, if_match: int | None) -> Object:
    """The host, locked."""
    write.lock(tables.hosts, host_id)
    return write.see(HOST, host_id, if_match)


def _columns(body: Mapping[str, object]) -> dict[str, object]:
    """The columns that a body sets; null means the default."""
    values = {name: default if body[name] is None else body[name] for name, default in _PLAIN.items() if name in body}
    if "tunnel_ip" in body:
        address = text_of(body, "tunnel_ip")
        values["tunnel_ip"] = None if address is None else str(parse_address(address, "tunnel_ip"))
    if "bridge_mappings" in body:
        mappings = body["bridge_mappings"]
        values["bridge_mappings"] = dict(sorted(mappings.items())) if isinstance(mappings, Mapping) else {}
    if "controllers" in body:
        values["controllers"] = list_of(body, "controllers")
    return values


def _refuse_taken(write: Write, host_id: str, host: Mapping[str, object]) -> None:
    """Two hosts are never the same machine: not by name, not by bridge, not by tunnel address."""

    def holder(*conditions: ColumnElement[bool]) -> str | None:
        query = select(_host.name).where(_host.id != host_id, *conditions)
        name: str | None = write.connection.execute(query).scalar()
        return name

    if holder(_host.name == host["name"]) is not None:
        raise ConflictError(f"name: there is a host {host['name']} already; choose another.", kind="HostNameInUse")
    if (other := holder(_host.ovsdb == host["ovsdb"], _host.bridge == host["bridge"])) is not None:
        raise ConflictError(
            f"ovsdb: bridge {host['bridge']} at {host['ovsdb']} is host {other} already; name another.",
            kind="HostBridgeInUse",
        )
    if host["tunnel_ip"] is None:
        return
    if (other := holder(_host.tunnel_ip == host["tunnel_ip"])) is not None:
        raise ConflictError(
            f"tunnel_ip: {host['tunnel_ip']} belongs to host {other}; every host needs its own.", kind="TunnelIpInUse"
        )
