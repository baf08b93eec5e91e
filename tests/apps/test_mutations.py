# SPDX-License-Identifier: Apache-2.0
"""Every way to break a flow is found out: by a packet that is not treated as the API promises.

A two-host cloud with everything in it; each flow broken in every way of `tests.apps.mutations`, one at a time. Packets
whose way leads by the broken flow go again, and what becomes of them is held against `tests.apps.promise`. What nobody
notices stands in `HARMLESS`, with the reason.
"""

from __future__ import annotations

from sdnctl.model.filters import Filters
from sdnctl.model.ids import GroupKey
from sdnctl.model.network import NetworkType
from sdnctl.model.security import Direction
from sdnctl.model.views import GroupAddress, GroupRule, GroupView, Source
from tests.apps.clouds import Cloud, Guest, Net
from tests.apps.packets import ICMP6, UDP, mac, v4, v6

GREEN = Net(1, NetworkType.VXLAN, 5000)
BLUE = Net(2, NetworkType.VLAN, 300)
FLAT = Net(3, NetworkType.FLAT, None)
OPEN = Net(4, NetworkType.VXLAN, 5001)
TCP, ICMP, GRE = 6, 1, 47
FULL = (1 << 128) - 1
IN, OUT = Direction.INGRESS, Direction.EGRESS


def rule(
    direction: Direction,
    version: int = 4,
    protocol: int | None = None,
    first: int | None = None,
    last: int | None = None,
    *,
    keeps: bool = False,
    prefix: tuple[int, int] | None = None,
    remote: int | None = None,
) -> GroupRule:
    return GroupRule(
        direction, version, protocol, first, last, keeps, prefix, None if remote is None else GroupKey(remote)
    )


POLICIES = (
    GroupView(
        GroupKey(1),
        (
            rule(OUT),
            rule(OUT, 6),
            rule(IN, protocol=TCP, first=80, last=90),
            rule(IN, protocol=ICMP, first=8, last=0),
            rule(IN, protocol=UDP, first=53, last=53, prefix=(v4(0), 0xFFFFFFF0)),
            rule(IN, 6, ICMP6, 128),
            rule(IN, 6, UDP, 53, 53),
        ),
    ),
    GroupView(
        GroupKey(2),
        (
            rule(OUT, protocol=UDP, remote=1),
            rule(OUT, protocol=TCP, first=80, last=80, remote=9),
            rule(OUT, 6, remote=2),
            rule(IN, protocol=UDP, first=4000, last=4000, remote=1),
            rule(IN, protocol=TCP, first=443, last=443, keeps=True, remote=2),
            rule(IN, 6, TCP, 80, 80, remote=2),
            rule(IN, protocol=GRE, keeps=True),
        ),
        (GroupAddress(GroupKey(9), 4, v4(0), 0xFFFFFFF8),),
    ),
    GroupView(GroupKey(3), (rule(OUT, keeps=True), rule(OUT, 6, keeps=True), rule(IN, protocol=TCP), rule(IN, 6))),
)
PAIRS = (
    Source(mac(3), 4, v4(0x80), 0xFFFFFFF0),
    Source(mac(0x83), 4, v4(0x93), 0xFFFFFFFF),
    Source(mac(0x83), 6, v6(0x93), FULL),
)
SHARED = (Source(mac(0x83), 4, v4(0x94), 0xFFFFFFFF), Source(mac(0x83), 6, v6(0x94), FULL))
CLOUD = Cloud(
    (
        Guest(1, GREEN, 1, groups=(1,)),
        Guest(2, GREEN, 1, groups=(2,), pairs=SHARED),
        Guest(4, GREEN, 1, groups=(1, 2)),
        Guest(5, GREEN, 2, groups=(1,)),
        Guest(3, GREEN, 1, pairs=PAIRS, dhcp=False),
        Guest(6, GREEN, 2, groups=(2,)),
        Guest(7, GREEN, 2, groups=(2,), stateful=False),
        Guest(70, GREEN, 1, filters=Filters(arp=False)),
        Guest(71, GREEN, 1, filters=Filters(ip=False)),
        Guest(11, BLUE, 1, same_as=1, groups=(3,), stateful=False),
        Guest(12, BLUE, 2, same_as=2, groups=(3,)),
        Guest(21, FLAT, 1),
        Guest(22, FLAT, 2),
        Guest(31, OPEN, 1, filters=None),
        Guest(32, OPEN, 1, groups=(1,)),
        Guest(33, OPEN, 2, filters=None),
        Guest(34, OPEN, 1, filters=Filters(mac=False)),
    ),
    policies=POLICIES,
)
