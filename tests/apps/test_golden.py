# SPDX-License-Identifier: Apache-2.0
"""The flows of each stage for one interesting case each, as an operator sees them with ovs-ofctl."""

from __future__ import annotations

from dataclasses import replace

from sdnctl.apps import (
    classify,
    dhcp,
    ip_groups,
    isolation,
    meters,
    output,
    port_security,
    qos,
    responders,
    security_groups,
    statistics,
    switching,
)
from sdnctl.model.filters import Filters
from sdnctl.model.ids import GroupKey, HostKey, NetworkKey, Ofport, PortKey
from sdnctl.model.network import NetworkType
from sdnctl.model.qos import QosLimits, bandwidth, packet_rate
from sdnctl.model.security import Direction
from sdnctl.model.views import (
    Announcer,
    Clause,
    Filtered,
    Filtering,
    FloodChunk,
    GroupAddress,
    GroupRule,
    GroupView,
    HostView,
    IpGroupView,
    Member,
    Metered,
    NetworkView,
    ServiceMac,
    Station,
    TunnelPeer,
)
from tests.apps.clouds import PATCH, TUNNEL, Guest, Net, endpoint
from tests.apps.packets import ll, mac, v4, v6
from tests.golden import Golden

HOST = HostView(HostKey(1), TUNNEL, (PATCH,))
GREEN = Net(1, NetworkType.VXLAN, 5000)
VM = Guest(1, GREEN, 1).local()
VXLAN = NetworkView(
    key=NetworkKey(1),
    type=NetworkType.VXLAN,
    segmentation_id=5000,
    underlay_ofport=TUNNEL,
    peers=(endpoint(2), endpoint(3)),
    chunks=(0, 2),
    floods_unknown=False,
)
VLAN = NetworkView(
    key=NetworkKey(2),
    type=NetworkType.VLAN,
    segmentation_id=300,
    underlay_ofport=PATCH,
    peers=(),
    chunks=(0,),
    floods_unknown=False,
)
FLAT = NetworkView(
    key=NetworkKey(3),
    type=NetworkType.FLAT,
    segmentation_id=None,
    underlay_ofport=PATCH,
    peers=(),
    chunks=(0,),
    floods_unknown=True,
)


def test_classify(golden: Golden) -> None:
    """A port, a tunnel peer and one network of each kind."""
    flows = [*classify.host_flows(HOST), *classify.peer_flows(TunnelPeer(HostKey(2), TUNNEL, endpoint(2)))]
    for network in (VXLAN, VLAN, FLAT):
        flows += classify.network_flows(network)
    golden.check("classify/three_networks", [*flows, *classify.port_flows(VM)])


def test_port_security_of_a_host(golden: Golden) -> None:
    golden.check("port_security/host", port_security.host_flows(HOST))


def test_port_security_of_a_port(golden: Golden) -> None:
    """One IPv4 and one IPv6 address."""
    golden.check("port_security/port", port_security.port_flows(VM))


def test_port_security_of_a_port_with_pairs(golden: Golden) -> None:
    """A prefix under the port's own MAC, and an address under another one."""
    pairs = tuple(one for one in Guest(3, GREEN, 1, pairs=_PAIRS).sources if one.version == 4)
    golden.check("port_security/pairs", port_security.port_flows(replace(VM, sources=pairs)))


_PAIRS = (
    replace(VM.sources[0], mac=mac(3), version=4, address=v4(0x80), mask=0xFFFFFFF0),
    replace(VM.sources[0], mac=mac(0x83), version=4, address=v4(0x93), mask=0xFFFFFFFF),
)


def test_port_security_off(golden: Golden) -> None:
    golden.check("port_security/off", port_security.port_flows(replace(VM, filters=None)))


def test_port_security_filter_by_filter(golden: Golden) -> None:
    """The same port with one filter off, for each of them, and with all off."""
    everything = Filters(mac=False, arp=False, ip=False)
    for name, filters in (
        ("mac_off", Filters(mac=False)),
        ("arp_off", Filters(arp=False)),
        ("ip_off", Filters(ip=False)),
        ("all_off", everything),
    ):
        golden.check(f"port_security/{name}", port_security.port_flows(replace(VM, filters=filters)))
    free = replace(VM, filters=Filters(arp=False, ip=False), observes=True)
    golden.check("port_security/observed", port_security.port_flows(free))


def test_responders(golden: Golden) -> None:
    """A host, a local port and what is known of two neighbours."""
    flows = [*responders.host_flows(HOST), *responders.port_flows(VM)]
    for guest in (Guest(1, GREEN, 1), Guest(6, GREEN, 2)):
        flows += responders.neighbour_flows(guest.neighbour())
    golden.check("responders/two_neighbours", flows)


