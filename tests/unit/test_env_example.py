"""What is written for users must name what there is: ``.env.example``, the reference pages, the README."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import pytest
from dotenv import dotenv_values

from lfk.cli.main import VERBS
from lfk.environment import load
from lfk.settings import Settings, specs

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages() -> Mapping[str, str]:
    """What users read, by name."""
    names = ["README.md", *(f"docs/reference/{path.name}" for path in (ROOT / "docs" / "reference").glob("*.md"))]
    return {name: (ROOT / name).read_text(encoding="utf-8") for name in names}


def test_nothing_generated_is_stale(generator: ModuleType) -> None:
    stale = [name for name, text in generator.documents().items() if (ROOT / name).read_text(encoding="utf-8") != text]
    assert not stale, "run `python docs/generate.py`"


def test_every_group_has_a_heading(generator: ModuleType) -> None:
    groups = [spec.group for spec in specs().values()]
    assert set(groups) == set(generator.GROUPS)
    assert len(list(generator._grouped())) == len(set(groups)), "the settings of a group stand together"


def test_the_example_names_every_setting_once_and_nothing_else() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    names = re.findall(r"^([A-Za-z_0-9]+)=", text, re.MULTILINE)
    assert sorted(names) == sorted(spec.env for spec in specs().values())


def test_the_example_changes_nothing() -> None:
    assert set(dotenv_values(ROOT / ".env.example").values()) == {""}
    assert load(environ={}, env_file=ROOT / ".env.example") == Settings()


def test_every_setting_is_written_down(pages: Mapping[str, str]) -> None:
    text = "\n".join(pages.values())
    assert [spec.env for spec in specs().values() if f"`{spec.env}`" not in text] == []


def test_every_command_is_written_down(pages: Mapping[str, str]) -> None:
    assert [verb for verb in VERBS if f"## lfk {verb}\n" not in pages["docs/reference/commands.md"]] == []
