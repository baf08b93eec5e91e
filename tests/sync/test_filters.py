# SPDX-License-Identifier: Apache-2.0
"""What a port's filters touch."""

from __future__ import annotations

import pytest

from sdnctl.model.filters import Filters
from sdnctl.sync.units import Unit, UnitKind
from tests.sync import clouds
from tests.sync.test_world import full

PORT = Unit(UnitKind.PORT, "p1")
FLOOD = {Unit(UnitKind.CHUNK, "tunnelled", 0), Unit(UnitKind.NETWORK, "tunnelled")}


@pytest.mark.parametrize(
    ("filters", "here", "there"),
    (
        (Filters(arp=False), {PORT}, set()),
        (Filters(ip=False), {PORT}, set()),
        (Filters(mac=False), {PORT, *FLOOD}, {Unit(UnitKind.NETWORK, "tunnelled")}),
    ),
    ids=("arp", "ip", "mac"),
)
def test_a_filter_changes_its_own_port(filters: Filters, here: set[Unit], there: set[Unit]) -> None:
    """No other view changes; the MAC filter is also about how the network floods for unknown addresses."""
    world, _ = clouds.busy_cloud()
    before = {host: full(world, host) for host in ("id-h1", "id-h2")}
    for host in before:
        world.take_dirty(host)
    world.put_port(clouds.port("p1", groups=("g1",), filters=filters))
    for host, touched in (("id-h1", here), ("id-h2", there)):
        after, dirty = full(world, host), world.take_dirty(host)
        assert after.keys() == before[host].keys()
        assert {unit for unit, view in after.items() if view != before[host][unit]} == touched
        assert touched <= dirty.keys()
