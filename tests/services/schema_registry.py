"""A Schema Registry: the tests' own process, or Apicurio's in Docker.

Confluent's registry, and the mock of it that Maven Central has, need jars that are in Confluent's own repository alone.
So where no Docker engine answers, :mod:`tests.services.registry_server` speaks the same HTTP.
"""

from __future__ import annotations

import base64
import contextlib
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.services import containers
from tests.services.process import Running, ServerProcess, free_ports, started

IMAGE = "apicurio/apicurio-registry-mem:2.6.2.Final"
_SERVER = Path(__file__).with_name("registry_server.py")
#: Below this path Apicurio speaks as Confluent's registry does.
_APICURIO = "/apis/ccompat/v7"
_TIMEOUT = 5


@dataclass(frozen=True)
class OwnProgram:
    """A server that is part of the tests, so that nothing has to be fetched for it."""

    name: str

    def home(self, cache: Path) -> Path:
        return cache / "services" / self.name

    def fetch_into(self, _folder: Path) -> None:
        """It is in the checkout; the folder stays empty."""


PROGRAM = OwnProgram("schema-registry")


@dataclass(frozen=True)
class SchemaRegistry:
    """Where it is, and who may use it; empty names let everybody in."""

    url: str
    user: str = ""
    password: str = ""


def from_environment(environ: Mapping[str, str]) -> SchemaRegistry | None:
    """``LFK_TEST_SCHEMA_REGISTRY`` is the URL of any registry that speaks as Confluent's does."""
    url = environ.get("LFK_TEST_SCHEMA_REGISTRY")
    return SchemaRegistry(url) if url else None


@contextlib.contextmanager
def start(folder: Path, _cache: Path, *, user: str = "", password: str = "") -> Iterator[Running[SchemaRegistry]]:
    """The tests' own registry on 127.0.0.1, with its log below ``folder``; its schemas go with its process.

    Raises:
        ServerFailedError: it does not come up.
    """

    def make() -> Running[SchemaRegistry]:
        (port,) = free_ports(1)
        registry = SchemaRegistry(f"http://127.0.0.1:{port}", user, password)
        process = ServerProcess(
            "schema-registry",
            [sys.executable, str(_SERVER), str(port), *((user, password) if user else ())],
            log=folder / "schema-registry.log",
            answers=registry_answers(registry),
        )
        return Running(registry, process)

    with started(make) as server:
        yield server


@contextlib.contextmanager
def start_container() -> Iterator[SchemaRegistry]:
    """Apicurio in Docker, in memory, reached through a port of 127.0.0.1.

    Raises:
        MissingError: the container cannot be run.
    """
    (port,) = free_ports(1)
    registry = SchemaRegistry(f"http://127.0.0.1:{port}{_APICURIO}")
    with containers.run(IMAGE, ports={8080: port}, answers=registry_answers(registry)):
        yield registry


def registry_answers(registry: SchemaRegistry) -> Callable[[], bool]:
    """Whether a registry there lists its subjects."""

    def answers() -> bool:
        request = urllib.request.Request(f"{registry.url}/subjects")  # noqa: S310 - an address of the tests' own
        if registry.user:
            credentials = base64.b64encode(f"{registry.user}:{registry.password}".encode()).decode()
            request.add_header("Authorization", f"Basic {credentials}")
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:  # noqa: S310
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    return answers
