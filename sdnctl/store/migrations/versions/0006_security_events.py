# SPDX-License-Identifier: Apache-2.0
"""Security events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "security_events",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("port_id", sa.String(length=36), nullable=False),
        sa.Column("network_id", sa.String(length=36), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("text", sa.String(length=255), nullable=False),
        sa.Column("packets", sa.BigInteger(), nullable=False),
        sa.Column("reading", sa.BigInteger(), nullable=False),
        sa.Column("first_seen", sa.String(length=24), nullable=False),
        sa.Column("last_seen", sa.String(length=24), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="security_events_pk"),
    )
    op.create_index("security_events_project_id_first_seen_index", "security_events", ["project_id", "first_seen"])
    op.create_index("security_events_first_seen_index", "security_events", ["first_seen"])
    op.create_index("security_events_port_id_reason_index", "security_events", ["port_id", "reason"])
