# SPDX-License-Identifier: Apache-2.0
"""One request on its way through a handler: what was asked, by whom, and what it may use to answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from webob import Request

from sdnctl.api import bodies
from sdnctl.api.answers import Reply
from sdnctl.api.errors import HttpError, bad_request
from sdnctl.api.fabric import Fabric
from sdnctl.api.queries import Parameters
from sdnctl.model.ids import Revision
from sdnctl.model.request import Context, Repository

_REVISION_NUMBER: Final = re.compile(r'\s*"?revision_number="?([0-9]{1,18})"?\s*')
_CHUNK: Final = 64 * 1024
MEBIBYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a request may cost."""

    body: int = 4 * MEBIBYTE
    """Bytes of a body; a bulk of 1 000 ports with everything set is about 1 MiB."""
    url: int = 16 * 1024
    """Characters of path and query."""
    wait_s: float = 60.0
    """How long `wait=applied` waits for hosts."""


@dataclass(slots=True, kw_only=True)
class Call:
    """What a handler gets."""

    request: Request
    context: Context
    repository: Repository
    fabric: Fabric
    limits: Limits
    names: Mapping[str, str]
    """The variable parts of the path."""
    parameters: Parameters
    """The query, decoded, in its order."""
    waits: bool
    """The answer to a write shall wait until hosts have confirmed."""

    @property
    def url(self) -> str:
        """The root of the API as the client knows it, without a slash at its end."""
        return public_url(self.request)

    @property
    def if_match(self) -> int | None:
        """The revision number that `If-Match` asks for; anything else in that header asks for nothing."""
        match = _REVISION_NUMBER.fullmatch(self.request.headers.get("If-Match", ""))
        return int(match[1]) if match else None

    def body(self) -> object:
        """The JSON of the body; refused before it is read when it is too long."""
        return bodies.decode(read_body(self.request, self.limits.body))

    def written(self, revision: Revision, reply: Reply, again: Callable[[], object] | None = None) -> Reply:
        """`reply` to a write, with its revision; after waiting, if the caller asked for it, with `again()` as body."""
        self.fabric.notify(revision)
        headers = [*reply.headers, ("X-Sdnctl-Revision", str(revision))]
        body = reply.body
        if self.waits:
            pending = self.fabric.wait_applied(revision, self.limits.wait_s)
            if pending:
                headers.append(("X-Sdnctl-Pending", ", ".join(pending)))
            if again is not None:
                body = again()
        return Reply(reply.status, body, tuple(headers), reply.content_type)


Handler = Callable[[Call], Reply]


def decoded_path(request: Request) -> str:
    """The path; a refusal if it is not UTF-8."""
    try:
        return str(request.environ["PATH_INFO"]).encode("latin-1").decode() or "/"
    except UnicodeError:
        raise bad_request("The URL's path is not UTF-8.") from None


def decoded_query(request: Request) -> Parameters:
    """The query as pairs, in order; a refusal if it is not UTF-8."""
    try:
        query = str(request.environ.get("QUERY_STRING", "")).encode("latin-1").decode()
        return parse_qsl(query, keep_blank_values=True, errors="strict")
    except ValueError:
        raise bad_request("The URL's query is not UTF-8.") from None


def wants_to_wait(request: Request, parameters: Parameters) -> bool:
    """Whether `?wait=applied`, or a header of that name, asks to wait until hosts have confirmed."""
    headers = request.headers
    wish = next((value for name, value in parameters if name == "wait"), None)
    wish = wish or headers.get("X-Sdnctl-Wait") or headers.get("Wait")
    if wish not in {None, "applied"}:
        raise bad_request(f"'{wish[:40]}' is nothing to wait for; the only value is wait=applied.")
    return wish is not None


def public_url(request: Request) -> str:
    """The root of the API as the client sees it: a proxy in between says so in X-Forwarded headers."""
    headers = request.headers
    scheme = headers.get("X-Forwarded-Proto", request.scheme).partition(",")[0].strip()
    host = headers.get("X-Forwarded-Host", request.host).partition(",")[0].strip()
    prefix = headers.get("X-Forwarded-Prefix", request.script_name).partition(",")[0].strip().rstrip("/")
    return f"{scheme}://{host}{prefix}"


def read_body(request: Request, limit: int) -> bytes:
    """The body, of at most `limit` bytes. A longer one is neither read to its end nor kept."""
    try:
        return _read_body(request, limit)
    except TimeoutError:
        raise HttpError(408, "HTTPRequestTimeout", "The body did not arrive in time.", hangs_up=True) from None
    except (OSError, ValueError) as error:
        raise HttpError(400, "HTTPBadRequest", f"The body could not be read: {error}.", hangs_up=True) from None


def _read_body(request: Request, limit: int) -> bytes:
    source = request.environ["wsgi.input"]
    declared = request.environ.get("CONTENT_LENGTH")
    if declared:
        length = int(declared)
        if length > limit:
            raise _too_large(limit)
        body: bytes = source.read(length)
        if len(body) < length:
            raise OSError("it ended before its Content-Length")
        return body
    if "chunked" not in request.headers.get("Transfer-Encoding", "").lower():
        return b""
    chunks = []
    size = 0
    while chunk := source.read(_CHUNK):
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    return b"".join(chunks)


def _too_large(limit: int) -> HttpError:
    message = f"The body is larger than {limit} bytes; send it in several requests."
    return HttpError(413, "HTTPRequestEntityTooLarge", message, hangs_up=True)
