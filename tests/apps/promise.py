# SPDX-License-Identifier: Apache-2.0
"""What the API promises about a packet, written down without flows: who may send it, who gets it, who answers.

    promise = sent(cloud, guest, packet)             of a guest's packet
    promise = received(cloud, host, packet)          of one that comes to a host from outside
    promise.guests, promise.outside, promise.answered, promise.punted, promise.observed

A packet begins a connection here, and nobody is over a limit of his. Every sentence is one of the API's or of `docs/`;
nothing is taken from an app.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from sdnctl.flows.connections import INV_FLAG, NEW_FLAG, REL_FLAG, RPL_FLAG
from sdnctl.flows.fields import Field
from sdnctl.flows.packet import Packet
from sdnctl.model.addresses import link_local
from sdnctl.model.filters import Filters
from sdnctl.model.network import NetworkType
from sdnctl.model.security import Direction
from sdnctl.model.views import Filtering, GroupRule, GroupView, Source
from tests.apps.clouds import PATCH, TUNNEL, Cloud, Guest, Net, Vip, endpoint
from tests.apps.packets import ALL_NODES, ARP, ICMP6, IPV4, IPV6, NA, NS, RARP, UDP, mac

ICMP, TCP, VRRP, SCTP = 1, 6, 112, 132
FIRST, LATER = 1, 3
MARK_CUT, MARK_KEEP, MARK_ALIVE = 1, 2, 3
"""What is remembered of a connection."""
PORTS = {
    TCP: (Field.TCP_SRC, Field.TCP_DST),
    UDP: (Field.UDP_SRC, Field.UDP_DST),
    SCTP: (Field.SCTP_SRC, Field.SCTP_DST),
}


@dataclass(frozen=True)
class Promise:
    guests: tuple[int, ...] = ()
    """Who gets a copy, one each, sorted."""
    outside: bool = False
    """Whether it goes to the provider's network, where others may be that are none of ours."""
    tunnelled: tuple[int, ...] = ()
    """Hosts that get a copy by tunnel."""
    answered: bool = False
    punted: bool = False
    """A copy comes to the controller, for it to act on."""
    observed: bool = False
    """A copy comes to the controller, which reads the sender's address off it."""
    blamed: bool = False
    """Whether it is counted as dropped for the guest that sent it."""
    reported: bool = False
    """Whether it is shown to the controller as a forged one."""
    refused: tuple[int, ...] = ()
    """Who does not get it because of the own security groups; it is counted for each."""


NOTHING = Promise()


def ports(packet: Packet) -> tuple[int, int] | None:
    """Source and destination port, where there are such."""
    if packet[Field.IP_FRAG] == LATER or packet[Field.IP_PROTO] not in PORTS:
        return None
    return tuple(packet[one] for one in PORTS[packet[Field.IP_PROTO]])  # type: ignore[return-value]


def is_udp(packet: Packet, src: int | None, dst: int) -> bool:
    if packet[Field.IP_PROTO] != UDP:
        return False
    there = ports(packet)
    return there is not None and (src is None or there[0] == src) and there[1] == dst


def icmp6_type(packet: Packet) -> int | None:
    is_icmp6 = packet[Field.ETH_TYPE] == IPV6 and packet[Field.IP_PROTO] == ICMP6
    return packet[Field.ICMP6_TYPE] if is_icmp6 and packet[Field.IP_FRAG] != LATER else None


# --- who may send it ----------------------------------------------------------------------------------------------


def is_ethernet(packet: Packet) -> bool:
    """No bridge's own protocol, no sender that is a group, no LLC, no tag hidden in another."""
    reserved = packet[Field.ETH_DST] & 0xFFFFFFFFFFF0 == 0x0180C2000000
    hidden = packet[Field.ETH_TYPE] in (0x05FF, 0x8100, 0x88A8, 0x9100)
    return not reserved and not packet[Field.ETH_SRC] >> 40 & 1 and not hidden


