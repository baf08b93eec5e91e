# SPDX-License-Identifier: Apache-2.0
"""The cooperative hub: tasks, waiting, queues. The only module that imports eventlet.

`install()` has to run before anything imports os_ken, ovs or sqlalchemy, because it patches the standard library.
Nothing may compute for longer than a few milliseconds without giving way: wrap long loops in `in_slices`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeVar

os.environ["OSKEN_HUB_TYPE"] = "eventlet"

import eventlet
import eventlet.event
import eventlet.queue
import eventlet.semaphore
import eventlet.wsgi

T = TypeVar("T")

SLICE_S: Final = 0.005
"""How long a loop computes before it gives way, in seconds."""

monotonic = time.monotonic
Queue = eventlet.queue.Queue
Empty = eventlet.queue.Empty
Semaphore = eventlet.semaphore.Semaphore
TaskExit = eventlet.greenlet.GreenletExit


def install() -> None:
    """Patch the standard library so that blocking calls give way. Idempotent."""
    eventlet.monkey_patch()


class Task:
    """A running function. `stop` ends it where it waits; `join` waits until it has ended."""

    def __init__(self, function: Callable[..., object], *args: object) -> None:
        self._thread = eventlet.spawn(function, *args)

    @property
    def is_running(self) -> bool:
        return not self._thread.dead

    def stop(self) -> None:
        self._thread.kill()

    def join(self) -> Any:  # noqa: ANN401  (whatever the function returned)
        """Return what the function returned, or raise what it raised."""
        return self._thread.wait()


def spawn(function: Callable[..., object], *args: object) -> Task:
    """Start `function(*args)` as a task of its own."""
    return Task(function, *args)


def sleep(seconds: float) -> None:
    """Give way for at least `seconds`."""
    eventlet.sleep(seconds)


def give_way() -> None:
    """Let every other task that is ready run once."""
    eventlet.sleep(0)


class Signal:
    """A condition that becomes true once: `set` wakes every waiter, now and later."""

    def __init__(self) -> None:
        self._event = eventlet.event.Event()

    @property
    def is_set(self) -> bool:
        return bool(self._event.ready())

    def set(self) -> None:
        if not self._event.ready():
            self._event.send(None)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for `set`; False when `timeout_s` passed first."""
        if timeout_s is None:
            self._event.wait()
            return True
        with eventlet.Timeout(timeout_s, False):  # noqa: FBT003  (eventlet's way to say: do not raise)
            self._event.wait()
        return self.is_set


class Latch:
    """A wake-up call that remembers: `wake` before `wait` is not lost, many wakes count as one."""

    def __init__(self) -> None:
        self._signal = Signal()

    def wake(self) -> None:
        self._signal.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for a `wake` since the last `wait`; False when `timeout_s` passed first."""
        woken = self._signal.wait(timeout_s)
        if woken:
            self._signal = Signal()
        return woken


def in_slices(items: Iterable[T], slice_s: float = SLICE_S) -> Iterator[T]:
    """`items`, giving way to other tasks whenever `slice_s` seconds have been computed."""
    until = monotonic() + slice_s
    for item in items:
        yield item
        if monotonic() >= until:
            give_way()
            until = monotonic() + slice_s


# ---------------------------------------------------------------------------------------------------------------- HTTP

HANG_UP: Final = "sdnctl.hang_up"
"""In the WSGI environment: a function that ends the connection after this answer, whatever is still to be read."""

_LONGEST_REQUEST_LINE: Final = 64 * 1024
_LINGER_S: Final = 2.0


class HttpServer:
    """Serves a WSGI application: a task per connection.

    No client can hold anything up but its own connection: `client_timeout_s` is how long it may take to send a request
    line, its headers, or a body, each as a whole, and how long it may stay silent between two requests.
    """

    def __init__(
        self,
        application: Callable[..., Iterable[bytes]],
        host: str,
        port: int,
        *,
        client_timeout_s: float = 60.0,
        connections: int = 1000,
    ) -> None:
        """Listen at once: OSError says why that is not possible. Nothing is answered before `start`."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = eventlet.listen((host, port), family=family, backlog=512, reuse_port=False)
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._application = application
        self._client_timeout_s = client_timeout_s
        self._pool = eventlet.GreenPool(connections)
        self._task: Task | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._listener.getsockname()[:2]
        return host, port

    def start(self) -> None:
        self._task = spawn(self._serve)

    def _serve(self) -> None:
        eventlet.wsgi.server(
            self._listener,
            self._application,
            protocol=_HttpProtocol,
            custom_pool=self._pool,
            keepalive=self._client_timeout_s,
            socket_timeout=self._client_timeout_s,
            url_length_limit=_LONGEST_REQUEST_LINE,
            log_output=False,
            debug=False,
        )

    def stop(self, grace_s: float = 5.0) -> None:
        """Accept nobody from now on; requests on their way have `grace_s` to finish."""
        if self._task is not None:
            # On its way out the task closes idle connections, and waits until the pool is empty.
            self._task.stop()
        self._listener.close()
        with eventlet.Timeout(grace_s, False):  # noqa: FBT003
            self._pool.waitall()
        for connection in list(self._pool.coroutines_running):
            connection.kill()


class _HttpProtocol(eventlet.wsgi.HttpProtocol):  # type: ignore[misc]  # eventlet publishes no types
    """One connection, with limits of time that hold for the whole of what they limit."""

    _is_unread = False

    def _in_time(self) -> eventlet.Timeout:
        return eventlet.Timeout(self.server.socket_timeout, TimeoutError("the client is too slow"))

    def _read_request_line(self) -> bytes | str:
        with self._in_time():
            line: bytes | str = super()._read_request_line()
        self._is_unread = len(line) >= _LONGEST_REQUEST_LINE
        return line

    def parse_request(self) -> bool:
        with self._in_time():
            return bool(super().parse_request())

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        environ["wsgi.input"] = _TimedInput(environ["wsgi.input"], self._in_time)
        environ[HANG_UP] = self._hang_up
        return environ

    def log_message(self, *_: object) -> None:
        """Say nothing: what is no HTTP is answered 400, and could fill the log."""

    def _hang_up(self) -> None:
        self.close_connection = 1
        self._is_unread = True

    def finish(self) -> None:
        if self._is_unread:
            self._linger()
        try:
            super().finish()
        finally:
            # Left open when the rest of an answer cannot be written, and with it the socket.
            self.rfile.close()

    def _linger(self) -> None:
        """Let the client read the answer: closing with input unread would reset the connection under it."""
        with contextlib.suppress(OSError), eventlet.Timeout(_LINGER_S, False):  # noqa: FBT003
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            while self.connection.recv(64 * 1024):
                give_way()


class _TimedInput:
    """The body of a request; TimeoutError when one read of it takes too long."""

    def __init__(self, source: Any, in_time: Callable[[], eventlet.Timeout]) -> None:  # noqa: ANN401
        self._source = source
        self._in_time = in_time

    def read(self, size: int | None = None) -> bytes:
        with self._in_time():
            body: bytes = self._source.read(size)
            return body
