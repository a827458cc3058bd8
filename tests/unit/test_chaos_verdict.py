"""The verdict over a chaos run finds what is broken: a judge that finds nothing would pass everything."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import pytest

from lfk.core.manifest import AudioVersion, FileEntry, Manifest, Rendering
from tests.chaos.results import PAGE, page
from tests.chaos.rows import ROWS
from tests.chaos.verdict import Evidence, Reference, judge

AUDIO, OTHER = "s3://b/audio/simple/tiny/x.wav", "s3://b/audio/simple/tiny/y.wav"
WHERE = "s3://b/transcripts/simple/tiny/x.wav"
TEXT = b"TRANSCRIPT OF file x.wav\n"


def manifest() -> bytes:
    made = Manifest(
        event_id="e1",
        job_id="j1",
        path_to_audio=AUDIO,
        transcription_approach="simple.tiny",
        audio=AudioVersion("etag", 3, "ab" * 32, 0.0, None),
        rendering=Rendering(("txt", "json"), True, 0.5),
        language="en",
        duration=1.0,
        segments=1,
        words=1,
        speakers=0,
        no_speech=False,
        warnings=(),
        provenance={},
        timings={},
        reused_stages=(),
        turns=(),
        files={"txt": FileEntry(f"{WHERE}.txt", len(TEXT), hashlib.sha256(TEXT).hexdigest())},
    )
    return json.dumps({"segments": [], "lfk": made.to_dict()}).encode()


def done(event: str = "e1") -> dict[str, Any]:
    return {
        "event_id": event,
        "status": "done",
        "path_to_audio": AUDIO,
        "path_to_transcript": f"{WHERE}.json",
        "files": {"txt": f"{WHERE}.txt", "json": f"{WHERE}.json"},
    }


def failed(audio: str, event: str, attempts: int = 3) -> dict[str, Any]:
    return {"event_id": event, "status": "failed", "path_to_audio": audio, "error": {"attempts": attempts}}


WELL = Evidence(
    references=[Reference("e1", AUDIO), Reference("e2", OTHER)],
    announcements=[done(), failed(OTHER, "e2")],
    dead_letters=[OTHER],
    settled={"e1", "e2"},
    objects={f"{WHERE}.json": manifest(), f"{WHERE}.txt": TEXT},
    poisons={OTHER},
)


def broken(evidence: Evidence, *, outage: bool = False) -> dict[str, int]:
    return {name: len(cases) for name, cases in judge(evidence).broken(outage=outage).items()}


def test_a_run_that_went_well() -> None:
    assert broken(WELL, outage=True) == {}


@pytest.mark.parametrize(
    ("evidence", "found"),
    [
        (replace(WELL, announcements=[failed(OTHER, "e2")]), {"lost": 1}),
        (replace(WELL, announcements=[failed(OTHER, "e2")], settled={"e2"}), {"stuck": 1}),
        (replace(WELL, announcements=[*WELL.announcements, done()]), {"duplicate": 1}),
        (replace(WELL, announcements=[*WELL.announcements, done("e3")]), {"duplicate": 1}),
        (replace(WELL, dead_letters=[OTHER, OTHER]), {"duplicate": 1}),
        (replace(WELL, dead_letters=[OTHER, AUDIO]), {"dead_healthy": 1}),
        (replace(WELL, dead_letters=[]), {"misbehaved": 1}),
        (replace(WELL, announcements=[done(), failed(OTHER, "e2", attempts=2)]), {"misbehaved": 1}),
        (replace(WELL, misbehaved=["hub 1 ended by itself"]), {"misbehaved": 1}),
        (replace(WELL, objects={}), {"torn": 1}),
        (replace(WELL, objects={f"{WHERE}.json": manifest()}), {"torn": 1}),
        (replace(WELL, objects={**WELL.objects, f"{WHERE}.txt": b"other"}), {"torn": 1}),
        (replace(WELL, objects={**WELL.objects, f"{WHERE}.json": b"{"}), {"torn": 1}),
        (replace(WELL, objects={**WELL.objects, "s3://b/transcripts/z.wav.txt": b""}), {"torn": 1}),
    ],
    ids=[
        "settled without an announcement", "still waiting", "announced twice", "announced unasked", "two dead letters",
        "a dead letter of healthy audio", "poison without one", "poison given up early", "a hub that ended",
        "no manifest", "a listed file is missing", "a listed file differs", "half a manifest", "a file without one",
    ],
)  # fmt: skip
def test_what_is_broken_is_found(evidence: Evidence, found: dict[str, int]) -> None:
    assert broken(evidence) == found


def test_an_outage_may_cost_no_attempt() -> None:
    retried = replace(WELL, retried=[AUDIO])
    assert broken(retried) == {}
    assert broken(retried, outage=True) == {"charged": 1}


def test_rows_are_told_apart_by_name_and_each_is_run_somewhere() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert [row.name for row in ROWS if not row.full and not row.short] == []


def test_the_page_shows_the_results_as_they_are() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "run `python -m tests.chaos.results`"
