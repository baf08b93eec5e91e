# SPDX-License-Identifier: Apache-2.0
"""Many at once: tasks of one process, and several processes on one PostgreSQL. Nothing is given out twice."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest

from sdnctl import runtime
from sdnctl.errors import ConflictError, NotFoundError, PreconditionError, SdnctlError
from sdnctl.model.contents import Change
from sdnctl.model.ids import Revision
from sdnctl.store import Store
from tests.store import laws
from tests.store.cloud import ADMIN, ALICE, SLAAC, V6, Cloud

MANY = 200


def at_once(count: int, attempt: Callable[[int], object]) -> list[object]:
    """What each of `count` tasks returned, or the error of ours it raised."""

    def caught(number: int) -> object:
        try:
            return attempt(number)
        except SdnctlError as error:
            return error

    tasks = [runtime.spawn(caught, number) for number in range(count)]
    return [task.join() for task in tasks]


def kinds(results: list[object]) -> list[str]:
    return [result.kind for result in results if isinstance(result, SdnctlError)]


def test_ports_to_the_last_address(cloud: Cloud) -> None:
    """253 addresses are left for 260 requests."""
    network = cloud.network()
    cloud.subnet(network)
    cloud.ports(network, 52)
    results = at_once(MANY + 7, lambda _: cloud.port(network))
    assert kinds(results) == ["IpAddressGenerationFailure"] * 7
    laws.check(cloud)


def test_ports_everywhere(cloud: Cloud) -> None:
    networks = [cloud.network() for _ in range(4)]
    for network in networks:
        cloud.subnet(network)
        cloud.subnet(network, V6, **SLAAC)
    results = at_once(MANY, lambda number: cloud.port(networks[number % 4]))
    assert kinds(results) == []
    laws.check(cloud)


def test_bulks_in_crossed_order(cloud: Cloud) -> None:
    """Two requests that want the same networks, the other way round, do not wait for each other for ever."""
    first, second = cloud.network(), cloud.network()
    for network in (first, second):
        cloud.subnet(network)

    def attempt(number: int) -> object:
        order = (first, second) if number % 2 else (second, first)
        return cloud.store.create(ALICE, "port", [{"network_id": network["id"]} for network in order])

    assert kinds(at_once(20, attempt)) == []
    laws.check(cloud)


@pytest.mark.parametrize(
    ("body", "kind"),
    (
        ({"fixed_ips": [{"ip_address": "10.0.0.9"}]}, "IpAddressAlreadyAllocated"),
        ({"mac_address": "fa:16:3e:00:00:01"}, "MacAddressInUse"),
    ),
)
def test_same_port_wish(cloud: Cloud, body: dict[str, object], kind: str) -> None:
    network = cloud.network()
    cloud.subnet(network)
    assert kinds(at_once(20, lambda _: cloud.port(network, **body))) == [kind] * 19
    laws.check(cloud)


@pytest.mark.parametrize(
    ("wish", "kind"),
    (
        ({"network_type": "vlan", "physical_network": "physnet1", "segmentation_id": 7}, "VlanIdInUse"),
        ({"network_type": "vxlan", "segmentation_id": 7}, "TunnelIdInUse"),
        ({"network_type": "flat", "physical_network": "physnet1"}, "FlatNetworkInUse"),
    ),
)
def test_same_segment_wish(cloud: Cloud, wish: dict[str, object], kind: str) -> None:
    body = {f"provider:{name}": value for name, value in wish.items()}
    assert kinds(at_once(20, lambda _: cloud.network(ADMIN, **body))) == [kind] * 19
    laws.check(cloud)


def test_vlans_to_the_last_id(cloud: Cloud) -> None:
    body = {"provider:network_type": "vlan", "provider:physical_network": "physnet1"}
    results = at_once(105, lambda _: cloud.network(ADMIN, **body))
    assert kinds(results) == ["NoNetworkAvailable"] * 5
    ids = {network["provider:segmentation_id"] for network in cloud.list("network", ADMIN)}
    assert ids == set(range(100, 200))
    laws.check(cloud)


def test_same_range(cloud: Cloud) -> None:
    network = cloud.network()
    results = at_once(10, lambda _: cloud.subnet(network))
    assert kinds(results) == ["InvalidInput"] * 9
    assert len(cloud.list("subnet")) == 1
    assert cloud.dhcp_port(network) is not None


def test_same_host(cloud: Cloud) -> None:
    assert kinds(at_once(10, lambda _: cloud.host())) == ["HostNameInUse"] * 9


def test_last_change_does_not_undo_others(cloud: Cloud) -> None:
    """Each adds its own option, name or address; none is lost."""
    network = cloud.network()
    cloud.subnet(network)
    port = cloud.port(network)

    def attempt(number: int) -> object:
        option = {"opt_name": str(100 + number), "opt_value": "x", "ip_version": 4}
        cloud.store.add_tags(ALICE, "port", port["id"], [str(number)])
        return cloud.update("port", port, extra_dhcp_opts=[option])

    assert kinds(at_once(20, attempt)) == []
    now = cloud.get("port", port)
    assert len(now["extra_dhcp_opts"]) == len(now["tags"]) == 20
    assert now["revision_number"] == 41


def test_if_match_lets_one_through(cloud: Cloud) -> None:
    network = cloud.network()
    results = at_once(10, lambda number: cloud.store.update(ALICE, "network", network["id"], {"name": str(number)}, 1))
    assert kinds(results) == ["RevisionNumberConstraintFailed"] * 9
    assert all(isinstance(result, PreconditionError) for result in results if isinstance(result, SdnctlError))


def test_delete_against_create(cloud: Cloud) -> None:
    """Either the network goes and the port is refused, or the port is there and the network stays."""

    def attempt(number: int) -> object:
        return cloud.port(network) if number else cloud.store.delete(ALICE, "network", network["id"])

    for _ in range(8):
        network = cloud.network()
        cloud.subnet(network)
        removed, made = at_once(2, attempt)
        if isinstance(removed, ConflictError):
            assert not isinstance(made, SdnctlError)
        else:
            assert isinstance(made, NotFoundError)
    laws.check(cloud)


def test_first_ports_of_a_project(cloud: Cloud) -> None:
    """They are all in the one default group that comes with them."""
    networks = [cloud.network() for _ in range(4)]

    def attempt(number: int) -> object:
        return cloud.port(networks[number % 4]) if number % 5 else cloud.list("security_group")

    results = at_once(20, attempt)
    assert kinds(results) == []
    [group] = cloud.list("security_group")
    assert all(port["security_groups"] == [group["id"]] for port in cloud.list("port"))
    laws.check(cloud)


def test_delete_a_group_against_joining_it(cloud: Cloud) -> None:
    """Either the group goes and the port is refused, or the port is in it and the group stays."""
    network = cloud.network()
    port = cloud.port(network)

    def attempt(number: int) -> object:
        if number == 0:
            return cloud.store.delete(ALICE, "security_group", group["id"])
        if number == 1:
            return cloud.port(network, security_groups=[group["id"]])
        return cloud.update("port", port, security_groups=[group["id"]])

    for _ in range(8):
        group = cloud.create("security_group")
        removed, *joined = at_once(3, attempt)
        if isinstance(removed, ConflictError):
            assert not all(isinstance(one, SdnctlError) for one in joined)
            cloud.update("port", port, security_groups=[])
        else:
            assert all(isinstance(one, NotFoundError) for one in joined)
    laws.check(cloud)


def test_same_rule_wish(cloud: Cloud) -> None:
    group, other = cloud.create("security_group"), cloud.create("security_group")
    body = {"direction": "ingress", "remote_group_id": other["id"]}
    results = at_once(10, lambda _: cloud.create("security_group_rule", security_group_id=group["id"], **body))
    assert kinds(results) == ["SecurityGroupRuleExists"] * 9
    # Groups that let each other in, both deleted at once.
    cloud.create("security_group_rule", security_group_id=other["id"], direction="ingress", remote_group_id=group["id"])
    groups = (group, other)
    assert kinds(at_once(2, lambda number: cloud.delete("security_group", groups[number]))) == []
    laws.check(cloud)


def test_addresses_added_at_once_are_all_there(cloud: Cloud) -> None:
    group = cloud.create("address_group")
    results = at_once(20, lambda number: cloud.update("address_group", group, add_addresses=[f"10.0.{number}.0/24"]))
    assert kinds(results) == []
    assert len(cloud.get("address_group", group)["addresses"]) == 20


def test_reads_go_on_while_a_bulk_is_written(cloud: Cloud) -> None:
    network = cloud.network()
    cloud.subnet(network, "10.0.0.0/16")
    task = runtime.spawn(cloud.ports, network, 400)
    seen = {len(cloud.list("port"))}
    while task.is_running:
        runtime.give_way()
        seen.add(len(cloud.list("port")))
    task.join()
    seen.add(len(cloud.list("port")))
    assert seen == {1, 401}


def test_follower_skips_no_revision(cloud: Cloud) -> None:
    """Whoever asks for what came after the last revision seen, while others write, has the whole journal in the end."""
    networks = [cloud.network() for _ in range(4)]
    followed: list[Change] = list(cloud.store.changes(Revision(0)))
    tasks = [runtime.spawn(cloud.port, networks[number % 4]) for number in range(60)]
    while any(task.is_running for task in tasks):
        followed += cloud.store.changes(followed[-1].revision)
        runtime.give_way()
    followed += cloud.store.changes(followed[-1].revision)
    assert tuple(followed) == cloud.store.changes(Revision(0))


WRITER = """
    from sdnctl import runtime
    runtime.install()
    import json, sys
    from sdnctl.errors import SdnctlError
    from sdnctl.model.ids import Revision
    from sdnctl.model.request import Context
    from sdnctl.store import Settings, Store

    url, networks, count = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
    store = Store.open(url, Settings(vni_ranges=((1, 100),)))
    alice = Context("alice-project", "alice", frozenset({"member", "reader"}))
    made, refused, followed = [], [], [0]

    def create(number):
        try:
            if number % 10 == 0:
                store.create(alice, "network", [{}])
            body = {"network_id": networks[number % len(networks)]}
            made.append(store.create(alice, "port", [body]).objects[0]["id"])
        except SdnctlError as error:
            refused.append(error.kind)

    sys.stdin.readline()
    tasks = [runtime.spawn(create, number) for number in range(count)]
    while any(task.is_running for task in tasks):
        followed.extend(change.revision for change in store.changes(Revision(followed[-1])))
        runtime.give_way()
    print(json.dumps([made, refused, followed]))
    store.close()
"""


@pytest.mark.postgres
def test_two_processes(postgres_url: str) -> None:
    """2 x 60 ports on 2 networks with too few addresses, and 12 networks; a follower in each skips nothing."""
    store = Store.open(postgres_url)
    cloud = Cloud(store)
    networks = [cloud.network() for _ in range(2)]
    for network in networks:
        cloud.subnet(network, "10.0.0.0/26", enable_dhcp=False)
        cloud.ports(network, 5)
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(WRITER), postgres_url]
    arguments = [json.dumps([network["id"] for network in networks]), "60"]
    started = [
        subprocess.Popen([*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    results = [json.loads(process.communicate()[0]) for process in started]
    made = [id_ for ids, _, _ in results for id_ in ids]
    refused = [kind for _, kinds_, _ in results for kind in kinds_]
    room = 2 * (61 - 5)
    assert (len(made), refused) == (room, ["IpAddressGenerationFailure"] * (120 - room))
    assert {port["id"] for port in cloud.list("port")} >= set(made)
    assert len(cloud.list("network")) == 14
    laws.check(cloud)
    for _, _, followed in results:
        assert followed == list(range(followed[-1] + 1))
    store.close()
