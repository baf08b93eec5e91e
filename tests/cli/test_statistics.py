# SPDX-License-Identifier: Apache-2.0
"""`sdnctl port statistics` and `sdnctl security-event`."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Api
from tests.events import event


def test_statistics_of_a_port(lan: Api) -> None:
    """Three tables for people, one object for programs."""
    lan.ok("port create vm1 --network net1")
    shown = lan.ok("port statistics vm1").out
    for word in (
        "SENT PACKETS",
        "9",
        "egress",
        "foreign_arp",
        "it did",
        "7",
        "ingress",
        "bandwidth",
        "4200",
        "too much",
    ):
        assert word in shown
    told = json.loads(lan.ok("port statistics vm1 -f json").out)
    assert told["drops"] == [{"direction": "egress", "reason": "foreign_arp", "text": "it did", "packets": 7}]
    limited = {"direction": "ingress", "limit": "bandwidth", "text": "too much", "packets": 3, "bytes": 4200}
    assert told["limit_drops"] == [limited]
    assert lan.ok("port statistics vm1 -f value -c sent_bytes").lines == ["540"]


@pytest.mark.parametrize(
    ("line", "message", "status"),
    (
        ("port statistics nix", "there is no port with the name or id 'nix'", 1),
        ("port statistics", "PORT", 2),
        ("security-event create x", "unknown: create", 2),
        ("security-event delete x", "unknown: delete", 2),
    ),
)
def test_refusals(line: str, message: str, status: int, lan: Api) -> None:
    refused = lan.run(line)
    assert refused.status == status
    assert message in refused.err


def test_events(lan: Api) -> None:
    shown = {
        "id": event().id,
        "project_id": "p",
        "port_id": event().port_id,
        "reason": "foreign_arp",
        "text": "ARP for 10.0.0.12",
        "packets": 7,
        "active": True,
    }
    lan.repository.objects["security_event"] = {event().id: shown}
    listed = lan.ok("security-event list").out
    assert "ARP for 10.0.0.12" in listed
    assert "foreign_arp" in lan.ok(f"security-event show {event().id}").out
    assert lan.ok("security-event list --reason tagged -f value").out == ""
