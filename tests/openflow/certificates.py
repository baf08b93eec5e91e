# SPDX-License-Identifier: Apache-2.0
"""Certificates for tests: a CA and what it signed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from sdnctl.model.tls import Tls


class Authority:
    """A CA in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._directory = directory
        self._openssl(
            "req", "-x509", *_NEW_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test CA"
        )

    def issue(self, name: str) -> Tls:
        """A key and a certificate with this common name."""
        self._openssl(
            "req", *_NEW_KEY, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/O=sdnctl/CN={name}"
        )
        self._openssl(
            "x509",
            "-req",
            "-in",
            f"{name}.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-out",
            f"{name}.pem",
        )
        return Tls(*(str(self._directory / file) for file in (f"{name}.key", f"{name}.pem", "ca.pem")))

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(("openssl", *arguments), cwd=self._directory, check=True, capture_output=True)


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
