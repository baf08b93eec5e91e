# SPDX-License-Identifier: Apache-2.0
"""Security groups and their rules: the default group, what a rule may say and when two say the same, what is in use."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netaddr import IPNetwork

from sdnctl.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError, PreconditionError, SdnctlError
from sdnctl.model import ip_protocols
from sdnctl.model.request import Context
from sdnctl.model.security import AddressGroup, Direction, Established, SecurityGroup, SecurityRule
from sdnctl.store import security_rules
from tests.store.cloud import ADMIN, ALICE, BOB, NOVA, NOWHERE, READER, Cloud, Object, count_rows, names


def default(cloud: Cloud, ctx: Context = ALICE) -> Object:
    [group] = cloud.list("security_group", ctx, name="default", project_id=ctx.project_id)
    return group


def rule(cloud: Cloud, group: Object, ctx: Context = ALICE, **body: object) -> Object:
    body = {"security_group_id": group["id"], "direction": "ingress", **body}
    return cloud.create("security_group_rule", ctx, **body)


def refusal(error: type[SdnctlError], kind: str, text: str = "") -> Any:
    return pytest.raises(error, match=text or None, check=lambda raised: raised.kind == kind)


def meanings(group: Object) -> set[tuple[object, ...]]:
    return {
        (one["direction"], one["ethertype"], one["protocol"], one["remote_group_id"])
        for one in group["security_group_rules"]
    }


# --------------------------------------------------------------------------------------------------- the default group


def test_default_group_is_there_at_the_first_look(cloud: Cloud) -> None:
    group = default(cloud, READER)
    assert (group["project_id"], group["stateful"]) == ("alice-project", True)
    assert meanings(group) == {
        ("egress", "IPv4", None, None),
        ("egress", "IPv6", None, None),
        ("ingress", "IPv4", None, group["id"]),
        ("ingress", "IPv6", None, group["id"]),
    }
    revision = cloud.store.revision()
    assert default(cloud)["id"] == group["id"]
    assert cloud.store.revision() == revision


@pytest.mark.parametrize("first", ("port", "group"))
def test_default_group_is_there_at_the_first_use(cloud: Cloud, first: str) -> None:
    if first == "port":
        port = cloud.port(cloud.network())
        assert port["security_groups"] == [default(cloud)["id"]]
    else:
        cloud.create("security_group", name="web")
    assert count_rows(cloud.store, "security_groups") == (1 if first == "port" else 2)
    assert names(cloud.list("security_group", BOB)) == ["default"]


def test_default_group_of_the_ports_own_project(cloud: Cloud) -> None:
    network = cloud.network(ADMIN, shared=True)
    port = cloud.port(network, ADMIN, project_id="bob-project")
    assert port["security_groups"] == [default(cloud, BOB)["id"]]
    assert cloud.ports(network, 3)[2]["security_groups"] == [default(cloud)["id"]]


def test_default_group_keeps_its_name_and_its_place(cloud: Cloud) -> None:
    group = default(cloud)
    with refusal(ConflictError, "SecurityGroupCannotUpdateDefault", "name: .* make another"):
        cloud.update("security_group", group, name="other")
    with refusal(ConflictError, "SecurityGroupCannotRemoveDefault"):
        cloud.delete("security_group", group)
    changed = cloud.update("security_group", group, name="default", description="d", stateful=False)
    assert (changed["description"], changed["stateful"]) == ("d", False)
    for made in group["security_group_rules"]:
        cloud.delete("security_group_rule", made)
    assert cloud.get("security_group", group)["security_group_rules"] == []
    cloud.delete("security_group", group, ADMIN)
    assert default(cloud)["id"] != group["id"]


@pytest.mark.parametrize("name", ("default", "Default"))
def test_there_is_one_default_group(cloud: Cloud, name: str) -> None:
    with refusal(ConflictError, "SecurityGroupDefaultAlreadyExists", "^name: "):
        cloud.create("security_group", name=name)
    group = cloud.create("security_group", name="web")
    with refusal(ConflictError, "SecurityGroupDefaultAlreadyExists"):
        cloud.update("security_group", group, name=name)


def test_default_group_goes_with_its_project(cloud: Cloud) -> None:
    project = cloud.create("project", ADMIN, name="p")
    member = Context(project["id"], "m", frozenset({"member", "reader"}))
    default(cloud, member)
    web = cloud.create("security_group", member, name="web")
    with refusal(ConflictError, "ProjectInUse", f"security_groups: {web['id']}. Delete"):
        cloud.delete("project", project, ADMIN)
    cloud.delete("security_group", web, member)
    cloud.delete("project", project, ADMIN)
    assert cloud.list("security_group", ADMIN, project_id=project["id"]) == []
    assert cloud.list("security_group_rule", ADMIN, project_id=project["id"]) == []


# ----------------------------------------------------------------------------------------------------- groups of ports


def test_groups_of_a_port(cloud: Cloud) -> None:
    web, ssh = cloud.create("security_group", name="web"), cloud.create("security_group", name="ssh")
    network = cloud.network()
    port = cloud.port(network, security_groups=[web["id"], ssh["id"], web["id"]])
    assert port["security_groups"] == sorted([web["id"], ssh["id"]])
    [found] = cloud.store.fetch("port", [port["id"]]).values()
    assert found.security_groups == tuple(port["security_groups"])  # type: ignore[union-attr]
    assert [one["id"] for one in cloud.list("port", security_groups=web["id"])] == [port["id"]]
    changed = cloud.update("port", port, security_groups=[ssh["id"]])
    assert (changed["security_groups"], changed["revision_number"]) == ([ssh["id"]], 2)
    assert cloud.list("port", security_groups=web["id"]) == []
    assert cloud.update("port", port, security_groups=[])["security_groups"] == []
    assert count_rows(cloud.store, "port_security_groups") == 0


def test_null_is_the_default_group_of_a_new_port_only(cloud: Cloud) -> None:
    port = cloud.port(cloud.network(), security_groups=None)
    assert port["security_groups"] == [default(cloud)["id"]]
    assert cloud.update("port", port, security_groups=None)["security_groups"] == []


def test_groups_of_others_are_not_found(cloud: Cloud) -> None:
    network = cloud.network(shared=True, ctx=ADMIN)
    foreign = cloud.create("security_group", BOB)
    for group in (foreign["id"], NOWHERE):
        with refusal(NotFoundError, "SecurityGroupNotFound", group):
            cloud.port(network, security_groups=[group])
        with refusal(NotFoundError, "SecurityGroupNotFound", group):
            cloud.update("port", cloud.port(network), security_groups=[group])
    assert cloud.port(network, NOVA, security_groups=[foreign["id"]])["security_groups"] == [foreign["id"]]


def test_groups_a_port_has_already_need_not_be_seen(cloud: Cloud) -> None:
    """The owner of a network changes a port there whose groups are another project's."""
    network = cloud.network()
    foreign = cloud.create("security_group", BOB)
    port = cloud.port(network, ADMIN, project_id="bob-project", security_groups=[foreign["id"]])
    own = cloud.create("security_group")
    wanted = sorted([foreign["id"], own["id"]])
    assert cloud.update("port", port, security_groups=wanted)["security_groups"] == wanted


