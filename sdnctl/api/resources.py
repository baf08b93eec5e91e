# SPDX-License-Identifier: Apache-2.0
"""The resources of the API: one table each. Everything the API says of an attribute, it says here and nowhere else.

From these tables come validation of bodies, who may set and who sees an attribute, filters and sort keys, the OpenAPI
document and the options of the command line. A further resource is a table here, an entry in `RESOURCES`, and its
semantics in the store. A row reads

    Attribute(name, type, may, help, default=, set_by=, change_by=, seen_by=, alias=)

`may` says what a request may do with it: CREATE (in a POST), UPDATE (in a PUT), FILTER (`?name=`), SORT (`sort_key=`).
`default` is what a POST without it means; ABSENT leaves that to the store, REQUIRED refuses. `alias` is the extension
that brings the attribute; "core" is the Networking API itself.

What depends on other objects (a subnet inside its network's, a free address, a network shared with the caller) is not
here: the store checks it inside the transaction. This module imports neither webob nor SQLAlchemy.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
    Prefix,
    Protocol,
    Record,
    Text,
    Type,
    Uuid,
)


class May(enum.Flag):
    """What a request may do with an attribute."""

    NOTHING = 0
    CREATE = enum.auto()
    UPDATE = enum.auto()
    FILTER = enum.auto()
    SORT = enum.auto()


class Default(enum.Enum):
    """What a POST without the attribute means, where that is no value."""

    ABSENT = enum.auto()
    """The store chooses; null would be something else."""
    REQUIRED = enum.auto()
    """The request is refused."""
    CALLER = enum.auto()
    """The caller's project."""


READ_ONLY: Final = May.NOTHING
CREATE: Final = May.CREATE
UPDATE: Final = May.UPDATE
FILTER: Final = May.FILTER
EDIT: Final = May.CREATE | May.UPDATE
FIND: Final = May.FILTER | May.SORT
ABSENT: Final = Default.ABSENT
REQUIRED: Final = Default.REQUIRED
CALLER: Final = Default.CALLER

Roles = frozenset[str]
"""Who: a caller with any of these roles."""
EVERYONE: Final[Roles] = frozenset({"reader", "member", "manager", "admin", "service"})
WRITERS: Final[Roles] = frozenset({"member", "manager", "admin", "service"})
MANAGERS: Final[Roles] = frozenset({"manager", "admin"})
ADMIN: Final[Roles] = frozenset({"admin"})
ADMIN_OR_SERVICE: Final[Roles] = frozenset({"admin", "service"})
SERVICE: Final[Roles] = frozenset({"service"})
NOBODY: Final[Roles] = frozenset()


def allowed(to: Roles, caller: frozenset[str]) -> bool:
    """Whether a caller with these roles is among those `to` names. Everyone is also who has only roles unknown here."""
    return to is EVERYONE or not to.isdisjoint(caller)


SYNONYMS: Final[Mapping[str, str]] = {"tenant_id": "project_id"}
"""Old names of attributes: accepted wherever the right one is, and answered beside it."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One row of a resource's table."""

    name: str
    type: Type
    may: May
    help: str
    default: object = ABSENT
    set_by: Roles = EVERYONE
    """Who may send it in a POST, and in a PUT unless `change_by` says otherwise."""
    change_by: Roles | None = None
    seen_by: Roles = EVERYONE
    """Who finds it in answers; for the others the key is absent."""
    alias: str = "core"


@dataclass(frozen=True, slots=True)
class Action:
    """A request below an object: `METHOD /v2.0/{collection}/{id}/{name}`.

    A PUT takes `takes` as its body, under the key `name`, or as the body itself if it is `bare`; a GET takes it from
    the query.
    """

    name: str
    method: str
    takes: Record
    help: str
    used_by: Roles
    alias: str
    bare: bool = False

    def body(self, arguments: Mapping[str, object]) -> dict[str, object]:
        """The body of the request."""
        return dict(arguments) if self.bare else {self.name: arguments}


