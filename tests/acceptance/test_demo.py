"""``lfk demo`` and ``lfk up`` from outside: the first things that a new user runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.command import Lfk
from tests.acceptance.test_pipeline import expect_ok, make_recordings
from tests.waiting import wait_until

#: Of the bundled recordings.
_WORDS = {"sense-and-sensibility-1.flac": "leisure", "sense-and-sensibility-2.flac": "cold-hearted"}


@pytest.mark.engine
@pytest.mark.slow
def test_the_demo_on_bundled_speech(tmp_path: Path) -> None:
    lfk = Lfk(tmp_path)
    done = expect_ok(lfk("demo", "--dir", "demo", timeout=280))
    assert "3 done, 0 failed" in done.out
    assert "SPEAKER_01" in done.out
    transcripts = tmp_path / "demo" / "store" / "transcripts"
    texts = {path.name.removesuffix(".txt"): path.read_text(encoding="utf-8") for path in transcripts.rglob("*.txt")}
    assert len(texts) == 3
    for name, word in _WORDS.items():
        assert word in texts[name]
        assert word in done.out


def test_up_transcribes_what_is_dropped_into_its_folder(tmp_path: Path) -> None:
    lfk = Lfk(tmp_path, LFK_ENGINE="canned", LFK_CANNED_SECONDS="0.1")
    make_recordings(tmp_path / "recordings", 1)
    with lfk.running("up", "recordings/") as service:
        transcripts = tmp_path / "lfk-data" / "transcripts"
        _wait_for(transcripts, 1)
        make_recordings(tmp_path / "recordings", 1, "diarisation")
        _wait_for(transcripts, 2)
        # Other commands on the same store find it by themselves.
        assert len(expect_ok(lfk("transcripts", "--json")).of("transcript")) == 2
    assert service.returncode == 0


def _wait_for(folder: Path, count: int) -> None:
    wait_until(lambda: len(list(folder.rglob("*.json"))) >= count, "no transcript comes")
