# SPDX-License-Identifier: Apache-2.0
"""Whatever is killed, traffic that can go on goes on, and afterwards everybody agrees: database, flows, interfaces.

These tests have a lab for themselves, and each leaves it whole.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import re
from collections.abc import Iterator
from signal import SIGKILL, SIGTERM, Signals

import pytest

from sdnctl import runtime
from tests.net.support import add_guest, datagram, flow_texts, is_whole, settle, until
from topologies import Host, Report, Vm, frames
from topologies import tenants as two_tenants
from topologies.controller import Controller, Json
from topologies.tenants import Tenants, address_of

pytestmark = pytest.mark.net


@pytest.fixture(scope="module")
def made() -> Iterator[Tenants]:
    with two_tenants.lab() as lab, Controller(lab, *two_tenants.VLANS, auth="token") as controller:
        controller.add_hosts()
        made = two_tenants.build(controller)
        for guest in made.all:
            port, network = made.ports[guest.name], made.networks[made.network_of(guest)]
            guest.configure(f"{address_of(port, 4)}/24", f"{address_of(port, 6)}/64", mtu=network["mtu"])
        yield made


@pytest.fixture(autouse=True)
def whole(made: Tenants) -> Iterator[None]:
    """After each test everything is as it should be, and everybody reaches everybody."""
    yield
    controller = made.controller
    is_whole(controller)
    for one, near, far in made.guests.values():
        assert one.reaches(near)
        assert one.reaches(far, version=6)


def applied(controller: Controller) -> list[str]:
    """Lines of the log that tell of bundles, from the last start on."""
    lines = controller.log.read_text().splitlines()
    start = max(number for number, line in enumerate(lines) if " serving " in line)
    return [line for line in lines[start:] if "bundle applied" in line]


def restart(controller: Controller, how: Signals) -> None:
    controller.kill(how)
    controller.start()
    for host in controller.lab.hosts:
        controller.until_live(host)


def configuration(host: Host) -> str:
    """What the host's OVSDB holds, without counters and what changes by itself."""
    tables = (
        ("Bridge", "name,ports,controller,external_ids,other_config,fail_mode,protocols,flow_tables"),
        ("Port", "name,interfaces,external_ids"),
        ("Interface", "name,type,ofport,ofport_request,external_ids,options,mtu_request"),
        ("Controller", "target,max_backoff,inactivity_probe,connection_mode"),
    )
    return "".join(host.vsctl(f"--columns=_uuid,{columns}", "list", table) for table, columns in tables)


@pytest.mark.proves("S42", "S74", "S91")
@pytest.mark.parametrize("how", (SIGKILL, SIGTERM))
def test_a_controllers_restart_costs_nothing(made: Tenants, how: Signals) -> None:
    """0 of the 1 ms probes lost, in all networks; 0 messages to switches that are right; OVSDB untouched."""
    controller = made.controller
    write_marks(made)
    before = {host.name: configuration(host) for host in controller.lab.hosts}
    pairs = [(one, other) for one, near, far in made.guests.values() for other in (near, far)]
    probes = [(pair, pair[0].probe(pair[1], interval_ms=1)) for pair in pairs]
    restart(controller, how)
    reports: dict[tuple[Vm, Vm], Report] = {}
    for pair, probe in probes:
        with probe:
            reports[pair] = probe.report()
    assert all(report.sent > 500 for report in reports.values())
    assert {pair: report.lost for pair, report in reports.items()} == dict.fromkeys(reports, 0)
    assert applied(controller) == []
    written = write_marks(made)
    after = {host.name: configuration(host) for host in controller.lab.hosts}
    assert {name: without(text, written) for name, text in after.items()} == {
        name: without(text, written) for name, text in before.items()
    }


def write_marks(made: Tenants) -> list[Vm]:
    """Have the mark `sdnctl-installed` of a guest on each host written anew, and so all that are to be written."""
    controller = made.controller
    chosen = [made.guests["red"][0], made.guests["red"][2]]
    for guest in chosen:
        controller.update("port", guest.iface_id, description=frames.marker())
        revision = controller.host(guest.host.name)["revision"]
        until("mark", lambda at=guest: mark_of(at), lambda mark, want=revision: mark >= want)
    return chosen


def mark_of(guest: Vm) -> int:
    return int(guest.host.vsctl("get", "Interface", guest.device, "external_ids:sdnctl-installed").strip('"'))


def without(text: str, guests: list[Vm]) -> list[str]:
    """Lines of a configuration, those with the port ids of these guests left out."""
    return [line for line in text.splitlines() if not any(guest.iface_id in line for guest in guests)]


