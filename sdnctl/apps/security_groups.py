# SPDX-License-Identifier: Apache-2.0
"""Security groups: a port talks to whom its groups allow, and its connections are remembered.

    table FROM_STATE               reads FILTERING, ZONE            from a local port, after all that it is by itself
    prio 400  of a port without groups                              ISOLATION
    prio 300  neighbour discovery, multicast listeners, DHCPv6 of the port     ISOLATION
    prio 200  IP of a stateful port: tracked in its zone, then FROM_EVAL
    prio 200  IP of a stateless port                                FROM_EVAL
    prio   0  anything else, such as ARP                            ISOLATION

    table FROM_EVAL                reads FROM_PORT, FILTERING       sets GROUP, ALLOWED, KEPT
    prio 400  a packet of no connection that could be               drop INVALID_STATE
    prio 320  a reply or an ICMP error of a connection that was cut drop CUT
    prio 300  a reply, an ICMP error, or a connection that is kept  ISOLATION
    prio 100  every group of the port is asked: FROM_RULES; then    FROM_VERDICT
    prio   0  anything else                                         drop MISS

    table FROM_RULES               reads GROUP                      sets ALLOWED, KEPT
    prio 700  both clauses of a rule with a remote group hold: allowed
    prio 400  a rule that keeps its connections, without remote group: allowed
    prio 300  a clause of such a rule with a remote group
    prio 200  any other rule without remote group: allowed
    prio 100  a clause of any other rule with a remote group
    prio   0  this group does not allow it: back to the next one

    table FROM_VERDICT             reads ALLOWED, KEPT, FILTERING, ZONE
    prio 500  not allowed, and the connection is cut                drop CUT
    prio 400  not allowed, and there is a connection: it is cut, and once more FROM_VERDICT
    prio 300  allowed, and the connection is alive                  ISOLATION
    prio 200  allowed, and there is none, or it was cut: it is remembered, then ISOLATION
    prio 100  allowed, to or from a stateless port                  ISOLATION
    prio   0  anything else                                         drop NOT_ALLOWED_FROM

    table TO_STATE                 reads FILTERING, ZONE, TO_PORT   to a local port with groups
    prio 400  a port's own copy of what it sends to many            OUTPUT
    prio 300  neighbour discovery, multicast listeners, DHCP for the port      OUTPUT
    prio 200  IP to a stateful port: tracked in its zone, then TO_EVAL
    prio 200  IP to a stateless port                                TO_EVAL
    prio   0  anything else                                         OUTPUT

    table TO_EVAL                  reads TO_PORT, FILTERING         sets GROUP, ALLOWED, KEPT
    prio 400  a packet of no connection that could be               drop INVALID_STATE
    prio 320  a reply or an ICMP error of a connection that was cut drop CUT
    prio 300  a reply, an ICMP error, or a connection that is kept  OUTPUT
    prio 100  every group of the port is asked: TO_RULES; then      TO_VERDICT
    prio   0  anything else                                         drop MISS

    table TO_RULES                 reads GROUP                      sets ALLOWED, KEPT
    prio 700  both clauses of a rule with a remote group hold: allowed
    prio 400  a rule that keeps its connections, without remote group: allowed
    prio 300  a clause of such a rule with a remote group
    prio 200  any other rule without remote group: allowed
    prio 100  a clause of any other rule with a remote group
    prio   0  this group does not allow it: back to the next one

    table TO_VERDICT               reads ALLOWED, KEPT, FILTERING, ZONE
    prio 500  not allowed, and the connection is cut                drop CUT
    prio 400  not allowed, and there is a connection: it is cut, and once more TO_VERDICT
    prio 300  allowed, and the connection is alive                  OUTPUT
    prio 200  allowed, and there is none, or it was cut: it is remembered, then OUTPUT
    prio 100  allowed, to or from a stateless port                  OUTPUT
    prio   0  anything else                                         drop NOT_ALLOWED_TO

A port's zone is its ofport, one zone for both directions. Every connection has a mark there: alive, cut, or kept
whatever the rules say later. Whoever began a connection has every packet of his asked again, so a rule that goes takes
its connections along with their next packet, replies included; when a rule comes that allows them, they live again.

*Rules cost flows once per group and host*, whatever the number of ports. A rule with a remote group is a conjunction:
one clause is the service, in the group's own flows; the other is the remote address, in a flow of its own for each
address of a member (`member_flows`), shared by all groups that name the remote one. Members and rules add up, they do
not multiply.

*Fragments.* Later ones carry no ports, in IPv6 not even a protocol. They pass where the rest of a rule allows them.
From and to a stateful port the tracker lets none through before the datagram is complete, and to remember a connection
takes the whole datagram once more, so what is left over of a refused one gets no further. A stateless port receives it,
and its kernel throws it away.

*What cannot be allowed or shut.* Port security comes before, so a rule opens nothing that it shuts. ARP, neighbour
discovery (hop limit 255: from the link itself), multicast listener reports and DHCP are a port's own business with its
network and pass whatever the rules say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from sdnctl.apps import port_ranges
from sdnctl.flows.action import Action, Conjunction, Ct, Goto, Load, Resubmit, SetField
from sdnctl.flows.fields import Field
from sdnctl.flows.flow import Flow, drop
from sdnctl.flows.match import Match
from sdnctl.flows.oxm import ETH_IPV4, ETH_IPV6, IP_ICMP, IP_ICMP6, IP_SCTP, IP_TCP, IP_UDP
from sdnctl.flows.pipeline import App, Kind, Owner, Reason, Table
from sdnctl.flows.registers import (
    ALLOWED,
    FILTERING,
    FROM_PORT,
    GROUP,
    KEPT,
    NETWORK,
    STATEFUL,
    STATELESS,
    TO_PORT,
    UNFILTERED,
    ZONE,
    Slot,
)
from sdnctl.model.security import Direction
from sdnctl.model.views import Filtering, GroupRule, GroupView, HostView, LocalPort, Member

UNGUARDED: Final = 400
OWN_COPY: Final = 400
ALWAYS: Final = 300
TRACK: Final = 200
MISS: Final = 0

INVALID: Final = 400
DEAD: Final = 320
ALIVE: Final = 300
ASK: Final = 100

JOINED: Final = 700
KEEPS: Final = 400
KEEPS_CLAUSE: Final = 300
ALLOWS: Final = 200
ALLOWS_CLAUSE: Final = 100

IS_CUT: Final = 500
CUT: Final = 400
KNOWN: Final = 300
REMEMBER: Final = 200
PASS: Final = 100

MARK_CUT: Final = 1
MARK_KEEP: Final = 2
MARK_ALIVE: Final = 3
"""Of any other connection. A packet without a mark belongs to none; the tracker calls one new until it is answered."""

ND_TYPES: Final = (133, 134, 135, 136)
MLD_TYPES: Final = (130, 131, 132, 143)
HOP_LIMIT_ND: Final = 255
HOP_LIMIT_MLD: Final = 1


@dataclass(frozen=True, slots=True)
class _Side:
    """One direction's tables."""

    direction: Direction
    state: Table
    eval: Table
    rules: Table
    verdict: Table
    beyond: Table
    """Where it goes on."""
    port: Slot
    refusal: Reason


