"""Cues stay within their limits and lose nothing, whatever the engine found."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings

from lfk.core.cues import COLUMNS, LINES, LONGEST_MS, SHORTEST_MS, Cue, cues
from lfk.core.running_text import columns
from lfk.core.transcript import Segment, Transcript, Word
from tests.golden.cases import LONG, say
from tests.unit.format_strategies import letters, spoken, transcripts


def _within_limits(made: list[Cue]) -> None:
    for cue in made:
        assert SHORTEST_MS <= cue.end - cue.start <= LONGEST_MS
        assert 1 <= len(cue.lines) <= LINES
        # A word may be nothing but a soft hyphen, which is text and has no width.
        assert all(line and line.strip() == line and columns(line) <= COLUMNS for line in cue.lines)
    assert all(before.end <= after.start for before, after in itertools.pairwise(made))


@given(transcripts())
@settings(max_examples=60, deadline=None)
def test_limits_hold_and_text_survives_in_order(transcript: Transcript) -> None:
    made = cues(transcript)
    _within_limits(made)
    assert letters(" ".join(line for cue in made for line in cue.lines)) == spoken(transcript)


@given(transcripts())
@settings(max_examples=40, deadline=None)
def test_limits_hold_with_labels(transcript: Transcript) -> None:
    _within_limits(cues(transcript, labelled=True))


def test_an_hour_is_within_limits_and_on_time() -> None:
    """Ordinary speech is shown when it is said: no cue waits for the one before it by more than a moment."""
    transcript = LONG["hour"]().transcript
    began = time.process_time()
    made = cues(transcript)
    assert time.process_time() - began < 10
    _within_limits(made)
    starts = [round(word.start * 1000) for word in transcript.words() if word.start is not None]
    late = [min(abs(cue.start - start) for start in starts) for cue in made]
    assert max(late) <= 600


@pytest.mark.parametrize("silence", [0.0, 0.4])
def test_a_long_sentence_is_divided_evenly_and_at_marks(silence: float) -> None:
    text = "When the coat was hung up nobody asked, but as soon as the ticket was lost everybody wanted to know."
    made = cues(Transcript("en", None, (say(text, silence),)))
    assert [cue.lines for cue in made] == [
        ("When the coat was hung up nobody asked,",),
        ("but as soon as the ticket was", "lost everybody wanted to know."),
    ]


def test_a_title_is_not_parted_from_its_name() -> None:
    made = cues(Transcript("en", None, (say("Nobody in the whole of the house knew Mr. Dashwood as well as I.", 0.0),)))
    assert [cue.lines for cue in made] == [("Nobody in the whole of the house", "knew Mr. Dashwood as well as I.")]


def test_speakers_and_silences_part_cues() -> None:
    transcript = Transcript(
        "en", None, (say("Yes.", 1.0, "A"), say("No.", 1.5, "B"), say("Why?", 2.1, "B"), say("So.", 9.0, "B"))
    )
    made = cues(transcript, labelled=True)
    assert [(cue.start, cue.end, cue.lines, cue.speaker) for cue in made] == [
        (1000, 2000, ("[A]: Yes.",), "A"),
        (2000, 3000, ("[B]: No. Why?",), "B"),
        (9000, 10000, ("So.",), "B"),
    ]


def test_without_word_times_a_long_segment_is_shared_out_by_width() -> None:
    made = cues(Transcript("en", None, (Segment(10.0, 30.0, "aaaa " * 40),)))
    assert made[0].start == 10_000
    assert made[-1].end == 30_000
    assert all(abs((cue.end - cue.start) - 500 * sum(line.count("aaaa") for line in cue.lines)) <= 2 for cue in made)


def test_a_word_that_lasts_too_long_is_cut_short() -> None:
    word = Word("Aaah", 1.0, 60.0)
    assert [(cue.start, cue.end) for cue in cues(Transcript("en", None, (Segment(1.0, 60.0, "Aaah", (word,)),)))] == [
        (1000, 8000)
    ]


def test_wide_characters_take_two_columns() -> None:
    made = cues(Transcript("zh", None, (Segment(0.0, 14.0, "大衣挂在衣帽间里，" * 10),)))
    assert COLUMNS // 3 < max(len(line) for cue in made for line in cue.lines) <= COLUMNS // 2
    assert not any(line.startswith("，") for cue in made for line in cue.lines)
