# SPDX-License-Identifier: Apache-2.0
"""`GET /openapi.json`: the API as an OpenAPI 3.1 document, made from the tables and the routes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from sdnctl import __version__
from sdnctl.api.attributes import ListOf, OrNull, Schema, Type
from sdnctl.api.extensions import EXTENSIONS
from sdnctl.api.resources import EVERYONE, PARTS, RESOURCES, SYNONYMS, Attribute, Default, May, Resource
from sdnctl.api.routes import Route

_ERRORS: Final[Mapping[int, str]] = {
    400: "Something in the request is wrong; the message says what, why, and what would be right.",
    401: "No token, or an unknown one.",
    403: "The caller's roles do not allow this.",
    404: "No such object, or the caller may not see it.",
    409: "The present state of things forbids it.",
    412: "If-Match names a revision number that is not the object's.",
    413: "The body is too large.",
    503: "Something sdnctl needs does not answer.",
}
_WRITES: Final = frozenset({"POST", "PUT", "DELETE"})


def document(routes: Iterable[Route]) -> Schema:
    """The whole document."""
    paths: dict[str, dict[str, object]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "sdnctl",
            "version": __version__,
            "summary": "Networks, subnets and ports on Open vSwitch, by the Networking API v2.0.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"token": []}],
        "tags": [{"name": resource.collection, "description": resource.help} for resource in (*RESOURCES, *PARTS)],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}},
            "schemas": dict(_schemas()),
            "responses": {str(status): _error(status, text) for status, text in _ERRORS.items()},
        },
        "x-extensions": [extension.alias for extension in EXTENSIONS],
    }


def _schemas() -> Iterable[tuple[str, Schema]]:
    for resource in (*RESOURCES, *PARTS):
        yield resource.name, _shown(resource)
        yield f"{resource.name}-create", _sent(resource, May.CREATE)
        if resource.names(May.UPDATE):
            yield f"{resource.name}-update", _sent(resource, May.UPDATE)
    yield (
        "error",
        _object(
            {
                "NeutronError": _object(
                    {"type": {"type": "string"}, "message": {"type": "string"}, "detail": {"type": "string"}}
                )
            }
        ),
    )


def _shown(resource: Resource) -> Schema:
    """What an answer shows; everything is there for whoever may see it."""
    properties: dict[str, object] = {}
    for attribute in resource.attributes:
        if attribute.seen_by:
            properties[attribute.name] = _property(attribute) | ({"readOnly": True} if not _is_sent(attribute) else {})
    return {"type": "object", "description": resource.help, "properties": properties}


def _sent(resource: Resource, may: May) -> Schema:
    """What a POST or PUT takes."""
    attributes = [attribute for attribute in resource.attributes if may in attribute.may]
    schema: Schema = {
        "type": "object",
        "properties": {attribute.name: _property(attribute) for attribute in attributes},
        "additionalProperties": False,
    }
    for old, right in SYNONYMS.items():
        if any(attribute.name == right for attribute in attributes):
            schema["properties"][old] = {"$ref": f"#/components/schemas/{resource.name}/properties/{right}"}  # type: ignore[index]
    required = [attribute.name for attribute in attributes if attribute.default is Default.REQUIRED]
    if required and may is May.CREATE:
        schema["required"] = required
    return schema


def _is_sent(attribute: Attribute) -> bool:
    return May.CREATE in attribute.may or May.UPDATE in attribute.may


def _property(attribute: Attribute) -> Schema:
    schema: Schema = {**attribute.type.schema(), "description": _described(attribute)}
    if _is_sent(attribute) and not isinstance(attribute.default, Default):
        schema["default"] = attribute.default
    return schema


def _described(attribute: Attribute) -> str:
    text = attribute.help
    if attribute.set_by is not EVERYONE and _is_sent(attribute):
        text += f" Set by: {', '.join(sorted(attribute.set_by))}."
    if attribute.change_by is not None:
        text += f" Changed by: {', '.join(sorted(attribute.change_by))}."
    if attribute.seen_by is not EVERYONE and attribute.seen_by:
        text += f" Seen by: {', '.join(sorted(attribute.seen_by))}."
    if attribute.alias != "core":
        text += f" Extension: {attribute.alias}."
    return text


def _operation(route: Route) -> Schema:
    operation: Schema = {
        "summary": route.help,
        "operationId": _operation_id(route),
        "parameters": [*_path_parameters(route.path), *_query_parameters(route)],
        "responses": {
            **_success(route),
            **{str(status): {"$ref": f"#/components/responses/{status}"} for status in _ERRORS},
        },
    }
    if route.public:
        operation["security"] = []
    if route.resource is not None:
        operation["tags"] = [route.resource.collection.removeprefix("alias_")]
    body = _body(route)
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


def _operation_id(route: Route) -> str:
    """`get_v2_0_ports_id`: unique, and stable as long as the path is."""
    return re.sub(r"[^a-z0-9]+", "_", f"{route.method} {route.path}".lower()).strip("_")


def _path_parameters(path: str) -> list[Schema]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", path)
    ]


def _query_parameters(route: Route) -> list[Schema]:
    if route.action is not None and route.method == "GET":
        return [_query(field.name, field.type.schema(), field.help) for field in route.action.takes.fields]
    if route.method in _WRITES and route.takes is None:
        return [_query("wait", {"const": "applied"}, "Answer when all hosts concerned have confirmed.")]
    if route.resource is None:
        return []
    fields = _query("fields", {"type": "array", "items": {"type": "string"}}, "Show only these attributes.")
    if not route.path.endswith(route.resource.path):
        return [fields] if route.path.endswith("{id}") else []
    sort_keys = list(route.resource.names(May.SORT))
    return [
        *(
            _query(attribute.name, {"type": "array", "items": _term(attribute.type)}, attribute.help)
            for attribute in route.resource.attributes
            if May.FILTER in attribute.may
        ),
        fields,
        _query("sort_key", {"type": "array", "items": {"enum": sort_keys}}, "Sort by these, in this order."),
        _query("sort_dir", {"type": "array", "items": {"enum": ["asc", "desc"]}}, "One for each sort_key."),
        _query("limit", {"type": "integer", "minimum": 0}, "At most so many; 0: all."),
        _query("marker", {"type": "string"}, "Begin after the object with this id."),
        _query("page_reverse", {"type": "boolean"}, "The page before the marker."),
    ]


def _term(kind: Type) -> Schema:
    """What a filter takes. Text that is no such value finds nothing, except for booleans and integers."""
    while isinstance(kind, OrNull | ListOf):
        kind = kind.item if isinstance(kind, ListOf) else kind.type
    schema = kind.schema()
    return {"type": schema["type"]} if schema.get("type") in {"boolean", "integer"} else {"type": "string"}


def _query(name: str, schema: Schema, text: str) -> Schema:
    return {"name": name, "in": "query", "schema": schema, "description": text}


def _body(route: Route) -> Schema | None:
    resource = route.resource
    if route.takes is not None:
        return _object({"packet": route.takes.schema()})
    if resource is None or route.method not in {"POST", "PUT"} or route.path.endswith("{tag}"):
        return None
    if route.action is not None:
        taken = route.action.takes.schema()
        return taken if route.action.bare else _object({route.action.name: taken})
    if route.path.endswith("/tags"):
        return _object({"tags": resource.by_name["tags"].type.schema()})
    if route.method == "PUT":
        return _object({resource.key: _ref(f"{resource.name}-update")})
    one = _ref(f"{resource.name}-create")
    return {
        "oneOf": [
            _object({resource.key: one}),
            _object({resource.collection: {"type": "array", "items": one, "minItems": 1}}),
        ]
    }


def _success(route: Route) -> Schema:
    resource = route.resource
    if route.method == "DELETE" or route.path.endswith("{tag}"):
        status = "201" if route.method == "PUT" else "204"
        return {status: {"description": "Done."}}
    body: Schema = {"type": "object"}
    if resource is not None and route.path.endswith("/tags"):
        body = _object({"tags": resource.by_name["tags"].type.schema()})
    elif resource is not None and not (route.action and route.method == "GET"):
        one = _ref(resource.name)
        body = _object({resource.key: one})
        if route.path.endswith(resource.path):
            several = _object({resource.collection: {"type": "array", "items": one}})
            body = several if route.method == "GET" else {"oneOf": [body, several]}
    makes = route.method == "POST" and route.takes is None and not route.path.endswith("/tags")
    status = "201" if makes else "200"
    return {status: {"description": "Done.", "content": {"application/json": {"schema": body}}}}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "properties": dict(properties), "required": list(properties)}


def _error(status: int, text: str) -> Schema:
    schema: Schema = {"type": "object"} if status == 401 else _ref("error")
    return {"description": text, "content": {"application/json": {"schema": schema}}}
