# SPDX-License-Identifier: Apache-2.0
"""Where bridges connect: several targets at once, one task per connection, and whoever wants them told.

Accepting never waits for a peer: TLS and the OpenFlow handshake run in the connection's own tasks, against a deadline.
Unfinished handshakes are bounded; when there are too many, the oldest ends, because an honest bridge needs
milliseconds and whoever holds connections open needs them all.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Final

from sdnctl import log, runtime
from sdnctl.errors import InvalidError, SdnctlError
from sdnctl.model.tls import Tls
from sdnctl.openflow.channel import Limits
from sdnctl.openflow.connection import Connection
from sdnctl.openflow.targets import ListeningSocket, Target, listen, parse_target, server_context

_OUT_OF_FILES_S: Final = 0.1
_STOP_S: Final = 2.0


class Listener:
    """Accepts bridges on `targets` and calls `on_connection` for each, in a task of its own, once it is known."""

    def __init__(
        self,
        targets: tuple[str, ...],
        tls: Tls | None,
        on_connection: Callable[[Connection], None],
        limits: Limits | None = None,
    ) -> None:
        self._targets = tuple(parse_target(text) for text in targets)
        self._tls = tls
        self._on_connection = on_connection
        self._limits = limits or Limits()
        self._sockets: list[ListeningSocket] = []
        self._accepting: list[runtime.Task] = []
        self._serving: dict[Connection, runtime.Task] = {}
        self._pending: dict[Connection, None] = {}
        if tls is None and any(target.kind == "ssl" for target in self._targets):
            raise InvalidError("an ssl: target needs a private key, a certificate and a CA certificate")

    @property
    def targets(self) -> tuple[str, ...]:
        """Where bridges are accepted, ports filled in; empty before `start` and after `stop`."""
        return tuple(str(listening.target) for listening in self._sockets)

    @property
    def connections(self) -> tuple[Connection, ...]:
        """All that are open, with those whose handshake is under way."""
        return tuple(self._serving)

    def start(self) -> None:
        """Bind all targets, or none and raise InvalidError that names the one in the way."""
        context = server_context(self._tls) if self._tls is not None else None
        try:
            for target in self._targets:
                self._sockets.append(listen(target))
        except InvalidError:
            self._close_sockets()
            raise
        for listening in self._sockets:
            tls = context if listening.target.kind == "ssl" else None
            self._accepting.append(runtime.spawn(self._accept, listening, tls))

    def stop(self) -> None:
        """End everything: no new connections, the open ones closed, socket files removed."""
        for task in self._accepting:
            task.stop()
        self._accepting.clear()
        self._close_sockets()
        serving = dict(self._serving)
        for connection in serving:
            connection.close("the controller stops")
        for task in serving.values():
            task.join()

    def _close_sockets(self) -> None:
        for listening in self._sockets:
            listening.close()
        self._sockets.clear()

    def _accept(self, listening: ListeningSocket, context: ssl.SSLContext | None) -> None:
        while True:
            try:
                sock, address = listening.socket.accept()
            except OSError as error:
                # Out of file descriptors, say: those who are connected go on, and some of them will end.
                log.warning("accepting failed", target=listening.target, error=error)
                runtime.sleep(_OUT_OF_FILES_S)
                continue
            self._begin(sock, _peer(listening.target, address), context)
            runtime.give_way()

    def _begin(self, sock: socket.socket, peer: str, context: ssl.SSLContext | None) -> None:
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self._pending) >= self._limits.pending:
            oldest = next(iter(self._pending))
            oldest.close("too many unfinished handshakes; this was the oldest")
            self._pending.pop(oldest, None)
        connection = Connection(sock, peer, self._limits)
        self._pending[connection] = None
        self._serving[connection] = runtime.spawn(self._serve, connection, context)
        runtime.spawn(self._introduce, connection)

    def _serve(self, connection: Connection, context: ssl.SSLContext | None) -> None:
        try:
            connection.run(context)
        except Exception:  # noqa: BLE001  (of whoever was told that it has ended)
            log.exception("ending failed", peer=connection.peer)
        finally:
            self._pending.pop(connection, None)
            self._serving.pop(connection, None)
        if not connection.is_known:
            log.warning("handshake failed", peer=connection.peer, reason=connection.reason)

    def _introduce(self, connection: Connection) -> None:
        try:
            connection.set_up()
        except SdnctlError as error:
            connection.close(str(error))
            return
        finally:
            self._pending.pop(connection, None)
        try:
            self._on_connection(connection)
        except Exception:  # noqa: BLE001  (an error of ours about one bridge must not end the others)
            log.exception("serving failed", peer=connection.peer)
            connection.close("an internal error, which the log tells")


def _peer(target: Target, address: object) -> str:
    """Who connected, for people: `tcp:192.0.2.7:40122`. A unix socket's peers have no address."""
    if target.kind == "unix" or not isinstance(address, tuple):
        return str(target)
    host, port = address[:2]
    return str(Target(target.kind, host, port))
