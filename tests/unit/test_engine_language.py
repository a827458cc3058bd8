"""Which language a recording, or a piece of one, is in."""

from __future__ import annotations

from lfk.engine.language import agree, choose

DE = {"de": 0.9, "en": 0.1}
EN = {"en": 0.95, "de": 0.05}
UNSURE = {"nl": 0.4, "de": 0.35, "en": 0.25}


def test_the_likeliest_over_all_pieces() -> None:
    assert choose([DE, DE, EN]) == "de"
    assert choose([UNSURE, EN]) == "en"


def test_nothing_heard_is_english() -> None:
    assert choose([]) == "en"


def test_pieces_that_are_sure_speak_for_themselves() -> None:
    assert agree([DE, EN, DE], [5.0, 5.0, 5.0]) == ["de", "en", "de"]


def test_a_short_or_unsure_piece_takes_a_neighbours_language() -> None:
    """An unsure piece between two languages takes the likelier of them, and never a third."""
    assert agree([DE, UNSURE, EN], [5.0, 5.0, 5.0]) == ["de", "de", "en"]
    assert agree([EN, DE, EN], [5.0, 0.8, 5.0]) == ["en", "en", "en"]


def test_without_a_sure_piece_the_whole_decides() -> None:
    assert agree([UNSURE, UNSURE], [5.0, 5.0]) == ["nl", "nl"]
