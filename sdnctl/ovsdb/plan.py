# SPDX-License-Identifier: Apache-2.0
"""From what an OVSDB holds and what it should hold to the operations that make it so. Pure.

Equal means no operation: a second start of the controller writes nothing. Single keys of maps and single members of
sets are inserted and deleted, so that what others put beside them stays.

The controller targets deserve care. When the last one of a bridge goes, or the first one comes, ovs-vswitchd 3.1
flushes all flows of the bridge: therefore old and new ones change place in one transaction, and an empty wish leaves
what is there. A target that it ignores counts as none: that is a `unix:` one outside its own run directory.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from sdnctl.model.host import PlugSpec
from sdnctl.ovsdb import ops
from sdnctl.ovsdb.goal import (
    BRIDGE,
    OWNED,
    Goal,
    Wanted,
    shown,
    unfit,
    wanted_patch,
    wanted_plug,
    wanted_tunnel,
)
from sdnctl.ovsdb.ops import Json, Op

SET_UP_TYPES: Final = frozenset({"vxlan", "patch"})
"""Types of interfaces of ours that belong to the bridge and not to a port."""

PROTOCOLS: Final = ("OpenFlow10", "OpenFlow13", "OpenFlow14")
"""Ours is 1.4; 1.0 and 1.3 are what `ovs-ofctl` speaks when nobody tells it otherwise, and what people tell it."""

CONTROLLER: Final[Mapping[str, Json]] = {
    "max_backoff": 1000,
    "inactivity_probe": 10_000,
    "connection_mode": "out-of-band",
}
"""Columns of our Controller rows. A probe of 5 s, the default, would end a connection that a busy moment delays."""


@dataclass(frozen=True, slots=True)
class InterfaceRow:
    """An interface as far as we may want it different."""

    id: uuid.UUID
    port: uuid.UUID
    bridge: str
    """The bridge its port is on."""
    name: str
    owner: str = ""
    """The integration bridge that we made it for; empty when we did not make it."""
    type: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    external_ids: Mapping[str, str] = field(default_factory=dict)
    mac: str | None = None
    mtu: int | None = None
    ofport: int | None = None
    """The one that is requested."""


@dataclass(frozen=True, slots=True)
class ControllerRow:
    """A controller of the integration bridge."""

    id: uuid.UUID
    target: str
    is_ours: bool
    columns: Mapping[str, Json]
    is_limited: bool
    """`controller_rate_limit` is set; our meters limit better, and per port."""


@dataclass(frozen=True, slots=True)
class FlowTableRow:
    """Settings of one of the bridge's OpenFlow tables."""

    id: uuid.UUID
    name: str
    is_ours: bool


@dataclass(frozen=True, slots=True)
class BridgeRow:
    """The integration bridge; the defaults are those of a new one."""

    datapath_type: str = ""
    fail_mode: str = ""
    protocols: frozenset[str] = frozenset()
    other_config: Mapping[str, str] = field(default_factory=dict)
    mcast_snooping: bool = False
    controllers: tuple[ControllerRow, ...] = ()
    flow_tables: Mapping[int, FlowTableRow] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """What the OVSDB holds, without the workloads' interfaces."""

    has_root: bool
    """The Open_vSwitch row is there: `ovs-vsctl init` or anybody's first change made it."""
    bridges: Collection[str]
    bridge: BridgeRow | None
    interfaces: Mapping[str, InterfaceRow]
    """Those that are of one of `SET_UP_TYPES` and ours, and those whose name we might want."""


