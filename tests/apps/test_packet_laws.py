# SPDX-License-Identifier: Apache-2.0
"""Laws about packets, on random clouds: who may be whom, who gets what, and that nothing crosses, loops or doubles.

Each is tried with hundreds of random packets for each of the random clouds, on interpreters of the hosts' flows, joined
by tunnels and a provider bridge. That the interpreter tells the truth is `test_agreement.py`'s; that the laws find a
fault is `test_mutations.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdnctl.apps import security_groups
from sdnctl.flows.connections import EST_FLAG, INV_FLAG, NEW_FLAG, REL_FLAG, RPL_FLAG, always
from sdnctl.flows.fields import Field
from sdnctl.flows.packet import Packet
from sdnctl.flows.pipeline import Reason
from sdnctl.model.filters import Filters
from sdnctl.model.ids import GroupKey
from sdnctl.model.network import NetworkType
from sdnctl.model.security import Direction
from sdnctl.model.views import GroupRule, GroupView
from tests.apps import promise
from tests.apps.clouds import PATCH, TUNNEL, Cloud, Guest, Net
from tests.apps.packets import ARP, IPV4, UDP, mac, v4
from tests.apps.simulated import Fate, Simulated
from tests.apps.strategies import any_cloud
from tests.apps.traffic import Traffic

PACKETS = 200

law = settings(deadline=None, suppress_health_check=list(HealthCheck))


STATES = (
    NEW_FLAG,
    NEW_FLAG,
    NEW_FLAG,
    EST_FLAG,
    EST_FLAG | RPL_FLAG,
    REL_FLAG | NEW_FLAG,
    REL_FLAG | RPL_FLAG,
    INV_FLAG,
)
MARKS = (0, security_groups.MARK_CUT, security_groups.MARK_KEEP, security_groups.MARK_ALIVE)


def journeys(cloud: Cloud, seed: int) -> Iterator[tuple[int, Guest | None, Packet, Fate]]:
    """Packets that begin a connection, and what became of them, with the host and, if it is from one, the guest."""
    random = Random(seed)
    simulated = Simulated.of(cloud)
    for host in sorted({one.host for one in cloud.guests}):
        guests = {one.number: one for one in cloud.on(host)}
        traffic = Traffic(cloud, host, random)
        for packet in (*traffic.packets(PACKETS // len(cloud.hosts)), *traffic.about_shared()):
            yield host, guests.get(packet[Field.IN_PORT]), packet, simulated.bring(host, packet)


@given(any_cloud(), st.integers(0, 1 << 32))
@law
def test_who_gets_what_is_what_the_api_promises(cloud: Cloud, seed: int) -> None:
    for host, guest, packet, fate in journeys(cloud, seed):
        told = promise.sent(cloud, guest, packet) if guest else promise.received(cloud, host, packet)
        assert fate.promise == told, f"{packet!r}\n{fate.text}"


@given(any_cloud(), st.integers(0, 1 << 32))
@law
def test_connections_pass_as_promised(cloud: Cloud, seed: int) -> None:
    """The same for packets that the tracker knows something of: answers, errors, invalid ones, cut connections."""
    random = Random(seed)
    simulated = Simulated.of(cloud)
    for host in sorted({one.host for one in cloud.guests}):
        guests = {one.number: one for one in cloud.on(host)}
        for packet in Traffic(cloud, host, random).packets(PACKETS // len(cloud.hosts)):
            state, mark = random.choice(STATES), random.choice(MARKS)
            guest = guests.get(packet[Field.IN_PORT])
            fate = simulated.tracking(always(state, mark)).bring(host, packet)
            if guest:
                told = promise.sent(cloud, guest, packet, state, mark)
            else:
                told = promise.received(cloud, host, packet, state, mark)
            assert fate.promise == told, f"{packet!r}, state {state:#x}, mark {mark}\n{fate.text}"


@given(any_cloud(), st.integers(0, 1 << 32))
@law
def test_nobody_is_somebody_else(cloud: Cloud, seed: int) -> None:
    """Whatever leaves a port, for wherever it is, carries only identities that are its own, as far as filters look."""
    for _, guest, packet, fate in journeys(cloud, seed):
        if guest is None:
            continue
        for visit in fate.journey.visits[:1]:
            assert visit.outcome is not None
            for sent in visit.outcome.outputs:
                if sent.ofport != packet[Field.IN_PORT]:
                    assert promise.owns(cloud, guest, sent.packet), f"{packet!r}\n{fate.text}"


@given(any_cloud(), st.integers(0, 1 << 32))
@law
def test_nothing_crosses_networks(cloud: Cloud, seed: int) -> None:
    for host, guest, packet, fate in journeys(cloud, seed):
        net = guest.net if guest else promise.origin(cloud, host, packet)
        reached = {one.net for one in cloud.guests if one.number in dict(fate.copies)}
        assert reached <= {net}, f"{packet!r}\n{fate.text}"
        assert not fate.stray, f"{packet!r}\n{fate.text}"
        for sent in fate.outside:
            tag = 0x1000 | net.segment if net and net.type is NetworkType.VLAN and net.segment else 0
            assert sent[Field.VLAN_VID] == tag, f"{packet!r}\n{fate.text}"


@given(any_cloud(), st.integers(0, 1 << 32))
@law
def test_no_host_sees_a_packet_twice(cloud: Cloud, seed: int) -> None:
    """Hosts make no loop: what came from the underlay never goes back to it."""
    for _, guest, packet, fate in journeys(cloud, seed):
        hosts = [visit.host for visit in fate.journey.visits]
        assert len(hosts) == len(set(hosts)), f"{packet!r}\n{fate.text}"
        assert not fate.journey.is_endless
        if guest is None:
            assert len(hosts) == 1, f"{packet!r}\n{fate.text}"
        for visit in fate.journey.visits[1:]:
            assert visit.outcome is not None
            assert all(sent.ofport not in (TUNNEL, PATCH) for sent in visit.outcome.outputs)


@given(any_cloud(), st.integers(0, 1 << 32))
@law
def test_each_copy_is_the_packet_itself(cloud: Cloud, seed: int) -> None:
    """One copy for each who gets it; what arrives is what was sent, without tag and tunnel, with the sender's mark."""
    for _, guest, packet, fate in journeys(cloud, seed):
        numbers = [number for number, _ in fate.copies]
        assert len(numbers) == len(set(numbers)), f"{packet!r}\n{fate.text}"
        own = promise.as_sent(guest, packet)
        for _, copy in fate.copies:
            assert copy.on_the_wire() == own, f"{packet!r}\n{fate.text}"


