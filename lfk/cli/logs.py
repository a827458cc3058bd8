"""Log lines: text for people, JSON for machines. Hostile text is made harmless; secrets are masked.

A line that is written while a thread is at a job bears that job's identities, whoever writes it.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from lfk.core.printable import printable, without_controls
from lfk.roles.at_work import job_at_work

#: Fields that log calls may give through ``extra`` and that both forms show.
FIELDS = ("job_id", "event_id", "audio", "stage")

#: Libraries whose chatter below warnings is of no use to anybody here.
_CHATTY = ("boto3", "botocore", "urllib3", "s3transfer", "watchdog", "opentelemetry", "asyncio")
#: Characters of a message and of a traceback; what is longer is not worth its room.
_MESSAGE = 4000
_TRACEBACK = 20_000
_MASK = "****"
#: What is shorter stands in too many words that are no secret.
_LEAST_SECRET = 6


def set_up(level: str, form: str, secrets: Iterable[str] = ()) -> None:
    """Send everything from ``level`` on to standard error; ``secrets`` are masked wherever a library writes one."""
    hidden = tuple(sorted((one for one in secrets if len(one) >= _LEAST_SECRET), key=len, reverse=True))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json(hidden) if form == "json" else _Text(hidden))
    handler.addFilter(_note_job)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _note_job(record: logging.LogRecord) -> bool:
    job = job_at_work()
    if job is not None:
        for name, value in (("job_id", job.job_id), ("event_id", job.event_id)):
            if not hasattr(record, name):
                setattr(record, name, value)
    return True


class _Masking(logging.Formatter):
    def __init__(self, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self._secrets = secrets

    def message(self, record: logging.LogRecord) -> str:
        return self._masked(record.getMessage(), _MESSAGE)

    def traceback(self, record: logging.LogRecord) -> str:
        return self._masked(self.formatException(record.exc_info), _TRACEBACK) if record.exc_info else ""

    def _masked(self, text: str, limit: int) -> str:
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        return text if len(text) <= limit else f"{text[: limit - 1]}…"


class _Text(_Masking):
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, timezone.utc).strftime("%H:%M:%S")
        about = " ".join(f"{name}={getattr(record, name)}" for name in FIELDS if getattr(record, name, None))
        line = printable(f"{time} {record.levelname.lower():7} {self.message(record)} {about}".rstrip(), _MESSAGE)
        return f"{line}\n{without_controls(self.traceback(record))}" if record.exc_info else line


class _Json(_Masking):
    """One object a line, in ASCII: whatever is in a name, no terminal, pipe or parser stumbles over it."""

    def format(self, record: logging.LogRecord) -> str:
        data: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.message(record),
            **{name: str(getattr(record, name)) for name in FIELDS if getattr(record, name, None)},
        }
        if record.exc_info:
            data["exception"] = self.traceback(record)
        return json.dumps(data)
