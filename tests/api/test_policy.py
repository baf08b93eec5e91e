# SPDX-License-Identifier: Apache-2.0
"""Who may do what with which attribute, from the tables."""

from __future__ import annotations

import pytest
from netaddr import IPAddress
from webob import Response

from sdnctl.model.question import Connection, PacketQuestion
from tests.api.client import Client, error
from tests.api.fake import ADMIN, MEMBER, OTHER, OTHER_PROJECT, PROJECT, READER, SERVICE, FakeFabric, FakeRepository

HOST = {"name": "h1", "ovsdb": "tcp:192.0.2.1:6640"}


@pytest.fixture
def network(client: Client) -> dict[str, object]:
    return client.make("network", token=MEMBER)


@pytest.fixture
def port(client: Client, network: dict[str, object]) -> dict[str, object]:
    return client.make("port", token=MEMBER, network_id=network["id"])


@pytest.mark.parametrize(
    ("name", "value"),
    (
        ("shared", True),
        ("router:external", True),
        ("provider:network_type", "flat"),
        ("provider:physical_network", "physnet1"),
        ("provider:segmentation_id", 5),
    ),
)
def test_a_member_may_not_create_with_what_is_the_admins(client: Client, name: str, value: object) -> None:
    status, kind, message = error(client.post("/v2.0/networks", {"network": {name: value}}, token=MEMBER))
    assert (status, kind) == (403, "PolicyNotAuthorized")
    assert f"'{name}'" in message
    assert "role admin" in message
    assert client.make("network", token=ADMIN, **{name: value})[name] == value


def test_saying_the_default_is_no_setting(client: Client) -> None:
    """Clients like Ansible's modules send `shared: false` with every network."""
    client.make("network", token=MEMBER, shared=False, **{"router:external": "False"})


def test_a_member_may_not_change_what_is_the_admins(client: Client, network: dict[str, object]) -> None:
    path = f"/v2.0/networks/{network['id']}"
    assert error(client.put(path, {"network": {"shared": False}}, token=MEMBER))[:2] == (403, "PolicyNotAuthorized")
    assert client.put(path, {"network": {"shared": True}}, token=ADMIN).json["network"]["shared"] is True


def test_what_a_member_may_not_see_is_absent(
    client: Client, network: dict[str, object], port: dict[str, object]
) -> None:
    """Absent, not null: in lists, single objects and answers to writes."""
    hidden = {"binding:host_id", "binding:profile", "plug"}
    path = f"/v2.0/ports/{port['id']}"
    client.put(f"{path}/plug", {"plug": {"host": "h1"}})
    views = [
        client.get(path, token=MEMBER).json["port"],
        client.get("/v2.0/ports", token=MEMBER).json["ports"][0],
        client.put(path, {"port": {"name": "x"}}, token=MEMBER).json["port"],
        client.get(f"{path}?fields=binding:host_id&fields=id", token=MEMBER).json["port"],
    ]
    for view in views:
        assert hidden.isdisjoint(view)
        assert view["id"] == port["id"]
    assert views[0]["binding:vnic_type"] == "normal"
    assert hidden <= set(client.get(path, token=ADMIN).json["port"])
    assert hidden <= set(client.get(path, token=SERVICE).json["port"])
    provider = client.make("network", token=ADMIN, **{"provider:network_type": "vxlan"})
    assert "provider:network_type" not in client.get(f"/v2.0/networks/{provider['id']}", token=MEMBER).json["network"]


def test_a_filter_by_what_is_hidden_still_works(client: Client) -> None:
    made = client.make("network", token=ADMIN, **{"provider:network_type": "vxlan"})
    listed = client.get("/v2.0/networks?provider:network_type=vxlan", token=MEMBER).json["networks"]
    assert [one["id"] for one in listed] == [made["id"]]


@pytest.mark.parametrize(
    ("changes", "allowed", "refused"),
    (
        ({"binding:host_id": "h1"}, (ADMIN, SERVICE), (MEMBER,)),
        ({"binding:profile": {"a": 1}}, (SERVICE,), (MEMBER, ADMIN)),
        ({"mac_address": "fa:16:3e:00:00:09"}, (ADMIN, SERVICE), (MEMBER,)),
        ({"binding:vnic_type": "normal"}, (ADMIN, SERVICE, MEMBER), ()),
    ),
)
def test_bindings(
    client: Client,
    port: dict[str, object],
    changes: dict[str, object],
    allowed: tuple[str, ...],
    refused: tuple[str, ...],
) -> None:
    path = f"/v2.0/ports/{port['id']}"
    for token in allowed:
        assert client.put(path, {"port": changes}, token=token).status_int == 200
    for token in refused:
        assert error(client.put(path, {"port": changes}, token=token))[:2] == (403, "PolicyNotAuthorized")


def test_a_member_may_choose_the_mac_of_a_new_port(client: Client, network: dict[str, object]) -> None:
    made = client.make("port", token=MEMBER, network_id=network["id"], mac_address="FA:16:3E:00:00:07")
    assert made["mac_address"] == "fa:16:3e:00:00:07"


