# SPDX-License-Identifier: Apache-2.0
"""The fabric with real Open vSwitch: from a journal entry to confirmed flows, on hosts that come, go and lie."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from netaddr import EUI, IPAddress

from sdnctl import runtime
from sdnctl.apps import meters
from sdnctl.apps.leases import Defaults
from sdnctl.flows import text
from sdnctl.flows.pipeline import ENDS, App, Kind, Owner, Reason, Table
from sdnctl.metrics import Metrics
from sdnctl.model.contents import Change, Contents, Item
from sdnctl.model.host import Host, HostFacts
from sdnctl.model.ids import HostKey, Revision
from sdnctl.model.ip_group import IpGroup
from sdnctl.model.network import Network, Subnet
from sdnctl.model.port import DHCP_OWNER, FixedIP, Plug, Port, PortStatus
from sdnctl.model.statistics import SecurityEvent
from sdnctl.openflow.listener import Listener
from sdnctl.ovsdb import HostLink
from sdnctl.sync.fabric import Fabric
from sdnctl.sync.host import State
from tests.support.dummy_ovs import DummySwitch
from tests.sync import clouds

pytestmark = pytest.mark.switch

PATIENCE_S = 8.0
KINDS: Mapping[type, str] = {
    Host: "host",
    Network: "network",
    Subnet: "subnet",
    Port: "port",
    IpGroup: "ip_group",
}


class MemoryStore:
    """A store's journal and objects, in memory."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], Item] = {}
        self.journal: list[Change] = []
        self.statuses: dict[str, tuple[PortStatus, str]] = {}
        self.writes = 0
        self.events: dict[str, SecurityEvent] = {}
        self.recorded = runtime.Latch()
        self._callbacks: list[Callable[[Revision], None]] = []

    def put(self, *items: Item) -> Revision:
        for item in items:
            self.items[KINDS[type(item)], item.id] = item
            self._write(KINDS[type(item)], item.id)
        return self._tell()

    def delete(self, kind: str, item_id: str) -> Revision:
        del self.items[kind, item_id]
        self._write(kind, item_id)
        return self._tell()

    def _write(self, kind: str, item_id: str) -> None:
        self.journal.append(Change(Revision(len(self.journal) + 1), kind, item_id))

    def _tell(self) -> Revision:
        for callback in self._callbacks:
            callback(self.journal[-1].revision)
        return self.journal[-1].revision

    def load_events(self) -> list[SecurityEvent]:
        return [replace(one) for one in self.events.values()]

    def record_events(self, events: Sequence[SecurityEvent]) -> None:
        self.events.update((one.id, one) for one in events)

    def load(self) -> Contents:
        def of(kind: str) -> tuple[Item, ...]:
            return tuple(item for (its, _), item in self.items.items() if its == kind)

        ports = [
            replace(port, status=self.statuses[port.id][0], bound_host=self.statuses[port.id][1])
            if port.id in self.statuses
            else port
            for port in of("port")
            if isinstance(port, Port)
        ]
        return Contents(
            revision=Revision(len(self.journal)),
            networks=of("network"),
            subnets=of("subnet"),
            ports=tuple(ports),
            hosts=of("host"),
            ip_groups=of("ip_group"),
        )

    def changes(self, after: Revision) -> tuple[Change, ...]:
        return tuple(self.journal[after:])

    def fetch(self, kind: str, ids: Iterable[str]) -> dict[str, Item]:
        return {one: self.items[kind, one] for one in ids if (kind, one) in self.items}

    def record_status(self, statuses: Mapping[str, tuple[PortStatus, str]]) -> None:
        self.writes += 1
        self.statuses.update(statuses)
        self.recorded.wake()

    def move_holder(self, group_id: str, port_id: str | None, virtual_mac: EUI | None) -> Revision | None:
        group = self.items["ip_group", group_id]
        assert isinstance(group, IpGroup)
        if (group.holder, group.virtual_mac) == (port_id, virtual_mac):
            return None
        return self.put(replace(group, holder=port_id, virtual_mac=virtual_mac))

    def on_commit(self, callback: Callable[[Revision], None]) -> None:
        self._callbacks.append(callback)


