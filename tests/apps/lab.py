# SPDX-License-Identifier: Apache-2.0
"""Two hosts of a cloud as two bridges of a real ovs-vswitchd with the dummy datapath: no root, and real packets.

    lab.trace(1, frame)          who gets this frame of guest 1, as `ofproto/trace` has it, on all hosts
    lab.send(1, frame)           the frame goes in at guest 1's port
    lab.receive(2)               the next frame that comes out at guest 2's

Provider networks cross between the hosts by patch ports and a bridge between them. Tunnels end in a port that leads
nowhere; a trace that gets there goes on at the other host with the VNI and the address it left with.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from sdnctl.flows.pipeline import ENDS, Reason, Table, read_cookie
from sdnctl.flows.wire import add_message, encode, meter_add
from tests.apps.clouds import PATCH, TUNNEL, Cloud, endpoint, flows_of, meters_of
from tests.apps.packets import arp, mac, v4
from tests.support.dummy_ovs import DummySwitch, RawConnection

SHOW_FRAGMENTS = struct.pack("!BBHIHH", 5, 9, 12, 0, 3, 0xFFFF)
"""SET_CONFIG: first fragments show their ports, packet-ins are whole."""


@dataclass
class Fate:
    """What became of a frame."""

    arrived: set[int] = field(default_factory=set)
    """The guests it came out at; in `copies` as often as it did."""
    copies: list[int] = field(default_factory=list)
    drops: list[tuple[Table, Reason]] = field(default_factory=list)
    answered: bool = False
    punted: bool = False
    text: str = ""


@contextlib.contextmanager
def lab_of(cloud: Cloud) -> Iterator[Lab]:
    """A lab with a switch of its own."""
    with DummySwitch() as switch:
        built = Lab(switch, cloud)
        yield built
        built.close()


class Lab:
    """See the module's docstring."""

    def __init__(self, switch: DummySwitch, cloud: Cloud) -> None:
        self.switch = switch
        self.cloud = cloud
        self._wires: dict[int, Wire] = {}
        self._host = {guest.number: guest.host for guest in cloud.guests}
        self._build()
        self._odp = dict(self._datapath_ports())
        self._wires = {guest.number: Wire(self._socket(guest.number)) for guest in cloud.guests}
        self.settle()

    def _build(self) -> None:
        self.switch.bridge("between")
        self.switch.ofctl("add-flow", "between", "actions=NORMAL")
        for host in self.cloud.hosts:
            guests = self.cloud.on(host)
            bridge = self.switch.bridge(
                f"host{host}", **{f"g{one.number}": one.number for one in guests}, **{f"tunnel{host}": TUNNEL}
            )
            command: list[str] = []
            for here, there, where, ofport in (
                (f"in{host}", f"out{host}", bridge, PATCH),
                (f"out{host}", f"in{host}", "between", host),
            ):
                command += ["--", "add-port", where, here, "--", "set", "interface", here, "type=patch"]
                command += [f"options:peer={there}", f"ofport_request={ofport}"]
            for one in guests:
                stream = f"options:pstream=punix:{self._socket(one.number)}"
                command += ["--", "set", "interface", f"g{one.number}", stream]
            self.switch.vsctl(*command[1:])
            self.load(host)

    def load(self, host: int) -> None:
        """Everything the host needs; a refusal fails the test."""
        views = list(self.cloud.views(host))
        meters = b"".join(meter_add(spec) for view in views for spec in meters_of(view))
        flows = b"".join(add_message(encode(flow)) for view in views for flow in flows_of(view))
        with RawConnection(self.switch.socket(f"host{host}")) as connection:
            refused = connection.ask(SHOW_FRAGMENTS + meters + flows)
        assert not refused, [one.hex() for one in refused]

    def change(self, cloud: Cloud) -> None:
        """Other guests' groups or policies; connections are remembered across it."""
        self.cloud = cloud
        for host in cloud.hosts:
            for what in ("del-flows", "del-meters"):
                self.switch.ofctl(what, f"host{host}")
            self.load(host)

    def reaches(self, sender: int, receiver: int, frame: bytes) -> bool:
        """Whether a frame really comes out at the receiver, told by an ARP answer sent right behind it."""
        marker = arp(sender, v4(sender), v4(receiver), op=2, dst=mac(receiver))
        self.settle()
        self.send(sender, frame)
        self.send(sender, marker)
        received = self.receive(receiver)
        if received == marker:
            return False
        assert received == frame, received.hex()
        assert self.receive(receiver) == marker
        return True

    def trace(self, sender: int, frame: bytes) -> Fate:
        """Follow a frame of a guest through all hosts."""
        fate = Fate()
        self._trace(fate, self._host[sender], f"in_port={sender}", frame)
        return fate

    def trace_from_tunnel(self, host: int, vni: int, source: int, frame: bytes) -> Fate:
        """Follow a frame that a tunnel brings to `host`."""
        fate = Fate()
        self._trace(fate, host, tunnelled(host, str(vni), source), frame)
        return fate

    def trace_from_provider(self, host: int, frame: bytes) -> Fate:
        """Follow a frame that the provider bridge brings to `host`."""
        fate = Fate()
        self._trace(fate, host, f"in_port={PATCH}", frame)
        return fate

    def _trace(self, fate: Fate, host: int, received: str, frame: bytes) -> None:
        text = self.switch.trace(f"host{host}", received, frame.hex())
        fate.text += text
        for table, cookie in re.findall(r"^ *(\d+)\. .*cookie (0x[0-9a-f]+)", text, re.MULTILINE):
            found = read_cookie(int(cookie, 16))
            assert found is not None, f"a flow of nobody: {cookie}"
            if found[1] and int(table) not in ENDS:
                fate.drops.append((Table(int(table)), found[1]))
        fate.punted |= "CONTROLLER:65535" in text
        passes = re.findall(r"^Datapath actions: (.*)$", text, re.MULTILINE)
        for number in (one for actions in passes for one in re.findall(r"(?:^|,|clone\()(\d+)(?=,|\)|$)", actions)):
            name = self._odp[number]
            if received == f"in_port={name.removeprefix('g')}":
                fate.answered = True
            elif name.startswith("g"):
                fate.arrived.add(int(name[1:]))
                fate.copies.append(int(name[1:]))
        sent = re.findall(rf"set_field:(0x[0-9a-f]+|[0-9.]+)->(tun_id|tun_dst)|output:({TUNNEL})$", text, re.MULTILINE)
        vni = peer = ""
        for value, what, out in sent:
            if what == "tun_id":
                vni = value
            elif what == "tun_dst":
                peer = value
            elif out:
                there = next(one for one in self.cloud.hosts if dotted(endpoint(one)) == peer)
                self._trace(fate, there, tunnelled(there, vni, endpoint(host)), frame)

    # --- real packets -------------------------------------------------------------------------------------------

    def send(self, number: int, frame: bytes) -> None:
        self._wires[number].send(frame)

    def receive(self, number: int) -> bytes:
        return self._wires[number].receive()

    def waiting(self, number: int) -> int:
        """How many frames have come out of a guest's port and were not received yet."""
        return self._wires[number].waiting()

    def settle(self) -> None:
        """Wait until the switch has done all it was given, and forget what came out."""
        self.switch.appctl("version")  # answered by the thread that forwards, between two rounds
        for wire in self._wires.values():
            wire.drain()

    def close(self) -> None:
        for wire in self._wires.values():
            wire.close()

    def _socket(self, number: int) -> str:
        return f"{self.switch.directory}/g{number}.stream"

    def _datapath_ports(self) -> Iterator[tuple[str, str]]:
        """Port names by the numbers that datapath actions use."""
        for name, number in re.findall(r"^\s+(\S+) \d+/(\d+):", self.switch.appctl("dpif/show"), re.MULTILINE):
            yield number, name


class Wire:
    """The far end of a dummy port."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(path)

    def send(self, frame: bytes) -> None:
        self._socket.sendall(len(frame).to_bytes(2, "big") + frame)

    def receive(self) -> bytes:
        """The next frame that comes out of the port."""
        return self._exactly(int.from_bytes(self._exactly(2), "big"))

    def waiting(self) -> int:
        self._socket.settimeout(0)
        count = 0
        with contextlib.suppress(BlockingIOError):
            while self.receive():
                count += 1
        self._socket.settimeout(20)
        return count

    def drain(self) -> None:
        self._socket.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while self._socket.recv(65536):
                pass
        self._socket.settimeout(20)

    def close(self) -> None:
        self._socket.close()

    def _exactly(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            more = self._socket.recv(length - len(data))
            if not more:
                raise ConnectionError("the port is gone")
            data += more
        return data


def tunnelled(host: int, vni: str, source: int) -> str:
    """How a frame looks that `source` sent to `host` through the tunnel."""
    return f"in_port={TUNNEL},tun_id={vni},tun_src={dotted(source)},tun_dst={dotted(endpoint(host))}"


def dotted(address: int) -> str:
    return ".".join(map(str, address.to_bytes(4, "big")))
