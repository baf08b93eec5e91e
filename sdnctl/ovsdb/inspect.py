# SPDX-License-Identifier: Apache-2.0
"""Asks an OVSDB once, over a connection of its own, for what is not followed all day."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sdnctl.errors import HostGoneError
from sdnctl.model.host_check import BridgeSeen, ControllerSeen, DeviceSeen, OvsdbSeen
from sdnctl.model.tls import Tls
from sdnctl.ovsdb.goal import OWNED
from sdnctl.ovsdb.idl import DATABASE
from sdnctl.ovsdb.session import connect

_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "Open_vSwitch": ("ovs_version", "datapath_types", "iface_types", "cur_cfg", "next_cfg"),
    "Bridge": ("name", "datapath_type", "fail_mode", "controller", "ports"),
    "Port": ("_uuid", "interfaces"),
    "Interface": ("_uuid", "name", "type", "mtu", "admin_state", "error"),
    "Controller": ("_uuid", "target", "is_connected", "external_ids"),
}


def inspect(target: str, tls: Tls | None) -> OvsdbSeen:
    """What the database at `target` says; HostGoneError when it does not answer."""
    session = connect(target, tls)
    try:
        questions = [
            {"op": "select", "table": table, "where": [], "columns": list(columns)}
            for table, columns in _COLUMNS.items()
        ]
        answers = session.call("transact", [DATABASE, *questions])
    finally:
        session.close()
    try:
        tables = {table: answer["rows"] for table, answer in zip(_COLUMNS, answers, strict=True)}
        return _seen(tables)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise HostGoneError(f"{target}: what it answers makes no sense: {str(answers)[:200]}") from error


def _seen(tables: Mapping[str, list[dict[str, Any]]]) -> OvsdbSeen:
    (root,) = tables["Open_vSwitch"]
    by_id = {row["_uuid"][1]: row for table in ("Port", "Interface", "Controller") for row in tables[table]}
    return OvsdbSeen(
        version="".join(map(str, _set(root["ovs_version"]))),
        datapath_types=frozenset(map(str, _set(root["datapath_types"]))),
        interface_types=frozenset(map(str, _set(root["iface_types"]))),
        is_current=root["cur_cfg"] >= root["next_cfg"],
        bridges={str(row["name"]): _bridge(row, by_id) for row in tables["Bridge"]},
    )


def _bridge(row: dict[str, Any], by_id: Mapping[str, dict[str, Any]]) -> BridgeSeen:
    ports = [by_id[uuid] for _, uuid in _set(row["ports"])]
    devices = (_device(by_id[uuid]) for port in ports for _, uuid in _set(port["interfaces"]))
    controllers = [by_id[uuid] for _, uuid in _set(row["controller"])]
    return BridgeSeen(
        name=str(row["name"]),
        datapath_type=str(row["datapath_type"]),
        fail_mode="".join(_set(row["fail_mode"])),
        controllers=tuple(
            ControllerSeen(str(one["target"]), [OWNED, "true"] in one["external_ids"][1], bool(one["is_connected"]))
            for one in sorted(controllers, key=lambda one: str(one["target"]))
        ),
        devices=tuple(sorted(devices, key=lambda device: device.name)),
    )


def _device(row: dict[str, Any]) -> DeviceSeen:
    return DeviceSeen(
        name=str(row["name"]),
        type=str(row["type"]),
        mtu=next((int(mtu) for mtu in _set(row["mtu"])), None),
        is_up=_set(row["admin_state"]) == ["up"],
        error="".join(_set(row["error"]))[:200],
    )


def _set(value: Any) -> list[Any]:
    """The members of a column: a set is written `["set", [...]]`, unless it has exactly one."""
    if isinstance(value, list) and value[:1] == ["set"]:
        return list(value[1])
    return [value]