@dataclass(frozen=True, slots=True, eq=False)
class Resource:
    """One kind of object."""

    name: str
    """In the singular: the key of bodies, and the kind the store knows it by."""
    collection: str
    help: str
    attributes: tuple[Attribute, ...]
    actions: tuple[Action, ...] = ()
    used_by: Roles = EVERYONE
    """Who may use it at all; for the others every object of it is 404, and the collection 403."""
    tagged: bool = True
    """It has the sub-resource `tags`."""
    read_only: bool = False
    """Nobody makes, changes or deletes one by a request."""
    error: str = ""
    """What starts the types of its errors: `Network` in `NetworkNotFound`."""
    key: str = ""
    """The key of bodies, where it is not the name."""
    below: str = ""
    """Where its path begins, below the version: `qos/`."""
    written_by: Roles = WRITERS
    """Who may make, change and delete objects of it."""
    parent: Resource | None = None
    """Its objects are parts of objects of that one: their path is below the parent's, and goes with it."""
    parent_id: str = ""
    """The parent's id: a variable part of the path, and an attribute of what the repository keeps."""
    by_name: Mapping[str, Attribute] = field(init=False, repr=False, compare=False)
    """The attributes by name, synonyms among them."""

    def __post_init__(self) -> None:
        by_name = {attribute.name: attribute for attribute in self.attributes}
        if len(by_name) != len(self.attributes):
            raise ValueError(f"{self.name}: an attribute stands twice in the table")
        by_name.update({old: by_name[right] for old, right in SYNONYMS.items() if right in by_name})
        object.__setattr__(self, "by_name", by_name)
        object.__setattr__(self, "key", self.key or self.name)

    @property
    def path(self) -> str:
        """The collection's path below the version: bodies have underscores where paths have dashes.

        Paths of parts have underscores too.
        """
        if self.parent is not None:
            return f"{self.parent.path}/{{{self.parent_id}}}/{self.collection}"
        return self.below + self.collection.replace("_", "-")

    @property
    def title(self) -> str:
        """Its name in prose and on the command line."""
        return self.name.replace("_", "-")

    @property
    def one(self) -> str:
        """The name with its article."""
        return f"{'an' if self.name[0] in 'aeio' else 'a'} {self.title}"

    def names(self, may: May) -> tuple[str, ...]:
        """Names of the attributes a request may do `may` with, in the table's order."""
        return tuple(attribute.name for attribute in self.attributes if may in attribute.may)


# ---------------------------------------------------------------------------------------------- types used repeatedly

