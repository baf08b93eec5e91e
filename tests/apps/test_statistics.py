# SPDX-License-Identifier: Apache-2.0
"""Drops are counted for the port whose they are, to the frame, by flows that the switch makes itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from sdnctl import apps
from sdnctl.apps import meters, statistics
from sdnctl.apps.statistics import COOKIE, COOKIE_MASK, Counted
from sdnctl.flows.action import Learn, Load
from sdnctl.flows.flow import drop
from sdnctl.flows.match import Match
from sdnctl.flows.pipeline import App, Count, Kind, Owner, Reason, Side, Table, counted_on
from sdnctl.flows.registers import DROP_REASON, DROP_SIDE
from sdnctl.flows.wire import (
    FlowFilter,
    encode,
    flow_stats_request,
    forget_message,
    parse_flow_counters,
    parse_flow_stats,
)
from sdnctl.model.ids import HostKey
from sdnctl.model.views import HostView
from tests.apps import test_security_groups
from tests.apps.lab import SHOW_FRAGMENTS, Lab
from tests.apps.packets import arp, snap, tag, to4, v4
from tests.apps.test_attacks import NAMED
from tests.support.dummy_ovs import DummySwitch, RawConnection

HOST = HostView(HostKey(1), None)
OWNER = Owner(App.PORT_SECURITY, Kind.HOST, 1)


def settle_counters(switch: DummySwitch) -> None:
    """Have Open vSwitch look at all its caches; it may be in the middle of a look that began too early.

    Not `revalidator/purge`: what is thrown out is credited to flows of before, so to none that was just learned.
    """
    switch.appctl("revalidator/wait")
    switch.appctl("revalidator/wait")


def counts(switch: DummySwitch, bridge: str = "host1") -> Counter[Counted]:
    """What the learned flows count, the frames that made them included."""
    settle_counters(switch)
    found: Counter[Counted] = Counter()
    request = flow_stats_request(1, FlowFilter(COOKIE, COOKIE_MASK, Table.DROPPED))
    with RawConnection(switch.socket(bridge)) as connection:
        for body in connection.multipart(request):
            for flow, packets, _ in parse_flow_counters(body):
                if (what := statistics.counted(flow)) is not None:
                    found[what] = packets + 1
    return found


def forget(switch: DummySwitch, match: bytes) -> None:
    with RawConnection(switch.socket("host1")) as connection:
        assert connection.ask(forget_message(match, COOKIE, COOKIE_MASK)) == []


# --- the stage ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason.count], ids=lambda reason: reason.name)
def test_whatever_is_handed_on_is_counted(reason: Reason) -> None:
    """What a drop says of reason and side leads to the flow that counts just that."""
    for table in (Table.CLASSIFY, Table.SOURCE_SECURITY, Table.TO_VERDICT):
        side = counted_on(table, reason)
        flow = drop(table, 1, Match(), OWNER, reason)
        assert flow.drops
        if side is None:
            assert flow.actions == ()
            continue
        said = {action.target: action.value for action in flow.actions if isinstance(action, Load)}
        assert said == {DROP_REASON: reason, DROP_SIDE: side}
        match = Match().slot(DROP_REASON, reason).slot(DROP_SIDE, side)
        [first] = [one for one in apps.host(HOST) if (one.table, one.match) == (Table.DROPPED, match)]
        assert isinstance(first.actions[0], Learn)
        assert first.cookie == first.actions[0].cookie == Owner(App.STATISTICS, Kind.HOST, 1).cookie(reason)


def test_what_nobody_here_sent_is_counted_for_the_host_alone() -> None:
    for table, reason in (
        (Table.TUNNEL, Reason.TAGGED),
        (Table.CLASSIFY, Reason.UNKNOWN_PEER),
        (Table.SWITCHING, Reason.UNKNOWN_MAC),
        (Table.OUTPUT, Reason.MISS),
    ):
        assert counted_on(table, reason) is None
        assert drop(table, 1, Match(), OWNER, reason).actions == ()


def test_forged_frames_are_shown_and_refused_ones_are_not() -> None:
    shown = {one.match for one in apps.host(HOST) if one.table == Table.SAMPLED and one.priority == statistics.FIRST}
    assert shown == {Match().slot(DROP_REASON, reason) for reason in Reason if Count.REPORT in reason.count}
    assert Match().slot(DROP_REASON, Reason.NOT_ALLOWED_FROM) not in shown


def test_our_own_flows_are_not_taken_for_learned_ones() -> None:
    assert not any(statistics.is_learned(encode(flow)) for flow in apps.host(HOST))


HIDDEN_TAGS = {"classify: tag cut off", "classify: tag in SNAP", "classify: 802.1ad tag in SNAP"}
"""Open vSwitch is of two minds about these: what it remembers of such a frame it reads back as something else, so half
a second later it takes the next one for an odd Ethernet type. Dropped and counted are both."""

# --- with real frames ---------------------------------------------------------------------------------------------


@pytest.fixture
def clean(lab: Lab) -> Lab:
    """The lab with nothing counted yet, and nothing in Open vSwitch's caches that would be counted late."""
    settle_counters(lab.switch)
    lab.switch.appctl("dpctl/del-flows")
    settle_counters(lab.switch)
    for guest in lab.cloud.on(1):
        for match in (statistics.sent_by(guest.number), statistics.meant_for(guest.local().key)):
            forget(lab.switch, match)
    lab.settle()
    return lab


