# SPDX-License-Identifier: Apache-2.0
"""Looks at a host when somebody asks: gathers what `sdnctl.model.host_check` judges.

Whether the underlay carries frames is tried: every other host sends a greeting, which is what hosts do every few
minutes anyway, and the flow that lets its tunnelled frames in has to count it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, Protocol

from sdnctl import runtime
from sdnctl.errors import HostGoneError
from sdnctl.flows import wire
from sdnctl.flows.pipeline import App, Kind, Owner, Reason, Table, read_cookie
from sdnctl.model.host_check import HostSeen, Needs, OvsdbSeen, check
from sdnctl.model.network import VXLAN_OVERHEAD, NetworkType
from sdnctl.sync.host import HostTask, State, send_greeting
from sdnctl.sync.world import World

PATIENCE_S: Final = 2.5
"""Counters of flows follow their packets within a second."""
PAUSE_S: Final = 0.1
MOST_PEERS: Final = 100

_PEER_FLOWS: Final = wire.FlowFilter(Owner(App.CLASSIFY, Kind.HOST, 0).cookie(), 0xFFFF_FFFF << 32, int(Table.CLASSIFY))


class Inspector(Protocol):
    """Where the host's OVSDB can be asked."""

    def inspect(self) -> OvsdbSeen: ...


class Checker:
    """Answers for one world and its hosts."""

    def __init__(self, world: World, tasks: Mapping[str, HostTask]) -> None:
        self._world = world
        self._tasks = tasks

    def check(self, task: HostTask, inspector: Inspector, problems: Iterable[str]) -> dict[str, object]:
        """The findings, and what the host needs, JSON-ready."""
        ovsdb: OvsdbSeen | str
        try:
            asked = inspector.inspect()
            # The database has a version only if whoever starts Open vSwitch writes it there.
            said = asked.version or (task.connection.software if task.connection is not None else "")
            ovsdb = replace(asked, version=said)
        except HostGoneError as error:
            ovsdb = str(error)
        needs = self._needs(task)
        seen = HostSeen(
            host=task.host,
            state=task.state.value,
            error=task.error,
            problems=tuple(problems),
            ovsdb=ovsdb,
            needs=needs,
            paths=self._paths(task),
        )
        return {
            "host": task.host.name,
            "findings": [
                {"check": one.check, "verdict": one.verdict.value, "finding": one.finding, "remedy": one.remedy}
                for one in check(seen)
            ],
            "needs": {"tunnel_mtu": needs.tunnel_mtu, "physical_mtu": dict(needs.physical_mtu)},
        }

    def _needs(self, task: HostTask) -> Needs:
        tunnel, physical = 0, dict[str, int]()
        for network_id in self._world.networks_on(task.host.id):
            network = self._world.networks.get(network_id)
            if network is None:
                continue
            if network.type is NetworkType.VXLAN:
                tunnel = max(tunnel, network.mtu + VXLAN_OVERHEAD)
            elif network.physical_network is not None:
                known = physical.get(network.physical_network, 0)
                physical[network.physical_network] = max(known, network.mtu)
        return Needs(tunnel, physical)

    # --- the underlay -----------------------------------------------------------------------------------------

    def _paths(self, task: HostTask) -> dict[str, bool]:
        """By the name of each other host that is LIVE and has a tunnel: whether its frames arrive."""
        if not self._is_reachable(task):
            return {}
        peers = [one for one in self._tasks.values() if one is not task and self._is_reachable(one)][:MOST_PEERS]
        arrived = {peer.host.name: False for peer in peers}
        before = self._counts(task)
        give_up = runtime.monotonic() + PATIENCE_S
        while peers and runtime.monotonic() < give_up:
            for peer in peers:
                self._greet(peer, task)
            runtime.sleep(PAUSE_S)
            now = self._counts(task)
            for peer in peers:
                arrived[peer.host.name] = now.get(peer.host.key, 0) > before.get(peer.host.key, 0)
            peers = [peer for peer in peers if not arrived[peer.host.name]]
        return arrived

    def _is_reachable(self, task: HostTask) -> bool:
        facts = self._world.facts.get(task.host.id)
        has_tunnel = task.host.tunnel_ip is not None and facts is not None and facts.tunnel_ofport is not None
        return has_tunnel and task.state is State.LIVE and task.connection is not None

    def _greet(self, sender: HostTask, receiver: HostTask) -> None:
        facts, connection = self._world.facts.get(sender.host.id), sender.connection
        if connection is not None and facts is not None and facts.tunnel_ofport and receiver.host.tunnel_ip:
            send_greeting(connection, facts.tunnel_ofport, int(receiver.host.tunnel_ip))

    @staticmethod
    def _counts(task: HostTask) -> dict[int, int]:
        """Packets from each other host, by its key."""
        counts: dict[int, int] = {}
        if task.connection is None:
            return counts
        try:
            for body in task.connection.read_flows(_PEER_FLOWS):
                for flow, packets, _ in runtime.in_slices(wire.parse_flow_counters(body)):
                    known = read_cookie(flow.cookie)
                    if known is not None and known[1] is Reason.NONE:
                        counts[known[0].key] = packets
        except HostGoneError:
            pass
        return counts
