# SPDX-License-Identifier: Apache-2.0
"""Security groups with their rules, and address groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection, bindparam

from sdnctl.model.request import Object
from sdnctl.store import tables
from sdnctl.store.objects.kind import Rows, kind, seen_by_owner
from sdnctl.store.settings import Settings

_rule = tables.security_group_rules.c

SECURITY_GROUP_RULE: Final = kind(
    "security_group_rule",
    "SecurityGroupRule",
    tables.security_group_rules,
    hidden=("form",),
    visible=seen_by_owner(tables.security_group_rules),
)

_rules_of_groups = SECURITY_GROUP_RULE.query.where(
    _rule.security_group_id.in_(bindparam("ids", expanding=True))
).order_by(_rule.created_at, _rule.id)


def _more_of_groups(connection: Connection, rows: Rows, settings: Settings) -> Iterator[Object]:
    rules: dict[str, list[Object]] = {row.id: [] for row in rows}
    found = connection.execute(_rules_of_groups, {"ids": list(rules)}).all()
    for rule in SECURITY_GROUP_RULE.render(connection, found, settings):
        rules[str(rule["security_group_id"])].append(rule)
    for row in rows:
        yield {"security_group_rules": rules[row.id]}


SECURITY_GROUP: Final = kind(
    "security_group",
    "SecurityGroup",
    tables.security_groups,
    hidden=("key", "default_of"),
    more=_more_of_groups,
    visible=seen_by_owner(tables.security_groups),
)

ADDRESS_GROUP: Final = kind(
    "address_group",
    "AddressGroup",
    tables.address_groups,
    hidden=("key",),
    visible=seen_by_owner(tables.address_groups),
)
