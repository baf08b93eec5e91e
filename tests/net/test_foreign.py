# SPDX-License-Identifier: Apache-2.0
"""What is on a host and not ours stays as it is, and what is missing there is told of until it comes."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.net.support import Ears, add_guest, datagram, is_whole, until
from topologies import Host, Lab, frames
from topologies.controller import Controller

pytestmark = pytest.mark.net

FOREIGN_FLOW = "cookie=0x77, priority=5,in_port=LOCAL,actions=drop"


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(hosts=2, providers=("physnet1",)) as lab:
        yield lab


def rows(host: Host, table: str, names: set[str]) -> dict[str, object]:
    """Rows of the host's database by name, without what changes by itself."""
    changing = {"statistics", "status", "link_state", "admin_state", "ifindex", "lacp_current", "link_resets"}
    document = json.loads(host.vsctl("--format=json", "list", table))
    found = {}
    for values in document["data"]:
        row = dict(zip(document["headings"], values, strict=True))
        if row["name"] in names:
            found[str(row["name"])] = {key: value for key, value in row.items() if key not in changing}
    return found


@pytest.mark.proves("S108", "S134", "S148")
def test_foreign_bridges_ports_and_flows_are_left_alone(lab: Lab) -> None:
    """There before sdnctl came, on bridges of their own and on the integration bridge: through all that happens."""
    h1, h2 = lab.hosts
    one, other = (
        lab.guest(name, h1, addresses=(f"10.66.0.{number}/24",)) for number, name in enumerate(("x1", "x2"), 1)
    )
    squatter = lab.guest("squat", h1)
    h1.vsctl("add-br", "br-theirs", "--", "set", "Bridge", "br-theirs", "datapath_type=netdev", "external_ids:by=them")
    h1.vsctl("add-br", "br-int", "--", "set", "Bridge", "br-int", "datapath_type=netdev", "external_ids:by=them")
    for guest in (one, other):
        guest.plug(bridge="br-theirs", iface_id="theirs")
    h1.vsctl("add-port", "br-int", squatter.device, "--", "set", "Interface", squatter.device, "external_ids:by=them")
    h1.ofctl("add-flow", "br-theirs", FOREIGN_FLOW)
    names = {"br-theirs", "br-phys", "br-physnet1", "eth1", one.device, other.device, squatter.device}

    def theirs() -> object:
        tables = {table: rows(h1, table, names) for table in ("Bridge", "Port", "Interface")}
        # Our patch port is added to the provider bridge; nothing else of it changes.
        tables["Bridge"]["br-physnet1"] = None
        return (
            tables,
            h1.ofctl("dump-flows", "br-theirs", "--no-stats"),
            h1.ofctl("dump-flows", "br-physnet1", "--no-stats"),
        )

    before = theirs()
    links = h1.run("ip", "-o", "addr")
    with one.probe(other) as probe, Controller(lab, "--network-flat-networks", "physnet1") as controller:
        controller.add_hosts()
        # Only now: Open vSwitch itself empties a bridge that gets its first controller.
        h1.ofctl("add-flow", "br-int", FOREIGN_FLOW)
        assert "by=them" in h1.vsctl("get", "Bridge", "br-int", "external_ids").replace('"', "")
        network = controller.create("network", name="net")
        controller.create("subnet", network_id=network["id"], ip_version=4, cidr="10.14.0.0/24")
        guests = [add_guest(controller, f"vm{host.name}", host, network) for host in (h1, h2)]
        assert guests[0].reaches(guests[1])
        # Whose interface says nothing is nobody's: dead, and never touched.
        mark = frames.marker()
        squatter.configure("10.14.0.200/24")
        with Ears((*guests, squatter)) as ears:
            squatter.send(datagram(squatter, frames.BROADCAST, mark), count=5)
            squatter.send(datagram(squatter, guests[0].mac, mark), count=5)
            ears.fence(guests[0], guests[1])
            assert ears.heard(mark)[mark] == {}
        controller.kill()
        controller.start()
        for host in (h1, h2):
            controller.until_live(host)
        for guest in guests:
            guest.unplug()
            controller.delete("port", guest.iface_id)
        assert theirs() == before
        assert "cookie=0x77" in h1.ofctl("dump-flows", "br-int")
        foreign = [flow for flow in controller.flows(h1, "difference") if flow["difference"] == "foreign"]
        assert [flow["app"] for flow in foreign] == [None]
        for host in (h1, h2):
            controller.call("DELETE", f"/hosts/{controller.host(host.name)['id']}")
        assert theirs() == before
        report = probe.report()
    assert report.lost == 0
    assert report.sent > 500
    # No address came to or went from the host either.
    assert h1.run("ip", "-o", "addr").splitlines()[: len(links.splitlines())] == links.splitlines()


@pytest.mark.proves("S51", "S158")
def test_a_provider_bridge_that_is_missing_and_then_appears(lab: Lab) -> None:
    """The rest of the host works, and what is missing is said; when it comes, its network is connected by itself."""
    h1, h2 = lab.hosts
    h1.vsctl("del-br", "br-physnet1")
    with Controller(lab, "--network-flat-networks", "physnet1") as controller:
        controller.add_hosts()
        (problem,) = controller.host("h1")["problems"]
        assert "physnet1" in problem
        assert "br-physnet1" in problem
        wish = {"provider:network_type": "flat", "provider:physical_network": "physnet1"}
        network = controller.create("network", name="net", **wish)
        controller.create("subnet", network_id=network["id"], ip_version=4, cidr="10.15.0.0/24")
        one, near, far = (
            add_guest(controller, f"vm{number}", host, network) for number, host in enumerate((h1, h1, h2))
        )
        assert one.reaches(near)
        assert not one.reaches(far, timeout_s=0.3)
        for _ in range(2):
            bridge = ("add-br", "br-physnet1", "--", "set", "Bridge", "br-physnet1", "datapath_type=netdev")
            h1.vsctl(*bridge, "--", "add-port", "br-physnet1", "eth2")
            until("problem to go", lambda: controller.host("h1"), lambda host: not host["problems"])
            assert one.reaches(far)
            # And it may go again; the guests of one host do not notice.
            with one.probe(near) as probe:
                h1.vsctl("del-br", "br-physnet1")
                until("problem", lambda: controller.host("h1")["problems"])
                assert probe.report().lost == 0
            assert not one.reaches(far, timeout_s=0.3)
            is_whole(controller)
