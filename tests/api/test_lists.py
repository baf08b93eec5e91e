# SPDX-License-Identifier: Apache-2.0
"""Lists: what a query asks of the repository, and what is refused in it; fields; links to pages."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from sdnctl.model.request import Query
from tests.api.client import Client, error
from tests.api.fake import FakeRepository

ID = "6f3a0f1c-3a55-4f0e-8f5e-0123456789ab"


@pytest.mark.parametrize(
    ("query", "asked"),
    (
        ("", Query()),
        ("name=a", Query(filters=(("name", ("a",)),))),
        ("name=", Query(filters=(("name", ("",)),))),
        ("name=a&name=b&name=a", Query(filters=(("name", ("a", "b")),))),
        ("name=a&device_id=d", Query(filters=(("name", ("a",)), ("device_id", ("d",))))),
        ("tenant_id=a&project_id=b", Query(filters=(("project_id", ("a", "b")),))),
        ("admin_state_up=True", Query(filters=(("admin_state_up", (True,)),))),
        ("admin_state_up=0", Query(filters=(("admin_state_up", (False,)),))),
        ("revision_number=7", Query(filters=(("revision_number", (7,)),))),
        ("mac_address=FA-16-3E-00-00-01", Query(filters=(("mac_address", ("fa:16:3e:00:00:01",)),))),
        ("mac_address=junk", Query(filters=(("mac_address", ("junk",)),))),
        (f"id={ID.upper()}", Query(filters=(("id", (ID,)),))),
        ("id=vm1", Query(filters=(("id", ("vm1",)),))),
        ("status=BOGUS", Query(filters=(("status", ("BOGUS",)),))),
        ("tags=a,b&not-tags-any=c", Query(filters=(("tags", ("a,b",)), ("not-tags-any", ("c",))))),
        (
            "fixed_ips=ip_address%3D2001:DB8::1&fixed_ips=subnet_id%3Ds",
            Query(filters=(("fixed_ips", ("ip_address=2001:db8::1", "subnet_id=s")),)),
        ),
        ("fixed_ips=ip_address_substr%3D10.0.", Query(filters=(("fixed_ips", ("ip_address_substr=10.0.",)),))),
        ("binding:host_id=h1", Query(filters=(("binding:host_id", ("h1",)),))),
        ("name=%F0%9F%90%99+%26", Query(filters=(("name", ("🐙 &",)),))),
        (
            "sort_key=name&sort_dir=desc&sort_key=tenant_id&sort_dir=asc",
            Query(sort=(("name", True), ("project_id", False))),
        ),
        ("limit=10", Query(limit=10)),
        ("limit=0", Query()),
        (f"limit=5&marker={ID}&page_reverse=True", Query(limit=5, marker=ID, reverse=True)),
        ("fields=id&fields=name", Query()),
    ),
)
def test_what_a_query_asks(client: Client, repository: FakeRepository, query: str, asked: Query) -> None:
    assert client.get(f"/v2.0/ports?{query}").status_int == 200
    assert repository.asked == [asked]


@pytest.mark.parametrize(
    ("query", "message"),
    (
        ("bogus=1", "['bogus'] is invalid attribute for filtering ports."),
        ("nmae=1", "['nmae'] is invalid attribute for filtering ports (did you mean 'name'?)."),
        ("allowed_address_pairs=1", "['allowed_address_pairs'] is invalid attribute for filtering"),
        ("admin_state_up=maybe", "admin_state_up: 'maybe' is not a boolean"),
        ("revision_number=x", "revision_number: 'x' is not an integer"),
        ("revision_number=99999999999999999999", "is not an integer"),
        ("name=a%00b", "name: 'a\\x00b' contains a NUL character"),
        ("fixed_ips=10.0.0.1", "'10.0.0.1' is none of fixed_ips=ip_address=..., fixed_ips=subnet_id=..."),
        ("fixed_ips=port%3Dx", "is none of fixed_ips=ip_address=..."),
        ("sort_key=name", "The number of sort_keys and sort_dirs must be same: 1 and 0."),
        ("sort_dir=asc", "The number of sort_keys and sort_dirs must be same: 0 and 1."),
        ("sort_key=fixed_ips&sort_dir=asc", "['fixed_ips'] is invalid attribute for sort_keys of ports"),
        ("sort_key=name&sort_dir=up", "'up' is invalid sort_dir; use asc or desc."),
        ("limit=-1", "Limit must be an integer 0 or greater and not '-1'."),
        ("limit=ten", "not 'ten'."),
        ("limit=", "not ''."),
        ("limit=%C2%B2", "Limit must be an integer"),
        ("limit=99999999999", "Limit must be an integer"),
        ("page_reverse=perhaps", "page_reverse: 'perhaps' is not a boolean"),
        ("marker=%00", "marker: '\\x00' contains a NUL character"),
    ),
)
def test_what_is_refused_in_a_query(client: Client, repository: FakeRepository, query: str, message: str) -> None:
    status, _, text = error(client.get(f"/v2.0/ports?{query}"))
    assert status == 400
    assert message in text
    assert repository.asked == []


def test_hundreds_of_ids_are_one_question(client: Client, repository: FakeRepository) -> None:
    ids = [f"{number:08x}{ID[8:]}" for number in range(300)]
    client.get("/v2.0/ports?" + "&".join(f"id={one}" for one in ids))
    assert repository.asked == [Query(filters=(("id", tuple(ids)),))]


@pytest.mark.parametrize(
    ("fields", "shown"),
    (
        ("fields=id&fields=name", {"id", "name"}),
        ("fields=name,id", set()),
        ("fields=bogus", set()),
        ("fields=tenant_id", {"tenant_id"}),
        ("fields=name&fields=bogus", {"name"}),
    ),
)
def test_fields(client: Client, fields: str, shown: set[str]) -> None:
    network = client.make("network")
    assert set(client.get(f"/v2.0/networks?{fields}").json["networks"][0]) == shown
    assert set(client.get(f"/v2.0/networks/{network['id']}?{fields}").json["network"]) == shown


# --------------------------------------------------------------------------------------------------------------- pages


def links(client: Client, query: str) -> dict[str, dict[str, str]]:
    """relation -> what its link asks for."""
    body = client.get(f"/v2.0/networks?{query}").json
    found = {}
    for link in body.get("networks_links", []):
        url = urlsplit(link["href"])
        assert f"{url.scheme}://{url.netloc}{url.path}" == "http://localhost:80/v2.0/networks"
        found[link["rel"]] = dict(parse_qsl(url.query))
    return found


def test_links_keep_the_query_and_set_the_marker(client: Client) -> None:
    made = client.post("/v2.0/networks", {"networks": [{}, {}, {}]}).json["networks"]
    first, second = made[0]["id"], made[1]["id"]
    asked = {"limit": "2", "admin_state_up": "True", "sort_key": "name", "sort_dir": "asc"}
    query = "&".join(f"{name}={value}" for name, value in asked.items())
    assert links(client, query) == {
        "next": asked | {"marker": second},
        "previous": asked | {"marker": first, "page_reverse": "True"},
    }


def test_a_page_that_is_not_full_is_the_last_one(client: Client) -> None:
    client.make("network")
    assert set(links(client, "limit=2")) == {"previous"}
    assert set(links(client, "limit=1")) == {"previous", "next"}
    assert set(links(client, "limit=2&page_reverse=True")) == {"next"}
    assert "page_reverse" not in links(client, "limit=2&page_reverse=True")["next"]
    assert links(client, "limit=0") == {}
    assert links(client, "") == {}


def test_an_empty_page_has_no_marker_to_offer(client: Client) -> None:
    assert links(client, "limit=2") == {"previous": {"limit": "2", "page_reverse": "True"}}


def test_links_are_right_even_if_the_id_is_not_shown(client: Client) -> None:
    made = client.make("network")
    assert links(client, "limit=1&fields=name")["next"]["marker"] == made["id"]
