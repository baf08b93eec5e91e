# SPDX-License-Identifier: Apache-2.0
"""Write the pages that come out of the code: `python docs/generate.py`; `--check` only says which are stale.

A page is a function without arguments; `PAGES` says where its text goes. A test compares them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sdnctl.config import CONFIG_VARIABLE, OPTIONS, SECTIONS, Option  # noqa: E402

EXAMPLES: Final = {
    "database": "sqlite:////var/lib/sdnctl/sdnctl.db",
    "admin_token_file": "/var/lib/sdnctl/admin-token",
    "openflow.advertise": "tcp:192.0.2.1:6653",
    "tls.private_key": "/etc/sdnctl/key.pem",
    "tls.certificate": "/etc/sdnctl/certificate.pem",
    "tls.ca_certificate": "/etc/sdnctl/ca.pem",
    "keystone.url": "https://keystone.example.org:5000/v3",
    "keystone.username": "sdnctl",
    "keystone.password": "...",
    "network.vlan_ranges": "physnet1:100:199",
    "network.physical_mtus": "physnet1:9000",
}
"""What to write for options whose default is nothing, or depends on the machine."""


def options_page() -> str:
    """docs/options.md"""
    out = [
        "# Options of `sdnctl serve`",
        "",
        "Written by docs/generate.py from sdnctl/config/options.py; change it there.",
        "",
        "Each option can be given as a flag, as a variable in the environment, or as a key of a TOML file that",
        f"`--config FILE` or `${CONFIG_VARIABLE}` names. The first of these that gives a value wins; an empty variable",
        "gives none. Items of a list are separated by commas in the environment, follow each other after a flag (which",
        "may also be repeated), and are a list in TOML. `sdnctl serve --check` prints every option with its value and",
        "where it came from, and ends.",
        "",
        "What cannot be used is refused in one line that names the option, its source, the reason and what would be",
        "right; `sdnctl serve` then ends with status 2. A misspelt key or variable is refused too.",
    ]
    for section in ("", *SECTIONS):
        if section:
            out += ["", f"## {section}", "", str(SECTIONS[section].__doc__)]
        out += ["", "| option, flag, variable | default | |", "|---|---|---|"]
        out += [_row(option) for option in OPTIONS.values() if option.section == section]
    return "\n".join(out) + "\n"


def _row(option: Option) -> str:
    default = f"`{option.default}`" if option.default and " " not in option.default else option.default
    metavar = option.kind.metavar.replace("|", "\\|")
    many = " ..." if option.many else ""
    names = f"`{option.key}`<br>`{option.flag} {metavar}{many}`<br>`{option.variable}`"
    return f"| {names} | {default} | {option.help} |"


def example_file() -> str:
    """packaging/sdnctl.toml"""
    out = [
        "# Options of `sdnctl serve --config FILE`. What is commented out shows the default, or an example where there",
        "# is none. docs/options.md says more; `sdnctl serve --config FILE --check` shows what came of it.",
        "# Written by docs/generate.py.",
    ]
    for section in ("", *SECTIONS):
        out += ["", f"[{section}]  # {SECTIONS[section].__doc__}"] if section else []
        for option in OPTIONS.values():
            if option.section == section:
                out += ["", f"# {option.help}", f"#{option.name} = {_toml(option)}"]
    return "\n".join(out) + "\n"


def _toml(option: Option) -> str:
    text = EXAMPLES.get(option.key, option.default)
    if option.many:
        return "[" + ", ".join(f'"{item}"' for item in text.split(",")) + "]"
    return text if text.lstrip("-").isdigit() else f'"{text}"'


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "docs/options.md": options_page,
    "packaging/sdnctl.toml": example_file,
}


def stale() -> list[str]:
    """Pages that are not what the code says."""
    return [
        name
        for name, page in PAGES.items()
        if not (ROOT / name).is_file() or (ROOT / name).read_text(encoding="utf-8") != page()
    ]


def main() -> int:
    names = stale()
    for name in names:
        if "--check" in sys.argv[1:]:
            print(f"{name} is stale: run python docs/generate.py")
        else:
            (ROOT / name).write_text(PAGES[name](), encoding="utf-8")
            print(f"wrote {name}")
    return 1 if names and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
