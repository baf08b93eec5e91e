# SPDX-License-Identifier: Apache-2.0
"""A small cloud as views: guests on hosts, each known everywhere its network is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from sdnctl import apps
from sdnctl.flows.flow import Flow
from sdnctl.flows.meters import MeterSpec
from sdnctl.model.addresses import IPV4_MASK, IPV6_MASK, link_local
from sdnctl.model.filters import ALL, Filters
from sdnctl.model.ids import GroupKey, HostKey, NetworkKey, Ofport, PortKey
from sdnctl.model.ip_group import VRRP, VRRP_GROUPS
from sdnctl.model.network import NetworkType
from sdnctl.model.qos import UNLIMITED, QosLimits
from sdnctl.model.security import Direction
from sdnctl.model.views import (
    CHUNK,
    Announcer,
    Clause,
    Filtered,
    Filtering,
    FloodChunk,
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
    Source,
    Station,
    TunnelPeer,
)
from tests.apps.packets import mac, v4, v6

TUNNEL = Ofport(100)
PATCH = Ofport(101)


def endpoint(host: int) -> int:
    """192.168.0.HOST, where tunnels end."""
    return 0xC0A80000 + host


@dataclass(frozen=True)
class Net:
    key: int
    type: NetworkType
    segment: int | None
    isolated: bool = False
    """Clients reach service ports only."""
    subnet: bool = True
    """Somebody gave its guests addresses."""


@dataclass(frozen=True)
class Guest:
    """Guest n with the n-th of all addresses; `same_as` gives it the addresses of another number (other tenant)."""

    number: int
    net: Net
    host: int
    filters: Filters | None = ALL
    dhcp: bool = True
    pairs: tuple[Source, ...] = ()
    same_as: int | None = None
    ipv4: bool = True
    groups: tuple[int, ...] = ()
    stateful: bool = True
    service: bool = False
    """It is a service port."""
    qos: QosLimits = UNLIMITED

    @property
    def is_told_of(self) -> bool:
        """Whether clients that are kept apart may know it."""
        return self.service or not self.net.isolated

    @property
    def is_open(self) -> bool:
        return not (self.filters and self.filters.mac)

    @property
    def filtering(self) -> Filtering:
        if not self.groups or not self.filters:
            return Filtering.NONE
        return Filtering.STATEFUL if self.stateful else Filtering.STATELESS

    @property
    def addresses4(self) -> tuple[int, ...]:
        return (v4(self.same_as or self.number),) if self.ipv4 and self.net.subnet else ()

    @property
    def addresses6(self) -> tuple[int, ...]:
        return (v6(self.same_as or self.number),) if self.net.subnet else ()

    @property
    def sources(self) -> tuple[Source, ...]:
        own = mac(self.number)
        found = {Source(own, 4, address, IPV4_MASK) for address in self.addresses4}
        found |= {Source(own, 6, address, IPV6_MASK) for address in self.addresses6}
        found |= set(self.pairs)
        found |= {Source(one, 6, link_local(one), IPV6_MASK) for one in {own, *(pair.mac for pair in self.pairs)}}
        return tuple(sorted(found, key=lambda one: (one.mac, one.version, one.address, one.mask)))

    @property
    def macs(self) -> set[int]:
        return {one.mac for one in self.sources}

    def local(self) -> LocalPort:
        is_free = self.filters is not None and not self.net.subnet
        return LocalPort(
            key=PortKey(self.number),
            network=NetworkKey(self.net.key),
            ofport=Ofport(self.number),
            mac=mac(self.number),
            sources=self.sources,
            filters=replace(self.filters, arp=False, ip=False) if self.filters and is_free else self.filters,
            dhcp=self.dhcp,
            filtering=self.filtering,
            groups=tuple(map(GroupKey, self.groups)) if self.filtering else (),
            qos=self.qos,
            observes=is_free,
        )

    def neighbour(self) -> Neighbour:
        return Neighbour(
            key=PortKey(self.number),
            network=NetworkKey(self.net.key),
            mac=mac(self.number),
            ipv4=self.addresses4,
            ipv6=(*self.addresses6, link_local(mac(self.number))),
        )


@dataclass(frozen=True)
class Vip:
    """An IP group of guests; `number` is its key."""

    number: int
    net: Net
    version: int
    address: int
    members: tuple[int, ...]
    holder: int | None = None
    pinned: int | None = None
    vrrp: bool = False
    virtual_mac: int | None = None
    """With which the holder announced it, where that is not its own."""

    @property
    def mac(self) -> int | None:
        """Where whoever holds it is; None while nobody does."""
        return None if self.holder is None else self.virtual_mac or mac(self.holder)

    @property
    def heard(self) -> GroupView:
        """The security group of members with VRRP, which nobody sees."""
        key, full = GroupKey(self.number), IPV4_MASK if self.version == 4 else IPV6_MASK
        rule = GroupRule(direction=Direction.EGRESS, version=self.version, protocol=VRRP, remote=key)
        to_all = replace(rule, prefix=(VRRP_GROUPS[self.version], full), remote=None)
        return GroupView(key, (to_all, rule, replace(rule, direction=Direction.INGRESS)))

    def source(self, guest: Guest) -> Source:
        return Source(mac(guest.number), self.version, self.address, IPV4_MASK if self.version == 4 else IPV6_MASK)


@dataclass(frozen=True)
class Cloud:
    """What every host of `guests` has to know."""

    guests: tuple[Guest, ...]
    hosts: tuple[int, ...] = (1, 2)
    own: frozenset[int] = field(default_factory=frozenset)
    policies: tuple[GroupView, ...] = ()
    """The security groups that guests have."""
    vips: tuple[Vip, ...] = ()

    def local(self, guest: Guest) -> LocalPort:
        """A guest on its host, with what it shares with others."""
        shared = self.shared(guest)
        return replace(
            guest.local(),
            sources=self.sources(guest),
            groups=tuple(map(GroupKey, self.groups(guest))) if guest.filtering else (),
            announces=bool(shared),
            virtual=tuple(sorted((vip.version, vip.address) for vip in shared if vip.vrrp)),
        )

    def shared(self, guest: Guest) -> list[Vip]:
        """The IP groups that a guest is a member of."""
        return [vip for vip in self.vips if guest.number in vip.members]

    def sources(self, guest: Guest) -> tuple[Source, ...]:
        found = {vip.source(guest) for vip in self.shared(guest)}.union(guest.sources)
        return tuple(sorted(found, key=lambda one: (one.mac, one.version, one.address, one.mask)))

    def groups(self, guest: Guest) -> tuple[int, ...]:
        """The security groups that a guest is a member of: its own, and those that come with VRRP."""
        own = guest.groups if guest.filtering else ()
        return (*own, *sorted(vip.number for vip in self.shared(guest) if vip.vrrp))

    def _groups_on(self, host: int, net: Net | None = None) -> list[GroupView]:
        """Those that somebody's filters ask."""
        used = {group for guest in self.on(host, net) if guest.filtering for group in self.groups(guest)}
        every = (*self.policies, *(vip.heard for vip in self.vips if vip.vrrp))
        return [policy for policy in every if policy.key in used]

    def _vips(self, host: int, net: Net) -> Iterator[IpGroupView]:
        here = {guest.number for guest in self.on(host, net)}
        by_number = {guest.number: guest for guest in self.guests}
        for vip in self.vips:
            if vip.net == net:
                yield IpGroupView(
                    key=GroupKey(vip.number),
                    network=NetworkKey(net.key),
                    version=vip.version,
                    address=vip.address,
                    members=tuple(
                        Announcer(PortKey(one), Ofport(one), may_speak=vip.pinned in {None, one})
                        for one in sorted(here & set(vip.members))
                    ),
                    holder=None if vip.holder is None else PortKey(vip.holder),
                    mac=vip.mac,
                    vrrp=vip.vrrp,
                    is_told=vip.holder is None or by_number[vip.holder].is_told_of,
                )

    def on(self, host: int, net: Net | None = None) -> list[Guest]:
        return [one for one in self.guests if one.host == host and net in (None, one.net)]

    def views(self, host: int) -> Iterator[object]:
        yield HostView(HostKey(host), TUNNEL, (PATCH,))
        for other in self.hosts:
            if other != host:
                yield TunnelPeer(HostKey(other), TUNNEL, endpoint(other))
        for net in dict.fromkeys(guest.net for guest in self.on(host)):
            yield from self._network(host, net)
        for guest in self.on(host):
            yield self.local(guest)
        yield from self._groups_on(host)
        for net in dict.fromkeys(guest.net for guest in self.on(host)):
            yield from self._members(host, net)
            yield from self._vips(host, net)

    def _members(self, host: int, net: Net) -> Iterator[Member]:
        rules = {rule for policy in self._groups_on(host, net) for rule in policy.rules if rule.remote}
        owners: dict[tuple[int, int, int], list[Guest]] = {}
        for guest in self.guests:
            if guest.net == net and self.groups(guest):
                for one in self.sources(guest):
                    if one.mask:
                        owners.setdefault((one.version, one.address, one.mask), []).append(guest)
        for (version, address, mask), guests in owners.items():
            found = {
                Clause(rule.direction, rule.keeps, rule.remote)
                for rule in rules
                if rule.remote
                and rule.version == version
                and any(rule.remote in self.groups(guest) for guest in guests)
            }
            if found:
                clauses = tuple(sorted(found, key=lambda one: (one.direction, one.keeps, one.remote)))
                yield Member(
                    key=PortKey(min(guest.number for guest in guests)),
                    network=NetworkKey(net.key),
                    version=version,
                    address=address,
                    mask=mask,
                    clauses=clauses,
                )

    def _network(self, host: int, net: Net) -> Iterator[object]:
        members = [guest for guest in self.guests if guest.net == net]
        vxlan = net.type is NetworkType.VXLAN
        others = sorted({guest.host for guest in members} - {host}) if vxlan else []
        yield NetworkView(
            key=NetworkKey(net.key),
            type=net.type,
            segmentation_id=net.segment,
            underlay_ofport=TUNNEL if vxlan else PATCH,
            peers=tuple(map(endpoint, others)),
            chunks=tuple(sorted({guest.number // CHUNK for guest in self.on(host, net)})),
            floods_unknown=any(guest.is_open for guest in members),
            isolated=net.isolated,
        )
        yield from self._chunks(host, net)
        owners: dict[int, list[Guest]] = {}
        for guest in members:
            if guest.is_told_of:
                yield guest.neighbour()
            for address in guest.macs:
                owners.setdefault(address, []).append(guest)
        for address, guests in owners.items():
            if net.isolated and all(guest.service for guest in guests):
                yield ServiceMac(PortKey(min(guest.number for guest in guests)), NetworkKey(net.key), address)
        by_number = {guest.number: guest for guest in members}
        for vip in reversed(self.vips):
            if vip.net == net and vip.virtual_mac is not None and vip.holder is not None:
                owners[vip.virtual_mac] = [by_number[vip.holder]]
        for address, guests in owners.items():
            first = min(guests, key=lambda one: one.number)
            station = Station(key=PortKey(first.number), network=NetworkKey(net.key), mac=address)
            if len(guests) > 1:
                yield station
            elif first.host == host:
                yield replace(station, ofport=Ofport(first.number), filtering=first.filtering)
            else:
                yield replace(station, is_remote=True, peer=endpoint(first.host) if vxlan else None)

    def _chunks(self, host: int, net: Net) -> Iterator[FloodChunk]:
        here = sorted(self.on(host, net), key=lambda one: one.number)
        for number in sorted({guest.number // CHUNK for guest in here}):
            some = [guest for guest in here if guest.number // CHUNK == number]
            yield FloodChunk(
                network=NetworkKey(net.key),
                number=number,
                ofports=tuple(Ofport(one.number) for one in some),
                open_ofports=tuple(Ofport(one.number) for one in some if one.is_open),
                filtered=tuple(
                    Filtered(Ofport(one.number), PortKey(one.number), one.filtering) for one in some if one.filtering
                ),
                service_ofports=tuple(Ofport(one.number) for one in some if one.service and net.isolated),
                metered=tuple(
                    Metered(Ofport(one.number), PortKey(one.number)) for one in some if one.qos.limits_receiving
                ),
            )


def flows_of(view: object) -> tuple[Flow, ...]:
    """All flows of a unit."""
    match view:
        case HostView():
            return apps.host(view)
        case TunnelPeer():
            return apps.peer(view)
        case NetworkView():
            return apps.network(view)
        case FloodChunk():
            return apps.chunk(view)
        case LocalPort():
            return apps.port(view)
        case Neighbour():
            return apps.neighbour(view)
        case Station():
            return apps.station(view)
        case ServiceMac():
            return apps.service_mac(view)
        case GroupView():
            return apps.group(view)
        case Member():
            return apps.member(view)
        case IpGroupView():
            return apps.ip_group(view)
    raise TypeError(view)


def meters_of(view: object) -> tuple[MeterSpec, ...]:
    if isinstance(view, HostView):
        return apps.host_meters(view)
    return apps.port_meters(view) if isinstance(view, LocalPort) else ()
