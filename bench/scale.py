# SPDX-License-Identifier: Apache-2.0
"""A network with many ports: how long until a port is wired, until all are, until all are back.

    python -m bench.scale [--sizes 0 100 1000 3000] [--rounds 9] [--elsewhere] [--groups]

Real REST, real Open vSwitch; the ports beside are taps, and the one that is measured is a guest that pings another one
on its host. (Not dummy interfaces: with those, ovs-vswitchd's own work grows with the square of their number.) The
ports beside are on that very host, or with `--elsewhere` on a second one, as in a cloud nearly all are. All are in the
default group, with `--groups` in a second one too. Medians; the ratio is to the first size, in the same run; `OVS
alone` is what a new interface costs there that is nobody's port.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from topologies.controller import Controller, Json
from topologies.guest import Vm
from topologies.host import Host
from topologies.lab import Lab

CHUNK = 250
"""Ports to a request."""
PLUGGED = 1000
"""Interfaces to an ovs-vsctl: for each transaction Open vSwitch looks at all that are there."""


class Scene:
    """A host with dummy interfaces allowed, a network, and two guests of which one is wired."""

    def __init__(self, lab: Lab, controller: Controller) -> None:
        self.lab, self.controller = lab, controller
        self.host: Host = lab.hosts[0]
        self.crowded: Host = lab.hosts[-1]
        """Where the ports beside are."""
        controller.add_hosts()
        self.network = controller.create("network", name="big")
        self.attributes: Json = {"network_id": self.network["id"]}
        self.subnet = controller.create("subnet", network_id=self.network["id"], ip_version=4, cidr="10.0.0.0/16")
        self.others: list[Json] = []
        self.peer = self._guest("peer")
        self.port_of_peer = self._port(self.peer, "10.0.255.1")
        self.peer.plug(iface_id=self.port_of_peer["id"])
        controller.until_active(self.port_of_peer)
        self.guest = self._guest("guest")
        self.guest.configure("10.0.255.2/16", mtu=1400)
        self.peer.configure("10.0.255.1/16", mtu=1400)
        self.guest.run("ip", "neigh", "replace", "10.0.255.1", "lladdr", self.peer.mac, "dev", "eth0")
        self.peer.run("ip", "neigh", "replace", "10.0.255.2", "lladdr", self.guest.mac, "dev", "eth0")

    def use_two_groups(self) -> None:
        """Ports from now on are in the default group and in another one with eight rules."""
        group = self.controller.create("security_group", name="web")
        for port in range(80, 88):
            rule = {"direction": "ingress", "protocol": "tcp", "port_range_min": port, "port_range_max": port}
            self.controller.create("security_group_rule", security_group_id=group["id"], **rule)
        self.attributes |= {"security_groups": [*self.port_of_peer["security_groups"], group["id"]]}

    def _guest(self, name: str) -> Vm:
        return self.lab.guest(name, self.host)

    def _port(self, guest: Vm, address: str) -> Json:
        return self.controller.create(
            "port", **self.attributes, mac_address=guest.mac, fixed_ips=[{"ip_address": address}]
        )

    def grow(self, count: int) -> dict[str, float]:
        """Have `count` ports beside the two; seconds for the API, for plugging, and until all are ACTIVE."""
        more = count - len(self.others)
        started = time.monotonic()
        made: list[Json] = []
        for start in range(0, more, CHUNK):
            bodies: list[Json] = [self.attributes] * min(CHUNK, more - start)
            made += self.controller.create_many("port", bodies)
        created = time.monotonic()
        for start in range(0, more, PLUGGED):
            argv: list[str] = []
            for port in made[start : start + PLUGGED]:
                name = f"d{port['id'][:12]}"
                argv += ["--", "add-port", "br-int", name, "--", "set", "interface", name, "type=internal"]
                argv += [f"external_ids:iface-id={port['id']}"]
            self.crowded.run("ovs-vsctl", "--no-wait", *argv[1:], timeout_s=60)
        plugged = time.monotonic()
        self.others += made
        self.all_active()
        return {"api": created - started, "plug": plugged - created, "all": time.monotonic() - started}

    def all_active(self) -> None:
        while len(self.controller.list("port", "?status=ACTIVE&fields=id")) < len(self.others) + 1:
            time.sleep(0.02)

    def wire_once(self) -> tuple[float, float]:
        """Milliseconds from POST to its answer, and from POST to the first answered ping."""
        answered = threading.Event()
        begun = threading.Event()
        ended = [0.0]

        def probe() -> None:
            begun.set()
            with self.guest.probe(self.peer, first_answer_s=30.0) as running:
                ended[0] = time.monotonic()
                answered.set()
                running.report(0.0)

        thread = threading.Thread(target=probe)
        thread.start()
        begun.wait()
        time.sleep(0.5)  # the probe's process has to be up and sending before the clock starts
        started = time.monotonic()
        port = self._port(self.guest, "10.0.255.2")
        posted = time.monotonic()
        self.guest.host.run(
            *("ovs-vsctl", "--no-wait", "add-port", "br-int", self.guest.device, "--"),
            *("set", "Interface", self.guest.device, f"external_ids:iface-id={port['id']}"),
        )
        answered.wait(30)
        thread.join()
        self.guest.unplug()
        self.controller.delete("port", port["id"])
        return (posted - started) * 1000, (ended[0] - started) * 1000

    def floor_ms(self) -> float:
        """Milliseconds that Open vSwitch alone takes for a new interface that is nobody's port."""
        times = []
        for number in range(5):
            started = time.monotonic()
            self.host.run(
                "ovs-vsctl", "add-port", "br-int", f"floor{number}", "--", *self._set_floor(number), timeout_s=60
            )
            times.append((time.monotonic() - started) * 1000)
            self.host.run("ovs-vsctl", "del-port", f"floor{number}", timeout_s=60)
        return statistics.median(times)

    @staticmethod
    def _set_floor(number: int) -> tuple[str, ...]:
        return "set", "interface", f"floor{number}", "type=internal"

    def memory_mb(self) -> float:
        """Resident memory of the controller."""
        with open(f"/proc/{self.controller.pid}/status") as status:  # noqa: PTH123
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


