# SPDX-License-Identifier: Apache-2.0
"""Statistics of ports and security events: who sees which, and that nobody writes any."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.client import error
from tests.api.live import Live, opened
from tests.events import event


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    directory: Path = tmp_path_factory.mktemp("cloud")
    with opened(directory) as live:
        yield live


def test_statistics_are_for_the_ports_owner(cloud: Live) -> None:
    """Where the port is, only an admin learns; whose network it is in sees the port and not what it does."""
    network = cloud.network(cloud.admin, shared=True, project_id=cloud.projects["red"])
    port = cloud.make("port", cloud.blue, network_id=network["id"])
    path = f"/v2.0/ports/{port['id']}/statistics"
    seen = cloud.client.get(path, token=cloud.admin).json["statistics"]
    assert (seen["port_id"], seen["host"], seen["sent_packets"]) == (port["id"], "h1", 9)
    own = cloud.client.get(path, token=cloud.blue).json["statistics"]
    assert own == {key: value for key, value in seen.items() if key != "host"}
    status, kind, message = error(cloud.client.get(path, token=cloud.red))
    assert (status, kind) == (403, "PolicyNotAuthorized")
    assert "for the project that owns it" in message


def test_statistics_of_a_port_one_does_not_see(cloud: Live) -> None:
    port = cloud.make("port", cloud.blue, network_id=cloud.network(cloud.blue, cidr="10.1.0.0/24")["id"])
    path = f"/v2.0/ports/{port['id']}/statistics"
    assert error(cloud.client.get(path, token=cloud.red))[:2] == (404, "PortNotFound")
    assert error(cloud.client.get(f"{path}?since=yesterday", token=cloud.blue))[0] == 400
    assert error(cloud.client.put(path, {"statistics": {}}, token=cloud.blue))[0] == 405


def test_events_are_for_their_project(cloud: Live) -> None:
    blue, red = (event(at, project_id=cloud.projects[name]) for at, name in enumerate(("blue", "red"), 1))
    cloud.store.record_events([blue, red])
    listed = cloud.client.get("/v2.0/security-events", token=cloud.blue).json["security_events"]
    assert [(one["id"], one["packets"], one["active"]) for one in listed] == [(blue.id, 7, True)]
    assert "host" not in listed[0]
    assert listed[0]["first_seen"] == "2026-11-18T11:06:41.000Z"
    everything = cloud.client.get("/v2.0/security-events?sort_key=first_seen&sort_dir=desc", token=cloud.admin)
    assert [one["id"] for one in everything.json["security_events"]] == [red.id, blue.id]
    assert everything.json["security_events"][0]["host"] == "h1"
    path = f"/v2.0/security-events/{red.id}"
    assert error(cloud.client.get(path, token=cloud.blue))[:2] == (404, "SecurityEventNotFound")
    assert cloud.client.get(path, token=cloud.red).json["security_event"]["text"] == red.text


@pytest.mark.parametrize(("method", "below"), (("POST", ""), ("PUT", f"/{event().id}"), ("DELETE", f"/{event().id}")))
def test_nobody_writes_events(cloud: Live, method: str, below: str) -> None:
    """Not even an admin: they are what happened."""
    path = f"/v2.0/security-events{below}"
    body = {"security_event": {"text": "nothing happened"}}
    call = {"POST": cloud.client.post, "PUT": cloud.client.put}.get(method)
    response = call(path, body, token=cloud.admin) if call else cloud.client.delete(path, token=cloud.admin)
    assert error(response)[0] == 405


def test_a_filter_that_is_none(cloud: Live) -> None:
    status, _, message = error(cloud.client.get("/v2.0/security-events?host=h1", token=cloud.blue))
    assert status == 400
    assert "host" in message
