# SPDX-License-Identifier: Apache-2.0
"""The command as a process: how it starts and how it ends."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

import sdnctl

HEAVY = ("eventlet", "greenlet", "sqlalchemy", "alembic", "os_ken", "ovs", "ovsdbapp", "webob", "prometheus_client")
START_S = 0.15


def sdnctl_process(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "COLUMNS": "100", **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "words", (["--help"], ["port", "create", "--help"], ["port", "list"], ["flows", "h1"], ["version"])
)
def test_a_client_command_loads_little(words: list[str]) -> None:
    """No hub, no database, no OpenFlow for a command that only asks the API."""
    code = f"""
import sys
from sdnctl.cli import main
try:
    main({words!r})
except SystemExit:
    pass
print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)
"""
    ended = sdnctl_process("-c", code, SDNCTL_URL="http://127.0.0.1:1")
    assert ended.stderr.splitlines()[-1] == "[]"


@pytest.mark.parametrize("words", (["--help"], ["port", "create", "--help"]))
def test_a_client_command_starts_at_once(words: list[str], tmp_path: Path) -> None:
    """Less than 150 ms more than Python itself; in CPU time, because the machine has other work."""
    environ = {"PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": ""}

    def cpu_s(*line: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert sdnctl_process(*line, **environ).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    cpu_s("-m", "sdnctl", *words)  # compiles
    assert min(cpu_s("-m", "sdnctl", *words) for _ in range(3)) - cpu_s("-c", "pass") < START_S


def test_version() -> None:
    for words in (["version"], ["--version"]):
        ended = sdnctl_process("-m", "sdnctl", *words)
        assert (ended.returncode, ended.stdout) == (0, f"sdnctl {sdnctl.__version__}\n")


def test_help_names_every_command() -> None:
    ended = sdnctl_process("-m", "sdnctl", "--help")
    for command in ("serve", "host", "network", "subnet", "port", "project", "token", "flows", "explain", "version"):
        assert re.search(rf"^    {command} ", ended.stdout, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "status"), (([], 2), (["port"], 2), (["port", "list"], 3), (["version"], 0), (["-h"], 0))
)
def test_exit_status(words: list[str], status: int) -> None:
    ended = sdnctl_process("-m", "sdnctl", *words, SDNCTL_URL="http://127.0.0.1:1")
    assert ended.returncode == status
    assert "Traceback" not in ended.stderr


def test_a_reader_that_has_enough() -> None:
    """`sdnctl ... | head -1` ends without a word."""
    code = "import sys; from sdnctl.cli import main; sys.exit(main(['serve', '--check']))"
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as closed:
        ended = subprocess.run(
            [sys.executable, "-c", code], stdout=closed, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert (ended.returncode, ended.stderr) == (141, "")


def test_check_prints_options_and_their_sources(tmp_path: Path) -> None:
    file = tmp_path / "sdnctl.toml"
    file.write_text('[quota]\nport = 5\n[keystone]\npassword = "hunter2"\n')
    ended = sdnctl_process(
        "-m", "sdnctl", "serve", "--check", "--config", str(file),
        "--openflow-listen", "tcp:127.0.0.1:1", "unix:/run/of.sock", "--openflow-listen", "tcp:127.0.0.1:2",
        SDNCTL_DATABASE="postgresql://u:hunter2@db/x",
    )  # fmt: skip
    assert ended.returncode == 0
    lines = ended.stdout.splitlines()
    assert f"quota.port = 5  # {file} line 2" in lines
    assert "openflow.listen = tcp:127.0.0.1:1,unix:/run/of.sock,tcp:127.0.0.1:2  # --openflow-listen" in lines
    assert "database = postgresql://u:***@db/x  # $SDNCTL_DATABASE" in lines
    assert "api.listen = 127.0.0.1:9696  # default" in lines
    assert "hunter2" not in ended.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    (
        (["--auth", "keystone"], "sdnctl: auth (--auth): keystone is not built yet; use token\n"),
        (["--auth", "none", "--api-listen", "0.0.0.0:9696"], "sdnctl: auth (--auth): none makes everyone an admin, "),
        (
            ["--quota-port", "-5"],
            "sdnctl: quota.port (--quota-port): '-5' is not a whole number from -1 to 2147483647\n",
        ),
        (["--config", "/nonexistent.toml"], "sdnctl: /nonexistent.toml: No such file or directory"),
        (["--databse", "x"], "sdnctl serve: unknown: --databse (did you mean --database?)"),
    ),
)
def test_serve_refuses_what_it_cannot_use(words: list[str], message: str) -> None:
    ended = sdnctl_process("-m", "sdnctl", "serve", *words)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith(message)
    assert ended.stderr.count("\n") == 1
