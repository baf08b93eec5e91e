# SPDX-License-Identifier: Apache-2.0
"""Leases and sources: what follows for a port from network, subnets and its own attributes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from netaddr import EUI, IPAddress, IPNetwork

from sdnctl.apps.dhcp import Verdict, reply
from sdnctl.apps.leases import Defaults, Lease, Route, lease_for
from sdnctl.model.addresses import link_local, sources_of
from sdnctl.model.ids import NetworkKey, PortKey
from sdnctl.model.network import HostRoute, Network, NetworkType, Subnet
from sdnctl.model.port import DHCP_OWNER, AddressPair, DhcpOption, FixedIP, Port
from tests.apps.packets import ll, mac, v4, v6
from tests.apps.test_dhcp import DISCOVER, question

NETWORK = Network(
    id="net",
    key=NetworkKey(1),
    project_id="project",
    name="green",
    type=NetworkType.VXLAN,
    physical_network=None,
    segmentation_id=5000,
    mtu=1450,
)
SUBNET = Subnet(
    id="four",
    network_id="net",
    cidr=IPNetwork("10.0.0.0/24"),
    gateway_ip=IPAddress("10.0.0.254"),
    dns_nameservers=(IPAddress("8.8.8.8"), IPAddress("2001:4860:4860::8888")),
    host_routes=(HostRoute(IPNetwork("192.168.0.0/16"), IPAddress("10.0.0.9")),),
)
SIX = Subnet(id="six", network_id="net", cidr=IPNetwork("2001:db8::/64"), gateway_ip=IPAddress("2001:db8::fe"))
SECOND = Subnet(id="second", network_id="net", cidr=IPNetwork("10.1.0.0/24"), gateway_ip=None)
SUBNETS = {one.id: one for one in (SUBNET, SIX, SECOND)}
SERVER = Port(
    id="server",
    key=PortKey(9),
    network_id="net",
    project_id="project",
    name="",
    mac=EUI(mac(250)),
    fixed_ips=(FixedIP("four", IPAddress("10.0.0.250")), FixedIP("second", IPAddress("10.1.0.250"))),
    device_owner=DHCP_OWNER,
)
PORT = Port(
    id="port",
    key=PortKey(5),
    network_id="net",
    project_id="project",
    name="vm",
    mac=EUI(mac(5)),
    fixed_ips=(FixedIP("four", IPAddress("10.0.0.5")),),
)


def test_lease_follows_from_the_model() -> None:
    port = replace(PORT, dhcp_options=(DhcpOption("mtu", "1400"), DhcpOption("59", "2001:db8::1", 6)))
    assert lease_for(port, NETWORK, SUBNETS, SERVER) == Lease(
        mac=mac(5),
        address=v4(5),
        prefix_length=24,
        server_address=v4(250),
        server_mac=mac(250),
        gateway=v4(254),
        dns_servers=(0x08080808,),
        domain="internal",
        search_domains=("internal",),
        hostname="host-10-0-0-5",
        mtu=1450,
        time_s=86400,
        routes=(Route(0xC0A80000, 16, v4(9)),),
        options=(DhcpOption("mtu", "1400"),),
    )


def test_names_and_times_are_the_networks_the_ports_or_the_default() -> None:
    network = replace(NETWORK, dns_domain="tenant.example.")
    lease = lease_for(replace(PORT, dns_name="web"), network, SUBNETS, SERVER, Defaults(3600, "cloud.example"))
    assert lease is not None
    assert (lease.domain, lease.search_domains, lease.hostname, lease.time_s) == (
        "tenant.example",
        ("tenant.example",),
        "web",
        3600,
    )
    lease = lease_for(PORT, NETWORK, SUBNETS, SERVER, Defaults(3600, "cloud.example"))
    assert lease is not None
    assert lease.domain == "cloud.example"


def test_resolver_of_the_default() -> None:
    subnets = {"four": replace(SUBNET, dns_nameservers=())}
    lease = lease_for(PORT, NETWORK, subnets, SERVER, Defaults(dns_servers=(IPAddress("9.9.9.9"),)))
    assert lease is not None
    assert lease.dns_servers == (0x09090909,)


@pytest.mark.parametrize(
    ("fixed", "subnets", "address"),
    (
        (("four", "second"), SUBNETS, v4(5)),
        (("second", "four"), SUBNETS, 0x0A010005),
        (("six", "second"), SUBNETS, 0x0A010005),
        (("four", "second"), {**SUBNETS, "four": replace(SUBNET, enable_dhcp=False)}, 0x0A010005),
        (("four", "second"), {"second": SECOND}, 0x0A010005),
        (("six",), SUBNETS, None),
        ((), SUBNETS, None),
        (("four",), {"four": replace(SUBNET, enable_dhcp=False)}, None),
        (("four",), {}, None),
    ),
    ids=("first", "other first", "after IPv6", "DHCP off", "subnet gone", "IPv6 only", "none", "all off", "no subnets"),
)
def test_address_is_the_first_in_a_subnet_with_dhcp(
    fixed: tuple[str, ...], subnets: dict[str, Subnet], address: int | None
) -> None:
    addresses = {"four": "10.0.0.5", "second": "10.1.0.5", "six": "2001:db8::5"}
    port = replace(PORT, fixed_ips=tuple(FixedIP(name, IPAddress(addresses[name])) for name in fixed))
    lease = lease_for(port, NETWORK, subnets, SERVER)
    assert (lease.address if lease else None) == address


def test_no_lease_without_a_server_in_the_subnet() -> None:
    assert lease_for(PORT, NETWORK, SUBNETS, None) is None
    assert lease_for(PORT, NETWORK, SUBNETS, replace(SERVER, fixed_ips=SERVER.fixed_ips[1:])) is None


def test_lease_of_a_strange_domain_can_still_be_told() -> None:
    lease = lease_for(PORT, replace(NETWORK, dns_domain="a..b c"), SUBNETS, SERVER)
    assert lease is not None
    assert lease.search_domains == ()
    assert reply(question(DISCOVER), lease).kind is Verdict.OFFER


@given(st.integers(0, (1 << 48) - 1))
def test_link_local_is_what_netaddr_makes(address: int) -> None:
    assert link_local(address) == int(EUI(address).ipv6_link_local())


def test_sources_of_a_port() -> None:
    """Fixed addresses, pairs, and a link-local address to each MAC; sorted, each once."""
    pairs = (
        AddressPair(EUI(mac(5)), IPNetwork("10.0.0.64/28")),
        AddressPair(EUI(mac(5)), IPNetwork("10.0.0.5/32")),
        AddressPair(EUI(mac(0x83)), IPNetwork("10.0.0.77/24")),
        AddressPair(EUI(mac(0x83)), IPNetwork("::/0")),
    )
    port = replace(
        PORT, fixed_ips=(*PORT.fixed_ips, FixedIP("six", IPAddress("2001:db8::5"))), allowed_address_pairs=pairs
    )
    ones4, ones6 = (1 << 32) - 1, (1 << 128) - 1
    assert [(one.mac, one.version, one.address, one.mask) for one in sources_of(port)] == [
        (mac(5), 4, v4(5), ones4),
        (mac(5), 4, v4(64), 0xFFFFFFF0),
        (mac(5), 6, v6(5), ones6),
        (mac(5), 6, ll(5), ones6),
        (mac(0x83), 4, v4(0), 0xFFFFFF00),
        (mac(0x83), 6, 0, 0),
        (mac(0x83), 6, ll(0x83), ones6),
    ]


@pytest.mark.parametrize("nobody", ("0.0.0.0/32", "::/128"))
def test_nobodys_address_is_no_source(nobody: str) -> None:
    """It would be what probes and address detection come from, and those have rules of their own."""
    pair = AddressPair(EUI(mac(0x83)), IPNetwork(nobody))
    assert sources_of(replace(PORT, allowed_address_pairs=(pair,))) == sources_of(PORT)


def test_mac_0_is_no_source() -> None:
    pair = AddressPair(EUI(0), IPNetwork("10.0.0.9/32"))
    assert sources_of(replace(PORT, allowed_address_pairs=(pair,))) == sources_of(PORT)