@contextmanager
def scene(hosts: int) -> Iterator[Scene]:
    with Lab(hosts=hosts) as lab, Controller(lab, "--log-level", "warning") as controller:
        yield Scene(lab, controller)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[0, 100, 1000, 3000])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--elsewhere", action="store_true", help="the ports beside are on another host")
    parser.add_argument("--groups", action="store_true", help="two security groups to a port")
    options = parser.parse_args()
    first = 0.0
    with scene(2 if options.elsewhere else 1) as one:
        if options.groups:
            one.use_two_groups()
        print(
            "ports beside   grow: api  plug  until all ACTIVE       POST   POST -> first ping  ratio  OVS alone  memory"
        )
        for size in options.sizes:
            grown = one.grow(size)
            times = [one.wire_once() for _ in range(options.rounds)]
            post, ping = (statistics.median(column) for column in zip(*times, strict=True))
            first = first or ping
            print(
                f"{size:12}   {grown['api']:9.2f} {grown['plug']:5.2f} {grown['all']:14.2f} s {post:10.1f} ms"
                f" {ping:14.1f} ms {ping / first:6.2f} {one.floor_ms():7.1f} ms {one.memory_mb():4.0f} MB",
                flush=True,
            )
        if not options.elsewhere:
            restart(one)
            vswitchd(one)


def restart(one: Scene) -> None:
    """The controller is killed and started again."""
    with one.peer.probe(_wired(one)) as probe:
        one.controller.kill()
        started = time.monotonic()
        one.controller.start()
        one.controller.until_live(one.host)
        ready = time.monotonic() - started
        report = probe.report()
    bundles = metric(one.controller, "sdnctl_bundle_seconds_count")
    lost = f"{report.lost} of {report.sent} probes lost"
    print(f"controller killed, {len(one.others)} ports: ready in {ready:.2f} s, {bundles:.0f} bundles sent, {lost}")


def metric(controller: Controller, name: str) -> float:
    """One number of `GET /metrics`."""
    with urllib.request.urlopen(f"{controller.url}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))


def _wired(one: Scene) -> Vm:
    port = one._port(one.guest, "10.0.255.2")
    one.guest.plug(iface_id=port["id"])
    one.controller.until_active(port)
    return one.guest


def vswitchd(one: Scene) -> None:
    """ovs-vswitchd is killed and started again."""
    count = int(one.controller.host("h1")["flows"])
    one.host.kill("ovs-vswitchd")
    one.host.start_vswitchd()
    back = time.monotonic()
    while len(one.host.ofctl("dump-flows", "br-int").splitlines()) < count:
        time.sleep(0.05)
    print(f"ovs-vswitchd killed: {count} flows back {time.monotonic() - back:.2f} s after its return")


if __name__ == "__main__":
    main()
