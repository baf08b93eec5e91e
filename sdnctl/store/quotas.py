# SPDX-License-Identifier: Apache-2.0
"""How many objects of a kind a project may have.

Counted after the new ones were inserted and under the lock that every write takes last, so two requests at once cannot
both take the last place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import func, select, update

from sdnctl.errors import ConflictError
from sdnctl.store import tables
from sdnctl.store.objects import KINDS
from sdnctl.store.write import Write


def require(write: Write, kind: str, bodies: Sequence[Mapping[str, object]]) -> None:
    """ConflictError unless every project that has got objects of `kind` by `bodies` is within its quota."""
    limit = write.settings.quotas.get(kind, -1)
    if limit < 0:
        return
    write.connection.execute(update(tables.counters).values(revision=tables.counters.c.revision))
    table = KINDS[kind].table
    for project in sorted({str(body.get("project_id") or write.ctx.project_id) for body in bodies}):
        owned = select(func.count()).select_from(table).where(table.c.project_id == project)
        count = write.connection.execute(owned).scalar_one()
        if project and count > limit:
            raise ConflictError(
                f"Quota exceeded for resources: ['{kind}']. Project {project} would have {count} and may have {limit}; "
                f"delete some, or ask the administrator for a larger quota.{kind}.",
                kind="OverQuota",
            )
