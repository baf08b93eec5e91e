# SPDX-License-Identifier: Apache-2.0
"""Whatever is done to a network, in any order: addresses are given out once, from where they may be, and come back."""

from __future__ import annotations

import contextlib
import tempfile
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from sdnctl.errors import ConflictError, InvalidError
from sdnctl.store import Store
from tests.store import laws
from tests.store.cloud import SLAAC, V6, Cloud, Object, addresses

RANGES = ("10.0.0.0/29", "10.0.0.8/30", "10.0.1.0/28", "fd01::/125")
"""Small ones, so that they are full soon."""
Offsets = st.integers(min_value=0, max_value=15)


class Allocation(RuleBasedStateMachine):
    """One network, few addresses."""

    ports = Bundle("ports")

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        path = Path(self.directory.name) / "sdnctl.db"
        path.write_bytes(EMPTY[0].read_bytes())
        self.store = Store.open(f"sqlite:///{path}")
        self.cloud = Cloud(self.store)
        self.network = self.cloud.network()
        self.subnets: dict[str, Object] = {}

    def teardown(self) -> None:
        self.store.close()
        self.directory.cleanup()

    @initialize()
    def first_subnet(self) -> None:
        self.add_subnet(RANGES[0], dhcp=True)

    # ------------------------------------------------------------------------------------------------- what is free

    def taken(self) -> set[Any]:
        return {ip_address(address) for port in self.cloud.list("port") for address in addresses(port)}

    def free(self, subnet: Object) -> set[Any]:
        return pool_of(subnet) - self.taken()

    def eligible(self, version: int) -> list[Object]:
        return [
            subnet for subnet in self.subnets.values() if subnet["ip_version"] == version and not subnet["ipv6_ra_mode"]
        ]

    # ------------------------------------------------------------------------------------------------------- the rules

    @rule(cidr=st.sampled_from(RANGES), dhcp=st.booleans())
    def add_subnet(self, cidr: str, dhcp: bool) -> None:
        if cidr not in self.subnets:
            self.subnets[cidr] = self.cloud.subnet(self.network, cidr, enable_dhcp=dhcp)

    @rule()
    def add_automatic(self) -> None:
        if V6 not in self.subnets:
            self.subnets[V6] = self.cloud.subnet(self.network, V6, **SLAAC)

    @rule(cidr=st.sampled_from((*RANGES, V6)))
    def delete_subnet(self, cidr: str) -> None:
        if cidr not in self.subnets:
            return
        subnet = self.subnets[cidr]
        users = [
            port
            for port in self.cloud.list("port", fixed_ips=f"subnet_id={subnet['id']}")
            if port["device_owner"] != "network:dhcp"
        ]
        if users and not subnet["ipv6_ra_mode"]:
            with pytest.raises(ConflictError, match="One or more ports"):
                self.cloud.delete("subnet", subnet)
        else:
            self.cloud.delete("subnet", subnet)
            del self.subnets[cidr]

    @rule(cidr=st.sampled_from(RANGES), start=Offsets, length=Offsets, dhcp=st.booleans())
    def change_subnet(self, cidr: str, start: int, length: int, dhcp: bool) -> None:
        if cidr not in self.subnets:
            return
        base = ip_network(cidr)[0]
        pool = {"start": str(base + start), "end": str(base + start + length)}
        try:
            self.subnets[cidr] = self.cloud.update(
                "subnet", self.subnets[cidr], allocation_pools=[pool], enable_dhcp=dhcp
            )
        except (InvalidError, ConflictError):
            assert self.cloud.get("subnet", self.subnets[cidr]) == self.subnets[cidr]

    @rule(target=ports, count=st.integers(min_value=1, max_value=4))
    def add_ports(self, count: int) -> Any:
        before = {version: [self.free(subnet) for subnet in self.eligible(version)] for version in (4, 6)}
        room = {version: sum(map(len, free)) for version, free in before.items()}
        fits = all(not before[version] or room[version] >= count for version in (4, 6))
        if not fits:
            with pytest.raises(ConflictError, match="are full"):
                self.cloud.ports(self.network, count)
            return []
        made = self.cloud.ports(self.network, count)
        for port in made:
            for address in map(ip_address, addresses(port)):
                if address not in ip_network(V6):
                    assert any(address in free for free in before[address.version])
            versions = [
                ip_address(address).version for address in addresses(port) if ip_address(address) not in ip_network(V6)
            ]
            assert versions == [version for version in (4, 6) if before[version]]
        return made

    @rule(target=ports, offset=Offsets)
    @precondition(lambda self: RANGES[0] in self.subnets)
    def add_exact(self, offset: int) -> Any:
        address = IPv4Address("10.0.0.0") + offset % 8
        wish = [{"ip_address": str(address)}]
        if address not in set(ip_network(RANGES[0]).hosts()):
            with pytest.raises(InvalidError):
                self.cloud.port(self.network, fixed_ips=wish)
            return []
        if address in self.taken():
            with pytest.raises(ConflictError, match="already belongs"):
                self.cloud.port(self.network, fixed_ips=wish)
            return []
        port = self.cloud.port(self.network, fixed_ips=wish)
        assert addresses(port)[0] == str(address)
        return [port]

    @rule(some=consumes(ports))
    def delete_ports(self, some: list[Object]) -> None:
        before = self.taken()
        gone = {ip_address(address) for port in some for address in addresses(self.cloud.get("port", port))}
        for port in some:
            self.cloud.delete("port", port)
        assert self.taken() == before - gone

    @rule(some=ports, number=st.integers(min_value=1, max_value=0xFFFFFF))
    def change_mac(self, some: list[Object], number: int) -> None:
        for port in some[:1]:
            mac = (0xFA163E000000 + number).to_bytes(6, "big").hex(":")
            with contextlib.suppress(ConflictError):
                self.cloud.update("port", port, mac_address=mac)

    @rule(some=ports, cidr=st.sampled_from(RANGES))
    def move(self, some: list[Object], cidr: str) -> None:
        """Keep what the port has in that subnet, or get one there; give everything else back."""
        if cidr not in self.subnets:
            return
        for port in some[:1]:
            subnet = self.subnets[cidr]
            had = [
                fixed["ip_address"]
                for fixed in self.cloud.get("port", port)["fixed_ips"]
                if fixed["subnet_id"] == subnet["id"]
            ]
            free = self.free(subnet)
            wish = [{"subnet_id": subnet["id"]}]
            if not had and not free:
                with pytest.raises(ConflictError, match="are full"):
                    self.cloud.update("port", port, fixed_ips=wish)
                continue
            now = addresses(self.cloud.update("port", port, fixed_ips=wish))
            assert now[0] in had if had else ip_address(now[0]) in free

    @invariant()
    def laws_hold(self) -> None:
        laws.check(self.cloud)

    @invariant()
    def automatic_addresses_everywhere(self) -> None:
        """Every port with an address has the automatic one, exactly when there is such a subnet."""
        for port in self.cloud.list("port"):
            has = sum(ip_address(address) in ip_network(V6) for address in addresses(port))
            if port["device_owner"] != "network:dhcp" and addresses(port):
                assert has == (V6 in self.subnets)


def pool_of(subnet: Object) -> set[Any]:
    """Every address that may be chosen freely."""
    found = set()
    for pool in subnet["allocation_pools"]:
        address, end = ip_address(pool["start"]), ip_address(pool["end"])
        while address <= end:
            found.add(address)
            address += 1
    network = ip_network(subnet["cidr"])
    assert found <= set(network.hosts())
    assert subnet["gateway_ip"] is None or ip_address(subnet["gateway_ip"]) not in found
    return found


EMPTY: list[Path] = []


@pytest.fixture(autouse=True)
def _empty(empty_file: Path) -> None:
    EMPTY[:] = [empty_file]


class TestAllocation(Allocation.TestCase):  # type: ignore[misc,name-defined]
    settings = settings(max_examples=max(10, settings.default.max_examples // 4), stateful_step_count=25, deadline=None)
