# SPDX-License-Identifier: Apache-2.0
"""Networks, subnets, ports."""

from __future__ import annotations

from typing import Final

from sdnctl.api.attributes import (
    Address,
    Boolean,
    Choice,
    Cidr,
    Field,
    Integer,
    Json,
    ListOf,
    Mac,
    MapOf,
    OrNull,
    Record,
    Text,
    Uuid,
)
from sdnctl.api.resources.common import (
    ADMIN_STATE,
    DNS_DOMAIN,
    DNS_NAME,
    FILTERS,
    HOST_NAME,
    ID,
    INTERFACE,
    IP_VERSION,
    NAME,
    OWNER,
    PHYSICAL_NETWORK,
    STANDARD,
    STATUS,
)
from sdnctl.api.resources.table import (
    ADMIN,
    ADMIN_OR_SERVICE,
    CREATE,
    EDIT,
    EVERYONE,
    FILTER,
    FIND,
    MANAGERS,
    READ_ONLY,
    REQUIRED,
    SERVICE,
    Action,
    Attribute,
    Resource,
)

# ------------------------------------------------------------------------------------------------------------ networks

NETWORK: Final = Resource(
    "network",
    "networks",
    "One L2 domain.",
    error="Network",
    attributes=(
        ID,
        Attribute("name", NAME, EDIT | FIND, "A name for people; need not be unique.", default=""),
        OWNER,
        ADMIN_STATE,
        Attribute("status", STATUS, FIND, "ACTIVE as soon as it exists."),
        Attribute("shared", Boolean(), EDIT | FILTER, "Every project may use it.", default=False, set_by=ADMIN),
        Attribute(
            "router:external",
            Boolean(),
            EDIT | FILTER,
            "It leads outside: every project sees it, only admins make ports on it.",
            default=False,
            set_by=ADMIN,
            alias="external-net",
        ),
        Attribute("subnets", ListOf(Uuid()), READ_ONLY, "Ids of its subnets."),
        Attribute(
            "mtu",
            Integer(0, 65535),
            EDIT | FIND,
            "Largest IP packet, told to guests; 0: what the underlay can carry, which is also the limit.",
            default=0,
            alias="net-mtu",
        ),
        Attribute(
            "provider:network_type",
            Choice(("flat", "vlan", "vxlan")),
            CREATE | FILTER,
            "How its frames travel between hosts; default: as configured.",
            set_by=ADMIN,
            seen_by=ADMIN,
            alias="provider",
        ),
        Attribute(
            "provider:physical_network",
            OrNull(PHYSICAL_NETWORK),
            CREATE | FILTER,
            "The physical network of a flat or vlan network.",
            set_by=ADMIN,
            seen_by=ADMIN,
            alias="provider",
        ),
        Attribute(
            "provider:segmentation_id",
            OrNull(Integer(1, 2**24 - 1)),
            CREATE | FILTER,
            "VLAN id or VNI; default: a free one of the configured ranges.",
            set_by=ADMIN,
            seen_by=ADMIN,
            alias="provider",
        ),
        Attribute(
            "port_security_enabled",
            Boolean(),
            EDIT,
            "What new ports of the network get as theirs.",
            default=True,
            alias="port-security",
        ),
        Attribute(
            "security_filters",
            FILTERS,
            EDIT,
            "What new ports of the network get as theirs; default: all on.",
            alias="sdnctl-security-filters",
        ),
        Attribute(
            "client_isolation",
            Boolean(),
            EDIT | FILTER,
            "Ports reach the network's service ports and nobody else.",
            default=False,
            alias="sdnctl-client-isolation",
        ),
        Attribute(
            "service_ports",
            ListOf(Uuid(), longest=256, unique=True),
            EDIT,
            "Ports that all reach where clients are isolated; a PUT replaces the list. A machine outside of sdnctl is "
            "one by a port with its MAC address that is never plugged.",
            default=[],
            alias="sdnctl-client-isolation",
        ),
        Attribute("dns_domain", DNS_DOMAIN, EDIT, "Domain told to guests.", default="", alias="sdnctl-dns"),
        Attribute(
            "qos_policy_id",
            OrNull(Uuid()),
            EDIT,
            "The QoS policy of its ports that have none themselves; null: none; default: the project's default policy.",
            alias="qos",
        ),
        *STANDARD,
    ),
)

# ------------------------------------------------------------------------------------------------------------- subnets

IPV6_MODE: Final = Choice(("dhcpv6-stateful", "dhcpv6-stateless", "slaac"))

