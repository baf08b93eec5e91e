# SPDX-License-Identifier: Apache-2.0
"""Whatever one peer does, its own connection ends with a reason, and nobody else notices."""

import contextlib
import os
import struct
import subprocess
import sys
from contextlib import ExitStack

import pytest

from sdnctl import runtime
from sdnctl.errors import HostGoneError, SwitchRefusedError
from sdnctl.openflow import Connection, Limits
from tests.openflow.conftest import Receive, closing
from tests.openflow.peer import (
    BARRIER_REQUEST,
    BUNDLE_CONTROL,
    DESC,
    ECHO_REPLY,
    ECHO_REQUEST,
    ERROR,
    FEATURES_REPLY,
    FEATURES_REQUEST,
    FLOW_MOD,
    FLOW_STATS,
    HELLO,
    MULTIPART_REPLY,
    MULTIPART_REQUEST,
    PACKET_IN,
    PORT_ADDED,
    PORT_CHANGED,
    PORT_DESC,
    PORT_GONE,
    PORT_STATUS,
    SET_ASYNC,
    SET_CONFIG,
    Peer,
    described,
    hello,
    message,
    packet_in,
    part,
    port,
    port_status,
    xid,
)

SHORT = Limits(handshake_s=0.2, idle_s=0.05, stall_s=0.1, reply_s=0.2, send_bytes=64 * 1024, pending=3)

BEFORE_HELLO = {
    "nothing but an end": (b"", "closed the connection"),
    "half a header, then an end": (b"\5\0\0", "closed the connection"),
    "a length below the header's": (message(HELLO, length=7), "length of 7 bytes"),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: controller\r\n\r\n" * 800, "the first message is no OpenFlow hello"),
    "features before hello": (message(FEATURES_REPLY, bytes(24)), "the first message is no OpenFlow hello"),
    "an endless hello element": (message(HELLO, struct.pack("!HHI", 1, 0, 0)), "length of 0 bytes"),
    "a refusal": (message(ERROR, struct.pack("!HH", 0, 0) + b"we only speak 1.0"), "we only speak 1.0"),
    "a refusal without words": (message(ERROR, struct.pack("!HH", 0, 0)), "OFPET_HELLO_FAILED"),
    "half a refusal": (message(ERROR, b"\0"), "an error has only 9 bytes"),
    "other versions": (hello(1, 4), "the bridge offers OpenFlow 1.0, 1.3, and 1.4 is needed"),
    "an old version": (hello(version=1), "the bridge offers OpenFlow 1.0, and 1.4 is needed"),
}

AFTER_HELLO = {
    "another version": (message(ECHO_REQUEST, version=4), "version 0x04"),
    "a second hello": (hello(5), "a second hello"),
    "a length below the header's": (message(PACKET_IN, length=0), "length of 0 bytes"),
    "a request": (message(FLOW_MOD, bytes(48)), "OFPT_FLOW_MOD"),
    "an unknown type": (message(99), "Unknown(99)"),
    "a short packet-in": (message(PACKET_IN, bytes(20)), "a packet-in has only 28 bytes"),
    "a packet-in with a long match": (
        message(PACKET_IN, bytes(16) + struct.pack("!HHII", 1, 60000, 0x80000004, 1) + bytes(20)),
        "length of 60000 bytes",
    ),
    "a packet-in from nowhere": (
        message(PACKET_IN, bytes(16) + struct.pack("!HHII", 1, 12, 0x00010004, 1) + bytes(20)),
        "where the packet came in",
    ),
    "a short port status": (message(PORT_STATUS, bytes(20)), "a port status has only 28 bytes"),
    "a port of no length": (
        message(PORT_STATUS, bytes(8) + struct.pack("!IH", 1, 0) + bytes(34)),
        "port 1 claims a length of 0 bytes",
    ),
    "a short multipart reply": (message(MULTIPART_REPLY, bytes(4)), "a multipart reply has only 12 bytes"),
    "a short error": (message(ERROR, bytes(2)), "an error has only 10 bytes"),
}


