# SPDX-License-Identifier: Apache-2.0
"""IP groups: an address that several ports may send from, and one of them holds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from netaddr import EUI, IPAddress, IPNetwork

from sdnctl.model.ids import GroupKey
from sdnctl.model.security import Direction, SecurityGroup, SecurityRule

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


def vrrp_rules(group: IpGroup) -> SecurityGroup:
    """What lets a group's members hear each other's advertisements, to their multicast group or to each other."""
    version = group.address.version
    heard = IPNetwork(IPAddress(VRRP_GROUPS[version], version))
    sent = SecurityRule(
        id=f"{group.id}-1", direction=Direction.EGRESS, version=version, protocol=VRRP, remote_prefix=heard
    )
    to_each_other = replace(sent, id=f"{group.id}-2", remote_prefix=None, remote_group_id=group.id)
    from_each_other = replace(to_each_other, id=f"{group.id}-3", direction=Direction.INGRESS)
    # Stateless: it must not make a stateful port out of another one.
    return SecurityGroup(
        id=group.id,
        key=group.key,
        project_id=group.project_id,
        name=group.name,
        stateful=False,
        rules=(sent, to_each_other, from_each_other),
    )
