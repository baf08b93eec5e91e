# SPDX-License-Identifier: Apache-2.0
"""What a host's OVSDB should hold, and the names of what we make there.

Names are derived from what they name, so that a controller that knows nothing finds its own ports again, and they
carry a digest where several integration bridges or physical networks could meet in one OVSDB: interface names are
unique there, and the kernel cuts them at 15 characters.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from netaddr import EUI

OWNED: Final = "sdnctl-owned"
"""Key in `external_ids` of every row we make. Rows without it are never touched."""

BRIDGE: Final = "sdnctl-bridge"
"""Key in `external_ids` of every interface we make: the integration bridge it is for."""

INSTALLED: Final = "sdnctl-installed"
"""Key in `external_ids` of a workload's interface: the revision whose filters its switch has confirmed."""

NAME_LENGTH: Final = 15

PLUG_TYPES: Final = ("internal", "tap", "dpdkvhostuserclient", "system")

VHOST_DIRECTORY: Final = "/var/run/openvswitch"
"""Where ovs-vswitchd looks for the sockets that virtual machine monitors listen on."""

_NAME: Final = re.compile(r"[!-.0-~]{1,15}")


@dataclass(frozen=True, slots=True)
class PlugSpec:
    """An interface that we make for a port."""

    port_id: str
    mac: EUI
    type: str
    """`internal`, `tap`, `dpdkvhostuserclient`, or `system` for a device that exists already."""
    interface: str
    mtu: int | None = None

    def __post_init__(self) -> None:
        if self.type not in PLUG_TYPES:
            raise ValueError(f"port {self.port_id}: interface type {self.type!r} is none of {', '.join(PLUG_TYPES)}")
        if not _NAME.fullmatch(self.interface) or self.interface in (".", ".."):
            raise ValueError(
                f"port {self.port_id}: {self.interface[:40]!r} cannot be an interface name"
                f" (1 to {NAME_LENGTH} printable characters without space and slash)"
            )
        if self.mtu is not None and not 68 <= self.mtu <= 65535:
            raise ValueError(f"port {self.port_id}: MTU {self.mtu} is not in 68..65535")


def tunnel_name(bridge: str) -> str:
    """Name of the tunnel port of integration bridge `bridge`."""
    return f"sdnv{_digest(bridge)}"


def patch_names(bridge: str, physnet: str, provider: str) -> tuple[str, str]:
    """Names of the two ends of a patch: on the integration bridge, on the provider bridge."""
    digest = _digest(bridge, physnet, provider)
    return f"sdnp{digest}i", f"sdnp{digest}o"


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=5).hexdigest()
