# SPDX-License-Identifier: Apache-2.0
"""What a port's filters touch."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sdnctl.model.filters import ALL, NONE, Filters
from sdnctl.model.views import LocalPort
from sdnctl.sync.units import Unit, UnitKind
from sdnctl.sync.world import World
from tests.sync import clouds
from tests.sync.test_world import follow, full

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


def filters_of(world: World) -> Filters | None:
    view = world.view("id-h1", PORT)
    assert isinstance(view, LocalPort)
    return view.filters


@pytest.mark.proves("S14")
def test_in_a_network_of_ones_own_without_subnet_addresses_are_free() -> None:
    """MAC and tag stay; with the first subnet, or once others rely on the network, all is as chosen."""
    world, _ = clouds.busy_cloud()
    port = clouds.port("p1", groups=("g1",))
    followed = {"id-h1": full(world, "id-h1")}
    world.take_dirty("id-h1")
    for step, expected in (
        (lambda: world.remove_subnet("subnet-tunnelled"), Filters(arp=False, ip=False)),
        (lambda: world.put_port(replace(port, security_filters=Filters(mac=False))), NONE),
        (lambda: world.put_port(replace(port, port_security_enabled=False)), None),
        (lambda: world.put_port(port), Filters(arp=False, ip=False)),
        (lambda: world.put_network(clouds.network("tunnelled", shared=True)), ALL),
        (lambda: world.put_network(clouds.network("tunnelled")), Filters(arp=False, ip=False)),
        (lambda: world.put_network(replace(clouds.network("tunnelled"), external=True)), ALL),
        (lambda: world.put_network(clouds.network("tunnelled")), Filters(arp=False, ip=False)),
        (lambda: world.put_subnet(clouds.subnet("tunnelled", dhcp=False)), ALL),
    ):
        step()
        assert filters_of(world) == expected
        follow(world, "id-h1", followed["id-h1"])
        assert followed["id-h1"] == full(world, "id-h1")


@pytest.mark.proves("S14")
def test_on_a_flat_network_without_subnet_nothing_is_free() -> None:
    world, _ = clouds.busy_cloud()
    world.remove_subnet("subnet-plain")
    view = world.view("id-h2", Unit(UnitKind.PORT, "p4"))
    assert isinstance(view, LocalPort)
    assert view.filters == ALL
