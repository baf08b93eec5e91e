# SPDX-License-Identifier: Apache-2.0
"""One host as its OVSDB has it: what we wish to be there, and what is there.

Rule 1. What is not ours (`goal.OWNED`) is never changed or removed.
Rule 2. Nothing of ours is removed before the wish that leaves it out has been stated.
Rule 3. `on_facts` runs on the task of the OVSDB's connection: it may only enqueue.

Wishes can be stated at any time, also while the host is away, and hold until others are stated. Changes reach
ovs-vswitchd through the database alone. Nobody waits for its `cur_cfg`, as `ovs-vsctl` does: what became of an
interface comes back as that interface's ofport or error, also when ovs-vswitchd was away meanwhile.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from sdnctl.model.host import Host, HostFacts, PlugSpec
from sdnctl.model.host_check import OvsdbSeen
from sdnctl.model.tls import Tls
from sdnctl.ovsdb.goal import Goal
from sdnctl.ovsdb.inspect import inspect
from sdnctl.ovsdb.keeper import Keeper, OnFacts, Wishes
from sdnctl.ovsdb.remote import Remote, Remotes


def new_serial() -> str:
    """31 characters that nobody can guess: what proves that an OpenFlow connection comes from this host's bridge."""
    return secrets.token_hex(16)[:31]


class HostLink:
    """Follows and keeps one host between `start` and `stop`.

    `on_facts(facts, "")` is called when anything in the facts changed, `on_facts(None, reason)` when they became
    unknown, or unknown for another reason. `tables` are the names that the bridge's OpenFlow tables get, by number.
    Links that are given the same `remotes` share the connection where they share the OVSDB.
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
        remotes: Remotes | None = None,
    ) -> None:
        self.wishes = Wishes(Goal(host, controllers, tables))
        self.serial = serial
        self._tls = tls
        self._on_facts = on_facts
        self._remotes = Remotes() if remotes is None else remotes
        self._remote: Remote | None = None
        self._has_facts = False
        self._reason = ""

    @property
    def host(self) -> Host:
        return self.wishes.goal.host

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._remote = self._remotes.attach(self, self.host.ovsdb, self._tls)

    def stop(self) -> None:
        """Follow the host no more, and call `on_facts` no more. What stands on the host stays as it is."""
        remote, self._remote = self._remote, None
        if remote is not None:
            self._remotes.detach(self, remote)

    def configure(self, host: Host, controllers: tuple[str, ...]) -> None:
        """Replace the host's description; what differs is brought to the host."""
        old = self.host
        self.wishes.goal = replace(self.wishes.goal, host=host, controllers=controllers)
        if (old.ovsdb, old.bridge) == (host.ovsdb, host.bridge):
            if (keeper := self._keeper()) is not None:
                keeper.configure()
        elif self._remote is not None:
            self.stop()
            self.start()

    def want(self, plugs: Mapping[str, PlugSpec]) -> None:
        """State all interfaces that we should make on this host, by interface name.

        Others that we made are removed; before the first call none is.
        """
        old, self.wishes.plugs = self.wishes.plugs, dict(plugs)
        if (keeper := self._keeper()) is not None:
            keeper.want(old, self.wishes.plugs)

    def set_installed(self, revisions: Mapping[str, int]) -> None:
        """Write `external_ids:sdnctl-installed` of interfaces by name.

        Passed over are those that are not there, and all while the host is away: what was confirmed before a loss
        need not hold after it. `Interface.installed` in the next facts tells what is written.
        """
        if (keeper := self._keeper()) is not None:
            keeper.set_installed(revisions)

    def inspect(self) -> OvsdbSeen:
        """Ask the database anew, over a connection of its own; HostGoneError when it does not answer."""
        return inspect(self.host.ovsdb, self._tls)

    def report(self, facts: HostFacts | None, reason: str) -> None:
        """What the connection has to say; the same reason is passed on once."""
        if self._remote is None or (facts is None and not self._has_facts and reason == self._reason):
            return
        self._has_facts = facts is not None
        self._reason = reason
        self._on_facts(facts, reason)

    def expire(self, reason: str) -> None:
        """What we know comes from another place than where the host is now."""
        if self._has_facts:
            self.report(None, reason)

    def _keeper(self) -> Keeper | None:
        return None if self._remote is None else self._remote.keeper(self)
