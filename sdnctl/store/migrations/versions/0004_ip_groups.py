# SPDX-License-Identifier: Apache-2.0
"""IP groups: they have addresses as ports have, in one table, so that nobody is given one twice."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "ip_groups",
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
        sa.Column("ip_address", sa.String(length=64), nullable=False),
        sa.Column("port_ids", sa.Text(), nullable=False),
        sa.Column("active", sa.String(length=36), nullable=False),
        sa.Column("vrrp", sa.Boolean(), nullable=False),
        sa.Column("holder", sa.String(length=36), nullable=True),
        sa.Column("virtual_mac", sa.String(length=17), nullable=True),
        sa.ForeignKeyConstraint(["network_id"], ["networks.id"], name="ip_groups_network_id_fk"),
        sa.ForeignKeyConstraint(["holder"], ["ports.id"], name="ip_groups_holder_fk"),
        sa.PrimaryKeyConstraint("id", name="ip_groups_pk"),
        sa.UniqueConstraint("key", name="ip_groups_key_key"),
    )
    for column in ("holder", "name", "network_id", "project_id"):
        op.create_index(f"ip_groups_{column}_index", "ip_groups", [column])
    op.create_table(
        "ip_group_members",
        sa.Column("group_id", sa.String(length=36), nullable=False),
        sa.Column("port_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["ip_groups.id"], name="ip_group_members_group_id_fk"),
        sa.ForeignKeyConstraint(["port_id"], ["ports.id"], name="ip_group_members_port_id_fk"),
        sa.PrimaryKeyConstraint("group_id", "port_id", name="ip_group_members_pk"),
    )
    op.create_index("ip_group_members_port_id_index", "ip_group_members", ["port_id"])
    with op.batch_alter_table("addresses") as batch:
        batch.alter_column("subnet_id", existing_type=sa.String(length=36), nullable=True)
        batch.alter_column("port_id", existing_type=sa.String(length=36), nullable=True)
        batch.add_column(sa.Column("ip_group_id", sa.String(length=36), nullable=True))
        batch.create_foreign_key("addresses_ip_group_id_fk", "ip_groups", ["ip_group_id"], ["id"])
        batch.create_index("addresses_ip_group_id_index", ["ip_group_id"])
