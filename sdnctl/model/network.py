# SPDX-License-Identifier: Apache-2.0
"""Networks and subnets, as far as the data plane and the responders need them."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from netaddr import IPAddress, IPNetwork

from sdnctl.model.ids import NetworkKey

VXLAN_OVERHEAD: Final = 50
"""Bytes that a tunnel over IPv4 adds to a frame's payload: its Ethernet, IP, UDP and VXLAN headers."""


class NetworkType(enum.StrEnum):
    """How frames of a network travel between hosts."""

    FLAT = "flat"
    """Untagged on a provider bridge."""
    VLAN = "vlan"
    """With an 802.1Q tag, the segmentation id, on a provider bridge."""
    VXLAN = "vxlan"
    """In VXLAN with the segmentation id as VNI."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One L2 domain."""

    id: str
    key: NetworkKey
    project_id: str
    name: str
    type: NetworkType
    physical_network: str | None
    segmentation_id: int | None
    mtu: int
    shared: bool = False
    external: bool = False
    admin_state_up: bool = True
    dns_domain: str = ""
    client_isolation: bool = False
    """Ports that are no service ports reach those only."""
    qos_policy_id: str | None = None
    """Of its ports that have none themselves, but for those of the network itself."""

    @property
    def is_ones_own(self) -> bool:
        """Nobody but its owner relies on who is who there."""
        return not (self.shared or self.external or self.type is NetworkType.FLAT)

    def __post_init__(self) -> None:
        if (self.physical_network is None) != (self.type is NetworkType.VXLAN):
            raise ValueError(f"network {self.id}: {self.type} and physical network {self.physical_network!r}")
        if (self.segmentation_id is None) != (self.type is NetworkType.FLAT):
            raise ValueError(f"network {self.id}: {self.type} and segmentation id {self.segmentation_id!r}")


@dataclass(frozen=True, slots=True)
class HostRoute:
    """A route told to guests by DHCP."""

    destination: IPNetwork
    nexthop: IPAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Subnet:
    """One address range of a network."""

    id: str
    network_id: str
    cidr: IPNetwork
    gateway_ip: IPAddress | None
    enable_dhcp: bool = True
    dns_nameservers: tuple[IPAddress, ...] = ()
    host_routes: tuple[HostRoute, ...] = ()

    @property
    def version(self) -> int:
        return int(self.cidr.version)
