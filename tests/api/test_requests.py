# SPDX-License-Identifier: Apache-2.0
"""Requests and what is refused in them, before any object matters: paths, methods, tokens, bodies."""

from __future__ import annotations

import io
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from webob import Request

from sdnctl import runtime
from sdnctl.api import answers, bodies
from sdnctl.api.app import Application
from sdnctl.api.auth import DEFAULT_PROJECT, nobody_asked
from sdnctl.api.call import Limits
from sdnctl.errors import UnavailableError
from tests.api.client import Client, error
from tests.api.fake import ADMIN, MEMBER, OTHER, OTHER_PROJECT, PROJECT, FakeRepository

NO_SUCH_ID = "6f3a0f1c-3a55-4f0e-8f5e-0123456789ab"


def test_life_of_a_network(client: Client) -> None:
    made = client.post("/v2.0/networks", {"network": {"name": "blue"}}, token=MEMBER)
    assert made.status_int == 201
    network = made.json["network"]
    assert network["name"] == "blue"
    assert network["admin_state_up"] is True
    assert network["project_id"] == network["tenant_id"] == PROJECT
    path = f"/v2.0/networks/{network['id']}"

    assert client.get(path, token=MEMBER).json == {"network": network}
    assert client.get("/v2.0/networks", token=MEMBER).json == {"networks": [network]}
    changed = client.put(path, {"network": {"name": "red"}}, token=MEMBER)
    assert changed.status_int == 200
    assert changed.json["network"] == network | {"name": "red", "revision_number": 2}
    deleted = client.delete(path, token=MEMBER)
    assert deleted.status_int == 204
    assert deleted.body == b""
    assert "Content-Type" not in deleted.headers
    assert error(client.get(path, token=MEMBER))[:2] == (404, "NetworkNotFound")


# --------------------------------------------------------------------------------------------------- paths and methods


@pytest.mark.parametrize("path", ("/v2.0/networks.json", "/v2.0/networks/", "/v2.0/networks"))
def test_old_forms_of_a_path_are_the_same_path(client: Client, path: str) -> None:
    assert client.get(path).json == {"networks": []}


def test_a_tag_may_end_like_an_old_path(client: Client) -> None:
    network = client.make("network")
    assert client.put(f"/v2.0/networks/{network['id']}/tags/x.json").status_int == 201
    assert client.get(f"/v2.0/networks/{network['id']}/tags").json == {"tags": ["x.json"]}


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    (
        ("PATCH", f"/v2.0/networks/{NO_SUCH_ID}", "DELETE, GET, PUT"),
        ("POST", f"/v2.0/networks/{NO_SUCH_ID}", "DELETE, GET, PUT"),
        ("PUT", "/v2.0/networks", "GET, POST"),
        ("DELETE", "/v2.0/networks", "GET, POST"),
        ("HEAD", "/v2.0/networks", "GET, POST"),
        ("GET", f"/v2.0/ports/{NO_SUCH_ID}/plug", "PUT"),
        ("POST", "/healthz", "GET"),
    ),
)
def test_method_not_allowed(client: Client, method: str, path: str, allow: str) -> None:
    response = client.request(method, path)
    assert response.status_int == 405
    assert response.headers["Allow"] == allow


@pytest.mark.parametrize(
    "path", ("/v2.0/routers", "/v3", "/v2.0/networks/x/y", "/v2.0/networks/x/tags/a/b", "/v2.0/networks/x/plug")
)
def test_nothing_is_there(client: Client, path: str) -> None:
    assert error(client.get(path))[:2] == (404, "HTTPNotFound")


def test_a_name_instead_of_an_id_is_refused_without_asking_the_repository(
    client: Client, repository: FakeRepository
) -> None:
    network = client.make("network", name="blue")
    assert error(client.get("/v2.0/networks/blue")) == (
        404,
        "NetworkNotFound",
        "Network blue could not be found.",
    )
    assert client.get(f"/v2.0/networks/{str(network['id']).upper()}").status_int == 200
    assert repository.asked == []


