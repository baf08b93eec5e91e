# SPDX-License-Identifier: Apache-2.0
"""Punted frames per second through one connection, on one core of the controller's.

    python -m bench.packet_in [SECONDS]

A bridge in a process of its own (`bench/bridge.py`) sends packet-ins that carry a frame of DHCP's size, keeps so many
unanswered at once, and takes the time until the packet-out for each comes back. `no answers`: as fast as it can send.
"""

from __future__ import annotations

import subprocess
import sys
import time

from sdnctl import runtime

runtime.install()

from sdnctl.flows import wire  # noqa: E402  (only after the hub)
from sdnctl.flows.action import Output  # noqa: E402
from sdnctl.openflow import Connection, Listener  # noqa: E402

BACK = (Output(1),)


def measure(window: int, seconds: float) -> str:
    connections: list[Connection] = []

    def answer(_in_port: int, _cookie: int, frame: bytes) -> None:
        if window:
            connections[0].send(wire.packet_out(wire.CONTROLLER_PORT, BACK, frame))

    def serve(connection: Connection) -> None:
        connections.append(connection)
        connection.on_packet_in(answer)
        connection.send(wire.packet_out(wire.CONTROLLER_PORT, BACK, b"begin"))

    listener = Listener(("tcp:127.0.0.1:0",), None, serve)
    listener.start()
    cpu = time.process_time()
    command = (sys.executable, "-m", "bench.bridge", listener.targets[0], str(window), str(seconds))
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    cpu = time.process_time() - cpu
    listener.stop()
    heard = connections[0].packet_ins
    answered, p50, p99 = map(float, done.stdout.split())
    assert window == 0 or heard - window <= answered <= heard
    return (
        f"{heard / seconds:10,.0f} /s   p50 {p50:6.2f} ms   p99 {p99:6.2f} ms   {1e6 * cpu / heard:5.1f} us of CPU each"
    )


def main(seconds: float = 2.0) -> None:
    print(f"packet-ins, each answered by a packet-out, {seconds:g} s each")
    for window in (1, 32, 256):
        print(f"  {window:4} in flight {measure(window, seconds)}")
    print(f"  no answers     {measure(0, seconds)}")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
