# SPDX-License-Identifier: Apache-2.0
"""What each kind of object looks like to users, which columns its attributes are, and who may see it.

A `Kind` is everything needed to read: one query that brings whole objects in one go, a function from its rows to what
REST shows, and the condition under which somebody who is no admin finds an object at all. Lists, single objects,
answers to writes and the journal's differences all come from here, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, bindparam, false, func, literal, or_, select

from sdnctl.errors import NotFoundError
from sdnctl.model.filters import NAMES as FILTERS
from sdnctl.model.port import NETWORK_OWNERS
from sdnctl.model.request import Context, Object
from sdnctl.store import tables
from sdnctl.store.settings import Settings

Rows = Sequence[Row[Any]]
Render = Callable[[Connection, Rows, Settings], list[Object]]

_BATCH: Final = 200
"""So many objects are read with one query when their ids are known."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object."""

    name: str
    error: str
    """What starts the types of its errors: `Network` in `NetworkNotFound`."""
    table: Table
    query: Select[Any]
    """All objects, with all that `render` needs."""
    render: Render
    columns: Mapping[str, ColumnElement[Any]]
    """What filters and sort keys of these names mean."""
    visible: Callable[[str], ColumnElement[bool]] | None = None
    """Which objects a project sees; None: only admins see any. Services see all that some project sees."""

    def visible_to(self, ctx: Context) -> ColumnElement[bool] | None:
        """The condition under which the caller sees an object; None: always."""
        if ctx.is_admin or (self.visible and is_service(ctx)):
            return None
        # Objects of the system itself have an empty project; a caller without one owns nothing.
        return self.visible(ctx.project_id) if self.visible and ctx.project_id else false()

    def one(self, connection: Connection, settings: Settings, ctx: Context, object_id: str) -> Object:
        """The object, if the caller may see it."""
        query = self.query.where(self.table.c.id == object_id)
        condition = self.visible_to(ctx)
        rows = connection.execute(query if condition is None else query.where(condition)).all()
        if not rows:
            raise self.not_found(object_id)
        return self.render(connection, rows, settings)[0]

    def some(self, connection: Connection, settings: Settings, ids: Sequence[str]) -> Iterator[Object]:
        """The objects of these ids that exist, in no order."""
        for start in range(0, len(ids), _BATCH):
            part = ids[start : start + _BATCH]
            if len(part) == 1:
                rows = connection.execute(self.query.where(self.table.c.id == bindparam("id_")), {"id_": part[0]}).all()
            else:
                rows = connection.execute(self.query.where(self.table.c.id.in_(part))).all()
            yield from self.render(connection, rows, settings)

    def not_found(self, object_id: str) -> NotFoundError:
        return NotFoundError(f"{self.error} {object_id[:64]} could not be found.", kind=f"{self.error}NotFound")


def is_service(ctx: Context) -> bool:
    """The caller acts for all projects, as Nova does when it binds a port."""
    return "service" in ctx.roles


def security_filters(*, enabled: bool, off: Collection[object]) -> dict[str, bool]:
    """Which filters there are: none without port security, whatever the choice among them."""
    return {name: enabled and name not in off for name in FILTERS}


# ----------------------------------------------------------------------------------------------------------- networks

_network = tables.networks.c


def _network_seen(project_id: str) -> ColumnElement[bool]:
    return or_(_network.project_id == project_id, _network.shared, _network.external)


_subnet_ids = (
    select(tables.subnets.c.network_id, tables.subnets.c.id)
    .where(tables.subnets.c.network_id.in_(bindparam("ids", expanding=True)))
    .order_by(tables.subnets.c.number)
)


_service_port_ids = (
    select(tables.ports.c.network_id, tables.ports.c.id)
    .where(tables.ports.c.network_id.in_(bindparam("ids", expanding=True)), tables.ports.c.is_service_port)
    .order_by(tables.ports.c.id)
)


