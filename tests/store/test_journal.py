# SPDX-License-Identifier: Apache-2.0
"""The journal: who did what, when, and to what it made a difference."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sdnctl.errors import InvalidError, NotFoundError, SdnctlError
from sdnctl.model.ids import Revision
from sdnctl.store import Store
from tests.store.cloud import ADMIN, ALICE, BOB, SLAAC, V6, Cloud, Object, journal

START = 1_800_000_000.5


@pytest.fixture
def clock() -> list[float]:
    return [START]


@pytest.fixture
def store(url: str, clock: list[float]) -> Iterator[Store]:
    store = Store.open(url, clock=lambda: clock[0])
    yield store
    store.close()


def seen(cloud: Cloud, after: int) -> list[tuple[str, str]]:
    return [(operation, kind) for kind, _, operation, _ in cloud.entries(after)]


def test_entry_says_who_what_and_when(cloud: Cloud) -> None:
    network = cloud.network(name="blue")
    (entry,) = journal(cloud.store)
    assert {name: entry[name] for name in ("revision", "at", "request_id", "actor", "project_id")} == {
        "revision": 1,
        "at": "2027-01-15T08:00:00.500Z",
        "request_id": "req-alice",
        "actor": "alice",
        "project_id": "alice-project",
    }
    assert (entry["kind"], entry["object_id"], entry["operation"]) == ("network", network["id"], "create")
    assert entry["changes"]["name"] == [None, "blue"]
    assert entry["changes"]["shared"] == [None, False]
    assert "description" not in entry["changes"]
    assert "tenant_id" not in entry["changes"]


def test_difference(cloud: Cloud, clock: list[float]) -> None:
    network = cloud.network(name="blue")
    clock[0] += 60
    changed = cloud.update("network", network, ADMIN, name="green", mtu=1400)
    ((kind, object_id, operation, changes),) = cloud.entries(1)
    assert (kind, object_id, operation) == ("network", network["id"], "update")
    assert changes == {"name": ["blue", "green"], "mtu": [1450, 1400], "revision_number": [1, 2]}
    assert (changed["created_at"], changed["updated_at"]) == ("2027-01-15T08:00:00Z", "2027-01-15T08:01:00Z")
    cloud.delete("network", network)
    _, _, operation, changes = cloud.entries(2)[0]
    assert (operation, changes["name"], changes["mtu"]) == ("delete", ["green", None], [1400, None])


def test_every_touched_object_has_an_entry(cloud: Cloud) -> None:
    network = cloud.network()
    port = cloud.port(network)
    at = cloud.store.revision()
    first = cloud.subnet(network)
    assert sorted(seen(cloud, at)) == [("create", "port"), ("create", "subnet"), ("update", "network")]
    at = cloud.store.revision()
    cloud.subnet(network, "10.0.1.0/24")
    assert sorted(seen(cloud, at)) == [("create", "subnet"), ("update", "network"), ("update", "port")]
    at = cloud.store.revision()
    automatic = cloud.subnet(network, V6, **SLAAC)
    assert sorted(seen(cloud, at)) == [("create", "subnet"), ("update", "network"), ("update", "port")]
    assert cloud.entries(at)[-1][1] == port["id"]
    at = cloud.store.revision()
    cloud.update("subnet", first, enable_dhcp=False, name="x")
    assert sorted(seen(cloud, at)) == [("update", "network"), ("update", "port"), ("update", "subnet")]
    at = cloud.store.revision()
    cloud.delete("subnet", automatic)
    assert sorted(seen(cloud, at)) == [("delete", "subnet"), ("update", "network"), ("update", "port")]
    at = cloud.store.revision()
    cloud.delete("port", port)
    assert seen(cloud, at) == [("delete", "port")]
    at = cloud.store.revision()
    cloud.delete("network", network)
    assert sorted(seen(cloud, at)) == [
        ("delete", "network"),
        ("delete", "port"),
        ("delete", "subnet"),
        ("delete", "subnet"),
    ]


def test_revisions_have_no_gaps(cloud: Cloud) -> None:
    network = cloud.network()
    cloud.subnet(network)
    for attempt in (
        lambda: cloud.network(mtu=1),
        lambda: cloud.port(network, BOB),
        lambda: cloud.port(network, fixed_ips=[{"ip_address": "192.0.2.1"}]),
        lambda: cloud.delete("network", {"id": "0" * 36}),
    ):
        with pytest.raises(SdnctlError):
            attempt()
    cloud.ports(network, 60)
    revisions = [entry["revision"] for entry in journal(cloud.store)]
    assert revisions == list(range(1, len(revisions) + 1))
    assert cloud.store.revision() == len(revisions)


def test_answer_carries_the_last_revision(cloud: Cloud) -> None:
    made = cloud.store.create(ALICE, "network", [{}, {}, {}])
    assert made.revision == cloud.store.revision() == 3
    network = str(made.objects[0]["id"])
    assert cloud.store.update(ALICE, "network", network, {"name": "x"}).revision == 4
    assert cloud.store.update(ALICE, "network", network, {"name": "x"}).revision == 4
    assert cloud.store.add_tags(ALICE, "network", network, ["x"]).revision == 5
    assert cloud.store.delete(ALICE, "network", network) == 6


def test_listeners_hear_of_commits(cloud: Cloud) -> None:
    heard: list[Revision] = []
    cloud.store.on_commit(heard.append)
    network = cloud.network()
    with pytest.raises(InvalidError):
        cloud.network(mtu=1)
    cloud.subnet(network)
    assert heard == [1, 4]


def test_changes_after(cloud: Cloud) -> None:
    network = cloud.network()
    subnet = cloud.subnet(network)
    found = cloud.store.changes(Revision(0))
    assert [change.revision for change in found] == [1, 2, 3, 4]
    assert [(change.kind, change.id) for change in found][:3] == [
        ("network", network["id"]),
        ("network", network["id"]),
        ("subnet", subnet["id"]),
    ]
    assert cloud.store.changes(Revision(3)) == found[3:]
    assert cloud.store.changes(Revision(4)) == ()


# ----------------------------------------------------------------------------------------------------------------- tags


@pytest.fixture
def tagged(cloud: Cloud) -> dict[str, Object]:
    network = cloud.network(tags=["b", "a", "b"])
    subnet = cloud.subnet(network, tags=["a", "b"])
    return {
        "network": network,
        "subnet": subnet,
        "port": cloud.port(network, tags=["a", "b"]),
        "host": cloud.create("host", ADMIN, name="h", ovsdb="tcp:192.0.2.1:6640", tags=["a", "b"]),
        "project": cloud.create("project", ADMIN, name="p", tags=["a", "b"]),
    }


@pytest.mark.parametrize("kind", ("network", "subnet", "port", "host", "project"))
def test_tags(cloud: Cloud, tagged: dict[str, Object], kind: str) -> None:
    found = cloud.get(kind, tagged[kind], ADMIN)
    id_, number = found["id"], found["revision_number"]
    assert found["tags"] == ["a", "b"]
    written = cloud.store.add_tags(ADMIN, kind, id_, ["c", "a"]).objects[0]
    assert (written["tags"], written["revision_number"]) == (["a", "b", "c"], number + 1)
    assert cloud.entries(cloud.store.revision() - 1)[0][3]["tags"] == [["a", "b"], ["a", "b", "c"]]
    assert cloud.store.add_tags(ADMIN, kind, id_, ["a"]).objects[0]["revision_number"] == number + 1
    assert cloud.store.remove_tag(ADMIN, kind, id_, "b").objects[0]["tags"] == ["a", "c"]
    with pytest.raises(NotFoundError) as refused:
        cloud.store.remove_tag(ADMIN, kind, id_, "b")
    assert refused.value.kind == "TagNotFound"
    assert cloud.store.replace_tags(ADMIN, kind, id_, ["x"]).objects[0]["tags"] == ["x"]
    assert [one["id"] for one in cloud.list(kind, ADMIN, tags="x")] == [id_]
    assert cloud.list(kind, ADMIN, tags="a") == []
    assert cloud.store.replace_tags(ADMIN, kind, id_, []).objects[0]["tags"] == []


def test_impossible_tags(cloud: Cloud) -> None:
    network = cloud.network()
    for tags, says in (([""], "0 characters"), (["x" * 256], "256 characters"), (map(str, range(257)), "at most 256")):
        with pytest.raises(InvalidError, match=says):
            cloud.store.replace_tags(ALICE, "network", network["id"], list(tags))
    longest = "ü" * 255
    assert cloud.store.add_tags(ALICE, "network", network["id"], [longest]).objects[0]["tags"] == [longest]
