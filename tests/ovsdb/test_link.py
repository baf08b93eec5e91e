# SPDX-License-Identifier: Apache-2.0
"""Connections to hosts: made, refused, lost, made again."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdnctl import runtime
from sdnctl.model.tls import Tls
from sdnctl.ovsdb import Remotes
from tests.openflow.certificates import Authority
from tests.ovsdb.support import TARGET, Watched, Wiretap, a_host, plugs, settle
from tests.support.dummy_ovs import SCHEMA, DummySwitch

pytestmark = pytest.mark.switch


def listen(switch: DummySwitch, remote: str, *options: str) -> str:
    """Start the switch's ovsdb-server with one more remote, on a port of its choice; the address to connect to."""
    switch.stop_database()
    (switch.directory / "ovsdb-server.log").unlink()
    files = (f"{switch.directory}/conf.db", f"--remote=p{switch.database}")
    switch._daemon("ovsdb-server", *files, f"--remote=p{remote}:0:127.0.0.1", *options)
    port = re.search(r"istening on port (\d+)", (switch.directory / "ovsdb-server.log").read_text())
    assert port is not None
    return f"{remote}:127.0.0.1:{port[1]}"


def ssl_options(tls: Tls) -> tuple[str, ...]:
    return f"--private-key={tls.private_key}", f"--certificate={tls.certificate}", f"--ca-cert={tls.ca}"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


def test_comes_back_after_a_restart_of_the_server(switch: DummySwitch) -> None:
    """The loss is told with its reason, the return within seconds, and nothing is written again."""
    with Watched(a_host(switch.database)) as watched:
        watched.link.want(plugs("p1", "p2"))
        before = watched.until_has("p1", "p2")
        records = settle(switch)
        switch.stop_database(signal.SIGKILL)
        assert watched.until_lost("").startswith(f"{switch.database}: ")
        watched.until_lost("Connection refused: nobody listens on that socket: is ovsdb-server running?")
        switch.start_database()
        returned = runtime.monotonic()
        assert watched.until(lambda facts: facts.interfaces == before.interfaces) == before
        assert runtime.monotonic() - returned < 5
        assert settle(switch) - records <= 3, "ovs-vswitchd and the test write, we do not"


def test_what_was_in_flight_at_a_loss_is_done_once(switch: DummySwitch) -> None:
    """Plugs wished while the server dies are all there afterwards; none is there twice, and no wish is forgotten."""
    names = [f"p{n}" for n in range(300)]
    with Watched(a_host(switch.database)) as watched:
        watched.until(lambda facts: facts.datapath_id)
        for wished in (names[:200], names[100:], names):
            watched.link.want(plugs(*wished))
            runtime.give_way()
            switch.stop_database(signal.SIGKILL)
            watched.until_lost("")
            switch.start_database()
            assert not watched.until_is({"br-int", *wished}).problems
        assert sorted(switch.vsctl("list-ports", "br-int").split()) == sorted(names)


def test_wishes_stated_while_the_host_is_away_hold(switch: DummySwitch) -> None:
    """Away before the first connection, and away later."""
    switch.stop_database()
    with Watched(a_host(switch.database)) as watched:
        watched.until_lost("is ovsdb-server running?")
        watched.link.want(plugs("p1"))
        watched.link.set_installed({"p1": 5})
        switch.start_database()
        assert watched.until_has("p1").interfaces["p1"].installed == ""
        switch.stop_database()
        watched.until_lost("")
        watched.link.configure(a_host(switch.database), ("tcp:127.0.0.1:9",))
        watched.link.want(plugs("p2"))
        switch.start_database()
        watched.until(lambda facts: facts.interfaces.keys() == {"br-int", "p2"})
        assert switch.vsctl("get-controller", "br-int").strip() == "tcp:127.0.0.1:9"


def test_follows_a_host_to_another_address(switch: DummySwitch) -> None:
    """A new OVSDB remote or a new bridge is another place, and the old one is left as it is."""
    tcp = listen(switch, "tcp")
    with Watched(a_host("tcp:127.0.0.1:1")) as watched:
        reason = watched.until_lost("tcp:127.0.0.1:1: Connection refused")
        assert "`ovs-vsctl set-manager ptcp:1` makes the host listen" in reason
        watched.link.configure(a_host(tcp), (TARGET,))
        watched.until(lambda facts: "br-int" in facts.interfaces)
        watched.link.configure(a_host(switch.database, bridge="br-new"), (TARGET,))
        watched.until(lambda facts: "br-new" in facts.interfaces)
        with socket.socket(socket.AF_UNIX) as silent:
            silent.bind(f"{switch.directory}/silent")
            silent.listen()
            watched.link.configure(a_host(f"unix:{switch.directory}/silent"), (TARGET,))
            watched.until_lost("silent: connecting")
        watched.link.configure(a_host("unix:/nowhere"), (TARGET,))
        watched.until_lost("unix:/nowhere: No such file")
    assert switch.vsctl("list-br").split() == ["br-int", "br-new"]


