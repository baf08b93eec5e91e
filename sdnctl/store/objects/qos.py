# SPDX-License-Identifier: Apache-2.0
"""QoS policies with their rules, of which each type is a kind of its own, with names of its own for its columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from sqlalchemy import ColumnElement, Connection, bindparam, or_, select

from sdnctl.model.request import Object
from sdnctl.store import tables
from sdnctl.store.objects.kind import Kind, Rows, kind
from sdnctl.store.settings import Settings

_policy = tables.qos_policies.c
_rule = tables.qos_rules.c
_rules_of_policies = (
    select(tables.qos_rules)
    .where(_rule.qos_policy_id.in_(bindparam("ids", expanding=True)))
    .order_by(_rule.type, _rule.direction)
)
_TYPES: Final[Mapping[str, Mapping[str, str]]] = {
    "bandwidth_limit": {"value": "max_kbps", "burst": "max_burst_kbps", "direction": "direction"},
    "packet_rate_limit": {"value": "max_kpps", "burst": "max_burst_kpps", "direction": "direction"},
    "dscp_marking": {"value": "dscp_mark"},
}
"""What the columns of a rule of each type are called."""


def _policy_seen(project_id: str) -> ColumnElement[bool]:
    return or_(_policy.project_id == project_id, _policy.shared)


def _more_of_policies(connection: Connection, rows: Rows, _settings: Settings) -> Iterator[Object]:
    rules: dict[str, list[Object]] = {row.id: [] for row in rows}
    for rule in connection.execute(_rules_of_policies, {"ids": list(rules)}).mappings():
        shown = {name: rule[column] for column, name in _TYPES[rule["type"]].items()}
        policy_id = rule["qos_policy_id"]
        rules[policy_id].append({"id": rule["id"], "qos_policy_id": policy_id, "type": rule["type"], **shown})
    for row in rows:
        yield {"rules": rules[row.id]}


QOS_POLICY: Final = kind(
    "qos_policy",
    "QosPolicy",
    tables.qos_policies,
    hidden=("default_of",),
    more=_more_of_policies,
    visible=_policy_seen,
)


def _rules_of_type(name: str, names: Mapping[str, str]) -> Kind:
    rules = kind(
        f"{name}_rule",
        "QosRule",
        tables.qos_rules,
        hidden=("type", *{"value", "burst", "direction"}.difference(names)),
        names=names,
        visible=lambda project_id: _rule.qos_policy_id.in_(select(_policy.id).where(_policy_seen(project_id))),
    )
    return replace(rules, query=rules.query.where(_rule.type == name))


QOS_RULES: Final = tuple(_rules_of_type(name, names) for name, names in _TYPES.items())
