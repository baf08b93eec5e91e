# SPDX-License-Identifier: Apache-2.0
"""What somebody on the underlay tries: frames in tunnels, from machines that are no hosts of ours or in a host's name.

As in `forgeries`, each has a legal twin. All are laid on the cable of one host, as any machine of the underlay could;
what a host's own address sends with a VNI of the network is believed, so the underlay has to be closed to others.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from topologies import frames
from topologies.forgeries import NOBODY, Identity

STRANGER: Final = "192.0.2.99"
"""An address of the underlay that no host has."""
STRANGERS_MAC: Final = "52:54:00:77:77:77"


@dataclass(frozen=True, slots=True)
class Underlay:
    """Where an injection goes: a host, one of its guests, and the host and guest that it comes from if it is legal."""

    host: str
    """Tunnel address of the host whose cable it is."""
    host_mac: str
    peer: str
    """Tunnel address of another host."""
    vni: int
    """Of the network that the two guests are in."""
    other_vni: int
    """Of another tenant's network, with a guest on `host`."""
    absent_vni: int
    """Of a network without any on `host`."""
    to: Identity
    sender: Identity
    """Its guest on the other host."""
    other: Identity
    """The other tenant's guest on `host`."""


Inject = Callable[[Underlay, str], bytes]
"""(where, marker) -> frame of the underlay."""


@dataclass(frozen=True, slots=True)
class Injection:
    """A frame that must not arrive."""

    name: str
    reason: str
    """Why the host drops it, as in `Forgery`; "" when Open vSwitch does not take it for a tunnelled frame at all."""
    forged: Inject


def _inner(at: Underlay, mark: str) -> bytes:
    """A legal frame between the two guests."""
    packet = frames.udp(at.sender.ipv4, at.to.ipv4, 4000, 4001, b"x")
    return frames.ethernet(at.to.mac, at.sender.mac, frames.ETH_IPV4, packet, mark)


def _outer(at: Underlay, packet: bytes, *, dst: str = "") -> bytes:
    return frames.ethernet(dst or at.host_mac, STRANGERS_MAC, frames.ETH_IPV4, packet)


def _tunnelled(
    at: Underlay, mark: str, *, src: str = "", dst: str = "", vni: int | None = None, inner: bytes | None = None
) -> bytes:
    number = at.vni if vni is None else vni
    carried = _inner(at, mark) if inner is None else inner
    return _outer(at, frames.vxlan(src or at.peer, dst or at.host, number, carried))


def legal(at: Underlay, mark: str, inner: bytes | None = None) -> bytes:
    """What the other host would send."""
    return _tunnelled(at, mark, inner=inner)


def _changed(change: Callable[[bytes], bytes]) -> Inject:
    """Legal but for this change to the frame inside."""
    return lambda at, mark: _tunnelled(at, mark, inner=change(_inner(at, mark)))


def _to(dst: str) -> Callable[[bytes], bytes]:
    return lambda frame: frames.mac_bytes(dst) + frame[6:]


def _from(src: str) -> Callable[[bytes], bytes]:
    return lambda frame: frame[:6] + frames.mac_bytes(src) + frame[12:]


def _tagged(*vids: int, tpid: int = frames.ETH_VLAN) -> Callable[[bytes], bytes]:
    def tagged(frame: bytes) -> bytes:
        for vid in vids:
            frame = frames.tagged(frame, vid, tpid=tpid)
        return frame

    return tagged


def _header(flags: int, *, port: int = frames.VXLAN_PORT) -> Inject:
    """Other flags than "this is a VNI", or another port."""

    def build(at: Underlay, mark: str) -> bytes:
        body = struct.pack("!II", flags << 24, at.vni << 8) + _inner(at, mark)
        return _outer(at, frames.udp(at.peer, at.host, 40000, port, body))

    return build


def _gre(at: Underlay, mark: str) -> bytes:
    """The same network by GRE (transparent Ethernet, with a key)."""
    body = struct.pack("!HHI", 0x2000, 0x6558, at.vni) + _inner(at, mark)
    return _outer(at, frames.ipv4(at.peer, at.host, 47, body))


def _fragment(at: Underlay, mark: str) -> bytes:
    whole = frames.vxlan(at.peer, at.host, at.vni, _inner(at, mark))
    return _outer(at, frames.ipv4(at.peer, at.host, frames.UDP, whole[20:], fragment=0x2000))


