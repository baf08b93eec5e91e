# SPDX-License-Identifier: Apache-2.0
"""Where security groups are used, and whose addresses their rules ask for.

A host has a group's flows while a port with an ofport there has the group (`used_on`), and in each network the
addresses of those whom rules of its ports name (`wanted`). This writes these indexes of the cloud and names the units
that each change touches; which ports are served, and so are members, decides `world.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sdnctl.model.security import Established, SecurityGroup
from sdnctl.sync.cloud import Cloud, Use
from sdnctl.sync.indexes import drop, enter
from sdnctl.sync.units import Unit, UnitKind


class Groups:
    """`mark(host_id, unit)` is called for each unit that may have another view now."""

    def __init__(self, cloud: Cloud, mark: Callable[[str, Unit], None]) -> None:
        self._cloud = cloud
        self._mark = mark
        self._wants: dict[str, frozenset[tuple[str, Use]]] = {}
        """security group -> which remote groups its rules ask for, and how."""
        self._named_by: dict[str, set[str]] = {}
        """security or address group -> the security groups whose rules name it."""
        self._ports_with: dict[str, set[str]] = {}
        """security group -> ports that have it, served or not."""

    def port_has(self, port_id: str, groups: Iterable[str], *, instead_of: Iterable[str]) -> None:
        """A port, served or not, has these groups and no more those that it had."""
        for group_id in instead_of:
            drop(self._ports_with, group_id, port_id)
        for group_id in groups:
            enter(self._ports_with, group_id, port_id)

    def ports_with(self, group_id: str) -> Iterable[str]:
        """The ports that have the group, served or not."""
        return self._ports_with.get(group_id, ())

    # --- rules --------------------------------------------------------------------------------------------------

    def rules_changed(self, old: SecurityGroup | None, new: SecurityGroup | None) -> None:
        """Rules of a group came or went: its own flows, and whose members they ask for."""
        group_id = (new or old).id  # type: ignore[union-attr]  # one of the two is given
        for remote_id in _named(old):
            drop(self._named_by, remote_id, group_id)
        for remote_id in _named(new):
            enter(self._named_by, remote_id, group_id)
        wants = frozenset(
            (rule.remote_group_id, Use(rule.direction, rule.version, rule.established is Established.KEEP))
            for rule in (new.rules if new else ())
            if rule.remote_group_id
        )
        had = self._wants.pop(group_id, frozenset())
        if wants:
            self._wants[group_id] = wants
        self._group_changed(group_id)
        if had != wants:
            for host_id, networks in self._cloud.used_on.get(group_id, {}).items():
                for network_id in networks:
                    self.update_wanted(host_id, network_id)

    def remote_changed(self, remote_id: str) -> None:
        """What rules name is another thing now."""
        for group_id in self._named_by.get(remote_id, ()):
            self._group_changed(group_id)

    def _group_changed(self, group_id: str) -> None:
        for host_id in self._cloud.used_on.get(group_id, ()):
            self._mark(host_id, Unit(UnitKind.GROUP, group_id))

    # --- where --------------------------------------------------------------------------------------------------

    def use(self, host_id: str, network_id: str, group_id: str, port_id: str) -> None:
        """A port with an ofport has a group."""
        enter(self._cloud.indexes[network_id].users.setdefault(host_id, {}), group_id, port_id)
        hosts = self._cloud.used_on[group_id]
        if host_id not in hosts:
            self._mark(host_id, Unit(UnitKind.GROUP, group_id))
        enter(hosts, host_id, network_id)

    def unuse(self, host_id: str, network_id: str, group_id: str, port_id: str) -> None:
        """A port with an ofport has a group no more."""
        index, hosts = self._cloud.indexes[network_id], self._cloud.used_on[group_id]
        users = index.users[host_id]
        drop(users, group_id, port_id)
        if group_id in users:
            return
        if not users:
            del index.users[host_id]
        drop(hosts, host_id, network_id)
        if host_id not in hosts:
            self._mark(host_id, Unit(UnitKind.GROUP, group_id))
        if not hosts:
            del self._cloud.used_on[group_id]

    def update_wanted(self, host_id: str, network_id: str) -> None:
        """Which groups' members rules of a host's ports ask for, in one of its networks."""
        index = self._cloud.indexes[network_id]
        uses: dict[str, set[Use]] = {}
        for group_id in index.users.get(host_id, ()):
            for remote_id, use in self._wants.get(group_id, ()):
                uses.setdefault(remote_id, set()).add(use)
        new = {remote_id: frozenset(some) for remote_id, some in uses.items()}
        old = index.wanted.get(host_id, {})
        if new == old:
            return
        if new:
            index.wanted[host_id] = new
        else:
            del index.wanted[host_id]
        for remote_id in old.keys() | new.keys():
            if old.get(remote_id) != new.get(remote_id):
                for port_id in index.members.get(remote_id, ()):
                    for number in self._cloud.served[port_id].addresses:
                        self._mark(host_id, Unit(UnitKind.MEMBER, network_id, number))


def _named(group: SecurityGroup | None) -> set[str]:
    """The security and address groups that a group's rules name."""
    found = ((rule.remote_group_id or rule.remote_address_group_id) for rule in (group.rules if group else ()))
    return {remote_id for remote_id in found if remote_id}
