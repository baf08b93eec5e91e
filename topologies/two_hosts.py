# SPDX-License-Identifier: Apache-2.0
r"""Two hosts with an underlay between them and one provider network, two guests on each.

vm1  vm2                vm3  vm4
  \  /                    \  /
 [ h1 ]=== underlay ===[ h2 ]
    \                    /
     `---- physnet1 ----'
"""

from topologies import by_hand
from topologies.lab import Lab


def build() -> Lab:
    lab = Lab(hosts=2, providers=("physnet1",))
    h1, h2 = lab.hosts
    for name, host in (("vm1", h1), ("vm2", h1), ("vm3", h2), ("vm4", h2)):
        lab.guest(name, host)
    return lab


if __name__ == "__main__":
    by_hand.main(build, __doc__)
