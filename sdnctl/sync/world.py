# SPDX-License-Identifier: Apache-2.0
"""Takes what users want and what hosts report, and tells which units of which hosts that touches.

    intent (from the store)  --->  put_...(), remove_...()                   view(host, unit)  --->  apps
    facts (from the hosts)   --->  set_facts(), set_switch_ports()    --->   take_dirty(host)  --->  host task

What is known stands in `cloud.py`, is written here, and read off as views in `views.py`; who is bound where decides
`bindings.py`, and where security groups are used and whom they ask for keeps `groups.py`. All of it is in memory and
can be rebuilt from the store and the hosts. No method gives way to another task, save those that take a host's report,
where thousands of ports may have to be bound: they do so between two ports, and `is_read` tells when they are through.

The law these files have to keep: after any sequence of calls, the units named dirty since a host's tables were computed
include every unit whose view changed. `tests/sync/` holds it against a full recompute.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from sdnctl.apps import leases
from sdnctl.apps.statistics import Counted
from sdnctl.flows.pipeline import Side
from sdnctl.model.addresses import sources_of
from sdnctl.model.host import Host, HostFacts
from sdnctl.model.ids import Revision
from sdnctl.model.ip_group import IpGroup, vrrp_rules
from sdnctl.model.network import Network, Subnet
from sdnctl.model.port import DHCP_OWNER, Port
from sdnctl.model.qos import QosPolicy
from sdnctl.model.security import AddressGroup, SecurityGroup
from sdnctl.model.views import CHUNK
from sdnctl.sync import views
from sdnctl.sync.bindings import Bindings
from sdnctl.sync.cloud import Cloud, NetworkIndex, Served
from sdnctl.sync.groups import Groups
from sdnctl.sync.indexes import drop, enter, move
from sdnctl.sync.units import Unit, UnitKind, pack_prefix
from sdnctl.sync.views import View


class World:
    """See the module's docstring."""

    def __init__(self, defaults: leases.Defaults = leases.NO_DEFAULTS) -> None:
        self.cloud = cloud = Cloud(defaults)
        self.hosts, self.networks, self.subnets, self.ports = cloud.hosts, cloud.networks, cloud.subnets, cloud.ports
        self.groups, self.address_groups, self.ip_groups = cloud.groups, cloud.address_groups, cloud.ip_groups
        self.facts, self.bindings = cloud.facts, cloud.bindings
        self.revision = Revision(0)
        self.on_dirty: Callable[[str], None] = lambda _host_id: None
        """Called with a host's id whenever one of its units becomes dirty."""
        self.on_binding: Callable[[str], None] = lambda _port_id: None
        """Called with a port's id whenever its binding changed."""
        self.plugs: dict[str, dict[str, Port]] = defaultdict(dict)
        """host name -> port id -> port whose interface sdnctl is to make there."""
        self.on_plugs: Callable[[str], None] = lambda _host_name: None
        """Called with a host's name whenever what is to be plugged there changed."""
        self._bindings = Bindings(cloud, self._bound)
        self._groups = Groups(cloud, self._mark)
        self._held_ports: dict[str, set[str]] = {}
        """QoS policy -> ports that have it themselves, served or not."""
        self._held_networks: dict[str, set[str]] = {}
        """QoS policy -> networks that have it."""
        self._ports_of: dict[str, set[str]] = defaultdict(set)
        self._by_key: dict[tuple[str, int], str] = {}
        self._dirty: dict[str, dict[Unit, Revision]] = defaultdict(dict)

    # --- intent -------------------------------------------------------------------------------------------------

    def put_host(self, host: Host) -> None:
        """A host was added or changed."""
        old = self.hosts.get(host.id)
        self.hosts[host.id] = host
        self._by_key["host", host.key] = host.id
        if old is None:
            self.mark_all(host.id)
        self._bindings.put_host(host, is_new=old is None)
        if old is None or old.tunnel_ip != host.tunnel_ip:
            self._peer_changed(host.id)

    def remove_host(self, host_id: str) -> None:
        """A host was removed: nothing is bound there any more. Its switch is left as it is."""
        host = self.hosts.get(host_id)
        if host is None:
            return
        self._bindings.forget_claims(host_id)
        del self.hosts[host_id], self._by_key["host", host.key]
        self._bindings.remove_host(host)
        for index in (self.facts, self._dirty, self.cloud.networks_on, self.cloud.at_ofport):
            index.pop(host_id, None)
        for other in self.hosts:
            self._mark(other, Unit(UnitKind.PEER, host_id))

    def put_network(self, network: Network) -> None:
        """A network was added or changed."""
        old = self.networks.get(network.id)
        self.networks[network.id] = network
        self._by_key["network", network.key] = network.id
        self._forget_leases(network.id)
        move(self._held_networks, network.id, old.qos_policy_id if old else None, network.qos_policy_id)
        if old is None or old.admin_state_up != network.admin_state_up:
            self._reindex(self._ports_of[network.id])
        elif old.qos_policy_id != network.qos_policy_id:
            self._limits_changed(self._ports_of[network.id])
        if old is not None and old.is_ones_own != network.is_ones_own:
            self._ports_changed(network.id)
        if old is not None and old.client_isolation != network.client_isolation:
            self._isolation_changed(network.id)

    def remove_network(self, network_id: str) -> None:
        """A network was removed."""
        network = self.networks.pop(network_id, None)
        if network is not None:
            del self._by_key["network", network.key]
            move(self._held_networks, network_id, network.qos_policy_id, None)
            self._forget_leases(network_id)
            self._reindex(self._ports_of[network_id])

    def put_subnet(self, subnet: Subnet) -> None:
        """A subnet was added or changed."""
        self.subnets[subnet.id] = subnet
        self.cloud.subnets_of[subnet.network_id].add(subnet.id)
        self._subnet_changed(subnet.network_id)

    def remove_subnet(self, subnet_id: str) -> None:
        """A subnet was removed."""
        subnet = self.subnets.pop(subnet_id, None)
        if subnet is not None:
            self.cloud.subnets_of[subnet.network_id].discard(subnet_id)
            self._subnet_changed(subnet.network_id)

    def put_port(self, port: Port) -> None:
        """A port was added or changed."""
        old = self.ports.get(port.id)
        if old is not None and old.network_id != port.network_id:
            self.remove_port(port.id)
            old = None
        self.ports[port.id] = port
        self._by_key["port", port.key] = port.id
        self._ports_of[port.network_id].add(port.id)
        self.cloud.leases.pop(port.id, None)
        self._groups.port_has(port.id, port.security_groups, instead_of=old.security_groups if old else ())
        move(self._held_ports, port.id, old.qos_policy_id if old else None, port.qos_policy_id)
        self._plug_changed(old, port)
        self._service_changed(old, port)
        if DHCP_OWNER in (port.device_owner, old.device_owner if old else ""):
            self.cloud.servers[port.network_id].discard(port.id)
            if port.device_owner == DHCP_OWNER:
                self.cloud.servers[port.network_id].add(port.id)
            self._subnet_changed(port.network_id)
        self._bindings.resolve(port.id, changed=True)

    def remove_port(self, port_id: str) -> None:
        """A port was removed. An interface that still claims it is dead from now on."""
        port = self.ports.pop(port_id, None)
        if port is None:
            return
        del self._by_key["port", port.key]
        self._ports_of[port.network_id].discard(port_id)
        self.cloud.leases.pop(port_id, None)
        self._groups.port_has(port_id, (), instead_of=port.security_groups)
        move(self._held_ports, port_id, port.qos_policy_id, None)
        self._plug_changed(port, None)
        self._service_changed(port, None)
        if port.device_owner == DHCP_OWNER:
            self.cloud.servers[port.network_id].discard(port_id)
            self._subnet_changed(port.network_id)
        self._bindings.resolve(port_id, changed=True)

    def put_group(self, group: SecurityGroup) -> None:
        """A security group or one of its rules was added or changed."""
        old = self.groups.get(group.id)
        self.groups[group.id] = group
        self._by_key["group", group.key] = group.id
        self._groups.rules_changed(old, group)
        if old is None or (old.key, old.stateful) != (group.key, group.stateful):
            self._group_is_another(group.id)

    def remove_group(self, group_id: str) -> None:
        """A security group was removed. Should a port still have it, that allows nothing."""
        old = self.groups.pop(group_id, None)
        if old is not None:
            del self._by_key["group", old.key]
            self._groups.rules_changed(old, None)
            self._group_is_another(group_id)

    def put_address_group(self, group: AddressGroup) -> None:
        """An address group was added or changed."""
        self.address_groups[group.id] = group
        self._groups.remote_changed(group.id)

    def remove_address_group(self, group_id: str) -> None:
        """An address group was removed."""
        if self.address_groups.pop(group_id, None) is not None:
            self._groups.remote_changed(group_id)

    def put_ip_group(self, group: IpGroup) -> None:
        """An IP group was added or changed, or another one has its address now."""
        old = self.ip_groups.get(group.id)
        if old is not None and (old.network_id, old.key) != (group.network_id, group.key):
            self.remove_ip_group(group.id)
            old = None
        self.ip_groups[group.id] = group
        self._by_key["ip_group", group.key] = group.id
        self._ip_group_changed(old, group)

    def remove_ip_group(self, group_id: str) -> None:
        """An IP group was removed: its members may use the address no more."""
        old = self.ip_groups.pop(group_id, None)
        if old is not None:
            del self._by_key["ip_group", old.key]
            self._ip_group_changed(old, None)

    def put_policy(self, policy: QosPolicy) -> None:
        """A QoS policy or one of its rules was added or changed."""
        old = self.cloud.qos_policies.get(policy.id)
        self.cloud.qos_policies[policy.id] = policy
        if old is None or old.rules != policy.rules:
            self._policy_changed(policy.id)

    def remove_policy(self, policy_id: str) -> None:
        """A QoS policy was removed. Should something still have it, that limits nothing."""
        if self.cloud.qos_policies.pop(policy_id, None) is not None:
            self._policy_changed(policy_id)

    # --- facts --------------------------------------------------------------------------------------------------

    def set_facts(self, host_id: str, facts: HostFacts) -> None:
        """What a host's OVSDB says now. While it is unreachable, what it said last stays true."""
        old = self.facts.get(host_id)
        self.facts[host_id] = facts
        if old is None or (old.tunnel_ofport, old.patch_ofports) != (facts.tunnel_ofport, facts.patch_ofports):
            self.mark_all(host_id)
        self._bindings.take_facts(host_id, first=old is None)

    def is_read(self, host_id: str) -> bool:
        """Whether all that the host reported has found its place since we started."""
        return self._bindings.is_read(host_id)

    def set_unreachable(self, host_id: str) -> None:
        """A host could not be read. What is presumed of it now gives way to any claim of another host."""
        self._bindings.set_unreachable(host_id)

    def set_switch_ports(self, host_id: str, ports: Mapping[str, int] | None) -> None:
        """What the switch itself says its ports are, by interface name; None while it is not connected.

        After a restart of ovs-vswitchd the database may still hold ofports of before: an interface counts only while
        both agree. The switch tells of a new one first; its word is enough when the database has none yet.
        """
        self._bindings.set_switch_ports(host_id, ports)

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
        return views.units(self.cloud, host_id)

    def view(self, host_id: str, unit: Unit) -> View | None:
        """What the apps compute the unit's flows from; None when the unit has none on this host."""
        return views.view(self.cloud, host_id, unit)

    def lease(self, port_id: str) -> leases.Lease | None:
        """What the DHCP responder tells the port; None when it has no address in a subnet with DHCP."""
        return views.lease(self.cloud, port_id)

    def port_at(self, host_id: str, ofport: int) -> Port | None:
        """The served port that is bound to an ofport of a host."""
        port_id = self.cloud.at_ofport[host_id].get(ofport)
        return self.ports.get(port_id) if port_id else None

    def whose(self, host_id: str, counted: Counted) -> str | None:
        """The id of the port that a learned flow of a host counts for; None if that is nobody's."""
        if counted.side is Side.FROM:
            port = self.port_at(host_id, counted.number)
            return port.id if port is not None else None
        return self.by_key("port", counted.number)

    def refused_claims(self, host_id: str) -> Mapping[str, str]:
        """Interfaces of a host that claim a port and do not get it, each with the reason."""
        return self._bindings.refused(host_id)

    def by_key(self, kind: str, key: int) -> str | None:
        """The id of the `host`, `network`, `port` or (security) `group` with this key."""
        return self._by_key.get((kind, key))

    def networks_on(self, host_id: str) -> tuple[str, ...]:
        """Ids of the networks with a served port on the host."""
        return tuple(self.cloud.networks_on[host_id])

    def served_ports(self, host_id: str) -> Iterator[str]:
        """Ids of the ports that have flows on the host because they are bound there."""
        return iter(tuple(self.cloud.at_ofport[host_id].values()))

    def _plug_changed(self, old: Port | None, new: Port | None) -> None:
        if old is not None and old.plug is not None and (new is None or new.plug != old.plug):
            self.plugs[old.plug.host].pop(old.id, None)
            self.on_plugs(old.plug.host)
        if new is not None and new.plug is not None:
            self.plugs[new.plug.host][new.id] = new
            if old is None or (old.plug, old.mac) != (new.plug, new.mac):
                self.on_plugs(new.plug.host)

    def _bound(self, port_id: str, is_new: bool) -> None:  # noqa: FBT001  the decision's, not a switch
        """It was decided where the port is bound; `is_new`: elsewhere than before."""
        self._reindex((port_id,))
        if is_new:
            self.on_binding(port_id)

    # --- indexes ------------------------------------------------------------------------------------------------

    def _reindex(self, port_ids: Iterable[str]) -> None:
        """Bring the indexes in line with ports and bindings, and mark what that touches."""
        for port_id in tuple(port_ids):
            new = self._to_serve(port_id)
            old = self.cloud.served.get(port_id)
            if old is not None and (new is None or new.network_id != old.network_id):
                self._change(port_id, old, None)
                old = None
            if old is not None or new is not None:
                self._change(port_id, old, new)

    def _to_serve(self, port_id: str) -> Served | None:
        port = self.ports.get(port_id)
        network = self.networks.get(port.network_id) if port else None
        if port is None or network is None or not port.admin_state_up or not network.admin_state_up:
            return None
        binding = self.bindings.get(port_id)
        if binding is None and port.device_owner != DHCP_OWNER:
            return None
        macs = {int(port.mac), *(int(pair.mac) for pair in port.allowed_address_pairs)} if binding else set()
        groups = port.security_groups if binding and port.port_security_enabled else ()
        shared = [self.ip_groups[group_id] for group_id in self.cloud.ip_groups_of.get(port_id, ())]
        member_of = (*groups, *sorted(group.id for group in shared if group.vrrp))
        # Who may send from anywhere is a router, not everybody: a whole address space is nobody's membership.
        sources = (one for one in sources_of(port, (group.address for group in shared)) if one.mask)
        return Served(
            network_id=port.network_id,
            binding=binding,
            macs=tuple(sorted(macs)),
            is_open=binding is not None and port.is_open,
            groups=member_of if groups else (),
            member_of=member_of,
            addresses=tuple({pack_prefix(one.version, one.address, one.mask): None for one in sources if member_of}),
        )

    def _change(self, port_id: str, old: Served | None, new: Served | None) -> None:
        """Replace a port in the indexes of its network."""
        network_id = (new or old).network_id  # type: ignore[union-attr]  # one of the two is given
        index = self.cloud.indexes[network_id]
        hosts_before = set(index.present)
        was_open = bool(index.open_ports)
        touched_macs: set[int] = set()
        if old is not None:
            self._unindex(port_id, old, index, touched_macs)
        if new is not None:
            self._index(port_id, new, index, touched_macs)
        hosts_after = set(index.present)
        services = self.cloud.service_macs.get(network_id, ())
        for host_id in hosts_before | hosts_after:
            self._mark(host_id, Unit(UnitKind.NEIGHBOUR, port_id))
            for mac in touched_macs:
                self._mark(host_id, Unit(UnitKind.STATION, network_id, mac))
                if mac in services:
                    self._mark(host_id, Unit(UnitKind.SERVICE_MAC, network_id, mac))
            for group_id in self.cloud.ip_groups_of.get(port_id, ()):
                self._mark_ip_group(host_id, self.ip_groups[group_id])
            if host_id in index.wanted:
                for number in {*(old.addresses if old else ()), *(new.addresses if new else ())}:
                    self._mark(host_id, Unit(UnitKind.MEMBER, network_id, number))
        for host_id in {side.binding.host_id for side in (old, new) if side and side.binding}:
            self._groups.update_wanted(host_id, network_id)
        for side in (old, new):
            if side is not None and side.binding is not None and side.binding.ofport is not None:
                self._mark(side.binding.host_id, Unit(UnitKind.PORT, port_id))
                self._mark(side.binding.host_id, Unit(UnitKind.CHUNK, network_id, side.binding.ofport // CHUNK))
        if hosts_before != hosts_after or was_open != bool(index.open_ports):
            for host_id in hosts_before | hosts_after:
                self._mark(host_id, Unit(UnitKind.NETWORK, network_id))
        for host_id in hosts_after - hosts_before:
            self.cloud.networks_on[host_id].add(network_id)
            for unit in list(views.network_units(self.cloud, network_id, host_id)):
                self._mark(host_id, unit)
        for host_id in hosts_before - hosts_after:
            self.cloud.networks_on[host_id].discard(network_id)
            for unit in list(views.network_units(self.cloud, network_id, host_id)):
                self._mark(host_id, unit)
        if not index.present and not index.known:
            del self.cloud.indexes[network_id]

    def _unindex(self, port_id: str, old: Served, index: NetworkIndex, touched_macs: set[int]) -> None:
        del self.cloud.served[port_id]
        for group_id in old.member_of:
            drop(index.members, group_id, port_id)
        for number in old.addresses:
            drop(index.addresses, number, port_id)
        index.known.discard(port_id)
        index.open_ports.discard(port_id)
        for mac in old.macs:
            touched_macs.add(mac)
            drop(index.stations, mac, port_id)
        if old.binding is None:
            return
        host_id, ofport = old.binding.host_id, old.binding.ofport
        if ofport is not None:
            if self.cloud.at_ofport[host_id].get(ofport) == port_id:
                del self.cloud.at_ofport[host_id][ofport]
            for group_id in old.groups:
                self._groups.unuse(host_id, old.network_id, group_id, port_id)
            chunk = index.chunks[host_id].get(ofport // CHUNK, {})
            if chunk.get(ofport) == port_id:
                del chunk[ofport]
            if not chunk and ofport // CHUNK in index.chunks[host_id]:
                del index.chunks[host_id][ofport // CHUNK]
                self._mark(host_id, Unit(UnitKind.NETWORK, old.network_id))
        del index.present[host_id][port_id]
        if not index.present[host_id]:
            del index.present[host_id], index.chunks[host_id]

    def _index(self, port_id: str, new: Served, index: NetworkIndex, touched_macs: set[int]) -> None:
        self.cloud.served[port_id] = new
        for group_id in new.member_of:
            enter(index.members, group_id, port_id)
        for number in new.addresses:
            enter(index.addresses, number, port_id)
        index.known.add(port_id)
        if new.is_open:
            index.open_ports.add(port_id)
        for mac in new.macs:
            touched_macs.add(mac)
            enter(index.stations, mac, port_id)
        if new.binding is None:
            return
        host_id, ofport = new.binding.host_id, new.binding.ofport
        index.present.setdefault(host_id, {})[port_id] = new.binding
        chunks = index.chunks.setdefault(host_id, {})
        if ofport is None:
            return
        self.cloud.at_ofport[host_id][ofport] = port_id
        for group_id in new.groups:
            self._groups.use(host_id, new.network_id, group_id, port_id)
        if ofport // CHUNK not in chunks:
            chunks[ofport // CHUNK] = {}
            self._mark(host_id, Unit(UnitKind.NETWORK, new.network_id))
        chunks[ofport // CHUNK][ofport] = port_id

    def _mark(self, host_id: str, unit: Unit) -> None:
        if host_id in self.hosts:
            self._dirty[host_id].setdefault(unit, self.revision)
            self.on_dirty(host_id)

    def _isolation_changed(self, network_id: str) -> None:
        """A network isolates its clients, or no more: floods, answers, and whom everybody reaches."""
        index = self.cloud.indexes.get(network_id)
        for host_id in index.present if index is not None else ():
            for unit in list(views.network_units(self.cloud, network_id, host_id)):
                self._mark(host_id, unit)

    def _service_changed(self, old: Port | None, new: Port | None) -> None:
        """A port is a service port, or no more, or has other MACs. It may be bound to no host."""
        network_id = (new or old).network_id  # type: ignore[union-attr]  # one of the two is given
        had, has = _service_macs(old), _service_macs(new)
        if had == has:
            return
        macs = self.cloud.service_macs[network_id]
        for mac in had - has:
            drop(macs, mac, old.id)  # type: ignore[union-attr]  # it had them
        for mac in has - had:
            enter(macs, mac, new.id)  # type: ignore[union-attr]  # it has them
        if not macs:
            del self.cloud.service_macs[network_id]
        index = self.cloud.indexes.get(network_id)
        for host_id in index.present if index is not None else ():
            for mac in had ^ has:
                self._mark(host_id, Unit(UnitKind.SERVICE_MAC, network_id, mac))

    def _peer_changed(self, host_id: str) -> None:
        """The host's tunnel address changed: everyone who sends there is concerned."""
        for other in self.hosts:
            if other != host_id:
                self._mark(other, Unit(UnitKind.PEER, host_id))
        for network_id in self.cloud.networks_on[host_id]:
            index = self.cloud.indexes[network_id]
            for other in index.present:
                self._mark(other, Unit(UnitKind.NETWORK, network_id))
                for port_id in index.present[host_id]:
                    for mac in self.cloud.served[port_id].macs:
                        self._mark(other, Unit(UnitKind.STATION, network_id, mac))
                    for group_id in self.cloud.ip_groups_of.get(port_id, ()):
                        self._mark_ip_group(other, self.ip_groups[group_id])

    def _subnet_changed(self, network_id: str) -> None:
        """Leases of the network's ports may have changed, and with them whether their DHCP is answered; and, with the
        first subnet, whether their addresses are looked at.
        """
        self._forget_leases(network_id)
        self._ports_changed(network_id)

    def _ports_changed(self, network_id: str) -> None:
        index = self.cloud.indexes.get(network_id)
        if index is not None:
            for host_id, ports in index.present.items():
                for port_id in ports:
                    self._mark(host_id, Unit(UnitKind.PORT, port_id))

    # --- IP groups ----------------------------------------------------------------------------------------------

    def _ip_group_changed(self, old: IpGroup | None, new: IpGroup | None) -> None:
        """Members, holder or kind of an IP group changed. A move of the holder touches two or three units of a host."""
        group = new or old
        assert group is not None  # noqa: S101  (one of the two is given)
        before, after = frozenset(old.members if old else ()), frozenset(new.members if new else ())
        for port_id in before - after:
            drop(self.cloud.ip_groups_of, port_id, group.id)
        for port_id in after - before:
            enter(self.cloud.ip_groups_of, port_id, group.id)
        for one, change in ((old, drop), (new, enter)):
            if one is not None:
                change(self.cloud.ip_groups_in, one.network_id, one.id)
                if one.virtual_mac is not None:
                    change(self.cloud.virtual, (one.network_id, int(one.virtual_mac)), one.id)
        self._vrrp_changed(old, new)
        is_other = old is None or new is None or (old.address, old.vrrp) != (new.address, new.vrrp)
        self._reindex(before | after if is_other else before ^ after)
        index = self.cloud.indexes.get(group.network_id)
        for host_id in index.present if index else ():
            for one in (old, new):
                if one is not None:
                    self._mark_ip_group(host_id, one)

    def _mark_ip_group(self, host_id: str, group: IpGroup) -> None:
        self._mark(host_id, Unit(UnitKind.IP_GROUP, group.id))
        if group.virtual_mac is not None:
            self._mark(host_id, Unit(UnitKind.STATION, group.network_id, int(group.virtual_mac)))

    def _vrrp_changed(self, old: IpGroup | None, new: IpGroup | None) -> None:
        """That members with VRRP hear each other is a security group that they have and nobody sees."""
        if new is not None and new.vrrp:
            rules = vrrp_rules(new)
            if self.groups.get(new.id) != rules:
                self.put_group(rules)
        elif old is not None and old.vrrp:
            self.remove_group(old.id)

    def _forget_leases(self, network_id: str) -> None:
        for port_id in self._ports_of[network_id]:
            self.cloud.leases.pop(port_id, None)

    # --- quality of service -------------------------------------------------------------------------------------

    def _policy_changed(self, policy_id: str) -> None:
        self._limits_changed(self._held_ports.get(policy_id, ()))
        for network_id in self._held_networks.get(policy_id, ()):
            self._limits_changed(self._ports_of[network_id])

    def _limits_changed(self, port_ids: Iterable[str]) -> None:
        """What ports are held to may have changed: that is in their own flows, and in how copies come to them."""
        for port_id in port_ids:
            served = self.cloud.served.get(port_id)
            if served is not None and served.binding is not None and served.binding.ofport is not None:
                host_id, ofport = served.binding.host_id, served.binding.ofport
                self._mark(host_id, Unit(UnitKind.PORT, port_id))
                self._mark(host_id, Unit(UnitKind.CHUNK, served.network_id, ofport // CHUNK))

    def _group_is_another(self, group_id: str) -> None:
        """A group came, went or became another kind: its ports, and whoever names it."""
        self._groups.remote_changed(group_id)
        self._reindex(self._groups.ports_with(group_id))


def _service_macs(port: Port | None) -> set[int]:
    """By which MACs a port is known as a service port."""
    if port is None or not port.is_service_port or not port.admin_state_up:
        return set()
    return {int(port.mac), *(int(pair.mac) for pair in port.allowed_address_pairs)}
