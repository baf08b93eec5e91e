# SPDX-License-Identifier: Apache-2.0
"""Which security filters a port has, and what new ports of a network start with.

`port_security_enabled` stands above them: without it all are off, and the choice among them is kept for when it comes
back. Rows hold what is off, so that most hold nothing.

Whoever shares a network with others, or a wire with the world (flat), relies on every port of it being who it says it
is. Only an admin may give that up; in a network of one's own, its owner may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, or_, select

from sdnctl.errors import ConflictError, ForbiddenError
from sdnctl.model.filters import NAMES
from sdnctl.model.network import NetworkType
from sdnctl.model.request import Object
from sdnctl.store import isolation, tables
from sdnctl.store.bodies import list_of, listed
from sdnctl.store.objects import security_filters
from sdnctl.store.write import Write

ATTRIBUTES: Final = frozenset({"port_security_enabled", "security_filters"})


def of_new_port(write: Write, network: Row[Any], body: Mapping[str, object]) -> dict[str, object]:
    """The columns of a new port."""
    values = _chosen(write, network, body, enabled=network.port_security_enabled, off=network.filters_off)
    isolation.refuse_loose_client(network, values)
    return values


def of_changed_port(write: Write, network: Row[Any], port: Object, body: Mapping[str, object]) -> dict[str, object]:
    """The columns of a port that `body` changes."""
    if ATTRIBUTES.isdisjoint(body):
        return {}
    row = tables.ports.c
    off = write.connection.execute(select(row.filters_off).where(row.id == str(port["id"]))).scalar_one()
    values = _chosen(write, network, body, enabled=bool(port["port_security_enabled"]), off=off)
    if not port["is_service_port"]:
        isolation.refuse_loose_client(network, values)
    return values


def of_new_network(write: Write, body: Mapping[str, object], network_type: str) -> dict[str, object]:
    """The columns of a new network."""
    values = _merged(enabled=True, off=(), body=body)
    others = _others(network_type, shared=bool(body.get("shared")), external=bool(body.get("router:external")))
    _refuse_relaxing(write, others, security_filters(enabled=True, off=()), values)
    return values


def of_changed_network(write: Write, network: Row[Any], body: Mapping[str, object]) -> dict[str, object]:
    """The columns of a network that `body` changes."""
    if ATTRIBUTES.isdisjoint(body):
        return {}
    return _chosen(write, network, body, enabled=network.port_security_enabled, off=network.filters_off)


def refuse_sharing(write: Write, network: Row[Any], body: Mapping[str, object]) -> None:
    """What its owner has relaxed while it was theirs alone, others must not find when it becomes theirs too."""
    if ATTRIBUTES.isdisjoint(body) and (network.filters_off or not network.port_security_enabled):
        raise ConflictError(
            f"shared: new ports of network {network.id} would have filters off; say what they start with in the same "
            "request (security_filters, port_security_enabled).",
            kind="InvalidSharedSetting",
        )
    port = tables.ports.c
    query = select(port.id).where(
        port.network_id == network.id, or_(port.port_security_enabled.is_(False), port.filters_off != [])
    )
    relaxed = list(write.connection.execute(query.order_by(port.id).limit(6)).scalars())
    if relaxed:
        raise ConflictError(
            f"shared: filters are off on ports of network {network.id}: {listed(relaxed)}. Turn them on first; "
            "once it is shared, an admin may turn them off.",
            kind="InvalidSharedSetting",
        )


def _chosen(
    write: Write, network: Row[Any], body: Mapping[str, object], *, enabled: bool, off: Sequence[str]
) -> dict[str, object]:
    """The columns after `body`, where they were `enabled` and `off` before; ForbiddenError if that is too loose."""
    values = _merged(enabled=enabled, off=off, body=body)
    others = _others(network.type, shared=network.shared, external=network.external)
    _refuse_relaxing(write, others, security_filters(enabled=enabled, off=off), values)
    return values


def _merged(*, enabled: bool, off: Sequence[str], body: Mapping[str, object]) -> dict[str, object]:
    if body.get("port_security_enabled") is not None:
        enabled = bool(body["port_security_enabled"])
    wish = body.get("security_filters")
    named = wish if isinstance(wish, Mapping) else {}
    if not enabled:
        # What is shown then is not the choice that is kept; whoever sends it back changes nothing.
        if turned_on := [name for name in NAMES if named.get(name)]:
            raise ConflictError(
                f"security_filters: {', '.join(turned_on)} cannot be on while port_security_enabled is false; "
                "set that to true in the same request, or leave them out.",
                kind="PortSecurityDisabled",
            )
    else:
        off = [name for name in NAMES if not named.get(name, name not in off)]
    return {"port_security_enabled": enabled, "filters_off": list(off)}


def _others(network_type: str, *, shared: bool, external: bool) -> str:
    """Why others rely on the filters of the network's ports; "" if nobody does."""
    if network_type == NetworkType.FLAT.value:
        return "flat"
    return "shared" if shared else "external" if external else ""


def _refuse_relaxing(write: Write, others: str, before: Mapping[str, bool], values: Mapping[str, object]) -> None:
    after = security_filters(enabled=bool(values["port_security_enabled"]), off=list_of(values, "filters_off"))
    loosened = [name for name in NAMES if before[name] and not after[name]]
    if not others or not loosened or write.ctx.is_admin:
        return
    attribute = "security_filters" if values["port_security_enabled"] else "port_security_enabled"
    raise ForbiddenError(
        f"{attribute}: the network is {others}, so others rely on every port of it being who it says it is; only an "
        f"admin may turn {', '.join(loosened)} off there. Use a network of your own, or ask for address pairs."
    )
