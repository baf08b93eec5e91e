# SPDX-License-Identifier: Apache-2.0
"""openstacksdk as a client, over a real socket, with both ways it has to go without Keystone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import openstack
import openstack.connection
import openstack.exceptions
import pytest

from sdnctl.api.app import Application
from sdnctl.api.auth import by_token, nobody_asked
from sdnctl.api.server import Server
from tests.api.live import Live, opened

pytestmark = [
    pytest.mark.api,
    # The client's own business.
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    with opened(tmp_path) as live:
        yield live


@pytest.fixture(params=("none", "admin_token"))
def cloud(request: pytest.FixtureRequest, live: Live) -> Iterator[openstack.connection.Connection]:
    """A connection of the SDK, made from nothing but the API's address."""
    authenticate = nobody_asked() if request.param == "none" else by_token(live.store)
    server = Server(Application(live.store, authenticate, fabric=live.fabric), "127.0.0.1", 0)
    server.start()
    auth = {"endpoint": server.url} | ({"token": live.admin} if request.param == "admin_token" else {})
    connection = openstack.connect(
        load_yaml_config=False, load_envvars=False, auth_type=request.param, auth=auth, region_name="one"
    )
    yield connection
    connection.close()
    server.stop()


def test_qos(cloud: openstack.connection.Connection) -> None:
    """By the network proxy and by the cloud layer, which asks for the extensions first."""
    network = cloud.network
    policy = network.create_qos_policy(name="gold", shared=True, is_default=True)
    assert (policy.name, policy.is_shared, policy.is_default, policy.rules) == ("gold", True, True, [])
    limit = network.create_qos_bandwidth_limit_rule(policy, max_kbps=5000, max_burst_kbps=100, direction="ingress")
    assert (limit.max_kbps, limit.max_burst_kbps, limit.direction) == (5000, 100, "ingress")
    limit = network.update_qos_bandwidth_limit_rule(limit, policy, max_kbps=6000)
    assert network.get_qos_bandwidth_limit_rule(limit, policy).max_kbps == 6000
    packets = network.create_qos_packet_rate_limit_rule(policy, max_kpps=5)
    assert (packets.max_kpps, packets.max_burst_kpps, packets.direction) == (5, 0, "egress")
    mark = network.create_qos_dscp_marking_rule(policy, dscp_mark=26)
    assert [one.dscp_mark for one in network.qos_dscp_marking_rules(policy)] == [26]
    assert {one["type"] for one in network.get_qos_policy(policy).rules} == {
        "bandwidth_limit",
        "packet_rate_limit",
        "dscp_marking",
    }
    assert {one.type for one in network.qos_rule_types()} == {"bandwidth_limit", "packet_rate_limit", "dscp_marking"}
    assert network.get_qos_rule_type("dscp_marking").drivers[0]["name"] == "sdnctl"
    by_default = network.create_network(name="blue")
    assert by_default.qos_policy_id == policy.id
    plain = cloud.create_qos_policy(name="plain", shared=False, default=False)
    assert cloud.create_qos_bandwidth_limit_rule("plain", max_kbps=1000, direction="egress").max_kbps == 1000
    assert cloud.create_qos_dscp_marking_rule("plain", dscp_mark=8).dscp_mark == 8
    assert len(cloud.get_qos_policy("plain").rules) == 2
    assert cloud.get_qos_rule_type_details("bandwidth_limit").type == "bandwidth_limit"
    port = network.create_port(network_id=by_default.id, qos_policy_id=plain.id)
    assert (port.qos_policy_id, port.qos_network_policy_id) == (plain.id, policy.id)
    with pytest.raises(openstack.exceptions.ConflictException, match="used by"):
        network.delete_qos_policy(policy, ignore_missing=False)
    with pytest.raises(openstack.exceptions.BadRequestException, match="never guaranteed"):
        network.create_qos_minimum_bandwidth_rule(policy, min_kbps=5)
    assert network.update_port(port, qos_policy_id=None).qos_policy_id is None
    assert network.update_network(by_default, qos_policy_id=None).qos_policy_id is None
    for delete, rule in (
        (network.delete_qos_bandwidth_limit_rule, limit),
        (network.delete_qos_packet_rate_limit_rule, packets),
        (network.delete_qos_dscp_marking_rule, mark),
    ):
        delete(rule, policy, ignore_missing=False)
    assert network.get_qos_policy(policy).rules == []
    network.delete_qos_policy(policy, ignore_missing=False)
    assert cloud.delete_qos_policy("plain")
    assert list(network.qos_policies()) == []


