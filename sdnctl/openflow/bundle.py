# SPDX-License-Identifier: Apache-2.0
"""Messages made ready for one `apply`: numbered by their xids, and wrapped for a bundle.

The xid is what an error repeats; consecutive ones tell which message it is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Final

from sdnctl.flows import wire

_XID: Final = Struct("!4sI")


def numbered(plain: Sequence[bytes], first_xid: int) -> Iterator[bytes]:
    """Each message with its xid."""
    for xid, message in enumerate(plain, first_xid):
        yield _XID.pack(message[:4], xid) + message[8:]


def bundled(wrapped: Sequence[bytes], bundle: int, first_xid: int) -> Iterator[bytes]:
    """Each message with its xid, as an addition to a bundle."""
    for message in numbered(wrapped, first_xid):
        yield wire.bundle_add(bundle, message)
