# SPDX-License-Identifier: Apache-2.0
"""What a hostile guest tries: a corpus of forged frames.

Each has a legal twin that differs in nothing else, or in as little as can be: only when that one arrives does the
absence of the other mean something. A `Builder` gets who sends, to whom, and a marker; both may be on one host or on
two. Each names the reason for which the sender's host drops it.

Not in here, because Open vSwitch cannot tell them from Ethernet II: frames in LLC and SNAP with OUI 0 whose content is
legal all through. Those with forged content are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from topologies.forgeries.arp import ARP
from topologies.forgeries.ipv4 import IPV4
from topologies.forgeries.ipv6 import IPV6
from topologies.forgeries.link import LINK
from topologies.forgeries.nd import ND, ROUTER
from topologies.forgeries.parts import NOBODY, VACANT, Builder, Forgery, Identity

__all__ = ["FORGERIES", "NOBODY", "VACANT", "Builder", "Forgery", "Identity"]

FORGERIES: Final[Mapping[str, Forgery]] = {
    forgery.name: forgery for forgery in (*LINK, *ARP, *IPV4, *IPV6, *ND, *ROUTER)
}
"""What a hostile guest tries, by name."""
