# SPDX-License-Identifier: Apache-2.0
"""What holds in every database at every moment, whatever was done to it."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from sdnctl.model.contents import Contents
from sdnctl.model.security import AddressGroup, SecurityGroup
from sdnctl.store import tables
from tests.store.cloud import ADMIN, Cloud, Object, addresses, count_rows, journal

QOS_RULES = ("bandwidth_limit_rule", "packet_rate_limit_rule", "dscp_marking_rule")


def check(cloud: Cloud) -> None:
    """No duplicates, no gaps, nothing half-done; and what stands twice agrees."""
    networks = {network["id"]: network for network in cloud.list("network", ADMIN)}
    subnets = {subnet["id"]: subnet for subnet in cloud.list("subnet", ADMIN)}
    ports = cloud.list("port", ADMIN)
    _addresses(cloud, subnets, ports)
    _dhcp(networks, subnets, ports)
    segments = [network["provider:segmentation_id"] for network in networks.values()]
    assert len(set(segments)) == len(segments)
    assert {id_ for network in networks.values() for id_ in network["subnets"]} == set(subnets)
    contents = cloud.store.load()
    for items in (contents.ports, contents.networks, contents.hosts, _groups(cloud, ports, contents)):
        assert len({item.key for item in items}) == len(items)
    revisions = [entry["revision"] for entry in journal(cloud.store)]
    assert revisions == list(range(1, len(revisions) + 1))
    assert contents.revision == len(revisions)
    kinds = ("security_group", "security_group_rule", "address_group", "qos_policy", *QOS_RULES)
    grouped = [one for kind in kinds for one in cloud.list(kind, ADMIN)]
    policies = {one["id"] for one in cloud.list("qos_policy", ADMIN)}
    assert {one["qos_policy_id"] for one in (*networks.values(), *ports)} <= {None, *policies}
    _entries(cloud, [*networks.values(), *subnets.values(), *ports, *grouped])
    tagged = sum(
        len(one["tags"])
        for kind in ("network", "subnet", "port", "security_group", "qos_policy", "host")
        for one in cloud.list(kind, ADMIN)
    )
    assert count_rows(cloud.store, "tags") == tagged


def _addresses(cloud: Cloud, subnets: dict[str, Object], ports: list[Object]) -> None:
    assert len({(port["network_id"], port["mac_address"]) for port in ports}) == len(ports)
    shown = {
        (port["network_id"], fixed["ip_address"]): (fixed["subnet_id"], port["id"])
        for port in ports
        for fixed in port["fixed_ips"]
    }
    rows = cloud.store._database.read(lambda connection: connection.execute(tables.addresses.select()).all())
    assert {(row.network_id, row.address): (row.subnet_id, row.port_id) for row in rows} == shown
    assert len(shown) == sum(len(port["fixed_ips"]) for port in ports)
    for (network_id, address), (subnet_id, _) in shown.items():
        assert subnets[subnet_id]["network_id"] == network_id
        assert ip_address(address) in ip_network(subnets[subnet_id]["cidr"])


def _dhcp(networks: dict[str, Object], subnets: dict[str, Object], ports: list[Object]) -> None:
    servers = [port for port in ports if port["device_owner"] == "network:dhcp"]
    assert len({port["network_id"] for port in servers}) == len(servers)
    answered = {fixed["subnet_id"] for port in servers for fixed in port["fixed_ips"]}
    assert answered == {id_ for id_, one in subnets.items() if one["enable_dhcp"] and one["ip_version"] == 4}
    assert all(addresses(port) for port in servers)


def _groups(cloud: Cloud, ports: list[Object], contents: Contents) -> list[SecurityGroup | AddressGroup]:
    """All groups. A project has one default group; ports are in groups that exist, and the table knows."""
    rows = cloud.store._database.read(lambda connection: connection.execute(tables.port_security_groups.select()).all())
    shown = {(port["id"], group) for port in ports for group in port["security_groups"]}
    assert {(row.port_id, row.group_id) for row in rows} == shown
    assert len(shown) == sum(len(port["security_groups"]) for port in ports)
    assert {group for _, group in shown} <= {group.id for group in contents.security_groups}
    defaults = [group.project_id for group in contents.security_groups if group.name == "default"]
    assert len(set(defaults)) == len(defaults)
    assert {port["project_id"] for port in ports if port["security_groups"]} <= set(defaults)
    return [*contents.security_groups, *contents.address_groups]


def _entries(cloud: Cloud, objects: list[Object]) -> None:
    """The journal alone tells which objects there are, and their revision numbers."""
    alive: dict[str, int] = {}
    for entry in journal(cloud.store):
        if entry["operation"] == "delete":
            del alive[entry["object_id"]]
        elif entry["kind"] not in {"host", "project", "token"}:
            old, alive[entry["object_id"]] = entry["changes"]["revision_number"]
            assert old == (None if entry["operation"] == "create" else alive[entry["object_id"]] - 1)
    assert alive == {one["id"]: one["revision_number"] for one in objects}
