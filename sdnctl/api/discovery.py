# SPDX-License-Identifier: Apache-2.0
"""Requests about the API itself: versions, resources, extensions; and explain, which is about no object of its own."""

from __future__ import annotations

from typing import Final

from netaddr import IPAddress

from sdnctl.api import extensions
from sdnctl.api.answers import Reply
from sdnctl.api.attributes import Address, Boolean, Choice, Field, Record, Text, Uuid
from sdnctl.api.call import Call
from sdnctl.api.errors import bad_request
from sdnctl.api.resources import ADMIN, RESOURCES, allowed
from sdnctl.errors import ForbiddenError, InvalidError, NotFoundError
from sdnctl.model.question import CONNECTIONS, Connection, PacketQuestion


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


PACKET: Final = Record(
    (
        Field("port", Uuid(), required=True, help="The port that sends it."),
        Field("to", Text(64), help="Port or IP address that it is for."),
        Field("fields", Text(1024), default="", help="As a match is written: tcp,tcp_dst=80."),
        Field("connection", Choice(CONNECTIONS), default="new", help="What connection trackers know of it."),
        Field("installed", Boolean(), default=False, help="By the flows that switches have, not should have."),
    )
)
"""The body of `POST /v2.0/explain`, below `packet`."""


def explain_packet(call: Call) -> Reply:
    """What becomes of a packet of a port. Anybody may ask about ports of his own, and hears of no other's."""
    body = call.body()
    if not isinstance(body, dict) or body.keys() != {"packet"}:
        raise bad_request("The body must be an object with one key, 'packet'.")
    said = PACKET.parse(body["packet"], "packet")
    port = call.repository.get(call.context, "port", str(said["port"]))
    if not call.context.is_admin and port["project_id"] != call.context.project_id:
        raise ForbiddenError(f"Port {port['id']} is another project's, which alone may ask that.")
    to_port, to_address = None, None
    target = str(said.get("to", ""))
    if target:
        try:
            to_address = IPAddress(Address().parse(target, "packet.to"))
        except InvalidError:
            to_port = _port(call, target)
    question = PacketQuestion(
        port_id=str(port["id"]),
        fields=str(said["fields"]),
        to_port=to_port,
        to_address=to_address,
        connection=Connection(str(said["connection"])),
        installed=bool(said["installed"]),
        project_id=None if call.context.is_admin else call.context.project_id,
    )
    return Reply(200, {"explanation": dict(call.fabric.explain_packet(question))})


def _port(call: Call, reference: str) -> str:
    try:
        port_id = Uuid().parse(reference, "packet.to")
    except InvalidError:
        raise InvalidError(
            f"Invalid input for packet.to: '{reference}' is neither an IP address nor the id of a port."
        ) from None
    return str(call.repository.get(call.context, "port", port_id)["id"])


def explain(call: Call) -> Reply:
    """Whose a flow is, by `?cookie=` or by `?flow=` with its text."""
    if not allowed(ADMIN, call.context.roles):
        raise ForbiddenError("explain is for the role admin only: it names every project's objects.")
    if len(call.parameters) != 1 or call.parameters[0][0] not in {"cookie", "flow"}:
        raise bad_request("Give one of ?cookie=0x... and ?flow=TEXT.")
    return Reply(200, {"explanation": dict(call.fabric.explain(call.parameters[0][1]))})
