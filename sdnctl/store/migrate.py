# SPDX-License-Identifier: Apache-2.0
"""Brings a database to the newest schema, or refuses one that is newer than this program.

All missing migrations run in one transaction, which both databases undo whole if the process dies in the middle: so a
database is always in the schema it says it is in. Two controllers that start at once take turns.

Alembic is imported only when there is something to migrate. A migration is a file in `migrations/versions`; the last
one's revision stands here as `HEAD`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from sdnctl.errors import UnavailableError
from sdnctl.store.database import Database

HEAD: Final = "0006"
"""The schema that this program works with."""
SCRIPTS: Final = Path(__file__).parent / "migrations"

_LOCK: Final = 0x53444E43
"""PostgreSQL's advisory lock of whoever migrates."""


def migrate(database: Database) -> None:
    """Run the migrations that the database lacks."""
    if database.read(schema_of) != HEAD:
        database.write(lambda connection: upgrade(connection, is_sqlite=database.is_sqlite))


def schema_of(connection: Connection) -> str | None:
    """The revision of the database's schema; None: it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return revision


def upgrade(connection: Connection, *, is_sqlite: bool, target: str = HEAD) -> None:
    """Run the missing migrations in the connection's transaction."""
    from alembic import command  # noqa: PLC0415  (costs 0.2 s and 10 MB, and is needed once per version)
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    if not is_sqlite:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    present = schema_of(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if present is not None and present not in known:
        raise UnavailableError(
            f"The database has schema {present}, which this version of sdnctl does not know: its own is {HEAD}. "
            "Start the version that made it, or a newer one."
        )
    if present is None and set(inspect(connection).get_table_names()):
        raise UnavailableError("The database has tables that are not sdnctl's; give it a database of its own.")
    command.upgrade(config, target)
