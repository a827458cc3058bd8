"""Log lines: text for people, JSON for machines. Hostile text is made printable; secrets are never given to a log."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone

from lfk.core.printable import printable

#: Fields that log calls may give through ``extra`` and that both forms show.
FIELDS = ("job_id", "event_id", "audio", "stage")

#: Libraries whose chatter below warnings is of no use to anybody here.
_CHATTY = ("boto3", "botocore", "urllib3", "s3transfer", "watchdog")


def set_up(level: str, form: str) -> None:
    """Send everything from ``level`` on to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, timezone.utc).strftime("%H:%M:%S")
        about = " ".join(f"{name}={getattr(record, name)}" for name in FIELDS if getattr(record, name, None))
        line = printable(f"{time} {record.levelname.lower():7} {record.getMessage()} {about}".rstrip(), 4000)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        data = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: getattr(record, name) for name in FIELDS if getattr(record, name, None)},
        }
        if record.exc_info:
            data["exception"] = self.formatException(record.exc_info)
        return json.dumps(data, ensure_ascii=False, default=str)