def nested(at: Underlay, mark: str, dst: str) -> bytes:
    """Legal on the outside: a frame between the two guests. In it a tunnelled one to `dst`, for the other tenant."""
    packet = frames.udp(NOBODY.ipv4, at.other.ipv4, 1, 2, b"x")
    deepest = frames.ethernet(at.other.mac, at.sender.mac, frames.ETH_IPV4, packet, mark)
    carried = frames.vxlan(at.sender.ipv4, dst, at.other_vni, deepest)
    return frames.ethernet(at.to.mac, at.sender.mac, frames.ETH_IPV4, carried)


INJECTIONS: Final = (
    Injection("from-a-stranger", "UNKNOWN_PEER", lambda at, mark: _tunnelled(at, mark, src=STRANGER)),
    Injection("from-the-host-itself", "UNKNOWN_PEER", lambda at, mark: _tunnelled(at, mark, src=at.host)),
    Injection("from-nowhere", "UNKNOWN_PEER", lambda at, mark: _tunnelled(at, mark, src="0.0.0.0")),
    Injection("from-loopback", "UNKNOWN_PEER", lambda at, mark: _tunnelled(at, mark, src="127.0.0.1")),
    Injection("from-a-group", "UNKNOWN_PEER", lambda at, mark: _tunnelled(at, mark, src="224.0.0.1")),
    Injection("from-a-guest", "UNKNOWN_PEER", lambda at, mark: _tunnelled(at, mark, src=at.sender.ipv4)),
    Injection("stranger-for-all", "UNKNOWN_PEER", lambda at, mark: _stranger_to(frames.BROADCAST, at, mark)),
    Injection("stranger-for-a-group", "UNKNOWN_PEER", lambda at, mark: _stranger_to("01:00:5e:01:02:03", at, mark)),
    Injection("vni-of-nobody", "UNKNOWN_VNI", lambda at, mark: _tunnelled(at, mark, vni=at.absent_vni)),
    Injection("vni-0", "UNKNOWN_VNI", lambda at, mark: _tunnelled(at, mark, vni=0)),
    Injection("vni-last", "UNKNOWN_VNI", lambda at, mark: _tunnelled(at, mark, vni=0xFFFFFF)),
    Injection("vni-next", "UNKNOWN_VNI", lambda at, mark: _tunnelled(at, mark, vni=at.vni ^ 0x800000)),
    Injection("vni-of-another-tenant", "UNKNOWN_MAC", lambda at, mark: _tunnelled(at, mark, vni=at.other_vni)),
    Injection("for-another-tenant", "UNKNOWN_MAC", lambda at, mark: _changed(_to(at.other.mac))(at, mark)),
    Injection("for-nobody", "UNKNOWN_MAC", _changed(_to(NOBODY.mac))),
    Injection("for-the-sender", "ELSEWHERE", lambda at, mark: _changed(_to(at.sender.mac))(at, mark)),
    Injection("tagged", "TAGGED", _changed(_tagged(100))),
    Injection("priority-tagged", "TAGGED", _changed(_tagged(0))),
    Injection("service-tagged", "TAGGED", _changed(_tagged(100, tpid=frames.ETH_QINQ))),
    Injection("old-double-tagged", "TAGGED", _changed(_tagged(100, tpid=0x9100))),
    Injection("twice-tagged", "TAGGED", _changed(_tagged(100, 200))),
    Injection("from-a-group-address", "FOREIGN_MAC", _changed(_from("01:00:5e:01:02:03"))),
    Injection("from-broadcast", "FOREIGN_MAC", _changed(_from(frames.BROADCAST))),
    Injection("for-spanning-tree", "RESERVED_MAC", _changed(_to("01:80:c2:00:00:00"))),
    Injection("for-link-discovery", "RESERVED_MAC", _changed(_to("01:80:c2:00:00:0e"))),
    Injection("snap", "SNAP", _changed(lambda frame: frames.snap(frame, oui=b"\0\0\xf8"))),
    Injection("llc", "SNAP", lambda at, mark: _tunnelled(at, "", inner=frames.llc(at.to.mac, at.sender.mac, mark))),
    Injection("without-the-vni-flag", "", _header(0)),
    Injection("to-another-port", "", _header(0x08, port=4790)),
    Injection("by-geneve", "", _header(0, port=6081)),
    Injection("by-gre", "", _gre),
    Injection("to-another-address", "", lambda at, mark: _tunnelled(at, mark, dst="192.0.2.98")),
    Injection("in-a-fragment", "", _fragment),
)
"""What must not arrive at any guest."""


def _stranger_to(dst: str, at: Underlay, mark: str) -> bytes:
    return _tunnelled(at, mark, src=STRANGER, inner=_to(dst)(_inner(at, mark)))
