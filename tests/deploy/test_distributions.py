"""What each installation brings and can do: the base wheel, the thin image's packages, the hub's list.

Environments are made from the wheel and the locks; nothing of the development environment is in them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from lfk.cli.main import VERBS
from tests.acceptance.test_lean_imports import ENGINE
from tests.deploy.conftest import ROOT, Environment
from tests.services.s3 import S3Server

MakeEnvironment = Callable[[str, tuple[str, ...]], Environment]

#: What python:3.12-slim-bookworm unpacks to, in bytes, as its publisher's listing has it; it cannot be pulled here.
#: The workflow that builds the image measures the whole.
_SLIM_BASE = 125_000_000
_THIN_LIMIT = 200_000_000


@pytest.fixture(scope="module")
def base(wheel: Path, environment: MakeEnvironment) -> Environment:
    """`pip install lfk`, in the locked versions."""
    return environment("base", ("install", "--no-build", "--constraint", "requirements/thin.txt", str(wheel)))


@pytest.fixture(scope="module")
def thin(wheel: Path, environment: MakeEnvironment, index: dict[str, str]) -> Environment:
    """What the thin image holds: the lock by hash, made slim, and the wheel."""
    made = environment("thin", ("sync", "--no-build", "--require-hashes", "requirements/thin.txt"))
    if shutil.which("strip") is None:
        pytest.skip("strip (binutils) is not on the PATH")
    subprocess.run(["sh", "deploy/docker/slim", str(made.folder)], cwd=ROOT, check=True, timeout=60)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(made.packages)
    return made


def installed(place: Environment) -> set[str]:
    """Names of its distributions, as pip writes them."""
    found = (entry.name.partition("-")[0] for entry in place.packages.glob("*.dist-info"))
    return {name.lower().replace("_", "-") for name in found}


def test_the_base_installation_brings_what_it_declares_and_nothing_of_an_extra(base: Environment) -> None:
    names = installed(base)
    assert names >= {"lfk", "confluent-kafka", "boto3", "minio", "prometheus-client", "watchdog"}
    assert not names & ({"torch", "whisperx", "av", "numpy", "ctranslate2"} | {"starlette", "uvicorn", "fastavro"})


def test_every_command_tells_its_options_in_a_base_installation(base: Environment, tmp_path: Path) -> None:
    program = "\n".join(
        [
            "import contextlib, io, sys",
            "from lfk.cli.main import VERBS, main",
            "for verb in VERBS:",
            "    with contextlib.redirect_stdout(io.StringIO()) as told, contextlib.suppress(SystemExit):",
            "        main([verb, '--help'])",
            "    assert told.getvalue().startswith(f'usage: lfk {verb}'), verb",
            "print(len(VERBS))",
        ]
    )
    done = base.run("python", "-c", program, cwd=tmp_path)
    assert (done.stdout.strip(), done.stderr) == (str(len(VERBS)), "")


def test_a_hub_in_a_base_installation_says_what_to_install(base: Environment, tmp_path: Path) -> None:
    done = base.run("lfk", "hub", "--exit-when-idle", "1", cwd=tmp_path)
    assert done.returncode == 2
    assert "lfk[hub]" in done.stderr


@pytest.mark.kafka
@pytest.mark.s3
def test_every_thin_role_works_in_a_base_installation(
    base: Environment, tmp_path: Path, kafka: str, minio: S3Server, minio_bucket: str, topic_prefix: str
) -> None:
    """A recording goes in, a transcript comes out, with the secret as a file; the hub rehearses without an engine."""
    topics = ("AUDIO", "BULK", "CHUNKS", "TRANSCRIPTS", "RETRY", "DLQ")
    environ = {
        "LFK_STORE": f"s3://{minio_bucket}/lfk",
        **{name: value for name, value in minio.environment().items() if name != "AWS_SECRET_ACCESS_KEY"},
        "AWS_SECRET_ACCESS_KEY_FILE": str(tmp_path / "s3-secret-key"),
        "BOOTSTRAP_SERVERS": kafka,
        "LFK_GROUP": f"{topic_prefix}hub",
        "LFK_PARTITIONS": "1",
        "LFK_ENGINE": "canned",
        **{f"LFK_TOPIC_{name}": f"{topic_prefix}{name.lower()}" for name in topics},
    }
    (tmp_path / "s3-secret-key").write_text(minio.secret_key)
    audio = tmp_path / "recordings" / "simple" / "tiny" / "x.wav"
    audio.parent.mkdir(parents=True)
    audio.write_bytes(b"no sound, but the canned engine hashes bytes")
    commands = (
        ("init",),
        ("sync", "recordings"),
        ("hub", "--workers", "1", "--max-jobs", "1", "--exit-when-idle", "60"),
        ("transcripts", "--out", "out", "--format", "txt"),
    )
    for command in commands:
        done = base.run("lfk", *command, "--json", cwd=tmp_path, **environ)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        assert all(json.loads(line) for line in done.stdout.splitlines())
    assert (tmp_path / "out" / "simple" / "tiny" / "x.wav.txt").is_file()


def test_the_thin_image_stays_below_200_megabytes(thin: Environment) -> None:
    assert not installed(thin) & {"torch", "whisperx", "numpy"}
    packages = sum(path.stat().st_size for path in thin.packages.rglob("*") if path.is_file() and path.suffix != ".pyc")
    assert _SLIM_BASE + packages < _THIN_LIMIT, f"packages and lfk: {packages / 1e6:.1f} MB"


def test_making_slim_leaves_the_installers_cache_and_other_environments_alone(
    base: Environment, tmp_path: Path
) -> None:
    """Installers link a package's files into every environment: who writes into one writes into all."""
    if shutil.which("strip") is None:
        pytest.skip("strip (binutils) is not on the PATH")
    library = next(base.packages.glob("psutil/*.so"))
    elsewhere = tmp_path / "cache.so"
    shutil.copy(library, elsewhere)
    packages = tmp_path / "venv" / "lib" / "python3.12" / "site-packages"
    (packages / "botocore" / "data" / "ec2").mkdir(parents=True)
    (packages / "one.so").hardlink_to(elsewhere)
    before = elsewhere.read_bytes()
    subprocess.run(["sh", "deploy/docker/slim", str(tmp_path / "venv")], cwd=ROOT, check=True, timeout=60)
    assert elsewhere.read_bytes() == before
    assert elsewhere.stat().st_nlink == 1, "the environment's file is one of its own"
    assert (packages / "one.so").stat().st_mode == elsewhere.stat().st_mode
    assert not (packages / "botocore" / "data" / "ec2").exists()


