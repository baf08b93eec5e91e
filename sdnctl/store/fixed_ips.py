# SPDX-License-Identifier: Apache-2.0
"""Which addresses a port gets: what was asked for, one of each IP version when nothing was, and the automatic ones.

    fixed_ips absent            one address of the first IPv4 and of the first IPv6 subnet that has one free
    fixed_ips: []               no address at all
    {"ip_address": A}           exactly that one, in the subnet it belongs to
    {"subnet_id": S}            any free one of that subnet; in a change, the one the port has there already
    both                        exactly that one, which must be in that subnet

Subnets in which stations choose their own addresses (`SubnetSpace.is_automatic`) add the EUI-64 address of the port's
MAC to every port that has any address; nobody can choose another one there. Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from netaddr import IPAddress

from sdnctl.errors import ConflictError, InvalidError
from sdnctl.store.ranges import parse_address
from sdnctl.store.space import Space, SubnetSpace

FixedIps = list[tuple[SubnetSpace, str]]
"""(subnet, address) pairs, in the order in which users see them."""

_FIELDS: Final = frozenset({"subnet_id", "ip_address"})


def default(space: Space, mac: str, device_owner: str, wanted: int) -> FixedIps:
    """What a port gets that asks for nothing. `wanted` such ports may follow."""
    chosen: FixedIps = []
    for version in (4, 6):
        eligible = [
            subnet
            for subnet in space.subnets.values()
            if subnet.version == version and not subnet.is_automatic and _serves(subnet, device_owner)
        ]
        # Subnets kept for this kind of port come first; the order among equals is that of their making.
        eligible.sort(key=lambda subnet: not subnet.service_types)
        for subnet in eligible:
            address = subnet.take(wanted)
            if address is not None:
                chosen.append((subnet, address))
                break
        else:
            if eligible:
                raise exhausted(space, eligible)
    return chosen + _automatic(space, mac, device_owner, chosen)


def requested(
    space: Space,
    entries: Sequence[Mapping[str, object]],
    *,
    port_id: str,
    mac: str,
    device_owner: str,
    present: Mapping[str, str],
) -> FixedIps:
    """What a port gets that asks for `entries`. `present` are its addresses now, each with its subnet's id."""
    if not entries:
        return []
    # What is named exactly goes first, so that no free choice takes it away.
    exact = {
        number: _exact(space, number, entry, mac) for number, entry in enumerate(entries) if entry.get("ip_address")
    }
    named = [address for _, address in exact.values()]
    for address in named:
        if named.count(address) > 1:
            raise InvalidError(f"fixed_ips: {address} stands there twice; name each address once.")
    _refuse_taken(space, (address for address in named if address not in present), port_id)
    for subnet, address in exact.values():
        subnet.reserve(address)
    kept = [address for address in present if address not in named]
    chosen = [
        exact[number] if number in exact else _any(space, number, entry, mac, kept, present)
        for number, entry in enumerate(entries)
    ]
    if len({address for _, address in chosen}) != len(chosen):
        raise InvalidError("fixed_ips: a subnet whose addresses follow from the MAC address stands there twice.")
    return chosen + _automatic(space, mac, device_owner, chosen)


def _serves(subnet: SubnetSpace, device_owner: str) -> bool:
    return not subnet.service_types or device_owner in subnet.service_types


def _automatic(space: Space, mac: str, device_owner: str, chosen: FixedIps) -> FixedIps:
    has = {subnet.id for subnet, _ in chosen if subnet.is_automatic}
    return [
        (subnet, subnet.automatic(mac))
        for subnet in space.subnets.values()
        if subnet.is_automatic and subnet.id not in has and _serves(subnet, device_owner)
    ]


def _exact(space: Space, number: int, entry: Mapping[str, object], mac: str) -> tuple[SubnetSpace, str]:
    where = f"fixed_ips[{number}].ip_address"
    address = parse_address(entry["ip_address"], where)
    text = str(address)
    subnet = space.subnet_of(address)
    if entry.get("subnet_id") is not None:
        named = _subnet(space, number, entry)
        if named is not subnet:
            raise InvalidError(
                f"{where}: {text} is not in subnet {named.id}; give one of {named.network}.", kind="InvalidIpForSubnet"
            )
    if subnet is None:
        ranges = ", ".join(str(subnet.network) for subnet in space.subnets.values()) or "a subnet, which it lacks"
        raise InvalidError(
            f"{where}: {text} is in no subnet of network {space.network_id}; give one of {ranges}.",
            kind="InvalidIpForNetwork",
        )
    refuse_unfit(subnet, text, f"{where}:")
    if subnet.is_automatic and text != subnet.automatic(mac):
        raise InvalidError(
            f"{where}: ports of subnet {subnet.id} have the address that follows from their MAC address, "
            f"{subnet.automatic(mac)} with {mac}; leave ip_address out.",
            kind="AllocationOnAutoAddressSubnet",
        )
    return subnet, text


def _any(
    space: Space, number: int, entry: Mapping[str, object], mac: str, kept: list[str], present: Mapping[str, str]
) -> tuple[SubnetSpace, str]:
    """The address of an entry that names only its subnet. Takes one out of `kept` if it can."""
    subnet = _subnet(space, number, entry)
    if subnet.is_automatic:
        return subnet, subnet.automatic(mac)
    for address in kept:
        if present[address] == subnet.id:
            kept.remove(address)
            return subnet, address
    taken = subnet.take(1)
    if taken is None:
        raise exhausted(space, [subnet])
    return subnet, taken


def _subnet(space: Space, number: int, entry: Mapping[str, object]) -> SubnetSpace:
    if not _FIELDS & {name for name, value in entry.items() if value is not None}:
        raise InvalidError(f"fixed_ips[{number}]: give ip_address, subnet_id or both.")
    subnet = space.subnets.get(str(entry["subnet_id"]))
    if subnet is None:
        raise InvalidError(
            f"fixed_ips[{number}].subnet_id: {entry['subnet_id']} is no subnet of network {space.network_id}; "
            f"give one of {', '.join(space.subnets) or 'its subnets, of which there is none yet'}."
        )
    return subnet


def _refuse_taken(space: Space, addresses: Iterable[str], port_id: str) -> None:
    for address, holder in space.holders(addresses).items():
        if holder.id != port_id:
            raise ConflictError(
                f"fixed_ips: {address} already belongs to {holder.kind} {holder.id} of network {space.network_id}; "
                "choose another, or name only the subnet to get a free one.",
                kind="IpAddressAlreadyAllocated",
            )


def refuse_unfit(subnet: SubnetSpace, text: str, where: str) -> None:
    """An address that no station of the subnet may have; the message begins with `where`."""
    if not subnet.is_usable(int(IPAddress(text))):
        raise InvalidError(
            f"{where} {text} is the network or broadcast address of {subnet.network}; give one between.",
            kind="InvalidIpForSubnet",
        )


def exhausted(space: Space, subnets: Sequence[SubnetSpace]) -> ConflictError:
    names = ", ".join(f"{subnet.network} ({subnet.id})" for subnet in subnets)
    return ConflictError(
        f"No more IP addresses available on network {space.network_id}: the allocation pools of {names} are full. "
        "Free addresses, or extend allocation_pools.",
        kind="IpAddressGenerationFailure",
    )
