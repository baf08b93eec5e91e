# SPDX-License-Identifier: Apache-2.0
"""A cloud's hosts as interpreters of their flows, joined as in reality: tunnels, and a provider bridge between.

    simulated = Simulated(cloud)
    fate = simulated.send(packet)                   a guest's packet, by its IN_PORT
    fate = simulated.bring(host, packet)            one that a host gets from outside
    fate.promise                                    what came out, to be held against `tests.apps.promise`

Everything that the provider's network carries comes to every other host; it has no memory of who is where.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from sdnctl.flows.connections import NEW, Connections, Tracker
from sdnctl.flows.fields import Field
from sdnctl.flows.flow import Flow
from sdnctl.flows.journey import Journey, Onward, Visit, across, follow, through_tunnel
from sdnctl.flows.packet import Packet
from sdnctl.flows.pipeline import ENDS, Reason, Table
from sdnctl.flows.registers import DROP_SIDE, TO_PORT
from sdnctl.flows.simulate import Sent, Tables
from tests.apps.clouds import PATCH, TUNNEL, Cloud, endpoint, flows_of
from tests.apps.promise import Promise


@dataclass(frozen=True)
class Fate:
    """What became of a packet."""

    journey: Journey
    copies: tuple[tuple[int, Packet], ...]
    """Guests it came out at, with what it looked like."""
    outside: tuple[Packet, ...]
    tunnelled: tuple[int, ...]
    """Hosts that it was sent to by tunnel."""
    answers: tuple[Packet, ...]
    """What went back to who sent it."""
    punts: int
    observed: bool
    """An address that nobody gave was shown to the controller."""
    stray: tuple[tuple[int, Packet], ...]
    """What left by a port that is nobody's, or into a tunnel that ends nowhere."""
    blamed: int
    """How often it is counted as dropped for who sent it."""
    reported: int
    """How often it is shown to the controller as forged."""
    refused: tuple[int, ...]
    """For whom else it is counted as dropped."""

    @property
    def promise(self) -> Promise:
        guests = tuple(sorted(number for number, _ in self.copies))
        return Promise(
            guests,
            bool(self.outside),
            tuple(sorted(self.tunnelled)),
            bool(self.answers),
            bool(self.punts),
            self.observed,
            bool(self.blamed),
            bool(self.reported),
            tuple(sorted(self.refused)),
        )

    @property
    def drops(self) -> list[tuple[str, Table, Reason]]:
        return [
            (visit.host, Table(step.table), step.reason)
            for visit in self.journey.visits
            if visit.outcome is not None
            for step in visit.outcome.drops
            if step.reason is not None
        ]

    @property
    def text(self) -> str:
        """Every flow it hit, to read when a law is broken."""
        lines = []
        for visit in self.journey.visits:
            lines.append(f"host {visit.host}: {visit.packet!r}")
            steps = visit.outcome.steps if visit.outcome else ()
            lines += (f"  {step.table:3} {step.flow.text() if step.flow else 'nothing'}" for step in steps)
        return "\n".join(lines)


