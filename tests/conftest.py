# SPDX-License-Identifier: Apache-2.0
"""What every test has: the hub, the golden files, and a reason when something cannot run here.

The standard library is patched before anything else is imported, so tests run on the hub as the controller does:
what blocks there blocks here.
"""

from __future__ import annotations

from sdnctl import runtime

runtime.install()

import os
from collections.abc import Generator
from pathlib import Path

import eventlet
import hypothesis
import pytest

from tests.golden import Golden

hypothesis.settings.register_profile("dev", max_examples=50, deadline=None)
hypothesis.settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True)
hypothesis.settings.register_profile("deep", max_examples=5000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden/ with what the code gives now")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with real packets need root; anybody else may run the rest."""
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("net"):
            item.add_marker(pytest.mark.skip(reason="needs root: namespaces and real packets"))


LIMIT_S = 120
"""How long a test may take, its fixtures included. `@pytest.mark.limit(seconds)` for those that need more."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test that waits too long fails where it waits. (A signal would hit the hub, whoever happens to run.)"""
    marker = item.get_closest_marker("limit")
    seconds = marker.args[0] if marker else LIMIT_S
    with eventlet.Timeout(seconds, pytest.fail.Exception(f"took more than {seconds} s")):
        return (yield)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """`golden.check("app/case", flows)` compares with tests/golden/app/case.flows."""
    return Golden(Path(__file__).parent / "golden", update=request.config.getoption("--update-golden"))
