# SPDX-License-Identifier: Apache-2.0
"""Security groups: a project's own sets of rules, one of them, `default`, made by itself at the first use.

The default group allows everything out, and in from its own members; a new group allows everything out. Rules are in
`sdnctl.store.security_rules`; which ports are in a group, in `sdnctl.store.port_groups`. What others do with a group
they do under a lock that keeps it from being deleted and from becoming stateless (`Write.hold`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, or_, select, update

from sdnctl import runtime
from sdnctl.errors import ConflictError
from sdnctl.store import security_rules, tables
from sdnctl.store.bodies import list_of, listed, new_id, owner, refuse_unknown
from sdnctl.store.labels import delete_tags, insert_tags
from sdnctl.store.objects import SECURITY_GROUP, SECURITY_GROUP_RULE
from sdnctl.store.write import Write

DEFAULT: Final = "default"

_CHANGED: Final = frozenset({"name", "description", "stateful"})
_CREATED: Final = frozenset({*_CHANGED, "project_id", "tags"})
_ANY: Final = tuple({"direction": "egress", "ethertype": ethertype} for ethertype in ("IPv4", "IPv6"))
_group = tables.security_groups.c
_rule = tables.security_group_rules.c


def create(write: Write, bodies: Sequence[Mapping[str, object]]) -> list[str]:
    """Insert the groups, each with the rules that let everything out; their ids."""
    write.require_writer()
    for body in bodies:
        refuse_unknown(body, _CREATED)
        _refuse_default_name(body)
    projects = [owner(write, body) for body in bodies]
    for project_id in sorted(set(projects)):
        ensure_default(write, project_id)
    keys = write.keys(SECURITY_GROUP, len(bodies))
    return [
        _insert(write, project_id, key, body)
        for body, project_id, key in runtime.in_slices(zip(bodies, projects, keys, strict=True))
    ]


def change(write: Write, group_id: str, changes: Mapping[str, object], if_match: int | None) -> None:
    row = claim(write, group_id, if_match)
    refuse_unknown(changes, _CHANGED)
    if row.default_of is not None and changes.get("name", row.name) != row.name:
        raise ConflictError(
            f"name: security group {group_id} is the default group of its project and cannot be renamed; "
            "make another group.",
            kind="SecurityGroupCannotUpdateDefault",
        )
    if row.default_of is None:
        _refuse_default_name(changes)
    if changes.get("stateful", row.stateful) != row.stateful:
        _refuse_in_use(write, group_id, "stateful: ", "Take them out of it first, or make another group.")
    values = {name: value for name, value in changes.items() if value is not None}
    if values:
        write.connection.execute(update(tables.security_groups).where(_group.id == group_id).values(values))


def remove(write: Write, group_id: str, if_match: int | None) -> None:
    """Delete the group, its rules, and others' rules that let its members in: there are none of those any more."""
    row = claim(write, group_id, if_match)
    if row.default_of is not None and not write.ctx.is_admin:
        raise ConflictError(
            f"Security group {group_id} is the default group of its project and cannot be removed; "
            "delete its rules instead.",
            kind="SecurityGroupCannotRemoveDefault",
        )
    _refuse_in_use(write, group_id, "", "Take them out of it first.")
    _delete(write, group_id)


def claim(write: Write, group_id: str, if_match: int | None) -> Row[Any]:
    """The group's row, locked, which the caller may change."""
    return write.claim_own(SECURITY_GROUP, write.lock(tables.security_groups, group_id), group_id, if_match)


# --------------------------------------------------------------------------------------------------- the default group


def default_of(connection: Connection, project_id: str) -> str | None:
    """The id of the project's default group."""
    found: str | None = connection.execute(select(_group.id).where(_group.default_of == project_id)).scalar()
    return found


def ensure_default(write: Write, project_id: str) -> str:
    """The id of the project's default group, which is made if there is none yet, whoever asks."""
    query = select(_group.id).where(_group.default_of == project_id).with_for_update(read=True, key_share=True)
    present: str | None = write.connection.execute(query).scalar()
    if present is not None:
        return present
    [key] = write.keys(SECURITY_GROUP, 1)
    return _insert(write, project_id, key, {"name": DEFAULT, "description": "Default security group"}, is_default=True)


def remove_default(write: Write, project_id: str) -> None:
    """Delete the default group of a project that goes away."""
    group_id = default_of(write.connection, project_id)
    if group_id is not None and write.lock(tables.security_groups, group_id) is not None:
        write.track(SECURITY_GROUP, [group_id])
        _refuse_in_use(write, group_id, "", "Take them out of it first.")
        _delete(write, group_id)


# ------------------------------------------------------------------------------------------------------------- inside


def _insert(write: Write, project_id: str, key: int, body: Mapping[str, object], *, is_default: bool = False) -> str:
    group_id = new_id(write)
    write.created(SECURITY_GROUP, group_id)
    stateful = body.get("stateful")
    row = write.new(str(body.get("name", "")), str(body.get("description", ""))) | {
        "id": group_id,
        "key": key,
        "project_id": project_id,
        "stateful": True if stateful is None else stateful,
        "default_of": project_id if is_default else None,
        "tags": insert_tags(write, group_id, list_of(body, "tags")),
    }
    write.insert(tables.security_groups, [row])
    rules: list[dict[str, object]] = [dict(rule) for rule in _ANY]
    if is_default:
        rules += [{**rule, "direction": "ingress", "remote_group_id": group_id} for rule in _ANY]
    security_rules.insert(write, group_id, project_id, rules)
    return group_id


def _delete(write: Write, group_id: str) -> None:
    """Delete a tracked group that no port is in."""
    concerned = or_(_rule.security_group_id == group_id, _rule.remote_group_id == group_id)
    rules = write.connection.execute(select(_rule.id, _rule.security_group_id).where(concerned)).all()
    for other in sorted({row.security_group_id for row in rules} - {group_id}):
        write.lock(tables.security_groups, other)
        write.touch(SECURITY_GROUP, other)
    write.track(SECURITY_GROUP_RULE, [row.id for row in rules])
    write.connection.execute(delete(tables.security_group_rules).where(concerned))
    write.connection.execute(delete(tables.security_groups).where(_group.id == group_id))
    delete_tags(write, [group_id])


def _refuse_default_name(body: Mapping[str, object]) -> None:
    if str(body.get("name", "")).lower() == DEFAULT:
        raise ConflictError(
            "name: Default security group already exists; it is made by itself, so choose another name.",
            kind="SecurityGroupDefaultAlreadyExists",
        )


def _refuse_in_use(write: Write, group_id: str, where: str, remedy: str) -> None:
    member = tables.port_security_groups.c
    query = select(member.port_id).where(member.group_id == group_id).limit(6)
    if ports := list(write.connection.execute(query).scalars()):
        raise ConflictError(
            f"{where}Security Group {group_id} in use by ports {listed(ports)}. {remedy}", kind="SecurityGroupInUse"
        )