class Edit:
    """Operations that make and remove ports, gathered so that a bridge's set of ports is changed once."""

    def __init__(self) -> None:
        self._ops: list[Op] = []
        self._added: dict[str, list[str]] = {}
        self._removed: dict[str, list[uuid.UUID]] = {}

    def make(self, wanted: Wanted, row: InterfaceRow | None) -> str:
        """Make `row` as wanted; what stands in the way, if something does."""
        if row is None:
            self._insert(wanted)
        elif row.owner != wanted.owner:
            who = f"made for bridge {shown(row.owner)}" if row.owner else "that sdnctl did not make"
            return f"interface {shown(wanted.name)} cannot be made: there is one of that name {who}"
        elif row.bridge != wanted.bridge:
            # Made anew where it belongs once this removal is seen.
            self.remove(row)
        else:
            self._change(wanted, row)
        return ""

    def remove(self, row: InterfaceRow) -> None:
        self._removed.setdefault(row.bridge, []).append(row.port)

    def finish(self) -> list[Op]:
        """All operations."""
        for bridge, names in self._added.items():
            self._ops.append(ops.mutate_named("Bridge", bridge, [["ports", "insert", ops.named(names)]]))
        for bridge, ports in self._removed.items():
            self._ops.append(ops.mutate_named("Bridge", bridge, [["ports", "delete", ops.uuids(ports)]]))
        self._added, self._removed = {}, {}
        return self._ops

    def _insert(self, wanted: Wanted) -> None:
        number = len(self._ops)
        columns: dict[str, Json] = {
            "name": wanted.name,
            "type": wanted.type,
            "external_ids": ops.mapping(wanted.all_external_ids),
            "options": ops.mapping(wanted.options),
        }
        columns |= {column: value for column, value in _scalars(wanted) if value is not None}
        ids = ops.mapping({OWNED: "true", BRIDGE: wanted.owner})
        port = {"name": wanted.name, "interfaces": ["named-uuid", f"i{number}"], "external_ids": ids}
        self._ops.append(ops.insert("Interface", columns, f"i{number}"))
        self._ops.append(ops.insert("Port", port, f"p{number}"))
        self._added.setdefault(wanted.bridge, []).append(f"p{number}")

    def _change(self, wanted: Wanted, row: InterfaceRow) -> None:
        have = {"mac": row.mac, "mtu_request": row.mtu, "ofport_request": row.ofport}
        columns = {column: value for column, value in _scalars(wanted) if value is not None and value != have[column]}
        if row.type != wanted.type:
            columns["type"] = wanted.type
        if columns:
            self._ops.append(ops.update("Interface", row.id, columns))
        mutations = [
            *_missing_keys("external_ids", wanted.all_external_ids, row.external_ids),
            *_missing_keys("options", wanted.options, row.options),
        ]
        if mutations:
            self._ops.append(ops.mutate("Interface", row.id, mutations))


def _scalars(wanted: Wanted) -> tuple[tuple[str, Json], ...]:
    return ("mac", wanted.mac), ("mtu_request", wanted.mtu), ("ofport_request", wanted.ofport)


def _missing_keys(column: str, want: Mapping[str, str], have: Mapping[str, str]) -> list[list[Json]]:
    missing = {key: value for key, value in want.items() if have.get(key) != value}
    return ops.set_keys(column, missing) if missing else []


def plan_plug(edit: Edit, name: str, spec: PlugSpec | None, row: InterfaceRow | None, goal: Goal) -> str:
    """Add to `edit` what makes the interface `name` as wanted; what stands in the way, if something does."""
    host = goal.host
    if spec is not None:
        if problem := unfit(name, spec):
            return problem
        return edit.make(wanted_plug(spec, host), row)
    if row is not None and row.owner == host.bridge and row.type not in SET_UP_TYPES:
        edit.remove(row)
    return ""


def plan_set_up(goal: Goal, state: State, serial: str) -> tuple[list[Op], list[str]]:
    """The operations that set up the bridge, and the problems that are left. `serial` is for a bridge without one."""
    host = goal.host
    planned: list[Op] = []
    if state.bridge is None:
        if host.bridge in state.interfaces:
            return [], [f"bridge {shown(host.bridge)} cannot be made: there is an interface of that name"]
        planned += _new_bridge(host.bridge, has_root=state.has_root)
    bridge = state.bridge or BridgeRow()
    planned += _bridge_columns(goal, bridge, serial)
    planned += _controllers(goal, bridge)
    planned += _flow_tables(goal, bridge)
    problems: list[str] = []
    edit = Edit()
    names = set()
    for wanted in _set_up_interfaces(goal, state, problems):
        names.add(wanted.name)
        if problem := edit.make(wanted, state.interfaces.get(wanted.name)):
            problems.append(problem)
    for row in state.interfaces.values():
        if row.owner == host.bridge and row.type in SET_UP_TYPES and row.name not in names:
            edit.remove(row)
    return planned + edit.finish(), problems


def _new_bridge(name: str, *, has_root: bool) -> Iterator[Op]:
    """A bridge with its own port. The rest of it is brought about as for a bridge that was there."""
    yield ops.insert("Interface", {"name": name, "type": "internal"}, "local_interface")
    yield ops.insert("Port", {"name": name, "interfaces": ["named-uuid", "local_interface"]}, "local_port")
    columns = {"name": name, "ports": ["named-uuid", "local_port"], "external_ids": ops.mapping({OWNED: "true"})}
    yield ops.insert("Bridge", columns, "bridge")
    if has_root:
        yield ops.mutate_all("Open_vSwitch", [["bridges", "insert", ops.named(["bridge"])]])
    else:
        yield ops.insert("Open_vSwitch", {"bridges": ["named-uuid", "bridge"]})


