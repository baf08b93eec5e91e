# SPDX-License-Identifier: Apache-2.0
"""Who holds an IP group: the last one that announced it, moved so often and no oftener."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netaddr import EUI

from sdnctl.errors import UnavailableError
from sdnctl.model.ids import Revision
from sdnctl.model.ip_group import IpGroup
from sdnctl.sync.holders import BURST, REFILL_S, Holders
from tests.sync import clouds

VIRTUAL = EUI("00-00-5E-00-01-07")


class Groups:
    """A store that knows groups, and a world that has read of them at once."""

    def __init__(self) -> None:
        self.known: dict[str, IpGroup] = {name: clouds.ip_group(name, "p1", "p2") for name in clouds.IP_GROUPS}
        self.moves: list[tuple[str, str | None]] = []
        self.is_away = False

    def move_holder(self, group_id: str, port_id: str | None, virtual_mac: EUI | None) -> Revision | None:
        if self.is_away:
            raise UnavailableError("the database is away")
        old = self.known[group_id]
        new = replace(old, holder=port_id, virtual_mac=virtual_mac)
        if new == old:
            return None
        self.known[group_id] = new
        self.moves.append((group_id, port_id))
        return Revision(len(self.moves))


def test_the_last_announcement_counts() -> None:
    groups = Groups()
    holders = Holders(groups, groups.known)
    holders.announced("vip1", "p1", None)
    holders.announced("vip1", "p2", VIRTUAL)
    holders.announced("vip2", "p1", None)
    assert holders.work(0.0) is None
    assert groups.moves == [("vip1", "p2"), ("vip2", "p1")]
    assert groups.known["vip1"].virtual_mac == VIRTUAL


def test_repeated_announcements_cost_no_move() -> None:
    groups = Groups()
    holders = Holders(groups, groups.known)
    for _ in range(10 * BURST):
        holders.announced("vip1", "p1", None)
        assert holders.work(0.0) is None
    assert groups.moves == [("vip1", "p1")]


def test_a_group_that_flaps_is_nobodys_until_it_may_move_again() -> None:
    """So that every member's announcement is heard, and the last one is carried out; others move meanwhile."""
    groups = Groups()
    holders = Holders(groups, groups.known)
    for number in range(BURST):
        holders.announced("vip1", ("p1", "p2")[number % 2], None)
        assert holders.work(0.0) is None
    for port_id in ("p1", "p2", "p1"):
        holders.announced("vip1", port_id, None)
        assert holders.work(0.0) == pytest.approx(REFILL_S)
        assert groups.known["vip1"].holder is None
    assert len(groups.moves) == BURST + 1
    holders.announced("vip2", "p1", None)
    assert holders.work(0.5) == pytest.approx(REFILL_S - 0.5)
    assert groups.known["vip2"].holder == "p1"
    assert holders.work(REFILL_S) is None
    assert groups.known["vip1"].holder == "p1"


def test_what_was_announced_while_the_store_was_away_is_carried_out() -> None:
    groups = Groups()
    holders = Holders(groups, groups.known)
    groups.is_away = True
    holders.announced("vip1", "p1", None)
    with pytest.raises(UnavailableError):
        holders.work(0.0)
    groups.is_away = False
    assert holders.work(1.0) is None
    assert groups.moves == [("vip1", "p1")]


@given(
    st.lists(st.tuples(st.sampled_from(clouds.IP_GROUPS), st.sampled_from(("p1", "p2")), st.floats(0, 5)), max_size=60)
)
def test_moves_are_bounded_and_the_last_claim_wins(history: list[tuple[str, str, float]]) -> None:
    groups = Groups()
    holders = Holders(groups, groups.known)
    now, last = 0.0, dict[str, str]()
    for group_id, port_id, later in history:
        now += later
        holders.announced(group_id, port_id, None)
        last[group_id] = port_id
        holders.work(now)
        for name in clouds.IP_GROUPS:
            to_somebody = [one for one, holder in groups.moves if one == name and holder is not None]
            assert len(to_somebody) <= BURST + now / REFILL_S
    holders.work(now + REFILL_S)
    assert {name: one.holder for name, one in groups.known.items() if name in last} == last
