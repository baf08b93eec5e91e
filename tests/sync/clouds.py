# SPDX-License-Identifier: Apache-2.0
"""Small clouds for the tests of `sdnctl.sync`, and what can happen to them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import strategies as st
from netaddr import EUI, IPAddress, IPNetwork

from sdnctl.model.filters import ALL, Filters
from sdnctl.model.host import Host, HostFacts, Interface
from sdnctl.model.ids import GroupKey, HostKey, NetworkKey, Ofport, PortKey
from sdnctl.model.ip_group import IpGroup
from sdnctl.model.network import Network, NetworkType, Subnet
from sdnctl.model.port import DHCP_OWNER, AddressPair, FixedIP, Port
from sdnctl.model.qos import QosPolicy, QosRule
from sdnctl.model.security import AddressGroup, Direction, Established, SecurityGroup, SecurityRule
from sdnctl.sync.world import World

HOSTS = ("h1", "h2", "h3")
NETWORKS = ("tunnelled", "tagged", "plain")
PORTS = ("p1", "p2", "p3", "p4", "p5", "p6")
GROUPS = ("g1", "g2", "g3")
OFFICES = "offices"
IP_GROUPS = ("vip1", "vip2", "vip3")
POLICIES = ("slow", "marked")
SHARED_MAC = EUI("00-00-5E-00-01-01")


def host(name: str, *, tunnel: bool = True) -> Host:
    number = HOSTS.index(name) + 1
    return Host(
        id=f"id-{name}",
        key=HostKey(number),
        name=name,
        ovsdb=f"unix:/run/{name}",
        tunnel_ip=IPAddress(f"192.0.2.{number}") if tunnel else None,
        bridge_mappings=(("physnet1", "br-ex"),),
    )


def network(
    name: str, *, up: bool = True, policy: str | None = None, isolated: bool = False, shared: bool = False
) -> Network:
    number = NETWORKS.index(name) + 1
    kind = (NetworkType.VXLAN, NetworkType.VLAN, NetworkType.FLAT)[number - 1]
    return Network(
        id=name,
        key=NetworkKey(number),
        project_id="project",
        name=name,
        type=kind,
        physical_network=None if kind is NetworkType.VXLAN else "physnet1",
        segmentation_id=None if kind is NetworkType.FLAT else 100 + number,
        mtu=1450,
        admin_state_up=up,
        qos_policy_id=policy,
        client_isolation=isolated,
        shared=shared,
    )


def subnet(name: str, *, dhcp: bool = True) -> Subnet:
    number = NETWORKS.index(name) + 1
    return Subnet(
        id=f"subnet-{name}",
        network_id=name,
        cidr=IPNetwork(f"10.0.{number}.0/24"),
        gateway_ip=IPAddress(f"10.0.{number}.1"),
        enable_dhcp=dhcp,
    )


def mac(name: str) -> EUI:
    return EUI(f"FA-16-3E-00-00-{PORTS.index(name) + 1:02X}")


def port(
    name: str,
    of: str = "tunnelled",
    *,
    up: bool = True,
    security: bool = True,
    pair: bool = False,
    owner: str = "",
    requested_host: str = "",
    bound_host: str = "",
    groups: tuple[str, ...] = (),
    policy: str | None = None,
    filters: Filters = ALL,
    service: bool = False,
) -> Port:
    number = PORTS.index(name) + 1
    return Port(
        id=name,
        key=PortKey(number),
        network_id=of,
        project_id="project",
        name=name,
        mac=mac(name),
        fixed_ips=(FixedIP(f"subnet-{of}", IPAddress(f"10.0.{NETWORKS.index(of) + 1}.{10 + number}")),),
        allowed_address_pairs=(AddressPair(SHARED_MAC, IPNetwork("10.0.1.200/32")),) if pair else (),
        port_security_enabled=security,
        security_filters=filters,
        is_service_port=service,
        admin_state_up=up,
        device_owner=owner,
        requested_host=requested_host,
        bound_host=bound_host,
        security_groups=groups,
        qos_policy_id=policy,
    )


def rule(direction: Direction, *, version: int = 4, remote: str = "", keep: bool = False) -> SecurityRule:
    """A rule for everything, from or to anybody, or who is in a group or the address group."""
    return SecurityRule(
        id=f"{direction}-{version}-{remote}-{keep}",
        direction=direction,
        version=version,
        remote_group_id=remote if remote in GROUPS else None,
        remote_address_group_id=remote if remote == OFFICES else None,
        established=Established.KEEP if keep else Established.CUT,
    )


def group(name: str, *rules: SecurityRule, stateful: bool = True) -> SecurityGroup:
    key = GroupKey(GROUPS.index(name) + 1)
    found = tuple(sorted({one.id: one for one in rules}.values(), key=lambda one: one.id))
    return SecurityGroup(id=name, key=key, project_id="project", name=name, stateful=stateful, rules=found)


def offices(*addresses: str) -> AddressGroup:
    return AddressGroup(
        id=OFFICES, key=GroupKey(9), project_id="project", name=OFFICES, addresses=tuple(map(IPNetwork, addresses))
    )


def ip_group(
    name: str,
    *members: str,
    of: str = "tunnelled",
    vrrp: bool = False,
    pinned: str | None = None,
    holder: str | None = None,
    virtual: bool = False,
) -> IpGroup:
    """The first and third have an IPv4 address each, the second one of IPv6."""
    number = IP_GROUPS.index(name) + 1
    address = f"fd00::{number}" if number == 2 else f"10.0.{NETWORKS.index(of) + 1}.{100 + number}"
    return IpGroup(
        id=name,
        key=GroupKey(20 + number),
        network_id=of,
        project_id="project",
        name=name,
        address=IPAddress(address),
        members=tuple(sorted(members)),
        pinned=pinned,
        vrrp=vrrp,
        holder=holder,
        virtual_mac=SHARED_MAC if virtual and vrrp and holder else None,
    )


def policy(name: str, *rules: QosRule) -> QosPolicy:
    found = {(one.type, one.direction): one for one in rules}
    return QosPolicy(id=name, project_id="project", name=name, rules=tuple(found[key] for key in sorted(found)))


qos_rules = st.builds(
    QosRule,
    st.sampled_from(("bandwidth_limit", "packet_rate_limit")),
    st.sampled_from(Direction),
    st.sampled_from((0, 5, 5000)),
    st.sampled_from((0, 1000)),
) | st.builds(QosRule, st.just("dscp_marking"), st.just(Direction.EGRESS), st.sampled_from((0, 46)))
policies = st.builds(
    lambda name, rules: policy(name, *rules), st.sampled_from(POLICIES), st.lists(qos_rules, max_size=4)
)
rules = st.builds(
    rule,
    st.sampled_from(Direction),
    version=st.sampled_from((4, 6)),
    remote=st.sampled_from(("", *GROUPS, OFFICES)),
    keep=st.booleans(),
)
groups = st.builds(
    lambda name, found, stateful: group(name, *found, stateful=stateful),
    st.sampled_from(GROUPS),
    st.lists(rules, max_size=4),
    st.booleans(),
)
ip_groups = st.builds(
    lambda name, members, of, pinned, holder, vrrp, virtual: ip_group(
        name,
        *members,
        of=of,
        pinned=pinned,
        holder=holder,
        vrrp=vrrp,
        virtual=virtual,
    ),
    st.sampled_from(IP_GROUPS),
    st.sets(st.sampled_from(PORTS), max_size=4),
    st.sampled_from(NETWORKS),
    st.sampled_from((None, None, *PORTS)),
    st.sampled_from((None, *PORTS)),
    st.booleans(),
    st.booleans(),
)
ports = st.builds(
    port,
    st.sampled_from(PORTS),
    st.sampled_from(NETWORKS),
    up=st.booleans(),
    security=st.booleans(),
    pair=st.booleans(),
    owner=st.sampled_from(("", "", "network:router", DHCP_OWNER)),
    requested_host=st.sampled_from(("", "", "h1", "h2")),
    bound_host=st.sampled_from(("", "h1", "h3")),
    groups=st.sets(st.sampled_from(GROUPS), max_size=2).map(lambda some: tuple(sorted(some))),
    policy=st.sampled_from((None, *POLICIES)),
    filters=st.builds(Filters, st.booleans(), st.booleans(), st.booleans()),
    service=st.booleans(),
)
changes_of_ports = st.sampled_from(
    (
        {"port_security_enabled": False},
        {"port_security_enabled": True},
        {"security_filters": Filters(mac=False)},
        {"security_filters": ALL},
        {"admin_state_up": False},
        {"admin_state_up": True},
        {"is_service_port": True},
        {"security_groups": ()},
        {"security_groups": ("g1", "g2")},
        {"qos_policy_id": "slow"},
        {"qos_policy_id": None},
        {"device_owner": "network:router"},
        {"allowed_address_pairs": (AddressPair(SHARED_MAC, IPNetwork("10.0.1.200/32")),)},
    )
)
"""One attribute and its new value: what people change, and what shows which units hang on it alone."""


@dataclass
class Reports:
    """What the hosts report; kept by the test, told to the world."""

    facts: dict[str, HostFacts] = field(default_factory=dict)
    switch: dict[str, dict[str, int]] = field(default_factory=dict)

    def plug(
        self, host_name: str, interface: str, iface_id: str, ofport: int | None, *, right_mac: bool = True
    ) -> None:
        attached = mac(iface_id) if iface_id in PORTS and right_mac else EUI("02-00-00-00-00-99")
        old = self.of(host_name)
        changed = {**old.interfaces, interface: Interface(interface, ofport and Ofport(ofport), iface_id, attached)}
        self.facts[host_name] = replace(old, interfaces=changed)

    def unplug(self, host_name: str, interface: str) -> None:
        old = self.of(host_name)
        left = {name: one for name, one in old.interfaces.items() if name != interface}
        self.facts[host_name] = replace(old, interfaces=left)

    def of(self, host_name: str) -> HostFacts:
        number = HOSTS.index(host_name) + 1
        return self.facts.get(host_name) or HostFacts(
            datapath_id=number,
            serial=f"serial{number}",
            interfaces={},
            tunnel_ofport=Ofport(100),
            patch_ofports={"physnet1": Ofport(101)},
        )

    def tell(self, world: World, host_name: str) -> None:
        if f"id-{host_name}" in world.hosts:
            self.facts[host_name] = self.of(host_name)
            world.set_facts(f"id-{host_name}", self.facts[host_name])


def small_cloud() -> tuple[World, Reports]:
    """Two hosts that were read, the three networks with a subnet each, no port."""
    world, reports = World(), Reports()
    for name in NETWORKS:
        world.put_network(network(name))
        world.put_subnet(subnet(name))
    for name in HOSTS[:2]:
        world.put_host(host(name))
        reports.tell(world, name)
    return world, reports


def busy_cloud() -> tuple[World, Reports]:
    """The small cloud with ports on both hosts, in all three networks, one of them with a DHCP server.

    There are two security groups: members of the first one talk to each other. The port of the tagged network has a QoS
    policy, and so has the plain network.
    """
    world, reports = small_cloud()
    world.put_group(group("g1", rule(Direction.INGRESS, remote="g1"), rule(Direction.INGRESS, version=6, remote="g1")))
    world.put_group(group("g2", rule(Direction.INGRESS, remote=OFFICES), stateful=False))
    for name, of, where, ofport in (
        ("p1", "tunnelled", "h1", 1),
        ("p2", "tunnelled", "h2", 2),
        ("p3", "tagged", "h1", 63),
        ("p4", "plain", "h2", 64),
    ):
        groups, held = (("g1",), None) if of == "tunnelled" else ((), "slow" if of == "tagged" else None)
        world.put_port(port(name, of, groups=groups, policy=held))
        reports.plug(where, f"tap{ofport}", name, ofport)
        reports.tell(world, where)
    world.put_port(port("p6", owner=DHCP_OWNER))
    slow = QosRule("bandwidth_limit", Direction.INGRESS, 5000)
    world.put_policy(policy("slow", slow, QosRule("packet_rate_limit", Direction.EGRESS, 5)))
    world.put_policy(policy("marked", QosRule("dscp_marking", Direction.EGRESS, 46)))
    world.put_network(network("plain", policy="marked"))
    return world, reports


def shared_cloud() -> tuple[World, Reports]:
    """The busy cloud, with the tagged network on both hosts; addresses with virtual MACs in both."""
    world, reports = busy_cloud()
    world.put_port(port("p5", "tagged"))
    reports.plug("h2", "tap3", "p5", 3)
    reports.tell(world, "h2")
    world.put_ip_group(ip_group("vip1", "p1", "p2", holder="p1", vrrp=True, virtual=True))
    world.put_ip_group(ip_group("vip2", "p5", of="tagged", holder="p5", vrrp=True, virtual=True))
    return world, reports


def isolated_cloud() -> tuple[World, Reports]:
    """The shared cloud, with clients that are kept apart in two networks, and a service port in each, far and near.

    The tagged network has two chunks on the second host.
    """
    world, reports = shared_cloud()
    world.put_port(port("p4", "tagged"))
    for name, service in (("tunnelled", "p2"), ("tagged", "p3")):
        world.put_network(network(name, isolated=True))
        world.put_port(replace(world.ports[service], is_service_port=True))
    return world, reports
