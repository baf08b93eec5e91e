# SPDX-License-Identifier: Apache-2.0
"""What runs inside a namespace: sender, sniffer, probe, echo server. Standard library only, a process each.

    python worker.py sender   INTERFACE
    python worker.py sniffer  INTERFACE
    python worker.py probe    {"to": ..., "interval_ms": ..., "protocol": "icmp" | "udp", ...}
    python worker.py echo     PORT

Each speaks JSON, one object a line, on its standard input, which is a socket in both directions. The first line it
sends is `{"ready": true}`: from then on it sees, hears or answers everything. `{"do": ...}` lines are questions, each
has one answer. The end of the socket ends the worker.

Frames are told apart by a marker, `lab:` and twelve hexadecimal digits anywhere in the frame, so that a frame is known
again behind whatever VXLAN, VLAN or translation did to its head.
"""

from __future__ import annotations

import json
import os
import re
import select
import socket
import struct
import sys
import time
from array import array
from collections import Counter
from typing import Any, NoReturn

MARKER = re.compile(rb"lab:[0-9a-f]{12}")

SOL_PACKET = 263
PACKET_AUXDATA = 8
PACKET_STATISTICS = 6
PACKET_OUTGOING = 4
TP_STATUS_VLAN_VALID = 0x10
TP_STATUS_VLAN_TPID_VALID = 0x40
SO_RCVBUFFORCE = 33
SO_TIMESTAMPNS = 35
ETH_P_ALL = 3
BUFFER = 64 << 20
KEPT_FRAMES = 100_000


class Talk:
    """The socket to whoever started us."""

    def __init__(self) -> None:
        self._socket = socket.socket(fileno=os.dup(0))
        self._socket.setblocking(True)  # whoever made it may be on the hub, where sockets do not block
        self._rest = b""

    def fileno(self) -> int:
        return self._socket.fileno()

    def say(self, **answer: Any) -> None:
        self._socket.sendall(json.dumps(answer).encode() + b"\n")

    def heard(self) -> list[dict[str, Any]]:
        """The lines that are there; ends the process when the other side has gone."""
        data = self._socket.recv(1 << 20)
        if not data:
            sys.exit(0)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]


# -------------------------------------------------------------------------------------------------------------- sender


def sender(talk: Talk, interface: str) -> NoReturn:
    """Puts frames on the wire as they are: `{"do": "send", "frames": [hex], "count": n, "rate": per second}`."""
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    wire.bind((interface, 0))
    talk.say(ready=True)
    while True:
        for ask in talk.heard():
            frames = [bytes.fromhex(frame) for frame in ask["frames"]]
            started = time.monotonic()
            try:
                _send(wire, frames, ask["count"], ask["rate"])
            except OSError as problem:
                talk.say(error=f"{interface}: {problem}")
            else:
                talk.say(sent=len(frames) * ask["count"], seconds=time.monotonic() - started)


def _send(wire: socket.socket, frames: list[bytes], count: int, rate: float) -> None:
    start, sent = time.monotonic(), 0
    for _ in range(count):
        for frame in frames:
            if rate:
                ahead = start + sent / rate - time.monotonic()
                if ahead > 0.0005:
                    time.sleep(ahead)
            while True:
                try:
                    wire.send(frame)
                    break
                except BlockingIOError:
                    time.sleep(0.0001)
                except OSError as problem:
                    if problem.errno != 105:  # ENOBUFS: the device's queue is full, so it will be emptied
                        raise
                    time.sleep(0.0001)
            sent += 1


# ------------------------------------------------------------------------------------------------------------- sniffer


