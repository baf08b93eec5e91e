# SPDX-License-Identifier: Apache-2.0
"""Requests without a socket: `client.post("/v2.0/networks", {...}, token=MEMBER)`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from webob import Request, Response

from sdnctl.api.app import Application
from sdnctl.api.resources import BY_NAME
from tests.api.fake import ADMIN


@dataclass(frozen=True)
class Client:
    application: Application

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = ADMIN,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """`body` is bytes as they are, or anything else as JSON."""
        request = Request.blank(path, method=method)
        if body is not None:
            request.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        if token is not None:
            request.headers["X-Auth-Token"] = token
        request.headers.update(headers or {})
        return request.get_response(self.application)

    def get(self, path: str, **options: object) -> Response:
        return self.request("GET", path, **options)  # type: ignore[arg-type]

    def post(self, path: str, body: object = None, **options: object) -> Response:
        return self.request("POST", path, body, **options)  # type: ignore[arg-type]

    def put(self, path: str, body: object = None, **options: object) -> Response:
        return self.request("PUT", path, body, **options)  # type: ignore[arg-type]

    def delete(self, path: str, **options: object) -> Response:
        return self.request("DELETE", path, **options)  # type: ignore[arg-type]

    def make(self, kind: str, token: str = ADMIN, **values: object) -> dict[str, object]:
        """A new object of this kind, as the answer shows it."""
        resource = BY_NAME[kind]
        response = self.post(f"/v2.0/{resource.path}", {resource.key: values}, token=token)
        assert response.status_int == 201, response.text
        made: dict[str, object] = response.json[resource.key]
        return made


def error(response: Response) -> tuple[int, str, str]:
    """(status, type, message) of a refusal."""
    assert response.content_type == "application/json"
    body = response.json["NeutronError"]
    assert set(body) == {"type", "message", "detail"}
    return response.status_int, body["type"], body["message"]
