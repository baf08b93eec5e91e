# SPDX-License-Identifier: Apache-2.0
"""The tables of the database, as the newest migration leaves them.

What a query filters or sorts by is a column; what is only ever read as a whole is JSON in a text column, and "" there
means empty, so that the usual row costs no parsing; `filters_off` lists the security filters that are off.
Times are text (`2026-11-20T15:50:04Z`), which sorts by itself.

Six things stand twice, and one function writes both places of each: an object's tags (`tags` in its own row for
reading, the table `tags` for filters), a port's addresses (`ports.fixed_ips` for reading, `addresses` for uniqueness
and filters), a port's groups (`ports.security_groups` for reading, `port_security_groups` for filters and so that no
group in use is deleted), a rule's meaning (its columns, and `form`, of which a group has each but once), a
network's segment (its three provider columns, and `segment`, whose unique key is what two transactions that want the
same VLAN or VNI meet at), and an IP group's members (`ip_groups.port_ids` for reading, `ip_group_members` for filters
and to find a port's groups).

A change here needs a migration; a test compares the two.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TextClause,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import TypeEngine

metadata: Final = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pk",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "fk": "%(table_name)s_%(column_0_name)s_fk",
        "ix": "%(table_name)s_%(column_0_N_name)s_index",
    }
)

UUID_LENGTH: Final = 36
TIME_LENGTH: Final = 20


class Json(TypeDecorator[Any]):
    """A list or an object of JSON, as text in which the empty one is "". What is compared with text is that text."""

    impl = Text
    cache_ok = True

    def __init__(self, empty: type[list[Any] | dict[str, Any]]) -> None:
        super().__init__()
        self.empty = empty

    def process_bind_param(self, value: object, dialect: Dialect) -> str:
        return json.dumps(value, separators=(",", ":")) if value else ""

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str | None], Any]:
        empty = self.empty
        return lambda value: json.loads(value) if value else empty()

    def coerce_compared_value(self, op: OperatorType | None, value: object) -> TypeEngine[Any]:
        return Text() if isinstance(value, str) else super().coerce_compared_value(op, value)


def _id() -> Column[str]:
    return Column("id", String(UUID_LENGTH), primary_key=True)


def _text(name: str, length: int = 255, *, nullable: bool = False) -> Column[str]:
    return Column(name, String(length), nullable=nullable)


def _list(name: str, *, server_default: TextClause | None = None) -> Column[list[Any]]:
    return Column(name, Json(list), nullable=False, server_default=server_default)


def _object(name: str) -> Column[dict[str, Any]]:
    return Column(name, Json(dict), nullable=False)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


def _standard() -> tuple[Column[Any], ...]:
    """What every object has that users see."""
    return (
        _text("description"),
        _list("tags"),
        _text("created_at", TIME_LENGTH),
        _text("updated_at", TIME_LENGTH),
        Column("revision_number", BigInteger, nullable=False),
    )


counters = Table(
    "counters",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
    Column("network_key", BigInteger, nullable=False),
    Column("port_key", BigInteger, nullable=False),
    Column("host_key", BigInteger, nullable=False),
    Column("group_key", BigInteger, nullable=False, server_default=text("0")),
)
"""One row. Whoever writes updates it last, and holds it until the commit: so revisions appear in commit order."""

journal = Table(
    "journal",
    metadata,
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    _text("at", 24),
    _text("request_id"),
    _text("actor"),
    _text("project_id"),
    _text("kind", 32),
    _text("object_id", UUID_LENGTH),
    _text("operation", 8),
    _object("changes"),
)

networks = Table(
    "networks",
    metadata,
    _id(),
    Column("key", Integer, nullable=False, unique=True),
    _text("project_id"),
    _text("name"),
    *_standard(),
    _flag("admin_state_up"),
    _flag("shared"),
    _flag("external"),
    _flag("is_default"),
    _text("type", 16),
    _text("physical_network", 64, nullable=True),
    Column("segmentation_id", Integer),
    Column("segment", String(96), nullable=False, unique=True),
    Column("mtu", Integer, nullable=False),
    _flag("port_security_enabled"),
    _text("dns_domain"),
    _list("availability_zone_hints"),
    _list("filters_off", server_default=text("''")),
    Column("client_isolation", Boolean, nullable=False, server_default=false()),
    Column("qos_policy_id", String(UUID_LENGTH), index=True),
    Index(None, "project_id"),
    Index(None, "name"),
)

subnets = Table(
    "subnets",
    metadata,
    _id(),
    Column("network_id", String(UUID_LENGTH), ForeignKey("networks.id"), nullable=False, index=True),
    _text("project_id"),
    _text("name"),
    *_standard(),
    Column("number", Integer, nullable=False),
    Column("ip_version", Integer, nullable=False),
    _text("cidr", 64),
    _text("gateway_ip", 64, nullable=True),
    _flag("enable_dhcp"),
    _list("allocation_pools"),
    _list("dns_nameservers"),
    _list("host_routes"),
    _list("service_types"),
    _text("ipv6_ra_mode", 32, nullable=True),
    _text("ipv6_address_mode", 32, nullable=True),
    UniqueConstraint("network_id", "number"),
    Index(None, "project_id"),
    Index(None, "name"),
)
"""`number` is the order in which a network's subnets were made."""

