# SPDX-License-Identifier: Apache-2.0
"""`make demo`: two hosts, two tenants with the same addresses, and what they can and cannot do, counted.

Starts the hosts (a Mininet topology; each has its own Open vSwitch) and `sdnctl serve` on SQLite, asks for everything
through the REST API, and then sends real frames. The exit code is 0 only if all of it held.

    make demo           shows it and takes everything down again
    make demo KEEP=1    leaves it up and tells how to look around
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence

from topologies import frames, tenants
from topologies.controller import Controller
from topologies.forgeries import FORGERIES
from topologies.guest import Vm
from topologies.lab import Lab
from topologies.tenants import Tenants

PINGS = 5
FRAMES = 20
COUNT = 5
SECONDS = 3.0
PATIENCE_S = 15.0
WIDTH = 60
"""Letters of an event's text."""
NO_FORGERY = frozenset({"ethertype"})
"""Reasons that are counted and make no event."""
SHOWN = (
    *("mac", "mac6", "ipv4", "ipv4-of-receiver", "ipv4-options", "ipv6", "ipv6-link-local"),
    *("arp-sender-ip", "arp-sender-mac", "arp-gratuitous", "nd-target", "nd-link-address"),
    *("router-advertisement", "router-advertisement-behind-options", "redirect", "dhcp-server", "dhcpv6-server"),
    *("vlan-tag", "priority-tag", "qinq", "snap-ipv4", "snap-foreign-oui", "llc", "ethertype-storage"),
)
"""Some of `topologies.forgeries`; tests/net tries them all."""


