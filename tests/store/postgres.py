# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL of our own: a private directory, a unix socket, an unprivileged user; gone when the tests end."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import pg8000.dbapi

OWNER: Final = "postgres"
"""Who runs the server when the tests are root, which PostgreSQL refuses to be."""


class Server:
    """A running server. `create` makes a database and returns its URL."""

    def __init__(self) -> None:
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        if not programs:
            raise FileNotFoundError("/usr/lib/postgresql/*/bin: PostgreSQL's server programs are not installed")
        self._programs = programs[-1]
        self._directory = Path(tempfile.mkdtemp(prefix="sdnctl-pg-"))
        self._user = OWNER if os.geteuid() == 0 else None
        if self._user is not None:
            entry = pwd.getpwnam(self._user)
            os.chown(self._directory, entry.pw_uid, entry.pw_gid)
        data = self._directory / "data"
        self._run("initdb", "-D", data, "-A", "trust", "-U", "sdnctl", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8")
        options = (
            "listen_addresses=",
            f"unix_socket_directories={self._directory}",
            "fsync=off",
            "max_connections=120",
        )
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", data, *(word for option in options for word in ("-c", option))],
                user=self._user,
                cwd=self._directory,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        self._run("pg_isready", "-h", self._directory, "-t", "30", retry=100)

    def create(self, name: str) -> str:
        """A new empty database; its URL."""
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, name: str) -> str:
        return f"postgresql://sdnctl@/{name}?host={self._directory}"

    def execute(self, statement: str, database: str = "postgres") -> None:
        socket = str(self._directory / ".s.PGSQL.5432")
        with contextlib.closing(pg8000.dbapi.connect("sdnctl", database=database, unix_sock=socket)) as connection:
            connection.autocommit = True
            connection.cursor().execute(statement)

    def cut_connections(self) -> None:
        """End every session but our own, as a restart of the server does."""
        self.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")

    def stop(self) -> None:
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()
        shutil.rmtree(self._directory)

    def _run(self, program: str, *arguments: object, retry: int = 1) -> None:
        command = [self._programs / program, *map(str, arguments)]
        for _ in range(retry):
            done = subprocess.run(command, user=self._user, cwd=self._directory, capture_output=True, check=False)
            if done.returncode == 0:
                return
        raise RuntimeError(f"{program}: {done.stderr.decode()}")
