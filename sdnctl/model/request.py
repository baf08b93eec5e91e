# SPDX-License-Identifier: Apache-2.0
"""What REST asks of the store, and what it gets back.

Objects cross this border as plain dictionaries whose keys are the attribute names of the Networking API
(`binding:host_id`, `provider:network_type`, ...) and whose values are ready for JSON. In a body of `create` and in the
changes of `update`, an attribute that is *absent* was not sent and takes its default, and one that is None was sent as
`null`: the two differ (`gateway_ip`, `fixed_ips`). The caller has checked types and shapes and who may set an
attribute; whatever depends on other objects (visibility, ownership, overlaps, what is free) is the store's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sdnctl.model.ids import Revision

Object = dict[str, object]
"""One object as REST shows it."""


@dataclass(frozen=True, slots=True)
class Context:
    """Who asks."""

    project_id: str
    user: str
    roles: frozenset[str]
    """With all implied ones: an admin has `admin`, `manager`, `member` and `reader`."""
    request_id: str = ""

    @property
    def is_admin(self) -> bool:
        return "admin" in self.roles


@dataclass(frozen=True, slots=True)
class Query:
    """Which objects of a list, in which order. `Query()` is all that the caller may see."""

    filters: tuple[tuple[str, tuple[str | int | bool, ...]], ...] = ()
    """(attribute, values): one of the values must match; several entries must all match.

    Not plain attributes: `fixed_ips` (values `ip_address=A`, `subnet_id=S`, `ip_address_substr=A`), `subnets` and
    `security_groups` (contains that id), `tags`, `tags-any`, `not-tags`, `not-tags-any` (comma lists).
    """
    sort: tuple[tuple[str, bool], ...] = ()
    """(attribute, descending); the id is always the last key."""
    limit: int | None = None
    """At most so many; None or 0: all."""
    marker: str | None = None
    """Begin after the object with this id. Without `limit` it means nothing."""
    reverse: bool = False
    """The page that ends before the marker, still in the order asked for."""


@dataclass(frozen=True, slots=True)
class Written:
    """A write that is durable: the journal's revision after it, and the objects as they are now, in request order."""

    revision: Revision
    objects: tuple[Object, ...] = ()


class Repository(Protocol):
    """The store, as REST sees it. `kind` is network, subnet, port, host, project or token.

    Every method may raise the exceptions of `sdnctl.errors`: NotFoundError when there is no such object or the caller
    may not see it, ForbiddenError when the caller sees it and may not do this, InvalidError, ConflictError,
    PreconditionError when `if_match` is not the object's revision number. A method that raises has changed nothing.
    """

    def create(self, ctx: Context, kind: str, bodies: Sequence[Mapping[str, object]]) -> Written:
        """Make all the objects, or none. A token's `secret` is among its attributes here and never again."""

    def update(
        self, ctx: Context, kind: str, object_id: str, changes: Mapping[str, object], if_match: int | None = None
    ) -> Written:
        """Change one object. Changes that change nothing write nothing."""

    def delete(self, ctx: Context, kind: str, object_id: str, if_match: int | None = None) -> Revision:
        """Remove one object and what belongs to it alone."""

    def get(self, ctx: Context, kind: str, object_id: str) -> Object: ...

    def list(self, ctx: Context, kind: str, query: Query) -> list[Object]: ...

    def replace_tags(
        self, ctx: Context, kind: str, object_id: str, tags: Sequence[str], if_match: int | None = None
    ) -> Written: ...

    def add_tags(
        self, ctx: Context, kind: str, object_id: str, tags: Sequence[str], if_match: int | None = None
    ) -> Written: ...

    def remove_tag(self, ctx: Context, kind: str, object_id: str, tag: str, if_match: int | None = None) -> Written:
        """Remove one tag; NotFoundError of kind `TagNotFound` when the object does not have it."""

    def authenticate(self, secret: str, request_id: str = "") -> Context | None:
        """Whose token this is; None when it is nobody's, has expired, or its project is disabled."""

    def revision(self) -> Revision:
        """The journal's last revision."""
