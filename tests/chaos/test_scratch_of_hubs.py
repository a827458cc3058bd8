"""The scratch folders of real hubs: audio fetched ahead within bounds, tidied whatever happens, disks that are full."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bench.pipeline import RunningHub
from tests.acceptance.command import Lfk
from tests.acceptance.test_pipeline import expect_ok, on_servers
from tests.chaos.faulty import FaultyLfk, hub, recording
from tests.services.s3 import S3Server
from tests.waiting import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.s3, pytest.mark.slow]

SIZE = 100_000


@pytest.fixture
def lfk(tmp_path: Path, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str) -> Lfk:
    lfk = on_servers(tmp_path, kafka, minio, minio_bucket, topic_prefix)
    lfk.environ = {**lfk.environ, "LFK_KAFKA_SESSION_TIMEOUT_MS": "6000", "LFK_KAFKA_HEARTBEAT_INTERVAL_MS": "1000"}
    expect_ok(lfk("init"))
    return lfk


def send(lfk: Lfk, count: int, fault: str | None = None, size: int = SIZE, first: int = 0) -> None:
    """Recordings of that size, and their references."""
    for number in range(first, first + count):
        recording(lfk.folder / "recordings", f"talk {number}", number, fault, size)
    expect_ok(lfk("sync", "recordings"))


def audio_in(temporary: Path) -> list[Path]:
    """Audio that lies in the scratch folders of hubs."""
    return list(temporary.glob("scratch/*/job-*/audio.wav"))


def whole(paths: list[Path]) -> list[Path]:
    found = []
    for path in paths:
        try:
            if path.stat().st_size >= SIZE:
                found.append(path)
        except FileNotFoundError:
            continue
    return found


@pytest.mark.parametrize(("budget", "ahead"), [("1M", 3), ("250K", 2)])
def test_audio_is_fetched_ahead_within_the_budget(lfk: Lfk, tmp_path: Path, budget: str, ahead: int) -> None:
    """One engine and two ahead make three at most; of 100 kB each, two fit into 250 KiB."""
    send(lfk, 5)
    temporary = tmp_path / "temporary"
    most = 0
    with hub(lfk, temporary, 1, LFK_CANNED_SECONDS="1.5", LFK_PREFETCH="2", LFK_SCRATCH_BYTES=budget) as running:

        def watched() -> bool:
            nonlocal most
            most = max(most, len(whole(audio_in(temporary))))
            return len(running.answers) >= 5

        wait_until(watched)
        assert audio_in(temporary) == []
    assert most == ahead


def test_audio_over_the_budget_is_transcribed_alone(lfk: Lfk, tmp_path: Path) -> None:
    send(lfk, 4)
    temporary = tmp_path / "temporary"
    most = 0
    with hub(lfk, temporary, 2, LFK_CANNED_SECONDS="0.5", LFK_SCRATCH_BYTES="50K") as running:

        def watched() -> bool:
            nonlocal most
            most = max(most, len(audio_in(temporary)))
            return len(running.answers) >= 4

        wait_until(watched)
    assert {answer["status"] for answer in running.answers} == {"done"}
    assert most == 1


def test_a_killed_hub_s_audio_is_swept_and_a_living_one_s_is_not(lfk: Lfk, tmp_path: Path) -> None:
    """Three hubs share one machine's scratch: one is killed amid its work, one works on, one starts."""
    send(lfk, 12)
    scratch = {"TMPDIR": str(tmp_path / "shared"), "MAIN_NODE_TEMP_FOLDER": str(tmp_path / "shared/scratch")}
    (tmp_path / "shared").mkdir()
    lfk.environ = {**lfk.environ, **scratch, "LFK_CANNED_SECONDS": "600", "LFK_GRACE": "1"}

    def folders() -> set[Path]:
        return set((tmp_path / "shared" / "scratch").glob("lfk-hub-*"))

    def busy(folder: Path) -> bool:
        return any(folder.glob("job-*/audio.wav"))

    with ExitStack() as stack:
        hubs: list[tuple[subprocess.Popen[str], Path]] = []
        for _ in range(2):
            before = folders()
            process = stack.enter_context(lfk.running("hub", "--workers", "1"))
            wait_until(lambda before=before: len(folders() - before) == 1)  # type: ignore[misc]
            hubs.append((process, (folders() - before).pop()))
        # Partitions move to the second hub; what the first has begun with them is orphaned and ends in its own time.
        wait_until(lambda: all(busy(folder) for _process, folder in hubs))
        (killed, left), (_living, held) = hubs
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert busy(left)
        stack.enter_context(lfk.running("hub", "--workers", "1"))
        wait_until(lambda: not left.exists())
        assert busy(held)
    assert folders() == set(), "all that ended as told has tidied up"
    assert [path for path in (tmp_path / "shared").rglob("*") if path.is_file()] == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MiB of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "lfk-test", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small disk takes rights that this user has not")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def in_trouble(running: RunningHub) -> bool:
    """The hub has said that its disk keeps it from working, and that a reference waits for that."""
    return all(
        any(text in note for note in running.notes) for text in ("takes no work: scratch", "the reference waits")
    )


@pytest.mark.parametrize(("free", "meets"), [(60_000, "fetch"), (150_000, "decode")])
def test_a_full_disk_costs_no_attempts_and_heals(
    lfk: Lfk, tmp_path: Path, small_disk: Path, free: int, meets: str
) -> None:
    """Healthy audio has one attempt here, and needs a disk that other things have filled: to be fetched, or decoded."""
    faulty = FaultyLfk(lfk)
    send(faulty, 4, "room")
    filler = small_disk / "filler"
    filler.write_bytes(b"\0" * ((2 << 20) - free - 32_768))
    place = {"MAIN_NODE_TEMP_FOLDER": str(small_disk), "LFK_ATTEMPTS": "1"}
    temporary = tmp_path / "temporary"
    with hub(faulty, temporary, 2, LFK_ENGINE_MEMORY="600M", **place) as running:
        wait_until(lambda: in_trouble(running))
        assert running.answers == []
        assert bool(faulty.begun) == (meets == "decode")
        filler.unlink()
        running.wait_for(4)
    assert {answer["status"] for answer in running.answers} == {"done"}
    assert list(small_disk.iterdir()) == []


def test_audio_larger_than_the_whole_disk_fails_and_the_rest_goes_on(
    lfk: Lfk, tmp_path: Path, small_disk: Path
) -> None:
    send(lfk, 2)
    send(lfk, 1, size=3 << 20, first=10)
    temporary = tmp_path / "temporary"
    with hub(lfk, temporary, 2, LFK_CANNED_SECONDS="0", MAIN_NODE_TEMP_FOLDER=str(small_disk)) as running:
        running.wait_for(3)
    failed = [answer for answer in running.answers if answer["status"] == "failed"]
    assert [(one["error"]["code"], one["error"]["attempts"]) for one in failed] == [("audio_too_large", 1)]