_FROM: Final = _Side(
    Direction.EGRESS,
    Table.FROM_STATE,
    Table.FROM_EVAL,
    Table.FROM_RULES,
    Table.FROM_VERDICT,
    Table.ISOLATION,
    FROM_PORT,
    Reason.NOT_ALLOWED_FROM,
)
_TO: Final = _Side(
    Direction.INGRESS,
    Table.TO_STATE,
    Table.TO_EVAL,
    Table.TO_RULES,
    Table.TO_VERDICT,
    Table.OUTPUT,
    TO_PORT,
    Reason.NOT_ALLOWED_TO,
)
_SIDES: Final = (_FROM, _TO)

_IP: Final = (Match().ipv4(), Match().ipv6())
_STATEFUL: Final = Match().slot(FILTERING, STATEFUL)
_FORGET: Final = (Load(ALLOWED, 0), Load(KEPT, 0))
_ALLOW: Final = (Load(ALLOWED, 1),)
_ALLOW_KEPT: Final = (Load(ALLOWED, 1), Load(KEPT, 1))
_PORTS: Final = {IP_TCP: Field.TCP_DST, IP_UDP: Field.UDP_DST, IP_SCTP: Field.SCTP_DST}
"""Protocols whose ports Open vSwitch shows."""
_TYPES: Final = {IP_ICMP: (Field.ICMP4_TYPE, Field.ICMP4_CODE), IP_ICMP6: (Field.ICMP6_TYPE, Field.ICMP6_CODE)}


