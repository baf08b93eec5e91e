# SPDX-License-Identifier: Apache-2.0
"""What becomes of a packet, in the words of the API: each stage that it passes, where it ends, and why.

    story = Story(cloud, joined, question)
    story.told(host, packet)        JSON-ready: verdict, text, steps, arrivals, drops

The words come out of the flows themselves: what they write into registers, where they send, whose they are. So a new
stage tells of itself, and a slot that says something to people gets its words in `_SLOTS`.

Whoever asks for one project learns nothing of others but what a guest could find out: no id, no name, no rule, no flow
and no host. Whether a frame arrives is such a thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from sdnctl.apps import qos, security_groups
from sdnctl.apps.meters import PACKETS_PER_S, MeterKind, read_meter_id
from sdnctl.flows.action import (
    Action,
    Conjunction,
    Controller,
    Ct,
    Load,
    Meter,
    Output,
    OutputInPort,
    SetField,
)
from sdnctl.flows.fields import Field, Part
from sdnctl.flows.flow import Flow
from sdnctl.flows.instruction import part_of
from sdnctl.flows.journey import Journey, Visit, follow
from sdnctl.flows.oxm import VLAN_TAG
from sdnctl.flows.packet import Packet
from sdnctl.flows.pipeline import ENDS, Kind, Reason, Table, read_cookie
from sdnctl.flows.registers import ALLOWED, FROM_PORT, GROUP, NETWORK, TO_PORT
from sdnctl.flows.simulate import Outcome, Sent, Step
from sdnctl.model.host import Host
from sdnctl.model.network import Network
from sdnctl.model.port import Port
from sdnctl.model.qos import QosPolicy
from sdnctl.model.question import Connection, PacketQuestion
from sdnctl.model.security import Direction, SecurityGroup, SecurityRule
from sdnctl.sync import views
from sdnctl.sync.cloud import Cloud
from sdnctl.sync.joined import Joined

Owned = Host | Network | Port | SecurityGroup | QosPolicy
Told = dict[str, object]

ARRIVES: Final = "arrives"
LEAVES: Final = "leaves"
"""To a provider's network, where others may be than our ports."""
ANSWERED: Final = "answered"
"""By the sender's own host."""
PUNTED: Final = "punted"
"""The controller answers it, or does not."""
DROPPED: Final = "dropped"
NOWHERE: Final = "nowhere"
"""Nothing drops it and nobody gets it: it is its sender's own."""
VERDICTS: Final = (ARRIVES, LEAVES, ANSWERED, PUNTED, DROPPED, NOWHERE)

_CONNECTIONS: Final[Mapping[Connection, str]] = {
    Connection.NEW: "a new connection",
    Connection.ESTABLISHED: "its own connection, established",
    Connection.REPLY: "an answer within a connection of the other end",
    Connection.RELATED: "an error about a connection of the other end",
    Connection.INVALID: "no connection that could be",
}
_RULE_TABLES: Final[Mapping[int, Direction]] = {
    Table.FROM_RULES: Direction.EGRESS,
    Table.TO_RULES: Direction.INGRESS,
}