@pytest.mark.parametrize("case", BEFORE_HELLO)
def test_nonsense_before_the_hello(receive: Receive, case: str) -> None:
    said, reason = BEFORE_HELLO[case]
    reception = receive()
    with Peer(reception.target) as witness, Peer(reception.target) as peer:
        witness.introduce()
        other = reception.arrival()
        peer.say(said)
        if "closed" in reason:
            peer.socket.close()
        else:
            assert peer.hears_the_end()
        assert reason in reception.failure()
        assert_serves(other, witness)


@pytest.mark.parametrize("case", AFTER_HELLO)
def test_nonsense_after_the_hello(receive: Receive, case: str) -> None:
    """Each of them between the hello and the features, and again once all is known."""
    said, reason = AFTER_HELLO[case]
    reception = receive()
    with Peer(reception.target) as witness, Peer(reception.target) as early, Peer(reception.target) as late:
        witness.introduce(dpid=1)
        other = reception.arrival()
        late.introduce(dpid=2)
        connection = reception.arrival()
        closed = closing(connection)

        early.say(hello(5), said)
        assert early.hears_the_end()
        late.say(said)
        assert late.hears_the_end()

        assert reason in reception.failure()
        assert reason in closed()
        assert_serves(other, witness)


def test_a_short_features_reply(receive: Receive) -> None:
    reception = receive()
    with Peer(reception.target) as peer:
        peer.say(hello(5))
        request = peer.hear_kind(FEATURES_REQUEST)
        peer.say(message(FEATURES_REPLY, bytes(8), xid=xid(request)))
        assert peer.hears_the_end()
    assert reception.failure() == "a features reply has only 16 bytes"


def test_an_auxiliary_connection_is_refused(receive: Receive) -> None:
    reception = receive()
    with Peer(reception.target) as peer:
        peer.say(hello(5))
        request = peer.hear_kind(FEATURES_REQUEST)
        peer.say(message(FEATURES_REPLY, struct.pack("!QIBB2xI4x", 1, 0, 254, 2, 0), xid=xid(request)))
        assert peer.hears_the_end()
    assert "auxiliary connection 2" in reception.failure()


@pytest.mark.parametrize("kind", (DESC, PORT_DESC))
def test_a_description_that_ends_early(receive: Receive, kind: int) -> None:
    reception = receive()
    with Peer(reception.target) as peer:
        peer.say(hello(5))
        while True:
            request = peer.hear_kind(MULTIPART_REQUEST)
            if request[9] == kind:
                break
        peer.say(part(kind, bytes(39), xid(request)))
        assert peer.hears_the_end()
    assert "description" in reception.failure()


def test_a_switch_that_refuses_the_handshake(receive: Receive) -> None:
    reception = receive()
    with Peer(reception.target) as peer:
        peer.say(hello(5))
        request = peer.hear_kind(FEATURES_REQUEST)
        peer.say(message(ERROR, struct.pack("!HH", 1, 1) + request, xid=xid(request)))
        assert peer.hears_the_end()
    assert reception.failure() == "the switch refused a features request: OFPET_BAD_REQUEST(1) OFPBRC_BAD_TYPE(1)"


def test_the_reason_for_another_version_reaches_the_peer(receive: Receive) -> None:
    """It stands in the switch's log then, where its operator looks."""
    with Peer(receive().target) as peer:
        peer.say(hello(4))
        assert b"protocols" in peer.hear_kind(ERROR)


@pytest.mark.parametrize("said", (b"", b"\5\0\0", hello(5)[:12], hello(5)), ids=("nothing", "header", "half", "hello"))
def test_a_handshake_that_does_not_end_is_ended(receive: Receive, said: bytes) -> None:
    reception = receive(SHORT)
    with Peer(reception.target) as peer:
        peer.say(said)
        assert peer.hears_the_end()
    assert reception.failure() == "the handshake was not complete within 0.2 s"