def test_null_unbinds(client: Client, port: dict[str, object]) -> None:
    """What Nova sends when it gives a port back."""
    changes = {"binding:host_id": None, "binding:profile": None, "device_id": "", "device_owner": ""}
    changed = client.put(f"/v2.0/ports/{port['id']}", {"port": changes}, token=SERVICE).json["port"]
    assert changed["binding:host_id"] == ""
    assert changed["binding:profile"] == {}


def test_a_reader_reads(client: Client, network: dict[str, object]) -> None:
    path = f"/v2.0/networks/{network['id']}"
    assert client.get(path, token=READER).status_int == 200
    for response in (
        client.post("/v2.0/networks", {"network": {}}, token=READER),
        client.put(path, {"network": {"name": "x"}}, token=READER),
        client.put(f"{path}/tags/x", token=READER),
        client.delete(path, token=READER),
    ):
        assert error(response)[:2] == (403, "PolicyNotAuthorized")
    foreign = client.make("network", token=OTHER)
    assert error(client.delete(f"/v2.0/networks/{foreign['id']}", token=READER))[:2] == (404, "NetworkNotFound")


@pytest.mark.parametrize(
    ("kind", "body"),
    (("host", HOST), ("project", {"name": "blue"}), ("token", {"project_id": OTHER_PROJECT})),
)
def test_what_is_for_admins_is_not_there_for_others(client: Client, kind: str, body: dict[str, object]) -> None:
    made = client.make(kind, token=ADMIN, **body)
    path = f"/v2.0/{kind}s"
    for token in (MEMBER, READER, SERVICE):
        assert error(client.get(path, token=token))[:2] == (403, "PolicyNotAuthorized")
        assert error(client.post(path, {kind: body}, token=token))[:2] == (403, "PolicyNotAuthorized")
        for method in ("GET", "PUT", "DELETE"):
            response = client.request(method, f"{path}/{made['id']}", {kind: {}}, token=token)
            assert error(response)[:2] == (404, f"{kind.capitalize()}NotFound")


# ------------------------------------------------------------------------------------------------------------- actions


@pytest.mark.parametrize("token", (ADMIN, SERVICE))
def test_plug_and_unplug(client: Client, port: dict[str, object], token: str) -> None:
    path = f"/v2.0/ports/{port['id']}"
    default = f"tap{str(port['id'])[:11]}"
    plugged = client.put(f"{path}/plug", {"plug": {"host": "h1"}}, token=token)
    assert plugged.status_int == 200
    assert plugged.json["port"]["plug"] == {"host": "h1", "type": "internal", "interface": default}
    assert plugged.json["port"]["binding:host_id"] == "h1"
    named = client.put(f"{path}/plug", {"plug": {"host": "h2", "type": "tap", "interface": "vnet3"}}, token=token)
    assert named.json["port"]["plug"] == {"host": "h2", "type": "tap", "interface": "vnet3"}
    unplugged = client.put(f"{path}/unplug", {"unplug": {}}, token=token)
    assert unplugged.json["port"]["plug"] is None
    assert unplugged.json["port"]["binding:host_id"] == ""


def test_unplug_leaves_alone_what_was_not_plugged(client: Client, port: dict[str, object]) -> None:
    path = f"/v2.0/ports/{port['id']}"
    client.put(path, {"port": {"binding:host_id": "h1"}})
    assert client.put(f"{path}/unplug", {"unplug": {}}).json["port"]["binding:host_id"] == "h1"


@pytest.mark.parametrize(
    ("body", "message"),
    (
        ({"plug": {}}, "plug: host is missing."),
        ({"plug": {"host": "h1", "type": "veth"}}, "plug.type: 'veth' is not one of internal, tap"),
        ({"plug": {"host": "h1", "interface": "a" * 16}}, "plug.interface: 'aaaaaaaaaaaaaaaa' has 16 characters"),
        ({"plug": {"host": "h1", "interface": "a/b"}}, "plug.interface: 'a/b' is not an interface name"),
        ({"plug": {"host": "h1", "iface": "a"}}, "unknown key 'iface' (did you mean 'interface'?)"),
        ({"plug": None}, "plug: null is not an object with host, type, interface."),
        ({"port": {}}, "The body must be an object with one key, 'plug'."),
    ),
)
def test_a_plug_that_cannot_be(client: Client, port: dict[str, object], body: object, message: str) -> None:
    status, _, text = error(client.put(f"/v2.0/ports/{port['id']}/plug", body))
    assert status == 400
    assert message in text


def test_members_do_not_plug(client: Client, port: dict[str, object]) -> None:
    path = f"/v2.0/ports/{port['id']}/plug"
    assert error(client.put(path, {"plug": {"host": "h1"}}, token=MEMBER))[:2] == (403, "PolicyNotAuthorized")
    assert error(client.put(path, {"plug": {"host": "h1"}}, token=OTHER))[:2] == (404, "PortNotFound")