def test_dhcp(golden: Golden) -> None:
    """A port with a lease, and one without: it has no flow of its own."""
    without = replace(VM, key=PortKey(2), ofport=Ofport(2), dhcp=False)
    flows = [*dhcp.host_flows(HOST), *dhcp.port_flows(VM), *dhcp.port_flows(without)]
    golden.check("dhcp/two_ports", flows)
    assert [(spec.id, spec.pktps, spec.burst) for spec in meters.port_meters(VM)] == [(8, 20, 40)]
    assert meters.port_meters(without) == ()


def test_statistics(golden: Golden) -> None:
    golden.check("statistics/host", statistics.host_flows(HOST))
    assert [(spec.id, spec.pktps, spec.burst) for spec in statistics.host_meters(HOST)] == [(1, 50, 100)]


def test_switching_of_a_host(golden: Golden) -> None:
    golden.check("switching/host", switching.host_flows(HOST))


def test_switching_of_a_tunnelled_network(golden: Golden) -> None:
    """Two other hosts, two chunks of local ports, a MAC here, one there, one that two ports may use."""
    flows = [*switching.network_flows(VXLAN)]
    flows += switching.chunk_flows(FloodChunk(network=NetworkKey(1), number=0, ofports=(Ofport(1), Ofport(2))))
    flows += switching.chunk_flows(FloodChunk(network=NetworkKey(1), number=2, ofports=(Ofport(130),)))
    here = Station(key=PortKey(1), network=NetworkKey(1), mac=mac(1), ofport=Ofport(1))
    there = Station(key=PortKey(6), network=NetworkKey(1), mac=mac(6), is_remote=True, peer=endpoint(2))
    shared = Station(key=PortKey(9), network=NetworkKey(1), mac=mac(9))
    flows += (flow for one in (here, there, shared) for flow in switching.station_flows(one))
    golden.check("switching/vxlan", flows)


def test_switching_of_a_tagged_network(golden: Golden) -> None:
    golden.check("switching/vlan", switching.network_flows(VLAN))


def test_switching_of_a_flat_network_with_an_open_port(golden: Golden) -> None:
    """The port whose security is off gets a copy of what is for an unknown MAC, none of what is for one elsewhere."""
    chunk = FloodChunk(
        network=NetworkKey(3), number=0, ofports=(Ofport(21), Ofport(22), Ofport(23)), open_ofports=(Ofport(22),)
    )
    there = Station(key=PortKey(24), network=NetworkKey(3), mac=mac(24), is_remote=True)
    flows = [*switching.network_flows(FLAT), *switching.chunk_flows(chunk), *switching.station_flows(there)]
    golden.check("switching/flat_open", flows)


def test_isolation(golden: Golden) -> None:
    """Two other hosts, a service port among three here, one elsewhere; the one here is asked by its security group."""
    network = replace(VXLAN, isolated=True)
    flows = [*isolation.host_flows(HOST), *isolation.network_flows(VLAN), *isolation.network_flows(network)]
    for number in (1, 6):
        flows += isolation.service_flows(ServiceMac(PortKey(number), NetworkKey(1), mac(number)))
    filtered = (Filtered(Ofport(1), PortKey(1), Filtering.STATELESS),)
    chunk = FloodChunk(
        network=NetworkKey(1),
        number=0,
        ofports=(Ofport(1), Ofport(2), Ofport(3)),
        filtered=filtered,
        service_ofports=(Ofport(1),),
    )
    golden.check("isolation/network", [*flows, *switching.chunk_flows(chunk)])


def test_switching_without_underlay(golden: Golden) -> None:
    """No tunnel address, no mapped bridge: local traffic works, the rest is dropped and says why."""
    flows = []
    for network in (VXLAN, VLAN):
        alone = replace(network, underlay_ofport=None)
        flows += [*classify.network_flows(alone), *switching.network_flows(alone)]
    golden.check("switching/no_underlay", flows)


def test_output(golden: Golden) -> None:
    golden.check("output/port", [*output.host_flows(HOST), *output.port_flows(VM)])


def test_qos(golden: Golden) -> None:
    """Of a host; of a port with every limit and a mark; of one that may send only so much; and copies to both."""
    whole = QosLimits(
        from_bandwidth=bandwidth(10000),
        from_packets=packet_rate(5),
        to_bandwidth=bandwidth(20000),
        to_packets=packet_rate(4),
        dscp=46,
    )
    all_limits = replace(VM, qos=whole)
    one_limit = replace(Guest(2, GREEN, 1).local(), qos=QosLimits(from_bandwidth=bandwidth(5000)))
    flows = [*qos.host_flows(HOST), *qos.port_flows(all_limits), *qos.port_flows(one_limit)]
    flows += [*output.port_flows(all_limits), *output.port_flows(one_limit)]
    chunk = FloodChunk(
        network=NetworkKey(1), number=0, ofports=(Ofport(1), Ofport(2)), metered=(Metered(Ofport(1), PortKey(1)),)
    )
    golden.check("qos/port", [*flows, *switching.chunk_flows(chunk)])


