# SPDX-License-Identifier: Apache-2.0
"""The cooperative hub: tasks, waiting, queues. The only module that imports eventlet.

`install()` has to run before anything imports os_ken, ovs or sqlalchemy, because it patches the standard library.
Nothing may compute for longer than a few milliseconds without giving way: wrap long loops in `in_slices`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeVar

os.environ["OSKEN_HUB_TYPE"] = "eventlet"

import eventlet  # noqa: E402  (the hub type is chosen before any import that could ask for it)
import eventlet.event  # noqa: E402
import eventlet.queue  # noqa: E402
import eventlet.semaphore  # noqa: E402

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
            return True
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
