# SPDX-License-Identifier: Apache-2.0
"""The library's replica of one OVSDB, on our own session, with the columns that we follow.

It keeps the rows. For each change it calls `notify`, which only notes which row it was; `replica.py` makes of that what
is published.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import ovs.db.idl
from ovsdbapp.backend.ovs_idl import connection, idlutils

from sdnctl import runtime
from sdnctl.errors import HostGoneError
from sdnctl.ovsdb.plan import CONTROLLER
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


def open_idl(session: Session) -> HostIdl:
    """An empty replica that fills itself as `run` is called."""
    schema = session.call("get_schema", [DATABASE])
    try:
        schema = {**schema, "tables": {table: _cut(schema, table) for table in COLUMNS}}
    except (KeyError, TypeError) as error:
        raise HostGoneError(
            f"{session.target}: its database has no {error}: Open vSwitch 2.6 or newer is needed"
        ) from error
    helper = idlutils.create_schema_helper(schema)
    helper.register_all()
    return HostIdl(session, helper)


def _cut(schema: dict[str, Any], table: str) -> dict[str, Any]:
    """The table with the columns we follow only; parsing all of the schema takes the hub 20 ms."""
    have = schema["tables"][table]
    return {**have, "columns": {column: have["columns"][column] for column in COLUMNS[table]}}


@dataclass(slots=True)
class Changes:
    """Rows that changed, by table."""

    bridges: set[uuid.UUID] = field(default_factory=set)
    settings: set[uuid.UUID] = field(default_factory=set)
    """Bridges of which more changed than their ports."""
    parts: set[uuid.UUID] = field(default_factory=set)
    """Controllers and flow tables."""
    ports: set[uuid.UUID] = field(default_factory=set)
    interfaces: set[uuid.UUID] = field(default_factory=set)
    unchecked: set[uuid.UUID] = field(default_factory=set)
    """Interfaces of which more changed than their status."""


class HostIdl(connection.OvsdbIdl):
    """The library's replica on our own session; notes which rows changed."""

    def __init__(self, session: Session, helper: ovs.db.idl.SchemaHelper) -> None:
        super().__init__(session.target, helper)
        self._session = session
        self._slice_ends = 0.0
        self.changes = Changes()

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
        changes = self.changes
        if table == "Interface":
            changes.interfaces.add(row.uuid)
            if event != ovs.db.idl.ROW_UPDATE or not _columns(updates) <= STATUS_COLUMNS:
                changes.unchecked.add(row.uuid)
        elif table == "Port":
            changes.ports.add(row.uuid)
        elif table == "Bridge":
            changes.bridges.add(row.uuid)
            if event != ovs.db.idl.ROW_UPDATE or _columns(updates) != {"ports"}:
                changes.settings.add(row.uuid)
        else:
            changes.parts.add(row.uuid)


def _columns(updates: Any) -> set[str]:
    """Columns that an update changed. `hasattr` on the row would say the same after converting each value."""
    return set(updates._data)  # noqa: SLF001
