"""A store in a folder whose disk is full: the work waits, costs no attempt, and goes on once there is room."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.command import Lfk
from tests.acceptance.test_pipeline import expect_ok
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of another process, and tmpfs")

FILES = 3
#: Room for a lock, a probe and a heartbeat; too little for a result.
LITTLE = 200


@contextlib.contextmanager
def heard(process: subprocess.Popen[str]) -> Iterator[list[str]]:
    """Its output, as it comes, so that it never waits for a reader."""
    lines: list[str] = []
    assert process.stdout is not None
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stdout.readline, "")))  # type: ignore[union-attr]
    reader.start()
    try:
        yield lines
    finally:
        process.terminate()
        process.wait(60)
        reader.join()
        process.stdout.close()


def manifests(store: Path) -> list[Path]:
    return sorted((store / "transcripts").rglob("*.json"))


def served(lfk: Lfk, store: Path, fill: Callable[[int], None], free: Callable[[int], None]) -> None:
    """A hub that finds no room, and then some."""
    hub = lfk.start("hub", "--workers", "1")
    with heard(hub) as lines:

        def said() -> str:
            return "".join(lines)

        wait_until(lambda: any("hub ready" in line for line in list(lines)), said, alive=[hub], seconds=120)
        fill(hub.pid)
        # How many jobs find out before the hub begins no more is a matter of moments.
        for note in ("takes no work: store", "the reference waits"):
            wait_until(lambda note=note: any(note in line for line in list(lines)), said, alive=[hub], seconds=120)
        assert not manifests(store)
        assert not (store / ".lfk/failed").exists()
        free(hub.pid)
        wait_until(lambda: len(manifests(store)) == FILES, said, alive=[hub], seconds=120)
    assert not (store / ".lfk/failed").exists()
    assert not any("Traceback" in line or line.startswith("failed") for line in lines), lines


@pytest.fixture
def lfk(tmp_path: Path) -> Lfk:
    folder = tmp_path / "recordings/simple/tiny"
    folder.mkdir(parents=True)
    for number in range(FILES):
        # Less than the limit: it is the store that is full, not the hub's scratch.
        (folder / f"{number}.wav").write_bytes(b"speech %d" % number)
    # Nothing is done before the disk is full, and Python must not leave half a file of bytecode on it.
    return Lfk(
        tmp_path,
        LFK_STORE="store",
        LFK_ENGINE="canned",
        LFK_CANNED_SECONDS="3",
        LFK_ATTEMPTS="1",
        PYTHONDONTWRITEBYTECODE="1",
    )


def test_files_that_may_not_grow(lfk: Lfk, tmp_path: Path) -> None:
    """As under a quota: what is small finds room, and what is as large as a transcript does not."""
    expect_ok(lfk("sync", "recordings"))
    no_limit = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    served(
        lfk,
        tmp_path / "store",
        lambda pid: resource.prlimit(pid, resource.RLIMIT_FSIZE, (LITTLE, resource.RLIM_INFINITY)),
        lambda pid: resource.prlimit(pid, resource.RLIMIT_FSIZE, no_limit),
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts a small disk")
def test_a_disk_without_room(lfk: Lfk, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "lfk-test", str(store)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    try:
        expect_ok(lfk("sync", "recordings"))

        def fill(_pid: int) -> None:
            with contextlib.suppress(OSError), (store / "filler").open("wb", buffering=0) as filler:
                while filler.write(bytes(4096)):
                    pass

        served(lfk, store, fill, lambda _pid: (store / "filler").unlink())
    finally:
        subprocess.run(["umount", "-l", str(store)], check=True)
