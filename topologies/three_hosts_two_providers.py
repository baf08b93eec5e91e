# SPDX-License-Identifier: Apache-2.0
r"""Three hosts on one underlay and two provider networks, two guests on each, a machine on each provider network.

    vm1  vm2     vm3  vm4     vm5  vm6
      \  /         \  /         \  /
     [ h1 ]       [ h2 ]       [ h3 ]
     ||  | \      ||  | \      ||  | \
    =##==|==\=====##==|==\=====##==|==\=== underlay
         |   +--------|---+--------|---+--- physnet1 --- edge1 198.51.100.1
         +------------+------------+------- physnet2 --- edge2 203.0.113.1
"""

from topologies import by_hand
from topologies.lab import Lab


def build() -> Lab:
    lab = Lab(hosts=3, providers=("physnet1", "physnet2"))
    for number in range(6):
        lab.guest(f"vm{number + 1}", lab.hosts[number // 2])
    lab.outside("edge1", "physnet1", addresses=("198.51.100.1/24",))
    lab.outside("edge2", "physnet2", addresses=("203.0.113.1/24",))
    return lab


if __name__ == "__main__":
    by_hand.main(build, __doc__)
