# SPDX-License-Identifier: Apache-2.0
"""The other side of the store: intent as model objects for whoever makes flows of it, and port status back.

Port status is no intent: it is derived from the hosts and can be derived again. So it is written without a journal
entry and without a new revision number. A journal of it would tell every reader to recompute what had just been
computed, ten thousand times at every start; and a client's `If-Match` would fail because a switch had confirmed a
flow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

from netaddr import EUI, IPAddress, IPNetwork
from sqlalchemy import Connection, Row, Select, bindparam, or_, select, update

from sdnctl import runtime
from sdnctl.model import filters, ip_protocols
from sdnctl.model.contents import Change, Contents, Item
from sdnctl.model.host import Host
from sdnctl.model.ids import GroupKey, HostKey, NetworkKey, PortKey, Revision
from sdnctl.model.ip_group import IpGroup
from sdnctl.model.network import HostRoute, Network, NetworkType, Subnet
from sdnctl.model.port import AddressPair, DhcpOption, FixedIP, Plug, Port, PortStatus
from sdnctl.model.qos import QosPolicy, QosRule
from sdnctl.model.security import AddressGroup, Direction, Established, SecurityGroup, SecurityRule
from sdnctl.store import tables

T = TypeVar("T")

_BATCH: Final = 500
"""So many rows are fetched between two moments at which other tasks may run."""
_network = tables.networks.c
_subnet = tables.subnets.c
_port = tables.ports.c
_rule = tables.security_group_rules.c
_journal = tables.journal.c

_networks = select(
    _network.id,
    _network.key,
    _network.project_id,
    _network.name,
    _network.type,
    _network.physical_network,
    _network.segmentation_id,
    _network.mtu,
    _network.shared,
    _network.external,
    _network.admin_state_up,
    _network.dns_domain,
    _network.client_isolation,
    _network.qos_policy_id,
)
_subnets = select(
    _subnet.id,
    _subnet.network_id,
    _subnet.cidr,
    _subnet.gateway_ip,
    _subnet.enable_dhcp,
    _subnet.dns_nameservers,
    _subnet.host_routes,
)
_ports = select(
    _port.id,
    _port.key,
    _port.network_id,
    _port.project_id,
    _port.name,
    _port.mac_address,
    _port.fixed_ips,
    _port.allowed_address_pairs,
    _port.port_security_enabled,
    _port.filters_off,
    _port.is_service_port,
    _port.security_groups,
    _port.qos_policy_id,
    _port.admin_state_up,
    _port.device_owner,
    _port.extra_dhcp_opts,
    _port.dns_name,
    _port.binding_host,
    _port.plug_host,
    _port.plug_type,
    _port.plug_interface,
    _port.status,
    _port.bound_host,
)
_hosts = select(tables.hosts)
_groups = select(
    tables.security_groups.c.id,
    tables.security_groups.c.key,
    tables.security_groups.c.project_id,
    tables.security_groups.c.name,
    tables.security_groups.c.stateful,
)
_rules = select(
    _rule.id,
    _rule.security_group_id,
    _rule.direction,
    _rule.ethertype,
    _rule.protocol,
    _rule.port_range_min,
    _rule.port_range_max,
    _rule.normalized_cidr,
    _rule.remote_group_id,
    _rule.remote_address_group_id,
    _rule.established,
).order_by(_rule.id)
_address_groups = select(
    tables.address_groups.c.id,
    tables.address_groups.c.key,
    tables.address_groups.c.project_id,
    tables.address_groups.c.name,
    tables.address_groups.c.addresses,
)
_ip_groups = select(
    tables.ip_groups.c.id,
    tables.ip_groups.c.key,
    tables.ip_groups.c.network_id,
    tables.ip_groups.c.project_id,
    tables.ip_groups.c.name,
    tables.ip_groups.c.ip_address,
    tables.ip_groups.c.port_ids,
    tables.ip_groups.c.active,
    tables.ip_groups.c.vrrp,
    tables.ip_groups.c.holder,
    tables.ip_groups.c.virtual_mac,
)
_policies = select(tables.qos_policies.c.id, tables.qos_policies.c.project_id, tables.qos_policies.c.name)
_qos_rules = select(tables.qos_rules).order_by(tables.qos_rules.c.type, tables.qos_rules.c.direction)
_after = (
    select(_journal.revision, _journal.kind, _journal.object_id)
    .where(_journal.revision > bindparam("after"))
    .order_by(_journal.revision)
    .limit(_BATCH)
)


def load(connection: Connection) -> Contents:
    """Everything, if all queries of the connection see one moment."""
    revision = connection.execute(select(tables.counters.c.revision)).scalar_one()
    return Contents(
        revision=Revision(revision),
        networks=tuple(_all(connection, _networks, network)),
        subnets=tuple(_all(connection, _subnets, subnet)),
        ports=tuple(_all(connection, _ports, port)),
        hosts=tuple(_all(connection, _hosts, host)),
        security_groups=tuple(_with_rules(connection, _groups, _rules)),
        address_groups=tuple(_all(connection, _address_groups, address_group)),
        ip_groups=tuple(_all(connection, _ip_groups, ip_group)),
        qos_policies=tuple(_with_qos_rules(connection, _policies, _qos_rules)),
    )


def changes(connection: Connection, after: Revision) -> tuple[Change, ...]:
    """The journal's entries after a revision, oldest first."""
    found: list[Change] = []
    last = after
    while True:
        rows = connection.execute(_after, {"after": last}).all()
        found += (Change(Revision(row.revision), row.kind, row.object_id) for row in rows)
        if len(rows) < _BATCH:
            return tuple(found)
        last = found[-1].revision
        runtime.give_way()