class Show:
    """Prints what is going on, and remembers whether all of it held."""

    def __init__(self) -> None:
        self.failures: list[str] = []
        self._started = time.monotonic()

    def step(self, text: str) -> None:
        print(f"[{time.monotonic() - self._started:5.1f} s] {text}", flush=True)

    def table(self, title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Rows whose last cell is whether it held."""
        print(f"\n  {title}")
        lines = [
            tuple(head),
            *(tuple(str(cell) for cell in (*row[:-1], "ok" if row[-1] else "FAILED")) for row in rows),
        ]
        widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
        for line in lines:
            cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            print(f"    {'  '.join(cells)}".rstrip())
            if line[-1] == "FAILED":
                self.failures.append(f"{title}: {' '.join(line)}")
        print(flush=True)


def reach(show: Show, made: Tenants) -> None:
    """Ping within each network, both IP versions, on one host and across hosts."""

    def rows() -> Iterable[Sequence[object]]:
        for name, guests in made.guests.items():
            for one, other in ((guests[0], guests[1]), (guests[0], guests[2]), (guests[2], guests[1])):
                where = "same host" if one.host is other.host else "across hosts"
                four = one.pings(other, count=PINGS)
                six = one.pings(other, version=6, count=PINGS)
                yield (
                    name,
                    f"{one.name} -> {other.name}",
                    where,
                    f"{four}/{PINGS}",
                    f"{six}/{PINGS}",
                    four == six == PINGS,
                )

    show.table("Who reaches whom", ("network", "ping", "where", "IPv4", "IPv6", ""), rows())


def isolate(show: Show, made: Tenants) -> None:
    """Every kind of frame from one network, counted at every guest of the others."""

    def rows() -> Iterable[Sequence[object]]:
        for name, guests in made.guests.items():
            sender, receiver = guests[0], guests[2]
            strangers = [guest for guest in made.all if guest not in guests]
            for kind, to in (
                ("unicast to a stranger's MAC", strangers[0].mac),
                ("broadcast", frames.BROADCAST),
                ("multicast", frames.multicast_mac("239.1.2.3")),
                ("unknown unicast", "02:00:00:00:00:77"),
            ):
                legal, mark = frames.marker(), frames.marker()
                sniffers = [guest.sniff() for guest in strangers]
                with receiver.sniff() as own:
                    sender.send(_datagram(sender, to, mark), count=FRAMES)
                    sender.send(_datagram(sender, receiver.mac, legal), count=FRAMES)
                    arrived = own.wait_for(legal, FRAMES)
                leaked = sum(sniffer.count(mark) for sniffer in sniffers)
                for sniffer in sniffers:
                    sniffer.__exit__()
                held = leaked == 0 and arrived == FRAMES
                yield name, kind, FRAMES, f"{leaked} at {len(strangers)} guests", f"{arrived}/{FRAMES}", held

    show.table("What crosses networks", ("from", "frames", "sent", "at strangers", "legal, own network", ""), rows())


def _datagram(sender: Vm, to: str, mark: str) -> bytes:
    packet = frames.udp(sender.ipv4, "239.1.2.3", 7, 7, mark.encode())
    return frames.ethernet(to, sender.mac, frames.ETH_IPV4, packet)


def spoof(show: Show, made: Tenants) -> None:
    """Forged frames, each with a legal twin, on one host and across hosts."""

    def rows() -> Iterable[Sequence[object]]:
        sender, near, far = made.guests["red"]
        for kind in SHOWN:
            here, there = (sender.sends_spoofed(kind, to, count=COUNT) for to in (near, far))
            forged = f"{here.forged_arrived} + {there.forged_arrived} of {here.sent + there.sent}"
            legal = f"{here.legal_arrived} + {there.legal_arrived} of {here.sent + there.sent}"
            yield kind, forged, legal, here.held and there.held

    show.table("What a hostile guest can send", ("forged", "arrived (same host + across)", "legal twin", ""), rows())


def drops_of(controller: Controller, port_id: str) -> Counter[str]:
    """What the port sent and was dropped, by reason."""
    told = controller.call("GET", f"/ports/{port_id}/statistics")["statistics"]["drops"]
    return Counter({drop["reason"]: drop["packets"] for drop in told if drop["direction"] == "egress"})


def tell(show: Show, controller: Controller, made: Tenants, before: Counter[str]) -> None:
    """What the API says of the forger: each frame counted, each kind an event in words."""
    port_id = made.guests["red"][0].iface_id
    sent = Counter[str]()
    for kind in SHOWN:
        sent[FORGERIES[kind].reason.lower()] += 2 * COUNT
    give_up = time.monotonic() + PATIENCE_S
    while True:
        drops = drops_of(controller, port_id) - before
        events = {event["reason"]: event["text"] for event in controller.list("security_event", f"?port_id={port_id}")}
        if (drops == sent and events.keys() >= sent.keys() - NO_FORGERY) or time.monotonic() > give_up:
            break
        time.sleep(0.2)  # Open vSwitch adds up its caches every half second, events are written every few

    def rows() -> Iterable[Sequence[object]]:
        for reason in sorted(sent | drops):
            told = events.get(reason, "")
            held = drops[reason] == sent[reason] and bool(told) != (reason in NO_FORGERY)
            shown = told if len(told) <= WIDTH else f"{told[:WIDTH]} ..."
            yield reason, sent[reason], drops[reason], shown or "(counted, no event)", held

    show.table("What the tenant is told of it", ("reason", "forged", "counted", "first frame", ""), rows())


def restart(show: Show, controller: Controller, made: Tenants) -> None:
    """The controller is killed and started again while guests talk."""

    def rows() -> Iterable[Sequence[object]]:
        pairs = [(guests[0], guests[number]) for guests in made.guests.values() for number in (1, 2)]
        probes = [(one, other, one.probe(other)) for one, other in pairs]
        controller.kill()
        time.sleep(SECONDS / 3)
        controller.start()
        for host in controller.lab.hosts:
            controller.until_live(host)
        time.sleep(SECONDS / 3)
        for one, other, probe in probes:
            report = probe.report()
            yield f"{one.name} -> {other.name}", report.sent, report.lost, report.lost == 0 and report.sent > 0

    show.table("What a kill -9 and restart of the controller cost", ("probes", "sent", "lost", ""), rows())
    changed = sum("bundle applied" in line for line in _log_since_start(controller))
    show.table("What the restart told the switches", ("bundles sent", ""), [(changed, changed == 0)])


def _log_since_start(controller: Controller) -> list[str]:
    lines = controller.log.read_text().splitlines()
    starts = [number for number, line in enumerate(lines) if " serving " in line]
    return lines[starts[-1] :]


def explain(show: Show, controller: Controller) -> None:
    """Every flow has an owner, every drop a reason, and what is installed is what is desired."""

    def rows() -> Iterable[Sequence[object]]:
        for host in controller.lab.hosts:
            flows = controller.flows(host)
            nobody = [flow for flow in flows if flow["object"] is None]
            drops = [flow for flow in flows if flow["reason"] or flow["flow"].endswith("actions=drop")]
            dumb = [flow for flow in drops if not flow["reason"]]
            different = controller.flows(host, "difference")
            held = not (nobody or dumb or different)
            yield host.name, len(flows), len(nobody), len(drops), len(dumb), len(different), held

    head = ("host", "flows", "without owner", "drops", "without reason", "not as desired", "")
    show.table("Whose flows these are", head, rows())


def look_around(lab: Lab, controller: Controller, made: Tenants) -> None:
    """How to go on by hand."""
    door = lab.write_door()
    guest = made.guests["red"][0]
    sdnctl = f"{shlex.quote(sys.executable.replace('python', 'sdnctl'))}"
    print(f"""Everything is still up. To look around:

  export SDNCTL_URL={controller.url} SDNCTL_TOKEN=$(cat {controller.admin_token_file})
  {sdnctl} host list
  {sdnctl} port list
  {sdnctl} flows h1
  {door} {guest.name} ping {made.guests["red"][2].ipv4}
  {door} {guest.name}                    a shell in the guest
  {door} h1 ovs-vsctl show
  tail -f {controller.log}

To take it down:  {sys.executable} -m topologies.down
""")


def main() -> int:
    """Run the demo; 0 if all of it held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave everything up at the end")
    options = parser.parse_args()
    show = Show()
    show.step("starting two hosts, each with its own Open vSwitch, and the wires between them")
    with tenants.lab() as lab:
        show.step("starting sdnctl serve on SQLite")
        controller = Controller(lab, *tenants.VLANS, auth="token")
        with controller:
            show.step("adding the hosts: sdnctl makes their integration bridges, tunnel and patch ports")
            controller.add_hosts()
            show.step("making two tenants, three networks and nine ports through the REST API")
            made = tenants.build(controller, lambda line: show.step(f"  {line}"), default_groups=True)
            show.step("all ports are ACTIVE; the guests take leases with dhclient")
            made.take_leases()
            for name, guests in made.guests.items():
                show.step(f"  {name}: " + ", ".join(f"{guest.name} {guest.ipv4}" for guest in guests))
            show.step("sending frames and counting them where they arrive")
            reach(show, made)
            isolate(show, made)
            before = drops_of(controller, made.guests["red"][0].iface_id)
            spoof(show, made)
            tell(show, controller, made, before)
            show.step("killing the controller in the middle of traffic")
            restart(show, controller, made)
            explain(show, controller)
            if options.keep:
                look_around(lab, controller, made)
                controller.leave_running()
                lab.keep()
    show.step("FAILED" if show.failures else "everything held")
    for failure in show.failures:
        print(f"  {failure}")
    return 1 if show.failures else 0


if __name__ == "__main__":
    sys.exit(main())