def test_groups_need_port_security(cloud: Cloud) -> None:
    network = cloud.network()
    group = cloud.create("security_group")
    with refusal(ConflictError, "PortSecurityAndIPRequiredForSecurityGroups", "^security_groups: "):
        cloud.port(network, port_security_enabled=False, security_groups=[group["id"]])
    free = cloud.port(network, port_security_enabled=False)
    assert free["security_groups"] == []
    with refusal(ConflictError, "PortSecurityAndIPRequiredForSecurityGroups"):
        cloud.update("port", free, security_groups=[group["id"]])
    port = cloud.port(network, security_groups=[group["id"]])
    with refusal(ConflictError, "PortSecurityPortHasSecurityGroup", r"security_groups: \[\]"):
        cloud.update("port", port, port_security_enabled=False)
    assert cloud.update("port", port, port_security_enabled=False, security_groups=[])["security_groups"] == []
    both = cloud.update("port", free, port_security_enabled=True, security_groups=[group["id"]])
    assert both["security_groups"] == [group["id"]]
    assert cloud.port(cloud.network(port_security_enabled=False))["security_groups"] == []


def test_ports_of_the_network_itself_have_none(cloud: Cloud) -> None:
    network = cloud.network()
    cloud.subnet(network)
    dhcp = cloud.dhcp_port(network)
    assert dhcp is not None
    assert dhcp["security_groups"] == []
    port = cloud.port(network, device_owner="network:router_interface")
    assert port["security_groups"] == []
    group = cloud.create("security_group")
    with pytest.raises(InvalidError, match=r"^security_groups: .*; send an empty list"):
        cloud.update("port", port, security_groups=[group["id"]])
    with pytest.raises(InvalidError, match=r"^security_groups: "):
        cloud.update("port", cloud.port(network), device_owner="network:x")


