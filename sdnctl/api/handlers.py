# SPDX-License-Identifier: Apache-2.0
"""Requests about objects: list, create, show, change, delete, tags. The same few functions for every resource.

Rule 1: what the caller may not see is 404, whatever else is wrong with the request; a refusal that says more is made
only after the repository has shown the object to this caller.
Rule 2: nothing here knows a resource by name. What only one resource can do is in `semantics.py`.
"""

from __future__ import annotations

from dataclasses import replace

from sdnctl import runtime
from sdnctl.api import bodies, queries, semantics
from sdnctl.api.answers import Reply, Viewer, viewer
from sdnctl.api.call import Call
from sdnctl.api.errors import bad_request
from sdnctl.api.resources import TAGS, Action, Resource, allowed
from sdnctl.errors import ForbiddenError, InvalidError, NotFoundError
from sdnctl.model.request import Object, Query, Written


def list_all(resource: Resource, call: Call) -> Reply:
    _check_collection(resource, call)
    within = _within(resource, call)
    asked = queries.listing(resource, call.parameters)
    query = replace(asked.query, filters=(*asked.query.filters, *((name, (value,)) for name, value in within.items())))
    page = call.repository.list(call.context, resource.name, query)
    shown = _viewer(call, resource).show_all(semantics.live(call, resource, page), asked.fields)
    body: Object = {resource.collection: shown}
    path = resource.path.format(**within)
    links = queries.page_links(f"{call.url}/v2.0/{path}", call.parameters, asked.query, page)
    if links:
        body[f"{resource.collection}_links"] = links
    return Reply(200, body)


def create(resource: Resource, call: Call) -> Reply:
    _check_collection(resource, call)
    within = _within(resource, call)
    if not allowed(resource.written_by, call.context.roles):
        raise _read_only(resource)
    items, several = bodies.items(resource, call.body())
    values = [{**bodies.created(resource, item, call.context), **within} for item in runtime.in_slices(items)]
    written = call.repository.create(call.context, resource.name, values)
    return _written(call, resource, written, 201, several=several)


def show(resource: Resource, call: Call) -> Reply:
    object_id = _item(resource, call)
    item = _get(call, resource, object_id)
    fields = queries.fields(call.parameters)
    [shown] = _viewer(call, resource).show_all(semantics.live(call, resource, [item]), fields)
    return Reply(200, {resource.key: shown})


def change(resource: Resource, call: Call) -> Reply:
    object_id = _writable_item(resource, call)
    items, several = bodies.items(resource, call.body())
    if several:
        raise bad_request(f"A PUT changes one {resource.title}; send it as '{resource.key}'.")
    try:
        changes = bodies.changed(resource, items[0], call.context)
    except ForbiddenError:
        _get(call, resource, object_id)
        raise
    written = call.repository.update(call.context, resource.name, object_id, changes, call.if_match)
    return _written(call, resource, written, 200, several=False)


def delete(resource: Resource, call: Call) -> Reply:
    object_id = _writable_item(resource, call)
    revision = call.repository.delete(call.context, resource.name, object_id, call.if_match)
    return call.written(revision, Reply(204))


def act(resource: Resource, action: Action, call: Call) -> Reply:
    """A PUT below an object that the resource's table names as an action; the answer is the whole object."""
    object_id = _usable_item(resource, action, call)
    body = call.body()
    if not action.bare:
        if not isinstance(body, dict) or body.keys() != {action.name}:
            raise bad_request(f"The body must be an object with one key, '{action.name}'.")
        body = body[action.name]
    arguments = action.takes.parse(body, action.name)
    changes = semantics.CHANGES[resource.name, action.name](call, object_id, arguments)
    written = call.repository.update(call.context, resource.name, object_id, changes, call.if_match)
    return _written(call, resource, written, 200, several=False)


def look(resource: Resource, action: Action, call: Call) -> Reply:
    """A GET below an object that the resource's table names as an action."""
    object_id = _usable_item(resource, action, call)
    arguments = action.takes.parse(dict(call.parameters), action.name)
    return Reply(200, semantics.VIEWS[resource.name, action.name](call, object_id, arguments))


# ---------------------------------------------------------------------------------------------------------------- tags


def list_tags(resource: Resource, call: Call) -> Reply:
    object_id = _item(resource, call)
    return Reply(200, {"tags": _get(call, resource, object_id)["tags"]})


def replace_tags(resource: Resource, call: Call) -> Reply:
    object_id = _writable_item(resource, call)
    tags = _tags(call.body())
    written = call.repository.replace_tags(call.context, resource.name, object_id, tags, call.if_match)
    return call.written(written.revision, Reply(200, {"tags": written.objects[0]["tags"]}))


