# SPDX-License-Identifier: Apache-2.0
"""A real switch for the tests of this directory."""

import pytest

from tests.support.dummy_ovs import dummy_switches

switch = pytest.fixture(scope="module", name="switch")(dummy_switches)