def test_too_many_unfinished_handshakes_end_the_oldest(receive: Receive) -> None:
    reception = receive(Limits(pending=3))
    with ExitStack() as stack:
        idle = [stack.enter_context(Peer(reception.target)) for _ in range(3)]
        for peer in idle:
            assert peer.hear_kind(HELLO)
        honest = stack.enter_context(Peer(reception.target))
        honest.introduce()
        assert reception.arrival().is_open
        assert idle[0].hears_the_end()
        assert "too many unfinished handshakes" in reception.failure()
        idle[1].introduce(dpid=2)
        assert reception.arrival().dpid == 2


def test_what_a_handshake_finds_out(receive: Receive) -> None:
    reception = receive()
    with Peer(reception.target) as peer:
        peer.introduce(dpid=0xFEED, serial="nonce", ports=[("p1", 1), ("p2", 2)])
        connection = reception.arrival()
        assert (connection.dpid, connection.serial, connection.peer_name) == (0xFEED, "nonce", None)
        assert dict(connection.ports) == {"p1": 1, "p2": 2}
        host, number = peer.socket.getsockname()
        assert connection.peer == f"tcp:{host}:{number}"
        assert connection.is_open
        assert connection.reason is None


def test_ports_come_in_several_parts_and_changes_between_them_count(receive: Receive) -> None:
    reception = receive()
    with Peer(reception.target) as peer:
        peer.say(hello(5))
        features = peer.hear_kind(FEATURES_REQUEST)
        peer.say(message(FEATURES_REPLY, struct.pack("!QIBB2xI4x", 1, 0, 254, 0, 0), xid=xid(features)))
        peer.say(part(DESC, described(""), xid(peer.hear_kind(MULTIPART_REQUEST))))
        number = xid(peer.hear_kind(MULTIPART_REQUEST))
        peer.say(part(PORT_DESC, port("a", 1) + port("b", 2), number, more=True))
        peer.say(port_status(PORT_GONE, "a", 1))
        peer.say(part(PORT_DESC, port("c", 3), number))
        assert dict(reception.arrival().ports) == {"b": 2, "c": 3}


def test_ports_change(receive: Receive) -> None:
    reception = receive()
    with Peer(reception.target) as peer:
        peer.introduce(ports=[("a", 1), ("b", 2)])
        connection = reception.arrival()
        seen: runtime.Queue = runtime.Queue()
        connection.on_ports_changed(lambda: seen.put(dict(connection.ports)))

        peer.say(port_status(PORT_ADDED, "c", 3))
        assert seen.get(timeout=10) == {"a": 1, "b": 2, "c": 3}
        peer.say(port_status(PORT_GONE, "b", 2))
        assert seen.get(timeout=10) == {"a": 1, "c": 3}
        peer.say(port_status(PORT_CHANGED, "a", 1), port_status(PORT_ADDED, "c", 7))
        assert seen.get(timeout=10) == {"a": 1, "c": 7}, "plugged again before the old one was said to be gone"
        peer.say(port_status(PORT_GONE, "c", 3), port_status(PORT_ADDED, "d", 1))
        assert seen.get(timeout=10) == {"c": 7, "d": 1}, "the old ofport of c, and a's number now d's"
        assert seen.empty()


def test_a_bridge_has_no_endless_ports(receive: Receive) -> None:
    reception = receive()
    with Peer(reception.target) as peer:
        peer.introduce()
        connection = reception.arrival()
        closed = closing(connection)
        with contextlib.suppress(ConnectionError):
            for number in range(70_000):
                peer.say(port_status(PORT_ADDED, f"p{number}", number))
        assert closed() == "a bridge has no more than 65536 ports"


