# SPDX-License-Identifier: Apache-2.0
"""A real ovsdb-server and ovs-vswitchd with the dummy datapath, in a directory of their own: no root, no kernel.

    with DummySwitch() as switch:
        switch.bridge("br0", p1=1, p2=2)                # bridge with ports, ofport by name
        switch.ofctl("add-flow", "br0", "actions=drop")
        switch.trace("br0", "in_port=1,ip,nw_src=10.0.0.5")
        RawConnection(switch.socket("br0"))             # OpenFlow, bytes in and out

Starting takes a tenth of a second. The daemons are ended by their pid; what a killed test run left is ended by the
next start.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

import pytest

SCHEMA: Final = Path("/usr/share/openvswitch/vswitch.ovsschema")
_PREFIX: Final = "sdnctl-ovs-"
_DAEMONS: Final = ("ovs-vswitchd", "ovsdb-server")


class DummySwitch:
    """One ovs-vswitchd with any number of bridges."""

    def __init__(self) -> None:
        _end_leftovers()
        self.directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        self.database = f"unix:{self.directory}/db.sock"
        self._environment = os.environ | dict.fromkeys(("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR"), str(self.directory))
        try:
            self.run("ovsdb-tool", "create", f"{self.directory}/conf.db", str(SCHEMA))
            self.start_database()
            self.vsctl("--no-wait", "init")
            self.start_vswitchd()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start_database(self) -> None:
        self._daemon("ovsdb-server", f"{self.directory}/conf.db", f"--remote=p{self.database}")

    def start_vswitchd(self) -> None:
        self._daemon("ovs-vswitchd", self.database, "--enable-dummy=override", "--disable-system")

    def stop_vswitchd(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it; every flow is lost. `start_vswitchd` brings bridges and ports back."""
        _end(self.directory, "ovs-vswitchd", how)

    def stop_database(self, how: signal.Signals = signal.SIGTERM) -> None:
        _end(self.directory, "ovsdb-server", how)

    def close(self) -> None:
        """End both daemons and remove the directory."""
        for name in _DAEMONS:
            _end(self.directory, name, signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)

    def run(self, *command: str) -> str:
        """Run `command` against this switch; its output. A failure carries what it said."""
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            raise AssertionError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        return done.stdout

    def vsctl(self, *arguments: str) -> str:
        return self.run("ovs-vsctl", f"--db={self.database}", "--timeout=20", *arguments)

    def appctl(self, *arguments: str) -> str:
        """ovs-appctl to ovs-vswitchd."""
        return self.run("ovs-appctl", "-t", f"{self.directory}/ovs-vswitchd.ctl", "--timeout=20", *arguments)

    def ofctl(self, command: str, bridge: str = "br0", *arguments: str) -> str:
        """ovs-ofctl COMMAND BRIDGE ARGUMENTS in OpenFlow 1.4; options may stand in front of the command."""
        return self.run("ovs-ofctl", "-OOpenFlow14", *command.split(), f"unix:{self.socket(bridge)}", *arguments)

    def dump(self, bridge: str = "br0") -> list[str]:
        """The flows as `ovs-ofctl --no-stats dump-flows` prints them, without the leading space."""
        return [line.strip() for line in self.ofctl("--no-stats dump-flows", bridge).splitlines()]

    def trace(self, bridge: str, packet: str, *arguments: str) -> str:
        """What `ofproto/trace` says of `packet` (in flow syntax)."""
        return self.appctl("ofproto/trace", bridge, packet, *arguments)

    def bridge(self, name: str = "br0", **ports: int) -> str:
        """Add a bridge (fail mode secure, no controller) with these dummy ports; its name."""
        command = ["add-br", name, "--", "set", "bridge", name, "datapath_type=dummy", "fail_mode=secure"]
        for port, ofport in ports.items():
            command += ["--", "add-port", name, port]
            command += ["--", "set", "interface", port, "type=dummy", f"ofport_request={ofport}"]
        self.vsctl(*command)
        return name

    def delete_bridge(self, name: str) -> None:
        self.vsctl("del-br", name)

    def socket(self, bridge: str = "br0") -> str:
        """Path of the bridge's OpenFlow management socket."""
        return f"{self.directory}/{bridge}.mgmt"

    def _daemon(self, name: str, *arguments: str) -> None:
        at = f"{self.directory}/{name}"
        files = (f"--pidfile={at}.pid", f"--unixctl={at}.ctl", f"--log-file={at}.log")
        self.run(name, *arguments, *files, "-vconsole:off", "--detach", "--no-chdir")


class RawConnection:
    """An OpenFlow 1.4 connection that deals in bytes."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(path)
        self.send(struct.pack("!BBHI", 5, 0, 8, 0))
        hello = self.receive()
        assert hello[1] == 0, f"expected HELLO, got {hello.hex()}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> bytes:
        """The next message; echo requests are answered on the way."""
        while True:
            header = self._exactly(8)
            kind, length, xid = struct.unpack("!xBHI", header)
            message = header + self._exactly(length - 8)
            if kind != 2:
                return message
            self.send(struct.pack("!BBHI", 5, 3, length, xid) + message[8:])

    def ask(self, data: bytes) -> list[bytes]:
        """Send `data` and a barrier; everything that comes before the answer to the barrier."""
        self.send(data + struct.pack("!BBHI", 5, 20, 8, 0xBA221E2))
        answers = []
        while (answer := self.receive())[1] != 21:
            answers.append(answer)
        return answers

    def multipart(self, request: bytes) -> list[bytes]:
        """The bodies of the answers to one multipart request."""
        answers = self.ask(request)
        assert all(answer[1] == 19 for answer in answers), f"refused: {[answer.hex() for answer in answers]}"
        return [answer[16:] for answer in answers]

    def _exactly(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            more = self._socket.recv(length - len(data))
            if not more:
                raise ConnectionError("the switch closed the connection")
            data += more
        return data


def dummy_switches() -> Iterator[DummySwitch]:
    """Body of a fixture: `switch = pytest.fixture(scope="module")(dummy_switches)` in a conftest."""
    if shutil.which("ovs-vswitchd") is None:
        pytest.skip("needs ovs-vswitchd (package openvswitch-switch)")
    with DummySwitch() as switch:
        yield switch


def _end(directory: Path, daemon: str, how: signal.Signals) -> None:
    """End `daemon` of `directory` and wait until it is gone."""
    try:
        pid = int((directory / f"{daemon}.pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return
    if str(directory).encode() not in command:
        return
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            os.kill(pid, how)
            select.select([handle], [], [], 20)
        finally:
            os.close(handle)


def _end_leftovers() -> None:
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = directory.name.removeprefix(_PREFIX).partition("-")[0]
        if not owner.isdecimal() or Path(f"/proc/{owner}").exists():
            continue
        for name in _DAEMONS:
            _end(directory, name, signal.SIGKILL)
        shutil.rmtree(directory, ignore_errors=True)
