# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: A002  (the protocol says `id`)
"""A repository in memory, and a fabric without hosts that remembers what it was asked.

For tests of what the API itself does with a request. It knows owners and revisions and nothing of addresses; what
depends on the real store is tested with the real store.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sdnctl.api.resources import BY_NAME, EVERYONE
from sdnctl.errors import NotFoundError, PreconditionError
from sdnctl.model.ids import Revision
from sdnctl.model.question import PacketQuestion
from sdnctl.model.request import Context, Object, Query, Written

ADMIN = "admin-secret"
MEMBER = "member-secret"
OTHER = "other-secret"
READER = "reader-secret"
SERVICE = "service-secret"
PROJECT = "a" * 32
OTHER_PROJECT = "b" * 32

CALLERS = {
    ADMIN: Context(PROJECT, "admin", EVERYONE - {"service"}),
    MEMBER: Context(PROJECT, "member", frozenset({"member", "reader"})),
    OTHER: Context(OTHER_PROJECT, "other", frozenset({"member", "reader"})),
    READER: Context(PROJECT, "reader", frozenset({"reader"})),
    SERVICE: Context(PROJECT, "nova", frozenset({"service"})),
}
NOW = "2026-11-20T15:50:04Z"


@dataclass
class FakeRepository:
    """Objects by kind and id, in the order of their creation."""

    objects: dict[str, dict[str, Object]] = field(default_factory=dict)
    asked: list[Query] = field(default_factory=list)
    broken: Exception | None = None
    """Raised by every method, when set."""

    def __post_init__(self) -> None:
        self._revisions = itertools.count(1)
        self._last = 0

    def _step(self) -> Revision:
        self._last = next(self._revisions)
        return Revision(self._last)

    def revision(self) -> Revision:
        self._check()
        return Revision(self._last)

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken

    def authenticate(self, secret: str, request_id: str = "") -> Context | None:
        self._check()
        found = CALLERS.get(secret)
        return replace(found, request_id=request_id) if found else None

    def create(self, ctx: Context, kind: str, bodies: Sequence[Mapping[str, object]]) -> Written:
        self._check()
        made: list[Object] = []
        for body in bodies:
            item: Object = {"id": str(uuid.uuid4()), **dict.fromkeys(("created_at", "updated_at"), NOW), **body}
            made.append(item | {"tags": [], "revision_number": 1})
        self.objects.setdefault(kind, {}).update({str(item["id"]): item for item in made})
        return Written(self._step(), tuple(made))

    def update(
        self, ctx: Context, kind: str, id: str, changes: Mapping[str, object], if_match: int | None = None
    ) -> Written:
        item = self.get(ctx, kind, id)
        if if_match not in {None, item["revision_number"]}:
            raise PreconditionError(f"revision is {item['revision_number']}")
        item = {**item, **changes, "revision_number": int(str(item["revision_number"])) + 1}
        self.objects[kind][id] = item
        return Written(self._step(), (item,))

    def delete(self, ctx: Context, kind: str, id: str, if_match: int | None = None) -> Revision:
        self.get(ctx, kind, id)
        del self.objects[kind][id]
        return self._step()

    def get(self, ctx: Context, kind: str, id: str) -> Object:
        self._check()
        item = self.objects.get(kind, {}).get(id)
        if item is None or not self._sees(ctx, item):
            name = BY_NAME[kind].error
            raise NotFoundError(f"{name} {id} could not be found.", kind=f"{name}NotFound")
        return item

    def list(self, ctx: Context, kind: str, query: Query) -> list[Object]:
        self._check()
        self.asked.append(query)
        found = [item for item in self.objects.get(kind, {}).values() if self._sees(ctx, item)]
        for name, values in query.filters:
            found = [item for item in found if item.get(name) in values]
        return found[: query.limit or None]

    @staticmethod
    def _sees(ctx: Context, item: Object) -> bool:
        return ctx.is_admin or item.get("project_id", ctx.project_id) == ctx.project_id

    def replace_tags(
        self, ctx: Context, kind: str, id: str, tags: Sequence[str], if_match: int | None = None
    ) -> Written:
        return self.update(ctx, kind, id, {"tags": list(tags)}, if_match)

    def add_tags(self, ctx: Context, kind: str, id: str, tags: Sequence[str], if_match: int | None = None) -> Written:
        old = self.get(ctx, kind, id)["tags"]
        assert isinstance(old, list)
        return self.update(ctx, kind, id, {"tags": sorted({*old, *tags})}, if_match)

    def remove_tag(self, ctx: Context, kind: str, id: str, tag: str, if_match: int | None = None) -> Written:
        old = self.get(ctx, kind, id)["tags"]
        assert isinstance(old, list)
        if tag not in old:
            raise NotFoundError(f"Tag {tag} could not be found.", kind="TagNotFound")
        return self.update(ctx, kind, id, {"tags": [one for one in old if one != tag]}, if_match)


@dataclass
class FakeFabric:
    """Hosts that never confirm, or have confirmed everything."""

    pending: tuple[str, ...] = ()
    notified: list[int] = field(default_factory=list)
    waited: list[tuple[int, float]] = field(default_factory=list)
    questions: list[PacketQuestion] = field(default_factory=list)
    findings: list[Object] = field(
        default_factory=lambda: [{"check": "version", "verdict": "ok", "finding": "Open vSwitch 3.1.0", "remedy": ""}]
    )

    def notify(self, revision: Revision) -> None:
        self.notified.append(revision)

    def wait_applied(self, revision: Revision, timeout_s: float) -> tuple[str, ...]:
        self.waited.append((revision, timeout_s))
        return self.pending

    def host_status(self, name: str) -> Mapping[str, object]:
        return {"state": "LIVE", "applied_revision": 7, "error": "", "flows": 12, "unknown": "never shown"}

    def port_status(self, port_id: str) -> Mapping[str, object]:
        return {"observed_ips": []}

    def flows(self, name: str, view: str) -> Sequence[Mapping[str, object]]:
        mine = {"flow": f"{view} of {name}", "app": "dhcp", "object": "o", "project_id": PROJECT}
        return (mine, {**mine, "app": "classify", "object": "p"})

    def check(self, name: str) -> Mapping[str, object]:
        return {"host": name, "findings": self.findings, "needs": {"tunnel_mtu": 1500, "physical_mtu": {}}}

    def port_statistics(self, port_id: str) -> Mapping[str, object]:
        drops = [{"direction": "egress", "reason": "foreign_arp", "text": "it did", "packets": 7}]
        limited = {"direction": "ingress", "limit": "bandwidth", "text": "too much", "packets": 3, "bytes": 4200}
        passed = {"port_id": port_id, "host": "h1", "sent_packets": 9, "sent_bytes": 540}
        return {**passed, "drops": drops, "limit_drops": [limited]}

    def explain(self, what: str) -> Mapping[str, object]:
        return {"cookie": what, "app": "dhcp"}

    def explain_packet(self, question: PacketQuestion) -> Mapping[str, object]:
        self.questions.append(question)
        return {"verdict": "arrives", "text": "arrives", "steps": []}
