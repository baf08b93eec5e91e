# SPDX-License-Identifier: Apache-2.0
"""QoS policies and their rules; what a port and a network have. A policy in use is kept by locks, not by a key."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    for table in ("networks", "ports"):
        op.add_column(table, sa.Column("qos_policy_id", sa.String(length=36), nullable=True))
        op.create_index(f"{table}_qos_policy_id_index", table, ["qos_policy_id"])
    op.create_table(
        "qos_policies",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("created_at", sa.String(length=20), nullable=False),
        sa.Column("updated_at", sa.String(length=20), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("default_of", sa.String(length=255), nullable=True),
        sa.PrimaryKeyConstraint("id", name="qos_policies_pk"),
        sa.UniqueConstraint("default_of", name="qos_policies_default_of_key"),
    )
    op.create_index("qos_policies_name_index", "qos_policies", ["name"])
    op.create_index("qos_policies_project_id_index", "qos_policies", ["project_id"])
    op.create_table(
        "qos_rules",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("qos_policy_id", sa.String(length=36), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("burst", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.String(length=20), nullable=False),
        sa.Column("updated_at", sa.String(length=20), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["qos_policy_id"], ["qos_policies.id"], name="qos_rules_qos_policy_id_fk"),
        sa.PrimaryKeyConstraint("id", name="qos_rules_pk"),
        sa.UniqueConstraint("qos_policy_id", "type", "direction", name="qos_rules_qos_policy_id_type_direction_key"),
    )