def fetch(connection: Connection, kind: str, ids: Iterable[str]) -> dict[str, Item]:
    """The objects of these ids that exist."""
    found: dict[str, Item] = {}
    wanted = list(ids)
    for start in range(0, len(wanted), _BATCH):
        for item in _some(connection, kind, wanted[start : start + _BATCH]):
            found[item.id] = item
    return found


def _some(connection: Connection, kind: str, ids: list[str]) -> Iterator[Item]:
    if kind == "security_group":
        groups = _groups.where(tables.security_groups.c.id.in_(ids))
        yield from _with_rules(connection, groups, _rules.where(_rule.security_group_id.in_(ids)))
        return
    if kind == "qos_policy":
        policies = _policies.where(tables.qos_policies.c.id.in_(ids))
        yield from _with_qos_rules(connection, policies, _qos_rules.where(tables.qos_rules.c.qos_policy_id.in_(ids)))
        return
    query, read = _KINDS[kind]
    yield from _all(connection, query.where(query.selected_columns["id"].in_(ids)), read)


def _with_rules(connection: Connection, groups: Select[Any], rules: Select[Any]) -> Iterator[SecurityGroup]:
    """Security groups with their rules.

    A rule comes and goes with a new revision of its group: what is read here between two commits is read again.
    """
    by_group: dict[str, list[SecurityRule]] = {}
    for group_id, rule in _all(connection, rules, lambda row: (row.security_group_id, security_rule(row))):
        by_group.setdefault(group_id, []).append(rule)
    for row in fetch_all(connection.execute(groups)):
        yield SecurityGroup(
            id=row.id,
            key=GroupKey(row.key),
            project_id=row.project_id,
            name=row.name,
            stateful=row.stateful,
            rules=tuple(by_group.get(row.id, ())),
        )


def _with_qos_rules(connection: Connection, policies: Select[Any], rules: Select[Any]) -> Iterator[QosPolicy]:
    """QoS policies with their rules, which come and go with a new revision of their policy."""
    by_policy: dict[str, list[QosRule]] = {}
    for row in fetch_all(connection.execute(rules)):
        rule = QosRule(row.type, Direction(row.direction), row.value, row.burst)
        by_policy.setdefault(row.qos_policy_id, []).append(rule)
    for row in fetch_all(connection.execute(policies)):
        yield QosPolicy(id=row.id, project_id=row.project_id, name=row.name, rules=tuple(by_policy.get(row.id, ())))


def record_status(connection: Connection, statuses: Mapping[str, tuple[PortStatus, str]]) -> None:
    """Write port status and binding, nothing else. Ports that are gone are left alone. For a few hundred at a time."""
    by_value: dict[tuple[PortStatus, str], list[str]] = {}
    for port_id in sorted(statuses):
        by_value.setdefault(statuses[port_id], []).append(port_id)
    for (status, bound_host), ids in sorted(by_value.items()):
        connection.execute(
            update(tables.ports)
            .where(_port.id.in_(ids), or_(_port.status != status.value, _port.bound_host != bound_host))
            .values(status=status.value, bound_host=bound_host)
        )


def fetch_all(result: Any) -> Iterator[Row[Any]]:
    """A result's rows, giving way while they are fetched and used."""
    for part in result.partitions(_BATCH):
        yield from runtime.in_slices(part)
        runtime.give_way()


def _all(connection: Connection, query: Select[Any], read: Callable[[Row[Any]], T]) -> Iterator[T]:
    for row in fetch_all(connection.execute(query)):
        yield read(row)


# ----------------------------------------------------------------------------------------------------- rows to values


