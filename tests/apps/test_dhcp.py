# SPDX-License-Identifier: Apache-2.0
"""The DHCPv4 responder: what a client sends in each state, and what it gets. Requirements S25, S31.

Answers are read by os_ken's packet library, which knows nothing of ours.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from os_ken.lib.packet import dhcp as dhcp_lib
from os_ken.lib.packet import ethernet as ethernet_lib
from os_ken.lib.packet import ipv4 as ipv4_lib
from os_ken.lib.packet import packet
from os_ken.lib.packet import udp as udp_lib

from sdnctl.apps import frames
from sdnctl.apps.dhcp import Answer, Verdict, reply
from sdnctl.apps.frames import Bootp
from sdnctl.apps.leases import Lease, Route
from sdnctl.flows.notation import mac as mac_text
from sdnctl.model.port import DhcpOption
from tests.apps.packets import checksum, mac, v4

SERVER = v4(250)
LEASE = Lease(
    mac=mac(5),
    address=v4(5),
    prefix_length=24,
    server_address=SERVER,
    server_mac=mac(250),
    gateway=v4(254),
    dns_servers=(0x08080808, 0x01010101),
    domain="example.test",
    search_domains=("example.test",),
    hostname="vm-five",
    mtu=1450,
    time_s=86400,
    routes=(),
    options=(),
)
DISCOVER, REQUEST, DECLINE, RELEASE, INFORM = b"\1", b"\3", b"\4", b"\7", b"\10"
ASKED = bytes((1, 28, 2, 3, 15, 6, 119, 12, 44, 47, 26, 121, 42))
"""What dhclient asks for."""
QUESTION = Bootp(
    eth_dst=frames.BROADCAST_MAC,
    eth_src=mac(5),
    ip_src=0,
    ip_dst=frames.BROADCAST,
    udp_src=68,
    udp_dst=67,
    op=1,
    xid=0x12345678,
    client=mac(5).to_bytes(6, "big") + bytes(10),
    options={},
)


def four(address: int) -> bytes:
    return address.to_bytes(4, "big")


def question(kind: bytes, options: dict[int, bytes] | None = None, **header: object) -> bytes:
    """A client's message of this type."""
    return frames.build(replace(QUESTION, options={53: kind, **(options or {})}, **header))  # type: ignore[arg-type]


def ask(
    kind: bytes, options: dict[int, bytes] | None = None, *, lease: Lease | None = LEASE, **header: object
) -> Answer:
    return reply(question(kind, options, **header), lease)


def message(answer: Answer) -> Bootp:
    assert answer.frame is not None, answer.kind
    return frames.parse(answer.frame)


def options(answer: Answer) -> dict[int, bytes]:
    """Options in the order in which they are sent."""
    return dict(message(answer).options)


# --- who is answered, and how it travels ----------------------------------------------------------------------------


def test_discover_is_offered_the_lease() -> None:
    """Read by somebody else's library: addresses, checksums, lengths, all of it."""
    answer = ask(DISCOVER, {55: ASKED, 61: b"\1" + QUESTION.client[:6]})
    assert answer.kind is Verdict.OFFER
    assert answer.frame is not None
    found = packet.Packet(answer.frame)
    frame, header = found.get_protocol(ethernet_lib.ethernet), found.get_protocol(ipv4_lib.ipv4)
    datagram, offer = found.get_protocol(udp_lib.udp), found.get_protocol(dhcp_lib.dhcp)
    assert (frame.dst, frame.src) == (mac_text(mac(5)), mac_text(mac(250)))
    assert (header.src, header.dst, header.ttl) == ("10.0.0.250", "10.0.0.5", 64)
    assert (datagram.src_port, datagram.dst_port) == (67, 68)
    assert (offer.op, offer.xid, offer.yiaddr, offer.chaddr) == (2, 0x12345678, "10.0.0.5", mac_text(mac(5)))
    told = {one.tag: one.value for one in offer.options.option_list}
    assert told == {
        53: b"\2",
        54: four(SERVER),
        51: four(86400),
        58: four(43200),
        59: four(75600),
        1: four(0xFFFFFF00),
        28: four(v4(255)),
        3: four(v4(254)),
        15: b"example.test",
        6: four(0x08080808) + four(0x01010101),
        119: b"\7example\4test\0",
        12: b"vm-five",
        26: (1450).to_bytes(2, "big"),
        61: b"\1" + QUESTION.client[:6],
    }
    assert checksum(answer.frame[14:34]) == 0
    assert len(answer.frame) - 14 == header.total_length
    length = datagram.total_length
    pseudo = answer.frame[26:34] + b"\0\x11" + length.to_bytes(2, "big")
    assert checksum(pseudo + answer.frame[34 : 34 + length]) == 0