def is_forged(cloud: Cloud, guest: Guest, packet: Packet) -> bool:
    """Whether a packet that may not be sent is one that nobody sends by mistake: it makes a security event."""
    if packet[Field.ETH_DST] & 0xFFFFFFFFFFF0 == 0x0180C2000000:
        return False
    own = packet[Field.ETH_SRC]
    is_own = own in guest.macs or any(routed(cloud, guest, own, version) for version in (4, 6))
    is_own = is_own or not (guest.filters and guest.filters.mac)
    is_known = packet[Field.ETH_TYPE] in (ARP, RARP, IPV4, IPV6)
    return is_known or not is_own or bool(packet[Field.VLAN_VID]) or not is_ethernet(packet)


def owns(cloud: Cloud, guest: Guest, packet: Packet) -> bool:
    """Whether every identity in the packet is the guest's, of those that its filters look at.

    In a network without subnet addresses are nobody's, and only the MAC is looked at.
    """
    filters, own = guest.filters, packet[Field.ETH_SRC]
    if filters is None:
        return True
    if not guest.net.subnet:
        filters = Filters(mac=filters.mac, arp=False, ip=False)
    routes = any(routed(cloud, guest, own, version) for version in (4, 6))
    if (filters.mac and own not in guest.macs and not routes) or any(speaks(cloud, guest, packet, pinned=True)):
        return False
    if packet[Field.ETH_TYPE] in (ARP, RARP):
        return not filters.arp or owns_arp(cloud, guest, filters, packet)
    if packet[Field.ETH_TYPE] == IPV4:
        return owns_ipv4(cloud, guest, filters, packet)
    return packet[Field.ETH_TYPE] == IPV6 and owns_ipv6(cloud, guest, filters, packet)


def owned(cloud: Cloud, guest: Guest, filters: Filters, packet: Packet, version: int, address: int) -> bool:
    """Whether the guest has the address, together with the MAC if that is looked at.

    From a virtual MAC it may send from the addresses that go with it, and say that it is a virtual router.
    """
    own = packet[Field.ETH_SRC]
    virtual, macs = routed(cloud, guest, own, version), {own}
    if virtual and packet[Field.IP_PROTO] == VRRP:
        macs.add(mac(guest.number))
    return address in virtual or any(
        one.version == version and address & one.mask == one.address
        for one in cloud.sources(guest)
        if not filters.mac or (one.mac in macs and (one.mask or one.mac == own))
    )


def claimed(cloud: Cloud, guest: Guest, version: int, address: int) -> list[Source]:
    """As what it may say to others that it has the address. Who has every address speaks for none."""
    sources = cloud.sources(guest)
    return [one for one in sources if one.version == version and one.mask and address & one.mask == one.address]


def is_virtual(address: int, version: int) -> bool:
    """Whether the MAC is a virtual router's."""
    return address >> 8 == {4: 0x00005E0001, 6: 0x00005E0002}[version]


def routed(cloud: Cloud, guest: Guest, own: int, version: int) -> set[int]:
    """The addresses that the guest may send from the MAC because it is a virtual router's."""
    if not is_virtual(own, version):
        return set()
    return {vip.address for vip in cloud.shared(guest) if vip.vrrp and vip.version == version}


def owns_arp(cloud: Cloud, guest: Guest, filters: Filters, packet: Packet) -> bool:
    """Whether the sender of ARP is the guest: by MAC and address, which a probe or RARP has none of."""
    said, spoken = packet[Field.ARP_SHA], packet[Field.ARP_SPA]
    own, is_arp = packet[Field.ETH_SRC], packet[Field.ETH_TYPE] == ARP
    if is_arp and is_virtual(said, 4) and spoken in routed(cloud, guest, own, 4):
        return True
    if said not in guest.macs or (filters.mac and said != own):
        return False
    return not is_arp or not spoken or any(one.mac == said for one in claimed(cloud, guest, 4, spoken))


