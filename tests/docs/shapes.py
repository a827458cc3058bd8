"""Compares what a page shows with what a command prints: the words must be the same, what differs by run may differ.

Numbers, times, ids, hosts, buckets and folders differ by run; ``…`` on a page stands for anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Tried in this order; what they stand for on a page and in an output is made equal.
_VARYING = (
    # Which stages there were depends on the engine.
    (re.compile(r"\(queued [^)]*\)"), "(TIMES)"),
    (re.compile(r"\b(s3|file)://\S*?/(?=(audio|transcripts|\.lfk)/)"), "STORE/"),
    (re.compile(r"\b(s3|file)://[^\s/]*(/lfk)?/(?=\s|$)"), "STORE/"),
    (re.compile(r"\bhttps?://[^\s/\"]+(/[^\s/]+/lfk(?=/))?"), "HTTP"),
    (re.compile(r"\S+(?= answers: |, store )"), "HOST"),
    (re.compile(r"\bcluster \S+"), "cluster ID"),
    (re.compile(r"\b\d{8}-\d{6}-[0-9a-f]{8}\b"), "BATCH"),
    (re.compile(r"\b[0-9a-f]{8,64}\b"), "ID"),
    (re.compile(r"\bt?[0-9a-f]{12}\.(?=hub|audio|bulk|chunks|transcripts|retry|dlq)"), "lfk."),
    (re.compile(r"\blfk\.audio\.(?=bulk|retry|dlq)"), "lfk."),
    (re.compile(r"~?\d[\d:.,]*(?= ?)"), "N"),
    (re.compile(r"\b(bytes|kB|MB|GB|KiB|MiB|GiB)\b"), "BYTES"),
    (re.compile(r"\s+"), " "),
)


def shape(line: str) -> str:
    """The line without what differs by run."""
    for pattern, stands_for in _VARYING:
        line = pattern.sub(stands_for, line)
    return line.strip()


def missing(shown: Iterable[str], printed: str) -> list[str]:
    """Lines of a page that no line of the output is like."""
    shapes = [shape(line) for line in printed.splitlines()]
    return [line for line in shown if not _is_like(shape(line), shapes)]


def _is_like(shown: str, printed: list[str]) -> bool:
    pattern = re.compile(".*".join(re.escape(part) for part in shown.split("…")))
    return any(pattern.fullmatch(line) for line in printed)
