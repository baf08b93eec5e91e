# SPDX-License-Identifier: Apache-2.0
"""A bridge made of a plain socket, that says exactly what a test wants it to say."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from typing import Self

HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, EXPERIMENTER, FEATURES_REQUEST, FEATURES_REPLY = range(7)
PACKET_IN, PORT_STATUS, PACKET_OUT, FLOW_MOD = 10, 12, 13, 14
MULTIPART_REQUEST, MULTIPART_REPLY, BARRIER_REQUEST, BARRIER_REPLY, SET_ASYNC = 18, 19, 20, 21, 28
SET_CONFIG = 9
BUNDLE_CONTROL, BUNDLE_ADD = 33, 34
DESC, FLOW_STATS, PORT_DESC = 0, 1, 13
PORT_ADDED, PORT_GONE, PORT_CHANGED = range(3)


def message(kind: int, body: bytes = b"", *, xid: int = 0, version: int = 5, length: int | None = None) -> bytes:
    return struct.pack("!BBHI", version, kind, 8 + len(body) if length is None else length, xid) + body


def hello(*versions: int, version: int = 5) -> bytes:
    bitmap = sum(1 << one for one in versions)
    return message(HELLO, struct.pack("!HHI", 1, 8, bitmap) if versions else b"", version=version)


def part(kind: int, body: bytes, xid: int, *, more: bool = False) -> bytes:
    return message(MULTIPART_REPLY, struct.pack("!HH4x", kind, more) + body, xid=xid)


def described(serial: str) -> bytes:
    return struct.pack("!256s256s256s32s256s", b"maker", b"box", b"code", serial.encode(), b"")


def port(name: str, ofport: int) -> bytes:
    return struct.pack("!IH2x6s2x16sII", ofport, 40, bytes(6), name.encode(), 0, 0)


def port_status(reason: int, name: str, ofport: int) -> bytes:
    return message(PORT_STATUS, struct.pack("!B7x", reason) + port(name, ofport))


def packet_in(in_port: int, cookie: int, frame: bytes) -> bytes:
    match = struct.pack("!HHII4x", 1, 12, 0x80000004, in_port)
    return message(PACKET_IN, struct.pack("!IHBBQ", 0xFFFFFFFF, len(frame), 1, 20, cookie) + match + b"\0\0" + frame)


class Peer:
    """Connects to a listener's target, and speaks."""

    def __init__(self, target: str) -> None:
        kind, _, rest = target.partition(":")
        self.socket = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
        self.socket.settimeout(10)
        host, _, number = rest.rpartition(":")
        self.socket.connect(rest if kind == "unix" else (host, int(number)))
        self._rest = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def say(self, *data: bytes) -> None:
        self.socket.sendall(b"".join(data))

    def hear(self) -> bytes | None:
        """The next message from the controller; None at the end."""
        while len(self._rest) < 8 or len(self._rest) < int.from_bytes(self._rest[2:4], "big"):
            try:
                data = self.socket.recv(65536)
            except ConnectionError:
                return None
            if not data:
                return None
            self._rest += data
        length = int.from_bytes(self._rest[2:4], "big")
        whole, self._rest = self._rest[:length], self._rest[length:]
        return whole

    def hear_kind(self, kind: int) -> bytes:
        """The next message of this type; others are skipped."""
        while (heard := self.hear()) is not None:
            if heard[1] == kind:
                return heard
        raise AssertionError(f"the controller hung up before it sent a message of type {kind}")

    def hears_the_end(self) -> bool:
        """The controller hangs up, whatever it says before."""
        while self.hear() is not None:
            pass
        return True

    def introduce(self, dpid: int = 1, serial: str = "serial", ports: Iterable[tuple[str, int]] = ()) -> None:
        """Say hello and answer all questions of the handshake."""
        self.say(hello(4, 5))
        features = self.hear_kind(FEATURES_REQUEST)
        self.say(message(FEATURES_REPLY, struct.pack("!QIBB2xI4x", dpid, 0, 254, 0, 0), xid=xid(features)))
        for kind, body in ((DESC, described(serial)), (PORT_DESC, b"".join(port(*one) for one in ports))):
            request = self.hear_kind(MULTIPART_REQUEST)
            assert request[8:10] == struct.pack("!H", kind)
            self.say(part(kind, body, xid(request)))

    def answer_barrier(self) -> None:
        self.say(message(BARRIER_REPLY, xid=xid(self.hear_kind(BARRIER_REQUEST))))


def xid(whole: bytes) -> int:
    return int.from_bytes(whole[4:8], "big")
