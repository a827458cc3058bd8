"""The order in which a test server is looked for, and what is said where none is found."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.services import provide as module
from tests.services.process import Running, ServerEndedError, ServerProcess
from tests.services.programs import GoProgram, MissingError, cache_folder, fetch, require
from tests.services.provide import Service, provide

PROGRAM = GoProgram("example", "example.org/server", "v1")


class Ways:
    """A service whose container and local program work or fail as told, and note that they were asked."""

    def __init__(self, *, docker: Exception | None = None, local: Exception | None = None) -> None:
        self.asked: list[str] = []
        self._failures = {"docker": docker, "local": local}

    def service(self) -> Service:
        return Service(
            "example", "LFK_TEST_EXAMPLE", "example:1", PROGRAM, self._from_environment, self._container, self._local
        )

    def _from_environment(self, environ: Mapping[str, str]) -> str | None:
        return environ.get("LFK_TEST_EXAMPLE")

    @contextlib.contextmanager
    def _container(self) -> Iterator[str]:
        yield self._way("docker")

    @contextlib.contextmanager
    def _local(self, folder: Path, cache: Path) -> Iterator[Running[str]]:
        address = self._way("local")
        yield Running(address, ServerProcess("example", [], log=folder / "log", answers=lambda: True))

    def _way(self, name: str) -> str:
        self.asked.append(name)
        failure = self._failures[name]
        if failure is not None:
            raise failure
        return name


def provided(ways: Ways, environ: Mapping[str, str], folder: Path) -> str:
    with provide(ways.service(), environ, folder=folder, cache=folder) as address:
        return address


@pytest.fixture(params=[True, False], ids=["docker", "no docker"])
def docker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(module, "engine_answers", lambda: request.param)
    return bool(request.param)


def test_an_address_in_the_environment_comes_first(docker: bool, tmp_path: Path) -> None:
    ways = Ways()
    assert provided(ways, {"LFK_TEST_EXAMPLE": "elsewhere:1"}, tmp_path) == "elsewhere:1"
    assert ways.asked == []


def test_docker_comes_before_a_local_program(docker: bool, tmp_path: Path) -> None:
    ways = Ways()
    assert provided(ways, {}, tmp_path) == ("docker" if docker else "local")
    assert ways.asked == ["docker" if docker else "local"]


def test_a_container_that_fails_gives_way_to_a_local_program(docker: bool, tmp_path: Path) -> None:
    assert provided(Ways(docker=MissingError("no image")), {}, tmp_path) == "local"


def test_what_is_missing_names_every_way(docker: bool, tmp_path: Path) -> None:
    ways = Ways(docker=MissingError("no image"), local=ServerEndedError("port taken"))
    with pytest.raises(MissingError) as missing:
        provided(ways, {}, tmp_path)
    said = str(missing.value)
    assert "LFK_TEST_EXAMPLE is not set" in said
    assert ("no image" if docker else "no Docker engine answers") in said
    assert "port taken" in said


def test_an_error_of_the_test_is_not_taken_for_a_missing_server(docker: bool, tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"^mine$"), provide(Ways().service(), {}, folder=tmp_path, cache=tmp_path):
        raise MissingError("mine")


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"LFK_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, Path("/a")),
        ({"LFK_CACHE": "", "XDG_CACHE_HOME": "/b"}, Path("/b/lfk")),
        ({}, Path.home() / ".cache/lfk"),
    ],
)
def test_programs_are_kept_outside_the_checkout(environ: Mapping[str, str], folder: Path) -> None:
    assert cache_folder(environ) == folder


class Built:
    """A program whose build writes one file, or fails half-way."""

    name = "built"

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.builds = 0

    def home(self, cache: Path) -> Path:
        return cache / "services" / "built-v1"

    def fetch_into(self, folder: Path) -> None:
        self.builds += 1
        (folder / "half").touch()
        if self.fails:
            raise MissingError("no compiler")


def test_a_program_is_fetched_once(tmp_path: Path) -> None:
    program = Built()
    with pytest.raises(MissingError, match="make services"):
        require(program, tmp_path)
    assert [fetch(program, tmp_path), fetch(program, tmp_path)] == [True, False]
    assert program.builds == 1
    assert require(program, tmp_path) == program.home(tmp_path)


def test_a_fetch_that_fails_leaves_no_program(tmp_path: Path) -> None:
    program = Built(fails=True)
    with pytest.raises(MissingError, match="no compiler"):
        fetch(program, tmp_path)
    assert not program.home(tmp_path).exists()