SUBNET: Final = Resource(
    "subnet",
    "subnets",
    "One address range of a network.",
    error="Subnet",
    attributes=(
        ID,
        Attribute("name", NAME, EDIT | FIND, "A name for people; need not be unique.", default=""),
        OWNER,
        Attribute("network_id", Uuid(), CREATE | FIND, "The network.", default=REQUIRED),
        Attribute("ip_version", IP_VERSION, CREATE | FIND, "4 or 6.", default=REQUIRED),
        Attribute("cidr", Cidr(), CREATE | FIND, "The range; host bits are cleared.", default=REQUIRED),
        Attribute(
            "gateway_ip",
            OrNull(Address()),
            EDIT | FIND,
            "Default gateway told to guests; null: none; default: the first address.",
        ),
        Attribute(
            "allocation_pools",
            ListOf(Record((Field("start", Address(), required=True), Field("end", Address(), required=True)))),
            EDIT,
            "Ranges that ports' addresses are chosen from; default: all but the gateway.",
        ),
        Attribute("enable_dhcp", Boolean(), EDIT | FIND, "Guests are answered by DHCP.", default=True),
        Attribute(
            "dns_nameservers",
            OrNull(ListOf(Address(), longest=32, unique=True), null=[]),
            EDIT,
            "Name servers told to guests.",
            default=[],
        ),
        Attribute(
            "host_routes",
            OrNull(
                ListOf(
                    Record((Field("destination", Cidr(), required=True), Field("nexthop", Address(), required=True))),
                    longest=64,
                    unique=True,
                ),
                null=[],
            ),
            EDIT,
            "Routes told to guests.",
            default=[],
        ),
        Attribute(
            "ipv6_ra_mode",
            OrNull(IPV6_MODE),
            CREATE | FIND,
            "Kept and told; sdnctl sends no router advertisements yet.",
            default=None,
        ),
        Attribute(
            "ipv6_address_mode",
            OrNull(IPV6_MODE),
            CREATE | FIND,
            "How guests get addresses; slaac and dhcpv6-stateless: from their MAC.",
            default=None,
        ),
        Attribute(
            "service_types",
            OrNull(ListOf(Text(shortest=1), longest=32, unique=True), null=[]),
            EDIT,
            "Only ports with one of these as device_owner get addresses here; empty: all.",
            default=[],
            set_by=ADMIN,
            alias="subnet-service-types",
        ),
        Attribute("subnetpool_id", OrNull(Uuid()), READ_ONLY, "null: there are no subnet pools yet."),
        *STANDARD,
    ),
)

# --------------------------------------------------------------------------------------------------------------- ports

FIXED_IP: Final = Record(
    (
        Field("subnet_id", Uuid(), help="A subnet of the port's network."),
        Field("ip_address", Address(), help="An address; default: a free one of the subnet."),
    )
)
ADDRESS_PAIR: Final = Record(
    (
        Field("ip_address", Cidr(or_address=True), required=True, help="An address or a CIDR."),
        Field("mac_address", Mac(), help="Default: the port's."),
    )
)
DHCP_OPTION: Final = Record(
    (
        Field("opt_name", Text(64, 1, r"[A-Za-z0-9:._-]+", "a DHCP option's name or number"), required=True),
        Field("opt_value", OrNull(Text()), required=True, help="null removes the option."),
        Field("ip_version", IP_VERSION, default=4),
    )
)
PLUG: Final = Record(
    (
        Field("host", HOST_NAME, required=True, help="The host's name."),
        Field(
            "type",
            Choice(("internal", "tap", "dpdkvhostuserclient", "system")),
            default="internal",
            help="What to make; system: a device that exists.",
        ),
        Field("interface", INTERFACE, help="Its name; default: tap and the first 11 characters of the port's id."),
    )
)

