"""Large files on real S3 servers: flat memory, nothing but what was hashed, taken up again after a kill."""

from __future__ import annotations

import contextlib
import hashlib
import signal
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from lfk.core.errors import ContentChanged, PreconditionFailed, StoreUnreachable
from lfk.core.location import Location, parse_location
from lfk.stores import s3_upload
from lfk.stores.base import SHA256, SOURCE, IfAbsent
from lfk.stores.local_file import SourceFile
from lfk.stores.s3 import S3Store
from lfk.stores.s3_lane import UNSIGNED, Answer, Lane
from lfk.stores.s3_upload import MAX_PARTS, PART_BYTES, part_size_of, plan
from tests.services.s3 import S3Server

pytestmark = pytest.mark.s3

TEXT = "text/plain"
PARTS = 5
SIZE = (PARTS - 1) * PART_BYTES + 1234


def store_of(server: S3Server, **options: Any) -> S3Store:
    return S3Store(
        endpoint_url=server.endpoint_url, access_key=server.access_key, secret_key=server.secret_key, **options
    )


@pytest.fixture
def at(bucket: str) -> Location:
    return parse_location(f"s3://{bucket}/audio/large é.wav")


@pytest.fixture(scope="module")
def content() -> bytes:
    return b"".join(hashlib.sha256(b"%d" % number).digest() * 64 for number in range(SIZE // 2048 + 1))[:SIZE]


@pytest.fixture
def file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "large.wav"
    path.write_bytes(content)
    return path


def unfinished(server: S3Server, at: Location) -> list[str]:
    answer = server.client().list_multipart_uploads(Bucket=at.bucket, Prefix=at.key)
    return [upload["UploadId"] for upload in answer.get("Uploads", ())]


def stored(store: S3Store, at: Location, folder: Path) -> bytes:
    _info, sha256 = store.download(at, folder / "down", limit=SIZE)
    data = (folder / "down").read_bytes()
    assert store.stat(at).metadata[SHA256] == sha256 == hashlib.sha256(data).hexdigest()
    return data


@pytest.mark.parametrize("size", [1, PART_BYTES, PART_BYTES * MAX_PARTS, PART_BYTES * MAX_PARTS + 1, 5 << 40])
def test_any_file_is_cut_into_few_enough_parts(size: int) -> None:
    part = part_size_of(size)
    assert part % PART_BYTES == 0
    assert -(-size // part) <= MAX_PARTS
    assert part == PART_BYTES or -(-size // (part - PART_BYTES)) > MAX_PARTS


def test_a_plan_holds_the_hash_and_the_checksum_of_every_part(file: Path, content: bytes) -> None:
    with SourceFile(file) as source:
        cut = plan(source)
    spans = [cut.span(number) for number in range(1, PARTS + 1)]
    assert cut.sha256 == hashlib.sha256(content).hexdigest()
    assert sum(length for _offset, length in spans) == SIZE
    assert cut.checksums == tuple(zlib.crc32(content[offset : offset + length]) for offset, length in spans)


@pytest.mark.parametrize("short_way", [True, False], ids=["short", "general"])
@pytest.mark.parametrize("checksums", ["auto", "when_required", "when_supported"])
def test_every_way_of_checking_parts(
    s3_server: S3Server, at: Location, file: Path, content: bytes, tmp_path: Path, checksums: str, short_way: bool
) -> None:
    store = store_of(s3_server, checksums=checksums, short_way=short_way)
    store.upload(file, at, content_type=TEXT)
    assert stored(store, at, tmp_path) == content
    assert unfinished(s3_server, at) == []


@pytest.mark.parametrize("checksums", ["auto", "when_required"])
def test_a_part_that_is_garbled_on_its_way_is_refused_and_sent_again(
    s3_server: S3Server,
    at: Location,
    file: Path,
    content: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    checksums: str,
) -> None:
    send = Lane.send
    garbled: list[str] = []

    def garble(self: Lane, method: str, *arguments: Any, **options: Any) -> Answer | None:
        if options.get("query", {}).get("partNumber") == "2":
            options["body"] = b"garbled" + options["body"][7:]
            garbled.append(options["payload"])
        return send(self, method, *arguments, **options)

    monkeypatch.setattr(Lane, "send", garble)
    store = store_of(s3_server, checksums=checksums)
    store.upload(file, at, content_type=TEXT)
    assert (garbled == [UNSIGNED]) == (checksums == "auto")
    assert len(garbled) == 1
    assert stored(store, at, tmp_path) == content


def test_a_file_that_is_rewritten_behind_its_times_is_noticed(
    s3_server: S3Server, at: Location, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SourceFile, "confirm", lambda _self: None)
    cut = plan

    def rewrite(source: SourceFile) -> s3_upload.Plan:
        planned = cut(source)
        with file.open("r+b") as rewritten:
            rewritten.seek(3 * PART_BYTES + 5)
            rewritten.write(b"!")
        return planned

    monkeypatch.setattr("lfk.stores.s3.plan", rewrite)
    with pytest.raises(ContentChanged):
        store_of(s3_server).upload(file, at, content_type=TEXT)
    assert unfinished(s3_server, at) == []
    assert list(store_of(s3_server).list(at)) == []


def test_a_failure_leaves_no_unfinished_upload(
    s3_server: S3Server, at: Location, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()

    def fail(_count: int) -> None:
        begun.set()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store_of(s3_server).upload(file, at, content_type=TEXT, progress=fail)
    assert begun.is_set()
    assert unfinished(s3_server, at) == []
    assert list(store_of(s3_server).list(at)) == []


def test_who_comes_second_fails_at_the_end_too(s3_server: S3Server, at: Location, file: Path, tmp_path: Path) -> None:
    store = store_of(s3_server)

    def first(_count: int) -> None:
        with contextlib.suppress(PreconditionFailed):
            store.put(at, b"first", content_type=TEXT, condition=IfAbsent())

    with pytest.raises(PreconditionFailed):
        store.upload(file, at, content_type=TEXT, condition=IfAbsent(), progress=first)
    assert store.read(at, limit=9)[0] == b"first"
    assert unfinished(s3_server, at) == []


def test_an_answer_that_is_lost_at_the_end_is_no_failure(
    s3_server: S3Server, at: Location, file: Path, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(s3_server)
    client = store._connection.patient_client
    complete = client.complete_multipart_upload

    def lose(**options: Any) -> None:
        complete(**options)
        raise ReadTimeoutError(endpoint_url=s3_server.endpoint_url)

    monkeypatch.setattr(client, "complete_multipart_upload", lose)
    info, sha256 = store.upload(file, at, content_type=TEXT, condition=IfAbsent())
    assert info == store.stat(at)
    assert sha256 == hashlib.sha256(content).hexdigest()
    assert stored(store, at, tmp_path) == content


def test_an_end_that_fails_is_a_failure(
    s3_server: S3Server, at: Location, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(s3_server)

    def fail(**_options: Any) -> None:
        raise ReadTimeoutError(endpoint_url=s3_server.endpoint_url)

    monkeypatch.setattr(store._connection.patient_client, "complete_multipart_upload", fail)
    with pytest.raises(StoreUnreachable):
        store.upload(file, at, content_type=TEXT)
    assert unfinished(s3_server, at) == []


_KILLED = """
import os, sys, threading, time
from pathlib import Path
from lfk.core.location import parse_location
from lfk.stores.s3 import S3Store

endpoint, access, secret, file, at, source = sys.argv[1:]
moved = 0
lock = threading.Lock()

def progress(count):
    global moved
    with lock:
        moved += count
        if moved >= 2 * (8 << 20):
            print("two parts", flush=True)
            time.sleep(60)

store = S3Store(endpoint_url=endpoint, access_key=access, secret_key=secret, max_concurrency=1)
store.upload(Path(file), parse_location(at), content_type="text/plain", metadata={"lfk-source": source},
             progress=progress)
"""


def kill_an_upload(server: S3Server, file: Path, at: Location, source: str) -> None:
    """Leave an upload of ``file`` behind of which two parts are there."""
    arguments = [server.endpoint_url, server.access_key, server.secret_key, str(file), str(at), source]
    process = subprocess.Popen([sys.executable, "-c", _KILLED, *arguments], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "two parts\n"
        process.send_signal(signal.SIGKILL)
    assert len(unfinished(server, at)) == 1


def test_a_killed_upload_is_taken_up_again(
    s3_server: S3Server, at: Location, file: Path, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_an_upload(s3_server, file, at, "host:/me")
    sent: list[int] = []
    send = s3_upload.Multipart._send_part

    def count(self: s3_upload.Multipart, number: int, progress: Any) -> None:
        sent.append(number)
        send(self, number, progress)

    monkeypatch.setattr(s3_upload.Multipart, "_send_part", count)
    store = store_of(s3_server)
    moved: list[int] = []
    info, _sha256 = store.upload(
        file, at, content_type=TEXT, metadata={SOURCE: "host:/me"}, condition=IfAbsent(), progress=moved.append
    )
    assert sorted(sent) == list(range(3, PARTS + 1))
    assert sum(moved) == SIZE
    assert stored(store, at, tmp_path) == content
    assert store.stat(at).metadata[SOURCE] == "host:/me"
    assert store.stat(at).etag == info.etag
    assert unfinished(s3_server, at) == []


@pytest.mark.parametrize("change", ["first part", "last part", "size", "source"])
def test_a_killed_upload_of_something_else_is_left_alone(
    s3_server: S3Server, at: Location, file: Path, tmp_path: Path, change: str
) -> None:
    kill_an_upload(s3_server, file, at, "host:/me")
    (left,) = unfinished(s3_server, at)
    with file.open("r+b") as changed:
        if change == "first part":
            changed.write(b"!")
        elif change == "last part":
            changed.seek(SIZE - 1)
            changed.write(b"!")
        elif change == "size":
            changed.truncate(SIZE - 1)
    source = "host:/somebody else" if change == "source" else "host:/me"
    store = store_of(s3_server)
    store.upload(file, at, content_type=TEXT, metadata={SOURCE: source})
    assert stored(store, at, tmp_path) == file.read_bytes()
    assert store.stat(at).metadata[SOURCE] == source
    assert unfinished(s3_server, at) == [left]


def test_two_machines_whose_files_begin_alike_never_mix_them(
    s3_server: S3Server, at: Location, file: Path, content: bytes, tmp_path: Path
) -> None:
    other = tmp_path / "other.wav"
    other.write_bytes(content[:-5] + b"other")

    def upload(path: Path) -> None:
        # A store of its own, as on another machine: it knows nothing of the other's upload.
        store_of(s3_server, max_concurrency=2).upload(path, at, content_type=TEXT)

    with ThreadPoolExecutor(2) as pool:
        for _turn in range(3):
            list(pool.map(upload, [file, other]))
            assert stored(store_of(s3_server), at, tmp_path) in (content, other.read_bytes())
    assert unfinished(s3_server, at) == []


def test_two_processes_with_one_file_both_succeed(
    s3_server: S3Server, at: Location, file: Path, content: bytes, tmp_path: Path
) -> None:
    def upload(_number: int) -> None:
        store_of(s3_server, max_concurrency=2).upload(file, at, content_type=TEXT)

    with ThreadPoolExecutor(3) as pool:
        for _turn in range(2):
            list(pool.map(upload, range(3)))
            assert stored(store_of(s3_server), at, tmp_path) == content
    assert unfinished(s3_server, at) == []


_MEASURED = """
import sys
from pathlib import Path
from lfk.core.location import parse_location
from lfk.stores.s3 import S3Store

endpoint, access, secret, at, file, down = sys.argv[1:]
store = S3Store(endpoint_url=endpoint, access_key=access, secret_key=secret)
store.upload(Path(file), parse_location(at), content_type="text/plain")
store.download(parse_location(at), Path(down), limit=1 << 40)
# Not getrusage, whose peak is that of the parent too.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.slow
def test_memory_stays_flat(minio: S3Server, minio_bucket: str, tmp_path: Path) -> None:
    peaks = []
    for number, size in enumerate((64 << 20, 1 << 30)):
        path = tmp_path / f"{number}"
        with path.open("wb") as file:
            file.truncate(size)
        at = f"s3://{minio_bucket}/{number}"
        arguments = [minio.endpoint_url, minio.access_key, minio.secret_key, at, str(path), str(tmp_path / "down")]
        done = subprocess.run(
            [sys.executable, "-c", _MEASURED, *arguments], capture_output=True, text=True, check=True, timeout=280
        )
        peaks.append(int(done.stdout) // 1024)
        (tmp_path / "down").unlink()
    small, large = peaks
    assert large < small + 40, f"peak of {small} MiB for 64 MiB, of {large} MiB for 1 GiB"
    assert large < 250


def test_an_upload_that_somebody_sweeps_away_fails(s3_server: S3Server, at: Location, file: Path) -> None:
    store = store_of(s3_server, max_concurrency=1)

    def sweep(_count: int) -> None:
        for upload_id in unfinished(s3_server, at):
            s3_server.client().abort_multipart_upload(Bucket=at.bucket, Key=at.key, UploadId=upload_id)

    with pytest.raises(PreconditionFailed):
        store.upload(file, at, content_type=TEXT, progress=sweep)
    assert list(store.list(at)) == []


def test_a_file_is_claimed_only_while_nobody_is_busy_with_it(tmp_path: Path) -> None:
    """Whoever came second is busy with the file, too, when the first one has gone."""
    path = tmp_path / "talk.wav"
    path.write_bytes(b"speech")
    with SourceFile(path) as second:
        with SourceFile(path) as first:
            assert first.claim()
            assert not second.claim()
            first.share()
            assert not second.claim()
            second.share()
        with SourceFile(path) as third:
            assert not third.claim()
    with SourceFile(path) as fourth:
        assert fourth.claim()


def test_who_comes_while_a_file_is_claimed_is_busy_with_it_too(tmp_path: Path) -> None:
    """Else a third would take up the second's upload once the first has gone, and two would send into one."""
    path = tmp_path / "talk.wav"
    path.write_bytes(b"speech")
    with SourceFile(path) as second:
        with SourceFile(path) as first, ThreadPoolExecutor(1) as pool:
            assert first.claim()
            assert not second.claim()
            shared = pool.submit(second.share)
            assert wait([shared], 0.1).not_done, "nobody goes on without a lock"
            first.share()
            shared.result(10)
        with SourceFile(path) as third:
            assert not third.claim()


def test_an_upload_that_goes_as_it_is_taken_up_is_begun_anew(
    s3_server: S3Server, at: Location, file: Path, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing may show what another process has just completed."""
    kill_an_upload(s3_server, file, at, "host:/me")
    look = s3_upload.find_unfinished

    def find(client: Any, location: Location, *rest: Any) -> Any:
        found = look(client, location, *rest)
        if found is not None:
            client.abort_multipart_upload(Bucket=location.bucket, Key=location.key, UploadId=found.upload_id)
        return found

    monkeypatch.setattr(s3_upload, "find_unfinished", find)
    store_of(s3_server).upload(file, at, content_type=TEXT, metadata={"lfk-source": "host:/me"})
    assert stored(store_of(s3_server), at, tmp_path) == content
    assert unfinished(s3_server, at) == []
