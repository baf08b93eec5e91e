# SPDX-License-Identifier: Apache-2.0
"""One OVSDB remote: connected, lost, connected again, for all integration bridges that are kept there.

A host has a remote of its own, and then this is one host's connection. Where several bridges of one OVSDB are hosts, as
in Mininet, they share the connection and the replica: each for itself would read all the others' rows, which for 200
bridges is 40 000 bridges.

A remote is one task. A lost connection throws away all that was known, and the next one starts from nothing but the
wishes; so what was in flight is compared with what is there and never done twice.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, NoReturn, Protocol

import ovs.poller

from sdnctl import runtime
from sdnctl.errors import HostGoneError
from sdnctl.model.host import HostFacts
from sdnctl.model.tls import Tls
from sdnctl.ovsdb.idl import open_idl
from sdnctl.ovsdb.keeper import NEVER, Keeper, Wishes
from sdnctl.ovsdb.replica import Replica
from sdnctl.ovsdb.session import Session, connect

FIRST_BACKOFF_S: Final = 0.1
LAST_BACKOFF_S: Final = 1.0


class Link(Protocol):
    """One host whose bridge is kept by a remote."""

    wishes: Wishes
    serial: Callable[[], str]

    def report(self, facts: HostFacts | None, reason: str) -> None:
        """Its facts, or why there are none."""

    def expire(self, reason: str) -> None:
        """Facts that there were are not known to hold any more."""


class Remotes:
    """The remotes in use, each with the links that use it."""

    def __init__(self) -> None:
        self._remotes: dict[tuple[str, Tls | None], Remote] = {}

    def attach(self, link: Link, target: str, tls: Tls | None) -> Remote:
        """The remote at `target`, which from now on serves `link` too."""
        remote = self._remotes.get((target, tls))
        if remote is None:
            remote = self._remotes[target, tls] = Remote(target, tls)
        remote.attach(link)
        return remote

    def detach(self, link: Link, remote: Remote) -> None:
        """Serve `link` no more; a remote that serves nobody ends."""
        remote.detach(link)
        if not remote.links:
            self._remotes.pop((remote.target, remote.tls), None)
            remote.stop()


class Remote:
    """See above."""

    def __init__(self, target: str, tls: Tls | None) -> None:
        self.target = target
        self.tls = tls
        self.links: list[Link] = []
        self._keepers: dict[Link, Keeper] = {}
        self._session: Session | None = None
        self._latch = runtime.Latch()
        self._task = runtime.spawn(self._run)

    def stop(self) -> None:
        self._task.stop()

    def attach(self, link: Link) -> None:
        self.links.append(link)
        self._latch.wake()
        self.wake()

    def detach(self, link: Link) -> None:
        self.links.remove(link)
        keeper = self._keepers.pop(link, None)
        if keeper is not None:
            keeper.close()

    def keeper(self, link: Link) -> Keeper | None:
        """Who keeps the bridge of `link`; None while there is no connection."""
        return self._keepers.get(link)

    def wake(self) -> None:
        """There is something to do."""
        if self._session is not None:
            self._session.wake()

    # --- the task ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        backoff_s = FIRST_BACKOFF_S
        while True:
            for link in tuple(self.links):
                link.expire(f"{self.target}: connecting")
            try:
                replica = self._connect()
                backoff_s = FIRST_BACKOFF_S
                self._keep(replica)
            except HostGoneError as error:
                reason = str(error)
            except Exception as error:  # noqa: BLE001  (one host's trouble shows in its status and nowhere else)
                reason = f"{self.target}: {type(error).__name__}: {str(error)[:200]}"
            finally:
                self._close()
            for link in tuple(self.links):
                link.report(None, reason)
            self._latch.wait(backoff_s * random.uniform(0.7, 1.0))
            backoff_s = min(2 * backoff_s, LAST_BACKOFF_S)

    def _connect(self) -> Replica:
        """Connect, and read everything once."""
        self._session = connect(self.target, self.tls)
        replica = Replica(open_idl(self._session))
        while not replica.idl.is_complete:
            _sleep(replica, NEVER)
            replica.idl.run()
        return replica

    def _keep(self, replica: Replica) -> NoReturn:
        """Keep all bridges until HostGoneError."""
        while True:
            replica.idl.run()
            replica.refresh()
            for link in tuple(self.links):
                # While one waits for its transaction, others may be detached.
                if link in self.links:
                    keeper = self._keepers.get(link) or self._make_keeper(link, replica)
                    if keeper.due_at <= runtime.monotonic():
                        keeper.turn()
            due_at = min((keeper.due_at for keeper in self._keepers.values()), default=NEVER)
            if due_at > runtime.monotonic():
                _sleep(replica, due_at)

    def _make_keeper(self, link: Link, replica: Replica) -> Keeper:
        keeper = self._keepers[link] = Keeper(replica, link.wishes, link.serial, link.report, self.wake)
        return keeper

    def _close(self) -> None:
        self._keepers = {}
        if self._session is not None:
            session, self._session = self._session, None
            session.close()


def _sleep(replica: Replica, until: float) -> None:
    """Wait for something to come in, for `Session.wake`, or until then."""
    poller = ovs.poller.Poller()
    replica.idl.wait(poller)
    if until != NEVER:
        poller.timer_wait(max(1, round((until - runtime.monotonic()) * 1000)))
    poller.block()
