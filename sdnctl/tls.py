# SPDX-License-Identifier: Apache-2.0
"""The process's own certificate and the authority it trusts, for connections to and from hosts."""

from __future__ import annotations

import ssl
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tls:
    """Paths of PEM files. Both ends of every connection must present a certificate of `ca_certificate`."""

    private_key: str
    certificate: str
    ca_certificate: str

    def client_context(self) -> ssl.SSLContext:
        """A context for connections we open. Peers are addresses, so names in certificates are not compared."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        return self._load(context)

    def server_context(self) -> ssl.SSLContext:
        """A context for connections we accept; the peer must present a certificate too."""
        return self._load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))

    def _load(self, context: ssl.SSLContext) -> ssl.SSLContext:
        context.verify_mode = ssl.CERT_REQUIRED
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(self.ca_certificate)
        context.load_cert_chain(self.certificate, self.private_key)
        return context
