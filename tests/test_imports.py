# SPDX-License-Identifier: Apache-2.0
"""Who may import what: the layers hold because this file reads every module's imports."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EVERYTHING = frozenset({"*"})

# part of sdnctl: (parts of ours it may import, libraries it may import)
ALLOWED: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    "__init__": (frozenset(), frozenset()),
    "__main__": (EVERYTHING, frozenset()),
    "runtime": (frozenset(), frozenset({"eventlet"})),
    "errors": (frozenset(), frozenset()),
    "log": (frozenset(), frozenset()),
    "config": (frozenset({"errors"}), frozenset({"netaddr"})),
    "metrics": (frozenset(), frozenset({"prometheus_client"})),
    "model": (frozenset({"errors"}), frozenset({"netaddr"})),
    "flows": (frozenset({"model"}), frozenset({"netaddr"})),
    "apps": (frozenset({"flows", "model"}), frozenset({"netaddr"})),
    "sync": (frozenset({"apps", "flows", "model", "log", "errors", "runtime", "metrics"}), frozenset({"netaddr"})),
    "store": (
        frozenset({"model", "errors", "log", "runtime", "metrics"}),
        frozenset({"sqlalchemy", "alembic", "pg8000", "netaddr"}),
    ),
    "api": (
        frozenset({"model", "errors", "log", "runtime", "metrics"}),
        frozenset({"webob", "netaddr", "prometheus_client"}),
    ),
    "openflow": (frozenset({"flows", "model", "errors", "log", "runtime", "metrics"}), frozenset({"os_ken"})),
    "ovsdb": (
        frozenset({"model", "errors", "log", "runtime", "metrics"}),
        frozenset({"ovsdbapp", "ovs", "netaddr"}),
    ),
    "service": (EVERYTHING, frozenset({"netaddr"})),
    "cli": (EVERYTHING, frozenset({"yaml"})),
}


def modules() -> list[Path]:
    return sorted((ROOT / "sdnctl").rglob("*.py"))


def part_of(path: Path) -> str:
    """`sdnctl/flows/match.py` is in `flows`, `sdnctl/cli.py` is `cli`."""
    return path.relative_to(ROOT / "sdnctl").parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every module that `path` imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            if node.module == "sdnctl":
                yield from ((node.lineno, f"sdnctl.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, str(node.module)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_layers(path: Path) -> None:
    part = part_of(path)
    assert part in ALLOWED, f"{part} is new: say in {Path(__file__).name} what it may import"
    ours, libraries = ALLOWED[part]
    for line, name in imports(path):
        top, _, rest = name.partition(".")
        if top == "sdnctl":
            other = rest.partition(".")[0]
            fine = other in {part, "__version__", "__init__"} or ours is EVERYTHING or other in ours
        else:
            fine = top in sys.stdlib_module_names or top in libraries
        assert fine, f"{path}:{line}: {part} may not import {name}"


def python_files() -> list[Path]:
    found = [ROOT / "setup.py"]
    for top in ("sdnctl", "tests", "topologies", "bench", "docs", "scripts"):
        found += sorted((ROOT / top).rglob("*.py"))
    return found


@pytest.mark.parametrize("path", python_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_licence_line(path: Path) -> None:
    assert path.read_text().startswith("# SPDX-License-Identifier: Apache-2.0\n")


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_tests_neither_sleep_nor_accept_anything(path: Path) -> None:
    """A sleep is a guess about time; `mock.ANY` passes with any flow. Both hide what a test is for.

    Where time itself is the subject, the line says so: `sleep(...)  # pace: why`.
    """
    lines = path.read_text().splitlines()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Attribute):
            spelled = f"{getattr(node.value, 'id', '')}.{node.attr}"
            is_pace = "# pace: " in lines[node.lineno - 1]
            assert is_pace or spelled not in {"time.sleep", "mock.ANY", "runtime.sleep", "eventlet.sleep"}, (
                f"{path}:{node.lineno}: {spelled}"
            )