@pytest.mark.proves("S118", "S126")
def test_life_of_network_subnet_and_port(cloud: openstack.connection.Connection) -> None:
    network = cloud.network.create_network(name="blue", mtu=1400, description="first")
    assert (network.name, network.mtu, network.status, network.is_shared) == ("blue", 1400, "ACTIVE", False)
    assert network.provider_network_type == "vxlan"
    assert network.created_at.endswith("Z")
    subnet = cloud.network.create_subnet(
        network_id=network.id,
        ip_version=4,
        cidr="10.0.0.0/24",
        name="blue4",
        dns_nameservers=["192.0.2.53"],
        host_routes=[{"destination": "192.0.2.0/24", "nexthop": "10.0.0.9"}],
        allocation_pools=[{"start": "10.0.0.10", "end": "10.0.0.99"}],
    )
    assert (subnet.gateway_ip, subnet.is_dhcp_enabled) == ("10.0.0.1", True)
    port = cloud.network.create_port(
        network_id=network.id,
        name="vm1",
        fixed_ips=[{"subnet_id": subnet.id, "ip_address": "10.0.0.20"}],
        allowed_address_pairs=[{"ip_address": "10.0.0.200"}],
        extra_dhcp_opts=[{"opt_name": "mtu", "opt_value": "1300"}],
        binding_host_id="",
    )
    assert (port.status, port.is_port_security_enabled, port.binding_vnic_type) == ("DOWN", True, "normal")
    assert port.allowed_address_pairs == [{"ip_address": "10.0.0.200", "mac_address": port.mac_address}]

    for find, name, found in (
        (cloud.network.find_network, "blue", network),
        (cloud.network.find_subnet, "blue4", subnet),
        (cloud.network.find_port, "vm1", port),
    ):
        assert find(name).id == found.id
        assert find(found.id).id == found.id
        assert find("nothing") is None

    assert cloud.network.update_network(network, name="red").name == "red"
    assert cloud.network.update_subnet(subnet, gateway_ip=None).gateway_ip is None
    changed = cloud.network.update_port(port, name="vm2", device_owner="compute:one", device_id="d")
    assert (changed.name, changed.device_owner, changed.device_id) == ("vm2", "compute:one", "d")

    assert [one.id for one in cloud.network.ports(device_id="d")] == [port.id]
    assert [one.id for one in cloud.network.ports(fixed_ips=["ip_address=10.0.0.20"])] == [port.id]
    assert list(cloud.network.ports(fixed_ips=["ip_address=10.0.0.21"])) == []
    assert [one.id for one in cloud.network.networks(is_admin_state_up=True, name="red")] == [network.id]
    assert list(cloud.network.subnets(ip_version=6)) == []

    with pytest.raises(openstack.exceptions.ConflictException, match=r"in use"):
        cloud.network.delete_network(network)
    cloud.network.delete_port(port)
    cloud.network.delete_subnet(subnet)
    cloud.network.delete_network(network)
    assert list(cloud.network.networks()) == list(cloud.network.subnets()) == list(cloud.network.ports()) == []
    cloud.network.delete_network(network, ignore_missing=True)
    with pytest.raises(openstack.exceptions.NotFoundException):
        cloud.network.delete_network(network, ignore_missing=False)


def test_pages(cloud: openstack.connection.Connection) -> None:
    names = [f"n{number:02}" for number in range(7)]
    for name in names:
        cloud.network.create_network(name=name)
    listed = [one.name for one in cloud.network.networks(limit=3, sort_key="name", sort_dir="asc")]
    assert listed == names
    assert [one.name for one in cloud.network.networks(limit=7, sort_key="name", sort_dir="desc")] == names[::-1]


