"""Times for words: WhisperX's forced alignment, segment by segment.

A segment that cannot be aligned keeps its text and costs no other segment its times. Weights are loaded as plain
tensors from a folder and nothing else: no code, no download.
"""

from __future__ import annotations

import pickle
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nltk
import torch
import torchaudio
from transformers import Wav2Vec2ForCTC, Wav2Vec2Processor
from whisperx import alignment
from whisperx.utils import PUNKT_LANGUAGES

from lfk.core.errors import EngineOutOfMemory, ModelInvalid, ModelMissing
from lfk.core.model_manifest import Form
from lfk.core.transcript import Segment, Word
from lfk.engine.device import Device
from lfk.engine.models.base import Weights
from lfk.engine.regions import clipped
from lfk.engine.samples import SAMPLE_RATE, Samples

Progress = Callable[[float], None]


class Aligner:
    """One loaded aligner of one language."""

    def __init__(self, weights: Weights, language: str, device: Device) -> None:
        """Load it.

        Raises:
            ModelInvalid: files that are missing, truncated, or of another kind.
            ModelMissing: the data that sentences are split with.
        """
        self.weights = weights
        self._device = device
        of_torchaudio = weights.form is Form.TORCHAUDIO
        try:
            model, letters = _of_torchaudio(weights, language) if of_torchaudio else _of_transformers(weights)
        except (
            OSError,
            ValueError,
            KeyError,
            RuntimeError,
            TypeError,
            AttributeError,
            pickle.UnpicklingError,
        ) as error:
            raise ModelInvalid(f"{weights.name} cannot be loaded: {type(error).__name__}") from error
        _provide_sentences(PUNKT_LANGUAGES.get(language, "english"))
        self._model = model.to(device.name).eval()
        self._about = {
            "language": language,
            "dictionary": {letter.lower(): code for letter, code in letters.items()},
            "type": "torchaudio" if of_torchaudio else "huggingface",
        }

    def align(
        self, samples: Samples, segments: Sequence[Segment], progress: Progress | None = None
    ) -> tuple[list[Segment], int]:
        """The segments cut at their sentences, with words that have times; and how many had to stay as they were.

        Args:
            samples: float32 mono at 16 kHz, shape (samples,).
            segments: of this aligner's language, each at most about 30 s.
            progress: called with the part that is through, 0–1.

        Raises:
            EngineOutOfMemory: a segment does not fit the device.
        """
        audio = torch.from_numpy(samples)
        aligned: list[Segment] = []
        failed = 0
        for number, segment in enumerate(segments):
            found = self._one(audio, segment)
            failed += not any(word.start is not None for one in found for word in one.words)
            aligned += found
            if progress is not None:
                progress((number + 1) / len(segments))
        return aligned, failed

    def _one(self, audio: torch.Tensor, segment: Segment) -> list[Segment]:
        # A copy of what it needs: whisperx writes into what it is given.
        given = [{"start": segment.start, "end": segment.end, "text": segment.text}]
        try:
            result = alignment.align(given, self._model, self._about, audio, self._device.name)
        except torch.OutOfMemoryError as error:
            raise EngineOutOfMemory(f"no memory on {self._device.name} to align with") from error
        except (RuntimeError, ValueError, IndexError, KeyError, TypeError, AssertionError):
            # Text that the network's frames cannot hold fails in as many ways as there are libraries below.
            return [segment]
        duration = len(audio[0] if audio.ndim > 1 else audio) / SAMPLE_RATE
        return [_segment(one, segment, duration) for one in result["segments"]] or [segment]


def _provide_sentences(language: str) -> None:
    """See to it that NLTK can split the language's sentences.

    It refuses files that have a second name on the disk, as those of an installation have that shares them with a
    cache (uv does so); this process's own temporary folder gets a copy, a hundred kilobytes at most.

    Raises:
        ModelMissing: the data is not part of this installation.
    """
    name = f"tokenizers/punkt_tab/{language}"
    own = Path(tempfile.gettempdir(), "sentences")
    if (own / name).is_dir():
        return
    try:
        installed = nltk.data.find(f"{name}/")
    except LookupError as error:
        # whisperx would try to download it.
        raise ModelMissing("the data that sentences are split with is missing", hint="reinstall lfk") from error
    shutil.copytree(str(installed), own / name)
    if str(own) not in nltk.data.path:
        nltk.data.path.insert(0, str(own))


def _segment(found: Mapping[str, Any], whole: Segment, duration: float) -> Segment:
    """WhisperX's sentence as ours. It has no times where no letter of it could be placed."""
    words = tuple(_word(word, duration) for word in found.get("words") or ())
    start, end = found.get("start"), found.get("end")
    first, last = clipped(_number(start, whole.start), _number(end, whole.end), duration)
    return Segment(first, last, " ".join(str(found["text"]).split()), words, language=whole.language)


def _word(found: Mapping[str, Any], duration: float) -> Word:
    text = str(found["word"])
    start, end, score = found.get("start"), found.get("end"), found.get("score")
    if start is None or end is None or start != start or end != end:
        return Word(text)
    first, last = clipped(float(start), float(end), duration)
    return Word(text, first, last, round(float(score), 3) if score is not None and score == score else None)


def _number(value: Any, otherwise: float) -> float:
    """``value`` unless it is missing or not a number."""
    return otherwise if value is None or value != value else float(value)


def _of_transformers(weights: Weights) -> tuple[Any, Mapping[str, int]]:
    """The network and the codes of its letters."""
    load: Any = Wav2Vec2Processor.from_pretrained
    processor = load(str(weights.path), local_files_only=True)
    model = Wav2Vec2ForCTC.from_pretrained(str(weights.path), local_files_only=True, use_safetensors=True)
    return model, processor.tokenizer.get_vocab()


def _of_torchaudio(weights: Weights, language: str) -> tuple[Any, Mapping[str, int]]:
    """As :func:`_of_transformers`, for the networks of torchaudio that whisperx names for some languages."""
    bundle = getattr(torchaudio.pipelines, alignment.DEFAULT_ALIGN_MODELS_TORCH[language])
    if weights.file.name != bundle._path:
        # Of another name, torchaudio would go and download its own.
        raise ValueError(weights.file.name)
    model = bundle.get_model(dl_kwargs={"model_dir": str(weights.path), "weights_only": True, "map_location": "cpu"})
    return model, {letter: code for code, letter in enumerate(bundle.get_labels())}
