# SPDX-License-Identifier: Apache-2.0
"""DHCPv4: a port's client is answered by us, from its lease, wherever it is plugged.

    table RESPONDERS               reads FROM_PORT
    prio 200  DHCP from a client that has a lease: to the controller, behind the port's meter
    prio 100  DHCP from any other client                            drop DHCP_CLIENT

What a client may send to whom was decided in SOURCE_SECURITY, and a server's answers of a workload died there.

`reply` is the responder: the bytes a port sent and the port's lease in, what to do and the bytes to send back out. It
knows no state of its own. A lease is a fact of the port's, not an agreement with a client, so the same question has the
same answer from any controller at any time, and DECLINE and RELEASE change nothing.

Nobody can make it fail: what is not a DHCP question from the port's own MAC address is met with silence, and the
silence has a name (`Verdict`), which is counted.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sdnctl.apps import frames, meters
from sdnctl.apps.frames import BROADCAST, BROADCAST_MAC, Bootp, FrameError, option
from sdnctl.apps.leases import Defaults, Lease, lease_for
from sdnctl.flows.action import Controller
from sdnctl.flows.flow import Flow, drop
from sdnctl.flows.match import Match
from sdnctl.flows.pipeline import App, Kind, Owner, Reason, Table
from sdnctl.flows.registers import FROM_PORT
from sdnctl.model import dhcp_options
from sdnctl.model.views import HostView, LocalPort

__all__ = ["Answer", "Defaults", "Lease", "Verdict", "lease_for", "reply"]

CLIENT: Final = 68
SERVER: Final = 67

# --- the stage ----------------------------------------------------------------------------------------------------

PUNT: Final = 200
REFUSE: Final = 100

_QUESTION: Final = Match().udp4(CLIENT, SERVER)


def host_flows(view: HostView) -> Iterator[Flow]:
    owner = Owner(App.DHCP, Kind.HOST, view.key)
    yield drop(Table.RESPONDERS, REFUSE, _QUESTION, owner, Reason.DHCP_CLIENT)


def port_flows(view: LocalPort) -> Iterator[Flow]:
    if view.dhcp:
        asked = _QUESTION.slot(FROM_PORT, view.key)
        cookie = Owner(App.DHCP, Kind.PORT, view.key).cookie()
        yield Flow(Table.RESPONDERS, PUNT, asked, (meters.punt(view.ofport), Controller()), cookie)


# --- the responder ------------------------------------------------------------------------------------------------


class Verdict(enum.StrEnum):
    """What became of a packet; the first three are answers, the rest is silence."""

    OFFER = "offer"
    ACK = "ack"
    NAK = "nak"
    MALFORMED = "malformed"
    """Not a DHCP question in an Ethernet II frame, or one that contradicts itself."""
    NO_LEASE = "no_lease"
    """The port has no address in a subnet with DHCP (it lost it since its flows were made)."""
    FOREIGN_CLIENT = "foreign_client"
    """It asks for a hardware address that is not the port's."""
    RELAYED = "relayed"
    """It came through a relay, whose clients are none of ours."""
    OTHER_SERVER = "other_server"
    """It is meant for another server, whose offer the client took."""
    DECLINE = "decline"
    """The client found its address in use: somebody who may must be using it, which is for people to look at."""
    RELEASE = "release"
    UNSUPPORTED = "unsupported"
    """A message type that no client sends, or one we do not serve."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a packet, and the frame to send back if it is answered."""

    kind: Verdict
    frame: bytes | None = None


DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)

MASK: Final = 1
ROUTER: Final = 3
DNS: Final = 6
HOSTNAME: Final = 12
DOMAIN: Final = 15
MTU: Final = 26
BROADCAST_ADDRESS: Final = 28
NTP: Final = 42
REQUESTED_ADDRESS: Final = 50
LEASE_TIME: Final = 51
MESSAGE_TYPE: Final = 53
SERVER_ID: Final = 54
PARAMETERS: Final = 55
MESSAGE: Final = 56
LONGEST_MESSAGE: Final = 57
RENEWAL_TIME: Final = 58
REBINDING_TIME: Final = 59
CLIENT_ID: Final = 61
TFTP_SERVER: Final = 66
BOOTFILE: Final = 67
RELAY: Final = 82
SEARCH: Final = 119
ROUTES: Final = 121
MS_ROUTES: Final = 249

ALWAYS: Final = (MASK,)
"""Sent whether asked for or not, and ahead of the router, as RFC 2132 (3.3) wants it."""
TIMES: Final = (LEASE_TIME, RENEWAL_TIME, REBINDING_TIME)
UNASKED: Final = (ROUTER, DNS, DOMAIN, HOSTNAME, MTU, BROADCAST_ADDRESS, NTP, SEARCH, ROUTES)
"""Sent to a client that gives no list, most important first."""

BROADCAST_FLAG: Final = 0x8000
REQUEST_OP: Final = 1
REPLY_OP: Final = 2
ETHERNET: Final = 0x0106
SMALLEST_MAXIMUM: Final = 576
"""Every client takes IP packets of this size (RFC 2131, 2)."""

