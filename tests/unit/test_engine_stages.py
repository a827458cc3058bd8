"""The stages' own decisions, with stand-ins for the networks: languages, fallbacks, speakers, warnings."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lfk.core.errors import ModelInvalid
from lfk.core.transcript import Segment, Transcript, Turn, Word
from lfk.engine.base import Task
from lfk.engine.crew import Crew
from lfk.engine.regions import Region, Spoken, clipped, merge
from lfk.engine.stages import STAGES, Work, align, diarise, transcribe

LIKELY = {"en": {"en": 0.9, "de": 0.1}, "de": {"de": 0.9, "en": 0.1}, "?": {"fr": 0.4, "de": 0.35, "en": 0.25}}


class Speech:
    """All of an engine's models; speech is a list of (start, end, language)."""

    diariser_name = "stand-in"

    def __init__(self, *speech: tuple[float, float, str], multilingual: bool = True) -> None:
        self._speech = speech
        self.multilingual = multilingual
        self.asked: list[Spoken] = []
        self.broken: Exception | None = None

    def detector(self) -> Any:
        return self

    def recogniser(self, _model: str) -> Any:
        return self

    def diariser(self) -> Any:
        return self

    def aligner(self, language: str) -> Any:
        if self.broken:
            raise self.broken
        return self if language == "en" else None

    weights = SimpleNamespace(name="aligner-en", revision="1")

    block_seconds = 540.0

    def block_count(self, _samples: Any) -> int:
        return 1

    def scores(self, _samples: Any, block: int) -> int:
        return block

    def regions(self, _samples: Any, blocks: Sequence[int]) -> list[Region]:
        assert blocks == [0]
        return [Region(start, end) for start, end, _language in self._speech]

    def check(self, _options: Mapping[str, Any]) -> None:
        """Everything goes."""

    def languages(self, _samples: Any, regions: Sequence[Region]) -> list[Mapping[str, float]]:
        return [
            LIKELY[next(language for start, end, language in self._speech if start <= region.start < end)]
            for region in regions
        ]

    def recognise(
        self, _samples: Any, spoken: Sequence[Spoken], _options: Mapping[str, Any], _progress: Callable[[float], None]
    ) -> list[Segment]:
        self.asked += spoken
        return [Segment(one.region.start, one.region.end, f"said in {one.language}") for one in spoken]

    def batches(self, spoken: Sequence[Spoken], _options: Mapping[str, Any]) -> list[list[Spoken]]:
        return [[one] for one in spoken]

    def align(
        self, _samples: Any, segments: Sequence[Segment], progress: Callable[[float], None]
    ) -> tuple[list[Segment], int]:
        progress(1.0)
        return [Segment(s.start, s.end, s.text, (Word("aligned", s.start, s.end),)) for s in segments], 0

    def word_times(self, _samples: Any, segment: Segment, language: str, _task: str) -> tuple[Word, ...]:
        return (Word(f"own-{language}", segment.start, segment.end),)

    def diarise(self, _samples: Any, **options: Any) -> list[Turn]:
        assert options["listen"]([]) == []
        return [Turn(0.0, 5.0, "SPEAKER_00"), Turn(5.0, 60.0, "SPEAKER_01")]


def work(models: Speech, **options: Any) -> Work:
    audio: Any = SimpleNamespace(
        samples=None, name=None, duration=60.0, warnings=("from decoding",), release=lambda: None
    )
    task = Task(Path("x.wav"), "", ("transcribe",), "base", options)
    heard: list[float] = []
    return Work(task, audio, models, Crew(lambda *_what, **_values: None), heard.append)  # type: ignore[arg-type]


NOTHING = Transcript(None, None)


def test_one_language_is_found_over_the_whole() -> None:
    """The first 30 s may be anything; WhisperX asks them alone."""
    models = Speech((0, 20, "?"), (25, 40, "de"), (41, 60, "de"))
    found = transcribe(work(models), NOTHING)
    assert found.language == "de"
    assert {one.language for one in models.asked} == {"de"}
    assert {segment.language for segment in found.segments} == {None}
    assert found.warnings == ("from decoding",)


def test_a_given_language_is_not_questioned() -> None:
    models = Speech((0, 10, "de"))
    assert transcribe(work(models, language="en"), NOTHING).segments[0].text == "said in en"


