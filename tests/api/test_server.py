# SPDX-License-Identifier: Apache-2.0
"""The API behind a real socket: what clients cost that are large, slow, broken or gone."""

from __future__ import annotations

import json
import socket
import tracemalloc
from collections.abc import Iterator
from typing import Self

import pytest

from sdnctl import runtime
from sdnctl.api.app import Application
from sdnctl.api.auth import nobody_asked
from sdnctl.api.server import Server
from sdnctl.errors import InvalidError
from sdnctl.model.request import Context
from tests.api.fake import FakeFabric, FakeRepository

TIMEOUT_S = 0.4
MEBIBYTE = 2**20


@pytest.fixture
def server(repository: FakeRepository, fabric: FakeFabric) -> Iterator[Server]:
    server = Server(Application(repository, nobody_asked(), fabric=fabric), "127.0.0.1", 0, timeout_s=TIMEOUT_S)
    server.start()
    yield server
    server.stop()


class Connection:
    """A client that speaks HTTP by hand."""

    def __init__(self, server: Server) -> None:
        host, port = server.url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)), timeout=10)
        self._file = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """(status, headers, body) of the next answer."""
        status = int(self._file.readline().split()[1])
        headers = {}
        while line := self._file.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        return status, headers, self._file.read(int(headers.get("content-length", "0")))

    def rest(self) -> bytes:
        """Everything the server says until it ends the connection."""
        return self._file.read()

    def is_closed(self) -> bool:
        """Wait until the server ends the connection; False if it says something else first."""
        return self._file.read(1) == b""

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@pytest.fixture
def connection(server: Server) -> Iterator[Connection]:
    connection = Connection(server)
    yield connection
    connection.close()


def post(body: bytes, *, headers: bytes = b"", length: int | None = None) -> bytes:
    """A POST of a network as it goes over the wire."""
    size = len(body) if length is None else length
    return b"POST /v2.0/networks HTTP/1.1\r\nHost: a\r\n%sContent-Length: %d\r\n\r\n%s" % (headers, size, body)


def becomes_idle(server: Server) -> bool:
    """Whether every connection is given up soon."""
    until = runtime.monotonic() + TIMEOUT_S * 10
    while server._http._pool.running() and runtime.monotonic() < until:
        runtime.sleep(TIMEOUT_S / 20)  # pace: the server tells nobody when it gives up a connection
    return not server._http._pool.running()


NETWORK = json.dumps({"network": {"name": "blue"}}).encode()
GET = b"GET /v2.0/networks HTTP/1.1\r\nHost: a\r\n\r\n"


def test_several_requests_on_one_connection(connection: Connection) -> None:
    connection.send(post(NETWORK))
    status, headers, body = connection.answer()
    assert status == 201
    assert headers["content-type"] == "application/json"
    network = json.loads(body)["network"]
    connection.send(b"DELETE /v2.0/networks/%s HTTP/1.1\r\nHost: a\r\n\r\n" % network["id"].encode())
    status, headers, body = connection.answer()
    assert (status, body) == (204, b"")
    assert "content-length" not in headers
    assert "transfer-encoding" not in headers
    connection.send(GET + GET)
    assert connection.answer()[2] == connection.answer()[2] == b'{"networks":[]}'


