# SPDX-License-Identifier: Apache-2.0
"""Address groups: named sets of prefixes that rules of security groups refer to.

The addresses are given at the creation, and then by requests that add or remove some: two that do so at once do not
undo each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from netaddr import IPNetwork
from sqlalchemy import Row, delete, select, update

from sdnctl.errors import ConflictError, InvalidError, NotFoundError
from sdnctl.store import tables
from sdnctl.store.bodies import list_of, listed, new_id, owner, refuse_unknown
from sdnctl.store.objects import ADDRESS_GROUP
from sdnctl.store.ranges import parse_network
from sdnctl.store.write import Write

MOST: Final = 1000
"""Prefixes in a group. Each costs a flow on every host where a rule refers to the group."""

_PLAIN: Final = frozenset({"name", "description"})
_CHANGED: Final = frozenset({*_PLAIN, "add_addresses", "remove_addresses"})
_CREATED: Final = frozenset({*_PLAIN, "project_id", "addresses"})
_group = tables.address_groups.c


def create(write: Write, bodies: Sequence[Mapping[str, object]]) -> list[str]:
    """Insert the groups; their ids."""
    write.require_writer()
    ids = []
    for body, key in zip(bodies, write.keys(ADDRESS_GROUP, len(bodies)), strict=True):
        refuse_unknown(body, _CREATED)
        addresses = _prefixes(body, "addresses")
        group_id = new_id(write)
        write.created(ADDRESS_GROUP, group_id)
        row = write.new(str(body.get("name", "")), str(body.get("description", ""))) | {
            "id": group_id,
            "key": key,
            "project_id": owner(write, body),
            "addresses": _column(addresses),
        }
        del row["tags"]
        write.insert(tables.address_groups, [row])
        ids.append(group_id)
    return ids


def change(write: Write, group_id: str, changes: Mapping[str, object], if_match: int | None) -> None:
    row = claim(write, group_id, if_match)
    refuse_unknown(changes, _CHANGED)
    values = {name: value for name, value in changes.items() if name in _PLAIN}
    present = {IPNetwork(prefix) for prefix in row.addresses}
    added, removed = _prefixes(changes, "add_addresses"), _prefixes(changes, "remove_addresses")
    if again := present.intersection(added):
        raise InvalidError(
            f"addresses: {listed(list(map(str, again)))} stand in address group {group_id} already; leave them out.",
            kind="AddressesAlreadyExist",
        )
    if missing := set(removed).difference(present):
        raise NotFoundError(
            f"addresses: {listed(list(map(str, missing)))} do not stand in address group {group_id}; leave them out.",
            kind="AddressesNotFound",
        )
    if added or removed:
        values["addresses"] = _column([*present.difference(removed), *added])
    if values:
        write.connection.execute(update(tables.address_groups).where(_group.id == group_id).values(values))


def remove(write: Write, group_id: str, if_match: int | None) -> None:
    claim(write, group_id, if_match)
    rule = tables.security_group_rules.c
    query = select(rule.id).where(rule.remote_address_group_id == group_id).limit(6)
    if rules := list(write.connection.execute(query).scalars()):
        raise ConflictError(
            f"Address group {group_id} is in use on one or more security group rules: {listed(rules)}. "
            "Delete them first.",
            kind="AddressGroupInUse",
        )
    write.connection.execute(delete(tables.address_groups).where(_group.id == group_id))


def claim(write: Write, group_id: str, if_match: int | None) -> Row[Any]:
    """The group's row, locked, which the caller may change."""
    return write.claim_own(ADDRESS_GROUP, write.lock(tables.address_groups, group_id), group_id, if_match)


def _prefixes(body: Mapping[str, object], name: str) -> list[IPNetwork]:
    """The prefixes without host bits; each stands there once."""
    prefixes = [
        parse_network(text, f"{name.removeprefix('add_').removeprefix('remove_')}[{at}]").cidr
        for at, text in enumerate(list_of(body, name))
    ]
    for at, prefix in enumerate(prefixes):
        if prefix in prefixes[:at]:
            raise InvalidError(f"addresses[{at}]: {prefix} stands there twice; name it once.")
    return prefixes


def _column(prefixes: Sequence[IPNetwork]) -> list[str]:
    if len(prefixes) > MOST:
        raise InvalidError(f"addresses: {len(prefixes)} are too many; a group has at most {MOST}. Use larger prefixes.")
    return [str(prefix) for prefix in sorted(prefixes)]
