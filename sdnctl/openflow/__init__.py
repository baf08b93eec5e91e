# SPDX-License-Identifier: Apache-2.0
"""OpenFlow connections from bridges: `Listener` accepts them, `Connection` is one of them.

The only package that imports os_ken. Here os-ken gives the protocol's numbers, names and request messages; connections
and everything that is received are our own, because its own trust their peer (see `messages`) and block their callers.
"""

from sdnctl.openflow.channel import Limits
from sdnctl.openflow.connection import Connection
from sdnctl.openflow.listener import Listener

__all__ = ["Connection", "Limits", "Listener"]
