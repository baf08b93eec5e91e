# SPDX-License-Identifier: Apache-2.0
"""Hosts: machines with Open vSwitch that we control, and what they report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from netaddr import EUI, IPAddress

from sdnctl.model.ids import HostKey, Ofport


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One integration bridge, as an operator added it."""

    id: str
    key: HostKey
    name: str
    ovsdb: str
    """OVSDB remote: `tcp:IP:PORT`, `ssl:IP:PORT` or `unix:PATH`."""
    bridge: str = "br-int"
    tunnel_ip: IPAddress | None = None
    bridge_mappings: tuple[tuple[str, str], ...] = ()
    """(physical network, provider bridge on that host), sorted."""
    datapath_type: str = "system"
    gateway: bool = False
    controllers: tuple[str, ...] = ()
    """Controller targets for the bridge; empty: what `--openflow-advertise` says."""


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface on the integration bridge, as OVSDB has it."""

    name: str
    ofport: Ofport | None
    """None until ovs-vswitchd has assigned one, or when it could not."""
    iface_id: str = ""
    attached_mac: EUI | None = None
    type: str = ""
    is_ours: bool = False
    """We made it (a plug, a tunnel port, a patch port): the rest is never touched."""
    installed: str = ""
    """`external_ids:sdnctl-installed`."""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlugSpec:
    """An interface that sdnctl is to make on a host."""

    port_id: str
    mac: EUI
    type: str
    """`internal`, `tap`, `dpdkvhostuserclient`, or `system` for a device that exists already."""
    interface: str
    mtu: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What a host's OVSDB says, complete at one moment."""

    datapath_id: int
    serial: str
    """`other_config:dp-sn` of the bridge, which only this host's OpenFlow connection can repeat."""
    interfaces: Mapping[str, Interface]
    """By name; never edited once published."""
    tunnel_ofport: Ofport | None = None
    patch_ofports: Mapping[str, Ofport] | None = None
    """Ofport of the patch port on the integration bridge, by physical network."""
    problems: tuple[str, ...] = ()
    """What could not be set up, for the host's status: a mapped bridge that does not exist, ..."""
