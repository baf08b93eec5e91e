# SPDX-License-Identifier: Apache-2.0
"""From a `Query` to SQL: filters, order and pages. Whether the caller may see an object is part of the query too, so a
page is never shortened afterwards.

Pages follow keys, not offsets: the next page begins after the values of its marker in the order asked for, with the
id as the last key. So objects that come and go between two pages neither hide others nor show them twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Integer,
    Select,
    and_,
    func,
    literal,
    not_,
    or_,
    select,
    true,
)

from sdnctl.errors import InvalidError
from sdnctl.model.request import Context, Query
from sdnctl.store import tables
from sdnctl.store.objects import Kind

Terms = Sequence[str | int | bool]

_address = tables.addresses.c
_member = tables.port_security_groups.c
_in_group = tables.ip_group_members.c
_tag = tables.tags.c
_ESCAPED: Final = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})


def statement(connection: Connection, ctx: Context, kind: Kind, query: Query) -> Select[Any]:
    """The rows that `query` asks for. A reversed page comes in reversed order."""
    wanted = kind.query
    visible = kind.visible_to(ctx)
    if visible is not None:
        wanted = wanted.where(visible)
    for name, terms in query.filters:
        wanted = wanted.where(_condition(kind, name, terms))
    order = [(_sortable(kind, name), descending) for name, descending in query.sort if name != "id"]
    order.append((kind.table.c.id, next((descending for name, descending in query.sort if name == "id"), False)))
    backwards = query.reverse and bool(query.limit)
    if backwards:
        order = [(column, not descending) for column, descending in order]
    if query.limit:
        wanted = wanted.limit(query.limit)
        if query.marker is not None:
            wanted = wanted.where(_after(_marker(connection, ctx, kind, query.marker, order), order))
    return wanted.order_by(*(column.desc() if descending else column.asc() for column, descending in order))


def _sortable(kind: Kind, name: str) -> ColumnElement[Any]:
    """The column, with null as the smallest value: databases differ in where they put it."""
    column = kind.columns.get(name)
    if column is None:
        raise InvalidError(f"sort_key: a {kind.name} has no {name} to sort by.", kind="HTTPBadRequest")
    empty: object = 0 if isinstance(column.type, Integer) else ""
    return func.coalesce(column, empty) if getattr(column, "nullable", False) else column


def _marker(
    connection: Connection, ctx: Context, kind: Kind, marker: str, order: Iterable[tuple[ColumnElement[Any], bool]]
) -> tuple[Any, ...]:
    """The marker's values of the sort keys."""
    query = select(*(column for column, _ in order)).where(kind.table.c.id == marker)
    visible = kind.visible_to(ctx)
    row = connection.execute(query if visible is None else query.where(visible)).first()
    if row is None:
        raise kind.not_found(marker)
    return tuple(row)


def _after(values: Iterable[Any], order: Sequence[tuple[ColumnElement[Any], bool]]) -> ColumnElement[bool]:
    """What comes after the marker: a later first key, or the same and a later second one, and so on."""
    alternatives = []
    equal: list[ColumnElement[bool]] = []
    for (column, descending), value in zip(order, values, strict=True):
        bound = literal(value, column.type)  # true and false need this to be compared as larger and smaller
        alternatives.append(and_(*equal, column < bound if descending else column > bound))
        equal.append(column == bound)
    return or_(*alternatives)


# ------------------------------------------------------------------------------------------------------------ filters


def _condition(kind: Kind, name: str, terms: Terms) -> ColumnElement[bool]:
    match name:
        case "tags" | "tags-any" | "not-tags" | "not-tags-any":
            return _tagged(kind, name, terms)
        case "fixed_ips" if kind.name == "port":
            return _addressed(kind, terms)
        case "security_groups" if kind.name == "port":
            return kind.table.c.id.in_(select(_member.port_id).where(_member.group_id.in_(_texts(terms))))
        case "port_ids" if kind.name == "ip_group":
            groups = select(_in_group.group_id).where(_in_group.port_id.in_(_texts(terms)))
            return kind.table.c.id.in_(groups)
        case "subnets" if kind.name == "network":
            subnets = select(tables.subnets.c.network_id).where(tables.subnets.c.id.in_(_texts(terms)))
            return kind.table.c.id.in_(subnets)
    column = kind.columns.get(name)
    if column is None:
        raise InvalidError(f"{name}: a {kind.name} cannot be filtered by that.", kind="HTTPBadRequest")
    if isinstance(column.type, Boolean):
        return column.in_([_boolean(term) for term in terms])
    if isinstance(column.type, Integer):
        # Text that is no number is the value of no object.
        numbers = [int(term) for term in terms if isinstance(term, int) or term.lstrip("-").isdecimal()]
        return column.in_([number for number in numbers if -(2**63) <= number < 2**63])
    return column.in_(_texts(terms))


def _texts(terms: Terms) -> list[str]:
    return [str(term) for term in terms]


def _boolean(term: str | int | bool) -> bool:  # noqa: FBT001  (a filter's term may be one)
    return term.lower() in {"true", "1"} if isinstance(term, str) else bool(term)


def _tagged(kind: Kind, name: str, terms: Terms) -> ColumnElement[bool]:
    """`tags` and `tags-any`: all, any of them; with `not-`: the others."""
    wanted = sorted({tag for term in terms for tag in str(term).split(",") if tag})
    if name.endswith("-any"):
        has: ColumnElement[bool] = kind.table.c.id.in_(select(_tag.object_id).where(_tag.tag.in_(wanted)))
    else:
        has = and_(true(), *(kind.table.c.id.in_(select(_tag.object_id).where(_tag.tag == tag)) for tag in wanted))
    return not_(has) if name.startswith("not-") else has


def _addressed(kind: Kind, terms: Terms) -> ColumnElement[bool]:
    """`ip_address=A`, `subnet_id=S`, `ip_address_substr=A`: a key again is an alternative, another key narrows."""
    by_key: dict[str, list[str]] = {}
    for term in terms:
        key, _, value = str(term).partition("=")
        by_key.setdefault(key, []).append(value)
    return and_(*(kind.table.c.id.in_(_port_ids(key, values)) for key, values in by_key.items()))


def _port_ids(key: str, values: Sequence[str]) -> Select[tuple[str]]:
    conditions: Mapping[str, ColumnElement[bool]] = {
        "ip_address": _address.address.in_(values),
        "subnet_id": _address.subnet_id.in_(values),
        "ip_address_substr": or_(
            *(_address.address.like(f"%{value.translate(_ESCAPED)}%", escape="\\") for value in values)
        ),
    }
    if key not in conditions:
        raise InvalidError(f"fixed_ips: {key!r} is unknown; use {', '.join(conditions)}.", kind="HTTPBadRequest")
    return select(_address.port_id).where(conditions[key])