@pytest.mark.parametrize("path", ("/v2.0/networks/%ff", "/v2.0/networks?name=%ff", "/v2.0/networks?name=%c3"))
def test_urls_that_are_not_utf8(client: Client, path: str) -> None:
    status, kind, message = error(client.get(path))
    assert (status, kind) == (400, "HTTPBadRequest")
    assert "UTF-8" in message


def test_long_urls(client: Client) -> None:
    """Hundreds of ids in one query pass; beyond 16 KiB the client is told to split."""
    query = "&".join(f"id={NO_SUCH_ID}" for _ in range(400))
    assert 15_000 < len(query) < 16 * 1024
    assert client.get(f"/v2.0/networks?{query}").status_int == 200
    assert error(client.get(f"/v2.0/networks?{query}&{query}"))[:2] == (414, "HTTPRequestURITooLong")


# -------------------------------------------------------------------------------------------------------- who is asking


@pytest.mark.parametrize("token", (None, "", "wrong", "ä" * 1000))
@pytest.mark.parametrize("path", ("/v2.0/networks", "/v2.0", "/v2.0/routers", "/nothing"))
def test_without_a_good_token_nothing_is_told(client: Client, token: str | None, path: str) -> None:
    response = client.get(path, token=token and token.encode().decode("latin-1"))
    assert response.status_int == 401
    assert response.json["error"]["code"] == 401
    assert response.json["error"]["title"] == "Unauthorized"
    assert response.headers["WWW-Authenticate"].startswith("Keystone uri=")


def test_without_authentication_everyone_is_admin_of_the_project_they_name() -> None:
    client = Client(Application(FakeRepository(), nobody_asked()))
    assert client.make("network", shared=True)["project_id"] == DEFAULT_PROJECT
    named = client.post("/v2.0/networks", {"network": {}}, token=None, headers={"X-Project-Id": "blue"})
    assert named.json["network"]["project_id"] == "blue"
    assert client.get("/v2.0/hosts", token="whatever").status_int == 200


# -------------------------------------------------------------------------------------------------------------- bodies


