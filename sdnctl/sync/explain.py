# SPDX-License-Identifier: Apache-2.0
"""What a host's flows are and whose, in the words of the API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from sdnctl import runtime
from sdnctl.apps import statistics
from sdnctl.errors import HostGoneError, InvalidError, NotFoundError
from sdnctl.flows import text, wire
from sdnctl.flows.decode import wire_text
from sdnctl.flows.fields import Field
from sdnctl.flows.pipeline import (
    COOKIE_MAGIC,
    COOKIE_MAGIC_MASK,
    ENDS,
    REASON_BIT,
    Kind,
    Reason,
    Table,
    read_cookie,
)
from sdnctl.model.host import Host
from sdnctl.model.ids import Ofport
from sdnctl.model.ip_group import IpGroup
from sdnctl.model.network import Network
from sdnctl.model.port import Port
from sdnctl.model.question import PacketQuestion
from sdnctl.model.security import SecurityGroup
from sdnctl.sync.asked import asked
from sdnctl.sync.cloud import Binding
from sdnctl.sync.compile import compile_view
from sdnctl.sync.host import HostTask, State
from sdnctl.sync.joined import Joined
from sdnctl.sync.story import DROPPED, Story
from sdnctl.sync.world import World

NO_PORT: Final = Ofport(1)
"""Where a packet comes in that is not sent at all."""
VIEWS: Final = ("desired", "installed", "difference")


class Explainer:
    """Reads world and hosts, and changes nothing."""

    def __init__(self, world: World) -> None:
        self._world = world

    def flows(self, task: HostTask, view: str) -> list[dict[str, object]]:
        """`desired`, `installed` or `difference`, in ovs-ofctl text, each flow with its owner in words."""
        if view not in VIEWS:
            raise InvalidError(f"view '{view}' is none of {', '.join(VIEWS)}.")
        desired: dict[bytes, wire.WireFlow] = {}
        installed: dict[bytes, wire.WireFlow] = {}
        if view != "installed":
            for unit in runtime.in_slices(list(self._world.units(task.host.id))):
                compiled = compile_view(self._world.view(task.host.id, unit))
                desired.update((flow.key, flow) for flow in compiled.flows)
        if view != "desired":
            if task.connection is None:
                raise InvalidError(f"Host {task.host.name} is not connected: what is installed there cannot be read.")
            for body in task.connection.read_flows():
                installed.update((flow.key, flow) for flow in runtime.in_slices(wire.parse_flow_stats(body)))
        match view:
            case "desired":
                return [self._described(flow, "") for flow in runtime.in_slices(desired.values())]
            case "installed":
                return [
                    self._described(flow, "") | self._learned(task.host.id, flow)
                    for flow in runtime.in_slices(installed.values())
                ]
        different = [(flow, "missing") for key, flow in desired.items() if installed.get(key) != flow]
        different += [
            (flow, "surplus" if flow.cookie >> 56 == COOKIE_MAGIC else "foreign")
            for key, flow in installed.items()
            if desired.get(key) != flow and not statistics.is_learned(flow)
        ]
        return [self._described(flow, what) for flow, what in runtime.in_slices(different)]

    def _described(self, flow: wire.WireFlow, difference: str) -> dict[str, object]:
        described: dict[str, object] = {"flow": wire_text(flow), **self.explain_cookie(flow.cookie)}
        if difference:
            described["difference"] = difference
        return described

    def _learned(self, host_id: str, flow: wire.WireFlow) -> dict[str, object]:
        """Whose frames a flow counts that Open vSwitch made by itself; nothing for all others."""
        about = statistics.learned_about(flow)
        port_id = self._world.whose(host_id, about) if about is not None else None
        port = self._world.ports.get(port_id) if port_id is not None else None
        if about is None or port is None:
            return {}
        does = "counts" if flow.table == Table.DROPPED else "was shown lately, and drops"
        return {
            "object_type": "port",
            "object": port.id,
            "name": port.name,
            "project_id": port.project_id,
            "text": f"statistics for port {port.id}; {does}: {about.reason.text}",
        }

    def explain(self, what: str) -> dict[str, object]:
        """Whose a cookie or a pasted flow is, and why it drops if it does."""
        try:
            return self.explain_cookie(int(what, 0))
        except ValueError:
            pass
        try:
            return self.explain_cookie(text.read_line(what).cookie)
        except ValueError as error:
            raise InvalidError(
                f"'{what[:80]}' is neither a cookie (0x5d...) nor a flow as ovs-ofctl prints it: {error}"
            ) from error

    def packet(self, question: PacketQuestion, tasks: Mapping[str, HostTask]) -> dict[str, object]:
        """What becomes of a packet of a port, on all hosts, and why."""
        cloud = self._world.cloud
        port = cloud.ports.get(question.port_id)
        if port is None:
            raise NotFoundError(f"Port {question.port_id} could not be found.", kind="PortNotFound")
        if question.to_port is not None and question.to_port not in cloud.ports:
            raise NotFoundError(f"Port {question.to_port} could not be found.", kind="PortNotFound")
        binding = cloud.bindings.get(port.id)
        packet = asked(cloud, question, (binding.ofport if binding else None) or NO_PORT)
        network = cloud.networks.get(port.network_id)
        why = _unable(port, network, binding)
        if why or binding is None or network is None:
            nothing: dict[str, object] = {key: [] for key in ("arrivals", "outside", "drops", "steps")}
            said = {"packet": packet.changed({Field.IN_PORT: 0}).text(), "connection": question.connection.value}
            flows = "installed" if question.installed else "desired"
            return nothing | said | {"flows": flows, "verdict": DROPPED, "text": f"is not sent: {why}"}
        joined = Joined(cloud, network.id, question.connection, tasks if question.installed else None)
        return Story(cloud, joined, question, self._world.by_key).told(binding.host_id, packet)

    def explain_cookie(self, cookie: int) -> dict[str, object]:
        """Owner and drop reason, in the words of the API."""
        known = read_cookie(cookie)
        described: dict[str, object] = {"cookie": f"{cookie:#x}"}
        if known is None:
            return described | {"app": None, "object_type": None, "object": None, "text": "not a flow of sdnctl"}
        owner, reason = known
        kind = owner.kind.name.lower()
        object_id = self._world.by_key(kind, owner.key)
        described |= {"app": owner.app.name.lower(), "object_type": kind, "object": object_id}
        described |= {"project_id": None, "name": None, "reason": reason.name.lower() if reason else None}
        model: Host | Network | Port | SecurityGroup | IpGroup | None = None
        if object_id is not None:
            tables = {
                Kind.HOST: self._world.hosts,
                Kind.NETWORK: self._world.networks,
                Kind.PORT: self._world.ports,
                Kind.GROUP: self._world.groups,
                Kind.IP_GROUP: self._world.ip_groups,
            }
            model = tables[owner.kind].get(object_id)  # type: ignore[attr-defined]
        if model is not None:
            described["name"] = model.name
            described["project_id"] = None if isinstance(model, Host) else model.project_id
        whose = f"{kind} {object_id or f'with key {owner.key}, which is deleted'}"
        drop = f"; drops: {reason.text}" if reason is not Reason.NONE else ""
        described["text"] = f"{owner.app.name.lower()} for {whose}{drop}"
        return described


_DROPS: Final = tuple(
    wire.FlowFilter(COOKIE_MAGIC << 56 | bit, COOKIE_MAGIC_MASK | bit)
    for bit in (1 << REASON_BIT + place for place in range(max(Reason).bit_length()))
)
"""Together these find every flow of ours with a reason, some of them twice, and none of the many without."""


def _unable(port: Port, network: Network | None, binding: Binding | None) -> str:
    """Why the port can send nothing at all."""
    name = f"port {port.name or port.id}"
    if not port.admin_state_up:
        return f"{name} is administratively down"
    if network is None or not network.admin_state_up:
        return f"the network of {name} is administratively down"
    if binding is None:
        return f"no interface of any host is {name}'s"
    if binding.ofport is None:
        return f"the interface of {name} is not on its host's bridge, or the host has not been read since we started"
    return ""


def read_drops(tasks: Iterable[HostTask]) -> Iterator[tuple[str, list[tuple[bytes, str, int]]]]:
    """Host by host, the flows that decide to drop: key, reason, packets so far. Hosts that are away are passed over.

    Flows that count the same packets once more, for their ports, are none of them.
    """
    for task in tasks:
        connection = task.connection
        if connection is None or task.state is not State.LIVE:
            continue
        found: dict[bytes, tuple[bytes, str, int]] = {}
        try:
            for which in _DROPS:
                for body in connection.read_flows(which):
                    for flow, packets, _ in runtime.in_slices(wire.parse_flow_counters(body)):
                        known = read_cookie(flow.cookie)
                        if known is not None and flow.table not in ENDS:
                            found[flow.key] = (flow.key, known[1].name.lower(), packets)
        except HostGoneError:
            continue
        yield task.host.name, list(found.values())
