# SPDX-License-Identifier: Apache-2.0
"""`sdnctl serve`: the flags that stand for the options, and the start of the controller."""

from __future__ import annotations

import argparse
import os
import warnings

from sdnctl import config, log
from sdnctl.cli.client import UsageError
from sdnctl.config import OPTIONS, SECTIONS, ConfigError

_FLAG = "option:"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Run the controller. Each option is a flag, a variable in the environment (SDNCTL_DATABASE, SDNCTL_API_LISTEN, "
        "...) and a key of the TOML file; the first of these that gives a value wins."
    )
    parser.add_argument("--config", metavar="FILE", help="TOML file with options; else $SDNCTL_CONFIG, else none")
    parser.add_argument("--check", action="store_true", help="print the options and where they come from, and end")
    groups = {"": parser.add_argument_group("options")}
    for name, section in SECTIONS.items():
        groups[name] = parser.add_argument_group(f"{name}: {section.__doc__.rstrip('.')}")
    for option in OPTIONS.values():
        default = f" (default: {option.default})" if option.default else ""
        groups[option.section].add_argument(
            option.flag,
            dest=_FLAG + option.key,
            metavar=option.kind.metavar,
            nargs="+" if option.many else None,
            action="extend" if option.many else "store",
            help=f"{option.help}{default}".replace("%", "%%"),
        )


def run(arguments: argparse.Namespace) -> int:
    """Start the controller; it returns when it was told to end."""
    given = {name.removeprefix(_FLAG): value for name, value in vars(arguments).items() if name.startswith(_FLAG)}
    try:
        settings = config.load(given, os.environ, arguments.config)
        if arguments.check:
            _print(settings, config.settings(given, os.environ, arguments.config))
            return 0
    except ConfigError as error:
        raise UsageError(str(error)) from None
    # The notice that eventlet will not live for ever is for its users' authors, not for operators.
    warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")
    # Loaded only now: it brings the hub, which patches the standard library, and everything else.
    from sdnctl import runtime  # noqa: PLC0415

    runtime.install()
    from sdnctl import service  # noqa: PLC0415

    return service.run(settings)


def _print(settings: config.Config, given: dict[str, config.Setting]) -> None:
    for key, option in OPTIONS.items():
        section = getattr(settings, option.section) if option.section else settings
        value = config.show(getattr(section, option.name))
        source = given[key].source if key in given else "default"
        shown = log.HIDDEN if option.secret and value else log.redact(value)
        print(f"{key} = {shown}  # {source}")
