# SPDX-License-Identifier: Apache-2.0
"""Objects as text: tables for people; JSON, YAML, CSV and plain values for programs.

A table is aligned with spaces, never cut and never wrapped: what is too wide for the terminal is the terminal's to
wrap. Names are other people's, so control characters are written as escapes wherever people read.
"""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

FORMATS: Final = ("table", "json", "yaml", "value", "csv")

SYNONYMS: Final = frozenset({"tenant_id"})
"""Old names of attributes, which people need not see beside the right ones."""

Item = Mapping[str, object]


def heading(column: str) -> str:
    """`provider:network_type` as the head of a column."""
    return column.replace(":", " ").replace("_", " ").upper()


def plain(value: object) -> str:
    """A value in one line."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return escape(value)
        case dict():
            return ", ".join(f"{escape(str(key))}={plain(inner)}" for key, inner in value.items())
        case list() | tuple():
            return ", ".join(lines(value))
        case _:
            return str(value)


def brief(column: str, value: object) -> str:
    """A value in one line of a list: addresses without the subnets they are from."""
    if column == "fixed_ips" and isinstance(value, list):
        return ", ".join(plain(item.get("ip_address") if isinstance(item, dict) else item) for item in value)
    return plain(value)


def lines(value: object) -> list[str]:
    """A value in lines: a list has one for each item."""
    if isinstance(value, list | tuple):
        # An object in a list is bracketed, so that one sees where it ends.
        return [f"{{{plain(item)}}}" if isinstance(item, dict) and len(item) > 1 else plain(item) for item in value]
    return [plain(value)]


def escape(text: str) -> str:
    """`text` with everything that could move the cursor or colour the screen written as an escape."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def width(text: str) -> int:
    """Columns of a terminal that `text` takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(char) in {"W", "F"} for char in text)
    return len(text) + wide - sum(bool(unicodedata.combining(char)) for char in text)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(width(row[at]) for row in rows) for at in range(len(rows[0]))]
    out = []
    for row in rows:
        cells = [cell + " " * (wide - width(cell)) for cell, wide in zip(row, widths, strict=True)]
        out.append("  ".join(cells).rstrip() + "\n")
    return "".join(out)


def many(items: Sequence[Item], columns: Sequence[str], form: str, chosen: Sequence[str] = ()) -> str:
    """A list of objects. `columns` is what people see; `chosen`, if any, is all that programs see."""
    match form:
        case "json":
            return _json([cut(item, chosen) for item in items])
        case "yaml":
            return _yaml([cut(item, chosen) for item in items])
        case "csv":
            return _csv(chosen or columns, items)
        case "value":
            return "".join(" ".join(brief(column, item.get(column)) for column in columns) + "\n" for item in items)
        case _:
            if not items:
                return ""
            rows = [[brief(column, item.get(column)) for column in columns] for item in items]
            return _aligned([[heading(column) for column in columns], *rows])


def one(item: Item, form: str, chosen: Sequence[str] = ()) -> str:
    """One object, in full or the chosen columns of it."""
    columns = chosen or list(item)
    match form:
        case "json":
            return _json(cut(item, chosen))
        case "yaml":
            return _yaml(cut(item, chosen))
        case "csv":
            return _csv(columns, [item])
        case "value":
            return "".join(brief(column, item.get(column)) + "\n" for column in columns)
        case _:
            rows = []
            for column in chosen or [name for name in item if name not in SYNONYMS]:
                first, *rest = lines(item.get(column)) or [""]
                rows.append([heading(column), first])
                rows += [["", line] for line in rest]
            return _aligned(rows) if rows else ""


def cut(item: Item, columns: Sequence[str]) -> dict[str, object]:
    """`item` with these keys only; with all, when none is named."""
    return {column: item.get(column) for column in columns} if columns else dict(item)


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


def _yaml(value: object) -> str:
    import yaml  # noqa: PLC0415  (17 ms that only this format needs)

    return str(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=False))


def _csv(columns: Iterable[str], items: Iterable[Item]) -> str:
    """The names of the columns first; a list or object is JSON in its cell. Lines end as everywhere else here."""
    columns = list(columns)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for item in items:
        writer.writerow([_cell(item.get(column)) for column in columns])
    return out.getvalue()


def _cell(value: object) -> object:
    match value:
        case dict() | list() | bool():
            return json.dumps(value)
        case _:
            return value
