# SPDX-License-Identifier: Apache-2.0
"""What tests with real frames have in common: many sniffers at once, and waiting for what comes by itself."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable
from typing import Any, Final, Self, TypeVar

from sdnctl.apps.statistics import LEARNED
from sdnctl.flows.pipeline import ENDS
from topologies import Guest, Host, Lab, Machine, Vm, frames
from topologies.controller import Controller, Json
from topologies.forgeries import VACANT

T = TypeVar("T")

PATIENCE_S: Final = 20.0
_LEARNED: Final = re.compile(rf"table=({'|'.join(str(int(table)) for table in ENDS)}), priority={LEARNED},")


class Ears:
    """Sniffers at several machines: who received how many frames with a marker."""

    def __init__(self, machines: Iterable[Machine]) -> None:
        self._sniffers = {machine.name: machine.sniff() for machine in machines}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for sniffer in self._sniffers.values():
            sniffer.__exit__()

    def wait(self, machine: Machine, mark: str, count: int = 1, timeout_s: float = 10.0) -> int:
        """How many frames with the marker came to `machine`: as soon as there are `count`, else after a while."""
        return self._sniffers[machine.name].wait_for(mark, count, timeout_s)

    def fence(self, sender: Guest, *receivers: Machine) -> None:
        """Wait until all that `sender` has sent so far has come to its `receivers`, if it comes at all.

        Open vSwitch takes frames in batches, and those of different flows leave a batch in any order. So one frame has
        to arrive, and then one more that was sent after that.
        """
        for _ in range(2):
            mark = frames.marker()
            sender.send(question(sender, mark))
            for receiver in receivers:
                assert self.wait(receiver, mark) == 1, f"nothing comes from {sender} to {receiver}"

    def heard(self, *marks: str) -> dict[str, dict[str, int]]:
        """marker -> machine's name -> how many frames came there; machines without any are left out."""
        counts = {name: sniffer.counts() for name, sniffer in self._sniffers.items()}
        return {mark: {name: found[mark] for name, found in counts.items() if mark in found} for mark in marks}

    def frames(self, machine: Machine, mark: str = "") -> list[bytes]:
        return self._sniffers[machine.name].frames(mark)


def datagram(sender: Guest, dst: str, mark: str) -> bytes:
    """A legal frame of the sender to whatever MAC address."""
    return frames.ethernet(
        dst, sender.mac, frames.ETH_IPV4, frames.udp(sender.ipv4, "239.1.2.3", 4000, 4001, b"x"), mark
    )


def question(sender: Guest, mark: str) -> bytes:
    """A broadcast that every member of the sender's network gets: an ARP request that nobody answers."""
    return frames.arp(sender.mac, spa=sender.ipv4, tpa=VACANT.ipv4, mark=mark)


def until(what: str, ask: Callable[[], T], holds: Callable[[T], bool] = bool, patience_s: float = PATIENCE_S) -> T:
    """Ask again until the answer is as wanted; each question takes its time, so nothing is busy here."""
    give_up = time.monotonic() + patience_s
    while not holds(answer := ask()):
        assert time.monotonic() < give_up, f"{what}: still {answer}"
    return answer


def settle(lab: Lab) -> None:
    """Have what the switches have confirmed hold for the very next frame.

    A confirmation says that the flow tables have changed. Frames like those just seen go by a cache, which Open vSwitch
    brings up to date right afterwards, in milliseconds; this empties it.
    """
    for host in lab.hosts:
        host.appctl("revalidator/purge")


def add_guest(controller: Controller, name: str, host: Host, network: Json, **wish: Any) -> Vm:
    """A guest with a port of its own, plugged as libvirt does, configured by hand, its port ACTIVE.

    Unless it is wished for, no security group filters it.
    """
    port = controller.create("port", **{"network_id": network["id"], "name": name, "security_groups": [], **wish})
    guest = controller.lab.guest(name, host, mac=port["mac_address"], iface_id=port["id"])
    guest.plug()
    controller.until_active(port)
    configure(guest, port, network)
    return guest


def configure(guest: Guest, port: Json, network: Json) -> None:
    """Give a guest its port's addresses."""
    addresses = (str(one["ip_address"]) for one in port["fixed_ips"])
    guest.configure(*(f"{one}/{64 if ':' in one else 24}" for one in addresses), mtu=network["mtu"])


def flow_texts(controller: Controller, host: Host) -> set[str]:
    """The flows of a host, as they are installed; but those that Open vSwitch makes and forgets by itself."""
    return set(flows_by_text(controller, host))


def flows_by_text(controller: Controller, host: Host) -> dict[str, Json]:
    """The same, each with what is told of it."""
    return {text: flow for flow in controller.flows(host) if not _LEARNED.search(text := str(flow["flow"]))}


def is_whole(controller: Controller) -> None:
    """Hold database, flows and interfaces of all hosts against each other; they have to agree before long."""
    for host in controller.lab.hosts:
        controller.until_live(host)
    until("all to agree", lambda: _disagreements(controller), lambda found: not found)
    for host in controller.lab.hosts:
        assert controller.flows(host, "difference") == []


def _disagreements(controller: Controller) -> list[str]:
    ports = {port["id"]: port for port in controller.list("port")}
    found = []
    for host in controller.lab.hosts:
        rows = json.loads(host.vsctl("--format=json", "--columns=name,external_ids", "list", "Interface"))["data"]
        ids = {name: dict(external[1]) for name, external in rows}
        ours = {name: one["iface-id"] for name, one in ids.items() if "sdnctl-owned" in one and "iface-id" in one}
        wanted = {
            port["plug"]["interface"]: port["id"]
            for port in ports.values()
            if port["plug"] and port["plug"]["host"] == host.name
        }
        if ours != wanted:
            found.append(f"{host.name}: interfaces {ours}, wanted {wanted}")
        claimed = {one["iface-id"] for one in ids.values() if "iface-id" in one}
        for port in ports.values():
            is_up = port["admin_state_up"] and port["id"] in claimed
            if port["bound_host"] == host.name and (port["status"], port["id"] in claimed) != ("ACTIVE", is_up):
                found.append(f"{host.name}: port {port['id']} is {port['status']}")
            if port["bound_host"] != host.name and port["id"] in wanted.values():
                found.append(f"{host.name}: port {port['id']} is bound to {port['bound_host'] or 'no host'}")
    return found


def give_device(guest: Vm, device: str) -> None:
    """Let the guest have a device of its host for its card, as a container gets one, in place of the one it has."""
    guest.script("ip link del eth0")
    guest.forget_cards()
    guest.host.script(f"ip link set {device} netns {guest.pid} name eth0")
    guest.device = device
    guest.script(guest.card_script())
