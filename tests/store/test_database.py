# SPDX-License-Identifier: Apache-2.0
"""Opening a database: where it may be, migrations, and what happens when it is away or busy."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, create_engine, select, text

from sdnctl import runtime
from sdnctl.errors import InvalidError, UnavailableError
from sdnctl.model.request import Query
from sdnctl.store import Store, migrate, tables
from sdnctl.store.database import Database, parse_url
from sdnctl.store.objects import KINDS
from tests.events import event
from tests.store.cloud import ADMIN, ALICE, Cloud
from tests.store.postgres import Server


@pytest.mark.parametrize(
    ("url", "parsed"),
    (
        ("sqlite:////var/lib/x.db", "sqlite+pysqlite:////var/lib/x.db"),
        ("postgresql://u:p@h/d", "postgresql+pg8000://u:***@h/d"),
        ("postgresql+psycopg://u@h:5433/d", "postgresql+pg8000://u@h:5433/d"),
        ("postgresql:///d?host=/run/pg", "postgresql+pg8000:///d?unix_sock=%2Frun%2Fpg%2F.s.PGSQL.5432"),
    ),
)
def test_url(url: str, parsed: str) -> None:
    assert str(parse_url(url)) == parsed


@pytest.mark.parametrize("url", ("x", "sqlite://", "sqlite:///:memory:", "mysql://h/d"))
def test_bad_url(url: str) -> None:
    with pytest.raises(InvalidError, match="database: "):
        Store.open(url)


def test_file_is_its_owners_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        store = Store.open(f"sqlite:///{tmp_path}/x.db")
        Cloud(store).network()
        assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
        store.close()
    finally:
        os.umask(old)


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot be opened: No such file"):
        Store.open(f"sqlite:///{tmp_path}/missing/x.db")


def test_sqlite_is_set_up_to_lose_nothing(sqlite_url: str) -> None:
    database = Database(sqlite_url)

    def pragma(name: str) -> object:
        return database.write(lambda connection: connection.execute(text(f"PRAGMA {name}")).scalar())

    assert [pragma(name) for name in ("journal_mode", "synchronous", "foreign_keys")] == ["wal", 2, 1]
    database.close()


# ----------------------------------------------------------------------------------------------------------- migrations


SCHEMAS = [script.revision for script in ScriptDirectory(str(migrate.SCRIPTS)).walk_revisions()][::-1]
"""Oldest first."""


def test_head_is_the_newest_script() -> None:
    assert SCHEMAS[-1] == migrate.HEAD


def test_migrated_is_what_the_tables_say(store: Store) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, tables.metadata))

    assert store._database.read(differences) == []


def test_migrated_has_the_same_constraints(empty_file: Path, tmp_path: Path) -> None:
    """Compared as SQL, because Alembic does not see all of them."""
    engine = create_engine(f"sqlite:///{tmp_path}/direct.db")
    tables.metadata.create_all(engine)
    engine.dispose()

    def schema(path: Path) -> list[list[str]]:
        connection = sqlite3.connect(path)
        rows = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'alembic%'")
        # A column that was added later stands at the end, behind the constraints.
        outside = r",(?![^(]*\))"
        # A table that was made anew by a migration has its name in quotes.
        bare = (re.sub(r'^CREATE TABLE "(\w+)"', r"CREATE TABLE \1", sql) for (sql,) in rows)
        found = [sorted(part.strip() for part in re.split(outside, sql.strip().removesuffix(")"))) for sql in bare]
        connection.close()
        return sorted(found)

    assert schema(empty_file) == schema(tmp_path / "direct.db")


def test_migrated_database_is_opened_without_alembic(sqlite_url: str) -> None:
    script = f"""
        from sdnctl import runtime
        runtime.install()
        import sys
        from sdnctl.store import Store
        Store.open({sqlite_url!r}).close()
        sys.exit("alembic" in sys.modules)
    """
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)], check=False).returncode == 0


@pytest.mark.parametrize("schema", SCHEMAS[:-1])
def test_what_there_was_is_there_after_a_migration(cloud: Cloud, empty_url: str, schema: str) -> None:
    """Of whatever schema the database was. What a port had not then it has not afterwards: nothing filters it."""
    network = cloud.network(tags=["a"])
    cloud.subnet(network)
    port = cloud.port(network, security_groups=[], allowed_address_pairs=[{"ip_address": "10.0.0.77"}])
    group = cloud.create("security_group")
    cloud.create("security_group_rule", security_group_id=group["id"], direction="ingress")
    cloud.create("address_group", addresses=["10.1.0.0/16"])
    cloud.create("ip_group", network_id=network["id"], port_ids=[port["id"]])
    policy = cloud.create("qos_policy", ADMIN)
    cloud.create("bandwidth_limit_rule", ADMIN, qos_policy_id=policy["id"], max_kbps=1000)
    cloud.host(bridge_mappings={"physnet1": "br-ex"})
    cloud.create("token", ADMIN, project_id=cloud.create("project", ADMIN, name="p")["id"])
    cloud.store.record_events([event(port_id=port["id"])])
    there = {kind: cloud.list(kind, ADMIN) for kind in KINDS}
    assert all(there[kind] for kind in KINDS.keys() - {"packet_rate_limit_rule", "dscp_marking_rule"})

    old = Database(empty_url)
    old.write(lambda connection: migrate.upgrade(connection, is_sqlite=old.is_sqlite, target=schema))
    tables_then = cloud.store._database.read(lambda new: old.write(lambda connection: _copy(new, connection)))
    old.close()

    store = Store.open(empty_url, cloud.store._settings)
    migrated = Cloud(store)
    kept = {name for name, kind in KINDS.items() if kind.table.name in tables_then}
    assert {"network", "subnet", "port", "host", "project", "token"} <= kept
    assert {kind: migrated.list(kind, ADMIN) for kind in kept} == {kind: there[kind] for kind in kept}
    assert migrated.port(network)["security_groups"] != []
    store.close()


def _copy(new: Connection, old: Connection) -> set[str]:
    """Fill the tables of an older schema with as much of a newer one as they can hold; their names."""
    theirs, ours = MetaData(), MetaData()
    theirs.reflect(new)
    ours.reflect(old)
    for table in ours.sorted_tables:
        if table.name == "alembic_version":
            continue
        old.execute(table.delete())
        rows = new.execute(select(*(theirs.tables[table.name].c[column.name] for column in table.c))).mappings()
        needed = [column.name for column in table.c if not column.nullable]
        fitting = [dict(row) for row in rows if all(row[name] is not None for name in needed)]
        if fitting:
            old.execute(table.insert(), fitting)
    return set(ours.tables)


def test_newer_database_is_refused(url: str) -> None:
    store = Store.open(url)
    store._database.write(
        lambda connection: connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    )
    try:
        with pytest.raises(UnavailableError, match="schema 9999, which this version of sdnctl does not know"):
            Store.open(url)
    finally:
        store._database.write(
            lambda connection: connection.execute(text(f"UPDATE alembic_version SET version_num = '{migrate.HEAD}'"))
        )
        store.close()


def test_foreign_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE addresses (street TEXT)")
    connection.close()
    with pytest.raises(UnavailableError, match="tables that are not sdnctl's"):
        Store.open(f"sqlite:///{path}")


MIGRATE_AND_DIE = """
    from sdnctl import runtime
    runtime.install()
    import os, signal, sys
    from alembic.operations import Operations
    from sdnctl.store import Store

    left = [int(sys.argv[2])]
    execute = Operations.invoke

    def invoke(self, operation):
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return execute(self, operation)

    Operations.invoke = invoke
    Store.open(sys.argv[1])
