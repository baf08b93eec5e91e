# SPDX-License-Identifier: Apache-2.0
"""What a host's bridge is told as its controller when neither the host nor `openflow.advertise` says it."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from sdnctl.config.values import Target, is_loopback, is_wildcard, target

_PREFERENCE: Final[Mapping[str, tuple[str, ...]]] = {
    "unix": ("unix", "tcp", "ssl"),
    "ssl": ("ssl", "tcp"),
    "tcp": ("tcp", "ssl"),
}
"""Kinds of listeners to try, by the kind of the host's OVSDB remote."""


def local_address(towards: str) -> str:
    """Our own address on the way to a host; empty when there is no way. Sends nothing."""
    for family, kind, protocol, _, address in socket.getaddrinfo(towards, 9, type=socket.SOCK_DGRAM):
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.connect(address)
                return str(probe.getsockname()[0])
        except OSError:
            continue
    return ""


def advertised(listen: Iterable[str], ovsdb: str, route: Callable[[str], str] = local_address) -> tuple[str, ...]:
    """The controller target for the bridge of the host with OVSDB remote `ovsdb`: one, or none.

    One, because a bridge opens a connection to each of its targets, and two connections of one bridge to one
    controller are only in each other's way. It is the first listener that the host can reach, in this order:

    * a host reached by `unix:` is on this machine, maybe in another network namespace: a `unix:` listener before a
      `tcp:` one on loopback, and first of all one in the directory of its OVSDB socket, because ovs-vswitchd
      connects to no socket outside its run directory;
    * a host reached by `ssl:` has keys: an `ssl:` listener before a `tcp:` one; by `tcp:` the other way round.

    A listener on 0.0.0.0 or [::] is told with our own address on the route to the host. That is right unless something
    in between translates addresses; then `openflow.advertise` or the host's own `--controller` says it. A listener on
    loopback is of no use to a host that is reached by another address. When nothing is left, the caller says so in the
    host's status.
    """
    remote = target(ovsdb)
    listeners = sorted(
        (target(text) for text in listen),
        key=lambda one: remote.kind == "unix" == one.kind and Path(one.path).parent != Path(remote.path).parent,
    )
    for kind in _PREFERENCE[remote.kind]:
        for listener in listeners:
            if listener.kind == kind and (seen := _seen_from(listener, remote, route)):
                return (str(seen),)
    return ()


def _seen_from(listener: Target, remote: Target, route: Callable[[str], str]) -> Target | None:
    """The listener as the host can connect to it; None when it cannot."""
    if listener.kind == "unix":
        return listener
    if not is_wildcard(listener.host):
        is_here = remote.kind == "unix" or is_loopback(remote.host)
        return listener if is_here or not is_loopback(listener.host) else None
    takes_six = ":" in listener.host
    if remote.kind == "unix":
        return dataclasses.replace(listener, host="::1" if takes_six else "127.0.0.1")
    try:
        address = route(remote.host)
    except OSError:
        return None
    if not address or (":" in address and not takes_six):
        return None
    return dataclasses.replace(listener, host=address)