def hides(packet: Packet) -> bool:
    """A first fragment that does not show what it is."""
    is_first = packet[Field.IP_FRAG] == FIRST
    shows_none = packet[Field.ETH_TYPE] == IPV6 and packet[Field.IP_PROTO] == ICMP6
    shows_none = shows_none and not packet[Field.ICMP6_TYPE] and not packet[Field.ICMP6_CODE]
    return is_first and (is_udp(packet, 0, 0) or shows_none)


def owns_ipv4(cloud: Cloud, guest: Guest, filters: Filters, packet: Packet) -> bool:
    source = packet[Field.IPV4_SRC]
    if hides(packet) or is_udp(packet, None, 68):
        return False
    if not source:
        return is_udp(packet, 68, 67) and packet[Field.IPV4_DST] == 0xFFFFFFFF
    is_anybodys = source >> 24 == 127 or source >> 28 == 14 or source == 0xFFFFFFFF
    return not is_anybodys and (not filters.ip or owned(cloud, guest, filters, packet, 4, source))


def owns_ipv6(cloud: Cloud, guest: Guest, filters: Filters, packet: Packet) -> bool:
    source, kind = packet[Field.IPV6_SRC], icmp6_type(packet)
    there = ports(packet) if packet[Field.IP_PROTO] == UDP else None
    if hides(packet) or not packet[Field.IP_PROTO] or (there and (there[1] == 546 or there[0] == 547)):
        return False
    if source == 1 or source >> 120 == 0xFF or kind in (134, 137):
        return False
    if source and filters.ip and not owned(cloud, guest, filters, packet, 6, source):
        return False
    if kind in (NS, NA):
        return owns_neighbour(cloud, guest, filters, packet)
    return bool(source) or kind in (131, 133, 143)


def owns_neighbour(cloud: Cloud, guest: Guest, filters: Filters, packet: Packet) -> bool:
    """Of a solicitation or an advertisement: what it says of somebody."""
    own, source, kind = packet[Field.ETH_SRC], packet[Field.IPV6_SRC], packet[Field.ICMP6_TYPE]
    target, code = packet[Field.ND_TARGET], packet[Field.ICMP6_CODE]
    if packet[Field.IP_FRAG] or (not code and not target) or (kind == NA and not source):
        return False
    if not filters.arp:
        return True
    if code:
        return False
    virtual = routed(cloud, guest, own, 6)
    claims = [one for one in claimed(cloud, guest, 6, target) if not filters.mac or one.mac == own]
    if kind == NA:
        said = packet[Field.ND_TLL]
        is_routers = target in virtual and (not said or is_virtual(said, 6))
        return is_routers or any(said in (0, one.mac) for one in claims)
    said = packet[Field.ND_SLL]
    if not source:
        return not said and bool(claims)
    is_routers = bool(virtual) and is_virtual(said, 6)
    return not said or is_routers or (said in guest.macs and (said == own or not filters.mac))


def as_sent(guest: Guest | None, packet: Packet) -> Packet:
    """What travels, and arrives: the packet itself, its tag off if it came in with one, and the sender's mark on.

    IP that says not what it carries (protocol 0) is not marked.
    """
    if guest is None:
        return packet.on_the_wire().changed({Field.VLAN_VID: 0, Field.VLAN_PCP: 0})
    is_marked = guest.qos.dscp is not None and packet[Field.ETH_TYPE] in (IPV4, IPV6) and packet[Field.IP_PROTO]
    return packet.on_the_wire().changed({Field.IP_DSCP: guest.qos.dscp or 0} if is_marked else {})


# --- addresses that fail over --------------------------------------------------------------------------------------


