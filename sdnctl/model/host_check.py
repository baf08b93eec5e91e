# SPDX-License-Identifier: Apache-2.0
"""What a host must have so that it works and keeps its guests apart, as far as it is seen from here: pure judgement.

What OVSDB and OpenFlow do not tell (settings of the host's kernel, addresses, routes) is asked by a script that runs on
the host, `host_script`.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sdnctl.model.host import Host

TESTED: Final = (3, 1)
"""The oldest Open vSwitch that our tests run with."""
OLDEST: Final = (2, 17)
"""Older ones lack atomic bundles and conntrack as we use them, or have holes that were closed since."""
NETDEV: Final = "netdev"


class Verdict(enum.StrEnum):
    """What a finding amounts to."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One row of the answer."""

    check: str
    verdict: Verdict
    finding: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class DeviceSeen:
    """An interface of OVSDB."""

    name: str
    type: str
    mtu: int | None
    is_up: bool
    error: str = ""

    @property
    def is_card(self) -> bool:
        """A device of the host's, which Open vSwitch did not make."""
        return self.type in {"", "system", "dpdk", "afxdp"}


@dataclass(frozen=True, slots=True)
class ControllerSeen:
    """A controller that a bridge is told."""

    target: str
    is_ours: bool
    is_connected: bool


@dataclass(frozen=True, slots=True)
class BridgeSeen:
    """A bridge of OVSDB."""

    name: str
    datapath_type: str
    fail_mode: str
    controllers: tuple[ControllerSeen, ...]
    devices: tuple[DeviceSeen, ...]


@dataclass(frozen=True, slots=True)
class OvsdbSeen:
    """What an OVSDB says when it is asked."""

    version: str
    datapath_types: frozenset[str]
    interface_types: frozenset[str]
    is_current: bool
    """ovs-vswitchd has done what the database says."""
    bridges: Mapping[str, BridgeSeen]


@dataclass(frozen=True, slots=True)
class Needs:
    """The longest frames that networks with ports on the host may send, without their Ethernet header; 0: none."""

    tunnel_mtu: int
    """With the tunnel's headers."""
    physical_mtu: Mapping[str, int]
    """By physical network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSeen:
    """All that is known of a host from here."""

    host: Host
    state: str
    error: str
    problems: tuple[str, ...]
    ovsdb: OvsdbSeen | str
    """Or why it does not answer."""
    needs: Needs
    paths: Mapping[str, bool]
    """By other hosts' names: whether a tunnelled frame of theirs arrives here."""


def check(seen: HostSeen) -> Iterator[Finding]:
    """All findings, the good ones too."""
    if isinstance(seen.ovsdb, str):
        yield Finding(
            "ovsdb",
            Verdict.FAIL,
            seen.ovsdb,
            f"have ovsdb-server listen at {seen.host.ovsdb}: ovs-vsctl set-manager p{_listens(seen.host.ovsdb)}",
        )
    else:
        yield Finding("ovsdb", Verdict.OK, f"{seen.host.ovsdb} answers")
        for part in (_software, _bridge, _controllers, _providers, _tunnel):
            yield from part(seen, seen.ovsdb)
    yield _openflow(seen)
    yield from (Finding("problems", Verdict.FAIL, one, _PROBLEM) for one in seen.problems)
    yield from _paths(seen)


_PROBLEM: Final = "see `sdnctl host show` and docs/operating.md"


def _listens(target: str) -> str:
    kind, _, rest = target.partition(":")
    return f"{kind}:{rest.rpartition(':')[2]}" if kind in {"tcp", "ssl"} else target


