# SPDX-License-Identifier: Apache-2.0
"""DHCP all the way round: frame in, packet-in, reply, packet-out, frame out. And what never comes to the controller."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from sdnctl.apps import dhcp, frames, meters
from sdnctl.apps.dhcp import Verdict
from sdnctl.flows.action import Output
from sdnctl.flows.pipeline import App, Kind, Owner
from sdnctl.flows.wire import CONTROLLER_PORT, packet_out
from tests.apps.lab import SHOW_FRAGMENTS, Lab
from tests.apps.packets import broadcast4, mac, tag, udp, v4
from tests.apps.test_dhcp import DISCOVER, LEASE, REQUEST, four, question
from tests.support.dummy_ovs import RawConnection

pytestmark = pytest.mark.switch

PACKET_IN = 10
LEASE_OF_1 = replace(LEASE, mac=mac(1), address=v4(1))


def from_guest(number: int, kind: bytes = DISCOVER, options: dict[int, bytes] | None = None, **header: object) -> bytes:
    client = mac(number).to_bytes(6, "big") + bytes(10)
    return question(kind, options, **{"eth_src": mac(number), "client": client, **header})


def packet_in(connection: RawConnection) -> tuple[int, bytes]:
    """Cookie and frame of the next packet-in."""
    while (message := connection.receive())[1] != PACKET_IN:
        pass
    (cookie,) = struct.unpack_from("!Q", message, 16)
    (length,) = struct.unpack_from("!H", message, 26)
    return cookie, message[24 + (length + 7) // 8 * 8 + 2 :]


def test_lease_is_taken(lab: Lab) -> None:
    """DISCOVER to ACK over a real switch, byte for byte what the client sent and what it is sent."""
    with RawConnection(lab.switch.socket("host1")) as connection:
        connection.ask(SHOW_FRAGMENTS)
        answers = []
        for asked in (from_guest(1), from_guest(1, REQUEST, {50: four(v4(1)), 54: four(LEASE.server_address)})):
            lab.send(1, asked)
            cookie, frame = packet_in(connection)
            assert (cookie, frame) == (Owner(App.DHCP, Kind.PORT, 1).cookie(), asked)
            answer = dhcp.reply(frame, LEASE_OF_1)
            assert answer.frame is not None
            assert connection.ask(packet_out(CONTROLLER_PORT, (Output(1),), answer.frame)) == []
            assert lab.receive(1) == answer.frame
            answers.append(answer.kind)
    assert answers == [Verdict.OFFER, Verdict.ACK]


@pytest.mark.parametrize(
    ("sender", "frame"),
    (
        (1, from_guest(1)),
        (1, from_guest(1, REQUEST, ciaddr=v4(1), ip_src=v4(1))),
        (1, from_guest(1, REQUEST, ciaddr=v4(1), ip_src=v4(1), ip_dst=v4(250), eth_dst=mac(250))),
        (31, from_guest(31)),
    ),
    ids=("without an address", "rebinding", "renewing", "port security off"),
)
def test_question_is_punted_and_goes_nowhere_else(lab: Lab, sender: int, frame: bytes) -> None:
    fate = lab.trace(sender, frame)
    assert fate.punted, fate.text
    assert (fate.arrived, fate.drops) == (set(), []), fate.text


@pytest.mark.parametrize(
    ("sender", "frame"),
    (
        (1, from_guest(2)),
        (1, from_guest(1, ip_src=v4(2))),
        (1, tag(from_guest(1), 5)),
        (1, broadcast4(1, src=0, payload=udp(69, 67, bytes(260)))),
        (5, from_guest(5)),
    ),
    ids=("foreign MAC", "foreign address", "tagged", "from another port", "without a lease"),
)
def test_anything_else_never_comes_to_the_controller(lab: Lab, sender: int, frame: bytes) -> None:
    fate = lab.trace(sender, frame)
    assert not fate.punted, fate.text
    assert len(fate.drops) == 1, fate.text


def test_flood_of_one_port_ends_in_its_meter(lab: Lab) -> None:
    """A burst passes and the rest is dropped by the switch; another port is answered meanwhile."""
    flood = [from_guest(2, xid=number) for number in range(500)]
    with RawConnection(lab.switch.socket("host1")) as connection:
        connection.ask(SHOW_FRAGMENTS)
        for frame in flood:
            lab.send(2, frame)
        lab.settle()
        lab.send(3, from_guest(3))
        seen = []
        while (frame := packet_in(connection)[1]) != from_guest(3):
            seen.append(frames.parse(frame).xid)
    assert seen[: meters.BURST] == list(range(meters.BURST))
    assert len(seen) < 250, "the meter lets a burst through, and then its rate"