def speaks(cloud: Cloud, guest: Guest, packet: Packet, *, pinned: bool) -> Iterator[Vip]:
    """The IP groups of the guest that it says in the packet to have the address of; those that are pinned to another
    member, or the others.
    """
    is_advertisement = icmp6_type(packet) == NA and not packet[Field.ICMP6_CODE]
    for vip in cloud.shared(guest):
        is_arps = vip.version == 4 and packet[Field.ETH_TYPE] == ARP and packet[Field.ARP_SPA] == vip.address
        is_nds = vip.version == 6 and is_advertisement and packet[Field.ND_TARGET] == vip.address
        if (is_arps or is_nds) and (vip.pinned not in (None, guest.number)) == pinned:
            yield vip


def is_heard(cloud: Cloud, guest: Guest, packet: Packet) -> bool:
    """Whether the packet announces, to everybody, what is not known yet: another holder, or with VRRP another MAC."""
    is_arp = packet[Field.ETH_TYPE] == ARP
    to_all = packet[Field.ARP_SPA] == packet[Field.ARP_TPA] if is_arp else packet[Field.IPV6_DST] == ALL_NODES
    said = packet[Field.ARP_SHA] if is_arp else packet[Field.ND_TLL]
    return to_all and any(
        vip.holder != guest.number or (vip.vrrp and said != vip.mac)
        for vip in speaks(cloud, guest, packet, pinned=False)
    )


def is_observed(guest: Guest, packet: Packet) -> bool:
    """Whether it tells of addresses that nobody gave."""
    is_telling = packet[Field.ETH_TYPE] == ARP or icmp6_type(packet) in (NS, NA)
    return is_telling and guest.filters is not None and not guest.net.subnet


# --- who answers --------------------------------------------------------------------------------------------------


def answer(cloud: Cloud, guest: Guest, packet: Packet) -> int | None:
    """The MAC that the guest's host tells it, for an address that somebody in the network has.

    If the network keeps clients apart, only service ports are told of. Of an address that fails over, who asks all is
    told its holder; members ask each other.
    """
    is_arp = packet[Field.ETH_TYPE] == ARP
    wanted = packet[Field.ARP_TPA] if is_arp else packet[Field.ND_TARGET]
    if is_arp:
        own = [one.address for one in cloud.sources(guest) if one.version == 4 and one.mask == 0xFFFFFFFF]
        asks = packet[Field.ARP_OP] == 1 and wanted not in own
    else:
        asks = icmp6_type(packet) == NS and not packet[Field.ICMP6_CODE] and packet[Field.IP_TTL] == 255
        asks = asks and bool(packet[Field.IPV6_SRC] and packet[Field.ND_SLL])
    if not asks:
        return None
    version = 4 if is_arp else 6
    for one in cloud.guests:
        known = one.addresses4 if is_arp else (*one.addresses6, link_local(mac(one.number)))
        if one.net == guest.net and wanted in known and one.is_told_of:
            return mac(one.number)
    vip = next((vip for vip in cloud.vips if (vip.net, vip.version, vip.address) == (guest.net, version, wanted)), None)
    is_others = vip is not None and guest.number not in vip.members and packet[Field.ETH_DST] >> 40 & 1
    holder = next((one for one in cloud.guests if vip and one.number == vip.holder), None)
    return vip.mac if vip and is_others and holder and holder.is_told_of else None


def answered(cloud: Cloud, guest: Guest, packet: Packet) -> Packet:
    """The answer, to who asked."""
    owner = answer(cloud, guest, packet)
    assert owner is not None
    said = packet.on_the_wire().changed({Field.ETH_SRC: owner, Field.ETH_DST: packet[Field.ETH_SRC]})
    if packet[Field.ETH_TYPE] == ARP:
        theirs = {Field.ARP_THA: packet[Field.ARP_SHA], Field.ARP_TPA: packet[Field.ARP_SPA]}
        return said.changed({Field.ARP_OP: 2, Field.ARP_SHA: owner, Field.ARP_SPA: packet[Field.ARP_TPA], **theirs})
    addresses = {Field.IPV6_SRC: packet[Field.ND_TARGET], Field.IPV6_DST: packet[Field.IPV6_SRC]}
    flags = {Field.ND_RESERVED: 0x60000000, Field.ND_OPTION: 2}
    return said.changed({Field.ICMP6_TYPE: NA, Field.ND_TLL: owner, **addresses, **flags})


