# SPDX-License-Identifier: Apache-2.0
"""Networks: segments, MTU, sharing, deletion."""

from __future__ import annotations

import pytest

from sdnctl.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError, PreconditionError
from sdnctl.store import Settings, Store
from tests.store.cloud import ADMIN, ALICE, BOB, NOWHERE, READER, V6, Cloud, count_rows


def test_defaults(cloud: Cloud) -> None:
    network = cloud.network(name="blue")
    assert network["project_id"] == network["tenant_id"] == "alice-project"
    assert network["provider:network_type"] == "vxlan"
    assert network["provider:physical_network"] is None
    assert 1 <= network["provider:segmentation_id"] < 2**24
    assert network["mtu"] == 1450
    assert (network["status"], network["admin_state_up"], network["shared"]) == ("ACTIVE", True, False)
    assert (network["subnets"], network["tags"], network["revision_number"]) == ([], [], 1)
    assert network["created_at"] == network["updated_at"]
    assert len(network["created_at"]) == len("2026-11-20T15:50:04Z")
    assert cloud.get("network", network) == network


@pytest.mark.parametrize(
    ("wish", "got", "mtu"),
    (
        ({"type": "vlan", "physnet": "physnet1", "id": 7}, ("vlan", "physnet1", 7), 1500),
        ({"type": "vlan", "physnet": "physnet2", "id": 4094}, ("vlan", "physnet2", 4094), 9000),
        ({"type": "flat", "physnet": "physnet2"}, ("flat", "physnet2", None), 9000),
        ({"type": "vxlan", "id": 2**24 - 1}, ("vxlan", None, 2**24 - 1), 1450),
    ),
)
def test_admin_chooses_segment(cloud: Cloud, wish: dict[str, object], got: tuple[object, ...], mtu: int) -> None:
    network = cloud.network(ADMIN, **provider(wish))
    assert segment(network) == got
    assert network["mtu"] == mtu


def provider(wish: dict[str, object]) -> dict[str, object]:
    words = {"type": "provider:network_type", "physnet": "provider:physical_network", "id": "provider:segmentation_id"}
    return {words[name]: value for name, value in wish.items()}


def segment(network: dict[str, object]) -> tuple[object, ...]:
    return tuple(network[f"provider:{name}"] for name in ("network_type", "physical_network", "segmentation_id"))


@pytest.mark.parametrize(
    ("wish", "says"),
    (
        ({"type": "gre"}, "flat, vlan, vxlan"),
        ({"physnet": "physnet1"}, "provider:network_type is required"),
        ({"id": 5}, "provider:network_type is required"),
        ({"type": "flat"}, "provider:physical_network is required"),
        ({"type": "flat", "physnet": "physnet1", "id": 5}, "a flat network has none"),
        ({"type": "flat", "physnet": "mars"}, "known are physnet1, physnet2"),
        ({"type": "vlan", "id": 5}, "provider:physical_network is required"),
        ({"type": "vlan", "physnet": "physnet1", "id": 0}, "from 1 to 4094"),
        ({"type": "vlan", "physnet": "physnet1", "id": 4095}, "from 1 to 4094"),
        ({"type": "vxlan", "physnet": "physnet1"}, "a vxlan network has none"),
        ({"type": "vxlan", "id": 2**24}, "from 1 to 16777215"),
    ),
)
def test_impossible_segment_is_refused(cloud: Cloud, wish: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidError, match=says):
        cloud.network(ADMIN, **provider(wish))
    assert count_rows(cloud.store, "networks") == count_rows(cloud.store, "journal") == 0


@pytest.mark.parametrize(
    ("wish", "kind"),
    (
        ({"type": "vlan", "physnet": "physnet1", "id": 100}, "VlanIdInUse"),
        ({"type": "flat", "physnet": "physnet1"}, "FlatNetworkInUse"),
        ({"type": "vxlan", "id": 5000}, "TunnelIdInUse"),
    ),
)
def test_taken_segment_is_refused_until_it_is_free(cloud: Cloud, wish: dict[str, object], kind: str) -> None:
    first = cloud.network(ADMIN, **provider(wish))
    with pytest.raises(ConflictError, match=first["id"]) as refused:
        cloud.network(ADMIN, **provider(wish))
    assert refused.value.kind == kind
    cloud.delete("network", first, ADMIN)
    assert cloud.network(ADMIN, **provider(wish))


def test_same_vlan_on_two_physical_networks(cloud: Cloud) -> None:
    for physnet in ("physnet1", "physnet2"):
        cloud.network(ADMIN, **provider({"type": "vlan", "physnet": physnet, "id": 42}))


def test_vlan_is_allotted_to_the_last_id(cloud: Cloud) -> None:
    """physnet2 has two ids; without a physical network the next one that has a free id is taken."""
    wish = provider({"type": "vlan", "physnet": "physnet2"})
    ids = {cloud.network(ADMIN, **wish)["provider:segmentation_id"] for _ in range(2)}
    assert ids == {300, 301}
    with pytest.raises(ConflictError, match="physnet2") as refused:
        cloud.network(ADMIN, **wish)
    assert refused.value.kind == "NoNetworkAvailable"
    anywhere = cloud.network(ADMIN, **provider({"type": "vlan"}))
    assert anywhere["provider:physical_network"] == "physnet1"
    assert 100 <= anywhere["provider:segmentation_id"] <= 199


