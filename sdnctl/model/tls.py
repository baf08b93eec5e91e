# SPDX-License-Identifier: Apache-2.0
"""The files that prove who we are and whom we trust, for OpenFlow and OVSDB alike."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tls:
    """Paths of PEM files."""

    private_key: str
    certificate: str
    """Ours, followed by the intermediate ones if there are any."""
    ca: str
    """Who must have signed the other side's certificate."""
