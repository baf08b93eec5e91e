# SPDX-License-Identifier: Apache-2.0
"""IP groups over REST: their whole life, and what is refused, with the field that is wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.client import error
from tests.api.live import Live, opened

PATH = "/v2.0/ip-groups"
NO_SUCH_ID = "6f3a0f1c-3a55-4f0e-8f5e-0123456789ab"


@pytest.fixture
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with opened(tmp_path_factory.mktemp("ip-groups")) as live:
        yield live


@pytest.mark.proves("S10")
def test_life_of_a_group(live: Live) -> None:
    network = live.network(live.blue)["id"]
    first, second = (live.make("port", live.blue, network_id=network)["id"] for _ in range(2))
    body = {"ip_group": {"network_id": network, "ip_address": "10.0.0.254", "port_ids": [first], "tags": ["a"]}}
    made = live.client.post(PATH, body, token=live.blue)
    assert made.status_int == 201
    assert "X-Sdnctl-Revision" in made.headers
    group = made.json["ip_group"]
    path = f"{PATH}/{group['id']}"
    assert (group["active"], group["vrrp"], group["holder"]) == ("auto", False, None)
    changed = live.client.put(path, {"ip_group": {"port_ids": [first, second], "active": second}}, token=live.blue)
    assert changed.json["ip_group"]["holder"] == second
    found = live.client.get(f"{PATH}?port_ids={first}&holder={second}&fields=id", token=live.blue).json
    assert found == {"ip_groups": [{"id": group["id"]}]}
    assert live.client.get(path, token=live.red).status_int == 404
    assert live.client.delete(f"/v2.0/ports/{second}", token=live.blue).status_int == 204
    left = live.client.get(path, token=live.blue).json["ip_group"]
    assert (left["port_ids"], left["active"], left["holder"]) == ([first], "auto", None)
    assert live.client.delete(path, token=live.blue).status_int == 204
    assert live.client.get(path, token=live.blue).status_int == 404


@pytest.mark.parametrize(
    ("values", "status", "kind", "field"),
    (
        ({"ip_address": "10.0.0.1"}, 400, "InvalidInput", "ip_address"),
        ({"ip_address": "10.0.0.255"}, 400, "InvalidIpForSubnet", "ip_address"),
        ({"ip_address": "192.0.2.1"}, 400, "InvalidIpForNetwork", "ip_address"),
        ({"ip_address": "vip"}, 400, "InvalidInput", "ip_address"),
        ({"ip_address": None}, 400, "InvalidInput", "ip_address"),
        ({"port_ids": "all"}, 400, "InvalidInput", "port_ids"),
        ({"port_ids": [NO_SUCH_ID]}, 404, "PortNotFound", NO_SUCH_ID),
        ({"active": "me"}, 400, "InvalidInput", "active"),
        ({"active": NO_SUCH_ID}, 400, "InvalidInput", "active"),
        ({"vrrp": "perhaps"}, 400, "InvalidInput", "vrrp"),
        ({"network_id": NO_SUCH_ID}, 404, "NetworkNotFound", NO_SUCH_ID),
        ({"holder": NO_SUCH_ID}, 400, "HTTPBadRequest", "holder"),
    ),
)
def test_what_cannot_be(live: Live, values: dict[str, object], status: int, kind: str, field: str) -> None:
    """Refused with the field, and nothing is there afterwards."""
    body = {"ip_group": {"network_id": live.network(live.blue)["id"], **values}}
    found = error(live.client.post(PATH, body, token=live.blue))
    assert found[:2] == (status, kind), found
    assert field in found[2]
    assert live.client.get(PATH, token=live.blue).json == {"ip_groups": []}


def test_what_is_fixed(live: Live) -> None:
    group = live.make("ip_group", live.blue, network_id=live.network(live.blue)["id"])
    for name, value in (("ip_address", "10.0.0.9"), ("network_id", NO_SUCH_ID), ("holder", None)):
        found = error(live.client.put(f"{PATH}/{group['id']}", {"ip_group": {name: value}}, token=live.blue))
        assert found[0] == 400
        assert name in found[2]
