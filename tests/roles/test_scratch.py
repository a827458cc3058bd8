"""Scratch: bounded, always tidied, swept of dead hubs' folders and never of living ones'."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from lfk.core.errors import AudioTooLarge, ScratchFull, UsageError
from lfk.roles.hub.lease import Lease
from lfk.roles.hub.scratch import Scratch

ROOT = Path(__file__).resolve().parents[2]
GOING = threading.Event()
Disk = namedtuple("Disk", "total used free")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int], None]:
    """Sets what the disk is said to have: in all, and free."""

    def say(total: int, free: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _path: Disk(total, total - free, free))

    return say


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Scratch]:
    """With a budget of 100 bytes."""
    made = Scratch(tmp_path, 100)
    yield made
    made.close()


def waits(scratch: Scratch, size: int, stop: threading.Event = GOING) -> threading.Thread:
    """A thread that asks for room, after it had time enough to get it if there were some."""

    def ask() -> None:
        try:
            with scratch.job(size, stop):
                pass
        except ScratchFull:
            return

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(0.3)
    return thread


def test_a_job_s_folder_goes_with_the_job(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path, 100)
    with scratch.job(10, GOING) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "audio.wav").write_bytes(b"x")
    assert not folder.exists()
    with pytest.raises(ZeroDivisionError), scratch.job(10, GOING) as folder:
        (folder / "audio.wav").write_bytes(b"x")
        raise ZeroDivisionError
    assert not folder.exists()
    scratch.close()
    assert list(tmp_path.iterdir()) == []


def test_audio_over_the_budget_waits_for_what_is_there(scratch: Scratch) -> None:
    with scratch.job(60, GOING):
        with scratch.job(40, GOING):
            waiting = waits(scratch, 1)
            assert waiting.is_alive()
        waiting.join(5.0)
        assert not waiting.is_alive()


def test_audio_larger_than_the_budget_goes_alone(scratch: Scratch) -> None:
    with scratch.job(5000, GOING):
        waiting = waits(scratch, 1)
        assert waiting.is_alive()
    waiting.join(5.0)
    assert not waiting.is_alive()


def test_a_stop_ends_the_wait(scratch: Scratch) -> None:
    stop = threading.Event()
    with scratch.job(100, GOING):
        waiting = waits(scratch, 1, stop)
        assert waiting.is_alive()
        stop.set()
        waiting.join(5.0)
        assert not waiting.is_alive()


def test_what_is_reserved_and_not_written_counts_against_the_disk(
    tmp_path: Path, disk: Callable[[int, int], None]
) -> None:
    scratch = Scratch(tmp_path, 1 << 30)
    disk(1 << 20, 600 << 10)
    with scratch.job(400 << 10, GOING) as folder:
        waiting = waits(scratch, 300 << 10)
        assert waiting.is_alive()
        # What is written the disk itself no longer has; it is not counted twice.
        (folder / "audio").write_bytes(b"x" * (400 << 10))
        waiting.join(5.0)
        assert not waiting.is_alive()
    scratch.close()


def test_a_disk_that_is_full_of_other_things_is_no_fault_of_the_audio(
    scratch: Scratch, disk: Callable[[int, int], None]
) -> None:
    disk(1000, 9)
    with pytest.raises(ScratchFull), scratch.job(10, GOING):
        pass
    disk(1000, 900)
    scratch.check()
    with scratch.job(10, GOING):
        pass


def test_audio_that_no_disk_here_can_hold_is_refused(scratch: Scratch, disk: Callable[[int, int], None]) -> None:
    disk(1000, 900)
    with pytest.raises(AudioTooLarge, match="1000"), scratch.job(1001, GOING):
        pass


def test_a_folder_that_has_gone_is_an_outage(scratch: Scratch) -> None:
    shutil.rmtree(scratch.folder)
    with pytest.raises(ScratchFull), scratch.job(1, GOING):
        pass
    with pytest.raises(ScratchFull):
        scratch.check()


def test_a_place_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="cannot be used"):
        Scratch(tmp_path / "file", 100)


OWNER = """
import sys, time
from pathlib import Path
from lfk.roles.hub.lease import Lease
lease = Lease(Path(sys.argv[1]), "lfk-hub-")
(lease.folder / "job-1").mkdir()
(lease.folder / "job-1" / "audio.wav").write_bytes(b"x")
print(lease.folder, flush=True)
time.sleep(600)
"""


def owner(base: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that holds a folder."""
    process = subprocess.Popen([sys.executable, "-c", OWNER, str(base)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_the_next_hub_sweeps_what_a_killed_one_left_and_nothing_else(tmp_path: Path) -> None:
    killed, left = owner(tmp_path)
    living, held = owner(tmp_path)
    others = tmp_path / "lfk-hub-of-somebody"
    others.mkdir()
    with killed, living:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert left.exists()
        lease = Lease(tmp_path, "lfk-hub-")
        assert not left.exists()
        assert (held / "job-1" / "audio.wav").exists()
        assert others.exists(), "a hub may be about to lock it"
        lease.close()
        living.kill()


def test_a_folder_that_was_never_locked_goes_when_it_is_old(tmp_path: Path) -> None:
    fresh, old, filled = (tmp_path / f"lfk-hub-{name}" for name in ("fresh", "old", "filled"))
    for folder in (fresh, old, filled):
        folder.mkdir()
    (filled / "theirs").write_bytes(b"")
    for folder in (old, filled):
        os.utime(folder, (1.0, 1.0))
    Lease(tmp_path, "lfk-hub-").close()
    assert fresh.exists()
    assert not old.exists()
    assert filled.exists()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "lock").write_bytes(b"")
    base = tmp_path / "scratch"
    base.mkdir()
    (base / "lfk-hub-link").symlink_to(precious)
    Lease(base, "lfk-hub-").close()
    assert (precious / "lock").exists()


def test_hubs_that_start_together_keep_what_is_theirs(tmp_path: Path) -> None:
    """Every one sweeps while others are between making their folder and locking it."""

    def start(_number: int) -> Lease:
        return Lease(tmp_path, "lfk-hub-")

    with ThreadPoolExecutor(16) as pool, ExitStack() as stack:
        leases = list(pool.map(start, range(200)))
        for lease in leases:
            stack.callback(lease.close)
        assert all((lease.folder / "lock").exists() for lease in leases)
        assert len({lease.folder for lease in leases}) == 200
    assert list(tmp_path.iterdir()) == []
