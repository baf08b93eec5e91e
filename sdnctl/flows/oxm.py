# SPDX-License-Identifier: Apache-2.0
"""One test of one field of a packet, and how lists of tests are written as text.

A test is checked when it is made, so one that Open vSwitch would refuse or give back changed does not exist.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from sdnctl.flows import notation
from sdnctl.flows.fields import Fact, Field

ETH_IPV4: Final = 0x0800
ETH_ARP: Final = 0x0806
ETH_RARP: Final = 0x8035
ETH_IPV6: Final = 0x86DD
ETH_MPLS: Final = 0x8847
ETH_MPLS_MULTICAST: Final = 0x8848
IP_ICMP: Final = 1
IP_TCP: Final = 6
IP_UDP: Final = 17
IP_ICMP6: Final = 58
IP_SCTP: Final = 132
VLAN_TAG: Final = 0x1000
"""The bit of VLAN_VID that says that there is a tag at all."""

_INVALID: Final = 1 << notation.CT_FLAGS.index("inv")
_GIVES: Final[dict[tuple[Field, int], Fact]] = {
    (Field.ETH_TYPE, ETH_IPV4): Fact.IP | Fact.IPV4,
    (Field.ETH_TYPE, ETH_IPV6): Fact.IP | Fact.IPV6,
    (Field.ETH_TYPE, ETH_ARP): Fact.ARP,
    (Field.ETH_TYPE, ETH_RARP): Fact.ARP,
    (Field.IP_PROTO, IP_TCP): Fact.TCP,
    (Field.IP_PROTO, IP_UDP): Fact.UDP,
    (Field.IP_PROTO, IP_SCTP): Fact.SCTP,
    (Field.IP_PROTO, IP_ICMP): Fact.ICMP4,
    (Field.IP_PROTO, IP_ICMP6): Fact.ICMP6,
    (Field.ICMP6_TYPE, 135): Fact.ND | Fact.SOLICITATION,
    (Field.ICMP6_TYPE, 136): Fact.ND | Fact.ADVERTISEMENT,
    (Field.ICMP6_CODE, 0): Fact.CODE_0,
}
_FRAGMENTS: Final = frozenset({(0, 3), (1, 3), (3, 3), (1, 1), (0, 2)})
_new: Final = tuple.__new__


class Test(NamedTuple):
    """`packet.field & mask == value`, with its bytes. Made by `test`, which checks it and keeps those in use."""

    field: Field
    value: int
    mask: int
    oxm: bytes
    needs: int
    """The facts (`Fact`) that other tests of the match must make certain."""
    gives: int
    """The facts that this one makes certain."""

    def __repr__(self) -> str:
        return f"{self.field.match_name}={notation.write(self.field, self.value, self.mask)}"


@lru_cache(maxsize=1 << 14)
def test(field: Field, value: int, mask: int) -> Test:
    """The one test of `field` for `value` under `mask`; ValueError unless Open vSwitch gives it back unchanged."""
    if mask == field.full and 0 <= value <= field.valid:
        oxm = field.oxm + value.to_bytes(field.size, "big")
    else:
        oxm = _masked(field, value, mask)
    gives = _gives(field, value, mask) if field in _SPECIAL else field.layer
    return _new(Test, (field, value, mask, oxm, field.requires, gives))


def _masked(field: Field, value: int, mask: int) -> bytes:
    if mask <= 0 or mask & ~field.full or value < 0 or value & ~mask or value & ~field.valid:
        raise ValueError(
            f"{field.match_name}: {value:#x}/{mask:#x} does not fit: bits of the mask are among {field.full:#x},"
            f" bits of the value among those of the mask and {field.valid:#x}"
        )
    if not field.is_maskable:
        raise ValueError(f"{field.match_name} is matched as a whole or not at all, not with mask {mask:#x}")
    return field.oxm_masked + value.to_bytes(field.size, "big") + mask.to_bytes(field.size, "big")


_SPECIAL: Final = frozenset({field for field, _ in _GIVES} | {Field.VLAN_VID, Field.IP_FRAG, Field.CT_STATE})


def _gives(field: Field, value: int, mask: int) -> int:
    """What a test of a field with meaning makes certain; ValueError for values that the field cannot have."""
    gives = _GIVES.get((field, value), 0) if mask == field.full else 0
    if field is Field.VLAN_VID and value:
        if not value & VLAN_TAG:
            raise ValueError(f"vlan_vid: {value:#x} lacks bit 12, which says that there is a tag")
        gives = Fact.TAGGED
    elif field is Field.IP_FRAG:
        if (value, mask) not in _FRAGMENTS:
            raise ValueError(f"nw_frag: {value}/{mask} is none of no, yes, first, later, not_later")
        gives = Fact.LATER if value & 2 else 0
    elif field is Field.CT_STATE:
        if mask & ~field.valid:
            raise ValueError(f"ct_state: mask {mask:#x}; there are the flags {', '.join(notation.CT_FLAGS)}")
        gives = Fact.INVALID if value & _INVALID else 0
    return int(gives) | field.layer


_TEXT_ORDER: Final = {
    field: place
    for place, field in enumerate(
        (
            Field.PKT_MARK, Field.CONJ_ID, Field.CT_STATE, Field.CT_ZONE, Field.CT_MARK, Field.CT_LABEL,
            *(field for field in Field if Field.REG0 <= field <= Field.REG15),
            Field.TUN_ID, Field.TUN_SRC, Field.TUN_DST, Field.TUN_IPV6_SRC, Field.TUN_IPV6_DST,
            Field.METADATA, Field.IN_PORT, Field.VLAN_VID, Field.VLAN_PCP, Field.ETH_SRC, Field.ETH_DST,
            Field.ETH_TYPE, Field.IPV6_SRC, Field.IPV6_DST, Field.IPV6_LABEL, Field.ARP_SPA, Field.ARP_TPA,
            Field.IPV4_SRC, Field.IPV4_DST,
            Field.ARP_OP, Field.IP_PROTO, Field.ARP_SHA, Field.ARP_THA, Field.IP_DSCP, Field.IP_ECN, Field.IP_TTL,
            Field.IP_FRAG, Field.ICMP4_TYPE, Field.ICMP4_CODE, Field.ICMP6_TYPE, Field.ICMP6_CODE, Field.ND_TARGET,
            Field.ND_SLL, Field.ND_TLL, Field.ND_RESERVED, Field.ND_OPTION, Field.TCP_SRC, Field.TCP_DST, Field.UDP_SRC,
            Field.UDP_DST, Field.SCTP_SRC, Field.SCTP_DST, Field.TCP_FLAGS,
        )
    )
}  # fmt: skip
"""dump-flows prints in another order than it sends."""

PROTOCOLS: Final = {
    "icmp": (ETH_IPV4, IP_ICMP), "tcp": (ETH_IPV4, IP_TCP), "udp": (ETH_IPV4, IP_UDP), "sctp": (ETH_IPV4, IP_SCTP),
    "icmp6": (ETH_IPV6, IP_ICMP6), "tcp6": (ETH_IPV6, IP_TCP), "udp6": (ETH_IPV6, IP_UDP), "sctp6": (ETH_IPV6, IP_SCTP),
    "ip": (ETH_IPV4, None), "ipv6": (ETH_IPV6, None), "arp": (ETH_ARP, None), "rarp": (ETH_RARP, None),
    "mpls": (ETH_MPLS, None), "mplsm": (ETH_MPLS_MULTICAST, None),
}  # fmt: skip
"""The words that stand for an Ethernet type and a protocol."""
_WORDS: Final = {numbers: word for word, numbers in PROTOCOLS.items()}
_WORD_PLACE: Final = _TEXT_ORDER[Field.REG0] - 0.5


def texts(tests: Sequence[Test]) -> list[str]:
    """The tests in the order and the words of `ovs-ofctl dump-flows`."""
    found: list[tuple[float, str]] = []
    rest = list(tests)
    by_field = {one.field: one for one in tests}
    kind = by_field.get(Field.ETH_TYPE)
    protocol = by_field.get(Field.IP_PROTO)
    if kind is not None:
        word = _WORDS.get((kind.value, protocol.value)) if protocol is not None else None
        if word is not None and protocol is not None:
            rest.remove(protocol)
        word = word or _WORDS.get((kind.value, None))
        if word is not None:
            rest.remove(kind)
            found.append((_WORD_PLACE, word))
    tag = [one for one in rest if one.field in {Field.VLAN_VID, Field.VLAN_PCP}]
    if tag:
        rest = [one for one in rest if one not in tag]
        found.append((_TEXT_ORDER[Field.VLAN_VID], _tag_text(tag)))
    found.extend((_TEXT_ORDER[one.field], _text(one)) for one in rest)
    return [text for _, text in sorted(found)]


def _text(one: Test) -> str:
    if one.field is Field.IP_DSCP:
        return f"nw_tos={one.value << 2}"
    return f"{one.field.match_name}={notation.write(one.field, one.value, one.mask)}"


def _tag_text(tests: Sequence[Test]) -> str:
    """VLAN id and priority are one field to Open vSwitch; it names them when each is matched as a whole."""
    value = sum(one.value << (13 if one.field is Field.VLAN_PCP else 0) for one in tests)
    mask = sum(one.mask << (13 if one.field is Field.VLAN_PCP else 0) for one in tests)
    parts = [(mask & 0xFFF, 0xFFF, f"dl_vlan={value & 0xFFF}"), (mask & 0xE000, 0xE000, f"dl_vlan_pcp={value >> 13}")]
    if value & mask & VLAN_TAG and mask != VLAN_TAG and all(part in {0, whole} for part, whole, _ in parts):
        return ",".join(text for part, _, text in parts if part)
    return f"vlan_tci=0x{value:04x}" if mask == 0xFFFF else f"vlan_tci=0x{value:04x}/0x{mask:04x}"


def fields_of(oxm: bytes) -> Iterator[tuple[bytes, Test | None]]:
    """Each field of a match on the wire: its bytes, and the test they are, None if it is none of ours.

    Raises ValueError where the bytes end in the middle of a field.
    """
    at = 0
    while at < len(oxm):
        end = at + 4 + (oxm[at + 3] if at + 3 < len(oxm) else 0)
        if end > len(oxm) or end < at + 4:
            raise ValueError(f"match field at byte {at} of {len(oxm)} is cut off")
        one = oxm[at:end]
        found: Test | None = None
        field = _BY_HEADER.get(one[:4]) or _BY_HEADER.get(one[:8])
        if field is not None:
            payload = one[len(field.oxm) :]
            value = int.from_bytes(payload[: field.size], "big")
            mask = int.from_bytes(payload[field.size :], "big") if one[2] & 1 else field.full
            with contextlib.suppress(ValueError):
                found = test(field, value, mask)
        yield one, found if found is not None and found.oxm == one else None
        at = end


_BY_HEADER: Final = {field.oxm: field for field in Field} | {field.oxm_masked: field for field in Field}
