# SPDX-License-Identifier: Apache-2.0
"""Security filters one by one, and client isolation. What exists keeps all filters, and nobody is isolated."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    for table, flag in (("networks", "client_isolation"), ("ports", "is_service_port")):
        op.add_column(table, sa.Column("filters_off", sa.Text(), nullable=False, server_default=sa.text("''")))
        op.add_column(table, sa.Column(flag, sa.Boolean(), nullable=False, server_default=sa.false()))