def add_tags(resource: Resource, call: Call) -> Reply:
    object_id = _writable_item(resource, call)
    tags = _tags(call.body())
    written = call.repository.add_tags(call.context, resource.name, object_id, tags, call.if_match)
    return call.written(written.revision, Reply(200, {"tags": written.objects[0]["tags"]}))


def remove_tags(resource: Resource, call: Call) -> Reply:
    object_id = _writable_item(resource, call)
    written = call.repository.replace_tags(call.context, resource.name, object_id, [], call.if_match)
    return call.written(written.revision, Reply(204))


def has_tag(resource: Resource, call: Call) -> Reply:
    object_id = _item(resource, call)
    tag = call.names["tag"]
    tags = _get(call, resource, object_id)["tags"]
    if not isinstance(tags, list) or tag not in tags:
        raise NotFoundError(f"Tag {tag} could not be found.", kind="TagNotFound")
    return Reply(204)


def add_tag(resource: Resource, call: Call) -> Reply:
    object_id = _writable_item(resource, call)
    tags = _tags({"tags": [call.names["tag"]]})
    written = call.repository.add_tags(call.context, resource.name, object_id, tags, call.if_match)
    return call.written(written.revision, Reply(201))


def remove_tag(resource: Resource, call: Call) -> Reply:
    object_id = _writable_item(resource, call)
    written = call.repository.remove_tag(call.context, resource.name, object_id, call.names["tag"], call.if_match)
    return call.written(written.revision, Reply(204))


def _tags(body: object) -> list[str]:
    if not isinstance(body, dict) or body.keys() != {"tags"}:
        raise bad_request("The body must be an object with one key, 'tags'.")
    return [str(tag) for tag in TAGS.parse(body["tags"], "tags")]


# ---------------------------------------------------------------------------------------- what the above have in common


def _check_collection(resource: Resource, call: Call) -> None:
    if not allowed(resource.used_by, call.context.roles):
        raise ForbiddenError(f"{resource.collection} are for the role {' or '.join(sorted(resource.used_by))} only.")


def _item(resource: Resource, call: Call) -> str:
    """The id that the path names; cheap refusal of what cannot exist (clients try names here)."""
    object_id = call.names["id"]
    if not allowed(resource.used_by, call.context.roles):
        raise _not_found(resource, object_id)
    try:
        item = str(resource.by_name["id"].type.parse(object_id, "id"))
    except InvalidError:
        raise _not_found(resource, object_id) from None
    within = _within(resource, call)
    if within and not within.items() <= _get(call, resource, item).items():
        raise _not_found(resource, object_id)
    return item


def _within(resource: Resource, call: Call) -> dict[str, str]:
    """Of what the path says objects are parts: the parent's id, whom the caller sees. Nothing for other resources."""
    if resource.parent is None:
        return {}
    parent_id = call.names[resource.parent_id]
    return {resource.parent_id: str(_get(call, resource.parent, parent_id)["id"])}


def _writable_item(resource: Resource, call: Call) -> str:
    object_id = _item(resource, call)
    if not allowed(resource.written_by, call.context.roles):
        _get(call, resource, object_id)
        raise _read_only(resource)
    return object_id


def _usable_item(resource: Resource, action: Action, call: Call) -> str:
    object_id = _item(resource, call)
    if not allowed(action.used_by, call.context.roles):
        _get(call, resource, object_id)
        raise ForbiddenError(f"{action.name} is for the role {' or '.join(sorted(action.used_by))} only.")
    return object_id


def _not_found(resource: Resource, object_id: str) -> NotFoundError:
    return NotFoundError(f"{resource.error} {object_id} could not be found.", kind=f"{resource.error}NotFound")


def _read_only(resource: Resource) -> ForbiddenError:
    roles = " or ".join(sorted(resource.written_by))
    return ForbiddenError(f"A {resource.title} may be changed by the role {roles} only.")


def _get(call: Call, resource: Resource, object_id: str) -> Object:
    return call.repository.get(call.context, resource.name, object_id)


def _viewer(call: Call, resource: Resource) -> Viewer:
    return viewer(resource, call.context.roles)


def _written(call: Call, resource: Resource, written: Written, status: int, *, several: bool) -> Reply:
    """The answer to a write; after waiting for hosts it shows the objects as they are by then."""

    def body(items: list[Object]) -> Object:
        shown = _viewer(call, resource).show_all(semantics.live(call, resource, items))
        return {resource.collection: shown} if several else {resource.key: shown[0]}

    def again() -> Object:
        ids = tuple(str(item["id"]) for item in written.objects)
        now = {item["id"]: item for item in call.repository.list(call.context, resource.name, Query((("id", ids),)))}
        return body([{**item, **now.get(item["id"], {})} for item in written.objects])

    return call.written(written.revision, Reply(status, body(list(written.objects))), again)
