# SPDX-License-Identifier: Apache-2.0
"""Every way to break a flow is found out: by a packet that is not treated as the API promises.

A two-host cloud with everything in it; each flow broken in every way of `tests.apps.mutations`, one at a time. Packets
whose way leads by the broken flow go again, and what becomes of them is held against `tests.apps.promise`. Where none
shows it, either it is proved that none can (`tests.apps.regions`), or further ones are made from where the proof fails.
What then is left stands in `unnoticed.txt`, with a reason that somebody gave to this very mutation.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from random import Random

import pytest

from sdnctl.model.filters import Filters
from sdnctl.model.ids import GroupKey
from sdnctl.model.ip_group import VIRTUAL_MACS
from sdnctl.model.network import NetworkType
from sdnctl.model.qos import QosLimits, Rate
from sdnctl.model.security import Direction
from sdnctl.model.views import GroupAddress, GroupRule, GroupView, Source
from tests.apps.clouds import Cloud, Guest, Net, Vip
from tests.apps.mutations import Mutation, mutations
from tests.apps.packets import ICMP6, UDP, mac, v4, v6
from tests.apps.probes import Probes
from tests.apps.simulated import flows_on

GREEN = Net(1, NetworkType.VXLAN, 5000)
BLUE = Net(2, NetworkType.VLAN, 300)
FLAT = Net(3, NetworkType.FLAT, None)
OPEN = Net(4, NetworkType.VXLAN, 5001)
APART = Net(5, NetworkType.VXLAN, 5002, isolated=True)
FREE = Net(6, NetworkType.VXLAN, 5003, subnet=False)
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
        direction=direction,
        version=version,
        protocol=protocol,
        port_min=first,
        port_max=last,
        keeps=keeps,
        prefix=prefix,
        remote=None if remote is None else GroupKey(remote),
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
            rule(OUT, protocol=TCP, first=443, last=443, keeps=True),
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
RATE = Rate(8000, 800)
SLOW = QosLimits(from_bandwidth=RATE, from_packets=RATE, to_bandwidth=RATE, to_packets=RATE, dscp=46)
VIPS = (
    Vip(21, GREEN, 4, v4(200), (1, 4, 5), holder=1),
    Vip(22, GREEN, 6, v6(200), (1, 4, 5), holder=1),
    Vip(23, GREEN, 4, v4(210), (2, 6), holder=2, vrrp=True, virtual_mac=VIRTUAL_MACS[4] + 0x33),
    Vip(24, GREEN, 6, v6(210), (2, 6), holder=2, vrrp=True, virtual_mac=VIRTUAL_MACS[6] + 0x33),
    Vip(25, GREEN, 4, v4(220), (4, 7), holder=7, pinned=7),
    Vip(26, GREEN, 6, v6(220), (4, 7), holder=7, pinned=7),
    Vip(27, GREEN, 4, v4(230), (4,), vrrp=True),
    Vip(28, GREEN, 6, v6(230), (4,), vrrp=True),
    Vip(29, FREE, 4, v4(240), (51, 53), holder=53),
    Vip(30, APART, 6, v6(240), (41, 43), holder=43),
)
CLOUD = Cloud(
    (
        Guest(1, GREEN, 1, groups=(1,)),
        Guest(2, GREEN, 1, groups=(2,), pairs=SHARED, qos=SLOW),
        Guest(4, GREEN, 1, groups=(1, 2)),
        Guest(5, GREEN, 2, groups=(1,), qos=QosLimits(from_packets=RATE, to_packets=RATE)),
        Guest(3, GREEN, 1, pairs=PAIRS, dhcp=False),
        Guest(6, GREEN, 2, groups=(2,)),
        Guest(7, GREEN, 2, groups=(2,), stateful=False),
        Guest(8, GREEN, 1, groups=(3,)),
        Guest(70, GREEN, 1, filters=Filters(arp=False)),
        Guest(71, GREEN, 1, filters=Filters(ip=False)),
        Guest(11, BLUE, 1, same_as=1, groups=(3,)),
        Guest(13, BLUE, 2, qos=replace(SLOW, dscp=None)),
        Guest(14, BLUE, 1),
        Guest(12, BLUE, 2, same_as=2, groups=(3,)),
        Guest(21, FLAT, 1),
        Guest(22, FLAT, 2, qos=QosLimits(dscp=10)),
        Guest(41, APART, 1),
        Guest(42, APART, 1, service=True),
        Guest(43, APART, 2),
        Guest(44, APART, 1, groups=(1,)),
        Guest(31, OPEN, 1, filters=None),
        Guest(32, OPEN, 1, groups=(1,)),
        Guest(33, OPEN, 2, filters=None),
        Guest(34, OPEN, 1, filters=Filters(mac=False)),
        Guest(51, FREE, 1),
        Guest(52, FREE, 1, filters=Filters(mac=False), groups=(1,)),
        Guest(53, FREE, 2),
    ),
    policies=POLICIES,
    vips=VIPS,
)


@cache
def everything() -> tuple[Mutation, ...]:
    return tuple(mutations({str(host): flows_on(CLOUD, host) for host in CLOUD.hosts}))


# --- what need not be noticed, and why ------------------------------------------------------------------------------

UNNOTICED = Path(__file__).parent / "unnoticed.txt"
"""Every mutation that shows by no packet, and is not proved to be harmless, below the reason why it is.

