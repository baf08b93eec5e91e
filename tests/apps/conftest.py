# SPDX-License-Identifier: Apache-2.0
"""The cloud that packet tests use, on a real switch.

host 1   green (vxlan)  1, 2, 3 (pairs), 4 (owns every address), 5 (no DHCP)
         blue (vlan)    11, with the addresses of 1
         flat           21
         open (vxlan)   31 (port security off), 32
host 2   green 6, blue 12 with the addresses of 2, flat 22, open 33 (port security off)
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sdnctl.model.network import NetworkType
from sdnctl.model.views import Source
from tests.apps.clouds import Cloud, Guest, Net
from tests.apps.lab import Lab
from tests.apps.packets import mac, v4, v6
from tests.support.dummy_ovs import DummySwitch, dummy_switches

GREEN = Net(1, NetworkType.VXLAN, 5000)
BLUE = Net(2, NetworkType.VLAN, 300)
FLAT = Net(3, NetworkType.FLAT, None)
OPEN = Net(4, NetworkType.VXLAN, 5001)

PAIRS = (
    Source(mac(3), 4, v4(0x80), 0xFFFFFFF0),
    Source(mac(0x83), 4, v4(0x93), 0xFFFFFFFF),
    Source(mac(0x83), 6, v6(0x93), (1 << 128) - 1),
)
SHARED = (
    Source(mac(0x83), 4, v4(0x94), 0xFFFFFFFF),
    Source(mac(0x83), 6, v6(0x94), (1 << 128) - 1),
)
"""Guest 2 may use a MAC of guest 3's, with other addresses."""
EVERYTHING = (Source(mac(4), 4, 0, 0), Source(mac(4), 6, 0, 0))

CLOUD = Cloud(
    (
        Guest(1, GREEN, 1),
        Guest(2, GREEN, 1, pairs=SHARED),
        Guest(3, GREEN, 1, pairs=PAIRS),
        Guest(4, GREEN, 1, pairs=EVERYTHING),
        Guest(5, GREEN, 1, dhcp=False),
        Guest(6, GREEN, 2),
        Guest(70, GREEN, 1),
        Guest(11, BLUE, 1, same_as=1),
        Guest(12, BLUE, 2, same_as=2),
        Guest(21, FLAT, 1),
        Guest(22, FLAT, 2),
        Guest(31, OPEN, 1, filters=None),
        Guest(32, OPEN, 1),
        Guest(33, OPEN, 2, filters=None),
    )
)

switch = pytest.fixture(scope="package", name="switch")(dummy_switches)


@pytest.fixture(scope="package", name="built_lab")
def _built_lab(switch: DummySwitch) -> Iterator[Lab]:
    built = Lab(switch, CLOUD)
    yield built
    built.close()


@pytest.fixture
def lab(built_lab: Lab) -> Lab:
    """The lab, with nothing under way that an earlier test sent."""
    built_lab.settle()
    return built_lab
