"""What the pages for users say is there: commands, options, settings, errors, files, make targets."""

from __future__ import annotations

import importlib
import re
import shlex

import pytest

from lfk.cli.main import VERBS, build_parser
from lfk.environment import KAFKA_PREFIX
from lfk.settings import specs
from tests.docs.pages import PAGES, ROOT, Shown, blocks, commands, inline_commands, text_of

#: Names that are no settings of lfk: those of its tests, its building and its containers.
_NO_SETTINGS = ("LFK_TEST_", "LFK_REQUIRE_SERVICES", "LFK_CACHE", KAFKA_PREFIX)

_SETTING = re.compile(r"\bLFK_[A-Z0-9]+(?:_[A-Z0-9]+)*\b(?!_|\*)")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_MAKE = re.compile(r"`make ([a-z-]+)[^`]*`|^\$ make ([a-z-]+)", re.MULTILINE)
_TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)

_ALL = [shown for page in PAGES for shown in (*commands(page), *inline_commands(page))]


def lfk_calls(shown: Shown) -> list[list[str]]:
    """The words of each call of lfk in a command, behind ``lfk`` itself."""
    calls = []
    words: list[str] = []
    for word in [*shlex.split(shown.command, comments=True), ";"]:
        if word in (";", "&&", "||", "|", "&"):
            if words:
                calls.append(words)
            words = []
        else:
            words.append(word)
    return [call[index + 1 :] for call in calls if (index := _lfk(call)) is not None]


def _lfk(words: list[str]) -> int | None:
    for index, word in enumerate(words):
        if word == "lfk" or word.endswith("/lfk"):
            return index
        if "=" not in word and word not in ("export", "sudo"):
            return None
    return None


@pytest.mark.parametrize("shown", _ALL, ids=str)
def test_every_command_is_one(shown: Shown) -> None:
    """It parses: the verb, its options and their values are there. ``…`` leaves out what does not matter."""
    for words in lfk_calls(shown):
        if not words or words[0].startswith("-") or any("…" in word for word in words):
            continue
        verb, *rest = words
        if "|" in verb or verb == "COMMAND":
            continue
        assert verb in VERBS, f"there is no `lfk {verb}`"
        if not rest:
            continue
        if ">" in rest:
            rest = rest[: rest.index(">")]
        parser = build_parser(verb, importlib.import_module(f"lfk.cli.{verb}"))
        known = {option for action in _actions(parser) for option in action.option_strings}
        for word in _before_a_command(rest):
            if re.match(r"--?[a-z]", word):
                assert word.partition("=")[0] in known, f"`lfk {verb}` has no {word}"


def _actions(parser: object) -> list[object]:
    found: list[object] = []
    for action in parser._actions:  # type: ignore[attr-defined]
        found.append(action)
        choices = getattr(action, "choices", None)
        if isinstance(choices, dict):
            for inner in choices.values():
                found += _actions(inner)
    return found


def _before_a_command(words: list[str]) -> list[str]:
    return words[: words.index("--exec") + 1] if "--exec" in words else words


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_is_one(page: str) -> None:
    known = {name for spec in specs().values() for name in (spec.env, *spec.older)}
    known |= {f"{name}_FILE" for name in known}
    named = {name for name in _SETTING.findall(text_of(page)) if not name.startswith(_NO_SETTINGS)}
    assert sorted(named - known) == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for target in _LINK.findall(text_of(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _hash, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), f"{page} leads to {target}"
        if anchor:
            assert anchor in _anchors(file.read_text(encoding="utf-8")), f"{page} leads to {target}"


def _anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in _HEADING.findall(text)}


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_is_one(page: str) -> None:
    targets = set(_TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    named = {first or second for first, second in _MAKE.findall(text_of(page))}
    assert sorted(named - targets) == []


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_what_it_is(page: str) -> None:
    """A block with commands says so, so that editors colour it and the tests below find it."""
    wrong = [
        block.at for block in blocks(page) if block.language not in ("console", "sh") and _has_command(block.lines)
    ]
    assert wrong == []


def _has_command(lines: tuple[str, ...]) -> bool:
    return any(re.match(r"(\$ )?(lfk|make|aws|mc|curl|docker|kubectl|helm) [\w./-]+( [^─]|$)", line) for line in lines)
