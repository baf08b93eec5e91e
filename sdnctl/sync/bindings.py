# SPDX-License-Identifier: Apache-2.0
"""Who is bound where: interfaces claim to be ports (`external_ids:iface-id`), and one claim at most is a binding.

After a start, hosts answer one after the other, and the first one must not lose its flows towards the others. So a
port whose recorded host has not been read yet is *presumed* to be bound there, without an ofport.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from netaddr import EUI

from sdnctl import runtime
from sdnctl.apps.meters import LAST_OFPORT
from sdnctl.model.host import Host, HostFacts
from sdnctl.model.ids import Ofport
from sdnctl.model.port import Port
from sdnctl.sync.cloud import Binding, Cloud


@dataclass(frozen=True, slots=True)
class Claim:
    """An interface that says it is a port (`external_ids:iface-id`)."""

    host_id: str
    interface: str
    ofport: Ofport | None
    attached_mac: EUI | None
    rank: int
    """Higher is newer. Claims found when a host is first read are all rank 0: which is newer cannot be told."""


PRESUMED: Final = ""
"""Interface name of a claim that nobody has made yet."""


class Bindings:
    """Turns what hosts report into `cloud.bindings`; `changed(port, is_new)` is called after each decision.

    `is_new` tells that the binding is another one; the port itself may be, even where it is not.
    """

    def __init__(self, cloud: Cloud, changed: Callable[[str, bool], None]) -> None:
        self._cloud = cloud
        self._changed = changed
        self._switch_ports: dict[str, Mapping[str, int]] = {}
        self._claims: dict[str, dict[tuple[str, str], Claim]] = defaultdict(dict)
        """port -> (host, interface) -> claim."""
        self._claims_of: dict[str, dict[str, tuple[str, Claim]]] = defaultdict(dict)
        """host -> interface -> port it claims, claim."""
        self._refused: dict[str, dict[str, str]] = defaultdict(dict)
        self._rank = 0
        self._host_named: dict[str, str] = {}
        self._presumed: dict[str, set[str]] = defaultdict(set)
        self._unreachable: set[str] = set()
        self._read: set[str] = set()

    def refused(self, host_id: str) -> Mapping[str, str]:
        """Interfaces of a host that claim a port and do not get it, each with the reason."""
        return self._refused.get(host_id, {})

    def is_read(self, host_id: str) -> bool:
        """Whether all that the host reported has found its place since we started."""
        return host_id in self._read

    # --- what happened ------------------------------------------------------------------------------------------

    def put_host(self, host: Host, *, is_new: bool) -> None:
        """A host is in the cloud. If it is new there, it came after the ports that are recorded to be bound there."""
        self._host_named[host.name] = host.id
        if is_new:
            for port in self._cloud.ports.values():
                if port.bound_host == host.name:
                    self.resolve(port.id, changed=False)

    def forget_claims(self, host_id: str) -> None:
        """A host is about to be removed: its interfaces claim nothing any more."""
        self._set_claims(host_id, {})

    def remove_host(self, host: Host) -> None:
        """A host is no more in the cloud."""
        del self._host_named[host.name]
        for port_id in self._presumed.pop(host.id, ()):
            self.resolve(port_id, changed=False)
        self._switch_ports.pop(host.id, None)
        self._refused.pop(host.id, None)
        self._read.discard(host.id)

    def take_facts(self, host_id: str, *, first: bool) -> None:
        """`cloud.facts` has a new report of a host; `first`: the first one since we started."""
        self._read_claims(host_id, first=first)
        if first:
            self._unreachable.discard(host_id)
            for port_id in runtime.in_slices(self._presumed.pop(host_id, ())):
                self.resolve(port_id, changed=False)
            if host_id in self._cloud.hosts:
                self._read.add(host_id)

    def set_unreachable(self, host_id: str) -> None:
        """A host could not be read. What is presumed of it now gives way to any claim of another host."""
        if host_id not in self._cloud.facts and host_id not in self._unreachable:
            self._unreachable.add(host_id)
            for port_id in tuple(self._presumed.get(host_id, ())):
                self.resolve(port_id, changed=False)

    def set_switch_ports(self, host_id: str, ports: Mapping[str, int] | None) -> None:
        """See `World.set_switch_ports`."""
        if ports is None:
            self._switch_ports.pop(host_id, None)
        else:
            self._switch_ports[host_id] = ports
        if host_id in self._cloud.facts:
            self._read_claims(host_id, first=False)

    # --- what follows -------------------------------------------------------------------------------------------

    def _presumption(self, port: Port | None) -> Claim | None:
        """The claim that a host which has not been read yet will probably make."""
        host_id = self._host_named.get(port.bound_host) if port and port.bound_host else None
        if port is None or host_id is None or host_id in self._cloud.facts:
            return None
        self._presumed[host_id].add(port.id)
        return Claim(host_id, PRESUMED, None, None, -1 if host_id in self._unreachable else 0)

    def _read_claims(self, host_id: str, *, first: bool) -> None:
        facts = self._cloud.facts[host_id]
        switch_ports = self._switch_ports.get(host_id)
        had = self._claims_of[host_id]
        have: dict[str, tuple[str, Claim]] = {}
        ofports = _certain_ofports(facts, switch_ports)
        for name, interface in facts.interfaces.items():
            ofport = ofports.get(name)
            if not interface.iface_id or ofport is None:
                continue
            old = had.get(name)
            if old and old[0] == interface.iface_id:
                claim = old[1]
                if (claim.ofport, claim.attached_mac) != (ofport, interface.attached_mac):
                    claim = Claim(host_id, name, ofport, interface.attached_mac, claim.rank)
            else:
                if not first:
                    self._rank += 1
                claim = Claim(host_id, name, ofport, interface.attached_mac, 0 if first else self._rank)
            have[name] = (interface.iface_id, claim)
        self._set_claims(host_id, have)

    def _set_claims(self, host_id: str, have: dict[str, tuple[str, Claim]]) -> None:
        had = self._claims_of.get(host_id, {})
        changed: set[str] = set()
        for name, (iface_id, _) in had.items():
            new = have.get(name)
            if new is None or new[0] != iface_id:
                self._claims[iface_id].pop((host_id, name), None)
                self._refused[host_id].pop(name, None)
                changed.add(iface_id)
        for name, (iface_id, claim) in have.items():
            old = had.get(name)
            if old is None or old[0] != iface_id or old[1] is not claim:
                self._claims[iface_id][host_id, name] = claim
                changed.add(iface_id)
        self._claims_of[host_id] = have
        for iface_id in runtime.in_slices(changed):
            self.resolve(iface_id, changed=False)
            if not self._claims.get(iface_id, True):
                del self._claims[iface_id]

    def resolve(self, port_id: str, *, changed: bool) -> None:
        """Decide which claim is the port's binding, and index the port accordingly."""
        port = self._cloud.ports.get(port_id)
        claims = self._claims.get(port_id, {})
        winner: Claim | None = None
        reasons: dict[Claim, str] = {}
        presumption = self._presumption(port)
        for claim in (*claims.values(), *((presumption,) if presumption else ())):
            reason = self._refusal(port, claim)
            if reason:
                reasons[claim] = reason
            elif winner is None or self._preference(port_id, claim) > self._preference(port_id, winner):
                winner = claim
        for claim in claims.values():
            refused = self._refused[claim.host_id]
            if claim is winner:
                refused.pop(claim.interface, None)
            elif claim in reasons:
                refused[claim.interface] = reasons[claim]
            elif winner is not None:
                where = (
                    self._cloud.hosts[winner.host_id].name if winner.host_id in self._cloud.hosts else winner.host_id
                )
                refused[claim.interface] = (
                    f"port {port_id} is bound by interface {winner.interface or '(not read yet)'} of host {where}"
                )
        binding = Binding(winner.host_id, winner.interface, winner.ofport) if winner else None
        old = self._cloud.bindings.get(port_id)
        if binding == old and not changed:
            return
        if binding is None:
            self._cloud.bindings.pop(port_id, None)
        else:
            self._cloud.bindings[port_id] = binding
        self._changed(port_id, binding != old)

    def _refusal(self, port: Port | None, claim: Claim) -> str:
        if port is None:
            return "iface-id names no port"
        host = self._cloud.hosts.get(claim.host_id)
        if host is None:
            return "the host was removed"
        if port.requested_host and port.requested_host != host.name:
            return f"port {port.id} is reserved for host {port.requested_host} (binding:host_id)"
        if claim.attached_mac is not None and claim.attached_mac != port.mac:
            return f"attached-mac {claim.attached_mac} is not the MAC address of port {port.id}"
        if claim.ofport is not None and claim.ofport > LAST_OFPORT:
            return f"ofport {claim.ofport} is above {LAST_OFPORT}: Open vSwitch has no meters for it"
        return ""

    def _preference(self, port_id: str, claim: Claim) -> tuple[int, bool, bool, str, str]:
        """Newest first; where that cannot be told, the host that was known to have it."""
        port = self._cloud.ports[port_id]
        bound = self._cloud.bindings.get(port_id)
        return (
            claim.rank,
            bound is not None and bound.host_id == claim.host_id,
            self._cloud.hosts[claim.host_id].name == port.bound_host,
            claim.host_id,
            claim.interface,
        )


def _certain_ofports(facts: HostFacts, switch_ports: Mapping[str, int] | None) -> dict[str, Ofport]:
    """Ofport by interface, as far as database and switch leave no doubt. One that two are said to have is neither's."""
    found: dict[str, Ofport] = {}
    for name, interface in facts.interfaces.items():
        ofport = interface.ofport
        if switch_ports is not None:
            known = switch_ports.get(name)
            if known is None or ofport not in (None, known):
                continue
            ofport = Ofport(known)
        if ofport is not None:
            found[name] = ofport
    times = Counter(found.values())
    return {name: ofport for name, ofport in found.items() if times[ofport] == 1}
