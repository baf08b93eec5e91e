# SPDX-License-Identifier: Apache-2.0
"""Types and attributes that several resources have."""

from __future__ import annotations

from typing import Final

from sdnctl.api.attributes import (
    Boolean,
    Choice,
    Field,
    Integer,
    ListOf,
    Record,
    Text,
    Uuid,
)
from sdnctl.api.resources.table import (
    CALLER,
    CREATE,
    EDIT,
    FILTER,
    FIND,
    NOBODY,
    READ_ONLY,
    Attribute,
)

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
