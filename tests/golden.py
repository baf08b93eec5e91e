# SPDX-License-Identifier: Apache-2.0
"""Golden files: the exact flows of one interesting case, as `ovs-ofctl` prints them.

A file begins with comment lines that explain the case; they survive an update. Then come the flows, sorted by table,
priority (highest first) and text, so that two runs never differ by order alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

import pytest


class FlowLike(Protocol):
    """What a golden file needs of a flow."""

    @property
    def table(self) -> int: ...
    @property
    def priority(self) -> int: ...
    def text(self) -> str: ...


def lines_of(flows: Iterable[FlowLike]) -> list[str]:
    """The flows as text in golden order."""
    return [text for *_, text in sorted((int(flow.table), -flow.priority, flow.text()) for flow in flows)]


class Golden:
    """The golden files under one directory."""

    def __init__(self, directory: Path, *, update: bool) -> None:
        self._directory = directory
        self._update = update

    def check(self, case: str, flows: Iterable[FlowLike]) -> None:
        """Fail unless the flows are exactly those of the file of this `case`, e.g. `switching/vlan`."""
        self.check_lines(case, lines_of(flows))

    def check_lines(self, case: str, lines: Iterable[str]) -> None:
        """The same for anything else that is lines of text."""
        path = self._directory / f"{case}.flows"
        have = path.read_text().splitlines() if path.exists() else []
        comment = [line for line in have if line.startswith("#")]
        want = list(lines)
        if self._update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join([*comment, *want]) + "\n")
            return
        if not path.exists():
            pytest.fail(f"{path} does not exist: look at what --update-golden writes, then explain it in its comment")
        assert have[len(comment) :] == want, f"{path} differs; if the change is meant, --update-golden and say why"