def test_copies_to_a_filtered_port_that_may_receive_only_so_much(golden: Golden) -> None:
    filtered, metered = Filtered(Ofport(1), PortKey(1), Filtering.STATELESS), Metered(Ofport(1), PortKey(1))
    chunk = FloodChunk(
        network=NetworkKey(1),
        number=0,
        ofports=(Ofport(1), Ofport(2)),
        open_ofports=(Ofport(2),),
        filtered=(filtered,),
        metered=(metered,),
    )
    golden.check("qos/filtered", switching.chunk_flows(chunk))


def test_security_groups_of_a_host(golden: Golden) -> None:
    golden.check("security_groups/host", security_groups.host_flows(HOST))


def test_security_groups_of_a_port(golden: Golden) -> None:
    """Two groups, one of them stateful: what the port has more than one without groups."""
    port = replace(VM, filtering=Filtering.STATEFUL, groups=(GroupKey(1), GroupKey(2)))
    flows = [*classify.port_flows(port), *security_groups.port_flows(port)]
    flows += switching.station_flows(
        Station(key=PortKey(1), network=NetworkKey(1), mac=mac(1), ofport=Ofport(1), filtering=Filtering.STATEFUL)
    )
    filtered = (
        Filtered(Ofport(1), PortKey(1), Filtering.STATEFUL),
        Filtered(Ofport(3), PortKey(3), Filtering.STATELESS),
    )
    flows += switching.chunk_flows(
        FloodChunk(
            network=NetworkKey(1),
            number=0,
            ofports=(Ofport(1), Ofport(2), Ofport(3)),
            filtered=filtered,
        )
    )
    golden.check("security_groups/port", flows)


def test_rules_of_a_security_group(golden: Golden) -> None:
    """Each kind of rule: anything, a port range, a prefix, an ICMP type, a remote group, an address group, one that
    keeps its connections; and the addresses of a member."""
    into, out = Direction.INGRESS, Direction.EGRESS
    friends, offices = GroupKey(7), GroupKey(9)
    rules = (
        GroupRule(direction=out, version=4),
        GroupRule(direction=into, version=4, protocol=6, port_min=1000, port_max=1999),
        GroupRule(direction=into, version=4, protocol=17, port_min=53, port_max=53, prefix=(v4(0x80), 0xFFFFFF80)),
        GroupRule(direction=into, version=6, protocol=58, port_min=128, port_max=0),
        GroupRule(direction=into, version=4, protocol=47, keeps=True),
        GroupRule(direction=into, version=4, protocol=6, port_min=22, port_max=22, remote=friends),
        GroupRule(direction=into, version=4, protocol=6, port_min=22, port_max=22, keeps=True, remote=offices),
        GroupRule(direction=into, version=6, remote=friends),
    )
    view = GroupView(GroupKey(5), rules, (GroupAddress(offices, 4, v4(0), 0xFFFFFFF0),))
    flows = [*security_groups.group_flows(view)]
    clause = Clause(into, keeps=False, remote=friends)
    whole = (1 << 128) - 1
    flows += security_groups.member_flows(
        Member(key=PortKey(6), network=NetworkKey(1), version=4, address=v4(6), mask=0xFFFFFFFF, clauses=(clause,))
    )
    flows += security_groups.member_flows(
        Member(key=PortKey(6), network=NetworkKey(1), version=6, address=ll(6), mask=whole, clauses=(clause,))
    )
    golden.check("security_groups/rules", flows)


VIP = IpGroupView(
    key=GroupKey(7),
    network=NetworkKey(1),
    version=4,
    address=v4(200),
    members=(Announcer(PortKey(1), Ofport(1)),),
    holder=PortKey(2),
    mac=mac(2),
)


def test_ip_group(golden: Golden) -> None:
    """An address of each version with one local member; somebody on another host holds it."""
    flows = [*ip_groups.host_flows(HOST), *ip_groups.group_flows(VIP)]
    flows += ip_groups.group_flows(replace(VIP, key=GroupKey(8), version=6, address=v6(200)))
    golden.check("ip_groups/two_addresses", flows)


def test_ip_group_that_is_pinned(golden: Golden) -> None:
    """To a port elsewhere: the local member may not say that it has the address."""
    golden.check(
        "ip_groups/pinned",
        ip_groups.group_flows(replace(VIP, members=(Announcer(PortKey(1), Ofport(1), may_speak=False),))),
    )


def test_ip_group_with_vrrp(golden: Golden) -> None:
    """The local member holds it, with a virtual MAC address."""
    flows = [*ip_groups.group_flows(replace(VIP, holder=PortKey(1), mac=0x00005E000133, vrrp=True))]
    flows += ip_groups.port_flows(replace(VM, announces=True, virtual=((4, v4(200)), (6, v6(200)))))
    golden.check("ip_groups/vrrp", flows)
