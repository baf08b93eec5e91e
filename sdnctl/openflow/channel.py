# SPDX-License-Identifier: Apache-2.0
"""The bytes between us and one peer: TLS, whole messages, what waits to be sent, and whether the peer is alive.

Three tasks: one receives and hands each whole message on, one writes, one watches the clock. Whatever a peer does,
garbage, silence, half a message, never reading, ends its own channel with a reason that says so; the first reason given
to `close` is the one that stands. A peer that sends without pause gets no more than its turn.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sdnctl import log, runtime
from sdnctl.flows import wire
from sdnctl.openflow.framing import Framer, MalformedError
from sdnctl.openflow.outbox import Outbox

_RECEIVE: Final = 64 * 1024
_TURN_S: Final = 0.002
"""How long one peer's messages are worked on before the other tasks get their turn."""
_GOODBYE_S: Final = 1.0
"""How long a peer may take to read why we hang up."""
_SOONEST_S: Final = 0.01


@dataclass(frozen=True, slots=True)
class Limits:
    """How patient we are with a peer."""

    handshake_s: float = 10.0
    """From accepting a connection to knowing the bridge and its ports, TLS included."""
    idle_s: float = 5.0
    """Silence after which we ask for an echo."""
    unanswered: int = 3
    """Echo requests without any message in return, after which the connection ends."""
    stall_s: float = 10.0
    """How long a peer may leave unread what we are writing."""
    reply_s: float = 60.0
    """How long a peer that answers echo requests may leave anything else unanswered."""
    send_bytes: int = 4 * 1024 * 1024
    """What may wait to be sent before packet-outs are dropped."""
    read_bytes: int = 512 * 1024 * 1024
    """The most that one answer may have."""
    pending: int = 1024
    """Unfinished handshakes at once; a further one ends the oldest."""


class Channel:
    """One peer's stream of messages."""

    def __init__(
        self,
        sock: socket.socket,
        peer: str,
        limits: Limits,
        receive: Callable[[bytes], None],
        end_of_batch: Callable[[], None],
    ) -> None:
        self.peer: Final = peer
        self.peer_name: str | None = None
        """Common name in the peer's certificate; None without TLS."""
        self.outbox: Final = Outbox(limits.send_bytes)
        self.limits: Final = limits
        self._socket = sock
        self._receive = receive
        self._end_of_batch = end_of_batch
        self._reason: str | None = None
        self._gone = runtime.Signal()
        self._settled = False
        self._deadline = runtime.monotonic() + limits.handshake_s
        self._heard = self._asked = runtime.monotonic()
        self._unanswered = 0

    @property
    def reason(self) -> str | None:
        """Why the channel ended; None while it is open."""
        return self._reason

    @property
    def is_settled(self) -> bool:
        """The handshake is complete, or was before the end."""
        return self._settled

    def settle(self) -> None:
        """The handshake is complete: its deadline is off."""
        self._settled = True

    def close(self, reason: str, *, last_words: bytes = b"") -> None:
        """End it. With `last_words`, the peer gets a second to read them."""
        if self._reason is not None:
            return
        if last_words:
            self.outbox.put(last_words)
            self.outbox.drain(_GOODBYE_S)
        if self.reason is not None:
            return  # Somebody was faster while the peer read.
        self._reason = reason
        self.outbox.close()
        self._gone.set()
        _cut(self._socket)

    def run(self, context: ssl.SSLContext | None) -> None:
        """Receive until the end. Everything is let go of when this returns."""
        tasks = [runtime.spawn(self._watch)]
        try:
            if context is not None:
                self._start_tls(context)
            tasks.append(runtime.spawn(self._write))
            self._read()
            self.close("the peer closed the connection")
        except MalformedError as error:
            self.close(str(error))
        except (OSError, EOFError, ValueError) as error:  # ValueError: what ssl says about a socket that was shut down
            self.close(f"the connection broke: {error}")
        except Exception:  # noqa: BLE001  (an error of ours, in a callback say, is no worse than one of the peer's)
            log.exception("receiving failed", peer=self.peer)
            self.close("an internal error, which the log tells")
        finally:
            self.close("stopped")
            for task in tasks:
                task.stop()
            self._socket.close()

    def _start_tls(self, context: ssl.SSLContext) -> None:
        wrapped = context.wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
        self._socket = wrapped
        try:
            wrapped.do_handshake()
        except (OSError, AttributeError) as error:  # AttributeError: cut while it shook hands
            self.close(f"no TLS with this peer: {error}")
            raise OSError from error
        certificate: Any = wrapped.getpeercert()
        names = [value for part in certificate["subject"] for key, value in part if key == "commonName"]
        self.peer_name = names[0] if names else ""

    def _read(self) -> None:
        framer = Framer()
        until = runtime.monotonic() + _TURN_S
        while self._reason is None:
            data = self._socket.recv(_RECEIVE)
            if not data:
                return
            for message in framer.feed(data):
                self._heard = runtime.monotonic()
                self._unanswered = 0
                self._receive(message)
                if self._gone.is_set:
                    return
            self._end_of_batch()
            if runtime.monotonic() >= until:
                runtime.give_way()
                until = runtime.monotonic() + _TURN_S

    def _write(self) -> None:
        try:
            self.outbox.write_to(self._socket)
        except (OSError, ValueError) as error:
            self.close(f"the connection broke: {error}")

    def _watch(self) -> None:
        while not self._gone.wait(self._next_look_s()):
            self._look()

    def _next_look_s(self) -> float:
        due = max(self._heard, self._asked) + self.limits.idle_s if self._settled else self._deadline
        return max(_SOONEST_S, due - runtime.monotonic())

    def _look(self) -> None:
        now = runtime.monotonic()
        if not self._settled:
            if now >= self._deadline:
                self.close(f"the handshake was not complete within {self.limits.handshake_s:g} s")
        elif self.outbox.stalled_s() > self.limits.stall_s:
            self.close(f"the peer reads nothing: {self.outbox.size} bytes wait for {self.outbox.stalled_s():.0f} s")
        elif now < max(self._heard, self._asked) + self.limits.idle_s:
            return
        elif self._unanswered >= self.limits.unanswered:
            self.close(f"the peer is silent: {self._unanswered} echo requests in a row brought nothing")
        else:
            self._unanswered += 1
            self._asked = now
            self.outbox.put(wire.echo_request())


def _cut(sock: socket.socket) -> None:
    """End a connection so that the tasks waiting for it notice; closing alone would leave them waiting.

    Past ssl on purpose: its `shutdown` forgets the TLS state under the feet of the task that is using it.
    """
    if sock.fileno() < 0:
        return
    handle = socket.socket(fileno=sock.fileno())
    try:
        handle.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass  # The peer was faster.
    finally:
        handle.detach()
