"""What a job may ask for besides approach and model: every option once, with its form, limits and what it changes.

Values come from messages and from command lines (``k=v``, all text), so both forms are read. A value that equals the
default counts as not given: asking for what happens anyway is the same work. Refused: unknown names, values out of
their limits, and options that contradict each other.
"""

from __future__ import annotations

import difflib
import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lfk.core.approaches import Stage
from lfk.core.errors import InvalidOption
from lfk.core.formats import MANIFEST, formats
from lfk.core.languages import AUTO, MULTI, find_language
from lfk.core.manifest import Rendering
from lfk.core.printable import printable

#: What an option changes: the recognised text; what later stages make of it; how it is written; or speed alone.
#: Only the first two are part of a job's identity, and only the first of a recognition's.
Affects = Literal["recognition", "refinement", "rendering", "speed"]

#: Whisper takes at most 223 tokens of prompt and hotwords together; a token is rarely longer than 4 characters.
TEXT_LIMIT = 800
SPEAKER_LIMIT = 100
#: Beyond this a beam costs time and gains nothing (Whisper's own default is 5).
BEAM_LIMIT = 20
#: Regions of 30 s at a time; beyond it no device gains.
BATCH_LIMIT = 256
PAUSE_LIMIT = 3600.0

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True, slots=True)
class Option:
    """One option. ``read`` returns the value proper or raises ValueError with what was expected."""

    name: str
    affects: Affects
    help: str
    read: Callable[[Any], Any]
    default: Any = None
    #: The stage without which it means nothing.
    stage: Stage = "transcribe"


@dataclass(frozen=True, slots=True)
class JobOptions:
    """The options of one job. ``values`` holds those for the engine that differ from their defaults."""

    rendering: Rendering
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def work(self) -> Mapping[str, Any]:
        """Those that change the result: part of the job's identity."""
        return self._those("recognition", "refinement")

    @property
    def recognition(self) -> Mapping[str, Any]:
        """Those that change the recognised text: part of the recognition's identity."""
        return self._those("recognition")

    def work_in(self, stages: Iterable[Stage]) -> Mapping[str, Any]:
        """As :attr:`work`, without what means nothing where only these stages run."""
        ran = frozenset(stages)
        return {name: value for name, value in self.work.items() if OPTIONS[name].stage in ran}

    def _those(self, *affects: Affects) -> Mapping[str, Any]:
        return {name: value for name, value in self.values.items() if OPTIONS[name].affects in affects}


#: Stands for how an operator's hubs lay transcripts out, which only they know.
_ANY = Rendering((), True, 0.0)


def parse_options(given: Mapping[str, Any], language: str | None, rendering: Rendering = _ANY) -> JobOptions:
    """The options of a job: ``language`` is the message's own field, ``rendering`` what the operator has set.

    Raises:
        InvalidOption: unknown, out of limits, or contradictory.
    """
    if language is not None:
        twice = given.get("language")
        if twice is not None and _read("language", twice) != _read("language", language):
            raise InvalidOption("language is given twice, and differently")
        given = {**given, "language": language}
    read = {name: _read(name, value) for name, value in given.items() if value is not None}
    least, most = read.get("min_speakers"), read.get("max_speakers")
    if least is not None and most is not None and least > most:
        raise InvalidOption(f"min_speakers ({least}) is above max_speakers ({most})")
    if "num_speakers" in read and (least is not None or most is not None):
        raise InvalidOption("num_speakers says it all: leave out min_speakers and max_speakers")
    return JobOptions(
        Rendering(
            read.get("formats", rendering.formats),
            read.get("timestamps", rendering.timestamps),
            read.get("pause", rendering.pause),
        ),
        {
            name: value
            for name, value in sorted(read.items())
            if OPTIONS[name].affects != "rendering" and value != OPTIONS[name].default
        },
    )


