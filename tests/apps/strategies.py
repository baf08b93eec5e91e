# SPDX-License-Identifier: Apache-2.0
"""Random clouds for laws about packets: sparse ones, ones with many rules, and ones with every kind of network."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from sdnctl.model.ids import GroupKey
from sdnctl.model.security import Direction
from sdnctl.model.views import GroupRule
from tests.apps.clouds import Cloud
from tests.apps.conftest import CLOUD
from tests.apps.test_laws import clouds, policies
from tests.apps.test_policy_model import clouds as guarded_clouds


@st.composite
def crowded(draw: st.DrawFn) -> Cloud:
    """Every kind of network at once, on two hosts, and security groups that allow more than they refuse."""
    groups = [tuple(sorted(draw(st.sets(st.integers(1, 4), max_size=2)))) for _ in CLOUD.guests]
    guests = tuple(replace(guest, groups=some) for guest, some in zip(CLOUD.guests, groups, strict=True))
    anything = tuple(GroupRule(direction=way, version=version) for way in Direction for version in (4, 6))
    found = [draw(policies(GroupKey(key))) for key in range(1, 5)]
    found[0] = replace(found[0], rules=(*found[0].rules, *anything))
    return replace(CLOUD, guests=guests, policies=tuple(found))


def any_cloud() -> st.SearchStrategy[Cloud]:
    return st.one_of(clouds(), guarded_clouds(), crowded())
