# SPDX-License-Identifier: Apache-2.0
"""Quotas hold to the last object, however many ask at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sdnctl.errors import ConflictError
from sdnctl.store import Settings, Store
from tests.store.cloud import ADMIN, ALICE, BOB, Cloud
from tests.store.test_parallel import at_once, kinds


@pytest.fixture
def cloud(url: str) -> Iterator[Cloud]:
    store = Store.open(url, Settings(quotas={"network": 3, "port": 10, "subnet": -1}))
    yield Cloud(store)
    store.close()


def test_the_last_place_is_taken_once(cloud: Cloud) -> None:
    results = at_once(12, lambda number: cloud.network(name=f"n{number}"))
    assert kinds(results) == ["OverQuota"] * 9
    cloud.network(BOB)


def test_bulk_counts_all_its_items_and_leaves_none(cloud: Cloud) -> None:
    network = cloud.network()
    cloud.ports(network, 8)
    with pytest.raises(ConflictError, match="would have 11 and may have 10") as refused:
        cloud.ports(network, 3)
    assert refused.value.kind == "OverQuota"
    cloud.ports(network, 2)


def test_place_that_was_given_back_can_be_taken(cloud: Cloud) -> None:
    networks = [cloud.network() for _ in range(3)]
    with pytest.raises(ConflictError):
        cloud.network()
    cloud.delete("network", networks[0])
    cloud.network()


def test_whom_an_object_is_made_for_counts(cloud: Cloud) -> None:
    for _ in range(3):
        cloud.network(ADMIN, project_id=ALICE.project_id)
    with pytest.raises(ConflictError, match=ALICE.project_id):
        cloud.network()
    cloud.network(ADMIN)
