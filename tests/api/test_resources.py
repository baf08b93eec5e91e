# SPDX-License-Identifier: Apache-2.0
"""The tables are consistent in themselves, with the extensions we advertise, and with the functions behind them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sdnctl.api import semantics
from sdnctl.api.extensions import BY_ALIAS, EXTENSIONS
from sdnctl.api.resources import PARTS, RESOURCES, Attribute, Default, May, Resource

ROWS = [
    pytest.param(resource, attribute, id=f"{resource.name}.{attribute.name}")
    for resource in RESOURCES
    for attribute in resource.attributes
]

OF_REQUESTS = {
    "project-id",
    "pagination",
    "sorting",
    "filter-validation",
    "empty-string-filtering",
    "ip-substring-filtering",
    "revision-if-match",
    "net-mtu-writable",
    "tag-creation",
    "tag-ports-during-bulk-creation",
    "port-security-groups-filtering",
    "qos-rule-type-details",
    "qos-rule-type-filter",
    "qos-rules-alias",
    "sdnctl-projects",
    "sdnctl-tokens",
    "sdnctl-flows",
    "sdnctl-host-check",
    "sdnctl-security-events",
    "sdnctl-wait",
}
"""Aliases that bring behaviour or whole resources; tests of that behaviour prove them."""


@pytest.mark.parametrize(("resource", "attribute"), ROWS)
def test_row(resource: Resource, attribute: Attribute) -> None:
    """A default is a value of its type, a required attribute can be sent, help is a sentence."""
    may_be_sent = May.CREATE in attribute.may
    if isinstance(attribute.default, Default):
        assert may_be_sent or attribute.default is Default.ABSENT
    else:
        assert may_be_sent
        assert attribute.type.parse(attribute.default, attribute.name) == attribute.default
    assert attribute.help.endswith(".")
    assert attribute.alias == "core" or attribute.alias in BY_ALIAS
    assert attribute.change_by is None or May.UPDATE in attribute.may


def test_every_alias_is_proved_by_an_attribute_or_a_test_of_behaviour() -> None:
    used = {attribute.alias for resource in (*RESOURCES, *PARTS) for attribute in resource.attributes}
    used |= {action.alias for resource in RESOURCES for action in resource.actions}
    assert {extension.alias for extension in EXTENSIONS} == (used - {"core"}) | OF_REQUESTS


def test_every_action_has_its_function_and_every_function_its_action() -> None:
    actions = {(resource.name, action.name): action.method for resource in RESOURCES for action in resource.actions}
    assert {key for key, method in actions.items() if method == "PUT"} == set(semantics.CHANGES)
    assert {key for key, method in actions.items() if method == "GET"} == set(semantics.VIEWS)


def test_an_attribute_may_not_stand_twice() -> None:
    twice = RESOURCES[0].attributes[:1] * 2
    with pytest.raises(ValueError, match="stands twice"):
        Resource("thing", "things", "Things.", twice)


def test_the_tables_are_there_without_the_server() -> None:
    """The command line reads them: neither webob nor SQLAlchemy nor the hub come along."""
    code = (
        "import sys, sdnctl.api.resources\n"
        "print([name for name in ('webob', 'sqlalchemy', 'eventlet') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
