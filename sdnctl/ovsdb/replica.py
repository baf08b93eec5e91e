# SPDX-License-Identifier: Apache-2.0
"""One host's OVSDB in memory, and what of it changed.

`Idl` keeps the rows and calls `notify` for each change; that only notes the row. `refresh` then brings the values that
we publish up to date, at a cost that follows the change and not the number of interfaces. Everything here is called by
the link's own task.

Row contents are written by whoever has access to that host: nothing is trusted to have a sensible length or form.
"""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import ovs.db.idl
from netaddr import EUI
from ovsdbapp.backend.ovs_idl import connection, idlutils

from sdnctl import runtime
from sdnctl.errors import HostGoneError
from sdnctl.model.host import Interface
from sdnctl.model.ids import Ofport
from sdnctl.ovsdb.goal import BRIDGE, INSTALLED, LAST_OFPORT, OWNED
from sdnctl.ovsdb.plan import (
    CONTROLLER,
    SET_UP_TYPES,
    BridgeRow,
    ControllerRow,
    FlowTableRow,
    InterfaceRow,
    State,
)
from sdnctl.ovsdb.session import Session

DATABASE: Final = "Open_vSwitch"

COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "Open_vSwitch": ("bridges",),
    "Bridge": (
        "name",
        "ports",
        "datapath_id",
        "datapath_type",
        "fail_mode",
        "protocols",
        "other_config",
        "mcast_snooping_enable",
        "controller",
        "flow_tables",
    ),
    "Port": ("name", "interfaces"),
    "Interface": (
        "name",
        "type",
        "options",
        "external_ids",
        "ofport",
        "ofport_request",
        "mac",
        "mtu_request",
        "error",
    ),
    "Controller": (*CONTROLLER, "target", "controller_rate_limit", "external_ids"),
    "Flow_Table": ("name", "external_ids"),
}
"""What is followed. Anything more costs time and memory for each interface of each host: statistics change all day."""

STATUS_COLUMNS: Final = frozenset({"ofport", "error"})
"""Columns of Interface that ovs-vswitchd writes: no reason to look whether the interface is as wanted."""

NAME_LIMIT: Final = 64
TEXT_LIMIT: Final = 200
"""Characters that are kept of names and ids, and of error messages."""

_MAC: Final = re.compile(r"[0-9a-fA-F]{2}(?:[:-][0-9a-fA-F]{2}){5}")


def open_replica(session: Session, bridge: str) -> Replica:
    """An empty replica that fills itself as its `run` is called."""
    schema = session.call("get_schema", [DATABASE])
    try:
        schema = {**schema, "tables": {table: _cut(schema, table) for table in COLUMNS}}
    except (KeyError, TypeError) as error:
        raise HostGoneError(
            f"{session.target}: its database has no {error}: Open vSwitch 2.6 or newer is needed"
        ) from error
    helper = idlutils.create_schema_helper(schema)
    helper.register_all()
    return Replica(HostIdl(session, helper), bridge)


def _cut(schema: dict[str, Any], table: str) -> dict[str, Any]:
    """The table with the columns we follow only; parsing all of the schema takes the hub 20 ms."""
    have = schema["tables"][table]
    return {**have, "columns": {column: have["columns"][column] for column in COLUMNS[table]}}


