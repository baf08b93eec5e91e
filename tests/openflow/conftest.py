# SPDX-License-Identifier: Apache-2.0
"""Listeners for peers and switches, and what becomes of their connections."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sdnctl import runtime
from sdnctl.model.tls import Tls
from sdnctl.openflow import Connection, Limits, Listener
from tests.support.dummy_ovs import dummy_switches

WAIT_S = 20

switch = pytest.fixture(scope="module", name="switch")(dummy_switches)


@dataclass
class Reception:
    """A started listener, who came through the handshake, and why others did not."""

    listener: Listener
    arrived: runtime.Queue
    failures: runtime.Queue = field(default_factory=runtime.Queue)

    @property
    def target(self) -> str:
        return self.listener.targets[0]

    def arrival(self) -> Connection:
        return self.arrived.get(timeout=WAIT_S)

    def failure(self) -> str:
        """Why the next handshake failed."""
        return self.failures.get(timeout=WAIT_S)


Receive = Callable[..., Reception]


@pytest.fixture
def receive(tmp_path: Path) -> Iterator[Receive]:
    """`receive()` listens on TCP and a unix socket; `receive(Limits(...))` with other patience."""
    started: list[Reception] = []
    failures: runtime.Queue = runtime.Queue()

    class Failures(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "handshake failed":
                failures.put(str(record.sdnctl_fields["reason"]))

    handler = Failures()
    logger = logging.getLogger("sdnctl.openflow.listener")
    logger.addHandler(handler)

    def start(
        limits: Limits | None = None,
        targets: tuple[str, ...] = ("tcp:127.0.0.1:0", f"unix:{tmp_path}/of.sock"),
        tls: Tls | None = None,
        on_connection: Callable[[Connection], None] | None = None,
    ) -> Reception:
        arrived: runtime.Queue = runtime.Queue()
        listener = Listener(targets, tls, on_connection or arrived.put, limits)
        listener.start()
        reception = Reception(listener, arrived, failures)
        started.append(reception)
        return reception

    yield start
    for reception in started:
        reception.listener.stop()
        assert reception.listener.connections == ()
    logger.removeHandler(handler)


def closing(connection: Connection) -> Callable[[], str]:
    """Gives, once called, the reason for which `connection` ends."""
    reasons: runtime.Queue = runtime.Queue()
    connection.on_closed(reasons.put)
    return lambda: reasons.get(timeout=WAIT_S)
