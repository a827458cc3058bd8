"""How well speakers are told apart: `python -m bench.quality.diarisation` prints a table and writes JSON.

Diarisation error rate (pyannote.metrics: missed speech, false alarm and confusion over the speech in the reference)
on the composed conversations of ``conversations`` and on the two-speaker sample inside the pyannote.audio wheel,
with the number of speakers unknown and given. Overlapping speech is scored. The rate without a collar is the one
that counts; beside it the rate that forgives 0.25 s on either side of each boundary (collar 0.5). The interval is a
bootstrap over conversations, so a set of one has none.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bench.quality import conversations
from bench.quality.conversations import Conversation
from bench.quality.voices import SAMPLE_RATE, read_wav
from lfk.core.transcript import Turn
from lfk.engine.diariser.diariser import Diariser

COLLAR_SECONDS = 0.5
BOOTSTRAP_ROUNDS = 2_000
BOOTSTRAP_SEED = 3
RESULTS = Path(__file__).with_name("results") / "diarisation.json"


@dataclass(frozen=True)
class Score:
    """One conversation under one condition: seconds of each kind of error, with and without the collar; CPU seconds."""

    name: str
    set_name: str
    given: bool
    speakers: int
    found: int
    speech: float
    missed: float
    false_alarm: float
    confusion: float
    collar_speech: float
    collar_errors: float
    audio_seconds: float
    compute_seconds: float

    @property
    def errors(self) -> float:
        """Seconds of error without a collar."""
        return self.missed + self.false_alarm + self.confusion


def offline_diariser() -> Diariser:
    """The diariser with the weights that the packages whisperx and Resemblyzer bring, on one CPU thread."""
    import torch

    os.environ["HF_HUB_OFFLINE"] = "1"
    torch.set_num_threads(1)
    return Diariser(_in_package("whisperx", "assets/pytorch_model.bin"), _in_package("resemblyzer", "pretrained.pt"))


def sample() -> Conversation:
    """30 s of a real telephone conversation with its reference, from the pyannote.audio wheel."""
    folder = _in_package("pyannote.audio", "sample")
    regions = []
    for line in (folder / "sample.rttm").read_text(encoding="ascii").splitlines():
        _, _, _, onset, length, _, _, speaker, *_ = line.split()
        regions.append((float(onset), float(onset) + float(length), speaker))
    samples = read_wav((folder / "sample.wav").read_bytes())
    return Conversation("pyannote-sample", samples, (), tuple(regions))


def judge(conversation: Conversation, set_name: str, diariser: Diariser, *, given: bool) -> Score:
    """Diarise one conversation and compare."""
    started = time.process_time()
    turns = diariser.diarise(conversation.samples, num_speakers=conversation.speakers if given else None)
    took = time.process_time() - started
    plain = _errors(conversation, turns, 0.0)
    forgiving = _errors(conversation, turns, COLLAR_SECONDS)
    return Score(
        name=conversation.name,
        set_name=set_name,
        given=given,
        speakers=conversation.speakers,
        found=len({turn.speaker for turn in turns}),
        speech=plain["total"],
        missed=plain["missed detection"],
        false_alarm=plain["false alarm"],
        confusion=plain["confusion"],
        collar_speech=forgiving["total"],
        collar_errors=sum(forgiving[kind] for kind in ("missed detection", "false alarm", "confusion")),
        audio_seconds=len(conversation.samples) / SAMPLE_RATE,
        compute_seconds=took,
    )


def summary(scores: Sequence[Score]) -> dict[str, Any]:
    """Rates in percent over the scores of one set and condition, weighted by speech as is usual."""
    speech = sum(score.speech for score in scores)
    return {
        "set": scores[0].set_name,
        "speakers_given": scores[0].given,
        "conversations": len(scores),
        "der": _percent(sum(score.errors for score in scores), speech),
        "der_interval_95": _interval(scores),
        "missed": _percent(sum(score.missed for score in scores), speech),
        "false_alarm": _percent(sum(score.false_alarm for score in scores), speech),
        "confusion": _percent(sum(score.confusion for score in scores), speech),
        "der_collar": _percent(
            sum(score.collar_errors for score in scores), sum(score.collar_speech for score in scores)
        ),
        "count_right": sum(score.found == score.speakers for score in scores),
        "count_under": sum(score.found < score.speakers for score in scores),
        "count_over": sum(score.found > score.speakers for score in scores),
        "seconds_per_minute": round(
            60 * sum(score.compute_seconds for score in scores) / sum(score.audio_seconds for score in scores), 2
        ),
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The summaries as a Markdown table."""
    lines = [
        "| set | n | speakers | DER % (95 %) | missed | false alarm | confusion | DER %, collar 0.5 | count right |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        interval = "–".join(f"{value:.1f}" for value in row["der_interval_95"] or ())
        lines.append(
            f"| {row['set']} | {row['conversations']} | {'given' if row['speakers_given'] else 'unknown'} "
            f"| {row['der']:.1f}{f' ({interval})' if interval else ''} | {row['missed']:.1f} "
            f"| {row['false_alarm']:.1f} "
            f"| {row['confusion']:.1f} | {row['der_collar']:.1f} | {row['count_right']}/{row['conversations']} |"
        )
    return "\n".join(lines)


def _cases(half: str, sets: Sequence[str]) -> Iterator[tuple[str, Conversation]]:
    for plan in conversations.plans(half):
        if not sets or plan.set_name in sets:
            yield plan.set_name, conversations.compose(plan)
    if half == "test" and (not sets or "sample" in sets):
        yield "sample", sample()


def _errors(conversation: Conversation, turns: Sequence[Turn], collar: float) -> dict[str, float]:
    from pyannote.core import Annotation, Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    def annotation(spans: Sequence[tuple[float, float, str]]) -> Annotation:
        result = Annotation()
        for start, end, speaker in spans:
            result[Segment(start, end), result.new_track(Segment(start, end))] = speaker
        return result.support()

    reference = annotation(conversation.regions)
    hypothesis = annotation([(turn.start, turn.end, turn.speaker) for turn in turns])
    whole = Timeline([Segment(0, len(conversation.samples) / SAMPLE_RATE)])
    metric = DiarizationErrorRate(collar=collar, skip_overlap=False)
    return {kind: float(value) for kind, value in metric(reference, hypothesis, uem=whole, detailed=True).items()}


def _interval(scores: Sequence[Score]) -> list[float] | None:
    if len(scores) == 1:
        return None
    errors = np.array([score.errors for score in scores])
    speech = np.array([score.speech for score in scores])
    drawn = np.random.default_rng(BOOTSTRAP_SEED).integers(len(scores), size=(BOOTSTRAP_ROUNDS, len(scores)))
    rates = errors[drawn].sum(axis=1) / speech[drawn].sum(axis=1)
    return [round(100 * float(rate), 2) for rate in np.quantile(rates, (0.025, 0.975))]


def _percent(part: float, whole: float) -> float:
    return round(100 * part / whole, 2)


def _in_package(package: str, path: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"the package {package} is not installed: pip install 'lfk[hub,diarisation]'")
    return Path(spec.origin).parent / path


def main(arguments: Sequence[str] | None = None) -> None:
    """Judge every conversation of a half and write what came out."""
    parser = argparse.ArgumentParser(prog="python -m bench.quality.diarisation", description=__doc__)
    parser.add_argument("--half", choices=("dev", "test"), default="test")
    parser.add_argument("--set", dest="sets", action="append", default=[], help="only this set; may be repeated")
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    diariser = offline_diariser()
    scores = [
        judge(conversation, set_name, diariser, given=given)
        for set_name, conversation in _cases(chosen.half, chosen.sets)
        for given in (False, True)
    ]
    groups: dict[tuple[str, bool], list[Score]] = {}
    for score in scores:
        groups.setdefault((score.set_name, score.given), []).append(score)
    rows = [summary(group) for group in groups.values()]
    print(table(rows))
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    content = {"half": chosen.half, "sets": rows, "conversations": [asdict(score) for score in scores]}
    chosen.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
