# SPDX-License-Identifier: Apache-2.0
"""The probe stream finds what was lost and how long it lasted."""

from __future__ import annotations

import pytest

from tests.lab.conftest import Plain
from topologies import Probe

pytestmark = pytest.mark.net


def wait_until_sent(probe: Probe, more: int) -> None:
    start, _ = probe.so_far()
    while probe.so_far()[0] < start + more:
        pass


@pytest.mark.parametrize("version", (4, 6))
@pytest.mark.parametrize("protocol", ("icmp", "udp"))
def test_a_quiet_network_loses_nothing(plain: Plain, version: int, protocol: str) -> None:
    with plain.vm1.probe(plain.vm3, version=version, protocol=protocol) as probe:
        wait_until_sent(probe, 200)
        report = probe.report()
    assert report.sent >= 200
    assert (report.lost, report.outages, report.longest_gap_ms, report.duplicates) == (0, 0, 0, 0)


def test_a_gap_is_measured(plain: Plain) -> None:
    """Fifty requests dropped in mid-stream: that many lost, once, and the gap is as long."""
    with plain.vm1.probe(plain.vm2) as probe:
        wait_until_sent(probe, 20)
        plain.h1.ofctl("add-flow", "br-int", "priority=9,icmp,actions=drop")
        wait_until_sent(probe, 50)
        plain.h1.ofctl("del-flows", "br-int", "icmp")
        wait_until_sent(probe, 20)
        report = probe.report()
    assert report.lost >= 50
    assert report.longest_run == report.lost
    assert report.outages == 1
    assert 50 <= report.longest_gap_ms <= report.lost + report.skipped + 20


def test_an_answer_twice_is_no_second_answer(plain: Plain) -> None:
    """A request that reaches the receiver twice is answered twice."""
    port = plain.h1.vsctl("get", "Interface", plain.vm2.device, "ofport")
    plain.h1.ofctl("add-flow", "br-int", f"priority=9,icmp,icmp_type=8,actions=output:{port},output:{port}")
    with plain.vm1.probe(plain.vm2) as probe:
        wait_until_sent(probe, 50)
        report = probe.report()
    assert report.lost == 0
    assert report.duplicates >= 50
