# SPDX-License-Identifier: Apache-2.0
"""`sdnctl serve` as a process, and its client beside it: a controller from nothing to SIGTERM, without hosts."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import openstack
import pytest

from tests.cli.conftest import command

START_S = 60.0
STOP_S = 20.0


@dataclass
class Controller:
    """A running `sdnctl serve` and its state."""

    process: subprocess.Popen[str]
    directory: Path
    url: str

    def sdnctl(self, *words: str, status: int = 0, token: str = "") -> str:
        """Standard output of a command, or what it said when another status than 0 is expected."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SDNCTL_URL", self.url)
            patch.setenv("SDNCTL_DATABASE", database(self.directory))
            patch.setenv("SDNCTL_TOKEN", token)
            ended = command(words)
        assert ended.status == status, ended.err
        return ended.err if status else ended.out

    def end(self, number: int) -> int:
        """Its exit status, or the negative signal that ended it."""
        self.process.send_signal(number)
        return self.process.wait(STOP_S)


def database(directory: Path) -> str:
    return f"sqlite:///{directory}/sdnctl.db"


def started(directory: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable, "-m", "sdnctl", "serve", "--database", database(directory),
            "--api-listen", "127.0.0.1:0", "--openflow-listen", f"unix:{directory}/openflow.sock", *words,
        ],
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


@contextmanager
def controller(directory: Path) -> Iterator[Controller]:
    process = started(directory)
    assert process.stderr is not None
    said = []
    deadline = time.monotonic() + START_S
    try:
        for line in process.stderr:
            said.append(line)
            if found := re.search(r" serving .*\bapi=(\S+)", line):
                yield Controller(process, directory, found[1])
                return
            assert time.monotonic() < deadline, said
        pytest.fail("".join(said))
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_a_controller_from_nothing(tmp_path: Path) -> None:
    """The first start makes the admin's token, which the client on the same machine finds by itself."""
    with controller(tmp_path) as running:
        assert (tmp_path / "admin-token").stat().st_mode & 0o777 == 0o600
        project = running.sdnctl("project", "create", "demo", "-f", "value", "-c", "id").strip()
        secret = running.sdnctl("token", "create", "--project", "demo", "-f", "value", "-c", "secret").strip()
        running.sdnctl("network", "create", "net1", token=secret)
        running.sdnctl("subnet", "create", "lan", "--network", "net1", "--cidr", "10.0.0.7/24", token=secret)
        port = ("--network", "net1", "--fixed-ip", "subnet=lan,ip-address=10.0.0.5")
        running.sdnctl("port", "create", "vm1", *port, token=secret)
        taken = running.sdnctl("port", "create", "vm2", *port, status=1, token=secret)
        assert re.match(r"sdnctl: .*10\.0\.0\.5.* \(409, req-[0-9a-f-]+\)\n$", taken)
        assert running.sdnctl("network", "show", "net1", "-f", "value", "-c", "project_id") == f"{project}\n"
        assert "(401, req-" in running.sdnctl("network", "list", status=1, token="wrong")
        assert "(403, req-" in running.sdnctl("host", "list", status=1, token=secret)
        assert running.end(signal.SIGTERM) == 0


@pytest.mark.filterwarnings("ignore")  # openstacksdk's own business
def test_security_groups_of_a_controller(tmp_path: Path) -> None:
    """Made by the command line and found by openstacksdk, and the other way round."""
    with controller(tmp_path) as running:
        token = (tmp_path / "admin-token").read_text().strip()
        running.sdnctl("network", "create", "net1")
        running.sdnctl("security-group", "create", "web")
        running.sdnctl("address-group", "create", "servers", "--address", "192.0.2.0/24")
        running.sdnctl("address-group", "add-addresses", "servers", "--address", "198.51.100.7")
        rule = ("--security-group", "web", "--direction", "ingress", "--protocol", "tcp")
        running.sdnctl("security-group-rule", "create", *rule, "--remote-address-group", "servers")
        running.sdnctl(
            "security-group-rule", "create", *rule, "--remote-ip-prefix", "fd00::/8", "--established", "keep"
        )
        running.sdnctl("port", "create", "vm1", "--network", "net1", "--security-group", "web")
        cloud = openstack.connect(
            load_yaml_config=False,
            load_envvars=False,
            auth_type="admin_token",
            auth={"endpoint": running.url, "token": token},
            region_name="one",
        )
        group = cloud.network.find_security_group("web")
        given = {(one["ethertype"], one["remote_ip_prefix"]) for one in group.security_group_rules if one["protocol"]}
        assert given == {("IPv4", None), ("IPv6", "fd00::/8")}
        port = cloud.network.find_port("vm1")
        assert port.security_group_ids == [group.id]
        assert cloud.network.find_address_group("servers").addresses == ["192.0.2.0/24", "198.51.100.7/32"]
        made = cloud.network.create_security_group_rule(security_group_id=group.id, direction="egress", protocol="vrrp")
        assert made.id in running.sdnctl("security-group-rule", "list", "--security-group", "web")
        used = running.sdnctl("security-group", "delete", "web", status=1)
        assert re.match(rf"sdnctl: .* in use by ports {port.id}\. .* \(409, req-", used)
        again = running.sdnctl("security-group-rule", "create", *rule, "--remote-ip-prefix", "fd00::1/8", status=1)
        assert "already exists" in again
        cloud.network.delete_port(port)
        cloud.network.delete_security_group(group)
        cloud.close()
        listed = running.sdnctl("security-group", "list", "-f", "value", "-c", "name")
        assert listed == "default\n"
        assert running.end(signal.SIGTERM) == 0


def test_what_was_answered_outlives_a_kill(tmp_path: Path) -> None:
    with controller(tmp_path) as running:
        running.sdnctl("host", "add", "h1", "--ovsdb", f"unix:{tmp_path}/db.sock")
        token = (tmp_path / "admin-token").read_text()
        assert running.end(signal.SIGKILL) == -signal.SIGKILL
        assert "is `sdnctl serve` running there?" in running.sdnctl("host", "list", status=3)
    with controller(tmp_path) as running:
        assert running.sdnctl("host", "list", "-f", "value", "-c", "name", "-c", "state") == "h1 AWAY\n"
        assert running.sdnctl("flows", "h1", "--table", "output") != ""
        assert (tmp_path / "admin-token").read_text() == token
        assert running.end(signal.SIGINT) == 0


def test_a_second_controller_is_told_why_not(tmp_path: Path) -> None:
    """One line, status 78: a service manager need not try again."""
    with controller(tmp_path) as running:
        second = started(tmp_path, "--api-listen", running.url.removeprefix("http://"))
        _, said = second.communicate(timeout=START_S)
        assert second.returncode == os.EX_CONFIG
        assert said.startswith("sdnctl serve: ")
        assert said.count("\n") == 1
