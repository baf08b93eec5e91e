# SPDX-License-Identifier: Apache-2.0
"""Real hosts, a real `sdnctl serve`, and guests on its networks, in the middle of which every test here begins.

`tenants` is made once for all tests: they may add networks and guests of their own to it, and leave what they found
there as it was. Whoever breaks things makes a lab for itself.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.net.support import Ears
from topologies import tenants as two_tenants
from topologies.controller import Controller
from topologies.tenants import Tenants, address_of


@pytest.fixture(scope="session")
def tenants() -> Iterator[Tenants]:
    """Nine guests on three networks and two hosts, with addresses and MTU as the API gave them."""
    with two_tenants.lab() as lab, Controller(lab, *two_tenants.VLANS, auth="token") as controller:
        controller.add_hosts()
        made = two_tenants.build(controller)
        for guest in made.all:
            port, network = made.ports[guest.name], made.networks[made.network_of(guest)]
            guest.configure(f"{address_of(port, 4)}/24", f"{address_of(port, 6)}/64", mtu=network["mtu"])
        yield made


@pytest.fixture(scope="module")
def ears(tenants: Tenants) -> Iterator[Ears]:
    """A sniffer at every guest of `tenants`."""
    with Ears(tenants.all) as ears:
        yield ears