# ----------------------------------------------------------------------------------------------------------- in use


def test_a_group_in_use_stays(cloud: Cloud) -> None:
    group = cloud.create("security_group", tags=["a"])
    port = cloud.port(cloud.network(), security_groups=[group["id"]])
    with refusal(ConflictError, "SecurityGroupInUse", f"in use by ports {port['id']}"):
        cloud.delete("security_group", group)
    with refusal(ConflictError, "SecurityGroupInUse", "^stateful: "):
        cloud.update("security_group", group, stateful=False)
    assert cloud.update("security_group", group, stateful=True, name="n")["name"] == "n"
    cloud.delete("port", port)
    assert cloud.update("security_group", group, stateful=False)["stateful"] is False
    cloud.delete("security_group", group)
    assert count_rows(cloud.store, "tags") == 0
    with refusal(NotFoundError, "SecurityGroupNotFound"):
        cloud.get("security_group", group)


def test_rules_that_let_a_groups_members_in_go_with_it(cloud: Cloud) -> None:
    web, db = cloud.create("security_group", name="web"), cloud.create("security_group", name="db")
    rule(cloud, db, protocol="tcp", port_range_min=5432, port_range_max=5432, remote_group_id=web["id"])
    before = cloud.get("security_group", db)
    revision = cloud.store.revision()
    cloud.delete("security_group", web)
    after = cloud.get("security_group", db)
    assert len(after["security_group_rules"]) == 2
    assert after["revision_number"] == before["revision_number"] + 1
    changed = {(change.kind, change.id) for change in cloud.store.changes(revision)}
    assert {("security_group", web["id"]), ("security_group", db["id"])} <= changed


def test_address_group_in_use_stays(cloud: Cloud) -> None:
    servers = cloud.create("address_group", addresses=["192.0.2.0/24"])
    made = rule(cloud, cloud.create("security_group"), remote_address_group_id=servers["id"])
    with refusal(ConflictError, "AddressGroupInUse", f"{made['id']}. Delete"):
        cloud.delete("address_group", servers)
    cloud.delete("security_group_rule", made)
    cloud.delete("address_group", servers)
    assert cloud.list("address_group") == []


# -------------------------------------------------------------------------------------------------------- who may what


