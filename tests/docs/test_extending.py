"""What docs/extending.md says is enough is enough: its files are put into a copy of lfk, which then works."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.acceptance.command import Lfk
from tests.acceptance.test_pipeline import expect_ok, make_recordings
from tests.docs.pages import ROOT, blocks

FORMAT, APPROACH = ("\n".join(block.lines) for block in blocks("docs/extending.md") if block.language)


@pytest.fixture
def lfk(tmp_path: Path) -> Lfk:
    """The command from a copy of the source with the page's additions."""
    copy = tmp_path / "source"
    shutil.copytree(ROOT / "lfk", copy / "lfk", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("schemas", "models"):
        (copy / folder).symlink_to(ROOT / folder)
    (copy / "lfk" / "core" / "formats" / "lrc.py").write_text(f"{FORMAT}\n", encoding="utf-8")
    approaches = copy / "lfk" / "core" / "approaches.py"
    before, entry, after = approaches.read_text(encoding="utf-8").partition('        Approach("segmentation"')
    assert entry
    approaches.write_text(f"{before}{APPROACH}\n{entry}{after}", encoding="utf-8")
    return Lfk(tmp_path, PYTHONPATH=str(copy), LFK_ENGINE="canned", LFK_CANNED_SECONDS="0", LFK_FORMATS="txt,lrc")


def test_a_format_and_an_approach_are_one_file_each(lfk: Lfk) -> None:
    make_recordings(lfk.folder / "recordings", 1, "captions")
    expect_ok(lfk("init"))
    expect_ok(lfk("sync", "recordings"))
    expect_ok(lfk("hub", "--max-jobs", "1"))
    announced = expect_ok(lfk("transcripts", "--json")).of("transcript")[0]
    assert announced["transcription_approach"] == "captions.tiny"
    (lyrics,) = (lfk.folder / "lfk-data" / "transcripts").rglob("*.lrc")
    assert lyrics.read_text(encoding="utf-8").startswith("[00:00.")