# --- who is allowed -----------------------------------------------------------------------------------------------


def passes(cloud: Cloud, guest: Guest, direction: Direction, packet: Packet, state: int, mark: int) -> bool:
    """Whether it passes the guest's security groups, when the tracker says this of its connection.

    Only stateful groups care: an answer or an error passes if the connection was not cut, one that is kept whatever the
    rules say, and nothing that belongs to no connection that could be.
    """
    is_stateful = guest.filtering is Filtering.STATEFUL and packet[Field.ETH_TYPE] in (IPV4, IPV6)
    if not is_stateful or is_own_business(direction, packet):
        return may(cloud, guest, direction, packet)
    if state & INV_FLAG:
        return False
    if state & (RPL_FLAG | REL_FLAG):
        return mark != MARK_CUT
    return mark == MARK_KEEP or may(cloud, guest, direction, packet)


def may(cloud: Cloud, guest: Guest, direction: Direction, packet: Packet) -> bool:
    """Whether a rule of the guest's security groups lets it pass."""
    version = {IPV4: 4, IPV6: 6}.get(packet[Field.ETH_TYPE])
    if not guest.filtering or version is None or is_own_business(direction, packet):
        return True
    return any(allowing(cloud, guest, direction, packet)) or is_between_routers(cloud, guest, direction, packet)


def is_between_routers(cloud: Cloud, guest: Guest, direction: Direction, packet: Packet) -> bool:
    """Whether one virtual router says to another one, or to all, that it lives. Later fragments of IPv6 may."""
    version = 4 if packet[Field.ETH_TYPE] == IPV4 else 6
    if packet[Field.IP_PROTO] != VRRP and (version == 4 or packet[Field.IP_FRAG] != LATER):
        return False
    source, target = (Field.IPV4_SRC, Field.IPV4_DST) if version == 4 else (Field.IPV6_SRC, Field.IPV6_DST)
    if direction is Direction.EGRESS and packet[target] == {4: 0xE0000012, 6: 0xFF02 << 112 | 0x12}[version]:
        return any(vip.vrrp and vip.version == version for vip in cloud.shared(guest))
    other = packet[target if direction is Direction.EGRESS else source]
    return any(
        claimed(cloud, one, version, other)
        for vip in cloud.shared(guest)
        for one in cloud.guests
        if vip.vrrp and vip.version == version and one.number in vip.members
    )


def allowing(cloud: Cloud, guest: Guest, direction: Direction, packet: Packet) -> Iterator[GroupRule]:
    """The rules of the guest's groups that allow it."""
    version = {IPV4: 4, IPV6: 6}[packet[Field.ETH_TYPE]]
    end = Field.IPV4_DST if version == 4 else Field.IPV6_DST
    if direction is Direction.INGRESS:
        end = Field.IPV4_SRC if version == 4 else Field.IPV6_SRC
    return (
        rule
        for policy in cloud.policies
        if policy.key in guest.groups
        for rule in policy.rules
        if rule.direction is direction
        and rule.version == version
        and says(rule, packet)
        and is_about(cloud, guest, policy, rule, packet[end])
    )


def is_own_business(direction: Direction, packet: Packet) -> bool:
    """Between a port and its network: neighbours, multicast listeners, DHCP."""
    kind, hops = icmp6_type(packet), packet[Field.IP_TTL]
    if (kind in (133, 134, 135, 136) and hops == 255) or (kind in (130, 131, 132, 143) and hops == 1):
        return True
    is_ipv6 = packet[Field.ETH_TYPE] == IPV6
    if direction is Direction.EGRESS:
        return is_ipv6 and is_udp(packet, 546, 547)
    return is_udp(packet, 547, 546) if is_ipv6 else is_udp(packet, 67, 68)


