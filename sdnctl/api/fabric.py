# SPDX-License-Identifier: Apache-2.0
"""What the API asks of the part that carries things out on hosts. Without hosts, `NoFabric` answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from sdnctl.model.ids import Revision
from sdnctl.model.question import PacketQuestion


class Fabric(Protocol):
    """Carries out on hosts what the repository keeps."""

    def notify(self, revision: Revision) -> None:
        """There is something new in the journal, up to `revision`. Returns at once."""

    def wait_applied(self, revision: Revision, timeout_s: float) -> tuple[str, ...]:
        """Wait until every host that `revision` concerns has confirmed it; names of those that have not in time."""

    def host_status(self, name: str) -> Mapping[str, object]:
        """What is known of a host now. Its keys are read-only attributes of hosts."""

    def port_status(self, port_id: str) -> Mapping[str, object]:
        """What is known of a port now. Its keys are read-only attributes of ports."""

    def flows(self, name: str, view: str) -> Sequence[Mapping[str, object]]:
        """A host's desired or installed flows or their difference: `flow` is the text, the rest says whose it is."""

    def check(self, name: str) -> Mapping[str, object]:
        """What a host has and lacks: findings, and what its networks need."""

    def port_statistics(self, port_id: str) -> Mapping[str, object]:
        """What passed a port and what was dropped of it, read for this; UnavailableError if that cannot be."""

    def explain(self, what: str) -> Mapping[str, object]:
        """Whose the flow with this cookie, or of this text, is and what it does."""

    def explain_packet(self, question: PacketQuestion) -> Mapping[str, object]:
        """What becomes of a packet, on all hosts, and why."""


class NoFabric:
    """No hosts: nothing to wait for, nothing to show."""

    def notify(self, revision: Revision) -> None:
        pass

    def wait_applied(self, revision: Revision, timeout_s: float) -> tuple[str, ...]:
        return ()

    def host_status(self, name: str) -> Mapping[str, object]:
        return {}

    def port_status(self, port_id: str) -> Mapping[str, object]:
        return {"observed_ips": []}

    def flows(self, name: str, view: str) -> Sequence[Mapping[str, object]]:
        return ()

    def check(self, name: str) -> Mapping[str, object]:
        return {"host": name, "findings": [], "needs": {"tunnel_mtu": 0, "physical_mtu": {}}}

    def port_statistics(self, port_id: str) -> Mapping[str, object]:
        return {}

    def explain(self, what: str) -> Mapping[str, object]:
        return {}

    def explain_packet(self, question: PacketQuestion) -> Mapping[str, object]:
        return {}
