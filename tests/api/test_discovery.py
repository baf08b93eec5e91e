# SPDX-License-Identifier: Apache-2.0
"""What a client learns before it asks for anything: versions, resources, extensions, and the OpenAPI document."""

from __future__ import annotations

import re

import pytest

from sdnctl.api.extensions import EXTENSIONS
from sdnctl.api.resources import RESOURCES
from tests.api.client import Client, error
from tests.api.fake import MEMBER


def test_versions_need_no_token_and_name_the_host_that_was_used(client: Client) -> None:
    response = client.get("/", token=None, headers={"Host": "net.example.org:9696"})
    assert response.status_int == 200
    [version] = response.json["versions"]
    assert version["id"] == "v2.0"
    assert version["status"] == "CURRENT"
    assert version["links"] == [{"rel": "self", "href": "http://net.example.org:9696/v2.0/"}]


@pytest.mark.parametrize(
    ("headers", "href"),
    (
        ({"X-Forwarded-Proto": "https", "X-Forwarded-Host": "api.example.org"}, "https://api.example.org/v2.0/"),
        ({"X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/net/"}, "https://localhost:80/net/v2.0/"),
        ({"X-Forwarded-Host": "a.example.org, b.internal"}, "http://a.example.org/v2.0/"),
    ),
)
def test_behind_a_proxy_links_lead_to_the_proxy(client: Client, headers: dict[str, str], href: str) -> None:
    response = client.get("/", token=None, headers=headers)
    assert response.json["versions"][0]["links"][0]["href"] == href


@pytest.mark.parametrize("path", ("/v2.0", "/v2.0/"))
def test_resources_are_listed(client: Client, path: str) -> None:
    listed = client.get(path).json["resources"]
    assert {one["collection"] for one in listed} >= {"networks", "subnets", "ports", "hosts", "projects", "tokens"}
    assert {
        "name": "port",
        "collection": "ports",
        "links": [{"rel": "self", "href": "http://localhost:80/v2.0/ports"}],
    } in listed
    assert client.get(path, token=None).status_int == 401


def test_members_are_not_told_of_what_is_for_admins(client: Client) -> None:
    listed = client.get("/v2.0/", token=MEMBER).json["resources"]
    assert [one["name"] for one in listed] == [
        "network",
        "subnet",
        "port",
        "security_group",
        "security_group_rule",
        "address_group",
        "ip_group",
        "policy",
        "security_event",
    ]


def test_an_extension_alone_is_the_same_as_in_the_list(client: Client) -> None:
    listed = client.get("/v2.0/extensions", token=MEMBER).json["extensions"]
    assert [one["alias"] for one in listed] == [extension.alias for extension in EXTENSIONS]
    for one in listed:
        assert set(one) == {"alias", "name", "description", "updated", "links"}
        assert client.get(f"/v2.0/extensions/{one['alias']}", token=MEMBER).json == {"extension": one}


def test_an_unknown_extension_is_404_and_all_of_them_need_a_token(client: Client) -> None:
    assert client.get("/v2.0/extensions/router").status_int == 404
    assert client.get("/v2.0/extensions", token=None).status_int == 401


# ------------------------------------------------------------------------------------------------------------- OpenAPI


@pytest.fixture
def document(client: Client) -> dict[str, object]:
    response = client.get("/openapi.json", token=None)
    assert response.status_int == 200
    assert response.content_type == "application/json"
    found: dict[str, object] = response.json
    return found


def _walk(value: object) -> list[dict[str, object]]:
    """Every object in a JSON value."""
    if isinstance(value, dict):
        return [value, *(one for child in value.values() for one in _walk(child))]
    return [one for child in value for one in _walk(child)] if isinstance(value, list) else []


def test_document_says_what_it_is(document: dict[str, object]) -> None:
    assert document["openapi"] == "3.1.0"
    operations = [one["operationId"] for one in _walk(document["paths"]) if "operationId" in one]
    assert len(operations) == len(set(operations)) >= 60


def test_references_lead_somewhere(document: dict[str, object]) -> None:
    references = [str(one["$ref"]) for one in _walk(document) if "$ref" in one]
    assert references
    for reference in set(references):
        place: object = document
        for part in reference.removeprefix("#/").split("/"):
            assert isinstance(place, dict)
            place = place[part]


def test_every_attribute_is_described(document: dict[str, object]) -> None:
    schemas = document["components"]["schemas"]  # type: ignore[index]
    for resource in RESOURCES:
        shown = {attribute.name for attribute in resource.attributes if attribute.seen_by}
        assert set(schemas[resource.name]["properties"]) == shown
    assert schemas["port-create"]["required"] == ["network_id"]
    assert schemas["subnet-create"]["required"] == ["network_id", "ip_version", "cidr"]
    assert "network_id" not in schemas["port-update"]["properties"]
    assert schemas["network-create"]["properties"]["tenant_id"]


def test_patterns_are_regular_expressions(document: dict[str, object]) -> None:
    patterns = [one["pattern"] for one in _walk(document) if isinstance(one.get("pattern"), str)]
    assert patterns
    for pattern in patterns:
        re.compile(str(pattern))


def test_every_path_is_answered(client: Client, document: dict[str, object]) -> None:
    """No operation of the document is unknown: whatever else is wrong with the request, it is not the path."""
    paths = document["paths"]
    assert isinstance(paths, dict)
    for path, operations in paths.items():
        for method in operations:
            response = client.request(method.upper(), re.sub(r"\{\w+\}", "x", path))
            assert response.status_int < 500
            assert response.status_int != 405, (method, path)
            if response.status_int == 404:
                assert error(response)[1] != "HTTPNotFound", (method, path)
