# SPDX-License-Identifier: Apache-2.0
"""Which packets a flow is for: a match narrows, test by test, and is the same value however it was narrowed.

    sent = Match().slot(FROM_PORT, port.key)
    owned = sent.eth_src(port.mac)
    yield Flow(table, ALLOW, owned.ipv4_src(address, mask), NEXT, cookie)

Canonical by construction: tests sorted as Open vSwitch sorts them, a field tested once, no bits outside the mask,
prerequisites there (methods named after a protocol's field add them; `field` demands them), a mask of nothing is no
test. So equal matches have equal bytes (`oxm`), and those are what equality and hash look at.

This is the hot path: tests are made once and cached, a narrowed match shares them, bytes are joined on first use.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from sdnctl.flows import notation
from sdnctl.flows.fields import Fact, Field
from sdnctl.flows.registers import Slot

ETH_IPV4: Final = 0x0800
ETH_ARP: Final = 0x0806
ETH_RARP: Final = 0x8035
ETH_IPV6: Final = 0x86DD
IP_ICMP: Final = 1
IP_TCP: Final = 6
IP_UDP: Final = 17
IP_ICMP6: Final = 58
IP_SCTP: Final = 132
VLAN_TAG: Final = 0x1000
"""The bit of VLAN_VID that says that there is a tag at all."""

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
_FRAGMENTS: Final = {(0, 3), (1, 3), (3, 3), (1, 1), (0, 2)}


class Test:
    """`packet.field & mask == value`, with its bytes. Made by `test`, which keeps those in use."""

    __slots__ = ("field", "gives", "mask", "needs", "oxm", "value")
    __test__ = False  # pytest: this is no test case

    def __init__(self, field: Field, value: int, mask: int) -> None:
        """Raise ValueError unless it is canonical and Open vSwitch would take it."""
        if mask <= 0 or mask & ~field.full or value < 0 or value & ~mask:
            raise ValueError(
                f"{field.match_name}: {value:#x}/{mask:#x} does not fit; the mask has 1 to {field.bits} bits set and the"
                " value none outside of it"
            )
        if mask == field.full:
            oxm = field.oxm + value.to_bytes(field.size, "big")
        elif field.is_maskable:
            oxm = field.oxm_masked + value.to_bytes(field.size, "big") + mask.to_bytes(field.size, "big")
        else:
            raise ValueError(f"{field.match_name} is matched as a whole or not at all, not with mask {mask:#x}")
        if field is Field.IP_FRAG and (value, mask) not in _FRAGMENTS:
            raise ValueError(f"nw_frag: {value}/{mask} is none of no, yes, first, later, not_later")
        if field is Field.VLAN_VID and value and not value & VLAN_TAG:
            raise ValueError(f"vlan_vid: {value:#x} lacks bit 12, which says that there is a tag")
        self.field, self.value, self.mask = field, value, mask
        self.oxm = oxm
        self.needs = int(field.needs)
        gives = _GIVES.get((field, value), Fact.NOTHING) if mask == field.full else Fact.NOTHING
        if field is Field.VLAN_VID and value & VLAN_TAG:
            gives = Fact.TAGGED
        self.gives = int(gives)

    def __repr__(self) -> str:
        return f"{self.field.match_name}={notation.write(self.field, self.value, self.mask)}"


@lru_cache(maxsize=1 << 16)
def test(field: Field, value: int, mask: int) -> Test:
    """The one test of `field` for `value` under `mask`."""
    return Test(field, value, mask)


_IPV4: Final = test(Field.ETH_TYPE, ETH_IPV4, 0xFFFF)
_IPV6: Final = test(Field.ETH_TYPE, ETH_IPV6, 0xFFFF)
_ARP: Final = test(Field.ETH_TYPE, ETH_ARP, 0xFFFF)
_RARP: Final = test(Field.ETH_TYPE, ETH_RARP, 0xFFFF)
_HAS_IPV4: Final = int(Fact.IPV4)
_HAS_IPV6: Final = int(Fact.IPV6)
_HAS_ARP: Final = int(Fact.ARP)
# An attribute of an enumeration costs a look-up in its class; these are for the hot methods.
_ETH_SRC: Final = Field.ETH_SRC
_ETH_DST: Final = Field.ETH_DST
_IPV4_SRC: Final = Field.IPV4_SRC
_IPV4_DST: Final = Field.IPV4_DST
_IPV6_SRC: Final = Field.IPV6_SRC
_IPV6_DST: Final = Field.IPV6_DST
_MAC_MASK: Final = (1 << 48) - 1
_WORD: Final = (1 << 32) - 1
_IPV6_MASK: Final = (1 << 128) - 1

_set = object.__setattr__


class Match:
    """All the tests a packet must pass; no tests match every packet. Immutable; equal by meaning."""

    __slots__ = ("_oxm", "gives", "tests")

    tests: tuple[Test, ...]
    gives: int
    """The facts (`Fact`) that the tests make certain."""

    def __init__(self) -> None:
        _set(self, "tests", ())
        _set(self, "gives", 0)
        _set(self, "_oxm", b"")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a match is immutable; narrow it instead of setting {name}")

    @property
    def oxm(self) -> bytes:
        """The fields of the match on the wire, without header and padding."""
        oxm = self._oxm
        if not oxm:
            oxm = b"".join([test.oxm for test in self.tests])
            _set(self, "_oxm", oxm)
        return oxm

    _oxm: bytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Match) and self.oxm == other.oxm

    def __hash__(self) -> int:
        return hash(self.oxm)

    def __repr__(self) -> str:
        return f"Match({self.text()})"

    def get(self, field: Field) -> Test | None:
        """The test of `field`, if there is one."""
        for known in self.tests:
            if known.field is field:
                return known
        return None

    # The core: every method below ends here.

    def also(self, new: Test) -> Match:
        """This match narrowed by one more test."""
        missing = new.needs & ~self.gives
        if missing:
            raise ValueError(f"{new!r} needs a match that also says {Fact(missing).name}; {self!r} does not")
        tests = self.tests
        field = new.field
        if not tests or tests[-1].field < field:
            tests = (*tests, new)
        else:
            at = 0
            for at, known in enumerate(tests):
                if known.field >= field:
                    break
            if tests[at].field is field:
                raise ValueError(f"{field.match_name} is matched already: {tests[at]!r}, and now {new!r}")
            tests = (*tests[:at], new, *tests[at:])
        return _match(tests, self.gives | new.gives)

    def field(self, field: Field, value: int, mask: int | None = None) -> Match:
        """Narrowed to packets whose `field`, under `mask`, is `value`. What the field needs must be there already."""
        return self.also(test(field, value, field.full if mask is None else mask))

    def slot(self, slot: Slot, value: int) -> Match:
        """Narrowed to packets that carry `value` in `slot`; slots of one register become one test."""
        if not 0 <= value < 1 << slot.width:
            raise ValueError(f"{slot.name} has {slot.width} bits; {value} does not fit")
        mask = ((1 << slot.width) - 1) << slot.low
        value <<= slot.low
        register = slot.field
        for at, known in enumerate(self.tests):
            if known.field is register:
                if known.mask & mask:
                    raise ValueError(f"{slot.name} is matched already: {known!r}")
                merged = test(register, known.value | value, known.mask | mask)
                return _match((*self.tests[:at], merged, *self.tests[at + 1 :]), self.gives)
        return self.also(test(register, value, mask))

    # Where the packet comes from, and its Ethernet header.

    def in_port(self, ofport: int) -> Match:
        """Received on `ofport`."""
        return self.also(test(Field.IN_PORT, ofport, _WORD))

    def eth_src(self, mac: int, mask: int = _MAC_MASK) -> Match:
        return self.also(test(_ETH_SRC, mac, mask))

    def eth_dst(self, mac: int, mask: int = _MAC_MASK) -> Match:
        return self.also(test(_ETH_DST, mac, mask))

    def eth_type(self, number: int) -> Match:
        return self._type(test(Field.ETH_TYPE, number, 0xFFFF))

    def untagged(self) -> Match:
        """Without a VLAN tag."""
        return self.also(test(Field.VLAN_VID, 0, 0x1FFF))

    def vlan(self, vid: int) -> Match:
        """With a tag of VLAN `vid`."""
        if not 0 <= vid < VLAN_TAG:
            raise ValueError(f"VLAN {vid}: there are 0 to 4095")
        return self.also(test(Field.VLAN_VID, VLAN_TAG | vid, 0x1FFF))

    def any_tag(self) -> Match:
        """With a VLAN tag, whichever."""
        return self.also(test(Field.VLAN_VID, VLAN_TAG, VLAN_TAG))

    def tunnel_id(self, vni: int) -> Match:
        return self.also(test(Field.TUN_ID, vni, Field.TUN_ID.full))

    def tunnel_source(self, ip: int) -> Match:
        """Sent by the tunnel endpoint with the IPv4 address `ip`."""
        return self.also(test(Field.TUN_SRC, ip, _WORD))

    # ARP.

    def arp(self) -> Match:
        return self._type(_ARP)

    def rarp(self) -> Match:
        return self._type(_RARP)

    def arp_op(self, operation: int) -> Match:
        return self._arp().also(test(Field.ARP_OP, operation, 0xFFFF))

    def arp_spa(self, address: int, mask: int = _WORD) -> Match:
        return self._masked(self._arp(), Field.ARP_SPA, address, mask)

    def arp_tpa(self, address: int, mask: int = _WORD) -> Match:
        return self._masked(self._arp(), Field.ARP_TPA, address, mask)

    def arp_sha(self, mac: int) -> Match:
        return self._arp().also(test(Field.ARP_SHA, mac, _MAC_MASK))

    def arp_tha(self, mac: int) -> Match:
        return self._arp().also(test(Field.ARP_THA, mac, _MAC_MASK))

    # IP.

    def ipv4(self) -> Match:
        return self if self.gives & _HAS_IPV4 else self._type(_IPV4)

    def ipv6(self) -> Match:
        return self if self.gives & _HAS_IPV6 else self._type(_IPV6)

    def ipv4_src(self, address: int, mask: int = _WORD) -> Match:
        return self._masked(self.ipv4(), _IPV4_SRC, address, mask)

    def ipv4_dst(self, address: int, mask: int = _WORD) -> Match:
        return self._masked(self.ipv4(), _IPV4_DST, address, mask)

    def ipv6_src(self, address: int, mask: int = _IPV6_MASK) -> Match:
        return self._masked(self.ipv6(), _IPV6_SRC, address, mask)

    def ipv6_dst(self, address: int, mask: int = _IPV6_MASK) -> Match:
        return self._masked(self.ipv6(), _IPV6_DST, address, mask)

    def ip_proto(self, number: int) -> Match:
        """IPv4 or IPv6 (say which first) with this protocol number."""
        known = self.get(Field.IP_PROTO)
        if known is not None and known.value == number:
            return self
        return self.also(test(Field.IP_PROTO, number, 0xFF))

    def ip_ttl(self, ttl: int) -> Match:
        return self.also(test(Field.IP_TTL, ttl, 0xFF))

    def fragment(self, kind: str) -> Match:
        """A fragment: `first`, `later`; `yes` for either, `no` for a whole packet, `not_later` for no or first."""
        return self.also(test(Field.IP_FRAG, *notation.read(Field.IP_FRAG, kind)))

    # Layer 4. Ports may be given as (value, mask) by `field`.

    def tcp4(self, src: int | None = None, dst: int | None = None) -> Match:
        return self.ipv4().ip_proto(IP_TCP)._ports(Field.TCP_SRC, src, Field.TCP_DST, dst)

    def tcp6(self, src: int | None = None, dst: int | None = None) -> Match:
        return self.ipv6().ip_proto(IP_TCP)._ports(Field.TCP_SRC, src, Field.TCP_DST, dst)

    def udp4(self, src: int | None = None, dst: int | None = None) -> Match:
        return self.ipv4().ip_proto(IP_UDP)._ports(Field.UDP_SRC, src, Field.UDP_DST, dst)

    def udp6(self, src: int | None = None, dst: int | None = None) -> Match:
        return self.ipv6().ip_proto(IP_UDP)._ports(Field.UDP_SRC, src, Field.UDP_DST, dst)

    def icmp4(self, type: int | None = None, code: int | None = None) -> Match:  # noqa: A002  (ICMP's word)
        return self.ipv4().ip_proto(IP_ICMP)._ports(Field.ICMP4_TYPE, type, Field.ICMP4_CODE, code)

    def icmp6(self, type: int | None = None, code: int | None = None) -> Match:  # noqa: A002  (ICMP's word)
        return self.ipv6().ip_proto(IP_ICMP6)._ports(Field.ICMP6_TYPE, type, Field.ICMP6_CODE, code)

    def nd_target(self, address: int, mask: int = _IPV6_MASK) -> Match:
        """About `address`; say `icmp6(135, 0)` or `icmp6(136, 0)` first."""
        return self._masked(self, Field.ND_TARGET, address, mask)

    def nd_sll(self, mac: int) -> Match:
        """Source link-layer address of a solicitation; say `icmp6(135, 0)` first."""
        return self.also(test(Field.ND_SLL, mac, _MAC_MASK))

    def nd_tll(self, mac: int) -> Match:
        """Target link-layer address of an advertisement; say `icmp6(136, 0)` first."""
        return self.also(test(Field.ND_TLL, mac, _MAC_MASK))

    # Connection tracking.

    def ct_state(self, flags: str) -> Match:
        """State flags as in `+trk-new`."""
        return self.also(test(Field.CT_STATE, *notation.read(Field.CT_STATE, flags)))

    def text(self) -> str:
        """As `ovs-ofctl dump-flows` prints it; empty for every packet."""
        return ",".join(_texts(self))

    def _arp(self) -> Match:
        return self if self.gives & _HAS_ARP else self._type(_ARP)

    def _type(self, new: Test) -> Match:
        known = self.get(Field.ETH_TYPE)
        if known is new:
            return self
        return self.also(new)

    @staticmethod
    def _masked(match: Match, field: Field, value: int, mask: int) -> Match:
        if not mask:
            if value:
                raise ValueError(f"{field.match_name}: {value:#x} has bits outside of the mask, which is 0")
            return match
        return match.also(test(field, value, mask))

    def _ports(self, first: Field, first_value: int | None, second: Field, second_value: int | None) -> Match:
        match = self
        if first_value is not None:
            match = match.also(test(first, first_value, first.full))
        if second_value is not None:
            match = match.also(test(second, second_value, second.full))
        return match


def _match(tests: tuple[Test, ...], gives: int) -> Match:
    new = object.__new__(Match)
    _set(new, "tests", tests)
    _set(new, "gives", gives)
    _set(new, "_oxm", b"")
    return new


_TEXT_ORDER: Final = {
    field: place
    for place, field in enumerate(
        (
            Field.PKT_MARK, Field.CONJ_ID, Field.CT_STATE, Field.CT_ZONE, Field.CT_MARK, Field.CT_LABEL,
            *(field for field in Field if Field.REG0 <= field <= Field.REG15),
            Field.TUN_ID, Field.TUN_SRC, Field.TUN_DST, Field.TUN_IPV6_SRC, Field.TUN_IPV6_DST,
            Field.METADATA, Field.IN_PORT, Field.VLAN_VID, Field.VLAN_PCP, Field.ETH_SRC, Field.ETH_DST, Field.ETH_TYPE,
            Field.IPV6_SRC, Field.IPV6_DST, Field.IPV6_LABEL, Field.ARP_SPA, Field.ARP_TPA, Field.IPV4_SRC, Field.IPV4_DST,
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
}  # fmt: skip
"""The words that stand for an Ethernet type and a protocol."""
_WORDS: Final = {numbers: word for word, numbers in PROTOCOLS.items()}
_WORD_PLACE: Final = _TEXT_ORDER[Field.REG0] - 0.5


def _texts(match: Match) -> list[str]:
    found: list[tuple[float, str]] = []
    rest = list(match.tests)
    kind = match.get(Field.ETH_TYPE)
    protocol = match.get(Field.IP_PROTO)
    if kind is not None:
        word = _WORDS.get((kind.value, protocol.value)) if protocol is not None else None
        if word is not None and protocol is not None:
            rest.remove(protocol)
        word = word or _WORDS.get((kind.value, None))
        if word is not None:
            rest.remove(kind)
            found.append((_WORD_PLACE, word))
    for one in rest:
        found.append((_TEXT_ORDER[one.field], _text(one, match)))
    return [text for _, text in sorted(found)]


def _text(one: Test, match: Match) -> str:
    field, value, mask = one.field, one.value, one.mask
    if field is Field.VLAN_VID:
        if value & VLAN_TAG and mask == field.full:
            return f"dl_vlan={value & 0xFFF}"
        if match.get(Field.VLAN_PCP) is None:
            return f"vlan_tci=0x{value:04x}/0x{mask:04x}"
    if field is Field.IP_DSCP:
        return f"nw_tos={value << 2}"
    return f"{field.match_name}={notation.write(field, value, mask)}"
