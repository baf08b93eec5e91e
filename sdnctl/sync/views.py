# SPDX-License-Identifier: Apache-2.0
"""What each unit's flows depend on, read off the cloud: the pure half of `sync`.

units(cloud, host)         every unit that may have flows on a host
view(cloud, host, unit)    what the apps compute the unit's flows from; None when it has none there
lease(cloud, port)         what DHCP tells a port
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sdnctl.apps import leases
from sdnctl.model.addresses import link_local, sources_of
from sdnctl.model.filters import Filters
from sdnctl.model.ids import GroupKey, Ofport
from sdnctl.model.ip_group import IpGroup
from sdnctl.model.network import Network, NetworkType
from sdnctl.model.port import DHCP_OWNER, NETWORK_OWNERS, Port
from sdnctl.model.qos import UNLIMITED, QosLimits, QosPolicy
from sdnctl.model.security import AddressGroup, Established, SecurityGroup
from sdnctl.model.views import (
    Announcer,
    Clause,
    Filtered,
    Filtering,
    FloodChunk,
    GroupAddress,
    GroupRule,
    GroupView,
    HostView,
    IpGroupView,
    LocalPort,
    Member,
    Metered,
    Neighbour,
    NetworkView,
    ServiceMac,
    Station,
    TunnelPeer,
)
from sdnctl.sync.cloud import Cloud, NetworkIndex
from sdnctl.sync.units import HOST_UNIT, Unit, UnitKind, unpack_prefix

View = (
    HostView
    | TunnelPeer
    | NetworkView
    | FloodChunk
    | LocalPort
    | Neighbour
    | Station
    | GroupView
    | Member
    | ServiceMac
    | IpGroupView
)


def units(cloud: Cloud, host_id: str) -> Iterator[Unit]:
    """Every unit that may have flows on the host."""
    yield HOST_UNIT
    for other in cloud.hosts:
        if other != host_id:
            yield Unit(UnitKind.PEER, other)
    groups: set[str] = set()
    for network_id in cloud.networks_on[host_id]:
        yield from network_units(cloud, network_id, host_id)
        groups.update(cloud.indexes[network_id].users.get(host_id, ()))
    for group_id in groups:
        yield Unit(UnitKind.GROUP, group_id)


def network_units(cloud: Cloud, network_id: str, host_id: str) -> Iterator[Unit]:
    index = cloud.indexes[network_id]
    yield Unit(UnitKind.NETWORK, network_id)
    for number in index.chunks.get(host_id, ()):
        yield Unit(UnitKind.CHUNK, network_id, number)
    for port_id in index.present.get(host_id, ()):
        yield Unit(UnitKind.PORT, port_id)
    for port_id in index.known:
        yield Unit(UnitKind.NEIGHBOUR, port_id)
    groups = cloud.ip_groups_in.get(network_id, ())
    virtual = {int(mac) for group_id in groups if (mac := cloud.ip_groups[group_id].virtual_mac) is not None}
    for number in virtual.union(index.stations):
        yield Unit(UnitKind.STATION, network_id, number)
    for group_id in groups:
        yield Unit(UnitKind.IP_GROUP, group_id)
    for number in cloud.service_macs.get(network_id, ()):
        yield Unit(UnitKind.SERVICE_MAC, network_id, number)
    asked = {port_id for group_id in index.wanted.get(host_id, ()) for port_id in index.members.get(group_id, ())}
    for number in {number for port_id in asked for number in cloud.served[port_id].addresses}:
        yield Unit(UnitKind.MEMBER, network_id, number)


def view(cloud: Cloud, host_id: str, unit: Unit) -> View | None:
    """What the apps compute the unit's flows from; None when the unit has none on this host."""
    host = cloud.hosts.get(host_id)
    if host is None:
        return None
    facts = cloud.facts.get(host_id)
    tunnel = facts.tunnel_ofport if facts else None
    match unit.kind:
        case UnitKind.HOST:
            patches = facts.patch_ofports if facts and facts.patch_ofports else {}
            return HostView(host.key, tunnel, tuple(sorted(set(patches.values()))))
        case UnitKind.PEER:
            peer = cloud.hosts.get(unit.id)
            if peer is None or peer.tunnel_ip is None or tunnel is None or unit.id == host_id:
                return None
            return TunnelPeer(peer.key, tunnel, int(peer.tunnel_ip))
        case UnitKind.PORT:
            return _local_port(cloud, host_id, unit.id)
        case UnitKind.NEIGHBOUR:
            return _neighbour(cloud, host_id, unit.id)
        case UnitKind.GROUP:
            group = cloud.groups.get(unit.id)
            return group_view(cloud, group) if group and host_id in cloud.used_on.get(unit.id, ()) else None
        case UnitKind.IP_GROUP:
            return _ip_group(cloud, host_id, unit.id)
    network, index = cloud.networks.get(unit.id), cloud.indexes.get(unit.id)
    if network is None or index is None or host_id not in index.present:
        return None
    match unit.kind:
        case UnitKind.NETWORK:
            return _network_view(cloud, host_id, network, index)
        case UnitKind.CHUNK:
            chunk = index.chunks[host_id].get(unit.number)
            if not chunk:
                return None
            open_ones = (ofport for ofport, port_id in chunk.items() if port_id in index.open_ports)
            services = (
                ofport
                for ofport, port_id in chunk.items()
                if network.client_isolation and cloud.ports[port_id].is_service_port
            )
            return FloodChunk(
                network=network.key,
                number=unit.number,
                ofports=tuple(sorted(chunk)),
                open_ofports=tuple(sorted(open_ones)),
                filtered=tuple(_filtered(cloud, host_id, chunk)),
                service_ofports=tuple(sorted(services)),
                metered=tuple(_metered(cloud, host_id, chunk)),
            )
        case UnitKind.MEMBER:
            return _member(cloud, host_id, network, index, unit.number)
        case UnitKind.SERVICE_MAC:
            return _service_mac(cloud, network, index, unit.number)
        case _:
            return _station(cloud, host_id, network, index, unit.number)


