"""The transcripts that every output format is asked to render: whole, and with what real ones lack or have too much of.

Times are made from the words (:func:`say`), so that a reader can check an expected file by hand.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache

from lfk.core.approaches import APPROACHES
from lfk.core.formats import Page
from lfk.core.transcript import Segment, Transcript, Turn, Word

MANIFEST = {
    "event_id": "0f5a1c",
    "job_id": "b7e2",
    "path_to_audio": "s3://lessons/audio/diarisation/base/week1/lesson1.mp4",
    "provenance": {"whisperx": "3.8.6", "lfk": "1.0.0", "model": "base", "device": "cpu"},
    "files": {"txt": {"location": "s3://lessons/transcripts/x.txt", "size": 12, "sha256": "ab"}},
}


def say(text: str, start: float, speaker: str | None = None, pace: float = 0.06) -> Segment:
    """A segment whose words take ``pace`` seconds a letter and 0.08 s more, with 0.04 s between them."""
    words, at = [], start
    for spelling in text.split():
        end = round(at + 0.08 + pace * len(spelling), 3)
        words.append(Word(spelling, at, end, 0.9, speaker))
        at = round(end + 0.04, 3)
    return Segment(start, words[-1].end or start, f" {text}", tuple(words), speaker)


def without_words(transcript: Transcript) -> Transcript:
    """As Whisper gives it before alignment."""
    bare = tuple(replace(segment, words=(), speaker=None) for segment in transcript.segments)
    return replace(transcript, segments=bare, turns=())


def page(approach: str, transcript: Transcript, title: str = "lesson1.mp4", timestamps: bool = True) -> Page:
    """A page with a manifest."""
    return Page(transcript, APPROACHES[approach], title, timestamps, MANIFEST)


@cache
def lesson() -> Transcript:
    """Two people; the second answers at once, the first goes on after a pause."""
    return Transcript(
        "en",
        24.0,
        (
            say("Good morning, and welcome to the first lesson, which is about coats and tickets.", 1.2, "SPEAKER_00"),
            say("A recording is a coat; the message that travels is only its ticket.", 9.4, "SPEAKER_00"),
            say("And if I lose it?", 15.1, "SPEAKER_01"),
            say("Then the wardrobe writes you another one.", 17.0, "SPEAKER_00"),
        ),
        (Turn(1.2, 14.9, "SPEAKER_00"), Turn(15.1, 16.6, "SPEAKER_01"), Turn(17.0, 21.0, "SPEAKER_00")),
    )


def _missing_times() -> Page:
    """Numbers cannot be aligned, and one segment was not aligned at all."""
    first = say("In 1969 it was 20 past ten, exactly 3 times.", 2.0)
    kept = tuple(Word(w.text) if w.text.isdigit() else w for w in first.words)
    return page(
        "segmentation",
        Transcript("en", 20.0, (replace(first, words=kept), Segment(9.0, 13.0, " None of this was aligned."))),
    )


def _missing_speakers() -> Page:
    first = say("Nobody could tell who said this,", 0.5)
    second = say("but this was her, and this as well.", 4.0, "SPEAKER_00")
    some = tuple(replace(word, speaker=None) if at % 2 else word for at, word in enumerate(second.words))
    return page("diarisation", Transcript("en", 9.0, (first, replace(second, words=some))))


def _overlapping() -> Page:
    long = say("I was about to explain the whole of it when somebody began to speak.", 1.0, "SPEAKER_00")
    short = say("Sorry, may I?", 3.0, "SPEAKER_01")
    turns = (Turn(1.0, long.end, "SPEAKER_00"), Turn(3.0, short.end, "SPEAKER_01"))
    return page("diarisation", Transcript("en", 12.0, (long, short, say("Please.", 4.2, "SPEAKER_00")), turns))


def _leftward() -> Page:
    first = say("صباح الخير، وأهلا بكم في الدرس الأول عن المعاطف والتذاكر.", 0.8, "SPEAKER_00")
    second = say("וזה בעברית, עם WhisperX באמצע.", 8.0, "SPEAKER_01")
    return page("diarisation", Transcript("ar", 14.0, (first, replace(second, language="he"))), "درس ١.mp4")


def _unspaced() -> Page:
    """A word a character, as WhisperX aligns Chinese and Japanese; marks have no time."""
    text = "大家好，欢迎来到第一课。录音是大衣，消息只是它的票据；大衣一直挂在衣帽间里，票据可以重写。"
    words = tuple(
        Word(char, round(1 + at * 0.2, 2), round(1.18 + at * 0.2, 2), 0.8) if char.isalnum() else Word(char)
        for at, char in enumerate(text)
    )
    japanese = Segment(12.0, 16.0, "コートは「クローク」にあります。チケットをどうぞ。", language="ja")
    return page("segmentation", Transcript("zh", 18.0, (Segment(1.0, 10.5, text, words), japanese)), "第一课.mp4")


def _hostile() -> Page:
    """Markup, commands of the formats, control and bidi characters wherever text comes from outside."""
    said = say('<script>alert(1)</script> & "quoted" --> 00:01 {\\an8} \\N', 1.0, '<v X> "\n SPEAKER')
    odd = Segment(6.0, 8.0, "tab\tnew\nline \u202eright\u202c \x00nul\u2028end", (), "</main><script>")
    title = '"><img src=x onerror=alert(1)>\n\u202e.mp4'
    whole = Transcript('en" onclick="', 9.0, (said, odd), warnings=("<b>bold</b> & \x1b[31mred",))
    return page("diarisation", whole, title)


def _hour() -> Page:
    """3,600 s of two people with every length of sentence, from a fixed sequence of digests."""
    vocabulary = re.findall(
        r"\w+", "the coat hangs where nobody asks and its ticket says so in as few letters as it can"
    )
    segments, at, number = [], 0.5, 0
    while at < 3590:
        digest = hashlib.sha256(str(number).encode()).digest()
        spoken = " ".join(vocabulary[byte % len(vocabulary)] for byte in digest[: 2 + digest[0] % 28])
        segments.append(say(spoken + ".", round(at, 3), f"SPEAKER_0{digest[1] % 2}"))
        at = segments[-1].end + digest[2] / 128
        number += 1
    return page("diarisation", Transcript("en", 3600.0, tuple(segments)), "hour.mp4")


CASES: Mapping[str, Callable[[], Page]] = {
    "simple": lambda: page("simple", without_words(lesson())),
    "segmentation": lambda: page("segmentation", lesson()),
    "diarisation": lambda: page("diarisation", lesson()),
    "simple-no-times": lambda: page("simple", without_words(lesson()), timestamps=False),
    "segmentation-no-times": lambda: page("segmentation", lesson(), timestamps=False),
    "diarisation-no-times": lambda: page("diarisation", lesson(), timestamps=False),
    "missing-times": _missing_times,
    "missing-speakers": _missing_speakers,
    "overlapping": _overlapping,
    "leftward": _leftward,
    "unspaced": _unspaced,
    "hostile": _hostile,
    "no-speech": lambda: page("diarisation", Transcript(None, 5.0, (), (), ())),
}
#: Rendered too, but only their digests are kept.
LONG: Mapping[str, Callable[[], Page]] = {"hour": _hour}
