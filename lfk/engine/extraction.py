"""The audio of a recording as a small file: 16 kHz mono, as FLAC (nothing lost of what an engine hears) or Opus.

Recordings are hostile, so a process of its own reads each, bounded in time and memory: what crashes or hangs there is
that file's failure and nobody else's. This side loads no speech stack; see :mod:`lfk.engine.extraction_child`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from lfk.core.errors import AudioUndecodable, LfkError, ScratchFull, UnsupportedFeature
from lfk.engine.limits import DECODE_BYTES_PER_SECOND
from lfk.engine.wire import error_from_dict

#: Start of a process and its imports on a busy machine.
_BASE_SECONDS = 120.0
#: How often it is looked whether to stop.
_WATCH_SECONDS = 0.2
#: The child's answer is one short line.
_ANSWER_BYTES = 64 << 10
#: Folder that holds the package; see :mod:`lfk.engine.child_process`.
_HOME = Path(__file__).resolve().parents[2]


class AudioExtractor:
    """See :class:`lfk.roles.uploader.Extractor`."""

    def __init__(
        self, form: str, scratch: Path | None, *, max_seconds: float, environment: Mapping[str, str] | None = None
    ) -> None:
        """Nothing is started yet.

        Args:
            form: flac or opus.
            scratch: folder for the audio while it is under way, about 64 kB for each second; None for the system's.
            max_seconds: longest recording taken, in seconds.
            environment: of the processes; None for this one's.

        Raises:
            UnsupportedFeature: what reads recordings is not installed.
        """
        if importlib.util.find_spec("av") is None:
            raise UnsupportedFeature(
                "taking the audio out of videos is not installed", hint="install it with `pip install 'lfk[hub]'`"
            )
        self.form = form
        self._scratch = scratch
        self._max_seconds = max_seconds
        self._environment = environment

    @contextmanager
    def extracted(self, path: Path, stopped: Callable[[], bool]) -> Iterator[Path]:
        """A file with the audio of ``path``, which goes with the block.

        Raises:
            MediaError: it is no recording, has no audio, or is longer than allowed.
            FileUnreadable: it cannot be read.
            ScratchFull: no room for the audio, or no such folder.
            InterruptedError: ``stopped`` said so.
        """
        try:
            folder = tempfile.TemporaryDirectory(prefix="lfk-extract-", dir=self._scratch)
        except OSError as error:
            raise ScratchFull(f"there is no place for the audio of a video: {error.strerror}") from error
        with folder as name:
            target = Path(name) / f"audio.{self.form}"
            self._run(path, target, stopped)
            yield target

    def _run(self, path: Path, target: Path, stopped: Callable[[], bool]) -> None:
        arguments = [
            sys.executable, "-m", "lfk.engine.extraction_child",
            "--parent", str(os.getpid()), "--form", self.form, "--max-seconds", str(self._max_seconds),
            str(path), str(target),
        ]  # fmt: skip
        deadline = time.monotonic() + _BASE_SECONDS + path.stat().st_size / DECODE_BYTES_PER_SECOND
        with tempfile.TemporaryFile() as answer:
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=answer,
                stderr=subprocess.DEVNULL,
                cwd=_HOME,
                env=dict(self._environment) if self._environment is not None else None,
                # Not reached by a terminal's interrupt: whoever waits here decides.
                start_new_session=True,
            )
            try:
                _await(process, deadline, stopped)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if (failure := _failure(process.returncode, answer)) is not None:
                raise failure


def _await(process: subprocess.Popen[bytes], deadline: float, stopped: Callable[[], bool]) -> None:
    while True:
        try:
            process.wait(_WATCH_SECONDS)
            return
        except subprocess.TimeoutExpired:
            if stopped():
                raise InterruptedError("told to stop") from None
            if time.monotonic() > deadline:
                raise AudioUndecodable("its audio cannot be taken out in reasonable time") from None


def _failure(status: int, answer: IO[bytes]) -> LfkError | None:
    """What the child says went wrong, else what its end tells."""
    if status == 0:
        return None
    answer.seek(0)
    try:
        return error_from_dict(json.loads(answer.read(_ANSWER_BYTES)))
    except (ValueError, KeyError, TypeError):
        return AudioUndecodable(f"what reads recordings came to a bad end on it (status {status})")
