# SPDX-License-Identifier: Apache-2.0
"""Where options come from: command line, environment, TOML file, default; the first that gives a value wins.

Whatever the source, a value is first turned into text and then read by the option's `Kind`, so that all sources accept
and refuse the same things. A refusal is a `ConfigError` of one line: option, source, why, and what would be right.

What surprises: an empty environment variable counts as not set. A misspelt key in the file is refused; a variable is
refused only when it looks like a misspelt option, because others may name theirs `SDNCTL_...` (Kubernetes does, for a
service of that name). Items of a list may be written with commas between them, except in a TOML list.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sdnctl.config.options import OPTIONS, PREFIX, SECTIONS, Config, ConfigError, Option, default_database

CONFIG_VARIABLE: Final = "SDNCTL_CONFIG"
CLIENT_VARIABLES: Final = ("SDNCTL_URL", "SDNCTL_TOKEN")
"""What the client reads and the controller does not."""

MISSPELT: Final = 0.84
"""How alike (difflib's ratio) a variable must be to an option's to count as misspelt."""

Flags = Mapping[str, Sequence[str] | str | None]
"""By key of the option, what the command line gave for it."""


@dataclass(frozen=True, slots=True)
class Setting:
    """The text of an option, item by item for a list, and where it came from."""

    texts: tuple[str, ...]
    source: str


def settings(flags: Flags, environ: Mapping[str, str], file: str | None = None) -> dict[str, Setting]:
    """What was set, by key. `file` falls back to $SDNCTL_CONFIG."""
    file = file or environ.get(CONFIG_VARIABLE)
    found = dict(_from_file(file)) if file else {}
    found.update(_from_environment(environ))
    for key, given in flags.items():
        if given is not None:
            known = OPTIONS[key]
            found[key] = Setting(_split([given] if isinstance(given, str) else given, many=known.many), known.flag)
    return found


def load(flags: Flags, environ: Mapping[str, str], file: str | None = None, *, is_root: bool | None = None) -> Config:
    """The configuration; ConfigError names the first option that cannot be used."""
    given = settings(flags, environ, file)
    if is_root is None:
        is_root = os.geteuid() == 0
    given.setdefault("database", Setting((default_database(environ, is_root=is_root),), "default"))
    found: dict[str, dict[str, Any]] = {"": {}, **{section: {} for section in SECTIONS}}
    for key, setting in given.items():
        found[OPTIONS[key].section][OPTIONS[key].name] = _read(OPTIONS[key], setting)
    top = found.pop("")
    top.update({section: SECTIONS[section](**inside) for section, inside in found.items()})
    try:
        return Config(**top)
    except ConfigError as error:
        source = given[error.kind].source if error.kind in given else "default"
        raise _refusal(error.kind, source, str(error).partition(": ")[2]) from None


def _read(known: Option, setting: Setting) -> Any:  # noqa: ANN401  (whatever the option's kind reads)
    try:
        items = tuple(known.kind.read(text) for text in setting.texts)
    except ValueError as error:
        raise _refusal(known.key, setting.source, str(error)) from None
    if known.many:
        return items
    if len(items) != 1:
        raise _refusal(known.key, setting.source, f"one value is wanted, not {len(items)}")
    return items[0]


def _refusal(key: str, source: str, reason: str) -> ConfigError:
    return ConfigError(f"{key} ({source}): {reason}", kind=key)


def _split(items: Iterable[str], *, many: bool) -> tuple[str, ...]:
    if not many:
        return tuple(items)
    return tuple(part.strip() for item in items for part in item.split(",") if part.strip())


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, Setting]]:
    known = {option.variable: option for option in OPTIONS.values()}
    for name, text in environ.items():
        if not name.startswith(PREFIX) or not text or name == CONFIG_VARIABLE or name in CLIENT_VARIABLES:
            continue
        if name in known:
            yield known[name].key, Setting(_split([text], many=known[name].many), f"${name}")
        elif near := difflib.get_close_matches(name, [*known, CONFIG_VARIABLE], n=1, cutoff=MISSPELT):
            raise ConfigError(f"${name}: there is no such option; did you mean ${near[0]}?")


# ----------------------------------------------------------------------------------------------------- the TOML file


def _from_file(path: str) -> Iterator[tuple[str, Setting]]:
    try:
        text = Path(path).read_bytes().decode()
        document = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; name a TOML file that can be read") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8, and TOML files are") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    for name, value in document.items():
        if name not in SECTIONS:
            yield name, _from_toml(name, value, _place(path, text, name))
        elif not isinstance(value, dict):
            raise _refusal(name, _place(path, text, name), f"is a table; write [{name}] and its options below")
        else:
            for inner, item in value.items():
                key = f"{name}.{inner}"
                yield key, _from_toml(key, item, _place(path, text, key))


def _from_toml(key: str, value: object, place: str) -> Setting:
    if key not in OPTIONS:
        raise _refusal(key, place, f"there is no such option; {_nearest(key)}")
    known = OPTIONS[key]
    items = value if isinstance(value, list) else [value]
    if isinstance(value, list) and not known.many:
        raise _refusal(key, place, "one value is wanted, not a list")
    if any(isinstance(item, dict | list) for item in items):
        raise _refusal(key, place, f"a {known.kind.metavar} is wanted, not a table or list")
    texts = tuple(str(item).lower() if isinstance(item, bool) else str(item) for item in items)
    return Setting(_split(texts, many=known.many and not isinstance(value, list)), place)


def _nearest(key: str) -> str:
    moved = [known for known in OPTIONS if known.endswith("." + key)]
    near = moved or difflib.get_close_matches(key, [*OPTIONS, *SECTIONS], n=1, cutoff=0.5)
    return f"did you mean {near[0]}?" if near else "sdnctl serve --help lists all"


def _place(path: str, text: str, key: str) -> str:
    """`FILE line N` of a key. tomllib does not tell lines, so look for it as a person does."""
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"""\s*\[\s*["']?([\w-]+)["']?\s*\]\s*(#.*)?$""", line):
            section = header[1] + "."
            written = header[1]
        elif assigned := re.match(r"""\s*([\w."' -]+?)\s*=""", line):
            written = section + re.sub(r"""[\s"']""", "", assigned[1])
        else:
            continue
        if written == key:
            return f"{path} line {number}"
    return path
