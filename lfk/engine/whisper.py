"""WhisperX's recognition: speech regions in, text out, in batches, with CTranslate2.

WhisperX's own pipeline does the work. It is made anew for each audio from a model that stays loaded, as it keeps
state between calls (language, tokenizer, options), and it is told the speech regions, since its own detector would
load a checkpoint unsafely and take the whole audio at once. Refuses options that the model rules out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
import whisperx.asr
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import merge_punctuations
from numpy.typing import NDArray
from whisperx.audio import N_SAMPLES, log_mel_spectrogram
from whisperx.vads.vad import Vad

from lfk.core.errors import InvalidOption, ModelInvalid
from lfk.core.transcript import Segment, Word
from lfk.engine.batches import halving
from lfk.engine.device import Device
from lfk.engine.models.base import Weights
from lfk.engine.regions import Region, Spoken, clipped
from lfk.engine.samples import SAMPLE_RATE, Samples
from lfk.engine.speech import OFFSET, ONSET

ENGLISH = "en"
#: Whisper keeps half of its 448 tokens, less one, for what is said before; WhisperX gives prompt and hotwords so
#: much each, which together would leave no room for text.
_PROMPT_TOKENS = 223
#: Samples between two of the encoder's input frames.
_HOP_SAMPLES = 160
_PREPENDED = "\"'“¿([{-"
_APPENDED = "\"'.。,，!！?？:：”)]}、"
#: Needed besides the weights; without it the tokenizer would be fetched from the hub.
_TOKENIZER = "tokenizer.json"

Progress = Callable[[float], None]


class Recogniser:
    """One loaded Whisper model."""

    def __init__(self, weights: Weights, device: Device) -> None:
        """Load it.

        Raises:
            ModelInvalid: files that are missing, truncated, or of another kind.
        """
        self.weights = weights
        self._device = device
        if not (weights.path / _TOKENIZER).is_file():
            raise ModelInvalid(f"{weights.name} lacks {_TOKENIZER}")
        try:
            self._model = whisperx.asr.WhisperModel(
                str(weights.path),
                device=device.kind,
                device_index=device.index,
                compute_type=device.compute_type,
                cpu_threads=device.threads,
                local_files_only=True,
            )
        except (RuntimeError, ValueError, OSError, KeyError) as error:
            raise ModelInvalid(f"{weights.name} cannot be loaded: {type(error).__name__}") from error

    @property
    def multilingual(self) -> bool:
        """It knows more than English."""
        return bool(self._model.model.is_multilingual)

    def check(self, options: Mapping[str, Any]) -> None:
        """Whether the model can do what is asked.

        Raises:
            InvalidOption: it cannot.
        """
        language = options.get("language")
        if not self.multilingual:
            if language not in (None, ENGLISH, "multi"):
                raise InvalidOption(
                    f"{self.weights.name} knows English only, and language is {language}",
                    hint="ask for a model without .en, such as base or large",
                )
            if options.get("task") == "translate":
                raise InvalidOption(
                    f"{self.weights.name} knows English only and cannot translate",
                    hint="ask for a model without .en, such as base or large",
                )
        words = [options[name] for name in ("initial_prompt", "hotwords") if options.get(name)]
        tokens = sum(len(self._model.hf_tokenizer.encode(" " + text, add_special_tokens=False).ids) for text in words)
        if tokens > _PROMPT_TOKENS:
            raise InvalidOption(
                f"initial_prompt and hotwords come to {tokens} tokens; Whisper takes {_PROMPT_TOKENS} together"
            )

    def languages(self, samples: Samples, regions: Sequence[Region]) -> list[Mapping[str, float]]:
        """For each region how likely each language is, 0–1."""
        found: list[Mapping[str, float]] = []
        for at in range(0, len(regions), self._device.batch_size):
            batch = regions[at : at + self._device.batch_size]
            encoded = self._model.encode(np.stack([self._features(_cut(samples, region)) for region in batch]))
            likely = self._model.model.detect_language(encoded)
            found += [{token[2:-2]: float(part) for token, part in one} for one in likely]
        return found

    def recognise(
        self, samples: Samples, spoken: Sequence[Spoken], options: Mapping[str, Any], progress: Progress | None = None
    ) -> list[Segment]:
        """The text of each region, in order; a region without words is left out.

        Raises:
            EngineOutOfMemory: not even one region at a time fits the device.
        """
        segments: list[Segment] = []
        done = 0
        for language, group in groupby(spoken, key=lambda one: one.language):
            regions = [one.region for one in group]
            told = partial(_told, progress or _nobody, done / len(spoken), len(regions) / len(spoken))
            segments += self._group(samples, regions, language, options, told)
            done += len(regions)
        return segments

    def batches(self, spoken: Sequence[Spoken], options: Mapping[str, Any]) -> list[list[Spoken]]:
        """The regions as they go through the network together, so that each part can be recognised for itself."""
        size = self._batch(options)
        parts: list[list[Spoken]] = []
        for _language, group in groupby(spoken, key=lambda one: one.language):
            regions = list(group)
            parts += [regions[at : at + size] for at in range(0, len(regions), size)]
        return parts

    def word_times(self, samples: Samples, segment: Segment, language: str, task: str) -> tuple[Word, ...]:
        """Whisper's own times for the words of a segment of at most 30 s; coarser than an aligner's."""
        cut = _cut(samples, Region(segment.start, segment.end))
        tokenizer = Tokenizer(self._model.hf_tokenizer, self.multilingual, task=task, language=language)
        tokens = tokenizer.encode(" " + segment.text.strip())
        encoded = self._model.encode(self._features(cut))
        words = self._model.find_alignment(tokenizer, [tokens], encoded, len(cut) // _HOP_SAMPLES)[0]
        merge_punctuations(words, _PREPENDED, _APPENDED)
        return tuple(self._word(word, segment) for word in words if word["word"].strip())

    def _word(self, word: Mapping[str, Any], segment: Segment) -> Word:
        start, end = clipped(segment.start + word["start"], segment.start + word["end"], segment.end)
        return Word(word["word"].strip(), start, end, round(float(word["probability"]), 3))

    def _group(
        self,
        samples: Samples,
        regions: Sequence[Region],
        language: str,
        options: Mapping[str, Any],
        progress: Progress,
    ) -> list[Segment]:
        """Regions of one language."""

        def transcribe(batch: int) -> list[Segment]:
            return self._transcribe(samples, regions, language, options, batch, progress)

        batch = self._batch(options)
        if self._device.kind == "cpu":
            return transcribe(batch)
        return halving(transcribe, batch, what=self.weights.name)

    def _batch(self, options: Mapping[str, Any]) -> int:
        return int(options.get("batch_size", self._device.batch_size))

    def _transcribe(
        self,
        samples: Samples,
        regions: Sequence[Region],
        language: str,
        options: Mapping[str, Any],
        batch: int,
        progress: Progress,
    ) -> list[Segment]:
        task = options.get("task", "transcribe")
        asked = {name: options[name] for name in ("beam_size", "initial_prompt", "hotwords") if name in options}
        pipeline = whisperx.asr.load_model(
            self.weights.name,
            self._device.kind,
            device_index=self._device.index,
            compute_type=self._device.compute_type,
            asr_options=asked,
            language=language,
            vad_model=_Known(regions),
            vad_options={"vad_onset": ONSET, "vad_offset": OFFSET},
            model=self._model,
            task=task,
        )
        result = pipeline.transcribe(
            samples,
            batch_size=batch,
            language=language,
            task=task,
            progress_callback=lambda percent: progress(percent / 100),
        )
        duration = len(samples) / SAMPLE_RATE
        segments = []
        for found in result["segments"]:
            start, end = clipped(found["start"], found["end"], duration)
            text = " ".join(found["text"].split())
            if text:
                segments.append(Segment(start, end, text))
        return segments

    def _features(self, samples: Samples) -> NDArray[np.float32]:
        mels = self._model.feat_kwargs.get("feature_size") or 80
        features: NDArray[np.float32] = log_mel_spectrogram(
            samples, n_mels=mels, padding=N_SAMPLES - len(samples)
        ).numpy()
        return features


class _Known(Vad):  # type: ignore[misc]
    """Stands where WhisperX expects a detector, and knows the regions already."""

    def __init__(self, regions: Sequence[Region]) -> None:
        super().__init__(ONSET)
        self._chunks = [{"start": r.start, "end": r.end, "segments": [(r.start, r.end)]} for r in regions]

    def __call__(self, _audio: Any) -> list[dict[str, Any]]:
        return self._chunks

    @staticmethod
    def preprocess_audio(audio: Any) -> Any:
        return audio

    @staticmethod
    def merge_chunks(segments: Any, *_args: Any, **_kwargs: Any) -> Any:
        return segments


def _nobody(_part: float) -> None:
    return None


def _told(progress: Progress, before: float, share: float, part: float) -> None:
    """Progress of a part as progress of the whole."""
    progress(before + part * share)


def _cut(samples: Samples, region: Region) -> Samples:
    first = int(region.start * SAMPLE_RATE)
    return samples[first : min(int(region.end * SAMPLE_RATE), first + N_SAMPLES)]
