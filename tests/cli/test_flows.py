# SPDX-License-Identifier: Apache-2.0
"""`sdnctl flows` and `sdnctl explain`."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import COOKIE, FLOWS, Api


@pytest.fixture
def host(lan: Api) -> Api:
    lan.ok("host add h1 --ovsdb tcp:192.0.2.1:6640")
    return lan


def test_flows_are_dumped_under_their_owners(host: Api) -> None:
    """What ovs-ofctl reads back: flows, and comments."""
    assert host.ok("flows h1").lines == [
        "# classify",
        FLOWS[0]["flow"],
        "# switching",
        FLOWS[1]["flow"],
        FLOWS[2]["flow"],
    ]
    assert host.fabric.asked == [("flows", "h1", "desired")]


def test_the_difference_is_marked(host: Api) -> None:
    assert host.ok("flows h1 --view difference").lines == [
        "# classify",
        f"+ {FLOWS[0]['flow']}",
        "# switching",
        f"- {FLOWS[1]['flow']}",
    ]


@pytest.mark.parametrize(("table", "count"), (("60", 2), ("switching", 2), ("Switching", 2), ("0", 1), ("classify", 1)))
def test_one_table(table: str, count: int, host: Api) -> None:
    shown = [line for line in host.ok(f"flows h1 --table {table}").lines if not line.startswith("#")]
    assert len(shown) == count


def test_by_app_and_object(host: Api) -> None:
    assert host.ok("flows h1 --owner classify").lines == ["# classify", FLOWS[0]["flow"]]
    assert host.ok("flows h1 --app Switching -f value -c flow").lines == [FLOWS[1]["flow"], FLOWS[2]["flow"]]
    nobody = host.ok("flows h1 --object net1")
    assert (nobody.out, nobody.err) == ("", "sdnctl: no flows\n")


def test_an_object_is_a_port_a_network_or_a_host(host: Api) -> None:
    host.ok("port create net1 --network net1")
    refused = host.run("flows h1 --object net1")
    assert refused.status == 1
    assert "2 objects have the name 'net1'; say which by its id: port " in refused.err
    refused = host.run("flows h1 --object nix")
    assert refused.err == "sdnctl: there is no port, network or host with the name or id 'nix'\n"


def test_for_programs(host: Api) -> None:
    assert json.loads(host.ok("flows h1 -f json").out) == [dict(flow) for flow in FLOWS]
    assert host.ok("flows h1 -f csv -c app").lines == ["app", "classify", "switching", "switching"]


@pytest.mark.parametrize(
    ("line", "message", "status"),
    (
        ("flows nix", "there is no host with the name or id 'nix'", 1),
        ("flows h1 --table 99", "there is no table '99'; there are 0 classify, ", 2),
        ("flows h1 --view wrong", "unknown: wrong (there are desired,", 2),
        ("flows h1 -c blub", "there is no column 'blub'; there are flow, app,", 2),
    ),
)
def test_refusals(line: str, message: str, status: int, host: Api) -> None:
    refused = host.run(line)
    assert refused.status == status
    assert message in refused.err


def test_explain_a_cookie_and_a_flow(api: Api) -> None:
    assert api.ok(f"explain {COOKIE} -f value -c text").out == f"switching for port p ({COOKIE})\n"
    flow = f"cookie={COOKIE}, table=60, priority=9 actions=drop"
    assert flow in api.ok(f"explain {flow}").out
    assert "TEXT" in api.ok(f"explain '{flow}'").out
    assert [asked[1] for asked in api.fabric.asked] == [COOKIE, flow, flow]


def test_explain_a_whole_dump(api: Api) -> None:
    """Each line with a cookie; each cookie is asked for once."""
    dump = f"NXST_FLOW reply\n {FLOWS[0]['flow']}\n# comment\n {FLOWS[1]['flow']}\n {FLOWS[2]['flow']}\n"
    result = api.ok("explain - -f value -c cookie -c flow", stdin=dump)
    assert result.lines == [
        f"0x5d02010000000001 {FLOWS[0]['flow']}",
        f"{COOKIE} {FLOWS[1]['flow']}",
        f"{COOKIE} {FLOWS[2]['flow']}",
    ]
    assert len(api.fabric.asked) == 2