def test_offer_is_broadcast_to_who_asks_for_that() -> None:
    """A client may be unable to receive unicast before it has its address."""
    offer = message(ask(DISCOVER, flags=0x8000))
    assert (offer.eth_dst, offer.ip_dst, offer.flags) == (frames.BROADCAST_MAC, frames.BROADCAST, 0x8000)
    assert offer.yiaddr == v4(5)


STATES: dict[str, dict[str, Any]] = {
    "selecting": {"options": {50: four(v4(5)), 54: four(SERVER)}},
    "init-reboot": {"options": {50: four(v4(5))}},
    "renewing": {"ciaddr": v4(5), "ip_src": v4(5), "ip_dst": SERVER, "eth_dst": mac(250)},
    "rebinding": {"ciaddr": v4(5), "ip_src": v4(5)},
}


@pytest.mark.parametrize("state", STATES)
def test_request_for_the_right_address_is_confirmed(state: str) -> None:
    answer = ask(REQUEST, **STATES[state])
    assert answer.kind is Verdict.ACK
    ack = message(answer)
    assert (ack.yiaddr, ack.ip_dst, ack.eth_dst) == (v4(5), v4(5), mac(5))
    assert (ack.options[53], ack.options[51]) == (b"\5", four(86400))
    assert ack.ciaddr == (v4(5) if "ciaddr" in STATES[state] else 0)


WRONG: dict[str, dict[str, Any]] = {
    "selecting": {"options": {50: four(v4(6)), 54: four(SERVER)}},
    "init-reboot": {"options": {50: four(0xC0A80101)}},
    "renewing": {"ciaddr": v4(6), "ip_src": v4(6), "ip_dst": SERVER},
    "rebinding": {"ciaddr": v4(6), "ip_src": v4(6)},
}


@pytest.mark.parametrize("state", WRONG)
def test_request_for_a_wrong_address_is_refused(state: str) -> None:
    """To all, without an address, so that a client with the wrong address hears it."""
    answer = ask(REQUEST, **WRONG[state])
    assert answer.kind is Verdict.NAK
    nak = message(answer)
    assert (nak.yiaddr, nak.ciaddr, nak.siaddr) == (0, 0, 0)
    assert (nak.ip_dst, nak.eth_dst) == (frames.BROADCAST, frames.BROADCAST_MAC)
    assert list(nak.options) == [53, 54, 56]
    assert nak.options[53] == b"\6"


def test_inform_is_told_everything_but_an_address() -> None:
    """The client has one by other means: no times, nothing in yiaddr (RFC 2131, 4.3.5)."""
    answer = ask(INFORM, {55: ASKED}, ciaddr=v4(5), ip_src=v4(5))
    ack = message(answer)
    assert (answer.kind, ack.yiaddr, ack.ciaddr, ack.ip_dst, ack.eth_dst) == (Verdict.ACK, 0, v4(5), v4(5), mac(5))
    assert not {51, 58, 59} & set(ack.options)
    assert ack.options[6] == four(0x08080808) + four(0x01010101)


def test_inform_without_an_address_is_told_by_broadcast() -> None:
    assert message(ask(INFORM)).ip_dst == frames.BROADCAST


