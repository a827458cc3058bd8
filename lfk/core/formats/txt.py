"""Plain text, laid out by the approach (the contract, "Results"): lines, paragraphs or speaker turns.

    TRANSCRIPT OF file talk.mp3

    [0:00:09] one line per segment                    simple

    [0:00:03]                                         segmentation: the time, then the paragraph
    a paragraph

    [0:00:04] SPEAKER_01                              diarisation: time and speaker, then the turn
    a turn

Blank lines stand behind the heading and between paragraphs and turns. Without time stamps the bracketed time is left
out, and with it its line where nothing else is on it. An audio without speech says so in one line.
"""

from __future__ import annotations

from lfk.core.formats import Format, Page
from lfk.core.paragraphs import Block, blocks
from lfk.core.printable import printable
from lfk.core.timecode import clock

NO_SPEECH = "(no speech)"


def _render(page: Page) -> bytes:
    one_line = page.approach.layout == "lines"
    parts = [_block(page, block, one_line) for block in blocks(page.transcript, page.approach.layout, page.pause)]
    body = ("\n" if one_line else "\n\n").join(parts) or NO_SPEECH
    return f"TRANSCRIPT OF file {printable(page.title)}\n\n{body}\n".encode()


def _block(page: Page, block: Block, one_line: bool) -> str:
    time = f"[{clock(block.start)}]" if page.timestamps else ""
    head = " ".join(filter(None, (time, None if one_line else block.speaker)))
    return f"{head}{' ' if one_line else chr(10)}{block.text}" if head else block.text


FORMAT = Format("txt", "text/plain; charset=utf-8", _render)
