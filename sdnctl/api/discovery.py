# SPDX-License-Identifier: Apache-2.0
"""Requests about the API itself: versions, resources, extensions; and explain, which is about no object of its own."""

from __future__ import annotations

from sdnctl.api import extensions
from sdnctl.api.answers import Reply
from sdnctl.api.call import Call
from sdnctl.api.errors import bad_request
from sdnctl.api.resources import ADMIN, RESOURCES, allowed
from sdnctl.errors import ForbiddenError, NotFoundError


def versions(call: Call) -> Reply:
    link = {"rel": "self", "href": f"{call.url}/v2.0/"}
    return Reply(200, {"versions": [{"id": "v2.0", "status": "CURRENT", "links": [link]}]})


def resources(call: Call) -> Reply:
    return Reply(
        200,
        {
            "resources": [
                {
                    "name": resource.key,
                    "collection": resource.collection,
                    "links": [{"rel": "self", "href": f"{call.url}/v2.0/{resource.path}"}],
                }
                for resource in RESOURCES
                if allowed(resource.used_by, call.context.roles)
            ]
        },
    )


def list_extensions(_call: Call) -> Reply:
    return Reply(200, {"extensions": [extension.shown() for extension in extensions.EXTENSIONS]})


def show_extension(call: Call) -> Reply:
    extension = extensions.BY_ALIAS.get(call.names["alias"])
    if extension is None:
        raise NotFoundError(f"Extension {call.names['alias']} could not be found.", kind="ExtensionNotFound")
    return Reply(200, {"extension": extension.shown()})


def explain(call: Call) -> Reply:
    """Whose a flow is, by `?cookie=` or by `?flow=` with its text."""
    if not allowed(ADMIN, call.context.roles):
        raise ForbiddenError("explain is for the role admin only: it names every project's objects.")
    if len(call.parameters) != 1 or call.parameters[0][0] not in {"cookie", "flow"}:
        raise bad_request("Give one of ?cookie=0x... and ?flow=TEXT.")
    return Reply(200, {"explanation": dict(call.fabric.explain(call.parameters[0][1]))})
