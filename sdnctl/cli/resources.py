# SPDX-License-Identifier: Apache-2.0
"""`sdnctl network|subnet|port|security-group|host|... VERB`: one set of verbs for every resource of the API's tables.

A further resource needs nothing here but, if people should see something better than its first attributes, a row in
`COLUMNS`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Final

from sdnctl.api.attributes import Boolean, ListOf, nearest
from sdnctl.api.resources import BY_NAME, REQUIRED, SYNONYMS, Action, May, Resource, parts_of
from sdnctl.cli import check, flags
from sdnctl.cli.client import CommandError, Object, UsageError
from sdnctl.cli.parser import Parser
from sdnctl.cli.session import Session, add_connection, add_output, say

VERBS: Final = ("create", "list", "show", "set", "delete")

CALLED: Final = {
    ("host", "create"): "add",
    ("host", "delete"): "remove",
    ("token", "delete"): "revoke",
}
"""Verbs that have another name for a resource; the plain name works too."""

COLUMNS: Final = {
    "network": (
        "id",
        "name",
        "provider:network_type",
        "provider:physical_network",
        "provider:segmentation_id",
        "mtu",
        "shared",
        "subnets",
    ),
    "subnet": ("id", "name", "network_id", "cidr", "gateway_ip", "enable_dhcp"),
    "port": ("id", "name", "mac_address", "fixed_ips", "status", "bound_host", "device_owner"),
    "host": ("name", "state", "ports", "flows", "ovsdb", "tunnel_ip", "bridge_mappings", "error", "problems"),
    "project": ("id", "name", "description"),
    "token": ("id", "name", "project_id", "roles", "expires_at"),
    "security_group": ("id", "name", "project_id", "stateful", "description"),
    "security_group_rule": (
        "id",
        "security_group_id",
        "direction",
        "ethertype",
        "protocol",
        "port_range_min",
        "port_range_max",
        "remote_ip_prefix",
        "remote_group_id",
        "remote_address_group_id",
    ),
    "address_group": ("id", "name", "addresses"),
    "ip_group": ("id", "name", "network_id", "ip_address", "port_ids", "active", "vrrp", "holder"),
    "qos_policy": ("id", "name", "project_id", "shared", "is_default", "rules"),
    "security_event": ("first_seen", "last_seen", "active", "port_id", "reason", "packets", "text"),
}
"""What people see of a list; a column that no object has is left out."""

Run = Callable[[Session], int]


def configure(parser: argparse.ArgumentParser, resource: Resource, chosen: str | None) -> None:
    """The verbs of a resource; only the chosen one gets its flags, because making hundreds takes time."""
    verbs = parser.add_subparsers(metavar="VERB", required=True, title="verbs", parser_class=Parser)
    for verb, (add, run, help_text) in _VERBS.items():
        name = CALLED.get((resource.name, verb), verb)
        if verb == "set" and not resource.names(May.UPDATE):
            continue
        if verb in {"create", "delete"} and resource.read_only:
            continue
        sub = verbs.add_parser(
            name,
            aliases=[verb] if name != verb else [],
            help=help_text.format(f"{resource.title}s", resource.one),
            description=help_text.format(f"{resource.title}s", resource.one),
        )
        if chosen in {name, verb}:
            add_connection(sub)
            add(sub, resource)
            sub.several = {
                f"--{name}"
                for attribute in resource.attributes
                if attribute.name in flags.SEVERAL
                for name in flags.flag_of(attribute).names
            }
            sub.set_defaults(run=run, resource=resource)
    if resource.name == "host":
        sub = verbs.add_parser("check", help=check.HELP, description=check.HELP)
        if chosen == "check":
            check.configure(sub)
    for action in resource.actions:
        if (resource.name, action.name) in LOOKS:
            name = action.name
            sub = verbs.add_parser(name, help=action.help, description=action.help)
            if chosen == name:
                add_connection(sub)
                sub.add_argument("reference", metavar=resource.title.upper(), help=_its(resource))
                add_output(sub)
                sub.set_defaults(run=LOOKS[resource.name, action.name], resource=resource, action=action)
        elif action.method == "PUT":
            name = action.name.replace("_", "-")
            sub = verbs.add_parser(name, help=action.help, description=action.help)
            if chosen == name:
                _add_action(sub, resource, action)
    for part in parts_of(resource):
        for verb, (add, run, help_text) in _PART_VERBS.items():
            name = f"{verb}-{part.title}"
            text = help_text.format(part.one, resource.one)
            sub = verbs.add_parser(name, help=text, description=text)
            if chosen == name:
                add_connection(sub)
                sub.add_argument("reference", metavar=resource.title.upper(), help=_its(resource))
                add(sub, part)
                _add_wait(sub)
                sub.set_defaults(run=run, resource=resource, part=part)


# ------------------------------------------------------------------------------------------------------------- create


def _add_create(parser: argparse.ArgumentParser, resource: Resource) -> None:
    if (name := resource.by_name.get("name")) is not None:
        parser.add_argument("new_name", metavar="NAME", nargs=None if name.default is REQUIRED else "?", help=name.help)
    else:
        parser.set_defaults(new_name=None)
    given = flags.flags_for(resource, May.CREATE)
    required = frozenset(
        flag.attribute.name
        for flag in given
        if flag.attribute.default is REQUIRED and flag.attribute.name not in {"name", *_DERIVED}
    )
    # The name has a place of its own; the flag is for those who write all attributes the same way.
    flags.add_values(parser.add_argument_group("attributes"), given, required=required, hidden=frozenset({"name"}))
    _add_wait(parser)
    add_output(parser)


def _create(session: Session) -> int:
    arguments, resource = session.arguments, session.arguments.resource
    chosen = session.columns(_known(resource))
    body = flags.values(arguments, flags.flags_for(resource, May.CREATE), session.resolve)
    if arguments.new_name is not None and body.setdefault("name", arguments.new_name) != arguments.new_name:
        raise UsageError(f"two names are given: {arguments.new_name!r} and {body['name']!r}")
    for name, derive in _DERIVED.items():
        if name in resource.by_name and name not in body and (value := derive(body)) is not None:
            body[name] = value
    answer = session.client.request("POST", f"/v2.0/{resource.path}", _waiting(session), body={resource.key: body})
    session.print_one(_object(answer.body, resource), chosen)
    return _pending(answer.pending)


_DERIVED: Final[dict[str, Callable[[Object], object]]] = {
    "ip_version": lambda body: None if "cidr" not in body else 6 if ":" in str(body["cidr"]) else 4,
    "ethertype": lambda body: "IPv6" if ":" in str(body.get("remote_ip_prefix")) else None,
}
"""Attributes that follow from others."""


# ----------------------------------------------------------------------------------------------------- list and show


def _add_list(parser: argparse.ArgumentParser, resource: Resource) -> None:
    flags.add_filters(parser.add_argument_group("only those with"), flags.flags_for(resource, May.FILTER))
    parser.add_argument(
        "--sort",
        action="append",
        default=[],
        metavar="COLUMN[:desc]",
        help="order, by name unless told; repeat it for equal ones",
    )
    parser.add_argument("--limit", type=_count, metavar="NUMBER", help="at most so many")
    add_output(parser)


def _list(session: Session) -> int:
    arguments, resource = session.arguments, session.arguments.resource
    chosen = session.columns(_known(resource))
    query = flags.filters(arguments, flags.flags_for(resource, May.FILTER), session.resolve)
    sortable = resource.names(May.SORT)
    for text in arguments.sort or [name for name in ("name",) if name in sortable]:
        column, colon, direction = text.rpartition(":")
        if not colon or direction not in {"asc", "desc"}:
            column, direction = text, "asc"
        if column not in sortable:
            raise UsageError(f"cannot sort by {column!r}{nearest(column, sortable)}; there are {', '.join(sortable)}")
        query += [("sort_key", column), ("sort_dir", direction)]
    columns = chosen or (COLUMNS.get(resource.name, resource.names(May.FILTER)) if session.form != "json" else ())
    if session.form not in {"json", "yaml"} or chosen:
        query += [("fields", column) for column in dict.fromkeys(["id", *columns])]
    items = list(session.client.list(resource, query, arguments.limit))
    session.print_many(items, columns, chosen, f"{resource.title}s")
    return 0


def _add_show(parser: argparse.ArgumentParser, resource: Resource) -> None:
    parser.add_argument("reference", metavar=resource.title.upper(), help=_its(resource))
    add_output(parser)


def _show(session: Session) -> int:
    resource = session.arguments.resource
    chosen = session.columns(_known(resource))
    session.print_one(session.client.show(resource, session.arguments.reference), chosen)
    return 0


def _known(resource: Resource) -> list[str]:
    """Names of what answers show of it."""
    return [
        *(attribute.name for attribute in resource.attributes if attribute.seen_by),
        *(old for old, right in SYNONYMS.items() if right in resource.by_name),
    ]


# ------------------------------------------------------------------------------------------------------ set and delete


def _add_set(parser: argparse.ArgumentParser, resource: Resource) -> None:
    parser.add_argument("reference", metavar=resource.title.upper(), help=_its(resource))
    flags.add_values(parser.add_argument_group("attributes"), flags.flags_for(resource, May.UPDATE))
    if resource.tagged:
        tags = parser.add_argument_group("tags")
        tags.add_argument("--tag", action="append", default=[], metavar="TAG", help="add a tag; repeat it for more")
        tags.add_argument(
            "--remove-tag", action="append", default=[], metavar="TAG", help="remove a tag; repeat it for more"
        )
    parser.add_argument(
        "--if-revision", type=_count, metavar="NUMBER", help="only if its revision_number is still this one"
    )
    _add_wait(parser)
    add_output(parser)


def _set(session: Session) -> int:
    arguments, resource = session.arguments, session.arguments.resource
    chosen = session.columns(_known(resource))
    changes = flags.values(arguments, flags.flags_for(resource, May.UPDATE), session.resolve)
    add, remove = (getattr(arguments, name, []) for name in ("tag", "remove_tag"))
    if not changes and not add and not remove:
        raise UsageError("nothing to change is given; --help lists what can be")
    client = session.client
    object_id = client.id_of(resource, arguments.reference)
    headers = {} if arguments.if_revision is None else {"If-Match": f"revision_number={arguments.if_revision}"}
    path, waiting, pending = client.path(resource, object_id), _waiting(session), ""
    if changes:
        pending = client.request("PUT", path, waiting, {resource.key: changes}, headers).pending
        headers = {}
    if add:
        client.request("POST", f"{path}/tags", body={"tags": add}, headers=headers)
        headers = {}
    for tag in remove:
        client.request("DELETE", client.path(resource, object_id, "tags") + "/" + _quoted(tag), headers=headers)
        headers = {}
    session.print_one(client.show(resource, object_id), chosen)
    return _pending(pending)


def _quoted(tag: str) -> str:
    from urllib.parse import quote  # noqa: PLC0415

    return quote(tag, safe="")


def _add_delete(parser: argparse.ArgumentParser, resource: Resource) -> None:
    parser.add_argument("references", metavar=resource.title.upper(), nargs="+", help=_its(resource, several=True))
    _add_wait(parser)


def _delete(session: Session) -> int:
    """Delete each; one that cannot be does not keep the others."""
    resource, client = session.arguments.resource, session.client
    status = 0
    for reference in session.arguments.references:
        try:
            path = client.path(resource, client.id_of(resource, reference))
            status = max(status, _pending(client.request("DELETE", path, _waiting(session)).pending))
        except CommandError as error:
            if error.status != 1:
                raise
            say(f"{reference}: {error}" if len(session.arguments.references) > 1 else str(error))
            status = 1
    return status


# ------------------------------------------------------------------------------------------------------------ actions


def _add_action(parser: argparse.ArgumentParser, resource: Resource, action: Action) -> None:
    add_connection(parser)
    parser.add_argument("reference", metavar=resource.title.upper(), help=_its(resource))
    for field in action.takes.fields:
        name = "--" + field.name.replace("_", "-")
        if isinstance(field.type, Boolean):
            parser.add_argument(name, dest=field.name, action=argparse.BooleanOptionalAction, help=field.help)
            continue
        if isinstance(field.type, ListOf):
            parser.add_argument(
                f"--{flags.SPELLED.get(field.name, field.name)}",
                dest=field.name,
                action="append",
                metavar=field.type.metavar,
                required=field.required,
                help=f"{field.help} Repeat it for more.",
            )
            continue
        default = "" if field.default is None else f" (default: {field.default})"
        parser.add_argument(
            name, dest=field.name, metavar=field.type.metavar, required=field.required, help=field.help + default
        )
    _add_wait(parser)
    add_output(parser)
    parser.set_defaults(run=_act, resource=resource, action=action)


def _act(session: Session) -> int:
    arguments, client = session.arguments, session.client
    resource, action = arguments.resource, arguments.action
    chosen = session.columns(_known(resource))
    given = {field: getattr(arguments, field.name) for field in action.takes.fields}
    takes = action.takes.parse(
        {
            field.name: field.type.from_text(text, f"--{field.name}") if isinstance(text, str) else text
            for field, text in given.items()
            if text is not None
        },
        action.name,
    )
    path = client.path(resource, client.id_of(resource, arguments.reference), action.name)
    answer = client.request("PUT", path, _waiting(session), action.body(takes))
    session.print_one(_object(answer.body, resource), chosen)
    return _pending(answer.pending)


# -------------------------------------------------------------------------------------------------------------- parts


def _add_part_values(parser: argparse.ArgumentParser, part: Resource) -> None:
    given = flags.flags_for(part, May.CREATE)
    required = frozenset(flag.attribute.name for flag in given if flag.attribute.default is REQUIRED)
    flags.add_values(parser.add_argument_group("attributes"), given, required=required)
    add_output(parser)


def _add_part(session: Session) -> int:
    part = session.arguments.part
    chosen = session.columns(_known(part))
    body = flags.values(session.arguments, flags.flags_for(part, May.CREATE), session.resolve)
    answer = session.client.request("POST", _parts(session), _waiting(session), body={part.key: body})
    session.print_one(_object(answer.body, part), chosen)
    return _pending(answer.pending)


def _add_part_changes(parser: argparse.ArgumentParser, part: Resource) -> None:
    parser.add_argument("part_id", metavar=part.title.upper(), help="its id")
    flags.add_values(parser.add_argument_group("attributes"), flags.flags_for(part, May.UPDATE))
    add_output(parser)


def _set_part(session: Session) -> int:
    part = session.arguments.part
    chosen = session.columns(_known(part))
    changes = flags.values(session.arguments, flags.flags_for(part, May.UPDATE), session.resolve)
    if not changes:
        raise UsageError("nothing to change is given; --help lists what can be")
    path = f"{_parts(session)}/{_quoted(session.arguments.part_id)}"
    answer = session.client.request("PUT", path, _waiting(session), {part.key: changes})
    session.print_one(_object(answer.body, part), chosen)
    return _pending(answer.pending)


def _add_part_id(parser: argparse.ArgumentParser, part: Resource) -> None:
    parser.add_argument("part_id", metavar=part.title.upper(), help="its id")


def _remove_part(session: Session) -> int:
    path = f"{_parts(session)}/{_quoted(session.arguments.part_id)}"
    return _pending(session.client.request("DELETE", path, _waiting(session)).pending)


def _parts(session: Session) -> str:
    """The path of an object's parts."""
    arguments, client = session.arguments, session.client
    parent_id = client.id_of(arguments.resource, arguments.reference)
    return client.path(arguments.resource, parent_id, arguments.part.collection)


