# SPDX-License-Identifier: Apache-2.0
"""A lab: hosts, what joins them, guests. Made in about a second, gone without a trace.

    with Lab(hosts=2, providers=("physnet1",)) as lab:
        h1, h2 = lab.hosts
        vm1 = lab.guest("vm1", h1, iface_id=port["id"], mac=port["mac_address"])
        ...

Nothing of it is in the machine's own namespace, save the one link of a management network if there is one, and that
carries the lab's name. Any number of labs run side by side. What ends them, in every case, is `keeper.py`.
"""

from __future__ import annotations

import fcntl
import itertools
import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self, TypeVar

from topologies import keeper
from topologies._mininet import GuestNode, HypervisorNode, Net, PlainNode, WireNode
from topologies.guest import CARD, Guest, Vm
from topologies.host import MANAGEMENT_CARD, UNDERLAY_CARD, Host
from topologies.machine import LabError, Machine
from topologies.openvswitch import OpenVswitch

UNDERLAY: Final = "underlay"
MANAGEMENT: Final = "management"
VXLAN_OVERHEAD: Final = 50
PLAIN_BRIDGES: Final = """
for setting in /proc/sys/net/bridge/bridge-nf-call-*; do
    if [ -e $setting ]; then echo 0 > $setting; fi
done
"""
"""Where the kernel filters what bridges carry, it cuts what is behind an IP packet and drops what looks malformed."""

G = TypeVar("G", bound=Guest)

_letters = itertools.count()


