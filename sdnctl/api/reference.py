# SPDX-License-Identifier: Apache-2.0
"""The reference of the API as a page, written from the tables and the routes: `docs/rest.md`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sdnctl.api.extensions import EXTENSIONS
from sdnctl.api.resources import (
    EVERYONE,
    RESOURCES,
    WRITERS,
    Action,
    Attribute,
    Default,
    May,
    Resource,
    Roles,
    alias_of,
    parts_of,
)
from sdnctl.api.routes import ROUTES

_INTRODUCTION: Final = """\
# The REST API

Written by docs/generate.py from sdnctl/api/resources/, routes.py and extensions.py; change it there.
`GET /openapi.json` has the same for programs.

The API is the Networking API v2.0 of OpenStack for the resources below, and extension resources in the same style
for what that API lacks. A token goes into the header `X-Auth-Token`; `GET /`, `/healthz`, `/metrics` and
`/openapi.json` need none.

* **Bodies** are JSON, `{"network": {...}}` for one object, `{"networks": [...]}` for several: a POST of several makes
  all of them or none. A PUT changes what it names and answers the whole object. `null` is not the same as absent.
* **Refusals** are `{"NeutronError": {"type": ..., "message": ..., "detail": ""}}`; the message says which attribute,
  why, and what would be right. What the caller may not see is 404, whatever was asked.
* **Lists** take filters `?attribute=value` (the same one twice: either; different ones: both), `fields`, `sort_key`
  with `sort_dir`, `limit`, `marker`, `page_reverse`.
* **Every write** answers the journal's revision in `X-Sdnctl-Revision`. With `?wait=applied` (or a header
  `Wait: applied`) it answers when all hosts concerned have confirmed, or after a time with the others named in
  `X-Sdnctl-Pending`. `If-Match: revision_number=N` makes a PUT or DELETE conditional.
* `tenant_id` and `project_id` are two names of one attribute."""


def page() -> str:
    """The whole page."""
    lines = [_INTRODUCTION, "", "## Paths", "", "| method | path | |", "|---|---|---|"]
    lines += [f"| {method} | `{path}` | {text} |" for method, path, text in _paths()]
    for resource in RESOURCES:
        for one in (resource, *parts_of(resource)):
            lines += ["", *_section(one)]
    lines += ["", "## Extensions", "", "What `GET /v2.0/extensions` lists.", "", "| alias | |", "|---|---|"]
    lines += [f"| `{extension.alias}` | {extension.description} |" for extension in EXTENSIONS]
    return "\n".join(lines) + "\n"


def _paths() -> Iterator[tuple[str, str, str]]:
    """What every collection has stands there once."""
    example = RESOURCES[0]
    for route in ROUTES:
        if route.resource is None or route.action is not None:
            yield route.method, route.path, route.help
        elif route.resource is example:
            path = route.path.replace(f"/{example.collection}", "/{collection}", 1)
            text = route.help.replace(example.collection, "objects").replace(f"a {example.name}", "an object")
            yield route.method, path, text[0].upper() + text[1:]


def _section(resource: Resource) -> Iterator[str]:
    yield f"## {resource.collection}"
    yield ""
    text = resource.help if resource.used_by is EVERYONE else f"{resource.help} For {_named(resource.used_by)} only."
    if resource.path != resource.collection:
        text += f" Path: `/v2.0/{resource.path}`; in bodies `{resource.key}`."
    if resource.parent is not None:
        alias = alias_of(resource)
        text += f" One of them also by `/v2.0/{alias.path}/{{id}}`, in bodies `{alias.key}`."
    yield text if resource.written_by is WRITERS else f"{text} Written by {_named(resource.written_by)}."
    yield ""
    yield "POST, PUT: it may be sent there. F: it may be a filter. S: it may be a sort key."
    yield ""
    yield "| attribute | value | POST | PUT | F | S | |"
    yield "|---|---|---|---|---|---|---|"
    yield from (_row(attribute) for attribute in resource.attributes)
    for action in resource.actions:
        yield ""
        yield from _action(resource, action)


def _row(attribute: Attribute) -> str:
    marks = ["x" if may in attribute.may else "" for may in (May.UPDATE, May.FILTER, May.SORT)]
    cells = [
        f"`{attribute.name}`",
        _escaped(attribute.type.metavar),
        _default(attribute),
        *marks,
        _escaped(_text(attribute)),
    ]
    return f"| {' | '.join(cells)} |"


def _default(attribute: Attribute) -> str:
    """How it stands with a POST: not allowed, required, or what is meant without it."""
    if May.CREATE not in attribute.may:
        return ""
    match attribute.default:
        case Default.REQUIRED:
            return "required"
        case Default.ABSENT:
            return "x"
        case Default.CALLER:
            return "the caller's"
        case None | bool():
            return {None: "null", True: "true", False: "false"}[attribute.default]
        case str() as text:
            return f'`"{text}"`'
    return f"`{attribute.default}`".replace("'", '"')


def _text(attribute: Attribute) -> str:
    text = attribute.help
    if attribute.set_by is not EVERYONE:
        text += f" Set by {_named(attribute.set_by)}."
    if attribute.change_by is not None:
        text += f" Changed by {_named(attribute.change_by)}."
    if not attribute.seen_by:
        text += " Never shown."
    elif attribute.seen_by is not EVERYONE:
        text += f" Seen by {_named(attribute.seen_by)}."
    return text


def _action(resource: Resource, action: Action) -> Iterator[str]:
    path = f"/v2.0/{resource.collection}/{{id}}/{action.name}"
    yield f"`{action.method} {path}` (for {_named(action.used_by)}): {action.help}"
    if action.takes.fields:
        yield ""
    for field in action.takes.fields:
        need = "required" if field.required else f"default {field.default}" if field.default is not None else "optional"
        yield f"* `{field.name}` ({_escaped(field.type.metavar)}, {need}) {field.help}".rstrip()


def _named(roles: Roles) -> str:
    return " or ".join(sorted(roles))


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
