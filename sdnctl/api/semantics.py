# SPDX-License-Identifier: Apache-2.0
"""What only one resource can do: the functions behind the actions of the tables, and attributes that are not stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from sdnctl.api.call import Call
from sdnctl.api.resources import Resource
from sdnctl.errors import ForbiddenError
from sdnctl.model.request import Object

Arguments = Mapping[str, object]
"""What the action takes, checked."""
Change = Callable[[Call, str, Arguments], Object]
"""(call, id, arguments) -> what to change in the object; the answer is the whole object."""
View = Callable[[Call, str, Arguments], Object]
"""(call, id, arguments) -> the answer."""

_INTERFACE_PREFIX: Final = "tap"
_INTERFACE_ID: Final = 11
"""Characters of the port's id in an interface's name: what Nova and os-vif use."""


def plug(_call: Call, port_id: str, arguments: Arguments) -> Object:
    """Make the interface on that host, and only that host may bind the port."""
    interface = arguments.get("interface") or f"{_INTERFACE_PREFIX}{port_id[:_INTERFACE_ID]}"
    return {"plug": {**arguments, "interface": interface}, "binding:host_id": arguments["host"]}


def unplug(call: Call, port_id: str, _arguments: Arguments) -> Object:
    """Remove the interface. A port that sdnctl has not plugged keeps its binding."""
    if call.repository.get(call.context, "port", port_id).get("plug") is None:
        return {}
    return {"plug": None, "binding:host_id": ""}


def host_flows(call: Call, host_id: str, arguments: Arguments) -> Object:
    """The host's flows, or those of one app, object or project if asked for."""
    host = call.repository.get(call.context, "host", host_id)
    flows = call.fabric.flows(str(host["name"]), str(arguments["view"]))
    wanted = {key: arguments[word] for word, key in _FLOW_FILTERS.items() if word in arguments}
    return {"flows": [dict(flow) for flow in flows if all(flow.get(key) == wish for key, wish in wanted.items())]}


def host_check(call: Call, host_id: str, _arguments: Arguments) -> Object:
    """What the host has and lacks, asked now."""
    host = call.repository.get(call.context, "host", host_id)
    return {"check": dict(call.fabric.check(str(host["name"])))}


def port_statistics(call: Call, port_id: str, _arguments: Arguments) -> Object:
    """Counters of the port, for its owner; whose network it is in may see the port, and not what it does."""
    port = call.repository.get(call.context, "port", port_id)
    if not call.context.is_admin and port["project_id"] != call.context.project_id:
        raise ForbiddenError(f"Statistics of port {port_id} are for the project that owns it.")
    shown = dict(call.fabric.port_statistics(port_id))
    if not call.context.is_admin:
        shown.pop("host", None)
    return {"statistics": shown}


_FLOW_FILTERS: Final[Mapping[str, str]] = {"app": "app", "object": "object", "project": "project_id"}


def add_addresses(_call: Call, _group_id: str, arguments: Arguments) -> Object:
    """The repository adds them, so that two who add at once do not undo each other."""
    return {"add_addresses": arguments["addresses"]}


def remove_addresses(_call: Call, _group_id: str, arguments: Arguments) -> Object:
    return {"remove_addresses": arguments["addresses"]}


CHANGES: Final[Mapping[tuple[str, str], Change]] = {
    ("port", "plug"): plug,
    ("port", "unplug"): unplug,
    ("address_group", "add_addresses"): add_addresses,
    ("address_group", "remove_addresses"): remove_addresses,
}
"""By resource and action: what a PUT changes."""

VIEWS: Final[Mapping[tuple[str, str], View]] = {
    ("host", "flows"): host_flows,
    ("host", "check"): host_check,
    ("port", "statistics"): port_statistics,
}
"""By resource and action: what a GET answers."""


def live(call: Call, resource: Resource, items: list[Object]) -> list[Object]:
    """`items` with what is known beside the repository."""
    if resource.name == "port":
        return [{**item, **call.fabric.port_status(str(item["id"]))} for item in items]
    if resource.name != "host":
        return items
    return [{**item, **call.fabric.host_status(str(item["name"]))} for item in items]
