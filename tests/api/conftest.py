# SPDX-License-Identifier: Apache-2.0
"""An application over a repository in memory or over a real store, and clients of it without a socket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sdnctl.api.app import Application
from sdnctl.api.auth import by_token
from tests.api.client import Client
from tests.api.fake import FakeFabric, FakeRepository
from tests.api.live import Live, opened


@pytest.fixture
def repository() -> FakeRepository:
    return FakeRepository()


@pytest.fixture
def fabric() -> FakeFabric:
    return FakeFabric()


@pytest.fixture
def client(repository: FakeRepository, fabric: FakeFabric) -> Client:
    return Client(Application(repository, by_token(repository), fabric=fabric))


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    """The API over a real store on SQLite, with two projects."""
    with opened(tmp_path) as live:
        yield live
