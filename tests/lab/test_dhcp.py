# SPDX-License-Identifier: Apache-2.0
"""The DHCP clients configure their guest and nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.lab.conftest import Plain
from topologies import LabError

pytestmark = pytest.mark.net

SERVER = Path(__file__).with_name("dhcp_server.py")


@pytest.mark.parametrize("client", ("dhclient", "udhcpc", "dhcpcd"))
def test_a_client_takes_renews_and_releases_a_lease(plain: Plain, client: str) -> None:
    server, guest = plain.vm1, plain.vm3
    server.configure("10.9.0.1/24")
    guest.configure()
    server.start(sys.executable, str(SERVER), "10.9.0.1", "10.9.0.5", log="server.log")

    lease = getattr(guest, client)()

    assert (lease.address, lease.prefix_length, lease.gateway, lease.mtu) == ("10.9.0.5", 24, "10.9.0.1", 1450)
    assert "nameserver 192.0.2.53" in lease.resolv_conf
    assert "given-name" in lease.options.values()
    if client != "udhcpc":  # whose script leaves option 121 aside
        assert lease.routes == (("198.51.100.0/24", "10.9.0.9"),)
    assert guest.ipv4 == "10.9.0.5"
    assert guest.reaches(server)
    log = server.directory / "server.log"
    asked = log.read_text().count("got 3")
    guest.renew()
    while log.read_text().count("got 3") == asked:
        pass
    guest.stop_dhcp(release=True)
    while "got 7" not in log.read_text():
        pass
    assert guest.ipv4 == ""


def test_no_lease_is_said(plain: Plain) -> None:
    with pytest.raises(LabError, match="udhcpc got no lease"):
        plain.vm1.udhcpc(timeout_s=1)
