# SPDX-License-Identifier: Apache-2.0
"""Real DHCP clients in guests: dhclient, udhcpc, dhcpcd, each with its distribution's own script and settings.

A client configures its machine: addresses and routes, but also /etc/resolv.conf, the host name, leases and pid files.
Guests have all that to themselves (`guest.py`), and each client gets a UTS namespace for the host name.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from topologies.machine import LabError, Machine

CARD: Final = "eth0"


@dataclass(frozen=True, slots=True)
class Lease:
    """What a client made of the answer it got, read from the card, the routes and its own files."""

    address: str
    prefix_length: int
    gateway: str
    """Next hop of the default route; "" when there is none."""
    mtu: int
    routes: tuple[tuple[str, str], ...]
    """(destination, next hop) of every other route that has a next hop, sorted."""
    resolv_conf: str
    options: Mapping[str, str]
    """The options as the client names them."""
    took_s: float
    """From the start of the client to its lease."""


class Client(Protocol):
    """How to run one kind of client: shell lines, and where its files are."""

    name: str
    pid_file: str
    release: str
    """Gives the lease back."""
    renew: str
    """Asks for it again before it is time."""

    def start(self, timeout_s: int) -> str:
        """Goes into the background once it has a lease, and fails when it gets none in time."""

    def options(self, machine: Machine) -> dict[str, str]:
        """What its own files say of the lease."""


class Dhclient:
    """ISC's client, of Debian's and Ubuntu's older installations."""

    name = "dhclient"
    pid_file = "/run/dhclient.pid"
    leases = "/var/lib/dhcp/dhclient.leases"
    command = f"dhclient -4 -v -pf {pid_file} -lf {leases}"
    release = f"{command} -r {CARD}"
    renew = f"kill $(cat {pid_file}); {command} -1 {CARD}"

    def start(self, timeout_s: int) -> str:
        # The time limit is a matter of its configuration file.
        file = "/etc/dhcp/dhclient.conf"
        return f"sed -i -e '/^timeout /d' -e '1itimeout {timeout_s};' {file}; exec {self.command} -1 {CARD}"

    def options(self, machine: Machine) -> dict[str, str]:
        last = machine.inside(self.leases).read_text().rpartition("lease {")[2]
        return {name: value.strip('"') for name, value in re.findall(r"option (\S+) (.*);", last)}


class Udhcpc:
    """BusyBox's client, of small images (CirrOS, Alpine)."""

    name = "udhcpc"
    pid_file = "/run/udhcpc.pid"
    script = "/run/udhcpc.script"
    # A signal comes back before anything has happened; that the script was called says when it has.
    release = (
        f"rm -f {script}.deconfig; kill -USR2 $(cat {pid_file}); until [ -e {script}.deconfig ]; do sleep 0.01; done"
    )
    renew = f"kill -USR1 $(cat {pid_file})"

    def start(self, timeout_s: int) -> str:
        # Its script is told the options in its environment; they are noted on the way.
        lines = f'#!/bin/sh\nenv > {self.script}.$1\nexec /etc/udhcpc/default.script "$@"\n'
        command = f"udhcpc -n -t {timeout_s} -T 1 -A 1 -i {CARD} -p {self.pid_file} -s {self.script}"
        wanted = "-O mtu -O staticroutes -O search -O lease"
        return f"cat > {self.script} <<'END'\n{lines}END\nchmod +x {self.script}\nexec {command} {wanted}"

    def options(self, machine: Machine) -> dict[str, str]:
        lines = machine.inside(f"{self.script}.bound").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if re.match(r"[a-z0-9]+=", line))


class Dhcpcd:
    """Roy Marples's client, of Alpine, Raspberry Pi OS and the BSDs. `probe` has it ask by ARP who has the address."""

    name = "dhcpcd"
    pid_file = f"/run/dhcpcd/{CARD}-4.pid"
    release = f"dhcpcd -4 -k {CARD}"
    renew = f"dhcpcd -4 -N {CARD}"

    def __init__(self, *, probe: bool = False) -> None:
        self._probe = probe

    def start(self, timeout_s: int) -> str:
        # A lease or a failure: no falling back to a link-local address.
        probing = "" if self._probe else "--noarp"
        return f"exec dhcpcd -4 --waitip=4 --noipv4ll --timeout {timeout_s} {probing} {CARD}"

    def options(self, machine: Machine) -> dict[str, str]:
        pairs = (line.split("=", 1) for line in machine.run("dhcpcd", "-4", "-U", CARD).splitlines() if "=" in line)
        return {name: value.strip("'") for name, value in pairs}


def lease(machine: Machine, client: Client, timeout_s: int = 10) -> Lease:
    """Run a client until it has a lease; it goes on in the background, renewing."""
    log = f"{client.name}.log"
    started = time.monotonic()
    process = machine.start("unshare", "--uts", "sh", "-euc", client.start(timeout_s), log=log)
    try:
        code = process.wait(timeout=timeout_s + 5)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    took = time.monotonic() - started
    if code:
        said = (machine.directory / log).read_text()[-2000:]
        raise LabError(f"{machine.name}: {client.name} got no lease in {took:.1f} s (exit code {code}): {said}")
    # Some write it only when they have gone into the background; it is needed to end them.
    machine.run("sh", "-c", f"until [ -s {client.pid_file} ]; do sleep 0.01; done", timeout_s=5)
    return _as_configured(machine, client, took)


def _as_configured(machine: Machine, client: Client, took_s: float) -> Lease:
    link = json.loads(machine.run("ip", "-json", "-4", "addr", "show", "dev", CARD))[0]
    address = next((entry for entry in link["addr_info"] if entry["scope"] == "global"), None)
    if address is None:
        raise LabError(f"{machine.name}: {client.name} says it has a lease, and {CARD} has no address")
    routes = json.loads(machine.run("ip", "-json", "-4", "route", "show", "dev", CARD))
    hops = sorted((route["dst"], route["gateway"]) for route in routes if "gateway" in route)
    return Lease(
        address=address["local"],
        prefix_length=address["prefixlen"],
        gateway=next((hop for destination, hop in hops if destination == "default"), ""),
        mtu=link["mtu"],
        routes=tuple((destination, hop) for destination, hop in hops if destination != "default"),
        resolv_conf=machine.inside("/etc/resolv.conf").read_text(),
        options=client.options(machine),
        took_s=took_s,
    )


def renew(machine: Machine, client: Client) -> None:
    """Have the client ask for its lease again."""
    machine.run("unshare", "--uts", "sh", "-euc", client.renew)


def stop(machine: Machine, client: Client, *, release: bool = False) -> None:
    """End the client, with `release` after it has given its lease back. The card keeps no address."""
    if release:
        machine.run("unshare", "--uts", "sh", "-euc", client.release)
    file = machine.inside(client.pid_file)
    if file.exists():
        machine.run("sh", "-c", f"kill $(cat {client.pid_file}) 2>/dev/null || true")
    machine.script(f"ip -4 addr flush dev {CARD}")