def _new_name() -> str:
    """The process number and a counter in letters: unique while this process lives, short enough for a link name."""
    number, letters = next(_letters), ""
    while not letters or number:
        number, digit = divmod(number, 26)
        letters = chr(ord("a") + digit) + letters
    return f"{os.getpid()}{letters}"


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """While labs choose what must be unique on the machine, they wait for each other."""
    keeper.RUN.mkdir(mode=0o755, exist_ok=True)
    with (keeper.RUN / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Lab:
    """Hosts, an underlay, provider networks, and the guests that are added."""

    def __init__(
        self,
        hosts: int = 1,
        providers: tuple[str, ...] = (),
        *,
        underlay_mtu: int = 1500,
        management: bool = False,
    ) -> None:
        if os.geteuid() != 0:
            raise LabError("the lab needs root: it makes network namespaces")
        _try_out_namespaces()
        keeper.clean_up_after_the_dead()
        self.name = _new_name()
        self.directory = keeper.RUN / self.name
        self.underlay_mtu = underlay_mtu
        self.providers = providers
        self.management_ip = ""
        """Address of the machine itself on the management network; empty when there is none."""
        self._wires: list[Machine] = []
        self._tagging: OpenVswitch | None = None
        self.hosts: list[Host] = []
        self.guests: dict[str, Guest] = {}
        self.net = Net()
        """The Mininet, for its command line."""
        self._is_kept = False
        self._keeper = self._start_keeper()
        try:
            self._lay_underlay(hosts, management=management)
            self._start_hosts()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _machines(self) -> Iterator[Machine]:
        yield from self._wires
        yield from self.hosts
        yield from self.guests.values()

    # ---------------------------------------------------------------------------------------------------- life, death

    def _start_keeper(self) -> subprocess.Popen[bytes]:
        mark = f"{self.name}.{keeper.start_time(os.getpid())}"
        path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin"
        self.env = {
            keeper.VARIABLE: mark,
            "PATH": path,
            "HOME": "/root",
            "LC_ALL": "C",
            "TERM": os.environ.get("TERM", "dumb"),
        }
        with _one_at_a_time():
            self.directory.mkdir(mode=0o755)
            (self.directory / "owner").write_text(f"{os.getpid()} {keeper.start_time(os.getpid())}\n")
            (self.directory / "mark").write_text(mark)
        process = keeper.start(self.directory, mark)
        (self.directory / "keeper").write_text(f"{process.pid} {keeper.start_time(process.pid)}\n")
        return process

    def _tell_keeper(self, line: str) -> None:
        assert self._keeper.stdin is not None
        self._keeper.stdin.write(f"{line}\n".encode())
        self._keeper.stdin.flush()

    def stop(self) -> None:
        """End everything; returns when it is gone. Harmless when repeated, and after `keep`."""
        assert self._keeper.stdin is not None
        if self._keeper.stdin.closed:
            return
        self._keeper.stdin.close()
        if not self._is_kept:
            self._keeper.wait()
            assert self._keeper.stdout is not None
            self._keeper.stdout.close()
            for machine in self._machines:
                machine.bury()

    def keep(self) -> None:
        """Leave everything up when this process ends; `python -m topologies.down` ends it then."""
        for machine in self._machines:
            machine.pid = machine.start("sleep", "infinity", log="keep.log").pid
        self.write_door()
        self._tell_keeper("keep")
        self._is_kept = True

    def write_door(self) -> Path:
        """A script `in` in the lab's directory: `in vm1 ping 10.0.0.2`, `in h1 ovs-vsctl show`; `in vm1` is a shell."""
        lines = [
            "#!/bin/sh",
            "# Runs a command, or a shell, inside a machine of this lab.",
            "machine=$1; shift",
            "case $machine in",
        ]
        for machine in self._machines:
            settings = " ".join(f"{key}={value}" for key, value in machine.env.items() if key.startswith("OVS_"))
            lines.append(f'{machine.name}) pid={machine.pid}; set -- env {settings} "${{@:-bash}}" ;;')
        lines += ['*) echo "no such machine: $machine" >&2; exit 2 ;;', "esac", 'exec mnexec -a "$pid" "$@"']
        door = self.directory / "in"
        door.write_text("\n".join(lines) + "\n")
        door.chmod(0o755)
        return door

    # ------------------------------------------------------------------------------------------------------- building

    def _adopt(self, node: PlainNode) -> PlainNode:
        """Have the keeper hold the node's namespace and write it down."""
        self._tell_keeper(f"hold /proc/{node.pid}/ns/net")
        assert self._keeper.stdout is not None
        if not self._keeper.stdout.readline():
            raise LabError("somebody ended the lab's keeper")
        return node

    def _lay_underlay(self, count: int, *, management: bool) -> None:
        """All namespaces and all cables between hosts and wire, then the bridges in the wire."""
        for provider in self.providers:
            if not provider.isidentifier() or len(provider) > 12:
                raise LabError(f"provider network {provider!r}: a word of at most 12 letters, digits, underscores")
        wire = self._adopt(self.net.add_wire(WireNode("wire", self.env)))
        self.wire = Machine(wire, self.directory / "wire", self.env)
        self._wires.append(self.wire)
        networks = {UNDERLAY: ("u", UNDERLAY_CARD, self.underlay_mtu)}
        cards = {}
        for index, provider in enumerate(self.providers):
            cards[provider] = f"eth{index + 2}"
            networks[provider] = (f"p{index}", cards[provider], 1500)
        if management:
            networks[MANAGEMENT] = ("m", MANAGEMENT_CARD, 1500)
        cables: list[str] = []
        bridges = ["sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1", PLAIN_BRIDGES]
        for network, (_, _, mtu) in networks.items():
            bridges.append(f"ip link add {network} mtu {mtu} type bridge mcast_snooping 0")
            bridges.append(f"ip link set {network} up")
        subnet = self._lay_management(bridges) if management else ""
        for number in range(1, count + 1):
            name = f"h{number}"
            node = self._adopt(self.net.addSwitch(name, cls=HypervisorNode, env=self.env))
            ports: dict[str, tuple[Machine, str]] = {}
            for network, (short, card, mtu) in networks.items():
                port = f"{short}-{name}"
                ports[network] = (self.wire, port)
                cables.append(_cable(node, card, wire, port, mtu))
                bridges.append(f"ip link set {port} master {network} up")
                self.net.join(node, card, wire, port)
            host = Host(
                node,
                self.directory / name,
                self.env,
                tunnel_ip=f"192.0.2.{number}",
                management_ip=f"{subnet}.{number}" if management else "",
                cards=cards,
                ports_of_wire=ports,
            )
            self.hosts.append(host)
        _ip_batch(cables)
        self.wire.script("\n".join(bridges))

    def _lay_management(self, bridges: list[str]) -> str:
        """A link from the machine's own namespace to the management bridge; the first three octets of its addresses."""
        link = f"lab{self.name}"
        with _one_at_a_time():
            taken = subprocess.run(["ip", "-o", "-4", "addr"], capture_output=True, text=True, check=True).stdout
            free = [n for n in range(512) if f" 198.{18 + n // 256}.{n % 256}." not in taken]
            number = random.choice(free)
            subnet = f"198.{18 + number // 256}.{number % 256}"
            self.management_ip = f"{subnet}.254"
            _ip_batch(
                [
                    f"link add name {link} type veth peer name root netns {self.wire.pid}",
                    f"addr add {self.management_ip}/24 dev {link}",
                    f"link set {link} up",
                ]
            )
        bridges.append(f"ip link set root master {MANAGEMENT} up")
        return subnet

    def _start_hosts(self) -> None:
        """Bring all hosts up at once."""
        starting = [(host, host.start("sh", "-euc", host.starting_script(), log="start.log")) for host in self.hosts]
        for host, process in starting:
            if process.wait(timeout=30):
                raise LabError(f"{host.name} does not start: {(host.directory / 'start.log').read_text()[-2000:]}")

    # --------------------------------------------------------------------------------------------------------- guests

    def guest(
        self,
        name: str,
        host: Host,
        *,
        mac: str = "",
        iface_id: str = "",
        addresses: tuple[str, ...] = (),
        plug: bool = False,
    ) -> Vm:
        """A guest on `host`, its card laid; with `plug` also on the integration bridge."""
        device = f"tap{name}"
        if len(device) > 15:
            raise LabError(f"guest {name!r}: at most 12 characters, for `{device}` has to be the name of a link")
        mac = mac or self._new_mac()
        node = self._adopt(self.net.addHost(name, cls=GuestNode, env=self.env))
        _ip_batch([_cable(node, CARD, host.node, device, 1500, mac=mac)])
        self.net.join(node, CARD, host.node, device)
        guest = Vm(node, self.directory / name, self.env, mac=mac, host=host, device=device, iface_id=iface_id)
        host.script(f"ethtool -K {device} tx off rx off >/dev/null; ip link set {device} up")
        self._set_up(guest, addresses)
        if plug:
            guest.plug()
        return guest

    def outside(
        self, name: str, provider: str, *, vlan: int = 0, mac: str = "", addresses: tuple[str, ...] = ()
    ) -> Guest:
        """A machine on a provider network that is no guest of ours: a router, a server; behind a tag if `vlan`."""
        if provider not in self.providers:
            raise LabError(f"{provider} is none of the provider networks {', '.join(self.providers)}")
        mac = mac or self._new_mac()
        node = self._adopt(self.net.addHost(name, cls=GuestNode, env=self.env))
        port = f"o{len(self.guests)}"
        where = self._tagger(provider) if vlan else self.wire
        _ip_batch([_cable(node, CARD, where.node, port, 1500, mac=mac)])
        self.net.join(node, CARD, where.node, port)
        if isinstance(where, OpenVswitch):
            where.script(f"ethtool -K {port} tx off rx off >/dev/null; ip link set {port} up")
            where.vsctl("add-port", _tagging_bridge(provider), port, f"tag={vlan}")
        else:
            where.script(f"ip link set {port} master {provider} up")
        return self._set_up(Guest(node, self.directory / name, self.env, mac=mac), addresses)

    def _tagger(self, provider: str) -> OpenVswitch:
        """A switch on the provider network with access ports, which the kernel's bridges may not have."""
        if self._tagging is None:
            node = self._adopt(self.net.add_wire(WireNode("tagger", self.env)))
            self._tagging = OpenVswitch(node, self.directory / "tagger", self.env)
            self._wires.append(self._tagging)
            self._tagging.script(f"ip link set lo up\n{self._tagging.daemons_script()}")
            self._tagging.vsctl("init")
        tagging, bridge = self._tagging, _tagging_bridge(provider)
        trunk, port = f"eth{self.providers.index(provider)}", f"t{self.providers.index(provider)}"
        if bridge not in tagging.vsctl("list-br").split():
            _ip_batch([_cable(tagging.node, trunk, self.wire.node, port, 1500)])
            self.net.join(tagging.node, trunk, self.wire.node, port)
            self.wire.script(f"ip link set {port} master {provider} up")
            tagging.script(f"ip link set {trunk} up")
            argv = ("add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev")
            tagging.vsctl(*argv, "--", "add-port", bridge, trunk)
        return tagging

    def _set_up(self, guest: G, addresses: tuple[str, ...]) -> G:
        self.guests[guest.name] = guest
        guest.script(guest.private_script() + guest.card_script())
        if addresses:
            guest.configure(*addresses)
        return guest

    def _new_mac(self) -> str:
        number = 0xB001 + len(self.guests)
        return f"52:54:00:1a:{number >> 8:02x}:{number & 0xFF:02x}"

    def move(self, guest: Vm, host: Host, *, plug: bool = True) -> None:
        """Live migration as the network sees it: off one host, on another, the same card and addresses."""
        guest.unplug()
        guest.host.script(f"ip link del {guest.device}")
        guest.forget_cards()
        _ip_batch([_cable(guest.node, CARD, host.node, guest.device, 1500, mac=guest.mac)])
        host.script(f"ethtool -K {guest.device} tx off rx off >/dev/null; ip link set {guest.device} up")
        guest.host = host
        guest.script(guest.card_script())
        guest.configure(*guest.configured)
        if plug:
            guest.plug()

    def use_plain_switches(self) -> None:
        """An integration bridge that floods and learns, on every host: to see the lab itself at work, without sdnctl.

        One broadcast domain over all hosts, by VXLAN with VNI 1.
        """
        for host in self.hosts:
            argv = ["--may-exist", "add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev"]
            for peer in self.hosts:
                if peer is not host:
                    name = f"vx-{peer.name}"
                    argv += [
                        "--",
                        "--may-exist",
                        "add-port",
                        "br-int",
                        name,
                        "--",
                        "set",
                        "Interface",
                        name,
                        "type=vxlan",
                    ]
                    argv += [f"options:remote_ip={peer.tunnel_ip}", "options:key=1"]
                    # What came out of a tunnel never goes into another: every host has one to every other.
                    argv += ["--", "set", "Port", name, "protected=true"]
            host.vsctl(*argv)


def _try_out_namespaces() -> None:
    """Mininet waits for ever for a node whose shell could not be started."""
    try:
        done = subprocess.run(["mnexec", "-cn", "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError as problem:
        raise LabError("mnexec is missing: `scripts/prepare.sh demo` installs what the lab needs") from problem
    if done.returncode:
        raise LabError(f"mnexec cannot make namespaces here: {(done.stdout + done.stderr).strip() or done.returncode}")


def _tagging_bridge(provider: str) -> str:
    return f"br-{provider}"


def _cable(node1: PlainNode, name1: str, node2: PlainNode, name2: str, mtu: int, mac: str = "") -> str:
    """An `ip` command that makes a cable with an end in each namespace, and nothing in ours."""
    address = f"address {mac} " if mac else ""
    end1, end2 = f"{name1} mtu {mtu} {address}netns {node1.pid}", f"{name2} mtu {mtu} netns {node2.pid}"
    return f"link add name {end1} type veth peer name {end2}"


def _ip_batch(commands: list[str]) -> None:
    text = "\n".join(commands) + "\n"
    done = subprocess.run(["ip", "-batch", "-"], input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"ip -batch: {done.stderr.strip()}; in:\n{text}")
