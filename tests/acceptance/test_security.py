"""Hostile names and secret keys through whole commands: no screen, log, message or process list shows them."""

from __future__ import annotations

import json
import secrets
import threading
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.acceptance.command import Done, Lfk
from tests.acceptance.test_pipeline import expect_ok, make_recordings
from tests.services.s3 import S3Server

#: Moves the cursor, sets the title, colours by an 8-bit control, turns the text around, breaks the line.
HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202egnp.\u2028\nerror: all is lost.wav"


def printable_lines(done: Done) -> None:
    for line in (done.out + done.err).split("\n"):
        assert line.isprintable(), repr(line)


def test_a_name_that_would_drive_a_terminal_is_shown_as_text(tmp_path: Path) -> None:
    lfk = Lfk(tmp_path, LFK_STORE="store", LFK_ENGINE="canned")
    folder = tmp_path / "recordings/simple/tiny"
    folder.mkdir(parents=True)
    (folder / HOSTILE).write_bytes(b"speech")
    (folder / f"empty {HOSTILE}").write_bytes(b"")
    expect_ok(lfk("init"))
    printable_lines(lfk("sync", "recordings", "-vv"))
    printable_lines(lfk("submit", f"simple/tiny/{HOSTILE}", f"missing/{HOSTILE}", "-vv", "--json"))
    printable_lines(lfk("hub", "--max-jobs", "2", "-vv", "--exit-when-idle", "3"))
    printable_lines(lfk("transcripts", "-vv"))
    printable_lines(lfk("transcripts", "-vv", "--json"))
    for command in ("check", "status", "dlq list", "republish --dry-run", "cleanup --older-than 0 --json"):
        printable_lines(lfk(*command.split(), "-vv"))
    printable_lines(lfk("forget", f"simple/tiny/{HOSTILE}", "--dry-run"))
    (done,) = lfk("forget", f"simple/tiny/{HOSTILE}", "--yes", "--json").of("summary")
    assert done["left"] == 0
    assert done["removed"] > 5, "the name meant just itself all along"


def command_lines(pid: int) -> Iterator[str]:
    """What the process list shows of a process and of all that it has started."""
    try:
        yield Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from command_lines(int(child))
    except OSError:
        return  # it has ended


@pytest.mark.s3
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
def test_keys_reach_neither_screen_nor_log_nor_message_nor_process_list(
    tmp_path: Path, minio: S3Server, minio_bucket: str
) -> None:
    (tmp_path / "key").write_text(f"{minio.secret_key}\n")
    other = secrets.token_hex(16)
    settings = {
        **minio.environment(),
        "LFK_STORE": f"s3://{minio_bucket}/lfk",
        "LFK_ENGINE": "canned",
        "LFK_CANNED_SECONDS": "3",
        "LFK_HEALTH": "",
        "HF_TOKEN": other,
        "LFK_WEBHOOK_TOKEN": other,
    }
    del settings["AWS_SECRET_ACCESS_KEY"]
    lfk = Lfk(tmp_path, AWS_SECRET_ACCESS_KEY_FILE=str(tmp_path / "key"), **settings)
    make_recordings(tmp_path / "recordings", 1)
    said = [expect_ok(lfk("init", "-vv")), expect_ok(lfk("sync", "recordings", "-vv"))]
    seen: set[str] = set()
    with lfk.running("hub", "-vv", "--max-jobs", "1") as hub:
        while hub.poll() is None:
            seen.update(command_lines(hub.pid))
            time.sleep(0.05)
        assert hub.stdout is not None
        said.append(Done(hub.returncode, hub.stdout.read(), ""))
    said += [lfk(command, "-vv", "--json") for command in ("doctor", "status", "check")]
    linked = expect_ok(lfk("transcripts", "--links", "--json"))
    assert "X-Amz-Signature" in linked.out, "made on demand, for whoever asks"
    said.append(expect_ok(lfk("transcripts", "-vv")))
    text = "\n".join(done.out + done.err for done in said)
    for secret in (minio.secret_key, other, "X-Amz-Signature", "Signature="):
        assert secret not in text
        assert not [line for line in seen if secret in line]
    assert any("hub" in line for line in seen), "it was looked at while it ran"
    client = minio.client()
    for listed in client.list_objects_v2(Bucket=minio_bucket)["Contents"]:
        body = client.get_object(Bucket=minio_bucket, Key=listed["Key"])["Body"].read()
        for secret in (minio.secret_key, other, "X-Amz-Signature"):
            assert secret.encode() not in body, listed["Key"]


