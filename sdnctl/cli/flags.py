# SPDX-License-Identifier: Apache-2.0
"""From a resource's table to the flags of its commands, and from what was given back to a body or a query.

An attribute becomes a flag by rule: `provider:network_type` is `--provider-network-type`; one that refers to an object
(`network_id`) is `--network` and takes a name or an id; a boolean is `--shared` and `--no-shared`; a list is its
singular, to be repeated (`--fixed-ip subnet=lan,ip-address=10.0.0.5`), and `--no-fixed-ip` for none at all; what may be
null has a `--no-...` too. `SPELLED` and `ALSO` hold the few that people know by another name.

Values are checked by the table's own types before anything is sent.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sdnctl.api.attributes import Boolean, Field, ListOf, MapOf, OrNull, Record, Type, nearest
from sdnctl.api.resources import ADMIN, BY_NAME, EVERYONE, Attribute, Default, May, Resource
from sdnctl.cli.parser import Group
from sdnctl.errors import InvalidError

Resolve = Callable[[Resource, str], str]
"""From the name or id of an object to its id."""

SPELLED: Final = {
    "addresses": "address",
    "allowed_address_pairs": "allowed-address",
    "extra_dhcp_opts": "extra-dhcp-option",
}
"""Flags that are no plain singular."""

ALSO: Final = {
    "admin_state_up": "admin-state",
    "enable_dhcp": "dhcp",
    "gateway_ip": "gateway",
    "port_security_enabled": "port-security",
    "binding:host_id": "host",
    "tags": "tags",
    "not-tags": "not-tags",
    "port_ids": "port",
}
"""Shorter names of flags, beside the regular ones."""

SEVERAL: Final = frozenset({"bridge_mappings", "controllers"})
"""Lists that may be given as several words after one flag; a colon in each tells them from a host's name."""

REFERENCES: Final = {
    "network_id": "network",
    "subnet_id": "subnet",
    "port_id": "port",
    "port_ids": "port",
    "service_ports": "port",
    "project_id": "project",
    "security_group_id": "security_group",
    "security_groups": "security_group",
    "remote_group_id": "security_group",
    "remote_address_group_id": "address_group",
    "qos_policy_id": "qos_policy",
}
"""Attributes and keys that hold the id of an object of this resource, or several."""


@dataclass(frozen=True, slots=True)
class Flag:
    """How one attribute is given on the command line."""

    attribute: Attribute
    names: tuple[str, ...]
    """Without the dashes; the first is shown in messages."""

    @property
    def dest(self) -> str:
        return "set:" + self.attribute.name

    @property
    def type(self) -> Type:
        return _inner(self.attribute.type)

    @property
    def can_be_none(self) -> bool:
        return (
            isinstance(self.attribute.type, OrNull | ListOf | MapOf) and self.attribute.default is not Default.REQUIRED
        )


def _inner(type_: Type) -> Type:
    return type_.type if isinstance(type_, OrNull) else type_


def flag_of(attribute: Attribute) -> Flag:
    name = attribute.name
    spelled = SPELLED.get(name)
    if spelled is None:
        spelled = name.replace(":", "-").replace("_", "-")
        if isinstance(_inner(attribute.type), ListOf | MapOf):
            spelled = spelled.removesuffix("s")
    names = [spelled]
    if name in REFERENCES and name.endswith("_id"):
        names.insert(0, spelled.removesuffix("-id"))
    if name in ALSO:
        names.append(ALSO[name])
    return Flag(attribute, tuple(names))


def flags_for(resource: Resource, may: May) -> list[Flag]:
    """The flags for what a request may do with attributes: CREATE, UPDATE or FILTER."""
    return [flag_of(attribute) for attribute in resource.attributes if may in attribute.may]


# ----------------------------------------------------------------------------------------------- into the parser


def add_values(
    parser: Group,
    flags: Sequence[Flag],
    *,
    required: frozenset[str] = frozenset(),
    hidden: frozenset[str] = frozenset(),
) -> None:
    """Flags that give values to attributes; those of `hidden` ones are not listed."""
    for flag in flags:
        help_text = argparse.SUPPRESS if flag.attribute.name in hidden else _help(flag)
        if isinstance(flag.type, Boolean):
            _add_boolean(parser, flag, help_text)
            continue
        is_many = isinstance(flag.type, ListOf | MapOf)
        parser.add_argument(
            *(f"--{name}" for name in flag.names),
            dest=flag.dest,
            action="append" if is_many else "store",
            default=argparse.SUPPRESS,
            metavar=metavar(flag.type, flag.attribute.name),
            required=flag.attribute.name in required,
            help=help_text,
        )
        if flag.can_be_none:
            parser.add_argument(
                *(f"--no-{name}" for name in flag.names),
                dest=flag.dest,
                action="store_const",
                const=[] if is_many else None,
                default=argparse.SUPPRESS,
                help="none at all",
            )


def add_filters(parser: Group, flags: Sequence[Flag]) -> None:
    """Flags that a list is filtered by; one given several times asks for any of the values."""
    for flag in flags:
        if isinstance(flag.type, Boolean):
            _add_boolean(parser, flag, flag.attribute.help)
            continue
        parser.add_argument(
            *(f"--{name}" for name in flag.names),
            dest=flag.dest,
            action="append",
            default=argparse.SUPPRESS,
            metavar=metavar(flag.type, flag.attribute.name),
            # What an object has by default is no news to who looks for objects.
            help=_percent(re.sub(r"; default:.*", ".", flag.attribute.help)),
        )


