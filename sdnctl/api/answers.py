# SPDX-License-Identifier: Apache-2.0
"""Answers: what of an object the caller is shown, and JSON as bytes.

An attribute the caller may not see is absent, not null. Old names of attributes are answered beside the right ones.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sdnctl import runtime
from sdnctl.api.resources import SYNONYMS, Resource, allowed
from sdnctl.model.request import Object

JSON: Final = "application/json"
_PART: Final = 100
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), check_circular=False)
_OLD_NAMES: Final[Mapping[str, str]] = {right: old for old, right in SYNONYMS.items()}


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler answers. `body` is JSON to be encoded, or bytes as they are; None is no body."""

    status: int
    body: object = None
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = JSON
    hangs_up: bool = False
    """Part of the request is unread; the connection ends with this answer."""


@dataclass(frozen=True, slots=True)
class Viewer:
    """Shows objects of one resource to one caller."""

    names: tuple[tuple[str, str], ...]
    """(name in the answer, name of the attribute)."""

    def show(self, item: Mapping[str, object], fields: frozenset[str] = frozenset()) -> Object:
        """`item` as the caller sees it, cut to `fields` if there are any."""
        if fields:
            return {shown: item[name] for shown, name in self.names if shown in fields and name in item}
        return {shown: item[name] for shown, name in self.names if name in item}

    def show_all(self, items: Sequence[Mapping[str, object]], fields: frozenset[str] = frozenset()) -> list[Object]:
        return [self.show(item, fields) for item in runtime.in_slices(items)]


@functools.lru_cache(maxsize=256)
def viewer(resource: Resource, roles: frozenset[str]) -> Viewer:
    """The viewer for a caller with these roles."""
    names = []
    for attribute in resource.attributes:
        if allowed(attribute.seen_by, roles):
            names.append((attribute.name, attribute.name))
            if attribute.name in _OLD_NAMES:
                names.append((_OLD_NAMES[attribute.name], attribute.name))
    return Viewer(tuple(names))


def encoded(value: object) -> bytes:
    """`value` as JSON. Long lists are encoded in parts, so that other tasks run in between."""
    if not isinstance(value, dict) or not any(
        isinstance(child, list) and len(child) > _PART for child in value.values()
    ):
        return _ENCODER.encode(value).encode()
    members = (_ENCODER.encode(key).encode() + b":" + _encoded_child(child) for key, child in value.items())
    return b"{" + b",".join(members) + b"}"


def _encoded_child(child: object) -> bytes:
    if not isinstance(child, list):
        return _ENCODER.encode(child).encode()
    parts = (child[start : start + _PART] for start in range(0, len(child), _PART))
    return b"[" + b",".join(_ENCODER.encode(part)[1:-1].encode() for part in runtime.in_slices(parts)) + b"]"
