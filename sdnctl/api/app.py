# SPDX-License-Identifier: Apache-2.0
"""The REST application: WSGI in, WSGI out.

    request -> route -> who asks -> handler -> Reply -> response

Every answer has a request id, and every request is one line in the log. An exception of ours becomes the answer it
stands for; any other is a bug, logged with its request id and answered 500 without saying more.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any, Final

from webob import Request, Response

from sdnctl import log
from sdnctl.api import errors, openapi
from sdnctl.api.answers import Reply, encoded
from sdnctl.api.auth import Authenticator
from sdnctl.api.call import Call, Limits, decoded_path, decoded_query, wants_to_wait
from sdnctl.api.errors import HttpError
from sdnctl.api.fabric import Fabric, NoFabric
from sdnctl.api.routes import ROUTES, Route, Router
from sdnctl.errors import SdnctlError
from sdnctl.model.request import Context, Repository
from sdnctl.runtime import HANG_UP

Observe = Callable[[str, str, int, float], None]
"""(method, route, status, seconds) of a request that was answered, for metrics."""

_UNKNOWN: Final = "unknown"
_NOBODY: Final = Context("", "", frozenset())
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Application:
    """Answers requests. Built once; holds nothing of any request."""

    def __init__(
        self,
        repository: Repository,
        authenticate: Authenticator,
        *,
        fabric: Fabric | None = None,
        limits: Limits | None = None,
        metrics: Callable[[], tuple[bytes, str]] | None = None,
        observe: Observe | None = None,
    ) -> None:
        """`metrics()` is the body and content type of `GET /metrics`; `observe` is told of every request."""
        self._repository = repository
        self._authenticate = authenticate
        self._fabric = fabric or NoFabric()
        self._limits = limits or Limits()
        self._metrics = metrics or (lambda: (b"", "text/plain"))
        self._observe = observe or _unobserved
        routes = (
            *ROUTES,
            Route("GET", "/healthz", self._healthz, "Whether it works.", public=True),
            Route("GET", "/metrics", self._show_metrics, "Prometheus metrics.", public=True),
            Route("GET", "/openapi.json", self._show_openapi, "This document.", public=True),
        )
        self._router = Router(routes)
        self._openapi = encoded(openapi.document(routes))

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Callable[[bytes], object]]
    ) -> Iterable[bytes]:
        started = time.perf_counter()
        request = Request(environ)
        request_id = f"req-{uuid.uuid4()}"
        seen: dict[str, str] = {"route": _UNKNOWN}
        reply = self._reply(request, request_id, seen)
        if reply.hangs_up and HANG_UP in environ:
            environ[HANG_UP]()
        response = _response(reply, request_id)
        seconds = time.perf_counter() - started
        method = request.method if request.method in _METHODS else _UNKNOWN
        self._observe(method, seen["route"], reply.status, seconds)
        log.info(
            "request",
            method=method,
            path=str(environ.get("PATH_INFO", "")),
            status=reply.status,
            ms=round(seconds * 1000, 1),
            request_id=request_id,
            project=seen.get("project", ""),
            client=str(environ.get("REMOTE_ADDR", "")),
        )
        answer: Iterable[bytes] = response(environ, start_response)
        return answer

    def _reply(self, request: Request, request_id: str, seen: dict[str, str]) -> Reply:
        try:
            return self._handle(request, request_id, seen)
        except SdnctlError as error:
            status = errors.status_of(error)
            if status is None:
                return _bug(request_id, error)
            body = errors.unauthorized(str(error)) if status == 401 else errors.neutron_error(error.kind, str(error))
            if isinstance(error, HttpError):
                return Reply(status, body, error.headers, hangs_up=error.hangs_up)
            return Reply(status, body)
        except Exception as error:  # noqa: BLE001  (one request must not harm the others; it is logged and counted)
            return _bug(request_id, error)

    def _handle(self, request: Request, request_id: str, seen: dict[str, str]) -> Reply:
        environ = request.environ
        size = len(environ.get("RAW_PATH_INFO") or environ["PATH_INFO"]) + len(environ.get("QUERY_STRING", ""))
        if size > self._limits.url:
            raise HttpError(414, "HTTPRequestURITooLong", f"The URL is longer than {self._limits.url} characters.")
        path = decoded_path(request)
        try:
            route, names = self._router.find(request.method, path)
        except SdnctlError:
            # Who has no token learns nothing about what is there.
            self._authenticate(request, request_id)
            raise
        seen["route"] = route.path
        context = _NOBODY if route.public else self._authenticate(request, request_id)
        seen["project"] = context.project_id
        parameters = decoded_query(request)
        call = Call(
            request=request,
            context=context,
            repository=self._repository,
            fabric=self._fabric,
            limits=self._limits,
            names=names,
            parameters=parameters,
            waits=route.method != "GET" and wants_to_wait(request, parameters),
        )
        return route.handler(call)

    def _healthz(self, _call: Call) -> Reply:
        return Reply(200, {"status": "ok", "revision": self._repository.revision()})

    def _show_metrics(self, _call: Call) -> Reply:
        body, content_type = self._metrics()
        return Reply(200, body, content_type=content_type)

    def _show_openapi(self, _call: Call) -> Reply:
        return Reply(200, self._openapi)


def _unobserved(_method: str, _route: str, _status: int, _seconds: float) -> None:
    pass


def _bug(request_id: str, error: Exception) -> Reply:
    log.exception("request failed", request_id=request_id, error=repr(error))
    message = f"Request Failed: internal server error while processing your request ({request_id})."
    return Reply(500, errors.neutron_error("HTTPInternalServerError", message))


def _response(reply: Reply, request_id: str) -> Response:
    headers = [*reply.headers, ("X-Openstack-Request-Id", request_id)]
    if reply.body is None:
        return Response(status=reply.status, headerlist=[*headers, *_no_body(reply.status)])
    body = reply.body if isinstance(reply.body, bytes) else encoded(reply.body)
    headers += [("Content-Type", reply.content_type), ("Content-Length", str(len(body)))]
    return Response(body=body, status=reply.status, headerlist=headers)


def _no_body(status: int) -> tuple[tuple[str, str], ...]:
    """An answer without body has its length, and 204 may not even have that."""
    return () if status == 204 else (("Content-Length", "0"),)
