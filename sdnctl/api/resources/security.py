# SPDX-License-Identifier: Apache-2.0
"""Security groups, their rules, address groups."""

from __future__ import annotations

from typing import Final

from sdnctl.api.attributes import (
    Boolean,
    Choice,
    Cidr,
    Field,
    Integer,
    Json,
    ListOf,
    OrNull,
    Prefix,
    Protocol,
    Record,
    Text,
    Uuid,
)
from sdnctl.api.resources.common import (
    ID,
    NAME,
    OWNER,
    STAMPS,
    STANDARD,
)
from sdnctl.api.resources.table import (
    CREATE,
    EDIT,
    FILTER,
    FIND,
    READ_ONLY,
    REQUIRED,
    WRITERS,
    Action,
    Attribute,
    Resource,
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