class _InstanceRole(BaseHTTPRequestHandler):
    """The address at which a cloud tells its machines their keys, in its second version."""

    keys: Mapping[str, str]

    def do_PUT(self) -> None:
        self._answer(b"session")

    def do_GET(self) -> None:
        if self.headers["X-aws-ec2-metadata-token"] != "session":
            self.send_error(401)
        elif self.path.endswith("/security-credentials/"):
            self._answer(b"lfk-hub")
        else:
            self._answer(json.dumps(self.keys).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Nothing is told."""


@pytest.mark.s3
def test_keys_come_from_an_instance_role(tmp_path: Path, minio: S3Server, minio_bucket: str) -> None:
    handler = type("Handler", (_InstanceRole,), {})
    handler.keys = {
        "Code": "Success",
        "AccessKeyId": minio.access_key,
        "SecretAccessKey": minio.secret_key,
        "Token": "",
        "Expiration": "2099-01-01T00:00:00Z",
    }
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        lfk = Lfk(
            tmp_path,
            LFK_STORE=f"s3://{minio_bucket}/lfk",
            AWS_ENDPOINT_URL_S3=minio.endpoint_url,
            AWS_REGION=minio.region,
            AWS_EC2_METADATA_SERVICE_ENDPOINT=f"http://127.0.0.1:{server.server_port}/",
        )
        make_recordings(tmp_path / "recordings", 1)
        done = expect_ok(lfk("sync", "recordings", "-vv"))
        server.shutdown()
    assert "1 new" in done.out
    assert minio.secret_key not in done.out + done.err


def test_a_reference_opens_nothing_beyond_the_store(tmp_path: Path) -> None:
    """Locations are no addresses to fetch from: what is not below the roots is refused before anything is opened."""
    lfk = Lfk(tmp_path, LFK_STORE="store", LFK_ENGINE="canned")
    expect_ok(lfk("init"))
    outside = tmp_path / "outside.wav"
    outside.write_bytes(b"secret speech")
    (tmp_path / "store/audio").mkdir(exist_ok=True)
    (tmp_path / "store/audio/link.wav").symlink_to(outside)
    names = [
        "http://127.0.0.1:1/x.wav",
        "https://169.254.169.254/latest/meta-data/x.wav",
        "s3://somebody-else/x.wav",
        f"file://{outside}",
        "../outside.wav",
        "/etc/hostname",
        "C:\\x.wav",
        "link.wav",
    ]
    done = lfk("submit", "--trust", *names[:-1], "--json")
    assert done.code == 1
    assert len([line for line in done.err.splitlines() if '"rejected' in line or "_location" in line]) == len(names) - 1
    # Also where no sender has looked at them.
    outbox = tmp_path / "store/.lfk/outbox"
    outbox.mkdir(parents=True, exist_ok=True)
    expect_ok(lfk("submit", "--trust", "any.wav"))
    (record,) = outbox.iterdir()
    template = json.loads(record.read_text())
    for number, name in enumerate(names):
        value = b64encode(json.dumps({"path_to_audio": name}).encode()).decode()
        (outbox / f"00{number}.json").write_text(json.dumps({**template, "value": value}))
    record.unlink()
    answered = lfk("hub", "--max-jobs", str(len(names)), "--exit-when-idle", "5", "--json")
    codes = [event["error"]["code"] for event in answered.of("transcript")]
    assert len(codes) == len(names)
    assert set(codes) <= {"forbidden_location", "invalid_location", "access_denied"}
    assert not list((tmp_path / "store").rglob("transcripts/**/*.txt"))
