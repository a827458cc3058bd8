"""The command that is run for a transcript: a program and its arguments with placeholders, never a line for a shell.

``{txt}``, ``{json}`` … stand for the local file of that format, ``{audio} {status} {approach} {model} {language}
{event} {error}`` for what the announcement says. A placeholder is replaced inside its argument and nowhere else, so
whatever a name contains stays part of that one argument. Refused: values that would make an argument an option, and
values that no process can be given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from lfk.core.errors import RejectedReference, UsageError
from lfk.core.messages import Announcement

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_]*)\}")

_FACTS: Mapping[str, Callable[[Announcement], str]] = {
    "audio": lambda announcement: announcement.path_to_audio or "",
    "status": lambda announcement: announcement.status,
    "approach": lambda announcement: (announcement.transcription_approach or "").partition(".")[0],
    "model": lambda announcement: (announcement.transcription_approach or "").partition(".")[2],
    "language": lambda announcement: announcement.language or "",
    "event": lambda announcement: announcement.event_id,
    "error": lambda announcement: announcement.error.code if announcement.error else "",
}


@dataclass(frozen=True, slots=True)
class CommandTemplate:
    """A program and its arguments."""

    words: tuple[str, ...]
    #: Formats whose files its arguments name.
    formats: tuple[str, ...]

    @classmethod
    def parse(cls, words: Sequence[str], formats: Collection[str]) -> CommandTemplate:
        """From what a user wrote; ``formats`` are those that there are.

        Raises:
            UsageError: no program, or a placeholder that there is not.
        """
        used: dict[str, None] = {}
        for word in words:
            for match in _PLACEHOLDER.finditer(word):
                name = match[1]
                if name in formats:
                    used[name] = None
                elif name is not None and name not in _FACTS:
                    raise UsageError(
                        f"LFK_EXEC: there is no placeholder {{{name}}}",
                        hint=f"use {{{'}, {'.join([*formats, *_FACTS])}}}; {{{{ and }}}} stand for braces themselves",
                    )
        if not words or not words[0] or _PLACEHOLDER.search(words[0]):
            raise UsageError("LFK_EXEC: the first word has to be a program, and no placeholder")
        return cls(tuple(words), tuple(used))

    def fill(self, announcement: Announcement, files: Mapping[str, str]) -> list[str]:
        """The command for one announcement; ``files`` are absolute paths by format.

        Raises:
            RejectedReference: something in the announcement is not fit to be an argument.
            KeyError: a file that the command needs is not among ``files``.
        """
        facts = {name: get(announcement) for name, get in _FACTS.items()}
        values = {**facts, **{name: files[name] for name in self.formats}}
        return [_filled(word, values) for word in self.words]


def _filled(word: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        return match[0][0] if match[1] is None else values[match[1]]

    filled = _PLACEHOLDER.sub(value, word)
    if filled.startswith("-") and not word.startswith("-"):
        raise RejectedReference(
            f"{filled[:80]!r} would be taken for an option by the command", hint="the command was not run; see --exec"
        )
    if "\0" in filled or any("\ud800" <= char <= "\udfff" for char in filled):
        raise RejectedReference(f"{filled[:80]!r} cannot be an argument of a command", hint="the command was not run")
    return filled
