# SPDX-License-Identifier: Apache-2.0
"""Forged link layer: MAC addresses, groups that no bridge forwards, tags, LLC and SNAP, other protocols."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

from topologies import frames
from topologies.forgeries.parts import (
    DATA,
    LEGAL_GROUP,
    NOBODY,
    Builder,
    Forgery,
    Identity,
    addressed,
    advert,
    arp_reply,
    datagram,
    dhcp_server,
    echo,
    in_snap,
    legal4,
    legal6,
    legal_advert,
    legal_arp,
    router,
    source,
    tag,
    typed,
)

FOREIGN_MAC: Final = "FOREIGN_MAC"
RESERVED_MAC: Final = "RESERVED_MAC"
TAGGED: Final = "TAGGED"
SNAP: Final = "SNAP"
ETHERTYPE: Final = "ETHERTYPE"
FOREIGN_ARP: Final = "FOREIGN_ARP"
FOREIGN_IPV4: Final = "FOREIGN_IPV4"
FOREIGN_IPV6: Final = "FOREIGN_IPV6"
FOREIGN_ND: Final = "FOREIGN_ND"
ROUTER_ADVERTISEMENT: Final = "ROUTER_ADVERTISEMENT"
DHCP_SERVER: Final = "DHCP_SERVER"


def _from_mac(change: bytes, build: Builder) -> Builder:
    """The frame, and in its sender MAC alone the bits of `change` are others."""

    def changed(me: Identity, to: Identity, mark: str) -> bytes:
        frame = build(me, to, mark)
        mac = bytes(one ^ other for one, other in zip(frame[6:12], change, strict=True))
        return frame[:6] + mac + frame[12:]

    return changed


def _advertises_nobody(me: Identity, to: Identity, mark: str) -> bytes:
    return advert(me.ipv6, NOBODY.ipv6, me.mac, me, to, mark)


LAST_BIT: Final = bytes.fromhex("000000000001")
LOCAL_BIT: Final = bytes.fromhex("020000000000")
GROUP_BIT: Final = bytes.fromhex("010000000000")


def _to(group: str, ethertype: int) -> Builder:
    """Another protocol, to a group's MAC address."""
    return lambda me, _to, mark: frames.ethernet(group, me.mac, ethertype, DATA, mark)


def _llc(head: str, *, length: int | None = None) -> Builder:
    """An 802.3 frame whose payload begins so."""

    def build(me: Identity, to: Identity, mark: str) -> bytes:
        payload = (bytes.fromhex(head) + DATA + mark.encode()).ljust(46, b"\0")
        said = len(payload) if length is None else length
        return frames.mac_bytes(to.mac) + frames.mac_bytes(me.mac) + said.to_bytes(2, "big") + payload

    return build


def _other_types() -> Iterator[Forgery]:
    """What neither IPv4, IPv6 nor ARP is, with a legal IPv4 packet behind it where it carries one."""
    for name, ethertype in OTHER_TYPES.items():
        yield Forgery(f"ethertype-{name}", 4, ETHERTYPE, _carrying(ethertype), legal4)


def _carrying(ethertype: int) -> Builder:
    def build(me: Identity, to: Identity, mark: str) -> bytes:
        frame = legal4(me, to, mark)
        return frame[:12] + ethertype.to_bytes(2, "big") + frame[14:]

    return build


OTHER_TYPES: Final = {
    "pppoe-session": 0x8864,
    "mpls-multicast": 0x8848,
    "eapol": 0x888E,
    "macsec": 0x88E5,
    "provider-backbone": 0x88E7,
    "fibre-channel": 0x8906,
    "fibre-channel-init": 0x8914,
    "roce": 0x8915,
    "service-header": 0x894F,
    "transparent-bridging": 0x6558,
    "precision-time": 0x88F7,
    "audio-video": 0x22F0,
    "wake-on-lan": 0x0842,
    "ipx": 0x8137,
    "appletalk": 0x809B,
    "tag-of-a-vendor": 0x9200,
    "vmware-beacon": 0x8922,
    "smallest": 0x0600,
    "largest": 0xFFFF,
}