def sniffer(talk: Talk, interface: str) -> NoReturn:
    """Counts and keeps what comes in on `interface`, VLAN tags put back where the kernel took them off.

    `{"do": "wait", "marker": m, "count": n, "timeout_s": t}` answers `{"count": how many came}` as soon as n frames
    with that marker have come, or after t; `{"do": "counts"}` gives all markers' counts; `{"do": "frames"}` gives
    the frames with a marker, or all of them, and how many the kernel could not keep up with.
    """
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    wire.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    wire.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    wire.setblocking(False)
    wire.bind((interface, ETH_P_ALL))
    # Promiscuous: frames for somebody else's MAC count too (struct packet_mreq: ifindex, PACKET_MR_PROMISC).
    wire.setsockopt(SOL_PACKET, 1, struct.pack("IHH8s", socket.if_nametoindex(interface), 1, 0, b""))
    frames: list[tuple[float, bytes]] = []
    counts: Counter[bytes] = Counter()
    dropped = 0
    waits: list[tuple[float, bytes, int]] = []
    poller = select.poll()
    poller.register(wire, select.POLLIN)
    poller.register(talk, select.POLLIN)
    talk.say(ready=True)
    while True:
        timeout = min((until for until, _, _ in waits), default=None)
        ready = poller.poll(None if timeout is None else max(0.0, timeout - time.monotonic()) * 1000)
        files = {number for number, _ in ready}
        if wire.fileno() in files:
            for stamp, frame in _received(wire):
                counts.update(set(MARKER.findall(frame)))
                if len(frames) < KEPT_FRAMES:
                    frames.append((stamp, frame))
        for wait in waits[:]:
            until, marker, count = wait
            if counts[marker] >= count or time.monotonic() >= until:
                waits.remove(wait)
                talk.say(count=counts[marker])
        if talk.fileno() in files:
            for ask in talk.heard():
                if ask["do"] == "wait":
                    waits.append((time.monotonic() + ask["timeout_s"], ask["marker"].encode(), ask["count"]))
                    if counts[waits[-1][1]] >= ask["count"]:
                        talk.say(count=counts[waits.pop()[1]])
                elif ask["do"] == "counts":
                    talk.say(counts={marker.decode(): count for marker, count in counts.items()})
                else:
                    dropped += struct.unpack("II", wire.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
                    wanted = ask["marker"].encode()
                    talk.say(
                        frames=[(stamp, frame.hex()) for stamp, frame in frames if wanted in frame], dropped=dropped
                    )


def _received(wire: socket.socket) -> list[tuple[float, bytes]]:
    """What is in the socket now, at most a thousand frames, without those we sent ourselves."""
    found = []
    for _ in range(1000):
        try:
            frame, notes, _flags, address = wire.recvmsg(65535, 256)
        except (BlockingIOError, InterruptedError):
            break
        except OSError:  # the interface went down or away; what it carried before is kept
            break
        if address[2] == PACKET_OUTGOING:
            continue
        stamp = 0.0
        for level, kind, value in notes:
            if level == SOL_PACKET and kind == PACKET_AUXDATA:
                status, _len, _snap, _mac, _net, tci, tpid = struct.unpack_from("IIIHHHH", value)
                if status & TP_STATUS_VLAN_VALID:
                    kind_of_tag = tpid if status & TP_STATUS_VLAN_TPID_VALID else 0x8100
                    frame = frame[:12] + struct.pack("!HH", kind_of_tag, tci) + frame[12:]
            elif level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("qq", value)
                stamp = seconds + nanoseconds / 1e9
        found.append((stamp, frame))
    return found


# --------------------------------------------------------------------------------------------------------------- probe


class Echo:
    """One request and its answer, numbered: ICMP echo or UDP to an echo server, IPv4 or IPv6."""

    def __init__(self, to: str, protocol: str, port: int, interface: str) -> None:
        self._six = ":" in to
        self._icmp = protocol == "icmp"
        scope = socket.if_nametoindex(interface) if to.lower().startswith("fe80") else 0
        family = socket.AF_INET6 if self._six else socket.AF_INET
        if self._icmp:
            self.socket = socket.socket(family, socket.SOCK_RAW, 58 if self._six else 1)
            if self._six:  # ICMPV6_FILTER: block all but type 129
                words = [0xFFFFFFFF] * 8
                words[129 >> 5] &= ~(1 << (129 & 31))
                self.socket.setsockopt(58, 1, struct.pack("8I", *words))
            else:  # ICMP_FILTER: block all but type 0
                self.socket.setsockopt(255, 1, struct.pack("I", ~1 & 0xFFFFFFFF))
        else:
            self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        self.socket.setblocking(False)
        self.socket.connect((to, port, 0, scope) if self._six else (to, port))
        self._id = os.getpid() & 0xFFFF
        self._token = os.urandom(8)

    def send(self, number: int) -> None:
        payload = self._token + struct.pack("!Q", number)
        if self._icmp:
            head = struct.pack("!BBHHH", 128 if self._six else 8, 0, 0, self._id, number & 0xFFFF)
            total = 0 if self._six else _checksum(head + payload)  # the kernel fills in ICMPv6's
            payload = head[:2] + struct.pack("!H", total) + head[4:] + payload
        try:
            self.socket.send(payload)
        except OSError:  # no route, a pending ICMP error, a full queue: it was not sent, so it will be missed
            return

    def answers(self) -> list[tuple[int, float]]:
        """(number, arrival time) of each answer that is there."""
        found = []
        for _ in range(1000):
            try:
                data, notes, _flags, _address = self.socket.recvmsg(2048, 128)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                continue
            at = data.find(self._token)
            if at < 0 or len(data) < at + 16:
                continue
            stamp = time.time()
            for level, kind, value in notes:
                if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
                    seconds, nanoseconds = struct.unpack("qq", value)
                    stamp = seconds + nanoseconds / 1e9
            found.append((struct.unpack_from("!Q", data, at + 8)[0], stamp))
        return found


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def probe(talk: Talk, text: str) -> NoReturn:
    """A steady stream of numbered requests; reports what was lost and for how long.

    Ready after the first answer (or with an error after `first_answer_s`), and only what is sent from then on counts.
    `{"do": "report"}` stops sending, waits for what is still on its way and answers with the figures.
    """
    order = json.loads(text)
    echo = Echo(order["to"], order["protocol"], order["port"], order["interface"])
    interval = order["interval_ms"] / 1000

    number = 0
    give_up = time.monotonic() + order["first_answer_s"]
    while not echo.answers():
        if time.monotonic() > give_up:
            talk.say(error=f"no answer from {order['to']} within {order['first_answer_s']} s")
            sys.exit(1)
        echo.send(number)
        number += 1
        select.select([echo.socket], [], [], max(0.01, interval))
    first = number
    talk.say(ready=True)

    sent_at = array("d")
    arrived: dict[int, float] = {}
    duplicates = skipped = 0
    longest_stall = 0.0
    next_at = last_at = time.monotonic()
    files: list[socket.socket | Talk] = [echo.socket, talk]
    asked = False
    until = 0.0
    while True:
        now = time.monotonic()
        if not asked and now >= next_at:
            longest_stall = max(longest_stall, now - last_at - interval)
            last_at = now
            sent_at.append(time.time())
            echo.send(number)
            number += 1
            late = int((now - next_at) / interval)
            skipped += late
            next_at += (late + 1) * interval
        wait = until - now if asked else next_at - now
        # select, not poll: poll counts whole milliseconds.
        ready: list[object] = []
        if wait > 0:
            ready = [*select.select(files, [], [], wait)[0]]
        if echo.socket in ready or wait <= 0:
            for answer, stamp in echo.answers():
                if answer < first:
                    continue
                duplicates += answer in arrived
                arrived.setdefault(answer, stamp)
        if talk in ready:
            for ask in talk.heard():
                if ask["do"] == "report":
                    asked, until = True, time.monotonic() + ask["linger_s"]
                else:
                    talk.say(sent=len(sent_at), received=len(arrived))
        if asked and (len(arrived) == len(sent_at) or time.monotonic() >= until):
            talk.say(
                sent=len(sent_at),
                received=len(arrived),
                duplicates=duplicates,
                skipped=skipped,
                longest_stall_ms=round(longest_stall * 1000, 3),
                **_gaps(sent_at, [arrived.get(first + index) for index in range(len(sent_at))]),
            )
            sys.exit(0)


def _gaps(sent: array[float], arrived: list[float | None]) -> dict[str, Any]:
    """The longest loss in a row: how many requests, and from the last good one before to the first good one after."""
    longest_ms, most, run = 0.0, 0, 0
    outages = 0
    good_at = sent[0] if sent else 0.0
    for at, answer in zip(sent, arrived, strict=True):
        if answer is None:
            outages += run == 0
            run += 1
            most = max(most, run)
            longest_ms = max(longest_ms, (at - good_at) * 1000)
        else:
            if run:
                longest_ms = max(longest_ms, (at - good_at) * 1000)
            good_at, run = at, 0
    trips = sorted(answer - at for at, answer in zip(sent, arrived, strict=True) if answer is not None)
    return {
        "outages": outages,
        "longest_run": most,
        "longest_gap_ms": round(longest_ms, 3),
        "median_ms": round(trips[len(trips) // 2] * 1000, 3) if trips else None,
        "worst_ms": round(trips[-1] * 1000, 3) if trips else None,
    }


# ---------------------------------------------------------------------------------------------------------------- echo


def echo(talk: Talk, port: str) -> NoReturn:
    """Sends back what comes, by UDP and TCP, IPv4 and IPv6; `{"do": "counts"}` says how much came."""
    datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    streams = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    for server in (datagrams, streams):
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.setblocking(False)
        server.bind(("::", int(port)))
    streams.listen(100)
    poller = select.poll()
    open_streams: dict[int, socket.socket] = {}
    counts = Counter({"udp": 0, "tcp": 0})
    for file in (talk, datagrams, streams):
        poller.register(file, select.POLLIN)
    talk.say(ready=True)
    while True:
        for number, _ in poller.poll():
            if number == talk.fileno():
                for _ask in talk.heard():
                    talk.say(**counts)
            elif number == datagrams.fileno():
                data, address = datagrams.recvfrom(65535)
                counts["udp"] += 1
                datagrams.sendto(data, address)
            elif number == streams.fileno():
                stream, _address = streams.accept()
                counts["tcp"] += 1
                open_streams[stream.fileno()] = stream
                poller.register(stream, select.POLLIN)
            else:
                stream = open_streams[number]
                try:
                    data = stream.recv(65535)
                    stream.sendall(data)
                except OSError:
                    data = b""
                if not data:
                    poller.unregister(stream)
                    open_streams.pop(number).close()


# ------------------------------------------------------------------------------------------------------------- connect


def _ping(talk: Talk, order: dict[str, Any]) -> NoReturn:
    """An echo request each 50 ms until one is answered or time is up."""
    echo = Echo(order["to"], "icmp", 0, order["interface"])
    until = time.monotonic() + order["timeout_s"]
    number = 0
    while (left := until - time.monotonic()) > 0:
        echo.send(number)
        number += 1
        if select.select([echo.socket], [], [], min(left, 0.05))[0] and echo.answers():
            talk.say(reached=True, why="")
            sys.exit(0)
    talk.say(reached=False, why="no answer")
    sys.exit(0)


def connect(talk: Talk, text: str) -> NoReturn:
    """One exchange, ICMP or with an echo server by TCP or UDP; answers whether it came back."""
    order = json.loads(text)
    talk.say(ready=True)
    if order["protocol"] == "icmp":
        _ping(talk, order)
    six = ":" in order["to"]
    scope = socket.if_nametoindex(order["interface"]) if order["to"].lower().startswith("fe80") else 0
    token = os.urandom(16)
    until = time.monotonic() + order["timeout_s"]
    why = "no answer"
    while (left := until - time.monotonic()) > 0:
        kind = socket.SOCK_STREAM if order["protocol"] == "tcp" else socket.SOCK_DGRAM
        with socket.socket(socket.AF_INET6 if six else socket.AF_INET, kind) as client:
            # A datagram may be lost on its way to a neighbour not yet known: it is sent again. TCP does that itself.
            client.settimeout(left if kind == socket.SOCK_STREAM else min(left, 0.3))
            try:
                client.connect((order["to"], order["port"], 0, scope) if six else (order["to"], order["port"]))
                client.sendall(token)
                if client.recv(64) == token:
                    talk.say(reached=True, why="")
                    sys.exit(0)
            except TimeoutError:
                continue
            except OSError as problem:
                why = str(problem)
                if isinstance(problem, ConnectionRefusedError):
                    break
                time.sleep(0.02)
    talk.say(reached=False, why=why)
    sys.exit(0)


if __name__ == "__main__":
    ROLES = {"sender": sender, "sniffer": sniffer, "probe": probe, "echo": echo, "connect": connect}
    role, argument = sys.argv[1:]
    starter = Talk()
    try:
        ROLES[role](starter, argument)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as trouble:
        starter.say(error=f"{role} {argument}: {trouble}")
        sys.exit(1)
