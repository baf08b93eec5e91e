# SPDX-License-Identifier: Apache-2.0
"""A switch of its own for each test: what a test leaves in an OVSDB is the next one's surprise."""

from __future__ import annotations

import pytest

from tests.support.dummy_ovs import dummy_switches

switch = pytest.fixture(dummy_switches)
