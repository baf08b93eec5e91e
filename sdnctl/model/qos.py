# SPDX-License-Identifier: Apache-2.0
"""Quality of service: how much a port may send and receive, and how its packets are marked.

A policy is a set of rules. A port has the limits of its own policy, or else of its network's. Directions are the
port's: `egress` is what the workload sends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sdnctl.model.security import Direction

BURST_MS: Final = 200
"""How long at the full rate a burst may be, where no rule says it. TCP that was held up by a drop sends nothing for
200 ms (its least retransmission timeout); a shorter burst would lose what it may send meanwhile."""
SHORTEST_BURST_KBIT: Final = 100
"""A burst shorter than a frame would let no such frame pass, ever; this holds one of 9 000 bytes."""
MOST: Final = 0xFFFFFFFF
"""The highest rate and burst that a meter has."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What may pass: so much per second, and a burst; in kilobits or in packets."""

    per_s: int
    burst: int


def bandwidth(kbps: int, burst_kbit: int = 0) -> Rate | None:
    """The limit of a rule; a rate of 0 is none, a burst of 0 is the usual one."""
    burst = burst_kbit or kbps * BURST_MS // 1000
    return Rate(min(kbps, MOST), min(max(burst, SHORTEST_BURST_KBIT), MOST)) if kbps else None


def packet_rate(kpps: int, burst_kpackets: int = 0) -> Rate | None:
    """The same for thousands of packets."""
    burst = burst_kpackets * 1000 or kpps * BURST_MS
    return Rate(min(kpps * 1000, MOST), min(burst, MOST)) if kpps else None


@dataclass(frozen=True, slots=True, kw_only=True)
class QosLimits:
    """What a port is held to. `None` everywhere: to nothing."""

    from_bandwidth: Rate | None = None
    from_packets: Rate | None = None
    to_bandwidth: Rate | None = None
    to_packets: Rate | None = None
    dscp: int | None = None
    """What its IP packets are marked with."""

    @property
    def limits_receiving(self) -> bool:
        return self.to_bandwidth is not None or self.to_packets is not None


UNLIMITED: Final = QosLimits()


@dataclass(frozen=True, slots=True)
class QosRule:
    """One rule of a policy. Of each type there is one for each direction."""

    type: str
    """`bandwidth_limit`, `packet_rate_limit` or `dscp_marking`."""
    direction: Direction
    value: int
    """Kilobits per second, thousands of packets per second, or the DSCP mark."""
    burst: int = 0
    """Kilobits or thousands of packets; 0: the usual burst."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QosPolicy:
    """A set of rules that ports and networks can have."""

    id: str
    project_id: str
    name: str
    rules: tuple[QosRule, ...] = ()
    """Sorted by type and direction."""

    @property
    def limits(self) -> QosLimits:
        """What its rules amount to."""
        found: dict[str, Rate | None] = {}
        dscp: int | None = None
        for rule in self.rules:
            side = "from" if rule.direction is Direction.EGRESS else "to"
            match rule.type:
                case "bandwidth_limit":
                    found[f"{side}_bandwidth"] = bandwidth(rule.value, rule.burst)
                case "packet_rate_limit":
                    found[f"{side}_packets"] = packet_rate(rule.value, rule.burst)
                case "dscp_marking":
                    dscp = rule.value
        return QosLimits(**found, dscp=dscp)
