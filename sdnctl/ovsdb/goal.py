# SPDX-License-Identifier: Apache-2.0
"""What a host's OVSDB should hold, and the names of what we make there.

Names are derived from what they name, so that a controller that knows nothing finds its own ports again, and they
carry a digest because several integration bridges and physical networks may meet in one OVSDB, where interface names
are unique: 15 characters at most, since many of them are names of devices.

One thing cannot be had: two integration bridges of one ovs-vswitchd with the same tunnel address. A vxlan port is
known to the datapath by its UDP port, key and addresses, and all bridges of a process share the datapath; the second
one's tunnel port gets an error, which is told among the host's problems.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from netaddr import EUI

from sdnctl.model.host import Host, PlugSpec

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

TUNNEL_OFPORT: Final = 65000
"""Far from what Open vSwitch allots by itself, which is from 1 upwards and lasts as long as the row."""

LAST_OFPORT: Final = 0xFEFF

_NAME: Final = re.compile(r"[!-.0-~]{1,15}")
_OWN_NAME: Final = re.compile(r"sdn(v[0-9a-f]{10}|p[0-9a-f]{10}[io])")


@dataclass(frozen=True, slots=True)
class Goal:
    """What the bridge itself should be, without the workloads' interfaces."""

    host: Host
    controllers: tuple[str, ...]
    tables: Mapping[int, str]
    """Names of OpenFlow tables by number."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A port with one interface of the same name that we should make."""

    name: str
    bridge: str
    owner: str
    """The integration bridge it is for."""
    type: str
    external_ids: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    mac: str | None = None
    mtu: int | None = None
    ofport: int | None = None
    """What is requested; None leaves it to Open vSwitch."""

    @property
    def all_external_ids(self) -> dict[str, str]:
        return {OWNED: "true", BRIDGE: self.owner, **self.external_ids}


def unfit(name: str, spec: PlugSpec) -> str:
    """Why `spec` cannot be made, if it cannot. The server would refuse it, and with it all of its transaction."""
    if name != spec.interface or not _NAME.fullmatch(name) or name in {".", ".."}:
        return (
            f"{shown(name)} cannot be an interface's name: 1 to {NAME_LENGTH} printable characters but space and slash"
        )
    if _OWN_NAME.fullmatch(name):
        return f"interface {shown(name)} cannot be made: sdnctl names its tunnel and patch ports like that"
    if spec.type not in PLUG_TYPES:
        return f"interface {shown(name)} cannot be made: its type {shown(spec.type)} is none of {', '.join(PLUG_TYPES)}"
    if not 68 <= spec.mtu <= 65535:
        return f"interface {shown(name)} cannot be made: its MTU {spec.mtu} is not in 68..65535"
    return ""


def wanted_plug(spec: PlugSpec, host: Host) -> Wanted:
    """The interface that `spec` asks for."""
    options = {}
    if spec.type == "dpdkvhostuserclient":
        options["vhost-server-path"] = f"{VHOST_DIRECTORY}/{spec.interface}"
    mac = mac_text(spec.mac)
    return Wanted(
        name=spec.interface,
        bridge=host.bridge,
        owner=host.bridge,
        type=_interface_type(spec.type, host.datapath_type),
        external_ids={"iface-id": spec.port_id, "attached-mac": mac, "iface-status": "active"},
        options=options,
        # Only of an internal device we are the one who uses it: the host's end of a tap must not have the guest's MAC.
        mac=mac if spec.type == "internal" else None,
        mtu=spec.mtu,
    )


def _interface_type(plug_type: str, datapath_type: str) -> str:
    """Open vSwitch's word: it makes taps only for the userspace datapath; elsewhere the tap is the user's."""
    if plug_type == "tap":
        return "tap" if datapath_type == "netdev" else ""
    return "" if plug_type == "system" else plug_type


def wanted_tunnel(host: Host) -> Wanted | None:
    """The tunnel port that all other hosts are reached by, if the host has a tunnel address."""
    if host.tunnel_ip is None:
        return None
    return Wanted(
        name=tunnel_name(host.bridge),
        bridge=host.bridge,
        owner=host.bridge,
        type="vxlan",
        options={"remote_ip": "flow", "key": "flow", "local_ip": str(host.tunnel_ip)},
        ofport=TUNNEL_OFPORT,
    )


def wanted_patch(host: Host, physnet: str, provider: str) -> tuple[Wanted, Wanted]:
    """The two ends of the patch for a physical network: on the integration bridge, on the provider bridge."""
    inner, outer = patch_names(host.bridge, physnet, provider)
    ids = {"sdnctl-physical-network": physnet}
    return (
        Wanted(inner, host.bridge, host.bridge, "patch", ids, {"peer": outer}),
        Wanted(outer, provider, host.bridge, "patch", ids, {"peer": inner}),
    )


def tunnel_name(bridge: str) -> str:
    """Name of the tunnel port of integration bridge `bridge`."""
    return f"sdnv{_digest(bridge)}"


def patch_names(bridge: str, physnet: str, provider: str) -> tuple[str, str]:
    """Names of the two ends of a patch: on the integration bridge, on the provider bridge."""
    digest = _digest(bridge, physnet, provider)
    return f"sdnp{digest}i", f"sdnp{digest}o"


def mac_text(mac: EUI) -> str:
    return ":".join(f"{byte:02x}" for byte in mac.packed)


def shown(text: str) -> str:
    """`text` of whatever origin, fit for a status line."""
    return ascii(text[:40] + "..." if len(text) > 40 else text)


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=5).hexdigest()
