"""What transcribing has taken: counted from announcements, one line for each approach, model, engine and device.

Pure sums. Work that several files share (equal audio) is counted once, so that speed and cost are those of the work
that was really done; hours of audio are counted for every file.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lfk.core.messages import Announcement

_HOUR = 3600.0
#: Stages that an engine spends its time on; moving files to and from the store costs no engine.
_STAGES = ("decode", "transcribe", "align", "diarise")

COLUMNS = (
    "approach",
    "model",
    "engine",
    "device",
    "files",
    "audio_hours",
    "engine_hours",
    "rtfx",
    "model_bytes",
    "cost",
    "cost_per_audio_hour",
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the report; ``model`` is the exact one that did the work. The last line is of everything."""

    approach: str
    model: str
    engine: str
    device: str
    files: int = 0
    #: Seconds of all files, and of each work once.
    audio: float = 0.0
    worked_audio: float = 0.0
    #: Seconds that engines took.
    wall: float = 0.0
    #: Bytes of the weights that recognise speech; None where they are not known.
    model_bytes: int | None = None

    @property
    def rtfx(self) -> float | None:
        """Audio time ÷ engine time; None where no time is recorded."""
        return self.worked_audio / self.wall if self.wall > 0 else None

    def cells(self, price: float) -> Mapping[str, str | int | float | None]:
        """Its values by column; ``price`` is of an engine's hour, 0 if it is not known."""
        cost = self.wall / _HOUR * price if price else None
        per_hour = cost / (self.worked_audio / _HOUR) if cost is not None and self.worked_audio else None
        return {
            "approach": self.approach,
            "model": self.model,
            "engine": self.engine,
            "device": self.device,
            "files": self.files,
            "audio_hours": round(self.audio / _HOUR, 4),
            "engine_hours": round(self.wall / _HOUR, 4),
            "rtfx": None if self.rtfx is None else round(self.rtfx, 2),
            "model_bytes": self.model_bytes,
            "cost": None if cost is None else round(cost, 4),
            "cost_per_audio_hour": None if per_hour is None else round(per_hour, 4),
        }


@dataclass(slots=True)
class Tally:
    """Takes announcements in and gives lines. Remembers 16 bytes of each work."""

    size_of: Callable[[str], int | None]
    _lines: dict[tuple[str, str, str, str], Line] = field(default_factory=dict)
    _works: set[bytes] = field(default_factory=set)

    def take(self, announcement: Announcement) -> None:
        """Count one transcript in."""
        told = announcement.provenance
        approach, _dot, asked = (announcement.transcription_approach or "").partition(".")
        model = str(told.get("model") or asked)
        key = (approach, model, str(told.get("engine") or ""), str(told.get("device") or ""))
        line = self._lines.get(key) or Line(*key, model_bytes=self.size_of(model))
        seconds = announcement.duration or 0.0
        new = self._is_new(announcement)
        wall = sum(max(0.0, announcement.timings.get(stage, 0.0)) for stage in _STAGES)
        self._lines[key] = replace(
            line,
            files=line.files + 1,
            audio=line.audio + seconds,
            worked_audio=line.worked_audio + (seconds if new else 0.0),
            wall=line.wall + (wall if new else 0.0),
        )

    def lines(self) -> Sequence[Line]:
        """All lines in their order, and one of everything at the end."""
        lines = [self._lines[key] for key in sorted(self._lines)]
        total = Line(
            "total",
            "",
            "",
            "",
            files=sum(line.files for line in lines),
            audio=sum(line.audio for line in lines),
            worked_audio=sum(line.worked_audio for line in lines),
            wall=sum(line.wall for line in lines),
        )
        return [*lines, total]

    def _is_new(self, announcement: Announcement) -> bool:
        work = f"{announcement.job_id}\0{announcement.event_id if announcement.job_id is None else ''}"
        digest = hashlib.blake2b(work.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if digest in self._works:
            return False
        self._works.add(digest)
        return True


def as_markdown(lines: Iterable[Line], price: float, currency: str) -> str:
    """The report as a table."""
    unit = f" ({currency})" if price and currency else ""
    heads = {
        "audio_hours": "audio h",
        "engine_hours": "engine h",
        "rtfx": "RTFx",
        "model_bytes": "model MB",
        "cost": f"cost{unit}",
        "cost_per_audio_hour": f"cost per audio h{unit}",
    }
    shown = [name for name in COLUMNS if price or not name.startswith("cost")]
    numbers = COLUMNS.index("files")
    rows = [
        _row(heads.get(name, name) for name in shown),
        _row("---:" if COLUMNS.index(name) >= numbers else "---" for name in shown),
    ]
    for line in lines:
        cells = line.cells(price)
        rows.append(_row(_shown(name, cells[name]) for name in shown))
    return "\n".join(rows)


def as_csv(lines: Iterable[Line], price: float) -> str:
    """The report as comma-separated values, with all columns."""
    rows: list[str] = []
    writer = csv.writer(_Lines(rows), lineterminator="")
    writer.writerow(COLUMNS)
    for line in lines:
        writer.writerow(["" if value is None else _harmless(value) for value in line.cells(price).values()])
    return "\n".join(rows)


class _Lines:
    """Where a csv writer writes."""

    def __init__(self, rows: list[str]) -> None:
        self._rows = rows

    def write(self, text: str) -> None:
        self._rows.append(text)


def _harmless(value: str | int | float) -> str | int | float:
    """A text that a spreadsheet would take for a formula is marked as text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@") else value


def _shown(name: str, value: str | int | float | None) -> str:
    if value is None:
        return "-"
    if name == "model_bytes":
        return f"{float(value) / 1e6:.0f}"
    return f"{value:.4g}" if isinstance(value, float) and value < 1000 else f"{value}"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
