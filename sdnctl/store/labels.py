# SPDX-License-Identifier: Apache-2.0
"""Tags: written to the object's own row, for reading, and to the table of tags, for filters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import delete, update

from sdnctl.errors import InvalidError
from sdnctl.store import tables
from sdnctl.store.objects import Kind
from sdnctl.store.write import Write

LONGEST: Final = 255


def insert_tags(write: Write, object_id: str, wanted: Iterable[str]) -> list[str]:
    """Write a new object's tags into their table; what its row's column `tags` must say."""
    labels = _checked(write, wanted)
    if labels:
        write.insert(tables.tags, [{"object_id": object_id, "tag": tag} for tag in labels])
    return labels


def replace_tags(write: Write, kind: Kind, object_id: str, wanted: Iterable[str]) -> None:
    """Give a tracked object these tags and no others."""
    write.connection.execute(delete(tables.tags).where(tables.tags.c.object_id == object_id))
    labels = insert_tags(write, object_id, wanted)
    write.connection.execute(update(kind.table).where(kind.table.c.id == object_id).values(tags=labels))


def delete_tags(write: Write, ids: Sequence[str]) -> None:
    """Forget the tags of deleted objects."""
    for start in range(0, len(ids), 500):
        write.connection.execute(delete(tables.tags).where(tables.tags.c.object_id.in_(ids[start : start + 500])))


def _checked(write: Write, wanted: Iterable[str]) -> list[str]:
    """The tags once each, sorted."""
    labels = sorted(set(wanted))
    for tag in labels:
        if not 1 <= len(tag) <= LONGEST:
            raise InvalidError(f"tags: {tag[:32]!r} has {len(tag)} characters; a tag has 1 to {LONGEST}.")
    if len(labels) > write.settings.max_tags:
        raise InvalidError(f"tags: {len(labels)} are too many; an object has at most {write.settings.max_tags}.")
    return labels
