# SPDX-License-Identifier: Apache-2.0
"""Exceptions to answers: status, error type, message. The only place that knows which exception is which code."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sdnctl.errors import (
    ConflictError,
    ForbiddenError,
    HostGoneError,
    InvalidError,
    NotFoundError,
    PreconditionError,
    SdnctlError,
    UnavailableError,
)

STATUS: Final[tuple[tuple[type[SdnctlError], int], ...]] = (
    (InvalidError, 400),
    (ForbiddenError, 403),
    (NotFoundError, 404),
    (ConflictError, 409),
    (PreconditionError, 412),
    (UnavailableError, 503),
    (HostGoneError, 503),
)
"""Status of each of our exceptions, and of what is derived from it. Any other is a bug: 500."""


class HttpError(SdnctlError):
    """A refusal that is HTTP's own business: 401, 405, 408, 413, 414, 503."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        headers: tuple[tuple[str, str], ...] = (),
        *,
        hangs_up: bool = False,
    ) -> None:
        super().__init__(message, kind=kind)
        self.status = status
        self.headers = headers
        self.hangs_up = hangs_up
        """Part of the request is unread; the connection ends with this answer."""


def bad_request(message: str) -> InvalidError:
    """A request that is wrong in itself, whatever its values are."""
    return InvalidError(message, kind="HTTPBadRequest")


def not_found_here() -> NotFoundError:
    """There is nothing at this path."""
    return NotFoundError("The resource could not be found.")


def method_not_allowed(method: str, methods: Iterable[str]) -> HttpError:
    """The path exists, for other methods."""
    allow = ", ".join(methods)
    return HttpError(
        405, "HTTPMethodNotAllowed", f"{method} is not allowed here; allowed: {allow}.", (("Allow", allow),)
    )


def status_of(error: SdnctlError) -> int | None:
    """The status that answers `error`; None if it should never have come this far."""
    if isinstance(error, HttpError):
        return error.status
    return next((status for kind, status in STATUS if isinstance(error, kind)), None)


def neutron_error(kind: str, message: str) -> dict[str, object]:
    """The body of every error but 401."""
    return {"NeutronError": {"type": kind, "message": message, "detail": ""}}


def unauthorized(message: str) -> dict[str, object]:
    """The body of a 401, in the form of Keystone's middleware."""
    return {"error": {"code": 401, "title": "Unauthorized", "message": message}}