def host_flows(view: HostView) -> Iterator[Flow]:
    owner = Owner(App.SECURITY_GROUPS, Kind.HOST, view.key)
    for side in _SIDES:
        yield from _state_flows(side, owner)
        yield from _eval_flows(side, owner)
        yield Flow(side.rules, MISS, Match(), (Load(GROUP, 0),), owner.cookie())
        yield from _verdict_flows(side, owner)


def _state_flows(side: _Side, owner: Owner) -> Iterator[Flow]:
    cookie, on = owner.cookie(), (Goto(side.beyond),)
    for kind in ND_TYPES:
        yield Flow(side.state, ALWAYS, Match().icmp6(kind).ip_ttl(HOP_LIMIT_ND), on, cookie)
    for kind in MLD_TYPES:
        yield Flow(side.state, ALWAYS, Match().icmp6(kind).ip_ttl(HOP_LIMIT_MLD), on, cookie)
    if side is _FROM:
        # First of all, so that what follows makes Open vSwitch look no closer at ports without groups.
        yield Flow(side.state, UNGUARDED, Match().slot(FILTERING, UNFILTERED), on, cookie)
        yield Flow(side.state, ALWAYS, Match().udp6(546, 547), on, cookie)
    else:
        yield Flow(side.state, ALWAYS, Match().udp4(67, 68), on, cookie)
        yield Flow(side.state, ALWAYS, Match().udp6(547, 546), on, cookie)
    for ip in _IP:
        yield Flow(side.state, TRACK, ip.slot(FILTERING, STATEFUL), (Ct(ZONE, table=side.eval),), cookie)
        yield Flow(side.state, TRACK, ip.slot(FILTERING, STATELESS), (Goto(side.eval),), cookie)
    yield Flow(side.state, MISS, Match(), on, cookie)


def _eval_flows(side: _Side, owner: Owner) -> Iterator[Flow]:
    cookie, on, table = owner.cookie(), (Goto(side.beyond),), side.eval
    yield drop(table, INVALID, _STATEFUL.ct_state("+inv+trk"), owner, Reason.INVALID_STATE)
    for theirs in ("+rpl+trk", "+rel+trk"):
        known = _STATEFUL.ct_state(theirs)
        yield drop(table, DEAD, known.field(Field.CT_MARK, MARK_CUT), owner, Reason.CUT)
        yield Flow(table, ALIVE, known, on, cookie)
    kept = _STATEFUL.ct_state("+trk").field(Field.CT_MARK, MARK_KEEP)
    yield Flow(table, ALIVE, kept, on, cookie)
    yield drop(table, MISS, Match(), owner, Reason.MISS)


