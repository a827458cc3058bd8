"""Running text, paragraphs and turns."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from lfk.core.paragraphs import blocks, lines, paragraphs, speaker_turns, turns
from lfk.core.running_text import clean, columns, joined, label, written
from lfk.core.transcript import Segment, Transcript, Turn, Word
from tests.golden.cases import say
from tests.unit.format_strategies import letters, segments, spoken, transcripts


@given(segments())
@settings(max_examples=100, deadline=None)
def test_words_as_written_lose_nothing_and_have_times(segment: Segment) -> None:
    words = written(segment)
    assert letters(joined(words)) == letters(segment.text)
    assert all(0 <= word.start <= word.end for word in words)


@given(transcripts())
@settings(max_examples=40, deadline=None)
def test_every_layout_keeps_all_text_in_order(transcript: Transcript) -> None:
    for layout in ("lines", "paragraphs", "turns"):
        assert letters(" ".join(block.text for block in blocks(transcript, layout))) == spoken(transcript)


def test_the_text_decides_what_stands_between_words() -> None:
    words = (Word("Well", 1.0, 1.2), Word("it's", 1.5, 1.7), Word("3", None, None), Word("o'clock", 2.0, 2.4))
    segment = Segment(1.0, 2.5, " “Well” — it's 3 o'clock!", words)
    assert joined(written(segment)) == "“Well” — it's 3 o'clock!"
    assert [(w.text, w.timed) for w in written(segment)] == [
        ("“Well”", True),
        ("—", False),
        ("it's", True),
        ("3", False),
        ("o'clock!", True),
    ]


def test_where_a_word_is_not_in_the_text_the_words_decide() -> None:
    segment = Segment(
        0.0, 1.0, "something else", (Word("what", 0.0, 0.4), Word("was", 0.5, 0.6), Word("said", 0.7, 1.0))
    )
    assert joined(written(segment)) == "what was said"
    unspaced = Segment(0.0, 1.0, "", tuple(Word(char) for char in "大衣。"))
    assert joined(written(unspaced)) == "大衣。"


def test_missing_times_are_shared_out_between_neighbours() -> None:
    words = (Word("a", 1.0, 1.2), Word("bb"), Word("cccc"), Word("d", 1.8, 2.0))
    times = [(round(w.start, 3), round(w.end, 3)) for w in written(Segment(1.0, 2.0, "a bb cccc d", words))]
    assert times == [(1.0, 1.2), (1.2, 1.4), (1.4, 1.8), (1.8, 2.0)]


def test_missing_speakers_are_those_beside_them() -> None:
    words = (Word("a"), Word("b", speaker="A"), Word("c"), Word("d", speaker="B"))
    assert [w.speaker for w in written(Segment(0, 1, "a b c d", words, "B"))] == ["A", "A", "A", "B"]
    assert [w.speaker for w in written(Segment(0, 1, "a b", (), "B"))] == ["B", "B"]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (" a\t\nb\u2028c ", "a b c"),
        ("x\x00\x1b[31my", "x [31my"),
        ("\u202eevil\u202c", "evil"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("\ud800a\ufeff\ufffe", "a"),
    ],
)
def test_text_is_cleaned(raw: str, expected: str) -> None:
    assert clean(raw) == expected


def test_labels_are_one_short_line() -> None:
    assert label("SPEAKER_00") == "SPEAKER_00"
    assert label(" \n ") is None
    assert label("\u202e" * 99) == ("\\u202e" * 99)[:60]


def test_columns_of_wide_and_combining_characters() -> None:
    assert [columns(text) for text in ("abc", "大衣", "e\u0301", "ﾊ", "한")] == [3, 4, 1, 1, 2]


def test_a_pause_of_exactly_the_setting_begins_a_paragraph() -> None:
    words = (Word("a", 0.0, 1.0), Word("b", 1.5, 2.0), Word("c", 2.25, 3.0))
    transcript = Transcript("en", None, (Segment(0.0, 3.0, "a b c", words),))
    assert [(p.start, p.text) for p in paragraphs(transcript, 0.5)] == [(0.0, "a"), (1.5, "b c")]
    assert [p.text for p in paragraphs(transcript, 0.51)] == ["a b c"]
    assert [p.text for p in paragraphs(transcript, 0.25)] == ["a", "b", "c"]


def test_an_interjection_is_no_pause_behind_it() -> None:
    long = Segment(0.0, 10.0, "long word", (Word("long", 0.0, 5.0), Word("word", 5.0, 10.0)))
    inside = Segment(3.0, 3.5, "hm", (Word("hm", 3.0, 3.5),))
    after = Segment(10.2, 11.0, "on", (Word("on", 10.2, 11.0),))
    assert len(list(paragraphs(Transcript("en", None, (long, inside, after))))) == 1


def test_a_change_of_language_begins_a_paragraph() -> None:
    first, second = Segment(0, 1, "one", language="en"), Segment(1, 2, "deux", language="fr")
    assert [(p.language, p.text) for p in paragraphs(Transcript("en", None, (first, second)))] == [
        ("en", "one"),
        ("fr", "deux"),
    ]


def test_turns_follow_the_words_not_the_segments() -> None:
    words = (Word("yes", 0.0, 0.4, None, "A"), Word("no", 0.5, 0.9, None, "B"))
    mixed = Segment(0.0, 0.9, "yes no", words, "A")
    transcript = Transcript("en", None, (mixed, say("why", 1.0, "B")))
    assert [(t.speaker, t.start, t.text) for t in turns(transcript)] == [("A", 0.0, "yes"), ("B", 0.5, "no why")]


def test_lines_begin_with_their_segment() -> None:
    segment = Segment(2.0, 5.0, " late", (Word("late", 4.0, 5.0),))
    assert [(line.start, line.end, line.text) for line in lines(Transcript("en", None, (segment,)))] == [
        (2.0, 5.0, "late")
    ]


def test_segments_without_blanks_run_on() -> None:
    transcript = Transcript(
        "zh", None, (Segment(0, 1, "大衣。"), Segment(1, 2, "票据"), Segment(2, 3, "ok"), Segment(3, 4, "한국"))
    )
    assert [p.text for p in paragraphs(transcript)] == ["大衣。票据 ok 한국"]


def test_speaker_turns_are_the_diarisers_else_the_words() -> None:
    segment = say("one two", 1.0, "A")
    told = Transcript("en", None, (segment,), (Turn(5.0, 6.0, "B"), Turn(0.5, 2.0, "A"), Turn(3.0, 3.0, "A")))
    assert speaker_turns(told) == [Turn(0.5, 2.0, "A"), Turn(5.0, 6.0, "B")]
    assert speaker_turns(Transcript("en", None, (segment,))) == [Turn(1.0, segment.end, "A")]
