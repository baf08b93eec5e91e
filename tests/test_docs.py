# SPDX-License-Identifier: Apache-2.0
"""Documents that come out of the code are what the code says, and what they say works."""

from __future__ import annotations

import configparser
import importlib.util
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from sdnctl.cli import COMMANDS, parser_for
from sdnctl.config import OPTIONS, load
from sdnctl.flows.pipeline import Reason, Table
from sdnctl.flows.registers import SLOTS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_current() -> None:
    """`python docs/generate.py` writes them."""
    assert generator().stale() == []


def test_every_option_is_documented() -> None:
    page = (ROOT / "docs" / "options.md").read_text()
    for option in OPTIONS.values():
        assert f"`{option.key}`" in page
        assert f"`{option.variable}`" in page


def test_the_example_file_works(tmp_path: Path) -> None:
    """As it is, it changes nothing; with every comment taken away it is accepted."""
    text = (ROOT / "packaging" / "sdnctl.toml").read_text()
    file = tmp_path / "sdnctl.toml"
    file.write_text(text)
    assert load({}, {}, str(file)) == load({}, {})
    file.write_text(re.sub(r"^#(?=\w)", "", text, flags=re.MULTILINE))
    config = load({}, {}, str(file))
    assert config.api == load({}, {}).api
    document = tomllib.loads(file.read_text())
    keys = {f"{name}.{key}" for name, inside in document.items() if isinstance(inside, dict) for key in inside}
    assert keys | {name for name, inside in document.items() if not isinstance(inside, dict)} == set(OPTIONS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} points to {target}"


def test_the_unit_starts_what_exists() -> None:
    """The unit's own words: command, file, exit statuses that a restart cannot cure."""
    unit = (ROOT / "packaging" / "sdnctl.service").read_text()
    assert "sdnctl serve --config /etc/sdnctl/sdnctl.toml\n" in unit
    assert "RestartPreventExitStatus=2 78\n" in unit
    assert load({}, {"XDG_STATE_HOME": "/var/lib"}, is_root=False).database == "sqlite:////var/lib/sdnctl/sdnctl.db"


def test_every_table_slot_and_reason_is_documented() -> None:
    page = (ROOT / "docs" / "pipeline.md").read_text()
    for name in [*(table.name.lower() for table in Table), *(reason.name.lower() for reason in Reason if reason)]:
        assert f"| `{name}` |" in page
    for slot in SLOTS:
        assert f"| {slot.name} |" in page


def shown() -> Iterator[tuple[str, str]]:
    """(page, line) of what a reader may type: code blocks, continued lines joined, each part of a pipe by itself."""
    for page in PAGES:
        fenced = False
        text = re.sub(r"\\\n\s*", "", page.read_text())
        for line in text.splitlines():
            if line.lstrip().startswith("```"):
                fenced = not fenced
            elif fenced or line.startswith("    "):
                for part in line.strip().removeprefix("$ ").split(" | "):
                    yield page.name, part.strip()


def commands() -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for page, line in shown():
        found += [(page, inner) for inner in re.findall(r"\$\((sdnctl [^)]*)\)", line)]
        bare = re.sub(r"\$\([^)]*\)", "x", line)
        if match := re.fullmatch(r"(?:\S+/)?(sdnctl [a-z-].*?)(?:  .*)?(?: [12]?>.*)?(?: &)?", bare):
            found.append((page, match[1].strip()))
    return [(page, line) for page, line in dict.fromkeys(found) if "..." not in line and "|" not in line]


def test_there_are_commands_to_check() -> None:
    assert {line.split()[1] for _, line in commands()} >= {command.name for command in COMMANDS} - {"version"}


@pytest.mark.parametrize(("page", "line"), commands())
def test_a_command_in_the_documents_can_be_typed(page: str, line: str) -> None:
    words = shlex.split(line)[1:]
    try:
        parser_for(words).parse_args(words)
    except SystemExit as end:
        pytest.fail(f"{page}: {line}: the parser ends with {end.code}")


def test_modules_make_targets_and_environments_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini")
    for page in PAGES:
        text = page.read_text()
        for module in re.findall(r"python -m ((?:topologies|bench)\.\w+)", text):
            assert (ROOT / (module.replace(".", "/") + ".py")).exists(), f"{page.name}: {module}"
        for target in re.findall(r"(?:`|^    )make ([a-z]+)", text, re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page.name}: make {target}"
        for environment in re.findall(r"tox -e (\w+)", text):
            assert tox.has_section(f"testenv:{environment}"), f"{page.name}: tox -e {environment}"


def test_decisions_are_numbered_once() -> None:
    names = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("*.md"))
    assert len({name[:4] for name in names}) == len(names)
    for name in names:
        assert (ROOT / "docs" / "decisions" / name).read_text().startswith(f"# {int(name[:4])}. ")
