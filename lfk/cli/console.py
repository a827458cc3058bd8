"""What commands show: text for people, one JSON object a line for machines, progress bars on a terminal.

The only place that writes to standard output and standard error. Results go to standard output; errors, warnings
and progress to standard error. Text from outside is made printable here.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, TextIO

from lfk.cli.streams import drop, writing
from lfk.core.errors import LfkError, UsageError
from lfk.core.printable import json_printable, printable, without_controls

#: Shows one result: its kind, its fields for machines, its text for people.
Show = Callable[[str, Mapping[str, Any], str], None]


class Bar(Protocol):
    """A running display of work; safe for use by several threads."""

    def total(self, *, size: int, count: int) -> None:
        """What is to be done now in all: bytes and files."""

    def advance(self, *, size: int = 0, count: int = 0) -> None:
        """What has just been done."""


class Console:
    """One per command."""

    def __init__(
        self, *, as_json: bool = False, verbosity: int = 0, out: TextIO | None = None, err: TextIO | None = None
    ) -> None:
        """``verbosity``: -1 quiet, 0 as usual, 1 and more verbose."""
        self.as_json = as_json
        self.verbosity = verbosity
        self._out = out or sys.stdout
        self._err = err or sys.stderr

    @property
    def terminal(self) -> bool:
        """Whether a person watches: progress bars make sense."""
        return self._err.isatty() and not self.as_json and self.verbosity >= 0

    def result(self, kind: str, fields: Mapping[str, Any], text: str) -> None:
        """One result: ``{"event": kind, …fields}`` for machines, ``text`` for people (also when quiet)."""
        if self.as_json:
            line = _json_line({"event": kind, **fields})
        else:
            line = "\n".join(printable(part, 10_000) for part in text.split("\n"))
        self._print(line)

    def note(self, kind: str, fields: Mapping[str, Any], text: str) -> None:
        """As :meth:`result`, for what quiet leaves out."""
        if self.verbosity >= 0:
            self.result(kind, fields, text)

    def document(self, kind: str, fields: Mapping[str, Any], text: str) -> None:
        """A whole text: a field ``text`` for machines, exact where output is redirected, harmless on a terminal."""
        if self.as_json:
            self.result(kind, {**fields, "text": text}, "")
            return
        shown = without_controls(text) if self._out.isatty() else text
        self._print(shown, end="" if text.endswith("\n") else "\n")

    def say(self, text: str = "") -> None:
        """A line that only people need."""
        if not self.as_json and self.verbosity >= 0:
            self._print("\n".join(printable(part, 10_000) for part in text.split("\n")))

    def warn(self, text: str) -> None:
        """Something that works, but not as might be expected."""
        self._print_problem("warning", {"message": text}, f"warning: {text}")

    def ask(self, question: str) -> bool:
        """A yes or no of the person at the terminal; without a word it is no.

        Raises:
            UsageError: nobody is there to be asked.
        """
        if self.as_json or not (sys.stdin.isatty() and self._err.isatty()):
            raise UsageError("nobody can be asked here", hint="give --yes, or --dry-run to see first what it does")
        print(f"{printable(question, 2000)} [y/N] ", end="", file=self._err, flush=True)
        return sys.stdin.readline().strip().lower() in ("y", "yes")

    def error(self, error: LfkError, subject: str = "") -> None:
        """One clear line: what, why, and what to do."""
        # The store's errors begin with the location, which often is the subject.
        about = f"{subject}: " if subject and not error.message.startswith(f"{subject}: ") else ""
        fields = {
            "subject": subject or None,
            "code": error.code,
            "kind": error.kind.value,
            "message": error.message,
            "hint": error.hint,
        }
        self._print_problem("error", fields, f"error: {about}{error.message} [{error.code}] - {error.hint}")

    @contextmanager
    def screen(self) -> Iterator[Show]:
        """As :meth:`result`, on a terminal each in place of the one before."""
        if self.as_json or not self._out.isatty():
            yield self.result
            return
        from lfk.cli.progress import live_text

        with live_text(self._out) as replace:

            def show(_kind: str, _fields: Mapping[str, Any], text: str) -> None:
                replace("\n".join(printable(line, 10_000) for line in text.split("\n")))

            yield show

    @contextmanager
    def plain(self) -> Iterator[Show]:
        """:meth:`result`, to be used as :meth:`screen` is."""
        yield self.result

    @contextmanager
    def progress(self, label: str) -> Iterator[Bar]:
        """A bar with bytes, files, rate and time left while the block runs; nothing where nobody watches."""
        if not self.terminal:
            yield _NoBar()
            return
        from lfk.cli.progress import rich_bar

        with rich_bar(label, self._err) as bar:
            yield bar

    def _print(self, text: str, end: str = "\n") -> None:
        with writing():
            print(text, end=end, file=self._out, flush=True)

    def _print_problem(self, kind: str, fields: Mapping[str, Any], text: str) -> None:
        line = _json_line({"event": kind, **fields}) if self.as_json else printable(text, 2000)
        try:
            print(line, file=self._err, flush=True)
        except OSError:
            # Nobody can be told of that; the exit code remains.
            drop(self._err)


def _json_line(fields: Mapping[str, Any]) -> str:
    # Half a character from outside, which no stream can write, becomes an escape, too.
    return json_printable(json.dumps(fields, ensure_ascii=False, default=str))


class _NoBar:
    def total(self, *, size: int, count: int) -> None:
        """Nobody watches."""

    def advance(self, *, size: int = 0, count: int = 0) -> None:
        """Nobody watches."""
