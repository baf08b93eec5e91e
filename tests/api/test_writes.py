# SPDX-License-Identifier: Apache-2.0
"""What comes with every write: the journal's revision, waiting for hosts, If-Match, tags."""

from __future__ import annotations

import pytest

from sdnctl.api.app import Application
from sdnctl.api.auth import by_token
from sdnctl.api.call import Limits
from tests.api.client import Client, error
from tests.api.fake import FakeFabric, FakeRepository


def test_every_write_answers_its_revision_and_tells_the_fabric(client: Client, fabric: FakeFabric) -> None:
    network = client.make("network")
    path = f"/v2.0/networks/{network['id']}"
    answers = [
        client.put(path, {"network": {"name": "x"}}),
        client.put(f"{path}/tags/a"),
        client.put(f"{path}/tags", {"tags": ["b"]}),
        client.post(f"{path}/tags", {"tags": ["c"]}),
        client.delete(f"{path}/tags/b"),
        client.delete(f"{path}/tags"),
        client.delete(path),
    ]
    assert [answer.headers["X-Sdnctl-Revision"] for answer in answers] == [str(number) for number in range(2, 9)]
    assert fabric.notified == list(range(1, 9))
    assert fabric.waited == []
    assert "X-Sdnctl-Revision" not in client.get("/v2.0/networks").headers


@pytest.mark.parametrize(
    ("query", "headers"),
    (("?wait=applied", {}), ("", {"Wait": "applied"}), ("", {"X-Sdnctl-Wait": "applied"})),
)
def test_waiting_until_applied(
    client: Client, fabric: FakeFabric, repository: FakeRepository, query: str, headers: dict[str, str]
) -> None:
    response = client.post(f"/v2.0/networks{query}", {"network": {}}, headers=headers)
    assert response.status_int == 201
    assert fabric.waited == [(1, 60.0)]
    assert "X-Sdnctl-Pending" not in response.headers
    path = f"/v2.0/networks/{response.json['network']['id']}"
    client.delete(f"{path}{query}", headers=headers)
    assert [revision for revision, _ in fabric.waited] == [1, 2]


def test_hosts_that_did_not_confirm_in_time_are_named(repository: FakeRepository) -> None:
    fabric = FakeFabric(pending=("h1", "h2"))
    client = Client(Application(repository, by_token(repository), fabric=fabric, limits=Limits(wait_s=0.5)))
    response = client.post("/v2.0/networks?wait=applied", {"network": {}})
    assert response.status_int == 201
    assert response.headers["X-Sdnctl-Pending"] == "h1, h2"
    assert fabric.waited == [(1, 0.5)]


class _Confirming(FakeFabric):
    """While somebody waits, the host confirms: the port becomes ACTIVE."""

    def __init__(self, repository: FakeRepository) -> None:
        super().__init__()
        self.repository = repository

    def wait_applied(self, revision: int, timeout_s: float) -> tuple[str, ...]:
        for port in self.repository.objects["port"].values():
            port["status"] = "ACTIVE"
        return ()


@pytest.mark.parametrize("number", (1, 3))
def test_after_waiting_the_answer_shows_what_is_then(repository: FakeRepository, number: int) -> None:
    client = Client(Application(repository, by_token(repository), fabric=_Confirming(repository)))
    network = client.make("network")
    bodies = [{"network_id": network["id"], "name": f"p{one}"} for one in range(number)]
    made = client.post("/v2.0/ports?wait=applied", {"ports": bodies}).json["ports"]
    assert [(port["name"], port["status"]) for port in made] == [(f"p{one}", "ACTIVE") for one in range(number)]
    changed = client.put(f"/v2.0/ports/{made[0]['id']}?wait=applied", {"port": {"name": "x"}}).json["port"]
    assert (changed["name"], changed["status"]) == ("x", "ACTIVE")


def test_there_is_nothing_else_to_wait_for(client: Client, repository: FakeRepository) -> None:
    status, _, message = error(client.post("/v2.0/networks?wait=forever", {"network": {}}))
    assert status == 400
    assert message == "'forever' is nothing to wait for; the only value is wait=applied."
    assert repository.objects == {}


# ------------------------------------------------------------------------------------------------------------ If-Match


@pytest.mark.parametrize("header", ("revision_number=1", " revision_number=1 ", '"revision_number=1"', "*", "junk", ""))
def test_if_match_of_the_present_revision_and_junk_change_nothing(client: Client, header: str) -> None:
    network = client.make("network")
    path = f"/v2.0/networks/{network['id']}"
    assert client.put(path, {"network": {"name": "x"}}, headers={"If-Match": header}).status_int == 200


def test_if_match_of_an_old_revision(client: Client, repository: FakeRepository) -> None:
    port = client.make("port", network_id=client.make("network")["id"])
    path = f"/v2.0/ports/{port['id']}"
    client.put(path, {"port": {"name": "x"}})
    old = {"If-Match": "revision_number=1"}
    for response in (
        client.put(path, {"port": {"name": "y"}}, headers=old),
        client.put(f"{path}/plug", {"plug": {"host": "h1"}}, headers=old),
        client.put(f"{path}/tags", {"tags": []}, headers=old),
    ):
        assert error(response)[:2] == (412, "RevisionNumberConstraintFailed")
    assert repository.objects["port"][str(port["id"])]["name"] == "x"


# ---------------------------------------------------------------------------------------------------------------- tags


def test_life_of_tags(client: Client) -> None:
    network = client.make("network")
    path = f"/v2.0/networks/{network['id']}/tags"
    assert client.get(path).json == {"tags": []}
    replaced = client.put(path, {"tags": ["red", "blue"]})
    assert (replaced.status_int, replaced.json) == (200, {"tags": ["red", "blue"]})
    added = client.put(f"{path}/green")
    assert (added.status_int, added.body) == (201, b"")
    assert client.get(f"{path}/green").status_int == 204
    assert error(client.get(f"{path}/black"))[:2] == (404, "TagNotFound")
    assert error(client.delete(f"{path}/black"))[:2] == (404, "TagNotFound")
    assert client.delete(f"{path}/green").status_int == 204
    assert sorted(client.get(path).json["tags"]) == ["blue", "red"]
    assert client.delete(path).status_int == 204
    assert client.get(path).json == {"tags": []}


@pytest.mark.parametrize(
    "body", ({}, [], {"tags": "red"}, {"tags": [1]}, {"tags": [""]}, {"tags": ["x" * 256]}, {"tags": [], "x": 1})
)
def test_tags_that_are_none(client: Client, body: object) -> None:
    network = client.make("network")
    assert error(client.put(f"/v2.0/networks/{network['id']}/tags", body))[0] == 400


def test_a_tag_of_any_language(client: Client) -> None:
    network = client.make("network")
    path = f"/v2.0/networks/{network['id']}/tags"
    assert client.put(f"{path}/gr%C3%BCn").status_int == 201
    assert client.get(path).json == {"tags": ["grün"]}