def network(row: Row[Any]) -> Network:
    return Network(
        id=row.id,
        key=NetworkKey(row.key),
        project_id=row.project_id,
        name=row.name,
        type=NetworkType(row.type),
        physical_network=row.physical_network,
        segmentation_id=row.segmentation_id,
        mtu=row.mtu,
        shared=row.shared,
        external=row.external,
        admin_state_up=row.admin_state_up,
        dns_domain=row.dns_domain,
        client_isolation=row.client_isolation,
        qos_policy_id=row.qos_policy_id,
    )


def subnet(row: Row[Any]) -> Subnet:
    return Subnet(
        id=row.id,
        network_id=row.network_id,
        cidr=IPNetwork(row.cidr),
        gateway_ip=IPAddress(row.gateway_ip) if row.gateway_ip is not None else None,
        enable_dhcp=row.enable_dhcp,
        dns_nameservers=tuple(IPAddress(server) for server in row.dns_nameservers),
        host_routes=tuple(
            HostRoute(IPNetwork(route["destination"]), IPAddress(route["nexthop"])) for route in row.host_routes
        ),
    )


def port(row: Row[Any]) -> Port:
    return Port(
        id=row.id,
        key=PortKey(row.key),
        network_id=row.network_id,
        project_id=row.project_id,
        name=row.name,
        mac=EUI(int(row.mac_address.replace(":", ""), 16), 48),
        fixed_ips=tuple(FixedIP(fixed["subnet_id"], IPAddress(fixed["ip_address"])) for fixed in row.fixed_ips),
        allowed_address_pairs=tuple(
            AddressPair(EUI(pair["mac_address"], 48), IPNetwork(pair["ip_address"]).cidr)
            for pair in row.allowed_address_pairs
        ),
        port_security_enabled=row.port_security_enabled,
        security_filters=filters.without(frozenset(row.filters_off)),
        is_service_port=row.is_service_port,
        security_groups=tuple(sorted(row.security_groups)),
        qos_policy_id=row.qos_policy_id,
        admin_state_up=row.admin_state_up,
        device_owner=row.device_owner,
        dhcp_options=tuple(
            DhcpOption(option["opt_name"], option["opt_value"], option["ip_version"]) for option in row.extra_dhcp_opts
        ),
        dns_name=row.dns_name,
        requested_host=row.binding_host,
        plug=Plug(row.plug_host, row.plug_type, row.plug_interface) if row.plug_host else None,
        status=PortStatus(row.status),
        bound_host=row.bound_host,
    )


def host(row: Row[Any]) -> Host:
    return Host(
        id=row.id,
        key=HostKey(row.key),
        name=row.name,
        ovsdb=row.ovsdb,
        bridge=row.bridge,
        tunnel_ip=IPAddress(row.tunnel_ip) if row.tunnel_ip is not None else None,
        bridge_mappings=tuple(sorted(row.bridge_mappings.items())),
        datapath_type=row.datapath_type,
        gateway=row.gateway,
        controllers=tuple(row.controllers),
    )


def security_rule(row: Row[Any]) -> SecurityRule:
    version = 6 if row.ethertype == "IPv6" else 4
    prefix = None if row.normalized_cidr is None else IPNetwork(row.normalized_cidr)
    return SecurityRule(
        id=row.id,
        direction=Direction(row.direction),
        version=version,
        protocol=None if row.protocol is None else ip_protocols.number(row.protocol, version),
        port_min=row.port_range_min,
        port_max=row.port_range_max,
        remote_prefix=prefix if prefix is not None and prefix.prefixlen else None,
        remote_group_id=row.remote_group_id,
        remote_address_group_id=row.remote_address_group_id,
        established=Established(row.established),
    )


def address_group(row: Row[Any]) -> AddressGroup:
    return AddressGroup(
        id=row.id,
        key=GroupKey(row.key),
        project_id=row.project_id,
        name=row.name,
        addresses=tuple(IPNetwork(prefix) for prefix in row.addresses),
    )


def ip_group(row: Row[Any]) -> IpGroup:
    return IpGroup(
        id=row.id,
        key=GroupKey(row.key),
        network_id=row.network_id,
        project_id=row.project_id,
        name=row.name,
        address=IPAddress(row.ip_address),
        members=tuple(sorted(row.port_ids)),
        pinned=None if row.active == "auto" else row.active,
        vrrp=row.vrrp,
        holder=row.holder,
        virtual_mac=None if row.virtual_mac is None else EUI(row.virtual_mac, 48),
    )


_KINDS: Final[Mapping[str, tuple[Select[Any], Callable[[Row[Any]], Any]]]] = {
    "network": (_networks, network),
    "subnet": (_subnets, subnet),
    "port": (_ports, port),
    "host": (_hosts, host),
    "address_group": (_address_groups, address_group),
    "ip_group": (_ip_groups, ip_group),
}
