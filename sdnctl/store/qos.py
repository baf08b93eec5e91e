# SPDX-License-Identifier: Apache-2.0
"""QoS policies and their rules: a policy has each type of rule once for each direction, a project one default policy.

A policy is used by ports and networks, whose column names it; only `chosen` lets one in there. Whoever writes it there
holds the policy, and whoever deletes the policy has locked it: so none that is in use goes away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, select, update

from sdnctl import runtime
from sdnctl.errors import ConflictError, ForbiddenError, NotFoundError
from sdnctl.store import tables
from sdnctl.store.bodies import list_of, listed, new_id, number_of, owner, refuse_unknown, text_of
from sdnctl.store.labels import delete_tags, insert_tags
from sdnctl.store.objects import QOS_POLICY, QOS_RULES, Kind
from sdnctl.store.write import Write

_CHANGED: Final = frozenset({"name", "description", "shared", "is_default"})
_CREATED: Final = frozenset({*_CHANGED, "project_id", "tags"})
_COLUMNS: Final[Mapping[str, Mapping[str, str]]] = {
    "bandwidth_limit_rule": {"max_kbps": "value", "max_burst_kbps": "burst", "direction": "direction"},
    "packet_rate_limit_rule": {"max_kpps": "value", "max_burst_kpps": "burst", "direction": "direction"},
    "dscp_marking_rule": {"dscp_mark": "value"},
}
"""By kind: attributes of a rule and their columns."""
_policy = tables.qos_policies.c
_rule = tables.qos_rules.c


def create(write: Write, bodies: Sequence[Mapping[str, object]]) -> list[str]:
    """Insert the policies, without rules; their ids."""
    write.require_writer()
    ids = []
    for body in runtime.in_slices(bodies):
        refuse_unknown(body, _CREATED)
        _refuse_sharing(write, body)
        project_id = owner(write, body)
        is_default = bool(body.get("is_default"))
        if is_default:
            _refuse_second_default(write, project_id)
        policy_id = new_id(write)
        write.created(QOS_POLICY, policy_id)
        row = write.new(str(body.get("name", "")), str(body.get("description", ""))) | {
            "id": policy_id,
            "project_id": project_id,
            "shared": body.get("shared", False),
            "is_default": is_default,
            "default_of": project_id if is_default else None,
            "tags": insert_tags(write, policy_id, list_of(body, "tags")),
        }
        write.insert(tables.qos_policies, [row])
        ids.append(policy_id)
    return ids


def change(write: Write, policy_id: str, changes: Mapping[str, object], if_match: int | None) -> None:
    row = claim(write, policy_id, if_match)
    refuse_unknown(changes, _CHANGED)
    _refuse_sharing(write, changes)
    values = {name: value for name, value in changes.items() if value is not None}
    if row.shared and values.get("shared") is False:
        _refuse_unsharing(write, row)
    if "is_default" in values and values["is_default"] != row.is_default:
        if values["is_default"]:
            _refuse_second_default(write, row.project_id)
        values["default_of"] = row.project_id if values["is_default"] else None
    if values:
        write.connection.execute(update(tables.qos_policies).where(_policy.id == policy_id).values(values))


def remove(write: Write, policy_id: str, if_match: int | None) -> None:
    """Delete the policy with its rules."""
    claim(write, policy_id, if_match)
    for what, table in (("network", tables.networks), ("port", tables.ports)):
        query = select(table.c.id).where(table.c.qos_policy_id == policy_id).limit(6)
        if users := list(write.connection.execute(query).scalars()):
            raise ConflictError(
                f"QoS Policy {policy_id} is used by {what} {listed(users)}. Take it from there first.",
                kind="QosPolicyInUse",
            )
    for kind in QOS_RULES:
        query = kind.query.with_only_columns(_rule.id).where(_rule.qos_policy_id == policy_id)
        write.track(kind, list(write.connection.execute(query).scalars()))
    write.connection.execute(delete(tables.qos_rules).where(_rule.qos_policy_id == policy_id))
    write.connection.execute(delete(tables.qos_policies).where(_policy.id == policy_id))
    delete_tags(write, [policy_id])


def claim(write: Write, policy_id: str, if_match: int | None) -> Row[Any]:
    """The policy's row, locked, which the caller may change."""
    return write.claim_own(QOS_POLICY, write.lock(tables.qos_policies, policy_id), policy_id, if_match)