def test_groups_are_their_projects_own(cloud: Cloud) -> None:
    group = cloud.create("security_group", BOB, name="b")
    made = rule(cloud, group, BOB)
    servers = cloud.create("address_group", BOB)
    for kind, found in (("security_group", group), ("security_group_rule", made), ("address_group", servers)):
        assert found["id"] not in {one["id"] for one in cloud.list(kind)}
        assert cloud.get(kind, found, ADMIN)["project_id"] == "bob-project"
        with pytest.raises(NotFoundError):
            cloud.get(kind, found)
        with pytest.raises(NotFoundError):
            cloud.delete(kind, found)
        with pytest.raises(ForbiddenError):
            cloud.store.delete(Context("bob-project", "r", frozenset({"reader"})), kind, found["id"])
        with pytest.raises(ForbiddenError, match="another project"):
            cloud.delete(kind, found, NOVA)
        with pytest.raises(PreconditionError):
            cloud.store.delete(BOB, kind, found["id"], 7)
    with refusal(NotFoundError, "SecurityGroupNotFound"):
        rule(cloud, group)
    assert rule(cloud, group, ADMIN, protocol="tcp", project_id="x")["project_id"] == "bob-project"
    with refusal(NotFoundError, "SecurityGroupNotFound"):
        rule(cloud, default(cloud), remote_group_id=group["id"])
    with refusal(NotFoundError, "AddressGroupNotFound"):
        rule(cloud, default(cloud), remote_address_group_id=servers["id"])


# ------------------------------------------------------------------------------------------------------ what rules say

ANYWHERE = {"remote_ip_prefix": "0.0.0.0/0"}


def ports(first: int | None, last: int | None = None) -> dict[str, object]:
    return {"port_range_min": first, "port_range_max": last}


@pytest.mark.parametrize(
    ("kind", "field", "body"),
    (
        ("SecurityGroupProtocolRequiredWithPorts", "port_range_min", {**ports(1, 2)}),
        ("SecurityGroupInvalidPortRange", "port_range_min", {"protocol": "tcp", **ports(2, 1)}),
        ("SecurityGroupInvalidPortRange", "port_range_max", {"protocol": "udp", **ports(2)}),
        ("SecurityGroupInvalidPortRange", "port_range_min", {"protocol": "132", **ports(None, 2)}),
        ("SecurityGroupInvalidPortValue", "port_range_min", {"protocol": "6", **ports(0, 9)}),
        ("SecurityGroupInvalidPortValue", "port_range_max", {"protocol": "6", **ports(1, 65536)}),
        ("SecurityGroupInvalidProtocolForPort", "port_range_min", {"protocol": "gre", **ports(1, 1)}),
        ("SecurityGroupMissingIcmpType", "port_range_min", {"protocol": "icmp", **ports(None, 0)}),
        ("SecurityGroupInvalidIcmpValue", "port_range_min", {"protocol": "icmp", **ports(256)}),
        ("SecurityGroupInvalidIcmpValue", "port_range_max", {"protocol": "1", **ports(3, 256)}),
        ("SecurityGroupEthertypeConflictWithProtocol", "protocol", {"protocol": "icmpv6"}),
        ("InvalidInput", "protocol", {"protocol": "ah", "ethertype": "IPv6"}),
        ("SecurityGroupRuleParameterConflict", "remote_ip_prefix", {"remote_ip_prefix": "fd00::/64"}),
        ("SecurityGroupRuleParameterConflict", "remote_ip_prefix", {**ANYWHERE, "ethertype": "IPv6"}),
        ("InvalidInput", "remote_ip_prefix", {"remote_ip_prefix": "10.0.0.0/33"}),
        ("SecurityGroupRemoteGroupAndRemoteIpPrefix", "remote_group_id", {**ANYWHERE, "remote_group_id": "own"}),
        ("HTTPBadRequest", "colour", {"colour": "red"}),
    ),
)
def test_rules_that_cannot_be(cloud: Cloud, kind: str, field: str, body: dict[str, object]) -> None:
    group = cloud.create("security_group")
    revision = cloud.store.revision()
    given = {name: group["id"] if value == "own" else value for name, value in body.items()}
    with refusal(InvalidError, kind, f"{field}.*;|'{field}'"):
        rule(cloud, group, **given)
    assert cloud.store.revision() == revision


