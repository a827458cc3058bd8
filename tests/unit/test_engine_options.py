"""Options of a job: what is read, what is refused, and what counts as the same work."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfk.core.errors import InvalidOption
from lfk.core.languages import LANGUAGES, find_language
from lfk.core.manifest import Rendering
from lfk.core.options import OPTIONS, SPEAKER_LIMIT, TEXT_LIMIT, JobOptions, parse_options

OPERATOR = Rendering(("txt", "json"), True, 0.5)


def parse(language: str | None = None, **given: Any) -> JobOptions:
    return parse_options(given, language, OPERATOR)


def test_nothing_asked_is_nothing_kept() -> None:
    options = parse()
    assert options == JobOptions(OPERATOR, {})
    assert options.work == options.recognition == {}


def test_text_and_values_are_read_alike() -> None:
    told = parse(min_speakers="2", beam_size="3", timestamps="no", pause="1.5", formats="srt, vtt")
    typed = parse(min_speakers=2, beam_size=3, timestamps=False, pause=1.5, formats=["srt", "vtt"])
    assert told == typed
    assert told.rendering == Rendering(("srt", "vtt", "json"), False, 1.5)
    assert told.values == {"beam_size": 3, "min_speakers": 2}


def test_asking_for_the_default_is_asking_for_nothing() -> None:
    assert parse(beam_size=5, task="Transcribe", on_stage_error="degrade", language="auto").values == {}


def test_identities_hold_what_changes_the_result() -> None:
    options = parse("de", batch_size=8, max_speakers=3, hotwords="Marburg", formats="txt", on_stage_error="fail")
    assert options.recognition == {"language": "de", "hotwords": "Marburg"}
    assert options.work == {**options.recognition, "max_speakers": 3, "on_stage_error": "fail"}
    assert options.values == {**options.work, "batch_size": 8}
    assert options.work_in(("transcribe",)) == options.recognition
    assert "max_speakers" not in options.work_in(("transcribe", "align"))
    assert options.work_in(("transcribe", "align", "diarise")) == options.work


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"speakers": 2}, "no option 'speakers'"),
        ({"min_speakers": 0}, "from 1 to 100"),
        ({"max_speakers": SPEAKER_LIMIT + 1}, "from 1 to 100"),
        ({"min_speakers": 2.0}, "whole number"),
        ({"min_speakers": True}, "whole number"),
        ({"min_speakers": "²"}, "whole number"),
        ({"min_speakers": "9" * 5000}, "whole number"),
        ({"min_speakers": 3, "max_speakers": 2}, "above max_speakers"),
        ({"num_speakers": 3, "max_speakers": 3}, "leave out"),
        ({"beam_size": 1000}, "from 1 to 20"),
        ({"batch_size": 0}, "from 1 to 256"),
        ({"task": "summarise"}, "one of transcribe, translate"),
        ({"on_stage_error": None, "task": 3}, "one of transcribe"),
        ({"language": "klingon"}, "code of a language"),
        ({"language": ["en"]}, "code of a language"),
        ({"hotwords": "x" * (TEXT_LIMIT + 1)}, "at most 800"),
        ({"initial_prompt": "<|endoftext|>"}, "plain text"),
        ({"initial_prompt": "a\x00b"}, "plain text"),
        ({"initial_prompt": {"a": 1}}, "expected text"),
        ({"formats": "docx"}, "there are the formats"),
        ({"formats": 5}, "names of formats"),
        ({"formats": [1]}, "names of formats"),
        ({"pause": "soon"}, "expected seconds"),
        ({"pause": -1}, "expected seconds"),
        ({"pause": "nan"}, "expected seconds"),
        ({"pause": float("inf")}, "expected seconds"),
        ({"timestamps": "maybe"}, "true or false"),
        ({"timestamps": 1}, "true or false"),
    ],
)
def test_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidOption, match=says):
        parse_options(given, None, OPERATOR)


def test_a_near_miss_is_named() -> None:
    with pytest.raises(InvalidOption) as caught:
        parse(max_speaker=2)
    assert caught.value.hint == "did you mean max_speakers?"


def test_a_language_given_twice_has_to_agree() -> None:
    assert parse_options({"language": "FR"}, "fr", OPERATOR).values == {"language": "fr"}
    with pytest.raises(InvalidOption, match="twice"):
        parse_options({"language": "de"}, "fr", OPERATOR)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("en", "en"),
        ("EN", "en"),
        ("en-US", "en"),
        ("pt_BR", "pt"),
        ("zh-Hant-TW", "zh"),
        ("nb", "no"),
        ("iw", "he"),
        ("jv", "jw"),
        ("yue", "yue"),
        ("haw", "haw"),
        (" de ", "de"),
        ("xx", None),
        ("", None),
        ("english", None),
        ("e", None),
        ("q" * 10_000, None),
    ],
)
def test_language_codes(text: str, code: str | None) -> None:
    assert find_language(text) == code


def test_every_language_is_known_to_itself() -> None:
    assert len(LANGUAGES) == 100
    assert {find_language(code) for code in LANGUAGES} == LANGUAGES


def test_every_option_says_what_it_is() -> None:
    for name, option in OPTIONS.items():
        assert option.name == name
        assert option.help
        assert option.affects != "rendering" or option.default is None, "the operator's settings are the default"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(OPTIONS)) | st.text(max_size=12), json_values, max_size=4))
def test_anything_from_a_message_is_read_or_refused(given: dict[str, Any]) -> None:
    try:
        options = parse_options(given, None, OPERATOR)
    except InvalidOption as error:
        assert error.message.isprintable()
    else:
        assert set(options.work) <= set(options.values) <= set(OPTIONS)
        assert parse_options(dict(options.values), None, options.rendering) == options, "reading is final"