def test_several_languages_are_told_apart() -> None:
    models = Speech((0, 8, "en"), (9, 14, "en"), (15, 23, "de"), (24, 25, "?"), (26, 40, "de"), (41, 50, "en"))
    found = transcribe(work(models, language="multi"), NOTHING)
    assert [(one.region.start, one.region.end, one.language) for one in models.asked] == [
        (0, 14, "en"),
        (15, 40, "de"),
        (41, 50, "en"),
    ]
    assert found.language == "de", "the one heard longest"
    assert [segment.language for segment in found.segments] == ["en", None, "en"]


def test_several_languages_for_an_english_model() -> None:
    found = transcribe(work(Speech((0, 10, "de"), multilingual=False), language="multi"), NOTHING)
    assert found.language == "en"
    assert "language=multi had no effect" in found.warnings[-1]


def test_no_speech_is_a_result() -> None:
    found = transcribe(work(Speech()), NOTHING)
    assert found.no_speech
    assert found.duration == 60.0


def test_each_language_has_its_aligner_or_whispers_times() -> None:
    spoken = Transcript(
        "en", 60.0, (Segment(0, 5, "a"), Segment(5, 9, "b", language="de"), Segment(9, 12, "c"), Segment(12, 20, "d"))
    )
    job = work(Speech())
    found = align(job, spoken)
    assert [word.text for word in found.words()] == ["aligned", "own-de", "aligned", "aligned"]
    assert [w for w in found.warnings if "no aligner for 'de'" in w] == list(found.warnings)
    assert job.made_by == {"aligner": "aligner-en@1"}


def test_a_translation_is_not_aligned() -> None:
    found = align(work(Speech(), task="translate"), Transcript("en", 9.0, (Segment(0, 5, "a"),)))
    assert [word.text for word in found.words()] == ["own-en"]
    assert "translated" in found.warnings[0]


def test_a_broken_aligner_costs_precision_and_no_more() -> None:
    models = Speech()
    models.broken = ModelInvalid("aligner-en cannot be loaded")
    spoken = Transcript("en", 9.0, (Segment(0, 5, "a"),))
    found = align(work(models), spoken)
    assert [word.text for word in found.words()] == ["own-en"]
    assert "cannot be loaded" in found.warnings[0]
    with pytest.raises(ModelInvalid):
        align(work(models, on_stage_error="fail"), spoken)


def test_words_and_segments_get_speakers() -> None:
    words = (Word("mine", 1, 2), Word("yours", 6, 7), Word("untimed"))
    found = diarise(work(Speech()), Transcript("en", 60.0, (Segment(0, 4.9, "a"), Segment(1, 30, "b", words))))
    assert [segment.speaker for segment in found.segments] == ["SPEAKER_00", "SPEAKER_01"]
    assert [word.speaker for word in found.words()] == ["SPEAKER_00", "SPEAKER_01", None]
    assert len(found.turns) == 2


@pytest.mark.parametrize("name", list(STAGES))
def test_an_empty_transcript_goes_through_every_stage(name: Any) -> None:
    assert STAGES[name](work(Speech()), Transcript("en", 60.0)).no_speech


# --- regions

gaps = st.lists(st.tuples(st.floats(0, 20), st.floats(0.01, 40)), max_size=20)


def in_order(pairs: list[tuple[float, float]]) -> list[Region]:
    """Regions that do not overlap, from the pause before each and its length."""
    regions: list[Region] = []
    at = 0.0
    for pause, length in pairs:
        regions.append(Region(at + pause, at + pause + length))
        at += pause + length
    return regions


@given(gaps.map(in_order), st.floats(1, 60))
def test_merging_loses_nothing_and_keeps_to_the_limit(regions: list[Region], longest: float) -> None:
    merged = merge(regions, longest)
    for region in regions:
        assert sum(one.start <= region.start and region.end <= one.end for one in merged) == 1
    for one in merged:
        assert one.end - one.start <= longest or one in regions
    for one, following in itertools.pairwise(merged):
        assert following.end - one.start > longest or following in regions


@given(st.floats(), st.floats(), st.floats(0, 1e6))
def test_times_are_always_sane(start: float, end: float, duration: float) -> None:
    first, last = clipped(start, end, duration)
    assert 0 <= first <= last <= duration + 0.001
