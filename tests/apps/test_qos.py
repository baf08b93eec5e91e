# SPDX-License-Identifier: Apache-2.0
"""Limits of ports: what a policy amounts to, and who gets which copy when somebody is over his limit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from sdnctl import apps
from sdnctl.flows.wire import encode
from sdnctl.model.ids import GroupKey
from sdnctl.model.network import NetworkType
from sdnctl.model.qos import MOST, QosLimits, QosPolicy, QosRule, Rate, bandwidth, packet_rate
from sdnctl.model.security import Direction
from sdnctl.model.views import GroupRule, GroupView
from tests.apps.clouds import Cloud, Guest, Net, Vip
from tests.apps.lab import Lab
from tests.apps.packets import arp, broadcast4, to4, to6, v4
from tests.support.dummy_ovs import DummySwitch

GREEN = Net(1, NetworkType.VXLAN, 5000)
ALL = QosLimits(
    from_bandwidth=Rate(8000, 800),
    from_packets=Rate(2000, 2000),
    to_bandwidth=Rate(8000, 800),
    to_packets=Rate(1, 5),
    dscp=46,
)
RECEIVES = QosLimits(to_packets=Rate(1, 5))
CLOUD = Cloud(
    (
        Guest(1, GREEN, 1, dhcp=False),
        Guest(2, GREEN, 1, dhcp=False, qos=RECEIVES),
        Guest(3, GREEN, 1, dhcp=False, qos=replace(ALL, to_packets=None, to_bandwidth=Rate(1, 3))),
        Guest(4, GREEN, 1, dhcp=False, qos=ALL, groups=(1,), stateful=False),
        Guest(5, GREEN, 1, dhcp=False),
        Guest(6, GREEN, 2, dhcp=False, qos=QosLimits(dscp=10)),
        Guest(7, GREEN, 1, dhcp=False, qos=QosLimits(from_bandwidth=bandwidth(1000)), filters=None),
    ),
    vips=(Vip(31, GREEN, 4, v4(200), (1, 3), holder=1),),
    policies=(GroupView(GroupKey(1), tuple(GroupRule(direction=one, version=4) for one in Direction)),),
)
"""Guest 1 and 5 have no limit; 2, 3 and 4 may receive only so much."""


def test_a_policy_amounts_to_its_rules() -> None:
    egress, ingress = Direction.EGRESS, Direction.INGRESS
    rules = (
        QosRule("bandwidth_limit", egress, 10000),
        QosRule("bandwidth_limit", ingress, 3000, 700),
        QosRule("dscp_marking", egress, 46),
        QosRule("packet_rate_limit", egress, 5),
        QosRule("packet_rate_limit", ingress, 2, 3),
    )
    limits = QosPolicy(id="id", project_id="project", name="name", rules=rules).limits
    assert limits == QosLimits(
        from_bandwidth=Rate(10000, 2000),
        from_packets=Rate(5000, 1000),
        to_bandwidth=Rate(3000, 700),
        to_packets=Rate(2000, 3000),
        dscp=46,
    )
    assert QosPolicy(id="id", project_id="project", name="name").limits == QosLimits()


@pytest.mark.parametrize(
    ("rate", "found"),
    (
        (bandwidth(0), None),
        (packet_rate(0, 5), None),
        (bandwidth(64), Rate(64, 100)),
        (bandwidth(64, 1), Rate(64, 100)),
        (bandwidth(MOST, MOST), Rate(MOST, MOST)),
        (packet_rate(2**31 - 1, 2**31 - 1), Rate(MOST, MOST)),
    ),
)
def test_edges_of_rates(rate: Rate | None, found: Rate | None) -> None:
    """0 is no limit; a burst holds a frame at least; what no meter can count is as good as unlimited."""
    assert rate == found


def test_another_rate_changes_meters_and_no_flow() -> None:
    one = Guest(1, GREEN, 1, qos=ALL).local()
    other = replace(
        one,
        qos=QosLimits(
            from_bandwidth=bandwidth(9000, 50),
            from_packets=packet_rate(7),
            to_bandwidth=bandwidth(1),
            to_packets=packet_rate(1, 1),
            dscp=46,
        ),
    )
    assert [encode(flow) for flow in apps.port(one)] == [encode(flow) for flow in apps.port(other)]
    assert {meter.id for meter in apps.port_meters(one)} == {meter.id for meter in apps.port_meters(other)}
    assert not set(apps.port_meters(one)) & set(apps.port_meters(other)) - {apps.port_meters(one)[0]}


def test_limits_cost_few_flows() -> None:
    """None without a policy; one for a limit from the port; two for one to it, of which one replaces what it had."""
    plain = Guest(1, GREEN, 1).local()

    def more(**limits: Rate | int) -> int:
        return len(apps.port(replace(plain, qos=QosLimits(**limits)))) - len(apps.port(plain))  # type: ignore[arg-type]

    rate = Rate(1, 1)
    assert more() == 0
    assert more(from_bandwidth=rate) == more(from_packets=rate) == more(to_bandwidth=rate) == 1
    assert more(dscp=46) == 2
    assert more(from_bandwidth=rate, from_packets=rate, to_bandwidth=rate, to_packets=rate, dscp=0) == 6


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with DummySwitch() as switch:
        lab = Lab(switch, CLOUD)
        yield lab
        lab.close()


@pytest.mark.switch
@pytest.mark.parametrize(("frame", "limited"), ((arp(1, v4(1), v4(99)), 3), (broadcast4(1), 3)), ids=("arp", "ip"))
def test_every_copy_to_a_limited_port_is_apart(lab: Lab, frame: bytes, limited: int) -> None:
    """In a clone, where nobody else's copy is behind the meter. The last copy of all has nothing behind it."""
    fate = lab.trace(1, frame)
    assert sorted(fate.copies) == [2, 3, 4, 5, 6, 7], fate.text
    actions = fate.text.partition("Datapath actions: ")[2].splitlines()[0]
    assert actions.count("meter(") >= limited
    rest = re.sub(r"clone\((meter\(\d+\),)+\d+\)", "", actions)
    assert re.fullmatch(r"[0-9,]*(meter\(\d+\),)*\d*", rest), actions


