# SPDX-License-Identifier: Apache-2.0
"""An application over a repository in memory, and a client of it without a socket."""

from __future__ import annotations

import pytest

from sdnctl.api.app import Application
from sdnctl.api.auth import by_token
from tests.api.client import Client
from tests.api.fake import FakeFabric, FakeRepository


@pytest.fixture
def repository() -> FakeRepository:
    return FakeRepository()


@pytest.fixture
def fabric() -> FakeFabric:
    return FakeFabric()


@pytest.fixture
def client(repository: FakeRepository, fabric: FakeFabric) -> Client:
    return Client(Application(repository, by_token(repository), fabric=fabric))
