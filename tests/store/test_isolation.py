# SPDX-License-Identifier: Apache-2.0
"""Client isolation: which ports a network lists, that the list never names a port that is gone, and MAC filters."""

from __future__ import annotations

import pytest

from sdnctl.errors import ConflictError, ForbiddenError, InvalidError
from sdnctl.store import Store
from tests.store.cloud import ADMIN, ALICE, BOB, NOWHERE, Cloud


def test_off_and_empty_by_default(cloud: Cloud) -> None:
    network = cloud.network()
    assert (network["client_isolation"], network["service_ports"]) == (False, [])
    assert cloud.port(network)["is_service_port"] is False


def test_a_put_replaces_the_list(cloud: Cloud) -> None:
    network = cloud.network(client_isolation=True)
    first, second, third = cloud.ports(network, 3)
    for wanted in ([first, second], [second, third], [], [third]):
        ids = sorted(port["id"] for port in wanted)
        assert cloud.update("network", network, service_ports=ids)["service_ports"] == ids
        assert [port["id"] for port in cloud.list("port", is_service_port=True)] == ids
    assert cloud.update("network", network, name="n")["service_ports"] == [third["id"]]
    assert cloud.get("port", third)["is_service_port"] is True


def test_each_port_concerned_says_so_itself(cloud: Cloud) -> None:
    """And no other one: that is how what follows the journal hears of it."""
    network = cloud.network()
    first, second, _ = cloud.ports(network, 3)
    cloud.update("network", network, service_ports=[first["id"]])
    revision = cloud.store.revision()
    cloud.update("network", network, service_ports=[second["id"]])
    found = {(kind, object_id): changes for kind, object_id, _, changes in cloud.entries(revision)}
    assert found.keys() == {("network", network["id"]), ("port", first["id"]), ("port", second["id"])}
    assert found["port", first["id"]]["is_service_port"] == [True, False]
    assert found["network", network["id"]]["service_ports"] == [[first["id"]], [second["id"]]]
    revision = cloud.store.revision()
    cloud.update("network", network, service_ports=[second["id"]])
    assert cloud.entries(revision) == []


@pytest.mark.proves("S20")
def test_a_deleted_port_drops_out_in_the_same_transaction(cloud: Cloud) -> None:
    network = cloud.network()
    first, second = sorted(cloud.ports(network, 2), key=lambda port: str(port["id"]))
    listed = cloud.update("network", network, service_ports=[first["id"], second["id"]])
    revision = cloud.store.revision()
    cloud.delete("port", first)
    after = cloud.get("network", network)
    assert after["service_ports"] == [second["id"]]
    assert after["revision_number"] == listed["revision_number"] + 1
    assert {entry[:3] for entry in cloud.entries(revision)} == {
        ("network", network["id"], "update"),
        ("port", first["id"], "delete"),
    }
    cloud.delete("port", second)
    cloud.delete("network", network)


def test_what_cannot_be_a_service_port(cloud: Cloud) -> None:
    network = cloud.network()
    cloud.subnet(network)
    stranger = cloud.port(cloud.network())
    port, server = cloud.port(network), cloud.dhcp_port(network)
    assert server
    for wrong, reason in ((stranger["id"], "no ports of network"), (NOWHERE, NOWHERE), (server["id"], "DHCP server")):
        with pytest.raises(InvalidError, match=f"service_ports: .*{reason}"):
            cloud.update("network", network, service_ports=[port["id"], wrong], name="other")
    with pytest.raises(InvalidError, match="service_ports: a new network has no ports yet"):
        cloud.network(service_ports=[port["id"]])
    assert cloud.get("network", network) == cloud.get("network", network, ADMIN)
    assert (cloud.get("network", network)["service_ports"], cloud.get("network", network)["name"]) == ([], "")


@pytest.mark.proves("S20")
def test_the_networks_owner_decides(cloud: Cloud) -> None:
    """Whose ports they are does not matter; who only uses the network sees the list and does not change it."""
    network = cloud.network(ADMIN, shared=True, project_id=ALICE.project_id)
    port = cloud.port(network, BOB)
    for wish in ({"client_isolation": True}, {"service_ports": [port["id"]]}):
        with pytest.raises(ForbiddenError):
            cloud.update("network", network, BOB, **wish)
    changed = cloud.update("network", network, client_isolation=True, service_ports=[port["id"]])
    assert cloud.get("network", network, BOB) == changed


@pytest.mark.parametrize("loose", ({"security_filters": {"mac": False}}, {"port_security_enabled": False}), ids=str)
def test_clients_keep_their_mac_filter(cloud: Cloud, loose: dict[str, object]) -> None:
    """Or one would pass for a service port. A service port may do without, once it is one and while it is."""
    network = cloud.network(client_isolation=True)
    service, client = cloud.ports(network, 2, security_groups=[])
    cloud.update("network", network, service_ports=[service["id"]])
    for refused in (
        lambda: cloud.port(network, ADMIN, **loose),
        lambda: cloud.update("port", client, ADMIN, **loose),
        lambda: cloud.update("network", network, **loose),
    ):
        with pytest.raises(ConflictError, match=r"client_isolation: .*MAC filter") as told:
            refused()
        assert told.value.kind == "ClientIsolationNeedsMacFilter"
    assert cloud.update("port", client, security_filters={"ip": False, "arp": False})["security_filters"]["mac"]
    assert cloud.update("port", service, **loose)["security_filters"]["mac"] is False
    with pytest.raises(ConflictError, match=f"client_isolation: ports {service['id']}.*MAC filter"):
        cloud.update("network", network, service_ports=[])
    cloud.update("network", network, service_ports=[], client_isolation=False)
    with pytest.raises(ConflictError, match=f"client_isolation: ports {service['id']}.*MAC filter"):
        cloud.update("network", network, client_isolation=True)
    assert cloud.get("network", network)["client_isolation"] is False
    both = cloud.update("network", network, client_isolation=True, service_ports=[service["id"]])
    assert (both["client_isolation"], both["service_ports"]) == (True, [service["id"]])
    with pytest.raises(ConflictError, match=r"new ports of network .* MAC filter"):
        cloud.network(client_isolation=True, **loose)


def test_what_the_data_plane_reads(store: Store) -> None:
    cloud = Cloud(store)
    network = cloud.network(client_isolation=True)
    first, second = cloud.ports(network, 2)
    cloud.update("network", network, service_ports=[second["id"]])
    contents = store.load()
    assert [one.client_isolation for one in contents.networks] == [True]
    assert {one.id: one.is_service_port for one in contents.ports} == {first["id"]: False, second["id"]: True}
