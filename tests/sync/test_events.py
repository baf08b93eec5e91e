# SPDX-License-Identifier: Apache-2.0
"""One security event for each port and reason while it goes on; few writes whatever the rate; nothing told twice."""

from __future__ import annotations

import itertools

import pytest

from sdnctl.flows.pipeline import Reason
from sdnctl.model.statistics import SecurityEvent
from sdnctl.sync.events import QUIET_S, WRITE_S, SecurityEvents
from tests.apps.packets import arp, v4
from tests.events import BEGAN
from tests.sync import clouds

PORT, OTHER = clouds.port("p1"), clouds.port("p2")
ARP, TAGGED = Reason.FOREIGN_ARP, Reason.TAGGED


class Store:
    """Keeps events, and counts how often it was asked to."""

    def __init__(self) -> None:
        self.events: dict[str, SecurityEvent] = {}
        self.writes: list[int] = []
        self.is_away = False

    def load_events(self) -> list[SecurityEvent]:
        last = {(one.port_id, one.reason): one for one in sorted(self.events.values(), key=lambda one: one.first_seen)}
        return list(last.values())

    def record_events(self, events: list[SecurityEvent]) -> None:
        if self.is_away:
            raise OSError("the database is away")
        self.writes.append(len(events))
        self.events.update((one.id, one) for one in events)

    @property
    def told(self) -> list[tuple[str, int, bool]]:
        return [(one.reason, one.packets, one.active) for one in self.events.values()]


def wall(now: float) -> float:
    """What a clock on the wall shows then, if nobody sets it."""
    return BEGAN + now


def events_on(store: Store, now: float = 0.0) -> SecurityEvents:
    numbers = itertools.count(len(store.events))
    made = SecurityEvents(store, lambda: f"event{next(numbers)}")
    made.load(now)
    return made


@pytest.fixture
def store() -> Store:
    return Store()


def test_begins_grows_ends_and_begins_anew(store: Store) -> None:
    events = events_on(store)
    events.sampled(PORT, ARP, arp(1, v4(12), v4(1)))
    events.counted(PORT, "h1", ARP, 3, 100.0, wall(100.0))
    events.tick(100.0)
    [one] = store.events.values()
    assert one.text.startswith("ARP for 10.0.0.12 at 52:54:00:00:00:01, asking for 10.0.0.1")
    assert (one.first_seen, one.last_seen, one.packets, one.active) == (wall(100.0), wall(100.0), 3, True)
    events.counted(PORT, "h1", ARP, 10, 130.0, wall(130.0))
    events.tick(130.0)
    assert store.told == [("foreign_arp", 10, True)]
    events.counted(PORT, "h1", ARP, 10, 180.0, wall(180.0))
    events.tick(130.0 + QUIET_S - 1)
    assert store.told == [("foreign_arp", 10, True)]
    events.tick(130.0 + QUIET_S)
    assert store.told == [("foreign_arp", 10, False)]
    assert store.events["event0"].last_seen == wall(130.0)
    events.counted(PORT, "h1", ARP, 11, 500.0, wall(500.0))
    events.tick(500.0)
    assert store.told == [("foreign_arp", 10, False), ("foreign_arp", 1, True)]


@pytest.mark.parametrize("jump", (-86400.0, 86400.0))
def test_a_clock_that_is_set_ends_nothing_and_prolongs_nothing(store: Store, jump: float) -> None:
    """It changes what is shown."""
    events = events_on(store)
    events.counted(PORT, "h1", ARP, 3, 100.0, wall(100.0))
    events.tick(100.0)
    events.counted(PORT, "h1", ARP, 4, 110.0, wall(110.0) + jump)
    events.tick(110.0)
    assert store.told == [("foreign_arp", 4, True)]
    assert store.events["event0"].last_seen == wall(110.0) + jump
    events.tick(110.0 + QUIET_S)
    assert store.told == [("foreign_arp", 4, False)]


def test_one_for_each_port_and_reason(store: Store) -> None:
    events = events_on(store)
    for number, (port, reason) in enumerate(itertools.product((PORT, OTHER), (ARP, TAGGED)), 1):
        events.counted(port, "h1", reason, number, 1.0, wall(1.0))
    events.tick(WRITE_S)
    assert sorted((one.port_id, one.reason, one.packets) for one in store.events.values()) == [
        ("p1", "foreign_arp", 1),
        ("p1", "tagged", 2),
        ("p2", "foreign_arp", 3),
        ("p2", "tagged", 4),
    ]


