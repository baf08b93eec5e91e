# SPDX-License-Identifier: Apache-2.0
"""Quality of service: policies, and rules that are parts of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sdnctl.api.attributes import (
    Boolean,
    Choice,
    Integer,
    Json,
)
from sdnctl.api.resources.common import (
    ID,
    NAME,
    OWNER,
    STANDARD,
)
from sdnctl.api.resources.table import (
    ADMIN,
    EDIT,
    FILTER,
    FIND,
    MANAGERS,
    READ_ONLY,
    REQUIRED,
    Attribute,
    Resource,
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