hosts = Table(
    "hosts",
    metadata,
    _id(),
    Column("key", Integer, nullable=False, unique=True),
    Column("name", String(255), nullable=False, unique=True),
    *_standard(),
    _text("ovsdb"),
    _text("bridge", 15),
    Column("tunnel_ip", String(64), unique=True),
    _object("bridge_mappings"),
    _text("datapath_type", 16),
    _flag("gateway"),
    _list("controllers"),
    UniqueConstraint("ovsdb", "bridge"),
)

ports = Table(
    "ports",
    metadata,
    _id(),
    Column("key", Integer, nullable=False, unique=True),
    Column("network_id", String(UUID_LENGTH), ForeignKey("networks.id"), nullable=False),
    _text("project_id"),
    _text("name"),
    *_standard(),
    _text("mac_address", 17),
    _list("fixed_ips"),
    _flag("admin_state_up"),
    _text("status", 16),
    _text("bound_host"),
    _text("device_id"),
    _text("device_owner"),
    _flag("port_security_enabled"),
    _list("allowed_address_pairs"),
    _list("extra_dhcp_opts"),
    _text("dns_name"),
    _text("dns_domain"),
    _text("binding_host"),
    _object("binding_profile"),
    _text("vnic_type", 32),
    Column("plug_host", String(255), ForeignKey("hosts.name")),
    _text("plug_type", 32, nullable=True),
    _text("plug_interface", 15, nullable=True),
    _list("security_groups", server_default=text("''")),
    _list("filters_off", server_default=text("''")),
    Column("is_service_port", Boolean, nullable=False, server_default=false()),
    Column("qos_policy_id", String(UUID_LENGTH), index=True),
    UniqueConstraint("network_id", "mac_address"),
    UniqueConstraint("plug_host", "plug_interface"),
    Index(None, "project_id"),
    Index(None, "name"),
    Index(None, "device_id"),
    Index(None, "binding_host"),
)

addresses = Table(
    "addresses",
    metadata,
    Column("network_id", String(UUID_LENGTH), ForeignKey("networks.id"), primary_key=True),
    Column("address", String(64), primary_key=True),
    Column("subnet_id", String(UUID_LENGTH), ForeignKey("subnets.id")),
    Column("position", BigInteger, nullable=False),
    Column("port_id", String(UUID_LENGTH), ForeignKey("ports.id"), index=True),
    Column("ip_group_id", String(UUID_LENGTH), ForeignKey("ip_groups.id"), index=True),
    Index(None, "subnet_id", "position"),
)
"""Who has which address: a port, or an IP group, which alone may have one that is in no subnet. `position` grows with
the address inside one subnet (`sdnctl.store.ranges.position`)."""

ip_groups = Table(
    "ip_groups",
    metadata,
    _id(),
    Column("key", Integer, nullable=False, unique=True),
    Column("network_id", String(UUID_LENGTH), ForeignKey("networks.id"), nullable=False, index=True),
    _text("project_id"),
    _text("name"),
    *_standard(),
    _text("ip_address", 64),
    _list("port_ids"),
    _text("active", UUID_LENGTH),
    _flag("vrrp"),
    Column("holder", String(UUID_LENGTH), ForeignKey("ports.id"), index=True),
    _text("virtual_mac", 17, nullable=True),
    Index(None, "project_id"),
    Index(None, "name"),
)

ip_group_members = Table(
    "ip_group_members",
    metadata,
    Column("group_id", String(UUID_LENGTH), ForeignKey("ip_groups.id"), primary_key=True),
    Column("port_id", String(UUID_LENGTH), ForeignKey("ports.id"), primary_key=True, index=True),
)

