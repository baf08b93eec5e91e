# SPDX-License-Identifier: Apache-2.0
"""Random packets for a cloud's hosts: what a guest might rightly send, and then changed a little, towards what matters.

Addresses of its own and of others, of address pairs, at the edge of a prefix and one bit beside it; ARP, neighbour
discovery, DHCP, fragments, tags, LLC; by a workload's port, by the tunnel, by a provider bridge, by an unknown port.
Everything comes out of the `Random` that is given: a seed is a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from sdnctl.flows.fields import LAYER_4, Fact, Field
from sdnctl.flows.oxm import VLAN_TAG, test
from sdnctl.flows.packet import Packet
from sdnctl.model.addresses import link_local
from sdnctl.model.ip_group import VIRTUAL_MACS, VRRP, VRRP_GROUPS
from tests.apps.clouds import PATCH, TUNNEL, Cloud, Guest, Vip, endpoint
from tests.apps.packets import (
    ALL_NODES,
    ALL_NODES_MAC,
    ALL_ROUTERS,
    ARP,
    BROADCAST,
    GROUP,
    GROUP_MAC,
    ICMP6,
    IPV4,
    IPV6,
    NA,
    NS,
    RA,
    RARP,
    REDIRECT,
    RS,
    UDP,
    mac,
    v4,
    v6,
)
from tests.apps.promise import routed

TCP, ICMP, SCTP, GRE = 6, 1, 132, 47
MLD = 143
STRAY = 99
"""A port that is nobody's."""
PORTS = (0, 22, 53, 67, 68, 79, 80, 85, 90, 91, 255, 256, 443, 546, 547, 4000, 65535)
LATER, FIRST = 3, 1
_PORTS = {
    TCP: (Field.TCP_SRC, Field.TCP_DST),
    UDP: (Field.UDP_SRC, Field.UDP_DST),
    SCTP: (Field.SCTP_SRC, Field.SCTP_DST),
}

Fields = dict[Field, int]