@pytest.mark.parametrize(
    ("first", "second"),
    (
        ({}, {"protocol": None, "port_range_min": None, "remote_group_id": None, "ethertype": "IPv4"}),
        ({}, {"remote_ip_prefix": "0.0.0.0/0"}),
        ({"ethertype": "IPv6"}, {"ethertype": "IPv6", "remote_ip_prefix": "::/0"}),
        ({"protocol": "6"}, {"protocol": "tcp"}),
        ({"protocol": "icmpv6", "ethertype": "IPv6"}, {"protocol": "ipv6-icmp", "ethertype": "IPv6"}),
        ({"protocol": "icmp", "ethertype": "IPv6"}, {"protocol": "58", "ethertype": "IPv6"}),
        ({"remote_ip_prefix": "10.0.0.7/24"}, {"remote_ip_prefix": "10.0.0.0/24"}),
        ({"description": "a", "established": "keep"}, {"description": "b"}),
    ),
)
def test_the_same_rule_twice(cloud: Cloud, first: dict[str, object], second: dict[str, object]) -> None:
    group, other = cloud.create("security_group"), cloud.create("security_group")
    made = rule(cloud, group, **first)
    with refusal(ConflictError, "SecurityGroupRuleExists", made["id"]):
        rule(cloud, group, **second)
    rule(cloud, other, **second)
    rule(cloud, group, **{**second, "direction": "egress", "protocol": "47"})
    cloud.delete("security_group_rule", made)
    rule(cloud, group, **second)


def test_rules_that_differ_by_their_other_end(cloud: Cloud) -> None:
    group = cloud.create("security_group")
    servers = cloud.create("address_group")
    for remote in (
        {"remote_ip_prefix": "10.0.0.0/24"},
        {"remote_ip_prefix": "10.0.0.0/25"},
        {"remote_group_id": group["id"]},
        {"remote_group_id": default(cloud)["id"]},
        {"remote_address_group_id": servers["id"]},
        {},
    ):
        rule(cloud, group, **remote)
    assert len(cloud.get("security_group", group)["security_group_rules"]) == 2 + 6


def test_rules_are_kept_as_given(cloud: Cloud) -> None:
    group = cloud.create("security_group")
    made = rule(cloud, group, protocol="6", remote_ip_prefix="10.0.0.7/24", description="d", established="keep")
    assert (made["protocol"], made["remote_ip_prefix"], made["normalized_cidr"]) == ("6", "10.0.0.7/24", "10.0.0.0/24")
    assert (made["ethertype"], made["port_range_min"], made["remote_group_id"]) == ("IPv4", None, None)
    assert made in cloud.get("security_group", group)["security_group_rules"]
    assert cloud.get("security_group_rule", made) == made
    assert [one["id"] for one in cloud.list("security_group_rule", normalized_cidr="10.0.0.0/24")] == [made["id"]]


def test_several_rules_are_made_or_none(cloud: Cloud) -> None:
    web, ssh = cloud.create("security_group", name="web"), cloud.create("security_group", name="ssh")
    bodies = [
        {"security_group_id": group["id"], "direction": "ingress", "protocol": protocol}
        for group, protocol in ((web, "tcp"), (ssh, "tcp"), (web, "udp"))
    ]
    made = cloud.store.create(ALICE, "security_group_rule", bodies).objects
    assert [(one["security_group_id"], one["protocol"]) for one in made] == [
        (body["security_group_id"], body["protocol"]) for body in bodies
    ]
    twice = {"security_group_id": web["id"], "direction": "ingress", "protocol": "gre"}
    with refusal(ConflictError, "SecurityGroupRuleExists"):
        cloud.store.create(ALICE, "security_group_rule", [twice, twice])
    assert len(cloud.get("security_group", web)["security_group_rules"]) == 4


def test_a_rule_is_a_new_revision_of_its_group(cloud: Cloud) -> None:
    group = cloud.create("security_group")
    revision = cloud.store.revision()
    made = rule(cloud, group)
    cloud.delete("security_group_rule", made)
    assert cloud.get("security_group", group)["revision_number"] == 3
    entries = [(kind, operation) for kind, id_, operation, _ in cloud.entries(revision)]
    assert sorted(entries) == [
        ("security_group", "update"),
        ("security_group", "update"),
        ("security_group_rule", "create"),
        ("security_group_rule", "delete"),
    ]
    # The group's own entries do not repeat all its rules.
    updates = [changes for kind, _, _, changes in cloud.entries(revision) if kind == "security_group"]
    assert all(set(changes) == {"revision_number"} for changes in updates)


