# SPDX-License-Identifier: Apache-2.0
"""Every path and method of the API and who answers it: one table, and the look-up in it.

`{name}` stands for one part of a path. A part that stands literally in the table is tried before a variable one. What
a resource answers is the same for all of them, so its rows come from its table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from sdnctl.api import discovery, handlers, qos
from sdnctl.api.answers import Reply
from sdnctl.api.attributes import Record
from sdnctl.api.call import Call, Handler
from sdnctl.api.errors import method_not_allowed, not_found_here
from sdnctl.api.resources import PARTS, RESOURCES, Action, May, Resource, alias_of, parts_of


@dataclass(frozen=True, slots=True)
class Route:
    """One row. A public one needs no token."""

    method: str
    path: str
    handler: Handler
    help: str
    public: bool = False
    resource: Resource | None = None
    action: Action | None = None
    takes: Record | None = None
    """What the body holds below its one key, `packet`, where no resource says it."""


def _routes_of(resource: Resource) -> Iterator[Route]:
    """The rows of one resource."""
    objects = f"/v2.0/{resource.path}"
    item = f"{objects}/{{id}}"
    a = resource.one

    def row(method: str, path: str, handler: Callable[[Resource, Call], Reply], text: str) -> Route:
        return Route(method, path, partial(handler, resource), text, resource=resource)

    yield row("GET", objects, handlers.list_all, f"List {resource.collection}.")
    if not resource.read_only:
        yield row("POST", objects, handlers.create, f"Create {a}, or several.")
    yield row("GET", item, handlers.show, f"Show {a}.")
    if resource.names(May.UPDATE):
        yield row("PUT", item, handlers.change, f"Change {a}.")
    if not resource.read_only:
        yield row("DELETE", item, handlers.delete, f"Delete {a}.")
    for part in parts_of(resource):
        yield from _routes_of(part)
    if resource.tagged:
        yield row("GET", f"{item}/tags", handlers.list_tags, f"Tags of {a}.")
        yield row("PUT", f"{item}/tags", handlers.replace_tags, f"Replace the tags of {a}.")
        yield row("POST", f"{item}/tags", handlers.add_tags, f"Add tags to {a}.")
        yield row("DELETE", f"{item}/tags", handlers.remove_tags, f"Remove all tags of {a}.")
        yield row("GET", f"{item}/tags/{{tag}}", handlers.has_tag, f"Whether {a} has the tag.")
        yield row("PUT", f"{item}/tags/{{tag}}", handlers.add_tag, f"Add a tag to {a}.")
        yield row("DELETE", f"{item}/tags/{{tag}}", handlers.remove_tag, f"Remove a tag of {a}.")
    for action in resource.actions:
        handler = handlers.look if action.method == "GET" else handlers.act
        yield Route(
            action.method,
            f"{item}/{action.name}",
            partial(handler, resource, action),
            action.help,
            resource=resource,
            action=action,
        )


def _routes_of_alias(resource: Resource) -> Iterator[Route]:
    """The rows of parts that are reached without their parent: what concerns one of them."""
    yield from (route for route in _routes_of(resource) if route.path.endswith("/{id}"))


ROUTES: Final = (
    Route("GET", "/", discovery.versions, "Versions of the API.", public=True),
    Route("GET", "/v2.0", discovery.resources, "Resources of the API."),
    Route("GET", "/v2.0/extensions", discovery.list_extensions, "Extensions."),
    Route("GET", "/v2.0/extensions/{alias}", discovery.show_extension, "One extension."),
    Route("GET", "/v2.0/explain", discovery.explain, "Whose a flow is and what it does, by cookie or text."),
    Route(
        "POST", "/v2.0/explain", discovery.explain_packet, "What becomes of a packet of a port.", takes=discovery.PACKET
    ),
    *(route for resource in RESOURCES for route in _routes_of(resource)),
    *(route for part in PARTS for route in _routes_of_alias(alias_of(part))),
    Route("GET", "/v2.0/qos/rule-types", qos.list_types, "List the types of QoS rules."),
    Route("GET", "/v2.0/qos/rule-types/{type}", qos.show_type, "Show what QoS rules of a type take."),
    *(
        Route(method, f"/v2.0/qos/policies/{{qos_policy_id}}/{name}_rules", partial(qos.refuse_type, name), "Refused.")
        for name in qos.UNBUILT
        for method in ("GET", "POST")
    ),
)


@dataclass(slots=True)
class _Node:
    """A place in the tree of paths."""

    literal: dict[str, _Node] = field(default_factory=dict)
    variable: _Node | None = None
    by_method: dict[str, Route] = field(default_factory=dict)


class Router:
    """Finds routes: one step per part of the path."""

    def __init__(self, routes: tuple[Route, ...]) -> None:
        self._root = _Node()
        for route in routes:
            node = self._root
            for part in _parts(route.path):
                if not part.startswith("{"):
                    node = node.literal.setdefault(part, _Node())
                    continue
                if node.variable is None:
                    node.variable = _Node()
                node = node.variable
            node.by_method[route.method] = route

    def find(self, method: str, path: str) -> tuple[Route, Mapping[str, str]]:
        """The route for a request and the variable parts of its path; NotFoundError, or HttpError 405."""
        node = self._root
        values: list[str] = []
        for part in _parts(path):
            literal = node.literal.get(part)
            if literal is not None:
                node = literal
            elif node.variable is not None:
                values.append(part)
                node = node.variable
            else:
                raise not_found_here()
        if not node.by_method:
            raise not_found_here()
        route = node.by_method.get(method)
        if route is None:
            raise method_not_allowed(method, sorted(node.by_method))
        names = (part[1:-1] for part in _parts(route.path) if part.startswith("{"))
        return route, dict(zip(names, values, strict=True))


def _parts(path: str) -> list[str]:
    """The parts of a path. A slash at the end says nothing, nor does the `.json` that old clients append."""
    stripped = path.strip("/")
    parts = stripped.split("/") if stripped else []
    if len(parts) > 1 and parts[-1].endswith(".json") and parts[-2] != "tags":
        parts[-1] = parts[-1].removesuffix(".json")
    return parts