class HostIdl(connection.OvsdbIdl):
    """The library's replica on our own session; notes which rows changed."""

    def __init__(self, session: Session, helper: ovs.db.idl.SchemaHelper) -> None:
        super().__init__(session.target, helper)
        self._session = session
        self._slice_ends = 0.0
        self.bridges: set[uuid.UUID] = set()
        self.ports: set[uuid.UUID] = set()
        self.interfaces: set[uuid.UUID] = set()
        """Rows that changed."""
        self.unchecked: set[uuid.UUID] = set()
        """Interfaces of which more changed than their status."""
        self.is_set_up_unchecked = True
        """Something of the bridge itself changed."""

    def run(self) -> bool:
        """Take what came in; HostGoneError when nothing will come any more."""
        was_complete = self.is_complete
        self._slice_ends = runtime.monotonic() + runtime.SLICE_S
        is_changed = bool(super().run())
        self._session.check()
        if was_complete and not self.is_complete:
            raise HostGoneError(f"{self._session.target}: the database was converted to another schema")
        return is_changed

    @property
    def is_complete(self) -> bool:
        """The whole database has been read."""
        return bool(self.state == self.IDL_S_MONITORING)

    def cooperative_yield(self) -> None:
        if runtime.monotonic() >= self._slice_ends:
            runtime.give_way()
            self._slice_ends = runtime.monotonic() + runtime.SLICE_S

    def notify(self, event: str, row: Any, updates: Any = None) -> None:
        table = row._table.name  # noqa: SLF001  (the library's own events read it there)
        if table == "Interface":
            self.interfaces.add(row.uuid)
            if event != ovs.db.idl.ROW_UPDATE or not _changed(updates) <= STATUS_COLUMNS:
                self.unchecked.add(row.uuid)
        elif table == "Port":
            self.ports.add(row.uuid)
        else:
            if table == "Bridge":
                self.bridges.add(row.uuid)
                if event == ovs.db.idl.ROW_UPDATE and _changed(updates) == {"ports"}:
                    return
            self.is_set_up_unchecked = True


def _changed(updates: Any) -> set[str]:
    """Columns that an update changed. `hasattr` on the row would say the same after converting each value."""
    return set(updates._data)  # noqa: SLF001


@dataclass(slots=True)
class _Known:
    """What we made of an interface's row."""

    value: Interface
    owner: str
    bridge: uuid.UUID | None
    port: uuid.UUID | None
    is_here: bool
    """It is on the integration bridge."""


