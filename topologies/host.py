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

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sdnctl.model.host_script import SETTINGS
from topologies._mininet import HypervisorNode
from topologies.machine import LabError, Machine, Sniffer
from topologies.openvswitch import OpenVswitch

UNDERLAY_BRIDGE: Final = "br-phys"
UNDERLAY_CARD: Final = "eth1"
MANAGEMENT_CARD: Final = "eth0"


def _settings(device: str) -> str:
    """What `sdnctl host check` asks for."""
    return " ".join(f'"{one.of(device)}"' for one in SETTINGS)


class Host(OpenVswitch):
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
        self.bridge_mappings = {network: f"br-{network}" for network in cards}
        """Provider bridge by physical network, as `sdnctl host add --bridge-mapping` wants it."""
        self._cards = cards
        self._ports_of_wire = ports_of_wire

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
        sysctl -qw {_settings("default")}
        for card in {UNDERLAY_CARD} {" ".join(self._cards.values())}; do
            sysctl -qw {_settings("$card")}
            ip link set $card up
        done
        ip link set lo up
        {self.daemons_script()}
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

    def cable(self, network: str = "underlay") -> tuple[Machine, str]:
        """The other end of this host's cable to the underlay or to a provider network: what is sent there comes in."""
        return self._ports_of_wire[network]

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
