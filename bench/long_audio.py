"""What hours of audio cost an engine: time, and memory over time, by stage.

    python -m bench.long_audio --hours 4 --speech 0.3 --approach diarisation

Makes a recording of that length from the bundled speech (``--speech`` is the part of it in which somebody speaks, the
rest is silence), runs the real engine on it as a hub would, and prints, for each stage, seconds and the most memory.
``held`` is what the system could not take back; ``resident`` counts pages of the decoded audio's file, too.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil

from lfk.core.approaches import require_approach
from lfk.engine.base import Task
from lfk.engine.limits import EngineLimits
from lfk.engine.media import decode
from lfk.engine.whisperx_kind import WhisperXKind, WhisperXPlan

SPEECH = Path(__file__).resolve().parents[1] / "lfk" / "demo" / "speech"
RATE = 16_000
SAMPLE_SECONDS = 0.5
#: Other work on the machine must not end a measurement.
PATIENT = EngineLimits(start_seconds=600.0, base_seconds=3600.0, factor=100.0)


def pieces(hours: float, part: float, scratch: Path) -> Iterator[np.ndarray[Any, Any]]:
    """Speech and silence in turn, the same every time."""
    chance = np.random.default_rng(3)
    clips = [np.array(decode(path, scratch, 3600.0).samples) for path in sorted(SPEECH.glob("*.flac"))]
    made = 0
    while made < hours * 3600 * RATE:
        clip = clips[chance.integers(len(clips))]
        silence = np.zeros(round(len(clip) * (1 / part - 1)) + chance.integers(RATE // 4, 2 * RATE), np.float32)
        made += len(clip) + len(silence)
        yield from (clip, silence)


def record(path: Path, hours: float, part: float) -> None:
    """Write the recording as MP3."""
    with av.open(str(path), "w") as container:
        track: Any = container.add_stream("libmp3lame", rate=RATE, layout="mono")
        track.codec_context.bit_rate = 32_000
        waiting = av.AudioFifo()
        at = 0
        for samples in pieces(hours, part, path.parent):
            frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = RATE, at
            at += len(samples)
            waiting.write(frame)
            for ready in waiting.read_many(track.codec_context.frame_size):
                container.mux(track.encode(ready))
        container.mux(track.encode(None))


class Watch:
    """Looks at a process now and then, and remembers the most by stage."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._done = threading.Event()
        self._begun = time.monotonic()
        self.stage = "start"
        #: stage -> (first seen, last seen, most resident bytes, most held bytes); seconds since the begin.
        self.most: dict[str, tuple[float, float, int, int]] = {}
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            usage = self._process.memory_info()
            now = time.monotonic() - self._begun
            first, _last, resident, held = self.most.get(self.stage, (now, now, 0, 0))
            own = usage.rss - getattr(usage, "shared", 0)
            self.most[self.stage] = (first, now, max(resident, usage.rss), max(held, own))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=4.0)
    parser.add_argument("--speech", type=float, default=0.3)
    parser.add_argument("--approach", default="diarisation")
    parser.add_argument("--model", default="tiny.en")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    plan = WhisperXPlan(models=arguments.models, threads=arguments.threads, preload=(arguments.model,))
    with tempfile.TemporaryDirectory() as folder:
        audio = Path(folder) / "long.mp3"
        record(audio, arguments.hours, arguments.speech)
        engine = WhisperXKind(plan, PATIENT, dict(os.environ)).start()
        watch = Watch(engine.pid)
        try:
            stages = require_approach(arguments.approach).stages
            task = Task(audio, "0" * 64, stages, arguments.model, {}, Path(folder))
            outcome = engine.run(task, lambda stage, _part: setattr(watch, "stage", stage))
            watch.stop()
        finally:
            engine.close()
    found = outcome.transcript
    print(f"{(found.duration or 0) / 3600:.2f} h, {len(found.segments)} segments, {len(found.speakers)} speakers")
    print("stage        seconds   resident MiB   held MiB")
    for stage, (first, last, resident, held) in watch.most.items():
        print(f"{stage:<10} {last - first:9.1f} {resident >> 20:14d} {held >> 20:10d}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
