# SPDX-License-Identifier: Apache-2.0
"""How fast the store writes, reads and loads, and how long it keeps the hub.

    python -m bench.store [URL]

On a new SQLite file, or on the empty database at URL. Times are medians of wall time, commits included; `cpu` is
processor time of this process. A stall is the longest time for which no other task ran; the garbage collector is off,
as its pauses depend on everything else in the process.
"""

from __future__ import annotations

import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sdnctl import runtime

runtime.install()

from sdnctl.model.ids import Revision  # noqa: E402  (only after the hub)
from sdnctl.model.port import PortStatus  # noqa: E402
from sdnctl.model.request import Context, Query  # noqa: E402
from sdnctl.store import Store  # noqa: E402

ALICE = Context("alice", "alice", frozenset({"member", "reader"}))
ADMIN = Context("admin", "root", frozenset({"admin", "member", "reader"}))
ROUNDS = 200


def many(name: str, work: Callable[[], object], rounds: int = ROUNDS) -> None:
    """Medians of `rounds` calls."""
    walls, cpu = [], time.process_time()
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        walls.append(time.perf_counter() - start)
    cpu = (time.process_time() - cpu) / rounds
    print(f"{name:44} {statistics.median(walls) * 1e3:8.2f} ms   cpu {cpu * 1e3:6.2f} ms")


def once(name: str, work: Callable[[], object]) -> None:
    """One call, and the longest time for which the hub stood still."""
    stall, running = 0.0, True

    def beat() -> None:
        nonlocal stall
        last = time.perf_counter()
        while running:
            runtime.give_way()
            now = time.perf_counter()
            stall, last = max(stall, now - last), now

    task = runtime.spawn(beat)
    runtime.give_way()
    start = time.perf_counter()
    work()
    took = time.perf_counter() - start
    running = False
    task.join()
    print(f"{name:44} {took * 1e3:8.0f} ms   stall {stall * 1e3:4.0f} ms")


def network(store: Store) -> dict[str, object]:
    made = store.create(ALICE, "network", [{}]).objects[0]
    store.create(ALICE, "subnet", [{"network_id": made["id"], "ip_version": 4, "cidr": "10.0.0.0/16"}])
    store.create(ALICE, "subnet", [{"network_id": made["id"], "ip_version": 6, "cidr": "fd00::/64"}])
    return {"network_id": made["id"]}


def measure(store: Store) -> None:
    small = network(store)
    port = str(store.create(ALICE, "port", [small]).objects[0]["id"])
    names = iter(range(10**9))
    many("create a port", lambda: store.create(ALICE, "port", [small]))
    many("change a port", lambda: store.update(ALICE, "port", port, {"name": str(next(names))}))
    many("show a port", lambda: store.get(ALICE, "port", port))
    many("list by name", lambda: store.list(ALICE, "port", Query((("name", ("x",)),))))
    big = network(store)
    once("create 1 000 ports, bulk", lambda: store.create(ALICE, "port", [big] * 1000))
    thousand = Query((("network_id", (str(big["network_id"]),)),))
    many("list 1 000 ports", lambda: store.list(ALICE, "port", thousand), 20)
    once("list 1 000 ports beside others", lambda: store.list(ALICE, "port", thousand))
    huge = network(store)
    for _ in range(9):
        store.create(ALICE, "port", [huge] * 1000)
    many("create a port beside 10 000", lambda: store.create(ALICE, "port", [huge]))
    many("show a port beside 10 000", lambda: store.get(ALICE, "port", port))
    once("list 10 000 ports", lambda: store.list(ADMIN, "port", Query()))
    once("load 10 000 ports", store.load)
    once(
        "10 000 ports become ACTIVE",
        lambda: store.record_status({one.id: (PortStatus.ACTIVE, "h1") for one in store.load().ports}),
    )
    once("read the whole journal", lambda: store.changes(Revision(0)))


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        store = Store.open(sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{Path(directory) / 'bench.db'}")
        gc.disable()
        measure(store)
        store.close()


if __name__ == "__main__":
    main()
