# SPDX-License-Identifier: Apache-2.0
"""What a kind of object is: its attributes, where they come from, and who may see it.

A `Kind` is everything needed to read. Most attributes are columns and come out of one query as they are; what is made
of several columns, or of other objects, is particular to the kind: its function `more`. Lists, single objects, answers
to writes and the journal's differences all come from here, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, FromClause, Row, Select, Table, bindparam, false, or_, select

from sdnctl.errors import NotFoundError
from sdnctl.model.request import Context, Object
from sdnctl.store import tables
from sdnctl.store.settings import Settings

Rows = Sequence[Row[Any]]
More = Callable[[Connection, Rows, Settings], Iterable[Object]]
Visible = Callable[[str], ColumnElement[bool]]

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_BATCH: Final = 200
"""So many objects are read with one query when their ids are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of object."""

    name: str
    error: str
    """What starts the types of its errors: `Network` in `NetworkNotFound`."""
    table: Table
    columns: Mapping[str, ColumnElement[Any]]
    """The attributes that are read as they are; also what filters and sort keys of these names mean."""
    pick: Callable[[Row[Any]], Sequence[object]]
    """The values of these columns, out of a row of `query`."""
    query: Select[Any]
    """All objects, with all that they are made of."""
    more: More | None = None
    """The other attributes of each row."""
    visible: Visible | None = None
    """Which objects a project sees; None: only admins see any. Services see all that some project sees."""

    def visible_to(self, ctx: Context) -> ColumnElement[bool] | None:
        """The condition under which the caller sees an object; None: always."""
        if ctx.is_admin or (self.visible and is_service(ctx)):
            return None
        # Objects of the system itself have an empty project; a caller without one owns nothing.
        return self.visible(ctx.project_id) if self.visible and ctx.project_id else false()

    def one(self, connection: Connection, settings: Settings, ctx: Context, object_id: str) -> Object:
        """The object, if the caller may see it."""
        query = self.query.where(self.table.c.id == object_id)
        condition = self.visible_to(ctx)
        rows = connection.execute(query if condition is None else query.where(condition)).all()
        if not rows:
            raise self.not_found(object_id)
        return self.render(connection, rows, settings)[0]

    def some(self, connection: Connection, settings: Settings, ids: Sequence[str]) -> Iterator[Object]:
        """The objects of these ids that exist, in no order."""
        for start in range(0, len(ids), _BATCH):
            part = ids[start : start + _BATCH]
            if len(part) == 1:
                rows = connection.execute(self.query.where(self.table.c.id == bindparam("id_")), {"id_": part[0]}).all()
            else:
                rows = connection.execute(self.query.where(self.table.c.id.in_(part))).all()
            yield from self.render(connection, rows, settings)

    def render(self, connection: Connection, rows: Rows, settings: Settings) -> list[Object]:
        """What REST shows of the query's rows."""
        found: list[Object] = [dict(zip(self.columns, self.pick(row), strict=True)) for row in rows]
        if self.more and rows:
            for shown, rest in zip(found, self.more(connection, rows, settings), strict=True):
                shown.update(rest)
        return found

    def not_found(self, object_id: str) -> NotFoundError:
        return NotFoundError(f"{self.error} {object_id[:64]} could not be found.", kind=f"{self.error}NotFound")


def kind(
    name: str,
    error: str,
    table: Table,
    *,
    hidden: Collection[str] = (),
    names: Mapping[str, str] = NOTHING,
    beside: Mapping[str, ColumnElement[Any]] = NOTHING,
    source: FromClause | None = None,
    joined: Sequence[ColumnElement[Any]] = (),
    more: More | None = None,
    visible: Visible | None = None,
) -> Kind:
    """The kind of the rows of a table, whose columns are its attributes.

    But for the hidden ones; some have other `names`, and other expressions stand `beside` them. `more` also has what
    is `joined` in `source`.
    """
    read: list[ColumnElement[Any]] = [*table.c, *beside.values()]
    attributes = [*(names.get(column.name, column.name) for column in table.c), *beside]
    places = {name: place for place, name in enumerate(attributes) if name not in hidden}
    if "project_id" in places:
        places["tenant_id"] = places["project_id"]
    return Kind(
        name=name,
        error=error,
        table=table,
        columns={name: read[place] for name, place in places.items()},
        pick=itemgetter(*places.values()),
        query=select(table, *beside.values(), *joined).select_from(table if source is None else source),
        more=more,
        visible=visible,
    )


def is_service(ctx: Context) -> bool:
    """The caller acts for all projects, as Nova does when it binds a port."""
    return "service" in ctx.roles


def seen_by_owner(table: Table) -> Visible:
    """A project sees its own objects."""
    return lambda project_id: table.c.project_id == project_id


def seen_in_own_network(table: Table) -> Visible:
    """A project sees its own objects, and everybody's in its networks."""
    network = tables.networks.c

    def visible(project_id: str) -> ColumnElement[bool]:
        own_networks = select(network.id).where(network.project_id == project_id)
        return or_(table.c.project_id == project_id, table.c.network_id.in_(own_networks))

    return visible
