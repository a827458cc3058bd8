"""Toxiproxy: a TCP proxy that cuts, delays and corrupts on request, to see what lfk does then."""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.services import containers
from tests.services.process import Running, ServerProcess, free_ports, started
from tests.services.programs import GoProgram, MissingError

VERSION = "v2.5.0"
PROGRAM = GoProgram("toxiproxy", "github.com/Shopify/toxiproxy/v2/cmd/server", VERSION)
IMAGE = f"ghcr.io/shopify/toxiproxy:{VERSION.removeprefix('v')}"

#: The control interface is local and answers within milliseconds.
_TIMEOUT = 10


class ToxiproxyError(Exception):
    """The control interface refused a request."""


@dataclass(frozen=True)
class Toxiproxy:
    """The control interface of a running toxiproxy."""

    api_url: str

    @contextlib.contextmanager
    def proxy(self, upstream: str, *, name: str, port: int | None = None) -> Iterator[Proxy]:
        """A proxy on 127.0.0.1 in front of ``upstream`` (host:port), its port the same for life; removed at the end."""
        address = f"127.0.0.1:{port or free_ports(1)[0]}"
        asked = {"name": name, "listen": address, "upstream": upstream, "enabled": True}
        self.request("POST", "/proxies", asked)
        try:
            yield Proxy(self, name, address)
        finally:
            self.request("DELETE", f"/proxies/{name}")

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One request to the control interface; what it answers.

        Raises:
            ToxiproxyError: it refused.
            OSError: nobody is there.
        """
        connection = http.client.HTTPConnection(urlsplit(self.api_url).netloc, timeout=_TIMEOUT)
        with contextlib.closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            text = response.read().decode()
        if response.status >= 400:
            raise ToxiproxyError(f"{method} {path}: {response.status} {text}")
        return json.loads(text) if text else None


@dataclass(frozen=True)
class Proxy:
    """One proxied address. Toxics work on what the server sends (downstream) unless told otherwise."""

    toxiproxy: Toxiproxy
    name: str
    address: str

    def cut(self) -> None:
        """Close every connection and refuse new ones."""
        self.toxiproxy.request("POST", f"/proxies/{self.name}", {"enabled": False})

    def restore(self) -> None:
        """Accept connections again."""
        self.toxiproxy.request("POST", f"/proxies/{self.name}", {"enabled": True})

    @contextlib.contextmanager
    def toxic(self, kind: str, *, stream: str = "downstream", **attributes: int) -> Iterator[None]:
        """A fault for as long as the context lasts, e.g. ``toxic("latency", latency=500)`` (milliseconds)."""
        asked = {"type": kind, "name": f"{kind}-{stream}", "stream": stream, "attributes": attributes}
        made = self.toxiproxy.request("POST", f"/proxies/{self.name}/toxics", asked)
        try:
            yield
        finally:
            self.toxiproxy.request("DELETE", f"/proxies/{self.name}/toxics/{made['name']}")


def from_environment(environ: Mapping[str, str]) -> Toxiproxy | None:
    """``LFK_TEST_TOXIPROXY`` is the URL of a control interface whose proxies 127.0.0.1 reaches."""
    url = environ.get("LFK_TEST_TOXIPROXY")
    return Toxiproxy(url) if url else None


@contextlib.contextmanager
def start(folder: Path, cache: Path) -> Iterator[Running[Toxiproxy]]:
    """A control interface on 127.0.0.1 with its log below ``folder``.

    Raises:
        MissingError: the program has not been fetched.
        ServerFailedError: it does not come up.
    """
    program = PROGRAM.executable(cache)

    def make() -> Running[Toxiproxy]:
        (port,) = free_ports(1)
        server = Toxiproxy(f"http://127.0.0.1:{port}")
        process = ServerProcess(
            "toxiproxy",
            [str(program), "-host", "127.0.0.1", "-port", str(port)],
            log=folder / "toxiproxy.log",
            answers=toxiproxy_answers(server),
        )
        return Running(server, process)

    with started(make) as server:
        yield server


@contextlib.contextmanager
def start_container() -> Iterator[Toxiproxy]:
    """A container in the host's own network, as it must reach servers that listen on 127.0.0.1.

    Raises:
        MissingError: the container cannot be run, or the host's network is out of reach from one.
    """
    if sys.platform != "linux":
        raise MissingError("Docker lends a container the host's network on Linux only")
    (port,) = free_ports(1)
    server = Toxiproxy(f"http://127.0.0.1:{port}")
    command = f"-host=127.0.0.1 -port={port}"
    with containers.run(IMAGE, command=command, host_network=True, answers=toxiproxy_answers(server)):
        yield server


def toxiproxy_answers(server: Toxiproxy) -> Callable[[], bool]:
    """Whether the control interface lists its proxies."""

    def answers() -> bool:
        try:
            server.request("GET", "/proxies")
        except (OSError, ValueError, http.client.HTTPException):
            return False
        return True

    return answers
