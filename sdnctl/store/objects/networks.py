# SPDX-License-Identifier: Apache-2.0
"""Networks, subnets and ports."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, String, bindparam, func, literal, or_, select

from sdnctl.model.filters import NAMES as FILTERS
from sdnctl.model.port import NETWORK_OWNERS
from sdnctl.model.request import Object
from sdnctl.store import tables
from sdnctl.store.objects.kind import Rows, kind, seen_in_own_network
from sdnctl.store.settings import Settings

_network = tables.networks.c
_subnet = tables.subnets.c
_port = tables.ports.c
_host = tables.hosts.c

_subnet_ids = (
    select(_subnet.network_id, _subnet.id)
    .where(_subnet.network_id.in_(bindparam("ids", expanding=True)))
    .order_by(_subnet.number)
)
_service_port_ids = (
    select(_port.network_id, _port.id)
    .where(_port.network_id.in_(bindparam("ids", expanding=True)), _port.is_service_port)
    .order_by(_port.id)
)


def security_filters(*, enabled: bool, off: Collection[object]) -> dict[str, bool]:
    """Which filters there are: none without port security, whatever the choice among them."""
    return {name: enabled and name not in off for name in FILTERS}


def _network_seen(project_id: str) -> ColumnElement[bool]:
    return or_(_network.project_id == project_id, _network.shared, _network.external)


def _more_of_networks(connection: Connection, rows: Rows, _settings: Settings) -> Iterator[Object]:
    subnets: dict[str, list[str]] = {row.id: [] for row in rows}
    services: dict[str, list[str]] = {row.id: [] for row in rows}
    for query, found in ((_subnet_ids, subnets), (_service_port_ids, services)):
        for network_id, object_id in connection.execute(query, {"ids": list(found)}):
            found[network_id].append(object_id)
    for row in rows:
        yield {
            "subnets": subnets[row.id],
            "service_ports": services[row.id],
            "security_filters": security_filters(enabled=row.port_security_enabled, off=row.filters_off),
        }


NETWORK: Final = kind(
    "network",
    "Network",
    tables.networks,
    hidden=("key", "segment", "filters_off"),
    names={
        "external": "router:external",
        "type": "provider:network_type",
        "physical_network": "provider:physical_network",
        "segmentation_id": "provider:segmentation_id",
    },
    beside={"status": literal("ACTIVE")},
    more=_more_of_networks,
    visible=_network_seen,
)


def _subnet_seen(project_id: str) -> ColumnElement[bool]:
    networks = select(_network.id).where(_network_seen(project_id))
    return or_(_subnet.project_id == project_id, _subnet.network_id.in_(networks))


SUBNET: Final = kind(
    "subnet",
    "Subnet",
    tables.subnets,
    hidden=("number",),
    beside={"subnetpool_id": literal(None, String)},
    visible=_subnet_seen,
)


def _dns_assignment(row: Row[Any], settings: Settings) -> list[dict[str, str]]:
    """The names DNS has for a port's addresses."""
    domain = (row.dns_domain or row.network_dns_domain or settings.dns_domain).rstrip(".")
    answer = []
    for fixed in row.fixed_ips:
        address = fixed["ip_address"]
        hostname = row.dns_name or "host-" + address.replace(".", "-").replace(":", "-")
        fqdn = hostname if hostname.endswith(".") else f"{hostname}.{domain}."
        answer.append({"ip_address": address, "hostname": hostname.rstrip("."), "fqdn": fqdn})
    return answer


def _binding(row: Row[Any]) -> tuple[str, dict[str, object]]:
    """(vif_type, vif_details): what becomes of the port on the host it is wanted on."""
    if not (row.binding_host or row.plug_host):
        return "unbound", {}
    if row.host_bridge is None:
        return "binding_failed", {}
    if row.network_type == "vxlan":
        is_reachable = row.host_tunnel_ip is not None
    else:
        is_reachable = row.network_physical_network in row.host_bridge_mappings
    if not is_reachable:
        return "binding_failed", {}
    return "ovs", {
        "connectivity": "l2",
        "port_filter": True,
        "ovs_hybrid_plug": False,
        "ovs_create_tap": True,
        "datapath_type": row.host_datapath_type,
        "bridge_name": row.host_bridge,
        "bound_drivers": {"0": "sdnctl"},
    }


def _more_of_ports(_connection: Connection, rows: Rows, settings: Settings) -> Iterator[Object]:
    for row in rows:
        vif_type, vif_details = _binding(row)
        is_the_networks = row.device_owner.startswith(NETWORK_OWNERS)
        plug = {"host": row.plug_host, "type": row.plug_type, "interface": row.plug_interface}
        yield {
            "security_filters": security_filters(enabled=row.port_security_enabled, off=row.filters_off),
            "qos_network_policy_id": None if is_the_networks else row.network_qos_policy_id,
            "dns_assignment": _dns_assignment(row, settings),
            "binding:vif_type": vif_type,
            "binding:vif_details": vif_details,
            "plug": plug if row.plug_host else None,
        }


PORT: Final = kind(
    "port",
    "Port",
    tables.ports,
    hidden=("key", "filters_off", "plug_host", "plug_type", "plug_interface"),
    names={
        "binding_host": "binding:host_id",
        "binding_profile": "binding:profile",
        "vnic_type": "binding:vnic_type",
    },
    source=tables.ports.join(tables.networks, _network.id == _port.network_id).outerjoin(
        tables.hosts, _host.name == func.coalesce(func.nullif(_port.binding_host, literal("")), _port.plug_host)
    ),
    joined=(
        _network.type.label("network_type"),
        _network.physical_network.label("network_physical_network"),
        _network.dns_domain.label("network_dns_domain"),
        _network.qos_policy_id.label("network_qos_policy_id"),
        _host.bridge.label("host_bridge"),
        _host.tunnel_ip.label("host_tunnel_ip"),
        _host.bridge_mappings.label("host_bridge_mappings"),
        _host.datapath_type.label("host_datapath_type"),
    ),
    more=_more_of_ports,
    visible=seen_in_own_network(tables.ports),
)