_SILENCE: Final = {verdict: Answer(verdict) for verdict in Verdict}
_NOT_YOURS: Final = option(MESSAGE, b"this port has another address")


def reply(frame: bytes, lease: Lease | None) -> Answer:
    """The answer to what a port with `lease` sent. Never raises, whatever the bytes."""
    try:
        question = frames.parse(frame)
    except FrameError:
        return _SILENCE[Verdict.MALFORMED]
    if question.op != REQUEST_OP or question.udp_dst != SERVER or question.hardware != ETHERNET:
        return _SILENCE[Verdict.MALFORMED]
    if lease is None:
        return _SILENCE[Verdict.NO_LEASE]
    if question.giaddr:
        return _SILENCE[Verdict.RELAYED]
    if question.client[:6] != lease.mac.to_bytes(6, "big"):
        return _SILENCE[Verdict.FOREIGN_CLIENT]
    kind = question.options.get(MESSAGE_TYPE)
    if kind is None or len(kind) != 1:
        return _SILENCE[Verdict.MALFORMED]
    server = question.options.get(SERVER_ID)
    if server is not None and server != lease.server_address.to_bytes(4, "big"):
        return _SILENCE[Verdict.OTHER_SERVER]
    match kind[0]:
        case 1:  # DISCOVER
            return _answer(Verdict.OFFER, OFFER, question, lease)
        case 3:  # REQUEST
            return _requested(question, lease)
        case 4:  # DECLINE
            return _SILENCE[Verdict.DECLINE]
        case 7:  # RELEASE
            return _SILENCE[Verdict.RELEASE]
        case 8:  # INFORM
            return _answer(Verdict.ACK, ACK, question, lease, has_address=False)
        case _:
            return _SILENCE[Verdict.UNSUPPORTED]


def _requested(question: Bootp, lease: Lease) -> Answer:
    """The answer to a REQUEST in any state of the client (RFC 2131, 4.3.2)."""
    # Selecting and init-reboot name the address in an option, renewing and rebinding in the header.
    named = question.options.get(REQUESTED_ADDRESS)
    wanted = question.ciaddr if named is None else int.from_bytes(named, "big")
    if not wanted or (named is not None and len(named) != 4):
        return _SILENCE[Verdict.MALFORMED]
    if wanted != lease.address:
        return _refusal(question, lease)
    return _answer(Verdict.ACK, ACK, question, lease)


def _answer(verdict: Verdict, kind: int, question: Bootp, lease: Lease, *, has_address: bool = True) -> Answer:
    """An OFFER or ACK; for an INFORM without address and times, because the client has an address of its own."""
    told = _told(lease)
    asked = question.options
    longest = int.from_bytes(asked.get(LONGEST_MESSAGE, b""), "big")
    room = min(max(SMALLEST_MAXIMUM, longest), max(SMALLEST_MAXIMUM, lease.mtu))
    room -= frames.HEADERS + frames.BOOTP_HEADER + 1
    head = bytes((MESSAGE_TYPE, 1, kind)) + told.server_id
    head += (told.times if has_address else b"") + told.always
    echoed = _echoed(asked, room - len(head))
    rest = _chosen(lease, asked.get(PARAMETERS, b""), room - len(head) - len(echoed))
    confirmed = question.ciaddr if kind == ACK else 0
    if confirmed:
        eth_dst, ip_dst = lease.mac, confirmed
    elif question.flags & BROADCAST_FLAG or not has_address:
        eth_dst, ip_dst = BROADCAST_MAC, BROADCAST
    else:
        eth_dst, ip_dst = lease.mac, lease.address
    answer = Bootp(
        eth_dst=eth_dst,
        eth_src=lease.server_mac,
        ip_src=lease.server_address,
        ip_dst=ip_dst,
        udp_src=SERVER,
        udp_dst=CLIENT,
        op=REPLY_OP,
        xid=question.xid,
        client=question.client,
        options={},
        flags=question.flags,
        ciaddr=confirmed,
        yiaddr=lease.address if has_address else 0,
        siaddr=told.next_server,
        sname=told.sname,
        file=told.file,
    )
    return Answer(verdict, frames.assemble(answer, head + rest + echoed))


def _refusal(question: Bootp, lease: Lease) -> Answer:
    """A NAK: the client has an address that is not its own and must begin anew."""
    head = bytes((MESSAGE_TYPE, 1, NAK)) + _told(lease).server_id + _NOT_YOURS
    room = SMALLEST_MAXIMUM - frames.HEADERS - frames.BOOTP_HEADER - 1
    answer = Bootp(
        eth_dst=BROADCAST_MAC,
        eth_src=lease.server_mac,
        ip_src=lease.server_address,
        ip_dst=BROADCAST,
        udp_src=SERVER,
        udp_dst=CLIENT,
        op=REPLY_OP,
        xid=question.xid,
        client=question.client,
        options={},
        flags=question.flags,
    )
    return Answer(Verdict.NAK, frames.assemble(answer, head + _echoed(question.options, room - len(head))))