def test_a_chunked_body(connection: Connection) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (NETWORK[:7], NETWORK[7:]))
    connection.send(
        b"POST /v2.0/networks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    )
    assert connection.answer()[0] == 201
    connection.send(GET)
    assert connection.answer()[0] == 200


def test_a_chunked_body_that_is_none(connection: Connection) -> None:
    connection.send(b"POST /v2.0/networks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
    status, headers, body = connection.answer()
    assert status == 400
    assert headers["connection"] == "close"
    assert "could not be read" in json.loads(body)["NeutronError"]["message"]
    assert connection.is_closed()


def test_what_is_no_http(connection: Connection, capfd: pytest.CaptureFixture[str]) -> None:
    connection.send(b"\x16\x03\x01 hello\r\n\r\n")
    assert b"400" in connection.rest()
    assert capfd.readouterr().err == ""


# --------------------------------------------------------------------------------------------------------------- large


def test_100_mb_are_refused_and_not_kept(connection: Connection) -> None:
    """The client sends all of it before it listens, as most do, and still gets its answer."""
    tracemalloc.start()
    try:
        connection.send(post(b"", length=100 * MEBIBYTE))
        part = bytes(MEBIBYTE)
        for _ in range(100):
            connection.send(part)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    status, headers, body = connection.answer()
    assert status == 413
    assert headers["connection"] == "close"
    assert json.loads(body)["NeutronError"]["type"] == "HTTPRequestEntityTooLarge"
    assert connection.is_closed()
    assert peak < 4 * MEBIBYTE


def test_an_endless_chunked_body_is_cut(connection: Connection) -> None:
    connection.send(b"POST /v2.0/networks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    for _ in range(100):
        connection.send(chunk)
    assert connection.answer()[0] == 413
    assert connection.is_closed()


def test_who_asks_first_is_told_before_sending(connection: Connection) -> None:
    connection.send(post(b"", length=100 * MEBIBYTE, headers=b"Expect: 100-continue\r\n"))
    assert connection.answer()[0] == 413


def test_a_url_of_16_kib_passes_and_a_longer_one_is_told_so(connection: Connection, server: Server) -> None:
    identity = b"id=6f3a0f1c-3a55-4f0e-8f5e-0123456789ab"
    connection.send(b"GET /v2.0/networks?%s HTTP/1.1\r\nHost: a\r\n\r\n" % b"&".join([identity] * 400))
    assert connection.answer()[0] == 200
    connection.send(b"GET /v2.0/networks?%s HTTP/1.1\r\nHost: a\r\n\r\n" % b"&".join([identity] * 500))
    assert connection.answer()[0] == 414
    connection.send(b"GET /v2.0/networks?%s HTTP/1.1\r\nHost: a\r\n\r\n" % b"&".join([identity] * 5000))
    assert connection.answer()[0] == 414
    assert connection.is_closed()


# ---------------------------------------------------------------------------------------------------------------- slow


@pytest.mark.parametrize(
    "beginning",
    (b"", b"GET /v2.0/netw", b"GET /v2.0/networks HTTP/1.1\r\nHost:"),
    ids=("silent", "in the request line", "in the headers"),
)
def test_a_silent_client_is_cut_and_nobody_waits_for_it(
    server: Server, connection: Connection, beginning: bytes
) -> None:
    connection.send(beginning)
    with Connection(server) as other:
        other.send(GET)
        assert other.answer()[0] == 200
    assert connection.is_closed()


def test_a_body_that_never_comes(server: Server, connection: Connection) -> None:
    connection.send(post(b"{", length=100))
    status, headers, body = connection.answer()
    assert (status, headers["connection"]) == (408, "close")
    assert json.loads(body)["NeutronError"]["message"] == "The body did not arrive in time."
    assert connection.is_closed()


@pytest.mark.parametrize("where", ("line", "headers", "body"))
def test_a_trickle_is_cut_though_it_is_never_silent(connection: Connection, where: str) -> None:
    """One byte from time to time keeps no connection beyond its limit."""
    beginnings = {"line": b"GET /", "headers": b"GET /v2.0/networks HTTP/1.1\r\nX: ", "body": post(b"", length=10_000)}
    connection.send(beginnings[where])
    began = runtime.monotonic()

    def trickle() -> None:
        while True:
            connection.send(b"x")
            runtime.sleep(TIMEOUT_S / 10)  # pace: of the trickle

    drip = runtime.spawn(trickle)
    if where == "body":
        assert connection.answer()[0] == 408
    else:
        assert connection.is_closed()
    drip.stop()
    assert TIMEOUT_S * 0.9 < runtime.monotonic() - began < TIMEOUT_S * 5


def test_a_client_that_does_not_read_its_answer(
    server: Server, connection: Connection, repository: FakeRepository
) -> None:
    """A large answer waits in that client's connection, for so long; others are answered."""
    context = Context("p", "u", frozenset({"admin"}))
    repository.create(context, "network", [{"description": "x" * 255}] * 20_000)
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.send(GET)
    with Connection(server) as other:
        other.send(GET.replace(b"networks", b"ports"))
        assert other.answer()[0] == 200
    assert becomes_idle(server)


def test_a_client_that_hangs_up(server: Server) -> None:
    for beginning in (b"", b"GE", GET, post(b"{", length=100)):
        gone = Connection(server)
        gone.send(beginning)
        gone.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        gone.close()
    with Connection(server) as other:
        other.send(GET)
        assert other.answer()[0] == 200


def test_hundreds_of_clients_at_once(repository: FakeRepository) -> None:
    """With the time to wait that clients have by default: the last one connects long before it is its turn."""
    server = Server(Application(repository, nobody_asked()), "127.0.0.1", 0)
    server.start()
    clients = [Connection(server) for _ in range(200)]
    for client in clients:
        client.send(post(NETWORK))
    assert [client.answer()[0] for client in clients] == [201] * 200
    for client in clients:
        client.close()
    server.stop()


# ---------------------------------------------------------------------------------------------------------------- stop


class _Slow(FakeFabric):
    """Hosts that confirm when they are told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = runtime.Signal()
        self.confirm = runtime.Signal()

    def wait_applied(self, revision: int, timeout_s: float) -> tuple[str, ...]:
        self.asked.set()
        self.confirm.wait()
        return ()


def test_stopping_lets_requests_finish(repository: FakeRepository) -> None:
    fabric = _Slow()
    server = Server(Application(repository, nobody_asked(), fabric=fabric), "127.0.0.1", 0)
    server.start()
    with Connection(server) as idle, Connection(server) as busy:
        idle.send(GET)
        assert idle.answer()[0] == 200
        busy.send(post(NETWORK, headers=b"Wait: applied\r\n"))
        assert fabric.asked.wait(5)
        stopping = runtime.spawn(server.stop)
        assert idle.is_closed()
        with pytest.raises(OSError, match=r"refused|RESET"):
            Connection(server)
        assert stopping.is_running
        fabric.confirm.set()
        assert busy.answer()[0] == 201
        stopping.join()


def test_stopping_does_not_wait_for_ever(repository: FakeRepository) -> None:
    fabric = _Slow()
    server = Server(Application(repository, nobody_asked(), fabric=fabric), "127.0.0.1", 0)
    server.start()
    with Connection(server) as busy:
        busy.send(post(NETWORK, headers=b"Wait: applied\r\n"))
        assert fabric.asked.wait(5)
        server.stop(grace_s=0.1)
        assert busy.is_closed()


def test_an_address_that_cannot_be_had(server: Server) -> None:
    port = int(server.url.rpartition(":")[2])
    with pytest.raises(InvalidError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
        Server(Application(FakeRepository(), nobody_asked()), "127.0.0.1", port)


def test_ipv6() -> None:
    server = Server(Application(FakeRepository(), nobody_asked()), "::1", 0)
    server.start()
    assert server.url.startswith("http://[::1]:")
    server.stop()
