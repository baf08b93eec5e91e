# SPDX-License-Identifier: Apache-2.0
"""A bridge that punts frames as fast as it gets answers, in a process without our hub: the other side of packet_in.py.

    python -m bench.bridge TARGET WINDOW SECONDS

Keeps WINDOW frames unanswered; with 0 it sends without waiting for anything. Prints answers, p50 and p99 in ms.
"""

from __future__ import annotations

import sys
import time

from tests.openflow.peer import PACKET_OUT, Peer, packet_in

FRAME = bytes(342)


def main(target: str, window: int, seconds: float) -> None:
    one = packet_in(1, 2, FRAME)
    times: list[float] = []
    with Peer(target) as peer:
        peer.introduce(dpid=window)
        peer.hear_kind(PACKET_OUT)
        now = time.perf_counter()
        until = now + seconds
        sent_at = [now] * window
        if window:
            peer.say(one * window)
        while now < until:
            if window:
                peer.hear_kind(PACKET_OUT)
                now = time.perf_counter()
                slot = len(times) % window
                times.append(now - sent_at[slot])
                sent_at[slot] = now
                peer.say(one)
            else:
                peer.say(one * 100)
                now = time.perf_counter()
    times.sort()
    p50, p99 = (1000 * times[int(len(times) * share)] if times else 0.0 for share in (0.5, 0.99))
    print(len(times), p50, p99)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
