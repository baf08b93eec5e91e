# SPDX-License-Identifier: Apache-2.0
"""Intent, kept in a database: SQLite, or PostgreSQL when several controllers share the work.

`Store` is all that others need: it fulfils `sdnctl.model.request.Repository` for REST and
`sdnctl.model.contents.Source` for the follower of the journal. This is the only package that imports SQLAlchemy and
Alembic.
"""

from sdnctl.store.repository import Store
from sdnctl.store.settings import Settings

__all__ = ["Settings", "Store"]
