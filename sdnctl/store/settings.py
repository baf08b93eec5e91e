# SPDX-License-Identifier: Apache-2.0
"""What an operator decides about networks: which segments, sizes and names the store may hand out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sdnctl.model.network import VXLAN_OVERHEAD

Ranges = tuple[tuple[int, int], ...]
"""(first, last) pairs, both included."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Options of the store."""

    tenant_network_types: tuple[str, ...] = ("vxlan",)
    """Types for networks made without `provider:network_type`, tried in this order until one has a free segment."""
    vni_ranges: Ranges = ((1, 0xFFFFFF),)
    vlan_ranges: Mapping[str, Ranges] = field(default_factory=dict)
    """VLAN ids to allocate from, by physical network."""
    flat_physnets: tuple[str, ...] = ("*",)
    """Physical networks that may carry a flat network; `*`: every one that is known."""
    underlay_mtu: int = 1500
    """MTU of the network between the tunnel endpoints."""
    physnet_mtu: Mapping[str, int] = field(default_factory=dict)
    """MTU by physical network, where it is not `default_physnet_mtu`."""
    default_physnet_mtu: int = 1500
    mac_oui: str = "fa:16:3e"
    dns_domain: str = "sdnctl.internal"
    """Domain of ports in networks that have none of their own."""
    quotas: Mapping[str, int] = field(default_factory=dict)
    """How many objects of a kind a project may have; -1 or not named: any number."""
    max_dns_nameservers: int = 5
    max_host_routes: int = 20
    max_allowed_address_pairs: int = 10
    max_fixed_ips: int = 64
    max_tags: int = 256

    def mtu_of(self, network_type: str, physical_network: str | None) -> int:
        """The largest MTU guests of such a network can use."""
        if physical_network is None:
            return self.underlay_mtu - VXLAN_OVERHEAD
        return self.physnet_mtu.get(physical_network, self.default_physnet_mtu)
