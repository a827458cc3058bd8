"""Who is who: the identity of a reference (event) and of the work it asks for (job)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def event_id(topic: str, partition: int, offset: int, timestamp: int, key: bytes | None) -> str:
    """The identity of a reference: where it first arrived. The same however often it is delivered."""
    return _digest([topic, partition, offset, timestamp, (key or b"").hex()])[:32]


def job_id(audio_sha256: str, approach: str, model: str, revision: str, options: Mapping[str, Any]) -> str:
    """The identity of the work: audio bytes, approach, exact model and revision, recognition options."""
    return _digest([audio_sha256, approach, model, revision, dict(options)])


def recognition_id(audio_sha256: str, model: str, revision: str, options: Mapping[str, Any]) -> str:
    """The identity of a recognition alone, which several approaches of one audio share."""
    return _digest(["recognition", audio_sha256, model, revision, dict(options)])


def upload_mark(location: str) -> str:
    """What marks an object as uploaded to this very location by a role that sends the reference itself."""
    return _digest(["upload", location])[:16]


def _digest(parts: list[Any]) -> str:
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()
