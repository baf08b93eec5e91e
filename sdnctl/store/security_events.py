# SPDX-License-Identifier: Apache-2.0
"""Security events: kept for people to look at, bounded for each project and in all, the oldest go first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from sdnctl.model.statistics import SecurityEvent
from sdnctl.store import tables

MOST_OF_A_PROJECT: Final = 1000
MOST: Final = 10000

_table = tables.security_events
_event = _table.c
_grow = (
    update(_table)
    .where(_event.id == bindparam("id_"))
    .values({name: bindparam(f"{name}_") for name in ("host", "text", "packets", "reading", "last_seen", "active")})
)


def load(connection: Connection) -> list[SecurityEvent]:
    """The last one of each port and reason, oldest first."""
    last = select(func.max(_event.first_seen)).where(
        _event.port_id == (other := _table.alias()).c.port_id, _event.reason == other.c.reason
    )
    rows = connection.execute(
        select(other).where(other.c.first_seen == last.scalar_subquery()).order_by(other.c.first_seen, other.c.id)
    )
    return [_of(row) for row in rows]


def record(connection: Connection, events: Sequence[SecurityEvent]) -> None:
    """Write events, new and known ones, and take out what is too much."""
    rows = {event.id: _row(event) for event in events}
    known = set(connection.execute(select(_event.id).where(_event.id.in_(list(rows)))).scalars())
    grown = [{f"{name}_": value for name, value in row.items()} for id_, row in rows.items() if id_ in known]
    new = [row for id_, row in rows.items() if id_ not in known]
    if grown:
        names = {"id_", "host_", "text_", "packets_", "reading_", "last_seen_", "active_"}
        connection.execute(_grow, [{name: row[name] for name in names} for row in grown])
    if new:
        connection.execute(insert(_table), new)
        for project_id in sorted({str(row["project_id"]) for row in new}):
            _trim(connection, MOST_OF_A_PROJECT, project_id)
        _trim(connection, MOST, None)


def _trim(connection: Connection, most: int, project_id: str | None) -> None:
    """Leave the newest `most`."""
    mine = select(_event.id).order_by(_event.first_seen.desc(), _event.id.desc()).offset(most)
    if project_id is not None:
        mine = mine.where(_event.project_id == project_id)
    ids = list(connection.execute(mine.limit(most)).scalars())
    for start in range(0, len(ids), 500):
        connection.execute(delete(_table).where(_event.id.in_(ids[start : start + 500])))


def _row(event: SecurityEvent) -> dict[str, object]:
    return {
        "id": event.id,
        "project_id": event.project_id,
        "port_id": event.port_id,
        "network_id": event.network_id,
        "host": event.host,
        "reason": event.reason,
        "text": event.text,
        "packets": event.packets,
        "reading": event.reading,
        "first_seen": _moment(event.first_seen),
        "last_seen": _moment(event.last_seen),
        "active": event.active,
    }


def _moment(seconds: float) -> str:
    """In UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _of(row: Row[Any]) -> SecurityEvent:
    return SecurityEvent(
        id=row.id,
        port_id=row.port_id,
        project_id=row.project_id,
        network_id=row.network_id,
        host=row.host,
        reason=row.reason,
        text=row.text,
        packets=row.packets,
        first_seen=_seconds(row.first_seen),
        last_seen=_seconds(row.last_seen),
        active=row.active,
        reading=row.reading,
    )