class Traffic:
    """Packets for one host of a cloud."""

    def __init__(self, cloud: Cloud, host: int, random: Random) -> None:
        self.cloud = cloud
        self.host = host
        self.random = random
        self.guests = cloud.on(host) or list(cloud.guests)
        numbers = [guest.number for guest in cloud.guests]
        pairs = [pair for guest in cloud.guests for pair in guest.pairs]
        self.macs = [*map(mac, numbers), *(pair.mac for pair in pairs), mac(0x99)]
        self.special_macs = [BROADCAST, ALL_NODES_MAC, GROUP_MAC, 0x0180C200000E, 0, *VIRTUAL_MACS.values()]
        self.special_macs += [vip.virtual_mac for vip in cloud.vips if vip.virtual_mac is not None]
        self.ipv4 = [
            *map(v4, numbers),
            *(one for pair in pairs if pair.version == 4 for one in _edges(pair.address, pair.mask, 32)),
        ]
        self.ipv4 += [vip.address for vip in cloud.vips if vip.version == 4]
        self.special_ipv4 = [0, 0xFFFFFFFF, 0x7F000001, GROUP, v4(0), v4(255), 0x08080808]
        self.ipv6 = [*map(v6, numbers), *(link_local(one) for one in self.macs)]
        self.ipv6 += [one for pair in pairs if pair.version == 6 for one in _edges(pair.address, pair.mask, 128)]
        self.ipv6 += [vip.address for vip in cloud.vips if vip.version == 6]
        self.special_ipv6 = [0, 1, ALL_NODES, ALL_ROUTERS, v6(0x99), 0x20010DB9 << 96]

    def packets(self, count: int) -> Iterator[Packet]:
        for _ in range(count):
            yield self.packet()

    def packet(self) -> Packet:
        random = self.random
        sender = random.choice(self.guests)
        receiver = random.choice(self.cloud.guests if random.random() < 0.3 else self._beside(sender))
        fields = self._rightful(sender, receiver)
        for _ in range(random.choice((0, 0, 1, 1, 1, 2, 3))):
            self._change(fields)
        self._enter(fields, sender)
        return Packet.of(possible(fields))

    def rightful(self, sender: Guest, count: int) -> Iterator[Packet]:
        """What `sender` may say."""
        for _ in range(count):
            fields = self._rightful(sender, self.random.choice(self._beside(sender)))
            yield Packet.of(possible({Field.IN_PORT: sender.number, **fields}))

    def about_shared(self) -> Iterator[Packet]:
        """Every guest here asks all for each shared address of its network, and announces that it has it."""
        for sender in self.cloud.on(self.host):
            for vip in self.cloud.vips:
                for own in self.macs_of(sender) if vip.net == sender.net else ():
                    yield from self._asked_and_announced(sender, own, vip)

    def _asked_and_announced(self, sender: Guest, own: int, vip: Vip) -> Iterator[Packet]:
        said: Fields = {Field.IN_PORT: sender.number, Field.ETH_SRC: own, Field.ETH_DST: BROADCAST}
        if vip.version == 4:
            said |= {Field.ETH_TYPE: ARP, Field.ARP_OP: 1, Field.ARP_SHA: own, Field.ARP_TPA: vip.address}
            yield Packet.of(possible(said | {Field.ARP_SPA: self._own(sender, 4, own)}))
            yield Packet.of(possible(said | {Field.ARP_SPA: vip.address}))
            return
        said |= {Field.ETH_TYPE: IPV6, Field.IPV6_SRC: self._own(sender, 6, own), Field.IPV6_DST: ALL_NODES}
        said |= {Field.IP_PROTO: ICMP6, Field.IP_TTL: 255, Field.ICMP6_CODE: 0, Field.ND_TARGET: vip.address}
        yield Packet.of(possible(said | {Field.ICMP6_TYPE: NS, Field.ND_SLL: own}))
        yield Packet.of(possible(said | {Field.ICMP6_TYPE: NA, Field.ND_TLL: own}))

    def everything(self, sender: Guest, receiver: Guest, own: int, kind: int | None = None) -> Fields:
        """Rightful values of the MAC `own` for all fields at once, of which a packet has what goes with its types.

        `kind` is the type of ICMPv6.
        """
        random = self.random
        theirs = random.choice(sorted(receiver.macs))
        kind = kind or random.choice((NS, NA))
        own4, own6 = self._own(sender, 4, own), self._own(sender, 6, own)
        their4, their6 = random.choice(self._known(receiver, 4) or [0]), random.choice(self._known(receiver, 6))
        ports = {one: random.choice(PORTS) for pair in _PORTS.values() for one in pair}
        return ports | {
            Field.IN_PORT: sender.number, Field.ETH_SRC: own, Field.ETH_DST: random.choice((theirs, theirs, BROADCAST)),
            Field.ETH_TYPE: random.choice((IPV4, IPV4, IPV6, ARP)), Field.IP_PROTO: random.choice((TCP, UDP, ICMP6)),
            Field.IPV4_SRC: own4, Field.IPV4_DST: their4, Field.IPV6_SRC: own6, Field.IPV6_DST: their6,
            Field.IP_TTL: 255, Field.ICMP4_TYPE: 8, Field.ICMP6_TYPE: kind, Field.ICMP6_CODE: 0,
            Field.ND_TARGET: own6 if kind == NA else their6, Field.ND_SLL: own, Field.ND_TLL: own,
            Field.ARP_OP: 1, Field.ARP_SHA: own, Field.ARP_SPA: own4, Field.ARP_TPA: their4,
        }  # fmt: skip

    def anything(self, sender: Guest, receiver: Guest, own: int, kind: int | None) -> Fields:
        """The same, sometimes of one kind of packet in particular, or with one value that is not rightful."""
        fields = self.everything(sender, receiver, own, kind)
        if not sender.net.subnet:
            fields |= {Field.ARP_SPA: v4(sender.number), Field.IPV6_SRC: v6(sender.number)}  # which nobody gave it
        if self.random.random() < 0.3:
            fields |= self._rightful(sender, receiver) | {Field.ETH_SRC: own}
        if self.random.random() < 0.5:
            self._change(fields)
        return fields | {Field.IN_PORT: sender.number}

    def _beside(self, guest: Guest) -> list[Guest]:
        """Guests of the same network."""
        return [one for one in self.cloud.guests if one.net == guest.net]

    def _own(self, guest: Guest, version: int, own: int) -> int:
        """An address that the guest may send from the MAC `own`; 0 if there is none."""
        found = {one.address for one in self.cloud.sources(guest) if (one.version, one.mac) == (version, own)}
        return self.random.choice(sorted(found | routed(self.cloud, guest, own, version)) or [0])

    def _known(self, guest: Guest, version: int) -> list[int]:
        """Addresses by which it is known to others."""
        shared = [vip.address for vip in self.cloud.shared(guest) if vip.version == version]
        return [*(guest.addresses4 if version == 4 else guest.neighbour().ipv6), *shared]

    def macs_of(self, guest: Guest) -> list[int]:
        """What it may send from."""
        virtual = {vip.virtual_mac or VIRTUAL_MACS[vip.version] + 1 for vip in self.cloud.shared(guest) if vip.vrrp}
        return sorted(virtual | guest.macs)

    # --- what is right ------------------------------------------------------------------------------------------

    def _rightful(self, sender: Guest, receiver: Guest) -> Fields:
        """What `sender` may say to `receiver` or to everybody."""
        random = self.random
        own = random.choice(self.macs_of(sender))
        fields: Fields = {Field.ETH_SRC: own, Field.ETH_DST: mac(receiver.number)}
        if random.random() < 0.3:
            fields[Field.ETH_DST] = random.choice((BROADCAST, *self.special_macs))
        match random.randrange(10):
            case 0 | 1:
                spoken = self._own(sender, 4, own)
                fields |= {Field.ETH_TYPE: ARP, Field.ARP_OP: random.choice((1, 1, 2)), Field.ARP_SHA: own}
                fields |= {Field.ARP_SPA: spoken, Field.ARP_TPA: random.choice((*self._known(receiver, 4), spoken))}
                fields[Field.ARP_THA] = random.choice((0, mac(receiver.number)))
            case 2:
                fields |= {Field.ETH_TYPE: RARP, Field.ARP_OP: 3, Field.ARP_SHA: own, Field.ARP_THA: own}
            case 3 | 4:
                fields |= self._neighbour_discovery(sender, receiver, own)
            case 5:
                fields |= self._dhcp(sender)
            case _:
                fields |= self._ip(sender, receiver, own)
        return fields

    def _ip(self, sender: Guest, receiver: Guest, own: int) -> Fields:
        random = self.random
        fields: Fields = {Field.IP_TTL: random.choice((1, 64, 255)), Field.IP_DSCP: random.choice((0, 0, 46))}
        source = self._own(sender, 4, own)
        if random.random() < 0.6 and source:
            fields |= {Field.ETH_TYPE: IPV4, Field.IPV4_SRC: source}
            fields[Field.IPV4_DST] = random.choice(self._known(receiver, 4) or [0xFFFFFFFF])
            fields[Field.IP_PROTO] = random.choice((TCP, UDP, UDP, ICMP, SCTP, GRE, VRRP))
        else:
            fields |= {Field.ETH_TYPE: IPV6, Field.IPV6_SRC: self._own(sender, 6, own)}
            fields[Field.IPV6_DST] = random.choice(self._known(receiver, 6))
            fields[Field.IP_PROTO] = random.choice((TCP, UDP, UDP, ICMP6, SCTP, GRE, VRRP))
        if fields[Field.IP_PROTO] == VRRP and random.random() < 0.5:
            version, field = (4, Field.IPV4_DST) if fields[Field.ETH_TYPE] == IPV4 else (6, Field.IPV6_DST)
            fields[field] = VRRP_GROUPS[version]
        protocol = fields[Field.IP_PROTO]
        for one in _PORTS.get(protocol, ()):
            fields[one] = random.choice(PORTS)
        if protocol == ICMP:
            fields |= {
                Field.ICMP4_TYPE: random.choice((0, 8, 3, 79, 80, 255)),
                Field.ICMP4_CODE: random.choice((0, 1, 90)),
            }
        elif protocol == ICMP6:
            fields |= {Field.ICMP6_TYPE: random.choice((128, 129, 1, 2)), Field.ICMP6_CODE: random.choice((0, 1))}
        if random.random() < 0.15:
            fields[Field.IP_FRAG] = random.choice((FIRST, LATER))
        return fields

    def _neighbour_discovery(self, sender: Guest, receiver: Guest, own: int) -> Fields:
        random = self.random
        kind = random.choice((NS, NS, NS, NA, NA, RS, RA, REDIRECT, 130, 131, 132, MLD))
        src = random.choice((self._own(sender, 6, own), self._own(sender, 6, own), 0))
        fields: Fields = {
            Field.ETH_TYPE: IPV6, Field.IPV6_SRC: src, Field.IPV6_DST: ALL_NODES, Field.IP_PROTO: ICMP6,
            Field.IP_TTL: 1 if kind in (130, 131, 132, MLD) else 255, Field.ICMP6_TYPE: kind, Field.ICMP6_CODE: 0,
        }  # fmt: skip
        if kind == NS:
            target = random.choice((*self._known(receiver, 6), self._own(sender, 6, own)))
            fields |= {Field.ND_TARGET: target, Field.ND_SLL: random.choice((own, own, 0))}
        elif kind == NA:
            target = self._own(sender, 6, own)
            fields |= {Field.ND_TARGET: target, Field.ND_TLL: random.choice((own, own, 0))}
        return fields

    def _dhcp(self, sender: Guest) -> Fields:
        random = self.random
        own = random.choice(sender.addresses4 or (0,))
        fields: Fields = {Field.IP_PROTO: UDP, Field.IP_TTL: 64}
        match random.randrange(4):
            case 0:
                fields |= {Field.ETH_DST: BROADCAST, Field.IPV4_SRC: 0, Field.IPV4_DST: 0xFFFFFFFF}
                fields |= {Field.ETH_TYPE: IPV4, Field.UDP_SRC: 68, Field.UDP_DST: 67}
            case 1:
                fields |= {Field.IPV4_SRC: own, Field.IPV4_DST: random.choice(self.ipv4)}
                fields |= {Field.ETH_TYPE: IPV4, Field.UDP_SRC: 68, Field.UDP_DST: 67}
            case 2:
                fields |= {Field.IPV4_SRC: own, Field.IPV4_DST: random.choice(self.ipv4)}
                fields |= {Field.ETH_TYPE: IPV4, Field.UDP_SRC: 67, Field.UDP_DST: 68}
            case _:
                ports = random.choice(((546, 547), (547, 546)))
                fields |= {Field.ETH_TYPE: IPV6, Field.IPV6_SRC: link_local(mac(sender.number))}
                fields |= {Field.IPV6_DST: 0xFF02 << 112 | 0x10002, Field.UDP_SRC: ports[0], Field.UDP_DST: ports[1]}
        return fields

    # --- and what is not ----------------------------------------------------------------------------------------

    def _change(self, fields: Fields) -> None:
        """One field becomes something else that may matter."""
        random = self.random
        if random.random() < 0.05:
            self._change_type(fields)
            return
        target = random.choice([one for one in fields if one not in (Field.ETH_TYPE, Field.VLAN_VID)])
        if random.random() < 0.2 and target is not Field.IP_FRAG:
            value = fields[target] ^ 1 << random.randrange(target.bits)
            fields[target] = value & target.valid if target is not Field.ARP_OP else value & 0xFF
            return
        fields[target] = self._other(target)

    def _other(self, target: Field) -> int:
        random = self.random
        if target.bits == 48:
            return random.choice(self.macs + (self.special_macs if random.random() < 0.5 else []))
        if target in (Field.IPV4_SRC, Field.IPV4_DST, Field.ARP_SPA, Field.ARP_TPA):
            return random.choice(self.ipv4 + (self.special_ipv4 if random.random() < 0.5 else []))
        if target in (Field.IPV6_SRC, Field.IPV6_DST, Field.ND_TARGET):
            return random.choice(self.ipv6 + (self.special_ipv6 if random.random() < 0.5 else []))
        if target is Field.IP_PROTO:
            return random.choice((0, TCP, UDP, ICMP, ICMP6, SCTP, GRE, 44, VRRP))
        if target is Field.ICMP6_TYPE:
            return random.choice((NS, NA, RS, RA, REDIRECT, 128, 130, MLD))
        if target is Field.IP_FRAG:
            return random.choice((0, FIRST, LATER))
        if target is Field.ARP_OP:
            return random.choice((0, 1, 2, 3, 8))
        if target in (Field.ICMP6_CODE, Field.ICMP4_CODE, Field.IP_TTL, Field.ICMP4_TYPE):
            return random.choice((0, 1, 2, 64, 254, 255))
        if target.bits == 16:
            return random.choice(PORTS)
        return random.randrange(target.full + 1)

    def _change_type(self, fields: Fields) -> None:
        random = self.random
        kept = {one: fields[one] for one in (Field.ETH_SRC, Field.ETH_DST)}
        fields.clear()
        fields |= kept
        fields[Field.ETH_TYPE] = random.choice((0x05FF, 0x88CC, 0x8100, 0x88A8, 0x9100, 0x8863, 0x0800, 0x86DD, 0x0806))

    def _enter(self, fields: Fields, sender: Guest) -> None:
        """Where it comes in, and with which tag."""
        random = self.random
        way = random.random()
        if way < 0.72:
            fields[Field.IN_PORT] = sender.number
            tagged = random.random() < 0.06
        elif way < 0.84:
            fields[Field.IN_PORT] = TUNNEL
            vnis = [one.net.segment or 0 for one in self.cloud.guests] if random.random() < 0.9 else [4999, 0, 5000]
            fields[Field.TUN_ID] = random.choice(vnis)
            others = [endpoint(one) for one in self.cloud.hosts if one != self.host]
            fields[Field.TUN_SRC] = random.choice([*others, *others, endpoint(self.host), endpoint(99)])
            fields[Field.TUN_DST] = endpoint(self.host)
            tagged = random.random() < 0.05
        elif way < 0.97:
            fields[Field.IN_PORT] = PATCH
            tagged = random.random() < 0.6
        else:
            fields[Field.IN_PORT] = STRAY
            tagged = False
        if tagged:
            fields[Field.VLAN_VID] = VLAN_TAG | random.choice((300, 300, 300, 0, 299, 5))
            fields[Field.VLAN_PCP] = random.choice((0, 7))


def _edges(address: int, mask: int, bits: int) -> tuple[int, ...]:
    """First and last address of a prefix, and their neighbours outside."""
    last = address | ~mask & (1 << bits) - 1
    full = (1 << bits) - 1
    return (address, last, address - 1 & full, last + 1 & full)


def possible(fields: Fields) -> Fields:
    """Without the fields for which the packet lacks what they need."""
    kept: Fields = {}
    facts = 0
    for one in sorted(fields):
        if not one.requires & ~facts:
            kept[one] = fields[one]
            facts |= test(one, fields[one], one.full).gives
            if facts & Fact.LATER:
                facts &= ~LAYER_4
    return kept
