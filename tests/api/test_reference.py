# SPDX-License-Identifier: Apache-2.0
"""The page about the API says what the tables say."""

from __future__ import annotations

from pathlib import Path

from sdnctl.api import reference
from sdnctl.api.resources import RESOURCES

PAGE = Path(__file__).parents[2] / "docs" / "rest.md"


def test_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference.page(), "write reference.page() to docs/rest.md"


def test_every_row_is_on_the_page() -> None:
    lines = reference.page().splitlines()
    for resource in RESOURCES:
        begin = lines.index(f"## {resource.collection}")
        names = [line.split("`")[1] for line in lines[begin:] if line.startswith("| `")]
        assert names[: len(resource.attributes)] == [attribute.name for attribute in resource.attributes]
    assert "| `network_id` | ID | required |  | x | x | The network. |" in lines
