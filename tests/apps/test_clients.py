# SPDX-License-Identifier: Apache-2.0
"""The DHCP clients that guests have, against the responder over a pair of links, without a switch. Requirement S25."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from signal import SIGTERM

import pytest

from sdnctl import runtime
from sdnctl.apps import dhcp
from sdnctl.apps.leases import Lease, Route
from sdnctl.model.port import DhcpOption
from tests.apps.packets import mac, v4

pytestmark = pytest.mark.net

LEASE = Lease(
    mac=mac(5),
    address=v4(5),
    prefix_length=24,
    server_address=v4(250),
    server_mac=mac(250),
    gateway=v4(254),
    dns_servers=(0x08080808,),
    domain="example.test",
    search_domains=("example.test",),
    hostname="vm-five",
    mtu=1450,
    time_s=86400,
    routes=(Route(0xC0A80000, 16, v4(9)),),
    options=(DhcpOption("ntp-server", "10.0.0.3"),),
)
REMEMBERED = """lease {
  interface "%s";
  fixed-address %s;
  option subnet-mask 255.255.255.0;
  option dhcp-server-identifier 10.0.0.250;
  renew 4 2035/01/04 00:00:00;
  rebind 4 2035/01/04 00:00:00;
  expire 4 2036/01/03 00:00:00;
}
"""
"""What dhclient knows of an address it had before the guest was shut down."""


class Client:
    """A namespace with one interface; whoever asks there for a lease is answered by the responder."""

    def __init__(self, directory: Path) -> None:
        name = f"sa{os.getpid()}"
        self.namespace, self.interface, self._near = f"{name}-dhcp", f"{name}g", f"{name}h"
        self.directory = directory
        self.answers: list[str] = []
        _remove_leftovers()
        self._run("ip", "netns", "add", self.namespace)
        try:
            self._run("ip", "link", "add", self._near, "type", "veth", "peer", "name", self.interface)
            address = ":".join(f"{byte:02x}" for byte in mac(5).to_bytes(6, "big"))
            self._run("ip", "link", "set", self.interface, "netns", self.namespace, "address", address)
            Path(f"/proc/sys/net/ipv6/conf/{self._near}/disable_ipv6").write_text("1")
            self._run("ip", "link", "set", self._near, "up")
            self._run("ip", "netns", "exec", self.namespace, "ip", "link", "set", self.interface, "up")
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            self._socket.bind((self._near, 0x0800))
            self._task = runtime.spawn(self._respond)
        except BaseException:
            self._run("ip", "netns", "del", self.namespace)
            raise

    def close(self) -> None:
        self._task.stop()
        self._socket.close()
        self._run("ip", "link", "del", self._near)  # the namespace would take it along, but some time later
        self._run("ip", "netns", "del", self.namespace)

    def script(self, and_then: str = "") -> Path:
        """What a client calls, with what it was told in the environment; it keeps that and changes nothing."""
        path = self.directory / "script"
        path.write_text(f"#!/bin/sh\nenv > {self.directory}/told.$1$reason\n{and_then}\n")
        path.chmod(0o755)
        return path

    def told(self, event: str) -> dict[str, str]:
        lines = (self.directory / f"told.{event}").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def run(self, *command: str, status: int = 0) -> None:
        """Run a client in the namespace to its end, with files of its own under /var/lib and /run."""
        if shutil.which(command[0]) is None:
            pytest.skip(f"needs {command[0]}")
        private = 'mount -t tmpfs none /run; [ ! -d /var/lib/dhcpcd ] || mount -t tmpfs none /var/lib/dhcpcd; exec "$@"'
        inside = ("unshare", "--mount", "sh", "-c", private, "client", *command)
        self._run("nsenter", f"--net=/run/netns/{self.namespace}", *inside, status=status)

    def _respond(self) -> None:
        while True:
            frame = self._socket.recv(2000)
            if frame[6:12] == mac(5).to_bytes(6, "big"):
                answer = dhcp.reply(frame, LEASE)
                self.answers.append(answer.kind)
                if answer.frame is not None:
                    self._socket.send(answer.frame)

    @staticmethod
    def _run(*command: str, status: int = 0) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == status, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def _remove_leftovers() -> None:
    """Namespaces of test runs that were killed."""
    for path in Path("/run/netns").glob("sa*-dhcp"):
        if not Path(f"/proc/{path.name[2:-5]}").exists():
            Client._run("ip", "netns", "del", path.name)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    made = Client(tmp_path)
    yield made
    made.close()


def dhclient(client: Client, leases: str = "") -> dict[str, str]:
    """Run ISC's client until it has a lease; what it was told.

    In the background nobody could say when it is there, and in the foreground it would stay for ever: so the script
    that it calls with its lease ends it.
    """
    remembered = client.directory / "leases"
    remembered.write_text(leases)
    script = client.script("case $reason in BOUND|REBOOT) kill $PPID;; esac")
    files = ("-cf", "/dev/null", "-lf", str(remembered), "-pf", "/run/dhclient.pid", "-sf", str(script))
    client.run("dhclient", "-4", "-1", "-d", *files, client.interface, status=-SIGTERM)
    events = [event for event in ("BOUND", "REBOOT") if (client.directory / f"told.{event}").exists()]
    return client.told(events[-1])


def test_dhclient(client: Client) -> None:
    told = dhclient(client)
    assert client.answers == ["offer", "ack"]
    assert (told["new_ip_address"], told["new_subnet_mask"], told["new_broadcast_address"]) == (
        "10.0.0.5",
        "255.255.255.0",
        "10.0.0.255",
    )
    assert (told["new_routers"], told["new_domain_name_servers"]) == ("10.0.0.254", "8.8.8.8")
    assert (told["new_domain_name"], told["new_host_name"]) == ("example.test", "vm-five")
    assert (told["new_dhcp_lease_time"], told["new_dhcp_server_identifier"]) == ("86400", "10.0.0.250")


def test_dhclient_that_remembers_its_address(client: Client) -> None:
    """Init-reboot: one question, one answer."""
    assert dhclient(client, REMEMBERED % (client.interface, "10.0.0.5"))["new_ip_address"] == "10.0.0.5"
    assert client.answers == ["ack"]


def test_dhclient_that_remembers_a_wrong_address(client: Client) -> None:
    """It is told at once, and begins anew."""
    assert dhclient(client, REMEMBERED % (client.interface, "10.0.0.77"))["new_ip_address"] == "10.0.0.5"
    assert client.answers == ["nak", "offer", "ack"]


def test_udhcpc(client: Client) -> None:
    asked = ("-O", "mtu", "-O", "staticroutes", "-O", "ntpsrv", "-O", "search")
    client.run("udhcpc", "-f", "-n", "-q", "-i", client.interface, "-s", str(client.script()), *asked)
    told = client.told("bound")
    assert client.answers == ["offer", "ack"]
    assert (told["ip"], told["mask"], told["router"], told["mtu"]) == ("10.0.0.5", "24", "10.0.0.254", "1450")
    assert told["staticroutes"] == "192.168.0.0/16 10.0.0.9 0.0.0.0/0 10.0.0.254"
    assert (told["ntpsrv"], told["search"], told["hostname"]) == ("10.0.0.3", "example.test", "vm-five")


def test_udhcpc_that_wants_a_broadcast(client: Client) -> None:
    client.run("udhcpc", "-B", "-f", "-n", "-q", "-i", client.interface, "-s", str(client.script()))
    assert client.told("bound")["ip"] == "10.0.0.5"


def test_udhcpc_that_gives_its_lease_back(client: Client) -> None:
    client.run("udhcpc", "-f", "-n", "-q", "-R", "-i", client.interface, "-s", str(client.script()))
    assert client.answers[:2] == ["offer", "ack"]


def test_dhcpcd(client: Client) -> None:
    options = [word for name in ("domain_search", "interface_mtu", "classless_static_routes") for word in ("-o", name)]
    command = ("dhcpcd", "-4", "-1", "-B", "-A", "-f", "/dev/null", "-c", str(client.script()), *options)
    client.run(*command, client.interface)
    told = client.told("BOUND")
    assert client.answers == ["offer", "ack"]
    assert (told["new_ip_address"], told["new_subnet_cidr"], told["new_routers"]) == ("10.0.0.5", "24", "10.0.0.254")
    assert told["new_classless_static_routes"] == "192.168.0.0/16 10.0.0.9 0.0.0.0/0 10.0.0.254"
    assert (told["new_interface_mtu"], told["new_domain_search"]) == ("1450", "example.test")
