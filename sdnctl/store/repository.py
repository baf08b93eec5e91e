# SPDX-License-Identifier: Apache-2.0
"""The store: what REST and the follower of the journal call. It opens the database and runs each call in a transaction.

What an object means is in the module of its kind (`networks`, `subnets`, `ports`, ...); this one only brings a call, a
transaction and those together, the same way for every kind.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from netaddr import EUI
from sqlalchemy import Connection, select

from sdnctl import runtime
from sdnctl.errors import NotFoundError
from sdnctl.model.contents import Change, Contents, Item
from sdnctl.model.ids import Revision
from sdnctl.model.port import PortStatus
from sdnctl.model.request import Context, Object, Query, Written
from sdnctl.model.statistics import SecurityEvent
from sdnctl.store import (
    address_groups,
    contents,
    hosts,
    identity,
    ip_groups,
    labels,
    listing,
    networks,
    ports,
    qos,
    quotas,
    security_events,
    security_groups,
    security_rules,
    subnets,
    tables,
)
from sdnctl.store.authentication import Authentication, admin_secret, has_admin, insert_admin
from sdnctl.store.bodies import list_of
from sdnctl.store.database import Database
from sdnctl.store.migrate import migrate
from sdnctl.store.objects import IP_GROUP, KINDS, SECURITY_GROUP
from sdnctl.store.settings import Settings
from sdnctl.store.space import mac_text
from sdnctl.store.write import Write

T = TypeVar("T")

Create = Callable[[Write, Sequence[Mapping[str, object]]], list[str]]
Update = Callable[[Write, str, Mapping[str, object], int | None], None]
Delete = Callable[[Write, str, int | None], None]
Claim = Callable[[Write, str, int | None], object]

_CREATE: Final[Mapping[str, Create]] = {
    "network": networks.create,
    "subnet": subnets.create,
    "port": ports.create,
    "security_group": security_groups.create,
    "security_group_rule": security_rules.create,
    "address_group": address_groups.create,
    "ip_group": ip_groups.create,
    "qos_policy": qos.create,
    **qos.CREATE,
    "host": hosts.create,
    "project": identity.create_projects,
    "token": identity.create_tokens,
}
_UPDATE: Final[Mapping[str, Update]] = {
    "network": networks.change,
    "subnet": subnets.change,
    "port": ports.change,
    "security_group": security_groups.change,
    "address_group": address_groups.change,
    "ip_group": ip_groups.change,
    "qos_policy": qos.change,
    **qos.CHANGE,
    "host": hosts.change,
    "project": identity.change_project,
    "token": identity.change_token,
}
_DELETE: Final[Mapping[str, Delete]] = {
    "network": networks.remove,
    "subnet": subnets.remove,
    "port": ports.remove,
    "security_group": security_groups.remove,
    "security_group_rule": security_rules.remove,
    "address_group": address_groups.remove,
    "ip_group": ip_groups.remove,
    "qos_policy": qos.remove,
    **qos.REMOVE,
    "host": hosts.remove,
    "project": identity.remove_project,
    "token": identity.remove_token,
}
_CLAIM: Final[Mapping[str, Claim]] = {
    "network": networks.claim,
    "subnet": subnets.claim,
    "port": ports.claim,
    "security_group": security_groups.claim,
    "address_group": address_groups.claim,
    "ip_group": ip_groups.claim,
    "qos_policy": qos.claim,
    "host": hosts.claim,
    "project": identity.claim_project,
    "token": identity.claim_token,
}
"""Lock an object that the caller may change, and check who they are and what they know."""
_IDENTITY: Final = frozenset({"project", "token"})
_NOBODY: Final = Context(project_id="", user="sdnctl", roles=frozenset({"admin"}))
_ID_LENGTH: Final = tables.UUID_LENGTH
_ROWS: Final = 200
"""So many objects of a list are made between two moments at which other tasks may run."""


class Store:
    """An open database, in the newest schema."""

    def __init__(
        self, database: Database, settings: Settings, clock: Callable[[], float], generator: random.Random
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._random = generator
        self._listeners: list[Callable[[Revision], None]] = []
        self._authentication = Authentication(database.read, self._now)

    @classmethod
    def open(
        cls,
        url: str,
        settings: Settings | None = None,
        *,
        clock: Callable[[], float] = time.time,
        generator: random.Random | None = None,
    ) -> Store:
        """Open the database at `url` and bring it to the newest schema."""
        database = Database(url)
        try:
            migrate(database)
        except BaseException:
            database.close()
            raise
        return cls(database, settings or Settings(), clock, generator or random.SystemRandom())

    def close(self) -> None:
        self._database.close()

    # ------------------------------------------------------------------------------------------------- what REST asks

    def create(self, ctx: Context, kind: str, bodies: Sequence[Mapping[str, object]]) -> Written:
        def work(write: Write) -> list[str]:
            ids = _CREATE[kind](write, bodies)
            quotas.require(write, kind, bodies)
            return ids

        return self._write(ctx, kind, work)

    def update(
        self, ctx: Context, kind: str, object_id: str, changes: Mapping[str, object], if_match: int | None = None
    ) -> Written:
        _check_id(kind, object_id)

        def work(write: Write) -> list[str]:
            _UPDATE[kind](write, object_id, changes, if_match)
            return [object_id]

        return self._write(ctx, kind, work)

    def delete(self, ctx: Context, kind: str, object_id: str, if_match: int | None = None) -> Revision:
        _check_id(kind, object_id)

        def work(write: Write) -> list[str]:
            _DELETE[kind](write, object_id, if_match)
            return []

        return self._write(ctx, kind, work).revision

    def get(self, ctx: Context, kind: str, object_id: str) -> Object:
        _check_id(kind, object_id)
        return self._database.read(lambda connection: KINDS[kind].one(connection, self._settings, ctx, object_id))

    def list(self, ctx: Context, kind: str, query: Query) -> list[Object]:
        def work(connection: Connection) -> list[Object]:
            found: list[Object] = []
            wanted = KINDS[kind]
            result = connection.execute(listing.statement(connection, ctx, wanted, query))
            for rows in result.partitions(_ROWS):
                if found:
                    runtime.give_way()
                found += wanted.render(connection, rows, self._settings)
            return found

        if kind == SECURITY_GROUP.name:
            self._ensure_default_group(ctx)
        is_long = not query.limit or query.limit > _ROWS
        found = self._database.snapshot(work) if is_long else self._database.read(work)
        if query.reverse and query.limit:
            found.reverse()
        return found

    def replace_tags(
        self, ctx: Context, kind: str, object_id: str, tags: Sequence[str], if_match: int | None = None
    ) -> Written:
        return self._tag(ctx, kind, object_id, if_match, lambda _present: tags)

    def add_tags(
        self, ctx: Context, kind: str, object_id: str, tags: Sequence[str], if_match: int | None = None
    ) -> Written:
        return self._tag(ctx, kind, object_id, if_match, lambda present: [*present, *tags])

    def remove_tag(self, ctx: Context, kind: str, object_id: str, tag: str, if_match: int | None = None) -> Written:
        def without(present: Sequence[str]) -> Sequence[str]:
            if tag not in present:
                raise NotFoundError(f"Tag {tag[:255]} could not be found on {kind} {object_id}.", kind="TagNotFound")
            return [other for other in present if other != tag]

        return self._tag(ctx, kind, object_id, if_match, without)

    def authenticate(self, secret: str, request_id: str = "") -> Context | None:
        return self._authentication.context(secret, request_id)

    def revision(self) -> Revision:
        return Revision(
            self._database.read(lambda connection: connection.execute(select(tables.counters.c.revision)).scalar_one())
        )

    def ensure_admin_token(self, path: Path) -> None:
        """Unless somebody has an admin token already: make one, and write its secret to a file only its owner reads."""
        if self._database.read(lambda connection: has_admin(connection, self._now())):
            return
        secret = admin_secret(path)

        def work(write: Write) -> list[str]:
            if not has_admin(write.connection, write.now):
                insert_admin(write, secret)
            return []

        self._write(_NOBODY, "token", work)
        if self.authenticate(secret) is None:
            path.unlink()  # another controller was first, and its token is elsewhere

    # ----------------------------------------------------------------------------------------- what the follower asks

    def load(self) -> Contents:
        return self._database.snapshot(contents.load)

    def changes(self, after: Revision) -> tuple[Change, ...]:
        found = self._database.read(lambda connection: contents.changes(connection, after))
        if any(change.kind in _IDENTITY for change in found):
            self._authentication.forget()
        return found

    def fetch(self, kind: str, ids: Iterable[str]) -> dict[str, Item]:
        wanted = list(ids)
        return self._database.read(lambda connection: contents.fetch(connection, kind, wanted))

    def record_status(self, statuses: Mapping[str, tuple[PortStatus, str]]) -> None:
        # Several transactions, so that none is long: what a crash leaves unwritten is found out again.
        ids = sorted(statuses)
        for start in range(0, len(ids), _ROWS):
            part = {port_id: statuses[port_id] for port_id in ids[start : start + _ROWS]}
            self._database.write(lambda connection, part=part: contents.record_status(connection, part))  # type: ignore[misc]
            runtime.give_way()

    def move_holder(self, group_id: str, port_id: str | None, virtual_mac: EUI | None) -> Revision | None:
        def work(write: Write) -> list[str]:
            mac = None if virtual_mac is None else mac_text(int(virtual_mac))
            changed.append(ip_groups.moved(write, group_id, port_id, mac))
            return []

        changed: list[bool] = []
        revision = self._write(_NOBODY, IP_GROUP.name, work).revision
        return revision if changed[-1] else None

    def load_events(self) -> Sequence[SecurityEvent]:
        return self._database.read(security_events.load)

    def record_events(self, events: Sequence[SecurityEvent]) -> None:
        for start in range(0, len(events), _ROWS):
            part = events[start : start + _ROWS]
            self._database.write(lambda connection, part=part: security_events.record(connection, part))  # type: ignore[misc]
            runtime.give_way()

    def on_commit(self, callback: Callable[[Revision], None]) -> None:
        self._listeners.append(callback)

    # --------------------------------------------------------------------------------------------------------- inside

    def _write(self, ctx: Context, kind: str, work: Callable[[Write], Sequence[str]]) -> Written:
        """Run `work` in a transaction with its journal; the objects of the ids it returns, as they are afterwards."""

        def attempt(connection: Connection) -> tuple[Revision, tuple[Object, ...]]:
            write = Write(
                connection,
                ctx,
                self._settings,
                self._moment(),
                self._random,
                uses_returning=not self._database.is_sqlite,
            )
            ids = work(write)
            revision, after = write.finish()
            return revision, tuple(after[kind, id_] | write.once.get(id_, {}) for id_ in ids)

        revision, objects = self._database.write(attempt)
        if kind in _IDENTITY:
            self._authentication.forget()
        for listener in self._listeners:
            listener(revision)
        return Written(revision, objects)

    def _ensure_default_group(self, ctx: Context) -> None:
        """Who looks at their groups finds the default one, be they never so new."""

        def work(write: Write) -> list[str]:
            security_groups.ensure_default(write, ctx.project_id)
            return []

        if ctx.project_id and not self._database.read(lambda at: security_groups.default_of(at, ctx.project_id)):
            self._write(ctx, SECURITY_GROUP.name, work)

    def _tag(
        self,
        ctx: Context,
        kind: str,
        object_id: str,
        if_match: int | None,
        choose: Callable[[Sequence[str]], Sequence[str]],
    ) -> Written:
        _check_id(kind, object_id)

        def work(write: Write) -> list[str]:
            _CLAIM[kind](write, object_id, if_match)
            found = write.see(KINDS[kind], object_id, None)
            labels.replace_tags(write, KINDS[kind], object_id, choose(list_of(found, "tags")))
            return [object_id]

        return self._write(ctx, kind, work)

    def _moment(self) -> str:
        """Now, in UTC, to the millisecond: 2026-11-20T15:50:04.123Z."""
        return datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

    def _now(self) -> str:
        return self._moment()[:19] + "Z"


def _check_id(kind: str, object_id: str) -> None:
    """What cannot be an id is no object's: clients look up names this way, so it costs nothing."""
    if len(object_id) != _ID_LENGTH or not object_id.isascii():
        raise KINDS[kind].not_found(object_id)