def says(rule: GroupRule, packet: Packet) -> bool:
    """Whether protocol, ports or type fit; later fragments pass where the rest of a rule allows them."""
    protocol, first, last = rule.protocol, rule.port_min, rule.port_max
    has_ports, has_types = protocol in PORTS, protocol in (ICMP, ICMP6)
    can_hold = (first, last) == (None, None) or has_ports or (has_types and first is not None)
    if protocol is None:
        return True
    if not can_hold:
        return False
    if packet[Field.IP_FRAG] == LATER and rule.version == 6:
        return True
    if protocol != packet[Field.IP_PROTO]:
        return False
    if packet[Field.IP_FRAG] == LATER or (first, last) == (None, None):
        return True
    if has_ports:
        there = ports(packet)
        assert there is not None
        return (first or 0) <= there[1] <= (65535 if last is None else last)
    kind, code = (Field.ICMP4_TYPE, Field.ICMP4_CODE) if rule.version == 4 else (Field.ICMP6_TYPE, Field.ICMP6_CODE)
    return first == packet[kind] and last in (None, packet[code])


def is_about(cloud: Cloud, guest: Guest, policy: GroupView, rule: GroupRule, other: int) -> bool:
    """Whether the other end fits: anybody, a prefix, a member of a group in this network, an address group's."""
    if rule.prefix is not None:
        return other & rule.prefix[1] == rule.prefix[0]
    if rule.remote is None:
        return True
    members = [
        source
        for one in cloud.guests
        if one.net == guest.net and one.filters and rule.remote in one.groups
        for source in cloud.sources(one)
        if source.mask and source.version == rule.version
    ]
    listed = [one for one in policy.addresses if one.remote == rule.remote and one.version == rule.version]
    return any(other & one.mask == one.address for one in (*members, *listed))


# --- who gets it --------------------------------------------------------------------------------------------------


def sent(cloud: Cloud, guest: Guest, packet: Packet, state: int = NEW_FLAG, mark: int = 0) -> Promise:
    """What becomes of a packet of `guest`."""
    if packet[Field.VLAN_VID] or not is_ethernet(packet) or not owns(cloud, guest, packet):
        return Promise(blamed=True, reported=is_forged(cloud, guest, packet))
    if packet[Field.ETH_TYPE] == IPV4 and is_udp(packet, 68, 67):
        return Promise(punted=guest.dhcp, blamed=not guest.dhcp)
    told = Promise(punted=is_heard(cloud, guest, packet), observed=is_observed(guest, packet))
    if answer(cloud, guest, packet) is not None:
        return replace(told, answered=True)
    if not passes(cloud, guest, Direction.EGRESS, packet, state, mark) or is_between_clients(cloud, guest.net, packet):
        return replace(told, blamed=True)
    is_provider = guest.net.type is not NetworkType.VXLAN
    here, leaves = switched(cloud, guest.host, guest.net, packet, is_local=True)
    found = {one.number: one for one in here}
    if leaves:
        for host in cloud.hosts:
            if host != guest.host:
                there, _ = switched(cloud, host, guest.net, packet, is_local=False)
                found |= {one.number: one for one in there}
    found.pop(guest.number, None)
    reached, refused = let_in(cloud, found.values(), packet, state, mark)
    tunnelled = tunnelled_to(cloud, guest, packet) if leaves and not is_provider else ()
    return replace(told, guests=reached, outside=is_provider and leaves, tunnelled=tunnelled, refused=refused)


def received(cloud: Cloud, host: int, packet: Packet, state: int = NEW_FLAG, mark: int = 0) -> Promise:
    """What becomes of a packet that does not come from a guest: from the tunnel, a provider bridge, anywhere else."""
    net = origin(cloud, host, packet)
    if net is None or not is_ethernet(packet):
        return NOTHING
    found, _ = switched(cloud, host, net, packet, is_local=False)
    guests, refused = let_in(cloud, found, packet, state, mark)
    return Promise(guests, refused=refused)