def test_packet_ins(receive: Receive) -> None:
    reception = receive()
    with Peer(reception.target) as peer:
        peer.introduce()
        connection = reception.arrival()
        peer.say(packet_in(1, 2, b"too early"))
        sync(connection, peer)
        heard: runtime.Queue = runtime.Queue()
        connection.on_packet_in(lambda *told: heard.put(told))
        peer.say(packet_in(7, 0x5D << 56, b"frame"), packet_in(8, 9, b""))
        assert heard.get(timeout=10) == (7, 0x5D << 56, b"frame")
        assert heard.get(timeout=10) == (8, 9, b"")
        assert (connection.packet_ins, connection.packet_ins_unheard) == (3, 1)


def test_an_error_in_a_callback_ends_that_connection_only(receive: Receive) -> None:
    reception = receive()
    with Peer(reception.target) as witness, Peer(reception.target) as peer:
        witness.introduce(dpid=1)
        other = reception.arrival()
        peer.introduce(dpid=2)
        connection = reception.arrival()
        closed = closing(connection)
        connection.on_packet_in(lambda *told: told[3])
        peer.say(packet_in(1, 2, b""))
        assert peer.hears_the_end()
        assert closed() == "an internal error, which the log tells"
        assert_serves(other, witness)


def test_an_error_of_whoever_is_told_ends_that_connection(receive: Receive) -> None:
    def fail(connection: Connection) -> None:
        raise ZeroDivisionError

    with Peer(receive(on_connection=fail).target) as peer:
        peer.introduce()
        assert peer.hears_the_end()


def test_who_listens_for_the_end_too_late_hears_it_at_once(receive: Receive) -> None:
    reception = receive()
    with Peer(reception.target) as peer:
        peer.introduce()
        connection = reception.arrival()
        first = closing(connection)
        connection.close("enough")
        connection.close("again")
        assert first() == "enough"
        assert closing(connection)() == "enough"
        assert not connection.is_open
        assert peer.hears_the_end()


# ------------------------------------------------------------------------------------------------------------ liveness


def test_echo_requests_are_answered(receive: Receive) -> None:
    reception = receive()
    with Peer(reception.target) as peer:
        peer.introduce()
        peer.say(message(ECHO_REQUEST, b"are you there?", xid=77))
        assert peer.hear_kind(ECHO_REPLY) == message(ECHO_REPLY, b"are you there?", xid=77)


def test_a_silent_peer_is_asked_and_then_left(receive: Receive) -> None:
    reception = receive(SHORT)
    with Peer(reception.target) as peer:
        peer.introduce()
        closed = closing(reception.arrival())
        for _ in range(4):
            peer.say(message(ECHO_REPLY, xid=xid(peer.hear_kind(ECHO_REQUEST))))
        for _ in range(SHORT.unanswered):
            peer.hear_kind(ECHO_REQUEST)
        assert closed() == "the peer is silent: 3 echo requests in a row brought nothing"


def test_a_peer_that_talks_is_not_asked(receive: Receive) -> None:
    reception = receive(SHORT)
    with Peer(reception.target) as peer:
        peer.introduce()
        connection = reception.arrival()
        until = runtime.monotonic() + 4 * SHORT.idle_s
        while runtime.monotonic() < until:
            peer.say(packet_in(1, 2, b""))
            runtime.give_way()
        asking = runtime.spawn(connection.barrier, 10)
        heard = peer.hear()
        assert heard is not None
        assert heard[1] == BARRIER_REQUEST
        peer.say(message(21, xid=xid(heard)))
        asking.join()


def test_bytes_that_complete_no_message_are_silence(receive: Receive) -> None:
    reception = receive(SHORT)
    with Peer(reception.target) as peer:
        peer.introduce()
        closed = closing(reception.arrival())
        peer.say(message(ECHO_REPLY, bytes(100))[:50])
        for _ in range(SHORT.unanswered):
            peer.hear_kind(ECHO_REQUEST)
            peer.say(b"\0")
        assert "the peer is silent" in closed()