def _bridge_columns(goal: Goal, bridge: BridgeRow, serial: str) -> Iterator[Op]:
    columns: dict[str, Json] = {}
    if (bridge.datapath_type or "system") != goal.host.datapath_type:
        columns["datapath_type"] = "" if goal.host.datapath_type == "system" else goal.host.datapath_type
    if bridge.fail_mode != "secure":
        columns["fail_mode"] = "secure"
    if bridge.mcast_snooping:
        columns["mcast_snooping_enable"] = False
    if columns:
        yield ops.update_named("Bridge", goal.host.bridge, columns)
    mutations: list[list[Json]] = []
    if PROTOCOLS[-1] not in bridge.protocols:
        # A choice that somebody made is only widened.
        added = PROTOCOLS[-1:] if bridge.protocols else PROTOCOLS
        mutations.append(["protocols", "insert", ops.strings(added)])
    wanted = {"disable-in-band": "true", "dp-sn": bridge.other_config.get("dp-sn") or serial}
    mutations += _missing_keys("other_config", wanted, bridge.other_config)
    if mutations:
        yield ops.mutate_named("Bridge", goal.host.bridge, mutations)


def _controllers(goal: Goal, bridge: BridgeRow) -> Iterator[Op]:
    """A row that somebody else made for our target is taken over: two connections to one target would be no help."""
    if not goal.controllers:
        return
    have = {row.target: row for row in reversed(bridge.controllers)}
    added: list[str] = []
    for number, target in enumerate(dict.fromkeys(goal.controllers)):
        row = have.get(target)
        if row is None:
            columns = {"target": target, **CONTROLLER, "external_ids": ops.mapping({OWNED: "true"})}
            added.append(f"controller{number}")
            yield ops.insert("Controller", columns, added[-1])
            continue
        columns = {column: value for column, value in CONTROLLER.items() if row.columns.get(column) != value}
        if row.is_limited:
            columns |= {"controller_rate_limit": ops.EMPTY, "controller_burst_limit": ops.EMPTY}
        if columns:
            yield ops.update("Controller", row.id, columns)
        if not row.is_ours:
            yield ops.mutate("Controller", row.id, [["external_ids", "insert", ops.mapping({OWNED: "true"})]])
    removed = [row.id for row in bridge.controllers if row.is_ours and row.target not in goal.controllers]
    mutations: list[list[Json]] = []
    if added:
        mutations.append(["controller", "insert", ops.named(added)])
    if removed:
        mutations.append(["controller", "delete", ops.uuids(removed)])
    if mutations:
        yield ops.mutate_named("Bridge", goal.host.bridge, mutations)


def _flow_tables(goal: Goal, bridge: BridgeRow) -> Iterator[Op]:
    """Names for the tables, so that `ovs-ofctl --names` prints them. Rows that others made keep what they say."""
    added: dict[int, Json] = {}
    for number, name in goal.tables.items():
        row = bridge.flow_tables.get(number)
        if row is None:
            columns = {"name": name, "external_ids": ops.mapping({OWNED: "true"})}
            yield ops.insert("Flow_Table", columns, f"table{number}")
            added[number] = ["named-uuid", f"table{number}"]
        elif row.is_ours and row.name != name:
            yield ops.update("Flow_Table", row.id, {"name": name})
    removed = sorted(n for n, row in bridge.flow_tables.items() if row.is_ours and n not in goal.tables)
    mutations: list[list[Json]] = []
    if added:
        mutations.append(["flow_tables", "insert", ops.mapping(added)])
    if removed:
        mutations.append(["flow_tables", "delete", ["set", removed]])
    if mutations:
        yield ops.mutate_named("Bridge", goal.host.bridge, mutations)


def _set_up_interfaces(goal: Goal, state: State, problems: list[str]) -> Iterator[Wanted]:
    """Tunnel port and patch ports; what cannot be had is added to `problems`."""
    host = goal.host
    tunnel = wanted_tunnel(host)
    if tunnel is not None:
        yield tunnel
    for physnet, provider in host.bridge_mappings:
        what = f"physical network {shown(physnet)} is not reachable"
        if provider == host.bridge:
            problems.append(f"{what}: its bridge {shown(provider)} is the integration bridge itself")
        elif provider not in state.bridges:
            problems.append(f"{what}: bridge {shown(provider)} does not exist on the host")
        else:
            yield from wanted_patch(host, physnet, provider)
