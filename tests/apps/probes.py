# SPDX-License-Identifier: Apache-2.0
"""Packets and conversations that are held against the promise, and which of them a broken flow could concern.

probes = Probes(cloud)                          random packets, impersonations, near misses, conversations
probes.notice(mutation)                         the first of them that shows it, in words, or ""
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from random import Random

from sdnctl.apps import meters, port_security, statistics
from sdnctl.apps.meters import MeterKind
from sdnctl.flows.action import Conjunction, Learn, Meter
from sdnctl.flows.connections import EST_FLAG, INV_FLAG, NEW_FLAG, REL_FLAG, RPL_FLAG, TRK_FLAG, always
from sdnctl.flows.fields import Field, Part
from sdnctl.flows.flow import Flow
from sdnctl.flows.instruction import part_of
from sdnctl.flows.match import Match, match_of
from sdnctl.flows.oxm import VLAN_TAG, test
from sdnctl.flows.packet import WITHIN, Packet
from sdnctl.flows.pipeline import ENDS, Reason, Side, Table, read_cookie
from sdnctl.flows.registers import (
    ADDRESS,
    ADDRESS_IS_6,
    DROP_REASON,
    DROP_SIDE,
    FILTERING,
    FROM_PORT,
    GROUP,
    NETWORK,
    TO_PORT,
    Slot,
)
from sdnctl.flows.simulate import Step, Tables
from sdnctl.flows.wire import encode
from sdnctl.model.addresses import link_local
from sdnctl.model.ip_group import VRRP
from sdnctl.model.network import NetworkType
from sdnctl.model.security import Direction
from sdnctl.model.views import Filtering, Source
from tests.apps import promise
from tests.apps.clouds import PATCH, TUNNEL, Cloud, Guest, endpoint
from tests.apps.mutations import Mutation
from tests.apps.packets import ALL_NODES, ARP, BROADCAST, ICMP6, IPV4, IPV6, NA, NS, RARP, mac
from tests.apps.regions import STRAY, Difference, Regions
from tests.apps.simulated import Fate, Simulated
from tests.apps.traffic import Traffic, possible

STATES = (EST_FLAG, EST_FLAG | RPL_FLAG, REL_FLAG | NEW_FLAG, REL_FLAG | RPL_FLAG, INV_FLAG)
MARKS = (0, promise.MARK_CUT, promise.MARK_KEEP, promise.MARK_ALIVE)
HARMLESS = "all packets that can come there are treated as before"
DROPPED = "such packets are dropped as before, and counted for the same port, only under another reason"
AIMED = 4
"""Packets aimed at each flow."""
WITNESSES, MOST_WITNESSES, WITNESSES_EACH = 60, 480, 6
"""Packets made for a broken flow of which no other one tells: at least, at most, and of each port at least."""
MOST_OF_ONE = 4
"""So many of packets that meet the same two flows, before those that meet others."""


@dataclass(frozen=True)
class Probe:
    """A packet that comes in at a host, and what the tracker says of it everywhere."""

    host: int
    packet: Packet
    state: int = NEW_FLAG
    mark: int = 0

    def fates(self, simulated: Simulated, _bare: Simulated) -> list[Fate]:
        return [simulated.tracking(always(self.state, self.mark)).bring(self.host, self.packet)]

    def wrong(self, simulated: Simulated, bare: Simulated) -> str:
        """What is not as promised."""
        (fate,) = self.fates(simulated, bare)
        cloud = simulated.cloud
        guest = next((one for one in cloud.on(self.host) if one.number == self.packet[Field.IN_PORT]), None)
        if guest is not None:
            told = promise.sent(cloud, guest, self.packet, self.state, self.mark)
        else:
            told = promise.received(cloud, self.host, self.packet, self.state, self.mark)
        if fate.promise != told:
            return f"{self.packet!r}: {fate.promise} and not {told}"
        return (
            badly_said(cloud, guest, self.packet, fate)
            or badly_counted(self.packet, fate)
            or badly_metered(cloud, self.packet, fate)
            or badly_remembered(cloud, self.packet, self.state, self.mark, fate)
        )


def badly_said(cloud: Cloud, guest: Guest | None, packet: Packet, fate: Fate) -> str:
    """What is wrong with the look of what came out."""
    own = promise.as_sent(guest, packet)
    for _, copy in fate.copies:
        if copy.on_the_wire() != own:
            return f"{packet!r}: arrives as {copy.on_the_wire()!r}"
    if fate.stray:
        return f"{packet!r}: leaves by {fate.stray}"
    for visit in fate.journey.visits:
        for back in visit.outcome.withheld if visit.outcome else ():
            if back.ofport in (TUNNEL, PATCH):
                return f"{packet!r}: goes back to where it came from"
    for copy in fate.outside:
        tag = 0x1000 | guest.net.segment if guest and guest.net.segment else 0
        if copy.on_the_wire() != own.changed({Field.VLAN_VID: tag}):
            return f"{packet!r}: outside it is {copy.on_the_wire()!r}"
    if fate.answers and guest is not None:
        told = promise.answered(cloud, guest, packet)
        if [one.on_the_wire() for one in fate.answers] != [told]:
            return f"{packet!r}: is answered {fate.answers} and not {told}"
    if wrong := badly_tracked(cloud, packet, fate):
        return wrong
    often = max(fate.punts, fate.blamed, fate.reported)
    return "" if often <= 1 else f"{packet!r}: is punted or counted {often} times"


def badly_tracked(cloud: Cloud, packet: Packet, fate: Fate) -> str:
    """What was asked of a tracker in the zone of a port that it is not about, or was not asked at all."""
    is_ip = packet[Field.ETH_TYPE] in (IPV4, IPV6)
    hosts = {one.number: str(one.host) for one in cloud.guests if one.filtering is Filtering.STATEFUL and is_ip}
    zones = {
        (visit.host, zone)
        for visit in fate.journey.visits
        for zone, _ in (visit.outcome.tracked if visit.outcome else ())
    }
    for host, zone in zones:
        if hosts.get(zone) != host:
            return f"{packet!r}: tracked in zone {zone} of host {host}"
    for number, _ in fate.copies:
        is_own = promise.is_own_business(Direction.INGRESS, packet)
        if number in hosts and (hosts[number], number) not in zones and not is_own:
            return f"{packet!r}: not tracked in the zone of {number}"
    return ""


def badly_counted(packet: Packet, fate: Fate) -> str:
    """What is wrong with how it is counted and shown, beside for whom."""
    for visit in fate.journey.visits:
        steps = visit.outcome.steps if visit.outcome else ()
        for step in steps:
            if step.reason is Reason.MISS:
                return f"{packet!r}: table {step.table} does not know it"
            if step.reason is Reason.ELSEWHERE and visit.outcome and visit.outcome.outputs:
                return f"{packet!r}: is not for somebody elsewhere"
            if step.table in ENDS:
                is_observed = step.table == Table.OBSERVED
                said = Reason.OBSERVED if is_observed else read(step.packet, DROP_REASON)
                for flow in (step.flow,) if is_observed else (steps[step.parent].flow, step.flow):
                    known = read_cookie(flow.cookie) if flow is not None else None
                    if known is None or known[1] != said:
                        return f"{packet!r}: dropped for {said}: counted by {flow}"
                if wrong := badly_learned(step, said):
                    return f"{packet!r}: dropped for {said}: {wrong}"
        for punt in visit.outcome.punts if visit.outcome else ():
            step = steps[punt.step]
            meter = Meter(meters.SAMPLES) if step.table == Table.SAMPLED else meters.punt(packet[Field.IN_PORT])
            if step.flow is None or step.flow.actions[0] != meter:
                return f"{packet!r}: shown to the controller without {meter}"
    return ""


def read(packet: Packet, slot: Slot) -> int:
    return (packet[slot.field] & slot.mask) >> slot.low


def badly_learned(step: Step, reason: int) -> str:
    """What is wrong with what the switch learns in one of the tables in which everything ends."""
    assert step.flow is not None
    learns = [one for one in step.flow.actions if isinstance(one, Learn)]
    side = Side(read(step.packet, DROP_SIDE))
    number = step.packet[Field.IN_PORT] if side is Side.FROM else read(step.packet, TO_PORT)
    same: set[Slot | Field] = {DROP_REASON, DROP_SIDE, Field.IN_PORT if side is Side.FROM else TO_PORT}
    lasts = (0, 0)
    if step.table == Table.SAMPLED:
        same, lasts = {DROP_REASON, Field.IN_PORT}, (statistics.QUIET_S, 0)
    elif step.table == Table.OBSERVED:
        same, lasts = {ADDRESS, ADDRESS_IS_6, Field.IN_PORT}, (0, port_security.AGAIN_S)
        is_6 = step.packet[Field.ETH_TYPE] == IPV6
        said = step.packet[Field.IPV6_SRC if is_6 else Field.ARP_SPA] & ADDRESS.limit
        if (read(step.packet, ADDRESS), read(step.packet, ADDRESS_IS_6)) != (said, is_6):
            return "takes it for another address"
    for learn in learns:
        learned = Flow(learn.table, learn.priority, same_as(step.packet, learn.same), (), learn.cookie)
        is_known = statistics.learned_about(encode(learned)) == (side, number, reason)
        if not is_known or set(learn.same) != same or (learn.idle_s, learn.hard_s) != lasts:
            return f"learns {learned}"
        if learn.table != step.table or learn.priority <= step.flow.priority:
            return f"meets {learned} never"
    return "" if len(learns) == 1 else "learns nothing"


def same_as(packet: Packet, places: Iterable[Slot | Field | Part]) -> Match:
    """What a flow asks about that is learned of the packet."""
    masks: dict[Field, int] = {}
    for place in places:
        part = part_of(place)
        masks[part.field] = masks.get(part.field, 0) | (1 << part.width) - 1 << part.low
    return match_of(test(field, packet[field] & mask, mask) for field, mask in sorted(masks.items()))


def badly_metered(cloud: Cloud, packet: Packet, fate: Fate) -> str:
    """Where something leaves that has not passed the limits of who sent it and of who gets it, once each.

    Nobody's own copies, which Open vSwitch leaves out, count for what he may receive.
    """
    guests = {(str(one.host), one.number): one for one in cloud.guests}
    for visit in fate.journey.visits:
        came = visit.packet[Field.IN_PORT]
        assert visit.outcome is not None
        for sent in (*visit.outcome.outputs, *visit.outcome.withheld):
            flows = [step.flow for step in visit.outcome.path(sent.step)]
            passed = [one.id for flow in flows if flow for one in flow.actions if isinstance(one, Meter)]
            sender, receiver = guests.get((visit.host, came)), guests.get((visit.host, sent.ofport))
            told: list[int] = []
            if sender is not None and not (sent.ofport == came and sent in visit.outcome.outputs):
                limits = sender.qos.from_bandwidth, sender.qos.from_packets
                kinds = MeterKind.FROM_BANDWIDTH, MeterKind.FROM_PACKETS
                told += (meters.meter_id(came, kind) for kind, one in zip(kinds, limits, strict=True) if one)
            if receiver is not None and sent.ofport != came:
                limits = receiver.qos.to_bandwidth, receiver.qos.to_packets
                kinds = MeterKind.TO_BANDWIDTH, MeterKind.TO_PACKETS
                told += (meters.meter_id(sent.ofport, kind) for kind, one in zip(kinds, limits, strict=True) if one)
            if passed != told:
                return f"{packet!r}: leaves by {sent.ofport} after the meters {passed} and not {told}"
    return ""


def badly_remembered(cloud: Cloud, packet: Packet, state: int, mark: int, fate: Fate) -> str:
    """What a tracker was told that is not so.

    A connection that is allowed is remembered once, with what becomes of it without the rule; of one that is not, only
    that it is over if there was one.
    """
    guests = {one.number: one for one in cloud.guests}
    sender = guests.get(packet[Field.IN_PORT])
    for visit in fate.journey.visits:
        for commit in visit.outcome.commits if visit.outcome else ():
            guest = guests[commit.zone]
            way = Direction.EGRESS if guest == sender else Direction.INGRESS
            told = {promise.MARK_CUT} if mark == promise.MARK_ALIVE else set()
            if promise.may(cloud, guest, way, packet):
                is_kept = any(one.keeps for one in promise.allowing(cloud, guest, way, packet))
                now = promise.MARK_KEEP if is_kept else promise.MARK_ALIVE
                told = {now} if mark != promise.MARK_ALIVE else set()
            if commit.mark not in told or state & (RPL_FLAG | REL_FLAG | INV_FLAG):
                return f"{packet!r}: remembered as {commit.mark} in zone {commit.zone}"
    return ""


@dataclass(frozen=True)
class Conversation:
    """A connection that is allowed: question, answer, and what happens when the rules go and come back."""

    sender: Guest
    receiver: Guest
    question: Packet

    @property
    def answer(self) -> Packet:
        packet = self.question
        swapped = {Field.IN_PORT: self.receiver.number}
        for one, other in (
            (Field.ETH_SRC, Field.ETH_DST),
            (Field.IPV4_SRC, Field.IPV4_DST),
            (Field.IPV6_SRC, Field.IPV6_DST),
            *promise.PORTS.values(),
        ):
            swapped |= {one: packet[other], other: packet[one]}
        if packet[Field.IP_PROTO] == ICMP6:
            swapped[Field.ICMP6_TYPE] = packet[Field.ICMP6_TYPE] ^ 1
        elif packet[Field.IP_PROTO] == 1:
            swapped[Field.ICMP4_TYPE] = packet[Field.ICMP4_TYPE] ^ 8
        return packet.changed(swapped)

    def _phases(self) -> tuple[tuple[Packet, bool], ...]:
        """Packets, and whether they meet a host whose groups have no rules."""
        question, answer = self.question, self.answer
        return (
            (question, False),
            (answer, False),
            (question, False),
            (question, True),
            (answer, True),
            (question, False),
            (answer, False),
        )

    def fates(self, simulated: Simulated, bare: Simulated) -> list[Fate]:
        found = []
        now = simulated.forgetting()
        for packet, is_bare in self._phases():
            at = replace(bare, known=now.known) if is_bare else now
            fate = at.send(packet)
            now = now.remembering(fate)
            found.append(fate)
        return found

    def told(self, cloud: Cloud) -> tuple[bool, ...]:
        """Which of them arrive."""
        first, second = self.sender, self.receiver

        def answers(guest: Guest, direction: Direction) -> bool:
            return guest.filtering is Filtering.STATEFUL or promise.may(cloud, guest, direction, self.answer)

        back = answers(second, Direction.EGRESS) and answers(first, Direction.INGRESS)
        left = self._lives(cloud, first, Direction.EGRESS)
        reached = left and self._lives(cloud, second, Direction.INGRESS)
        # What never came to the receiver's groups cut nothing there.
        lives = self._answer_lives(second, lives=not left or self._lives(cloud, second, Direction.INGRESS))
        after = lives and self._answer_lives(first, lives=left)
        return (True, back, True, reached, after, True, back)

    def _lives(self, cloud: Cloud, guest: Guest, direction: Direction) -> bool:
        """Whether the connection outlives the rules on this side."""
        if not guest.filtering:
            return True
        kept = any(one.keeps for one in promise.allowing(cloud, guest, direction, self.question))
        return guest.filtering is Filtering.STATEFUL and kept

    @staticmethod
    def _answer_lives(guest: Guest, *, lives: bool) -> bool:
        return not guest.filtering or (guest.filtering is Filtering.STATEFUL and lives)

    def wrong(self, simulated: Simulated, bare: Simulated) -> str:
        fates = self.fates(simulated, bare)
        ends = {self.question: self.receiver.number, self.answer: self.sender.number}
        phases = zip(self._phases(), fates, strict=True)
        arrived = tuple(ends[packet] in dict(fate.copies) for (packet, _), fate in phases)
        told = self.told(simulated.cloud)
        return "" if arrived == told else f"conversation {self.question!r}: {arrived} and not {told}"


class Probes:
    """See the module's docstring."""

    def __init__(self, cloud: Cloud, seed: int, count: int) -> None:
        self.cloud = cloud
        self.simulated = Simulated.of(cloud)
        no_rules = tuple(replace(one, rules=(), addresses=()) for one in cloud.policies)
        self.bare = Simulated.of(replace(cloud, policies=no_rules))
        self._random = Random(seed)
        matrix = list(self._matrix())
        found: list[Probe | Conversation] = [*matrix, *self._conversations(matrix)]
        found += (*self._traffic(count), *self._impersonations(), *self._aimed(), *self._detections())
        self.probes: list[Probe | Conversation] = []
        self.regions = {
            name: Regions(cloud, int(name), tuple(one.flows)) for name, one in self.simulated.by_host.items()
        }
        self._without_rules = {host: frozenset(one.flows) for host, one in self.bare.by_host.items()}
        self._ways: list[int] = []
        """For each probe, which flows it meets."""
        self._by_flow: dict[tuple[str, Flow], dict[int, None]] = {}
        self._by_table: dict[tuple[str, int], dict[Flow | None, dict[Packet, dict[int, None]]]] = {}
        for one in found:
            self._add(one)
        for one in tuple(self._near_misses()):
            self._add(one)

    def _add(self, probe: Probe | Conversation) -> None:
        number = len(self.probes)
        self.probes.append(probe)
        way: list[object] = []
        for fate in probe.fates(self.simulated, self.bare):
            for visit in fate.journey.visits:
                for step in visit.outcome.steps if visit.outcome else ():
                    way.append(step.flow)
                    if step.flow is not None:
                        self._by_flow.setdefault((visit.host, step.flow), {})[number] = None
                    at = self._by_table.setdefault((visit.host, int(step.table)), {})
                    at.setdefault(step.flow, {}).setdefault(step.packet, {})[number] = None
        self._ways.append(hash(tuple(way)))

    # --- which packets ------------------------------------------------------------------------------------------

    def _traffic(self, count: int) -> Iterator[Probe]:
        random = self._random
        for host in self.cloud.hosts:
            for packet in Traffic(self.cloud, host, random).packets(count):
                yield Probe(host, packet)
                if random.random() < 0.2 and packet[Field.ETH_TYPE] in (0x0800, 0x86DD):
                    yield Probe(host, packet, random.choice(STATES), random.choice(MARKS))

    def _impersonations(self) -> Iterator[Probe]:
        """What one guest may send, sent by another one of its host."""
        for host in self.cloud.hosts:
            traffic = Traffic(self.cloud, host, self._random)
            for guest in self.cloud.on(host):
                for other in self.cloud.on(host):
                    for packet in traffic.rightful(guest, 4):
                        yield Probe(host, packet.changed({Field.IN_PORT: other.number}))
                    for own in traffic.macs_of(other) if other != guest else ():
                        yield from self._claims(traffic, host, other, guest, own)
                    for own in sorted(guest.macs) if other.macs & guest.macs else ():
                        for kind in (IPV4, IPV6, ARP):
                            fields = traffic.everything(guest, self._neighbour(guest), own)
                            made = _packet(fields | {Field.IN_PORT: other.number, Field.ETH_TYPE: kind})
                            if made is not None:
                                yield Probe(host, made)

    def _detections(self) -> Iterator[Probe]:
        """Every guest asks whether somebody else has an address of its own; also as if through a router."""
        for guest in self.cloud.guests:
            for source in self.cloud.sources(guest):
                if source.version == 6:
                    asks = {Field.ETH_TYPE: IPV6, Field.IPV6_DST: ALL_NODES, Field.IP_PROTO: ICMP6}
                    asks |= {Field.ICMP6_TYPE: NS, Field.ICMP6_CODE: 0, Field.ND_TARGET: source.address}
                    frame = {Field.IN_PORT: guest.number, Field.ETH_SRC: source.mac, Field.ETH_DST: BROADCAST}
                    for hops in (255, 64):
                        yield Probe(guest.host, Packet.of(frame | asks | {Field.IP_TTL: hops}))

    def _claims(self, traffic: Traffic, host: int, guest: Guest, victim: Guest, own: int) -> Iterator[Probe]:
        """One who is himself by MAC, and somebody else by what he says."""
        rightful = traffic.everything(guest, self._neighbour(guest), own)
        rightful |= {Field.ICMP6_CODE: 0, Field.IPV6_SRC: rightful[Field.IPV6_SRC] or link_local(own)}
        for source in self.cloud.sources(victim):
            if source.version == 4:
                said = {Field.ETH_TYPE: IPV4, Field.IPV4_SRC: source.address}
                yield from self._one(host, rightful, said)
                yield from self._one(host, rightful, said | {Field.IP_PROTO: VRRP})
                yield from self._one(host, rightful, {Field.ETH_TYPE: ARP, Field.ARP_SPA: source.address})
            else:
                is_nd = {Field.ETH_TYPE: IPV6, Field.IP_PROTO: ICMP6}
                said = {Field.ETH_TYPE: IPV6, Field.IPV6_SRC: source.address}
                yield from self._one(host, rightful, said)
                yield from self._one(host, rightful, said | {Field.IP_PROTO: VRRP})
                claim = {Field.ICMP6_TYPE: NA, Field.ND_TARGET: source.address}
                yield from self._one(host, rightful, is_nd | claim)
                yield from self._one(host, rightful, is_nd | claim | {Field.ND_TLL: 0})
                yield from self._one(host, rightful, is_nd | claim | {Field.ND_TLL: source.mac})
                detects = {Field.ICMP6_TYPE: NS, Field.IPV6_SRC: 0, Field.ND_SLL: 0, Field.ND_TARGET: source.address}
                yield from self._one(host, rightful, is_nd | detects)
        for one in sorted(victim.macs):
            said = {Field.ETH_TYPE: IPV6, Field.IP_PROTO: ICMP6, Field.ICMP6_TYPE: NS, Field.ND_SLL: one}
            yield from self._one(host, rightful, said)
            yield from self._one(host, rightful, {Field.ETH_TYPE: ARP, Field.ARP_SHA: one, Field.ARP_SPA: 0})
            yield from self._one(host, rightful, {Field.ETH_TYPE: RARP, Field.ARP_SHA: one, Field.ARP_OP: 3})

    @staticmethod
    def _one(host: int, rightful: dict[Field, int], changes: dict[Field, int]) -> Iterator[Probe]:
        made = _packet(rightful | changes)
        if made is not None:
            yield Probe(host, made)

    def _aimed(self) -> Iterator[Probe]:
        """For each flow, packets of whoever it is about that have what it tests."""
        for host in self.cloud.hosts:
            traffic = Traffic(self.cloud, host, self._random)
            for flow in self.simulated.by_host[str(host)].flows:
                is_guarding = Table.FROM_STATE <= flow.table <= Table.FROM_VERDICT or flow.table >= Table.TO_STATE
                ends = [self._ends(host, flow, is_guarding=is_guarding) for _ in range(AIMED * (1 + is_guarding))]
                if flow.table < Table.FROM_STATE and flow.match.get(FROM_PORT.field) is None:
                    ends = [(one, self._neighbour(one)) for one in self.cloud.on(host)]
                for sender, receiver in ends:
                    yield from self._aim(traffic, flow, sender, receiver, is_guarding=is_guarding)

    def _ends(self, host: int, flow: Flow, *, is_guarding: bool) -> tuple[Guest, Guest]:
        """A sender and a receiver of whom one is on `host` and the flow about."""
        random = self._random
        about = [one for one in self.cloud.guests if _is_about(flow, one)] or list(self.cloud.guests)
        if is_guarding:
            about = [one for one in about if one.filtering] or about
        end = random.choice([one for one in about if one.host == host] or about)
        other = self._neighbour(end)
        return (other, end) if flow.table >= Table.SWITCHING else (end, other)

    def _neighbour(self, guest: Guest) -> Guest:
        return self._random.choice([one for one in self.cloud.guests if one.net == guest.net])

    def _aim(
        self, traffic: Traffic, flow: Flow, sender: Guest, receiver: Guest, *, is_guarding: bool
    ) -> Iterator[Probe]:
        random = self._random
        tests = {one.field: one for one in flow.match.tests}
        own = tests[Field.ETH_SRC].value if Field.ETH_SRC in tests else random.choice(tuple(sender.macs))
        fields = traffic.everything(sender, receiver, own)
        for field, one in tests.items():
            if field not in WITHIN:
                fields[field] = fields.get(field, 0) & ~one.mask | one.value
        packet = _packet(fields)
        if packet is None:
            return
        yield Probe(sender.host, packet)
        if any(isinstance(one, Conjunction) for one in flow.actions):
            yield from (Probe(sender.host, one) for one in self._beside(flow, packet))
        if is_guarding:
            state = tests[Field.CT_STATE].value & ~TRK_FLAG if Field.CT_STATE in tests else 0
            mark = tests[Field.CT_MARK].value if Field.CT_MARK in tests else random.choice(MARKS)
            yield Probe(sender.host, packet, state or random.choice(STATES), mark)
        if flow.table >= Table.SWITCHING and receiver.host != sender.host:
            yield Probe(receiver.host, outside(packet, receiver, sender.host))

    def _matrix(self) -> Iterator[Probe]:
        """Every guest to every other one of its network, by every service that rules speak of."""
        for sender in self.cloud.guests:
            for receiver in self.cloud.guests:
                if sender.net == receiver.net and sender != receiver:
                    for packet in services(sender, receiver):
                        yield Probe(sender.host, packet)
                        yield Probe(sender.host, packet.changed({Field.ETH_DST: BROADCAST}))

    def _conversations(self, probes: Iterable[Probe]) -> Iterator[Conversation]:
        """What of it is allowed, as connections; one for each pair of guests and set of rules that allow it."""
        guests = {one.number: one for one in self.cloud.guests}
        seen = set()
        for probe in probes:
            packet, sender = probe.packet, guests[probe.packet[Field.IN_PORT]]
            if packet[Field.ETH_DST] == BROADCAST:
                continue
            receiver = next(one for one in self.cloud.guests if mac(one.number) == packet[Field.ETH_DST])
            if promise.sent(self.cloud, sender, packet).guests != (receiver.number,) or receiver.is_open:
                continue
            rules = tuple(
                rule
                for guest, way in ((sender, Direction.EGRESS), (receiver, Direction.INGRESS))
                for rule in promise.allowing(self.cloud, guest, way, packet)
            )
            if (sender, receiver, rules) not in seen:
                seen.add((sender, receiver, rules))
                yield Conversation(sender, receiver, packet)

    def _near_misses(self) -> Iterator[Probe]:
        """For each flow, packets that hit it, changed in one bit of what it tests."""
        for (_, flow), numbers in tuple(self._by_flow.items()):
            hits = [self.probes[number] for number in tuple(numbers)[:40]]
            for probe in [one for one in hits if isinstance(one, Probe)][:2]:
                yield from (replace(probe, packet=one) for one in self._beside(flow, probe.packet))

    def _beside(self, flow: Flow, packet: Packet) -> Iterator[Packet]:
        """The packet with one bit of what the flow tests turned, or with another MAC of its sender's."""
        sender = next((one for one in self.cloud.guests if one.number == packet[Field.IN_PORT]), None)
        for one in flow.match.tests:
            if one.field in WITHIN:
                continue
            values = {packet[one.field] ^ one.mask & -one.mask, packet[one.field] ^ 1 << one.mask.bit_length() - 1}
            if one.field.bits == 48 and sender is not None:
                values |= sender.macs
            for value in sorted(values - {packet[one.field]}):
                changes = [{one.field: value}]
                if one.field is Field.ETH_SRC and sender is not None:
                    changes += (
                        {one.field: value, **_from(source)}
                        for source in self.cloud.sources(sender)
                        if source.mac == value
                    )
                for change in changes:
                    made = _packet(dict(packet.fields()) | change)
                    if made is not None:
                        yield made

    # --- what they notice ---------------------------------------------------------------------------------------

    def notice(self, mutation: Mutation) -> tuple[bool, str]:
        """Whether the mutation shows, and how; or what proves that it cannot, and "" if nothing does."""
        broken = self._broken(mutation)
        for number in self._concerned(mutation, broken[0].by_host[mutation.host]):
            if wrong := self.probes[number].wrong(*broken):
                return True, wrong
        regions, parts = self.regions[mutation.host], self._visible(mutation)
        first = list(islice(parts, MOST_WITNESSES))
        for probe in self._witnesses(int(mutation.host), first):
            if wrong := probe.wrong(*broken):
                return True, wrong
        if not any(map(regions.can_come, chain(first, parts))):
            return False, HARMLESS
        if mutation.flow.table in ENDS or self._is_visible(mutation, with_reasons=False):
            return False, ""
        return False, DROPPED

    def proves(self, mutation: Mutation) -> bool:
        """Whether it is proved that no packet is treated otherwise by the broken flow."""
        return not self._is_visible(mutation)

    def _is_visible(self, mutation: Mutation, *, with_reasons: bool = True) -> bool:
        can_come = self.regions[mutation.host].can_come
        return any(map(can_come, self._visible(mutation, with_reasons=with_reasons)))

    def _visible(self, mutation: Mutation, *, with_reasons: bool = True) -> Iterator[Difference]:
        """Packets for whom it may make a difference; first some of each kind."""
        regions = self.regions[mutation.host]
        differences = list(regions.differences(mutation.flow, mutation.broken))
        Random(len(differences)).shuffle(differences)
        rest: list[Difference] = []
        for one in differences:
            parts = regions.visible(one, with_reasons=with_reasons)
            yield from parts[:MOST_OF_ONE]
            rest += parts[MOST_OF_ONE:]
        yield from rest

    def _broken(self, mutation: Mutation) -> tuple[Simulated, Simulated]:
        """The cloud with the broken flow, and the one without rules."""
        host, flow = mutation.host, mutation.flow
        also = () if mutation.broken is None else (mutation.broken,)
        simulated, bare = (
            one.with_tables(host, one.by_host[host].changed((flow,), also)) for one in (self.simulated, self.bare)
        )
        return simulated, bare if flow in self._without_rules[host] else self.bare

    def _concerned(self, mutation: Mutation, tables: Tables) -> Iterator[int]:
        """Probes that meet another flow now, or the same one with other actions: one of each way, the last ones first.

        Those are near misses and aimed ones.
        """
        flow, broken = mutation.flow, mutation.broken
        joins = any(isinstance(one, Conjunction) for one in flow.actions)
        ways: set[int] = set()
        for hit, packets in self._by_table.get((mutation.host, int(flow.table)), {}).items():
            if joins:
                may_meet = [one for one in (flow, broken) if one is not None]
            elif broken is not None and _outdoes(broken, hit):
                may_meet = [broken]
            elif hit == flow:
                may_meet = []
            else:
                continue
            for packet in reversed(packets):
                if hit != flow and not any(_fits(one, packet) for one in may_meet):
                    continue
                now = tables.lookup(flow.table, packet)
                if (now and now.actions) == (hit and hit.actions):
                    continue
                for number in reversed(packets[packet]):
                    if self._ways[number] not in ways:
                        ways.add(self._ways[number])
                        yield number

    def _witnesses(self, host: int, differences: list[Difference]) -> Iterator[Probe]:
        """Packets that come from where it may make a difference."""
        random = Random(len(differences))
        traffic = Traffic(self.cloud, host, random)
        if not differences:
            return
        by_port: dict[object, list[Difference]] = {}
        for one in random.sample(differences, len(differences)):
            ends = one.region.field(Field.IN_PORT), one.region.slot(TO_PORT)
            by_port.setdefault(ends, []).append(one)
        count = min(max(len(differences), WITNESSES), MOST_WITNESSES)
        for at in range(count // len(by_port) + WITNESSES_EACH):
            for some in by_port.values():
                probe = self._witness(traffic, some[at % len(some)])
                if probe is not None:
                    yield probe

    def _witness(self, traffic: Traffic, difference: Difference) -> Probe | None:
        """A packet of the region; what the region does not say is as its sender would rightly say it."""
        random, region = traffic.random, difference.region
        came = {field: (value, mask) for field, value, mask in region.known()}
        ofport = came[Field.IN_PORT][0] if Field.IN_PORT in came else None
        guests = {one.number: one for one in self.cloud.guests}
        to, key = region.slot(TO_PORT), region.slot(NETWORK)
        receiver = guests.get(to or 0)
        if ofport in guests:
            sender = guests[ofport]
            receiver = receiver or self._neighbour(sender)
        else:
            members = [one for one in self.cloud.guests if not key or one.net.key == key]
            receiver = receiver or random.choice([one for one in members if one.host == traffic.host])
            sender = self._neighbour(receiver)
        own, mask = came.get(Field.ETH_SRC, (0, 0))
        if mask != Field.ETH_SRC.full:
            own = random.choice(sorted(sender.macs) if random.random() < 0.5 else traffic.macs)
        fields = traffic.anything(sender, receiver, own, came.get(Field.ICMP6_TYPE, (0, 0))[0])
        place = sender.host
        if ofport in (TUNNEL, PATCH, STRAY):
            place = traffic.host
            fields[Field.IN_PORT] = STRAY
            if ofport != STRAY:
                there = next(one for one in self.cloud.hosts if one != place)
                fields |= entering(receiver, there)
        for field, (value, mask) in came.items():
            fields[field] = fields.get(field, 0) & ~mask | value
        if not fields[Field.ETH_TYPE]:
            fields[Field.ETH_TYPE] = 0x88CC
        packet = _packet(fields)
        if packet is None:
            return None
        state, known = region.field(Field.CT_STATE)
        mark, _ = region.field(Field.CT_MARK)
        return Probe(place, packet, state & ~TRK_FLAG if known and state else NEW_FLAG, mark)


def outside(packet: Packet, receiver: Guest, host: int) -> Packet:
    """The packet as it would come to the receiver's host from `host`, whoever sent it."""
    return packet.changed(entering(receiver, host))


def entering(receiver: Guest, host: int) -> dict[Field, int]:
    """Where something for the receiver comes in at its host, from `host`."""
    net = receiver.net
    if net.type is NetworkType.VXLAN:
        there = {Field.IN_PORT: TUNNEL, Field.TUN_ID: net.segment or 0}
        return there | {Field.TUN_SRC: endpoint(host), Field.TUN_DST: endpoint(receiver.host)}
    tag = VLAN_TAG | net.segment if net.segment is not None else 0
    return {Field.IN_PORT: PATCH, Field.VLAN_VID: tag}


def services(sender: Guest, receiver: Guest) -> Iterator[Packet]:
    """What one guest may want of another."""
    own, theirs = mac(sender.number), mac(receiver.number)
    frame = {Field.IN_PORT: sender.number, Field.ETH_SRC: own, Field.ETH_DST: theirs, Field.IP_TTL: 64}
    asks: list[dict[Field, int]] = [{Field.IP_PROTO: 47}]
    asks += ({Field.IP_PROTO: 6, Field.TCP_SRC: 4001, Field.TCP_DST: port} for port in (22, 80, 85, 91, 443))
    asks += ({Field.IP_PROTO: 17, Field.UDP_SRC: 4001, Field.UDP_DST: port} for port in (53, 4000))
    ends = [(4, one, other) for one in sender.addresses4 for other in receiver.addresses4]
    ends += [(6, one, other) for one in sender.addresses6 for other in receiver.addresses6]
    ends += [(6, link_local(own), link_local(theirs))]
    for version, src, dst in ends:
        if version == 4:
            said = {Field.ETH_TYPE: IPV4, Field.IPV4_SRC: src, Field.IPV4_DST: dst}
            echo = {Field.IP_PROTO: 1, Field.ICMP4_TYPE: 8}
        else:
            said = {Field.ETH_TYPE: IPV6, Field.IPV6_SRC: src, Field.IPV6_DST: dst}
            echo = {Field.IP_PROTO: ICMP6, Field.ICMP6_TYPE: 128}
        for what in (*asks, echo):
            yield Packet.of(frame | said | what)


def _from(source: Source) -> dict[Field, int]:
    return {Field.IPV4_SRC if source.version == 4 else Field.IPV6_SRC: source.address}


def _outdoes(flow: Flow, hit: Flow | None) -> bool:
    return hit is None or flow.priority >= hit.priority or flow.match.get(Field.CONJ_ID) is not None


def _fits(flow: Flow, packet: Packet) -> bool:
    values = packet.values
    return all(values[one.field] & one.mask == one.value for one in flow.match.tests if one.field is not Field.CONJ_ID)


def _is_about(flow: Flow, guest: Guest) -> bool:
    """Whether the registers that the flow tests may say that it is about the guest."""
    for slot, values in (
        (NETWORK, {guest.net.key}),
        (FROM_PORT, {guest.number}),
        (TO_PORT, {guest.number}),
        (GROUP, set(guest.groups)),
        (FILTERING, {guest.filtering}),
    ):
        one = flow.match.get(slot.field)
        if one is not None and one.mask & slot.mask == slot.mask and (one.value & slot.mask) >> slot.low not in values:
            return False
    return True


def _packet(fields: dict[Field, int]) -> Packet | None:
    try:
        return Packet.of(possible(fields))
    except ValueError:
        return None
