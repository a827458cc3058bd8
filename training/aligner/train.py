"""The training loop: frame cross-entropy on letters, plus one on phones through a head that is thrown away.

Without the phone head the letter loss stalls: a letter's sound depends on spelling, a phone's does not. What is
saved is the running average of the weights, so that a run stopped early leaves a usable model. Learning rate and
batches depend on the step alone; wall time only decides when a checkpoint is written.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from training.aligner import model as network
from training.aligner.batches import Batch, Batches, plan
from training.aligner.corpus import Corpus
from training.aligner.speech import SOURCES
from training.aligner.targets import BLANK, VOCABULARY, PhoneIds, phone_ids

_PEAK_RATE = 1.5e-3
_WARM_UP_STEPS = 200
_FINAL_SHARE = 0.02  # of the peak rate, at the last step
_BLANK_WEIGHT = 0.6  # nine frames in ten are blank
_PHONE_WEIGHTS = (1.0, 0.3)  # while learning, and after _PHONE_TURN of the steps
_PHONE_TURN = 0.6
_GRADIENT_NORM_MAX = 1.0
_AVERAGE_DECAY = 0.998  # about the last 500 steps
VALIDATION_UTTERANCES = 80
VALIDATION_STEPS = 10
_LOG_EVERY = 250  # steps
# A checkpoint costs under a second; this much work is lost at most.
CHECKPOINT_SECONDS = 180.0


@dataclass(frozen=True)
class Run:
    """`steps` of up to 20 s of sound each; `threads` for torch (one more process prepares batches)."""

    steps: int
    seed: int
    threads: int


@dataclass(frozen=True)
class Validation:
    """Loss and share of labelled (non-blank) frames that were right, on utterances never trained on."""

    loss: float
    hits: float


class Trainer:
    """One run over one corpus; `work` holds its checkpoint, `out` the model, `log` one JSON line per report."""

    def __init__(self, corpus: Corpus, run: Run, work: Path, out: Path, log: Path) -> None:
        torch.set_num_threads(run.threads)
        torch.manual_seed(run.seed)
        self._run, self._out, self._log = run, out, log
        self._checkpoint = work / f"checkpoint-{run.steps}-{run.seed}.pt"
        held_out = Corpus(corpus.utterances[:VALIDATION_UTTERANCES], corpus.samples)
        self._corpus = Corpus(corpus.utterances[VALIDATION_UTTERANCES:], corpus.samples)
        ids = phone_ids({s: [w for u in corpus.utterances if u.source == s for w in u.words] for s in SOURCES})
        self._batches = Batches(self._corpus, plan(self._corpus, run.steps, run.seed), ids, run.seed)
        checks = Batches(held_out, plan(held_out, VALIDATION_STEPS, run.seed), ids, run.seed)
        self._checks = [checks[step] for step in range(VALIDATION_STEPS)]
        self._model = network.build()
        self._heads = nn.ModuleDict(
            {source: nn.Linear(self._model.config.hidden_size, _labels(ids, source)) for source in SOURCES}
        )
        self._weights = torch.ones(len(VOCABULARY))
        self._weights[BLANK] = _BLANK_WEIGHT
        self._average = AveragedModel(self._model, multi_avg_fn=get_ema_multi_avg_fn(_AVERAGE_DECAY), use_buffers=True)
        self._optimizer = torch.optim.AdamW(
            [*self._model.parameters(), *self._heads.parameters()], lr=_PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.01
        )
        self._step = 0
        self._seconds = 0.0

    def train(self) -> Validation:
        """Runs to the last step, from the checkpoint if there is one, and saves the averaged model."""
        self._resume()
        started = saved = time.monotonic() - self._seconds
        losses: list[tuple[float, float]] = []
        for batch in self._loader():
            losses.append(self._advance(batch))
            self._step += 1
            self._seconds = time.monotonic() - started
            if self._step % _LOG_EVERY == 0 or self._step == self._run.steps:
                self._report(losses)
                losses.clear()
            if self._seconds + started - saved > CHECKPOINT_SECONDS:
                saved = time.monotonic()
                self._save()
        self._save()
        return self._validate()

    def _loader(self) -> Iterator[Batch]:
        remaining = range(self._step, self._run.steps)
        return iter(DataLoader(self._batches, batch_size=None, sampler=remaining, num_workers=1, prefetch_factor=6))

    def _rate(self) -> float:
        falling = 0.5 * (1 + math.cos(math.pi * self._step / self._run.steps))
        return _PEAK_RATE * min(1, (self._step + 1) / _WARM_UP_STEPS) * (falling * (1 - _FINAL_SHARE) + _FINAL_SHARE)

    def _letter_loss(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        return functional.cross_entropy(logits.float().flatten(0, 1), batch.letters.flatten(), weight=self._weights)

    def _advance(self, batch: Batch) -> tuple[float, float]:
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = self._model.wav2vec2(batch.sound).last_hidden_state
            letters = self._letter_loss(self._model.lm_head(hidden), batch)
            phones = self._phone_loss(hidden, batch)
        learning = self._step < _PHONE_TURN * self._run.steps
        self._optimizer.zero_grad()
        (letters + _PHONE_WEIGHTS[0 if learning else 1] * phones).backward()
        nn.utils.clip_grad_norm_(self._model.parameters(), _GRADIENT_NORM_MAX)
        self._optimizer.step()
        self._average.update_parameters(self._model)
        return letters.item(), phones.item()

    def _phone_loss(self, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        total = hidden.new_zeros((), dtype=torch.float32)
        labelled = 0
        for source, labels in batch.phones.items():
            logits = self._heads[source](hidden).float().flatten(0, 1)
            total = total + functional.cross_entropy(logits, labels.flatten(), reduction="sum")
            labelled += int((labels >= 0).sum())
        return total / max(labelled, 1)

    @torch.no_grad()
    def _validate(self) -> Validation:
        average = self._average.module.eval()
        loss, right, labelled = 0.0, 0, 0
        for batch in self._checks:
            logits = average(batch.sound).logits
            loss += self._letter_loss(logits, batch).item() / len(self._checks)
            marked = batch.letters != BLANK
            right += int(((logits.argmax(-1) == batch.letters) & marked).sum())
            labelled += int(marked.sum())
        average.train()
        return Validation(loss, right / labelled)

    def _report(self, losses: list[tuple[float, float]]) -> None:
        letters, phones = (sum(column) / len(losses) for column in zip(*losses, strict=True))
        entry = {
            "step": self._step,
            "seconds": round(self._seconds),
            "rate": float(f"{self._rate():.3g}"),
            "letter_loss": round(letters, 4),
            "phone_loss": round(phones, 4),
            **{f"held_out_{key}": round(value, 4) for key, value in asdict(self._validate()).items()},
        }
        with self._log.open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")

    def _save(self) -> None:
        network.save(self._average.module, self._out)
        state = {
            "model": self._model.state_dict(),
            "heads": self._heads.state_dict(),
            "average": self._average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self._step,
            "seconds": self._seconds,
        }
        partial = self._checkpoint.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self._checkpoint)

    def _resume(self) -> None:
        if not self._checkpoint.exists():
            self._log.write_text("", encoding="utf-8")
            return
        state = torch.load(self._checkpoint, weights_only=True)
        for part, key in ((self._model, "model"), (self._heads, "heads"), (self._average, "average")):
            part.load_state_dict(state[key])
        self._optimizer.load_state_dict(state["optimizer"])
        self._step, self._seconds = state["step"], state["seconds"]
        lines = self._log.read_text(encoding="utf-8").splitlines(keepends=True)
        self._log.write_text(
            "".join(line for line in lines if json.loads(line)["step"] <= self._step), encoding="utf-8"
        )


def _labels(ids: PhoneIds, source: str) -> int:
    return 1 + sum(1 for owner, _ in ids if owner == source)
