# SPDX-License-Identifier: Apache-2.0
"""Many hosts on one controller: `python -m bench.hosts [--hosts 200]`.

Each host is an ovsdb-server and an ovs-vswitchd of its own (dummy datapath, no root). Prints how long it takes until
all are LIVE at first, and again after the controller was killed and started.
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
        print(f"{options.hosts} hosts LIVE {until_live(options.hosts):.2f} s after the last was added", flush=True)
        controller.kill()
        controller.wait()
        controller = serve(directory, [f"unix:{one.directory}/controller.sock" for one in switches])
        print(f"{options.hosts} hosts LIVE {until_live(options.hosts):.2f} s after the controller was started again")
        with open(f"/proc/{controller.pid}/status") as status:  # noqa: PTH123
            print(next(line.strip() for line in status if line.startswith("VmRSS")))


if __name__ == "__main__":
    main()
