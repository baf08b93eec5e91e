# SPDX-License-Identifier: Apache-2.0
"""DHCP through everything: clients on real interfaces, Open vSwitch, the controller, and back.

    python -m bench.dhcp [--ports 320] [--seconds 2]

Whole exchanges (DISCOVER, OFFER, REQUEST, ACK) a second with 1 and with 32 in flight; then the same beside a flood of
10 000 DISCOVERs a second from one port, which the port's meter cuts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from bench import dhcp_clients
from topologies.controller import Controller, Json
from topologies.host import Host
from topologies.lab import Lab

FLOOD = 10_000
CHUNK = 100


def clients(host: Host, ports: list[Json], seconds: float, in_flight: int) -> tuple[float, float, float, int]:
    """Exchanges a second, p50 and p99 in ms, exchanges lost."""
    lines = "".join(f"{interface(port)} {port['mac_address']}\n" for port in ports)
    said = host.run(
        *(sys.executable, str(Path(dhcp_clients.__file__)), str(seconds), str(in_flight)),
        text=lines,
        timeout_s=seconds + 20,
    )
    count, took, p50, p99, lost = said.split()
    return int(count) / float(took), float(p50), float(p99), int(lost)


def interface(port: Json) -> str:
    return f"t{port['id'][:13]}"


def plug(host: Host, ports: list[Json]) -> None:
    """Internal interfaces with the ports' MAC addresses, as a script would make them."""
    for start in range(0, len(ports), CHUNK):
        argv: list[str] = []
        for port in ports[start : start + CHUNK]:
            argv += ["--", "add-port", "br-int", interface(port), "--", "set", "interface", interface(port)]
            argv += ["type=internal", f'mac="{port["mac_address"]}"', f"external_ids:iface-id={port['id']}"]
        host.run("ovs-vsctl", *argv[1:], timeout_s=60)
    for port in ports:
        host.script(f"ip link set {interface(port)} address {port['mac_address']} up")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ports", type=int, default=320)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    with Lab(hosts=1) as lab, Controller(lab, "--log-level", "warning") as controller:
        controller.add_hosts()
        network = controller.create("network", name="big")
        controller.create("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/16")
        ports = controller.create_many("port", [{"network_id": network["id"]}] * (options.ports + 1))
        host = lab.hosts[0]
        plug(host, ports)
        controller.until_active(*ports)
        print("in flight     exchanges/s     p50 ms     p99 ms   lost")
        quiet = {}
        for in_flight in (1, 32):
            rate, p50, p99, lost = quiet[in_flight] = clients(host, ports[1:], options.seconds, in_flight)
            print(f"{in_flight:9} {rate:15.0f} {p50:10.2f} {p99:10.2f} {lost:6}", flush=True)
        flooder = host.start(
            *(sys.executable, "-c", FLOODER, str(Path(dhcp_clients.__file__).parent), interface(ports[0])),
            *(ports[0]["mac_address"], str(FLOOD)),
            log="flood.log",
            stdout=subprocess.DEVNULL,
        )
        try:
            rate, p50, p99, lost = clients(host, ports[1:], options.seconds, 4)
        finally:
            flooder.kill()
        idle = clients(host, ports[1:], options.seconds, 4)
        ratio = p99 / idle[2]
        print(
            f"4 in flight without it: {idle[0]:.0f}/s, p50 {idle[1]:.2f}, p99 {idle[2]:.2f} ms: p99 {ratio:.2f} times"
        )


FLOODER = """
import socket, sys, time
sys.path.insert(0, sys.argv[1])
import dhcp_clients
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((sys.argv[2], 0))
mac, rate = bytes.fromhex(sys.argv[3].replace(":", "")), int(sys.argv[4])
frame = dhcp_clients.request(mac, 1, 1)
end = time.monotonic() + 30
while (now := time.monotonic()) < end:
    for _ in range(rate // 100):
        s.send(frame)
    time.sleep(max(0.0, now + 0.01 - time.monotonic()))
"""


if __name__ == "__main__":
    main()
