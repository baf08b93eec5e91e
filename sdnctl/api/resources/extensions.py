# SPDX-License-Identifier: Apache-2.0
"""What the Networking API lacks: IP groups, hosts, security events, projects, tokens."""

from __future__ import annotations

from typing import Final

from sdnctl.api.attributes import (
    Address,
    Boolean,
    Choice,
    Field,
    Integer,
    ListOf,
    Mac,
    MapOf,
    OrNull,
    Record,
    Text,
    Uuid,
)
from sdnctl.api.resources.common import (
    HOST_NAME,
    ID,
    INTERFACE,
    MOMENT,
    NAME,
    OWNER,
    PHYSICAL_NETWORK,
    REMOTE,
    STANDARD,
    TARGET,
)
from sdnctl.api.resources.table import (
    ADMIN,
    CREATE,
    EDIT,
    FILTER,
    FIND,
    READ_ONLY,
    REQUIRED,
    Action,
    Attribute,
    May,
    Resource,
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
