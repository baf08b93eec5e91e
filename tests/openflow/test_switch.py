# SPDX-License-Identifier: Apache-2.0
"""Connections of a real Open vSwitch: what it tells, what it takes, and what it refuses."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import count
from signal import SIGKILL

import pytest

from sdnctl import runtime
from sdnctl.errors import HostGoneError, SwitchRefusedError
from sdnctl.flows import wire
from sdnctl.flows.action import Controller, Group, Output, Resubmit
from sdnctl.flows.flow import Flow
from sdnctl.flows.instruction import Meter
from sdnctl.flows.match import Match
from sdnctl.flows.pipeline import App, Kind, Owner, Table
from sdnctl.openflow import Connection
from tests.openflow.conftest import Receive, Reception, closing
from tests.support.dummy_ovs import DummySwitch

pytestmark = pytest.mark.switch

COOKIE = Owner(App.SWITCHING, Kind.PORT, 7).cookie()
DISCARD = 6
names = (f"br{number}" for number in count())


def flow(number: int, *actions: object, table: int = Table.SWITCHING) -> bytes:
    """An ADD of a flow of its own for each number."""
    return wire.add_message(wire.encode(Flow(table, 100, Match().eth_dst(number), actions or (Output(1),), COOKIE)))


def to_a_table_that_is_none(number: int) -> bytes:
    """Refused when it is added to a bundle."""
    whole = bytearray(flow(number))
    whole[24] = 0xFF
    return bytes(whole)


def to_a_group_that_is_none(number: int) -> bytes:
    return flow(number, Group(99))


def through_a_meter_that_is_none(number: int) -> bytes:
    return flow(number, Meter(99), Output(1))


@pytest.fixture
def bridge(switch: DummySwitch) -> Iterator[str]:
    name = next(names)
    yield switch.bridge(name, **{f"{name}p1": 1, f"{name}p2": 2})
    switch.delete_bridge(name)


@pytest.fixture
def reception(receive: Receive) -> Reception:
    return receive()


@pytest.fixture
def connection(switch: DummySwitch, bridge: str, reception: Reception) -> Connection:
    switch.vsctl("set-controller", bridge, reception.target)
    return reception.arrival()


@pytest.mark.parametrize("kind", ("tcp", "unix"))
def test_a_bridge_introduces_itself(switch: DummySwitch, bridge: str, receive: Receive, kind: str) -> None:
    """By a unix socket only where OVS allows it: in its run directory, named after the bridge."""
    serial = "0123456789abcdef0123456789abcde"
    dpid = f"{0xFEED00000000000 + ord(kind[0]):016x}"
    target = {"tcp": "tcp:127.0.0.1:0", "unix": f"unix:{switch.directory}/{bridge}.controller"}[kind]
    reception = receive(targets=(target,))
    switch.vsctl("set", "bridge", bridge, f"other_config:dp-sn={serial}", f"other_config:datapath-id={dpid}")
    switch.vsctl("set-controller", bridge, reception.target)
    connection = reception.arrival()
    assert f"{connection.dpid:016x}" == dpid
    assert connection.serial == serial
    assert dict(connection.ports) == {bridge: 0xFFFFFFFE, f"{bridge}p1": 1, f"{bridge}p2": 2}
    assert connection.peer.startswith(f"{kind}:")


def test_a_bridge_is_told_to_show_the_ports_of_fragments(
    switch: DummySwitch, bridge: str, connection: Connection
) -> None:
    """Port security takes a first fragment that shows none for one that hides them."""
    connection.barrier(10)
    assert "nx-match" in switch.ofctl("get-frags", bridge)


def test_ports_that_come_and_go_and_come_again(switch: DummySwitch, bridge: str, connection: Connection) -> None:
    changed: runtime.Queue = runtime.Queue()
    connection.on_ports_changed(lambda: changed.put(dict(connection.ports)))

    def seen(name: str) -> int | None:
        return changed.get(timeout=20).get(name)

    name = f"{bridge}p9"
    switch.vsctl("add-port", bridge, name, "--", "set", "interface", name, "type=dummy", "ofport_request=9")
    assert seen(name) == 9
    switch.vsctl("set", "interface", name, "ofport_request=19")
    while (ofport := seen(name)) != 19:
        assert ofport in {None, 9}
    switch.vsctl("del-port", name)
    assert seen(name) is None


def test_thousands_of_ports_come_in_many_parts(switch: DummySwitch, reception: Reception) -> None:
    """OVS puts about 900 ports into one part of its description."""
    name = switch.bridge(next(names), **{f"many{number}": number for number in range(1, 1001)})
    switch.vsctl("set-controller", name, reception.target)
    connection = reception.arrival()
    assert {number: name for name, number in connection.ports.items() if number < 1001} == {
        number: f"many{number}" for number in range(1, 1001)
    }
    switch.delete_bridge(name)


def test_another_version_is_refused_with_the_remedy(switch: DummySwitch, bridge: str, reception: Reception) -> None:
    switch.vsctl("set", "bridge", bridge, "protocols=OpenFlow10,OpenFlow13")
    switch.vsctl("set-controller", bridge, reception.target)
    # Whoever reads the other's hello first says that the two do not fit.
    assert "protocols" in (reason := reception.failure()) or "version negotiation failed" in reason


def test_a_bundle_is_installed_and_read_back(switch: DummySwitch, bridge: str, connection: Connection) -> None:
    flows = [wire.encode(Flow(Table.SWITCHING, 100, Match().eth_dst(one), (Output(2),), COOKIE)) for one in range(2000)]
    connection.apply([], [wire.add_message(one) for one in flows], [])
    bodies = connection.read_flows()
    assert len(bodies) > 1
    assert {one for body in bodies for one in wire.parse_flow_stats(body)} == set(flows)
    connection.apply([], [wire.delete_message(one.key, one.cookie) for one in flows[1:]], [])
    assert switch.dump(bridge) == [
        f"cookie={COOKIE:#x}, table=60, priority=100,dl_dst=00:00:00:00:00:00 actions=output:2"
    ]


def test_meters_and_groups_are_read_back(switch: DummySwitch, bridge: str, connection: Connection) -> None:
    meters = [wire.MeterSpec(7, pktps=10, burst=20), wire.MeterSpec(8, pktps=30)]
    group = wire.encode_group(wire.GroupSpec(5, "all", ((Output(1),), (Output(2),))))
    connection.apply([wire.meter_add(one) for one in meters], [wire.group_add(group)], [])
    assert {one for body in connection.read_meters() for one in wire.parse_meter_config(body)} == set(meters)
    read = [one for body in connection.read_groups() for one in wire.parse_group_desc(body)]
    assert read == [group]


def test_what_meters_dropped_is_asked_before_a_change_and_answered_after_it(
    switch: DummySwitch, bridge: str, connection: Connection
) -> None:
    """A change makes a meter begin anew; what was asked for before that is what it had counted."""
    slow = wire.MeterSpec(7, pktps=1, burst=5)
    connection.apply([wire.meter_add(slow), wire.meter_add(wire.MeterSpec(8, pktps=30))], [flow(1, Meter(7))], [])
    send = wire.packet_out(1, (Resubmit(60),), bytes.fromhex("000000000001525400000001 0800") + bytes(46))
    for _ in range(9):
        assert connection.send(send)
    answer = connection.ask_meter_stats()
    connection.apply([wire.meter_modify(slow)], [], [])
    assert drops(answer()) == {7: 4, 8: 0}
    assert drops(connection.ask_meter_stats(7)()) == {7: 0}
    with pytest.raises(SwitchRefusedError, match="a request for what meters dropped: OFPET_METER_MOD_FAILED"):
        connection.ask_meter_stats(99)()


def drops(bodies: list[bytes]) -> dict[int, int]:
    return {number: packets for body in bodies for number, packets, _ in wire.parse_meter_stats(body)}


def test_what_comes_before_and_after_a_bundle(switch: DummySwitch, bridge: str, connection: Connection) -> None:
    """The bundle's flows may use meters added before; meters removed after are no longer used."""
    metered = flow(1, Meter(1), Output(1))
    connection.apply([wire.meter_add(wire.MeterSpec(1, pktps=10))], [metered], [])
    connection.apply([], [flow(1, Output(1))], [wire.meter_delete(1)])
    assert switch.dump(bridge) == [
        f"cookie={COOKIE:#x}, table=60, priority=100,dl_dst=00:00:00:00:00:01 actions=output:1"
    ]
    assert connection.read_meters() == [b""]