def _networks(connection: Connection, rows: Rows, _settings: Settings) -> list[Object]:
    subnets: dict[str, list[str]] = {row.id: [] for row in rows}
    services: dict[str, list[str]] = {row.id: [] for row in rows}
    for query, found in ((_subnet_ids, subnets), (_service_port_ids, services)):
        for network_id, object_id in connection.execute(query, {"ids": list(found)}) if found else ():
            found[network_id].append(object_id)
    return [
        {
            "id": row.id,
            "name": row.name,
            "project_id": row.project_id,
            "tenant_id": row.project_id,
            "admin_state_up": row.admin_state_up,
            "status": "ACTIVE",
            "shared": row.shared,
            "router:external": row.external,
            "is_default": row.is_default,
            "subnets": subnets[row.id],
            "mtu": row.mtu,
            "port_security_enabled": row.port_security_enabled,
            "security_filters": security_filters(enabled=row.port_security_enabled, off=row.filters_off),
            "client_isolation": row.client_isolation,
            "service_ports": services[row.id],
            "dns_domain": row.dns_domain,
            "qos_policy_id": row.qos_policy_id,
            "provider:network_type": row.type,
            "provider:physical_network": row.physical_network,
            "provider:segmentation_id": row.segmentation_id,
            "availability_zones": [],
            "availability_zone_hints": row.availability_zone_hints,
            "description": row.description,
            "tags": row.tags,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
            "revision_number": row.revision_number,
        }
        for row in rows
    ]


def _columns(table: Table, **named: ColumnElement[Any]) -> dict[str, ColumnElement[Any]]:
    """The table's columns under their names, and those whose attribute is named differently."""
    columns: dict[str, ColumnElement[Any]] = dict(table.c)
    columns.update(named)
    if "project_id" in columns:
        columns["tenant_id"] = columns["project_id"]
    return columns


NETWORK: Final = Kind(
    name="network",
    error="Network",
    table=tables.networks,
    query=select(tables.networks),
    render=_networks,
    visible=_network_seen,
    columns=_columns(tables.networks, status=literal("ACTIVE"))
    | {
        "router:external": _network.external,
        "provider:network_type": _network.type,
        "provider:physical_network": _network.physical_network,
        "provider:segmentation_id": _network.segmentation_id,
    },
)

# ------------------------------------------------------------------------------------------------------------ subnets

_subnet = tables.subnets.c


def _subnet_seen(project_id: str) -> ColumnElement[bool]:
    networks = select(_network.id).where(_network_seen(project_id))
    return or_(_subnet.project_id == project_id, _subnet.network_id.in_(networks))


def _subnets(_connection: Connection, rows: Rows, _settings: Settings) -> list[Object]:
    return [
        {
            "id": row.id,
            "name": row.name,
            "project_id": row.project_id,
            "tenant_id": row.project_id,
            "network_id": row.network_id,
            "ip_version": row.ip_version,
            "cidr": row.cidr,
            "gateway_ip": row.gateway_ip,
            "allocation_pools": row.allocation_pools,
            "enable_dhcp": row.enable_dhcp,
            "dns_nameservers": row.dns_nameservers,
            "host_routes": row.host_routes,
            "service_types": row.service_types,
            "ipv6_ra_mode": row.ipv6_ra_mode,
            "ipv6_address_mode": row.ipv6_address_mode,
            "subnetpool_id": None,
            "description": row.description,
            "tags": row.tags,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
            "revision_number": row.revision_number,
        }
        for row in rows
    ]


SUBNET: Final = Kind(
    name="subnet",
    error="Subnet",
    table=tables.subnets,
    query=select(tables.subnets),
    render=_subnets,
    visible=_subnet_seen,
    columns=_columns(tables.subnets, subnetpool_id=literal("")),
)

# -------------------------------------------------------------------------------------------------------------- ports

_port = tables.ports.c
_host = tables.hosts.c


def _port_seen(project_id: str) -> ColumnElement[bool]:
    own_networks = select(_network.id).where(_network.project_id == project_id)
    return or_(_port.project_id == project_id, _port.network_id.in_(own_networks))


def dns_assignment(row: Row[Any], settings: Settings) -> list[dict[str, str]]:
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


