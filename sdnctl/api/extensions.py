# SPDX-License-Identifier: Apache-2.0
"""The extensions we advertise. Clients decide by this list which calls they make, so it names only what works.

Names of the Networking API's own extensions are theirs: old clients look them up by name instead of alias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sdnctl.model.request import Object


@dataclass(frozen=True, slots=True)
class Extension:
    """One entry of `GET /v2.0/extensions`."""

    alias: str
    name: str
    description: str
    updated: str = "2026-11-01T00:00:00-00:00"

    def shown(self) -> Object:
        """The same in the list and alone: clients compare."""
        return {
            "alias": self.alias,
            "name": self.name,
            "description": self.description,
            "updated": self.updated,
            "links": [],
        }


EXTENSIONS: Final = (
    # --- the request itself
    Extension("project-id", "project_id field enabled", "project_id stands for tenant_id everywhere."),
    Extension("pagination", "Pagination support", "limit, marker and page_reverse on every list."),
    Extension("sorting", "Sorting support", "sort_key and sort_dir on every list."),
    Extension("filter-validation", "Filter parameters validation", "Unknown filters are refused."),
    Extension("empty-string-filtering", "Empty String Filtering Extension", "?name= finds what has no name."),
    Extension("ip-substring-filtering", "IP address substring filtering", "fixed_ips=ip_address_substr=... on ports."),
    Extension("revision-if-match", "If-Match constraints based on revision_number", "If-Match: revision_number=N."),
    # --- attributes
    Extension("standard-attr-description", "standard-attr-description", "Every object has a description."),
    Extension("standard-attr-timestamp", "Resource timestamps", "created_at and updated_at."),
    Extension("standard-attr-revisions", "Resource revision numbers", "revision_number."),
    Extension("standard-attr-tag", "Tag support for resources with standard attribute", "tags and filters by them."),
    Extension("tag-creation", "Tag creation", "tags may be given when an object is created."),
    Extension("tag-ports-during-bulk-creation", "Tag ports during bulk creation", "The same for many ports at once."),
    Extension("external-net", "Neutron external network", "router:external of networks."),
    Extension("subnet-service-types", "Subnet service types", "service_types of subnets."),
    Extension("provider", "Provider Network", "How a network is carried: provider:*."),
    Extension("net-mtu", "Network MTU", "mtu of networks."),
    Extension("net-mtu-writable", "Network MTU (writable)", "mtu of networks may be set."),
    Extension("port-security", "Port Security", "port_security_enabled of networks and ports."),
    Extension("allowed-address-pairs", "Allowed Address Pairs", "Further addresses a port may send from."),
    Extension("security-group", "security-group", "Security groups, their rules, and those of a port."),
    Extension("stateful-security-group", "Stateful security group", "stateful of security groups."),
    Extension("security-groups-normalized-cidr", "Normalized CIDR field for security group rules", "normalized_cidr."),
    Extension(
        "security-groups-remote-address-group",
        "Remote address group id field for security group rules",
        "remote_address_group_id of rules.",
    ),
    Extension("address-group", "Address group", "Named sets of prefixes: /v2.0/address-groups."),
    Extension("port-security-groups-filtering", "Port filtering on security groups", "?security_groups=ID on ports."),
    Extension("qos", "Quality of Service", "Policies of rules for ports and networks: /v2.0/qos/policies."),
    Extension("qos-bw-limit-direction", "Direction for QoS bandwidth limit rule", "direction of bandwidth limits."),
    Extension("qos-default", "QoS default policy", "is_default of policies: what new networks of a project get."),
    Extension("qos-port-network-policy", "QoS Port Network Policy", "qos_network_policy_id of ports."),
    Extension(
        "qos-pps", "QoS packet rate limit", "Packet rate limits: /v2.0/qos/policies/{id}/packet_rate_limit_rules."
    ),
    Extension("qos-rule-type-details", "Details of QoS rule types", "/v2.0/qos/rule-types/{type}."),
    Extension("qos-rule-type-filter", "QoS rule type filter: all_rules and all_supported", "Filters of rule types."),
    Extension("qos-rules-alias", "Ability to enable shortcuts for QoS rules", "/v2.0/qos/alias-...-rules/{id}."),
    Extension("extra_dhcp_opt", "Neutron Extra DHCP options", "DHCP options of a port."),
    Extension("binding", "Port Binding", "Where a port is: binding:*."),
    # --- our own
    Extension("sdnctl-hosts", "Hosts", "The machines with Open vSwitch: /v2.0/hosts."),
    Extension("sdnctl-projects", "Projects", "Projects of our own: /v2.0/projects."),
    Extension("sdnctl-tokens", "Tokens", "Tokens of our own: /v2.0/tokens."),
    Extension("sdnctl-plug", "Plug", "sdnctl makes and removes ports' interfaces: /v2.0/ports/{id}/plug, /unplug."),
    Extension("sdnctl-dns", "Names told to guests", "dns_domain of networks and dns_name of ports."),
    Extension("sdnctl-security-filters", "Security filters", "Filters of port security, one by one."),
    Extension("sdnctl-client-isolation", "Client isolation", "client_isolation and service_ports of networks."),
    Extension("sdnctl-established", "Established connections", "Whether connections outlive their rule: established."),
    Extension("sdnctl-ip-groups", "IP groups", "Fail-over addresses that several ports may have: /v2.0/ip-groups."),
    Extension("sdnctl-host-check", "Host check", "What a host has and lacks: /v2.0/hosts/{id}/check."),
    Extension("sdnctl-flows", "Flows", "Flows of a host, and what they do: /v2.0/hosts/{id}/flows, /v2.0/explain."),
    Extension("sdnctl-statistics", "Statistics", "What passed and was dropped: /v2.0/ports/{id}/statistics."),
    Extension("sdnctl-security-events", "Security events", "Who forges what, how often: /v2.0/security-events."),
    Extension("sdnctl-wait", "Wait", "?wait=applied and X-Sdnctl-Revision on every write."),
)

BY_ALIAS: Final = {extension.alias: extension for extension in EXTENSIONS}
