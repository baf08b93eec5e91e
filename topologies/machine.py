# SPDX-License-Identifier: Apache-2.0
"""What hosts, guests and the wire have in common: commands and workers inside their namespaces.

Everything here waits in a way that lets the hub go on, so a controller in the same process can answer meanwhile.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from socket import socketpair
from typing import Any, Final, Self

from topologies._mininet import PlainNode

WORKER: Final = Path(__file__).with_name("worker.py")


class LabError(Exception):
    """Something of the lab itself did not work: which command, and what it said."""


class Worker:
    """A process of `worker.py` inside a machine's namespaces."""

    def __init__(self, machine: Machine, role: str, argument: str) -> None:
        ours, theirs = socketpair()
        self.what = f"{role} in {machine.name}"
        self._socket = ours
        self._lines = ours.makefile("rb")
        self.process = machine.start(
            sys.executable, "-I", "-S", str(WORKER), role, argument, stdin=theirs, stdout=theirs, log=f"{role}.log"
        )
        self._log = machine.directory / f"{role}.log"
        theirs.close()
        machine.workers.append(self)

    def ready(self) -> Worker:
        """Wait until it is."""
        self.hear()
        return self

    def tell(self, **ask: Any) -> None:
        self._socket.sendall(json.dumps(ask).encode() + b"\n")

    def hear(self) -> dict[str, Any]:
        """The next line it says."""
        try:
            line = self._lines.readline()
        except OSError:
            line = b""
        if not line:
            raise LabError(f"{self.what} ended: {self._log.read_text()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise LabError(f"{self.what}: {answer['error']}")
        return answer

    def ask(self, **question: Any) -> dict[str, Any]:
        self.tell(**question)
        return self.hear()

    def stop(self) -> None:
        """End it. Harmless when it has ended already."""
        self._lines.close()
        self._socket.close()
        self.process.kill()
        self.process.wait()


class Machine:
    """A namespace of the lab with a name, a directory for logs, and the processes in it."""

    def __init__(self, node: PlainNode, directory: Path, env: Mapping[str, str]) -> None:
        directory.mkdir()
        self.node = node
        self.name: str = node.name
        self.pid: int = node.pid
        self.directory = directory
        self.env = dict(env)
        self._sender: dict[str, Worker] = {}
        self._started: list[subprocess.Popen[bytes]] = []
        self.workers: list[Worker] = []

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def start(
        self, *argv: str, log: str, stdin: Any = subprocess.DEVNULL, stdout: Any = None
    ) -> subprocess.Popen[bytes]:
        """Start a program in here that goes on; what it says on standard error (and output) goes into `log`."""
        with (self.directory / log).open("ab") as file:
            process = subprocess.Popen(
                ["mnexec", "-a", str(self.pid), *argv],
                env=self.env,
                stdin=stdin,
                stdout=file if stdout is None else stdout,
                stderr=file,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def bury(self) -> None:
        """Let go of everything that was started in here, when all of it is dead."""
        for worker in self.workers:
            worker.stop()
        for process in self._started:
            process.wait()
        self.node.cleanup()

    def run(self, *argv: str, check: bool = True, timeout_s: float = 20, text: str | None = None) -> str:
        """Run a program in here to its end; what it printed. `text` is its standard input."""
        done = self.try_run(*argv, timeout_s=timeout_s, text=text)
        if check and done.returncode:
            said = (done.stdout + done.stderr).strip()
            raise LabError(f"{self.name}: {' '.join(argv)[:500]}: exit code {done.returncode}: {said}")
        return done.stdout

    def try_run(self, *argv: str, timeout_s: float = 20, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """The same, and its exit code is for the caller to judge."""
        return subprocess.run(
            ["mnexec", "-a", str(self.pid), *argv],
            env=self.env,
            input=text or "",
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def script(self, text: str, timeout_s: float = 20) -> str:
        """Run shell lines in here; the first that fails is the end."""
        return self.run("sh", "-euc", text, timeout_s=timeout_s)

    def inside(self, path: str) -> Path:
        """The file that programs in here see as `path`; links in it must be relative."""
        return Path(f"/proc/{self.pid}/root{path}")

    # --------------------------------------------------------------------------------------------------------- frames

    def send(self, *frames: bytes, interface: str = "eth0", count: int = 1, rate: float = 0) -> int:
        """Put frames on the wire as they are, `count` times over; how many were sent. `rate` is per second."""
        if interface not in self._sender:
            self._sender[interface] = Worker(self, "sender", interface).ready()
        answer = self._sender[interface].ask(
            do="send", frames=[frame.hex() for frame in frames], count=count, rate=rate
        )
        return int(answer["sent"])

    def forget_cards(self) -> None:
        """Its cards are others from now on: what was opened to send on the old ones is closed."""
        for sender in self._sender.values():
            sender.stop()
        self._sender.clear()

    def sniff(self, interface: str = "eth0") -> Sniffer:
        """Count and keep what comes in on `interface` from now on; use it in a `with`."""
        return Sniffer(Worker(self, "sniffer", interface).ready())


class Sniffer:
    """What came in on an interface since it began."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.missed = 0
        """How many frames the kernel dropped because the sniffer was too slow, as of the last `frames`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.stop()

    def wait_for(self, marker: str, count: int = 1, timeout_s: float = 3.0) -> int:
        """How many frames with this marker have come: as soon as there are `count`, else after `timeout_s`."""
        return int(self._worker.ask(do="wait", marker=marker, count=count, timeout_s=timeout_s)["count"])

    def count(self, marker: str) -> int:
        """How many frames with this marker have come so far."""
        return self.counts().get(marker, 0)

    def counts(self) -> dict[str, int]:
        """How many frames with each marker have come so far."""
        return {str(marker): int(count) for marker, count in self._worker.ask(do="counts")["counts"].items()}

    def frames(self, marker: str = "") -> list[bytes]:
        """The frames that have come so far, those with this marker or all of them."""
        return [frame for _, frame in self.timed(marker)]

    def timed(self, marker: str = "") -> list[tuple[float, bytes]]:
        """The same, each with the time at which the kernel took it."""
        answer = self._worker.ask(do="frames", marker=marker)
        self.missed += answer["dropped"]
        return [(float(at), bytes.fromhex(frame)) for at, frame in answer["frames"]]
