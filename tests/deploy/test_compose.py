"""The compose stack: loaded as Docker Compose loads it, then held against lfk's own settings and parser."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

from lfk.web.uploads import UPLOADS
from tests.deploy.conftest import ROOT
from tests.deploy.declared import check_command, check_values
from tests.services import kafka, minio, versitygw
from tests.services.programs import Program
from tests.services.tools import COMPOSE

FOLDER = ROOT / "deploy" / "compose"
LFK = {"init", "hub", "hub-gpu", "sync", "listen", "transcripts", "web", "lfk"}
ONCE = {"init", "lfk"}
_VARIABLE = re.compile(r"\$\{([A-Z_0-9]+):-([^}]*)\}")

Stack = dict[str, Any]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout's folder after `./prepare`, as a user has it."""
    folder = tmp_path_factory.mktemp("compose")
    for name in ("compose.yaml", ".env.example", "prepare"):
        shutil.copy(FOLDER / name, folder / name)
    subprocess.run(["./prepare"], cwd=folder, check=True, timeout=30)
    return folder


@pytest.fixture(scope="module")
def load(prepared: Path, tool: Callable[[Program], Path]) -> Callable[..., Stack]:
    """Loads compose.yaml with Docker Compose's own loader, every profile in it, with these variables.

    The loader's command takes none from the environment, so they are put in beforehand.
    """
    program = tool(COMPOSE)

    def run(**variables: str) -> Stack:
        text = (FOLDER / "compose.yaml").read_text(encoding="utf-8")
        text = _VARIABLE.sub(lambda found: variables.get(found[1]) or found[2], text)
        done = subprocess.run(
            [program, "-format", "json", "-"],
            cwd=prepared,
            input=text,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        stack: Stack = json.loads(done.stdout)
        return stack

    return run


@pytest.fixture(scope="module")
def stack(load: Callable[..., Stack]) -> Stack:
    return load()


def test_it_loads_as_it_is_and_with_every_variable_of_the_example(load: Callable[..., Stack], prepared: Path) -> None:
    example = {name: value or "" for name, value in dotenv_values(prepared / ".env").items()}
    assert load(**example) == load(), "the example says the defaults"
    services = load()["services"]
    assert set(services) == LFK | {"kafka", "minio", "versitygw"}
    always = {name for name, service in services.items() if not service.get("profiles")}
    assert always == {"kafka", "init", "hub"}, "what runs where no profile is asked for"
    offered = {profile for service in services.values() for profile in service.get("profiles", ())}
    assert set((example["COMPOSE_PROFILES"]).split(",")) < offered


def test_the_example_names_every_variable_and_nothing_else() -> None:
    text = re.sub(r"\$\$", "", (FOLDER / "compose.yaml").read_text(encoding="utf-8"))
    used = {found[1] for found in _VARIABLE.finditer(text)}
    assert text.count("${") == len(_VARIABLE.findall(text)), "every variable has a default"
    assert used == dotenv_values(FOLDER / ".env.example").keys() - {"COMPOSE_PROFILES"}


def test_every_command_parses_and_every_name_is_a_setting(stack: Stack) -> None:
    for name in LFK:
        service = stack["services"][name]
        check_command(service["command"])
        check_values(service["environment"])


def test_secrets_are_files_and_never_values(stack: Stack) -> None:
    for name in LFK:
        service = stack["services"][name]
        files = {value for key, value in service["environment"].items() if key.endswith("_FILE")}
        assert files == {secret["target"] for secret in service["secrets"]}
        assert not {"AWS_SECRET_ACCESS_KEY", "API_SECRET", "LFK_WEB_TOKEN"} & service["environment"].keys()


def test_lfk_runs_with_as_little_as_it_needs(stack: Stack) -> None:
    for name in LFK:
        service = stack["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert [mount for mount in service["tmpfs"] if mount.startswith("/tmp")]
        assert not service.get("privileged")
        assert "user" not in service, "the image's own user"
    for service in stack["services"].values():
        limits = service["deploy"]["resources"]["limits"]
        assert limits.keys() == {"cpus", "memory", "pids"}


def test_who_writes_outside_of_tmp_has_a_volume_for_it(stack: Stack) -> None:
    targets = {name: {mount["target"] for mount in stack["services"][name].get("volumes", ())} for name in LFK}
    assert targets["hub"] == targets["hub-gpu"] == {"/var/lib/lfk"}
    assert targets["sync"] == {"/recordings", "/var/lib/lfk"}
    assert targets["transcripts"] == {"/transcripts", "/var/lib/lfk"}
    assert targets["web"] == {"/var/lib/lfk"}
    for name in ("hub", "hub-gpu", "web"):
        scratch = stack["services"][name]["environment"]["MAIN_NODE_TEMP_FOLDER"]
        assert scratch.startswith("/var/lib/lfk/"), "audio on its way does not belong into memory"
    (recordings,) = [m for m in stack["services"]["sync"]["volumes"] if m["target"] == "/recordings"]
    assert recordings["read_only"] is True


def test_the_page_has_room_for_what_it_takes(stack: Stack, load: Callable[..., Stack]) -> None:
    def told(stack: Stack) -> tuple[int, int]:
        settings = check_values(stack["services"]["web"]["environment"])
        return settings.web_max_upload, settings.scratch_bytes

    largest, together = told(stack)
    assert largest * UPLOADS <= together
    assert told(load(LFK_WEB_MAX_UPLOAD="1G", WEB_SCRATCH_BYTES="2G")) == (1 << 30, 2 << 30)


def test_a_hub_has_time_to_finish_what_runs(stack: Stack) -> None:
    for name in ("hub", "hub-gpu"):
        grace = float(stack["services"][name]["environment"]["LFK_GRACE"])
        given = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", stack["services"][name]["stop_grace_period"])
        assert given is not None
        assert int(given[1] or 0) * 60 + int(given[2] or 0) > grace


def test_what_stays_is_looked_at_and_what_ends_is_not(stack: Stack) -> None:
    for name, service in stack["services"].items():
        if name in ONCE:
            assert service["healthcheck"]["disable"] is True
            assert service["restart"] == "no"
            continue
        assert service["restart"] == "unless-stopped"
        if name in LFK:  # the image's own check, which asks there
            assert service["environment"]["LFK_HEALTH"]
        else:
            assert service["healthcheck"]["test"][0] == "CMD"


def test_lfk_waits_for_init_and_init_for_broker_and_store(stack: Stack) -> None:
    for name in LFK - {"init"}:
        assert stack["services"][name]["depends_on"]["init"]["condition"] == "service_completed_successfully"
    needs = stack["services"]["init"]["depends_on"]
    assert {name: need["condition"] for name, need in needs.items()} == dict.fromkeys(
        ("kafka", "minio", "versitygw"), "service_healthy"
    )
    assert (needs["kafka"]["required"], needs["minio"]["required"]) == (True, False), "either store, or one outside"


def test_either_store_answers_under_the_name_that_lfk_calls(stack: Stack) -> None:
    assert stack["services"]["hub"]["environment"]["AWS_ENDPOINT_URL_S3"] == "http://s3:9000"
    for name in ("minio", "versitygw"):
        assert stack["services"][name]["networks"]["lfk"]["aliases"] == ["s3"]


def test_ports_are_opened_on_loopback_unless_asked(stack: Stack, load: Callable[..., Stack]) -> None:
    def hosts(services: Stack) -> set[str]:
        return {port["host_ip"] for service in services.values() for port in service.get("ports", ())}

    assert hosts(stack["services"]) == {"127.0.0.1"}
    assert hosts(load(BIND="0.0.0.0")["services"]) == {"0.0.0.0"}


def test_servers_are_the_versions_that_the_tests_run_against(stack: Stack) -> None:
    images = {name: stack["services"][name]["image"] for name in ("kafka", "minio", "versitygw")}
    assert images == {"kafka": kafka.IMAGE, "minio": minio.IMAGE, "versitygw": versitygw.IMAGE}


def test_the_store_versitygw_starts_by_the_line_of_the_file(
    stack: Stack, tmp_path: Path, tool: Callable[[Program], Path]
) -> None:
    """The shell line itself: it parses, and hands the key on by the environment alone."""
    (line,) = stack["services"]["versitygw"]["command"]
    (tmp_path / "key").write_text("a-key\n")
    (tmp_path / "versitygw").write_text('#!/bin/sh\necho "$ROOT_SECRET_KEY" "$@"\n')
    (tmp_path / "versitygw").chmod(0o755)
    here = line.replace("$$", "$").replace("/run/secrets/s3-secret-key", "key").replace("/data/", f"{tmp_path}/")
    done = subprocess.run(
        ["/bin/sh", "-ec", here],
        cwd=tmp_path,
        env={"PATH": f"/usr/bin:/bin:{tmp_path}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [
        "a-key", "--port", ":9000", "--health", "/health", "posix", "--sidecar", f"{tmp_path}/attributes",
        f"{tmp_path}/objects",
    ]  # fmt: skip


def test_preparing_again_changes_nothing_and_secrets_are_random(prepared: Path) -> None:
    def seen() -> dict[str, bytes]:
        return {name: (prepared / "secrets" / name).read_bytes() for name in ("s3-secret-key", "web-token")}

    before = seen()
    assert len({*before.values(), b""}) == 3
    assert all(len(value) == 48 for value in before.values())
    subprocess.run(["./prepare"], cwd=prepared, check=True, timeout=30)
    assert seen() == before
    assert stat.S_IMODE((prepared / "secrets").stat().st_mode) == 0o700