NAME: Final = Text()
TIME: Final = Text(longest=20, metavar="TIME")
TAG: Final = Text(longest=255, shortest=1, metavar="TAG")
TAGS: Final = ListOf(TAG, longest=256)
MOMENT: Final = Text(
    20,
    20,
    r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z",
    "a time in UTC, like 2030-01-31T00:00:00Z",
    metavar="TIME",
)
STATUS: Final = Choice(("ACTIVE", "DOWN", "ERROR"))
IP_VERSION: Final = Choice((4, 6))
HOST_NAME: Final = Text(255, 1, r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", "a host name", metavar="HOST")
PHYSICAL_NETWORK: Final = Text(64, 1, r"[A-Za-z0-9._-]+", "a name of letters, digits, dots, dashes", metavar="PHYSNET")
INTERFACE: Final = Text(15, 1, r"[^/\s:\"',]+", "an interface name: no spaces, slashes, colons, quotes", metavar="NAME")
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
DNS_NAME: Final = Text(
    255, 0, rf"({_LABEL}(\.{_LABEL})*\.?)?", "a DNS name like vm1 or vm1.example.org.", metavar="NAME"
)
DNS_DOMAIN: Final = Text(
    255, 0, rf"({_LABEL}\.)*", "a DNS domain that ends with a dot, like example.org.", metavar="DOMAIN"
)
_REMOTE = r"(tcp|ssl):(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}|unix:/[^\s]+"
REMOTE: Final = Text(
    255,
    1,
    _REMOTE,
    "an OVSDB remote: tcp:HOST:PORT, ssl:HOST:PORT or unix:/PATH",
    metavar="tcp:IP:PORT|ssl:IP:PORT|unix:PATH",
)
TARGET: Final = Text(
    255,
    1,
    _REMOTE,
    "a controller target: tcp:IP:PORT, ssl:IP:PORT or unix:/PATH",
    metavar="tcp:IP:PORT|ssl:IP:PORT|unix:PATH",
)

FILTERS: Final = Record(
    (
        Field("mac", Boolean(), help="Only from MAC addresses of the port."),
        Field("arp", Boolean(), help="ARP and neighbour discovery only about addresses of the port."),
        Field("ip", Boolean(), help="IPv4 and IPv6 only from addresses of the port."),
    )
)

# ------------------------------------------------------------------------------------------- attributes of all of them

ID: Final = Attribute("id", Uuid(), FIND, "The object's id.")

OWNER: Final = Attribute("project_id", Text(shortest=1, metavar="PROJECT"), CREATE | FIND, "Owner.", default=CALLER)

DESCRIPTION: Final = Attribute(
    "description", Text(), EDIT | FILTER, "Free text.", default="", alias="standard-attr-description"
)

STAMPS: Final = (
    Attribute("created_at", TIME, READ_ONLY, "When it was created, UTC.", alias="standard-attr-timestamp"),
    Attribute("updated_at", TIME, READ_ONLY, "When it was last changed, UTC.", alias="standard-attr-timestamp"),
    Attribute(
        "revision_number",
        Integer(most=2**63 - 1),
        FILTER,
        "Grows with each change of the object and of what hangs on it.",
        alias="standard-attr-revisions",
    ),
)

STANDARD: Final = (
    DESCRIPTION,
    *STAMPS,
    Attribute(
        "tags",
        TAGS,
        CREATE | FILTER,
        "Free words, changed by the sub-resource tags; a filter finds what has all of them.",
        default=[],
        alias="standard-attr-tag",
    ),
    Attribute("tags-any", TAGS, FILTER, "Finds what has any of these tags.", seen_by=NOBODY, alias="standard-attr-tag"),
    Attribute(
        "not-tags", TAGS, FILTER, "Finds what lacks one of these tags.", seen_by=NOBODY, alias="standard-attr-tag"
    ),
    Attribute(
        "not-tags-any", TAGS, FILTER, "Finds what has none of these tags.", seen_by=NOBODY, alias="standard-attr-tag"
    ),
)

ADMIN_STATE: Final = Attribute("admin_state_up", Boolean(), EDIT | FIND, "false takes it down.", default=True)

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
            "What passed its interface, and what was dropped of it and why.",
            EVERYONE,
            "sdnctl-statistics",
        ),
    ),
)

# ---------------------------------------------------------------------------------------------------- security groups

SECURITY_GROUP: Final = Resource(
    "security_group",
    "security_groups",
    "A set of rules that ports can have: a port may do what any rule of any of its groups allows.",
    error="SecurityGroup",
    attributes=(
        ID,
        Attribute("name", NAME, EDIT | FIND, "A name for people; only `default` is taken.", default=""),
        OWNER,
        Attribute(
            "stateful",
            Boolean(),
            EDIT | FILTER,
            "Replies to what is allowed pass by themselves; fixed while a port is in the group.",
            default=True,
            alias="stateful-security-group",
        ),
        Attribute("security_group_rules", Json(), READ_ONLY, "Its rules, whole."),
        *STANDARD,
    ),
)

