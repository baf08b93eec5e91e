# SPDX-License-Identifier: Apache-2.0
"""Mininet's part of the lab: the nodes, the net that holds them, the command line for people.

A node is a shell in network and mount namespaces of its own, which end with it. Three things are not Mininet's way:

* Cables are laid straight between two namespaces, so no link is ever seen in the machine's own namespace.
* Every process carries the lab's mark in its environment; `keeper.py` finds it by that.
* The machine's sysctls and limits stay as they are.

The import itself needs care: a process on the hub has no `select.poll`, and Mininet insists on one.
"""

from __future__ import annotations

import select
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from subprocess import Popen
from typing import Any


class _Poll:
    """`select.poll` for a process that has only `select.select`; gives way on the hub."""

    def __init__(self) -> None:
        self._files: dict[int, Any] = {}

    def register(self, file: Any, _events: int = 0) -> None:
        self._files[file if isinstance(file, int) else file.fileno()] = file

    def unregister(self, file: Any) -> None:
        del self._files[file if isinstance(file, int) else file.fileno()]

    def poll(self, timeout_ms: float | None = None) -> list[tuple[int, int]]:
        timeout_s = None if timeout_ms is None or timeout_ms < 0 else timeout_ms / 1000
        ready, _, _ = select.select(list(self._files), [], [], timeout_s)
        return [(number, select.POLLIN) for number in ready]


class _Select:
    """What Mininet's nodes take for the module `select`."""

    POLLIN = select.POLLIN

    @staticmethod
    def poll() -> Any:
        return select.poll() if hasattr(select, "poll") else _Poll()


@contextmanager
def _poll_is_there() -> Iterator[None]:
    """Mininet looks for `select.poll` when it is imported; others are to find things as they were."""
    if hasattr(select, "poll"):
        yield
        return
    vars(select)["poll"] = _Poll
    try:
        yield
    finally:
        del vars(select)["poll"]


with _poll_is_there(), warnings.catch_warnings():
    warnings.simplefilter("ignore")  # distutils, and escapes in strings that newer Pythons complain about
    import mininet.node as mininet_node
    from mininet.cli import CLI
    from mininet.link import Intf
    from mininet.net import Mininet

mininet_node.select = _Select

__all__ = ["CLI", "GuestNode", "HypervisorNode", "Net", "PlainNode", "Socket", "WireNode"]


class PlainNode(mininet_node.Node):
    """A namespace with a shell, started with the lab's environment."""

    def __init__(self, name: str, env: Mapping[str, str], **params: Any) -> None:
        self._env = dict(env)
        super().__init__(name, **{**params, "inNamespace": True})

    def _popen(self, cmd: list[str], **params: Any) -> Popen[bytes]:
        params.setdefault("env", self._env)
        return Popen(cmd, **params)


class WireNode(PlainNode):
    """Where the bridges are that join hosts."""


class GuestNode(PlainNode):
    """A workload, or a machine on a provider network."""

    address = ""

    def IP(self, intf: Any = None) -> str:
        """The first address, so that `vm1 ping vm2` works on Mininet's command line."""
        return self.address


class HypervisorNode(PlainNode, mininet_node.Switch):
    """What Mininet calls a switch: a host with its own Open vSwitch."""

    def connected(self) -> bool:
        return True


class Socket(Intf):
    """An end of a cable. It exists already where it belongs, so nothing has to be moved or configured."""

    def __init__(self, name: str, node: PlainNode) -> None:
        super().__init__(name, node, moveIntfFn=lambda _name, _node: None)

    def config(self, **_params: Any) -> dict[str, Any]:
        return {}


class Cable:
    """What Mininet's `links` and `net` commands want of a link."""

    def __init__(self, intf1: Socket, intf2: Socket) -> None:
        self.intf1, self.intf2 = intf1, intf2
        intf1.link = intf2.link = self

    def __str__(self) -> str:
        return f"{self.intf1.node.name}:{self.intf1}<->{self.intf2.node.name}:{self.intf2}"

    def status(self) -> str:
        return f"({self.intf1.status()} {self.intf2.status()})"


class Net(Mininet):
    """A Mininet that changes nothing of the machine's settings."""

    inited = True

    def __init__(self) -> None:
        Mininet.inited = True
        super().__init__(build=False, controller=None)

    def add_wire(self, node: WireNode) -> WireNode:
        """Know the wire by name, and not as one of the hosts that `pingall` tries."""
        self.nameToNode[node.name] = node
        return node

    def join(self, node1: PlainNode, name1: str, node2: PlainNode, name2: str) -> None:
        """Note a cable that was laid."""
        self.links.append(Cable(Socket(name1, node1), Socket(name2, node2)))
