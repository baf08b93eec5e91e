# SPDX-License-Identifier: Apache-2.0
"""The cloud at this moment: what users want and what hosts report, indexed so that a change finds what it touches.

    intent (from the store)  --->  apply()                                   view(host, unit)  --->  apps
    facts (from the hosts)   --->  set_facts(), set_switch_ports()    --->   take_dirty(host)  --->  host task

Everything in here is in memory and can be rebuilt from the store and the hosts. No method gives way to another task,
save those that take a host's report, where thousands of ports may have to be bound: they do so between two ports, and
`is_read` tells when they are through. A port is *served* when it is bound to a host and both it and its network are
administratively up: only served ports have flows. Every index below holds served ports only, except `claims`.

The law this file has to keep: after any sequence of calls, the units named dirty since a host's tables were computed
include every unit whose view changed. `tests/sync/` holds it against a full recompute.

After a start, hosts answer one after the other, and the first one must not lose its flows towards the others. So a
port whose recorded host has not been read yet is *presumed* to be bound there, without an ofport.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from netaddr import EUI

from sdnctl import runtime
from sdnctl.apps import leases
from sdnctl.model.addresses import link_local, sources_of
from sdnctl.model.host import Host, HostFacts, Interface
from sdnctl.model.ids import GroupKey, Ofport, Revision
from sdnctl.model.network import Network, NetworkType, Subnet
from sdnctl.model.port import DHCP_OWNER, Port
from sdnctl.model.security import AddressGroup, Direction, Established, SecurityGroup
from sdnctl.model.views import (
    CHUNK,
    Clause,
    Filtered,
    Filtering,
    FloodChunk,
    GroupAddress,
    GroupRule,
    GroupView,
    HostView,
    LocalPort,
    Member,
    Neighbour,
    NetworkView,
    Station,
    TunnelPeer,
)
from sdnctl.sync.units import HOST_UNIT, Unit, UnitKind, pack_prefix, unpack_prefix

View = HostView | TunnelPeer | NetworkView | FloodChunk | LocalPort | Neighbour | Station | GroupView | Member

_Key = TypeVar("_Key", int, str)

NO_INTERFACES: Final[Mapping[str, Interface]] = {}


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a port is plugged."""

    host_id: str
    interface: str
    ofport: Ofport | None
    """None: presumed, the host has not been read since we started."""


@dataclass(frozen=True, slots=True)
class Claim:
    """An interface that says it is a port (`external_ids:iface-id`)."""

    host_id: str
    interface: str
    ofport: Ofport | None
    attached_mac: EUI | None
    rank: int
    """Higher is newer. Claims found when a host is first read are all rank 0: which is newer cannot be told."""


PRESUMED: Final = ""
"""Interface name of a claim that nobody has made yet."""


class _Use(NamedTuple):
    """How a rule asks who is in a remote group."""

    direction: Direction
    version: int
    keeps: bool


@dataclass(slots=True)
class _NetworkIndex:
    """What is served in one network."""

    present: dict[str, dict[str, Binding]] = field(default_factory=dict)
    """host -> served ports bound there. A host without any is not in here."""
    chunks: dict[str, dict[int, dict[Ofport, str]]] = field(default_factory=dict)
    """host -> chunk number -> ofport -> port. Ofports may change hands one by one, so whose it is has to be known."""
    known: set[str] = field(default_factory=set)
    """Ports with addresses that are answered for."""
    stations: dict[int, set[str]] = field(default_factory=dict)
    """MAC -> the served ports that may use it."""
    open_ports: set[str] = field(default_factory=set)
    """Served ports whose MAC filter is off."""
    users: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    """host -> security group -> the ports with an ofport there that have it."""
    members: dict[str, set[str]] = field(default_factory=dict)
    """security group -> served ports that have it."""
    addresses: dict[int, set[str]] = field(default_factory=dict)
    """Packed prefix -> the members of whatever group that use it."""
    wanted: dict[str, dict[str, frozenset[_Use]]] = field(default_factory=dict)
    """host -> security group -> how rules of the host's ports ask for that group's members."""


@dataclass(frozen=True, slots=True)
class _Served:
    """What the indexes hold for one port; unindexing needs no more than this."""

    network_id: str
    binding: Binding | None
    macs: tuple[int, ...]
    is_open: bool
    groups: tuple[str, ...] = ()
    """Security groups that filter it."""
    addresses: tuple[int, ...] = ()
    """What it uses as a member of them, packed."""


