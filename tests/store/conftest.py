# SPDX-License-Identifier: Apache-2.0
"""Stores to test with: whatever takes `cloud` or `store` runs on SQLite and on PostgreSQL, on an empty database."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from sdnctl.store import Settings, Store
from sdnctl.store.tables import metadata
from tests.store.cloud import Cloud
from tests.store.postgres import Server

SETTINGS = Settings(vlan_ranges={"physnet1": ((100, 199),), "physnet2": ((300, 301),)}, physnet_mtu={"physnet2": 9000})

ON_BOTH = ("sqlite", pytest.param("postgres", marks=pytest.mark.postgres))


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database, to be copied: migrating takes longer than most tests."""
    path = tmp_path_factory.mktemp("template") / "empty.db"
    Store.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    try:
        server = Server()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def migrated(server: Server) -> str:
    """The name of a migrated PostgreSQL database."""
    Store.open(server.create("migrated")).close()
    return "migrated"


@pytest.fixture
def sqlite_url(empty_file: Path, tmp_path: Path) -> str:
    path = tmp_path / "sdnctl.db"
    shutil.copy(empty_file, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(server: Server, migrated: str) -> str:
    """A database as the migrations leave it. It is emptied rather than made anew, which takes ten times as long."""
    statements = [f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables) if table.name != "counters"]
    statements.append("UPDATE counters SET revision=0, network_key=0, port_key=0, host_key=0, group_key=0")
    server.execute("; ".join(statements), migrated)
    return server.url(migrated)


@pytest.fixture(params=ON_BOTH)
def url(request: pytest.FixtureRequest) -> str:
    name = f"{request.param}_url"
    return str(request.getfixturevalue(name))


@pytest.fixture
def empty_url(request: pytest.FixtureRequest, url: str, tmp_path: Path) -> str:
    """Another database of the same kind as `url`, without any tables."""
    if url.startswith("sqlite"):
        return f"sqlite:///{tmp_path / 'empty.db'}"
    server: Server = request.getfixturevalue("server")
    return server.create(f"empty_{uuid4().hex}")


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store.open(url, SETTINGS)
    yield store
    store.close()


@pytest.fixture
def cloud(store: Store) -> Cloud:
    return Cloud(store)
