# SPDX-License-Identifier: Apache-2.0
"""Hosts reached over a management network: OVSDB and OpenFlow by TCP, and by TLS with certificates on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from sdnctl.model.tls import Tls
from tests.net.support import add_guest, until
from tests.openflow.certificates import Authority
from topologies import Host, Lab
from topologies.controller import Controller

pytestmark = pytest.mark.net


@dataclass(frozen=True, slots=True)
class Office:
    """Three hosts: one by TCP, one by TLS, and one whose certificate is somebody else's."""

    controller: Controller
    lab: Lab
    plain: Host
    secure: Host
    foreign: Host


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates") / "ours")


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, ours: Authority) -> Iterator[Office]:
    theirs = Authority(tmp_path_factory.mktemp("strangers") / "theirs")
    mine = ours.issue("controller")
    with Lab(hosts=3, management=True) as lab:
        plain, secure, foreign = lab.hosts
        present(secure, ours.issue("h2"))
        # It trusts us; only its own certificate was made by nobody we know.
        stranger = theirs.issue("h3")
        present(foreign, Tls(stranger.private_key, stranger.certificate, mine.ca))
        listeners = (f"tcp:{lab.management_ip}:6653", f"ssl:{lab.management_ip}:6654")
        tls = ("--tls-private-key", mine.private_key, "--tls-certificate", mine.certificate)
        flags = ("--openflow-listen", *listeners, *tls, "--tls-ca-certificate", mine.ca)
        with Controller(lab, *flags) as controller:
            for host, kind in ((plain, "tcp"), (secure, "ssl"), (foreign, "ssl")):
                controller.create(
                    "host",
                    name=host.name,
                    ovsdb=host.listen(kind),
                    tunnel_ip=host.tunnel_ip,
                    datapath_type=host.datapath_type,
                )
            for host in (plain, secure):
                controller.until_live(host)
            yield Office(controller, lab, plain, secure, foreign)


def present(host: Host, tls: Tls) -> None:
    """Have the host's Open vSwitch use a key and certificate, and trust an authority."""
    host.vsctl("set-ssl", tls.private_key, tls.certificate, tls.ca)


def test_every_connection_is_of_the_kind_that_was_asked_for(office: Office) -> None:
    """What the bridges were told, and what the controller sees."""
    for host, kind, port in ((office.plain, "tcp", 6653), (office.secure, "ssl", 6654)):
        target = host.vsctl("--bare", "--columns=target", "list", "Controller")
        assert target == f"{kind}:{office.lab.management_ip}:{port}"
        status = office.controller.host(host.name)
        assert status["openflow_peer"].startswith(f"{kind}:{host.management_ip}:")
        assert status["ovsdb_connected"]
        assert status["problems"] == []


@pytest.mark.proves("S49", "S50", "S95")
def test_guests_on_both_reach_each_other(office: Office) -> None:
    """And neither reaches the management network, whatever it asks for."""
    controller = office.controller
    network = controller.create("network", name="net")
    controller.create("subnet", network_id=network["id"], ip_version=4, cidr="10.13.0.0/24")
    one, other = (add_guest(controller, f"vm{host.name}", host, network) for host in (office.plain, office.secure))
    for protocol in ("icmp", "udp", "tcp"):
        assert one.reaches(other, protocol=protocol)
    assert one.dhclient().address
    one.script("ip route replace default dev eth0")
    for address in (office.lab.management_ip, office.plain.management_ip, office.plain.tunnel_ip):
        assert not one.reaches(address, timeout_s=0.3)


def test_after_a_restart_all_connections_are_back(office: Office) -> None:
    controller = office.controller
    controller.kill()
    controller.start()
    for host in (office.plain, office.secure):
        controller.until_live(host)
        assert controller.flows(host, "difference") == []


def test_a_host_with_somebody_elses_certificate_is_not_talked_to(office: Office) -> None:
    """Its status says what is wrong; nothing is written there, not even the bridge."""
    status = until(
        "TLS to fail", lambda: office.controller.host("h3"), lambda host: any("cert" in one for one in host["problems"])
    )
    assert status["state"] == "AWAY"
    assert "br-int" not in office.foreign.vsctl("list-br").split()


def test_a_bridge_with_somebody_elses_certificate_gets_no_openflow_session(office: Office) -> None:
    """It is told of our listener by hand, and tries again and again."""
    host = office.foreign
    target = f"ssl:{office.lab.management_ip}:6654"
    host.vsctl("add-br", "br-try", "--", "set", "Bridge", "br-try", "datapath_type=netdev", "fail_mode=secure")
    host.vsctl("set-controller", "br-try", target)

    def status() -> str:
        return host.vsctl("--bare", "--columns=is_connected,status", "list", "Controller")

    until("an attempt to fail", status, lambda text: "last_error" in text or "BACKOFF" in text)
    assert "true" not in status().split()
    assert "sec_since_connect" not in status()
    assert host.ofctl("dump-flows", "br-try").count("cookie") == 0


def test_a_host_goes_over_to_tls_and_back(office: Office, ours: Authority) -> None:
    """Both ways at once, OVSDB and OpenFlow: its guests lose no frame, and its switch is told nothing that it knows."""
    controller, host = office.controller, office.plain
    network = controller.create("network", name="over")
    controller.create("subnet", network_id=network["id"], ip_version=4, cidr="10.17.0.0/24")
    one, other = (add_guest(controller, f"over{number}", host, network) for number in range(2))
    present(host, ours.issue("h1"))
    object_id = controller.host(host.name)["id"]
    with one.probe(other) as probe:
        for kind in ("ssl", "tcp"):
            bundles = controller.log.read_text().count("bundle applied  host=h1")
            controller.call("PUT", f"/hosts/{object_id}", {"host": {"ovsdb": host.listen(kind)}})
            until(
                "other kind of connection", lambda: controller.host(host.name),
                lambda status, want=kind: str(status["openflow_peer"]).startswith(want) and status["ovsdb_connected"],
            )  # fmt: skip
            controller.until_live(host)
            assert controller.flows(host, "difference") == []
            assert controller.log.read_text().count("bundle applied  host=h1") == bundles
        report = probe.report()
    assert (report.lost, report.sent > 100) == (0, True)