def test_bulk(cloud: openstack.connection.Connection) -> None:
    network = cloud.network.create_network(name="n")
    cloud.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.0.0.0/24", is_dhcp_enabled=False)
    ports = list(cloud.network.create_ports([{"network_id": network.id, "name": f"p{number}"} for number in range(20)]))
    assert [port.name for port in ports] == [f"p{number}" for number in range(20)]
    assert len({port.fixed_ips[0]["ip_address"] for port in ports}) == 20


def test_tags(cloud: openstack.connection.Connection) -> None:
    network = cloud.network.create_network(name="n")
    cloud.network.set_tags(network, ["a", "b"])
    assert sorted(cloud.network.get_network(network.id).tags) == ["a", "b"]
    network.add_tag(cloud.network, "c")
    network.remove_tag(cloud.network, "a")
    assert sorted(cloud.network.get_network(network.id).tags) == ["b", "c"]
    network.check_tag(cloud.network, "b")
    with pytest.raises(openstack.exceptions.NotFoundException):
        network.check_tag(cloud.network, "a")
    assert [one.id for one in cloud.network.networks(tags="b,c")] == [network.id]
    assert list(cloud.network.networks(not_any_tags="b")) == []
    network.remove_all_tags(cloud.network)
    assert cloud.network.get_network(network.id).tags == []


def test_revisions(cloud: openstack.connection.Connection) -> None:
    network = cloud.network.create_network(name="n")
    changed = cloud.network.update_network(network.id, if_revision=network.revision_number, name="m")
    assert changed.revision_number > network.revision_number
    with pytest.raises(openstack.exceptions.PreconditionFailedException):
        cloud.network.update_network(network.id, if_revision=network.revision_number, name="o")


def test_extensions(cloud: openstack.connection.Connection) -> None:
    aliases = {extension.alias for extension in cloud.network.extensions()}
    assert {"provider", "binding", "standard-attr-tag", "sdnctl-hosts"} <= aliases
    assert cloud.network.find_extension("binding").name == "Port Binding"
    assert cloud.network.find_extension("router") is None


def test_refusals_reach_the_user(cloud: openstack.connection.Connection) -> None:
    network = cloud.network.create_network(name="n")
    with pytest.raises(openstack.exceptions.BadRequestException, match=r"cidr: '10\.0\.0\.0/33' is not a CIDR"):
        cloud.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.0.0.0/33")
    with pytest.raises(openstack.exceptions.BadRequestException) as raised:
        cloud.network.create_network(name="x" * 256)
    assert raised.value.request_id.startswith("req-")


def test_the_cloud_layer(cloud: openstack.connection.Connection) -> None:
    """What Ansible's modules call."""
    network = cloud.create_network("n", shared=False, admin_state_up=True, port_security_enabled=True, mtu_size=1400)
    subnet = cloud.create_subnet(network.id, cidr="10.0.0.0/24", enable_dhcp=True, subnet_name="s")
    assert cloud.get_network("n").id == network.id
    assert cloud.get_subnet("s").id == subnet.id
    port = cloud.create_port(network.id, name="p", admin_state_up=True)
    assert cloud.get_port("p").fixed_ips[0]["subnet_id"] == subnet.id
    assert cloud.update_port("p", name="q").name == "q"
    assert [one.id for one in cloud.list_ports({"network_id": network.id, "name": "q"})] == [port.id]
    assert cloud.delete_port("q")
    assert cloud.delete_subnet("s")
    assert cloud.delete_network("n")
    assert not cloud.delete_network("n")


