# SPDX-License-Identifier: Apache-2.0
"""Our exceptions. Each says what was wrong with which object, and what would be right.

The API turns the first six into status codes (`sdnctl/api/errors.py`); the rest stop one host, never the process,
and show in that host's status.
"""


class SdnctlError(Exception):
    """Any error of ours. `kind` is the Networking API's error type, e.g. `NetworkNotFound`."""

    kind = "SdnctlError"

    def __init__(self, message: str, *, kind: str | None = None) -> None:
        super().__init__(message)
        if kind is not None:
            self.kind = kind


class InvalidError(SdnctlError):
    """The request is wrong (400): which field, why, and what would be right."""

    kind = "InvalidInput"


class ForbiddenError(SdnctlError):
    """The caller may see the object, and may not do this to it (403)."""

    kind = "PolicyNotAuthorized"


class NotFoundError(SdnctlError):
    """There is no such object, or the caller may not see it (404)."""

    kind = "HTTPNotFound"


class ConflictError(SdnctlError):
    """The request is right, and the present state of things forbids it (409)."""

    kind = "Conflict"


class PreconditionError(SdnctlError):
    """`If-Match` named a revision that is no longer the object's (412)."""

    kind = "RevisionNumberConstraintFailed"


class UnavailableError(SdnctlError):
    """What the request needs is away, as a rule the database (503); the same request may work later."""

    kind = "ServiceUnavailable"


class HostGoneError(SdnctlError):
    """The connection to a host ended while we were waiting for an answer; it is tried again by itself."""

    kind = "HostGone"


class SwitchRefusedError(SdnctlError):
    """The switch refused messages we sent: `refusals` names each one.

    Each refusal is `(index of the message in what was sent, OpenFlow error type, OpenFlow error code)`.
    """

    kind = "SwitchRefused"

    def __init__(self, message: str, refusals: tuple[tuple[int, int, int], ...]) -> None:
        super().__init__(message)
        self.refusals = refusals
