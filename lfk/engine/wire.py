"""What crosses the pipes between a hub and its engine: frames of JSON, each behind its length in four bytes.

Both ends are lfk of one version, so a frame that is not of the form is a fault, not input. Errors cross as code and
message, and are typed again on the other side.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lfk.core.errors import (
    EngineError,
    FileUnreadable,
    InvalidOption,
    LfkError,
    MediaError,
    ModelInvalid,
    ModelMissing,
    ScratchFull,
    StageFailed,
)
from lfk.core.transcript import from_dict, to_dict
from lfk.engine.base import Outcome, Task

_LENGTH = struct.Struct(">I")
#: The transcript of a day, with a time for each word, stays far below.
MAX_FRAME_BYTES = 256 << 20
#: Errors are shown in announcements, which stay under 64 KiB.
_MESSAGE_LIMIT = 1000

Message = dict[str, Any]


class BrokenFrame(Exception):
    """Bytes that are no frame."""


def pack(message: Mapping[str, Any]) -> bytes:
    """A frame. Lone surrogates (file names that are not UTF-8) survive, as JSON escapes them."""
    body = json.dumps(message, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")
    return _LENGTH.pack(len(body)) + body


class Unpacker:
    """Bytes in as they come, messages out."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are complete with ``data``.

        Raises:
            BrokenFrame: the bytes are not frames.
        """
        self._bytes += data
        while len(self._bytes) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._bytes)
            if length > MAX_FRAME_BYTES:
                raise BrokenFrame(f"a frame of {length} bytes")
            if len(self._bytes) < _LENGTH.size + length:
                return
            body = bytes(self._bytes[_LENGTH.size : _LENGTH.size + length])
            del self._bytes[: _LENGTH.size + length]
            try:
                message = json.loads(body)
            except ValueError as error:
                raise BrokenFrame("a frame that is not JSON") from error
            if not isinstance(message, dict) or "type" not in message:
                raise BrokenFrame("a frame that is no message")
            yield message


def write_all(fd: int, data: bytes) -> None:
    """Write to a blocking pipe.

    Raises:
        BrokenPipeError: nobody reads it any more.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def task_to_dict(task: Task) -> Message:
    """A task for the other side; paths become absolute, as the child works in another folder."""
    return {
        "audio": str(task.audio.absolute()),
        "sha256": task.sha256,
        "stages": list(task.stages),
        "model": task.model,
        "options": dict(task.options),
        "scratch": str(task.scratch.absolute()),
        "recognised": to_dict(task.recognised) if task.recognised is not None else None,
    }


def task_from_dict(data: Mapping[str, Any]) -> Task:
    """The inverse of :func:`task_to_dict`."""
    return Task(
        audio=Path(data["audio"]),
        sha256=data["sha256"],
        stages=tuple(data["stages"]),
        model=data["model"],
        options=data["options"],
        scratch=Path(data["scratch"]),
        recognised=from_dict(data["recognised"]) if data["recognised"] is not None else None,
    )


def outcome_to_dict(outcome: Outcome) -> Message:
    """An outcome for the other side."""
    return {
        "transcript": to_dict(outcome.transcript),
        "timings": dict(outcome.timings),
        "provenance": dict(outcome.provenance),
        "reused_stages": list(outcome.reused_stages),
        "recognised": to_dict(outcome.recognised) if outcome.recognised is not None else None,
    }


def outcome_from_dict(data: Mapping[str, Any]) -> Outcome:
    """The inverse of :func:`outcome_to_dict`."""
    return Outcome(
        transcript=from_dict(data["transcript"]),
        timings=data["timings"],
        provenance=data["provenance"],
        reused_stages=tuple(data["reused_stages"]),
        recognised=from_dict(data["recognised"]) if data["recognised"] is not None else None,
    )


def error_to_dict(error: LfkError) -> Message:
    """An error for the other side."""
    return {"code": error.code, "message": error.message[:_MESSAGE_LIMIT], "hint": error.hint}


def error_from_dict(data: Mapping[str, Any]) -> LfkError:
    """The error that crossed; StageFailed where the code is none that an engine may raise."""
    kind = _crossing().get(data["code"], StageFailed)
    return kind(data["message"], hint=data["hint"] if kind.code == data["code"] else None)


def _crossing() -> Mapping[str, type[LfkError]]:
    roots = (MediaError, EngineError, ModelMissing, ModelInvalid, InvalidOption, ScratchFull, FileUnreadable)
    return {kind.code: kind for root in roots for kind in (root, *root.__subclasses__())}