LINK: Final = (
    Forgery("mac", 4, FOREIGN_MAC, lambda me, to, mark: datagram(NOBODY.mac, me.ipv4, to, mark), legal4),
    Forgery("mac6", 6, FOREIGN_MAC, lambda me, to, mark: datagram(NOBODY.mac, me.ipv6, to, mark), legal6),
    Forgery("mac-of-receiver", 4, FOREIGN_MAC, lambda me, to, mark: datagram(to.mac, me.ipv4, to, mark), legal4),
    Forgery(
        "mac-multicast", 4, FOREIGN_MAC, lambda me, to, mark: datagram("01:00:5e:01:02:03", me.ipv4, to, mark), legal4
    ),
    Forgery(
        "mac-broadcast", 4, FOREIGN_MAC, lambda me, to, mark: datagram(frames.BROADCAST, me.ipv4, to, mark), legal4
    ),
    Forgery("mac-zero", 4, FOREIGN_MAC, lambda me, to, mark: datagram("00:00:00:00:00:00", me.ipv4, to, mark), legal4),
    Forgery("to-spanning-tree", 4, RESERVED_MAC, addressed("01:80:c2:00:00:00"), LEGAL_GROUP),
    Forgery("to-link-discovery", 4, RESERVED_MAC, addressed("01:80:c2:00:00:0e"), LEGAL_GROUP),
    Forgery("vlan-tag", 4, TAGGED, tag(legal4, 100), legal4),
    Forgery("priority-tag", 4, TAGGED, tag(legal4, 0, priority=5), legal4),
    Forgery("service-tag", 4, TAGGED, tag(legal4, 100, tpid=frames.ETH_QINQ), legal4),
    Forgery("old-double-tag", 4, TAGGED, tag(legal4, 100, tpid=0x9100), legal4),
    Forgery("qinq", 4, TAGGED, tag(tag(legal4, 100), 200, tpid=frames.ETH_QINQ), legal4),
    Forgery("llc", 4, SNAP, lambda me, to, mark: frames.llc(to.mac, me.mac, mark), legal4),
    Forgery("snap-foreign-oui", 4, SNAP, in_snap(legal4, b"\x08\0\x07"), legal4),
    Forgery("snap-tag", 4, TAGGED, in_snap(tag(legal4, 100)), legal4),
    Forgery("snap-ipv4", 4, FOREIGN_IPV4, in_snap(source(NOBODY.ipv4)), legal4),
    Forgery("snap-arp", 4, FOREIGN_ARP, in_snap(partial(arp_reply, NOBODY.mac, NOBODY.ipv4)), legal_arp),
    Forgery("snap-router-advertisement", 6, ROUTER_ADVERTISEMENT, in_snap(router()), echo()),
    Forgery("snap-dhcp-server", 4, DHCP_SERVER, in_snap(dhcp_server(68)), dhcp_server(6868)),
    Forgery("ethertype-lldp", 4, ETHERTYPE, typed(0x88CC), legal4),
    Forgery("ethertype-storage", 4, ETHERTYPE, typed(0x88A2), legal4),
    Forgery("ethertype-pppoe", 4, ETHERTYPE, typed(0x8863), legal4),
    Forgery("ethertype-mpls", 4, ETHERTYPE, typed(0x8847), legal4),
    Forgery("ethertype-loopback", 4, ETHERTYPE, typed(0x9000), legal4),
    Forgery("ethertype-experimental", 4, ETHERTYPE, typed(0x88B5), legal4),
    Forgery("mac-last-bit", 4, FOREIGN_MAC, _from_mac(LAST_BIT, legal4), legal4),
    Forgery("mac-local-bit", 4, FOREIGN_MAC, _from_mac(LOCAL_BIT, legal4), legal4),
    Forgery("mac-group-bit", 4, FOREIGN_MAC, _from_mac(GROUP_BIT, legal4), legal4),
    Forgery("mac-group-bit6", 6, FOREIGN_MAC, _from_mac(GROUP_BIT, legal6), legal6),
    Forgery("mac-under-arp", 4, FOREIGN_MAC, _from_mac(LAST_BIT, legal_arp), legal_arp),
    Forgery("mac-under-advertisement", 6, FOREIGN_MAC, _from_mac(LAST_BIT, legal_advert), legal_advert),
    Forgery("mac-under-snap", 4, FOREIGN_MAC, _from_mac(LAST_BIT, in_snap(legal4)), in_snap(legal4)),
    Forgery("to-pause", 4, RESERVED_MAC, _to("01:80:c2:00:00:01", 0x8808), LEGAL_GROUP),
    Forgery("to-link-aggregation", 4, RESERVED_MAC, _to("01:80:c2:00:00:02", 0x8809), LEGAL_GROUP),
    Forgery("to-authenticator", 4, RESERVED_MAC, _to("01:80:c2:00:00:03", 0x888E), LEGAL_GROUP),
    Forgery("to-link-discovery-typed", 4, RESERVED_MAC, _to("01:80:c2:00:00:0e", 0x88CC), LEGAL_GROUP),
    Forgery("to-last-reserved", 4, RESERVED_MAC, addressed("01:80:c2:00:00:0f"), addressed("01:80:c2:00:00:10")),
    Forgery("vlan-tag-of-one", 4, TAGGED, tag(legal4, 1), legal4),
    Forgery("vlan-tag-of-all", 4, TAGGED, tag(legal4, 4095), legal4),
    Forgery("vlan-tag-of-a-network", 4, TAGGED, tag(legal4, 101), legal4),
    Forgery("vlan-tag-on-arp", 4, TAGGED, tag(legal_arp, 100), legal_arp),
    Forgery("priority-tag-on-arp", 4, TAGGED, tag(legal_arp, 0), legal_arp),
    Forgery("priority-tag-on-forged-arp", 4, TAGGED, tag(partial(arp_reply, NOBODY.mac, NOBODY.ipv4), 0), legal_arp),
    Forgery("priority-tag-on-router-advertisement", 6, TAGGED, tag(router(), 0), echo()),
    Forgery("priority-tag-on-dhcp-server", 4, TAGGED, tag(dhcp_server(68), 0), dhcp_server(6868)),
    Forgery("service-tag-of-zero", 4, TAGGED, tag(legal4, 0, tpid=frames.ETH_QINQ), legal4),
    Forgery("old-double-tag-outside", 4, TAGGED, tag(tag(legal4, 100), 200, tpid=0x9100), legal4),
    Forgery("old-double-tag-inside", 4, TAGGED, tag(tag(legal4, 100, tpid=0x9100), 200), legal4),
    Forgery("two-tags", 4, TAGGED, tag(tag(legal4, 100), 200), legal4),
    Forgery("two-tags-of-zero", 4, TAGGED, tag(tag(legal4, 0), 0), legal4),
    Forgery("two-service-tags", 4, TAGGED, tag(tag(legal4, 1, tpid=frames.ETH_QINQ), 2, tpid=frames.ETH_QINQ), legal4),
    Forgery("three-tags", 4, TAGGED, tag(tag(tag(legal4, 1), 2), 3), legal4),
    Forgery("snap-service-tag", 4, TAGGED, in_snap(tag(legal4, 100, tpid=frames.ETH_QINQ)), legal4),
    Forgery("snap-old-double-tag", 4, TAGGED, in_snap(tag(legal4, 100, tpid=0x9100)), legal4),
    Forgery("snap-priority-tag-on-router-advertisement", 6, TAGGED, in_snap(tag(router(), 0)), echo()),
    Forgery("tag-on-snap", 4, TAGGED, tag(in_snap(legal4), 100), legal4),
    Forgery("priority-tag-on-snap", 4, TAGGED, tag(in_snap(source(NOBODY.ipv4)), 0), legal4),
    Forgery("snap-bridge-tunnel", 4, SNAP, in_snap(legal4, b"\0\0\xf8"), legal4),
    Forgery("snap-vendor", 4, SNAP, in_snap(legal4, b"\0\0\x0c"), legal4),
    Forgery("snap-router-advertisement-vendor", 6, SNAP, in_snap(router(), b"\0\0\xf8"), echo()),
    Forgery("snap-arp-vendor", 4, SNAP, in_snap(legal_arp, b"\0\0\xf8"), legal_arp),
    Forgery("snap-other-type", 4, ETHERTYPE, in_snap(typed(0x88B5)), legal4),
    Forgery("snap-ipv6", 6, FOREIGN_IPV6, in_snap(source(NOBODY.ipv6)), legal6),
    Forgery("snap-advertisement", 6, FOREIGN_ND, in_snap(_advertises_nobody), legal_advert),
    Forgery("llc-netbios", 4, SNAP, _llc("f0f003"), legal4),
    Forgery("llc-router-information", 4, SNAP, _llc("fefe03"), legal4),
    Forgery("llc-raw", 4, SNAP, _llc("ffff0022"), legal4),
    Forgery("llc-of-length-0", 4, SNAP, _llc("424203", length=0), legal4),
    Forgery("llc-too-long", 4, SNAP, _llc("424203", length=1500), legal4),
    Forgery("llc-of-no-length", 4, SNAP, _llc("aaaa03000000", length=0x05FF), legal4),
    *_other_types(),
)
