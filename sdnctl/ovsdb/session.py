# SPDX-License-Identifier: Apache-2.0
"""A JSON-RPC session with one ovsdb-server, from connecting until it is lost.

It stands where `ovs.db.idl.Idl` has its own session, because that one parses JSON in Python at about a megabyte a
second without giving way, keeps its TLS files in class attributes of the whole process, splits characters that lie
across two reads, and does not say why a connection failed.

A session lives once: when it is lost, `lost` says why for ever after, and a new one is made. One task reads; whoever
sends writes, or leaves it to the one that is already writing. `wait` and `recv_wait` let an `ovs.poller` sleep until
there is something to receive, or until `wake` is called.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import json
import os
import re
import socket
import ssl
from typing import Any, Final

import ovs.jsonrpc
import ovs.poller

from sdnctl import runtime
from sdnctl.errors import HostGoneError
from sdnctl.model.tls import Tls

CONNECT_TIMEOUT_S: Final = 5.0
PROBE_S: Final = 5.0
"""After this long without a byte the server is asked for an echo; after as long again it is given up."""

MESSAGE_LIMIT: Final = 1 << 26
"""Bytes of the longest message we read: some 100 000 interfaces."""

_READ_SIZE: Final = 1 << 16
_QUEUE_LIMIT: Final = 256

_TARGET: Final = re.compile(r"(?P<kind>tcp|ssl):(?:\[(?P<v6>[^]]+)]|(?P<host>[^:\[\]]+)):(?P<port>\d{1,5})")

_HINTS: Final = {
    ("unix", errno.ECONNREFUSED): "nobody listens on that socket: is ovsdb-server running?",
    ("unix", errno.ENOENT): "there is no such socket: is ovsdb-server running?",
    ("unix", errno.EACCES): "sdnctl may not open that socket",
    ("tcp", errno.ECONNREFUSED): "nothing listens there; `ovs-vsctl set-manager ptcp:{port}` makes the host listen",
    ("ssl", errno.ECONNREFUSED): "nothing listens there; `ovs-vsctl set-manager pssl:{port}` makes the host listen",
}


def connect(target: str, tls: Tls | None) -> Session:
    """An open session with `target` (`tcp:HOST:PORT`, `ssl:HOST:PORT`, `unix:PATH`); HostGoneError says why not."""
    try:
        return Session(target, _open(target, tls))
    except TimeoutError as error:
        raise HostGoneError(f"{target}: no answer within {CONNECT_TIMEOUT_S:g} s") from error
    except ssl.SSLError as error:
        raise HostGoneError(f"{target}: TLS failed: {_tls_text(error)}") from error
    except OSError as error:
        raise HostGoneError(f"{target}: {_os_text(target, error)}") from error


def _open(target: str, tls: Tls | None) -> socket.socket:
    if target.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(CONNECT_TIMEOUT_S)
            sock.connect(target.removeprefix("unix:"))
        except OSError:
            sock.close()
            raise
        return sock
    found = _TARGET.fullmatch(target)
    if found is None or not 0 < int(found["port"]) <= 0xFFFF:
        raise HostGoneError(f"{target}: an OVSDB is written tcp:HOST:PORT, ssl:HOST:PORT or unix:PATH")
    if found["kind"] == "ssl" and tls is None:
        raise HostGoneError(f"{target}: ssl needs a certificate of sdnctl's own, and none is configured")
    sock = socket.create_connection((found["v6"] or found["host"], int(found["port"])), CONNECT_TIMEOUT_S)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None and found["kind"] == "ssl":
            wrapped = _client_context(tls).wrap_socket(sock, do_handshake_on_connect=False)
            sock = wrapped
            wrapped.do_handshake()
        return sock
    except BaseException:
        sock.close()
        raise


def _client_context(tls: Tls) -> ssl.SSLContext:
    """TLS as Open vSwitch has it: each side shows a certificate of the CA; hosts are addresses, not names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(tls.ca)
    context.load_cert_chain(tls.certificate, tls.private_key)
    return context


