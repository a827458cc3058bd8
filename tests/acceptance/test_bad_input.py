"""Bad input through the real command line: one clear line each, the right exit code, and the rest goes on."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.bad_media import FAILS, WORKS, tone
from tests.acceptance.command import Done, Lfk
from tests.services.s3 import S3Server


def one_line(done: Done, code: int, error: str) -> str:
    """The command's only error line; it ends with its code and the next step."""
    lines = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert done.code == code, done.err
    assert len(lines) == 1, done.err
    assert f"[{error}] - " in lines[0]
    assert "Traceback" not in done.err
    return lines[0]


@pytest.fixture
def lfk(tmp_path: Path) -> Lfk:
    return Lfk(tmp_path, LFK_STORE="store", LFK_ENGINE="canned")


def closed_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_no_such_folder(lfk: Lfk) -> None:
    assert "nowhere" in one_line(lfk("sync", "nowhere"), 2, "usage")


def test_no_such_file_of_settings(lfk: Lfk) -> None:
    assert "absent.env" in one_line(lfk("sync", "rec", "--env-file", "absent.env"), 2, "usage")


def test_no_such_command() -> None:
    done = Lfk(Path.cwd())("sing")
    assert done.code == 2
    assert "sing" in done.err


def test_a_reader_that_has_gone(tmp_path: Path) -> None:
    command = f"{sys.executable} -m lfk doctor -v | head -1"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        ("sync rec -v >/dev/full", 1, "error: the output cannot be written: No space left on device - make room"),
        ("--help >/dev/full", 1, "error: the output cannot be written"),
        ("sync rec -v >&-", 0, ""),
        ("sync rec --json >&- 2>&-", 0, ""),
        ("sync nowhere 2>/dev/full", 2, ""),
        ("submit - <&-", 0, ""),
        ("sync rec -v", 0, ""),
    ],
)
def test_streams_that_cannot_be_used(tmp_path: Path, command: str, code: int, told: str) -> None:
    """Full, closed, or of few characters: a command does its work, or says in a line why not."""
    (tmp_path / "rec").mkdir()
    (tmp_path / "rec" / "日本語.wav").write_bytes(b"RIFF")
    lfk = Lfk(tmp_path, LFK_STORE="store", PYTHONIOENCODING="ascii")
    argv = ["bash", "-c", f"{sys.executable} -m lfk {command}"]
    done = subprocess.run(argv, cwd=tmp_path, env=dict(lfk.environ), capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.returncode == code
    assert told in done.stderr


def test_a_setting_that_cannot_be_used(tmp_path: Path) -> None:
    done = Lfk(tmp_path, LFK_WORKERS="many")("hub")
    assert "LFK_WORKERS" in one_line(done, 2, "usage")


def test_a_default_model_that_is_not_listed(tmp_path: Path) -> None:
    done = Lfk(tmp_path, LFK_STORE="store", LFK_DEFAULT_MODEL="nonsense")("sync", str(tmp_path), "--dry-run")
    assert "LFK_DEFAULT_MODEL" in one_line(done, 2, "usage")


@pytest.mark.parametrize("where", ["taken", "taken/below"])
def test_a_store_folder_that_cannot_be_made(tmp_path: Path, where: str) -> None:
    (tmp_path / "taken").write_bytes(b"kept")
    (tmp_path / "in").mkdir()
    tone(tmp_path / "in" / "a.wav", 0.2)
    done = Lfk(tmp_path, LFK_STORE=where, LFK_ENGINE="canned")("sync", "in")
    assert "taken" in one_line(done, 2, "bucket_missing")
    assert (tmp_path / "taken").read_bytes() == b"kept"


def test_a_misspelt_setting_is_named(tmp_path: Path) -> None:
    (tmp_path / "recordings").mkdir()
    done = Lfk(tmp_path, LFK_STORE="store", LFK_WORKER="2")("sync", "recordings")
    assert done.code == 0
    assert "did you mean LFK_WORKERS?" in done.err


def test_odd_files_in_a_folder(lfk: Lfk, tmp_path: Path) -> None:
    folder = tmp_path / "recordings" / "simple" / "tiny"
    folder.mkdir(parents=True)
    tone(folder / "good.wav", 0.2)
    (folder / "empty.wav").touch()
    (folder / "folder.wav").mkdir()
    (folder / "gone.wav").symlink_to(folder / "nothing")
    os.mkfifo(folder / "pipe.wav")
    Path(os.fsdecode(os.fsencode(str(folder)) + b"/broken\xff.wav")).write_bytes(b"x")
    misfit = tmp_path / "recordings" / "simple" / "gigantic" / "x.wav"
    misfit.parent.mkdir()
    tone(misfit, 0.2)
    done = lfk("sync", "recordings")
    assert done.code == 1
    lines = [line for line in done.err.splitlines() if line.startswith("error: ")]
    assert any("empty.wav" in line and "[audio_empty]" in line for line in lines)
    assert any("gigantic" in line and "[unknown_model]" in line for line in lines)
    assert any("broken" in line and "UTF-8" in line for line in lines)
    assert any("gone.wav" in line for line in lines)
    assert all(" - " in line for line in lines)
    assert (tmp_path / "store/audio/simple/tiny/good.wav").is_file()
    assert "1 new" in done.out


@pytest.mark.s3
def test_a_bucket_that_is_not_there(tmp_path: Path, s3_server: S3Server) -> None:
    (tmp_path / "recordings").mkdir()
    lfk = Lfk(tmp_path, LFK_STORE="s3://no-such-bucket-of-lfk", **s3_server.environment())
    one_line(lfk("sync", "recordings"), 2, "bucket_missing")


@pytest.mark.s3
def test_wrong_credentials(tmp_path: Path, s3_server: S3Server, bucket: str) -> None:
    (tmp_path / "recordings").mkdir()
    environ = {**s3_server.environment(), "AWS_SECRET_ACCESS_KEY": "not-the-secret"}
    done = Lfk(tmp_path, LFK_STORE=f"s3://{bucket}", **environ)("sync", "recordings")
    one_line(done, 2, "access_denied")
    assert "not-the-secret" not in done.err + done.out


def test_a_store_that_does_not_answer(tmp_path: Path) -> None:
    (tmp_path / "recordings").mkdir()
    lfk = Lfk(
        tmp_path,
        LFK_STORE="s3://bucket",
        AWS_ENDPOINT_URL_S3=f"http://127.0.0.1:{closed_port()}",
        AWS_ACCESS_KEY_ID="key",
        AWS_SECRET_ACCESS_KEY="secret",
        AWS_REGION="us-east-1",
    )
    one_line(lfk("sync", "recordings"), 3, "store_unreachable")


@pytest.mark.parametrize("verb", [("sync", "recordings"), ("hub",), ("transcripts",), ("init",)])
def test_a_broker_that_does_not_answer(tmp_path: Path, verb: tuple[str, ...]) -> None:
    (tmp_path / "recordings").mkdir()
    (tmp_path / "store").mkdir()
    lfk = Lfk(tmp_path, LFK_STORE="store", LFK_ENGINE="canned", BOOTSTRAP_SERVERS=f"127.0.0.1:{closed_port()}")
    one_line(lfk(*verb), 3, "broker_unreachable")


def test_a_schema_registry_out_of_reach_is_told_clearly(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    lfk = Lfk(tmp_path, LFK_STORE="store", LFK_ENGINE="canned", SCHEMA_REGISTRY_URL="http://127.0.0.1:1")
    one_line(lfk("hub", "--exit-when-idle", "1"), 3, "registry_unreachable")


def test_submit_what_is_not_there_or_not_ours(lfk: Lfk, tmp_path: Path) -> None:
    (tmp_path / "store/audio").mkdir(parents=True)
    done = lfk("submit", "simple/tiny/none.wav", "s3://foreign/x.wav", "../../etc/passwd", "/etc/passwd")
    assert done.code == 1
    lines = [line for line in done.err.splitlines() if line.startswith("error: ")]
    codes = [line.partition("[")[2].partition("]")[0] for line in lines]
    assert sorted(codes) == ["forbidden_location", "forbidden_location", "invalid_location", "object_missing"]


@pytest.mark.engine
@pytest.mark.slow
def test_bad_media_fail_alone(tmp_path: Path) -> None:
    folder = tmp_path / "recordings" / "simple" / "tiny"
    folder.mkdir(parents=True)
    for name, (_code, make) in FAILS.items():
        make(folder / name)
    for name, make in WORKS.items():
        make(folder / name)
    lfk = Lfk(tmp_path, LFK_STORE="store", LFK_BACKOFF="0.2")
    synced = lfk("sync", "recordings")
    assert synced.code == 0, synced.err
    hub = lfk("hub", "--json", "--workers", "1", "--exit-when-idle", "10")
    assert hub.code == 1, hub.err
    answers = {one["path_to_audio"].rpartition("/")[2]: one for one in hub.of("transcript")}
    assert set(answers) == {*FAILS, *WORKS}
    for name, (code, _make) in FAILS.items():
        assert answers[name]["error"]["code"] == code, name
        assert answers[name]["error"]["message"]
    for name in WORKS:
        assert answers[name]["status"] == "done", answers[name]
    assert answers["silence.wav"]["no_speech"]
    failed = list((tmp_path / "store/.lfk/failed").iterdir())
    assert len(failed) == len(FAILS)
