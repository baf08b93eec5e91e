# SPDX-License-Identifier: Apache-2.0
"""Ports: what a workload may be on the network."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from netaddr import EUI, IPAddress, IPNetwork

from sdnctl.model.filters import ALL, Filters
from sdnctl.model.ids import PortKey

NETWORK_OWNERS: Final = "network:"
"""`device_owner` of ports that belong to the network itself starts so."""
DHCP_OWNER: Final = "network:dhcp"
"""`device_owner` of the port whose address is the network's DHCP server: on every host at once, bound to none."""


class PortStatus(enum.StrEnum):
    """What REST shows as a port's `status`."""

    ACTIVE = "ACTIVE"
    """Bound, and its host's switch has confirmed all its flows."""
    DOWN = "DOWN"
    """Not bound, or administratively down, or its flows are not confirmed."""
    ERROR = "ERROR"
    """The switch refused its flows; the host's status says which and why."""


@dataclass(frozen=True, slots=True)
class FixedIP:
    """An address of a port, in one subnet of its network."""

    subnet_id: str
    address: IPAddress


@dataclass(frozen=True, slots=True)
class AddressPair:
    """A further (MAC, prefix) that a port may send from."""

    mac: EUI
    prefix: IPNetwork


@dataclass(frozen=True, slots=True)
class DhcpOption:
    """An `extra_dhcp_opts` entry: `name` is a dnsmasq-style name or an option number in digits."""

    name: str
    value: str
    version: int = 4


@dataclass(frozen=True, slots=True)
class Plug:
    """The wish that sdnctl itself makes the port's interface on a host (`PUT /v2.0/ports/{id}/plug`)."""

    host: str
    type: str
    """`internal`, `tap`, `dpdkvhostuserclient`, or `system` for a device that exists already."""
    interface: str
    """The interface's name, at most 15 characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A logical port."""

    id: str
    key: PortKey
    network_id: str
    project_id: str
    name: str
    mac: EUI
    fixed_ips: tuple[FixedIP, ...] = ()
    allowed_address_pairs: tuple[AddressPair, ...] = ()
    port_security_enabled: bool = True
    security_filters: Filters = ALL
    """What port security checks while it is enabled."""
    is_service_port: bool = False
    """Clients reach it where they are isolated from each other."""
    security_groups: tuple[str, ...] = ()
    """Ids of its groups, sorted. None: nothing is filtered."""
    qos_policy_id: str | None = None
    """None: its network's, if it has one."""
    admin_state_up: bool = True
    device_owner: str = ""
    dhcp_options: tuple[DhcpOption, ...] = ()
    dns_name: str = ""
    requested_host: str = ""
    """`binding:host_id`: when set, only that host may bind the port."""
    plug: Plug | None = None
    status: PortStatus = PortStatus.DOWN
    bound_host: str = ""
    """The host that held the binding when it was last recorded; decides between two claims after a restart."""

    @property
    def filters(self) -> Filters | None:
        """What is checked of the port's frames; None: nothing, port security is off."""
        return self.security_filters if self.port_security_enabled else None

    @property
    def is_open(self) -> bool:
        """There may be any MAC behind it."""
        return not (self.port_security_enabled and self.security_filters.mac)