def test_tenant_types_are_tried_in_order(url: str) -> None:
    settings = Settings(
        tenant_network_types=("vlan", "flat", "vxlan"), vlan_ranges={"p": ((5, 5),)}, vni_ranges=((77, 77),)
    )
    store = Store.open(url, settings)
    cloud = Cloud(store)
    got = [segment(cloud.network()) for _ in range(3)]
    assert got == [("vlan", "p", 5), ("flat", "p", None), ("vxlan", None, 77)]
    with pytest.raises(ConflictError, match="no vlan or flat or vxlan segment is free"):
        cloud.network()
    store.close()


def test_flat_only_where_configured(url: str) -> None:
    store = Store.open(url, Settings(flat_physnets=("p",), vlan_ranges={"q": ((1, 2),)}))
    cloud = Cloud(store)
    assert cloud.network(ADMIN, **provider({"type": "flat", "physnet": "p"}))
    with pytest.raises(InvalidError, match="q may not carry flat networks; use p"):
        cloud.network(ADMIN, **provider({"type": "flat", "physnet": "q"}))
    store.close()


def test_physical_network_of_a_host_is_known(cloud: Cloud) -> None:
    wish = provider({"type": "flat", "physnet": "dc"})
    with pytest.raises(InvalidError, match="'dc' is unknown"):
        cloud.network(ADMIN, **wish)
    cloud.host(bridge_mappings={"dc": "br-dc"})
    assert cloud.network(ADMIN, **wish)


@pytest.mark.parametrize("name", ("shared", "router:external", "is_default"))
def test_member_may_not_decide_over_others(cloud: Cloud, name: str) -> None:
    with pytest.raises(ForbiddenError, match=name):
        cloud.network(**{name: True})
    network = cloud.network(**{name: False})
    with pytest.raises(ForbiddenError, match=name):
        cloud.update("network", network, **{name: True})
    assert cloud.update("network", network, ADMIN, **{name: True})[name] is True


def test_member_may_not_choose_the_segment(cloud: Cloud) -> None:
    with pytest.raises(ForbiddenError, match="provider:network_type"):
        cloud.network(**provider({"type": "vxlan", "id": 3}))


def test_segment_cannot_be_changed(cloud: Cloud) -> None:
    network = cloud.network(ADMIN, **provider({"type": "vlan", "physnet": "physnet1", "id": 9}))
    with pytest.raises(InvalidError, match="provider:segmentation_id cannot be changed: it stays 9"):
        cloud.update("network", network, ADMIN, **provider({"id": 10}))
    assert cloud.update("network", network, ADMIN, **provider({"id": 9})) == network


def test_project_of_another(cloud: Cloud) -> None:
    assert cloud.network(ADMIN, project_id="bob-project")["project_id"] == "bob-project"
    assert cloud.network(project_id="alice-project")["project_id"] == "alice-project"
    with pytest.raises(InvalidError, match="bob-project is not your project") as refused:
        cloud.network(project_id="bob-project")
    assert refused.value.kind == "HTTPBadRequest"


def test_reader_changes_nothing(cloud: Cloud) -> None:
    network = cloud.network()
    with pytest.raises(ForbiddenError, match="may only look"):
        cloud.network(READER)
    with pytest.raises(ForbiddenError, match="may only look"):
        cloud.update("network", network, READER, name="x")
    with pytest.raises(ForbiddenError, match="may only look"):
        cloud.delete("network", network, READER)
    assert cloud.get("network", network, READER) == network


@pytest.mark.parametrize(("mtu", "got"), ((0, 1450), (None, 1450), (1450, 1450), (68, 68), (1400, 1400)))
def test_mtu(cloud: Cloud, mtu: int | None, got: int) -> None:
    assert cloud.network(mtu=mtu)["mtu"] == got
    assert cloud.update("network", cloud.network(), mtu=mtu)["mtu"] == got


@pytest.mark.parametrize("mtu", (67, 1451, 9000))
def test_mtu_out_of_range(cloud: Cloud, mtu: int) -> None:
    with pytest.raises(InvalidError, match=rf"mtu: {mtu} is not possible; .* 68 to 1450"):
        cloud.network(mtu=mtu)
    with pytest.raises(InvalidError, match="mtu"):
        cloud.update("network", cloud.network(), mtu=mtu)


def test_mtu_too_small_for_ipv6(cloud: Cloud) -> None:
    small, large = cloud.network(mtu=1279), cloud.network(mtu=1280)
    with pytest.raises(ConflictError, match="1280"):
        cloud.subnet(small, V6)
    cloud.subnet(large, V6)
    with pytest.raises(ConflictError, match="1280") as refused:
        cloud.update("network", large, mtu=1279)
    assert refused.value.kind == "NetworkMTUSubnetConflict"


