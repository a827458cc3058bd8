"""Listening to a real MinIO: uploads of every kind, names that are hard to write, restarts, and what does not tell."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from lfk import wiring
from lfk.core.errors import AccessDenied, BucketMissing, NotificationsUnsupported, StoreUnreachable
from lfk.core.location import parse_location
from lfk.environment import load
from lfk.stores.notifications import minio as minio_module
from lfk.stores.notifications.minio import MinioNotifications
from lfk.stores.s3_connection import Connection, Endpoint
from tests.conftest import StartServer
from tests.integration.listening import Rig
from tests.integration.scripted_server import Reply, Request, refusal, scripted
from tests.integration.syncing import ROOTS
from tests.services import minio as minio_service
from tests.services import versitygw as versitygw_service
from tests.services.s3 import S3Server
from tests.unit.test_notifications import record
from tests.waiting import wait_until

pytestmark = [pytest.mark.s3, pytest.mark.timeout(240)]

NAMES = [
    "simple/tiny/plain.wav",
    "a b+c.wav",
    "100%25 %2F+.wav",
    "~tilde#hash?&=.wav",
    "ü/ö é 🎧.mp4",
    "quote'\"<>&.wav",
]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    # Where a server holds its stream back, the store is asked this often.
    monkeypatch.setattr(minio_module, "_SILENCE_SECONDS", 2.0)
    monkeypatch.setattr("lfk.roles.outages._LONGEST_SECONDS", 1.0)


def endpoint(server: S3Server) -> Endpoint:
    return Endpoint(
        endpoint_url=server.endpoint_url,
        region=server.region,
        access_key=server.access_key,
        secret_key=server.secret_key,
    )


def rig_on(server: S3Server, bucket: str) -> Rig:
    environ = {**server.environment(), "LFK_STORE": f"s3://{bucket}/lfk"}
    store = wiring.open_store(load(environ=environ, env_file=None))
    audio = parse_location(f"s3://{bucket}/lfk/audio/")
    roots = replace(
        ROOTS,
        audio=audio,
        transcripts=parse_location(f"s3://{bucket}/lfk/transcripts/"),
        records=parse_location(f"s3://{bucket}/lfk/.lfk/"),
    )
    return Rig(MinioNotifications(Connection(endpoint(server)), audio), store, roots)


def test_uploads_of_every_kind_under_names_that_are_hard_to_write(minio: S3Server, minio_bucket: str) -> None:
    rig = rig_on(minio, minio_bucket)
    client = minio.client()
    with rig.running():
        wait_until(lambda: rig.events)
        for name in NAMES:
            client.put_object(Bucket=minio_bucket, Key=f"lfk/audio/{name}", Body=b"RIFF")
        copied = {"Bucket": minio_bucket, "Key": f"lfk/audio/{NAMES[0]}"}
        client.copy_object(Bucket=minio_bucket, Key="lfk/audio/copy of.wav", CopySource=copied)
        upload(client, minio_bucket, "lfk/audio/in parts.wav", os.urandom(6 << 20))
        client.put_object(Bucket=minio_bucket, Key="lfk/audio/notes.txt", Body=b"no audio")
        client.put_object(Bucket=minio_bucket, Key="lfk/transcripts/simple/tiny/x.wav", Body=b"ours")
        client.put_object(Bucket=minio_bucket, Key="elsewhere/x.wav", Body=b"not below the root")
        expected = {*NAMES, "copy of.wav", "in parts.wav"}
        wait_until(lambda: set(rig.sent) >= expected)
    assert set(rig.sent) == expected
    for reference in rig.publisher.references:
        key = reference["path_to_audio"].removeprefix(f"s3://{minio_bucket}/")
        there = client.head_object(Bucket=minio_bucket, Key=key)
        assert (reference["etag"], reference["size"]) == (there["ETag"].strip('"'), there["ContentLength"])


def upload(client, bucket: str, key: str, data: bytes) -> None:  # type: ignore[no-untyped-def]
    """In parts, as every uploader sends what is large."""
    begun = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    parts = []
    for number, start in enumerate(range(0, len(data), 5 << 20), 1):
        part = client.upload_part(
            Bucket=bucket, Key=key, UploadId=begun, PartNumber=number, Body=data[start : start + (5 << 20)]
        )
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    client.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=begun, MultipartUpload={"Parts": parts})


def test_keys_of_the_stream_are_not_encoded(minio: S3Server, minio_bucket: str) -> None:
    """Told, not found: some kilobytes of events make every server send what it has."""
    rig = rig_on(minio, minio_bucket)
    client = minio.client()
    with rig.running():
        wait_until(lambda: rig.events)
        for number in range(20):
            client.put_object(Bucket=minio_bucket, Key=f"lfk/audio/a+b %20{number}.txt", Body=b"x")
            client.put_object(Bucket=minio_bucket, Key=f"lfk/audio/gone+again %20{number}.wav", Body=b"x")
            client.delete_object(Bucket=minio_bucket, Key=f"lfk/audio/gone+again %20{number}.wav")
        wait_until(lambda: any("gone" in name for name in rig.sent))
    # MinIO tells all that a reference needs, so nobody looks whether the object is still there: the hub will.
    assert all(name.startswith("gone+again %20") for name in rig.sent)


def test_a_restart_and_an_outage_of_the_server(own_server: StartServer) -> None:
    running = own_server(minio_service)
    server: S3Server = running.address
    client = server.client()
    client.create_bucket(Bucket="restarted")
    rig = rig_on(server, "restarted")
    with rig.running():
        wait_until(lambda: rig.events)
        client.put_object(Bucket="restarted", Key="lfk/audio/before.wav", Body=b"x")
        wait_until(lambda: "before.wav" in rig.sent)
        running.process.kill()
        wait_until(lambda: len(rig.pauses) >= 2)
        assert isinstance(rig.pauses[0].error, StoreUnreachable)
        running.process.start()
        client.put_object(Bucket="restarted", Key="lfk/audio/after.wav", Body=b"x")
        wait_until(lambda: "after.wav" in rig.sent)
        began = time.monotonic()
    assert time.monotonic() - began < 15
    assert sorted(rig.sent) == ["after.wav", "before.wav"]


@pytest.mark.parametrize("broken", ["bucket", "keys"])
def test_what_may_not_be_listened_to_ends_it_with_a_clear_error(
    minio: S3Server, minio_bucket: str, broken: str
) -> None:
    if broken == "bucket":
        rig = rig_on(minio, "no-such-bucket-anywhere")
        with pytest.raises(BucketMissing):
            rig.listener().run()
    else:
        rig = rig_on(replace(minio, secret_key="wrong"), minio_bucket)
        with pytest.raises(AccessDenied) as refused:
            rig.listener().run()
        assert refused.value.exit_code == 2


def test_a_bucket_that_may_be_listed_but_not_listened_to(minio: S3Server, minio_bucket: str) -> None:
    """The keys of the stream are refused, and those of the store are not."""
    rig = rig_on(minio, minio_bucket)
    rig.source = MinioNotifications(Connection(replace(endpoint(minio), secret_key="wrong")), rig.roots.audio)
    with pytest.raises(AccessDenied, match="SignatureDoesNotMatch"):
        rig.listener().run()


def test_a_server_that_does_not_tell_says_so(own_server: StartServer) -> None:
    server: S3Server = own_server(versitygw_service).address
    server.client().create_bucket(Bucket="mute")
    rig = rig_on(server, "mute")
    with pytest.raises(NotificationsUnsupported, match="does not tell") as refused:
        rig.listener().run()
    assert "--source sqs" in refused.value.hint


def test_aws_itself_does_not_tell() -> None:
    with pytest.raises(NotificationsUnsupported), MinioNotifications(Connection(Endpoint()), ROOTS.audio):
        pass


# --- a server that sends what a test wants


class Recorder:
    """An intake that takes everything."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.refusals: list[str] = []
        self.gaps = 0
        self.closed = False

    def offer(self, delivery, timeout=None) -> bool:  # type: ignore[no-untyped-def]
        self.keys += [sighting.location.key for sighting in delivery.notification.created]
        return True

    def refused(self, reason: str) -> None:
        self.refusals.append(reason)

    def missed(self) -> None:
        self.gaps += 1


