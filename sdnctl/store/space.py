# SPDX-License-Identifier: Apache-2.0
"""The address space of one network during one transaction: who has which address and MAC, and which are free.

The network is locked, so what is read here stays true until the commit. Several ports may be made in one transaction:
what it has given out itself is remembered, and the unique keys of the tables are the last word.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final, NamedTuple

from netaddr import EUI, IPAddress, IPNetwork
from sqlalchemy import Row, bindparam, select

from sdnctl import runtime
from sdnctl.errors import ConflictError
from sdnctl.store import ranges, tables
from sdnctl.store.write import Write

AUTOMATIC: Final = frozenset({"slaac", "dhcpv6-stateless"})
"""IPv6 modes in which a station's address follows from its MAC."""
MAC_ROUNDS: Final = 16

_address = tables.addresses.c
_port = tables.ports.c
_subnets = select(tables.subnets).where(tables.subnets.c.network_id == bindparam("network")).order_by("number")
_used_positions = select(_address.position).where(
    _address.subnet_id == bindparam("subnet"), _address.position.in_(bindparam("positions", expanding=True))
)
_used_between = select(_address.position).where(
    _address.subnet_id == bindparam("subnet"), _address.position.between(bindparam("first"), bindparam("last"))
)
_holders = select(_address.address, _address.port_id, _address.ip_group_id).where(
    _address.network_id == bindparam("network"), _address.address.in_(bindparam("addresses", expanding=True))
)
_used_macs = select(_port.mac_address).where(
    _port.network_id == bindparam("network"), _port.mac_address.in_(bindparam("macs", expanding=True))
)


class Holder(NamedTuple):
    """Who has an address."""

    kind: str
    """In words."""
    id: str


class SubnetSpace:
    """One subnet, with its numbers parsed."""

    def __init__(self, write: Write, row: Row[Any]) -> None:
        self._write = write
        self.row = row
        self.id: str = row.id
        self.network = IPNetwork(row.cidr)
        self.version: int = row.ip_version
        self.service_types = frozenset(row.service_types)
        self.pools = tuple(
            (int(IPAddress(pool["start"])), int(IPAddress(pool["end"]))) for pool in row.allocation_pools
        )
        self._free = self._draw(self.pools)

    @property
    def is_automatic(self) -> bool:
        """Stations choose their addresses by their MACs."""
        return self.row.ipv6_address_mode in AUTOMATIC or self.row.ipv6_ra_mode in AUTOMATIC

    def contains(self, value: int) -> bool:
        return bool(self.network.first <= value <= self.network.last)

    def is_usable(self, value: int) -> bool:
        return ranges.contains((ranges.usable(self.network),), value)

    def automatic(self, mac: str) -> str:
        return self._text(ranges.eui64(self.network, int(EUI(mac))))

    def reserve(self, address: str) -> None:
        self._free.reserve(int(IPAddress(address)))

    def take(self, wanted: int) -> str | None:
        """A free address of the pools at random; None when there is none."""
        value = self._free.take(wanted)
        return None if value is None else self._text(value)

    def lowest(self) -> str | None:
        """The lowest free address: of the pools, or else of all that are neither in a pool nor the gateway's."""
        value = self._free.lowest()
        if value is None:
            gateway = self.row.gateway_ip
            outside = ranges.default_pools(self.network, IPAddress(gateway) if gateway else None)
            value = self._draw(outside).lowest()
        return None if value is None else self._text(value)

    def _text(self, value: int) -> str:
        return ranges.address_text(value, self.version)

    def _draw(self, pools: Collection[ranges.Range]) -> ranges.Free:
        return ranges.Free(pools, self._write.random, self._taken_among, self._taken_between)

    def _taken_among(self, values: Collection[int]) -> Collection[int]:
        by_position = {ranges.position(value, self.version): value for value in values}
        used = self._write.connection.execute(_used_positions, {"subnet": self.id, "positions": list(by_position)})
        return [by_position[position] for position in used.scalars()]

    def _taken_between(self, first: int, last: int) -> Collection[int]:
        runtime.give_way()
        low = ranges.position(first, self.version)
        used = self._write.connection.execute(
            _used_between, {"subnet": self.id, "first": low, "last": ranges.position(last, self.version)}
        )
        return [first + position - low for position in used.scalars()]


class Space:
    """One network's subnets, addresses and MACs."""

    def __init__(self, write: Write, network_id: str) -> None:
        self._write = write
        self.network_id = network_id
        rows = write.connection.execute(_subnets, {"network": network_id})
        self.subnets = {row.id: SubnetSpace(write, row) for row in rows}
        self._addresses: dict[str, str] = {}
        self._macs: set[str] = set()
        self._free_macs: list[str] = []

    def subnet_of(self, address: IPAddress) -> SubnetSpace | None:
        for subnet in self.subnets.values():
            if subnet.version == address.version and subnet.contains(int(address)):
                return subnet
        return None

    def holders(self, addresses: Iterable[str]) -> dict[str, Holder]:
        """Address to whoever has it, for those that somebody has."""
        wanted = list(addresses)
        if not wanted:
            return {}
        found = self._write.connection.execute(_holders, {"network": self.network_id, "addresses": wanted})
        held = {
            row.address: Holder("port", row.port_id) if row.port_id else Holder("IP group", row.ip_group_id)
            for row in found
        }
        held.update(
            {address: Holder("port", self._addresses[address]) for address in wanted if address in self._addresses}
        )
        return held

    def give(self, subnet: SubnetSpace, address: str, port_id: str) -> None:
        """The address is that port's from now on."""
        self._addresses[address] = port_id
        subnet.reserve(address)

    def claim_mac(self, mac: str, port_id: str | None = None) -> None:
        """A user wants this MAC for a port (an existing one, if `port_id` says so)."""
        query = select(_port.id).where(_port.network_id == self.network_id, _port.mac_address == mac)
        holder = self._write.connection.execute(query).scalar()
        if mac in self._macs or (holder is not None and holder != port_id):
            raise ConflictError(
                f"mac_address: {mac} is already used by "
                f"{'another port of this request' if holder is None else 'port ' + holder} in network "
                f"{self.network_id}; choose another, or leave it out to get a free one.",
                kind="MacAddressInUse",
            )
        self._macs.add(mac)

    def free_mac(self, wanted: int) -> str:
        """A MAC that nobody in the network has. `wanted` more may be asked for."""
        for _ in range(MAC_ROUNDS):
            while self._free_macs:
                mac = self._free_macs.pop()
                if mac not in self._macs:
                    self._macs.add(mac)
                    return mac
            self._free_macs = self._draw_macs(min(ranges.MOST_GUESSES, max(ranges.GUESSES, wanted)))
        raise ConflictError(
            f"mac_address: no free one found under {self._write.settings.mac_oui} in network {self.network_id}; "
            "give one, or configure another prefix.",
            kind="MacAddressGenerationFailure",
        )

    def _draw_macs(self, count: int) -> list[str]:
        prefix = self._write.settings.mac_oui.replace(":", "")
        bits = 48 - 4 * len(prefix)
        base = int(prefix, 16) << bits
        drawn = {mac_text(base | self._write.random.getrandbits(bits)) for _ in range(count)}
        used = self._write.connection.execute(_used_macs, {"network": self.network_id, "macs": list(drawn)})
        return sorted(drawn.difference(used.scalars()))


def mac_text(value: int) -> str:
    """aa:bb:cc:dd:ee:ff."""
    return value.to_bytes(6, "big").hex(":")
