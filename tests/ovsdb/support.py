# SPDX-License-Identifier: Apache-2.0
"""A host link that a test can watch, and what a test wants to know of an OVSDB."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from netaddr import EUI

from sdnctl import runtime
from sdnctl.model.host import Host, HostFacts, PlugSpec
from sdnctl.model.ids import HostKey
from sdnctl.model.tls import Tls
from sdnctl.ovsdb import HostLink, Remotes
from tests.support.dummy_ovs import DummySwitch

TARGET = "tcp:127.0.0.1:16653"
TABLES = {0: "classify", 10: "port_security", 60: "switching"}


def a_host(ovsdb: str, **changes: Any) -> Host:
    return Host(**{"id": "h1", "key": HostKey(1), "name": "h1", "ovsdb": ovsdb, "datapath_type": "dummy", **changes})


def plugs(*names: str, kind: str = "internal", mtu: int = 1450) -> dict[str, PlugSpec]:
    """A plug for each name; port id and MAC follow from the name."""
    return {
        name: PlugSpec(port_id=f"port-of-{name}", mac=mac_of(name), type=kind, interface=name, mtu=mtu)
        for name in names
    }


def mac_of(name: str) -> EUI:
    return EUI(0xFA163E000000 + int.from_bytes(name.encode()[-3:]), version=48)


class Watched:
    """A link whose facts can be waited for. Ends with its `with` block."""

    def __init__(
        self,
        host: Host,
        controllers: tuple[str, ...] = (TARGET,),
        tls: Tls | None = None,
        remotes: Remotes | None = None,
    ) -> None:
        self.facts: HostFacts | None = None
        self.reason = ""
        self.calls: list[tuple[HostFacts | None, str]] = []
        self._told = 0
        self._latch = runtime.Latch()
        self.link = HostLink(host, controllers, tls, self._take, tables=TABLES, remotes=remotes)
        self.link.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.link.stop()

    def until(self, condition: Callable[[HostFacts], object], timeout_s: float = 15) -> HostFacts:
        """The first facts that fulfil `condition`."""
        return self._until(lambda: self.facts is not None and condition(self.facts), timeout_s)

    def until_lost(self, text: str, timeout_s: float = 15) -> str:
        """The first reason for having no facts that contains `text`."""
        self._until(lambda: self.facts is None and text in self.reason, timeout_s)
        return self.reason

    def until_has(self, *names: str) -> HostFacts:
        """Facts with these interfaces, each with its ofport."""
        return self.until(lambda facts: all(n in facts.interfaces and facts.interfaces[n].ofport for n in names))

    def until_is(self, names: set[str]) -> HostFacts:
        """Facts with exactly these interfaces."""
        return self.until(lambda facts: facts.interfaces.keys() == names, 30)

    def until_again(self, name: str) -> None:
        """This interface has gone and come back since the last call of `until_again` or the start."""
        self._until(lambda: "-+" in self._comings_and_goings(name), 15)
        self._told = len(self.calls)

    def _comings_and_goings(self, name: str) -> str:
        told = ("+" if facts is not None and name in facts.interfaces else "-" for facts, _ in self.calls[self._told :])
        return "".join(told)

    def _until(self, condition: Callable[[], object], timeout_s: float) -> Any:
        deadline = runtime.monotonic() + timeout_s
        while not condition():
            if not self._latch.wait(max(0.0, deadline - runtime.monotonic())):
                raise AssertionError(f"not within {timeout_s} s; the last was {self.facts} {self.reason!r}")
        return self.facts

    def _take(self, facts: HostFacts | None, reason: str) -> None:
        self.facts, self.reason = facts, reason
        self.calls.append((facts, reason))
        self._latch.wake()


class Wiretap:
    """Stands between a link and its server and hears what is sent."""

    def __init__(self, path: Path, switch: DummySwitch) -> None:
        self.target = f"unix:{path}"
        self._server = switch.database.removeprefix("unix:")
        self._heard = b""
        self._sockets = [socket.socket(socket.AF_UNIX)]
        self._sockets[0].bind(str(path))
        self._sockets[0].listen()
        self._tasks = [runtime.spawn(self._accept)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for task in self._tasks:
            task.stop()
        for each in self._sockets:
            each.close()

    def sent(self, method: str) -> int:
        """How many requests of this kind the link has sent."""
        return self._heard.count(f'"method": "{method}"'.encode())

    def _accept(self) -> None:
        while True:
            ours, _ = self._sockets[0].accept()
            theirs = socket.socket(socket.AF_UNIX)
            self._sockets += [ours, theirs]
            try:
                theirs.connect(self._server)
            except OSError:
                ours.shutdown(socket.SHUT_RDWR)
                continue
            self._tasks += [runtime.spawn(self._pass_on, ours, theirs), runtime.spawn(self._pass_on, theirs, ours)]

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        while chunk := source.recv(65536):
            if source in self._sockets[1::2]:
                self._heard += chunk
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_RDWR)


def records(switch: DummySwitch) -> int:
    """How many transactions the database file holds."""
    log = switch.run("ovsdb-tool", "show-log", f"{switch.directory}/conf.db")
    return len(re.findall(r"^record \d+:", log, re.MULTILINE))


def settle(switch: DummySwitch) -> int:
    """As `records`, after ovs-vswitchd has done all there was to do."""
    switch.vsctl("set", "open_vswitch", ".", "external_ids:settled=yes")  # waits for ovs-vswitchd
    return records(switch)


def get(switch: DummySwitch, table: str, row: str, column: str) -> str:
    return switch.vsctl("get", table, row, column).strip()
