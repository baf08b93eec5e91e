# SPDX-License-Identifier: Apache-2.0
"""`sdnctl flows` and `sdnctl explain`."""

from __future__ import annotations

import json

import pytest

from sdnctl.model.question import Connection, PacketQuestion
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


STORY = """\
tcp,nw_src=10.0.0.11,nw_dst=10.0.0.12,tp_dst=80
connection: new

h1
   classify         in network net1; from port vm1
   underlay         by tunnel to h2, VNI 101

h2
 x to_verdict       dropped: no rule

dies on h2 in to_verdict: no rule
left out: flows that are none of ours: 2 on h2
"""


@pytest.fixture
def vms(lan: Api) -> Api:
    for name in ("vm1", "vm2"):
        lan.ok(f"port create {name} --network net1")
    return lan


def test_explain_tells_a_story(vms: Api) -> None:
    assert vms.ok("explain --from vm1 --to vm2 tcp,tcp_dst=80").out == STORY
    ids = {str(port["name"]): str(port["id"]) for port in vms.repository.objects["port"].values()}
    assert vms.fabric.questions == [PacketQuestion(port_id=ids["vm1"], fields="tcp,tcp_dst=80", to_port=ids["vm2"])]


def test_explain_takes_words_addresses_and_states(vms: Api) -> None:
    vms.ok("explain --from vm1 --to 10.0.0.99 tcp tcp_dst=80 --established --installed")
    vms.ok("explain --from vm1 --connection reply")
    first, second = vms.fabric.questions
    assert (first.fields, str(first.to_address)) == ("tcp,tcp_dst=80", "10.0.0.99")
    assert (first.connection, first.installed) == (Connection.ESTABLISHED, True)
    assert (second.connection, second.fields, second.to_port) == (Connection.REPLY, "", None)


def test_explain_a_packet_for_programs(vms: Api) -> None:
    assert vms.json("explain --from vm1")["verdict"] == "dropped"
    assert vms.ok("explain --from vm1 -f value -c verdict").out == "dropped\n"


@pytest.mark.parametrize(
    ("line", "message", "status"),
    (
        ("explain", "explain what? A cookie, a flow, or a packet: --from PORT --to PORT tcp,tcp_dst=80", 2),
        ("explain --to vm2 0x5d", "--to is about a packet: say with --from PORT who sends it", 2),
        ("explain --installed 0x5d", "--installed is about a packet", 2),
        ("explain --from nix", "there is no port with the name or id 'nix'", 1),
        ("explain --from vm1 --to nix", "there is no port with the name or id 'nix'", 1),
        ("explain --from vm1 --connection old", "(there are new, established", 2),
    ),
)
def test_explain_refuses(line: str, message: str, status: int, vms: Api) -> None:
    refused = vms.run(line)
    assert (refused.status, message in refused.err) == (status, True), refused.err
