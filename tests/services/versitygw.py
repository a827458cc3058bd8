"""Versity S3 Gateway on a folder: the second S3 server, from other authors and with other habits than MinIO."""

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

VERSION = "v1.8.0"
PROGRAM = GoProgram("versitygw", "github.com/versity/versitygw/cmd/versitygw", VERSION)
IMAGE = f"versity/versitygw:{VERSION}"


def from_environment(environ: Mapping[str, str]) -> S3Server | None:
    """``LFK_TEST_VERSITYGW`` and what goes with it."""
    return s3.from_environment("versitygw", "LFK_TEST_VERSITYGW", environ)


@contextlib.contextmanager
def start(folder: Path, cache: Path) -> Iterator[Running[S3Server]]:
    """A server on 127.0.0.1 with its data and log below ``folder``.

    Raises:
        MissingError: the program has not been fetched.
        ServerFailedError: it does not come up.
    """
    program = PROGRAM.executable(cache)
    # In a folder of its own, object metadata changes at another moment than the object, so conditions on ETags do not
    # hold; it goes there only where the file system keeps no extended attributes.
    data, metadata, versions = (folder / name for name in ("data", "metadata", "versions"))
    for needed in (data, metadata, versions):
        needed.mkdir()

    def make() -> Running[S3Server]:
        (port,) = free_ports(1)
        server = _server(port)
        sidecar = [] if _keeps_attributes(data) else ["--sidecar", str(metadata)]
        backend = ["posix", *sidecar, "--versioning-dir", str(versions), str(data)]
        process = ServerProcess(
            "versitygw",
            [str(program), "--port", f"127.0.0.1:{port}", "--quiet", *backend],
            log=folder / "versitygw.log",
            answers=s3_answers(server),
            environ=os.environ | _environment(server),
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
        IMAGE, environ=_environment(server), ports={7070: port}, command="posix /tmp", answers=s3_answers(server)
    ):
        yield server


def _keeps_attributes(folder: Path) -> bool:
    probe = folder.with_name("attributes")
    probe.touch()
    try:
        os.setxattr(probe, "user.probe", b"1")
    except OSError:
        return False
    return True


def _server(port: int) -> S3Server:
    return S3Server("versitygw", f"http://127.0.0.1:{port}", "lfk-tests", secrets.token_hex(16))


def _environment(server: S3Server) -> dict[str, str]:
    return {"ROOT_ACCESS_KEY": server.access_key, "ROOT_SECRET_KEY": server.secret_key}
