"""Faults of the servers and of the way to them: gone, killed, silent, slow, cut off."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.run import Run, Stage
from tests.services.process import ServerProcess
from tests.services.toxiproxy import Proxy


@dataclass(frozen=True, slots=True)
class Server:
    """Which of the two servers, and how to get at it."""

    name: str
    process_of: Callable[[Stage], ServerProcess | None]
    proxy_of: Callable[[Stage], Proxy | None]

    def process(self, run: Run) -> ServerProcess:
        """Its process, for runs that have one of their own."""
        process = self.process_of(run.stage)
        assert process is not None, f"the row of this fault says nothing of a {self.name} of its own"
        return process

    def proxy(self, run: Run) -> Proxy:
        """The proxy in front of it, for runs that have one."""
        proxy = self.proxy_of(run.stage)
        assert proxy is not None, f"the row of this fault says nothing of a proxy before its {self.name}"
        return proxy


BROKER = Server("broker", lambda stage: stage.broker_process, lambda stage: stage.broker_proxy)
STORE = Server("store", lambda stage: stage.store_process, lambda stage: stage.store_proxy)


def _spread(run: Run, number: int, times: int) -> None:
    """Wait for the moment of one of several outages: amid the work, at any point of it."""
    run.wait_for_answers(1 + number * (len(run.recordings) - 1) // (times + 1))
    run.wait(run.chance.uniform(0.0, 1.0))


@dataclass(frozen=True, slots=True)
class Restart:
    """The server stops politely and starts again ``down`` seconds later."""

    server: Server
    times: int = 1
    down: float = 1.0

    def act(self, run: Run) -> int:
        """See :class:`tests.chaos.run.Fault`."""
        for number in range(self.times):
            _spread(run, number, self.times)
            self._end(self.server.process(run))
            run.wait(self.down)
            self.server.process(run).start()
        return self.times

    def _end(self, process: ServerProcess) -> None:
        process.stop()


@dataclass(frozen=True, slots=True)
class Kill(Restart):
    """As :class:`Restart`, with ``kill -9``."""

    def _end(self, process: ServerProcess) -> None:
        process.kill()


@dataclass(frozen=True, slots=True)
class Pause:
    """SIGSTOP of the server: connections stay open and nobody answers."""

    server: Server
    times: int = 1
    seconds: float = 30.0

    def act(self, run: Run) -> int:
        """See :class:`tests.chaos.run.Fault`."""
        for number in range(self.times):
            _spread(run, number, self.times)
            self.server.process(run).pause()
            try:
                run.wait(self.seconds)
            finally:
                self.server.process(run).resume()
        return self.times


@dataclass(frozen=True, slots=True)
class Cut:
    """Every connection is closed and new ones are refused."""

    server: Server
    times: int = 1
    seconds: float = 30.0

    def act(self, run: Run) -> int:
        """See :class:`tests.chaos.run.Fault`."""
        for number in range(self.times):
            _spread(run, number, self.times)
            self.server.proxy(run).cut()
            try:
                run.wait(self.seconds)
            finally:
                self.server.proxy(run).restore()
        return self.times


@dataclass(frozen=True, slots=True)
class Toxic:
    """A toxic of toxiproxy, both ways, for ``seconds`` at a time; in between the way is clear for as long."""

    server: Server
    kind: str
    attributes: tuple[tuple[str, int], ...]
    times: int = 1
    seconds: float = 5.0

    def act(self, run: Run) -> int:
        """See :class:`tests.chaos.run.Fault`."""
        proxy = self.server.proxy(run)
        for number in range(self.times):
            _spread(run, number, self.times)
            with contextlib.ExitStack() as stack:
                for stream in ("upstream", "downstream"):
                    stack.enter_context(proxy.toxic(self.kind, stream=stream, **dict(self.attributes)))
                run.wait(self.seconds)
            run.wait(self.seconds)
        return self.times


def latency(server: Server, milliseconds: int, jitter: int, times: int = 1, seconds: float = 5.0) -> Toxic:
    """Everything takes that much longer."""
    return Toxic(server, "latency", (("latency", milliseconds), ("jitter", jitter)), times, seconds)


def resets(server: Server, after: int, times: int = 1, seconds: float = 5.0) -> Toxic:
    """Every connection is reset ``after`` milliseconds."""
    return Toxic(server, "reset_peer", (("timeout", after),), times, seconds)


def silence(server: Server, times: int = 1, seconds: float = 5.0) -> Toxic:
    """Connections stay open, but no byte gets through."""
    return Toxic(server, "timeout", (("timeout", 0),), times, seconds)


def breaks_off(server: Server, after: int, times: int = 1, seconds: float = 5.0) -> Toxic:
    """Every connection ends after so many bytes, be it amid an answer."""
    return Toxic(server, "limit_data", (("bytes", after),), times, seconds)
