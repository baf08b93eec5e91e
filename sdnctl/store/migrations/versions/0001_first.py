# SPDX-License-Identifier: Apache-2.0
"""The first schema: networks, subnets, ports, hosts, projects, tokens, and the journal."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "counters",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("network_key", sa.BigInteger(), nullable=False),
        sa.Column("port_key", sa.BigInteger(), nullable=False),
        sa.Column("host_key", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="counters_pk"),
    )
    op.create_table(
        "hosts",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(length=20), nullable=False),
        sa.Column("updated_at", sa.String(length=20), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("ovsdb", sa.String(length=255), nullable=False),
        sa.Column("bridge", sa.String(length=15), nullable=False),
        sa.Column("tunnel_ip", sa.String(length=64), nullable=True),
        sa.Column("bridge_mappings", sa.Text(), nullable=False),
        sa.Column("datapath_type", sa.String(length=16), nullable=False),
        sa.Column("gateway", sa.Boolean(), nullable=False),
        sa.Column("controllers", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="hosts_pk"),
        sa.UniqueConstraint("key", name="hosts_key_key"),
        sa.UniqueConstraint("name", name="hosts_name_key"),
        sa.UniqueConstraint("ovsdb", "bridge", name="hosts_ovsdb_bridge_key"),
        sa.UniqueConstraint("tunnel_ip", name="hosts_tunnel_ip_key"),
    )
    op.create_table(
        "journal",
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.String(length=24), nullable=False),
        sa.Column("request_id", sa.String(length=255), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("object_id", sa.String(length=36), nullable=False),
        sa.Column("operation", sa.String(length=8), nullable=False),
        sa.Column("changes", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("revision", name="journal_pk"),
    )
    op.create_table(
        "networks",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(length=20), nullable=False),
        sa.Column("updated_at", sa.String(length=20), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("admin_state_up", sa.Boolean(), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("external", sa.Boolean(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("physical_network", sa.String(length=64), nullable=True),
        sa.Column("segmentation_id", sa.Integer(), nullable=True),
        sa.Column("segment", sa.String(length=96), nullable=False),
        sa.Column("mtu", sa.Integer(), nullable=False),
        sa.Column("port_security_enabled", sa.Boolean(), nullable=False),
        sa.Column("dns_domain", sa.String(length=255), nullable=False),
        sa.Column("availability_zone_hints", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="networks_pk"),
        sa.UniqueConstraint("key", name="networks_key_key"),
        sa.UniqueConstraint("segment", name="networks_segment_key"),
    )
    op.create_index("networks_name_index", "networks", ["name"])
    op.create_index("networks_project_id_index", "networks", ["project_id"])
    op.create_table(
        "projects",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(length=20), nullable=False),
        sa.Column("updated_at", sa.String(length=20), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="projects_pk"),
        sa.UniqueConstraint("name", name="projects_name_key"),
    )
    op.create_table(
        "tags",
        sa.Column("object_id", sa.String(length=36), nullable=False),
        sa.Column("tag", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("object_id", "tag", name="tags_pk"),
    )
    op.create_index("tags_tag_index", "tags", ["tag"])
    op.create_table(
        "ports",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("network_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(length=20), nullable=False),
        sa.Column("updated_at", sa.String(length=20), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("mac_address", sa.String(length=17), nullable=False),
        sa.Column("fixed_ips", sa.Text(), nullable=False),
        sa.Column("admin_state_up", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("bound_host", sa.String(length=255), nullable=False),
        sa.Column("device_id", sa.String(length=255), nullable=False),
        sa.Column("device_owner", sa.String(length=255), nullable=False),
        sa.Column("port_security_enabled", sa.Boolean(), nullable=False),
        sa.Column("allowed_address_pairs", sa.Text(), nullable=False),
        sa.Column("extra_dhcp_opts", sa.Text(), nullable=False),
        sa.Column("dns_name", sa.String(length=255), nullable=False),
        sa.Column("dns_domain", sa.String(length=255), nullable=False),
        sa.Column("binding_host", sa.String(length=255), nullable=False),
        sa.Column("binding_profile", sa.Text(), nullable=False),
        sa.Column("vnic_type", sa.String(length=32), nullable=False),
        sa.Column("plug_host", sa.String(length=255), nullable=True),
        sa.Column("plug_type", sa.String(length=32), nullable=True),
        sa.Column("plug_interface", sa.String(length=15), nullable=True),
        sa.ForeignKeyConstraint(["network_id"], ["networks.id"], name="ports_network_id_fk"),
        sa.ForeignKeyConstraint(["plug_host"], ["hosts.name"], name="ports_plug_host_fk"),
        sa.PrimaryKeyConstraint("id", name="ports_pk"),
        sa.UniqueConstraint("key", name="ports_key_key"),
        sa.UniqueConstraint("network_id", "mac_address", name="ports_network_id_mac_address_key"),
        sa.UniqueConstraint("plug_host", "plug_interface", name="ports_plug_host_plug_interface_key"),
    )
    op.create_index("ports_binding_host_index", "ports", ["binding_host"])
    op.create_index("ports_device_id_index", "ports", ["device_id"])
    op.create_index("ports_name_index", "ports", ["name"])
    op.create_index("ports_project_id_index", "ports", ["project_id"])
    op.create_table(
        "subnets",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("network_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(length=20), nullable=False),
        sa.Column("updated_at", sa.String(length=20), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("ip_version", sa.Integer(), nullable=False),
        sa.Column("cidr", sa.String(length=64), nullable=False),
        sa.Column("gateway_ip", sa.String(length=64), nullable=True),
        sa.Column("enable_dhcp", sa.Boolean(), nullable=False),
        sa.Column("allocation_pools", sa.Text(), nullable=False),
        sa.Column("dns_nameservers", sa.Text(), nullable=False),
        sa.Column("host_routes", sa.Text(), nullable=False),
        sa.Column("service_types", sa.Text(), nullable=False),
        sa.Column("ipv6_ra_mode", sa.String(length=32), nullable=True),
        sa.Column("ipv6_address_mode", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["network_id"], ["networks.id"], name="subnets_network_id_fk"),
        sa.PrimaryKeyConstraint("id", name="subnets_pk"),
        sa.UniqueConstraint("network_id", "number", name="subnets_network_id_number_key"),
    )
    op.create_index("subnets_name_index", "subnets", ["name"])
    op.create_index("subnets_network_id_index", "subnets", ["network_id"])
    op.create_index("subnets_project_id_index", "subnets", ["project_id"])
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(length=20), nullable=False),
        sa.Column("updated_at", sa.String(length=20), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("roles", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.String(length=20), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name="tokens_project_id_fk"),
        sa.PrimaryKeyConstraint("id", name="tokens_pk"),
        sa.UniqueConstraint("digest", name="tokens_digest_key"),
    )
    op.create_index("tokens_project_id_index", "tokens", ["project_id"])
    op.create_table(
        "addresses",
        sa.Column("network_id", sa.String(length=36), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("subnet_id", sa.String(length=36), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("port_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(["network_id"], ["networks.id"], name="addresses_network_id_fk"),
        sa.ForeignKeyConstraint(["port_id"], ["ports.id"], name="addresses_port_id_fk"),
        sa.ForeignKeyConstraint(["subnet_id"], ["subnets.id"], name="addresses_subnet_id_fk"),
        sa.PrimaryKeyConstraint("network_id", "address", name="addresses_pk"),
    )
    op.create_index("addresses_port_id_index", "addresses", ["port_id"])
    op.create_index("addresses_subnet_id_position_index", "addresses", ["subnet_id", "position"])
    counters = sa.table(
        "counters", *(sa.column(name) for name in ("id", "revision", "network_key", "port_key", "host_key"))
    )
    op.bulk_insert(counters, [{"id": 1, "revision": 0, "network_key": 0, "port_key": 0, "host_key": 0}])