def _software(seen: HostSeen, ovsdb: OvsdbSeen) -> Iterator[Finding]:
    found = re.match(r"(\d+)\.(\d+)", ovsdb.version)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    said = f"Open vSwitch {ovsdb.version or 'of unknown version'}"
    upgrade = f"upgrade Open vSwitch to {TESTED[0]}.{TESTED[1]} or newer"
    if version >= TESTED:
        yield Finding("version", Verdict.OK, said)
    elif version >= OLDEST:
        yield Finding("version", Verdict.WARN, f"{said} is older than what sdnctl is tested with", upgrade)
    else:
        yield Finding("version", Verdict.FAIL, f"{said} is too old", upgrade)
    if ovsdb.is_current:
        yield Finding("ovs-vswitchd", Verdict.OK, "has done what its database says")
    else:
        yield Finding(
            "ovs-vswitchd",
            Verdict.FAIL,
            "has not done what its database says: it does not run, or it is overloaded",
            "systemctl restart ovs-vswitchd; look into its log",
        )
    wanted = seen.host.datapath_type
    if ovsdb.datapath_types and wanted not in ovsdb.datapath_types:
        remedy = "load the kernel module openvswitch, or add the host with --datapath-type netdev"
        yield Finding("features", Verdict.FAIL, f"it knows no datapath of type {wanted}", remedy)
    elif seen.host.tunnel_ip is not None and ovsdb.interface_types and "vxlan" not in ovsdb.interface_types:
        yield Finding("features", Verdict.FAIL, "it knows no interfaces of type vxlan", upgrade)
    else:
        yield Finding("features", Verdict.OK, f"datapath {wanted}, tunnels")


def _bridge(seen: HostSeen, ovsdb: OvsdbSeen) -> Iterator[Finding]:
    host = seen.host
    bridge = ovsdb.bridges.get(host.bridge)
    if bridge is None:
        remedy = "wait, or see why in `sdnctl host show`: sdnctl makes it"
        yield Finding("bridge", Verdict.FAIL, f"there is no bridge {host.bridge}", remedy)
        return
    have = bridge.datapath_type or "system"
    if have != host.datapath_type:
        yield Finding(
            "bridge",
            Verdict.FAIL,
            f"{host.bridge} has the datapath {have}, and the host was added with {host.datapath_type}",
            f"sdnctl host set {host.name} --datapath-type {have}",
        )
    elif bridge.fail_mode != "secure":
        finding = f"{host.bridge} would switch by itself without a controller (fail_mode {bridge.fail_mode or 'unset'})"
        remedy = f"ovs-vsctl set-fail-mode {host.bridge} secure"
        yield Finding("bridge", Verdict.FAIL, finding, remedy)
    else:
        yield Finding("bridge", Verdict.OK, f"{host.bridge}, datapath {have}, secure")
    broken = [one for one in bridge.devices if one.error]
    for device in broken:
        remedy = f"ovs-vsctl del-port {device.name}, if nobody needs it"
        yield Finding("interfaces", Verdict.WARN, f"{device.name} does not work: {device.error}", remedy)
    down = [one.name for one in bridge.devices if one.is_card and not one.is_up and not one.error]
    if down:
        remedy = "; ".join(f"ip link set {name} up" for name in down[:3])
        yield Finding("interfaces", Verdict.WARN, f"{', '.join(down[:10])}: down", remedy)
    if not broken and not down:
        yield Finding("interfaces", Verdict.OK, f"{len(bridge.devices)} on {host.bridge}, all work")


def _controllers(seen: HostSeen, ovsdb: OvsdbSeen) -> Iterator[Finding]:
    name = seen.host.bridge
    bridge = ovsdb.bridges.get(name)
    controllers = () if bridge is None else bridge.controllers
    foreign = [one.target for one in controllers if not one.is_ours]
    if foreign:
        remedy = f"let nobody else write to {name}; its controllers are set by sdnctl"
        yield Finding("controllers", Verdict.WARN, f"{name} also has the controller {', '.join(foreign)}", remedy)
    away = [one.target for one in controllers if one.is_ours and not one.is_connected]
    if away:
        remedy = "open the way from the host to that address, or have --openflow-advertise say another"
        yield Finding("controllers", Verdict.FAIL, f"{name} does not reach {', '.join(away)}", remedy)
    elif any(one.is_ours for one in controllers):
        yield Finding("controllers", Verdict.OK, ", ".join(one.target for one in controllers if one.is_ours))
    else:
        yield Finding("controllers", Verdict.FAIL, f"{name} has no controller of ours", _PROBLEM)


