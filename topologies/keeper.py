# SPDX-License-Identifier: Apache-2.0
"""Nothing of a lab outlives its owner: the keeper is a process of its own that ends all of it.

    python keeper.py DIRECTORY MARK        started by the lab, listens on standard input, says "held" on standard output

A lab is a directory under /run/sdnctl-lab and processes. Every process carries the lab's mark in its environment
(`SDNCTL_LAB=<mark>`, inherited by whatever it starts) or lives in one of the lab's network namespaces; namespaces,
links and taps go with the last process in them. So to end a lab is to kill by mark and by namespace, then to remove the
directory.

The keeper does that when its standard input ends: on purpose (the lab was stopped) or because the owner died in
whatever way, kill -9 included. A lab that is to stay up without its owner (`keep`) ends by a SIGTERM to its keeper. If
somebody kills the keeper as well, the next lab that starts finds the directory of a dead owner and starts a keeper
for it again (`clean_up_after_the_dead`).

Some programs overwrite their environment, so that only their namespace gives them away, and after the death of owner
and keeper nobody holds that. The keeper therefore writes each namespace down while it has it: its inode number, by
which processes are found, and its cookie, which the kernel never gives to another.

What you may *not* do here: end a process because of its number or name alone, or because of its namespace's number
alone. Numbers are re-used and other labs run side by side; a process is looked at through a handle (pidfd) first, and
killed through the same handle; a namespace is held open, or its cookie is asked for.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

RUN = Path("/run/sdnctl-lab")
VARIABLE = "SDNCTL_LAB"
PATIENCE_S = 5.0
NAMESPACES = "namespaces"
"""The file in a lab's directory: a line `inode cookie` for each namespace."""
CLONE_NEWNET = 0x40000000
SO_NETNS_COOKIE = 71
"""Linux 5.14; Python has no name for it."""


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


def cookie_of(namespace: int) -> int | None:
    """The number that the kernel gave to this network namespace (an open file) and to no other; None before Linux 5.14.

    Asked in a child, which enters the namespace and ends there. (So only a process with one thread may call this.)
    """
    answer, question = os.pipe()
    child = os.fork()
    if not child:
        with contextlib.suppress(OSError):
            if ctypes.CDLL(None).setns(namespace, CLONE_NEWNET) == 0:
                os.write(question, socket.socket().getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8))
        os._exit(0)
    os.close(question)
    said = os.read(answer, 8)
    os.close(answer)
    os.waitpid(child, 0)
    return int.from_bytes(said, sys.byteorder) if len(said) == 8 else None


def _hold(path: str, directory: Path) -> int:
    """Open a namespace and write it down."""
    namespace = os.open(path, os.O_RDONLY)
    cookie = cookie_of(namespace)
    if cookie is not None:
        with (directory / NAMESPACES).open("a") as file:
            file.write(f"{os.fstat(namespace).st_ino} {cookie}\n")
    return namespace


def _find_again(directory: Path) -> list[int]:
    """Those of the namespaces written down in which some process still lives, open."""
    try:
        lines = (directory / NAMESPACES).read_text().splitlines()
    except OSError:
        return []
    missing = {int(inode): int(cookie) for inode, cookie in (line.split() for line in lines)}
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            namespace = os.open(entry / "ns/net", os.O_RDONLY)
        except OSError:
            continue
        inode = os.fstat(namespace).st_ino
        # Held open first, asked then: from here on the number is this namespace's.
        if inode in missing and cookie_of(namespace) == missing[inode]:
            del missing[inode]
            found.append(namespace)
        else:
            os.close(namespace)
    return found


def _belongs(pid: str, mark: str, namespaces: set[int]) -> bool:
    try:
        if Path(f"/proc/{pid}/ns/net").stat().st_ino in namespaces:
            return True
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"{VARIABLE}={mark}".encode() in environment.split(b"\0")


def members(mark: str, namespaces: set[int], what: Callable[[int, int], T]) -> Iterator[T]:
    """`what(number, handle)` of each process of a lab; the handle is open meanwhile."""
    for entry in (path.name for path in Path("/proc").iterdir()):
        if not entry.isdigit() or int(entry) == os.getpid() or not _belongs(entry, mark, namespaces):
            continue
        try:
            handle = os.pidfd_open(int(entry))
        except OSError:
            continue
        # Looked at again through the handle's eyes: between the two looks the number may have found a new bearer.
        if _belongs(entry, mark, namespaces):
            yield what(int(entry), handle)
        os.close(handle)


@dataclass(frozen=True)
class _Killed:
    pid: int
    started: str
    namespace: int
    """Its network namespace, an open file."""


def _kill(pid: int, handle: int) -> _Killed | None:
    """Kill the process; None when it had gone already."""
    started = start_time(pid)
    try:
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    except OSError:
        return None
    try:
        # It works only if the number was that process's until now, so the namespace is its own.
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        os.close(namespace)
        return None
    return _Killed(pid, started, namespace)


def end(directory: Path, mark: str, namespaces: Iterable[int] = ()) -> None:
    """Kill every process of the lab, wait for their end, then remove its directory. `namespaces` are open files.

    A namespace is known by its number, and held open meanwhile: once free, the number may be another lab's.
    """
    held = list(namespaces)
    own = Path("/proc/self/ns/net").stat().st_ino
    give_up = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up:
        numbers = {os.fstat(namespace).st_ino for namespace in held} - {own}
        found = list(members(mark, numbers, _kill))
        if not found:
            break
        for killed in filter(None, found):
            # Some programs overwrite their environment; their namespace gives them away, if one that did not shares it.
            held.append(killed.namespace)
            while start_time(killed.pid) == killed.started and time.monotonic() < give_up:
                time.sleep(0.001)
    for namespace in held:
        os.close(namespace)
    shutil.rmtree(directory, ignore_errors=True)


def start(directory: Path, mark: str, *, stdin: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    """A keeper for this lab, which ends it when `stdin` does."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, str(directory), mark],
        stdin=stdin,
        stdout=subprocess.PIPE if stdin == subprocess.PIPE else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )


def clean_up_after_the_dead() -> list[str]:
    """End every lab whose owner died and whose keeper did too; the names of those labs."""
    ended = []
    for directory in sorted(RUN.glob("*/")):
        if any(is_running(directory / who) for who in ("owner", "keeper")):
            continue
        with contextlib.suppress(OSError):
            start(directory, (directory / "mark").read_text(), stdin=subprocess.DEVNULL).wait()
            ended.append(directory.name)
    return ended


class _OverError(Exception):
    """Somebody asked the keeper to end the lab."""


def _over(_number: int, _frame: object) -> None:
    raise _OverError


def main() -> None:
    """Hold the lab's namespaces open, so that their numbers stay theirs, until it is over; then end the lab."""
    directory, mark = Path(sys.argv[1]), sys.argv[2]
    held = _find_again(directory)
    signal.signal(signal.SIGTERM, _over)
    with contextlib.suppress(_OverError):
        for line in sys.stdin:
            word, _, rest = line.strip().partition(" ")
            if word == "hold":
                with contextlib.suppress(OSError):
                    held.append(_hold(rest, directory))
                with contextlib.suppress(OSError):
                    os.write(sys.stdout.fileno(), b"held\n")
            elif word == "keep":
                while True:
                    signal.pause()
    end(directory, mark, held)


if __name__ == "__main__":
    main()