SILENT = {
    "decline": (question(DECLINE, {50: four(v4(5)), 54: four(SERVER)}), Verdict.DECLINE),
    "release": (question(RELEASE, {54: four(SERVER)}, ciaddr=v4(5)), Verdict.RELEASE),
    "decline meant for another": (question(DECLINE, {54: four(v4(1))}), Verdict.OTHER_SERVER),
    "another server's offer taken": (question(REQUEST, {50: four(v4(5)), 54: four(v4(1))}), Verdict.OTHER_SERVER),
    "somebody else's hardware address": (
        question(DISCOVER, client=mac(6).to_bytes(6, "big") + bytes(10)),
        Verdict.FOREIGN_CLIENT,
    ),
    "through a relay": (question(DISCOVER, giaddr=v4(1)), Verdict.RELAYED),
    "request for no address": (question(REQUEST), Verdict.MALFORMED),
    "request for half an address": (question(REQUEST, {50: b"\x0a\0"}), Verdict.MALFORMED),
    "an offer": (question(b"\2"), Verdict.UNSUPPORTED),
    "force renew": (question(b"\11"), Verdict.UNSUPPORTED),
    "type of two bytes": (question(b"\1\1"), Verdict.MALFORMED),
    "BOOTP without a type": (frames.build(QUESTION), Verdict.MALFORMED),
    "BOOTP without the cookie": (frames.build(QUESTION)[:278] + bytes(64), Verdict.MALFORMED),
    "a server's answer": (question(b"\2", op=2), Verdict.MALFORMED),
    "not to the server's port": (question(DISCOVER, udp_dst=68), Verdict.MALFORMED),
    "not an Ethernet client": (question(DISCOVER, hardware=0x2008), Verdict.MALFORMED),
    "nothing": (b"", Verdict.MALFORMED),
    "SNAP": (question(DISCOVER)[:12] + b"\1\x2c\xaa\xaa\3\0\0\0" + question(DISCOVER)[12:], Verdict.MALFORMED),
    "tag": (question(DISCOVER)[:12] + b"\x81\0\0\5" + question(DISCOVER)[12:], Verdict.MALFORMED),
    "fragment": (question(DISCOVER)[:20] + b"\x20\0" + question(DISCOVER)[22:], Verdict.MALFORMED),
    "later fragment": (question(DISCOVER)[:20] + b"\0\1" + question(DISCOVER)[22:], Verdict.MALFORMED),
    "TCP": (question(DISCOVER)[:23] + b"\6" + question(DISCOVER)[24:], Verdict.MALFORMED),
    "IPv6 in an IPv4 frame": (question(DISCOVER)[:14] + b"\x65" + question(DISCOVER)[15:], Verdict.MALFORMED),
    "IP header of 4 words": (question(DISCOVER)[:14] + b"\x44" + question(DISCOVER)[15:], Verdict.MALFORMED),
    "IP length too long": (question(DISCOVER)[:16] + b"\x0f\0" + question(DISCOVER)[18:], Verdict.MALFORMED),
    "UDP length too long": (question(DISCOVER)[:38] + b"\x0f\0" + question(DISCOVER)[40:], Verdict.MALFORMED),
    "UDP length too short": (question(DISCOVER)[:38] + b"\0\x20" + question(DISCOVER)[40:], Verdict.MALFORMED),
}


@pytest.mark.parametrize(("frame", "verdict"), SILENT.values(), ids=SILENT)
def test_silence_has_a_name(frame: bytes, verdict: Verdict) -> None:
    assert reply(frame, LEASE) == Answer(verdict)


def test_port_without_a_lease_gets_no_answer() -> None:
    assert ask(DISCOVER, lease=None) == Answer(Verdict.NO_LEASE)


def test_trailer_of_the_frame_is_ignored() -> None:
    """Ethernet pads short frames, and some cards leave the checksum of the frame on."""
    assert reply(question(DISCOVER) + b"\xff" * 40, LEASE).kind is Verdict.OFFER


def test_header_options_of_ip_are_skipped() -> None:
    frame = question(DISCOVER)
    length = int.from_bytes(frame[16:18], "big") + 4
    longer = frame[:14] + b"\x46\0" + length.to_bytes(2, "big") + frame[18:34] + b"\x94\4\0\0" + frame[34:]
    assert reply(longer, LEASE).kind is Verdict.OFFER