def _echoed(asked: Mapping[int, bytes], room: int) -> bytes:
    """What is returned as it came: the client's identifier (RFC 6842) and, last of all, a relay's (RFC 3046)."""
    echoed = b""
    for code in (CLIENT_ID, RELAY):
        value = asked.get(code)
        if value is not None:
            same = option(code, value)
            if len(echoed) + len(same) <= room:
                echoed += same
    return echoed


@dataclass(frozen=True, slots=True)
class _Told:
    """A lease as options on the wire."""

    server_id: bytes
    always: bytes
    times: bytes
    options: Mapping[int, bytes]
    """What a client may ask for."""
    extra: tuple[int, ...]
    """Numbers of the port's own options."""
    next_server: int
    sname: bytes
    file: bytes


@lru_cache(maxsize=1 << 14)
def _told(lease: Lease) -> _Told:
    own: dict[int, bytes] = {}
    for extra in lease.options:
        try:
            code, value = dhcp_options.encode(extra.name, extra.value)
        except ValueError:
            continue  # a name nobody knows; what can be known to be wrong the API has refused
        own[code] = value
    next_server = own.pop(dhcp_options.NEXT_SERVER, None) or _as_address(own.get(TFTP_SERVER, b""))
    seconds = int.from_bytes(own[LEASE_TIME], "big") if LEASE_TIME in own else lease.time_s
    values = _defaults(lease) | _times(seconds) | own
    if ROUTES not in own and lease.routes:
        values[ROUTES] = _routes(lease, values.get(ROUTER))
    if ROUTES in values:
        values.setdefault(MS_ROUTES, values[ROUTES])
    return _Told(
        option(SERVER_ID, lease.server_address.to_bytes(4, "big")),
        b"".join(option(code, values[code]) for code in ALWAYS),
        b"".join(option(code, values[code]) for code in TIMES),
        {code: option(code, value) for code, value in values.items() if code not in ALWAYS + TIMES},
        tuple(own),
        int.from_bytes(next_server, "big"),
        _fitting(own.get(TFTP_SERVER, b""), 64),
        _fitting(own.get(BOOTFILE, b""), 128),
    )


def _defaults(lease: Lease) -> dict[int, bytes]:
    """Option values that follow from network, subnet and port."""
    hosts = (1 << 32 - lease.prefix_length) - 1
    values = {
        MASK: (BROADCAST ^ hosts).to_bytes(4, "big"),
        HOSTNAME: lease.hostname.encode(),
        DOMAIN: lease.domain.encode(),
        MTU: lease.mtu.to_bytes(2, "big"),
        SEARCH: b"".join(map(dhcp_options.domain, lease.search_domains)),
    }
    if lease.gateway is not None:
        values[ROUTER] = lease.gateway.to_bytes(4, "big")
    if lease.dns_servers:
        values[DNS] = b"".join(server.to_bytes(4, "big") for server in lease.dns_servers)
    if lease.prefix_length < 31:
        values[BROADCAST_ADDRESS] = (lease.address | hosts).to_bytes(4, "big")
    return {code: value for code, value in values.items() if value}


def _as_address(server: bytes) -> bytes:
    """The address of a boot server that is given as one: old network cards look for it in the header only."""
    try:
        return ipaddress.IPv4Address(server.decode()).packed
    except ValueError:
        return b""


def _fitting(text: bytes, size: int) -> bytes:
    """`text` if a field of `size` bytes holds it and the zero that ends it; a part of a name is no name."""
    return text if len(text) < size else b""


def _times(seconds: int) -> dict[int, bytes]:
    return {
        LEASE_TIME: seconds.to_bytes(4, "big"),
        RENEWAL_TIME: (seconds // 2).to_bytes(4, "big"),
        REBINDING_TIME: (seconds * 7 // 8).to_bytes(4, "big"),
    }


def _routes(lease: Lease, router: bytes | None) -> bytes:
    """The subnet's routes, and the default route with them: whoever takes this option ignores the router's."""
    routes = [dhcp_options.route(route.destination, route.prefix_length, route.gateway) for route in lease.routes]
    if router is not None and all(route.prefix_length for route in lease.routes):
        routes.append(dhcp_options.route(0, 0, int.from_bytes(router[:4], "big")))
    return b"".join(routes)


@lru_cache(maxsize=1 << 14)
def _chosen(lease: Lease, wanted: bytes, room: int) -> bytes:
    """The options for a client that asks for `wanted`, in its order, as far as they fit; then the port's own."""
    told = _told(lease)
    chosen: list[bytes] = []
    for code in dict.fromkeys((*(wanted or UNASKED), *told.extra)):
        found = told.options.get(code)
        if found is not None and len(found) <= room:
            chosen.append(found)
            room -= len(found)
    return b"".join(chosen)