SECURITY_GROUP_RULE: Final = Resource(
    "security_group_rule",
    "security_group_rules",
    "One thing that a security group allows. Rules are made and deleted, never changed.",
    error="SecurityGroupRule",
    tagged=False,
    attributes=(
        ID,
        Attribute("security_group_id", Uuid(), CREATE | FIND, "The group.", default=REQUIRED),
        OWNER,
        Attribute(
            "direction",
            Choice(("ingress", "egress")),
            CREATE | FIND,
            "ingress: to the port; egress: from the port.",
            default=REQUIRED,
        ),
        Attribute("ethertype", Choice(("IPv4", "IPv6")), CREATE | FIND, "The IP version.", default="IPv4"),
        Attribute(
            "protocol",
            OrNull(Protocol()),
            CREATE | FIND,
            "By name or number, kept as given; null: every one. In IPv6 the one behind the extension headers.",
            default=None,
        ),
        Attribute(
            "port_range_min",
            OrNull(Integer(0, 65535)),
            CREATE | FIND,
            "First destination port of tcp, udp or sctp, or the ICMP type; null: all.",
            default=None,
        ),
        Attribute(
            "port_range_max",
            OrNull(Integer(0, 65535)),
            CREATE | FIND,
            "Last destination port, or the ICMP code; null: all.",
            default=None,
        ),
        Attribute(
            "remote_ip_prefix",
            OrNull(Prefix()),
            CREATE | FIND,
            "The other end is in this prefix, kept as given; an address stands for itself.",
            default=None,
        ),
        Attribute(
            "normalized_cidr",
            OrNull(Cidr()),
            FIND,
            "remote_ip_prefix without host bits.",
            alias="security-groups-normalized-cidr",
        ),
        Attribute(
            "remote_group_id",
            OrNull(Uuid()),
            CREATE | FIND,
            "The other end is a port in this security group.",
            default=None,
        ),
        Attribute(
            "remote_address_group_id",
            OrNull(Uuid()),
            CREATE | FIND,
            "The other end is in this address group. Of the three remotes at most one may be set.",
            default=None,
            alias="security-groups-remote-address-group",
        ),
        Attribute(
            "established",
            Choice(("cut", "keep")),
            CREATE | FILTER,
            "What becomes of connections when the rule, or the port's membership, goes away.",
            default="cut",
            alias="sdnctl-established",
        ),
        Attribute("description", Text(), CREATE | FILTER, "Free text.", default="", alias="standard-attr-description"),
        *STAMPS,
    ),
)

PREFIXES: Final = ListOf(Prefix(), longest=1000)
ADDRESSES: Final = Record((Field("addresses", PREFIXES, required=True, help="Prefixes or addresses."),))

ADDRESS_GROUP: Final = Resource(
    "address_group",
    "address_groups",
    "A named set of prefixes that rules of security groups can refer to.",
    error="AddressGroup",
    tagged=False,
    attributes=(
        ID,
        Attribute("name", NAME, EDIT | FIND, "A name for people; need not be unique.", default=""),
        OWNER,
        Attribute(
            "addresses",
            PREFIXES,
            CREATE,
            "Its prefixes, without host bits; changed by add_addresses and remove_addresses.",
            default=[],
            alias="address-group",
        ),
        Attribute("description", Text(1024), EDIT | FIND, "Free text.", default="", alias="standard-attr-description"),
        *STAMPS,
    ),
    actions=(
        Action("add_addresses", "PUT", ADDRESSES, "Add prefixes.", WRITERS, "address-group", bare=True),
        Action("remove_addresses", "PUT", ADDRESSES, "Remove prefixes.", WRITERS, "address-group", bare=True),
    ),
)

# --------------------------------------------------------------------------------------------------- quality of service

DIRECTION: Final = Choice(("egress", "ingress"))
DSCP: Final = Choice((0, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40, 44, 46, 48, 56))

