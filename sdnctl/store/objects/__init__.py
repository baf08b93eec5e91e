# SPDX-License-Identifier: Apache-2.0
"""What each kind of object looks like to users, and who may see it: one value each.

A further kind is a value in a module of this package and an entry in `KINDS`. A new column is an attribute at once,
unless its kind hides it; a test holds them against the resources of the API.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sdnctl.store.objects.extensions import HOST, IP_GROUP, PROJECT, SECURITY_EVENT, TOKEN
from sdnctl.store.objects.kind import Kind, is_service
from sdnctl.store.objects.networks import NETWORK, PORT, SUBNET, security_filters
from sdnctl.store.objects.qos import QOS_POLICY, QOS_RULES
from sdnctl.store.objects.security import ADDRESS_GROUP, SECURITY_GROUP, SECURITY_GROUP_RULE

__all__ = [
    "ADDRESS_GROUP",
    "HOST",
    "IP_GROUP",
    "KINDS",
    "NETWORK",
    "PORT",
    "PROJECT",
    "QOS_POLICY",
    "QOS_RULES",
    "SECURITY_EVENT",
    "SECURITY_GROUP",
    "SECURITY_GROUP_RULE",
    "SUBNET",
    "TOKEN",
    "Kind",
    "is_service",
    "security_filters",
]

KINDS: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        NETWORK,
        SUBNET,
        PORT,
        SECURITY_GROUP,
        SECURITY_GROUP_RULE,
        ADDRESS_GROUP,
        IP_GROUP,
        QOS_POLICY,
        *QOS_RULES,
        HOST,
        PROJECT,
        TOKEN,
        SECURITY_EVENT,
    )
}
