# SPDX-License-Identifier: Apache-2.0
"""The hosts' OVSDB servers. The only package that imports ovsdbapp and ovs."""

from sdnctl.ovsdb.link import HostLink
from sdnctl.ovsdb.remote import Remotes

__all__ = ["HostLink", "Remotes"]
