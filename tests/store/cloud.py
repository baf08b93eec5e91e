# SPDX-License-Identifier: Apache-2.0
"""Short words for tests: who asks, and objects that need only be there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sdnctl.model.request import Context, Query
from sdnctl.store import Store

_MEMBER: Final = frozenset({"member", "reader"})
ALICE: Final = Context("alice-project", "alice", _MEMBER, "req-alice")
BOB: Final = Context("bob-project", "bob", _MEMBER, "req-bob")
READER: Final = Context("alice-project", "rita", frozenset({"reader"}), "req-rita")
NOVA: Final = Context("service-project", "nova", frozenset({"service"}), "req-nova")
ADMIN: Final = Context("admin-project", "root", frozenset({"admin", "manager", "member", "reader"}), "req-root")

V4: Final = "10.0.0.0/24"
V6: Final = "fd00::/64"
SLAAC: Final = {"ip_version": 6, "ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
NOWHERE: Final = "11111111-2222-4333-8444-555555555555"
"""The id of nothing."""

Object = dict[str, Any]


class Cloud:
    """A store, and what tests keep doing with it. Who asks is the last argument, by default Alice."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def create(self, kind: str, ctx: Context = ALICE, **body: object) -> Object:
        return self.store.create(ctx, kind, [body]).objects[0]

    def network(self, ctx: Context = ALICE, **body: object) -> Object:
        return self.create("network", ctx, **body)

    def subnet(self, network: Object, cidr: str = V4, ctx: Context = ALICE, **body: object) -> Object:
        version = 6 if ":" in cidr else 4
        return self.create("subnet", ctx, **{"network_id": network["id"], "ip_version": version, "cidr": cidr, **body})

    def port(self, network: Object, ctx: Context = ALICE, **body: object) -> Object:
        return self.create("port", ctx, network_id=network["id"], **body)

    def ports(self, network: Object, count: int, ctx: Context = ALICE, **body: object) -> list[Object]:
        return list(self.store.create(ctx, "port", [{"network_id": network["id"], **body}] * count).objects)

    def host(self, name: str = "h1", number: int = 1, **body: object) -> Object:
        values = {"name": name, "ovsdb": f"tcp:192.0.2.{number}:6640", "tunnel_ip": f"192.0.2.{number}", **body}
        return self.create("host", ADMIN, **values)

    def update(self, kind: str, found: Object, ctx: Context = ALICE, **changes: object) -> Object:
        return self.store.update(ctx, kind, found["id"], changes).objects[0]

    def delete(self, kind: str, found: Object, ctx: Context = ALICE) -> None:
        self.store.delete(ctx, kind, found["id"])

    def get(self, kind: str, found: Object, ctx: Context = ALICE) -> Object:
        return self.store.get(ctx, kind, found["id"])

    def list(self, kind: str, ctx: Context = ALICE, **filters: object) -> list[Object]:
        pairs = (
            (name, tuple(value) if isinstance(value, list | tuple) else (value,)) for name, value in filters.items()
        )
        return self.store.list(ctx, kind, Query(filters=tuple(pairs)))  # type: ignore[arg-type]

    def dhcp_port(self, network: Object) -> Object | None:
        found = self.list("port", ADMIN, network_id=network["id"], device_owner="network:dhcp")
        assert len(found) <= 1
        return found[0] if found else None

    def entries(self, after: int = 0) -> list[tuple[str, str, str, dict[str, list[Any]]]]:
        """(kind, id, operation, changes) of the journal after a revision."""
        return [
            (e["kind"], e["object_id"], e["operation"], e["changes"])
            for e in journal(self.store)
            if e["revision"] > after
        ]


def addresses(port: Object) -> list[str]:
    return [fixed["ip_address"] for fixed in port["fixed_ips"]]


def names(found: Sequence[Object]) -> list[str]:
    return [one["name"] for one in found]


def journal(store: Store) -> list[Object]:
    """The whole journal."""
    from sqlalchemy import select

    from sdnctl.store import tables

    query = select(tables.journal).order_by(tables.journal.c.revision)
    rows = store._database.read(lambda connection: connection.execute(query).mappings().all())
    return [dict(row) for row in rows]


def count_rows(store: Store, table: str) -> int:
    from sqlalchemy import func, select

    from sdnctl.store import tables

    query = select(func.count()).select_from(tables.metadata.tables[table])
    return int(store._database.read(lambda connection: connection.execute(query).scalar_one()))