def test_a_peer_that_never_reads_is_left_and_memory_stays_bounded(receive: Receive) -> None:
    reception = receive(SHORT)
    with Peer(reception.target) as peer:
        peer.introduce()
        connection = reception.arrival()
        closed = closing(connection)
        frame = message(13, bytes(1000))
        while connection.send(frame):
            runtime.give_way()
        assert connection.dropped == 1
        assert not connection.send(frame)
        for _ in range(1000):
            if not connection.is_open:
                break
            peer.say(message(ECHO_REPLY))
            runtime.give_way()
        assert "the peer reads nothing" in closed()


def test_a_peer_that_asks_for_echoes_without_reading_is_left(receive: Receive) -> None:
    reception = receive(Limits(send_bytes=64 * 1024))
    with Peer(reception.target) as peer:
        peer.introduce()
        closed = closing(reception.arrival())
        with contextlib.suppress(ConnectionError):
            while True:
                peer.say(message(ECHO_REQUEST, bytes(60000)))
        assert closed() == "the peer asks for echoes and does not read them"


FLOOD = """
import os, socket
with socket.socket(fileno=0) as flood:
    while True:
        flood.sendall(bytes.fromhex(os.environ["FLOOD"]) * 200)
"""


def test_a_flood_from_one_peer_leaves_the_others_their_turn(receive: Receive) -> None:
    """From a process of its own, which always has more to say than we can hear."""
    reception = receive()
    with Peer(reception.target) as witness, Peer(reception.target) as peer:
        witness.introduce(dpid=1)
        other = reception.arrival()
        peer.introduce(dpid=2)
        flooded = reception.arrival()
        peer.socket.settimeout(None)
        os.set_blocking(peer.socket.fileno(), True)
        flooding = subprocess.Popen(
            (sys.executable, "-c", FLOOD), stdin=peer.socket, env={"FLOOD": packet_in(1, 2, bytes(100)).hex()}
        )
        try:
            while flooded.packet_ins < 100_000:
                assert_serves(other, witness)
        finally:
            flooding.kill()
            flooding.wait()


# ------------------------------------------------------------------------------------------------------------- asking


def test_answers_to_nobody_are_ignored(receive: Receive) -> None:
    """Also an answer of another kind under the right xid."""
    reception = receive()
    with Peer(reception.target) as peer:
        peer.introduce()
        connection = reception.arrival()
        reading = runtime.spawn(connection.read_flows)
        number = xid(peer.hear_kind(MULTIPART_REQUEST))
        peer.say(message(21, xid=12345), part(FLOW_STATS, b"stray", 12345), part(DESC, b"other", number))
        peer.say(message(21, xid=number), message(BUNDLE_CONTROL, bytes(8), xid=number))
        peer.say(part(FLOW_STATS, b"one", number, more=True), part(FLOW_STATS, b"two", number))
        assert reading.join() == [b"one", b"two"]


def test_a_refused_question(receive: Receive) -> None:
    reception = receive()
    with Peer(reception.target) as peer:
        peer.introduce()
        connection = reception.arrival()
        reading = runtime.spawn(connection.read_meters)
        request = peer.hear_kind(MULTIPART_REQUEST)
        peer.say(message(ERROR, struct.pack("!HH", 1, 2) + request, xid=xid(request)))
        with pytest.raises(SwitchRefusedError, match="a request for the meters: OFPET_BAD_REQUEST"):
            reading.join()
        assert connection.is_open


def test_an_answer_without_end(receive: Receive) -> None:
    reception = receive(Limits(read_bytes=200_000))
    with Peer(reception.target) as peer:
        peer.introduce()
        reading = runtime.spawn(reception.arrival().read_flows)
        number = xid(peer.hear_kind(MULTIPART_REQUEST))
        for _ in range(4):
            peer.say(part(FLOW_STATS, bytes(60_000), number, more=True))
        with pytest.raises(HostGoneError, match="the answer to a request for the flows does not end"):
            reading.join()


