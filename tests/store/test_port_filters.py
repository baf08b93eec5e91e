# SPDX-License-Identifier: Apache-2.0
"""Security filters: what new ports start with, what a change leaves alone, and who may turn one off where."""

from __future__ import annotations

import pytest

from sdnctl.errors import ConflictError, ForbiddenError
from sdnctl.model.filters import Filters
from sdnctl.store import Store
from tests.store.cloud import ADMIN, ALICE, BOB, Cloud, Object

ALL = {"mac": True, "arp": True, "ip": True}
NONE = {"mac": False, "arp": False, "ip": False}
FLAT = {"provider:network_type": "flat", "provider:physical_network": "physnet2"}


def test_all_on_by_default(cloud: Cloud) -> None:
    network = cloud.network()
    assert (network["security_filters"], cloud.port(network)["security_filters"]) == (ALL, ALL)


def test_a_change_touches_only_what_it_names(cloud: Cloud) -> None:
    port = cloud.port(cloud.network(), security_filters={"ip": False})
    assert port["security_filters"] == {**ALL, "ip": False}
    changed = cloud.update("port", port, security_filters={"arp": False})
    assert changed["security_filters"] == {"mac": True, "arp": False, "ip": False}
    assert cloud.update("port", port, name="n")["security_filters"] == changed["security_filters"]
    assert cloud.update("port", port, security_filters={})["security_filters"] == changed["security_filters"]
    revision = cloud.get("port", port)["revision_number"]
    assert cloud.update("port", port, security_filters={"arp": False})["revision_number"] == revision
    assert cloud.update("port", port, security_filters=ALL)["security_filters"] == ALL


def test_new_ports_start_with_the_networks(cloud: Cloud) -> None:
    network = cloud.network(security_filters={"mac": False})
    port = cloud.port(network)
    assert port["security_filters"] == {**ALL, "mac": False}
    assert cloud.port(network, security_filters={"ip": False, "mac": True})["security_filters"] == {**ALL, "ip": False}
    network = cloud.update("network", network, security_filters={"mac": True, "ip": False})
    assert network["security_filters"] == {**ALL, "ip": False}
    assert cloud.port(network)["security_filters"] == {**ALL, "ip": False}
    assert cloud.get("port", port)["security_filters"] == {**ALL, "mac": False}


def test_port_security_stands_above_and_keeps_the_choice(cloud: Cloud) -> None:
    port = cloud.port(cloud.network(), security_groups=[], security_filters={"ip": False})
    off = cloud.update("port", port, port_security_enabled=False)
    assert (off["port_security_enabled"], off["security_filters"]) == (False, NONE)
    same = cloud.update("port", port, port_security_enabled=False, security_filters=NONE)
    assert same == off
    with pytest.raises(ConflictError, match="security_filters: arp cannot be on while port_security_enabled is false"):
        cloud.update("port", port, security_filters={"arp": True})
    back = cloud.update("port", port, port_security_enabled=True)
    assert back["security_filters"] == {**ALL, "ip": False}
    cloud.update("port", port, port_security_enabled=False)
    both = cloud.update("port", port, port_security_enabled=True, security_filters={"mac": False, "ip": True})
    assert both["security_filters"] == {**ALL, "mac": False}


def test_a_port_made_without_port_security(cloud: Cloud) -> None:
    network = cloud.network(security_filters={"ip": False})
    port = cloud.port(network, port_security_enabled=False)
    assert port["security_filters"] == NONE
    assert cloud.update("port", port, port_security_enabled=True)["security_filters"] == {**ALL, "ip": False}
    with pytest.raises(ConflictError, match="mac cannot be on"):
        cloud.port(network, port_security_enabled=False, security_filters={"mac": True})


def relied_on(cloud: Cloud) -> dict[str, Object]:
    """Networks on which others rely, all of them Alice's."""
    mine = {"project_id": ALICE.project_id}
    return {
        "shared": cloud.network(ADMIN, shared=True, **mine),
        "external": cloud.network(ADMIN, **{"router:external": True}, **mine),
        "flat": cloud.network(ADMIN, **FLAT, **mine),
    }


RELAXED = (
    {"security_filters": {"mac": False}},
    {"security_filters": {"arp": False}},
    {"security_filters": {"ip": False}},
    {"port_security_enabled": False, "security_groups": []},
)


