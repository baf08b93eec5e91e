# SPDX-License-Identifier: Apache-2.0
"""What limits dropped is counted once and for whose limit it was, whatever becomes of meters, ports and hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdnctl import runtime
from sdnctl.apps.meters import LAST_OFPORT, SAMPLES, MeterKind, meter_id, read_meter_id
from sdnctl.errors import HostGoneError, SwitchRefusedError
from sdnctl.flows.wire import ALL_METERS
from sdnctl.metrics import Metrics
from sdnctl.sync.host import State
from sdnctl.sync.limits import Dropped, LimitBook, Limits
from sdnctl.sync.tables import Delta
from tests.sync import clouds
from tests.sync.fakes import FakeSwitch
from tests.sync.test_host import Bench

RECEIVES = meter_id(63, MeterKind.TO_BANDWIDTH)
"""Of p3 of the busy cloud, which has this limit and another one for what it sends, on h1."""
SENDS = meter_id(63, MeterKind.FROM_PACKETS)


class Watch(Bench):
    """The busy cloud's h1, live, and what its limits drop."""

    def __init__(self) -> None:
        super().__init__()
        self.metrics = Metrics()
        self.limits = self.observed.limits = Limits(self.world.ports, self.metrics)
        self.task.start()
        self.connect()
        self.until_live()

    def drop(self, number: int, packets: int, octets: int = 0) -> None:
        """A meter drops so many more."""
        before = self.switch.dropped.get(number, (0, 0))
        self.switch.dropped[number] = (before[0] + packets, before[1] + octets)

    def read(self) -> None:
        self.limits.read("id-h1", self.switch, self.task.tables)

    def read_port(self, port_id: str = "p3") -> None:
        self.limits.read_port("id-h1", self.switch, self.task.tables, port_id)

    def packets(self, port_id: str = "p3") -> dict[MeterKind, int]:
        return {kind: dropped.packets for kind, dropped in self.limits.of(port_id)}

    def change(self, more: int = 1) -> None:
        """Other rates, or (0) the same again."""
        rules = self.world.cloud.qos_policies["slow"].rules
        self.world.put_policy(clouds.policy("slow", *(replace(rule, value=rule.value + more) for rule in rules)))

    def reconnect(self, *, restarted: bool = False) -> None:
        """The switch comes back; if it was restarted, without all that it had."""
        second = FakeSwitch()
        if not restarted:
            second.flows, second.meters, second.dropped = self.switch.flows, self.switch.meters, self.switch.dropped
        self.switch.close("gone")
        self.task.detach(self.switch)
        self.until(lambda: self.task.state is State.AWAY)
        self.switch = second
        self.connect()
        self.until_live()


@pytest.fixture
def watch() -> Iterator[Watch]:
    one = Watch()
    yield one
    one.task.stop()


# --- the book -----------------------------------------------------------------------------------------------------


def test_whose_a_meter_is_can_be_read_off_its_number() -> None:
    for kind in MeterKind:
        assert read_meter_id(meter_id(LAST_OFPORT, kind)) == (LAST_OFPORT, kind)
    for number in (0, SAMPLES, 7, 8 * 5 + 5, 8 * (LAST_OFPORT + 1)):
        assert read_meter_id(number) is None


@given(st.lists(st.tuples(st.sampled_from(("h1", "h2")), st.integers(0, 9), st.booleans()), max_size=20))
def test_growths_add_up_to_what_was_dropped(history: list[tuple[str, int, bool]]) -> None:
    """However it is cut into readings and changes."""
    book, now, told = LimitBook(), dict.fromkeys(("h1", "h2"), 0), []
    for host_id, more, changes in history:
        now[host_id] += more
        told.append(book.take(host_id, 8, Dropped(now[host_id], 60 * now[host_id])))
        if changes:
            book.begin_anew(host_id, [8])
            now[host_id] = 0
    assert told == [(more, 60 * more) for _, more, _ in history]


def test_a_meter_that_says_less_than_before_has_begun_anew() -> None:
    book = LimitBook()
    assert book.take("h1", 8, Dropped(5, 300)) == (5, 300)
    assert book.take("h1", 8, Dropped(2, 200)) == (2, 200)
    assert book.take("h1", 8, Dropped(3, 180)) == (3, 180)
    assert book.take("h2", 8, Dropped(3, 180)) == (3, 180)
    book.forget_host("h1")
    assert book.take("h1", 8, Dropped(4, 240)) == (4, 240)


