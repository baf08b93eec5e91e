# SPDX-License-Identifier: Apache-2.0
"""Rules of security groups: checked, and compared by what they mean.

Rules are never changed, only made and deleted. A group has each meaning once: `tcp` is `6`, `0.0.0.0/0` is no prefix,
and all names of ICMP are one for each IP version. Whether connections outlive a rule (`established`) and its
description are not part of what it means. What the switch cannot match is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from netaddr import IPNetwork
from sqlalchemy import Row, delete, select

from sdnctl import runtime
from sdnctl.errors import ConflictError, ForbiddenError, InvalidError
from sdnctl.model import ip_protocols
from sdnctl.model.security import Established
from sdnctl.store import tables
from sdnctl.store.bodies import new_id, number_of, refuse_unknown, text_of
from sdnctl.store.objects import ADDRESS_GROUP, SECURITY_GROUP, SECURITY_GROUP_RULE
from sdnctl.store.ranges import parse_network
from sdnctl.store.write import Write, owns

REMOTES: Final = ("remote_ip_prefix", "remote_group_id", "remote_address_group_id")

_CREATED: Final = frozenset(
    {
        *REMOTES,
        "security_group_id",
        "project_id",
        "description",
        "direction",
        "ethertype",
        "protocol",
        "port_range_min",
        "port_range_max",
        "established",
    }
)
_ICMP_MOST: Final = 255
_PORT_MOST: Final = 65535
_rule = tables.security_group_rules.c


def create(write: Write, bodies: Sequence[Mapping[str, object]]) -> list[str]:
    """Insert the rules; their ids."""
    write.require_writer()
    groups: dict[str, Row[Any]] = {}
    for group_id in sorted({str(body.get("security_group_id")) for body in bodies}):
        groups[group_id] = _claim_group(write, group_id)
    for kind, name in ((SECURITY_GROUP, "remote_group_id"), (ADDRESS_GROUP, "remote_address_group_id")):
        write.hold(kind, (str(body[name]) for body in bodies if body.get(name) is not None))
    ids: dict[int, str] = {}
    for group_id, group in groups.items():
        mine = [at for at, body in enumerate(bodies) if str(body.get("security_group_id")) == group_id]
        ids.update(zip(mine, insert(write, group_id, group.project_id, [bodies[at] for at in mine]), strict=True))
        write.touch(SECURITY_GROUP, group_id)
    return [ids[at] for at in range(len(bodies))]


def remove(write: Write, rule_id: str, if_match: int | None) -> None:
    group_id = write.connection.execute(select(_rule.security_group_id).where(_rule.id == rule_id)).scalar()
    group = None if group_id is None else write.lock(tables.security_groups, group_id)
    write.see(SECURITY_GROUP_RULE, rule_id, if_match)
    if group is None:
        raise SECURITY_GROUP_RULE.not_found(rule_id)
    _require_owner(write, group)
    write.touch(SECURITY_GROUP, group.id)
    write.connection.execute(delete(tables.security_group_rules).where(_rule.id == rule_id))


def insert(write: Write, group_id: str, project_id: str, bodies: Sequence[Mapping[str, object]]) -> list[str]:
    """Insert rules of a group that nobody else changes; their ids."""
    query = select(_rule.form, _rule.id).where(_rule.security_group_id == group_id)
    present = {row.form: row.id for row in write.connection.execute(query)}
    rows: list[dict[str, object]] = []
    for body in runtime.in_slices(bodies):
        row = _row(write, body)
        if (other := present.get(row["form"])) is not None:
            raise ConflictError(
                f"Security group rule already exists. Rule id is {other}; delete that one first if only its "
                "description or established should differ.",
                kind="SecurityGroupRuleExists",
            )
        row |= {"security_group_id": group_id, "project_id": project_id}
        present[row["form"]] = row["id"]
        write.created(SECURITY_GROUP_RULE, str(row["id"]))
        rows.append(row)
    write.insert(tables.security_group_rules, rows)
    return [str(row["id"]) for row in rows]


def _claim_group(write: Write, group_id: str) -> Row[Any]:
    group = write.lock(tables.security_groups, group_id)
    write.see(SECURITY_GROUP, group_id, None)
    if group is None:
        raise SECURITY_GROUP.not_found(group_id)
    _require_owner(write, group)
    return group


def _require_owner(write: Write, group: Row[Any]) -> None:
    if not owns(write.ctx, group):
        raise ForbiddenError(f"Security group {group.id} belongs to another project; only that project may change it.")


# ---------------------------------------------------------------------------------------------------- from body to row


def _row(write: Write, body: Mapping[str, object]) -> dict[str, Any]:
    refuse_unknown(body, _CREATED)
    ethertype = text_of(body, "ethertype") or "IPv4"
    version = 6 if ethertype == "IPv6" else 4
    direction = str(body["direction"])
    protocol = text_of(body, "protocol")
    number = None if protocol is None else _protocol(protocol, version)
    first, last = _ports(protocol, number, body)
    prefix = _prefix(body, version)
    remote = _remote(body, prefix)
    return {
        "id": new_id(write),
        "description": str(body.get("description", "")),
        "created_at": write.now,
        "updated_at": write.now,
        "revision_number": 1,
        "direction": direction,
        "ethertype": ethertype,
        "protocol": protocol,
        "port_range_min": first,
        "port_range_max": last,
        "remote_ip_prefix": text_of(body, "remote_ip_prefix"),
        "normalized_cidr": None if prefix is None else str(prefix),
        "remote_group_id": text_of(body, "remote_group_id"),
        "remote_address_group_id": text_of(body, "remote_address_group_id"),
        "established": Established(text_of(body, "established") or "cut").value,
        "form": f"{direction} {version} {number} {first} {last} {remote}",
    }


def _protocol(protocol: str, version: int) -> int:
    number = ip_protocols.number(protocol, version)
    if version == 4 and protocol in ip_protocols.ONLY_IPV6:
        raise InvalidError(
            f"protocol: {protocol} does not exist in IPv4; set ethertype to IPv6, or name another protocol.",
            kind="SecurityGroupEthertypeConflictWithProtocol",
        )
    if version == 6 and number in ip_protocols.EXTENSIONS:
        raise InvalidError(
            f"protocol: {protocol} is an extension header in IPv6, and rules see the protocol behind those; "
            "name that protocol, or leave it out."
        )
    return number


def _ports(protocol: str | None, number: int | None, body: Mapping[str, object]) -> tuple[int | None, int | None]:
    """(port_range_min, port_range_max): ports, or the type and code of ICMP."""
    first, last = number_of(body, "port_range_min"), number_of(body, "port_range_max")
    if first is None and last is None:
        return None, None
    if number is None:
        raise InvalidError(
            "port_range_min, port_range_max: ports need a protocol; name it (tcp, udp, sctp), or leave the ports out.",
            kind="SecurityGroupProtocolRequiredWithPorts",
        )
    if number in (ip_protocols.ICMP, ip_protocols.ICMPV6):
        _check_icmp(first, last)
    elif number in ip_protocols.WITH_PORTS:
        _check_ports(first, last)
    else:
        raise InvalidError(
            f"port_range_min, port_range_max: the switch sees no ports in protocol {protocol}, only in tcp, udp and "
            "sctp; leave them out.",
            kind="SecurityGroupInvalidProtocolForPort",
        )
    return first, last


def _check_icmp(kind: int | None, code: int | None) -> None:
    if kind is None:
        raise InvalidError(
            f"port_range_min: ICMP code (port_range_max) {code} is given without a type; give the type here.",
            kind="SecurityGroupMissingIcmpType",
        )
    for name, value in (("port_range_min", kind), ("port_range_max", code)):
        if value is not None and not 0 <= value <= _ICMP_MOST:
            what = "type" if name == "port_range_min" else "code"
            raise InvalidError(
                f"{name}: {value} is no ICMP {what}; it is a number from 0 to {_ICMP_MOST}.",
                kind="SecurityGroupInvalidIcmpValue",
            )


def _check_ports(first: int | None, last: int | None) -> None:
    if first is None or last is None:
        missing = "port_range_min" if first is None else "port_range_max"
        raise InvalidError(
            f"{missing}: a range has two ends; send it too (for one port, the same number twice).",
            kind="SecurityGroupInvalidPortRange",
        )
    for name, port in (("port_range_min", first), ("port_range_max", last)):
        if not 1 <= port <= _PORT_MOST:
            raise InvalidError(
                f"{name}: {port} is no port; it is a number from 1 to {_PORT_MOST}.",
                kind="SecurityGroupInvalidPortValue",
            )
    if first > last:
        raise InvalidError(
            f"port_range_min: {first} is more than port_range_max, {last}; swap them.",
            kind="SecurityGroupInvalidPortRange",
        )


def _prefix(body: Mapping[str, object], version: int) -> IPNetwork | None:
    """The network of `remote_ip_prefix`; null and absent are none."""
    if body.get("remote_ip_prefix") is None:
        return None
    prefix = parse_network(body["remote_ip_prefix"], "remote_ip_prefix").cidr
    if prefix.version != version:
        raise InvalidError(
            f"remote_ip_prefix: {body['remote_ip_prefix']} is IPv{prefix.version} and ethertype is IPv{version}; "
            "make them agree.",
            kind="SecurityGroupRuleParameterConflict",
        )
    return prefix


def _remote(body: Mapping[str, object], prefix: IPNetwork | None) -> str:
    """The other end as part of what the rule means; everybody is ""."""
    given = [name for name in REMOTES if body.get(name) is not None]
    if len(given) > 1:
        raise InvalidError(
            f"{', '.join(given)}: a rule has one other end; keep one of them and make another rule for the other.",
            kind="SecurityGroupRemoteGroupAndRemoteIpPrefix",
        )
    if not given or (prefix is not None and not prefix.prefixlen):
        return ""
    return str(prefix) if prefix is not None else str(body[given[0]])
