from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfk.core.speakers import assign_speakers
from lfk.core.transcript import Turn, Word

# Whole hundredths, so that sums of seconds compare exactly enough.
moments = st.integers(0, 5_000).map(lambda value: value / 100)


@st.composite
def spans(draw: st.DrawFn) -> tuple[float, float]:
    first, second = sorted((draw(moments), draw(moments)))
    return first, second


turns = st.lists(
    st.builds(lambda s, who: Turn(s[0], s[1], f"SPEAKER_{who:02d}"), spans(), st.integers(0, 4)), max_size=30
)
timed_words = st.lists(st.builds(lambda s: Word("w", s[0], s[1]), spans()), max_size=30)


def talk(word: Word, speaker: str, all_turns: list[Turn]) -> int:
    """Hundredths of the word in which the speaker talks, counted one by one."""
    assert word.start is not None and word.end is not None
    own = [(round(turn.start * 100), round(turn.end * 100)) for turn in all_turns if turn.speaker == speaker]
    return sum(any(a <= at < b for a, b in own) for at in range(round(word.start * 100), round(word.end * 100)))


def distance(word: Word, speaker: str, all_turns: list[Turn]) -> float:
    assert word.start is not None and word.end is not None
    start, end = word.start, word.end
    return min(max(0.0, start - turn.end, turn.start - end) for turn in all_turns if turn.speaker == speaker)


@given(timed_words, turns)
def test_the_speaker_talks_longest_or_is_nearest(words: list[Word], all_turns: list[Turn]) -> None:
    speakers = {turn.speaker for turn in all_turns}
    for word in assign_speakers(words, all_turns):
        if not speakers:
            assert word.speaker is None
            continue
        assert word.speaker is not None
        longest = max(talk(word, speaker, all_turns) for speaker in speakers)
        assert talk(word, word.speaker, all_turns) == longest
        if longest == 0:
            nearest = min(distance(word, speaker, all_turns) for speaker in speakers)
            assert distance(word, word.speaker, all_turns) == pytest.approx(nearest)


@given(timed_words, turns)
def test_only_the_speaker_changes(words: list[Word], all_turns: list[Turn]) -> None:
    assigned = assign_speakers(words, all_turns)
    assert [(word.text, word.start, word.end) for word in assigned] == [(w.text, w.start, w.end) for w in words]


@given(timed_words, turns, st.randoms(use_true_random=False))
def test_the_order_of_turns_does_not_matter_where_there_is_no_tie(words, all_turns, random) -> None:  # type: ignore[no-untyped-def]
    distinct = [word for word in words if _is_decided(word, all_turns)]
    shuffled = list(all_turns)
    random.shuffle(shuffled)
    assert assign_speakers(distinct, all_turns) == assign_speakers(distinct, shuffled)


def _is_decided(word: Word, all_turns: list[Turn]) -> bool:
    ranks = sorted(
        (-talk(word, speaker, all_turns), distance(word, speaker, all_turns))
        for speaker in {turn.speaker for turn in all_turns}
    )
    return len(ranks) < 2 or ranks[0][0] != ranks[1][0] or (ranks[0][0] == 0 and ranks[1][1] - ranks[0][1] > 0.005)


@pytest.mark.parametrize("word", [Word("a"), Word("b", float("nan"), float("nan")), Word("c", speaker="SPEAKER_07")])
def test_a_word_without_times_keeps_what_it_has(word: Word) -> None:
    (after,) = assign_speakers([word], [Turn(0.0, 1.0, "SPEAKER_00")])
    assert after is word


def test_half_a_time_is_a_moment() -> None:
    all_turns = [Turn(0.0, 1.0, "SPEAKER_00"), Turn(2.0, 3.0, "SPEAKER_01")]
    words = assign_speakers([Word("a", start=2.5), Word("b", end=1.2)], all_turns)
    assert [word.speaker for word in words] == ["SPEAKER_01", "SPEAKER_00"]


def test_in_overlapping_speech_the_longer_one_wins() -> None:
    all_turns = [Turn(0.0, 5.0, "SPEAKER_00"), Turn(4.0, 9.0, "SPEAKER_01")]
    words = assign_speakers([Word("a", 3.7, 4.2), Word("b", 4.6, 5.4)], all_turns)
    assert [word.speaker for word in words] == ["SPEAKER_00", "SPEAKER_01"]


def test_a_tie_goes_to_who_spoke_first() -> None:
    all_turns = [Turn(3.0, 4.0, "SPEAKER_01"), Turn(1.0, 2.0, "SPEAKER_00")]
    (word,) = assign_speakers([Word("a", 2.25, 2.75)], all_turns)
    assert word.speaker == "SPEAKER_00"