# --- readings -----------------------------------------------------------------------------------------------------


def test_a_host_is_read_by_one_request_and_a_port_by_its_meters(watch: Watch) -> None:
    """The host's own meter is no port's limit; metrics have sums by project."""
    watch.drop(RECEIVES, 5, 700)
    watch.drop(SENDS, 2, 120)
    watch.drop(SAMPLES, 50)
    watch.read()
    assert watch.switch.asked_meters == [0xFFFFFFFF]
    found = [(MeterKind.FROM_PACKETS, (2, 120)), (MeterKind.TO_BANDWIDTH, (5, 700))]
    assert watch.limits.of("p3") == found
    assert watch.limits.of("p1") == []
    watch.switch.asked_meters.clear()
    watch.read_port()
    assert sorted(watch.switch.asked_meters) == [SENDS, RECEIVES]
    assert watch.limits.of("p3") == found, "nothing came in addition"
    text = watch.metrics.text().decode()
    for line in (
        'sdnctl_limit_dropped_packets_total{direction="ingress",limit="bandwidth",project="project"} 5.0',
        'sdnctl_limit_dropped_bytes_total{direction="egress",limit="packet_rate",project="project"} 120.0',
    ):
        assert line in text
    watch.drop(SENDS, 1, 60)
    watch.read_port()
    assert watch.packets() == {MeterKind.FROM_PACKETS: 3, MeterKind.TO_BANDWIDTH: 5}


def test_what_is_punted_too_fast_is_told_too(watch: Watch) -> None:
    """p1 has DHCP and no policy."""
    watch.drop(meter_id(1, MeterKind.PUNT), 4)
    watch.read_port("p1")
    assert watch.packets("p1") == {MeterKind.PUNT: 4}


def test_a_host_without_ports_meters_is_not_asked(watch: Watch) -> None:
    for name in ("tap1", "tap63"):
        watch.reports.unplug("h1", name)
    watch.reports.tell(watch.world, "h1")
    watch.until_live()
    watch.switch.asked_meters.clear()
    assert set(watch.switch.meters) == {SAMPLES}
    watch.read()
    assert watch.switch.asked_meters == []


def test_a_meter_that_somebody_took_away_says_nothing(watch: Watch) -> None:
    watch.drop(SENDS, 2)
    del watch.switch.meters[RECEIVES]
    watch.read_port()
    assert watch.packets() == {MeterKind.FROM_PACKETS: 2}


def test_a_meter_that_somebody_changed_by_hand_goes_on_from_nothing(watch: Watch) -> None:
    watch.drop(RECEIVES, 5)
    watch.read()
    del watch.switch.dropped[RECEIVES]
    watch.read()
    watch.drop(RECEIVES, 7)
    watch.read()
    assert watch.packets() == {MeterKind.TO_BANDWIDTH: 12}


# --- changes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", (3, 9))
def test_a_changed_limit_neither_loses_nor_doubles(watch: Watch, after: int) -> None:
    """What was dropped since the last reading, and what is afterwards, be it less or more than before."""
    watch.drop(RECEIVES, 2)
    watch.read()
    watch.drop(RECEIVES, 3)
    watch.change()
    watch.until_live()
    assert RECEIVES not in watch.switch.dropped, "it began anew"
    assert watch.packets() == {MeterKind.TO_BANDWIDTH: 5}
    watch.drop(RECEIVES, after)
    watch.read()
    assert watch.packets() == {MeterKind.TO_BANDWIDTH: 5 + after}
    watch.read()
    assert watch.packets() == {MeterKind.TO_BANDWIDTH: 5 + after}


def test_a_limit_that_is_taken_off_is_read_before(watch: Watch) -> None:
    watch.drop(RECEIVES, 3)
    watch.world.put_policy(clouds.policy("slow"))
    watch.until_live()
    assert RECEIVES not in watch.switch.meters
    assert watch.packets() == {MeterKind.TO_BANDWIDTH: 3}


