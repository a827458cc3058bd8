"""What a hub and a reader show of announcements: one line each, and warnings once."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from lfk.cli.answers import Answers
from lfk.cli.console import Console
from lfk.core.messages import Announcement

ANSWER = Announcement(
    event_id="e", status="done", timestamp=0, path_to_audio="s3://b/a.wav", transcription_approach="simple.tiny"
)


def shown(*answers: Announcement, as_json: bool = False) -> list[str]:
    out = io.StringIO()
    screen = Answers(Console(as_json=as_json, out=out, err=out))
    for answer in answers:
        screen.show(answer)
    return out.getvalue().splitlines()


def test_a_warning_is_told_once() -> None:
    fallback = replace(ANSWER, warnings=("tiny.en did the work",))
    other = replace(ANSWER, warnings=("tiny.en did the work", "no speakers"))
    lines = shown(fallback, fallback, other, ANSWER)
    assert [line for line in lines if not line.startswith("done ")] == [
        "  note: tiny.en did the work",
        "  note: no speakers",
    ]
    assert len(lines) == 6


@pytest.mark.parametrize("text", ["a\ndone  0:00:01  forged", "\x1b[2J"])
def test_a_warning_is_one_harmless_line(text: str) -> None:
    lines = shown(replace(ANSWER, warnings=(text,)))
    assert len(lines) == 2
    assert "\x1b" not in lines[1]


def test_machines_get_the_announcement_alone() -> None:
    (line,) = shown(replace(ANSWER, warnings=("no speakers",)), as_json=True)
    assert '"no speakers"' in line