def _ports(_connection: Connection, rows: Rows, settings: Settings) -> list[Object]:
    objects: list[Object] = []
    for row in rows:
        vif_type, vif_details = _binding(row)
        objects.append(
            {
                "id": row.id,
                "name": row.name,
                "project_id": row.project_id,
                "tenant_id": row.project_id,
                "network_id": row.network_id,
                "mac_address": row.mac_address,
                "fixed_ips": row.fixed_ips,
                "admin_state_up": row.admin_state_up,
                "status": row.status,
                "device_id": row.device_id,
                "device_owner": row.device_owner,
                "port_security_enabled": row.port_security_enabled,
                "security_filters": security_filters(enabled=row.port_security_enabled, off=row.filters_off),
                "is_service_port": row.is_service_port,
                "allowed_address_pairs": row.allowed_address_pairs,
                "extra_dhcp_opts": row.extra_dhcp_opts,
                "security_groups": row.security_groups,
                "qos_policy_id": row.qos_policy_id,
                "qos_network_policy_id": None
                if row.device_owner.startswith(NETWORK_OWNERS)
                else row.network_qos_policy_id,
                "dns_name": row.dns_name,
                "dns_domain": row.dns_domain,
                "dns_assignment": dns_assignment(row, settings),
                "binding:host_id": row.binding_host,
                "binding:vnic_type": row.vnic_type,
                "binding:profile": row.binding_profile,
                "binding:vif_type": vif_type,
                "binding:vif_details": vif_details,
                "bound_host": row.bound_host,
                "plug": {"host": row.plug_host, "type": row.plug_type, "interface": row.plug_interface}
                if row.plug_host
                else None,
                "description": row.description,
                "tags": row.tags,
                "created_at": row.created_at,
                "updated_at": row.updated_at,
                "revision_number": row.revision_number,
            }
        )
    return objects


PORT: Final = Kind(
    name="port",
    error="Port",
    table=tables.ports,
    query=select(
        tables.ports,
        _network.type.label("network_type"),
        _network.physical_network.label("network_physical_network"),
        _network.dns_domain.label("network_dns_domain"),
        _network.qos_policy_id.label("network_qos_policy_id"),
        _host.bridge.label("host_bridge"),
        _host.tunnel_ip.label("host_tunnel_ip"),
        _host.bridge_mappings.label("host_bridge_mappings"),
        _host.datapath_type.label("host_datapath_type"),
    )
    .join(tables.networks, _network.id == _port.network_id)
    .outerjoin(
        tables.hosts, _host.name == func.coalesce(func.nullif(_port.binding_host, literal("")), _port.plug_host)
    ),
    render=_ports,
    visible=_port_seen,
    columns=_columns(tables.ports) | {"binding:host_id": _port.binding_host},
)

# --------------------------------------------------------------------------------------------------- security groups

_group = tables.security_groups.c
_rule = tables.security_group_rules.c
_rules_of_groups = (
    select(tables.security_group_rules)
    .where(_rule.security_group_id.in_(bindparam("ids", expanding=True)))
    .order_by(_rule.created_at, _rule.id)
)


def _groups(connection: Connection, rows: Rows, _settings: Settings) -> list[Object]:
    rules: dict[str, list[Object]] = {row.id: [] for row in rows}
    if rules:
        for row in connection.execute(_rules_of_groups, {"ids": list(rules)}):
            rules[row.security_group_id].append(_shown_rule(row))
    return [
        {
            "id": row.id,
            "name": row.name,
            "project_id": row.project_id,
            "tenant_id": row.project_id,
            "stateful": row.stateful,
            "security_group_rules": rules[row.id],
            "description": row.description,
            "tags": row.tags,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
            "revision_number": row.revision_number,
        }
        for row in rows
    ]


SECURITY_GROUP: Final = Kind(
    name="security_group",
    error="SecurityGroup",
    table=tables.security_groups,
    query=select(tables.security_groups),
    render=_groups,
    visible=lambda project_id: _group.project_id == project_id,
    columns=_columns(tables.security_groups),
)


def _shown_rule(row: Row[Any]) -> Object:
    return {
        "id": row.id,
        "security_group_id": row.security_group_id,
        "project_id": row.project_id,
        "tenant_id": row.project_id,
        "direction": row.direction,
        "ethertype": row.ethertype,
        "protocol": row.protocol,
        "port_range_min": row.port_range_min,
        "port_range_max": row.port_range_max,
        "remote_ip_prefix": row.remote_ip_prefix,
        "normalized_cidr": row.normalized_cidr,
        "remote_group_id": row.remote_group_id,
        "remote_address_group_id": row.remote_address_group_id,
        "established": row.established,
        "description": row.description,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "revision_number": row.revision_number,
    }


