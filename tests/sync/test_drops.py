# SPDX-License-Identifier: Apache-2.0
"""Counters of many hosts and readings make one sum for each port, whatever becomes of hosts, flows and ofports."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from sdnctl.apps.statistics import Counted
from sdnctl.flows.pipeline import Reason, Side
from sdnctl.model.ids import Ofport, PortKey
from sdnctl.sync.drops import DropBook, Growth

ARP, MAC = Reason.FOREIGN_ARP, Reason.FOREIGN_MAC
FIVE = Counted(Side.FROM, Ofport(5), ARP)
SIX = Counted(Side.FROM, Ofport(6), ARP)


def everything(_counted: Counted) -> bool:
    return True


def whose(host_id: str, counted: Counted) -> str | None:
    """Ofport 5 of any host is a's, 6 of h1 is b's; key 1 is a."""
    if counted.side is Side.TO:
        return "a" if counted.number == 1 else None
    return {5: "a", 6: "b" if host_id == "h1" else None}.get(counted.number)


def took(book: DropBook, host_id: str, counters: dict[Counted, int]) -> list[Growth]:
    return book.take(host_id, book.begin(), counters, everything)


def test_what_comes_in_addition_is_told_once() -> None:
    book = DropBook(whose)
    assert took(book, "h1", {FIVE: 3}) == [Growth("a", Side.FROM, ARP, 3)]
    assert took(book, "h1", {FIVE: 3}) == []
    assert took(book, "h1", {FIVE: 10, SIX: 1}) == [Growth("a", Side.FROM, ARP, 7), Growth("b", Side.FROM, ARP, 1)]
    assert list(book.of("a")) == [(Side.FROM, ARP, 10)]


def test_a_port_keeps_what_it_did_on_other_hosts_and_before_a_switch_began_anew() -> None:
    book = DropBook(whose)
    took(book, "h1", {FIVE: 3, Counted(Side.TO, PortKey(1), Reason.CUT): 2})
    took(book, "h2", {FIVE: 4})
    took(book, "h1", {FIVE: 1})
    took(book, "h1", {})
    took(book, "h1", {FIVE: 1})
    assert list(book.of("a")) == [(Side.FROM, ARP, 3 + 4 + 1 + 1), (Side.TO, Reason.CUT, 2)]


def test_an_older_reading_says_nothing_any_more() -> None:
    """Two are under way, and the one that was asked for first is worked on last."""
    book = DropBook(whose)
    early, late = book.begin(), book.begin()
    assert book.take("h1", late, {FIVE: 9}, everything) == [Growth("a", Side.FROM, ARP, 9)]
    assert book.take("h1", early, {FIVE: 4}, everything) == []
    assert took(book, "h1", {FIVE: 10}) == [Growth("a", Side.FROM, ARP, 1)]


def test_a_look_at_one_port_forgets_nothing_of_the_others() -> None:
    book = DropBook(whose)
    took(book, "h1", {FIVE: 3, SIX: 8})
    assert book.take("h1", book.begin(), {FIVE: 4}, lambda counted: counted == FIVE) == [Growth("a", Side.FROM, ARP, 1)]
    assert took(book, "h1", {FIVE: 4, SIX: 8}) == []


def test_nobodys_frames_are_nobodys() -> None:
    """They grow as others do, and are in no port's sums."""
    book = DropBook(whose)
    assert took(book, "h2", {SIX: 5}) == [Growth(None, Side.FROM, ARP, 5)]
    assert took(book, "h2", {SIX: 7}) == [Growth(None, Side.FROM, ARP, 2)]
    assert list(book.of("b")) == []


def test_forgotten_ports_and_hosts() -> None:
    book = DropBook(whose)
    took(book, "h1", {FIVE: 3})
    book.forget_port("a")
    assert list(book.of("a")) == []
    book.forget_host("h1")
    assert took(book, "h1", {FIVE: 3}) == [Growth("a", Side.FROM, ARP, 3)]


@given(st.lists(st.tuples(st.sampled_from(("h1", "h2")), st.integers(1, 50), st.booleans()), max_size=20))
def test_sum_of_growths_is_what_was_dropped(history: list[tuple[str, int, bool]]) -> None:
    """However it is cut into readings, if a switch begins anew only after it was read."""
    book, now, told = DropBook(whose), Counter[str](), 0
    for host_id, more, begins_anew in history:
        now[host_id] += more
        told += sum(one.packets for one in took(book, host_id, {FIVE: now[host_id]}))
        if begins_anew:
            now[host_id] = 0
            took(book, host_id, {})
    dropped = sum(more for _, more, _ in history)
    assert told == dropped
    assert sum(packets for _, _, packets in book.of("a")) == dropped


happenings = st.sampled_from(("drops", "drops", "goes", "asks for all", "asks for one", "reads", "reads the last"))


@given(st.lists(happenings, max_size=25))
@settings(max_examples=500)
def test_nothing_is_counted_twice(history: list[str]) -> None:
    """However readings of all and of one overtake each other, and whenever a counter goes and comes back."""
    book = DropBook(whose)
    now, life, told = 0, 0, 0
    shown: dict[int, int] = {}
    under_way: list[tuple[int, dict[Counted, int], tuple[Counted, ...]]] = []
    for what in history:
        if what == "drops":
            now += 1
        elif what == "goes":
            now, life = 0, life + 1
        elif what.startswith("asks"):
            shown[life] = now
            scope = (FIVE, SIX) if what == "asks for all" else (FIVE,)
            under_way.append((book.begin(), {FIVE: now} if now else {}, scope))
        elif under_way:
            order, counters, scope = under_way.pop(-1 if what == "reads the last" else 0)
            told += sum(one.packets for one in book.take("h1", order, counters, scope.__contains__))
    assert told <= sum(shown.values())
