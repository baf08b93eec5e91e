# SPDX-License-Identifier: Apache-2.0
"""Where to listen: `tcp:HOST:PORT`, `ssl:HOST:PORT`, `unix:PATH`, and the sockets for it.

HOST is a name or an address, an IPv6 address in brackets (`tcp:[::]:6653`). Port 0 lets the system choose one.
A unix socket left behind by a process that is gone is replaced; one on which somebody still listens is not.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from sdnctl.errors import InvalidError
from sdnctl.model.tls import Tls

_INET: Final = re.compile(r"(?P<kind>tcp|ssl):(?:\[(?P<v6>[^]]+)]|(?P<host>[^:\[\]]+)):(?P<port>\d{1,5})")
_BACKLOG: Final = 1024


@dataclass(frozen=True, slots=True)
class Target:
    """One place to listen on."""

    kind: Literal["tcp", "ssl", "unix"]
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"unix:{self.path}"
        return f"{self.kind}:[{self.host}]:{self.port}" if ":" in self.host else f"{self.kind}:{self.host}:{self.port}"


def parse_target(text: str) -> Target:
    """The target that `text` names; InvalidError says how one is written."""
    if text.startswith("unix:") and len(text) > len("unix:"):
        return Target("unix", path=text.removeprefix("unix:"))
    found = _INET.fullmatch(text)
    if found is None or int(found["port"]) > 0xFFFF:
        raise InvalidError(
            f"{text!r} is no place to listen for OpenFlow: write tcp:HOST:PORT, ssl:HOST:PORT or unix:PATH"
        )
    return Target(
        "tcp" if found["kind"] == "tcp" else "ssl", host=found["v6"] or found["host"], port=int(found["port"])
    )


@dataclass(frozen=True, slots=True)
class ListeningSocket:
    """A bound socket, and the target it serves, its port filled in."""

    target: Target
    socket: socket.socket
    inode: int = 0
    """Of the socket file, so that `close` never removes one that another process has put in its place."""

    def close(self) -> None:
        self.socket.close()
        if self.target.kind == "unix":
            with contextlib.suppress(OSError):
                file = Path(self.target.path)
                if file.stat().st_ino == self.inode:
                    file.unlink()


def listen(target: Target) -> ListeningSocket:
    """Bind and listen; InvalidError names the target and what is in the way."""
    try:
        return _listen_unix(target) if target.kind == "unix" else _listen_inet(target)
    except OSError as error:
        raise InvalidError(f"cannot listen for OpenFlow on {target}: {error.strerror or error}") from error


def _listen_inet(target: Target) -> ListeningSocket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        target.host, target.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return ListeningSocket(Target(target.kind, target.host, sock.getsockname()[1]), sock)


def _listen_unix(target: Target) -> ListeningSocket:
    _remove_stale(target)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The mode is right from the first moment on: whoever may write to the socket may speak as a bridge.
    mask = os.umask(0o117)
    try:
        sock.bind(target.path)
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(mask)
    sock.listen(_BACKLOG)
    return ListeningSocket(target, sock, Path(target.path).stat().st_ino)


def _remove_stale(target: Target) -> None:
    try:
        mode = Path(target.path).stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise InvalidError(f"cannot listen for OpenFlow on {target}: there is a file of that name that is no socket")
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        try:
            probe.connect(target.path)
        except ConnectionRefusedError:
            Path(target.path).unlink()
            return
    raise InvalidError(f"cannot listen for OpenFlow on {target}: another process listens there")


def server_context(tls: Tls) -> ssl.SSLContext:
    """How `ssl:` targets speak: TLS 1.2 or newer, and no peer without a certificate of our CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    # A renegotiation would make a write wait for a read, which another task is in the middle of.
    context.options |= ssl.OP_NO_RENEGOTIATION
    for what, load in (
        (f"certificate {tls.certificate} with key {tls.private_key}", _load_own),
        (f"CA certificates {tls.ca}", _load_ca),
    ):
        try:
            load(context, tls)
        except OSError as error:  # SSLError is one too
            raise InvalidError(f"cannot use the {what} for OpenFlow: {error}") from error
    return context


def _load_own(context: ssl.SSLContext, tls: Tls) -> None:
    context.load_cert_chain(tls.certificate, tls.private_key)


def _load_ca(context: ssl.SSLContext, tls: Tls) -> None:
    context.load_verify_locations(tls.ca)
