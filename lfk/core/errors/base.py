"""What all errors have: a kind, an exit code, whom to suspect, and what the user can do."""

from __future__ import annotations

from enum import Enum
from typing import ClassVar


class Kind(str, Enum):
    """What a machine should do about an error."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"
    FATAL = "fatal"


class Suspect(str, Enum):
    """A part of a hub that may be at fault for a job's failure."""

    STORE = "store"
    REGISTRY = "registry"
    SCRATCH = "scratch"
    MODEL = "model"
    ENGINE = "engine"


class ExitCode(int, Enum):
    """Exit codes of every command (DESIGN §6)."""

    OK = 0
    SOME_FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    INTERRUPTED = 130


class LfkError(Exception):
    """Root of the tree: ``message`` says what happened, ``hint`` what the user can do about it."""

    code: ClassVar[str] = "internal"
    kind: ClassVar[Kind] = Kind.PERMANENT
    exit_code: ClassVar[ExitCode] = ExitCode.SOME_FAILED
    suspect: ClassVar[Suspect | None] = None
    hint: str = "run it again with -v and report what it prints"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if hint is not None:
            self.hint = hint

    def __str__(self) -> str:
        return self.message
