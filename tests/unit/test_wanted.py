"""The conditions of --filter."""

from __future__ import annotations

import pytest

from lfk.core.errors import UsageError
from lfk.core.messages import Announcement
from lfk.core.wanted import Wanted
from tests.roles.roots import ROOTS

TALK = Announcement(
    "e", "done", 1, path_to_audio="s3://bucket/audio/diarisation/base/week1/talk.wav",
    transcription_approach="diarisation.tiny.en", language="en", batch_id="b1",
)  # fmt: skip


@pytest.mark.parametrize(
    ("conditions", "wanted"),
    [
        ((), True),
        (("status=done",), True),
        (("status=failed",), False),
        (("status=failed", "status=done"), True),
        (("approach=Diarization",), True),
        (("approach=simple",), False),
        (("model=tiny.en", "language=EN"), True),
        (("model=tiny",), False),
        (("language=de",), False),
        (("path=diarisation/*",), True),
        (("path=week1",), True),
        (("path=*.mp3",), False),
        (("path=week2", "path=*.wav"), True),
        (("path=s3*",), False),
        (("batch=b1",), True),
        (("batch=b2",), False),
        (("status=done", "language=de"), False),
    ],
)
def test_conditions(conditions: tuple[str, ...], wanted: bool) -> None:
    assert Wanted.parse(conditions, ROOTS).wants(TALK) is wanted


@pytest.mark.parametrize("text", ["done", "status", "status=", "=done", "colour=blue", "status=ready", "approach=guess",
                                  "model=gigantic"])  # fmt: skip
def test_conditions_that_there_are_not(text: str) -> None:
    with pytest.raises(UsageError, match="LFK_FILTER"):
        Wanted.parse([text], ROOTS)


def test_announcements_that_know_little() -> None:
    failed = Announcement("e", "failed", 1)
    assert not Wanted.parse(["path=*"], ROOTS).wants(failed)
    assert not Wanted.parse(["language=en"], ROOTS).wants(failed)
    assert Wanted.parse(["path=week1"], ROOTS).wants(Announcement("e", "failed", 1, path_to_audio="week1/x.wav"))
