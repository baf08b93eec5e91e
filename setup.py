# SPDX-License-Identifier: Apache-2.0
"""Everything stands in pyproject.toml."""

from setuptools import setup

setup()
