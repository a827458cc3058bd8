"""The parts of stages that several engines can do at a time: how they are cut, and how they are put together again.

The counterpart of :mod:`lfk.engine.assistance`. A part depends on the recording alone, not on
other parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lfk.core.transcript import Segment
from lfk.engine.assistance import arrays_from_json, segments_from_json, segments_to_json, spoken_to_json
from lfk.engine.crew import Piece
from lfk.engine.regions import Region, Spoken
from lfk.engine.work import Work

if TYPE_CHECKING:
    from lfk.engine.alignment import Aligner
    from lfk.engine.diariser.diariser import Block, Diariser, Heard
    from lfk.engine.whisper import Recogniser

#: How much of a recognition's time goes into finding speech, by measurement; for progress alone.
_DETECTION_PART = 0.3
#: Segments that are aligned in one piece: some seconds of work, so that nobody waits long for an engine that helps.
_ALIGNED_TOGETHER = 4


def speech(work: Work) -> list[Region]:
    """Where somebody speaks."""
    detector, samples = work.models.detector(), work.audio.samples
    scores = work.share(
        [Piece("speech", detector.block_seconds, {"block": block}) for block in range(detector.block_count(samples))],
        lambda block, _told: detector.scores(samples, block),
        lambda answer: arrays_from_json(answer)["scores"],
        lambda part: work.progress(part * _DETECTION_PART),
    )
    return detector.regions(samples, scores)


def recognised(work: Work, recogniser: Recogniser, spoken: Sequence[Spoken]) -> list[Segment]:
    """The text of each region, batch by batch: what is in the network together is the same whoever does it."""
    batches = recogniser.batches(spoken, work.options)
    about = {"model": work.task.model, "options": dict(work.options)}
    parts = work.share(
        [Piece("recognise", _seconds(batch), {**about, "spoken": spoken_to_json(batch)}) for batch in batches],
        lambda number, told: recogniser.recognise(work.audio.samples, batches[number], work.options, told),
        lambda answer: segments_from_json(answer["segments"]),
        lambda part: work.progress(_DETECTION_PART + part * (1 - _DETECTION_PART)),
    )
    return [segment for part in parts for segment in part]


def align(
    work: Work, aligner: Aligner, language: str, segments: Sequence[Segment], progress: Callable[[float], None]
) -> tuple[list[Segment], int]:
    """The segments with their words' times, and how many had to stay as they were."""
    groups = [segments[at : at + _ALIGNED_TOGETHER] for at in range(0, len(segments), _ALIGNED_TOGETHER)]
    pieces = [
        Piece(
            "align",
            sum(segment.end - segment.start for segment in group),
            {"language": language, "segments": segments_to_json(group)},
        )
        for group in groups
    ]
    parts = work.share(
        pieces,
        lambda number, told: aligner.align(work.audio.samples, groups[number], told),
        lambda answer: (segments_from_json(answer["segments"]), int(answer["failed"])),
        progress,
    )
    return [segment for found, _failed in parts for segment in found], sum(failed for _found, failed in parts)


def voices(work: Work, diariser: Diariser, blocks: Sequence[Block]) -> list[Heard]:
    """What is heard in each block of the recording."""

    def theirs(answer: Mapping[str, Any]) -> Heard:
        from lfk.engine.diariser.diariser import Heard

        return Heard(**arrays_from_json(answer))

    return work.share(
        [Piece("voices", block.seconds, {"first": block.first, "count": block.count}) for block in blocks],
        lambda number, _told: diariser.listen(work.audio.samples, blocks[number]),
        theirs,
        work.progress,
    )


def _seconds(spoken: Sequence[Spoken]) -> float:
    return sum(one.region.end - one.region.start for one in spoken)
