# SPDX-License-Identifier: Apache-2.0
"""Starting a topology by hand: bring it up, say how to look around, give Mininet's command line or wait for Ctrl-C."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from collections.abc import Callable

from topologies._mininet import CLI
from topologies.guest import Vm
from topologies.lab import Lab
from topologies.machine import LabError

NEEDED = ("mnexec", "ovs-vswitchd", "ovsdb-server", "ip", "ethtool")


def main(build: Callable[[], Lab], about: str) -> None:
    """`build` a lab, show it, and end it when its user is done."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plain", action="store_true", help="plug the guests into switches that flood and learn")
    parser.add_argument("--keep", action="store_true", help="leave it up; `python -m topologies.down` ends it")
    options = parser.parse_args()
    missing = [program for program in NEEDED if not shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")]
    if missing:
        parser.error(f"{', '.join(missing)} not found; scripts/prepare.sh installs what is needed")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with build() as lab:
            if options.plain:
                plug_into_plain_switches(lab)
            show(lab)
            if options.keep:
                lab.keep()
            elif sys.stdin.isatty():
                CLI(lab.net)
            else:
                print("Ctrl-C or SIGTERM ends it.", flush=True)
                signal.pause()
    except LabError as problem:
        sys.exit(f"{problem}")
    except KeyboardInterrupt:
        print()


def plug_into_plain_switches(lab: Lab) -> None:
    """One network over all hosts, every guest on it."""
    lab.use_plain_switches()
    for number, guest in enumerate((guest for guest in lab.guests.values() if isinstance(guest, Vm)), start=1):
        guest.plug()
        guest.configure(f"10.0.0.{number}/24", f"2001:db8::{number:x}/64", mtu=1450)


def show(lab: Lab) -> None:
    """How to look around, and what to tell sdnctl of each host."""
    door = lab.write_door()
    print(f"Lab {lab.name}, everything of it is in {lab.directory}\n")
    for host in lab.hosts:
        mappings = "".join(f" --bridge-mapping {network}:{bridge}" for network, bridge in host.bridge_mappings.items())
        print(f"  sdnctl host add {host.name} --ovsdb {host.ovsdb} --datapath-type {host.datapath_type} \\")
        print(f"      --tunnel-ip {host.tunnel_ip}{mappings}")
    print()
    for guest in lab.guests.values():
        where = f"{guest.host.name}, device {guest.device}" if isinstance(guest, Vm) else "provider network"
        print(f"  {guest.name:8} {guest.mac}  {' '.join(guest.configured) or 'no address'}  on {where}")
    print(f"""
  {door} h1 ovs-vsctl show
  {door} h1 ovs-ofctl -O OpenFlow14 dump-flows unix:{lab.directory}/h1/br-int.mgmt
  {door} vm1 ping 10.0.0.2
  {door} vm1                       a shell in there
""")