def test_what_happened_meanwhile_is_seen_at_the_start(made: Tenants) -> None:
    """While there is no controller one guest is plugged, one unplugged, one plugged on another host, one renumbered."""
    controller, (h1, h2) = made.controller, made.controller.lab.hosts
    network = made.networks["red"]
    names = ("new", "gone", "moved", "other")
    gone, moved, renumbered = (add_guest(controller, f"{name}1", h1, network) for name in names[1:])
    port = controller.create("port", network_id=network["id"])
    new = controller.lab.guest("new1", h2, mac=port["mac_address"], iface_id=port["id"])
    controller.kill()
    new.plug()
    gone.unplug()
    controller.lab.move(moved, h2)
    h1.vsctl("set", "Interface", renumbered.device, "ofport_request=5001")
    controller.start()
    for host in (h1, h2):
        controller.until_live(host)
    for guest, status, where in (
        (new, "ACTIVE", "h2"),
        (gone, "DOWN", ""),
        (moved, "ACTIVE", "h2"),
        (renumbered, "ACTIVE", "h1"),
    ):
        controller.until(guest.name, "port", guest.iface_id, status=status, bound_host=where)
    assert moved.reaches(made.guests["red"][0])
    assert renumbered.reaches(moved)
    for guest in (new, gone, moved, renumbered):
        guest.unplug()
        controller.delete("port", guest.iface_id)


@pytest.mark.proves("S108", "S125")
@pytest.mark.parametrize("daemons", (("ovs-vswitchd",), ("ovsdb-server",), ("ovs-vswitchd", "ovsdb-server")))
def test_open_vswitch_away_while_ports_come_and_go(made: Tenants, daemons: tuple[str, ...]) -> None:
    """Killed on one host and started again: what was deleted is dead, what was created works, the rest is back."""
    controller, (h1, h2) = made.controller, made.controller.lab.hosts
    network = made.networks["red"]
    one, _, far = made.guests["red"]
    doomed = add_guest(controller, f"doomed{len(controller.lab.guests)}", h1, network)
    beside = add_guest(controller, f"beside{len(controller.lab.guests)}", h2, network)
    for daemon in daemons:
        h1.kill(daemon)
    port = controller.create("port", network_id=network["id"])
    status, _ = controller.request("DELETE", f"/ports/{doomed.iface_id}")
    assert status == 204
    # The other host is served all the while.
    assert beside.reaches(far)
    for daemon in reversed(daemons):
        h1.start_ovsdb_server() if daemon == "ovsdb-server" else h1.start_vswitchd()
    for host in (h1, h2):
        controller.until_live(host)
    # A switch that was killed knows no way to its tunnel peers: they are greeted again before a guest needs them.
    until("tunnel peers to be known", lambda: h2.tunnel_ip in h1.tunnel_neighbours())
    assert one.pings(far, count=1) == 1
    assert not doomed.reaches(one, timeout_s=0.3)
    name = f"late{len(controller.lab.guests)}"
    late = controller.lab.guest(name, h1, mac=port["mac_address"], iface_id=port["id"])
    late.plug()
    controller.until_active(port)
    late.configure(f"{address_of(port, 4)}/24", mtu=network["mtu"])
    assert late.reaches(beside)
    for guest in (late, beside, doomed):
        guest.unplug()
    for guest in (late, beside):
        controller.delete("port", guest.iface_id)


def test_a_database_that_is_away_is_told_of_and_costs_no_flow(made: Tenants) -> None:
    """Flows are kept, and none is sent anew when it is back. (Without it, a userspace datapath forwards nothing.)"""
    controller, (h1, _) = made.controller, made.controller.lab.hosts
    flows, bundles = flow_texts(controller, h1), len(applied(controller))
    h1.kill("ovsdb-server")
    until("problem", lambda: not controller.host("h1")["ovsdb_connected"])
    assert controller.host("h1")["problems"]
    h1.start_ovsdb_server()
    until("no problem", lambda: controller.host("h1"), lambda host: host["ovsdb_connected"] and not host["problems"])
    assert flow_texts(controller, h1) == flows
    assert len(applied(controller)) == bundles


@pytest.mark.proves("S125")
def test_flows_removed_by_hand_are_put_back_with_the_next_connection(made: Tenants) -> None:
    """What differs from what should be there is seen (`view=difference`), and put right at the latest then."""
    controller, (h1, _) = made.controller, made.controller.lab.hosts
    flows = flow_texts(controller, h1)
    h1.ofctl("del-flows", "br-int")
    h1.ofctl("add-flow", "br-int", "table=10,priority=77,actions=drop")
    difference = controller.flows(h1, "difference")
    assert len([flow for flow in difference if flow["difference"] == "missing"]) == len(flows)
    assert [flow["difference"] for flow in difference if "priority=77" in flow["flow"]] == ["foreign"]
    restart(controller, SIGKILL)
    (line,) = applied(controller)
    assert re.search(rf"put={len(flows)} removed=0", line)
    h1.ofctl("del-flows", "br-int", "--strict", "table=10,priority=77")
    settle(controller.lab)
    assert flow_texts(controller, h1) == flows


