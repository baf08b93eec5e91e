# SPDX-License-Identifier: Apache-2.0
"""The packet that a question is about: what was said of it, and the rest as its sender would fill it in.

    asked(cloud, PacketQuestion("<vm1>", "tcp,tcp_dst=80", to_port="<vm2>"))
    Packet(tcp, from the MAC and address of vm1, to those of vm2, TTL 64, from port 40000)

What stands in the question is never changed, so every forgery can be asked about. What cannot be filled in without
guessing is refused with InvalidError, which says what to write.
"""

from __future__ import annotations

from typing import Final

from netaddr import IPAddress

from sdnctl.errors import InvalidError
from sdnctl.flows.fields import Field
from sdnctl.flows.match import Match
from sdnctl.flows.oxm import ETH_ARP, ETH_IPV4, ETH_IPV6, ETH_RARP, IP_ICMP, IP_ICMP6, IP_SCTP, IP_TCP, IP_UDP
from sdnctl.flows.packet import WITHIN, Packet
from sdnctl.flows.text import read_match
from sdnctl.model.addresses import link_local
from sdnctl.model.ids import Ofport
from sdnctl.model.port import Port
from sdnctl.model.question import PacketQuestion
from sdnctl.sync.cloud import Cloud

TTL: Final = 64
FROM_PORT: Final = 40000
"""Source port, where none is said."""
BROADCAST: Final = 0xFFFFFFFFFFFF
ECHO: Final = {IP_ICMP: (Field.ICMP4_TYPE, 8), IP_ICMP6: (Field.ICMP6_TYPE, 128)}
SOLICITATION: Final = 135
ADVERTISEMENT: Final = 136
_PORTS: Final = {
    IP_TCP: (Field.TCP_SRC, Field.TCP_DST, "tcp_dst"),
    IP_UDP: (Field.UDP_SRC, Field.UDP_DST, "udp_dst"),
    IP_SCTP: (Field.SCTP_SRC, Field.SCTP_DST, "sctp_dst"),
}
_VERSIONS: Final = {4: (ETH_IPV4, Field.IPV4_SRC, Field.IPV4_DST), 6: (ETH_IPV6, Field.IPV6_SRC, Field.IPV6_DST)}
_WORDS: Final = {"tcp": "tcp6", "udp": "udp6", "sctp": "sctp6", "icmp": "icmp6", "ip": "ipv6"}

Fields = dict[Field, int]


def asked(cloud: Cloud, question: PacketQuestion, ofport: Ofport) -> Packet:
    """The packet as it comes in at `ofport` of the sender's host."""
    sender = cloud.ports[question.port_id]
    target = cloud.ports.get(question.to_port) if question.to_port is not None else None
    version = _version(sender, target, question.to_address)
    said = _read(question.fields, version)
    fields: Fields = {one.field: one.value for one in said.tests}
    own = int(sender.mac)
    fields.setdefault(Field.ETH_SRC, own)
    if Field.ETH_TYPE not in fields:
        fields[Field.ETH_TYPE] = ETH_IPV6 if version == 6 else ETH_IPV4
        fields[Field.IP_PROTO] = IP_ICMP6 if version == 6 else IP_ICMP
    kind = fields[Field.ETH_TYPE]
    if kind in (ETH_IPV4, ETH_IPV6):
        _fill_ip(fields, sender, target, question.to_address)
    elif kind == ETH_ARP:
        _fill_arp(fields, sender, target, question.to_address)
    elif kind == ETH_RARP:
        fields = {Field.ARP_OP: 3, Field.ARP_SHA: own, Field.ARP_THA: own, Field.ETH_DST: BROADCAST} | fields
    if Field.ETH_DST not in fields:
        fields[Field.ETH_DST] = _destination(cloud, sender, target, fields)
    fields[Field.IN_PORT] = ofport
    try:
        return Packet.of(fields)
    except ValueError as error:
        raise InvalidError(f"fields: {error}.") from error


