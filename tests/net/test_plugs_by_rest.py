# SPDX-License-Identifier: Apache-2.0
"""`PUT /v2.0/ports/{id}/plug`: sdnctl makes the interface, and answers when frames pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.net.support import add_guest, configure, flow_texts, give_device, is_whole, settle, until
from topologies import Host, Lab, Vm
from topologies.controller import ApiError, Controller, Json

pytestmark = pytest.mark.net

WAIT_S = 3


@dataclass(frozen=True, slots=True)
class Plugs:
    """Two hosts, a network, a guest on the second host that stays."""

    controller: Controller
    network: Json
    staying: Vm

    @property
    def hosts(self) -> tuple[Host, Host]:
        h1, h2 = self.controller.lab.hosts
        return h1, h2

    def guest(self, host: Host) -> tuple[Vm, Json]:
        """A machine with a port that is plugged nowhere."""
        port = self.controller.create("port", network_id=self.network["id"])
        name = f"plug{len(self.controller.lab.guests)}"
        return self.controller.lab.guest(name, host, mac=port["mac_address"], iface_id=port["id"]), port

    def interfaces(self, host: Host) -> list[str]:
        return host.vsctl("list-ports", "br-int").split()


@pytest.fixture(scope="module")
def plugs() -> Iterator[Plugs]:
    with Lab(hosts=2) as lab, Controller(lab, "--api-wait-timeout-s", str(WAIT_S)) as controller:
        controller.add_hosts()
        network = controller.create("network", name="plugs")
        controller.create("subnet", network_id=network["id"], ip_version=4, cidr="10.12.0.0/24")
        yield Plugs(controller, network, add_guest(controller, "staying", lab.hosts[1], network))
        is_whole(controller)


@pytest.mark.proves("S18", "S21", "S33", "S90")
def test_an_internal_interface_works_when_the_answer_is_there(plugs: Plugs) -> None:
    """The device has the port's MAC and MTU; the first frame passes. Unplugged, it is gone, and its flows are."""
    controller, (h1, _) = plugs.controller, plugs.hosts
    before = flow_texts(controller, h1)
    guest, port = plugs.guest(h1)
    plugged = controller.plug(port["id"], "h1")
    assert (plugged["status"], plugged["bound_host"]) == ("ACTIVE", "h1")
    device = plugged["plug"]["interface"]
    link = h1.run("ip", "-o", "link", "show", device)
    assert port["mac_address"] in link
    assert f"mtu {plugs.network['mtu']} " in link
    give_device(guest, device)
    configure(guest, port, plugs.network)
    assert guest.reaches(plugs.staying)  # the move of the device has the tunnels blink, see docs/open-vswitch.md
    assert guest.reaches(plugs.staying, protocol="tcp")
    assert guest.dhclient().address == port["fixed_ips"][0]["ip_address"]
    assert controller.unplug(port["id"])["status"] == "DOWN"
    assert device not in plugs.interfaces(h1)
    assert flow_texts(controller, h1) == before
    controller.delete("port", port["id"])


def test_an_existing_device_is_put_on_the_bridge_and_left_when_unplugged(plugs: Plugs) -> None:
    controller, (h1, _) = plugs.controller, plugs.hosts
    guest, port = plugs.guest(h1)
    plugged = controller.plug(port["id"], "h1", kind="system", interface=guest.device)
    assert plugged["status"] == "ACTIVE"
    configure(guest, port, plugs.network)
    assert guest.reaches(plugs.staying)  # the move of the device has the tunnels blink, see docs/open-vswitch.md
    controller.unplug(port["id"])
    assert guest.device not in plugs.interfaces(h1)
    assert guest.device in h1.run("ip", "-o", "link")
    assert not guest.reaches(plugs.staying, timeout_s=0.3)
    controller.delete("port", port["id"])


