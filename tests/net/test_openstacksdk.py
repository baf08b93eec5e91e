# SPDX-License-Identifier: Apache-2.0
"""A user with OpenStack's own client: from an empty project to a guest that pings."""

from __future__ import annotations

import openstack
import pytest

from tests.net.support import add_guest, configure, give_device
from topologies.tenants import Tenants

pytestmark = [
    pytest.mark.net,
    # The client's own business.
    pytest.mark.filterwarnings("ignore"),
]


@pytest.mark.proves("S17", "S126", "S127")
def test_from_a_network_to_a_ping(tenants: Tenants) -> None:
    controller = tenants.controller
    cloud = openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        auth_type="admin_token",
        auth={"endpoint": controller.url, "token": controller.admin_token_file.read_text().strip()},
        region_name="one",
    )
    network = cloud.network.create_network(name="sdk")
    cloud.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.16.0.0/24")
    port = cloud.network.create_port(network_id=network.id, name="sdk1")
    reply = cloud.network.put(f"/ports/{port.id}/plug?wait=applied", json={"plug": {"host": "h1", "type": "internal"}})
    assert reply.status_code == 200
    port = cloud.network.get_port(port.id)
    assert (port.status, port.is_port_security_enabled) == ("ACTIVE", True)

    shown = controller.show("port", port.id)
    guest = controller.lab.guest("sdk1", controller.lab.hosts[0], mac=port.mac_address, iface_id=port.id)
    give_device(guest, shown["plug"]["interface"])
    configure(guest, shown, {"mtu": network.mtu})
    other = add_guest(controller, "sdk2", controller.lab.hosts[1], {"id": network.id, "mtu": network.mtu})
    assert guest.ipv4 == port.fixed_ips[0]["ip_address"]
    assert guest.pings(other) == 3
    assert guest.udhcpc().address == guest.ipv4

    other.unplug()
    for one in cloud.network.ports(network_id=network.id):
        if one.device_owner != "network:dhcp":
            cloud.network.delete_port(one)
    cloud.network.delete_network(network)
    assert cloud.network.find_network("sdk") is None
    cloud.close()