def test_security_groups(cloud: openstack.connection.Connection) -> None:
    network = cloud.network.create_network(name="n")
    group = cloud.network.create_security_group(name="web", description="d")
    assert (group.name, group.stateful, len(group.security_group_rules)) == ("web", True, 2)
    assert cloud.network.find_security_group("default").name == "default"
    assert sorted(one.name for one in cloud.network.security_groups()) == ["default", "web"]
    servers = cloud.network.create_address_group(name="servers", addresses=["192.0.2.0/24"])
    rule = cloud.network.create_security_group_rule(
        security_group_id=group.id,
        direction="ingress",
        protocol="tcp",
        port_range_min=80,
        port_range_max=81,
        remote_address_group_id=servers.id,
    )
    assert (rule.ether_type, rule.protocol, rule.port_range_max) == ("IPv4", "tcp", 81)
    [icmp, ssh] = cloud.network.create_security_group_rules(
        [
            {"security_group_id": group.id, "direction": "ingress", "ethertype": "IPv6", "protocol": "icmp"},
            {"security_group_id": group.id, "direction": "ingress", "remote_ip_prefix": "192.0.2.7/24"},
        ]
    )
    assert [one.id for one in cloud.network.security_group_rules(protocol="tcp")] == [rule.id]
    assert cloud.network.get_security_group_rule(ssh.id).remote_ip_prefix == "192.0.2.7/24"
    assert len(cloud.network.get_security_group(group.id).security_group_rules) == 5
    with pytest.raises(openstack.exceptions.ConflictException, match=icmp.id):
        cloud.network.create_security_group_rule(
            security_group_id=group.id, direction="ingress", ether_type="IPv6", protocol="ipv6-icmp"
        )
    port = cloud.network.create_port(network_id=network.id, security_group_ids=[group.id])
    assert port.security_group_ids == [group.id]
    assert [one.id for one in cloud.network.ports(security_groups=[group.id])] == [port.id]
    with pytest.raises(openstack.exceptions.ConflictException, match=r"in use by ports"):
        cloud.network.delete_security_group(group)
    default = cloud.network.find_security_group("default")
    assert cloud.network.create_port(network_id=network.id).security_group_ids == [default.id]
    assert cloud.network.update_port(port, security_group_ids=[]).security_group_ids == []
    assert cloud.network.update_security_group(group, name="www", stateful=False).stateful is False
    assert group.add_tag(cloud.network, "a").tags == ["a"]
    servers = cloud.network.add_addresses_to_address_group(servers, ["198.51.100.1", "2001:db8::/32"])
    assert servers.addresses == ["192.0.2.0/24", "198.51.100.1/32", "2001:db8::/32"]
    servers = cloud.network.remove_addresses_from_address_group(servers, ["192.0.2.0/24"])
    assert cloud.network.get_address_group(servers.id).addresses == ["198.51.100.1/32", "2001:db8::/32"]
    with pytest.raises(openstack.exceptions.ConflictException):
        cloud.network.delete_address_group(servers)
    cloud.network.delete_security_group_rule(rule)
    cloud.network.delete_security_group(group)
    cloud.network.delete_address_group(servers)
    assert list(cloud.network.address_groups()) == []
    assert [one.name for one in cloud.network.security_groups()] == ["default"]


def test_security_groups_by_the_cloud_layer(cloud: openstack.connection.Connection) -> None:
    group = cloud.create_security_group("web", "for the web")
    rule = cloud.create_security_group_rule("web", 80, 81, "tcp", "192.0.2.0/24")
    ping = cloud.create_security_group_rule("web", protocol="icmp", ethertype="IPv6", remote_group_id=group["id"])
    shown = cloud.get_security_group("web")["security_group_rules"]
    assert {rule["id"], ping["id"]} <= {one["id"] for one in shown}
    assert cloud.update_security_group("web", name="www")["name"] == "www"
    assert cloud.delete_security_group_rule(rule["id"])
    assert cloud.delete_security_group("www")


def test_our_own_resources_by_plain_requests(cloud: openstack.connection.Connection) -> None:
    body = {"host": {"name": "h1", "ovsdb": "tcp:192.0.2.1:6640"}}
    response = cloud.network.post("/hosts", json=body)
    assert response.status_code == 201
    assert cloud.network.get("/hosts").json()["hosts"][0]["name"] == "h1"
