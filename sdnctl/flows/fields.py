# SPDX-License-Identifier: Apache-2.0
"""What of a packet can be matched or set: one member per field, in the order in which Open vSwitch sends matches.

That order is the whole trick of reading flows back: a match sent in it comes back byte for byte (FLOW statistics), so
two flows are equal when their bytes are. A field is an integer, its place in that order, so fields sort themselves.

Each field has up to two headers on the wire: `oxm` in matches and set_field, `nxm` in load, move, push and pop, where
Open vSwitch keeps the older numbers. It also has three names in text: `match_name` (what dump-flows prints), `name_set`
(after `set_field:…->`) and `name_nxm` (in load and move).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final, Self

BASIC: Final = 0x8000
NXM_0: Final = 0
NXM_1: Final = 1
ERICSSON: Final = 0x1000
ONF: Final = 0x4F4E4600
"""Experimenter id of the Open Networking Foundation: OpenFlow 1.4 knows TCP flags only as its extension."""


class Notation(enum.Enum):
    """How a value is written in text."""

    DECIMAL = enum.auto()
    HEX = enum.auto()
    HEX4 = enum.auto()
    """Hexadecimal, four digits at least: Ethernet types and tags."""
    HEX5 = enum.auto()
    MAC = enum.auto()
    IPV4 = enum.auto()
    IPV6 = enum.auto()
    PORT = enum.auto()
    """OpenFlow port: a number or a reserved name."""
    CT_STATE = enum.auto()
    TCP_FLAGS = enum.auto()
    FRAGMENT = enum.auto()


class Fact(enum.IntFlag):
    """What a match knows for certain of its packets. Fields need facts and tests give them."""

    NOTHING = 0
    TAGGED = enum.auto()
    IP = enum.auto()
    IPV4 = enum.auto()
    IPV6 = enum.auto()
    ARP = enum.auto()
    """ARP or RARP."""
    TCP = enum.auto()
    UDP = enum.auto()
    SCTP = enum.auto()
    ICMP4 = enum.auto()
    ICMP6 = enum.auto()
    LATER = enum.auto()
    """Later fragments: nothing of layer 4 is in them, so a match that says LATER says nothing about layer 4."""
    USES_LAYER_4 = enum.auto()
    """Not certain of the packets, but of the match: it tests a field of layer 4."""
    CODE_0 = enum.auto()
    SOLICITATION = enum.auto()
    ADVERTISEMENT = enum.auto()
    ND = enum.auto()
    """Neighbour solicitation or advertisement."""
    INVALID = enum.auto()
    """The connection tracker could make nothing of them."""
    CONNECTION = enum.auto()
    """Inside of `Ct`: no match gives it, but mark and label can be set only there."""


LAYER_4: Final = Fact.TCP | Fact.UDP | Fact.SCTP | Fact.ICMP4 | Fact.ICMP6
_ND: Final = Fact.IPV6 | Fact.ICMP6 | Fact.CODE_0 | Fact.ND
_NXM_NAME: Final = {NXM_0: "NXM_OF_", NXM_1: "NXM_NX_", BASIC: "OXM_OF_", ERICSSON: "ERICOXM_OF_"}


class Field(enum.IntEnum):
    """A field of a packet, its metadata or a register."""

    bits: int
    size: int
    full: int
    valid: int
    """The bits that Open vSwitch allows in a value."""
    part_bits: int
    """How many bits load, move, push and pop know of; less than `bits` for VLAN_VID alone."""
    notation: Notation
    needs: Fact
    requires: int
    """`needs` as a plain number, which is quicker to work with."""
    layer: int
    """USES_LAYER_4 or nothing: what every test of the field says of its match."""
    write_needs: int
    """What must be certain of packets in whom the field is written."""
    is_maskable: bool
    is_settable: bool
    match_name: str
    name_set: str
    name_nxm: str
    oxm: bytes
    oxm_masked: bytes
    set_head: bytes
    """A set_field action up to the value; `set_pad` follows it."""
    set_pad: bytes
    nxm: int

    def __new__(
        cls,
        names: str,
        bits: int,
        notation: Notation,
        oxm: tuple[int, int],
        nxm: tuple[int, int, str],
        needs: Fact = Fact.NOTHING,
        flags: str = "",
    ) -> Self:
        """`names`: as matched and, if different, as set. `flags`: m may be masked, s may be set."""
        place = len(cls.__members__) + 1  # no field is false
        member = int.__new__(cls, place)
        member._value_ = place
        member.match_name, _, other = names.partition(" ")
        member.name_set = other or member.match_name
        member.bits, member.notation, member.needs = bits, notation, needs
        member.requires = member.write_needs = int(needs)
        member.layer = int(Fact.USES_LAYER_4) if needs & LAYER_4 else 0
        if member.name_set == "vlan_vid":
            member.write_needs = int(Fact.TAGGED)
        elif member.name_set in {"ct_mark", "ct_label"}:
            member.write_needs = int(Fact.CONNECTION)
        member.size, member.full = 4 if bits == 20 else (bits + 7) // 8, (1 << bits) - 1  # a label sits in a word
        member.valid = 0xFF if member.match_name in ("ct_state", "arp_op") else member.full
        member.part_bits = 12 if member.match_name == "vlan_vid" else bits
        member.is_maskable, member.is_settable = "m" in flags, "s" in flags
        space, number = oxm
        if space == ONF:
            experimenter = ONF.to_bytes(4, "big")
            member.oxm = bytes((0xFF, 0xFF, number << 1, 4 + member.size)) + experimenter
            member.oxm_masked = bytes((0xFF, 0xFF, number << 1 | 1, 4 + 2 * member.size)) + experimenter
        else:
            member.oxm = bytes((space >> 8, space & 0xFF, number << 1, member.size))
            member.oxm_masked = bytes((space >> 8, space & 0xFF, number << 1 | 1, 2 * member.size))
        length = 4 + len(member.oxm) + member.size
        member.set_pad = bytes(-length % 8)
        member.set_head = b"\0\x19" + (length + len(member.set_pad)).to_bytes(2, "big") + member.oxm
        space, number, name = nxm
        member.nxm = space << 16 | number << 9 | member.size
        member.name_nxm = _NXM_NAME[space] + name
        return member

    CONJ_ID = "conj_id", 32, Notation.DECIMAL, (NXM_1, 37), (NXM_1, 37, "CONJ_ID")
    IN_PORT = "in_port in_port_oxm", 32, Notation.PORT, (BASIC, 0), (BASIC, 0, "IN_PORT"), Fact.NOTHING, "s"
    ETH_SRC = "dl_src eth_src", 48, Notation.MAC, (BASIC, 4), (NXM_0, 2, "ETH_SRC"), Fact.NOTHING, "ms"
    ETH_DST = "dl_dst eth_dst", 48, Notation.MAC, (BASIC, 3), (NXM_0, 1, "ETH_DST"), Fact.NOTHING, "ms"
    ETH_TYPE = "dl_type eth_type", 16, Notation.HEX4, (BASIC, 5), (NXM_0, 3, "ETH_TYPE")
    VLAN_VID = "vlan_vid", 13, Notation.HEX4, (BASIC, 6), (BASIC, 6, "VLAN_VID"), Fact.NOTHING, "ms"
    """Bit 12 says that there is a tag, bits 0 to 11 are its VLAN id; 0 is a frame without a tag."""
    VLAN_PCP = "dl_vlan_pcp vlan_pcp", 3, Notation.DECIMAL, (BASIC, 7), (BASIC, 7, "VLAN_PCP"), Fact.TAGGED, "s"
    IPV4_SRC = "nw_src ip_src", 32, Notation.IPV4, (BASIC, 11), (NXM_0, 7, "IP_SRC"), Fact.IPV4, "ms"
    IPV4_DST = "nw_dst ip_dst", 32, Notation.IPV4, (BASIC, 12), (NXM_0, 8, "IP_DST"), Fact.IPV4, "ms"
    IPV6_SRC = "ipv6_src", 128, Notation.IPV6, (BASIC, 26), (NXM_1, 19, "IPV6_SRC"), Fact.IPV6, "ms"
    IPV6_DST = "ipv6_dst", 128, Notation.IPV6, (BASIC, 27), (NXM_1, 20, "IPV6_DST"), Fact.IPV6, "ms"
    IP_FRAG = "nw_frag", 2, Notation.FRAGMENT, (NXM_1, 26), (NXM_1, 26, "IP_FRAG"), Fact.IP, "m"
    """Bit 0: a fragment. Bit 1: not the first one."""
    IP_DSCP = "nw_tos ip_dscp", 6, Notation.DECIMAL, (BASIC, 8), (BASIC, 8, "IP_DSCP"), Fact.IP, "s"
    IP_ECN = "nw_ecn", 2, Notation.DECIMAL, (BASIC, 9), (NXM_1, 28, "IP_ECN"), Fact.IP, "s"
    IP_TTL = "nw_ttl", 8, Notation.DECIMAL, (NXM_1, 29), (NXM_1, 29, "IP_TTL"), Fact.IP, "s"
    IPV6_LABEL = "ipv6_label", 20, Notation.HEX5, (BASIC, 28), (NXM_1, 27, "IPV6_LABEL"), Fact.IPV6, "ms"
    IP_PROTO = "nw_proto", 8, Notation.DECIMAL, (BASIC, 10), (NXM_0, 6, "IP_PROTO"), Fact.IP
    TCP_SRC = "tp_src tcp_src", 16, Notation.DECIMAL, (BASIC, 13), (NXM_0, 9, "TCP_SRC"), Fact.IP | Fact.TCP, "ms"
    TCP_DST = "tp_dst tcp_dst", 16, Notation.DECIMAL, (BASIC, 14), (NXM_0, 10, "TCP_DST"), Fact.IP | Fact.TCP, "ms"
    TCP_FLAGS = "tcp_flags", 12, Notation.TCP_FLAGS, (ONF, 42), (NXM_1, 34, "TCP_FLAGS"), Fact.IP | Fact.TCP, "m"
    UDP_SRC = "tp_src udp_src", 16, Notation.DECIMAL, (BASIC, 15), (NXM_0, 11, "UDP_SRC"), Fact.IP | Fact.UDP, "ms"
    UDP_DST = "tp_dst udp_dst", 16, Notation.DECIMAL, (BASIC, 16), (NXM_0, 12, "UDP_DST"), Fact.IP | Fact.UDP, "ms"
    SCTP_SRC = "tp_src sctp_src", 16, Notation.DECIMAL, (BASIC, 17), (BASIC, 17, "SCTP_SRC"), Fact.IP | Fact.SCTP, "ms"
    SCTP_DST = "tp_dst sctp_dst", 16, Notation.DECIMAL, (BASIC, 18), (BASIC, 18, "SCTP_DST"), Fact.IP | Fact.SCTP, "ms"
    ICMP4_TYPE = "icmp_type", 8, Notation.DECIMAL, (BASIC, 19), (NXM_0, 13, "ICMP_TYPE"), Fact.IPV4 | Fact.ICMP4, "s"
    ICMP4_CODE = "icmp_code", 8, Notation.DECIMAL, (BASIC, 20), (NXM_0, 14, "ICMP_CODE"), Fact.IPV4 | Fact.ICMP4, "s"
    ICMP6_TYPE = (
        "icmp_type icmpv6_type",
        8,
        Notation.DECIMAL,
        (BASIC, 29),
        (NXM_1, 21, "ICMPV6_TYPE"),
        Fact.IPV6 | Fact.ICMP6,
        "s",
    )
    ICMP6_CODE = (
        "icmp_code icmpv6_code",
        8,
        Notation.DECIMAL,
        (BASIC, 30),
        (NXM_1, 22, "ICMPV6_CODE"),
        Fact.IPV6 | Fact.ICMP6,
        "s",
    )
    ND_RESERVED = "nd_reserved", 32, Notation.DECIMAL, (ERICSSON, 1), (ERICSSON, 1, "ICMPV6_ND_RESERVED"), _ND, "s"
    """The flags of an advertisement (router, solicited, override: the three highest bits) and reserved bits."""
    ND_TARGET = "nd_target", 128, Notation.IPV6, (BASIC, 31), (NXM_1, 23, "ND_TARGET"), _ND, "ms"
    ND_OPTION = "nd_options_type", 8, Notation.DECIMAL, (ERICSSON, 2), (ERICSSON, 2, "ICMPV6_ND_OPTIONS_TYPE"), _ND, "s"
    ND_SLL = "nd_sll", 48, Notation.MAC, (BASIC, 32), (NXM_1, 24, "ND_SLL"), _ND | Fact.SOLICITATION, "ms"
    ND_TLL = "nd_tll", 48, Notation.MAC, (BASIC, 33), (NXM_1, 25, "ND_TLL"), _ND | Fact.ADVERTISEMENT, "ms"
    ARP_OP = "arp_op", 16, Notation.DECIMAL, (BASIC, 21), (NXM_0, 15, "ARP_OP"), Fact.ARP, "s"
    ARP_SPA = "arp_spa", 32, Notation.IPV4, (BASIC, 22), (NXM_0, 16, "ARP_SPA"), Fact.ARP, "ms"
    ARP_TPA = "arp_tpa", 32, Notation.IPV4, (BASIC, 23), (NXM_0, 17, "ARP_TPA"), Fact.ARP, "ms"
    ARP_SHA = "arp_sha", 48, Notation.MAC, (BASIC, 24), (NXM_1, 17, "ARP_SHA"), Fact.ARP, "ms"
    ARP_THA = "arp_tha", 48, Notation.MAC, (BASIC, 25), (NXM_1, 18, "ARP_THA"), Fact.ARP, "ms"
    TUN_ID = "tun_id", 64, Notation.HEX, (BASIC, 38), (NXM_1, 16, "TUN_ID"), Fact.NOTHING, "ms"
    TUN_SRC = "tun_src", 32, Notation.IPV4, (NXM_1, 31), (NXM_1, 31, "TUN_IPV4_SRC"), Fact.NOTHING, "ms"
    TUN_DST = "tun_dst", 32, Notation.IPV4, (NXM_1, 32), (NXM_1, 32, "TUN_IPV4_DST"), Fact.NOTHING, "ms"
    TUN_IPV6_SRC = "tun_ipv6_src", 128, Notation.IPV6, (NXM_1, 109), (NXM_1, 109, "TUN_IPV6_SRC"), Fact.NOTHING, "ms"
    TUN_IPV6_DST = "tun_ipv6_dst", 128, Notation.IPV6, (NXM_1, 110), (NXM_1, 110, "TUN_IPV6_DST"), Fact.NOTHING, "ms"
    REG0 = "reg0", 32, Notation.HEX, (NXM_1, 0), (NXM_1, 0, "REG0"), Fact.NOTHING, "ms"
    REG1 = "reg1", 32, Notation.HEX, (NXM_1, 1), (NXM_1, 1, "REG1"), Fact.NOTHING, "ms"
    REG2 = "reg2", 32, Notation.HEX, (NXM_1, 2), (NXM_1, 2, "REG2"), Fact.NOTHING, "ms"
    REG3 = "reg3", 32, Notation.HEX, (NXM_1, 3), (NXM_1, 3, "REG3"), Fact.NOTHING, "ms"
    REG4 = "reg4", 32, Notation.HEX, (NXM_1, 4), (NXM_1, 4, "REG4"), Fact.NOTHING, "ms"
    REG5 = "reg5", 32, Notation.HEX, (NXM_1, 5), (NXM_1, 5, "REG5"), Fact.NOTHING, "ms"
    REG6 = "reg6", 32, Notation.HEX, (NXM_1, 6), (NXM_1, 6, "REG6"), Fact.NOTHING, "ms"
    REG7 = "reg7", 32, Notation.HEX, (NXM_1, 7), (NXM_1, 7, "REG7"), Fact.NOTHING, "ms"
    REG8 = "reg8", 32, Notation.HEX, (NXM_1, 8), (NXM_1, 8, "REG8"), Fact.NOTHING, "ms"
    REG9 = "reg9", 32, Notation.HEX, (NXM_1, 9), (NXM_1, 9, "REG9"), Fact.NOTHING, "ms"
    REG10 = "reg10", 32, Notation.HEX, (NXM_1, 10), (NXM_1, 10, "REG10"), Fact.NOTHING, "ms"
    REG11 = "reg11", 32, Notation.HEX, (NXM_1, 11), (NXM_1, 11, "REG11"), Fact.NOTHING, "ms"
    REG12 = "reg12", 32, Notation.HEX, (NXM_1, 12), (NXM_1, 12, "REG12"), Fact.NOTHING, "ms"
    REG13 = "reg13", 32, Notation.HEX, (NXM_1, 13), (NXM_1, 13, "REG13"), Fact.NOTHING, "ms"
    REG14 = "reg14", 32, Notation.HEX, (NXM_1, 14), (NXM_1, 14, "REG14"), Fact.NOTHING, "ms"
    REG15 = "reg15", 32, Notation.HEX, (NXM_1, 15), (NXM_1, 15, "REG15"), Fact.NOTHING, "ms"
    PKT_MARK = "pkt_mark", 32, Notation.HEX, (NXM_1, 33), (NXM_1, 33, "PKT_MARK"), Fact.NOTHING, "ms"
    CT_STATE = "ct_state", 32, Notation.CT_STATE, (NXM_1, 105), (NXM_1, 105, "CT_STATE"), Fact.NOTHING, "m"
    CT_ZONE = "ct_zone", 16, Notation.DECIMAL, (NXM_1, 106), (NXM_1, 106, "CT_ZONE")
    CT_MARK = "ct_mark", 32, Notation.HEX, (NXM_1, 107), (NXM_1, 107, "CT_MARK"), Fact.NOTHING, "ms"
    CT_LABEL = "ct_label", 128, Notation.HEX, (NXM_1, 108), (NXM_1, 108, "CT_LABEL"), Fact.NOTHING, "ms"
    METADATA = "metadata", 64, Notation.HEX, (BASIC, 2), (BASIC, 2, "METADATA"), Fact.NOTHING, "ms"


@dataclass(frozen=True, slots=True)
class Part:
    """Some neighbouring bits of a field: `width` of them from bit `low` on."""

    field: Field
    low: int
    width: int

    def __post_init__(self) -> None:
        bits = self.field.part_bits
        if self.low < 0 or self.width < 1 or self.low + self.width > bits:
            last = self.low + self.width - 1
            raise ValueError(f"{self.field.name_set} has bits 0 to {bits - 1}, not {self.low} to {last}")

    def text(self) -> str:
        """As ovs-ofctl writes it: `NXM_NX_REG0[0..15]`, `NXM_NX_REG0[31]`, `NXM_OF_ETH_SRC[]`."""
        if self.width == self.field.part_bits:
            return f"{self.field.name_nxm}[]"
        if self.width == 1:
            return f"{self.field.name_nxm}[{self.low}]"
        return f"{self.field.name_nxm}[{self.low}..{self.low + self.width - 1}]"


def whole(field: Field) -> Part:
    """All bits of `field`."""
    return Part(field, 0, field.part_bits)
