"""What a fresh process loads: help loads next to nothing, and the roles that only move files never load an engine.

Kept as lists of what must not be there, as the reason differs: torch alone costs seconds and a gigabyte, boto3 a
third of a second, and a base installation has no engine at all.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lfk.cli.main import VERBS
from tests.acceptance.command import Lfk

#: Of the engine's own installation: never in a lean role.
ENGINE = {"torch", "torchaudio", "whisperx", "pyannote", "av", "ctranslate2", "faster_whisper", "transformers", "numpy"}
#: Only where metrics are served or traces sent.
TELEMETRY = {"prometheus_client", "opentelemetry"}
#: Of the base installation, but slow to load: not for showing help.
SLOW = {
    "boto3",
    "botocore",
    "minio",
    "confluent_kafka",
    "rich",
    "jsonschema",
    "watchdog",
    "dotenv",
    "sqlite3",
    "asyncio",
    *TELEMETRY,
}

_PROBE = """
import contextlib, io, json, sys
from lfk.cli.main import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    try:
        code = int(main(sys.argv[1:]))
    except SystemExit as end:
        code = end.code or 0
print(json.dumps({"code": code, "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


def loaded(folder: Path, *arguments: str, code: int = 0, timeout: float = 60, **environ: str) -> set[str]:
    """The top-level modules that the command has loaded when it ends."""
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, *arguments],
        cwd=folder,
        env=dict(Lfk(folder, **environ).environ),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=True,
    )
    answer = json.loads(done.stdout)
    assert answer["code"] == code, done.stderr
    return set(answer["modules"])


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("--version",), *((verb, "--help") for verb in VERBS)],
    ids=" ".join,
)
def test_help_loads_nothing_slow(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert not loaded(tmp_path, *arguments) & (ENGINE | SLOW)


def test_a_pass_of_sync_over_a_folder_store_loads_no_engine_and_no_s3(tmp_path: Path) -> None:
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "a.wav").write_bytes(b"RIFF")
    modules = loaded(tmp_path, "sync", "recordings", LFK_STORE="store", LFK_SETTLE="0")
    assert (tmp_path / "store" / "audio" / "a.wav").exists()
    assert not modules & (ENGINE | TELEMETRY | {"boto3", "botocore", "minio", "rich", "watchdog"})
    assert not loaded(tmp_path, "submit", "a.wav", LFK_STORE="store") & (ENGINE | {"boto3", "minio", "rich"})


def test_dead_letters_in_a_folder_store_load_no_broker_and_no_engine(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    modules = loaded(tmp_path, "dlq", "list", LFK_STORE="store", BOOTSTRAP_SERVERS="127.0.0.1:9")
    assert not modules & (ENGINE | {"boto3", "botocore", "minio", "confluent_kafka", "jsonschema", "rich"})


def test_sync_to_s3_and_kafka_loads_no_engine(tmp_path: Path) -> None:
    (tmp_path / "recordings").mkdir()
    modules = loaded(
        tmp_path,
        "sync",
        "recordings",
        code=3,
        LFK_STORE="s3://bucket/lfk",
        AWS_ENDPOINT_URL_S3="http://127.0.0.1:9",
        AWS_ACCESS_KEY_ID="key",
        AWS_SECRET_ACCESS_KEY="secret",
        BOOTSTRAP_SERVERS="127.0.0.1:9",
    )
    assert "confluent_kafka" in modules
    assert not modules & ENGINE


def test_chunks_cleanup_and_report_load_no_engine(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(b"RIFF")
    for action in (("send", "x.wav"), ("gateway",)):
        modules = loaded(tmp_path, "chunks", *action, code=3, LFK_STORE="store", BOOTSTRAP_SERVERS="127.0.0.1:9")
        assert not modules & (ENGINE | {"boto3", "botocore", "minio", "rich"})
    (tmp_path / "store" / "transcripts").mkdir(parents=True)
    for verb in ("cleanup", "report"):
        assert not loaded(tmp_path, verb, LFK_STORE="store") & (ENGINE | {"boto3", "confluent_kafka", "rich"})


def test_the_web_page_loads_no_engine(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        modules = loaded(tmp_path, "web", "--bind", address, code=2, LFK_STORE="store")
    assert "uvicorn" in modules
    assert not modules & (ENGINE | {"boto3", "botocore", "minio", "rich", "watchdog"})


@pytest.mark.engine
def test_a_hub_with_the_real_engine_loads_none_of_it_itself(tmp_path: Path) -> None:
    folder = tmp_path / "store" / "audio" / "simple" / "tiny"
    folder.mkdir(parents=True)
    (folder / "x.wav").write_bytes(b"no audio")
    modules = loaded(tmp_path, "hub", "--workers", "1", "--max-jobs", "1", code=1, timeout=180, LFK_STORE="store")
    assert not modules & (ENGINE | TELEMETRY)
