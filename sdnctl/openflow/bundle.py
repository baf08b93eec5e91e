# SPDX-License-Identifier: Apache-2.0
"""Messages made ready for one `apply`: numbered by their xids, and wrapped for a bundle.

The xid is what an error repeats; consecutive ones tell which message it is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Final

from os_ken.ofproto import ofproto_v1_4 as ofp

from sdnctl.openflow.messages import VERSION

ATOMIC_ORDERED: Final[int] = ofp.OFPBF_ATOMIC | ofp.OFPBF_ORDERED

_ADD: Final = Struct("!BBHIIxxH4sI")
"""Header, bundle, flags, then the header of the wrapped message, which must have the same xid."""
_XID: Final = Struct("!4sI")


def numbered(plain: Sequence[bytes], first_xid: int) -> Iterator[bytes]:
    """Each message with its xid."""
    for xid, message in enumerate(plain, first_xid):
        yield _XID.pack(message[:4], xid) + message[8:]


def bundled(wrapped: Sequence[bytes], bundle: int, first_xid: int) -> Iterator[bytes]:
    """Each message with its xid, as an addition to a bundle."""
    pack = _ADD.pack
    kind = ofp.OFPT_BUNDLE_ADD_MESSAGE
    for xid, message in enumerate(wrapped, first_xid):
        yield pack(VERSION, kind, 16 + len(message), xid, bundle, ATOMIC_ORDERED, message[:4], xid) + message[8:]
