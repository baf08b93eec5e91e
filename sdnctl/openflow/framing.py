# SPDX-License-Identifier: Apache-2.0
"""A stream of bytes cut into OpenFlow messages.

Nothing here trusts the peer: a length that cannot be raises `MalformedError`, after which the stream is of no use.
Messages are handed out as soon as they are complete, however the bytes came in.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Final

from sdnctl.errors import SdnctlError

HEADER: Final = Struct("!BBHI")
"""Version, type, length of the whole message, xid."""

_LENGTH: Final = Struct("!H")


class MalformedError(SdnctlError):
    """The peer sent something that is not OpenFlow as we speak it; its connection ends, nothing else does."""

    kind = "Malformed"


class Framer:
    """Collects bytes and gives whole messages."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def held(self) -> int:
        """Bytes of a message that is not complete yet."""
        return len(self._rest)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that `data` completes. Exhaust it before the next `feed`."""
        if self._rest:
            data = self._rest + data
        end = len(data)
        at = 0
        length_at = _LENGTH.unpack_from
        try:
            while end - at >= HEADER.size:
                length = length_at(data, at + 2)[0]
                if length < HEADER.size:
                    raise MalformedError(f"a message claims a length of {length} bytes, less than its header has")
                if end - at < length:
                    return
                message = data[at : at + length]
                at += length
                yield message
        finally:
            self._rest = data[at:]
