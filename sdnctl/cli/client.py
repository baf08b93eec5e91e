# SPDX-License-Identifier: Apache-2.0
"""The REST API from the client's side: requests, errors, pages, names.

Only the standard library, so that a command starts at once. A connection is kept for the requests of one command.
"""

from __future__ import annotations

import http.client
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from sdnctl.api.resources import Resource

Object = dict[str, object]
Query = Sequence[tuple[str, str]]

PAGE: Final = 1000
"""Objects to one page of a list."""
TIMEOUT_S: Final = 300.0
"""Longest silence of the server; waiting for hosts is part of it."""
DEFAULT_URL: Final = "http://127.0.0.1:9696"
UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class CommandError(Exception):
    """Something the user must know: the command ends with this one line and exit status `status`."""

    status = 1


class UsageError(CommandError):
    """The command line itself is wrong, as only the command could tell."""

    status = 2


class RefusedError(CommandError):
    """The API said no."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class UnreachableError(CommandError):
    """There is no API where we asked."""

    status = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    body: Object
    pending: str = ""
    """Hosts that had not confirmed a write in time, after `wait=applied`."""


class Client:
    """Talks to one API with one token."""

    def __init__(self, url: str, token: str, timeout_s: float = TIMEOUT_S) -> None:
        self._url = _checked(url)
        self._shown = url.rstrip("/")
        self._headers = {"Accept": "application/json"}
        if token:
            self._headers["X-Auth-Token"] = token
        self._timeout_s = timeout_s
        self._connection: http.client.HTTPConnection | None = None

    # ---------------------------------------------------------------------------------------------------- requests

    def request(
        self, method: str, path: str, query: Query = (), body: object = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """The answer to a request; RefusedError or UnreachableError when there is none to speak of."""
        data = None if body is None else json.dumps(body).encode()
        sent = {**self._headers, **(headers or {})}
        if data is not None:
            sent["Content-Type"] = "application/json"
        target = self._url.path.rstrip("/") + path + ("?" + urlencode(query) if query else "")
        response, content = self._exchange(method, target, data, sent)
        if response.status >= 400:
            raise RefusedError(_reason(response, content), response.status)
        return Answer(self._decoded(content), response.headers.get("X-Sdnctl-Pending") or "")

    def get(self, path: str, query: Query = ()) -> Object:
        return self.request("GET", path, query).body

    def _exchange(
        self, method: str, target: str, data: bytes | None, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """One request. A kept connection that the server has closed meanwhile is opened again, to read."""
        is_kept = self._connection is not None
        try:
            connection = self._connection or self._connect()
            self._connection = connection
            connection.request(method, target, body=data, headers=dict(headers))
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if is_kept and method == "GET" and isinstance(error, ConnectionError):
                # A write is not sent again: the server may have carried it out before the connection broke.
                return self._exchange(method, target, data, headers)
            raise self._unreachable(error) from None
        if response.will_close:
            self.close()
        return response, content

    def _connect(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        return kind(self._url.hostname or "", self._url.port, timeout=self._timeout_s)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _unreachable(self, error: Exception) -> UnreachableError:
        if isinstance(error, TimeoutError):
            return UnreachableError(f"no answer from {self._shown} within {self._timeout_s:.0f} s")
        if isinstance(error, OSError):
            # A failed look-up of a name has numbers of its own, which are negative.
            number = error.errno or 0
            why = os.strerror(number) if number > 0 else error.strerror or str(error)
            return UnreachableError(
                f"cannot reach {self._shown}: {why}; is `sdnctl serve` running there? $SDNCTL_URL or --url says where"
            )
        return UnreachableError(f"{self._shown} does not speak HTTP: {type(error).__name__}")

    def _decoded(self, content: bytes) -> Object:
        if not content:
            return {}
        try:
            found = json.loads(content)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise UnreachableError(f"{self._shown} is not the API of sdnctl: its answer is no JSON object")
        return found

    # ----------------------------------------------------------------------------------------------------- objects

    def list(self, resource: Resource, query: Query = (), limit: int | None = None) -> Iterator[Object]:
        """All objects that match, at most `limit`, page by page."""
        path = f"/v2.0/{resource.path}"
        marker: Query = ()
        while limit is None or limit > 0:
            size = PAGE if limit is None else min(PAGE, limit)
            body = self.get(path, [*query, ("limit", str(size)), *marker])
            page = _objects(body.get(resource.collection))
            yield from page
            if len(page) < size:
                return
            if limit is not None:
                limit -= size
            marker = [("marker", str(page[-1]["id"]))]

    def show(self, resource: Resource, reference: str) -> Object:
        """The object of that id or name."""
        if UUID.fullmatch(reference):
            body = self.get(f"/v2.0/{resource.path}/{reference}")
        else:
            body = self.get(f"/v2.0/{resource.path}/{self._named(resource, reference)}")
        return _objects([body.get(resource.key)])[0]

    def id_of(self, resource: Resource, reference: str) -> str:
        """The id of the object of that id or name. An id is not looked up: the request that uses it will tell."""
        return reference if UUID.fullmatch(reference) else self._named(resource, reference)

    def _named(self, resource: Resource, name: str) -> str:
        query = [("name", name), ("fields", "id")]
        ids = [str(item["id"]) for item in self.list(resource, query)]
        if len(ids) == 1:
            return ids[0]
        if not ids:
            raise CommandError(f"there is no {resource.title} with the name or id {name!r}")
        shown = ", ".join(ids[:10]) + (", ..." if len(ids) > 10 else "")
        raise CommandError(f"{len(ids)} {resource.title}s have the name {name!r}; say which by its id: {shown}")

    def path(self, resource: Resource, object_id: str, action: str = "") -> str:
        below = f"/{quote(action, safe='')}" if action else ""
        return f"/v2.0/{resource.path}/{quote(object_id, safe='')}{below}"


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_right = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_right = False
    if not is_right or parts.query or parts.fragment or parts.username:
        raise CommandError(f"{url!r} is no address of the API; write for example {DEFAULT_URL}")
    return parts


def _objects(found: object) -> list[Object]:
    """`found`, which should be a list of objects."""
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise UnreachableError("the answer is not what the API of sdnctl answers")
    return found


def _reason(response: http.client.HTTPResponse, content: bytes) -> str:
    """The API's own words, and the request's id for whoever reads the log."""
    message = ""
    try:
        body = json.loads(content)
        error = body.get("NeutronError") or body.get("error") or body
        message = str(error.get("message") or "") if isinstance(error, dict) else str(error)
    except (ValueError, AttributeError):
        pass
    message = message or response.reason or "no reason given"
    if response.status == 401:
        message = (
            message.rstrip(".") + "; put a token into $SDNCTL_TOKEN, or run as who may read the admin token's file"
        )
    request_id = response.headers.get("X-Openstack-Request-Id")
    return f"{message} ({response.status}{', ' + request_id if request_id else ''})"
