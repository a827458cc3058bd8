"""``lfk listen`` as users run it: uploads by others become transcripts; what it prints, and how it ends."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import wave
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

from tests.acceptance.command import Lfk
from tests.acceptance.test_pipeline import expect_ok, make_recordings, on_servers
from tests.conftest import StartServer
from tests.integration.queue_server import queue_server
from tests.services import minio as minio_service
from tests.services.process import free_ports
from tests.services.s3 import S3Server
from tests.waiting import wait_until

pytestmark = [pytest.mark.timeout(400)]

TOKEN = "0123456789abcdef"


def speech(number: int) -> bytes:
    """A little recording unlike others."""
    data = BytesIO()
    with wave.open(data, "wb") as audio:
        audio.setnchannels(1)
        audio.setsampwidth(2)
        audio.setframerate(16000)
        audio.writeframes(bytes([number, 2]) * 1600)
    return data.getvalue()


class Service:
    """A listener in the background with ``--json``; what it printed so far can be looked at."""

    def __init__(self, lfk: Lfk, *arguments: str) -> None:
        self.out = lfk.folder / "listen.out"
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                lfk.argv(("listen", "--json", *arguments)),
                cwd=lfk.folder,
                env=dict(lfk.environ),
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def events(self, kind: str) -> list[dict[str, Any]]:
        # The last line may be half written, and warnings of the log are none of ours.
        lines = self.out.read_text(encoding="utf-8").split("\n")[:-1]
        events = [json.loads(line) for line in lines if line.startswith("{")]
        return [event for event in events if event["event"] == kind]

    @property
    def sent(self) -> list[str]:
        return [event["reference"]["path_to_audio"].partition("/audio/")[2] for event in self.events("reference")]

    def wait(self, condition: Callable[[], Any]) -> None:
        wait_until(condition, lambda: self.out.read_text(encoding="utf-8"), alive=[self.process], seconds=120)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> dict[str, Any]:
        """The summary."""
        self.process.send_signal(how)
        assert self.process.wait(30) == 0, self.out.read_text(encoding="utf-8")
        return self.events("summary")[0]


@contextlib.contextmanager
def serving(lfk: Lfk, *arguments: str) -> Iterator[Service]:
    service = Service(lfk, *arguments)
    try:
        service.wait(lambda: service.events("listening"))
        yield service
    finally:
        service.process.kill()
        service.process.wait()


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.slow
def test_what_others_upload_to_minio_becomes_transcripts(
    tmp_path: Path, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str
) -> None:
    lfk = on_servers(tmp_path, kafka, minio, minio_bucket, topic_prefix)
    expect_ok(lfk("init"))
    client = minio.client()
    names = ["simple/tiny/a+b 100%25 ü~#.wav", "diarisation/base/week 1/talk.wav", "bare.wav"]
    client.put_object(Bucket=minio_bucket, Key=f"lfk/audio/{names[0]}", Body=speech(0))
    planned = expect_ok(lfk("listen", "--dry-run"))
    assert f"would send  s3://{minio_bucket}/lfk/audio/{names[0]}" in planned.out
    assert "would send 1 references" in planned.out
    assert expect_ok(lfk("listen", "--dry-run", "--on", "done-marker", "--json")).of("summary")[0]["sent"] == 0
    with serving(lfk) as service:
        service.wait(lambda: names[0] in service.sent)
        for number, name in enumerate(names[1:], 1):
            client.put_object(Bucket=minio_bucket, Key=f"lfk/audio/{name}", Body=speech(number))
        make_recordings(tmp_path / "recordings", 2)
        expect_ok(lfk("sync", "recordings", "--option", "language=de"))
        service.wait(lambda: set(service.sent) == set(names))
        hub = lfk("hub", "--workers", "2", "--max-jobs", "5", "--json")
        assert sorted(event["status"] for event in hub.of("transcript")) == ["done"] * 5
        summary = service.stop()
    assert (summary["sent"], summary["failed"], summary["left"]) == (3, 0, 0)
    # What sync sent with its options was left to it.
    german = [event for event in hub.of("transcript") if "talk " in event["path_to_audio"]]
    assert [event["language"] for event in german] == ["de", "de"]
    transcripts = {event["path_to_transcript"] for event in hub.of("transcript")}
    assert f"s3://{minio_bucket}/lfk/transcripts/{names[0]}.json" in transcripts
    assert f"s3://{minio_bucket}/lfk/transcripts/simple/tiny/bare.wav.json" in transcripts


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.slow
def test_minio_posts_to_the_webhook_and_nothing_is_lost_while_nobody_listens(
    tmp_path: Path, kafka: str, own_server: StartServer, topic_prefix: str
) -> None:
    (port,) = free_ports(1)
    target = {
        "ENABLE": "on",
        "ENDPOINT": f"http://127.0.0.1:{port}/",
        "AUTH_TOKEN": TOKEN,
        "QUEUE_DIR": str(tmp_path / "queue"),
    }
    environ = {f"MINIO_NOTIFY_WEBHOOK_{name}_LFK": value for name, value in target.items()}
    server: S3Server = own_server(minio_service, environ=environ).address
    client = server.client()
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    lfk = on_servers(tmp_path, kafka, server, "recordings", topic_prefix)
    lfk.environ = {**lfk.environ, "LFK_WEBHOOK_TOKEN_FILE": "token"}
    expect_ok(lfk("init"))
    client.put_bucket_notification_configuration(
        Bucket="recordings",
        NotificationConfiguration={
            "QueueConfigurations": [
                {
                    "QueueArn": "arn:minio:sqs::LFK:webhook",
                    "Events": ["s3:ObjectCreated:*"],
                    "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "lfk/audio/"}]}},
                }
            ]
        },
        SkipDestinationValidation=True,
    )
    listen = ("--source", "webhook", "--address", f"127.0.0.1:{port}", "--reconcile", "0")
    with serving(lfk, *listen) as service:
        service.wait(lambda: service.events("reconciled"))
        names = ["simple/tiny/a+b 100%25 ü~#.wav", "x/y z.mp4"]
        for name in names:
            client.put_object(Bucket="recordings", Key=f"lfk/audio/{name}", Body=b"RIFF")
        service.wait(lambda: set(service.sent) == set(names))
        assert {event["how"] for event in service.events("reference")} == {"told"}
        assert service.stop()["found"] == 0
    client.put_object(Bucket="recordings", Key="lfk/audio/meanwhile.wav", Body=b"RIFF")
    with serving(lfk, *listen) as service:
        service.wait(lambda: "meanwhile.wav" in service.sent)


@pytest.mark.kafka
@pytest.mark.s3
@pytest.mark.slow
def test_markers_through_a_queue(
    tmp_path: Path, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str
) -> None:
    lfk = on_servers(tmp_path, kafka, minio, minio_bucket, topic_prefix)
    expect_ok(lfk("init"))
    client = minio.client()
    with (
        queue_server() as queue,
        serving(lfk, "--source", "sqs", "--queue", queue.queue_url, "--on", "done-marker") as service,
    ):
        service.wait(lambda: service.events("reconciled"))

        def upload(name: str) -> None:
            client.put_object(Bucket=minio_bucket, Key=f"lfk/audio/{name}", Body=b"RIFF")
            thing = {"key": quote_plus(f"lfk/audio/{name}", safe="/"), "size": 4, "sequencer": "1"}
            place = {"bucket": {"name": minio_bucket}, "object": thing}
            record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": place}
            queue.send({"Records": [record]})

        for name in ("week 1/a+b.wav", "week 1/deep/c.wav", "week 2/d.wav"):
            upload(name)
        service.wait(lambda: not queue.messages)
        assert service.sent == []
        upload("week 1/done.txt")
        service.wait(lambda: not queue.messages)
        assert set(service.sent) == {"week 1/a+b.wav", "week 1/deep/c.wav"}
        assert service.stop(signal.SIGINT)["sent"] == 2


@pytest.mark.s3
def test_without_a_broker_the_references_wait_in_the_store(tmp_path: Path, minio: S3Server, minio_bucket: str) -> None:
    lfk = Lfk(tmp_path, LFK_STORE=f"s3://{minio_bucket}/lfk", **minio.environment())
    minio.client().put_object(Bucket=minio_bucket, Key="lfk/audio/a.wav", Body=b"RIFF")
    with serving(lfk, "--source", "webhook", "--address", "127.0.0.1:0") as service:
        service.wait(lambda: service.sent == ["a.wav"])
        service.stop()
    listed = minio.client().list_objects_v2(Bucket=minio_bucket, Prefix="lfk/.lfk/outbox/")
    assert listed["KeyCount"] == 1


@pytest.mark.s3
def test_plain_lines_for_people(tmp_path: Path, minio: S3Server, minio_bucket: str) -> None:
    lfk = Lfk(tmp_path, LFK_STORE=f"s3://{minio_bucket}/lfk", **minio.environment())
    minio.client().put_object(Bucket=minio_bucket, Key="lfk/audio/two\nlines.wav", Body=b"RIFF")
    process = lfk.start("listen", "--source", "webhook", "--address", "127.0.0.1:0")
    assert process.stdout is not None
    lines = [process.stdout.readline() for _line in range(2)]
    process.send_signal(signal.SIGTERM)
    rest, _none = process.communicate(timeout=60)
    assert process.returncode == 0
    assert lines[0].startswith("listening to http://127.0.0.1:")
    assert lines[1] == f"sent  s3://{minio_bucket}/lfk/audio/two\\nlines.wav  0.0 MB  (found)\n"
    assert rest.startswith("sent 1 references, 0.0 MB of audio in ")
    assert "1 found by looking, 0 other events, 0 failed\n" in rest
    assert "references wait" in rest


@pytest.mark.s3
@pytest.mark.slow
def test_the_doctor_looks_at_what_is_to_be_listened_to(tmp_path: Path, minio: S3Server, minio_bucket: str) -> None:
    def looked(**environ: str) -> list[tuple[str, str]]:
        keys = {"AWS_ACCESS_KEY_ID": minio.access_key, "AWS_SECRET_ACCESS_KEY": minio.secret_key}
        place = {"LFK_STORE": f"s3://{minio_bucket}/lfk", "AWS_ENDPOINT_URL_S3": minio.endpoint_url}
        settings = {**place, **keys, "AWS_REGION": minio.region, "LFK_ENGINE": "canned", **environ}
        done = Lfk(tmp_path, **settings)("doctor", "--json")
        checks = [event for event in done.of("check") if event["name"] == "listen"]
        return [(one["verdict"], one["text"]) for one in checks]

    assert looked() == []
    ((verdict, text),) = looked(LFK_LISTEN_SOURCE="minio")
    assert (verdict, "takes listeners" in text) == ("ok", True)
    ((verdict, _text),) = looked(LFK_LISTEN_SOURCE="minio", AWS_SECRET_ACCESS_KEY="another")
    assert verdict == "fail"
    with queue_server() as queue:
        ((verdict, text),) = looked(LFK_LISTEN_SOURCE="sqs", LFK_LISTEN_QUEUE=queue.queue_url)
        assert (verdict, text) == ("ok", f"{queue.queue_url} is there")
    ((verdict, _text),) = looked(LFK_LISTEN_SOURCE="sqs", LFK_LISTEN_QUEUE=queue.queue_url)
    assert verdict == "fail"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ((verdict, text),) = looked(LFK_LISTEN_SOURCE="webhook", LFK_WEBHOOK_ADDRESS=address)
        assert (verdict, "cannot listen" in text) == ("fail", True)
    ((verdict, text),) = looked(LFK_LISTEN_SOURCE="webhook", LFK_WEBHOOK_ADDRESS=address)
    assert (verdict, "is free" in text) == ("ok", True)


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        ((), {"LFK_STORE": "store"}, "folders send no notifications"),
        (("--source", "sqs"), {}, "no queue is named"),
        (("--source", "carrier-pigeon"), {}, "invalid choice"),
        (("--source", "webhook", "--address", "0.0.0.0:0"), {}, "anybody could send"),
        (("--source", "webhook", "--address", "8790"), {}, "is not host:port"),
        (("--on", "done-marker", "--marker-name", "a/b"), {}, "LFK_MARKER_NAME"),
        ((), {"AWS_ENDPOINT_URL_S3": ""}, "does not tell of new objects by itself"),
        (("--reconcile", "often"), {}, "often"),
        (("--source", "webhook"), {"LFK_WEBHOOK_TOKEN_FILE": "nowhere"}, "cannot read nowhere"),
    ],
    ids=str,
)
def test_what_cannot_be_listened_to_is_said_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], environ: dict[str, str], said: str
) -> None:
    s3 = {
        "LFK_STORE": "s3://bucket/lfk",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }
    done = Lfk(tmp_path, **{**s3, **environ})("listen", *arguments)
    assert done.code == 2, done.err
    assert said in done.err
    assert "Traceback" not in done.err


@pytest.mark.s3
@pytest.mark.parametrize("wrong", ["bucket", "keys"])
def test_a_bucket_that_may_not_be_read(tmp_path: Path, minio: S3Server, minio_bucket: str, wrong: str) -> None:
    environ = {**minio.environment(), "LFK_STORE": f"s3://{minio_bucket}/lfk"}
    if wrong == "bucket":
        environ["LFK_STORE"] = "s3://no-such-bucket-anywhere/lfk"
    else:
        environ["AWS_SECRET_ACCESS_KEY"] = "wrong"
    done = Lfk(tmp_path, **environ)("listen")
    assert done.code == 2
    (line,) = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert {"bucket": "[bucket_missing]", "keys": "[access_denied]"}[wrong] in line


def test_services_that_are_away_are_waited_for(tmp_path: Path) -> None:
    lfk = Lfk(
        tmp_path,
        LFK_STORE="s3://bucket/lfk",
        AWS_ENDPOINT_URL_S3="http://127.0.0.1:9",
        AWS_ACCESS_KEY_ID="key",
        AWS_SECRET_ACCESS_KEY="secret",
        BOOTSTRAP_SERVERS="127.0.0.1:9",
    )
    process = lfk.start("listen", "--source", "webhook", "--address", "127.0.0.1:0")
    assert process.stdout is not None
    line = process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    rest, _none = process.communicate(timeout=60)
    assert line.startswith("error: waiting 1 s: s3://bucket/lfk/audio/: no connection")
    assert process.returncode == 0
    assert "sent 0 references" in rest