def test_update_changes_only_what_it_says(cloud: Cloud) -> None:
    network = cloud.network(name="old", description="kept")
    changed = cloud.update("network", network, name="new")
    assert changed == {**network, "name": "new", "revision_number": 2, "updated_at": changed["updated_at"]}


def test_update_that_changes_nothing_writes_nothing(cloud: Cloud) -> None:
    network = cloud.network(name="same")
    before = cloud.store.revision()
    assert cloud.update("network", network, name="same", admin_state_up=True) == network
    assert cloud.store.revision() == before


def test_unknown_attributes_are_refused(cloud: Cloud) -> None:
    with pytest.raises(InvalidError, match="'colour'"):
        cloud.network(colour="blue")
    with pytest.raises(InvalidError, match="'status'"):
        cloud.update("network", cloud.network(), status="DOWN")


def test_if_match(cloud: Cloud) -> None:
    network = cloud.network()
    cloud.store.update(ALICE, "network", network["id"], {"name": "a"}, 1)
    with pytest.raises(PreconditionError, match="revision number 2, not 1"):
        cloud.store.update(ALICE, "network", network["id"], {"name": "b"}, 1)
    with pytest.raises(PreconditionError, match="revision number 2, not 1"):
        cloud.store.delete(ALICE, "network", network["id"], 1)
    with pytest.raises(PreconditionError):
        cloud.store.replace_tags(ALICE, "network", network["id"], ["t"], 1)
    cloud.store.delete(ALICE, "network", network["id"], 2)
    with pytest.raises(NotFoundError):
        cloud.get("network", network)


def test_strangers_do_not_find_it(cloud: Cloud) -> None:
    network = cloud.network()
    for attempt in (
        lambda: cloud.get("network", network, BOB),
        lambda: cloud.update("network", network, BOB, name="x"),
        lambda: cloud.delete("network", network, BOB),
        lambda: cloud.store.add_tags(BOB, "network", network["id"], ["x"]),
        lambda: cloud.get("network", {"id": NOWHERE}),
        lambda: cloud.get("network", {"id": "blue"}),
    ):
        with pytest.raises(NotFoundError, match="could not be found") as refused:
            attempt()
        assert refused.value.kind == "NetworkNotFound"


@pytest.mark.parametrize("how", ("shared", "router:external"))
def test_shared_is_seen_and_not_changed(cloud: Cloud, how: str) -> None:
    network = cloud.network(ADMIN, **{how: True})
    assert cloud.get("network", network, BOB) == network
    assert cloud.list("network", BOB) == [network]
    for attempt in (
        lambda: cloud.update("network", network, BOB, name="x"),
        lambda: cloud.delete("network", network, BOB),
        lambda: cloud.store.replace_tags(BOB, "network", network["id"], ["x"]),
        lambda: cloud.subnet(network, ctx=BOB),
    ):
        with pytest.raises(ForbiddenError, match="another project"):
            attempt()


def test_cannot_unshare_from_under_others(cloud: Cloud) -> None:
    network = cloud.network(ADMIN, shared=True)
    cloud.subnet(network, ctx=ADMIN)
    port = cloud.port(network, BOB)
    with pytest.raises(ConflictError, match="1 ports on it belong to other projects") as refused:
        cloud.update("network", network, ADMIN, shared=False)
    assert refused.value.kind == "InvalidSharedSetting"
    cloud.delete("port", port, BOB)
    assert cloud.update("network", network, ADMIN, shared=False)["shared"] is False


def test_delete_takes_subnets_and_the_dhcp_port_along(cloud: Cloud) -> None:
    network = cloud.network(tags=["t"])
    cloud.subnet(network, tags=["t"])
    cloud.subnet(network, V6)
    before = cloud.store.revision()
    cloud.delete("network", network)
    for table in ("networks", "subnets", "ports", "addresses", "tags"):
        assert count_rows(cloud.store, table) == 0
    deleted = sorted(kind for kind, _, operation, _ in cloud.entries(before) if operation == "delete")
    assert deleted == ["network", "port", "subnet", "subnet"]


def test_delete_with_ports_is_refused(cloud: Cloud) -> None:
    network = cloud.network()
    cloud.subnet(network)
    port = cloud.port(network)
    with pytest.raises(ConflictError, match=port["id"]) as refused:
        cloud.delete("network", network)
    assert refused.value.kind == "NetworkInUse"
    cloud.delete("port", port)
    cloud.delete("network", network)


def test_bulk_is_all_or_nothing(cloud: Cloud) -> None:
    made = cloud.store.create(ALICE, "network", [{"name": "a"}, {"name": "b"}])
    assert [network["name"] for network in made.objects] == ["a", "b"]
    with pytest.raises(InvalidError):
        cloud.store.create(ALICE, "network", [{"name": "c"}, {"mtu": 1}])
    assert len(cloud.list("network")) == 2
    assert cloud.store.revision() == made.revision