STREAM = {"Content-Type": "text/event-stream"}


@contextlib.contextmanager
def said(reply: Reply) -> Iterator[tuple[MinioNotifications, list[Request]]]:
    with scripted(lambda _request: reply) as server:
        of_script = Endpoint(endpoint_url=server.url, region="eu-x", access_key="key", secret_key="secret")
        yield MinioNotifications(Connection(of_script), parse_location("s3://recordings/audio/")), server.requests


def line(key: str) -> bytes:
    return json.dumps({"Records": [record(key)]}).encode() + b"\n"


def run(source: MinioNotifications, intake: Recorder) -> Exception | None:
    try:
        source.run(intake)
    except Exception as error:  # noqa: BLE001 - the test looks at it
        return error
    return None


def test_lines_come_out_one_by_one_whatever_is_between_them() -> None:
    body = b"   " + line("a b+%2B.wav") + b"  " * 5000 + line("b.wav")
    body += b'{"Records":null}\n' + b" \n" + line("c.wav") + b" "
    intake = Recorder()
    with said(Reply(200, body, STREAM)) as (source, requests):
        error = run(source, intake)
    assert intake.keys == ["a b+%2B.wav", "b.wav", "c.wav"]
    assert isinstance(error, StoreUnreachable)
    assert len(requests) == intake.gaps == 1
    assert requests[0].query == {"prefix": "audio/", "suffix": "", "events": "s3:ObjectCreated:*"}
    assert "/eu-x/s3/aws4_request" in requests[0].headers["authorization"]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(200, b"", STREAM), StoreUnreachable),
        (Reply(200, b"{half a line", STREAM), StoreUnreachable),
        (Reply(200, b"not JSON\n", STREAM), StoreUnreachable),
        (Reply(200, b"[]\n", STREAM), StoreUnreachable),
        (Reply(200, b'{"other": 1}\n', STREAM), StoreUnreachable),
        (Reply(200, b"\xff\n", STREAM), StoreUnreachable),
        (Reply(200, b"x" * (2 << 20), STREAM), StoreUnreachable),
        (Reply(200, line("a.wav"), STREAM, length=100_000), StoreUnreachable),
        (Reply(200, b"<ListBucketResult/>", {"Content-Type": "application/xml"}), NotificationsUnsupported),
        (Reply(301, b"", {"Location": "http://169.254.169.254/"}), StoreUnreachable),
        (Reply(502, b"<html>bad gateway</html>", {"Content-Type": "text/html"}), StoreUnreachable),
        (replace(refusal(403, "AccessDenied"), headers={"Content-Type": "application/xml"}), AccessDenied),
        (replace(refusal(503, "SlowDown"), headers={"Content-Type": "application/xml"}), StoreUnreachable),
        (Reply(silent=True), StoreUnreachable),
    ],
    ids=lambda value: f"{value.status} {value.body[:20]!r}" if isinstance(value, Reply) else "",
)
def test_whatever_else_comes_is_an_error_of_ours_after_one_request(reply: Reply, error: type[Exception]) -> None:
    with said(reply) as (source, requests):
        assert isinstance(run(source, Recorder()), error)
        assert len(requests) == 1


