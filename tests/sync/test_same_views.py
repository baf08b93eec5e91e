# SPDX-License-Identifier: Apache-2.0
"""The clouds of `tests.apps` are what the world makes of the same objects.

Packets, laws and mutations are tried on views that `tests.apps.clouds` writes down by itself. Here the world is told of
the objects behind them, ports and groups and hosts, and has to come to the same views.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import given
from netaddr import EUI, IPAddress, IPNetwork

from sdnctl.model.filters import ALL
from sdnctl.model.host import Host, HostFacts, Interface
from sdnctl.model.ids import GroupKey, HostKey, NetworkKey, Ofport, PortKey
from sdnctl.model.ip_group import IpGroup
from sdnctl.model.network import Network, NetworkType, Subnet
from sdnctl.model.port import AddressPair, FixedIP, Port
from sdnctl.model.qos import QosLimits
from sdnctl.model.security import AddressGroup, Established, SecurityGroup, SecurityRule
from sdnctl.model.views import GroupAddress, GroupRule, GroupView, LocalPort, Source
from sdnctl.sync.world import World
from tests.apps.clouds import PATCH, TUNNEL, Cloud, Guest, Net, Vip, endpoint
from tests.apps.packets import mac
from tests.apps.test_laws import clouds
from tests.apps.test_mutations import CLOUD

BITS = {4: 32, 6: 128}


@dataclass(frozen=True)
class Limited:
    """A QoS policy, as far as the world looks into it."""

    id: str
    limits: QosLimits


def test_everything_at_once() -> None:
    assert_same(CLOUD)


@given(clouds())
def test_any_cloud(cloud: Cloud) -> None:
    assert_same(cloud)


def assert_same(cloud: Cloud) -> None:
    cloud = told(cloud)
    world = world_of(cloud)
    for host in cloud.hosts:
        views = (world.view(f"h{host}", unit) for unit in world.units(f"h{host}"))
        assert {plain(view) for view in views if view is not None} == {plain(view) for view in cloud.views(host)}


def told(cloud: Cloud) -> Cloud:
    """The cloud as objects can say it: a group is stateful for all its ports, an address group is one for all."""
    listed = {one for policy in cloud.policies for one in policy.addresses}
    policies = []
    for policy in cloud.policies:
        asked = {rule.remote for rule in policy.rules}
        addresses = tuple(sorted({one for one in listed if one.remote in asked}, key=as_numbers))
        policies.append(GroupView(policy.key, tuple(dict.fromkeys(policy.rules)), addresses))
    guests = tuple(replace(one, stateful=True) for one in cloud.guests)
    return replace(cloud, guests=guests, policies=tuple(policies))


def as_numbers(one: GroupAddress) -> tuple[int, ...]:
    return one.remote, one.version, one.address, one.mask


def plain(view: object) -> object:
    """A view without what the test clouds say otherwise: leases are a matter of subnets, and sources have no order."""
    if not isinstance(view, LocalPort):
        return view
    sources = sorted(view.sources, key=lambda one: (one.mac, one.version, one.address, one.mask))
    return replace(view, dhcp=False, sources=tuple(sources))


# --- the objects behind a cloud -------------------------------------------------------------------------------------


def world_of(cloud: Cloud) -> World:
    world = World()
    for number in cloud.hosts:
        world.put_host(host(number))
    for net in {one.net for one in cloud.guests}:
        world.put_network(network(net))
        if net.subnet:
            world.put_subnet(subnet(net))
    for policy in cloud.policies:
        world.put_group(group(policy))
    named = {rule.remote for policy in cloud.policies for rule in policy.rules if rule.remote}
    for key in named.difference(policy.key for policy in cloud.policies):
        world.put_address_group(address_group(key, cloud))
    for guest in cloud.guests:
        world.put_policy(Limited(f"q{guest.number}", guest.qos))  # type: ignore[arg-type]
        world.put_port(port(guest))
    for vip in cloud.vips:
        world.put_ip_group(ip_group(vip))
    for number in cloud.hosts:
        interfaces = {f"tap{one.number}": interface(one) for one in cloud.on(number)}
        world.set_facts(
            f"h{number}",
            HostFacts(
                datapath_id=number,
                serial=f"serial{number}",
                interfaces=interfaces,
                tunnel_ofport=TUNNEL,
                patch_ofports={"physnet1": PATCH},
            ),
        )
    return world


def host(number: int) -> Host:
    return Host(
        id=f"h{number}",
        key=HostKey(number),
        name=f"h{number}",
        ovsdb=f"unix:/run/h{number}",
        tunnel_ip=IPAddress(endpoint(number)),
        bridge_mappings=(("physnet1", "br-ex"),),
    )


def interface(guest: Guest) -> Interface:
    return Interface(f"tap{guest.number}", Ofport(guest.number), f"p{guest.number}", EUI(mac(guest.number), 48))


def network(net: Net) -> Network:
    return Network(
        id=f"n{net.key}",
        key=NetworkKey(net.key),
        project_id="project",
        name="",
        type=net.type,
        physical_network=None if net.type is NetworkType.VXLAN else "physnet1",
        segmentation_id=net.segment,
        mtu=1450,
        client_isolation=net.isolated,
    )


def subnet(net: Net) -> Subnet:
    return Subnet(id=f"s{net.key}", network_id=f"n{net.key}", cidr=IPNetwork("10.0.0.0/24"), gateway_ip=None)


def port(guest: Guest) -> Port:
    addresses = [IPAddress(one, 4) for one in guest.addresses4] + [IPAddress(one, 6) for one in guest.addresses6]
    return Port(
        id=f"p{guest.number}",
        key=PortKey(guest.number),
        network_id=f"n{guest.net.key}",
        project_id="project",
        name="",
        mac=EUI(mac(guest.number), 48),
        fixed_ips=tuple(FixedIP(f"s{guest.net.key}", one) for one in addresses),
        allowed_address_pairs=tuple(map(pair, guest.pairs)),
        port_security_enabled=guest.filters is not None,
        security_filters=guest.filters or ALL,
        is_service_port=guest.service,
        security_groups=tuple(f"g{one}" for one in guest.groups),
        qos_policy_id=f"q{guest.number}",
    )


def pair(source: Source) -> AddressPair:
    return AddressPair(EUI(source.mac, 48), prefix(source.version, source.address, source.mask))


def prefix(version: int, address: int, mask: int) -> IPNetwork:
    return IPNetwork(f"{IPAddress(address, version)}/{BITS[version] - (mask ^ (1 << BITS[version]) - 1).bit_length()}")


def group(policy: GroupView) -> SecurityGroup:
    rules = tuple(rule(number, one, policy) for number, one in enumerate(policy.rules))
    return SecurityGroup(id=f"g{policy.key}", key=policy.key, project_id="project", name="", rules=rules)


def rule(number: int, one: GroupRule, policy: GroupView) -> SecurityRule:
    is_listed = one.remote is not None and one.remote >= 5
    return SecurityRule(
        id=f"{policy.key}-{number:03}",
        direction=one.direction,
        version=one.version,
        protocol=one.protocol,
        port_min=one.port_min,
        port_max=one.port_max,
        remote_prefix=None if one.prefix is None else prefix(one.version, *one.prefix),
        remote_group_id=None if one.remote is None or is_listed else f"g{one.remote}",
        remote_address_group_id=f"g{one.remote}" if is_listed else None,
        established=Established.KEEP if one.keeps else Established.CUT,
    )


def address_group(key: GroupKey, cloud: Cloud) -> AddressGroup:
    found = {one for policy in cloud.policies for one in policy.addresses if one.remote == key}
    addresses = tuple(prefix(one.version, one.address, one.mask) for one in sorted(found, key=as_numbers))
    return AddressGroup(id=f"g{key}", key=key, project_id="project", name="", addresses=addresses)


def ip_group(vip: Vip) -> IpGroup:
    return IpGroup(
        id=f"v{vip.number}",
        key=GroupKey(vip.number),
        network_id=f"n{vip.net.key}",
        project_id="project",
        name="",
        address=IPAddress(vip.address, vip.version),
        members=tuple(f"p{one}" for one in vip.members),
        pinned=None if vip.pinned is None else f"p{vip.pinned}",
        vrrp=vip.vrrp,
        holder=None if vip.holder is None else f"p{vip.holder}",
        virtual_mac=None if vip.virtual_mac is None else EUI(vip.virtual_mac, 48),
    )