# ------------------------------------------------------------------------------------------------------ address groups


def test_address_groups(cloud: Cloud) -> None:
    group = cloud.create("address_group", name="a", addresses=["192.0.2.7/24", "2001:db8::/32"], description="d")
    assert group["addresses"] == ["192.0.2.0/24", "2001:db8::/32"]
    more = cloud.update("address_group", group, add_addresses=["10.0.0.1/32"], name="b")
    assert (more["addresses"], more["name"]) == (["10.0.0.1/32", "192.0.2.0/24", "2001:db8::/32"], "b")
    assert cloud.update("address_group", group, remove_addresses=["192.0.2.0/24"])["addresses"] == [
        "10.0.0.1/32",
        "2001:db8::/32",
    ]
    with refusal(InvalidError, "AddressesAlreadyExist", "^addresses: 10.0.0.1/32"):
        cloud.update("address_group", group, add_addresses=["10.0.0.1/32"])
    with refusal(NotFoundError, "AddressesNotFound", "^addresses: 10.0.0.2/32"):
        cloud.update("address_group", group, remove_addresses=["10.0.0.2/32"])
    with pytest.raises(InvalidError, match=r"^addresses\[1\]: 10.0.0.0/24 stands there twice"):
        cloud.create("address_group", addresses=["10.0.0.0/24", "10.0.0.9/24"])
    many = [f"10.{number // 256}.{number % 256}.0/24" for number in range(1001)]
    with pytest.raises(InvalidError, match="at most 1000"):
        cloud.create("address_group", addresses=many)
    [found] = cloud.store.fetch("address_group", [group["id"], NOWHERE]).values()
    assert isinstance(found, AddressGroup)
    assert found.addresses == (IPNetwork("10.0.0.1/32"), IPNetwork("2001:db8::/32"))


def test_keys_of_both_kinds_of_groups_are_one_series(cloud: Cloud) -> None:
    made = [cloud.create(kind) for kind in ("address_group", "security_group", "address_group", "security_group")]
    contents = cloud.store.load()
    keys = {one.id: one.key for one in (*contents.address_groups, *contents.security_groups)}
    # 2 is the default group's.
    assert [keys[one["id"]] for one in made] == [1, 3, 4, 5]


# ------------------------------------------------------------------------------------------------------ for the switch


def test_what_the_data_plane_reads(cloud: Cloud) -> None:
    web = cloud.create("security_group", name="web", stateful=False)
    servers = cloud.create("address_group", addresses=["192.0.2.0/24"])
    made = [
        rule(cloud, web, protocol="tcp", port_range_min=80, port_range_max=81, remote_ip_prefix="10.0.0.7/24"),
        rule(cloud, web, ethertype="IPv6", protocol="icmp", port_range_min=128, established="keep"),
        rule(cloud, web, remote_group_id=web["id"]),
        rule(cloud, web, protocol="gre", remote_address_group_id=servers["id"]),
        rule(cloud, web, protocol="udp", remote_ip_prefix="0.0.0.0/0"),
    ]
    [group] = cloud.store.fetch("security_group", [web["id"]]).values()
    assert isinstance(group, SecurityGroup)
    assert (group.name, group.stateful, group.project_id) == ("web", False, "alice-project")
    assert [one.id for one in group.rules] == sorted(one.id for one in group.rules)
    by_id = {one.id: one for one in group.rules}
    ingress = Direction.INGRESS
    assert [by_id[one["id"]] for one in made] == [
        SecurityRule(
            id=made[0]["id"],
            direction=ingress,
            version=4,
            protocol=6,
            port_min=80,
            port_max=81,
            remote_prefix=IPNetwork("10.0.0.0/24"),
        ),
        SecurityRule(
            id=made[1]["id"], direction=ingress, version=6, protocol=58, port_min=128, established=Established.KEEP
        ),
        SecurityRule(id=made[2]["id"], direction=ingress, version=4, remote_group_id=web["id"]),
        SecurityRule(
            id=made[3]["id"], direction=ingress, version=4, protocol=47, remote_address_group_id=servers["id"]
        ),
        SecurityRule(id=made[4]["id"], direction=ingress, version=4, protocol=17),
    ]
    assert len(by_id) == len(made) + 2
    assert group in cloud.store.load().security_groups
    for one in web["security_group_rules"]:
        cloud.delete("security_group_rule", one)
    [now] = cloud.store.fetch("security_group", [web["id"]]).values()
    assert set(now.rules) == {by_id[one["id"]] for one in made}  # type: ignore[union-attr]


