# SPDX-License-Identifier: Apache-2.0
"""The filters of port security, one by one: what passes with each of them off, from whom, and to whom never."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Final

import pytest

from tests.net.support import Ears, add_guest, flows_by_text, settle
from tests.net.test_liberties import Liberties
from topologies import Vm, frames
from topologies.forgeries import FORGERIES, NOBODY
from topologies.tenants import Tenants

pytestmark = pytest.mark.net

COPIES: Final = 3
DEPENDS_ON: Final = {
    "mac": "mac",
    "arp-sender-ip": "arp",
    "ipv4": "ip",
    "ipv6": "ip",
    "nd-target": "arp",
}
"""Forged kind -> the filter that holds it back. Each lies about one thing only."""
CHOICES: Final = tuple(product((True, False), repeat=3))
ALL_ON: Final = {"mac": True, "arp": True, "ip": True}
SHUT: Final = (
    "router-advertisement",
    "redirect",
    "dhcp-server",
    "dhcpv6-server",
    "vlan-tag",
    "llc",
    "ipv4-hidden-ports",
)
"""What no filter opens: it takes port security off."""


@pytest.fixture(scope="module")
def relaxed(tenants: Tenants) -> Iterator[Liberties]:
    """A network with three guests on two hosts, whose first one's filters are switched."""
    controller, (h1, h2) = tenants.controller, tenants.controller.lab.hosts
    network = controller.create("network", name="relaxed")
    controller.create("subnet", network_id=network["id"], ip_version=4, cidr="10.8.0.0/24")
    controller.create("subnet", network_id=network["id"], ip_version=6, cidr="2001:db8:78::/64")
    guests = [add_guest(controller, f"loose{number}", host, network) for number, host in enumerate((h1, h1, h2))]
    with Ears(guests) as ears:
        yield Liberties(controller, *guests, ears)


def attempt(ears: Ears, sender: Vm, receivers: tuple[Vm, ...]) -> dict[str, dict[str, set[str]]]:
    """receiver -> which kinds arrived, `forged` and `legal`; each frame comes in all its copies or not at all."""
    marks: dict[str, tuple[str, str, str]] = {}
    for to in receivers:
        for kind in DEPENDS_ON:
            for which in ("forged", "legal"):
                mark = frames.marker()
                build = getattr(FORGERIES[kind], which)
                sender.send(build(sender.identity, to.identity, mark), count=COPIES)
                marks[mark] = to.name, which, kind
    ears.fence(sender, *receivers)
    heard = ears.heard(*marks)
    came: dict[str, dict[str, set[str]]] = {to.name: {"forged": set(), "legal": set()} for to in receivers}
    for mark, (name, which, kind) in marks.items():
        count = heard[mark].get(name, 0)
        assert count in {0, COPIES}, (kind, which, count)
        if count:
            came[name][which].add(kind)
    return came


@pytest.mark.proves("S1", "S5")
@pytest.mark.parametrize("choice", CHOICES, ids=lambda on: "".join("01"[one] for one in on))
def test_each_forged_kind_passes_where_its_filter_is_off(relaxed: Liberties, choice: tuple[bool, bool, bool]) -> None:
    """All combinations, same host and across; afterwards everything is on again and nothing passes."""
    filters = dict(zip(ALL_ON, choice, strict=True))
    relaxed.give(security_filters=filters)
    expected = {kind for kind, name in DEPENDS_ON.items() if not filters[name]}
    for came in attempt(relaxed.ears, relaxed.free, relaxed.others).values():
        assert came == {"forged": expected, "legal": set(DEPENDS_ON)}
    for to in relaxed.others:
        for kind in SHUT:
            assert not relaxed.arrives(to, FORGERIES[kind].forged, relaxed.free.identity), (to, kind)
    for came in attempt(relaxed.ears, relaxed.near, (relaxed.free, relaxed.far)).values():
        assert came == {"forged": set(), "legal": set(DEPENDS_ON)}
    relaxed.give(security_filters=ALL_ON)
    for came in attempt(relaxed.ears, relaxed.free, relaxed.others).values():
        assert came == {"forged": set(), "legal": set(DEPENDS_ON)}