@dataclass(frozen=True)
class Simulated:
    """See the module's docstring. `by_host` are the switches; `known` what their trackers remember."""

    cloud: Cloud
    by_host: dict[str, Tables]
    known: dict[str, Tracker] = field(default_factory=dict)

    @classmethod
    def of(cls, cloud: Cloud) -> Simulated:
        return cls(cloud, {str(host): Tables(flows_on(cloud, host)) for host in cloud.hosts})

    def with_tables(self, host: str, tables: Tables) -> Simulated:
        return replace(self, by_host=self.by_host | {host: tables})

    # --- between the hosts: `sdnctl.flows.journey.Network` ------------------------------------------------------

    def tables(self, host: str) -> Tables | None:
        return self.by_host.get(host)

    def tracker(self, host: str) -> Tracker:
        return self.known.get(host, NEW)

    def onward(self, host: str, sent: Sent) -> Iterable[Onward]:
        if sent.ofport == TUNNEL:
            for other in self.cloud.hosts:
                if endpoint(other) == sent.packet[Field.TUN_DST] and str(other) != host:
                    yield Onward(str(other), through_tunnel(sent.packet, endpoint(int(host)), TUNNEL))
        elif sent.ofport == PATCH:
            for other in self.cloud.hosts:
                if str(other) != host:
                    yield Onward(str(other), across(sent.packet, PATCH))

    # --- packets ------------------------------------------------------------------------------------------------

    def send(self, packet: Packet) -> Fate:
        """A guest's packet."""
        host = next(one.host for one in self.cloud.guests if one.number == packet[Field.IN_PORT])
        return self.bring(host, packet)

    def bring(self, host: int, packet: Packet) -> Fate:
        """Any packet that comes in at `host`."""
        return self._fate(follow(str(host), packet, self))

    def remembering(self, fate: Fate) -> Simulated:
        """With what the trackers know afterwards."""
        known = dict(self.known)
        for visit in fate.journey.visits:
            before = known.get(visit.host, Connections())
            assert isinstance(before, Connections)
            assert visit.outcome is not None
            known[visit.host] = before.after(visit.outcome)
        return replace(self, known=known)

    def forgetting(self) -> Simulated:
        """With trackers that remember, and know nothing so far."""
        return self.tracking(Connections())

    def tracking(self, tracker: Tracker) -> Simulated:
        return replace(self, known=dict.fromkeys(map(str, self.cloud.hosts), tracker))

    def _fate(self, journey: Journey) -> Fate:
        hosts = {one.number: str(one.host) for one in self.cloud.guests}
        endpoints = {endpoint(one): str(one) for one in self.cloud.hosts}
        copies: list[tuple[int, Packet]] = []
        outside: list[Packet] = []
        tunnelled: list[int] = []
        answers: list[Packet] = []
        stray: list[tuple[int, Packet]] = []
        refused: list[int] = []
        punts: list[int] = []
        blamed = reported = 0
        for visit, sent in _sent(journey):
            if sent.ofport == visit.packet[Field.IN_PORT]:
                answers.append(sent.packet)
            elif sent.ofport == PATCH:
                outside.append(sent.packet)
            elif hosts.get(sent.ofport) == visit.host:
                copies.append((sent.ofport, sent.packet))
            elif (
                sent.ofport == TUNNEL and (other := endpoints.get(sent.packet[Field.TUN_DST], visit.host)) != visit.host
            ):
                tunnelled.append(int(other))
            else:
                stray.append((sent.ofport, sent.packet))
        for visit in journey.visits:
            outcome = visit.outcome
            is_sent_here = hosts.get(visit.packet[Field.IN_PORT]) == visit.host
            tables = [outcome.steps[one.step].table for one in outcome.punts] if outcome else []
            punts += tables
            reported += is_sent_here and tables.count(Table.SAMPLED)
            for step in outcome.steps if outcome else ():
                if step.table == Table.DROPPED and step.packet[DROP_SIDE.field] & DROP_SIDE.mask:
                    refused.append(step.packet[TO_PORT.field])
                elif is_sent_here:
                    blamed += step.table == Table.DROPPED
        # Samples of what is dropped are no answer to anything.
        acted_on = sum(table not in ENDS for table in punts)
        return Fate(
            journey,
            tuple(copies),
            tuple(outside),
            tuple(tunnelled),
            tuple(answers),
            acted_on,
            Table.OBSERVED in punts,
            tuple(stray),
            blamed,
            reported,
            tuple(refused),
        )


def _sent(journey: Journey) -> Iterator[tuple[Visit, Sent]]:
    for visit in journey.visits:
        for sent in visit.outcome.outputs if visit.outcome else ():
            yield visit, sent


def flows_on(cloud: Cloud, host: int) -> list[Flow]:
    return [flow for view in cloud.views(host) for flow in flows_of(view)]
