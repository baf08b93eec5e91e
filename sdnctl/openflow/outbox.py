# SPDX-License-Identifier: Apache-2.0
"""What waits to be written to one peer, and the task that writes it.

Nobody ever waits for a slow peer's socket but its own writing task. What waits is bounded: messages that may be lost
(packet-outs) are refused once `limit` bytes wait, whoever has a lot to say asks for `room` first, and a peer that takes
nothing for a while is noticed by `stalled_s`.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Protocol

from sdnctl import runtime

_CHUNK: Final = 128 * 1024
"""The most that goes into one system call."""


class Stream(Protocol):
    """A socket, as far as writing goes."""

    def send(self, data: memoryview, /) -> int: ...


class Outbox:
    """A bounded queue of bytes in front of a socket."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._more = runtime.Latch()
        self._less = runtime.Latch()
        self._since: float | None = None
        self._closed = False

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self._size

    def put(self, data: bytes) -> None:
        """Queue `data` whatever waits already; ask for room before, if it is much."""
        if not self._closed:
            self._waiting.append(data)
            self._size += len(data)
            self._more.wake()

    def offer(self, data: bytes) -> bool:
        """Queue `data`; False when so much waits already that it is dropped instead."""
        if self._closed or self._size > self._limit:
            return False
        self.put(data)
        return True

    def wait_for_room(self) -> bool:
        """Wait until less than half the limit waits; False when the outbox was closed. One task at a time."""
        while self._size > self._limit // 2 and not self._closed:
            self._less.wait()
        return not self._closed

    def drain(self, timeout_s: float) -> None:
        """Wait until all is written, but not longer than `timeout_s`."""
        until = runtime.monotonic() + timeout_s
        while self._size and not self._closed and (left := until - runtime.monotonic()) > 0:
            self._less.wait(left)

    def stalled_s(self) -> float:
        """For how long the peer has not taken what is being written; 0 when nothing is."""
        return 0.0 if self._since is None else runtime.monotonic() - self._since

    def close(self) -> None:
        """Drop what waits; every task that waits here goes on."""
        self._closed = True
        self._waiting.clear()
        self._size = 0
        self._more.wake()
        self._less.wake()

    def write_to(self, stream: Stream) -> None:
        """Write until `close`. The body of the writing task; OSError when the peer is gone."""
        while not self._closed:
            if not self._waiting:
                self._more.wait()
                continue
            chunk = self._next_chunk()
            rest = memoryview(chunk)
            self._since = runtime.monotonic()
            while rest and not self._closed:
                rest = rest[stream.send(rest) :]
            self._since = None
            if not self._closed:
                self._size -= len(chunk)
                self._less.wake()

    def _next_chunk(self) -> bytes:
        first = self._waiting.popleft()
        if not self._waiting or len(first) >= _CHUNK:
            return first
        pieces = [first]
        size = len(first)
        while self._waiting and size < _CHUNK:
            pieces.append(self._waiting.popleft())
            size += len(pieces[-1])
        return b"".join(pieces)
