# SPDX-License-Identifier: Apache-2.0
"""Which security groups a port is in: those it names, its project's default group if it names none, or no group.

A port without port security cannot have any: addresses that anybody may use are nothing to filter by. Neither can a
port of the network itself (`network:*`), which is no workload.

The groups stand in the port's own row and in a table; only this module writes the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, delete

from sdnctl.errors import ConflictError, InvalidError
from sdnctl.model.request import Object
from sdnctl.store import security_groups, tables
from sdnctl.store.bodies import list_of, owner
from sdnctl.store.objects import SECURITY_GROUP
from sdnctl.store.write import Write

_SERVICE: Final = "network:"
_member = tables.port_security_groups.c


def chosen(write: Write, bodies: Sequence[Mapping[str, object]], networks: Mapping[str, Row[Any]]) -> list[list[str]]:
    """The groups of new ports, which nobody deletes until the commit."""
    named = write.hold(SECURITY_GROUP, (str(group) for body in bodies for group in list_of(body, "security_groups")))
    known = set(named)
    defaults: dict[str, str] = {}
    answer: list[list[str]] = []
    for body in bodies:
        enabled = body.get("port_security_enabled")
        if enabled is None:
            enabled = networks[str(body["network_id"])].port_security_enabled
        device_owner = str(body.get("device_owner") or "")
        wanted = sorted(known.intersection(map(str, list_of(body, "security_groups"))))
        if body.get("security_groups") is None and enabled and not device_owner.startswith(_SERVICE):
            project_id = owner(write, body)
            if project_id not in defaults:
                defaults[project_id] = security_groups.ensure_default(write, project_id)
            wanted = [defaults[project_id]]
        _refuse(wanted, device_owner, is_enabled=bool(enabled), is_named=True)
        answer.append(wanted)
    return answer


def changed(
    write: Write, port: Object, changes: Mapping[str, object], values: Mapping[str, object]
) -> dict[str, object]:
    """The column of a port whose groups change. `values` are its other columns that do."""
    present = [str(group) for group in list_of(port, "security_groups")]
    is_named = "security_groups" in changes
    wanted = sorted(set(map(str, list_of(changes, "security_groups")))) if is_named else present
    device_owner = str(values.get("device_owner", port["device_owner"]))
    enabled = bool(values.get("port_security_enabled", port["port_security_enabled"]))
    _refuse(wanted, device_owner, is_enabled=enabled, is_named=is_named)
    if wanted == present:
        return {}
    # What it has already may be another project's, which the caller does not see.
    added = write.hold(SECURITY_GROUP, set(wanted).difference(present))
    port_id = str(port["id"])
    gone = set(present).difference(wanted)
    if gone:
        write.connection.execute(
            delete(tables.port_security_groups).where(_member.port_id == port_id, _member.group_id.in_(gone))
        )
    if added:
        write.insert(tables.port_security_groups, [{"port_id": port_id, "group_id": group} for group in added])
    return {"security_groups": wanted}


def insert(write: Write, rows: Sequence[Mapping[str, object]]) -> None:
    """Put new ports, whose rows are there, into the groups that their column names."""
    places: list[dict[str, object]] = [
        {"port_id": row["id"], "group_id": group} for row in rows for group in list_of(row, "security_groups")
    ]
    if places:
        write.insert(tables.port_security_groups, places)


def remove(write: Write, ids: Sequence[str]) -> None:
    """Take ports that are about to be deleted out of their groups."""
    write.connection.execute(delete(tables.port_security_groups).where(_member.port_id.in_(ids)))


def _refuse(wanted: Sequence[str], device_owner: str, *, is_enabled: bool, is_named: bool) -> None:
    if not wanted:
        return
    if not is_enabled and is_named:
        raise ConflictError(
            "security_groups: port security must be enabled in order to use security groups; "
            "set port_security_enabled, or send an empty list.",
            kind="PortSecurityAndIPRequiredForSecurityGroups",
        )
    if not is_enabled:
        raise ConflictError(
            f"port_security_enabled: the port has security groups ({', '.join(wanted)}), which need it; "
            "send security_groups: [] with it.",
            kind="PortSecurityPortHasSecurityGroup",
        )
    if device_owner.startswith(_SERVICE):
        raise InvalidError(
            f"security_groups: a port with device_owner {device_owner} is the network's own and not filtered; "
            "send an empty list."
        )
