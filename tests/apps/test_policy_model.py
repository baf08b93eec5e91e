# SPDX-License-Identifier: Apache-2.0
"""Random groups, rules and packets: who is reached on a real switch is who the API promises, written anew here."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sdnctl.model.filters import ALL
from sdnctl.model.ids import GroupKey
from sdnctl.model.network import NetworkType
from sdnctl.model.security import Direction
from sdnctl.model.views import GroupRule, GroupView
from tests.apps.clouds import Cloud, Guest, Net
from tests.apps.lab import Lab, lab_of
from tests.apps.packets import IPV4, IPV6, UDP, ethernet, ipv4, ipv6, ll, mac, udp, v4, v6
from tests.apps.test_laws import policies

pytestmark = pytest.mark.switch

TCP, ICMP, GRE = 6, 1, 47
GREEN = Net(1, NetworkType.VXLAN, 5000)
WHERE = {1: 1, 2: 1, 3: 1, 4: 2, 5: 2}
CLOUD = Cloud(tuple(Guest(number, GREEN, host) for number, host in WHERE.items()))


@dataclass(frozen=True)
class Packet:
    sender: int
    receiver: int
    version: int
    protocol: int
    port: int
    """Destination port; for ICMP the type."""
    code: int
    local: bool
    """By link-local addresses."""

    def address(self, number: int) -> int:
        if self.version == 4:
            return v4(number)
        return ll(number) if self.local else v6(number)

    def frame(self) -> bytes:
        body = {
            UDP: udp(4000, self.port),
            TCP: struct.pack("!HHIIBBHHH", 4000, self.port, 1, 0, 0x50, 2, 8192, 0, 0),
            ICMP: struct.pack("!BBHHH", self.port & 0xFF, self.code, 0, 1, 1),
            GRE: bytes(8),
        }[self.protocol]
        src, dst = self.address(self.sender), self.address(self.receiver)
        packet = ipv4(src, dst, body, self.protocol) if self.version == 4 else ipv6(src, dst, self.protocol, body)
        return ethernet(mac(self.receiver), mac(self.sender), IPV4 if self.version == 4 else IPV6, packet)


packets = st.builds(
    Packet,
    st.sampled_from(tuple(WHERE)),
    st.sampled_from(tuple(WHERE)),
    st.just(4),
    st.sampled_from((TCP, UDP, UDP, ICMP, GRE)),
    st.sampled_from((0, 79, 80, 85, 90, 91, 255, 256)),
    st.sampled_from((0, 90, 255)),
    st.just(value=False),
) | st.builds(
    Packet,
    st.sampled_from(tuple(WHERE)),
    st.sampled_from(tuple(WHERE)),
    st.just(6),
    st.sampled_from((TCP, UDP)),
    st.sampled_from((79, 80, 443)),
    st.just(0),
    st.booleans(),
)


@st.composite
def clouds(draw: st.DrawFn) -> Cloud:
    guests = tuple(
        replace(
            guest,
            groups=tuple(sorted(draw(st.sets(st.integers(1, 4), max_size=2)))),
            stateful=draw(st.booleans()),
            filters=draw(st.sampled_from((ALL, ALL, ALL, None))),
        )
        for guest in CLOUD.guests
    )
    return replace(CLOUD, guests=guests, policies=tuple(draw(policies(GroupKey(key))) for key in range(1, 5)))


# --- the promise ---------------------------------------------------------------------------------------------------


def arrives(cloud: Cloud, packet: Packet) -> bool:
    """What begins passes if a rule of the sender lets it out and a rule of the receiver lets it in."""
    guests = {guest.number: guest for guest in cloud.guests}
    ends = ((packet.sender, packet.receiver, Direction.EGRESS), (packet.receiver, packet.sender, Direction.INGRESS))
    return all(may(cloud, guests[own], direction, packet, packet.address(other)) for own, other, direction in ends)


def may(cloud: Cloud, guest: Guest, direction: Direction, packet: Packet, other: int) -> bool:
    if not guest.groups or not guest.filters:
        return True
    return any(
        rule.direction is direction and says(rule, packet) and is_about(cloud, policy, rule, other)
        for policy in cloud.policies
        if policy.key in guest.groups
        for rule in policy.rules
    )


def says(rule: GroupRule, packet: Packet) -> bool:
    """Whether version, protocol, ports or type fit."""
    if rule.version != packet.version or rule.protocol not in (None, packet.protocol):
        return False
    if rule.protocol is None or (rule.port_min, rule.port_max) == (None, None):
        return True
    if packet.protocol in (TCP, UDP):
        return (rule.port_min or 0) <= packet.port <= (65535 if rule.port_max is None else rule.port_max)
    if packet.protocol == ICMP:
        return rule.port_min == packet.port & 0xFF and rule.port_max in (None, packet.code)
    return False


def is_about(cloud: Cloud, policy: GroupView, rule: GroupRule, other: int) -> bool:
    """Whether the other end fits: anybody, a prefix, a member of a group, an address of an address group."""
    if rule.prefix is not None:
        return other & rule.prefix[1] == rule.prefix[0]
    if rule.remote is None:
        return True
    members = {
        address
        for guest in cloud.guests
        if guest.filters and rule.remote in guest.groups
        for address in (v4(guest.number), v6(guest.number), ll(guest.number))
    }
    listed = [one for one in policy.addresses if one.remote == rule.remote and one.version == rule.version]
    return other in members or any(other & one.mask == one.address for one in listed)


# --- and the switch ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with lab_of(CLOUD) as built:
        yield built


@given(clouds(), st.lists(packets, min_size=15, max_size=15))
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_switch_does_what_the_groups_promise(lab: Lab, cloud: Cloud, sent: list[Packet]) -> None:
    lab.change(cloud)
    for packet in sent:
        if packet.sender != packet.receiver:
            fate = lab.trace(packet.sender, packet.frame())
            expected = {packet.receiver} if arrives(cloud, packet) else set()
            assert fate.arrived == expected, (packet, fate.text)
