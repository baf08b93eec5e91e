# SPDX-License-Identifier: Apache-2.0
"""Listening on the places that users name, and saying what is wrong with the others."""

import socket
import stat
from pathlib import Path

import pytest

from sdnctl.errors import InvalidError
from sdnctl.model.tls import Tls
from sdnctl.openflow import Listener
from sdnctl.openflow.targets import Target, parse_target
from tests.openflow.conftest import Receive
from tests.openflow.peer import Peer


@pytest.mark.parametrize(
    ("text", "target"),
    (
        ("tcp:0.0.0.0:6653", Target("tcp", "0.0.0.0", 6653)),
        ("tcp:controller.example:6653", Target("tcp", "controller.example", 6653)),
        ("ssl:[2001:db8::1]:6653", Target("ssl", "2001:db8::1", 6653)),
        ("unix:/run/sdnctl/of.sock", Target("unix", path="/run/sdnctl/of.sock")),
    ),
)
def test_targets(text: str, target: Target) -> None:
    assert parse_target(text) == target
    assert str(target) == text


@pytest.mark.parametrize(
    "text",
    ("", "tcp", "tcp:", "tcp:6653", "tcp::6653", "tcp:host:", "tcp:host:65536", "tcp:::1:6653", "udp:h:1", "unix:"),
)
def test_a_target_that_cannot_be_says_how_one_is_written(text: str) -> None:
    with pytest.raises(InvalidError, match="write tcp:HOST:PORT, ssl:HOST:PORT or unix:PATH"):
        Listener((text,), None, print)


def test_an_address_in_use_is_named_and_nothing_is_left_bound(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        target = f"tcp:127.0.0.1:{taken.getsockname()[1]}"
        listener = Listener((f"unix:{tmp_path}/of.sock", target), None, print)
        with pytest.raises(InvalidError, match=f"{target}: Address already in use"):
            listener.start()
    assert listener.targets == ()
    assert list(tmp_path.iterdir()) == []


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(InvalidError, match=r"on tcp:192\.0\.2\.1:6653: Cannot assign"):
        Listener(("tcp:192.0.2.1:6653",), None, print).start()


def test_ipv6(receive: Receive) -> None:
    target = receive(targets=("tcp:[::1]:0",)).target
    assert target.startswith("tcp:[::1]:")
    assert parse_target(target).port


def test_the_socket_file_is_for_owner_and_group_and_goes_with_the_listener(tmp_path: Path) -> None:
    listener = Listener((f"unix:{tmp_path}/of.sock",), None, print)
    listener.start()
    assert stat.S_IMODE((tmp_path / "of.sock").stat().st_mode) == 0o660
    listener.stop()
    assert list(tmp_path.iterdir()) == []


def test_a_socket_file_that_nobody_listens_on_is_replaced(tmp_path: Path, receive: Receive) -> None:
    path = tmp_path / "of.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    reception = receive(targets=(f"unix:{path}",))
    with Peer(reception.target) as peer:
        peer.introduce()
        assert reception.arrival().peer == f"unix:{path}"


def test_a_socket_that_somebody_listens_on_is_left_alone(tmp_path: Path, receive: Receive) -> None:
    reception = receive(targets=(f"unix:{tmp_path}/of.sock",))
    with pytest.raises(InvalidError, match="another process listens there"):
        Listener((reception.target,), None, print).start()
    with Peer(reception.target) as peer:
        peer.introduce()
        reception.arrival()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "of.sock"
    path.write_text("precious")
    with pytest.raises(InvalidError, match="no socket"):
        Listener((f"unix:{path}",), None, print).start()
    assert path.read_text() == "precious"


def test_a_socket_file_of_a_successor_stays(tmp_path: Path) -> None:
    path = tmp_path / "of.sock"
    listener = Listener((f"unix:{path}",), None, print)
    listener.start()
    path.unlink()
    path.write_text("the successor's")
    listener.stop()
    assert path.exists()


def test_a_path_too_long_for_a_socket_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidError, match="too long"):
        Listener((f"unix:{tmp_path}/{'x' * 120}",), None, print).start()


def test_ssl_needs_certificates() -> None:
    with pytest.raises(InvalidError, match="needs a private key"):
        Listener(("ssl:127.0.0.1:0",), None, print)


def test_certificates_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    for path in (bad, tmp_path / "absent.pem"):
        with pytest.raises(InvalidError, match=f"certificate {path}"):
            Listener(("ssl:127.0.0.1:0",), Tls(str(path), str(path), str(path)), print).start()
