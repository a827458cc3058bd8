"""Transcripts as bad as they come: any text, times in any order or missing, speakers of any name."""

from __future__ import annotations

from hypothesis import strategies as st

from lfk.core.approaches import APPROACHES
from lfk.core.formats import Page
from lfk.core.running_text import clean
from lfk.core.transcript import Segment, Transcript, Turn, Word

_HOSTILE = st.sampled_from(
    [
        "<script>alert(1)</script>",
        "</style>",
        "<!--",
        "]]>",
        "-->",
        "&amp;",
        '"',
        "'",
        "`${x}`",
        "{\\an8}",
        "a\tb",
        "a\nb",
        "\u2028",
        "\u202eabc",
        "\x00",
        "\ud800",
        "\udc80",
        "\ufeff",
        "\ufffe",
        "//evil.example/x",
        "javascript:alert(1)",
        "第一课。",
        "「票」",
        "שלום",
        "नमस्ते",
        "한국어",
        "e\u0301" * 50,
        "x" * 100,
        "界" * 60,
    ]
)
texts = st.one_of(_HOSTILE, st.text(max_size=12), st.sampled_from(["yes.", "well,", "indeed", "no", "1969"]))
times = st.one_of(st.floats(0, 4000), st.sampled_from([0.0, 1.0, 1.5, 3599.9996]))
odd_times = st.one_of(st.none(), times, st.sampled_from([float("nan"), float("inf"), -1.0]))
speakers = st.one_of(st.none(), st.sampled_from(["SPEAKER_00", "SPEAKER_01"]), texts)


@st.composite
def words(draw: st.DrawFn) -> Word:
    """Any word."""
    score = st.one_of(st.none(), st.floats(0, 1), st.just(float("nan")))
    return Word(draw(texts), draw(odd_times), draw(odd_times), draw(score), draw(speakers))


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    """Any segment whose text is that of its words."""
    start = draw(times)
    made = draw(st.lists(words(), max_size=25))
    kept = tuple(made) if draw(st.booleans()) else ()
    text = " ".join(word.text for word in made)
    language = draw(st.sampled_from([None, "en", "ar", '"><b>']))
    return Segment(start, start + draw(st.floats(0, 60)), text, kept, draw(speakers), language)


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    """Any transcript."""
    turns = st.builds(lambda at, long, who: Turn(at, at + long, who), times, st.floats(0, 60), texts)
    return Transcript(
        draw(st.sampled_from([None, "en", "he", "x y", '"'])),
        draw(st.one_of(st.none(), times)),
        tuple(draw(st.lists(segments(), max_size=6))),
        tuple(draw(st.lists(turns, max_size=4))),
        tuple(draw(st.lists(texts, max_size=2))),
    )


@st.composite
def pages(draw: st.DrawFn) -> Page:
    """Any page."""
    return Page(
        draw(transcripts()),
        draw(st.sampled_from(sorted(APPROACHES.values(), key=lambda a: a.name))),
        draw(texts),
        draw(st.booleans()),
        {"event_id": draw(texts), "numbers": [1.5, float("nan")]},
        draw(st.floats(0, 3)),
        draw(st.one_of(st.just(""), texts, st.just("https://store.example/a b.mp4?X=1&Y=<2>"))),
    )


def letters(text: str) -> str:
    """What must come through every rendering: the text without blanks."""
    return clean(text).replace(" ", "")


def spoken(transcript: Transcript) -> str:
    """All of it."""
    return "".join(letters(segment.text) for segment in transcript.segments)
