# SPDX-License-Identifier: Apache-2.0
"""The tables of the API and the store know the same attributes."""

from __future__ import annotations

import pytest

from sdnctl.api.resources import RESOURCES, May, Resource
from sdnctl.errors import SdnctlError
from sdnctl.model.request import Query
from tests.events import event
from tests.store.cloud import ADMIN, Cloud, Object

QUERIES = {"tags-any", "not-tags", "not-tags-any"}
OLD_NAMES = {"tenant_id"}
NOT_YET = {"is_default", "availability_zone_hints"}


@pytest.fixture
def made(cloud: Cloud) -> dict[str, Object]:
    """One of each kind."""
    network = cloud.network(ADMIN)
    project = cloud.create("project", ADMIN, name="p")
    group = cloud.create("security_group", ADMIN)
    rule = {"security_group_id": group["id"], "direction": "ingress"}
    cloud.store.record_events([event()])
    made = {
        "security_group": group,
        "security_group_rule": cloud.create("security_group_rule", ADMIN, **rule),
        "address_group": cloud.create("address_group", ADMIN),
        "ip_group": cloud.create("ip_group", ADMIN, network_id=network["id"], ip_address="fe80::1"),
        "qos_policy": cloud.create("qos_policy", ADMIN),
        "security_event": {"id": event().id},
        "network": network,
        "subnet": cloud.subnet(network, ctx=ADMIN),
        "port": cloud.port(network, ADMIN),
        "host": cloud.host(),
        "project": project,
        "token": cloud.create("token", ADMIN, project_id=project["id"]),
    }
    return {kind: cloud.get(kind, found, ADMIN) for kind, found in made.items()}


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.name)
def test_every_attribute_is_there(made: dict[str, Object], resource: Resource) -> None:
    missing = {attribute for attribute in resource.attributes if attribute.name not in made[resource.name]}
    if resource.name in {"host", "port"}:
        # What can only be read there is what the host itself reports.
        missing = {attribute for attribute in missing if attribute.may != May.NOTHING}
    assert {attribute.name for attribute in missing} - {"secret"} <= QUERIES


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.name)
def test_nothing_else_is_shown(made: dict[str, Object], resource: Resource) -> None:
    """A column that is for the store alone is hidden: the journal keeps what is shown, and readers see that."""
    assert set(made[resource.name]) - set(resource.by_name) - OLD_NAMES <= NOT_YET


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.name)
def test_every_filter_and_sort_key_works(cloud: Cloud, made: dict[str, Object], resource: Resource) -> None:
    found = made[resource.name]
    for name in resource.names(May.FILTER):
        value = found.get(name)
        if isinstance(value, str | int):
            assert found["id"] in {one["id"] for one in cloud.list(resource.name, ADMIN, **{name: value})}, name
        elif name != "fixed_ips":
            cloud.list(resource.name, ADMIN, **{name: "x"})
    for name in resource.names(May.SORT):
        query = Query(sort=((name, True),), limit=1, marker=found["id"])
        cloud.store.list(ADMIN, resource.name, query)


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: resource.name)
def test_everything_that_may_be_changed_can_be(cloud: Cloud, made: dict[str, Object], resource: Resource) -> None:
    found = made[resource.name]
    for name in resource.names(May.UPDATE):
        try:
            assert cloud.update(resource.name, found, ADMIN, **{name: found[name]}).items() <= found.items()
        except SdnctlError as error:
            pytest.fail(f"{resource.name}.{name}: {error}")
