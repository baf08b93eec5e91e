# SPDX-License-Identifier: Apache-2.0
"""From a secret to who is asking, and the first secret of all.

What was looked up is kept for a moment, so that a request costs no query for it. Writes of this process forget it at
once, and so does reading another process's writes in the journal; `KEEP_S` bounds how long a revoked token may work
where nobody reads the journal. Nothing is remembered of a secret that was not found.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, select

from sdnctl import runtime
from sdnctl.errors import UnavailableError
from sdnctl.model.request import Context
from sdnctl.store import tables
from sdnctl.store.identity import IMPLIED, PREFIX, digest, insert_token, new_secret
from sdnctl.store.objects import PROJECT
from sdnctl.store.write import Write

KEEP_S: Final = 5.0
KEPT: Final = 4096
"""So many tokens are kept; more, and all are looked up anew."""
ADMIN_PROJECT: Final = "admin"

_SECRET: Final = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
_SOUGHT: Final = re.compile(r"[\x21-\x7e]{16,255}")
_project = tables.projects.c
_token = tables.tokens.c
_usable = (
    select(_token.id, _token.name, _token.project_id, _token.roles, _token.expires_at)
    .join(tables.projects, _project.id == _token.project_id)
    .where(_project.enabled)
)
_by_digest = _usable.where(_token.digest == bindparam("digest"))

Find = Callable[[Connection], "Row[*tuple[Any, ...]] | None"]
Lookup = Callable[[Find], "Row[*tuple[Any, ...]] | None"]


class Authentication:
    """Looks secrets up. `read` runs a query, `now` tells the time as the tables write it."""

    def __init__(self, read: Lookup, now: Callable[[], str]) -> None:
        self._read = read
        self._now = now
        self._kept: dict[str, tuple[float, str, Context]] = {}
        self._generation = 0

    def forget(self) -> None:
        """Some token or project has changed."""
        self._kept.clear()
        self._generation += 1

    def context(self, secret: str, request_id: str) -> Context | None:
        """Whose token it is; None when it is nobody's, has expired, or its project is disabled."""
        if not _SOUGHT.fullmatch(secret):
            return None
        key = digest(secret)
        until, expires_at, context = self._kept.get(key) or self._look_up(key) or (0.0, "", None)
        if until < runtime.monotonic() and context is not None:
            self._kept.pop(key, None)
            until, expires_at, context = self._look_up(key) or (0.0, "", None)
        if context is None or (expires_at and expires_at <= self._now()):
            return None
        return replace(context, request_id=request_id)

    def _look_up(self, key: str) -> tuple[float, str, Context] | None:
        generation = self._generation
        row = self._read(lambda connection: connection.execute(_by_digest, {"digest": key}).first())
        if row is None:
            return None
        roles = frozenset[str]().union(*(IMPLIED[role] for role in row.roles))
        context = Context(project_id=row.project_id, user=row.name or row.id, roles=roles)
        entry = (runtime.monotonic() + KEEP_S, row.expires_at or "", context)
        # What changed while the query ran may not be undone by remembering what it was before.
        if generation == self._generation:
            if len(self._kept) >= KEPT:
                self._kept.clear()
            self._kept[key] = entry
        return entry


def has_admin(connection: Connection, now: str) -> bool:
    """Somebody can still make tokens."""
    return any(
        "admin" in row.roles and (row.expires_at is None or row.expires_at > now) for row in connection.execute(_usable)
    )


def admin_secret(path: Path) -> str:
    """The secret in `path`, made now if the file is not there. The file appears whole, readable by its owner alone.

    It is written before the database hears of it, so that no crash leaves a token whose secret nobody has: a secret
    that was written and did not get into the database is taken the next time.
    """
    try:
        secret = path.read_text().strip()
    except FileNotFoundError:
        secret = new_secret()
        _write(path, secret)
    except OSError as error:
        raise UnavailableError(f"The admin token's file {path} cannot be read: {error.strerror}.") from error
    if not _SECRET.fullmatch(secret):
        raise UnavailableError(f"The admin token's file {path} holds no token; remove it to get another.")
    return secret


def insert_admin(write: Write, secret: str) -> None:
    """Make the admin token with that secret, and the project it is for."""
    project_id = write.connection.execute(select(_project.id).where(_project.name == ADMIN_PROJECT)).scalar()
    if project_id is None:
        project_id = PROJECT_OF_ADMINS
        write.created(PROJECT, project_id)
        row = write.new(ADMIN_PROJECT, "Whoever runs this cloud.") | {"id": project_id, "enabled": True}
        write.insert(tables.projects, [row])
    insert_token(write, {"name": "admin", "project_id": project_id, "roles": ["admin"]}, secret)


PROJECT_OF_ADMINS: Final = "00000000-0000-4000-8000-000000000001"
"""The id of the project that the first admin token is for."""


def _write(path: Path, secret: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secret + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        directory = os.open(path.parent, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
    except OSError as error:
        raise UnavailableError(f"The admin token's file {path} cannot be written: {error.strerror}.") from error