def _os_text(target: str, error: OSError) -> str:
    text = os.strerror(error.errno) if error.errno else str(error)
    kind, _, address = target.partition(":")
    hint = _HINTS.get((kind, error.errno or 0))
    return text if hint is None else f"{text}: {hint.format(port=address.rpartition(':')[2])}"


def _tls_text(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()


class Session:
    """What `ovs.db.idl.Idl` needs of a session, over a connected socket."""

    def __init__(self, target: str, sock: socket.socket, probe_s: float = PROBE_S) -> None:
        self.target = target
        self.lost = ""
        self._socket = sock
        self._socket.settimeout(probe_s)
        self._probe_s = probe_s
        self._framer = Framer()
        self._received: collections.deque[ovs.jsonrpc.Message] = collections.deque()
        self._unsent: collections.deque[bytes] = collections.deque()
        self._is_writing = False
        self._awaits_echo = False
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._reader = runtime.spawn(self._read)

    # --- what Idl calls ---------------------------------------------------------------------------------------

    def run(self) -> None:
        """All is done by the tasks that read and write."""

    def is_connected(self) -> bool:
        return not self.lost

    def get_seqno(self) -> int:
        return 1

    def get_name(self) -> str:
        return self.target

    def recv(self) -> ovs.jsonrpc.Message | None:
        if self._received:
            return self._received.popleft()
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._event)
        return None

    def send(self, message: ovs.jsonrpc.Message) -> int:
        """Send, waiting as long as the server does not take it; an error number when the session is lost."""
        if not self.is_connected():
            return errno.ENOTCONN
        self._unsent.append(json.dumps(message.to_json()).encode())
        if not self._is_writing:
            self._is_writing = True
            try:
                while self._unsent:
                    self._socket.sendall(self._unsent.popleft())
            except OSError as error:
                self._lose(self._reason(error))
            finally:
                self._is_writing = False
        return 0 if self.is_connected() else errno.ENOTCONN

    def wait(self, poller: ovs.poller.Poller) -> None:
        if self.lost:
            poller.immediate_wake()
        else:
            poller.fd_wait(self._event, ovs.poller.POLLIN)

    def recv_wait(self, poller: ovs.poller.Poller) -> None:
        """`wait` has said it all."""

    def force_reconnect(self) -> None:
        """Idl found that the server will not do."""
        self._lose("this server does not serve the database Open_vSwitch as its leader")

    def reset_backoff(self) -> None:
        """There is none: a session is never reconnected."""

    def close(self) -> None:
        """End the session and free what it holds."""
        if self._event >= 0:
            self._lose("closed")
            self._reader.stop()
            os.close(self._event)
            self._event = -1

    # --- ours -------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """End the sleep of whoever waits for this session."""
        if self._event >= 0:
            os.eventfd_write(self._event, 1)

    def call(self, method: str, params: list[Any]) -> Any:
        """The result of one request; only while nobody else receives."""
        request = ovs.jsonrpc.Message.create_request(method, params)
        self.send(request)
        while True:
            message = self.recv()
            if message is not None and message.id == request.id:
                if message.type == ovs.jsonrpc.Message.T_REPLY:
                    return message.result
                raise HostGoneError(f"{self.target}: {method} was refused: {str(message.error)[:200]}")
            if message is None:
                self.check()
                poller = ovs.poller.Poller()
                self.wait(poller)
                poller.block()

    def check(self) -> None:
        """Raise HostGoneError if the session is lost."""
        if self.lost:
            raise HostGoneError(f"{self.target}: {self.lost}")

    def _lose(self, reason: str) -> None:
        if not self.lost:
            self.lost = reason
            self._unsent.clear()
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self.wake()

    def _reason(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"no answer within {2 * self._probe_s:g} s"
        if isinstance(error, ssl.SSLError):
            return f"TLS failed: {_tls_text(error)}"
        if isinstance(error, OSError):
            return os.strerror(error.errno) if error.errno else str(error)
        return str(error)

    def _read(self) -> None:
        """The reading task."""
        try:
            while not self.lost:
                self._read_some()
        except (OSError, ValueError, RecursionError) as error:
            self._lose(self._reason(error))

    def _read_some(self) -> None:
        try:
            chunk = self._socket.recv(_READ_SIZE)
        except TimeoutError:
            if self._awaits_echo:
                raise
            self._awaits_echo = True
            echo = ovs.jsonrpc.Message.create_request("echo", [])
            echo.id = "echo"
            self.send(echo)
            return
        if not chunk:
            raise ValueError("the server closed the connection")
        self._awaits_echo = False
        for text in self._framer.feed(chunk):
            self._take(text)
        # A full buffer means that more is waiting, and then recv returns without ever giving way.
        runtime.give_way()
        while len(self._received) > _QUEUE_LIMIT and not self.lost:
            runtime.sleep(0.01)

    def _take(self, text: bytes) -> None:
        message = ovs.jsonrpc.Message.from_json(json.loads(text))
        if not isinstance(message, ovs.jsonrpc.Message):
            raise ValueError(f"the server does not speak OVSDB: {message}")  # noqa: TRY004  (the peer's fault)
        if message.type == ovs.jsonrpc.Message.T_REQUEST and message.method == "echo":
            self.send(ovs.jsonrpc.Message.create_reply(message.params, message.id))
        elif message.id != "echo":
            self._received.append(message)
            self.wake()


class Framer:
    """Cuts a stream of JSON objects where one ends, in time linear to its length.

    Only braces outside strings count; whether what is between them is JSON is the parser's business.
    """

    _TO_BRACE = re.compile(rb'(?:[^{}"]++|"(?:[^"\\]++|\\.)*+")*+([{}])', re.DOTALL)
    _TO_QUOTE = re.compile(rb'(?:[^{}"]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
    _IN_STRING = re.compile(rb"(?:[^\"\\]++|\\.)*+", re.DOTALL)

    def __init__(self, limit: int = MESSAGE_LIMIT) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._position = 0
        self._depth = 0
        self._is_in_string = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The objects that `chunk` completes; ValueError when this is no stream of objects."""
        self._buffer += chunk
        objects: list[bytes] = []
        while self._advance():
            if self._depth == 0:
                objects.append(bytes(self._buffer[: self._position]))
                del self._buffer[: self._position]
                self._position = 0
        if not self._depth and self._buffer.strip():
            raise ValueError(f"the server does not speak OVSDB: it sent {bytes(self._buffer[:40])!r}")
        if len(self._buffer) > self._limit:
            raise ValueError(f"the server sent a message longer than {self._limit} bytes")
        return objects

    def _advance(self) -> bool:
        """Go on to behind the next brace; False when the buffer holds none."""
        if self._is_in_string:
            self._position = self._IN_STRING.match(self._buffer, self._position).end()  # type: ignore[union-attr]
            if self._buffer[self._position : self._position + 1] != b'"':
                return False
            self._position += 1
            self._is_in_string = False
        found = self._TO_BRACE.match(self._buffer, self._position)
        if found is None:
            self._position = self._TO_QUOTE.match(self._buffer, self._position).end()  # type: ignore[union-attr]
            if self._position < len(self._buffer):
                self._position += 1
                self._is_in_string = True
                return self._advance()
            return False
        self._position = found.end()
        if found[1] == b"{":
            if not self._depth and bytes(self._buffer[: self._position]).strip() != b"{":
                raise ValueError(f"the server does not speak OVSDB: it sent {bytes(self._buffer[:40])!r}")
            self._depth += 1
        elif not self._depth:
            raise ValueError(f"the server does not speak OVSDB: it sent {bytes(self._buffer[:40])!r}")
        else:
            self._depth -= 1
        return True
