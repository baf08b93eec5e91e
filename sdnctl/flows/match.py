# SPDX-License-Identifier: Apache-2.0
"""Which packets a flow is for: a match narrows, test by test, and is the same value however it was narrowed.

    sent = Match().slot(FROM_PORT, port.key)
    owned = sent.eth_src(port.mac)
    yield Flow(table, ALLOW, owned.ipv4_src(address, mask), NEXT, cookie)

Canonical by construction: tests sorted as Open vSwitch sorts them, a field tested once, no bits outside the mask,
prerequisites there (methods named after a protocol's field add them; `field` demands them), a mask of nothing is no
test. So equal matches have equal bytes (`oxm`), and those are what equality and hash look at.

This is the hot path: tests are made once and cached, and a narrowed match shares them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Self

from sdnctl.flows import notation
from sdnctl.flows.fields import LAYER_4, Fact, Field
from sdnctl.flows.oxm import (
    ETH_ARP,
    ETH_IPV4,
    ETH_IPV6,
    ETH_RARP,
    IP_ICMP,
    IP_ICMP6,
    IP_TCP,
    IP_UDP,
    VLAN_TAG,
    Test,
    test,
    texts,
)
from sdnctl.flows.registers import Slot

_IPV4: Final = test(Field.ETH_TYPE, ETH_IPV4, 0xFFFF)
_IPV6: Final = test(Field.ETH_TYPE, ETH_IPV6, 0xFFFF)
_ARP: Final = test(Field.ETH_TYPE, ETH_ARP, 0xFFFF)
_RARP: Final = test(Field.ETH_TYPE, ETH_RARP, 0xFFFF)
_HAS_IPV4: Final = int(Fact.IPV4)
_HAS_IPV6: Final = int(Fact.IPV6)
_HAS_ARP: Final = int(Fact.ARP)
_IS_LATER: Final = int(Fact.LATER)
_USES_LAYER_4: Final = int(Fact.USES_LAYER_4)
_LAYER_4: Final = int(LAYER_4)
# An attribute of an enumeration costs a look-up in its class; these are for the hot methods.
_ETH_SRC: Final = Field.ETH_SRC
_ETH_DST: Final = Field.ETH_DST
_IPV4_SRC: Final = Field.IPV4_SRC
_IPV4_DST: Final = Field.IPV4_DST
_IPV6_SRC: Final = Field.IPV6_SRC
_IPV6_DST: Final = Field.IPV6_DST
_IN_PORT: Final = Field.IN_PORT
_ARP_OP: Final = Field.ARP_OP
_ARP_SPA: Final = Field.ARP_SPA
_ARP_TPA: Final = Field.ARP_TPA
_ARP_SHA: Final = Field.ARP_SHA
_ARP_THA: Final = Field.ARP_THA
_MAC_MASK: Final = (1 << 48) - 1
_WORD: Final = (1 << 32) - 1
_IPV6_MASK: Final = (1 << 128) - 1


class Match:
    """All the tests a packet must pass; no tests match every packet. Immutable; equal by meaning."""

    __slots__ = ("gives", "tests")

    tests: tuple[Test, ...]
    gives: int
    """The facts (`Fact`) that the tests make certain."""

    def __new__(cls) -> Self:
        return _EVERYTHING  # type: ignore[return-value]

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a match is immutable; narrow it instead of setting {name}")

    @property
    def oxm(self) -> bytes:
        """The fields of the match on the wire, without header and padding."""
        return b"".join([one.oxm for one in self.tests])

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
        """The match narrowed by one more test."""
        missing = new.needs & ~self.gives
        if missing:
            raise ValueError(f"{new!r} needs a match that also says {Fact(missing).name}; {self!r} does not")
        tests = self.tests
        field = new.field
        if not tests or tests[-1].field < field:
            tests = (*tests, new)
        else:
            at = 0
            while tests[at].field < field:
                at += 1
            if tests[at].field is field:
                raise ValueError(f"{field.match_name} is matched already: {tests[at]!r}, and now {new!r}")
            tests = (*tests[:at], new, *tests[at:])
        gives = self.gives | new.gives
        if gives & _IS_LATER:
            if gives & _USES_LAYER_4:
                raise ValueError(f"{new!r} cannot join {self!r}: later fragments carry nothing of layer 4")
            gives &= ~_LAYER_4
        match = _new(Match)
        _set_tests(match, tests)
        _set_gives(match, gives)
        return match

    def field(self, field: Field, value: int, mask: int | None = None) -> Match:
        """Narrowed to packets whose `field`, under `mask`, is `value`. What the field needs must be there already."""
        return self.also(test(field, value, field.full if mask is None else mask))

    def slot(self, slot: Slot, value: int) -> Match:
        """Narrowed to packets that carry `value` in `slot`; slots of one register become one test."""
        if not 0 <= value <= slot.limit:
            raise ValueError(f"{slot.name} has {slot.width} bits; {value} does not fit")
        mask = slot.mask
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
        return self.also(test(_IN_PORT, ofport, _WORD))

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
        return self._arp().also(test(_ARP_OP, operation, 0xFFFF))

    def arp_spa(self, address: int, mask: int = _WORD) -> Match:
        return self._masked(self._arp(), _ARP_SPA, address, mask)

    def arp_tpa(self, address: int, mask: int = _WORD) -> Match:
        return self._masked(self._arp(), _ARP_TPA, address, mask)

    def arp_sha(self, mac: int) -> Match:
        return self._arp().also(test(_ARP_SHA, mac, _MAC_MASK))

    def arp_tha(self, mac: int) -> Match:
        return self._arp().also(test(_ARP_THA, mac, _MAC_MASK))

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
        return _with_ports(self.ipv4().ip_proto(IP_TCP), Field.TCP_SRC, src, Field.TCP_DST, dst)

    def tcp6(self, src: int | None = None, dst: int | None = None) -> Match:
        return _with_ports(self.ipv6().ip_proto(IP_TCP), Field.TCP_SRC, src, Field.TCP_DST, dst)

    def udp4(self, src: int | None = None, dst: int | None = None) -> Match:
        return _with_ports(self.ipv4().ip_proto(IP_UDP), Field.UDP_SRC, src, Field.UDP_DST, dst)

    def udp6(self, src: int | None = None, dst: int | None = None) -> Match:
        return _with_ports(self.ipv6().ip_proto(IP_UDP), Field.UDP_SRC, src, Field.UDP_DST, dst)

    def icmp4(self, type: int | None = None, code: int | None = None) -> Match:  # noqa: A002  (ICMP's word)
        return _with_ports(self.ipv4().ip_proto(IP_ICMP), Field.ICMP4_TYPE, type, Field.ICMP4_CODE, code)

    def icmp6(self, type: int | None = None, code: int | None = None) -> Match:  # noqa: A002  (ICMP's word)
        return _with_ports(self.ipv6().ip_proto(IP_ICMP6), Field.ICMP6_TYPE, type, Field.ICMP6_CODE, code)

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
        return ",".join(texts(self.tests))

    def _arp(self) -> Match:
        return self if self.gives & _HAS_ARP else self._type(_ARP)

    def _type(self, new: Test) -> Match:
        known = self.get(Field.ETH_TYPE)
        if known == new:
            return self
        return self.also(new)

    @staticmethod
    def _masked(match: Match, field: Field, value: int, mask: int) -> Match:
        if not mask:
            if value:
                raise ValueError(f"{field.match_name}: {value:#x} has bits outside of the mask, which is 0")
            return match
        return match.also(test(field, value, mask))


_new: Final = object.__new__
# Setting through the slot is a third faster than object.__setattr__, and every narrowing does it twice.
_set_tests: Final[Callable[[Match, tuple[Test, ...]], None]] = Match.__dict__["tests"].__set__
_set_gives: Final[Callable[[Match, int], None]] = Match.__dict__["gives"].__set__


def _match(tests: tuple[Test, ...], gives: int) -> Match:
    match = _new(Match)
    _set_tests(match, tests)
    _set_gives(match, gives)
    return match


_EVERYTHING: Final = _match((), 0)


def match_of(tests: Iterable[Test]) -> Match:
    """The match of these tests, in whatever order; ValueError if they make no canonical match."""
    match = Match()
    for one in sorted(tests, key=_prerequisites_first):
        match = match.also(one)
    return match


def _prerequisites_first(one: Test) -> tuple[int, int]:
    return one.needs.bit_count(), one.field


def _with_ports(match: Match, first: Field, first_value: int | None, second: Field, second_value: int | None) -> Match:
    if first_value is not None:
        match = match.also(test(first, first_value, first.full))
    if second_value is not None:
        match = match.also(test(second, second_value, second.full))
    return match
