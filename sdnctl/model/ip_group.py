# SPDX-License-Identifier: Apache-2.0
"""IP groups: an address that several ports may send from, and one of them holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from netaddr import EUI, IPAddress

from sdnctl.model.ids import GroupKey

VRRP: Final = 112
"""The IP protocol of virtual routers' advertisements."""
VIRTUAL_MACS: Final = {4: 0x00005E000100, 6: 0x00005E000200}
"""By IP version, the first MAC address of virtual routers (RFC 9568, 7.3); the last byte is the router's number."""
VIRTUAL_MAC_MASK: Final = 0xFFFFFFFFFF00
VRRP_GROUPS: Final = {4: 0xE0000012, 6: 0xFF02 << 112 | 0x12}
"""224.0.0.18 and ff02::12, where virtual routers hear each other."""


def is_virtual_mac(mac: int, version: int) -> bool:
    """Whether it is the MAC address of a virtual router of this IP version."""
    return mac & VIRTUAL_MAC_MASK == VIRTUAL_MACS[version] and bool(mac & 0xFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class IpGroup:
    """A fail-over address."""

    id: str
    key: GroupKey
    """Of the same numbers as the keys of security groups: no two of either kind are equal."""
    network_id: str
    project_id: str
    name: str
    address: IPAddress
    members: tuple[str, ...] = ()
    """Ids of the ports that may send from it, sorted."""
    pinned: str | None = None
    """The member that holds it whatever the others announce; None: whoever announces it last holds it."""
    vrrp: bool = False
    """Its members run VRRP: they use virtual MAC addresses and hear each other."""
    holder: str | None = None
    """The member that has it; None: nobody is known to."""
    virtual_mac: EUI | None = None
    """The virtual router's MAC address with which the holder announced it; None: its port's own."""