def test_a_start_while_a_host_is_away_takes_nothing_from_the_others(made: Tenants) -> None:
    """What is plugged there is presumed to be there still: the other host keeps its flows, and is told nothing."""
    controller, (h1, h2) = made.controller, made.controller.lab.hosts
    flows = flow_texts(controller, h1)
    one, near, far = made.guests["red"]
    controller.kill()
    h2.kill("ovs-vswitchd")
    h2.kill("ovsdb-server")
    controller.start()
    controller.until_live(h1)
    until("h2 to be missed", lambda: controller.host("h2")["problems"])
    assert flow_texts(controller, h1) == flows
    assert applied(controller) == []
    assert one.reaches(near)
    h2.start_ovsdb_server()
    h2.start_vswitchd()
    controller.until_live(h2)
    settle(controller.lab)
    # The hosts have greeted each other again: not even the first one is lost.
    assert one.pings(far, count=1) == 1
    assert flow_texts(controller, h1) == flows


def test_a_start_while_a_switch_is_away_believes_no_number_of_before(made: Tenants) -> None:
    """The database names ofports that a new ovs-vswitchd allots anew."""
    controller, (h1, _) = made.controller, made.controller.lab.hosts
    h1.kill("ovs-vswitchd")
    controller.kill()
    controller.start()
    assert controller.host("h1")["state"] == "AWAY"
    gone = made.guests["blue"][1]
    h1.vsctl("--no-wait", "del-port", gone.device)
    h1.start_vswitchd()
    controller.until_live(h1)
    controller.until("blue2", "port", gone.iface_id, status="DOWN")
    assert made.guests["blue"][0].reaches(made.guests["blue"][2])
    gone.plug()
    controller.until_active({"id": gone.iface_id})


@pytest.mark.proves("S141")
def test_a_hosts_tunnel_address_changes(made: Tenants) -> None:
    """All others send to the new one, and what comes from it is taken."""
    controller, (h1, h2) = made.controller, made.controller.lab.hosts
    one, _, far = made.guests["red"]
    object_id = controller.host("h2")["id"]
    h2.run("ip", "addr", "add", "192.0.2.102/24", "dev", "br-phys")
    for address in ("192.0.2.102", h2.tunnel_ip):
        controller.update("host", object_id, tunnel_ip=address)
        for host in (h1, h2):
            controller.until_live(host)
        settle(controller.lab)
        mark = frames.marker()
        with h1.sent_on("underlay") as there, h2.sent_on("underlay") as back:
            assert one.pings(far) == 3
            one.send(datagram(one, far.mac, mark))
            far.send(datagram(far, one.mac, mark))
            for seen in (there, back):
                assert seen.wait_for(mark) == 1
            opened = [frames.tunnelled(seen.frames(mark)[0]) for seen in (there, back)]
        assert [(one.source, one.destination) for one in opened if one] == [
            (h1.tunnel_ip, address),
            (address, h1.tunnel_ip),
        ]
    h2.run("ip", "addr", "del", "192.0.2.102/24", "dev", "br-phys")


@pytest.mark.proves("S50")
def test_a_host_that_takes_anothers_datapath_id_harms_nobody(made: Tenants) -> None:
    """Whichever of the two it is, and after a restart too: connections are told apart by what only their host knows."""
    controller = made.controller
    one, near, _ = made.guests["red"]
    with one.probe(near) as probe:
        for thief, victim in (controller.lab.hosts, reversed(controller.lab.hosts)):
            identity = controller.host(victim.name)["datapath_id"]
            thief.vsctl("set", "Bridge", "br-int", f"other_config:datapath-id={identity}")
            until(
                "the datapath id",
                lambda at=thief.name: controller.host(at)["datapath_id"],
                lambda found, want=identity: found == want,
            )
            for _ in range(2):
                for host in (thief, victim):
                    controller.until_live(host)
                    assert controller.flows(host, "difference") == []
                restart(controller, SIGKILL)
            thief.vsctl("remove", "Bridge", "br-int", "other_config", "datapath-id")
            until(
                "its own again",
                lambda at=thief.name: controller.host(at)["datapath_id"],
                lambda found, was=identity: found != was,
            )
        assert probe.report().lost == 0