def _refuse_sharing(write: Write, body: Mapping[str, object]) -> None:
    if body.get("shared") and not write.ctx.is_admin:
        raise ForbiddenError("shared may only be set by an admin; leave it out.")


def _refuse_unsharing(write: Write, row: Row[Any]) -> None:
    for what, table in (("network", tables.networks), ("port", tables.ports)):
        query = select(table.c.id).where(table.c.qos_policy_id == row.id, table.c.project_id != row.project_id)
        if users := list(write.connection.execute(query.limit(6)).scalars()):
            raise ConflictError(
                f"shared: {what} {listed(users)} of other projects have QoS policy {row.id}; take it from there first.",
                kind="QosPolicyInUse",
            )


def _refuse_second_default(write: Write, project_id: str) -> None:
    present = default_of(write.connection, project_id)
    if present is not None:
        raise ConflictError(
            f"is_default: project {project_id} already has a default QoS policy, {present}; "
            "set is_default of that one to false first.",
            kind="QoSPolicyDefaultAlreadyExists",
        )


# -------------------------------------------------------------------------------------------------------------- rules


def create_rules(kind: Kind, write: Write, bodies: Sequence[Mapping[str, object]]) -> list[str]:
    """Insert rules of one kind; their ids."""
    write.require_writer()
    columns = _COLUMNS[kind.name]
    for policy_id in sorted({str(body.get("qos_policy_id")) for body in bodies}):
        claim(write, policy_id, None)
        write.touch(QOS_POLICY, policy_id)
    ids = []
    for body in bodies:
        refuse_unknown(body, {*columns, "qos_policy_id"})
        policy_id, direction = str(body["qos_policy_id"]), text_of(body, "direction") or "egress"
        _refuse_second(write, kind, policy_id, direction)
        rule_id = new_id(write)
        write.created(kind, rule_id)
        row: dict[str, object] = {
            "id": rule_id,
            "qos_policy_id": policy_id,
            "type": _type(kind),
            "direction": direction,
            "burst": 0,
            "created_at": write.now,
            "updated_at": write.now,
            "revision_number": 1,
        }
        row.update({columns[name]: _value(body, name) for name in columns if body.get(name) is not None})
        write.insert(tables.qos_rules, [row])
        ids.append(rule_id)
    return ids


def change_rule(kind: Kind, write: Write, rule_id: str, changes: Mapping[str, object], if_match: int | None) -> None:
    row = claim_rule(kind, write, rule_id, if_match)
    columns = _COLUMNS[kind.name]
    refuse_unknown(changes, columns)
    direction = text_of(changes, "direction") or row.direction
    if direction != row.direction:
        _refuse_second(write, kind, row.qos_policy_id, direction)
    values = {columns[name]: _value(changes, name) for name in changes if changes[name] is not None}
    if values:
        write.connection.execute(update(tables.qos_rules).where(_rule.id == rule_id).values(values))


def remove_rule(kind: Kind, write: Write, rule_id: str, if_match: int | None) -> None:
    claim_rule(kind, write, rule_id, if_match)
    write.connection.execute(delete(tables.qos_rules).where(_rule.id == rule_id))


