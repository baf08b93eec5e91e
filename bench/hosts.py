# SPDX-License-Identifier: Apache-2.0
"""Many hosts on one controller: `python -m bench.hosts [--hosts 200] [--ports 0]`.

Each host is an ovsdb-server and an ovs-vswitchd of its own (dummy datapath, no root). Prints how long it takes until
all are LIVE at first, and again after the controller was killed and started; and its memory. With `--ports`, so many
are spread over the hosts, in networks of 100 ports on 5 hosts each.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.support.dummy_ovs import DummySwitch

PORT = 19797
SIZE = 100
"""Ports to a network."""
SPREAD = 5
"""Hosts to a network."""


def call(method: str, path: str, body: object = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def serve(directory: Path, sockets: list[str]) -> subprocess.Popen[bytes]:
    """Start the controller."""
    log = (directory / "log").open("ab")
    return subprocess.Popen(
        [
            *(sys.executable, "-W", "ignore", "-m", "sdnctl", "serve", "--auth", "none", "--log-level", "warning"),
            *("--database", f"sqlite:///{directory}/sdnctl.db", "--api-listen", f"127.0.0.1:{PORT}"),
            *("--openflow-listen", *sockets),
        ],
        stdout=log,
        stderr=log,
        env=os.environ,
    )


def wire(switches: list[DummySwitch], count: int) -> float:
    """Make `count` ports and plug them; seconds until all are ACTIVE."""
    started = time.monotonic()
    plugs: dict[int, list[str]] = {}
    for number in range(count // SIZE):
        network = call("POST", "/v2.0/networks", {"network": {"name": f"n{number}"}})["network"]["id"]
        subnet = {"network_id": network, "ip_version": 4, "cidr": "10.0.0.0/24"}
        call("POST", "/v2.0/subnets", {"subnet": subnet})
        made = call("POST", "/v2.0/ports", {"ports": [{"network_id": network}] * SIZE})["ports"]
        for index, port in enumerate(made):
            plugs.setdefault((number * SPREAD + index % SPREAD) % len(switches), []).append(port["id"])
    for where, ports in plugs.items():
        argv: list[str] = []
        for port_id in ports:
            name = f"d{port_id[:12]}"
            argv += ["--", "add-port", "br-int", name, "--", "set", "interface", name, "type=dummy"]
            argv += [f"external_ids:iface-id={port_id}"]
        switches[where].vsctl("--no-wait", *argv[1:])
    while len(call("GET", "/v2.0/ports?status=ACTIVE&fields=id")["ports"]) < count:
        time.sleep(0.2)
    return time.monotonic() - started


def memory(controller: subprocess.Popen[bytes]) -> str:
    with open(f"/proc/{controller.pid}/status") as status:  # noqa: PTH123
        return f"{int(next(line.split()[1] for line in status if line.startswith('VmRSS'))) / 1024:.0f} MB"


def until_live(count: int) -> float:
    """Seconds until `count` hosts are LIVE."""
    started = time.monotonic()
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            live = sum(host["state"] == "LIVE" for host in call("GET", "/v2.0/hosts?fields=state")["hosts"])
            if live == count:
                return time.monotonic() - started
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=200)
    parser.add_argument("--ports", type=int, default=0)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sdnctl-bench-")))
        switches = [stack.enter_context(DummySwitch()) for _ in range(options.hosts)]
        controller = serve(directory, [f"unix:{one.directory}/controller.sock" for one in switches])
        stack.callback(lambda: controller.kill())  # noqa: PLW0108  (the one that runs then)
        until_live(0)
        hosts = [
            {"name": f"h{number}", "ovsdb": one.database, "tunnel_ip": f"192.0.2.{number + 1}"}
            for number, one in enumerate(switches)
        ]
        for host in hosts:
            call("POST", "/v2.0/hosts", {"host": host})
        took = until_live(options.hosts)
        print(f"{options.hosts} hosts LIVE {took:.2f} s after the last was added, {memory(controller)}", flush=True)
        if options.ports:
            took = wire(switches, options.ports)
            print(
                f"{options.ports} ports ACTIVE {took:.1f} s after the first request, {memory(controller)}", flush=True
            )
        controller.kill()
        controller.wait()
        controller = serve(directory, [f"unix:{one.directory}/controller.sock" for one in switches])
        print(f"{options.hosts} hosts LIVE {until_live(options.hosts):.2f} s after the controller was started again")
        print(memory(controller))


if __name__ == "__main__":
    main()