class Controller:
    """A fabric with its listener, on a store that outlives it."""

    def __init__(self, store: MemoryStore, directory: Path) -> None:
        """`directory` is that of Open vSwitch, which connects to no socket elsewhere."""
        self.store = store
        target = f"unix:{directory}/controller.sock"
        tables = {int(table): table.name.lower() for table in Table}

        def link(
            host: Host, controllers: tuple[str, ...], on_facts: Callable[[HostFacts | None, str], None]
        ) -> HostLink:
            return HostLink(host, controllers, None, on_facts, tables=tables)

        self.metrics = Metrics()
        self.fabric = Fabric(store, link, self.metrics, advertise=lambda _host: (target,), leases=Defaults())
        self.listener = Listener((target, "tcp:127.0.0.1:0"), None, self.fabric.on_connection)
        self.listener.start()
        self.fabric.start()

    def stop(self) -> None:
        self.listener.stop()
        self.fabric.stop()

    def applied(self, revision: Revision) -> None:
        assert self.fabric.wait_applied(revision, PATIENCE_S) == (), self.fabric.host_status("h1")

    def until(self, condition: Callable[[], object]) -> None:
        give_up = runtime.monotonic() + PATIENCE_S
        while not condition():
            assert runtime.monotonic() < give_up, repr(self.fabric.host_status("h1"))
            self.store.recorded.wait(0.02)


@pytest.fixture
def switch() -> Iterator[DummySwitch]:
    with DummySwitch() as one:
        yield one


@pytest.fixture
def store(switch: DummySwitch) -> MemoryStore:
    """A host, a network with DHCP, and two ports to be plugged there."""
    one = MemoryStore()
    server = replace(
        clouds.port("p6"), device_owner=DHCP_OWNER, fixed_ips=(FixedIP("subnet-tunnelled", IPAddress("10.0.1.2")),)
    )
    one.put(
        Host(id="id-h1", key=HostKey(1), name="h1", ovsdb=switch.database, datapath_type="dummy"),
        clouds.network("tunnelled"),
        clouds.subnet("tunnelled"),
        server,
        *(replace(clouds.port(name), plug=Plug("h1", "internal", f"tap-{name}")) for name in ("p1", "p2")),
    )
    return one


@pytest.fixture
def controller(store: MemoryStore, switch: DummySwitch) -> Iterator[Controller]:
    one = Controller(store, switch.directory)
    yield one
    one.stop()


def live(controller: Controller) -> None:
    controller.until(lambda: controller.fabric.tasks["id-h1"].state is State.LIVE)
    controller.until(lambda: all(controller.store.statuses.get(one, ("",))[0] == "ACTIVE" for one in ("p1", "p2")))


def test_from_nothing_to_active_ports(controller: Controller, switch: DummySwitch) -> None:
    live(controller)
    assert controller.store.statuses == {"p1": (PortStatus.ACTIVE, "h1"), "p2": (PortStatus.ACTIVE, "h1")}
    assert controller.fabric.flows("h1", "difference") == []
    installed = switch.dump("br-int")
    assert (
        len(installed) == len(controller.fabric.flows("h1", "desired")) == controller.fabric.host_status("h1")["flows"]
    )
    controller.until(
        lambda: "sdnctl-installed" in switch.vsctl("get", "interface", "tap-p1", "external_ids"),
    )


def test_two_ports_of_a_network_reach_each_other_and_a_spoofer_nobody(
    controller: Controller, switch: DummySwitch
) -> None:
    live(controller)
    ofport = switch.vsctl("get", "interface", "tap-p1", "ofport").strip()
    to = switch.vsctl("get", "interface", "tap-p2", "ofport").strip()
    macs = f"dl_src={clouds.mac('p1')},dl_dst={clouds.mac('p2')}".replace("-", ":").lower()
    good = switch.trace("br-int", f"in_port={ofport},tcp,{macs},nw_src=10.0.1.11,nw_dst=10.0.1.12,nw_ttl=64")
    assert f"output:{to}" in good
    bad = switch.trace("br-int", f"in_port={ofport},tcp,{macs},nw_src=10.0.1.99,nw_dst=10.0.1.12,nw_ttl=64")
    assert f"output:{to}" not in bad
    assert f"cookie {Owner(App.PORT_SECURITY, Kind.HOST, 1).cookie(Reason.FOREIGN_IPV4):#x}" in bad


