# SPDX-License-Identifier: Apache-2.0
"""The attributes of a port that need no address space: checked, with their defaults, as column values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from netaddr import EUI, AddrFormatError
from sqlalchemy import Row, select

from sdnctl.errors import ConflictError, InvalidError
from sdnctl.model.port import DHCP_OWNER
from sdnctl.model.request import Object
from sdnctl.store import port_filters, tables
from sdnctl.store.bodies import list_of, listed
from sdnctl.store.ranges import parse_network
from sdnctl.store.space import mac_text
from sdnctl.store.write import Write

_PLAIN: Final[Mapping[str, tuple[str, object]]] = {
    "name": ("name", ""),
    "description": ("description", ""),
    "admin_state_up": ("admin_state_up", True),
    "device_id": ("device_id", ""),
    "device_owner": ("device_owner", ""),
    "dns_name": ("dns_name", ""),
    "dns_domain": ("dns_domain", ""),
    "binding:host_id": ("binding_host", ""),
    "binding:vnic_type": ("vnic_type", "normal"),
}
"""Attribute to (column, default); null means the default."""

ATTRIBUTES: Final = frozenset(
    {
        *_PLAIN,
        *port_filters.ATTRIBUTES,
        "binding:profile",
        "allowed_address_pairs",
        "extra_dhcp_opts",
        "plug",
    }
)
"""What this module understands; all of it can be changed."""

_MULTICAST: Final = 1 << 40
_port = tables.ports.c


def new(write: Write, body: Mapping[str, object], *, network: Row[Any], mac: str) -> dict[str, object]:
    """The columns of a new port."""
    values: dict[str, object] = dict(_PLAIN.values())
    values.update(
        binding_profile="",
        allowed_address_pairs="",
        extra_dhcp_opts="",
        plug_host=None,
        plug_type=None,
        plug_interface=None,
    )
    values.update(port_filters.of_new_port(write, network, body))
    nothing: Object = {
        "mac_address": mac,
        "allowed_address_pairs": [],
        "extra_dhcp_opts": [],
        "port_security_enabled": values["port_security_enabled"],
        "plug": None,
        "binding:host_id": "",
        "id": "",
    }
    values.update(_changed(write, nothing, body))
    return values


def changed(write: Write, network: Row[Any], port: Object, changes: Mapping[str, object]) -> dict[str, object]:
    """The columns that `changes` change. `port` is what the port is now."""
    values = port_filters.of_changed_port(write, network, port, changes)
    return values | _changed(write, {**port, **values}, changes)


def _changed(write: Write, port: Object, changes: Mapping[str, object]) -> dict[str, object]:
    """The columns that `changes` change, where port security is as `port` has it."""
    values: dict[str, object] = {}
    for name, (column, default) in _PLAIN.items():
        if name in changes:
            values[column] = default if changes[name] is None else changes[name]
    if values.get("device_owner") == DHCP_OWNER:
        raise InvalidError(
            f"device_owner: {DHCP_OWNER} is kept for the port that subnets with DHCP make by themselves; use another."
        )
    if "binding:profile" in changes:
        profile = changes["binding:profile"]
        values["binding_profile"] = profile if isinstance(profile, Mapping) else {}
    pairs = list_of(port, "allowed_address_pairs")
    if "allowed_address_pairs" in changes:
        values["allowed_address_pairs"] = pairs = _pairs(
            write, list_of(changes, "allowed_address_pairs"), str(port["mac_address"])
        )
    if pairs and not port["port_security_enabled"]:
        raise ConflictError(
            "allowed_address_pairs need port_security_enabled: clear them, or leave port security on.",
            kind="AddressPairAndPortSecurityRequired",
        )
    if "extra_dhcp_opts" in changes:
        values["extra_dhcp_opts"] = _merged(list_of(port, "extra_dhcp_opts"), list_of(changes, "extra_dhcp_opts"))
    values.update(_plug(write, port, changes))
    return values


def mac(value: object) -> str:
    """The MAC address in the form we keep; InvalidError if no station may have it."""
    try:
        number = int(EUI(value if isinstance(value, str) else repr(value), 48))
    except (AddrFormatError, ValueError):
        raise InvalidError(f"mac_address: {value!r} is no MAC address; write it like fa:16:3e:00:00:01.") from None
    if number & _MULTICAST or number == 0:
        raise InvalidError(f"mac_address: {value} is no station's address; its first byte must be even, and not all 0.")
    return mac_text(number)


def refuse_too_many(write: Write, entries: Sequence[object]) -> None:
    if len(entries) > write.settings.max_fixed_ips:
        raise InvalidError(
            f"fixed_ips: {len(entries)} addresses are too many; a port has at most {write.settings.max_fixed_ips}."
        )


def _pairs(write: Write, pairs: Sequence[Mapping[str, object]], own_mac: str) -> list[dict[str, str]]:
    """Address pairs with their MACs filled in."""
    most = write.settings.max_allowed_address_pairs
    if len(pairs) > most:
        raise InvalidError(
            f"allowed_address_pairs: {len(pairs)} exceed the maximum of {most}; use larger prefixes.",
            kind="AllowedAddressPairExhausted",
        )
    answer: list[dict[str, str]] = []
    seen: set[tuple[str, str]] = set()
    for number, pair in enumerate(pairs):
        if pair.get("ip_address") is None:
            raise InvalidError(f"allowed_address_pairs[{number}]: ip_address is required.", kind="HTTPBadRequest")
        prefix = parse_network(pair["ip_address"], f"allowed_address_pairs[{number}].ip_address")
        pair_mac = own_mac if pair.get("mac_address") is None else mac(pair["mac_address"])
        if (pair_mac, str(prefix)) in seen:
            raise InvalidError(
                f"allowed_address_pairs: {pair_mac} with {pair['ip_address']} stands there twice; name it once."
            )
        seen.add((pair_mac, str(prefix)))
        answer.append({"mac_address": pair_mac, "ip_address": str(pair["ip_address"])})
    return answer


def _merged(present: Sequence[Mapping[str, Any]], changes: Sequence[Mapping[str, Any]]) -> list[Object]:
    """DHCP options after a change: by name and version, null removes."""
    options: dict[tuple[str, int], Object] = {}
    for option in (*present, *changes):
        key = str(option["opt_name"]), int(option.get("ip_version") or 4)
        if option.get("opt_value") is None:
            options.pop(key, None)
        else:
            options[key] = {"opt_name": key[0], "opt_value": str(option["opt_value"]), "ip_version": key[1]}
    return list(options.values())


def _plug(write: Write, port: Object, changes: Mapping[str, object]) -> dict[str, object]:
    """The columns of a changed plug, which must agree with the binding."""
    values: dict[str, object] = {}
    plug = changes.get("plug", port["plug"])
    if "plug" in changes:
        values = {"plug_host": None, "plug_type": None, "plug_interface": None}
    if not isinstance(plug, Mapping):
        return values
    host = str(plug.get("host"))
    bound = changes.get("binding:host_id", port["binding:host_id"]) or ""
    if bound not in ("", host):
        raise ConflictError(
            f"binding:host_id: the port is plugged into host {host} and cannot be bound to {bound}; unplug it first.",
            kind="PortBound",
        )
    if "plug" not in changes or plug == port["plug"]:
        return values if "plug" not in changes else dict(zip(values, _plug_values(plug), strict=True))
    hosts = list(write.connection.execute(select(tables.hosts.c.name)).scalars())
    if host not in hosts:
        raise InvalidError(f"plug.host: there is no host {host!r}; known are {listed(hosts)}.")
    interface = str(plug.get("interface"))
    query = select(_port.id).where(_port.plug_host == host, _port.plug_interface == interface, _port.id != port["id"])
    holder = write.connection.execute(query).scalar()
    if holder is not None:
        raise ConflictError(
            f"plug.interface: {interface} on host {host} belongs to port {holder}; choose another name.",
            kind="InterfaceInUse",
        )
    return dict(zip(values, _plug_values(plug), strict=True))


def _plug_values(plug: Mapping[str, object]) -> tuple[str, str, str]:
    return str(plug.get("host")), str(plug.get("type") or "internal"), str(plug.get("interface"))
