# SPDX-License-Identifier: Apache-2.0
"""`sdnctl explain --from PORT [--to PORT|ADDRESS] [FIELDS]`: what becomes of a packet, as a story for people."""

from __future__ import annotations

import argparse
import ipaddress
import sys
from collections.abc import Iterator
from typing import Final

from sdnctl.api.resources import BY_NAME
from sdnctl.cli import output
from sdnctl.cli.client import CommandError, Object, UsageError
from sdnctl.cli.session import Session
from sdnctl.model.question import CONNECTIONS

_COLUMN: Final = 16
"""Width of table names."""


def configure(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("packets")
    group.add_argument("--from", dest="sender", metavar="PORT", help="what becomes of a packet of this port?")
    group.add_argument("--to", metavar="PORT|ADDRESS", help="whom it is for: a port's name or id, or an IP address")
    state = group.add_mutually_exclusive_group()
    state.add_argument(
        "--established", action="store_const", dest="connection", const="established",
        help="it belongs to a connection that its sender began; without this it begins one",
    )  # fmt: skip
    state.add_argument("--connection", choices=CONNECTIONS, help="what connection trackers know of it (default: new)")
    group.add_argument(
        "--installed", action="store_true", help="by the flows that switches have, not those they should have"
    )


def explain(session: Session) -> int:
    """Ask, and tell."""
    arguments, client = session.arguments, session.client
    port = BY_NAME["port"]
    question: Object = {"port": client.id_of(port, arguments.sender), "fields": ",".join(arguments.what)}
    if arguments.to:
        question["to"] = arguments.to if _is_address(arguments.to) else client.id_of(port, arguments.to)
    question |= {"connection": arguments.connection or "new", "installed": arguments.installed}
    found = client.request("POST", "/v2.0/explain", (), {"packet": question}).body.get("explanation")
    if not isinstance(found, dict):
        raise CommandError("the answer holds no explanation; is this the API of sdnctl?")
    chosen = session.columns(found)
    if session.form == "table" and not chosen:
        sys.stdout.write("".join(f"{output.escape(line)}\n" for line in _lines(found)))
    else:
        session.print_one(found, chosen)
    return 0


def check(arguments: argparse.Namespace) -> None:
    """Refuse what only goes with --from."""
    if arguments.sender is None:
        if not arguments.what:
            raise UsageError("explain what? A cookie, a flow, or a packet: --from PORT --to PORT tcp,tcp_dst=80")
        for name in ("to", "connection", "installed"):
            if getattr(arguments, name):
                raise UsageError(f"--{name} is about a packet: say with --from PORT who sends it")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _lines(found: Object) -> Iterator[str]:
    """The story: what, the stages host by host, the end."""
    flows = ", by the flows that are installed" if found.get("flows") == "installed" else ""
    yield f"{found.get('packet')}"
    yield f"connection: {found.get('connection')}{flows}"
    host = None
    steps = found.get("steps")
    for step in steps if isinstance(steps, list) else ():
        if step.get("host") != host:
            host = step.get("host")
            yield ""
            yield f"{host}"
        mark = "x" if step.get("reason") else " "
        yield f" {mark} {str(step.get('table')).ljust(_COLUMN)} {step.get('text')}"
    yield ""
    yield f"{found.get('text')}"
    if found.get("left_out"):
        yield f"left out: {found['left_out']}"