@given(any_cloud(), st.integers(0, 1 << 32))
@law
def test_answers_tell_the_owner(cloud: Cloud, seed: int) -> None:
    for _, guest, packet, fate in journeys(cloud, seed):
        for said in fate.answers:
            assert guest is not None
            assert said[Field.ETH_SRC] == promise.answer(cloud, guest, packet), f"{packet!r}\n{fate.text}"
            assert said[Field.ETH_DST] == packet[Field.ETH_SRC]
            if said[Field.ETH_TYPE] == ARP:
                assert (said[Field.ARP_OP], said[Field.ARP_SHA]) == (2, said[Field.ETH_SRC])
                assert (said[Field.ARP_SPA], said[Field.ARP_TPA]) == (packet[Field.ARP_TPA], packet[Field.ARP_SPA])
                assert said[Field.ARP_THA] == packet[Field.ARP_SHA]
            else:
                assert (said[Field.ICMP6_TYPE], said[Field.ND_TLL]) == (136, said[Field.ETH_SRC])
                assert said[Field.ND_TARGET] == said[Field.IPV6_SRC] == packet[Field.ND_TARGET]
                assert (said[Field.IPV6_DST], said[Field.ND_RESERVED]) == (packet[Field.IPV6_SRC], 0x60000000)


GREEN = Net(1, NetworkType.VXLAN, 5000)


def test_what_is_for_an_unknown_mac_asks_the_groups_of_open_ports() -> None:
    """A port without MAC filter may have any MAC behind it, and its security groups still say who gets in."""
    open_one = Guest(2, GREEN, 1, filters=Filters(mac=False), groups=(1,))
    cloud = Cloud((Guest(1, GREEN, 1), open_one), policies=(GroupView(GroupKey(1), ()),))
    frame = {Field.IN_PORT: 1, Field.ETH_SRC: mac(1), Field.ETH_DST: mac(0x99), Field.ETH_TYPE: IPV4}
    packet = Packet.of(frame | {Field.IPV4_SRC: v4(1), Field.IPV4_DST: v4(0x99), Field.IP_PROTO: UDP})
    fate = Simulated.of(cloud).send(packet)
    assert [reason for _, _, reason in fate.drops] == [Reason.NOT_ALLOWED_TO]
    everybody = GroupRule(direction=Direction.INGRESS, version=4)
    allowed = replace(cloud, policies=(GroupView(GroupKey(1), (everybody,)),))
    assert Simulated.of(allowed).send(packet).promise.guests == (2,)
