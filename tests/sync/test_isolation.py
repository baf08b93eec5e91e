# SPDX-License-Identifier: Apache-2.0
"""What client isolation, its service ports and their MACs touch: always what a full recompute says, and no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from sdnctl.model.port import DHCP_OWNER, Port
from sdnctl.model.views import FloodChunk, NetworkView, ServiceMac
from sdnctl.sync.units import Unit, UnitKind
from sdnctl.sync.world import World
from tests.sync import clouds
from tests.sync.test_world import follow, full


def isolated() -> World:
    """The busy cloud, in whose first network p2 is the only service port."""
    world, _ = clouds.busy_cloud()
    world.put_port(clouds.port("p2", groups=("g1",), service=True))
    world.put_network(clouds.network("tunnelled", isolated=True))
    return world


def rival() -> Port:
    """A client that may use the service port's MAC, by an address pair."""
    port = clouds.port("p1", groups=("g1",), pair=True)
    return replace(port, allowed_address_pairs=(replace(port.allowed_address_pairs[0], mac=clouds.mac("p2")),))


def service(name: str = "p2") -> Unit:
    return Unit(UnitKind.SERVICE_MAC, "tunnelled", int(clouds.mac(name)))


CHANGES: dict[str, Callable[[World], None]] = {
    "isolation ends": lambda world: world.put_network(clouds.network("tunnelled")),
    "another service port": lambda world: world.put_port(clouds.port("p1", groups=("g1",), service=True)),
    "one that is bound to no host": lambda world: world.put_port(clouds.port("p5", service=True)),
    "no service port any more": lambda world: world.put_port(clouds.port("p2", groups=("g1",))),
    "the service port is deleted": lambda world: world.remove_port("p2"),
    "it gets a further MAC": lambda world: world.put_port(clouds.port("p2", groups=("g1",), service=True, pair=True)),
    "it is taken down": lambda world: world.put_port(clouds.port("p2", groups=("g1",), service=True, up=False)),
    "it goes to another network": lambda world: world.put_port(clouds.port("p2", "plain", service=True)),
    "a client may use its MAC": lambda world: world.put_port(rival()),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_dirty_units_are_all_that_change(change: Callable[[World], None]) -> None:
    """There and back again."""
    world = isolated()
    followed = {host: full(world, host) for host in ("id-h1", "id-h2")}
    for host in followed:
        world.take_dirty(host)
    ports, network = list(world.ports.values()), world.networks["tunnelled"]

    def undo(world: World) -> None:
        for port in ports:
            world.put_port(port)
        world.put_network(network)

    for step in (change, undo):
        step(world)
        for host, views in followed.items():
            follow(world, host, views)
            assert views == full(world, host)


def test_a_service_port_and_whom_it_serves() -> None:
    world = isolated()
    network = world.view("id-h1", Unit(UnitKind.NETWORK, "tunnelled"))
    assert isinstance(network, NetworkView)
    assert network.isolated
    assert isinstance(world.view("id-h1", service()), ServiceMac)
    assert isinstance(world.view("id-h2", service()), ServiceMac)
    assert world.view("id-h1", service("p1")) is None
    here, there = (world.view(host, Unit(UnitKind.CHUNK, "tunnelled", 0)) for host in ("id-h1", "id-h2"))
    assert isinstance(here, FloodChunk)
    assert isinstance(there, FloodChunk)
    assert (here.service_ofports, there.service_ofports) == ((), (2,))


def test_nobody_is_told_about_clients() -> None:
    """But about service ports, and the DHCP server."""
    world = isolated()
    known = {name: world.view("id-h1", Unit(UnitKind.NEIGHBOUR, name)) is not None for name in ("p1", "p2", "p6")}
    assert known == {"p1": False, "p2": True, "p6": True}
    assert world.ports["p6"].device_owner == DHCP_OWNER


def test_a_mac_that_a_client_may_use_is_no_service_ports() -> None:
    world = isolated()
    world.put_port(rival())
    assert world.view("id-h1", service()) is None
    world.put_port(clouds.port("p1", groups=("g1",)))
    assert world.view("id-h1", service()) is not None


def test_a_list_touches_its_own_network() -> None:
    """Two units for the MAC on each host, and what floods and answers for that port."""
    world = isolated()
    for host in ("id-h1", "id-h2"):
        world.take_dirty(host)
    world.put_port(clouds.port("p5", service=True))
    for host in ("id-h1", "id-h2"):
        assert set(world.take_dirty(host)) == {service("p5")}