def test_hosts_show_what_the_fabric_knows(client: Client, repository: FakeRepository) -> None:
    made = client.make("host", **HOST)
    assert made["state"] == "LIVE"
    shown = client.get(f"/v2.0/hosts/{made['id']}").json["host"]
    assert (shown["state"], shown["applied_revision"], shown["flows"]) == ("LIVE", 7, 12)
    assert "unknown" not in shown
    assert client.get("/v2.0/hosts").json["hosts"] == [shown]
    assert "state" not in repository.objects["host"][str(made["id"])]
    assert error(client.post("/v2.0/hosts", {"host": HOST | {"state": "LIVE"}}))[0] == 400


def test_flows_of_a_host(client: Client) -> None:
    made = client.make("host", **HOST)
    path = f"/v2.0/hosts/{made['id']}/flows"
    assert [flow["flow"] for flow in client.get(path).json["flows"]] == ["desired of h1"] * 2
    one = client.get(f"{path}?view=installed&app=classify").json["flows"]
    assert [(flow["flow"], flow["app"]) for flow in one] == [("installed of h1", "classify")]
    assert client.get(f"{path}?object=nothing").json == {"flows": []}
    assert error(client.get(f"{path}?view=all"))[:2] == (400, "InvalidInput")
    assert error(client.get(f"{path}?veiw=desired"))[0] == 400
    assert error(client.get(path, token=MEMBER))[:2] == (404, "HostNotFound")


def test_explain(client: Client) -> None:
    assert client.get("/v2.0/explain?cookie=0x5d").json == {"explanation": {"cookie": "0x5d", "app": "dhcp"}}
    assert client.get("/v2.0/explain?flow=cookie%3D0x5d%2C%20table%3D0").status_int == 200
    assert error(client.get("/v2.0/explain"))[0] == 400
    assert error(client.get("/v2.0/explain?cookie=1", token=MEMBER))[0] == 403


@pytest.fixture(name="sender")
def _sender(client: Client) -> str:
    network = client.make("network", token=MEMBER)
    return str(client.make("port", network_id=network["id"], token=MEMBER)["id"])


def ask(client: Client, packet: object, token: str = MEMBER) -> Response:
    return client.post("/v2.0/explain", {"packet": packet}, token=token)


def test_explain_a_packet(client: Client, sender: str, fabric: FakeFabric) -> None:
    """A member about his own ports; what the answer may name goes along with the question."""
    assert ask(client, {"port": sender}).json["explanation"]["verdict"] == "arrives"
    ask(client, {"port": sender, "to": sender, "fields": "tcp,tcp_dst=80", "connection": "reply", "installed": True})
    ask(client, {"port": sender, "to": "2001:db8::5"}, ADMIN)
    assert fabric.questions == [
        PacketQuestion(port_id=sender, project_id=PROJECT),
        PacketQuestion(
            port_id=sender,
            fields="tcp,tcp_dst=80",
            to_port=sender,
            to_address=None,
            connection=Connection.REPLY,
            installed=True,
            project_id=PROJECT,
        ),
        PacketQuestion(port_id=sender, to_address=IPAddress("2001:db8::5")),
    ]


def test_explain_a_packet_of_others(client: Client, sender: str, fabric: FakeFabric) -> None:
    own = client.make("port", network_id=client.make("network", token=OTHER)["id"], token=OTHER)["id"]
    assert error(ask(client, {"port": sender}, OTHER))[:2] == (404, "PortNotFound")
    assert error(ask(client, {"port": own, "to": sender}, OTHER))[:2] == (404, "PortNotFound")
    assert fabric.questions == []
    ask(client, {"port": own}, OTHER)
    assert fabric.questions[0].project_id == OTHER_PROJECT


@pytest.mark.parametrize(
    ("packet", "complaint"),
    (
        (None, "packet"),
        ({}, "port is missing"),
        ({"port": "vm1"}, "'vm1' is not a UUID"),
        ({"port": 7}, "packet.port"),
        ({"prot": "x"}, "unknown key 'prot'"),
        ({"port": "PORT", "to": "vm2"}, "neither an IP address nor the id of a port"),
        ({"port": "PORT", "fields": ["tcp"]}, "packet.fields"),
        ({"port": "PORT", "fields": "x" * 1025}, "at most 1024"),
        ({"port": "PORT", "connection": "old"}, "new, established, reply, related, invalid"),
        ({"port": "PORT", "installed": "perhaps"}, "packet.installed"),
    ),
)
def test_explain_says_what_is_wrong(client: Client, sender: str, packet: object, complaint: str) -> None:
    body = packet | {"port": sender} if isinstance(packet, dict) and packet.get("port") == "PORT" else packet
    status, kind, message = error(ask(client, body))
    assert (status, kind) == (400, "InvalidInput")
    assert complaint in message
    assert error(client.post("/v2.0/explain", {"packets": {}}, token=MEMBER))[0] == 400
