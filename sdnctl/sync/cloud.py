# SPDX-License-Identifier: Apache-2.0
"""All that is known of the cloud at this moment, indexed so that a change finds what it touches.

Data only. `world.py` writes it, save who is bound where, which `bindings.py` decides, and where security groups are
used, which `groups.py` keeps; `views.py` reads it. Hosts, networks, subnets, ports and groups are known by their UUID
here. A port is *served* when it is bound to a host and both it and its network are administratively up: only served
ports have flows.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

from sdnctl.apps import leases
from sdnctl.model.host import Host, HostFacts
from sdnctl.model.ids import Ofport
from sdnctl.model.ip_group import IpGroup
from sdnctl.model.network import Network, Subnet
from sdnctl.model.port import Port
from sdnctl.model.qos import QosPolicy
from sdnctl.model.security import AddressGroup, Direction, SecurityGroup


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a port is plugged."""

    host_id: str
    interface: str
    ofport: Ofport | None
    """None: presumed, the host has not been read since we started."""


class Use(NamedTuple):
    """How a rule asks who is in a remote group."""

    direction: Direction
    version: int
    keeps: bool


@dataclass(slots=True)
class NetworkIndex:
    """What is served in one network."""

    present: dict[str, dict[str, Binding]] = field(default_factory=dict)
    """host -> served ports bound there. A host without any is not in here."""
    chunks: dict[str, dict[int, dict[Ofport, str]]] = field(default_factory=dict)
    """host -> chunk number -> ofport -> port. Ofports may change hands one by one, so whose it is has to be known."""
    known: set[str] = field(default_factory=set)
    """Ports with addresses that are answered for."""
    stations: dict[int, set[str]] = field(default_factory=dict)
    """MAC -> the served ports that may use it."""
    open_ports: set[str] = field(default_factory=set)
    """Served ports whose MAC filter is off."""
    users: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    """host -> security group -> the ports with an ofport there that have it."""
    members: dict[str, set[str]] = field(default_factory=dict)
    """security group -> served ports that have it."""
    addresses: dict[int, set[str]] = field(default_factory=dict)
    """Packed prefix -> the members of whatever group that use it."""
    wanted: dict[str, dict[str, frozenset[Use]]] = field(default_factory=dict)
    """host -> security group -> how rules of the host's ports ask for that group's members."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What the indexes hold for one port; unindexing needs no more than this."""

    network_id: str
    binding: Binding | None
    macs: tuple[int, ...]
    is_open: bool
    groups: tuple[str, ...] = ()
    """Security groups that filter it."""
    member_of: tuple[str, ...] = ()
    """Security groups whose rules mean it: those, and those of its IP groups with VRRP even if nothing filters it."""
    addresses: tuple[int, ...] = ()
    """What it uses as a member of them, packed."""


@dataclass(slots=True)
class Cloud:
    """See the module's docstring."""

    defaults: leases.Defaults
    hosts: dict[str, Host] = field(default_factory=dict)
    networks: dict[str, Network] = field(default_factory=dict)
    subnets: dict[str, Subnet] = field(default_factory=dict)
    ports: dict[str, Port] = field(default_factory=dict)
    groups: dict[str, SecurityGroup] = field(default_factory=dict)
    address_groups: dict[str, AddressGroup] = field(default_factory=dict)
    ip_groups: dict[str, IpGroup] = field(default_factory=dict)
    qos_policies: dict[str, QosPolicy] = field(default_factory=dict)
    facts: dict[str, HostFacts] = field(default_factory=dict)
    """What each host's OVSDB said last."""
    bindings: dict[str, Binding] = field(default_factory=dict)
    """port -> where it is plugged, whether it is served or not."""
    subnets_of: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    servers: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """network -> ports of device_owner network:dhcp."""
    service_macs: dict[str, dict[int, set[str]]] = field(default_factory=lambda: defaultdict(dict))
    """network -> MAC -> the service ports that may use it, bound or not."""
    indexes: dict[str, NetworkIndex] = field(default_factory=lambda: defaultdict(NetworkIndex))
    served: dict[str, Served] = field(default_factory=dict)
    """port -> what the indexes hold for it."""
    networks_on: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """host -> networks with a served port there."""
    at_ofport: dict[str, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    """host -> ofport -> served port."""
    used_on: dict[str, dict[str, set[str]]] = field(default_factory=lambda: defaultdict(dict))
    """security group -> host -> networks in which a port there has it."""
    ip_groups_in: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """network -> its IP groups."""
    ip_groups_of: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """port -> the IP groups it is a member of."""
    virtual: dict[tuple[str, int], set[str]] = field(default_factory=lambda: defaultdict(set))
    """network and virtual MAC -> the IP groups whose holder announced it."""
    leases: dict[str, leases.Lease | None] = field(default_factory=dict)
    """port -> what `views.lease` found."""
