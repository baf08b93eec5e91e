# SPDX-License-Identifier: Apache-2.0
"""What every client command shares: where the API is, who we are, how results are printed."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from sdnctl.api.resources import BY_NAME, Resource
from sdnctl.cli import output
from sdnctl.cli.client import DEFAULT_URL, Client, CommandError, Object, RefusedError, UsageError

FORBIDDEN: Final = 403


def add_connection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", metavar="URL", help=f"where the API is; else $SDNCTL_URL, else {DEFAULT_URL}")


def add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    group.add_argument(
        "-f",
        "--format",
        choices=output.FORMATS,
        default="table",
        help="table for people (default), the rest for programs",
    )
    group.add_argument(
        "-c", "--column", action="append", default=[], metavar="COLUMN", help="only this column; repeat it for more"
    )


class Session:
    """One command's run."""

    def __init__(self, arguments: argparse.Namespace, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        url: str = arguments.url or environ.get("SDNCTL_URL") or DEFAULT_URL
        self.arguments = arguments
        self.client = Client(url, token_for(url, environ))

    def close(self) -> None:
        self.client.close()

    def resolve(self, resource: Resource, reference: str) -> str:
        """The id of the object that `reference` names."""
        try:
            return self.client.id_of(resource, reference)
        except RefusedError as error:
            # Only an admin may look at projects; anybody may name their own by its id, whatever that looks like.
            if resource is BY_NAME["project"] and error.code == FORBIDDEN:
                return reference
            raise

    # ---------------------------------------------------------------------------------------------------- printing

    @property
    def form(self) -> str:
        return str(self.arguments.format)

    def columns(self, known: Iterable[str]) -> list[str]:
        """The columns the user chose, as the API names them; `network-id` and the table's NETWORK ID will do."""
        names = {_letters(name): name for name in known}
        chosen = []
        for column in self.arguments.column:
            if _letters(column) not in names:
                raise UsageError(f"there is no column {column!r}; there are {', '.join(names.values())}")
            chosen.append(names[_letters(column)])
        return chosen

    def print_one(self, item: Object, chosen: Sequence[str] = ()) -> None:
        sys.stdout.write(output.one(item, self.form, chosen))

    def print_many(self, items: Sequence[Object], columns: Sequence[str], chosen: Sequence[str], what: str) -> None:
        """A list of `what`, by default these columns of it. That it is empty is said to people, beside the output."""
        shown = chosen or columns
        if not chosen and self.form == "table":
            shown = [column for column in columns if any(column in item for item in items)]
        sys.stdout.write(output.many(items, shown, self.form, chosen))
        if not items and self.form == "table":
            say(f"no {what}")


def _letters(column: str) -> str:
    return re.sub("[^a-z0-9]", "", column.lower())


def say(message: str) -> None:
    """A word to the user, beside the output."""
    sys.stderr.write(f"sdnctl: {output.escape(message)}\n")


def token_for(url: str, environ: Mapping[str, str]) -> str:
    """$SDNCTL_TOKEN; without it, for an API on this machine, the admin's token if we may read its file."""
    if token := environ.get("SDNCTL_TOKEN"):
        if not token.isascii() or not token.isprintable():
            raise CommandError("$SDNCTL_TOKEN holds characters that no token has")
        return token
    from sdnctl.config import default_admin_token_file, default_database  # noqa: PLC0415  (only where it is needed)
    from sdnctl.config.values import is_loopback  # noqa: PLC0415

    try:
        is_here = is_loopback(urlsplit(url).hostname or "")
    except ValueError:
        is_here = False
    if not is_here:
        return ""
    database = environ.get("SDNCTL_DATABASE") or default_database(environ, is_root=os.geteuid() == 0)
    file = environ.get("SDNCTL_ADMIN_TOKEN_FILE") or default_admin_token_file(database)
    try:
        return Path(file).read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
