# SPDX-License-Identifier: Apache-2.0
"""What security groups cost: the switch per packet, and a change of a large group until the last host has it.

    python -m bench.policy [--rounds 7] [--hosts 10] [--ports 1000]

*Per packet*: UDP of 500 bytes between two guests on one host, both in a stateful group, beside the same stream between
two guests on a bridge with the action NORMAL in the same ovs-vswitchd; turn by turn, processor time of ovs-vswitchd
for each packet that arrived. Needs root.

*Changes*: real ovs-vswitchds with the dummy datapath, one for each host; from the request to its answer with
`wait=applied`. A member joins (its port is bound already) a group of 10, and one with all other ports.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from pathlib import Path

from bench.hosts import call, serve, until_live
from tests.support.dummy_ovs import DummySwitch
from topologies.controller import Controller
from topologies.guest import Vm
from topologies.host import Host
from topologies.lab import Lab

RATE = "40M"
SECONDS = 3
FEW = 10
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(host: Host) -> float:
    """Processor time of the host's ovs-vswitchd so far."""
    fields = Path(f"/proc/{host.pid_of('ovs-vswitchd')}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def received(guest: Vm) -> int:
    return int(guest.run("cat", "/sys/class/net/eth0/statistics/rx_packets"))


def microseconds_per_packet(sender: Vm, receiver: Vm) -> float:
    cpu, packets = cpu_s(sender.host), received(receiver)
    server = receiver.start("iperf3", "-s", "-1", log="iperf3.log")
    client = ("iperf3", "-u", "-l", "500", "-b", RATE, "-t", str(SECONDS), "-c", receiver.ipv4)
    while sender.try_run(*client).returncode:
        time.sleep(0.05)  # the server is not listening yet
    server.wait()
    return (cpu_s(sender.host) - cpu) / (received(receiver) - packets) * 1e6


def per_packet(rounds: int) -> None:
    with Lab(hosts=1) as lab, Controller(lab, "--log-level", "warning") as controller:
        host = lab.hosts[0]
        controller.add_hosts()
        network = controller.create("network")
        controller.create("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
        guarded = [lab.guest(name, host, addresses=(f"10.0.0.{n}/24",)) for n, name in ((11, "one"), (12, "two"))]
        for guest in guarded:
            address = [{"ip_address": guest.ipv4}]
            port = controller.create("port", network_id=network["id"], mac_address=guest.mac, fixed_ips=address)
            assert port["security_groups"], "the default group"
            guest.plug(iface_id=port["id"])
            controller.until_active(port)
        host.vsctl("add-br", "br-plain", "--", "set", "bridge", "br-plain", "datapath_type=netdev")
        plain = [lab.guest(name, host, addresses=(f"10.0.0.{n}/24",)) for n, name in ((11, "three"), (12, "four"))]
        for guest in plain:
            guest.plug(bridge="br-plain", iface_id="nobody")
        for pair in (guarded, plain):
            assert pair[0].reaches(pair[1])
        costs = [(microseconds_per_packet(*guarded), microseconds_per_packet(*plain)) for _ in range(rounds)]
    ratios = sorted(ours / normal for ours, normal in costs)
    ours, normal = (statistics.median(column) for column in zip(*costs, strict=True))
    print(
        f"ovs-vswitchd per packet: stateful groups {ours:.1f} us, NORMAL {normal:.1f} us;"
        f" ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})",
        flush=True,
    )


def put(path: str, name: str, **attributes: object) -> None:
    call("PUT", f"/v2.0/{path}?wait=applied", {name: attributes})


def milliseconds(path: str, name: str, **attributes: object) -> float:
    started = time.monotonic()
    put(path, name, **attributes)
    return (time.monotonic() - started) * 1000


def changes(rounds: int, hosts: int, ports: int) -> None:
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sdnctl-bench-")))
        switches = [stack.enter_context(DummySwitch()) for _ in range(hosts)]
        controller = serve(directory, [f"unix:{one.directory}/controller.sock" for one in switches])
        stack.callback(controller.kill)
        until_live(0)
        for number, one in enumerate(switches):
            host = {"name": f"h{number}", "ovsdb": one.database, "tunnel_ip": f"192.0.2.{number + 1}"}
            call("POST", "/v2.0/hosts", {"host": host})
        until_live(hosts)
        groups = {}
        for name in ("few", "many"):
            group = call("POST", "/v2.0/security-groups", {"security_group": {"name": name}})["security_group"]["id"]
            rule = {"security_group_id": group, "direction": "ingress", "remote_group_id": group}
            call("POST", "/v2.0/security-group-rules", {"security_group_rule": rule})
            groups[name] = group
        network = call("POST", "/v2.0/networks", {"network": {}})["network"]["id"]
        call("POST", "/v2.0/subnets", {"subnet": {"network_id": network, "ip_version": 4, "cidr": "10.0.0.0/16"}})
        made: list[str] = []
        for name, count in (("few", FEW), ("many", ports), ("", 1)):
            for start in range(0, count, 250):
                body = {"network_id": network, "security_groups": [groups[name]] if name else []}
                bodies = [body] * min(250, count - start)
                made += [port["id"] for port in call("POST", "/v2.0/ports", {"ports": bodies})["ports"]]
        for where, switch in enumerate(switches):
            argv: list[str] = []
            for port_id in made[where::hosts]:
                name = f"d{port_id[:12]}"
                argv += ["--", "add-port", "br-int", name, "--", "set", "interface", name, "type=dummy"]
                argv += [f"external_ids:iface-id={port_id}"]
            switch.vsctl("--no-wait", *argv[1:])
        while len(call("GET", "/v2.0/ports?status=ACTIVE&fields=id")["ports"]) < len(made):
            time.sleep(0.2)
        joins: dict[str, list[float]] = {"few": [], "many": []}
        rules: list[float] = []
        for number in range(rounds):
            for name in ("few", "many"):
                joins[name].append(milliseconds(f"ports/{made[-1]}", "port", security_groups=[groups[name]]))
                put(f"ports/{made[-1]}", "port", security_groups=[])
            rule = {"security_group_id": groups["many"], "direction": "ingress", "protocol": "tcp"}
            rule |= {"port_range_min": 1000 + number, "port_range_max": 1000 + number}
            started = time.monotonic()
            call("POST", "/v2.0/security-group-rules?wait=applied", {"security_group_rule": rule})
            rules.append((time.monotonic() - started) * 1000)
    few, many = (statistics.median(joins[name]) for name in ("few", "many"))
    print(f"a member joins a group of {FEW}: {few:.1f} ms; of {ports}: {many:.1f} ms; ratio {many / few:.2f}")
    print(f"one rule more in a group of {ports} ports on {hosts} hosts: {statistics.median(rules):.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--hosts", type=int, default=10)
    parser.add_argument("--ports", type=int, default=1000)
    options = parser.parse_args()
    per_packet(options.rounds)
    changes(options.rounds, options.hosts, options.ports)


if __name__ == "__main__":
    main()
