# SPDX-License-Identifier: Apache-2.0
"""QoS policies by REST: paths, rules below a policy, who may what, codes and types of refusals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sdnctl.api.resources import PARTS, Resource
from tests.api.client import error
from tests.api.live import Live, opened

pytestmark = pytest.mark.api

NO_SUCH_ID = "6f3a0f1c-3a55-4f0e-8f5e-0123456789ab"
RULES = {
    "bandwidth_limit_rule": {"max_kbps": 5000},
    "packet_rate_limit_rule": {"max_kpps": 5},
    "dscp_marking_rule": {"dscp_mark": 46},
}
Json = dict[str, object]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with opened(tmp_path) as live:
        yield live


@pytest.fixture
def boss(live: Live) -> str:
    """A manager of blue's."""
    return live.token("blue", "manager")


@pytest.fixture
def gold(live: Live, boss: str) -> Json:
    """A policy of blue's."""
    return live.make("qos_policy", boss, name="gold")


def path(gold: Json, below: str = "") -> str:
    return f"/v2.0/qos/policies/{gold['id']}{below and '/'}{below}"


def add(live: Live, token: str, gold: Json, kind: str, **values: object) -> Json:
    response = live.client.post(path(gold, f"{kind}s"), {kind: values}, token=token)
    assert response.status_int == 201, response.text
    made: Json = response.json[kind]
    return made


def test_a_policy_and_its_keys(live: Live, boss: str, gold: Json) -> None:
    assert gold == gold | {"name": "gold", "shared": False, "is_default": False, "rules": [], "tags": []}
    assert live.client.get(path(gold), token=boss).json == {"policy": gold}
    assert live.client.get("/v2.0/qos/policies?name=gold&fields=name", token=boss).json == {
        "policies": [{"name": "gold"}]
    }
    page = live.client.get("/v2.0/qos/policies?limit=1", token=boss).json
    assert "/v2.0/qos/policies?" in page["policies_links"][0]["href"]
    changed = live.client.put(path(gold), {"policy": {"name": "silver", "is_default": True}}, token=boss)
    assert (changed.json["policy"]["name"], changed.json["policy"]["is_default"]) == ("silver", True)
    assert changed.json["policy"]["revision_number"] > gold["revision_number"]  # type: ignore[operator]
    assert live.client.put(path(gold, "tags/a"), token=boss).status_int == 201
    assert live.client.delete(path(gold), token=boss).status_int == 204
    assert error(live.client.get(path(gold), token=boss))[:2] == (404, "QosPolicyNotFound")
    assert error(live.client.post("/v2.0/qos/policies", {"qos_policy": {}}, token=boss))[0] == 400


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_rules_below_a_policy(live: Live, boss: str, gold: Json, part: Resource) -> None:
    values = RULES[part.name]
    rule = add(live, boss, gold, part.name, **values)
    assert set(rule) == {attribute.name for attribute in part.attributes}
    below = path(gold, part.collection)
    assert live.client.get(below, token=boss).json == {part.collection: [rule]}
    assert live.client.get(f"{below}/{rule['id']}", token=boss).json == {part.name: rule}
    kind = part.name.removesuffix("_rule")
    now = live.client.get(path(gold), token=boss).json["policy"]
    assert now["rules"] == [{**rule, "type": kind, "qos_policy_id": gold["id"]}]
    assert now["revision_number"] > gold["revision_number"]
    assert error(live.client.post(below, {part.name: values}, token=boss))[:2] == (409, "QoSRulesConflict")
    [(name, value)] = values.items()
    other = 10 if name == "dscp_mark" else value + 1
    changed = live.client.put(f"{below}/{rule['id']}", {part.name: {name: other}}, token=boss)
    assert changed.json == {part.name: {**rule, name: other}}
    again = live.client.get(path(gold), token=boss).json["policy"]["revision_number"]
    assert again > now["revision_number"]
    # Nothing to change is no change.
    assert live.client.put(f"{below}/{rule['id']}", {part.name: {name: other}}, token=boss).status_int == 200
    assert live.client.get(path(gold), token=boss).json["policy"]["revision_number"] == again
    assert live.client.delete(f"{below}/{rule['id']}", token=boss).status_int == 204
    assert error(live.client.get(f"{below}/{rule['id']}", token=boss))[:2] == (404, "QosRuleNotFound")
    assert live.client.get(path(gold), token=boss).json["policy"]["rules"] == []


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_alias_paths_do_without_the_policy(live: Live, boss: str, gold: Json, part: Resource) -> None:
    rule = add(live, boss, gold, part.name, **RULES[part.name])
    alias, key = f"/v2.0/qos/alias-{part.collection.replace('_', '-')}/{rule['id']}", f"alias_{part.name}"
    assert live.client.get(alias, token=boss).json == {key: rule}
    assert live.client.put(alias, {key: RULES[part.name]}, token=boss).json == {key: rule}
    assert error(live.client.get(alias, token=live.red))[:2] == (404, "QosRuleNotFound")
    assert live.client.post(alias.rpartition("/")[0], {key: {}}, token=boss).status_int in {404, 405}
    assert live.client.delete(alias, token=boss).status_int == 204
    assert live.client.get(alias, token=boss).status_int == 404


