# SPDX-License-Identifier: Apache-2.0
"""The API behind a socket: `Server(application, host, port).start()`, and `stop()`."""

from __future__ import annotations

from sdnctl import log
from sdnctl.api.app import Application
from sdnctl.errors import InvalidError
from sdnctl.runtime import HttpServer


class Server:
    """Listens from the moment it is made, answers from `start` to `stop`."""

    def __init__(self, application: Application, host: str, port: int, *, timeout_s: float = 60.0) -> None:
        """Port 0 takes any free one; InvalidError when the address cannot be had. `timeout_s` bounds slow clients."""
        try:
            self._http = HttpServer(application, host, port, client_timeout_s=timeout_s)
        except OSError as error:
            raise InvalidError(f"the API cannot listen on {host}:{port}: {error.strerror}") from error

    @property
    def url(self) -> str:
        """The root of the API."""
        host, port = self._http.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def start(self) -> None:
        self._http.start()
        log.info("api listens", url=self.url)

    def stop(self, grace_s: float = 5.0) -> None:
        """Accept nobody from now on; requests on their way have `grace_s` to finish."""
        self._http.stop(grace_s)
