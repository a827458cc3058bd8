"""Manifests from a store that others write into: one that readers could stumble over is none."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from lfk.core.manifest import AudioVersion, FileEntry, Manifest, Rendering, StoredResult, read_manifest

MANIFEST = Manifest(
    event_id="e",
    job_id="j",
    path_to_audio="s3://bucket/audio/simple/tiny/x.wav",
    transcription_approach="simple.tiny",
    audio=AudioVersion("etag", 5, "sha", 1.5),
    rendering=Rendering(("txt",), True, 0.5),
    language="en",
    duration=1.0,
    segments=1,
    words=2,
    speakers=0,
    no_speech=False,
    warnings=(),
    provenance={"model": "tiny"},
    timings={"transcribe": 0.5},
    reused_stages=(),
    turns=(),
    files={"txt": FileEntry("s3://bucket/transcripts/simple/tiny/x.wav.txt", 3, "sha")},
)
WRONG = (None, "x", -1.5, float("inf"), float("nan"), [], [1], {}, {"a": None})


def _body(change: Callable[[dict[str, Any]], None]) -> bytes:
    data = MANIFEST.to_dict()
    change(data)
    return json.dumps({"lfk": data}).encode()


def test_a_manifest_comes_back() -> None:
    assert read_manifest(_body(lambda _data: None)) == MANIFEST


@pytest.mark.parametrize("read", [read_manifest, StoredResult.from_bytes])
@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"lfk":' * 50_000, b"\xff", b"[]", b"null", b'{"lfk": []}'])
def test_no_manifest_at_all(read: Callable[[bytes], object], body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(body)


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        *((name, str) for name in ("event_id", "job_id", "path_to_audio", "transcription_approach")),
        *((name, int) for name in ("segments", "words", "speakers")),
        *((name, list) for name in ("warnings", "reused_stages", "turns")),
        ("language", (str, type(None))),
        ("duration", (float, type(None))),
        ("provenance", dict),
    ],
)
def test_a_field_of_another_kind_makes_it_none(name: str, fits: type | tuple[type, ...]) -> None:
    for wrong in WRONG:
        if isinstance(wrong, fits) and not (isinstance(wrong, float) and not math.isfinite(wrong)):
            continue
        with pytest.raises(ValueError, match="not a manifest"):
            read_manifest(_body(lambda data, wrong=wrong: data.update({name: wrong})))  # type: ignore[misc]


@pytest.mark.parametrize("wrong", [None, "x", float("inf"), []])
@pytest.mark.parametrize("inside", ["size", "modified"])
def test_an_audio_version_of_another_kind_makes_it_none(inside: str, wrong: object) -> None:
    with pytest.raises(ValueError, match="not a manifest"):
        read_manifest(_body(lambda data: data["audio"].update({inside: wrong})))


@pytest.mark.parametrize("wrong", [None, "x", float("inf"), []])
def test_times_and_sizes_are_numbers(wrong: object) -> None:
    for change in (
        lambda data: data["timings"].update({"transcribe": wrong}),
        lambda data: data["files"]["txt"].update({"size": wrong}),
    ):
        with pytest.raises(ValueError, match=r"."):
            read_manifest(_body(change))