def test_unknown_macs_are_behind_a_port_without_mac_filter(relaxed: Liberties) -> None:
    """As behind one without port security: what nobody is known to have goes there, and only there."""
    for off in (True, False):
        relaxed.give(security_filters={"mac": not off})
        for sender in relaxed.others:
            mark = frames.marker()
            sender.send(FORGERIES["ipv4"].legal(sender.identity, NOBODY, mark), count=COPIES)
            relaxed.ears.fence(sender, relaxed.free)
            assert relaxed.ears.heard(mark)[mark] == ({relaxed.free.name: COPIES} if off else {})


@pytest.mark.proves("S1")
def test_a_change_touches_the_flows_of_that_port_only(relaxed: Liberties) -> None:
    """And, when it is the MAC filter, how its network floods for unknown MACs. Nothing is written twice."""
    controller = relaxed.controller
    port = controller.show("port", relaxed.free.iface_id)
    here, there = controller.lab.hosts
    for name in ALL_ON:
        before = {host.name: flows_by_text(controller, host) for host in (here, there)}
        relaxed.give(security_filters={name: False})
        after = {host.name: flows_by_text(controller, host) for host in (here, there)}
        touched = {
            host: {
                str(flow["object"])
                for old, new in ((before[host], after[host]), (after[host], before[host]))
                for text, flow in old.items()
                if text not in new
            }
            for host in before
        }
        flood = {port["network_id"]} if name == "mac" else set()
        assert touched == {here.name: {port["id"], *flood}, there.name: flood}
        relaxed.give(security_filters={name: True})
        assert {host.name: set(flows_by_text(controller, host)) for host in (here, there)} == {
            host: set(flows) for host, flows in before.items()
        }


@pytest.mark.proves("S2", "S44")
def test_on_a_flat_network_only_an_admin_relaxes(tenants: Tenants, ears: Ears) -> None:
    """Two tenants on one flat network: what is forged is not there, and neither can have it otherwise."""
    sender, near, far = tenants.guests["shared"]
    path, receivers = f"/ports/{sender.iface_id}", (near, far)
    kinds = set(DEPENDS_ON)
    for wish in ({"security_filters": {"ip": False}}, {"port_security_enabled": False, "security_groups": []}):
        for project in tenants.projects.values():
            status, answer = project.request("PUT", path, {"port": wish})
            assert status == (403 if project is tenants.projects["red"] else 404), answer
            assert status == 404 or "only an admin" in answer["NeutronError"]["message"]
    for came in attempt(ears, sender, receivers).values():
        assert came == {"forged": set(), "legal": kinds}
    controller = tenants.controller
    for off in (True, False):
        shown = controller.update("port", sender.iface_id, security_filters={"ip": not off})
        assert shown["security_filters"] == {**ALL_ON, "ip": not off}
        settle(controller.lab)
        for came in attempt(ears, sender, receivers).values():
            assert came == {"forged": {"ipv4", "ipv6"} if off else set(), "legal": kinds}


@pytest.mark.proves("S3")
@pytest.mark.parametrize("name", ("red", "blue"))
def test_in_a_network_of_ones_own_its_owner_relaxes(tenants: Tenants, ears: Ears, name: str) -> None:
    """What is forged then reaches the tenant's own guests, on both hosts, and no port of the other tenant on either."""
    sender, near, far = tenants.guests[name]
    project = tenants.projects[name]
    others = {guest.name for guest in tenants.all} - {near.name, far.name}
    for off in (True, False):
        project.update("port", sender.iface_id, security_filters={"ip": not off, "arp": not off})
        settle(tenants.controller.lab)
        for to in (near, far):
            marks = {}
            for kind in ("ipv4", "ipv6", "arp-sender-ip", "nd-target", "arp-gratuitous-answer"):
                marks[kind] = frames.marker()
                sender.send(FORGERIES[kind].forged(sender.identity, to.identity, marks[kind]), count=COPIES)
            ears.fence(sender, near, far)
            for kind, mark in marks.items():
                heard = ears.heard(mark)[mark]
                assert (heard.get(to.name) == COPIES) is off, (kind, heard)
                assert not others & heard.keys(), (kind, heard)
        assert not forged_mac_or_tag(ears, sender, near)


def forged_mac_or_tag(ears: Ears, sender: Vm, to: Vm) -> bool:
    """What stays enforced: the MAC, and the tag that decides about the tenant."""
    marks = []
    for kind in ("mac", "vlan-tag", "qinq"):
        marks.append(frames.marker())
        sender.send(FORGERIES[kind].forged(sender.identity, to.identity, marks[-1]), count=COPIES)
    ears.fence(sender, to)
    return any(ears.heard(*marks).values())
