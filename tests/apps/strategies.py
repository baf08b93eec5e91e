# SPDX-License-Identifier: Apache-2.0
"""Random clouds for laws about packets: sparse ones, ones with many rules, and ones with every kind of network."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from sdnctl.model.ids import GroupKey
from sdnctl.model.network import NetworkType
from sdnctl.model.security import Direction
from sdnctl.model.views import GroupRule
from tests.apps.clouds import Cloud, Guest, Net
from tests.apps.conftest import CLOUD
from tests.apps.test_laws import clouds, limits, policies, vips
from tests.apps.test_policy_model import clouds as guarded_clouds

FREE = Net(6, NetworkType.VXLAN, 5003, subnet=False)
UNKNOWN = tuple(Guest(number, FREE, host) for number, host in ((61, 1), (62, 1), (63, 2)))


@st.composite
def crowded(draw: st.DrawFn) -> Cloud:
    """Every kind of network at once, on two hosts, shared addresses, limits, and groups that allow more than not."""
    guests = [
        replace(guest, groups=tuple(sorted(draw(st.sets(st.integers(1, 4), max_size=2)))), qos=draw(limits))
        for guest in (*CLOUD.guests, *UNKNOWN)
    ]
    anything = tuple(GroupRule(direction=way, version=version) for way in Direction for version in (4, 6))
    found = [draw(policies(GroupKey(key))) for key in range(1, 5)]
    found[0] = replace(found[0], rules=(*found[0].rules, *anything))
    return replace(CLOUD, guests=tuple(guests), policies=tuple(found), vips=tuple(draw(vips(guests, 5))))


def any_cloud() -> st.SearchStrategy[Cloud]:
    return st.one_of(clouds(), guarded_clouds(), crowded())
