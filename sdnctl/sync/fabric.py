# SPDX-License-Identifier: Apache-2.0
"""All hosts together: follows the journal, feeds the world, runs a task per host, answers packet-ins.

    store.changes() --> World --> HostTask per host --> Connection        (OpenFlow, one per host)
                          ^                                |
    HostLink (OVSDB) -----+ facts          packet-in ------+--> the app whose flow punted it

Whose a connection is tells `door.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final, Protocol

from netaddr import EUI

from sdnctl import log, runtime
from sdnctl.apps import dhcp, ip_groups, port_security
from sdnctl.apps.leases import Defaults
from sdnctl.errors import NotFoundError
from sdnctl.flows import action, wire
from sdnctl.flows.pipeline import App, read_cookie
from sdnctl.model.contents import Item, Source
from sdnctl.model.host import Host, HostFacts, PlugSpec
from sdnctl.model.host_check import OvsdbSeen
from sdnctl.model.ids import Revision
from sdnctl.model.ip_group import IpGroup, is_virtual_mac
from sdnctl.model.network import Network, Subnet
from sdnctl.model.port import Plug, Port, PortStatus
from sdnctl.model.qos import QosPolicy
from sdnctl.model.question import PacketQuestion
from sdnctl.model.security import AddressGroup, SecurityGroup
from sdnctl.sync.check import Checker
from sdnctl.sync.compile import Compiler
from sdnctl.sync.door import Door, SwitchConnection, belongs
from sdnctl.sync.explain import Explainer, read_drops
from sdnctl.sync.holders import Holders
from sdnctl.sync.host import Connection, HostTask, State
from sdnctl.sync.installed import Installed
from sdnctl.sync.observed import Observed
from sdnctl.sync.statistics import Statistics
from sdnctl.sync.status import StatusRecorder
from sdnctl.sync.tables import Delta, Tables
from sdnctl.sync.world import World

FOLLOW_S: Final = 1.0
"""How often the journal is looked at when nobody says that there is something new."""
FETCHED: Final = 100
"""Objects read from the store at once."""
REMEMBERED_BATCHES: Final = 4096


class Link(Protocol):
    """What the fabric needs of a host's OVSDB session."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def configure(self, host: Host, controllers: tuple[str, ...]) -> None: ...
    def want(self, plugs: Mapping[str, PlugSpec]) -> None: ...
    def set_installed(self, revisions: Mapping[str, int]) -> None: ...
    def inspect(self) -> OvsdbSeen: ...


class Meters(Protocol):
    """What the fabric counts (`sdnctl.metrics`)."""

    def bundle_applied(self, host: str, seconds: float, put: int, removed: int) -> None: ...
    def packet_in(self, kind: str) -> None: ...
    def dhcp_answer(self, kind: str) -> None: ...
    def port_dropped(self, project: str, reason: str, packets: int) -> None: ...
    def limit_dropped(self, project: str, direction: str, limit: str, packets: int, octets: int) -> None: ...
    def bundle_refused(self, host: str) -> None: ...
    def forget_host(self, host: str) -> None: ...


LinkMaker = Callable[[Host, tuple[str, ...], Callable[[HostFacts | None, str], None]], Link]


@dataclass(slots=True)
class _Batch:
    """What one look at the journal touched."""

    revision: Revision
    hosts: set[str] = field(default_factory=set)
    plugged: set[str] = field(default_factory=set)
    """Ports whose interface is to be made."""
    released: set[Plug] = field(default_factory=set)
    """Interfaces that are to go."""


