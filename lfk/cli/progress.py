"""Progress bars on a terminal, by rich; imported only where somebody watches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console as RichConsole
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


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