security_groups = Table(
    "security_groups",
    metadata,
    _id(),
    Column("key", Integer, nullable=False, unique=True),
    _text("project_id"),
    _text("name"),
    *_standard(),
    _flag("stateful"),
    Column("default_of", String(255), unique=True),
    Index(None, "project_id"),
    Index(None, "name"),
)
"""`default_of` is the project whose default group it is, so that two transactions cannot make it two."""

address_groups = Table(
    "address_groups",
    metadata,
    _id(),
    Column("key", Integer, nullable=False, unique=True),
    _text("project_id"),
    _text("name"),
    _text("description", 1024),
    _text("created_at", TIME_LENGTH),
    _text("updated_at", TIME_LENGTH),
    Column("revision_number", BigInteger, nullable=False),
    _list("addresses"),
    Index(None, "project_id"),
    Index(None, "name"),
)

security_group_rules = Table(
    "security_group_rules",
    metadata,
    _id(),
    Column("security_group_id", String(UUID_LENGTH), ForeignKey("security_groups.id"), nullable=False),
    _text("project_id"),
    _text("description"),
    _text("created_at", TIME_LENGTH),
    _text("updated_at", TIME_LENGTH),
    Column("revision_number", BigInteger, nullable=False),
    _text("direction", 8),
    _text("ethertype", 4),
    _text("protocol", 16, nullable=True),
    Column("port_range_min", Integer),
    Column("port_range_max", Integer),
    _text("remote_ip_prefix", 64, nullable=True),
    _text("normalized_cidr", 64, nullable=True),
    Column("remote_group_id", String(UUID_LENGTH), ForeignKey("security_groups.id"), index=True),
    Column("remote_address_group_id", String(UUID_LENGTH), ForeignKey("address_groups.id"), index=True),
    _text("established", 8),
    _text("form", 128),
    UniqueConstraint("security_group_id", "form"),
    Index(None, "project_id"),
)

qos_policies = Table(
    "qos_policies",
    metadata,
    _id(),
    _text("project_id"),
    _text("name"),
    *_standard(),
    _flag("shared"),
    _flag("is_default"),
    Column("default_of", String(255), unique=True),
    Index(None, "project_id"),
    Index(None, "name"),
)
"""`default_of` is the project, if `is_default`, so that two transactions cannot make it two."""

qos_rules = Table(
    "qos_rules",
    metadata,
    _id(),
    Column("qos_policy_id", String(UUID_LENGTH), ForeignKey("qos_policies.id"), nullable=False),
    _text("type", 32),
    _text("direction", 8),
    Column("value", BigInteger, nullable=False),
    Column("burst", BigInteger, nullable=False),
    _text("created_at", TIME_LENGTH),
    _text("updated_at", TIME_LENGTH),
    Column("revision_number", BigInteger, nullable=False),
    UniqueConstraint("qos_policy_id", "type", "direction"),
)
"""`value` is max_kbps, max_kpps or dscp_mark."""

port_security_groups = Table(
    "port_security_groups",
    metadata,
    Column("port_id", String(UUID_LENGTH), ForeignKey("ports.id"), primary_key=True),
    Column("group_id", String(UUID_LENGTH), ForeignKey("security_groups.id"), primary_key=True, index=True),
)

security_events = Table(
    "security_events",
    metadata,
    _id(),
    _text("project_id"),
    _text("port_id", UUID_LENGTH),
    _text("network_id", UUID_LENGTH),
    _text("host"),
    _text("reason", 32),
    _text("text"),
    Column("packets", BigInteger, nullable=False),
    Column("reading", BigInteger, nullable=False),
    _text("first_seen", 24),
    _text("last_seen", 24),
    Column("active", Boolean, nullable=False),
    Index(None, "project_id", "first_seen"),
    Index(None, "first_seen"),
    Index(None, "port_id", "reason"),
)
"""No intent: written by the controller without a journal entry, and what it names may be gone."""

tags = Table(
    "tags",
    metadata,
    Column("object_id", String(UUID_LENGTH), primary_key=True),
    Column("tag", String(255), primary_key=True),
    Index(None, "tag"),
)

projects = Table(
    "projects",
    metadata,
    _id(),
    Column("name", String(255), nullable=False, unique=True),
    *_standard(),
    _flag("enabled"),
)

tokens = Table(
    "tokens",
    metadata,
    _id(),
    Column("project_id", String(UUID_LENGTH), ForeignKey("projects.id"), nullable=False, index=True),
    _text("name"),
    *_standard(),
    _list("roles"),
    _text("expires_at", TIME_LENGTH, nullable=True),
    Column("digest", String(64), nullable=False, unique=True),
)
"""`digest` is SHA-256 of the secret. The secret has 256 random bits, so nothing slower would make guessing harder."""
