# SPDX-License-Identifier: Apache-2.0
"""OVSDB operations as JSON values (RFC 7047, 5.2).

What should change is computed as a list of these, so that it can be shown and compared, and because a transaction that
assigns to columns is put together in one piece: 27 ms of it for 500 ports.

A mutation that inserts into a map leaves a key that is there as it is; `set_keys` therefore deletes it first.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

Json: TypeAlias = Any
Op: TypeAlias = dict[str, Json]


def uuids(items: Iterable[uuid.UUID]) -> Json:
    return ["set", [["uuid", str(item)] for item in items]]


def named(names: Iterable[str]) -> Json:
    """Rows inserted by the same transaction, by their `name` there."""
    return ["set", [["named-uuid", name] for name in names]]


def strings(items: Iterable[str]) -> Json:
    return ["set", sorted(items)]


def mapping(items: Mapping[Any, Json]) -> Json:
    return ["map", [[key, items[key]] for key in sorted(items)]]


EMPTY: Json = ["set", []]


def insert(table: str, row: Mapping[str, Json], name: str | None = None) -> Op:
    """Insert `row`, known as `name` within the transaction."""
    op: Op = {"op": "insert", "table": table, "row": dict(row)}
    if name is not None:
        op["uuid-name"] = name
    return op


def update(table: str, row_id: uuid.UUID, row: Mapping[str, Json]) -> Op:
    return {"op": "update", "table": table, "where": _is(row_id), "row": dict(row)}


def mutate(table: str, row_id: uuid.UUID, mutations: Sequence[list[Json]]) -> Op:
    return {"op": "mutate", "table": table, "where": _is(row_id), "mutations": list(mutations)}


def update_named(table: str, name: str, row: Mapping[str, Json]) -> Op:
    """As `update`, of the row whose column `name` says so, which may be one that the same transaction inserts."""
    return {"op": "update", "table": table, "where": [["name", "==", name]], "row": dict(row)}


def mutate_named(table: str, name: str, mutations: Sequence[list[Json]]) -> Op:
    """As `mutate`, of the row whose column `name` says so."""
    return {"op": "mutate", "table": table, "where": [["name", "==", name]], "mutations": list(mutations)}


def mutate_all(table: str, mutations: Sequence[list[Json]]) -> Op:
    """As `mutate`, of every row: for tables with one."""
    return {"op": "mutate", "table": table, "where": [], "mutations": list(mutations)}


def set_keys(column: str, items: Mapping[Any, Json]) -> list[list[Json]]:
    """Mutations after which the map in `column` has `items`, beside what else is there."""
    return [[column, "delete", ["set", sorted(items)]], [column, "insert", mapping(items)]]


def _is(row_id: uuid.UUID) -> Json:
    return [["_uuid", "==", ["uuid", str(row_id)]]]