def test_meters_without_flows(connection: Connection) -> None:
    meter = wire.MeterSpec(1, pktps=10)
    connection.apply([wire.meter_add(meter)], [], [])
    connection.apply([], [], [wire.meter_delete(1)])
    connection.apply([wire.meter_add(meter)], [], [wire.meter_delete(1)])
    connection.apply([], [], [])
    assert connection.read_meters() == [b""]


BAD_TABLE, BAD_GROUP, BAD_METER = (5, 2), (2, 9), (12, 2)


@pytest.mark.parametrize(
    ("wrong", "error"),
    (
        (to_a_table_that_is_none, BAD_TABLE),
        (to_a_group_that_is_none, BAD_GROUP),
        (through_a_meter_that_is_none, BAD_METER),
    ),
)
def test_a_refused_message_is_named_and_nothing_is_installed(
    switch: DummySwitch, bridge: str, connection: Connection, wrong: object, error: tuple[int, int]
) -> None:
    connection.apply([], [flow(1)], [])
    before = [wire.meter_add(wire.MeterSpec(1, pktps=10))]
    with pytest.raises(SwitchRefusedError, match="message 3 of 5") as refused:
        connection.apply(before, [flow(2), flow(3), wrong(4), flow(5)], [])
    assert refused.value.refusals == ((3, *error),)
    assert len(switch.dump(bridge)) == 1
    # The next one goes through: nothing is left open.
    connection.apply([], [flow(6)], [wire.meter_delete(1)])
    assert len(switch.dump(bridge)) == 2


