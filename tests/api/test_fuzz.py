# SPDX-License-Identifier: Apache-2.0
"""Laws that hold whatever is sent: no 500, and a refusal of a value names its attribute. Generated from the tables."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdnctl.api.app import Application
from sdnctl.api.attributes import Boolean, Integer, ListOf, OrNull, Record, Text, Type
from sdnctl.api.auth import nobody_asked
from sdnctl.api.resources import RESOURCES, Attribute, May, Resource
from sdnctl.errors import InvalidError
from tests.api.client import Client, error
from tests.api.fake import FakeFabric, FakeRepository

CLIENT = Client(Application(FakeRepository(), nobody_asked(), fabric=FakeFabric()))

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec=None, exclude_categories=())),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=5,
)

SENT = [
    pytest.param(resource, attribute, id=f"{resource.name}.{attribute.name}")
    for resource in RESOURCES
    for attribute in resource.attributes
    if May.CREATE in attribute.may
]
FILTERED = [
    pytest.param(resource, attribute, id=f"{resource.name}.{attribute.name}")
    for resource in RESOURCES
    for attribute in resource.attributes
    if May.FILTER in attribute.may
]


@pytest.mark.parametrize(("resource", "attribute"), SENT)
@settings(max_examples=25)
@given(value=json_values)
def test_any_value_is_taken_or_refused_by_name(resource: Resource, attribute: Attribute, value: object) -> None:
    response = CLIENT.post(f"/v2.0/{resource.path}", {resource.key: {attribute.name: value}})
    if response.status_int == 201:
        return
    status, _, message = error(response)
    assert status == 400
    assert attribute.name in message or "not specified" in message


@pytest.mark.parametrize(("resource", "attribute"), FILTERED)
@settings(max_examples=10)
@given(text=st.text())
def test_any_filter_is_answered_or_refused_by_name(resource: Resource, attribute: Attribute, text: str) -> None:
    response = CLIENT.get(f"/v2.0/{resource.path}?{attribute.name}={quote(text)}")
    if response.status_int != 200:
        status, _, message = error(response)
        assert status == 400
        assert attribute.name in message


@settings(max_examples=200)
@given(body=st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_no_body_is_a_bug(body: bytes) -> None:
    assert error(CLIENT.post("/v2.0/ports", body))[0] == 400


@settings(max_examples=200)
@given(
    method=st.sampled_from(("GET", "POST", "PUT", "DELETE", "PATCH", "BREW")),
    path=st.lists(
        st.sampled_from(
            ("v2.0", "networks", "ports", "tags", "plug", "extensions", "explain", "%00", "%2e%2e", "x.json")
        )
        | st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#%"), max_size=9),
        max_size=6,
    ),
    query=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), max_size=30),
)
def test_no_url_is_a_bug(method: str, path: list[str], query: str) -> None:
    response = CLIENT.request(method, f"/{'/'.join(path)}?{query}")
    assert response.status_int < 500
    assert response.headers["X-Openstack-Request-Id"]


# ---------------------------------------------------------------------------------------------- types by themselves


def kinds() -> list[Type]:
    """Every type that stands in a table, and what it is made of."""
    found: list[Type] = []
    waiting = [attribute.type for resource in RESOURCES for attribute in resource.attributes]
    while waiting:
        kind = waiting.pop()
        if kind in found:
            continue
        found.append(kind)
        match kind:
            case OrNull(inner) | ListOf(inner):
                waiting.append(inner)
            case Record(fields):
                waiting.extend(field.type for field in fields)
    return found


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: type(kind).__name__)
@settings(max_examples=30)
@given(data=st.data())
def test_what_is_kept_is_kept_again(kind: Type, data: st.DataObject) -> None:
    """Normalising twice is normalising once: what an answer shows can be sent back."""
    value = data.draw(
        json_values | st.from_regex(r"[0-9a-f:./]{1,20}") | st.ip_addresses().map(str) | st.integers(0, 70)
    )
    try:
        kept = kind.parse(value, "x")
    except InvalidError:
        return
    assert kind.parse(kept, "x") == kept
    assert json.loads(json.dumps(kept)) == kept


@pytest.mark.parametrize("kind", (Text(), Boolean(), Integer()), ids=lambda kind: type(kind).__name__)
@given(text=st.text())
def test_a_term_is_what_a_database_can_compare_with(kind: Type, text: str) -> None:
    try:
        term = kind.term(text, "x")
    except InvalidError:
        return
    assert isinstance(term, str | bool) or abs(int(str(term))) < 2**63
