# SPDX-License-Identifier: Apache-2.0
"""What a port may call itself: addresses as plain integers, from the values of the model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from netaddr import IPAddress

from sdnctl.model.port import Port
from sdnctl.model.views import Source

LINK_LOCAL: Final = 0xFE80 << 112
IPV4_MASK: Final = (1 << 32) - 1
IPV6_MASK: Final = (1 << 128) - 1


def link_local(mac: int) -> int:
    """The IPv6 link-local address that a MAC address makes (modified EUI-64, RFC 4291 appendix A)."""
    return LINK_LOCAL | ((mac >> 24 ^ 0x020000) << 40 | 0xFFFE << 24 | mac & 0xFFFFFF)


def sources_of(port: Port, shared: Iterable[IPAddress] = ()) -> tuple[Source, ...]:
    """Every (MAC, prefix) the port may send from: fixed addresses, allowed pairs, the link-local one of each MAC, and
    the `shared` ones of its IP groups.

    A pair of the MAC 0 or of an unspecified address (0.0.0.0/32, ::/128) is left out: those mean nobody.
    """
    own = int(port.mac)
    macs = {own}
    sources = set()
    for address in (*(fixed.address for fixed in port.fixed_ips), *shared):
        version = int(address.version)
        sources.add((own, version, int(address), IPV4_MASK if version == 4 else IPV6_MASK))
    for pair in port.allowed_address_pairs:
        mac, version, first = int(pair.mac), int(pair.prefix.version), int(pair.prefix.first)
        mask = int(pair.prefix.netmask)
        if mac and (first or mask != (IPV4_MASK if version == 4 else IPV6_MASK)):
            macs.add(mac)
            sources.add((mac, version, first, mask))
    sources.update((mac, 6, link_local(mac), IPV6_MASK) for mac in macs)
    return tuple(Source(*source) for source in sorted(sources))
