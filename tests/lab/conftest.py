# SPDX-License-Identifier: Apache-2.0
"""A lab without sdnctl: two hosts whose switches flood and learn, three guests on one network."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from topologies import Host, Lab, Vm


@dataclass(frozen=True, slots=True)
class Plain:
    lab: Lab
    h1: Host
    h2: Host
    vm1: Vm
    vm2: Vm
    """Beside vm1 on h1."""
    vm3: Vm
    """On h2."""


def machines_own() -> tuple[object, ...]:
    """What programs in guests like to change, as the machine itself has it."""
    files = [Path("/etc/resolv.conf"), Path("/etc/hosts"), Path("/etc/dhcp/dhclient.conf")]
    return socket.gethostname(), *(path.exists() and path.read_bytes() for path in files), {*Path("/run").glob("*dhc*")}


@pytest.fixture(autouse=True)
def _nothing_of_the_machine_changes() -> Iterator[None]:
    before = machines_own()
    yield
    assert machines_own() == before


@pytest.fixture
def plain() -> Iterator[Plain]:
    with Lab(hosts=2, providers=("physnet1",)) as lab:
        lab.use_plain_switches()
        h1, h2 = lab.hosts
        guests = []
        for number, host in enumerate((h1, h1, h2), start=1):
            guest = lab.guest(f"vm{number}", host, plug=True)
            guest.configure(f"10.0.0.{number}/24", f"2001:db8::{number}/64", mtu=1450)
            guests.append(guest)
        yield Plain(lab, h1, h2, *guests)
