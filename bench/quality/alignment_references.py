"""Makes the reference word times of the human clips: `python -m bench.quality.alignment_references`.

pocketsphinx (an acoustic model and a method of its own, unrelated to the aligner under test) aligns each text by
force, in steps of 10 ms. Run once; the results are kept under references/ so that later figures compare. Clips with a
word that pocketsphinx has no pronunciation for, or that it cannot fit, are left out. Only times are kept, not words:
the texts belong to the packages.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.quality.alignment_clips import PACKAGES, SAMPLE_RATE, Clip

FOLDER = Path(__file__).with_name("references")
_FRAMES_PER_SECOND = 100
# Without some silence before the first word pocketsphinx stretches that word to the start of the clip.
_MARGIN_SECONDS = 0.3
_MARGIN_PERCENTILE = 5  # of the clip's block levels: its own background noise
_BLOCK = SAMPLE_RATE // 50
_FILLERS = ("<", "[", "+")

Times = list[tuple[float, float]]


def sha256_of(sound: NDArray[np.float32]) -> str:
    """Identifies decoded samples, so that a changed package is noticed."""
    return hashlib.sha256(_int16(sound).tobytes()).hexdigest()


def _int16(sound: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.clip(np.round(sound * 32768), -32768, 32767).astype(np.int16)


def forced(sound: NDArray[np.float32], words: tuple[str, ...]) -> Times | None:
    """(start, end) of each word in seconds by pocketsphinx, inside the sound, or None if it cannot align them."""
    from pocketsphinx import Decoder

    samples = _int16(sound)
    blocks = samples[: len(samples) // _BLOCK * _BLOCK].astype(np.float64).reshape(-1, _BLOCK)
    background = max(np.percentile(np.sqrt((blocks**2).mean(axis=1)), _MARGIN_PERCENTILE), 1.0)
    rng = np.random.default_rng(0)
    before, after = (rng.normal(0, background, int(_MARGIN_SECONDS * SAMPLE_RATE)).astype(np.int16) for _ in range(2))
    decoder = Decoder(samprate=SAMPLE_RATE, lm=None, cmn="batch", loglevel="FATAL")
    if any(decoder.lookup_word(word) is None for word in words):
        return None
    decoder.set_align_text(" ".join(words))
    decoder.start_utt()
    decoder.process_raw(np.concatenate([before, samples, after]).tobytes(), full_utt=True)
    decoder.end_utt()
    if decoder.hyp() is None:
        return None
    spoken = [segment for segment in decoder.seg() if not segment.word.startswith(_FILLERS)]
    if len(spoken) != len(words):
        return None
    duration = len(samples) / SAMPLE_RATE

    def inside(frame: int) -> float:
        return round(min(max(frame / _FRAMES_PER_SECOND - _MARGIN_SECONDS, 0.0), duration), 2)

    return [(inside(segment.start_frame), inside(segment.end_frame + 1)) for segment in spoken]


def read(package: str, clip: Clip, sound: NDArray[np.float32]) -> Times | None:
    """The kept times of a clip, None if it was left out.

    Raises ValueError if its samples are not those that the reference was made from.
    """
    kept = json.loads((FOLDER / f"{package}.json").read_text(encoding="utf-8"))["clips"].get(clip.name)
    if kept is None:
        return None
    if kept["sha256"] != sha256_of(sound):
        raise ValueError(f"{clip.name} is not the recording that the reference was made from")
    return [(start, end) for start, end in kept["words"]]


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for package, clips in PACKAGES.items():
        kept = {}
        left_out = []
        for clip in clips():
            sound = clip.sound()
            if times := forced(sound, clip.words):
                kept[clip.name] = {"sha256": sha256_of(sound), "words": times}
            else:
                left_out.append(clip.name)
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in kept.items())
        made = json.dumps("python -m bench.quality.alignment_references (pocketsphinx 5, en-us model)")
        text = f'{{\n "made_by": {made},\n "left_out": {json.dumps(left_out)},\n "clips": {{\n{lines}\n }}\n}}\n'
        (FOLDER / f"{package}.json").write_text(text, encoding="utf-8")
        words = sum(len(entry["words"]) for entry in kept.values())
        print(f"{package}: {len(kept)} clips, {words} words; {len(left_out)} left out")


if __name__ == "__main__":
    main()
