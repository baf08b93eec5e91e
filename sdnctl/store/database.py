# SPDX-License-Identifier: Apache-2.0
"""The connection to SQLite or PostgreSQL: transactions that write, and reads beside them.

A write is a function of a connection, run inside one transaction. It may run more than once: when two transactions
wanted the same number, or the database chose one of two to give way, the whole function runs again and finds the world
as the other left it. So it must not do anything but compute and query.

SQLite: one transaction writes at a time. Tasks of this process queue at a semaphore; another process is waited for
here, giving way, because SQLite's own waiting would stop every task. WAL lets readers read while somebody writes, and
`synchronous=FULL` has every commit on the disk before it returns.

PostgreSQL: READ COMMITTED, with rows locked by the writes themselves (`sdnctl.store.write`). At most half of the
connections write, so that reads go on while writes queue for a lock.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from sdnctl import runtime
from sdnctl.errors import ConflictError, InvalidError, UnavailableError

T = TypeVar("T")

ATTEMPTS: Final = 12
"""So often is a write tried that others get in the way of."""
PAUSE_S: Final = 0.002
BUSY_S: Final = 30.0
"""So long is another process's write to the same SQLite file waited for."""
BUSY_MS: Final = 10
CONNECTIONS: Final = 16
TURN_S: Final = 60.0
"""So long is a connection waited for when all are in use."""

_RETRIED: Final = frozenset({"40001", "40P01", "23505", "23503", "55P03"})
"""PostgreSQL: serialization failure, deadlock, unique and foreign key violation, lock not available."""
_OVERLOADED: Final = frozenset({"53000", "53100", "53200", "53300", "53400", "57P01", "57P02", "57P03", "25006"})
"""PostgreSQL: out of disk, memory or connections, shutting down, starting, read only."""


class Database:
    """An open database."""

    def __init__(self, url: str) -> None:
        self._url = parse_url(url)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self._engine = _sqlite(self._url)
            self._reader: Engine = self._engine
            self._writer: Engine = self._engine.execution_options(begin="BEGIN IMMEDIATE")
            self._snapshots: Engine = self._engine.execution_options(begin="BEGIN")
        else:
            self._engine = create_engine(self._url, pool_size=CONNECTIONS, max_overflow=0, pool_timeout=TURN_S)
            self._writer = self._engine
            self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._turn = runtime.Semaphore(1 if self.is_sqlite else CONNECTIONS // 2)

    @property
    def name(self) -> str:
        """What it is, for messages: no password."""
        return self._url.render_as_string(hide_password=True)

    def close(self) -> None:
        self._engine.dispose()

    def write(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, after its transaction is durable. Whatever it raises leaves nothing behind."""
        return self._attempted(lambda: self._write_once(work))

    def read(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns; each of its queries sees what is committed when it starts."""

        def once() -> T:
            with self._reader.connect() as connection:
                return work(connection)

        return self._attempted(once)

    def snapshot(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns; all its queries see one moment, and large results come in parts."""

        def once() -> T:
            if self.is_sqlite:
                with self._snapshots.begin() as connection:
                    return work(connection)
            with self._engine.begin() as connection:
                connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
                return work(connection.execution_options(stream_results=True))

        return self._attempted(once)

    def _attempted(self, once: Callable[[], T]) -> T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return once()
            except DBAPIError as error:
                # A connection that was found dead did nothing yet: only a commit may not be repeated blindly.
                if attempt == ATTEMPTS or not (_is_retried(error) or error.connection_invalidated):
                    raise self._translated(error) from error
            except PoolTimeoutError as error:
                raise UnavailableError(f"All connections to the database {self.name} are busy; try again.") from error
            runtime.sleep(PAUSE_S * attempt)
        raise AssertionError("the last attempt returns or raises")

    def _write_once(self, work: Callable[[Connection], T]) -> T:
        with self._turn, self._writer.connect() as connection, connection.begin() as transaction:
            result = work(connection)
            try:
                transaction.commit()
            except DBAPIError as error:
                if error.connection_invalidated:
                    raise UnavailableError(
                        f"The database {self.name} went away during a commit; look whether the change was made."
                    ) from error
                raise
            return result

    def _translated(self, error: DBAPIError) -> Exception:
        """The error that a caller can do something about, where it is one."""
        if _is_retried(error):
            return ConflictError(f"Others keep changing the same objects; try again ({_reason(error)}).")
        if (
            error.connection_invalidated
            or isinstance(error, OperationalError | InterfaceError)
            or _sqlstate(error) in _OVERLOADED
        ):
            return UnavailableError(f"The database {self.name} does not do its work: {_reason(error)}.")
        return error


def parse_url(url: str) -> URL:
    """The URL with its driver, and a PostgreSQL socket directory in the way the driver wants it."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise InvalidError(
            f"database: {url!r} is no URL; write sqlite:////absolute/path or postgresql://user@host/name."
        ) from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if parsed.database in {None, "", ":memory:"}:
            raise InvalidError("database: SQLite needs a file; write sqlite:////absolute/path.")
        return parsed.set(drivername="sqlite+pysqlite")
    if backend == "postgresql":
        host = parsed.query.get("host", parsed.host)
        if isinstance(host, str) and host.startswith("/"):
            socket = str(Path(host) / f".s.PGSQL.{parsed.port or 5432}")
            parsed = parsed.set(host=None, port=None, query={"unix_sock": socket})
        return parsed.set(drivername="postgresql+pg8000")
    raise InvalidError(f"database: {backend} is not supported; use sqlite or postgresql.")


def _sqlite(url: URL) -> Engine:
    path = Path(str(url.database))
    try:
        # Only its owner may read a database with digests of tokens; SQLite gives its side files the same mode.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise UnavailableError(f"The database file {path} cannot be opened: {error.strerror}.") from error
    # Readers hold a connection while they give way, so there is no telling how many are needed; one is a file handle.
    engine = create_engine(url, pool_size=CONNECTIONS, max_overflow=-1, connect_args={"timeout": 1.0})

    @event.listens_for(engine, "connect")
    def connected(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions begin where `began` says, and nowhere else
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")  # it waits without giving way: `began` waits better

    @event.listens_for(engine, "begin")
    def began(connection: Connection) -> None:
        statement = connection.get_execution_options().get("begin")
        if statement is None:
            return
        driver: Any = connection.connection.dbapi_connection
        until = runtime.monotonic() + BUSY_S
        while True:
            try:
                driver.execute(statement)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname not in {"SQLITE_BUSY", "SQLITE_BUSY_SNAPSHOT"} or runtime.monotonic() > until:
                    raise UnavailableError(f"The database file {path} cannot be written: {error}.") from error
            else:
                return
            runtime.sleep(PAUSE_S)

    return engine


def _sqlstate(error: DBAPIError) -> str:
    """PostgreSQL's five characters; "" where there are none."""
    details = getattr(error.orig, "args", ())
    return str(details[0].get("C", "")) if details and isinstance(details[0], dict) else ""


def _is_retried(error: DBAPIError) -> bool:
    if _sqlstate(error) in _RETRIED:
        return True
    name = getattr(error.orig, "sqlite_errorname", "")
    return name in {"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_FOREIGNKEY"}


def _reason(error: DBAPIError) -> str:
    details = getattr(error.orig, "args", ())
    if details and isinstance(details[0], dict):
        return str(details[0].get("M", error.orig))
    return str(error.orig)
