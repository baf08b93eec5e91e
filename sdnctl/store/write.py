# SPDX-License-Identifier: Apache-2.0
"""One write transaction: what it touches, the keys it takes, and the journal entries it leaves.

Semantics (`networks`, `subnets`, `ports`, ...) say beforehand which objects they are going to touch, then change rows
as they like. `finish` reads those objects again and compares: whatever differs is a journal entry, and gets a new
revision number. So no code writes a difference by hand, and none can forget a change it has made.

    write.created(kind, id)     before the object's row is inserted
    write.track(kind, ids)      before their rows may be changed or deleted
    write.touch(kind, id)       it gets a new revision number even if it looks the same as before
    write.hangs(on, child)      the same, if the child has changed; a child that is tracked before what it hangs on

Locks are always taken in one order, so that PostgreSQL has no deadlock to resolve: networks by id, then other rows,
then the counters. A write that concerns what is in a network locks the network's row first and thereby has it for
itself; SQLite needs no lock, it has one writer. The counters are locked until the commit, which makes revisions
appear in the order of commits; so they come last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random
from typing import Any, Final

from sqlalchemy import Connection, Row, Table, bindparam, insert, select, update

from sdnctl import runtime
from sdnctl.errors import ForbiddenError, PreconditionError
from sdnctl.model.ids import Revision
from sdnctl.model.request import Context, Object
from sdnctl.store import tables
from sdnctl.store.objects import KINDS, Kind, is_service
from sdnctl.store.settings import Settings

WRITERS: Final = frozenset({"admin", "manager", "member", "service"})
MOST_KEYS: Final[Mapping[str, int]] = {
    "network": 2**24 - 1,
    "port": 2**31 - 1,
    "host": 2**16 - 1,
    "security_group": 2**30,
    "address_group": 2**30,
    "ip_group": 2**30,
}
"""The largest key of each kind. When all have been used once, the unused ones of the past come again."""

_SHARED: Final = frozenset({"security_group", "address_group", "ip_group"})
"""Kinds that take their keys from one series, called `group`."""

_ROWS: Final = 50
"""So many rows are inserted between two moments at which other tasks may run."""
_EMPTY: Final[tuple[object, ...]] = (None, "", [], {})

_counters = tables.counters.c
_take = {
    name: update(tables.counters).values({name: column + bindparam("count")}).returning(column)
    for name, column in tables.counters.c.items()
    if name != "id"
}
_locked_networks = (
    select(tables.networks)
    .where(tables.networks.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(tables.networks.c.id)
    .with_for_update()
)
_bump = {
    name: update(kind.table)
    .where(kind.table.c.id.in_(bindparam("ids", expanding=True)))
    .values(revision_number=kind.table.c.revision_number + 1, updated_at=bindparam("now"))
    for name, kind in KINDS.items()
    if "revision_number" in kind.table.c
}
_insert_entries = insert(tables.journal)


class Write:
    """One transaction's work."""

    def __init__(
        self,
        connection: Connection,
        ctx: Context,
        settings: Settings,
        now: str,
        random: Random,
        *,
        uses_returning: bool,
    ) -> None:
        self.connection = connection
        self.ctx = ctx
        self.settings = settings
        self.now = now[:19] + "Z"
        self.random = random
        self.once: dict[str, Object] = {}
        """By id: attributes that the answer has and nothing else, ever."""
        self._moment = now
        self._uses_returning = uses_returning
        self._before: dict[tuple[str, str], Object | None] = {}
        self._touched: set[tuple[str, str]] = set()
        self._hanging: dict[tuple[str, str], tuple[str, str]] = {}

    # --------------------------------------------------------------------------------------------- who may, and locks

    def require_writer(self) -> None:
        """Readers change nothing."""
        if not self.ctx.roles & WRITERS:
            raise ForbiddenError(f"This needs one of the roles {', '.join(sorted(WRITERS))}; a reader may only look.")

    def lock_networks(self, ids: Iterable[str]) -> dict[str, Row[Any]]:
        """The networks of these ids that exist, which nobody else changes, nor what is in them, until the commit."""
        return {row.id: row for row in self.connection.execute(_locked_networks, {"ids": sorted(set(ids))})}

    def lock(self, table: Table, object_id: str) -> Row[Any] | None:
        """The row, which nobody else changes until the commit."""
        return self.connection.execute(select(table).where(table.c.id == object_id).with_for_update()).first()

    def hold(self, kind: Kind, ids: Iterable[str]) -> list[str]:
        """The ids, once each and sorted: the caller sees all of them, and nobody deletes one until the commit."""
        wanted = sorted(set(ids))
        if not wanted:
            return []
        query = select(kind.table.c.id).where(kind.table.c.id.in_(wanted)).order_by(kind.table.c.id)
        condition = kind.visible_to(self.ctx)
        if condition is not None:
            query = query.where(condition)
        found = set(self.connection.execute(query.with_for_update(read=True, key_share=True)).scalars())
        for object_id in wanted:
            if object_id not in found:
                raise kind.not_found(object_id)
        return wanted

    def see(self, kind: Kind, object_id: str, if_match: int | None) -> Object:
        """The object that is to be changed, if the caller sees it and it is still as they know it."""
        found = kind.one(self.connection, self.settings, self.ctx, object_id)
        self.require_writer()
        if if_match is not None and found["revision_number"] != if_match:
            raise PreconditionError(
                f"{kind.error} {object_id} has revision number {found['revision_number']}, not {if_match}: "
                "read it again and repeat the change."
            )
        self._before.setdefault((kind.name, object_id), found)
        return found

    def claim_own(self, kind: Kind, row: Row[Any] | None, object_id: str, if_match: int | None) -> Row[Any]:
        """The object's locked row, if the caller sees it as they know it, and it is their own."""
        self.see(kind, object_id, if_match)
        if row is None:
            raise kind.not_found(object_id)
        if not owns(self.ctx, row):
            raise ForbiddenError(
                f"{kind.error} {object_id} belongs to another project; only that project may change it."
            )
        return row

    def claim_in_network(self, kind: Kind, object_id: str, if_match: int | None) -> tuple[Row[Any], Object]:
        """The network that the object is in, locked, and the object, if the caller sees it as they know it."""
        table = kind.table.c
        network_id = self.connection.execute(select(table.network_id).where(table.id == object_id)).scalar()
        network = self.lock_networks((network_id,)).get(network_id) if network_id is not None else None
        # Only now nobody else can change or delete it.
        found = self.see(kind, object_id, if_match)
        if network is None:
            raise kind.not_found(object_id)
        return network, found

    # ------------------------------------------------------------------------------------------------ what is touched

    def created(self, kind: Kind, object_id: str) -> None:
        self._before[kind.name, object_id] = None

    def track(self, kind: Kind, ids: Iterable[str]) -> None:
        missing = [object_id for object_id in ids if (kind.name, object_id) not in self._before]
        for found in runtime.in_slices(kind.some(self.connection, self.settings, missing)):
            self._before[kind.name, str(found["id"])] = found

    def touch(self, kind: Kind, object_id: str) -> None:
        self.track(kind, (object_id,))
        self._touched.add((kind.name, object_id))

    def hangs(self, on: tuple[Kind, str], child: tuple[Kind, str]) -> None:
        """`on` is touched if `child`, which is tracked already, has changed."""
        self.track(on[0], (on[1],))
        self._hanging[on[0].name, on[1]] = child[0].name, child[1]

    # ----------------------------------------------------------------------------------------------------- statements

    def insert(self, table: Table, rows: list[dict[str, object]]) -> None:
        """Insert rows, giving way between some of them."""
        statement = insert(table)
        if self._uses_returning and len(rows) > 1:
            # The driver sends such rows one by one; with RETURNING, SQLAlchemy puts many into one statement.
            statement = statement.returning(*table.primary_key.columns)
        for start in range(0, len(rows), _ROWS):
            if start:
                runtime.give_way()
            part = rows[start : start + _ROWS]
            self.connection.execute(statement, part if len(part) > 1 else part[0])

    def new(self, name: str, description: str = "") -> dict[str, object]:
        """What every new object's row begins with."""
        return {
            "name": name,
            "description": description,
            "tags": [],
            "created_at": self.now,
            "updated_at": self.now,
            "revision_number": 1,
        }

    def keys(self, kind: Kind, count: int) -> list[int]:
        """Keys that no object of the kind has, nor has had lately. From here on others wait for this transaction."""
        most = MOST_KEYS[kind.name]
        series, kinds = ("group", _SHARED) if kind.name in _SHARED else (kind.name, {kind.name})
        taken: list[int] = []
        while len(taken) < count:
            last = self.connection.execute(_take[f"{series}_key"], {"count": count - len(taken)}).scalar_one()
            fresh = [(number - 1) % most + 1 for number in range(last - (count - len(taken)) + 1, last + 1)]
            for name in kinds if last > most else ():
                key = KINDS[name].table.c["key"]
                used = set(self.connection.execute(select(key).where(key.in_(fresh))).scalars())
                fresh = [number for number in fresh if number not in used]
            taken += fresh
        return taken

    # ---------------------------------------------------------------------------------------------------- the journal

    def finish(self) -> tuple[Revision, dict[tuple[str, str], Object]]:
        """Write the journal. Returns its last revision and all tracked objects that exist, as they are now."""
        after = self._read_again()
        changes: dict[tuple[str, str], tuple[str, Mapping[str, object]]] = {}
        bumped: dict[str, list[str]] = {}
        for key, old in self._before.items():
            new = after.get(key)
            if old is None and new is None:
                continue
            difference = _difference(old, new)
            # Rules are objects with entries of their own; a group of a thousand would repeat them all at each change.
            difference.pop("security_group_rules", None)
            if old is not None and new is not None:
                if not difference and key not in self._touched and self._hanging.get(key) not in changes:
                    continue
                bumped.setdefault(key[0], []).append(key[1])
                revision = int(str(old["revision_number"]))
                new.update(revision_number=revision + 1, updated_at=self.now)
                difference["revision_number"] = [revision, revision + 1]
            operation = "create" if old is None else "delete" if new is None else "update"
            changes[key] = operation, difference
        for name, ids in bumped.items():
            for start in range(0, len(ids), 500):
                self.connection.execute(_bump[name], {"ids": ids[start : start + 500], "now": self.now})
        return self._enter(changes), after

    def _read_again(self) -> dict[tuple[str, str], Object]:
        ids: dict[str, list[str]] = {}
        for name, object_id in self._before:
            ids.setdefault(name, []).append(object_id)
        after: dict[tuple[str, str], Object] = {}
        for name, wanted in ids.items():
            for found in runtime.in_slices(KINDS[name].some(self.connection, self.settings, wanted)):
                after[name, str(found["id"])] = found
        return after

    def _enter(self, changes: Mapping[tuple[str, str], tuple[str, Mapping[str, object]]]) -> Revision:
        """Add the entries and return the last revision. Takes the counters' lock: nothing may follow but the commit."""
        if not changes:
            return Revision(self.connection.execute(select(_counters.revision)).scalar_one())
        last = self.connection.execute(_take["revision"], {"count": len(changes)}).scalar_one()
        first = last - len(changes) + 1
        entries: list[dict[str, object]] = [
            {
                "revision": revision,
                "at": self._moment,
                "request_id": self.ctx.request_id,
                "actor": self.ctx.user,
                "project_id": self.ctx.project_id,
                "kind": kind,
                "object_id": object_id,
                "operation": operation,
                "changes": difference,
            }
            for revision, ((kind, object_id), (operation, difference)) in enumerate(changes.items(), first)
        ]
        self.insert(tables.journal, entries)
        return Revision(last)


def _difference(old: Object | None, new: Object | None) -> dict[str, list[object]]:
    """Attribute to [old, new]. Of an object that was made or deleted: what it has that is not empty."""
    if old is None or new is None:
        present = old or new or {}
        return {
            name: [value, None] if new is None else [None, value]
            for name, value in present.items()
            if value not in _EMPTY and name != "tenant_id"
        }
    return {name: [old[name], value] for name, value in new.items() if value != old[name]}


def may_see_network(ctx: Context, row: Row[Any]) -> bool:
    """The same condition as `NETWORK.visible_to`, for a row at hand."""
    return owns(ctx, row) or is_service(ctx) or bool(ctx.project_id and (row.shared or row.external))


def owns(ctx: Context, row: Row[Any]) -> bool:
    """The row belongs to the caller's project, or the caller is an admin."""
    return ctx.is_admin or bool(ctx.project_id and row.project_id == ctx.project_id)
