# SPDX-License-Identifier: Apache-2.0
"""One connection to a daemon of Open vSwitch that stays open: what ovs-appctl does, without a process for each command.

A trace takes a fraction of a millisecond so; by ovs-appctl it takes some ten.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Self


class Unixctl:
    """JSON-RPC over the socket that `--unixctl` names."""

    def __init__(self, path: Path | str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(str(path))
        self._received = ""
        self._decoder = json.JSONDecoder()
        self._sent = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def call(self, method: str, *arguments: str) -> str:
        """What the daemon answers; AssertionError with its words if it refuses."""
        self._sent += 1
        request = {"id": self._sent, "method": method, "params": arguments}
        self._socket.sendall(json.dumps(request).encode())
        answer = self._answer()
        assert answer["id"] == self._sent, answer
        if answer["error"] is not None:
            raise AssertionError(f"{method} {' '.join(arguments)}: {answer['error']}")
        return str(answer["result"])

    def _answer(self) -> dict[str, object]:
        while True:
            try:
                answer, end = self._decoder.raw_decode(self._received)
            except json.JSONDecodeError:
                more = self._socket.recv(1 << 18)
                if not more:
                    raise ConnectionError("the daemon closed the connection") from None
                self._received += more.decode()
            else:
                self._received = self._received[end:].lstrip()
                return dict(answer)
