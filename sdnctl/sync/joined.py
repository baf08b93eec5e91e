# SPDX-License-Identifier: Apache-2.0
"""The hosts of one network as interpreters of their flows, joined by their tunnels and provider bridges.

It is the `Network` that `sdnctl.flows.journey` follows packets through. Only the flows that can concern a packet of the
network are computed, so a question costs what its network costs; of installed flows all are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from sdnctl import runtime
from sdnctl.apps import security_groups
from sdnctl.errors import InvalidError
from sdnctl.flows import wire
from sdnctl.flows.connections import EST_FLAG, INV_FLAG, NEW, REL_FLAG, RPL_FLAG, Tracker, always
from sdnctl.flows.decode import decode
from sdnctl.flows.fields import Field
from sdnctl.flows.flow import Flow
from sdnctl.flows.journey import Onward, across, through_tunnel
from sdnctl.flows.simulate import Sent, Tables
from sdnctl.model.question import Connection
from sdnctl.sync import views
from sdnctl.sync.cloud import Cloud
from sdnctl.sync.compile import compile_view
from sdnctl.sync.host import HostTask
from sdnctl.sync.units import Unit

TRACKERS: Final[Mapping[Connection, Tracker]] = {
    Connection.NEW: NEW,
    Connection.ESTABLISHED: always(EST_FLAG, security_groups.MARK_ALIVE),
    Connection.REPLY: always(EST_FLAG | RPL_FLAG, security_groups.MARK_ALIVE),
    Connection.RELATED: always(REL_FLAG | RPL_FLAG, security_groups.MARK_ALIVE),
    Connection.INVALID: always(INV_FLAG),
}


class Joined:
    """See the module's docstring. `tasks` is given when installed flows are meant."""

    def __init__(
        self, cloud: Cloud, network_id: str, connection: Connection, tasks: Mapping[str, HostTask] | None
    ) -> None:
        self.foreign: dict[str, int] = {}
        """host -> how many flows there are none of ours and were left out."""
        self._cloud = cloud
        self._network_id = network_id
        self._tracker = TRACKERS[connection]
        self._tasks = tasks
        self._tables: dict[str, Tables] = {}

    def tables(self, host: str) -> Tables:
        if host not in self._tables:
            self._tables[host] = Tables(self._desired(host) if self._tasks is None else self._installed(host))
        return self._tables[host]

    def tracker(self, host: str) -> Tracker:
        del host
        return self._tracker

    def onward(self, host: str, sent: Sent) -> Iterable[Onward]:
        cloud = self._cloud
        facts = cloud.facts.get(host)
        if facts is None:
            return
        if sent.ofport == facts.tunnel_ofport:
            own = cloud.hosts[host].tunnel_ip
            peer = self.peer(sent)
            there = cloud.facts.get(peer) if peer is not None else None
            if own is not None and peer is not None and there is not None and there.tunnel_ofport is not None:
                yield Onward(peer, through_tunnel(sent.packet, int(own), there.tunnel_ofport))
            return
        physical = self.physical_network(host, sent)
        for other in self._wired(sent) if physical is not None else ():
            there = cloud.facts.get(other)
            ofport = (there.patch_ofports or {}).get(physical) if there is not None and physical is not None else None
            if other != host and ofport is not None:
                yield Onward(other, across(sent.packet, ofport))

    def peer(self, sent: Sent) -> str | None:
        """The host at whose end of the tunnel a copy comes out."""
        target = sent.packet[Field.TUN_DST]
        hosts = self._cloud.hosts.values()
        return next((one.id for one in hosts if one.tunnel_ip is not None and int(one.tunnel_ip) == target), None)

    def physical_network(self, host: str, sent: Sent) -> str | None:
        """The physical network that a copy leaves to."""
        facts = self._cloud.facts.get(host)
        patches = (facts.patch_ofports if facts is not None else None) or {}
        return next((name for name, ofport in patches.items() if ofport == sent.ofport), None)

    def _wired(self, sent: Sent) -> list[str]:
        """The hosts that the provider's switches deliver to: where the MAC is, or all that have the network."""
        index = self._cloud.indexes[self._network_id]
        owners = index.stations.get(sent.packet[Field.ETH_DST], ())
        bound = [self._cloud.bindings[one].host_id for one in owners if one in self._cloud.bindings]
        return sorted(set(bound)) if owners else sorted(index.present)

    def _desired(self, host: str) -> Iterator[Flow]:
        for unit in runtime.in_slices(list(views.units(self._cloud, host))):
            if self._concerns(unit):
                yield from map(decode, compile_view(views.view(self._cloud, host, unit)).flows)

    def _concerns(self, unit: Unit) -> bool:
        """Whether packets of the network can meet the unit's flows: it is of no other network."""
        if unit.id in self._cloud.networks:
            return unit.id == self._network_id
        port = self._cloud.ports.get(unit.id)
        return port is None or port.network_id == self._network_id

    def _installed(self, host: str) -> Iterator[Flow]:
        task = self._tasks.get(host) if self._tasks is not None else None
        if task is None or task.connection is None:
            name = self._cloud.hosts[host].name if host in self._cloud.hosts else host
            raise InvalidError(f"Host {name} is not connected: what is installed there cannot be read.")
        for body in task.connection.read_flows():
            for flow in runtime.in_slices(wire.parse_flow_stats(body)):
                try:
                    yield decode(flow)
                except ValueError:
                    self.foreign[host] = self.foreign.get(host, 0) + 1
