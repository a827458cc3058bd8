"""MinIO: the S3 server that most people run themselves. Archived upstream, so tests also ask a second server."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.services import containers, s3
from tests.services.process import Running, ServerProcess, free_ports, started
from tests.services.programs import GoProgram
from tests.services.s3 import S3Server, s3_answers

PROGRAM = GoProgram("minio", "github.com/minio/minio", "v0.0.0-20260212201848-7aac2a2c5b7c")
IMAGE = "minio/minio:RELEASE.2025-09-07T16-13-09Z"


def from_environment(environ: Mapping[str, str]) -> S3Server | None:
    """``LFK_TEST_S3`` and what goes with it; any S3 server will do."""
    return s3.from_environment("minio", "LFK_TEST_S3", environ)


@contextlib.contextmanager
def start(folder: Path, cache: Path, *, environ: Mapping[str, str] | None = None) -> Iterator[Running[S3Server]]:
    """A server on 127.0.0.1 with its data and log below ``folder``, and with further settings in its environment.

    Raises:
        MissingError: the program has not been fetched.
        ServerFailedError: it does not come up.
    """
    program = PROGRAM.executable(cache)

    def make() -> Running[S3Server]:
        port, console = free_ports(2)
        server = _server(port)
        arguments = ["--address", f"127.0.0.1:{port}", "--console-address", f"127.0.0.1:{console}"]
        process = ServerProcess(
            "minio",
            [str(program), "server", *arguments, str(folder / "data")],
            log=folder / "minio.log",
            answers=s3_answers(server),
            environ={**os.environ, **_environment(server), **(environ or {})},
        )
        return Running(server, process)

    with started(make) as server:
        yield server


@contextlib.contextmanager
def start_container() -> Iterator[S3Server]:
    """A server in Docker, reached through a port of 127.0.0.1.

    Raises:
        MissingError: the container cannot be run.
    """
    (port,) = free_ports(1)
    server = _server(port)
    with containers.run(
        IMAGE, environ=_environment(server), ports={9000: port}, command="server /data", answers=s3_answers(server)
    ):
        yield server


def _server(port: int) -> S3Server:
    return S3Server("minio", f"http://127.0.0.1:{port}", "lfk-tests", secrets.token_hex(16))


def _environment(server: S3Server) -> dict[str, str]:
    return {
        "MINIO_ROOT_USER": server.access_key,
        "MINIO_ROOT_PASSWORD": server.secret_key,
        # It would look for newer releases of itself, and there is nobody to read its web console.
        "MINIO_UPDATE": "off",
        "MINIO_BROWSER": "off",
    }