PREFIXES = {4: ("0.0.0.0/0", "10.0.0.0/8", "10.1.2.3/8"), 6: ("::/0", "fd00::/8", "fd00::5/8")}


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, object]:
    """What a rule may say, valid or not."""
    version = draw(st.sampled_from((4, 6)))
    port = st.none() | st.integers(0, 3) | st.just(300)
    return {
        "direction": draw(st.sampled_from(("ingress", "egress"))),
        "ethertype": f"IPv{version}",
        "protocol": draw(st.none() | st.sampled_from((*ip_protocols.NUMBERS, "0", "1", "6", "58", "255"))),
        "port_range_min": draw(port),
        "port_range_max": draw(port),
        "remote_ip_prefix": draw(st.none() | st.sampled_from(PREFIXES[version])),
    }


@st.composite
def pairs(draw: st.DrawFn) -> tuple[dict[str, object], dict[str, object]]:
    """Two rules that differ in one attribute at most."""
    first, other = draw(bodies()), draw(bodies())
    name = draw(st.sampled_from(sorted(first)))
    return first, {**first, name: other[name]}


class Ids:
    """As much of a `Write` as a rule's row needs."""

    now = "2026-11-20T15:50:04Z"
    random = Random(1)


def meaning(body: dict[str, Any]) -> tuple[object, ...] | None:
    """What the rule says to a switch, written a second time; None if it cannot be said."""
    version, protocol = int(body["ethertype"][3]), body["protocol"]
    number = (
        None if protocol is None else ip_protocols.NUMBERS.get(protocol, int(protocol) if protocol.isdigit() else -1)
    )
    if version == 6 and number == 1:
        number = 58
    first, last = body["port_range_min"], body["port_range_max"]
    if version == 4 and protocol in {"icmpv6", "ipv6-icmp", "ipv6-frag", "ipv6-nonxt", "ipv6-opts", "ipv6-route"}:
        return None
    if version == 6 and number in {0, 43, 44, 51, 60}:
        return None
    if (first, last) != (None, None):
        if number in {1, 58}:
            possible = first is not None and first <= 255 and (last or 0) <= 255
        else:
            possible = number in {6, 17, 132} and first is not None and last is not None and 1 <= first <= last
        if not possible:
            return None
    prefix = IPNetwork(body["remote_ip_prefix"]).cidr if body["remote_ip_prefix"] else None
    if prefix is not None and prefix.version != version:
        return None
    return body["direction"], version, number, first, last, prefix if prefix and prefix.prefixlen else None


@settings(max_examples=300)
@given(pairs())
def test_a_rule_is_refused_or_has_one_form_for_one_meaning(pair: tuple[dict[str, object], dict[str, object]]) -> None:
    forms = []
    for body in pair:
        try:
            forms.append(security_rules._row(Ids, body)["form"])  # type: ignore[arg-type]
        except InvalidError:
            forms.append(None)
    expected = [meaning(body) for body in pair]
    assert [form is None for form in forms] == [found is None for found in expected]
    assert (forms[0] == forms[1]) == (expected[0] == expected[1])
