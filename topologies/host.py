# SPDX-License-Identifier: Apache-2.0
"""A hypervisor: a namespace with its own Open vSwitch, attached to the underlay and to provider networks.

The datapath is the userspace one, so no kernel module is needed.

What an operator would have set up before sdnctl comes, and nothing else:

* ovsdb-server and ovs-vswitchd with private run directory, sockets and database;
* `br-phys` with the underlay's network card and the tunnel address on its local port: that is where Open vSwitch's own
  tunnels look for their way (route, neighbour, source address);
* a bridge per provider network with a card each;
* kernel settings without which guests would talk to the hypervisor: the userspace datapath gets copies of frames, so
  the kernel sees them as well, and answers for every address it has unless told not to.

The integration bridge is sdnctl's to make.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from topologies._mininet import HypervisorNode
from topologies.machine import LabError, Machine, Sniffer

UNDERLAY_BRIDGE: Final = "br-phys"
UNDERLAY_CARD: Final = "eth1"
MANAGEMENT_CARD: Final = "eth0"
SCHEMA: Final = "/usr/share/openvswitch/vswitch.ovsschema"


class Host(Machine):
    """An emulated hypervisor."""

    datapath_type = "netdev"

    def __init__(
        self,
        node: HypervisorNode,
        directory: Path,
        env: Mapping[str, str],
        *,
        tunnel_ip: str,
        management_ip: str,
        cards: Mapping[str, str],
        ports_of_wire: Mapping[str, tuple[Machine, str]],
    ) -> None:
        run = str(directory)
        super().__init__(
            node, directory, {**env, "OVS_RUNDIR": run, "OVS_LOGDIR": run, "OVS_DBDIR": run, "OVS_SYSCONFDIR": run}
        )
        self.tunnel_ip = tunnel_ip
        self.management_ip = management_ip
        """Empty unless the lab has a management network."""
        self.ovsdb = f"unix:{directory}/db.sock"
        """The OVSDB remote, as `sdnctl host add --ovsdb` wants it; reachable from every namespace of this machine."""
        self.bridge_mappings = {network: f"br-{network}" for network in cards}
        """Provider bridge by physical network, as `sdnctl host add --bridge-mapping` wants it."""
        self._cards = cards
        self._ports_of_wire = ports_of_wire

    # ------------------------------------------------------------------------------------------------------- daemons

    def starting_script(self) -> str:
        """Shell lines that bring everything up; run in here once."""
        bridges = f"""
            -- add-br {UNDERLAY_BRIDGE} -- set bridge {UNDERLAY_BRIDGE} datapath_type=netdev
            -- add-port {UNDERLAY_BRIDGE} {UNDERLAY_CARD}"""
        for network, bridge in self.bridge_mappings.items():
            bridges += f"""
            -- add-br {bridge} -- set bridge {bridge} datapath_type=netdev
            -- add-port {bridge} {self._cards[network]}"""
        lines = f"""
        sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 \
            net.ipv4.conf.default.arp_ignore=8 net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.default.rp_filter=1 \
            net.ipv4.ip_forward=0
        for card in {UNDERLAY_CARD} {" ".join(self._cards.values())}; do
            sysctl -qw net.ipv4.conf.$card.arp_ignore=8 net.ipv4.conf.$card.rp_filter=1
            ip link set $card up
        done
        ip link set lo up
        ovsdb-tool create conf.db {SCHEMA}
        {self.ovsdb_server_line()}
        {self.vswitchd_line()}
        ovs-vsctl --no-wait init -- set Open_vSwitch . external_ids:hostname={self.name}
        ovs-vsctl {" ".join(bridges.split())}
        sysctl -qw net.ipv4.conf.{UNDERLAY_BRIDGE}.arp_ignore=0
        ip addr add {self.tunnel_ip}/24 dev {UNDERLAY_BRIDGE}
        ip link set {UNDERLAY_BRIDGE} up
        """
        if self.management_ip:
            lines += f"sysctl -qw net.ipv4.conf.{MANAGEMENT_CARD}.arp_ignore=0\n"
            lines += f"ip addr add {self.management_ip}/24 dev {MANAGEMENT_CARD}; ip link set {MANAGEMENT_CARD} up\n"
        return f"cd {self.directory}\n{lines}"

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
        return f"ovs-vswitchd unix:{run}/db.sock --disable-system --unixctl={run}/ovs-vswitchd.ctl" + self._daemon(
            "ovs-vswitchd"
        )

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
        signal.pidfd_send_signal(handle, number)
        self.run("sh", "-c", f"while kill -0 {pid} 2>/dev/null; do sleep 0.005; done")
        os.close(handle)

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

    def listen(self, kind: str = "tcp") -> str:
        """Let the database listen on the management network; the remote, `tcp:IP:6640` or `ssl:IP:6640`.

        For `ssl`, `ovs-vsctl set-ssl` has to have been done.
        """
        if not self.management_ip:
            raise LabError("this lab has no management network: Lab(management=True)")
        self.vsctl("set-manager", f"p{kind}:6640:{self.management_ip}")
        return f"{kind}:{self.management_ip}:6640"

    def tunnel_neighbours(self) -> dict[str, str]:
        """MAC by tunnel address of the hosts whose address Open vSwitch has resolved.

        The first frame to any other starts the resolving and is lost.
        """
        lines = self.appctl("tnl/neigh/show").splitlines()
        return {line.split()[0]: line.split()[1] for line in lines if line[:1].isdigit()}

    # ---------------------------------------------------------------------------------------------------------- wire

    def sent_on(self, network: str = "underlay") -> Sniffer:
        """Capture what this host puts on the underlay or on a provider network."""
        machine, port = self._ports_of_wire[network]
        return machine.sniff(port)

    def cut(self, network: str = "underlay") -> None:
        """Pull this host's cable to the underlay or to a provider network."""
        machine, port = self._ports_of_wire[network]
        machine.run("ip", "link", "set", port, "down")

    def mend(self, network: str = "underlay") -> None:
        """Plug it in again."""
        machine, port = self._ports_of_wire[network]
        machine.run("ip", "link", "set", port, "up")
