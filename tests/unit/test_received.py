"""Announcements are hostile: whatever one says, only files inside the allowed places may be opened."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lfk.brokers.codec import JsonCodec
from lfk.cli.console import Console
from lfk.cli.transcripts import _Screen
from lfk.core.addressing import Roots
from lfk.core.approaches import APPROACHES, Catalogue
from lfk.core.errors import ForbiddenLocation, InvalidLocation, MalformedMessage, RejectedReference
from lfk.core.location import parse_location
from lfk.core.messages import Announcement, Failure
from lfk.core.received import select, transcript_files

ROOTS = Roots(
    audio=parse_location("s3://bucket/audio/"),
    transcripts=parse_location("s3://bucket/"),
    records=parse_location("s3://bucket/.lfk/"),
    catalogue=Catalogue(),
    default_approach=APPROACHES["simple"],
    default_model="tiny",
    allowed=(parse_location("s3://archive/2020/"),),
)

#: What a location may be made of, by somebody who wants it to lead elsewhere.
_PIECES = st.sampled_from(
    [
        *("s3://bucket/", "s3://archive/2020/", "s3://archive/2020", "s3://other/", "S3://bucket/", "file:///etc/"),
        *("simple/tiny/", "x.wav.txt", ".lfk/results/", "..", ".", "/", "//", "\\", "..\\", "%2e%2e/", "~", "C:"),
        *("\0", "\n", "\x1b[2J", "\u202e", "\ud800", "é", "ß" * 130, "a" * 300),
    ]
)
_LOCATIONS = st.lists(_PIECES, max_size=6).map("".join) | st.text(max_size=30)
_NUMBERS = st.none() | st.integers(0, 10**400) | st.floats(0) | st.sampled_from([float("inf"), 1e308])
_WHOLE = st.none() | st.integers(0, 10**400)

_ANNOUNCEMENTS = st.fixed_dictionaries(
    {
        "event_id": st.text(min_size=1, max_size=64),
        "job_id": st.none() | st.text(max_size=64),
        "status": st.just("done"),
        "path_to_audio": st.none() | _LOCATIONS,
        "transcription_approach": st.none() | st.text(max_size=20),
        "path_to_transcript": st.none() | _LOCATIONS,
        "files": st.dictionaries(st.text(max_size=8) | st.sampled_from(["txt", "json"]), _LOCATIONS, max_size=4),
        "timestamp": st.integers(0, 10**400),
    },
    optional={
        "duration": _NUMBERS,
        "segments": _WHOLE,
        "timings": st.dictionaries(st.sampled_from(["fetch", "write", "\x1b"]), st.floats(allow_nan=False), max_size=3),
        "partition": st.none() | st.integers(),
        "no_speech": st.none() | st.booleans(),
    },
)


def announcement(**fields: Any) -> Announcement:
    return replace(Announcement(event_id="e", status="done", timestamp=1), **fields)


@given(_ANNOUNCEMENTS)
@example({"event_id": "e", "status": "done", "timestamp": 1, "duration": float("inf")})
@example({"event_id": "e", "status": "done", "timestamp": 1, "files": {"txt": "s3://bucket/simple/../.lfk/broker"}})
def test_whatever_it_says_only_allowed_files_are_opened(data: Mapping[str, Any]) -> None:
    given_one = Announcement.from_dict(data)
    try:
        files = transcript_files(given_one, ROOTS)
    except RejectedReference as error:
        assert error.hint
        return
    for file in files:
        assert ROOTS.transcripts.contains(file.location) or ROOTS.allowed[0].contains(file.location)
        assert not ROOTS.records.contains(file.location)
        path = PurePosixPath("/out", file.name)
        assert path.parts[:2] == ("/", "out")
        assert str(path) == f"/out/{file.name}"
        assert not {"..", "."} & set(path.parts)
        assert all(len(part.encode()) <= 255 for part in path.parts)
    assert {str(file.location) for file in files} >= set(given_one.files.values())
    _shown_on_one_line(given_one)


def _shown_on_one_line(accepted: Announcement) -> None:
    out = io.StringIO()
    _Screen(Console(out=out), texts=False).announced(accepted)
    line = out.getvalue()
    assert line.endswith("\n")
    assert not any(ord(char) < 32 for char in line[:-1])


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("s3://other/simple/tiny/x.txt", ForbiddenLocation),
        ("file:///etc/passwd", ForbiddenLocation),
        ("s3://bucket/.lfk/results/x.json", ForbiddenLocation),
        ("s3://archive/2019/x.txt", ForbiddenLocation),
        ("s3://archive/20200/x.txt", ForbiddenLocation),
        ("s3://bucket/simple/../../x.txt", InvalidLocation),
        ("s3://bucket/simple//x.txt", InvalidLocation),
        ("s3://bucket/simple/", InvalidLocation),
        ("s3://bucket/", InvalidLocation),
        ("s3://bucket", InvalidLocation),
        ("s3://archive/2020/", InvalidLocation),
        ("s3://bucket/x\0.txt", InvalidLocation),
        ("s3://bucket/" + "x" * 256, InvalidLocation),
        ("http://169.254.169.254/latest/meta-data/", InvalidLocation),
        ("simple/tiny/x.txt", InvalidLocation),
        ("", InvalidLocation),
    ],
)
def test_one_bad_location_refuses_the_whole(location: str, error: type[RejectedReference]) -> None:
    good = "s3://bucket/simple/tiny/x.wav.txt"
    with pytest.raises(error):
        transcript_files(announcement(files={"txt": good, "html": location}), ROOTS)
    with pytest.raises(error):
        transcript_files(announcement(files={"txt": good}, path_to_transcript=location), ROOTS)


def test_files_are_named_by_their_key_and_the_manifest_comes_last() -> None:
    base = "s3://bucket/simple/tiny/a b%2e+#?/é.wav"
    one = announcement(
        files={"json": f"{base}.json", "txt": f"{base}.txt", "srt": "s3://archive/2020/x.srt"},
        path_to_transcript=f"{base}.json",
    )
    files = transcript_files(one, ROOTS)
    assert [(file.form, file.name) for file in files] == [
        ("txt", "simple/tiny/a b%2e+#?/é.wav.txt"),
        # The transcripts root is looked at first; here it holds the whole bucket, but not the archive.
        ("srt", "x.srt"),
        ("json", "simple/tiny/a b%2e+#?/é.wav.json"),
    ]
    assert select(files, ()) == files
    assert [file.form for file in select(files, ("json", "rttm"))] == ["json"]


def test_the_manifest_is_found_by_its_own_field() -> None:
    files = transcript_files(announcement(path_to_transcript="s3://bucket/x.json"), ROOTS)
    assert [(file.form, file.name) for file in files] == [("json", "x.json")]


@pytest.mark.parametrize("number", [math.inf, 1e300, 10**400], ids=["infinite", "huge", "whole"])
@pytest.mark.parametrize("field", ["timestamp", "duration", "segments", "words", "speakers", "offset"])
def test_numbers_that_no_recording_has(field: str, number: float) -> None:
    with pytest.raises(MalformedMessage):
        transcript_files(announcement(**{field: number}), ROOTS)
    with pytest.raises(MalformedMessage):
        transcript_files(announcement(timings={"fetch": number}), ROOTS)


def test_infinity_reaches_a_reader_as_a_number_that_is_refused() -> None:
    """JSON has no infinity, but ``1e999`` reads as one."""
    value = json.dumps(announcement(duration=1.0).to_dict()).replace('"duration": 1.0', '"duration": 1e999')
    decoded = JsonCodec().decode_announcement(value.encode())
    assert decoded.duration == math.inf
    with pytest.raises(MalformedMessage):
        transcript_files(decoded, ROOTS)


def test_a_failed_one_has_no_files_and_is_shown_with_its_code() -> None:
    failed = announcement(
        status="failed",
        path_to_audio="s3://bucket/audio/x.wav",
        error=Failure("audio_empty", "no\nbytes", "fetch", 1, False),
    )
    assert transcript_files(failed, ROOTS) == ()
    out = io.StringIO()
    _Screen(Console(out=out), texts=False).announced(failed)
    assert "audio_empty" in out.getvalue()
    assert out.getvalue().count("\n") == 1
