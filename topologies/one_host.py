# SPDX-License-Identifier: Apache-2.0
r"""One host, one provider network, three guests.

vm1  vm2  vm3
  \   |   /
   [ h1 ]------- physnet1
"""

from topologies import by_hand
from topologies.lab import Lab


def build() -> Lab:
    lab = Lab(hosts=1, providers=("physnet1",))
    (h1,) = lab.hosts
    for name in ("vm1", "vm2", "vm3"):
        lab.guest(name, h1)
    return lab


if __name__ == "__main__":
    by_hand.main(build, __doc__)