@pytest.mark.switch
@pytest.mark.proves("S160")
def test_every_forged_frame_of_the_corpus_is_counted_for_its_sender(clean: Lab) -> None:
    """Each another number of times; what is legal counts nothing."""
    expected: Counter[Counted] = Counter()
    senders = {one.number for one in clean.cloud.on(1)}
    here = [
        case
        for name, case in NAMED.items()
        if case.sender in senders and Count.FROM in case.reason.count and name not in HIDDEN_TAGS
    ]
    for times, case in enumerate(here, 1):
        for _ in range(times):
            clean.send(case.sender, case.forged)
        clean.send(case.sender, case.twin)
        expected[Counted(Side.FROM, case.sender, case.reason)] += times  # type: ignore[arg-type]
        clean.settle()
    assert len(expected) > 10
    assert counts(clean.switch) == expected


@pytest.mark.switch
def test_frames_of_one_burst_are_all_counted(clean: Lab) -> None:
    """They come while the switch still makes the flow, and each looks different."""
    for number in range(300):
        clean.send(1, arp(1, v4(100) + number, v4(2)))
        clean.send(2, to4(2, 1, src=v4(100) + number))
    clean.settle()
    assert counts(clean.switch) == {
        Counted(Side.FROM, 1, Reason.FOREIGN_ARP): 300,  # type: ignore[arg-type]
        Counted(Side.FROM, 2, Reason.FOREIGN_IPV4): 300,  # type: ignore[arg-type]
    }


@pytest.mark.switch
def test_classify_counts_by_ofport(clean: Lab) -> None:
    """Before anybody knows whose frame it is."""
    for frame in (tag(to4(1, 2), 5), snap(to4(1, 2), b"\0\x01\0"), tag(to4(1, 2), 0)):
        clean.send(1, frame)
    clean.settle()
    assert counts(clean.switch) == {
        Counted(Side.FROM, 1, Reason.TAGGED): 2,  # type: ignore[arg-type]
        Counted(Side.FROM, 1, Reason.SNAP): 1,  # type: ignore[arg-type]
    }


@pytest.mark.switch
def test_forgotten_is_what_is_meant_and_nothing_else(clean: Lab) -> None:
    for sender in (1, 2):
        clean.send(sender, arp(sender, v4(99), v4(3)))
    clean.settle()
    forget(clean.switch, statistics.sent_by(1))
    assert set(counts(clean.switch)) == {Counted(Side.FROM, 2, Reason.FOREIGN_ARP)}  # type: ignore[arg-type]
    with RawConnection(clean.switch.socket("host1")) as connection:
        flows = [flow for body in connection.multipart(flow_stats_request(1)) for flow in parse_flow_stats(body)]
    learned = [flow for flow in flows if statistics.is_learned(flow)]
    assert {statistics.whose(flow) for flow in learned} == {statistics.sent_by(2)}
    assert len(learned) == 2, "counted, and shown lately"


@pytest.mark.switch
def test_flood_shows_its_first_frames_and_no_more(clean: Lab) -> None:
    """Another port's first forged frame is shown meanwhile; the one after it is not."""
    marker = arp(3, v4(98), v4(2))
    with RawConnection(clean.switch.socket("host1")) as connection:
        connection.ask(SHOW_FRAGMENTS)
        for _ in range(5000):
            clean.send(1, arp(1, v4(99), v4(2)))
        clean.settle()
        settle_counters(clean.switch)
        clean.send(3, marker)
        seen = []
        while (shown := _shown(connection)) != marker:
            seen.append(shown)
    assert set(seen) == {arp(1, v4(99), v4(2))}
    assert len(seen) <= statistics.SAMPLES_AT_ONCE + statistics.SAMPLES_PER_S
    assert counts(clean.switch) == {
        Counted(Side.FROM, 1, Reason.FOREIGN_ARP): 5000,  # type: ignore[arg-type]
        Counted(Side.FROM, 3, Reason.FOREIGN_ARP): 1,  # type: ignore[arg-type]
    }


def _shown(connection: RawConnection) -> bytes:
    message = connection.receive()
    assert message[1] == 10
    cookie = int.from_bytes(message[16:24], "big")
    assert cookie & COOKIE_MASK == COOKIE
    length = int.from_bytes(message[26:28], "big")
    return message[24 + (length + 7) // 8 * 8 + 2 :]


def test_meter_of_the_samples_is_no_ports() -> None:
    [spec] = statistics.host_meters(HOST)
    assert spec.id == meters.SAMPLES < meters.meter_id(1, meters.MeterKind.PUNT)


@pytest.fixture(scope="module")
def guarded(switch: DummySwitch) -> Iterator[Lab]:
    """The cloud with security groups, on a switch of its own."""
    del switch
    with DummySwitch() as own:
        lab = Lab(own, test_security_groups.CLOUD)
        yield lab
        lab.close()


@pytest.mark.switch
def test_refusals_count_where_they_happen(guarded: Lab) -> None:
    """At the sender if its own groups refuse, at the receiver if the receiver's do; never at both."""
    key = {guest.number: guest.local().key for guest in guarded.cloud.guests}
    before = counts(guarded.switch)
    for _ in range(5):
        guarded.send(1, to4(1, 7))
    for _ in range(3):
        guarded.send(7, to4(7, 1))
    guarded.settle()
    new = counts(guarded.switch) - before
    assert new == {
        Counted(Side.TO, key[7], Reason.NOT_ALLOWED_TO): 5,
        Counted(Side.FROM, 7, Reason.NOT_ALLOWED_FROM): 3,  # type: ignore[arg-type]
    }
    guarded.send(1, to4(1, 2))
    guarded.settle()
    assert counts(guarded.switch) == before + new, "what is allowed counts nothing"