SECURITY_GROUP_RULE: Final = Kind(
    name="security_group_rule",
    error="SecurityGroupRule",
    table=tables.security_group_rules,
    query=select(tables.security_group_rules),
    render=lambda _connection, rows, _settings: [_shown_rule(row) for row in rows],
    visible=lambda project_id: _rule.project_id == project_id,
    columns=_columns(tables.security_group_rules),
)


def _address_groups(_connection: Connection, rows: Rows, _settings: Settings) -> list[Object]:
    return [
        {
            "id": row.id,
            "name": row.name,
            "project_id": row.project_id,
            "tenant_id": row.project_id,
            "addresses": row.addresses,
            "description": row.description,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
            "revision_number": row.revision_number,
        }
        for row in rows
    ]


ADDRESS_GROUP: Final = Kind(
    name="address_group",
    error="AddressGroup",
    table=tables.address_groups,
    query=select(tables.address_groups),
    render=_address_groups,
    visible=lambda project_id: tables.address_groups.c.project_id == project_id,
    columns=_columns(tables.address_groups),
)

# ------------------------------------------------------------------------------------------------- quality of service

_policy = tables.qos_policies.c
_qos_rule = tables.qos_rules.c
_rules_of_policies = (
    select(tables.qos_rules)
    .where(_qos_rule.qos_policy_id.in_(bindparam("ids", expanding=True)))
    .order_by(_qos_rule.type, _qos_rule.direction)
)


def _policy_seen(project_id: str) -> ColumnElement[bool]:
    return or_(_policy.project_id == project_id, _policy.shared)


def _policies(connection: Connection, rows: Rows, _settings: Settings) -> list[Object]:
    rules: dict[str, list[Object]] = {row.id: [] for row in rows}
    if rules:
        for row in connection.execute(_rules_of_policies, {"ids": list(rules)}):
            shown = {name: value for name, value in _shown_qos_rule(row).items() if name not in _QOS_STAMPS}
            rules[row.qos_policy_id].append({**shown, "type": row.type})
    return [
        {
            "id": row.id,
            "name": row.name,
            "project_id": row.project_id,
            "tenant_id": row.project_id,
            "shared": row.shared,
            "is_default": row.is_default,
            "rules": rules[row.id],
            "description": row.description,
            "tags": row.tags,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
            "revision_number": row.revision_number,
        }
        for row in rows
    ]


QOS_POLICY: Final = Kind(
    name="qos_policy",
    error="QosPolicy",
    table=tables.qos_policies,
    query=select(tables.qos_policies),
    render=_policies,
    visible=_policy_seen,
    columns=_columns(tables.qos_policies),
)

_QOS_STAMPS: Final = frozenset({"created_at", "updated_at", "revision_number"})


def _shown_qos_rule(row: Row[Any]) -> Object:
    shown: Object = {
        "id": row.id,
        "qos_policy_id": row.qos_policy_id,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "revision_number": row.revision_number,
    }
    match row.type:
        case "bandwidth_limit":
            shown |= {"max_kbps": row.value, "max_burst_kbps": row.burst, "direction": row.direction}
        case "packet_rate_limit":
            shown |= {"max_kpps": row.value, "max_burst_kpps": row.burst, "direction": row.direction}
        case _:
            shown |= {"dscp_mark": row.value}
    return shown


def _qos_rules(name: str, **named: ColumnElement[Any]) -> Kind:
    return Kind(
        name=name,
        error="QosRule",
        table=tables.qos_rules,
        query=select(tables.qos_rules).where(_qos_rule.type == name.removesuffix("_rule")),
        render=lambda _connection, rows, _settings: [_shown_qos_rule(row) for row in rows],
        visible=lambda project_id: _qos_rule.qos_policy_id.in_(select(_policy.id).where(_policy_seen(project_id))),
        columns=_columns(tables.qos_rules, **named),
    )


QOS_RULES: Final = (
    _qos_rules("bandwidth_limit_rule", max_kbps=_qos_rule.value, max_burst_kbps=_qos_rule.burst),
    _qos_rules("packet_rate_limit_rule", max_kpps=_qos_rule.value, max_burst_kpps=_qos_rule.burst),
    _qos_rules("dscp_marking_rule", dscp_mark=_qos_rule.value),
)

# ---------------------------------------------------------------------------------------------------------- IP groups

_ip_group = tables.ip_groups.c