def _read(text: str, version: int) -> Match:
    """What the question says, in words of IPv6 if both ends have only that."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if version == 6:
        words = [_WORDS.get(word, word) for word in words]
    try:
        match = read_match(",".join(words))
    except ValueError as error:
        raise InvalidError(f"fields: {error}. Write them as a match of ovs-ofctl: tcp,tcp_dst=80") from error
    for one in match.tests:
        if one.field in WITHIN:
            raise InvalidError(f"fields: {one.field.match_name} is nothing that a frame carries; leave it out.")
        if one.mask != one.field.full:
            raise InvalidError(f"fields: {one!r} are many packets; a packet has one value there.")
    return match


def _version(sender: Port, target: Port | None, address: IPAddress | None) -> int:
    """4, unless one end has nothing but IPv6."""
    if address is not None:
        return int(address.version)
    ends = [sender] if target is None else [sender, target]
    return 4 if all(_address(one, 4) is not None for one in ends) or not _address(sender, 6) else 6


def _address(port: Port, version: int) -> int | None:
    return next((int(one.address) for one in port.fixed_ips if one.address.version == version), None)


def _fill_ip(fields: Fields, sender: Port, target: Port | None, address: IPAddress | None) -> None:
    version = 4 if fields[Field.ETH_TYPE] == ETH_IPV4 else 6
    _, src, dst = _VERSIONS[version]
    own = _address(sender, version)
    if own is None and version == 6:
        own = link_local(int(sender.mac))
    if src not in fields:
        if own is None:
            raise InvalidError(f"port {_name(sender)} has no IPv{version} address; say {src.name_set}=ADDRESS.")
        fields[src] = own
    fields.setdefault(Field.IP_PROTO, IP_ICMP if version == 4 else IP_ICMP6)
    if fields.get(Field.IP_FRAG, 0) & 2 == 0:
        _fill_layer_4(fields, sender, target, address)
    if dst not in fields:
        fields[dst] = _target_address(target, address, version, dst)
    kind = fields.get(Field.ICMP6_TYPE) if fields[Field.IP_PROTO] == IP_ICMP6 else None
    is_nd, is_mld = kind is not None and 133 <= kind <= 137, kind in (130, 131, 132, 143)
    fields.setdefault(Field.IP_TTL, 255 if is_nd else 1 if is_mld else TTL)


def _fill_layer_4(fields: Fields, sender: Port, target: Port | None, address: IPAddress | None) -> None:
    protocol = fields[Field.IP_PROTO]
    if protocol in _PORTS:
        src, dst, name = _PORTS[protocol]
        if dst not in fields:
            raise InvalidError(f"fields: which port? Say for instance {name}=80.")
        fields.setdefault(src, FROM_PORT)
    elif protocol in ECHO:
        field, kind = ECHO[protocol]
        code = Field.ICMP4_CODE if protocol == IP_ICMP else Field.ICMP6_CODE
        fields.setdefault(field, kind)
        fields.setdefault(code, 0)
    if protocol == IP_ICMP6 and not fields.get(Field.ICMP6_CODE):
        own = int(sender.mac)
        if fields[Field.ICMP6_TYPE] == SOLICITATION:
            if Field.ND_TARGET not in fields:
                fields[Field.ND_TARGET] = _target_address(target, address, 6, Field.ND_TARGET)
            wanted = fields[Field.ND_TARGET]
            fields.setdefault(Field.ND_SLL, own)
            fields.setdefault(Field.IPV6_DST, 0xFF02 << 112 | 0x1FF000000 | wanted & 0xFFFFFF)
        elif fields[Field.ICMP6_TYPE] == ADVERTISEMENT:
            fields.setdefault(Field.ND_TARGET, fields[Field.IPV6_SRC])
            fields.setdefault(Field.ND_TLL, own)


def _fill_arp(fields: Fields, sender: Port, target: Port | None, address: IPAddress | None) -> None:
    fields.setdefault(Field.ARP_OP, 1)
    fields.setdefault(Field.ARP_SHA, int(sender.mac))
    fields.setdefault(Field.ARP_SPA, _address(sender, 4) or 0)
    if Field.ARP_TPA not in fields:
        fields[Field.ARP_TPA] = _target_address(target, address, 4, Field.ARP_TPA)
    if fields[Field.ARP_OP] == 1:
        fields.setdefault(Field.ETH_DST, BROADCAST)


def _target_address(target: Port | None, address: IPAddress | None, version: int, field: Field) -> int:
    if address is not None and address.version == version:
        return int(address)
    found = None if target is None else _address(target, version)
    if target is not None and found is None and version == 6:
        found = link_local(int(target.mac))
    if found is None:
        who = "nobody was named" if target is None else f"port {_name(target)} has no IPv{version} address"
        raise InvalidError(f"to whom? {who}; give 'to', or say {field.name_set}=ADDRESS in fields.")
    return found


def _destination(cloud: Cloud, sender: Port, target: Port | None, fields: Fields) -> int:
    """The MAC that the sender would find: that of the target, of a group, or of who has the address."""
    kind = fields[Field.ETH_TYPE]
    if kind == ETH_IPV4 and (fields[Field.IPV4_DST] >> 28 == 14):
        return 0x01005E000000 | fields[Field.IPV4_DST] & 0x7FFFFF
    if kind == ETH_IPV4 and fields[Field.IPV4_DST] == 0xFFFFFFFF:
        return BROADCAST
    if kind == ETH_IPV6 and fields[Field.IPV6_DST] >> 120 == 0xFF:
        return 0x333300000000 | fields[Field.IPV6_DST] & 0xFFFFFFFF
    if target is not None and target.network_id == sender.network_id:
        return int(target.mac)
    wanted = {ETH_IPV4: Field.IPV4_DST, ETH_IPV6: Field.IPV6_DST, ETH_ARP: Field.ARP_TPA}.get(kind)
    if wanted is not None:
        owner = _owner(cloud, sender.network_id, 6 if kind == ETH_IPV6 else 4, fields[wanted])
        if owner is not None:
            return int(owner.mac)
    if target is not None:
        raise InvalidError(
            f"port {_name(target)} is in another network than port {_name(sender)}, and there is no router between"
            " them; to ask about such a frame all the same, say where it goes: eth_dst=MAC."
        )
    raise InvalidError("to whom? Nobody in the port's network has that address; say where the frame goes: eth_dst=MAC.")


def _owner(cloud: Cloud, network_id: str, version: int, address: int) -> Port | None:
    """Who has the address in the network."""
    for port_id in cloud.indexes[network_id].known:
        port = cloud.ports[port_id]
        own = [int(one.address) for one in port.fixed_ips if one.address.version == version]
        if version == 6:
            own.append(link_local(int(port.mac)))
        if address in own:
            return port
    return None


def _name(port: Port) -> str:
    return port.name or port.id
