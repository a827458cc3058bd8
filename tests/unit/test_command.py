"""Commands for transcripts: what becomes of placeholders, and what never becomes an option."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfk.core.command import CommandTemplate
from lfk.core.errors import RejectedReference, UsageError
from lfk.core.messages import Announcement, Failure

FORMATS = ("txt", "json")


def announcement(path: str = "s3://b/a.wav") -> Announcement:
    return Announcement("e1", "done", 1, path_to_audio=path, transcription_approach="simple.tiny.en", language="en")


def filled(*words: str, of: Announcement | None = None) -> list[str]:
    template = CommandTemplate.parse(words, FORMATS)
    return template.fill(of or announcement(), {"txt": "/out/a b.txt", "json": "/out/a.json"})


def test_placeholders_are_replaced_inside_their_argument() -> None:
    assert filled("mail", "-s", "{status}: {audio}", "--", "{txt}") == [
        "mail", "-s", "done: s3://b/a.wav", "--", "/out/a b.txt",
    ]  # fmt: skip
    assert filled("x", "{approach}/{model}", "{language}", "{event}", "{error}") == [
        "x",
        "simple/tiny.en",
        "en",
        "e1",
        "",
    ]
    failed = Announcement("e2", "failed", 1, error=Failure("audio_empty", "m", "s", 1, False))
    assert filled("x", "{error}", "{audio}", of=failed) == ["x", "audio_empty", ""]


def test_braces_that_are_meant() -> None:
    assert filled("x", '{{"file": "{txt}"}}', "{", "}", "{}", "{ txt }") == [
        "x", '{"file": "/out/a b.txt"}', "{", "}", "{}", "{ txt }",
    ]  # fmt: skip


def test_only_the_formats_that_are_named_are_needed() -> None:
    assert CommandTemplate.parse(["x", "{txt}{txt}", "{audio}"], FORMATS).formats == ("txt",)
    with pytest.raises(KeyError):
        CommandTemplate.parse(["x", "{txt}"], FORMATS).fill(announcement(), {})


@pytest.mark.parametrize("words", [[], [""], ["{txt}"], ["x", "{docx}"], ["x", "{txt.__class__}", "{evnt}"]])
def test_what_is_no_command_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        CommandTemplate.parse(words, FORMATS)


@pytest.mark.parametrize("path", ["-rf", "--output=/etc/passwd", "a\0b", "a\ud800b"])
def test_hostile_names_are_never_options_or_worse(path: str) -> None:
    with pytest.raises(RejectedReference):
        filled("x", "{audio}", of=announcement(path))


def test_an_option_that_is_meant_may_hold_anything() -> None:
    assert filled("x", "--audio={audio}", of=announcement("-rf")) == ["x", "--audio=-rf"]


@given(st.text(max_size=50))
def test_a_name_stays_one_argument(path: str) -> None:
    try:
        words = filled("x", "{audio}", "end", of=announcement(path))
    except RejectedReference:
        return
    assert words == ["x", path, "end"]
    assert not path.startswith("-")