def test_a_rule_is_found_under_its_own_policy_and_type_only(live: Live, boss: str, gold: Json) -> None:
    other = live.make("qos_policy", boss)
    rule = add(live, boss, gold, "bandwidth_limit_rule", max_kbps=1)
    for wrong in (
        path(other, f"bandwidth_limit_rules/{rule['id']}"),
        path(gold, f"dscp_marking_rules/{rule['id']}"),
        path(gold, f"bandwidth_limit_rules/{NO_SUCH_ID}"),
        path(gold, "bandwidth_limit_rules/no-id"),
    ):
        assert error(live.client.get(wrong, token=boss))[:2] == (404, "QosRuleNotFound")
        assert error(live.client.delete(wrong, token=boss))[:2] == (404, "QosRuleNotFound")
    nowhere = path({"id": NO_SUCH_ID}, "bandwidth_limit_rules")
    assert error(live.client.get(nowhere, token=boss))[:2] == (404, "QosPolicyNotFound")
    assert error(live.client.post(nowhere, {"bandwidth_limit_rule": {"max_kbps": 1}}, token=boss))[0] == 404
    assert live.client.get(path(gold, f"bandwidth_limit_rules/{rule['id']}"), token=boss).status_int == 200


def test_one_rule_of_a_type_for_each_direction(live: Live, boss: str, gold: Json) -> None:
    rules = path(gold, "bandwidth_limit_rules")
    add(live, boss, gold, "bandwidth_limit_rule", max_kbps=1, direction="egress")
    into = add(live, boss, gold, "bandwidth_limit_rule", max_kbps=2, direction="ingress")
    turned = live.client.put(f"{rules}/{into['id']}", {"bandwidth_limit_rule": {"direction": "egress"}}, token=boss)
    assert error(turned)[:2] == (409, "QoSRulesConflict")
    add(live, boss, gold, "packet_rate_limit_rule", max_kpps=2, direction="ingress")
    assert live.client.get(f"{rules}?max_kbps=2", token=boss).json == {"bandwidth_limit_rules": [into]}


@pytest.mark.parametrize(
    ("kind", "values", "says"),
    (
        ("bandwidth_limit_rule", {}, "max_kbps"),
        ("bandwidth_limit_rule", {"max_kbps": -1}, "max_kbps"),
        ("bandwidth_limit_rule", {"max_kbps": 2**31}, "max_kbps"),
        ("bandwidth_limit_rule", {"max_kbps": 1, "max_burst_kbps": "much"}, "max_burst_kbps"),
        ("bandwidth_limit_rule", {"max_kbps": 1, "direction": "both"}, "direction"),
        ("bandwidth_limit_rule", {"max_kbps": 1, "qos_policy_id": NO_SUCH_ID}, "qos_policy_id"),
        ("packet_rate_limit_rule", {"max_kpps": None}, "max_kpps"),
        ("dscp_marking_rule", {"dscp_mark": 1}, "dscp_mark"),
        ("dscp_marking_rule", {"dscp_mark": 46, "direction": "ingress"}, "direction"),
    ),
)
def test_bad_rules_are_refused_by_name(live: Live, boss: str, gold: Json, kind: str, values: Json, says: str) -> None:
    status, _, message = error(live.client.post(path(gold, f"{kind}s"), {kind: values}, token=boss))
    assert (status, says in message) == (400, True), message
    assert live.client.get(path(gold), token=boss).json == {"policy": gold}