def test_a_limit_changed_while_the_host_was_away(watch: Watch) -> None:
    """It counts until the switch hears of it; of a switch that was restarted only what was read."""
    watch.drop(RECEIVES, 2)
    watch.read()
    watch.drop(RECEIVES, 3)
    watch.change()
    watch.task.detach(watch.switch)
    watch.reconnect()
    assert watch.packets() == {MeterKind.TO_BANDWIDTH: 5}
    watch.drop(RECEIVES, 9)
    watch.read()
    assert watch.packets() == {MeterKind.TO_BANDWIDTH: 14}


def test_connections_come_and_go_and_nothing_is_counted_twice(watch: Watch) -> None:
    watch.drop(RECEIVES, 5)
    watch.read()
    watch.reconnect()
    watch.read()
    assert watch.packets() == {MeterKind.TO_BANDWIDTH: 5}
    watch.reconnect(restarted=True)
    watch.drop(RECEIVES, 9)
    watch.read()
    assert watch.packets() == {MeterKind.TO_BANDWIDTH: 14}


def test_who_comes_to_an_ofport_does_not_inherit(watch: Watch) -> None:
    """The next port has the same limits under the same numbers; in one change with the last one's going."""
    watch.drop(RECEIVES, 5)
    watch.world.put_port(clouds.port("p5", "tagged", policy="slow"))
    watch.reports.unplug("h1", "tap63")
    watch.reports.plug("h1", "tap64", "p5", 63)
    watch.reports.tell(watch.world, "h1")
    watch.until_live()
    watch.drop(RECEIVES, 7)
    watch.read()
    assert watch.packets("p3") == {MeterKind.TO_BANDWIDTH: 5}
    assert watch.packets("p5") == {MeterKind.TO_BANDWIDTH: 7}


def test_a_deleted_port_leaves_nothing(watch: Watch) -> None:
    watch.drop(RECEIVES, 5)
    watch.read()
    watch.drop(RECEIVES, 5)
    watch.world.remove_port("p3")
    watch.limits.forget_port("p3")
    watch.until_live()
    assert RECEIVES not in watch.switch.meters
    assert watch.limits.of("p3") == []


def test_nobody_reads_meters_that_are_being_changed(watch: Watch) -> None:
    """Of what he would hear nobody could tell whether it was said before the change or after it."""
    delta = Delta(meters_remove=[RECEIVES])
    watch.drop(RECEIVES, 5)
    with watch.limits.changing("id-h1", watch.switch, watch.task.tables, delta):
        reader = runtime.spawn(watch.read)
        for _ in range(5):
            runtime.give_way()
        assert reader.is_running
        watch.switch.dropped[RECEIVES] = (2, 0)
    reader.join()
    assert watch.packets() == {MeterKind.TO_BANDWIDTH: 7}


def test_a_change_that_is_refused_counts_on(watch: Watch) -> None:
    """The meters may have been changed, or not; what was asked for before is not lost."""
    watch.drop(RECEIVES, 5)
    with (
        pytest.raises(SwitchRefusedError),
        watch.limits.changing("id-h1", watch.switch, watch.task.tables, Delta(meters_remove=[RECEIVES])),
    ):
        raise SwitchRefusedError("refused", ())
    assert watch.packets() == {MeterKind.TO_BANDWIDTH: 5}
    watch.drop(RECEIVES, 1)
    watch.read()
    assert watch.packets() == {MeterKind.TO_BANDWIDTH: 6}


def test_a_change_after_which_the_connection_is_lost_began_anew_all_the_same(watch: Watch) -> None:
    class Lost(FakeSwitch):
        def ask_meter_stats(self, number: int = ALL_METERS) -> Callable[[], list[bytes]]:
            def answer() -> list[bytes]:
                raise HostGoneError("lost")

            return answer

    watch.drop(RECEIVES, 5)
    watch.read()
    delta = Delta(meters_remove=[RECEIVES])
    with pytest.raises(HostGoneError), watch.limits.changing("id-h1", Lost(), watch.task.tables, delta):
        watch.switch.dropped[RECEIVES] = (9, 0)
    watch.read()
    assert watch.packets() == {MeterKind.TO_BANDWIDTH: 14}
