# SPDX-License-Identifier: Apache-2.0
"""The small integers of the data plane. Each is a type of its own, because mixing two of them is *the* bug here.

Objects are known by their UUID in REST and by a *key* in registers, cookies and tunnels. A key is allotted in the
transaction that creates the object, is unique per kind in the whole cloud, and is never 0.
"""

from __future__ import annotations

from typing import NewType

NetworkKey = NewType("NetworkKey", int)
"""A network's key, 1 .. 2**24-1: what registers carry to say which network a packet is in. Not the VNI."""

PortKey = NewType("PortKey", int)
"""A port's key, 1 .. 2**31-1: what registers carry to say which port a packet came from or goes to."""

HostKey = NewType("HostKey", int)
"""A host's key, 1 .. 2**16-1."""

GroupKey = NewType("GroupKey", int)
"""A security group's, address group's or IP group's key, 1 .. 2**30. The kinds share one series of numbers."""

Ofport = NewType("Ofport", int)
"""An OpenFlow port number on one bridge, 1 .. 0xfeff."""

Revision = NewType("Revision", int)
"""A number of the journal: the state after that entry."""