@pytest.mark.parametrize("kind", ("minimum_bandwidth", "minimum_packet_rate"))
def test_guarantees_are_refused_in_so_many_words(live: Live, boss: str, gold: Json, kind: str) -> None:
    body = {f"{kind}_rule": {"min_kbps": 5}}
    status, of_type, message = error(live.client.post(path(gold, f"{kind}_rules"), body, token=boss))
    assert (status, of_type) == (400, "QosRuleTypeNotSupported")
    assert kind in message
    assert "bandwidth_limit" in message
    assert error(live.client.post(path(gold, f"{kind}_rules"), body, token=live.red))[:2] == (404, "QosPolicyNotFound")


def test_rule_types(live: Live) -> None:
    for query in ("", "?all_rules=True", "?all_supported=true"):
        listed = live.client.get(f"/v2.0/qos/rule-types{query}", token=live.blue).json
        assert listed == {"rule_types": [{"type": part.name.removesuffix("_rule")} for part in PARTS]}
    assert error(live.client.get("/v2.0/qos/rule-types?drivers=x", token=live.blue))[0] == 400
    shown = live.client.get("/v2.0/qos/rule-types/bandwidth_limit", token=live.blue).json["rule_type"]
    whole = {"start": 0, "end": 2**31 - 1}
    assert shown == {
        "type": "bandwidth_limit",
        "drivers": [
            {
                "name": "sdnctl",
                "supported_parameters": [
                    {"parameter_name": "max_kbps", "parameter_type": "range", "parameter_values": whole},
                    {"parameter_name": "max_burst_kbps", "parameter_type": "range", "parameter_values": whole},
                    {
                        "parameter_name": "direction",
                        "parameter_type": "choices",
                        "parameter_values": ["egress", "ingress"],
                    },
                ],
            }
        ],
    }
    assert error(live.client.get("/v2.0/qos/rule-types/minimum_bandwidth", token=live.blue))[0] == 404


def test_who_may_what(live: Live, boss: str, gold: Json) -> None:
    """Managers make policies for their project, admins for all; a member looks and uses; strangers see the shared."""
    rule = add(live, boss, gold, "bandwidth_limit_rule", max_kbps=1)
    mine = path(gold, f"bandwidth_limit_rules/{rule['id']}")
    assert live.client.get(mine, token=live.blue).status_int == 200
    for response in (
        live.client.post("/v2.0/qos/policies", {"policy": {}}, token=live.blue),
        live.client.put(path(gold), {"policy": {"name": "x"}}, token=live.blue),
        live.client.delete(path(gold), token=live.blue),
        live.client.post(path(gold, "dscp_marking_rules"), {"dscp_marking_rule": {"dscp_mark": 8}}, token=live.blue),
        live.client.put(mine, {"bandwidth_limit_rule": {"max_kbps": 9}}, token=live.blue),
        live.client.delete(mine, token=live.blue),
        live.client.post("/v2.0/qos/policies", {"policy": {"shared": True}}, token=boss),
        live.client.put(path(gold), {"policy": {"shared": True}}, token=boss),
    ):
        assert error(response)[:2] == (403, "PolicyNotAuthorized"), response.text
    red = live.token("red", "manager")
    network = live.make("network", live.red)
    for token in (red, live.red):
        for response in (
            live.client.get(path(gold), token=token),
            live.client.get(mine, token=token),
            live.client.delete(mine, token=token),
            live.client.put(f"/v2.0/networks/{network['id']}", {"network": {"qos_policy_id": gold["id"]}}, token=token),
        ):
            assert error(response)[0] == 404
    assert live.client.get("/v2.0/qos/policies", token=red).json == {"policies": []}
    assert live.client.put(path(gold), {"policy": {"shared": True}}, token=live.admin).status_int == 200
    assert live.client.get(mine, token=red).status_int == 200
    assert error(live.client.delete(mine, token=red))[0] == 403
    assert error(live.client.put(path(gold), {"policy": {"name": "x"}}, token=red))[0] == 403
    used = live.client.put(f"/v2.0/networks/{network['id']}", {"network": {"qos_policy_id": gold["id"]}}, token=red)
    assert used.json["network"]["qos_policy_id"] == gold["id"]
    unshared = live.client.put(path(gold), {"policy": {"shared": False}}, token=live.admin)
    assert error(unshared)[:2] == (409, "QosPolicyInUse")


