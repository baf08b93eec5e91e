# SPDX-License-Identifier: Apache-2.0
"""Connections wait for the host that knows them; who only claims to be a host's bridge is turned away."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from sdnctl.model.host import HostFacts
from sdnctl.sync.door import UNKNOWN_CONNECTIONS, Door

LIAR = "192.0.2.9:40000"


class Bridge:
    """A connection, as far as the door looks at it."""

    def __init__(self, dpid: int, serial: str = "right", peer: str = LIAR) -> None:
        self.dpid, self.serial, self.peer = dpid, serial, peer
        self.closed = ""
        self.tell: Callable[[str], None] = lambda _reason: None

    def on_closed(self, callback: Callable[[str], None]) -> None:
        self.tell = callback

    def close(self, reason: str) -> None:
        self.closed = reason
        self.tell(reason)


class Hosts:
    """Two hosts, and what was given to them."""

    def __init__(self) -> None:
        self.facts: dict[str, HostFacts] = {}
        self.given: list[tuple[str, Bridge]] = []
        tasks = {name: SimpleNamespace(host=SimpleNamespace(name=name)) for name in ("h1", "h2")}
        self.door = Door(tasks, self.facts, lambda host_id, _task, bridge: self.given.append((host_id, bridge)))

    def report(self, host_id: str, dpid: int, serial: str = "right") -> None:
        self.facts[host_id] = HostFacts(datapath_id=dpid, serial=serial, interfaces={})
        self.door.facts_changed()


@pytest.fixture
def hosts() -> Hosts:
    return Hosts()


def test_who_comes_first_waits(hosts: Hosts) -> None:
    bridge = Bridge(1)
    hosts.door.enter(bridge)
    assert hosts.given == []
    hosts.report("h2", 2)
    assert hosts.given == []
    hosts.report("h1", 1)
    hosts.report("h1", 1)
    assert hosts.given == [("h1", bridge)]


def test_who_has_gone_is_given_to_nobody(hosts: Hosts) -> None:
    bridge = Bridge(1)
    hosts.door.enter(bridge)
    bridge.close("it went")
    hosts.report("h1", 1)
    assert hosts.given == []


def test_of_two_hosts_with_one_datapath_id_the_serial_number_tells(hosts: Hosts) -> None:
    hosts.report("h1", 1, "one")
    hosts.report("h2", 1, "two")
    bridge = Bridge(1, "two")
    hosts.door.enter(bridge)
    assert hosts.given == [("h2", bridge)]
    assert (hosts.door.intrusion("h1"), hosts.door.intrusion("h2")) == ("", "")


def test_a_liar_is_turned_away_and_told_of_until_the_right_one_comes(hosts: Hosts) -> None:
    hosts.report("h1", 1)
    liar = Bridge(1, "wrong")
    hosts.door.enter(liar)
    assert "serial number" in liar.closed
    assert LIAR in hosts.door.intrusion("h1")
    assert hosts.given == []
    hosts.door.enter(Bridge(1))
    assert hosts.door.intrusion("h1") == ""


def test_only_so_many_wait(hosts: Hosts) -> None:
    """Whoever connects for nothing drives out the oldest of those, and takes no room for ever."""
    bridges = [Bridge(100 + number) for number in range(UNKNOWN_CONNECTIONS + 1)]
    for bridge in bridges:
        hosts.door.enter(bridge)
    assert [bridge.closed != "" for bridge in bridges] == [True] + [False] * UNKNOWN_CONNECTIONS
    hosts.report("h1", 101)
    assert hosts.given == [("h1", bridges[1])]