@pytest.mark.parametrize(
    ("body", "message"),
    (
        (b"", "The body is empty; send JSON."),
        (b"  ", "The body is empty"),
        (b"{", "The body is not JSON: "),
        (b"\xff\xfe", "The body is not UTF-8: byte 0 cannot be read."),
        (b'{"network": {"name": "\xc3"}}', "The body is not UTF-8"),
        (b'{"network": {"mtu": NaN}}', "NaN is no JSON"),
        (b'{"network": {"mtu": Infinity}}', "Infinity is no JSON"),
        (b'{"network": {"mtu": 1e999}}', "1e999 is too large"),
        (b'{"network": {"mtu": ' + b"9" * 5000 + b"}}", "The body is not JSON: "),
        (b'{"network": {"name": "a", "name": "b"}}', "the key 'name' stands twice in one object"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[" * 33 + b"]" * 33, "nested too deeply; at most 32 levels"),
        (b"null", "The body must be an object with one key, 'network'."),
        (b"[]", "The body must be an object with one key, 'network'."),
        (b"{}", "The body must be an object with one key, 'network'."),
        (b'{"network": {}, "x": 1}', "The body must be an object with one key, 'network'."),
        (b'{"port": {}}', "The body has no key 'network', but 'port'."),
        (b'{"network": []}', "A network must be an object, its attributes as keys."),
        (b'{"networks": []}', "'networks' must be a list with at least one network in it."),
        (b'{"networks": {}}', "'networks' must be a list with at least one network in it."),
        (b'{"networks": [{}, 1]}', "A network must be an object, its attributes as keys."),
    ),
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
def test_bodies_that_are_wrong_in_themselves(
    client: Client, repository: FakeRepository, body: bytes, message: str
) -> None:
    status, kind, text = error(client.post("/v2.0/networks", body))
    assert (status, kind) == (400, "HTTPBadRequest")
    assert message in text
    assert repository.objects == {}


@pytest.mark.parametrize(
    ("sent", "message"),
    (
        ({"nmae": "x"}, "Unrecognized attribute(s) 'nmae' in network (did you mean 'name'?)."),
        ({"tags-any": ["x"]}, "Unrecognized attribute(s) 'tags-any' in network"),
        ({"zzzzzz": "x"}, "Unrecognized attribute(s) 'zzzzzz' in network."),
        ({"status": "ACTIVE"}, "Attribute 'status' not allowed in POST"),
        ({"id": NO_SUCH_ID}, "Attribute 'id' not allowed in POST"),
        ({"project_id": "a", "tenant_id": "b"}, "'tenant_id' and 'project_id' do not match"),
    ),
)
def test_attributes_that_cannot_be_sent(client: Client, sent: dict[str, object], message: str) -> None:
    status, kind, text = error(client.post("/v2.0/networks", {"network": sent}))
    assert (status, kind) == (400, "HTTPBadRequest")
    assert message in text


def test_a_required_attribute_is_missing(client: Client) -> None:
    status, kind, text = error(client.post("/v2.0/ports", {"port": {}}))
    assert (status, kind) == (400, "HTTPBadRequest")
    assert "Required attribute 'network_id' not specified" in text


def test_what_cannot_be_changed(client: Client) -> None:
    network = client.make("network")
    port = client.make("port", network_id=network["id"])
    status, kind, text = error(client.put(f"/v2.0/ports/{port['id']}", {"port": {"network_id": network["id"]}}))
    assert (status, kind) == (400, "HTTPBadRequest")
    assert text == "Cannot update read-only attribute 'network_id' of port."
    assert error(client.put(f"/v2.0/ports/{port['id']}", {"ports": [{"name": "x"}]}))[0] == 400


def test_null_is_not_absent(client: Client, repository: FakeRepository) -> None:
    """An attribute sent as null reaches the repository as None; one that was not sent does not reach it at all."""
    network = client.make("network")
    client.make("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24", gateway_ip=None)
    client.make("subnet", network_id=network["id"], ip_version="4", cidr="10.0.1.7/24")
    first, second = repository.objects["subnet"].values()
    assert first["gateway_ip"] is None
    assert "gateway_ip" not in second
    assert second["ip_version"] == 4
    assert second["cidr"] == "10.0.1.0/24"


def test_a_default_belongs_to_one_object(client: Client, repository: FakeRepository) -> None:
    """What becomes of one object's list is not the next one's default."""
    network = client.make("network")
    first = client.make("port", network_id=network["id"])
    pairs = repository.objects["port"][str(first["id"])]["allowed_address_pairs"]
    assert isinstance(pairs, list)
    pairs.append("something")
    assert client.make("port", network_id=network["id"])["allowed_address_pairs"] == []


def test_tenant_id_is_project_id(client: Client) -> None:
    assert client.make("network", tenant_id=OTHER_PROJECT)["project_id"] == OTHER_PROJECT
    assert client.make("network", tenant_id=OTHER_PROJECT, project_id=OTHER_PROJECT)["tenant_id"] == OTHER_PROJECT
    status, kind, text = error(client.post("/v2.0/networks", {"network": {"tenant_id": OTHER_PROJECT}}, token=MEMBER))
    assert (status, kind) == (400, "HTTPBadRequest")
    assert OTHER_PROJECT in text


# ---------------------------------------------------------------------------------------------------------------- bulk


def test_bulk_answers_in_the_order_of_the_request(client: Client) -> None:
    names = [f"n{number}" for number in range(50)]
    response = client.post("/v2.0/networks", {"networks": [{"name": name} for name in names]})
    assert response.status_int == 201
    assert [network["name"] for network in response.json["networks"]] == names


def test_bulk_of_one_is_answered_as_a_list(client: Client) -> None:
    assert len(client.post("/v2.0/networks", {"networks": [{}]}).json["networks"]) == 1


def test_one_wrong_item_and_nothing_is_made(client: Client, repository: FakeRepository) -> None:
    response = client.post("/v2.0/networks", {"networks": [{}, {"mtu": "x"}, {}]})
    assert error(response)[0] == 400
    assert repository.objects == {}


def test_a_thousand_ports_fit_in_one_body(client: Client) -> None:
    network = client.make("network")
    port = {
        "network_id": network["id"],
        "name": "a port with everything set " * 5,
        "description": "x" * 255,
        "allowed_address_pairs": [{"ip_address": f"10.0.0.{number}"} for number in range(10)],
        "extra_dhcp_opts": [{"opt_name": str(number), "opt_value": "x" * 40} for number in range(10)],
    }
    assert len(client.post("/v2.0/ports", {"ports": [port] * 1000}).json["ports"]) == 1000


def _large(*ends: str) -> bytes:
    """A bulk that is long enough to be decoded item by item, with something else at its end."""
    items = ", ".join(json.dumps({"name": f"n{number}", "description": "x" * 200}) for number in range(1000))
    return f'{{ "networks" : [ {items}{"".join(ends)}'.encode()


def test_a_large_bulk_is_decoded_like_a_small_one(client: Client) -> None:
    body = _large(' , {"name": "last"} ] }\n')
    assert client.post("/v2.0/networks", body).json["networks"][-1]["name"] == "last"


@pytest.mark.parametrize(
    ("end", "message"),
    (
        ("", "expecting a comma, or the end of the list and of the body: char"),
        ("]", "expecting a comma"),
        ("], 1}", "expecting a comma"),
        ("]} x", "expecting a comma"),
        (",]}", "Expecting value"),
        (",", "Expecting value"),
        (', {"name": "a", "name": "b"}]}', "the key 'name' stands twice"),
        (f", {'[' * 40}{']' * 40}]}}", "nested too deeply"),
        (", " + "[" * 100_000, "nested too deeply"),
        (", 5]}", "A network must be an object"),
    ),
)
def test_a_large_bulk_that_is_wrong(client: Client, repository: FakeRepository, end: str, message: str) -> None:
    assert message in error(client.post("/v2.0/networks", _large(end)))[2]
    assert repository.objects == {}


@settings(max_examples=200)
@given(value=st.lists(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.none())), min_size=1))
def test_both_ways_of_decoding_agree(value: list[object]) -> None:
    for text in (json.dumps({"ports": value}), json.dumps({"ports": value}, indent=1, ensure_ascii=False)):
        assert bodies._decode_bulk(text) == bodies._decode(text) == {"ports": value}


