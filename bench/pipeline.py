"""The pipeline on a real Kafka and a real S3 server, for measurements: its environment, its input, and its hub.

Servers come from where those of the tests do: LFK_TEST_KAFKA and LFK_TEST_S3, a Docker engine, or local programs
(`make services`). Topics and bucket are new ones, and go afterwards.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import threading
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka.admin import AdminClient

from tests.acceptance.command import Done, Lfk
from tests.acceptance.test_pipeline import on_servers
from tests.services.programs import cache_folder
from tests.services.provide import SERVICES, provide

#: A hub is given this long to end after SIGTERM; longer is a finding.
STOP_SECONDS = 60.0
#: More than this without an answer is a stall, and ends a measurement.
STALL_SECONDS = 900.0


@contextlib.contextmanager
def pipeline(folder: Path, **environ: str) -> Iterator[Lfk]:
    """``lfk`` with topics, group and bucket of its own; ``environ``: settings from before its topics are made."""
    with contextlib.ExitStack() as stack:
        addresses = {}
        for name in ("kafka", "minio"):
            (folder / name).mkdir()
            served = provide(SERVICES[name], os.environ, folder=folder / name, cache=cache_folder(os.environ))
            addresses[name] = stack.enter_context(served)
        bootstrap, server = addresses["kafka"].bootstrap, addresses["minio"]
        prefix = f"bench-{secrets.token_hex(4)}"
        work = folder / "work"
        work.mkdir()
        lfk = on_servers(work, bootstrap, server, prefix, prefix)
        lfk.environ = {**lfk.environ, **environ}
        ok(lfk("init"))
        try:
            yield lfk
        finally:
            _remove(server.client(), prefix)
            admin = AdminClient({"bootstrap.servers": bootstrap})
            topics = [topic for topic in admin.list_topics(timeout=10).topics if topic.startswith(f"{prefix}.")]
            for future in admin.delete_topics(topics).values():
                future.result(30)


def _remove(client: Any, bucket: str) -> None:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        keys = [{"Key": entry["Key"]} for entry in page.get("Contents", ())]
        if keys:
            client.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
    client.delete_bucket(Bucket=bucket)


def ok(done: Done) -> Done:
    """The command has done what it was to do.

    Raises:
        RuntimeError: it has not; says what it said.
    """
    if done.code:
        raise RuntimeError(done.err or done.out)
    return done


def tones(folder: Path, count: int, first: int = 0) -> None:
    """``count`` little recordings, no two of the same content, spread over the approaches."""
    for number in range(first, first + count):
        approach = ("simple", "segmentation", "diarisation")[number % 3]
        target = folder / approach / "tiny" / f"day {number // 500}"
        target.mkdir(parents=True, exist_ok=True)
        tone(target / f"{number:05d}.wav", number)


def tone(path: Path, number: int) -> None:
    """A recording of 0.1 s whose content is the number's own."""
    with wave.open(str(path), "wb") as audio:
        audio.setnchannels(1)
        audio.setsampwidth(2)
        audio.setframerate(16000)
        audio.writeframes(number.to_bytes(4, "little") * 800)


class RunningHub:
    """``lfk hub --json``, with its answers as they come. Its temporary files all lie below ``temporary``."""

    def __init__(self, lfk: Lfk, folder: Path, *arguments: str, **environ: str) -> None:
        self.temporary = folder
        folder.mkdir()
        scratch = {"TMPDIR": str(folder), "MAIN_NODE_TEMP_FOLDER": str(folder / "scratch")}
        lfk.environ = {**lfk.environ, "LFK_LOG_LEVEL": "warning", **scratch, **environ}
        self._process = lfk.start("hub", "--json", *arguments)
        self.answers: list[dict[str, Any]] = []
        #: What it printed besides: warnings and errors.
        self.notes: list[str] = []
        #: When the last answer came, by ``time.perf_counter``.
        self.heard = time.perf_counter()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id of the hub itself."""
        return self._process.pid

    def wait_for(self, answers: int, every: float = 0.1) -> None:
        """Until it has answered so many references; looks every so many seconds.

        Raises:
            RuntimeError: it has ended, or answers nothing any more.
        """
        begun = time.perf_counter()
        while len(self.answers) < answers:
            if self._process.poll() is not None:
                raise RuntimeError(f"the hub has ended with {self._process.returncode}: {self.notes[-5:]}")
            if time.perf_counter() - max(begun, self.heard) > STALL_SECONDS:
                raise RuntimeError(f"no answer for {STALL_SECONDS:.0f} s after {len(self.answers)}: {self.notes[-5:]}")
            time.sleep(every)

    def stop(self) -> tuple[int, list[int]]:
        """End it politely; returns its exit status and which of its child processes are still there."""
        children = psutil.Process(self.pid).children(recursive=True) if self._process.poll() is None else []
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._reader.join(STOP_SECONDS)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return status, [child.pid for child in psutil.wait_procs(children, 5.0)[1]]

    def _read(self) -> None:
        for line in self._process.stdout or ():
            event = _event(line)
            if event is None:
                self.notes.append(line.rstrip())
            elif event.get("event") == "transcript":
                self.heard = time.perf_counter()
                #: Seconds since the epoch, beside the time stamps of the pipeline.
                event["heard"] = time.time()
                self.answers.append(event)


def _event(line: str) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
