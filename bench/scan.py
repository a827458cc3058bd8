"""What a large source folder costs: the first scan, a start with memory and without, a watching service, its latency.

    python -m bench.scan                              # 100,000 files in 1,000 folders, on a MinIO of its own
    python -m bench.scan --store folder --files 20000
    python -m bench.scan --endpoint URL --access-key KEY --secret-key SECRET --bootstrap ADDRESS
    python -m bench.scan --folder bench-scan          # kept: broken off with Ctrl-C, the same command goes on

Every figure is of the real command in a process of its own (its memory from /proc). Files are small, so that what is
measured is lfk and not the disk. References go to Kafka where that is named, else into the store's outbox. ``cold``:
nothing is in the store. ``warm``: all is, and is remembered. ``forgotten``: all is, and the memory was deleted, so
every reference is sent again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import resource
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TOPICS = ("AUDIO", "BULK", "CHUNKS", "TRANSCRIPTS", "RETRY", "DLQ")
LFK = [sys.executable, "-m", "lfk"]


@dataclass(frozen=True)
class Run:
    """One command that has ended; ``finished`` is False where it was told to stop before its end."""

    wall: float
    processor: float
    peak_mib: int
    summary: Mapping[str, Any]
    finished: bool = True


class Book:
    """What was measured so far, and under which names: kept in the folder, so that a long measurement may be broken
    off and gone on with."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "book.json"
        self._kept: dict[str, Any] = json.loads(self._path.read_text()) if self._path.exists() else {}

    def name(self, what: str) -> str:
        """A name of its own for a bucket or topics, the same each time."""
        return str(self.keep(what, self._kept.get(what) or f"bench-{secrets.token_hex(4)}"))

    def runs(self, what: str) -> list[Run]:
        """The runs of one row, the last of which may not have come to its end."""
        return [Run(**one) for one in self._kept.get(f"row {what}", ())]

    def add(self, what: str, run: Run) -> list[Run]:
        """One more; returns all of them."""
        self.keep(f"row {what}", [asdict(one) for one in (*self.runs(what), run)])
        return self.runs(what)

    def keep(self, what: str, value: Any) -> Any:
        """Write something down."""
        self._kept[what] = value
        aside = self._path.with_suffix(".new")
        aside.write_text(json.dumps(self._kept, indent=1))
        aside.replace(self._path)
        return value

    def __contains__(self, what: str) -> bool:
        return what in self._kept


def make_files(folder: Path, files: int, folders: int) -> None:
    """``files`` recordings of some bytes, each with content of its own, spread over ``folders`` folders."""
    for number in range(folders):
        place = folder / "simple" / "tiny" / f"{number:04}"
        place.mkdir(parents=True)
        for one in range(number, files, folders):
            (place / f"{one:06}.wav").write_bytes(b"recording %d" % one)