def test_a_bridge_that_claims_a_hosts_datapath_id_is_turned_away(made: Tenants) -> None:
    """It does not know the serial number. The host goes on, and its status says who tried."""
    controller, (h1, h2) = made.controller, made.controller.lab.hosts
    identity = controller.host("h1")["datapath_id"]
    config = f"other_config:datapath-id={identity}"
    h2.vsctl("add-br", "br-evil", "--", "set", "Bridge", "br-evil", "datapath_type=netdev", "fail_mode=secure", config)
    h2.vsctl("set-controller", "br-evil", f"unix:{h2.directory}/controller.sock")
    until("the claim to be told of", lambda: [one for one in controller.host("h1")["problems"] if "serial" in one])
    assert controller.host("h1")["state"] == controller.host("h2")["state"] == "LIVE"
    assert "cookie" not in h2.ofctl("dump-flows", "br-evil")
    late = add_guest(controller, "claim1", h1, made.networks["red"])
    assert late.reaches(made.guests["red"][0])
    h2.vsctl("del-br", "br-evil")
    until("the claim to be over", lambda: not [one for one in controller.host("h1")["problems"] if "serial" in one])
    late.unplug()
    controller.delete("port", late.iface_id)


class Script:
    """Creates, plugs and deletes at random, request by request, and knows what was answered."""

    def __init__(self, controller: Controller, seed: int, kill_after: int) -> None:
        self._api = controller
        self._random = random.Random(seed)
        self._left = kill_after
        self.is_time = runtime.Signal()
        """Set after so many answers; the script goes on."""
        self.there: dict[str, str] = {}
        """Kind by id of what was created, and was not asked to be deleted."""
        self.gone: set[str] = set()
        """Ids of what was deleted."""
        self.plugged: dict[str, str | None] = {}
        """Host by port, None when it was unplugged; a port whose last request was not answered is not in here."""
        self._networks: list[str] = []
        self._ports: list[str] = []

    def run(self) -> None:
        """Until the API does not answer any more."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                step = self._random.choices((self._network, self._port, self._plug, self._delete), (2, 6, 6, 4))[0]
                step()

    def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        answer = self._api.call(method, path, body)
        self._left -= 1
        if not self._left:
            self.is_time.set()
        return answer

    def _network(self) -> None:
        network = self._call("POST", "/networks", {"network": {"name": "script"}})["network"]["id"]
        self.there[network] = "network"
        subnet = {"network_id": network, "ip_version": 4, "cidr": "10.20.0.0/24"}
        self.there[self._call("POST", "/subnets", {"subnet": subnet})["subnet"]["id"]] = "subnet"
        self._networks.append(network)

    def _port(self) -> None:
        if self._networks:
            wish = {"network_id": self._random.choice(self._networks)}
            port = self._call("POST", "/ports", {"port": wish})["port"]["id"]
            self.there[port] = "port"
            self._ports.append(port)

    def _plug(self) -> None:
        if not self._ports:
            return
        port = self._random.choice(self._ports)
        has = self.plugged.pop(port, None)
        if has:
            self._call("PUT", f"/ports/{port}/unplug", {"unplug": {}})
            self.plugged[port] = None
        else:
            host = self._random.choice(("h1", "h2"))
            self._call("PUT", f"/ports/{port}/plug", {"plug": {"host": host, "type": "internal"}})
            self.plugged[port] = host

    def _delete(self) -> None:
        if self._ports:
            port = self._ports.pop(self._random.randrange(len(self._ports)))
            self.plugged.pop(port, None)
            del self.there[port]
            self._call("DELETE", f"/ports/{port}")
            self.gone.add(port)


@pytest.mark.proves("S42")
@pytest.mark.parametrize("seed", range(5))
def test_killed_in_the_middle_of_a_script(made: Tenants, seed: int) -> None:
    """Every answered request is in the database afterwards; flows and interfaces of both hosts are what that says."""
    controller = made.controller
    script = Script(controller, seed, kill_after=random.Random(seed).randrange(5, 60))
    running = runtime.spawn(script.run)
    assert script.is_time.wait(20)
    controller.kill()
    running.join()
    controller.start()
    for host in controller.lab.hosts:
        controller.until_live(host)
    found = {kind: {one["id"]: one for one in controller.list(kind)} for kind in ("network", "subnet", "port")}
    assert all(object_id in found[kind] for object_id, kind in script.there.items())
    assert not script.gone & found["port"].keys()
    for port, where in script.plugged.items():
        plug = found["port"][port]["plug"]
        assert (plug and plug["host"]) == where
    is_whole(controller)
    # And nothing is left of it when it is deleted.
    mine = [one for one in found["network"].values() if one["name"] == "script"]
    for network in mine:
        for port in (port for port in found["port"].values() if port["network_id"] == network["id"]):
            if port["device_owner"] != "network:dhcp":
                controller.call("DELETE", f"/ports/{port['id']}")
        controller.call("DELETE", f"/networks/{network['id']}")
