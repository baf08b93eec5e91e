# SPDX-License-Identifier: Apache-2.0
"""`explain` against real frames: what it says arrives does, and what it says dies, dies there and for that reason.

h1   client, friend (group `default`)        h2   far (`default`), server (`web`: TCP 7100 from anybody)
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.net.counters import drops
from topologies import Host, Lab, Vm, frames
from topologies.controller import Api, Controller, Json
from topologies.tenants import address_of

pytestmark = pytest.mark.net

PORT = 7100
REFUSED_S = 0.3
COPIES = 3


@dataclass
class Net:
    """One project's guests, and who answers its questions."""

    controller: Controller
    api: Api
    ports: dict[str, Json] = field(default_factory=dict)
    guests: dict[str, Vm] = field(default_factory=dict)

    def explain(self, sender: str, to: str, fields: str, **more: Any) -> Json:
        packet = {"port": self.ports[sender]["id"], "to": self.ports[to]["id"], "fields": fields, **more}
        return dict(self.controller.call("POST", "/explain", {"packet": packet})["explanation"])

    def host(self, name: str) -> Host:
        return next(host for host in self.controller.lab.hosts if host.name == name)


@pytest.fixture(scope="module", name="net")
def _net() -> Iterator[Net]:
    with Lab(hosts=2) as lab, Controller(lab, auth="token") as controller:
        controller.add_hosts()
        project = controller.create("project", name="green")
        api = controller.project(project["id"])
        made = Net(controller, api)
        network = api.create("network", name="green")
        api.create("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
        web = api.create("security_group", name="web")["id"]
        wish = {"security_group_id": web, "direction": "ingress", "protocol": "tcp"}
        api.create("security_group_rule", **wish, port_range_min=PORT, port_range_max=PORT)
        default = api.list("security_group", "?name=default")[0]["id"]
        h1, h2 = lab.hosts
        wishes = (("client", h1, default), ("friend", h1, default), ("far", h2, default), ("server", h2, web))
        for name, host, group in wishes:
            port = api.create("port", network_id=network["id"], name=name, security_groups=[group])
            guest = lab.guest(name, host, mac=port["mac_address"], iface_id=port["id"])
            guest.plug()
            made.ports[name], made.guests[name] = port, guest
        controller.until_active(*made.ports.values())
        for name, guest in made.guests.items():
            guest.configure(f"{address_of(made.ports[name], 4)}/24", mtu=network["mtu"])
        yield made


CASES = (
    ("client", "friend", "icmp", PORT),
    ("client", "far", "udp", PORT),
    ("client", "server", "tcp", PORT),
    ("client", "server", "tcp", PORT + 1),
    ("server", "client", "tcp", PORT),
    ("server", "far", "udp", PORT),
)


@pytest.mark.parametrize("installed", (False, True), ids=("desired", "installed"))
@pytest.mark.parametrize(("sender", "receiver", "protocol", "port"), CASES)
def test_story_and_frames_agree(
    net: Net, sender: str, receiver: str, protocol: str, port: int, *, installed: bool
) -> None:
    """Where the story says it dies, the counter of the reason rises; and nowhere when it says that it arrives."""
    fields = protocol if protocol == "icmp" else f"{protocol},{protocol}_dst={port}"
    told = net.explain(sender, receiver, fields, installed=installed)
    before = {host.name: drops(host) for host in net.controller.lab.hosts}
    guests = net.guests[sender], net.guests[receiver]
    arrives = told["verdict"] == "arrives"
    patience = {} if arrives else {"timeout_s": REFUSED_S}
    assert guests[0].reaches(guests[1], protocol=protocol, port=port, **patience) == arrives, told["text"]
    for host in net.controller.lab.hosts:
        rose = set(drops(host) - before[host.name])
        assert rose == {one["reason"].upper() for one in told["drops"] if one["host"] == host.name}, told["text"]


def test_forged_source_dies_as_told(net: Net) -> None:
    """The very frame that is asked about, by raw socket; and its legal twin."""
    client, far = net.guests["client"], net.guests["far"]
    for src, reason in (("10.0.0.77", "foreign_ipv4"), (client.address(4), None)):
        told = net.explain("client", "far", f"udp,udp_src=9,udp_dst=9,nw_src={src}")
        assert [one["reason"] for one in told["drops"]] == ([reason] if reason else [])
        before, mark = drops(net.host("h1")), frames.marker()
        packet = frames.udp(src, far.address(4), 9, 9)
        with far.sniff() as ears:
            client.send(frames.ethernet(far.mac, client.mac, frames.ETH_IPV4, packet, mark), count=COPIES)
            heard = ears.wait_for(mark, COPIES) if reason is None else ears.wait_for(mark, timeout_s=REFUSED_S)
        assert heard == (0 if reason else COPIES)
        rose = drops(net.host("h1")) - before
        assert rose == (Counter({reason.upper(): COPIES}) if reason else Counter()), told["text"]


def test_installed_flows_tell_what_the_switch_lost(net: Net) -> None:
    """A flow taken away by hand: what should be says that it arrives, what is says where it dies."""
    host = net.host("h1")
    host.ofctl("del-flows", "br-int", "table=80")
    try:
        assert net.explain("client", "friend", "icmp")["verdict"] == "arrives"
        told = net.explain("client", "friend", "icmp", installed=True)
        assert told["text"] == "dies on h1 in output: no flow in this table knows the packet"
        assert not net.guests["client"].reaches(net.guests["friend"], timeout_s=REFUSED_S)
    finally:
        net.controller.stop()
        net.controller.start()
        for one in net.controller.lab.hosts:
            net.controller.until_live(one)
    assert net.guests["client"].reaches(net.guests["friend"])


def test_command_tells_it(net: Net) -> None:
    words = ("explain", "--from", "client", "--to", "server", f"tcp,tcp_dst={PORT}")
    command = [sys.executable, "-m", "sdnctl", *words]
    where = {"SDNCTL_URL": net.controller.url, "SDNCTL_TOKEN": net.controller.admin_token_file.read_text().strip()}
    env = os.environ | where | {"PYTHONWARNINGS": "ignore"}
    said = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "arrives at port server on h2"
    assert "security group web allows it: ingress TCP 7100 from anybody" in said