def _verdict_flows(side: _Side, owner: Owner) -> Iterator[Flow]:
    cookie, on, table = owner.cookie(), Goto(side.beyond), side.verdict
    refused, allowed = _STATEFUL.slot(ALLOWED, 0), _STATEFUL.slot(ALLOWED, 1)
    yield drop(table, IS_CUT, refused.field(Field.CT_MARK, MARK_CUT), owner, Reason.CUT)
    yield Flow(table, KNOWN, allowed.field(Field.CT_MARK, MARK_ALIVE), (on,), cookie)
    alive = refused.field(Field.CT_MARK, MARK_ALIVE)
    for number in (ETH_IPV4, ETH_IPV6):
        yield Flow(table, CUT, alive.eth_type(number), (_remember(MARK_CUT, table),), cookie)
        new = allowed.eth_type(number)
        yield Flow(table, REMEMBER, new.slot(KEPT, 0), (_remember(MARK_ALIVE), on), cookie)
        yield Flow(table, REMEMBER, new.slot(KEPT, 1), (_remember(MARK_KEEP), on), cookie)
    yield Flow(table, PASS, Match().slot(ALLOWED, 1), (on,), cookie)
    yield drop(table, MISS, Match(), owner, side.refusal)


def _remember(mark: int, then: Table | None = None) -> Ct:
    return Ct(ZONE, table=then, commit=True, then=(SetField(Field.CT_MARK, mark),))


def port_flows(view: LocalPort) -> Iterator[Flow]:
    if view.filtering is Filtering.NONE:
        return
    cookie = Owner(App.SECURITY_GROUPS, Kind.PORT, view.key).cookie()
    own_copy = Match().slot(FROM_PORT, view.key).slot(TO_PORT, view.key)
    yield Flow(Table.TO_STATE, OWN_COPY, own_copy, (Goto(Table.OUTPUT),), cookie)
    for side in _SIDES:
        asks: list[Action] = [*_FORGET]
        for group in view.groups:
            asks += (Load(GROUP, group), Resubmit(side.rules))
        actions = (*asks, Goto(side.verdict))
        yield Flow(side.eval, ASK, Match().slot(side.port, view.key), actions, cookie)


def filter_actions(filtering: Filtering, ofport: int) -> tuple[Action, ...]:
    """Says to the tables of this module which port it is about and how it is filtered."""
    return (Load(ZONE, ofport), Load(FILTERING, filtering)) if filtering else ()


def zone_of(view: LocalPort) -> int | None:
    """The zone a port's connections are remembered in, if they are."""
    return view.ofport if view.filtering is Filtering.STATEFUL else None


# --- rules --------------------------------------------------------------------------------------------------------


def group_flows(view: GroupView) -> Iterator[Flow]:
    cookie = Owner(App.SECURITY_GROUPS, Kind.GROUP, view.key).cookie()
    for side in _SIDES:
        rules = [rule for rule in view.rules if rule.direction is side.direction]
        yield from _allowing(side, view, rules, cookie)
        yield from _clauses(side, view, rules, cookie)


def _allowing(side: _Side, view: GroupView, rules: Iterable[GroupRule], cookie: int) -> Iterator[Flow]:
    """Rules that need one flow for each way to write them."""
    group = Match().slot(GROUP, view.key)
    done: set[tuple[int, Match]] = set()
    for rule in rules:
        if rule.remote is not None:
            continue
        priority = KEEPS if rule.keeps else ALLOWS
        for service in _services(rule, group):
            match = service if rule.prefix is None else _remote(side, service, rule.version, *rule.prefix)
            if (priority, match) not in done:
                done.add((priority, match))
                yield Flow(side.rules, priority, match, _ALLOW_KEPT if rule.keeps else _ALLOW, cookie)


