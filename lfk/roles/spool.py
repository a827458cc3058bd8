"""Sorts a stream of any length in flat memory: sorted runs go to temporary files, which are merged as they are read."""

from __future__ import annotations

import heapq
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import IO, Any

from lfk.core.errors import ScratchFull

#: Rows of one run: some 20 MB of memory. Fewer rows than this never touch the disk.
_RUN_ROWS = 50_000

Row = tuple[Any, ...]


def ordered(rows: Iterable[Row], key: Callable[[Row], Any], run_rows: int = _RUN_ROWS) -> Iterator[Row]:
    """``rows`` (of JSON values) in ascending order of ``key``; equal ones keep their order.

    Raises:
        ScratchFull: there is no room for temporary files (about 200 bytes a row).
    """
    with ExitStack() as stack:
        runs: list[IO[str]] = []
        run: list[Row] = []
        for row in rows:
            run.append(row)
            if len(run) >= run_rows:
                run.sort(key=key)
                runs.append(stack.enter_context(_written(run)))
                run = []
        run.sort(key=key)
        yield from heapq.merge(*(map(_row, file) for file in runs), run, key=key)


def _written(run: list[Row]) -> IO[str]:
    try:
        file = tempfile.TemporaryFile("w+", encoding="utf-8", prefix="lfk-sort-")  # noqa: SIM115 - the caller closes it
        # ASCII alone: names may hold what no encoding of a file takes.
        file.writelines(f"{json.dumps(row)}\n" for row in run)
        file.seek(0)
    except OSError as error:
        raise ScratchFull(
            f"a long listing cannot be sorted on disk: {error.strerror}", hint="make room in TMPDIR"
        ) from error
    return file


def _row(line: str) -> Row:
    return tuple(json.loads(line))
