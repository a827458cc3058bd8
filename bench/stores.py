"""Measures what a store costs: small files up, looks, reads, listings, large files, and the memory of a large upload.

    python -m bench.stores                     # starts a MinIO of its own (`make services` fetches it)
    python -m bench.stores --endpoint URL --access-key KEY --secret-key SECRET

Small files go up in three ways behind one protocol: lfk's short way, botocore (what boto3 sends with), and the minio
SDK. Every way reads the file and keeps its sha256 in the metadata. Ways alternate, in turned order every round; the
ratio of each round is taken before its median, as a busy machine slows all ways alike. Processor time, which a busy
machine hardly changes, is that of this process alone.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from lfk.core.location import Location, parse_location
from lfk.stores.s3 import S3Store

THREADS = 8
SMALL_BYTES = 256 << 10
AUDIO = "audio/wav"


@dataclass(frozen=True)
class Server:
    """Where the S3 server is."""

    endpoint: str
    access_key: str
    secret_key: str

    def store(self, *, short_way: bool = True) -> S3Store:
        return S3Store(
            endpoint_url=self.endpoint,
            access_key=self.access_key,
            secret_key=self.secret_key,
            short_way=short_way,
        )


Upload = Callable[[Path, Location], object]


def with_lfk(store: S3Store) -> Upload:
    """Through the protocol."""
    return lambda path, at: store.upload(path, at, content_type=AUDIO, metadata={"lfk-source": str(path)})


def with_minio(server: Server) -> Upload:
    """The minio SDK, doing what S3Store does for a small file."""
    import minio
    import urllib3

    address = urlsplit(server.endpoint)
    client = minio.Minio(
        address.netloc,
        access_key=server.access_key,
        secret_key=server.secret_key,
        secure=address.scheme == "https",
        region="us-east-1",
        http_client=urllib3.PoolManager(maxsize=2 * THREADS),
    )

    def upload(path: Path, at: Location) -> None:
        data = path.read_bytes()
        metadata: Mapping[str, str] = {
            "lfk-sha256": hashlib.sha256(data).hexdigest(),
            "lfk-source": str(path),
        }
        client.put_object(at.bucket, at.key, io.BytesIO(data), len(data), content_type=AUDIO, metadata=dict(metadata))

    return upload


@dataclass
class Measured:
    """Rounds of one way."""

    wall: list[float]
    processor: list[float]


def alternate(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Measured]:
    """Run every way once a round; every other round turns the order."""
    measured = {name: Measured([], []) for name in ways}
    for turn in range(rounds):
        for name in list(ways)[:: 1 if turn % 2 == 0 else -1]:
            wall, processor = time.perf_counter(), time.process_time()
            ways[name]()
            measured[name].wall.append(time.perf_counter() - wall)
            measured[name].processor.append(time.process_time() - processor)
    return measured


def report(title: str, measured: Mapping[str, Measured], count: int, unit: str) -> None:
    """Print a table; ratios are against the first way, over 1 where that one is faster."""
    first = next(iter(measured.values()))
    print(f"\n{title}")
    print(f"{'way':<10} {'wall s':>8} {'best':>8} {unit + '/s':>10} {'cpu ms':>8} {'ratio':>7} {'spread':>14}")
    for name, rounds in measured.items():
        ratios = [mine / base for mine, base in zip(rounds.wall, first.wall, strict=True)]
        wall = statistics.median(rounds.wall)
        processor = statistics.median(rounds.processor) / count * 1000
        print(
            f"{name:<10} {wall:8.2f} {min(rounds.wall):8.2f} {count / wall:10.0f} {processor:8.3f} "
            f"{statistics.median(ratios):7.2f} {min(ratios):6.2f}-{max(ratios):.2f}"
        )


def small_files(server: Server, bucket: str, folder: Path, count: int, rounds: int) -> None:
    """``count`` files of 256 KiB, from 8 threads."""
    paths = []
    for number in range(count):
        path = folder / f"{number:05d}.wav"
        path.write_bytes(os.urandom(SMALL_BYTES))
        paths.append(path)
    uploads = {
        "lfk": with_lfk(server.store()),
        "botocore": with_lfk(server.store(short_way=False)),
        "minio": with_minio(server),
    }
    with ThreadPoolExecutor(THREADS) as pool:

        def run(name: str, upload: Upload) -> None:
            places = [parse_location(f"s3://{bucket}/{name}/{path.name}") for path in paths]
            list(pool.map(upload, paths, places))

        ways = {name: (lambda name=name, upload=upload: run(name, upload)) for name, upload in uploads.items()}
        for name, upload in uploads.items():  # connections and clients are made before the clock runs
            upload(paths[0], parse_location(f"s3://{bucket}/{name}/warm"))
        title = f"{count} files of {SMALL_BYTES >> 10} KiB up, {THREADS} threads"
        report(title, alternate(ways, rounds), count, "files")


def small_requests(server: Server, bucket: str, keys: int, rounds: int) -> None:
    """Looks, reads and listings, one after the other, in both ways of S3Store."""
    stores = {"lfk": server.store(), "botocore": server.store(short_way=False)}
    root = parse_location(f"s3://{bucket}/keys/")
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda n: stores["lfk"].put(root.join(f"{n:06d}"), b"x" * 2000, content_type=AUDIO), range(keys)))
    at = root.join("000000")
    looks = 500
    cases: list[tuple[str, int, Callable[[S3Store], object]]] = [
        ("looks (HEAD)", looks, lambda store: [store.stat(at) for _look in range(looks)]),
        ("reads of 2 kB (GET)", looks, lambda store: [store.read(at, limit=9999) for _look in range(looks)]),
        (f"a listing of {keys} keys", keys, lambda store: sum(1 for _key in store.list(root))),
    ]
    for title, count, case in cases:
        for store in stores.values():
            store.stat(at)
        ways = {name: (lambda store=store, case=case: case(store)) for name, store in stores.items()}
        report(title, alternate(ways, rounds), count, "each")


def large_files(server: Server, bucket: str, folder: Path, size: int, rounds: int) -> None:
    """Two large files at a time, up and down."""
    paths = []
    for number in range(2):
        path = folder / f"large{number}"
        with path.open("wb") as file:
            for _mebibyte in range(size >> 20):
                file.write(os.urandom(1 << 20))
        paths.append(path)
    places = [parse_location(f"s3://{bucket}/large/{path.name}") for path in paths]
    stores = {"lfk": server.store(), "botocore": server.store(short_way=False)}
    with ThreadPoolExecutor(2) as pool:

        def up(store: S3Store) -> None:
            list(pool.map(with_lfk(store), paths, places))

        def down(store: S3Store) -> None:
            fetch = [(place, path.with_suffix(".down")) for place, path in zip(places, paths, strict=True)]
            list(pool.map(lambda pair: store.download(pair[0], pair[1], limit=1 << 40), fetch))

        for title, way in (("up, with sha256", up), ("down, with sha256", down)):
            ways = {name: (lambda store=store, way=way: way(store)) for name, store in stores.items()}
            report(f"2 files of {size >> 20} MiB {title}", alternate(ways, rounds), 2 * (size >> 20), "MiB")


_MEMORY = """
import sys, time
from pathlib import Path
from lfk.core.location import parse_location
from lfk.stores.s3 import S3Store

