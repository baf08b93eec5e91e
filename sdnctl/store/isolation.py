# SPDX-License-Identifier: Apache-2.0
"""Client isolation of a network, and which of its ports are service ports.

A service port is so by its own row, and the network's list is read off its ports: who deletes the port has it off the
list, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, or_, select, update

from sdnctl.errors import ConflictError, InvalidError
from sdnctl.model.port import DHCP_OWNER
from sdnctl.store import tables
from sdnctl.store.bodies import list_of, listed
from sdnctl.store.objects import PORT
from sdnctl.store.write import Write

ATTRIBUTES: Final = frozenset({"client_isolation", "service_ports"})

_network = tables.networks.c
_port = tables.ports.c
_OFF_PREFIX: Final = '%"mac"%'


def of_new_network(body: Mapping[str, object]) -> dict[str, object]:
    """The columns of a new network."""
    if list_of(body, "service_ports"):
        raise InvalidError("service_ports: a new network has no ports yet; make them, then name them in a PUT.")
    return {"client_isolation": bool(body.get("client_isolation"))}


def of_changed_network(body: Mapping[str, object]) -> dict[str, object]:
    """The columns of a network that `body` changes."""
    if body.get("client_isolation") is None:
        return {}
    return {"client_isolation": bool(body["client_isolation"])}


def choose_service_ports(write: Write, network: Row[Any], body: Mapping[str, object]) -> None:
    """Let exactly the ports that `body` names be the network's service ports."""
    if "service_ports" not in body:
        return
    wanted = {str(port_id) for port_id in list_of(body, "service_ports")}
    rows = write.connection.execute(
        select(_port.id, _port.device_owner, _port.is_service_port).where(_port.network_id == network.id)
    ).all()
    there = {row.id for row in rows}
    if strangers := wanted - there:
        raise InvalidError(
            f"service_ports: {listed(strangers)} are no ports of network {network.id}; name ports of it. A machine "
            "outside of sdnctl becomes one by a port with its MAC address that is never plugged."
        )
    if servers := wanted & {row.id for row in rows if row.device_owner == DHCP_OWNER}:
        raise InvalidError(f"service_ports: {listed(servers)} is the DHCP server, whom all reach anyway; leave it out.")
    changed = {row.id for row in rows if row.is_service_port != (row.id in wanted)}
    write.track(PORT, sorted(changed))
    for is_service in (True, False):
        ids = sorted(changed & wanted if is_service else changed - wanted)
        write.connection.execute(update(tables.ports).where(_port.id.in_(ids)).values(is_service_port=is_service))


def require_mac_filters(write: Write, network_id: str) -> None:
    """Of an isolated network, once it is changed: whoever may take a service port's MAC is isolated from nobody."""
    network = write.connection.execute(select(tables.networks).where(_network.id == network_id)).one()
    if not network.client_isolation:
        return
    if not network.port_security_enabled or "mac" in network.filters_off:
        raise _conflict(f"new ports of network {network_id} would be without MAC filter; turn mac on for them")
    query = select(_port.id).where(_port.network_id == network_id, _port.is_service_port.is_(False), _is_loose())
    if loose := list(write.connection.execute(query.order_by(_port.id).limit(6)).scalars()):
        raise _conflict(f"ports {listed(loose)} are without MAC filter; turn mac on, or make them service ports")


def refuse_loose_client(network: Row[Any], values: Mapping[str, object]) -> None:
    """For a port with these columns, which is no service port."""
    if network.client_isolation and (not values["port_security_enabled"] or "mac" in list_of(values, "filters_off")):
        raise _conflict(
            f"a client in network {network.id} keeps its MAC filter, or it could pass for a service port; make it one "
            "first (service_ports of the network), or leave the filter on"
        )


def _is_loose() -> ColumnElement[bool]:
    return or_(_port.port_security_enabled.is_(False), _port.filters_off.like(_OFF_PREFIX))


def _conflict(reason: str) -> ConflictError:
    return ConflictError(f"client_isolation: {reason}.", kind="ClientIsolationNeedsMacFilter")
