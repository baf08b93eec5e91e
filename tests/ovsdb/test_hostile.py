# SPDX-License-Identifier: Apache-2.0
"""Peers that are no OVSDB or a mad one, and rows that nobody sensible wrote."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdnctl import runtime
from sdnctl.errors import HostGoneError
from sdnctl.ovsdb.session import Framer, Session
from tests.ovsdb.support import Watched, a_host, plugs
from tests.support.dummy_ovs import DummySwitch

json_objects = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none() | st.integers() | st.text(st.sampled_from('{}[]"\\\n\u00e4\U0001f600ab'), max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('"{}\\', max_size=3), inner, max_size=3),
        max_leaves=8,
    ),
    max_size=3,
)


@given(st.lists(json_objects, max_size=5), st.lists(st.integers(1, 40)), st.booleans())
def test_frames_do_not_depend_on_how_the_bytes_arrive(objects: list[Any], cuts: list[int], ascii_only: bool) -> None:
    """Cut anywhere, also inside a character, an escape, a string: the same objects come out."""
    stream = b" \n".join(json.dumps(item, ensure_ascii=ascii_only).encode() for item in objects)
    framer, found = Framer(), []
    for size in [*cuts, len(stream)]:
        chunk, stream = stream[:size], stream[size:]
        found += [json.loads(text) for text in framer.feed(chunk)]
    assert found == objects


@pytest.mark.parametrize(
    "stream",
    (
        b"HTTP/1.1 400 Bad Request\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x05\x00\x00\x08\x00\x00\x00\x01",
        b"}",
        b"[1]",
        b'"a',
        b"null{}",
    ),
)
def test_what_is_no_object_is_refused_at_once(stream: bytes) -> None:
    with pytest.raises(ValueError, match="the server does not speak OVSDB"):
        Framer().feed(stream)


def test_a_message_without_an_end_is_refused() -> None:
    """What is read is bounded, and looking for the end takes no longer than the message is long."""
    framer = Framer(limit=1 << 22)
    began = runtime.monotonic()
    framer.feed(b'{"')
    for _ in range(20):
        framer.feed(b"x\\\\" * (1 << 16))
    with pytest.raises(ValueError, match="longer than 4194304 bytes"):
        framer.feed(b"x\\\\" * (1 << 18))
    assert runtime.monotonic() - began < 2


@pytest.fixture
def peers() -> Iterator[tuple[Session, socket.socket]]:
    """A session, impatient, and its other end."""
    ours, theirs = socket.socketpair()
    session = Session("unix:/test", ours, probe_s=0.05)
    yield session, theirs
    session.close()
    theirs.close()


def test_asks_a_silent_server_and_gives_up(peers: tuple[Session, socket.socket]) -> None:
    """An echo is sent, and when nothing comes the session is lost."""
    session, theirs = peers
    with pytest.raises(HostGoneError, match=r"unix:/test: no answer within 0\.1 s"):
        session.call("get_schema", ["Open_vSwitch"])
    sent = theirs.recv(4096)
    assert b'"echo"' in sent
    assert b'"get_schema"' in sent


def test_a_server_that_echoes_is_alive(peers: tuple[Session, socket.socket]) -> None:
    """Any byte counts; their echo requests are answered."""
    session, theirs = peers
    for _ in range(5):
        theirs.sendall(b'{"method":"echo","params":[7],"id":"x"}')
        assert b'"result": [7]' in theirs.recv(4096)
        runtime.sleep(0.03)  # pace: within the 0.05 s after which the session asks
    assert session.is_connected()


def test_a_server_that_takes_nothing(peers: tuple[Session, socket.socket]) -> None:
    """A transaction that is longer than the buffers and is never read ends the session, not the hub."""
    session, _ = peers
    with pytest.raises(HostGoneError, match="no answer"):
        session.call("transact", ["x" * 10_000_000])


def test_reads_no_more_than_is_taken(peers: tuple[Session, socket.socket]) -> None:
    """A server that talks without end waits when nobody listens, and goes on when somebody does."""
    session, theirs = peers
    message = b'{"method":"update","params":["%s"],"id":null}' % (b"x" * 1000)
    talker = runtime.spawn(theirs.sendall, message * 5000)
    for _ in range(500):
        runtime.give_way()
    assert talker.is_running
    for _ in range(5000):
        while session.recv() is None:
            runtime.give_way()
    talker.join()


@pytest.mark.parametrize(
    ("answer", "reason"),
    (
        (b"{]}", "Expecting property name"),
        (b"{}", "the server does not speak OVSDB: "),
        (b'{"id":0,"result":{},"error":null,"more":1}', "the server does not speak OVSDB: "),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "recursion"),
        (b"\xff\xfe", "the server does not speak OVSDB: "),
        (b'{"a":"\xff"}', "can't decode"),
    ),
)
def test_nonsense_ends_the_session(peers: tuple[Session, socket.socket], answer: bytes, reason: str) -> None:
    session, theirs = peers
    runtime.spawn(theirs.sendall, answer)
    with pytest.raises(HostGoneError, match=reason):
        session.call("get_schema", ["Open_vSwitch"])


class FakeServer:
    """Answers each request with what `answer` makes of its method and params."""

    def __init__(self, path: Path, answer: Callable[[str, list[Any]], Any]) -> None:
        self.target = f"unix:{path}"
        self._answer = answer
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._task = runtime.spawn(self._serve)

    def close(self) -> None:
        self._task.stop()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                framer = Framer()
                while chunk := connection.recv(65536):
                    for text in framer.feed(chunk):
                        request = json.loads(text)
                        result = self._answer(request["method"], request["params"])
                        reply = {"id": request["id"], "result": result, "error": None}
                        connection.sendall(json.dumps(reply).encode())


@pytest.mark.parametrize(
    "result",
    (1, [], [[]], {"tables": 3}, {"tables": {}}, "x", {"name": 1, "version": 2, "tables": {"Bridge": {"columns": {}}}}),
)
def test_a_mad_server_stops_its_own_host_only(tmp_path: Path, result: Any) -> None:
    """Whatever it answers, the link says that there is something wrong and goes on trying."""
    server = FakeServer(tmp_path / "sock", lambda *_: result)
    try:
        with Watched(a_host(server.target)) as watched:
            watched.until_lost(server.target)
            watched.link.want(plugs("p1"))
    finally:
        server.close()


@pytest.mark.switch
def test_rows_that_nobody_sensible_wrote(switch: DummySwitch) -> None:
    """They cost nothing but themselves: cut, unreadable values are none, the others are seen as ever."""
    switch.bridge("br-int", good=1)
    rows: list[dict[str, Any]] = [
        {"name": "bad-mac", "external_ids": {"iface-id": "a", "attached-mac": "not a mac"}},
        {"name": "big-mac", "external_ids": {"attached-mac": "52:54:00:00:00:01" * 1000}},
        {"name": "long-id", "external_ids": {"iface-id": "x" * 10_000, "sdnctl-installed": "9" * 10_000}},
        {"name": "n" * 5000, "external_ids": {"iface-id": "b"}},
        {"name": "\u00fcml\u00e4ut", "external_ids": {"iface-id": "\U0001f600 \n\x01"}},
        {"name": "thief", "external_ids": {"sdnctl-owned": "yes", "sdnctl-bridge": "br-int"}},
        {"name": "number", "external_ids": {"attached-mac": "1"}},
        {"name": "big-type", "type": "t" * 10_000, "external_ids": {}},
    ]
    operations: list[Any] = ["Open_vSwitch"]
    for number, row in enumerate(rows):
        columns = {**row, "external_ids": ["map", list(row["external_ids"].items())]}
        operations += [
            {"op": "insert", "table": "Interface", "row": columns, "uuid-name": f"i{number}"},
            {
                "op": "insert",
                "table": "Port",
                "row": {"name": row["name"], "interfaces": ["named-uuid", f"i{number}"]},
                "uuid-name": f"p{number}",
            },
            {
                "op": "mutate",
                "table": "Bridge",
                "where": [["name", "==", "br-int"]],
                "mutations": [["ports", "insert", ["named-uuid", f"p{number}"]]],
            },
        ]
    with Watched(a_host(switch.database)) as watched:
        watched.until_has("good")
        switch.run("ovsdb-client", "transact", switch.database, json.dumps(operations))
        seen = watched.until(lambda facts: "big-type" in facts.interfaces).interfaces
        watched.link.want(plugs("p1"))
        watched.until_has("p1", "good")
    assert seen.keys() == {"br-int", "good"} | {row["name"] for row in rows if len(row["name"]) < 100}
    assert (seen["bad-mac"].iface_id, seen["bad-mac"].attached_mac) == ("a", None)
    assert seen["big-mac"].attached_mac is seen["number"].attached_mac is None
    assert (seen["long-id"].iface_id, seen["long-id"].installed) == ("", "")
    assert seen["\u00fcml\u00e4ut"].iface_id == "\U0001f600 \n\x01"
    assert not seen["thief"].is_ours
    assert len(seen["big-type"].type) <= 64
    assert all(len(interface.error) <= 200 for interface in seen.values())
