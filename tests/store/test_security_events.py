# SPDX-License-Identifier: Apache-2.0
"""Security events in the database: what is written is read, what is too much goes, who sees which."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from sdnctl.errors import NotFoundError
from sdnctl.model.request import Context, Query
from sdnctl.store import Store, security_events
from tests.events import BEGAN, event
from tests.store.cloud import ADMIN, Cloud

BLUE, RED = (Context(name, name, frozenset({"member", "reader"})) for name in ("blue", "red"))


def test_what_is_written_is_read(store: Store) -> None:
    first = event(1)
    store.record_events([first])
    assert store.load_events() == [first]
    grown = replace(first, packets=10**12, last_seen=BEGAN + 99.25, active=False, reading=3, host="h2")
    store.record_events([grown, event(2, reason="tagged")])
    assert store.load_events() == [grown, event(2, reason="tagged")]


def test_no_journal_entry_and_no_revision(store: Store) -> None:
    """It is no intent: nobody has to compute anything because of it."""
    before = store.revision()
    store.record_events([event(1)])
    assert store.revision() == before
    assert store.changes(before) == ()


def test_the_last_one_of_each_port_and_reason_is_loaded(store: Store) -> None:
    other = event(3, port_id=str(UUID(int=0xA1)))
    store.record_events([event(1, active=False), event(2), other, event(4, reason="tagged")])
    assert store.load_events() == [event(2), other, event(4, reason="tagged")]


def test_the_oldest_of_a_project_go_first(store: Store) -> None:
    """An attacker's project cannot take another one's place."""
    most = security_events.MOST_OF_A_PROJECT
    store.record_events([event(5000, project_id="red")])
    store.record_events([event(number) for number in range(1, most + 11)])
    found = store.list(ADMIN, "security_event", Query(filters=(("project_id", ("blue",)),)))
    assert len(found) == most
    assert min(str(one["id"]) for one in found) == event(11).id
    assert [one["id"] for one in store.list(RED, "security_event", Query())] == [event(5000).id]


def test_a_tenant_sees_its_own(cloud: Cloud) -> None:
    cloud.store.record_events([event(1), event(2, project_id="red")])
    assert [one["id"] for one in cloud.store.list(BLUE, "security_event", Query())] == [event(1).id]
    assert [one["id"] for one in cloud.store.list(ADMIN, "security_event", Query())] == [event(1).id, event(2).id]
    assert cloud.store.get(BLUE, "security_event", event(1).id)["text"] == "ARP for 10.0.0.12"
    with pytest.raises(NotFoundError, match="SecurityEvent"):
        cloud.store.get(BLUE, "security_event", event(2).id)


def test_pages_in_order_of_time(store: Store) -> None:
    store.record_events([event(number) for number in range(1, 8)])
    newest = Query(sort=(("first_seen", True),), limit=3)
    page = store.list(ADMIN, "security_event", newest)
    following = store.list(ADMIN, "security_event", replace(newest, marker=str(page[-1]["id"])))
    assert [one["id"] for one in (*page, *following)] == [event(number).id for number in (7, 6, 5, 4, 3, 2)]
