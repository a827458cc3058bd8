"""librdkafka's own log lines, made bearable: a broker that is away is told of now and then, not ten times a second."""

from __future__ import annotations

import logging
import re
import threading
import time

#: How long the same line, numbers aside, is kept back.
_AGAIN_SECONDS = 30.0
#: Distinct lines remembered; librdkafka has fewer kinds of them.
_REMEMBERED = 200
_NUMBERS = re.compile(r"\d+")
#: One configuration serves consumers and producers, and each warns of the settings of the other; and a broker that was
#: just started has a producer ask it twice for its identity, which what is sent says if it comes to nothing.
_NEVER = ("CONFWARN", "GETPID")


class _Seldom(logging.Filter):
    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._told: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        if text.startswith(_NEVER):
            return False
        kind, now = _NUMBERS.sub("", text), time.monotonic()
        with self._lock:
            if now - self._told.get(kind, -_AGAIN_SECONDS) < _AGAIN_SECONDS:
                return False
            if len(self._told) >= _REMEMBERED:
                self._told.clear()
            self._told[kind] = now
        return True


log = logging.getLogger(__name__)
log.addFilter(_Seldom())