class Story:
    """See the module's docstring."""

    def __init__(
        self, cloud: Cloud, joined: Joined, question: PacketQuestion, by_key: Callable[[str, int], str | None]
    ) -> None:
        self._cloud = cloud
        self._joined = joined
        self._question = question
        self._by_key = by_key
        self._hosts: dict[str, str] = {}
        """host -> its name here."""
        self._asked: list[str] = []
        """Groups that were asked and did not allow it, since the last verdict."""

    def told(self, host: str, packet: Packet) -> Told:
        """Everything about `packet` that comes in at `host`."""
        journey = follow(host, packet, self._joined)
        steps = [told for number, visit in enumerate(journey.visits) for told in self._visit(journey, number, visit)]
        arrivals = list(self._arrivals(journey))
        outside = list(self._outside(journey))
        drops = [step for step in steps if step["reason"]]
        answered = any(_returned(visit) for visit in journey.visits)
        punted = any(_punts(visit) for visit in journey.visits)
        verdict = (
            ARRIVES if arrivals else LEAVES if outside else ANSWERED if answered else PUNTED if punted
            else DROPPED if drops else NOWHERE
        )  # fmt: skip
        told: Told = {
            "packet": packet.changed({Field.IN_PORT: 0}).text(),
            "connection": self._question.connection.value,
            "flows": "installed" if self._question.installed else "desired",
            "verdict": verdict,
            "text": self._sum(verdict, arrivals, outside, drops, is_group=bool(packet[Field.ETH_DST] >> 40 & 1)),
            "arrivals": arrivals,
            "outside": outside,
            "drops": drops,
            "steps": steps,
        }
        if self._joined.foreign and self._question.project_id is None:
            names = (f"{count} on {self._cloud.hosts[one].name}" for one, count in self._joined.foreign.items())
            told["left_out"] = f"flows that are none of ours: {', '.join(names)}"
        return told

    # --- where it ends ------------------------------------------------------------------------------------------

    def _arrivals(self, journey: Journey) -> Iterator[Told]:
        for visit, sent in _sent(journey):
            port_id = self._cloud.at_ofport[visit.host].get(sent.ofport)
            if port_id is not None and sent.ofport != visit.packet[Field.IN_PORT]:
                port = self._cloud.ports[port_id]
                yield {
                    "host": self._host(visit.host),
                    **self._object(port, "port"),
                    "packet": sent.packet.on_the_wire().text(),
                }

    def _outside(self, journey: Journey) -> Iterator[Told]:
        for visit, sent in _sent(journey):
            name = self._joined.physical_network(visit.host, sent)
            if name is not None:
                tag = sent.packet[Field.VLAN_VID] & ~VLAN_TAG
                yield {
                    "host": self._host(visit.host),
                    "physical_network": name if self._question.project_id is None else None,
                    "tag": (tag or None) if self._question.project_id is None else None,
                }

    @staticmethod
    def _sum(verdict: str, arrivals: list[Told], outside: list[Told], drops: list[Told], *, is_group: bool) -> str:
        """One sentence."""
        match verdict:
            case "arrives":
                ends = [f"{one['text']} on {one['host']}" for one in arrivals]
                shown = ", ".join(ends[:8]) + (f" and {len(ends) - 8} more" if len(ends) > 8 else "")
                # What is for one station leaves only to get there.
                also = "; it leaves to the provider's network as well" if outside and is_group else ""
                lost = f"; {len(drops)} further copies are dropped" if len(drops) > 1 else ""
                lost = lost or (f"; one further copy is dropped: {drops[0]['why']}" if drops else "")
                return f"arrives at {shown}{also}{lost}"
            case "leaves":
                where = outside[0]["physical_network"]
                network = "the provider's network" if where is None else f"physical network {where}"
                return f"leaves {outside[0]['host']} to {network}; none of our ports there gets it" + (
                    f" ({drops[0]['why']})" if drops else ""
                )
            case "answered":
                return "is answered by the sender's own host"
            case "punted":
                return "is handed to the controller, which answers it"
            case "dropped":
                first = drops[0]
                return f"dies on {first['host']} in {first['table']}: {first['why']}"
        return "goes nowhere: it is for its own sender"

    # --- the way there ------------------------------------------------------------------------------------------

    def _visit(self, journey: Journey, number: int, visit: Visit) -> Iterator[Told]:
        outcome = visit.outcome
        if outcome is None:
            return
        self._asked = []
        for at, step in enumerate(outcome.steps):
            if step.table in ENDS:
                continue  # it is dead already, and only counted
            known = read_cookie(step.flow.cookie) if step.flow is not None else None
            owner = self._model(known[0].kind, known[0].key) if known else None
            told: Told = {
                "host": self._host(visit.host),
                "table": Table(step.table).name.lower() if step.table in Table._value2member_map_ else str(step.table),
                "app": known[0].app.name.lower() if known else None,
                "object_type": _WORDS.get(known[0].kind, known[0].kind.name.lower()) if known else None,
                "object": None,
                "name": None,
                "reason": None,
                "why": None,
                "rules": [],
                "flow": step.flow.text(names=True) if step.flow and self._question.project_id is None else None,
            }
            if owner is not None:
                shown = self._object(owner, str(told["object_type"]))
                told |= {"object": shown["object"], "name": shown["name"]}
            told["text"] = self._step(visit.host, outcome, at, step, told)
            yield told

    def _step(self, host: str, outcome: Outcome, at: int, step: Step, told: Told) -> str:
        """What happens in one table; `told` gets rules and reasons."""
        if step.flow is None:
            told |= {"reason": Reason.MISS.name.lower(), "why": "no flow in this table knows the packet"}
            return "dropped: no flow in this table knows the packet"
        if step.table in _RULE_TABLES:
            return self._rules(step, step.flow, told)
        if step.reason is not None:
            why = step.reason.text
            if step.reason in (Reason.NOT_ALLOWED_FROM, Reason.NOT_ALLOWED_TO) and self._asked:
                why += f" (asked: {', '.join(self._asked)})"
            told |= {"reason": step.reason.name.lower(), "why": why}
            self._asked = []
            return f"dropped: {why}"
        self._asked = []
        said = [*self._written(step.flow.actions), *self._done(host, outcome, at, step.flow.actions)]
        return "; ".join(said) or "passes"

    def _written(self, actions: Iterable[Action]) -> Iterator[str]:
        """What the flow finds out."""
        for action in actions:
            if isinstance(action, Load) and action.value:
                word = _SLOTS.get(part_of(action.target))
                if word is not None:
                    kind, text = word
                    yield text.format(self._named(kind, action.value))

    def _done(self, host: str, outcome: Outcome, at: int, actions: Iterable[Action]) -> Iterator[str]:
        """What it does with the packet."""
        sent = [one for one in outcome.outputs if one.step == at]
        withheld = [one for one in outcome.withheld if one.step == at]
        for action in actions:
            match action:
                case Ct():
                    word = _CONNECTIONS[self._question.connection]
                    marks = [one.value for one in action.then if isinstance(one, SetField)]
                    yield _remembered(marks) if action.commit else f"tracked: {word}"
                case SetField() if action.target is Field.IP_DSCP:
                    yield f"marked with DSCP {action.value}"
                case Meter():
                    yield self._limit(host, action.id)
                case Controller():
                    yield "handed to the controller"
                case OutputInPort():
                    yield "turned into its answer and sent back"
                case Output() if any(one.ofport == action.ofport for one in withheld):
                    yield "not back to where it came from"
                case _:
                    pass
        for one in sent:
            if one.ofport != outcome.steps[0].packet[Field.IN_PORT]:
                yield self._left(host, one)

    def _limit(self, host: str, number: int) -> str:
        """What may pass a meter, and who says so."""
        meter = read_meter_id(number)
        if meter is None:
            return f"behind meter {number}"
        if meter.kind is MeterKind.PUNT:
            return f"at most {PACKETS_PER_S} packets/s"
        port_id = self._cloud.at_ofport[host].get(meter.ofport)
        policy = views.policy_of(self._cloud, port_id) if port_id is not None else None
        rate = qos.rate_of(policy.limits, meter.kind) if policy is not None else None
        if port_id is None or policy is None or rate is None:
            return "behind a limit that is no more"
        by = self._object(policy, "QoS policy")["text"]
        unit = "kbit/s" if meter.kind.limit == "bandwidth" else "packets/s"
        amount = f" to {rate.per_s} {unit}" if self._may_see(self._cloud.ports[port_id]) else ""
        return f"limited{amount} by {by}"

    def _left(self, host: str, sent: Sent) -> str:
        port_id = self._cloud.at_ofport[host].get(sent.ofport)
        if port_id is not None:
            return f"delivered to {self._object(self._cloud.ports[port_id], 'port')['text']}"
        physical = self._joined.physical_network(host, sent)
        is_admin = self._question.project_id is None
        if physical is not None:
            tag = sent.packet[Field.VLAN_VID] & ~VLAN_TAG
            name = f"physical network {physical}" if is_admin else "the provider's network"
            return f"out to {name}{f' with tag {tag}' if tag and is_admin else ''}"
        peer = self._joined.peer(sent)
        if peer is not None:
            vni = f", VNI {sent.packet[Field.TUN_ID]}" if is_admin else ""
            return f"by tunnel to {self._host(peer)}{vni}"
        return f"out by port {sent.ofport}, which is none of ours"

    # --- rules --------------------------------------------------------------------------------------------------

    def _rules(self, step: Step, flow: Flow, told: Told) -> str:
        """A group was asked: what of it allows the packet, if anything."""
        group_id = self._by_key("group", step.packet[GROUP.field])
        group = self._cloud.groups.get(group_id) if group_id is not None else None
        name = self._object(group, "security_group")["text"] if group is not None else "a security group"
        if not any(isinstance(one, Load) and part_of(one.target) == ALLOWED.part for one in flow.actions):
            self._asked.append(str(name))
            return f"{name}: no rule allows it"
        if group is None or not self._may_see(group):
            return f"{name}: a rule allows it"
        rules = [one for one in group.rules if self._allows(group, one, flow, step.packet)]
        told["rules"] = [one.id for one in rules]
        return f"{name} allows it: {' and '.join(map(self._rule_text, rules)) or 'a rule that is no more'}"

    def _allows(self, group: SecurityGroup, rule: SecurityRule, flow: Flow, packet: Packet) -> bool:
        """Whether the flow that was hit is this rule's."""
        view = views.group_view(self._cloud, replace(group, rules=(rule,)))
        own = [one for one in security_groups.group_flows(view) if one.table == flow.table]
        if flow.match.get(Field.CONJ_ID) is None:
            return any((one.priority, one.match) == (flow.priority, flow.match) for one in own)
        number = flow.match.get(Field.CONJ_ID)
        return any(
            isinstance(action, Conjunction)
            and number is not None
            and action.id == number.value
            and action.clause == action.clauses
            and _fits(one, packet)
            for one in own
            for action in one.actions
        )

    def _rule_text(self, rule: SecurityRule) -> str:
        """As people say it."""
        what = f"IPv{rule.version}" if rule.protocol is None else _PROTOCOLS.get(rule.protocol, str(rule.protocol))
        ports = ""
        if rule.port_min is not None or rule.port_max is not None:
            first, last = rule.port_min, rule.port_max
            ports = f" {first}" if first == last or last is None else f" {first}-{last}"
        other = " anybody"
        if rule.remote_prefix is not None:
            other = f" {rule.remote_prefix}"
        elif rule.remote_group_id is not None:
            other = f" members of {self._of_id('security_group', rule.remote_group_id)}"
        elif rule.remote_address_group_id is not None:
            other = f" address group {self._of_id('address_group', rule.remote_address_group_id)}"
        way = "to" if rule.direction is Direction.EGRESS else "from"
        return f"{rule.direction.value} {what}{ports} {way}{other} (rule {rule.id})"

    # --- names --------------------------------------------------------------------------------------------------

    def _host(self, host_id: str) -> str:
        """A host's name; for those who may not know it, which one it is on the way."""
        if host_id not in self._hosts:
            known = self._cloud.hosts.get(host_id)
            is_admin = self._question.project_id is None
            self._hosts[host_id] = known.name if known and is_admin else f"host {len(self._hosts) + 1}"
        return self._hosts[host_id]

    def _may_see(self, owned: Owned) -> bool:
        project = self._question.project_id
        if project is None:
            return True
        if isinstance(owned, Network) and owned.shared:
            return True
        return not isinstance(owned, Host) and owned.project_id == project

    def _object(self, owned: Owned, kind: str) -> Told:
        """Id, name and what to call it, as far as they may be known."""
        word = kind.replace("_", " ")
        if isinstance(owned, Host):
            is_seen = self._question.project_id is None
            shown = self._host(owned.id)
            return {"object": owned.id if is_seen else None, "name": shown, "text": shown}
        if not self._may_see(owned):
            return {"object": None, "name": None, "text": f"a {word} of another project"}
        return {"object": owned.id, "name": owned.name, "text": f"{word} {owned.name or owned.id}"}

    def _named(self, kind: Kind, value: int) -> str:
        owned = self._model(kind, value)
        word = _WORDS.get(kind, kind.name.lower())
        if owned is None:
            return f"{word} with key {value}"
        return str(self._object(owned, word)["text"])

    def _model(self, kind: Kind, key: int) -> Owned | None:
        found = self._by_key(kind.name.lower(), key)
        tables: dict[Kind, Mapping[str, Owned]] = {
            Kind.HOST: self._cloud.hosts,
            Kind.NETWORK: self._cloud.networks,
            Kind.PORT: self._cloud.ports,
            Kind.GROUP: self._cloud.groups,
        }
        return tables.get(kind, {}).get(found) if found is not None else None

    def _of_id(self, kind: str, object_id: str) -> str:
        group = self._cloud.groups.get(object_id)
        if group is not None:
            return str(self._object(group, kind)["text"]).removeprefix("security group ")
        addresses = self._cloud.address_groups.get(object_id)
        if addresses is not None and self._question.project_id in (None, addresses.project_id):
            return addresses.name or addresses.id
        return "of another project"