def _read(name: str, value: Any) -> Any:
    option = OPTIONS.get(name)
    if option is None:
        near = difflib.get_close_matches(name, OPTIONS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"the options are {', '.join(sorted(OPTIONS))}"
        raise InvalidOption(f"there is no option {printable(name, 40)!r}", hint=hint)
    try:
        return option.read(value)
    except ValueError as error:
        raise InvalidOption(f"option {name}: {printable(str(value), 60)!r} cannot be used: {error}") from error


# --- the forms of values


def _whole(least: int, most: int) -> Callable[[Any], int]:
    def read(value: Any) -> int:
        expected = f"expected a whole number from {least} to {most}"
        if isinstance(value, str):
            if not (value.strip().isascii() and value.strip().isdigit() and len(value) < 10):
                raise ValueError(expected)
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(expected)
        return value

    return read


def _seconds(most: float) -> Callable[[Any], float]:
    def read(value: Any) -> float:
        expected = f"expected seconds from 0 to {most:g}"
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError(expected)
        try:
            seconds = float(value)
        except (ValueError, OverflowError):
            raise ValueError(expected) from None
        if not (math.isfinite(seconds) and 0 <= seconds <= most):
            raise ValueError(expected)
        return seconds

    return read


def _choice(*choices: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if not isinstance(value, str) or value.lower() not in choices:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return value.lower()

    return read


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    raise ValueError("expected true or false")


def _text(value: Any) -> str | None:
    if not isinstance(value, str):
        raise ValueError("expected text")
    plain = " ".join(value.split())
    if len(plain) > TEXT_LIMIT:
        raise ValueError(f"expected at most {TEXT_LIMIT} characters")
    # Whisper's control tokens are written <|...|>; none may come in as text.
    if "<|" in plain or any(unicodedata.category(char) in ("Cc", "Cs", "Co") for char in plain):
        raise ValueError("expected plain text without control characters or '<|'")
    return plain or None


def _language(value: Any) -> str | None:
    if isinstance(value, str):
        if value.strip().lower() in (AUTO, ""):
            return None
        if value.strip().lower() == MULTI:
            return MULTI
        code = find_language(value) if len(value) <= 16 else None
        if code is not None:
            return code
    raise ValueError(f"expected the code of a language that Whisper knows (en, de, pt …), {AUTO} or {MULTI}")


def _formats(value: Any) -> tuple[str, ...]:
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ValueError("expected names of formats")
    asked = [name.strip().lower() for name in names if name.strip()]
    unknown = sorted(set(asked) - set(formats()))
    if unknown:
        raise ValueError(f"there are the formats {', '.join(formats())}")
    # The manifest is always written: everything else is found by it.
    return tuple(dict.fromkeys((*asked, MANIFEST)))


OPTIONS: Mapping[str, Option] = {
    option.name: option
    for option in (
        Option("language", "recognition", "language spoken: a code, auto, or multi for several", _language),
        Option(
            "task",
            "recognition",
            "transcribe, or translate into English",
            _choice("transcribe", "translate"),
            "transcribe",
        ),
        Option("beam_size", "recognition", "candidates that the decoder follows", _whole(1, BEAM_LIMIT), 5),
        Option("initial_prompt", "recognition", "text that sets vocabulary and style", _text),
        Option("hotwords", "recognition", "words and names to expect", _text),
        Option("batch_size", "speed", "speech regions at a time", _whole(1, BATCH_LIMIT)),
        Option("num_speakers", "refinement", "how many speak, where known", _whole(1, SPEAKER_LIMIT), stage="diarise"),
        Option("min_speakers", "refinement", "at least so many speak", _whole(1, SPEAKER_LIMIT), stage="diarise"),
        Option("max_speakers", "refinement", "at most so many speak", _whole(1, SPEAKER_LIMIT), stage="diarise"),
        Option(
            "on_stage_error",
            "refinement",
            "when a stage behind the recognition fails: degrade keeps the text with a warning, fail fails the job",
            _choice("degrade", "fail"),
            "degrade",
            stage="align",
        ),
        Option("formats", "rendering", "files to write", _formats),
        Option("timestamps", "rendering", "write times into txt", _flag),
        Option("pause", "rendering", "seconds of silence that begin a new paragraph", _seconds(PAUSE_LIMIT)),
    )
}
