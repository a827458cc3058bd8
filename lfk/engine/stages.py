"""The stages of a recipe as data: a name, and what it makes of a transcript. A new stage is one entry here.

Each stage takes what is there and returns a new transcript; none changes its input. A stage says in a warning where
it did less than asked, and raises where it did nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any

from lfk.core.approaches import Stage
from lfk.core.errors import ModelInvalid, ModelMissing
from lfk.core.languages import MULTI
from lfk.core.speakers import assign_speakers
from lfk.core.transcript import Segment, Transcript, Word
from lfk.engine import shared
from lfk.engine.language import ENGLISH, agree, choose
from lfk.engine.regions import Region, Spoken, merge
from lfk.engine.work import Work

if TYPE_CHECKING:
    from lfk.engine.alignment import Aligner

#: Regions that the language is heard in, spread over the recording; WhisperX takes the first 30 s, be it music.
_LANGUAGE_SAMPLES = 4
#: A conversation in several languages is heard in pieces of at most this many seconds, so that a piece has one.
_MULTI_SECONDS = 10.0


def transcribe(work: Work, _nothing: Transcript) -> Transcript:
    """Speech regions, their language, their text."""
    recogniser = work.models.recogniser(work.task.model)
    recogniser.check(work.options)
    samples = work.audio.samples
    found = shared.speech(work)
    blank = Transcript(_given_language(work.options), work.audio.duration, warnings=work.audio.warnings)
    if not found:
        return blank
    warnings: list[str] = []
    asked = work.options.get("language")
    if not recogniser.multilingual:
        spoken = [Spoken(region, ENGLISH) for region in merge(found)]
        if asked == MULTI:
            warnings.append(f"{work.task.model} knows English only: language=multi had no effect")
    elif asked == MULTI:
        pieces = merge(found, _MULTI_SECONDS)
        heard = agree(recogniser.languages(samples, pieces), [piece.end - piece.start for piece in pieces])
        spoken = [
            Spoken(region, language)
            for language, group in groupby(zip(pieces, heard, strict=True), key=lambda one: one[1])
            for region in merge([piece for piece, _language in group])
        ]
    else:
        regions = merge(found)
        language = asked or choose(recogniser.languages(samples, _spread(regions)))
        spoken = [Spoken(region, language) for region in regions]
    segments = shared.recognised(work, recogniser, spoken)
    return _spoken_in(blank, segments, spoken, work.audio.duration).with_warnings(*warnings)


def align(work: Work, transcript: Transcript) -> Transcript:
    """Times for words, from each language's aligner, else Whisper's own."""
    aligned: list[Segment] = []
    warnings: dict[str, None] = {}
    made_by: dict[str, None] = {}
    done = 0
    for language, group in groupby(transcript.segments, key=lambda one: one.language or transcript.language or ENGLISH):
        segments = list(group)
        told = _share(work.progress, done, len(segments), len(transcript.segments))
        aligner, reason = _aligner(work, language)
        if aligner is None:
            warnings[f"{reason}: word times are Whisper's own, which are coarser and about 0.1 s late"] = None
            aligned += _own_times(work, segments, language, told)
        else:
            made_by[f"{aligner.weights.name}@{aligner.weights.revision}"] = None
            found, failed = shared.align(work, aligner, language, segments, told)
            aligned += found
            if failed:
                warnings[f"{failed} of {len(segments)} segments ({language}) could not be aligned"] = None
        done += len(segments)
    if made_by:
        work.made_by["aligner"] = "+".join(made_by)
    return replace(transcript, segments=tuple(aligned)).with_warnings(*warnings)


def diarise(work: Work, transcript: Transcript) -> Transcript:
    """Who speaks when, and whose words are whose."""
    diariser = work.models.diariser()
    work.made_by["diariser"] = work.models.diariser_name
    options = work.options
    turns = diariser.diarise(
        work.audio.samples,
        num_speakers=options.get("num_speakers"),
        min_speakers=options.get("min_speakers"),
        max_speakers=options.get("max_speakers"),
        listen=partial(shared.voices, work, diariser),
    )
    segments = []
    for segment in transcript.segments:
        whole = assign_speakers([Word(segment.text, segment.start, segment.end)], turns)[0].speaker
        segments.append(replace(segment, words=assign_speakers(segment.words, turns), speaker=whole))
    return replace(transcript, segments=tuple(segments), turns=tuple(turns))


STAGES: Mapping[Stage, Callable[[Work, Transcript], Transcript]] = {
    "transcribe": transcribe,
    "align": align,
    "diarise": diarise,
}


def _aligner(work: Work, language: str) -> tuple[Aligner | None, str]:
    """The aligner to use, or None and why there is none."""
    if work.options.get("task") == "translate":
        return None, "translated text is not what is heard"
    try:
        return work.models.aligner(language), f"there is no aligner for {language!r}"
    except (ModelMissing, ModelInvalid) as error:
        if work.options.get("on_stage_error") == "fail":
            raise
        return None, error.message


def _own_times(
    work: Work, segments: Sequence[Segment], language: str, progress: Callable[[float], None]
) -> list[Segment]:
    recogniser = work.models.recogniser(work.task.model)
    task = work.options.get("task", "transcribe")
    timed = []
    for number, segment in enumerate(segments):
        words = recogniser.word_times(work.audio.samples, segment, language, task)
        timed.append(replace(segment, words=words))
        progress((number + 1) / len(segments))
    return timed


def _spoken_in(blank: Transcript, segments: Sequence[Segment], spoken: Sequence[Spoken], duration: float) -> Transcript:
    """The segments, each with its language where the recording has several; the whole has the one heard longest."""
    seconds: dict[str, float] = {}
    for one in spoken:
        seconds[one.language] = seconds.get(one.language, 0.0) + one.region.end - one.region.start
    main = max(seconds, key=lambda language: seconds[language])
    if len(seconds) == 1:
        return replace(blank, language=main, segments=tuple(segments))
    starts = {round(min(max(0.0, one.region.start), duration), 3): one.language for one in spoken}
    marked = [
        segment if starts.get(segment.start, main) == main else replace(segment, language=starts[segment.start])
        for segment in segments
    ]
    return replace(blank, language=main, segments=tuple(marked))


def _given_language(options: Mapping[str, Any]) -> str | None:
    language = options.get("language")
    return None if language == MULTI else language


def _spread(regions: Sequence[Region]) -> list[Region]:
    """A few of the regions, evenly chosen."""
    step = max(1, len(regions) // _LANGUAGE_SAMPLES)
    return list(regions[::step][:_LANGUAGE_SAMPLES])


def _share(progress: Callable[[float], None], done: int, count: int, total: int) -> Callable[[float], None]:
    """Progress of ``count`` of ``total`` segments as progress of all."""
    return lambda part: progress((done + part * count) / total)
