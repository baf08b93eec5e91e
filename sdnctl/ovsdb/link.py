# SPDX-License-Identifier: Apache-2.0
"""One host's OVSDB: follow what is there, and keep what should be there.

Rule 1. What is not ours (`goal.OWNED`) is never changed or removed.
Rule 2. Nothing of ours is removed before the wish that leaves it out has been stated.
Rule 3. `on_facts` runs on the link's own task: it may only enqueue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sdnctl.model.host import Host, HostFacts
from sdnctl.ovsdb.goal import PlugSpec
from sdnctl.tls import Tls


class HostLink:
    """The connection to one host's OVSDB, kept up by itself between `start` and `stop`.

    `on_facts(facts, "")` is called when anything in the facts changed, `on_facts(None, reason)` when they became
    unknown.
    """

    def __init__(
        self,
        host: Host,
        controllers: tuple[str, ...],
        tls: Tls | None,
        on_facts: Callable[[HostFacts | None, str], None],
    ) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Begin to connect; returns at once."""
        raise NotImplementedError

    def stop(self) -> None:
        """Close the connection and call `on_facts` no more. What stands on the host stays as it is."""
        raise NotImplementedError

    def configure(self, host: Host, controllers: tuple[str, ...]) -> None:
        """Replace the host's description; what differs is brought to the host."""
        raise NotImplementedError

    def want(self, plugs: Mapping[str, PlugSpec]) -> None:
        """State all interfaces that we should make on this host, by interface name.

        Others that we made are removed; before the first call none is.
        """
        raise NotImplementedError

    def set_installed(self, revisions: Mapping[str, int]) -> None:
        """Write `external_ids:sdnctl-installed` of interfaces by name; those that are not there are passed over."""
        raise NotImplementedError
