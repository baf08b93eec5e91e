# SPDX-License-Identifier: Apache-2.0
"""The API is away, is something else, or does not know us: what the user is told."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sdnctl import runtime
from sdnctl.cli.client import Client, CommandError, RefusedError, UnreachableError
from sdnctl.cli.session import token_for
from tests.api.fake import ADMIN
from tests.cli.conftest import Api


@contextmanager
def peer(*answers: bytes) -> Iterator[str]:
    """The URL of somebody who answers each request, on a connection of its own, with these bytes."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for answer in answers:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

    task = runtime.spawn(serve)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        task.stop()
        listener.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def ok(body: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def test_nobody_there(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("SDNCTL_URL", url)
    result = api.run("port list")
    assert (result.status, result.out) == (3, "")
    assert result.err == (
        f"sdnctl: cannot reach {url}: Connection refused; is `sdnctl serve` running there? "
        "$SDNCTL_URL or --url says where\n"
    )
    assert api.run(f"port list --url {api.url}").status == 0, "--url wins"


def test_a_name_nobody_knows(api: Api) -> None:
    result = api.run("port list --url http://host.invalid:9696")
    assert result.status == 3
    assert "cannot reach http://host.invalid:9696: " in result.err


@pytest.mark.parametrize("url", ("9696", "ftp://x", "http://", "http://h:port", "http://u:p@h", "http://h/?x=1"))
def test_an_address_that_is_none(url: str, api: Api) -> None:
    result = api.run(f"port list --url {url}")
    assert result.status == 1
    assert "is no address of the API; write for example http://127.0.0.1:9696" in result.err


@pytest.mark.parametrize(
    ("answer", "message"),
    (
        (b"SSH-2.0-OpenSSH\r\n", "does not speak HTTP: BadStatusLine"),
        (b"", "is `sdnctl serve` running there?"),
        (ok("<html>"), "is not the API of sdnctl: its answer is no JSON object"),
        (ok("[]"), "is not the API of sdnctl: its answer is no JSON object"),
        (ok('{"ports": 5}'), "the answer is not what the API of sdnctl answers"),
        (ok('{"networks": []}'), "the answer is not what the API of sdnctl answers"),
    ),
)
def test_somebody_else_there(answer: bytes, message: str, api: Api) -> None:
    with peer(answer) as url:
        result = api.run(f"port list --url {url}")
    assert (result.status, result.out) == (3, "")
    assert message in result.err


@pytest.mark.parametrize(
    ("body", "message"),
    (
        ('{"NeutronError": {"type": "X", "message": "no\\u001b[2J\\nmore", "detail": ""}}', "no\\x1b[2J\\nmore (400)"),
        ('{"error": {"code": 400, "message": "not so"}}', "not so (400)"),
        ("<html>", "Bad Request (400)"),
        ("", "Bad Request (400)"),
        ("[1]", "Bad Request (400)"),
    ),
)
def test_refusals_in_any_form(body: str, message: str, api: Api) -> None:
    answer = f"HTTP/1.1 400 Bad Request\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    with peer(answer) as url:
        result = api.run(f"port list --url {url}")
    assert (result.status, result.err) == (1, f"sdnctl: {message}\n")


def test_a_silent_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = Client(f"http://127.0.0.1:{listener.getsockname()[1]}", "", timeout_s=0.05)
        with pytest.raises(UnreachableError, match=r"no answer from http://127\.0\.0\.1:[0-9]+ within 0 s"):
            client.get("/")


def test_reading_goes_on_when_a_kept_connection_breaks() -> None:
    """A read is asked again on a new connection; a write is not, because it may have been carried out."""
    with peer(ok('{"n": 1}'), ok('{"n": 2}')) as url:
        client = Client(url, "")
        assert client.get("/a") == {"n": 1}
        assert client.get("/b") == {"n": 2}
    with peer(ok('{"n": 1}'), ok('{"n": 2}')) as url:
        client = Client(url, "")
        client.get("/a")
        with pytest.raises(UnreachableError):
            client.request("POST", "/b", body={})


def test_a_path_in_front_of_the_api(api: Api) -> None:
    with peer(ok('{"ports": []}')) as url:
        assert api.run(f"port list --url {url}/network/").status == 0


# ------------------------------------------------------------------------------------------------------------ tokens


def test_an_unknown_token(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDNCTL_TOKEN", "wrong")
    result = api.run("port list")
    assert result.status == 1
    assert "; put a token into $SDNCTL_TOKEN, or run as who may read the admin token's file (401, req-" in result.err


def test_the_admins_token_is_used_on_its_own_machine(tmp_path: Path) -> None:
    """Only for an API on loopback, and only if nothing else was said."""
    file = tmp_path / "admin-token"
    file.write_text(f"{ADMIN}\n")
    database = {"SDNCTL_DATABASE": f"sqlite:///{tmp_path}/x.db"}
    for environ in (database, {"SDNCTL_ADMIN_TOKEN_FILE": str(file)}):
        for url in ("http://127.0.0.1:9696", "http://localhost:9696", "http://[::1]:9696"):
            assert token_for(url, environ) == ADMIN
        for url in ("http://192.0.2.1:9696", "http://api.example.org", "http://127.0.0.1.example.org"):
            assert token_for(url, environ) == ""
        assert token_for("http://127.0.0.1:9696", {**environ, "SDNCTL_TOKEN": "mine"}) == "mine"
    assert token_for("http://127.0.0.1:9696", {"SDNCTL_ADMIN_TOKEN_FILE": str(tmp_path / "absent")}) == ""


def test_a_token_that_would_break_the_request() -> None:
    with pytest.raises(CommandError, match="holds characters that no token has"):
        token_for("http://127.0.0.1:9696", {"SDNCTL_TOKEN": "a\nX-Evil: 1"})


def test_the_token_is_in_no_message(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDNCTL_TOKEN", "hush-hush")
    for line in ("port list", f"port list --url http://127.0.0.1:{free_port()}", "port list --url x"):
        result = api.run(line)
        assert "hush" not in result.out + result.err


def test_refused_is_its_own_kind() -> None:
    """What the API refuses has its status, so that callers can tell 403 from the rest."""
    body = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    with peer(body) as url, pytest.raises(RefusedError) as caught:
        Client(url, "").get("/")
    assert caught.value.code == 403