def run(environ: Mapping[str, str], *arguments: str) -> Run:
    """Run a command to its end; its last line of output is its summary."""
    begun = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen([*LFK, *arguments, "--json", "-q"], env=environ, stdout=out)
        try:
            _pid, status, used = os.wait4(process.pid, 0)
        except KeyboardInterrupt:
            # The command was told, too, and ends with what it is at.
            _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - begun
        out.seek(0)
        last = out.read().splitlines()[-1:]
    assert process.returncode in (0, 130), (process.returncode, last)
    processor = used.ru_utime + used.ru_stime
    return Run(wall, processor, used.ru_maxrss // 1024, json.loads(last[0]), process.returncode == 0)


def memory_mib(pid: int) -> float:
    """Resident memory of a process now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


@contextlib.contextmanager
def watching(environ: Mapping[str, str], source: Path) -> Iterator[tuple[int, queue.SimpleQueue[str]]]:
    """The service, for as long as the block lasts: its process id, and the names of files as it tells them."""
    command = [*LFK, "sync", str(source), "--watch", "--json"]
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True)
    told: queue.SimpleQueue[str] = queue.SimpleQueue()

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "file" and event["outcome"] == "new":
                told.put(event["name"])

    listener = threading.Thread(target=listen)
    listener.start()
    try:
        yield process.pid, told
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)
        listener.join()


def until_idle(pid: int) -> float:
    """Wait until a process has done next to nothing for two seconds; returns how long it was busy."""
    ticks = os.sysconf("SC_CLK_TCK")
    quiet, last, began = 0, -1.0, time.perf_counter()
    while quiet < 4:
        time.sleep(0.5)
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used = (int(fields[11]) + int(fields[12])) / ticks
        quiet = quiet + 1 if used - last < 0.05 else 0
        last = used
    return time.perf_counter() - began - 2.0


def latencies(told: queue.SimpleQueue[str], source: Path, count: int) -> list[float]:
    """Seconds from a file's close until the service tells that its reference is confirmed, one file at a time."""
    seconds = []
    for number in range(count):
        name = f"simple/tiny/0000/new-{number:05}.wav"
        with (source / name).open("wb") as file:
            file.write(b"new recording %d" % number)
        closed = time.perf_counter()
        while told.get(timeout=120) != name:
            pass
        seconds.append(time.perf_counter() - closed)
        time.sleep(0.02)
    return seconds


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which that part of all lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


class BrokenOff(Exception):
    """A command was told to stop; what it did is in the book."""


def measure(environ: Mapping[str, str], folder: Path, book: Book, arguments: argparse.Namespace) -> None:
    """Make the files and print a table; what the book has already is told from it.

    Raises:
        BrokenOff: the same command goes on.
    """
    source = folder / "rec"
    if "made" not in book:
        make_files(source, arguments.files, arguments.folders)
        book.keep("made", arguments.files)
    print(f"{arguments.files} files in {arguments.folders} folders\n")
    print("| what | wall s | processor s | files/s | peak MiB | outcome |\n|---|---|---|---|---|---|")

    def row(what: str, *command: str) -> None:
        runs = book.runs(what)
        if not (runs and runs[-1].finished):
            runs = book.add(what, run(environ, *command))
        if not runs[-1].finished:
            raise BrokenOff(f"{what}: broken off after {sum(one.wall for one in runs):.0f} s")
        # Each run takes up where the one before was told to stop; what was unchanged then is counted once.
        counts = {name: sum(one.summary[name] for one in runs) for name in ("new", "referred")}
        counts["unchanged"] = arguments.files - sum(counts.values())
        told = ", ".join(f"{count} {name}" for name, count in counts.items() if count and "dry-run" not in what)
        wall, processor = sum(one.wall for one in runs), sum(one.processor for one in runs)
        times = f", in {len(runs)} runs" if len(runs) > 1 else ""
        peak = max(one.peak_mib for one in runs)
        print(
            f"| {what} | {wall:.1f} | {processor:.1f} | {arguments.files / wall:.0f} | {peak} | {told}{times} |",
            flush=True,
        )

    row("cold: looked at only (`--dry-run`)", "sync", str(source), "--dry-run")
    row("cold: uploaded and referred to", "sync", str(source))
    row("warm: nothing to do", "sync", str(source))
    if "forgotten" not in book:
        for state in (folder / "state").rglob("*.sqlite*"):
            state.unlink()
        book.keep("forgotten", True)
    row("forgotten: read and referred to again", "sync", str(source))
    with watching(environ, source) as (pid, told):
        busy = until_idle(pid)
        print(f"| `--watch`: first scan done, idle | {busy:.1f} | – | – | {memory_mib(pid):.0f} now | |")
        seconds = latencies(told, source, arguments.drops)
        print(f"| … after {arguments.drops} new files | – | – | – | {memory_mib(pid):.0f} now | |")
    print(
        f"\nclose → reference confirmed, {len(seconds)} files: p50 {statistics.median(seconds) * 1000:.0f} ms, "
        f"p99 {percentile(seconds, 0.99) * 1000:.0f} ms, most {max(seconds) * 1000:.0f} ms"
    )


@contextlib.contextmanager
def stored(arguments: argparse.Namespace, folder: Path, book: Book) -> Iterator[dict[str, str]]:
    """Settings of the store that was asked for."""
    if arguments.store == "folder":
        yield {"LFK_STORE": str(folder / "store")}
        return
    with contextlib.ExitStack() as stack:
        if not arguments.endpoint:
            from tests.services import minio
            from tests.services.programs import cache_folder

            (folder / "server").mkdir(exist_ok=True)
            address = stack.enter_context(minio.start(folder / "server", cache_folder(os.environ))).address
            arguments.endpoint = address.endpoint_url
            arguments.access_key, arguments.secret_key = address.access_key, address.secret_key
        environ = {
            "LFK_STORE": f"s3://{book.name('bucket')}/lfk",
            "AWS_ENDPOINT_URL_S3": arguments.endpoint,
            "AWS_ACCESS_KEY_ID": arguments.access_key,
            "AWS_SECRET_ACCESS_KEY": arguments.secret_key,
            "AWS_REGION": "us-east-1",
            **references(arguments, book),
        }
        subprocess.run([*LFK, "init", "-q"], env={**os.environ, **environ}, check=True, stdout=subprocess.DEVNULL)
        yield environ


def references(arguments: argparse.Namespace, book: Book) -> dict[str, str]:
    """Settings of the broker that was asked for, with topics of its own."""
    if not arguments.bootstrap:
        return {}
    name = book.name("topics")
    topics = {f"LFK_TOPIC_{topic}": f"{name}.{topic.lower()}" for topic in TOPICS}
    return {"BOOTSTRAP_SERVERS": arguments.bootstrap, "LFK_PARTITIONS": "3", **topics}


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--folders", type=int, default=1000)
    parser.add_argument("--drops", type=int, default=200, help="files dropped into the watched folder")
    parser.add_argument("--store", choices=("s3", "folder"), default="s3")
    parser.add_argument("--endpoint", default="")
    parser.add_argument("--access-key", default="")
    parser.add_argument("--secret-key", default="")
    parser.add_argument("--bootstrap", default="", help="Kafka, for the references")
    parser.add_argument("--folder", default="", help="keep everything there, and go on with what was broken off")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        name = arguments.folder or stack.enter_context(tempfile.TemporaryDirectory())
        folder = Path(name).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        book = Book(folder)
        store = stack.enter_context(stored(arguments, folder, book))
        environ = {**os.environ, **store, "LFK_STATE_HOME": str(folder / "state")}
        try:
            measure(environ, folder, book, arguments)
        except BrokenOff as reason:
            print(f"\n{reason}" + ("; the same command goes on" if arguments.folder else ""))
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