def lease(cloud: Cloud, port_id: str) -> leases.Lease | None:
    """What the DHCP responder tells the port; None when it has no address in a subnet with DHCP."""
    if port_id not in cloud.leases:
        port = cloud.ports[port_id]
        subnets = {name: cloud.subnets[name] for name in cloud.subnets_of[port.network_id]}
        server = min(cloud.servers[port.network_id], default=None)
        network = cloud.networks.get(port.network_id)
        found = cloud.ports[server] if server else None
        cloud.leases[port_id] = leases.lease_for(port, network, subnets, found, cloud.defaults) if network else None
    return cloud.leases[port_id]


def _network_view(cloud: Cloud, host_id: str, network: Network, index: NetworkIndex) -> NetworkView:
    facts = cloud.facts.get(host_id)
    peers: tuple[int, ...] = ()
    underlay: Ofport | None = None
    if network.type is NetworkType.VXLAN:
        underlay = facts.tunnel_ofport if facts else None
        others = (cloud.hosts[other].tunnel_ip for other in index.present if other != host_id)
        peers = tuple(sorted(int(address) for address in others if address is not None))
    elif facts and facts.patch_ofports and network.physical_network:
        underlay = facts.patch_ofports.get(network.physical_network)
    return NetworkView(
        key=network.key,
        type=network.type,
        segmentation_id=network.segmentation_id,
        underlay_ofport=underlay,
        peers=peers,
        chunks=tuple(sorted(index.chunks[host_id])),
        floods_unknown=bool(index.open_ports),
        isolated=network.client_isolation,
    )


def _local_port(cloud: Cloud, host_id: str, port_id: str) -> LocalPort | None:
    served = cloud.served.get(port_id)
    if served is None or served.binding is None or served.binding.host_id != host_id:
        return None
    if served.binding.ofport is None or cloud.at_ofport[host_id].get(served.binding.ofport) != port_id:
        # Not known yet, or just passed on to the next one.
        return None
    port = cloud.ports[port_id]
    groups = [cloud.ip_groups[group_id] for group_id in cloud.ip_groups_of.get(port_id, ())]
    return LocalPort(
        key=port.key,
        network=cloud.networks[port.network_id].key,
        ofport=served.binding.ofport,
        mac=int(port.mac),
        sources=sources_of(port, (group.address for group in groups)),
        filters=_filters(cloud, port),
        dhcp=lease(cloud, port_id) is not None,
        filtering=_filtering(cloud, port_id),
        groups=tuple(sorted(cloud.groups[one].key for one in served.groups if one in cloud.groups)),
        qos=_limits(cloud, port_id),
        announces=bool(groups),
        virtual=tuple(sorted((int(group.address.version), int(group.address)) for group in groups if group.vrrp)),
        observes=port.port_security_enabled and _addresses_are_free(cloud, port.network_id),
    )


