"""Little recordings, all different, some of them poison."""

from __future__ import annotations

import random
import wave
from pathlib import Path

from tests.chaos.killing_hub import POISON

#: Below the folder, so that the path says what is asked for.
_WHERE = "simple/tiny"
_FRAMES = 800


class Recordings:
    """A folder of recordings that grows."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        #: Names below the folder of those that kill.
        self.poisons: set[str] = set()
        self._chance = random.Random(seed)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def make(self, healthy: int, poisons: int = 0) -> None:
        """Add some; poisons are spread among the healthy ones."""
        kinds = [False] * healthy + [True] * poisons
        self._chance.shuffle(kinds)
        (self.folder / _WHERE).mkdir(parents=True, exist_ok=True)
        for poison in kinds:
            name = f"{_WHERE}/talk {self._count:05}.wav"
            self._write(self.folder / name, POISON if poison else b"")
            if poison:
                self.poisons.add(name)
            self._count += 1

    def _write(self, path: Path, content: bytes) -> None:
        with wave.open(str(path), "wb") as audio:
            audio.setnchannels(1)
            audio.setsampwidth(2)
            audio.setframerate(16000)
            samples = content + self._count.to_bytes(4, "big") + bytes(2 * _FRAMES)
            audio.writeframes(samples[: 2 * _FRAMES])
