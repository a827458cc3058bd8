"""Servers in Docker, where an engine answers. Nothing here is needed on a machine without one."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

from tests.services.process import READY_WITHIN
from tests.services.programs import MissingError

#: An engine on this machine answers a ping at once; one behind a dead socket must not hold up the run.
_PING_WITHIN = 5
#: The largest image has some 400 MB.
_PULL_WITHIN = 600


@cache
def engine_answers() -> bool:
    """Whether a Docker engine can be used.

    Asked in a process of its own: where nobody answers, Docker's client leaves its socket to the garbage collector, and
    a leak is an error in a test run.
    """
    ask = f"import docker; docker.from_env(timeout={_PING_WITHIN}).ping()"
    return subprocess.run([sys.executable, "-c", ask], capture_output=True, check=False).returncode == 0


def pull(image: str) -> None:
    """Bring an image to this machine.

    Raises:
        MissingError: the engine cannot get it.
    """
    import docker
    from docker.errors import DockerException

    repository, _, tag = image.rpartition(":")
    try:
        with contextlib.closing(docker.from_env(timeout=_PULL_WITHIN)) as engine:
            engine.images.pull(repository, tag=tag)
    except (DockerException, OSError) as error:
        raise MissingError(f"Docker cannot get {image}: {error}") from error


@contextlib.contextmanager
def run(
    image: str,
    *,
    answers: Callable[[], bool],
    environ: Mapping[str, str] | None = None,
    ports: Mapping[int, int] | None = None,
    command: str | None = None,
    host_network: bool = False,
) -> Iterator[None]:
    """A container, from the moment its server answers; removed at the end, also when this process dies.

    Args:
        ports: port in the container → port of 127.0.0.1.

    Raises:
        MissingError: the image cannot be had, or its server does not answer.
    """
    if not engine_answers():
        raise MissingError("no Docker engine answers")
    from docker.errors import DockerException
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(image)
    for name, value in (environ or {}).items():
        container.with_env(name, value)
    bindings: dict[str, Any] = container.ports
    for inside, outside in (ports or {}).items():
        bindings[f"{inside}/tcp"] = ("127.0.0.1", outside)
    if command is not None:
        container.with_command(command)
    if host_network:
        container.with_kwargs(network_mode="host")
    try:
        container.start()
    except (DockerException, OSError) as error:
        raise MissingError(f"{image} could not be started in Docker: {error}") from error
    try:
        deadline = time.monotonic() + READY_WITHIN
        while not answers():
            if time.monotonic() > deadline:
                raise MissingError(f"{image} gave no answer in {READY_WITHIN:.0f} s")
            time.sleep(0.2)
        yield
    finally:
        container.stop()
