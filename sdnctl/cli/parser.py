# SPDX-License-Identifier: Apache-2.0
"""argparse with our manners: no abbreviated flags (they break when a flag is added), errors in one line."""

from __future__ import annotations

import argparse
import difflib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NoReturn, Protocol

from sdnctl.cli.output import escape

MANY: Final = 9
"""With more flags than this, the usage line names only those that are required."""


class Group(Protocol):
    """What flags are added to: a parser or a group in one."""

    def add_argument(self, *names: str, **options: Any) -> Any: ...  # noqa: ANN401  (argparse's own)


class Formatter(argparse.HelpFormatter):
    """Help as wide as the terminal, up to what reads well."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=36, width=min(shutil.get_terminal_size().columns, 120) - 2)


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line and ends with status 2."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401  (argparse's own, passed on by its subparsers)
        options.setdefault("formatter_class", Formatter)
        options.setdefault("allow_abbrev", False)
        super().__init__(**options)
        self.several: set[str] = set()
        """Flags that may be followed by several words that hold a colon: `--controller tcp:... tcp:...`."""

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]  # noqa: ANN401
        """As argparse does, but the parser that does not know a word says so: it knows the nearest."""
        found, unknown = super().parse_known_args(list(self._repeated(args or ())), namespace)
        if unknown:
            known = [name for action in self._actions for name in action.option_strings]
            near = difflib.get_close_matches(unknown[0], known, n=1, cutoff=0.6)
            self.error(f"unknown: {unknown[0]}{f' (did you mean {near[0]}?)' if near else ''}")
        return found, unknown

    def _repeated(self, words: Iterable[str]) -> Iterator[str]:
        """The words, a flag repeated for each of its values. With nargs="+" it would swallow a name that follows."""
        flag, is_first = "", False
        for word in words:
            if word.startswith("-"):
                flag, is_first = (word if word in self.several else ""), True
            elif flag and not is_first and ":" in word:
                yield flag
            elif flag and not is_first:
                flag = ""
            else:
                is_first = False
            yield word

    def _check_value(self, action: argparse.Action, value: Any) -> None:  # noqa: ANN401  (argparse's own)
        """As argparse does, but a word that is nearly one of the choices is told which, not all of them."""
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        near = difflib.get_close_matches(str(value), known, n=1, cutoff=0.6)
        raise argparse.ArgumentError(
            action, f"unknown: {value} ({f'did you mean {near[0]}?' if near else 'there are ' + ', '.join(known)})"
        )

    def format_usage(self) -> str:
        self._shorten()
        return super().format_usage()

    def format_help(self) -> str:
        self._shorten()
        return super().format_help()

    def _shorten(self) -> None:
        flags = [action for action in self._actions if action.option_strings]
        if self.usage is not None or len(flags) <= MANY:
            return
        needed = [f"{action.option_strings[0]} {action.metavar}" for action in flags if action.required]
        places = []
        for action in self._actions:
            if not action.option_strings:
                shown = str(action.metavar)
                places.append({"?": f"[{shown}]", "+": f"{shown} [{shown} ...]"}.get(str(action.nargs), shown))
        self.usage = " ".join(["%(prog)s", *needed, "[FLAG ...]", *places])

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {escape(message)}; {self.prog} --help says more\n")
