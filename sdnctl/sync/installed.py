# SPDX-License-Identifier: Apache-2.0
"""Tells whoever looks at a host's database which revision an interface's flows have (`sdnctl-installed`).

There is no hurry, and each write costs the host: it is done in batches, with a pause that grows with the host.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from sdnctl import runtime
from sdnctl.model.host import HostFacts
from sdnctl.model.ids import Revision

INSTALLED_S: Final = 0.5
INSTALLED_S_PER_INTERFACE: Final = 0.004
"""`external_ids:sdnctl-installed` is written in batches with this pause, and so much more for each interface of the
host: any change of an Interface row has ovs-vswitchd look at all of them again, in the userspace datapath at each of
them for each of them (160 ms for 1 000, 640 ms for 2 000), and for so long it wires no port."""


class Writer(Protocol):
    """A host's OVSDB session."""

    def set_installed(self, revisions: Mapping[str, int]) -> None: ...


class Installed:
    """Call `confirmed`, and `wake` when a host has confirmed all that was sent; the rest happens by itself."""

    def __init__(self, facts: Mapping[str, HostFacts], links: Mapping[str, Writer]) -> None:
        self._facts = facts
        self._links = links
        self._waiting: dict[str, dict[str, int]] = {}
        """host -> interface -> revision."""
        self._latch = runtime.Latch()
        self._task: runtime.Task | None = None

    def start(self) -> None:
        self._task = runtime.spawn(self._run)

    def stop(self) -> None:
        if self._task is not None:
            self._task.stop()

    def confirmed(self, host_id: str, interface: str, revision: Revision, *, is_new: bool) -> None:
        """The switch has confirmed an interface's flows. A restart of ours writes nothing to a host that is right."""
        known = self._facts[host_id].interfaces.get(interface)
        if known is not None and (is_new or not known.installed) and known.installed != str(revision):
            self._waiting.setdefault(host_id, {})[interface] = revision

    def forget_host(self, host_id: str) -> None:
        self._waiting.pop(host_id, None)

    def wake(self) -> None:
        if self._waiting:
            self._latch.wake()

    def _run(self) -> None:
        next_at: dict[str, float] = {}
        while True:
            self._latch.wait()
            runtime.sleep(INSTALLED_S)
            now = runtime.monotonic()
            for host_id in tuple(self._waiting):
                if now < next_at.get(host_id, 0.0):
                    self._latch.wake()
                    continue
                revisions = self._waiting.pop(host_id)
                if host_id in self._links and host_id in self._facts:
                    self._links[host_id].set_installed(revisions)
                    next_at[host_id] = now + INSTALLED_S_PER_INTERFACE * len(self._facts[host_id].interfaces)
