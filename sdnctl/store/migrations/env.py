# SPDX-License-Identifier: Apache-2.0
"""What Alembic runs: the migrations, on the connection and in the transaction of `sdnctl.store.migrate`."""

from __future__ import annotations

from alembic import context

from sdnctl.store import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.metadata,
    render_as_batch=True,
)
context.run_migrations()