def test_an_attack_of_any_size_costs_a_write_every_few_seconds(store: Store) -> None:
    events = events_on(store)
    for tenth in range(600):
        events.sampled(PORT, ARP, b"x")
        events.counted(PORT, "h1", ARP, tenth * 10_000 + 1, tenth / 10, wall(tenth / 10))
        events.tick(tenth / 10)
    assert len(store.writes) <= 60 / WRITE_S + 1
    assert set(store.writes) == {1}


def test_a_restart_goes_on_with_the_event(store: Store) -> None:
    """With what came meanwhile, and without telling the old once more."""
    events = events_on(store)
    events.counted(PORT, "h1", ARP, 5, 10.0, wall(10.0))
    events.counted(OTHER, "h1", ARP, 7, 10.0, wall(10.0))
    events.tick(10.0)
    events.tick(10.0 + QUIET_S)
    events.counted(PORT, "h1", ARP, 6, 90.0, wall(90.0))
    events.tick(90.0)
    assert store.told == [("foreign_arp", 5, False), ("foreign_arp", 7, False), ("foreign_arp", 1, True)]
    again = events_on(store, 100.0)
    again.counted(PORT, "h1", ARP, 9, 101.0, wall(101.0))
    again.counted(OTHER, "h1", ARP, 7, 101.0, wall(101.0))
    again.tick(101.0)
    assert store.told == [("foreign_arp", 5, False), ("foreign_arp", 7, False), ("foreign_arp", 4, True)]
    later = events_on(store, 1000.0)
    later.tick(1000.0 + QUIET_S)
    assert [active for _, _, active in store.told] == [False] * 3
    assert store.events["event2"].last_seen == wall(101.0)


def test_another_host_and_a_switch_that_began_anew_count_from_nothing(store: Store) -> None:
    events = events_on(store)
    events.counted(PORT, "h1", ARP, 5, 1.0, wall(1.0))
    events.counted(PORT, "h2", ARP, 6, 2.0, wall(2.0))
    events.counted(PORT, "h2", ARP, 2, 3.0, wall(3.0))
    events.tick(WRITE_S)
    assert store.told == [("foreign_arp", 13, True)]
    assert store.events["event0"].host == "h2"


def test_what_the_database_does_not_take_is_written_later(store: Store) -> None:
    events = events_on(store)
    store.is_away = True
    events.counted(PORT, "h1", ARP, 5, 1.0, wall(1.0))
    with pytest.raises(OSError, match="away"):
        events.tick(WRITE_S)
    store.is_away = False
    events.tick(3 * WRITE_S)
    assert store.told == [("foreign_arp", 5, True)]
    store.is_away = True
    events.counted(PORT, "h1", ARP, 8, 20.0, wall(20.0))
    with pytest.raises(OSError, match="away"):
        events.tick(5 * WRITE_S)
    store.is_away = False
    events.counted(PORT, "h1", ARP, 9, 26.0, wall(26.0))
    events.tick(7 * WRITE_S)
    assert store.told == [("foreign_arp", 9, True)]


def test_what_a_deleted_port_was_shown_with_is_forgotten(store: Store) -> None:
    """Also when nothing of it was counted yet."""
    events = events_on(store)
    events.sampled(PORT, ARP, arp(1, v4(12), v4(1)))
    events.forget_port("p1")
    events.counted(PORT, "h1", ARP, 1, 1.0, wall(1.0))
    events.tick(WRITE_S)
    assert [one.text for one in store.events.values()] == [ARP.text]


def test_the_port_is_deleted(store: Store) -> None:
    events = events_on(store)
    events.counted(PORT, "h1", ARP, 5, 1.0, wall(1.0))
    events.tick(WRITE_S)
    events.forget_port("p1")
    events.tick(3 * WRITE_S)
    assert store.told == [("foreign_arp", 5, False)]
    assert not events.is_busy


def test_without_a_sample_the_reason_says_it(store: Store) -> None:
    events = events_on(store)
    events.counted(PORT, "h1", TAGGED, 5, 1.0, wall(1.0))
    events.tick(WRITE_S)
    assert store.events["event0"].text == TAGGED.text