def _add_boolean(parser: Group, flag: Flag, help_text: str) -> None:
    parser.add_argument(
        *(f"--{name}" for name in flag.names),
        dest=flag.dest,
        action=argparse.BooleanOptionalAction,
        default=argparse.SUPPRESS,
        help=_percent(help_text),
    )


def _help(flag: Flag) -> str:
    text = flag.attribute.help
    default = flag.attribute.default
    if not isinstance(default, Default) and default not in ("", None, [], {}):
        shown = ",".join(default) if isinstance(default, list) else json.dumps(default).strip('"')
        text = f"{text.rstrip('.')} (default: {shown})"
    if flag.attribute.set_by is not EVERYONE:
        text += " [admin]" if flag.attribute.set_by >= ADMIN else f" [{', '.join(sorted(flag.attribute.set_by))}]"
    if isinstance(flag.type, ListOf | MapOf):
        text += " Repeat it for more."
    return _percent(text)


def _percent(text: str) -> str:
    return text.replace("%", "%%")


def metavar(type_: Type, name: str = "") -> str:
    if name in REFERENCES:
        return REFERENCES[name].replace("_", "-").upper()
    if isinstance(type_, ListOf):
        return metavar(type_.item, name)
    if isinstance(type_, Record):
        return ",".join(f"{_short(field.name)}={metavar(_inner(field.type), field.name)}" for field in type_.fields)
    return type_.metavar


# --------------------------------------------------------------------------------------------- out of the arguments


def values(given: argparse.Namespace, flags: Sequence[Flag], resolve: Resolve) -> dict[str, object]:
    """Attributes and their values, as they were given; InvalidError names the flag that is wrong."""
    body: dict[str, object] = {}
    for flag in flags:
        if hasattr(given, flag.dest):
            body[flag.attribute.name] = _value(flag, getattr(given, flag.dest), resolve)
    return body


def _value(flag: Flag, text: Any, resolve: Resolve) -> object:  # noqa: ANN401  (what argparse made of it)
    where = f"--{flag.names[0]}"
    if text is None or text == [] or isinstance(text, bool):
        return text
    if isinstance(flag.type, ListOf):
        return flag.attribute.type.parse(
            [read(flag.type.item, flag.attribute.name, item, where, resolve) for item in text], where
        )
    if isinstance(flag.type, MapOf):
        merged: dict[str, object] = {}
        for item in text:
            merged.update(flag.type.from_text(item, where))
        return merged
    return read(flag.type, flag.attribute.name, text, where, resolve)


def filters(given: argparse.Namespace, flags: Sequence[Flag], resolve: Resolve) -> list[tuple[str, str]]:
    """The query that the filters ask for."""
    query: list[tuple[str, str]] = []
    for flag in flags:
        found = getattr(given, flag.dest, None)
        if found is None:
            continue
        name = flag.attribute.name
        if isinstance(found, bool):
            query.append((name, str(found).lower()))
            continue
        item = flag.type.item if isinstance(flag.type, ListOf) else flag.type
        for text in found:
            if isinstance(item, Record):
                query += [
                    (name, f"{field.name}={_referred(field.name, value, resolve)}")
                    for field, value in record_fields(item, text, f"--{flag.names[0]}")
                ]
            else:
                query.append((name, _referred(name, text, resolve)))
    return query


def _referred(name: str, text: str, resolve: Resolve) -> str:
    return resolve(BY_NAME[REFERENCES[name]], text) if name in REFERENCES else text


def read(type_: Type, name: str, text: str, where: str, resolve: Resolve) -> object:
    """One value of one attribute or of one key of a record."""
    if name in REFERENCES:
        return resolve(BY_NAME[REFERENCES[name]], text)
    if not isinstance(type_, Record):
        return type_.from_text(text, where)
    record: dict[str, object] = {}
    for field, value in record_fields(type_, text, where):
        record[field.name] = read(_inner(field.type), field.name, value, f"{where} {_short(field.name)}", resolve)
    for field in type_.fields:
        if field.required and isinstance(field.type, OrNull):
            record.setdefault(field.name, None)
    return type_.parse(record, where)


def record_fields(record: Record, text: str, where: str) -> Iterator[tuple[Field, str]]:
    """(field, its text) of `key=value,key=value`. A value may hold commas, as long as no `key=` follows one."""
    by_key = {key: field for field in record.fields for key in _keys(field.name)}
    keys = "|".join(re.escape(key) for key in by_key)
    seen = set()
    for word in re.split(f",(?=(?:{keys})=)", text):
        key, equals, value = word.partition("=")
        if not equals or key not in by_key:
            unknown = f"{word!r} has no key" if not equals else f"{key!r} is no key of it{nearest(key, by_key)}"
            raise InvalidError(f"Invalid input for {where}: {unknown}; write {metavar(record)}.")
        field = by_key[key]
        if field.name in seen:
            raise InvalidError(f"Invalid input for {where}: {_short(field.name)} stands there twice.")
        seen.add(field.name)
        yield field, value


def _keys(name: str) -> Iterator[str]:
    yield _short(name)
    yield name
    yield name.replace("_", "-")


def _short(name: str) -> str:
    """`subnet_id` is `subnet`, `opt_value` is `value`, `ip_address` is `ip-address`."""
    return REFERENCES.get(name, name).removeprefix("opt_").replace("_", "-")