def test_restart_of_the_controller_sends_no_flow_mod(
    controller: Controller, store: MemoryStore, switch: DummySwitch
) -> None:
    live(controller)
    before = switch.ofctl("--no-stats dump-flows", "br-int")
    assert b"sdnctl_bundle_seconds_count 0.0" not in controller.metrics.text()
    controller.stop()
    writes = store.writes
    second = Controller(store, switch.directory)
    try:
        second.until(lambda: second.fabric.tasks["id-h1"].state is State.LIVE)
        assert switch.ofctl("--no-stats dump-flows", "br-int") == before
        assert second.fabric.tasks["id-h1"].tables
        assert store.writes == writes
        assert b"sdnctl_bundle_seconds_count 0.0" in second.metrics.text()
    finally:
        second.stop()


def test_restart_of_vswitchd_brings_all_flows_back(controller: Controller, switch: DummySwitch) -> None:
    live(controller)
    before = sorted(switch.dump("br-int"))
    switch.stop_vswitchd()
    controller.until(lambda: controller.fabric.tasks["id-h1"].state is State.AWAY)
    switch.start_vswitchd()
    controller.until(lambda: controller.fabric.tasks["id-h1"].state is State.LIVE)
    controller.until(lambda: sorted(switch.dump("br-int")) == before)


def test_changes_while_the_host_is_away_are_there_when_it_is_back(
    controller: Controller, store: MemoryStore, switch: DummySwitch
) -> None:
    live(controller)
    count = len(switch.dump("br-int"))
    switch.stop_vswitchd()
    store.delete("port", "p2")
    revision = store.put(replace(clouds.port("p3"), plug=Plug("h1", "internal", "tap-p3")))
    assert controller.fabric.wait_applied(revision, 0.2) == ("h1",)
    switch.start_vswitchd()
    controller.applied(revision)
    controller.until(lambda: store.statuses.get("p3") == (PortStatus.ACTIVE, "h1"))
    controller.until(lambda: "tap-p2" not in switch.vsctl("list-ports", "br-int"))
    controller.until(lambda: len(switch.dump("br-int")) == count)
    assert controller.fabric.flows("h1", "difference") == []


def test_waiting_for_an_unplug_waits_until_the_interface_is_gone(
    controller: Controller, store: MemoryStore, switch: DummySwitch
) -> None:
    live(controller)
    port = store.items["port", "p1"]
    assert isinstance(port, Port)
    controller.applied(store.put(replace(port, plug=None)))
    assert "tap-p1" not in switch.vsctl("list-ports", "br-int")
    controller.applied(store.delete("port", "p2"))
    assert "tap-p2" not in switch.vsctl("list-ports", "br-int")


def test_deleting_everything_leaves_no_flow_behind(
    controller: Controller, store: MemoryStore, switch: DummySwitch
) -> None:
    live(controller)
    for name in ("p1", "p2", "p6"):
        store.delete("port", name)
    controller.until(lambda: "tap-" not in switch.vsctl("list-ports", "br-int"))
    controller.until(lambda: _owners(controller) == {"host"})
    assert re.findall(r"meter=(\d+)", switch.ofctl("dump-meters", "br-int")) == [str(meters.SAMPLES)]


def _owners(controller: Controller) -> set[object]:
    return {flow["object_type"] for flow in controller.fabric.flows("h1", "installed")}


