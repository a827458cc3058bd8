"""What a large source folder costs: the first scan, a start with memory and without, a watching service, its latency.

    python -m bench.scan                              # 100,000 files in 1,000 folders, on a MinIO of its own
    python -m bench.scan --store folder --files 20000
    python -m bench.scan --endpoint URL --access-key KEY --secret-key SECRET --bootstrap ADDRESS

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
from dataclasses import dataclass
from pathlib import Path

TOPICS = ("AUDIO", "BULK", "CHUNKS", "TRANSCRIPTS", "RETRY", "DLQ")
LFK = [sys.executable, "-m", "lfk"]


@dataclass(frozen=True)
class Run:
    """One command that has ended."""

    wall: float
    processor: float
    peak_mib: int
    summary: Mapping[str, object]


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
        _pid, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - begun
        out.seek(0)
        last = out.read().splitlines()[-1:]
    assert process.returncode == 0, (process.returncode, last)
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss // 1024, json.loads(last[0]))


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


def measure(environ: Mapping[str, str], folder: Path, arguments: argparse.Namespace) -> None:
    """Make the files and print a table."""
    source = folder / "rec"
    begun = time.perf_counter()
    make_files(source, arguments.files, arguments.folders)
    print(f"{arguments.files} files in {arguments.folders} folders made in {time.perf_counter() - begun:.0f} s\n")
    print("| what | wall s | processor s | files/s | peak MiB | outcome |\n|---|---|---|---|---|---|")

    def row(what: str, *command: str) -> None:
        one = run(environ, *command)
        told = ", ".join(
            f"{one.summary[name]} {name}" for name in ("new", "referred", "unchanged") if one.summary[name]
        )
        rate = arguments.files / one.wall
        print(f"| {what} | {one.wall:.1f} | {one.processor:.1f} | {rate:.0f} | {one.peak_mib} | {told} |", flush=True)

    row("cold: looked at only (`--dry-run`)", "sync", str(source), "--dry-run")
    row("cold: uploaded and referred to", "sync", str(source))
    row("warm: nothing to do", "sync", str(source))
    for state in (folder / "state").rglob("*.sqlite*"):
        state.unlink()
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
def stored(arguments: argparse.Namespace, folder: Path) -> Iterator[dict[str, str]]:
    """Settings of the store that was asked for."""
    if arguments.store == "folder":
        yield {"LFK_STORE": str(folder / "store")}
        return
    with contextlib.ExitStack() as stack:
        if not arguments.endpoint:
            from tests.services import minio
            from tests.services.programs import cache_folder

            (folder / "server").mkdir()
            address = stack.enter_context(minio.start(folder / "server", cache_folder(os.environ))).address
            arguments.endpoint = address.endpoint_url
            arguments.access_key, arguments.secret_key = address.access_key, address.secret_key
        environ = {
            "LFK_STORE": f"s3://bench-{secrets.token_hex(4)}/lfk",
            "AWS_ENDPOINT_URL_S3": arguments.endpoint,
            "AWS_ACCESS_KEY_ID": arguments.access_key,
            "AWS_SECRET_ACCESS_KEY": arguments.secret_key,
            "AWS_REGION": "us-east-1",
            **references(arguments),
        }
        subprocess.run([*LFK, "init", "-q"], env={**os.environ, **environ}, check=True, stdout=subprocess.DEVNULL)
        yield environ


def references(arguments: argparse.Namespace) -> dict[str, str]:
    """Settings of the broker that was asked for, with topics of its own."""
    if not arguments.bootstrap:
        return {}
    name = f"bench-{secrets.token_hex(4)}"
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
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with stored(arguments, folder) as store:
            environ = {**os.environ, **store, "LFK_STATE_HOME": str(folder / "state")}
            measure(environ, folder, arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
