# SPDX-License-Identifier: Apache-2.0
"""sdnctl: an SDN controller application for Open vSwitch."""

from typing import Final

__version__: Final = "0.1.0"
