# SPDX-License-Identifier: Apache-2.0
"""Projects and tokens of our own: who may talk to us, in whose name, with which roles.

Only a token's digest is stored; the secret is answered once, when the token is made. A secret has 256 random bits, so
its digest needs no salt and no slow hash, and is found by looking it up (`sdnctl.store.authentication`).
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import delete, select, update

from sdnctl.errors import ConflictError, ForbiddenError, InvalidError
from sdnctl.store import security_groups, tables
from sdnctl.store.bodies import list_of, listed, new_id, refuse_unknown, text_of
from sdnctl.store.labels import delete_tags, insert_tags
from sdnctl.store.objects import PROJECT, TOKEN
from sdnctl.store.write import Write

IMPLIED: Final[Mapping[str, frozenset[str]]] = {
    "admin": frozenset({"admin", "manager", "member", "reader"}),
    "manager": frozenset({"manager", "member", "reader"}),
    "member": frozenset({"member", "reader"}),
    "reader": frozenset({"reader"}),
    "service": frozenset({"service"}),
}
"""Role to all that it includes."""
PREFIX: Final = "sdnctl_"
"""What every secret starts with, so that it is recognised where it should not be."""

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_project = tables.projects.c
_token = tables.tokens.c


# ----------------------------------------------------------------------------------------------------------- projects


def create_projects(write: Write, bodies: Sequence[Mapping[str, object]]) -> list[str]:
    """Insert the projects; their ids."""
    _require_admin(write)
    ids = []
    for body in bodies:
        refuse_unknown(body, {"name", "description", "enabled", "tags"})
        project_id = new_id(write)
        name = str(body.get("name", ""))
        _refuse_taken(write, project_id, name)
        write.created(PROJECT, project_id)
        row = write.new(name, str(body.get("description", ""))) | {
            "id": project_id,
            "enabled": body.get("enabled", True),
            "tags": insert_tags(write, project_id, list_of(body, "tags")),
        }
        write.insert(tables.projects, [row])
        ids.append(project_id)
    return ids


def change_project(write: Write, project_id: str, changes: Mapping[str, object], if_match: int | None) -> None:
    claim_project(write, project_id, if_match)
    refuse_unknown(changes, {"name", "description", "enabled"})
    if "name" in changes:
        _refuse_taken(write, project_id, str(changes["name"]))
    if changes:
        write.connection.execute(update(tables.projects).where(_project.id == project_id).values(dict(changes)))


def remove_project(write: Write, project_id: str, if_match: int | None) -> None:
    """Delete a project that owns nothing any more, with its tokens and its default group."""
    claim_project(write, project_id, if_match)
    owned_tables = (tables.networks, tables.subnets, tables.ports, tables.security_groups, tables.address_groups)
    for table in (*owned_tables, tables.qos_policies):
        query = select(table.c.id).where(table.c.project_id == project_id).limit(6)
        if table is tables.security_groups:
            query = query.where(table.c.default_of.is_(None))
        if owned := list(write.connection.execute(query).scalars()):
            raise ConflictError(
                f"Project {project_id} still owns {table.name}: {listed(owned)}. Delete them first.",
                kind="ProjectInUse",
            )
    security_groups.remove_default(write, project_id)
    held = list(write.connection.execute(select(_token.id).where(_token.project_id == project_id)).scalars())
    write.track(TOKEN, held)
    write.connection.execute(delete(tables.tokens).where(_token.project_id == project_id))
    write.connection.execute(delete(tables.projects).where(_project.id == project_id))
    delete_tags(write, [project_id, *held])


def claim_project(write: Write, project_id: str, if_match: int | None) -> None:
    write.lock(tables.projects, project_id)
    write.see(PROJECT, project_id, if_match)


def _refuse_taken(write: Write, project_id: str, name: str) -> None:
    query = select(_project.id).where(_project.name == name, _project.id != project_id)
    if write.connection.execute(query).first() is not None:
        raise ConflictError(f"name: there is a project {name} already; choose another.", kind="ProjectNameInUse")


# ------------------------------------------------------------------------------------------------------------- tokens


def new_secret() -> str:
    return PREFIX + secrets.token_urlsafe(32)


def create_tokens(write: Write, bodies: Sequence[Mapping[str, object]]) -> list[str]:
    """Insert the tokens; their ids. The answer gets their secrets (`Write.once`)."""
    _require_admin(write)
    return [insert_token(write, body, new_secret()) for body in bodies]


def change_token(write: Write, token_id: str, changes: Mapping[str, object], if_match: int | None) -> None:
    claim_token(write, token_id, if_match)
    refuse_unknown(changes, {"name", "description"})
    if changes:
        write.connection.execute(update(tables.tokens).where(_token.id == token_id).values(dict(changes)))


def remove_token(write: Write, token_id: str, if_match: int | None) -> None:
    claim_token(write, token_id, if_match)
    write.connection.execute(delete(tables.tokens).where(_token.id == token_id))
    delete_tags(write, [token_id])


def claim_token(write: Write, token_id: str, if_match: int | None) -> None:
    write.lock(tables.tokens, token_id)
    write.see(TOKEN, token_id, if_match)


def insert_token(write: Write, body: Mapping[str, object], secret: str) -> str:
    """Insert a token with that secret; its id."""
    refuse_unknown(body, {"name", "description", "project_id", "roles", "expires_at", "tags"})
    project_id = str(body.get("project_id", write.ctx.project_id))
    if write.lock(tables.projects, project_id) is None:
        raise InvalidError(f"project_id: there is no project {project_id}; create it first.", kind="ProjectNotFound")
    roles = [str(role) for role in list_of(body, "roles")] if body.get("roles") is not None else ["member"]
    if not roles or not set(roles) <= set(IMPLIED):
        raise InvalidError(f"roles: {', '.join(roles) or 'none'}; give one or more of {', '.join(IMPLIED)}.")
    expires_at = text_of(body, "expires_at")
    if expires_at is not None and (not _TIME.fullmatch(expires_at) or expires_at <= write.now):
        raise InvalidError(f"expires_at: {expires_at!r} is no time to come; write it like 2030-01-31T00:00:00Z.")
    token_id = new_id(write)
    write.created(TOKEN, token_id)
    row = write.new(str(body.get("name", "")), str(body.get("description", ""))) | {
        "id": token_id,
        "project_id": project_id,
        "roles": roles,
        "expires_at": expires_at,
        "digest": digest(secret),
        "tags": insert_tags(write, token_id, list_of(body, "tags")),
    }
    write.insert(tables.tokens, [row])
    write.once[token_id] = {"secret": secret}
    return token_id


def _require_admin(write: Write) -> None:
    if not write.ctx.is_admin:
        raise ForbiddenError("Projects and tokens are an admin's to make.")


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
