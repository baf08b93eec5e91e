# SPDX-License-Identifier: Apache-2.0
"""Networks to try things on: emulated hosts with a real Open vSwitch each, what joins them, and guests.

python -m topologies.two_hosts        by hand
from topologies import Lab            in tests
"""

from topologies.dhcp import Lease
from topologies.guest import Guest, Probe, Report, Verdict, Vm
from topologies.host import Host
from topologies.lab import Lab
from topologies.machine import LabError, Machine, Sniffer

__all__ = ["Guest", "Host", "Lab", "LabError", "Lease", "Machine", "Probe", "Report", "Sniffer", "Verdict", "Vm"]
