# SPDX-License-Identifier: Apache-2.0
"""Structured events: `log.info("bundle applied", host="h1", put=12)`.

    2026-11-20T18:23:16.042Z info  sync.host  bundle applied  host=h1 put=12 ms=8
    {"time": "2026-11-20T18:23:16.042Z", "level": "info", "logger": "sync.host", "event": "bundle applied", ...}

An event is a fixed short text and fields; the fields carry what varies. One event is one line, whatever the fields
hold: control characters are escaped, long values cut, so nobody outside can forge a line or fill the disk with one.
What looks like a secret is hidden, by the name of the field and by patterns in the text. A traceback follows its event
in lines that begin with `    | `, which no event does; in JSON it is a field.

It works over stdlib logging, so that os-ken, ovsdbapp and eventlet write the same way, at `warning` and worse unless
the level is `debug`. Pure code (model, flows, apps) does not log.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final, TextIO

LEVELS: Final[Mapping[str, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
LONGEST_VALUE: Final = 300
LONGEST_EVENT: Final = 1000
MOST_FIELDS: Final = 30
MOST_TRACE_LINES: Final = 60
HIDDEN: Final = "***"

_FIELDS: Final = "sdnctl_fields"
_OURS: Final = "sdnctl"
_NO_FIELDS: Final[Mapping[str, object]] = MappingProxyType({})
_SECRET_NAME: Final = re.compile(r"token|secret|password|passwd|authorization|private_key", re.IGNORECASE)
_SECRET_TEXT: Final = re.compile(
    # A header, variable or JSON key that holds one; the password of a URL; a token of ours; a token of Keystone.
    r"""(?P<name>(?:token|secret|password|authorization)["']?\s*[:=]\s*["']?(?:bearer\s+)?)[^\s"',;&]+"""
    r"""|(?P<user>://[^:/@\s]*:)[^@\s]+(?=@)"""
    r"""|\bsdnctl_[\w-]{20,}|\bgAAAA[\w=-]{20,}""",
    re.IGNORECASE,
)
_QUOTED: Final = re.compile(r"""[\s"'=\\|]|^$""")

_context: contextvars.ContextVar[Mapping[str, object]] = contextvars.ContextVar("log_context", default=_NO_FIELDS)


# --------------------------------------------------------------------------------------------------------- writing


def debug(event: str, **fields: object) -> None:
    """Write an event that helps to find a bug."""
    _write(logging.DEBUG, event, fields)


def info(event: str, **fields: object) -> None:
    """Write an event that an operator may want to see on a quiet day."""
    _write(logging.INFO, event, fields)


def warning(event: str, **fields: object) -> None:
    """Write an event that somebody should look at in time."""
    _write(logging.WARNING, event, fields)


def error(event: str, **fields: object) -> None:
    """Write an event that somebody should look at now."""
    _write(logging.ERROR, event, fields)


def exception(event: str, **fields: object) -> None:
    """Write an error with the traceback of the exception that is being handled."""
    _write(logging.ERROR, event, fields, trace=True)


def _write(level: int, event: str, fields: dict[str, object], *, trace: bool = False) -> None:
    # Two frames up is who called debug(), info(), ...
    logger = logging.getLogger(sys._getframe(2).f_globals.get("__name__", _OURS))  # noqa: SLF001
    if logger.isEnabledFor(level):
        logger.log(level, "%s", event, exc_info=trace, extra={_FIELDS: {**_context.get(), **fields}})


@contextlib.contextmanager
def context(**fields: object) -> Iterator[None]:
    """Every event of this task gets these fields too: `with log.context(request="req-..."):`."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


# ------------------------------------------------------------------------------------------------------ formatting


def redact(text: str) -> str:
    """`text`, what looks like a secret in it hidden."""

    def hide(found: re.Match[str]) -> str:
        return (found["name"] or found["user"] or "") + HIDDEN

    return _SECRET_TEXT.sub(hide, text)


def _text(value: object, longest: int) -> str:
    """`value` as text without secrets, cut to `longest` characters."""
    try:
        text = value if isinstance(value, str) else str(value)
    except Exception:  # noqa: BLE001  (whatever a stranger's __str__ raises, the event must be written)
        text = f"<{type(value).__name__} without text>"
    if len(text) > 4 * longest:
        text = text[: 4 * longest]
    text = redact(text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _field(name: str, value: object) -> str:
    is_secret = _SECRET_NAME.search(name) and value is not None and value != ""
    return HIDDEN if is_secret else _text(value, LONGEST_VALUE)


def escape(text: str) -> str:
    """`text` with everything that could move the cursor or end the line written as an escape."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def _word(text: str) -> str:
    """`text` as a value after `=`, quoted where a reader could mistake its end."""
    if text.isprintable() and not _QUOTED.search(text):
        return text
    return '"' + escape(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


class _Formatter(logging.Formatter):
    """What both forms share."""

    def parts(self, record: logging.LogRecord) -> tuple[dict[str, str], dict[str, object], str]:
        """(time, level, logger and event; fields; traceback) of a record, secrets hidden and lengths bounded."""
        try:
            event = record.getMessage()
        except Exception:  # noqa: BLE001  (a library's message whose arguments do not fit)
            event = str(record.msg)
        head = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name.removeprefix(f"{_OURS}."),
            "event": _text(event, LONGEST_EVENT),
        }
        given: dict[str, object] = getattr(record, _FIELDS, {})
        fields: dict[str, object] = {}
        for name, value in given.items():
            if len(fields) == MOST_FIELDS:
                fields["dropped"] = len(given) - MOST_FIELDS
                break
            plain = isinstance(value, bool | int | float) and not _SECRET_NAME.search(name)
            fields[escape(name[:60])] = value if plain else _field(name, value)
        trace = ""
        if record.exc_info and record.exc_info[0] is not None:
            lines = "".join(traceback.format_exception(*record.exc_info)).rstrip("\n").split("\n")
            trace = "\n".join(_text(line, LONGEST_EVENT) for line in lines[-MOST_TRACE_LINES:])
        return head, fields, trace


class TextFormatter(_Formatter):
    """A line for people."""

    def format(self, record: logging.LogRecord) -> str:
        head, fields, trace = self.parts(record)
        line = f"{head['time']} {head['level']:<7} {escape(head['logger'])}  {escape(head['event'])}"
        if fields:
            line += "  " + " ".join(f"{name}={_word(str(value))}" for name, value in fields.items())
        return line + "".join(f"\n    | {escape(part)}" for part in trace.split("\n") if trace)


class JsonFormatter(_Formatter):
    """An object for programs; fields that are numbers stay numbers."""

    def format(self, record: logging.LogRecord) -> str:
        head, fields, trace = self.parts(record)
        line: dict[str, object] = {**head, **{f"{name}_" if name in head else name: fields[name] for name in fields}}
        if trace:
            line["trace"] = trace
        # ASCII only: escapes are JSON's own, and half a surrogate pair cannot break the stream.
        return json.dumps(line)


def configure(level: str = "info", form: str = "text", stream: TextIO | None = None) -> None:
    """Write events of `level` and worse to `stream` (standard error), as `text` or `json`. May be called again."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old.formatter, _Formatter):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
    logging.getLogger(_OURS).setLevel(LEVELS[level])
    # A log that cannot be written (a full disk, a closed pipe) is no reason to print a traceback for every event.
    logging.raiseExceptions = False
