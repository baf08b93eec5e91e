# SPDX-License-Identifier: Apache-2.0
"""How fast flows become bytes, beside os-ken's message classes, and how fast bytes become flows again.

    python -m bench.encode [FLOWS [ROUNDS]]

Processor time, median of the rounds, peers taking turns. Every round uses numbers that no round before used, so no
cache has seen its MACs, addresses and keys.
"""

from __future__ import annotations

import gc
import itertools
import statistics
import struct
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace

from sdnctl import runtime

runtime.install()

from os_ken.ofproto import ofproto_v1_4 as ofp  # noqa: E402  (only after the hub)
from os_ken.ofproto import ofproto_v1_4_parser as os_ken  # noqa: E402

from sdnctl import apps  # noqa: E402
from sdnctl.flows.action import Goto, Load, Output, SetField  # noqa: E402
from sdnctl.flows.fields import Field  # noqa: E402
from sdnctl.flows.flow import Flow  # noqa: E402
from sdnctl.flows.match import Match  # noqa: E402
from sdnctl.flows.pipeline import App, Kind, Owner, Table  # noqa: E402
from sdnctl.flows.registers import FROM_PORT, NETWORK, TO_PORT  # noqa: E402
from sdnctl.flows.wire import add_message, encode, parse_flow_stats  # noqa: E402
from sdnctl.model.filters import ALL  # noqa: E402
from sdnctl.model.ids import NetworkKey, Ofport, PortKey  # noqa: E402
from sdnctl.model.views import LocalPort, Neighbour, Source, Station  # noqa: E402

COOKIE = Owner(App.SWITCHING, Kind.PORT, 1).cookie()
BRIDGE = SimpleNamespace(ofproto=ofp, ofproto_parser=os_ken)
NUMBERS = itertools.count(1)
MAC = 0x525400000000
HOST = 0xFFFFFFFF
LINK_LOCAL = 0xFE80 << 112


def by_os_ken(number: int) -> bytes:
    """Five fields and three actions, from os-ken's classes to bytes."""
    mac = (MAC + number).to_bytes(6, "big").hex(":")
    match = os_ken.OFPMatch(
        reg0=(7, 0xFFFFFF),
        in_port=3,
        eth_src=mac,
        eth_type=0x0800,
        ipv4_src=number,
    )
    actions = [
        os_ken.OFPActionSetField(reg2=number),
        os_ken.OFPActionSetField(tunnel_id=5),
        os_ken.OFPActionOutput(3),
    ]
    instructions = [os_ken.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, actions)]
    message = os_ken.OFPFlowMod(
        BRIDGE, cookie=COOKIE, table_id=60, priority=100, match=match, instructions=instructions
    )
    message.set_xid(1)
    message.serialize()
    return bytes(message.buf)


def the_same(number: int) -> Flow:
    """The same flow as a value, from nothing: no part of the match is shared with another flow."""
    match = Match().slot(NETWORK, 7).in_port(3).eth_src(MAC + number).ipv4_src(number)
    return Flow(60, 100, match, (SetField(Field.REG2, number), SetField(Field.TUN_ID, 5), Output(3)), COOKIE)


def typical(number: int) -> list[Flow]:
    """Four flows as an app writes them: matches that grow from what they share."""
    sent = Match().slot(FROM_PORT, number).eth_src(MAC + number)
    address = number & HOST
    following = (Goto(Table.RESPONDERS),)
    return [
        Flow(Table.PORT_SECURITY, 100, sent.ipv4_src(address), following, COOKIE),
        Flow(Table.PORT_SECURITY, 100, sent.arp_op(1).arp_spa(address).arp_sha(MAC + number), following, COOKIE),
        Flow(
            Table.SWITCHING,
            100,
            Match().slot(NETWORK, 7).eth_dst(MAC + number),
            (Load(TO_PORT, number), Goto(Table.OUTPUT)),
            COOKIE,
        ),
        Flow(Table.OUTPUT, 100, Match().slot(TO_PORT, number), (Output(number % 60000 + 1),), COOKIE),
    ]


def of_apps(number: int) -> list[Flow]:
    """All flows of a local port and of a port elsewhere, with an IPv4 and an IPv6 address each."""
    mac, local, ofport = MAC + number, LINK_LOCAL | number, Ofport(number % 30000 + 1)
    sources = (Source(mac, 4, number, HOST), Source(mac, 6, local, (1 << 128) - 1))
    port = LocalPort(
        key=PortKey(number), network=NetworkKey(7), ofport=ofport, mac=mac, sources=sources, filters=ALL, dhcp=True
    )
    key = PortKey(number + (1 << 31))
    neighbour = Neighbour(key=key, network=NetworkKey(7), mac=mac, ipv4=(number,), ipv6=(local,))
    station = Station(key=key, network=NetworkKey(7), mac=mac, is_remote=True, peer=0x0A000001)
    return [*apps.port(port), *apps.neighbour(neighbour), *apps.station(station)]


def listed(flows: list[Flow]) -> bytes:
    """The flows as a switch lists them in one multipart body."""
    entries = []
    for flow in flows:
        rest = add_message(encode(flow))[48:]
        numbers = (48 + len(rest), flow.table, 1, 2, flow.priority, 0, 0, 0, 0, flow.cookie, 3, 4)
        entries.append(struct.pack("!HBxIIHHHHH2xQQQ", *numbers) + rest)
    return b"".join(entries)


def microseconds(work: Callable[[], int]) -> float:
    """Processor time of `work`, per each of the things that it says it did."""
    gc.collect()
    start = time.process_time()
    count = work()
    return (time.process_time() - start) / count * 1e6


def main(count: int = 20_000, rounds: int = 5) -> None:
    flows = [the_same(next(NUMBERS)) for _ in range(count)]
    body = listed(flows)

    def peer() -> int:
        for number in itertools.islice(NUMBERS, count // 20):
            by_os_ken(number)
        return count // 20

    def encoded() -> int:
        for flow in flows:
            add_message(encode(flow), 1)
        return count

    def from_nothing() -> int:
        for number in itertools.islice(NUMBERS, count):
            add_message(encode(the_same(number)), 1)
        return count

    def as_apps() -> int:
        for number in itertools.islice(NUMBERS, count // 4):
            for flow in typical(number):
                add_message(encode(flow), 1)
        return count // 4 * 4

    def by_apps() -> int:
        done = 0
        for number in itertools.islice(NUMBERS, count // 20):
            for flow in of_apps(number):
                add_message(encode(flow), 1)
                done += 1
        return done

    def read() -> int:
        return sum(1 for _ in parse_flow_stats(body))

    works = {
        "os-ken's classes, built and serialised": peer,
        "ours: value to message": encoded,
        "ours: built from nothing, to message": from_nothing,
        "ours: built as apps do, to message": as_apps,
        "the apps themselves, view to message": by_apps,
        "flow list from the switch, read": read,
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(microseconds(work))
    medians = {name: statistics.median(found) for name, found in times.items()}
    base = medians["os-ken's classes, built and serialised"]
    print(f"{'':42}{'us/flow':>10}{'flows/s':>12}{'times os-ken':>14}")
    for name, median in medians.items():
        print(f"{name:42}{median:10.2f}{1e6 / median:12,.0f}{base / median:14.1f}")
    print(f"10 000 flows read back: {medians['flow list from the switch, read'] * 10:.1f} ms")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
