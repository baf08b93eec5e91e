# SPDX-License-Identifier: Apache-2.0
"""A DHCP server of forty lines, to try the lab's clients on: one address for everybody. Run inside a guest.

python dhcp_server.py SERVER-ADDRESS CLIENT-ADDRESS
"""

from __future__ import annotations

import socket
import struct
import sys

DISCOVER, OFFER, REQUEST, ACK, RELEASE = 1, 2, 3, 5, 7


def option(code: int, value: bytes) -> bytes:
    return bytes([code, len(value)]) + value


def address(text: str) -> bytes:
    return socket.inet_aton(text)


def kind_of(message: bytes) -> int:
    at = 240
    while message[at] != 255:
        if message[at] == 53:
            return message[at + 2]
        at += 2 + message[at + 1] if message[at] else 1
    return 0


def answer(message: bytes, kind: int, server: str, client: str) -> bytes:
    head = (
        b"\x02\x01\x06\0" + message[4:8] + struct.pack("!HH", 0, 0x8000) + bytes(4) + address(client) + address(server)
    )
    options = option(53, bytes([kind])) + option(54, address(server)) + option(51, struct.pack("!I", 3600))
    options += option(1, address("255.255.255.0")) + option(3, address(server)) + option(6, address("192.0.2.53"))
    options += option(26, struct.pack("!H", 1450)) + option(12, b"given-name")
    options += option(121, b"\0" + address(server) + b"\x18" + address("198.51.100.0")[:3] + address("10.9.0.9"))
    return head + bytes(4) + message[28:236].ljust(208, b"\0") + b"\x63\x82\x53\x63" + options + b"\xff"


def main() -> None:
    server, client = sys.argv[1:3]
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
    listener.bind(("0.0.0.0", 67))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        message, _ = listener.recvfrom(2048)
        kind = kind_of(message)
        sys.stdout.write(f"got {kind}\n")
        sys.stdout.flush()
        if kind in {DISCOVER, REQUEST}:
            reply = answer(message, OFFER if kind == DISCOVER else ACK, server, client)
            listener.sendto(reply, ("255.255.255.255", 68))


if __name__ == "__main__":
    main()