QOS_POLICY: Final = Resource(
    "qos_policy",
    "policies",
    "A set of rules for ports: how much they may send and receive, and how their packets are marked.",
    error="QosPolicy",
    key="policy",
    below="qos/",
    written_by=MANAGERS,
    attributes=(
        ID,
        Attribute("name", NAME, EDIT | FIND, "A name for people; need not be unique.", default="", alias="qos"),
        OWNER,
        Attribute(
            "shared",
            Boolean(),
            EDIT | FILTER,
            "Every project may use it.",
            default=False,
            set_by=ADMIN,
            alias="qos",
        ),
        Attribute(
            "is_default",
            Boolean(),
            EDIT | FILTER,
            "New networks of the project have it unless they say otherwise; one of a project.",
            default=False,
            alias="qos-default",
        ),
        Attribute("rules", Json(), READ_ONLY, "Its rules, whole, each with its type.", alias="qos"),
        *STANDARD,
    ),
)

_DIRECTION: Final = Attribute(
    "direction",
    DIRECTION,
    EDIT,
    "egress: from the port; ingress: to the port.",
    "egress",
    alias="qos-bw-limit-direction",
)


def _rules(name: str, help_text: str, *attributes: Attribute) -> Resource:
    """Rules of one type of QoS policies."""
    return Resource(
        name,
        f"{name}s",
        help_text,
        (ID, *attributes),
        tagged=False,
        error="QosRule",
        written_by=MANAGERS,
        parent=QOS_POLICY,
        parent_id="qos_policy_id",
    )


BANDWIDTH_LIMIT_RULE: Final = _rules(
    "bandwidth_limit_rule",
    "How many bits of frames may pass.",
    Attribute("max_kbps", Integer(), EDIT | FIND, "Kilobits per second; 0: no limit.", default=REQUIRED, alias="qos"),
    Attribute(
        "max_burst_kbps",
        Integer(),
        EDIT | FIND,
        "Kilobits that may pass at once; 0: what the rate lets pass in 0.2 s. At least 100 are meant.",
        default=0,
        alias="qos",
    ),
    _DIRECTION,
)
PACKET_RATE_LIMIT_RULE: Final = _rules(
    "packet_rate_limit_rule",
    "How many packets may pass.",
    Attribute(
        "max_kpps",
        Integer(),
        EDIT | FIND,
        "Thousands of packets per second; 0: no limit.",
        default=REQUIRED,
        alias="qos-pps",
    ),
    Attribute(
        "max_burst_kpps",
        Integer(),
        EDIT | FIND,
        "Thousands of packets that may pass at once; 0: what the rate lets pass in 0.2 s.",
        default=0,
        alias="qos-pps",
    ),
    replace(_DIRECTION, may=EDIT | FIND, alias="qos-pps"),
)
DSCP_MARKING_RULE: Final = _rules(
    "dscp_marking_rule",
    "What IP packets from the port are marked with.",
    Attribute("dscp_mark", DSCP, EDIT | FIND, "The DSCP value.", default=REQUIRED, alias="qos"),
)

# ----------------------------------------------------------------------------------------------- our own: IP groups

IP_GROUP: Final = Resource(
    "ip_group",
    "ip_groups",
    "A fail-over address: several ports may send from it, and whichever announced it last has it.",
    error="IpGroup",
    attributes=(
        ID,
        Attribute("name", NAME, EDIT | FIND, "A name for people; need not be unique.", default=""),
        OWNER,
        Attribute("network_id", Uuid(), CREATE | FIND, "The network.", default=REQUIRED),
        Attribute(
            "ip_address",
            Address(),
            CREATE | FIND,
            "The address, in a subnet of the network if it has any, or IPv6 link-local; default: a free one.",
            alias="sdnctl-ip-groups",
        ),
        Attribute(
            "port_ids",
            ListOf(Uuid(), longest=256),
            EDIT | FILTER,
            "Its members: ports of the network that may send from the address; a PUT replaces all.",
            default=[],
            alias="sdnctl-ip-groups",
        ),
        Attribute(
            "active",
            Text(
                36,
                4,
                r"auto|[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}",
                "auto, or the id of a member",
                metavar="auto|PORT",
            ),
            EDIT | FILTER,
            "auto: the member that announced the address last has it; a member's id: that one, whatever others say.",
            default="auto",
            alias="sdnctl-ip-groups",
        ),
        Attribute(
            "vrrp",
            Boolean(),
            EDIT | FILTER,
            "Members run VRRP: they may use virtual MAC addresses, and hear each other whatever security groups say.",
            default=False,
            alias="sdnctl-ip-groups",
        ),
        Attribute(
            "holder",
            OrNull(Uuid()),
            FIND,
            "The member that has the address; null: none is known to.",
            alias="sdnctl-ip-groups",
        ),
        Attribute(
            "virtual_mac",
            OrNull(Mac()),
            READ_ONLY,
            "The virtual MAC address with which it announced the address; null: its port's own.",
            alias="sdnctl-ip-groups",
        ),
        *STANDARD,
    ),
)

