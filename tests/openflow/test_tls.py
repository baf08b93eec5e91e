# SPDX-License-Identifier: Apache-2.0
"""OpenFlow over TLS: both sides show a certificate of the same CA, or nothing is said."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from sdnctl.flows import wire
from sdnctl.flows.action import Output
from sdnctl.flows.flow import Flow
from sdnctl.flows.match import Match
from sdnctl.flows.pipeline import App, Kind, Owner, Table
from sdnctl.model.tls import Tls
from sdnctl.openflow import Limits
from tests.openflow.certificates import Authority
from tests.openflow.conftest import Receive, closing
from tests.openflow.peer import Peer, hello
from tests.support.dummy_ovs import DummySwitch

COOKIE = Owner(App.SWITCHING, Kind.PORT, 7).cookie()
SSL = ("ssl:127.0.0.1:0",)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ca")


@pytest.fixture(scope="module")
def ours(authority: Authority) -> Tls:
    return authority.issue("controller")


@pytest.fixture(scope="module")
def theirs(authority: Authority) -> Tls:
    return authority.issue("switch1")


def client(trusted: Tls, shown: Tls | None, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(trusted.ca)
    context.maximum_version = newest
    if shown is not None:
        context.load_cert_chain(shown.certificate, shown.private_key)
    return context


def dress(peer: Peer, context: ssl.SSLContext) -> None:
    peer.socket = wrapped = context.wrap_socket(peer.socket, do_handshake_on_connect=False)
    wrapped.do_handshake()


def talk(peer: Peer, context: ssl.SSLContext) -> None:
    """With TLS 1.3, a client learns that it is not wanted only when it reads."""
    dress(peer, context)
    peer.say(hello(5))
    peer.hear()


@pytest.mark.switch
def test_a_switch_over_tls(switch: DummySwitch, receive: Receive, ours: Tls, theirs: Tls) -> None:
    reception = receive(targets=SSL, tls=ours)
    switch.vsctl("set-ssl", theirs.private_key, theirs.certificate, theirs.ca)
    switch.bridge("secure0", s1=1)
    switch.vsctl("set-controller", "secure0", reception.target)
    connection = reception.arrival()
    assert connection.peer_name == "switch1"
    assert connection.peer.startswith("ssl:127.0.0.1:")
    flows = [wire.encode(Flow(Table.SWITCHING, 100, Match().eth_dst(one), (Output(1),), COOKIE)) for one in range(5000)]
    connection.apply([], [wire.add_message(one) for one in flows], [])
    assert {one for body in connection.read_flows() for one in wire.parse_flow_stats(body)} == set(flows)
    closed = closing(connection)
    switch.delete_bridge("secure0")
    assert closed()


@pytest.mark.parametrize("newest", (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3))
def test_both_versions_of_tls(receive: Receive, ours: Tls, theirs: Tls, newest: ssl.TLSVersion) -> None:
    reception = receive(targets=SSL, tls=ours)
    with Peer(reception.target) as peer:
        dress(peer, client(ours, theirs, newest))
        peer.introduce(dpid=5)
        assert (reception.arrival().dpid, peer.socket.version()) == (5, newest.name.replace("v1_", "v1."))


@pytest.mark.parametrize("newest", (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3))
def test_a_peer_without_certificate_is_refused(receive: Receive, ours: Tls, newest: ssl.TLSVersion) -> None:
    reception = receive(targets=SSL, tls=ours)
    with Peer(reception.target) as peer:
        with pytest.raises(ssl.SSLError, match="alert"):
            talk(peer, client(ours, None, newest))
        assert "no TLS with this peer" in reception.failure()


def test_a_certificate_of_another_ca_is_refused(receive: Receive, ours: Tls, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "other").issue("switch1")
    reception = receive(targets=SSL, tls=ours)
    with Peer(reception.target) as peer:
        with pytest.raises(ssl.SSLError, match="alert"):
            talk(peer, client(ours, stranger))
        assert "certificate verify failed" in reception.failure()


def test_plain_openflow_on_a_tls_port_is_refused(receive: Receive, ours: Tls) -> None:
    reception = receive(targets=SSL, tls=ours)
    with Peer(reception.target) as peer:
        peer.say(hello(5) * 10)
        assert peer.hears_the_end()
    assert "no TLS with this peer" in reception.failure()


def test_a_peer_that_never_begins_tls_is_left_and_others_are_served(receive: Receive, ours: Tls, theirs: Tls) -> None:
    reception = receive(Limits(handshake_s=0.5), targets=SSL, tls=ours)
    with Peer(reception.target) as idle, Peer(reception.target) as peer:
        dress(peer, client(ours, theirs))
        peer.introduce()
        assert reception.arrival().is_open
        assert idle.hears_the_end()
    assert "the handshake was not complete within 0.5 s" in reception.failure()


def test_tcp_ssl_and_unix_at_once(receive: Receive, ours: Tls, theirs: Tls, tmp_path: Path) -> None:
    reception = receive(targets=("tcp:127.0.0.1:0", *SSL, f"unix:{tmp_path}/of.sock"), tls=ours)
    for dpid, target in enumerate(reception.listener.targets):
        with Peer(target) as peer:
            if target.startswith("ssl"):
                dress(peer, client(ours, theirs))
            peer.introduce(dpid=dpid)
            connection = reception.arrival()
            assert connection.dpid == dpid
            assert connection.peer_name == ("switch1" if target.startswith("ssl") else None)
