# SPDX-License-Identifier: Apache-2.0
"""The API over a real store: an admin, and members of two projects, with tokens that the API made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sdnctl.api.app import Application
from sdnctl.api.auth import by_token
from sdnctl.store import Settings, Store
from tests.api.client import Client
from tests.api.fake import FakeFabric

SETTINGS = Settings(vlan_ranges={"physnet1": ((100, 110),)}, underlay_mtu=1500)


class Live:
    """`admin`, `blue`, `red` and `service` are secrets; blue and red are members of projects of their own."""

    def __init__(self, store: Store, admin: str) -> None:
        self.store = store
        self.fabric = FakeFabric()
        self.client = Client(Application(store, by_token(store), fabric=self.fabric))
        self.admin = admin
        self.projects = {name: str(self.make("project", name=name)["id"]) for name in ("blue", "red")}
        self.blue = self.token("blue", "member")
        self.red = self.token("red", "member")
        self.service = self.token("red", "service")

    def token(self, project: str, *roles: str) -> str:
        """The secret of a new token."""
        return str(self.make("token", project_id=self.projects[project], roles=list(roles))["secret"])

    def make(self, kind: str, token: str | None = None, **values: object) -> dict[str, object]:
        return self.client.make(kind, token=token or self.admin, **values)

    def network(self, token: str | None = None, cidr: str = "10.0.0.0/24", **values: object) -> dict[str, object]:
        """A network with one subnet."""
        network = self.make("network", token, **values)
        self.make("subnet", token, network_id=network["id"], ip_version=6 if ":" in cidr else 4, cidr=cidr)
        return network


@contextmanager
def opened(directory: Path) -> Iterator[Live]:
    """The API over a new database in this directory."""
    store = Store.open(f"sqlite:///{directory / 'sdnctl.db'}", SETTINGS)
    store.ensure_admin_token(directory / "admin-token")
    yield Live(store, (directory / "admin-token").read_text().strip())
    store.close()