def test_wrong_checksums_do_not_matter() -> None:
    """A guest leaves them to its network card, and there is none."""
    frame = question(DISCOVER)
    assert reply(frame[:40] + b"\xde\xad" + frame[42:], LEASE).kind is Verdict.OFFER


@pytest.mark.parametrize("overload", (1, 2, 3))
def test_options_in_the_header_are_read(overload: int) -> None:
    """A client with many options puts some into the fields `file` and `sname` (option 52)."""
    hidden = frames.option(50, four(v4(6))) + b"\xff"
    told = {53: REQUEST, 52: bytes((overload,))}
    message = (
        replace(QUESTION, options=told, sname=hidden) if overload == 2 else replace(QUESTION, options=told, file=hidden)
    )
    frame = frames.build(message)
    assert reply(frame, LEASE).kind is Verdict.NAK


@given(st.binary(max_size=700))
def test_any_bytes_are_met_without_an_error(frame: bytes) -> None:
    assert reply(frame, LEASE).frame is None


@given(st.binary(max_size=400), st.binary(max_size=128), st.binary(max_size=64))
def test_any_options_are_met_without_an_error(tail: bytes, file: bytes, sname: bytes) -> None:
    """Behind a header that is right, so that they are read."""
    frame = frames.assemble(replace(QUESTION, file=file, sname=sname), b"\x35\1\3" + tail)
    assert isinstance(reply(frame, LEASE), Answer)


@given(st.integers(0, 330), st.binary(min_size=1, max_size=4))
def test_any_damage_is_met_without_an_error(at: int, damage: bytes) -> None:
    frame = question(REQUEST, {50: four(v4(5)), 55: ASKED})
    assert isinstance(reply(frame[:at] + damage + frame[at + len(damage) :], LEASE), Answer)


@given(st.integers(0, 340))
def test_any_length_is_met_without_an_error(length: int) -> None:
    assert isinstance(reply(question(DISCOVER)[:length], LEASE), Answer)


# --- what it is told ------------------------------------------------------------------------------------------------


def test_order_is_the_clients() -> None:
    """What must be there comes first, then the client's list in its order."""
    assert list(options(ask(DISCOVER, {55: bytes((26, 6, 3, 1, 12, 99))}))) == [53, 54, 51, 58, 59, 1, 26, 6, 3, 12]
    assert list(options(ask(DISCOVER, {55: bytes((12, 3, 6, 26))}))) == [53, 54, 51, 58, 59, 1, 12, 3, 6, 26]


def test_nothing_asked_for_is_everything() -> None:
    assert list(options(ask(DISCOVER))) == [53, 54, 51, 58, 59, 1, 3, 6, 15, 12, 26, 28, 119]


def test_nothing_is_told_that_was_not_asked_for() -> None:
    assert set(options(ask(DISCOVER, {55: bytes((1, 6))}))) == {53, 54, 51, 58, 59, 1, 6}


def test_network_without_gateway_and_resolver() -> None:
    lease = replace(LEASE, gateway=None, dns_servers=(), search_domains=())
    assert not {3, 6, 119, 121} & set(options(ask(DISCOVER, {55: ASKED}, lease=lease)))


def test_routes_bring_the_default_route_along() -> None:
    """Who takes option 121 ignores option 3 (RFC 3442)."""
    lease = replace(LEASE, routes=(Route(0xC0A80000, 16, v4(9)), Route(0xAC100000, 12, v4(8))))
    told = options(ask(DISCOVER, {55: bytes((121, 3, 249))}, lease=lease))
    routes = b"\x10\xc0\xa8" + four(v4(9)) + b"\x0c\xac\x10" + four(v4(8)) + b"\0" + four(v4(254))
    assert (told[121], told[249], told[3]) == (routes, routes, four(v4(254)))