@pytest.mark.proves("S2")
@pytest.mark.parametrize("why", ("shared", "external", "flat"))
def test_where_others_rely_on_it_only_an_admin_relaxes(cloud: Cloud, why: str) -> None:
    """Neither the port nor what new ports start with; not even in a network of one's own."""
    network = relied_on(cloud)[why]
    port = cloud.port(network)
    for wish in RELAXED:
        attribute = next(iter(wish))
        with pytest.raises(ForbiddenError, match=f"{attribute}: the network is {why}.*only an admin"):
            cloud.port(network, **wish)
        with pytest.raises(ForbiddenError, match=f"{attribute}: the network is {why}"):
            cloud.update("port", port, **wish)
        with pytest.raises(ForbiddenError, match=f"{attribute}: the network is {why}"):
            cloud.update("network", network, **{attribute: wish[attribute]})
        assert cloud.get("port", port) == port
        relaxed = cloud.update("port", port, ADMIN, **wish)
        assert relaxed["security_filters"] != ALL
        # Back on, and what an admin has allowed may be sent back as it was.
        assert cloud.update("port", port, **{attribute: relaxed[attribute]}) == relaxed
        cloud.update("port", port, port_security_enabled=True, security_filters=ALL)
        port = cloud.get("port", port)
        assert port["security_filters"] == ALL


@pytest.mark.proves("S2")
def test_a_guest_on_a_shared_network_takes_its_default(cloud: Cloud) -> None:
    network = cloud.network(ADMIN, shared=True, security_filters={"ip": False})
    port = cloud.port(network, BOB)
    assert port["security_filters"] == {**ALL, "ip": False}
    assert cloud.port(network, BOB, security_filters={"ip": False})["security_filters"] == {**ALL, "ip": False}
    cloud.update("port", port, BOB, security_filters={"ip": True})
    with pytest.raises(ForbiddenError, match="only an admin may turn ip off"):
        cloud.update("port", port, BOB, security_filters={"ip": False})


@pytest.mark.proves("S3")
@pytest.mark.parametrize("wish", RELAXED, ids=str)
def test_in_a_network_of_ones_own_its_owner_relaxes(cloud: Cloud, wish: Object) -> None:
    vlan = cloud.network(ADMIN, project_id=ALICE.project_id, **{"provider:network_type": "vlan"})
    for network in (cloud.network(), vlan):
        port = cloud.port(network)
        assert cloud.update("port", port, **wish)["security_filters"] != ALL
        assert cloud.port(network, **wish)["security_filters"] != ALL


@pytest.mark.proves("S2")
@pytest.mark.parametrize("wish", RELAXED, ids=str)
def test_what_is_relaxed_is_not_shared(cloud: Cloud, wish: Object) -> None:
    """Others would find there what its owner did while it was theirs alone."""
    network = cloud.network()
    port = cloud.port(network, **wish)
    with pytest.raises(ConflictError, match=f"shared: filters are off.*{port['id']}") as refused:
        cloud.update("network", network, ADMIN, shared=True)
    assert refused.value.kind == "InvalidSharedSetting"
    cloud.update("port", port, port_security_enabled=True, security_filters=ALL)
    assert cloud.update("network", network, ADMIN, shared=True)["shared"] is True
    assert cloud.update("network", network, ADMIN, shared=True, name="n")["name"] == "n"


def test_a_network_is_not_made_shared_and_relaxed_by_who_is_no_admin(cloud: Cloud) -> None:
    with pytest.raises(ForbiddenError):
        cloud.network(shared=True, security_filters={"ip": False})
    assert cloud.network(ADMIN, shared=True, security_filters={"ip": False})["security_filters"]["ip"] is False
    relaxed = cloud.network(security_filters={"ip": False})
    with pytest.raises(ConflictError, match="would have filters off"):
        cloud.update("network", relaxed, ADMIN, shared=True)
    shared = cloud.update("network", relaxed, ADMIN, shared=True, security_filters={"ip": True})
    assert cloud.port(shared, BOB)["security_filters"] == ALL


def test_what_the_data_plane_reads(store: Store) -> None:
    cloud = Cloud(store)
    network = cloud.network()
    cloud.port(network, security_filters={"mac": False, "ip": False})
    [port] = store.load().ports
    assert (port.filters, port.is_open) == (Filters(mac=False, ip=False), True)
    cloud.update("port", {"id": port.id}, port_security_enabled=False, security_groups=[])
    [port] = store.load().ports
    assert (port.filters, port.is_open) == (None, True)
    assert port.security_filters == Filters(mac=False, ip=False)


def test_the_journal_tells_it(cloud: Cloud) -> None:
    port = cloud.port(cloud.network())
    cloud.update("port", port, security_filters={"ip": False})
    kind, object_id, operation, changes = cloud.entries()[-1]
    assert (kind, object_id, operation) == ("port", port["id"], "update")
    assert changes["security_filters"] == [ALL, {**ALL, "ip": False}]