@pytest.mark.parametrize("ends", ("peer", "us", "never"))
def test_whoever_waits_is_told_when_the_connection_ends(receive: Receive, ends: str) -> None:
    reception = receive(Limits(reply_s=0.1))
    with Peer(reception.target) as peer:
        peer.introduce()
        connection = reception.arrival()
        waiting = [
            runtime.spawn(connection.read_flows),
            runtime.spawn(connection.apply, [message(FLOW_MOD)], [], []),
        ]
        peer.hear_kind(BARRIER_REQUEST)
        if ends == "peer":
            peer.socket.close()
        elif ends == "us":
            connection.close("enough")
        reason = {"peer": "closed the connection", "us": "enough", "never": "no answer to"}[ends]
        for task in waiting:
            with pytest.raises(HostGoneError, match=reason):
                task.join()
        with pytest.raises(HostGoneError):
            connection.read_flows()
        with pytest.raises(HostGoneError):
            connection.apply([], [message(FLOW_MOD)], [])
        assert not connection.send(b"")


def test_a_barrier_that_takes_too_long(receive: Receive) -> None:
    reception = receive()
    with Peer(reception.target) as peer:
        peer.introduce()
        connection = reception.arrival()
        with pytest.raises(TimeoutError):
            connection.barrier(0.01)
        assert connection.is_open
        peer.answer_barrier()
        assert_serves(connection, peer)


def test_errors_about_packet_outs_are_counted(receive: Receive) -> None:
    reception = receive()
    with Peer(reception.target) as peer:
        peer.introduce()
        connection = reception.arrival()
        assert connection.send(message(13, bytes(16)))
        peer.say(message(ERROR, struct.pack("!HH", 2, 4)))
        assert_serves(connection, peer)
        assert (connection.sent, connection.unasked_errors) == (1, 1)
        assert connection.last_unasked_error == "OFPET_BAD_ACTION(2) OFPBAC_BAD_OUT_PORT(4)"


def test_two_applies_at_once_are_a_bug(receive: Receive) -> None:
    reception = receive()
    with Peer(reception.target) as peer:
        peer.introduce()
        connection = reception.arrival()
        first = runtime.spawn(connection.apply, [message(FLOW_MOD)], [], [])
        peer.hear_kind(FLOW_MOD)
        with pytest.raises(RuntimeError, match="one apply at a time"):
            connection.apply([message(FLOW_MOD)], [], [])
        peer.answer_barrier()
        first.join()


def test_a_switch_that_opens_no_bundle(receive: Receive) -> None:
    reception = receive()
    with Peer(reception.target) as peer:
        peer.introduce()
        applying = runtime.spawn(reception.arrival().apply, [], [message(FLOW_MOD)], [])
        opening = peer.hear_kind(BUNDLE_CONTROL)
        peer.say(message(ERROR, struct.pack("!HH", 17, 1) + opening, xid=xid(opening)))
        peer.answer_barrier()
        discarding = peer.hear_kind(BUNDLE_CONTROL)
        assert discarding[12:14] == b"\0\6"
        peer.say(message(ERROR, struct.pack("!HH", 17, 2) + discarding, xid=xid(discarding)))
        with pytest.raises(SwitchRefusedError, match="to open a bundle") as refused:
            applying.join()
        assert refused.value.refusals == ()


def test_the_handshake_asks_for_what_is_needed_before_it_asks_what_there_is(receive: Receive) -> None:
    with Peer(receive().target) as peer:
        peer.say(hello(5))
        kinds = [whole[1] for whole in (peer.hear(), peer.hear(), peer.hear(), peer.hear()) if whole is not None]
        assert kinds == [HELLO, SET_ASYNC, SET_CONFIG, FEATURES_REQUEST]


def assert_serves(connection: Connection, peer: Peer) -> None:
    """Our side asks and gets its answer."""
    sync(connection, peer)
    assert connection.is_open


def sync(connection: Connection, peer: Peer) -> None:
    """Return when all that `peer` said was received."""
    asking = runtime.spawn(connection.barrier, 10)
    peer.answer_barrier()
    asking.join()
