# SPDX-License-Identifier: Apache-2.0
"""Forged neighbour discovery: solicitations, advertisements, detection; router advertisements and redirects."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from topologies import frames
from topologies.forgeries.ipv6 import AUTHENTICATED
from topologies.forgeries.parts import (
    ALL_NODES_MAC,
    ATOMIC,
    BY_HOP,
    ELSEWHERE,
    FIRST,
    IN_OPTIONS,
    NOBODY,
    PADDING,
    ROUTED,
    VACANT,
    Builder,
    Forgery,
    Identity,
    Wrap,
    advert,
    as_it_is,
    behind,
    detection,
    echo,
    legal6,
    legal_advert,
    question,
    raw_advert,
    redirect,
    router,
    six,
    tll,
)
from topologies.frames import ICMPV6, extended

FOREIGN_ND: Final = "FOREIGN_ND"
FOREIGN_IPV6: Final = "FOREIGN_IPV6"
ROUTER_ADVERTISEMENT: Final = "ROUTER_ADVERTISEMENT"
CUT_HEADERS: Final = "CUT_HEADERS"

CHAINS: Final = {
    "hop-by-hop": (BY_HOP,),
    "routing": (ROUTED,),
    "authentication": (AUTHENTICATED,),
    "atomic-fragment": (ATOMIC,),
    "many": (IN_OPTIONS, ROUTED, BY_HOP),
}


def _message(kind: int, src: str, dst: str, body: bytes, *, code: int = 0, hops: int = 255) -> Builder:
    """An ICMPv6 message; `src` is "own", "link-local" or an address, `dst` a group or "receiver"."""

    def build(me: Identity, to: Identity, mark: str) -> bytes:
        source = {"own": me.ipv6, "link-local": me.link_local, "gateway": me.gateway6}.get(src, src)
        target = to.ipv6 if dst == "receiver" else dst
        packet = frames.icmpv6(source, target, kind, body, code=code, hops=hops)
        return six(me, to.mac if dst == "receiver" else dst, mark, packet)

    return build


def _claims(target: str, wrap: Wrap = as_it_is, *, option: str = "own", hops: int = 255, flags: int = 0x20) -> Builder:
    """An advertisement to the receiver of "own", "receiver", "gateway" or another address."""

    def build(me: Identity, to: Identity, mark: str) -> bytes:
        address = {"own": me.ipv6, "receiver": to.ipv6, "gateway": me.gateway6}.get(target, target)
        more = {"own": tll(me.mac), "receiver": tll(to.mac), "none": b"", "cut": b"\2"}[option]
        body = bytes((flags, 0, 0, 0)) + frames.ip_bytes(address) + more
        return six(me, to.mac, mark, wrap(frames.icmpv6(me.ipv6, to.ipv6, 136, body, hops=hops)))

    return build


def _to_all(target: str) -> Builder:
    """An unsolicited advertisement to all nodes."""

    def build(me: Identity, to: Identity, mark: str) -> bytes:
        address = {"own": me.ipv6, "receiver": to.ipv6, "gateway": me.gateway6}[target]
        return six(me, "ff02::1", mark, frames.neighbour_advertisement(me.ipv6, address, tll=me.mac))

    return build


def _asks(
    option: str,
    wrap: Wrap = as_it_is,
    *,
    target: str = VACANT.ipv6,
    src: str = "",
    code: int = 0,
    to_one: bool = False,
) -> Builder:
    """A solicitation with the MAC of "own" or "receiver" as its option."""

    def build(me: Identity, to: Identity, mark: str) -> bytes:
        more = b"\1\1" + frames.mac_bytes(me.mac if option == "own" else to.mac)
        group = frames.solicited_node(target)
        packet = frames.icmpv6(
            src or me.ipv6, to.ipv6 if to_one else group, 135, bytes(4) + frames.ip_bytes(target) + more, code=code
        )
        return six(me, to.mac if to_one else group, mark, wrap(packet))

    return build


def _gateway_asks(me: Identity, to: Identity, mark: str) -> bytes:
    return _asks("own", src=me.gateway6)(me, to, mark)


def _redirects(wrap: Wrap = as_it_is, *, src: str = "own", code: int = 0) -> Builder:
    def build(me: Identity, to: Identity, mark: str) -> bytes:
        source = me.gateway6 if src == "gateway" else me.link_local
        body = bytes(4) + frames.ip_bytes(me.link_local) + frames.ip_bytes(NOBODY.ipv6)
        return six(me, to.mac, mark, wrap(frames.icmpv6(source, to.ipv6, 137, body, code=code)))

    return build


def _others() -> Iterator[Forgery]:
    for name, kinds in CHAINS.items():
        wrap = behind(*kinds)
        yield Forgery(f"nd-target-behind-{name}", 6, FOREIGN_ND, _claims("receiver", wrap), _claims("own", wrap))
        yield Forgery(f"redirect-behind-{name}", 6, ROUTER_ADVERTISEMENT, _redirects(wrap), _claims("own", wrap))


def hidden(src: str) -> bytes:
    """A first fragment that ends before its ICMPv6 header."""
    options = struct.pack("!BB", ICMPV6, 0) + PADDING[1:]
    return extended(frames.ipv6(src, "ff02::1", frames.DESTINATION, options, hops=255), frames.FRAGMENT, FIRST[1])


ND: Final = (
    Forgery(
        "nd-target",
        6,
        FOREIGN_ND,
        lambda me, to, mark: advert(me.ipv6, NOBODY.ipv6, me.mac, me, to, mark),
        legal_advert,
    ),
    Forgery(
        "nd-target-is-receiver",
        6,
        FOREIGN_ND,
        lambda me, to, mark: advert(me.ipv6, to.ipv6, me.mac, me, to, mark),
        legal_advert,
    ),
    Forgery(
        "nd-target-link-local",
        6,
        FOREIGN_ND,
        lambda me, to, mark: advert(me.ipv6, to.link_local, me.mac, me, to, mark),
        lambda me, to, mark: advert(me.ipv6, me.link_local, me.mac, me, to, mark),
    ),
    Forgery(
        "nd-link-address",
        6,
        FOREIGN_ND,
        lambda me, to, mark: advert(me.ipv6, me.ipv6, NOBODY.mac, me, to, mark),
        legal_advert,
    ),
    Forgery(
        "nd-target-without-link-address",
        6,
        FOREIGN_ND,
        lambda me, to, mark: raw_advert(to.ipv6, b"", me, to, mark),
        lambda me, to, mark: raw_advert(me.ipv6, b"", me, to, mark),
    ),
    Forgery(
        "nd-two-link-addresses",
        6,
        FOREIGN_ND,
        lambda me, to, mark: raw_advert(me.ipv6, tll(me.mac) + tll(NOBODY.mac), me, to, mark),
        legal_advert,
    ),
    Forgery(
        "nd-code",
        6,
        FOREIGN_ND,
        lambda me, to, mark: raw_advert(NOBODY.ipv6, tll(me.mac), me, to, mark, code=1),
        legal_advert,
    ),
    Forgery(
        "nd-target-behind-options",
        6,
        FOREIGN_ND,
        lambda me, to, mark: advert(me.ipv6, to.ipv6, me.mac, me, to, mark, behind(IN_OPTIONS)),
        lambda me, to, mark: advert(me.ipv6, me.ipv6, me.mac, me, to, mark, behind(IN_OPTIONS)),
    ),
    Forgery(
        "nd-fragment",
        6,
        FOREIGN_ND,
        lambda me, to, mark: advert(me.ipv6, me.ipv6, me.mac, me, to, mark, behind(FIRST)),
        legal_advert,
    ),
    Forgery(
        "nd-question-link-address",
        6,
        FOREIGN_ND,
        lambda me, _to, mark: question(me, NOBODY.mac, mark),
        lambda me, _to, mark: question(me, me.mac, mark),
    ),
    Forgery(
        "nd-question-two-link-addresses",
        6,
        FOREIGN_ND,
        lambda me, _to, mark: question(me, me.mac, mark, more=b"\1\1" + frames.mac_bytes(NOBODY.mac)),
        lambda me, _to, mark: question(me, me.mac, mark),
    ),
    Forgery(
        "nd-question-source",
        6,
        FOREIGN_IPV6,
        lambda me, _to, mark: question(me, me.mac, mark, src=NOBODY.ipv6),
        lambda me, _to, mark: question(me, me.mac, mark, src=me.link_local),
    ),
    Forgery(
        "duplicate-detection",
        6,
        FOREIGN_ND,
        lambda me, to, mark: detection(to.ipv6, me, mark),
        lambda me, _to, mark: detection(me.ipv6, me, mark),
    ),
    Forgery(
        "duplicate-detection-link-local",
        6,
        FOREIGN_ND,
        lambda me, to, mark: detection(to.link_local, me, mark),
        lambda me, _to, mark: detection(me.link_local, me, mark),
    ),
    Forgery(
        "duplicate-detection-with-option",
        6,
        FOREIGN_ND,
        lambda me, _to, mark: detection(me.ipv6, me, mark, sll=me.mac),
        lambda me, _to, mark: detection(me.ipv6, me, mark),
    ),
    Forgery(
        "router-solicitation",
        6,
        FOREIGN_IPV6,
        lambda me, _to, mark: six(me, "ff02::2", mark, frames.router_solicitation(NOBODY.link_local, sll=me.mac)),
        lambda me, _to, mark: six(me, "ff02::2", mark, frames.router_solicitation(me.link_local, sll=me.mac)),
    ),
    Forgery(
        "redirect",
        6,
        ROUTER_ADVERTISEMENT,
        redirect,
        lambda me, to, mark: advert(me.ipv6, me.ipv6, me.mac, me, to, mark),
    ),
    *_others(),
    Forgery("nd-target-gateway", 6, FOREIGN_ND, _claims("gateway"), legal_advert),
    Forgery("nd-target-gateway-to-all", 6, FOREIGN_ND, _to_all("gateway"), _to_all("own")),
    Forgery("nd-target-receiver-to-all", 6, FOREIGN_ND, _to_all("receiver"), _to_all("own")),
    Forgery("nd-target-of-elsewhere", 6, FOREIGN_ND, _claims(ELSEWHERE.ipv6), legal_advert),
    Forgery("nd-target-unspecified", 6, FOREIGN_ND, _claims("::"), legal_advert),
    Forgery("nd-target-group", 6, FOREIGN_ND, _claims("ff02::1"), legal_advert),
    Forgery("nd-target-as-router", 6, FOREIGN_ND, _claims("gateway", flags=0xE0), _claims("own", flags=0xE0)),
    Forgery("nd-target-hop-limit", 6, FOREIGN_ND, _claims("receiver", hops=64), _claims("own", hops=64)),
    Forgery("nd-link-address-of-receiver", 6, FOREIGN_ND, _claims("own", option="receiver"), legal_advert),
    Forgery("nd-everything-of-receiver", 6, FOREIGN_ND, _claims("receiver", option="receiver"), legal_advert),
    Forgery("nd-option-cut", 6, FOREIGN_ND, _claims("receiver", option="cut"), legal_advert),
    Forgery(
        "nd-advertisement-from-nobody",
        6,
        FOREIGN_ND,
        _message(136, "::", "ff02::1", bytes(4) + frames.ip_bytes(NOBODY.ipv6)),
        _to_all("own"),
    ),
    Forgery(
        "nd-source-gateway",
        6,
        FOREIGN_IPV6,
        lambda me, to, mark: advert(me.gateway6, me.gateway6, me.mac, me, to, mark),
        legal_advert,
    ),
    Forgery("nd-question-link-address-of-receiver", 6, FOREIGN_ND, _asks("receiver"), _asks("own")),
    Forgery("nd-question-in-fragment", 6, FOREIGN_ND, _asks("own", behind(FIRST)), _asks("own")),
    Forgery("nd-question-code", 6, FOREIGN_ND, _asks("own", code=1), _asks("own")),
    Forgery("nd-question-about-nobody", 6, FOREIGN_ND, _asks("own", target="::"), _asks("own")),
    Forgery("nd-question-to-one", 6, FOREIGN_ND, _asks("receiver", to_one=True), _asks("own", to_one=True)),
    Forgery("nd-question-from-gateway", 6, FOREIGN_IPV6, _gateway_asks, _asks("own")),
    Forgery(
        "duplicate-detection-of-gateway",
        6,
        FOREIGN_ND,
        lambda me, _to, mark: detection(me.gateway6, me, mark),
        lambda me, _to, mark: detection(me.ipv6, me, mark),
    ),
    Forgery(
        "duplicate-detection-of-nobody",
        6,
        FOREIGN_ND,
        lambda me, _to, mark: detection(NOBODY.ipv6, me, mark),
        lambda me, _to, mark: detection(me.ipv6, me, mark),
    ),
    Forgery(
        "duplicate-detection-with-foreign-option",
        6,
        FOREIGN_ND,
        lambda me, _to, mark: detection(me.ipv6, me, mark, sll=NOBODY.mac),
        lambda me, _to, mark: detection(me.ipv6, me, mark),
    ),
    Forgery("redirect-code", 6, ROUTER_ADVERTISEMENT, _redirects(code=1), legal_advert),
    Forgery("redirect-from-gateway", 6, FOREIGN_IPV6, _redirects(src="gateway"), legal_advert),
    Forgery("redirect-in-fragment", 6, ROUTER_ADVERTISEMENT, _redirects(behind(FIRST)), legal6),
)


def _ra(src: str, dst: str, *, code: int = 0, hops: int = 255, length: int | None = None) -> Builder:
    body = (struct.pack("!BBHII", 64, 0, 1800, 0, 0) + PREFIX)[:length]
    return _message(134, src, dst, body, code=code, hops=hops)


PREFIX: Final = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 3600, 3600, 0) + frames.ip_bytes("2001:db8:bad::")

ROUTER: Final = (
    Forgery("router-advertisement", 6, ROUTER_ADVERTISEMENT, router(), echo()),
    *(
        Forgery(f"router-advertisement-{name}", 6, ROUTER_ADVERTISEMENT, router(behind(*kinds)), echo(behind(*kinds)))
        for name, kinds in (
            ("behind-options", (IN_OPTIONS,)),
            ("behind-hop-by-hop", (BY_HOP,)),
            ("behind-routing", (ROUTED,)),
            ("behind-many", (IN_OPTIONS,) * 7 + (BY_HOP,)),
            ("in-atomic-fragment", (ATOMIC,)),
            ("in-first-fragment", (FIRST,)),
            ("behind-options-in-fragment", (IN_OPTIONS, FIRST)),
        )
    ),
    Forgery(
        "router-advertisement-hidden",
        6,
        CUT_HEADERS,
        lambda me, _to, mark: six(me, ALL_NODES_MAC, mark, hidden(me.link_local)),
        echo(behind(FIRST)),
    ),
    Forgery(
        "router-advertisement-global",
        6,
        ROUTER_ADVERTISEMENT,
        lambda me, to, mark: six(me, to.mac, mark, frames.router_advertisement(me.ipv6, dst=to.ipv6)),
        lambda me, to, mark: six(me, to.mac, mark, frames.icmpv6(me.ipv6, to.ipv6, 128, bytes(8))),
    ),
    Forgery("router-advertisement-to-one", 6, ROUTER_ADVERTISEMENT, _ra("link-local", "receiver"), legal6),
    Forgery("router-advertisement-to-routers", 6, ROUTER_ADVERTISEMENT, _ra("link-local", "ff02::2"), echo()),
    Forgery("router-advertisement-code", 6, ROUTER_ADVERTISEMENT, _ra("link-local", "ff02::1", code=1), echo()),
    Forgery("router-advertisement-hop-limit", 6, ROUTER_ADVERTISEMENT, _ra("link-local", "ff02::1", hops=64), echo()),
    Forgery("router-advertisement-cut", 6, ROUTER_ADVERTISEMENT, _ra("link-local", "ff02::1", length=4), echo()),
    Forgery("router-advertisement-from-nobody", 6, ROUTER_ADVERTISEMENT, _ra("::", "ff02::1"), echo()),
    Forgery("router-advertisement-of-gateway", 6, FOREIGN_IPV6, _ra("gateway", "ff02::1"), echo()),
    Forgery("router-advertisement-of-other-router", 6, FOREIGN_IPV6, _ra(NOBODY.link_local, "ff02::1"), echo()),
    Forgery(
        "router-advertisement-behind-authentication",
        6,
        ROUTER_ADVERTISEMENT,
        router(behind(AUTHENTICATED)),
        echo(behind(AUTHENTICATED)),
    ),
    Forgery(
        "router-advertisement-in-two-fragments",
        6,
        ROUTER_ADVERTISEMENT,
        router(behind(ATOMIC, FIRST)),
        echo(behind(ATOMIC, FIRST)),
    ),
)