def _ip_group_seen(project_id: str) -> ColumnElement[bool]:
    own_networks = select(_network.id).where(_network.project_id == project_id)
    return or_(_ip_group.project_id == project_id, _ip_group.network_id.in_(own_networks))


def _ip_groups(_connection: Connection, rows: Rows, _settings: Settings) -> list[Object]:
    return [
        {
            "id": row.id,
            "name": row.name,
            "project_id": row.project_id,
            "tenant_id": row.project_id,
            "network_id": row.network_id,
            "ip_address": row.ip_address,
            "port_ids": row.port_ids,
            "active": row.active,
            "vrrp": row.vrrp,
            "holder": row.holder,
            "virtual_mac": row.virtual_mac,
            "description": row.description,
            "tags": row.tags,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
            "revision_number": row.revision_number,
        }
        for row in rows
    ]


IP_GROUP: Final = Kind(
    name="ip_group",
    error="IpGroup",
    table=tables.ip_groups,
    query=select(tables.ip_groups),
    render=_ip_groups,
    visible=_ip_group_seen,
    columns=_columns(tables.ip_groups),
)

# -------------------------------------------------------------------------------------------- hosts, projects, tokens


def _hosts(_connection: Connection, rows: Rows, _settings: Settings) -> list[Object]:
    return [
        {
            "id": row.id,
            "name": row.name,
            "ovsdb": row.ovsdb,
            "bridge": row.bridge,
            "tunnel_ip": row.tunnel_ip,
            "bridge_mappings": row.bridge_mappings,
            "datapath_type": row.datapath_type,
            "gateway": row.gateway,
            "controllers": row.controllers,
            "description": row.description,
            "tags": row.tags,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
            "revision_number": row.revision_number,
        }
        for row in rows
    ]


HOST: Final = Kind(
    name="host",
    error="Host",
    table=tables.hosts,
    query=select(tables.hosts),
    render=_hosts,
    columns=_columns(tables.hosts),
)


def _projects(_connection: Connection, rows: Rows, _settings: Settings) -> list[Object]:
    return [
        {
            "id": row.id,
            "name": row.name,
            "enabled": row.enabled,
            "description": row.description,
            "tags": row.tags,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
            "revision_number": row.revision_number,
        }
        for row in rows
    ]


PROJECT: Final = Kind(
    name="project",
    error="Project",
    table=tables.projects,
    query=select(tables.projects),
    render=_projects,
    columns=_columns(tables.projects),
)


def _tokens(_connection: Connection, rows: Rows, _settings: Settings) -> list[Object]:
    return [
        {
            "id": row.id,
            "name": row.name,
            "project_id": row.project_id,
            "tenant_id": row.project_id,
            "roles": row.roles,
            "expires_at": row.expires_at,
            "description": row.description,
            "tags": row.tags,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
            "revision_number": row.revision_number,
        }
        for row in rows
    ]


TOKEN: Final = Kind(
    name="token",
    error="Token",
    table=tables.tokens,
    query=select(tables.tokens),
    render=_tokens,
    columns=_columns(tables.tokens),
)

# ---------------------------------------------------------------------------------------------------- security events


def _security_events(_connection: Connection, rows: Rows, _settings: Settings) -> list[Object]:
    return [
        {
            "id": row.id,
            "project_id": row.project_id,
            "tenant_id": row.project_id,
            "port_id": row.port_id,
            "network_id": row.network_id,
            "host": row.host,
            "reason": row.reason,
            "text": row.text,
            "packets": row.packets,
            "first_seen": row.first_seen,
            "last_seen": row.last_seen,
            "active": row.active,
        }
        for row in rows
    ]


SECURITY_EVENT: Final = Kind(
    name="security_event",
    error="SecurityEvent",
    table=tables.security_events,
    query=select(tables.security_events),
    render=_security_events,
    visible=lambda project_id: tables.security_events.c.project_id == project_id,
    columns=_columns(tables.security_events),
)

KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        NETWORK,
        SUBNET,
        PORT,
        SECURITY_GROUP,
        SECURITY_GROUP_RULE,
        ADDRESS_GROUP,
        IP_GROUP,
        QOS_POLICY,
        *QOS_RULES,
        HOST,
        PROJECT,
        TOKEN,
        SECURITY_EVENT,
    )
}
