"""`make release`: what it builds passes its own checks, and nothing is tagged unless that was asked for and fits."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lfk import __version__
from tests.deploy.conftest import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository of its own with what names the version, and a remote that it may push to."""
    root = tmp_path / "checkout"
    for name in ("README.md", "lfk/__init__.py", "deploy/helm/lfk/Chart.yaml"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    log = f"# Changelog\n\n## [Unreleased]\n\n## [{__version__}] - 2026-11-21\n\n- all\n"
    (root / "CHANGELOG.md").write_text(log, encoding="utf-8")
    subprocess.run(["git", "init", "--quiet", "--bare", str(tmp_path / "remote")], check=True)
    git(root, "init", "--quiet")
    git(root, "remote", "add", "origin", str(tmp_path / "remote"))
    commit(root)
    return root


def git(root: Path, *arguments: str) -> str:
    who = ("-c", "user.name=tests", "-c", "user.email=tests@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *arguments], cwd=root, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(root: Path) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "x")


def release(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = str(ROOT / "deploy" / "release.py")
    return subprocess.run(
        [sys.executable, script, "--root", str(root), *arguments],
        capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


def test_all_is_built_checked_and_told_and_only_the_tag_that_fits_is_pushed(checkout: Path, tmp_path: Path) -> None:
    for name in ("pyproject.toml", "LICENSE", "NOTICE", ".gitignore"):
        shutil.copy(ROOT / name, checkout / name)
    for name in ("lfk", "schemas", "models", "requirements"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, checkout / name, ignore=ignored, dirs_exist_ok=True)
    commit(checkout)
    done = release(checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"nothing was tagged. `make release RELEASE=v{__version__}` would run" in done.stdout
    assert f"installed, it says 'lfk {__version__}'" in done.stdout
    built = {path.name: path.read_bytes() for path in (checkout / "dist").iterdir() if path.suffix in (".gz", ".whl")}
    assert set(built) == {f"lfk-{__version__}-py3-none-any.whl", f"lfk-{__version__}.tar.gz"}
    assert git(tmp_path / "remote", "tag") == git(checkout, "tag") == ""


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("CHANGELOG.md", "[Unreleased]\n", "[Unreleased]\n\n- new\n", "[Unreleased] has 1 lines"),
        ("CHANGELOG.md", f"[{__version__}] -", "[9.9.9] -", "the first release is '9.9.9'"),
        ("CHANGELOG.md", " - 2026-11-21", "", "the first release is"),
        ("deploy/helm/lfk/Chart.yaml", f"version: {__version__}", "version: 9.9.9", "Chart.yaml has"),
        ("lfk/__init__.py", f'"{__version__}"', '"next"', "is no version such as"),
        ("README.md", "# lfk", "# LFK", "not committed"),
    ],
)
def test_what_does_not_fit_is_named(checkout: Path, file: str, old: str, new: str, told: str) -> None:
    path = checkout / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    if told != "not committed":
        commit(checkout)
    checks = subprocess.run(
        [sys.executable, "-c", _CHECKS, str(ROOT / "deploy"), str(checkout)], capture_output=True, text=True, check=True
    ).stdout
    assert told in checks


#: The checks that build nothing.
_CHECKS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import release
root = Path(sys.argv[2])
made = release.Release(release.read_version(root), root, root / "dist")
for check in (release.check_version, release.check_changelog, release.check_tree):
    try:
        check(made)
    except release.Unfit as error:
        print(error)
"""


def test_a_tag_is_pushed_where_it_was_asked_for_and_is_the_versions(checkout: Path, tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "deploy"))
    try:
        import release as made
    finally:
        sys.path.remove(str(ROOT / "deploy"))
    this = made.Release(__version__, checkout, checkout / "dist")
    assert made.finish(this, "v9.9.9", preview=False) == 1
    assert made.finish(this, None, preview=False) == 0
    assert git(tmp_path / "remote", "tag") == git(checkout, "tag") == ""
    git(checkout, "config", "user.name", "tests")
    git(checkout, "config", "user.email", "tests@example.org")
    assert made.finish(this, f"v{__version__}", preview=False) == 0
    assert git(tmp_path / "remote", "tag") == f"v{__version__}"
    with pytest.raises(made.Unfit, match="there is a tag"):
        made.check_tree(this)