`pytest --update-golden tests/apps/test_mutations.py` writes it anew: reasons stay, and what has none yet stands below
UNEXPLAINED. Somebody has to look at it: is it harmless, or is a packet missing?
"""
UNEXPLAINED = "UNEXPLAINED"


def explained(text: str) -> dict[str, str]:
    """The mutations of the file, each with its reason; "" for those that have none."""
    found: dict[str, str] = {}
    for block in text.split("\n\n"):
        lines = block.splitlines()
        reason = " ".join(line[2:] for line in lines if line.startswith("# "))
        found |= {line: "" if reason == UNEXPLAINED else reason for line in lines if not line.startswith("# ")}
    return found


def written(reasons: Mapping[str, str]) -> str:
    """The file."""
    blocks = []
    for reason in sorted(set(reasons.values())):
        why = textwrap.wrap(reason or UNEXPLAINED, 118, initial_indent="# ", subsequent_indent="# ")
        blocks.append("\n".join([*why, *sorted(one for one, said in reasons.items() if said == reason)]))
    return "\n\n".join(blocks) + "\n"


SEED = 1
PARTS = 8
TRAFFIC = 60
"""Random packets for each host, beside the aimed ones."""


@pytest.fixture(scope="module", name="probes")
def _probes() -> Probes:
    return Probes(CLOUD, SEED, TRAFFIC)


def test_unbroken_flows_do_what_is_promised(probes: Probes) -> None:
    wrong = (one.wrong(probes.simulated, probes.bare) for one in probes.probes)
    assert [text for text in wrong if text] == []


def test_whatever_comes_to_a_table_is_in_a_region_of_it(probes: Probes) -> None:
    """Or nothing could be proved of regions."""
    for probe in Random(SEED).sample(probes.probes, 40):
        for fate in probe.fates(probes.simulated, probes.bare):
            for visit in fate.journey.visits:
                assert visit.outcome is not None
                regions = probes.regions[visit.host]
                for step in visit.outcome.steps:
                    assert any(one.holds(step.packet, regions.types) for one in regions.at(step.table)), step


def test_what_shows_is_not_proved_to_be_harmless(probes: Probes) -> None:
    for mutation in Random(SEED).sample(everything(), 40):
        shows, why = probes.notice(mutation)
        assert not (shows and probes.proves(mutation)), why


def test_every_reason_is_for_a_mutation_that_there_is() -> None:
    reasons = explained(UNNOTICED.read_text())
    assert set(reasons) <= {str(one) for one in everything()}
    assert [one for one, reason in reasons.items() if not reason] == []


@pytest.mark.limit(600)
@pytest.mark.parametrize("part", (0, *(pytest.param(part, marks=pytest.mark.scale) for part in range(1, PARTS))))
def test_broken_flows_are_noticed(probes: Probes, part: int, request: pytest.FixtureRequest) -> None:
    """One part has some of every kind. What is not noticed is proved to be harmless, or known to be."""
    verdicts = {str(mutation): probes.notice(mutation) for mutation in everything()[part::PARTS]}
    left = {text for text, (shows, why) in verdicts.items() if not shows and not why}
    reasons = explained(UNNOTICED.read_text())
    if request.config.getoption("--update-golden"):
        others = {
            str(one): reasons[str(one)] for one in everything() if str(one) in reasons and str(one) not in verdicts
        }
        UNNOTICED.write_text(written(others | {text: reasons.get(text, "") for text in left}))
        return
    assert {text for text in left if not reasons.get(text)} == set()
    assert {text for text in reasons if text in verdicts} == left, "some are noticed or proved now"
    assert sum(shows for shows, _ in verdicts.values()) > len(verdicts) * 3 // 4
