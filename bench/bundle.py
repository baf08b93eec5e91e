# SPDX-License-Identifier: Apache-2.0
"""10 000 flows onto one bridge of a real ovs-vswitchd (dummy datapath), and back.

    python -m bench.bundle [FLOWS [ROUNDS]]

`apply` is from ready messages to the commit and the barrier behind it; `delta to reply` begins at flow values and
counts encoding. os-ken encodes the same flows with its classes in the same run. The longest stall is how long no other
task had its turn meanwhile.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

from sdnctl import runtime

runtime.install()

from os_ken.ofproto import ofproto_v1_4 as ofp  # noqa: E402  (only after the hub)
from os_ken.ofproto import ofproto_v1_4_parser as os_ken  # noqa: E402
from os_ken.ofproto.ofproto_protocol import ProtocolDesc  # noqa: E402

from sdnctl.flows import wire  # noqa: E402
from sdnctl.flows.action import Load, Output, SetField  # noqa: E402
from sdnctl.flows.fields import Field  # noqa: E402
from sdnctl.flows.flow import Flow  # noqa: E402
from sdnctl.flows.match import Match  # noqa: E402
from sdnctl.flows.pipeline import App, Kind, Owner, Table  # noqa: E402
from sdnctl.flows.registers import NETWORK, TO_PORT  # noqa: E402
from sdnctl.openflow import Connection, Listener  # noqa: E402
from tests.support.dummy_ovs import DummySwitch  # noqa: E402

OWNER = Owner(App.SWITCHING, Kind.PORT, 1)
OS_KEN_FLOWS = 1000


def a_flow(number: int) -> Flow:
    """Five fields, three actions: what a station's flow is like."""
    match = (
        Match().slot(NETWORK, 7).eth_src(0x020000000000 + number).eth_dst(0x020000000001).ipv4_dst(number, 0xFFFFFFFF)
    )
    actions = (Load(TO_PORT, number), SetField(Field.ETH_SRC, 0x020000000002), Output(1))
    return Flow(Table.SWITCHING, 100, match, actions, OWNER.cookie())


def by_os_ken(number: int, bridge: ProtocolDesc) -> bytes:
    match = os_ken.OFPMatch(
        reg0=(7, 0xFFFFFF), eth_src=0x020000000000 + number, eth_dst=0x020000000001, eth_type=0x0800, ipv4_dst=number
    )
    actions = [
        os_ken.OFPActionSetField(reg2=number),
        os_ken.OFPActionSetField(eth_src="02:00:00:00:00:02"),
        os_ken.OFPActionOutput(1),
    ]
    instructions = [os_ken.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, actions)]
    message = os_ken.OFPFlowMod(
        bridge, cookie=OWNER.cookie(), table_id=Table.SWITCHING, priority=100, match=match, instructions=instructions
    )
    message.set_xid(1)
    message.serialize()
    return bytes(message.buf)


class Stall:
    """Measures the longest time between two turns of a task that always gives way."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._on = True
        self._task = runtime.spawn(self._watch)

    def _watch(self) -> None:
        last = runtime.monotonic()
        while self._on:
            runtime.give_way()
            now = runtime.monotonic()
            self.longest_s, last = max(self.longest_s, now - last), now

    def stop(self) -> float:
        self._on = False
        self._task.join()
        return self.longest_s


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def encode(flows: list[Flow]) -> list[bytes]:
    return [wire.add_message(wire.encode(flow)) for flow in runtime.in_slices(flows)]


def read(connection: Connection) -> int:
    return sum(1 for body in connection.read_flows() for _ in runtime.in_slices(wire.parse_flow_stats(body)))


def main(count: int = 10_000, rounds: int = 7) -> None:
    arrived = runtime.Queue()
    listener = Listener(("tcp:127.0.0.1:0",), None, arrived.put)
    listener.start()
    figures: dict[str, list[float]] = {}
    bridge = ProtocolDesc(ofp.OFP_VERSION)
    with DummySwitch() as switch:
        switch.bridge("br0", p1=1)
        switch.vsctl("set-controller", "br0", listener.targets[0])
        connection = arrived.get(timeout=20)
        for _ in range(rounds):
            # Matches are made anew each time: nothing may be kept from the round before.
            flows = [a_flow(number) for number in range(count)]
            deletions = [wire.delete_message((one := wire.encode(flow)).key, one.cookie) for flow in flows]
            messages = encode(flows)
            size = len(messages[0])
            rate = figures.setdefault
            rate("encode, flows/s", []).append(count / timed(lambda flows=flows: encode(flows)))
            rate("encode by os-ken, flows/s", []).append(
                OS_KEN_FLOWS / timed(lambda: [by_os_ken(number, bridge) for number in range(OS_KEN_FLOWS)])
            )
            rate("apply, flows/s", []).append(count / timed(lambda m=messages: connection.apply([], m, [])))
            rate("remove, flows/s", []).append(count / timed(lambda d=deletions: connection.apply([], d, [])))
            stall = Stall()
            seconds = timed(lambda flows=flows: connection.apply([], encode(flows), []))
            rate("delta to reply, flows/s (a busy task beside it)", []).append(count / seconds)
            rate("longest stall, ms", []).append(stall.stop() * 1000)
            rate("delta to reply, flows/s", []).append(
                count / timed(lambda flows=flows: connection.apply([], encode(flows), []))
            )
            stall = Stall()
            rate("read back and parse, ms", []).append(timed(lambda: read(connection)) * 1000)
            rate("longest stall while reading, ms", []).append(stall.stop() * 1000)
            rate("one flow, ms", []).append(timed(lambda m=messages: connection.apply([], m[:1], [])) * 1000)
            connection.apply([], deletions, [])
    listener.stop()
    print(f"{count} flows of {size} bytes, {rounds} rounds: median (least - most)")
    for name, values in figures.items():
        print(f"  {name:50} {statistics.median(values):12,.1f}   ({min(values):,.1f} - {max(values):,.1f})")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