PORT: Final = Resource(
    "port",
    "ports",
    "What one interface of a workload may be on the network.",
    error="Port",
    attributes=(
        ID,
        Attribute("name", NAME, EDIT | FIND, "A name for people; need not be unique.", default=""),
        OWNER,
        Attribute("network_id", Uuid(), CREATE | FIND, "The network.", default=REQUIRED),
        ADMIN_STATE,
        Attribute("status", STATUS, FIND, "ACTIVE once its host's switch has confirmed all its flows."),
        Attribute(
            "mac_address",
            Mac(),
            EDIT | FIND,
            "Its MAC address; default: a free one.",
            change_by=MANAGERS | ADMIN_OR_SERVICE,
        ),
        Attribute(
            "fixed_ips",
            ListOf(FIXED_IP, longest=64),
            EDIT | FILTER,
            "Its addresses; default: one of each IP version's first subnet; a PUT replaces all.",
        ),
        Attribute("device_id", Text(), EDIT | FIND, "The workload it belongs to.", default=""),
        Attribute("device_owner", Text(), EDIT | FIND, "What kind of workload that is.", default=""),
        Attribute(
            "allowed_address_pairs",
            OrNull(ListOf(ADDRESS_PAIR, longest=256, unique=True), null=[]),
            EDIT,
            "Further addresses it may send from.",
            default=[],
            alias="allowed-address-pairs",
        ),
        Attribute(
            "port_security_enabled",
            Boolean(),
            EDIT,
            "false: any address may be sent from; default: the network's.",
            alias="port-security",
        ),
        Attribute(
            "security_filters",
            FILTERS,
            EDIT,
            "What port security holds against the addresses of the port; default: the network's; a PUT changes what it "
            "names. On shared, external and flat networks only admins turn one off.",
            alias="sdnctl-security-filters",
        ),
        Attribute(
            "is_service_port",
            Boolean(),
            FILTER,
            "It is among the service_ports of its network.",
            alias="sdnctl-client-isolation",
        ),
        Attribute(
            "observed_ips",
            ListOf(Address()),
            READ_ONLY,
            "Addresses it was seen to use within the last hour, at most 16; of networks without subnet.",
            alias="sdnctl-security-filters",
        ),
        Attribute(
            "security_groups",
            OrNull(ListOf(Uuid(), longest=64)),
            EDIT | FILTER,
            "Its security groups; default: the project's default group; empty: nothing is filtered.",
            alias="security-group",
        ),
        Attribute(
            "extra_dhcp_opts",
            OrNull(ListOf(DHCP_OPTION, longest=64), null=[]),
            EDIT,
            "DHCP options by name or number; a PUT merges by name and version.",
            default=[],
            alias="extra_dhcp_opt",
        ),
        Attribute("qos_policy_id", OrNull(Uuid()), EDIT, "Its QoS policy.", default=None, alias="qos"),
        Attribute(
            "qos_network_policy_id",
            OrNull(Uuid()),
            READ_ONLY,
            "Its network's QoS policy, which holds where it has none itself.",
            alias="qos-port-network-policy",
        ),
        Attribute("dns_name", DNS_NAME, EDIT, "Host name told to the guest.", default="", alias="sdnctl-dns"),
        Attribute(
            "dns_domain", DNS_DOMAIN, EDIT, "Its domain; default: the network's.", default="", alias="sdnctl-dns"
        ),
        Attribute(
            "dns_assignment",
            ListOf(Record((Field("ip_address", Address()), Field("hostname", Text()), Field("fqdn", Text())))),
            READ_ONLY,
            "Names of its addresses.",
            alias="sdnctl-dns",
        ),
        Attribute(
            "binding:host_id",
            OrNull(Text(metavar="HOST"), null=""),
            EDIT | FILTER,
            'The only host that may bind it; "" lets any host.',
            default="",
            set_by=ADMIN_OR_SERVICE,
            seen_by=ADMIN_OR_SERVICE,
            alias="binding",
        ),
        Attribute(
            "binding:profile",
            OrNull(MapOf(Text(shortest=1), Json()), null={}),
            EDIT,
            "What Nova keeps there.",
            default={},
            set_by=SERVICE,
            seen_by=ADMIN_OR_SERVICE,
            alias="binding",
        ),
        Attribute("binding:vnic_type", Choice(("normal",)), EDIT, "normal.", default="normal", alias="binding"),
        Attribute(
            "binding:vif_type", Text(), READ_ONLY, "Outcome of the binding.", seen_by=ADMIN_OR_SERVICE, alias="binding"
        ),
        Attribute(
            "binding:vif_details", Json(), READ_ONLY, "How to plug it.", seen_by=ADMIN_OR_SERVICE, alias="binding"
        ),
        Attribute(
            "bound_host",
            Text(),
            FILTER,
            'The host it is bound to; "" while it is not.',
            seen_by=ADMIN_OR_SERVICE,
            alias="sdnctl-hosts",
        ),
        Attribute(
            "plug",
            OrNull(PLUG),
            READ_ONLY,
            "The interface sdnctl makes for it; set by the plug action.",
            seen_by=ADMIN_OR_SERVICE,
            alias="sdnctl-plug",
        ),
        *STANDARD,
    ),
    actions=(
        Action("plug", "PUT", PLUG, "Make the port's interface on a host.", ADMIN_OR_SERVICE, "sdnctl-plug"),
        Action("unplug", "PUT", Record(()), "Remove the interface that plug made.", ADMIN_OR_SERVICE, "sdnctl-plug"),
        Action(
            "statistics",
            "GET",
            Record(()),
            "What passed its interface, what was dropped of it and why, and what its limits dropped.",
            EVERYONE,
            "sdnctl-statistics",
        ),
    ),
)