def test_tls(switch: DummySwitch, authority: Authority) -> None:
    """Both sides show a certificate of the same authority."""
    ssl = listen(switch, "ssl", *ssl_options(authority.issue("host")))
    with Watched(a_host(ssl), tls=authority.issue("controller")) as watched:
        watched.link.want(plugs(*(f"p{n}" for n in range(300))))
        watched.until(lambda facts: len(facts.interfaces) == 301)
        switch.stop_database()
        watched.until_lost("ssl:127.0.0.1")


def test_tls_with_a_stranger(switch: DummySwitch, authority: Authority, tmp_path: Path) -> None:
    """Whoever it is that another authority vouches for, the other side refuses; the reason says that it was TLS."""
    other = Authority(tmp_path / "other")
    ssl = listen(switch, "ssl", *ssl_options(authority.issue("host")))
    with Watched(a_host(ssl), tls=other.issue("controller")) as watched:
        assert "TLS failed: certificate verify failed" in watched.until_lost("TLS")
    mixed = Tls(*(str(tmp_path / "other" / f"controller.{kind}") for kind in ("key", "pem")), authority.issue("c").ca)
    with Watched(a_host(ssl), tls=mixed) as watched:
        watched.until_lost("TLS failed: tlsv1 alert ")
    with Watched(a_host(ssl)) as watched:
        watched.until_lost("ssl needs a certificate of sdnctl's own, and none is configured")
    missing = Tls("/nowhere/key", "/nowhere/certificate", mixed.ca)
    with Watched(a_host(ssl), tls=missing) as watched:
        watched.until_lost("No such file or directory")


@pytest.mark.parametrize(
    ("target", "reason"),
    (
        ("unix:/nowhere/db.sock", "unix:/nowhere/db.sock: No such file or directory: there is no such socket"),
        ("unix:/etc/passwd", "unix:/etc/passwd: Connection refused"),
        ("unix:/" + 200 * "x", "too long"),
        ("tcp:127.0.0.1:1", "tcp:127.0.0.1:1: Connection refused: nothing listens there"),
        ("tcp:[::1]:1", "tcp:[::1]:1: "),
        ("tcp:127.0.0.1", "tcp:127.0.0.1: an OVSDB is written tcp:HOST:PORT, ssl:HOST:PORT or unix:PATH"),
        ("tcp:127.0.0.1:99999", "an OVSDB is written"),
        ("tcp:no-such-host.invalid:1", "tcp:no-such-host.invalid:1: "),
        ("punix:/x", "an OVSDB is written"),
        ("", "an OVSDB is written"),
    ),
)
def test_says_why_a_host_cannot_be_reached(target: str, reason: str) -> None:
    with Watched(a_host(target)) as watched:
        watched.until_lost(reason)
        assert len(watched.calls) == 1, "the same reason is told once"


def test_a_server_without_the_database(switch: DummySwitch) -> None:
    """Somebody's ovsdb-server, but not Open vSwitch's; and one of a version that lacks what we need."""
    schema = json.loads(SCHEMA.read_text())
    del schema["tables"]["Interface"]["columns"]["mtu_request"]
    for name, change, reason in (
        ("hardware_vtep", {"name": "hardware_vtep"}, "get_schema was refused: "),
        ("old", {}, "its database has no 'mtu_request': Open vSwitch 2.6 or newer is needed"),
    ):
        (switch.directory / "schema").write_text(json.dumps({**schema, **change}))
        switch.run("ovsdb-tool", "create", f"{switch.directory}/{name}.db", f"{switch.directory}/schema")
        switch.stop_database()
        switch._daemon("ovsdb-server", f"{switch.directory}/{name}.db", f"--remote=p{switch.database}")
        with Watched(a_host(switch.database)) as watched:
            watched.until_lost(reason)


