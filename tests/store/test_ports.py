# SPDX-License-Identifier: Apache-2.0
"""Ports: MACs, port security, pairs, DHCP options, binding, plugging, deletion. Addresses are in test_fixed_ips.py."""

from __future__ import annotations

from typing import Any

import pytest

from sdnctl.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from sdnctl.store import Settings, Store
from tests.store.cloud import ADMIN, ALICE, BOB, NOVA, NOWHERE, READER, Cloud, addresses, count_rows

MAC = "fa:16:3e:00:00:01"


def test_defaults(cloud: Cloud) -> None:
    network = cloud.network()
    port = cloud.port(network, name="p")
    assert port["project_id"] == port["tenant_id"] == "alice-project"
    assert port["mac_address"].startswith("fa:16:3e:")
    assert (port["status"], port["admin_state_up"], port["port_security_enabled"]) == ("DOWN", True, True)
    assert (port["device_id"], port["device_owner"], port["fixed_ips"]) == ("", "", [])
    assert (port["allowed_address_pairs"], port["extra_dhcp_opts"]) == ([], [])
    assert [cloud.store.get(ALICE, "security_group", group)["name"] for group in port["security_groups"]] == ["default"]
    assert (port["binding:host_id"], port["binding:vif_type"], port["binding:vif_details"]) == ("", "unbound", {})
    assert (port["binding:profile"], port["binding:vnic_type"], port["plug"]) == ({}, "normal", None)
    assert cloud.get("port", port) == port


def test_network_must_exist(cloud: Cloud) -> None:
    with pytest.raises(NotFoundError) as refused:
        cloud.port({"id": NOWHERE})
    assert refused.value.kind == "NetworkNotFound"
    with pytest.raises(NotFoundError) as refused:
        cloud.port(cloud.network(), BOB)
    assert refused.value.kind == "NetworkNotFound"


# ----------------------------------------------------------------------------------------------------------------- MACs


@pytest.mark.parametrize("mac", ("fa:16:3e:00:00:01", "FA:16:3E:00:00:01", "fa-16-3e-00-00-01"))
def test_mac_is_normalised_and_unique_in_the_network(cloud: Cloud, mac: str) -> None:
    network, other = cloud.network(), cloud.network()
    port = cloud.port(network, mac_address=mac)
    assert port["mac_address"] == MAC
    with pytest.raises(ConflictError, match=port["id"]) as refused:
        cloud.port(network, mac_address=MAC)
    assert refused.value.kind == "MacAddressInUse"
    second = cloud.port(network)
    with pytest.raises(ConflictError):
        cloud.update("port", second, mac_address=MAC)
    cloud.port(other, mac_address=MAC)
    cloud.delete("port", port)
    assert cloud.update("port", second, mac_address=MAC)["mac_address"] == MAC


