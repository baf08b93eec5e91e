# SPDX-License-Identifier: Apache-2.0
"""`sdnctl flows HOST` and `sdnctl explain`: what is on a switch, whose it is and why; `story.py` is about packets."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Final

from sdnctl.api.resources import BY_NAME
from sdnctl.cli import output, story
from sdnctl.cli.client import UUID, CommandError, Object, UsageError
from sdnctl.cli.session import Session, add_connection, add_output, say
from sdnctl.flows.pipeline import Table

VIEWS: Final = ("desired", "installed", "difference")
MARKS: Final = {"missing": "+", "surplus": "-", "foreign": "?"}
"""How a line of the difference begins: to be added, to be removed, not ours."""
_TABLE: Final = re.compile(r'\btable="?([\w-]+)"?')
_COOKIE: Final = re.compile(r"0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20}")


def configure_flows(parser: argparse.ArgumentParser) -> None:
    add_connection(parser)
    parser.add_argument("host", metavar="HOST", help="its name or id")
    parser.add_argument(
        "--view",
        choices=VIEWS,
        default="desired",
        help="what should be there (default), what is, or lines with + (missing), - (surplus), ? (not ours)",
    )
    parser.add_argument("--app", "--owner", metavar="APP", help="only flows of this app: classify, dhcp, ...")
    parser.add_argument("--object", metavar="OBJECT", help="only flows of this network, port or host: name or id")
    parser.add_argument("--project", metavar="PROJECT", help="only flows of this project's networks and ports")
    parser.add_argument("--table", metavar="TABLE", help="only flows of this table: its number or name")
    add_output(parser)
    parser.set_defaults(run=flows)


def flows(session: Session) -> int:
    """The host's flows as ovs-ofctl writes them, each below a comment that names its owner."""
    arguments, client = session.arguments, session.client
    tables = None if arguments.table is None else _table_names(arguments.table)
    query = [("view", arguments.view)]
    if arguments.app:
        query.append(("app", arguments.app.lower().replace("-", "_")))
    if arguments.object:
        query.append(("object", _object_id(session, arguments.object)))
    if arguments.project:
        query.append(("project", session.resolve(BY_NAME["project"], arguments.project)))
    host = BY_NAME["host"]
    found = client.get(client.path(host, client.id_of(host, arguments.host), "flows"), query).get("flows")
    if not isinstance(found, list):
        raise CommandError("the answer holds no flows; is this the API of sdnctl?")
    items = [item for item in found if tables is None or _table_of(item) in tables]
    chosen = session.columns(_keys(items))
    if session.form == "table" and not chosen:
        sys.stdout.write("".join(_dump(items)))
        if not items:
            say("no flows" if arguments.view != "difference" else "no difference")
    else:
        session.print_many(items, ("flow", "app", "object_type", "object", "reason"), chosen, "flows")
    return 0


def _keys(items: Iterable[Object]) -> list[str]:
    return list(dict.fromkeys(key for item in items for key in item))


def _dump(items: Iterable[Object]) -> Iterator[str]:
    """Flows in lines, an owner's flows together under a comment; ovs-ofctl reads this back."""
    owner = None
    for item in items:
        name = f" ({item['name']})" if item.get("name") else ""
        described = f"# {item.get('text') or 'unknown owner'}{name}"
        if described != owner:
            owner = described
            yield output.escape(owner) + "\n"
        mark = MARKS.get(str(item.get("difference", "")), "")
        yield f"{mark}{' ' if mark else ''}{output.escape(str(item.get('flow', '')))}\n"


def _table_names(text: str) -> frozenset[str]:
    """How the table may be written in a flow: by number and by name."""
    for table in Table:
        if text.lower().replace("-", "_") in {str(int(table)), table.name.lower()}:
            return frozenset({str(int(table)), table.name.lower()})
    known = ", ".join(f"{int(table)} {table.name.lower()}" for table in Table)
    raise UsageError(f"there is no table {text!r}; there are {known}")


def _table_of(item: Object) -> str:
    found = _TABLE.search(str(item.get("flow", "")))
    # ovs-ofctl leaves table 0 out.
    return found[1].lower() if found else "0"


def _object_id(session: Session, reference: str) -> str:
    """The id of the port, network or host of that name."""
    if UUID.fullmatch(reference):
        return reference
    ids = []
    for kind in ("port", "network", "host"):
        query = [("name", reference), ("fields", "id")]
        ids += [(kind, str(item["id"])) for item in session.client.list(BY_NAME[kind], query)]
    if len(ids) == 1:
        return ids[0][1]
    if not ids:
        raise CommandError(f"there is no port, network or host with the name or id {reference!r}")
    shown = ", ".join(f"{kind} {object_id}" for kind, object_id in ids[:10])
    raise CommandError(f"{len(ids)} objects have the name {reference!r}; say which by its id: {shown}")


def configure_explain(parser: argparse.ArgumentParser) -> None:
    add_connection(parser)
    parser.add_argument(
        "what",
        metavar="WHAT",
        nargs="*",
        help="a cookie, a flow as ovs-ofctl prints it, or - for such flows on standard input; with --from what is"
        " special about the packet, as a match is written: tcp,tcp_dst=80",
    )
    story.configure(parser)
    add_output(parser)
    parser.set_defaults(run=explain)


def explain(session: Session) -> int:
    """Whose a flow is and what it does; or what becomes of a packet."""
    story.check(session.arguments)
    if session.arguments.sender is not None:
        return story.explain(session)
    what = " ".join(session.arguments.what).strip()
    if what != "-":
        item = _explanation(session, what)
        session.print_one(item, session.columns(item))
        return 0
    asked: dict[str, Object] = {}
    items = []
    for line in sys.stdin:
        # Lines without a cookie are ovs-ofctl's heads and our own comments.
        if cookie := re.search(r"cookie=(0[xX][0-9a-fA-F]+)", line):
            if cookie[1] not in asked:
                asked[cookie[1]] = _explanation(session, cookie[1])
            items.append({**asked[cookie[1]], "flow": line.strip()})
    session.print_many(items, ("cookie", "text", "name", "flow"), session.columns(_keys(items)), "flows with a cookie")
    return 0


def _explanation(session: Session, what: str) -> Object:
    by = "cookie" if _COOKIE.fullmatch(what) else "flow"
    found = session.client.get("/v2.0/explain", [(by, what)]).get("explanation")
    if not isinstance(found, dict):
        raise CommandError("the answer holds no explanation; is this the API of sdnctl?")
    return found
