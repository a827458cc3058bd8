"""The pages for users as data: the commands they show, and what they say comes out.

A command is a line behind ``$`` in a block, or a line of a ``sh`` block; the lines behind it are its output, in which
``…`` stands for anything. A name before the ``$`` is that of the machine where it is typed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: Pages that a user reads; what the code itself writes is checked against the code elsewhere.
PAGES = ("README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")))

_FENCE = re.compile(r"^```(\w*)\s*$")
_INLINE = re.compile(r"`([^`\n]+)`")
_PROMPT = re.compile(r"^(?P<machine>[a-z]*)\$ ")
#: Lines that a command reads follow it, up to this word.
_READS = re.compile(r"<<'(\w+)'$")


@dataclass(frozen=True)
class Block:
    """A fenced block: the language behind its fence, its first line's number, its lines."""

    language: str
    at: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Shown:
    """A command on a page, with the lines that are shown below it."""

    page: str
    at: int
    command: str
    output: tuple[str, ...] = field(default=())
    #: The name in its prompt; most pages need one machine, and give it none.
    machine: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.at}: {self.command}"


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page."""
    opened: tuple[str, int] | None = None
    lines: list[str] = []
    for number, line in enumerate(text_of(page).splitlines(), start=1):
        fence = _FENCE.match(line)
        if opened is None and fence:
            opened, lines = (fence.group(1), number + 1), []
        elif opened is not None and line.startswith("```"):
            yield Block(opened[0], opened[1], tuple(lines))
            opened = None
        elif opened is not None:
            lines.append(line)
    assert opened is None, f"{page}: a block is never closed"


def commands(page: str) -> list[Shown]:
    """Every command that stands in a block of its page."""
    return [shown for block in blocks(page) for shown in _commands(page, block)]


def _commands(page: str, block: Block) -> Iterator[Shown]:
    marked = any(_PROMPT.match(line) for line in block.lines)
    if not marked and block.language != "sh":
        return
    current: Shown | None = None
    # What ends the command's own lines: a line without a backslash, or the word that it reads up to.
    ends: str | None = None
    continued = False
    for number, line in enumerate(block.lines, start=block.at):
        prompt = _PROMPT.match(line)
        if current is not None and (continued or ends is not None):
            current = replace(current, command=f"{current.command}\n{line}")
            ends = None if line == ends else ends
        elif prompt or (not marked and line.strip() and not line.startswith("#")):
            if current is not None:
                yield current
            machine = prompt["machine"] if prompt else ""
            current = Shown(page, number, line[prompt.end() :] if prompt else line, machine=machine)
            reads = _READS.search(line)
            ends = reads[1] if reads else None
        elif current is not None and line.strip():
            current = replace(current, output=(*current.output, line))
        continued = current is not None and not current.output and current.command.endswith("\\")
    if current is not None:
        yield current


def inline_commands(page: str) -> list[Shown]:
    """Every ``lfk …`` in the running text and in tables."""
    found = []
    inside = False
    for number, line in enumerate(text_of(page).splitlines(), start=1):
        inside ^= line.startswith("```")
        if not inside and not line.startswith("```"):
            spans = (span.replace("\\|", "|") for span in _INLINE.findall(line))
            found += [Shown(page, number, span) for span in spans if span.startswith("lfk ")]
    return found
