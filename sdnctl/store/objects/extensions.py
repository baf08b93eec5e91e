# SPDX-License-Identifier: Apache-2.0
"""What the Networking API does not have: IP groups, security events, hosts, projects and tokens."""

from __future__ import annotations

from typing import Final

from sdnctl.store import tables
from sdnctl.store.objects.kind import kind, seen_by_owner, seen_in_own_network

IP_GROUP: Final = kind(
    "ip_group", "IpGroup", tables.ip_groups, hidden=("key",), visible=seen_in_own_network(tables.ip_groups)
)
SECURITY_EVENT: Final = kind(
    "security_event",
    "SecurityEvent",
    tables.security_events,
    hidden=("reading",),
    visible=seen_by_owner(tables.security_events),
)
HOST: Final = kind("host", "Host", tables.hosts, hidden=("key",))
PROJECT: Final = kind("project", "Project", tables.projects)
TOKEN: Final = kind("token", "Token", tables.tokens, hidden=("digest",))