@pytest.mark.parametrize("moment", ("at once", "when all is made", "while the host is away"))
def test_stop_leaves_nothing_behind(switch: DummySwitch, moment: str) -> None:
    """No call after it, whatever the link was doing; no descriptor; the host keeps what it has."""
    uuid.uuid1()  # opens its clock's file at first use, and keeps it
    descriptors = open_descriptors()
    with Watched(a_host(switch.database)) as watched:
        watched.link.want(plugs("p1"))
        if moment != "at once":
            watched.until_has("p1")
        if moment == "while the host is away":
            switch.stop_database()
    calls = len(watched.calls)
    runtime.sleep(0.05)  # pace: a call that should not come has this long to come
    assert len(watched.calls) == calls
    assert open_descriptors() <= descriptors
    if moment == "when all is made":
        assert switch.vsctl("get-controller", "br-int").split() == [TARGET]
        assert switch.vsctl("list-ports", "br-int").split() == ["p1"]


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[list[str]]:
    """A hundred ovsdb-servers."""
    running, targets = [], []
    try:
        subprocess.run(("ovsdb-tool", "create", tmp_path / "0.db", SCHEMA), check=True)
        for number in range(100):
            database = tmp_path / f"{number}.db"
            if number:
                database.write_bytes((tmp_path / "0.db").read_bytes())
            targets.append(f"unix:{tmp_path}/{number}.sock")
            command = (
                "ovsdb-server",
                database,
                f"--remote=p{targets[-1]}",
                f"--unixctl={tmp_path}/{number}.ctl",
                "-voff",
            )
            running.append(subprocess.Popen(command))
        yield targets
    finally:
        for server in running:
            server.kill()
            server.wait()


@pytest.mark.scale
def test_a_hundred_hosts_are_a_hundred_connections(servers: list[str]) -> None:
    """Each link writes to its own server, also when they share what may be shared."""
    remotes = Remotes()
    hosts = [Watched(a_host(target, bridge=f"br{n}"), remotes=remotes) for n, target in enumerate(servers)]
    try:
        for number, watched in enumerate(hosts):
            watched.until_lost(f"bridge 'br{number}' has no datapath id yet")
        for number, target in enumerate(servers):
            command = ("ovs-vsctl", f"--db={target}", "--no-wait", "list-br")
            assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"br{number}\n"
    finally:
        for watched in hosts:
            watched.link.stop()


def test_many_bridges_of_one_ovsdb_are_one_connection(switch: DummySwitch, tmp_path: Path) -> None:
    """They come and go independently, see their own interfaces only, and are lost and found together."""
    switch.bridge("br-ex")
    with Wiretap(tmp_path / "tap", switch) as tap:
        remotes = Remotes()
        mappings = (("physnet", "br-ex"),)
        hosts = [
            Watched(a_host(tap.target, bridge=f"s{n}", bridge_mappings=mappings), remotes=remotes) for n in range(8)
        ]
        for number, watched in enumerate(hosts):
            watched.link.want(plugs(f"p{number}"))
            assert watched.until_has(f"p{number}").interfaces.keys() >= {f"s{number}", f"p{number}"}
        assert tap.sent("monitor_cond_since") == 1
        hosts[0].link.stop()
        hosts[1].link.configure(a_host(tap.target, bridge="s0"), (TARGET,))
        facts = hosts[1].until(lambda facts: facts.problems and "s0" in facts.interfaces)
        assert facts.problems == ("interface 'p1' cannot be made: there is one of that name made for bridge 's1'",)
        assert tap.sent("monitor_cond_since") == 1
        calls = [len(watched.calls) for watched in hosts[2:]]
        switch.vsctl("add-port", "s0", "vif", "--", "set", "interface", "vif", "type=dummy")
        hosts[1].until_has("vif")
        assert [len(watched.calls) for watched in hosts[2:]] == calls, "what is on one bridge is no news for others"
        switch.stop_database()
        for watched in hosts[1:]:
            watched.until_lost("closed the connection")
        switch.start_database()
        for number, watched in enumerate(hosts[2:], 2):
            watched.until_has(f"p{number}")
        hosts[1].until_has("vif")
        assert tap.sent("monitor_cond_since") == 2
        for watched in hosts[1:]:
            watched.link.stop()


def test_a_stopped_link_is_served_no_more(switch: DummySwitch) -> None:
    """Whatever was under way for it, nothing is said to it and nothing kept for it; the others go on."""
    remotes, stopped = Remotes(), []
    with Watched(a_host(switch.database, bridge="stays"), remotes=remotes) as stays:
        stays.until(lambda facts: facts.datapath_id)
        for turns in range(40):
            goes = Watched(a_host(switch.database, bridge="goes"), remotes=remotes)
            goes.link.want(plugs("p1" if turns % 2 else "p2"))
            stays.link.want(plugs(f"q{turns}"))
            for _ in range(turns):
                runtime.give_way()
            goes.link.stop()
            stopped.append((goes, len(goes.calls)))
            stays.until_has(f"q{turns}")
        switch.vsctl("--if-exists", "del-br", "goes")
        stays.link.want(plugs("last"))
        stays.until_has("last")
        assert switch.vsctl("list-br").split() == ["stays"]
        assert [len(goes.calls) for goes, _ in stopped] == [calls for _, calls in stopped]
