# SPDX-License-Identifier: Apache-2.0
"""What security groups cost a host in flows, and what a change of them sends.

    python -m bench.groups [MEMBERS ...]

One network on two hosts, every port with an IPv4 and an IPv6 address and the group that a project begins with: all out,
members in. Half of the members are here. Figures per host; times are processor time of the change itself, from the
model's change to the messages.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import replace

from sdnctl import runtime

runtime.install()

from netaddr import EUI, IPAddress  # noqa: E402  (only after the hub)

from sdnctl.model.host import Host, HostFacts, Interface  # noqa: E402
from sdnctl.model.ids import GroupKey, HostKey, NetworkKey, Ofport, PortKey  # noqa: E402
from sdnctl.model.network import Network, NetworkType  # noqa: E402
from sdnctl.model.port import FixedIP, Port  # noqa: E402
from sdnctl.model.security import Direction, SecurityGroup, SecurityRule  # noqa: E402
from sdnctl.sync.compile import compile_view  # noqa: E402
from sdnctl.sync.tables import Tables  # noqa: E402
from sdnctl.sync.units import UnitKind  # noqa: E402
from sdnctl.sync.world import World  # noqa: E402

HERE = "here"
GROUP = "default"


def rule(direction: Direction, version: int, protocol: int | None = None, port: int | None = None) -> SecurityRule:
    name = f"{direction}{version}-{protocol}-{port}"
    remote = GROUP if direction is Direction.INGRESS else None
    return SecurityRule(
        id=name,
        direction=direction,
        version=version,
        protocol=protocol,
        port_min=port,
        port_max=port,
        remote_group_id=remote,
    )


RULES = tuple(rule(direction, version) for direction in Direction for version in (4, 6))


def port(number: int) -> Port:
    addresses = (IPAddress(0x0A000000 + number), IPAddress((0x20010DB8 << 96) + number))
    return Port(
        id=f"port{number}",
        key=PortKey(number),
        network_id="network",
        project_id="project",
        name="",
        mac=EUI(0xFA163E000000 + number),
        fixed_ips=tuple(FixedIP("subnet", one) for one in addresses),
        security_groups=(GROUP,),
    )


class Bench:
    """A world with `members` ports, half of them here, and the tables of the host `here`."""

    def __init__(self, members: int) -> None:
        self.world, self.tables = World(), Tables()
        self.world.put_group(SecurityGroup(id=GROUP, key=GroupKey(1), project_id="project", name=GROUP, rules=RULES))
        self.world.put_network(
            Network(
                id="network",
                key=NetworkKey(1),
                project_id="project",
                name="",
                type=NetworkType.VXLAN,
                physical_network=None,
                segmentation_id=5000,
                mtu=1450,
            )
        )
        for number, name in enumerate((HERE, "there"), 1):
            self.world.put_host(
                Host(id=name, key=HostKey(number), name=name, ovsdb="", tunnel_ip=IPAddress(f"192.0.2.{number}"))
            )
        for number in range(1, members + 1):
            self.world.put_port(port(number))
        self.facts = {
            name: HostFacts(
                datapath_id=1,
                serial="serial",
                interfaces=self.interfaces(which, members),
                tunnel_ofport=Ofport(60000),
                patch_ofports={},
            )
            for which, name in enumerate((HERE, "there"))
        }
        for name, facts in self.facts.items():
            self.world.set_facts(name, facts)

    @staticmethod
    def interfaces(which: int, members: int) -> dict[str, Interface]:
        numbers = range(1 + which, members + 1, 2)
        return {f"tap{one}": Interface(f"tap{one}", Ofport(one), f"port{one}", None) for one in numbers}

    def send(self) -> tuple[int, float]:
        """Messages that what is dirty makes, and the processor time they take."""
        started = time.process_time()
        units = self.world.take_dirty(HERE)
        changes = {unit: compile_view(self.world.view(HERE, unit)) for unit in units}
        delta = self.tables.update(changes)
        seconds = time.process_time() - started
        self.tables.confirmed(changes)
        return len(delta.put) + len(delta.remove), seconds

    def plug(self, host: str, number: int) -> None:
        self.world.put_port(port(number))
        facts = self.facts[host]
        interface = Interface(f"tap{number}", Ofport(number), f"port{number}", None)
        self.facts[host] = replace(facts, interfaces={**facts.interfaces, interface.name: interface})
        self.world.set_facts(host, self.facts[host])

    def flows_of_kind(self) -> Counter[UnitKind]:
        count: Counter[UnitKind] = Counter()
        for unit, compiled in self.tables.units.items():
            count[unit.kind] += len(compiled.flows)
        return count


def main(sizes: list[int]) -> None:
    print("members  flows  per local port  rules  per member   add here  add there  add rule   ms of each")
    for members in sizes:
        bench = Bench(members)
        bench.send()
        kinds = bench.flows_of_kind()
        here = (members + 1) // 2
        changes = []
        bench.plug(HERE, members + 1)
        changes.append(bench.send())
        bench.plug("there", members + 2)
        changes.append(bench.send())
        more = (*RULES, rule(Direction.INGRESS, 4, 6, 443))
        bench.world.put_group(SecurityGroup(id=GROUP, key=GroupKey(1), project_id="project", name=GROUP, rules=more))
        changes.append(bench.send())
        counts = "  ".join(f"{count:9}" for count, _ in changes)
        times = " ".join(f"{seconds * 1000:.2f}" for _, seconds in changes)
        print(
            f"{members:7}  {sum(kinds.values()):5}  {kinds[UnitKind.PORT] / here:14.1f}  {kinds[UnitKind.GROUP]:5}"
            f"  {kinds[UnitKind.MEMBER] / members:10.1f}  {counts}   {times}"
        )


if __name__ == "__main__":
    main([int(one) for one in sys.argv[1:]] or [10, 100, 1000, 5000])
