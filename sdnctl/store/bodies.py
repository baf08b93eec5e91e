# SPDX-License-Identifier: Apache-2.0
"""Reading what REST sends: small questions that all kinds of objects ask of their bodies."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sdnctl.errors import InvalidError
from sdnctl.store.write import Write


def new_id(write: Write) -> str:
    """A random UUID."""
    return str(uuid.UUID(int=write.random.getrandbits(128), version=4))


def owner(write: Write, body: Mapping[str, object]) -> str:
    """The project of a new object: the caller's, or for an admin the one that the body names."""
    project_id = str(body.get("project_id", write.ctx.project_id))
    if project_id != write.ctx.project_id and not write.ctx.is_admin:
        raise InvalidError(
            f"project_id: {project_id} is not your project, {write.ctx.project_id}; leave it out.",
            kind="HTTPBadRequest",
        )
    return project_id


def refuse_unknown(body: Mapping[str, object], known: Collection[str]) -> None:
    unknown = sorted(name for name in body if name not in known)
    if unknown:
        raise InvalidError(
            f"Unrecognized or unchangeable attribute(s) {', '.join(map(repr, unknown))}; leave them out.",
            kind="HTTPBadRequest",
        )


def list_of(body: Mapping[str, object], name: str) -> list[Any]:
    """The list that the body has there; null and absent are the empty one."""
    value = body.get(name)
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []


def text_of(body: Mapping[str, object], name: str) -> str | None:
    """The text that the body has there; None for null and absent."""
    value = body.get(name)
    return None if value is None else str(value)


def number_of(body: Mapping[str, object], name: str) -> int | None:
    """The integer that the body has there; None for null and absent."""
    value = body.get(name)
    return None if value is None else int(str(value))


def listed(names: Collection[str], most: int = 5) -> str:
    """`a, b, c`, with an end."""
    shown = ", ".join(sorted(names)[:most])
    return f"{shown}, ..." if len(names) > most else shown or "none"