def claim_rule(kind: Kind, write: Write, rule_id: str, if_match: int | None) -> Row[Any]:
    """The rule's row, its policy locked, which the caller may change; the policy changes with it."""
    query = select(tables.qos_rules).where(_rule.id == rule_id, _rule.type == _type(kind))
    found = write.connection.execute(query).first()
    if found is None:
        raise kind.not_found(rule_id)
    try:
        claim(write, found.qos_policy_id, None)
    except NotFoundError:
        raise kind.not_found(rule_id) from None
    # Only now nobody else can change or delete it.
    write.see(kind, rule_id, if_match)
    row = write.connection.execute(query).first()
    if row is None:
        raise kind.not_found(rule_id)
    write.hangs((QOS_POLICY, row.qos_policy_id), (kind, rule_id))
    return row


def _value(body: Mapping[str, object], name: str) -> object:
    return body[name] if name == "direction" else number_of(body, name)


def _type(kind: Kind) -> str:
    return kind.name.removesuffix("_rule")


def _refuse_second(write: Write, kind: Kind, policy_id: str, direction: str) -> None:
    query = select(_rule.id).where(
        _rule.qos_policy_id == policy_id, _rule.type == _type(kind), _rule.direction == direction
    )
    present = write.connection.execute(query).scalar()
    if present is not None:
        raise ConflictError(
            f"Rule {_type(kind)} of direction {direction} conflicts with rule {present} which already exists in QoS "
            f"Policy {policy_id}; change that one, or delete it first.",
            kind="QoSRulesConflict",
        )


CREATE: Final[Mapping[str, Callable[[Write, Sequence[Mapping[str, object]]], list[str]]]] = {
    kind.name: partial(create_rules, kind) for kind in QOS_RULES
}
CHANGE: Final[Mapping[str, Callable[[Write, str, Mapping[str, object], int | None], None]]] = {
    kind.name: partial(change_rule, kind) for kind in QOS_RULES
}
REMOVE: Final[Mapping[str, Callable[[Write, str, int | None], None]]] = {
    kind.name: partial(remove_rule, kind) for kind in QOS_RULES
}

# ------------------------------------------------------------------------------------------------------ who has which


def default_of(connection: Connection, project_id: str) -> str | None:
    """The project's default policy, which its new networks have if they do not say otherwise."""
    found: str | None = connection.execute(select(_policy.id).where(_policy.default_of == project_id)).scalar()
    return found


def of_new_networks(write: Write, bodies: Sequence[Mapping[str, object]]) -> list[str | None]:
    """The policy of each: the one it names, or its project's default; nobody deletes them until the commit."""
    chosen(write, bodies)
    silent = sorted({owner(write, body) for body in bodies if "qos_policy_id" not in body})
    query = select(_policy.default_of, _policy.id).where(_policy.default_of.in_(silent)).order_by(_policy.id)
    found = write.connection.execute(query.with_for_update(read=True, key_share=True)).all() if silent else ()
    defaults = {row.default_of: row.id for row in found}
    return [
        text_of(body, "qos_policy_id") if "qos_policy_id" in body else defaults.get(owner(write, body))
        for body in bodies
    ]


def chosen(write: Write, bodies: Sequence[Mapping[str, object]]) -> None:
    """Nobody deletes the policies that these bodies name until the commit; NotFoundError unless the caller sees all."""
    write.hold(QOS_POLICY, (str(body["qos_policy_id"]) for body in bodies if body.get("qos_policy_id") is not None))


def changed(write: Write, present: str | None, changes: Mapping[str, object]) -> dict[str, object]:
    """The column of what has `present` and may get another policy. What others have imposed stays."""
    if "qos_policy_id" not in changes or changes["qos_policy_id"] == present:
        return {}
    if present is not None:
        condition = QOS_POLICY.visible_to(write.ctx)
        query = select(_policy.id).where(_policy.id == present)
        if condition is not None and write.connection.execute(query.where(condition)).first() is None:
            raise ForbiddenError(
                f"qos_policy_id: QoS policy {present} is another project's and was set by an admin; leave it."
            )
    chosen(write, (changes,))
    return {"qos_policy_id": changes["qos_policy_id"]}
