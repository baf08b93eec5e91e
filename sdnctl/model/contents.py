# SPDX-License-Identifier: Apache-2.0
"""What the store hands to whoever turns intent into flows: everything once, then what changed.

Revisions become visible in their own order, so a reader that asks for the changes after the last revision it has seen
misses none, whichever process wrote them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from netaddr import EUI

from sdnctl.model.host import Host
from sdnctl.model.ids import Revision
from sdnctl.model.ip_group import IpGroup
from sdnctl.model.network import Network, Subnet
from sdnctl.model.port import Port, PortStatus
from sdnctl.model.qos import QosPolicy
from sdnctl.model.security import AddressGroup, SecurityGroup
from sdnctl.model.statistics import SecurityEvent

Item = Network | Subnet | Port | Host | SecurityGroup | AddressGroup | IpGroup | QosPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """All intent at one revision."""

    revision: Revision
    networks: tuple[Network, ...] = ()
    subnets: tuple[Subnet, ...] = ()
    ports: tuple[Port, ...] = ()
    hosts: tuple[Host, ...] = ()
    security_groups: tuple[SecurityGroup, ...] = ()
    address_groups: tuple[AddressGroup, ...] = ()
    ip_groups: tuple[IpGroup, ...] = ()
    qos_policies: tuple[QosPolicy, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """One journal entry: this object was made, changed or deleted.

    A security group changes when one of its rules is made or deleted; ports of a group say so themselves.
    """

    revision: Revision
    kind: str
    id: str


class Source(Protocol):
    """The store, as the follower of the journal sees it."""

    def load(self) -> Contents:
        """Everything, at one revision."""

    def changes(self, after: Revision) -> tuple[Change, ...]:
        """The journal after a revision, oldest first; also kinds that have no `Item` (project, token, rule)."""

    def fetch(self, kind: str, ids: Iterable[str]) -> dict[str, Item]:
        """The objects of these ids that exist now."""

    def record_status(self, statuses: Mapping[str, tuple[PortStatus, str]]) -> None:
        """Remember each port's status and the name of the host it is bound to (or "")."""

    def move_holder(self, group_id: str, port_id: str | None, virtual_mac: EUI | None) -> Revision | None:
        """Let a member hold an IP group, or nobody; None, and nothing is written, if it may not or does already."""

    def load_events(self) -> Sequence[SecurityEvent]:
        """The last security event of each port and reason, oldest first."""

    def record_events(self, events: Sequence[SecurityEvent]) -> None:
        """Write security events, new and known ones; the oldest of too many go."""

    def on_commit(self, callback: Callable[[Revision], None]) -> None:
        """Have `callback` called after every write of this process; it must only wake somebody."""
