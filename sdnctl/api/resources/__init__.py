# SPDX-License-Identifier: Apache-2.0
"""The resources of the API: one table each. Everything the API says of an attribute, it says here and nowhere else.

From these tables come validation of bodies, who may set and who sees an attribute, filters and sort keys, the OpenAPI
document and the options of the command line. A further resource is a table in a module of this package, an entry in
`RESOURCES`, and its semantics in the store. A row reads

    Attribute(name, type, may, help, default=, set_by=, change_by=, seen_by=, alias=)

`may` says what a request may do with it: CREATE (in a POST), UPDATE (in a PUT), FILTER (`?name=`), SORT (`sort_key=`).
`default` is what a POST without it means; ABSENT leaves that to the store, REQUIRED refuses. `alias` is the extension
that brings the attribute; "core" is the Networking API itself.

What depends on other objects (a subnet inside its network's, a free address, a network shared with the caller) is not
here: the store checks it inside the transaction. This package imports neither webob nor SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from sdnctl.api.resources.common import TAGS
from sdnctl.api.resources.extensions import HOST, IP_GROUP, PROJECT, SECURITY_EVENT, TOKEN
from sdnctl.api.resources.networks import NETWORK, PORT, SUBNET
from sdnctl.api.resources.qos import BANDWIDTH_LIMIT_RULE, DSCP_MARKING_RULE, PACKET_RATE_LIMIT_RULE, QOS_POLICY
from sdnctl.api.resources.security import ADDRESS_GROUP, SECURITY_GROUP, SECURITY_GROUP_RULE
from sdnctl.api.resources.table import (
    ADMIN,
    EVERYONE,
    REQUIRED,
    SYNONYMS,
    WRITERS,
    Action,
    Attribute,
    Default,
    May,
    Resource,
    Roles,
    allowed,
)

__all__ = [
    "ADDRESS_GROUP",
    "ADMIN",
    "BANDWIDTH_LIMIT_RULE",
    "BY_COLLECTION",
    "BY_NAME",
    "DSCP_MARKING_RULE",
    "EVERYONE",
    "HOST",
    "IP_GROUP",
    "NETWORK",
    "PACKET_RATE_LIMIT_RULE",
    "PARTS",
    "PORT",
    "PROJECT",
    "QOS_POLICY",
    "REQUIRED",
    "RESOURCES",
    "SECURITY_EVENT",
    "SECURITY_GROUP",
    "SECURITY_GROUP_RULE",
    "SUBNET",
    "SYNONYMS",
    "TAGS",
    "TOKEN",
    "WRITERS",
    "Action",
    "Attribute",
    "Default",
    "May",
    "Resource",
    "Roles",
    "alias_of",
    "allowed",
    "parts_of",
]

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
