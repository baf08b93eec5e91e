# SPDX-License-Identifier: Apache-2.0
"""The command `sdnctl`: `serve` is the controller, everything else is a client of its REST API.

Exit status: 0 done; 1 refused or failed, with one line that says why; 2 the command line is wrong; 3 no API there.

A command must start at once, so each loads only what it needs: nothing here may import eventlet, SQLAlchemy or os-ken,
and only `serve` and what it calls may be the controller.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sdnctl import __version__
from sdnctl.cli.parser import Parser

INTERRUPTED: Final = 130
"""128 + SIGINT, as shells count."""
BROKEN_PIPE: Final = 141


@dataclass(frozen=True, slots=True)
class Command:
    """A word after `sdnctl`. `configure` gets its parser and the word after that."""

    name: str
    help: str
    configure: Callable[[argparse.ArgumentParser, str | None], None]


def _serve(parser: argparse.ArgumentParser, _word: str | None) -> None:
    from sdnctl.cli import serve  # noqa: PLC0415

    serve.configure(parser)
    parser.set_defaults(main=serve.run)


def _resource(name: str) -> Callable[[argparse.ArgumentParser, str | None], None]:
    def configure(parser: argparse.ArgumentParser, word: str | None) -> None:
        from sdnctl.cli import resources  # noqa: PLC0415

        resources.configure(parser, resources.RESOURCES[name], word)
        parser.set_defaults(main=_client)

    return configure


def _flows(parser: argparse.ArgumentParser, _word: str | None) -> None:
    from sdnctl.cli import flows  # noqa: PLC0415

    flows.configure_flows(parser)
    parser.set_defaults(main=_client)


def _explain(parser: argparse.ArgumentParser, _word: str | None) -> None:
    from sdnctl.cli import flows  # noqa: PLC0415

    flows.configure_explain(parser)
    parser.set_defaults(main=_client)


def _version(parser: argparse.ArgumentParser, _word: str | None) -> None:
    def run(_arguments: argparse.Namespace) -> int:
        print(f"sdnctl {__version__}")
        return 0

    parser.set_defaults(main=run)


COMMANDS: Final = (
    Command("serve", "run the controller", _serve),
    Command("host", "machines with Open vSwitch: add, list, show, set, remove, check", _resource("host")),
    Command("network", "L2 domains: create, list, show, set, delete", _resource("network")),
    Command("subnet", "address ranges of networks: create, list, show, set, delete", _resource("subnet")),
    Command(
        "port",
        "interfaces of workloads: create, list, show, set, delete, plug, unplug, statistics",
        _resource("port"),
    ),
    Command("security-group", "sets of rules for ports: create, list, show, set, delete", _resource("security_group")),
    Command("security-group-rule", "what a set allows: create, list, show, delete", _resource("security_group_rule")),
    Command(
        "address-group",
        "prefixes for rules: create, list, show, set, delete, add-addresses, remove-addresses",
        _resource("address_group"),
    ),
    Command("ip-group", "fail-over addresses: create, list, show, set, delete", _resource("ip_group")),
    Command(
        "qos-policy",
        "limits and marks of ports: create, list, show, set, delete, and rules: add-..., set-..., remove-...",
        _resource("qos_policy"),
    ),
    Command("security-event", "who forges what, how often: list, show", _resource("security_event")),
    Command("project", "owners of networks: create, list, show, set, delete", _resource("project")),
    Command("token", "secrets that let in: create, list, show, set, revoke", _resource("token")),
    Command("flows", "flows of a host: desired, installed or the difference, each with its owner", _flows),
    Command("explain", "whose a cookie or a flow is and what it does; or what becomes of a packet, and why", _explain),
    Command("version", "the version", _version),
)


def parser_for(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser, the chosen command in full and the others by name."""
    parser = Parser(
        prog="sdnctl",
        description="An SDN controller for Open vSwitch, and the client of its REST API.",
        epilog="The client asks $SDNCTL_URL with the token $SDNCTL_TOKEN. sdnctl COMMAND --help says more.",
    )
    parser.add_argument("--version", action="version", version=f"sdnctl {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)
    chosen = [word for word in words if not word.startswith("-")][:2]
    for command in COMMANDS:
        sub = commands.add_parser(command.name, help=command.help, description=command.help)
        if chosen and command.name == chosen[0]:
            command.configure(sub, chosen[1] if len(chosen) > 1 else None)
    return parser


def _client(arguments: argparse.Namespace) -> int:
    from sdnctl.cli.session import Session  # noqa: PLC0415

    session = Session(arguments)
    try:
        status: int = arguments.run(session)
    finally:
        session.close()
    return status


def main(words: Sequence[str] | None = None) -> int:
    """Run the command that `words` (the process's own arguments) ask for; its exit status."""
    words = list(sys.argv[1:] if words is None else words)
    arguments = parser_for(words).parse_args(words)
    from sdnctl.cli.client import CommandError  # noqa: PLC0415
    from sdnctl.cli.output import escape  # noqa: PLC0415
    from sdnctl.errors import InvalidError  # noqa: PLC0415

    try:
        status: int = arguments.main(arguments)
        sys.stdout.flush()
    except CommandError as error:
        sys.stderr.write(f"sdnctl: {escape(str(error))}\n")
        return error.status
    except InvalidError as error:
        # A value on the command line that cannot be right, found before anything was sent.
        sys.stderr.write(f"sdnctl: {escape(str(error))}\n")
        return 2
    except BrokenPipeError:
        # Whoever read our output has enough; the interpreter's own flush at exit must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    return status