@pytest.mark.parametrize(
    ("lease", "routes"),
    (
        (replace(LEASE, routes=(Route(0, 0, v4(9)),)), b"\0" + four(v4(9))),
        (replace(LEASE, routes=(Route(v4(77), 32, v4(9)),), gateway=None), b"\x20" + four(v4(77)) + four(v4(9))),
    ),
    ids=("a default route of its own", "no gateway"),
)
def test_routes_alone(lease: Lease, routes: bytes) -> None:
    assert options(ask(DISCOVER, {55: b"\x79"}, lease=lease))[121] == routes


def test_no_routes_no_option() -> None:
    """An empty list of routes would take the default route away."""
    assert 121 not in options(ask(DISCOVER, {55: b"\x79\x03"}))


@pytest.mark.parametrize(
    ("prefix", "mask", "broadcast"),
    (
        (24, 0xFFFFFF00, v4(255)),
        (30, 0xFFFFFFFC, v4(7)),
        (31, 0xFFFFFFFE, None),
        (32, 0xFFFFFFFF, None),
        (8, 0xFF000000, 0x0AFFFFFF),
    ),
)
def test_mask_and_broadcast_address(prefix: int, mask: int, broadcast: int | None) -> None:
    told = options(ask(DISCOVER, {55: b"\x01\x1c"}, lease=replace(LEASE, prefix_length=prefix)))
    assert told[1] == four(mask)
    assert told.get(28) == (None if broadcast is None else four(broadcast))


def with_options(*pairs: tuple[str, str]) -> Lease:
    return replace(LEASE, options=tuple(DhcpOption(name, value) for name, value in pairs))


def test_own_options_are_told_unasked() -> None:
    """Somebody set them for this very port. They come after what was asked for."""
    lease = with_options(("ntp-server", "10.0.0.3,10.0.0.4"), ("43", "01:02:03"), ("209", "pxelinux.cfg/vm"))
    told = options(ask(DISCOVER, {55: b"\x03"}, lease=lease))
    assert list(told)[-4:] == [3, 42, 43, 209]
    assert (told[42], told[43], told[209]) == (four(v4(3)) + four(v4(4)), b"\1\2\3", b"pxelinux.cfg/vm")


def test_own_options_replace_what_follows_from_the_network() -> None:
    lease = with_options(("mtu", "1400"), ("router", "10.0.0.9"), ("netmask", "255.255.0.0"), ("hostname", "other"))
    told = options(ask(DISCOVER, {55: ASKED}, lease=lease))
    assert (told[26], told[3], told[1], told[12]) == (b"\x05\x78", four(v4(9)), four(0xFFFF0000), b"other")


def test_own_router_is_the_default_route_too() -> None:
    lease = replace(with_options(("router", "10.0.0.9")), routes=(Route(0xC0A80000, 16, v4(8)),))
    assert options(ask(DISCOVER, {55: b"\x79"}, lease=lease))[121].endswith(b"\0" + four(v4(9)))


def test_own_lease_time_sets_the_other_times() -> None:
    told = options(ask(DISCOVER, lease=with_options(("lease-time", "800"))))
    assert (told[51], told[58], told[59]) == (four(800), four(400), four(700))
    told = options(ask(DISCOVER, lease=with_options(("lease-time", "800"), ("T1", "100"))))
    assert (told[51], told[58], told[59]) == (four(800), four(100), four(700))


def test_own_option_nobody_knows_is_left_out() -> None:
    lease = with_options(("no-such-option", "1"), ("mtu", "many"), ("53", "05"), ("ntp-server", "10.0.0.3"))
    told = options(ask(DISCOVER, lease=lease))
    assert (told[26], told[53], told[42]) == ((1450).to_bytes(2, "big"), b"\2", four(v4(3)))