class World:
    """See the module's docstring. Hosts, networks, subnets and ports are known by their UUID here."""

    def __init__(self, defaults: leases.Defaults = leases.NO_DEFAULTS) -> None:
        self.revision = Revision(0)
        self._defaults = defaults
        self._servers: dict[str, set[str]] = defaultdict(set)
        """network -> ports of device_owner network:dhcp."""
        self.hosts: dict[str, Host] = {}
        self.networks: dict[str, Network] = {}
        self.subnets: dict[str, Subnet] = {}
        self.ports: dict[str, Port] = {}
        self.groups: dict[str, SecurityGroup] = {}
        self.address_groups: dict[str, AddressGroup] = {}
        self._wants: dict[str, frozenset[tuple[str, _Use]]] = {}
        """security group -> which remote groups its rules ask for, and how."""
        self._named_by: dict[str, set[str]] = defaultdict(set)
        """security or address group -> the security groups whose rules name it."""
        self._ports_with: dict[str, set[str]] = defaultdict(set)
        """security group -> ports that have it, served or not."""
        self._used_on: dict[str, dict[str, set[str]]] = defaultdict(dict)
        """security group -> host -> networks in which a port there has it."""
        self.bindings: dict[str, Binding] = {}
        self.facts: dict[str, HostFacts] = {}
        self.on_dirty: Callable[[str], None] = lambda _host_id: None
        """Called with a host's id whenever one of its units becomes dirty."""
        self.on_binding: Callable[[str], None] = lambda _port_id: None
        """Called with a port's id whenever its binding changed."""
        self._dirty: dict[str, dict[Unit, Revision]] = defaultdict(dict)
        self._indexes: dict[str, _NetworkIndex] = defaultdict(_NetworkIndex)
        self._served: dict[str, _Served] = {}
        self._subnets_of: dict[str, set[str]] = defaultdict(set)
        self._ports_of: dict[str, set[str]] = defaultdict(set)
        self._networks_on: dict[str, set[str]] = defaultdict(set)
        self._switch_ports: dict[str, Mapping[str, int]] = {}
        self._claims: dict[str, dict[tuple[str, str], Claim]] = defaultdict(dict)
        self._claims_of: dict[str, dict[str, tuple[str, Claim]]] = defaultdict(dict)
        self._refused: dict[str, dict[str, str]] = defaultdict(dict)
        self._rank = 0
        self._by_key: dict[tuple[str, int], str] = {}
        self._leases: dict[str, leases.Lease | None] = {}
        self._at_ofport: dict[str, dict[int, str]] = defaultdict(dict)
        self._host_named: dict[str, str] = {}
        self._presumed: dict[str, set[str]] = defaultdict(set)
        self._unreachable: set[str] = set()
        self._read: set[str] = set()
        self.plugs: dict[str, dict[str, Port]] = defaultdict(dict)
        """host name -> port id -> port whose interface sdnctl is to make there."""
        self.on_plugs: Callable[[str], None] = lambda _host_name: None
        """Called with a host's name whenever what is to be plugged there changed."""

    # --- intent -------------------------------------------------------------------------------------------------

    def put_host(self, host: Host) -> None:
        """A host was added or changed."""
        old = self.hosts.get(host.id)
        self.hosts[host.id] = host
        self._by_key["host", host.key] = host.id
        self._host_named[host.name] = host.id
        if old is None:
            self.mark_all(host.id)
            self._presume(host)
        if old is None or old.tunnel_ip != host.tunnel_ip:
            self._peer_changed(host.id)

    def remove_host(self, host_id: str) -> None:
        """A host was removed: nothing is bound there any more. Its switch is left as it is."""
        host = self.hosts.get(host_id)
        if host is None:
            return
        self._peer_changed(host_id)
        self._set_claims(host_id, {})
        del self.hosts[host_id], self._host_named[host.name]
        for port_id in self._presumed.pop(host_id, ()):
            self._resolve(port_id, changed=False)
        del self._by_key["host", host.key]
        for index in (self.facts, self._switch_ports, self._dirty, self._refused, self._networks_on, self._at_ofport):
            index.pop(host_id, None)
        self._read.discard(host_id)
        for other in self.hosts:
            self._mark(other, Unit(UnitKind.PEER, host_id))

    def put_network(self, network: Network) -> None:
        """A network was added or changed."""
        old = self.networks.get(network.id)
        self.networks[network.id] = network
        self._by_key["network", network.key] = network.id
        self._forget_leases(network.id)
        if old is None or old.admin_state_up != network.admin_state_up:
            self._reindex(self._ports_of[network.id])

    def remove_network(self, network_id: str) -> None:
        """A network was removed."""
        network = self.networks.pop(network_id, None)
        if network is not None:
            del self._by_key["network", network.key]
            self._forget_leases(network_id)
            self._reindex(self._ports_of[network_id])

    def put_subnet(self, subnet: Subnet) -> None:
        """A subnet was added or changed."""
        self.subnets[subnet.id] = subnet
        self._subnets_of[subnet.network_id].add(subnet.id)
        self._subnet_changed(subnet.network_id)

    def remove_subnet(self, subnet_id: str) -> None:
        """A subnet was removed."""
        subnet = self.subnets.pop(subnet_id, None)
        if subnet is not None:
            self._subnets_of[subnet.network_id].discard(subnet_id)
            self._subnet_changed(subnet.network_id)

    def put_port(self, port: Port) -> None:
        """A port was added or changed."""
        old = self.ports.get(port.id)
        if old is not None and old.network_id != port.network_id:
            self.remove_port(port.id)
        self.ports[port.id] = port
        self._by_key["port", port.key] = port.id
        self._ports_of[port.network_id].add(port.id)
        self._leases.pop(port.id, None)
        for group_id in old.security_groups if old else ():
            self._ports_with[group_id].discard(port.id)
        for group_id in port.security_groups:
            self._ports_with[group_id].add(port.id)
        self._plug_changed(old, port)
        if DHCP_OWNER in (port.device_owner, old.device_owner if old else ""):
            self._servers[port.network_id].discard(port.id)
            if port.device_owner == DHCP_OWNER:
                self._servers[port.network_id].add(port.id)
            self._subnet_changed(port.network_id)
        self._resolve(port.id, changed=True)

    def remove_port(self, port_id: str) -> None:
        """A port was removed. An interface that still claims it is dead from now on."""
        port = self.ports.pop(port_id, None)
        if port is None:
            return
        del self._by_key["port", port.key]
        self._ports_of[port.network_id].discard(port_id)
        self._leases.pop(port_id, None)
        for group_id in port.security_groups:
            self._ports_with[group_id].discard(port_id)
            if not self._ports_with[group_id]:
                del self._ports_with[group_id]
        self._plug_changed(port, None)
        if port.device_owner == DHCP_OWNER:
            self._servers[port.network_id].discard(port_id)
            self._subnet_changed(port.network_id)
        self._resolve(port_id, changed=True)

    def put_group(self, group: SecurityGroup) -> None:
        """A security group or one of its rules was added or changed."""
        old = self.groups.get(group.id)
        self.groups[group.id] = group
        self._by_key["group", group.key] = group.id
        self._rules_changed(old, group)
        if old is None or (old.key, old.stateful) != (group.key, group.stateful):
            self._group_is_another(group.id)

    def remove_group(self, group_id: str) -> None:
        """A security group was removed. Should a port still have it, that allows nothing."""
        old = self.groups.pop(group_id, None)
        if old is not None:
            del self._by_key["group", old.key]
            self._rules_changed(old, None)
            self._group_is_another(group_id)

    def put_address_group(self, group: AddressGroup) -> None:
        """An address group was added or changed."""
        self.address_groups[group.id] = group
        self._remote_changed(group.id)

    def remove_address_group(self, group_id: str) -> None:
        """An address group was removed."""
        if self.address_groups.pop(group_id, None) is not None:
            self._remote_changed(group_id)

    # --- facts --------------------------------------------------------------------------------------------------

    def set_facts(self, host_id: str, facts: HostFacts) -> None:
        """What a host's OVSDB says now. While it is unreachable, what it said last stays true."""
        old = self.facts.get(host_id)
        self.facts[host_id] = facts
        if old is None or (old.tunnel_ofport, old.patch_ofports) != (facts.tunnel_ofport, facts.patch_ofports):
            self.mark_all(host_id)
        self._read_claims(host_id, first=old is None)
        if old is None:
            self._unreachable.discard(host_id)
            for port_id in runtime.in_slices(self._presumed.pop(host_id, ())):
                self._resolve(port_id, changed=False)
            if host_id in self.hosts:
                self._read.add(host_id)

    def is_read(self, host_id: str) -> bool:
        """Whether all that the host reported has found its place since we started."""
        return host_id in self._read

    def set_unreachable(self, host_id: str) -> None:
        """A host could not be read. What is presumed of it now gives way to any claim of another host."""
        if host_id not in self.facts and host_id not in self._unreachable:
            self._unreachable.add(host_id)
            for port_id in tuple(self._presumed.get(host_id, ())):
                self._resolve(port_id, changed=False)

    def set_switch_ports(self, host_id: str, ports: Mapping[str, int] | None) -> None:
        """What the switch itself says its ports are, by interface name; None while it is not connected.

        After a restart of ovs-vswitchd the database may still hold ofports of before: an interface counts only while
        both agree. The switch tells of a new one first; its word is enough when the database has none yet.
        """
        if ports is None:
            self._switch_ports.pop(host_id, None)
        else:
            self._switch_ports[host_id] = ports
        if host_id in self.facts:
            self._read_claims(host_id, first=False)

    # --- what follows from both ---------------------------------------------------------------------------------

    def take_dirty(self, host_id: str) -> dict[Unit, Revision]:
        """The host's dirty units, each with the revision that dirtied it first. They count as clean from now on."""
        return self._dirty.pop(host_id, {})

    def put_back(self, host_id: str, units: Mapping[Unit, Revision]) -> None:
        """Units taken by `take_dirty` that could not be applied are dirty again."""
        mine = self._dirty[host_id]
        for unit, revision in units.items():
            mine[unit] = min(revision, mine.get(unit, revision))

    def dirty_since(self, host_id: str) -> Revision | None:
        """The oldest revision that has dirtied a unit of the host; None when there is no dirty unit."""
        return min(self._dirty[host_id].values()) if self._dirty.get(host_id) else None

    def mark_all(self, host_id: str) -> None:
        """All units of a host are dirty."""
        for unit in list(self.units(host_id)):
            self._mark(host_id, unit)

    def units(self, host_id: str) -> Iterator[Unit]:
        """Every unit that may have flows on the host."""
        yield HOST_UNIT
        for other in self.hosts:
            if other != host_id:
                yield Unit(UnitKind.PEER, other)
        groups: set[str] = set()
        for network_id in self._networks_on[host_id]:
            yield from self._network_units(network_id, host_id)
            groups.update(self._indexes[network_id].users.get(host_id, ()))
        for group_id in groups:
            yield Unit(UnitKind.GROUP, group_id)

    def view(self, host_id: str, unit: Unit) -> View | None:
        """What the apps compute the unit's flows from; None when the unit has none on this host."""
        host = self.hosts.get(host_id)
        if host is None:
            return None
        facts = self.facts.get(host_id)
        tunnel = facts.tunnel_ofport if facts else None
        match unit.kind:
            case UnitKind.HOST:
                patches = facts.patch_ofports if facts and facts.patch_ofports else {}
                return HostView(host.key, tunnel, tuple(sorted(set(patches.values()))))
            case UnitKind.PEER:
                peer = self.hosts.get(unit.id)
                if peer is None or peer.tunnel_ip is None or tunnel is None or unit.id == host_id:
                    return None
                return TunnelPeer(peer.key, tunnel, int(peer.tunnel_ip))
            case UnitKind.PORT:
                return self._local_port(host_id, unit.id)
            case UnitKind.NEIGHBOUR:
                return self._neighbour(host_id, unit.id)
            case UnitKind.GROUP:
                return self._group_view(unit.id) if host_id in self._used_on.get(unit.id, ()) else None
        network, index = self.networks.get(unit.id), self._indexes.get(unit.id)
        if network is None or index is None or host_id not in index.present:
            return None
        match unit.kind:
            case UnitKind.NETWORK:
                return self._network_view(host_id, network, index)
            case UnitKind.CHUNK:
                chunk = index.chunks[host_id].get(unit.number)
                if not chunk:
                    return None
                open_ones = (ofport for ofport, port_id in chunk.items() if port_id in index.open_ports)
                filtered = tuple(self._filtered(host_id, chunk))
                return FloodChunk(network.key, unit.number, tuple(sorted(chunk)), tuple(sorted(open_ones)), filtered)
            case UnitKind.MEMBER:
                return self._member(host_id, network, index, unit.number)
            case _:
                return self._station(host_id, network, index, unit.number)

    def lease(self, port_id: str) -> leases.Lease | None:
        """What the DHCP responder tells the port; None when it has no address in a subnet with DHCP."""
        if port_id not in self._leases:
            port = self.ports[port_id]
            subnets = {name: self.subnets[name] for name in self._subnets_of[port.network_id]}
            server = min(self._servers[port.network_id], default=None)
            network = self.networks.get(port.network_id)
            found = self.ports[server] if server else None
            self._leases[port_id] = leases.lease_for(port, network, subnets, found, self._defaults) if network else None
        return self._leases[port_id]

    def port_at(self, host_id: str, ofport: int) -> Port | None:
        """The served port that is bound to an ofport of a host."""
        port_id = self._at_ofport[host_id].get(ofport)
        return self.ports.get(port_id) if port_id else None

    def refused_claims(self, host_id: str) -> Mapping[str, str]:
        """Interfaces of a host that claim a port and do not get it, each with the reason."""
        return self._refused.get(host_id, {})

    def by_key(self, kind: str, key: int) -> str | None:
        """The id of the `host`, `network`, `port` or (security) `group` with this key."""
        return self._by_key.get((kind, key))

    def networks_on(self, host_id: str) -> tuple[str, ...]:
        """Ids of the networks with a served port on the host."""
        return tuple(self._networks_on[host_id])

    def served_ports(self, host_id: str) -> Iterator[str]:
        """Ids of the ports that have flows on the host because they are bound there."""
        return iter(tuple(self._at_ofport[host_id].values()))

    # --- claims and bindings ------------------------------------------------------------------------------------

    def _presume(self, host: Host) -> None:
        """A host came after the ports that are recorded to be bound there."""
        for port in self.ports.values():
            if port.bound_host == host.name:
                self._resolve(port.id, changed=False)

    def _presumption(self, port: Port | None) -> Claim | None:
        """The claim that a host which has not been read yet will probably make."""
        host_id = self._host_named.get(port.bound_host) if port and port.bound_host else None
        if port is None or host_id is None or host_id in self.facts:
            return None
        self._presumed[host_id].add(port.id)
        return Claim(host_id, PRESUMED, None, None, -1 if host_id in self._unreachable else 0)

    def _plug_changed(self, old: Port | None, new: Port | None) -> None:
        if old is not None and old.plug is not None and (new is None or new.plug != old.plug):
            self.plugs[old.plug.host].pop(old.id, None)
            self.on_plugs(old.plug.host)
        if new is not None and new.plug is not None:
            self.plugs[new.plug.host][new.id] = new
            if old is None or (old.plug, old.mac) != (new.plug, new.mac):
                self.on_plugs(new.plug.host)

    def _read_claims(self, host_id: str, *, first: bool) -> None:
        facts = self.facts[host_id]
        switch_ports = self._switch_ports.get(host_id)
        had = self._claims_of[host_id]
        have: dict[str, tuple[str, Claim]] = {}
        ofports = _certain_ofports(facts, switch_ports)
        for name, interface in facts.interfaces.items():
            ofport = ofports.get(name)
            if not interface.iface_id or ofport is None:
                continue
            old = had.get(name)
            if old and old[0] == interface.iface_id:
                claim = old[1]
                if (claim.ofport, claim.attached_mac) != (ofport, interface.attached_mac):
                    claim = Claim(host_id, name, ofport, interface.attached_mac, claim.rank)
            else:
                if not first:
                    self._rank += 1
                claim = Claim(host_id, name, ofport, interface.attached_mac, 0 if first else self._rank)
            have[name] = (interface.iface_id, claim)
        self._set_claims(host_id, have)

    def _set_claims(self, host_id: str, have: dict[str, tuple[str, Claim]]) -> None:
        had = self._claims_of.get(host_id, {})
        changed: set[str] = set()
        for name, (iface_id, _) in had.items():
            new = have.get(name)
            if new is None or new[0] != iface_id:
                self._claims[iface_id].pop((host_id, name), None)
                self._refused[host_id].pop(name, None)
                changed.add(iface_id)
        for name, (iface_id, claim) in have.items():
            old = had.get(name)
            if old is None or old[0] != iface_id or old[1] is not claim:
                self._claims[iface_id][host_id, name] = claim
                changed.add(iface_id)
        self._claims_of[host_id] = have
        for iface_id in runtime.in_slices(changed):
            self._resolve(iface_id, changed=False)
            if not self._claims.get(iface_id, True):
                del self._claims[iface_id]

    def _resolve(self, port_id: str, *, changed: bool) -> None:
        """Decide which claim is the port's binding, and index the port accordingly."""
        port = self.ports.get(port_id)
        claims = self._claims.get(port_id, {})
        winner: Claim | None = None
        reasons: dict[Claim, str] = {}
        presumption = self._presumption(port)
        for claim in (*claims.values(), *((presumption,) if presumption else ())):
            reason = self._refusal(port, claim)
            if reason:
                reasons[claim] = reason
            elif winner is None or self._preference(port_id, claim) > self._preference(port_id, winner):
                winner = claim
        for claim in claims.values():
            refused = self._refused[claim.host_id]
            if claim is winner:
                refused.pop(claim.interface, None)
            elif claim in reasons:
                refused[claim.interface] = reasons[claim]
            elif winner is not None:
                where = self.hosts[winner.host_id].name if winner.host_id in self.hosts else winner.host_id
                refused[claim.interface] = (
                    f"port {port_id} is bound by interface {winner.interface or '(not read yet)'} of host {where}"
                )
        binding = Binding(winner.host_id, winner.interface, winner.ofport) if winner else None
        old = self.bindings.get(port_id)
        if binding == old and not changed:
            return
        if binding is None:
            self.bindings.pop(port_id, None)
        else:
            self.bindings[port_id] = binding
        self._reindex((port_id,))
        if binding != old:
            self.on_binding(port_id)

    def _refusal(self, port: Port | None, claim: Claim) -> str:
        if port is None:
            return "iface-id names no port"
        host = self.hosts.get(claim.host_id)
        if host is None:
            return "the host was removed"
        if port.requested_host and port.requested_host != host.name:
            return f"port {port.id} is reserved for host {port.requested_host} (binding:host_id)"
        if claim.attached_mac is not None and claim.attached_mac != port.mac:
            return f"attached-mac {claim.attached_mac} is not the MAC address of port {port.id}"
        return ""

    def _preference(self, port_id: str, claim: Claim) -> tuple[int, bool, bool, str, str]:
        """Newest first; where that cannot be told, the host that was known to have it."""
        port = self.ports[port_id]
        bound = self.bindings.get(port_id)
        return (
            claim.rank,
            bound is not None and bound.host_id == claim.host_id,
            self.hosts[claim.host_id].name == port.bound_host,
            claim.host_id,
            claim.interface,
        )

    # --- indexes ------------------------------------------------------------------------------------------------

    def _reindex(self, port_ids: Iterable[str]) -> None:
        """Bring the indexes in line with ports and bindings, and mark what that touches."""
        for port_id in tuple(port_ids):
            new = self._to_serve(port_id)
            old = self._served.get(port_id)
            if old is not None and (new is None or new.network_id != old.network_id):
                self._change(port_id, old, None)
                old = None
            if old is not None or new is not None:
                self._change(port_id, old, new)

    def _to_serve(self, port_id: str) -> _Served | None:
        port = self.ports.get(port_id)
        network = self.networks.get(port.network_id) if port else None
        if port is None or network is None or not port.admin_state_up or not network.admin_state_up:
            return None
        binding = self.bindings.get(port_id)
        if binding is None and port.device_owner != DHCP_OWNER:
            return None
        macs = {int(port.mac), *(int(pair.mac) for pair in port.allowed_address_pairs)} if binding else set()
        groups = port.security_groups if binding and port.port_security_enabled else ()
        # Who may send from anywhere is a router, not everybody: a whole address space is nobody's membership.
        sources = (one for one in sources_of(port) if one.mask) if groups else ()
        return _Served(
            port.network_id,
            binding,
            tuple(sorted(macs)),
            binding is not None and port.is_open,
            groups,
            tuple({pack_prefix(one.version, one.address, one.mask): None for one in sources}),
        )

    def _change(self, port_id: str, old: _Served | None, new: _Served | None) -> None:
        """Replace a port in the indexes of its network."""
        network_id = (new or old).network_id  # type: ignore[union-attr]  # one of the two is given
        index = self._indexes[network_id]
        hosts_before = set(index.present)
        was_open = bool(index.open_ports)
        touched_macs: set[int] = set()
        if old is not None:
            self._unindex(port_id, old, index, touched_macs)
        if new is not None:
            self._index(port_id, new, index, touched_macs)
        hosts_after = set(index.present)
        for host_id in hosts_before | hosts_after:
            self._mark(host_id, Unit(UnitKind.NEIGHBOUR, port_id))
            for mac in touched_macs:
                self._mark(host_id, Unit(UnitKind.STATION, network_id, mac))
            if host_id in index.wanted:
                for number in {*(old.addresses if old else ()), *(new.addresses if new else ())}:
                    self._mark(host_id, Unit(UnitKind.MEMBER, network_id, number))
        for host_id in {side.binding.host_id for side in (old, new) if side and side.binding}:
            self._update_wanted(host_id, network_id, index)
        for side in (old, new):
            if side is not None and side.binding is not None and side.binding.ofport is not None:
                self._mark(side.binding.host_id, Unit(UnitKind.PORT, port_id))
                self._mark(side.binding.host_id, Unit(UnitKind.CHUNK, network_id, side.binding.ofport // CHUNK))
        if hosts_before != hosts_after or was_open != bool(index.open_ports):
            for host_id in hosts_before | hosts_after:
                self._mark(host_id, Unit(UnitKind.NETWORK, network_id))
        for host_id in hosts_after - hosts_before:
            self._networks_on[host_id].add(network_id)
            for unit in list(self._network_units(network_id, host_id)):
                self._mark(host_id, unit)
        for host_id in hosts_before - hosts_after:
            self._networks_on[host_id].discard(network_id)
            for unit in list(self._network_units(network_id, host_id)):
                self._mark(host_id, unit)
        if not index.present and not index.known:
            del self._indexes[network_id]

    def _unindex(self, port_id: str, old: _Served, index: _NetworkIndex, touched_macs: set[int]) -> None:
        del self._served[port_id]
        for group_id in old.groups:
            _drop(index.members, group_id, port_id)
        for number in old.addresses:
            _drop(index.addresses, number, port_id)
        index.known.discard(port_id)
        index.open_ports.discard(port_id)
        for mac in old.macs:
            touched_macs.add(mac)
            index.stations[mac].discard(port_id)
            if not index.stations[mac]:
                del index.stations[mac]
        if old.binding is None:
            return
        host_id, ofport = old.binding.host_id, old.binding.ofport
        if ofport is not None:
            if self._at_ofport[host_id].get(ofport) == port_id:
                del self._at_ofport[host_id][ofport]
            for group_id in old.groups:
                self._unuse(host_id, old.network_id, index, group_id, port_id)
            chunk = index.chunks[host_id].get(ofport // CHUNK, {})
            if chunk.get(ofport) == port_id:
                del chunk[ofport]
            if not chunk and ofport // CHUNK in index.chunks[host_id]:
                del index.chunks[host_id][ofport // CHUNK]
                self._mark(host_id, Unit(UnitKind.NETWORK, old.network_id))
        del index.present[host_id][port_id]
        if not index.present[host_id]:
            del index.present[host_id], index.chunks[host_id]

    def _index(self, port_id: str, new: _Served, index: _NetworkIndex, touched_macs: set[int]) -> None:
        self._served[port_id] = new
        for group_id in new.groups:
            index.members.setdefault(group_id, set()).add(port_id)
        for number in new.addresses:
            index.addresses.setdefault(number, set()).add(port_id)
        index.known.add(port_id)
        if new.is_open:
            index.open_ports.add(port_id)
        for mac in new.macs:
            touched_macs.add(mac)
            index.stations.setdefault(mac, set()).add(port_id)
        if new.binding is None:
            return
        host_id, ofport = new.binding.host_id, new.binding.ofport
        index.present.setdefault(host_id, {})[port_id] = new.binding
        chunks = index.chunks.setdefault(host_id, {})
        if ofport is None:
            return
        self._at_ofport[host_id][ofport] = port_id
        for group_id in new.groups:
            self._use(host_id, new.network_id, index, group_id, port_id)
        if ofport // CHUNK not in chunks:
            chunks[ofport // CHUNK] = {}
            self._mark(host_id, Unit(UnitKind.NETWORK, new.network_id))
        chunks[ofport // CHUNK][ofport] = port_id

    def _network_units(self, network_id: str, host_id: str) -> Iterator[Unit]:
        index = self._indexes[network_id]
        yield Unit(UnitKind.NETWORK, network_id)
        for number in index.chunks.get(host_id, ()):
            yield Unit(UnitKind.CHUNK, network_id, number)
        for port_id in index.present.get(host_id, ()):
            yield Unit(UnitKind.PORT, port_id)
        for port_id in index.known:
            yield Unit(UnitKind.NEIGHBOUR, port_id)
        for mac in index.stations:
            yield Unit(UnitKind.STATION, network_id, mac)
        asked = {port_id for group_id in index.wanted.get(host_id, ()) for port_id in index.members.get(group_id, ())}
        for number in {number for port_id in asked for number in self._served[port_id].addresses}:
            yield Unit(UnitKind.MEMBER, network_id, number)

    def _mark(self, host_id: str, unit: Unit) -> None:
        if host_id in self.hosts:
            self._dirty[host_id].setdefault(unit, self.revision)
            self.on_dirty(host_id)

    def _peer_changed(self, host_id: str) -> None:
        """The host's tunnel address changed: everyone who sends there is concerned."""
        for other in self.hosts:
            if other != host_id:
                self._mark(other, Unit(UnitKind.PEER, host_id))
        for network_id in self._networks_on[host_id]:
            index = self._indexes[network_id]
            for other in index.present:
                self._mark(other, Unit(UnitKind.NETWORK, network_id))
                for port_id in index.present[host_id]:
                    for mac in self._served[port_id].macs:
                        self._mark(other, Unit(UnitKind.STATION, network_id, mac))

    def _subnet_changed(self, network_id: str) -> None:
        """Leases of the network's ports may have changed, and with them whether their DHCP is answered."""
        self._forget_leases(network_id)
        index = self._indexes.get(network_id)
        if index is not None:
            for host_id, ports in index.present.items():
                for port_id in ports:
                    self._mark(host_id, Unit(UnitKind.PORT, port_id))

    def _forget_leases(self, network_id: str) -> None:
        for port_id in self._ports_of[network_id]:
            self._leases.pop(port_id, None)

    # --- security groups ----------------------------------------------------------------------------------------

    def _use(self, host_id: str, network_id: str, index: _NetworkIndex, group_id: str, port_id: str) -> None:
        """A local port has a group."""
        index.users.setdefault(host_id, {}).setdefault(group_id, set()).add(port_id)
        networks = self._used_on[group_id].setdefault(host_id, set())
        if not networks:
            self._mark(host_id, Unit(UnitKind.GROUP, group_id))
        networks.add(network_id)

    def _unuse(self, host_id: str, network_id: str, index: _NetworkIndex, group_id: str, port_id: str) -> None:
        """A local port has a group no more."""
        users = index.users[host_id]
        _drop(users, group_id, port_id)
        if group_id in users:
            return
        if not users:
            del index.users[host_id]
        _drop(self._used_on[group_id], host_id, network_id)
        if host_id not in self._used_on[group_id]:
            self._mark(host_id, Unit(UnitKind.GROUP, group_id))
        if not self._used_on[group_id]:
            del self._used_on[group_id]

    def _update_wanted(self, host_id: str, network_id: str, index: _NetworkIndex) -> None:
        """Which groups' members rules of a host's ports ask for, in one of its networks."""
        uses: dict[str, set[_Use]] = {}
        for group_id in index.users.get(host_id, ()):
            for remote_id, use in self._wants.get(group_id, ()):
                uses.setdefault(remote_id, set()).add(use)
        new = {remote_id: frozenset(some) for remote_id, some in uses.items()}
        old = index.wanted.get(host_id, {})
        if new == old:
            return
        if new:
            index.wanted[host_id] = new
        else:
            del index.wanted[host_id]
        for remote_id in old.keys() | new.keys():
            if old.get(remote_id) != new.get(remote_id):
                for port_id in index.members.get(remote_id, ()):
                    for number in self._served[port_id].addresses:
                        self._mark(host_id, Unit(UnitKind.MEMBER, network_id, number))

    def _rules_changed(self, old: SecurityGroup | None, new: SecurityGroup | None) -> None:
        """Rules of a group came or went: its own flows, and whose members they ask for."""
        group_id = (new or old).id  # type: ignore[union-attr]  # one of the two is given
        for rule in old.rules if old else ():
            remote_id = rule.remote_group_id or rule.remote_address_group_id
            if remote_id:
                self._named_by[remote_id].discard(group_id)
        wants = set()
        for rule in new.rules if new else ():
            remote_id = rule.remote_group_id or rule.remote_address_group_id
            if remote_id:
                self._named_by[remote_id].add(group_id)
            if rule.remote_group_id:
                use = _Use(rule.direction, rule.version, rule.established is Established.KEEP)
                wants.add((rule.remote_group_id, use))
        had = self._wants.pop(group_id, frozenset())
        if wants:
            self._wants[group_id] = frozenset(wants)
        self._group_changed(group_id)
        if had != wants:
            for host_id, networks in self._used_on.get(group_id, {}).items():
                for network_id in networks:
                    self._update_wanted(host_id, network_id, self._indexes[network_id])

    def _group_changed(self, group_id: str) -> None:
        for host_id in self._used_on.get(group_id, ()):
            self._mark(host_id, Unit(UnitKind.GROUP, group_id))

    def _remote_changed(self, remote_id: str) -> None:
        """What rules name is another thing now."""
        for group_id in self._named_by.get(remote_id, ()):
            self._group_changed(group_id)

    def _group_is_another(self, group_id: str) -> None:
        """A group came, went or became another kind: its ports, and whoever names it."""
        self._remote_changed(group_id)
        self._reindex(self._ports_with.get(group_id, ()))

    # --- views --------------------------------------------------------------------------------------------------

    def _network_view(self, host_id: str, network: Network, index: _NetworkIndex) -> NetworkView:
        facts = self.facts.get(host_id)
        peers: tuple[int, ...] = ()
        underlay: Ofport | None = None
        if network.type is NetworkType.VXLAN:
            underlay = facts.tunnel_ofport if facts else None
            others = (self.hosts[other].tunnel_ip for other in index.present if other != host_id)
            peers = tuple(sorted(int(address) for address in others if address is not None))
        elif facts and facts.patch_ofports and network.physical_network:
            underlay = facts.patch_ofports.get(network.physical_network)
        return NetworkView(
            network.key,
            network.type,
            network.segmentation_id,
            underlay,
            peers,
            tuple(sorted(index.chunks[host_id])),
            bool(index.open_ports),
        )

    def _local_port(self, host_id: str, port_id: str) -> LocalPort | None:
        served = self._served.get(port_id)
        if served is None or served.binding is None or served.binding.host_id != host_id:
            return None
        if served.binding.ofport is None or self._at_ofport[host_id].get(served.binding.ofport) != port_id:
            # Not known yet, or just passed on to the next one.
            return None
        port = self.ports[port_id]
        return LocalPort(
            port.key,
            self.networks[port.network_id].key,
            served.binding.ofport,
            int(port.mac),
            sources_of(port),
            port.filters,
            self.lease(port_id) is not None,
            self._filtering(port_id),
            tuple(sorted(self.groups[one].key for one in served.groups if one in self.groups)),
        )

    def _filtering(self, port_id: str) -> Filtering:
        groups = self._served[port_id].groups
        if not groups:
            return Filtering.NONE
        is_stateful = any(one in self.groups and self.groups[one].stateful for one in groups)
        return Filtering.STATEFUL if is_stateful else Filtering.STATELESS

    def _filtered(self, host_id: str, ofports: Iterable[Ofport]) -> Iterator[Filtered]:
        """Which of a host's ofports are ports with security groups."""
        for ofport in sorted(ofports):
            port_id = self._at_ofport[host_id].get(ofport)
            filtering = self._filtering(port_id) if port_id else Filtering.NONE
            if port_id and filtering:
                yield Filtered(ofport, self.ports[port_id].key, filtering)

    def _group_view(self, group_id: str) -> GroupView | None:
        """A rule whose remote group is unknown allows nothing."""
        group = self.groups.get(group_id)
        if group is None:
            return None
        rules: dict[GroupRule, None] = {}
        addresses: set[tuple[GroupKey, int, int, int]] = set()
        for rule in group.rules:
            prefix, remote = rule.remote_prefix, None
            remote_id = rule.remote_group_id or rule.remote_address_group_id
            if remote_id:
                named = self.groups.get(remote_id) or self.address_groups.get(remote_id)
                if named is None:
                    continue
                remote = named.key
                if isinstance(named, AddressGroup):
                    addresses.update(
                        (remote, int(one.version), int(one.first), int(one.netmask)) for one in named.addresses
                    )
            found = GroupRule(
                rule.direction,
                rule.version,
                rule.protocol,
                rule.port_min,
                rule.port_max,
                rule.established is Established.KEEP,
                (int(prefix.first), int(prefix.netmask)) if prefix is not None else None,
                remote,
            )
            rules[found] = None
        return GroupView(group.key, tuple(rules), tuple(GroupAddress(*one) for one in sorted(addresses)))

    def _member(self, host_id: str, network: Network, index: _NetworkIndex, number: int) -> Member | None:
        wanted = index.wanted.get(host_id)
        owners = index.addresses.get(number)
        if not wanted or not owners:
            return None
        version, address, mask = unpack_prefix(number)
        clauses = {
            (use.direction, use.keeps, self.groups[group_id].key)
            for owner in owners
            for group_id in self._served[owner].groups
            if group_id in self.groups
            for use in wanted.get(group_id, ())
            if use.version == version
        }
        if not clauses:
            return None
        key = min(self.ports[owner].key for owner in owners)
        return Member(key, network.key, version, address, mask, tuple(Clause(*one) for one in sorted(clauses)))

    def _neighbour(self, host_id: str, port_id: str) -> Neighbour | None:
        served = self._served.get(port_id)
        if served is None or host_id not in self._indexes[served.network_id].present:
            return None
        port = self.ports[port_id]
        mac = int(port.mac)
        local = served.binding is not None and served.binding.host_id == host_id
        return Neighbour(
            port.key,
            self.networks[port.network_id].key,
            mac,
            tuple(int(one.address) for one in port.fixed_ips if one.address.version == 4),
            (*(int(one.address) for one in port.fixed_ips if one.address.version == 6), link_local(mac)),
            served.binding.ofport if local and served.binding else None,
        )

    def _station(self, host_id: str, network: Network, index: _NetworkIndex, mac: int) -> Station | None:
        owners = index.stations.get(mac, ())
        if not owners:
            return None
        port = min((self.ports[owner] for owner in owners), key=lambda one: one.key)
        binding = self._served[port.id].binding
        if len(owners) > 1:
            return Station(port.key, network.key, mac, None, None, None, None)
        if binding is None:
            return None
        if binding.host_id == host_id:
            if binding.ofport is None:
                return None
            return Station(port.key, network.key, mac, binding.ofport, None, None, None, self._filtering(port.id))
        peer, facts = self.hosts[binding.host_id].tunnel_ip, self.facts.get(host_id)
        if network.type is not NetworkType.VXLAN or peer is None or facts is None or facts.tunnel_ofport is None:
            return None
        return Station(port.key, network.key, mac, None, network.segmentation_id, facts.tunnel_ofport, int(peer))


def _certain_ofports(facts: HostFacts, switch_ports: Mapping[str, int] | None) -> dict[str, Ofport]:
    """Ofport by interface, as far as database and switch leave no doubt. One that two are said to have is neither's."""
    found: dict[str, Ofport] = {}
    for name, interface in facts.interfaces.items():
        ofport = interface.ofport
        if switch_ports is not None:
            known = switch_ports.get(name)
            if known is None or ofport not in (None, known):
                continue
            ofport = Ofport(known)
        if ofport is not None:
            found[name] = ofport
    times = Counter(found.values())
    return {name: ofport for name, ofport in found.items() if times[ofport] == 1}


def _drop(index: dict[_Key, set[str]], key: _Key, value: str) -> None:
    """Take a value out of an index of sets, and the set with its last one."""
    index[key].discard(value)
    if not index[key]:
        del index[key]
