# SPDX-License-Identifier: Apache-2.0
"""Security groups, their rules and address groups. Ports that exist already get no group: nothing filters them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("counters", sa.Column("group_key", sa.BigInteger(), nullable=False, server_default=sa.text("0")))
    op.add_column("ports", sa.Column("security_groups", sa.Text(), nullable=False, server_default=sa.text("''")))
    op.create_table(
        "security_groups",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(length=20), nullable=False),
        sa.Column("updated_at", sa.String(length=20), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("stateful", sa.Boolean(), nullable=False),
        sa.Column("default_of", sa.String(length=255), nullable=True),
        sa.PrimaryKeyConstraint("id", name="security_groups_pk"),
        sa.UniqueConstraint("key", name="security_groups_key_key"),
        sa.UniqueConstraint("default_of", name="security_groups_default_of_key"),
    )
    op.create_index("security_groups_name_index", "security_groups", ["name"])
    op.create_index("security_groups_project_id_index", "security_groups", ["project_id"])
    op.create_table(
        "address_groups",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("key", sa.Integer(), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=1024), nullable=False),
        sa.Column("created_at", sa.String(length=20), nullable=False),
        sa.Column("updated_at", sa.String(length=20), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("addresses", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="address_groups_pk"),
        sa.UniqueConstraint("key", name="address_groups_key_key"),
    )
    op.create_index("address_groups_name_index", "address_groups", ["name"])
    op.create_index("address_groups_project_id_index", "address_groups", ["project_id"])
    op.create_table(
        "security_group_rules",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("security_group_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.String(length=20), nullable=False),
        sa.Column("updated_at", sa.String(length=20), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("ethertype", sa.String(length=4), nullable=False),
        sa.Column("protocol", sa.String(length=16), nullable=True),
        sa.Column("port_range_min", sa.Integer(), nullable=True),
        sa.Column("port_range_max", sa.Integer(), nullable=True),
        sa.Column("remote_ip_prefix", sa.String(length=64), nullable=True),
        sa.Column("normalized_cidr", sa.String(length=64), nullable=True),
        sa.Column("remote_group_id", sa.String(length=36), nullable=True),
        sa.Column("remote_address_group_id", sa.String(length=36), nullable=True),
        sa.Column("established", sa.String(length=8), nullable=False),
        sa.Column("form", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(
            ["security_group_id"], ["security_groups.id"], name="security_group_rules_security_group_id_fk"
        ),
        sa.ForeignKeyConstraint(
            ["remote_group_id"], ["security_groups.id"], name="security_group_rules_remote_group_id_fk"
        ),
        sa.ForeignKeyConstraint(
            ["remote_address_group_id"], ["address_groups.id"], name="security_group_rules_remote_address_group_id_fk"
        ),
        sa.PrimaryKeyConstraint("id", name="security_group_rules_pk"),
        sa.UniqueConstraint("security_group_id", "form", name="security_group_rules_security_group_id_form_key"),
    )
    op.create_index("security_group_rules_project_id_index", "security_group_rules", ["project_id"])
    op.create_index("security_group_rules_remote_group_id_index", "security_group_rules", ["remote_group_id"])
    op.create_index(
        "security_group_rules_remote_address_group_id_index", "security_group_rules", ["remote_address_group_id"]
    )
    op.create_table(
        "port_security_groups",
        sa.Column("port_id", sa.String(length=36), nullable=False),
        sa.Column("group_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(["port_id"], ["ports.id"], name="port_security_groups_port_id_fk"),
        sa.ForeignKeyConstraint(["group_id"], ["security_groups.id"], name="port_security_groups_group_id_fk"),
        sa.PrimaryKeyConstraint("port_id", "group_id", name="port_security_groups_pk"),
    )
    op.create_index("port_security_groups_group_id_index", "port_security_groups", ["group_id"])