# --------------------------------------------------------------------------------------------------------------- sizes


class _Counting(io.RawIOBase):
    """An endless body that counts what was taken from it."""

    def __init__(self) -> None:
        self.taken = 0

    def read(self, size: int = -1) -> bytes:
        assert size >= 0
        self.taken += size
        return b" " * size


def _with_input(client: Client, source: io.RawIOBase, **environ: str) -> tuple[int, str, str]:
    request = Request.blank("/v2.0/networks", method="POST", headers={"X-Auth-Token": ADMIN})
    request.environ.update(environ)
    request.environ["wsgi.input"] = source
    return error(request.get_response(client.application))


def test_a_body_that_says_it_is_too_long_is_not_read(client: Client) -> None:
    source = _Counting()
    status, kind, text = _with_input(client, source, CONTENT_LENGTH=str(100 * 2**20))
    assert (status, kind) == (413, "HTTPRequestEntityTooLarge")
    assert text == f"The body is larger than {4 * 2**20} bytes; send it in several requests."
    assert source.taken == 0


def test_a_body_of_unknown_length_is_read_only_so_far(client: Client) -> None:
    source = _Counting()
    status, kind, _ = _with_input(client, source, HTTP_TRANSFER_ENCODING="chunked", CONTENT_LENGTH="")
    assert (status, kind) == (413, "HTTPRequestEntityTooLarge")
    assert source.taken < 4 * 2**20 + 128 * 1024


def test_a_body_that_ends_too_early(client: Client) -> None:
    status, _, text = _with_input(client, io.BytesIO(b'{"network'), CONTENT_LENGTH="100")  # type: ignore[arg-type]
    assert status == 400
    assert "ended before its Content-Length" in text


def test_the_limit_is_an_option() -> None:
    client = Client(Application(FakeRepository(), nobody_asked(), limits=Limits(body=100)))
    assert error(client.post("/v2.0/networks", {"network": {"name": "x" * 200}}))[0] == 413
    assert client.post("/v2.0/networks", {"network": {"name": "x" * 50}}).status_int == 201


# ------------------------------------------------------------------------------------------------------------- answers


