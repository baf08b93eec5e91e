# SPDX-License-Identifier: Apache-2.0
"""Write the pages that come out of the code: `python docs/generate.py`; `--check` only says which are stale.

A page is a function without arguments; `PAGES` says where its text goes. A test compares them.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import itertools
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
warnings.filterwarnings("ignore", message=r"\s*Eventlet is deprecated")

from sdnctl.api import reference  # noqa: E402
from sdnctl.config import CONFIG_VARIABLE, OPTIONS, SECTIONS, Option  # noqa: E402
from sdnctl.flows import pipeline, registers  # noqa: E402
from sdnctl.flows.pipeline import App, Kind, Reason, Table  # noqa: E402

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


def requirements_page() -> str:
    """docs/requirements.md"""
    proofs: dict[int, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for row, test in _proofs(ast.parse(path.read_text(encoding="utf-8"))):
            proofs.setdefault(int(row.removeprefix("S")), []).append(f"{path.relative_to(ROOT)}::{test}")
    out = [
        "# Requirements that tests prove",
        "",
        "Written by docs/generate.py from the marks `@pytest.mark.proves(...)` in tests/. The numbers are those of the",
        "rows of the list of requirements. A row may need more than what its tests show so far.",
        "",
        "| row | proved by |",
        "|---|---|",
    ]
    out += [f"| S{row} | {'<br>'.join(f'`{test}`' for test in tests)} |" for row, tests in sorted(proofs.items())]
    return "\n".join(out) + "\n"


def _proofs(module: ast.Module) -> Iterator[tuple[str, str]]:
    """(row, name of the test) for every mark in a module, on a test or on the module itself."""
    tests = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    for assignment in (node for node in module.body if isinstance(node, ast.Assign)):
        if any(isinstance(target, ast.Name) and target.id == "pytestmark" for target in assignment.targets):
            yield from ((row, test.name) for test in tests for row in _rows(assignment.value))
    for test in tests:
        yield from ((row, test.name) for decorator in test.decorator_list for row in _rows(decorator))


def _rows(expression: ast.expr) -> Iterator[str]:
    for call in ast.walk(expression):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.proves":
            yield from (str(ast.literal_eval(argument)) for argument in call.args)


_PIPELINE: Final = """\
# The pipeline

Written by docs/generate.py from sdnctl/flows/pipeline.py, sdnctl/flows/registers.py, the docstrings of sdnctl/apps/ and
the files of tests/golden/; change it there.

Every host has one integration bridge, and these are its tables. A frame enters at table 0 and goes on to tables with
higher numbers; only `reply` looks at a frame twice. Each table has a flow of priority 0 for whatever it does not know,
so nothing is dropped but by a flow that says why. [life-of-a-packet.md](life-of-a-packet.md) follows frames through it.

## Tables

| number | name | what happens there | flows by |
|---|---|---|---|"""


def pipeline_page() -> str:
    """docs/pipeline.md"""
    stages = {app: _docstring(f"sdnctl.apps.{app.name.lower()}") for app in App}
    out = [_PIPELINE]
    said = _said_below(pipeline.__file__, "Table")
    for table in Table:
        by = [f"[{app.name.lower()}](#{app.name.lower()})" for app, text in stages.items() if _fills(text, table)]
        out.append(f"| {int(table)} | `{table.name.lower()}` | {said[table.name]} | {', '.join(by)} |")
    out += ["", "The names are on the bridge as well: `ovs-ofctl -O OpenFlow14 --names dump-flows br-int`.", ""]
    out += [*_registers(), "", *_cookies(), "", *_reasons()]
    for app, text in stages.items():
        if text:
            out += ["", f"## {app.name.lower()}", "", text, *_golden(app.name.lower())]
    return "\n".join(out) + "\n"


def _registers() -> Iterator[str]:
    """What earlier tables tell later ones."""
    yield from ("## Registers", "", "What earlier tables found out and later ones read.", "")
    yield from ("| slot | bits | |", "|---|---|---|")
    said = _said_below(registers.__file__)
    for slot in registers.SLOTS:
        field = slot.field.name.lower()
        bits = f"{slot.low}" if slot.width == 1 else f"{slot.low}..{slot.low + slot.width - 1}"
        yield f"| {slot.name} | `{field if slot.width == 32 else f'{field}[{bits}]'}` | {said[slot.name]} |"


def _cookies() -> Iterator[str]:
    """How a flow names its owner."""
    yield from ("## Cookies", "", "A flow's cookie is `magic 8 | app 8 | kind 8 | reason 8 | key 32` bits, for example")
    yield f"`{pipeline.Owner(App.SWITCHING, Kind.PORT, 7).cookie():#x}`: switching, for the port with key 7, no drop."
    yield "`sdnctl explain COOKIE` says it in words. A flow whose cookie does not begin with"
    yield f"`{pipeline.COOKIE_MAGIC:#x}` is somebody else's and is left alone."
    yield ""
    for title, members in (("app", App), ("kind", Kind)):
        yield f"* {title}: {', '.join(f'{int(one)} {one.name.lower()}' for one in members)}"


def _reasons() -> Iterator[str]:
    """Why a flow drops."""
    yield from ("## Drop reasons", "", "The names are the label `reason` of `sdnctl_dropped_packets_total`.", "")
    yield from ("| number | name | |", "|---|---|---|")
    yield from (f"| {int(reason)} | `{reason.name.lower()}` | {reason.text} |" for reason in Reason if reason)


def _golden(app: str) -> Iterator[str]:
    """The exact flows of some cases of a stage; what is commented in the file explains the case."""
    for path in sorted((ROOT / "tests" / "golden" / app).glob("*.flows")):
        yield from ("", f"Flows of `{path.relative_to(ROOT)}`:", "", "```", path.read_text().rstrip("\n"), "```")


def _fills(docstring: str, table: Table) -> bool:
    return re.search(rf"^ +table {table.name}\b", docstring, re.MULTILINE) is not None


def _docstring(module: str) -> str:
    """What a module says of itself; empty when there is none of that name."""
    if importlib.util.find_spec(module) is None:
        return ""
    return (importlib.import_module(module).__doc__ or "").strip()


def _said_below(file: str, inside: str = "") -> dict[str, str]:
    """The docstring below each assignment of a file, or of a class in it, in one line."""
    body: list[ast.stmt] = ast.parse(Path(file).read_text(encoding="utf-8")).body
    if inside:
        body = next(node.body for node in body if isinstance(node, ast.ClassDef) and node.name == inside)
    said = {}
    for before, after in itertools.pairwise(body):
        target = before.target if isinstance(before, ast.AnnAssign) else None
        if isinstance(before, ast.Assign):
            target = before.targets[0]
        if isinstance(target, ast.Name) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            said[target.id] = " ".join(str(after.value.value).split())
    return said


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "docs/options.md": options_page,
    "docs/pipeline.md": pipeline_page,
    "docs/requirements.md": requirements_page,
    "docs/rest.md": reference.page,
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
