"""What the engine found: words, segments and speaker turns. Times are seconds from the start of the audio."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Word:
    """One word; times and score (0–1) are missing where it could not be aligned."""

    text: str
    start: float | None = None
    end: float | None = None
    score: float | None = None
    speaker: str | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A span of recognised text. ``language`` is set where it differs within one audio."""

    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()
    speaker: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """A span in which one speaker talks; turns of different speakers may overlap."""

    start: float
    end: float
    speaker: str


@dataclass(frozen=True, slots=True)
class Transcript:
    """The engine's result, without anything that depends on how it is rendered."""

    language: str | None
    #: Length of the audio in seconds.
    duration: float | None
    segments: tuple[Segment, ...] = ()
    turns: tuple[Turn, ...] = ()
    #: What did not go as asked, for people to read; never empty text.
    warnings: tuple[str, ...] = ()

    @property
    def no_speech(self) -> bool:
        """There are no words: a result, not an error."""
        return not any(segment.text.strip() for segment in self.segments)

    def words(self) -> Iterator[Word]:
        """Every word in order."""
        for segment in self.segments:
            yield from segment.words

    @property
    def word_count(self) -> int:
        """Words as aligned, or as separated by blanks where nothing was aligned."""
        return sum(len(s.words) if s.words else len(s.text.split()) for s in self.segments)

    @property
    def speakers(self) -> tuple[str, ...]:
        """Speaker labels, sorted."""
        return tuple(sorted({turn.speaker for turn in self.turns} | {w.speaker for w in self.words() if w.speaker}))

    def with_warnings(self, *more: str) -> Transcript:
        """A copy that also carries these warnings."""
        return replace(self, warnings=(*self.warnings, *more))


def to_dict(transcript: Transcript) -> dict[str, Any]:
    """The transcript as JSON-ready data; fields without a value are left out of words and segments."""
    return {
        "language": transcript.language,
        "duration": transcript.duration,
        "segments": [segment_to_dict(s) for s in transcript.segments],
        "turns": [turn_to_dict(t) for t in transcript.turns],
        "warnings": list(transcript.warnings),
    }


def from_dict(data: Mapping[str, Any]) -> Transcript:
    """The inverse of :func:`to_dict`.

    Raises:
        KeyError, TypeError, ValueError: the data is not of that form.
    """
    return Transcript(
        language=data["language"],
        duration=data["duration"],
        segments=tuple(_segment(s) for s in data["segments"]),
        turns=tuple(Turn(float(t["start"]), float(t["end"]), str(t["speaker"])) for t in data.get("turns", ())),
        warnings=tuple(data.get("warnings", ())),
    )


def segment_to_dict(segment: Segment) -> dict[str, Any]:
    """In WhisperX's own form: ``start``, ``end``, ``text``, ``words`` and, where known, ``speaker``."""
    data: dict[str, Any] = {"start": segment.start, "end": segment.end, "text": segment.text}
    if segment.words:
        data["words"] = [word_to_dict(w) for w in segment.words]
    if segment.speaker is not None:
        data["speaker"] = segment.speaker
    if segment.language is not None:
        data["language"] = segment.language
    return data


def word_to_dict(word: Word) -> dict[str, Any]:
    """In WhisperX's own form: times are absent where the word was not aligned."""
    fields = {"start": word.start, "end": word.end, "score": word.score, "speaker": word.speaker}
    return {"word": word.text, **{name: value for name, value in fields.items() if value is not None}}


def turn_to_dict(turn: Turn) -> dict[str, Any]:
    """As in the manifest's ``turns[]``."""
    return {"start": turn.start, "end": turn.end, "speaker": turn.speaker}


def _segment(data: Mapping[str, Any]) -> Segment:
    return Segment(
        start=float(data["start"]),
        end=float(data["end"]),
        text=str(data["text"]),
        words=tuple(
            Word(str(w["word"]), w.get("start"), w.get("end"), w.get("score"), w.get("speaker"))
            for w in data.get("words", ())
        ),
        speaker=data.get("speaker"),
        language=data.get("language"),
    )
