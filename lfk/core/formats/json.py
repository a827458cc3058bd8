"""The manifest: WhisperX's own JSON (``segments``, ``word_segments``, ``language``) plus one ``lfk`` object.

Strict JSON (RFC 8259): a number that is none (NaN scores come from aligners) is left out, as WhisperX leaves out the
times it does not have. Equal pages give equal bytes: the order of keys is fixed, and sorted inside ``lfk``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from lfk.core.formats import MANIFEST, Format, Page
from lfk.core.transcript import segment_to_dict, turn_to_dict, word_to_dict


def _render(page: Page) -> bytes:
    transcript = page.transcript
    lfk = {"turns": [turn_to_dict(turn) for turn in transcript.turns], **page.manifest}
    data = {
        "language": transcript.language,
        # Ahead of the long lists, so that a reader finds it in the first bytes of a long transcript.
        "lfk": _strict(lfk, sort=True),
        "segments": [_strict(segment_to_dict(segment)) for segment in transcript.segments],
        "word_segments": [_strict(word_to_dict(word)) for word in transcript.words()],
    }
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # What UTF-8 cannot hold (a file name that was no UTF-8) becomes the escape that JSON has for it.
    return f"{text}\n".encode(errors="backslashreplace")


def _strict(value: Any, sort: bool = False) -> Any:
    """``value`` without the entries that JSON has no number for."""
    if isinstance(value, Mapping):
        names = sorted(value) if sort else value
        return {name: _strict(value[name], sort) for name in names if not _not_a_number(value[name])}
    if isinstance(value, (list, tuple)):
        return [_strict(item, sort) for item in value if not _not_a_number(item)]
    return value


def _not_a_number(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


FORMAT = Format(MANIFEST, "application/json", _render)
