"""Composed conversations with an exact answer: who speaks when, and what is said.

The sets and their seeds are fixed here, and were committed before the diariser was tuned. Settings may be chosen
on the ``dev`` half only; the ``test`` half shares neither voices nor sentences nor seeds with it and is for
reporting. The sets:

- ``composed``: 2, 3 or 4 voices, one of each family, near microphone, one change of turn in ten overlaps;
- ``alike``: 2 to 4 voices of one formant synthesiser, told apart by accent and formant scale only;
- ``far``: 2 to 4 voices across a reverberant, noisy room with one microphone, a third of the turns overlapping, and
  short listener's words inside other people's turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from bench.quality import rooms, voices
from bench.quality.voices import SAMPLE_RATE, Human, Voice

SENTENCES = Path(__file__).with_name("sentences.txt")
LISTENER_WORDS = ("Yes.", "Right.", "I see.", "Exactly.", "No, not really.", "Of course.")
SPEECH_LEVEL_DB = -25.0


@dataclass(frozen=True)
class Utterance:
    """One stretch of speech: ``start`` and ``end`` in seconds."""

    start: float
    end: float
    speaker: str
    text: str


@dataclass(frozen=True)
class Conversation:
    """Samples (float32, 16 kHz), what was said, and the speech regions that a diariser should find."""

    name: str
    samples: np.ndarray
    utterances: tuple[Utterance, ...]
    regions: tuple[tuple[float, float, str], ...]

    @property
    def speakers(self) -> int:
        """How many people really speak."""
        return len({speaker for _, _, speaker in self.regions})


@dataclass(frozen=True)
class Plan:
    """All that decides one conversation."""

    set_name: str
    half: str
    seed: int
    speakers: int
    overlapping: float = 0.1
    longest_overlap: float = 0.8
    listener_words: float = 0.0
    far: bool = False

    @property
    def name(self) -> str:
        """Unique among all plans."""
        return f"{self.set_name}-{self.half}-{self.seed}-{self.speakers}v"


def _plans(set_name: str, half: str, first_seed: int, count: int, **style: float) -> tuple[Plan, ...]:
    return tuple(Plan(set_name, half, first_seed + i, 2 + i % 3, **style) for i in range(count))  # type: ignore[arg-type]


FAR_STYLE: dict[str, float] = {"overlapping": 0.33, "longest_overlap": 2.0, "listener_words": 0.2, "far": True}
PLANS = (
    *_plans("composed", "dev", 4100, 24),
    *_plans("alike", "dev", 4200, 6),
    *_plans("far", "dev", 4300, 12, **FAR_STYLE),
    *_plans("composed", "test", 9100, 24),
    *_plans("alike", "test", 9200, 6),
    *_plans("far", "test", 9300, 12, **FAR_STYLE),
)


def plans(half: str) -> tuple[Plan, ...]:
    """The plans of ``dev`` or ``test``."""
    return tuple(plan for plan in PLANS if plan.half == half)


def compose(plan: Plan) -> Conversation:
    """Make the conversation of a plan; the same plan gives the same samples."""
    rng = np.random.default_rng(plan.seed)
    cast = _cast(plan, rng)
    spoken = _script(plan, cast, rng)
    length = int((max(start + len(clip) / SAMPLE_RATE for start, clip, _, _ in spoken) + 1.5) * SAMPLE_RATE)
    mix = np.zeros(length, dtype=np.float32)
    responses = _responses(plan, cast, rng)
    levels = [10 ** ((SPEECH_LEVEL_DB + rng.uniform(-3, 3)) / 20) for _ in cast]
    utterances, regions = [], []
    for start, clip, who, text in spoken:
        speech = voices.speech_regions(clip)
        heard = clip * (levels[who] / np.sqrt(np.mean(clip**2)))
        if plan.far:
            heard = rooms.reverberate(heard, responses[who])
        at = int(start * SAMPLE_RATE)
        mix[at : at + len(heard)] += heard[: length - at]
        name = cast[who].name
        regions += [(round(start + first, 3), round(start + last, 3), name) for first, last in speech]
        utterances.append(Utterance(round(start + speech[0][0], 3), round(start + speech[-1][1], 3), name, text))
    return Conversation(plan.name, _with_noise(plan, mix, rng), tuple(utterances), tuple(sorted(regions)))


def _cast(plan: Plan, rng: np.random.Generator) -> list[Voice | Human]:
    """Who speaks: one voice of each family, at random; in every third conversation one of them is human."""
    pool: tuple[Voice | Human, ...] = voices.DEV_VOICES if plan.half == "dev" else voices.TEST_VOICES
    order = [pool[i] for i in rng.permutation(len(pool))]
    if plan.set_name == "alike":
        return [voice for voice in order if voice.family.startswith("espeak")][: plan.speakers]
    if plan.seed // 3 % 3 == 0:
        order.insert(0, voices.card_player() if plan.half == "dev" else voices.librivox_reader())
    chosen: dict[str, Voice | Human] = {}
    for voice in order:
        chosen.setdefault(voice.family, voice)
    return list(chosen.values())[: plan.speakers]


def _script(
    plan: Plan, cast: list[Voice | Human], rng: np.random.Generator
) -> list[tuple[float, np.ndarray, int, str]]:
    """The turns as (start in seconds, dry clip, index of the speaker, text): everybody speaks three times or more."""
    order = list(range(len(cast)))
    turns = 3 * len(cast) + int(rng.integers(3, 7))
    spoken: list[tuple[float, np.ndarray, int, str]] = []
    now, last = rng.uniform(0.3, 1.5), -1
    rounds: list[int] = []
    for _ in range(turns):
        if not rounds:
            rounds = [order[i] for i in rng.permutation(len(order))]
            if rounds[0] == last:
                rounds.append(rounds.pop(0))
        last = rounds.pop(0)
        clip, text = _say(plan, cast[last], rng)
        if spoken and rng.random() < plan.overlapping:
            now -= min(rng.uniform(0.2, plan.longest_overlap), len(clip) / SAMPLE_RATE * 0.6)
        else:
            now += rng.exponential(0.4) + 0.05
        spoken.append((now, clip, last, text))
        ends = now + len(clip) / SAMPLE_RATE
        if rng.random() < plan.listener_words:
            listener = order[(last + 1) % len(order)]
            if isinstance(voice := cast[listener], Voice):
                word = str(rng.choice(LISTENER_WORDS))
                short = voices.speak(voice, word)
                spoken.append((now + rng.uniform(0.3, 0.8) * (ends - now), short, listener, word))
        now = ends
    return spoken


def _say(plan: Plan, voice: Voice | Human, rng: np.random.Generator) -> tuple[np.ndarray, str]:
    """One turn of one voice: one to three sentences, or one to three clips of a human."""
    count = int(rng.choice((1, 2, 3), p=(0.5, 0.35, 0.15)))
    if isinstance(voice, Human):
        clips = [voice.clips[i] for i in rng.permutation(len(voice.clips))[:count]]
        return np.concatenate([voices.read_wav(path.read_bytes()) for path, _ in clips]), " ".join(
            text for _, text in clips
        )
    lines = _sentences(plan.half)
    text = " ".join(lines[i] for i in rng.choice(len(lines), size=count, replace=False))
    return voices.speak(voice, text, stretch=rng.uniform(0.9, 1.15)), text


@cache
def _sentences(half: str) -> tuple[str, ...]:
    lines = SENTENCES.read_text(encoding="utf-8").splitlines()
    return tuple(lines[0::2] if half == "dev" else lines[1::2])


def _responses(plan: Plan, cast: list[Voice | Human], rng: np.random.Generator) -> list[np.ndarray]:
    if not plan.far:
        return []
    room = rooms.random_room(rng)
    return [rooms.impulse_response(room, rooms.random_seat(rng, room)) for _ in cast]


def _with_noise(plan: Plan, mix: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Near: hiss 40 dB below the speech. Far: the room, 10 to 20 dB below it. Then a peak of at most 0.9."""
    below = rng.uniform(10, 20) if plan.far else 40.0
    noise = rooms.room_noise(rng, len(mix)) if plan.far else rng.standard_normal(len(mix)).astype(np.float32)
    power = np.sqrt(np.mean(mix**2))
    mix = mix + noise * (power * 10 ** (-below / 20))
    return (mix * min(1.0, 0.9 / float(np.abs(mix).max()))).astype(np.float32)
