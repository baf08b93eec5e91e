# SPDX-License-Identifier: Apache-2.0
"""One host's OVSDB: connected, lost, connected again.

Rule 1. What is not ours (`goal.OWNED`) is never changed or removed.
Rule 2. Nothing of ours is removed before the wish that leaves it out has been stated.
Rule 3. `on_facts` runs on the link's own task: it may only enqueue.

A link is one task, and a host is one connection of its own. A lost connection throws away all that was known of the
host, and the next one starts from nothing but the wishes; so what was in flight is compared with what is there and
never done twice.

Changes reach ovs-vswitchd through the database alone. Nobody waits for its `cur_cfg`, as `ovs-vsctl` does: what became
of an interface comes back as that interface's ofport or error, also when ovs-vswitchd was away meanwhile.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from sdnctl import runtime
from sdnctl.errors import HostGoneError
from sdnctl.model.host import Host, HostFacts, PlugSpec
from sdnctl.model.tls import Tls
from sdnctl.ovsdb.goal import Goal
from sdnctl.ovsdb.keeper import Keeper, OnFacts, Wishes
from sdnctl.ovsdb.replica import open_replica
from sdnctl.ovsdb.session import Session, connect

FIRST_BACKOFF_S: Final = 0.1
LAST_BACKOFF_S: Final = 1.0


def new_serial() -> str:
    """31 characters that nobody can guess: what proves that an OpenFlow connection comes from this host's bridge."""
    return secrets.token_hex(16)[:31]


class HostLink:
    """The connection to one host's OVSDB, kept up by itself between `start` and `stop`.

    `on_facts(facts, "")` is called when anything in the facts changed, `on_facts(None, reason)` when they became
    unknown, or unknown for another reason. `tables` are the names that the bridge's OpenFlow tables get, by number.
    """

    def __init__(
        self,
        host: Host,
        controllers: tuple[str, ...],
        tls: Tls | None,
        on_facts: OnFacts,
        *,
        tables: Mapping[int, str] = MappingProxyType({}),
        serial: Callable[[], str] = new_serial,
    ) -> None:
        self._wishes = Wishes(Goal(host, controllers, tables))
        self._tls = tls
        self._on_facts = on_facts
        self._serial = serial
        self._is_stopped = False
        self._task: runtime.Task | None = None
        self._latch = runtime.Latch()
        self._session: Session | None = None
        self._keeper: Keeper | None = None
        self._has_facts = False
        self._reason = ""

    @property
    def host(self) -> Host:
        return self._wishes.goal.host

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._task = runtime.spawn(self._run)

    def stop(self) -> None:
        """Close the connection and call `on_facts` no more. What stands on the host stays as it is."""
        self._is_stopped = True
        if self._task is not None:
            self._task.stop()

    def configure(self, host: Host, controllers: tuple[str, ...]) -> None:
        """Replace the host's description; what differs is brought to the host."""
        was_at = self._place()
        self._wishes.goal = replace(self._wishes.goal, host=host, controllers=controllers)
        if self._place() != was_at:
            self._latch.wake()
            if self._session is not None:
                self._session.drop("the host was configured to be elsewhere")
        elif self._keeper is not None:
            self._keeper.configure()

    def want(self, plugs: Mapping[str, PlugSpec]) -> None:
        """State all interfaces that we should make on this host, by interface name.

        Others that we made are removed; before the first call none is.
        """
        old, self._wishes.plugs = self._wishes.plugs, dict(plugs)
        if self._keeper is not None:
            self._keeper.want(old, self._wishes.plugs)

    def set_installed(self, revisions: Mapping[str, int]) -> None:
        """Write `external_ids:sdnctl-installed` of interfaces by name.

        Passed over are those that are not there, and all while the host is away: what was confirmed before a loss
        need not hold after it. `Interface.installed` in the next facts tells what is written.
        """
        if self._keeper is not None:
            self._keeper.set_installed(revisions)

    # --- the task ---------------------------------------------------------------------------------------------

    def _place(self) -> tuple[str, str]:
        """Where we are connected to; a change needs a new connection."""
        return self.host.ovsdb, self.host.bridge

    def _run(self) -> None:
        backoff_s = FIRST_BACKOFF_S
        while True:
            self._has_facts = False
            try:
                self._connect_and_keep()
            except HostGoneError as error:
                reason = str(error)
            except Exception as error:  # noqa: BLE001  (one host's trouble shows in its status and nowhere else)
                reason = f"{self.host.ovsdb}: {type(error).__name__}: {str(error)[:200]}"
            if self._has_facts:
                backoff_s = FIRST_BACKOFF_S
            self._report(None, reason)
            self._latch.wait(backoff_s * random.uniform(0.7, 1.0))
            backoff_s = min(2 * backoff_s, LAST_BACKOFF_S)

    def _connect_and_keep(self) -> None:
        place = self._place()
        self._session = connect(self.host.ovsdb, self._tls)
        try:
            replica = open_replica(self._session, self.host.bridge)
            if self._place() != place:
                raise HostGoneError(f"{self._session.target}: the host was configured to be elsewhere")
            self._keeper = Keeper(self._session, replica, self._wishes, self._serial, self._report)
            self._keeper.run()
        finally:
            self._keeper = None
            self._session.close()
            self._session = None

    def _report(self, facts: HostFacts | None, reason: str) -> None:
        if self._is_stopped or (facts is None and not self._has_facts and reason == self._reason):
            return
        self._has_facts = facts is not None
        self._reason = reason
        self._on_facts(facts, reason)