def test_every_message_refused_on_arrival_is_named(switch: DummySwitch, bridge: str, connection: Connection) -> None:
    bundle = [flow(number) for number in range(1000)]
    for number in (0, 500, 999):
        bundle[number] = to_a_table_that_is_none(number)
    with pytest.raises(SwitchRefusedError, match=r"message 0 of 1000: .*, and 2 more") as refused:
        connection.apply([], bundle, [])
    assert refused.value.refusals == tuple((number, *BAD_TABLE) for number in (0, 500, 999))
    assert switch.dump(bridge) == []


def test_a_switch_commits_what_is_left_of_a_bundle(switch: DummySwitch, bridge: str, connection: Connection) -> None:
    """Why `apply` waits for a barrier before it commits: OVS leaves a refused message out and commits the others."""
    inner = [
        whole[:4] + struct.pack("!I", number) + whole[8:]
        for number, whole in enumerate((flow(1), to_a_table_that_is_none(2)))
    ]
    connection.send(wire.bundle_open(99) + b"".join(wire.bundle_add(99, one) for one in inner) + wire.bundle_commit(99))
    connection.barrier(20)
    assert len(switch.dump(bridge)) == 1
    assert connection.unasked_errors == 1


def test_refusals_before_and_after_the_bundle(switch: DummySwitch, bridge: str, connection: Connection) -> None:
    twice = [wire.meter_add(wire.MeterSpec(1, pktps=10))] * 2
    with pytest.raises(SwitchRefusedError) as refused:
        connection.apply(twice, [flow(1), to_a_table_that_is_none(2)], [wire.meter_delete(1)])
    assert [index for index, _, _ in refused.value.refusals] == [1, 3]
    assert switch.dump(bridge) == []
    assert len(connection.read_meters()[0]) > 0, "nothing of `after` is done"

    with pytest.raises(SwitchRefusedError) as refused:
        connection.apply([], [flow(1)], [wire.meter_delete(1), twice[0], twice[0]])
    assert [index for index, _, _ in refused.value.refusals] == [3]
    assert len(switch.dump(bridge)) == 1


