"""The parts of training/aligner that decide what the aligner learns: text, letter times, labels, augmentation, plan."""

from __future__ import annotations

import json
import random
import re

import pytest

np = pytest.importorskip("numpy", reason="comes with the hub extra")
pytest.importorskip("scipy", reason="comes with the hub extra")

from training.aligner import augment, grammar, text  # noqa: E402
from training.aligner.letters import LetterTimes, best_cut  # noqa: E402
from training.aligner.speech import SAMPLE_RATE, Phone, SpokenWord, TimedWord  # noqa: E402
from training.aligner.targets import (  # noqa: E402
    BLANK,
    IGNORED,
    SEPARATOR,
    VOCABULARY,
    frames,
    letter_labels,
    phone_ids,
    phone_labels,
)


def spoken(word: str, start: float, *phones: str, each: float = 0.1) -> SpokenWord:
    """A word whose phones last `each` seconds."""
    times = [start + each * index for index in range(len(phones) + 1)]
    return SpokenWord(
        word, tuple(Phone(name, begin, end) for name, begin, end in zip(phones, times, times[1:], strict=False))
    )


def timed(word: str, start: float, end: float) -> TimedWord:
    """A word with its letters spread evenly and one phone."""
    step = (end - start) / len(word)
    onsets = tuple(start + step * index for index in range(len(word)))
    return TimedWord(word, start, end, onsets, (Phone("x", start, end),))


@pytest.mark.parametrize("rule", sorted(grammar.RULES))
def test_every_rule_expands_to_plain_words(rule: str) -> None:
    rng = random.Random(rule)
    for _ in range(50):
        assert re.fullmatch(r"[a-z']+( [a-z']+)*", grammar.sentence(rng, rule))


def test_every_rule_is_reachable_from_sentence() -> None:
    reached, waiting = set(), ["sentence"]
    while waiting:
        rule = waiting.pop()
        if rule not in reached:
            reached.add(rule)
            waiting += re.findall(r"\{(\w+)\}", " ".join(grammar.RULES[rule]))
    assert reached == set(grammar.RULES)


def test_lines_are_different_repeatable_and_leave_out_what_they_are_told() -> None:
    rare = ("zephyr", "quartz", "vixen")
    made = text.lines(200, 3, rare)
    assert made == text.lines(200, 3, rare)
    assert len(set(made)) == 200
    assert not set(made[:50]) & set(text.lines(200, 3, rare, exclude=frozenset(made[:50])))
    assert max(len(line.split()) for line in made) <= text.WORDS_MAX


def test_a_short_dictionary_is_refused(tmp_path) -> None:
    path = tmp_path / "words.dict"
    path.write_text("a AH\nword W ER D\n", encoding="utf-8")
    with pytest.raises(ValueError, match="only 1 usable"):
        text.dictionary_words(path)


def test_letters_learn_their_phones_from_the_corpus() -> None:
    pronounced = {"she": "SH IY", "ship": "SH IH P", "hip": "HH IH P", "sip": "S IH P", "shin": "SH IH N"}
    pronounced |= {"box": "B AA K S", "bob": "B AA B", "ox": "AA K S", "pin": "P IH N", "nib": "N IH B"}
    corpus = [spoken(word, 0.0, *phones.split()) for word, phones in pronounced.items()]
    times = LetterTimes(corpus)
    assert times.onsets(spoken("ship", 1.0, "SH", "IH", "P")) == pytest.approx([1.0, 1.05, 1.1, 1.2])
    assert times.onsets(spoken("box", 0.0, "B", "AA", "K", "S")) == pytest.approx([0.0, 0.1, 0.2])


def test_a_word_with_too_many_phones_is_spread_evenly() -> None:
    word = spoken("a", 2.0, "E", "J", "B", "IY")
    assert best_cut("a", ("E", "J", "B", "IY"), None) is None
    assert LetterTimes([word]).onsets(word) == [2.0]


def test_labels_put_the_last_letter_and_the_separator_at_the_words_end() -> None:
    labels = letter_labels([timed("cat", 0.2, 0.5), timed("is", 1.0, 1.2)], 100)
    assert {int(frame): int(labels[frame]) for frame in np.flatnonzero(labels)} == {
        10: VOCABULARY["c"],
        15: VOCABULARY["a"],
        24: VOCABULARY["t"],
        25: SEPARATOR,
        50: VOCABULARY["i"],
        59: VOCABULARY["s"],
        60: SEPARATOR,
    }


def test_letters_never_share_a_frame_and_keep_their_order() -> None:
    words = [timed("strengths", 0.1, 0.14), timed("a", 0.14, 0.16), timed("i'm", 0.16, 0.3)]
    labels = letter_labels(words, 60)
    names = {index: symbol for symbol, index in VOCABULARY.items()}
    assert "".join(names[int(label)] for label in labels if label != BLANK) == "strengths|a|i'm|"


def test_labels_behind_the_last_frame_are_dropped() -> None:
    assert not letter_labels([timed("late", 3.0, 3.5)], 100).any()


def test_phones_are_labelled_where_they_sound() -> None:
    words = [timed("on", 0.2, 0.4)]
    ids = phone_ids({"flite": words * 80}, occurrences_min=80)
    assert ids == {("flite", "x"): 1}
    labels = phone_labels(words, 30, "flite", ids)
    centres = np.arange(30) * 0.02 + 0.0125
    assert (labels == ((centres >= 0.2) & (centres < 0.4))).all()
    assert set(phone_labels(words, 30, "espeak", ids)) == {0, IGNORED}


def test_a_segment_that_whisperx_pads_to_400_samples_has_one_frame() -> None:
    assert frames(400) == 1
    assert frames(SAMPLE_RATE) == 49


@pytest.mark.parametrize("seed", range(12))
def test_augmentation_moves_words_with_their_sound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    words = [timed("one", 0.5, 0.8), timed("two", 1.1, 1.4), timed("six", 1.9, 2.2)]
    sound = np.zeros(3 * SAMPLE_RATE, np.float32)
    for word in words:
        sound[int(word.start * SAMPLE_RATE) + 200 : int(word.end * SAMPLE_RATE) - 200] = 0.5
    out, placed = augment.joined([augment.retimed(sound, words, rng), augment.retimed(sound, words, rng)], rng)
    loud = np.flatnonzero(np.diff((np.abs(out) > out.max() * 0.25).astype(int)))
    edges = [time for word in placed for time in (word.start, word.end)]
    assert len(loud) == len(edges) == 12
    assert np.abs(loud / SAMPLE_RATE - np.array(edges)).max() < 0.03


def test_recorded_sound_keeps_its_length_and_depends_on_its_seed_only() -> None:
    sound = np.sin(np.arange(SAMPLE_RATE) / 20).astype(np.float32)
    talker = np.ones(100, np.float32)
    first, again, other = (augment.recorded(sound, talker, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == sound.shape
    assert (first == again).all()
    assert (first != other).any()


def test_a_corpus_of_another_recipe_is_refused(tmp_path) -> None:
    from training.aligner.corpus import Recipe, load

    (tmp_path / "recipe.json").write_text(json.dumps({"lines": 10, "seed": 1}), encoding="utf-8")
    with pytest.raises(ValueError, match="made from"):
        load(tmp_path, Recipe(lines=10, seed=2))
