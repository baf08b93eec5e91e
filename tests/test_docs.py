# SPDX-License-Identifier: Apache-2.0
"""Documents that come out of the code are what the code says, and what they say works."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from sdnctl.config import OPTIONS, load

ROOT = Path(__file__).parent.parent


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


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/**/*.md")), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} points to {target}"


def test_the_unit_starts_what_exists() -> None:
    """The unit's own words: command, file, exit statuses that a restart cannot cure."""
    unit = (ROOT / "packaging" / "sdnctl.service").read_text()
    assert "sdnctl serve --config /etc/sdnctl/sdnctl.toml\n" in unit
    assert "RestartPreventExitStatus=2 78\n" in unit
    assert load({}, {"XDG_STATE_HOME": "/var/lib"}, is_root=False).database == "sqlite:////var/lib/sdnctl/sdnctl.db"