@pytest.mark.parametrize("mac", ("x", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"))
def test_mac_that_no_station_has(cloud: Cloud, mac: str) -> None:
    with pytest.raises(InvalidError, match="mac_address"):
        cloud.port(cloud.network(), mac_address=mac)


def test_same_mac_twice_in_one_request(cloud: Cloud) -> None:
    network = cloud.network()
    with pytest.raises(ConflictError, match="another port of this request"):
        cloud.ports(network, 2, mac_address=MAC)
    assert cloud.list("port") == []


def test_chosen_mac_wins_over_a_drawn_one(url: str) -> None:
    """Only 256 MACs exist, and the request names one of them last: the free choices must leave it alone."""
    store = Store.open(url, Settings(mac_oui="fa:16:3e:11:22"))
    cloud = Cloud(store)
    network = cloud.network()
    wish = {"network_id": network["id"]}
    store.create(ALICE, "port", [wish] * 200 + [{**wish, "mac_address": "fa:16:3e:11:22:07"}])
    assert len({port["mac_address"] for port in cloud.list("port")}) == 201
    store.close()


def test_no_mac_left(url: str) -> None:
    store = Store.open(url, Settings(mac_oui="fa:16:3e:11:22"))
    cloud = Cloud(store)
    network = cloud.network()
    for number in range(256):
        cloud.port(network, mac_address=f"fa:16:3e:11:22:{number:02x}")
    with pytest.raises(ConflictError, match="no free one found under fa:16:3e:11:22") as refused:
        cloud.port(network)
    assert refused.value.kind == "MacAddressGenerationFailure"
    store.close()


# -------------------------------------------------------------------------------------- port security and address pairs


def test_port_security_default_is_the_networks(cloud: Cloud) -> None:
    network = cloud.network(port_security_enabled=False)
    assert cloud.port(network)["port_security_enabled"] is False
    kept = cloud.port(network, port_security_enabled=True)
    assert kept["port_security_enabled"] is True
    cloud.update("network", network, port_security_enabled=True)
    assert cloud.get("port", kept)["port_security_enabled"] is True
    assert cloud.port(network)["port_security_enabled"] is True


def test_pairs_get_the_ports_mac(cloud: Cloud) -> None:
    network = cloud.network()
    wanted = [{"ip_address": "10.9.0.0/16"}, {"ip_address": "0.0.0.0/0", "mac_address": "FA:16:3E:00:00:99"}]
    port = cloud.port(network, mac_address=MAC, allowed_address_pairs=wanted)
    assert port["allowed_address_pairs"] == [
        {"mac_address": MAC, "ip_address": "10.9.0.0/16"},
        {"mac_address": "fa:16:3e:00:00:99", "ip_address": "0.0.0.0/0"},
    ]
    for nothing in ([], None):
        assert cloud.update("port", port, allowed_address_pairs=nothing)["allowed_address_pairs"] == []


@pytest.mark.parametrize(
    ("pairs", "says"),
    (
        ([{"mac_address": MAC}], "ip_address is required"),
        ([{"ip_address": "x"}], r"allowed_address_pairs\[0\].ip_address"),
        ([{"ip_address": "10.0.0.1"}, {"ip_address": "10.0.0.1/32"}], "twice"),
        ([{"ip_address": "10.0.0.1"}, {"ip_address": "10.0.0.1", "mac_address": MAC}], "twice"),
        ([{"ip_address": "10.0.0.1", "mac_address": "01:00:00:00:00:01"}], "mac_address"),
        ([{"ip_address": f"10.0.0.{n}"} for n in range(11)], "maximum of 10"),
    ),
)
def test_impossible_pairs(cloud: Cloud, pairs: list[dict[str, str]], says: str) -> None:
    with pytest.raises(InvalidError, match=says):
        cloud.port(cloud.network(), mac_address=MAC, allowed_address_pairs=pairs)


def test_pairs_need_port_security(cloud: Cloud) -> None:
    network = cloud.network()
    pairs = [{"ip_address": "10.9.0.1"}]
    with pytest.raises(ConflictError) as refused:
        cloud.port(network, allowed_address_pairs=pairs, port_security_enabled=False)
    assert refused.value.kind == "AddressPairAndPortSecurityRequired"
    port = cloud.port(network, allowed_address_pairs=pairs, security_groups=[])
    with pytest.raises(ConflictError):
        cloud.update("port", port, port_security_enabled=False)
    off = cloud.update("port", port, port_security_enabled=False, allowed_address_pairs=[])
    assert off["port_security_enabled"] is False
    with pytest.raises(ConflictError):
        cloud.update("port", port, allowed_address_pairs=pairs)


# --------------------------------------------------------------------------------------------------------- DHCP options


def option(name: str, value: str | None, version: int = 4) -> dict[str, Any]:
    return {"opt_name": name, "opt_value": value, "ip_version": version}


def test_dhcp_options_merge_by_name_and_version(cloud: Cloud) -> None:
    port = cloud.port(
        cloud.network(),
        extra_dhcp_opts=[{"opt_name": "mtu", "opt_value": "1400"}, option("66", "a"), option("x", None)],
    )
    assert port["extra_dhcp_opts"] == [option("mtu", "1400"), option("66", "a")]
    changed = cloud.update(
        "port", port, extra_dhcp_opts=[option("66", "b"), option("66", "six", 6), option("mtu", None)]
    )
    assert changed["extra_dhcp_opts"] == [option("66", "b"), option("66", "six", 6)]
    for nothing in ([], None):
        assert cloud.update("port", port, extra_dhcp_opts=nothing)["extra_dhcp_opts"] == changed["extra_dhcp_opts"]


# --------------------------------------------------------------------------------------------------- names, bindings


def test_dns_assignment(cloud: Cloud) -> None:
    network = cloud.network(dns_domain="blue.example.")
    cloud.subnet(network)
    named = cloud.port(network, dns_name="vm1", fixed_ips=[{"ip_address": "10.0.0.9"}])
    assert named["dns_assignment"] == [{"ip_address": "10.0.0.9", "hostname": "vm1", "fqdn": "vm1.blue.example."}]
    nameless = cloud.port(network, dns_domain="own.example.", fixed_ips=[{"ip_address": "10.0.0.10"}])
    assert nameless["dns_assignment"][0]["fqdn"] == "host-10-0-0-10.own.example."
    cloud.update("network", network, dns_domain="")
    assert cloud.get("port", named)["dns_assignment"][0]["fqdn"] == "vm1.sdnctl.internal."


def test_binding_outcome(cloud: Cloud) -> None:
    cloud.host("h1", 1, datapath_type="netdev", bridge_mappings={"physnet1": "br-ex"})
    cloud.host("h2", 2, tunnel_ip=None)
    network = cloud.network()
    port = cloud.port(network, NOVA, **{"binding:host_id": "h1", "project_id": "service-project"})
    assert port["binding:vif_type"] == "ovs"
    details = port["binding:vif_details"]
    assert (details["bridge_name"], details["datapath_type"], details["port_filter"]) == ("br-int", "netdev", True)
    assert details["ovs_hybrid_plug"] is False
    for host, outcome in (("h2", "binding_failed"), ("mars", "binding_failed"), ("h1", "ovs"), ("", "unbound")):
        moved = cloud.update("port", port, ADMIN, **{"binding:host_id": host})
        assert (moved["binding:host_id"], moved["binding:vif_type"]) == (host, outcome)
    cleared = cloud.update("port", port, ADMIN, **{"binding:host_id": None, "binding:profile": {"a": [1]}})
    assert (cleared["binding:host_id"], cleared["binding:profile"]) == ("", {"a": [1]})
    assert cloud.update("port", port, ADMIN, **{"binding:profile": None})["binding:profile"] == {}


@pytest.mark.parametrize(("physnet", "outcome"), (("physnet1", "ovs"), ("physnet2", "binding_failed")))
def test_binding_needs_the_physical_network(cloud: Cloud, physnet: str, outcome: str) -> None:
    cloud.host("h1", tunnel_ip=None, bridge_mappings={"physnet1": "br-ex"})
    network = cloud.network(ADMIN, **{"provider:network_type": "vlan", "provider:physical_network": physnet})
    assert cloud.port(network, ADMIN, **{"binding:host_id": "h1"})["binding:vif_type"] == outcome


def test_plug(cloud: Cloud) -> None:
    cloud.host("h1", 1)
    cloud.host("h2", 2)
    network = cloud.network()
    port = cloud.port(network)
    plug = {"host": "h1", "type": "internal", "interface": "vm1"}
    plugged = cloud.update("port", port, ADMIN, plug=plug, **{"binding:host_id": "h1"})
    assert (plugged["plug"], plugged["binding:vif_type"]) == (plug, "ovs")
    assert cloud.update("port", port, ADMIN, plug=plug)["revision_number"] == plugged["revision_number"]
    with pytest.raises(ConflictError, match="plugged into host h1"):
        cloud.update("port", port, ADMIN, **{"binding:host_id": "h2"})
    moved = cloud.update("port", port, ADMIN, plug={**plug, "host": "h2"}, **{"binding:host_id": "h2"})
    assert moved["plug"]["host"] == "h2"
    bare = cloud.update("port", port, ADMIN, plug=None, **{"binding:host_id": ""})
    assert (bare["plug"], bare["binding:vif_type"]) == (None, "unbound")


def test_plug_is_refused(cloud: Cloud) -> None:
    cloud.host("h1", 1)
    network = cloud.network()
    first, second = cloud.ports(network, 2)
    plug = {"host": "h1", "type": "tap", "interface": "vm1"}
    cloud.update("port", first, ADMIN, plug=plug)
    with pytest.raises(ConflictError, match=first["id"]) as refused:
        cloud.update("port", second, ADMIN, plug=plug)
    assert refused.value.kind == "InterfaceInUse"
    with pytest.raises(InvalidError, match="no host 'mars'; known are h1"):
        cloud.update("port", second, ADMIN, plug={**plug, "host": "mars"})
    cloud.delete("port", first)
    assert cloud.update("port", second, ADMIN, plug=plug)["plug"] == plug


# -------------------------------------------------------------------------------------------------------------- changes


def test_update(cloud: Cloud) -> None:
    port = cloud.port(cloud.network())
    changes = {
        "security_groups": [],
        "name": "n",
        "description": "d",
        "admin_state_up": False,
        "device_id": "vm",
        "device_owner": "compute:nova",
        "dns_name": "x",
        "dns_domain": "y.",
        "mac_address": MAC,
        "port_security_enabled": False,
    }
    changed = cloud.update("port", port, **changes)
    assert {name: changed[name] for name in changes} == changes
    assert changed["revision_number"] == 2


@pytest.mark.parametrize("name", ("network_id", "project_id", "status", "id", "binding:vif_type"))
def test_fixed_attributes(cloud: Cloud, name: str) -> None:
    with pytest.raises(InvalidError, match=name):
        cloud.update("port", cloud.port(cloud.network()), **{name: "x"})


def test_delete(cloud: Cloud) -> None:
    network = cloud.network()
    cloud.subnet(network)
    port = cloud.port(network, tags=["a"])
    cloud.delete("port", port)
    assert (count_rows(cloud.store, "tags"), count_rows(cloud.store, "addresses")) == (0, 1)
    with pytest.raises(NotFoundError) as refused:
        cloud.delete("port", port)
    assert refused.value.kind == "PortNotFound"


def test_delete_of_service_ports(cloud: Cloud) -> None:
    port = cloud.port(cloud.network(), device_owner="network:router_interface")
    with pytest.raises(ConflictError, match="network:router_interface") as refused:
        cloud.delete("port", port, ADMIN)
    assert refused.value.kind == "ServicePortInUse"
    cloud.update("port", port, device_owner="")
    cloud.delete("port", port)


@pytest.mark.parametrize("owner", ("compute:nova", "baremetal:none"))
def test_delete_of_an_instances_port(cloud: Cloud, owner: str) -> None:
    network = cloud.network()
    port, other = cloud.ports(network, 2, device_owner=owner)
    with pytest.raises(ForbiddenError, match="detach it"):
        cloud.delete("port", port)
    cloud.delete("port", port, ADMIN)
    cloud.update("port", other, device_owner="")
    cloud.delete("port", other)


# -------------------------------------------------------------------------------------------------- on shared networks


def test_guest_on_a_shared_network(cloud: Cloud) -> None:
    network = cloud.network(ADMIN, shared=True)
    subnet = cloud.subnet(network, ctx=ADMIN)
    port = cloud.port(network, BOB, fixed_ips=[{"subnet_id": subnet["id"]}], port_security_enabled=True)
    assert (port["project_id"], len(addresses(port))) == ("bob-project", 1)
    refused = {
        "mac_address": {"mac_address": MAC},
        "fixed_ips.ip_address": {"fixed_ips": [{"ip_address": "10.0.0.77"}]},
        "allowed_address_pairs": {"allowed_address_pairs": [{"ip_address": "10.0.0.77"}]},
        "port_security_enabled": {"port_security_enabled": False},
        "device_owner": {"device_owner": "network:router_interface"},
    }
    for name, body in refused.items():
        with pytest.raises(ForbiddenError, match=name):
            cloud.port(network, BOB, **body)
        with pytest.raises(ForbiddenError, match=name):
            cloud.update("port", port, BOB, **body)
        assert cloud.port(network, ADMIN, **body)
        cloud.list("port", ADMIN)
        for made in cloud.list("port", ADMIN, project_id="admin-project"):
            cloud.update("port", made, ADMIN, device_owner="")
            cloud.delete("port", made, ADMIN)


def test_guest_may_send_back_what_it_was_given(cloud: Cloud) -> None:
    network = cloud.network(ADMIN, shared=True)
    cloud.subnet(network, ctx=ADMIN)
    port = cloud.port(network, BOB)
    same = {name: port[name] for name in ("mac_address", "fixed_ips", "allowed_address_pairs", "port_security_enabled")}
    assert cloud.update("port", port, BOB, **same, name="n")["name"] == "n"


def test_owner_of_the_network_handles_all_ports_on_it(cloud: Cloud) -> None:
    network = cloud.network(ADMIN, shared=True, project_id="alice-project")
    cloud.subnet(network)
    port = cloud.port(network, BOB)
    assert cloud.get("port", port, ALICE) == port
    assert cloud.update("port", port, ALICE, mac_address=MAC)["mac_address"] == MAC
    with pytest.raises(ForbiddenError):
        cloud.delete("port", port, READER)
    own = cloud.port(network, ALICE)
    with pytest.raises(NotFoundError):
        cloud.get("port", own, BOB)
    cloud.delete("port", port, ALICE)


def test_no_ports_on_an_external_network(cloud: Cloud) -> None:
    network = cloud.network(ADMIN, **{"router:external": True})
    with pytest.raises(ForbiddenError, match="not yours and not shared"):
        cloud.port(network, BOB)
    assert cloud.port(network, NOVA, project_id="service-project")


def test_service_may_do_as_the_owner(cloud: Cloud) -> None:
    """Nova gives ports of its users the MAC and address they asked it for."""
    network = cloud.network(ADMIN, shared=True)
    cloud.subnet(network, ctx=ADMIN)
    port = cloud.port(network, NOVA, mac_address=MAC, fixed_ips=[{"ip_address": "10.0.0.77"}])
    assert (port["mac_address"], addresses(port)) == (MAC, ["10.0.0.77"])


def test_service_binds_ports_of_all_projects(cloud: Cloud) -> None:
    network = cloud.network()
    subnet, port = cloud.subnet(network), cloud.port(network)
    bound = cloud.update("port", port, NOVA, **{"binding:host_id": "h1", "device_owner": "compute:nova"})
    assert bound["binding:host_id"] == "h1"
    assert len(cloud.list("port", NOVA)) == 2
    for kind, found in (("network", network), ("subnet", subnet)):
        assert cloud.get(kind, found, NOVA)["id"] == found["id"]
        with pytest.raises(ForbiddenError):
            cloud.update(kind, found, NOVA, name="x")
    with pytest.raises(NotFoundError):
        cloud.get("host", cloud.host(), NOVA)
    cloud.delete("port", port, NOVA)


def test_bulk_is_all_or_nothing(cloud: Cloud) -> None:
    network = cloud.network()
    cloud.subnet(network)
    bodies = [{"network_id": network["id"], "name": str(number), "tags": [str(number)]} for number in range(120)]
    made = cloud.store.create(ALICE, "port", bodies)
    assert [port["name"] for port in made.objects] == [str(number) for number in range(120)]
    assert [port["tags"] for port in made.objects] == [[str(number)] for number in range(120)]
    with pytest.raises(ConflictError):
        cloud.ports(network, 140)
    with pytest.raises(NotFoundError):
        cloud.store.create(ALICE, "port", [{"network_id": network["id"]}, {"network_id": NOWHERE}])
    assert count_rows(cloud.store, "ports") == 121
    assert cloud.store.revision() == made.revision
