"""The arithmetic of the alignment bench: intervals, matching of words, sums."""

from __future__ import annotations

import pytest

np = pytest.importorskip("numpy", reason="comes with the hub extra")
pytest.importorskip("av", reason="comes with the hub extra")

from bench.quality.alignment import Case, Errors, Word, figures, joined, measured, plain, table, wilson  # noqa: E402


def case(name: str, *words: tuple[str, float, float]) -> Case:
    return Case(name, np.zeros(16_000, np.float32), tuple(Word(*word) for word in words))


def test_wilson_interval_has_its_known_values() -> None:
    assert wilson(93, 100) == pytest.approx((0.8625, 0.9657), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(71, 71)
    assert low == pytest.approx(0.9487, abs=1e-4)
    assert high == pytest.approx(1.0)


def test_only_words_that_match_in_order_are_compared() -> None:
    errors = Errors()
    errors.add(
        case("c", ("go", 0.0, 0.2), ("ten", 0.5, 0.8), ("meters", 0.8, 1.0)),
        [Word("go", 0.01, 0.2), Word("then", 0.5, 0.7), Word("meters", 1.0, 1.2)],
    )
    found = figures(errors)
    assert (found.words, found.matched) == (3, 2)
    assert found.start_within_100 == 0.5
    assert found.start_mean == pytest.approx(105.0)


def test_a_constant_delay_is_reported_as_bias() -> None:
    errors = Errors()
    reference = case("c", *((f"w{i}", i * 0.5, i * 0.5 + 0.3) for i in range(5)))
    errors.add(reference, [Word(word.text, word.start + 0.15, word.end + 0.15) for word in reference.words])
    found = figures(errors)
    assert found.start_within_100 == 0
    assert found.start_within_100_unbiased == 1
    assert found.start_bias == pytest.approx(150.0)


def test_no_match_at_all_is_an_error_not_a_figure() -> None:
    errors = Errors()
    errors.add(case("c", ("go", 0.0, 0.2)), [])
    with pytest.raises(ValueError, match="no word"):
        figures(errors)


def test_joined_cases_keep_each_word_at_its_sound() -> None:
    long = joined([case("a", ("one", 0.1, 0.5)), case("b", ("two", 0.2, 0.6))], "long")
    assert long.text == "one two"
    assert long.words[1].start == pytest.approx(0.2 + 1.0 + 0.4)
    assert len(long.sound) == int(2.8 * 16_000)


def test_human_groups_add_up_and_synthetic_ones_stay_apart() -> None:
    cases = [("cards", case("a", ("one", 0.0, 0.5))), ("synthetic flite", case("b", ("two", 0.0, 0.6)))]
    results = measured(cases, {"itself": lambda one: list(one.words)})
    assert set(results) == {"cards", "all human", "synthetic flite"}
    assert results["all human"]["itself"].words == 1
    assert "| all human | itself | 1/1 | 100.0%" in table(results)


def test_words_are_compared_without_case_and_punctuation() -> None:
    assert plain(" Don't,") == "don't"