# ------------------------------------------------------------------------------- our own: hosts, projects, tokens

HOST: Final = Resource(
    "host",
    "hosts",
    "A machine with Open vSwitch that we control: one integration bridge.",
    error="Host",
    used_by=ADMIN,
    attributes=(
        ID,
        Attribute("name", HOST_NAME, CREATE | FIND, "Its name; unique; what binding:host_id says.", default=REQUIRED),
        Attribute("ovsdb", REMOTE, EDIT | FILTER, "Where its ovsdb-server listens.", default=REQUIRED),
        Attribute("bridge", INTERFACE, CREATE | FILTER, "The integration bridge.", default="br-int"),
        Attribute("tunnel_ip", OrNull(Address(4)), EDIT | FIND, "Its underlay address; null: no vxlan.", default=None),
        Attribute(
            "bridge_mappings",
            MapOf(PHYSICAL_NETWORK, INTERFACE),
            EDIT,
            "Physical network to provider bridge.",
            default={},
        ),
        Attribute("datapath_type", Choice(("system", "netdev")), EDIT | FILTER, "As in OVSDB.", default="system"),
        Attribute("gateway", Boolean(), EDIT | FILTER, "It may carry routers' gateways.", default=False),
        Attribute(
            "controllers",
            ListOf(TARGET, longest=16, unique=True),
            EDIT,
            "What its bridge is told as controller; empty: what --openflow-advertise says.",
            default=[],
        ),
        Attribute("state", Text(), READ_ONLY, "State of its connections; LIVE: it follows every change."),
        Attribute("revision", Integer(), READ_ONLY, "The revision the controller has read."),
        Attribute("applied_revision", Integer(), READ_ONLY, "The last revision its switch has confirmed."),
        Attribute("error", Text(), READ_ONLY, "Why it is not LIVE, or what its switch refused."),
        Attribute("problems", ListOf(Text()), READ_ONLY, "What could not be set up on it."),
        Attribute("openflow_peer", OrNull(Text()), READ_ONLY, "Where its switch connects from; null: it does not."),
        Attribute("ovsdb_connected", Boolean(), READ_ONLY, "Its ovsdb-server answers."),
        Attribute("datapath_id", OrNull(Text()), READ_ONLY, "Its bridge's datapath id."),
        Attribute("flows", Integer(), READ_ONLY, "Flows installed."),
        Attribute("ports", Integer(), READ_ONLY, "Ports bound to it."),
        *STANDARD,
    ),
    actions=(
        Action(
            "flows",
            "GET",
            Record(
                (
                    Field("view", Choice(("desired", "installed", "difference")), default="desired"),
                    Field("app", Text(), help="Only flows of this app."),
                    Field("object", Text(), help="Only flows of this object: an id."),
                    Field("project", Text(), help="Only flows of this project's objects."),
                )
            ),
            "Its flows in ovs-ofctl text, each with its owner.",
            ADMIN,
            "sdnctl-flows",
        ),
        Action(
            "check",
            "GET",
            Record(()),
            "What it has and lacks, asked now: findings, each with verdict and remedy.",
            ADMIN,
            "sdnctl-host-check",
        ),
    ),
)