_SLOTS: Final[Mapping[Part, tuple[Kind, str]]] = {
    NETWORK.part: (Kind.NETWORK, "in {}"),
    FROM_PORT.part: (Kind.PORT, "from {}"),
    TO_PORT.part: (Kind.PORT, "for {}"),
}
"""What a flow says by writing into a slot; other slots are the flows' own business."""
_WORDS: Final[Mapping[Kind, str]] = {Kind.GROUP: "security_group"}
_PROTOCOLS: Final = {1: "ICMP", 6: "TCP", 17: "UDP", 58: "ICMPv6", 132: "SCTP"}


def _remembered(marks: list[int]) -> str:
    if security_groups.MARK_CUT in marks:
        return "its connection is cut"
    return "its connection is remembered"


def _fits(flow: Flow, packet: Packet) -> bool:
    return all(packet[one.field] & one.mask == one.value for one in flow.match.tests)


def _sent(journey: Journey) -> Iterator[tuple[Visit, Sent]]:
    for visit in journey.visits:
        for sent in visit.outcome.outputs if visit.outcome is not None else ():
            yield visit, sent


def _returned(visit: Visit) -> bool:
    outcome = visit.outcome
    return outcome is not None and any(one.ofport == visit.packet[Field.IN_PORT] for one in outcome.outputs)


def _punts(visit: Visit) -> bool:
    outcome = visit.outcome
    return outcome is not None and any(outcome.steps[one.step].table not in ENDS for one in outcome.punts)
