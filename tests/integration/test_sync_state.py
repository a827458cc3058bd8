"""The memory of sync: what goes in comes out, and nothing that happens to it stops a pass."""

from __future__ import annotations

import logging
import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from lfk.core.location import parse_location
from lfk.core.sync_plan import Content, Known, Stamp
from lfk.roles.sync_state import SyncState, state_file

KNOWN = Known(Stamp(2**40, 1_700_000_000_123_456_789, 5, 2**63 - 1), "s3://b/ä", "ab" * 32, "etag", "v1", "asked")
AUDIO = replace(KNOWN, extracted=Content(2**33, "ef" * 32), form="opus")


def test_what_was_put_comes_back_also_later(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.sqlite"
    odd = os.fsdecode(b"bad\xff\n.wav")
    state = SyncState(path)
    state.put("a.wav", KNOWN)
    state.put(odd, KNOWN)
    state.put("v.mp4", AUDIO)
    state.put("a.wav", Known(KNOWN.stamp, "s3://b/other", "cd" * 32, "e2"))
    state.close()
    again = SyncState(path)
    assert again.get("a.wav") == Known(KNOWN.stamp, "s3://b/other", "cd" * 32, "e2", None, "")
    assert again.get(odd) == KNOWN
    assert again.get("v.mp4") == AUDIO
    assert again.get("A.wav") is None
    again.close()


def test_an_older_form_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite"
    older = sqlite3.connect(path)
    older.execute("CREATE TABLE files (path BLOB PRIMARY KEY, size)")
    older.execute("INSERT INTO files VALUES (?, 1)", (b"a.wav",))
    older.commit()
    older.close()
    state = SyncState(path)
    assert state.get("a.wav") is None
    state.put("a.wav", KNOWN)
    assert state.get("a.wav") == KNOWN
    state.close()


def test_a_place_that_cannot_be_used_costs_only_the_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    state = SyncState(tmp_path / "file" / "state.sqlite")
    assert "read again next time" in caplog.text
    state.put("a.wav", KNOWN)
    assert state.get("a.wav") == KNOWN
    state.close()


def test_a_write_that_fails_costs_only_the_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    state = SyncState(tmp_path / "state.sqlite")
    state._connection.execute("PRAGMA query_only = ON")
    state.put("a.wav", KNOWN)
    state.put("b.wav", KNOWN)
    assert caplog.text.count("can no longer be remembered") == 1
    assert state.get("b.wav") == KNOWN
    state.close()


def test_each_pair_of_folder_and_store_has_its_own(tmp_path: Path) -> None:
    one, two = parse_location("s3://bucket/audio/"), parse_location("s3://other/audio/")
    files = {state_file(tmp_path, Path(source), audio) for source in ("/a", "/b") for audio in (one, two)}
    assert len(files) == 4
    assert all(path.parent == tmp_path / "lfk" / "sync" for path in files)