def test_what_was_made_slim_still_works(thin: Environment, tmp_path: Path) -> None:
    program = "\n".join(
        [
            "import sys",
            "import boto3, confluent_kafka, fastavro, minio, opentelemetry.sdk, rich, starlette, uvicorn",
            "from confluent_kafka.schema_registry.avro import AvroSerializer",
            "from confluent_kafka.schema_registry.json_schema import JSONSerializer",
            "session = boto3.Session('key', 'secret', region_name='eu-central-1')",
            "assert session.client('s3').generate_presigned_url('get_object', {'Bucket': 'b', 'Key': 'k'})",
            "for service in ('sqs', 'sts', 'sso', 'sso-oidc'):",
            "    session.client(service)",
            "confluent_kafka.Producer({'bootstrap.servers': '127.0.0.1:9'})",
            f"assert not {sorted(ENGINE)!r} & sys.modules.keys()".replace("[", "{").replace("]", "}"),
        ]
    )
    done = thin.run("python", "-c", program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_hubs_lock_for_processors_leaves_out_only_what_comes_in_builds_of_its_own(tmp_path: Path) -> None:
    """The real script, with a stand-in for uv that keeps what it is given."""
    fake = tmp_path / "uv"
    fake.write_text(
        '#!/bin/sh\necho "$@" >>"$KEPT/calls"\nfor last; do :; done\n[ ! -f "$last" ] || cat "$last" >>"$KEPT/lists"\n'
    )
    fake.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "KEPT": str(tmp_path), "UV_TORCH_BACKEND": ""}
    script = ["sh", "deploy/docker/install", "/opt/lfk", "requirements/hub.txt"]
    subprocess.run([*script, "cpu", ""], cwd=ROOT, env=environ, check=True, timeout=30)
    _venv, rest, torch = (tmp_path / "calls").read_text().splitlines()
    assert "--require-hashes" in rest
    assert "--torch-backend cpu" in torch
    lock = (ROOT / "requirements" / "hub.txt").read_text()
    pins = {line.split()[0] for line in lock.splitlines() if line[:1].isalpha()}
    kept = {line.split()[0] for line in (tmp_path / "lists").read_text().splitlines() if line[:1].isalpha()}
    assert {pin.partition("==")[0] for pin in pins - kept} == {
        name.partition("==")[0] for name in pins if name.startswith(("nvidia-", "triton=="))
    }
    assert {name.partition("==")[0] for name in kept if name.startswith("torch") and name in torch_pins(lock)} == {
        "torch", "torchaudio", "torchvision",
    }  # fmt: skip

    (tmp_path / "calls").unlink()
    subprocess.run([*script, "cpu", "requirements/mine.txt"], cwd=ROOT, env=environ, check=True, timeout=30)
    assert "--require-hashes -r requirements/mine.txt" in (tmp_path / "calls").read_text().splitlines()[-1]


def torch_pins(lock: str) -> set[str]:
    """The pins of what comes in builds for processors."""
    names = ("torch==", "torchaudio==", "torchvision==")
    return {line.split()[0] for line in lock.splitlines() if line.startswith(names)}