@pytest.mark.switch
def test_who_is_over_his_limit_takes_no_copy_from_others(lab: Lab) -> None:
    lab.settle()
    count = 40
    sent = [arp(1, v4(1), v4(100 + number)) for number in range(count)]
    for frame in sent:
        lab.send(1, frame)
    received = {number: [lab.receive(number) for _ in range(count)] for number in (5, 7)}
    assert received == {5: sent, 7: sent}
    lab.switch.appctl("version")
    # Each direct frame comes behind the copies; the port's own answer comes back although the port is over its limit.
    for number in (2, 3, 4):
        assert lab.waiting(number) < count // 2


@pytest.mark.switch
def test_marks(lab: Lab) -> None:
    """IPv4 and IPv6 of a marked port, whether it has a limit or not; nobody else's."""
    for sender, mark in ((3, 46), (6, 10), (1, None)):
        for frame in (to4(sender, 5), to6(sender, 5)):
            text = lab.trace(sender, frame).text
            assert ("ip_dscp" in text) == (mark is not None), text
            assert mark is None or f"set_field:{mark}->ip_dscp" in text or f"load:{mark:#x}->NXM_OF_IP_TOS" in text, (
                text
            )


@pytest.mark.switch
def test_an_announcement_is_heard_whatever_limits_make_of_it(lab: Lab) -> None:
    """A member with a limit says that an address is its own now: what goes to the network is a list of its own."""
    fate = lab.trace(3, arp(3, v4(200), v4(200), op=2))
    actions = fate.text.partition("Datapath actions: ")[2].splitlines()[0]
    begin = actions.index("clone(")
    depth = 0
    for at in range(begin, len(actions)):
        depth += {"(": 1, ")": -1}.get(actions[at], 0)
        if actions[at] == ")" and not depth:
            break
    to_network, to_us = actions[begin : at + 1], actions[:begin] + actions[at + 1 :]
    assert to_network.startswith("clone(meter(")
    assert fate.punted
    assert re.fullmatch(r",meter\(\d+\),userspace\(.*\)", to_us), actions
