# SPDX-License-Identifier: Apache-2.0
"""`sdnctl host check`: the table, the status, the script; and the judgement behind it, case by case."""

from __future__ import annotations

import json
import shlex
import subprocess
from dataclasses import replace

import pytest
from netaddr import IPAddress

from sdnctl.errors import InvalidError
from sdnctl.model.host import Host
from sdnctl.model.host_check import BridgeSeen, ControllerSeen, DeviceSeen, HostSeen, Needs, OvsdbSeen, Verdict, check
from sdnctl.model.host_script import SETTINGS, Asked, script
from sdnctl.model.ids import HostKey
from tests.cli.conftest import Api

FAILS = {"check": "tunnel", "verdict": "fail", "finding": "there is none", "remedy": "make one"}


@pytest.fixture
def host(lan: Api) -> Api:
    lan.ok("host add h1 --ovsdb tcp:192.0.2.1:6640 --tunnel-ip 192.0.2.1 --datapath-type netdev")
    return lan


def test_findings_are_a_table_and_a_failure_is_the_status(host: Api) -> None:
    assert [line.split() for line in host.ok("host check h1").lines] == [
        ["VERDICT", "CHECK", "FINDING", "REMEDY"],
        ["ok", "version", "Open", "vSwitch", "3.1.0"],
    ]
    host.fabric.findings.append(FAILS)
    result = host.run("host check h1 -f json")
    assert result.status == 1
    assert json.loads(result.out)[1] == FAILS
    assert host.run("host check h1 -c remedy").lines[2] == "make one"


def test_the_script_is_for_this_host(host: Api) -> None:
    said = host.ok("host check h1 --script").out
    assert said.startswith("#!/bin/sh\n")
    words = dict(line.split("=", 1) for line in said.splitlines()[:10] if "=" in line)
    assert {name: words[name] for name in ("name", "bridge", "type", "tunnel_ip", "tunnel_mtu", "fix")} == {
        "name": "h1",
        "bridge": "br-int",
        "type": "netdev",
        "tunnel_ip": "192.0.2.1",
        "tunnel_mtu": "1500",
        "fix": "no",
    }
    assert "\nfix=yes\n" in host.ok("host check h1 --script --fix").out


def test_a_wish_that_makes_no_sense(host: Api) -> None:
    result = host.run("host check h1 --fix")
    assert result.status == 2
    assert "--fix is for --script" in result.err
    assert "h9" in host.run("host check h9").err


@pytest.mark.parametrize("shell", (["sh"], ["bash", "--posix"]), ids=("sh", "bash"))
def test_the_script_is_one(shell: list[str]) -> None:
    """For every shell, with every setting in it, and with odd names that stay words."""
    text = script(Asked("it's;reboot", "br-int", "netdev", "192.0.2.1", 1500))
    assert shlex.quote("it's;reboot") in text
    assert all(one.path.format("$1") in text for one in SETTINGS)
    subprocess.run([*shell, "-n"], input=text, text=True, check=True)


def test_what_cannot_stand_in_a_script_is_refused() -> None:
    with pytest.raises(InvalidError, match="shell script"):
        script(Asked("a\nb", "br-int", "netdev", "", 0))


OURS = ControllerSeen("tcp:192.0.2.9:6653", is_ours=True, is_connected=True)
CARD = DeviceSeen("eth2", "", 1500, is_up=True)
TUNNEL = DeviceSeen("sdnv0123456789", "vxlan", None, is_up=True)
INTEGRATION = BridgeSeen("br-int", "netdev", "secure", (OURS,), (TUNNEL,))
PROVIDER = BridgeSeen("br-ex", "netdev", "", (), (CARD,))
OVSDB = OvsdbSeen(
    "3.1.0", frozenset({"netdev", "system"}), frozenset({"vxlan"}), is_current=True,
    bridges={"br-int": INTEGRATION, "br-ex": PROVIDER},
)  # fmt: skip
RIGHT = HostSeen(
    host=Host(
        id="id", key=HostKey(1), name="h1", ovsdb="tcp:192.0.2.1:6640",
        tunnel_ip=IPAddress("192.0.2.1"), bridge_mappings=(("physnet1", "br-ex"),), datapath_type="netdev",
    ),
    state="LIVE", error="", problems=(), ovsdb=OVSDB, needs=Needs(1500, {"physnet1": 1500}), paths={"h2": True},
)  # fmt: skip


