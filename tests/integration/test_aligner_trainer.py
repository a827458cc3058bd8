"""The training loop on a corpus of tones: it learns, and a run that was interrupted ends where it would have ended."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

np = pytest.importorskip("numpy", reason="comes with the hub extra")
torch = pytest.importorskip("torch", reason="comes with the hub extra")
pytest.importorskip("transformers", reason="comes with the hub extra")

from training.aligner import train  # noqa: E402
from training.aligner.corpus import Corpus, Utterance  # noqa: E402
from training.aligner.speech import SAMPLE_RATE, SOURCES, Phone, TimedWord  # noqa: E402

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore::UserWarning")]

STEPS = 6
WORDS = ("one", "two", "six")


class Stopped(Exception):
    """Stands for whatever ends a run early."""


def corpus_of_tones() -> Corpus:
    """Utterances of three words, each word a tone of its own; enough for the held-out part and some more."""
    rng = np.random.default_rng(1)
    utterances, pieces = [], []
    for number in range(train.VALIDATION_UTTERANCES + 20):
        sound = np.zeros(SAMPLE_RATE, np.float32)
        words = []
        for place, choice in enumerate(rng.integers(0, len(WORDS), 3)):
            start, end = 0.1 + 0.3 * place, 0.3 + 0.3 * place
            time = np.arange(int(start * SAMPLE_RATE), int(end * SAMPLE_RATE))
            sound[time] = np.sin(time * (0.1 + 0.2 * choice))
            onsets = tuple(start + 0.05 * letter for letter in range(3))
            words.append(TimedWord(WORDS[choice], start, end, onsets, (Phone(WORDS[choice], start, end),)))
        source = SOURCES[number % len(SOURCES)]
        utterances.append(Utterance(source, "tone", number * SAMPLE_RATE, SAMPLE_RATE, tuple(words)))
        pieces.append((sound * 8000).astype(np.int16))
    return Corpus(tuple(utterances), np.concatenate(pieces))


def trainer(folder: Path) -> train.Trainer:
    folder.mkdir(exist_ok=True)
    run = train.Run(steps=STEPS, seed=7, threads=1)
    return train.Trainer(corpus_of_tones(), run, folder, folder / "model", folder / "log.jsonl")


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(str(folder / "model" / "model.safetensors"))


@pytest.mark.slow
def test_an_interrupted_run_ends_with_the_same_weights(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(train, "VALIDATION_STEPS", 1)
    trainer(tmp_path / "whole").train()

    stopped = trainer(tmp_path / "stopped")
    advance = stopped._advance
    left = [None] * (STEPS // 2)

    def advance_or_stop(batch: Any) -> Any:
        if not left:
            raise Stopped
        left.pop()
        return advance(batch)

    monkeypatch.setattr(stopped, "_advance", advance_or_stop)
    with pytest.raises(Stopped):
        stopped.train()
    trainer(tmp_path / "stopped").train()

    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    log = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [entry["step"] for entry in log] == [STEPS]
    assert log[0]["letter_loss"] < 3.5  # ln 32 = 3.47 is knowing nothing
