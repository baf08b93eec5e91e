# SPDX-License-Identifier: Apache-2.0
"""Two tenants with the same addresses, and a network they share: what the demo shows and many tests begin with.

         red 10.0.0.0/24        blue 10.0.0.0/24       shared 192.168.7.0/24
         2001:db8:1::/64        2001:db8:2::/64        2001:db8:7::/64
         VXLAN                  VLAN on physnet1       flat on physnet1
h1       red1 red2              blue1 blue2            shared1 (red's) shared2 (blue's)
h2       red3                   blue3                  shared3 (blue's)

Guests are in a stateless security group `open` of their project, which lets everybody in. If asked for, they are in
their project's default group instead, as usual, which lets its members in; and on the shared network, where the two
tenants would not reach each other by those, in an `open` one that is stateful.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from topologies.controller import Api, Controller, Json
from topologies.guest import Vm
from topologies.lab import Lab

PROVIDER: Final = "physnet1"
VLANS: Final = ("--network-vlan-ranges", f"{PROVIDER}:100:199")
"""Options of the controller that these networks need."""
NAMES: Final = ("red", "blue", "shared")
NUMBERS: Final = {"red": 1, "blue": 2, "shared": 7}


def lab() -> Lab:
    """Two hosts with an underlay and a provider network."""
    return Lab(hosts=2, providers=(PROVIDER,))


@dataclass
class Tenants:
    """What was made, as the API showed it, and the guests on it."""

    controller: Controller
    projects: dict[str, Api] = field(default_factory=dict)
    """The API as a member of `red` and of `blue` sees it."""
    project_ids: dict[str, str] = field(default_factory=dict)
    open_groups: dict[str, Json] = field(default_factory=dict)
    """By project: the security group that lets everybody in."""
    networks: dict[str, Json] = field(default_factory=dict)
    ports: dict[str, Json] = field(default_factory=dict)
    """By the guest's name."""
    guests: dict[str, list[Vm]] = field(default_factory=dict)
    """By network."""

    @property
    def all(self) -> list[Vm]:
        return [guest for guests in self.guests.values() for guest in guests]

    def network_of(self, guest: Vm) -> str:
        return next(name for name, guests in self.guests.items() if guest in guests)

    def take_leases(self) -> None:
        """Every guest runs dhclient, and sets its IPv6 address by hand."""
        for guest in self.all:
            lease = guest.dhclient()
            six = address_of(self.ports[guest.name], 6)
            guest.configure(f"{lease.address}/{lease.prefix_length}", f"{six}/64", mtu=lease.mtu)


def address_of(port: Json, version: int) -> str:
    """The port's address of that IP version."""
    return str(next(one["ip_address"] for one in port["fixed_ips"] if (":" in one["ip_address"]) == (version == 6)))


def build(
    controller: Controller, say: Callable[[str], None] = lambda _line: None, *, default_groups: bool = False
) -> Tenants:
    """Networks by REST, guests plugged as libvirt does; all ports ACTIVE.

    A stateful group, such as a default one, holds back what is no whole packet, for example a fragment that no other
    follows; without `default_groups` such things are counted where they arrive.
    """
    made = Tenants(controller)
    for name in ("red", "blue"):
        project = controller.create("project", name=name)
        made.projects[name] = controller.project(project["id"])
        made.project_ids[name] = project["id"]
        made.open_groups[name] = open_group(made.projects[name], stateful=default_groups)
    say("red makes itself a network; the administrator makes one with a VLAN for blue, and a flat one for everybody")
    made.networks["red"] = made.projects["red"].create("network", name="red")
    provider = {"provider:physical_network": PROVIDER}
    made.networks["blue"] = controller.create(
        "network", name="blue", project_id=made.project_ids["blue"], **provider, **{"provider:network_type": "vlan"}
    )
    made.networks["shared"] = controller.create(
        "network", name="shared", shared=True, **provider, **{"provider:network_type": "flat"}
    )
    for name, network in made.networks.items():
        number = NUMBERS[name]
        for version, cidr in (
            (4, "192.168.7.0/24" if name == "shared" else "10.0.0.0/24"),
            (6, f"2001:db8:{number}::/64"),
        ):
            controller.create(
                "subnet",
                network_id=network["id"],
                project_id=network["project_id"],
                ip_version=version,
                cidr=cidr,
                dns_nameservers=["192.0.2.53"] if version == 4 else [],
            )
    h1, h2 = controller.lab.hosts
    for name in NAMES:
        made.guests[name] = []
        for number, host in ((1, h1), (2, h1), (3, h2)):
            owner = name if name != "shared" else ("red" if number == 1 else "blue")
            wish: Json = {"network_id": made.networks[name]["id"], "name": f"{name}{number}"}
            if name != "shared":
                subnet = next(iter(_subnets(controller, made.networks[name], 4)))
                six = next(iter(_subnets(controller, made.networks[name], 6)))
                wish["fixed_ips"] = [
                    {"subnet_id": subnet["id"], "ip_address": f"10.0.0.{10 + number}"},
                    {"subnet_id": six["id"]},
                ]
            if name == "shared" or not default_groups:
                wish["security_groups"] = [made.open_groups[owner]["id"]]
            port = made.projects[owner].create("port", **wish)
            made.ports[port["name"]] = port
            guest = controller.lab.guest(port["name"], host, mac=port["mac_address"], iface_id=port["id"])
            guest.plug()
            made.guests[name].append(guest)
    controller.until_active(*made.ports.values())
    return made


def open_group(api: Api, *, stateful: bool) -> Json:
    """A new security group of the project that lets everybody in; everything is let out anyway."""
    group = api.create("security_group", name="open", stateful=stateful)
    for ethertype in ("IPv4", "IPv6"):
        api.create("security_group_rule", security_group_id=group["id"], direction="ingress", ethertype=ethertype)
    return group


def _subnets(api: Api, network: Json, version: int) -> list[Json]:
    return api.list("subnet", f"?network_id={network['id']}&ip_version={version}")
