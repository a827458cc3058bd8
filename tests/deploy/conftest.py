"""What the tests of distributions share: the wheel, built once, and environments that it is installed into."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.services.programs import UV, package_index

ROOT = Path(__file__).parents[2]
#: Linking some fifty cached packages takes seconds; a cold cache downloads 60 MB.
_INSTALL_WITHIN = 240.0


class Environment:
    """A virtual environment that nothing else uses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.packages = next(folder.glob("lib/python3.*")) / "site-packages"

    def run(self, *command: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run one of its programs with an environment that holds nothing but ``environ``."""
        return subprocess.run(
            [str(self.bin / command[0]), *command[1:]],
            cwd=cwd,
            env={"PATH": "/usr/bin:/bin", "HOME": str(cwd), "LFK_STATE_HOME": str(cwd / "state"), **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def uv(*arguments: str, index: Mapping[str, str]) -> None:
    """Run the locked uv."""
    done = subprocess.run(
        [UV, *arguments],
        cwd=ROOT,
        env={**os.environ, **index},
        capture_output=True,
        text=True,
        timeout=_INSTALL_WITHIN,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def index() -> Mapping[str, str]:
    """Where packages come from."""
    return package_index(os.environ)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory, index: Mapping[str, str]) -> Path:
    """lfk's wheel, built as `make wheel` builds it."""
    folder = tmp_path_factory.mktemp("dist")
    python = ("--python", sys.executable)
    uv("build", "--quiet", "--wheel", "--no-build-isolation", "--offline", *python, "-o", str(folder), index=index)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def environment(
    tmp_path_factory: pytest.TempPathFactory, index: Mapping[str, str]
) -> Callable[[str, tuple[str, ...]], Environment]:
    """Makes an environment with what one `uv pip` command line installs."""

    def make(name: str, install: tuple[str, ...]) -> Environment:
        folder = tmp_path_factory.mktemp(name) / "venv"
        uv("venv", "--quiet", "--python", sys.executable, str(folder), index=index)
        uv("pip", *install, "--quiet", "--python", str(folder), index=index)
        return Environment(folder)

    return make
