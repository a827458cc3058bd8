"""The standard streams as they may be found: closed, on a full disk, or in an encoding of few characters."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


class OutputLost(Exception):
    """Standard output cannot take what is written: its disk is full, say. A reader that has gone is no such case."""


def make_usable() -> None:
    """Let every character be written; a stream that was closed swallows what it is given, and holds nothing.

    The place of a closed stream must not be left free: the next file or connection would get its number, and
    whatever a library or a child writes to standard output would go there.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(number, "w" if number else "r", encoding="utf-8"))
        elif number and isinstance(stream, io.TextIOWrapper):
            # Names of recordings know no bounds; an escape is better than no line.
            stream.reconfigure(errors="backslashreplace")


def drop(stream: TextIO) -> None:
    """Whatever it still holds, and all that follows, goes nowhere: it would fail again at the end of the process."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


@contextmanager
def writing() -> Iterator[None]:
    """Around whatever writes to standard output.

    Raises:
        OutputLost: it cannot be written.
        BrokenPipeError: nobody reads it any more.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputLost(f"the output cannot be written: {error.strerror or error}") from error