"""


@pytest.mark.parametrize("steps", (0, 3, 12))
def test_killed_in_a_migration(tmp_path: Path, steps: int) -> None:
    """Whatever was done of it is undone, and the next start does it all."""
    url = f"sqlite:///{tmp_path}/x.db"
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(MIGRATE_AND_DIE), url, str(steps)]
    assert subprocess.run(command, check=False).returncode == -9
    connection = sqlite3.connect(tmp_path / "x.db")
    assert connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    connection.close()
    store = Store.open(url)
    assert Cloud(store).network()
    store.close()


@pytest.mark.postgres
def test_killed_in_a_migration_of_postgres(server: Server) -> None:
    url = server.create("killed")
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(MIGRATE_AND_DIE), url, "5"]
    assert subprocess.run(command, check=False).returncode == -9
    store = Store.open(url)
    assert Cloud(store).network()
    store.close()


@pytest.mark.postgres
def test_two_that_migrate_at_once(server: Server) -> None:
    url = server.create("twice")
    script = (
        "from sdnctl import runtime; runtime.install(); import sys; import sdnctl.store as s; s.Store.open(sys.argv[1])"
    )
    started = [subprocess.Popen([sys.executable, "-W", "ignore", "-c", script, url]) for _ in range(3)]
    assert [process.wait() for process in started] == [0, 0, 0]


# -------------------------------------------------------------------------------------------------------- busy and away


def test_waits_for_another_process_without_stopping_the_hub(sqlite_url: str, tmp_path: Path) -> None:
    store = Store.open(sqlite_url)
    other = sqlite3.connect(tmp_path / "sdnctl.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    task = runtime.spawn(store.create, ALICE, "network", [{}])
    turns = 0
    until = runtime.monotonic() + 0.2
    while runtime.monotonic() < until:
        runtime.give_way()
        turns += 1
    assert task.is_running
    assert turns > 2
    assert store.list(ALICE, "network", Query()) == []
    other.execute("COMMIT")
    task.join()
    assert len(store.list(ALICE, "network", Query())) == 1
    other.close()
    store.close()


def test_read_only_disk(sqlite_url: str) -> None:
    store = Store.open(sqlite_url)
    for connection in (store._database._writer.connect(), store._database._engine.connect()):
        connection.exec_driver_sql("PRAGMA query_only=ON")
        connection.close()
    with pytest.raises(UnavailableError, match="cannot be written: attempt to write a readonly database"):
        Cloud(store).network()
    store.close()


@pytest.mark.postgres
def test_server_that_was_restarted(postgres_url: str, server: Server) -> None:
    """Dead connections are replaced: nobody notices, neither who reads nor who writes."""
    store = Store.open(postgres_url)
    cloud = Cloud(store)
    network = cloud.network()
    server.cut_connections()
    assert cloud.get("network", network) == network
    server.cut_connections()
    cloud.update("network", network, name="x")
    server.cut_connections()
    assert len(cloud.list("network")) == 1
    assert len(store.load().networks) == 1
    store.close()


@pytest.mark.postgres
def test_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="does not do its work"):
        Store.open(f"postgresql://u:secret@/d?host={tmp_path}")
