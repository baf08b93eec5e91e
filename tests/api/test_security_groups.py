# SPDX-License-Identifier: Apache-2.0
"""Security groups by REST: paths, methods, codes and types of refusals, and what a port is answered with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.client import error
from tests.api.live import Live, opened

pytestmark = pytest.mark.api

NO_SUCH_ID = "6f3a0f1c-3a55-4f0e-8f5e-0123456789ab"


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with opened(tmp_path) as live:
        yield live


@pytest.fixture
def web(live: Live) -> dict[str, object]:
    """A group of blue's."""
    return live.make("security_group", live.blue, name="web")


def rule_body(web: dict[str, object], **values: object) -> dict[str, object]:
    return {"security_group_rule": {"security_group_id": web["id"], "direction": "ingress", **values}}


def test_paths_have_dashes_and_bodies_underscores(live: Live, web: dict[str, object]) -> None:
    page = live.client.get("/v2.0/security-groups?limit=1&sort_key=name&sort_dir=desc", token=live.blue).json
    assert page["security_groups"] == [web]
    assert "/v2.0/security-groups?" in page["security_groups_links"][0]["href"]
    listed = live.client.get("/v2.0/", token=live.blue).json["resources"]
    links = {one["collection"]: one["links"][0]["href"].rpartition("/")[2] for one in listed}
    assert links["security_group_rules"] == "security-group-rules"
    assert live.client.get("/v2.0/security_groups", token=live.blue).status_int == 404
    assert live.client.get(f"/v2.0/security-groups/{web['id']}", token=live.blue).json == {"security_group": web}


def test_a_group_carries_its_rules(live: Live, web: dict[str, object]) -> None:
    assert (web["stateful"], web["tags"], web["tenant_id"]) == (True, [], web["project_id"])
    response = live.client.post("/v2.0/security-group-rules", rule_body(web, protocol=6), token=live.blue)
    assert response.status_int == 201
    rule = response.json["security_group_rule"]
    assert (rule["protocol"], rule["established"], rule["ethertype"]) == ("6", "cut", "IPv4")
    shown = live.client.get(f"/v2.0/security-groups/{web['id']}", token=live.blue).json["security_group"]
    assert rule in shown["security_group_rules"]
    assert len(shown["security_group_rules"]) == 3
    some = live.client.get("/v2.0/security-group-rules?protocol=6&fields=id", token=live.blue).json
    assert some == {"security_group_rules": [{"id": rule["id"]}]}
    assert live.client.delete(f"/v2.0/security-group-rules/{rule['id']}", token=live.blue).status_int == 204


def test_a_rule_is_never_changed(live: Live, web: dict[str, object]) -> None:
    rule = live.client.post("/v2.0/security-group-rules", rule_body(web), token=live.blue).json["security_group_rule"]
    response = live.client.put(f"/v2.0/security-group-rules/{rule['id']}", rule_body(web), token=live.blue)
    assert error(response)[0] == 405
    assert response.headers["Allow"] == "DELETE, GET"


@pytest.mark.parametrize(
    ("status", "kind", "name", "values"),
    (
        (400, "InvalidInput", "direction", {"direction": "sideways"}),
        (400, "InvalidInput", "ethertype", {"ethertype": "IPv5"}),
        (400, "InvalidInput", "protocol", {"protocol": "tpc"}),
        (400, "InvalidInput", "port_range_min", {"protocol": "tcp", "port_range_min": 70000}),
        (400, "InvalidInput", "remote_ip_prefix", {"remote_ip_prefix": "10.0.0.0/33"}),
        (400, "HTTPBadRequest", "normalized_cidr", {"normalized_cidr": "10.0.0.0/8"}),
        (400, "HTTPBadRequest", "colour", {"colour": "red"}),
        (400, "SecurityGroupInvalidPortRange", "port_range_max", {"protocol": "tcp", "port_range_min": 7}),
        (400, "SecurityGroupRuleParameterConflict", "remote_ip_prefix", {"remote_ip_prefix": "fd00::/8"}),
        (404, "SecurityGroupNotFound", NO_SUCH_ID, {"remote_group_id": NO_SUCH_ID}),
        (404, "AddressGroupNotFound", NO_SUCH_ID, {"remote_address_group_id": NO_SUCH_ID}),
        (404, "SecurityGroupNotFound", NO_SUCH_ID, {"security_group_id": NO_SUCH_ID}),
        (409, "SecurityGroupRuleExists", "already exists", {"direction": "egress", "remote_ip_prefix": "0.0.0.0/0"}),
    ),
)  # fmt: skip
def test_refused_rules(
    live: Live, web: dict[str, object], status: int, kind: str, name: str, values: dict[str, object]
) -> None:
    response = live.client.post("/v2.0/security-group-rules", rule_body(web, **values), token=live.blue)
    code, type_, message = error(response)
    assert (code, type_) == (status, kind)
    assert name in message


