# SPDX-License-Identifier: Apache-2.0
"""Forged frames and their legal twins: the one dies in the table that is there for it, the other arrives.

Each case runs twice: as a trace, which names table and reason, and as real frames, where the first thing that comes
out at the victim must be the twin. Requirements S1, S2, S47, S48.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from sdnctl.flows.pipeline import Reason, Table
from tests.apps.lab import Lab
from tests.apps.packets import (
    ALL_NODES,
    BROADCAST,
    DESTINATION,
    FIRST,
    FRAGMENT,
    GROUP,
    GROUP_MAC,
    HOP_BY_HOP,
    ICMP6,
    IPV4,
    IPV6,
    LATER,
    NA,
    NS,
    QINQ,
    RA,
    REDIRECT,
    RS,
    UDP,
    advertisement,
    arp,
    broadcast4,
    ethernet,
    extension,
    fragment_header,
    icmp6,
    icmp6_of,
    ipv4,
    ipv6,
    ll,
    mac,
    multicast6,
    nd,
    rarp,
    router_advertisement,
    six,
    sixteen,
    sll,
    snap,
    solicitation,
    tag,
    tll,
    to4,
    to6,
    udp,
    v4,
    v6,
)

pytestmark = pytest.mark.switch


@dataclass(frozen=True)
class Case:
    """`forged` is dropped in `table` for `reason`; `twin` arrives at `victim`. Both are sent by `sender`."""

    name: str
    forged: bytes
    table: Table
    reason: Reason
    twin: bytes
    sender: int = 1
    victim: int = 2


LEGAL4 = to4(1, 2)
LEGAL6 = to6(1, 2)
LEGAL_ARP = arp(1, v4(1), v4(99))
ANNOUNCED = advertisement(1, v6(1), tll(mac(1)))
SOLICITS = solicitation(1, v6(99), sll(mac(1)))
LEASE_GRANTED = udp(67, 68, bytes(260))
ADVERTISED = router_advertisement(1)
REDIRECTED = bytes(4) + sixteen(v6(99)) + sixteen(v6(99))


def lldp(group: int) -> bytes:
    return ethernet(group, mac(1), 0x88CC, bytes(46))


def with_mac(frame: bytes, address: int) -> bytes:
    """The frame with another sender MAC, in the frame alone."""
    return frame[:6] + six(address) + frame[12:]


def to_all6(payload: bytes, following: int, *, src: int | None = None) -> bytes:
    return multicast6(1, payload, following, src=src)


CLASSIFY = [
    Case("tag", tag(LEGAL4, 5), Table.CLASSIFY, Reason.TAGGED, LEGAL4),
    Case("priority tag", tag(LEGAL4, 0), Table.CLASSIFY, Reason.TAGGED, LEGAL4),
    Case("tag of the own network", tag(to4(11, 12, src=v4(1)), 300), Table.CLASSIFY, Reason.TAGGED,
         to4(11, 12, src=v4(1)), 11, 12),
    Case("tag of another tenant on a flat network", tag(to4(21, 22), 300), Table.CLASSIFY, Reason.TAGGED,
         to4(21, 22), 21, 22),
    Case("two tags", tag(tag(LEGAL4, 5), 6), Table.CLASSIFY, Reason.TAGGED, LEGAL4),
    Case("802.1ad tag", tag(tag(LEGAL4, 5), 6, QINQ), Table.CLASSIFY, Reason.TAGGED, LEGAL4),
    Case("old tag type", tag(LEGAL4, 5, 0x9100), Table.CLASSIFY, Reason.TAGGED, LEGAL4),
    Case("tag cut off", ethernet(BROADCAST, mac(1), 0x8100, b""), Table.CLASSIFY, Reason.TAGGED, broadcast4(1)),
    Case("tag in SNAP", snap(tag(LEGAL4, 5)), Table.CLASSIFY, Reason.TAGGED, LEGAL4),
    Case("802.1ad tag in SNAP", snap(tag(LEGAL4, 5, QINQ)), Table.CLASSIFY, Reason.TAGGED, LEGAL4),
    Case("tag before SNAP", tag(snap(LEGAL4), 5), Table.CLASSIFY, Reason.TAGGED, LEGAL4),
    Case("SNAP of bridge-tunnel encapsulation", snap(LEGAL4, b"\0\0\xf8"), Table.CLASSIFY, Reason.SNAP, LEGAL4),
    Case("SNAP of CDP", snap(ethernet(0x01000CCCCCCC, mac(1), 0x2000, bytes(40)), b"\0\0\x0c"), Table.CLASSIFY,
         Reason.SNAP, broadcast4(1)),
    Case("LLC", ethernet(mac(2), mac(1), 38, b"\x42\x42\x03" + bytes(35)), Table.CLASSIFY, Reason.SNAP, LEGAL4),
    Case("length 0", ethernet(mac(2), mac(1), 0, bytes(46)), Table.CLASSIFY, Reason.SNAP, LEGAL4),
    Case("LLDP", lldp(0x0180C200000E), Table.CLASSIFY, Reason.RESERVED_MAC, broadcast4(1)),
    Case("spanning tree", ethernet(0x0180C2000000, mac(1), 38, b"\x42\x42\x03" + bytes(35)), Table.CLASSIFY,
         Reason.RESERVED_MAC, broadcast4(1)),
    Case("pause frame", ethernet(0x0180C2000001, mac(1), 0x8808, bytes(46)), Table.CLASSIFY, Reason.RESERVED_MAC,
         broadcast4(1)),
    Case("from broadcast", with_mac(LEGAL4, BROADCAST), Table.CLASSIFY, Reason.FOREIGN_MAC, LEGAL4),
    Case("from a group", with_mac(LEGAL4, GROUP_MAC), Table.CLASSIFY, Reason.FOREIGN_MAC, LEGAL4),
]  # fmt: skip

MACS = [
    Case("unknown MAC", with_mac(LEGAL4, mac(99)), Table.PORT_SECURITY, Reason.FOREIGN_MAC, LEGAL4),
    Case("victim's MAC", with_mac(LEGAL4, mac(2)), Table.PORT_SECURITY, Reason.FOREIGN_MAC, LEGAL4),
    Case("MAC 0", with_mac(LEGAL4, 0), Table.PORT_SECURITY, Reason.FOREIGN_MAC, LEGAL4),
    Case("another's MAC on ARP", with_mac(LEGAL_ARP, mac(6)), Table.PORT_SECURITY, Reason.FOREIGN_MAC, LEGAL_ARP),
    Case("another's MAC on IPv6", with_mac(LEGAL6, mac(6)), Table.PORT_SECURITY, Reason.FOREIGN_MAC, LEGAL6),
    Case("MPLS", ethernet(mac(2), mac(1), 0x8847, b"\0\0\x01\xff" + LEGAL4[14:]), Table.SOURCE_SECURITY,
         Reason.ETHERTYPE, LEGAL4),
    Case("PPPoE discovery", ethernet(BROADCAST, mac(1), 0x8863, bytes(46)), Table.SOURCE_SECURITY, Reason.ETHERTYPE,
         broadcast4(1)),
    Case("802.1X", ethernet(mac(2), mac(1), 0x888E, bytes(46)), Table.SOURCE_SECURITY, Reason.ETHERTYPE, LEGAL4),
    Case("to nobody's MAC", ethernet(mac(99), mac(1), IPV4, LEGAL4[14:]), Table.SWITCHING, Reason.UNKNOWN_MAC, LEGAL4),
    Case("to another tenant's MAC", ethernet(mac(11), mac(1), IPV4, LEGAL4[14:]), Table.SWITCHING, Reason.UNKNOWN_MAC,
         LEGAL4),
]  # fmt: skip


def arp_case(name: str, forged: bytes, twin: bytes = LEGAL_ARP) -> Case:
    return Case(name, forged, Table.SOURCE_SECURITY, Reason.FOREIGN_ARP, twin)


REPLY = arp(1, v4(1), v4(2), op=2, tha=mac(2), dst=mac(2))
ARPS = [
    arp_case("request from a foreign address", arp(1, v4(6), v4(99))),
    arp_case("request from an address of nobody", arp(1, v4(77), v4(99))),
    arp_case("reply for a victim", arp(1, v4(6), v4(2), op=2, tha=mac(2), dst=mac(2)), REPLY),
    arp_case("reply for the gateway", arp(1, v4(254), v4(2), op=2, tha=mac(2), dst=mac(2)), REPLY),
    arp_case("gratuitous, foreign address", arp(1, v4(6), v4(6)), arp(1, v4(1), v4(1))),
    arp_case("gratuitous reply, foreign address", arp(1, v4(6), v4(6), op=2), arp(1, v4(1), v4(1), op=2)),
    arp_case("sender's MAC in ARP is another", arp(1, v4(1), v4(99), sha=mac(6))),
    arp_case("probe with another's MAC", arp(1, 0, v4(99), sha=mac(6)), arp(1, 0, v4(99))),
    arp_case("in SNAP", snap(arp(1, v4(6), v4(99))), snap(LEGAL_ARP)),
    arp_case("cut off", LEGAL_ARP[:34]),
    arp_case("hardware addresses of 8 bytes", LEGAL_ARP[:18] + b"\x08" + LEGAL_ARP[19:]),
    arp_case("RARP with another's MAC", rarp(1, mac(6)), rarp(1, mac(1))),
    Case(
        "about others, of one who owns everything",
        arp(4, v4(6), v4(99)),
        Table.SOURCE_SECURITY,
        Reason.FOREIGN_ARP,
        arp(4, v4(4), v4(99)),
        4,
    ),
]


def ip_case(name: str, forged: bytes, twin: bytes = LEGAL4, reason: Reason = Reason.FOREIGN_IPV4, **more: int) -> Case:
    return Case(name, forged, Table.SOURCE_SECURITY, reason, twin, **more)


def from4(sender: int, src: int) -> bytes:
    return to4(sender, 2, src=src)


PIECE = ethernet(mac(2), mac(1), IPV4, ipv4(v4(1), v4(2), bytes(16), fragment=LATER))
FOREIGN_PIECE = ethernet(mac(2), mac(1), IPV4, ipv4(v4(6), v4(2), bytes(16), fragment=LATER))
IPV4S = [
    ip_case("foreign source", from4(1, v4(6))),
    ip_case("source outside of the subnet", from4(1, 0x08080808)),
    ip_case("victim's own address", from4(1, v4(2))),
    ip_case("in SNAP", snap(from4(1, v4(6))), snap(LEGAL4)),
    ip_case("broadcast, foreign source", broadcast4(1, src=v4(6)), broadcast4(1)),
    ip_case("multicast, foreign source", ethernet(GROUP_MAC, mac(1), IPV4, ipv4(v4(6), GROUP, udp(1, 2))),
            ethernet(GROUP_MAC, mac(1), IPV4, ipv4(v4(1), GROUP, udp(1, 2)))),
    ip_case("later fragment, foreign source", FOREIGN_PIECE, PIECE),
    ip_case("from 0.0.0.0", from4(1, 0)),
    ip_case("DHCP question from 0.0.0.0 to a guest", to4(1, 2, src=0, payload=udp(68, 67, bytes(260)))),
    ip_case("from 0.0.0.0 to all, not from DHCP's port", broadcast4(1, src=0, payload=udp(69, 67)), broadcast4(1)),
    ip_case("from 0.0.0.0 to all, not to DHCP's port", broadcast4(1, src=0, payload=udp(68, 69)), broadcast4(1)),
    ip_case("header cut off", LEGAL4[:24]),
    ip_case("header length too small", LEGAL4[:14] + b"\x44" + LEGAL4[15:]),
    ip_case("length beyond the frame", LEGAL4[:16] + b"\x20\x00" + LEGAL4[18:]),
    ip_case("loopback, of one who owns everything", from4(4, 0x7F000001), from4(4, 0x08080808), sender=4),
    ip_case("group, of one who owns everything", from4(4, GROUP), from4(4, v4(200)), sender=4),
    ip_case("broadcast, of one who owns everything", from4(4, 0xFFFFFFFF), from4(4, 1 << 24), sender=4),
    ip_case("0.0.0.0, of one who owns everything", from4(4, 0), from4(4, 0x08080808), sender=4),
    ip_case("pair's address with the port's own MAC", from4(3, v4(0x93)), from4(3, v4(3)), sender=3),
    ip_case("own address with the pair's MAC", with_mac(from4(3, v4(3)), mac(0x83)),
            with_mac(from4(3, v4(0x93)), mac(0x83)), sender=3),
    ip_case("just outside of the pair's prefix", from4(3, v4(0x90)), from4(3, v4(0x8F)), sender=3),
]  # fmt: skip

WHOLE4 = broadcast4(1, payload=udp(4000, 5000, bytes(64)), fragment=FIRST)
DHCP6 = udp(547, 546, bytes(64))
SERVERS = [
    ip_case("answer to all", broadcast4(1, payload=LEASE_GRANTED), broadcast4(1), Reason.DHCP_SERVER),
    ip_case("answer to one", to4(1, 2, payload=LEASE_GRANTED), LEGAL4, Reason.DHCP_SERVER),
    ip_case("answer across hosts", to4(1, 6, payload=LEASE_GRANTED), to4(1, 6), Reason.DHCP_SERVER, victim=6),
    ip_case("answer from another port", broadcast4(1, payload=udp(1067, 68, bytes(260))), broadcast4(1),
            Reason.DHCP_SERVER),
    ip_case("answer in SNAP", snap(broadcast4(1, payload=LEASE_GRANTED)), broadcast4(1), Reason.DHCP_SERVER),
    ip_case("answer as first fragment", broadcast4(1, payload=LEASE_GRANTED, fragment=FIRST), WHOLE4,
            Reason.DHCP_SERVER),
    ip_case("answer from one who owns everything", broadcast4(4, payload=LEASE_GRANTED), broadcast4(4),
            Reason.DHCP_SERVER, sender=4),
    ip_case("first fragment that hides its ports", broadcast4(1, payload=udp(0, 0, bytes(64)), fragment=FIRST), WHOLE4,
            Reason.CUT_HEADERS),
    ip_case("first IPv6 fragment that hides its ports",
            to_all6(fragment_header(UDP, more=True) + udp(0, 0, bytes(64)), FRAGMENT),
            to_all6(fragment_header(UDP, more=True) + udp(4000, 5000, bytes(64)), FRAGMENT), Reason.CUT_HEADERS),
    ip_case("DHCPv6 answer", to_all6(DHCP6, UDP), to_all6(udp(4000, 5000), UDP), Reason.DHCP_SERVER),
    ip_case("DHCPv6 from the server's port", to_all6(udp(547, 5000), UDP), to_all6(udp(5470, 5000), UDP),
            Reason.DHCP_SERVER),
    ip_case("DHCPv6 to the client's port", to_all6(udp(4000, 546), UDP), to_all6(udp(546, 5000), UDP),
            Reason.DHCP_SERVER),
    ip_case("DHCPv6 answer as first fragment", to_all6(fragment_header(UDP, more=True) + DHCP6, FRAGMENT),
            to_all6(fragment_header(UDP, more=True) + udp(4000, 5000, bytes(64)), FRAGMENT), Reason.DHCP_SERVER),
    ip_case("DHCPv6 answer behind options", to_all6(extension(UDP) + DHCP6, DESTINATION),
            to_all6(extension(UDP) + udp(4000, 5000), DESTINATION), Reason.DHCP_SERVER),
    Case("question without a lease", broadcast4(5, src=0, payload=udp(68, 67, bytes(260))), Table.RESPONDERS,
         Reason.DHCP_CLIENT, broadcast4(5), 5),
]  # fmt: skip

FOREIGN6 = Reason.FOREIGN_IPV6
PING6 = icmp6(0, ALL_NODES, 128, bytes(12))
CUT = extension(ICMP6)[:1] + b"\x20" + bytes(10)
IPV6S = [
    ip_case("foreign source", to6(1, 2, src=v6(6)), LEGAL6, FOREIGN6),
    ip_case("ping from a foreign source", nd(1, 128, bytes(12), src=v6(6)), nd(1, 128, bytes(12), src=v6(1)), FOREIGN6),
    ip_case("solicitation from a foreign source", solicitation(1, v6(99), sll(mac(1)), src=v6(6)), SOLICITS, FOREIGN6),
    ip_case("router solicitation from a foreign source", nd(1, RS, bytes(4), src=ll(6)), nd(1, RS, bytes(4)), FOREIGN6),
    ip_case("advertisement from a foreign source", advertisement(1, v6(1), tll(mac(1)), src=v6(6)), ANNOUNCED,
            FOREIGN6),
    ip_case("foreign link-local", to6(1, 2, src=ll(6)), to6(1, 2, src=ll(1)), FOREIGN6),
    ip_case("another interface identifier", to6(1, 2, src=0xFE80 << 112 | 1), to6(1, 2, src=ll(1)), FOREIGN6),
    ip_case("multicast, foreign source", multicast6(1, udp(1, 2), UDP, src=v6(6)), multicast6(1, udp(1, 2), UDP),
            FOREIGN6),
    ip_case("from a group", to6(4, 2, src=ALL_NODES), to6(4, 2, src=v6(200)), FOREIGN6, sender=4),
    ip_case("from ::1", to6(4, 2, src=1), to6(4, 2, src=v6(200)), FOREIGN6, sender=4),
    Case("UDP from ::", to6(4, 2, src=0), Table.ND_SECURITY, FOREIGN6, to6(4, 2, src=v6(200)), sender=4),
    ip_case("fragment of a foreign source", multicast6(1, fragment_header(UDP, 9) + bytes(16), FRAGMENT, src=v6(6)),
            multicast6(1, fragment_header(UDP, 9) + bytes(16), FRAGMENT), FOREIGN6),
    ip_case("header chain cut off", to_all6(CUT, DESTINATION), to_all6(extension(UDP) + udp(1, 2), DESTINATION),
            Reason.CUT_HEADERS),
    ip_case("payload longer than the frame", LEGAL6[:18] + b"\x7f" + LEGAL6[19:], LEGAL6, Reason.CUT_HEADERS),
    ip_case("first fragment that hides ICMPv6",
            to_all6(fragment_header(DESTINATION, more=True) + extension(ICMP6), FRAGMENT),
            to_all6(fragment_header(ICMP6, more=True) + icmp6(ll(1), ALL_NODES, 128, bytes(12)), FRAGMENT),
            Reason.CUT_HEADERS),
    Case("ping from ::", nd(1, 128, bytes(12), src=0), Table.ND_SECURITY, FOREIGN6, nd(1, 128, bytes(12))),
    Case("MLD query from ::", nd(1, 130, bytes(20), src=0), Table.ND_SECURITY, FOREIGN6, nd(1, 143, bytes(4), src=0)),
]  # fmt: skip


def nd_case(name: str, forged: bytes, twin: bytes, reason: Reason = Reason.FOREIGN_ND) -> Case:
    return Case(name, forged, Table.ND_SECURITY, reason, twin)


def router_case(name: str, forged: bytes, twin: bytes = ANNOUNCED) -> Case:
    return nd_case(name, forged, twin, Reason.ROUTER_ADVERTISEMENT)


def in_fragment(message: bytes) -> bytes:
    """The first fragment of an ICMPv6 message, with all of it inside."""
    return to_all6(fragment_header(ICMP6, more=True) + message, FRAGMENT)


UNICAST_RA = ethernet(
    mac(2), mac(1), IPV6, ipv6(ll(1), ll(2), ICMP6, icmp6(ll(1), ll(2), RA, icmp6_of(ADVERTISED)[4:]))
)
LONELY_NA = advertisement(1, v6(1), b"")
ROUTERS = [
    router_case("advertisement", ADVERTISED),
    router_case("advertisement to one", UNICAST_RA, LEGAL6),
    router_case("advertisement in SNAP", snap(ADVERTISED)),
    router_case("advertisement with code 1", router_advertisement(1, code=1)),
    router_case("advertisement behind hop-by-hop", to_all6(extension(ICMP6) + icmp6_of(ADVERTISED), HOP_BY_HOP)),
    router_case("advertisement behind options", to_all6(extension(ICMP6) + icmp6_of(ADVERTISED), DESTINATION)),
    router_case("advertisement, atomic fragment", to_all6(fragment_header(ICMP6) + icmp6_of(ADVERTISED), FRAGMENT)),
    router_case("advertisement as first fragment", in_fragment(icmp6_of(ADVERTISED))),
    router_case("advertisement cut to eight bytes", to_all6(icmp6_of(ADVERTISED)[:8], ICMP6)),
    router_case("redirect", nd(1, REDIRECT, REDIRECTED)),
]

NDS = [
    nd_case("solicitation with a foreign MAC", solicitation(1, v6(99), sll(mac(6))), SOLICITS),
    nd_case("solicitation about ::", solicitation(1, 0, sll(mac(1))), SOLICITS),
    nd_case("solicitation with two MACs", solicitation(1, v6(99), sll(mac(1)) + sll(mac(6))), SOLICITS),
    nd_case("solicitation with code 1", solicitation(1, v6(99), sll(mac(1)), code=1), SOLICITS),
    nd_case("solicitation in a fragment", in_fragment(icmp6_of(SOLICITS)), SOLICITS),
    nd_case("detection of a victim's address", solicitation(1, v6(6), b"", src=0), solicitation(1, v6(1), b"", src=0)),
    nd_case("detection of nobody's address", solicitation(1, v6(77), b"", src=0), solicitation(1, ll(1), b"", src=0)),
    nd_case("detection with a MAC", solicitation(1, v6(1), sll(mac(1)), src=0), solicitation(1, v6(1), b"", src=0)),
    nd_case("detection with a foreign MAC", solicitation(1, v6(1), sll(mac(6)), src=0),
            solicitation(1, v6(1), b"", src=0)),
    nd_case("advertisement of a victim's address", advertisement(1, v6(6), tll(mac(1)), src=v6(1)), ANNOUNCED),
    nd_case("advertisement of a victim's address, no MAC", advertisement(1, v6(6), b"", src=ll(1)), LONELY_NA),
    nd_case("advertisement of a victim's link-local", advertisement(1, ll(6), tll(mac(1)), src=ll(1)), ANNOUNCED),
    nd_case("advertisement of the own address with a foreign MAC", advertisement(1, v6(1), tll(mac(6))), ANNOUNCED),
    nd_case("advertisement with two MACs", advertisement(1, v6(1), tll(mac(1)) + tll(mac(6))), ANNOUNCED),
    nd_case("advertisement in a fragment", in_fragment(icmp6_of(ANNOUNCED)), ANNOUNCED),
    nd_case("advertisement in SNAP", snap(advertisement(1, v6(6), tll(mac(1)), src=v6(1))), snap(ANNOUNCED)),
    nd_case("advertisement from ::", nd(1, NA, bytes(4) + sixteen(v6(6)) + tll(mac(1)), src=0), ANNOUNCED),
    Case("pair's address with the port's own MAC", nd(3, NA, bytes(4) + sixteen(v6(0x93)) + tll(mac(3))),
         Table.ND_SECURITY, Reason.FOREIGN_ND, nd(3, NA, bytes(4) + sixteen(v6(3)) + tll(mac(3))), 3),
    Case("about others, of one who owns everything", nd(4, NA, bytes(4) + sixteen(v6(6)) + tll(mac(4)), src=v6(6)),
         Table.ND_SECURITY, Reason.FOREIGN_ND, nd(4, NA, bytes(4) + sixteen(v6(4)) + tll(mac(4)), src=v6(6)), 4),
    Case("unreadable, of one who owns everything", nd(4, NA, bytes(4) + sixteen(v6(6)) + tll(mac(4)) * 2),
         Table.ND_SECURITY, Reason.FOREIGN_ND, nd(4, NS, bytes(4) + sixteen(v6(99)) + sll(mac(4))), 4),
]  # fmt: skip


def shared_arp(address: int, sha: int = 0x83) -> bytes:
    """ARP from the MAC that guests 2 and 3 share, by default about that MAC."""
    return with_mac(arp(2, address, v4(99), sha=mac(sha)), mac(0x83))


def shared_nd(kind: int, target: int, option: bytes, src: int) -> bytes:
    return with_mac(nd(2, kind, bytes(4) + sixteen(target) + option, src=src), mac(0x83))


def shared_case(name: str, forged: bytes, table: Table, reason: Reason, twin: bytes) -> Case:
    return Case(name, forged, table, reason, twin, 2, 1)


SOURCE, ND = Table.SOURCE_SECURITY, Table.ND_SECURITY
THEFTS = [
    *(
        Case(f"everything of guest 1, {name}", frame, Table.PORT_SECURITY, Reason.FOREIGN_MAC, broadcast4(2), 2, 1)
        for name, frame in {
            "IPv4": to4(1, 6), "IPv6": to6(1, 6), "ARP": LEGAL_ARP, "probe": arp(1, 0, v4(99)), "RARP": rarp(1, mac(1)),
            "solicitation": SOLICITS, "advertisement": ANNOUNCED, "detection": solicitation(1, v6(1), b"", src=0),
        }.items()
    ),
    shared_case("IPv4 of guest 3 with the MAC of both", with_mac(broadcast4(2, src=v4(0x93)), mac(0x83)), SOURCE,
                Reason.FOREIGN_IPV4, with_mac(broadcast4(2, src=v4(0x94)), mac(0x83))),
    shared_case("IPv6 of guest 3 with the MAC of both",
                with_mac(multicast6(2, udp(1, 2), UDP, src=v6(0x93)), mac(0x83)), SOURCE, FOREIGN6,
                with_mac(multicast6(2, udp(1, 2), UDP, src=v6(0x94)), mac(0x83))),
    shared_case("ARP of guest 3 with the MAC of both", shared_arp(v4(0x93)), SOURCE, Reason.FOREIGN_ARP,
                shared_arp(v4(0x94))),
    shared_case("detection of guest 3's address with the MAC of both", shared_nd(NS, v6(0x93), b"", 0), ND,
                Reason.FOREIGN_ND, shared_nd(NS, v6(0x94), b"", 0)),
    shared_case("advertisement of guest 3's address with the MAC of both",
                shared_nd(NA, v6(0x93), tll(mac(0x83)), ll(0x83)), ND, Reason.FOREIGN_ND,
                shared_nd(NA, v6(0x94), tll(mac(0x83)), ll(0x83))),
    shared_case("advertisement of guest 3's address without a MAC", shared_nd(NA, v6(0x93), b"", ll(0x83)), ND,
                Reason.FOREIGN_ND, shared_nd(NA, v6(0x94), b"", ll(0x83))),
    shared_case("one own MAC on the frame, the other in ARP", shared_arp(v4(2), 2), SOURCE, Reason.FOREIGN_ARP,
                shared_arp(v4(0x94))),
    shared_case("one own MAC on the frame, the other in a probe", shared_arp(0, 2), SOURCE, Reason.FOREIGN_ARP,
                shared_arp(0)),
    shared_case("one own MAC on the frame, the other in RARP", with_mac(rarp(2, mac(2)), mac(0x83)), SOURCE,
                Reason.FOREIGN_ARP, with_mac(rarp(2, mac(0x83)), mac(0x83))),
    shared_case("one own MAC on the frame, the other in a solicitation",
                shared_nd(NS, v6(99), sll(mac(2)), v6(0x94)), ND, Reason.FOREIGN_ND,
                shared_nd(NS, v6(99), sll(mac(0x83)), v6(0x94))),
    shared_case("one own MAC on the frame, the other's address in an advertisement",
                shared_nd(NA, v6(2), tll(mac(2)), v6(0x94)), ND, Reason.FOREIGN_ND,
                shared_nd(NA, v6(0x94), tll(mac(0x83)), v6(0x94))),
    shared_case("one own MAC on the frame, the other's address advertised without a MAC",
                shared_nd(NA, v6(2), b"", v6(0x94)), ND, Reason.FOREIGN_ND, shared_nd(NA, v6(0x94), b"", v6(0x94))),
    shared_case("one own MAC on the frame, detection of the other's address", shared_nd(NS, v6(2), b"", 0), ND,
                Reason.FOREIGN_ND, shared_nd(NS, v6(0x94), b"", 0)),
]  # fmt: skip

FAMILIES = {
    "classify": CLASSIFY, "mac": MACS, "arp": ARPS, "ipv4": IPV4S, "servers": SERVERS, "ipv6": IPV6S,
    "routers": ROUTERS, "nd": NDS,
    "theft": THEFTS,
}  # fmt: skip
NAMED = {f"{family}: {case.name}": case for family, cases in FAMILIES.items() for case in cases}
WITHIN_THE_SWITCH = {name: case for name, case in NAMED.items() if case.victim != 6}
"""Real frames cross provider networks here, and tunnels only in traces."""


@pytest.mark.parametrize("case", NAMED.values(), ids=NAMED)
def test_forged_frame_dies_where_it_should(lab: Lab, case: Case) -> None:
    """In the table that is there for it, with the reason that users see, and nobody hears of it."""
    fate = lab.trace(case.sender, case.forged)
    assert fate.drops == [(case.table, case.reason)], fate.text
    assert (fate.arrived, fate.answered, fate.punted) == (set(), False, False), fate.text


@pytest.mark.parametrize("case", NAMED.values(), ids=NAMED)
def test_legal_twin_arrives(lab: Lab, case: Case) -> None:
    """Or the drop proves nothing."""
    fate = lab.trace(case.sender, case.twin)
    assert case.victim in fate.arrived, fate.text


@pytest.mark.parametrize("case", WITHIN_THE_SWITCH.values(), ids=WITHIN_THE_SWITCH)
def test_victim_receives_only_the_twin(lab: Lab, case: Case) -> None:
    """With real frames, in the order sent: what comes out first is the twin."""
    lab.send(case.sender, case.forged)
    lab.send(case.sender, case.twin)
    assert lab.receive(case.victim) == case.twin


FIRST_FRAGMENTS = {
    "DHCP answer": broadcast4(1, payload=LEASE_GRANTED, fragment=FIRST),
    "DHCPv6 answer": to_all6(fragment_header(UDP, more=True) + DHCP6, FRAGMENT),
    "router advertisement": in_fragment(icmp6_of(ADVERTISED)),
    "solicitation": in_fragment(icmp6_of(SOLICITS)),
}


@pytest.mark.parametrize("frame", FIRST_FRAGMENTS.values(), ids=FIRST_FRAGMENTS)
def test_bridge_that_hides_ports_of_fragments_lets_none_through(lab: Lab, frame: bytes) -> None:
    """Which is what Open vSwitch does unless it is told otherwise; somebody may tell it so again."""
    lab.switch.ofctl("set-frags", "host1", "normal")
    try:
        fate = lab.trace(1, frame)
    finally:
        lab.switch.ofctl("set-frags", "host1", "nx-match")
    assert (fate.arrived, fate.drops) == (set(), [(Table.SOURCE_SECURITY, Reason.CUT_HEADERS)]), fate.text


def test_each_case_has_a_name_of_its_own() -> None:
    assert len(NAMED) == sum(map(len, FAMILIES.values())) >= 60