# -------------------------------------------------------------------------------------------------------------- looks


def _statistics(session: Session) -> int:
    """What passed a port, and a line for each reason for which something was dropped, and for each limit."""
    arguments, client = session.arguments, session.client
    resource = arguments.resource
    path = client.path(resource, client.id_of(resource, arguments.reference), arguments.action.name)
    found = client.get(path).get("statistics")
    if not isinstance(found, dict):
        raise CommandError("the answer holds no statistics; is this the API of sdnctl?")
    chosen = session.columns([*found])
    if session.form == "table" and not chosen:
        drops, limit_drops = found.pop("drops", []), found.pop("limit_drops", [])
        session.print_one(found, ())
        session.print_many(drops, ("direction", "reason", "packets", "text"), (), "drops")
        session.print_many(limit_drops, ("direction", "limit", "packets", "bytes", "text"), (), "drops by limits")
    else:
        session.print_one(found, chosen)
    return 0


LOOKS: Final[dict[tuple[str, str], Run]] = {("port", "statistics"): _statistics}
"""What is only looked at, and is no object."""


# ------------------------------------------------------------------------------------------------------ what they share


def _its(resource: Resource, *, several: bool = False) -> str:
    """What an object is referred to by."""
    if "name" not in resource.by_name:
        return "ids" if several else "its id"
    return "names or ids" if several else "its name or id"