def test_refused_groups(live: Live, web: dict[str, object]) -> None:
    path = f"/v2.0/security-groups/{web['id']}"
    port = live.make("port", live.blue, network_id=live.network(live.blue)["id"], security_groups=[web["id"]])
    for response, expected in (
        (live.client.delete(path, token=live.blue), (409, "SecurityGroupInUse")),
        (live.client.put(path, {"security_group": {"stateful": False}}, token=live.blue), (409, "SecurityGroupInUse")),
        (
            live.client.put(path, {"security_group": {"name": "default"}}, token=live.blue),
            (409, "SecurityGroupDefaultAlreadyExists"),
        ),
        (live.client.get(path, token=live.red), (404, "SecurityGroupNotFound")),
        (live.client.delete(path, token=live.red), (404, "SecurityGroupNotFound")),
        (
            live.client.put(f"/v2.0/ports/{port['id']}", {"port": {"port_security_enabled": False}}, token=live.blue),
            (409, "PortSecurityPortHasSecurityGroup"),
        ),
    ):
        assert error(response)[:2] == expected
    [default] = live.client.get("/v2.0/security-groups?name=default", token=live.red).json["security_groups"]
    response = live.client.delete(f"/v2.0/security-groups/{default['id']}", token=live.red)
    assert error(response)[:2] == (409, "SecurityGroupCannotRemoveDefault")
    body = {"security_group": {"name": "mine"}}
    response = live.client.put(f"/v2.0/security-groups/{default['id']}", body, token=live.red)
    assert error(response)[:2] == (409, "SecurityGroupCannotUpdateDefault")


def test_bulk_is_all_or_nothing(live: Live, web: dict[str, object]) -> None:
    good = rule_body(web, protocol="tcp")["security_group_rule"]
    bad = rule_body(web, protocol="udp", port_range_max=7)["security_group_rule"]
    response = live.client.post("/v2.0/security-group-rules", {"security_group_rules": [good, bad]}, token=live.blue)
    assert error(response)[:2] == (400, "SecurityGroupInvalidPortRange")
    assert live.client.get("/v2.0/security-group-rules?protocol=tcp", token=live.blue).json == {
        "security_group_rules": []
    }
    names = [{"name": name} for name in "cab"]
    made = live.client.post("/v2.0/security-groups", {"security_groups": names}, token=live.blue).json
    assert [one["name"] for one in made["security_groups"]] == ["c", "a", "b"]


def test_groups_of_ports(live: Live, web: dict[str, object]) -> None:
    network = live.network(live.blue)["id"]
    [default] = live.client.get("/v2.0/security-groups?name=default", token=live.blue).json["security_groups"]
    assert live.make("port", live.blue, network_id=network)["security_groups"] == [default["id"]]
    port = live.make("port", live.blue, network_id=network, security_groups=[web["id"], web["id"]])
    assert port["security_groups"] == [web["id"]]
    found = live.client.get(f"/v2.0/ports?security_groups={web['id']}&fields=id", token=live.blue).json
    assert found == {"ports": [{"id": port["id"]}]}
    assert live.make("port", live.blue, network_id=network, security_groups=[])["security_groups"] == []
    body = {"port": {"network_id": network, "security_groups": ["web"]}}
    assert error(live.client.post("/v2.0/ports", body, token=live.blue))[:2] == (400, "InvalidInput")
    body = {"port": {"network_id": network, "security_groups": [NO_SUCH_ID]}}
    assert error(live.client.post("/v2.0/ports", body, token=live.blue))[:2] == (404, "SecurityGroupNotFound")


def test_address_groups(live: Live, web: dict[str, object]) -> None:
    group = live.make("address_group", live.blue, addresses=["192.0.2.9/24", "2001:db8::1"], description="d" * 1024)
    assert group["addresses"] == ["192.0.2.0/24", "2001:db8::1/128"]
    path = f"/v2.0/address-groups/{group['id']}"
    more = live.client.put(f"{path}/add_addresses", {"addresses": ["10.0.0.1"]}, token=live.blue)
    assert (more.status_int, more.json["address_group"]["addresses"][0]) == (200, "10.0.0.1/32")
    for action, addresses, expected in (
        ("add_addresses", ["10.0.0.1"], (400, "AddressesAlreadyExist")),
        ("remove_addresses", ["10.0.0.2"], (404, "AddressesNotFound")),
        ("remove_addresses", ["x"], (400, "InvalidInput")),
    ):
        response = live.client.put(f"{path}/{action}", {"addresses": addresses}, token=live.blue)
        assert error(response)[:2] == expected
    assert error(live.client.put(f"{path}/add_addresses", {"addresses": []}, token=live.red))[0] == 404
    assert error(live.client.put(path, {"address_group": {"addresses": []}}, token=live.blue))[0] == 400
    rule = rule_body(web, remote_address_group_id=group["id"])
    assert live.client.post("/v2.0/security-group-rules", rule, token=live.blue).status_int == 201
    assert error(live.client.delete(path, token=live.blue))[:2] == (409, "AddressGroupInUse")


def test_a_reader_may_look(live: Live, web: dict[str, object]) -> None:
    reader = live.token("blue", "reader")
    assert len(live.client.get("/v2.0/security-groups", token=reader).json["security_groups"]) == 2
    assert error(live.client.post("/v2.0/security-groups", {"security_group": {}}, token=reader))[0] == 403
    assert error(live.client.delete(f"/v2.0/security-groups/{web['id']}", token=reader))[0] == 403