def with_bridges(*bridges: BridgeSeen) -> HostSeen:
    return replace(RIGHT, ovsdb=replace(OVSDB, bridges={one.name: one for one in bridges}))


def with_database(**changes: object) -> HostSeen:
    return replace(RIGHT, ovsdb=replace(OVSDB, **changes))  # type: ignore[arg-type]


def test_a_right_host_has_nothing_to_complain_of() -> None:
    findings = list(check(RIGHT))
    assert {one.verdict for one in findings} == {Verdict.OK}
    assert [one.check for one in findings] == [
        *("ovsdb", "version", "ovs-vswitchd", "features", "bridge", "interfaces", "controllers"),
        *("provider physnet1", "tunnel", "openflow", "underlay"),
    ]


WRONG = {
    "database": (replace(RIGHT, ovsdb="no answer"), "ovsdb", "fail"),
    "old": (with_database(version="2.17.9"), "version", "warn"),
    "too old": (with_database(version="2.16.0"), "version", "fail"),
    "no version": (with_database(version=""), "version", "fail"),
    "daemon": (with_database(is_current=False), "ovs-vswitchd", "fail"),
    "datapath": (with_database(datapath_types=frozenset({"system"})), "features", "fail"),
    "tunnels": (with_database(interface_types=frozenset({"patch"})), "features", "fail"),
    "no bridge": (with_bridges(PROVIDER), "bridge", "fail"),
    "bridge's datapath": (with_bridges(replace(INTEGRATION, datapath_type=""), PROVIDER), "bridge", "fail"),
    "standalone": (with_bridges(replace(INTEGRATION, fail_mode=""), PROVIDER), "bridge", "fail"),
    "no controller": (with_bridges(replace(INTEGRATION, controllers=()), PROVIDER), "controllers", "fail"),
    "unreached controller": (
        with_bridges(replace(INTEGRATION, controllers=(replace(OURS, is_connected=False),)), PROVIDER),
        "controllers",
        "fail",
    ),
    "foreign controller": (
        with_bridges(replace(INTEGRATION, controllers=(OURS, replace(OURS, is_ours=False))), PROVIDER),
        "controllers",
        "warn",
    ),
    "no provider": (with_bridges(INTEGRATION), "provider physnet1", "fail"),
    "provider's datapath": (
        with_bridges(INTEGRATION, replace(PROVIDER, datapath_type="system")),
        "provider physnet1",
        "fail",
    ),
    "no card": (with_bridges(INTEGRATION, replace(PROVIDER, devices=())), "provider physnet1", "warn"),
    "card down": (
        with_bridges(INTEGRATION, replace(PROVIDER, devices=(replace(CARD, is_up=False),))),
        "provider physnet1",
        "fail",
    ),
    "short card": (
        with_bridges(INTEGRATION, replace(PROVIDER, devices=(replace(CARD, mtu=1499),))),
        "provider physnet1",
        "fail",
    ),
    "no tunnel": (with_bridges(replace(INTEGRATION, devices=()), PROVIDER), "tunnel", "fail"),
    "no tunnel address": (replace(RIGHT, host=replace(RIGHT.host, tunnel_ip=None)), "tunnel", "warn"),
    "broken": (
        with_bridges(replace(INTEGRATION, devices=(TUNNEL, replace(CARD, error="gone"))), PROVIDER),
        "interfaces",
        "warn",
    ),
    "away": (replace(RIGHT, state="AWAY", error="timed out"), "openflow", "fail"),
    "problem": (replace(RIGHT, problems=("something",)), "problems", "fail"),
    "cut": (replace(RIGHT, paths={"h2": False, "h3": True}), "underlay", "fail"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_told_with_its_remedy(name: str) -> None:
    """And nothing else is."""
    seen, what, verdict = WRONG[name]
    told = [one for one in check(seen) if one.verdict is not Verdict.OK and (one.check == what or name != "no bridge")]
    assert (what, verdict) in {(one.check, one.verdict.value) for one in told}
    assert all(one.remedy and one.finding for one in told)
    assert {one.check for one in told} <= {what, "controllers", "tunnel"}
