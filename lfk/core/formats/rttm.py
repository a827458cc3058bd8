"""Rich Transcription Time Marked: who talks when, one SPEAKER line a turn, for scoring and other diarisation tools.

    SPEAKER <file> 1 <onset> <duration> <NA> <NA> <speaker> <NA> <NA>

After appendix A of the NIST RT-09 evaluation plan: fields parted by single blanks, seconds with three decimals, no
blanks inside a field. Empty where no speakers are known; turns shorter than a millisecond are left out.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from lfk.core.formats import Format, Page
from lfk.core.paragraphs import speaker_turns
from lfk.core.printable import printable
from lfk.core.timecode import milliseconds


def _render(page: Page) -> bytes:
    name = _field(PurePosixPath(page.title).stem)
    lines: list[str] = []
    for turn in speaker_turns(page.transcript):
        onset = milliseconds(turn.start)
        duration = milliseconds(turn.end) - onset
        if duration:
            lines.append(
                f"SPEAKER {name} 1 {_seconds(onset)} {_seconds(duration)} <NA> <NA> {_field(turn.speaker)} <NA> <NA>\n"
            )
    return "".join(lines).encode()


def _seconds(total: int) -> str:
    return f"{total // 1000}.{total % 1000:03d}"


def _field(text: str) -> str:
    return "_".join(printable(text).split()) or "unnamed"


FORMAT = Format("rttm", "text/plain; charset=utf-8", _render)
