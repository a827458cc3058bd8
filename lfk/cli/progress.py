"""Progress bars and live texts on a terminal, by rich; imported only where somebody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console as RichConsole
from rich.live import Live
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text


class _RichBar:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self._files = 0

    def total(self, *, size: int, count: int) -> None:
        self._progress.update(self._task, total=size, files_total=count)

    def advance(self, *, size: int = 0, count: int = 0) -> None:
        self._files += count
        self._progress.update(self._task, advance=size, files=self._files)


@contextmanager
def rich_bar(label: str, stream: TextIO) -> Iterator[_RichBar]:
    """A transient bar on ``stream``: bytes, files, rate, time left."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[files]}/{task.fields[files_total]} files"),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=RichConsole(file=stream), transient=True) as progress:
        yield _RichBar(progress, progress.add_task(label, total=None, files=0, files_total=0))


@contextmanager
def live_text(stream: TextIO) -> Iterator[Callable[[str], None]]:
    """Shows a text on ``stream`` in place of the one before, cut to the screen; the last one stays."""
    with Live(console=RichConsole(file=stream), auto_refresh=False, vertical_overflow="crop") as live:
        yield lambda text: live.update(Text(text, overflow="ellipsis", no_wrap=True), refresh=True)
