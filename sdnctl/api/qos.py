# SPDX-License-Identifier: Apache-2.0
"""Which types of QoS rules there are, what they take, and what is said of types that there are none of.

What a type takes is read off the table of its rules, so it cannot differ from what a request is checked by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from sdnctl.api.answers import Reply
from sdnctl.api.attributes import Boolean, Choice, Integer
from sdnctl.api.call import Call
from sdnctl.api.errors import bad_request
from sdnctl.api.resources import PARTS, QOS_POLICY, May, Resource
from sdnctl.errors import InvalidError, NotFoundError
from sdnctl.model.request import Object

TYPES: Final[Mapping[str, Resource]] = {
    part.name.removesuffix("_rule"): part for part in PARTS if part.parent is QOS_POLICY
}
DRIVER: Final = "sdnctl"
UNBUILT: Final = ("minimum_bandwidth", "minimum_packet_rate", "packet_rate")
"""Types of the Networking API for which there is nothing here: a meter holds back, it promises nobody anything."""
_FILTERS: Final = frozenset({"all_supported", "all_rules"})


def list_types(call: Call) -> Reply:
    """All types. Each is supported by all there is, so the filters that ask for more find the same."""
    for name, value in call.parameters:
        if name in _FILTERS:
            Boolean().parse(value, name)
        elif name != "fields":
            raise bad_request(f"['{name}'] is invalid attribute for filtering rule_types.")
    wanted = {value for name, value in call.parameters if name == "fields"}
    return Reply(200, {"rule_types": [_cut({"type": name}, wanted) for name in TYPES]})


def show_type(call: Call) -> Reply:
    """One type with what its rules take."""
    name = call.names["type"]
    rules = TYPES.get(name)
    if rules is None:
        known = ", ".join(TYPES)
        raise NotFoundError(f"There is no QoS rule type {name[:64]}; there are {known}.", kind="QosRuleTypeNotFound")
    drivers = [{"name": DRIVER, "supported_parameters": list(_parameters(rules))}]
    wanted = {value for key, value in call.parameters if key == "fields"}
    return Reply(200, {"rule_type": _cut({"type": name, "drivers": drivers}, wanted)})


def refuse_type(name: str, call: Call) -> Reply:
    """Rules of a type that we cannot carry out."""
    call.repository.get(call.context, QOS_POLICY.name, call.names["qos_policy_id"])
    raise InvalidError(
        f"{name} rules are not supported: what a port is held to is limited, never guaranteed. "
        f"Rule types are {', '.join(TYPES)}.",
        kind="QosRuleTypeNotSupported",
    )


def _parameters(rules: Resource) -> Iterator[Object]:
    for attribute in rules.attributes:
        if May.CREATE not in attribute.may:
            continue
        kind = attribute.type
        if isinstance(kind, Integer):
            yield _parameter(attribute.name, "range", {"start": kind.least, "end": kind.most})
        elif isinstance(kind, Choice):
            yield _parameter(attribute.name, "choices", list(kind.values))


def _parameter(name: str, kind: str, values: object) -> Object:
    return {"parameter_name": name, "parameter_type": kind, "parameter_values": values}


def _cut(item: Object, wanted: set[str]) -> Object:
    return {name: value for name, value in item.items() if not wanted or name in wanted}
