"""Uploading programs side by side on one S3 server: lfk sync, rclone, s5cmd."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.harness.figures import Round
from bench.harness.rival import command, timed
from bench.harness.stand import store_of
from bench.pipeline import pipeline
from lfk.core.location import parse_location
from tests.acceptance.command import Lfk

RIVALS = ("rclone", "s5cmd")
NOT_CHECKED = "rclone and s5cmd with their own defaults; lfk keeps the sha256 of every object and sends a reference"


@dataclass
class Uploads:
    """One bucket that every program uploads into, below a prefix of its own for each turn."""

    lfk: Lfk
    source: Path
    absent: list[str] = field(default_factory=list)

    @property
    def bucket(self) -> str:
        """Its name."""
        return self.lfk.environ["LFK_STORE"].removeprefix("s3://").partition("/")[0]

    def ways(self) -> list[str]:
        """Programs that are on this machine."""
        self.absent = [name for name in RIVALS if command(name) is None]
        return ["lfk", *(name for name in RIVALS if name not in self.absent)]

    def run(self, way: str, prefix: str) -> Round:
        """Everything from the source to that prefix, by a program that starts anew; lfk remembers by prefix."""
        return timed(self.arguments(way, prefix), self.environ(prefix), self.lfk.folder)

    def arguments(self, way: str, prefix: str) -> list[str]:
        """The command line."""
        program, endpoint = command(way) or way, self.lfk.environ["AWS_ENDPOINT_URL_S3"]
        if way == "lfk":
            return [*self.lfk.argv(("sync", str(self.source), "--prefix", prefix, "--layout", "free", "-q"))]
        if way == "rclone":
            remote = (
                f":s3,provider=Minio,env_auth=true,endpoint='{endpoint}',no_check_bucket=true:{self.bucket}/{prefix}"
            )
            return [program, "copy", str(self.source), remote, "--config", os.devnull]
        return [program, "--endpoint-url", endpoint, "cp", f"{self.source}/", f"s3://{self.bucket}/{prefix}/"]

    def environ(self, prefix: str) -> Mapping[str, str]:
        """Credentials for all, and a memory of its own for each prefix."""
        return {**self.lfk.environ, "LFK_STATE_HOME": str(self.lfk.folder / "states" / prefix)}

    def forget(self, prefix: str) -> None:
        """Delete what is below a prefix, at the end of a turn that would fill the disk."""
        store = store_of(self.lfk)
        for root in (f"s3://{self.bucket}/{prefix}/", f"{self.lfk.environ['LFK_STORE']}/audio/"):
            for entry in list(store.list(parse_location(root))):
                store.delete(entry.location)


@contextlib.contextmanager
def uploads(folder: Path, source: Path) -> Iterator[Uploads]:
    """A bucket, and topics for lfk's references."""
    folder.mkdir()
    with pipeline(folder) as lfk:
        yield Uploads(lfk, source)


def files(folder: Path, count: int, size: int) -> None:
    """So many files of random bytes, a thousand in a folder."""
    block = secrets.token_bytes(min(size, 8 << 20))
    for number in range(count):
        path = folder / f"{number // 1000:03d}" / f"{number:06d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(b"RIFF%012d" % number)
            left = size - 16
            while left > 0:
                file.write(block[: min(left, len(block))])
                left -= len(block)
