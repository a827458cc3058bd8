"""A loop over files with a loaded model, as a user would write it: ``python -m bench.harness.rivals.loop``.

Reads one JSON list of paths a line from stdin and answers each with seconds, processor seconds and texts. Which
library does the work, with how many threads and what batch, is said by arguments; what is not said is the library's
own default. Recordings are read with the library's own reader where ffmpeg is there, else as 16-bit WAV.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
import wave
from collections.abc import Callable
from typing import Any


def main() -> int:
    """Load, say so, then answer until stdin ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=("whisperx", "batched", "script"))
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--batch", type=int, default=8, help="the whisperx command's default")
    parser.add_argument("--compute-type", default="int8")
    arguments = parser.parse_args()
    # Libraries print; only answers belong on stdout.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    began = time.perf_counter()
    hear = {"whisperx": _whisperx, "batched": _batched, "script": _script}[arguments.library](arguments)
    _say(answers, {"ready": time.perf_counter() - began})
    for line in sys.stdin:
        began, used = time.perf_counter(), time.process_time()
        texts = {path: hear(path) for path in json.loads(line)}
        seconds = {"wall": time.perf_counter() - began, "processor": time.process_time() - used}
        _say(answers, {**seconds, "texts": texts})
    return 0


def _say(answers: Any, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def _whisperx(arguments: argparse.Namespace) -> Callable[[str], str]:
    """WhisperX as its README has it."""
    model = _whisperx_model(arguments)

    def hear(path: str) -> str:
        result = model.transcribe(_samples(path), batch_size=arguments.batch)
        return " ".join(segment["text"].strip() for segment in result["segments"])

    return hear


def _batched(arguments: argparse.Namespace) -> Callable[[str], str]:
    """faster-whisper's own batched pipeline."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    threads = {} if arguments.threads is None else {"cpu_threads": arguments.threads}
    model = WhisperModel(arguments.model, device="cpu", compute_type=arguments.compute_type, **threads)
    pipeline = BatchedInferencePipeline(model)

    def hear(path: str) -> str:
        segments, _info = pipeline.transcribe(_samples(path), language="en", batch_size=arguments.batch)
        return " ".join(segment.text.strip() for segment in segments)

    return hear


def _script(arguments: argparse.Namespace) -> Callable[[str], str]:
    """WhisperX with alignment and diarisation, in the order of its README, with lfk's aligner and diariser."""
    from pathlib import Path

    import whisperx
    from pandas import DataFrame

    from lfk.engine.diariser.diariser import Diariser
    from lfk.engine.models.library import open_library
    from lfk.engine.weights import EngineWeights, sentence_data

    os.environ["NLTK_DATA"] = str(sentence_data())
    weights = EngineWeights(open_library(Path("models")))
    model = _whisperx_model(arguments)
    aligner_weights = weights.aligner("en")
    if aligner_weights is None:
        raise SystemExit("no English aligner is at hand")
    aligner, about = whisperx.load_align_model("en", "cpu", model_name=str(aligner_weights.path))
    diariser = Diariser(weights.segmentation().file, weights.encoder().file)

    def hear(path: str) -> str:
        audio = _samples(path)
        result = model.transcribe(audio, batch_size=arguments.batch)
        result = whisperx.align(result["segments"], aligner, about, audio, "cpu", return_char_alignments=False)
        turns = diariser.diarise(audio)
        rows = DataFrame([{"start": turn.start, "end": turn.end, "speaker": turn.speaker} for turn in turns])
        result = whisperx.assign_word_speakers(rows, result)
        return " ".join(segment["text"].strip() for segment in result["segments"])

    return hear


def _whisperx_model(arguments: argparse.Namespace) -> Any:
    import whisperx

    threads = {} if arguments.threads is None else {"threads": arguments.threads}
    if arguments.threads is not None:
        import torch

        torch.set_num_threads(arguments.threads)
    return whisperx.load_model(
        arguments.model, "cpu", compute_type=arguments.compute_type, language="en", local_files_only=True, **threads
    )


def _samples(path: str) -> Any:
    import numpy as np

    if shutil.which("ffmpeg"):
        import whisperx

        return whisperx.load_audio(path)
    with wave.open(path) as audio:
        return np.frombuffer(audio.readframes(audio.getnframes()), np.int16).astype(np.float32) / 32768


if __name__ == "__main__":
    sys.exit(main())
