# SPDX-License-Identifier: Apache-2.0
"""Whatever happens in whatever order: in the end everything is as wished, and what is others' is as they left it."""

from __future__ import annotations

import contextlib
import random
import signal
from collections.abc import Callable

import pytest
from netaddr import IPAddress

from sdnctl.model.host import HostFacts, PlugSpec
from sdnctl.ovsdb.goal import patch_names, tunnel_name
from tests.ovsdb.support import TARGET, Watched, a_host, plugs, records, settle
from tests.support.dummy_ovs import DummySwitch

pytestmark = pytest.mark.switch

NAMES = [f"p{n}" for n in range(8)]


class History:
    """Steps that are drawn, and what should be there after them."""

    def __init__(self, switch: DummySwitch, seed: int) -> None:
        self.switch = switch
        self.draw = random.Random(seed)
        self.host = a_host(switch.database)
        self.targets: tuple[str, ...] = (TARGET,)
        self.wished: dict[str, PlugSpec] = {}
        self.theirs: set[str] = set()
        self.watched = Watched(self.host)
        self.watched.link.want({})

    def wish(self) -> None:
        names = self.draw.sample(NAMES, self.draw.randrange(len(NAMES)))
        self.wished = plugs(*names, mtu=self.draw.choice((1400, 1450)))
        self.watched.link.want(self.wished)

    def describe(self) -> None:
        address = self.draw.choice((None, IPAddress("192.0.2.1"), IPAddress("192.0.2.2")))
        mappings = self.draw.choice(((), (("a", "br-ex"),), (("a", "br-ex"), ("b", "br-late"))))
        self.host = a_host(self.switch.database, tunnel_ip=address, bridge_mappings=mappings)
        self.targets = self.draw.choice(((TARGET,), ("tcp:127.0.0.1:2",), (TARGET, "tcp:127.0.0.1:3")))
        self.watched.link.configure(self.host, self.targets)

    def others_plug(self) -> None:
        """On another bridge, where it may take a name from us, if we do not have it already."""
        name = self.draw.choice([*NAMES, "vif1", "vif2"])
        with contextlib.suppress(AssertionError):
            self.switch.vsctl("add-port", "br-ex", name, "--", "set", "interface", name, "type=dummy")
            self.theirs.add(name)

    def others_unplug(self) -> None:
        for name in sorted(self.theirs)[:2]:
            self.switch.vsctl("del-port", name)
            self.theirs.discard(name)

    def others_meddle(self) -> None:
        name = self.draw.choice((*NAMES, tunnel_name("br-int")))
        if "br-int" in self.switch.vsctl("list-br").split() and name in self.ports():
            self.switch.vsctl("--if-exists", "del-port", "br-int", name)
        self.switch.vsctl("--if-exists", "set", "bridge", "br-int", "fail_mode=standalone")

    def late_bridge(self) -> None:
        if "br-late" in self.switch.vsctl("list-br"):
            self.switch.delete_bridge("br-late")
        else:
            self.switch.bridge("br-late")

    def lose_the_server(self) -> None:
        self.switch.stop_database(self.draw.choice((signal.SIGTERM, signal.SIGKILL)))
        self.switch.start_database()

    def restart_ourselves(self) -> None:
        self.watched.link.stop()
        self.watched = Watched(self.host, self.targets)
        self.watched.link.want(self.wished)

    def ports(self) -> list[str]:
        return self.switch.vsctl("list-ports", "br-int").split()

    def is_right(self, facts: HostFacts) -> bool:
        """The facts say that everything wished is there, and nothing else of ours."""
        expected = set(self.wished) - self.theirs
        if self.host.tunnel_ip is not None:
            expected.add(tunnel_name("br-int"))
        bridges = self.switch.vsctl("list-br").split()
        for physnet, provider in self.host.bridge_mappings:
            if provider in bridges:
                expected.add(patch_names("br-int", physnet, provider)[0])
        ours = {name for name, interface in facts.interfaces.items() if interface.is_ours}
        return ours == expected and len(facts.problems) == self.expected_problems(bridges)

    def expected_problems(self, bridges: list[str]) -> int:
        missing = [provider for _, provider in self.host.bridge_mappings if provider not in bridges]
        return len(missing) + len(self.theirs & self.wished.keys())


@pytest.mark.parametrize("seed", range(4))
def test_all_is_right_in_the_end(switch: DummySwitch, seed: int) -> None:
    """Twelve drawn steps, then: the wish holds, others' ports are there, and a new start has nothing to write."""
    switch.bridge("br-ex")
    history = History(switch, seed)
    try:
        steps: list[Callable[[], None]] = [
            history.wish,
            history.wish,
            history.describe,
            history.others_plug,
            history.others_plug,
            history.others_unplug,
            history.others_meddle,
            history.late_bridge,
            history.lose_the_server,
            history.restart_ourselves,
        ]
        for step in history.draw.choices(steps, k=12):
            step()
        history.watched.until(history.is_right, 30)
        switch.vsctl("wait-until", "bridge", "br-int", "fail_mode=secure")
        switch.vsctl("add-port", "br-int", "probe", "--", "set", "interface", "probe", "type=dummy")
        history.watched.until_has("probe")
        assert set(switch.vsctl("get-controller", "br-int").split()) == set(history.targets)
        assert history.theirs <= set(switch.vsctl("list-ports", "br-ex").split())
        before = settle(switch)
        history.restart_ourselves()
        history.watched.until(history.is_right, 30)
        assert settle(switch) - before <= 2
    finally:
        history.watched.link.stop()
    assert records(switch)
