# SPDX-License-Identifier: Apache-2.0
"""Indexes of sets: a key to the ids that have it. A key without any is not in the index."""

from __future__ import annotations

from typing import TypeVar

Key = TypeVar("Key", int, str, tuple[str, int])


def enter(index: dict[Key, set[str]], key: Key, value: str) -> None:
    """Have a value under the key."""
    index.setdefault(key, set()).add(value)


def drop(index: dict[Key, set[str]], key: Key, value: str) -> None:
    """Take a value out from under the key, and the key with its last one."""
    index[key].discard(value)
    if not index[key]:
        del index[key]


def move(index: dict[str, set[str]], value: str, old: str | None, new: str | None) -> None:
    """Have a value under another key than before; None is none."""
    if old is not None:
        drop(index, old, value)
    if new is not None:
        enter(index, new, value)