def test_a_record_of_unknown_form_is_told_of() -> None:
    intake = Recorder()
    with said(Reply(200, b'{"Records": 5}\n', STREAM)) as (source, _requests):
        run(source, intake)
    assert len(intake.refusals) == 1


@pytest.mark.parametrize("when", ["before the head", "after it"])
def test_silence_is_noticed_and_can_be_cut_off(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minio_module, "_SILENCE_SECONDS", 0.3)
    monkeypatch.setattr(minio_module, "_HEAD_SECONDS", 0.3)
    reply = Reply(hang=True) if when == "before the head" else Reply(200, b" ", STREAM, length=1000)
    intake = Recorder()
    outcome: list[Exception | None] = []
    with held(reply) as source:
        thread = threading.Thread(target=lambda: outcome.append(run(source, intake)))
        thread.start()
        wait_until(lambda: intake.gaps >= 3)
        intake.closed = True
        thread.join(10)
        assert not thread.is_alive()
    assert outcome == [None]


@contextlib.contextmanager
def held(reply: Reply) -> Iterator[MinioNotifications]:
    """A server that says this much, and then nothing, and does not close."""
    ended = threading.Event()

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection, _peer = listener.accept()
            with connection:
                connection.recv(65536)
                if not reply.hang:
                    connection.sendall(reply.to_bytes(head=False))
                ended.wait(60)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        of_script = Endpoint(endpoint_url=url, region="eu-x", access_key="key", secret_key="secret")
        try:
            yield MinioNotifications(Connection(of_script), parse_location("s3://recordings/audio/"))
        finally:
            ended.set()
            thread.join()
