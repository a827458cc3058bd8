"""The workflows: linted, pinned, with no more rights than they need; and the bill of materials that one makes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lfk import __version__
from tests.deploy.conftest import ROOT
from tests.services.programs import Program
from tests.services.tools import ACTIONLINT
from tests.unit.test_requirements import pins

FOLDER = ROOT / ".github" / "workflows"
WORKFLOWS = sorted(path.name for path in FOLDER.glob("*.yml"))
#: Rights to write that a job has, and what for.
WRITES = {
    ("release.yml", "build"): {"id-token", "attestations"},
    ("release.yml", "publish"): {"id-token"},
    ("release.yml", "images"): {"id-token", "attestations"},
    ("release.yml", "notes"): {"contents"},
    ("locks.yml", "upgrade"): {"contents", "pull-requests"},
}


def load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    return loaded


def steps(name: str) -> Iterator[dict[str, Any]]:
    for job in load(name)["jobs"].values():
        yield from job.get("steps", ())


def test_actionlint_finds_nothing(tool: Callable[[Program], Path]) -> None:
    done = subprocess.run(
        [str(tool(ACTIONLINT)), *(str(FOLDER / name) for name in WORKFLOWS)],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_action_is_pinned_by_commit_and_says_its_version(name: str) -> None:
    used = re.findall(r"uses: (\S+)(.*)", (FOLDER / name).read_text(encoding="utf-8"))
    for action, comment in used:
        if action.startswith("./"):
            assert (ROOT / action).is_file()
            continue
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), (action, comment)


def test_one_action_has_one_pin() -> None:
    text = "".join((FOLDER / name).read_text(encoding="utf-8") for name in WORKFLOWS)
    found = {line.partition("@") for line in re.findall(r"uses: (\S+@\S+ # \S+)", text)}
    assert len({action for action, _, _ in found}) == len(found)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_nothing_has_more_rights_or_time_than_it_needs(name: str) -> None:
    workflow = load(name)
    assert workflow["permissions"] == {"contents": "read"}
    assert "concurrency" in workflow
    for job, about in workflow["jobs"].items():
        writes = {right for right, kind in about.get("permissions", {}).items() if kind == "write"}
        assert writes == WRITES.get((name, job), set()), job
        assert "timeout-minutes" in about or "uses" in about, job
        for step in about.get("steps", ()):
            if step.get("uses", "").startswith("actions/checkout@"):
                keeps = step["with"]["persist-credentials"]
                assert keeps is ((name, job) == ("locks.yml", "upgrade")), job


@pytest.mark.parametrize("name", WORKFLOWS)
def test_no_word_of_an_outsider_becomes_a_word_of_a_shell(name: str) -> None:
    for step in steps(name):
        assert "${{" not in step.get("run", ""), "through env, where a shell takes it as a value"


def test_what_they_call_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for name in WORKFLOWS:
        for step in steps(name):
            assert set(re.findall(r"\bmake ([a-z-]+)", step.get("run", ""))) <= targets
            for path in re.findall(r"\b(?:deploy|\.ci)/[\w./-]+\w", json.dumps(step)):
                assert (ROOT / path).exists(), path


def test_every_python_that_lfk_supports_is_tested() -> None:
    declared = re.search(
        r'requires-python = ">=3\.(\d+),<3\.(\d+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    )
    assert declared is not None
    supported = [f"3.{minor}" for minor in range(int(declared[1]), int(declared[2]))]
    assert load("ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"] == supported


def test_a_release_waits_for_all_that_every_change_goes_through() -> None:
    jobs = load("release.yml")["jobs"]
    assert jobs["ci"]["uses"] == "./.github/workflows/ci.yml"
    assert jobs["build"]["needs"] == "ci"
    assert all("build" in about["needs"] for name, about in jobs.items() if name not in ("ci", "build"))


def test_dependabot_looks_where_there_are_versions() -> None:
    told = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8"))
    for update in told["updates"]:
        folder = ROOT / update["directory"].lstrip("/")
        wanted = {"docker": "Dockerfile", "docker-compose": "compose.yaml", "github-actions": ".github/workflows"}
        assert (folder / wanted[update["package-ecosystem"]]).exists()


def test_the_bill_of_materials_has_every_pin_with_its_hashes() -> None:
    done = subprocess.run(
        [sys.executable, "deploy/sbom.py", "requirements/hub.txt"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    bill = json.loads(done.stdout)
    assert (bill["bomFormat"], bill["metadata"]["component"]["version"]) == ("CycloneDX", __version__)
    listed = {(part["name"], part["version"]) for part in bill["components"]}
    assert listed == {(name, version) for (name, _marker), version in pins("hub.txt").items()}
    assert all(part["externalReferences"] for part in bill["components"])
    assert len({part["bom-ref"] for part in bill["components"]}) == len(bill["components"])
    hashes = sum(len(part["externalReferences"]) for part in bill["components"])
    assert hashes == (ROOT / "requirements" / "hub.txt").read_text(encoding="utf-8").count("--hash=sha256:")