def _clauses(side: _Side, view: GroupView, rules: Iterable[GroupRule], cookie: int) -> Iterator[Flow]:
    """Rules with a remote group: the services, the addresses of address groups, and what it means that both hold."""
    group = Match().slot(GROUP, view.key)
    clauses: dict[tuple[int, Match], set[Conjunction]] = {}
    named: set[tuple[int, int, bool]] = set()
    for rule in rules:
        if rule.remote is None:
            continue
        named.add((rule.remote, rule.version, rule.keeps))
        service_clause = Conjunction(conjunction_id(rule.remote, keeps=rule.keeps), 2, 2)
        for service in _services(rule, group):
            clauses.setdefault((_clause_priority(rule.keeps), service), set()).add(service_clause)
    for one in view.addresses:
        for keeps in (True, False):
            if (one.remote, one.version, keeps) in named:
                clause = Conjunction(conjunction_id(one.remote, keeps=keeps), 1, 2)
                match = _remote(side, _version(group, one.version), one.version, one.address, one.mask)
                clauses.setdefault((_clause_priority(keeps), match), set()).add(clause)
    for (priority, match), conjunctions in clauses.items():
        actions = tuple(sorted(conjunctions, key=lambda one: (one.id, one.clause)))
        yield Flow(side.rules, priority, match, actions, cookie)
    for remote, keeps in sorted({(remote, keeps) for remote, _, keeps in named}):
        joined = group.field(Field.CONJ_ID, conjunction_id(remote, keeps=keeps))
        yield Flow(side.rules, JOINED, joined, _ALLOW_KEPT if keeps else _ALLOW, cookie)


def member_flows(view: Member) -> Iterator[Flow]:
    """The clause "the other end is a member" for one address."""
    cookie = Owner(App.SECURITY_GROUPS, Kind.PORT, view.key).cookie()
    within = _version(Match().slot(NETWORK, view.network), view.version)
    for side in _SIDES:
        for keeps in (True, False):
            ids = sorted(
                conjunction_id(one.remote, keeps=keeps)
                for one in view.clauses
                if one.direction is side.direction and one.keeps is keeps
            )
            if ids:
                match = _remote(side, within, view.version, view.address, view.mask)
                actions = tuple(Conjunction(number, 1, 2) for number in ids)
                yield Flow(side.rules, _clause_priority(keeps), match, actions, cookie)


def conjunction_id(remote: int, *, keeps: bool) -> int:
    """The number of "is in this remote group"; another one for rules that keep their connections."""
    return remote << 1 | keeps


def _clause_priority(keeps: bool) -> int:  # noqa: FBT001  a value of the rule, not a switch
    return KEEPS_CLAUSE if keeps else ALLOWS_CLAUSE


def _services(rule: GroupRule, within: Match) -> Iterator[Match]:
    """What the rule says of protocol and ports; nothing for ports of a protocol that shows none."""
    ip = _version(within, rule.version)
    if rule.protocol is None:
        yield ip
        return
    protocol = ip.ip_proto(rule.protocol)
    shown = tuple(_shown(rule, protocol))
    yield from shown
    if rule.version == 6 and shown:
        # All that a later fragment of IPv6 shows of its protocol is that it is a fragment.
        yield ip.fragment("later")
    elif shown and shown != (protocol,):
        yield protocol.fragment("later")


def _shown(rule: GroupRule, protocol: Match) -> Iterator[Match]:
    """What the rule says of whole packets and first fragments."""
    if rule.port_min is None and rule.port_max is None:
        yield protocol
    elif rule.protocol in _PORTS:
        last = port_ranges.ALL if rule.port_max is None else rule.port_max
        for value, mask in port_ranges.masked(rule.port_min or 0, last):
            yield protocol.field(_PORTS[rule.protocol], value, mask) if mask else protocol
    elif rule.protocol in _TYPES and rule.port_min is not None:
        kind, code = _TYPES[rule.protocol]
        exact = protocol.field(kind, rule.port_min)
        yield exact if rule.port_max is None else exact.field(code, rule.port_max)


def _version(match: Match, version: int) -> Match:
    return match.ipv4() if version == 4 else match.ipv6()


def _remote(side: _Side, match: Match, version: int, address: int, mask: int) -> Match:
    """Narrowed to an address of the other end."""
    if side is _FROM:
        return match.ipv4_dst(address, mask) if version == 4 else match.ipv6_dst(address, mask)
    return match.ipv4_src(address, mask) if version == 4 else match.ipv6_src(address, mask)