class Fabric:
    """Composed in `sdnctl.service`; the API sees it as its `Fabric` protocol."""

    def __init__(
        self,
        store: Source,
        make_link: LinkMaker,
        meters: Meters,
        *,
        advertise: Callable[[Host], tuple[str, ...]],
        leases: Defaults,
    ) -> None:
        self.world = World(leases)
        self.tasks: dict[str, HostTask] = {}
        self.status = StatusRecorder(store)
        self.explainer = Explainer(self.world)
        self.holders = Holders(store, self.world.ip_groups)
        self.checker = Checker(self.world, self.tasks)
        self.statistics = Statistics(self.world, self.tasks, store, meters)
        self._store = store
        self._compiler = Compiler()
        self._make_link = make_link
        self._advertise = advertise
        self._meters = meters
        self._links: dict[str, Link] = {}
        self._link_errors: dict[str, str] = {}
        self._door = Door(self.tasks, self.world.facts, self._give)
        self._installed = Installed(self.world.facts, self._links)
        self._latch = runtime.Latch()
        self._waiters: list[runtime.Signal] = []
        self._batches: deque[_Batch] = deque(maxlen=REMEMBERED_BATCHES)
        self._batch = _Batch(Revision(0))
        self._plugs_changed: set[str] = set()
        self._reports: dict[str, tuple[HostFacts | None, str]] = {}
        self._reported = runtime.Latch()
        self._readers: list[runtime.Task] = []
        self.status.on_written = self._tell_waiters
        self.world.on_dirty = self._on_dirty
        self.world.on_binding = self._on_binding
        self._observed = Observed()
        self.world.on_plugs = self._plugs_changed.add

    # --- life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Load the intent completely, then begin to look at the hosts."""
        self._store.on_commit(self.notify)
        contents = self._store.load()
        for policy in contents.qos_policies:
            self.world.put_policy(policy)
        for group in contents.security_groups:
            self.world.put_group(group)
        for addresses in contents.address_groups:
            self.world.put_address_group(addresses)
        for network in contents.networks:
            self.world.put_network(network)
        for subnet in contents.subnets:
            self.world.put_subnet(subnet)
        for host in contents.hosts:
            self.world.put_host(host)
        for port in runtime.in_slices(contents.ports):
            self.world.put_port(port)
        for ip_group in contents.ip_groups:
            self.world.put_ip_group(ip_group)
        self.world.revision = contents.revision
        self.status.load(contents.ports)
        self.status.start()
        self.holders.start()
        self.statistics.start()
        self._installed.start()
        for host in contents.hosts:
            self._host_added(host)
        self._plugs_changed.clear()
        self._readers = [runtime.spawn(work) for work in (self._follow, self._read_reports)]

    def stop(self) -> None:
        """End all tasks; every switch keeps what it has."""
        for reader in self._readers:
            reader.stop()
        for task in self.tasks.values():
            task.stop()
        for link in self._links.values():
            link.stop()
        self._installed.stop()
        self.holders.stop()
        self.status.stop()
        self.statistics.stop()

    def notify(self, revision: Revision) -> None:
        """Something was written to the store."""
        del revision  # the journal tells
        self._latch.wake()

    # --- following the journal ----------------------------------------------------------------------------------

    def _follow(self) -> None:
        while True:
            self._latch.wait(FOLLOW_S)
            try:
                self.catch_up()
            except Exception as error:  # noqa: BLE001  the store is away: what runs must go on running
                log.exception("journal not read", error=str(error))
                runtime.sleep(FOLLOW_S)

    def catch_up(self) -> None:
        """Bring the world to the journal's end."""
        changes = self._store.changes(self.world.revision)
        if not changes:
            return
        last = max(change.revision for change in changes)
        touched: dict[str, dict[str, None]] = {}
        for change in changes:
            touched.setdefault(change.kind, {})[change.id] = None
        self._batch = _Batch(last)
        for kind in KINDS:
            ids = tuple(touched.get(kind, ()))
            for start in range(0, len(ids), FETCHED):
                some = ids[start : start + FETCHED]
                found = self._store.fetch(kind, some)
                runtime.give_way()
                for object_id in runtime.in_slices(some):
                    self._put(kind, object_id, found.get(object_id))
        # Only now: while some of the batch is missing, nobody may be told that it was carried out.
        self.world.revision = last
        self._batches.append(self._batch)
        self._plug()
        self._tell_waiters()

    def _put(self, kind: str, object_id: str, model: Item | None) -> None:
        world = self.world
        match model:
            case Host():
                is_new = object_id not in world.hosts
                world.put_host(model)
                if is_new:
                    self._host_added(model)
                else:
                    self.tasks[object_id].host = model
                    self._links[object_id].configure(model, self._controllers(model))
            case Network():
                world.put_network(model)
            case Subnet():
                world.put_subnet(model)
            case QosPolicy():
                world.put_policy(model)
            case SecurityGroup():
                world.put_group(model)
            case AddressGroup():
                world.put_address_group(model)
            case IpGroup():
                world.put_ip_group(model)
            case Port():
                old = world.ports.get(object_id)
                world.put_port(model)
                if model.plug is not None and (old is None or old.plug != model.plug):
                    self._batch.plugged.add(object_id)
                if old is not None and old.plug is not None and old.plug != model.plug:
                    self._batch.released.add(old.plug)
            case None if kind == "host":
                self._host_removed(object_id)
            case None if kind == "network":
                world.remove_network(object_id)
            case None if kind == "subnet":
                world.remove_subnet(object_id)
            case None if kind == "qos_policy":
                world.remove_policy(object_id)
            case None if kind == "security_group":
                world.remove_group(object_id)
            case None if kind == "address_group":
                world.remove_address_group(object_id)
            case None if kind == "ip_group":
                world.remove_ip_group(object_id)
            case None:
                gone = world.ports.get(object_id)
                if gone is not None and gone.plug is not None:
                    self._batch.released.add(gone.plug)
                world.remove_port(object_id)
                self.status.forget(object_id)
                self.statistics.forget_port(object_id)

    # --- hosts --------------------------------------------------------------------------------------------------

    def _controllers(self, host: Host) -> tuple[str, ...]:
        return host.controllers or self._advertise(host)

    def _host_added(self, host: Host) -> None:
        self.tasks[host.id] = HostTask(host, self.world, self, self._compiler)
        link = self._make_link(
            host, self._controllers(host), lambda facts, reason: self._on_facts(host.id, facts, reason)
        )
        self._links[host.id] = link
        self._link_errors[host.id] = "OVSDB not reached yet"
        link.want(self._plugs(host))
        self.tasks[host.id].start()
        link.start()

    def _host_removed(self, host_id: str) -> None:
        self.world.remove_host(host_id)
        task, link = self.tasks.pop(host_id, None), self._links.pop(host_id, None)
        self._link_errors.pop(host_id, None)
        self._door.forget_host(host_id)
        self._installed.forget_host(host_id)
        self.statistics.forget_host(host_id)
        if task is not None:
            task.stop()
            self._meters.forget_host(task.host.name)
        if link is not None:
            link.stop()

    def _on_facts(self, host_id: str, facts: HostFacts | None, reason: str) -> None:
        """Called by the host's OVSDB session: the last word counts, and somebody else works on it."""
        self._reports[host_id] = (facts, reason)
        self._reported.wake()

    def _read_reports(self) -> None:
        while True:
            self._reported.wait()
            while self._reports:
                host_id, (facts, reason) = self._reports.popitem()
                if host_id in self.tasks:
                    self._take_report(host_id, facts, reason)

    def _take_report(self, host_id: str, facts: HostFacts | None, reason: str) -> None:
        self._link_errors[host_id] = reason
        if facts is None:
            self.world.set_unreachable(host_id)
            return
        is_first = host_id not in self.world.facts
        self.world.set_facts(host_id, facts)
        if host_id not in self.tasks:
            return
        self._door.facts_changed()
        current = self.tasks[host_id].connection
        if current is not None and not belongs(current, facts):  # type: ignore[arg-type]
            current.close("the bridge behind this connection is no longer this host's")
        if is_first:
            self.tasks[host_id].wake()

    def _plugs(self, host: Host) -> dict[str, PlugSpec]:
        specs = {}
        for port in self.world.plugs[host.name].values():
            network = self.world.networks.get(port.network_id)
            if port.plug is not None and network is not None:
                specs[port.plug.interface] = PlugSpec(
                    port_id=port.id, mac=port.mac, type=port.plug.type, interface=port.plug.interface, mtu=network.mtu
                )
        return specs

    def _plug(self) -> None:
        names, wanted = {host.name: host for host in self.world.hosts.values()}, tuple(self._plugs_changed)
        self._plugs_changed.clear()
        for name in wanted:
            host = names.get(name)
            if host is not None:
                self._links[host.id].want(self._plugs(host))

    # --- OpenFlow -----------------------------------------------------------------------------------------------

    def on_connection(self, connection: SwitchConnection) -> None:
        """A bridge has connected and introduced itself."""
        self._door.enter(connection)

    def _give(self, host_id: str, task: HostTask, connection: SwitchConnection) -> None:
        log.info("switch connected", host=task.host.name, peer=connection.peer, dpid=f"{connection.dpid:016x}")
        self.world.set_switch_ports(host_id, dict(connection.ports))
        task.attach(connection)
        connection.on_ports_changed(lambda: self._on_ports_changed(host_id, connection))
        connection.on_packet_in(
            lambda in_port, cookie, frame: self._on_packet_in(host_id, connection, in_port, cookie, frame)
        )
        connection.on_closed(lambda reason: self._on_host_closed(host_id, connection, reason))

    def _on_ports_changed(self, host_id: str, connection: SwitchConnection) -> None:
        task = self.tasks.get(host_id)
        if task is not None and task.connection is connection:
            self.world.set_switch_ports(host_id, dict(connection.ports))

    def _on_host_closed(self, host_id: str, connection: SwitchConnection, reason: str) -> None:
        task = self.tasks.get(host_id)
        if task is not None and task.connection is connection:
            log.info("switch disconnected", host=task.host.name, reason=reason)
            task.detach(connection)
            self.world.set_switch_ports(host_id, None)

    def _on_packet_in(
        self, host_id: str, connection: SwitchConnection, in_port: int, cookie: int, frame: bytes
    ) -> None:
        """Give what a workload sent to the app whose flow punted it. Nothing else comes this far."""
        known = read_cookie(cookie)
        self._meters.packet_in(known[0].app.name.lower() if known else "foreign")
        port = self.world.port_at(host_id, in_port)
        if known is None or port is None:
            return
        match known[0].app:
            case App.DHCP:
                self._answer_dhcp(port, connection, in_port, frame)
            case App.PORT_SECURITY:
                self._observed.note(port.id, port_security.observed(frame), runtime.monotonic())
            case App.IP_GROUPS:
                self._hear_announcement(port, known[0].key, frame)
            case App.STATISTICS:
                self.statistics.sampled(host_id, port, known[1], frame)

    def _hear_announcement(self, port: Port, key: int, frame: bytes) -> None:
        """A member may have got what it is not any more since its flow was made."""
        group = self.world.ip_groups.get(self.world.by_key("ip_group", key) or "")
        heard = ip_groups.read(frame)
        if group is None or heard is None or port.id not in group.members or heard.address != int(group.address):
            return
        is_virtual = group.vrrp and is_virtual_mac(heard.mac, heard.version)
        self.holders.announced(group.id, port.id, EUI(heard.mac, 48) if is_virtual else None)

    def _answer_dhcp(self, port: Port, connection: SwitchConnection, in_port: int, frame: bytes) -> None:
        answer = dhcp.reply(frame, self.world.lease(port.id))
        self._meters.dhcp_answer(answer.kind.value)
        if answer.frame is not None:
            connection.send(wire.packet_out(wire.CONTROLLER_PORT, (action.Output(in_port),), answer.frame))

    # --- what was confirmed -------------------------------------------------------------------------------------

    def port_confirmed(
        self, port_id: str, status: PortStatus, host: str, interface: str, revision: Revision, *, is_new: bool
    ) -> None:
        self.status.record(port_id, status, host)
        binding = self.world.bindings.get(port_id)
        if status is PortStatus.ACTIVE and binding is not None:
            self._installed.confirmed(binding.host_id, interface, revision, is_new=is_new)

    def changing_meters(
        self, host_id: str, connection: Connection, tables: Tables, delta: Delta
    ) -> AbstractContextManager[None]:
        return self.statistics.limits.changing(host_id, connection, tables, delta)

    def bundle_applied(self, host: str, seconds: float, put: int, removed: int) -> None:
        self._meters.bundle_applied(host, seconds, put, removed)

    def bundle_refused(self, host: str) -> None:
        self._meters.bundle_refused(host)

    def applied(self) -> None:
        self._installed.wake()
        self._tell_waiters()

    def _on_dirty(self, host_id: str) -> None:
        self._batch.hosts.add(host_id)
        task = self.tasks.get(host_id)
        if task is not None:
            task.wake()

    def _on_binding(self, port_id: str) -> None:
        binding = self.world.bindings.get(port_id)
        self._observed.forget(port_id)
        if port_id in self.world.ports and binding is None:
            self.status.record(port_id, PortStatus.DOWN, "")

    def _tell_waiters(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.set()

    # --- what the API asks --------------------------------------------------------------------------------------

    def wait_applied(self, revision: Revision, timeout_s: float) -> tuple[str, ...]:
        """Wait until every host that `revision` concerns has confirmed it; names of those that have not in time."""
        until = runtime.monotonic() + timeout_s
        while True:
            pending = self._pending(revision)
            remaining = until - runtime.monotonic()
            if not pending or remaining <= 0:
                return pending
            signal = runtime.Signal()
            self._waiters.append(signal)
            signal.wait(min(remaining, FOLLOW_S))

    def _pending(self, revision: Revision) -> tuple[str, ...]:
        if self.world.revision < revision:
            return ("(this controller has not read the journal so far)",)
        batch = next((one for one in self._batches if one.revision >= revision), None)
        if batch is None:
            return ()
        unplugged = {
            port.plug.host
            for port_id in batch.plugged
            if (port := self.world.ports.get(port_id)) and port.plug and not self._is_plugged(port_id)
        }
        unplugged |= {plug.host for plug in batch.released if self._is_there(plug)}
        if unplugged:
            return tuple(sorted(unplugged))
        # What a plug changes on other hosts is known only later; one that is away then has other reasons to be late.
        others = {one for one, task in self.tasks.items() if task.state is State.LIVE}
        concerned = batch.hosts | others if batch.plugged or batch.released else batch.hosts
        now = self.world.revision
        pending = set()
        for host_id in concerned:
            task = self.tasks.get(host_id)
            since = task.pending_since() if task else None
            if task is not None and since is not None and since <= now:
                pending.add(task.host.name)
        if not pending and self.status.is_waiting:
            return ("(port status is being recorded)",)
        return tuple(sorted(pending))

    def _is_there(self, plug: Plug) -> bool:
        """Whether an interface that nobody wants any more is still on its host."""
        wanted = {port.plug for port in self.world.plugs[plug.host].values()}
        hosts = (host_id for host_id, host in self.world.hosts.items() if host.name == plug.host)
        return plug not in wanted and any(
            plug.interface in self.world.facts[host_id].interfaces for host_id in hosts if host_id in self.world.facts
        )

    def _is_plugged(self, port_id: str) -> bool:
        binding = self.world.bindings.get(port_id)
        return binding is not None and binding.ofport is not None

    def _task_of(self, name: str) -> HostTask:
        for task in self.tasks.values():
            if name in (task.host.name, task.host.id):
                return task
        raise NotFoundError(f"Host {name} could not be found.", kind="HostNotFound")

    def port_status(self, port_id: str) -> dict[str, object]:
        """What is known of a port beside the store, JSON-ready."""
        return {"observed_ips": self._observed.of(port_id, runtime.monotonic())}

    def host_status(self, name: str) -> dict[str, object]:
        """What is known of a host at this moment, JSON-ready."""
        try:
            task = self._task_of(name)
        except NotFoundError:
            return {"state": "UNKNOWN"}
        facts = self.world.facts.get(task.host.id)
        applied = task.applied_revision if task.pending_since() is not None else self.world.revision
        return {
            "state": task.state.value,
            "applied_revision": applied if task.state is State.LIVE else task.applied_revision,
            "revision": self.world.revision,
            "error": task.error,
            "problems": self._problems(task),
            "openflow_peer": task.connection.peer if task.connection else None,
            "ovsdb_connected": facts is not None and not self._link_errors.get(task.host.id),
            "datapath_id": f"{facts.datapath_id:016x}" if facts else None,
            "flows": len(task.tables),
            "ports": sum(1 for _ in self.world.served_ports(task.host.id)),
        }

    def _problems(self, task: HostTask) -> list[str]:
        facts = self.world.facts.get(task.host.id)
        problems = [*(facts.problems if facts else ())]
        problems += [one for one in (self._link_errors.get(task.host.id), self._door.intrusion(task.host.id)) if one]
        problems += [
            f"interface {interface}: {why}" for interface, why in self.world.refused_claims(task.host.id).items()
        ]
        problems += [
            f"interface {one.name}: {one.error}" for one in (facts.interfaces.values() if facts else ()) if one.error
        ]
        problems += [failure.error for failure in task.failures.values()]
        return problems

    def flows(self, name: str, view: str) -> list[dict[str, object]]:
        """See `Explainer.flows`."""
        return self.explainer.flows(self._task_of(name), view)

    def check(self, name: str) -> dict[str, object]:
        """See `Checker.check`."""
        task = self._task_of(name)
        return self.checker.check(task, self._links[task.host.id], self._problems(task))

    def explain(self, what: str) -> dict[str, object]:
        """See `Explainer.explain`."""
        return self.explainer.explain(what)

    def explain_packet(self, question: PacketQuestion) -> dict[str, object]:
        """See `Explainer.packet`."""
        return self.explainer.packet(question, self.tasks)

    def port_statistics(self, port_id: str) -> dict[str, object]:
        """See `Statistics.port`."""
        return self.statistics.port(port_id)

    def read_drops(self) -> Iterator[tuple[str, list[tuple[bytes, str, int]]]]:
        """See `explain.read_drops`."""
        return read_drops(tuple(self.tasks.values()))


KINDS: Final = ("host", "qos_policy", "network", "subnet", "security_group", "address_group", "port", "ip_group")
"""In the order in which changes of one batch are put into the world."""