def _providers(seen: HostSeen, ovsdb: OvsdbSeen) -> Iterator[Finding]:
    for network, name in seen.host.bridge_mappings:
        bridge = ovsdb.bridges.get(name)
        yield _provider(seen, network, name, bridge)


def _provider(seen: HostSeen, network: str, name: str, bridge: BridgeSeen | None) -> Finding:
    wanted = seen.host.datapath_type
    said = f"provider {network}"
    if bridge is None:
        more = f" -- set bridge {name} datapath_type={wanted}" if wanted == NETDEV else ""
        return Finding(said, Verdict.FAIL, f"there is no bridge {name}", f"ovs-vsctl add-br {name}{more}")
    have = bridge.datapath_type or "system"
    if have != wanted:
        remedy = f"ovs-vsctl set bridge {name} datapath_type={wanted}"
        return Finding(said, Verdict.FAIL, f"{name} has the datapath {have}: no patch leads there", remedy)
    cards = [one for one in bridge.devices if one.is_card]
    if not cards:
        remedy = f"ovs-vsctl add-port {name} CARD"
        return Finding(said, Verdict.WARN, f"{name} has no card: it leads nowhere", remedy)
    down = [one.name for one in cards if not one.is_up]
    if down:
        return Finding(said, Verdict.FAIL, f"{', '.join(down)} is down", f"ip link set {down[0]} up")
    needed = seen.needs.physical_mtu.get(network, 0)
    short = [one for one in cards if one.mtu is not None and one.mtu < needed]
    if short:
        remedy = f"ip link set {short[0].name} mtu {needed}, and the switches behind it"
        finding = f"{short[0].name} carries {short[0].mtu} bytes, and networks on it have an MTU of {needed}"
        return Finding(said, Verdict.FAIL, finding, remedy)
    return Finding(said, Verdict.OK, f"{name} with {', '.join(one.name for one in cards)}")


def _tunnel(seen: HostSeen, ovsdb: OvsdbSeen) -> Iterator[Finding]:
    address = seen.host.tunnel_ip
    if address is None:
        if seen.needs.tunnel_mtu:
            remedy = f"sdnctl host set {seen.host.name} --tunnel-ip ADDRESS"
            finding = "it has no tunnel address, and ports of vxlan networks"
            yield Finding("tunnel", Verdict.WARN, finding, remedy)
        return
    bridge = ovsdb.bridges.get(seen.host.bridge)
    tunnels = [one for one in bridge.devices if one.type == "vxlan"] if bridge else []
    if tunnels and not any(one.error for one in tunnels):
        yield Finding("tunnel", Verdict.OK, f"from {address}; the script says whether the address is there")
    else:
        yield Finding("tunnel", Verdict.FAIL, f"there is no working tunnel port for {address}", _PROBLEM)


def _openflow(seen: HostSeen) -> Finding:
    if seen.state == "LIVE" and not seen.error:
        return Finding("openflow", Verdict.OK, "LIVE: its flows are confirmed")
    finding = f"{seen.state}{f': {seen.error}' if seen.error else ''}"
    return Finding("openflow", Verdict.FAIL, finding, "see `sdnctl host show` and the log of the controller")


def _paths(seen: HostSeen) -> Iterator[Finding]:
    lost = sorted(name for name, arrives in seen.paths.items() if not arrives)
    if lost:
        finding = f"nothing arrives by tunnel from {', '.join(lost[:10])}{' and others' if len(lost) > 10 else ''}"
        remedy = "let UDP port 4789 pass between the tunnel addresses; look at cables, addresses and routes"
        yield Finding("underlay", Verdict.FAIL, finding, remedy)
    elif seen.paths:
        yield Finding("underlay", Verdict.OK, f"frames arrive from {len(seen.paths)} other hosts")
