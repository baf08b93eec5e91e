# SPDX-License-Identifier: Apache-2.0
"""Leases: what the DHCPv4 responder tells a port, as one value made from the model.

Nothing is handed out by DHCP itself. A port has its addresses from the moment it is created, and a lease says so: equal
models make equal leases, whichever controller answers and whenever, so there is no lease database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from netaddr import IPAddress

from sdnctl.model import dhcp_options
from sdnctl.model.network import Network, Subnet
from sdnctl.model.port import DhcpOption, Port


@dataclass(frozen=True, slots=True)
class Defaults:
    """What guests are told where neither network nor port says anything."""

    lease_time_s: int = 86400
    dns_domain: str = "internal"
    """A domain that DNS keeps free for private use."""
    dns_servers: tuple[IPAddress, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """A classless route."""

    destination: int
    prefix_length: int
    gateway: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Everything an answer to one port depends on. Addresses are plain integers, names have no dot at their end."""

    mac: int
    address: int
    prefix_length: int
    server_address: int
    server_mac: int
    gateway: int | None
    dns_servers: tuple[int, ...]
    domain: str
    search_domains: tuple[str, ...]
    hostname: str
    mtu: int
    time_s: int
    routes: tuple[Route, ...]
    """Those of the subnet, without the default route that follows from `gateway`."""
    options: tuple[DhcpOption, ...]
    """The port's `extra_dhcp_opts`; each replaces what would be sent otherwise."""


NO_DEFAULTS: Final = Defaults()


def lease_for(
    port: Port,
    network: Network,
    subnets: Mapping[str, Subnet],
    server: Port | None,
    defaults: Defaults = NO_DEFAULTS,
) -> Lease | None:
    """The lease of `port`: its first IPv4 address in a subnet where DHCP is on and `server` has an address."""
    if server is None:
        return None
    servers = {fixed.subnet_id: fixed.address for fixed in server.fixed_ips}
    for fixed in port.fixed_ips:
        subnet = subnets.get(fixed.subnet_id)
        if fixed.address.version != 4 or subnet is None or not subnet.enable_dhcp or subnet.id not in servers:
            continue
        domain = network.dns_domain.removesuffix(".") or defaults.dns_domain
        resolvers = subnet.dns_nameservers or defaults.dns_servers
        return Lease(
            mac=int(port.mac),
            address=int(fixed.address),
            prefix_length=int(subnet.cidr.prefixlen),
            server_address=int(servers[subnet.id]),
            server_mac=int(server.mac),
            gateway=int(subnet.gateway_ip) if subnet.gateway_ip is not None else None,
            dns_servers=tuple(int(resolver) for resolver in resolvers if resolver.version == 4),
            domain=domain,
            search_domains=(domain,) if _is_domain(domain) else (),
            hostname=port.dns_name or f"host-{str(fixed.address).replace('.', '-')}",
            mtu=network.mtu,
            time_s=defaults.lease_time_s,
            routes=tuple(
                Route(int(route.destination.first), int(route.destination.prefixlen), int(route.nexthop))
                for route in subnet.host_routes
                if route.destination.version == 4
            ),
            options=tuple(option for option in port.dhcp_options if option.version == 4),
        )
    return None


def _is_domain(name: str) -> bool:
    try:
        dhcp_options.domain(name)
    except ValueError:
        return False
    return True
