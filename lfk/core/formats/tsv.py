"""Tab-separated values as Whisper writes them: ``start``, ``end`` in whole milliseconds and ``text``, a row a segment.

As in Whisper, blanks of any kind inside the text are written as one space, so that a row is a line. Where speakers
are known a fourth column, ``speaker``, follows; readers of Whisper's three columns are not disturbed by it.
"""

from __future__ import annotations

from collections.abc import Iterator

from lfk.core.formats import Format, Page
from lfk.core.paragraphs import lines
from lfk.core.timecode import milliseconds


def _render(page: Page) -> bytes:
    return "".join("\t".join(row) + "\n" for row in _rows(page)).encode()


def _rows(page: Page) -> Iterator[tuple[str, ...]]:
    rows = list(lines(page.transcript))
    with_speaker = any(word.speaker for row in rows for word in row.words)
    yield ("start", "end", "text", "speaker") if with_speaker else ("start", "end", "text")
    for row in rows:
        cells = (str(milliseconds(row.start)), str(milliseconds(row.end)), row.text)
        yield (*cells, row.speaker or "") if with_speaker else cells


FORMAT = Format("tsv", "text/tab-separated-values; charset=utf-8", _render)