def _filters(cloud: Cloud, port: Port) -> Filters | None:
    """What is held against the port. In a network of one's own without subnet, addresses are the guests' own affair."""
    filters = port.filters
    if filters is None or not _addresses_are_free(cloud, port.network_id):
        return filters
    return Filters(mac=filters.mac, arp=False, ip=False)


def _addresses_are_free(cloud: Cloud, network_id: str) -> bool:
    return not cloud.subnets_of.get(network_id) and cloud.networks[network_id].is_ones_own


def _filtering(cloud: Cloud, port_id: str) -> Filtering:
    groups = cloud.served[port_id].groups
    if not groups:
        return Filtering.NONE
    is_stateful = any(one in cloud.groups and cloud.groups[one].stateful for one in groups)
    return Filtering.STATEFUL if is_stateful else Filtering.STATELESS


def _filtered(cloud: Cloud, host_id: str, ofports: Iterable[Ofport]) -> Iterator[Filtered]:
    """Which of a host's ofports are ports with security groups."""
    for ofport in sorted(ofports):
        port_id = cloud.at_ofport[host_id].get(ofport)
        filtering = _filtering(cloud, port_id) if port_id else Filtering.NONE
        if port_id and filtering:
            yield Filtered(ofport, cloud.ports[port_id].key, filtering)


def policy_of(cloud: Cloud, port_id: str) -> QosPolicy | None:
    """What a port is held to: its own policy, or else its network's, unless it is the network's itself."""
    port = cloud.ports[port_id]
    policy_id = port.qos_policy_id
    if policy_id is None and not port.device_owner.startswith(NETWORK_OWNERS):
        policy_id = cloud.networks[port.network_id].qos_policy_id
    return cloud.qos_policies.get(policy_id) if policy_id else None


def _limits(cloud: Cloud, port_id: str) -> QosLimits:
    policy = policy_of(cloud, port_id)
    return policy.limits if policy else UNLIMITED


def _metered(cloud: Cloud, host_id: str, ofports: Iterable[Ofport]) -> Iterator[Metered]:
    """Which of a host's ofports are ports that may receive only so much."""
    for ofport in sorted(ofports):
        port_id = cloud.at_ofport[host_id].get(ofport)
        if port_id and _limits(cloud, port_id).limits_receiving:
            yield Metered(ofport, cloud.ports[port_id].key)


def group_view(cloud: Cloud, group: SecurityGroup) -> GroupView:
    """What a group's rules allow. A rule whose remote group is unknown allows nothing."""
    rules: dict[GroupRule, None] = {}
    addresses: set[tuple[GroupKey, int, int, int]] = set()
    for rule in group.rules:
        prefix, remote = rule.remote_prefix, None
        remote_id = rule.remote_group_id or rule.remote_address_group_id
        if remote_id:
            named = cloud.groups.get(remote_id) or cloud.address_groups.get(remote_id)
            if named is None:
                continue
            remote = named.key
            if isinstance(named, AddressGroup):
                addresses.update(
                    (remote, int(one.version), int(one.first), int(one.netmask)) for one in named.addresses
                )
        found = GroupRule(
            direction=rule.direction,
            version=rule.version,
            protocol=rule.protocol,
            port_min=rule.port_min,
            port_max=rule.port_max,
            keeps=rule.established is Established.KEEP,
            prefix=(int(prefix.first), int(prefix.netmask)) if prefix is not None else None,
            remote=remote,
        )
        rules[found] = None
    return GroupView(group.key, tuple(rules), tuple(GroupAddress(*one) for one in sorted(addresses)))


def _member(cloud: Cloud, host_id: str, network: Network, index: NetworkIndex, number: int) -> Member | None:
    wanted = index.wanted.get(host_id)
    owners = index.addresses.get(number)
    if not wanted or not owners:
        return None
    version, address, mask = unpack_prefix(number)
    clauses = {
        (use.direction, use.keeps, cloud.groups[group_id].key)
        for owner in owners
        for group_id in cloud.served[owner].member_of
        if group_id in cloud.groups
        for use in wanted.get(group_id, ())
        if use.version == version
    }
    if not clauses:
        return None
    key = min(cloud.ports[owner].key for owner in owners)
    return Member(
        key=key,
        network=network.key,
        version=version,
        address=address,
        mask=mask,
        clauses=tuple(Clause(*one) for one in sorted(clauses)),
    )