def test_punted_frames_carry_their_flow_and_come_back(switch: DummySwitch, bridge: str, connection: Connection) -> None:
    heard: runtime.Queue = runtime.Queue()
    connection.on_packet_in(lambda *told: heard.put(told))
    match = Match().in_port(1)
    punt = Flow(Table.CLASSIFY, 10, match, (Controller(),), COOKIE)
    again = Flow(Table.CLASSIFY, 5, Match().in_port(2), (Controller(),), COOKIE + 1)
    connection.apply([], [wire.add_message(wire.encode(one)) for one in (punt, again)], [])
    frame = bytes.fromhex("02000000000102000000000288b5") + bytes(1500)
    switch.appctl("netdev-dummy/receive", f"{bridge}p1", frame.hex())
    assert heard.get(timeout=20) == (1, COOKIE, frame)
    assert connection.send(wire.packet_out(2, (Resubmit(Table.CLASSIFY),), frame))
    assert heard.get(timeout=20) == (2, COOKIE + 1, frame)


def test_a_switch_that_is_killed_while_it_is_busy(
    switch: DummySwitch, bridge: str, connection: Connection, reception: Reception
) -> None:
    """Whoever waits is told; the switch comes back as a connection of its own."""
    closed = closing(connection)
    applying = runtime.spawn(connection.apply, [], [flow(number) for number in range(20000)], [])
    runtime.give_way()
    switch.stop_vswitchd(SIGKILL)
    with pytest.raises(HostGoneError, match="has ended"):
        applying.join()
    assert closed()
    switch.start_vswitchd()
    again = reception.arrival()
    assert again is not connection
    again.apply([], [flow(1)], [])
    assert len(switch.dump(bridge)) == 1


def test_a_reader_and_a_writer_at_the_same_time(connection: Connection) -> None:
    connection.apply([], [flow(number) for number in range(5000)], [])
    reading = [runtime.spawn(connection.read_flows) for _ in range(3)]
    connection.apply([], [flow(number, Output(2)) for number in range(5000)], [])
    for task in reading:
        assert sum(1 for body in task.join() for _ in wire.parse_flow_stats(body)) == 5000


def test_the_hub_keeps_turning_during_a_large_bundle(connection: Connection) -> None:
    messages = [flow(number) for number in range(30000)]
    done = runtime.Signal()
    longest = 0.0

    def watch() -> None:
        nonlocal longest
        last = runtime.monotonic()
        while not done.is_set:
            runtime.give_way()
            now = runtime.monotonic()
            longest, last = max(longest, now - last), now

    watching = runtime.spawn(watch)
    connection.apply([], messages, [])
    connection.read_flows()
    done.set()
    watching.join()
    assert longest < 0.02 * SLOW


SLOW = 5
"""How much slower than an idle machine the one may be that runs this."""


def test_two_hundred_bridges_connect_at_once(receive: Receive) -> None:
    reception = receive()
    with DummySwitch() as crowd:
        commands: list[str] = []
        for number in range(200):
            commands += ["--", "add-br", f"b{number}", "--", "set", "bridge", f"b{number}", "datapath_type=dummy"]
            commands += ["fail_mode=secure", f"other_config:dp-sn=serial{number}"]
        crowd.vsctl(*commands[1:])
        commands = []
        for number in range(200):
            commands += ["--", "set-controller", f"b{number}", reception.target]
        crowd.vsctl("--no-wait", *commands[1:])
        first = reception.arrival()
        started = runtime.monotonic()
        serials = {first.serial} | {reception.arrival().serial for _ in range(199)}
        assert serials == {f"serial{number}" for number in range(200)}
        assert runtime.monotonic() - started < 2 * SLOW
