# SPDX-License-Identifier: Apache-2.0
"""Queries of lists: filters, sort keys, pages and fields, as the Networking API has them, from a resource's table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from sdnctl.api.attributes import Address, Boolean, Text, Type, Uuid, nearest, plain_text
from sdnctl.api.errors import bad_request
from sdnctl.api.resources import SYNONYMS, May, Resource
from sdnctl.errors import InvalidError
from sdnctl.model.request import Object, Query

Parameters = Sequence[tuple[str, str]]
"""The query of a URL, decoded, in its order."""

PAGING: Final = frozenset({"fields", "sort_key", "sort_dir", "limit", "marker", "page_reverse"})
"""Parameters that are no filters."""
DIRECTIONS: Final = {"asc": False, "desc": True}
FIXED_IP_KEYS: Final[Mapping[str, Type]] = {"ip_address": Address(), "subnet_id": Uuid(), "ip_address_substr": Text()}
TAG_FILTERS: Final = frozenset({"tags", "tags-any", "not-tags", "not-tags-any"})

Term = str | int | bool


@dataclass(frozen=True, slots=True)
class Listing:
    """A parsed query: what to ask of the store, and what to show of the answer."""

    query: Query
    fields: frozenset[str]
    """Empty: all."""


def listing(resource: Resource, parameters: Parameters) -> Listing:
    """What a GET of the collection asks for; InvalidError names the parameter that is wrong."""
    filters: dict[str, list[Term]] = {}
    paging: dict[str, list[str]] = {}
    for name, value in parameters:
        if name in PAGING:
            paging.setdefault(name, []).append(value)
        else:
            attribute, term = _filter(resource, name, value)
            terms = filters.setdefault(attribute, [])
            if term not in terms:
                terms.append(term)
    query = Query(
        filters=tuple((name, tuple(terms)) for name, terms in filters.items()),
        sort=_sort(resource, paging.get("sort_key", []), paging.get("sort_dir", [])),
        limit=_limit(paging.get("limit", [])),
        marker=plain_text(paging["marker"][-1], "marker") if "marker" in paging else None,
        reverse=Boolean().parse(paging.get("page_reverse", ["false"])[-1], "page_reverse"),
    )
    return Listing(query, frozenset(paging.get("fields", [])))


def fields(parameters: Parameters) -> frozenset[str]:
    """The fields a GET of one object asks for; empty: all."""
    return frozenset(value for name, value in parameters if name == "fields")


def _filter(resource: Resource, name: str, value: str) -> tuple[str, Term]:
    """The attribute a parameter filters by, and the term it compares with."""
    right = SYNONYMS.get(name, name)
    attribute = resource.by_name.get(right)
    if attribute is None or May.FILTER not in attribute.may:
        known = resource.names(May.FILTER)
        raise bad_request(f"['{name}'] is invalid attribute for filtering {resource.collection}{nearest(name, known)}.")
    plain_text(value, name)
    if right == "fixed_ips":
        return right, _fixed_ip(attribute.name, value)
    if right in TAG_FILTERS:
        return right, value
    term = attribute.type.term(value, name)
    return right, term if isinstance(term, str | int) else value


def _fixed_ip(name: str, value: str) -> str:
    key, equals, content = value.partition("=")
    if not equals or key not in FIXED_IP_KEYS:
        forms = ", ".join(f"{name}={key}=..." for key in FIXED_IP_KEYS)
        raise InvalidError(f"Invalid input for {name}: '{value[:80]}' is none of {forms}.")
    return f"{key}={FIXED_IP_KEYS[key].term(content, name)}"


def _sort(resource: Resource, keys: Sequence[str], directions: Sequence[str]) -> tuple[tuple[str, bool], ...]:
    if len(keys) != len(directions):
        raise bad_request(f"The number of sort_keys and sort_dirs must be same: {len(keys)} and {len(directions)}.")
    sort = []
    for key, direction in zip(keys, directions, strict=True):
        right = SYNONYMS.get(key, key)
        attribute = resource.by_name.get(right)
        if attribute is None or May.SORT not in attribute.may:
            known = resource.names(May.SORT)
            raise bad_request(
                f"['{key}'] is invalid attribute for sort_keys of {resource.collection}{nearest(key, known)}."
            )
        if direction not in DIRECTIONS:
            raise bad_request(f"'{direction}' is invalid sort_dir; use asc or desc.")
        sort.append((right, DIRECTIONS[direction]))
    return tuple(sort)


def _limit(values: Sequence[str]) -> int | None:
    """The page's size; 0 means all, like none at all."""
    if not values:
        return None
    text = values[-1]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise bad_request(f"Limit must be an integer 0 or greater and not '{text[:40]}'.")
    return int(text) or None


def page_links(url: str, parameters: Parameters, query: Query, page: Sequence[Object]) -> list[dict[str, str]]:
    """Links to the next and the previous page.

    A page that is not full has no further one in the direction it was asked for; a full last one leads to an empty one.
    """
    if query.limit is None:
        return []
    full = len(page) >= query.limit
    kept = [(name, value) for name, value in parameters if name not in ("marker", "page_reverse")]
    links = []
    if full or query.reverse:
        links.append({"rel": "next", "href": _href(url, kept, page[-1:])})
    if full or not query.reverse:
        links.append({"rel": "previous", "href": _href(url, [*kept, ("page_reverse", "True")], page[:1])})
    return links


def _href(url: str, parameters: Iterable[tuple[str, str]], at: Sequence[Object]) -> str:
    marker = [("marker", str(at[0]["id"]))] if at else []
    return f"{url}?{urlencode([*parameters, *marker])}"