@pytest.mark.parametrize(
    ("pairs", "siaddr", "sname", "file"),
    (
        ((("server-ip-address", "10.0.0.7"), ("bootfile-name", "pxelinux.0")), v4(7), b"", b"pxelinux.0"),
        ((("tftp-server", "10.0.0.8"), ("bootfile-name", "a/b.efi")), v4(8), b"10.0.0.8", b"a/b.efi"),
        ((("tftp-server", "boot.example"), ("67", "x")), 0, b"boot.example", b"x"),
        ((("server-ip-address", "10.0.0.7"), ("66", "10.0.0.8")), v4(7), b"10.0.0.8", b""),
        ((("bootfile-name", "x" * 127),), 0, b"", b"x" * 127),
        ((("bootfile-name", "x" * 128),), 0, b"", b""),
    ),
    ids=("next server", "address as server", "name as server", "both", "longest file", "file too long"),
)
def test_boot_server_and_file_are_in_the_header_too(
    pairs: tuple[tuple[str, str], ...], siaddr: int, sname: bytes, file: bytes
) -> None:
    """Firmware of network cards looks there first."""
    offer = message(ask(DISCOVER, {55: b"\x42\x43"}, lease=with_options(*pairs)))
    assert (offer.siaddr, offer.sname, offer.file) == (siaddr, sname, file)
    for code, name in ((66, "tftp-server"), (67, "bootfile-name")):
        values = [value for key, value in pairs if key in (name, str(code))]
        assert offer.options.get(code) == (values[0].encode() if values else None)


def test_identifiers_are_echoed_last() -> None:
    """The client's (RFC 6842), in refusals too, and a relay's after everything else (RFC 3046)."""
    sent = {61: b"\xff" + bytes(18), 82: b"\1\4port"}
    told = options(ask(DISCOVER, sent))
    assert list(told)[-2:] == [61, 82]
    assert (told[61], told[82]) == (sent[61], sent[82])
    assert options(ask(REQUEST, {50: four(v4(6)), **sent}))[61] == sent[61]


def test_shortest_answer_is_a_bootp_message_of_300_bytes() -> None:
    answer = ask(REQUEST, {50: four(v4(6))})
    assert answer.frame is not None
    assert len(answer.frame) == 14 + 28 + 300


@pytest.mark.parametrize(
    ("maximum", "allowed"), ((None, 576), (0, 576), (575, 576), (700, 700), (1200, 1200), (9000, 1450))
)
def test_answer_is_no_longer_than_the_client_takes(maximum: int | None, allowed: int) -> None:
    """Nor than the network takes. What is left out is what stands last, never what must be there."""
    own = tuple((str(code), "x" * 60) for code in range(224, 254))
    lease = with_options(*own)
    sent = {55: bytes((3, 6, *range(224, 254)))}
    if maximum is not None:
        sent[57] = maximum.to_bytes(2, "big")
    answer = ask(DISCOVER, sent, lease=lease)
    assert answer.frame is not None
    assert allowed - 64 < len(answer.frame) - 14 <= allowed
    told = list(options(answer))
    assert told[:8] == [53, 54, 51, 58, 59, 1, 3, 6]
    assert told[8:] == list(range(224, 224 + len(told) - 8))


def test_a_smaller_option_takes_the_room_a_larger_one_left() -> None:
    lease = with_options(("224", "x" * 255), ("225", "y" * 255), ("226", "z"))
    assert list(options(ask(DISCOVER, {55: bytes((224, 225, 226))}, lease=lease)))[6:] == [224, 226]


def test_endless_identifier_leaves_room_for_what_must_be_there() -> None:
    told = options(ask(DISCOVER, {61: b"i" * 255, 82: b"r" * 255, 55: ASKED}))
    assert {53, 54, 51, 58, 59, 1, 61} <= set(told)
    assert 82 not in told


@given(st.binary(max_size=255), st.integers(0, 65535), st.binary(min_size=1, max_size=255))
def test_answers_keep_to_the_rules_whatever_is_asked(wanted: bytes, maximum: int, identifier: bytes) -> None:
    """Length, order, and an end to the options."""
    sent = {57: maximum.to_bytes(2, "big"), 61: identifier} | ({55: wanted} if wanted else {})
    answer = ask(DISCOVER, sent)
    assert answer.frame is not None
    assert 14 + 28 + 300 <= len(answer.frame) <= 14 + max(576, min(maximum, 1450))
    told = message(answer)
    assert list(told.options)[:6] == [53, 54, 51, 58, 59, 1]
    assert set(told.options) - {53, 54, 51, 58, 59, 1, 61} <= (set(wanted) or set(told.options))
