# SPDX-License-Identifier: Apache-2.0
"""Lists: who sees what, filters, order, pages."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from sdnctl.errors import InvalidError, NotFoundError
from sdnctl.model.request import Context, Query
from sdnctl.store import Store
from tests.store.cloud import ADMIN, ALICE, BOB, NOWHERE, SLAAC, V6, Cloud, addresses, names


@pytest.fixture
def world(cloud: Cloud) -> Cloud:
    """Alice has `blue`, Bob `red`, the admin the shared `shared` and the external `outside`, with one port of each."""
    for name, owner, more in (
        ("blue", ALICE, {}),
        ("red", BOB, {}),
        ("shared", ADMIN, {"shared": True}),
        ("outside", ADMIN, {"router:external": True}),
    ):
        network = cloud.network(owner, name=name, **more)
        cloud.subnet(network, ctx=owner, name=name, enable_dhcp=False)
        cloud.port(network, owner, name=name)
        if name == "shared":
            cloud.port(network, ALICE, name="guest")
    return cloud


@pytest.mark.parametrize(
    ("ctx", "networks", "subnets", "ports"),
    (
        (ALICE, "blue outside shared", "blue outside shared", "blue guest"),
        (BOB, "outside red shared", "outside red shared", "red"),
        (ADMIN, "blue outside red shared", "blue outside red shared", "blue guest outside red shared"),
        (Context("", "nobody", frozenset({"reader"})), "", "", ""),
    ),
)
def test_each_sees_their_own_and_the_shared(
    world: Cloud, ctx: Context, networks: str, subnets: str, ports: str
) -> None:
    for kind, expected in (("network", networks), ("subnet", subnets), ("port", ports)):
        found = world.list(kind, ctx)
        assert sorted(names(found)) == expected.split()
        assert [world.get(kind, one, ctx) for one in found] == found


@pytest.mark.parametrize("kind", ("host", "project", "token"))
def test_only_admins_see_hosts_and_identities(cloud: Cloud, kind: str) -> None:
    cloud.host()
    project = cloud.create("project", ADMIN, name="p")
    cloud.create("token", ADMIN, project_id=project["id"])
    (found,) = cloud.list(kind, ADMIN)
    assert cloud.list(kind, ALICE) == []
    with pytest.raises(NotFoundError):
        cloud.get(kind, found, ALICE)


def test_filters_are_alternatives_within_and_narrow_across(world: Cloud) -> None:
    def got(**filters: object) -> list[str]:
        return sorted(names(world.list("network", ADMIN, **filters)))

    assert got(name="blue") == ["blue"]
    assert got(name=["blue", "red"]) == ["blue", "red"]
    assert got(name=["blue", "red"], project_id="bob-project") == ["red"]
    assert got(tenant_id="bob-project") == ["red"]
    assert got(shared=True) == ["shared"]
    assert got(shared="true") == ["shared"]
    assert got(shared=False, **{"router:external": False}) == ["blue", "red"]
    assert got(status="ACTIVE") == ["blue", "outside", "red", "shared"]
    assert got(status="DOWN") == []
    assert got(mtu=1450) == ["blue", "outside", "red", "shared"]
    assert got(mtu=["x", "1450"]) == ["blue", "outside", "red", "shared"]
    assert got(mtu=["x", str(2**70)]) == []
    assert got(**{"provider:network_type": "vxlan"}) == ["blue", "outside", "red", "shared"]
    assert got(revision_number=1) == []
    assert got(description="") == ["blue", "outside", "red", "shared"]
    with pytest.raises(InvalidError, match="colour"):
        got(colour="x")


def test_filter_by_hidden_attribute_works_for_members(world: Cloud) -> None:
    (blue,) = world.list("network", ALICE, name="blue")
    assert names(world.list("network", ALICE, **{"provider:segmentation_id": blue["provider:segmentation_id"]})) == [
        "blue"
    ]


def test_filter_by_contained_ids(world: Cloud) -> None:
    (subnet,) = world.list("subnet", ALICE, name="blue")
    assert names(world.list("network", ALICE, subnets=subnet["id"])) == ["blue"]
    assert names(world.list("subnet", ALICE, network_id=subnet["network_id"])) == ["blue"]
    assert world.list("port", ALICE, security_groups=NOWHERE) == []


def test_hundreds_of_ids(world: Cloud) -> None:
    (blue,) = world.list("network", ALICE, name="blue")
    assert names(world.list("network", ALICE, id=[NOWHERE] * 500 + [blue["id"]])) == ["blue"]


def test_filter_by_address(cloud: Cloud) -> None:
    network = cloud.network()
    first, second = cloud.subnet(network, enable_dhcp=False), cloud.subnet(network, "10.0.1.0/24", enable_dhcp=False)
    for name, *wanted in (("a", "10.0.0.9"), ("b", "10.0.1.9"), ("c", "10.0.0.10", "10.0.1.10")):
        cloud.port(network, name=name, fixed_ips=[{"ip_address": address} for address in wanted])

    def got(*terms: str) -> str:
        return "".join(sorted(names(cloud.list("port", fixed_ips=list(terms)))))

    assert got("ip_address=10.0.0.9") == "a"
    assert got("ip_address=10.0.0.9", "ip_address=10.0.1.9") == "ab"
    assert got(f"subnet_id={first['id']}") == "ac"
    assert got(f"subnet_id={first['id']}", f"subnet_id={second['id']}") == "abc"
    assert got(f"subnet_id={second['id']}", "ip_address=10.0.0.10") == "c"
    assert got(f"subnet_id={second['id']}", "ip_address=10.0.0.9") == ""
    assert got("ip_address_substr=.9") == "ab"
    assert got("ip_address_substr=.0.1") == "bc"
    assert got("ip_address_substr=%") == ""
    assert got("ip_address_substr=_") == ""
    with pytest.raises(InvalidError, match="'colour' is unknown"):
        got("colour=x")


def test_filter_by_tags(cloud: Cloud) -> None:
    for tags in ("", "a", "b", "a b", "a b c"):
        cloud.network(name=tags.replace(" ", ""), tags=tags.split())

    def got(**filters: object) -> list[str]:
        return sorted(names(cloud.list("network", **filters)))

    assert got(tags="a") == ["a", "ab", "abc"]
    assert got(tags="a,b") == got(tags=["a", "b"]) == ["ab", "abc"]
    assert got(**{"tags-any": "a,b"}) == ["a", "ab", "abc", "b"]
    assert got(**{"not-tags": "a,b"}) == ["", "a", "b"]
    assert got(**{"not-tags-any": "a,b"}) == [""]
    assert got(tags="a", **{"not-tags": "c"}) == ["a", "ab"]
    assert got(tags="nothing") == []


def test_filter_by_binding_and_device(cloud: Cloud) -> None:
    network = cloud.network()
    cloud.port(network, ADMIN, name="bound", device_id="vm1", device_owner="compute:nova", **{"binding:host_id": "h1"})
    cloud.port(network, ADMIN, name="free")
    assert names(cloud.list("port", ADMIN, **{"binding:host_id": "h1"})) == ["bound"]
    assert names(cloud.list("port", ADMIN, device_id="vm1", device_owner="compute:nova")) == ["bound"]
    assert names(cloud.list("port", ADMIN, device_id="")) == ["free"]
    assert names(cloud.list("port", ADMIN, status="DOWN", admin_state_up=True, name="free")) == ["free"]


# ----------------------------------------------------------------------------------------------------- order and pages


def test_sort(cloud: Cloud) -> None:
    for name, mtu in (("b", 1400), ("a", 1400), ("c", 1300)):
        cloud.network(name=name, mtu=mtu)

    def got(*sort: tuple[str, bool]) -> str:
        return "".join(names(cloud.store.list(ALICE, "network", Query(sort=sort))))

    assert got(("name", False)) == "abc"
    assert got(("name", True)) == "cba"
    assert got(("mtu", False), ("name", True)) == "cba"
    assert got(("mtu", True), ("name", False)) == "abc"
    by_id = cloud.store.list(ALICE, "network", Query())
    assert [one["id"] for one in by_id] == sorted(one["id"] for one in by_id)
    assert cloud.store.list(ALICE, "network", Query(sort=(("id", True),))) == by_id[::-1]
    assert cloud.store.list(ALICE, "network", Query(sort=(("admin_state_up", True),))) == by_id
    with pytest.raises(InvalidError, match="colour"):
        got(("colour", False))


def pages(store: Store, kind: str, **query: Any) -> list[list[str]]:
    """Ids page by page, until an empty one."""
    found: list[list[str]] = []
    marker = None
    while True:
        page = store.list(ALICE, kind, Query(marker=marker, **query))
        if not page:
            return found
        found.append([str(one["id"]) for one in page])
        marker = found[-1][-1]


SORTS: tuple[tuple[tuple[str, bool], ...], ...] = (
    (),
    (("name", False),),
    (("name", True), ("id", True)),
    (("gateway_ip", False), ("name", True)),
    (("ipv6_ra_mode", True), ("ip_version", False), ("enable_dhcp", True)),
)


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("limit", (1, 3, 7, 100))
def test_pages_make_up_the_list(cloud: Cloud, sort: tuple[tuple[str, bool], ...], limit: int) -> None:
    """Also backwards, with ties and nulls in the keys."""
    network = cloud.network()
    shapes = itertools.cycle(({}, {"gateway_ip": None}, {"name": "same"}, {"name": "same", "gateway_ip": None}))
    for number in range(9):
        cloud.subnet(network, f"10.0.{number}.0/24", **next(shapes))
    cloud.subnet(network, V6, **SLAAC)
    cloud.subnet(network, "fd01::/64", name="same")
    everything = [one["id"] for one in cloud.store.list(ALICE, "subnet", Query(sort=sort))]
    assert len(everything) == 11
    assert list(itertools.chain.from_iterable(pages(cloud.store, "subnet", sort=sort, limit=limit))) == everything
    for index, marker in enumerate(everything):
        page = cloud.store.list(ALICE, "subnet", Query(sort=sort, limit=limit, marker=marker, reverse=True))
        assert [one["id"] for one in page] == everything[max(0, index - limit) : index]


def test_pages_of_what_the_caller_sees_are_full(cloud: Cloud) -> None:
    for number in range(12):
        cloud.network(ALICE if number % 3 == 0 else BOB)
    assert [len(page) for page in pages(cloud.store, "network", limit=2)] == [2, 2]


def test_objects_that_come_and_go_between_pages(cloud: Cloud) -> None:
    made = [cloud.network(name=f"{number:02}") for number in range(10)]
    query = {"sort": (("name", False),), "limit": 4}
    first = cloud.store.list(ALICE, "network", Query(**query))
    cloud.delete("network", made[0])
    cloud.delete("network", made[5])
    cloud.network(name="001")
    second = cloud.store.list(ALICE, "network", Query(**query, marker=str(first[-1]["id"])))
    assert names(second) == ["04", "06", "07", "08"]


def test_marker_without_limit_means_nothing(cloud: Cloud) -> None:
    cloud.network()
    assert len(cloud.store.list(ALICE, "network", Query(marker=NOWHERE, reverse=True))) == 1
    assert len(cloud.store.list(ALICE, "network", Query(marker=NOWHERE, limit=0))) == 1


def test_marker_must_be_seen(cloud: Cloud) -> None:
    hidden = cloud.network(BOB)
    for marker in (NOWHERE, hidden["id"], "x"):
        with pytest.raises(NotFoundError) as refused:
            cloud.store.list(ALICE, "network", Query(limit=1, marker=marker))
        assert refused.value.kind == "NetworkNotFound"


def test_long_list(cloud: Cloud) -> None:
    """More than fit into one slice."""
    network = cloud.network()
    cloud.subnet(network, "10.0.0.0/16", enable_dhcp=False)
    made = cloud.ports(network, 650)
    found = cloud.list("port")
    assert sorted(found, key=lambda port: port["id"]) == found
    assert {addresses(port)[0] for port in found} == {addresses(port)[0] for port in made}
    random.Random(1).shuffle(made)
    wanted = [port["id"] for port in made[:450]]
    assert {port["id"] for port in cloud.list("port", id=wanted)} == set(wanted)
