# SPDX-License-Identifier: Apache-2.0
"""Client isolation, as traces: one end of whatever arrives is a service port, and reasons are right where it is not.

Networks 5 (vxlan), 6 (vlan) and 7 (flat) are isolated, 8 is not. On each, guests 1 and 2 of its ten are clients of host
1, 3 one of host 2; 4 and 5 are service ports, one on each host; 6, a service port too, shares a second MAC with 5; 7 is
a client that may use a MAC of service port 4's.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sdnctl.flows.pipeline import Reason, Table
from sdnctl.model.filters import Filters
from sdnctl.model.network import NetworkType
from sdnctl.model.views import ServiceMac, Source
from tests.apps.clouds import Cloud, Guest, Net, flows_of
from tests.apps.lab import Lab, lab_of
from tests.apps.packets import (
    BROADCAST,
    IPV4,
    arp,
    broadcast4,
    ethernet,
    ipv4,
    mac,
    multicast6,
    sll,
    solicitation,
    tag,
    to4,
    to6,
    udp,
    v4,
    v6,
)

pytestmark = pytest.mark.switch

ISOLATED = {
    5: Net(5, NetworkType.VXLAN, 5005, isolated=True),
    6: Net(6, NetworkType.VLAN, 306, isolated=True),
    7: Net(7, NetworkType.FLAT, None, isolated=True),
}
PLAIN = Net(8, NetworkType.VXLAN, 5008)
NOBODY = 99
VIP = 0x1F0
TAKEN = 0x1F1


def pair(address: int, network: int) -> tuple[Source, ...]:
    return (Source(mac(address + network), 4, v4(address + network), 0xFFFFFFFF),)


def on(net: Net) -> Iterator[Guest]:
    base = 10 * net.key
    for number in (1, 2, 3):
        yield Guest(base + number, net, 2 if number == 3 else 1)
    # On a provider network a port without MAC filter gets unicast for other hosts' ports as well.
    loose = Filters(mac=net.type is not NetworkType.VXLAN)
    yield Guest(base + 4, net, 1, service=True, pairs=pair(TAKEN, net.key), filters=loose)
    yield Guest(base + 5, net, 2, service=True, pairs=pair(VIP, net.key))
    yield Guest(base + 6, net, 1, service=True, pairs=pair(VIP, net.key))
    yield Guest(base + 7, net, 1, pairs=pair(TAKEN, net.key))


CLOUD = Cloud(tuple(guest for net in (*ISOLATED.values(), PLAIN) for guest in on(net)))
GUESTS = {guest.number: guest for guest in CLOUD.guests}


@pytest.fixture(scope="module", name="lab")
def _lab() -> Iterator[Lab]:
    with lab_of(CLOUD) as built:
        yield built


def reached(guest: Guest) -> set[int]:
    """Whom the guest reaches, in words of the API."""
    others = {one.number for one in CLOUD.guests if one.net == guest.net and one is not guest}
    if guest.service or not guest.net.isolated:
        return others
    return {number for number in others if GUESTS[number].service}


@pytest.mark.parametrize("sender", CLOUD.guests, ids=lambda guest: f"{guest.net.type.value}{guest.number}")
def test_one_end_is_a_service_port(lab: Lab, sender: Guest) -> None:
    """Unicast of both versions, broadcast, multicast: to whom it may go, in one copy each, and to nobody else."""
    n, may = sender.number, reached(sender)
    for guest in CLOUD.guests:
        if guest.net == sender.net and guest is not sender:
            for frame in (
                to4(n, guest.number),
                to6(n, guest.number),
                arp(n, v4(n), v4(guest.number), op=2, dst=mac(guest.number)),
            ):
                fate = lab.trace(n, frame)
                assert fate.copies == ([guest.number] if guest.number in may else []), fate.text
                if guest.number not in may:
                    assert fate.drops == [(Table.ISOLATION, Reason.ISOLATED)], fate.text
    for frame in (broadcast4(n), multicast6(n, udp(1, 2), 17), arp(n, v4(n), v4(NOBODY))):
        fate = lab.trace(n, frame)
        assert sorted(fate.copies) == sorted(may), fate.text


@pytest.mark.parametrize("net", ISOLATED.values(), ids=lambda net: net.type.value)
def test_answers_are_about_service_ports(lab: Lab, net: Net) -> None:
    """For everybody; about a client nobody is answered on the way, and the client answers services itself."""
    base = 10 * net.key
    client, other, service, served = base + 1, base + 2, base + 4, base + 5
    assert lab.trace(client, arp(client, v4(client), v4(service))).answered
    assert lab.trace(client, solicitation(client, v6(service), sll(mac(client)))).answered
    assert lab.trace(service, arp(service, v4(service), v4(served))).answered
    for question in (arp(client, v4(client), v4(other)), solicitation(client, v6(other), sll(mac(client)))):
        fate = lab.trace(client, question)
        assert (fate.answered, fate.arrived) == (False, reached(GUESTS[client])), fate.text
    for question in (arp(service, v4(service), v4(other)), solicitation(service, v6(other), sll(mac(service)))):
        fate = lab.trace(service, question)
        assert (fate.answered, fate.arrived) == (False, reached(GUESTS[service])), fate.text


@pytest.mark.parametrize("net", ISOLATED.values(), ids=lambda net: net.type.value)
def test_a_mac_of_several_service_ports_is_flooded_to_services_only(lab: Lab, net: Net) -> None:
    base = 10 * net.key
    client, services = base + 1, {base + 4, base + 5, base + 6}
    frame = ethernet(mac(VIP + net.key), mac(client), IPV4, to4(client, base + 5)[14:])
    assert lab.trace(client, frame).arrived == services


@pytest.mark.parametrize("net", ISOLATED.values(), ids=lambda net: net.type.value)
def test_a_mac_that_a_client_may_use_is_no_service_ports(lab: Lab, net: Net) -> None:
    """Or the client would reach everybody by it."""
    base = 10 * net.key
    frame = to4(base + 7, base + 1, src=v4(TAKEN + net.key))
    frame = frame[:6] + mac(TAKEN + net.key).to_bytes(6, "big") + frame[12:]
    fate = lab.trace(base + 7, frame)
    assert (fate.arrived, fate.drops) == (set(), [(Table.ISOLATION, Reason.ISOLATED)]), fate.text


@pytest.mark.parametrize("net", (ISOLATED[6], ISOLATED[7]), ids=lambda net: net.type.value)
def test_a_stranger_on_the_wire_is_a_client(lab: Lab, net: Net) -> None:
    base = 10 * net.key
    packet = ipv4(v4(NOBODY), v4(base + 1), udp(1, 2))
    for dst, arrived in (
        (mac(base + 1), set()),
        (mac(base + 4), {base + 4}),
        (mac(NOBODY), set()),
        (BROADCAST, {base + 4, base + 6}),
    ):
        frame = ethernet(dst, mac(NOBODY), IPV4, packet)
        fate = lab.trace_from_provider(1, tag(frame, 306) if net.segment else frame)
        assert fate.arrived == arrived, fate.text


def test_what_it_costs() -> None:
    """Two flows to a MAC of a service port, two to a network, and nothing to a client, who loses three answers."""
    for view in CLOUD.views(1):
        if isinstance(view, ServiceMac):
            assert len(flows_of(view)) == 2
    more = Cloud((*CLOUD.guests, Guest(59, ISOLATED[5], 2)))
    assert count(more, 1) - count(CLOUD, 1) == 1, "where it is, and nothing else"
    assert {flow.text() for view in CLOUD.views(1) for flow in flows_of(view) if flow.table == Table.ISOLATION} == {
        flow.text() for view in more.views(1) for flow in flows_of(view) if flow.table == Table.ISOLATION
    }


def count(cloud: Cloud, host: int) -> int:
    return sum(len(flows_of(view)) for view in cloud.views(host))
