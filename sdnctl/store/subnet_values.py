# SPDX-License-Identifier: Apache-2.0
"""The attributes of a subnet: checked against each other, with their defaults, as column values. No database here."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Final

from netaddr import IPAddress, IPNetwork

from sdnctl.errors import ConflictError, InvalidError
from sdnctl.model.request import Object
from sdnctl.store import ranges
from sdnctl.store.bodies import list_of, number_of, text_of
from sdnctl.store.settings import Settings
from sdnctl.store.space import AUTOMATIC

CHANGED: Final = frozenset(
    {
        "name",
        "description",
        "gateway_ip",
        "allocation_pools",
        "enable_dhcp",
        "dns_nameservers",
        "host_routes",
        "service_types",
    }
)
CREATED: Final = frozenset(
    {*CHANGED, "ip_version", "cidr", "ipv6_ra_mode", "ipv6_address_mode", "subnetpool_id", "prefixlen"}
)

_MODES: Final = frozenset({"dhcpv6-stateful", *AUTOMATIC})
_AUTOMATIC_PREFIX: Final = 64
_LONGEST_WITH_DHCP: Final[Mapping[int, int]] = {4: 30, 6: 126}


def new(settings: Settings, body: Mapping[str, object], others: Sequence[tuple[str, IPNetwork]]) -> dict[str, object]:
    """The columns of a new subnet beside those (ids and ranges) that its network has."""
    network = _range(body, others)
    version = network.version
    gateway = _gateway(network, body["gateway_ip"]) if "gateway_ip" in body else ranges.default_gateway(network)
    enable_dhcp = body.get("enable_dhcp", True) is not False
    modes = {name: text_of(body, name) for name in ("ipv6_ra_mode", "ipv6_address_mode")}
    _check_modes(network, enable_dhcp=enable_dhcp, modes=modes)
    _check_dhcp(network, enable_dhcp=enable_dhcp)
    if body.get("allocation_pools") is None:
        pools = ranges.default_pools(network, gateway)
    else:
        pools = _pools(network, list_of(body, "allocation_pools"))
    _check_gateway(network, gateway, pools)
    return {
        "ip_version": version,
        "cidr": str(network),
        "gateway_ip": None if gateway is None else str(gateway),
        "enable_dhcp": enable_dhcp,
        "allocation_pools": _shown_pools(pools, version),
        "dns_nameservers": _name_servers(settings, list_of(body, "dns_nameservers")),
        "host_routes": _routes(settings, network, list_of(body, "host_routes")),
        "service_types": list_of(body, "service_types"),
        **modes,
    }


def changed(settings: Settings, subnet: Object, changes: Mapping[str, object]) -> dict[str, object]:
    """The columns that `changes` change. `subnet` is what the subnet is now."""
    network = IPNetwork(str(subnet["cidr"]))
    values: dict[str, object] = {name: changes[name] for name in ("name", "description") if name in changes}
    if "enable_dhcp" in changes:
        values["enable_dhcp"] = enable_dhcp = changes["enable_dhcp"] is not False
        modes = {name: text_of(subnet, name) for name in ("ipv6_ra_mode", "ipv6_address_mode")}
        _check_modes(network, enable_dhcp=enable_dhcp, modes=modes)
        _check_dhcp(network, enable_dhcp=enable_dhcp)
    if {"gateway_ip", "allocation_pools"} & set(changes):
        gateway = _gateway(network, changes.get("gateway_ip", subnet["gateway_ip"]))
        pools = _pools(network, list_of(changes if "allocation_pools" in changes else subnet, "allocation_pools"))
        _check_gateway(network, gateway, pools)
        values["gateway_ip"] = None if gateway is None else str(gateway)
        values["allocation_pools"] = _shown_pools(pools, network.version)
    if "dns_nameservers" in changes:
        values["dns_nameservers"] = _name_servers(settings, list_of(changes, "dns_nameservers"))
    if "host_routes" in changes:
        values["host_routes"] = _routes(settings, network, list_of(changes, "host_routes"))
    if "service_types" in changes:
        values["service_types"] = list_of(changes, "service_types")
    return values


def _range(body: Mapping[str, object], others: Sequence[tuple[str, IPNetwork]]) -> IPNetwork:
    if body.get("subnetpool_id") is not None or body.get("prefixlen") is not None:
        raise InvalidError("subnetpool_id, prefixlen: there are no subnet pools; give a cidr.", kind="HTTPBadRequest")
    if body.get("cidr") is None:
        raise InvalidError("cidr is required; write it like 10.0.0.0/24.", kind="HTTPBadRequest")
    network = ranges.parse_network(body["cidr"], "cidr")
    version = number_of(body, "ip_version")
    if version is not None and version != network.version:
        raise InvalidError(f"cidr: {network} is not IPv{version}; give ip_version {network.version}.")
    _refuse_special(network)
    for other_id, other in others:
        if other.version == network.version and other.first <= network.last and network.first <= other.last:
            raise InvalidError(
                f"cidr: {network} overlaps with {other} of subnet {other_id} in the same network; choose another range."
            )
    return network


def _refuse_special(network: IPNetwork) -> None:
    if network.prefixlen == 0:
        raise InvalidError(f"cidr: {network} is all addresses; give a longer prefix.")
    for name, is_so in (
        ("multicast", network.ip.is_multicast()),
        ("loopback", network.ip.is_loopback()),
        ("link-local", network.version == 6 and network.ip.is_link_local()),
        ("unspecified", network.first == 0),
    ):
        if is_so:
            raise InvalidError(f"cidr: {network} is a {name} range, which no subnet can be; choose another.")


def _gateway(network: IPNetwork, value: object) -> IPAddress | None:
    """The gateway that was asked for; None: there shall be none."""
    if value is None:
        return None
    gateway = ranges.parse_address(value, "gateway_ip")
    if gateway.version != network.version:
        raise InvalidError(f"gateway_ip: {gateway} is not IPv{network.version} like {network}; give one that is.")
    if gateway.is_multicast() or gateway.is_loopback() or int(gateway) == 0:
        raise InvalidError(f"gateway_ip: {gateway} is no station's address; choose another.")
    ends = {network.first, network.last}
    if network.version == 4 and not ranges.is_point_to_point(network) and int(gateway) in ends:
        raise InvalidError(f"gateway_ip: {gateway} is the network or broadcast address of {network}; choose another.")
    return gateway


def _check_gateway(network: IPNetwork, gateway: IPAddress | None, pools: Sequence[ranges.Range]) -> None:
    if gateway is None:
        return
    for first, last in pools:
        if first <= int(gateway) <= last:
            start, end = (ranges.address_text(value, network.version) for value in (first, last))
            raise ConflictError(
                f"Gateway ip {gateway} conflicts with allocation pool {start}-{end}: take it out of the pool.",
                kind="GatewayConflictWithAllocationPools",
            )


def _check_modes(network: IPNetwork, *, enable_dhcp: bool, modes: Mapping[str, str | None]) -> None:
    given = {name: mode for name, mode in modes.items() if mode is not None}
    if not given:
        return
    names = " and ".join(given)
    if network.version != 6:
        raise InvalidError(f"{names}: an IPv4 subnet has no such mode; leave it out.")
    for name, mode in given.items():
        if mode not in _MODES:
            raise InvalidError(f"{name}: {mode!r} is unknown; use {', '.join(sorted(_MODES))}.")
    if not enable_dhcp:
        raise InvalidError(f"{names}: not possible with enable_dhcp false; enable DHCP, or leave the mode out.")
    if len(set(given.values())) > 1:
        raise InvalidError(
            f"ipv6_ra_mode {modes['ipv6_ra_mode']} and ipv6_address_mode {modes['ipv6_address_mode']} differ; "
            "give the same, or only one."
        )
    if AUTOMATIC & set(given.values()) and network.prefixlen != _AUTOMATIC_PREFIX:
        raise InvalidError(
            f"cidr: {network} must be a /{_AUTOMATIC_PREFIX}, because with {names} {next(iter(given.values()))} "
            "stations choose 64 bits of their addresses themselves."
        )


def _check_dhcp(network: IPNetwork, *, enable_dhcp: bool) -> None:
    longest = _LONGEST_WITH_DHCP[network.version]
    if enable_dhcp and network.prefixlen > longest:
        raise InvalidError(
            f"cidr: {network} is too small for DHCP; give a /{longest} or larger, or set enable_dhcp to false."
        )


def _pools(network: IPNetwork, wishes: Sequence[Mapping[str, object]]) -> tuple[ranges.Range, ...]:
    """The pools that were asked for, sorted."""
    first_usable, last_usable = ranges.usable(network)
    pools = []
    for number, wish in enumerate(wishes):
        where = f"allocation_pools[{number}]"
        start = ranges.parse_address(wish.get("start"), f"{where}.start")
        end = ranges.parse_address(wish.get("end"), f"{where}.end")
        if start.version != network.version or end.version != network.version:
            raise InvalidError(f"{where}: {start}-{end} is not IPv{network.version}.", kind="InvalidAllocationPool")
        if start > end:
            raise InvalidError(f"{where}: {start} is after {end}; exchange them.", kind="InvalidAllocationPool")
        if int(start) < first_usable or int(end) > last_usable:
            lowest, highest = (ranges.address_text(value, network.version) for value in (first_usable, last_usable))
            raise InvalidError(
                f"{where}: {start}-{end} is not inside {network}; stay within {lowest} and {highest}.",
                kind="OutOfBoundsAllocationPool",
            )
        pools.append((int(start), int(end)))
    pools.sort()
    for (_, previous), (following, _) in itertools.pairwise(pools):
        if following <= previous:
            raise ConflictError(
                f"allocation_pools: two of them have {ranges.address_text(following, network.version)}; "
                "make them disjoint.",
                kind="OverlappingAllocationPools",
            )
    return tuple(pools)


def _shown_pools(pools: Sequence[ranges.Range], version: int) -> list[dict[str, str]]:
    return [
        {"start": ranges.address_text(first, version), "end": ranges.address_text(last, version)}
        for first, last in pools
    ]


def _name_servers(settings: Settings, wishes: Sequence[object]) -> list[str]:
    servers = [str(ranges.parse_address(wish, f"dns_nameservers[{number}]")) for number, wish in enumerate(wishes)]
    if len(servers) > settings.max_dns_nameservers:
        raise InvalidError(
            f"dns_nameservers: {len(servers)} are too many; a subnet has at most {settings.max_dns_nameservers}.",
            kind="DNSNameServersExhausted",
        )
    if len(set(servers)) < len(servers):
        raise InvalidError("dns_nameservers: one stands there twice; name each once.")
    return servers


def _routes(settings: Settings, network: IPNetwork, wishes: Sequence[Mapping[str, object]]) -> list[dict[str, str]]:
    if len(wishes) > settings.max_host_routes:
        raise InvalidError(
            f"host_routes: {len(wishes)} are too many; a subnet has at most {settings.max_host_routes}.",
            kind="HostRoutesExhausted",
        )
    routes: list[dict[str, str]] = []
    for number, wish in enumerate(wishes):
        where = f"host_routes[{number}]"
        destination = ranges.parse_network(wish.get("destination"), f"{where}.destination")
        nexthop = ranges.parse_address(wish.get("nexthop"), f"{where}.nexthop")
        if destination.version != network.version or nexthop.version != network.version:
            raise InvalidError(f"{where}: {destination} via {nexthop} is not IPv{network.version} like the subnet.")
        route = {"destination": str(destination), "nexthop": str(nexthop)}
        if route in routes:
            raise InvalidError(f"{where}: {destination} via {nexthop} stands there twice; name it once.")
        routes.append(route)
    return routes
