# SPDX-License-Identifier: Apache-2.0
"""Nothing of a lab outlives its owner: the keeper is a process of its own that ends all of it.

    python keeper.py DIRECTORY MARK        started by the lab, listens on standard input

A lab is a directory under /run/sdnctl-lab and processes. Every process carries the lab's mark in its environment
(`SDNCTL_LAB=<mark>`, inherited by whatever it starts) or lives in one of the lab's network namespaces; namespaces,
links and taps go with the last process in them. So to end a lab is to kill by mark and by namespace, then to remove the
directory.

The keeper does that when its standard input ends: on purpose (the lab was stopped) or because the owner died in
whatever way, kill -9 included. A lab that is to stay up without its owner (`keep`) ends by a SIGTERM to its keeper. If
somebody kills the keeper as well, the next lab that starts finds the directory of a dead owner and does the same
(`clean_up_after_the_dead`).

What you may *not* do here: end a process because of its number or name alone. Numbers are re-used and other labs run
side by side; a process is looked at through a handle (pidfd) first, and killed through the same handle.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

RUN = Path("/run/sdnctl-lab")
VARIABLE = "SDNCTL_LAB"
PATIENCE_S = 5.0


def start_time(pid: int | str) -> str:
    """When the process was started, in the kernel's ticks; with the pid it is unique. Empty when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    state, *rest = stat.rpartition(")")[2].split()
    return "" if state in {"Z", "X"} else rest[18]


def is_running(record: Path) -> bool:
    """Whether the process written into `record` (`pid start-time`) still runs."""
    try:
        pid, started = record.read_text().split()
    except (OSError, ValueError):
        return False
    return start_time(pid) == started


def _belongs(pid: str, mark: str, namespaces: set[int]) -> bool:
    try:
        if Path(f"/proc/{pid}/ns/net").stat().st_ino in namespaces:
            return True
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"{VARIABLE}={mark}".encode() in environment.split(b"\0")


def members(mark: str, namespaces: set[int]) -> Iterator[tuple[int, int]]:
    """The processes of a lab, each as its number and an open handle."""
    for entry in (path.name for path in Path("/proc").iterdir()):
        if not entry.isdigit() or int(entry) == os.getpid() or not _belongs(entry, mark, namespaces):
            continue
        try:
            handle = os.pidfd_open(int(entry))
        except OSError:
            continue
        # Looked at again through the handle's eyes: between the two looks the number may have found a new bearer.
        if _belongs(entry, mark, namespaces):
            yield int(entry), handle
        os.close(handle)


def end(directory: Path, mark: str, namespaces: set[int]) -> None:
    """Kill every process of the lab, then remove its directory."""
    own = Path("/proc/self/ns/net").stat().st_ino
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        found = False
        for pid, handle in members(mark, namespaces - {own}):
            found = True
            # Some programs overwrite their environment; their namespace gives them away as long as one that did not
            # shares it.
            with contextlib.suppress(OSError):
                namespaces.add(Path(f"/proc/{pid}/ns/net").stat().st_ino)
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        if not found:
            break
        time.sleep(0.005)
    shutil.rmtree(directory, ignore_errors=True)


def clean_up_after_the_dead() -> list[str]:
    """End every lab whose owner died and whose keeper did too; the names of those labs."""
    ended = []
    for directory in sorted(RUN.glob("*/")):
        if any(is_running(directory / who) for who in ("owner", "keeper")):
            continue
        with contextlib.suppress(OSError):
            end(directory, (directory / "mark").read_text(), set())
            ended.append(directory.name)
    return ended


class _OverError(Exception):
    """Somebody asked the keeper to end the lab."""


def _over(_number: int, _frame: object) -> None:
    raise _OverError


def main() -> None:
    """Hold the lab's namespaces open, so that their numbers stay theirs, until it is over; then end the lab."""
    directory, mark = Path(sys.argv[1]), sys.argv[2]
    held: set[int] = set()
    signal.signal(signal.SIGTERM, _over)
    with contextlib.suppress(_OverError):
        for line in sys.stdin:
            word, _, rest = line.strip().partition(" ")
            if word == "hold":
                with contextlib.suppress(OSError):
                    held.add(os.open(rest, os.O_RDONLY))
            elif word == "keep":
                while True:
                    signal.pause()
    end(directory, mark, {os.fstat(namespace).st_ino for namespace in held})


if __name__ == "__main__":
    main()