@pytest.mark.proves("S18", "S144")
def test_plugged_elsewhere_it_is_gone_from_where_it_was(plugs: Plugs) -> None:
    """One request moves it, and the port keeps its addresses."""
    controller, (h1, h2) = plugs.controller, plugs.hosts
    guest, port = plugs.guest(h2)
    device = controller.plug(port["id"], "h1")["plug"]["interface"]
    assert device in plugs.interfaces(h1)
    moved = controller.plug(port["id"], "h2")
    assert (moved["status"], moved["bound_host"], moved["fixed_ips"]) == ("ACTIVE", "h2", port["fixed_ips"])
    until("old interface to go", lambda: device not in plugs.interfaces(h1))
    give_device(guest, device)
    configure(guest, port, plugs.network)
    assert guest.reaches(plugs.staying)
    controller.delete("port", port["id"])
    until("interface to go with its port", lambda: device not in plugs.interfaces(h2))


def test_a_deleted_port_takes_its_interface_along(plugs: Plugs) -> None:
    controller, (h1, _) = plugs.controller, plugs.hosts
    before = flow_texts(controller, h1)
    _, port = plugs.guest(h1)
    device = controller.plug(port["id"], "h1")["plug"]["interface"]
    controller.delete("port", port["id"])
    assert flow_texts(controller, h1) == before
    until("interface to go", lambda: device not in plugs.interfaces(h1))


def test_a_host_that_is_away_is_named_as_pending(plugs: Plugs) -> None:
    """The answer comes after the time to wait, the change is stored, and takes effect when the host is back."""
    controller, (h1, _) = plugs.controller, plugs.hosts
    guest, port = plugs.guest(h1)
    h1.kill("ovs-vswitchd")
    until("host to be away", lambda: controller.host("h1")["state"] == "AWAY")
    path, wish = f"/ports/{port['id']}/plug", {"plug": {"host": "h1", "type": "internal"}}
    status, headers, answer = controller.exchange("PUT", f"{path}?wait=applied", wish)
    assert (status, headers["X-Sdnctl-Pending"]) == (200, "h1")
    assert answer["port"]["status"] == "DOWN"
    h1.start_vswitchd()
    controller.until_active(port)
    give_device(guest, answer["port"]["plug"]["interface"])
    configure(guest, port, plugs.network)
    assert guest.reaches(plugs.staying)
    # With everybody there, nobody is pending, and a change that concerns no host waits for none.
    _, headers, _ = controller.exchange("PUT", f"/ports/{port['id']}?wait=applied", {"port": {"name": "x"}})
    assert "X-Sdnctl-Pending" not in headers
    controller.delete("port", port["id"])


@pytest.mark.parametrize(
    ("wish", "status"),
    (
        ({"host": "h9", "type": "internal"}, (400, 404, 409)),
        ({"host": "h1", "type": "warp"}, (400,)),
        ({"host": "h1", "type": "internal", "interface": "a name that is far too long"}, (400,)),
    ),
)
def test_what_cannot_be_plugged_is_refused(plugs: Plugs, wish: Json, status: tuple[int, ...]) -> None:
    controller = plugs.controller
    _, port = plugs.guest(plugs.hosts[0])
    with pytest.raises(ApiError) as refused:
        controller.call("PUT", f"/ports/{port['id']}/plug", {"plug": wish})
    assert refused.value.status in status
    shown = controller.show("port", port["id"])
    assert (shown["plug"], shown["binding:host_id"]) == (None, "")
    controller.delete("port", port["id"])


def test_somebody_elses_interface_is_not_taken(plugs: Plugs) -> None:
    """An interface of that name is there and not ours: told among the host's problems, and left as it is."""
    controller, (h1, _) = plugs.controller, plugs.hosts
    _, port = plugs.guest(h1)
    h1.vsctl(
        "add-br",
        "br-theirs",
        "--",
        "add-port",
        "br-theirs",
        "theirs0",
        "--",
        "set",
        "Interface",
        "theirs0",
        "type=internal",
    )
    before = h1.vsctl("--columns=_uuid,type,external_ids,mac", "list", "Interface", "theirs0")
    controller.call(
        "PUT", f"/ports/{port['id']}/plug", {"plug": {"host": "h1", "type": "internal", "interface": "theirs0"}}
    )
    until("problem", lambda: [one for one in controller.host("h1")["problems"] if "theirs0" in one])
    assert h1.vsctl("--columns=_uuid,type,external_ids,mac", "list", "Interface", "theirs0") == before
    h1.vsctl("del-br", "br-theirs")
    controller.until_active(port)
    settle(controller.lab)
    controller.delete("port", port["id"])