def _add_wait(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--wait", action="store_true", help="return when the switches of all hosts concerned have confirmed it"
    )


def _waiting(session: Session) -> Sequence[tuple[str, str]]:
    return [("wait", "applied")] if session.arguments.wait else []


def _pending(hosts: str) -> int:
    if not hosts:
        return 0
    say(f"done, but not yet confirmed by {hosts}; `sdnctl host list` tells their state")
    return 1


def _object(body: Object, resource: Resource) -> Object:
    found = body.get(resource.key)
    if not isinstance(found, dict):
        raise CommandError(f"the answer holds no {resource.key}; is this the API of sdnctl?")
    return found


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 0 or more")
    return int(text)


_VERBS: Final[dict[str, tuple[Callable[[argparse.ArgumentParser, Resource], None], Run, str]]] = {
    "create": (_add_create, _create, "Make {1}."),
    "list": (_add_list, _list, "List {0}."),
    "show": (_add_show, _show, "Show {1}."),
    "set": (_add_set, _set, "Change {1}."),
    "delete": (_add_delete, _delete, "Delete {0}."),
}

_PART_VERBS: Final[dict[str, tuple[Callable[[argparse.ArgumentParser, Resource], None], Run, str]]] = {
    "add": (_add_part_values, _add_part, "Add {0} to {1}."),
    "set": (_add_part_changes, _set_part, "Change {0} of {1}."),
    "remove": (_add_part_id, _remove_part, "Remove {0} from {1}."),
}

RESOURCES: Final = BY_NAME
