# SPDX-License-Identifier: Apache-2.0
"""`sdnctl serve` for a lab, as a process of its own, and its REST API.

    with Lab(hosts=2) as lab, Controller(lab) as controller:
        controller.add_hosts()
        network = controller.create("network", name="red")
        controller.create("subnet", network_id=network["id"], cidr="10.0.0.0/24", ip_version=4)
        port = controller.create("port", network_id=network["id"])
        vm = lab.guest("vm1", lab.hosts[0], mac=port["mac_address"], iface_id=port["id"])
        vm.plug()
        controller.until_active(port)

Open vSwitch connects only to sockets in its own run directory, so the controller listens on one in each host's.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from topologies.host import Host
from topologies.lab import Lab

START_S: Final = 30.0
WAIT_S: Final = 30.0

Json = dict[str, Any]


class ApiError(Exception):
    """The API refused: `status` and the error's `kind`."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(f"{status} {kind}: {message}")
        self.status = status
        self.kind = kind


class Api:
    """A client of the REST API: one project's view of it."""

    def __init__(self, address: str, headers: Mapping[str, str]) -> None:
        self._address = address
        self._headers = dict(headers)

    def request(self, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
        """Status and decoded body of one request to `/v2.0` + `path`."""
        status, _, answer = self.exchange(method, path, body)
        return status, answer

    def exchange(self, method: str, path: str, body: Json | None = None) -> tuple[int, Mapping[str, str], Json]:
        """The same, and the answer's headers between the two."""
        connection = http.client.HTTPConnection(self._address, timeout=WAIT_S + 30)
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(method, f"/v2.0{path}", payload, self._headers)
            response = connection.getresponse()
            text = response.read()
            return response.status, dict(response.headers), json.loads(text) if text else {}
        finally:
            connection.close()

    def call(self, method: str, path: str, body: Json | None = None) -> Json:
        """The decoded answer of a request that succeeds."""
        status, answer = self.request(method, path, body)
        if status >= 400:
            error = answer.get("NeutronError", {})
            raise ApiError(status, error.get("type", ""), error.get("message", str(answer)))
        return answer

    def create(self, kind: str, **attributes: Any) -> Json:
        return dict(self.call("POST", _path(kind), {kind: attributes})[kind])

    def create_many(self, kind: str, bodies: list[Json]) -> list[Json]:
        """All or none."""
        return list(self.call("POST", _path(kind), {_plural(kind): bodies})[_plural(kind)])

    def show(self, kind: str, object_id: str) -> Json:
        return dict(self.call("GET", f"{_path(kind)}/{object_id}")[kind])

    def list(self, kind: str, query: str = "") -> list[Json]:
        return list(self.call("GET", f"{_path(kind)}{query}")[_plural(kind)])

    def update(self, kind: str, object_id: str, **attributes: Any) -> Json:
        """Change an object, and wait until all hosts concerned have confirmed it."""
        return dict(self.call("PUT", f"{_path(kind)}/{object_id}?wait=applied", {kind: attributes})[kind])

    def delete(self, kind: str, object_id: str) -> None:
        """Delete an object, and wait until all hosts concerned have confirmed it."""
        self.call("DELETE", f"{_path(kind)}/{object_id}?wait=applied")

    def plug(self, port_id: str, host: str, kind: str = "internal", interface: str | None = None) -> Json:
        """Have sdnctl make the port's interface; returns when its flows are confirmed."""
        wish = {"host": host, "type": kind} | ({"interface": interface} if interface else {})
        return dict(self.call("PUT", f"/ports/{port_id}/plug?wait=applied", {"plug": wish})["port"])

    def unplug(self, port_id: str) -> Json:
        """Have sdnctl remove the interface that it made."""
        return dict(self.call("PUT", f"/ports/{port_id}/unplug?wait=applied", {"unplug": {}})["port"])

    def until(self, what: str, kind: str, object_id: str, **wanted: Any) -> Json:
        """Wait until an object's attributes have these values; `what` is for the failure."""
        give_up = time.monotonic() + WAIT_S
        while True:
            found = self.show(kind, object_id)
            if all(found[name] == value for name, value in wanted.items()):
                return found
            if time.monotonic() > give_up:
                raise TimeoutError(f"{what}: after {WAIT_S} s it is {found}")
            time.sleep(0.01)

    def until_active(self, *ports: Json) -> None:
        """Wait until the ports are ACTIVE."""
        for port in ports:
            self.until("port to become ACTIVE", "port", port["id"], status="ACTIVE")


class Controller(Api):
    """The process, and the API as its administrator sees it."""

    def __init__(self, lab: Lab, *arguments: str, database: str = "", auth: str = "none") -> None:
        self.lab = lab
        self.directory = Path(lab.directory) / "controller"
        self.directory.mkdir(exist_ok=True)
        self.database = database or f"sqlite:///{self.directory}/sdnctl.db"
        self.log = self.directory / "log"
        self.port = _free_port()
        self._arguments = arguments
        self._auth = auth
        self._process: subprocess.Popen[bytes] | None = None
        super().__init__(f"127.0.0.1:{self.port}", {})

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def admin_token_file(self) -> Path:
        return self.directory / "admin-token"

    def command(self) -> list[str]:
        """What is run; a person could as well."""
        sockets = [f"unix:{host.directory}/controller.sock" for host in self.lab.hosts]
        return [
            *(sys.executable, "-m", "sdnctl", "serve", "--database", self.database, "--auth", self._auth),
            *("--api-listen", f"127.0.0.1:{self.port}", "--openflow-listen", *sockets),
            *("--admin-token-file", str(self.admin_token_file)),
            *self._arguments,
        ]

    def start(self) -> None:
        """Start the process; returns when the API answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=os.environ | self.lab.env | {"PYTHONWARNINGS": "ignore"},
            )
        give_up = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"sdnctl serve does not answer:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.02)
        if self._auth == "token":
            self._headers["X-Auth-Token"] = self.admin_token_file.read_text().strip()

    def _answers(self) -> bool:
        # Asked for by name: a mere connection to a port of this machine may turn out to be one to ourselves.
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(self._address, timeout=1)
            connection.request("GET", "/healthz")
            return connection.getresponse().status == http.HTTPStatus.OK
        return False

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End the process the hard way, or by another signal; returns when it has ended."""
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(30)

    def stop(self) -> None:
        """End the process as `systemctl stop` does."""
        if self._process is not None and self._process.poll() is None:
            self.kill(signal.SIGTERM)

    def leave_running(self) -> None:
        """Let the process live on as long as the lab does."""
        self._process = None

    # --- what a lab's administrator does --------------------------------------------------------------------

    def project(self, project_id: str) -> Api:
        """The API as a member of a project sees it (with --auth token)."""
        token = self.create("token", project_id=project_id, roles=["member"])
        return Api(self._address, {"X-Auth-Token": token["secret"]})

    def add_hosts(self) -> None:
        """Add every host of the lab, and wait until it is LIVE."""
        for host in self.lab.hosts:
            self.add_host(host)
        for host in self.lab.hosts:
            self.until_live(host)

    def add_host(self, host: Host) -> Json:
        return self.create(
            "host",
            name=host.name,
            ovsdb=host.ovsdb,
            tunnel_ip=host.tunnel_ip,
            bridge_mappings=host.bridge_mappings,
            datapath_type=host.datapath_type,
        )

    def host(self, name: str) -> Json:
        """A host with its status."""
        return self.list("host", f"?name={name}")[0]

    def until_live(self, host: Host) -> Json:
        """Wait until the host is LIVE and has confirmed everything."""
        give_up = time.monotonic() + WAIT_S
        while True:
            found = self.host(host.name)
            if found["state"] == "LIVE" and found["applied_revision"] == found["revision"]:
                return found
            if time.monotonic() > give_up:
                raise TimeoutError(f"host to become LIVE: after {WAIT_S} s it is {found}")
            time.sleep(0.01)

    def metrics(self) -> str:
        """What `GET /metrics` says."""
        connection = http.client.HTTPConnection(self._address, timeout=WAIT_S)
        with contextlib.closing(connection):
            connection.request("GET", "/metrics")
            return connection.getresponse().read().decode()

    def flows(self, host: Host, view: str = "installed") -> list[Json]:
        """The flows of a host with their owners."""
        object_id = self.host(host.name)["id"]
        return list(self.call("GET", f"/hosts/{object_id}/flows?view={view}")["flows"])


def _plural(kind: str) -> str:
    return f"{kind}s"


def _path(kind: str) -> str:
    return "/" + _plural(kind).replace("_", "-")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
