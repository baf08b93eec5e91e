# SPDX-License-Identifier: Apache-2.0
"""A workload, and helpers that speak of the network: who reaches whom, what arrives, what got lost.

A guest is a namespace with one network card, `eth0`, whose other end is a tap-like device on its host. `plug` does what
libvirt would: adds that device to the integration bridge and writes the port's id beside it.

What programs in a guest write under /etc, /run and where DHCP clients keep their leases is the guest's own and ends
with it: a client that sets resolv.conf must not set the machine's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from topologies import dhcp, frames
from topologies._mininet import GuestNode
from topologies.dhcp import Lease
from topologies.forgeries import FORGERIES, Identity
from topologies.host import Host
from topologies.machine import LabError, Machine, Worker

ECHO_PORT: Final = 7007
CARD: Final = "eth0"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of forged frames, and of legal ones sent with them."""

    kind: str
    sent: int
    """Of each."""
    forged_arrived: int
    legal_arrived: int

    @property
    def held(self) -> bool:
        """No forged frame arrived, and that is no accident: every legal one did."""
        return self.forged_arrived == 0 and self.legal_arrived == self.sent


@dataclass(frozen=True, slots=True)
class Report:
    """What a probe stream saw."""

    sent: int
    received: int
    duplicates: int
    outages: int
    """How many times answers stopped coming."""
    longest_run: int
    """Requests lost in a row."""
    longest_gap_ms: float
    """From the last answered request before a loss to the first answered one after; 0 when nothing was lost."""
    longest_stall_ms: float
    """How late the probe itself was: on a busy machine that is not the network's fault."""
    skipped: int
    """Requests not sent because the probe was late."""
    median_ms: float | None
    worst_ms: float | None
    """Round trips."""

    @property
    def lost(self) -> int:
        return self.sent - self.received


