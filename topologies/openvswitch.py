# SPDX-License-Identifier: Apache-2.0
"""A machine with an Open vSwitch of its own: private run directory, sockets and database, userspace datapath.

No kernel module is needed, no service of the machine's, and the daemons are found and ended by the number in their pid
files only after a look at whose namespace they are in.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from topologies._mininet import PlainNode
from topologies.keeper import start_time
from topologies.machine import LabError, Machine

SCHEMA: Final = "/usr/share/openvswitch/vswitch.ovsschema"


class OpenVswitch(Machine):
    """ovsdb-server and ovs-vswitchd, and the tools that talk to them."""

    def __init__(self, node: PlainNode, directory: Path, env: Mapping[str, str]) -> None:
        places = ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")
        super().__init__(node, directory, {**env, **dict.fromkeys(places, str(directory))})
        self.ovsdb = f"unix:{directory}/db.sock"
        """The OVSDB remote, as `sdnctl host add --ovsdb` wants it; reachable from every namespace of this machine."""

    def daemons_script(self) -> str:
        """Shell lines that make the database and start both daemons."""
        create = f"ovsdb-tool create {self.directory}/conf.db {SCHEMA}"
        return f"{create}\n{self.ovsdb_server_line()}\n{self.vswitchd_line()}\n"

    def ovsdb_server_line(self) -> str:
        run = self.directory
        return (
            f"ovsdb-server {run}/conf.db --remote=punix:{run}/db.sock"
            " --remote=db:Open_vSwitch,Open_vSwitch,manager_options"
            " --private-key=db:Open_vSwitch,SSL,private_key --certificate=db:Open_vSwitch,SSL,certificate"
            f" --ca-cert=db:Open_vSwitch,SSL,ca_cert --unixctl={run}/ovsdb-server.ctl" + self._daemon("ovsdb-server")
        )

    def vswitchd_line(self) -> str:
        run = self.directory
        line = f"ovs-vswitchd unix:{run}/db.sock --disable-system --unixctl={run}/ovs-vswitchd.ctl"
        # Where `ovs-appctl` looks for it by itself.
        link = f"ln -sf ovs-vswitchd.ctl {run}/ovs-vswitchd.$(cat {run}/ovs-vswitchd.pid).ctl"
        return f"{line}{self._daemon('ovs-vswitchd')}\n{link}"

    def _daemon(self, name: str) -> str:
        run = self.directory
        return f" --pidfile={run}/{name}.pid --log-file={run}/{name}.log -vconsole:off -vsyslog:off --detach --no-chdir"

    def pid_of(self, daemon: str) -> int:
        """The process number of `ovs-vswitchd` or `ovsdb-server`."""
        return int((self.directory / f"{daemon}.pid").read_text())

    def kill(self, daemon: str, number: signal.Signals = signal.SIGKILL) -> None:
        """End `ovs-vswitchd` or `ovsdb-server`; returns when it is gone."""
        pid = self.pid_of(daemon)
        handle = os.pidfd_open(pid)
        if not Path(f"/proc/{pid}/ns/net").samefile(f"/proc/{self.pid}/ns/net"):
            raise LabError(f"{self.name}: process {pid} is not our {daemon}")
        started = start_time(pid)
        signal.pidfd_send_signal(handle, number)
        os.close(handle)
        while start_time(pid) == started:
            time.sleep(0.005)

    def start_vswitchd(self) -> None:
        """Start ovs-vswitchd again; returns when it has its configuration from the database."""
        self.script(self.vswitchd_line())

    def start_ovsdb_server(self) -> None:
        self.script(self.ovsdb_server_line())

    # --------------------------------------------------------------------------------------------------------- tools

    def vsctl(self, *argv: str) -> str:
        """`ovs-vsctl`; waits until ovs-vswitchd has done it."""
        return self.run("ovs-vsctl", "--timeout=10", *argv).strip()

    def ofctl(self, command: str, bridge: str, *argv: str) -> str:
        """`ovs-ofctl -O OpenFlow14 COMMAND BRIDGE ...`."""
        return self.run("ovs-ofctl", "-O", "OpenFlow14", command, f"unix:{self.directory}/{bridge}.mgmt", *argv)

    def appctl(self, *argv: str) -> str:
        """`ovs-appctl` to ovs-vswitchd."""
        return self.run("ovs-appctl", "-t", str(self.directory / "ovs-vswitchd.ctl"), *argv)
