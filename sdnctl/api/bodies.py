# SPDX-License-Identifier: Apache-2.0
"""Bodies of requests: bytes -> JSON -> the values of one resource's table, checked.

Nothing here depends on what exists. Refusals name the attribute, the reason and the remedy.
"""

from __future__ import annotations

import copy
import itertools
import json
import math
import re
from typing import Final, NoReturn

from sdnctl import runtime
from sdnctl.api.attributes import nearest
from sdnctl.api.errors import bad_request
from sdnctl.api.resources import SYNONYMS, Attribute, Default, May, Resource, Roles, allowed
from sdnctl.errors import ForbiddenError, InvalidError
from sdnctl.model.request import Context, Object

DEEPEST: Final = 32
"""Levels of nesting in a body; what the tables allow ends far above."""


def decode(body: bytes) -> object:
    """The JSON value in `body`, without the parts of Python's JSON that JSON does not have."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise bad_request(f"The body is not UTF-8: byte {error.start} cannot be read.") from None
    if not text.strip():
        raise bad_request("The body is empty; send JSON.")
    try:
        return _decode_bulk(text) if len(text) > _LARGE else _decode(text)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise bad_request(f"The body is not JSON: {error}.") from None


def _decode(text: str) -> object:
    value = _DECODER.decode(text)
    _check_depth(value, DEEPEST)
    return value


def _decode_bulk(text: str) -> object:
    """The same for a body that is an object with one list in it, item by item, so that other tasks run in between."""
    start = _BULK_START.match(text)
    if start is None:
        return _decode(text)
    found: list[object] = []
    at = start.end()
    for _ in runtime.in_slices(itertools.count()):
        value, at = _DECODER.raw_decode(text, at)
        _check_depth(value, DEEPEST - 2)
        found.append(value)
        comma = _COMMA.match(text, at)
        if comma is None:
            break
        at = comma.end()
    if _BULK_END.fullmatch(text, at) is None:
        raise ValueError(f"expecting a comma, or the end of the list and of the body: char {at}")
    return {start[1]: found}


def items(resource: Resource, body: object) -> tuple[list[object], bool]:
    """The object or objects a POST or PUT carries, and whether it was a list of them."""
    if not isinstance(body, dict) or len(body) != 1:
        raise bad_request(f"The body must be an object with one key, '{resource.key}'.")
    if resource.key in body:
        return [body[resource.key]], False
    if resource.collection in body:
        several = body[resource.collection]
        if not isinstance(several, list) or not several:
            raise bad_request(f"'{resource.collection}' must be a list with at least one {resource.key} in it.")
        return several, True
    raise bad_request(f"The body has no key '{resource.key}', but {next(iter(body))!r}.")


def created(resource: Resource, item: object, context: Context) -> Object:
    """What a POST of `item` asks for: every attribute checked, defaults filled in."""
    sent = _sent(resource, item)
    values: Object = {}
    for name, value in sent.items():
        attribute = _known(resource, name)
        if May.CREATE not in attribute.may:
            raise bad_request(f"Attribute '{name}' not allowed in POST: {resource.name} sets it itself.")
        values[name] = attribute.type.parse(value, name)
        if values[name] != attribute.default:
            _check_role(resource, attribute, attribute.set_by, context)
    for attribute in resource.attributes:
        if attribute.name in values or May.CREATE not in attribute.may:
            continue
        match attribute.default:
            case Default.ABSENT:
                pass
            case Default.REQUIRED:
                raise bad_request(f"Failed to parse request. Required attribute '{attribute.name}' not specified.")
            case Default.CALLER:
                values[attribute.name] = context.project_id
            case default:
                values[attribute.name] = copy.copy(default)
    _check_owner(resource, values, context)
    return values


def changed(resource: Resource, item: object, context: Context) -> Object:
    """What a PUT of `item` changes."""
    changes: Object = {}
    for name, value in _sent(resource, item).items():
        attribute = _known(resource, name)
        if May.UPDATE not in attribute.may:
            raise bad_request(f"Cannot update read-only attribute '{name}' of {resource.name}.")
        changes[name] = attribute.type.parse(value, name)
        _check_role(resource, attribute, attribute.change_by or attribute.set_by, context)
    return changes


def _sent(resource: Resource, item: object) -> Object:
    """The attributes of `item`, old names replaced by the right ones."""
    if not isinstance(item, dict):
        raise bad_request(f"A {resource.name} must be an object, its attributes as keys.")
    sent: Object = dict(item)
    for old, right in SYNONYMS.items():
        if old in sent and old in resource.by_name:
            value = sent.pop(old)
            if sent.setdefault(right, value) != value:
                raise bad_request(f"'{old}' and '{right}' do not match: they are two names of one attribute.")
    return sent


def _known(resource: Resource, name: str) -> Attribute:
    """The attribute called `name`; a refusal that says the nearest, when there is none."""
    attribute = resource.by_name.get(name)
    if attribute is None or not attribute.seen_by:
        raise bad_request(f"Unrecognized attribute(s) '{name}' in {resource.name}{nearest(name, resource.by_name)}.")
    return attribute


def _check_role(resource: Resource, attribute: Attribute, roles: Roles, context: Context) -> None:
    if not allowed(roles, context.roles):
        needed = " or ".join(sorted(roles))
        raise ForbiddenError(f"'{attribute.name}' of a {resource.name} may be set by the role {needed} only.")


def _check_owner(resource: Resource, values: Object, context: Context) -> None:
    """Nobody but an admin makes something for another project."""
    owner = values.get("project_id")
    if owner is not None and owner != context.project_id and not context.is_admin:
        raise bad_request(f"Cannot create a {resource.name} for project '{owner}': the token is for another project.")


# ---------------------------------------------------------------------------------------------------------------- JSON


def _unique(pairs: list[tuple[str, object]]) -> Object:
    """An object none of whose keys stands twice: which of two values counts is nothing to guess."""
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is too large")
    return value


_LARGE: Final = 64 * 1024
"""Characters of a body that are decoded in one go."""
_BULK_START: Final = re.compile(r'\s*\{\s*"([a-z_]+)"\s*:\s*\[\s*(?=\{)')
_COMMA: Final = re.compile(r"\s*,\s*")
_BULK_END: Final = re.compile(r"\s*\]\s*\}\s*")
_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)


def _too_deep() -> InvalidError:
    return bad_request(f"The body is nested too deeply; at most {DEEPEST} levels are allowed.")


def _check_depth(value: object, deepest: int) -> None:
    """Go down level by level, so that no depth can exhaust the stack."""
    level = [value]
    for _ in range(deepest):
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not level:
            return
    raise _too_deep()