class Probe:
    """A steady stream of requests and answers; use it in a `with`, then ask for the `report`."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.stop()

    def report(self, linger_s: float = 1.0) -> Report:
        """Stop, wait up to `linger_s` for answers on their way, and say what happened."""
        return Report(**self._worker.ask(do="report", linger_s=linger_s))

    def so_far(self) -> tuple[int, int]:
        """(sent, received) up to now."""
        answer = self._worker.ask(do="so far")
        return int(answer["sent"]), int(answer["received"])


class Guest(Machine):
    """A machine with one card: a virtual machine on a host, or a machine on a provider network."""

    def __init__(self, node: GuestNode, directory: Path, env: Mapping[str, str], *, mac: str) -> None:
        super().__init__(node, directory, env)
        self.mac = mac
        self.ipv4 = ""
        self.ipv6 = ""
        self.configured: tuple[str, ...] = ()
        self._client: dhcp.Client | None = None
        self._echo: dict[int, Worker] = {}

    @property
    def identity(self) -> Identity:
        return Identity(self.mac, self.ipv4, self.ipv6)

    @property
    def link_local(self) -> str:
        """Its IPv6 link-local address."""
        return frames.link_local(self.mac)

    def private_script(self) -> str:
        """Shell lines that give the guest files of its own; run once. The lab's directory stays where it is."""
        lab, private = self.directory.parent, self.directory / "run"
        return f"""
        mkdir {private}
        mount -t tmpfs -o mode=755 tmpfs {private}
        mkdir -p {private}/{lab.parent.name}/{lab.name} {private}/.etc {private}/.work
        mount --bind {lab} {private}/{lab.parent.name}/{lab.name}
        mount --rbind {private} /run
        if ! mount -t overlay -o lowerdir=/etc,upperdir=/run/.etc,workdir=/run/.work overlay /etc 2>/dev/null; then
            cp -a /etc/. /run/.etc/
            mount --bind /run/.etc /etc
        fi
        rm -f /etc/resolv.conf
        : > /etc/resolv.conf
        for leases in /var/lib/dhcp /var/lib/dhcpcd; do
            if [ -d $leases ]; then mount -t tmpfs tmpfs $leases; fi
        done
        """

    def card_script(self) -> str:
        """Shell lines that bring the card up; run once it is there."""
        return f"""
        sysctl -qw net.ipv6.conf.{CARD}.accept_dad=0 net.ipv6.conf.{CARD}.addr_gen_mode=0 \
            net.ipv6.conf.{CARD}.accept_ra=0 net.ipv4.ping_group_range='0 2147483647'
        ethtool -K {CARD} tx off rx off >/dev/null
        ip link set lo up
        ip link set {CARD} up
        """

    # ----------------------------------------------------------------------------------------------------- addresses

    def configure(self, *addresses: str, gateway: str = "", gateway6: str = "", mtu: int = 0) -> None:
        """Replace all addresses by these (`10.0.0.5/24`, `2001:db8::5/64`), as static configuration in a guest does.

        A card has an MTU of 1500 until somebody says otherwise; on a VXLAN network that is too much.
        """
        lines = [f"ip -4 addr flush dev {CARD}", f"ip -6 addr flush dev {CARD} scope global"]
        self.ipv4 = self.ipv6 = ""
        self.configured = addresses
        for address in addresses:
            lines.append(f"ip addr add {address} dev {CARD} {'nodad' if ':' in address else ''}")
            self._note(address)
        if mtu:
            lines.append(f"ip link set {CARD} mtu {mtu}")
        if gateway:
            lines.append(f"ip route replace default via {gateway} dev {CARD}")
        if gateway6:
            lines.append(f"ip -6 route replace default via {gateway6} dev {CARD}")
        self.script("\n".join(lines))

    def _note(self, address: str) -> None:
        bare = address.partition("/")[0]
        if ":" in bare:
            self.ipv6 = self.ipv6 or bare
        else:
            self.ipv4 = self.ipv4 or bare
        self.node.address = self.ipv4 or self.ipv6

    def learn_addresses(self) -> None:
        """Take over what the card has now (after a DHCP client ran)."""
        self.ipv4 = self.ipv6 = ""
        for entry in json.loads(self.run("ip", "-json", "addr", "show", "dev", CARD)):
            for address in entry.get("addr_info", ()):
                if address["scope"] == "global":
                    self._note(address["local"])

    def address(self, version: int) -> str:
        """Its address of that IP version."""
        found = self.ipv4 if version == 4 else self.ipv6
        if not found:
            raise LabError(f"{self.name} has no IPv{version} address")
        return found

    def dhclient(self, timeout_s: int = 10) -> Lease:
        """Take a lease with ISC's dhclient."""
        return self._take_lease(dhcp.Dhclient(), timeout_s)

    def udhcpc(self, timeout_s: int = 10) -> Lease:
        """Take a lease with BusyBox's udhcpc."""
        return self._take_lease(dhcp.Udhcpc(), timeout_s)

    def dhcpcd(self, timeout_s: int = 10, *, probe: bool = False) -> Lease:
        """Take a lease with dhcpcd; with `probe` it looks for the address by ARP first, which takes it 5 s."""
        return self._take_lease(dhcp.Dhcpcd(probe=probe), timeout_s)

    def _take_lease(self, client: dhcp.Client, timeout_s: int) -> Lease:
        lease = dhcp.lease(self, client, timeout_s)
        self._client = client
        self.learn_addresses()
        return lease

    def renew(self) -> None:
        """Have the running DHCP client renew its lease."""
        dhcp.renew(self, self._running_client())

    def stop_dhcp(self, *, release: bool = False) -> None:
        """End the running DHCP client; with `release` it gives the lease back."""
        dhcp.stop(self, self._running_client(), release=release)
        self._client = None
        self.learn_addresses()

    def _running_client(self) -> dhcp.Client:
        if self._client is None:
            raise LabError(f"{self.name} runs no DHCP client")
        return self._client

    # ---------------------------------------------------------------------------------------------------- who reaches

    def echo(self, port: int = ECHO_PORT) -> Worker:
        """The echo server in here, UDP and TCP; started when first wanted."""
        if port not in self._echo:
            self._echo[port] = Worker(self, "echo", str(port)).ready()
        return self._echo[port]

    def reaches(
        self,
        other: Guest | str,
        *,
        version: int = 4,
        protocol: str = "icmp",
        port: int = ECHO_PORT,
        timeout_s: float = 5.0,
    ) -> bool:
        """Whether an answer comes within `timeout_s`, asking again all the while; `icmp`, `udp` or `tcp`."""
        if isinstance(other, Guest):
            to = other.address(version)
            if protocol != "icmp":
                other.echo(port)
        else:
            to = other
        order = {"to": to, "protocol": protocol, "port": port, "timeout_s": timeout_s, "interface": CARD}
        worker = Worker(self, "connect", json.dumps(order))
        try:
            return bool(worker.ready().hear()["reached"])
        finally:
            worker.stop()

    def pings(
        self, other: Guest | str, *, version: int = 4, count: int = 3, size: int = 56, interval_s: float = 0.05
    ) -> int:
        """How many of `count` pings are answered, by the ordinary `ping`; fragmentation is forbidden."""
        to = other.address(version) if isinstance(other, Guest) else other
        if to.lower().startswith("fe80"):
            to += f"%{CARD}"
        argv = ("ping", "-n", "-q", "-M", "do", "-c", str(count), "-i", str(interval_s), "-W", "1", "-s", str(size), to)
        found = re.search(r"(\d+) received", self.try_run(*argv).stdout)
        return int(found[1]) if found else 0

    # --------------------------------------------------------------------------------------------------------- frames

    def sends_spoofed(self, kind: str, to: Guest, *, count: int = 5, watched: Iterable[Guest] = ()) -> Verdict:
        """Send forged frames of a `kind` of `forgeries.FORGERIES` to `to`, and legal ones after them.

        Forged ones count wherever they arrive: at `to` or at one of the `watched`.
        """
        forgery = FORGERIES[kind]
        bad, good = frames.marker(), frames.marker()
        sniffers = [guest.sniff() for guest in (to, *watched)]
        try:
            self.send(forgery.forged(self.identity, to.identity, bad), count=count)
            self.send(forgery.legal(self.identity, to.identity, good), count=count)
            legal = sniffers[0].wait_for(good, count)
            # The forged ones went first on the same way. A moment more, for those that took another.
            forged = sum(sniffer.wait_for(bad, timeout_s=0.05) for sniffer in sniffers)
        finally:
            for sniffer in sniffers:
                sniffer.__exit__()
        return Verdict(kind, count, forged, legal)

    # --------------------------------------------------------------------------------------------------------- probes

    def probe(
        self,
        other: Guest | str,
        *,
        version: int = 4,
        protocol: str = "icmp",
        interval_ms: float = 1.0,
        port: int = ECHO_PORT,
        first_answer_s: float = 5.0,
    ) -> Probe:
        """A stream of requests to `other`, `icmp` or `udp`; starts counting after the first answer."""
        if isinstance(other, Guest):
            to = other.address(version)
            if protocol == "udp":
                other.echo(port)
        else:
            to = other
        order: dict[str, Any] = {
            "to": to,
            "protocol": protocol,
            "port": port,
            "interval_ms": interval_ms,
            "first_answer_s": first_answer_s,
            "interface": CARD,
        }
        worker = Worker(self, "probe", json.dumps(order))
        try:
            return Probe(worker.ready())
        except LabError:
            worker.stop()
            raise

    def iperf(
        self, other: Guest, *, udp: str = "", size: int = 0, seconds: int = 2, reverse: bool = False, version: int = 4
    ) -> float:
        """Throughput to `other` in Mbit/s as the receiver counts it.

        `udp` is the rate to send at, e.g. `50M`; `size` bytes are in one write, or datagram.
        """
        port = "5201"
        server = other.start("iperf3", "-s", "-1", "-p", port, log="iperf3.log")
        other.script(f"until ss -Hltn 'sport = :{port}' | grep -q .; do sleep 0.01; done")
        argv = ["iperf3", "-c", other.address(version), "-p", port, "-t", str(seconds), "-J"]
        if udp:
            argv += ["-u", "-b", udp]
        if size:
            argv += ["-l", str(size)]
        if reverse:
            argv += ["-R"]
        try:
            result = json.loads(self.run(*argv, timeout_s=seconds + 15))["end"]
        finally:
            server.kill()
            server.wait()
        total = result["sum_received"] if "sum_received" in result else result["sum"]
        return float(total["bits_per_second"]) / 1e6


class Vm(Guest):
    """A guest on a host."""

    def __init__(
        self,
        node: GuestNode,
        directory: Path,
        env: Mapping[str, str],
        *,
        mac: str,
        host: Host,
        device: str,
        iface_id: str,
    ) -> None:
        super().__init__(node, directory, env, mac=mac)
        self.host = host
        self.device = device
        """The host's end of the card."""
        self.iface_id = iface_id

    def plug(self, *, bridge: str = "br-int", iface_id: str = "", attached_mac: str = "") -> None:
        """Add the device to the bridge with the port's id beside it, as libvirt does when a machine starts."""
        self.iface_id = iface_id or self.iface_id
        argv = ["--if-exists", "del-port", self.device, "--", "add-port", bridge, self.device]
        if self.iface_id:
            argv += ["--", "set", "Interface", self.device, f"external_ids:iface-id={self.iface_id}"]
            argv += [f'external_ids:attached-mac="{attached_mac or self.mac}"', "external_ids:iface-status=active"]
        self.host.vsctl(*argv)

    def unplug(self) -> None:
        """Take the device off its bridge."""
        self.host.vsctl("--if-exists", "del-port", self.device)