class Replica:
    """The values we publish and the rows we may want different, of one integration bridge in one OVSDB."""

    def __init__(self, idl: HostIdl, bridge: str) -> None:
        self.idl = idl
        self.here: dict[str, Interface] = {}
        """Interfaces on the integration bridge by name. Copied before it is published."""
        self.is_here_changed = False
        self.touched: set[str] = set()
        """Names of interfaces that are to be compared with what is wanted; taken by the link."""
        self._bridge = bridge
        self._known: dict[uuid.UUID, _Known] = {}
        self._by_name: dict[str, uuid.UUID] = {}
        self._set_up: set[uuid.UUID] = set()
        self._bridge_names: dict[uuid.UUID, str] = {}
        self._bridge_ports: dict[uuid.UUID, set[Any]] = {}
        self._bridge_of: dict[uuid.UUID, uuid.UUID] = {}
        self._port_interfaces: dict[uuid.UUID, tuple[uuid.UUID, ...]] = {}
        self._port_of: dict[uuid.UUID, uuid.UUID] = {}

    # --- bring up to date -------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Take over what changed since the last call, giving way in between."""
        idl = self.idl
        stale: set[uuid.UUID] = set()
        bridges, idl.bridges = idl.bridges, set()
        for row_id in bridges:
            for port in self._refresh_bridge(row_id):
                stale.update(self._port_interfaces.get(port, ()))
        ports, idl.ports = idl.ports, set()
        for row_id in runtime.in_slices(ports):
            stale.update(self._refresh_port(row_id))
        unchecked, idl.unchecked = idl.unchecked | stale, set()
        stale |= idl.interfaces
        idl.interfaces = set()
        for row_id in runtime.in_slices(stale):
            self._refresh_interface(row_id, is_unchecked=row_id in unchecked)

    def _refresh_bridge(self, row_id: uuid.UUID) -> Iterable[uuid.UUID]:
        """The ports that came to the bridge or went."""
        row = self.idl.tables["Bridge"].rows.get(row_id)
        if row is None:
            atoms: set[Any] = set()
            name = self._bridge_names.pop(row_id, None)
            if name == self._bridge:
                self.idl.is_set_up_unchecked = True
        else:
            # `row.ports` would sort the rows, in Python: 11 ms for 3 000 ports, at every port that comes or goes.
            atoms = set(row._data["ports"].values)  # noqa: SLF001
            self._bridge_names[row_id] = row.name
        had = self._bridge_ports.get(row_id, set())
        self._bridge_ports[row_id] = atoms
        gone, come = [atom.value for atom in had - atoms], [atom.value for atom in atoms - had]
        for port in gone:
            if self._bridge_of.get(port) == row_id:
                del self._bridge_of[port]
        for port in come:
            self._bridge_of[port] = row_id
        if row is None:
            del self._bridge_ports[row_id]
        return gone + come

    def _refresh_port(self, row_id: uuid.UUID) -> Iterable[uuid.UUID]:
        """The interfaces that came to the port or went."""
        row = self.idl.tables["Port"].rows.get(row_id)
        had = self._port_interfaces.pop(row_id, ())
        have = () if row is None else tuple(interface.uuid for interface in row.interfaces)
        if have:
            self._port_interfaces[row_id] = have
        for interface in had:
            if self._port_of.get(interface) == row_id:
                del self._port_of[interface]
        for interface in have:
            self._port_of[interface] = row_id
        return set(had) ^ set(have)

    def _refresh_interface(self, row_id: uuid.UUID, *, is_unchecked: bool) -> None:
        had, have = self._known.pop(row_id, None), self._read(row_id)
        for known in (had, have):
            if known is not None and is_unchecked:
                self.touched.add(known.value.name)
                if self._is_set_up(known):
                    self.idl.is_set_up_unchecked = True
        if had is not None:
            self._forget(row_id, had)
        if have is not None:
            if had is not None and had.is_here and have.is_here and had.value == have.value:
                have.value = had.value
            elif have.is_here:
                self.is_here_changed = True
            self._remember(row_id, have)
        if had is not None and had.is_here and not (have is not None and have.is_here):
            self.is_here_changed = True

    def _read(self, row_id: uuid.UUID) -> _Known | None:
        """What there is to know of an interface; None if it has no name that we could use."""
        row = self.idl.tables["Interface"].rows.get(row_id)
        if row is None:
            return None
        name, ids = row.name, row.external_ids
        if not name or _text(name, NAME_LIMIT) != name:
            return None
        is_ours = ids.get(OWNED) == "true"
        ofport = _only(row.ofport)
        value = Interface(
            name=name,
            # 65534 is the bridge's own port, -1 one that could not be had.
            ofport=Ofport(ofport) if ofport is not None and 0 < ofport <= LAST_OFPORT else None,
            iface_id=_id(ids.get("iface-id", "")),
            attached_mac=_mac(ids.get("attached-mac", "")),
            type=_text(row.type, NAME_LIMIT),
            is_ours=is_ours,
            installed=_id(ids.get(INSTALLED, "")),
            error=_text(_only(row.error) or "", TEXT_LIMIT),
        )
        port = self._port_of.get(row_id)
        bridge = self._bridge_of.get(port) if port is not None else None
        return _Known(
            value=value,
            owner=ids.get(BRIDGE, "") if is_ours else "",
            bridge=bridge,
            port=port,
            is_here=bridge is not None and self._bridge_names.get(bridge) == self._bridge,
        )

    def _forget(self, row_id: uuid.UUID, known: _Known) -> None:
        name = known.value.name
        if self._by_name.get(name) == row_id:
            del self._by_name[name]
        self._set_up.discard(row_id)
        # Another row may have taken the name in the same transaction.
        if known.is_here and self.here.get(name) is known.value:
            del self.here[name]

    def _remember(self, row_id: uuid.UUID, known: _Known) -> None:
        name = known.value.name
        self._known[row_id] = known
        self._by_name[name] = row_id
        if self._is_set_up(known):
            self._set_up.add(row_id)
        if known.is_here:
            self.here[name] = known.value

    def _is_set_up(self, known: _Known) -> bool:
        return known.owner == self._bridge and known.value.type in SET_UP_TYPES

    # --- what is there ----------------------------------------------------------------------------------------

    @property
    def has_bridge(self) -> bool:
        """The integration bridge exists."""
        return self._bridge_row() is not None

    @property
    def datapath_id(self) -> int | None:
        """None while ovs-vswitchd has not said it."""
        row = self._bridge_row()
        with contextlib.suppress(ValueError):
            if row is not None and row.datapath_id:
                return int(row.datapath_id[0][:16], 16)
        return None

    @property
    def serial(self) -> str:
        """As the switch will say it: the OpenFlow field has 31 bytes."""
        row = self._bridge_row()
        text = "" if row is None else row.other_config.get("dp-sn", "")
        return text.encode(errors="replace")[:31].decode(errors="ignore")

    def interface_id(self, name: str) -> uuid.UUID | None:
        """The row of an interface on the integration bridge."""
        return self._by_name.get(name) if name in self.here else None

    def interface(self, name: str) -> InterfaceRow | None:
        """The interface of that name, on whatever bridge."""
        row_id = self._by_name.get(name)
        return None if row_id is None else self._interface_row(row_id)

    def owned_plugs(self) -> list[str]:
        """Names of the interfaces that we made for ports of the integration bridge."""
        return [
            known.value.name
            for known in self._known.values()
            if known.owner == self._bridge and known.value.type not in SET_UP_TYPES
        ]

    def state(self, names: Iterable[str]) -> State:
        """What setting up the bridge has to know; `names` are those of interfaces that may be wanted."""
        rows = [self.interface(name) for name in names]
        rows += [self._interface_row(row_id) for row_id in self._set_up]
        return State(
            has_root=bool(self.idl.tables["Open_vSwitch"].rows),
            bridges=frozenset(self._bridge_names.values()),
            bridge=self._bridge_state(),
            interfaces={row.name: row for row in rows if row is not None},
        )

    def _bridge_row(self) -> Any:
        for row_id, name in self._bridge_names.items():
            if name == self._bridge:
                return self.idl.tables["Bridge"].rows.get(row_id)
        return None

    def _bridge_state(self) -> BridgeRow | None:
        row = self._bridge_row()
        if row is None:
            return None
        return BridgeRow(
            datapath_type=row.datapath_type,
            fail_mode=_only(row.fail_mode) or "",
            protocols=frozenset(row.protocols),
            other_config=row.other_config,
            mcast_snooping=row.mcast_snooping_enable,
            controllers=tuple(_controller_row(controller) for controller in row.controller),
            flow_tables={number: _flow_table_row(table) for number, table in row.flow_tables.items()},
        )

    def _interface_row(self, row_id: uuid.UUID) -> InterfaceRow | None:
        known, row = self._known[row_id], self.idl.tables["Interface"].rows[row_id]
        if known.bridge is None or known.port is None:
            return None
        return InterfaceRow(
            id=row_id,
            port=known.port,
            bridge=self._bridge_names[known.bridge],
            name=known.value.name,
            owner=known.owner,
            type=row.type,
            options=row.options,
            external_ids=row.external_ids,
            mac=_only(row.mac),
            mtu=_only(row.mtu_request),
            ofport=_only(row.ofport_request),
        )


def _controller_row(row: Any) -> ControllerRow:
    return ControllerRow(
        id=row.uuid,
        target=row.target,
        is_ours=row.external_ids.get(OWNED) == "true",
        columns={column: _only(getattr(row, column)) for column in CONTROLLER},
        is_limited=bool(row.controller_rate_limit),
    )


def _flow_table_row(row: Any) -> FlowTableRow:
    return FlowTableRow(row.uuid, _only(row.name) or "", row.external_ids.get(OWNED) == "true")


def _only(values: list[Any]) -> Any:
    """The value of a column that may be empty."""
    return values[0] if values else None


def _text(value: str, limit: int) -> str:
    """`value` cut to `limit`, without what cannot be encoded."""
    return value[:limit].encode(errors="replace").decode()


def _id(value: str) -> str:
    """`value`, or nothing when it is longer than any id of ours."""
    return "" if len(value) > NAME_LIMIT else _text(value, NAME_LIMIT)


def _mac(value: str) -> EUI | None:
    if not _MAC.fullmatch(value):
        return None
    return EUI(int(value.replace("-", ":").replace(":", ""), 16), version=48)
