# SPDX-License-Identifier: Apache-2.0
"""Projects, tokens, and who a secret makes you."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event

from sdnctl import runtime
from sdnctl.errors import ConflictError, ForbiddenError, InvalidError, UnavailableError
from sdnctl.model.ids import Revision
from sdnctl.model.request import Context
from sdnctl.store import Store, authentication
from tests.store.cloud import ADMIN, ALICE, NOWHERE, Cloud, Object, count_rows, journal

START = 1_800_000_000.0


@pytest.fixture
def clock() -> list[float]:
    return [START]


@pytest.fixture
def store(url: str, clock: list[float]) -> Iterator[Store]:
    store = Store.open(url, clock=lambda: clock[0])
    yield store
    store.close()


@pytest.fixture
def project(cloud: Cloud) -> Object:
    return cloud.create("project", ADMIN, name="p")


def token(cloud: Cloud, project: Object, **body: object) -> Object:
    return cloud.create("token", ADMIN, project_id=project["id"], **body)


# ------------------------------------------------------------------------------------------------------------- projects


def test_project(cloud: Cloud, project: Object) -> None:
    assert (project["name"], project["enabled"], project["description"]) == ("p", True, "")
    assert cloud.update("project", project, ADMIN, name="q", description="d")["name"] == "q"
    with pytest.raises(ForbiddenError):
        cloud.create("project", ALICE, name="x")
    with pytest.raises(ConflictError) as refused:
        cloud.create("project", ADMIN, name="q")
    assert refused.value.kind == "ProjectNameInUse"
    other = cloud.create("project", ADMIN, name="p")
    with pytest.raises(ConflictError):
        cloud.update("project", other, ADMIN, name="q")


def test_project_goes_with_its_tokens_when_it_owns_nothing(cloud: Cloud, project: Object) -> None:
    secret = token(cloud, project)["secret"]
    network = cloud.network(ADMIN, project_id=project["id"])
    with pytest.raises(ConflictError, match=network["id"]) as refused:
        cloud.delete("project", project, ADMIN)
    assert refused.value.kind == "ProjectInUse"
    assert cloud.store.authenticate(secret) is not None
    cloud.delete("network", network, ADMIN)
    cloud.delete("project", project, ADMIN)
    assert cloud.store.authenticate(secret) is None
    assert count_rows(cloud.store, "tokens") == 0


# --------------------------------------------------------------------------------------------------------------- tokens


def test_secret_is_told_once_and_kept_nowhere(cloud: Cloud, project: Object) -> None:
    made = token(cloud, project, name="ci")
    secret = made["secret"]
    assert len(secret) >= 43
    assert (made["name"], made["project_id"], made["roles"], made["expires_at"]) == (
        "ci",
        project["id"],
        ["member"],
        None,
    )
    again = cloud.get("token", made, ADMIN)
    assert again == {name: value for name, value in made.items() if name != "secret"}
    assert cloud.update("token", made, ADMIN, name="x").keys() == again.keys()
    assert secret not in str(journal(cloud.store))
    assert secret not in str(cloud.list("token", ADMIN))


@pytest.mark.parametrize(
    ("roles", "got"),
    (
        (["reader"], {"reader"}),
        (["member"], {"member", "reader"}),
        (["manager"], {"manager", "member", "reader"}),
        (["admin"], {"admin", "manager", "member", "reader"}),
        (["service", "reader"], {"service", "reader"}),
    ),
)
def test_context(cloud: Cloud, project: Object, roles: list[str], got: set[str]) -> None:
    secret = token(cloud, project, name="ci", roles=roles)["secret"]
    assert cloud.store.authenticate(secret, "req-1") == Context(project["id"], "ci", frozenset(got), "req-1")
    assert cloud.store.authenticate(secret, "req-2") == Context(project["id"], "ci", frozenset(got), "req-2")


def test_nameless_token_acts_under_its_id(cloud: Cloud, project: Object) -> None:
    made = token(cloud, project)
    context = cloud.store.authenticate(made["secret"])
    assert context is not None
    assert context.user == made["id"]


@pytest.mark.parametrize(
    "secret", ("", "x", "sdnctl_" + "x" * 43, "ü" * 50, "\ud800" * 30, "x" * 100_000, "a b\nc" * 9)
)
def test_strangers(cloud: Cloud, project: Object, secret: str) -> None:
    token(cloud, project)
    assert cloud.store.authenticate(secret) is None


def test_revoked_at_once(cloud: Cloud, project: Object) -> None:
    made = token(cloud, project)
    assert cloud.store.authenticate(made["secret"]) is not None
    cloud.delete("token", made, ADMIN)
    assert cloud.store.authenticate(made["secret"]) is None


def test_disabled_project(cloud: Cloud, project: Object) -> None:
    secret = token(cloud, project)["secret"]
    assert cloud.store.authenticate(secret) is not None
    cloud.update("project", project, ADMIN, enabled=False)
    assert cloud.store.authenticate(secret) is None
    cloud.update("project", project, ADMIN, enabled=True)
    assert cloud.store.authenticate(secret) is not None


def test_expiry(cloud: Cloud, project: Object, clock: list[float]) -> None:
    secret = token(cloud, project, expires_at="2027-01-15T08:01:00Z")["secret"]
    assert cloud.store.authenticate(secret) is not None
    clock[0] += 59
    assert cloud.store.authenticate(secret) is not None
    clock[0] += 1
    assert cloud.store.authenticate(secret) is None


def test_known_token_costs_no_query(cloud: Cloud, project: Object) -> None:
    secret = token(cloud, project)["secret"]
    asked: list[str] = []
    event.listen(cloud.store._database._engine, "before_cursor_execute", lambda *words: asked.append(words[2]))
    first = cloud.store.authenticate(secret)
    assert len(asked) == 1
    assert cloud.store.authenticate(secret) == first
    assert len(asked) == 1


def test_revoked_by_another_process(cloud: Cloud, project: Object, url: str) -> None:
    """Reading its journal entry is enough; without that, time is."""
    made = token(cloud, project)
    other = Store.open(url)
    assert other.authenticate(made["secret"]) is not None
    at = other.revision()
    cloud.delete("token", made, ADMIN)
    assert [change.kind for change in other.changes(Revision(at))] == ["token"]
    assert other.authenticate(made["secret"]) is None
    other.close()


def test_kept_only_for_a_moment(cloud: Cloud, project: Object, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authentication, "KEEP_S", 0.0)
    made = token(cloud, project)
    other = Store.open(url)
    assert other.authenticate(made["secret"]) is not None
    cloud.delete("token", made, ADMIN)
    assert other.authenticate(made["secret"]) is None
    other.close()


@pytest.mark.parametrize(
    ("body", "says"),
    (
        ({"project_id": NOWHERE}, "there is no project"),
        ({"roles": []}, "give one or more of admin"),
        ({"roles": ["king"]}, "king; give one or more of"),
        ({"expires_at": "2027-01-15T08:00:00Z"}, "no time to come"),
        ({"expires_at": "tomorrow"}, "write it like 2030-01-31T00:00:00Z"),
        ({"digest": "x"}, "'digest'"),
    ),
)
def test_impossible_token(cloud: Cloud, project: Object, body: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidError, match=says):
        cloud.create("token", ADMIN, **{"project_id": project["id"], **body})
    with pytest.raises(ForbiddenError):
        cloud.create("token", ALICE, project_id=project["id"])


# ------------------------------------------------------------------------------------------------------ the first token


def test_first_start_makes_an_admin_token(cloud: Cloud, tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    cloud.store.ensure_admin_token(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secret = path.read_text().strip()
    context = cloud.store.authenticate(secret)
    assert context is not None
    assert context.is_admin
    at = cloud.store.revision()
    cloud.store.ensure_admin_token(path)
    assert (path.read_text().strip(), cloud.store.revision()) == (secret, at)
    assert [file.name for file in tmp_path.iterdir() if "token" in file.name] == ["admin.token"]


def test_file_may_be_put_away(cloud: Cloud, tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    cloud.store.ensure_admin_token(path)
    path.unlink()
    cloud.store.ensure_admin_token(path)
    assert not path.exists()


def test_start_that_died_between_file_and_database(cloud: Cloud, tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    secret = authentication.admin_secret(path)
    assert cloud.store.authenticate(secret) is None
    cloud.store.ensure_admin_token(path)
    assert cloud.store.authenticate(secret) is not None


def test_two_controllers_that_start_at_once(cloud: Cloud, tmp_path: Path, url: str) -> None:
    """Each has a file of its own; a file that is there works."""
    other = Store.open(url)
    paths = [tmp_path / "first.token", tmp_path / "second.token"]
    for task in [
        runtime.spawn(store.ensure_admin_token, path) for store, path in zip((cloud.store, other), paths, strict=True)
    ]:
        task.join()
    secrets = [path.read_text().strip() for path in paths if path.exists()]
    assert secrets
    assert all(cloud.store.authenticate(secret) is not None for secret in secrets)
    other.close()


def test_another_when_no_admin_is_left(cloud: Cloud, tmp_path: Path, clock: list[float]) -> None:
    """Expired, deleted, or of a disabled project: nobody could make a token any more."""
    path = tmp_path / "admin.token"
    cloud.store.ensure_admin_token(path)
    (made,) = cloud.list("token", ADMIN)
    cloud.delete("token", made, ADMIN)
    path.unlink()
    project = cloud.list("project", ADMIN)[0]
    token(cloud, project, roles=["member"])
    token(cloud, project, roles=["admin"], expires_at="2027-01-15T08:00:01Z")
    cloud.store.ensure_admin_token(path)
    assert not path.exists()
    clock[0] += 2
    cloud.store.ensure_admin_token(path)
    assert cloud.store.authenticate(path.read_text().strip()) is not None
    assert len(cloud.list("project", ADMIN)) == 1


def test_file_with_something_else(cloud: Cloud, tmp_path: Path) -> None:
    path = tmp_path / "admin.token"
    path.write_text("hunter2\n")
    with pytest.raises(UnavailableError, match="holds no token"):
        cloud.store.ensure_admin_token(path)
    with pytest.raises(UnavailableError, match="cannot be written"):
        cloud.store.ensure_admin_token(tmp_path / "missing" / "admin.token")
    assert cloud.list("token", ADMIN) == []