SECURITY_EVENT: Final = Resource(
    "security_event",
    "security_events",
    "A port that sends what is not its own: one for each port and reason, until it is quiet for a minute.",
    error="SecurityEvent",
    tagged=False,
    read_only=True,
    attributes=(
        ID,
        Attribute("project_id", Text(shortest=1, metavar="PROJECT"), FIND, "The port's owner."),
        Attribute("port_id", Uuid(), FIND, "The port that sent it; it may be gone by now."),
        Attribute("network_id", Uuid(), FIND, "Its network."),
        Attribute("host", HOST_NAME, READ_ONLY, "The host it was on.", seen_by=ADMIN),
        Attribute("reason", Text(32), FIND, "What was wrong with it, a word: foreign_arp, dhcp_server, ..."),
        Attribute("text", Text(), READ_ONLY, "The first frame in words."),
        Attribute("packets", Integer(), May.SORT, "How many frames so far; all were dropped."),
        Attribute("first_seen", Text(24, metavar="TIME"), May.SORT, "When it began, UTC."),
        Attribute("last_seen", Text(24, metavar="TIME"), May.SORT, "When the counter last grew, UTC."),
        Attribute("active", Boolean(), FIND, "It goes on."),
    ),
)

PROJECT: Final = Resource(
    "project",
    "projects",
    "Who owns networks.",
    error="Project",
    used_by=ADMIN,
    attributes=(
        ID,
        Attribute("name", Text(shortest=1), EDIT | FIND, "Its name; unique.", default=REQUIRED),
        Attribute("enabled", Boolean(), EDIT | FILTER, "false: its tokens let nobody in.", default=True),
        *STANDARD,
    ),
)

ROLES: Final = ListOf(Choice(("admin", "manager", "member", "reader", "service")), unique=True)

TOKEN: Final = Resource(
    "token",
    "tokens",
    "A secret that lets in, for one project and with some roles.",
    error="Token",
    used_by=ADMIN,
    attributes=(
        ID,
        Attribute("name", NAME, EDIT | FIND, "A name for people.", default=""),
        Attribute(
            "project_id", Text(shortest=1, metavar="PROJECT"), CREATE | FIND, "For this project.", default=REQUIRED
        ),
        Attribute("roles", ROLES, CREATE, "What its bearer may do.", default=["member"]),
        Attribute("expires_at", OrNull(MOMENT), CREATE, "When it ends, UTC; null: never.", default=None),
        Attribute("secret", Text(), READ_ONLY, "What to send as X-Auth-Token; answered once, when it is created."),
        *STANDARD,
    ),
)

RESOURCES: Final = (
    NETWORK,
    SUBNET,
    PORT,
    SECURITY_GROUP,
    SECURITY_GROUP_RULE,
    ADDRESS_GROUP,
    IP_GROUP,
    QOS_POLICY,
    SECURITY_EVENT,
    HOST,
    PROJECT,
    TOKEN,
)
"""All resources, in the order in which documents and helps list them."""

PARTS: Final = (BANDWIDTH_LIMIT_RULE, PACKET_RATE_LIMIT_RULE, DSCP_MARKING_RULE)
"""Resources whose objects are parts of others."""


def parts_of(resource: Resource) -> tuple[Resource, ...]:
    """What its objects have as parts."""
    return tuple(part for part in PARTS if part.parent is resource)


def alias_of(part: Resource) -> Resource:
    """The same parts, one by one, without the parent in their path: `alias-...` beside it."""
    if part.parent is None:
        raise ValueError(f"{part.name} is part of nothing")
    return replace(
        part,
        collection=f"alias_{part.collection}",
        key=f"alias_{part.key}",
        below=part.parent.below,
        parent=None,
        parent_id="",
    )


BY_COLLECTION: Final[Mapping[str, Resource]] = {resource.collection: resource for resource in RESOURCES}
BY_NAME: Final[Mapping[str, Resource]] = {resource.name: resource for resource in (*RESOURCES, *PARTS)}
