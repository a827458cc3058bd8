"""Where a server comes from: an address in the environment, a Docker engine, a local program; else what is missing.

The order is the same for every server. A way that is open but fails does not hide behind the next one: what it said
becomes part of what is missing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.services import kafka, minio, schema_registry, toxiproxy, versitygw
from tests.services.containers import engine_answers
from tests.services.process import Running, ServerFailedError
from tests.services.programs import MissingError, Program


@dataclass(frozen=True)
class Service:
    """One kind of server and the ways to one."""

    name: str
    variable: str
    image: str
    program: Program
    from_environment: Callable[[Mapping[str, str]], Any]
    start_container: Callable[[], AbstractContextManager[Any]]
    start: Callable[[Path, Path], AbstractContextManager[Running[Any]]]


SERVICES = {
    name: Service(
        name, variable, module.IMAGE, module.PROGRAM, module.from_environment, module.start_container, module.start
    )
    for name, variable, module in (
        ("kafka", "LFK_TEST_KAFKA", kafka),
        ("minio", "LFK_TEST_S3", minio),
        ("versitygw", "LFK_TEST_VERSITYGW", versitygw),
        ("toxiproxy", "LFK_TEST_TOXIPROXY", toxiproxy),
        ("schema-registry", "LFK_TEST_SCHEMA_REGISTRY", schema_registry),
    )
}


@contextlib.contextmanager
def provide(service: Service, environ: Mapping[str, str], *, folder: Path, cache: Path) -> Iterator[Any]:
    """The address of a running server, for as long as the context lasts.

    Args:
        folder: an existing, empty folder for the server's data and log.
        cache: where fetched programs are kept.

    Raises:
        MissingError: no way leads to such a server; the message names each and why not.
    """
    address = service.from_environment(environ)
    if address is not None:
        yield address
        return
    failures = [f"{service.variable} is not set"]
    ways: list[Callable[[], AbstractContextManager[Any]]] = [lambda: _local(service, folder, cache)]
    if engine_answers():
        ways.insert(0, service.start_container)
    else:
        failures.append("no Docker engine answers")
    with contextlib.ExitStack() as stack:
        for way in ways:
            try:
                address = stack.enter_context(way())
            except (MissingError, ServerFailedError) as error:
                failures.append(str(error))
            else:
                break
        else:
            raise MissingError(f"no {service.name}: " + "; ".join(failures))
        yield address


@contextlib.contextmanager
def _local(service: Service, folder: Path, cache: Path) -> Iterator[Any]:
    with service.start(folder, cache) as server:
        yield server.address
