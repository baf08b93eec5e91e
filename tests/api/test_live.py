# SPDX-License-Identifier: Apache-2.0
"""The API over the real store: the tables and the store mean the same, and what the store refuses gets its code."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from sdnctl import runtime
from sdnctl.api.resources import BY_NAME, HOST, RESOURCES, TOKEN, Attribute, Default, May, Resource
from tests.api.client import error
from tests.api.live import Live, opened
from tests.events import event

HOST_BODY = {"name": "h1", "ovsdb": "tcp:192.0.2.1:6640", "tunnel_ip": "192.0.2.1"}
NO_SUCH_ID = "6f3a0f1c-3a55-4f0e-8f5e-0123456789ab"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """One object of each kind, for tests that change nothing that others look at."""
    with opened(tmp_path_factory.mktemp("cloud")) as live:
        network = live.network(name="n", **{"provider:network_type": "vlan", "provider:physical_network": "physnet1"})
        live.make("host", **HOST_BODY)
        port = live.make("port", network_id=network["id"], name="p")
        group = live.make("security_group", name="g")
        addresses = live.make("address_group", name="a", addresses=["192.0.2.0/24"])
        live.make("ip_group", network_id=network["id"], ip_address="fe80::1", port_ids=[port["id"]])
        rule = {"security_group_id": group["id"], "direction": "ingress"}
        live.make("security_group_rule", **rule, protocol="tcp", port_range_min=80, port_range_max=81)
        live.make("security_group_rule", **rule, remote_ip_prefix="192.0.2.5/24")
        live.make("security_group_rule", **rule, remote_address_group_id=addresses["id"])
        live.make("qos_policy", name="q", is_default=True)
        live.store.record_events([event(1), event(2)])
        yield live


@pytest.fixture
def examples(cloud: Live) -> dict[str, dict[str, object]]:
    """One object of each kind, as the API shows it to an admin now."""
    found = {}
    for resource in RESOURCES:
        listed = cloud.client.get(f"/v2.0/{resource.path}", token=cloud.admin).json[resource.collection]
        # The network's own DHCP port is a port too.
        found[resource.name] = next(one for one in listed if one.get("device_owner", "") == "")
    return found


# -------------------------------------------------------------------------------------- the tables and the store agree


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.name)
def test_an_admin_sees_every_attribute_of_the_table(examples: dict[str, dict[str, object]], resource: Resource) -> None:
    expected = {attribute.name for attribute in resource.attributes if attribute.seen_by}
    if "project_id" in expected:
        expected.add("tenant_id")
    if resource is TOKEN:
        expected.remove("secret")
    if resource is HOST:
        known = {"state", "applied_revision", "error", "flows"}
        stored = {attribute.name for attribute in HOST.attributes if attribute.may}
        standard = {"created_at", "updated_at"}
        assert (
            stored | standard | known
            >= set(examples["host"])
            >= (stored | standard) - {"tags-any", "not-tags", "not-tags-any"}
        )
        return
    assert set(examples[resource.name]) == expected


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.name)
def test_every_value_shown_is_a_value_of_its_type(examples: dict[str, dict[str, object]], resource: Resource) -> None:
    for name, value in examples[resource.name].items():
        if name not in {"dns_assignment", "binding:vif_details"}:
            assert resource.by_name[name].type.parse(value, name) == value


def _rows(may: May) -> list[object]:
    return [
        pytest.param(resource, attribute, id=f"{resource.name}.{attribute.name}")
        for resource in RESOURCES
        for attribute in resource.attributes
        if may in attribute.may
    ]


@pytest.mark.parametrize(("resource", "attribute"), _rows(May.FILTER))
def test_every_filter_finds_what_has_the_value_and_not_the_others(
    cloud: Live, examples: dict[str, dict[str, object]], resource: Resource, attribute: Attribute
) -> None:
    path = f"/v2.0/{resource.path}"
    example = examples[resource.name]
    match attribute.name:
        case "tags" | "tags-any":
            cloud.client.put(f"{path}/{example['id']}/tags", {"tags": ["a", "b"]}, token=cloud.admin)
            terms, others = ["a", "b"], ["a,c" if attribute.name == "tags" else "c"]
        case "not-tags" | "not-tags-any":
            cloud.client.put(f"{path}/{example['id']}/tags", {"tags": ["a", "b"]}, token=cloud.admin)
            terms, others = ["c"], ["a"]
        case "fixed_ips":
            [fixed] = example["fixed_ips"]  # type: ignore[misc]
            terms = [f"{key}%3D{value}" for key, value in fixed.items()]
            others = ["ip_address%3D192.0.2.77", f"subnet_id%3D{NO_SUCH_ID}"]
        case "security_groups" | "port_ids":
            terms, others = list(example[attribute.name]), [NO_SUCH_ID]  # type: ignore[call-overload]
        case name:
            value = example[name]
            terms = [str(value)] if value is not None else []
            others = [str(not value)] if isinstance(value, bool) else ["4711"]
    for term in terms:
        response = cloud.client.get(f"{path}?{attribute.name}={term}", token=cloud.admin)
        assert response.status_int == 200, response.text
        assert example["id"] in {one["id"] for one in response.json[resource.collection]}
    for term in others:
        response = cloud.client.get(f"{path}?{attribute.name}={term}", token=cloud.admin)
        assert response.status_int == 200, response.text
        assert example["id"] not in {one["id"] for one in response.json[resource.collection]}


@pytest.mark.parametrize(("resource", "attribute"), _rows(May.SORT))
def test_every_sort_key_sorts(
    cloud: Live, examples: dict[str, dict[str, object]], resource: Resource, attribute: Attribute
) -> None:
    path = f"/v2.0/{resource.path}?sort_key={attribute.name}&sort_dir="
    up = cloud.client.get(f"{path}asc", token=cloud.admin)
    down = cloud.client.get(f"{path}desc", token=cloud.admin)
    assert up.status_int == down.status_int == 200
    values = [one[attribute.name] for one in up.json[resource.collection]]
    assert values == sorted(values, key=lambda value: (value is not None, value))
    assert values == [one[attribute.name] for one in down.json[resource.collection]][::-1]


@pytest.mark.parametrize(("resource", "attribute"), _rows(May.UPDATE))
def test_every_changeable_attribute_takes_what_it_is(
    cloud: Live, examples: dict[str, dict[str, object]], resource: Resource, attribute: Attribute
) -> None:
    example = examples[resource.name]
    token = cloud.token("red", "admin", "service") if attribute.name == "binding:profile" else cloud.admin
    body = {resource.key: {attribute.name: example[attribute.name]}}
    response = cloud.client.put(f"/v2.0/{resource.path}/{example['id']}", body, token=token)
    assert response.status_int == 200, response.text
    assert response.json[resource.key][attribute.name] == example[attribute.name]


def test_defaults_mean_what_the_store_would_have_chosen(live: Live) -> None:
    """A default of the tables is a value that a POST may also send."""
    network = live.network()
    bodies: dict[str, dict[str, object]] = {
        "network": {},
        "subnet": {"network_id": network["id"], "ip_version": 4, "cidr": "10.9.0.0/24"},
        "port": {"network_id": network["id"]},
        "host": HOST_BODY,
        "project": {"name": "green"},
        "token": {"project_id": live.projects["blue"]},
    }
    for kind, body in bodies.items():
        resource = BY_NAME[kind]
        said = {
            attribute.name: attribute.default
            for attribute in resource.attributes
            if May.CREATE in attribute.may and not isinstance(attribute.default, Default)
        }
        made = live.make(kind, **(said | body))
        for name, value in (said | body).items():
            if name != "mtu":
                assert made[name] == value


# ---------------------------------------------------------------------------------------------------- a day in the life


def test_from_a_network_to_a_port(live: Live) -> None:
    network = live.make("network", live.blue, name="blue")
    assert network["mtu"] == 1450
    assert network["status"] == "ACTIVE"
    assert network["subnets"] == []
    subnet = live.make("subnet", live.blue, network_id=network["id"], ip_version=4, cidr="10.0.0.7/24")
    assert (subnet["cidr"], subnet["gateway_ip"]) == ("10.0.0.0/24", "10.0.0.1")
    assert subnet["allocation_pools"] == [{"start": "10.0.0.2", "end": "10.0.0.254"}]
    port = live.make("port", live.blue, network_id=network["id"])
    [fixed] = port["fixed_ips"]  # type: ignore[misc]
    assert fixed["subnet_id"] == subnet["id"]
    assert port["status"] == "DOWN"
    assert str(port["mac_address"]).startswith("fa:16:3e:")
    shown = live.client.get(f"/v2.0/networks/{network['id']}", token=live.blue).json["network"]
    assert shown["subnets"] == [subnet["id"]]
    assert shown["revision_number"] > network["revision_number"]

    in_use = live.client.delete(f"/v2.0/networks/{network['id']}", token=live.blue)
    assert error(in_use)[:2] == (409, "NetworkInUse")
    for path in (f"ports/{port['id']}", f"subnets/{subnet['id']}", f"networks/{network['id']}"):
        assert live.client.delete(f"/v2.0/{path}", token=live.blue).status_int == 204
    for collection in ("networks", "subnets", "ports"):
        assert live.client.get(f"/v2.0/{collection}", token=live.admin).json == {collection: []}


@pytest.mark.parametrize(
    ("kind", "body", "code", "error_type", "word"),
    (
        ("subnet", {"ip_version": 4, "cidr": "10.0.0.0/25"}, 400, "InvalidInput", "10.0.0.0/24"),
        ("subnet", {"ip_version": 6, "cidr": "10.1.0.0/24"}, 400, None, "ip_version"),
        ("subnet", {"ip_version": 4, "cidr": "10.1.0.0/24", "gateway_ip": "10.1.0.9",
          "allocation_pools": [{"start": "10.1.0.2", "end": "10.1.0.20"}]},
         409, "GatewayConflictWithAllocationPools", "10.1.0.9"),
        ("port", {"fixed_ips": [{"ip_address": "192.0.2.1"}]}, 400, "InvalidIpForNetwork", "192.0.2.1"),
        ("port", {"fixed_ips": [{"ip_address": "10.0.0.5"}]}, 409, "IpAddressAlreadyAllocated", "10.0.0.5"),
        ("port", {"mac_address": "fa:16:3e:00:00:05"}, 409, "MacAddressInUse", "fa:16:3e:00:00:05"),
        ("port", {"allowed_address_pairs": [{"ip_address": "10.0.0.9"}], "port_security_enabled": False},
         409, "AddressPairAndPortSecurityRequired", "port_security_enabled"),
    ),
)  # fmt: skip
def test_refusals_of_the_store(
    live: Live, kind: str, body: dict[str, object], code: int, error_type: str | None, word: str
) -> None:
    network = live.network(live.blue)
    live.make(
        "port",
        live.blue,
        network_id=network["id"],
        fixed_ips=[{"ip_address": "10.0.0.5"}],
        mac_address="fa:16:3e:00:00:05",
    )
    response = live.client.post(f"/v2.0/{kind}s", {kind: {"network_id": network["id"], **body}}, token=live.blue)
    status, found, message = error(response)
    assert (status, found) == (code, error_type or found)
    assert word in message


def test_tenants_do_not_see_each_other(live: Live) -> None:
    network = live.network(live.blue)
    port = live.make("port", live.blue, network_id=network["id"])
    for kind, item in (("network", network["id"]), ("port", port["id"]), ("subnet", live.client.get(
        "/v2.0/subnets", token=live.blue).json["subnets"][0]["id"])):  # fmt: skip
        assert error(live.client.get(f"/v2.0/{kind}s/{item}", token=live.red))[0] == 404
        assert error(live.client.delete(f"/v2.0/{kind}s/{item}", token=live.red))[0] == 404
        assert live.client.get(f"/v2.0/{kind}s", token=live.red).json == {f"{kind}s": []}
    response = live.client.post("/v2.0/ports", {"port": {"network_id": network["id"]}}, token=live.red)
    assert error(response)[:2] == (404, "NetworkNotFound")


def test_a_shared_network_is_used_and_not_changed(live: Live) -> None:
    network = live.network(shared=True)
    path = f"/v2.0/networks/{network['id']}"
    assert live.client.get(path, token=live.blue).status_int == 200
    live.make("port", live.blue, network_id=network["id"])
    assert error(live.client.put(path, {"network": {"name": "x"}}, token=live.blue))[:2] == (403, "PolicyNotAuthorized")
    assert error(live.client.delete(path, token=live.blue))[:2] == (403, "PolicyNotAuthorized")
    body = {"port": {"network_id": network["id"], "port_security_enabled": False}}
    assert error(live.client.post("/v2.0/ports", body, token=live.blue))[:2] == (403, "PolicyNotAuthorized")


def test_an_external_network_is_seen_and_carries_no_tenants_ports(live: Live) -> None:
    network = live.network(**{"router:external": True})
    found = live.client.get("/v2.0/networks?router:external=True", token=live.blue).json["networks"]
    assert [one["id"] for one in found] == [network["id"]]
    response = live.client.post("/v2.0/ports", {"port": {"network_id": network["id"]}}, token=live.blue)
    assert error(response)[:2] == (403, "PolicyNotAuthorized")


def test_subnets_kept_for_a_kind_of_port(live: Live) -> None:
    network = live.make("network")
    common = {"network_id": network["id"], "ip_version": 4}
    routers = live.make("subnet", **common, cidr="10.0.0.0/24", service_types=["network:router_gateway"])
    guests = live.make("subnet", **common, cidr="10.0.1.0/24")
    port = live.make("port", network_id=network["id"], device_owner="compute:nova")
    assert [one["subnet_id"] for one in port["fixed_ips"]] == [guests["id"]]  # type: ignore[index, attr-defined]
    gateway = live.make("port", network_id=network["id"], device_owner="network:router_gateway")
    assert [one["subnet_id"] for one in gateway["fixed_ips"]] == [routers["id"]]  # type: ignore[index, attr-defined]
    body = {"subnet": {**common, "cidr": "10.0.2.0/24", "service_types": ["x"]}}
    assert error(live.client.post("/v2.0/subnets", body, token=live.blue))[0] == 403


def test_plug(live: Live) -> None:
    live.make("host", **HOST_BODY)
    port = live.make("port", network_id=live.network()["id"])
    path = f"/v2.0/ports/{port['id']}"
    plugged = live.client.put(f"{path}/plug", {"plug": {"host": "h1"}}, token=live.admin).json["port"]
    assert plugged["plug"] == {"host": "h1", "type": "internal", "interface": f"tap{str(port['id'])[:11]}"}
    assert (plugged["binding:host_id"], plugged["binding:vif_type"]) == ("h1", "ovs")
    unplugged = live.client.put(f"{path}/unplug", {"unplug": {}}, token=live.admin).json["port"]
    assert (unplugged["plug"], unplugged["binding:host_id"], unplugged["binding:vif_type"]) == (None, "", "unbound")
    unknown = live.client.put(f"{path}/plug", {"plug": {"host": "h9"}}, token=live.admin)
    assert error(unknown)[0] == 400
    assert "h1" in error(unknown)[2]


def test_what_nova_does_with_a_port(live: Live) -> None:
    """Made by the user, bound by the service user of another project, given back at the end."""
    live.make("host", **HOST_BODY)
    network = live.network(live.blue)
    port = live.make("port", live.blue, network_id=network["id"], device_id=NO_SUCH_ID, admin_state_up=True)
    path = f"/v2.0/ports/{port['id']}"
    wanted = {"device_owner": "compute:nova", "binding:host_id": "h1", "binding:profile": {"os_vif_delegation": True}}
    bound = live.client.put(path, {"port": wanted}, token=live.service).json["port"]
    assert bound["binding:vif_type"] == "ovs"
    assert bound["binding:vif_details"]["bridge_name"] == "br-int"
    assert bound["binding:profile"] == {"os_vif_delegation": True}
    nowhere = live.client.put(path, {"port": {"binding:host_id": "h9"}}, token=live.service).json["port"]
    assert nowhere["binding:vif_type"] == "binding_failed"
    assert error(live.client.delete(path, token=live.blue))[:2] == (403, "PolicyNotAuthorized")
    given_back = {"device_id": "", "device_owner": "", "binding:host_id": None, "binding:profile": {}}
    free = live.client.put(path, {"port": given_back}, token=live.service).json["port"]
    assert (free["binding:vif_type"], free["binding:host_id"], free["device_owner"]) == ("unbound", "", "")
    assert live.client.delete(path, token=live.blue).status_int == 204


def test_tokens_let_in_until_they_do_not(live: Live) -> None:
    made = live.make("token", project_id=live.projects["blue"], name="ci", roles=["reader"])
    secret = str(made["secret"])
    path = f"/v2.0/tokens/{made['id']}"
    assert live.client.get("/v2.0/networks", token=secret).status_int == 200
    assert error(live.client.post("/v2.0/networks", {"network": {}}, token=secret))[0] == 403
    assert "secret" not in live.client.get(path, token=live.admin).json["token"]
    assert live.client.delete(path, token=live.admin).status_int == 204
    assert live.client.get("/v2.0/networks", token=secret).status_int == 401

    project = f"/v2.0/projects/{live.projects['blue']}"
    assert live.client.put(project, {"project": {"enabled": False}}, token=live.admin).status_int == 200
    assert live.client.get("/v2.0/networks", token=live.blue).status_int == 401
    assert live.client.get("/v2.0/networks", token=live.red).status_int == 200


def test_waiting_shows_the_secret_of_a_token_too(live: Live) -> None:
    body = {"token": {"project_id": live.projects["blue"]}}
    made = live.client.post("/v2.0/tokens?wait=applied", body, token=live.admin).json["token"]
    assert made["secret"]


# --------------------------------------------------------------------------------------------------------------- pages


def _walk(live: Live, url: str, relation: str) -> Iterator[list[str]]:
    """Names on each page, following links until there is none."""
    while True:
        split = urlsplit(url)
        body = live.client.get(f"{split.path}?{split.query}", token=live.admin).json
        if not body["networks"]:
            return
        yield [one["name"] for one in body["networks"]]
        following = [link["href"] for link in body["networks_links"] if link["rel"] == relation]
        if not following:
            return
        [url] = following


@pytest.mark.parametrize("order", ("asc", "desc"))
@pytest.mark.parametrize("key", ("name", "mtu"))
def test_pages_by_their_links(live: Live, key: str, order: str) -> None:
    """Forward and back again, over ties, every object once."""
    names = [f"n{number}" for number in range(7)]
    live.client.post("/v2.0/networks", {"networks": [{"name": name} for name in names]}, token=live.admin)
    query = f"sort_key={key}&sort_dir={order}"
    whole = [one["name"] for one in live.client.get(f"/v2.0/networks?{query}", token=live.admin).json["networks"]]
    assert sorted(whole) == names
    pages = list(_walk(live, f"/v2.0/networks?{query}&limit=3", "next"))
    assert [len(page) for page in pages] == [3, 3, 1]
    assert list(itertools.chain(*pages)) == whole
    last = live.client.get(f"/v2.0/networks?{query}&limit=1&page_reverse=True", token=live.admin).json["networks"]
    assert [one["name"] for one in last] == whole[-1:]
    back = list(_walk(live, f"/v2.0/networks?{query}&limit=3&page_reverse=True", "previous"))
    assert list(itertools.chain(*back[::-1])) == whole


def test_an_unknown_marker(live: Live) -> None:
    assert error(live.client.get(f"/v2.0/networks?limit=1&marker={NO_SUCH_ID}", token=live.admin))[0] == 404
    assert live.client.get(f"/v2.0/networks?marker={NO_SUCH_ID}", token=live.admin).status_int == 200


# ------------------------------------------------------------------------------------------------------- all at once


@pytest.mark.proves("S24")
def test_200_requests_at_once_get_200_addresses(live: Live) -> None:
    network = live.network(live.blue)
    body = {"port": {"network_id": network["id"]}}
    tasks = [runtime.spawn(lambda: live.client.post("/v2.0/ports", body, token=live.blue)) for _ in range(200)]
    answers = [task.join() for task in tasks]
    assert {answer.status_int for answer in answers} == {201}
    addresses = {answer.json["port"]["fixed_ips"][0]["ip_address"] for answer in answers}
    macs = {answer.json["port"]["mac_address"] for answer in answers}
    assert len(addresses) == len(macs) == 200


def test_two_changes_that_name_the_same_revision(live: Live) -> None:
    """Of two that saw the same object, one wins and the other is told."""
    network = live.make("network", live.blue)
    path = f"/v2.0/networks/{network['id']}"
    headers = {"If-Match": f"revision_number={network['revision_number']}"}

    def change(name: str) -> int:
        response = live.client.put(path, {"network": {"name": name}}, token=live.blue, headers=headers)
        return int(response.status_int)

    tasks = [runtime.spawn(change, name) for name in ("a", "b")]
    assert sorted(task.join() for task in tasks) == [200, 412]


@pytest.mark.proves("S24")
def test_bulk_is_all_or_nothing(live: Live) -> None:
    network = live.network(live.blue, "10.0.0.0/29")
    ports = [{"network_id": network["id"]} for _ in range(10)]
    status, kind, _ = error(live.client.post("/v2.0/ports", {"ports": ports}, token=live.blue))
    assert (status, kind) == (409, "IpAddressGenerationFailure")
    left = live.client.get("/v2.0/ports?device_owner=", token=live.blue).json["ports"]
    assert left == []