@given(value=st.dictionaries(st.text(), st.lists(st.integers() | st.text(), max_size=500) | st.text() | st.none()))
def test_long_lists_are_encoded_like_short_ones(value: object) -> None:
    assert json.loads(answers.encoded(value)) == value


@pytest.mark.parametrize("length", (0, 1, 100, 101, 250))
def test_a_long_list_is_encoded_whole(length: int) -> None:
    value = {"ports": [{"id": number, "text": "x" * 2000} for number in range(length)], "ports_links": [1], "x": None}
    assert json.loads(answers.encoded(value)) == value


def test_other_tasks_run_while_a_long_list_is_answered(client: Client) -> None:
    client.post("/v2.0/networks", {"networks": [{"description": "x" * 255}] * 5000})
    turns = 0

    def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            runtime.give_way()

    counting = runtime.spawn(count)
    runtime.give_way()
    before = turns
    client.get("/v2.0/networks")
    counting.stop()
    assert turns - before >= 3


def test_every_answer_has_a_request_id(client: Client) -> None:
    ids = {
        response.headers["X-Openstack-Request-Id"]
        for response in (client.get("/"), client.get("/v2.0/networks"), client.get("/x"), client.get("/", token=None))
    }
    assert len(ids) == 4
    assert all(re.fullmatch(r"req-[0-9a-f-]{36}", one) for one in ids)


def test_a_bug_is_answered_without_its_traceback(client: Client, repository: FakeRepository) -> None:
    repository.broken = RuntimeError("the cat sat on the keyboard")
    response = client.get("/v2.0/networks")
    status, kind, message = error(response)
    assert (status, kind) == (500, "HTTPInternalServerError")
    assert "cat" not in response.text
    assert response.headers["X-Openstack-Request-Id"] in message


def test_a_database_that_is_away_is_no_bug(client: Client, repository: FakeRepository) -> None:
    repository.broken = UnavailableError("The database does not answer.")
    assert error(client.get("/v2.0/networks")) == (503, "ServiceUnavailable", "The database does not answer.")
    assert client.get("/healthz", token=None).status_int == 503


def test_healthz_and_metrics_need_no_token(repository: FakeRepository) -> None:
    seen: list[tuple[str, str, int]] = []
    application = Application(
        repository,
        nobody_asked(),
        metrics=lambda: (b"a_metric 1\n", "text/plain; version=1.0.0"),
        observe=lambda method, route, status, _seconds: seen.append((method, route, status)),
    )
    client = Client(application)
    assert client.get("/healthz", token=None).json == {"status": "ok", "revision": 0}
    metrics = client.get("/metrics", token=None)
    assert metrics.body == b"a_metric 1\n"
    assert metrics.headers["Content-Type"] == "text/plain; version=1.0.0"
    client.get(f"/v2.0/ports/{NO_SUCH_ID}")
    client.request("BREW", "/pot")
    assert seen == [
        ("GET", "/healthz", 200),
        ("GET", "/metrics", 200),
        ("GET", "/v2.0/ports/{id}", 404),
        ("unknown", "unknown", 404),
    ]


def test_text_of_every_language_comes_back_as_it_was(client: Client) -> None:
    for name in ("Gerät", "网络", "🐙", "a\tb\nc", 'q"\\'):
        assert client.make("network", name=name)["name"] == name
        body = json.dumps({"network": {"name": name}}, ensure_ascii=False).encode()
        assert client.post("/v2.0/networks", body).json["network"]["name"] == name


def test_other_projects_objects_are_not_there(client: Client) -> None:
    network = client.make("network", token=MEMBER)
    path = f"/v2.0/networks/{network['id']}"
    for response in (
        client.get(path, token=OTHER),
        client.put(path, {"network": {"name": "x"}}, token=OTHER),
        client.put(path, {"network": {"shared": True}}, token=OTHER),
        client.delete(path, token=OTHER),
        client.get(f"{path}/tags", token=OTHER),
        client.put(f"{path}/tags", {"tags": []}, token=OTHER),
        client.delete(f"{path}/tags/x", token=OTHER),
    ):
        assert error(response)[:2] == (404, "NetworkNotFound")
    assert client.get("/v2.0/networks", token=OTHER).json == {"networks": []}
