# SPDX-License-Identifier: Apache-2.0
"""Many DHCP clients in one process, on a raw socket each: `python dhcp_clients.py SECONDS IN_FLIGHT < interfaces`.

Each line of standard input is `interface mac`. An exchange is DISCOVER, OFFER, REQUEST, ACK; `IN_FLIGHT` of them go on
at any moment, each on an interface of its own. Prints `exchanges seconds p50_ms p99_ms lost`. Needs nothing but Python,
because it runs inside a host's namespace.
"""

import random
import select
import socket
import struct
import sys
import time

GIVE_UP_S = 1.0


def request(mac: bytes, xid: int, kind: int, extra: bytes = b"") -> bytes:
    """A client's broadcast frame."""
    options = b"\x63\x82\x53\x63\x35\x01" + bytes([kind]) + b"\x37\x04\x01\x03\x06\x1a" + extra + b"\xff"
    bootp = struct.pack("!BBBBIHH16x", 1, 1, 6, 0, xid, 0, 0) + mac + bytes(10 + 192) + options
    bootp = bootp.ljust(300, b"\0")
    udp = struct.pack("!HHHH", 68, 67, 8 + len(bootp), 0) + bootp
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 16, 20 + len(udp), 0, 0, 64, 17, 0, bytes(4), b"\xff" * 4)
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    head = head[:10] + struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF) + head[12:]
    return b"\xff" * 6 + mac + b"\x08\x00" + head + udp


def main() -> None:
    seconds, in_flight = float(sys.argv[1]), int(sys.argv[2])
    clients = [line.split() for line in sys.stdin]
    sockets = []
    for name, mac in clients:
        one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        one.bind((name, 0))
        one.setblocking(False)  # noqa: FBT003  (the standard library takes it no other way)
        sockets.append((one, bytes.fromhex(mac.replace(":", ""))))
    random.shuffle(sockets)
    poller = select.epoll()
    by_fd = {one.fileno(): (one, mac) for one, mac in sockets}
    for fd in by_fd:
        poller.register(fd, select.EPOLLIN)
    idle = list(by_fd)
    busy: dict[int, tuple[int, float, int]] = {}
    times: list[float] = []
    lost = 0
    begun = time.perf_counter()
    while (now := time.perf_counter()) < begun + seconds:
        while len(busy) < in_flight and idle:
            fd = idle.pop(0)
            xid = random.getrandbits(32)
            busy[fd] = (xid, now, 2)
            by_fd[fd][0].send(request(by_fd[fd][1], xid, 1))
        for fd, _ in poller.poll(0.05):
            one, mac = by_fd[fd]
            try:
                frame = one.recv(2048)
            except BlockingIOError:
                continue
            if len(frame) < 285 or frame[34:38] != b"\0\x43\0\x44" or fd not in busy:
                continue
            xid, since, expected = busy[fd]
            if frame[46:50] != struct.pack("!I", xid) or frame[284] != expected:
                continue
            if expected == 2:
                busy[fd] = (xid, since, 5)
                server = frame[frame.index(b"\x36\x04", 282) :][:6]
                one.send(request(mac, xid, 3, b"\x32\x04" + frame[58:62] + server))
            else:
                times.append(time.perf_counter() - since)
                del busy[fd]
                idle.append(fd)
        for fd in [fd for fd, (_, since, _) in busy.items() if now - since > GIVE_UP_S]:
            lost += 1
            del busy[fd]
            idle.append(fd)
    took = time.perf_counter() - begun
    times.sort()
    pick = [times[int(len(times) * part)] * 1000 if times else 0.0 for part in (0.5, 0.99)]
    print(len(times), took, pick[0], pick[1], lost)


if __name__ == "__main__":
    main()