def test_in_use_by_networks_and_ports(live: Live, boss: str, gold: Json) -> None:
    network = live.network(live.blue, qos_policy_id=gold["id"])
    port = live.make("port", live.blue, network_id=network["id"])
    assert (port["qos_policy_id"], port["qos_network_policy_id"]) == (None, gold["id"])
    [server] = live.client.get("/v2.0/ports?device_owner=network:dhcp", token=live.admin).json["ports"]
    assert (server["qos_policy_id"], server["qos_network_policy_id"]) == (None, None)
    assert error(live.client.delete(path(gold), token=boss))[:2] == (409, "QosPolicyInUse")
    for body in ({"qos_policy_id": gold["id"]}, {"name": "still"}):
        port = live.client.put(f"/v2.0/ports/{port['id']}", {"port": body}, token=live.blue).json["port"]
        assert port["qos_policy_id"] == gold["id"]
    live.client.put(f"/v2.0/networks/{network['id']}", {"network": {"qos_policy_id": None}}, token=live.blue)
    status, kind, message = error(live.client.delete(path(gold), token=boss))
    assert (status, kind) == (409, "QosPolicyInUse")
    assert str(port["id"]) in message
    assert live.client.delete(f"/v2.0/ports/{port['id']}", token=live.blue).status_int == 204
    assert live.client.delete(path(gold), token=boss).status_int == 204
    unknown = {"port": {"network_id": network["id"], "qos_policy_id": gold["id"]}}
    assert error(live.client.post("/v2.0/ports", unknown, token=live.blue))[:2] == (404, "QosPolicyNotFound")


def test_what_an_admin_imposed_a_member_cannot_take_off(live: Live) -> None:
    imposed = live.make("qos_policy", name="imposed")
    network = live.make("network", live.blue)
    port = live.make("port", live.blue, network_id=network["id"])
    for kind, item in (("network", network), ("port", port)):
        where = f"/v2.0/{kind}s/{item['id']}"
        assert live.client.put(where, {kind: {"qos_policy_id": imposed["id"]}}, token=live.admin).status_int == 200
        refused = live.client.put(where, {kind: {"qos_policy_id": None}}, token=live.blue)
        assert error(refused)[:2] == (403, "PolicyNotAuthorized")
        same = live.client.put(where, {kind: {"qos_policy_id": imposed["id"], "name": "x"}}, token=live.blue)
        assert same.json[kind]["qos_policy_id"] == imposed["id"]


def test_the_default_policy_is_what_new_networks_get(live: Live, boss: str, gold: Json) -> None:
    assert live.make("network", live.blue)["qos_policy_id"] is None
    live.client.put(path(gold), {"policy": {"is_default": True}}, token=boss)
    assert live.make("network", live.blue)["qos_policy_id"] == gold["id"]
    assert live.make("network", live.blue, qos_policy_id=None)["qos_policy_id"] is None
    assert live.make("network", live.red)["qos_policy_id"] is None
    second = {"policy": {"is_default": True}}
    kind = "QoSPolicyDefaultAlreadyExists"
    assert error(live.client.post("/v2.0/qos/policies", second, token=boss))[:2] == (409, kind)
    other = live.make("qos_policy", boss)
    assert error(live.client.put(path(other), second, token=boss))[:2] == (409, kind)
    assert live.client.put(path(gold), second, token=boss).status_int == 200
    live.client.put(path(gold), {"policy": {"is_default": False}}, token=boss)
    assert live.client.put(path(other), second, token=boss).status_int == 200


def test_a_policy_goes_with_its_rules(live: Live, boss: str, gold: Json) -> None:
    for kind, values in RULES.items():
        add(live, boss, gold, kind, **values)
    assert live.client.delete(path(gold), token=boss).status_int == 204
    again = live.make("qos_policy", boss)
    assert again["rules"] == []
    assert error(live.client.delete(f"/v2.0/projects/{live.projects['blue']}", token=live.admin))[:2] == (
        409,
        "ProjectInUse",
    )