def test_what_was_learned_of_a_port_is_shown_as_the_ports(controller: Controller, switch: DummySwitch) -> None:
    """And belongs to no difference, nor does it go when all is read back."""
    live(controller)
    ofport = switch.vsctl("get", "interface", "tap-p1", "ofport").strip()
    cookie = Owner(App.STATISTICS, Kind.HOST, 1).cookie(Reason.FOREIGN_ARP)
    reason = f"reg7={Reason.FOREIGN_ARP << 20:#x}/0x1ff00000"
    for line in (f"in_port={ofport},{reason}", "in_port=77,reg7=0x700000/0x1ff00000"):
        switch.ofctl("add-flow", "br-int", f"cookie={cookie:#x},table=90,priority=200,{line},actions=drop")
    assert controller.fabric.flows("h1", "difference") == []
    learned = [flow for flow in controller.fabric.flows("h1", "installed") if "priority=200,reg7" in str(flow["flow"])]
    mine = [flow for flow in learned if flow["object_type"] == "port"]
    assert [(flow["object"], flow["reason"], flow["app"]) for flow in mine] == [("p1", "foreign_arp", "statistics")]
    assert "counts: a workload sent ARP" in str(mine[0]["text"])
    readings = dict(controller.fabric.read_drops())["h1"]
    assert {key[0] for key, _, _ in readings} & ENDS == set(), "what is counted for a port is counted once more there"
    assert {reason for _, reason, _ in readings} >= {"foreign_mac", "miss", "not_allowed_to", "unknown_source"}
    controller.fabric.tasks["id-h1"].connection.close("to have it read back")  # type: ignore[union-attr]
    controller.until(lambda: controller.fabric.tasks["id-h1"].state is not State.LIVE)
    controller.until(lambda: controller.fabric.tasks["id-h1"].state is State.LIVE)
    again = [flow for flow in controller.fabric.flows("h1", "installed") if "priority=200,reg7" in str(flow["flow"])]
    assert again == mine, "what is nobody's goes"


def test_foreign_flows_and_ports_stay(controller: Controller, store: MemoryStore, switch: DummySwitch) -> None:
    live(controller)
    switch.ofctl("add-flow", "br-int", "cookie=0x77,table=200,priority=7,ip,actions=drop")
    switch.vsctl("add-port", "br-int", "mine", "--", "set", "interface", "mine", "type=dummy")
    controller.fabric.tasks["id-h1"].connection.close("to have it read back")  # type: ignore[union-attr]
    controller.until(lambda: controller.fabric.tasks["id-h1"].state is not State.LIVE)
    controller.until(lambda: controller.fabric.tasks["id-h1"].state is State.LIVE)
    store.delete("port", "p1")
    controller.until(lambda: "tap-p1" not in switch.vsctl("list-ports", "br-int"))
    assert "cookie=0x77" in switch.ofctl("dump-flows", "br-int")
    assert "mine" in switch.vsctl("list-ports", "br-int")


def test_bridge_that_claims_another_ones_datapath_id_is_turned_away(
    controller: Controller, switch: DummySwitch
) -> None:
    live(controller)
    mine = switch.vsctl("get", "bridge", "br-int", "datapath_id").strip().strip('"')
    with DummySwitch() as liar:
        liar.bridge("evil")
        liar.vsctl("set", "bridge", "evil", f"other-config:datapath-id={mine}", "protocols=OpenFlow14")
        liar.vsctl("set-controller", "evil", controller.listener.targets[1])
        controller.until(lambda: "without the bridge's serial number" in str(controller.fabric.host_status("h1")))
        assert liar.dump("evil") == []
    assert controller.fabric.tasks["id-h1"].state is State.LIVE
    assert controller.fabric.flows("h1", "difference") == []


def test_every_flow_has_an_owner_and_every_drop_a_reason(controller: Controller) -> None:
    live(controller)
    for flow in controller.fabric.flows("h1", "installed"):
        assert flow["object"], flow
        assert (flow["reason"] is not None) == text.parse(str(flow["flow"])).drops, flow
        assert controller.fabric.explain(str(flow["flow"])) == controller.fabric.explain(str(flow["cookie"]))
