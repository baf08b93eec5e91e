# SPDX-License-Identifier: Apache-2.0
"""keepalived in a guest: a virtual router of VRRP, version 3, which sends ten advertisements in a second.

Debian's package, in the guest's namespaces. What it notices of another one's end is the silence; what tells the network
is a gratuitous ARP for each address, or an unsolicited advertisement.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Final

from topologies.guest import Guest

INTERVAL_S: Final = 0.1

CONFIG: Final = """
global_defs {{
    router_id {name}
    vrrp_version 3
}}
vrrp_instance failover {{
    state BACKUP
    interface eth0
    virtual_router_id {number}
    priority {priority}
    advert_int {interval}
    {nopreempt}
    {unicast}
    virtual_ipaddress {{
        {addresses}
    }}
}}
"""


class Keepalived:
    """One router of a virtual router; it runs from `start` to `stop` or `kill`."""

    def __init__(
        self,
        guest: Guest,
        *addresses: str,
        number: int = 51,
        priority: int = 100,
        preempt: bool = True,
        peers: tuple[str, ...] = (),
    ) -> None:
        """Addresses with prefix length, all of one IP version; of IPv6 the first must be link-local.

        With `peers` it advertises to those addresses alone, instead of to the multicast group.
        """
        self.guest = guest
        self._directory = guest.directory / f"keepalived{number}"
        self._directory.mkdir(exist_ok=True)
        self._config.write_text(
            CONFIG.format(
                name=guest.name,
                number=number,
                priority=priority,
                interval=INTERVAL_S,
                nopreempt="" if preempt else "nopreempt",
                unicast=f"unicast_peer {{ {' '.join(peers)} }}" if peers else "",
                addresses="\n        ".join(addresses),
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def _config(self) -> Path:
        return self._directory / "keepalived.conf"

    @property
    def log(self) -> str:
        """What it has said."""
        return (self.guest.directory / "keepalived.log").read_text()

    def start(self) -> None:
        files = {name: str(self._directory / name) for name in ("pid", "vrrp.pid")}
        self._process = self.guest.start(
            *("keepalived", "--dont-fork", "--log-console", "--log-detail", "--vrrp"),
            *("--use-file", str(self._config), "--pid", files["pid"], "--vrrp_pid", files["vrrp.pid"]),
            log="keepalived.log",
        )

    def stop(self) -> None:
        """Let it say goodbye: it gives up its addresses and tells the others so."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """It has no time for anything: what it configured stays, and nobody hears of it any more."""
        # The child first: it would say goodbye when its parent dies.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
            os.kill(int((self._directory / "vrrp.pid").read_text()), signal.SIGKILL)
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None
        for name in ("pid", "vrrp.pid"):
            (self._directory / name).unlink(missing_ok=True)

    def has(self, address: str) -> bool:
        """Whether it has configured the address."""
        return address in self.guest.run("ip", "-o", "addr", "show", "dev", "eth0")
