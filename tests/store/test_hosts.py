# SPDX-License-Identifier: Apache-2.0
"""Hosts: unique in name, bridge and tunnel address; removed only when nothing is plugged there."""

from __future__ import annotations

import pytest

from sdnctl.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from tests.store.cloud import ADMIN, ALICE, Cloud


def test_defaults(cloud: Cloud) -> None:
    host = cloud.create("host", ADMIN, name="h1", ovsdb="tcp:192.0.2.1:6640")
    expected = {
        "name": "h1",
        "ovsdb": "tcp:192.0.2.1:6640",
        "bridge": "br-int",
        "tunnel_ip": None,
        "bridge_mappings": {},
        "datapath_type": "system",
        "gateway": False,
        "controllers": [],
        "description": "",
        "tags": [],
        "revision_number": 1,
    }
    assert {name: host[name] for name in expected} == expected
    assert cloud.get("host", host, ADMIN) == host


def test_only_admins(cloud: Cloud) -> None:
    with pytest.raises(ForbiddenError):
        cloud.create("host", ALICE, name="h1", ovsdb="x")
    host = cloud.host()
    with pytest.raises(NotFoundError) as refused:
        cloud.update("host", host, ALICE, gateway=True)
    assert refused.value.kind == "HostNotFound"
    with pytest.raises(NotFoundError):
        cloud.delete("host", host, ALICE)


def test_change(cloud: Cloud) -> None:
    host = cloud.host()
    changes = {
        "ovsdb": "unix:/run/x",
        "bridge": "br1",
        "tunnel_ip": "192.0.2.77",
        "bridge_mappings": {"p2": "br-2", "p1": "br-1"},
        "datapath_type": "netdev",
        "gateway": True,
        "controllers": ["tcp:192.0.2.9:6653"],
        "description": "d",
    }
    changed = cloud.update("host", host, ADMIN, **changes)
    assert {name: changed[name] for name in changes} == changes
    assert cloud.update("host", host, ADMIN, tunnel_ip=None, controllers=None)["tunnel_ip"] is None
    with pytest.raises(InvalidError, match="'name'"):
        cloud.update("host", host, ADMIN, name="other")


@pytest.mark.parametrize(
    ("body", "kind"),
    (
        ({"name": "h1", "ovsdb": "tcp:192.0.2.9:6640"}, "HostNameInUse"),
        ({"name": "h9", "ovsdb": "tcp:192.0.2.1:6640"}, "HostBridgeInUse"),
        ({"name": "h9", "ovsdb": "tcp:192.0.2.9:6640", "tunnel_ip": "192.0.2.1"}, "TunnelIpInUse"),
    ),
)
def test_two_hosts_are_not_the_same(cloud: Cloud, body: dict[str, object], kind: str) -> None:
    cloud.host("h1", 1)
    with pytest.raises(ConflictError, match="h1") as refused:
        cloud.create("host", ADMIN, **body)
    assert refused.value.kind == kind
    other = cloud.host("h2", 2)
    if kind != "HostNameInUse":
        with pytest.raises(ConflictError) as refused:
            cloud.update("host", other, ADMIN, **{name: value for name, value in body.items() if name != "name"})
        assert refused.value.kind == kind


def test_two_bridges_of_one_remote(cloud: Cloud) -> None:
    cloud.host("h1", 1)
    assert cloud.host("h2", 1, bridge="br-2", tunnel_ip=None)


def test_bad_tunnel_address(cloud: Cloud) -> None:
    with pytest.raises(InvalidError, match="tunnel_ip: 'x'"):
        cloud.host(tunnel_ip="x")


def test_delete(cloud: Cloud) -> None:
    host = cloud.host()
    port = cloud.port(cloud.network(), ADMIN, **{"binding:host_id": "h1"})
    plug = {"host": "h1", "type": "internal", "interface": "vm1"}
    cloud.update("port", port, ADMIN, plug=plug)
    with pytest.raises(ConflictError, match=port["id"]) as refused:
        cloud.delete("host", host, ADMIN)
    assert refused.value.kind == "HostInUse"
    cloud.update("port", port, ADMIN, plug=None)
    cloud.delete("host", host, ADMIN)
    assert cloud.get("port", port, ADMIN)["binding:vif_type"] == "binding_failed"
    assert cloud.host()
    assert cloud.get("port", port, ADMIN)["binding:vif_type"] == "ovs"
