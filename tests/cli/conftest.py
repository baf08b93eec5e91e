# SPDX-License-Identifier: Apache-2.0
"""The real command against the real API on a loopback socket, over a repository in memory."""

from __future__ import annotations

import io
import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from sdnctl import cli
from sdnctl.api.app import Application
from sdnctl.api.auth import by_token
from sdnctl.api.server import Server
from sdnctl.model.question import PacketQuestion
from sdnctl.model.request import Context, Object, Query
from tests.api.fake import ADMIN, PROJECT, FakeFabric, FakeRepository

COOKIE = "0x5d06030000000007"
FLOWS = (
    {
        "flow": "cookie=0x5d02010000000001, priority=0 actions=drop",
        "app": "classify",
        "object": "h",
        "text": "classify",
    },
    {
        "flow": f"cookie={COOKIE}, table=60, priority=9 actions=drop",
        "app": "switching",
        "object": "p",
        "text": "switching",
    },
    {
        "flow": f"cookie={COOKIE}, table=60, priority=8 actions=drop",
        "app": "switching",
        "object": "p",
        "text": "switching",
    },
)


class Repository(FakeRepository):
    """With markers and order, which clients page by."""

    def list(self, ctx: Context, kind: str, query: Query) -> list[Object]:
        self.asked.append(query)
        found = [item for item in self.objects.get(kind, {}).values() if self._sees(ctx, item)]
        for name, values in query.filters:
            found = [item for item in found if _matches(item.get(name), values)]
        found.sort(key=lambda item: str(item["id"]))
        for name, is_descending in reversed(query.sort):
            found.sort(key=lambda item: str(item.get(name, "")), reverse=is_descending)
        if query.marker is not None:
            ids = [item["id"] for item in found]
            found = found[ids.index(query.marker) + 1 :]
        return found[: query.limit or None]


def _matches(value: object, wanted: Sequence[object]) -> bool:
    if isinstance(value, list):
        texts = [f"{key}={inner}" for item in value if isinstance(item, dict) for key, inner in item.items()]
        return any(wish in texts or wish in value for wish in wanted)
    return value in wanted


@dataclass
class Fabric(FakeFabric):
    """Remembers what was asked about flows."""

    asked: list[tuple[str, ...]] = field(default_factory=list)

    def flows(self, name: str, view: str) -> Sequence[Mapping[str, object]]:
        self.asked.append(("flows", name, view))
        if view == "difference":
            return [{**FLOWS[0], "difference": "missing"}, {**FLOWS[1], "difference": "surplus"}]
        return FLOWS

    def explain(self, what: str) -> Mapping[str, object]:
        self.asked.append(("explain", what))
        return {"cookie": what, "app": "switching", "text": f"switching for port p ({what})", "name": "vm1"}

    def explain_packet(self, question: PacketQuestion) -> Mapping[str, object]:
        self.questions.append(question)
        return TOLD


TOLD = {
    "packet": "tcp,nw_src=10.0.0.11,nw_dst=10.0.0.12,tp_dst=80",
    "connection": "new",
    "flows": "desired",
    "verdict": "dropped",
    "text": "dies on h2 in to_verdict: no rule",
    "arrivals": [],
    "outside": [],
    "steps": [
        {"host": "h1", "table": "classify", "text": "in network net1; from port vm1", "reason": None},
        {"host": "h1", "table": "underlay", "text": "by tunnel to h2, VNI 101", "reason": None},
        {"host": "h2", "table": "to_verdict", "text": "dropped: no rule", "reason": "not_allowed_to"},
    ],
    "left_out": "flows that are none of ours: 2 on h2",
}


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


def command(words: Sequence[str], stdin: str = "") -> Result:
    """`sdnctl WORDS`, in this process."""
    out, err, before = io.StringIO(), io.StringIO(), (sys.stdout, sys.stderr, sys.stdin)
    sys.stdout, sys.stderr, sys.stdin = out, err, io.StringIO(stdin)
    try:
        status = cli.main(words)
    except SystemExit as end:
        status = int(str(end.code or 0))
    finally:
        sys.stdout, sys.stderr, sys.stdin = before
    assert "Traceback" not in err.getvalue()
    return Result(status, out.getvalue(), err.getvalue())


@dataclass
class Api:
    """An API, and the command that asks it."""

    url: str
    repository: Repository
    fabric: Fabric

    def run(self, line: str, *, stdin: str = "") -> Result:
        """`sdnctl LINE`, in this process; the API answers on the same hub."""
        return command(shlex.split(line), stdin)

    def ok(self, line: str, *, stdin: str = "") -> Result:
        result = self.run(line, stdin=stdin)
        assert result.status == 0, result.err
        return result

    def json(self, line: str) -> dict[str, object]:
        """The object that a command prints."""
        found: dict[str, object] = json.loads(self.ok(f"{line} -f json").out)
        return found

    def sent(self, kind: str) -> Object:
        """The newest object of that kind, as the API keeps it."""
        return list(self.repository.objects[kind].values())[-1]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    repository, fabric = Repository(), Fabric()
    server = Server(Application(repository, by_token(repository), fabric=fabric), "127.0.0.1", 0)
    server.start()
    monkeypatch.setenv("SDNCTL_URL", server.url)
    monkeypatch.setenv("SDNCTL_TOKEN", ADMIN)
    monkeypatch.setenv("COLUMNS", "100")
    yield Api(server.url, repository, fabric)
    server.stop(0)


@pytest.fixture
def lan(api: Api) -> Api:
    """With a network `net1`, its subnet `lan`, and a project `demo`."""
    api.ok("network create net1")
    api.ok("subnet create lan --network net1 --cidr 10.0.0.0/24")
    api.ok("project create demo")
    return api


__all__ = ["COOKIE", "PROJECT"]
