# SPDX-License-Identifier: Apache-2.0
"""Who asks: from the headers of a request to a Context, by the mode `sdnctl serve --auth` chose.

Both modes are functions of one shape, and a third (Keystone) is one more of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from webob import Request

from sdnctl.api.errors import HttpError
from sdnctl.api.resources import EVERYONE
from sdnctl.model.request import Context, Repository

Authenticator = Callable[[Request, str], Context]
"""(request, request id) -> who asks; HttpError 401 for nobody."""

TOKEN_HEADER: Final = "X-Auth-Token"  # noqa: S105  (a header's name)
PROJECT_HEADER: Final = "X-Project-Id"
DEFAULT_PROJECT: Final = "00000000000000000000000000000000"
"""Owner of what is made in mode `none` by a request that names no project."""
_PROJECT_LIMIT: Final = 255


def by_token(repository: Repository) -> Authenticator:
    """Mode `token`: the bearer of a token that the repository knows."""

    def authenticate(request: Request, request_id: str) -> Context:
        secret = request.headers.get(TOKEN_HEADER, "")
        context = repository.authenticate(secret, request_id) if secret else None
        if context is None:
            reason = "is unknown or has expired" if secret else "is missing"
            raise HttpError(
                401,
                "Unauthorized",
                f"The request you have made requires authentication: the header {TOKEN_HEADER} {reason}.",
                headers=(("WWW-Authenticate", f'Keystone uri="{request.host_url}"'),),
            )
        return context

    return authenticate


def nobody_asked(default_project: str = DEFAULT_PROJECT) -> Authenticator:
    """Mode `none`: everyone is admin, of the project a header names."""

    def authenticate(request: Request, request_id: str) -> Context:
        project = request.headers.get(PROJECT_HEADER, "")[:_PROJECT_LIMIT] or default_project
        return Context(project, "admin", EVERYONE, request_id)

    return authenticate