def _neighbour(cloud: Cloud, host_id: str, port_id: str) -> Neighbour | None:
    served = cloud.served.get(port_id)
    if served is None or host_id not in cloud.indexes[served.network_id].present:
        return None
    port = cloud.ports[port_id]
    if not _is_told_of(cloud, port):
        return None
    mac = int(port.mac)
    return Neighbour(
        key=port.key,
        network=cloud.networks[port.network_id].key,
        mac=mac,
        ipv4=tuple(int(one.address) for one in port.fixed_ips if one.address.version == 4),
        ipv6=(*(int(one.address) for one in port.fixed_ips if one.address.version == 6), link_local(mac)),
    )


def _is_told_of(cloud: Cloud, port: Port) -> bool:
    """Whether anybody may know it. Of an isolated client nobody shall; service ports ask it themselves."""
    is_for_all = port.is_service_port or port.device_owner == DHCP_OWNER
    return is_for_all or not cloud.networks[port.network_id].client_isolation


def _service_mac(cloud: Cloud, network: Network, index: NetworkIndex, mac: int) -> ServiceMac | None:
    owners = cloud.service_macs.get(network.id, {}).get(mac)
    if not network.client_isolation or not owners:
        return None
    if any(not cloud.ports[user].is_service_port for user in index.stations.get(mac, ())):
        # By an address pair a client may use it too, and would be taken for a service port.
        return None
    return ServiceMac(min(cloud.ports[owner].key for owner in owners), network.key, mac)


def _station(cloud: Cloud, host_id: str, network: Network, index: NetworkIndex, mac: int) -> Station | None:
    holders = (cloud.ip_groups[group_id] for group_id in cloud.virtual.get((network.id, mac), ()))
    reachable = (group for group in holders if _holder(cloud, group) is not None)
    group = min(reachable, key=lambda one: one.key, default=None)
    owners = index.stations.get(mac, set()) if group is None else {str(group.holder)}
    if not owners:
        return None
    port = min((cloud.ports[owner] for owner in owners), key=lambda one: one.key)
    binding = cloud.served[port.id].binding
    if len(owners) > 1:
        return Station(key=port.key, network=network.key, mac=mac)
    if binding is None:
        return None
    if binding.host_id == host_id:
        if binding.ofport is None:
            return None
        filtering = _filtering(cloud, port.id)
        return Station(key=port.key, network=network.key, mac=mac, ofport=binding.ofport, filtering=filtering)
    if network.type is not NetworkType.VXLAN:
        return Station(key=port.key, network=network.key, mac=mac, is_remote=True)
    peer, facts = cloud.hosts[binding.host_id].tunnel_ip, cloud.facts.get(host_id)
    if peer is None or facts is None or facts.tunnel_ofport is None:
        return None
    return Station(key=port.key, network=network.key, mac=mac, is_remote=True, peer=int(peer))


def _holder(cloud: Cloud, group: IpGroup) -> Port | None:
    """The member that has a group's address, if it can be reached."""
    served = cloud.served.get(group.holder) if group.holder in group.members else None
    is_here = served is not None and served.binding is not None and served.network_id == group.network_id
    return cloud.ports[str(group.holder)] if is_here else None


def _ip_group(cloud: Cloud, host_id: str, group_id: str) -> IpGroupView | None:
    group = cloud.ip_groups.get(group_id)
    network = cloud.networks.get(group.network_id) if group else None
    index = cloud.indexes.get(group.network_id) if group else None
    if group is None or network is None or index is None or host_id not in index.present:
        return None
    here = index.present[host_id]
    members = [
        Announcer(cloud.ports[port_id].key, ofport, group.pinned in {None, port_id})
        for port_id in group.members
        if port_id in here and (ofport := here[port_id].ofport) is not None
    ]
    holder = _holder(cloud, group)
    mac = group.virtual_mac if holder is None or group.virtual_mac is not None else holder.mac
    return IpGroupView(
        key=group.key,
        network=network.key,
        version=int(group.address.version),
        address=int(group.address),
        members=tuple(sorted(members, key=lambda one: one.key)),
        holder=None if holder is None else holder.key,
        mac=None if holder is None or mac is None else int(mac),
        vrrp=group.vrrp,
        is_told=holder is None or _is_told_of(cloud, holder),
    )