endpoint, access, secret, file, at = sys.argv[1:]
def peak():
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))) // 1024

store = S3Store(endpoint_url=endpoint, access_key=access, secret_key=secret)
store.ensure(parse_location(at).as_prefix())
before, begun = peak(), time.monotonic()
store.upload(Path(file), parse_location(at), content_type="audio/wav")
print(before, peak(), f"{time.monotonic() - begun:.1f}")
"""


def memory(server: Server, bucket: str, folder: Path, sizes: list[int]) -> None:
    """Peak memory of a process that uploads one sparse file."""
    print("\npeak memory of an upload (MiB of the process before, then at its peak)")
    for size in sizes:
        path = folder / "sparse"
        with path.open("wb") as file:
            file.truncate(size)
        at = f"s3://{bucket}/sparse"
        arguments = [server.endpoint, server.access_key, server.secret_key, str(path), at]
        done = subprocess.run(
            [sys.executable, "-c", _MEMORY, *arguments], capture_output=True, text=True, check=True, timeout=1800
        )
        before, peak, seconds = done.stdout.split()
        print(f"{size >> 20:8d} MiB file: {before} → {peak} MiB, {seconds} s")
        server.store().delete(parse_location(at))


@contextlib.contextmanager
def served(arguments: argparse.Namespace, folder: Path) -> Iterator[Server]:
    """The server that was named, or one of our own."""
    if arguments.endpoint:
        yield Server(arguments.endpoint, arguments.access_key, arguments.secret_key)
        return
    from tests.services import minio
    from tests.services.programs import cache_folder

    with minio.start(folder, cache_folder(os.environ)) as running:
        yield Server(running.address.endpoint_url, running.address.access_key, running.address.secret_key)


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--endpoint", default="")
    parser.add_argument("--access-key", default="")
    parser.add_argument("--secret-key", default="")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=int, default=2000, help="small files")
    parser.add_argument("--keys", type=int, default=10_000, help="keys to list")
    parser.add_argument("--large", type=int, default=512, help="MiB of each large file")
    parser.add_argument("--sparse", type=int, nargs="*", default=[64, 5 * 1024], help="MiB of the files for memory")
    parser.add_argument("--only", nargs="*", default=["small", "requests", "large", "memory"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "server").mkdir()
        with served(arguments, folder / "server") as server:
            bucket = f"bench-{secrets.token_hex(4)}"
            server.store().ensure(parse_location(f"s3://{bucket}/"))
            if "small" in arguments.only:
                small_files(server, bucket, folder, arguments.files, arguments.rounds)
            if "requests" in arguments.only:
                small_requests(server, bucket, arguments.keys, arguments.rounds)
            if "large" in arguments.only:
                large_files(server, bucket, folder, arguments.large << 20, arguments.rounds)
            if "memory" in arguments.only:
                memory(server, bucket, folder, [mebibytes << 20 for mebibytes in arguments.sparse])
    return 0


if __name__ == "__main__":
    sys.exit(main())