def tunnelled_to(cloud: Cloud, guest: Guest, packet: Packet) -> tuple[int, ...]:
    """The host of the one that has the destination MAC, or all others that have a port of the network."""
    members = [one for one in cloud.guests if one.net == guest.net and one.host != guest.host]
    owners = [one for one in cloud.guests if one.net == guest.net and packet[Field.ETH_DST] in one.macs]
    return tuple(sorted({one.host for one in (owners if len(owners) == 1 else members)}))


def let_in(
    cloud: Cloud, guests: Iterable[Guest], packet: Packet, state: int, mark: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Those of `guests` that may get it, and the others."""
    numbers = {one.number: passes(cloud, one, Direction.INGRESS, packet, state, mark) for one in guests}
    passing = tuple(sorted(number for number, is_let_in in numbers.items() if is_let_in))
    return passing, tuple(sorted(numbers.keys() - passing))


def origin(cloud: Cloud, host: int, packet: Packet) -> Net | None:
    """The network that a packet from outside belongs to: by VNI and sender, or by tag."""
    tag = packet[Field.VLAN_VID]
    for net in {one.net for one in cloud.on(host)}:
        if packet[Field.IN_PORT] == TUNNEL and net.type is NetworkType.VXLAN:
            peers = {endpoint(one) for one in cloud.hosts if one != host}
            if not tag and packet[Field.TUN_ID] == net.segment and packet[Field.TUN_SRC] in peers:
                return net
        elif packet[Field.IN_PORT] == PATCH and net.type is NetworkType.VLAN:
            if net.segment is not None and tag == 0x1000 | net.segment:
                return net
        elif packet[Field.IN_PORT] == PATCH and net.type is NetworkType.FLAT and not tag:
            return net
    return None


def switched(cloud: Cloud, host: int, net: Net, packet: Packet, *, is_local: bool) -> tuple[list[Guest], bool]:
    """Who on `host` the packet is for, and whether it goes on to other hosts."""
    members = [one for one in cloud.guests if one.net == net]
    here = [one for one in members if one.host == host]
    holders = [vip.holder for vip in cloud.vips if vip.net == net and vip.virtual_mac == packet[Field.ETH_DST]]
    # A virtual MAC is where the holder is that announced it; of two that did, the older group's.
    owners = [one for one in members if one.number in holders[:1]]
    owners = owners or [one for one in members if packet[Field.ETH_DST] in one.macs]
    is_group = bool(packet[Field.ETH_DST] >> 40 & 1)
    is_provider = net.type is not NetworkType.VXLAN
    everybody = here
    if net.isolated and not is_service(members, packet[Field.ETH_SRC]):
        # A client reaches service ports and nobody else.
        everybody = [one for one in here if one.service]
        if is_between_clients(cloud, net, packet):
            return [], False
    if is_group or len(owners) > 1:
        return everybody, is_local
    if owners and owners[0].host == host:
        return owners, False
    if owners:
        return [], is_local
    # Nobody is known to have it. It may be behind an open port, or somewhere in the provider's network.
    has_open = any(one.is_open for one in members)
    return [one for one in here if one.is_open], is_local and (is_provider or has_open)


def is_between_clients(cloud: Cloud, net: Net, packet: Packet) -> bool:
    """Whether it goes from a client to somebody who is no service port, where clients are kept apart."""
    members = [one for one in cloud.guests if one.net == net]
    ends = packet[Field.ETH_SRC], packet[Field.ETH_DST]
    return net.isolated and not ends[1] >> 40 & 1 and not any(is_service(members, one) for one in ends)


def is_service(members: Iterable[Guest], address: int) -> bool:
    """Whether the MAC is a service port's, and no client's."""
    owners = [one for one in members if address in one.macs]
    return bool(owners) and all(one.service for one in owners)
