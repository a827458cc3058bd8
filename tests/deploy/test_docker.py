"""The Dockerfile: linted, installed from locks alone, run by nobody in particular; and the check of its containers."""

from __future__ import annotations

import fnmatch
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.deploy.conftest import ROOT
from tests.deploy.declared import unknown_settings

DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
#: What a build is given; a folder stands for all below it.
GIVEN = {
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "NOTICE",
    "lfk",
    "schemas",
    "models",
    "requirements",
    "deploy/docker",
}


def instructions() -> list[tuple[str, str]]:
    """Each instruction with its arguments, continued lines joined."""
    text = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text(encoding="utf-8"))
    return [
        (name, words)
        for name, _, words in (line.partition(" ") for line in text.splitlines() if re.match("[A-Z]", line))
    ]


def stages() -> dict[str, list[tuple[str, str]]]:
    """Instructions by stage, those of the stage that it builds on before its own."""
    found: dict[str, list[tuple[str, str]]] = {}
    name = ""
    for instruction, words in instructions():
        if instruction == "FROM":
            base, _, name = words.partition(" AS ")
            found[name] = list(found.get(base, ()))
        elif name:
            found[name].append((instruction, words))
    return found


def test_hadolint_finds_nothing() -> None:
    program = Path(sys.executable).parent / "hadolint"
    done = subprocess.run(
        [str(program), "--no-color", str(DOCKERFILE)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("target", ["thin", "hub-cpu", "hub-cuda"])
def test_every_image_is_run_by_nobody_in_particular_and_looked_at(target: str) -> None:
    made = stages()[target]
    assert [words for name, words in made if name == "USER"][-1] == "10001:10001"
    assert [words for name, words in made if name == "ENTRYPOINT"] == ['["lfk"]']
    assert [words for name, words in made if name == "HEALTHCHECK"]
    assert not [words for name, words in made if name == "ADD"]
    environment = [word.split("=")[0] for name, words in made if name == "ENV" for word in words.split()]
    assert unknown_settings(name for name in environment if not name.startswith("NVIDIA_")) == set()


def test_all_is_installed_by_hash_from_locks() -> None:
    ran = [words for name, words in instructions() if name == "RUN"]
    installed = [words for words in ran if re.search(r"\b(pip install|pip sync|apt-get|curl|wget)\b", words)]
    for words in installed:
        assert "--require-hashes" in words or ("--no-deps --offline" in words and "/dist/*.whl" in words), words
    script = (ROOT / "deploy" / "docker" / "install").read_text(encoding="utf-8")
    unhashed = [line for line in script.splitlines() if "uv pip" in line and "--require-hashes" not in line]
    assert len(unhashed) == 1, "torch for processors, see the script"


def test_the_last_stage_is_the_thin_image() -> None:
    assert list(stages())[-1] == "thin"


def test_a_build_is_given_what_it_copies_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert patterns[0] == "*", "nothing but what is named"
    assert {line[1:] for line in patterns if line.startswith("!") and ("/" not in line or line[1:] in GIVEN)} == GIVEN
    copied = {
        word
        for name, words in instructions()
        if name == "COPY" and "--from=" not in words
        for word in words.split()[:-1]
    }
    for path in copied:
        assert (ROOT / path).exists(), path
        assert any(path == given or path.startswith(f"{given}/") for given in GIVEN), path
    for hidden in (".env", "tests/x.py", "deploy/compose/secrets/web-token", "models/whisper/base/model.bin"):
        taken = False
        for pattern in patterns:
            if fnmatch.fnmatch(hidden, pattern.lstrip("!")) or hidden.startswith(f"{pattern.lstrip('!')}/"):
                taken = pattern.startswith("!")
        assert not taken, hidden


class _Role(BaseHTTPRequestHandler):
    """Answers /healthz with the status that the server bears."""

    def do_GET(self) -> None:
        status = self.server.status if self.path == "/healthz" else 404  # type: ignore[attr-defined]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b'{"status": "told"}')

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def role() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), _Role)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def check(**environ: str) -> tuple[int, str]:
    """What the container's check says; proxies are not asked for what is inside."""
    done = subprocess.run(
        [sys.executable, "-I", str(ROOT / "deploy" / "docker" / "healthcheck.py")],
        env={"http_proxy": "http://127.0.0.1:9", **environ},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.parametrize("name", ["LFK_HEALTH", "LFK_WEB"])
@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_a_container_is_as_well_as_its_role_says(role: HTTPServer, name: str, status: int, code: int) -> None:
    role.status = status  # type: ignore[attr-defined]
    found, told = check(**{name: f":{role.server_address[1]}"})
    assert found == code
    assert "told" in told


def test_a_role_that_serves_nothing_is_as_well_as_its_process_and_one_that_is_gone_is_not(role: HTTPServer) -> None:
    assert check() == (0, "")
    assert check(LFK_HEALTH="", LFK_WEB="") == (0, "")
    code, told = check(LFK_HEALTH="0.0.0.0:1")
    assert (code, "http://127.0.0.1:1/healthz" in told) == (1, True)
