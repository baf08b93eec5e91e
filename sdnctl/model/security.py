# SPDX-License-Identifier: Apache-2.0
"""Security groups: who may talk to a port, and whom a port may talk to.

Rules only allow. A port takes what any rule of any of its groups allows; a port without groups is not filtered at all,
one whose groups have no rules is shut. Directions are the port's: `egress` is what the workload sends.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from netaddr import IPNetwork

from sdnctl.model.ids import GroupKey


class Direction(enum.StrEnum):
    """Which way a rule looks, seen from the port."""

    EGRESS = "egress"
    """From the port."""
    INGRESS = "ingress"
    """To the port."""


class Established(enum.StrEnum):
    """What becomes of a rule's connections when it, or the port's membership, goes away."""

    CUT = "cut"
    """They end with it."""
    KEEP = "keep"
    """They live on until they end by themselves; new ones need a rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityRule:
    """One thing a group allows."""

    id: str
    direction: Direction
    version: int
    """4 or 6."""
    protocol: int | None = None
    """The IP protocol's number; None: every protocol. ICMP is 1 in version 4 and 58 in version 6."""
    port_min: int | None = None
    """First destination port; for ICMP the type. None: every port or type."""
    port_max: int | None = None
    """Last destination port; for ICMP the code, or None for every code."""
    remote_prefix: IPNetwork | None = None
    """The other end's addresses, of the rule's version. Of the three remotes at most one is set; none: anybody."""
    remote_group_id: str | None = None
    """The other end is a port in this security group."""
    remote_address_group_id: str | None = None
    """The other end's address is in this address group."""
    established: Established = Established.CUT


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityGroup:
    """A set of rules that ports can have."""

    id: str
    key: GroupKey
    project_id: str
    name: str
    stateful: bool = True
    """Replies to what is allowed pass by themselves."""
    rules: tuple[SecurityRule, ...] = ()
    """Sorted by id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressGroup:
    """A named set of prefixes, for rules to refer to."""

    id: str
    key: GroupKey
    """Of the same numbers as the keys of security groups: no two of either kind are equal."""
    project_id: str
    name: str
    addresses: tuple[IPNetwork, ...] = ()
    """Sorted, without host bits."""
