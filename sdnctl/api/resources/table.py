# SPDX-License-Identifier: Apache-2.0
"""What a resource's table is made of; the package's docstring tells how a row reads."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sdnctl.api.attributes import (
    Record,
    Type,
)


class May(enum.Flag):
    """What a request may do with an attribute."""

    NOTHING = 0
    CREATE = enum.auto()
    UPDATE = enum.auto()
    FILTER = enum.auto()
    SORT = enum.auto()


class Default(enum.Enum):
    """What a POST without the attribute means, where that is no value."""

    ABSENT = enum.auto()
    """The store chooses; null would be something else."""
    REQUIRED = enum.auto()
    """The request is refused."""
    CALLER = enum.auto()
    """The caller's project."""


READ_ONLY: Final = May.NOTHING
CREATE: Final = May.CREATE
UPDATE: Final = May.UPDATE
FILTER: Final = May.FILTER
EDIT: Final = May.CREATE | May.UPDATE
FIND: Final = May.FILTER | May.SORT
ABSENT: Final = Default.ABSENT
REQUIRED: Final = Default.REQUIRED
CALLER: Final = Default.CALLER

Roles = frozenset[str]
"""Who: a caller with any of these roles."""
EVERYONE: Final[Roles] = frozenset({"reader", "member", "manager", "admin", "service"})
WRITERS: Final[Roles] = frozenset({"member", "manager", "admin", "service"})
MANAGERS: Final[Roles] = frozenset({"manager", "admin"})
ADMIN: Final[Roles] = frozenset({"admin"})
ADMIN_OR_SERVICE: Final[Roles] = frozenset({"admin", "service"})
SERVICE: Final[Roles] = frozenset({"service"})
NOBODY: Final[Roles] = frozenset()


def allowed(to: Roles, caller: frozenset[str]) -> bool:
    """Whether a caller with these roles is among those `to` names. Everyone is also who has only roles unknown here."""
    return to is EVERYONE or not to.isdisjoint(caller)


SYNONYMS: Final[Mapping[str, str]] = {"tenant_id": "project_id"}
"""Old names of attributes: accepted wherever the right one is, and answered beside it."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One row of a resource's table."""

    name: str
    type: Type
    may: May
    help: str
    default: object = ABSENT
    set_by: Roles = EVERYONE
    """Who may send it in a POST, and in a PUT unless `change_by` says otherwise."""
    change_by: Roles | None = None
    seen_by: Roles = EVERYONE
    """Who finds it in answers; for the others the key is absent."""
    alias: str = "core"


@dataclass(frozen=True, slots=True)
class Action:
    """A request below an object: `METHOD /v2.0/{collection}/{id}/{name}`.

    A PUT takes `takes` as its body, under the key `name`, or as the body itself if it is `bare`; a GET takes it from
    the query.
    """

    name: str
    method: str
    takes: Record
    help: str
    used_by: Roles
    alias: str
    bare: bool = False

    def body(self, arguments: Mapping[str, object]) -> dict[str, object]:
        """The body of the request."""
        return dict(arguments) if self.bare else {self.name: arguments}


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """One kind of object."""

    name: str
    """In the singular: the key of bodies, and the kind the store knows it by."""
    collection: str
    help: str
    attributes: tuple[Attribute, ...]
    actions: tuple[Action, ...] = ()
    used_by: Roles = EVERYONE
    """Who may use it at all; for the others every object of it is 404, and the collection 403."""
    tagged: bool = True
    """It has the sub-resource `tags`."""
    read_only: bool = False
    """Nobody makes, changes or deletes one by a request."""
    error: str = ""
    """What starts the types of its errors: `Network` in `NetworkNotFound`."""
    key: str = ""
    """The key of bodies, where it is not the name."""
    below: str = ""
    """Where its path begins, below the version: `qos/`."""
    written_by: Roles = WRITERS
    """Who may make, change and delete objects of it."""
    parent: Resource | None = None
    """Its objects are parts of objects of that one: their path is below the parent's, and goes with it."""
    parent_id: str = ""
    """The parent's id: a variable part of the path, and an attribute of what the repository keeps."""
    by_name: Mapping[str, Attribute] = field(init=False, repr=False, compare=False)
    """The attributes by name, synonyms among them."""

    def __post_init__(self) -> None:
        by_name = {attribute.name: attribute for attribute in self.attributes}
        if len(by_name) != len(self.attributes):
            raise ValueError(f"{self.name}: an attribute stands twice in the table")
        by_name.update({old: by_name[right] for old, right in SYNONYMS.items() if right in by_name})
        object.__setattr__(self, "by_name", by_name)
        object.__setattr__(self, "key", self.key or self.name)

    @property
    def path(self) -> str:
        """The collection's path below the version: bodies have underscores where paths have dashes.

        Paths of parts have underscores too.
        """
        if self.parent is not None:
            return f"{self.parent.path}/{{{self.parent_id}}}/{self.collection}"
        return self.below + self.collection.replace("_", "-")

    @property
    def title(self) -> str:
        """Its name in prose and on the command line."""
        return self.name.replace("_", "-")

    @property
    def one(self) -> str:
        """The name with its article."""
        return f"{'an' if self.name[0] in 'aeio' else 'a'} {self.title}"

    def names(self, may: May) -> tuple[str, ...]:
        """Names of the attributes a request may do `may` with, in the table's order."""
        return tuple(attribute.name for attribute in self.attributes if may in attribute.may)
